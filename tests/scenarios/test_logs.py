"""Logs as people have them: columns by synonym, units by plausibility, formats by content; what is doubtful is said."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.errors import PeakdayError
from scenarios.columns import find_columns, plain
from scenarios.traces.arrivals import read_replay
from scenarios.traces.detection import detect, rows


def log(tmp_path, text, name="log.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(tmp_path, text, name="log.csv"):
    """Offsets, prompt and answer tokens, and warnings without the file's name."""
    path = log(tmp_path, text, name)
    replay = read_replay(path)
    lengths = [None if part is None else part.tolist() for part in (replay.input_tokens, replay.output_tokens)]
    return replay.offset_s.round(6).tolist(), *lengths, [line.removeprefix(f"{path}: ") for line in replay.warnings]


@pytest.mark.parametrize(
    "header",
    [
        "timestamp,input_tokens,output_tokens", "TIMESTAMP,ContextTokens,GeneratedTokens",
        "timestamp,prompt_tokens,completion_tokens", "Timestamp,Request tokens,Response tokens",
        "startTime,prompt_tokens,completion_tokens", "arrived_at,num_prefill_tokens,num_decode_tokens",
        "time,input_length,output_length", "Created At, Input Tokens, Output Tokens", "ts,tokens_in,tokens_out",
        "start_time;promptTokens;completionTokens", "timestamp\tinput_len\toutput_len", "arrival_s,isl,osl",
    ],
)  # fmt: skip
def test_columns_are_known_by_every_usual_name(tmp_path, header):
    """Azure, OpenAI, BurstGPT, LiteLLM, vLLM: no length is dropped."""
    separator = next(mark for mark in ";\t," if mark in header)
    table = f"{header}\n" + "".join(f"{separator.join(row)}\n" for row in (("0.0", "20", "5"), ("0.5", "21", "6")))
    assert read(tmp_path, table) == ([0.0, 0.5], [20, 21], [5, 6], [])


def test_names_are_compared_without_case_spaces_and_signs():
    assert {plain(name) for name in ("RequestTokens", "Request tokens", "request-tokens", " request_tokens ")} == {
        "request_tokens"
    }
    assert find_columns(["a", "b"]) is None


@pytest.mark.parametrize(
    ("times", "warnings"),
    [
        (("1732800000000", "1732800000500"), ["times are read as milliseconds"]),
        (("1732800000000000", "1732800000500000"), ["times are read as microseconds"]),
        (("1732800000000000000", "1732800000500000000"), ["times are read as nanoseconds"]),
        (("1732800000", "1732800000.5"), []),
        (("2024-05-10 00:00:00.000000+00:00", "2024-05-10 00:00:00.500000+00:00"), []),
        (("2024-05-10T00:00:00", "2024-05-10T00:00:00.500"), ["times without a zone are read as UTC"]),
    ],
)
def test_the_unit_of_times_is_found_and_said(tmp_path, times, warnings):
    assert read(tmp_path, f"timestamp\n{times[0]}\n{times[1]}\n") == ([0.0, 0.5], None, None, [*warnings, NO_LENGTHS])


NO_LENGTHS = "no column of prompt and answer lengths; the scenario's assumed lengths are used"


@pytest.mark.parametrize(("unit", "factor"), [("ms", 1e3), ("us", 1e6), ("ns", 1e9), ("seconds", 1)])
def test_a_unit_in_the_columns_name_is_used(tmp_path, unit, factor):
    table = f"timestamp_{unit},input_tokens,output_tokens\n0,1,1\n{int(2 * factor)},1,1\n"
    assert read(tmp_path, table)[0] == [0.0, 2.0]


def test_lengths_under_an_unknown_name_are_named(tmp_path):
    """Nothing is dropped in silence."""
    warnings = read(tmp_path, "timestamp,input_tokens,reply_token_number\n0,1,2\n1,1,2\n")[3]
    assert warnings == [
        "no column of answer lengths (reply_token_number: name it input_tokens or output_tokens); "
        "the scenario's assumed lengths are used"
    ]


