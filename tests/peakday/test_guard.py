"""Load goes to loopback or to what is declared as owned, and nowhere else."""

import socket

import pytest

from host.errors import Exit
from host.ports import listen
from peakday.config import Config
from peakday.errors import CommandError
from peakday.guard import (
    Named,
    Target,
    admit,
    admitted,
    check_allowed,
    check_answers,
    check_bind,
    check_metrics_bind,
    costs_money,
    is_paid_api,
    parse_targets,
)
from tests.host.test_fetch import serving


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:80/v1", "https://127.9.9.9"]
)
def test_loopback_needs_no_declaration(url):
    check_allowed(Named("assistant", url), Config())


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1", "https://example.com", "http://127.0.0.1.example.com", "http://localhost.example.com:80"]
)
def test_any_other_host_must_be_declared(url):
    """A name that merely begins like loopback is another machine."""
    with pytest.raises(CommandError, match="owned_targets") as caught:
        check_allowed(Named("assistant", url), Config())
    assert caught.value.exit_code == Exit.USAGE


def test_a_declared_origin_is_allowed_with_any_path():
    config = Config(owned_targets=("https://staging.example.com",))
    check_allowed(Named("openai", "https://staging.example.com:443/v1"), config)


def test_an_origin_on_another_port_is_another_target():
    config = Config(owned_targets=("https://staging.example.com",))
    with pytest.raises(CommandError):
        check_allowed(Named("openai", "https://staging.example.com:8443/v1"), config)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1", "ftp=http://x", "openai=127.0.0.1:80", "openai=http://h:x", "openai=http://[127.0.0.1]",
        "openai=http://[bad", "openai=http://127.0.0.1:0", "openai=http://127.0.0.1/ a", "openai=http://127.0.0.1#@evil.com",
        "openai=http://127.0.0.1/\r\nHost: evil.com", "openai=http://127.0.0.1\t.evil.com", "openai=http://@127.0.0.1",
        "openai=http://127.0.0.1/\u202ex",
    ],
)  # fmt: skip
def test_a_target_that_cannot_be_read_is_named_with_the_form_expected(text):
    with pytest.raises(CommandError, match="--target"):
        parse_targets([text])


def test_credentials_in_a_url_are_refused_and_not_repeated():
    with pytest.raises(CommandError) as caught:
        parse_targets(["openai=http://me:hunter2@127.0.0.1"])
    assert "hunter2" not in str(caught.value)


def test_a_silent_target_is_an_environment_error():
    listener = listen()
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(CommandError, match="does not answer") as caught:
        check_answers(admit(Named("assistant", f"http://127.0.0.1:{port}"), Config()))
    assert caught.value.exit_code == Exit.ENVIRONMENT


def test_a_target_is_made_by_the_guard_alone():
    with pytest.raises(TypeError, match="guard"):
        Target("assistant", "http://127.0.0.1:8080")
    with pytest.raises(TypeError, match="guard"):
        Target("assistant", "https://example.com", {}, ("192.0.2.1",))
    assert admit(Named("assistant", "http://localhost:8080"), Config()).addresses == ("127.0.0.1", "::1")


def test_an_owned_host_is_resolved_once_and_its_addresses_kept_in_order(monkeypatch):
    """Both families, IPv4 first; whoever connects gets these and no name."""
    looked_up = []

    def getaddrinfo(host, *_, **__):
        looked_up.append(host)
        return [(socket.AF_INET6, 1, 6, "", ("2001:db8::1", 0, 0, 0)), (socket.AF_INET, 1, 6, "", ("192.0.2.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    config = Config(owned_targets=("https://staging.example.com",))
    target = admit(Named("openai", "https://staging.example.com/v1"), config)
    assert target.addresses == ("192.0.2.1", "2001:db8::1")
    assert admitted([target]) == {"staging.example.com": ("192.0.2.1", "2001:db8::1")}
    assert looked_up == ["staging.example.com"]


@pytest.mark.parametrize(
    ("named", "paid"),
    [
        (Named("bedrock", "https://bedrock-runtime.us-east-1.amazonaws.com"), True),
        (Named("openai", "https://bedrock-runtime.us-east-1.amazonaws.com."), True),
        (Named("openai", "https://BEDROCK-runtime.us-east-1.amazonaws.com/v1"), True),
        (Named("openai", "https://api.openai.com/v1"), True),
        (Named("http", "https://my.openai.azure.com"), True),
        (Named("http", "http://127.0.0.1:8080", {"mapping": {"sigv4": {"service": "execute-api"}}}), True),
        (Named("bedrock", "http://127.0.0.1:8080"), False),
        (Named("openai", "https://llm.example.com/v1"), False),
        (Named("openai", "https://api.openai.com.example.net"), False),
    ],
)
def test_a_paid_api_is_known_before_anything_is_sent(named, paid, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    assert is_paid_api(named) == paid


HEALTH = {
    b'{"simulated": true}': False,
    b'{"simulated": false}': True,
    b'{"simulated": "true"}': True,
    b"{}": True,
    b"[true]": True,
    b"no JSON": True,
}


@pytest.mark.parametrize("body", HEALTH)
def test_an_assistant_that_does_not_say_that_it_is_simulated_is_paid(body):
    with serving(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as (url, _):
        assert costs_money(admit(Named("assistant", url), Config()), Config()) == HEALTH[body]


def test_silence_a_redirect_and_an_error_count_as_paid_and_the_owner_s_word_as_free():
    with listen() as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert costs_money(admit(Named("assistant", url), Config()), Config())
        assert not costs_money(admit(Named("assistant", url), Config()), Config(unpaid_targets=(url,)))
    simulated = b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"simulated": true}'
    with serving(simulated) as (elsewhere, _):
        moved = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}/healthz\r\nContent-Length: 0\r\n\r\n".encode()
        with serving(moved) as (url, _):
            assert costs_money(admit(Named("assistant", url), Config()), Config())


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("127.0.0.1", True), ("::1", True), ("10.8.0.7", True), ("0.0.0.0", False), ("::", False), ("10.9.0.1", False)],
)
@pytest.mark.parametrize("check", [check_bind, check_metrics_bind])
def test_a_master_and_its_metrics_listen_where_nobody_reads_along(check, address, allowed):
    """Loopback is the end of a tunnel, a declared network encrypts; all else wants --insecure-network to be typed."""
    config = Config(encrypted_networks=["10.8.0.0/24"])
    check(address, config, insecure=True)
    if allowed:
        check(address, config, insecure=False)
    else:
        with pytest.raises(CommandError, match="--insecure-network"):
            check(address, config, insecure=False)


def test_an_openai_target_is_named_by_its_base():
    with pytest.raises(CommandError, match=r"name the base alone, --target openai=http://127.0.0.1:8000/v1$"):
        parse_targets(["openai=http://127.0.0.1:8000/v1/chat/completions"])


def test_the_last_slash_of_a_mappings_url_stays():
    """Its server may answer to that alone, and redirect everything else."""
    (named,) = parse_targets(["http=text:http://127.0.0.1:8000/chat/"])
    assert named.url == "http://127.0.0.1:8000/chat/"
