"""Unmodified boto3 against the emulator: only endpoint_url differs from real Bedrock."""

import json

import boto3
import botocore.config
import botocore.exceptions
import pytest

from tests.emulator.conftest import WORDS

NOVA = "us.amazon.nova-pro-v1:0"
CLAUDE = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
HELLO = [{"role": "user", "content": [{"text": "hello there"}]}]
POINT = {"cachePoint": {"type": "default"}}
TOOL = {"toolSpec": {"name": "price_history", "inputSchema": {"json": {"type": "object"}}}}


def client(emulator, mode="standard", region="us-east-1"):
    config = botocore.config.Config(retries={"total_max_attempts": 1, "mode": mode})
    return boto3.client(
        "bedrock-runtime", endpoint_url=emulator.url, region_name=region, config=config,
        aws_access_key_id="test", aws_secret_access_key="test",
    )  # fmt: skip


@pytest.fixture
def bedrock(emulator):
    made = client(emulator)
    yield made
    made.close()


@pytest.mark.parametrize("mode", ["standard", "legacy"])
def test_converse_answers_with_text_and_usage(emulator, mode):
    """An answer of the default plan: 20 tokens of text, usage that adds up, the simulated header."""
    made = client(emulator, mode)
    answer = made.converse(modelId=NOVA, messages=HELLO)
    made.close()
    usage = answer["usage"]
    assert answer["stopReason"] == "end_turn"
    assert usage["outputTokens"] == 20
    assert usage["totalTokens"] == usage["inputTokens"] + 20
    assert answer["output"]["message"]["content"][0]["text"]
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-peakday-simulated"] == "1"


def test_converse_stream_sends_events_in_the_services_order(bedrock):
    """messageStart, deltas, contentBlockStop, messageStop, and metadata last."""
    events = list(bedrock.converse_stream(modelId=CLAUDE, messages=HELLO)["stream"])
    names = [next(iter(event)) for event in events]
    assert names == ["messageStart", *["contentBlockDelta"] * 20, "contentBlockStop", "messageStop", "metadata"]
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 20


def test_a_tool_plan_is_asked_for_and_then_answered(bedrock):
    """The plan's first round is a toolUse with the page's product; with its result the model answers in text."""
    words = {"text": WORDS}
    page = {"text": '<page>{"product_id":"p000042"}</page>'}
    messages = [{"role": "user", "content": [page, words]}]
    asked = bedrock.converse(modelId=NOVA, messages=messages, toolConfig={"tools": [TOOL]})
    use = asked["output"]["message"]["content"][0]["toolUse"]
    assert (asked["stopReason"], use["name"]) == ("tool_use", "price_history")
    assert use["input"] == {"product_id": "p000042", "days": 90}
    result = {"toolResult": {"toolUseId": use["toolUseId"], "content": [{"json": {"low": 9.5}}]}}
    messages += [asked["output"]["message"], {"role": "user", "content": [result]}]
    answered = bedrock.converse(modelId=NOVA, messages=messages, toolConfig={"tools": [TOOL]})
    assert (answered["stopReason"], answered["usage"]["outputTokens"]) == ("end_turn", 30)


def test_streamed_tool_input_is_the_json_in_pieces(bedrock):
    """contentBlockStart names the tool; its deltas joined are its input."""
    messages = [{"role": "user", "content": [{"text": '<page>{"product_id":"p000042"}</page>'}, {"text": WORDS}]}]
    stream = bedrock.converse_stream(modelId=NOVA, messages=messages, toolConfig={"tools": [TOOL]})["stream"]
    events = list(stream)
    assert events[1]["contentBlockStart"]["start"]["toolUse"]["name"] == "price_history"
    pieces = [
        event["contentBlockDelta"]["delta"]["toolUse"]["input"] for event in events if "contentBlockDelta" in event
    ]
    assert json.loads("".join(pieces)) == {"product_id": "p000042", "days": 90}


def test_a_second_call_reads_what_the_first_wrote(bedrock):
    """The cached prefix is written once and read afterwards; inputTokens excludes both."""
    system = [{"text": "rules " * 1000}, POINT]
    first = bedrock.converse(modelId=NOVA, messages=HELLO, system=system)["usage"]
    second = bedrock.converse(modelId=NOVA, messages=HELLO, system=system)["usage"]
    assert first["cacheWriteInputTokens"] == second["cacheReadInputTokens"] > 1000
    assert second["cacheWriteInputTokens"] == 0
    assert first["cacheDetails"] == [{"ttl": "5m", "inputTokens": first["cacheWriteInputTokens"]}]
    assert first["inputTokens"] == second["inputTokens"]


