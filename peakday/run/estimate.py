"""What a load is expected to ask for and cost, as a person wants to read it; and how far a budget reaches."""

from __future__ import annotations

from loadgen.schedule.estimate import Estimate
from peakday.errors import CommandError


def estimate_lines(expected: Estimate) -> list[str]:
    """An estimate, a line for each kind of thing."""
    return [
        f"sessions      {expected.sessions:,}",
        f"interactions  {expected.interactions:,.0f}",
        f"turns         {expected.turns:,.0f}, at most {expected.peak_turns_per_s:,.1f}/s",
        f"tokens        {expected.input_tokens:,.0f} in, {expected.output_tokens:,.0f} out ({expected.sizes})",
        f"dollars       {dollars(expected)}" + (", were the models real" if expected.usd is not None else ""),
        f"quota         {expected.peak_requests_per_min:,.0f} requests/min and "
        f"{expected.peak_input_tokens_per_min:,.0f} input tokens/min at the peak",
        f"generator     {expected.workers} worker(s), {expected.sockets:,} sockets",
    ]


def dollars(expected: Estimate) -> str:
    """The estimate's dollars with their range."""
    if expected.usd is None:
        return "not known: no price is held here of what answers"
    low, mid, high = expected.usd
    span = f" ({_cents(low)} to {_cents(high)})" if low < high else ""
    return f"{_cents(mid)} USD{span}, list prices"


def _cents(usd: float) -> str:
    """Dollars to the cent, or to three digits where they are less than one: nothing that costs is 0.00."""
    return f"{usd:,.2f}" if usd >= 1 or usd == 0 else f"{usd:.3g}"


def budget_line(budget_usd: float, turn_usd_max: float) -> str:
    """How far a budget reaches: each turn under way holds its upper bound of it until its cost is known.

    Raises:
        CommandError: not even one turn fits.
    """
    if budget_usd < turn_usd_max:
        raise CommandError(
            f"--budget-usd {budget_usd:g}: one turn may cost up to {turn_usd_max:.2f} USD, so none could begin; raise "
            "it, or lower assistant.limits.calls or assistant.max_tokens"
        )
    together = int(budget_usd / turn_usd_max)
    return (
        f"budget        {budget_usd:g} USD; a turn under way reserves its upper bound of {turn_usd_max:.2f} USD, "
        f"so at most {together:,} at once, fewer as it is spent"
    )
