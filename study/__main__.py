"""Predict a real serving engine, then run it, then compare. By hand, on an idle machine, a phase at a time:

    shared/engine/vllm_cpu.sh serve DIR PORT    (EXTRA="--no-enable-prefix-caching --max-num-seqs 32
                                                  --max-num-batched-tokens 2048 --dtype float32")
    python -m study calibrate --shape small --url http://127.0.0.1:PORT/v1
    python -m study predict   --shape small          then commit docs/study/
    python -m study measure   --shape small --url http://127.0.0.1:PORT/v1
    python -m study table     --shape small          prints the table of docs/validation.md

Others need no engine: `python -m study engines` (calibration on random engines), `python -m study refusals` (are its
refusals right, and what ends them), `python -m study accelerators` (public measurements of real chips),
`python -m study public_points` (files of load points that others published), `python -m study step_models` and
`python -m study neuron_models` (those that plans use), `python -m study emulated` (`calibrate --target` against steps
that are known) and `python -m study router` (the weights of the assistant's router); each has a --help.

`--short`, given to every phase, is a study of two sessions (`calibrate`, then `measure`) of less than eight minutes.

The engine's scheduler spins on the core that the client shares with it; `--realtime` keeps the client's schedule there.
A phase leaves out what is there already, so it can be stopped and taken up again, on another day too. Run records
stay in --work; arrivals go to docs/study/arrivals.parquet, step model and predictions to docs/study/SHAPE: all of it is
committed before `measure`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from loadgen.record import load_run
from study import accelerators, emulated, engines, neuron_models, public_points, refusals, router, step_models
from study.arrivals import KEPT, Arrivals, keep_arrivals, read_arrivals
from study.load_steps import (
    LENGTH_MAX_S,
    MIXES,
    SHORT_LENGTH_S,
    LoadStep,
    draw_burst,
    draw_load_step,
    plan,
    short_plan,
)
from study.table import study_table

SEED = 20261123
BURST_CALLS = 150
MAX_NUM_SEQS, MAX_BATCHED_TOKENS = 32, 2048


@dataclass(frozen=True)
class Study:
    """Where everything of one model shape lies, and where its engine answers."""

    shape: str
    url: str
    work: Path
    core: str | None
    realtime: bool = False
    short: bool = False

    @property
    def plan(self) -> tuple[LoadStep, ...]:
        """Every load step."""
        return short_plan() if self.short else plan()

    def of_role(self, role: str) -> list[LoadStep]:
        """The load steps of a role."""
        return [step for step in self.plan if step.role == role]

    @property
    def kept(self) -> Path:
        """The folder that is committed."""
        return Path("docs/study") / self.shape

    def run_dir(self, name: str) -> Path:
        """A run record."""
        return self.work / self.shape / name

    def peakday(self, *arguments: object) -> None:
        """One peakday command, on the client's core when one is given; raises when it fails."""
        pin = ["taskset", "-c", self.core] if self.core else []
        pin = ["chrt", "--fifo", "1", *pin] if self.realtime else pin
        subprocess.run([*pin, sys.executable, "-m", "peakday", *map(str, arguments)], check=True)

    def arrivals(self, step: LoadStep) -> Path:
        """The file that a load step replays, from the kept arrivals."""
        return self._kept(step).write_csv(self.work / self.shape / f"{step.arrivals}.csv")

    def measure(self, step: LoadStep) -> Path:
        """The record of one load step."""
        return self.replay(self._kept(step), self.arrivals(step), step.name)

    def _kept(self, step: LoadStep) -> Arrivals:
        arrivals = read_arrivals(self.shape, step.arrivals)
        if arrivals is None:
            sys.exit(f"{KEPT}: no arrivals {step.arrivals} of {self.shape}; run the phase `calibrate` first")
        return arrivals

    def replay(self, arrivals: Arrivals, file: Path, name: str) -> Path:
        """The record of one replay; one that is finished and valid is left as it is, any other is made anew."""
        folder = self.run_dir(name)
        info = folder / "run.json"
        if info.is_file():
            record = json.loads(info.read_text())
            if record["state"] == "finished" and record["verdict"]["valid"]:
                return folder
            stamp = record["started_utc"].replace(":", "")
            folder.rename(folder.with_name(f"{name}.rejected-{stamp}"))
        folder.parent.mkdir(parents=True, exist_ok=True)
        target = ("--target", f"openai={self.url}", "--model", "custom")
        window = ("--window", f"0s:{arrivals.last_offset_s + 1:.0f}s")
        self.peakday("run", "smoke", "--arrivals", file, *window, *target, "--out", folder, "--quiet")
        return folder


