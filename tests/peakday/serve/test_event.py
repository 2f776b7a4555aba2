"""The event that is drawn on: what a drag or a deal drop does to its YAML, and YAML to its picture."""

import json
from urllib.parse import quote

import pytest

from peakday.serve.sketch import SketchError, begun, edited, picture_data, sketched
from scenarios.errors import ScenarioError
from scenarios.loading import load_scenario


def peak_of(text, folder):
    peak = sketched(text, folder).demand.interactions.peak_per_s
    return peak.low, peak.mid, peak.high, peak.confidence


def test_a_dragged_peak_is_stated_and_keeps_its_confidence(tmp_path):
    text = edited(begun("prime_day"), {"kind": "peak", "low": 60, "mid": 480, "high": 1200}, tmp_path)
    assert text.startswith("extends: prime_day\nname: prime_day_mine\n")
    assert peak_of(text, tmp_path) == (60, 480, 1200, 0.8)


def test_a_deal_drop_joins_those_that_fade_alike_else_is_a_piece_of_its_own(tmp_path):
    """prime_day has drops of 0.4 that fade in 30 min: one more of these is one more moment, another kind a factor."""
    alike = edited(begun("prime_day"), {"kind": "add_drop", "at_s": 30_000}, tmp_path)
    other = edited(alike, {"kind": "add_drop", "at_s": 40_000, "boost_ratio": 1.5}, tmp_path)
    known = [piece for piece in load_scenario("prime_day").demand.interactions.shape.of if piece.kind == "deal_drops"]
    first, second = (
        [piece for piece in sketched(text, tmp_path).demand.interactions.shape.of if piece.kind == "deal_drops"]
        for text in (alike, other)
    )
    assert first[0].at_s == sorted([30_000, *known[0].at_s])
    assert [(piece.boost_ratio, piece.at_s[0]) for piece in second[1:]] == [(1.5, 40_000)]


def test_a_deal_drop_that_is_added_and_removed_leaves_the_demand_as_it_was(tmp_path):
    for name in ("prime_day", "smoke"):
        there = edited(begun(name), {"kind": "add_drop", "at_s": 5, "boost_ratio": 2}, tmp_path)
        back = edited(there, {"kind": "remove_drop", "at_s": 5}, tmp_path)
        rates = [picture_data(sketched(text, tmp_path))["rate_per_s"] for text in (begun(name), there, back)]
        assert rates[0] == pytest.approx(rates[2])
        assert rates[0] != pytest.approx(rates[1])


def test_the_picture_is_that_of_the_scenario(tmp_path):
    """241 points whose highest is the peak's middle; the regions add up to it."""
    data = picture_data(sketched(begun("prime_day"), tmp_path))
    assert len(data["rate_per_s"]) == len(data["offset_s"]) == 241
    assert max(data["rate_per_s"]) == pytest.approx(400, rel=0.02)
    sums = [sum(rates) for rates in zip(*data["regions"].values(), strict=True)]
    assert sums == pytest.approx(data["rate_per_s"])
    assert len(data["drops"]) == 8


@pytest.mark.parametrize(
    ("edit", "wrong"),
    [
        ({"kind": "move"}, "is no change"),
        ({"kind": "peak", "low": 1, "mid": "many", "high": 3}, "mid: 'many' is no number"),
        ({"kind": "add_drop", "at_s": 10**400}, "is no number from 0 on"),
        ({"kind": "peak", "low": 1, "mid": float("nan"), "high": 3}, "is no number"),
        ({"kind": "remove_drop", "at_s": 7}, "no deal drops at 7 s"),
    ],
)
def test_a_change_that_is_none_is_refused(tmp_path, edit, wrong):
    with pytest.raises(SketchError, match=wrong):
        edited(begun("prime_day"), edit, tmp_path)


def test_a_text_that_is_no_scenario_says_where(tmp_path):
    with pytest.raises(ScenarioError, match=r"event\.yaml: demand\.interactions\.peak_per_s"):
        sketched(f"{begun('smoke')}demand: {{interactions: {{peak_per_s: {{low: 9, mid: 5, high: 1}}}}}}\n", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "extends: /etc/passwd\n",
        "extends: ../other.yaml\n",
        "extends: smoke\ndemand: {interactions: {shape: {kind: sum, of: [{kind: trace, file: /etc/passwd}]}}}\n",
    ],
)
def test_a_text_reads_no_file_outside_the_folder(text, tmp_path):
    with pytest.raises(SketchError, match="is outside the folder"):
        sketched(text, tmp_path)


def test_comments_on_top_stay(tmp_path):
    text = f"# Our own event.\n# Numbers of last year.\n{begun('smoke')}"
    assert edited(text, {"kind": "length", "length_s": 40}, tmp_path).startswith(
        "# Our own event.\n# Numbers of last year.\n"
    )


def test_the_page_draws_what_is_typed_and_writes_only_when_saved(client, records):
    text = begun("smoke").replace("smoke_mine", "drawn")
    change = quote(json.dumps({"kind": "peak", "low": 4, "mid": 8, "high": 9}))
    drawn = client.get(f"/event/picture?yaml={quote(text)}&edit={change}").json
    assert drawn["picture"]["peak"]["mid"] == 8
    assert client.get(f"/event/picture?yaml={quote('extends: nowhere')}").status == 400
    assert not list(records.glob("*.yaml"))
    assert client.post("/event/save", {"yaml": drawn["text"]}).json["id"] == "drawn.yaml"
    assert load_scenario(records / "drawn.yaml").demand.interactions.peak_per_s.mid == 8
    again = client.post("/event/save", {"yaml": drawn["text"]})
    assert (again.status, "is there already" in again.json["error"]) == (400, True)
    (records / "drawn.yaml").unlink()


@pytest.mark.parametrize("name", ["peakday", "checks"])
def test_an_event_never_becomes_a_file_of_settings(client, name):
    """Every command of the folder would read it, and refuse to start."""
    answer = client.post("/event/save", {"yaml": f"extends: smoke\nname: {name}\n"})
    assert (answer.status, "its own settings" in answer.text) == (400, True)
    asked = {"scenario": "smoke", "sets": [], "prices": [], "name": name}
    assert "its own settings" in client.post("/what-if/scenario", asked).text
    assert not (client.desk.base / f"{name}.yaml").exists()
