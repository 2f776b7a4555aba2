"""The gate on a real machine: `make check-study`, by hand, on an idle machine; resumable.

Usage: python -m study.gate [--checks 20] [--for 4s] [--rate 7/s] [--work FOLDER] [--only NAME …]

In a clone of this checkout each injected regression is a commit, and `peakday check` runs there against the commit
before it, as it would in CI. The A/A checks run a commit against itself in a worktree of its own, snapshot checks and
the regression gate together. A check of four pairs takes some 150 s: twenty and the injected ones take about an hour.

Every check that ended is a line of FOLDER/results.jsonl, with the commit studied and the load. It is not run again
where those are the same, unless it was INVALID; how many were is counted. Remove FOLDER to study another commit. At the
end FOLDER/results.md is written, whose tables docs/ci.md takes over.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from peakday.gate.verdicts import Verdict, overall

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "ci.md"
SCENARIO = """\
schema: peakday.scenario/1
extends: smoke
name: study
description: smoke with one turn a session and a drain that every answer fits in; a run takes seconds.
mix:
  interactions_per_session: {mean: 1.0, max: 1}
  turns_per_interaction: {mean: 1.0, max: 1}
load: {warm_up_s: 0.5, drain_s: 6}
"""


Row = dict[str, Any]


@dataclass(frozen=True)
class Edit:
    """A text of a file and what stands in its place; without a text, the gaps of the emulator's profiles."""

    file: str
    old: str = ""
    new: str = ""


@dataclass(frozen=True)
class Case:
    """One injected change, and the gate and metric that must name it. `ground`: made on both sides before it."""

    name: str
    edit: Edit
    gate: str
    metrics: tuple[str, ...]
    ground: tuple[Edit, ...] = ()


CASES = (
    Case("+25% token gap", Edit("emulator/profiles.yaml"), "regression", ("tpot_s_p50",)),
    Case(
        "tools one after another",
        Edit(
            "assistant/turn.py", "runs = await asyncio.gather(*(toolbox.use(use) for use in uses))",
            "runs = [await toolbox.use(use) for use in uses]",
        ),
        "exact", ("tools_side_by_side",),
        # The local shop answers at once, so that no two tools can overlap: here it is 50 ms away.
        ground=(
            Edit(
                "assistant/toolbox.py", "            result = tool.run(replace(self.context, key=key), arguments)",
                '            await __import__("asyncio").sleep(0.05)\n'
                "            result = tool.run(replace(self.context, key=key), arguments)",
            ),
        ),
    ),
    Case(
        "cache point behind the date",
        Edit(
            "assistant/prompt.py", 'system: list[Block] = [{"text": system_text()}]',
            'system: list[Block] = [{"text": __import__("datetime").datetime.now().isoformat() + system_text()}]',
        ),
        "exact", ("cache_hit_token_ratio", "cache_read_tokens"),
    ),
    Case(
        "lost keep-alive",
        Edit("assistant/models/http.py", "kept.append(connection)", "return connection.abort()"),
        "exact", ("model_connections",),
    ),
)  # fmt: skip


