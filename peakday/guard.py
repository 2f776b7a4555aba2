"""The guard: the one place where an address that was named becomes one that may be contacted.

Loopback is free; any other origin must be listed as owned in peakday.yaml. A `Target` is made by `admit` alone, and
holds the addresses that its host was resolved to: whatever connects goes there, and looks nothing up again.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from host.errors import Exit
from host.fetch import FetchError, connect, fetch, own_addresses
from host.ports import is_loopback_url
from host.redaction import shown_url
from loadgen.job import KINDS
from loadgen.targets.mapping import named_target, target_specs, text_with_values
from peakday.config import FILE, Config
from peakday.errors import CommandError

ANSWER_WITHIN_S = 3.0


_SEAL = object()
_PAID_HOST = re.compile(
    r"(.+\.)?bedrock-[a-z-]+\.([a-z0-9-]+\.)*(amazonaws\.com(\.cn)?|api\.aws)"
    r"|(.+\.)?(api\.openai\.com|openai\.azure\.com|api\.anthropic\.com|openrouter\.ai|api\.mistral\.ai"
    r"|api\.groq\.com|api\.together\.(xyz|ai)|generativelanguage\.googleapis\.com|([a-z0-9-]+-)?aiplatform\.googleapis\.com"
    r"|api\.deepseek\.com|api\.cohere\.(com|ai)|api\.fireworks\.ai|api\.x\.ai|api\.perplexity\.ai|api\.deepinfra\.com"
    r"|router\.huggingface\.co|endpoints\.huggingface\.cloud|api\.cerebras\.ai|api\.replicate\.com|integrate\.api\.nvidia\.com"
    r"|(services\.ai|inference\.ai|cognitiveservices)\.azure\.com|models\.github\.ai|dashscope(-intl)?\.aliyuncs\.com"
    r"|api\.moonshot\.(cn|ai)|gateway\.ai\.cloudflare\.com)"
    r"|runtime\.sagemaker\.[a-z0-9-]+\.amazonaws\.com(\.cn)?"
)
"""Hosts that are paid by the token. Sources: AWS General Reference, Amazon Bedrock endpoints; API references of the
others (2026-11)."""


@dataclass(frozen=True)
class Named:
    """One place as it was named: nothing may be sent there yet. `spec`: what else the load engine needs."""

    kind: str
    url: str
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Target(Named):
    """One place that may be contacted, at these addresses. Only `admit` makes one."""

    addresses: tuple[str, ...] = ()
    seal: object = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("a target is made by guard.admit alone")


CALL_PATH = re.compile(r"(/chat)?/completions/?(?=$|\?)")
"""What a run puts behind the base URL of an OpenAI-compatible server."""
PAGES = ("http", "https")
SOCKETS = (*PAGES, "ws", "wss")


def parse_targets(
    texts: Sequence[str], values: Mapping[str, str] | None = None, option: str = "--target"
) -> list[Named]:
    """Every target of a command line.

    `KIND=URL` for assistant, openai and bedrock; `http=MAPPING.yaml`, one target for each region of its url;
    `module=FILE.py:Class@URL`. `values` replace their `{NAME}` in the texts and in mapping files.

    Raises:
        CommandError: a target that cannot be read, with the form that is expected.
    """
    return [target for text in texts for target in _parse(text_with_values(text, values or {}), values, option)]


def _parse(text: str, values: Mapping[str, str] | None, option: str) -> list[Named]:
    kind, equals, rest = text.partition("=")
    if not equals or kind not in KINDS:
        raise CommandError(f"{option} {shown_url(text)!r}: expected KIND=URL with KIND one of {', '.join(KINDS)}")
    if kind == "http":
        named = named_target(rest)
        specs = target_specs(Path(rest), values) if named is None else target_specs(named[0], named[1])
        return [
            Named("http", _whole_url(spec.url, option), {"region": spec.region, "mapping": spec.mapping})
            for spec in specs
        ]
    if kind == "module":
        module, at, url = rest.rpartition("@")
        if not at or ":" not in module:
            raise CommandError(f"{option} {shown_url(text)!r}: expected module=FILE.py:Class@URL")
        file, _, name = module.rpartition(":")
        if not Path(file).is_file():
            raise CommandError(f"{option} {shown_url(text)!r}: {file}: no such file")
        return [Named("module", checked_url(url, option), {"module": f"{Path(file).resolve()}:{name}"})]
    if kind == "openai" and (base := CALL_PATH.sub("", rest)) != rest:
        raise CommandError(f"{option} openai={shown_url(rest)}: name the base alone, {option} openai={shown_url(base)}")
    return [Named(kind, checked_url(rest, option))]


def _whole_url(url: str, option: str) -> str:
    """A mapping's URL as it stands: its last slash may be what its server answers to."""
    checked_url(url, option, SOCKETS)
    return url


