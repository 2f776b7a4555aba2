"""What a server on loopback answers: requests under its own name, from no page but its own, and writes in JSON.

A page of any site can make its reader's browser send to 127.0.0.1, and a name of its own can be made to lead there. The
browser then says so, in Origin and Host; and it sends no body of JSON to another origin without leave.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from host.ports import is_loopback_url

PRIVATE_SUFFIXES = (".internal", ".local", ".svc", ".localhost", ".home.arpa")
"""Ends of names that nobody can register: ICANN's reserved .internal (2024), RFC 6762, Kubernetes' service names,
RFC 6761, RFC 8375."""


_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+)(?::[0-9]{1,5})?")
"""A host and its port, and nothing that a URL could hold beside them."""


@lru_cache(maxsize=256)
def refusal(host: str | None, origin: str | None) -> str | None:
    """Why a request is not answered; None where it may be. Clients that are no browsers send no Origin."""
    if host is not None and not (_HOST.fullmatch(host) and is_loopback_url(f"http://{host}")):
        return "this address is served under a loopback name only"
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        return "this address is for pages of its own"
    return None


@lru_cache(maxsize=256)
def network_refusal(host: str | None, origin: str | None) -> str | None:
    """The same for a page that is read over a network: its address, or a name that no site of the web can have.

    A site can make its own name lead here, and its page then reads the answer; it cannot do so with an address, with a
    name of one word, or under a suffix that nobody can register.
    """
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        return "this address is for pages of its own"
    if host is None or _is_private_name(host):
        return None
    return "this address is served under an address, a name of one word or a private name such as host.docker.internal"


def _is_private_name(host: str) -> bool:
    try:
        name = (urlsplit(f"http://{host}").hostname or "").removesuffix(".")
    except ValueError:
        return False
    try:
        ip_address(name)
    except ValueError:
        return bool(name) and ("." not in name or name.endswith(PRIVATE_SUFFIXES))
    return True


def is_json(content_type: str | None) -> bool:
    """Whether a body says that it is JSON."""
    return (content_type or "").partition(";")[0].strip().lower() == "application/json"
