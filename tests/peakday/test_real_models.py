"""The assistant on real models: refused without --live, agreed to with its price, and no key of the account kept.

Real Bedrock is unrun: an endpoint override, as the AWS SDKs read it, leads to a provider on loopback that speaks its
wire.
"""

import asyncio
import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from host.processes import ProcessError
from loadgen.record import load_run
from peakday.cli import main
from peakday.console import Console
from peakday.errors import CommandError
from peakday.guard import Named, is_paid_api
from peakday.stack.local import RealModels
from peakday.stack.real_models import on_real_models, real_models
from peakday.stack.resolved import open_stack, resolve
from tests.assistant.wires import ConverseWire, provider

KEY_ID, SECRET, TOKEN = "AKIAFAKEFAKEFAKEFAKE", "fake-secret-of-the-test", "fake-session-token-of-the-test"
ACCOUNT = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com"
SHORT = ("--rate", "2/s", "--for", "3s")


@pytest.fixture
def no_packets(monkeypatch):
    """Every connection that is tried; none gets through."""
    tried = []

    def refuse(self, address):
        tried.append(address)
        raise OSError("no packet leaves in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


@contextlib.contextmanager
def real_bedrock(*parts):
    """A provider on Bedrock's wire that, like the real one, announces nothing; its address and what it was sent."""
    wire, started, stopping = ConverseWire(), threading.Event(), threading.Event()
    body = wire.start() + wire.text(parts or ["It ", "is."]) + wire.stop("end_turn") + wire.usage(100, 0, 0, 0, 2)
    made = []

    async def serve():
        async with provider(200, {}, body) as one:
            made.append(one)
            started.set()
            while not stopping.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    started.wait()
    try:
        yield made[0]
    finally:
        stopping.set()
        thread.join()


def command(folder, *arguments, **environment):
    """The command with the account's keys in its environment."""
    return subprocess.run(
        [sys.executable, "-m", "peakday", *arguments], cwd=folder, capture_output=True, text=True, timeout=900,
        env={**os.environ, **ACCOUNT, **environment}, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def refused(capsys, *arguments):
    """Exit code and the line on stderr of a command run in this process."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return caught.value.code, capsys.readouterr().err


def test_a_run_on_bedrock_without_live_is_refused_with_its_price(tmp_path, monkeypatch, capsys, no_packets):
    """Exit code 2, dollars named, and not one connection tried."""
    monkeypatch.chdir(tmp_path)
    Path("peakday.yaml").write_text(f"owned_targets: [{BEDROCK}]\n")
    code, said = refused(capsys, "run", "smoke", "--target", f"bedrock={BEDROCK}", "--model", "nova-pro", *SHORT)
    assert code == 2
    cost = re.search(r"needs --live. Expected cost: ([0-9.e-]+) USD, list prices", said)
    assert cost
    assert 0 < float(cost[1]) < 0.01  # eight short questions to one model, whose price is one
    assert no_packets == []


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--yes"], "needs --budget-usd"),
        (["--yes", "--budget-usd", "0.5"], "none could begin"),
        (["--budget-usd", "1"], "add --yes"),
    ],
    ids=["budget", "a turn's worth", "yes"],
)
def test_a_live_run_needs_a_budget_and_an_answer(more, why, tmp_path, monkeypatch, capsys, no_packets):
    """The estimate is printed first; without a budget, or with nobody to ask, nothing is started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    code, said = refused(capsys, "run", "smoke", "--live", *SHORT, *more)
    assert (code, why in said) == (2, True), said
    assert "dollars " in said
    assert no_packets == []


@pytest.mark.parametrize(
    "url",
    [
        "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1",
        "https://bedrock-mantle.us-east-1.api.aws/v1",
        "https://vpce-0a1b2c-9z8y.bedrock-runtime.us-east-1.vpce.amazonaws.com/openai/v1",
    ],
)
def test_bedrocks_openai_api_costs_money_too(url, tmp_path, monkeypatch, capsys, no_packets):
    monkeypatch.chdir(tmp_path)
    Path("peakday.yaml").write_text(f"owned_targets: [{url}]\n")
    code, said = refused(capsys, "run", "smoke", "--target", f"openai={url}", "--model", "nova-pro", *SHORT)
    assert (code, "needs --live. Expected cost: " in said) == (2, True), said
    assert no_packets == []


@pytest.mark.parametrize("url", ["https://bedrock-cafe.example.com/v1", "https://mybedrock-runtime.com/v1"])
def test_a_name_that_merely_sounds_like_bedrock_is_not(url):
    assert not is_paid_api(Named("openai", url))


@pytest.mark.parametrize(
    "verb",
    [
        ("max-rate", "smoke", "--for", "2s", "--target", f"bedrock={BEDROCK}"),
        ("check", "smoke", "--only", "slo", "--target", f"bedrock={BEDROCK}"),
        ("check", "smoke", "--only", "regression", "--against", f"openai={BEDROCK}/openai/v1"),
    ],
    ids=["max-rate", "check", "check --against"],
)
def test_a_verb_that_keeps_no_budget_loads_no_paid_target(verb, tmp_path, monkeypatch, capsys, no_packets):
    """Owned or not: nothing is sent, and the line names the verb that does."""
    monkeypatch.chdir(tmp_path)
    Path("peakday.yaml").write_text(f"owned_targets: [{BEDROCK}]\n")
    code, said = refused(capsys, *verb)
    assert (code, f"{verb[0]} keeps no budget; load it with `peakday run --live" in said) == (2, True), said
    assert no_packets == []


def test_up_live_says_what_a_turn_costs_before_any_client_is_made(tmp_path, monkeypatch, capsys, no_packets):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    code, said = refused(capsys, "up", "smoke", "--live")
    assert code == 2
    assert "USD a turn (" in said
    assert no_packets == []


def test_without_live_the_account_is_not_looked_at(monkeypatch, tmp_path):
    """The clients of a local stack sign with a stated dummy key; botocore's chain is never asked."""
    from assistant.models.connections import connect
    from facts.stack import Switches
    from tests.assistant.harness import Stack

    def asked():
        raise AssertionError("the chain was asked")

    monkeypatch.setattr("botocore.session.get_session", asked)
    stack = Stack(1, False, {}, {}, ("us-east-1",), "http://127.0.0.1:1", None, Switches(), tmp_path, tmp_path)

    async def made():
        clients = connect(stack)
        for client in clients.values():
            await client.close()
        return set(clients)

    assert asyncio.run(made()) == {"converse"}


def test_own_models_are_left_out_where_nobody_serves_them():
    """Their turns go to a Bedrock model of the scenario, the planner is not asked, and a line says so."""
    resolved, lines = on_real_models(resolve("smoke", [], None), RealModels())
    assert resolved.scenario.models == ["nova-2-lite", "nova-pro", "claude-sonnet"]
    assert resolved.scenario.assistant.policy.simple == "nova-2-lite"
    assert lines == [
        "custom-8b, planner: left out, for no OpenAI-compatible server was named (--openai-url); "
        "turns of custom-8b go to nova-2-lite"
    ]


def test_a_ladder_says_who_answers_instead():
    """A model that is left out is replaced by the first of its own ladder that stays."""
    resolved, _ = on_real_models(resolve("prime_day", [], None), RealModels())
    assert resolved.scenario.assistant.policy.simple == "nova-pro"
    assert "custom-8b" not in resolved.scenario.assistant.fallback.chains


def test_own_models_stay_where_a_server_is_named():
    resolved, lines = on_real_models(resolve("smoke", [], None), RealModels(openai_url="http://127.0.0.1:8000/v1"))
    assert "custom-8b" in resolved.scenario.models
    assert lines == []


def test_faults_cannot_be_injected_into_real_models():
    with pytest.raises(CommandError, match="faults cannot be injected"):
        on_real_models(resolve("region_loss", [], None), RealModels())


def test_a_profile_of_another_geography_is_refused():
    """A us. profile is called from regions of the United States."""
    sets = ["event.regions={eu-west-1: {share: 1.0}}"]
    with pytest.raises(CommandError, match="another geography than eu-west-1"):
        on_real_models(resolve("steady_day", sets, None), RealModels())


def test_the_specific_endpoint_variable_wins():
    """As in the AWS SDKs."""
    both = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:2"}
    assert real_models(None, both).bedrock_url == "http://127.0.0.1:2"
    assert real_models(None, {}).bedrock_url is None


def test_a_server_of_own_models_must_be_loopback_or_owned():
    with pytest.raises(CommandError, match="owned_targets"):
        real_models("https://models.example.com/v1", {})


def test_stack_json_holds_no_credentials(monkeypatch):
    """A live stack is one process, and its file names endpoints and nothing to sign with."""
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    real = RealModels(bedrock_url="http://127.0.0.1:1")
    resolved, _ = on_real_models(resolve("smoke", [], None), real)
    with open_stack(resolved, real=real, console=Console(quiet=True)) as stack:
        text = stack.file.read_text()
        assert [child.name for child in stack.children] == ["assistant"]
        assert stack.emulator_url is None
    assert json.loads(text)["live"] is True
    assert not [word for word in ACCOUNT.values() if word in text]


def test_without_credentials_a_live_stack_says_how_to_get_them(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    real = RealModels(bedrock_url="http://127.0.0.1:1")
    resolved, _ = on_real_models(resolve("smoke", [], None), real)
    console = Console(quiet=True)
    with (
        pytest.raises(ProcessError, match="no AWS credentials were found"),
        open_stack(resolved, real=real, console=console),
    ):
        pass


def live_run(folder, url, *more):
    return command(
        folder, "run", "smoke", "--live", "--yes", "--budget-usd", "50", *SHORT, "--out", "runs/one", "--json", *more,
        AWS_ENDPOINT_URL_BEDROCK_RUNTIME=url,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("client", ["fast", "boto3"])
def test_a_live_run_is_measured_signed_by_the_account_and_keeps_no_key(client, tmp_path):
    """Calls reach the endpoint under the models' real ids, signed for their region; the record says `measured`."""
    with real_bedrock() as bedrock:
        done = live_run(tmp_path, bedrock.url, "--set", f"assistant.client={client}")
    assert done.returncode in (0, 3), done.stderr
    info = json.loads(done.stdout)
    assert info["provenance"] == {"bedrock": "measured"}
    assert info["stand_ins"] is None
    assert info["totals"]["completed"] == info["totals"]["asked"] > 0
    assert all(f"Credential={KEY_ID}/" in one and "/bedrock/aws4_request" in one for one in bedrock.authorizations)
    assert {path.split("/")[2] for path in bedrock.paths} <= {
        "us.amazon.nova-2-lite-v1%3A0",
        "us.amazon.nova-pro-v1%3A0",
        "global.anthropic.claude-sonnet-4-5-20250929-v1%3A0",
    }
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for word in ACCOUNT.values():
        assert word.encode() not in kept
        assert word not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_live_run_that_meets_a_stand_in_says_simulated(tmp_path):
    """A stand-in announces itself, whatever it was taken for."""
    resolved = resolve("smoke", [], None)
    with open_stack(resolved, console=Console(quiet=True)) as stack:
        done = live_run(tmp_path, stack.endpoints["bedrock"])
    assert done.returncode in (0, 3), done.stderr
    assert json.loads(done.stdout)["provenance"] == {"bedrock": "simulated"}
    calls = load_run(tmp_path / "runs/one").calls
    assert set(calls["supply"]) == {"bedrock"}


def test_an_assistant_on_real_models_is_not_loaded_without_live(tmp_path, monkeypatch, capsys):
    """Loopback is free, but what stands behind this one is not: its /healthz says so."""
    monkeypatch.chdir(tmp_path)
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    real = RealModels(bedrock_url="http://127.0.0.1:1")
    resolved, _ = on_real_models(resolve("smoke", [], None), real)
    with open_stack(resolved, real=real, console=Console(quiet=True)) as stack:
        target = ("--target", f"assistant={stack.endpoints['assistant']}")
        code, said = refused(capsys, "run", "smoke", *target, *SHORT)
        searched = refused(capsys, "max-rate", "smoke", *target)
        checked = refused(capsys, "check", "smoke", "--only", "slo", *target)
    assert code == 2
    assert "needs --live. Expected cost: " in said
    assert [one[0] for one in (searched, checked)] == [2, 2]
    assert all("keeps no budget" in one[1] for one in (searched, checked))
