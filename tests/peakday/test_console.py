"""What a command prints as JSON is JSON."""

import json
import os
import signal

import numpy as np
import pytest

from host.errors import Exit
from peakday.agent.measures import route_csv
from peakday.cli import main
from peakday.console import Console


def test_a_number_that_is_none_is_null(capsys):
    data = {"a": float("nan"), "b": [1.5, float("-inf"), np.float64("nan")], "c": {"d": (float("inf"), 2)}, "e": True}
    Console(as_json=True).result("", data)
    printed = capsys.readouterr().out
    strict = json.loads(printed, parse_constant=no_json)
    assert strict == {"a": None, "b": [1.5, None, None], "c": {"d": [None, 2]}, "e": True}


def no_json(name):
    raise AssertionError(f"{name} is no JSON")


def test_a_router_is_scored_on_the_classes_that_a_file_holds(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("text,label\nis this waterproof?,product_question\nwhere is my order,order_status\n")
    text, figures = route_csv(file)
    assert (figures["classes_seen"], figures["classes_of_20"], figures["macro_f1_classes_of_20"]) == (2, 0, None)
    assert "no class has 20 rows" in text


def test_an_interrupt_that_a_library_turns_into_its_own_error_is_an_interrupt(monkeypatch, capsys):
    """Pydantic, building a model when SIGTERM comes, raises SchemaError in place of KeyboardInterrupt."""

    def work(*_words, **_options):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([], 1)
        except KeyboardInterrupt:
            raise ValueError("a schema that cannot be built") from None

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr("typer.main.get_command", lambda _app: work)
    try:
        with pytest.raises(SystemExit) as ended:
            main(["scenario", "list"])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert (ended.value.code, capsys.readouterr().err) == (Exit.INTERRUPTED, "peakday: interrupted\n")