def main() -> None:
    """Run what is missing, and write the tables."""
    options = arguments()
    work: Path = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    clone = prepared(work / "clone")
    conditions = conditions_of(options, git(clone, "log", "--format=%H", "--grep=^study$", "-1").strip())
    rows = results(work / "results.jsonl", conditions)
    began_s = time.monotonic()
    wanted = [case.name for case in CASES] + [f"A/A {number}" for number in range(1, options.checks + 1)]
    wanted = [name for name in wanted if not options.only or name in options.only]
    for number, name in enumerate(wanted, 1):
        if name in ended(rows):
            continue
        print(f"[{number}/{len(wanted)}, {(time.monotonic() - began_s) / 60:.1f} min] {name}", flush=True)
        row = conditions | one_check(clone, name, options, str(conditions["commit"]))
        rows.append(row)
        with (work / "results.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"    {row['verdict']} in {row['took_s']:.0f} s: {named(row)}", flush=True)
    text = tables([row for row in rows if row["name"] in wanted], conditions)
    (work / "results.md").write_text(text)
    print(text)


def conditions_of(options: argparse.Namespace, commit: str) -> Row:
    """What two checks must have in common to be of one table."""
    return {"commit": commit, "rate": options.rate, "for": options.for_, "pairs": options.pairs}


def arguments() -> argparse.Namespace:
    """Options, whose defaults make the whole study last about an hour on an idle machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checks", type=int, default=20, help="A/A checks")
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--for", dest="for_", default="4s")
    parser.add_argument("--rate", default="7/s")
    parser.add_argument("--work", type=Path, default=ROOT / "benches" / "check-study")
    parser.add_argument("--only", action="append", help="name of one check; repeatable")
    return parser.parse_args()


def prepared(clone: Path) -> Path:
    """A clone of HEAD with the scenario of the study; made once."""
    if not (clone / "study.yaml").is_file():
        git(ROOT, "clone", "--quiet", "--local", "--no-hardlinks", str(ROOT), str(clone))
        (clone / "study.yaml").write_text(SCENARIO)
        (clone / "checks.yaml").write_text("schema: peakday.checks/1\nplan: false\nruns: {invalid_max: 6}\n")
        commit(clone, "study")
    return clone


def one_check(clone: Path, name: str, options: argparse.Namespace, base: str) -> Row:
    """One check in the clone, from a clean start; interrupted, it goes on with the runs it had."""
    git(clone, "checkout", "--quiet", "--detach", "--force", base)
    case = next((case for case in CASES if case.name == name), None)
    if case is not None:
        base = injected(clone, case)
    command = [sys.executable, "-m", "peakday", "check", "study.yaml", "--against", base, "--json"]
    command += ["--pairs", str(options.pairs), "--rate", options.rate, "--for", options.for_]
    command += ["--html", str(options.work.resolve() / f"{name.replace('/', '').replace(' ', '-')}.html")]
    gates = (case.gate,) if case is not None else ("exact", "regression")
    command += [word for gate in gates for word in ("--only", gate)]
    # the seed makes one A/A check differ from the next in what is asked
    command += [] if case is not None else ["--set", f"seed={name.split()[-1]}"]
    began_s = time.monotonic()
    done = subprocess.run(
        command, cwd=clone, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(clone)}
    )
    if done.returncode not in (0, 1, 3, 4):
        raise SystemExit(f"{name}: `peakday check` ended with exit code {done.returncode}; run this again to go on")
    report = json.loads(done.stdout)
    kept = {key: report.get(key) for key in ("verdict", "lines", "n_tail", "runs_repeated")}
    return {"name": name, "took_s": time.monotonic() - began_s, **kept}


def injected(clone: Path, case: Case) -> str:
    """Make the change as a commit; the commit before it."""
    for edit in case.ground:
        inject(clone, edit)
    commit(clone, f"ground of {case.name}")
    base = git(clone, "rev-parse", "HEAD").strip()
    inject(clone, case.edit)
    commit(clone, case.name)
    return base


def inject(clone: Path, edit: Edit) -> None:
    """Make one edit; a text that is no longer there is an error, and never a check of nothing."""
    file = clone / edit.file
    text = file.read_text()
    changed = text.replace(edit.old, edit.new) if edit.old else slower_gaps(text)
    if changed == text:
        raise SystemExit(f"{edit.file} no longer holds {edit.old!r}; fix the case")
    file.write_text(changed)


def slower_gaps(text: str, factor: float = 1.25) -> str:
    """Every provider's gap, and every engine's step beside prefill, so many times as long."""
    text = re.sub(r"gap_s: ([\d.e-]+)", lambda m: f"gap_s: {float(m[1]) * factor:.6g}", text)
    return re.sub(r"step: \{a: ([\d.e-]+)", lambda m: f"step: {{a: {float(m[1]) * factor:.6g}", text)


def commit(clone: Path, message: str) -> None:
    """Everything in the clone as one commit."""
    git(clone, "add", "--all", "--", ".", ":!baselines")
    identity = ("-c", "user.name=study", "-c", "user.email=study@localhost")
    git(clone, *identity, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", message)


def git(folder: Path, *arguments: str) -> str:
    """Output of a git command."""
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def results(file: Path, conditions: Row) -> list[Row]:
    """Checks of an earlier start under the same conditions."""
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    return [row for row in rows if all(row.get(key) == value for key, value in conditions.items())]


def ended(rows: list[Row]) -> dict[str, Row]:
    """Those that need not be run again: all but the INVALID ones."""
    return {str(row["name"]): row for row in rows if row["verdict"] != "invalid"}


def named(result: Row) -> str:
    """Metrics that failed, with their change."""
    failed = [line for line in result["lines"] if line["verdict"] == "fail"]
    shown = [f"{line['metric']} ({line['gate']}{_change(line)})" for line in failed]
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "") or "nothing failed"


def _change(line: Row) -> str:
    return "" if line["change"] is None else f" {line['change']:+.1%}"


def tables(rows: list[Row], conditions: Row) -> str:
    """Both tables as markdown: A/A checks with the binomial interval of their failures, and injected changes."""
    kept = ended(rows)
    lines = [
        f"Commit {str(conditions['commit'])[:12]}, {conditions['pairs']} pairs, {conditions['rate']} for "
        f"{conditions['for']} a run.",
        "",
    ]
    equal = [row for row in kept.values() if is_equal(row)]
    if equal:
        invalid = sum(is_equal(row) and row["verdict"] == "invalid" for row in rows)
        lines += [
            "| equal builds checked | gate | failed | 95% interval | passed | inconclusive |",
            "|---|---|---|---|---|---|",
            *(equal_row(gate, equal) for gate in ("exact", "regression")),
            "",
            f"{mean(equal, 'took_s') / 60:.1f} minutes each. {invalid} checks were INVALID and run again; within the "
            f"others {sum(row['runs_repeated'] or 0 for row in equal)} runs were. {tails(equal)}",
            "",
        ]
    lines += ["| injected | caught by | named | seconds |", "|---|---|---|---|"]
    for case in CASES:
        row = kept.get(case.name)
        if row is not None:
            lines.append(f"| {case.name} | {caught(case, row)} | {named(row)} | {row['took_s']:.0f} |")
    return "\n".join(lines) + "\n"


def is_equal(row: Row) -> bool:
    """Whether it is a check of equal builds."""
    return str(row["name"]).startswith("A/A")


def equal_row(gate: str, equal: list[Row]) -> str:
    """How one gate ended over the checks of equal builds."""
    ends = [overall(Verdict(line["verdict"]) for line in row["lines"] if line["gate"] == gate) for row in equal]
    failed, passed, neither = (ends.count(end) for end in (Verdict.FAIL, Verdict.PASS, Verdict.INCONCLUSIVE))
    low, high = binomtest(failed, len(equal)).proportion_ci(0.95)
    return f"| {len(equal)} | {gate} | {failed} | {low:.1%} to {high:.1%} | {passed} | {neither} |"


def tails(equal: list[Row]) -> str:
    """Turns at or beyond a percentile, over the pooled runs of the build that had fewest."""
    fewest: dict[str, int] = {}
    for row in equal:
        for metric, sides in (row["n_tail"] or {}).items():
            fewest[metric] = min(*sides, fewest.get(metric, sides[0]))
    shown = ", ".join(f"{metric} {count}" for metric, count in sorted(fewest.items()) if metric.startswith("ttft"))
    return f"Fewest turns in a tail, pooled over the runs of a build: {shown or 'none measured'}."


def mean(rows: list[Row], key: str) -> float:
    """Mean of one figure."""
    return sum(float(row[key]) for row in rows) / len(rows)


def caught(case: Case, row: Row) -> str:
    """The gate that caught it, or that it was missed, or caught under another name."""
    failed = {line["metric"] for line in row["lines"] if line["verdict"] == "fail"}
    if not failed:
        return f"MISSED ({row['verdict']})"
    return case.gate if failed & set(case.metrics) else "caught, but not by its name"


if __name__ == "__main__":
    main()
