"""The event against its plan: ranges, limits, trends and what comes then, worked out by hand."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from capacity.plan import write_plan
from capacity.rows.needs import FallbackTier
from peakday.watch.comparison import compared
from peakday.watch.observed import ALL_REGIONS, Observed, of_prometheus
from peakday.watch.planned import planned
from peakday.watch.watch import look, watch_text
from tests.dashboards.plans import USES, make_plan

CLAUDE = ("claude-sonnet", "us-east-1")
PLAN = make_plan(simulated=False)
START_S = 1_795_000_020 // 60 * 60


def minutes(calls, *, prompt=3_940.0, read=0.71, answer=240.0):
    """A row a minute, with the plan's own mean call: 1,100 + 2,500 + 300 + 40 prompt tokens."""
    return tuple(
        Observed(START_S + 60 * i, count, 0.0, prompt * count, prompt * read * count, answer * count)
        for i, count in enumerate(calls)
    )


def claude(calls, **changes):
    one = compared(planned(PLAN, CLAUDE, None), minutes(calls, **changes))
    assert one is not None
    return one


def test_an_event_as_planned_is_in_every_range():
    """Claude has 420 x 0.4 = 168 calls a second in the east at the median peak: 10,080 a minute."""
    one = claude([10_000.0] * 6)
    assert one.planned.calls_per_min["p50"] == pytest.approx(10_080)
    assert (one.leaving, one.above_band) == ((), False)


def test_demand_beyond_p95_is_said_with_both_numbers():
    """p95 is 1.5 times the median: 15,120 a minute."""
    assert claude([16_000.0] * 6).leaving == ("demand: 16,000 calls/min, planned up to 15,120 (p95)",)


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"answer": 400.0}, "answer tokens"), ({"read": 0.3}, "cache hit"), ({"prompt": 9e3}, "prompt tokens")],
)
def test_an_assumption_that_leaves_its_range_is_named(changes, name):
    (words,) = claude([9_000.0] * 6, **changes).leaving
    assert words.startswith(name)


def test_a_limit_lasts_as_long_as_the_line_through_the_last_minutes_says():
    """Of 200 requests a minute 100, 110 … 150 are used: ten more each minute, so the limit is five minutes away."""
    one = claude([100.0, 110.0, 120.0, 130.0, 140.0, 150.0])
    use = next(use for use in one.uses if use.limit.name == "rpm")
    assert use.used_ratio == pytest.approx(0.75)
    assert use.full_in_min == pytest.approx(5.0)
    assert one.fullest == use


@pytest.mark.parametrize("calls", [[150.0] * 6, [150.0, 140.0, 130.0, 120.0, 110.0, 100.0], [100.0, 160.0, 90.0]])
def test_no_time_is_said_where_nothing_surely_rises(calls):
    assert all(use.full_in_min is None for use in claude(calls).uses)


def test_a_throttled_call_was_asked_for_too():
    one = compared(planned(PLAN, CLAUDE, None), (Observed(START_S, 150.0, 50.0),))
    assert (one.calls_per_min, one.throttled_ratio) == (200.0, 0.25)
    assert next(use for use in one.uses if use.limit.name == "rpm").exceeded


def test_the_band_is_that_of_the_minute_where_the_first_hour_is_known():
    """The peak is 20 hours in; the event begins at three tenths of it and a little."""
    at_start, at_peak = (planned(PLAN, CLAUDE, offset).calls_per_min["p50"] for offset in (0.0, 72_000.0))
    assert at_peak == pytest.approx(10_080)
    assert at_start == pytest.approx(0.3 * 10_080, rel=0.01)


