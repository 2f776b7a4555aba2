"""One turn: guard, route, prefetch, then model calls and tool rounds until the answer stands."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import orjson

from assistant import guard
from assistant.citations import urls_in, urls_of
from assistant.confirmations import Confirmations
from assistant.errors import ModelError, RequestError
from assistant.history import Conversation, Conversations
from assistant.metrics import Metrics
from assistant.models.calls import CallLog, ModelCaller, Prepared
from assistant.models.grounding import grounding, grounds_in_place
from assistant.models.protocol import Block, ModelRequest, Reply, ToolUse
from assistant.policy import Ask, ModelPolicy
from assistant.prompt import PromptBuilder, customer_text
from assistant.quality.sample_buffer import SampleBuffer, SampledTurn, is_sampled
from assistant.requests import TurnRequest
from assistant.router.planner import planner_of
from assistant.router.route import MessageRouter, Route
from assistant.settings import Stack
from assistant.toolbox import Toolbox, ToolRun
from assistant.tools.spec import Tool, ToolContext
from facts.reader import Model
from host.json_values import number, whole
from host.outbox import Outbox
from wire.spans import ToolUsed, TurnTrace

_TAGS = re.compile(r"<(?=\s*/?\s*(?:today|page|prefetch|confirmed|declined)\b)", re.IGNORECASE)
_UNFINISHED = "I could not finish looking into this. Please ask me again, perhaps for one thing at a time."


class Sink(Protocol):
    """Where a turn's events go. Nothing is sent before `open`."""

    is_open: bool

    async def open(self, simulated: bool) -> None:
        """Begin the response."""

    async def event(self, name: str, payload: Mapping[str, object], hold: bool = False) -> None:
        """Send one event; `hold`: it may wait for the next one, for a write each costs more than all else."""

    def delta(self, text: str) -> Awaitable[None] | None:
        """Send a piece of the answer: at once, or when what is returned has been awaited."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a turn uses, made once at start."""

    stack: Stack
    caller: ModelCaller
    prompts: PromptBuilder
    router: MessageRouter
    policy: ModelPolicy
    tools: Mapping[str, Tool]
    conversations: Conversations
    confirmations: Confirmations
    metrics: Metrics
    samples: SampleBuffer
    tool_context: Callable[[str, str], ToolContext]  # customer id, locale
    clock: Callable[[], float]  # seconds of the process, for durations
    now_s: Callable[[], float]  # seconds since the epoch, for tokens
    spans: Outbox[TurnTrace] | None = None  # where turns go as spans; None: nowhere


async def run_turn(
    services: Services, customer_id: str, request: TurnRequest, trace_id: str, sink: Sink, parent_id: str = ""
) -> None:
    """Answer one turn into the sink.

    Args:
        parent_id: span id of whoever asked; empty where it named none.

    Raises:
        RequestError: refused before anything was sent.
        ModelError: a model failed; whatever was sent so far stands.
    """
    conversation = services.conversations.take(customer_id, request.interaction_id, services.clock())
    if conversation is None:
        raise RequestError(409, "turn_in_progress", "this interaction's previous turn is still being answered")
    turn = _Turn(services, customer_id, request, trace_id, sink, conversation, parent_id)
    error: BaseException | None = None
    finished: Conversation | None = None
    try:
        try:
            async with asyncio.timeout(services.stack.switches.limits.wall_s):
                await turn.run()
        except TimeoutError:
            raise ModelError(504, "timeout", "the turn took longer than its limit", sink.is_open) from None
        finally:
            await turn.send_usage()
        finished = turn.conversation
    except BaseException as failure:
        error = failure
        raise
    finally:
        services.conversations.give_back(customer_id, request.interaction_id, finished)
        if services.spans is not None:
            trace = turn.trace(error)
            services.spans.put(trace, trace.parts)


