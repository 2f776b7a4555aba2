"""Faults do what they say, on their timetable, and nothing else; errors of a kind are told apart."""

import http.client
import json
import socket
import time
from contextlib import closing
from types import SimpleNamespace

import boto3
import botocore.config
import botocore.exceptions
import pytest
from botocore.eventstream import ChecksumMismatch

from emulator.calls import Call, Caller
from emulator.faults import CapacityRoom, Fault, FaultPlan, fault_from
from emulator.http.connection import Request
from tests.emulator.conftest import WORDS

NOVA = "us.amazon.nova-pro-v1:0"
AUTH = {"authorization": "AWS4-HMAC-SHA256 Credential=test/20261123/us-east-1/bedrock/aws4_request"}
HELLO = [{"role": "user", "content": [{"text": "hello"}]}]


@pytest.fixture
def bedrock(emulator):
    config = botocore.config.Config(retries={"total_max_attempts": 1})
    made = boto3.client(
        "bedrock-runtime", endpoint_url=emulator.url, region_name="us-east-1", config=config,
        aws_access_key_id="test", aws_secret_access_key="test",
    )  # fmt: skip
    yield made
    made.close()


def events(bedrock, **request):
    """All events of a stream; its connection is closed, however it ends."""
    with closing(bedrock.converse_stream(modelId=NOVA, **{"messages": HELLO, **request})["stream"]) as stream:
        return list(stream)


def strike(emulator, kind, **options):
    emulator.control("faults", [{"kind": kind, "length_s": 60, **options}])
    emulator.control("t0", {"in_s": -1})


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("throttle", 429, "ThrottlingException"),
        ("not_ready", 429, "ModelNotReadyException"),
        ("unavailable", 503, "ServiceUnavailableException"),
        ("server_error", 500, "InternalServerException"),
    ],
)
def test_refusals_are_told_apart(emulator, bedrock, kind, status, code):
    """429 for quota, 429 for a model not ready, 503 for demand and 500 each have their own error."""
    strike(emulator, kind)
    with pytest.raises(bedrock.exceptions.ClientError) as caught:
        bedrock.converse(modelId=NOVA, messages=HELLO)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_an_exception_comes_in_the_middle_of_the_stream(emulator, bedrock):
    """Half of the answer, then the exception frame that botocore raises."""
    strike(emulator, "stream_exception")
    with pytest.raises(botocore.exceptions.EventStreamError, match="modelStreamErrorException"):
        events(bedrock)
    assert emulator.get("/truth?last=1")["requests"][0]["chunks"] == 10


def test_throttling_inside_a_stream_is_its_own_fault(emulator, bedrock):
    """A throttle with a delay strikes after the stream began."""
    strike(emulator, "throttle", delay_s=0.001)
    with pytest.raises(botocore.exceptions.EventStreamError, match="throttlingException"):
        events(bedrock)


def test_a_bad_checksum_is_seen_by_the_reader(emulator, bedrock):
    """One byte of a frame's CRC is wrong."""
    strike(emulator, "bad_crc")
    with pytest.raises(ChecksumMismatch):
        events(bedrock)


