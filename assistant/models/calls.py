"""One model call as the turn sees it: attempts, spill to another model or region, and the `usage` row it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Set
from dataclasses import dataclass, field

from assistant.errors import ModelError
from assistant.metrics import Metrics
from assistant.models.protocol import Listener, ModelClient, ModelRequest, Reply
from assistant.models.regions import RegionHealth
from assistant.models.supply_state import QuotaHeadroom, TtftForecast, quota_place
from assistant.prompt import Prompt
from assistant.settings import Stack
from facts.decoding import FactsError
from facts.reader import Model
from facts.tokens import TOKEN_CLASSES
from wire.spans import Row

_BACKOFF_S = 0.2
"""First pause between attempts, doubled each time. Only used when the scenario asks for retries."""
_PREFIX_COLUMNS = ("prefix_hash", "prefix_shared_tokens", "prefix_customer_tokens")


@dataclass(slots=True)
class CallLog:
    """The model calls of one turn, in order. `started_s` is the turn's start on the process clock."""

    started_s: float
    rows: list[Row] = field(default_factory=list)
    sent: int = 0
    hops: int = 0
    spills: list[dict[str, str]] = field(default_factory=list)
    simulated: bool | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready for one model, with the prompt it came from (None for calls without the shared prefix).

    `input_tokens` is an estimate, for the count of what quota is left.
    """

    request: ModelRequest
    prompt: Prompt | None = None
    input_tokens: int = 0


Prepare = Callable[[Model, str], Prepared]
"""Builds the request for a model in a region: another model has other cache points."""


class ModelCaller:
    """Makes calls through the client of a model's protocol."""

    def __init__(
        self,
        stack: Stack,
        clients: Mapping[str, ModelClient],
        metrics: Metrics,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._stack = stack
        self._switches = stack.switches
        self._clients = clients
        self._metrics = metrics
        self._regions = RegionHealth(stack.regions, clock)
        self.forecast = TtftForecast(clock)
        self.headroom = QuotaHeadroom(stack.quotas, clock)
        self._clock = clock
        self._sleep = sleep

    async def call(
        self, log: CallLog, purpose: str, model: Model, region: str, prepare: Prepare, listener: Listener
    ) -> tuple[Reply, Model]:
        """Make one call, elsewhere if the first choice refuses; returns the reply and the model that gave it.

        Raises:
            ModelError: of the last try, when no hop is left.
        """
        if model.protocol == "converse":
            region = self._regions.preferred(region)
        tried = {(model.key, region)}
        asked = model.key
        while True:
            prepared = prepare(model, region)
            try:
                return await self._attempts(log, purpose, prepared, listener), model
            except ModelError as error:
                following = self._next(error, log, asked, tried, prepared.request)
                if following is None:
                    raise
                self._metrics.spills.labels(model.key, following[0].key, error.code).inc()
                log.hops += 1
                log.spills.append({"from": model.key, "to": following[0].key, "reason": error.code})
                model, region = following
                tried.add((model.key, region))

    def _next(
        self, error: ModelError, log: CallLog, asked: str, tried: Set[tuple[str, str]], request: ModelRequest
    ) -> tuple[Model, str] | None:
        """Where this request may go next, within the turn's hops: another region if this one is down, else a model.

        Throttling is the model's quota, not the region's health: it goes down the chain of the model first asked.
        """
        region = request.region
        if request.model.protocol == "converse" and error.region_down:
            self._regions.mark_down(region)
        if not error.may_spill or log.hops >= self._switches.fallback.max_hops:
            return None
        if request.model.protocol == "converse" and error.region_down:
            elsewhere = self._regions.next_to({one for key, one in tried if key == request.model.key})
            if elsewhere is not None:
                return request.model, elsewhere
        needs_images = any("image" in block for message in request.messages for block in message["content"])
        chain = [self._stack.models.get(key) for key in self._switches.fallback.chains.get(asked, ())]
        able = [
            model
            for model in chain
            if model is not None and (model.key, region) not in tried and (model.images or not needs_images)
        ]
        # A model that just refused, or whose minute is used up, is asked only when no other is left.
        free = (model for model in able if self.headroom.free_ratio(model.key, quota_place(model, region)) > 0)
        following = next(free, able[0] if able else None)
        return (following, region) if following else None

    async def _attempts(self, log: CallLog, purpose: str, prepared: Prepared, listener: Listener) -> Reply:
        """Up to the scenario's total attempts of one request, as one row; boto3 counts and retries by itself."""
        request = prepared.request
        client = self._clients[request.model.protocol]
        began_s = self._clock()
        by_itself = self._switches.client == "boto3" and request.model.protocol == "converse"
        total_attempts = 1 if by_itself else self._switches.retry.total_attempts
        for attempt in range(1, total_attempts + 1):
            try:
                reply = await self._counted(client, prepared, listener)
            except ModelError as error:
                if attempt < total_attempts and error.may_spill:
                    await self._sleep(_BACKOFF_S * 2 ** (attempt - 1))
                    continue
                self._record(log, purpose, prepared, began_s, attempt - 1 + error.attempts, error=error)
                raise
            except asyncio.CancelledError:
                cut = ModelError(504, "timeout", "the turn ended before the call did", streaming=True)
                self._record(log, purpose, prepared, began_s, attempt, error=cut)
                raise
            self._record(log, purpose, prepared, began_s, attempt - 1 + reply.attempts, reply=reply)
            return reply
        raise AssertionError("total_attempts is at least 1")

    async def _counted(self, client: ModelClient, prepared: Prepared, listener: Listener) -> Reply:
        """One request, with what it tells about the model's speed and quota."""
        request = prepared.request
        model, place = request.model, quota_place(request.model, request.region)
        held = prepared.input_tokens + (request.max_tokens or model.max_output_tokens)
        used: tuple[int, int] | None = None
        self.headroom.begin(model.key, place, held)
        try:
            reply = await client.converse(request, listener)
            if reply.ttft_s is not None:
                self.forecast.observe(model.key, reply.ttft_s)
            if (usage := reply.usage) is not None:
                written = usage.cache_write_tokens_5m + usage.cache_write_tokens_1h
                used = (usage.input_tokens + written, usage.output_tokens)
            return reply
        except ModelError as error:
            if error.call_status == "throttled":
                self.headroom.refused(model.key, place)
            raise
        finally:
            self.headroom.end(model, place, held, used)

    def _record(
        self,
        log: CallLog,
        purpose: str,
        prepared: Prepared,
        began_s: float,
        attempts: int,
        reply: Reply | None = None,
        error: ModelError | None = None,
    ) -> None:
        request, prompt = prepared.request, prepared.prompt
        usage = reply.usage if reply else None
        row = {
            "call_index": len(log.rows),
            "start_s": began_s - log.started_s,
            "timed_by": "assistant",
            "status": error.call_status if error else "ok",
            "purpose": "tool_round" if purpose == "answer" and reply and reply.tool_uses else purpose,
            "model": request.model.key,
            "supply": request.model.supply,
            "endpoint": self._stack.endpoint(request.model, request.region),
            "region": request.region,
            "max_tokens": request.max_tokens,
            **{column: getattr(prompt, column, None) for column in _PREFIX_COLUMNS},
            **{column: getattr(usage, column, None) for column in TOKEN_CLASSES},
            "ttft_s": reply.ttft_s if reply else None,
            "tpot_s": reply.tpot_s if reply else None,
            "e2e_s": reply.e2e_s if reply else self._clock() - began_s,
            "attempts": attempts,
            "error_code": error.code if error else None,
            "tier_requested": None,
            "tier_resolved": reply.tier_resolved if reply else None,
            "latency_mode": reply.latency_mode if reply else None,
            "stop_reason": reply.stop_reason if reply else None,
            "cost_usd": _cost_usd(request.model, reply),
        }
        log.rows.append(row)
        self._metrics.observe_call(row)
        if prompt is not None:
            self._metrics.points.labels(request.model.key).inc(prompt.points)
            self._metrics.points_left_out.labels(request.model.key).inc(prompt.points_left_out)
            self._metrics.observe_prefix(request.model.key, prompt.prefix_hash)


def _cost_usd(model: Model, reply: Reply | None) -> float | None:
    """Dollars at list price; None where the model has no token price, or none for a class that was used."""
    if model.prices is None or reply is None or reply.usage is None:
        return None
    usage = reply.usage
    try:
        return model.prices.cost_usd(
            usage.input_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens_5m,
            usage.cache_write_tokens_1h,
            usage.output_tokens,
        )
    except FactsError:
        return None
