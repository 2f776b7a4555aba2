"""The snapshot of a system of the user's own: what its answers tell is gated, and what they do not is said."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from host.errors import Exit
from host.ports import free_port
from loadgen.job import TargetSpec
from loadgen.targets.openai_options import openai_options
from loadgen.targets.signals import Signal
from peakday.cli import main
from peakday.errors import CommandError
from peakday.gate.baselines.baseline import current
from peakday.gate.baselines.store import Folder
from peakday.gate.check import CheckOptions, request_of, settings
from peakday.gate.gate import run_check
from peakday.gate.outputs import as_annotations, as_junit, sentence
from peakday.gate.settings import load_checks
from peakday.gate.snapshot.own import drive_own, gave_up, mapped_row, not_covered, own_figures, script_of
from peakday.gate.state import prepare
from peakday.gate.verdicts import Line, Outcome, Verdict
from scenarios.questions import Entry
from tests.loadgen.server import assistant_events, chat_events, response, serving, streamed
from tests.peakday.gate.making import QUIET
from tests.peakday.gate.own_assistant import MAPPING, QUESTIONS, Server

EXACT = CheckOptions("smoke", only=("exact",))


@pytest.fixture
def own(tmp_path, monkeypatch):
    """An assistant of the user's own that is up, with its mapping and questions in this folder; change its settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    port = free_port()
    server = Server(port, {"first_s": 0, "gap_s": 0})
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    (tmp_path / "mapping.yaml").write_text(MAPPING.replace("{port}", str(port)))
    (tmp_path / "questions.txt").write_text(QUESTIONS)
    (tmp_path / "checks.yaml").write_text("schema: peakday.checks/1\nquestions: questions.txt\n")
    yield server
    server.shutdown()
    server.server_close()


def checked(**options):
    asked = replace(EXACT, target="http=mapping.yaml", **options)
    return run_check(prepare(request_of(asked), settings(asked), QUIET))


def failed(outcome):
    return {line.metric for line in outcome.lines if line.verdict == Verdict.FAIL}


def test_an_accepted_snapshot_passes_again_and_a_longer_prompt_fails(own):
    """Three questions, 400 + their words of prompt, of which 300 are read from the cache once it is warm."""
    assert checked(accept=True).exit_code == Exit.OK
    figures = current(Folder(Path("baselines")), "smoke").figures
    assert (figures["turns"], figures["cache_read_tokens"], figures["output_tokens"]) == (3, 900, 36)
    assert figures["input_tokens"] == 3 * 100 + len(QUESTIONS.split())
    assert (
        figures["tools.search"] == figures["tools.price"] == figures["models.small-1"] == figures["ends.answered"] == 3
    )
    assert checked().exit_code == Exit.OK
    own.settings["prompt_tokens"] = 4000
    longer = checked()
    assert longer.exit_code == Exit.GATE_FAILED
    assert {"input_tokens", "cost_usd"} <= failed(longer)