def test_a_local_clock_goes_on_through_the_end_of_summer_time(tmp_path):
    """Four requests a second apart stay a second apart."""
    table = "timestamp\n2026-11-01 01:59:58\n2026-11-01 01:59:59\n2026-11-01 01:00:00\n2026-11-01 01:00:01\n"
    offsets, _, _, warnings = read(tmp_path, table)
    assert offsets == [0.0, 1.0, 2.0, 3.0]
    assert "step back by an hour at line 4" in warnings[0]


def test_a_step_back_with_a_zone_is_disorder(tmp_path):
    table = "timestamp\n2026-11-01T01:59:59Z\n2026-11-01T01:00:00Z\n"
    offsets, _, _, warnings = read(tmp_path, table)
    assert offsets == [0.0, 3599.0]
    assert "sorted by time" in warnings[0]


def test_rows_without_tokens_are_counted_and_asked_with_one(tmp_path):
    """A request that failed in the log had no answer; a request for zero tokens is none that a server takes."""
    table = "timestamp,input_tokens,output_tokens\n0,20,5\n1,21,0\n2,22,\n"
    _, inputs, outputs, warnings = read(tmp_path, table)
    assert (inputs, outputs) == ([20, 21, 22], [5, 1, 1])
    assert warnings == ["2 of 3 rows have no answer tokens (failed, or not counted); taken as 1"]


def test_a_clock_of_another_unit_is_questioned(tmp_path):
    """Offsets of minutes between requests may be milliseconds, thousands within one may be seconds."""
    slow = "timestamp\n" + "".join(f"{k * 500}\n" for k in range(10))
    assert "if its times are milliseconds, name the column timestamp_ms" in read(tmp_path, slow)[3][0]
    quick = "timestamp_ms\n" + "".join(f"{k / 50}\n" for k in range(10))
    assert "if its times are seconds, name the column timestamp_s" in read(tmp_path, quick)[3][0]


def test_the_length_of_a_file_closes_its_last_gap(tmp_path):
    assert read_replay(log(tmp_path, "timestamp\n" + "".join(f"{k / 2}\n" for k in range(120)))).length_s == 60.0
    assert read_replay(log(tmp_path, "timestamp\n5\n")).length_s == 1.0


def test_a_packed_file_needs_no_name_that_says_so(tmp_path):
    assert read(tmp_path, gzip.compress(b"timestamp\n0\n1\n"))[0] == [0.0, 1.0]


def test_of_k6s_metrics_only_requests_are_arrivals(tmp_path):
    table = "metric_name,timestamp,metric_value\nhttp_reqs,1700000000,1\nhttp_req_duration,1700000000,250\n"
    table += "http_reqs,1700000002,1\nvus,1700000002,5\n"
    assert read(tmp_path, table)[0] == [0.0, 2.0]


def test_an_access_log_gives_arrivals(tmp_path):
    line = '1.2.3.4 - bob [10/Oct/2025:13:55:{:02d} -0700] "GET /chat HTTP/1.1" 200 23 "-" "curl"\n'
    path = log(tmp_path, line.format(36) + line.format(38), "access.log")
    assert detect(path) == "access_log"
    assert read_replay(path).offset_s.tolist() == [0.0, 2.0]


