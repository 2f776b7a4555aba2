"""Every record and log that may come from another machine: whatever it holds, values or one line; never a traceback."""

import dataclasses
import json
import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.quality.sample_buffer import read_samples
from assistant.router.evaluate import read_csv
from capacity.caching.replay import read_prompts
from capacity.calibration.prediction import Predicted, Prediction, read_prediction
from capacity.plan import load_plan, write_plan
from emulator.language.conversations import read_conversations
from facts.stack import StackFile, read_stack, stack_json
from host.errors import Exit, PeakdayError
from loadgen.job import LoadJob, TargetSpec
from loadgen.record import load_run
from neuron_bench.importers.files import import_file
from neuron_bench.models.presets import shape_of
from neuron_bench.record import load_bench
from neuron_bench.step_model import read_step_model, write_step_model
from peakday.account.invocation_log import read_logs
from peakday.cli import main
from peakday.gate.regression.noise import read_noise
from scenarios.questions import read_questions
from tests.capacity.models import step_model
from tests.dashboards.conftest import bench, run  # noqa: F401  fixtures
from tests.dashboards.plans import make_plan
from tests.test_bad_files import CONTENTS, VALUES

EXAMPLES = int(os.environ.get("PEAKDAY_BAD_FILES", "3"))
FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

CONFIG = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100,
    "num_key_value_heads": 2, "intermediate_size": 128, "head_dim": 16, "max_position_embeddings": 64,
    "torch_dtype": "bfloat16",
}  # fmt: skip
ANSWER = {"rounds": [[{"tool": "recall", "input": {"a": 1}}]], "answer_tokens": 5, "label": "a b", "says": "a"}
ANSWERS = {"schema": "peakday.conversations/1", "default": ANSWER, "answers": {"hi": ANSWER}}
CONVERSE = {
    "schemaType": "ModelInvocationLog", "timestamp": "2026-11-23T12:00:00Z", "modelId": "us.amazon.nova-pro-v1:0",
    "region": "us-east-1", "operation": "Converse", "requestId": "a",
    "input": {"inputTokenCount": 5, "cacheReadInputTokenCount": 1},
    "output": {"outputTokenCount": 5, "outputBodyJson": {"metrics": {"latencyMs": 5}}},
}  # fmt: skip
AIPERF = {
    "request_count": {"avg": 10.0},
    "request_throughput": {"avg": 2.0}, "request_latency": {"avg": 9.0, "unit": "ms"},
    "time_to_first_token": {"avg": 5.0, "p50": 5.0, "unit": "ms"},
    "input_config": {"endpoint": {"model_names": ["m"]}, "loadgen": {"concurrency": 4}},
}  # fmt: skip
VLLM = {
    "date": "20261123-120000", "model_id": "m",
    "num_prompts": 10, "completed": 10, "duration": 5.0, "mean_ttft_ms": 5.0,
    "total_input_tokens": 50, "total_output_tokens": 100, "request_throughput": 2.0, "output_throughput": 20.0,
    "mean_tpot_ms": 5.0, "max_concurrency": 4, "p99_ttft_ms": 6.0,
}  # fmt: skip


_TEXTS = ("message", "context", "answer")


def documents():
    """Name -> (reader of a path, a whole document of its kind)."""
    figure = Predicted("ttft_s_p50", 0.1, 0.05, 0.2)
    prediction = Prediction("step", "2026-11-23T10:00:00+00:00", "m", "0", "a.csv", "1", 400, 9.0, (figure,))
    job = LoadJob(
        scenario={"name": "x", "load": {"drain_s": 1.0}}, targets=(TargetSpec("assistant", "http://127.0.0.1:1"),),
        messages="m.json", rate_per_s=1.0, for_s=1.0, run_dir="r", run_id="r", scenario_hash="h", seed=1,
    )  # fmt: skip
    return {
        "prediction": (read_prediction, {"schema": "peakday.prediction/1", **dataclasses.asdict(prediction)}),
        "job": (LoadJob.read, {"schema": "peakday.load-job/2", **dataclasses.asdict(job)}),
        "stack": (read_stack, json.loads(stack_json(StackFile()))),
        "conversations": (read_conversations, ANSWERS),
        "noise": (read_noise, {"schema": "peakday.noise/1", "sessions": [{"runs": [{"ttft_s_p50": 0.1}]}]}),
        "config": (lambda path: shape_of(str(path)), CONFIG),
        "sample buffer": (read_samples, dict.fromkeys(("trace_id", "model", "intent", "complexity", *_TEXTS), "a")),
        "questions": (read_questions, {"messages": [{"role": "user", "content": "a"}], "weight": 1, "max_tokens": 5}),
        "prompts": (read_prompts, {"timestamp": 5, "input_length": 512, "output_length": 5, "hash_ids": [1, 2]}),
        "log": (lambda path: read_logs([path]), CONVERSE),
        "aiperf": (lambda path: import_file(path, path.parent / "bench"), AIPERF),
        "vllm": (lambda path: import_file(path, path.parent / "bench"), VLLM),
        "route": (read_csv, {"text": "a", "label": "deals"}),
    }


DOCUMENTS = documents()
OTHER = st.sampled_from([None, -1, 0, 1.5, 2**70, 1e308, "", "x", [], {}, [1], {"a": 1}, True, "\ud800"]) | VALUES


