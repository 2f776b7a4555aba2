"""`verify-on-bedrock`: whole against the stand-ins, and each rule against an answer that breaks it."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from emulator.profiles import read_profiles
from facts.reader import models
from host import processes
from host.errors import Exit
from host.yaml_text import dump_yaml
from peakday.account import bedrock_rules as rules
from peakday.account.bedrock_calls import Answer, Event
from peakday.account.verify import Verification, calls_of, cost_usd_max, verify
from peakday.consent import Consent
from peakday.console import Console
from peakday.errors import CommandError
from wire.sigv4 import Credentials

ROOT = Path(__file__).parents[3]
PRO = models()["nova-pro"]
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """The address of a stand-in process with quick answers."""
    folder = tmp_path_factory.mktemp("stand_in")
    quick = {"ttft": {"base_s": 0.02, "sigma": 0.0}, "gap": {"gap_s": 0.001, "sigma": 0.0}}
    profiles = {"schema": "peakday.emulator/1", "profiles": dict.fromkeys(("nova-pro", "claude-sonnet"), quick)}
    (folder / "profiles.yaml").write_text(dump_yaml(profiles))
    stack = {
        "schema": "peakday.stack/1", "seed": 1, "regions": ["us-east-1"], "profiles": str(folder / "profiles.yaml"),
    }  # fmt: skip
    (folder / "stack.json").write_text(json.dumps(stack))
    command = [sys.executable, "-m", "emulator", "--stack", str(folder / "stack.json"), "--port", "0"]
    with processes.running(processes.start("emulator", command, watched=True, stdout=True)) as child:
        yield child.ready()["url"]


def asked(target, **more):
    base = Verification(target, "nova-pro", "us-east-1", 1.0, False, False, 6, None, 1)
    return dataclasses.replace(base, **more)


@pytest.mark.parametrize("model", ["nova-pro", "claude-sonnet"])
def test_the_stand_ins_keep_every_documented_rule(stand_in, tmp_path, monkeypatch, model):
    """The whole verification on loopback, without --live: no rule differs, no client of AWS is made, and the profile it
    writes is one that the stand-ins load."""
    monkeypatch.setattr("boto3.Session", lambda *_a, **_k: pytest.fail("a session of AWS was made"))
    out = tmp_path / "measured.yaml"
    text, told, code = verify(asked(f"bedrock={stand_in}", model=model, out=out), Consent(), QUIET)
    differing = [item for item in told["findings"] if item["agrees"] is False]
    assert not differing, text
    assert code == Exit.OK
    assert told["simulated"]
    assert "SIMULATED" in text
    tried = {item["rule"] for item in told["findings"] if item["agrees"]}
    assert {
        "usage fields",
        "cache write, then read",
        "cacheDetails",
        "minimum",
        "5m lifetime",
        "throttle",
        "event order",
    } <= tried
    physics = read_profiles(out)[model].physics
    assert 0.01 < physics.ttft_base_s < 1.0


def test_a_budget_that_is_too_small_is_refused_before_anything_is_sent():
    """What it may cost is said, and no key is asked for."""
    with pytest.raises(CommandError, match=r"may cost \d+\.\d\d USD, over --budget-usd 0.0001"):
        verify(asked(None, budget_usd=0.0001), Consent(live=True, yes=True), QUIET)


def test_without_live_no_key_is_asked_for(monkeypatch):
    """Bedrock itself wants --live; nothing of AWS is made before."""
    monkeypatch.setattr("boto3.Session", lambda *_a, **_k: pytest.fail("a session of AWS was made"))
    with pytest.raises(CommandError, match=r"needs --live. Expected cost: at most 0\.\d\d USD"):
        verify(asked(None), Consent(), QUIET)


def test_another_host_must_be_owned(tmp_path, monkeypatch):
    """A target that is no loopback and is not listed gets no packet."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match="owned_targets"):
        verify(asked("bedrock=https://bedrock.example.com"), Consent(live=True, yes=True), QUIET)


def test_the_bound_grows_with_every_call():
    """Throttling and more calls cost more; the default stays under a dollar."""
    assert cost_usd_max(asked(None, calls=30), PRO) < 1.0
    assert cost_usd_max(asked(None, calls=60), PRO) > cost_usd_max(asked(None, calls=30), PRO)
    assert calls_of(asked(None, throttle=True)) == calls_of(asked(None)) + rules.BURST


def test_keys_are_never_shown():
    """Not even where a key is printed by mistake."""
    assert "secret" not in repr(Credentials("secret", "secret", "secret"))


class Scripted:
    """Answers in the order given; the last one again and again."""

    simulated = False

    def __init__(self, *answers):
        self.answers = list(answers)

    def converse(self, _body, model_id=None):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def used(**usage):
    return Answer(200, {}, {"usage": {name: usage.get(name, 0) for name in rules.USAGE_FIELDS} | usage})


TEXTS = rules.Texts(4.0)


