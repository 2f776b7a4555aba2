"""Values made from JSON schemas; the judge is the jsonschema library, which the emulator does not use."""

from random import Random

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.language.schema_values import value_for

pytestmark = pytest.mark.unit

_PATTERNS = [
    r"^[A-Z]{3}-\d{4}$",
    r"^\w+@\w+\.com$",
    r"^(red|green|blue)$",
    r"\d+",
    r"^[^a-z]{2,5}$",
    r"^p\d{6}$",
    r"^a?b+c*$",
]


@st.composite
def numbers(draw):
    """Bounds that leave at least one multiple."""
    low = draw(st.integers(-50, 50))
    schema = {
        "type": draw(st.sampled_from(["integer", "number"])),
        "minimum": low,
        "maximum": low + draw(st.integers(7, 99)),
    }
    step = draw(st.sampled_from([None, 1, 2, 5]))
    if step:
        schema["multipleOf"] = step
    if draw(st.booleans()):
        schema["exclusiveMinimum"] = schema.pop("minimum")
    if draw(st.booleans()):
        schema["exclusiveMaximum"] = schema.pop("maximum")
    return schema


@st.composite
def texts(draw):
    """Plain, patterned, of a format, or of bounded length."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return {"type": "string", "pattern": draw(st.sampled_from(_PATTERNS))}
    if kind == 1:
        return {
            "type": "string",
            "format": draw(st.sampled_from(["date", "date-time", "email", "uuid", "uri", "ipv4"])),
        }
    least = draw(st.integers(0, 30))
    return {"type": "string", "minLength": least, "maxLength": least + draw(st.integers(0, 10))}


leaves = (
    numbers()
    | texts()
    | st.sampled_from(
        [
            {"type": "boolean"},
            {"type": "null"},
            {"const": 3},
            {"enum": ["a", 1, None]},
            {},
            {"type": ["null", "string"]},
        ]
    )
)


def nested(inner):
    """Objects, arrays and unions of them."""
    objects = st.dictionaries(st.sampled_from("abcde"), inner, min_size=1).flatmap(
        lambda properties: st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.just(properties), "additionalProperties": st.just(False),
             "required": st.lists(st.sampled_from(sorted(properties)), unique=True)}))  # fmt: skip
    arrays = st.builds(
        lambda item, least, more: {"type": "array", "items": item, "minItems": least, "maxItems": least + more},
        inner, st.integers(0, 3), st.integers(0, 2))  # fmt: skip
    unions = st.builds(lambda one, two: {"anyOf": [{"type": "null"}, one, two]}, inner, inner)
    joined = st.builds(lambda one: {"allOf": [one, {"title": "x"}]}, inner)
    return objects | arrays | unions | joined


@settings(max_examples=150)
@given(
    schema=st.recursive(leaves, nested, max_leaves=8),
    words=st.sampled_from(["", "17 nights in Rome, please", "x"]),
    seed=st.integers(0, 9),
)
def test_every_value_validates(schema, words, seed):
    """Whatever the schema of those that are read, the message and the seed; and the same again is the same."""
    made = value_for(schema, words, Random(seed))
    jsonschema.validate(made, schema)
    assert value_for(schema, words, Random(seed)) == made


def test_references_are_followed_and_end():
    """A tree of itself is cut off where it may be; definitions are looked up."""
    node = {"type": "object", "required": ["name", "next"], "properties": {
        "name": {"$ref": "#/$defs/name"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}  # fmt: skip
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node, "name": {"type": "string", "minLength": 3}}}
    jsonschema.validate(value_for(schema, "", Random(1)), schema)


def test_unique_items_differ():
    """Three of an enum of three."""
    schema = {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "maxItems": 3, "uniqueItems": True}
    assert sorted(value_for(schema, "", Random(1))) == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "schema", "words", "expected"),
    [
        ("city", {"type": "string"}, "What is the weather in Paris?", "Paris"),
        ("title", {"type": "string"}, 'find "the blue tent" please', "the blue tent"),
        ("query", {"type": "string"}, "shoes for rain", "shoes for rain"),
        ("expression", {"type": "string"}, "What is 12*7+1?", "12*7+1"),
        ("nights", {"type": "integer"}, "17 nights in Rome", 17),
        ("unit", {"enum": ["celsius", "fahrenheit"]}, "in Fahrenheit, please", "fahrenheit"),
    ],
)
def test_the_message_fills_what_it_can(name, schema, words, expected):
    """Names, quotes, figures, sums and options of the message."""
    whole = {"type": "object", "properties": {name: schema}, "required": [name]}
    assert value_for(whole, words, Random(1)) == {name: expected}


def test_two_names_are_dealt_out_in_order():
    """From the first to the second."""
    schema = {"properties": {"origin": {"type": "string"}, "destination": {"type": "string"}}}
    assert value_for(schema, "Book a flight from Rome to Oslo", Random(1)) == {"origin": "Rome", "destination": "Oslo"}
