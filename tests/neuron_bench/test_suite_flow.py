"""What a bench keeps and says when steps are slow, cases fail, or somebody stops it; children are imitated here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from neuron_bench.device import probe
from neuron_bench.errors import BenchUsageError
from neuron_bench.record import Bench, load_bench
from neuron_bench.report.headlines import case_table
from neuron_bench.trace import children, suite
from neuron_bench.trace.cases import Axes, Effort, decode, prefill, suite_cases
from neuron_bench.trace.messages import Loaded, LoadRequest, Turn, Warmed

EFFORT = Effort(samples_min=30, seconds_min=0.3, turn_s=0.1, seconds_max=1.0, case_seconds_max=5.0)
CASES = tuple(prefill(1, tokens, "float32") for tokens in (16, 32, 64))


@dataclass
class FakeChild:
    """Answers at once with steps of a stated length; what happens at its n-th turn is the test's."""

    step_s: Callable[[int], float]
    at_turn: Callable[[int, int], None]
    tokens: int = 0
    turns: int = 0
    closed: list[int] = field(default_factory=list)

    def load(self, request: LoadRequest) -> Loaded:
        self.tokens = request.case.input_tokens
        return Loaded(None, 0.1, None, {"torch": "0"})

    def warm(self, *, turn_s: float, windows_max: int) -> Warmed:
        return Warmed(3, True, self.step_s(self.tokens))

    def turn(self, *, seconds: float, samples: int) -> Turn:
        self.turns += 1
        self.at_turn(self.tokens, self.turns)
        step = self.step_s(self.tokens)
        count = max(samples, int(seconds / step))
        return Turn(1e-3, (step,) * count, (step,) * count)

    def hang_up(self) -> None:
        pass

    def close(self, wait_s: float = 0.0) -> None:
        pass


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> FakeChild:
    """A CPU that is ready, and children that are no processes: `step_s` and `at_turn` are to be set."""
    pattern = FakeChild(lambda _: 0.01, lambda *_: None)
    ready = probe.ProbeReport("cpu", "ready", "torch 0", "", probe.Finding(installed=True, version="0", works=True))
    monkeypatch.setattr(probe, "require", lambda device, dev: ready)
    monkeypatch.setattr(
        children, "start", lambda *_, **__: FakeChild(lambda n: pattern.step_s(n), lambda *a: pattern.at_turn(*a))
    )
    return pattern


def benched(tmp_path: Path, **change: object) -> Bench:
    spec = suite.Spec(cases=CASES, effort=EFFORT, suite="full")
    return load_bench(suite.run(spec, tmp_path / "bench", **change))  # type: ignore[arg-type]


def test_slow_steps_get_fewer_samples_and_say_so(machine: FakeChild, tmp_path: Path) -> None:
    """Thirty steps of 0.2 s would take six times what they may: nine do, with a flag; fast cases have theirs."""
    machine.step_s = lambda tokens: 0.2 if tokens == 64 else 0.01
    rows = {row.record_id: row for row in benched(tmp_path).rows if row.phase == "prefill"}
    slow, fast = rows["prefill-b1-t64-float32"], rows["prefill-b1-t16-float32"]
    assert (slow.n_samples, slow.flags) == (9, "few_samples")
    assert (fast.n_samples or 0) >= 30
    assert not slow.barred


def test_a_case_out_of_time_is_unfinished_in_table_and_state(
    machine: FakeChild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not vanish behind the word finished."""
    clock = [0.0]
    monkeypatch.setattr("neuron_bench.trace.suite.time.monotonic", lambda: clock[0])

    def take_long(tokens: int, turn: int) -> None:
        clock[0] += 9.0 if tokens == 64 else 0.0

    machine.step_s, machine.at_turn = lambda tokens: 0.2 if tokens == 64 else 0.01, take_long
    bench = benched(tmp_path)
    assert bench.state == "unfinished"
    assert bench.unfinished == {"prefill-b1-t64-float32": "stopped at 3 of 9 samples; a step takes 0.2 s"}
    assert "prefill-b1-t64-float32         unfinished: stopped at 3 of 9" in case_table(bench)


def test_a_case_that_fails_stops_no_other(machine: FakeChild, tmp_path: Path) -> None:
    """Its reason is the child's own."""

    def fail(tokens: int, turn: int) -> None:
        if tokens == 32:
            raise children.ChildError("RuntimeError: out of memory")

    machine.at_turn = fail
    bench = benched(tmp_path)
    assert bench.unfinished == {"prefill-b1-t32-float32": "RuntimeError: out of memory"}
    assert len([row for row in bench.rows if row.phase == "prefill"]) == 2


def test_ctrl_c_keeps_every_case_of_the_group_that_has_times(machine: FakeChild, tmp_path: Path) -> None:
    """Interleaved cases end together: stopped in the fourth round, all three are kept, flagged, and run again later."""

    def stop(tokens: int, turn: int) -> None:
        if turn == 5:
            raise KeyboardInterrupt

    machine.step_s, machine.at_turn = lambda _: 0.03, stop
    bench = benched(tmp_path)
    timed = [row for row in bench.rows if row.phase == "prefill"]
    assert bench.state == "interrupted"
    assert len(timed) == 3
    assert all("interrupted" in row.flag_names and row.barred for row in timed)
    machine.at_turn = lambda *_: None
    spec = suite.Spec(cases=CASES, effort=EFFORT, suite="full")
    whole = load_bench(suite.run(spec, tmp_path / "whole", resume=bench.path))
    assert whole.state == "finished"
    assert not any(row.barred for row in whole.rows)


def test_one_oversized_case_is_skipped_with_its_bytes(
    machine: FakeChild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the suite runs."""
    huge = decode(4096, 2048, "float32")
    monkeypatch.setattr(suite, "room_bytes", lambda spec: (2**30, "this core"))
    spec = suite.Spec(cases=(*CASES, huge), effort=EFFORT, suite="full")
    bench = load_bench(suite.run(spec, tmp_path / "bench"))
    assert bench.state == "finished"
    assert "GiB of weights and caches, this core has 1.0" in bench.info["skipped"][huge.label]
    assert f"{huge.label:<30} skipped: " in case_table(bench)


def test_no_more_children_than_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cases of 3 GiB in 7 GiB: two at once."""
    shape = suite.shape_of("planner-1b")
    case = decode(1, 1024, "bfloat16")
    monkeypatch.setattr(suite, "room_bytes", lambda spec: (2.5 * suite.roofline.memory_bytes(shape, case), ""))
    assert suite._alive_max(suite.Spec(), shape, [case, case, case], 1) == 2


def test_lengths_and_users_take_the_place_of_a_suites_own() -> None:
    """The context of a plan can be asked for; one that the model does not hold is refused."""
    nano = suite.shape_of("nano")
    cases = suite_cases(nano, "full", "float32", Axes(prompts=(512,), caches=(2048,), batches=(3,)))
    assert cases == [prefill(1, 512, "float32"), decode(3, 2048, "float32")]
    with pytest.raises(BenchUsageError, match="nano holds 2048 tokens; 3239 were asked for"):
        suite_cases(nano, "full", "float32", Axes(prompts=(3239,)))
