"""`run --replay`: a trace's sessions as the load of a run, and its hit rates beside the target's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from capacity.caching.replayed import ENGINE_BLOCK_TOKENS, policy_hits
from loadgen.job import Load
from loadgen.record import load_run
from loadgen.run_info import ReplayHits, write_info
from peakday.records.folders import cache_folder
from scenarios.replay.file import read_plan, write_plan
from scenarios.replay.plan import ReplayPlan, plan_replay
from scenarios.traces.sessions import read_trace

BY_CALL = ("openai", "bedrock")
"""Targets that are a model's server: they get the trace's calls one by one."""


def drives_models(targets: Sequence[str]) -> bool:
    """Whether every named target is a model's server; without one it is our assistant."""
    return bool(targets) and all(target.partition("=")[0] in BY_CALL for target in targets)


def returns_token_ids(targets: Sequence[str]) -> bool:
    """Whether every target can take its own answers back by token id; one that returns none gets the trace's."""
    return bool(targets) and all(target.startswith("openai=") for target in targets)


def planned(
    files: Sequence[Path],
    targets: Sequence[str],
    *,
    window: tuple[float, float] | None,
    rate_per_s: float | None,
    for_s: float | None,
    scale: float,
    seed: int,
    live_output: bool | None,
) -> tuple[Path, ReplayPlan]:
    """The file of what is replayed, and its content.

    Raises:
        ScenarioError: files that cannot be read, or nothing in the window.
    """
    plan = plan_replay(
        read_trace(files), window=window, rate_per_s=rate_per_s, for_s=for_s, scale=scale, seed=seed,
        by_call=drives_models(targets),
        live_output=returns_token_ids(targets) if live_output is None else live_output,
    )  # fmt: skip
    return write_plan(plan, cache_folder() / "replays"), plan


def plan_notes(plan: ReplayPlan) -> tuple[str, ...]:
    """What is replayed, and what a reader of the trace doubts."""
    before = sum(session.began_before for session in plan.sessions)
    what = "model calls, one by one" if plan.by_call else "messages, whose model calls are the target's own"
    begun = f", {before} of which began before the window" if before else ""
    head = f"replay of a trace ({plan.form}): {len(plan.sessions)} sessions{begun}, {plan.calls} {what}"
    words = (
        () if plan.by_call else ("a trace holds no words: messages are the world's, in the trace's order and times",)
    )
    history = ("sessions that began before the window have no history on this target",) if before and words else ()
    return (head, *words, *history, *plan.notes)


def longest_call(file: str) -> tuple[int, int]:
    """The most prompt and answer tokens of a planned call."""
    calls = [call for session in read_plan(Path(file)).sessions for call in session.calls]
    return max(call.input_tokens for call in calls), max(call.output_tokens for call in calls)


def add_hits(load: Load, run_dir: Path, cache_tokens: int | None, block_tokens: int = ENGINE_BLOCK_TOKENS) -> None:
    """Write the trace's hit rates into the record of its replay, beside what the target counted."""
    if load.replay_file is None:
        return
    plan = read_plan(Path(load.replay_file))
    columns = {
        "turns": ("session_id", "interaction_id", "turn_index", "intended_start_s", "start_lag_s"),
        "calls": ("input_tokens", "cache_read_tokens"),
    }
    run = load_run(run_dir, columns)
    turns = run.turns[run.turns["start_lag_s"].notna()]
    places = turns["session_id"].str.removeprefix("s").astype(int)
    trace_turns = turns["interaction_id"].str.rsplit("-", n=1).str[-1].astype(int)
    at_s = turns["intended_start_s"] + turns["start_lag_s"]
    sent = list(zip(at_s, places, trace_turns, turns["turn_index"].astype(int), strict=True))
    calls = run.calls[run.calls["cache_read_tokens"].notna()]
    read, rest = float(calls["cache_read_tokens"].sum()), float(calls["input_tokens"].sum())
    hits = ReplayHits(
        form=plan.form,
        sessions=len(plan.sessions),
        began_before=sum(session.began_before for session in plan.sessions),
        calls=plan.calls,
        sent=len(turns),
        policies=policy_hits(plan, sent, cache_tokens, block_tokens) if plan.by_call else {},
        measured=read / (read + rest) if read + rest else None,
        live_output=plan.live_output and not run.info.simulated,
    )
    write_info(run_dir, replace(run.info, replay=hits))


def hits_line(hits: ReplayHits) -> str:
    """Both hit rates in one line."""
    theory = ", ".join(f"{name} {ratio:.1%}" for name, ratio in hits.policies.items()) or "none without its prompts"
    measured = "not counted by the target" if hits.measured is None else f"{hits.measured:.1%} of prompt tokens"
    begun = f" ({hits.began_before} began before the window)" if hits.began_before else ""
    live = "; where the target returned its answers' token ids, they stood in later prompts" if hits.live_output else ""
    return (
        f"replay: {hits.sent:,} of {hits.calls:,} calls of {hits.sessions:,} sessions{begun} sent; "
        f"prefix hits measured {measured}, by the exact policies {theory}{live}"
    )