def checked_url(url: str, option: str = "--target", schemes: Sequence[str] = PAGES) -> str:
    """A URL of one of these schemes that names a host, without credentials, fragment, space or control character."""
    expected = CommandError(f"{option} {shown_url(url)!r}: expected a URL such as http://127.0.0.1:8080")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # an address in brackets that is none, or a port that is no number up to 65535
        raise expected from None
    if parts.username or parts.password:
        raise CommandError(f"{option}: credentials do not belong into a URL; use a header with ${{ENV}} in a mapping")
    plain = all(mark > " " and mark.isprintable() for mark in url) and "#" not in url and "@" not in parts.netloc
    if not plain or parts.scheme not in schemes or not parts.hostname or port == 0:
        raise expected
    return url.rstrip("/")


def check_allowed(named: Named, config: Config, option: str = "--target") -> None:
    """Refuse what is neither loopback nor declared as owned; `option` is how it was named. Nothing is looked up.

    Raises:
        CommandError: exit code 2; nothing has been sent.
    """
    if is_loopback_url(named.url) or origin(named.url) in {origin(owned) for owned in config.owned_targets}:
        return
    raise CommandError(
        f"{option} {shown_url(named.url)}: not loopback and not declared as yours; "
        f"add {origin(named.url)} to owned_targets in {FILE} if you may load it"
    )


def admit(named: Named, config: Config, option: str = "--target") -> Target:
    """What may be contacted: allowed, and its host resolved, once for all that follows.

    Raises:
        CommandError: not allowed (exit 2), or its host has no address (exit 5).
    """
    check_allowed(named, config, option)
    host = urlsplit(named.url).hostname
    try:
        addresses = own_addresses(host) or _resolved(str(host))
    except OSError as error:
        raise CommandError(
            f"{option} {shown_url(named.url)}: its host has no address ({error.strerror})", Exit.ENVIRONMENT
        ) from None
    return Target(named.kind, named.url, named.spec, addresses, _SEAL)


def admit_page(url: str, config: Config, option: str) -> Target:
    """A page of Prometheus text, or another that is read beside the targets."""
    return admit(Named("http", checked_url(url, option)), config, option)


def admitted(targets: Iterable[Target]) -> dict[str, tuple[str, ...]]:
    """Host -> addresses, as a load job and the bench's client take them."""
    return {urlsplit(target.url).hostname or "": target.addresses for target in targets}


def check_answers(target: Target, option: str = "--target") -> None:
    """A target that takes no connection is an environment error, said before a run begins."""
    parts = urlsplit(target.url)
    port = parts.port or (443 if parts.scheme in ("https", "wss") else 80)
    try:
        connect(target.addresses, port, ANSWER_WITHIN_S).close()
    except OSError as error:
        why = f"no answer in {ANSWER_WITHIN_S:g} s" if isinstance(error, TimeoutError) else str(error.strerror or error)
        where = f"{target.kind}={shown_url(target.url)}"
        message = f"{option} {where}: does not answer ({why.lower()}); start it, or leave {option} out"
        raise CommandError(message, Exit.ENVIRONMENT) from None


def costs_money(target: Target, config: Config) -> bool:
    """Whether turns sent there may be paid for by the token; what is not known counts as paid.

    A paid API by its host, a target that signs with the account's credentials, and an assistant, or anything that is
    not on this machine, that does not say `simulated: true` at /healthz. An origin in `unpaid_targets` is free by its
    owner's word.
    """
    if is_paid_api(target):
        return True
    if target.kind != "assistant" and is_loopback_url(target.url):
        return False
    if origin(target.url) in {origin(unpaid) for unpaid in config.unpaid_targets}:
        return False
    place = target.url if target.kind == "assistant" else _page_origin(target.url)
    try:
        health = json.loads(fetch(f"{place}/healthz", within_s=ANSWER_WITHIN_S, addresses=target.addresses))
    except (FetchError, ValueError):
        return True
    return not isinstance(health, dict) or health.get("simulated") is not True


