"""Which addresses are this machine's own."""

import pytest

from host.errors import Exit
from host.ports import PortError, free_port, is_loopback, is_loopback_url, listen


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST.", "::ffff:127.0.0.1"]
)
def test_these_can_only_be_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "0.0.0.0",
        "10.0.0.1",
        "127.0.0.1.example.com",
        "127.0.0.1.",
        "localhost.example.com",
        "::",
        "2130706433",
    ],
)
def test_these_may_be_elsewhere(host):
    assert not is_loopback(host)


def test_what_stands_before_an_at_sign_is_no_host():
    assert not is_loopback_url("http://127.0.0.1@example.com/")
    assert not is_loopback_url("http://[bad")


def test_a_taken_port_is_one_line():
    with listen() as taken, pytest.raises(PortError, match="in use; choose another with --port") as caught:
        listen(taken.getsockname()[1])
    assert caught.value.exit_code == Exit.ENVIRONMENT


def test_a_free_port_can_be_listened_on():
    port = free_port()
    assert port < 32_768, "the system may give it to an outgoing connection first"
    with listen(port) as taken:
        assert taken.getsockname()[1] == port


@pytest.mark.parametrize("port", [99_999, 65_536, -1])
def test_a_number_that_is_no_port_is_a_usage_error(port):
    with pytest.raises(PortError, match="no port number; choose one up to 65535 with --port") as caught:
        listen(port)
    assert caught.value.exit_code == Exit.USAGE
