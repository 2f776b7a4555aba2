"""Targets of other people: four shapes by mapping, one by module, and Bedrock by its own wire."""

from __future__ import annotations

import importlib.util
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.bedrock.eventstream_encoder import event, exception, with_bad_crc
from loadgen.job import LoadError, LoadJob, TargetSpec
from loadgen.run import run_load
from loadgen.targets.inspection import ask_mapped
from loadgen.targets.mapping import at, fill, load_mapping, target_specs
from tests.loadgen.server import STREAM_END, STREAM_HEAD, chunk, response, serving
from tests.loadgen.worker_runs import play
from wire.sigv4 import Credentials

EXAMPLES = Path(__file__).parents[2] / "examples" / "targets"


@pytest.fixture(scope="module")
def assistant_url():
    """The example server, on a free port."""
    spec = importlib.util.spec_from_file_location("example_server", EXAMPLES / "server.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    server = module.Server(("127.0.0.1", 0), module.Assistant)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("name", "chunks", "usage"),
    [("sse", 4, {"output_tokens": 4, "input_tokens": 7}), ("ndjson", 4, {"output_tokens": 4}),
     ("responses", 4, {"output_tokens": 4, "cache_read_tokens": 2}), ("json", 1, {"output_tokens": 4})],
)  # fmt: skip
def test_each_example_mapping_reads_its_shape(make_job, assistant_url, name, chunks, usage):
    """Text, end, usage and conversation are recognised in every shape, turn after turn."""
    (spec,) = target_specs(EXAMPLES / f"{name}.yaml")
    run, final = play(make_job(replace(spec, url=f"{assistant_url}/{name}")))
    assert final["faults"] == []
    assert set(run.turns["status"]) == {"ok"}
    assert set(run.turns["chunks"]) == {chunks}
    assert (run.turns["ttft_s"] >= 0.01).all()
    for column, value in usage.items():
        assert set(run.calls[column]) == {value}


def test_a_module_target_reads_what_no_mapping_can(make_job, assistant_url):
    """The user's own class builds requests and reads answers."""
    module = f"{EXAMPLES / 'lines_target.py'}:Target"
    run, final = play(make_job(TargetSpec("module", assistant_url, module=module)))
    assert final["faults"] == []
    assert set(run.turns["status"]) == {"ok"}
    assert set(run.turns["chunks"]) == {4}


@pytest.mark.parametrize("name", ["sse", "ndjson", "responses", "json"])
def test_asking_shows_what_a_mapping_recognised(assistant_url, name):
    """Every piece with its time; text and end are found, in order."""
    (spec,) = target_specs(EXAMPLES / f"{name}.yaml")
    asked, *pieces = ask_mapped(replace(spec, url=f"{assistant_url}/{name}"), "when does it ship?")
    assert b"when does it ship?" in asked.data
    signals = [signal for piece in pieces for signal in piece.recognised]
    assert "".join(signal.value for signal in signals if signal.kind == "text") == "It ships on Friday."
    assert [signal.kind for signal in signals][-1] == "end"
    assert [piece.at_s for piece in pieces] == sorted(piece.at_s for piece in pieces)


@pytest.mark.usefixtures("hourly")
def test_a_stream_that_only_stays_alive_is_given_up():
    """Comments are no end."""
    beats = [(0.0, STREAM_HEAD), *[(0.01, chunk(b": ping\n\n"))] * 20]
    mapping = {"format": "sse", "body": {}, "text": {"path": "t"}, "end": {"data": "[DONE]"}}
    with serving(lambda *_: beats) as server, pytest.raises(LoadError, match="no end within 1e\\+04 s"):
        list(ask_mapped(TargetSpec("http", server.url, mapping=mapping), "hello", within_s=10_000.0))


def test_asking_with_the_wrong_format_says_so(assistant_url):
    """A mapping that does not fit is one clear line."""
    (spec,) = target_specs(EXAMPLES / "ndjson.yaml")
    with pytest.raises(LoadError, match="does not fit the answer"):
        list(ask_mapped(replace(spec, url=f"{assistant_url}/sse"), "hello"))
    with pytest.raises(LoadError, match="status 403"):
        list(ask_mapped(replace(spec, url=f"{assistant_url}/nothing"), "hello"))


def test_secrets_are_read_in_the_worker_and_reach_no_file(make_job, assistant_url, tmp_path, monkeypatch):
    """`${ENV}` stands unread in the job; the record never holds its value."""
    monkeypatch.setenv("SHOP_TOKEN", "s3cret-value")
    file = tmp_path / "mapping.yaml"
    file.write_text((EXAMPLES / "json.yaml").read_text() + 'headers: {Authorization: "Bearer ${SHOP_TOKEN}"}\n')
    (spec,) = target_specs(file)
    job = make_job(replace(spec, url=f"{assistant_url}/json"))
    play(job)
    job.write(job.folder / "job.json")
    written = b"".join(path.read_bytes() for path in job.folder.rglob("*") if path.is_file())
    assert b"${SHOP_TOKEN}" in written
    assert b"s3cret-value" not in written


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("format: smoke-signals", "format is 'smoke-signals'"),
        ("txet: {path: a}", "unknown key 'txet'"),
        ("text: [a]", "text: expected a mapping"),
        ("customers: nobody.csv", "no such file"),
        ('headers: {A: "${PEAKDAY_NO_SUCH_VARIABLE}"}', "PEAKDAY_NO_SUCH_VARIABLE is not set"),
        ("headers: {Authorization: Bearer abc}", r"headers.Authorization: a value written here would be recorded"),
        ("headers: {X-Api-Key: abc}", r"headers.X-Api-Key: .*write \$\{NAME\}"),
        ("headers: {cookie: sid=abc}", r"headers.cookie: "),
    ],
)
def test_a_bad_mapping_is_one_clear_line(tmp_path, change, message):
    """File, key and reason."""
    file = tmp_path / "mapping.yaml"
    lines = [line for line in (EXAMPLES / "json.yaml").read_text().splitlines() if not line.startswith(change[:5])]
    file.write_text("\n".join([*lines, change]) + "\n")
    with pytest.raises(LoadError, match=message) as error:
        load_mapping(file)
    assert "\n" not in str(error.value)


