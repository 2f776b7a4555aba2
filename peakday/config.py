"""peakday.yaml: what is yours and no scenario's: owned targets and own prices."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, IPvAnyNetwork

from host.checked import check
from host.yaml_text import read_yaml
from peakday.errors import CommandError

FILE = "peakday.yaml"
CHECKS_FILE = "checks.yaml"
SCHEMA = "peakday.config/1"

TEMPLATE = f"""\
# Settings of this folder. Everything is optional; remove what you do not need.
schema: {SCHEMA}

# Load goes to loopback, and to the origins listed here. List only what you own or may test.
# owned_targets:
#   - https://assistant.staging.example.com
owned_targets: []

# Of these, assistants whose answers nobody is charged for by the token. What does not say so itself counts as paid.
# unpaid_targets:
#   - https://assistant.staging.example.com

# Networks that encrypt what passes between master and workers (WireGuard, a mesh): --master-bind may be there.
# encrypted_networks: [10.8.0.0/24]

# Your prices where they differ from list, by model key and instance type.
# prices:
#   tokens: {{claude-sonnet: {{input_usd_per_mtok: 2.7, output_usd_per_mtok: 13.5}}}}
#   instances: {{inf2.48xlarge: {{usd_per_hour: 8.20}}}}
#   discount_ratio: {{amazon: 0.10, anthropic: 0.05, inf2: 0.20}}   # off the list, by maker or instance family
#   owned: {{inf2.48xlarge: 4}}                                    # already paid for, in each region
#   reserved: {{claude-sonnet: {{input_usd: 20, output_usd: 90, months: 1}}}} # for 1,000 tokens a minute and month
#   file: aws/2026-11-23T1200Z/prices.csv                        # of `peakday aws pull`, or YAML of these keys
prices: {{}}

# Your own models, laid over the list: entries as those of models.yaml, with usd_per_mtok and quota stated in place.
# models: models.yaml

# Scored quality (peakday assistant quality RUN) in place of the assumed shares, for policy and plans.
# quality: runs/ID/quality.yaml
"""


class Prices(BaseModel):
    """Own prices, laid over the list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: dict[str, dict[str, Annotated[float, Field(ge=0)]]] = {}
    instances: dict[str, dict[str, Annotated[float, Field(ge=0)]]] = {}
    discount_ratio: dict[str, Annotated[float, Field(ge=0, lt=1)]] = {}
    owned: dict[str, Annotated[int, Field(ge=0)]] = {}
    commitments: tuple[dict[str, object], ...] = ()
    features: dict[str, Annotated[float, Field(ge=0)]] = {}
    reserved: dict[str, dict[str, Annotated[float, Field(ge=0)]]] = {}
    file: Path | None = None


def _origin(text: str) -> str:
    """An entry that names no scheme and host would match nothing, in silence."""
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https", "ws", "wss") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise ValueError("expected an origin such as https://assistant.staging.example.com")
    return text


Origin = Annotated[str, AfterValidator(_origin)]


class Config(BaseModel):
    """The parsed file."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: str = Field(default=SCHEMA, alias="schema")
    owned_targets: tuple[Origin, ...] = ()
    unpaid_targets: tuple[Origin, ...] = ()
    encrypted_networks: tuple[IPvAnyNetwork, ...] = ()
    prices: Prices = Prices()
    quality: str | None = None
    models: Path | None = None


def models_file(config: Config) -> Path | None:
    """The user's own models.

    Raises:
        CommandError: the file is not there.
    """
    if config.models is not None and not config.models.is_file():
        raise CommandError(f"{FILE}: models: {config.models}: no such file")
    return config.models.resolve() if config.models is not None else None


def quality_file(config: Config) -> Path | None:
    """The judged quality that policy and plans read in place of the shares that facts assumes.

    Raises:
        CommandError: the file is not there.
    """
    if config.quality is None:
        return None
    path = Path(config.quality)
    if not path.is_file():
        raise CommandError(f"{FILE}: quality: {path}: no such file; `peakday assistant quality` writes one")
    return path


def load_config(folder: Path | None = None) -> Config:
    """The file of a folder, or the defaults where there is none.

    Raises:
        CommandError: it cannot be parsed; the message names file, key and reason.
    """
    path = (folder or Path()) / FILE
    if not os.path.lexists(path):
        return Config()
    return check(Config, read_yaml(path, error=CommandError), str(path), error=CommandError)


def check_scenario_file(path: Path) -> None:
    """Raises `CommandError` where a scenario would be written to a file that commands read as something else."""
    name = f"{path.name.removesuffix('.yaml')}.yaml"
    if name in (FILE, CHECKS_FILE):
        raise CommandError(f"{name}: every command here reads it as its own settings; choose another name")


def write_config(folder: Path | None = None) -> Path:
    """Write the commented template; an existing file is left alone.

    Raises:
        CommandError: the file is already there.
    """
    path = (folder or Path()) / FILE
    try:
        with path.open("x") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise CommandError(f"{path}: already here; edit it, or remove it first") from None
    return path