def test_a_cache_that_is_not_read_differs():
    """Writing again in place of reading is a difference, and the line says what was seen."""
    finding = rules.write_then_read(Scripted(used(cacheWriteInputTokens=1500)), TEXTS, PRO)
    assert finding.agrees is False
    assert "second read 0 and wrote 1500" in finding.found


def test_a_cache_below_its_minimum_differs():
    """An endpoint that caches any prefix does not keep the documented minimum."""
    assert rules.minimum(Scripted(used(cacheWriteInputTokens=900)), TEXTS, PRO).agrees is False


def test_missing_usage_differs():
    """A count that is not there, or a total that is not the sum, is a difference."""
    assert rules.usage_fields(Scripted(Answer(200, {}, {"usage": {"inputTokens": 1}})), TEXTS).agrees is False
    assert rules.usage_fields(Scripted(used(inputTokens=3, totalTokens=9)), TEXTS).agrees is False
    assert rules.usage_fields(Scripted(used(inputTokens=3, outputTokens=6, totalTokens=9)), TEXTS).agrees is True


def test_details_that_do_not_add_up_differ():
    """cacheDetails must sum to what was written."""
    wrong = used(cacheWriteInputTokens=1500, cacheDetails=[{"ttl": "5m", "inputTokens": 10}])
    assert rules.write_details(Scripted(wrong), TEXTS, PRO).agrees is False


def test_what_should_be_refused_and_is_not_differs():
    """A fifth cache point that is accepted is a difference; a refusal by another name too."""
    accepted = {finding.rule: finding.agrees for finding in rules.refusals(Scripted(used()), TEXTS, PRO)}
    assert accepted == {
        "5 cache points": False, "cache point after tools": False, "ttl 1h": False, "unknown model": False,
    }  # fmt: skip
    other = Answer(403, {"x-amzn-errortype": "AccessDeniedException"}, {"message": "no"})
    assert not any(finding.agrees for finding in rules.refusals(Scripted(other), TEXTS, PRO))


def test_an_entry_that_outlives_its_lifetime_differs():
    """Read after five minutes without a hit: the entry should have been gone."""
    finding = rules.expiry(Scripted(used(), used(cacheReadInputTokens=1500)), TEXTS, PRO, lambda _seconds: None)
    assert finding.agrees is False
    gone = rules.expiry(Scripted(used(), used(cacheWriteInputTokens=1500)), TEXTS, PRO, lambda _seconds: None)
    assert gone.agrees is True


def events(*names, **last):
    return [Event(name, last if name == "metadata" else {"p": "abc"}, 0.1) for name in names]


WHOLE = {"usage": {}, "metrics": {"latencyMs": 1}}


@pytest.mark.parametrize(
    ("names", "last", "agrees"),
    [
        ("messageStart contentBlockDelta contentBlockDelta contentBlockStop messageStop metadata", WHOLE, True),
        ("messageStart contentBlockStart contentBlockDelta contentBlockStop messageStop metadata", WHOLE, True),
        ("messageStart contentBlockDelta contentBlockStop metadata messageStop", WHOLE, False),
        ("messageStart contentBlockDelta contentBlockStop messageStop", {}, False),
        ("messageStart contentBlockDelta contentBlockStop messageStop metadata", {"usage": {}}, False),
        ("messageStart surprise contentBlockDelta contentBlockStop messageStop metadata", WHOLE, False),
    ],
)
def test_the_order_of_events_is_held(names, last, agrees):
    """Order, completeness and the last event's contents, each."""
    assert rules.event_order(events(*names.split(), **last)).agrees is agrees


def test_a_stream_without_filler_differs():
    """Every delta is padded, or sizes tell tokens."""
    bare = [Event("contentBlockDelta", {"delta": {}}, 0.1)]
    assert rules.filler(bare).agrees is False
    assert rules.filler(events("contentBlockDelta")).agrees is True


@pytest.mark.parametrize(
    ("status", "name", "hint", "agrees"),
    [
        (429, "ThrottlingException", {}, True),
        (429, "ThrottlingException", {"retry-after": "1"}, False),
        (503, "ServiceUnavailableException", {}, False),
        (200, "", {}, False),
    ],
)
def test_the_shape_of_a_throttle(status, name, hint, agrees):
    """Status, name and the absent hint, each."""
    headers = {"x-amzn-errortype": name, **hint}
    assert rules.throttle_shape(Answer(status, headers, {"message": "slow down"})).agrees is agrees
    assert rules.throttle_shape(None, "not tried").agrees is None


@pytest.mark.checkout
def test_the_policies_allow_reading_and_calling_and_no_more():
    """Converse is allowed by InvokeModel, its stream by the other; neither policy has a wildcard in an action."""
    folder = ROOT / "deploy" / "aws"
    allowed = {
        path.stem: [action for part in json.loads(path.read_text())["Statement"] for action in part["Action"]]
        for path in folder.glob("*.json")
    }
    assert sorted(allowed["peakday-verify"]) == ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
    assert not any("*" in action for actions in allowed.values() for action in actions)
