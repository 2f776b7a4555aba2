"""JSON values of a stream are understood however the network cuts them and whatever stands between them."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.json_values import VALUE_BYTES_MAX, JsonStreamError, JsonValues

OBJECTS = [{"a": 'x"}{\\'}, {}, {"b": [{"c": "]"}, [1, 2]], "d": '\\"'}, {"é": "ü\n"}]
WRITTEN = [json.dumps(value, indent=indent).encode() for value, indent in zip(OBJECTS, (None, 2, 1, None), strict=True)]
STREAMS = {
    "an array": b"[" + b"\n,\r\n".join(WRITTEN) + b"]\n",
    "one behind the other": b"".join(WRITTEN),
    "leading blanks": b"  \n\n" + b"\n".join(WRITTEN),
    "server-sent events": b"".join(b"data: " + value.replace(b"\n", b"") + b"\n\n" for value in WRITTEN),
    "closed once too often": b"}" + b"}".join(WRITTEN),
}


@pytest.mark.parametrize("stream", STREAMS)
@given(cuts=st.lists(st.integers(0, 120), max_size=8))
def test_any_split_of_the_stream_gives_the_same_values(stream, cuts):
    data = STREAMS[stream]
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = JsonValues()
    values = [json.loads(value) for start, end in itertools.pairwise(edges) for value in reader.feed(data[start:end])]
    assert values == OBJECTS


def test_a_string_on_the_top_level_is_a_value():
    reader = JsonValues()
    assert reader.feed(b'["It ships ", "Fri') == [b'"It ships "']
    assert reader.feed(b'day."]') == [b'"Friday."']


@pytest.mark.parametrize("begun", [b'{"a": ', b'"', b"["])
def test_a_value_without_an_end_is_bounded(begun):
    """Nothing between values is kept, so that blanks and numbers may go on for ever."""
    reader = JsonValues()
    reader.feed(begun)
    if begun == b"[":
        assert reader.feed(b"1," * VALUE_BYTES_MAX) == []
    else:
        with pytest.raises(JsonStreamError):
            reader.feed(b"x" * (VALUE_BYTES_MAX + 1))
