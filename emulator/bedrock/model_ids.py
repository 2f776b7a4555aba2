"""Which model an identifier means: its own, its base model's, any geography's inference profile, and ARNs of these.

Source: Bedrock User Guide, inference profiles and their prefixes; ARN formats of the Service Authorization Reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from emulator.calls import Refused
from emulator.models import EmulatedModel

_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:[a-z0-9-]*:\d*:(?:foundation-model|inference-profile)/(.+)")
_GEOGRAPHY = re.compile(r"(?:us-gov|us|eu|apac|au|ca|jp|global)\.(?=[a-z0-9-]+\.)")
_CONTEXT = re.compile(r":\d+k$")


def base_of(identifier: str) -> str:
    """The base model's id: no ARN, no geography, no context length."""
    matched = _ARN.fullmatch(identifier)
    name = matched[1] if matched else identifier
    return _CONTEXT.sub("", _GEOGRAPHY.sub("", name, count=1))


class ModelIds:
    """The models of Bedrock's protocol by everything that means them."""

    def __init__(self, by_id: Mapping[str, EmulatedModel]) -> None:
        self._by_id = {name: emulated for name, emulated in by_id.items() if emulated.model.protocol == "converse"}
        self._by_base: dict[str, EmulatedModel] = {}
        for name, emulated in self._by_id.items():
            self._by_base.setdefault(base_of(name), emulated)

    def model(self, identifier: str) -> EmulatedModel:
        """The model that is meant.

        Raises:
            Refused: 404 in Bedrock's words, with what is served here.
        """
        found = self._by_id.get(identifier) or self._by_base.get(base_of(identifier))
        if found is None:
            raise Refused(404, "ResourceNotFoundException", _unknown(self._by_id))
        return found


def _unknown(served: Iterable[str]) -> str:
    return (
        "Could not resolve the foundation model from the provided model identifier. "
        f"This emulator serves {', '.join(sorted(served))}, their base models, and ARNs of these."
    )
