"""The snapshot checks: what must be equal, what a difference is called, and when a difference is no evidence."""

from peakday.gate.snapshot.figures import changed_moments, compare, figures
from peakday.gate.snapshot.script import questions, side_by_side, without_waits
from peakday.gate.verdicts import Verdict
from tests.peakday.gate.making import row


def verdicts(lines):
    return {line.metric: line.verdict for line in lines}


def test_equal_figures_pass_in_one_line():
    same = figures([row("a/0"), row("a/1")])
    lines = compare(same, dict(same))
    assert [(line.metric, line.verdict) for line in lines] == [("all figures", Verdict.PASS)]


def test_a_prompt_change_that_splits_the_cache_fails_and_is_named():
    """Fewer cached tokens, by even one, is a failure whose reason speaks of the cache."""
    lines = compare(figures([row(cached=100)]), figures([row(cached=99)]))
    found = next(line for line in lines if line.metric == "cache_read_tokens")
    assert found.verdict == Verdict.FAIL
    assert "prompt cache" in found.why


def test_another_shared_prefix_fails_though_every_count_is_equal():
    lines = compare(figures([row(prefix="p1")]), figures([row(prefix="p2")]))
    assert verdicts(lines) == {"prompt_prefix_hash": Verdict.FAIL}


def test_tools_that_no_longer_go_side_by_side_are_named():
    """The same tools in two rounds instead of one."""
    before = figures([row(tools=[(1, "live_price", "ok"), (1, "recall", "ok")])])
    after = figures([row(tools=[(1, "live_price", "ok"), (2, "recall", "ok")])])
    (line,) = compare(before, after)
    assert (line.metric, line.verdict) == ("tool_rounds", Verdict.FAIL)
    assert "one after another" in line.why


def tool(number, start_s, duration_s):
    return {"event": "tool", "round": number, "tool": "t", "status": "ok", "start_s": start_s, "duration_s": duration_s}


def test_tools_overlap_where_one_begins_before_another_of_its_round_has_ended():
    """An order of events and no time: the same however fast the machine is."""
    assert side_by_side([tool(1, 0.0, 0.05), tool(1, 0.001, 0.05), tool(1, 0.04, 0.05)]) == 2
    assert side_by_side([tool(1, 0.0, 0.05), tool(1, 0.06, 0.05), tool(2, 0.1, 0.05)]) == 0


def test_tools_of_one_round_that_wait_for_each_other_are_named():
    """The prompts, the tools and their rounds are what they were: only the overlap is gone."""
    (line,) = compare(figures([row() | {"tools_side_by_side": 2}]), figures([row()]))
    assert (line.metric, line.verdict) == ("tools_side_by_side", Verdict.FAIL)
    assert "wait for each other" in line.why


def test_more_connections_to_the_models_are_a_lost_keep_alive():
    before = {**figures([row()]), "model_connections": 2}
    (line,) = compare(before, {**before, "model_connections": 80})
    assert line.verdict == Verdict.FAIL
    assert "keep-alive" in line.why


def test_a_figure_that_vanished_fails():
    """Never a pass by absence: the baseline has it and this build does not."""
    before = figures([row()])
    after = {name: value for name, value in before.items() if name != "cost_usd"}
    (line,) = compare(before, after)
    assert (line.metric, line.verdict) == ("cost_usd", Verdict.FAIL)
    assert "vanished" in line.why


def test_a_figure_that_two_drives_disagree_about_is_inconclusive():
    before = figures([row(cached=100)])
    lines = compare(before, figures([row(cached=99)]), repeated=figures([row(cached=100)]))
    assert set(verdicts(lines).values()) == {Verdict.INCONCLUSIVE}


def test_a_changed_turn_is_told_with_what_changed_in_which_call():
    (moment,) = changed_moments([row("a/0"), row("a/1")], [row("a/0"), row("a/1", cached=0)])
    assert moment["turn"] == "a/1"
    assert moment["changes"] == [["call 0 cache_read_tokens", 100, 0]]


def test_a_turn_that_is_gone_is_told():
    (moment,) = changed_moments([row("a/0"), row("a/1")], [row("a/0")])
    assert moment["changes"] == [["turn", "asked", "-"]]


def test_the_script_asks_every_intent_and_never_a_picture():
    """Two openings and a follow-up for each intent, in an order that does not depend on the file's."""
    plain = {"image": False, "confirm": False, "page_product_id": None}
    messages = [
        {"intent": "deals", "text": "one", "follow_up": False, **plain},
        {"intent": "deals", "text": "see pic", "follow_up": False, **plain, "image": True},
        {"intent": "deals", "text": "cheaper", "follow_up": True, **plain},
        {"intent": "deals", "text": "two", "follow_up": False, **plain},
        {"intent": "account", "text": "hello", "follow_up": False, **plain},
    ]
    asked = questions(messages, ["deals", "account"])
    assert [one.message for one in asked] == ["hello", "one", "cheaper", "two"]
    assert [one.turn_index for one in asked] == [0, 0, 1, 2]


def test_without_waits_changes_times_and_no_token_rule():
    groups = without_waits({
        "models": {"pro": "p", "own": "e"},
        "profiles": {"p": {"physics": "provider"}, "e": {"physics": "engine"}},
    })  # fmt: skip
    assert {name: sorted(one) for name, one in groups.items()} == {"pro": ["gap", "ttft"], "own": ["engine", "step"]}