@dataclass(slots=True)
class _Turn:
    services: Services
    customer_id: str
    request: TurnRequest
    trace_id: str
    sink: Sink
    conversation: Conversation
    parent_id: str = ""
    started_s: float = 0.0
    started_unix_s: float = 0.0
    route: Route | None = None
    route_s: float = 0.0
    prefetch_s: float = 0.0
    prefetched: list[str] = field(default_factory=list)
    guard_action: str = guard.PASS
    model_key: str | None = None
    customer_text: str = ""
    turn_start: int = 0
    choice_reason: str | None = None
    region: str = ""
    log: CallLog = field(default_factory=lambda: CallLog(0.0))
    answer: list[str] = field(default_factory=list)
    cited: dict[str, None] = field(default_factory=dict)
    tools_used: list[ToolUsed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.started_s, self.started_unix_s = self.services.clock(), self.services.now_s()
        self.log.started_s = self.started_s
        regions = self.services.stack.regions
        self.region = self.request.region if self.request.region in regions else regions[0]

    async def run(self) -> None:
        """The turn from guard to done."""
        services = self.services
        checked = guard.check(self.request.message)
        self.guard_action = checked.action
        services.metrics.guard.labels(checked.action).inc()
        if self.conversation.turns == 0:
            services.metrics.interactions.inc()
        if checked.answer is not None:
            await self._refuse(checked.answer)
            return
        await self._route(checked.message)
        toolbox = self._toolbox()
        # Once a turn: a fact remembered half-way must not move the prefix under the turn's own history.
        facts = toolbox.context.store.facts(self.customer_id)
        self.customer_text = customer_text(
            services.stack.marketplaces.get(self.request.locale), facts, toolbox.context.currency
        )
        content = await self._first_message(toolbox, checked.message)
        self.turn_start = len(self.conversation.messages)
        self.conversation.append({"role": "user", "content": content})
        stop_reason = await self._answer(toolbox)
        self._sample()
        self.conversation.turns += 1
        self.conversation.intent = self.route.intent if self.route else None
        await self._done(stop_reason, toolbox.pending)

    # A listener of model calls: the response begins when the first model has accepted the request.

    async def opened(self, simulated: bool) -> None:
        """Begin the response with what is known by now."""
        self.log.simulated = simulated
        if not self.sink.is_open:
            await self.sink.open(simulated)
            await self.sink.event("meta", self._meta(simulated))
            await self.send_usage()

    async def text(self, text: str) -> None:
        """Pass on a piece of the answer."""
        if (rest := self.text_now(text)) is not None:
            await rest

    def text_now(self, text: str) -> Awaitable[None] | None:
        """The same, at once where the customer's connection takes it."""
        self.answer.append(text)
        return self.sink.delta(text)

    async def send_usage(self) -> None:
        """Send the rows of calls that ended since the last time."""
        if self.sink.is_open:
            while self.log.sent < len(self.log.rows):
                row = self.log.rows[self.log.sent]
                self.log.sent += 1
                await self.sink.event("usage", row, hold=True)

    # --- stages

    async def _route(self, message: str) -> None:
        services, began_s = self.services, self.services.clock()
        planner = planner_of(services.stack, services.caller, self.log, self.region)
        route = await services.router.route(message, self.conversation.intent, planner)
        self.route = route
        self.route_s = services.clock() - began_s
        self.model_key = self._model_for(route)
        services.metrics.route_s.labels(route.stage).observe(self.route_s)
        services.metrics.routes.labels(self.model_key, route.stage).inc()
        if self.route_s > services.stack.switches.router.budget_s:
            services.metrics.route_over_budget.inc()

    def _model_for(self, route: Route) -> str:
        """The policy's choice; its reason goes into `meta`."""
        request = self.request
        ask = Ask(route.intent, route.complexity, request.locale, bool(request.images), self.region)
        choice = self.services.policy.choose(ask)
        if choice is None:
            raise RequestError(400, "no_model", "no model of this stack takes pictures in this marketplace", "images")
        self.choice_reason = choice.reason
        self.services.metrics.choices.labels(choice.model, choice.reason).inc()
        return choice.model

    def _toolbox(self) -> Toolbox:
        assert self.route is not None
        services = self.services
        ground = grounding(services.stack, services.caller, self.log, self.region)
        return Toolbox(
            tools=services.tools,
            context=replace(services.tool_context(self.customer_id, self.request.locale), ground=ground),
            request=self.request,
            intent=self.route.intent,
            conversation=self.conversation,
            confirmations=services.confirmations,
            clock=services.clock,
            started_s=self.started_s,
            now_s=services.now_s(),
            timeout_s=services.stack.switches.tools.timeout_s,
        )

    async def _first_message(self, toolbox: Toolbox, message: str) -> list[Block]:
        """The turn's user message: what the store knows first, the customer's own words last."""
        began_s = self.services.clock()
        content: list[Block] = [
            {"image": {"format": image.format, "source": {"bytes": image.data}}} for image in self.request.images
        ]
        content.append({"text": f"<today>{toolbox.context.now.date().isoformat()}</today>"})
        if self.request.product_id is not None:
            content.append({"text": f"<page>{_json({'product_id': self.request.product_id})}</page>"})
        if self.services.stack.switches.context.prefetch:
            for name, result in (await toolbox.prefetch()).items():
                content.append({"text": f'<prefetch tool="{name}">{_json(result)}</prefetch>'})
                self.prefetched.append(name)
        if self.request.confirm_token is not None:
            content.append({"text": await self._confirmation(toolbox, self.request.confirm_token)})
        self.prefetch_s = self.services.clock() - began_s
        return [*content, {"text": _own_words(message)}]

    async def _confirmation(self, toolbox: Toolbox, token: str) -> str:
        confirmed = self.services.confirmations.check(
            token, self.customer_id, self.request.interaction_id, self.services.now_s()
        )
        if not self.request.confirm_accept:
            self.services.confirmations.decline(confirmed, self.services.now_s())
            return f'<declined tool="{confirmed.tool}">The customer declined; nothing was done.</declined>'
        result = await toolbox.confirmed(confirmed)
        return f'<confirmed tool="{confirmed.tool}">{_json(result)}</confirmed>'

    async def _answer(self, toolbox: Toolbox) -> str:
        """Calls and tool rounds until the model stops asking; returns why it ended."""
        limits = self.services.stack.switches.limits
        rounds = 0
        while True:
            reply = await self._call()
            await self.send_usage()
            if not reply.tool_uses:
                self.conversation.append({"role": "assistant", "content": reply.content or [{"text": "…"}]})
                return reply.stop_reason
            if rounds >= limits.rounds or len(self.log.rows) >= limits.calls:
                await self.text(_UNFINISHED)
                self.conversation.append({"role": "assistant", "content": [{"text": _UNFINISHED}]})
                return "limit_rounds" if rounds >= limits.rounds else "limit_calls"
            rounds += 1
            self.conversation.append({"role": "assistant", "content": reply.content})
            runs = await self._use_tools(toolbox, reply.tool_uses, rounds)
            self.conversation.append({"role": "user", "content": [run.block() for run in runs]})

    async def _call(self) -> Reply:
        assert self.model_key is not None
        services, stack = self.services, self.services.stack
        tails: dict[str, int | None] = {}

        def prepare(model: Model, region: str) -> Prepared:
            room = model.context_tokens - (stack.switches.max_tokens or model.max_output_tokens)
            prefix_tokens = services.prompts.prefix_tokens(self.customer_text)
            trimmed = self.conversation.trim(room - prefix_tokens)
            if trimmed:
                services.metrics.trimmed.inc(trimmed)
            in_place = grounds_in_place(stack, model, region)
            prompt = services.prompts.build(model, self.customer_text, self.conversation, in_place)
            tails[model.key] = prompt.tail
            request = ModelRequest(
                model=model,
                region=region,
                system=prompt.system,
                messages=prompt.messages,
                tools=prompt.tools,
                max_tokens=stack.switches.max_tokens,
                parallel_tools=stack.switches.tools.parallel,
            )
            return Prepared(request, prompt, prefix_tokens + sum(self.conversation.tokens))

        model = stack.models[self.model_key]
        reply, used = await services.caller.call(self.log, "answer", model, self.region, prepare, self)
        self.model_key = used.key
        self.conversation.last_tail = tails[used.key]
        if reply.citations:
            # It looked something up itself: strangers' text was read, and these addresses were returned.
            self.conversation.tainted = True
            self.conversation.urls.update(reply.citations)
            self.cited.update(dict.fromkeys(reply.citations))
        return reply

    async def _use_tools(self, toolbox: Toolbox, uses: list[ToolUse], number: int) -> list[ToolRun]:
        """Run one round's tools, all at once or one after another, and report each."""
        if self.services.stack.switches.tools.parallel and len(uses) > 1:
            runs = await asyncio.gather(*(toolbox.use(use) for use in uses))
        else:
            runs = [await toolbox.use(use) for use in uses]
        for run in runs:
            last = run is runs[-1]
            if self.services.spans is not None:
                use = run.use
                used = ToolUsed(use.name, use.tool_use_id, number, run.start_s, run.duration_s, run.status)
                self.tools_used.append(used)
            self.services.metrics.tool_s.labels(_metric_name(self.services.tools, run), run.status).observe(
                run.duration_s
            )
            self.conversation.urls.update(urls_of(run.result))
            await self.sink.event(
                "tool",
                {
                    "tool": run.use.name,
                    "arguments": run.use.input,
                    "tool_use_id": run.use.tool_use_id,
                    "round": number,
                    "start_s": run.start_s,
                    "duration_s": run.duration_s,
                    "status": run.status,
                },
                hold=not last,
            )
        return runs

    def _sample(self) -> None:
        """SampleBuffer this turn for judging, if it belongs to the sample."""
        request, route = self.request, self.route
        ratio = self.services.stack.switches.judge_ratio
        if route is None or not is_sampled(request.interaction_id, request.turn_index, ratio):
            return
        material = [
            [block for block in message["content"] if "image" not in block]
            for message in self.conversation.messages[self.turn_start :]
        ]
        self.services.samples.add(
            SampledTurn(
                trace_id=self.trace_id,
                model=self.model_key or "",
                intent=route.intent,
                complexity=route.complexity,
                message=material[0][-1]["text"],  # as the guard let it pass: no card number goes to a judge either
                context=orjson.dumps(material[:-1]).decode(),
                answer="".join(self.answer),
            )
        )

    async def _refuse(self, answer: str) -> None:
        """The guard's own answer; no model is asked."""
        await self.opened(not self.services.stack.live)
        await self.text(answer)
        await self._done("guardrail", None)

    async def _done(self, stop_reason: str, pending: Mapping[str, object] | None) -> None:
        await self.send_usage()
        rows = self.log.rows
        costs = [number(row["cost_usd"]) for row in rows if row["cost_usd"] is not None]
        written = dict.fromkeys(urls_in("".join(self.answer)))
        await self.sink.event(
            "done",
            {
                "stop_reason": stop_reason,
                "output_tokens": sum(whole(row["output_tokens"]) for row in rows if row["purpose"] != "route"),
                "cost_usd": sum(costs) if costs else None,
                # Only addresses that a search returned: an invented one is no citation.
                "citations": [url for url in {**self.cited, **written} if url in self.conversation.urls],
                "pending_confirmation": pending,
                "e2e_s": self.services.clock() - self.started_s,
            },
        )

    def trace(self, error: BaseException | None) -> TurnTrace:
        """The turn as it ended, for spans: no word of the customer's, the store's or a model's is in it."""
        route, request = self.route, self.request
        known = {"peakday.intent": route.intent, "peakday.complexity": route.complexity} if route else {}
        return TurnTrace(
            trace_id=self.trace_id,
            parent_id=self.parent_id,
            started_unix_s=self.started_unix_s,
            duration_s=self.services.clock() - self.started_s,
            error=None if error is None else str(getattr(error, "code", type(error).__name__)),
            attributes={
                "gen_ai.conversation.id": request.interaction_id,
                "peakday.turn_index": request.turn_index,
                "peakday.route": self.model_key,
                "peakday.region": self.region,
                "peakday.guard_action": self.guard_action,
                "peakday.simulated": self.log.simulated,
                **known,
            },
            calls=tuple(self.log.rows),
            tools=tuple(self.tools_used),
        )

    def _meta(self, simulated: bool) -> dict[str, object]:
        route = self.route
        return {
            "trace_id": self.trace_id,
            "interaction_id": self.request.interaction_id,
            "turn_index": self.request.turn_index,
            "intent": route.intent if route else None,
            "complexity": route.complexity if route else None,
            "route": self.model_key,
            "route_reason": self.choice_reason,
            "spills": self.log.spills,
            "router_stage": route.stage if route else None,
            "route_s": self.route_s,
            "prefetch": self.prefetched,
            "prefetch_s": self.prefetch_s,
            "guard_action": self.guard_action,
            "escalated": route is not None and route.intent == "human_agent",
            "region": self.region,
            "simulated": simulated,
        }


def _json(value: Mapping[str, object]) -> str:
    """JSON in which no tag can begin: text of a product cannot close the block that it stands in."""
    return orjson.dumps(value).decode().replace("<", "\\u003c")


def _own_words(message: str) -> str:
    """The customer's message without the store's own tags: only the store says what was fetched or confirmed."""
    return _TAGS.sub("&lt;", message)


def _metric_name(tools: Mapping[str, Tool], run: ToolRun) -> str:
    """Tool names of metrics come from our list only: a model's inventions would grow it without end."""
    return run.use.name if run.use.name in tools else "unknown"
