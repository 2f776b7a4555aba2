"""A Converse request as the model sees it: the chained hash over tools, system and messages."""

from hypothesis import given
from hypothesis import strategies as st

from emulator.bedrock.prompt import read_prompt
from emulator.language.tokens import TokenRule

RULE = TokenRule(4.0, 1500)
POINT = {"cachePoint": {"type": "default"}}
words = st.text("abc", min_size=1, max_size=6)


def body(tools, system, turns):
    """A request of these tool names, system texts, and message texts in turn."""
    return {
        "toolConfig": {"tools": [{"toolSpec": {"name": name, "inputSchema": {"json": {}}}} for name in tools]},
        "system": [{"text": text} for text in system],
        "messages": [
            {"role": ("user", "assistant")[number % 2], "content": [{"text": text}]}
            for number, text in enumerate(turns)
        ],
    }


def prefixes(request):
    return [boundary.prefix for boundary in read_prompt(request, RULE).boundaries]


parts = st.tuples(
    st.lists(words, min_size=1, max_size=3), st.lists(words, min_size=1, max_size=3),
    st.lists(words, min_size=1, max_size=4),
)  # fmt: skip


@given(parts, st.data())
def test_an_edit_changes_its_own_prefix_and_every_later_one(parts, data):
    """Blocks before the edit keep their hash, whatever the section it is in."""
    edited = [list(section) for section in parts]
    section = data.draw(st.integers(0, 2))
    place = data.draw(st.integers(0, len(edited[section]) - 1))
    edited[section][place] += "x"
    before, after = prefixes(body(*parts)), prefixes(body(*edited))
    at = sum(len(part) for part in parts[:section]) + place
    assert before[:at] == after[:at]
    assert not set(before[at:]) & set(after[at:])


@given(parts, words)
def test_two_customers_share_the_prefix_up_to_their_own_words(parts, other):
    """Tools and system are the shared bar: the same hash under every message."""
    tools, system, _ = parts
    shared = len(tools) + len(system)
    one, two = prefixes(body(tools, system, ["mine"])), prefixes(body(tools, system, ["your" + other]))
    assert one[:shared] == two[:shared]
    assert one[shared] != two[shared]


def test_order_of_keys_in_a_tool_matters_as_it_does_to_a_provider():
    """Byte-stable tools are the caller's duty: the same schema in another order is another prefix."""
    one = {"toolSpec": {"name": "a", "inputSchema": {"json": {"x": 1, "y": 2}}}}
    two = {"toolSpec": {"name": "a", "inputSchema": {"json": {"y": 2, "x": 1}}}}
    hashes = [prefixes({"toolConfig": {"tools": [tool]}, "messages": []})[0] for tool in (one, two)]
    assert hashes[0] != hashes[1]


def test_points_are_no_content_and_know_their_place():
    """They add no tokens, and stand after the block before them in prompt order."""
    request = body(["t"], ["s"], ["u", "a", "v"])
    plain = read_prompt(request, RULE)
    request["system"].append(POINT)
    request["messages"][-1]["content"].append({"cachePoint": {"type": "default", "ttl": "1h"}})
    prompt = read_prompt(request, RULE)
    assert prompt.tokens == plain.tokens
    assert [(point.index, point.ttl) for point in prompt.points] == [(1, "5m"), (4, "1h")]
    assert prompt.point_sections == ["system", "messages"]


def test_images_and_results_count_what_they_hold():
    """An image is a constant a model; a tool result is the sum of its content, an image in it included."""
    image = {"image": {"format": "png", "source": {"bytes": "aGk="}}}
    result = {"toolResult": {"toolUseId": "t", "content": [{"text": "12345678"}, {"json": {"a": 1}}, image]}}
    prompt = read_prompt({"messages": [{"role": "user", "content": [image, result]}]}, RULE)
    assert [boundary.tokens for boundary in prompt.boundaries] == [1500, 1500 + 2 + 2 + 1500]
    assert prompt.images == 2
