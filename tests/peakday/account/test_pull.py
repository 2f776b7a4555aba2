"""`aws pull` on stubbed answers: what it writes, and that it writes nothing unless it has everything."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path

import pytest

from facts.account import read_quotas, read_usage
from facts.reader import models
from host.errors import Exit
from peakday.account.prices import overlay, read_prices
from peakday.account.pull import Ask, newest, past_window, pull
from peakday.consent import Consent
from peakday.console import Console
from peakday.errors import CommandError
from tests.peakday.account.answers import ACCESS_KEY, NOW, PRO, SECRET, claude, quota, traffic

POLICY = Path(__file__).parents[3] / "deploy/aws/peakday-read-only.json"


def ask(tmp_path, **more):
    window = past_window("3h", None, NOW)
    return Ask(("us-east-1",), window, ("trn1.32xlarge",), tmp_path / "aws" / "pulled", **more)


def pulled(account, tmp_path):
    return pull(ask(tmp_path), Consent(live=True, yes=True), NOW, Console(quiet=True))


def prepare(account, points=None):
    account.prepare_quotas()
    account.prepare_prices()
    account.prepare_usage(traffic() if points is None else points, pages=2)


def test_a_pull_writes_quotas_prices_and_usage(account, tmp_path):
    """Paginated answers of all three services end in three files that read back."""
    prepare(account)
    text, told = pulled(account, tmp_path)
    folder = tmp_path / "aws" / "pulled"
    assert {path.name for path in folder.iterdir()} == {"quotas.yaml", "prices.csv", "usage.csv", "pull.json"}
    limits = read_quotas(folder / "quotas.yaml").limits(models()["nova-pro"], "us-east-1")
    assert limits is not None
    assert (limits.tpm, limits.rpm, limits.codes["tpm"]) == (800_000.0, 200.0, "L-C0326783")
    means = read_usage(folder / "usage.csv").per_call()["nova-pro"]
    assert (means.calls, means.input_tokens, means.cache_read_tokens, means.latency_s) == (360, 300, 4000, 2.4)
    assert means.throttled_ratio == pytest.approx(6 / 366)
    assert "3 rows of usage" in text
    assert told["quotas"] == 4
    for stubber in account.stubbers:
        stubber.assert_no_pending_responses()


def test_metrics_of_2026_are_columns_of_the_usage(account, tmp_path):
    """TimeToFirstToken is told in milliseconds and kept in seconds; EstimatedTPMQuotaUsage is a sum of tokens."""
    points = traffic(minutes=1)
    [(stamp, _)] = points["Invocations", PRO]
    points |= {("TimeToFirstToken", PRO): [(stamp, 450.0)], ("EstimatedTPMQuotaUsage", PRO): [(stamp, 9_000.0)]}
    prepare(account, points)
    pulled(account, tmp_path)
    lines = (tmp_path / "aws/pulled/usage.csv").read_text().splitlines()
    [row] = csv.DictReader(line for line in lines if not line.startswith("#"))
    assert (float(row["ttft_s_mean"]), float(row["quota_tokens"])) == (0.45, 9_000.0)


def test_prices_follow_the_models_routing(account, tmp_path):
    """A global profile takes the global row; batch and long-context rows are no plan's prices."""
    prepare(account)
    pulled(account, tmp_path)
    own = overlay(read_prices(tmp_path / "aws/pulled/prices.csv"))
    assert own["tokens"]["claude-sonnet"] == {"input_usd_per_mtok": 3.0, "output_usd_per_mtok": 15.0}
    assert own["tokens"]["nova-pro"]["input_usd_per_mtok"] == 0.8
    assert own["tokens"]["nova-pro"]["cache_read_usd_per_mtok"] == 0.2
    assert own["instances"] == {"trn1.32xlarge": {"usd_per_hour": 21.5}}


