"""The diff report: one self-contained page with the lines, and every scripted turn and call that changed."""

from __future__ import annotations

from pathlib import Path

from dashboards.html.page import Banner, Cell, Page, Panel, Paragraph, Part, Table
from dashboards.html.render import render
from host.atomic import write_text
from peakday.gate.outputs import MARKS, as_annotations, as_junit, as_markdown, cells, ranked, sentence
from peakday.gate.verdicts import Moment, Outcome, Verdict

_KINDS = {Verdict.PASS: "good", Verdict.WARN: "warn", Verdict.INCONCLUSIVE: "warn"}
"""Verdict -> banner; any other is bad."""
COLUMNS = ("Metric", "Verdict", "Gate", "Baseline", "Candidate", "Change", "Why")


def as_html(outcome: Outcome) -> str:
    """The page; it asks for nothing from outside."""
    return render(gate_page(outcome))


def gate_page(outcome: Outcome) -> Page:
    """The verdict on top, then each line, the gravest first, then what changed in each scripted turn."""
    kind, words = _KINDS.get(outcome.verdict, "bad"), sentence(outcome).partition(": ")[2]
    banner = Banner(kind, str(outcome.verdict).upper(), words, outcome.notes)
    parts = [Part("lines", "Gates", [_lines_panel(outcome)])]
    if outcome.moments:
        parts.append(
            Part(
                "diffs",
                "Scripted turns that changed",
                [_diff_panel(diff) for diff in outcome.moments],
                lead=[Paragraph("Each call and tool of these turns that differs from the baseline.", quiet=True)],
            )
        )
    return Page(
        title=f"Check of {outcome.scenario}",
        subtitle=f"peakday · check · {outcome.scenario}",
        banners=[banner],
        headline=[],
        parts=parts,
        command=f"peakday check {outcome.scenario}",
    )


def _lines_panel(outcome: Outcome) -> Panel:
    rows: list[list[Cell]] = []
    for line in ranked(outcome):
        gate, metric, old, new, moved, _ = cells(line)
        rows.append([metric, MARKS[line.verdict], gate, old, new, moved, line.why])
    table = Table("Every line, the gravest first", COLUMNS, rows, text_columns=(0, 1, 2, 6))
    return Panel("Lines", "A line passes, fails, or says why it cannot tell.", table)


def _diff_panel(diff: Moment) -> Panel:
    rows: list[list[Cell]] = [[str(what), str(before), str(after)] for what, before, after in diff["changes"]]
    table = Table("Changes", ("What", "Baseline", "Candidate"), rows, text_columns=(0, 1, 2))
    return Panel(f"“{diff['message']}”", f"{diff['turn']}, {len(rows)} changes.", table)


def write_outputs(
    outcome: Outcome,
    took_s: float,
    *,
    junit: Path | None,
    markdown: Path | None,
    html: Path | None,
    annotations: Path | None = None,
) -> None:
    """The files that were asked for. Markdown is appended, as GitHub's step summary wants it."""
    if annotations is not None:
        write_text(annotations, as_annotations(outcome))
    if junit is not None:
        write_text(junit, as_junit(outcome, took_s))
    if markdown is not None:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        with markdown.open("a", encoding="utf-8") as file:
            file.write(as_markdown(outcome))
    if html is not None:
        write_text(html, as_html(outcome))
