"""`calibrate --target` against the emulator, whose step times are known: does its sentence hold?

    python -m study emulated [--for 5m] [--slo "ttft_s_p99 <= 1"]

One replica of custom-8b is emulated on this machine, driven and fitted as a newcomer would, and the rate in the
sentence is put beside the one that the emulator's own steps keep, simulated with the same lengths. It wants an
otherwise idle machine.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace

from capacity.calibration.observed import observed_calls
from capacity.simulator.rate_at_slo import Lengths, rate_at_slo
from emulator.profiles import EnginePhysics, read_profiles
from host.errors import PeakdayError
from host.json_values import items
from loadgen.record import load_run
from neuron_bench.step_model import Coefficients, StepModel, read_step_model
from peakday.consent import NO_CONSENT
from peakday.console import Console
from peakday.demo import MODEL, ONE_REPLICA, SCENARIO
from peakday.plan.driven_calibration import SLO_SAMPLE, calibrate_target, sweep_of
from peakday.plan.step_models import EngineFacts
from peakday.stack.resolved import open_stack, resolve
from slo.slo import parse_slo

SENTENCE = re.compile(r"up to ([\d.]+)/s \(([\d.]+) to ([\d.]+)/s, 90%\)")


def known_steps(like: StepModel) -> StepModel:
    """The emulator's own steps and limits, as a step model."""
    physics = read_profiles()[MODEL].physics
    assert isinstance(physics, EnginePhysics)
    return replace(
        like,
        buckets=(Coefficients(physics.a, physics.b, physics.e, physics.c, physics.d),),
        max_num_seqs=physics.max_num_seqs, max_batched_tokens=physics.max_batched_tokens,
        block_tokens=physics.block_tokens, kv_blocks=physics.kv_blocks,
        ttft_overhead_s=physics.ttft_overhead_s, ttft_overhead_s_per_token=0.0,
    )  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Drive, fit, and compare."""
    parser = argparse.ArgumentParser(prog="python -m study emulated", description=__doc__)
    parser.add_argument("--for", dest="length", default="5m")
    parser.add_argument("--slo", default="ttft_s_p99 <= 1")
    chosen = parser.parse_args(arguments)
    console = Console(False, False)
    facts = EngineFacts(MODEL, "cpu", None, None, "emulator", "1", None, None, 16, None)
    with open_stack(resolve(SCENARIO, [], 1), profiles=ONE_REPLICA, console=console) as stack:
        sweep = sweep_of(
            f"openai={stack.endpoints['openai']}", MODEL, chosen.length, 5_000, (400, 100), chosen.slo, 1, NO_CONSENT
        )
        try:
            text, data = calibrate_target(sweep, facts, sweep.folder / "step-model.json", console)
        except PeakdayError as refusal:
            sys.exit(f"refused: {refusal}")
    print(text)
    runs = [observed_calls(load_run(path), MODEL) for path in map(str, items(data["runs"]))]
    engine = known_steps(read_step_model(str(data["step_model"])))
    lengths = Lengths(runs[0].input_tokens, runs[0].output_tokens, runs[0].cached_tokens)
    true = rate_at_slo(lengths, engine, [parse_slo(chosen.slo, "--slo")], n=SLO_SAMPLE, seed=1).rate_per_s
    print(f"\nthe emulator's own steps keep {chosen.slo} up to {true:.3g}/s")
    if match := SENTENCE.search(str(data["sentence"])):
        rate, low, high = (float(value) for value in match.groups())
        where = "inside" if low <= true <= high else "OUTSIDE"
        print(f"the sentence says {rate:.3g}/s, {rate / true - 1:+.1%}; the emulator's own is {where} its range")
