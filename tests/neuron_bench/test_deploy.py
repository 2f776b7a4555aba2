"""deploy/neuron: dry runs with tools that only write down what they were asked; a failure leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy" / "neuron"
pytestmark = pytest.mark.checkout
BASE = {"METHOD": "trace", "CHIP": "inferentia2", "MODEL": "nano", "DESTINATION": "s3://bucket/benches"}
SCRIPTS = ("cloud-init.inf2-trn1.yaml", "cloud-init.trn2-trn3.yaml")


def tool(folder: Path, name: str, body: str = "") -> None:
    """An executable that writes its arguments to calls.log, then does as it is told."""
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{folder}/calls.log"\n{body}\n')
    path.chmod(0o755)


def bench(
    tmp_path: Path, bench_exit: int = 0, curl: str = "exit 0", record: bool = True, **settings: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run the script in a root of its own: a python, an aws, a curl and a sudo that are none."""
    tool(tmp_path, "aws", 'case "$*" in *.log) cp "$4" pushed.log;; esac')
    tool(tmp_path, "curl", curl)
    tool(tmp_path, "sudo")
    made = f"mkdir -p {tmp_path}/benches/one;" if record else ""
    tool(tmp_path, "python", f'case "$*" in *"bench run"*) {made} echo measured; exit {bench_exit};; esac')
    env = os.environ | BASE | {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHON": str(tmp_path / "python")}
    env |= {"RECORD": "benches/one"} | settings
    script = [str(DEPLOY / "bench.sh")]
    done = subprocess.run(script, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=900)
    log = tmp_path / "calls.log"
    return done, log.read_text().splitlines() if log.exists() else []


def test_a_record_is_measured_and_pushed_with_its_log(tmp_path: Path) -> None:
    """Probe, run, copy, and the log beside it: in that order."""
    done, calls = bench(tmp_path)
    assert done.returncode == 0, done.stderr
    probe, run, copy, log = calls[-4:]
    assert "bench probe --device neuron" in probe
    assert "bench run --device neuron --method trace --model nano --suite full --chip inferentia2" in run
    assert copy.endswith("benches/one s3://bucket/benches/one")
    assert log.endswith("s3://bucket/benches/one.log")
    assert "measured" in (tmp_path / "pushed.log").read_text()


@pytest.mark.parametrize("exit_code", [4, 5, 130])
def test_a_bench_that_fails_pushes_its_log_and_powers_off(exit_code: int, tmp_path: Path) -> None:
    """An instance that costs money by the hour never stays on for an error; the exit code is the bench's."""
    done, calls = bench(tmp_path, bench_exit=exit_code, record=False, POWER_OFF="yes")
    assert done.returncode == exit_code
    assert [call for call in calls if call.startswith("aws")][-1].endswith("benches/one.log")
    assert calls[-1] == "sudo shutdown -h now"


def test_an_unfinished_bench_pushes_the_record_it_left(tmp_path: Path) -> None:
    """Exit 4 keeps what was measured; so does the bucket."""
    done, calls = bench(tmp_path, bench_exit=4)
    assert done.returncode == 4
    assert any("--recursive" in call and call.endswith("s3://bucket/benches/one") for call in calls)


def test_a_push_that_fails_is_an_error(tmp_path: Path) -> None:
    """A record that nobody can fetch is no success."""
    tool(tmp_path, "aws", "exit 1")
    path = tmp_path / "fixed"
    path.mkdir()
    shutil.copy(tmp_path / "aws", path / "aws")
    done, _ = bench(tmp_path, BASH_ENV=str(_path_first(tmp_path, path)))
    assert done.returncode == 5


def _path_first(tmp_path: Path, folder: Path) -> Path:
    """A file that bash reads first: it puts a folder in front of the path."""
    start = tmp_path / "start.sh"
    start.write_text(f'PATH="{folder}:$PATH"\n')
    return start


def test_a_server_that_dies_is_an_environment_error(tmp_path: Path) -> None:
    """No endless wait for a server that is gone; the log says so."""
    done, calls = bench(tmp_path, curl="exit 7", METHOD="endpoint", SERVE_COMMAND="false")
    assert done.returncode == 5
    assert "the server ended before it was ready" in (tmp_path / "pushed.log").read_text()
    assert not any("bench run" in call for call in calls)


def test_a_server_is_stopped_and_alone_sees_the_models_token(tmp_path: Path) -> None:
    """In its environment, on no command line; and it does not outlive the bench."""
    serve = f"sh -c 'echo token=$HF_TOKEN pid=$$ > {tmp_path}/server; sleep 60'"
    ready = f"until [ -s {tmp_path}/server ]; do sleep 0.01; done"
    done, calls = bench(tmp_path, curl=ready, METHOD="endpoint", SERVE_COMMAND=serve, MODEL_TOKEN="hf_secret")
    assert done.returncode == 0, done.stderr
    token, pid = (tmp_path / "server").read_text().split()
    assert token == "token=hf_secret"
    assert not Path(f"/proc/{pid.removeprefix('pid=')}").exists() or sys.platform != "linux"
    assert "hf_secret" not in "\n".join([*calls, done.stdout, done.stderr])


def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    """Before anything is started."""
    done, calls = bench(tmp_path, DESTINATION="")
    assert done.returncode != 0
    assert "DESTINATION" in done.stderr
    assert calls == []


def test_every_option_is_one_the_command_has(tmp_path: Path) -> None:
    """The script cannot drift from `peakday bench run`; degree, chips and axes reach it."""
    settings = {"INSTANCE_TYPE": "trn2.48xlarge", "TP": "4", "CHIPS_USED": "1", "LENGTHS": "3239", "CONTEXTS": "4096"}
    _, calls = bench(tmp_path, METHOD="endpoint", USERS="1,4", SERVER_HOST="me", **settings)
    (run,) = [call for call in calls if "bench run" in call]
    command = [sys.executable, "-m", "peakday", "bench", "run", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    options = [word for word in run.split() if word.startswith("--")]
    assert {"--tp", "--chips-used", "--lengths", "--contexts", "--users", "--server-host"} <= set(options)
    for option in options:
        assert option in text


def test_the_interpreter_is_found_by_what_it_can_import(tmp_path: Path) -> None:
    """Environments have other names from release to release."""
    for name, code in (("a_first", 1), ("some_pytorch_2_9", 0)):
        (tmp_path / "opt" / name / "bin").mkdir(parents=True)
        tool(tmp_path / "opt" / name / "bin", "python", f'case "$*" in *torch_neuronx*) exit {code};; esac')
    done, _ = bench(tmp_path, PYTHON="", ENVIRONMENTS=str(tmp_path / "opt"))
    assert "python: " + str(tmp_path / "opt" / "some_pytorch_2_9" / "bin" / "python") in done.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_cloud_init_is_valid_and_complete(name: str) -> None:
    """It parses, starts with its marker, and sets what the script demands; secrets are root's alone."""
    text = (DEPLOY / name).read_text()
    assert text.startswith("#cloud-config\n")
    env, start = yaml.safe_load(text)["write_files"]
    assert (env["permissions"], start["permissions"]) == ("0600", "0700")
    for needed in (*BASE, "REVISION", "POWER_OFF"):
        assert f"{needed}=" in env["content"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_checkout_that_fails_pushes_its_log_and_powers_the_instance_off(name: str, tmp_path: Path) -> None:
    """Before bench.sh is there at all: a wrong address or commit must not leave a machine running."""
    env, start = yaml.safe_load((DEPLOY / name).read_text())["write_files"]
    (tmp_path / "env").write_text(env["content"].replace("https://github.com/YOUR-ORG/peakday.git", "/nowhere"))
    (tmp_path / "start").write_text(start["content"])
    tool(tmp_path, "shutdown")
    tool(tmp_path, "aws")
    (tmp_path / "log").write_text("what cloud-init said")
    settings = {
        "LOG": str(tmp_path / "log"),
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "SETTINGS": str(tmp_path / "env"),
        "HOME": str(tmp_path),
    }
    settings |= {"CHECKOUT": str(tmp_path / "checkout")}
    command = ["bash", str(tmp_path / "start")]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode != 0
    pushed, off = (tmp_path / "calls.log").read_text().splitlines()
    assert pushed.startswith(f"aws s3 cp --only-show-errors {tmp_path}/log s3://YOUR-BUCKET/peakday/benches/start-")
    assert off == "shutdown -h now"


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_the_script_passes_shellcheck() -> None:
    """Quotes, unset names, lost exit codes."""
    done = subprocess.run(["shellcheck", str(DEPLOY / "bench.sh")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["bench.sh", *SCRIPTS])
def test_every_script_is_bash_that_parses(name: str, tmp_path: Path) -> None:
    """Also those inside cloud-init."""
    text = (DEPLOY / name).read_text()
    script = text if name.endswith(".sh") else yaml.safe_load(text)["write_files"][1]["content"]
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
