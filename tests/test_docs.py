"""The documentation keeps its word: named tests exist, every verb is documented, and links lead somewhere."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import typer

from peakday.cli import app

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[1]
GENERATED = ("reference/cli.md", "reference/scenario-schema.md")
"""Pages of the site that `make docs` makes of the command itself (docs/site_hooks.py)."""
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def coverage_rows() -> list[list[str]]:
    """Cells of each row of the table in docs/coverage.md, without its head."""
    lines = (ROOT / "docs" / "coverage.md").read_text().splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return table[1:]


@cache
def names_of_tests(path: Path) -> frozenset[str]:
    """Names of the test functions of a file."""
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("row", coverage_rows(), ids=lambda row: row[0])
def test_every_test_that_the_coverage_page_names_exists(row):
    """A claim names a test as `tests/file.py::name`, or says that there is none yet."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[3])
    assert named or row[3] == "not yet", row
    for file, name in named:
        assert (ROOT / file).is_file(), file
        assert name in names_of_tests(ROOT / file), f"{file}::{name}"


@pytest.mark.parametrize("row", coverage_rows(), ids=lambda row: row[0])
def test_every_module_that_the_coverage_page_names_exists(row):
    for module in re.findall(r"`([\w/]+(?:\.py|/))`", row[2]):
        assert (ROOT / module).exists(), module


@cache
def commands() -> dict[str, typer.core.TyperCommand]:
    """Every verb by its full name; deprecated names are hidden, and no verbs."""
    verbs = {}

    def walk(command, name):
        for child_name, child in getattr(command, "commands", {}).items():
            walk(child, f"{name} {child_name}")
        if not getattr(command, "commands", {}) and not command.hidden:
            verbs[name] = command

    walk(typer.main.get_command(app), "peakday")
    return verbs


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_verb_is_documented_and_shows_an_example(name):
    """docs/commands.md has a heading for the verb, and its help ends with a command that begins with it."""
    assert f"`{name}" in (ROOT / "docs" / "commands.md").read_text(), name
    epilog = commands()[name].epilog or ""
    assert epilog.startswith(f"Example: {name}"), epilog


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" not in target and target not in GENERATED:
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} -> {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_shown_in_pages_exist(page):
    """A command in a page is one that the program has."""
    known = {*commands(), "peakday plan"}  # short for `peakday plan for`
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for line in re.findall(r"^\s*(?:\$ )?(peakday [a-z].*)$", "\n".join(blocks), flags=re.MULTILINE):
        words = line.split()
        assert {" ".join(words[:2]), " ".join(words[:3])} & known, line
