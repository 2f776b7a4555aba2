"""The document as one page of values: HTML, Markdown and DOCX are written from it, so they cannot disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dashboards.html.page import Banner, Bullets, Page, Panel, Paragraph, Part, Prose, Table
from dashboards.html.plan.fallback_chain import beyond_panels
from dashboards.numbers.units import show
from dashboards.numbers.warnings import by_weight
from peakday.ready.calendar import calendar_table
from peakday.ready.criteria import Finding, Result
from peakday.ready.event import Event
from peakday.ready.evidence import Evidence
from peakday.ready.faults import FaultTried, command_for
from peakday.ready.headroom import headroom_rows
from peakday.ready.people import contact_rows, switch_rows
from peakday.ready.quotas import ramps, requests

MARKS = {Result.PASS: "pass", Result.FAIL: "FAIL", Result.NOT_MEASURED: "not measured"}
BLANK = ""
SIGNATURE = "Name ____________________    Signature ____________________    Date ____________________"


@dataclass(frozen=True)
class Ready:
    """Everything that goes into the document."""

    evidence: Evidence
    findings: tuple[Finding, ...]
    faults: tuple[FaultTried, ...]

    @property
    def result(self) -> Result:
        """Of all criteria together: the gravest."""
        present = {finding.result for finding in self.findings}
        return next(
            one for one in (Result.FAIL, Result.NOT_MEASURED, Result.PASS) if one in present or one == Result.PASS
        )


def page_of(ready: Ready) -> Page:
    """The whole document."""
    event, plan = ready.evidence.event, ready.evidence.plan
    return Page(
        title=f"Readiness of {event.title}",
        subtitle=f"peakday · ready · {event.scenario.name}",
        banners=_banners(ready),
        headline=[],
        parts=[
            Part("criteria", "Criteria", _criteria(ready), lead=[Paragraph(WORDS, quiet=True)]),
            Part("faults", "Failure matrix", [_faults(ready)]),
            Part("quotas", "Quotas", [_quotas(ready.evidence), *_ramps(ready.evidence)]),
            Part("purchases", "Purchases", [_purchases(ready.evidence)]),
            Part("headroom", "Headroom", [_headroom(ready.evidence)], lead=_first_limit(ready.evidence)),
            *([Part("beyond", "Beyond the peak", beyond_panels(plan))] if plan and beyond_panels(plan) else []),
            Part("switches", "Rollback switches", [_switches(ready.evidence)]),
            Part("contacts", "Contacts", [_contacts(ready.evidence)]),
            Part("risks", "Open risks", [_risks(ready)]),
            Part("calendar", "Calendar", [_calendar(ready.evidence)]),
            Part("sources", "Where the criteria come from", lead=[Bullets(_sources(ready.evidence))]),
            Part("signatures", "Signatures", lead=[Paragraph(SIGNATURE), Paragraph(SIGNATURE), Paragraph(SIGNATURE)]),
        ],
        facts=_facts(ready.evidence),
        command="peakday ready EVENT.yaml",
    )


def sentence(ready: Ready) -> str:
    """What it comes to, in one line."""
    counts = Counter(finding.result for finding in ready.findings)
    counted = ", ".join(f"{counts[result]} {result.value}" for result in Result)
    word = {Result.PASS: "READY", Result.FAIL: "NOT READY", Result.NOT_MEASURED: "NOT MEASURED"}[ready.result]
    return f"{word}: of {len(ready.findings)} criteria {counted}"


# --- head --------------------------------------------------------------------------------------------------------


def _banners(ready: Ready) -> list[Banner]:
    kind = {Result.PASS: "good", Result.FAIL: "bad", Result.NOT_MEASURED: "warn"}[ready.result]
    word, _, words = sentence(ready).partition(": ")
    banners = [Banner(kind, word, words, _decisive(ready))]
    if ready.evidence.event.dress_rehearsal:
        text = "Simulated evidence counts here (evidence: simulated). It measures no real model: nobody signs it."
        banners.append(Banner("warn", "DRESS REHEARSAL, SIMULATED", text))
    return banners


def _decisive(ready: Ready) -> list[str]:
    """At most three criteria that stand in the way, fails first."""
    order = [Result.FAIL, Result.NOT_MEASURED]
    open_ones = sorted((f for f in ready.findings if f.result in order), key=lambda f: order.index(f.result))
    rest = len(open_ones) - 3
    shown = [f"{finding.criterion.title}: {finding.words}" for finding in open_ones[:3]]
    return [*shown, *([f"and {rest} more under Criteria"] if rest > 0 else [])]


def _facts(evidence: Evidence) -> list[tuple[str, str]]:
    event, plan = evidence.event, evidence.plan
    return [
        ("Scenario", f"{event.scenario.name} ({event.scenario_hash[:12]})"),
        ("Event file", str(event.path) if event.path else "none: what people say is blank"),
        ("First hour", event.file.starts.isoformat() if event.file.starts else "not written down"),
        ("Plan", plan.plan_id if plan else "none"),
        ("Runs that count", str(len(evidence.runs) + len(evidence.faulty))),
        ("Written", evidence.now.isoformat(timespec="minutes")),
    ]


# --- parts -------------------------------------------------------------------------------------------------------


WORDS = "A criterion passes or fails by a record or by a person's word, or it is not measured. Absence passes nothing."


def _criteria(ready: Ready) -> list[Panel]:
    """The scenario's SLOs, what records show, what only people can say: each on one screen."""
    groups: dict[str, list[Finding]] = {"SLOs of the scenario": [], "Shown by records": [], "Answered by people": []}
    for finding in ready.findings:
        names = {"slo": "SLOs of the scenario", "person": "Answered by people"}
        groups[names.get(finding.criterion.measure, "Shown by records")].append(finding)
    columns = ("Criterion", "Result", "What is known", "Evidence", "What measures it", "Drawn from")
    return [
        Panel(title, _counted(group), _table(title, columns, [_criterion_row(finding) for finding in group]))
        for title, group in groups.items()
        if group
    ]


