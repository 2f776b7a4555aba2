"""Broken, foreign and hostile files where a trace is expected: one line says what is there and what to change."""

import gzip
import io
import json
import zipfile

import pytest

from host.errors import PeakdayError
from peakday.cli import main
from scenarios.errors import ScenarioError
from scenarios.traces.arrivals import read_replay
from scenarios.traces.sessions import read_trace
from tests.scenarios.test_trace_forms import BEDROCK, LANGFUSE, LITELLM, otlp

TABLE = b"timestamp,input_tokens,output_tokens\n"
SPAN = {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 2}
MOONCAKE = {"timestamp": 1, "input_length": 5, "output_length": 1, "hash_ids": [1]}
AGENTIC = {"id": "s", "block_size": 64, "requests": [{"t": 0, "in": 5, "out": 1, "hash_ids": [1]}]}


def zipped():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("trace.jsonl", "{}")
    return packed.getvalue()


def json_of(record):
    return json.dumps(record).encode()


def locust(*totals):
    rows = [f"{1767225600 + k},1,,Aggregated,{total}\n" for k, total in enumerate(totals)]
    return ("Timestamp,User Count,Type,Name,Total Request Count\n" + "".join(rows)).encode()


BROKEN = {
    # no text, or none of ours
    "empty": (b"", "empty; give a log"),
    "blank lines": (b"\n\n \n", "empty; give a log"),
    "a hole in the disk": (b"\0" * 5000, "a binary file, no log or trace; export it as CSV"),
    "Parquet": (b"PAR1\x15\x04" + b"\0" * 50, "a Parquet file, no log or trace; export it as CSV"),
    "a whole Parquet file": (b"PAR1\x15\x04\xff\xfe" + b"\x80" * 50, "a Parquet file, no log or trace; export it"),
    "SQLite": (b"SQLite format 3\0" + b"\1" * 500, "an SQLite database, no log or trace; export it"),
    "ZIP": (zipped(), "a ZIP archive; unpack it and give the files within"),
    "OTLP as protobuf": (b"\n\xf2\x01\n\x17\n\x15\n\x0cservice.name", "save it as UTF-8"),
    "packed twice": (gzip.compress(gzip.compress(TABLE)), "save it as UTF-8"),
    "a packed file cut off": (gzip.compress(TABLE + b"1,2,3\n" * 1000)[:40], "cannot be unpacked"),
    "a page to sign in": (b"<!DOCTYPE html><html><body>Sign in", "an HTML page (a page to sign in?)"),
    "an error of an API": (b'{"error": {"code": 401}}', "JSON of no known form (error); convert it to CSV"),
    "an empty page of an API": (b'{"data": [], "meta": {}}', "data is an empty list; widen the export's time range"),
    "YAML": (b"resourceSpans:\n- a: 1\n", "no column of times; name one of them timestamp"),
    "a browser's HAR": (b'{"log": {"entries": [{"time": 1}]}}', "JSON of no known form (log); convert it to CSV"),
    "Jaeger without models": (
        b'{"data": [{"traceID": "a", "spans": [{"spanID": "b"}]}]}', "no model call in it (jaeger); spans need token",
    ),
    "OpenAI's usage by day": (
        b"start_time,end_time,num_model_requests,input_tokens\n1,2,900,100000\n",
        "a row sums up many requests (num_model_requests)",
    ),
    "OpenAI's usage as JSON": (
        json_of({"object": "page", "data": [{"object": "bucket", "start_time": 1, "results": [{"input_tokens": 5}]}]}),
        "a bucket sums up many requests",
    ),
    "Anthropic's usage by day": (
        b"usage_date_utc,model_version,usage_output_tokens\n2026-11-20,m,7000\n",
        "a row sums up many requests (usage_date_utc)",
    ),
    "k6's summary": (json_of({"metrics": {"http_reqs": {"count": 9}}}), "JSON of no known form (metrics)"),
    "a balancer's log of something else": (
        b"http 2026-01-01T00:00:00.5Z app/x 1.2.3.4:5 - 0 0 0 200\nhello\n", "line 2: no line of a load balancer's log",
    ),
    "a log without its date": (b"#Version: 1.0\n#Fields: time sc-status\n10:00:00\t200\n", "date and time is 'NoneT10"),
    "OTLP metrics": (b'{"resourceMetrics": []}', "JSON of no known form (resourceMetrics)"),
    "a number": (b"42", "no model call in it (csv); give a log with one request a line"),
    # tables
    "no head": (b"1,2,3\n4,5,6\n", "no column of times; name one of them timestamp"),
    "a row too short": (TABLE + b"1\n", "line 2: 1 of 3 cells"),
    "a quote left open": (TABLE + b'"1,2,3\n4,5,6\n', "quote a cell that holds a comma"),
    "American dates": (TABLE + b"01/02/2026 10:00 AM,5,1\n", "expected ISO time or seconds"),
    "a formula": (TABLE + b"=1+1,5,1\n", "timestamp is '=1+1', expected ISO time"),
    "colours of a terminal": (TABLE + b"\x1b[31m1\x1b[0m,5,1\n", "timestamp is '\\x1b[31m1"),
    "a time without end": (TABLE + b"1e999,5,1\n", "expected ISO time or seconds"),
    "tokens below zero": (TABLE + b"1,-5,2\n", "line 2: input_tokens is '-5', expected a whole number"),
    "half a token": (TABLE + b"1,5.5,2\n", "line 2: input_tokens is '5.5', expected a whole number"),
    "a day that is none": (b'1.2.3.4 - - [31/Feb/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5\n', "no date and time"),
    "a count that is none": (locust("5", "abc"), "line 3: Total Request Count is 'abc'"),
    "requests without end": (locust("0", "99999999999"), "line 3: over 10,000,000 requests; cut the file"),
    # spans and logs of calls
    "a start that is none": (
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [null, '
        b'{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "5"}}]}]}]}]}',
        "start time is None, expected ISO time",
    ),
    "tokens in words": (
        json_of(otlp(("t", "a", "", 0, 1, SPAN | {"gen_ai.usage.input_tokens": "many"}))),
        "gen_ai_usage_input_tokens is 'many', expected a whole number",
    ),
    "no generation": (json_of([LANGFUSE | {"type": "EVENT"}]), "spans need token usage to be one"),
    "no time": (json_of(LITELLM | {"startTime": None}), "startTime is None, expected ISO time"),
    "every request failed": (
        json_of(BEDROCK | {"errorCode": "ThrottlingException", "output": {}}), "give a log of answered requests",
    ),
    "two forms in one file": (json_of(BEDROCK) + b"\n" + json_of(LANGFUSE), "line 2: timestamp is None"),
    # blocks
    "the last line cut off": (json_of(MOONCAKE) + b'\n{"timestamp": 2, "inp', "line 2: no JSON; the file may be cut"),
    "a prompt of all tokens": (json_of(MOONCAKE | {"input_length": 4 * 10**18}), "tokens in one request; give a"),
    "hashes in words": (json_of(MOONCAKE | {"hash_ids": ["a"]}), "hash_ids are no list of whole numbers"),
    "blocks of nothing": (json_of(AGENTIC | {"block_size": 0}), "block_size is 0, expected the tokens of one block"),
    "before its session": (
        json_of(AGENTIC | {"requests": [{"t": -5, "in": 5, "out": 1}]}), "t is -5, expected seconds >= 0",
    ),
    "objects without end": (b'{"a":' * 200_000, "line 1: no JSON; the file may be cut off"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_one_line_says_what_is_there_and_what_to_change(tmp_path, name):
    content, words = BROKEN[name]
    path = tmp_path / "odd"
    path.write_bytes(content)
    with pytest.raises(PeakdayError) as caught:
        read_trace(path)
    message = str(caught.value)
    assert words in message
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 200


@pytest.mark.parametrize("command", [["scenario", "fit"], ["run", "smoke", "--dry-run", "--replay"]])
def test_both_commands_end_with_that_line(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd").write_bytes(BROKEN["a day that is none"][0])
    with pytest.raises(SystemExit) as ended:
        main([*command, "odd"])
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert out == ""
    assert [line for line in err.splitlines() if "no date and time" in line] == err.splitlines()


def test_a_span_that_ends_before_it_starts_is_counted(tmp_path):
    path = tmp_path / "trace.json"
    path.write_bytes(json_of(otlp(("t", "a", "", 9, 1, SPAN))))
    trace = read_trace(path)
    assert trace.sessions[0].calls[0].duration_s == 0.0
    assert any("1 rows end before they start" in line for line in trace.doubts)


@pytest.mark.parametrize(
    "text",
    [
        "timestamp;input_tokens\n2026-07-08T09:00:00Z;1,000\n",
        "timestamp,input_tokens\n2026-07-08T09:00:00Z,1.000\n",
        'timestamp,input_tokens\n2026-07-08T09:00:00Z,"1,000"\n',
    ],
    ids=["semicolons", "points", "quoted"],
)
def test_a_thousand_tokens_are_never_read_as_one(tmp_path, text):
    """Whoever groups digits is asked to write them without."""
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ScenarioError, match=r"line 2: input_tokens is .1[.,]000., expected a whole number"):
        read_replay(tmp_path / "t.csv")