def open_stream(emulator):
    body = {"model": "custom-8b", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    connection = http.client.HTTPConnection(emulator.url.removeprefix("http://"))
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    return connection


def test_a_cut_stream_ends_without_its_end(emulator):
    """The connection closes in the middle of the chunked body."""
    strike(emulator, "cut_stream")
    connection = open_stream(emulator)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        connection.getresponse().read()
    connection.close()


def test_a_region_that_is_down_answers_nothing(emulator):
    """Only its own calls: another region still answers."""
    strike(emulator, "region_down", region="us-west-2")
    scope = "AWS4-HMAC-SHA256 Credential=test/20261123/{}/bedrock/aws4_request"
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        emulator.post(f"/model/{NOVA}/converse", {"messages": HELLO}, {"authorization": scope.format("us-west-2")})
    status, _, _ = emulator.post(
        f"/model/{NOVA}/converse", {"messages": HELLO}, {"authorization": scope.format("us-east-1")}
    )
    assert status == 200


@pytest.mark.parametrize(
    ("kind", "options", "least_s"),
    [
        ("slow_first_token", {"delay_s": 0.2}, 0.2),
        ("slow_tokens", {"factor": 20}, 0.35),
        ("stall", {"delay_s": 0.2}, 0.2),
    ],
)
def test_slow_answers_are_as_slow_as_asked(emulator, bedrock, kind, options, least_s):
    """Slower first tokens, slower gaps, or one gap in the middle: the record of what was sent shows it."""
    strike(emulator, kind, **options)
    assert len(events(bedrock)) == 24
    row = emulator.get("/truth?last=1")["requests"][0]
    spent = {
        "slow_first_token": row["first_sent_s"] - row["received_s"],
        "slow_tokens": row["last_sent_s"] - row["first_sent_s"],
        "stall": row["gap_s_max"],
    }[kind]
    assert least_s - 0.05 <= spent < least_s + 0.3  # the gap before a stall may itself have been late


@pytest.mark.parametrize(
    ("kind", "options", "gap_s"), [("stall", {"delay_s": 0.2}, 0.15), ("slow_tokens", {"factor": 30}, 0.02)]
)
def test_an_engines_answers_can_be_slowed_too(emulator, kind, options, gap_s):
    """What the engine makes in time is sent later, and the largest gap shows it."""
    strike(emulator, kind, **options)
    connection = open_stream(emulator)
    connection.getresponse().read()
    connection.close()
    row = emulator.get("/truth?last=1")["requests"][0]
    assert row["chunks"] == 20
    assert row["gap_s_max"] > gap_s


def test_a_cold_cache_forgets_everything_and_stays_cold(emulator, bedrock):
    """What was cached before its start is gone, and calls that it hits read nothing although they write."""
    system = [{"text": "rule " * 2000}, {"cachePoint": {"type": "default"}}]

    def read_tokens():
        return bedrock.converse(modelId=NOVA, messages=HELLO, system=system)["usage"]["cacheReadInputTokens"]

    assert [read_tokens(), read_tokens() > 0] == [0, True]
    strike(emulator, "cold_cache")
    assert [read_tokens(), read_tokens()] == [0, 0]
    emulator.control("faults", [])
    assert read_tokens() > 0


def test_malformed_tool_input_is_no_json(emulator, bedrock):
    """The pieces of the input do not join to JSON."""
    strike(emulator, "malformed_tool_input")
    tool = {"toolSpec": {"name": "price_history", "inputSchema": {"json": {}}}}
    page = {"text": '<page>{"product_id":"p000042"}</page>'}
    messages = [{"role": "user", "content": [page, {"text": WORDS}]}]
    answer = events(bedrock, messages=messages, toolConfig={"tools": [tool]})
    deltas = [event["contentBlockDelta"]["delta"] for event in answer if "contentBlockDelta" in event]
    with pytest.raises(json.JSONDecodeError):
        json.loads("".join(delta["toolUse"]["input"] for delta in deltas))


def test_a_frozen_process_reports_itself_late(emulator, bedrock):
    """It stands still for half a second while answering: the tokens due then were late, and it says so."""
    emulator.control("profiles", {"nova-pro": {"gap": {"gap_s": 0.02}}})
    emulator.control("faults", [{"kind": "freeze", "length_s": 0.5, "at_s": 0.1}])
    lateness = meet_a_freeze(emulator, "token", 0.3, lambda: events(bedrock))
    assert lateness["late"]
    assert "emulator was late" in lateness["reasons"][0]


def meet_a_freeze(emulator, kind, late_s, act):
    """Lateness after an act that met a freeze; it is tried again where this machine stood still until it was over."""
    for _ in range(20):
        emulator.control("t0", {})
        act()
        lateness = emulator.get("/control/lateness")
        if (lateness[kind]["max_s"] or 0.0) > late_s:
            return lateness
    return pytest.fail(f"no {kind} was later than {late_s} s in 20 freezes")


def behind_a_freeze(emulator, ttft_s: float) -> float:
    """When one request was sent whole, early in a freeze of 0.4 s, whose model answers `ttft_s` after it."""
    pace = {"ttft": {"base_s": ttft_s, "per_uncached_token_s": 0, "sigma": 0}, "gap": {"gap_s": 0, "sigma": 0}}
    emulator.control("profiles", {"nova-pro": pace})
    emulator.control("faults", [{"kind": "freeze", "length_s": 0.4, "at_s": 0.05}])
    emulator.control("t0", {})
    with closing(http.client.HTTPConnection(emulator.url.removeprefix("http://"))) as connection:
        connection.connect()
        time.sleep(0.15)
        connection.request("POST", f"/model/{NOVA}/converse", json.dumps({"messages": HELLO}), AUTH)
        sent_s = time.monotonic()
        assert connection.getresponse().status == 200
    return sent_s


def test_a_request_that_waited_for_a_frozen_process_counts_as_late(emulator):
    """Its answer was due at once; the overdue heartbeat and the socket tell how long it had been there unread."""
    lateness = meet_a_freeze(emulator, "first", 0.1, lambda: behind_a_freeze(emulator, 0.0))
    assert lateness["late"]


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="only Linux tells when a request came in")
def test_a_first_token_counts_from_when_the_request_came_in(emulator):
    """It was read 0.3 s after it was sent, and its answer is due as if it had been read at once.

    The kernel had all of it when `send` returned, however slow the processes at both ends are, and tells to 4 ms.
    """
    sent_s = behind_a_freeze(emulator, 1.0)
    [row] = emulator.get("/truth?last=1")["requests"]
    assert row["received_s"] < sent_s + 0.02
    assert row["first_due_s"] - row["received_s"] == pytest.approx(1.0)


