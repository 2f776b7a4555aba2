"""Puts the assistant together from a stack: data files, tools, router, clients, application. No process, no socket."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from assistant.app import App
from assistant.autobuy.payments import Payments
from assistant.autobuy.rules import RuleBook
from assistant.chat.shelf import Shelf
from assistant.confirmations import Confirmations
from assistant.history import Conversations
from assistant.metrics import Metrics
from assistant.models.calls import ModelCaller
from assistant.models.protocol import ModelClient
from assistant.policy import ModelPolicy
from assistant.prompt import PromptBuilder
from assistant.quality.sample_buffer import SampleBuffer
from assistant.router.route import Classifier, MessageRouter
from assistant.sessions import Sessions
from assistant.settings import Stack
from assistant.shop.catalogue import Catalogue
from assistant.shop.store import Store
from assistant.shop.web_index import WebIndex
from assistant.storage import Storage, storage_of
from assistant.tools.registry import TOOLS
from assistant.tools.spec import ToolContext
from assistant.turn import Services
from facts.reader import quality
from host.outbox import Outbox
from wire.spans import TurnTrace


@dataclass(frozen=True, slots=True)
class Clocks:
    """The three clocks: `process_s` for durations, `epoch_s` for tokens, `world` for the data's own today."""

    process_s: Callable[[], float]
    epoch_s: Callable[[], float]
    world: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Assistant:
    """Everything one process serves with."""

    app: App
    services: Services
    catalogue: Catalogue
    store: Store
    rules: RuleBook
    payments: Payments

    def close(self) -> None:
        """Release the data files."""
        self.payments.close()
        self.rules.close()
        self.store.close()
        self.catalogue.close()


def assemble(
    stack: Stack,
    catalogue: Catalogue,
    clients: Mapping[str, ModelClient],
    classifier: Classifier | None,
    clocks: Clocks,
    storage: Storage | None = None,
    spans: Outbox[TurnTrace] | None = None,
) -> Assistant:
    """The assistant of a stack over these model clients (by protocol); `storage` None: what the stack names."""
    metrics = Metrics()
    storage = storage or storage_of(stack)
    store, rules, payments = storage.store(), storage.rules(), storage.payments(catalogue.payment_method)
    if not stack.switches.auto_buy.enabled:
        rules.set_enabled(False)  # never on: what an operator turned off stays off over a restart
    if standing := catalogue.standing_rules():
        rules.adopt(standing, catalogue.prices(), clocks.world())
    web = WebIndex(catalogue.documents())

    def tool_context(customer_id: str, locale: str) -> ToolContext:
        # What is charged is in the catalogue's currency, and so is what is shown.
        return ToolContext(customer_id, clocks.world(), catalogue, store, web, rules, catalogue.currency)

    caller = ModelCaller(stack, clients, metrics, clocks.process_s)
    services = Services(
        stack=stack,
        caller=caller,
        prompts=PromptBuilder(TOOLS, stack.switches.cache_ttl, stack.switches.cache.points),
        router=MessageRouter(stack.switches.router, classifier),
        policy=ModelPolicy(stack, quality(stack.quality_file), caller.forecast, caller.headroom),
        tools=TOOLS,
        conversations=Conversations(),
        confirmations=Confirmations(secrets.token_bytes(32)),
        metrics=metrics,
        samples=SampleBuffer(stack.store.with_name("judge-spool.jsonl")),
        tool_context=tool_context,
        clock=clocks.process_s,
        now_s=clocks.epoch_s,
        spans=spans,
    )
    if spans is not None:
        metrics.watch_spans(spans)
    sessions = Sessions(secrets.token_bytes(32))
    shelf = Shelf(catalogue, store, rules, tool_context)
    app = App(services, sessions, rules, payments, lambda: clocks.world().timestamp(), catalogue.customer, shelf)
    return Assistant(app, services, catalogue, store, rules, payments)