def test_a_urls_query_is_sent_and_not_recorded(make_job, tmp_path):
    """It may hold a key: requests carry it, and no file of the record does."""
    file = tmp_path / "mapping.yaml"
    file.write_text((EXAMPLES / "json.yaml").read_text().replace("/json", "/json?code=s3cret"))
    (spec,) = target_specs(file)
    with serving(lambda *_: [(0.0, response(b"{}"))]) as server:
        job = make_job(replace(spec, url=f"{server.url}/json?code=s3cret"))
        outcome = run_load(job)
    assert {path for path, *_ in server.requests} == {"/json?code=s3cret"}
    assert outcome.info.targets[0].url == f"{server.url}/json"
    assert b"s3cret" not in b"".join(path.read_bytes() for path in job.folder.rglob("*") if path.is_file())
    assert LoadJob.read(job.folder / "job.json").targets[0].url == f"{server.url}/json"


def test_one_url_per_region(tmp_path):
    """A mapping may name a URL for each region."""
    file = tmp_path / "mapping.yaml"
    text = (EXAMPLES / "json.yaml").read_text()
    file.write_text(
        text.replace("url: http://127.0.0.1:8099/json", "url: {a: http://127.0.0.1:1/, b: http://127.0.0.1:2/}")
    )
    assert [(spec.region, spec.url) for spec in target_specs(file)] == [
        ("a", "http://127.0.0.1:1/"),
        ("b", "http://127.0.0.1:2/"),
    ]


def test_templates_keep_types_and_drop_what_is_unknown():
    """A field alone keeps its type; one without a value takes its key away."""
    template = {"n": "{turn_index}", "say": "hi {customer.name}!", "c": "{conversation_id}", "list": ["{message}"]}
    fields = {"turn_index": 2, "customer.name": "ada", "conversation_id": None, "message": "m"}
    assert fill(template, fields) == {"n": 2, "say": "hi ada!", "list": ["m"]}


def test_paths_reach_into_lists():
    """Dotted paths, with positions in lists."""
    assert at({"a": [{"b": 1}]}, "a.0.b") == 1
    assert at({"a": [{"b": 1}]}, "a.3.b") is None


def converse_frames() -> list[bytes]:
    """A whole Converse stream."""
    return [
        event("messageStart", b'{"role":"assistant"}'),
        *[event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":" w"}}')] * 3,
        event("messageStop", b'{"stopReason":"end_turn"}'),
        event("metadata", b'{"usage":{"inputTokens":100,"outputTokens":3,"cacheReadInputTokens":50}}'),
    ]


def converse(frames: list[bytes]):
    return [(0.0, STREAM_HEAD), *[(0.0, chunk(data)) for data in frames], (0.0, STREAM_END)]


MODEL = "us.amazon.nova-pro-v1:0"


def test_a_converse_stream_is_timed_priced_and_signed(make_job):
    """Deltas are content, usage is read and priced, the request is signed for its region."""
    with serving(lambda *_: converse(converse_frames())) as server:
        run, final = play(make_job(TargetSpec("bedrock", server.url, region="us-east-1", model=MODEL)))
    assert final["faults"] == []
    assert set(run.turns["status"]) == {"ok"}
    assert set(run.turns["chunks"]) == {3}
    assert set(run.calls["cache_read_tokens"]) == {50}
    assert (run.turns["cost_usd"] > 0).all()
    path, headers, _ = server.requests[0]
    assert path == "/model/us.amazon.nova-pro-v1%3A0/converse-stream"
    assert "/us-east-1/bedrock/aws4_request" in headers["authorization"]


@pytest.mark.parametrize(
    ("frames", "status", "code"),
    [
        ([*converse_frames()[:2], exception("throttlingException", "slow")], "throttled", "throttlingException"),
        (converse_frames()[:3], "stream_error", "no_stop"),
        ([with_bad_crc(converse_frames()[0])], "stream_error", "malformed"),
    ],
)  # fmt: skip
def test_a_broken_converse_stream_ends_its_turn_and_not_the_run(make_job, frames, status, code):
    """Exceptions inside a stream, a cut stream and a bad checksum are the target's; none voids the run."""
    with serving(lambda *_: converse(frames)) as server:
        run, final = play(make_job(TargetSpec("bedrock", server.url, region="us-east-1", model=MODEL)))
    assert final["faults"] == []
    assert set(zip(run.turns["status"], run.turns["error_code"], strict=True)) == {(status, code)}


def test_the_local_stand_ins_refusal_is_read(make_job):
    """A ThrottlingException before the stream is a throttled turn."""
    refusal = response(b'{"message":"slow down"}', "429 Too Many Requests", "x-amzn-errortype: ThrottlingException\r\n")
    with serving(lambda *_: [(0.0, refusal)]) as server:
        run, _ = play(make_job(TargetSpec("bedrock", server.url, region="us-east-1", model=MODEL)))
    assert set(run.turns["status"]) == {"throttled"}


def test_credentials_show_nothing():
    """Neither a log nor a traceback can print a key."""
    assert "AKIA" not in repr(Credentials("AKIA", "secret", None))
