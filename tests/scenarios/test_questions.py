"""A user's own questions: read in every form, asked in their order, by their weights."""

import json
from collections import Counter

import numpy as np
import pytest

from scenarios.errors import ScenarioError
from scenarios.questions import Entry, read_questions, write_messages
from scenarios.sessions import SessionPlanner
from tests.scenarios.test_sessions import RESOLVED

CONVERSATION = [
    {"role": "system", "content": "x"},
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": [{"type": "text", "text": "c"}]},
]
SHAREGPT = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
FORMS = {
    "text": ("is it waterproof?\n\n  where is my order \n", [("is it waterproof?",), ("where is my order",)]),
    "csv": ('Question,weight,max_tokens\nis it red?,3,\n"a, b",1,20\n', [("is it red?",), ("a, b",)]),
    "semicolons": ("weight;prompt\n0,5;hello\n", [("hello",)]),
    "bom": ("\ufefftext\nhello\n", [("hello",)]),
    "jsonl": (
        '"hello"\n{"prompt": "x", "weight": 2}\n' + json.dumps({"messages": CONVERSATION}),
        [("hello",), ("x",), ("a", "c")],
    ),
    "sharegpt": (json.dumps([{"conversations": SHAREGPT}]), [("a",)]),
    "lists": ('[["a", "b"], "c"]', [("a", "b"), ("c",)]),
    "one object": ('{"text": "hello"}', [("hello",)]),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_read_by_its_content(tmp_path, form):
    text, expected = FORMS[form]
    path = tmp_path / "questions"
    path.write_text(text, encoding="utf-8")
    assert [entry.texts for entry in read_questions(path)] == expected


def test_weights_limits_and_intents_are_kept(tmp_path):
    path = tmp_path / "q.csv"
    path.write_text("question,weight,max_tokens,intent\na,3,20,deals\nb,,,\n")
    assert read_questions(path) == [Entry(("a",), 3.0, 20, "deals"), Entry(("b",))]


def test_pictures_are_files_addresses_or_data(tmp_path):
    """Of an entry they go with its first message; of a message's parts with that; a file becomes data."""
    (tmp_path / "tent.jpg").write_bytes(b"jpeg")
    tent, far, data = "data:image/jpeg;base64,anBlZw==", "https://x.example/a.png", "data:image/png;base64,AA=="
    parts = [{"type": "text", "text": "and this?"}, {"type": "image_url", "image_url": {"url": data}}]
    path = tmp_path / "q.jsonl"
    talk = {"images": ["tent.jpg", far], "messages": ["what is it?", {"role": "user", "content": parts}]}
    path.write_text(json.dumps(talk) + '\n"and?"')
    first, second = read_questions(path)
    assert first.images == ((tent, far), (data,))
    assert second.images == ()
    messages = json.loads(write_messages([first, second], tmp_path / "kept").read_text())["messages"]
    assert [message.get("images") for message in messages] == [[tent, far], [data], None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no question in it"),
        ('{"weight": 1}', "no question; expected one of question"),
        ('{"text": "a", "weight": -1}', "weight: -1; expected a number of 0 or more"),
        ('{"text": "a", "weight": 0}', "weight: all are 0"),
        ('{"text": "a", "max_tokens": 1.5}', "max_tokens: 1.5; expected a whole number"),
        ('{"text": "a", "image": "x.png"}', "x.png: no such file"),
        ('{"text": "a", "image": "x.bmp"}', "x.bmp: pictures are .png, .jpg"),
        ('{"text": "a", "image": 7}', "a picture is no text"),
        ('{"messages": [{"role": "user", "content": [{"type": "audio"}]}]}', "neither a text nor an image_url"),
        ('{"text": "a"}\n{"text": ', ":2: no JSON"),
        ("[1]", "expected a text, or an object"),
        ('[{"messages": [{"role": "assistant", "content": "b"}]}]', "no question"),
    ],
)
def test_what_asks_nothing_is_one_line_with_its_place(tmp_path, text, said):
    path = tmp_path / "q"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=said) as error:
        read_questions(path)
    assert "\n" not in str(error.value)


@pytest.fixture
def sessions(tmp_path):
    entries = [Entry(("a1", "a2", "a3"), 3.0), Entry(("b",), 1.0), Entry(("c",), 0.0)]
    messages = json.loads(write_messages(entries, tmp_path / "kept").read_text())["messages"]
    words = {message["id"]: message["text"] for message in messages}
    made = SessionPlanner(RESOLVED, messages, 1).block(0, 2_000)
    return [tuple(words[turn.message_id] for turn in one.turns) for session in made for one in session.interactions]


def test_an_interaction_asks_one_entry_in_its_order(sessions):
    assert set(sessions) == {("a1", "a2", "a3"), ("b",)}


def test_entries_come_by_their_weights(sessions):
    share = Counter(sessions)[("b",)] / len(sessions)
    assert share == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / len(sessions)))


def test_the_kept_file_is_the_owners_alone(tmp_path):
    path = write_messages([Entry(("a secret plan",))], tmp_path / "kept")
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
