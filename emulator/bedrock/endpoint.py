"""The Bedrock Runtime endpoint: who calls, which operation, and errors in the service's form."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import orjson

from emulator.bedrock.answers import ConverseAnswer, Form
from emulator.bedrock.converse import converse
from emulator.bedrock.messages import ConverseBody, CountBody, GuardrailBody
from emulator.bedrock.model_ids import ModelIds
from emulator.bedrock.native.families import counted_body, family_of, native_body
from emulator.bedrock.prompt import TooDeepError, read_prompt
from emulator.bedrock.shapes import RequestShapes, WrongTypeError
from emulator.bedrock.signatures import is_signed
from emulator.calls import Caller, Refused
from emulator.http.connection import Exchange, Request, Response, json_response
from emulator.language.schema_values import UnusableSchemaError
from emulator.models import EmulatedModel, Emulator

Body = TypeVar("Body")
_MODEL = re.compile(r"/model/(.+)/(converse|converse-stream|count-tokens|invoke|invoke-with-response-stream)")
_GUARDRAIL = re.compile(r"/guardrail/(.+)/version/([^/]+)/apply")
_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([a-z0-9-]+)/bedrock/aws4_request")
_BAD_SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
_OPERATIONS = {"converse": "Converse", "converse-stream": "ConverseStream", "count-tokens": "CountTokens"}
_STREAMING = ("converse-stream", "invoke-with-response-stream")


class Bedrock:
    """Answers requests under /model and /guardrail."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._ids = ModelIds(emulator.by_id)
        self._shapes = RequestShapes((*_OPERATIONS.values(), "ApplyGuardrail"))

    def handle(self, request: Request, connection: Exchange) -> Response | None:
        """Answer one request; every refusal is an error the SDKs know."""
        try:
            try:
                return self._dispatch(request, connection)
            except TooDeepError:
                raise Refused(400, "ValidationException", "The request is nested too deeply.") from None
            except UnusableSchemaError as error:
                raise Refused(400, "ValidationException", str(error)) from None
        except Refused as refused:
            headers = {"x-amzn-ErrorType": refused.name, "x-amzn-RequestId": self._emulator.new_id()}
            return json_response(refused.status, {"message": refused.message}, headers)

    def _dispatch(self, request: Request, connection: Exchange) -> Response | None:
        if request.method != "POST":
            raise Refused(405, "UnsupportedOperationException", "The operation is not supported.")
        caller = self._caller(request)
        if (guardrail := _GUARDRAIL.fullmatch(request.path)) is not None:
            spoken: GuardrailBody = self._checked("ApplyGuardrail", _read(request))
            return self._apply_guardrail(spoken, guardrail[1])
        matched = _MODEL.fullmatch(request.path)
        if matched is None:
            raise Refused(404, "UnknownOperationException", "The operation is not known here.")
        emulated = self._ids.model(matched[1])
        if matched[2] == "count-tokens":
            counted: CountBody = self._checked("CountTokens", _read(request))
            return self._count_tokens(emulated, counted)
        form: Form
        body: ConverseBody
        if matched[2] in _OPERATIONS:
            body, form = self._checked(_OPERATIONS[matched[2]], _read(request)), ConverseAnswer
        else:
            family = family_of(emulated.model.model_id)
            body, form = self._checked("Converse", native_body(family, request.body)), family.form
        streams = matched[2] in _STREAMING
        try:
            converse(self._emulator, emulated, body, request, caller, connection, form, streams)
        except Refused as refused:
            emulated.stats.count_error(refused.name)
            raise
        return None

    def _caller(self, request: Request) -> Caller:
        authorization = request.headers.get("authorization", "")
        if (scope := _SCOPE.match(authorization)) is not None:
            secrets = self._emulator.secrets
            if secrets and not is_signed(request, secrets):
                raise Refused(403, "InvalidSignatureException", _BAD_SIGNATURE)
            return Caller(scope[1], scope[2])
        if authorization.startswith("Bearer "):
            return Caller(authorization.removeprefix("Bearer "), self._emulator.regions[0])
        raise Refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token")

    def _checked(self, operation: str, body: Body) -> Body:
        try:
            violations = self._shapes.violations(operation, body)
        except WrongTypeError:
            raise _unreadable() from None
        if violations:
            number = f"{len(violations)} validation error{'s' if len(violations) > 1 else ''} detected: "
            raise Refused(400, "ValidationException", number + "; ".join(violations))
        return body

    def _count_tokens(self, emulated: EmulatedModel, body: CountBody) -> Response:
        given = body["input"].get("converse")
        if given is None:
            family = family_of(emulated.model.model_id)
            given = self._checked("Converse", counted_body(family, body["input"]["invokeModel"]["body"]))
        return json_response(200, {"inputTokens": read_prompt(given, emulated.profile.tokens).tokens})

    def _apply_guardrail(self, body: GuardrailBody, guardrail: str) -> Response:
        """A guardrail that lets everything pass and meters its text units of 1,000 characters."""
        texts = [block["text"]["text"] for block in body["content"] if "text" in block]
        units = sum(-(-len(text) // 1000) for text in texts)
        counters = ("topicPolicyUnits", "contentPolicyUnits", "wordPolicyUnits", "sensitiveInformationPolicyUnits")
        usage = dict.fromkeys(counters, units)
        usage |= {"sensitiveInformationPolicyFreeUnits": 0, "contextualGroundingPolicyUnits": 0}
        return json_response(200, {"usage": usage, "action": "NONE", "outputs": [], "assessments": []})


def _read(request: Request) -> Any:
    """The body's JSON; `_checked` holds it against the operation's shape."""
    try:
        return orjson.loads(request.body or b"{}")
    except orjson.JSONDecodeError:
        raise _unreadable() from None


def _unreadable() -> Refused:
    return Refused(400, "SerializationException", "The request body could not be read as this operation's input.")
