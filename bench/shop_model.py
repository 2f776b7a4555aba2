"""Processor time of the emulator's shop model for messages that no conversation file knows, in one process.

Usage: python -m bench shop_model
The paraphrases and conversations of the tests, each read for the first time. Bar: p99 below 1 ms a call.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from emulator.shop_model import model
from tests.assistant.shopping import Shopper, smoke_world
from tests.assistant.test_conversations import CONVERSATIONS
from tests.assistant.test_paraphrases import PARAPHRASES

BAR_MS = 1.0
WARM = 60
"""Messages that compile and load what the first call of a process does."""


def main() -> None:
    """Print the quantiles over all calls behind the first messages."""
    taken_ms: list[float] = []
    answer = model.answer

    def timed(*arguments: Any, **options: Any) -> model.Said:
        begin_ns = time.process_time_ns()
        said = answer(*arguments, **options)
        taken_ms.append((time.process_time_ns() - begin_ns) / 1e6)
        return said

    model.answer = timed  # every caller reads it by this name
    with tempfile.TemporaryDirectory(prefix="peakday-bench-") as name:
        folder = Path(name)
        shopper = Shopper(smoke_world(folder / "world"), folder)
        conversations: list[Any] = [[(page, message)] for page, message, _ in PARAPHRASES]
        conversations += [case[1] for case in CONVERSATIONS]
        for number, messages in enumerate(conversations):
            if number == WARM:
                taken_ms.clear()
            shopper.new_conversation()
            for message in messages:
                _say(shopper, message)
        shopper.close()
    p50, p99 = np.quantile(taken_ms, (0.5, 0.99))
    print(f"{len(taken_ms)} calls: p50 {p50:.2f} ms, p99 {p99:.2f} ms; bar p99 {BAR_MS} ms")


def _say(shopper: Shopper, message: str | tuple[str | None, str]) -> None:
    if message in ("Y", "N"):
        if shopper.pending is not None:
            shopper.confirm("Yes, please." if message == "Y" else "no", message == "Y")
        return
    page, text = message if isinstance(message, tuple) else (None, message)
    shopper.say(text, page=page)


if __name__ == "__main__":
    main()
