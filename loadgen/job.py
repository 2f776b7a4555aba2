"""LoadJob: everything a load run needs, as one JSON file that its master and its workers read at start.

The command resolves names, scenario and paths; behind it, nothing is looked up again. A worker of another machine gets
the same file, so a run is the same wherever its workers live.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

from host.errors import PeakdayError
from host.json_text import read_json_object
from host.ports import is_loopback_url
from host.redaction import HIDDEN, shown_body, shown_headers, shown_url, shown_urls
from loadgen.targets.mapping_form import TargetMapping

SCHEMA = "peakday.load-job/2"
FOLDER_VARIABLE = "PEAKDAY_WORKER_FOLDER"
"""Where a worker of another machine unpacks its job; who starts the worker removes it."""
KINDS = ("assistant", "openai", "bedrock", "http", "module")


class LoadError(PeakdayError, RuntimeError):
    """A load run that cannot start or go on; the message is one line that names the fix."""

    page = "load"


class RequestOptions(TypedDict, total=False):
    """What the requests of an `openai` target hold besides the conversation."""

    headers: Mapping[str, str]
    system: str | None
    extra_body: Mapping[str, object]
    max_tokens: int | None
    chat: bool


class Bundle(TypedDict, total=False):
    """A job on its way to another machine: itself as JSON, the files it names in base64, and the worker's number."""

    job: str
    files: dict[str, str]
    worker: int


@dataclass(frozen=True)
class TargetSpec:
    """Where turns go. `region` None serves every region that has no target of its own.

    `mapping` is the parsed mapping file of an `http` target; `module` is `path/to/file.py:Class` of a `module` target.
    `token_ids` bounds the ids drawn for prompts of exact length on an `openai` target; `request` is what its requests
    hold besides the conversation (`loadgen.targets.openai_options`).
    """

    kind: str
    url: str
    region: str | None = None
    model: str | None = None
    mapping: TargetMapping | None = None
    module: str | None = None
    token_ids: tuple[int, int] = (10, 1000)
    request: RequestOptions | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise LoadError(
                f"target {self.kind}={shown_url(self.url)}: unknown kind {self.kind!r}; one of {', '.join(KINDS)}"
            )

    @cached_property
    def shown(self) -> str:
        """Its address as records show it; made once, since every call's row holds it."""
        return shown_url(self.url)

    def without_secrets(self) -> TargetSpec:
        """The target as it is kept: addresses without queries; of requests the shape, and no literal text."""
        return replace(
            self,
            url=shown_url(self.url),
            mapping=None if self.mapping is None else _shown_mapping(self.mapping),
            request=None if self.request is None else _shown_request(self.request),
        )

    def files(self) -> list[str]:
        """Files of this machine that the target needs: its customers, and its module."""
        module = (self.module or "").rpartition(":")[0]
        return [file for file in ((self.mapping or {}).get("customers"), module) if file]


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a run offers, whatever it drives: arrivals, sessions, messages and its estimate follow from it alone.

    Times are seconds; `window` counts from the start of the event, or of the arrival file.

    Args:
        scenario: the resolved scenario, `Scenario.model_dump(mode="json", by_alias=True)`.
        messages: path of the world's messages.json.
        catalogue: path of the world's catalogue.sqlite, for price ticks; None skips them.
        rate_per_s, for_s: interactions per second for so long, in place of the event; `window` is then ignored.
            A closed loop may have for_s alone.
        arrivals_file: replay this CSV: each row one session of one interaction of one turn.
        arrivals_notes: what its reader took that file for, repaired or doubts.
        replay_file: replay the sessions of this plan (`scenarios.replay.file`), each call after those it waited for.
        closed_loop_users: a fixed number of users that wait for answers, in place of open-loop arrivals.
    """

    scenario: dict[str, Any]
    scenario_hash: str
    seed: int
    messages: str
    catalogue: str | None = None
    window: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    rate_per_s: float | None = None
    for_s: float | None = None
    arrivals_file: str | None = None
    arrivals_notes: tuple[str, ...] = ()
    replay_file: str | None = None
    closed_loop_users: int | None = None

    def __post_init__(self) -> None:
        alone = self.closed_loop_users is not None and self.rate_per_s is None  # its users make the rate
        if (self.rate_per_s is None) != (self.for_s is None) and not alone:
            raise LoadError("--rate and --for go together, such as --rate 60/s --for 15s")
        if len(self.window) != 2:
            raise LoadError(f"window {self.window!r}: expected its start and its end in seconds")
        if self.length_s <= 0:
            raise LoadError(
                f"window {self.window[0]:g}s:{self.window[1]:g}s is empty; its end must come after its start"
            )

    @property
    def length_s(self) -> float:
        """How long turns are offered."""
        return self.for_s if self.for_s is not None else self.window[1] - self.window[0]

    @property
    def follows_event(self) -> bool:
        """Whether background streams make sense: a replayed log or a closed loop has no event behind it."""
        return self.arrivals_file is None and self.replay_file is None and self.closed_loop_users is None

    @property
    def drain_s(self) -> float:
        """How long turns in flight at the end may take. A replayed log is waited for: its totals are the file's."""
        limits = self.scenario["load"]
        replays = self.arrivals_file is not None or self.replay_file is not None
        return float(limits["turn_timeout_s"] if replays else limits["drain_s"])


