"""The documented rules of Converse, each tried once: what they say, what was found, and whether the two agree."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from facts.reader import Model
from host.json_values import mapping, objects, text, whole
from peakday.account.bedrock_calls import Answer, Bedrock, Event

OUTPUT_TOKENS = 32
QUESTION = "Reply with one short sentence."
USAGE_FIELDS = ("inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
TTL_S = 300
BURST = 120
"""Requests that ask for the throttle of an account: each reserves the model's longest answer, and writes one word."""
_SENTENCE = "The parcel with the green kettle left the warehouse on a quiet morning in May. "
_ORDER = ("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata")


@dataclass(frozen=True)
class Finding:
    """One rule. agrees None: not tried, and `found` says why."""

    rule: str
    documented: str
    found: str
    agrees: bool | None


@dataclass(frozen=True)
class Texts:
    """Texts of a wanted number of tokens, each new to every cache."""

    chars_per_token: float

    def of(self, tokens: float) -> str:
        """About so many tokens; the first words are never repeated."""
        chars = round(tokens * self.chars_per_token)
        head = f"Note {secrets.token_hex(6)}. "
        return (head + _SENTENCE * (chars // len(_SENTENCE) + 1))[: max(chars, len(head))]


def request(
    question: str = QUESTION,
    *,
    system: Sequence[Mapping[str, object]] = (),
    before: Sequence[Mapping[str, object]] = (),
    tools: Sequence[Mapping[str, object]] = (),
    max_tokens: int = OUTPUT_TOKENS,
) -> dict[str, object]:
    """A Converse body. `before`: content blocks in front of the question."""
    body: dict[str, object] = {
        "messages": [{"role": "user", "content": [*before, {"text": question}]}],
        "inferenceConfig": {"maxTokens": max_tokens},
    }
    if system:
        body["system"] = list(system)
    if tools:
        body["toolConfig"] = {"tools": list(tools)}
    return body


def point(ttl: str | None = None) -> dict[str, object]:
    """A cache point."""
    return {"cachePoint": {"type": "default", **({"ttl": ttl} if ttl else {})}}


def with_point(text: str, ttl: str | None = None) -> list[Mapping[str, object]]:
    """A text with a cache point after it."""
    return [{"text": text}, point(ttl)]


def calibrate(bedrock: Bedrock) -> Texts | str:
    """Characters of one token, from two lengths; a line where the endpoint does not answer."""
    counted = []
    for repeats in (4, 40):
        text = f"Note {secrets.token_hex(6)}. " + _SENTENCE * repeats
        answer = bedrock.converse(request(text))
        if answer.status != 200:
            return f"{answer.status} {answer.error}: {str(answer.body.get('message', ''))[:120]}"
        counted.append((len(text), answer.tokens("inputTokens")))
    (chars_a, tokens_a), (chars_b, tokens_b) = counted
    return Texts((chars_b - chars_a) / max(1, tokens_b - tokens_a))


def usage_fields(bedrock: Bedrock, texts: Texts) -> Finding:
    """TokenUsage has its five counts; the total is their sum."""
    usage = bedrock.converse(request(texts.of(200))).usage
    missing = [name for name in USAGE_FIELDS if name not in usage]
    parts = sum(whole(usage.get(name)) for name in USAGE_FIELDS if name != "totalTokens")
    total = usage.get("totalTokens")
    found = f"missing {', '.join(missing)}" if missing else f"all five; total {total}, sum of the others {parts}"
    documented = f"{', '.join(USAGE_FIELDS)}; the total is the sum of the others"
    return Finding("usage fields", documented, found, not missing and total == parts)


def write_then_read(bedrock: Bedrock, texts: Texts, model: Model) -> Finding:
    """The first call writes the prefix, the next reads exactly that."""
    system = with_point(texts.of(1.5 * (model.cache.min_tokens or 1_000)))
    first, second = (bedrock.converse(request(system=system)) for _ in range(2))
    written, read_first = first.tokens("cacheWriteInputTokens"), first.tokens("cacheReadInputTokens")
    read, written_again = second.tokens("cacheReadInputTokens"), second.tokens("cacheWriteInputTokens")
    return Finding(
        "cache write, then read",
        "first call writes and reads none; the second reads what was written and writes none",
        f"first wrote {written} and read {read_first}; second read {read} and wrote {written_again}",
        written > 0 and read_first == 0 and read == written and written_again == 0,
    )


def write_details(bedrock: Bedrock, texts: Texts, model: Model) -> Finding:
    """cacheDetails splits what was written by its lifetime."""
    system = with_point(texts.of(1.5 * (model.cache.min_tokens or 1_000)))
    usage = bedrock.converse(request(system=system)).usage
    by_ttl = {str(item.get("ttl")): whole(item.get("inputTokens")) for item in objects(usage.get("cacheDetails"))}
    return Finding(
        "cacheDetails",
        "a list of {ttl, inputTokens} that adds up to cacheWriteInputTokens",
        f"{by_ttl or 'absent'}; cacheWriteInputTokens {usage.get('cacheWriteInputTokens')}",
        bool(by_ttl) and sum(by_ttl.values()) == usage.get("cacheWriteInputTokens"),
    )


def minimum(bedrock: Bedrock, texts: Texts, model: Model) -> Finding:
    """Below the model's minimum nothing is cached, silently; above it the prefix is."""
    least = model.cache.min_tokens or 0
    below, above = (bedrock.converse(request(system=with_point(texts.of(share * least)))) for share in (0.9, 1.1))
    found = [answer.tokens("cacheWriteInputTokens") for answer in (below, above)]
    return Finding(
        "minimum",
        f"below {least:,} tokens the call succeeds and writes none; above it writes ({model.cache.status})",
        f"{0.9 * least:,.0f} tokens: {below.status}, wrote {found[0]}; {1.1 * least:,.0f} tokens: wrote {found[1]}",
        below.status == 200 and found[0] == 0 and found[1] > 0,
    )


def refusals(bedrock: Bedrock, texts: Texts, model: Model) -> Iterator[Finding]:
    """What the cache does not take is a ValidationException, and what it takes is not."""
    rule, long = model.cache, texts.of(1.5 * (model.cache.min_tokens or 1_000))
    many: list[Mapping[str, object]] = []
    for _ in range(rule.max_points + 1):
        many += with_point(texts.of(40))
    many[0] = {"text": long}
    yield _validation(f"{rule.max_points + 1} cache points", bedrock.converse(request(system=many)), wanted=False)
    tool = {"toolSpec": {"name": "look", "description": long, "inputSchema": {"json": {"type": "object"}}}}
    answer = bedrock.converse(request(tools=[tool, point()]))
    yield _validation("cache point after tools", answer, wanted="tools" in rule.points)
    answer = bedrock.converse(request(system=with_point(long, "1h")))
    yield _validation("ttl 1h", answer, wanted="1h" in rule.ttls)
    if "1h" in rule.ttls:
        mixed = request(system=with_point(long, "5m"), before=with_point(texts.of(1_500), "1h"))
        yield _validation("1h after 5m", bedrock.converse(mixed), wanted=False)
    unknown = bedrock.converse(request(), model_id="nobody.knows-this-model-v1:0")
    yield _unknown_model(unknown)


def _unknown_model(answer: Answer) -> Finding:
    """Converse documents both errors, and clients meet either by how an identifier is wrong."""
    message = str(answer.body.get("message", ""))[:80]
    agrees = (answer.status, answer.error) in ((404, "ResourceNotFoundException"), (400, "ValidationException"))
    documented = "404 ResourceNotFoundException, or 400 ValidationException, with a message"
    return Finding("unknown model", documented, f"{answer.status} {answer.error}: {message}", agrees and bool(message))


def _validation(what: str, answer: Answer, *, wanted: bool) -> Finding:
    documented = "accepted" if wanted else "400 ValidationException with a message"
    message = str(answer.body.get("message", ""))[:80]
    found = "accepted" if answer.status == 200 else f"{answer.status} {answer.error or 'no name'}: {message}"
    agrees = answer.status == 200 if wanted else (answer.status, answer.error) == (400, "ValidationException")
    return Finding(what, documented, found, agrees and (wanted or bool(message)))


def expiry(bedrock: Bedrock, texts: Texts, model: Model, wait: Callable[[float], str | None]) -> Finding:
    """Five minutes without a hit end an entry. `wait` lets that time pass, or says why it cannot."""
    documented = "an entry that is not read for 5 minutes is gone"
    system = with_point(texts.of(1.5 * (model.cache.min_tokens or 1_000)))
    bedrock.converse(request(system=system))
    cannot = wait(TTL_S + 5)
    if cannot is not None:
        return Finding("5m lifetime", documented, cannot, None)
    again = bedrock.converse(request(system=system))
    read, written = again.tokens("cacheReadInputTokens"), again.tokens("cacheWriteInputTokens")
    return Finding("5m lifetime", documented, f"after it: read {read}, wrote {written}", read == 0 and written > 0)


def event_order(events: Sequence[Event]) -> Finding:
    """messageStart, blocks of deltas each with its stop, messageStop, then metadata with usage and latency."""
    names = [event.name for event in events]
    runs = [name for place, name in enumerate(names) if place == 0 or names[place - 1] != name]
    places = [_ORDER.index(name) if name in _ORDER else -1 for name in runs]
    last = events[-1].payload if events else {}
    complete = "usage" in last and "latencyMs" in mapping(last.get("metrics"))
    agrees = places == sorted(places) and set(_ORDER) - {"contentBlockStart"} <= set(names) and complete
    return Finding(
        "event order",
        "messageStart, [contentBlockStart,] contentBlockDelta…, contentBlockStop, messageStop, metadata with usage "
        "and metrics.latencyMs",
        f"{', '.join(runs)}{'' if complete else '; metadata lacks usage or latencyMs'}",
        agrees,
    )


def filler(events: Sequence[Event]) -> Finding:
    """Each event is padded by a member `p` of varying length, so that its size tells no token."""
    lengths = [len(text(event.payload["p"])) for event in events if isinstance(event.payload.get("p"), str)]
    found = (
        f"{len(lengths)} of {len(events)} events, {min(lengths)} to {max(lengths)} characters" if lengths else "none"
    )
    deltas = [event for event in events if event.name == "contentBlockDelta"]
    agrees = bool(lengths) and all("p" in event.payload for event in deltas)
    return Finding(
        "filler", "every delta has a padding member `p` (seen on the wire; no page describes it)", found, agrees
    )


def throttle_shape(answer: Answer | None, why_not: str = "") -> Finding:
    """A quota's refusal: 429 ThrottlingException with a message, before the stream, and no hint when to come back."""
    documented = "429 ThrottlingException with a message; no Retry-After"
    if answer is None:
        return Finding("throttle", documented, why_not, None)
    hint = "retry-after" in answer.headers
    found = (
        f"{answer.status} {answer.error}{', Retry-After' if hint else ''}: {str(answer.body.get('message', ''))[:80]}"
    )
    agrees = (answer.status, answer.error) == (429, "ThrottlingException") and bool(answer.body.get("message"))
    return Finding("throttle", documented, found, agrees and not hint)
