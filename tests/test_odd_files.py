"""Odd files that were once wrong, one of each kind; `python -m tests.odd_files` has all of them for every reader."""

import pytest

from tests.odd_files import CONTENTS, PLACES, outcome, placed, readers, written

READERS = readers()
ONCE_WRONG = [
    ("profiles", "Latin-1"), ("profiles", "a named pipe"), ("profiles", "20 GB of nothing"),
    ("stack", "a named pipe"), ("stack", "/dev/zero"), ("sample buffer", "a folder"),
    ("sample buffer", "/proc/self/mem"), ("questions", "100,000 lists"), ("questions", "10^400"), ("prompts", "10^400"),
    ("trace", "a named pipe"), ("conversations", "100,000 lists"), ("conversations", "5,000 digits"),
    ("conversations", "a bomb of aliases"), ("conversations", "a list of a million"), ("log", "20 GB of nothing"),
    ("table", "a hundred thousand columns"), ("model config", "UTF-32"), ("usage", "a gzip bomb"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "what"), ONCE_WRONG)
def test_what_was_once_a_traceback_a_hang_or_gigabytes_is_values_or_one_line(name, what):
    """In a process of its own, with little memory and five seconds of processor."""
    read, text, ending = READERS[name]
    make = placed(PLACES[what], text.encode()) if what in PLACES else written(CONTENTS[what], text.encode())
    assert outcome(read, make, ending) in ("read", "refused")


def test_a_fault_is_told(tmp_path):
    """The harness's own teeth: a traceback, a message of two lines, and memory without end."""

    def fails(path):
        raise KeyError("a")

    for read, word in ((fails, "KeyError"), (lambda path: bytearray(2**31), "MemoryError")):
        assert outcome(read, written(CONTENTS["as it is"], b""), ".csv").startswith(f"WRONG {word}")
