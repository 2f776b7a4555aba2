"""Runs a buyer: as a thread beside the assistant, or as a process of its own on the same store file."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assistant.autobuy.buyer import Bought, Buyer
from assistant.autobuy.payments import LocalPayments
from assistant.autobuy.rules import RuleBook
from assistant.shop.catalogue import Catalogue

STEP_S = 1.0
log = logging.getLogger("assistant.autobuy")


def local_payments(store: Path, catalogue: Catalogue) -> LocalPayments:
    """The embedded payment provider: its ledger is a file beside the store's."""

    def method_of(customer_id: str) -> str | None:
        customer: dict[str, Any] | None = catalogue.customer(customer_id)
        return customer["default_payment"] if customer else None

    return LocalPayments(store.with_name("payments.sqlite"), method_of)


def local_buyer(store: Path, catalogue: Catalogue, clock: Callable[[], float], worker: str) -> Buyer:
    """A buyer over the store's file and the payment provider beside it."""
    return Buyer(RuleBook(store), local_payments(store, catalogue), catalogue.product, clock, worker)


class BuyerThread(threading.Thread):
    """Steps a buyer until stopped; `on_bought` hears of every purchase."""

    def __init__(
        self, store: Path, catalogue: Path, clock: Callable[[], float], on_bought: Callable[[Bought], None]
    ) -> None:
        super().__init__(name="autobuy", daemon=True)
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._on_bought = on_bought
        self._stopped = threading.Event()

    def run(self) -> None:
        """Step until stopped; a step that fails is logged and tried again."""
        buyer = local_buyer(self._store, Catalogue(self._catalogue), self._clock, f"{os.getpid()}:{self.ident}")
        while not self._stopped.wait(STEP_S):
            try:
                while bought := buyer.step():
                    for one in bought:
                        self._on_bought(one)
            except Exception:
                log.exception("step failed")

    def stop(self) -> None:
        """End after the step under way."""
        self._stopped.set()
        self.join(timeout=2.0)
