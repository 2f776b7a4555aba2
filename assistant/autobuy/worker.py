"""Runs a buyer as a thread beside the assistant; several machines on one table may each have theirs."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from assistant.autobuy.buyer import Bought, Buyer
from assistant.shop.catalogue import Catalogue
from assistant.storage import Storage

STEP_S = 1.0
log = logging.getLogger("assistant.autobuy")


class BuyerThread(threading.Thread):
    """Steps a buyer until stopped; `on_bought` hears of every purchase."""

    def __init__(
        self, storage: Storage, catalogue: Path, clock: Callable[[], float], on_bought: Callable[[Bought], None]
    ) -> None:
        super().__init__(name="autobuy", daemon=True)
        self._storage = storage
        self._catalogue = catalogue
        self._clock = clock
        self._on_bought = on_bought
        self._stopped = threading.Event()

    def run(self) -> None:
        """Step until stopped; a step that fails is logged and tried again."""
        catalogue = Catalogue(self._catalogue)
        payments = self._storage.payments(catalogue.payment_method)
        worker = f"{os.getpid()}:{self.ident}"
        buyer = Buyer(self._storage.rules(), payments, catalogue.product, self._clock, worker)
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
