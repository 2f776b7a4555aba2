"""What the folder's settings mean for every command in it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

SETTINGS = "peakday.yaml"


def folder_models() -> AbstractContextManager[None]:
    """Have every reader of models know those that the folder's settings name, for as long as a command runs."""
    if not Path(SETTINGS).is_file():
        return nullcontext()
    from facts.own_models import own_models
    from peakday.config import load_config, models_file

    return own_models(models_file(load_config()))
