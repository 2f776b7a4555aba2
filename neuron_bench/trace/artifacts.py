"""Compiled graphs kept by what made them, in a folder or on S3, so that an event compiles nothing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from host.atomic import written_aside
from neuron_bench.errors import BenchUsageError


def key(parts: Mapping[str, object]) -> str:
    """Name of an artifact: a hash of configuration, shapes, dtypes, compiler arguments, target and versions."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Store(Protocol):
    """Where graphs are kept between benches."""

    def fetch(self, name: str) -> Path:
        """Local path of an artifact: existing if the store has it, else where to write it."""

    def keep(self, name: str) -> None:
        """Called once the artifact was written to its path."""


class FolderStore:
    """Graphs in a local folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fetch(self, name: str) -> Path:
        """In the folder."""
        return self.root / f"{name}.pt"

    def keep(self, name: str) -> None:
        """It is there already: graphs are written aside and renamed."""


class S3Store:
    """Graphs in a bucket, through a local folder. Uses boto3's own credentials; compiles ahead of an event go here."""

    def __init__(self, bucket: str, prefix: str, client: Any, local: Path) -> None:
        self.bucket, self.prefix, self.client, self.local = bucket, prefix, client, local

    def fetch(self, name: str) -> Path:
        """Downloaded if the bucket has it; a missing one is no error."""
        path = self.local / f"{name}.pt"
        if not path.exists():
            listed = self.client.list_objects_v2(Bucket=self.bucket, Prefix=self._object(name), MaxKeys=1)
            if listed.get("KeyCount"):
                with written_aside(path) as aside:
                    self.client.download_file(self.bucket, self._object(name), str(aside))
        return path

    def keep(self, name: str) -> None:
        """Upload it."""
        self.client.upload_file(str(self.local / f"{name}.pt"), self.bucket, self._object(name))

    def _object(self, name: str) -> str:
        return f"{self.prefix.strip('/')}/{name}.pt".lstrip("/")


def open_store(where: str) -> Store:
    """A folder, or `s3://bucket/prefix`.

    Raises:
        BenchUsageError: an S3 address without a bucket.
    """
    if not where.startswith("s3://"):
        Path(where).mkdir(parents=True, exist_ok=True)
        return FolderStore(Path(where))
    bucket, _, prefix = where.removeprefix("s3://").partition("/")
    if not bucket:
        raise BenchUsageError(f"artifact store {where!r}: expected s3://BUCKET/PREFIX")
    import boto3

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")  # ours alone: what lies there is loaded
    local = cache / "peakday" / "artifacts" / key({"store": where})
    local.mkdir(parents=True, exist_ok=True, mode=0o700)
    return S3Store(bucket, prefix, boto3.client("s3"), local)
