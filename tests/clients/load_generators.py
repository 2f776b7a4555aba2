"""Load generators of others against the emulator: each runs a few requests, and its own report is read."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).parent / "scripts"
REQUESTS = 5
_TIMEOUT_S = 900


def guidellm(interpreter: Path, url: str, folder: Path) -> None:
    """GuideLLM with synthetic prompts; five requests completed, none in error."""
    out = folder / "guidellm.json"
    _run([interpreter.parent / "guidellm", "run", "--backend", f"kind=openai_http,target={url},model=custom-8b",
          "--profile", "kind=synchronous", "--constraint", f"kind=max_requests,count={REQUESTS}",
          "--tokenizer", f"kind=huggingface_auto,model={_tokenizer(interpreter, folder)}",
          "--data", "kind=synthetic_text,prompt_tokens=64,output_tokens=16", "--output", f"kind=json,path={out}",
          "--disable-console-interactive"], folder, offline=True)  # fmt: skip
    totals = json.loads(out.read_text())["benchmarks"][0]["metrics"]["request_totals"]
    assert (totals["successful"], totals["errored"]) == (REQUESTS, 0), totals


def aiperf(interpreter: Path, url: str, folder: Path) -> None:
    """AIPerf, streaming; five requests completed, each with a first token."""
    out = folder / "aiperf"
    _run([interpreter.parent / "aiperf", "profile", "--model", "custom-8b", "--url", url, "--endpoint-type", "chat",
          "--streaming", "--tokenizer", _tokenizer(interpreter, folder), "--request-count", str(REQUESTS),
          "--concurrency", "2", "--ui", "none", "--output-artifact-dir", out], folder, offline=False)  # fmt: skip
    report = json.loads((out / "profile_export_aiperf.json").read_text())
    assert report["request_latency"]["count"] == REQUESTS, report["request_latency"]
    assert report["time_to_first_token"]["min"] > 0


@dataclass(frozen=True)
class Generator:
    """Its name, and what it does with (its interpreter, URL of the emulator, a folder of its own)."""

    client: str
    check: Callable[[Path, str, Path], None]


GENERATORS = {"guidellm": Generator("GuideLLM", guidellm), "aiperf": Generator("AIPerf", aiperf)}


def _tokenizer(interpreter: Path, folder: Path) -> Path:
    """A tokenizer of our own: theirs would be downloaded."""
    made = folder / "tokenizer"
    _run([interpreter, SCRIPTS / "tokenizer.py", made], folder, offline=True)
    return made


def _run(command: list[object], folder: Path, *, offline: bool) -> None:
    """Raise with the last line of what it printed, when it fails."""
    hidden = {"HF_HUB_OFFLINE": "1"} if offline else {}  # AIPerf takes a folder for a repository when it is offline
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env=os.environ | hidden, capture_output=True, text=True,
        timeout=_TIMEOUT_S,
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise RuntimeError(lines[-1] if lines else f"exit code {done.returncode}")
