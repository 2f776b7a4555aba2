"""Model invocation logs as usage."""

from __future__ import annotations

import gzip
import json

import pytest

from facts.account import read_usage
from peakday.account.invocation_log import import_logs
from peakday.errors import CommandError


def record(**more):
    """One line of a log, in the shape of the Bedrock user guide."""
    base = {
        "schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "timestamp": "2026-11-23T10:00:12Z",
        "accountId": "123456789012", "identity": {"arn": "arn:aws:sts::123456789012:assumed-role/app/x"},
        "region": "us-east-1", "requestId": "a", "operation": "Converse",
        "modelId": "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0",
        "input": {
            "inputContentType": "application/json", "inputTokenCount": 300, "cacheReadInputTokenCount": 4000,
            "cacheWriteInputTokenCount": 100, "inputBodyJson": {"messages": [{"content": [{"text": "a secret"}]}]},
        },
        "output": {
            "outputContentType": "application/json", "outputTokenCount": 180,
            "outputBodyJson": {"metrics": {"latencyMs": 2400}, "output": {"message": {"content": []}}},
        },
    }  # fmt: skip
    return base | more


def logged(tmp_path, *records, name="log.jsonl"):
    path = tmp_path / name
    text = "".join(json.dumps(item) + "\n" for item in records)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
def test_calls_become_minutes(tmp_path, name):
    """Tokens by class, latency and throttles of the minute; words and account stay out."""
    stream = [{"contentBlockDelta": {}}, {"metadata": {"metrics": {"latencyMs": 3400}}}]
    log = logged(
        tmp_path,
        record(),
        record(output={"outputTokenCount": 20, "outputBodyJson": stream}),
        record(errorCode="ThrottlingException", output={}),
        record(errorCode="ValidationException"),
        {"something": "else"},
        name=name,
    )
    text, told = import_logs([log], tmp_path / "usage.csv")
    means = read_usage(tmp_path / "usage.csv").per_call()["nova-pro"]
    assert (means.calls, means.input_tokens, means.output_tokens, means.cache_read_tokens) == (2, 300, 100, 4000)
    assert means.latency_s == pytest.approx(2.9)
    assert means.throttled_ratio == pytest.approx(1 / 3)
    assert (told["calls"], told["throttles"], told["errors"], told["other lines"]) == (2, 1, 1, 1)
    written = (tmp_path / "usage.csv").read_text() + text
    assert "secret" not in written
    assert "123456789012" not in written


def test_a_line_that_is_no_record_names_file_and_line(tmp_path):
    """Nothing is written then."""
    log = logged(tmp_path, record())
    log.write_text(log.read_text() + "{oops\n")
    with pytest.raises(CommandError, match=r"log\.jsonl:2: no JSON"):
        import_logs([log], tmp_path / "usage.csv")
    assert not (tmp_path / "usage.csv").exists()


def test_a_record_without_its_time_is_refused(tmp_path):
    """A broken record is no zero."""
    log = logged(tmp_path, record(timestamp=None))
    with pytest.raises(CommandError, match=r"log\.jsonl:1: not a whole ModelInvocationLog record"):
        import_logs([log], tmp_path / "usage.csv")


def test_a_log_without_records_is_refused(tmp_path):
    """Some other JSON is no usage."""
    with pytest.raises(CommandError, match="no ModelInvocationLog record"):
        import_logs([logged(tmp_path, {"a": 1})], tmp_path / "usage.csv")
