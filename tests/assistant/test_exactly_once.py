"""Racing workers, killed at any point: every matched rule is bought and charged once, within its window."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assistant.autobuy.payments import SqlitePayments
from assistant.autobuy.rules import LEASE_S, WINDOW_S, new_rule
from assistant.autobuy.sqlite import SqliteRules

NOW = datetime(2026, 7, 8, 12, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]


class Shift:
    """Worker processes; one is killed and replaced now and then. The test moves their clock on."""

    def __init__(self, folder, workers, seed):
        self.folder, self.random = folder, random.Random(seed)
        self.now_s = NOW.timestamp()
        self.started = self.kills = 0
        self.move(0)
        self.processes = [self.hire() for _ in range(workers)]

    def hire(self):
        self.started += 1
        command = [sys.executable, "-m", "tests.assistant.buyer_process", str(self.folder), f"w{self.started}"]
        return subprocess.Popen(command, cwd=ROOT)

    def move(self, seconds):
        self.now_s += seconds
        aside = self.folder / "clock.part"
        aside.write_text(repr(self.now_s))
        os.replace(aside, self.folder / "clock")

    def kill_one(self):
        at = self.random.randrange(len(self.processes))
        self.processes[at].send_signal(signal.SIGKILL)
        self.processes[at].wait()
        self.processes[at] = self.hire()
        self.kills += 1

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("workers", "rules", "kills"),
    [(3, 150, 8), pytest.param(8, 2_000, 60, marks=pytest.mark.slow)],
)
def test_every_matched_rule_is_bought_once(tmp_path, workers, rules, kills):
    """Purchases, charges and notifications equal the matched rules; a replay of everything changes nothing."""
    book = SqliteRules(tmp_path / "store.sqlite")
    payments = SqlitePayments(tmp_path / "payments.sqlite", lambda customer: "card")

    def ask_for_all():
        for i in range(rules):
            target = 70.0 if i % 10 else 10.0  # every tenth is never met
            book.create(new_rule(f"r{i}", "auto_buy", f"c{i % 50}", "p1", target, 1, 100.0, NOW))

    ask_for_all()
    met = sum(1 for i in range(rules) if i % 10)
    shift = Shift(tmp_path, workers, seed=rules)
    try:
        assert book.tick([("p1", 60.0)], shift.now_s) == met
        deadline_s = time.monotonic() + 800
        looks = []
        while (states := book.states()).get("bought", 0) < met and time.monotonic() < deadline_s:
            time.sleep(shift.random.uniform(0.05, 0.4))
            looks = [*(look for look in looks if look == states), states]
            if shift.kills < kills:
                shift.kill_one()
                shift.move(shift.random.uniform(1, 15))
            elif not states.get("matched") and len(looks) > 5:  # what is left is claimed by the dead
                shift.move(LEASE_S)
                looks = []
        book.tick([("p1", 60.0)], shift.now_s)
        ask_for_all()
        time.sleep(0.2)
    finally:
        shift.end()
    bought = book.purchases()
    assert shift.kills > 0
    assert book.states() == {"active": rules - met, "bought": met}
    assert len({row.rule_id for row in bought}) == len(bought) == met
    assert len(payments.charges()) == met
    assert max(row.autobuy_delay_s for row in bought) <= WINDOW_S
    assert sum(note.kind == "bought" for i in range(50) for note in book.outbox(f"c{i}")) == met
    payments.close()
    book.close()
