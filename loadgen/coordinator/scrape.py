"""The target's own view: its /metrics, scraped while the run goes on into `server-NNNN.parquet`, and its energy."""

from __future__ import annotations

import math
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from host.energy import EnergyMeter, energy_meter
from host.fetch import FetchError, fetch
from host.ports import is_loopback_url
from host.redaction import shown_urls
from loadgen.job import LoadJob
from loadgen.tables import SERVER

EVERY_S = 2.0
WITHIN_S = 2.0
PAGE_BYTES_MAX = 8 * 2**20
CHUNK_ROWS = 20_000
LINE_LENGTH_MAX = 4_000
"""Characters of one sample: a name and its labels are kept with every sample of the run."""
SAMPLES_MAX = 5_000
"""Samples of one page; a page of more is cut. A real engine's has a few hundred without its buckets."""
_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? +([^ ]+)(?: +[0-9]+)?$")
_DETAIL = ("_bucket", "_created")
"""Series left out: a histogram's sum and count are kept, its buckets are not."""


def scrape_urls(job: LoadJob) -> tuple[str, ...]:
    """Where a run's targets and the emulator publish their own figures."""
    urls = [_metrics_url(target.url) for target in job.targets if target.kind in ("assistant", "openai")]
    urls += [f"{job.emulator_url}/metrics"] if job.emulator_url else []
    return tuple(dict.fromkeys([*urls, *job.scrape_urls]))


def meter_of(job: LoadJob) -> Callable[[], EnergyMeter] | None:
    """What starts a meter of this machine at t0; None where a target is elsewhere."""
    return energy_meter if all(is_loopback_url(target.url) for target in job.targets) else None


def samples(text: str) -> list[tuple[str, str, float]]:
    """(metric, labels, value) of a Prometheus text page, buckets left out."""
    rows: list[tuple[str, str, float]] = []
    for line in text.splitlines():
        match = _SAMPLE.match(line) if len(line) <= LINE_LENGTH_MAX else None
        if match and not match[1].endswith(_DETAIL):
            try:
                value = float(match[3])
            except ValueError:
                continue
            if math.isfinite(value):  # a figure that is none has no sum and no growth
                # Thousands of rows wait to be written, of the same few hundred names: one copy of each.
                rows.append((sys.intern(match[1]), sys.intern(match[2] or ""), value))
        if len(rows) == SAMPLES_MAX:
            break
    return rows


def _metrics_url(base: str) -> str:
    parts = urlsplit(base)
    return parts._replace(path=f"{parts.path.removesuffix('/v1')}/metrics").geturl()


class Scraper:
    """A thread that reads every URL every two seconds.

    One that does not answer at first is left alone and named. One that has answered is asked again and again: a busy
    target is slow just when its figures matter.
    """

    def __init__(
        self,
        urls: tuple[str, ...],
        folder: Path,
        admitted: Mapping[str, tuple[str, ...]] | None = None,
        meter: Callable[[], EnergyMeter] | None = None,
    ) -> None:
        self._admitted = admitted or {}
        self._urls = list(urls)
        self._shown = shown_urls(urls)  # as the record names them: a query may hold a secret
        self._folder = folder
        self._rows: list[tuple[float, str, str, str, float]] = []
        self._first: dict[tuple[str, str], float] = {}
        self._last: dict[tuple[str, str], float] = {}
        self._chunks = 0
        self._t0_s = time.monotonic()
        self._answered: set[str] = set()
        self._missed: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self.skipped: list[str] = []
        self.energy_j: Mapping[str, float] = {}
        self._new_meter = meter
        self._meter: EnergyMeter | None = None

    def start(self) -> None:
        """Take the first sample now, then go on beside the run."""
        self._once()
        self._thread.start()

    def set_t0(self) -> None:
        """Seconds and joules count from now on."""
        self._t0_s = time.monotonic()
        self._meter = self._new_meter() if self._new_meter else None

    def _loop(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._once()

    def _once(self) -> None:
        second = time.monotonic() - self._t0_s
        if self._meter is not None:
            self.energy_j = self._meter.spent_j()
        for url in list(self._urls):
            try:
                addresses = self._admitted.get(urlsplit(url).hostname or "", ())
                page = fetch(url, within_s=WITHIN_S, addresses=addresses, bytes_max=PAGE_BYTES_MAX)
            except FetchError as error:
                name = self._shown[url]
                if url in self._answered:
                    self._missed[name] = self._missed.get(name, 0) + 1
                    continue
                self._urls.remove(url)
                self.skipped.append(f"{name}: not scraped any more ({error})")
                continue
            self._answered.add(url)
            self._keep(second, self._shown[url], samples(page.decode("utf-8", "replace")))
        if len(self._rows) >= CHUNK_ROWS:
            self._write()

    def _keep(self, second: float, url: str, rows: list[tuple[str, str, float]]) -> None:
        sums: dict[tuple[str, str], float] = {}
        for metric, labels, value in rows:
            self._rows.append((second, url, metric, labels, value))
            sums[url, metric] = sums.get((url, metric), 0.0) + value
        for key, value in sums.items():
            self._first.setdefault(key, value)
            self._last[key] = value

    def _write(self) -> None:
        from loadgen.chunks import write_chunk  # pyarrow, which the load engine does not wait for at its start

        if self._rows:
            columns: dict[str, Iterable[object]] = dict(zip(SERVER, zip(*self._rows, strict=True), strict=True))
            write_chunk(self._folder, f"server-{self._chunks:04d}.parquet", "server", columns)
            self._chunks += 1
            self._rows = []

    def abandon(self) -> None:
        """Stop, and leave nothing."""
        self._stop.set()
        self._thread.join()
        for chunk in self._folder.glob("server-*.parquet"):
            chunk.unlink()

    def finish(self) -> dict[str, float]:
        """Stop, take the last sample, write what is left; how far each counter of each URL moved over the run."""
        self._stop.set()
        self._thread.join()
        self._once()
        self._write()
        self.skipped += [f"{url}: {count} samples missing, it did not answer" for url, count in self._missed.items()]
        return {
            f"{url} {metric}": self._last[url, metric] - first
            for (url, metric), first in self._first.items()
            if metric.endswith("_total") and self._last[url, metric] != first
        }
