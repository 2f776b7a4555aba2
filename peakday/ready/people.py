"""What only people fill: switches with who may turn them, and roles with whom to call. Names and phones start blank."""

from __future__ import annotations

from peakday.ready.evidence import Evidence

ROLES = (
    "owner of the assistant",
    "owner of staging",
    "owner of the cloud account",
    "finance",
    "cloud provider: account manager or support case",
    "on call of search, orders, payments and memory",
    "security, fraud and bot protection",
    "customer service and marketing",
)
"""Those whom docs/rehearsal.md names, in its order."""


def switch_rows(evidence: Evidence) -> list[list[str]]:
    """The product's own switches, the scenario's fallback chains, the kept build, then those of the event file."""
    scenario = evidence.event.scenario
    rows = [["purchases by price", "peakday assistant auto-buy off", "", ""]]
    for model, others in scenario.assistant.fallback.chains.items():
        rows.append([f"throttled calls of {model} go to {', '.join(others)}", "assistant.fallback.chains", "", ""])
    if evidence.baseline:
        rows.append(["the build before", f"the commit of the baseline of {evidence.baseline}", "", ""])
    rows.append(["a load run", "Ctrl-C once drains, twice stops", "", ""])
    return [*rows, *[[row.what, row.how, row.who, row.tried_on] for row in evidence.event.file.switches]]


def contact_rows(evidence: Evidence) -> list[list[str]]:
    """Every role, with who fills it where the event file says so."""
    written = {row.role: row for row in evidence.event.file.contacts}
    known = [[role, written[role].name, written[role].phone] if role in written else [role, "", ""] for role in ROLES]
    return [*known, *[[row.role, row.name, row.phone] for row in written.values() if row.role not in ROLES]]
