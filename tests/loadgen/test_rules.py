"""Stopping in time, saying what broke, and telling it to Prometheus."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from loadgen.analysis.autobuy import chat_around_storm, summarise
from loadgen.analysis.first_limit import limits_exceeded
from loadgen.analysis.self_check import ttft_errors_s
from loadgen.coordinator.exporter import RunLabels, exposition, page_app
from loadgen.coordinator.scrape import Scraper, samples
from loadgen.job import LoadError, TargetSpec
from loadgen.record import Run
from loadgen.run_info import RunInfo
from loadgen.tables import TABLES
from loadgen.worker.abort_rules import AbortRules, Budget, OverBoundError
from slo.histogram import Histogram
from tests.loadgen.server import assistant, assistant_events, response, serving, streamed
from tests.loadgen.worker_runs import play


def ttft(*values_s: float) -> Histogram:
    made = Histogram()
    made.add(np.array(values_s, dtype=np.float64))
    return made


def test_failures_over_the_window_abort():
    """More failures than the rule allows, over enough turns and time, is a reason; a few are not."""
    rules = AbortRules({"error_ratio": 0.5, "ttft_s_p50": None, "window_s": 10.0})
    assert rules.reason(0.0, {"completed": 0, "failed": 0}, ttft()) is None
    assert rules.reason(4.0, {"completed": 0, "failed": 30}, ttft()) is None
    assert "error_ratio" in rules.reason(6.0, {"completed": 10, "failed": 40}, ttft())


def test_what_is_past_does_not_abort():
    """Only the last seconds count: early failures are forgotten."""
    rules = AbortRules({"error_ratio": 0.5, "ttft_s_p50": None, "window_s": 10.0})
    rules.reason(0.0, {"failed": 100}, ttft())
    rules.reason(10.0, {"failed": 100, "completed": 50}, ttft())
    assert rules.reason(20.0, {"failed": 100, "completed": 100}, ttft()) is None


def test_a_slow_median_aborts():
    """The median of the window, not of the whole run."""
    rules = AbortRules({"error_ratio": None, "ttft_s_p50": 1.0, "window_s": 10.0})
    rules.reason(0.0, {}, ttft(*[0.1] * 500))
    assert "ttft_s_p50" in rules.reason(8.0, {"completed": 40}, ttft(*[0.1] * 500, *[3.0] * 40))


def test_a_target_that_answers_nobody_aborts():
    """Customers who all gave up have failed, though no turn ended as an error."""
    rules = AbortRules({"error_ratio": 0.5, "ttft_s_p50": None, "window_s": 10.0})
    rules.reason(0.0, {}, ttft())
    assert "100% of turns failed" in rules.reason(8.0, {"completed": 0, "failed": 0, "abandoned": 40}, ttft())


def test_turns_that_waited_in_vain_count_in_the_live_ttft(make_job):
    """Nobody is answered: the histogram that abort rules and Prometheus read holds every wait."""
    patience = {"mix": {"patience_s": {"median": 0.2, "cv": 0.01}}}
    with serving(assistant(lambda: streamed(assistant_events(), first_s=5.0))) as server:
        run, final = play(make_job(TargetSpec("assistant", server.url), scenario=patience))
    waits = Histogram.from_json(final["histograms"]["ttft_s"])
    assert waits.n == len(run.turns) > 0
    assert waits.quantile(0.5) > 0.15


@given(
    costs=st.lists(st.floats(0, 0.01), max_size=200),
    workers=st.sampled_from([1, 4]),
    open_at_once=st.integers(1, 8),
)
def test_the_budget_is_never_exceeded(costs, workers, open_at_once):
    """Whatever turns cost up to their bound, however many workers and turns at once: spent <= budget."""
    budgets = [Budget(0.05 / workers, 0.01) for _ in range(workers)]
    spent, under_way = 0.0, []
    for number, cost in enumerate(costs):
        budget = budgets[number % workers]
        if budget.reserve():
            spent += cost
            under_way.append((budget, cost))
        if len(under_way) >= open_at_once:
            done, paid = under_way.pop(0)
            done.settle(paid)
    assert spent <= 0.05 + 1e-12


def test_a_turn_that_cost_more_than_its_bound_is_a_fault():
    """The bound was none, so the budget may be exceeded: that is never passed over in silence."""
    budget = Budget(0.05, 0.01)
    assert budget.reserve()
    with pytest.raises(OverBoundError, match=r"cost 0.03 USD, its upper bound was 0.01 USD"):
        budget.settle(0.03)
    assert budget.give_back() == pytest.approx(0.01)


def test_a_turn_of_unknown_cost_keeps_its_reserve():
    """What a failed turn cost is not known: its bound counts as spent."""
    budget = Budget(0.02, 0.01)
    for _ in range(2):
        assert budget.reserve()
        budget.settle(None)
    assert not budget.reserve()


def test_a_run_stops_asking_when_its_budget_is_spent(make_job):
    """The turns under way end, no more are asked for, and the snapshot says why."""
    with serving(assistant(lambda: streamed(assistant_events()))) as server:
        job = make_job(TargetSpec("assistant", server.url), budget_usd=0.02, turn_usd_max=0.004)
        run, final = play(job)
    assert final["out_of_budget"]
    assert 0 < run.turns["cost_usd"].sum() <= 0.02
    assert len(run.turns) <= 10


def test_a_budget_needs_a_bound(make_job):
    """Without the upper bound of a turn a budget could be exceeded."""
    with pytest.raises(LoadError, match="upper bound"):
        make_job(TargetSpec("assistant", "http://127.0.0.1:1"), budget_usd=1.0)


def empty(**frames: pd.DataFrame) -> Run:
    tables = {name: pd.DataFrame({column: [] for column in columns}) for name, columns in TABLES.items()}
    return Run(path=None, info=RunInfo(), **{**tables, **frames})


def turns(n: int, **columns) -> pd.DataFrame:
    rows = pd.DataFrame({name: [None] * n for name in TABLES["turns"]})
    rows["intended_start_s"] = np.arange(n) * 0.1
    rows["status"] = "ok"
    for name in ("ttft_s", "e2e_s", "tpot_s", "route_s"):
        rows[name] = 0.1
    return rows.assign(**columns)


SCENARIO = {"slo": {"ttft_s_p95": 1.0, "error_ratio": None}, "assistant": {"router": {"budget_s": 0.3}}}


def test_crossings_are_told_in_the_order_of_time():
    """The router was over its budget before the SLO was missed, and the quota came last."""
    n = np.arange(400)
    rows = turns(
        400,
        route_s=np.where(n >= 50, 0.4, 0.1),
        ttft_s=np.where(n >= 120, 2.0, 0.1),
        status=np.where(n == 390, "throttled", "ok"),
    )
    found = limits_exceeded(empty(turns=rows), SCENARIO)
    assert [one.what for one in found] == ["router budget", "SLO ttft_s_p95", "quota"]
    assert found[1].at_s == pytest.approx(15.0)
    assert found[1].rate_per_s == pytest.approx(10.0, rel=0.05)


def test_an_abandoned_turn_counts_with_its_wait():
    """Customers who left do not hide a missed SLO."""
    rows = turns(100, status="abandoned", ttft_s=None, e2e_s=4.0)
    assert [one.what for one in limits_exceeded(empty(turns=rows), SCENARIO)] == ["SLO ttft_s_p95"]


def test_the_generator_is_judged_by_the_verdicts_limit():
    """Lag p99 of five seconds against the limit the verdict uses: 20 ms is much beside 5 ms, little beside 25 ms."""
    rows = turns(100, start_lag_s=0.02)
    (found,) = limits_exceeded(empty(turns=rows), SCENARIO)
    assert (found.what, found.limit) == ("generator", 0.005)
    assert limits_exceeded(empty(turns=rows), SCENARIO, 0.025) == ()


def test_one_late_start_in_a_thousand_is_no_crossing():
    """The worst of a second says nothing about its ninety-ninth percentile."""
    rows = turns(1000, start_lag_s=np.where(np.arange(1000) == 5, 0.02, 0.0))
    rows["intended_start_s"] /= 20
    assert limits_exceeded(empty(turns=rows), SCENARIO) == ()


@pytest.mark.parametrize("status", ["timeout", "dropped", "http_error"])
def test_every_turn_the_target_failed_is_an_error(status):
    """Timeouts and turns over the cap are errors of what broke first, as they are in the totals and at the gates."""
    rows = turns(100, status=np.where(np.arange(100) % 3 == 0, status, "ok"))
    found = limits_exceeded(empty(turns=rows), {**SCENARIO, "slo": {"error_ratio": 0.05}})
    (crossed,) = [crossing for crossing in found if crossing.what == "SLO error_ratio"]
    assert f"failed by then, {status} x " in crossed.sentence


def test_a_want_of_sockets_is_not_the_targets_cap():
    """Turns dropped because this machine gave no socket are ours, and told so."""
    rows = turns(100, error_code=np.where(np.arange(100) == 9, "open_files", None))
    rows.loc[9, "status"] = "dropped"
    (found,) = limits_exceeded(empty(turns=rows), SCENARIO)
    assert found.what == "generator's open files"


def test_a_calm_run_broke_nothing():
    """No limit crossed, nothing told."""
    assert limits_exceeded(empty(turns=turns(100)), SCENARIO) == ()


PAGE = """# HELP vllm:prompt_tokens_total Tokens
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{model_name="m",x="a b"} 12
ttft_bucket{le="0.1"} 3
up 1 1700000000
broken nan-ish
"""


def test_a_metrics_page_is_read_without_its_buckets():
    """Labels with spaces, timestamps and nonsense lines."""
    assert samples(PAGE) == [("vllm:prompt_tokens_total", 'model_name="m",x="a b"', 12.0), ("up", "", 1.0)]


def test_the_servers_counters_are_told_as_differences(tmp_path):
    """How far each counter moved between the first and the last sample; a silent URL is named."""
    served = iter(range(1, 100))
    with serving(lambda *_: [(0.0, response(f"tokens_total {10 * next(served)}\n".encode()))]) as server:
        scraper = Scraper((f"{server.url}/metrics", "http://127.0.0.1:1/metrics"), tmp_path)
        scraper.start()
        deltas = scraper.finish()
    assert deltas == {f"{server.url}/metrics tokens_total": 10.0}
    assert scraper.skipped[0].startswith("http://127.0.0.1:1/metrics: not scraped")
    assert list(tmp_path.glob("server-*.parquet"))


def test_a_target_that_once_answered_is_asked_again(tmp_path):
    """A busy target misses a sample, which is said, and none after it."""
    answers = iter([b"1", b"", b"5", b"5"])

    def page(*_):
        said = next(answers)
        return [(0.0, response(b"tokens_total " + said + b"\n") if said else b"")]

    with serving(page) as server:
        scraper = Scraper((f"{server.url}/metrics",), tmp_path)
        scraper.start()
        scraper._once()
        scraper._once()
        deltas = scraper.finish()
    assert deltas == {f"{server.url}/metrics tokens_total": 4.0}
    assert scraper.skipped == [f"{server.url}/metrics: 1 samples missing, it did not answer"]


def test_the_exporters_page_is_prometheus_text():
    """A Prometheus parser reads it, counts and buckets agree, and labels survive quotes."""
    live = {"counters": {"asked": 5, "cost_usd": 0.5}, "errors": {'4"9': 2}, "in_flight": 1,
            "health": {"0": {"cpu_ratio": 0.5, "heartbeat_late_s": 0.001}}}  # fmt: skip
    run = RunLabels("r", "s", True, workers=2, ends_after_s=60.0)
    page = exposition(live, {"ttft_s": ttft(0.04, 0.3, 200.0)}, run).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert families["peakday_turns_failed"].samples[0].labels == {"run_id": "r", "error_code": '4"9'}
    buckets = {sample.labels.get("le"): sample.value for sample in families["peakday_ttft_seconds"].samples}
    assert (buckets["0.05"], buckets["0.5"], buckets["120"], buckets["+Inf"]) == (1, 2, 2, 3)


def test_what_a_run_may_lose_stands_on_the_page():
    """Its budget, its workers, the time it has left, and the limit that its start lag may not pass."""
    live = {
        "counters": {"cost_usd": 0.5},
        "errors": {},
        "in_flight": 1,
        "elapsed_s": 20.0,
        "lost": ["worker 1 was lost"],
    }
    run = RunLabels("r", "s", True, workers=2, ends_after_s=60.0, budget_usd=2.0)
    page = exposition(live, {"ttft_s": ttft(*[0.3] * 99), "start_lag_s": ttft(*[0.002] * 99)}, run).decode()
    values = {s.name: s.value for family in text_string_to_metric_families(page) for s in family.samples}
    assert values["peakday_run_remaining_seconds"] == 40.0
    assert (values["peakday_budget_usd"], values["peakday_cost_usd_total"]) == (2.0, 0.5)
    assert (values["peakday_workers_expected"], values["peakday_workers_lost"]) == (2, 1)
    assert values["peakday_start_lag_limit_seconds"] == pytest.approx(0.05 * 0.3, rel=0.01)
    assert values["peakday_start_lag_p99_seconds"] == pytest.approx(0.002, rel=0.01)


def test_two_codes_that_are_cut_to_one_label_are_one_series():
    """A page with one series twice is no page: Prometheus drops the samples."""
    long = "x" * 300
    live = {"counters": {}, "errors": {long + "a": 2, long + "b": 3}, "in_flight": 0}
    page = exposition(live, {}, RunLabels("r", "s", True, 1, 60.0)).decode()
    (family,) = [one for one in text_string_to_metric_families(page) if one.name == "peakday_turns_failed"]
    assert [sample.value for sample in family.samples] == [5]


@pytest.mark.parametrize(
    ("loopback", "path", "host", "origin", "status"),
    [
        (True, "/metrics", "127.0.0.1:9646", None, "200"), (True, "/healthz", "localhost:9646", None, "200"),
        (True, "/metrics", "rebind.evil.example", None, "403"), (True, "/metrics", "10.0.0.5:9646", None, "403"),
        (True, "/metrics", "127.0.0.1:9646", "https://evil.example", "403"), (True, "/", "127.0.0.1:9646", None, "404"),
        (False, "/metrics", "10.0.0.5:9646", None, "200"), (False, "/metrics", "rebind.evil.example", None, "403"),
        (False, "/metrics", "10.0.0.5:9646", "https://evil.example", "403"),
    ],
)  # fmt: skip
def test_the_exporter_answers_under_its_own_names_alone(loopback, path, host, origin, status):
    """As every server of ours: no page of another site reads how a run stands."""
    told = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_HOST": host}
    app = page_app(lambda: b"# page\n", loopback=loopback)
    body = app(
        environ | ({"HTTP_ORIGIN": origin} if origin else {}), lambda code, headers: told.append((code, headers))
    )
    assert told[0][0].startswith(status)
    assert (body == [b"# page\n"]) is (status == "200" and path == "/metrics")


def test_a_rule_that_bought_twice_is_a_double_purchase():
    """Purchases are counted by rule; delay and saving are those of all."""
    rows = [{"rule_id": rule, "autobuy_delay_s": 1.0, "saving_ratio": 0.2} for rule in ("a", "b", "a")]
    found = summarise(rows, {"done": 2})
    assert (found.purchases, found.double_purchases, found.saving_ratio_mean) == (3, 1, pytest.approx(0.2))
    assert summarise([], {}).delay_s["p99"].value is None


def test_a_tool_that_waits_for_the_customer_has_not_failed():
    """needs_confirmation is how a write begins; only errors and timeouts broke something."""
    rows = turns(100, session_id="s", interaction_id="i", turn_index=0).head(1)
    key = {"session_id": "s", "interaction_id": "i", "turn_index": 0, "start_s": 0.0, "duration_s": 0.1}
    waiting = pd.DataFrame([key | {"tool": "auto_buy", "status": "needs_confirmation"}])
    failed = pd.DataFrame([key | {"tool": "auto_buy", "status": "timeout"}])
    assert limits_exceeded(empty(turns=rows, tools=waiting), SCENARIO) == ()
    (found,) = limits_exceeded(empty(turns=rows, tools=failed), SCENARIO)
    assert found.sentence.startswith("tool auto_buy: timeout, 1 failed tool calls in all")


def test_the_truth_is_matched_by_trace():
    """Our TTFT minus the server's, for the turns both know."""
    requests = [{"traceparent": "00-aa-bb-01", "received_s": 5.0, "first_sent_s": 5.1}, {"traceparent": None}]
    assert ttft_errors_s([("aa", 0.1004), ("zz", 9.0)], requests) == pytest.approx([0.0004])


