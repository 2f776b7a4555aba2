"""InvokeModel and InvokeModelWithResponseStream: a model's own body, read as a Converse request and answered in kind.

Claude speaks Anthropic's Messages, Nova the `messages-v1` schema. What the body lacks is refused in the
service's words.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from emulator.bedrock.answers import Form
from emulator.bedrock.messages import ConverseBody
from emulator.bedrock.model_ids import base_of
from emulator.bedrock.native import claude, nova
from emulator.calls import Refused


@dataclass(frozen=True)
class Family:
    """How the models of a family are spoken to: what a body must have, as a Converse body, and their answers."""

    required: tuple[str, ...]
    converse_body: Callable[..., ConverseBody]
    form: Form


_FAMILIES = {
    "anthropic.": Family(("anthropic_version", "max_tokens", "messages"), claude.converse_body, claude.ClaudeAnswer),
    "amazon.nova": Family(("messages",), nova.converse_body, nova.NovaAnswer),
}


def family_of(model_id: str) -> Family:
    """The family of a model.

    Raises:
        Refused: one whose own body is not known here.
    """
    base = base_of(model_id)
    for prefix, family in _FAMILIES.items():
        if base.startswith(prefix):
            return family
    raise Refused(
        400, "ValidationException", "InvokeModel is offered here for Claude and Nova models only; use Converse."
    )


def native_body(family: Family, data: bytes) -> ConverseBody:
    """The Converse body that a model's own body means.

    Raises:
        Refused: no JSON object, without a required key, or of a form that the family does not take.
    """
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise _malformed("expected a JSON object") from None
    if not isinstance(body, dict):
        raise _malformed("#: expected type: JSONObject")
    for name in family.required:
        if body.get(name) is None:
            raise _malformed(f"#: required key [{name}] not found")
    try:
        return family.converse_body(body)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _malformed(f"{type(error).__name__} {error}") from None


def counted_body(family: Family, body: str) -> ConverseBody:
    """The same, of CountTokens' `invokeModel.body`, which is base64."""
    return native_body(family, base64.b64decode(body))


def _malformed(why: str) -> Refused:
    return Refused(
        400, "ValidationException", f"Malformed input request: {why}, please reformat your input and try again."
    )
