"""Scenarios made and looked at: the preview of an event, and a scenario from history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from facts.account import is_usage
from host.atomic import write_text
from peakday.account.usage_counts import write_counts
from peakday.config import check_scenario_file
from peakday.errors import CommandError
from peakday.preview_page import write_preview
from peakday.quantities import duration_s
from scenarios.errors import ScenarioError
from scenarios.fitting import Growth, fit
from scenarios.loading import load_scenario
from scenarios.preview import preview
from scenarios.preview_text import preview_text
from scenarios.profile.scenario import fit_trace
from scenarios.traces.detection import detect
from scenarios.traces.sessions import read_trace


def picture(
    scenario: str,
    sets: Sequence[str],
    window: tuple[float, float] | None,
    scale: float,
    seed: int | None,
    html: Path | None,
) -> tuple[str, dict[str, object]]:
    """The preview as text and as data; as a page too where asked."""
    view = preview(load_scenario(scenario, sets), window=window, scale=scale, seed=seed)
    text = preview_text(view)
    if html is not None:
        text += f"\n\n{write_preview(view, html)}"
    data = {
        "scenario": view.scenario.name,
        "hash": view.hash,
        "window": view.window,
        "scale": view.scale,
        "seed": view.seed,
        "sessions_expected": view.sessions,
        "turns_expected": view.turns,
        "warnings": view.warnings,
    }
    return text, data


def fit_files(
    files: Sequence[Path],
    name: str,
    growth: str | None,
    length: str | None,
    parent: str,
    calls_per_interaction: float | None = None,
) -> tuple[str, dict[str, object]]:
    """Write NAME.yaml from a trace of one or several files, or as `fit_history` from one of counts or of usage.

    Raises:
        CommandError: an option that such a file does not take, or NAME.yaml is there already.
        ScenarioError: what the files hold cannot be read.
    """
    if len(files) == 1 and (is_usage(files[0]) or detect(files[0]) == "counts"):
        return fit_history(files[0], name, growth, length, parent, calls_per_interaction)
    if length is not None or calls_per_interaction is not None:
        raise CommandError(f"{files[0]}: --length and --calls-per-interaction are for counts; a trace shows both")
    path, counts = Path(f"{name}.yaml"), Path(f"{name}.counts.csv")
    check_scenario_file(path)
    for file in (path, counts):
        if file.exists():
            raise CommandError(f"{file}: is there already; choose another --name")
    load_scenario(parent, ())
    fitted = fit_trace(read_trace(files), name=name, parent=parent, growth=_growth(growth))
    if fitted.counts is not None:
        write_text(counts, fitted.counts)
    write_text(path, fitted.text)
    report = (*fitted.report, *_not_yet_valid(path))
    data: dict[str, object] = {
        "scenario": str(path),
        "report": report,
        "profile": asdict(fitted.profile),
        "back_test": [asdict(figure) | {"inside": figure.inside} for figure in fitted.back_test],
    }
    return "\n".join((*report, f"wrote {path}")), data


def _not_yet_valid(path: Path) -> tuple[str, ...]:
    """What stands between a fitted scenario and its use: its parent may route the trace's prompts to small models."""
    try:
        load_scenario(str(path), ())
    except ScenarioError as error:
        return (f"not usable yet: {error}",)
    return ()


def fit_history(
    history: Path,
    name: str,
    growth: str | None,
    length: str | None,
    parent: str,
    calls_per_interaction: float | None = None,
) -> tuple[str, dict[str, object]]:
    """Write NAME.yaml from a file of counts, or of an account's usage; the report says where each range comes from.

    Raises:
        CommandError: the growth is no LOW,MID,HIGH, or NAME.yaml is there already.
    """
    path = Path(f"{name}.yaml")
    check_scenario_file(path)
    if path.exists():
        raise CommandError(f"{path}: is there already; choose another --name")
    notes: tuple[str, ...] = ()
    counted, per_count = history, 1.0
    if is_usage(history):
        counted, per_count, notes = write_counts(history, Path(f"{name}.counts.csv"), parent, calls_per_interaction)
    elif calls_per_interaction is not None:
        raise CommandError("--calls-per-interaction is for a usage.csv of `aws pull`; leave it out for plain counts")
    fitted = fit(
        counted,
        name=name,
        growth=_growth(growth),
        length_s=duration_s(length, "--length") if length else None,
        parent=parent,
        out_folder=Path(),
        interactions_per_count=per_count,
    )
    with path.open("x") as file:
        file.write(fitted.text)
    report = "\n".join((*notes, *fitted.report))
    return f"{report}\nwrote {path}", {
        "scenario": str(path),
        "report": (*notes, *fitted.report),
        "growth": fitted.growth._asdict(),
    }


def _growth(text: str | None) -> Growth | None:
    if text is None:
        return None
    try:
        low, mid, high = (float(part) for part in text.split(","))
    except ValueError:
        raise CommandError(f"--growth {text!r}: expected LOW,MID,HIGH such as 1.1,1.3,1.8") from None
    return Growth(low, mid, high)
