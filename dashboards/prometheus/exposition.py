"""A record's numbers for Prometheus: a finished run as exposition text, a plan as recording rules of constants.

A plan becomes rules because rules need no process to scrape: Prometheus itself then holds what was planned, and a
dashboard can set live rates against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import yaml

from capacity.plan import Plan
from dashboards.numbers.plan import plan_numbers
from dashboards.numbers.run import Number, run_numbers
from loadgen.record import Run


def run_exposition(run: Run) -> str:
    """`peakday_run_NAME{run_id,scenario,simulated,…}` for every number, and `peakday_run_valid`, 1 or 0.

    A p99 that too few samples carry is left out, as everywhere.
    """
    verdict = run.info.get("verdict") or {}
    valid = run.info.get("state") == "finished" and bool(verdict.get("valid"))
    about = {"run_id": run.run_id, "scenario": str((run.info.get("scenario") or {}).get("name", ""))}
    lines = [
        "# HELP peakday_run_valid 1 when the generator vouches for the run.",
        "# TYPE peakday_run_valid gauge",
        f"peakday_run_valid{_labels(about)} {int(valid)}",
    ]
    seen = set()
    for number in _printed(run_numbers(run)):
        name = f"peakday_run_{number.name}"
        if name not in seen:
            seen.add(name)
            lines += [f"# HELP {name} {number.label.split(',')[0]}, unit {number.unit}.", f"# TYPE {name} gauge"]
        labels = about | {"simulated": str(number.simulated).lower()} | dict(number.labels)
        lines.append(f"{name}{_labels(labels)} {number.value!r}")
    return "\n".join(_grouped(lines)) + "\n"


def plan_rules(plan: Plan) -> str:
    """A Prometheus rule file that records `peakday_plan_NAME{plan_id,simulated,…}` as constants."""
    about = {"plan_id": plan.plan_id, "scenario": str(plan.scenario.get("name", ""))}
    rules = [
        {
            "record": f"peakday_plan_{number.name}",
            "expr": f"vector({number.value!r})",
            "labels": about | {"simulated": str(number.simulated).lower()} | dict(number.labels),
        }
        for number in _printed(plan_numbers(plan))
    ]
    head = f"# What plan {plan.plan_id} planned, as constants. Written by `peakday export prometheus`.\n"
    text: str = yaml.safe_dump({"groups": [{"name": "peakday_plan", "rules": rules}]}, sort_keys=False, width=200)
    return head + text


def _printed(numbers: Iterable[Number]) -> list[Number]:
    return [number for number in numbers if number.value is not None and not number.hidden]


def _grouped(lines: list[str]) -> list[str]:
    """Samples of one metric together, under its own HELP and TYPE, as the format wants."""
    groups: dict[str, list[str]] = {}
    for line in lines:
        name = line.split()[2] if line.startswith("#") else line.split("{")[0]
        groups.setdefault(name, []).append(line)
    return [line for group in groups.values() for line in group]


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
