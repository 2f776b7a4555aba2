"""One what-if: the same thing as an address, as a command, and as what the planner is given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from host.errors import PeakdayError
from peakday.plan.plan import NO_RUN, newest_run
from scenarios.loading import load_scenario, scenario_hash

DRAWS_MAX = 10_000
"""Joint draws a page may ask for: ten times the default, some 10 s of planning."""
_FILE = re.compile(r"\bfile\b")


class QuestionError(PeakdayError, ValueError):
    """A what-if that says nothing that can be planned; the message has the remedy."""

    page = "serve"


@dataclass(frozen=True)
class Question:
    """A scenario with settings laid over it, own prices, the run that measured tokens and routes, and a seed."""

    scenario: str
    sets: tuple[str, ...] = ()
    prices: tuple[str, ...] = ()
    run: str = ""
    seed: int | None = None

    @classmethod
    def of_query(cls, query: QueryParams) -> Question:
        """Read an address.

        Raises:
            QuestionError: a seed that is no whole number from 0 on.
        """
        seed = query.get("seed", "")
        if seed and not seed.isdecimal():
            raise QuestionError(f"seed={seed}: expected a whole number from 0 on")
        return cls(
            query.get("scenario") or "prime_day",
            tuple(text for text in query.getlist("set") if text.strip()),
            tuple(text for text in query.getlist("price") if text.strip()),
            query.get("run", ""),
            int(seed) if seed else None,
        )

    @classmethod
    def of_data(cls, data: Mapping[str, object]) -> Question:
        """Read the body of a write: the same names as an address, with lists.

        Raises:
            QuestionError: it is of another shape.
        """
        sets, prices, seed = data.get("sets", []), data.get("prices", []), data.get("seed")
        texts = (data.get("scenario"), data.get("run", ""))
        lists = [isinstance(part, list) and all(isinstance(text, str) for text in part) for part in (sets, prices)]
        if not all(isinstance(text, str) for text in texts) or not all(lists) or not isinstance(seed, int | None):
            raise QuestionError("a what-if holds scenario, sets, prices, run and seed")
        assert isinstance(sets, list)
        assert isinstance(prices, list)
        return cls(str(texts[0]), tuple(sets), tuple(prices), str(texts[1]), seed)

    def pinned(self, base: Path) -> Question:
        """The same with its run named: what-if and base are then of one run, whose scenario's hash only the base has.

        Raises:
            QuestionError: it names a file outside the folder, or asks for more than a page should take.
            ScenarioError: no such scenario.
        """
        self._refuse_strange()
        if self.run:
            return self
        newest = newest_run(scenario_hash(load_scenario(self.scenario)), base)
        return replace(self, run=newest.name if newest is not None else NO_RUN)

    def _refuse_strange(self) -> None:
        """An address comes from anywhere: it reads no file but the folder's, and keeps the planner busy for seconds."""
        for name in (self.scenario, self.run):
            if Path(name).name != name and name:
                raise QuestionError(f"{name}: a page names what is in its folder; use a name without /")
        for text in self.sets:
            key, _, value = text.partition("=")
            if _FILE.search(text):
                raise QuestionError(f"{key.strip()}: files are named by a scenario of the folder, never by an address")
            if key.strip() == "capacity":  # a table of settings, draws among them
                raise QuestionError(f"{text}: name the key in it, such as capacity.draws=500")
            if key.strip() == "capacity.draws" and not (value.strip().isdecimal() and int(value) <= DRAWS_MAX):
                raise QuestionError(f"{text}: at most {DRAWS_MAX:,} draws here; {self.command} takes more")

    @property
    def base(self) -> Question:
        """What it is compared with: the scenario as it is, at your usual prices, of the same run and seed."""
        return replace(self, sets=(), prices=())

    @property
    def query(self) -> str:
        """The address behind the question mark."""
        pairs = [("scenario", self.scenario), *(("set", text) for text in self.sets)]
        pairs += [("price", text) for text in self.prices]
        pairs += [("run", self.run)] if self.run else []
        pairs += [] if self.seed is None else [("seed", str(self.seed))]
        return urlencode(pairs)

    @property
    def command(self) -> str:
        """What computes the same at a terminal."""
        words = ["peakday", "plan", self.scenario]
        for option, texts in (("--set", self.sets), ("--price", self.prices)):
            words += [word for text in texts for word in (option, text)]
        words += ["--run", self.run] if self.run else []
        words += [] if self.seed is None else ["--seed", str(self.seed)]
        return shlex.join(words)
