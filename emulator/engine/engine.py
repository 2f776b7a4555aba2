"""A continuous-batching engine: values in, values out, and the time is an argument. `pool.py` runs it in real time.

One step: admit what has arrived, first come first served, while there is a sequence slot and KV room for the whole
request; every decoding request makes a token; what is left of max_batched_tokens prefills in order of admission. A
request has its first token at the end of the step that completes its prompt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from emulator.profiles import EnginePhysics


def _ignore(produced: int, now_s: float) -> None:
    """Nobody waits for these tokens any more."""


@dataclass(eq=False)
class Job:
    """One request. `emit(tokens so far, time)` is called at the end of each step that made a token of it.

    `cached_tokens()` is asked at admission; the last token of a prompt is always computed.
    """

    input_tokens: int
    output_tokens: int
    emit: Callable[[int, float], None]
    cached_tokens: Callable[[], int] = lambda: 0
    cancelled: bool = False
    cached: int = 0
    computed: int = 0
    produced: int = 0
    kv_blocks: int = 0

    @property
    def prefilling(self) -> bool:
        """Whether part of the prompt is still to be computed."""
        return self.computed < self.input_tokens


class Engine:
    """One replica: its queue, its running batch, and the step under way."""

    def __init__(self, physics: EnginePhysics) -> None:
        self.physics = physics
        self.waiting: deque[Job] = deque()
        self.running: list[Job] = []
        self.kv_blocks_used = 0
        self.steps = 0
        self._producing: list[Job] = []

    @property
    def load(self) -> int:
        """Requests waiting or running: what a router sees."""
        return len(self.waiting) + len(self.running)

    def fits(self, tokens: int) -> bool:
        """Whether a request of so many tokens, input and output, can ever be held."""
        return self._blocks(tokens) <= self.physics.kv_blocks

    def begin_step(self) -> float | None:
        """Start a step with what has been queued; its duration in seconds, or None when there is nothing to do."""
        self._admit()
        if not self.running:
            return None
        decoding = [job for job in self.running if not job.prefilling]
        kv_tokens = sum(job.input_tokens + job.produced for job in decoding)
        tokens, x_context, completed = self._prefill(self.physics.max_batched_tokens - len(decoding))
        self._producing = decoding + completed
        self.steps += 1
        return self.physics.step_s(tokens, x_context, len(decoding), kv_tokens)

    def end_step(self, now_s: float) -> None:
        """The step has ended: every request it served has its token."""
        finished = False
        for job in self._producing:
            job.produced += 1
            if not job.cancelled:
                job.emit(job.produced, now_s)
            finished = finished or job.cancelled or job.produced >= job.output_tokens
        if finished or any(job.cancelled for job in self.running):
            self._release()

    def _release(self) -> None:
        kept = []
        for job in self.running:
            if job.cancelled or job.produced >= job.output_tokens:
                self.kv_blocks_used -= job.kv_blocks
                job.emit = _ignore  # it holds the job itself: let go, and neither waits for the garbage collector
            else:
                kept.append(job)
        self.running = kept

    def _admit(self) -> None:
        physics = self.physics
        while self.waiting and len(self.running) < physics.max_num_seqs:
            job = self.waiting[0]
            if job.cancelled:
                job.emit = _ignore
            else:
                blocks = self._blocks(job.input_tokens + job.output_tokens)
                if self.kv_blocks_used + blocks > physics.kv_blocks:
                    return
                job.kv_blocks = blocks
                job.cached = job.computed = min(job.cached_tokens(), job.input_tokens - 1)
                self.kv_blocks_used += blocks
                self.running.append(job)
            self.waiting.popleft()

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.physics.block_tokens)

    def _prefill(self, budget: int) -> tuple[int, float, list[Job]]:
        """Spend the budget on prompts: tokens, sum of tokens x context attended to, prompts completed."""
        tokens, x_context = 0, 0.0
        completed: list[Job] = []
        for job in self.running:
            if budget <= 0:
                break
            if job.prefilling:
                part = min(budget, job.input_tokens - job.computed)
                x_context += part * (job.computed + part / 2)
                job.computed += part
                tokens += part
                budget -= part
                if not job.prefilling:
                    completed.append(job)
        return tokens, x_context, completed
