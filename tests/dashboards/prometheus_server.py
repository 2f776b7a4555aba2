"""A real Prometheus on loopback, gone afterwards: enough to scrape our processes and evaluate expressions."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host.ports import free_port

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")


@dataclass(frozen=True)
class Server:
    """A running server's address."""

    url: str

    def values(self, expr: str, at_s: float | None = None) -> list[float]:
        """The values of an instant query; NaN and infinities are kept."""
        query = {"query": expr, **({"time": str(at_s)} if at_s else {})}
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{urllib.parse.urlencode(query)}", timeout=120) as answer:
            data: dict[str, Any] = json.loads(answer.read())["data"]
        rows = [data["result"]] if data["resultType"] == "scalar" else [row["value"] for row in data["result"]]
        return [float(value) for _, value in rows]


@contextlib.contextmanager
def prometheus(config: Path, targets: Mapping[str, str]) -> Iterator[Server]:
    """Run with our own configuration, its targets replaced by `{process: host:port}`.

    Args:
        config: the folder that `export_prometheus` wrote.
    """
    assert PROMETHEUS is not None
    listed = [{"targets": [address], "labels": {"process": name}} for name, address in targets.items()]
    (config / "targets.json").write_text(json.dumps(listed))
    address = f"127.0.0.1:{free_port()}"
    command = [
        PROMETHEUS, f"--config.file={config / 'prometheus.yml'}", f"--storage.tsdb.path={config / 'data'}",
        f"--web.listen-address={address}", "--log.level=error",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        server = Server(f"http://{address}")
        _wait(server)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=120)


def _wait(server: Server) -> None:
    for _ in range(3_000):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{server.url}/-/ready", timeout=120).close()
            return
        time.sleep(0.1)
    raise RuntimeError("Prometheus did not become ready")
