"""What a page of another site can make a browser send is told apart by Host, Origin and Content-Type."""

import pytest

from host.browsers import is_json, network_refusal, refusal


@pytest.mark.parametrize(
    ("host", "origin", "answered"),
    [
        ("127.0.0.1:80", None, True), ("localhost:80", "http://localhost:80", True), (None, None, True),
        ("[::1]:80", "http://[::1]:80", True), ("rebind.evil.example", None, False),
        ("127.0.0.1.evil.example:80", None, False), ("127.0.0.1:80", "https://evil.example", False),
        ("127.0.0.1:80", "null", False), ("127.0.0.1:80", "http://127.0.0.1:81", False), ("127.0.0.1:80", "", False),
        ("127.0.0.1@evil.example", None, False), ("evil.example#127.0.0.1", None, False),
        ("[::1].evil.example", None, False), ("127.0.0.1#.evil.example", None, False), ("", None, False),
        ("127.0.0.1:80, evil.example", None, False), ("127.0.0.1/evil.example", None, False),
    ],
)  # fmt: skip
def test_only_own_names_and_own_pages_are_answered(host, origin, answered):
    """A name that leads to 127.0.0.1, a page in a sandbox, and another port of this machine are others."""
    assert (refusal(host, origin) is None) is answered


@pytest.mark.parametrize(
    ("host", "origin", "answered"),
    [
        ("10.8.0.1:9646", None, True), ("[fd00::1]:9646", None, True), ("peakday-master:9646", None, True),
        ("host.docker.internal:8080", None, True), ("peakday-master.load.svc.cluster.local", None, True),
        ("10.8.0.1:9646", "http://10.8.0.1:9646", True), (None, None, True), ("rebind.evil.example:9646", None, False),
        ("10.8.0.1.evil.example", None, False), ("10.8.0.1:9646", "https://evil.example", False),
        ("10.8.0.1@evil.example", None, False), ("[bad", None, False), ("", None, False),
        ("internal.evil.example", None, False),
    ],
)  # fmt: skip
def test_on_a_network_no_name_that_can_be_registered_is_answered(host, origin, answered):
    """A site can make its own name lead here; an address, one word and a private suffix are nobody's to make."""
    assert (network_refusal(host, origin) is None) is answered


@pytest.mark.parametrize(
    ("said", "json"),
    [("application/json", True), ("Application/JSON; charset=utf-8", True), ("text/plain", False), (None, False),
     ("application/x-www-form-urlencoded", False), ("text/plain;application/json", False)],
)  # fmt: skip
def test_only_json_is_a_write(said, json):
    """The three types that a form may send, or none, are no JSON."""
    assert is_json(said) is json
