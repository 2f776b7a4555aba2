"""deploy/neuron: the script calls what exists, in order, and pushes only a record that was made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy" / "neuron"
pytestmark = pytest.mark.checkout
BASE = {"METHOD": "trace", "CHIP": "inferentia2", "MODEL": "nano", "DESTINATION": "s3://bucket/benches"}


def tool(folder: Path, name: str, exit_code: int | str = 0) -> None:
    """An executable that writes its arguments to calls.log."""
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{folder}/calls.log"\nexit {exit_code}\n')
    path.chmod(0o755)


def bench(
    tmp_path: Path, bench_exit: int = 0, curl_exit: int = 0, **settings: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run the script with a python, an aws and a curl that only write down what they were asked."""
    tool(tmp_path, "aws")
    tool(tmp_path, "curl", curl_exit)
    tool(tmp_path, "python", f'$(case "$*" in *"bench run"*) echo {bench_exit};; *) echo 0;; esac)')
    env = os.environ | BASE | {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHON": str(tmp_path / "python")} | settings
    script = [str(DEPLOY / "bench.sh")]
    done = subprocess.run(script, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    log = tmp_path / "calls.log"
    return done, log.read_text().splitlines() if log.exists() else []


def test_a_record_is_measured_and_pushed(tmp_path: Path) -> None:
    """Probe, run, copy: in that order, with the chip's name in each."""
    done, calls = bench(tmp_path, RECORD="benches/one")
    assert done.returncode == 0, done.stderr
    probe, run, copy = calls[-3:]
    assert "bench probe --device neuron" in probe
    assert "bench run --device neuron --method trace --model nano --suite full --chip inferentia2" in run
    assert copy.endswith("benches/one s3://bucket/benches/one")


def test_a_bench_that_fails_pushes_nothing(tmp_path: Path) -> None:
    """Its exit code is the script's."""
    done, calls = bench(tmp_path, bench_exit=5)
    assert done.returncode == 5
    assert not any(call.startswith("aws") for call in calls)


def test_a_server_that_dies_is_an_environment_error(tmp_path: Path) -> None:
    """No endless wait for a server that is gone."""
    done, calls = bench(tmp_path, curl_exit=7, METHOD="endpoint", SERVE_COMMAND="false")
    assert done.returncode == 5
    assert "the server ended before it was ready" in done.stderr
    assert not any("bench run" in call for call in calls)


def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    """Before anything is started."""
    done, calls = bench(tmp_path, DESTINATION="")
    assert done.returncode != 0
    assert "DESTINATION" in done.stderr
    assert calls == []


def test_every_option_is_one_the_command_has(tmp_path: Path) -> None:
    """The script cannot drift from `peakday bench run`."""
    _, calls = bench(tmp_path, METHOD="endpoint", INSTANCE_TYPE="trn2.48xlarge")
    (run,) = [call for call in calls if "bench run" in call]
    command = [sys.executable, "-m", "peakday", "bench", "run", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    for option in (word for word in run.split() if word.startswith("--")):
        assert option in said.stdout


@pytest.mark.parametrize("name", ["cloud-init.inf2-trn1.yaml", "cloud-init.trn2-trn3.yaml"])
def test_cloud_init_is_valid_and_complete(name: str) -> None:
    """It parses, starts with its marker, and sets what the script demands."""
    text = (DEPLOY / name).read_text()
    assert text.startswith("#cloud-config\n")
    settings = yaml.safe_load(text)["write_files"][0]["content"]
    for needed in BASE:
        assert f"{needed}=" in settings
