from dataclasses import replace

from dashboards.numbers.plan import plan_numbers
from dashboards.numbers.run import run_numbers
from dashboards.terminal import lines_of, plan_summary, run_summary
from loadgen.run_info import STREAMS, AutobuyTotals, ChatAroundStorm, TargetRef
from loadgen.worker.background import skipped_streams
from slo.quantiles import Quantile
from tests.dashboards.plans import make_plan
from tests.dashboards.records import make_run


def test_a_runs_summary_prints_the_numbers_of_its_record(run):
    text = run_summary(run)
    wanted = ("ttft_s_p50", "ttft_s_p95", "e2e_s_p95", "goodput_per_s", "cost_usd_per_interaction", "start_lag_s_p95")
    for number in run_numbers(run):
        if number.name in wanted:
            assert number.text in text, number.name


def test_an_invalid_run_says_so_in_its_second_line(tmp_path):
    lines = run_summary(make_run(tmp_path / "r", 60, valid=False)).splitlines()
    assert "INVALID" in lines[1]
    assert "start lag" in lines[2]


def test_a_stream_of_the_assistants_is_no_warning_where_another_system_is_the_target(run):
    """The record keeps what was left out; only where the assistant is the target is it worth a warning."""
    streams = {"demand": {"background": {name: {"peak_per_s": 1} for name in STREAMS}}}
    skipped = skipped_streams(streams, planner=False, assistant=False, follows_event=True)
    assert tuple(item.partition(":")[0] for item in skipped) == STREAMS
    lost = "http://127.0.0.1:1/metrics: 2 samples missing, it did not answer"

    def warned(kind):
        target = (TargetRef(kind, "http://127.0.0.1:1"),)
        info = replace(run.info, warnings=(), skipped=(*skipped, lost), targets=target)
        return [line for line in run_summary(replace(run, info=info)).splitlines() if "skipped: " in line]

    assert [line.split("skipped: ")[1] for line in warned("openai")] == [lost]
    assert len(warned("assistant")) == 3


def test_few_turns_hide_p99_in_the_summary(tmp_path):
    text = run_summary(make_run(tmp_path / "r", 300))
    assert "p99" not in next(line for line in text.splitlines() if "TTFT" in line)


def test_every_touched_number_of_a_summary_is_marked_simulated(run):
    for line in run_summary(run).splitlines()[2:]:
        assert ("*" in line) == line.endswith("*SIMULATED")
    assert "*" not in next(line for line in run_summary(run).splitlines() if "start lag" in line)


def test_a_plans_summary_has_chips_with_their_range_and_first_limit_exceeded(plan):
    text = plan_summary(plan)
    assert plan.first_limit_exceeded in text
    for number in plan_numbers(plan):
        if number.name in ("chips", "event_cost_usd"):
            assert number.text in text
            assert number.interval in text


def test_a_plan_without_simulated_inputs_never_says_simulated():
    assert "SIMULATED" not in plan_summary(replace(make_plan(simulated=False)))


def test_a_rule_storm_is_told(run):
    quantile = Quantile(0.5, 0.4, 0.6, 400, 200)
    before, after = {"p50": quantile}, {"p50": replace(quantile, value=0.6)}
    stormy = AutobuyTotals(
        purchases=120,
        double_purchases=0,
        delay_s={"p50": replace(quantile, value=12.0)},
        chat_ttft_s=ChatAroundStorm(30.0, before, after, {"p50": 0.2}),
    )
    text = run_summary(replace(run, info=replace(run.info, totals=replace(run.info.totals, autobuy=stormy))))
    assert "120 purchases  0 double  delay p50 12.0 s" in text.replace("*", "")
    assert "chat TTFT p50 moved 20.0% by the rule storm (0.500 s to 0.600 s)" in text.replace("*", "")


def test_self_checks_are_told(run):
    assert "no steady state: TTFT p50 moved by +31%" in run_summary(run)
    assert "Little's law: 4.02 turns in flight counted" in run_summary(run)


def test_lines_are_chosen_by_their_label_with_those_that_belong_to_it():
    summary = "Run r\n  VALID: ok\n    - why\n  turns        1\n               2\n  rate         3\n  cost         4"
    assert lines_of(summary, ("turns", "cost")) == ["  turns        1", "               2", "  cost         4"]
