"""What a check says, for a terminal, a program, a CI server and a pull request."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import asdict

from host.json_values import mapping
from peakday.gate.snapshot.figures import CHANGED
from peakday.gate.verdicts import Line, Outcome, Verdict
from wire.text import Untrusted

SCHEMA = "peakday.check/1"
MARKS = {
    Verdict.PASS: "✅ pass",
    Verdict.FAIL: "❌ FAIL",
    Verdict.INCONCLUSIVE: "❔ inconclusive",
    Verdict.INVALID: "🚫 INVALID",
    Verdict.BROKEN: "💥 BROKEN",
    Verdict.REFUSED: "⛔ refused",
    Verdict.WARN: "⚠️ warn",
}
_SENTENCES = {
    Verdict.PASS: "PASS: every gate that ran is sure that nothing is worse{beyond}",
    Verdict.FAIL: "FAIL: {which}",
    Verdict.BROKEN: "BROKEN: a build or its start failed; its line says why",
    Verdict.REFUSED: "REFUSED: a mistake in the command, or in a file that it names; its line says how to fix it",
    Verdict.INVALID: "INVALID: the load generator could not keep up, so its runs show nothing about this build; repeat "
    "it with less to do for this machine",
    Verdict.INCONCLUSIVE: "INCONCLUSIVE: no gate failed, but not every gate could decide: {which}; {fix}",
}
_NO_GATE = "INCONCLUSIVE: no gate ran; save a baseline, name an SLO, or add --against REF"


def as_data(outcome: Outcome) -> dict[str, object]:
    """The outcome as one JSON document."""
    return {
        "schema": SCHEMA,
        "scenario": outcome.scenario,
        "verdict": outcome.verdict,
        "exit_code": int(outcome.exit_code),
        "lines": [asdict(line) for line in ranked(outcome)],
        "notes": list(outcome.notes),
        "moments": list(outcome.moments),
        **outcome.facts,
    }


def as_text(outcome: Outcome) -> str:
    """The table a person reads: what is wrong first, then what is right."""
    rows = [cells(line) for line in ranked(outcome)]
    head = ("gate", "metric", "baseline", "candidate", "change", "verdict")
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def row_text(row: tuple[str, ...], why: str) -> str:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        return f"{line}  {why}".rstrip()

    lines = [row_text(head, "why")]
    lines += [row_text(row, line.why) for row, line in zip(rows, ranked(outcome), strict=True)]
    lines += [f"note: {note}" for note in outcome.notes]
    lines += _moment_lines(outcome)
    return "\n".join(Untrusted(line).terminal for line in [*lines, "", f"{outcome.scenario}: {sentence(outcome)}"])


def sentence(outcome: Outcome) -> str:
    """What it comes to, in one line."""
    if not any(line.verdict != Verdict.WARN for line in outcome.lines):
        return _NO_GATE
    which = [f"{line.metric} ({line.gate})" for line in ranked(outcome) if line.verdict == outcome.verdict]
    more = f" and {len(which) - 3} more" if len(which) > 3 else ""
    absent = ", ".join(mapping(outcome.facts.get("not_covered")))
    beyond = f"; not covered: {absent}" if absent else ""
    fix = next((f"to do: {line.fix}" for line in ranked(outcome) if line.fix), "each line says why")
    return _SENTENCES[outcome.verdict].format(which=", ".join(which[:3]) + more, beyond=beyond, fix=fix)


def ranked(outcome: Outcome) -> list[Line]:
    """Lines with what needs a reader on top: of those that fail alike, the largest change first."""
    gravity = [
        Verdict.REFUSED,
        Verdict.BROKEN,
        Verdict.FAIL,
        Verdict.INVALID,
        Verdict.INCONCLUSIVE,
        Verdict.WARN,
        Verdict.PASS,
    ]

    def place(line: Line) -> tuple[int, bool, float]:
        size = abs(line.change or 0.0) if line.verdict == Verdict.FAIL else 0.0
        return gravity.index(line.verdict), line.why.startswith(CHANGED), -size

    return sorted(outcome.lines, key=place)


def cells(line: Line) -> tuple[str, str, str, str, str, str]:
    """Gate, metric, baseline, candidate, change with its bounds, verdict; as printed everywhere."""
    verdict = line.verdict.upper() if line.verdict in (Verdict.FAIL, Verdict.INVALID) else line.verdict
    return line.gate, line.metric, shown(line.baseline), shown(line.candidate), change(line), str(verdict)


def shown(value: float | str | None) -> str:
    """A value as printed; an absent one is a dash, never a zero."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.6g}"


def change(line: Line) -> str:
    """`+12.3% (+8.0 to +16.9%)`, the bounds one-sided; a dash where there is none."""
    if line.change is None:
        return "-"
    if line.lo is None or line.hi is None:
        return f"{line.change:+.1%}"
    return f"{line.change:+.1%} ({line.lo * 100:+.1f} to {line.hi * 100:+.1f}%)"