def chat(ttft_s, starts_s, storm_s=60.0) -> Run:
    """A chat beside one storm of rules."""
    turns = pd.DataFrame({name: [None] * len(starts_s) for name in TABLES["turns"]})
    turns["intended_start_s"], turns["ttft_s"], turns["e2e_s"], turns["status"] = starts_s, ttft_s, ttft_s, "ok"
    events = pd.DataFrame({name: [None] for name in TABLES["events"]})
    events["stream"], events["sent_s"] = "rule_storms", storm_s
    return empty(turns=turns, events=events)


def test_the_chat_is_compared_around_the_storm():
    """TTFT of the minute after the first storm against the minute before it."""
    starts_s = np.arange(0.0, 120.0)
    found = chat_around_storm(chat(np.where(starts_s < 60, 0.2, 0.5), starts_s))
    assert found.storm_at_s == 60.0
    assert found.change_ratio == {"p50": pytest.approx(1.5), "p95": pytest.approx(1.5)}
    assert found.before["p50"].n == found.after["p50"].n == 60


def test_a_chat_too_thin_to_compare_is_not_compared():
    """A handful of turns on one side of the storm gives no change, and no storm gives none either."""
    starts_s = np.arange(0.0, 120.0)
    assert chat_around_storm(chat(np.full(120, 0.2), starts_s, storm_s=5.0)) is None
    assert chat_around_storm(empty()) is None


