"""The verbs as a user runs them, without an account."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADED = """
import sys, peakday.cli
sys.argv = ["peakday", *{words!r}]
try:
    peakday.cli.main()
finally:
    print("boto3" in sys.modules)
"""


def run(tmp_path, *words):
    """The command in a process of its own that says at its end whether boto3 was loaded."""
    code = LOADED.format(words=words)
    return subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=900)


@pytest.mark.parametrize(
    "words",
    [("aws", "pull", "--region", "us-east-1"), ("verify-on-bedrock", "--model", "nova-pro")],
    ids=["pull", "verify"],
)
def test_without_live_boto3_is_not_even_imported(tmp_path, words):
    """Exit 2, one line with the price, nothing written, and the SDK never loaded."""
    done = run(tmp_path, *words)
    assert done.returncode == 2
    assert "needs --live. Expected cost: " in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout.strip() == "False"
    assert not list(tmp_path.iterdir())


def test_off_a_terminal_yes_is_needed(tmp_path):
    """Nobody is there to be asked, so nothing is begun."""
    done = run(tmp_path, "aws", "pull", "--region", "us-east-1", "--live")
    assert done.returncode == 2
    assert "add --yes" in done.stderr
    assert done.stdout.strip() == "False"
