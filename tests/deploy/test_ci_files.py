"""What CI servers read is of the shape they document: their servers cannot run here."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

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
