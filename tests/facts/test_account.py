"""What an account has and did: usage.csv, quotas.yaml, and AWS's many names of one model."""

from __future__ import annotations

import pytest
import yaml

from facts.account import Minute, is_usage, read_quotas, read_usage, usage_text
from facts.decoding import FactsError
from facts.model_names import Routing, base_id, model_key, routing, words
from facts.quota_names import parse_quota_name
from facts.reader import models

NOON = 1_793_534_400 // 60 * 60
PRO = "us.amazon.nova-pro-v1:0"


def written(tmp_path, rows):
    path = tmp_path / "usage.csv"
    path.write_text(usage_text(rows, "CloudWatch us-east-1"))
    return path


def test_what_is_written_is_read_again(tmp_path):
    """Counts, latency and the region come back, under the key of models.yaml."""
    path = written(tmp_path, {(NOON, "us-east-1", PRO): Minute(10, 1, 5000, 900, 4000, 200, 1.25)})
    usage = read_usage(path)
    means = usage.per_call()["nova-pro"]
    assert (means.calls, means.input_tokens, means.output_tokens) == (10, 500, 90)
    assert (means.cache_read_tokens, means.cache_write_tokens, means.latency_s) == (400, 20, 1.25)
    assert means.throttled_ratio == pytest.approx(1 / 11)
    assert "CloudWatch us-east-1" in usage.source
    assert is_usage(path)


def test_two_names_of_one_model_add_up(tmp_path):
    """A profile and its base model are one model to the planner; latency is weighted by calls that have one."""
    rows = {
        (NOON, "us-east-1", PRO): Minute(3, input_tokens=30, latency_s_mean=1.0),
        (NOON, "us-east-1", "amazon.nova-pro-v1:0"): Minute(1, input_tokens=10, latency_s_mean=3.0),
        (NOON + 60, "us-east-1", PRO): Minute(4, input_tokens=40),
    }
    means = read_usage(written(tmp_path, rows)).per_call()["nova-pro"]
    assert (means.calls, means.input_tokens, means.latency_s) == (8, 10, 1.5)


def test_unknown_models_are_left_out_and_named(tmp_path):
    """A model that models.yaml does not know changes no mean, and the source says so."""
    rows = {(NOON, "us-east-1", PRO): Minute(3), (NOON, "us-east-1", "meta.llama4"): Minute(9)}
    usage = read_usage(written(tmp_path, rows))
    assert list(usage.per_call()) == ["nova-pro"]
    assert "meta.llama4" in usage.source


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("minute_utc,region\n", "no column model_id"),
        (usage_text({}, "x"), "no row"),
        (usage_text({(NOON, "us-east-1", "meta.llama4"): Minute(1)}, "x"), "meta.llama4"),
        (usage_text({(NOON, "us-east-1", PRO): Minute(1)}, "x").replace(",1,", ",-1,"), "invocations is -1"),
        (usage_text({(NOON, "us-east-1", PRO): Minute(1)}, "x").replace("2026", "year"), "is no time"),
    ],
)
def test_a_bad_usage_file_is_one_clear_line(tmp_path, text, says):
    """What is wrong and where, in one line."""
    path = tmp_path / "usage.csv"
    path.write_text(text)
    with pytest.raises(FactsError, match=says) as caught:
        read_usage(path)
    assert "\n" not in str(caught.value)


def test_quiet_minutes_count_zero(tmp_path):
    """Between the first and the last minute none is missing: a gap is a minute without calls."""
    rows = {(NOON, "us-east-1", PRO): Minute(3), (NOON + 120, "us-west-2", PRO): Minute(4)}
    assert list(read_usage(written(tmp_path, rows)).calls_by_minute().values()) == [3.0, 0.0, 4.0]


