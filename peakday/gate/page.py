"""The diff report: one self-contained page with the lines, and every scripted turn and call that changed."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from peakday.gate.outputs import MARKS, cells, ranked, sentence
from peakday.gate.verdicts import Outcome

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #8884; vertical-align: top }
td.n { font-variant-numeric: tabular-nums } .fail { color: #c22 } details { margin: .4rem 0 }
del { color: #c22; text-decoration: none } ins { color: #283; text-decoration: none }
.wide { overflow-x: auto }
"""


def as_html(outcome: Outcome) -> str:
    """The page; it asks for nothing from outside."""
    return "\n".join(_parts(outcome)) + "\n"


def _parts(outcome: Outcome) -> Iterator[str]:
    title = f"peakday check {escape(outcome.scenario)}"
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
    yield f"<h1>{MARKS[outcome.verdict]} · {title}</h1><p>{escape(sentence(outcome))}</p>"
    yield '<div class="wide"><table><tr><th>verdict<th>gate<th>metric<th>baseline<th>candidate<th>change<th>why</tr>'
    for line in ranked(outcome):
        gate, metric, old, new, moved, _ = (escape(cell) for cell in cells(line))
        yield f'<tr class="{line.verdict}"><td>{MARKS[line.verdict]}<td>{gate}<td>{metric}<td class="n">{old}'
        yield f'<td class="n">{new}<td class="n">{moved}<td>{escape(line.why)}</tr>'
    yield "</table></div>"
    yield from (f"<p>Note: {escape(note)}</p>" for note in outcome.notes)
    if outcome.moments:
        yield f"<h2>{len(outcome.moments)} scripted turns went another way</h2>"
    for moment in outcome.moments:
        yield from _moment(moment)
    yield "</body></html>"


def _moment(moment: dict[str, Any]) -> Iterator[str]:
    head = f"“{escape(moment['message'])}” <small>{escape(moment['turn'])}, {len(moment['changes'])} changes</small>"
    yield f"<details><summary>{head}</summary><table><tr><th>what<th>baseline<th>candidate</tr>"
    for what, before, after in moment["changes"]:
        yield f"<tr><td>{escape(str(what))}<td><del>{escape(str(before))}</del><td><ins>{escape(str(after))}</ins></tr>"
    yield "</table></details>"
