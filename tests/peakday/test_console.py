"""What a command prints as JSON is JSON."""

import json

import numpy as np

from peakday.agent.measures import route_csv
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
