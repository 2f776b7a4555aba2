"""Which regions answer: one that could not serve is left alone for a while, and the next of the list takes over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

DOWN_S = 10.0
"""How long a region is passed over after it failed; then one call tries it again."""


class RegionHealth:
    """Health by region name, from the calls themselves."""

    def __init__(self, regions: Sequence[str], clock: Callable[[], float]) -> None:
        self._regions = regions
        self._clock = clock
        self._down_until_s: dict[str, float] = {}

    def mark_down(self, region: str) -> None:
        """A call could not be served there."""
        self._down_until_s[region] = self._clock() + DOWN_S

    def is_up(self, region: str) -> bool:
        """Whether calls may go there."""
        return self._clock() >= self._down_until_s.get(region, 0.0)

    def preferred(self, wanted: str) -> str:
        """The wanted region while it is up, else the first that is; the wanted one when none is."""
        return wanted if self.is_up(wanted) else self.next_to(()) or wanted

    def next_to(self, tried: Collection[str]) -> str | None:
        """The first region that is up and was not tried yet."""
        return next((region for region in self._regions if region not in tried and self.is_up(region)), None)
