"""What a server on loopback answers: requests under its own name, from no page but its own, and writes in JSON.

A page of any site can make its reader's browser send to 127.0.0.1, and a name of its own can be made to lead there. The
browser then says so, in Origin and Host; and it sends no body of JSON to another origin without leave.
"""

from __future__ import annotations

from functools import lru_cache

from host.ports import is_loopback_url


@lru_cache(maxsize=256)
def refusal(host: str | None, origin: str | None) -> str | None:
    """Why a request is not answered; None where it may be. Clients that are no browsers send no Origin."""
    if host is not None and not is_loopback_url(f"http://{host}"):
        return "this address is served under a loopback name only"
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        return "this address is for pages of its own"
    return None


def is_json(content_type: str | None) -> bool:
    """Whether a body says that it is JSON."""
    return (content_type or "").partition(";")[0].strip().lower() == "application/json"
