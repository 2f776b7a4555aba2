"""The panel on quality: shares of acceptable turns, where `peakday assistant quality` has scored the run."""

from __future__ import annotations

import pandas as pd

from dashboards.html import charts
from dashboards.html.page import Cell, Panel, Table
from dashboards.numbers.units import show
from loadgen.record import Run
from loadgen.run_info import Judged
from slo.bounds import wilson

FILE = "judgements.parquet"
_COLUMNS = ["model", "intent", "complexity", "acceptable"]


def quality_panels(run: Run) -> list[Panel]:
    """Scored quality by model and complexity; nothing where the run was not scored."""
    path = run.path / FILE
    if not path.exists():
        return []
    try:
        rows = pd.read_parquet(path, columns=_COLUMNS)
    except (OSError, ValueError) as error:
        return [Panel("Quality, scored by a judge model", f"{FILE} cannot be read ({error}); score the run again.")]
    scored = rows[rows["acceptable"].notna()].assign(acceptable=lambda frame: frame["acceptable"].astype(bool))
    if scored.empty:
        return [
            Panel(
                "Quality, scored by a judge model",
                f"{show(len(rows), 'count')} turns were sampled, and none got a verdict.",
            )
        ]
    groups = scored.groupby(["model", "complexity"], observed=True)["acceptable"]
    shares = {f"{model}, {complexity}": (int(of.sum()), len(of)) for (model, complexity), of in groups}
    table_rows: list[list[Cell]] = [[name, *_share(*counts)] for name, counts in shares.items()]
    table_rows.append(["all", *_share(int(scored["acceptable"].sum()), len(scored))])
    table = Table("Acceptable turns, by a judge", ("Model, complexity", "Acceptable", "95% interval", "n"), table_rows)
    values = [good / n for good, n in shares.values()]
    ends = [wilson(good, n) for good, n in shares.values()]
    errors = {
        "acceptable": (
            [max(0.0, value - low) for value, (low, _) in zip(values, ends, strict=True)],
            [max(0.0, high - value) for value, (_, high) in zip(values, ends, strict=True)],
        )
    }
    chart = charts.bars(list(shares), {"acceptable": values}, "ratio", errors)
    return [Panel("Quality, scored by a judge model", _sentence(run.info.judged or Judged(), scored), table, chart)]


def _share(good: int, n: int) -> list[Cell]:
    low, high = wilson(good, n)
    return [show(good / n, "ratio"), f"{show(low, 'ratio')} to {show(high, 'ratio')}", show(n, "count")]


def _sentence(summary: Judged, rows: pd.DataFrame) -> str:
    judge = summary.judge or "a judge"
    share = show(float(rows["acceptable"].mean()), "ratio")
    sentence = f"{judge} called {share} of {show(len(rows), 'count')} sampled turns acceptable."
    if summary.simulated:
        return f"{sentence} SIMULATED: an emulator scored by what the shipped table assumes; no quality was measured."
    return f"{sentence} One judge is one opinion: its own errors are not in the interval."
