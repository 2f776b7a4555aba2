"""Each example runs and prints what lies beside it."""

import subprocess
import sys
from pathlib import Path

import pytest

from scenarios.loading import load_scenario
from scenarios.preview import preview
from scenarios.preview_text import preview_text

FOLDER = Path(__file__).parents[2] / "examples" / "scenarios"


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_an_example_prints_what_lies_beside_it(script):
    """`NAME.py` prints `NAME.txt`, from any folder."""
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, cwd=FOLDER.parent)
    assert done.stdout == script.with_suffix(".txt").read_text(encoding="utf-8")


def test_the_example_scenario_has_the_preview_beside_it():
    """our_sale.yaml is valid and its preview is our_sale.txt."""
    text = preview_text(preview(load_scenario(FOLDER / "our_sale.yaml")))
    assert text + "\n" == (FOLDER / "our_sale.txt").read_text(encoding="utf-8")