SPANS = [
    ("chat", "1700000000000000000", {"gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 3}),
    ("tool", "1700000000500000000", {"tool.name": "search"}),
    ("chat", "1700000001000000000", {"gen_ai.usage.prompt_tokens": 40, "gen_ai.usage.completion_tokens": 9}),
]


def otlp_batch(spans):
    encoded = [
        {
            "traceId": "a", "spanId": str(k), "name": name, "startTimeUnixNano": start,
            "attributes": [{"key": key, "value": {"intValue": str(value)}} for key, value in attributes.items()],
        }
        for k, (name, start, attributes) in enumerate(spans)
    ]  # fmt: skip
    return {"resourceSpans": [{"scopeSpans": [{"spans": encoded}]}]}


@pytest.mark.parametrize("form", ["document", "lines", "pretty"])
def test_otlp_spans_that_used_tokens_are_requests(tmp_path, form):
    """Under the old and the new names; tool spans are parts of a request."""
    if form == "lines":
        text = "".join(json.dumps(otlp_batch([span])) + "\n" for span in SPANS)
    else:
        text = json.dumps(otlp_batch(SPANS), indent=1 if form == "pretty" else None)
    assert read(tmp_path, text, "spans.json") == ([0.0, 1.0], [12, 40], [3, 9], [])


@pytest.mark.parametrize(
    "record",
    [
        {"startTime": "2026-01-01T00:00:{:02d}Z", "prompt_tokens": 20, "completion_tokens": 5, "spend": 0.1},
        {"timestamp": "2026-01-01T00:00:{:02d}Z", "modelId": "x", "input": {"inputTokenCount": 20},
         "output": {"outputTokenCount": 5}},
        {"trace_id": "a", "start_time": "2026-01-01T00:00:{:02d}Z",
         "attributes": {"llm.token_count.prompt": 20, "llm.token_count.completion": 5}},
        {"ts": "2026-01-01T00:00:{:02d}Z", "usage": {"prompt_tokens": 20, "completion_tokens": 5}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("as_list", [False, True])
def test_records_are_read_flat_or_nested_by_line_or_as_a_list(tmp_path, record, as_list):
    """LiteLLM spend logs, Bedrock invocation logs, Phoenix spans, OpenAI usage."""
    texts = [json.dumps(record).replace("{:02d}", f"{k:02d}") for k in (0, 2)]
    text = f"[{','.join(texts)}]" if as_list else "\n".join(texts) + "\n"
    assert read(tmp_path, text, "log.json") == ([0.0, 2.0], [20, 20], [5, 5], [])


def test_sub_agents_of_an_agentic_session_are_its_requests_under_their_own_path(tmp_path):
    inner = {"id": "sub", "requests": [{"t": 1, "in": 64, "out": 2, "hash_ids": [7]}]}
    session = {"id": "s", "block_size": 64, "requests": [{"t": 0, "in": 64, "out": 1, "hash_ids": [1]}, inner]}
    path = log(tmp_path, json.dumps(session) + "\n", "sessions.jsonl")
    assert [(row.session, row.agent, row.block_ids) for row in rows(path)] == [("s", "", (1,)), ("s", "/sub", (7,))]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"timestamp": 1, "input_length": true, "output_length": 1}\n', "input_length is True"),
        ('{"timestamp": true, "prompt_tokens": 1}\n', "expected ISO time"),
        ('{"a": {"b": [1]}}\n', "JSON of no known form"),
        ("[]", "no known form"),
        ("[1, 2]", "no known form"),
        ('{"a": 1', "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": []}]}]}]}', "no rows"),
        ('{"id": 1, "block_size": 64, "requests": [{"in": "x", "out": 1}]}\n', "in is 'x'"),
        ("timestamp,input_tokens\n0,9e99\n", "expected a whole number"),
        ("timestamp\n1e400\n", "expected ISO time or seconds"),
    ],
)
def test_a_foreign_file_is_one_line(tmp_path, text, problem):
    with pytest.raises(PeakdayError) as caught:
        read(tmp_path, text)
    assert problem in str(caught.value)


@given(
    text=st.text(max_size=120)
    | st.from_regex(r'(\{"timestamp": .{0,20}\}\n){1,3}|(time,tokens\n)(.{0,10},.{0,10}\n){0,4}')
)
def test_any_text_is_a_log_or_one_line(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("logs") / "log"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        read_replay(path)
    except PeakdayError as error:
        line = str(error)
    else:
        line = ""
    assert "\n" not in line