def test_faults_keep_to_their_timetable():
    """Active from at_s for length_s after t0, for their model and region; nothing before t0 is set."""
    plan = FaultPlan([Fault("throttle", length_s=10, at_s=5, model="m", region="r")], seed=1)
    assert not plan.strikes("m", "r", 100.0)
    plan.t0_s = 100.0
    active = [at_s for at_s in (104.9, 105.0, 114.9, 115.0) if plan.strikes("m", "r", at_s)]
    assert active == [105.0, 114.9]
    assert not plan.strikes("m", "other", 106.0)
    assert not plan.strikes("n", "r", 106.0)


def test_a_share_of_calls_is_struck():
    """A ratio of 0.3 hits about three calls in ten, the same ones for the same seed."""

    def draws(seed):
        plan = FaultPlan([Fault("throttle", length_s=1e9, ratio=0.3)], seed)
        plan.t0_s = 0.0
        return [bool(plan.strikes("m", "r", 1.0)) for _ in range(2_000)]

    assert draws(1) == draws(1) != draws(2)
    assert 0.25 < sum(draws(1)) / 2_000 < 0.35


@pytest.mark.parametrize(
    "raw", [{"kind": "nonsense", "length_s": 1}, {"kind": "throttle"}, {"kind": "throttle", "length_s": 1, "x": 2}]
)
def test_faults_that_make_no_sense_are_refused(raw):
    """An unknown kind, no length, an unknown key: each is named."""
    with pytest.raises(ValueError, match="fault: "):
        fault_from(raw)


def test_capacity_that_has_to_be_ramped_widens_with_sustained_use():
    """Room for 2/s: calls at 4/s are refused every second time; 2/s for ten seconds opens 1.6 times as much."""
    room = CapacityRoom(2.0, sustain_s=10.0)
    first = [room.has_room(number / 4) for number in range(40)]
    assert 19 <= sum(first) <= 21
    assert room.has_room(10.0) in (True, False)
    assert room.room_per_s == pytest.approx(3.2, abs=0.2)


def test_a_fault_above_a_rate_leaves_calls_below_it_alone():
    plan = FaultPlan([Fault("unavailable", length_s=1e9, above_per_s=3.0, sustain_s=1e6)], seed=1)
    plan.change(t0_s=0.0)
    assert not any(plan.strikes("m", "r", float(second)) for second in range(60))
    assert sum("unavailable" in plan.strikes("m", "r", 100 + number / 10) for number in range(600)) > 300


def test_a_request_whose_arrival_is_dated_before_the_faults_is_hit_by_them():
    """Arrival is known to 4 ms: a call read after faults were set is theirs, whatever its estimated arrival."""
    plan = FaultPlan([Fault("throttle", length_s=60)], seed=1)
    plan.change(t0_s=time.monotonic())
    request = Request("POST", "/", "", {}, b"", plan.t0_s - 0.004)
    emulator, emulated = SimpleNamespace(faults=plan), SimpleNamespace(model=SimpleNamespace(key="m"))
    assert set(Call(emulator, emulated, request, Caller("a", "r"), "id").faults) == {"throttle"}
