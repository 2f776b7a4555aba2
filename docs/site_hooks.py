"""What mkdocs runs: a reference made of the command and the schema themselves; links to source as names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#\s]+)(#[^)]*)?\)")
"""A link that leaves its folder upwards; where it leaves docs/, a site has nothing there."""


def on_config(config: Any) -> Any:
    """Decisions by number, and whatever page the menu forgets, at its end: a page is never lost."""
    docs = Path(config["docs_dir"])
    decisions = [path.relative_to(docs).as_posix() for path in sorted((docs / "decisions").glob("*.md"))]
    listed = set(nav_pages(config["nav"]))
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    more = sorted(pages - listed - set(decisions))
    config["nav"] = [*config["nav"], {"Decisions": decisions}, *([{"More": more}] if more else [])]
    return config


def nav_pages(nav: Any) -> Iterator[str]:
    """Every page of a menu, whatever it is nested in."""
    if isinstance(nav, str):
        yield nav
    for part in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from nav_pages(part)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are generated."""
    for name, text in (("cli", cli_reference()), ("scenario-schema", scenario_reference())):
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """A link to source outside docs/ becomes the file's name: the repository is not part of the site."""
    docs = Path(config["docs_dir"]).resolve()
    here = (docs / page.file.src_uri).parent

    def named(match: re.Match[str]) -> str:
        inside = (here / match[2]).resolve().is_relative_to(docs)
        return match[0] if inside else f"{match[1]} (`{match[2].lstrip('./')}`)"

    return OUTSIDE.sub(named, markdown)


def cli_reference() -> str:
    """Every verb with its arguments, options, defaults and example, as the command itself has them."""
    lines = [
        "# Every option",
        "",
        "Generated from the command. [Commands](../commands.md) says what each verb is for.",
        "",
    ]
    for name, command in verbs():
        lines += [f"## {name}", "", _one_line(command.help or ""), ""]
        lines += ["| option | meaning | default |", "|---|---|---|"]
        lines += [row for parameter in command.params if (row := _row(parameter))]
        lines += ["", "```", (command.epilog or "").removeprefix("Example: "), "```", ""]
    return "\n".join(lines)


def verbs() -> Iterator[tuple[str, Any]]:
    """Full name and command of every verb that is not hidden."""
    import typer

    from peakday.cli import app

    def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", {})
        for child_name, child in children.items():
            yield from walk(child, f"{name} {child_name}")
        if not children and not command.hidden:
            yield name, command

    yield from walk(typer.main.get_command(app), "peakday")


def _row(parameter: Any) -> str:
    if parameter.name == "help" or getattr(parameter, "hidden", False):
        return ""
    names = ", ".join(f"`{name}`" for name in parameter.opts if name.startswith("-")) or f"`{parameter.name.upper()}`"
    default = parameter.default
    shown = "" if default is None or default is False or callable(default) else f"`{default}`"
    return f"| {names} | {_one_line(getattr(parameter, 'help', '') or '')} | {shown} |"


def scenario_reference() -> str:
    """The JSON Schema of a scenario file, block by block."""
    from scenarios.schema import Scenario

    schema = Scenario.model_json_schema(by_alias=True)
    blocks = {"Scenario": schema, **schema.get("$defs", {})}
    head = (
        "Generated from `scenarios/schema.py`; `peakday scenario schema` is for editors. [The event](../scenarios.md)."
    )
    lines = ["# Scenario schema", "", head, ""]
    for name, block in sorted(blocks.items(), key=lambda item: item[0] != "Scenario"):
        keys = block.get("properties", {})
        if not keys:
            continue
        required = block.get("required", ())
        lines += [
            f"## {name}",
            "",
            _one_line(block.get("description", "")),
            "",
            "| key | kind | default |",
            "|---|---|---|",
        ]
        lines += [f"| `{key}` | {_kind(value)} | {_default(key, value, required)} |" for key, value in keys.items()]
        lines.append("")
    return "\n".join(lines)


def _default(key: str, value: dict[str, Any], required: Any) -> str:
    if key in required:
        return "must be given"
    text = json.dumps(value.get("default")) if "default" in value else ""
    return f"`{_one_line(text if len(text) <= 80 else text[:77] + '...')}`" if text else ""


def _kind(value: dict[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for word in ("anyOf", "oneOf", "allOf"):
        if word in value:
            return " or ".join(dict.fromkeys(_kind(one) for one in value[word]))
    if "enum" in value:
        return ", ".join(f"`{one}`" for one in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if value.get("type") == "array":
        return f"list of {_kind(value.get('items', {}))}"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {value[name]:g}" for name, sign in bounds.items() if name in value]
    return " ".join([str(value.get("type", "any")), *limits])


def _one_line(text: str) -> str:
    """Text for a cell of a table: angle brackets and bars are text."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
