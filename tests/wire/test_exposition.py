"""A page of ours is the library's own, read by its parser and by its writer."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from wire.exposition import add_histogram, exposed


class Families:
    def __init__(self, families):
        self.families = families

    def collect(self):
        return self.families


def samples(page: str):
    """What the library's parser reads, NaN as a word."""
    return sorted(
        (sample.name, tuple(sorted(sample.labels.items())), "nan" if math.isnan(sample.value) else sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    )


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=20), st.floats(), st.text(max_size=20))
def test_a_page_reads_as_the_librarys_own_page_of_the_same_families(label, value, words):
    """Quotes, backslashes, line breaks, infinities and NaN in labels, values and HELP."""
    gauge = GaugeMetricFamily("g", words, labels=["a", "b"])
    gauge.add_metric([label, "x"], value)
    counter = CounterMetricFamily("c", words, 3)
    histogram = HistogramMetricFamily("h_seconds", words, labels=["a"])
    add_histogram(histogram, {"a": label}, [(0.1, 1), (2.5, 3)], 4, 7.5)
    families = [gauge, counter, histogram]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Families(families))
    assert samples(exposed(families).decode()) == samples(generate_latest(registry).decode())


def test_every_family_has_help_and_type_even_without_a_series():
    page = exposed([CounterMetricFamily("failed", "Turns that failed.", labels=["code"])]).decode()
    assert page == "# HELP failed_total Turns that failed.\n# TYPE failed_total counter\n"


def test_whole_numbers_stay_whole():
    assert exposed([GaugeMetricFamily("g", "A gauge.", 118)]).decode().endswith("\ng 118\n")
