"""Calendar months, as a customer counts them."""

from __future__ import annotations

import calendar
from datetime import datetime

RULE_MONTHS = 6
"""How long a rule lives. Source: facts/rufus.md, "request lives 6 months"."""


def add_months(moment: datetime, months: int) -> datetime:
    """The same day and time that many months later, or the month's last day where it is shorter."""
    years, month = divmod(moment.month - 1 + months, 12)
    year, month = moment.year + years, month + 1
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))
