"""What a check says: exit codes, table, JSON, JUnit, markdown, page."""

import json
import xml.etree.ElementTree as ET

import pytest

from peakday.check.outputs import as_data, as_junit, as_markdown, as_text, write_outputs
from peakday.check.page import as_html
from peakday.check.verdicts import Line, Outcome, Verdict, overall
from peakday.errors import Exit

LINES = (
    Line("exact", "cost_usd", Verdict.FAIL, "changed; <b> & more | than meant", 0.1, 0.2, 1.0),
    Line("regression", "ttft_s_p50", Verdict.PASS, "surely within its margin", 0.5, 0.51, 0.02, 0.01, 0.03),
    Line("slo", "error_ratio", Verdict.INCONCLUSIVE, "more runs would tell \x07", "error_ratio <= 0.01", 0.0),
    Line("runs", "verdict", Verdict.INVALID, "late"),
    Line("history", "e2e_s_p50", Verdict.WARN, "far", 1.0, 2.0, 1.0),
)
MOMENT = {"turn": "deals/0", "message": "<any> deals?", "changes": [["call 0 model", "nova-pro", "claude-sonnet"]]}
OUTCOME = Outcome("smoke", LINES, ("a note",), (MOMENT,))


def outcome(*verdicts):
    return Outcome("smoke", tuple(Line("slo", f"m{i}", verdict, "why") for i, verdict in enumerate(verdicts)))


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ((Verdict.PASS, Verdict.WARN), Exit.OK),
        ((Verdict.PASS, Verdict.FAIL, Verdict.INVALID), Exit.GATE_FAILED),
        ((Verdict.PASS, Verdict.INVALID, Verdict.INCONCLUSIVE), Exit.INVALID_RUN),
        ((Verdict.PASS, Verdict.INCONCLUSIVE), Exit.INCONCLUSIVE),
        ((), Exit.INCONCLUSIVE),
        ((Verdict.WARN,), Exit.INCONCLUSIVE),
    ],
)
def test_the_exit_code_is_that_of_the_gravest_line(verdicts, code):
    """0 pass, 1 fail, 3 invalid, 4 inconclusive; where nothing was judged nothing has passed."""
    assert outcome(*verdicts).exit_code == code


def test_a_warning_changes_no_verdict():
    assert overall([Verdict.PASS, Verdict.WARN]) == Verdict.PASS


def check_junit(root):
    """What Jenkins' and GitHub's readers of JUnit demand: elements, required attributes, counts, order of children."""
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.tag == "testsuite"
        assert {"name", "tests", "failures", "errors", "skipped", "time"} <= set(suite.attrib)
        float(suite.get("time"))
        cases = list(suite)
        assert all(case.tag == "testcase" for case in cases)
        assert all({"name", "classname", "time"} <= set(case.attrib) for case in cases)
        assert int(suite.get("tests")) == len(cases)
        for tag, counter in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.get(counter)) == sum(case.find(tag) is not None for case in cases)
        for case in cases:
            assert [child.tag for child in case] in (["failure"], ["error"], ["skipped"], ["system-out"])
            assert all("message" in child.attrib for child in case if child.tag != "system-out")


def test_junit_is_as_its_schema_says_and_counts_what_it_holds():
    root = ET.fromstring(as_junit(OUTCOME, 12.3).encode())
    check_junit(root)
    suite = root[0]
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["5", "1", "1", "1"]


def test_junit_holds_no_character_that_xml_forbids():
    assert "\x07" not in as_junit(OUTCOME, 0.0)


def test_markdown_is_one_table_whose_rows_have_equally_many_cells():
    """Bars inside a cell are escaped, and angle brackets cannot become tags."""
    text = as_markdown(OUTCOME)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(LINES)
    assert {row.replace("\\|", "").count("|") for row in rows} == {8}
    assert "<b>" not in text
    assert text.startswith("### ❌ FAIL")
    assert text.index("cost_usd") < text.index("ttft_s_p50")


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.INCONCLUSIVE])
def test_every_form_is_written_where_no_turn_changed(verdict, tmp_path):
    """The commonest check of all: nothing went another way."""
    paths = {name: tmp_path / name for name in ("junit", "markdown", "html")}
    write_outputs(outcome(verdict), 1.0, **paths)
    assert "details" not in paths["markdown"].read_text()
    assert as_text(outcome(verdict))


def test_json_holds_every_line_and_the_exit_code():
    data = json.loads(json.dumps(as_data(OUTCOME), allow_nan=False))
    assert (data["verdict"], data["exit_code"], len(data["lines"])) == ("fail", 1, 5)
    assert data["moments"] == [MOMENT]


def test_the_terminal_table_puts_what_is_wrong_on_top():
    text = as_text(OUTCOME)
    assert text.splitlines()[1].startswith("exact")
    assert "+2.0% (+1.0 to +3.0%)" in text
    assert text.splitlines()[-1] == "smoke: FAIL: cost_usd (exact)"


def test_the_page_shows_the_moments_and_calls_that_changed_and_asks_for_nothing():
    page = as_html(OUTCOME)
    assert "&lt;any&gt; deals?" in page
    assert "<del>nova-pro</del>" in page
    assert "http" not in page.replace("http-equiv", "")


def test_files_are_written_where_asked_and_markdown_is_appended(tmp_path):
    """GitHub's step summary is one file for all steps."""
    paths = {name: tmp_path / "out" / name for name in ("junit", "markdown", "html")}
    for _ in range(2):
        write_outputs(OUTCOME, 1.0, **paths)
    assert paths["markdown"].read_text().count("### ") == 2
    assert ET.parse(paths["junit"]).getroot().tag == "testsuites"
    assert paths["html"].read_text().startswith("<!doctype html>")