def test_a_mixed_ttl_has_the_longer_first(bedrock):
    """1h before 5m is written by TTL; the other way round is refused."""
    long = {"cachePoint": {"type": "default", "ttl": "1h"}}
    system = [{"text": "rules " * 1000}, long]
    messages = [{"role": "user", "content": [{"text": "more " * 400}, POINT]}]
    details = bedrock.converse(modelId=CLAUDE, messages=messages, system=system)["usage"]["cacheDetails"]
    assert [row["ttl"] for row in details] == ["1h", "5m"]
    with pytest.raises(bedrock.exceptions.ValidationException, match="longer TTL must come before"):
        bedrock.converse(
            modelId=CLAUDE, system=[{"text": "rules " * 1000}, POINT],
            messages=[{"role": "user", "content": [{"text": "more " * 400}, long]}],
        )  # fmt: skip


def test_more_than_four_points_are_refused(bedrock):
    """The model's maximum number of points is a fact of cache_rules.csv."""
    with pytest.raises(bedrock.exceptions.ValidationException, match="found 5, the model allows 4"):
        bedrock.converse(modelId=CLAUDE, messages=HELLO, system=[{"text": "x"}, *[POINT] * 5])


def test_calls_spread_over_shards_write_more(emulator, bedrock):
    """With 50 independent caches the second equal call hardly ever finds the first one's entry."""
    emulator.control("profiles", {"nova-pro": {"cache": {"shards": 50}}})
    system = [{"text": "rules " * 1000}, POINT]
    usages = [bedrock.converse(modelId=NOVA, messages=HELLO, system=system)["usage"] for _ in range(10)]
    emulator.control("profiles", {"nova-pro": {"cache": {"shards": 1}}})
    assert sum(usage["cacheWriteInputTokens"] > 0 for usage in usages) > 5


def test_implicit_caching_shortens_the_prefill_and_never_shows_in_usage(emulator, bedrock):
    """A repeated prefix without a point: found by the model, billed as input."""
    emulator.control("profiles", {"nova-pro": {"cache": {"implicit": True}}})
    for _ in range(2):
        usage = bedrock.converse(modelId=NOVA, messages=HELLO, system=[{"text": "rules " * 1000}])["usage"]
    emulator.control("profiles", {"nova-pro": {"cache": {"implicit": False}}})
    cached = [row["cached_tokens"] for row in emulator.get("/truth?last=2")["requests"]]
    assert (cached[0], usage["cacheReadInputTokens"]) == (0, 0)
    assert cached[1] > 1000


