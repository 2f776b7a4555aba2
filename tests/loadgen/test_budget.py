"""A budget shared by several workers: never exceeded, and not wasted on who does not need it."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.coordinator.budget import BudgetAllocator, Instruction, first_grant_usd
from loadgen.job import TargetSpec
from loadgen.worker.abort_rules import Budget, believable_usd
from tests.loadgen.server import assistant, assistant_events, serving, streamed
from tests.loadgen.worker_runs import play, stop_after

BUDGET_USD = 1.0


class Desk:
    """A master and its workers, whose messages travel when `deliver` is called: in order on each way, late or not."""

    def __init__(self, workers: int, bound_usd: float) -> None:
        self.bound_usd = bound_usd
        self.lender = BudgetAllocator(BUDGET_USD, bound_usd, workers)
        self.up: list[deque] = [deque() for _ in range(workers)]
        self.down: list[deque] = [deque() for _ in range(workers)]
        grant_usd = first_grant_usd(BUDGET_USD, bound_usd, workers)
        self.budgets = [Budget(grant_usd, bound_usd, self.asker(number)) for number in range(workers)]
        self.open: list[tuple[Budget, float]] = []
        self.spent_usd = 0.0
        for number in range(workers):
            self.lender.join(str(number))

    def asker(self, number: int):
        return lambda returned_usd, urgent: self.up[number].append(("lease", returned_usd, urgent))

    def turn(self, number: int, cost_ratio: float) -> bool:
        """Start a turn that will cost this share of its bound."""
        if not self.budgets[number].reserve():
            return False
        self.open.append((self.budgets[number], cost_ratio * self.bound_usd))
        return True

    def end(self) -> None:
        """The oldest turn ends."""
        budget, cost_usd = self.open.pop(0)
        self.spent_usd += cost_usd
        budget.settle(cost_usd)

    def deliver(self, number: int) -> bool:
        """One message each way of one worker; false when there was none."""
        if self.up[number]:
            kind, usd, urgent = self.up[number].popleft()
            name = str(number)
            self.send(
                self.lender.request(name, usd, urgent=urgent) if kind == "lease" else self.lender.take_back(name, usd)
            )
            return True
        if not self.down[number]:
            return False
        word = self.down[number].popleft()
        if word.usd is None:
            self.up[number].append(("returned", self.budgets[number].give_back(), False))
        else:
            self.budgets[number].grant(word.usd, urgent=word.urgent)
        return True

    def send(self, words: list[Instruction]) -> None:
        for word in words:
            self.down[int(word.worker)].append(word)

    def deliver_all(self) -> None:
        while sum(self.deliver(number) for number in range(len(self.budgets))):
            pass

    def bound_to_be_spent_usd(self) -> float:
        """What has been spent, and what the turns under way may yet cost."""
        return self.spent_usd + self.bound_usd * len(self.open)


STEPS = st.lists(
    st.tuples(st.sampled_from(["turn", "turn", "end", "deliver"]), st.integers(0, 3), st.floats(0, 1)), max_size=300
)


@given(workers=st.sampled_from([1, 4]), bound_usd=st.sampled_from([0.01, 0.04, 0.2, 0.6]), steps=STEPS)
def test_the_budget_is_never_exceeded(workers, bound_usd, steps):
    """Whatever turns cost up to their bound, whoever asks, and however late messages are: one worker or four."""
    desk = Desk(workers, bound_usd)
    for what, number, ratio in steps:
        if what == "turn":
            desk.turn(number % workers, ratio)
        elif what == "end" and desk.open:
            desk.end()
        elif what == "deliver":
            desk.deliver(number % workers)
        assert desk.bound_to_be_spent_usd() <= BUDGET_USD + 1e-9


@given(workers=st.sampled_from([2, 4]), bound_usd=st.sampled_from([0.01, 0.04]), steps=STEPS)
def test_no_dollar_is_lost_on_the_way(workers, bound_usd, steps):
    """Pool, hands and turns add up to the budget once every message has arrived."""
    desk = Desk(workers, bound_usd)
    for what, number, ratio in steps:
        if what == "turn":
            desk.turn(number % workers, ratio)
        elif what == "deliver":
            desk.deliver(number % workers)
    desk.deliver_all()
    hands_usd = sum(budget._left_usd for budget in desk.budgets)
    assert desk.lender.pool_usd + hands_usd + desk.bound_to_be_spent_usd() == pytest.approx(BUDGET_USD)


@pytest.mark.parametrize("workers", [2, 4])
def test_a_worker_that_does_all_the_work_gets_the_money(workers):
    """The others hold one bound each at the end; with fixed shares three quarters of the budget lay idle."""
    desk = Desk(workers, 0.01)
    started = 0
    while not desk.budgets[0].exhausted:
        started += desk.turn(0, 1.0)
        desk.deliver_all()
    assert started >= (BUDGET_USD / 0.01) - 2 * workers
    fixed = BUDGET_USD / workers / 0.01
    assert started > 1.5 * fixed


def test_who_must_wait_is_served_when_others_give_back():
    """An urgent request empties the asker's hands, calls the others back, and is granted from what they return."""
    lender = BudgetAllocator(BUDGET_USD, 0.6, 2)
    lender.join("a")
    lender.join("b")
    assert lender.request("a", 0.5, urgent=True) == [Instruction("b", None)]
    assert lender.take_back("b", 0.5) == [Instruction("a", 0.6, urgent=True)]


