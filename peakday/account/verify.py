"""`verify-on-bedrock`: the documented rules against what answers, and a profile for the emulator."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from facts.reader import Model, models
from host.control_token import control_headers
from host.errors import Exit
from host.ports import is_loopback_url
from peakday.account import bedrock_rules as rules
from peakday.account.bedrock_calls import Bedrock
from peakday.account.first_tokens import Shape, expected_ttft_s, measure, shape, write_profile
from peakday.config import load_config
from peakday.consent import Consent, require_live
from peakday.console import Console
from peakday.errors import CommandError
from peakday.guard import admit, check_allowed, check_answers, parse_targets
from wire.sigv4 import Credentials

PER_MILLION = 1e-6


@dataclass(frozen=True)
class Verification:
    """What was asked. target None: Bedrock itself, in `region`."""

    target: str | None
    model: str
    region: str
    budget_usd: float
    wait_ttl: bool
    throttle: bool
    calls: int
    out: Path | None
    seed: int


def verify(asked: Verification, consent: Consent, console: Console) -> tuple[str, dict[str, object], Exit]:
    """Try every rule once, then time first tokens. Exit 1 when something differs from what is documented.

    Raises:
        CommandError: an unknown model, no consent, a budget below what it may cost, or nothing that answers.
    """
    model = models().get(asked.model)
    if model is None or model.supply != "bedrock":
        known = ", ".join(key for key, item in models().items() if item.supply == "bedrock")
        raise CommandError(f"--model {asked.model}: no Bedrock model of models.yaml; known: {known}")
    if asked.out is not None and asked.out.exists():
        raise CommandError(f"{asked.out}: already here; choose another --out")
    bedrock, local_url = endpoint(asked, model, consent, console)
    texts = rules.calibrate(bedrock)
    if isinstance(texts, str):
        raise CommandError(f"{model.model_id}: the first call was refused: {texts}", Exit.ENVIRONMENT)
    console.say(f"trying the rules of {model.stands_for}")
    findings = tried(bedrock, texts, model, asked, local_url)
    console.say(f"timing {asked.calls} short prompts, and half as many long and cached ones")
    short, long, cached, answer = measure(bedrock, texts, model, asked.calls)
    findings += [rules.event_order(answer.events), rules.filler(answer.events)]
    figures = shape(short, long, cached, asked.seed)
    if asked.out is not None and figures is not None:
        where = "the emulator" if bedrock.simulated else f"Bedrock {asked.region}"
        source = f"verify-on-bedrock, {where}, {time.strftime('%Y-%m-%d', time.gmtime())}, {figures.calls} calls"
        write_profile(asked.out, model, figures, texts, source)
    return report(findings, figures, model, bedrock, asked, short.uncached_tokens)


def endpoint(asked: Verification, model: Model, consent: Consent, console: Console) -> tuple[Bedrock, str | None]:
    """The endpoint, allowed and paid for; with its URL where it is the emulator on loopback, which costs nothing."""
    what = f"about {calls_of(asked):,} calls of {model.model_id} in {asked.region}"
    usd = cost_usd_max(asked, model)
    if asked.target is not None:
        (named,) = parse_targets([asked.target])
        if named.kind != "bedrock":
            raise CommandError(f"--target {asked.target}: expected bedrock=URL")
        check_allowed(named, load_config())
        if is_loopback_url(named.url):
            check_answers(admit(named, load_config()))
            return Bedrock(named.url, asked.region, model.model_id, Credentials("test", "test")), named.url
        url = named.url
    else:
        url = f"https://bedrock-runtime.{asked.region}.amazonaws.com"
    if usd > asked.budget_usd:
        raise CommandError(
            f"{what}: may cost {usd:.2f} USD, over --budget-usd {asked.budget_usd:g}; ask for fewer calls"
        )
    require_live(consent, what, f"at most {usd:.2f} USD, list prices", console)
    return Bedrock(url, asked.region, model.model_id, account_keys()), None


def account_keys() -> Credentials:
    """The shell's own credentials; never printed."""
    import boto3

    credentials = boto3.Session().get_credentials()
    if credentials is None:
        raise CommandError(
            "no usable AWS credentials here; sign in, or name a profile with AWS_PROFILE", Exit.ENVIRONMENT
        )
    return Credentials.of(credentials)


def calls_of(asked: Verification) -> int:
    """Calls of a verification, rounded up."""
    return 25 + 2 * asked.calls + 2 + (rules.BURST if asked.throttle else 0)


def cost_usd_max(asked: Verification, model: Model) -> float:
    """Upper bound at list prices: every call as long as the longest prompt, written anew, with its longest answer."""
    prices = model.prices
    if prices is None:
        raise CommandError(f"{model.key}: no list price, so no bound on what it costs")
    dearest = max(
        prices.input_usd_per_mtok, prices.cache_write_5m_usd_per_mtok or 0.0, prices.cache_write_1h_usd_per_mtok or 0.0
    )
    prompt = 4.5 * (model.cache.min_tokens or 1_000)
    each = prompt * dearest + rules.OUTPUT_TOKENS * prices.output_usd_per_mtok
    return calls_of(asked) * each * PER_MILLION


