"""`peakday chat`: a conversation by lines, confirmations by y or n, and nothing that steers a terminal."""

import pytest

from assistant.errors import AssistantError
from peakday.agent import chat
from peakday.errors import CommandError


class Wire:
    """Stands for the assistant: answers by message, and remembers what it was sent."""

    def __init__(self, monkeypatch, pending=None):
        self.sent, self.ticks, self.pending = [], [], pending
        monkeypatch.setattr(chat, "new_session", lambda url, customer, addresses=(): f"token-{customer}")
        monkeypatch.setattr(chat, "price_tick", lambda *args, **more: self.ticks.append(args[1:]) or 2)
        monkeypatch.setattr(chat, "product_page", self.page)
        monkeypatch.setattr(chat, "ask", self.ask)

    def page(self, url, token, product_id, addresses=()):
        if product_id == "p404":
            raise AssistantError("not_found: there is no such product")
        return {"title": "A drill"}

    def ask(self, url, message, **more):
        self.sent.append((message, more))
        yield {"event": "meta", "route": "custom-8b", "intent": "auto_buy", "complexity": "simple", "route_s": 0.001}
        yield {
            "event": "tool",
            "tool": "auto_buy",
            "arguments": {"product_id": "p1"},
            "status": "ok",
            "duration_s": 0.01,
        }
        yield {"event": "delta", "text": f"about {message}\x1b[31m"}
        pending = None if more["confirm"] else self.pending
        yield {"event": "done", "output_tokens": 3, "cost_usd": None, "e2e_s": 0.1, "pending_confirmation": pending}


def conversation(*lines):
    """What was printed in a conversation of these lines."""
    left, printed = list(lines), []
    chat.Chat(
        "http://x", lambda prompt: printed.append(prompt) or (left.pop(0) if left else None), printed.append
    ).run()
    return "".join(printed)


def test_an_answer_is_streamed_with_its_tools_and_steers_no_terminal(monkeypatch):
    wire = Wire(monkeypatch)
    printed = conversation("hello", "again")
    assert "[auto_buy {'product_id': 'p1'}: ok]" in printed
    assert "about hello[31m" in printed
    assert [more["turn_index"] for _, more in wire.sent] == [0, 1]


@pytest.mark.parametrize(("answers", "accept"), [(["y"], True), (["maybe", "n"], False), ([], False)])
def test_what_waits_is_confirmed_by_y_or_n_and_by_nothing_else(monkeypatch, answers, accept):
    wire = Wire(monkeypatch, {"token": "t", "action": "Buy 1 x Drill"})
    assert "Buy 1 x Drill\nConfirm? y/n" in conversation("buy it", *answers)
    assert wire.sent[1][1]["confirm"] == {"token": "t", "accept": accept}


def test_pages_customers_and_prices_are_changed_by_commands(monkeypatch):
    wire = Wire(monkeypatch)
    conversation("/page p000017", "hi", "/tick 49.9", "/as c000002", "hi")
    assert [more["product_id"] for _, more in wire.sent] == ["p000017", "p000017"]
    assert [(more["session_token"], more["turn_index"]) for _, more in wire.sent] == [
        ("token-c000001", 0),
        ("token-c000002", 0),
    ]
    assert wire.ticks == [("p000017", 49.9)]


def test_why_tells_what_the_last_turn_took(monkeypatch):
    Wire(monkeypatch)
    assert "nothing was asked yet" in conversation("/why")
    printed = conversation("hello", "/why")
    assert "route     custom-8b for auto_buy" in printed
    assert 'tool      auto_buy {"product_id": "p1"}: ok' in printed


@pytest.mark.parametrize(
    ("line", "words"), [("/tick x", "no price"), ("/tick 5", "no product page"), ("/what", "/page PRODUCT")]
)
def test_a_wrong_command_says_what_is_wrong(monkeypatch, line, words):
    Wire(monkeypatch)
    assert words in conversation(line)


def test_errors_are_one_line_and_end_nothing(monkeypatch):
    wire = Wire(monkeypatch)

    def fail(url, message, **more):
        raise CommandError("the assistant does not answer")

    monkeypatch.setattr(chat, "ask", fail)
    assert "the assistant does not answer\n" in conversation("hello", "/help")
    assert wire.sent == []


def test_a_page_that_the_shop_does_not_have_is_refused_and_the_open_one_stays(monkeypatch):
    wire = Wire(monkeypatch)
    printed = conversation("/page p1", "/page p404", "/tick 9")
    assert "page: p1 A drill" in printed
    assert "there is no such product" in printed
    assert wire.ticks == [("p1", 9.0)]
