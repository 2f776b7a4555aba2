"""R replicas of an engine in real time: steps end on absolute times, so a late wake-up never moves the next one."""

from __future__ import annotations

import random
from collections.abc import Sequence

from emulator.engine.block_cache import BlockCache
from emulator.engine.engine import Engine, Job
from emulator.http.pacer import Scheduler
from emulator.profiles import EnginePhysics


class Replica:
    """One engine with its clock and its prefix cache."""

    def __init__(self, physics: EnginePhysics, pacer: Scheduler) -> None:
        self.engine = Engine(physics)
        self.cache = BlockCache(physics.prefix_cache_blocks)
        self._pacer = pacer
        self._stepping = False

    def submit(self, job: Job, now_s: float) -> None:
        """Queue a request that arrives at `now_s`; an idle engine starts a step then, with all that arrive at once."""
        self.engine.waiting.append(job)
        if not self._stepping:
            self._stepping = True
            self._pacer.at(now_s, self._begin)

    def _begin(self, now_s: float) -> None:
        step_s = self.engine.begin_step()
        if step_s is None:
            self._stepping = False
        else:
            self._pacer.at(now_s + step_s, self._end)

    def _end(self, due_s: float) -> None:
        self.engine.end_step(due_s)
        self._begin(due_s)


def _unnamed(job: Job, blocks: int, block_tokens: int) -> list[object]:
    """Blocks of a request that no later prompt can hit: the prompt's unfinished one, and its answer's.

    Source: vLLM 0.32.0, measured (docs/validation.md), whose blocks also grow old last first.
    """
    computed = job.input_tokens + job.output_tokens - 1
    return [object() for _ in range(-(-computed // block_tokens) - blocks)]


class Pool:
    """The replicas of one model behind a router."""

    def __init__(self, physics: EnginePhysics, pacer: Scheduler, seed: str) -> None:
        self.physics = physics
        self.replicas = [Replica(physics, pacer) for _ in range(physics.replicas)]
        self._pacer = pacer
        self._random = random.Random(seed)

    def start(self, job: Job, blocks: Sequence[int], received_s: float) -> None:
        """Serve a request received at `received_s`; `blocks` are the chained hashes of its prompt's whole blocks."""
        replica = self._choose(blocks)
        emit = job.emit

        def cached_tokens() -> int:
            return replica.cache.hits(blocks) * self.physics.block_tokens

        def emit_and_keep(produced: int, now_s: float) -> None:
            if produced == 1:
                bounded = replica.cache.max_blocks is not None
                room = _unnamed(job, len(blocks), self.physics.block_tokens) if bounded else []
                replica.cache.add([*room, *reversed(blocks)])
            emit(produced, now_s)

        def arrive(due_s: float) -> None:
            replica.submit(job, due_s)

        job.cached_tokens, job.emit = cached_tokens, emit_and_keep
        self._pacer.at(received_s + self.physics.ttft_overhead_s, arrive)

    def fits(self, tokens: int) -> bool:
        """Whether a replica can hold a request of so many tokens, input and output."""
        return self.replicas[0].engine.fits(tokens)

    def clear_caches(self) -> None:
        """Forget every prefix block."""
        for replica in self.replicas:
            replica.cache.clear()

    def _choose(self, blocks: Sequence[int]) -> Replica:
        router = self.physics.router
        if router == "random":
            return self._random.choice(self.replicas)
        if router == "prefix_affinity" and blocks:
            return self.replicas[blocks[0] % len(self.replicas)]
        return min(self.replicas, key=lambda replica: replica.engine.load)
