"""`assistant quality`: from the sample of a run to a file that plans read, and the judge's own cost beside it."""

import json

import pandas as pd
import pytest

from assistant.quality.sample_buffer import SampleBuffer, SampledTurn
from facts import reader
from host.errors import Exit
from peakday.agent.quality import JudgeOptions, judge_run, keep_sample
from peakday.consent import Consent
from peakday.console import Console
from peakday.errors import CommandError
from tests.peakday.test_real_models import ACCOUNT, KEY_ID, real_bedrock

QUIET = Console(quiet=True)


@pytest.fixture
def run(tmp_path):
    """A run's folder with six sampled turns, two models."""
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(
        json.dumps({"schema": "peakday.run/1", "run_id": "one", "totals": {"cost_usd": 1}})
    )
    samples = SampleBuffer(folder / "judge-spool.jsonl")
    for number in range(6):
        model = "custom-8b" if number % 2 else "nova-pro"
        samples.add(SampledTurn(f"t{number}", model, "deals", "simple", "any deals?", "[]", f"Yes, {number}."))
    return folder


def judged_provenance(run):
    """Of the rows of quality.yaml that somebody judged."""
    return {row.provenance for row in reader.quality(run / "quality.yaml") if row.n}


def test_what_nobody_judged_stays_assumed(run):
    """The file stands in for the whole table: models and complexities that the sample never met keep their rows."""
    judge_run(str(run), JudgeOptions(), seed=None, console=QUIET)
    rows = {(row.model, row.complexity, row.intent): row for row in reader.quality(run / "quality.yaml")}
    shipped = {(row.model, row.complexity, row.intent) for row in reader.quality()}
    assert shipped <= set(rows)
    assert rows["claude-sonnet", "complex", "any"].provenance == "assumed"
    assert rows["nova-pro", "simple", "any"].provenance == "simulated"
    assert rows["nova-pro", "complex", "any"].provenance == "assumed"


def test_a_sample_is_judged_by_a_stand_in_and_says_simulated(run):
    """Verdicts join the turns by trace_id; quality.yaml is what facts reads; the cost is the judge's own line."""
    text, data = judge_run(str(run), JudgeOptions(), seed=None, console=QUIET)
    judged = pd.read_parquet(run / "judgements.parquet")
    assert list(judged["trace_id"]) == [f"t{number}" for number in range(6)]
    assert judged["acceptable"].notna().all()
    assert judged_provenance(run) == {"simulated"}
    assert "SIMULATED" in text
    assert data["cost_usd"] == pytest.approx(judged["cost_usd"].sum())
    info = json.loads((run / "run.json").read_text())
    assert (info["judged"]["verdicts"], info["judged"]["simulated"]) == (6, True)
    assert info["totals"] == {"cost_usd": 1}


def test_a_real_judge_is_refused_without_an_answer_and_named_with_its_price(run, monkeypatch):
    """--live alone, off a terminal: nothing is asked of a model."""
    monkeypatch.setattr("assistant.quality.judge_client.connect", lambda stack: pytest.fail("a client was made"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(CommandError, match="6 verdicts of claude-sonnet: nobody is here to be asked"):
        judge_run(str(run), JudgeOptions(consent=Consent(live=True)), seed=None, console=QUIET)


def judged_live(run, monkeypatch, *words):
    """Judged by a provider on loopback that announces nothing, as Bedrock would; what it was sent."""
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    with real_bedrock(*words) as bedrock:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", bedrock.url)
        options = JudgeOptions(consent=Consent(live=True, yes=True))
        return judge_run(str(run), options, seed=None, console=QUIET), bedrock


def test_a_real_judge_s_shares_are_judged(run, monkeypatch):
    """Signed by the account, asked once a turn, and no word of a stand-in."""
    (text, data), bedrock = judged_live(run, monkeypatch, "Unaccept", "able. It names no deal.")
    assert judged_provenance(run) == {"judged"}
    assert {row["acceptable_ratio"] for row in data["rows"]} == {0.0}
    assert len(bedrock.paths) == 6
    assert f"Credential={KEY_ID}/" in bedrock.authorizations[0]
    assert "SIMULATED" not in text


def test_a_judge_that_gives_no_verdict_is_inconclusive(run, monkeypatch):
    """What it said instead is kept; no quality.yaml is written."""
    with pytest.raises(CommandError, match="no verdict") as caught:
        judged_live(run, monkeypatch, "Hard to say.")
    assert caught.value.exit_code == Exit.INCONCLUSIVE
    assert pd.read_parquet(run / "judgements.parquet")["reason"].tolist() == ["Hard to say."] * 6
    assert not (run / "quality.yaml").exists()


def test_a_run_without_a_sample_says_how_to_get_one(run):
    (run / "judge-spool.jsonl").unlink()
    with pytest.raises(CommandError, match=r"judge_ratio=0\.1 --keep-text"):
        judge_run(str(run), JudgeOptions(), seed=None, console=QUIET)


def test_an_unknown_judge_is_named(run):
    with pytest.raises(CommandError, match=r"--judge gpt: not in models\.yaml"):
        judge_run(str(run), JudgeOptions(model="gpt"), seed=None, console=QUIET)


@pytest.mark.parametrize("keep_text", [True, False])
def test_sampled_texts_enter_a_record_only_where_texts_are_kept(run, tmp_path, keep_text, capsys):
    """Without --keep-text the sample goes with the stack, and a line says so."""

    class Up:
        file = run / "stack.json"

    record = tmp_path / "record"
    record.mkdir()
    keep_sample(Up, record, judge_ratio=0.5, keep_text=keep_text, console=Console())
    assert (record / "judge-spool.jsonl").exists() is keep_text
    assert ("add --keep-text" in capsys.readouterr().err) is not keep_text
