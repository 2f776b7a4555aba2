"""The verbs as they are typed, over faked builds: exit codes, going on after Ctrl-C, the workflow file, `make perf`."""

import os
import re
import shlex
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from host.errors import Exit
from peakday.cli import main
from peakday.gate import gate as gates
from tests.peakday.gate.making import THERE, keep, loads, measured, row, scripts
from tests.typed import parsed

ROOT = Path(__file__).resolve().parents[3]
CI = ROOT / "deploy" / "ci"
WORKFLOW = CI / "peakday.yml"


@pytest.fixture
def typed(check, monkeypatch):
    """Type `peakday WORDS` with the check of smoke behind it, whose baseline build is faked; the exit code."""
    import contextlib

    def prepare(request, checks, console):
        return replace(check, request=request, checks=checks, console=console, lines=[], notes=[], moments=[], facts={})

    def build(now):
        return contextlib.nullcontext(THERE if now.request.against else None)

    monkeypatch.setattr("peakday.gate.check.prepare", prepare)
    monkeypatch.setattr(gates, "_baseline_build", build)
    monkeypatch.setattr(gates, "_asked_alike", lambda check, other: other)
    before = signal.getsignal(signal.SIGTERM)

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main(words)
        return ended.value.code

    yield run
    signal.signal(signal.SIGTERM, before)


REGRESSION = ("check", "smoke", "--only", "regression", "--against", "main", "--quiet")
FLOOR = ("check", "smoke", "--only", "exact", "--quiet")


def test_equal_builds_end_with_0_and_a_slower_one_with_1(typed, monkeypatch):
    loads(monkeypatch, lambda build: measured())
    assert typed(*REGRESSION) == Exit.OK
    loads(monkeypatch, lambda build: measured({"ttft_s_p50": 0.9 if build.label == "candidate" else 0.5}))
    assert typed(*REGRESSION) == Exit.GATE_FAILED


def test_a_generator_at_fault_ends_with_3(typed, monkeypatch, capsys):
    loads(monkeypatch, lambda build: measured(valid=False))
    assert typed(*REGRESSION) == Exit.INVALID_RUN
    assert "INVALID" in capsys.readouterr().out


def test_a_vanished_baseline_never_passes_in_ci_and_the_fix_is_named(typed, monkeypatch, capsys):
    monkeypatch.setenv("CI", "true")
    scripts(monkeypatch, [[row()]])
    assert typed(*FLOOR) == Exit.INCONCLUSIVE
    assert "on your machine and commit baselines/smoke/" in capsys.readouterr().out
    assert not Path("baselines").exists()


def test_the_floor_ends_with_0_or_1(typed, check, monkeypatch):
    keep(check, [row()])
    scripts(monkeypatch, [[row()]])
    assert typed(*FLOOR) == Exit.OK
    scripts(monkeypatch, [[row(cached=1)]])
    assert typed(*FLOOR) == Exit.GATE_FAILED


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on_with_whole_pairs(typed, monkeypatch, capsys):
    """Interrupted in the sixth run: two pairs are kept, and the half one is made again."""
    made = loads(monkeypatch, lambda build: KeyboardInterrupt() if len(made) == 5 else measured())
    assert typed(*REGRESSION[:-1]) == Exit.INTERRUPTED
    assert "goes on with the runs made so far, halves of pairs anew" in capsys.readouterr().err
    again = loads(monkeypatch, lambda build: measured())
    assert typed(*REGRESSION) == Exit.OK
    assert (len(made), len(again)) == (5, 4)


def test_noise_is_measured_and_printed_by_its_own_verb(typed, monkeypatch, capsys):
    loads(monkeypatch, lambda build: measured())
    assert typed("check", "smoke", "--noise", "3", "--quiet") == Exit.OK
    assert "3 equal runs in 1 session(s)" in capsys.readouterr().out
    assert Path("noise.json").is_file()


def scripts_of(name):
    """The shell texts of a CI file, whatever its form."""
    if name == "check.sh":
        return [(CI / name).read_text()]
    known = yaml.safe_load((CI / name).read_text())
    if name == "gitlab.yml":
        return [line for job in known.values() for line in job.get("script", ())]
    return [step.get("run", "") for job in known["jobs"].values() for step in job["steps"]]


def lines_of(texts):
    """Every `peakday …` command of shell texts, as words, with their variables filled in."""
    for text in texts:
        for line in re.findall(r"^\s*(peakday .*)$", text.replace("\\\n", " "), flags=re.MULTILINE):
            filled = re.sub(r"\$\{[^}]*\}", "", line)
            filled = re.sub(r"\$(\w+)", lambda found: "smoke" if found[1].lower() == "scenario" else "x", filled)
            yield shlex.split(filled.split("||")[0])


