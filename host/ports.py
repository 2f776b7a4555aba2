"""Loopback: which addresses are this machine's own, and listening sockets on it."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import random
import socket
from urllib.parse import urlsplit

from host.errors import Exit, PeakdayError

PORT_MAX = 65_535
_NOT_HANDED_OUT = (12_000, 32_000)
"""Linux hands out 32768 and up (ip(7), ip_local_port_range), macOS and Windows 49152 and up (RFC 6335)."""


class PortError(PeakdayError):
    """A port that cannot be had."""

    exit_code = Exit.ENVIRONMENT


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address can only be this machine: 127.0.0.0/8, ::1 (also IPv4-mapped), localhost."""
    if not host:
        return False
    name = host.strip("[]").lower()
    if name.removesuffix(".") == "localhost":
        return True
    if "%" in name:  # a scope is a name, which may be looked up
        return False
    try:
        address = ipaddress.ip_address(name)  # "127.0.0.1." is no address but a name, which anybody may answer for
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_loopback_url(url: str) -> bool:
    """Whether a URL's host can only be this machine."""
    try:
        return is_loopback(urlsplit(url).hostname)
    except ValueError:
        return False


def listen(port: int = 0, host: str = "127.0.0.1", option: str = "--port") -> socket.socket:
    """A listening socket, so that a port is never lost between looking and taking; 0 takes any free one.

    Args:
        option: what names the port, for the message.

    Raises:
        PortError: the port is taken, or not ours to take; with exit code 2 where it is no port number.
    """
    if not 0 <= port <= PORT_MAX:
        raise PortError(f"port {port}: no port number; choose one up to {PORT_MAX} with {option}", Exit.USAGE)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(4096)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno or 0).lower()
        where = "" if is_loopback(host) else f" of {host}"
        raise PortError(f"port {port}{where}: {reason}; choose another with {option}") from None
    return listener


def free_port() -> int:
    """A loopback port that was free a moment ago, for a program that must be given a number.

    It lies below those that systems hand out by themselves: nobody's outgoing connection takes it meanwhile.
    """
    for _ in range(1_000):
        port = random.SystemRandom().randrange(*_NOT_HANDED_OUT)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise PortError(f"no loopback port from {_NOT_HANDED_OUT[0]} to {_NOT_HANDED_OUT[1]} can be listened on")
