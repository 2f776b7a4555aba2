"""YAML for people: safe, without aliases, without doubled keys, and with errors of one line."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from scenarios.errors import ScenarioError


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses aliases (an alias bomb is a kilobyte that means gigabytes) and doubled keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed, write it out", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a plain word", key.start_mark)
            if key.value in keys:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            keys.add(key.value)
        return super().construct_mapping(node, deep)


def parse(text: str, where: str, *, mapping: bool = True) -> Any:
    """YAML text as values; with `mapping`, a mapping with text keys or an error.

    Raises:
        ScenarioError: one line with the place and the problem.
    """
    try:
        values = yaml.load(text, Loader=_Loader)  # noqa: S506 (a safe loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        problem = error.problem or error.context or "not YAML"
        raise ScenarioError(f"{where}:{line}: {problem}; mend the YAML") from None
    except RecursionError:
        raise ScenarioError(f"{where}: nested too deeply; a scenario needs a few levels at most") from None
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:
        raise ScenarioError(f"{where}: {error}; mend the YAML") from None
    if mapping and not isinstance(values, dict):
        found = "empty" if values is None else f"a {type(values).__name__}"
        raise ScenarioError(f"{where}: {found}, expected keys and values; start from `peakday scenario new`")
    return values
