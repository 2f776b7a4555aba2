"""Compiled graphs by what made them, in a folder or on S3."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from neuron_bench.errors import BenchUsageError
from neuron_bench.models.presets import PRESETS
from neuron_bench.trace.artifacts import FolderStore, S3Store, key, open_store
from neuron_bench.trace.cases import decode, prefill
from neuron_bench.trace.suite import Spec, key_parts


class Bucket:
    """What of boto3's S3 client a store uses, over a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[str] = []

    def list_objects_v2(self, *, Bucket: str, Prefix: str, MaxKeys: int) -> dict[str, Any]:
        return {"KeyCount": int((self.root / Bucket / Prefix).is_file())}

    def download_file(self, bucket: str, name: str, path: str) -> None:
        self.calls.append("download")
        shutil.copy(self.root / bucket / name, path)

    def upload_file(self, path: str, bucket: str, name: str) -> None:
        self.calls.append("upload")
        (self.root / bucket / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, self.root / bucket / name)


def test_a_key_is_of_everything_that_makes_a_graph() -> None:
    """Another case, dtype, compiler argument, target or seed is another graph; the same is the same."""
    shape, case = PRESETS["nano"], prefill(1, 64, "float32")
    base = key(key_parts(Spec(), shape, case))
    assert base == key(key_parts(Spec(suite="full"), shape, case))
    others = [
        key_parts(Spec(), shape, prefill(2, 64, "float32")),
        key_parts(Spec(), shape, prefill(1, 64, "bfloat16")),
        key_parts(Spec(), shape, decode(1, 64, "float32")),
        key_parts(Spec(), PRESETS["tiny"], case),
        key_parts(Spec(compiler_args="-O1"), shape, case),
        key_parts(Spec(chip="trainium1"), shape, case),
        key_parts(Spec(seed=2), shape, case),
    ]
    keys = {key(parts) for parts in others}
    assert len(keys) == len(others)
    assert base not in keys


def test_a_graph_compiled_on_one_machine_is_fetched_on_another(tmp_path: Path) -> None:
    """Uploaded once, downloaded once, then read from the local folder."""
    bucket = Bucket(tmp_path / "s3")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first, second = (S3Store("b", "graphs/", bucket, tmp_path / name) for name in ("first", "second"))
    assert not second.fetch("k").exists()
    first.fetch("k").write_text("graph")
    first.keep("k")
    assert second.fetch("k").read_text() == "graph"
    assert second.fetch("k").read_text() == "graph"
    assert bucket.calls == ["upload", "download"]
    assert (tmp_path / "s3" / "b" / "graphs" / "k.pt").is_file()


def test_a_store_is_a_folder_unless_it_says_s3(tmp_path: Path) -> None:
    """The folder is made; an S3 address needs its bucket."""
    assert isinstance(open_store(str(tmp_path / "a" / "b")), FolderStore)
    assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(BenchUsageError, match="expected s3://BUCKET/PREFIX"):
        open_store("s3://")
