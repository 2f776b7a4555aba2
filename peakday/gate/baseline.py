"""Baselines: what a build was like, as small JSON documents in the repository or in S3.

`SCENARIO/VERSION.json` holds one; `SCENARIO/current.json` names the one that checks compare with. A version is never
changed: accepting or promoting writes another or moves the name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from host.atomic import write_bytes
from host.errors import PeakdayError
from loadgen.record import Run
from peakday.consent import Consent, require_live
from peakday.console import Console
from peakday.errors import CommandError

SCHEMA = "peakday.baseline/1"
SKETCH_SHARES = (
    0.0, 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99, 0.995,
    1.0,
)  # fmt: skip
SKETCHED = ("ttft_s", "e2e_s", "tpot_s")
_VERSION = re.compile(r"\d{8}-\d{6}(-\d+)?")


class BaselineError(PeakdayError, ValueError):
    """A baseline that is missing, damaged or of another schema; the message says which and the remedy."""


class Store(Protocol):
    """Where baselines lie: keys are paths with slashes."""

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

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
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


def current(store: Store, scenario: str) -> dict[str, Any]:
    """The baseline that checks of a scenario compare with.

    Raises:
        BaselineError: none yet, or damaged.
    """
    raw = store.read(f"{scenario}/current.json")
    if raw is None:
        raise BaselineError(f"no baseline of {scenario} yet; `peakday baseline save {scenario}` makes one")
    version = _parsed(raw, f"{scenario}/current.json").get("version")
    return load(store, scenario, str(version))


def load(store: Store, scenario: str, version: str) -> dict[str, Any]:
    """One version.

    Raises:
        BaselineError: not there, damaged, or of another schema.
    """
    key = f"{scenario}/{version}.json"
    raw = store.read(key)
    if raw is None:
        raise BaselineError(f"{key}: no such baseline; `peakday baseline list {scenario}` shows what there is")
    baseline = _parsed(raw, key)
    if baseline.get("schema") != SCHEMA:
        raise BaselineError(f"{key}: schema is {baseline.get('schema')!r}, this peakday reads {SCHEMA!r}; save it anew")
    lacking = [name for name in ("exact", "moments", "workload", "runs") if name not in baseline]
    if lacking:
        raise BaselineError(f"{key}: damaged, {', '.join(lacking)} is missing; save it anew")
    return baseline


def _parsed(raw: bytes, key: str) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise BaselineError(f"{key}: damaged ({error}); restore it, or save it anew") from None
    if not isinstance(value, dict):
        raise BaselineError(f"{key}: damaged, a JSON object was expected; restore it, or save it anew")
    return value


def versions(store: Store, scenario: str) -> list[str]:
    """Every version of a scenario, oldest first."""
    names = (key.rpartition("/")[2].removesuffix(".json") for key in store.keys(f"{scenario}/"))
    return sorted(name for name in names if _VERSION.fullmatch(name))


def save(store: Store, scenario: str, baseline: Mapping[str, Any], created_utc: str) -> str:
    """Write a new version and return its name; it becomes current only where there was none.

    Keys are sorted and each figure has a line of its own, so that a diff of two versions is read by a person.

    Args:
        created_utc: ISO time, which names the version.
    """
    stem = re.sub(r"\D", "", created_utc)[:14]
    version = f"{stem[:8]}-{stem[8:]}"
    taken = [name for name in versions(store, scenario) if name.startswith(version)]
    version += f"-{len(taken) + 1}" if taken else ""
    document = {"schema": SCHEMA, "version": version, "created_utc": created_utc, "scenario": scenario, **baseline}
    store.write(
        f"{scenario}/{version}.json", (json.dumps(document, allow_nan=False, indent=1, sort_keys=True) + "\n").encode()
    )
    if store.read(f"{scenario}/current.json") is None:
        promote(store, scenario, version)
    return version


def promote(store: Store, scenario: str, version: str) -> None:
    """Let checks compare with this version from now on.

    Raises:
        CommandError: there is no such version, or it cannot be read.
    """
    try:
        load(store, scenario, version)
    except BaselineError as error:
        raise CommandError(str(error)) from None
    store.write(f"{scenario}/current.json", (json.dumps({"version": version}) + "\n").encode())


def sketches(runs: Sequence[Run]) -> dict[str, Any]:
    """Quantiles of the pooled latencies of answered turns: the shape of a distribution in a few hundred bytes."""
    metrics = {}
    for metric in SKETCHED:
        values = pd.concat([run.turns.loc[run.turns["status"].eq("ok"), metric].dropna() for run in runs])
        if len(values):
            metrics[metric] = {"n": len(values), "values": [float(f"{values.quantile(q):.6g}") for q in SKETCH_SHARES]}
    return {"shares": list(SKETCH_SHARES), "metrics": metrics} if metrics else {}
