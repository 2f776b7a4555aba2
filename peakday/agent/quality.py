"""`assistant quality`: sampled turns of a run, judged off the measured path, summed up as quality.yaml."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from assistant.errors import AssistantError
from assistant.quality.exact import exact_lines, exact_table
from assistant.quality.judge import write_judgements
from assistant.quality.judge_client import Judge, expected_usd, judge_all, rehearsed_verdicts, within
from assistant.quality.sample_buffer import SampledTurn, read_samples
from assistant.quality.summary import quality_rows, with_assumed, write_quality
from facts import reader
from facts.reader import Model
from host.errors import Exit
from host.json_values import number
from loadgen.record import read_document
from loadgen.run_info import write_json
from peakday.config import load_config
from peakday.consent import NO_CONSENT, Consent, require_live
from peakday.console import Console
from peakday.errors import CommandError
from peakday.guard import admit, check_answers
from peakday.records.folders import find_record, relative
from peakday.stack.local import Stack
from peakday.stack.real_models import own_models, real_models
from peakday.stack.resolved import open_stack, resolve
from slo.bounds import wilson

SAMPLES, JUDGEMENTS, QUALITY = "judge-spool.jsonl", "judgements.parquet", "quality.yaml"
SCENARIO = "smoke"
"""Whose emulator judges when no real model does."""


@dataclass(frozen=True)
class JudgeOptions:
    """How to judge. `out` None: quality.yaml beside the judgements."""

    model: str = "claude-sonnet"
    region: str = "us-east-1"
    out: Path | None = None
    consent: Consent = NO_CONSENT
    budget_usd: float | None = None
    openai_url: str | None = None


def keep_sample(stack: Stack, run_dir: Path, *, judge_ratio: float, keep_text: bool, console: Console) -> None:
    """Take a run's sampled turns into its record before the stack's folder goes: they are texts, so only if kept."""
    samples = stack.file.with_name(SAMPLES)
    if judge_ratio > 0 and not keep_text:
        console.say(
            "assistant.judge_ratio: the sampled turns are texts and are not kept; add --keep-text to judge them"
        )
    elif samples.exists():
        shutil.copyfile(samples, run_dir / SAMPLES)


def judge_run(
    wanted: str, options: JudgeOptions, *, seed: int | None, console: Console
) -> tuple[str, dict[str, object]]:
    """Judge a run's sample, or a file of samples; the text to print, and the same as data.

    Writes judgements.parquet beside the samples, quality.yaml, and for a run the block `judged` of run.json.

    Raises:
        CommandError: nothing was sampled, the model is unknown, a real judge was not agreed to, or none gave a verdict.
    """
    samples = Path(wanted) if wanted.endswith(".jsonl") else find_record("runs", wanted) / SAMPLES
    sampled = read_samples(samples)
    if not sampled:
        raise CommandError(f"{samples}: no sampled turn; run with --set assistant.judge_ratio=0.1 --keep-text")
    model = known_model(options.model)
    turns = within(sampled, model, options.budget_usd)
    judged = judge_turns(turns, model, options, seed=seed, console=console)
    path = write_judgements(samples.with_name(JUDGEMENTS), judged)
    summary = summary_of(judged, model, left_out=len(sampled) - len(turns))
    note_in_record(samples.parent, summary)
    try:
        rows = quality_rows(judged)
    except AssistantError as error:
        raise CommandError(f"{relative(path)}: {error}", Exit.INCONCLUSIVE) from None
    source = f"{model.key} judged {len(judged)} turns of {samples.parent.name}"
    table = with_assumed(rows, reader.quality())
    quality = write_quality(options.out or samples.with_name(QUALITY), table, source, datetime.now(UTC).date())
    files = {"judgements": str(relative(path)), "quality": str(relative(quality))}
    exact = exact_table(sampled)
    text = "\n".join([*exact_lines(exact), *lines(summary, rows, files)])
    return text, {**summary, "exact": exact, "rows": rows, **files}


def known_model(key: str) -> Model:
    """A model of models.yaml."""
    known = reader.models()
    if key not in known:
        raise CommandError(f"--judge {key}: not in models.yaml; known: {', '.join(known)}")
    return known[key]


def judge_turns(
    turns: Sequence[SampledTurn], model: Model, options: JudgeOptions, *, seed: int | None, console: Console
) -> list[dict[str, object]]:
    """Verdicts of a real model when that is agreed to, else of an emulated one started for it."""
    if options.consent.live:
        require_live(options.consent, f"{len(turns)} verdicts of {model.key}", price(turns, model), console)
        real = real_models(options.openai_url)
        for named in own_models(real):
            check_answers(admit(named, load_config(), "--openai-url"))
        return judge_all(turns, Judge(model, options.region, True, real.bedrock_url, real.openai_url))
    console.say(f"{model.key} is emulated here: its verdicts are SIMULATED and say nothing about quality; see --live")
    return rehearse_verdicts(turns, model, options.region, seed=seed, console=console)


def rehearse_verdicts(
    turns: Sequence[SampledTurn], model: Model, region: str, *, seed: int | None, console: Console
) -> list[dict[str, object]]:
    """Verdicts of an emulated model: acceptable as often as quality.yaml assumes, to try what reads them."""
    assumed = {(row.model, row.complexity): row.acceptable_ratio for row in reader.quality() if row.intent == "any"}
    resolved = resolve(SCENARIO, [], seed)
    with tempfile.TemporaryDirectory(prefix="peakday-judge-") as folder:
        words = Path(folder) / "conversations.yaml"
        words.write_text(json.dumps(rehearsed_verdicts(turns, assumed)))  # JSON is YAML
        world = replace(resolved.world, conversations=words)
        with open_stack(replace(resolved, world=world), console=console) as stack:
            where = Judge(model, region, False, stack.endpoints["bedrock"], stack.endpoints["openai"])
            return judge_all(turns, where)


def price(turns: Sequence[SampledTurn], model: Model) -> str:
    """What judging is expected to cost, as words."""
    usd = expected_usd(turns, model)
    return "no token price" if usd is None else f"{usd[1]:.4f} USD ({usd[0]:.4f} to {usd[2]:.4f}), list prices"


def summary_of(judged: Sequence[dict[str, object]], model: Model, *, left_out: int) -> dict[str, object]:
    """What was judged as a whole, with its own cost: it is no part of what the run cost."""
    verdicts = [bool(row["acceptable"]) for row in judged if row["acceptable"] is not None]
    low, high = wilson(sum(verdicts), len(verdicts)) if verdicts else (None, None)
    return {
        "judge": model.key,
        "simulated": any(bool(row["simulated"]) for row in judged),
        "turns": len(judged),
        "verdicts": len(verdicts),
        "acceptable_ratio": {"value": sum(verdicts) / len(verdicts) if verdicts else None, "lo": low, "hi": high},
        "cost_usd": sum(number(row["cost_usd"]) for row in judged),
        "left_out_by_budget": left_out,
    }


def note_in_record(folder: Path, summary: Mapping[str, object]) -> None:
    """The summary as block `judged` of a run's run.json; beside samples of no run, nothing."""
    if (folder / "run.json").is_file():
        write_json(folder / "run.json", {**read_document(folder), "judged": summary})


def lines(summary: Mapping[str, object], rows: Sequence[Mapping[str, object]], files: dict[str, str]) -> list[str]:
    """The verdicts by model, the judge's own cost, and where they lie."""
    text = [f"{'acceptable by model':<22} {'complexity':<10} {'share':>6}  95% interval     n"]
    text += [
        f"{row['model']:<22} {row['complexity']:<10} {row['acceptable_ratio']:6.2f}"
        f"  {row['low']:.2f} to {row['high']:.2f} {row['n']:8d}  {row['provenance']}"
        for row in rows
        if row["intent"] == "any"
    ]
    text.append(f"judge      {summary['judge']}: {summary['verdicts']} verdicts of {summary['turns']} turns")
    text.append(f"cost       {summary['cost_usd']:.6f} USD of the judge's own, in no figure of the run")
    if summary["left_out_by_budget"]:
        text.append(f"left out   {summary['left_out_by_budget']} sampled turns, to stay within --budget-usd")
    text += [f"{name:<10} {path}" for name, path in files.items()]
    if summary["simulated"]:
        text.append("SIMULATED: an emulated model judged; no share here is a quality")
    return text
