"""Every file that a user may hand over: whatever it holds, values or one line; never a traceback."""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facts.account import is_usage, read_quotas, read_usage
from facts.reader import marketplaces, models, quality
from host.errors import PeakdayError
from host.tables import columns_of, table_rows
from host.yaml_text import dump_yaml
from loadgen.targets.mapping import load_mapping, read_customers
from neuron_bench.matrix import read_matrix
from peakday.account.prices import read_prices
from peakday.config import load_config
from peakday.gate.settings import load_checks
from peakday.plan.prices import own_prices
from scenarios.fitting import fit
from scenarios.loading import load_scenario
from scenarios.traces.arrivals import read_replay

EXAMPLES = int(os.environ.get("PEAKDAY_BAD_FILES", "25"))
WORDS = st.sampled_from([
    "schema", "models", "rows", "regions", "tokens", "prices", "owned_targets", "slo", "runs", "sut", "event", "start",
    "peakday.models/1", "peakday.quality/1", "peakday.quotas/1", "peakday.config/1", "peakday.checks/1", "extends",
    "peakday.target/1", "peakday.bench_matrix/1", "smoke", "targets", "url", "format", "sse", "headers", "body",
    "us-east-1", "bedrock", "marketplaces", "code", "name", "pulled_utc", "ttft_s_p95 <= 1", "a", "-1", "1e999",
    "timestamp", "count", "input_tokens", "minute_utc", "é\u202e", "{customer.x}", "${NONE}", "file", "instances",
])  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5))
DOCUMENTS = st.dictionaries(WORDS, VALUES, max_size=6)
TABLES = st.lists(st.lists(WORDS | st.integers().map(str), min_size=1, max_size=4).map(",".join), max_size=6)
CONTENTS = (
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
    | DOCUMENTS.map(lambda values: dump_yaml(values).encode("utf-8", "replace"))
    | DOCUMENTS.map(lambda values: json.dumps(values).encode("utf-8", "replace"))
    | TABLES.map(lambda lines: "\n".join(lines).encode("utf-8", "replace"))
)


def _config(path):
    os.replace(path, path.parent / "peakday.yaml")
    own_prices(load_config(path.parent).prices)


READERS = {
    "scenario": lambda path: load_scenario(path),
    "config": _config,
    "checks": load_checks,
    "models": models,
    "marketplaces": marketplaces,
    "quality": quality,
    "quotas": read_quotas,
    "usage": lambda path: (is_usage(path), read_usage(path)),
    "prices": read_prices,
    "mapping": load_mapping,
    "customers": lambda path: read_customers(str(path)),
    "matrix": read_matrix,
    "replay": read_replay,
    "fit": lambda path: fit(path, name="mine"),
    "table": lambda path: (columns_of(path), list(table_rows(path))),
}


SCHEMAS = {
    "config": "peakday.config/1", "checks": "peakday.checks/1", "models": "peakday.models/1",
    "quality": "peakday.quality/1", "quotas": "peakday.quotas/1", "mapping": "peakday.target/1",
    "matrix": "peakday.bench_matrix/1",
}  # fmt: skip


@pytest.mark.parametrize("reader", SCHEMAS)
@given(values=DOCUMENTS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_right_schema_over_anything_is_values_or_one_line(tmp_path_factory, reader, values):
    """What lies behind the first check is checked too."""
    path = tmp_path_factory.mktemp("bad") / "file.yaml"
    path.write_text(dump_yaml({**values, "schema": SCHEMAS[reader]}), encoding="utf-8", errors="replace")
    line = ""
    try:
        READERS[reader](path)
    except PeakdayError as error:
        line = str(error)
    assert "\n" not in line


@pytest.mark.parametrize("reader", READERS)
@given(content=CONTENTS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_file_is_values_or_one_line(tmp_path_factory, reader, content):
    """`PEAKDAY_BAD_FILES=700` makes it ten thousand."""
    path = tmp_path_factory.mktemp("bad") / ("file.csv" if reader in ("usage", "prices", "fit") else "file.yaml")
    path.write_bytes(content)
    line = ""
    try:
        READERS[reader](path)
    except PeakdayError as error:
        line = str(error)
    assert "\n" not in line


WRONG = (None, 1, -1.5, "x", [], {}, [1], {"a": 1}, [[]], [{"a": {}}], True, "é")
WHOLE_FILES = {
    "matrix": {
        "schema": "peakday.bench_matrix/1", "suite": "quick", "seed": 1, "slo": {"ttft_s": 0.5}, "models": ["nano"],
        "targets": [
            {"device": "cpu", "method": "trace", "models": ["nano"]},
            {"method": "endpoint", "url": "http://127.0.0.1:1/v1", "chip": "trainium2", "tp": 4, "chips_used": 1},
        ],
    },
    "quotas": {
        "schema": "peakday.quotas/1", "pulled_utc": "2026-11-23T12:00Z",
        "regions": {"us-east-1": {"bedrock": [{"code": "L", "name": "n", "value": 1.0, "adjustable": True}]}},
    },
    "mapping": {
        "schema": "peakday.target/1", "url": "http://127.0.0.1:1", "format": "sse", "headers": {"a": "b"},
        "body": {"m": "{message}"}, "text": {"path": "a.b"}, "end": {"event": "done"}, "error": {"event": "e"},
        "usage": {"event": "u", "input_tokens": "a"}, "conversation_id": {"path": "x"},
    },
    "quality": {
        "schema": "peakday.quality/1",
        "rows": [{
            "model": "a", "intent": "any", "complexity": "simple", "acceptable_ratio": 0.9, "low": 0.8, "high": 0.95,
            "n": 3, "provenance": "assumed",
        }],
    },
    "models": {
        "schema": "peakday.models/1",
        "models": {"mine": {
            "model_id": "x", "stands_for": "y", "supply": "bedrock", "protocol": "converse", "cache_rule": "nova-v1",
            "price_key": "us.amazon.nova-pro-v1:0", "cache_write_usd_per_mtok": {"value": 1.0, "status": "assumed"},
            "quota": "nova-pro/us", "context_tokens": 1, "max_output_tokens": 1, "images": True,
            "grounding_regions": ["a"], "source": "s", "tokenizer_ratio": 1.0,
        }},
        "marketplaces": {"en_US": {"name": "n", "currency": "USD", "regions": ["a"], "language": "E"}},
    },
}  # fmt: skip


def damaged(node):
    """Every copy of a value in which one part is of a wrong kind or missing."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from ({**node, key: part} for part in (*WRONG, *damaged(value)))
            yield {name: part for name, part in node.items() if name != key}
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from ([*node[:index], part, *node[index + 1 :]] for part in (*WRONG, *damaged(value)))


@pytest.mark.parametrize("reader", WHOLE_FILES)
def test_a_whole_file_with_one_wrong_part_is_values_or_one_line(tmp_path, reader):
    path = tmp_path / "file.yaml"
    lines = []
    for values in damaged(WHOLE_FILES[reader]):
        path.write_text(json.dumps(values), encoding="utf-8")
        try:
            READERS[reader](path)
        except PeakdayError as error:
            lines.append(str(error))
    assert lines
    assert not [line for line in lines if "\n" in line]
