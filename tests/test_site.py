"""The documentation as a site: every page is in its menu, the menu leads somewhere, nothing is fetched."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from tests.typed import fenced_commands, parsed

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = {"reference/cli.md", "reference/scenario-schema.md"}
ROLES = sorted([DOCS / "index.md", *(DOCS / "roles").glob("*.md")])


@pytest.fixture(scope="module")
def hooks():
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("site_hooks", DOCS / "site_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def config():
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text()) | {"docs_dir": str(DOCS)}


def test_every_page_is_in_the_menu_once_and_the_menu_leads_nowhere_else(hooks, config):
    listed = list(hooks.nav_pages(hooks.on_config(dict(config))["nav"]))
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert sorted(listed) == sorted(pages | GENERATED)


def test_the_reference_has_every_verb_with_its_options_and_example(hooks):
    text = hooks.cli_reference()
    names = [name for name, _ in hooks.verbs()]
    assert len(names) > 40
    assert [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")] == names
    assert "| `--rate` |" in text
    assert "peakday run smoke --rate 5/s --for 15s" in text


def test_the_schema_page_links_only_to_blocks_that_it_has(hooks):
    text = hooks.scenario_reference()
    headings = {line.removeprefix("## ").lower() for line in text.splitlines() if line.startswith("## ")}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings
    assert "| `ttft_s_p99` |" in text


def test_a_link_to_source_becomes_a_name_and_one_within_the_site_stays(hooks, config):
    page = type("P", (), {"file": type("F", (), {"src_uri": "roles/sre.md"})()})()
    text = hooks.on_page_markdown("[a](../../deploy/x.yml) [b](../ready.md#the-ramp)", page, config, None)
    assert text == "a (`deploy/x.yml`) [b](../ready.md#the-ramp)"


def test_the_site_asks_nothing_of_a_network(config):
    """No fonts, no analytics, no diagrams that load a script."""
    assert config["theme"]["font"] is False
    assert config["plugins"] == ["search"]
    assert not any("```mermaid" in path.read_text() for path in DOCS.rglob("*.md"))
    assert not any(re.search(r"!\[[^\]]*\]\(https?:", path.read_text()) for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", ROLES, ids=lambda page: page.stem)
def test_commands_of_a_role_can_be_typed(page):
    commands = [words for words in fenced_commands(page.read_text()) if words[0] == "peakday"]
    assert commands
    assert all(parsed(words).command for words in commands)


@pytest.mark.slow
def test_the_site_builds_strictly(tmp_path):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True))
    pages = list((tmp_path / "site").rglob("*.html"))
    fetched = [re.findall(r'(?:src|<link[^>]*href)="(https?://[^"]+)', page.read_text()) for page in pages]
    assert len(pages) > 40
    assert not any(fetched)
