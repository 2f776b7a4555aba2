"""Shapes: parameter counts of presets are those of the models they copy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from neuron_bench.errors import BenchUsageError
from neuron_bench.models.presets import PRESETS, shape_of
from neuron_bench.models.shapes import DecoderShape, Shape, shape_json

LLAMA_8B_CONFIG = {
    "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 131072,
}  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "params"),
    [
        ("llama-3.1-8b", 8_030_261_248),  # the model cards' safetensors totals
        ("llama-3.1-70b", 70_553_706_496),
        ("planner-1b", 1_235_814_400),  # Llama-3.2-1B
        ("embedder", 22_713_216),  # all-MiniLM-L6-v2
    ],
)
def test_a_preset_has_the_exact_parameter_count(preset: str, params: int) -> None:
    """Counted from its shape, it is the public model's own count."""
    assert PRESETS[preset].params == params


def test_a_classifier_adds_its_head() -> None:
    """19 intents on 384 numbers and a bias each."""
    assert PRESETS["router-encoder"].params - PRESETS["embedder"].params == 19 * 385


def test_a_config_json_gives_its_shape(tmp_path: Path) -> None:
    """A user's Llama-shaped config, as a file or as its folder."""
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_8B_CONFIG))
    for where in (tmp_path, tmp_path / "config.json"):
        assert shape_of(str(where)).params == 8_030_261_248


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "mamba"}, "model_type 'mamba' is not supported; supported: bert"),
        ({"attention_bias": "yes"}, "attention_bias is 'yes', expected true or false"),
        ({"sliding_window": 4096}, "sliding_window is 4096, which llama as we count it does not have"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0, expected a whole number >= 1"),
        ({"hidden_size": -4096}, "hidden_size is -4096"),
        ({"num_key_value_heads": 5}, "num_key_value_heads is 5, which does not divide 32"),
        ({"model_type": "deepseek_v3"}, r"latent attention \(MLA\).*--method endpoint"),
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            "rope_scaling.low_freq_factor is None",
        ),
        ({"rope_scaling": [8]}, "rope_scaling and rope_parameters are objects"),
    ],
)
def test_an_unsupported_architecture_is_refused(change: dict[str, object], said: str, tmp_path: Path) -> None:
    """Exit code 2, saying what is supported."""
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_8B_CONFIG | change))
    with pytest.raises(BenchUsageError, match=said) as caught:
        shape_of(str(tmp_path))
    assert caught.value.exit_code == 2


def test_an_unknown_preset_lists_the_known() -> None:
    """A typo is one line with the names."""
    with pytest.raises(BenchUsageError, match=r"no such preset or config\.json; presets: nano"):
        shape_of("nanoo")


@pytest.mark.parametrize("name", PRESETS)
def test_a_shape_survives_the_way_to_a_child(name: str) -> None:
    """What the child builds is what the parent asked for."""
    assert TypeAdapter(Shape).validate_json(json.dumps(shape_json(PRESETS[name]))) == PRESETS[name]


def test_tied_embeddings_are_counted_once() -> None:
    """Tying saves vocab x hidden weights."""
    free = DecoderShape("x", 1, 8, 2, 1, 4, 16, 32, 64)
    tied = DecoderShape("x", 1, 8, 2, 1, 4, 16, 32, 64, tied_embeddings=True)
    assert free.params - tied.params == 32 * 8
