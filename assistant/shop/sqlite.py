"""The store on sqlite3 in WAL mode. One connection a thread; several processes may share the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from assistant.shop.store import CartLine, OrderChange

SCHEMA = """
CREATE TABLE IF NOT EXISTS memory (
    customer_id TEXT NOT NULL, fact TEXT NOT NULL, created_at TEXT NOT NULL, PRIMARY KEY (customer_id, fact));
CREATE TABLE IF NOT EXISTS cart (
    customer_id TEXT NOT NULL, product_id TEXT NOT NULL, quantity INTEGER NOT NULL,
    PRIMARY KEY (customer_id, product_id));
CREATE TABLE IF NOT EXISTS done (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS order_changes (
    customer_id TEXT NOT NULL, order_id TEXT NOT NULL, change TEXT NOT NULL, detail TEXT NOT NULL, at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS order_changes_by_customer ON order_changes (customer_id);
CREATE TABLE IF NOT EXISTS prices (product_id TEXT PRIMARY KEY, price REAL NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;
"""


def connect(path: Path, synchronous: str = "NORMAL") -> sqlite3.Connection:
    """Open the store's file, creating what is missing. `synchronous` FULL: a commit survives a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
    db.row_factory = _as_dict
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("PRAGMA secure_delete = ON")
    db.executescript(SCHEMA)
    return db


class SqliteStore:
    """`Store` over one file."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)

    def remember(self, customer_id: str, fact: str, now: datetime) -> None:
        """Keep a fact about the customer; the same fact twice is one."""
        self._db.execute("INSERT OR IGNORE INTO memory VALUES (?, ?, ?)", (customer_id, fact, now.isoformat()))

    def facts(self, customer_id: str) -> list[str]:
        """Everything remembered, oldest first."""
        sql = "SELECT fact FROM memory WHERE customer_id = ? ORDER BY rowid"
        return [row["fact"] for row in self._db.execute(sql, (customer_id,))]

    def forget(self, customer_id: str, facts: Sequence[str]) -> list[str]:
        """Erase these facts; the log is emptied, so nothing of them stays on disk."""
        gone = [fact for fact in self.facts(customer_id) if fact in set(facts)]
        if gone:
            self._db.executemany(
                "DELETE FROM memory WHERE customer_id = ? AND fact = ?", [(customer_id, fact) for fact in gone]
            )
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def add_to_cart(self, customer_id: str, product_id: str, quantity: int, key: str) -> bool:
        """Add to what the customer will review."""
        return self._once(
            key,
            "INSERT INTO cart VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity",
            (customer_id, product_id, quantity),
        )

    def cart(self, customer_id: str) -> list[CartLine]:
        """product_id and quantity of every line, in the order in which they came."""
        sql = "SELECT product_id, quantity FROM cart WHERE customer_id = ? ORDER BY rowid"
        rows: list[CartLine] = self._db.execute(sql, (customer_id,)).fetchall()
        return rows

    def change_order(self, customer_id: str, order_id: str, change: str, detail: str, key: str, now: datetime) -> bool:
        """Record a cancellation, an edit or a return."""
        values = (customer_id, order_id, change, detail, now.isoformat())
        return self._once(key, "INSERT INTO order_changes VALUES (?, ?, ?, ?, ?)", values)

    def order_changes(self, customer_id: str) -> list[OrderChange]:
        """order_id, change, detail, at; oldest first."""
        sql = "SELECT order_id, change, detail, at FROM order_changes WHERE customer_id = ? ORDER BY rowid"
        rows: list[OrderChange] = self._db.execute(sql, (customer_id,)).fetchall()
        return rows

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def _once(self, key: str, sql: str, values: Sequence[object]) -> bool:
        """Run a write unless its key was used before, both in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            new = self._db.execute("INSERT OR IGNORE INTO done VALUES (?)", (key,)).rowcount == 1
            if new:
                self._db.execute(sql, values)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return new


def _as_dict(cursor: sqlite3.Cursor, values: Sequence[object]) -> dict[str, object]:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}
