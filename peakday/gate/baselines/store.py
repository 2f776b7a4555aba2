"""Where baselines lie: files in the repository, or objects in S3."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from host.atomic import write_bytes
from peakday.account.clients import Client
from peakday.consent import Consent, require_live
from peakday.console import Console


class Store(Protocol):
    """Keys are paths with slashes."""

    def read(self, key: str) -> bytes | None:
        """The content, or None where there is none."""

    def write(self, key: str, content: bytes) -> None:
        """Create or replace."""

    def keys(self, prefix: str) -> list[str]:
        """Every key that begins so, sorted."""


@dataclass(frozen=True)
class Folder:
    """Files below a folder, to be committed with the code they describe."""

    path: Path

    def read(self, key: str) -> bytes | None:
        """The content, or None where there is none."""
        file = self.path / key
        return file.read_bytes() if file.is_file() else None

    def write(self, key: str, content: bytes) -> None:
        """Create or replace, whole or not at all."""
        write_bytes(self.path / key, content)

    def keys(self, prefix: str) -> list[str]:
        """Every key that begins so, sorted."""
        keys = (file.relative_to(self.path).as_posix() for file in self.path.rglob("*.json"))
        return sorted(key for key in keys if key.startswith(prefix))


class Bucket:
    """Objects below a prefix in S3."""

    def __init__(self, client: Client, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix.strip("/")

    def read(self, key: str) -> bytes | None:
        """The content, or None where there is none."""
        try:
            body = self._client.get_object(Bucket=self._bucket, Key=self._full(key))["Body"]
        except self._client.exceptions.NoSuchKey:
            return None
        content: bytes = body.read()
        return content

    def write(self, key: str, content: bytes) -> None:
        """Create or replace."""
        self._client.put_object(Bucket=self._bucket, Key=self._full(key), Body=content, ContentType="application/json")

    def keys(self, prefix: str) -> list[str]:
        """Every key that begins so, sorted."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._full(prefix))
        skip = len(self._full(""))
        return sorted(item["Key"][skip:] for page in pages for item in page.get("Contents", ()))

    def _full(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key


def open_store(where: str, consent: Consent, console: Console) -> Store:
    """The store of a folder or of `s3://bucket/prefix`; the latter asks before a client is made.

    Raises:
        CommandError: S3 without consent.
    """
    if not where.startswith("s3://"):
        return Folder(Path(where))
    require_live(consent, f"baselines in {where}", "a few S3 requests, less than 0.01 USD", console)
    import boto3

    bucket, _, prefix = where.removeprefix("s3://").partition("/")
    return Bucket(boto3.client("s3"), bucket, prefix)
