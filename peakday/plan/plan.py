"""A plan from a scenario and the newest records that fit it: choosing inputs, and writing the folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from capacity.calibration.backtest import backtest, coverage_interval
from capacity.fleet.bookable import supply_findings
from capacity.fleet.findings import refuse_order
from capacity.plan import Plan, load_plan, write_plan
from capacity.planner import make_plan
from dashboards.focus.actuals import beside
from dashboards.order.page import write_order
from dashboards.order.sheet import Occasion, write_order_sheet
from dashboards.report import write_report
from dashboards.workbook.book import write_xlsx
from facts.account import Held, Usage, read_quotas, read_usage
from facts.reader import Quality, models, quality
from host.atomic import folder_aside
from host.environment import peakday_version
from loadgen.record import Run, load_run, read_info
from loadgen.run_info import RecordError
from neuron_bench.errors import BenchUsageError
from neuron_bench.fit.bench import measured_engine, step_model
from neuron_bench.fit.published import step_models
from neuron_bench.record import Bench, load_bench
from neuron_bench.step_model import StepModel, read_step_model
from peakday.account.pull import newest
from peakday.config import load_config, quality_file
from peakday.console import Console
from peakday.errors import CommandError
from peakday.plan.order import order_occasion
from peakday.plan.prices import own_prices, with_prices
from peakday.records.folders import find_record, new_folder, records
from scenarios.schema import Scenario

NO_RUN = "none"
"""What --run takes in place of a record."""


@dataclass(frozen=True)
class Sources:
    """Where a plan's inputs come from, as asked; None and empty mean the newest that fit, else published figures."""

    run: str | None = None
    benches: tuple[str, ...] = ()
    step_models: tuple[Path, ...] = ()
    for_order: bool = False
    usage: Path | None = None
    quotas: Path | None = None
    prices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Basis:
    """Everything a plan is made of beside its scenario: records, step models, prices, and what an account holds."""

    run: Run | None
    benches: Sequence[Bench]
    step_models: Sequence[StepModel]
    prices: Mapping[str, object]
    usage: Usage | None
    held: Held | None
    qualities: Sequence[Quality] | None


def basis_of(scenario_hash: str, sources: Sources, console: Console) -> Basis:
    """Read what the sources name, else what is newest in this folder and fits.

    Raises:
        CommandError: a source that is not there.
    """
    config = load_config()
    scored = quality_file(config)
    usage = read_usage(sources.usage) if sources.usage else None
    run = choose_run(scenario_hash, sources.run, console) if usage is None or sources.run else None
    held = held_quotas(sources.quotas, console)
    step_models = choose_step_models(sources.step_models, sources.benches, console)
    return Basis(
        run=run,
        benches=choose_benches(sources.benches, step_models),
        step_models=step_models,
        prices=with_prices(own_prices(config.prices), sources.prices),
        usage=usage,
        held=held,
        qualities=quality(scored) if scored else None,
    )


def plan_of(scenario: Scenario, scenario_hash: str, basis: Basis, *, seed: int, now_utc: str, plan_id: str) -> Plan:
    """The plan, and nothing written: the same scenario, basis and seed give the same figures."""
    plan = make_plan(
        scenario,
        scenario_hash=scenario_hash,
        run=basis.run,
        benches=basis.benches,
        step_models=basis.step_models,
        prices=basis.prices,
        seed=seed,
        now_utc=now_utc,
        version=peakday_version(),
        plan_id=plan_id,
        usage=basis.usage,
        held=basis.held,
        quality_rows=basis.qualities,
    )
    return replace(plan, warnings=(*plan.warnings, *supply_findings(plan)))


def plan_scenario(
    scenario: Scenario, scenario_hash: str, sources: Sources, *, out: Path | None, seed: int, console: Console
) -> tuple[Plan, Path]:
    """Make a plan and write its folder: plan.json, plan.xlsx, report.html; complete or not at all."""
    now = datetime.now(UTC)
    folder = out or new_folder("plans", scenario.name, now)
    if folder.exists():
        raise CommandError(f"{folder}: already here; choose another --out")
    basis = basis_of(scenario_hash, sources, console)
    now_utc = now.isoformat(timespec="seconds")
    plan = plan_of(scenario, scenario_hash, basis, seed=seed, now_utc=now_utc, plan_id=folder.name)
    occasion = None
    if sources.for_order:
        refuse_order(plan)
        occasion = order_occasion(scenario, basis.run, basis.usage, basis.held)
    write_plan_folder(folder, plan, basis.run, occasion)
    return plan, folder


