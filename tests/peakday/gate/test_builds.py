"""The builds that are compared: commits in worktrees, systems of the user's own, addresses."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from host.errors import Exit, PeakdayError
from host.processes import group_members
from peakday.errors import CommandError
from peakday.gate.builds.builds import Build, here_identity, in_shell, run_build, worktree
from peakday.gate.fingerprint import asked_otherwise
from peakday.gate.settings import Sut
from peakday.gate.state import address
from scenarios.loading import load_scenario

SERVE = f"exec {sys.executable} -m http.server {{port}} --bind 127.0.0.1 --directory {{dir}}"
BUSY = f"exec {sys.executable} busy.py {{port}}"
BUSY_PY = """import http.server, sys, time
while time.process_time() < 0.3:
    pass
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository of two commits; the working directory is a folder inside it."""
    folder = tmp_path / "repository"
    (folder / "service").mkdir(parents=True)
    monkeypatch.chdir(folder / "service")
    git("init", "--quiet", "--initial-branch=main", "..")
    for text in ("old", "new"):
        Path("page.txt").write_text(text)
        git("add", ".")
        git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", text)
    return folder


def git(*arguments):
    subprocess.run(["git", *arguments], check=True, capture_output=True)


def test_a_commit_is_checked_out_beside_ours_and_removed(repository):
    """The folder inside the repository where the command was typed is the one that is used there too."""
    with worktree("HEAD~1", None) as (folder, commit):
        assert (folder / "page.txt").read_text() == "old"
        assert len(commit) == 40
    assert not folder.exists()
    listed = subprocess.run(["git", "worktree", "list"], check=True, capture_output=True, text=True).stdout
    assert len(listed.splitlines()) == 1
    assert Path("page.txt").read_text() == "new"


def test_a_build_runs_in_the_commit_and_reaches_no_package_index(repository):
    sut = Sut(build="echo $PIP_NO_INDEX-$(cat page.txt) > built", start="true", ready="http://x")
    with worktree("HEAD~1", sut) as (folder, _):
        assert (folder / "built").read_text() == "1-old\n"


def test_a_build_that_fails_shows_its_last_log_line(repository):
    sut = Sut(build="echo first; echo no compiler >&2; exit 3", start="true", ready="http://x")
    with pytest.raises(CommandError, match="exit code 3: no compiler") as caught, worktree("HEAD", sut):
        pass
    assert caught.value.exit_code == Exit.ENVIRONMENT


def test_a_build_that_takes_too_long_is_stopped(tmp_path):
    """And all that it started: a compiler under a make goes on for hours."""
    with pytest.raises(CommandError, match="longer than"):
        run_build("(echo $$ > group; sleep 30; true) | cat", tmp_path, 0.3)
    assert group_members(int((tmp_path / "group").read_text())) == {}


def test_an_unknown_commit_is_a_usage_error(repository):
    with pytest.raises(CommandError, match="no commit here: `git branch --all`") as caught, worktree("nobody", None):
        pass
    assert caught.value.exit_code == Exit.USAGE


def test_a_change_of_a_file_is_another_build_and_what_checks_write_is_not(repository):
    clean = here_identity()
    Path("page.txt").write_text("newer")
    changed = here_identity()
    git("checkout", "--", "page.txt")
    os.chdir(repository)
    (repository / "baselines").mkdir()
    (repository / "baselines/a.json").write_text("{}")
    assert clean != changed
    assert here_identity() == clean


def test_what_checks_write_in_the_folder_where_they_are_typed_is_no_other_build(repository):
    clean = here_identity()
    Path("runs/one").mkdir(parents=True)
    Path("runs/one/run.json").write_text("{}")
    assert here_identity() == clean


def test_a_baseline_that_is_kept_in_git_may_be_promoted_within_a_build(repository):
    """The first line of git's status begins with a space, and it is one like any other."""
    Path("baselines").mkdir()
    Path("baselines/current.json").write_text("one")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "baseline")
    clean = here_identity()
    Path("baselines/current.json").write_text("two")
    assert here_identity() == clean


def test_what_a_file_holds_that_git_does_not_know_is_of_the_build(repository):
    Path("config.yaml").write_text("one")
    one = here_identity()
    Path("config.yaml").write_text("two")
    assert here_identity() != one