@dataclass(frozen=True, kw_only=True)
class LoadJob(Load):
    """One run to make: a load, what it drives, and where the record goes.

    Args:
        run_dir: folder to write; its last part is `run_id`. It must not exist, or be empty.
        planner_url, planner_model: an OpenAI base URL that serves the query planner, and its id there.
        admitted: host -> addresses, of the hosts that the guard admitted: nothing else off this machine is contacted.
        abort_rules: apply the scenario's `abort_if`; None does so only when a target is not on loopback.
        emulator_url: base URL of the emulator, for fault timing and its own lateness; None when there is none.
        budget_usd: what the run may cost; `turn_usd_max` is the upper bound of one turn (`estimate.turn_usd_max`).
        processes, remote_workers: workers started here, and workers that connect from elsewhere to bind_host:bind_port.
        metrics_port: serve the run as Prometheus text on this port of metrics_host. web_port: Locust's own page, on
            loopback; `page` is the HTML of our own beside it.
        host, commit, command, peakday_version: the run's environment, written into the record as it is.
    """

    run_dir: str
    run_id: str
    targets: tuple[TargetSpec, ...]
    processes: int = 1
    remote_workers: int = 0
    bind_host: str = "127.0.0.1"
    bind_port: int | None = None
    emulator_url: str | None = None
    planner_url: str | None = None
    planner_model: str = "planner"
    abort_rules: bool | None = None
    keep_text: bool = False
    budget_usd: float | None = None
    turn_usd_max: float = 0.0
    background: bool = True
    admitted: dict[str, tuple[str, ...]] = field(default_factory=dict)
    scrape_urls: tuple[str, ...] = ()
    web_port: int | None = None
    page: str = ""
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    command: tuple[str, ...] = ()
    commit: str | None = None
    peakday_version: str = ""
    host: dict[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, load: Load, **fields: Any) -> LoadJob:
        """The job that offers this load."""
        return cls(**vars(load), **fields)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.targets:
            raise LoadError("no target: name one with --target KIND=URL")
        if self.processes < 0 or self.remote_workers < 0 or self.workers < 1:
            raise LoadError(f"{self.processes} workers here and {self.remote_workers} elsewhere: expected 1 or more")
        if self.remote_workers and self.bind_port is None:
            raise LoadError("workers from elsewhere need a port to connect to: set bind_port, such as 5557")
        if self.budget_usd is not None and self.turn_usd_max <= 0:
            raise LoadError("a budget needs the upper bound of one turn: set turn_usd_max")

    @property
    def workers(self) -> int:
        """All workers of the run, W."""
        return self.processes + self.remote_workers

    def drained_within(self, drain_s: float) -> LoadJob:
        """The same job, whose turns in flight at the end get so long and are then `censored`."""
        return replace(self, scenario=self.scenario | {"load": self.scenario["load"] | {"drain_s": drain_s}})

    @property
    def prices_url(self) -> str | None:
        """Where price ticks go: our own assistant's test endpoint on loopback."""
        own = next((target.url for target in self.targets if target.kind == "assistant"), None)
        return own if self.catalogue is not None and own is not None and is_loopback_url(own) else None

    @property
    def folder(self) -> Path:
        """The record's folder."""
        return Path(self.run_dir)

    def write(self, path: Path) -> None:
        """Write the job as JSON."""
        path.write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, allow_nan=False) + "\n")

    def without_secrets(self) -> LoadJob:
        """The same job as the record keeps it, once nothing reads it any more."""
        return replace(
            self,
            targets=tuple(target.without_secrets() for target in self.targets),
            scrape_urls=tuple(shown_urls(self.scrape_urls).values()),
        )

    def bundle(self) -> Bundle:
        """The job and the files it names, by path, for a worker that shares no disk with the master."""
        files = {
            self.messages,
            self.arrivals_file,
            self.replay_file,
            *(file for target in self.targets for file in target.files()),
        }
        contents = {file: base64.b64encode(Path(file).read_bytes()).decode() for file in sorted(filter(None, files))}
        return {"job": json.dumps(asdict(self)), "files": contents}

    @classmethod
    def unpack(cls, bundle: Bundle, folder: Path) -> LoadJob:
        """The job of a bundle, its files written into a folder of this machine."""
        here = {}
        for number, (file, content) in enumerate(bundle["files"].items()):
            path = folder / str(number) / Path(file).name
            path.parent.mkdir()
            path.write_bytes(base64.b64decode(content))
            here[file] = str(path)
        raw = json.loads(bundle["job"]) | {"run_dir": str(folder), "catalogue": None}
        raw |= {key: here[raw[key]] for key in ("messages", "arrivals_file", "replay_file") if raw[key]}
        for target in raw["targets"]:
            if "customers" in (target["mapping"] or {}):
                target["mapping"]["customers"] = here[target["mapping"]["customers"]]
            if target["module"]:
                file, _, name = target["module"].rpartition(":")
                target["module"] = f"{here[file]}:{name}"
        return cls._of(raw)

    @classmethod
    def _of(cls, raw: dict[str, Any]) -> LoadJob:
        raw["targets"] = tuple(TargetSpec(**_tuples(target, "token_ids")) for target in raw["targets"])
        raw["admitted"] = {host: tuple(addresses) for host, addresses in raw["admitted"].items()}
        return cls(**_tuples(raw, "window", "scrape_urls", "command", "arrivals_notes"))

    @classmethod
    def read(cls, path: Path) -> LoadJob:
        """Read a job.

        Raises:
            LoadError: no job there, or of another version.
        """
        raw = read_json_object(path, error=LoadError)
        if raw.pop("schema", None) != SCHEMA:
            raise LoadError(f"{path}: not a {SCHEMA} file; the parts of a run must be of one version")
        try:
            return cls._of(raw)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise LoadError(f"{path}: damaged ({type(error).__name__}: {error})") from None


