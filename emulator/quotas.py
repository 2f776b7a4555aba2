"""A provider's token and request quotas: reserved at the start, settled at the end.

Start: reserve input + cache reads + cache writes + max tokens (the model's maximum when unset).
End: charge input + cache writes + output x burndown; cache reads are not charged.
A window of 60 s (a day for tpd) starts with its first request; what is in flight stays reserved across windows.
On an endpoint that counts input and output apart, a call is admitted by input without cache reads + max tokens, and its
answer stops where the output of its minute is used up.
Source: AWS agent toolkit, quota-health (read 2026-05); Bedrock user guide, quotas-mantle (read 2026-11);
facts/data/quotas.csv has the burndown of each model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from facts.quota_window import DAY_S, MINUTE_S, QuotaWindow
from facts.stack import Grant

ACCOUNT = "account"
"""Model key under which an account-wide quota is stated: in each region one window over all models."""

INPUT, OUTPUT = "input_tpm", "output_tpm"
Place = tuple[str, str, str]
"""Account, region, model."""


@dataclass(frozen=True)
class Reservation:
    """What one admitted call holds until it is settled."""

    tokens: float
    windows: tuple[QuotaWindow, ...]


class QuotaBook:
    """All quotas of all accounts: per account, region and model, and the account's own over its models in a region."""

    def __init__(self, limits: Mapping[str, Grant]) -> None:
        self._limits = limits
        self._windows: dict[tuple[str, str, str], dict[str, QuotaWindow]] = {}

    def set_limits(self, limits: Mapping[str, Grant]) -> None:
        """Replace every granted value; windows start afresh, calls in flight settle into the old ones."""
        self._limits = limits
        self._windows = {}

    def clear(self) -> None:
        """Forget what was charged and reserved; calls in flight settle into the old windows."""
        self._windows = {}

    def reserve(self, account: str, region: str, model: str, tokens: float, now_s: float) -> Reservation | str:
        """Hold `tokens` for one call, or the name of the quota kind that refuses it."""
        if not self._limits:
            return Reservation(tokens, ())
        own = self._windows_of(account, region, model)
        shared = self._windows_of(account, region, ACCOUNT)
        own = {kind: window for kind, window in own.items() if kind not in (INPUT, OUTPUT)}
        for name, window in (*own.items(), *((f"{ACCOUNT} {kind}", window) for kind, window in shared.items())):
            if not window.admits(1 if name.endswith("rpm") else tokens, now_s):
                return name
        held = []
        for kind, window in (*own.items(), *shared.items()):
            if kind == "rpm":
                window.charged += 1
            else:
                window.reserved += tokens
                held.append(window)
        return Reservation(tokens, tuple(held))

    def admit_input(self, place: Place, tokens: float, now_s: float) -> Reservation | str:
        """Hold input and max tokens where input is counted apart, or the kind that refuses the call."""
        window = self._windows_of(*place).get(INPUT)
        if window is None:
            return Reservation(tokens, ())
        if not window.admits(tokens, now_s):
            return INPUT
        window.reserved += tokens
        return Reservation(tokens, (window,))

    def output_room(self, place: Place, now_s: float) -> int | None:
        """Tokens that the minute still gives to answers, one at least; None where output is not counted apart."""
        window = self._windows_of(*place).get(OUTPUT) if self._limits else None
        if window is None or window.limit is None:
            return None
        window.roll(now_s)
        return max(1, int(window.limit - window.charged))

    def count_output(self, place: Place, tokens: int) -> None:
        """Charge an answer as it begins: what streams within the minute is taken to be all of it."""
        window = self._windows_of(*place).get(OUTPUT) if self._limits else None
        if window is not None:
            window.charged += tokens

    def settle(self, reservation: Reservation, charge: float) -> None:
        """End of the call: release what it held and charge what it used."""
        for window in reservation.windows:
            window.settle(reservation.tokens, charge)

    def in_use(self) -> list[dict[str, float | str | None]]:
        """Every window that exists, for /control/quotas."""
        return [
            {
                "account": account, "region": region, "model": model, "kind": kind,
                "limit": window.limit, "charged": window.charged, "reserved": window.reserved,
            }
            for (account, region, model), kinds in self._windows.items()
            for kind, window in kinds.items()
        ]  # fmt: skip

    def _windows_of(self, account: str, region: str, model: str) -> dict[str, QuotaWindow]:
        key = (account, region, model)
        found = self._windows.get(key)
        if found is None:
            limits = self._limits.get(model, Grant())
            kinds = {
                "tpm": (limits.tpm, MINUTE_S), "tpd": (limits.tpd, DAY_S), "rpm": (limits.rpm, MINUTE_S),
                INPUT: (limits.input_tpm, MINUTE_S), OUTPUT: (limits.output_tpm, MINUTE_S),
            }  # fmt: skip
            found = {kind: QuotaWindow(*spec) for kind, spec in kinds.items() if spec[0] is not None}
            self._windows[key] = found
        return found
