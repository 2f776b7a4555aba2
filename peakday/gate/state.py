"""One check under way: what was asked, what is compared, and what was found so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peakday.config import load_config
from peakday.consent import Consent
from peakday.console import Console
from peakday.gate import baseline as baselines
from peakday.gate.builds.builds import Build, here_identity
from peakday.gate.fingerprint import workload_hash
from peakday.gate.settings import Checks
from peakday.gate.verdicts import Line, Outcome
from peakday.guard import admit_unpaid
from peakday.stack.resolved import Resolved, resolve


@dataclass(frozen=True)
class CheckRequest:
    """What the command line said."""

    scenario: str
    sets: tuple[str, ...] = ()
    against: str | None = None
    target: str | None = None
    accept: bool = False
    only: tuple[str, ...] = ("exact", "slo", "regression")
    seed: int | None = None
    consent: Consent = field(default_factory=Consent)


@dataclass
class Check:
    """One check under way."""

    request: CheckRequest
    checks: Checks
    resolved: Resolved
    candidate: Build
    store: baselines.Store
    console: Console
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    moments: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def workload(self) -> str:
        """Names what customers do in this check."""
        return workload_hash(self.resolved.scenario, self.resolved.seed)

    def outcome(self) -> Outcome:
        """Everything found."""
        return Outcome(
            self.resolved.scenario.name, tuple(self.lines), tuple(self.notes), tuple(self.moments), dict(self.facts)
        )


def prepare(request: CheckRequest, checks: Checks, console: Console) -> Check:
    """A check that has started nothing yet.

    Raises:
        CommandError: a target that is not owned, or baselines in S3 without consent.
        ScenarioError: no such scenario.
    """
    resolved = resolve(request.scenario, request.sets, request.seed)
    store = baselines.open_store(checks.baselines, request.consent, console)
    return Check(request, checks, resolved, _candidate(request, checks), store, console)


def _candidate(request: CheckRequest, checks: Checks) -> Build:
    if request.target is not None:
        return address(request.target, "candidate")
    return Build(
        "candidate", here_identity(), folder=Path.cwd(), scenario=request.scenario, sets=request.sets,
        sut=checks.sut, seed=request.seed,
    )  # fmt: skip


def address(text: str, label: str) -> Build:
    """A system that is up already, by URL or KIND=URL.

    Raises:
        CommandError: a target that is not owned, or whose answers cost money.
    """
    named = text if "=" in text.partition("://")[0] else f"assistant={text}"
    config = load_config()
    admit_unpaid([named], config, "check")
    return Build(label, named, targets=(named,))
