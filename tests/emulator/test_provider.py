"""A provider's latency: what the draws depend on, the queue, and due times that never drift."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.provider import Provider, Schedule
from emulator.profiles import ProfileError, ProviderPhysics, profile_from, read_profiles
from tests.emulator.virtual_time import VirtualTime

PHYSICS = ProviderPhysics(
    ttft_base_s=0.3, ttft_per_uncached_token_s=1e-4, ttft_per_cached_token_s=1e-5, ttft_sigma=0.3, gap_s=0.01,
    gap_sigma=0.1, tokens_per_chunk=1, slow_at_in_flight=100.0, slots=2,
)  # fmt: skip


class Sent:
    """A stream that takes what it is given."""

    def __init__(self, received_s: float, total: int) -> None:
        self.received_s, self.total = received_s, total
        self.pushed, self.done = 0, False
        self.due_s: list[float] = []

    def push(self, due_units: int, due_s: float) -> None:
        self.pushed = due_units
        self.due_s.append(due_s)


def provider() -> Provider:
    return Provider(PHYSICS, VirtualTime(), "seed")


def test_draws_repeat_with_the_seed():
    """Same seed, same order of calls, same times."""
    assert [provider().ttft_s(100, 0) for _ in range(2)] == [provider().ttft_s(100, 0)] * 2


def test_the_median_is_the_profiles_arithmetic():
    """base + per uncached token + per cached token: 0.3 + 0.1 + 0.01."""
    made = provider()
    draws = [made.ttft_s(1000, 1000) for _ in range(4000)]
    assert statistics.median(draws) == pytest.approx(0.41, rel=0.03)


def test_a_busier_provider_is_slower():
    """In flight as many as slow_at_in_flight: twice as slow."""
    idle, busy = provider(), provider()
    busy.in_flight = 100
    assert busy.ttft_s(10, 0) == pytest.approx(2 * idle.ttft_s(10, 0))
    assert busy.gap_s() == pytest.approx(2 * idle.gap_s())


def test_more_answers_than_slots_wait_first_come_first_served():
    """Two slots, answers of 1 s each, received together: the third begins when the first ends."""
    made = provider()
    begins = []
    for _ in range(4):
        begin_s = made.begin_s(0.0)
        begins.append(begin_s)
        made.start(Sent(0.0, 11), Schedule(begin_s, 0.1, 11), whole=False)
    assert begins == pytest.approx([0.0, 0.0, 1.0, 1.0])


@given(st.floats(1e-4, 1.0), st.integers(1, 5000), st.floats(0, 5))
def test_due_times_never_drift(gap_s, chunks, stall_s):
    """The last chunk is due at first + (n - 1) gaps, however many there are; a stall moves the rest once."""
    schedule = Schedule(7.0, gap_s, chunks, stall_from=chunks // 2 + 1, stall_s=stall_s)
    stalled_s = stall_s if chunks - 1 >= chunks // 2 + 1 else 0.0
    assert schedule.due_s(chunks - 1) == pytest.approx(7.0 + (chunks - 1) * gap_s + stalled_s)


def test_what_is_overdue_goes_out_together():
    """Woken late, everything due by then is sent at once and the next stays on time."""
    schedule = Schedule(0.0, 0.1, 10)
    assert schedule.due_by(0.35, 1) == 4
    assert schedule.due_by(9.0, 1) == 10


def test_every_model_of_the_fleet_has_a_profile_with_sources():
    """Each group of values says where it is from, or that it is assumed."""
    from importlib.resources import files

    import yaml

    from facts.reader import models

    assert set(models()) <= set(read_profiles())
    raw = yaml.safe_load(files("emulator").joinpath("profiles.yaml").read_text())
    for name, groups in raw["profiles"].items():
        for group, values in groups.items():
            assert group in ("physics", "manner") or values["source"], f"{name}.{group}"
        profile_from(name, groups, "profiles.yaml")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"physics": "magic"}, "expected provider or engine"),
        ({"tokens": {"bytes_per_token": 0.5, "image_tokens": 0}}, "bytes_per_token"),
        ({"gap": {"gap_s": 0.1}}, "sigma"),
        ({"load": {"slow_at_in_flight": 1, "colour": 2}}, "colour"),
    ],
)
def test_a_profile_of_no_use_names_file_profile_and_key(change, words):
    """As every configuration error does."""
    raw = {
        "physics": "provider", "tokens": {"bytes_per_token": 4.0, "image_tokens": 0}, "load": {"slow_at_in_flight": 1},
        "ttft": {"base_s": 0, "per_uncached_token_s": 0, "per_cached_token_s": 0, "sigma": 0},
        "gap": {"gap_s": 0, "sigma": 0, "tokens_per_chunk": 1}, **change,
    }  # fmt: skip
    with pytest.raises(ProfileError, match=f"x.yaml: profiles.p: .*{words}"):
        profile_from("p", raw, "x.yaml")