def _moment_lines(outcome: Outcome, most: int = 3) -> list[str]:
    lines = []
    for moment in outcome.moments[:most]:
        what, before, after = moment["changes"][0]
        more = f" and {len(moment['changes']) - 1} more" if len(moment["changes"]) > 1 else ""
        lines.append(f'  "{moment["message"]}" ({moment["turn"]}): {what} {before} -> {after}{more}')
    if lines:
        rest = len(outcome.moments) - len(lines)
        lines.insert(0, f"{len(outcome.moments)} scripted turns went another way:")
        lines += [f"  … and {rest} more; --html shows each"] if rest else []
    return lines


_LEVELS = dict.fromkeys((Verdict.FAIL, Verdict.BROKEN, Verdict.REFUSED), "error")
_LEVELS |= dict.fromkeys((Verdict.INVALID, Verdict.INCONCLUSIVE, Verdict.WARN), "warning")


def as_annotations(outcome: Outcome) -> str:
    """A GitHub workflow command for each line that is no pass: `cat` them in a step, and they stand on the check.

    Source: GitHub Docs, workflow commands: `::error title=TITLE::MESSAGE`, with %, CR, LF and in properties : and ,
    escaped (2026-11).
    """
    commands = []
    for line in ranked(outcome):
        if line.verdict in _LEVELS:
            _, metric, old, new, moved, verdict = cells(line)
            title = _property(Untrusted(f"peakday {outcome.scenario}: {metric} {verdict}").line)
            text = Untrusted(f"{line.gate}: {old} -> {new}, {moved}: {line.why}").line.replace("%", "%25")
            commands.append(f"::{_LEVELS[line.verdict]} title={title}::{text}")
    return "".join(f"{command}\n" for command in commands)


def _property(text: str) -> str:
    return text.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")


def as_markdown(outcome: Outcome) -> str:
    """A GitHub step summary."""
    rows = [
        f"| {MARKS[line.verdict]} | {line.gate} | "
        + " | ".join(Untrusted(cell).markdown for cell in (line.metric, *cells(line)[2:5], line.why))
        + " |"
        for line in ranked(outcome)
    ]
    notes = [f"> {Untrusted(note).markdown}" for note in outcome.notes]
    head = ["| verdict | gate | metric | baseline | candidate | change | why |", "|---|---|---|---|---|---|---|"]
    head_line, *moments = _moment_lines(outcome) or [""]
    folded = [
        "",
        f"<details><summary>{Untrusted(head_line).html}</summary>",
        "",
        "```",
        *(Untrusted(text).terminal for text in moments),
        "```",
        "</details>",
    ]
    title = f"### {MARKS[outcome.verdict]} · peakday check {Untrusted(outcome.scenario).markdown}"
    body = [
        title,
        "",
        Untrusted(sentence(outcome)).markdown,
        "",
        *head,
        *rows,
        "",
        *notes,
        *(folded if moments else []),
    ]
    return "\n".join(body).rstrip() + "\n"


def as_junit(outcome: Outcome, took_s: float) -> str:
    """A JUnit report: one suite, one case per line. An inconclusive line is skipped, an invalid one an error."""
    suite = ET.Element("testsuite", name=Untrusted(f"peakday check {outcome.scenario}").xml, time=f"{took_s:.3f}")
    counts = {"failures": 0, "errors": 0, "skipped": 0}
    kinds = {
        Verdict.FAIL: ("failure", "failures"),
        Verdict.INVALID: ("error", "errors"),
        Verdict.BROKEN: ("error", "errors"),
        Verdict.REFUSED: ("error", "errors"),
        Verdict.INCONCLUSIVE: ("skipped", "skipped"),
    }
    for line in outcome.lines:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=Untrusted(f"{outcome.scenario}.{line.gate}").xml,
            name=Untrusted(line.metric).xml,
            time="0",
        )
        gate, metric, old, new, moved, _ = cells(line)
        text = f"{gate} {metric}: {old} -> {new}, {moved}: {line.why}"
        if line.verdict in kinds:
            tag, counter = kinds[line.verdict]
            counts[counter] += 1
            inner = ET.SubElement(case, tag, message=Untrusted(text).xml)
            if tag != "skipped":
                inner.set("type", str(line.verdict))
                inner.text = Untrusted(text).xml
        else:
            ET.SubElement(case, "system-out").text = Untrusted(text).xml
    suite.set("tests", str(len(outcome.lines)))
    for name, count in counts.items():
        suite.set(name, str(count))
    suites = ET.Element("testsuites", {**suite.attrib})
    suites.attrib.pop("skipped", None)
    suites.append(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"