def _criterion_row(finding: Finding) -> list[str]:
    mark = " · SIMULATED" if finding.simulated and "SIMULATED" not in finding.words else ""
    words, source = f"{finding.words}{mark}", finding.criterion.source
    return [finding.criterion.title, MARKS[finding.result], words, finding.evidence, finding.command, source]


def _counted(group: Sequence[Finding]) -> str:
    counts = Counter(finding.result for finding in group)
    return ", ".join(f"{counts[result]} {result.value}" for result in Result) + "."


def _faults(ready: Ready) -> Panel:
    rows = [_fault_row(row, ready.evidence.event) for row in ready.faults]
    columns = (
        "Fault",
        "Where",
        "Date",
        "Run",
        "Failed while it lasted",
        "Recovered after its end",
        "Owner",
        "What tries it",
    )
    words = (
        "Recovered: when the last turn that failed began, after the fault's end; the newest run of each fault counts."
    )
    return Panel("What was tried", words, _table("Faults", columns, rows))


def _fault_row(row: FaultTried, event: Event) -> list[str]:
    if not row.tried:
        return [row.kind, BLANK, BLANK, "not tried", BLANK, BLANK, row.owner, command_for(row.kind, event)]
    recovered = "too few turns after it" if row.recovery_s is None else f"{row.recovery_s:.1f} s"
    mark = " SIMULATED" if row.simulated else ""
    failed = f"{show(row.failed_ratio, 'ratio')} of {row.turns}{mark}"
    again = command_for(row.kind, event) if row.recovery_s is None else BLANK
    return [row.kind, row.where, row.date, row.run_id, failed, f"{recovered}{mark}", row.owner, again]


def _quotas(evidence: Evidence) -> Panel:
    rows = [
        [
            row.model,
            row.region,
            row.kind,
            f"{row.needed:,.0f}",
            "not known" if row.granted is None else f"{row.granted:,.0f}",
            row.source,
            *_paperwork(row.request),
        ]
        for row in requests(evidence)
    ]
    columns = ("Model", "Region", "Kind", "Needed", "Granted", "By", "Requested", "On", "Granted on", "Case")
    words = "Needed: at the plan's service level, by the reading that needs more. Dates are from the event file."
    table = _table("Quotas", columns, rows) if rows else None
    return Panel("Needed, requested, granted", words if rows else "No plan of this scenario is here.", table)