def test_a_baseline_is_saved_of_a_system_that_is_up(own, monkeypatch):
    """`baseline save --target` asks it as `check --target` does, and the check then passes."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        main(["baseline", "save", "smoke", "--target", "http=mapping.yaml", "--runs", "0", "--quiet"])
    assert ended.value.code == 0
    assert current(Folder(Path("baselines")), "smoke").figures["input_tokens"] == 3 * 100 + len(QUESTIONS.split())
    assert checked().exit_code == Exit.OK


@pytest.mark.parametrize(
    ("change", "metric"),
    [
        ({"cached_tokens": 200}, "cache_read_tokens"),
        ({"tools": ["search"]}, "tools.price"),
        ({"model": "small-2"}, "models.small-1"),
        ({"usage": False}, "input_tokens"),
    ],
    ids=["cache point moved", "tool lost", "another model", "usage no longer told"],
)
def test_a_change_of_what_the_answers_tell_fails_by_its_name(own, change, metric):
    checked(accept=True)
    own.settings |= change
    assert metric in failed(checked())


def test_what_no_answer_tells_is_listed_as_not_covered(own):
    """A pass says what it says nothing about, with the rule of the mapping that would."""
    text = MAPPING.replace("  cost_usd: usd\n", "").replace("tools: {path: tool}\n", "")
    Path("mapping.yaml").write_text(text.replace("{port}", str(own.server_port)))
    checked(accept=True)
    passed = checked()
    assert passed.exit_code == Exit.OK
    assert set(passed.facts["not_covered"]) == {"cost", "tools", "model calls"}
    assert "not covered: cost; usage: {cost_usd: PATH} in the mapping" in passed.notes
    assert sentence(passed).endswith("not covered: model calls, cost, tools")


def test_answers_that_tell_no_tokens_are_no_pass(own):
    own.settings["usage"] = False
    checked(accept=True)
    blind = checked()
    assert blind.exit_code == Exit.INCONCLUSIVE
    assert "add usage: {input_tokens: PATH} in the mapping" in blind.lines[-1].why


def test_a_figure_with_a_margin_may_differ_by_it(own):
    """A model words its answers anew: where that is allowed, twelve words or thirteen are alike, and twenty are not."""
    Path("checks.yaml").write_text(
        "schema: peakday.checks/1\nquestions: questions.txt\nsnapshot: {margins: {output_tokens: 0.1}}\n"
    )
    checked(accept=True)
    own.settings["words"] = 13
    assert checked().exit_code == Exit.OK
    own.settings["words"] = 20
    assert failed(checked()) == {"output_tokens"}


def test_another_script_is_compared_with_nothing(own):
    checked(accept=True)
    Path("questions.txt").write_text("anything else?\n")
    other = checked()
    assert other.exit_code == Exit.INCONCLUSIVE
    assert "another script" in other.lines[0].why


def test_questions_without_a_system_to_ask_are_refused(own):
    with pytest.raises(CommandError, match=r"add sut to checks\.yaml"):
        prepare(request_of(EXACT), settings(EXACT), QUIET)


def test_a_margin_of_a_figure_that_has_none_is_refused(own):
    Path("checks.yaml").write_text("schema: peakday.checks/1\nsnapshot: {margins: {tools.search: 0.1}}\n")
    with pytest.raises(CommandError, match="only these may have one"):
        load_checks(None)


def test_the_model_that_is_asked_for_reaches_the_requests(own):
    """`check --model` fills {model} of a mapping."""
    text = MAPPING.replace("{port}", str(own.server_port)).replace(
        '"{interaction_id}"', '"{interaction_id}", model: "{model}"'
    )
    Path("mapping.yaml").write_text(text.replace("{port}", str(own.server_port)))
    seen = []
    usage = own.RequestHandlerClass.usage

    def noted(handler, now, question, warm):
        seen.append(question.get("model"))
        return usage(handler, now, question, warm)

    own.RequestHandlerClass.usage = noted
    try:
        checked(model="large-9")
    finally:
        own.RequestHandlerClass.usage = usage
    assert set(seen) == {"large-9"}


def test_a_conversation_is_asked_in_its_order_and_ends_with_its_first_error():
    script = script_of([Entry(("one", "two")), Entry(("three",))])
    assert [(one.name, one.message) for one in script] == [("q1/0", "one"), ("q1/1", "two"), ("q2/0", "three")]


def test_a_turn_whose_provider_counts_cached_tokens_in_is_told_without_them():
    usage = {"input_tokens": 100, "cache_read_tokens": 60, "input_includes_cached": True}
    (asked,) = script_of([Entry(("one",))])
    row = mapped_row(asked, [Signal("text", "a"), Signal("usage", usage), Signal("end")], None, tells_tools=False)
    assert own_figures([row])["input_tokens"] == 40
    assert "tools" not in str(own_figures([row]))


def test_annotations_are_one_command_a_line_with_its_marks_escaped():
    line = Line("exact", "cost, usd", Verdict.FAIL, "50% more\n::error::no", 1.0, 1.5, 0.5)
    text = as_annotations(Outcome("smoke", (line, Line("exact", "turns", Verdict.PASS, "equal"))))
    assert text.startswith("::error title=peakday smoke%3A cost%2C usd FAIL::exact: 1 -> 1.5, +50.0%25: 50%25 more")
    assert len(text.splitlines()) == 1
    assert json.dumps(as_junit(Outcome("smoke", (line,)), 1.0))


def driven(kind, url):
    """The rows and figures of two questions of one conversation, asked of a server of this kind."""
    spec = TargetSpec(kind, url, model="m", request=openai_options().as_json() if kind == "openai" else None)
    rows = drive_own(spec, script_of([Entry(("when does it ship?", "and to me?"))]), {})
    return rows, own_figures(rows)


def test_an_openai_target_is_held_by_its_usage_and_asked_with_its_history(monkeypatch):
    """Two turns of 7 prompt and 4 completion tokens, one call each; the second request holds the first answer."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving(lambda *_: streamed(chat_events(4))) as server:
        rows, figures = driven("openai", f"http://127.0.0.1:{server.port}/v1")
    assert [row["end"] for row in rows] == ["answered", "answered"]
    assert (figures["input_tokens"], figures["output_tokens"], figures["model_calls"]) == (14, 8, 2)
    asked = [json.loads(body)["messages"] for _, _, body in server.requests]
    assert [each["role"] for each in asked[1]] == ["user", "assistant", "user"]
    assert asked[1][1]["content"] == " w0 w1 w2 w3"
    assert set(not_covered(rows, figures, "openai")) == {"cached tokens", "cost", "model"}