def with_one_changed(draw, value):
    """The value with one part of it replaced, removed or doubled, at any depth."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 6)):
            return {name: part for name, part in value.items() if name != key}
        return {**value, key: with_one_changed(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], with_one_changed(draw, value[index]), *value[index + 1 :]]
    return draw(OTHER)


@st.composite
def damaged(draw, document):
    """A document with one to three parts changed, as bytes; at times cut off,
    or with bytes in it that are no text."""
    for _ in range(draw(st.integers(1, 3))):
        document = with_one_changed(draw, document)
    content = json.dumps(document).encode() + b"\n"
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return content[: draw(st.integers(0, len(content)))]
    if kind == 1:
        place = draw(st.integers(0, len(content)))
        return content[:place] + draw(st.binary(max_size=4)) + content[place:]
    return content


def line_of(read, *arguments):
    """The one line of a refusal; nothing where values came."""
    try:
        read(*arguments)
    except PeakdayError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", sorted(set(DOCUMENTS) - {"route"}))
def test_a_whole_document_is_read(tmp_path, kind):
    """What is damaged below is right to begin with."""
    read, document = DOCUMENTS[kind]
    (tmp_path / "file.json").write_text(json.dumps(document) + "\n")
    assert read(tmp_path / "file.json")


@pytest.mark.parametrize("kind", DOCUMENTS)
@given(data=st.data())
@FUZZ
def test_a_damaged_document_is_values_or_one_line(tmp_path_factory, kind, data):
    read, document = DOCUMENTS[kind]
    path = tmp_path_factory.mktemp("bad") / "file.json"
    path.write_bytes(data.draw(damaged(document)))
    assert "\n" not in line_of(read, path)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_that_lacks_a_key_is_values_or_one_line(tmp_path, kind):
    """Each key in turn: chance alone rarely takes just one away."""
    read, document = DOCUMENTS[kind]
    path = tmp_path / "file.json"
    for lacking in document:
        path.write_text(json.dumps({key: value for key, value in document.items() if key != lacking}))
        assert "\n" not in line_of(read, path)


@pytest.mark.parametrize("kind", DOCUMENTS)
@given(content=CONTENTS)
@FUZZ
def test_any_file_in_the_place_of_a_record_is_values_or_one_line(tmp_path_factory, kind, content):
    path = tmp_path_factory.mktemp("bad") / "file.json"
    path.write_bytes(content)
    assert "\n" not in line_of(DOCUMENTS[kind][0], path)


@pytest.fixture(scope="session")
def records(tmp_path_factory, run, bench):  # noqa: F811
    """Records and a step model: name -> (reader of a folder, its folder, the file that is damaged)."""
    plans, models = tmp_path_factory.mktemp("plans"), tmp_path_factory.mktemp("models")
    write_plan(make_plan(), plans)
    write_step_model(step_model(), models / "m.json")
    return {
        "run": (load_run, run.path, "run.json"),
        "bench": (load_bench, bench.path, "bench.json"),
        "plan": (load_plan, plans, "plan.json"),
        "step model": (lambda folder: read_step_model(folder / "m.json"), models, "m.json"),
    }


@pytest.mark.parametrize("kind", ["run", "bench", "plan", "step model"])
@given(data=st.data())
@FUZZ
def test_a_damaged_record_is_values_or_one_line(tmp_path_factory, records, kind, data):
    read, folder, name = records[kind]
    copy = tmp_path_factory.mktemp("bad") / "record"
    shutil.copytree(folder, copy, copy_function=os.link)
    content = data.draw(damaged(json.loads((folder / name).read_text())))
    (copy / name).unlink()
    (copy / name).write_bytes(content)
    assert "\n" not in line_of(read, copy)


@pytest.mark.parametrize(("kind", "table"), [("run", "turns-0-0000.parquet"), ("bench", "cases.parquet")])
@given(data=st.data())
@FUZZ
def test_a_damaged_table_is_values_or_one_line(tmp_path_factory, records, kind, table, data):
    """Cut anywhere, or with bytes changed anywhere."""
    read, folder, _ = records[kind]
    copy = tmp_path_factory.mktemp("bad") / "record"
    shutil.copytree(folder, copy, copy_function=os.link)
    content = bytearray((folder / table).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    (copy / table).unlink()
    (copy / table).write_bytes(content)
    assert "\n" not in line_of(read, copy)


VERBS = {
    "run": [
        ["report", "record"], ["export", "csv", "record"], ["export", "xlsx", "record"],
        ["export", "prometheus", "record"],
        ["compare", "record", "record"], ["list"], ["assistant", "quality", "record"],
    ],
    "bench": [
        ["report", "record"], ["export", "csv", "record"], ["bench", "report", "record"],
        ["compare", "record", "record"],
        ["export", "llmd-report", "record"], ["list"],
    ],
    "plan": [
        ["report", "record"], ["export", "csv", "record"], ["export", "xlsx", "record"],
        ["export", "prometheus", "record"],
        ["compare", "record", "record"], ["why", "record", "event_cost_usd"], ["list"],
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", VERBS)
@given(data=st.data())
@settings(max_examples=max(EXAMPLES // 5, 2), deadline=None, suppress_health_check=list(HealthCheck))
def test_every_verb_on_a_damaged_record_ends_with_a_code_of_ours(
    tmp_path_factory, monkeypatch, capsys, records, kind, data
):
    """What loads may still hold nonsense: a number far out, an empty list, a name that is none."""
    _, folder, name = records[kind]
    work = tmp_path_factory.mktemp("bad")
    monkeypatch.chdir(work)
    shutil.copytree(folder, work / "record", copy_function=os.link)
    (work / "record" / name).unlink()
    (work / "record" / name).write_bytes(data.draw(damaged(json.loads((folder / name).read_text()))))
    words = data.draw(st.sampled_from(VERBS[kind]))
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code in set(Exit), words
    assert "Traceback" not in capsys.readouterr().err, words
    assert not list(work.rglob("*.part")), words