def _paperwork(request: object) -> list[str]:
    values = (getattr(request, name, BLANK) for name in ("requested", "requested_on", "granted_on", "case"))
    return [f"{value:,.0f}" if isinstance(value, float) else str(value or BLANK) for value in values]


def _ramps(evidence: Evidence) -> list[Panel]:
    rows = [
        [
            row.model,
            row.region,
            BLANK if row.from_per_min is None else f"{row.from_per_min:,.0f}/min",
            f"{row.to_per_min:,.0f}/min",
            BLANK if row.hold_count is None else str(row.hold_count),
            BLANK if row.hours is None else f"{row.hours:.2f} h",
        ]
        for row in ramps(evidence)
    ]
    if not rows:
        return []
    words = "From ordinary calls to the peak by AWS's rule: half more after every 15 minutes without a 503."
    table = _table("Ramps", ("Model", "Region", "From", "To", "Holds", "Takes"), rows)
    return [Panel("The ramp", words, table)]


def _purchases(evidence: Evidence) -> Panel:
    plan = evidence.plan
    bought = [
        [
            row.model,
            row.region,
            f"{row.instances} x {row.instance_type}",
            row.price_kind,
            show(row.usd, "usd"),
            BLANK,
            BLANK,
        ]
        for row in (plan.purchase if plan else ())
    ]
    placed = [
        [row.what, row.region, BLANK, BLANK, BLANK, row.ordered_on, row.reference] for row in evidence.event.file.orders
    ]
    columns = ("Of", "Region", "Instances", "Price", "Cost", "Ordered on", "Reference")
    words = "What the plan buys, then the orders that the event file names." + (
        " SIMULATED." if plan and plan.simulated else ""
    )
    return Panel("Planned and placed", words, _table("Purchases", columns, [*bought, *placed]))


def _headroom(evidence: Evidence) -> Panel:
    rows = headroom_rows(evidence)
    columns = ("Of", "Region", "Limit", "At p50 of demand", "At p90", "At p99")
    words = "Share of what is bought or granted that is left at the peak; below zero it is exceeded."
    table = _table("Headroom at the peak", columns, rows) if rows else None
    return Panel("What is left", words if rows else "No plan of this scenario is here.", table)


def _first_limit(evidence: Evidence) -> list[Prose]:
    if evidence.plan is None:
        return []
    return [Paragraph(evidence.plan.first_limit_exceeded, lead="First limit exceeded:")]


def _switches(evidence: Evidence) -> Panel:
    table = _table("Switches", ("Switch", "How", "Who may", "Tried on"), switch_rows(evidence))
    return Panel(
        "What can be turned back", "Who may turn each, and when it was last tried, is a person's to fill.", table
    )


def _contacts(evidence: Evidence) -> Panel:
    table = _table("Contacts", ("Role", "Name", "Phone"), contact_rows(evidence))
    return Panel("Whom to call", "A blank is a role that nobody fills yet.", table)


def _risks(ready: Ready) -> Panel:
    plan = ready.evidence.plan
    written = [[row.what, row.owner, row.until, "event file"] for row in ready.evidence.event.file.risks]
    warned = [[text, BLANK, BLANK, plan.plan_id] for text in by_weight(plan.warnings)] if plan else []
    table = _table("Risks", ("Risk", "Owner", "Until", "From"), [*written, *warned])
    return Panel(
        "What is open", "Risks of the event file, then the plan's own warnings, the decisive ones first.", table
    )


def _calendar(evidence: Evidence) -> Panel:
    words = "Days count back from the first hour; dates stand here where the event file names it."
    return Panel("Days", words, _table("Calendar", ("Day", "Date", "What", "How", "Who"), calendar_table(evidence)))


def _sources(evidence: Evidence) -> list[str]:
    used = dict.fromkeys(criterion.source for criterion in evidence.checklist.criteria)
    return [f"{name}: {evidence.checklist.sources.get(name, 'not spelled out in the checklist')}" for name in used]


def _table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return Table(caption, columns, rows or [[BLANK] * len(columns)], text_columns=tuple(range(len(columns))))
