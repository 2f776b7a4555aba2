"""The thread through the whole product, for real: Locust on loopback against the embedded agent, through to a plan."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from capacity.plan import load_plan
from loadgen.record import load_run
from tests.peakday.conftest import marked

ATTEMPTS = 2


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """One short run and the plan made from it, shared by the tests of this module.

    A machine that is busy for a moment makes the run INVALID, as it must; so it may be repeated.
    """
    folder = tmp_path_factory.mktemp("story")
    for attempt in range(ATTEMPTS):
        out = f"runs/{attempt}"
        run = command(folder, "run", "smoke", "--rate", "3/s", "--for", "8s", "--out", out, "--json", "--quiet")
        if run.returncode == 0:
            break
    few = ("--set", "capacity.draws=300")
    plan = command(folder, "plan", "smoke", *few, "--run", out, "--out", "plans/one", "--json", "--quiet")
    return folder / out, run, plan


def command(folder, *arguments):
    """Run the command in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "peakday", *arguments], cwd=folder, capture_output=True, text=True, timeout=900
    )


def valid_or_skipped(run):
    """Skip what needs a valid run where the machine was too busy to give one in two tries; the reason is said."""
    info = json.loads(run.stdout)
    if not info["verdict"]["valid"]:
        assert run.returncode == 3
        pytest.skip(f"no valid run on this machine: {info['verdict']['reasons']}")
    return info


def test_a_run_accounts_for_every_turn_it_asked_for(story):
    """asked = completed + failed + abandoned + censored + dropped, and the tables agree with the totals."""
    folder, run, _ = story
    assert run.returncode in (0, 3), run.stderr
    info = json.loads(run.stdout)
    turns = load_run(folder).turns
    assert info["state"] == "finished"
    assert info["totals"]["asked"] == len(turns)
    assert info["totals"]["asked"] > 10
    assert (turns["status"] == "ok").sum() == info["totals"]["completed"]


def test_a_small_run_on_an_idle_machine_is_valid(story):
    """Exit code 0 and a valid verdict; its own error is in the record."""
    _, run, _ = story
    info = valid_or_skipped(run)
    assert run.returncode == 0
    assert info["quantiles"]["start_lag_s"]["p99"]["value"] is not None


def test_a_run_against_the_emulator_says_simulated(story):
    """Every supply of the run is simulated, and the report and the plan carry the word."""
    _, run, plan = story
    assert set(valid_or_skipped(run)["provenance"].values()) == {"simulated"}
    assert plan.returncode == 0, plan.stderr
    assert any(note["provenance"] == "simulated" for note in json.loads(plan.stdout)["inputs"])


def test_every_turn_has_its_model_calls_with_tokens(story):
    """An answered turn has one or more calls, whose tokens come from the models' own usage."""
    folder, _, _ = story
    record = load_run(folder)
    answered = record.turns[record.turns["status"] == "ok"]
    calls = record.calls.groupby(["session_id", "interaction_id", "turn_index"]).size()
    keys = list(zip(answered["session_id"], answered["interaction_id"], answered["turn_index"], strict=True))
    assert all(calls.get(key, 0) >= 1 for key in keys)
    assert (record.calls.loc[record.calls["status"] == "ok", "output_tokens"] > 0).all()


def test_the_routes_lead_to_bedrock_and_to_self_hosted_models(story):
    """The smoke scenario exercises both supplies."""
    folder, _, _ = story
    assert set(load_run(folder).calls["supply"]) == {"bedrock", "self_hosted"}


def test_the_plan_names_chips_with_a_range_and_a_cost(story):
    folder, run, _ = story
    valid_or_skipped(run)
    plan = load_plan(folder.parents[1] / "plans/one")
    chosen = [supply.chosen for supply in plan.supplies if supply.supply == "self_hosted"]
    assert chosen
    assert all(option.chips_range.low <= option.chips_range.mid <= option.chips_range.high for option in chosen)
    assert next(line for line in plan.cost if line.intent == "all").per_interaction_usd.mid > 0
    assert len(plan.assumptions_with_most_effect) == 3