def test_regions_do_not_share_a_cache(emulator, bedrock):
    """The region comes from the credential scope of the signature."""
    system = [{"text": "rules " * 1000}, POINT]
    bedrock.converse(modelId=NOVA, messages=HELLO, system=system)
    west = client(emulator, region="us-west-2")
    usage = west.converse(modelId=NOVA, messages=HELLO, system=system)["usage"]
    west.close()
    assert usage["cacheReadInputTokens"] == 0


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"messages": [{"role": "bob", "content": [{"text": "x"}]}]}, "Member must satisfy enum value set"),
        ({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}, "must start with a user message"),
        ({"messages": [{"role": "user", "content": [{"text": " "}]}]}, "messages.0.content.0 is blank"),
        ({"system": [{"text": "x"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]}, "cache TTL 1h"),
        ({"toolConfig": {"tools": [TOOL, POINT]}}, "cache points in tools"),
        (
            {"toolConfig": {"tools": [TOOL], "toolChoice": {"tool": {"name": "other"}}}},
            "other of toolChoice is not among",
        ),
        ({"inferenceConfig": {"maxTokens": 20_000}}, "exceeds the model limit of 10000"),
        ({"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}}, "does not support the system tool"),
    ],
)
def test_what_the_model_does_not_take_is_a_validation_exception(bedrock, kwargs, words):
    """As on Bedrock: HTTP 400, ValidationException, and the reason in words."""
    with pytest.raises(bedrock.exceptions.ValidationException, match=words):
        bedrock.converse(**{"modelId": NOVA, "messages": HELLO, **kwargs})


@pytest.mark.parametrize(
    "identifier",
    [
        "amazon.nova-pro-v1:0",
        "eu.amazon.nova-pro-v1:0",
        "amazon.nova-pro-v1:0:300k",
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0",
    ],
)
def test_every_identifier_of_a_model_means_it(bedrock, identifier):
    """Base id, any geography's profile, a context length, ARNs: the counts are the model's own."""
    own = bedrock.count_tokens(modelId=NOVA, input={"converse": {"messages": HELLO}})["inputTokens"]
    assert bedrock.converse(modelId=identifier, messages=HELLO)["usage"]["inputTokens"] == own
    assert bedrock.count_tokens(modelId=identifier, input={"converse": {"messages": HELLO}})["inputTokens"] == own


def test_a_model_that_is_not_served_is_a_404_that_says_what_is(bedrock):
    """In Bedrock's words, and with the ids that work here; an application profile's ARN tells no model."""
    for identifier in ("no-such-model", "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"):
        with pytest.raises(bedrock.exceptions.ResourceNotFoundException, match=f"Could not resolve.*{NOVA}") as caught:
            bedrock.converse(modelId=identifier, messages=HELLO)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_count_tokens_equals_usage(bedrock):
    """CountTokens and the usage of the same request agree."""
    system = [{"text": "be brief"}]
    counted = bedrock.count_tokens(modelId=NOVA, input={"converse": {"messages": HELLO, "system": system}})
    used = bedrock.converse(modelId=NOVA, messages=HELLO, system=system)["usage"]
    assert counted["inputTokens"] == used["inputTokens"]


def test_a_quota_refuses_before_the_stream(emulator, bedrock):
    """maxTokens is reserved at the start: a call that cannot fit is a ThrottlingException."""
    emulator.control("quotas", {"nova-pro": {"tpm": 1500}})
    bedrock.converse(modelId=NOVA, messages=HELLO, inferenceConfig={"maxTokens": 1000})
    with pytest.raises(bedrock.exceptions.ThrottlingException, match="Too many tokens"):
        bedrock.converse(modelId=NOVA, messages=HELLO)


def test_a_guardrail_lets_everything_pass_and_meters_it(bedrock):
    """1,001 characters are two text units."""
    answer = bedrock.apply_guardrail(
        guardrailIdentifier="abc", guardrailVersion="1", source="INPUT", content=[{"text": {"text": "x" * 1001}}]
    )
    assert answer["action"] == "NONE"
    assert answer["usage"]["contentPolicyUnits"] == 2


def test_a_quota_of_output_cuts_an_answer_off(emulator, bedrock):
    """5 tokens a minute: the answer stops there, as at a max_tokens that nobody asked for."""
    emulator.control("quotas", {"nova-pro": {"output_tpm": 5, "input_tpm": 1e6}})
    answer = bedrock.converse(modelId=NOVA, messages=HELLO, inferenceConfig={"maxTokens": 400})
    assert answer["stopReason"] == "max_tokens"
    assert answer["usage"]["outputTokens"] == 5
    emulator.control("quotas", {"nova-pro": {"input_tpm": 300}})
    with pytest.raises(bedrock.exceptions.ThrottlingException, match="Too many input tokens"):
        bedrock.converse(modelId=NOVA, messages=HELLO, inferenceConfig={"maxTokens": 400})


@pytest.mark.parametrize(("granted_to", "refused"), [("account", True), ("nova-pro", False)])
def test_a_days_tokens_of_the_account_span_its_models(emulator, granted_to, refused):
    """What one model was charged counts for another, where a model's own grant would not; regions stand apart."""
    emulator.control("quotas", {granted_to: {"tpd": 6_000}})
    here, there = client(emulator), client(emulator, region="us-west-2")
    lite = "us.amazon.nova-2-lite-v1:0"
    try:
        used = here.converse(modelId=NOVA, messages=HELLO, inferenceConfig={"maxTokens": 5_900})["usage"]["totalTokens"]
        rest = {"maxTokens": 6_000 - used}
        if refused:
            with pytest.raises(here.exceptions.ThrottlingException, match="per day"):
                here.converse(modelId=lite, messages=HELLO, inferenceConfig=rest)
        else:
            here.converse(modelId=lite, messages=HELLO, inferenceConfig=rest)
        there.converse(modelId=NOVA, messages=HELLO, inferenceConfig=rest)
    finally:
        here.close()
        there.close()


def test_a_cached_prefix_expires_when_its_clock_is_advanced(emulator, bedrock):
    """The control endpoint ages prompt caches: 301 s later a 5m entry is written again."""
    system = [{"text": "rule " * 2000}, POINT]

    def usage() -> tuple[bool, bool]:
        found = bedrock.converse(modelId=NOVA, messages=HELLO, system=system)["usage"]
        return found["cacheReadInputTokens"] > 0, found["cacheWriteInputTokens"] > 0

    assert [usage(), usage()] == [(False, True), (True, False)]
    emulator.control("clock", {"advance_s": 301})
    assert usage() == (False, True)
