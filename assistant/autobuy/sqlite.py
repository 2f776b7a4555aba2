"""The rule book on sqlite, in the store's file, FULL sync: every change of state in one transaction of the file's."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from datetime import datetime
from pathlib import Path

import orjson

from assistant.autobuy.rules import (
    DAY_S,
    LEASE_S,
    WINDOW_S,
    Notice,
    Purchase,
    Rule,
    StandingRule,
    notice_body,
    standing_rule,
)
from assistant.shop.sqlite import connect

_INSERT = "INSERT OR IGNORE INTO rules VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS rules (
    rule_id TEXT PRIMARY KEY, kind TEXT NOT NULL, customer_id TEXT NOT NULL, product_id TEXT NOT NULL,
    target_price REAL NOT NULL, quantity INTEGER NOT NULL, price_at_creation REAL NOT NULL, created_s REAL NOT NULL,
    expires_s REAL NOT NULL, state TEXT NOT NULL, matched_s REAL, paying_price REAL, worker TEXT, lease_s REAL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rules_by_product ON rules (product_id, state);
CREATE INDEX IF NOT EXISTS rules_by_state ON rules (state);
CREATE INDEX IF NOT EXISTS rules_by_customer ON rules (customer_id);
CREATE TABLE IF NOT EXISTS purchases (
    rule_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, product_id TEXT NOT NULL, quantity INTEGER NOT NULL,
    price REAL NOT NULL, price_at_creation REAL NOT NULL, matched_s REAL NOT NULL, bought_s REAL NOT NULL,
    payment_reference TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS purchases_by_customer ON purchases (customer_id, bought_s);
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY, customer_id TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, at_s REAL NOT NULL);
CREATE TABLE IF NOT EXISTS switches (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class SqliteRules:
    """`RuleBook` over one store file; threads may share an object, processes each have their own."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path, synchronous="FULL")
        self._db.executescript(_SCHEMA)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    # --- what the agent does

    def create(self, rule: Rule) -> Rule:
        """Write a new rule, once for its id; a price that is met already matches it at once."""
        with self._transaction():
            if self._db.execute(_INSERT, astuple(rule)).rowcount:
                self._match(rule.product_id, rule.price_at_creation, rule.created_s)
        (written,) = self._rules("SELECT * FROM rules WHERE rule_id = ?", rule.rule_id)
        return written

    def adopt(self, rows: Iterable[StandingRule], price_of: Mapping[str, float], now: datetime) -> None:
        """Take over standing auto-buy rules of the scenario's world, each once; they count as made now."""
        rules = (astuple(standing_rule(row, price_of[row["product_id"]], now)) for row in rows)
        with self._transaction():
            self._db.executemany(_INSERT, rules)

    def of_customer(self, customer_id: str) -> list[Rule]:
        """A customer's rules, oldest first."""
        return self._rules("SELECT * FROM rules WHERE customer_id = ? ORDER BY created_s, rule_id", customer_id)

    # --- what prices do

    def tick(self, prices: Iterable[tuple[str, float]], now_s: float) -> int:
        """Record new prices and match rules against them; returns how many rules matched."""
        matched = 0
        with self._transaction():
            for product_id, price in prices:
                self._db.execute("INSERT OR REPLACE INTO prices VALUES (?, ?, ?)", (product_id, price, str(now_s)))
                matched += self._match(product_id, price, now_s)
        return matched

    def _match(self, product_id: str, price: float, now_s: float) -> int:
        """Move the product's active rules whose target is met; alerts end here, with their notification."""
        rules = self._rules(
            "UPDATE rules SET state = CASE kind WHEN 'auto_buy' THEN 'matched' ELSE 'notified' END, matched_s = ?1"
            " WHERE product_id = ?2 AND state = 'active' AND target_price >= ?3 AND expires_s > ?1 RETURNING *",
            now_s, product_id, price,
        )  # fmt: skip
        for rule in rules:
            if rule.state == "notified":
                self._notify(rule, "price_alert", now_s, {"price": price})
        return len(rules)

    # --- what workers do

    def sweep(self, now_s: float) -> int:
        """End rules that are too old, and let matches go that missed their window; returns how many moved."""
        with self._transaction():
            old = self._rules(
                "UPDATE rules SET state = 'expired' WHERE state IN ('active', 'matched') AND expires_s <= ?"
                " RETURNING *",
                now_s,
            )
            late = self._rules(
                "UPDATE rules SET state = 'active', worker = NULL, lease_s = NULL WHERE state = 'matched'"
                " AND matched_s < ? RETURNING *",
                now_s - WINDOW_S,
            )
            for kind, rules in (("rule_expired", old), ("window_missed", late)):
                for rule in rules:
                    self._notify(rule, kind, now_s, {})
        return len(old) + len(late)

    def claim(self, worker: str, limit: int, now_s: float) -> list[Rule]:
        """Take rules to work on: matched ones that are due, and those whose worker's lease ran out."""
        with self._transaction():
            return self._rules(
                "UPDATE rules SET state = CASE state WHEN 'paying' THEN 'paying' ELSE 'claimed' END, worker = ?1,"
                " lease_s = ?2 WHERE rule_id IN (SELECT rule_id FROM rules"
                " WHERE state IN ('matched', 'claimed', 'paying') AND coalesce(lease_s, 0) <= ?3 LIMIT ?4) RETURNING *",
                worker, now_s + LEASE_S, now_s, limit,
            )  # fmt: skip

    def begin_payment(self, rule: Rule, price: float, cap_usd_per_day: float, now_s: float) -> str | None:
        """Fix the price before anything is charged; returns `paying`, `capped`, or None when the claim is lost.

        The cap counts purchases of the last day and payments under way, inside one transaction, so that two workers
        cannot both pass it. A kill switch turned off meanwhile is seen here too: the rule is matched again and waits.
        """
        with self._transaction():
            if not self.is_enabled():
                self._leave(rule, "claimed", "matched")
                return None
            spent_usd = self._committed_usd(rule.customer_id, now_s - DAY_S)
            state = "paying" if spent_usd + price * rule.quantity <= cap_usd_per_day else "capped"
            moved = self._db.execute(
                "UPDATE rules SET state = ?, paying_price = ? WHERE rule_id = ? AND state = 'claimed' AND worker = ?"
                " AND lease_s = ?",
                (state, price, rule.rule_id, rule.worker, rule.lease_s),
            ).rowcount
            if moved and state == "capped":
                self._notify(rule, "capped", now_s, {"price": price})
        return state if moved else None

    def settle(self, rule: Rule, price: float, payment_reference: str, now_s: float) -> bool:
        """Record the purchase of a rule that is paying; False when it is no longer this worker's to record."""
        purchase = (
            rule.rule_id, rule.customer_id, rule.product_id, rule.quantity, price, rule.price_at_creation,
            rule.matched_s, now_s, payment_reference,
        )  # fmt: skip
        with self._transaction():
            if not self._leave(rule, "paying", "bought"):
                return False
            self._db.execute("INSERT INTO purchases VALUES (?,?,?,?,?,?,?,?,?)", purchase)
            self._notify(rule, "bought", now_s, {"price": price, "payment_reference": payment_reference})
        return True

    def payment_failed(self, rule: Rule, now_s: float) -> bool:
        """End a rule whose payment was declined."""
        with self._transaction():
            if not self._leave(rule, "paying", "payment_failed"):
                return False
            self._notify(rule, "payment_failed", now_s, {})
        return True

    def release(self, rule: Rule, state: str, not_before_s: float | None = None) -> bool:
        """Give a rule back: `matched`, to be tried again from a moment on, or `active`, to wait for another match."""
        with self._transaction():
            return self._leave(rule, rule.state, state, not_before_s)

    def price(self, product_id: str) -> float | None:
        """The last tick's price."""
        row = self._db.execute("SELECT price FROM prices WHERE product_id = ?", (product_id,)).fetchone()
        return None if row is None else float(row["price"])

    def prices(self) -> dict[str, float]:
        """The last tick's price of every product that had one."""
        rows = self._db.execute("SELECT product_id, price FROM prices").fetchall()
        return {row["product_id"]: float(row["price"]) for row in rows}

    # --- switches and views

    def set_enabled(self, enabled: bool) -> None:
        """The kill switch: while off, no rule is claimed and no payment begins; rules keep matching and wait."""
        self._db.execute("INSERT OR REPLACE INTO switches VALUES ('auto_buy', ?)", ("on" if enabled else "off",))

    def is_enabled(self) -> bool:
        """Whether workers may buy."""
        row = self._db.execute("SELECT value FROM switches WHERE name = 'auto_buy'").fetchone()
        return row is None or row["value"] == "on"

    def purchases(self, customer_id: str | None = None) -> list[Purchase]:
        """Purchases, newest first: a customer's, or all."""
        sql = "SELECT * FROM purchases WHERE ?1 IS NULL OR customer_id = ?1 ORDER BY bought_s DESC, rule_id"
        return [Purchase(**row) for row in self._db.execute(sql, (customer_id,))]

    def outbox(self, customer_id: str) -> list[Notice]:
        """A customer's notifications, oldest first."""
        sql = "SELECT kind, body, at_s FROM outbox WHERE customer_id = ? ORDER BY number"
        rows = self._db.execute(sql, (customer_id,))
        return [Notice(row["kind"], orjson.loads(row["body"]), row["at_s"]) for row in rows]

    def states(self) -> dict[str, int]:
        """How many rules are in each state."""
        rows = self._db.execute("SELECT state, count(*) AS n FROM rules GROUP BY state ORDER BY state")
        return {row["state"]: row["n"] for row in rows}

    # --- inside a transaction

    def _leave(self, rule: Rule, before: str, after: str, lease_s: float | None = None) -> bool:
        """Move a rule on, if it still is in this worker's hands."""
        cursor = self._db.execute(
            "UPDATE rules SET state = ?, worker = NULL, lease_s = ? WHERE rule_id = ? AND state = ? AND worker = ?"
            " AND lease_s = ?",
            (after, lease_s, rule.rule_id, before, rule.worker, rule.lease_s),
        )
        return cursor.rowcount == 1

    def _committed_usd(self, customer_id: str, since_s: float) -> float:
        row = self._db.execute(
            "SELECT (SELECT total(price * quantity) FROM purchases WHERE customer_id = ?1 AND bought_s >= ?2)"
            " + (SELECT total(paying_price * quantity) FROM rules WHERE customer_id = ?1 AND state = 'paying') AS usd",
            (customer_id, since_s),
        ).fetchone()
        return float(row["usd"])

    def _notify(self, rule: Rule, kind: str, now_s: float, more: Mapping[str, float | str]) -> None:
        self._db.execute(
            "INSERT INTO outbox (customer_id, kind, body, at_s) VALUES (?,?,?,?)",
            (rule.customer_id, kind, orjson.dumps(notice_body(rule, more)).decode(), now_s),
        )

    def _rules(self, sql: str, *values: object) -> list[Rule]:
        return [Rule(**row) for row in self._db.execute(sql, values).fetchall()]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
