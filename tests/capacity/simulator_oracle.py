"""The naive continuous-batching simulator: every step, every request, in plain Python. It defines what is right.

`capacity.simulator.engine` computes the same in jumps, held equal to this request by request. One step of a replica:

1. `preempt`: where decoding would overflow the KV store, the request admitted last gives up its tokens and waits again.
2. `admit`: waiting requests that have arrived start, in order, while there is a sequence slot and KV room.
3. Every decoding request makes one step; what is left of max_batched_tokens prefills, first come first served.
4. The step lasts as `StepModel` says; requests whose prefill ended have their first token at its end.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from capacity.simulator.engine import check_fits
from capacity.simulator.requests import Ints, Requests, Served
from neuron_bench.step_model import Coefficients, StepModel


class _Job:
    """One request on a replica. `growth`: tokens gained a decode step, above 1 with speculation."""

    def __init__(self, index: int, work: Requests, *, home: bool) -> None:
        self.index = index
        self.prompt = int(work.input_tokens[index])
        self.answer = int(work.output_tokens[index])
        self.cached = int((work.cached_tokens if home else work.away_cached_tokens)[index])
        self.steps = int(work.decode_steps[index])
        self.growth = (self.answer - 1) / self.steps if self.steps else 0.0
        begun = int(work.begun_steps[index])
        self.started = begun > 0  # has had its first token
        self.steps_done = max(0, begun - 1)
        self.to_compute = self.tokens_so_far
        self.computed = self.to_compute if self.started else self.cached
        self.held = 0.0  # KV tokens kept for it

    @property
    def prefilling(self) -> bool:
        return self.computed < self.to_compute

    @property
    def tokens_so_far(self) -> int:
        """Prompt and answer as they stand: what must be in the KV store before the next token."""
        return self.prompt + (1 + int(self.steps_done * self.growth) if self.started else 0)

    @property
    def kv_tokens(self) -> float:
        """Tokens a decode step attends to."""
        return self.prompt + 1 + self.steps_done * self.growth


class Replica:
    """One engine: a queue, a running batch and a clock that stands at the end of its last step."""

    def __init__(self, work: Requests, model: StepModel, preempts: bool, out: tuple[list[float], ...]) -> None:
        self.work, self.model, self.preempts = work, model, preempts
        self.first_s, self.end_s, self.admitted_s = out
        self.clock_s = 0.0
        self.busy_s = 0.0
        self.waiting: deque[_Job] = deque()
        self.running: list[_Job] = []
        self.held = 0.0
        self.preemptions = 0
        self.steps = 0

    @property
    def load(self) -> int:
        """Requests waiting or running: what a router sees."""
        return len(self.waiting) + len(self.running)

    def receive(self, index: int, *, home: bool) -> None:
        """Queue a request that arrives now. home: this is the first replica it might go to."""
        if not self.load:
            self.clock_s = max(self.clock_s, float(self.work.arrival_s[index]))
        self.waiting.append(_Job(index, self.work, home=home))

    def advance(self, until_s: float) -> None:
        """Run every step that begins before until_s."""
        while self.load and self.clock_s < until_s:
            self._step()

    def _step(self) -> None:
        if not (self.preempts and self._preempt()):
            self._admit()
        decoding = [job for job in self.running if not job.prefilling]
        prefill_tokens, prefill_x_context, prefilled = self._prefill(self.model.max_batched_tokens - len(decoding))
        step_s = _bucket(self.model.buckets, prefill_tokens, len(decoding)).step_s(
            prefill_tokens, prefill_x_context, len(decoding), sum(job.kv_tokens for job in decoding)
        )
        self.clock_s += step_s
        self.busy_s += step_s
        self.steps += 1
        for job in decoding:
            if self.preempts:
                job.held += job.growth
                self.held += job.growth
            job.steps_done += 1
            self._finish_if_done(job)
        for job in prefilled:
            if job.started:
                job.steps_done += 1  # the recomputed prompt yields the next token
            else:
                job.started = True
                self.first_s[job.index] = self.clock_s
            self._finish_if_done(job)

    @property
    def _growth(self) -> float:
        """KV tokens that one step of all decoding requests adds."""
        return sum(job.growth for job in self.running if not job.prefilling)

    def _preempt(self) -> bool:
        """Free KV for one token of each decoding request; true when any had to give way."""
        gave_way = False
        while self.held + self._growth > self.model.kv_tokens_max + 1e-6:
            last = self.running.pop()
            self.held -= last.held
            last.computed = last.cached
            last.to_compute = last.tokens_so_far
            self.waiting.appendleft(last)
            self.preemptions += 1
            gave_way = True
        return gave_way

    def _admit(self) -> None:
        """Start waiting requests; one that has begun decodes in this very step, so its next token needs room too."""
        while self.waiting and len(self.running) < self.model.max_num_seqs:
            job = self.waiting[0]
            kept = -(-(job.prompt + job.answer) // self.model.block_tokens) * self.model.block_tokens
            need = job.to_compute if self.preempts else kept
            growth = self._growth + (0.0 if job.prefilling else job.growth) if self.preempts else 0.0
            if self.held + need + growth > self.model.kv_tokens_max + 1e-6:
                return
            self.waiting.popleft()
            if math.isnan(self.admitted_s[job.index]):
                self.admitted_s[job.index] = self.clock_s
            job.held = float(need)
            self.held += need
            self.running.append(job)

    def _prefill(self, budget: int) -> tuple[int, float, list[_Job]]:
        """Spend the budget on prompts in order of admission: tokens, sum of tokens x context, prompts completed."""
        tokens, x_context = 0, 0.0
        done: list[_Job] = []
        for job in self.running:
            if job.prefilling and budget > 0:
                part = min(budget, job.to_compute - job.computed)
                x_context += part * (job.computed + part / 2)
                job.computed += part
                tokens += part
                budget -= part
                if not job.prefilling:
                    done.append(job)
        return tokens, x_context, done

    def _finish_if_done(self, job: _Job) -> None:
        if job.steps_done >= job.steps:
            self.end_s[job.index] = self.clock_s
            self.running.remove(job)
            self.held -= job.held


def _bucket(buckets: Sequence[Coefficients], prefill_tokens: int, decoding: int) -> Coefficients:
    """The first bucket that holds the step; the last one where none does."""
    for bucket in buckets:
        fits_tokens = bucket.bucket_tokens is None or prefill_tokens <= bucket.bucket_tokens
        fits_seqs = bucket.bucket_seqs is None or decoding <= bucket.bucket_seqs
        if fits_tokens and fits_seqs:
            return bucket
    return buckets[-1]


def simulate(
    work: Requests,
    model: StepModel,
    *,
    replicas: int = 1,
    candidates: Ints | None = None,
    slack: float = 0.0,
    signal_period_s: float = 0.0,
    preempts: bool = False,
) -> Served:
    """Serve every request on a pool of replicas; the arguments are those of `capacity.simulator.engine.simulate`."""
    check_fits(work, model)
    n = len(work)
    first_s, end_s, admitted_s = ([math.nan] * n for _ in range(3))
    pool = [Replica(work, model, preempts, (first_s, end_s, admitted_s)) for _ in range(replicas)]
    placed = np.zeros(n, dtype=np.int64)
    loads, loads_until_s = [0] * replicas, 0.0
    for index in range(n):
        now_s = float(work.arrival_s[index])
        while candidates is not None and signal_period_s > 0 and loads_until_s <= now_s:
            loads = [_load_at(replica, loads_until_s) for replica in pool]
            loads_until_s += signal_period_s
        options = [0] if candidates is None else [int(c) for c in candidates[index]]
        for number in options:
            load = _load_at(pool[number], now_s)
            if signal_period_s <= 0:
                loads[number] = load
        scores = [loads[number] - (slack if place == 0 else 0.0) for place, number in enumerate(options)]
        place = scores.index(min(scores))
        placed[index] = options[place]
        pool[options[place]].receive(index, home=place == 0)
    for replica in pool:
        replica.advance(float("inf"))
    preemptions, steps, busy_s = (sum(getattr(r, name) for r in pool) for name in ("preemptions", "steps", "busy_s"))
    return Served(np.array(first_s), np.array(end_s), placed, preemptions, steps, busy_s, np.array(admitted_s))


def _load_at(replica: Replica, now_s: float) -> int:
    replica.advance(now_s)
    return replica.load
