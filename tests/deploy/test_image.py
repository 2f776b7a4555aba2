"""deploy/Dockerfile and .dockerignore, line by line, and carried out in a folder: no daemon builds them here."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from loadgen.seal import VARIABLE
from tests.deploy.dry_build import DryBuild, context_of, instructions

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "Dockerfile").read_text()
INSTRUCTIONS = instructions(TEXT)
KEPT = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]


def of(instruction: str) -> list[str]:
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def test_the_base_image_is_pinned_by_digest():
    (argument,) = of("ARG")
    assert re.fullmatch(r"PYTHON=python:3\.\d+-slim@sha256:[0-9a-f]{64}", argument)
    bases = {line.split()[-1]: line.split()[0] for line in of("FROM")}
    assert {name: base for name, base in bases.items() if base not in bases} == dict.fromkeys(
        ("build", "base", "worker"), "${PYTHON}"
    )


def test_the_last_stage_is_the_command_and_the_operators_has_a_name():
    """`docker build` without a target makes the last stage."""
    assert [line.split()[-1] for line in of("FROM")][-1] == "peakday"
    assert of("ENTRYPOINT")[-1] == '["peakday"]'


def test_the_image_holds_a_wheel_and_runs_as_a_number():
    """What is run was installed from a wheel, by a user who needs no user table and is not root."""
    assert any("pip wheel" in line and "/wheels/*.whl" in line for line in of("RUN"))
    assert set(of("USER")) == {"10001:10001"}
    assert all("--from=" in line or "operator-entrypoint" in line for line in of("COPY")[-3:])


def test_the_simulators_cache_travels_with_the_image_and_is_the_users():
    """numba leaves a cache unused where it may not write."""
    assert sum("NUMBA_CACHE_DIR=/var/cache/peakday" in line for line in of("ENV")) == 2
    assert any("warm_up()" in line for line in of("RUN"))
    assert any(f"--chown={of('USER')[0]}" in line and "/var/cache/peakday" in line for line in of("COPY"))


@pytest.mark.slow
def test_the_dockerfile_builds_in_a_folder_in_place_of_a_root(tmp_path):
    """Its steps succeed; the command answers from there alone, and the simulator is not compiled a second time."""
    build = DryBuild(context_of(ROOT, tmp_path / "context"), tmp_path / "root")
    build.carry_out(TEXT)
    shutil.rmtree(build.at("/src"))
    shutil.rmtree(tmp_path / "context")
    answer = build.execute(*build.entry_points["peakday"], "--version")
    assert (answer.returncode, answer.stderr) == (0, "")
    where = build.execute("python", "-P", "-c", "import peakday, capacity; print(peakday.__file__, capacity.__file__)")
    assert all(path.startswith(str(build.at("/opt/peakday"))) for path in where.stdout.split())
    cache = build.at("/var/cache/peakday")
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.nb?")}
    build.execute("python", "-P", "-c", "from capacity.kernels import warm_up; warm_up()")
    assert before
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.nb?")} == before
    assert build.owners == {"/var/cache/peakday": "10001:10001"}
    script = build.entry_points["operator"][1]
    assert build.at(script).is_file()


def test_every_package_of_the_wheel_reaches_the_builder_and_nothing_else_does():
    """A package that .dockerignore leaves out would be missing from the image without an error."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = [line.split()[0] for line in of("COPY") if not line.startswith(("--", "."))]
    needed = {*packages, project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml", *copied}
    assert set(KEPT) == needed
    assert not any(fnmatch(name, pattern) for name in ("tests", ".git", "docs", "runs", ".venv") for pattern in KEPT)


def test_the_workers_image_lacks_nothing_that_a_worker_imports():
    """A worker with its engine, in an interpreter where the packages that the image leaves out cannot be imported."""
    (removed,) = (re.findall(r"(\w+)\*", line) for line in of("RUN") if "rm -rf numba*" in line)
    assert {"numba", "pyarrow", "scipy", "pandas", "botocore", "plotly"} <= set(removed)
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({removed!r})); "
        "import peakday.cli, peakday.commands.run, loadgen.remote_workers, loadgen.worker.locustfile"
    )
    environment = {**os.environ, VARIABLE: "0" * 64}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