def is_paid_api(named: Named) -> bool:
    """Whether it is a paid API by its kind, its host's name or its signature; nothing is sent to learn it."""
    if named.kind == "bedrock" and not is_loopback_url(named.url):
        return True
    if (named.spec.get("mapping") or {}).get("sigv4"):
        return True
    return _PAID_HOST.fullmatch((urlsplit(named.url).hostname or "").rstrip(".").lower()) is not None


def admit_agreed(
    places: Sequence[Named],
    config: Config,
    agree: Callable[[], None],
    option: str = "--target",
    *,
    agreed: bool = False,
    answering: bool = True,
) -> list[Target]:
    """Targets, once `agree` has returned where one may cost money; it is called at most once.

    For a paid API it is called before so much as a name is looked up. `agreed`: it was before. `answering`: each must
    take a connection.

    Raises:
        CommandError: one is not owned, or does not answer; and whatever `agree` raises.
    """
    for place in places:
        check_allowed(place, config, option)
    if not agreed and any(is_paid_api(place) for place in places):
        agree()
        agreed = True
    targets = [admit(place, config, option) for place in places]
    for target in targets if answering else ():
        check_answers(target, option)
    if not agreed and any(costs_money(target, config) for target in targets):
        agree()
    return targets


def admit_unpaid(
    texts: Sequence[str], config: Config, verb: str, option: str = "--target", values: Mapping[str, str] | None = None
) -> list[Target]:
    """Targets of a verb that has neither an estimate nor a budget: what may cost money is refused.

    Raises:
        CommandError: the first that is not owned or may cost money; a paid API before so much as its name is looked up.
            One that does not answer (exit 5).
    """
    named = parse_targets(texts, values, option)
    for place in named:
        check_allowed(place, config, option)
        if is_paid_api(place):
            raise _keeps_no_budget(place, verb, option)
    targets = [admit(place, config, option) for place in named]
    for target in targets:
        check_answers(target, option)
        if costs_money(target, config):
            raise _keeps_no_budget(target, verb, option)
    return targets


def check_bind(address: str, config: Config, *, insecure: bool) -> None:
    """Refuse a master's address that is on a network which nobody said is encrypted.

    Raises:
        CommandError: no address, or a network that reads along.
    """
    _check_bind(address, config, "--master-bind", "messages and customers", insecure=insecure)


def check_metrics_bind(address: str, config: Config, *, insecure: bool) -> None:
    """The same for an address that serves /metrics: names of models, tools, errors and the scenario, and every rate.

    Raises:
        CommandError: no address, or a network that reads along.
    """
    _check_bind(address, config, "--metrics-host", "names and rates of the run", insecure=insecure)


def _check_bind(address: str, config: Config, option: str, what: str, *, insecure: bool) -> None:
    try:
        where = ip_address(address)
    except ValueError:
        raise CommandError(f"{option} {address!r}: expected an address of this machine, such as 10.8.0.1") from None
    if insecure or where.is_loopback or any(where in network for network in config.encrypted_networks):
        return
    raise CommandError(
        f"{option} {address}: {what} would cross the network unencrypted; bind 127.0.0.1 "
        f"behind a tunnel, an address of encrypted_networks in {FILE}, or type --insecure-network"
    )


def _keeps_no_budget(named: Named, verb: str, option: str) -> CommandError:
    free = "" if is_paid_api(named) else f", or, if it is free, list {origin(named.url)} under unpaid_targets in {FILE}"
    return CommandError(
        f"{option} {named.kind}={shown_url(named.url)}: its answers may be paid for by the token, and {verb} "
        f"keeps no budget; load it with `peakday run --live --budget-usd`{free}"
    )


def _resolved(host: str) -> tuple[str, ...]:
    """Every address of a host in the order in which they are to be tried, IPv4 first."""
    entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    ranked = sorted(entries, key=lambda entry: entry[0] != socket.AF_INET)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in ranked))


def _page_origin(url: str) -> str:
    """The origin of a URL as a page is fetched there, a socket's too."""
    return origin(url.replace("ws", "http", 1) if url.startswith("ws") else url)


def origin(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme in ("https", "wss") else 80)
    return f"{parts.scheme}://{(parts.hostname or '').rstrip('.')}:{port}"
