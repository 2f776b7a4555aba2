"""The one HTTP opener: where it goes, where it does not, and how much it reads."""

import contextlib
import errno
import socket
import threading
import time

import pytest

from host.fetch import FetchError, connect, fetch, own_addresses


@contextlib.contextmanager
def serving(*pieces, pause_s=0.0):
    """A server that answers every connection with these bytes; yields its URL and the requests it got."""
    requests = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with link, contextlib.suppress(OSError):
                requests.append(link.recv(65_536))
                for piece in pieces:
                    link.sendall(piece)
                    time.sleep(pause_s)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage"


def test_a_page_of_this_machine_is_read():
    with serving(OK) as (url, requests):
        assert fetch(f"{url}/metrics?x=1", within_s=60) == b"page"
        assert fetch(url, b"{}", within_s=60) == b"page"
    assert requests[0].startswith(b"GET /metrics?x=1 HTTP/1.1\r\n")
    assert requests[1].startswith(b"POST / HTTP/1.1\r\n")


def test_no_redirect_is_followed():
    """A page may not say where we go next: the link-local address of a cloud's credentials, say."""
    with serving(OK) as (elsewhere, requests):
        moved = f"HTTP/1.1 307 Go\r\nLocation: {elsewhere}/secret\r\nContent-Length: 0\r\n\r\n".encode()
        with serving(moved) as (url, _), pytest.raises(FetchError, match="307; redirects are not followed"):
            fetch(url, within_s=60)
    assert requests == []


def test_no_proxy_of_the_environment_is_used(monkeypatch):
    with serving(OK) as (proxy, proxied), serving(OK) as (url, _):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy)
        assert fetch(url, within_s=60) == b"page"
    assert proxied == []


@pytest.mark.parametrize("url", ["http://example.com/x", "http://10.0.0.1", "http://localhost.example.com"])
def test_a_host_that_was_not_admitted_is_neither_looked_up_nor_contacted(url, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    with pytest.raises(FetchError, match="not admitted"):
        fetch(url, within_s=60)


@pytest.mark.parametrize("url", ["file://localhost/etc/hostname", "ftp://127.0.0.1/x", "gopher://127.0.0.1"])
def test_only_http_is_read(url):
    with pytest.raises(FetchError, match="only http"):
        fetch(url, within_s=60)


def test_an_admitted_host_is_connected_to_at_its_addresses_alone(monkeypatch):
    """The name goes into the Host header; the connection goes where the guard said."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    with serving(OK) as (url, requests):
        port = url.rpartition(":")[2]
        assert fetch(f"http://assistant.example:{port}/x", within_s=60, addresses=("127.0.0.1",)) == b"page"
    assert f"Host: assistant.example:{port}".encode() in requests[0]


def test_addresses_are_tried_in_order_in_both_families():
    with serving(OK) as (url, _):
        port = int(url.rpartition(":")[2])
        connect(("::1", "127.0.0.1"), port, 60.0).close()


def test_where_the_system_has_no_ipv6_the_next_address_is_tried(monkeypatch):
    real = socket.socket

    def without_ipv6(family, *more, **named):  # the server's thread makes sockets too
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *more, **named)

    with serving(OK) as (url, _):
        monkeypatch.setattr(socket, "socket", without_ipv6)
        connect(("::1", "127.0.0.1"), int(url.rpartition(":")[2]), 60.0).close()
        with pytest.raises(OSError, match="not supported"):
            connect(("::1",), 1, 60.0)
        monkeypatch.undo()


def test_localhost_is_this_machine_without_a_look_up(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    assert own_addresses("localhost") == ("127.0.0.1", "::1")
    assert own_addresses("[::1]") == ("::1",)
    assert own_addresses("example.com") == ()


def test_a_page_that_drips_ends_in_time():
    """Each byte comes soon enough for a time-out of one read; all of them together do not."""
    drip = [b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", *[b"x"] * 50]
    with serving(*drip, pause_s=0.1) as (url, _), pytest.raises(FetchError, match=r"within 0\.5 s"):
        fetch(url, within_s=0.5)


def test_a_page_that_never_ends_is_cut():
    with serving(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000) as (url, _), pytest.raises(FetchError, match="more than"):
        fetch(url, within_s=60, bytes_max=1_000)


def test_a_page_that_is_cut_short_is_no_page():
    """Half a line of a counter reads as another number."""
    with (
        serving(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nx_total 1") as (url, _),
        pytest.raises(FetchError, match="cut short"),
    ):
        fetch(url, within_s=60)
