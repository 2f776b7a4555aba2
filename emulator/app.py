"""The emulator assembled from a stack file, and the one place that says which path goes where."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path

from emulator.bedrock import answers
from emulator.bedrock.endpoint import Bedrock
from emulator.control import Control
from emulator.faults import FaultPlan, fault_from
from emulator.http.connection import Exchange, Request, Response, json_response
from emulator.http.pacer import Pacer
from emulator.language.conversations import read_conversations
from emulator.language.corpus import Corpus, sentences
from emulator.metrics import metrics_text
from emulator.models import EmulatedModel, Emulator, LoopWatch
from emulator.openai import endpoint as openai_api
from emulator.openai.endpoint import OpenAi
from emulator.profiles import Profile, ProviderPhysics, merged, profile_from, raw_profile, read_profiles
from emulator.quotas import QuotaBook
from emulator.shop_model.words import lexicon
from facts.reader import models as read_models
from facts.stack import StackError, StackFile
from host.browsers import network_refusal, refusal
from wire.exposition import CONTENT_TYPE

log = logging.getLogger("emulator")


class App:
    """Everything one process serves."""

    def __init__(self, stack: StackFile, loop: asyncio.AbstractEventLoop) -> None:
        pacer = self.pacer = Pacer(loop)
        profiles = read_profiles(stack.profiles)
        self._profile_groups: dict[str, dict[str, object]] = {}
        text = self._text = sentences(stack.data.catalogue)
        served: dict[str, EmulatedModel] = {}
        for key, model in read_models(stack.models_file).items():
            if stack.models is not None and key not in stack.models:
                continue
            if key not in profiles:
                raise StackError(f"models.yaml: {key} has no emulator profile; add one to a profiles overlay")
            profile = profiles[key]
            served[model.model_id] = EmulatedModel(
                model, profile, pacer, stack.seed, _corpus(text, profile, model.protocol)
            )
        faults = FaultPlan([fault_from(raw) for raw in stack.faults], stack.seed)
        self.emulator = Emulator(
            served, pacer, read_conversations(stack.data.conversations), QuotaBook(stack.quotas), faults, stack.seed,
            stack.regions, _pages(stack.data.catalogue),
        )  # fmt: skip
        lexicon()  # made here: the first unknown message of a run would wait for it, and be late
        self.watch = LoopWatch(loop)
        self._profiles_file = stack.profiles
        bedrock, openai = Bedrock(self.emulator), OpenAi(self.emulator)
        control = Control(self.emulator, self._use_profile, stack.control_token)
        self._routes = (
            ("/model/", bedrock.handle), ("/guardrail/", bedrock.handle), ("/v1/", openai.handle),
            ("/control/", control.handle), ("/truth", control.handle),
        )  # fmt: skip

    def handle(self, request: Request, connection: Exchange) -> Response | None:
        """Answer one request. A fault of ours is a 500 that is counted, logged and never silent."""
        try:
            headers = request.headers
            why = refusal(headers.get("host"), headers.get("origin"))
            if why is not None:
                return json_response(403, {"message": why})
            for prefix, handler in self._routes:
                if request.path.startswith(prefix):
                    return handler(request, connection)
            return self._look(request, connection.accepted)
        except Exception:
            self.emulator.internal_errors += 1
            log.exception("%s %s failed", request.method, request.path)
            return json_response(500, {"message": "the emulator failed; its log has the cause"})

    def look(self, request: Request, accepted: int) -> Response:
        """Answer where nothing but health and metrics is served: at the address that `up --metrics-host` names.

        Args:
            accepted: connections that the server of everything else has accepted since the start.
        """
        why = network_refusal(request.headers.get("host"), request.headers.get("origin"))
        return json_response(403, {"message": why}) if why else self._look(request, accepted)

    def _look(self, request: Request, accepted: int) -> Response:
        if request.path == "/health":
            return json_response(200, {"ok": True, "simulated": True})
        if request.path == "/metrics":
            return Response(200, metrics_text(self.emulator, self.watch, accepted), CONTENT_TYPE)
        return json_response(404, {"message": f"nothing is served at {request.path}"})

    def _use_profile(self, key: str, groups: dict[str, object]) -> None:
        """Lay groups over a model's profile."""
        emulated = self.emulator.by_key[key]
        raw = merged(raw_profile(key, self._profiles_file), self._profile_groups.get(key, {}))
        if "physics" in groups:
            raw = {name: raw[name] for name in ("tokens", "manner") if name in raw}
        raw = merged(raw, groups)
        profile, corpus = profile_from(key, raw, "/control/profiles"), emulated.corpus
        if (corpus.rule, corpus.tokens_per_chunk) != (profile.tokens, _tokens_per_chunk(profile)):
            corpus = _corpus(self._text, profile, emulated.model.protocol)
        emulated.use(profile, corpus)
        self._profile_groups[key] = raw


def _corpus(text: tuple[str, ...], profile: Profile, protocol: str) -> Corpus:
    unit = answers.text_unit if protocol == "converse" else openai_api.text_unit
    return Corpus(text, profile.tokens, _tokens_per_chunk(profile), unit)


def _tokens_per_chunk(profile: Profile) -> int:
    return profile.physics.tokens_per_chunk if isinstance(profile.physics, ProviderPhysics) else 1


def _pages(catalogue: Path | None) -> tuple[tuple[str, str], ...]:
    """(url, title) of the local web index, for citations."""
    if catalogue is None or not catalogue.exists():
        return ()
    store = sqlite3.connect(f"file:{catalogue}?mode=ro", uri=True)
    try:
        return tuple(store.execute("SELECT url, title FROM documents ORDER BY doc_id LIMIT 1000"))
    finally:
        store.close()
