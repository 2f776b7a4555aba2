"""The arrivals and sessions of a job: the one place where a worker meets scenarios/ (numpy only, no pydantic)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loadgen.job import Load
from loadgen.schedule.replayed import ReplayPlanner
from scenarios import arrivals
from scenarios.replay.file import read_plan
from scenarios.resolved import resolved_of
from scenarios.sessions import Message, SessionPlanner, single_turn

SESSIONS_PER_USER_S = 1_000
"""Sessions kept ready for each closed-loop user and second, more than one that waits for its answers can play. They
take no memory before they are planned."""
_REGIONS_DRAWN = 1 << 16


@dataclass(frozen=True)
class Schedule:
    """When each session starts, counted from the start of the window, and what it holds.

    offset_s: float64[n], sorted. region: an index into `regions`, int16[n], or of less and taken in turns.
    lengths: int64[n, 2] or None.
    began_before: arrivals of sessions that began before the window of a replay.
    `planner` gives the session of an arrival, the same for any number of workers.
    """

    offset_s: np.ndarray
    region: np.ndarray
    regions: tuple[str, ...]
    lengths: np.ndarray | None
    planner: Any
    began_before: frozenset[int] = frozenset()

    def region_of(self, index: int) -> int:
        """The region of one arrival."""
        return int(self.region[index % len(self.region)])

    def session(self, index: int) -> Any:
        """The session of one arrival."""
        return self.sessions(range(index, index + 1))[0]

    def sessions(self, indices: Sequence[int]) -> list[Any]:
        """The sessions of some arrivals; of neighbours at once, which is quicker."""
        if not indices:
            return []
        low, high = indices[0], indices[-1] + 1
        regions = [self.region_of(index) for index in indices]
        if high - low == len(indices):
            return list(self.planner.block(low, high, regions))
        return [
            self.planner.block(index, index + 1, [region])[0] for index, region in zip(indices, regions, strict=True)
        ]

    def mine(self, worker: int, workers: int) -> range:
        """Indices of the arrivals that belong to a worker: arrival i to worker i mod W."""
        return range(worker, len(self.offset_s), workers)


def make_schedule(load: Load, messages: list[Message]) -> Schedule:
    """The make_schedule of a job; the same for the same seed, wherever it is made."""
    scenario = resolved_of(load.scenario)
    regions = tuple(scenario["event"]["regions"])
    if load.closed_loop_users is not None:
        count = int(load.closed_loop_users * load.length_s * SESSIONS_PER_USER_S) + load.closed_loop_users
        shares = [region["share"] for region in scenario["event"]["regions"].values()]
        draws = np.random.default_rng([load.seed, load.closed_loop_users])
        region = draws.choice(len(shares), size=_REGIONS_DRAWN, p=shares).astype(np.int16)
        planner = SessionPlanner(scenario, messages, load.seed)
        return Schedule(np.broadcast_to(0.0, count), region, regions, None, planner)
    if load.replay_file is not None:
        return _replayed(load.replay_file, messages, regions)
    if load.arrivals_file is not None:
        replay = arrivals.read_replay(Path(load.arrivals_file), load.window)
        region = np.zeros(len(replay.offset_s), dtype=np.int16)
        planner = single_turn(scenario, messages, load.seed)
        lengths = None
        if replay.input_tokens is not None and replay.output_tokens is not None:
            lengths = np.column_stack([replay.input_tokens, replay.output_tokens])
        return Schedule(replay.offset_s, region, regions, lengths, planner)
    if load.rate_per_s is not None:
        starts = arrivals.constant_rate(load.rate_per_s, load.length_s, resolved=scenario, seed=load.seed)
    else:
        starts = arrivals.session_starts(scenario, window=load.window, scale=load.scale, seed=load.seed)
    planner = SessionPlanner(scenario, messages, load.seed)
    return Schedule(starts.offset_s, starts.region, regions, None, planner)


def _replayed(file: str, messages: list[Message], regions: tuple[str, ...]) -> Schedule:
    """The sessions of a replay; all in the scenario's first region, since a trace names none."""
    plan = read_plan(Path(file))
    offset_s = np.array([session.at_s for session in plan.sessions])
    before = frozenset(place for place, session in enumerate(plan.sessions) if session.began_before)
    region = np.zeros(len(offset_s), dtype=np.int16)
    return Schedule(offset_s, region, regions, None, ReplayPlanner(plan, messages), before)
