"""Step models from published means: derived, wide, and able to predict what they did not see."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from neuron_bench.fit.published import step_models
from neuron_bench.step_model import StepModel, read_step_model, write_step_model
from study.neuron_models import StepTimes, of_neuron_chips, points
from study.step_models import LLAMA_8B

CHIPS = ("inferentia2", "trainium1", "trainium2")


def of_gpus() -> list[StepModel]:
    return [model for (_, chip), model in step_models().items() if chip not in CHIPS]


def test_there_is_one_model_per_chip_with_load_tests() -> None:
    """Llama-3.1-8B on the three Neuron chips, all derived."""
    assert {chip for model, chip in step_models() if model == LLAMA_8B} >= set(CHIPS)
    assert {model.provenance for model in step_models().values()} == {"derived"}


@pytest.mark.parametrize("chip", CHIPS)
def test_what_is_shipped_is_what_the_study_makes(chip: str) -> None:
    """Within the digits that a solver of another version finds."""
    made, shipped = asdict(of_neuron_chips()[LLAMA_8B, chip]), asdict(step_models()[LLAMA_8B, chip])
    assert [bucket[name] for bucket in shipped["buckets"] for name in "abcde"] == pytest.approx(
        [bucket[name] for bucket in made["buckets"] for name in "abcde"], rel=1e-4, abs=1e-9
    )
    assert shipped["relative_error"] == pytest.approx(made["relative_error"], rel=1e-4)
    assert all(shipped[name] == made[name] for name in ("notes", "source", "validity"))


def test_gpus_have_an_8b_and_a_70b_class_model_where_public_data_carry_them() -> None:
    """H100 both; H200 and B200 the 70B alone: nobody published curves of an 8B on them."""
    chips: dict[str, set[str]] = {}
    for model in of_gpus():
        chips.setdefault(model.model_id, set()).add(model.chip)
    assert chips[LLAMA_8B] == {"h100-80gb sxm"}
    assert chips["meta-llama/Llama-3.1-70B"] == {"h100-80gb sxm", "h200-141gb sxm", "b200 sxm"}


def test_a_gpus_model_says_what_it_rests_on() -> None:
    """Points that the fit had not seen, the source with its commit and licence, and a replica's chips."""
    for model in of_gpus():
        assert len(model.hold_out) >= 2
        assert model.relative_error >= 0.07
        assert "Apache-2.0" in model.source
        assert model.chips_per_replica == model.tp
        assert "public load points" in " ".join(model.notes)


def test_a_replica_is_its_tensor_parallel_cores_over_logical_cores_per_chip() -> None:
    """TP8 is 4 chips of 2 cores; TP4 is one Trainium2 of 4 logical cores; and the rows count the same chips."""
    chips = {chip: step_models()[LLAMA_8B, chip].chips_per_replica for chip in CHIPS}
    assert chips == {"inferentia2": 4, "trainium1": 4, "trainium2": 1}
    for point in points():
        if "Llama-3.1-8B" in point.model and point.chip and point.chips and point.replicas:
            assert point.chips == chips[point.chip] * point.replicas


def test_conservation_of_engine_time() -> None:
    """At the highest rate, prefills and decode steps of full slots fill the second exactly."""
    fit = StepTimes(a=0.02, g=0.0002, s=0.2)
    rate = fit.rate_max_per_s(slots=32, output_tokens=236)
    decode_steps_per_s = rate * 236 / 32
    assert rate * fit.s + decode_steps_per_s * (fit.a + fit.g * 32) == pytest.approx(1)


@pytest.mark.parametrize("chip", CHIPS)
def test_held_out_figures_lie_within_the_stated_error(chip: str) -> None:
    """Every figure the fit never saw is predicted within one stated sigma."""
    model = step_models()[LLAMA_8B, chip]
    assert len(model.hold_out) >= 2
    assert max(abs(row.error_ratio) for row in model.hold_out) < model.relative_error


def test_stated_errors_are_wide() -> None:
    """Published means never claim better than 20%."""
    assert all(0.2 <= model.relative_error < 0.5 for model in step_models().values() if model.chip in CHIPS)


def test_the_validity_range_is_what_the_tests_covered() -> None:
    """1,500 tokens in, and never more decoding requests than were seen."""
    model = step_models()[LLAMA_8B, "trainium2"]
    assert model.validity["input_tokens"] == (1500, 1500)
    assert model.validity["decoding"][0] == 1
    assert 25 < model.validity["decoding"][1] < model.max_num_seqs


def test_anomalous_duplicates_are_named() -> None:
    """The host-sampling rows of inf2 and the warm-up TTFTs are listed with the reason."""
    notes = " ".join(step_models()[LLAMA_8B, "inferentia2"].notes)
    assert "[44, 45, 48, 49] not used" in notes
    assert "TTFT of lines [26] not used" in notes


def test_a_published_model_survives_its_file(tmp_path: Path) -> None:
    """Written and read back, it is the same."""
    model = step_models()[LLAMA_8B, "inferentia2"]
    path = write_step_model(model, tmp_path / "m.json")
    assert read_step_model(path) == model
    assert json.loads(path.read_text())["schema"] == "peakday.step_model/3"
