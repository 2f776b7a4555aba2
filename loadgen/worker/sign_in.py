"""What targets sign in with, kept fresh until the end of a run: also when every state has long been made ready."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import gevent

from loadgen.targets.base import Refused, Target
from loadgen.worker.recorder import Recorder


class Refreshed(Protocol):
    """A target whose token or credentials end."""

    def refresh(self) -> None:
        """Take new ones; raises `Refused` where there are none."""


def keep_fresh(targets: Iterable[Target], recorder: Recorder, over: Callable[[], bool]) -> list[gevent.Greenlet]:
    """A greenlet for each target that has something to refresh: `refresh_every_s` and `refresh()` are its own.

    A refresh that fails is counted, and the old token or key is sent on: the target's answers say if it has ended.
    """
    return [
        gevent.spawn(_refresh, target, every_s, recorder, over)
        for target in targets
        if (every_s := getattr(target, "refresh_every_s", None)) is not None
    ]


def _refresh(target: Refreshed, every_s: float, recorder: Recorder, over: Callable[[], bool]) -> None:
    while not over():
        gevent.sleep(every_s)
        try:
            target.refresh()
        except Refused:
            recorder.counters["refreshes_failed"] = recorder.counters.get("refreshes_failed", 0) + 1
        except Exception as error:
            recorder.fault(error)
