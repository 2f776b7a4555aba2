"""What a page of another site can make a browser send is told apart by Host, Origin and Content-Type."""

import pytest

from host.browsers import is_json, refusal


@pytest.mark.parametrize(
    ("host", "origin", "answered"),
    [
        ("127.0.0.1:80", None, True), ("localhost:80", "http://localhost:80", True), (None, None, True),
        ("[::1]:80", "http://[::1]:80", True), ("rebind.evil.example", None, False),
        ("127.0.0.1.evil.example:80", None, False), ("127.0.0.1:80", "https://evil.example", False),
        ("127.0.0.1:80", "null", False), ("127.0.0.1:80", "http://127.0.0.1:81", False), ("127.0.0.1:80", "", False),
        ("127.0.0.1@evil.example", None, False), ("evil.example#127.0.0.1", None, False),
    ],
)  # fmt: skip
def test_only_own_names_and_own_pages_are_answered(host, origin, answered):
    """A name that leads to 127.0.0.1, a page in a sandbox, and another port of this machine are others."""
    assert (refusal(host, origin) is None) is answered


@pytest.mark.parametrize(
    ("said", "json"),
    [("application/json", True), ("Application/JSON; charset=utf-8", True), ("text/plain", False), (None, False),
     ("application/x-www-form-urlencoded", False), ("text/plain;application/json", False)],
)  # fmt: skip
def test_only_json_is_a_write(said, json):
    """The three types that a form may send, or none, are no JSON."""
    assert is_json(said) is json
