"""The run as Prometheus text: what the master serves while a run goes on. Names are those of the Grafana dashboards.

Every series names its run, so that one Prometheus may hold many; rules and dashboards pick by `run_id`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from host.browsers import network_refusal, refusal
from loadgen.analysis.verdict import start_lag_limit_s
from loadgen.live import Live
from slo.histogram import Histogram
from wire.exposition import CONTENT_TYPE, add_histogram, exposed
from wire.text import Untrusted

EDGES_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 30, 60, 120)
COUNTERS = {
    "asked": "Turns offered by the scenario",
    "sent": "Turns sent to the target",
    "completed": "Turns that were answered",
    "abandoned": "Turns whose customer left before the first token",
    "dropped": "Turns not sent: over the in-flight cap, or refused at sign-in",
    "unsent": "Turns due and not sent for reasons of the generator's own",
    "censored": "Turns cut off by the end of the run",
}
HISTOGRAMS = {
    "ttft_s": ("ttft", "Intended start to first token"),
    "e2e_s": ("e2e", "Intended start to last token"),
    "gap_s": ("gap", "Between two chunks of one answer"),
    "start_lag_s": ("start_lag", "Actual start less intended start: the generator's own lateness"),
}


@dataclass(frozen=True)
class RunLabels:
    """Which run a page is about, and the limits it has."""

    run_id: str
    scenario: str
    simulated: bool
    workers: int
    ends_after_s: float
    budget_usd: float | None = None


def exposition(live: Live, histograms: Mapping[str, Histogram], run: RunLabels) -> bytes:
    """A page of metrics.

    Args:
        live: the content of live.json.
        histograms: merged over workers, by metric.
    """
    return exposed(_Page(run).families(live, histograms))


def page_app(page: Callable[[], bytes], *, loopback: bool) -> WSGIApplication:
    """The WSGI application of the exporter: GET /metrics and /healthz, under names that a page of the web has not.

    Args:
        loopback: whether it listens on loopback; else on a network, where its address is no loopback name.
    """
    refused = refusal if loopback else network_refusal

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        why = refused(environ.get("HTTP_HOST"), environ.get("HTTP_ORIGIN"))
        path, is_read = environ.get("PATH_INFO"), environ.get("REQUEST_METHOD") in ("GET", "HEAD")
        if why is not None:
            status, kind, body = "403 Forbidden", "text/plain; charset=utf-8", f"{why}\n".encode()
        elif is_read and path == "/metrics":
            status, kind, body = "200 OK", CONTENT_TYPE, page()
        elif is_read and path == "/healthz":
            status, kind, body = "200 OK", "application/json", b'{"ok": true}'
        else:
            status, kind, body = "404 Not Found", "text/plain; charset=utf-8", b"GET /metrics or /healthz\n"
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    return answer


@dataclass(frozen=True)
class _Page:
    run: RunLabels

    def families(self, live: Live, histograms: Mapping[str, Histogram]) -> Iterator[Metric]:
        yield from self._about(live)
        yield from self._counts(live)
        yield from self._workers(live)
        yield from self._verdict(histograms)
        yield from self._distributions(histograms)

    def _gauge(self, name: str, what: str, value: float) -> Metric:
        family = GaugeMetricFamily(f"peakday_{name}", what, labels=["run_id"])
        family.add_metric([self.run.run_id], value)
        return family

    def _counter(self, name: str, what: str, label: str = "", rows: Iterable[tuple[str, float]] = ()) -> Metric:
        family = CounterMetricFamily(f"peakday_{name}", what, labels=["run_id", *([label] if label else [])])
        totals: dict[str, float] = {}
        for value, count in rows:  # two long codes may be one label
            spelled = Untrusted(value).label
            totals[spelled] = totals.get(spelled, 0) + count
        for value, count in totals.items():
            family.add_metric([self.run.run_id, *([value] if label else [])], count)
        return family

    def _about(self, live: Live) -> Iterator[Metric]:
        run = self.run
        info = GaugeMetricFamily(
            "peakday_run_info", "Which run this is; always 1.", labels=["run_id", "scenario", "simulated"]
        )
        info.add_metric([run.run_id, run.scenario, str(run.simulated).lower()], 1)
        yield info
        left_s = max(0.0, run.ends_after_s - (live.get("elapsed_s") or 0.0))
        yield self._gauge("run_remaining_seconds", "Until the last turn is offered.", left_s)
        if run.budget_usd is not None:
            yield self._gauge("budget_usd", "What this run may cost, US dollars.", run.budget_usd)

    def _counts(self, live: Live) -> Iterator[Metric]:
        counters = live["counters"]
        for name, what in COUNTERS.items():
            yield self._counter(f"turns_{name}", f"{what}.", rows=[("", counters.get(name, 0))])
        failed = sorted(live["errors"].items())
        yield self._counter("turns_failed", "Turns that failed, by code.", "error_code", failed)
        spent = [("", counters.get("cost_usd", 0))]
        yield self._counter("cost_usd", "Cost of priced calls of this run, US dollars.", rows=spent)
        yield self._gauge("turns_in_flight", "Turns not yet ended.", live["in_flight"])

    def _workers(self, live: Live) -> Iterator[Metric]:
        yield self._gauge("workers_expected", "Load workers that this run needs.", self.run.workers)
        yield self._gauge("workers_lost", "Load workers that were lost; one voids the run.", len(live.get("lost", ())))
        labels = ["run_id", "worker"]
        cpu = GaugeMetricFamily("peakday_worker_cpu_ratio", "Busy share of one core, by load worker.", labels=labels)
        what = "How late a 10 ms timer came, by load worker."
        late = GaugeMetricFamily("peakday_worker_heartbeat_late_seconds", what, labels=labels)
        for worker, health in sorted(live.get("health", {}).items()):
            cpu.add_metric([self.run.run_id, worker], health["cpu_ratio"])
            late.add_metric([self.run.run_id, worker], health["heartbeat_late_s"])
        yield from (cpu, late)

    def _verdict(self, histograms: Mapping[str, Histogram]) -> Iterator[Metric]:
        """What the verdict would be given on, were the run to end now: its own rule over the whole run."""
        lag, ttft = histograms.get("start_lag_s"), histograms.get("ttft_s")
        lag_s, ttft_s = (lag.quantile(0.99) if lag else None), (ttft.quantile(0.5) if ttft else None)
        yield self._gauge("start_lag_p99_seconds", "Start lag p99 of the whole run so far.", lag_s or 0.0)
        limit = "Start lag p99 above which the run is INVALID: max(5 ms, 5% of TTFT p50)."
        yield self._gauge("start_lag_limit_seconds", limit, start_lag_limit_s(ttft_s))

    def _distributions(self, histograms: Mapping[str, Histogram]) -> Iterator[Metric]:
        for metric, (name, what) in HISTOGRAMS.items():
            histogram = histograms.get(metric, Histogram())
            family = HistogramMetricFamily(f"peakday_{name}_seconds", f"{what}.", labels=["run_id"])
            counts: Sequence[tuple[float, int]] = list(zip(EDGES_S, histogram.cumulative(EDGES_S), strict=True))
            add_histogram(family, {"run_id": self.run.run_id}, counts, histogram.n, histogram.upper_sum_s)
            yield family