def _shown_mapping(mapping: TargetMapping) -> TargetMapping:
    """A mapping whose url, headers, body and token command hold no literal text any more."""
    shown = mapping.copy()
    if "url" in mapping:
        urls = mapping["url"]
        by_region = {region: shown_url(url) for region, url in urls.items()} if isinstance(urls, dict) else None
        shown["url"] = shown_url(urls) if by_region is None else by_region
    if "headers" in mapping:
        shown["headers"] = shown_headers(mapping["headers"])
    if "body" in mapping:
        shown["body"] = shown_body(mapping["body"])
    if "open" in mapping:
        shown["open"] = shown_body(mapping["open"])
    if "calls" in mapping:
        shown["calls"] = shown_body(mapping["calls"])
    if isinstance(mapping.get("token"), dict):
        shown["token"] = {**mapping["token"], "command": [HIDDEN]}
    return shown


def _shown_request(request: RequestOptions) -> RequestOptions:
    """What the requests of an `openai` target hold: the system prompt is kept as a message is."""
    headers, extra = request.get("headers") or {}, request.get("extra_body") or {}
    return {**request, "headers": shown_headers(headers), "extra_body": shown_body(extra)}


def _tuples(raw: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The same mapping, with JSON lists as the tuples they were."""
    return {key: tuple(value) if key in keys else value for key, value in raw.items()}
