"""What a check says: exit codes, table, JSON, JUnit, markdown, page."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import pytest
from markdown_it import MarkdownIt

from host.errors import Exit
from peakday.gate.outputs import as_data, as_junit, as_markdown, as_text
from peakday.gate.page import as_html, write_outputs
from peakday.gate.verdicts import Line, Outcome, Verdict, overall

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


def test_of_what_fails_the_largest_change_stands_first():
    """Then what passes, in its own order; a change without a size comes after those that have one."""
    lines = (
        Line("exact", "tools.price", Verdict.PASS, "as before", 3, 3, 0.0),
        Line("exact", "models.small-1", Verdict.FAIL, "gone", "3", None),
        Line("exact", "input_tokens", Verdict.FAIL, "more", 100, 110, 0.1),
        Line("exact", "cost_usd", Verdict.FAIL, "less", 1.0, 0.2, -0.8),
    )
    shown = [line["metric"] for line in as_data(Outcome("smoke", lines, (), ()))["lines"]]
    assert shown == ["cost_usd", "input_tokens", "models.small-1", "tools.price"]


@dataclass(frozen=True)
class Element:
    """What a reader of JUnit allows of an element: attributes with the type of their text, children in this order."""

    required: dict
    optional: dict
    children: tuple = ()
    many: tuple = ()


# The form that Jenkins' JUnit reader documents, written down from its description.
SUITE = {"tests": int, "failures": int, "errors": int, "time": float}
OPTIONAL = {"skipped": int, "disabled": int, "timestamp": str, "hostname": str, "id": str, "package": str}
JUNIT = {
    "testsuites": Element({}, {"name": str, "disabled": int, **SUITE}, ("testsuite",), ("testsuite",)),
    "testsuite": Element(
        {"name": str, "tests": int}, {**SUITE, **OPTIONAL},
        ("properties", "testcase", "system-out", "system-err"), ("testcase",),
    ),
    "testcase": Element(
        {"name": str, "classname": str}, {"time": float, "status": str, "assertions": int},
        ("skipped", "error", "failure", "system-out", "system-err"), ("error", "failure", "system-out", "system-err"),
    ),
    "failure": Element({}, {"message": str, "type": str}),
    "error": Element({}, {"message": str, "type": str}),
    "skipped": Element({}, {"message": str}),
    "system-out": Element({}, {}),
}  # fmt: skip


def complaints(element):
    """Everything in which an element is not as the form says, its children's included."""
    form = JUNIT.get(element.tag)
    if form is None:
        return [f"<{element.tag}> is no element of a report"]
    allowed = {**form.required, **form.optional}
    found = [f"<{element.tag}> lacks {name}" for name in form.required if name not in element.attrib]
    for name, text in element.attrib.items():
        try:
            allowed[name](text)
        except (KeyError, ValueError):
            found.append(f"<{element.tag}> has {name}={text!r}")
    tags = [child.tag for child in element]
    known = [tag for tag in tags if tag in form.children]
    found += [f"<{element.tag}> holds <{tag}>" for tag in tags if tag not in form.children]
    found += [
        f"<{element.tag}> holds two <{tag}>" for tag in set(known) if known.count(tag) > 1 and tag not in form.many
    ]
    if known != sorted(known, key=form.children.index):
        found.append(f"<{element.tag}> holds {known} in another order")
    return found + [text for child in element for text in complaints(child)]


def test_junit_is_as_its_form_says_and_counts_what_it_holds():
    root = ET.fromstring(as_junit(OUTCOME, 12.3).encode())
    assert complaints(root) == []
    (suite,) = root
    counted = {
        "tests": len(suite), "failures": len(suite.findall("*/failure")), "errors": len(suite.findall("*/error")),
        "skipped": len(suite.findall("*/skipped")),
    }  # fmt: skip
    assert counted == {"tests": 5, "failures": 1, "errors": 1, "skipped": 1}
    assert {name: int(suite.get(name)) for name in counted} == counted
    assert all({"message", "type"} <= set(case.attrib) for case in suite.iter("failure"))


@pytest.mark.parametrize(
    ("report", "complaint"),
    [
        ("<testsuites><testcase/></testsuites>", "<testsuites> holds <testcase>"),
        ('<testsuite name="a" tests="many"/>', "has tests='many'"),
        ('<testcase name="a"/>', "lacks classname"),
        ('<testcase name="a" classname="b"><system-out/><failure/></testcase>', "in another order"),
        ('<testcase name="a" classname="b"><skipped/><skipped/></testcase>', "holds two <skipped>"),
        ("<skipped type='x'/>", "has type"),
    ],
)
def test_a_report_that_is_not_of_that_form_is_told_apart(report, complaint):
    assert complaint in " ".join(complaints(ET.fromstring(report)))


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


def test_markdown_is_rendered_as_one_table_with_every_reason_in_its_cell():
    """As GitHub does: bars and angle brackets of a reason are text, and the changed turns are folded away."""
    tokens = MarkdownIt("commonmark").enable("table").parse(as_markdown(OUTCOME))
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == 1
    assert kinds.count("td_open") == 7 * len(LINES)
    cells = [tokens[i + 1] for i, kind in enumerate(kinds) if kind == "td_open"]
    assert "changed; <b> & more | than meant" in [text_of(cell) for cell in cells]
    assert not any(child.type == "html_inline" for cell in cells for child in cell.children)
    (fence,) = (token for token in tokens if token.type == "fence")
    assert '"<any> deals?"' in fence.content
    assert kinds.count("html_block") == 2


def text_of(cell):
    """What a reader sees in a cell."""
    return "".join(child.content for child in cell.children)


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
    assert "<td>nova-pro</td><td>claude-sonnet</td>" in page
    assert not re.findall(r'(?:src|href)="(?!#)', page)


def test_files_are_written_where_asked_and_markdown_is_appended(tmp_path):
    """GitHub's step summary is one file for all steps."""
    paths = {name: tmp_path / "out" / name for name in ("junit", "markdown", "html")}
    for _ in range(2):
        write_outputs(OUTCOME, 1.0, **paths)
    assert paths["markdown"].read_text().count("### ") == 2
    assert ET.parse(paths["junit"]).getroot().tag == "testsuites"
    assert paths["html"].read_text().startswith("<!doctype html>")