def test_nothing_left_is_a_refusal():
    """When what the others return pays for no turn, the asker is told so instead of waiting for ever."""
    lender = BudgetAllocator(BUDGET_USD, 0.6, 2)
    lender.join("a")
    lender.join("b")
    lender.request("a", 0.1, urgent=True)
    assert lender.take_back("b", 0.2) == [Instruction("a", 0.0, urgent=True)]


def test_a_lost_worker_holds_nobody_up():
    """A recall that will not be answered is not waited for, and what the worker held is not lent again."""
    lender = BudgetAllocator(BUDGET_USD, 0.6, 2)
    lender.join("a")
    lender.join("b")
    lender.request("a", 0.1, urgent=True)
    assert lender.remove("b") == [Instruction("a", 0.0, urgent=True)]
    assert lender.pool_usd == pytest.approx(0.1)
    assert lender.remove("b") == []


def test_turns_wait_for_a_grant_and_show_it_as_start_lag(make_job):
    """The budget runs dry, the grant comes a while later: the turns due meanwhile start then, and none is lost."""
    import gevent

    asked: list[tuple[float, bool]] = []

    def poor(one) -> None:
        budget, driver = one.budget, one.driver

        def ask(returned_usd: float, urgent: bool) -> None:
            asked.append((returned_usd, urgent))
            if urgent:
                gevent.spawn(lend)

        def lend() -> None:
            while len(driver._unpaid) < 4:
                gevent.sleep(0.01)
            gevent.sleep(0.1)
            budget.grant(100.0, urgent=True)
            driver.pay()
            stop_after(20)(one)

        budget._ask = ask

    with serving(assistant(lambda: streamed(assistant_events()))) as server:
        job = make_job(TargetSpec("assistant", server.url), for_s=60.0, budget_usd=0.02, turn_usd_max=0.004)
        run, final = play(job, poor)
    assert asked.count((pytest.approx(asked[-1][0]), True)) == 1
    assert not final["out_of_budget"]
    assert final["counters"]["unsent"] == 0
    assert (run.turns["start_lag_s"] > 0.1).sum() >= 4
    assert run.turns["status"].eq("ok").all()


@pytest.mark.parametrize(
    ("reported", "output_tokens", "spent_usd"),
    [
        (0.03, 10, 0.03),
        (0.0, 0, 0.0),
        (0.0, None, 0.0),
        (0.0, 10, None),
        (-100, 10, None),
        (-0.01, 0, None),
        (float("nan"), 10, None),
        (float("inf"), 10, None),
        (float("-inf"), 10, None),
        ("0.01", 10, None),
        (True, 10, None),
        ([0.01], 10, None),
        (None, 10, None),
    ],
)
def test_a_cost_that_cannot_be_keeps_the_whole_reserve(reported, output_tokens, spent_usd):
    """A target that says -100 USD does not pay for a thousand turns more."""
    assert believable_usd(reported, output_tokens) == spent_usd
