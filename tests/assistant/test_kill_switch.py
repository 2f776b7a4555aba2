"""The kill switch of purchases by price has a door: a setting, an endpoint on loopback, and a verb."""

import pytest

from facts.stack import switches_of
from peakday.agent import kill_switch
from peakday.errors import CommandError


def test_it_is_on_until_someone_turns_it_off(shop):
    assert shop.request("GET", "/control/auto_buy").json == {"enabled": True, "rules": {}}
    assert shop.request("POST", "/control/auto_buy", {"enabled": False}).json["enabled"] is False
    assert shop.rules.is_enabled() is False
    assert shop.request("POST", "/control/auto_buy", {"enabled": True}).json["enabled"] is True


def test_a_stack_may_begin_with_it_off_and_never_turns_it_on(make):
    """What an operator turned off stays off over a restart on the same store."""
    first = make({"auto_buy": {"enabled": False}})
    assert not first.rules.is_enabled()
    assert switches_of({}).auto_buy.enabled
    assert not make().rules.is_enabled()


@pytest.mark.parametrize("body", [{}, {"enabled": "no"}, {"enabled": 0}, {"enabled": True, "x": 1}])
def test_anything_but_true_or_false_is_refused(shop, body):
    answer = shop.request("POST", "/control/auto_buy", body)
    assert (answer.status, answer.error["field"]) == (400, "enabled")
    assert shop.rules.is_enabled()


def test_it_is_served_on_loopback_only(shop):
    assert shop.request("POST", "/control/auto_buy", {"enabled": False}, client="10.0.0.1").status == 403
    assert shop.rules.is_enabled()


def test_the_verb_says_how_it_stands(monkeypatch):
    asked = []
    monkeypatch.setattr(kill_switch, "auto_buy", lambda url, on: asked.append(on) or {"enabled": on, "rules": {"a": 2}})
    text, data = kill_switch.switch_auto_buy("http://127.0.0.1:1", "off")
    assert (asked, text, data["enabled"]) == ([False], "auto-buy is off; rules: 2 a", False)


@pytest.mark.parametrize(("target", "state"), [("http://127.0.0.1:1", "maybe"), ("http://shop.example", "off")])
def test_the_verb_refuses_other_words_and_other_machines(target, state):
    with pytest.raises(CommandError):
        kill_switch.switch_auto_buy(target, state)