def test_each_price_names_its_row(account, tmp_path):
    """SKU, usage type and date of the price list stand beside every price."""
    prepare(account)
    pulled(account, tmp_path)
    with (tmp_path / "aws/pulled/prices.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(row["sku"] and row["effective_date"] == "2026-11-01" for row in rows)


def test_a_price_that_differs_from_the_carried_list_is_said(account, tmp_path):
    """Where the region is dearer than peakday's list, a line says so."""
    account.prepare_quotas()
    account.prepare_prices(claude_rows=[claude("SKU6", 9.0, "USE1_InputTokenCount_Global-Units")])
    account.prepare_usage(traffic())
    text, _ = pulled(account, tmp_path)
    assert "claude-sonnet input in us-east-1: 9 USD per million tokens, 3 in peakday's list" in text


@pytest.mark.checkout
def test_the_policy_lists_exactly_what_is_called(account, tmp_path):
    """No action too many, none too few: the policy is the set of operations of a whole pull."""
    prepare(account)
    pulled(account, tmp_path)
    allowed = [action for statement in json.loads(POLICY.read_text())["Statement"] for action in statement["Action"]]
    assert sorted(allowed) == sorted(set(account.actions))
    assert not any(word in action for action in allowed for word in ("Put", "Create", "Request", "Delete", "*"))


def test_without_live_no_client_is_made(monkeypatch, tmp_path):
    """Not even made: boto3 itself would raise."""

    def forbidden(*_args, **_more):
        raise AssertionError("a client of AWS was made")

    monkeypatch.setattr("boto3.client", forbidden)
    monkeypatch.setattr("boto3.Session", forbidden)
    monkeypatch.setattr("botocore.session.Session.create_client", forbidden)
    with pytest.raises(CommandError, match="needs --live") as caught:
        pull(ask(tmp_path), Consent(), NOW, Console(quiet=True))
    assert caught.value.exit_code == Exit.USAGE
    assert not (tmp_path / "aws").exists()


ERRORS = [
    ("ThrottlingException", "throttled by AWS", Exit.INCONCLUSIVE),
    ("TooManyRequestsException", "throttled by AWS", Exit.INCONCLUSIVE),
    ("AccessDeniedException", "denied (AccessDeniedException); allow {action}, see deploy/aws", Exit.ENVIRONMENT),
    ("ExpiredTokenException", "credentials refused (ExpiredTokenException); sign in again", Exit.ENVIRONMENT),
    ("ServiceException", "refused (ServiceException)", Exit.ENVIRONMENT),
]
PLACES = [
    ("service-quotas", "list_service_quotas", "servicequotas:ListServiceQuotas"),
    ("pricing", "get_products", "pricing:GetProducts"),
    ("cloudwatch", "get_metric_data", "cloudwatch:GetMetricData"),
]


@pytest.mark.parametrize(("service", "operation", "action"), PLACES)
@pytest.mark.parametrize(("code", "says", "exit_code"), ERRORS)
def test_what_aws_refuses_is_one_line_and_leaves_nothing(
    account, tmp_path, service, operation, action, code, says, exit_code
):
    """Throttled or denied at the first service or at the last: the line names action, place and remedy; no file."""
    if service != "service-quotas":
        account.prepare_quotas()
    if service == "cloudwatch":
        account.prepare_prices()
        account.answers("cloudwatch", "list_metrics", {"Metrics": []})
    account.answers(service, operation, code)
    with pytest.raises(CommandError) as caught:
        pulled(account, tmp_path)
    told = str(caught.value)
    assert says.format(action=action) in told
    assert told.startswith(f"{action} in us-east-1: ")
    assert "Nothing was written" in told
    assert "\n" not in told
    assert caught.value.exit_code == exit_code
    assert not list(tmp_path.rglob("*.*"))


def test_credentials_are_in_no_output(account, tmp_path, capsys):
    """Neither the words of AWS's refusal, which may name user and key, nor the files of a pull show them."""
    account.answers("service-quotas", "list_service_quotas", "AccessDeniedException")
    with pytest.raises(CommandError) as caught:
        pulled(account, tmp_path)
    prepare(account)
    text, told = pull(ask(tmp_path), Consent(live=True, yes=True), NOW, Console())
    written = "".join(path.read_text() for path in (tmp_path / "aws/pulled").iterdir())
    everything = f"{caught.value}{text}{told}{written}{capsys.readouterr()}"
    for secret in (ACCESS_KEY, SECRET, "123456789012"):
        assert secret not in everything


def test_no_credentials_is_one_line(monkeypatch, tmp_path):
    """A shell that is not signed in gets a line that says so; no traceback, no request."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it keeps the credentials of an earlier client
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(CommandError, match="no usable AWS credentials here; sign in"):
        pull(ask(tmp_path), Consent(live=True, yes=True), NOW, Console(quiet=True))
    assert not (tmp_path / "aws").exists()


def test_quotas_that_are_empty_are_refused(account, tmp_path):
    """A region without Bedrock lists none: said, and nothing is written."""
    account.prepare_quotas(bedrock=())
    account.prepared["service-quotas"][0:1] = [("list_service_quotas", {"Quotas": []})]
    with pytest.raises(CommandError, match="service quotas of bedrock in us-east-1: AWS lists none"):
        pulled(account, tmp_path)
    assert not (tmp_path / "aws").exists()


def test_an_empty_price_list_is_refused(account, tmp_path):
    """No row of anything asked for means a wrong region."""
    account.prepare_quotas()
    for _ in range(3):
        account.answers("pricing", "get_products", {"PriceList": []})
    with pytest.raises(CommandError, match="price list of us-east-1: no row of any model or instance"):
        pulled(account, tmp_path)


def test_an_account_without_calls_is_said(account, tmp_path):
    """Quotas and prices are written; usage.csv has its header only, and the line says so."""
    prepare(account, {})
    text, _ = pulled(account, tmp_path)
    assert "no call in 2026-11-23 09:00 to 2026-11-23 12:00 UTC" in text
    assert len((tmp_path / "aws/pulled/usage.csv").read_text().splitlines()) == 2


def test_a_partial_answer_is_refused(account, tmp_path):
    """A series that CloudWatch leaves unfinished would be a wrong mean."""
    account.prepare_quotas()
    account.prepare_prices()
    account.answers("cloudwatch", "list_metrics", {"Metrics": []})
    from tests.peakday.account.answers import data

    part = data({("Invocations", PRO): []}, status="PartialData")
    account.answers("cloudwatch", "get_metric_data", {"MetricDataResults": part})
    with pytest.raises(CommandError, match=r"1 of \d+ series came in part, such as Invocations of us.amazon.nova-pro"):
        pulled(account, tmp_path)
    assert not (tmp_path / "aws").exists()


def test_a_quota_without_a_value_is_said(account, tmp_path):
    """Service Quotas may name a quota whose value it could not read: blank in the file, a line on the screen."""
    reason = {"ErrorCode": "DEPENDENCY_ACCESS_DENIED_ERROR", "ErrorMessage": "x"}
    account.prepare_quotas(ec2=(quota("L-9", "Running On-Demand Inf instances", None, "ec2", ErrorReason=reason),))
    account.prepare_prices()
    account.prepare_usage(traffic())
    text, _ = pulled(account, tmp_path)
    assert "quota L-9 'Running On-Demand Inf instances' in us-east-1: AWS gives no value" in text
    rows = read_quotas(tmp_path / "aws/pulled/quotas.yaml").rows
    assert next(row for row in rows if row.code == "L-9").value is None


def test_a_token_that_repeats_ends(account, tmp_path):
    """AWS repeating its page is an error, not an endless loop."""
    for _ in range(3):
        account.answers("service-quotas", "list_service_quotas", {"Quotas": [], "NextToken": "same"})
    with pytest.raises(CommandError, match="repeats the same page"):
        pulled(account, tmp_path)


def test_a_folder_that_is_there_is_left_alone(account, tmp_path):
    """Refused before anything is asked of AWS."""
    (tmp_path / "aws/pulled").mkdir(parents=True)
    with pytest.raises(CommandError, match="already here"):
        pulled(account, tmp_path)
    assert account.actions == []


@pytest.mark.parametrize(
    ("last", "until", "says"),
    [("20d", None, "keeps minutes for 15 days"), ("1h", "2026-11-24T00:00Z", "future"), ("1h", "soon", "no time such")],
)
def test_a_window_that_cannot_be_had_is_refused(account, tmp_path, last, until, says):
    """Before anything is asked of AWS."""

    def try_it():
        asked = Ask(("us-east-1",), past_window(last, until, NOW), ("trn1.32xlarge",), tmp_path / "x")
        pull(asked, Consent(live=True, yes=True), NOW, Console(quiet=True))

    with pytest.raises(CommandError, match=says):
        try_it()
    assert account.actions == []


def test_the_window_is_whole_minutes_of_utc():
    """Seconds are cut, an offset is turned into UTC."""
    window = past_window("90m", "2026-11-23T12:30:45+02:00", NOW)
    assert window.end - window.start == timedelta(minutes=90)
    assert str(window) == "2026-11-23 09:00 to 2026-11-23 10:30 UTC"


def test_the_newest_pull_is_found(tmp_path):
    """By the name of its folder, which is its time; none is none."""
    assert newest("quotas.yaml", tmp_path) is None
    for day in ("2026-11-01T1200Z", "2026-11-20T1200Z"):
        (tmp_path / "aws" / day).mkdir(parents=True)
        (tmp_path / "aws" / day / "quotas.yaml").write_text("")
    assert newest("quotas.yaml", tmp_path) == tmp_path / "aws/2026-11-20T1200Z/quotas.yaml"
