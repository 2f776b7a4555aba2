"""A target that is neither on loopback nor declared as owned is refused before any packet leaves, by every verb."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from host.errors import Exit
from peakday.cli import main

MAPPING = Path(__file__).parents[2] / "examples/targets/sse.yaml"
MAPPED = "http://127.0.0.1:8099"
ELSEWHERE = (
    "http://10.1.2.3:8080",
    "http://169.254.169.254",
    "http://[2001:db8::1]:8080",
    "https://shop.example.com",
    "http://127.0.0.1.example.com",
)
VERBS = {
    "run": ("run", "smoke", "--rate", "2/s", "--for", "2s", "--target", "assistant={url}"),
    "run openai": ("run", "smoke", "--rate", "2/s", "--for", "2s", "--target", "openai={url}/v1", "--model", "m"),
    "run http": ("run", "smoke", "--rate", "2/s", "--for", "2s", "--target", "http={mapping}"),
    "max-rate": ("max-rate", "smoke", "--target", "assistant={url}"),
    "max-rate http": ("max-rate", "smoke", "--target", "http={mapping}"),
    "ask": ("ask", "hello", "--target", "{url}"),
    "ask http": ("ask", "hello", "--target", "http={mapping}"),
    "check": ("check", "smoke", "--only", "slo", "--target", "assistant={url}"),
    "check --against": ("check", "smoke", "--only", "regression", "--against", "{url}"),
}


@pytest.fixture
def no_packets(monkeypatch):
    """Every name looked up, and every address connected or written to; nothing gets through."""
    tried = []

    def refuse(what):
        def refused(*arguments, **_):
            tried.append((what, arguments))
            raise OSError("no packet leaves in this test")

        return refused

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse(name))
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse(name))
    return tried


@pytest.fixture
def no_children(monkeypatch):
    """Every process started, but for git, which knows the checkout's commit: a child could send what we do not see."""
    started, start = [], subprocess.Popen.__init__

    def refused(self, command, *rest, **more):
        if command[0] != "git":
            started.append(command)
            raise OSError("no process is started in this test")
        start(self, command, *rest, **more)

    monkeypatch.setattr(subprocess.Popen, "__init__", refused)
    return started


def ended(*arguments) -> int:
    """Exit code of a command run in this process."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return caught.value.code


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """What is typed for a verb and a URL, in an empty folder; mappings are files there."""
    monkeypatch.chdir(tmp_path)

    (tmp_path / "customers.csv").write_bytes(MAPPING.with_name("customers.csv").read_bytes())

    def fill(verb, url):
        text = MAPPING.read_text()
        assert MAPPED in text
        (tmp_path / "mapping.yaml").write_text(text.replace(MAPPED, url))
        return [part.format(url=url, mapping="mapping.yaml") for part in VERBS[verb]]

    return fill


@pytest.mark.parametrize("url", ELSEWHERE)
@pytest.mark.parametrize("verb", VERBS)
def test_an_undeclared_target_is_refused_before_any_packet(verb, url, typed, capsys, no_packets, no_children):
    """Exit code 2, the address and the key to declare it under are named, and nothing was looked up or sent."""
    assert ended(*typed(verb, url)) == Exit.USAGE
    said = capsys.readouterr().err
    assert "owned_targets" in said, said
    assert no_packets == no_children == []


@pytest.mark.parametrize("verb", VERBS)
def test_the_guard_is_what_refused(verb, typed, capsys, no_packets, no_children):
    """Declared as owned, the same command goes on to try the network: the fixture would have seen a packet."""
    url = "http://10.1.2.3:8080"
    Path("peakday.yaml").write_text(f"owned_targets: ['{url}']\n")
    with pytest.raises((SystemExit, OSError)):
        main(typed(verb, url))
    assert "owned_targets" not in capsys.readouterr().err
    assert no_packets


def test_doctor_looks_and_calls_nobody(tmp_path, monkeypatch, capsys, no_packets):
    """It takes no target, and what is declared in peakday.yaml is not tried either."""
    monkeypatch.chdir(tmp_path)
    Path("peakday.yaml").write_text("owned_targets: ['http://10.1.2.3:8080']\n")
    assert ended("doctor") in (Exit.OK, Exit.ENVIRONMENT)
    assert "open files" in capsys.readouterr().out
    assert no_packets == []


def test_doctor_takes_no_target(tmp_path, monkeypatch, no_packets, no_children):
    """Its rate is measured against the local models alone."""
    monkeypatch.chdir(tmp_path)
    assert ended("doctor", "--rate", "5/s", "--target", "assistant=http://10.1.2.3:8080") == Exit.USAGE
    assert no_packets == no_children == []
