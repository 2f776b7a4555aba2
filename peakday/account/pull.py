"""`aws pull`: quotas.yaml, prices.csv and usage.csv of an account in one dated folder, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from facts.account import usage_text
from facts.reader import instances, models
from host.atomic import folder_aside
from peakday.account import clients
from peakday.account.prices import differences, prices_text, pull_prices
from peakday.account.quotas import pull_quotas, quotas_text
from peakday.account.usage import Window, check_window, pull_usage
from peakday.consent import Consent, require_live
from peakday.console import Console
from peakday.errors import CommandError
from peakday.quantities import duration_s

FOLDER = "aws"
COST = "at most a few cents (CloudWatch charges 0.01 USD per 1,000 metrics read); it changes nothing"


@dataclass(frozen=True)
class Ask:
    """What to pull. instances empty: every type with an AWS chip that peakday knows."""

    regions: tuple[str, ...]
    window: Window
    instances: tuple[str, ...] = ()
    out: Path | None = None


def pull(ask: Ask, consent: Consent, now: datetime, console: Console) -> tuple[str, dict[str, object]]:
    """Read the account and write the folder; nothing is written when any part fails.

    Raises:
        CommandError: without consent, an unknown instance, a folder that is there, or anything that AWS refuses.
    """
    chosen = _instances(ask.instances)
    check_window(ask.window, now)
    folder = ask.out or Path(FOLDER) / now.strftime("%Y-%m-%dT%H%MZ")
    if folder.exists():
        raise CommandError(f"{folder}: already here; choose another --out")
    what = f"quotas, prices and usage of your account in {', '.join(ask.regions)}"
    require_live(consent, what, COST, console)
    known = models()
    rows, notes = pull_quotas(clients.connect, ask.regions)
    console.say(f"{len(rows):,} quotas")
    prices, missing = pull_prices(clients.connect, ask.regions, known, chosen)
    console.say(f"{len(prices):,} prices")
    minutes = pull_usage(clients.connect, ask.regions, known, ask.window)
    if not minutes:
        notes.append(f"no call in {ask.window}: usage.csv has its header only, and no plan takes it")
    stamp = now.isoformat(timespec="seconds")
    texts = {
        "quotas.yaml": quotas_text(rows, stamp),
        "prices.csv": prices_text(prices),
        "usage.csv": usage_text(minutes, f"CloudWatch {', '.join(ask.regions)}, pulled {stamp}"),
    }
    notes += [*missing, *differences(prices, known)]
    info = {"schema": "peakday.pull/1", "pulled_utc": stamp, "regions": ask.regions, "window": str(ask.window)}
    counts = {"quotas": len(rows), "prices": len(prices), "minutes": len(minutes)}
    write_whole(folder, texts | {"pull.json": json.dumps({**info, **counts, "notes": notes}, indent=1) + "\n"})
    summary = f"{counts['quotas']:,} quotas, {counts['prices']:,} prices, {counts['minutes']:,} rows of usage"
    text = "\n".join([summary, *notes, f"{folder}/quotas.yaml, prices.csv, usage.csv"])
    return text, {"folder": str(folder), **counts, "notes": notes}


def past_window(last: str, until: str | None, now: datetime) -> Window:
    """The usage window of `--last` and `--until`, on whole minutes; raises `CommandError`."""
    end = now
    if until is not None:
        try:
            end = datetime.fromisoformat(until.replace("Z", "+00:00"))
        except ValueError:
            raise CommandError(f"--until {until!r}: no time such as 2026-11-01T12:00Z") from None
        end = end.replace(tzinfo=UTC) if end.tzinfo is None else end.astimezone(UTC)
    if end > now:
        raise CommandError(f"--until {until}: lies in the future")
    end = end.replace(second=0, microsecond=0)
    return Window(end - timedelta(seconds=duration_s(last, "--last")), end)


def write_whole(folder: Path, texts: Mapping[str, str]) -> None:
    """Write every file aside, then put the folder in place by one rename."""
    with folder_aside(folder) as aside:
        for name, text in texts.items():
            (aside / name).write_text(text, encoding="utf-8")


def newest(name: str, base: Path | None = None) -> Path | None:
    """The file of that name in the newest pull under `aws/`; None where nothing was pulled."""
    pulls = sorted((base or Path()).glob(f"{FOLDER}/*/{name}"))
    return pulls[-1] if pulls else None


def _instances(asked: Sequence[str]) -> tuple[str, ...]:
    known = instances()
    for name in asked:
        if name not in known:
            raise CommandError(f"--instance {name}: not in facts/data/instances.csv; known: {', '.join(known)}")
    aws = tuple(name for name in known if name.startswith(("inf", "trn")) and "ultraserver" not in name)
    return tuple(asked) or aws
