"""`plan estimate` and `plan slots`: what can be counted exactly, without a draw."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.quotas.slots import slots_needed, waits_s
from peakday.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples" / "estimates"
PUBLISHED = {  # facts of public estimates: tokens in millions, USD, saving, peak requests and tokens a minute
    "nova-pro-flex": (136, 572, 12, 8, 74.80, 300.80, 0.751, 15.15, 137_879, 198_424),
    "sonnet-global": (53_000, 301_000, 6_000, 4_000, 367_050, 1_140_000, 0.678, 7_575.76, 71_969_697, 102_242_424),
}
NAMES = (
    "cache_write_tokens", "cache_read_tokens", "input_tokens", "output_tokens", "usd", "usd_without_cache",
    "saved_ratio", "rpm", "tpm_uncached", "tpm_reserved",
)  # fmt: skip


def printed(capsys, *argv):
    with pytest.raises(SystemExit) as left:
        main(["plan", *argv, "--json"])
    assert left.value.code == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("case", PUBLISHED)
def test_published_estimates_are_reproduced_from_their_files(case, capsys):
    """To a tenth of a percent; and the settlement, which they leave out, is below what they count."""
    made = printed(capsys, "estimate", str(EXAMPLES / f"{case}.yaml"))
    for name, published in zip(NAMES, PUBLISHED[case], strict=True):
        scale = 1e6 if name.endswith("tokens") else 1.0
        assert made[name] == pytest.approx(published * scale, rel=1e-3), name
    assert made["tpm_settled"] < made["tpm_uncached"] < made["tpm_reserved"]


def test_a_workload_with_an_unknown_key_is_one_line(tmp_path, capsys):
    text = (EXAMPLES / "sonnet-global.yaml").read_text().replace("answer_tokens", "anser_tokens")
    (tmp_path / "w.yaml").write_text(text)
    with pytest.raises(SystemExit) as left:
        main(["plan", "estimate", str(tmp_path / "w.yaml")])
    assert left.value.code == 2
    assert "anser_tokens" in capsys.readouterr().err


def test_waits_of_a_queue_by_hand():
    """Calls at 0, 1 and 2 s of 3 s each: one slot makes them wait 0, 2 and 4 s; two slots 0, 0 and 1 s."""
    arrivals, service = np.array([0.0, 1.0, 2.0]), np.full(3, 3.0)
    assert waits_s(arrivals, service, 1).tolist() == [0, 2, 4]
    assert waits_s(arrivals, service, 2).tolist() == [0, 0, 1]
    assert slots_needed(arrivals, service, 1.0, 1.0).slots == 2
    assert slots_needed(arrivals, service, 0.0, 1.0).slots == 3


@given(seed=st.integers(0, 99), limit_s=st.floats(0, 3), quantile=st.floats(0.3, 1))
def test_the_slots_are_the_fewest_and_one_fewer_waits_longer(seed, limit_s, quantile):
    rng = np.random.default_rng(seed)
    arrivals, service = np.sort(rng.uniform(0, 20, 40)), rng.uniform(0.1, 4, 40)
    made = slots_needed(arrivals, service, limit_s, quantile)
    assert made.wait_s <= limit_s
    assert made.slots == 1 or made.one_fewer_wait_s > limit_s


def test_many_slots_meet_erlang_c():
    """Poisson calls of equal length in 8 slots at 0.8: the mean wait is about half of M/M/c's (M/D/c)."""
    rng = np.random.default_rng(1)
    arrivals = np.cumsum(rng.exponential(1 / 6.4, 60_000))
    mean = waits_s(arrivals, np.ones(60_000), 8)[5_000:].mean()
    erlang_c, c, a = 1.0, 8, 6.4
    term = total = 1.0
    for k in range(1, c):
        term *= a / k
        total += term
    last = term * a / c * c / (c - a)
    erlang_c = last / (total + last)
    assert mean == pytest.approx(erlang_c / (c - a) / 2, rel=0.12)


def test_slots_of_a_log_by_the_command(tmp_path, capsys):
    log = tmp_path / "log.csv"
    log.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n0,100,10\n1,100,10\n2,100,10\n")
    made = printed(capsys, "slots", str(log), "--service", "1,0.01,0.1", "--wait", "1s", "--percentile", "1")
    assert (made["slots"], made["wait_s"], made["one_fewer_wait_s"]) == (2, 1.0, 4.0)
