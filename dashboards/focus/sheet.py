"""Charges as a CSV file of FOCUS: its columns in its order, an empty cell for a null, no cell that calculates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from capacity.plan import Plan
from dashboards.focus.columns import Charge
from dashboards.focus.plan_charges import plan_charges
from dashboards.focus.run_charges import run_charges
from host.atomic import write_text
from host.tables import csv_text
from loadgen.record import Run
from wire.text import Untrusted

COLUMNS = tuple(field.name for field in fields(Charge))


def export_focus(source: Run | Plan, out: Path) -> Path:
    """Write a plan's or a run's charges.

    Raises:
        PlanError, RecordError: a record that does not say when, or what was used.
    """
    charges = plan_charges(source) if isinstance(source, Plan) else run_charges(source)
    write_text(out, focus_csv(charges))
    return out


def focus_csv(charges: Iterable[Charge]) -> str:
    """The file's text."""
    return csv_text(COLUMNS, ([_cell(getattr(charge, name)) for name in COLUMNS] for charge in charges))


def _cell(value: str | float | int | bool | None) -> str:
    """Decimals without exponents and grouping, as FOCUS' numeric format has them; texts that no spreadsheet obeys."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12f}".rstrip("0").rstrip(".") or "0"
    return str(value) if isinstance(value, int) else Untrusted(value).cell