@pytest.mark.checkout
@pytest.mark.parametrize("name", ["peakday.yml", "gitlab.yml", "check.sh"])
def test_every_command_of_a_ci_file_can_be_typed(name):
    """Both gates, of one scenario, each with every report that its server reads."""
    found = [parsed(words).params for words in lines_of(scripts_of(name))]
    assert [sorted(params["only"]) for params in found] == [["exact"], ["regression", "slo"]]
    assert {params["scenario"] for params in found} == {"smoke"}
    assert all(params["junit"] and params["markdown"] and params["html"] for params in found)


@pytest.mark.checkout
@pytest.mark.parametrize("name", ["peakday.yml", "gitlab.yml", "check.sh"])
def test_every_ci_file_says_what_each_exit_code_means(name):
    said = " ".join(line.lstrip("# ") for line in (CI / name).read_text().splitlines() if line.startswith("#"))
    codes = {
        int(code) for code in re.findall(r"\b([0-5]) (?:pass|a gate|a mistake|INVALID|inconclusive|a build)", said)
    }
    assert codes == {0, 1, 2, 3, 4, 5}


@pytest.mark.checkout
def test_the_workflow_installs_what_there_is_and_caches_pip_and_numba():
    """No index has peakday, and setup-python's own cache fails where no requirements file is."""
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow["env"]["PEAKDAY"] == "${{ vars.PEAKDAY || '.' }}"
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert [step["run"] for step in steps if "pip install" in step.get("run", "")] == ['pip install "$PEAKDAY"'] * 2
    assert not any("cache" in step.get("with", {}) for step in steps)
    cached = [step["with"]["path"].split() for step in steps if step.get("uses", "").startswith("actions/cache@")]
    assert cached == [["~/.cache/pip", "~/.cache/numba"]] * 2


@pytest.mark.checkout
def test_the_workflow_is_pinned_ends_older_runs_and_lets_only_the_comment_write():
    """Every action by a whole commit; the job that may write to the pull request runs no code of it."""
    workflow = yaml.safe_load(WORKFLOW.read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", name) for name in used)
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert workflow["permissions"] == {"contents": "read"}
    writes = {name: job for name, job in workflow["jobs"].items() if "permissions" in job}
    assert list(writes) == ["comment"]
    assert not any("checkout" in step.get("uses", "") for step in writes["comment"]["steps"])


@pytest.mark.checkout
@pytest.mark.parametrize(("codes", "ended"), [((0, 0), 0), ((4, 0), 4), ((4, 1), 1), ((5, 3), 5), ((3, 4), 3)])
def test_the_shell_version_ends_with_the_gravest_of_both_gates(tmp_path, codes, ended):
    """A failure of either counts, and an undecided gate hides none."""
    fake = tmp_path / "peakday"
    fake.write_text(f'#!/bin/sh\ncase "$*" in *"only exact"*) exit {codes[0]};; *) exit {codes[1]};; esac\n')
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", str(CI / "check.sh"), "main"], cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == ended


@pytest.fixture
def checkout(tmp_path):
    """A git repository with the Makefile and an environment whose commands only write down how they were called."""
    folder = tmp_path / "checkout"
    (folder / "requirements").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements/dev.txt"):
        shutil.copy(ROOT / name, folder / name)
    (folder / ".gitignore").write_text(".venv/\ncalled\n")
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name, code in (("peakday", 1), ("python", 0)):
        (binaries / name).write_text(f"#!/bin/sh\necho {name} $* >> called\nexit {code}\n")
        (binaries / name).chmod(0o755)
    (folder / ".venv" / "dev.done").touch()
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b")
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "one"]):
        subprocess.run([*git, *command], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.checkout
def test_make_perf_holds_a_clean_checkout_against_the_commit_before_and_runs_both_gates(checkout):
    """A checkout held against itself shows nothing; and a floor that failed says nothing about time."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    ended = subprocess.run(["make", "perf"], cwd=checkout, capture_output=True, env=environment)
    (checkout / "pyproject.toml").touch()
    (checkout / "new.py").write_text("")
    (checkout / ".venv" / "dev.done").touch()
    subprocess.run(["make", "perf"], cwd=checkout, capture_output=True, env=environment)
    called = (checkout / "called").read_text().splitlines()
    assert ended.returncode != 0
    assert [line.split()[0] for line in called] == ["peakday", "python"] * 2
    assert [line.split()[-1] for line in called] == ["HEAD~1", "HEAD~1", "HEAD", "HEAD"]


def test_a_first_check_passes_and_says_what_it_saved(typed, monkeypatch, capsys):
    monkeypatch.delenv("CI", raising=False)
    scripts(monkeypatch, [[row()]])
    assert typed(*FLOOR) == Exit.OK
    assert "figures saved as baselines/smoke/exact.json; commit it" in capsys.readouterr().out
    scripts(monkeypatch, [[row(cached=1)]])
    assert typed(*FLOOR) == Exit.GATE_FAILED


def test_a_first_check_saves_nothing_that_two_drives_disagree_about(typed, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    scripts(monkeypatch, [[row(cached=100)], [row(cached=99)]])
    assert typed(*FLOOR) == Exit.INCONCLUSIVE
    assert not Path("baselines").exists()