def with_actuals(plan: Plan, bill: Path, text: str, data: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """A plan's text and data with a bill beside it.

    Raises:
        ActualsError: no FOCUS file, or one that cannot be read.
    """
    actuals = beside(plan, bill)
    return "\n".join([text, "", *actuals.lines()]), {**data, "actuals": actuals.as_json()}


def write_plan_folder(folder: Path, plan: Plan, run: Run | None, occasion: Occasion | None) -> None:
    """Every file of a plan, put in place by one rename; the order's two where there is an occasion to order for."""
    with folder_aside(folder) as aside:
        write_plan(plan, aside)
        write_xlsx(plan, aside / "plan.xlsx")
        if occasion is not None:
            write_order(plan, aside / "order.html", occasion)
            write_order_sheet(plan, aside / "order.csv", occasion)
        write_report(aside / "report.html", run=run, plan=plan, bench=None)


def held_quotas(wanted: Path | None, console: Console) -> Held | None:
    """The account's quotas: the file asked for, else the newest that `aws pull` left here; None when there is none."""
    path = wanted or newest("quotas.yaml")
    if path is None:
        return None
    if wanted is None:
        console.say(f"quotas held from {path}, the newest pull here")
    return read_quotas(path)


def choose_run(scenario_hash: str, wanted: str | None, console: Console) -> Run | None:
    """The run asked for, or the newest valid and finished one of this very scenario; None when there is none.

    `none` asks for no run: tokens and routes are then the scenario's assumptions.
    """
    if wanted == NO_RUN:
        return None
    if wanted is not None:
        return load_run(find_record("runs", wanted))
    path = newest_run(scenario_hash)
    if path is not None:
        console.say(f"tokens and routes from run {path.name}, the newest valid one of this scenario")
        return load_run(path)
    console.say("no valid run of this scenario here: tokens and routes are the scenario's assumptions")
    return None


def newest_run(scenario_hash: str, base: Path | None = None) -> Path | None:
    """The newest valid and finished run of a scenario in the folder; None when there is none."""
    for path in records("runs", base):
        try:
            info = read_info(path)
        except RecordError:
            continue
        if info.scenario is not None and info.scenario.hash == scenario_hash and info.valid:
            return path
    return None


def choose_benches(wanted: Sequence[str], step_models: Sequence[StepModel]) -> list[Bench]:
    """The bench records asked for, or those here that a step model was fitted from, newest first."""
    if wanted:
        return [load_bench(find_record("benches", name)) for name in wanted]
    used = {name for model in step_models for name in model.inputs}
    return [load_bench(path) for path in records("benches") if path.name in used]


def choose_step_models(files: Sequence[Path], benches: Sequence[str], console: Console) -> list[StepModel]:
    """The step models of these files and benches, and for every other chip those derived from published figures.

    A bench that gives none says why in one line.
    """
    own = [read_step_model(path) for path in files]
    for name in benches:
        bench = load_bench(find_record("benches", name))
        try:
            own.append(step_model(bench, measured_engine(bench)))
            known = "" if len(same_model(own[-1].model_id)) > 1 else ", which no plan knows by that name"
            console.say(f"step times of {own[-1].model_id}{known} on {own[-1].chip} from bench {bench.bench_id}")
        except BenchUsageError as error:
            console.say(f"bench gives no step times, only start-up times: {error}")
    taken = {(name, model.chip) for model in own for name in same_model(model.model_id)}
    published = [model for model in step_models().values() if (model.model_id, model.chip) not in taken]
    if published and not own:
        console.say(
            "step times derived from published load tests; `peakday calibrate` makes them from your own measurements"
        )
    return [*own, *published]


def names_of(key: str) -> frozenset[str]:
    """Every name of a model of facts: its key, its id, and what benches call it."""
    model = models()[key]
    return frozenset({key, model.model_id, *model.bench_model_ids})


def same_model(model_id: str) -> frozenset[str]:
    """Every name of the model that has one of them."""
    return next((names for names in map(names_of, models()) if model_id in names), frozenset({model_id}))


def score(plan_name: str, run_name: str) -> tuple[str, dict[str, object]]:
    """A plan's figures beside what a later run measured, the worst first."""
    scored = backtest(load_plan(find_record("plans", plan_name)), load_run(find_record("runs", run_name)))
    inside, of = scored.coverage
    lines = [
        f"{s.name:<44} predicted {s.predicted.mid:.4g} ({s.predicted.low:.4g} to {s.predicted.high:.4g})"
        f"  measured {s.measured:.4g} {s.unit}{'' if s.inside else '  OUTSIDE its range'}"
        for s in scored.scores
    ]
    data = {"inside": inside, "of": of, "scores": [{**asdict(s), "error_ratio": s.error_ratio} for s in scored.scores]}
    return "\n".join([*lines, str(coverage_interval(inside, of)) if of else "nothing in common to compare"]), data
