"""Which records a plan reads when it is told of none."""

from dataclasses import replace
from types import SimpleNamespace

from neuron_bench.fit.published import step_models
from neuron_bench.record import CaseRow, write_bench
from neuron_bench.step_model import write_step_model
from peakday.plan import plan as planning


def test_only_benches_that_a_step_model_was_fitted_from_become_inputs(monkeypatch, tmp_path):
    """A record that merely lies here is no input; one that is asked for is."""
    monkeypatch.chdir(tmp_path)
    for name in ("used", "idle"):
        (tmp_path / "benches" / name).mkdir(parents=True)
        (tmp_path / "benches" / name / "bench.json").write_text("{}")
    monkeypatch.setattr(planning, "load_bench", lambda path: path.name)
    monkeypatch.setattr(planning, "records", lambda kind: sorted((tmp_path / kind).iterdir()))
    monkeypatch.setattr(planning, "find_record", lambda kind, name: tmp_path / kind / name)
    fitted = [SimpleNamespace(inputs=("used",))]
    assert planning.choose_benches((), fitted) == ["used"]
    assert planning.choose_benches((), []) == []
    assert planning.choose_benches(("idle",), fitted) == ["idle"]


LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


class Heard:
    """Keeps what the console is told."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def written(tmp_path, model_id):
    model = replace(step_models()[LLAMA, "trainium2"], model_id=model_id, provenance="simulated")
    return write_step_model(model, tmp_path / "own.json")


def test_a_step_model_of_one_model_leaves_the_others_sized(tmp_path):
    """Published figures stand for every model that no file is of."""
    chosen = planning.choose_step_models([written(tmp_path, "planner")], [], Heard())
    assert [model.model_id for model in chosen].count("planner") == 1
    assert sum(model.model_id == LLAMA for model in chosen) == sum(name == LLAMA for name, _ in step_models())


def test_a_step_model_takes_the_place_of_the_published_one_of_its_chip(tmp_path):
    """Under any of its names: custom-8b is measured as Llama 3.1 8B. Other chips stay to be compared with."""
    model, *others = planning.choose_step_models([written(tmp_path, "custom-8b")], [], Heard())
    assert (model.provenance, model.chip) == ("simulated", "trainium2")
    chips = {other.chip for other in others if other.model_id == LLAMA}
    assert chips == {chip for name, chip in step_models() if name == LLAMA} - {"trainium2"} != set()


def bench_of(tmp_path, flags):
    rows = [
        CaseRow(
            record_id=f"{phase}-{size}", phase=phase, method="endpoint", provenance="measured", model_id=LLAMA,
            device_kind="neuron", chip="trainium2", chips_used=1.0, tp=4, batch=1 if phase == "prefill" else size,
            input_tokens=size, context_tokens=512.0, wall_s_p50=0.01 + size * 1e-4, n_samples=100, flags=flags,
        )
        for phase, size in [*(("prefill", n) for n in (64, 256, 1024, 4096)), *(("decode", n) for n in (1, 4, 8, 16))]
    ]  # fmt: skip
    return write_bench(tmp_path / "bench", {"engine": "vllm"}, rows)


def test_a_full_bench_gives_a_plan_its_step_times(tmp_path):
    """Held to what it measured: 16 requests at once, prompts of 4,096 tokens."""
    heard = Heard()
    model, *_ = planning.choose_step_models([], [str(bench_of(tmp_path, ""))], heard)
    assert (model.max_num_seqs, model.max_batched_tokens, model.chips_per_replica) == (16, 4096, 1.0)
    assert heard.lines == [f"step times of {LLAMA} on trainium2 from bench bench"]


def test_a_bench_that_gives_no_step_times_says_why_in_one_line(tmp_path):
    """A quick suite is not for plans; published figures stay."""
    heard = Heard()
    chosen = planning.choose_step_models([], [str(bench_of(tmp_path, "quick"))], heard)
    assert len(chosen) == len(step_models())
    assert heard.lines[0] == (
        "bench gives no step times, only start-up times: bench: a quick suite is not for plans: run the suite `full`"
    )
