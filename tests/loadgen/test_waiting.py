"""A worker of another machine says what it waits for."""

from loadgen.worker.waiting import Waiting, master_address


def test_a_waiting_worker_says_for_what_and_for_how_long():
    waiting = Waiting("its master at 10.8.0.1:5557")
    waiting._since_s = 100.0
    assert waiting.line(130.0) == "load worker: waiting for its master at 10.8.0.1:5557 (30 s)"


def test_a_worker_that_waits_for_nothing_says_nothing():
    waiting = Waiting("its master")
    waiting.for_what = None
    assert waiting.line(1e9) is None


def test_the_master_is_named_as_the_command_line_does():
    assert master_address(["--worker", "--master-host", "10.8.0.1", "--master-port", "6000"]) == "10.8.0.1:6000"
    assert master_address(["--worker"]) == "127.0.0.1:5557"
