"""Bedrock's Converse API as values: request body, stream events, errors. Shared by `bedrock` and `boto3`.

Source: Amazon Bedrock API reference, Converse and ConverseStream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from assistant.errors import ModelError
from assistant.models.protocol import ModelRequest, Usage
from assistant.models.reply import ReplyBuilder

STATUS_OF = {"ThrottlingException": 429, "ModelNotReadyException": 429, "ServiceUnavailableException": 503}
"""Errors whose meaning the caller can act on; every other one is passed on as 502."""

_ONE_TOOL_A_CALL = {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}


def request_fields(request: ModelRequest) -> dict[str, Any]:
    """The Converse request, tool configuration left out (its bytes are made once, see `body`)."""
    fields: dict[str, Any] = {"messages": list(request.messages)}
    if request.system:
        fields["system"] = list(request.system)
    if request.max_tokens is not None:
        fields["inferenceConfig"] = {"maxTokens": request.max_tokens}
    if request.tools is not None and not request.parallel_tools:
        fields["additionalModelRequestFields"] = _ONE_TOOL_A_CALL
    return fields


def body(request: ModelRequest) -> bytes:
    """The request's JSON."""
    fields = request_fields(request)
    if request.tools is not None:
        fields["toolConfig"] = orjson.Fragment(request.tools.converse)
    return orjson.dumps(fields)


def apply_event(builder: ReplyBuilder, name: str, event: Mapping[str, object]) -> str | None:
    """Take one stream event into the reply; returns the text it carried, if any. Unknown events say nothing.

    Raises:
        ModelError: a known event without what it must hold.
    """
    try:
        return _apply(builder, name, event)
    except (KeyError, TypeError) as error:
        raise ModelError(502, "bad_stream", f"the model's stream is damaged: {name} without {error}", True) from None


def _apply(builder: ReplyBuilder, name: str, event: Mapping[str, Any]) -> str | None:
    if name == "contentBlockDelta":
        return _apply_delta(builder, event["contentBlockIndex"], event["delta"])
    if name == "contentBlockStart":
        if use := event.get("start", {}).get("toolUse"):
            builder.tool_start(event["contentBlockIndex"], use["toolUseId"], use["name"])
    elif name == "messageStop":
        builder.stop_reason = event["stopReason"]
    elif name == "metadata":
        builder.usage = usage(event["usage"])
        builder.tier_resolved = (event.get("serviceTier") or {}).get("type")
        builder.latency_mode = (event.get("performanceConfig") or {}).get("latency")
    return None


def _apply_delta(builder: ReplyBuilder, index: int, delta: Mapping[str, Any]) -> str | None:
    text = delta.get("text")
    if text is not None:
        builder.text(index, text)
        return str(text)
    if "toolUse" in delta:
        builder.tool_input(index, delta["toolUse"]["input"])
    elif "citation" in delta:
        location = delta["citation"].get("location") or {}
        url = (location.get("web") or {}).get("url")
        if url:
            builder.citations.append(url)
    return None


def usage(raw: Mapping[str, Any]) -> Usage:
    """TokenUsage; writes are split by TTL through `cacheDetails`, and count as 5m where that is absent."""
    written = raw.get("cacheWriteInputTokens") or 0
    written_1h = sum(
        detail.get("inputTokens", 0) for detail in raw.get("cacheDetails") or () if detail.get("ttl") == "1h"
    )
    return Usage(
        input_tokens=raw["inputTokens"],
        output_tokens=raw["outputTokens"],
        cache_read_tokens=raw.get("cacheReadInputTokens") or 0,
        cache_write_tokens_5m=written - written_1h,
        cache_write_tokens_1h=written_1h,
    )


def error_of(name: str, message: str, http_status: int | None, streaming: bool) -> ModelError:
    """A provider's exception as ours; `name` may come as `prefix#Name`, as `Name:detail`, or uncapitalised."""
    code = name.rsplit("#", 1)[-1].split(":", 1)[0] or f"http_{http_status}"
    code = code[:1].upper() + code[1:] if code.endswith("Exception") else code
    status = STATUS_OF.get(code) or (http_status if http_status in (429, 503) else 502)
    return ModelError(status, code, message or code, streaming)
