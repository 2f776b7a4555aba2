"""Spans as OTLP over HTTP: the protobuf of an export request, and its POST to an address that was admitted.

The messages are those of opentelemetry-proto, which the extra `otel` brings. Our own sending replaces the exporter's:
it follows no redirect and no proxy, connects to the addresses that the guard resolved, and counts what is refused.
Sources: OpenTelemetry Protocol 1.9, "OTLP/HTTP"; OpenTelemetry specification, "OTLP exporter configuration" (2026-11).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from host.fetch import fetch
from wire.spans import Span, Value
from wire.text import Untrusted

PATH = "/v1/traces"
HEADERS_VARIABLE = "OTEL_EXPORTER_OTLP_HEADERS"
"""`name=value,name=value`, percent-encoded, as every OTLP exporter reads it: where a receiver wants a key."""
WITHIN_S = 10.0
SPANS_MAX = 512
"""Of one request: the batch size that OpenTelemetry's own processors use."""
WORDS_MAX = 100
"""Of what a receiver says."""


def traces_url(url: str) -> str:
    """The address of traces: a base address gets OTLP's own path."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return parts._replace(path=path if path.endswith(PATH) else f"{path}{PATH}").geturl()


def request_bytes(spans: Iterable[Span], resource: Mapping[str, Value]) -> bytes:
    """An ExportTraceServiceRequest.

    Args:
        resource: what made them: service.name, and ours.
    """
    request = ExportTraceServiceRequest()
    batch = request.resource_spans.add(resource=Resource(attributes=_pairs(resource)))
    scope = batch.scope_spans.add(scope=InstrumentationScope(name="peakday"))
    for span in spans:
        _fill(scope.spans.add(), span)
    return bytes(request.SerializeToString())


@dataclass(frozen=True)
class Taken:
    """What a receiver said to a request: how many spans it refused, and its words, where it said any."""

    refused: int = 0
    words: str = ""


def sender(url: str, addresses: Sequence[str], resource: Mapping[str, Value]) -> Callable[[Sequence[Span]], Taken]:
    """A function that posts spans in one request, so that all of them were answered or none.

    Args:
        addresses: what the guard resolved the host to.

    Raises, when called:
        FetchError: no answer, or another status than 2xx.
    """
    headers = {"Content-Type": "application/x-protobuf", **own_headers(os.environ.get(HEADERS_VARIABLE, ""))}

    def send(spans: Sequence[Span]) -> Taken:
        data = request_bytes(spans, resource)
        answer = fetch(traces_url(url), data, within_s=WITHIN_S, addresses=addresses, headers=headers)
        return taken(answer, len(spans))

    return send


def taken(answer: bytes, spans: int) -> Taken:
    """What the body of an answer says of so many spans; one that is no message of OTLP tells nothing."""
    response = ExportTraceServiceResponse()
    try:
        response.ParseFromString(answer)
    except Exception:  # protobuf's own class of error has moved between its versions
        return Taken(words="the answer is no message of OTLP, so what it took is unknown")
    partial = response.partial_success
    return Taken(min(max(partial.rejected_spans, 0), spans), Untrusted(partial.error_message).terminal[:WORDS_MAX])


def own_headers(text: str) -> dict[str, str]:
    """Headers of the variable; a pair that is none is left out."""
    pairs = (pair.partition("=") for pair in text.split(","))
    return {name.strip(): unquote(value.strip()) for name, mark, value in pairs if mark and name.strip()}


def _fill(message: trace_pb2.Span, span: Span) -> None:
    message.trace_id = bytes.fromhex(span.trace_id)
    message.span_id = bytes.fromhex(span.span_id)
    message.parent_span_id = bytes.fromhex(span.parent_id)
    message.name = span.name
    message.kind = span.kind  # type: ignore[assignment]
    message.start_time_unix_nano, message.end_time_unix_nano = span.start_ns, span.end_ns
    message.attributes.extend(_pairs(span.attributes))
    if span.error is not None:
        message.status.code = trace_pb2.Status.STATUS_CODE_ERROR
        message.attributes.extend(_pairs({"error.type": span.error}))
    if span.link is not None:
        message.links.add(trace_id=bytes.fromhex(span.link[0]), span_id=bytes.fromhex(span.link[1]))


def _pairs(attributes: Mapping[str, Value]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in attributes.items()]


def _value(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return AnyValue(int_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value.encode("utf-8", "replace").decode())
    return AnyValue(double_value=float(value))
