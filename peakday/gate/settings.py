"""checks.yaml: what is gated, how hard, and how a system of your own is built and started. All of it has defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from facts.tokens import TOKEN_CLASSES
from host.checked import check
from host.yaml_text import read_yaml
from peakday.config import CHECKS_FILE
from peakday.errors import CommandError
from slo.slo import parse_slo

SCHEMA = "peakday.checks/1"
MARGINS = {"ttft_s_p50": 0.10, "tpot_s_p50": 0.10, "goodput_per_s": 0.05}
"""Metric -> how much worse is too much. Three by default: every further one costs power to the others (Holm)."""

Share = Annotated[float, Field(gt=0, lt=1)]


class Part(BaseModel):
    """Every key is known, or it is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Runs(Part):
    """The load of one run. Rate None: the scenario's own, over the first `for_s` of the event."""

    rate_per_s: Annotated[float, Field(gt=0)] | None = None
    for_s: Annotated[float, Field(gt=0)] = 10.0
    slo_runs: Annotated[int, Field(ge=1)] = 3
    processes: Annotated[int, Field(ge=1)] = 1
    invalid_max: Annotated[int, Field(ge=0)] = 3
    """Runs repeated because they were INVALID, over the whole check; then exit 3."""


class Regression(Part):
    """The gate against another build."""

    metrics: dict[str, Share] = MARGINS
    alpha: Share = 0.05
    looks: tuple[Annotated[int, Field(ge=2)], ...] = (4, 8, 12)


VARYING = (*TOKEN_CLASSES, "cache_hit_token_ratio", "cost_usd")
"""Figures that may be given a margin: those that a model's own choice of words moves."""


class SnapshotGate(Part):
    """The snapshot checks. `margins`: figures that differ from drive to drive by nature -> by what share they may."""

    margins: dict[str, Share] = {}


class Sut(Part):
    """A system of your own: commands run in its checkout, with {port} a free port and {dir} the checkout.

    target: KIND=URL of `peakday run`, such as assistant=http://127.0.0.1:{port} or http={dir}/mapping.yaml.
    """

    start: str
    ready: str
    target: str = "assistant=http://127.0.0.1:{port}"
    build: str | None = None
    build_within_s: Annotated[float, Field(gt=0)] = 300.0
    ready_within_s: Annotated[float, Field(gt=0)] = 60.0
    unpaid: bool = False
    """Nobody is charged for its answers, by your word; an assistant that does not say so itself counts as paid."""


class Checks(Part):
    """The parsed file."""

    schema_: str = Field(default=SCHEMA, alias="schema")
    slo: tuple[str, ...] = ()
    runs: Runs = Runs()
    regression: Regression = Regression()
    baselines: str = "baselines"
    plan: bool = True
    """Whether the snapshot checks hold chips and cost of a plan too."""
    snapshot: SnapshotGate = SnapshotGate()
    questions: str | None = None
    """A file of your own questions, asked of a system of your own: the snapshot's script, and what load runs ask."""
    sut: Sut | None = None


def _refuse_above() -> None:
    """Raises `CommandError` where the checkout that we stand in has its checks.yaml further up."""
    for folder in [Path.cwd(), *Path.cwd().parents]:
        if (folder / CHECKS_FILE).is_file():
            raise CommandError(
                f"{CHECKS_FILE} lies in {folder}, not here: run the command there, or name it with --checks"
            )
        if (folder / ".git").exists():
            return


def load_checks(path: Path | None) -> Checks:
    """The file named, else checks.yaml here, else the defaults.

    Raises:
        CommandError: missing though named, or wrong; the message names file, key and reason.
    """
    file = path or Path(CHECKS_FILE)
    if path is None and not file.is_file():
        _refuse_above()
        return Checks()
    checks = check(Checks, read_yaml(file, error=CommandError), str(file), error=CommandError)
    if checks.schema_ != SCHEMA:
        raise CommandError(f"{file}: schema is {checks.schema_!r}, this peakday reads {SCHEMA!r}")
    unknown = sorted(set(checks.snapshot.margins) - set(VARYING))
    if unknown:
        raise CommandError(f"{file}: snapshot.margins: {unknown[0]!r}: only these may have one: {', '.join(VARYING)}")
    for text in checks.slo:
        parse_slo(text, str(file))
    if list(checks.regression.looks) != sorted(set(checks.regression.looks)):
        raise CommandError(f"{file}: regression.looks must rise, such as [4, 8, 12]")
    return checks