@pytest.mark.parametrize("kind", ["openai", "assistant"])
def test_a_silent_system_is_asked_three_times_and_no_more(kind, monkeypatch):
    """A hundred questions to a server that hangs would be hours of waiting; the others are told as not asked."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    spec = TargetSpec(kind, "http://127.0.0.1:9", model="m", request=openai_options().as_json())
    rows = drive_own(spec, script_of([Entry(("one?", "two?"))] * 5), {})
    ends = [str(row["end"]).removeprefix("error ") for row in rows]
    assert ends == ["no_answer"] * 3 + ["not_asked"] * 4
    assert gave_up(rows)
    assert not gave_up(rows[:3])


def own_stream(pieces):
    """Our protocol with a sign-in of one customer."""
    session = response(b'{"sessions": [{"session_token": "t"}]}')
    return lambda path, *_: [(0.0, session)] if path == "/v1/sessions" else pieces


def test_an_assistant_on_our_own_protocol_is_held_by_everything_it_tells():
    """Two turns of two calls, each 100 new and 900 cached tokens, and one tool."""
    with serving(own_stream(streamed(assistant_events()))) as server:
        rows, figures = driven("assistant", server.url)
    assert (figures["input_tokens"], figures["cache_read_tokens"], figures["output_tokens"]) == (400, 3600, 26)
    assert (figures["model_calls"], figures["tools.catalogue_search"], figures["routes.nova-pro"]) == (4, 2, 2)
    assert figures["cost_usd"] == 0.004
    assert not_covered(rows, figures, "assistant") == {}


def test_a_turn_that_is_no_answer_is_an_error_and_ends_its_conversation():
    with serving(own_stream([(0.0, response(b"{}", "500 Internal Server Error"))])) as server:
        rows, _ = driven("assistant", server.url)
    assert [row["end"] for row in rows] == ["error no_answer"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--against", ""], "--against is empty"),
        (["--only", "nothing"], "no such gate"),
        (["--checks", "absent.yaml"], "absent.yaml"),
    ],
)
def test_a_mistake_is_in_every_file_that_a_ci_server_reads(own, capsys, arguments, words):
    """A red job without a report is a riddle: exit 2 writes JUnit, summary, page and annotations as every other end."""
    files = {
        "--junit": Path("a.xml"),
        "--markdown": Path("a.md"),
        "--html": Path("a.html"),
        "--annotations": Path("a.txt"),
    }
    written = [text for option, path in files.items() for text in (option, str(path))]
    with pytest.raises(SystemExit) as ended:
        main(["check", "smoke", "--only", "exact", "--target", "http=mapping.yaml", *arguments, *written])
    assert ended.value.code == Exit.USAGE
    assert words in capsys.readouterr().err
    assert all(words.split()[-1] in path.read_text() for path in files.values())
    assert 'errors="1"' in files["--junit"].read_text()


def test_checks_of_the_checkout_above_are_not_passed_over(own, monkeypatch):
    """In a folder below, the defaults would check the local stack, and pass."""
    Path("below").mkdir()
    monkeypatch.chdir("below")
    with pytest.raises(CommandError, match="not here: run the command there"):
        load_checks(None)


def test_turns_without_an_answer_are_named_as_not_covered(own):
    """A question that fails on both sides changes no figure, so the last line says that it was held to nothing."""
    own.settings["fail_every"] = 2
    outcome = checked(accept=True)
    assert "not covered: " in sentence(outcome)
    assert "2 of 3 turns, which got no answer" in sentence(outcome)


def test_nothing_answered_says_how_the_turns_ended(own):
    own.settings["fail_every"] = 1
    assert checked().lines[0].why.endswith("(status 500 x 3)")


def test_usage_of_some_turns_only_is_named():
    rows = [
        mapped_row(one, [Signal("text", "a"), Signal("end", "")], None, tells_tools=False)
        for one in script_of([Entry(("a", "b"))])
    ]
    rows[0]["calls"] = [{"input_tokens": 3}]
    absent = not_covered(rows, own_figures(rows), "http")
    assert next(iter(absent)) == "usage of 1 of 2 turns"
