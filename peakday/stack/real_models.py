"""The assistant on real models: where they are, and what a scenario does without when no emulator serves it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from facts import reader
from facts.reader import Model
from facts.stack import Switches
from peakday.config import load_config
from peakday.errors import CommandError
from peakday.guard import Named, check_allowed, parse_targets
from peakday.stack.local import RealModels
from peakday.stack.resolved import Resolved
from scenarios.loading import scenario_hash
from scenarios.schema import Scenario

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL")
"""What the AWS SDKs read for another endpoint, the specific one first. Source: AWS SDKs and Tools reference guide."""
_REGIONS_OF = {"us": "us-", "eu": "eu-", "apac": "ap-", "jp": "ap-northeast-", "au": "ap-southeast-"}
"""Regions that may call a geography's inference profile, by prefix; `global.` has no limit here."""


def real_models(openai_url: str | None, environment: Mapping[str, str] = os.environ) -> RealModels:
    """The endpoints of a live stack.

    Args:
        openai_url: an OpenAI-compatible server that has the scenario's own models under their ids; ends in /v1.

    Raises:
        CommandError: that server is neither loopback nor owned. Nothing is sent to learn it.
    """
    override = next((environment[name] for name in ENDPOINT_VARIABLES if environment.get(name)), None)
    if openai_url is not None:
        (named,) = parse_targets([f"openai={openai_url}"])
        check_allowed(named, load_config(), "--openai-url")
        openai_url = named.url
    if override is not None:
        (named,) = parse_targets([f"bedrock={override}"])
        if not _is_aws(named.url):
            check_allowed(named, load_config(), "the AWS endpoint of the environment")
        override = named.url
    return RealModels(override, openai_url)


def _is_aws(url: str) -> bool:
    return re.fullmatch(r"(.+\.)?(amazonaws\.com(\.cn)?|api\.aws)", urlsplit(url).hostname or "") is not None


def own_models(real: RealModels | None) -> list[Named]:
    """The server of the scenario's own models, where one was named: it must answer before a stack starts."""
    return [Named("openai", real.openai_url)] if real is not None and real.openai_url is not None else []


def on_real_models(resolved: Resolved, real: RealModels) -> tuple[Resolved, list[str]]:
    """The scenario as real models can play it, and a line for each thing it does without.

    Raises:
        CommandError: it injects faults, a model's profile is of another geography than a region, or no model is left.
    """
    scenario = resolved.scenario
    if scenario.faults:
        raise CommandError(
            f"{scenario.name}: faults cannot be injected into real models; add --set 'faults=[]', or run without --live"
        )
    known = reader.models()
    check_geography(scenario, known)
    lines = []
    if scenario.quotas:
        scenario = scenario.model_copy(update={"quotas": {}})
        lines.append("quotas of the scenario are not applied: the account's own hold")
    if real.openai_url is None:
        scenario, left_out = without_own_models(scenario, known)
        lines += left_out
    return replace(resolved, scenario=scenario, scenario_hash=scenario_hash(scenario)), lines


def check_geography(scenario: Scenario, known: Mapping[str, Model]) -> None:
    """Refuse a region from which a model's inference profile cannot be called."""
    for key in scenario.models:
        prefix = _REGIONS_OF.get(known[key].model_id.split(".")[0]) if known[key].protocol == "converse" else None
        for region in scenario.event.regions if prefix else ():
            if not region.startswith(prefix or ""):
                raise CommandError(
                    f"{key}: {known[key].model_id} is the profile of another geography than {region}; "
                    "leave the model or the region out of the scenario"
                )


def without_own_models(scenario: Scenario, known: Mapping[str, Model]) -> tuple[Scenario, list[str]]:
    """The scenario on its Bedrock models alone, and what was left out.

    Turns of a model that is left out go to the first of its fallback chain that stays, else to the scenario's first.
    """
    left_out = [key for key in scenario.models if known[key].protocol == "openai"]
    staying = [key for key in scenario.models if key not in left_out]
    if not staying:
        raise CommandError(f"{scenario.name}: no model of it is on Bedrock; name a server with --openai-url")
    if not left_out:
        return scenario, []
    others = {key: _instead(key, staying, scenario.assistant) for key in left_out}
    policy = scenario.assistant.policy
    own = replace(
        policy,
        simple=others.get(policy.simple, policy.simple),
        complex=others.get(policy.complex, policy.complex),
        by_intent={intent: others.get(key, key) for intent, key in policy.by_intent.items()},
    )
    fallback = scenario.assistant.fallback
    chains = {
        key: [model for model in chain if model in staying] for key, chain in fallback.chains.items() if key in staying
    }
    assistant = replace(scenario.assistant, policy=own, fallback=replace(fallback, chains=chains))
    line = f"{', '.join(left_out)}: left out, for no OpenAI-compatible server was named (--openai-url)"
    routed = {policy.simple, policy.complex, *policy.by_intent.values()} & set(left_out)
    moved = "".join(f"; turns of {key} go to {others[key]}" for key in sorted(routed))
    return scenario.model_copy(update={"models": staying, "assistant": assistant}), [line + moved]


def _instead(key: str, staying: Sequence[str], switches: Switches) -> str:
    return next((model for model in switches.fallback.chains.get(key, ()) if model in staying), staying[0])
