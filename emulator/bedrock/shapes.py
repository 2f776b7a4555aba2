"""Requests checked against botocore's own model of bedrock-runtime: its shapes are loaded, never retyped.

The messages have the service's form: "2 validation errors detected: Value '...' at 'messages.1.member.role' failed to
satisfy constraint: Member must satisfy enum value set: [user, assistant]; Value null at ...".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

import botocore.loaders
import botocore.model
import orjson
from botocore.model import Shape

from host.json_values import number

Check = Callable[[object, str, list[str]], None]
"""(value, path, violations): appends what is wrong with the value at the path."""

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
}


_REMEMBERED = 128  # values of one member of a request,
_REMEMBERED_BYTES_MAX = 65_536  # each of them at most so long


class WrongTypeError(Exception):
    """JSON of another type than the shape's: the service answers SerializationException and reads no further."""


def service_model() -> botocore.model.ServiceModel:
    """botocore's model of the service."""
    raw = botocore.loaders.Loader().load_service_model("bedrock-runtime", "service-2")
    return botocore.model.ServiceModel(raw, "bedrock-runtime")


class RequestShapes:
    """A check for the body of each operation, compiled once at start."""

    def __init__(self, operations: tuple[str, ...]) -> None:
        service = service_model()
        self._checks: dict[str, Check] = {}
        self._compiled: dict[str, Check] = {}
        for name in operations:
            shape = service.operation_model(name).input_shape
            self._checks[name] = self._structure(shape, body_only=True)

    def violations(self, operation: str, body: object) -> list[str]:
        """Every violated constraint, each in the service's words; empty when the body is fine.

        Null members of structures are taken out of `body`.

        Raises:
            WrongTypeError: JSON of a wrong type somewhere.
        """
        found: list[str] = []
        self._checks[operation](body, "", found)
        return found

    def _check(self, shape: Shape) -> Check:
        """The check of a shape; recursive shapes find themselves in `_compiled`."""
        if shape.name not in self._compiled:
            name = shape.name
            self._compiled[name] = lambda value, path, found: self._compiled[name](value, path, found)
            self._compiled[name] = self._build(shape)
        return self._compiled[shape.name]

    def _build(self, shape: Shape) -> Check:
        if shape.type_name == "structure":
            return _anything if shape.is_document_type else self._structure(shape)
        if shape.type_name == "list":
            return self._list(shape)
        if shape.type_name == "map":
            return self._map(shape)
        return _blob(shape) if shape.type_name == "blob" else _scalar(shape)

    def _structure(self, shape: Shape, body_only: bool = False) -> Check:
        members = {
            name: _remembered(self._check(member)) if body_only and name != "messages" else self._check(member)
            for name, member in shape.members.items()
            if not (body_only and member.serialization.get("location") in ("uri", "header", "querystring"))
        }
        required = [name for name in shape.required_members if name in members]
        union = shape.is_tagged_union

        def check(value: object, path: str, found: list[str]) -> None:
            if type(value) is not dict:
                raise WrongTypeError(path)
            prefix = f"{path}." if path else ""
            known = 0
            for name in [name for name, item in value.items() if item is None]:
                del value[name]  # a null member is an absent one
            for name, item in value.items():
                member = members.get(name)
                if member is not None:
                    known += 1
                    member(item, prefix + name, found)
            for name in required:
                if name not in value:
                    found.append(_null(prefix + name))
            if union and known != 1:
                found.append(
                    f"Value at '{path}' failed to satisfy constraint: Exactly one member of the union must be set"
                )

        return check

    def _list(self, shape: Shape) -> Check:
        member, size = self._check(shape.member), _size(shape, "Member must have length")

        def check(value: object, path: str, found: list[str]) -> None:
            if type(value) is not list:
                raise WrongTypeError(path)
            size(len(value), "[...]", path, found)
            for index, item in enumerate(value, 1):
                if item is None:
                    found.append(_null(f"{path}.{index}.member"))
                else:
                    member(item, f"{path}.{index}.member", found)

        return check

    def _map(self, shape: Shape) -> Check:
        member, size = self._check(shape.value), _size(shape, "Member must have length")

        def check(value: object, path: str, found: list[str]) -> None:
            if type(value) is not dict:
                raise WrongTypeError(path)
            size(len(value), "{...}", path, found)
            for key, item in value.items():
                if item is not None:
                    member(item, f"{path}.{key}.member", found)

        return check


def _remembered(check: Check) -> Check:
    """The check, asked once for each value that was fine: many calls share their tools and their system prompt."""
    fine: set[bytes] = set()

    def remembered(value: object, path: str, found: list[str]) -> None:
        try:
            data = orjson.dumps(value)
        except TypeError:  # nested too deeply to be written again
            return check(value, path, found)
        if data in fine:
            return None
        before = len(found)
        check(value, path, found)
        if (
            len(found) == before and len(data) <= _REMEMBERED_BYTES_MAX and b"null" not in data
        ):  # a check takes null members out: that is not remembered
            if len(fine) >= _REMEMBERED:
                fine.clear()
            fine.add(data)

    return remembered


def _anything(value: object, path: str, found: list[str]) -> None:
    """A document: any JSON."""


def _size(shape: Shape, what: str) -> Callable[[float, object, str, list[str]], None]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")

    def check(size: float, shown: object, path: str, found: list[str]) -> None:
        if low is not None and size < low:
            found.append(_violated(shown, path, f"{what} greater than or equal to {low}"))
        if high is not None and size > high:
            found.append(_violated(shown, path, f"{what} less than or equal to {high}"))

    return check


def _scalar(shape: Shape) -> Check:
    types = _PYTHON_TYPES[shape.type_name]
    is_text = shape.type_name == "string"
    size = _size(shape, "Member must have length" if is_text else "Member must have value")
    allowed = shape.metadata.get("enum")
    pattern = re.compile(shape.metadata["pattern"]) if is_text and "pattern" in shape.metadata else None

    def check(value: object, path: str, found: list[str]) -> None:
        if type(value) not in types:
            raise WrongTypeError(path)
        size(len(value) if isinstance(value, str) else number(value), value, path, found)
        if allowed and value not in allowed:
            found.append(_violated(value, path, f"Member must satisfy enum value set: [{', '.join(allowed)}]"))
        if pattern is not None and isinstance(value, str) and not pattern.fullmatch(value):
            found.append(_violated(value, path, f"Member must satisfy regular expression pattern: {pattern.pattern}"))

    return check


def _blob(shape: Shape) -> Check:
    size = _size(shape, "Member must have length")

    def check(value: object, path: str, found: list[str]) -> None:
        if type(value) is not str:
            raise WrongTypeError(path)
        try:
            size(len(base64.b64decode(value, validate=True)), "java.nio.HeapByteBuffer", path, found)
        except (binascii.Error, ValueError):
            raise WrongTypeError(path) from None

    return check


def _null(path: str) -> str:
    return f"Value null at '{path}' failed to satisfy constraint: Member must not be null"


def _violated(value: object, path: str, constraint: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"
