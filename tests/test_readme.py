"""The README as a reader pastes it, from top to bottom, into an empty folder."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.typed import fenced_commands, parsed

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[1]
COMMANDS = list(fenced_commands((ROOT / "README.md").read_text()))
OURS = [words for words in COMMANDS if words[0] == "peakday"]
ELSEWHERE = {
    "--live": "an AWS account",
    "--usage": "an AWS account's usage.csv",
    "--against": "a git checkout",
    "--device": "the extra `bench`",
}
"""What an empty folder does not have, by the option that shows the need: such a command is parsed, not run."""
FILES = {
    "requests.csv.gz": "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    + "".join(f"2026-11-27 18:00:{second:02}.000000,{200 + second},{20 + second}\n" for second in range(20)),
    "mine.csv": "question\nis this tent waterproof?\nwhich of these two stoves is lighter?\n",
}
"""Files that the README calls the reader's own, in the form it gives."""


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_every_command_of_the_readme_is_one_that_can_be_typed(words):
    assert parsed(words).command is not None


def test_a_command_with_an_option_that_is_none_would_be_noticed():
    import typer

    with pytest.raises(typer.TyperException):
        parsed(["peakday", "run", "smoke", "--no-such-option"])


@pytest.fixture
def folder(tmp_path) -> Path:
    """Empty but for what the README says is the reader's own."""
    import gzip

    for name, text in FILES.items():
        (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_readme_works_when_pasted_from_top_to_bottom(folder):
    """Each command ends with 0 but for a run on a machine too busy to keep time, which says so with 3."""
    addresses: dict[str, str] = {}
    with contextlib.ExitStack() as servers:
        for words in OURS:
            if any(option in words for option in ELSEWHERE):
                continue
            if words[1] == "up":
                addresses = servers.enter_context(up(words, folder))
                continue
            ended = typed([filled(word, addresses) for word in words], folder)
            busy = words[1] == "run" and ended.returncode == 3 and "INVALID" in ended.stdout
            assert ended.returncode == 0 or busy, (words, ended.returncode, ended.stdout[-2000:], ended.stderr[-2000:])


def filled(word: str, addresses: dict[str, str]) -> str:
    """The reader's own server is the local stack that `peakday up` runs, under the address that it printed."""
    word = re.sub(r"http://127.0.0.1:(PORT|8000)/v1", addresses.get("openai", ""), word)
    return "custom-8b" if word == "my-model" else word


def environment() -> dict[str, str]:
    """The reader's shell: no CI server."""
    return {name: value for name, value in os.environ.items() if name != "CI"}


def typed(words: list[str], folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, timeout=1200, env=environment(),
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@contextlib.contextmanager
def up(words: list[str], folder: Path) -> Iterator[dict[str, str]]:
    """`peakday up` in another terminal; the addresses that it prints when it is ready."""
    command = [sys.executable, "-m", *words, "--json"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())
        finally:
            server.send_signal(signal.SIGTERM)
