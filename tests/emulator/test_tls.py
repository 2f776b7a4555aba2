"""TLS beside plain HTTP: the authority in a file, HTTP/2 or HTTP/1.1 as the client's ALPN asks."""

import socket
import ssl
import sys

import pytest

from host import processes
from tests.emulator.conftest import ROOT, write_stack
from tests.emulator.test_http2 import BODY, HELLO, NOVA, Client

pytest.importorskip("trustme")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Address of the emulator's TLS, and a client's context that trusts its authority."""
    folder = tmp_path_factory.mktemp("tls")
    command = [sys.executable, "-m", "emulator", "--stack", str(write_stack(folder)), "--ca-file", str(folder / "ca")]
    child = processes.start("emulator", command, folder=ROOT, watched=True, stdout=True)
    with processes.running(child):
        ready = child.ready()
        address = ready["tls_url"].removeprefix("https://").split(":")
        yield (address[0], int(address[1])), ready["ca_file"]


def connected(served, protocol: str, name: str = "localhost") -> ssl.SSLSocket:
    """A connection whose client offers one protocol."""
    address, ca_file = served
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols([protocol])
    return context.wrap_socket(socket.create_connection(address, timeout=120), server_hostname=name)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_http_2_is_agreed_on_where_the_client_offers_it(served, name):
    """By ALPN: a Bedrock stream whole, frame by frame, then another request on the same connection."""
    client = Client.over(connected(served, "h2", name))
    assert client.socket.selected_alpn_protocol() == "h2"
    assert client.answer(client.ask(NOVA, HELLO)).count(b"contentBlockDelta") == 20
    assert client.answer(client.ask()).count(b"data: [DONE]") == 1
    client.socket.close()


def test_http_1_is_agreed_on_where_it_offers_that(served):
    """A stream of chunks comes whole, and the connection stays for the next request."""
    link = connected(served, "http/1.1")
    assert link.selected_alpn_protocol() == "http/1.1"
    for _ in range(2):
        head = f"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(BODY)}\r\n\r\n"
        link.sendall(head.encode() + BODY)
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += link.recv(65_536)
        assert received.count(b"HTTP/1.1 200") == received.count(b"data: [DONE]") == 1
    link.close()


def test_who_does_not_know_the_authority_does_not_connect(served):
    """It is in no system's list: a client that was not given the file refuses."""
    address, _ = served
    with socket.create_connection(address, timeout=120) as plain, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
