"""The emulator's own steps, as what a fit of it is held against."""

from emulator.profiles import read_profiles
from peakday.demo import MODEL
from study.emulated import SENTENCE, known_steps
from tests.capacity.models import step_model


def test_the_known_engine_is_the_profiles():
    """Every coefficient and limit, so that a change of the profile changes what the sentence is held to."""
    physics = read_profiles()[MODEL].physics
    known = known_steps(step_model())
    assert known.coefficients.step_s(100, 0.0, 4, 0) == physics.step_s(100, 0.0, 4, 0)
    assert (known.max_num_seqs, known.ttft_overhead_s) == (physics.max_num_seqs, physics.ttft_overhead_s)


def test_the_sentence_is_read_as_it_is_written():
    text = "one replica keeps ttft_s_p99 <= 1 up to 7.31/s (6.5 to 8.2/s, 90%); beyond"
    assert SENTENCE.search(text).groups() == ("7.31", "6.5", "8.2")
