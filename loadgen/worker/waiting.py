"""What a worker of another machine waits for, said on its terminal while nothing else happens there."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Sequence

import gevent

SAID_EVERY_S = 10.0


class Waiting:
    """`for_what` is what this worker waits for now; None: it waits for nothing."""

    def __init__(self, for_what: str | None) -> None:
        self.for_what = for_what
        self._since_s = time.monotonic()

    def begin(self) -> None:
        """Say it every `SAID_EVERY_S`, from now on."""
        self._since_s = time.monotonic()
        gevent.spawn(self._say)

    def _say(self) -> None:
        while True:
            gevent.sleep(SAID_EVERY_S)
            if (text := self.line(time.monotonic())) is not None:
                print(text, file=sys.stderr, flush=True)

    def line(self, now_s: float) -> str | None:
        """The line to print, with how long this worker has been here; None while it waits for nothing."""
        if self.for_what is None:
            return None
        return f"load worker: waiting for {self.for_what} ({now_s - self._since_s:.0f} s)"


def master_address(arguments: Sequence[str]) -> str:
    """HOST:PORT of the master, as Locust's command line names them."""
    known = dict(itertools.pairwise(arguments))
    return f"{known.get('--master-host', '127.0.0.1')}:{known.get('--master-port', '5557')}"
