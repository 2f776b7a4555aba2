"""The extra `neuron` refuses the public index's placeholder, and no bench module needs torch to be imported."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .test_probe import stub_wheel

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def neuron_requirements() -> list[str]:
    if not PROJECT.is_file():
        pytest.skip("no pyproject.toml beside the tests: they run against an installed wheel")
    return list(tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]["neuron"])


def resolve(folder: Path, *requirements: str) -> subprocess.CompletedProcess[str]:
    """pip's resolver over a folder of wheels and nothing else."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--no-deps", "--target"]
    command += [str(folder / "site"), "--find-links", str(folder), *requirements]
    return subprocess.run(command, capture_output=True, text=True, check=False)


pip_needed = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="this environment has no pip")


@pip_needed
def test_the_placeholder_can_never_satisfy_the_extra(tmp_path: Path) -> None:
    """An index that holds only the stub 1.0: pip fails loudly, naming the package."""
    stub_wheel(tmp_path, "1.0")
    done = resolve(tmp_path, *neuron_requirements())
    assert done.returncode != 0
    assert "No matching distribution found for torch-neuronx" in done.stderr


@pip_needed
def test_a_wheel_of_the_line_we_name_satisfies_it(tmp_path: Path) -> None:
    """So the refusal above is the bound's, and not a broken index; a stub of 1.0 beside it changes nothing."""
    stub_wheel(tmp_path, "1.0")
    stub_wheel(tmp_path, "2.9.1")
    done = resolve(tmp_path, *neuron_requirements())
    assert done.returncode == 0, done.stderr
    assert "torch_neuronx-2.9.1" in done.stdout or "torch-neuronx-2.9.1" in done.stdout
