"""What the machine refuses is one line; a bug of ours keeps its traceback."""

import errno

import pytest

from host.errors import Exit
from peakday.errors import CommandError, explain


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.EDQUOT])
def test_a_full_or_read_only_disk_is_a_line_with_what_to_do(number):
    line, code = explain(OSError(number, "x", "runs/one/turns.parquet"))
    assert code == Exit.ENVIRONMENT
    assert line.startswith("runs/one/turns.parquet: ")
    assert "\n" not in line
    assert explain(OSError(number, "x"))[0][0] != ":"


def test_a_bug_is_not_explained_away():
    assert explain(KeyError("turns")) is None
    assert explain(OSError(errno.EIO, "x")) is None
    assert explain(CommandError("two\nlines"))[0] == "two lines"