def scraped(metric: str, values, labels: str = "") -> pd.DataFrame:
    """One series of a target's page, a sample every two seconds."""
    rows = [(2.0 * i, "http://x/metrics", metric, labels, float(value)) for i, value in enumerate(values)]
    return pd.DataFrame(rows, columns=list(TABLES["server"]))


def test_a_queue_that_does_not_clear_broke_something():
    """Requests waiting in three samples in a row are a queue; a burst that one sample met is none."""
    rows = turns(200)
    burst = scraped("vllm:num_requests_waiting", [0, 4, 0, 0, 2, 0])
    assert limits_exceeded(empty(turns=rows, server=burst), SCENARIO) == ()
    lasting = scraped("vllm:num_requests_waiting", [0, 1, 0, 2, 5, 9])
    (found,) = limits_exceeded(empty(turns=rows, server=lasting), SCENARIO)
    assert (found.what, found.at_s, found.value) == ("queue", 6.0, 9.0)


def test_a_full_core_of_the_target_is_told():
    """CPU seconds that grow as fast as the clock: the process has no core left."""
    cpu = scraped("process_cpu_seconds_total", [0.0, 0.4, 2.38, 4.3])
    (found,) = limits_exceeded(empty(turns=turns(200), server=cpu), SCENARIO)
    assert found.sentence.startswith("CPU of http://x/metrics: 99% of a core")
    assert found.at_s == 4.0


