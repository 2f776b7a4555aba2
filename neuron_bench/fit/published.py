"""Step models that come with peakday: what public measurements say of Neuron chips and of GPUs, all `derived`.

Each is a file of facts/data/step_models, made by `python -m study neuron_models` and `python -m study step_models`.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from neuron_bench.step_model import StepModel, step_model_from


@cache
def step_models() -> dict[tuple[str, str], StepModel]:
    """By (model id, chip)."""
    folder = resources.files("facts") / "data" / "step_models"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    models = [step_model_from(json.loads(file.read_text()), where=file.name) for file in files]
    return {(model.model_id, model.chip): model for model in models}
