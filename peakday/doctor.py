"""What is here, what is missing, and how to fix it. Looks only; changes nothing and calls no network."""

from __future__ import annotations

import importlib
import importlib.util
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from host.environment import host_facts
from host.ports import listen
from loadgen.analysis.self_check import SelfCheck, self_check
from neuron_bench.device.probe import probe
from peakday.config import Config
from peakday.console import Console
from peakday.guard import Named, admit
from peakday.run.load import LoadOptions, load_of, make_job, on_targets
from peakday.stack.local import Stack
from peakday.stack.resolved import Resolved, open_stack, resolve

OPEN_FILES_WANTED = 4_096
"""One connection is one open file; the generator keeps a few thousand at once on one machine."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `ok` None: a remark, neither good nor bad."""

    what: str
    found: str
    ok: bool | None
    fix: str = ""


def examine() -> list[Finding]:
    """Everything that decides what peakday can do on this machine."""
    return [*_machine(), *_packages(), *_limits(), *_aws(), *_devices()]


def _machine() -> Iterator[Finding]:
    facts = host_facts()
    supported = (3, 11) <= sys.version_info[:2] <= (3, 14)
    yield Finding("python", str(facts["python"]), supported, "" if supported else "use Python 3.11 to 3.14")
    cores = int(facts["cores"])
    yield Finding(
        "cores",
        str(cores),
        cores >= 2,
        "" if cores >= 2 else "generator and target share one core: start lag will grow",
    )
    busy = float(facts["load1"]) > cores / 2
    yield Finding(
        "load", f"{facts['load1']} on {cores} cores", None, "stop other work before you measure" if busy else ""
    )


PACKAGES = ("facts", "wire", "scenarios", "assistant", "loadgen", "neuron_bench", "capacity", "dashboards", "peakday")


def _packages() -> Iterator[Finding]:
    """The package names are generic: a folder of the same name in the working directory would shadow ours."""
    home = Path(__file__).parents[1]
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        where = Path(spec.origin).parents[1] if spec and spec.origin else None
        if where != home:
            yield Finding(f"package {name}", str(where), False, f"it hides ours in {home}: rename it or work elsewhere")
    shadows = [name for name in PACKAGES if (Path.cwd() / name).is_dir() and Path.cwd() != home]
    for name in shadows:
        fix = "Locust puts the working directory first on the path: run peakday from another folder"
        yield Finding(f"folder ./{name}", "has the name of one of our packages", False, fix)
    if not shadows:
        yield Finding("packages", f"all nine from {home}", True)


def _limits() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft >= OPEN_FILES_WANTED or soft == resource.RLIM_INFINITY
    fix = "" if enough else f"ulimit -n {min(hard, OPEN_FILES_WANTED) if hard > 0 else OPEN_FILES_WANTED}"
    yield Finding("open files", f"{soft} (hard limit {hard})", enough, fix)
    listener = listen()
    port = listener.getsockname()[1]
    listener.close()
    yield Finding("loopback ports", f"free, such as {port}", True)


def _aws() -> Iterator[Finding]:
    """Whether an AWS identity is configured; nothing is called, so nothing is proven about it."""
    names = [
        name for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE") if os.environ.get(name)
    ]
    files = [str(path) for path in (Path.home() / ".aws/credentials", Path.home() / ".aws/config") if path.is_file()]
    names_found = ", ".join(names + files)
    yield Finding("AWS identity", names_found or "none", None, "" if names_found else "not needed without --live")


def _devices() -> Iterator[Finding]:
    for device in ("neuron", "cuda", "cpu"):
        report = probe(device)
        yield Finding(f"bench on {device}", report.level, None, report.remedy)


def measure_rate(rate_per_s: float, for_s: float, *, console: Console) -> tuple[str, dict[str, object], bool]:
    """The generator's own error at a rate, against what the emulator stamped just before sending.

    Returns:
        Text, data, and whether the generator is valid at this rate.
    """
    resolved = resolve("smoke", [], None)
    with open_stack(resolved, console=console) as stack:
        check = check_generator(resolved, stack, rate_per_s, for_s)
    (p50, p99), (lag_p50, lag_p99) = check.ttft_error_s, check.start_lag_s
    lines = [
        f"rate       {check.rate_per_s:g} interactions/s for {for_s:g} s: {check.asked} turns offered, "
        f"{check.sent_ratio:.1%} sent, {check.matched} compared with the truth",
        f"TTFT error p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms",
        f"start lag  p50 {lag_p50 * 1e3:.2f} ms, p99 {lag_p99 * 1e3:.2f} ms",
        f"CPU        at most {check.cpu_ratio_max:.0%} of one core",
        "generator: valid" if check.valid else f"INVALID: {'; '.join(check.reasons)}",
    ]
    return "\n".join(lines), asdict(check), check.valid


def check_generator(
    resolved: Resolved, stack: Stack, rate_per_s: float, for_s: float, drain_s: float | None = None
) -> SelfCheck:
    """The generator against the emulator of a running stack; its record is thrown away.

    Args:
        drain_s: how long turns under way may take at the end; None: as the scenario says.

    Raises:
        LoadError: not one turn could be compared.
    """
    with tempfile.TemporaryDirectory(prefix="peakday-doctor-") as folder:
        options = LoadOptions(rate_per_s=rate_per_s, for_s=for_s, model="custom-8b", out=Path(folder) / "check")
        driven = on_targets([admit(Named("openai", stack.endpoints["openai"]), Config())], options)
        job = make_job(load_of(resolved, options), options, driven)
        if drain_s is not None:
            job = job.drained_within(drain_s)
        return self_check(replace(job, emulator_url=stack.endpoints["bedrock"], background=False))
