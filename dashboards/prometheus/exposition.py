"""A record's numbers for Prometheus: a finished run as exposition text, a plan as recording rules of constants.

A plan becomes rules because rules need no process to scrape: Prometheus itself then holds what was planned, and a
dashboard can set live rates against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import yaml
from prometheus_client.core import Metric

from capacity.plan import Plan
from dashboards.numbers.plan import plan_numbers
from dashboards.numbers.run import Number, run_numbers
from loadgen.record import Run
from wire.exposition import exposed
from wire.text import Untrusted


def run_exposition(run: Run) -> str:
    """`peakday_run_NAME{run_id,scenario,simulated,…}` for every number, and `peakday_run_valid`, 1 or 0.

    A p99 that too few samples carry is left out, as everywhere.
    """
    return exposed(run_families(run)).decode("utf-8")


def run_families(run: Run) -> Iterator[Metric]:
    """A finished run's numbers as gauges, one family per name: `peakday_run_valid`, then in the order of the report."""
    about = {"run_id": run.run_id, "scenario": run.info.scenario_name}
    validity = Metric("peakday_run_valid", "1 when the generator kept its own schedule.", "gauge")
    validity.add_sample(validity.name, _labels(about), float(run.info.valid))
    yield validity
    families: dict[str, Metric] = {}
    for number in _printed(run_numbers(run)):
        name = f"peakday_run_{number.name}"
        if name not in families:
            families[name] = Metric(name, f"{number.label.split(',')[0]}, unit {number.unit}.", "gauge")
        families[name].add_sample(name, _labels(about | _marks(number)), number.value or 0.0)
    yield from families.values()


def plan_rules(plan: Plan) -> str:
    """A Prometheus rule file that records `peakday_plan_NAME{plan_id,simulated,…}` as constants."""
    about = {"plan_id": plan.plan_id, "scenario": plan.scenario.name}
    rules = [
        {
            "record": f"peakday_plan_{number.name}",
            "expr": f"vector({number.value!r})",
            "labels": _labels(about | _marks(number)),
        }
        for number in _printed(plan_numbers(plan))
    ]
    head = (
        f"# What plan {Untrusted(plan.plan_id).line} planned, as constants. Written by `peakday export prometheus`.\n"
    )
    text: str = yaml.safe_dump({"groups": [{"name": "peakday_plan", "rules": rules}]}, sort_keys=False, width=200)
    return head + text


def _printed(numbers: Iterable[Number]) -> list[Number]:
    return [number for number in numbers if number.value is not None and not number.hidden]


def _marks(number: Number) -> dict[str, str]:
    return {"simulated": str(number.simulated).lower(), **dict(number.labels)}


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: Untrusted(str(value)).label for name, value in labels.items()}