def calibrate(study: Study) -> None:
    """Find the rate the engine can just keep up with, draw every load step, run those that are fitted, and fit."""
    study.kept.mkdir(parents=True, exist_ok=True)
    rates = {mix: keeps_up_per_s(study, mix) for mix in MIXES}
    longest_s = SHORT_LENGTH_S if study.short else LENGTH_MAX_S
    for step in study.plan:
        if read_arrivals(study.shape, step.arrivals) is None:
            keep_arrivals(study.shape, step.arrivals, draw_load_step(step, rates[step.mix], SEED, longest_s))
    folders = [study.measure(step) for step in study.of_role("calibrate")]
    model = study.kept / "step-model.json"
    if not model.exists():
        engine, version, blocks, block_tokens = engine_facts(study.url)
        limits = ("--max-num-seqs", MAX_NUM_SEQS, "--max-batched-tokens", MAX_BATCHED_TOKENS)
        memory = ("--block-tokens", block_tokens, "--kv-blocks", blocks)
        who = ("--model", "custom", "--chip", "cpu", "--engine", engine, "--engine-version", version)
        study.peakday("calibrate", *folders, *who, *limits, *memory, "--out", model)


def keeps_up_per_s(study: Study, mix: str) -> float:
    """Calls per second while a burst is worked off."""
    burst = draw_burst(MIXES[mix], BURST_CALLS, SEED)
    path = burst.write_csv(study.work / study.shape / f"{mix}-burst.csv")
    folder = study.run_dir(f"{mix}-burst")
    if not (folder / "run.json").is_file():
        try:
            study.replay(burst, path, f"{mix}-burst")
        except subprocess.CalledProcessError as error:
            if error.returncode != 3:  # a burst may void the generator's verdict; the rate is all that is read from it
                raise
    turns = load_run(folder).turns
    if not turns["status"].eq("ok").all():
        sys.exit(f"{folder}: {turns['status'].ne('ok').sum()} calls of the burst failed; the engine is too slow for it")
    return float(len(turns) / (turns["intended_start_s"] + turns["e2e_s"]).max())


def engine_facts(url: str) -> tuple[str, str, int, int]:
    """Engine, version, KV blocks and tokens a block, as the server itself states."""
    base = url.removesuffix("/v1")
    with urllib.request.urlopen(f"{base}/version", timeout=10) as answer:
        version = json.load(answer)["version"]
    with urllib.request.urlopen(f"{base}/metrics", timeout=10) as answer:
        line = next(row for row in answer.read().decode().splitlines() if row.startswith("vllm:cache_config_info{"))
    labels = dict(part.split("=", 1) for part in line[line.index("{") + 1 : line.rindex("}")].split(",") if "=" in part)
    return "vllm (CPU)", version, int(labels["num_gpu_blocks"].strip('"')), int(labels["block_size"].strip('"'))


def predict(study: Study) -> None:
    """A prediction of every load step that was not fitted, repeats excepted."""
    for step in study.of_role("held_out"):
        path = study.kept / f"{step.name}.prediction.json"
        if not path.exists():
            model = study.kept / "step-model.json"
            study.peakday("plan", "predict", model, "--arrivals", study.arrivals(step), "--out", path)


def measure(study: Study) -> None:
    """Run the load steps that were predicted, and the repeats."""
    for step in study.of_role("held_out"):
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", str(study.kept), str(KEPT)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        if changed:
            sys.exit(f"{study.kept}: commit it before its load steps are run")
        study.measure(step)
    for step in study.of_role("repeat"):
        study.measure(step)


def table(study: Study) -> None:
    """Print the table of docs/validation.md, and keep it as JSON."""
    text, data = study_table(study.kept, study.work / study.shape, study.plan)
    (study.kept / "table.json").write_text(json.dumps(data, indent=1, allow_nan=False) + "\n")
    print(text)


OTHER_STUDIES = {
    "accelerators": accelerators.main,
    "emulated": emulated.main,
    "engines": engines.main,
    "neuron_models": neuron_models.main,
    "public_points": public_points.main,
    "refusals": refusals.main,
    "router": router.main,
    "step_models": step_models.main,
}


def main() -> None:
    """One phase of one shape, or a study that needs no engine."""
    if len(sys.argv) > 1 and sys.argv[1] in OTHER_STUDIES:
        OTHER_STUDIES[sys.argv[1]](sys.argv[2:])
        return
    phases = {"calibrate": calibrate, "predict": predict, "measure": measure, "table": table}
    parser = argparse.ArgumentParser(prog="python -m study")
    parser.add_argument("phase", choices=phases)
    parser.add_argument("--shape", default="small", help="name of the model shape that is served")
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--work", type=Path, default=Path("runs/study"), help="where run records stay")
    parser.add_argument("--core", default="0", help="core of the client; empty: any")
    parser.add_argument("--short", action="store_true", help="two sessions of less than eight minutes each")
    parser.add_argument("--realtime", action="store_true", help="the client goes before all else on its core (chrt)")
    chosen = parser.parse_args()
    if chosen.core and not shutil.which("taskset"):
        sys.exit("taskset is missing; give --core ''")
    try:
        phases[chosen.phase](
            Study(chosen.shape, chosen.url, chosen.work, chosen.core or None, chosen.realtime, chosen.short)
        )
    except subprocess.CalledProcessError as error:
        sys.exit(f"stopped: {' '.join(error.cmd[2:])} exited {error.returncode}; fix it and start this phase again")


if __name__ == "__main__":
    main()