def test_samples_from_before_t0_are_no_rate():
    """The scraper's clock is set back at t0: two samples that then seem a microsecond apart are not a busy core."""
    cpu = scraped("process_cpu_seconds_total", [0.0, 1.0, 1.2, 1.4])
    cpu["second"] = [0.00007, 2.01, 0.00008, 2.0]
    assert limits_exceeded(empty(turns=turns(200), server=cpu), SCENARIO) == ()


def test_a_worker_without_a_core_is_told():
    """The generator's own CPU is among what may break first."""
    generator = pd.DataFrame({"worker": 1, "second": [0, 1, 2], "cpu_ratio": [0.5, 0.97, 1.0]})
    (found,) = limits_exceeded(empty(turns=turns(200), generator=generator), SCENARIO)
    assert (found.what, found.at_s) == ("generator CPU", 2.0)


def test_a_throttled_call_that_spilled_is_told():
    """The turn was answered by another model: the quota was the first to break all the same."""
    rows = turns(100, session_id="s", interaction_id="i", turn_index=np.arange(100))
    call = {"session_id": "s", "interaction_id": "i", "start_s": 0.5}
    calls = pd.DataFrame(
        [
            call | {"turn_index": 40, "model": "nova-pro", "status": "throttled", "error_code": "429:Throttling"},
            call | {"turn_index": 20, "model": "nova-pro", "status": "throttled", "error_code": "429:Throttling"},
            call | {"turn_index": 60, "model": "custom-8b", "status": "http_error", "error_code": "503:unavailable"},
            call | {"turn_index": 61, "model": "custom-8b", "status": "ok", "error_code": None},
        ]
    )
    quota, other = limits_exceeded(empty(turns=rows, calls=calls), SCENARIO)
    assert (quota.what, quota.at_s, quota.value) == ("quota of nova-pro", 2.5, 2)
    assert (other.what, other.at_s, other.value) == ("calls to custom-8b", 6.5, 1)


def test_an_answer_cut_off_by_a_quota_of_output_is_a_limit_of_its_own():
    """It stops as at max_tokens with fewer tokens than that; one that used all of its max_tokens is none."""
    calls = pd.DataFrame({name: [None] * 3 for name in TABLES["calls"]})
    calls = calls.assign(
        session_id="s", interaction_id="i", turn_index=[0, 1, 2], model="mantle", start_s=0.1, status="ok",
        stop_reason=["max_tokens", "max_tokens", "end_turn"], output_tokens=[400, 120, 90], max_tokens=400,
    )  # fmt: skip
    rows = turns(3, session_id="s", interaction_id="i", turn_index=[0, 1, 2])
    (found,) = limits_exceeded(empty(turns=rows, calls=calls), SCENARIO)
    assert found.what == "output quota of mantle"
    assert "cut off at 120 of 400 tokens, 1 answers from here on" in found.sentence
