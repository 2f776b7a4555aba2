"""What shells complete: by the very command that their scripts run, in this process."""

import pytest

from peakday.commands.completion import Shell, script
from peakday.records.folders import KINDS

ASKED_BY = {
    "bash": {"COMP_WORDS": "peakday {typed}", "COMP_CWORD": "{last}"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "peakday {typed}"},
    "fish": {"_TYPER_COMPLETE_ARGS": "peakday {typed}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


@pytest.fixture
def completed(refused, monkeypatch):
    """What a shell is offered after `peakday TYPED`."""

    def run(shell: str, typed: str) -> str:
        monkeypatch.setattr("sys.argv", ["peakday"])
        monkeypatch.setenv("_PEAKDAY_COMPLETE", f"complete_{shell}")
        for name, text in ASKED_BY[shell].items():
            monkeypatch.setenv(name, text.format(typed=typed, last=len(typed.split(" "))))
        return refused().stdout

    return run


@pytest.mark.parametrize("shell", ASKED_BY)
def test_a_shell_completes_verbs_options_and_scenarios(completed, shell):
    assert "plan" in completed(shell, "pla")
    assert "--rate" in completed(shell, "run smoke --rat")
    assert "prime_day" in completed(shell, "run pri")


def test_a_record_is_completed_by_its_id_newest_first(completed, tmp_path):
    for kind, name in (("runs", "20260101-000000-smoke"), ("plans", "20260102-000000-smoke")):
        folder = tmp_path / kind / name
        folder.mkdir(parents=True)
        (folder / KINDS[kind]).touch()
    assert completed("bash", "report 2026").split() == ["20260102-000000-smoke", "20260101-000000-smoke"]


@pytest.mark.parametrize("shell", Shell)
def test_the_script_of_a_shell_names_the_variable_that_is_answered(shell):
    assert f"_PEAKDAY_COMPLETE=complete_{shell}" in script(shell)
