"""deploy/Dockerfile and .dockerignore, line by line: no daemon builds them here."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "Dockerfile").read_text()
INSTRUCTIONS = re.findall(r"^([A-Z]+) (.*)$", TEXT.replace("\\\n", " "), flags=re.MULTILINE)
KEPT = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]


def of(instruction: str) -> list[str]:
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def test_the_base_image_is_pinned_by_digest():
    (argument,) = of("ARG")
    assert re.fullmatch(r"PYTHON=python:3\.\d+-slim@sha256:[0-9a-f]{64}", argument)
    assert [line.split()[0] for line in of("FROM")] == ["${PYTHON}", "${PYTHON}", "base", "base"]


def test_the_last_stage_is_the_command_and_the_operators_has_a_name():
    """`docker build` without a target makes the last stage."""
    assert [line.split()[-1] for line in of("FROM")] == ["build", "base", "operator", "peakday"]
    assert of("ENTRYPOINT")[-1] == '["peakday"]'


def test_the_image_holds_a_wheel_and_runs_as_a_number():
    """What is run was installed from a wheel, by a user who needs no user table and is not root."""
    assert any("pip wheel" in line and "/wheels/*.whl" in line for line in of("RUN"))
    assert of("USER") == ["10001:10001"]
    assert all("--from=build" in line or "operator-entrypoint" in line for line in of("COPY")[-2:])


def test_the_simulators_cache_travels_with_the_image():
    assert sum("NUMBA_CACHE_DIR=/opt/peakday/numba" in line for line in of("ENV")) == 2
    assert any("warm_up()" in line for line in of("RUN"))


def test_every_package_of_the_wheel_reaches_the_builder_and_nothing_else_does():
    """A package that .dockerignore leaves out would be missing from the image without an error."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = [line.split()[0] for line in of("COPY") if not line.startswith(("--", "."))]
    needed = {*packages, project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml", *copied}
    assert set(KEPT) == needed
    assert not any(fnmatch(name, pattern) for name in ("tests", ".git", "docs", "runs", ".venv") for pattern in KEPT)
