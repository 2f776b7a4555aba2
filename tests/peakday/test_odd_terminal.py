"""What a terminal cannot show is shown escaped; no name ends a command."""

import io
import sys

import pytest

from peakday.cli import main


@pytest.mark.parametrize(
    ("encoding", "name", "shown"),
    [
        ("utf-8", "\udcff", "\\udcff"),
        ("latin-1", "\N{CHART WITH UPWARDS TREND}", "\\U0001f4c8"),
        ("ascii", "ä", "\\xe4"),
    ],
)
def test_a_name_the_terminal_has_no_letters_for_is_escaped(tmp_path, monkeypatch, encoding, name, shown):
    """The same with bytes that are no text, which a shell may pass."""
    monkeypatch.chdir(tmp_path)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding, errors="strict"))
    with pytest.raises(SystemExit) as ended:
        main(["baseline", "list", name])
    assert ended.value.code == 0
    assert f"no baseline of {shown} yet" in written.getvalue().decode()
