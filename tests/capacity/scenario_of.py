"""A small scenario for plan tests, changed by dotted keys."""

from scenarios.schema import Scenario

BASE = {
    "schema": "peakday.scenario/1",
    "name": "small",
    "event": {
        "start": "2026-07-14T00:00:00Z",
        "length_s": "4h",
        "regions": {
            "us-east-1": {"share": 0.6, "time_zone": "America/New_York"},
            "us-west-2": {"share": 0.4, "time_zone": "America/Los_Angeles"},
        },
    },
    "demand": {"interactions": {"peak_per_s": {"low": 10, "mid": 20, "high": 40, "confidence": 0.9}}},
    "mix": {
        "intents": {
            "product_question": {"weight": 0.5, "complex_ratio": 0.2},
            "order_status": {"weight": 0.3, "complex_ratio": 0.0},
            "comparison": {"weight": 0.2, "complex_ratio": 0.8},
        },
        "turns_per_interaction": {"mean": 2.0, "max": 6},
    },
}


def scenario(**changes):
    """The base scenario; `demand__interactions__peak_per_s=5` sets a nested key."""
    raw = _copy(BASE)
    for name, value in changes.items():
        *path, last = name.split("__")
        place = raw
        for key in path:
            place = place.setdefault(key, {})
        place[last] = value
    return Scenario.model_validate(raw)


def _copy(value):
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, dict) else value