def test_the_terminal_says_what_leaves_when_it_is_full_and_what_then():
    chain = FallbackTier(
        "us-east-1", "claude-sonnet", "p90 of demand", "another model", "nova-pro", 10, 0.1, 0.01, 1, ""
    )
    plan = replace(PLAN, fallback_chain=(chain,))
    series = {CLAUDE: minutes([100.0, 110.0, 120.0, 130.0, 140.0, 150.0]), ("unheard-of", "us-east-1"): minutes([1.0])}
    watched = look(plan, series, datetime.fromtimestamp(START_S - 3600, tz=UTC))
    lines = watch_text(watched).splitlines()
    assert "+1.1 h into the event" in lines[0]
    assert (
        lines[1]
        == "  LASTS      claude-sonnet us-east-1: rpm full in 5 min at this trend; then another model: nova-pro"
    )
    assert lines[-1] == "  not in the plan: unheard-of us-east-1"


def test_prometheus_is_read_by_the_minute_all_regions_together():
    """What its API documents: a matrix of [seconds, text] by the labels of each series."""
    answers = {
        "duration_seconds_count": [({"gen_ai_request_model": "nova-pro"}, "120")],
        "token_usage": [
            ({"gen_ai_request_model": "nova-pro", "gen_ai_token_type": "input"}, "1000"),
            ({"gen_ai_request_model": "nova-pro", "gen_ai_token_type": "cache_read"}, "3000"),
            ({"gen_ai_request_model": "nova-pro", "gen_ai_token_type": "output"}, "500"),
        ],
        "throttles": [({"model": "nova-pro"}, "NaN")],
    }

    def fetch(url):
        rows = next(rows for words, rows in answers.items() if words in url)
        result = [{"metric": labels, "values": [[START_S, text]]} for labels, text in rows]
        return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()

    series = of_prometheus("http://127.0.0.1:9090", START_S + 30, fetch)
    assert series == {("nova-pro", ALL_REGIONS): (Observed(START_S, 120.0, 0.0, 4_000.0, 3_000.0, 500.0),)}
    both = planned(PLAN, ("nova-pro", ALL_REGIONS), None)
    assert both.calls_per_min["p50"] == pytest.approx((420 + 280) * USES["nova-pro"].calls * 60)


def usage(path, calls):
    head = "minute_utc,region,model_id,model,invocations,throttles,input_tokens,output_tokens,cache_read_tokens"
    rows = [
        f"2026-11-27T18:{i:02}:00Z,us-east-1,x,claude-sonnet,{n},0,{1140 * n},{240 * n},{2800 * n}" for i, n in calls
    ]
    path.write_text("\n".join([head, *rows]) + "\n")


def test_one_look_is_for_scripts(refused, tmp_path):
    (tmp_path / "plans" / PLAN.plan_id).mkdir(parents=True)
    write_plan(PLAN, tmp_path / "plans" / PLAN.plan_id)
    usage(tmp_path / "usage.csv", enumerate([100, 110, 120]))
    ended = refused("watch", "latest", "--usage", "usage.csv", "--once", "--json")
    data = json.loads(ended.stdout)
    assert (ended.returncode, data["series"][0]["leaving"]) == (0, [])
    usage(tmp_path / "usage.csv", enumerate([100, 110, 250]))
    ended = refused("watch", "latest", "--usage", "usage.csv", "--once")
    assert ended.returncode == 1
    assert "EXCEEDED   claude-sonnet us-east-1: rpm exceeded; the plan has no fallback for it" in ended.stdout


@pytest.mark.parametrize(
    "words",
    [(), ("--usage", "usage.csv", "--prometheus", "http://127.0.0.1:9"), ("--prometheus", "http://10.0.0.1:9090"),
     ("--usage", "usage.csv", "--starts", "yesterday"), ("--usage", "no.csv")],
)  # fmt: skip
def test_a_mistake_is_one_line(refused, tmp_path, words):
    (tmp_path / "plans" / PLAN.plan_id).mkdir(parents=True)
    write_plan(PLAN, tmp_path / "plans" / PLAN.plan_id)
    ended = refused("watch", "latest", "--once", *words)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