def test_one_model_under_all_its_names():
    """An id, its profiles and its ARN are one key; a quota's and a price's words name the same model."""
    known = models()
    arn = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{PRO}"
    assert {model_key(name, known) for name in (PRO, "amazon.nova-pro-v1:0", arn)} == {"nova-pro"}
    assert model_key("meta.llama4", known) is None
    assert words("Anthropic Claude Sonnet 4.5 V1") == words(known["claude-sonnet"].model_id)
    assert words("Amazon Nova Lite") != words(known["nova-2-lite"].model_id)
    assert words("Amazon Nova 2 Lite") == words(known["nova-2-lite"].model_id)
    assert [routing(name) for name in (PRO, "global.x.y", "amazon.nova-pro-v1:0")] == [
        Routing.GEOGRAPHY, Routing.GLOBAL, Routing.REGION,
    ]  # fmt: skip
    assert base_id(arn) == "amazon.nova-pro-v1:0"


@pytest.mark.parametrize(
    ("name", "kind", "how"),
    [
        ("Cross-region model inference tokens per minute for Amazon Nova Pro", "tpm", Routing.GEOGRAPHY),
        ("On-demand model inference requests per minute for Amazon Nova Pro", "rpm", Routing.REGION),
        ("Global cross-region model inference tokens per minute for Amazon Nova Pro", "tpm", Routing.GLOBAL),
        ("Model invocation max tokens per day for Amazon Nova Pro (doubled for cross-region calls)", "tpd", None),
        ("Cross-Region InvokeModel tokens per minute for Amazon Nova Pro", "tpm", Routing.GEOGRAPHY),
        ("On-demand InvokeModel tokens per minute for Amazon Nova Pro", "tpm", Routing.REGION),
        ("Global cross-Region InvokeModel requests per minute for Amazon Nova Pro", "rpm", Routing.GLOBAL),
        ("Bedrock Mantle input tokens per minute for Amazon Nova Pro", "input_tpm", None),
        ("Bedrock Mantle output tokens per minute for Amazon Nova Pro", "output_tpm", None),
    ],
)
def test_quota_names_are_understood(name, kind, how):
    """The forms of 2025 and 2026 that Service Quotas prints; a latency-optimized or batch quota is none of them."""
    parsed = parse_quota_name(name)
    assert parsed is not None
    assert (parsed.kind, parsed.routing, parsed.words) == (kind, how, {"nova", "pro"})
    assert parse_quota_name("On-Demand, latency-optimized model inference tokens per minute for Nova Pro V1") is None


def quotas_file(tmp_path, *rows):
    path = tmp_path / "quotas.yaml"
    held = [{"code": code, "name": name, "value": value, "adjustable": True} for code, name, value in rows]
    document = {
        "schema": "peakday.quotas/1",
        "pulled_utc": "2026-11-23T10:00:00+00:00",
        "regions": {"us-east-1": {"bedrock": held, "ec2": []}},
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_held_limits_follow_the_models_routing(tmp_path):
    """A geography's profile takes the cross-region rows, not the region's own; codes and file are told."""
    held = read_quotas(
        quotas_file(
            tmp_path,
            ("L-1", "On-demand model inference tokens per minute for Amazon Nova Pro", 1.0),
            ("L-2", "Cross-region model inference tokens per minute for Amazon Nova Pro", 2e6),
            ("L-3", "Cross-region model inference requests per minute for Amazon Nova Pro", 500.0),
            ("L-4", "Model invocation max tokens per day for Amazon Nova Pro (doubled for cross-region calls)", 1e9),
        )
    )
    limits = held.limits(models()["nova-pro"], "us-east-1")
    assert limits is not None
    assert (limits.tpm, limits.rpm, limits.tpd) == (2e6, 500.0, 2e9)
    assert limits.codes == {"tpm": "L-2", "rpm": "L-3", "tpd": "L-4"}
    assert limits.source == "quotas.yaml of 2026-11-23, us-east-1"
    assert held.limits(models()["nova-pro"], "us-west-2") is None
    assert held.limits(models()["claude-sonnet"], "us-east-1") is None


@pytest.mark.parametrize(
    "text", ["schema: other\n", "schema: peakday.quotas/1\n", "[", "schema: peakday.quotas/1\nregions: 3\n"]
)
def test_a_bad_quotas_file_is_one_clear_line(tmp_path, text):
    """It names the file and what writes it."""
    path = tmp_path / "quotas.yaml"
    path.write_text(text)
    with pytest.raises(FactsError, match=r"quotas\.yaml") as caught:
        read_quotas(path)
    assert "\n" not in str(caught.value)
