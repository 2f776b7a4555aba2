"""Load goes to loopback or to what is declared as owned, and nowhere else."""

import pytest

from host.errors import Exit
from host.ports import listen
from peakday.config import Config
from peakday.errors import CommandError
from peakday.targets import Target, check_allowed, check_answers, parse_targets


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:80/v1", "https://127.9.9.9"]
)
def test_loopback_needs_no_declaration(url):
    check_allowed(Target("assistant", url), Config())


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1", "https://example.com", "http://127.0.0.1.example.com", "http://localhost.example.com:80"]
)
def test_any_other_host_must_be_declared(url):
    """A name that merely begins like loopback is another machine."""
    with pytest.raises(CommandError, match="owned_targets") as caught:
        check_allowed(Target("assistant", url), Config())
    assert caught.value.exit_code == Exit.USAGE


def test_a_declared_origin_is_allowed_with_any_path():
    config = Config(owned_targets=("https://staging.example.com",))
    check_allowed(Target("openai", "https://staging.example.com:443/v1"), config)


def test_an_origin_on_another_port_is_another_target():
    config = Config(owned_targets=("https://staging.example.com",))
    with pytest.raises(CommandError):
        check_allowed(Target("openai", "https://staging.example.com:8443/v1"), config)


@pytest.mark.parametrize("text", ["http://127.0.0.1", "ftp=http://x", "openai=127.0.0.1:80", "openai=http://h:x"])
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
        check_answers(Target("assistant", f"http://127.0.0.1:{port}"))
    assert caught.value.exit_code == Exit.ENVIRONMENT
