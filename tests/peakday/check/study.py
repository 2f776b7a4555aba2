"""The gate on a real machine: `make check-study`, by hand, on an idle machine; resumable.

Usage: python -m tests.peakday.check.study [--checks 20] [--for 4s] [--rate 7/s] [--work FOLDER] [--only NAME …]

In a clone of this checkout each injected regression is a commit, and `peakday check` runs there against the commit
before it, as it would in CI. The A/A checks run a commit against its own parent, which differs in nothing. Every check
that ended is a line of FOLDER/results.jsonl and is not run again; at the end FOLDER/results.md is written, whose tables
docs/ci.md takes over.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs" / "ci.md"
SCENARIO = """\
schema: peakday.scenario/1
extends: smoke
name: study
description: smoke with one turn a visit and a drain that every answer fits in; a run takes seconds.
mix:
  interactions_per_session: {mean: 1.0, max: 1}
  turns_per_interaction: {mean: 1.0, max: 1}
load: {warm_up_s: 0.5, drain_s: 6}
"""


@dataclass(frozen=True)
class Case:
    """One injected change: what it is, where, and the gate and metric that must name it."""

    name: str
    file: str
    old: str
    new: str
    gate: str
    metrics: tuple[str, ...]


CASES = (
    Case("+25% token gap", "assistant/local_models/profiles.yaml", "", "", "regression", ("tpot_s_p50",)),
    Case(
        "tools one after another", "scenarios/switches.py", "    parallel: bool = True", "    parallel: bool = False",
        "exact", ("tool_rounds",),
    ),
    Case(
        "cache point behind the date", "assistant/prompt.py", 'system: list[Block] = [{"text": system_text()}]',
        'system: list[Block] = [{"text": __import__("datetime").datetime.now().isoformat() + system_text()}]',
        "exact", ("cache_hit_token_ratio", "cache_read_tokens"),
    ),
    Case(
        "lost keep-alive", "assistant/clients/http.py", "kept.append(connection)", "return connection.abort()",
        "exact", ("model_connections",),
    ),
)  # fmt: skip


def main() -> None:
    """Run what is missing, and write the tables."""
    options = arguments()
    work: Path = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    clone = prepared(work / "clone")
    done = results(work)
    began_s = time.monotonic()
    wanted = [case.name for case in CASES] + [f"A/A {number}" for number in range(1, options.checks + 1)]
    wanted = [name for name in wanted if not options.only or name in options.only]
    for number, name in enumerate(wanted, 1):
        if name in done:
            continue
        print(f"[{number}/{len(wanted)}, {(time.monotonic() - began_s) / 60:.1f} min] {name}", flush=True)
        done[name] = one_check(clone, name, options, number)
        with (work / "results.jsonl").open("a") as file:
            file.write(json.dumps(done[name]) + "\n")
        print(f"    {done[name]['verdict']} in {done[name]['took_s']:.0f} s: {named(done[name])}", flush=True)
    text = tables([done[name] for name in wanted if name in done], options)
    (work / "results.md").write_text(text)
    print(text)


def arguments() -> argparse.Namespace:
    """Options, whose defaults are meant to make the whole study last some 35 minutes on an idle machine."""
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


def one_check(clone: Path, name: str, options: argparse.Namespace, number: int) -> dict[str, object]:
    """One check in the clone, from a clean start; interrupted, it goes on with the runs it had."""
    base = git(clone, "log", "--format=%H", "--grep=^study$", "-1").strip()
    git(clone, "checkout", "--quiet", "--detach", "--force", base)
    case = next((case for case in CASES if case.name == name), None)
    if case is not None:
        inject(clone, case)
        commit(clone, case.name)
    gate = case.gate if case is not None else "regression"
    # the seed makes one A/A check differ from the next in what is asked
    command = [sys.executable, "-m", "peakday", "check", "study.yaml", "--only", gate, "--against", base, "--json"]
    command += ["--pairs", str(options.pairs), "--rate", options.rate, "--for", options.for_]
    command += ["--html", str(options.work.resolve() / f"{number:02}.html")]
    command += [] if case is not None else ["--set", f"seed={number}"]
    began_s = time.monotonic()
    ended = subprocess.run(
        command, cwd=clone, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(clone)}
    )
    if ended.returncode not in (0, 1, 3, 4):
        raise SystemExit(f"{name}: `peakday check` ended with exit code {ended.returncode}; run this again to go on")
    found = json.loads(ended.stdout)
    took_s = time.monotonic() - began_s
    return {"name": name, "verdict": found["verdict"], "took_s": took_s, "lines": found["lines"]}


def inject(clone: Path, case: Case) -> None:
    """Make the change; a text that is no longer there is an error, and never a check of nothing."""
    file = clone / case.file
    text = file.read_text()
    changed = text.replace(case.old, case.new) if case.old else slower_gaps(text)
    if changed == text:
        raise SystemExit(f"{case.name}: {case.file} no longer holds {case.old!r}; mend the case")
    file.write_text(changed)


def slower_gaps(text: str, factor: float = 1.25) -> str:
    """Every provider's gap, and every engine's step beside prefill, so many times as long."""
    import re

    text = re.sub(r"gap_s: ([\d.e-]+)", lambda m: f"gap_s: {float(m[1]) * factor:.6g}", text)
    return re.sub(r"step: \{a: ([\d.e-]+)", lambda m: f"step: {{a: {float(m[1]) * factor:.6g}", text)


def commit(clone: Path, message: str) -> None:
    """Everything in the clone as one commit."""
    git(clone, "add", "--all", ":!runs", ":!.peakday", ":!baselines")
    identity = ("-c", "user.name=study", "-c", "user.email=study@localhost")
    git(clone, *identity, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", message)


def git(folder: Path, *arguments: str) -> str:
    """Output of a git command."""
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def results(work: Path) -> dict[str, dict[str, object]]:
    """Checks that ended in an earlier start; an INVALID one is run again."""
    file = work / "results.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    return {row["name"]: row for row in rows if row["verdict"] != "invalid"}


def named(result: dict[str, object]) -> str:
    """Metrics that failed, with their change."""
    failed = [line for line in result["lines"] if line["verdict"] == "fail"]  # type: ignore[attr-defined]
    shown = [f"{line['metric']} ({line['gate']}{_change(line)})" for line in failed]
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "") or "nothing failed"


def _change(line: dict[str, object]) -> str:
    return "" if line["change"] is None else f" {line['change']:+.1%}"


def tables(done: list[dict[str, object]], options: argparse.Namespace) -> str:
    """Both tables as markdown: A/A checks with the binomial interval of their failures, and injected changes."""
    from scipy.stats import binomtest

    equal = [row for row in done if str(row["name"]).startswith("A/A") and row["verdict"] != "invalid"]
    counts = {verdict: sum(row["verdict"] == verdict for row in equal) for verdict in ("fail", "pass", "inconclusive")}
    lines = [f"{options.pairs} pairs, {options.rate} for {options.for_} a run.", ""]
    if equal:
        low, high = binomtest(counts["fail"], len(equal)).proportion_ci(0.95)
        minutes = sum(float(row["took_s"]) for row in equal) / len(equal) / 60  # type: ignore[arg-type]
        lines += [
            "| equal builds checked | failed | 95% interval | passed | inconclusive | minutes each |",
            "|---|---|---|---|---|---|",
            f"| {len(equal)} | {counts['fail']} | {low:.1%} to {high:.1%} | {counts['pass']} | "
            f"{counts['inconclusive']} | {minutes:.1f} |",
            "",
        ]
    lines += ["| injected | caught by | named | seconds |", "|---|---|---|---|"]
    for case in CASES:
        row = next((row for row in done if row["name"] == case.name), None)
        if row is not None:
            lines.append(f"| {case.name} | {caught(case, row)} | {named(row)} | {row['took_s']:.0f} |")
    return "\n".join(lines) + "\n"


def caught(case: Case, row: dict[str, object]) -> str:
    """The gate that caught it, or that it was missed, or caught under another name."""
    failed = {line["metric"] for line in row["lines"] if line["verdict"] == "fail"}  # type: ignore[attr-defined]
    if not failed:
        return f"MISSED ({row['verdict']})"
    return case.gate if failed & set(case.metrics) else "caught, but not by its name"


if __name__ == "__main__":
    main()
