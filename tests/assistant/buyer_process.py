"""A buyer in a process of its own, on a clock that the test moves: python buyer_process.py FOLDER WORKER."""

import sys
import time
from pathlib import Path

from assistant.autobuy.buyer import Buyer
from assistant.autobuy.payments import SqlitePayments
from assistant.autobuy.sqlite import SqliteRules


def main() -> None:
    folder, worker = Path(sys.argv[1]), sys.argv[2]

    def clock() -> float:
        return float((folder / "clock").read_text())

    def product_of(product_id: str) -> dict[str, float]:
        return {"price": 100.0, "in_stock": 1}

    payments = SqlitePayments(folder / "payments.sqlite", lambda customer: "card")
    buyer = Buyer(SqliteRules(folder / "store.sqlite"), payments, product_of, clock, worker, 1e9)
    while True:
        if not buyer.step():
            time.sleep(0.01)


if __name__ == "__main__":
    main()