def test_outside_git_the_files_name_the_build(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    Path("serve.py").write_text("one")
    one = here_identity()
    Path("runs").mkdir()
    assert here_identity() == one
    Path("serve.py").write_text("other")
    assert here_identity() != one


def test_a_system_of_ones_own_is_started_waited_for_driven_and_stopped(tmp_path):
    (tmp_path / "page.txt").write_text("hello")
    sut = Sut(start=SERVE, ready="http://127.0.0.1:{port}/page.txt", target="openai=http://127.0.0.1:{port}/v1")
    with Build("candidate", "x", folder=tmp_path, sut=sut).up() as running:
        (target,) = running.targets
        url = target.removeprefix("openai=").removesuffix("/v1")
        with urllib.request.urlopen(f"{url}/page.txt") as answer:
            assert answer.read() == b"hello"
    assert running.cpu_s > 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{url}/page.txt")


def test_a_system_that_ends_at_once_shows_its_last_log_line(tmp_path):
    sut = Sut(start="echo no licence >&2; exit 1", ready="http://127.0.0.1:{port}/")
    with pytest.raises(CommandError, match="no licence"), Build("candidate", "x", folder=tmp_path, sut=sut).up():
        pass


def test_a_system_may_say_as_much_as_it_likes(tmp_path):
    """Nobody reads what it prints: 64 KiB in a pipe, and it would stand still."""
    console = 'i=0; while [ $i -lt 3000 ]; do echo "GET / 200 a line of forty characters or so"; i=$((i+1)); done'
    sut = Sut(start=f"{console}; {SERVE}", ready="http://127.0.0.1:{port}/", ready_within_s=300)
    with Build("candidate", "x", folder=tmp_path, sut=sut).up() as running:
        assert running.targets


@pytest.mark.parametrize("start", ["{0}; true", "{0} & wait", "{0} | cat"], ids=["script", "behind", "pipe"])
def test_a_system_under_a_shell_is_stopped_with_it(tmp_path, start):
    """And its CPU time is that of the server, not of the shell."""
    (tmp_path / "page.txt").write_text("hello")
    (tmp_path / "busy.py").write_text(BUSY_PY)
    serve = start.format(BUSY.removeprefix("exec "))
    sut = Sut(start=f"echo $$ > group; {serve}", ready="http://127.0.0.1:{port}/page.txt")
    with Build("candidate", "x", folder=tmp_path, sut=sut).up() as running:
        group = int((tmp_path / "group").read_text())
        assert len(group_members(group)) > 1
    assert group_members(group) == {}
    assert running.cpu_s > 0.2


@pytest.mark.skipif(shutil.which("setsid") is None, reason="setsid is util-linux's")
def test_a_system_that_leaves_our_group_is_told(tmp_path):
    """A daemon runs on beside every later run: an error that says where, once what was measured is over."""
    serve = f"exec {sys.executable} -m http.server {{port}} --bind 127.0.0.1"
    sut = Sut(start=f"setsid sh -c 'echo $$ > pid; {serve}' & exec sleep 600", ready="http://127.0.0.1:{port}/")
    try:
        build = Build("candidate", "x", folder=tmp_path, sut=sut)
        with pytest.raises(CommandError, match="left a server behind"), build.up() as running:
            assert running.targets
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_an_address_must_be_owned(tmp_path, monkeypatch):
    """The same rule as for any load: loopback, or listed in peakday.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("peakday.guard.check_answers", lambda *_: None)
    monkeypatch.setattr("peakday.guard.costs_money", lambda *_: False)
    assert address("http://127.0.0.1:8080", "baseline").targets == ("assistant=http://127.0.0.1:8080",)
    with pytest.raises(CommandError, match="owned"):
        address("https://assistant.example.com", "baseline")


def test_a_build_says_how_it_reads_the_scenario(tmp_path):
    """Through its own command, in its own folder; and what is shown is what we read ourselves."""
    build = Build("baseline", "x", folder=tmp_path, scenario="smoke", sets=("mix.image_ratio=0.5",))
    assert asked_otherwise(load_scenario("smoke", ["mix.image_ratio=0.5"]), build.scenario_there()) == []
    assert asked_otherwise(load_scenario("smoke"), build.scenario_there()) == ["mix"]


def test_modules_of_a_repository_named_as_our_packages_hide_none_of_ours(tmp_path):
    """Its assistant.py, host.py and the like are not read, whether the folder is where we start or not."""
    for name in ("assistant", "emulator", "host", "scenarios", "facts", "wire"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not ours')")
    build = Build("candidate", "x", folder=tmp_path, scenario="smoke")
    assert asked_otherwise(load_scenario("smoke"), build.scenario_there()) == []


def test_a_build_that_lacks_the_scenario_says_so(tmp_path):
    """A file that was never committed is in no worktree."""
    said = Build("baseline", "x", folder=tmp_path, scenario="mine.yaml").scenario_there()
    assert "mine.yaml" in said


def kill_it(running):
    """Kill the server that was started, wait until it is known, and fail as whoever asks it would."""
    assert running.ended() is None
    (server,) = (process for process in psutil.Process().children() if "http.server" in process.cmdline())
    server.kill()
    while running.ended() is None:
        time.sleep(0.01)
    raise PeakdayError("no answer")


def test_a_system_that_dies_while_it_is_driven_is_named_with_time_and_signal(tmp_path):
    """`ended` tells the run, which is then invalid; an error of what asks it becomes an error of the environment."""
    dies = f"exec {sys.executable} -m http.server {{port}} --bind 127.0.0.1"
    build = Build("here", "x", tmp_path, sut=Sut(start=dies, ready="http://127.0.0.1:{port}/"))
    named = r"system under test ended: killed by SIGKILL at \d\d:.*UTC.*no answer"
    with pytest.raises(CommandError, match=named) as error, build.up() as running:
        kill_it(running)
    assert error.value.exit_code == Exit.ENVIRONMENT


def test_a_folder_without_git_and_a_shallow_clone_say_what_is_the_matter(repository, tmp_path, monkeypatch):
    """What a release engineer can do differs: fetch, unshallow, or stand in the checkout."""
    git("clone", "--quiet", "--depth", "1", f"file://{repository}", str(tmp_path / "shallow"))
    for folder, ref, words in (
        (tmp_path / "shallow", "HEAD~1", "this clone is shallow"),
        (repository, "nobody/main", "git branch --all"),
        (tmp_path, "main", "not a git repository"),
    ):
        monkeypatch.chdir(folder)
        with pytest.raises(CommandError, match=words), worktree(ref, None):
            pass


def test_a_commit_has_its_submodules_without_fetching_them(repository, tmp_path):
    """They come from the clones that this checkout has; afterwards nothing is left of the worktrees."""
    library = tmp_path / "library"
    git("init", "--quiet", str(library))
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    (library / "code.txt").write_text("one")
    git("-C", str(library), "add", ".")
    git("-C", str(library), *who, "commit", "--quiet", "-m", "one")
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "with space")
    git(*who, "commit", "--quiet", "-m", "a submodule")
    with worktree("HEAD", None) as (folder, _):
        assert (folder / "with space" / "code.txt").read_text() == "one"
    assert not folder.exists()
    listed = subprocess.run(["git", "-C", "with space", "worktree", "list"], capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == 1


def test_an_error_of_the_other_build_names_it(repository):
    """The files here show no reason for it."""
    sut = Sut(build="exit 3", start="true", ready="http://x")
    with pytest.raises(CommandError, match=r"^baseline [0-9a-f]{12}: sut\.build failed"), worktree("HEAD", sut):
        pass


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("cat {dir}/a {port}", ["cat", "/a b'c/a", "1"]),
        ('cat "{dir}/a"', ["cat", "/a b'c/a"]),
        ("cat '{dir}/a'", ["cat", "/a b'c/a"]),
        (r"cat \"{dir} {other}", ["cat", "\"/a b'c", "{other}"]),
    ],
)
def test_a_folder_with_a_space_is_one_word_of_a_command(command, words):
    """However the command quotes it; the shell itself is the judge."""
    printed = in_shell(command, {"dir": "/a b'c", "port": "1"}).replace("cat", "printf '%s\\n' cat", 1)
    done = subprocess.run(["sh", "-c", printed], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == words


def test_a_page_that_answers_before_the_start_is_of_another_system(repository):
    """It would be measured in place of the one that could not take its port."""
    with own_system(repository) as running:
        (url,) = running.targets
        fixed = Build("candidate", "x", folder=repository, sut=Sut(start="true", ready=url.partition("=")[2]))
        with pytest.raises(CommandError, match=r"answers before sut\.start has run"), fixed.up():
            pass


def own_system(folder):
    """A file server of the folder, up."""
    sut = Sut(start=SERVE, ready="http://127.0.0.1:{port}/", target="assistant=http://127.0.0.1:{port}/")
    return Build("candidate", "x", folder=folder, sut=sut).up()


def test_a_start_that_returns_is_told_to_stay(repository):
    sut = Sut(start="true", ready="http://127.0.0.1:{port}/")
    with pytest.raises(CommandError, match="must stay in the foreground"), Build("c", "x", repository, sut=sut).up():
        pass
