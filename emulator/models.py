"""The models that are stood in for, each with its physics, its words and its counters, and what they share."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from emulator.bedrock.prompt_cache import PromptCache
from emulator.engine.pool import Pool
from emulator.engine.provider import Provider
from emulator.faults import Fault, FaultPlan
from emulator.http.pacer import Pacer
from emulator.language.conversations import Conversations
from emulator.language.corpus import Corpus
from emulator.lateness import Lateness, Waits
from emulator.profiles import EnginePhysics, Profile
from emulator.quotas import QuotaBook
from facts.reader import Model

TRUTH_REQUESTS = 20_000
"""Rows of /truth, some 600 bytes each: five minutes at 65 calls a second."""
_ANY_BLOCK = 1_000_000


@dataclass
class Stats:
    """Counters of one model since start, for /metrics."""

    prompt_tokens: int = 0
    output_tokens: int = 0
    running: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    images: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    ttft: Waits = field(default_factory=Waits)
    tpot: Waits = field(default_factory=Waits)
    e2e: Waits = field(default_factory=Waits)

    def count_error(self, name: str) -> None:
        """One more call answered with this error."""
        self.errors[name] = self.errors.get(name, 0) + 1


class EmulatedModel:
    """One model."""

    def __init__(self, model: Model, profile: Profile, pacer: Pacer, seed: int, corpus: Corpus) -> None:
        self.model = model
        self.stats = Stats()
        self._pacer = pacer
        self._seed = seed
        self.use(profile, corpus)

    def use(self, profile: Profile, corpus: Corpus) -> None:
        """Serve by this profile, in these words, from the next request on."""
        self.profile, self.corpus = profile, corpus
        seed = f"{self._seed}/{self.model.key}"
        self.runner: Provider | Pool
        if isinstance(profile.physics, EnginePhysics):
            self.runner = Pool(profile.physics, self._pacer, seed)
        else:
            self.runner = Provider(profile.physics, self._pacer, seed)


class Emulator:
    """Every model by id, and what their calls share: clock, quotas, caches, faults, conversations, truth."""

    def __init__(
        self,
        models: dict[str, EmulatedModel],
        pacer: Pacer,
        conversations: Conversations,
        quotas: QuotaBook,
        faults: FaultPlan,
        seed: int,
        regions: tuple[str, ...],
        pages: tuple[tuple[str, str], ...],
    ) -> None:
        self.by_id = models
        self.by_key = {emulated.model.key: emulated for emulated in models.values()}
        self.pacer = pacer
        self.conversations = conversations
        self.quotas = quotas
        self.faults = faults
        self.regions = regions
        self.pages = pages
        self.lateness = Lateness()
        self.truth: deque[tuple[object, ...]] = deque(maxlen=TRUTH_REQUESTS)
        self.seed = seed
        self.random = random.Random(f"{seed}/calls")
        self.internal_errors = 0
        self.secrets: dict[str, str] = {}  # access key -> secret; signatures are verified when any is known
        self._caches: dict[tuple[str, str, str, int], PromptCache] = {}
        self._implicit: dict[tuple[str, str, str], PromptCache] = {}

    def cache_for(self, account: str, region: str, emulated: EmulatedModel) -> PromptCache:
        """The prompt cache a call meets: of its account, region and model, and of one of the shards at random."""
        shards = emulated.profile.shards
        shard = self.random.randrange(shards) if shards > 1 else 0
        key = (account, region, emulated.model.key, shard)
        found = self._caches.get(key)
        if found is None:
            minimum = emulated.model.cache.min_tokens or 0
            found = self._caches[key] = PromptCache(minimum, emulated.profile.lookback_blocks)
        return found

    def implicit_cache_for(self, account: str, region: str, emulated: EmulatedModel) -> PromptCache:
        """What a model caches without being asked: any earlier prefix of the prompt is found."""
        key = (account, region, emulated.model.key)
        if key not in self._implicit:
            self._implicit[key] = PromptCache(emulated.model.cache.min_tokens or 0, _ANY_BLOCK)
        return self._implicit[key]

    def clear_caches(self, model: str | None = None, region: str | None = None) -> None:
        """Forget prompt caches and prefix blocks, of one model or region where named."""
        concerned = Fault("cold_cache", 1.0, model=model, region=region).concerns
        self._caches = {key: kept for key, kept in self._caches.items() if not concerned(key[2], key[1])}
        self._implicit = {key: kept for key, kept in self._implicit.items() if not concerned(key[2], key[1])}
        for emulated in self.by_key.values():
            if isinstance(emulated.runner, Pool) and concerned(emulated.model.key, self.regions[0]):
                emulated.runner.clear_caches()

    def age_caches(self, by_s: float) -> None:
        """Let every entry of the prompt caches be older by so many seconds; blocks of an engine have no age."""
        for cache in (*self._caches.values(), *self._implicit.values()):
            cache.age(by_s)

    def new_id(self, prefix: str = "") -> str:
        """An id of 24 hexadecimal digits."""
        return f"{prefix}{self.random.getrandbits(96):024x}"


class LoopWatch:
    """A heartbeat of the event loop, every 10 ms. A request may have waited, unseen, as long as a beat is overdue."""

    PERIOD_S = 0.01
    NOTICED_S = 0.002  # timers count whole milliseconds: less is no stall

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.monotonic) -> None:
        self._loop = loop
        self._clock = clock
        self._beat_s = self._stall_s = self.stall_s_max = 0.0
        self._next_s = clock() + self.PERIOD_S

    def start(self) -> None:
        """Beat from now on."""
        self._next_s = self._clock() + self.PERIOD_S
        self._loop.call_later(self.PERIOD_S, self._beat)

    def lag_s(self) -> float:
        """How long a request that is read now may have waited for us; 0 when the loop keeps up."""
        now_s = self._clock()
        just_stalled_s = self._stall_s if now_s - self._beat_s < self.NOTICED_S else 0.0
        lag_s = max(now_s - self._next_s, just_stalled_s)
        return lag_s if lag_s > self.NOTICED_S else 0.0

    def _beat(self) -> None:
        self._beat_s = self._clock()
        self._stall_s = self._beat_s - self._next_s
        self.stall_s_max = max(self.stall_s_max, self._stall_s)
        self._next_s = self._beat_s + self.PERIOD_S
        self._loop.call_later(self.PERIOD_S, self._beat)
