"""Signing with the caller's AWS credentials. They are read where they are used, and never enter a job or a record."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime

from loadgen.job import LoadError
from wire.sigv4 import Credentials, sign

EVERY_S = 60.0
"""How often the newest credentials are taken; botocore renews its own a quarter of an hour before they end."""


class Signer:
    """Signs requests of one service and region.

    Args:
        loopback: the target is an emulator on this machine: signed with a stated dummy key, no real one is needed.
    """

    def __init__(self, service: str, region: str, *, loopback: bool) -> None:
        self._service = service
        self._region = region
        self._loopback = loopback
        self._credentials = credentials(loopback=loopback)

    def refresh(self) -> None:
        """Fetch the credentials again; providers that rotate them hand out the newest."""
        self._credentials = credentials(loopback=self._loopback)

    def sign(self, method: str, url: str, headers: Mapping[str, str], body: bytes, now: datetime) -> dict[str, str]:
        """All headers to send."""
        key, where = self._credentials, {"region": self._region, "service": self._service}
        return sign(method, url, headers, body, key=key, **where, now=now)


_botocore_session = None


def credentials(*, loopback: bool) -> Credentials:
    """From the environment, else from botocore's chain (profile, container, instance).

    Raises:
        LoadError: there are none.
    """
    if loopback:
        return Credentials("peakday", "loopback")
    if "AWS_ACCESS_KEY_ID" in os.environ and "AWS_SECRET_ACCESS_KEY" in os.environ:
        return Credentials(
            os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], os.environ.get("AWS_SESSION_TOKEN")
        )
    global _botocore_session
    if _botocore_session is None:
        import botocore.session  # half a second of imports, wanted only here

        _botocore_session = botocore.session.get_session()
    credentials = _botocore_session.get_credentials()
    if credentials is None:
        raise LoadError("no AWS credentials; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return Credentials.of(credentials)
