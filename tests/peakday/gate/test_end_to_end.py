"""The command as a user types it, on the real local stack: a baseline saved, the same build, and a changed one."""

import json
import xml.etree.ElementTree as ET

import pytest


@pytest.mark.slow
def test_the_exact_floor_passes_on_the_same_build_and_fails_when_the_cache_is_lost(peakday, tmp_path):
    """Without a baseline 4; saved and checked again 0; with cache points off 1, and the page shows the calls."""
    (tmp_path / "checks.yaml").write_text("schema: peakday.checks/1\nplan: false\n")
    floor = ("check", "smoke", "--only", "exact", "--json", "--quiet")
    saved = peakday("baseline", "save", "smoke", "--runs", "0", "--quiet")
    assert saved.returncode == 0, saved.stderr
    same = peakday(*floor)
    assert same.returncode == 0, same.stdout + same.stderr
    files = ("--html", "page.html", "--junit", "junit.xml", "--markdown", "summary.md")
    lost = peakday(*floor, "--set", "assistant.cache.points=false", *files)
    assert lost.returncode == 1, lost.stdout + lost.stderr
    found = json.loads(lost.stdout)
    failed = {line["metric"]: line for line in found["lines"] if line["verdict"] == "fail"}
    assert "prompt cache" in failed["cache_read_tokens"]["why"]
    assert found["moments"]
    assert "cache_read_tokens" in (tmp_path / "page.html").read_text()
    assert int(ET.parse(tmp_path / "junit.xml").getroot().get("failures")) == len(failed)
    assert "❌" in (tmp_path / "summary.md").read_text()


def test_mistakes_are_usage_errors_before_anything_starts(refused):
    for words in (
        ("check", "no_such_scenario"),
        ("check", "smoke", "--only", "latency"),
        ("check", "smoke", "--only", "regression"),
        ("check", "smoke", "--against", "no-such-commit", "--only", "exact"),
        ("baseline", "promote", "smoke", "20260101-000000"),
    ):
        result = refused(*words)
        assert result.returncode == 2, (words, result.stderr)
        assert len(result.stderr.strip().splitlines()) <= 2
