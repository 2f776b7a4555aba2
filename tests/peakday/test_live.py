"""Nothing that costs money begins without being asked for."""

from __future__ import annotations

import io

import pytest

from peakday.consent import Consent, require_live
from peakday.console import Console
from peakday.errors import CommandError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def ask(consent: Consent) -> None:
    require_live(consent, "3 calls on Bedrock", "0.01 USD", Console(quiet=True))


def test_without_live_it_is_refused_with_the_cost():
    with pytest.raises(CommandError, match=r"needs --live. Expected cost: 0.01 USD"):
        ask(Consent())


def test_off_a_terminal_yes_is_needed_as_well(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(CommandError, match="add --yes"):
        ask(Consent(live=True))
    ask(Consent(live=True, yes=True))


@pytest.mark.parametrize(("answer", "goes_on"), [("y\n", True), ("YES\n", True), ("\n", False), ("no\n", False)])
def test_on_a_terminal_only_a_yes_goes_on(monkeypatch: pytest.MonkeyPatch, answer: str, goes_on: bool):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    if goes_on:
        ask(Consent(live=True))
    else:
        with pytest.raises(CommandError, match="not begun"):
            ask(Consent(live=True))


def test_yes_alone_is_no_consent():
    with pytest.raises(CommandError, match="needs --live"):
        ask(Consent(yes=True))
