"""What every test shares: deterministic property tests, and the public traces where they lie beside the checkout."""

import gc
import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

# Machines differ: a deadline would fail tests for being slow, and a database would make runs depend on each other.
settings.register_profile(
    "peakday", deadline=None, database=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("peakday")

gc.disable()  # until all tests are collected: nothing of that is garbage

SYSTEM = (
    "peakday/test_end_to_end", "loadgen/test_run", "assistant/test_stack", "loadgen/test_shown_verdicts",
    "peakday/test_bad_input", "loadgen/test_play", "loadgen/test_shown_schedule", "loadgen/test_targets",
    "peakday/test_real_models", "emulator/test_void", "loadgen/test_beginnings", "loadgen/test_shown_beginning",
    "emulator/test_process", "loadgen/test_shown_guards", "loadgen/test_credentials", "loadgen/test_workers",
    "loadgen/test_shown_impatience", "peakday/account/test_verify", "loadgen/test_verdict", "neuron_bench/test_deploy",
    "peakday/test_judging", "peakday/gate/test_builds", "peakday/gate/test_sides", "peakday/gate/test_end_to_end",
    "assistant/test_region_loss", "deploy/test_kubernetes", "loadgen/test_lending", "loadgen/test_rules",
    "loadgen/test_endings", "loadgen/test_engine", "loadgen/test_shown_autobuy", "loadgen/test_shown_stall",
    "peakday/test_demo", "peakday/test_extension", "peakday/test_stack", "peakday/account/test_commands",
    "emulator/test_boto3", "emulator/test_openai_package", "neuron_bench/test_packaging",
)  # fmt: skip
"""Modules whose tests start processes of ours or put load on a server: marked `system`, the longest first; every other
test is `unit`."""
APART = (
    "loadgen/test_run",
    "assistant/test_stack",
    "peakday/test_bad_input",
    "loadgen/test_play",
    "loadgen/test_targets",
)
"""Long modules of tests that share nothing."""

TRACES = Path(os.environ.get("PEAKDAY_TRACES", Path(__file__).resolve().parents[2] / "shared" / "traces"))


@pytest.fixture(scope="session")
def traces() -> Path:
    """Folder of public traces: $PEAKDAY_TRACES, or ../shared/traces beside the checkout. Skips where it is absent."""
    if not TRACES.is_dir():
        pytest.skip("no public traces: set PEAKDAY_TRACES to a folder of them")
    return TRACES


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for localhost that signs itself, and the file to trust it by."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, folder / "cert.pem"


@pytest.fixture(scope="module", autouse=True)
def old_objects() -> None:
    """Let collections pass over what was there before a file's own tests: a load worker collects before each run."""
    gc.collect()
    gc.freeze()


def pytest_collection_finish() -> None:
    gc.enable()


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Keep each file in one process, so that what its tests share is made once; spread the files of `APART`."""
    return ByFile(config, log)


class ByFile(LoadScopeScheduling):
    """One unit of work is a file, or a test where a file's tests share nothing."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file.removeprefix("tests/").removesuffix(".py") in APART else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test as `unit` or `system`, and start with the long files."""
    here = Path(__file__).parent
    stems = {item: item.path.relative_to(here).with_suffix("").as_posix() for item in items}
    for item, stem in stems.items():
        item.add_marker(pytest.mark.system if stem in SYSTEM else pytest.mark.unit)
    items.sort(key=lambda item: SYSTEM.index(stems[item]) if stems[item] in SYSTEM else len(SYSTEM))
