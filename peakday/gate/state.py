"""One check under way: what was asked, what is compared, and what was found so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from peakday.config import load_config
from peakday.consent import Consent
from peakday.console import Console
from peakday.errors import CommandError
from peakday.gate.baselines.store import Store, open_store
from peakday.gate.builds.builds import Build, here_identity
from peakday.gate.fingerprint import workload_hash
from peakday.gate.settings import Checks
from peakday.gate.verdicts import Line, Moment, Outcome
from peakday.guard import admit_unpaid
from peakday.stack.resolved import Resolved, resolve
from scenarios.questions import Entry, read_questions


@dataclass(frozen=True)
class CheckRequest:
    """What the command line said."""

    scenario: str
    sets: tuple[str, ...] = ()
    against: str | None = None
    target: str | None = None
    model: str | None = None
    accept: bool = False
    only: tuple[str, ...] = ("exact", "slo", "regression")
    seed: int | None = None
    consent: Consent = field(default_factory=Consent)


@dataclass
class Check:
    """One check under way. `script`: the user's own questions, where a system of the user's own is asked."""

    request: CheckRequest
    checks: Checks
    resolved: Resolved
    candidate: Build
    store: Store
    console: Console
    script: tuple[Entry, ...] = ()
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def workload(self) -> str:
        """Names what customers do in this check, and what they ask where that is the user's own."""
        return workload_hash(self.resolved.scenario, self.resolved.seed, self.script)

    def outcome(self) -> Outcome:
        """Everything found."""
        return Outcome(
            self.resolved.scenario.name, tuple(self.lines), tuple(self.notes), tuple(self.moments), dict(self.facts)
        )


def prepare(request: CheckRequest, checks: Checks, console: Console) -> Check:
    """A check that has started nothing yet.

    Raises:
        CommandError: a target that is not owned, questions without a system to ask, or baselines in S3 without consent.
        ScenarioError: no such scenario, or a file of questions that cannot be read.
    """
    resolved = resolve(request.scenario, request.sets, request.seed)
    store = open_store(checks.baselines, request.consent, console)
    candidate = _candidate(request, checks)
    if not candidate.is_own and (checks.questions or request.model):
        what = "questions" if checks.questions else "--model"
        raise CommandError(f"{what}: is for a system of your own; add sut to checks.yaml, or --target KIND=URL")
    script = tuple(read_questions(Path(checks.questions))) if checks.questions else ()
    if any(entry.images for entry in script):
        raise CommandError(f"questions: {checks.questions} has pictures, which a check does not send; leave them out")
    return Check(request, checks, resolved, candidate, store, console, script)


def _candidate(request: CheckRequest, checks: Checks) -> Build:
    if request.target is not None:
        return address(request.target, "candidate", request.model, checks.questions)
    return Build(
        "candidate", here_identity(), folder=Path.cwd(), scenario=request.scenario, sets=request.sets,
        sut=checks.sut, seed=request.seed, model=request.model, questions=_path(checks.questions),
    )  # fmt: skip


def address(
    text: str, label: str, model: str | None = None, questions: str | None = None, option: str = "--target"
) -> Build:
    """A system that is up already, by URL or KIND=URL, as `option` names it.

    Raises:
        CommandError: a target that is not owned, or whose answers cost money.
    """
    named = text if "=" in text.partition("://")[0] else f"assistant={text}"
    config = load_config()
    admit_unpaid([named], config, "check", option)
    return Build(label, named, targets=(named,), model=model, questions=_path(questions))


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
