"""YAML for people: the core schema of YAML 1.2, no aliases, no doubled keys, no tags, and errors of one line.

A number is a number by its look alone: `010` is ten, `1:30` and `2026-11-27` are text, `yes` and `no` too.
Source: YAML 1.2.2, section 10.3.2 (tag resolution of the core schema).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from host.errors import PeakdayError
from host.files import read_text
from host.json_text import KINDS

DEPTH_MAX = 60
EVENTS_MAX = 500_000
"""Keys, values, beginnings and ends: more of them take longer than anybody waits. A choice of ours."""
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_IMPLICIT = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)
_INT_DIGITS_MAX = 400


class YamlError(PeakdayError, ValueError):
    """Text that is no YAML for people; the message names file, line and problem."""


class _Loader(_BASE):  # type: ignore[misc]
    yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {}
    yaml_constructors: ClassVar[dict[str, Any]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        """Keys are text, each stands once."""
        values: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refusal("a key must be a plain word", key)
            if key.value in values:
                raise _refusal(f"key {key.value!r} stands twice", key)
            values[key.value] = self.construct_object(value, deep=True)
        return values


def _refusal(problem: str, node: Any) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _null(_: _Loader, __: yaml.ScalarNode) -> None:
    return None


def _bool(_: _Loader, node: yaml.ScalarNode) -> bool:
    return str(node.value).lower() == "true"


def _int(_: _Loader, node: yaml.ScalarNode) -> int:
    text = str(node.value)
    if len(text) > _INT_DIGITS_MAX:
        raise _refusal("a number of so many digits", node)
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text[2:] if base != 10 else text, base)


def _float(_: _Loader, node: yaml.ScalarNode) -> float:
    return float(str(node.value).lower().replace(".inf", "inf").replace(".nan", "nan"))


def _text(_: _Loader, node: yaml.ScalarNode) -> str:
    return str(node.value)


def _list(loader: _Loader, node: yaml.SequenceNode) -> list[Any]:
    return [loader.construct_object(item, deep=True) for item in node.value]


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    return loader.construct_mapping(node)


def _unknown(_: _Loader, node: yaml.Node) -> None:
    raise _refusal(f"tag {node.tag!r} is not allowed, write a plain value", node)


for _name, _pattern, _first in _IMPLICIT:
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"(?:{_pattern})$"), _first)
for _name, _construct in (
    ("null", _null), ("bool", _bool), ("int", _int), ("float", _float), ("str", _text), ("seq", _list),
    ("map", _mapping),
):  # fmt: skip
    _Loader.add_constructor(f"{_TAG}{_name}", _construct)
_Loader.add_constructor(None, _unknown)


def parse_yaml(
    text: str, where: str, *, mapping: bool = True, error: type[PeakdayError] = YamlError, start: str = ""
) -> Any:
    """YAML text as values; with `mapping`, a mapping with text keys or an error.

    Args:
        where: what messages begin with: the file's name.
        error: the class of what is raised.
        start: where an empty file is to be begun from, such as "start from `peakday scenario new`".
    Raises:
        PeakdayError: `error`, one line with the place and the problem.
    """
    try:
        _check_events(text)
        values = yaml.load(text, Loader=_Loader)  # noqa: S506 (a safe loader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        words = problem.problem or problem.context or "not YAML"
        if mark and re.search(r":\s+\{\w+\}", "".join(text.splitlines()[mark.line : mark.line + 1])):
            words = "a value that begins with { needs quotes"
        if "nesting depth" in words:  # a parser that counts, where another runs out of stack
            words = "nested too deeply; a few levels are enough"
        raise error(f"{where}:{line}: {words}; fix the YAML") from None
    except RecursionError:
        raise error(f"{where}: nested too deeply; a few levels are enough") from None
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as problem:
        raise error(f"{where}: {' '.join(str(problem).split())}; fix the YAML") from None
    if mapping and not isinstance(values, dict):
        kind = "empty" if values is None else f"a {KINDS.get(type(values), 'value')}"
        raise error(f"{where}: {kind}, expected keys and values{'; ' + start if start else ''}")
    return values


def load_own(text: str) -> Any:
    """The value of a data file of ours, with YAML's usual tags and none of the checks, several times as fast."""
    return yaml.load(text, Loader=_BASE)  # noqa: S506 (a safe loader)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        """What stands twice is written twice: files with aliases are refused."""
        return True


def dump_yaml(values: object, width: int = 110) -> str:
    """Values as YAML text that `parse_yaml` reads back."""
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width)
    return text


def read_yaml(path: Path, *, error: type[PeakdayError] = YamlError) -> dict[str, Any]:
    """The keys and values of a file; of an empty one, none.

    Raises:
        PeakdayError: `error`; it cannot be read, or is no YAML mapping.
    """
    values = parse_yaml(read_text(path, error=error), str(path), mapping=False, error=error)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise error(f"{path}: a {KINDS.get(type(values), 'value')}, expected keys and values")
    return values


def _check_events(text: str) -> None:
    """Refuse what is dangerous to compose: an alias bomb is a kilobyte that means gigabytes, depth ends a stack."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_BASE)):
        if number > EVENTS_MAX:
            raise _refusal(f"more than {EVENTS_MAX:,} keys and values", event)
        if isinstance(event, yaml.AliasEvent):
            raise _refusal("aliases are not allowed, write it out", event)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_MAX:
                raise RecursionError
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
