"""Quotas that an event needs beside what the account holds and what was requested; and the ramp of each model."""

from __future__ import annotations

from dataclasses import dataclass

from capacity.rows.fleet import SupplyPlan
from capacity.rows.needs import QuotaNeed
from facts import ramp
from peakday.ready.event import QuotaRequest
from peakday.ready.evidence import Evidence

MINUTE_S = 60.0
PUBLISHED = "read your account's"
"""Words of a quota's source where it is a published default, which is no grant of this account."""


@dataclass(frozen=True)
class QuotaRow:
    """One quota: what the service level needs, what is granted to this account (None: not known), and the paperwork."""

    model: str
    region: str
    kind: str
    needed: float
    granted: float | None
    source: str
    request: QuotaRequest | None

    @property
    def words(self) -> str:
        """`claude-sonnet rpm in us-east-1: 301 needed, 200 granted`."""
        granted = "no grant known" if self.granted is None else f"{self.granted:,.0f} granted"
        return f"{self.model} {self.kind} in {self.region}: {self.needed:,.0f} needed, {granted}"


def requests(evidence: Evidence) -> list[QuotaRow]:
    """Every quota of the plan, with what a person wrote of it in the event file."""
    if evidence.plan is None:
        return []
    rows = [(supply, need) for supply in evidence.plan.supplies for need in supply.quotas if not need.in_doubt]
    return [_row(supply, need, evidence) for supply, need in rows]


def _row(supply: SupplyPlan, need: QuotaNeed, evidence: Evidence) -> QuotaRow:
    wanted = (supply.model, supply.region, need.kind)
    written = next((row for row in evidence.event.file.quotas if (row.model, row.region, row.kind) == wanted), None)
    if written is not None and written.granted is not None:
        granted: float | None = written.granted
        source = f"event file{f', {written.granted_on}' if written.granted_on else ''}"
    else:
        granted, source = (None if PUBLISHED in need.source else need.granted), need.source
    return QuotaRow(supply.model, supply.region, need.kind, need.ask, granted, source, written)


@dataclass(frozen=True)
class RampRow:
    """The ramp of one Bedrock model in one region, calls a minute. hold_count None: where it begins is not known."""

    model: str
    region: str
    from_per_min: float | None
    to_per_min: float

    @property
    def hold_count(self) -> int | None:
        """Holds of 15 minutes before the peak is served, if no further 503 comes."""
        return None if self.from_per_min is None else ramp.holds(self.from_per_min, self.to_per_min)

    @property
    def hours(self) -> float | None:
        """Their length."""
        return None if self.hold_count is None else self.hold_count * ramp.HOLD_S / 3600


def ramps(evidence: Evidence) -> list[RampRow]:
    """A row for each Bedrock model in each region of the plan."""
    if evidence.plan is None:
        return []
    begins = evidence.event.file.ramp_from_per_min
    return [
        RampRow(supply.model, supply.region, begins.get(supply.model), supply.calls_per_s.at_level * MINUTE_S)
        for supply in evidence.plan.supplies
        if supply.supply == "bedrock" and supply.calls_per_s.at_level > 0
    ]
