"""One supervisor: a child is ready or explained, stopped with all it started, and named when it ends by itself."""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from host.errors import Exit
from host.processes import End, ProcessError, group_members, running, start, stop

READY = """import json, os, sys
print(json.dumps({"ready": True, "parent": os.environ.get("PEAKDAY_PARENT")}), flush=True)
print("to the log", file=sys.stderr, flush=True)
sys.stdin.read() if sys.argv[1:] else __import__("time").sleep(60)
"""


def python(code, *arguments):
    return [sys.executable, "-c", code, *arguments]


def wait_for(condition):
    while not condition():
        time.sleep(0.01)


def test_a_child_is_ready_when_it_says_so(tmp_path):
    log = tmp_path / "child.log"
    with running(start("server", python(READY), log=log, stdout=True, watched=True)) as child:
        assert child.ready() == {"ready": True, "parent": str(os.getpid())}
        wait_for(child.last_log_line)
        assert child.explain("it failed") == "it failed: to the log"
    assert log.read_text() == "to the log\n"


def test_only_a_watched_child_learns_who_its_parent_is(monkeypatch):
    """What our own parent told us is nobody else's business: a grandchild would end at once."""
    monkeypatch.setenv("PEAKDAY_PARENT", "1")
    with running(start("server", python(READY), stdout=True)) as child:
        assert child.ready()["parent"] is None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit('no licence')", "the server ended at start: no licence"),
        ("print('hello')", "the server printed b'hello' and not that it is ready"),
        ("print('[1]')", "and not that it is ready"),
    ],
)
def test_a_child_that_does_not_become_ready_is_explained(code, words):
    with running(start("server", python(code), stdout=True)) as child, pytest.raises(ProcessError) as caught:
        child.ready()
    assert words in str(caught.value)
    assert caught.value.exit_code == Exit.ENVIRONMENT


def test_a_silent_child_is_not_waited_for_longer_than_allowed():
    code = "import time; time.sleep(60)"
    with (
        running(start("server", python(code), stdout=True)) as child,
        pytest.raises(ProcessError, match=r"was not ready within 0\.1 s"),
    ):
        child.ready(0.1)


def test_a_socket_is_handed_down():
    code = "import socket, sys; print(socket.socket(fileno=int(sys.argv[1])).getsockname()[1], flush=True)"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        number = listener.fileno()
        child = start("server", python(code, str(number)), descriptors=[number], stdout=True)
        with running(child):
            assert child.process.stdout is not None
            assert int(child.process.stdout.readline()) == listener.getsockname()[1]


def test_the_end_of_a_child_is_named_with_its_signal_and_time():
    with running(start("worker 1", python("import time; time.sleep(60)"))) as child:
        assert child.poll() is None
        os.kill(child.pid, signal.SIGKILL)
        end = child.wait(300)
    assert end is not None
    assert (end.name, end.exit_code, end.signal_name) == ("worker 1", -9, "SIGKILL")
    assert 0 <= (datetime.now(UTC) - end.at).total_seconds() < 60
    assert child.poll() is end


@pytest.mark.parametrize(
    ("exit_code", "text"),
    [(-9, "killed by SIGKILL"), (-32, "killed by signal 32"), (1, "exit code 1"), (0, "exit code 0")],
)
def test_an_end_reads_as_a_sentence(exit_code, text):
    end = End("assistant", exit_code, datetime(2026, 11, 27, 1, 2, 3, tzinfo=UTC))
    assert str(end) == f"the assistant ended: {text} at 01:02:03 UTC"


def test_a_child_is_asked_before_it_is_killed(tmp_path):
    code = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7)); print('{}', flush=True); time.sleep(60)"
    )
    child = start("server", python(code), stdout=True)
    child.ready()
    child.stop(within_s=300)
    assert child.end is not None
    assert child.end.exit_code == 7


def test_what_ignores_the_request_is_killed_with_all_it_started(tmp_path):
    """The shell goes at once when it is asked; what it started ignores that, and is waited for and killed."""
    command = "(trap '' TERM; touch deaf; while :; do sleep 0.05; done) & wait"
    child = start("server", ["sh", "-c", command], folder=tmp_path)
    wait_for((tmp_path / "deaf").exists)
    stop([child], within_s=0.2)
    assert group_members(child.pid) == {}


def test_several_children_are_stopped_together(tmp_path):
    """One deadline for all: none is left running while another is waited for."""
    deaf = "trap '' TERM; touch {}; while :; do sleep 0.05; done"
    children = [start(name, ["sh", "-c", deaf.format(name)], folder=tmp_path) for name in ("a", "b")]
    wait_for(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists())
    stop(children, within_s=0.2)
    assert [child.end and child.end.signal_name for child in children] == ["SIGKILL", "SIGKILL"]


def test_cpu_time_counts_what_the_child_started():
    burn = f"{sys.executable} -c 'import time\nwhile time.process_time() < 0.3: pass'"
    child = start("server", ["sh", "-c", f"{burn}; sleep 60"])
    wait_for(lambda: sum(group_members(child.pid).values()) > 0.25)
    child.stop()
    assert child.cpu_s > 0.25


def test_a_command_that_is_absent_is_an_error_of_the_system():
    with pytest.raises(FileNotFoundError):
        start("server", ["/no/such/program"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="scheduling classes are Linux's")
@pytest.mark.parametrize("nice", [0, 5])
def test_a_process_runs_first_where_that_is_permitted_and_not_where_less_was_asked_for(nice):
    code = f"import os; os.nice({nice}); from host.processes import *; run_first(); print(scheduling())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    allowed = nice == 0 and may_run_first()
    assert printed == ("real time" if allowed else "ordinary")


def may_run_first():
    """Whether the system lets a child of ours be scheduled in real time."""
    if len(os.sched_getaffinity(0)) < 2:
        return False
    code = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
