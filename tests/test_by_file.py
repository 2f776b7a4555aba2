"""Files that are dealt out are run whole: every test once, whatever process it fell to."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
CUT, WHOLE = "tests/loadgen/test_targets.py", "tests/wire"


def run_tests(report: Path, *options: str) -> list[str]:
    """Names of the tests that a pytest of its own ran, with repetitions; none failed."""
    command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *options, CUT, WHOLE, "-k", "url or frame"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return sorted(f"{case.get('classname')}::{case.get('name')}" for case in ElementTree.parse(report).iter("testcase"))


@pytest.mark.slow
def test_processes_that_share_the_files_run_what_one_process_runs(tmp_path):
    shared = run_tests(tmp_path / "shared.xml", "-n", "2", "--dist", "load", "--maxschedchunk", "1")
    assert shared == run_tests(tmp_path / "alone.xml")
    assert len({name.partition("::")[0] for name in shared}) > 2
