"""Models by name, and the way from a name or a file to a shape. No weights, no torch."""

from __future__ import annotations

from pathlib import Path

from host.json_text import read_json_object
from neuron_bench.errors import BenchUsageError
from neuron_bench.models.families import shape_from_config
from neuron_bench.models.shapes import DecoderShape, EncoderShape, Rope, Shape

_LLAMA_3_1 = Rope(500_000.0, "llama3", 8.0, None, 1.0, 4.0, 8192)
_LLAMA_3_2 = Rope(500_000.0, "llama3", 32.0, None, 1.0, 4.0, 8192)

PRESETS: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        # For this machine's CPU: ours, standing for nothing.
        DecoderShape("nano", 4, 256, 8, 4, 32, 704, 1024, 2048),
        DecoderShape("tiny", 8, 512, 8, 4, 64, 1376, 8192, 4096),
        EncoderShape("router-nano", 4, 128, 4, 512, 2048, 128, labels=19),
        # For chips. Shapes from the public config.json of each model.
        DecoderShape("llama-3.1-8b", 32, 4096, 32, 8, 128, 14336, 128256, 131072, rope=_LLAMA_3_1),
        DecoderShape("llama-3.1-70b", 80, 8192, 64, 8, 128, 28672, 128256, 131072, rope=_LLAMA_3_1),
        DecoderShape("planner-1b", 16, 2048, 32, 8, 64, 8192, 128256, 131072, True, _LLAMA_3_2),  # Llama-3.2-1B
        EncoderShape("router-encoder", 6, 384, 12, 1536, 30522, 512, labels=19),  # MiniLM-L6-H384
        EncoderShape("embedder", 6, 384, 12, 1536, 30522, 512),  # all-MiniLM-L6-v2
    )
}


def shape_of(model: str) -> Shape:
    """A preset by name, or the shape in a config.json (a file, or the folder that holds it).

    Raises:
        BenchUsageError: no such preset or file, or an architecture we do not count; says what is known.
    """
    if model in PRESETS:
        return PRESETS[model]
    path = Path(model)
    path = path / "config.json" if path.is_dir() else path
    if not path.is_file():
        raise BenchUsageError(f"model {model!r}: no such preset or config.json; presets: {', '.join(PRESETS)}")
    raw = read_json_object(path, finite=False, error=BenchUsageError)
    return shape_from_config(raw, where=str(path), name=path.resolve().parent.name)


def require_buildable(shape: Shape) -> None:
    """Refuse what `--method trace` does not build, by name; nothing is left out of a graph silently.

    Raises:
        BenchUsageError: names the parts, and the other route.
    """
    if shape.not_built:
        raise BenchUsageError(
            f"{shape.name}: --method trace does not build {', '.join(shape.not_built)}; its weights and work are "
            "counted, but to time it serve it and use --method endpoint"
        )
