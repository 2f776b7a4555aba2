"""A target from its description."""

from __future__ import annotations

from collections.abc import Callable

from host.redaction import shown_url
from loadgen.job import LoadError, TargetSpec
from loadgen.targets.assistant import AssistantTarget
from loadgen.targets.base import Shared, Target
from loadgen.targets.bedrock import BedrockTarget
from loadgen.targets.http import HttpTarget
from loadgen.targets.mapping import is_socket
from loadgen.targets.mcp import McpTarget
from loadgen.targets.module import ModuleTarget
from loadgen.targets.openai import OpenAiTarget
from loadgen.targets.web_socket import SocketTarget
from loadgen.transport.connection import Endpoint, endpoint

_KINDS: dict[str, Callable[[TargetSpec, Endpoint, Shared], Target]] = {
    "assistant": AssistantTarget,
    "openai": OpenAiTarget,
    "bedrock": BedrockTarget,
    "http": HttpTarget,
    "module": ModuleTarget,
}


def make_target(spec: TargetSpec, shared: Shared) -> Target:
    """The target of a kind, at the addresses that the guard resolved.

    Raises:
        LoadError: a host that was not admitted, or a description that lacks something.
    """
    try:
        where = endpoint(spec.url, shared.job.admitted)
    except OSError as error:
        raise LoadError(f"target {spec.kind}={shown_url(spec.url)}: {error.strerror}") from None
    if is_socket(spec.url):
        return SocketTarget(spec, where, shared)
    if (spec.mapping or {}).get("format") == "mcp":
        return McpTarget(spec, where, shared)
    return _KINDS[spec.kind](spec, where, shared)
