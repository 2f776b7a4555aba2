"""`models:` of peakday.yaml: own models, known to every command in that folder."""

import pytest

from facts.reader import models
from peakday.cli import main
from tests.facts.test_own_models import ENTRY

SCENARIO = """
extends: smoke
models: [mine, custom-8b, planner]
assistant: {policy: {simple: mine, complex: mine, by_intent: {}}}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENARIO)
    (tmp_path / "models.yaml").write_text(ENTRY)
    (tmp_path / "peakday.yaml").write_text("schema: peakday.config/1\nmodels: models.yaml\n")
    return tmp_path


def ended(*arguments):
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return end.value.code or 0


def test_own_models_of_the_folder_are_known_to_a_command_and_forgotten_after_it(folder, capsys):
    assert ended("scenario", "validate", "s.yaml") == 0
    assert "mine" not in models()
    (folder / "peakday.yaml").unlink()
    assert ended("scenario", "validate", "s.yaml") == 2
    assert "'mine' is unknown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "problem"), [("models: none.yaml", "none.yaml: no such file"), ("models: s.yaml", "schema is not")]
)
def test_a_file_that_is_no_list_of_models_is_one_line(folder, capsys, text, problem):
    (folder / "peakday.yaml").write_text(f"schema: peakday.config/1\n{text}\n")
    assert ended("scenario", "validate", "s.yaml") == 2
    assert problem in capsys.readouterr().err


def test_a_broken_file_hides_no_help(folder, capsys):
    """`--help` reads no file of the folder."""
    (folder / "peakday.yaml").write_text("models: [")
    assert ended("plan", "--help") == 0
    assert "Usage: peakday plan" in capsys.readouterr().out


@pytest.mark.parametrize("words", ["list", "report latest", "scenario list", "history", "doctor", "init", "watch"])
def test_a_broken_file_is_named_in_one_line_that_says_where(folder, capsys, words):
    (folder / "peakday.yaml").write_text("models: [")
    assert ended(*words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("peakday: peakday.yaml: line ")
    assert line.endswith("; fix the YAML")


def test_a_broken_file_spoils_no_shell_that_starts_there(folder, capsys):
    """`eval "$(peakday completion bash)"` stands in start-up files."""
    (folder / "peakday.yaml").write_text("models: [")
    assert ended("completion", "bash") == 0
    assert ended("--version") == 0
    assert capsys.readouterr().err == ""