def tried(
    bedrock: Bedrock, texts: rules.Texts, model: Model, asked: Verification, local_url: str | None
) -> list[rules.Finding]:
    """Every rule but those of a stream, in an order in which none spoils the next."""
    return [
        rules.usage_fields(bedrock, texts),
        rules.write_then_read(bedrock, texts, model),
        rules.write_details(bedrock, texts, model),
        rules.minimum(bedrock, texts, model),
        *rules.refusals(bedrock, texts, model),
        rules.expiry(bedrock, texts, model, waiter(asked, local_url)),
        throttled(bedrock, texts, model, asked, local_url),
    ]


def waiter(asked: Verification, local_url: str | None) -> Callable[[float], str | None]:
    """Let time pass: the emulator's clock is moved, a provider's is waited out where that was asked for."""

    def wait(seconds: float) -> str | None:
        if local_url is not None and control(local_url, "clock", {"advance_s": seconds}):
            return None
        if not asked.wait_ttl:
            return f"not tried: --wait-ttl waits {seconds / 60:.0f} minutes for it"
        time.sleep(seconds)
        return None

    return wait


def throttled(
    bedrock: Bedrock, texts: rules.Texts, model: Model, asked: Verification, local_url: str | None
) -> rules.Finding:
    """A refusal by quota. The emulator is granted one request a minute for it; an account only when asked for."""
    if local_url is not None and control(local_url, "quotas", {model.key: {"rpm": 1}}):
        try:
            answers = [bedrock.converse(rules.request()) for _ in range(2)]
        finally:
            control(local_url, "quotas", {})
        return rules.throttle_shape(answers[-1])
    if not asked.throttle:
        why = "not tried: --throttle reserves much of the account's quota for a moment, which other traffic feels"
        return rules.throttle_shape(None, why)
    body = rules.request("Reply with OK.", max_tokens=model.max_output_tokens)
    with ThreadPoolExecutor(rules.BURST) as pool:
        burst = list(pool.map(lambda _: bedrock.converse(body), range(rules.BURST)))
    refused = next((answer for answer in burst if answer.status != 200), None)
    return rules.throttle_shape(refused, f"{rules.BURST} requests at once were all answered: the quota holds more")


def control(url: str, name: str, body: object) -> bool:
    """Set it in the emulator; False where it has no such control."""
    data = json.dumps(body).encode()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        headers = {"Content-Type": "application/json", **control_headers(url)}
        connection.request("POST", f"/control/{name}", data, headers)
        with connection.getresponse() as answer:
            return answer.status == 200
    except OSError:
        return False
    finally:
        connection.close()


def report(
    found: list[rules.Finding],
    figures: Shape | None,
    model: Model,
    bedrock: Bedrock,
    asked: Verification,
    short_tokens: float,
) -> tuple[str, dict[str, object], Exit]:
    """The table, the figures, and the verdict: 1 where anything differs."""
    differing = [item for item in found if item.agrees is False]
    marks = {True: "as documented", False: "DIFFERS", None: "not tried"}
    who = "SIMULATED: the emulator for" if bedrock.simulated else "real"
    lines = [f"{who} {model.stands_for}, {asked.region}, {bedrock.calls} calls"]
    for item in found:
        lines.append(f"  {item.rule:<24} {marks[item.agrees]:<14} {item.found}")
        if item.agrees is False:
            lines.append(f"  {'':<24} {'expected':<14} {item.documented}")
    lines += _figure_lines(figures, model, short_tokens)
    lines.append(f"{len(differing)} of {sum(item.agrees is not None for item in found)} rules differ")
    if asked.out is not None and figures is not None:
        lines.append(f"{asked.out}")
    data = {
        "model": model.key,
        "simulated": bedrock.simulated,
        "calls": bedrock.calls,
        "findings": [asdict(item) for item in found],
        "figures": asdict(figures) if figures else None,
        "profile": str(asked.out) if asked.out and figures else None,
    }
    return "\n".join(lines), data, Exit.GATE_FAILED if differing else Exit.OK


def _figure_lines(figures: Shape | None, model: Model, short_tokens: float) -> list[str]:
    if figures is None:
        return ["  first tokens             too few answers came to time them"]
    expected = expected_ttft_s(model, short_tokens)
    low, high = figures.ttft_range_s
    beside = "" if expected is None else f"; the emulator's profile says {expected:.3f} s"
    return [
        f"  first token, {short_tokens:,.0f} tokens  p50 {figures.ttft_s_p50:.3f} s ({low:.3f} to {high:.3f}), "
        f"p90 {figures.ttft_s_p90:.3f} s{beside}",
        f"  per token of input       {figures.per_uncached_token_s:.2g} s new, "
        f"{figures.per_cached_token_s:.2g} s cached",
        f"  gap between events       {figures.gap_s * 1000:.1f} ms",
    ]
