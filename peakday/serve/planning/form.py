"""A plan as a form: which settings of a scenario stand on it, in groups, each with its value and what it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from facts.quota_kinds import kinds_of
from facts.reader import chips, instances, models
from scenarios.schema import Scenario

PEAK = "demand.interactions.peak_per_s"


@dataclass(frozen=True)
class Field:
    """One setting. kind: number, choice, many or switch; `key` is the `--set` key, `part` a piece of its mapping.

    value, base: as YAML reads them; "" where nothing is stated.
    """

    key: str
    label: str
    kind: str
    value: str
    base: str
    unit: str = ""
    part: str = ""
    choices: tuple[str, ...] = ()
    step: str = "any"
    most: str = ""

    @property
    def name(self) -> str:
        """Unique on the page."""
        return f"{self.key}.{self.part}" if self.part else self.key

    @property
    def chosen(self) -> tuple[str, ...]:
        """Of many: those that are on."""
        return tuple(part.strip() for part in self.value.strip("[]").split(",") if part.strip())


@dataclass(frozen=True)
class Group:
    """Fields that belong together; `opened`: shown without a click."""

    title: str
    fields: tuple[Field, ...]
    note: str = ""
    opened: bool = False


def groups(now: Scenario, base: Scenario, prices: Sequence[str]) -> tuple[Group, ...]:
    """The form of a scenario as it is set now, against what it was."""
    return (
        Group("Demand", tuple(_demand(now, base)), "Interactions a second at the peak of all regions.", opened=True),
        Group("Service level and value", tuple(_level(now, base)), opened=True),
        Group("Answers within", tuple(_slos(now, base)), "Self-hosted models, at p99: they size fleets.", opened=True),
        Group("Routes", tuple(_routes(now, base)), "Which model answers.", opened=True),
        Group("Prompt cache", tuple(_cache(now, base)), "Share of input tokens read from cache; empty: as replayed."),
        Group("Chips allowed", tuple(_chips(now, base)), "A chip without a step model is named as not compared."),
        Group("Quotas granted", tuple(_quotas(now, base)), "A minute and a day, in each region; empty: as published."),
        Group("What may fail", tuple(_resilience(now, base))),
        Group("Tokens assumed", tuple(_tokens(now, base)), "Used where no run has measured them."),
        Group("Prices", tuple(_prices(now, prices)), "Yours for this what-if; empty: as in peakday.yaml or published."),
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def _number(
    key: str,
    label: str,
    pair: tuple[object, object],
    unit: str = "",
    *,
    part: str = "",
    step: str = "any",
    most: str = "",
) -> Field:
    """pair: as it is set now, and as it was."""
    return Field(key, label, "number", _text(pair[0]), _text(pair[1]), unit, part=part, step=step, most=most)


def _pair(now: object, base: object, name: str) -> tuple[object, object]:
    return getattr(now, name, None), getattr(base, name, None)


def _demand(now: Scenario, base: Scenario) -> Iterator[Field]:
    a, b = now.demand.interactions.peak_per_s, base.demand.interactions.peak_per_s
    for part, label in (("low", "Peak, low"), ("mid", "Peak, middle"), ("high", "Peak, high")):
        yield _number(PEAK, label, _pair(a, b, part), "/s", part=part)
    yield _number(PEAK, "Between low and high", _pair(a, b, "confidence"), "share", part="confidence", most="0.999")
    for region, part_of in now.event.regions.items():
        pair = _pair(part_of, base.event.regions.get(region), "share")
        yield _number(f"event.regions.{region}.share", region, pair, "share", most="1")


def _level(now: Scenario, base: Scenario) -> Iterator[Field]:
    a, b = now.capacity, base.capacity
    yield _number("capacity.service_level", "Service level", _pair(a, b, "service_level"), "share", most="0.999")
    key = "value_per_interaction_usd"
    yield _number(f"capacity.{key}", "Value of an interaction", _pair(a, b, key), "USD")


def _slos(now: Scenario, base: Scenario) -> Iterator[Field]:
    for name, own in now.capacity.own.items():
        for part, label in (("ttft_s_p99", "first token"), ("tpot_s_p99", "each further token")):
            pair = _pair(own, base.capacity.own.get(name), part)
            yield _number(f"capacity.own.{name}.{part}", f"{name}: {label}", pair, "s")


def _routes(now: Scenario, base: Scenario) -> Iterator[Field]:
    known, a, b = tuple(now.models), now.assistant.policy, base.assistant.policy
    for part in ("simple", "complex"):
        yield _choice(f"assistant.policy.{part}", f"{part} turns", _pair(a, b, part), known)
    for key, model in a.by_intent.items():
        yield _choice(f"assistant.policy.by_intent.{key}", key, (model, b.by_intent.get(key)), known)


def _choice(key: str, label: str, pair: tuple[object, object], choices: tuple[str, ...]) -> Field:
    return Field(key, label, "choice", _text(pair[0]), _text(pair[1]), choices=choices)


def _switch(key: str, label: str, pair: tuple[object, object]) -> Field:
    return Field(key, label, "switch", _text(pair[0]), _text(pair[1]))


def _cache(now: Scenario, base: Scenario) -> Iterator[Field]:
    searches = now.assistant.router.planner_model if now.demand.background.planner_queries else ""
    for name in (model for model in now.models if model != searches):
        pair = now.capacity.hit_ratios.get(name), base.capacity.hit_ratios.get(name)
        yield _number(f"capacity.hit_ratios.{name}", name, pair, "share", most="1")
    yield _switch(
        "assistant.cache.points", "cache points are set", _pair(now.assistant.cache, base.assistant.cache, "points")
    )


def _chips(now: Scenario, base: Scenario) -> Iterator[Field]:
    priced = {instance.chip for instance in instances().values()}
    known = tuple(name for name in chips() if name in priced)
    for name, own in now.capacity.own.items():
        was = base.capacity.own.get(name, own)
        order = (*known, *(chip for chip in own.chips if chip not in known))
        value, before = (_text([chip for chip in order if chip in allowed.chips]) for allowed in (own, was))
        yield Field(f"capacity.own.{name}.chips", name, "many", value, before, choices=order)


def _quotas(now: Scenario, base: Scenario) -> Iterator[Field]:
    known = models()
    units = {
        "rpm": "requests/min",
        "tpm": "tokens/min",
        "tpd": "tokens/day",
        "input_tpm": "tokens/min",
        "output_tpm": "tokens/min",
    }
    for name in (model for model in now.models if known[model].supply == "bedrock"):
        for kind, unit in ((kind, units[kind]) for kind in kinds_of(known[name].endpoint)):
            pair = _pair(now.quotas.get(name), base.quotas.get(name), kind)
            yield _number(f"quotas.{name}.{kind}", f"{name}: {kind}", pair, unit)


def _resilience(now: Scenario, base: Scenario) -> Iterator[Field]:
    a, b, key = now.capacity.resilience, base.capacity.resilience, "capacity.resilience"
    yield _number(f"{key}.zones", "zones", _pair(a, b, "zones"), step="1")
    yield _number(f"{key}.zones_lost", "zones that may be lost", _pair(a, b, "zones_lost"), step="1")
    yield _switch(f"{key}.region_loss", "a region may be lost", _pair(a, b, "region_loss"))
    yield _number(f"{key}.retry_extra_attempts", "extra attempts of a call", _pair(a, b, "retry_extra_attempts"))


def _tokens(now: Scenario, base: Scenario) -> Iterator[Field]:
    a, b, key = now.capacity.assumed_tokens, base.capacity.assumed_tokens, "capacity.assumed_tokens"
    for part, label in _TOKENS.items():
        yield _number(f"{key}.{part}", label, _pair(a, b, part), "tokens", step="1")
    yield _number(f"{key}.calls_per_turn", "model calls a turn", _pair(a, b, "calls_per_turn"))


_TOKENS = {
    "shared_prefix_tokens": "prefix shared by all",
    "customer_prefix_tokens": "prefix of a customer",
    "history_tokens_per_turn": "history a turn",
    "tool_result_tokens": "a tool's result",
    "output_tokens": "an answer",
}


def _prices(now: Scenario, prices: Sequence[str]) -> Iterator[Field]:
    given = dict(text.partition("=")[::2] for text in prices)
    known = models()
    for name in now.models:
        if known[name].supply == "bedrock" and known[name].prices is not None:
            for part in ("input", "output"):
                key = f"tokens.{name}.{part}_usd_per_mtok"
                yield _number(f"price:{key}", f"{name}: {part}", (given.get(key), None), "USD/M tokens")
    allowed = {chip for own in now.capacity.own.values() for chip in own.chips}
    for kind, instance in instances().items():
        if instance.chip in allowed:
            key = f"instances.{kind}.usd_per_hour"
            yield _number(f"price:{key}", kind, (given.get(key), None), "USD/h")


def unlisted(sets: Sequence[str], prices: Sequence[str], listed: Sequence[Group]) -> tuple[str, ...]:
    """Settings that stand on no field, for the box of free lines."""
    keys = {field.key for group in listed for field in group.fields}
    lines = [text for text in sets if text.partition("=")[0].strip() not in keys]
    return (*lines, *(f"price:{text}" for text in prices if f"price:{text.partition('=')[0].strip()}" not in keys))