def test_the_report_stands_alone(story):
    """One file, no outside request, and the word SIMULATED where it belongs."""
    folder, run, _ = story
    valid_or_skipped(run)
    html = (folder.parents[1] / "plans/one/report.html").read_text()
    assert "SIMULATED" in html
    assert not [line for line in html.splitlines() if 'src="http' in line or ('href="http' in line and "<link" in line)]


@contextlib.contextmanager
def running_stack(folder):
    """`peakday up` in the background; its addresses."""
    process = subprocess.Popen(
        [sys.executable, "-m", "peakday", "up", "smoke", "--json", "--quiet"],
        cwd=folder, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 0
        process.stdout.close()


def rows_in_window(path, seconds):
    """Requests of the trace in its first seconds, and their tokens."""
    from scenarios.arrivals import read_replay

    return read_replay(path, (0.0, seconds))


@pytest.mark.slow  # every answer must have come before the drain ends: a busy machine cuts some off
@pytest.mark.parametrize("kind", ["assistant", "openai"])
def test_a_replay_of_a_production_trace_asks_for_just_what_the_file_holds(kind, traces, tmp_path):
    """Asked = sent = rows of the window; on the openai target the client's token totals equal the file's."""
    trace, seconds = traces / "azure_llm_2023_code.csv.gz", 8.0
    rows = rows_in_window(trace, seconds)
    with running_stack(tmp_path) as stack:
        result = command(
            tmp_path, "run", "smoke", "--target", f"{kind}={stack[kind]}", "--arrivals", str(trace),
            "--window", f"0s:{seconds:g}s", "--out", "runs/replay", "--json", "--quiet",
        )  # fmt: skip
    assert result.returncode in (0, 3), result.stderr
    info = json.loads(result.stdout)
    assert info["totals"]["asked"] == info["totals"]["sent"] == len(rows.offset_s)
    if kind == "openai":
        calls = load_run(tmp_path / "runs/replay").calls
        prompt = calls["input_tokens"] + calls["cache_read_tokens"].fillna(0)
        assert prompt.sum() == rows.input_tokens.sum()
        assert calls["output_tokens"].sum() == rows.output_tokens.sum()


@pytest.mark.slow
def test_interrupting_a_run_leaves_no_process_and_a_marked_record(tmp_path):
    """Ctrl-C drains, exits 130, stops every child, and the record does not look like a whole run."""
    marker = f"peakday-test-{os.getpid()}-{tmp_path.name}"
    process = subprocess.Popen(
        [sys.executable, "-m", "peakday", "run", "smoke", "--rate", "3/s", "--for", "60s", "--out", "runs/cut"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PEAKDAY_TEST_MARKER": marker},
    )  # fmt: skip
    wait_for(lambda: list((tmp_path / "runs/cut").glob("turns-*.parquet")))
    process.send_signal(signal.SIGINT)
    assert process.wait(300) == 130
    wait_for(lambda: not marked(marker))
    info = load_run(tmp_path / "runs/cut").info
    assert info.totals.asked < 60 * 3 * 2
    assert info.interrupted
    assert "interrupted" in " ".join(info.warnings)


def test_killing_the_command_leaves_no_process(tmp_path):
    """Even after SIGKILL the children see that their parent is gone, and end."""
    marker = f"peakday-test-{os.getpid()}-{tmp_path.name}"
    process = subprocess.Popen(
        [sys.executable, "-m", "peakday", "run", "smoke", "--rate", "3/s", "--for", "60s", "--quiet"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PEAKDAY_TEST_MARKER": marker},
    )  # fmt: skip
    wait_for(lambda: len(marked(marker)) >= 5)
    process.kill()
    process.wait()
    wait_for(lambda: not marked(marker))


def wait_for(condition, within_s: float = 600.0) -> None:
    """Poll until true; a real process cannot be told to hurry."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
