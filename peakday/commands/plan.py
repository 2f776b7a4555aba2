"""`plan`: chips, quotas, hit rates and cost of a scenario."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from peakday.console import Console
from peakday.options import Details, Json, Out, Quiet, ScenarioArgument, Seed, Sets

READ_ON = (
    "read on: report.html has all of it, `peakday why latest NAME` the chain of a number; --details prints more here"
)


class _PlanVerbs(typer.core.TyperGroup):
    """`peakday plan SCENARIO` is short for `peakday plan for SCENARIO`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the verb in where a scenario stands in its place."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["for", *args]
        return super().parse_args(ctx, args)


_HELP = "Plan chips, quotas, hit rates and cost. `plan SCENARIO` is short for `plan for SCENARIO`."
verbs = typer.Typer(cls=_PlanVerbs, help=_HELP, no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.add_typer(verbs, name="plan")


@verbs.command("for", epilog="Example: peakday plan for prime_day")
def plan(
    context: typer.Context,
    scenario: ScenarioArgument,
    sets: Sets = None,
    run: Annotated[
        str | None, typer.Option(help="Run record that measured tokens and routes: ID, path, latest, or none.")
    ] = None,
    bench: Annotated[list[str] | None, typer.Option(help="Bench record: ID, path or latest; repeatable.")] = None,
    step_model: Annotated[list[Path] | None, typer.Option(help="Step model file; repeatable.")] = None,
    for_order: Annotated[
        bool,
        typer.Option(
            "--for-order", help="Write order.html and order.csv too; refused where a simulated input touched the plan."
        ),
    ] = False,
    usage: Annotated[
        Path | None, typer.Option(help="usage.csv of the account: measured tokens per call where no run is given.")
    ] = None,
    quotas: Annotated[
        Path | None, typer.Option(help="quotas.yaml of the account; the newest pull here if left out.")
    ] = None,
    details: Details = False,
    price: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=USD",
            help="A price laid over yours, such as instances.trn1.32xlarge.usd_per_hour=18; repeatable.",
        ),
    ] = None,
    actuals: Annotated[
        Path | None, typer.Option(help="The bill as a FOCUS CSV: what was billed stands beside what is planned.")
    ] = None,
    quality_floor: Annotated[
        float | None,
        typer.Option(help="Find the cheapest routes and models with this share of acceptable turns, such as 0.88."),
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="Your own models, laid over the list: entries as those of models.yaml.")
    ] = None,
    out: Out = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn a scenario, its records and prices into chips, quotas, hit rates and cost."""
    from dashboards.focus.actuals import check_bill
    from dashboards.terminal import plan_answer, plan_summary
    from facts.own_models import own_models
    from peakday.plan.plan import Sources, plan_scenario, with_actuals
    from scenarios.loading import load_scenario, scenario_hash

    context.with_resource(own_models(models))
    if actuals is not None:
        check_bill(actuals)
    floor = [] if quality_floor is None else [f"capacity.quality_floor={quality_floor}"]
    parsed = load_scenario(scenario, [*(sets or []), *floor])
    sources = Sources(run, tuple(bench or ()), tuple(step_model or ()), for_order, usage, quotas, tuple(price or ()))
    made, folder = plan_scenario(
        parsed,
        scenario_hash(parsed),
        sources,
        out=out,
        seed=parsed.seed if seed is None else seed,
        console=Console(as_json, quiet),
    )
    text, data = (plan_summary if details else plan_answer)(made), asdict(made)
    if actuals is not None:
        text, data = with_actuals(made, actuals, text, data)
    files = "plan.json, plan.xlsx, report.html" + (", order.html, order.csv" if for_order else "")
    Console(as_json).result(f"{text}\n\n{READ_ON}\n{folder}/{files}", data)


@verbs.command(epilog="Example: peakday plan predict my-8b.step-model.json --arrivals step-4.csv")
def predict(
    step_model: Annotated[Path, typer.Argument(metavar="STEP_MODEL", help="A step model with a hold-out table.")],
    arrivals: Annotated[Path, typer.Option(help="The CSV that the run will replay: times, prompt and answer tokens.")],
    out: Out = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Write down what a run will measure on one replica, before it is made."""
    from peakday.plan.prediction import predict_run

    Console(as_json).result(*predict_run(step_model, arrivals, out, seed=1 if seed is None else seed))


@verbs.command(epilog="Example: peakday plan backtest latest~1 latest")
def backtest(
    plan: Annotated[
        str, typer.Argument(metavar="PLAN", help="A plan (ID, path or latest), or a file NAME.prediction.json.")
    ],
    run: Annotated[str, typer.Argument(metavar="RUN", help="A later run: ID, path or latest.")],
    model: Annotated[str | None, typer.Option(help="For a prediction: whose calls are judged.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write it as a page here.")] = None,
    as_json: Json = False,
) -> None:
    """Score an old plan or prediction against a later run; one younger than the run is refused."""
    from peakday.plan.backtest import write_backtest
    from peakday.plan.plan import score
    from peakday.plan.prediction import SUFFIX, score_run

    prediction = Path(plan)
    text, data = score_run(prediction, run, model) if plan.endswith(SUFFIX) else score(plan, run)
    if html is not None:
        write_backtest(f"Backtest of {plan} by {run}", text, data, html)
    Console(as_json).result(text, data)


@verbs.command(epilog="Example: peakday plan estimate examples/estimates/nova-pro-flex.yaml")
def estimate(
    workload: Annotated[Path, typer.Argument(metavar="FILE", help="A workload: prompt, tools, sessions, prices.")],
    as_json: Json = False,
) -> None:
    """Count a workload by hand: every token once, its cost with and without a cache, its peak minute."""
    from peakday.plan.by_hand import estimate_file

    Console(as_json).result(*estimate_file(workload))


@verbs.command(epilog="Example: peakday plan slots log.csv --service 0.2,0.0001,0.02 --wait 0.5s")
def slots(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="A log with the time of each call, and its tokens.")],
    service: Annotated[str, typer.Option(help="Seconds of a call as a,b,c: a + b x input + c x output tokens.")],
    wait: Annotated[str, typer.Option(help="The longest wait for a slot, such as 0.5s.")],
    percentile: Annotated[float, typer.Option(help="Share of calls that wait no longer.")] = 0.99,
    as_json: Json = False,
) -> None:
    """Fewest slots that keep a wait SLO over a replayed log, first come first served, exactly."""
    from peakday.plan.by_hand import coefficients_of, slots_of_log
    from peakday.quantities import duration_s

    Console(as_json).result(*slots_of_log(log, coefficients_of(service), duration_s(wait, "--wait"), percentile))
