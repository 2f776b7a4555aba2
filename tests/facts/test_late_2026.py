"""The world of late 2026: quota kinds, models with an end, and what an account's rows say of them."""

from datetime import date

import pytest

from dashboards.numbers.warnings import by_weight
from facts.geography import profile_warning
from facts.lifecycle import lifecycle_warning
from facts.quota_kinds import quota_kinds
from facts.quota_names import limits_of, parse_quota_name
from facts.reader import models, quotas


def test_an_account_wide_quota_names_no_model():
    parsed = parse_quota_name("Cross-Model Max Tokens Per Day")
    assert parsed is not None
    assert (parsed.kind, parsed.words) == ("account_tpd", frozenset())


@pytest.mark.parametrize(
    "name",
    [
        "Bedrock Mantle tokens per minute for Claude Opus 4.7", "On-demand InvokeModel input tokens per minute for X",
        "Batch inference tokens per minute for Nova Pro", "Cross-Model Max Requests Per Day", "",
    ],
)  # fmt: skip
def test_a_quota_of_no_documented_form_is_left_alone(name):
    assert parse_quota_name(name) is None


def test_both_endpoints_quotas_of_a_model_are_read_apart():
    """The runtime counts input and output together, mantle apart; tokens a day may be the account's."""
    rows = [
        ("L-1", "Cross-Region InvokeModel tokens per minute for Amazon Nova Pro", 800_000.0),
        ("L-2", "Bedrock Mantle input tokens per minute for Amazon Nova Pro", 10e6),
        ("L-3", "Bedrock Mantle output tokens per minute for Amazon Nova Pro", 2e6),
        ("L-4", "Cross-Model Max Tokens Per Day", 5e9),
        ("L-5", "Bedrock Mantle output tokens per minute for Amazon Nova Micro", 1.0),
    ]
    limits = limits_of("us.amazon.nova-pro-v1:0", rows, "pulled")
    assert limits is not None
    assert (limits.tpm, limits.input_tpm, limits.output_tpm) == (800_000.0, 10e6, 2e6)
    assert (limits.rpm, limits.account_tpd, limits.codes["account_tpd"]) == (None, 5e9, "L-4")


def test_an_account_wide_quota_alone_says_nothing_of_a_model():
    assert limits_of("us.amazon.nova-pro-v1:0", [("L-4", "Cross-Model Max Tokens Per Day", 5e9)], "pulled") is None


def test_requests_a_minute_are_marked_where_pages_disagree():
    """Old rows stay, with their date; a figure whose enforcement is in doubt says so."""
    assert all(fact.rpm_status for fact in quotas().values() if fact.rpm is not None)
    assert quotas()["nova-pro/us"].as_of == "2025-06-05"
    assert "where the account's own quotas name it" in quota_kinds()["rpm"].enforced


def test_every_kind_of_quota_has_a_period_and_a_source():
    for kind in quota_kinds().values():
        assert kind.period_s in (60.0, 86_400.0)
        assert kind.source.startswith("https://docs.aws.amazon.com/")


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (date(2026, 11, 27), date(2026, 11, 30), None),
        (date(2027, 1, 7), date(2027, 1, 9), "in public extended access from 2027-01-08"),
        (date(2027, 4, 7), date(2027, 4, 9), "ends on 2027-04-08, during the event"),
        (date(2027, 7, 8), date(2027, 7, 11), "ends on 2027-04-08, before the event"),
    ],
)
def test_a_model_that_retires_is_a_warning(first, last, words):
    warning = lifecycle_warning(models()["claude-sonnet"], first, last)
    assert warning is None if words is None else words in (warning or "")


def test_self_hosted_and_newer_models_have_no_announced_end():
    far = date(2030, 1, 1)
    assert [key for key, model in models().items() if lifecycle_warning(model, far, far)] == ["claude-sonnet"]


def test_newer_models_can_be_planned():
    """Prices of every class, a quota, a window and a tokenizer of their own."""
    for key in ("claude-sonnet-4-6", "claude-sonnet-5-5", "claude-haiku-4-5"):
        model = models()[key]
        assert model.prices is not None
        assert model.prices.cost_usd(1, 1, 1, 1, 1) > 0
        assert model.quota is not None
    assert models()["claude-sonnet-5-5"].tokenizer_ratio == 1.17


def test_a_model_that_is_gone_by_the_event_is_the_first_warning():
    """Whatever else a plan warns of: its calls fail."""
    gone = lifecycle_warning(models()["claude-sonnet"], date(2027, 7, 8), date(2027, 7, 11))
    late = lifecycle_warning(models()["claude-sonnet"], date(2027, 1, 9), date(2027, 1, 11))
    others = ["x: no chip meets its SLOs", "supply: needs an exception for 3", "quotas bind", "all else"]
    assert by_weight([*others, gone])[0] == gone
    assert by_weight([*others, late])[0] == late


def test_a_profile_of_one_geography_is_not_called_from_another():
    """A plan in Tokyo and Frankfurt by a US profile says so; a global one and a model of one's own have no limit."""
    known, regions = models(), ("ap-northeast-1", "us-east-1", "eu-central-1", "eu-central-1")
    line = profile_warning(known["nova-pro"], regions)
    assert line.startswith(
        "nova-pro: us.amazon.nova-pro-v1:0 is a profile of another geography than ap-northeast-1, eu-central-1 "
    )
    assert profile_warning(known["nova-pro"], ("us-east-1", "ca-central-1")) is None
    assert profile_warning(known["claude-sonnet"], regions) is None
    assert profile_warning(known["custom-8b"], regions) is None
