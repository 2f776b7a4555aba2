"""What every test shares: deterministic property tests, and the public traces where they lie beside the checkout."""

import gc
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from loadgen.remote_workers import raise_open_file_limit

# Machines differ: a deadline would fail tests for being slow, and a database would make runs depend on each other. The
# same inputs every time: no run fails by luck. `--hypothesis-profile seek` draws others, to find what these do not.
settings.register_profile(
    "seek", deadline=None, database=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("peakday", settings.get_profile("seek"), derandomize=True)
settings.load_profile("peakday")

pytest_plugins = ["tests.by_file"]

raise_open_file_limit()  # a server and all its clients are in one process; macOS begins with 256

gc.disable()  # until all tests are collected: nothing of that is garbage

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
def old_objects() -> Iterator[None]:
    """Let collections pass over what was there before a file's own tests: a load worker collects before each run.

    What a file leaves is collected at its end, so that whatever it forgot to close fails a test of that file.
    """
    gc.freeze()
    yield
    gc.collect()


def pytest_collection_finish() -> None:
    gc.enable()
