"""A user's own questions in place of the world's: single messages or conversations, from text, CSV, JSON lines or JSON.

The file says what is asked, and the scenario when, by whom and after how long a wait. An interaction takes one entry,
drawn by weight, and asks its messages in their order.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from host.atomic import write_text
from host.files import FileError, read_bytes, read_text
from host.json_text import parse_json
from host.tables import columns_of, table_rows
from scenarios.errors import ScenarioError

SCHEMA = "peakday.messages/1"
FILE_BYTES_MAX = 256 * 2**20
TEXT_NAMES = ("question", "text", "message", "prompt", "content", "query", "input")
CONVERSATION_NAMES = ("messages", "conversations", "conversation", "turns")
_USERS = ("user", "human")
PICTURE_NAMES = ("image", "images", "image_url")
PICTURE_KINDS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".gif": "gif", ".webp": "webp"}
"""Formats that Bedrock's Converse and OpenAI's chat take."""
PICTURE_BYTES_MAX = 3_750_000
"""Of Converse (3.75 MB an image), the smaller limit of the two."""


@dataclass(frozen=True)
class Entry:
    """What one interaction asks. `max_tokens` None: the run's; `intent`: the expected one, for the record's reader.

    `images`: of each text, as addresses or data URLs; empty where no text has any.
    """

    texts: tuple[str, ...]
    weight: float = 1.0
    max_tokens: int | None = None
    intent: str = "question"
    images: tuple[tuple[str, ...], ...] = ()


def read_questions(path: Path) -> list[Entry]:
    """The entries of a file; its form is told by its content.

    - text: a question a line
    - CSV: a column question, text, message, prompt, content, query or input; and perhaps weight, max_tokens, intent
    - JSON lines, or a JSON list: texts, or objects with such a key, or with `messages` or `conversations`: a list of
      texts, of `{role, content}` or of `{from, value}`, of which the customer's are asked

    Pictures stand in a column or key image, images or image_url, or in a message's parts as OpenAI's `image_url`: files
    beside this one, addresses, or data URLs.

    Raises:
        ScenarioError: unreadable, empty, or an entry that asks nothing; file, place and fix.
    """
    text = read_text(path, FILE_BYTES_MAX, error=ScenarioError)
    start = text.lstrip()[:1]
    if start in ("[", "{", '"'):
        entries = [_entry(value, where, path.parent) for where, value in _values(path, text)]
    elif _is_table(path):
        entries = [_entry(row, f"{path}:{line}", path.parent) for line, row in table_rows(path, error=ScenarioError)]
    else:
        entries = [Entry((line.strip(),)) for line in text.splitlines() if line.strip()]
    if not entries:
        raise ScenarioError(f"{path}: no question in it; write one a line, or a CSV with a column question")
    if not sum(entry.weight for entry in entries) > 0:
        raise ScenarioError(f"{path}: weight: all are 0; give at least one question a weight above 0")
    return entries


def write_messages(entries: Iterable[Entry], folder: Path) -> Path:
    """The entries as a world's messages.json, named after its content, readable by its owner alone."""
    messages = [
        {
            "id": f"q{number}-{place}",
            "intent": entry.intent,
            "complexity": "simple",
            "text": text,
            "page_product_id": None,
            "image": False,
            "follow_up": place > 0,
            "confirm": False,
            "conversation": number,
            "weight": entry.weight,
            "max_tokens": entry.max_tokens,
            **({"images": list(entry.images[place])} if entry.images and entry.images[place] else {}),
        }
        for number, entry in enumerate(entries)
        for place, text in enumerate(entry.texts)
    ]
    content = json.dumps({"schema": SCHEMA, "messages": messages}, allow_nan=False)
    path = folder / f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.json"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_text(path, content)
    path.chmod(0o600)
    return path


def _is_table(path: Path) -> bool:
    return bool({name.lower() for name in columns_of(path, error=ScenarioError)} & {*TEXT_NAMES})


def _values(path: Path, text: str) -> Iterable[tuple[str, object]]:
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, list):
        yield from ((f"{path}: entry {number}", value) for number, value in enumerate(whole, 1))
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            where = f"{path}:{number}"
            yield where, parse_json(line, where, error=ScenarioError)


def _entry(value: object, where: str, folder: Path) -> Entry:
    if isinstance(value, str):
        return _of([(value, ())], where)
    if isinstance(value, list):
        return _of(_messages(value, where, folder), where)
    if not isinstance(value, Mapping):
        raise ScenarioError(f"{where}: expected a text, or an object with one of {', '.join(TEXT_NAMES)}")
    fields = {str(name).strip().lower(): content for name, content in value.items()}
    talk = next((fields[name] for name in CONVERSATION_NAMES if isinstance(fields.get(name), list)), None)
    pictures = _pictures(fields, where, folder)
    if talk is not None:
        asked = _messages(talk, where, folder)
        asked = [(text, (*pictures, *own) if place == 0 else own) for place, (text, own) in enumerate(asked)]
    else:
        asked = [(str(fields[name]), pictures) for name in TEXT_NAMES if fields.get(name) is not None][:1]
    return replace(
        _of(asked, where),
        weight=_number(fields, "weight", where, default=1.0),
        max_tokens=_tokens(fields, where),
        intent=str(fields.get("intent") or "question")[:100],
    )


Message = tuple[str, tuple[str, ...]]
"""A text and its pictures."""


def _messages(talk: list[object], where: str, folder: Path) -> list[Message]:
    messages: list[Message] = []
    for part in talk:
        if isinstance(part, str):
            messages.append((part, ()))
        elif isinstance(part, Mapping):
            if str(part.get("role", part.get("from", "user"))).lower() in _USERS:
                content = part.get("content", part.get("value", part.get("text")))
                text, pictures = _content(content, where, folder)
                messages.append((text, (*pictures, *_pictures(part, where, folder))))
        else:
            raise ScenarioError(f"{where}: a message is neither a text nor an object with role and content")
    return messages


def _content(content: object, where: str, folder: Path) -> Message:
    if isinstance(content, str):
        return content, ()
    if not isinstance(content, list) or not all(isinstance(part, Mapping) for part in content):
        raise ScenarioError(f"{where}: a message without text; expected content, value or text")
    texts = [part["text"] for part in content if isinstance(part.get("text"), str)]
    shown = [part for part in content if not isinstance(part.get("text"), str)]
    pictures = tuple(url for part in shown for url in _pictures(part, where, folder))
    if len(pictures) < len(shown):
        raise ScenarioError(f"{where}: a part of a message is neither a text nor an image_url")
    return "\n".join(texts), pictures


def _pictures(fields: Mapping[str, object], where: str, folder: Path) -> tuple[str, ...]:
    """The pictures of an entry, a message or a part of one."""
    named = [fields[name] for name in PICTURE_NAMES if fields.get(name)]
    each = [one for value in named for one in (value if isinstance(value, list) else [value])]
    urls = [one.get("url") if isinstance(one, Mapping) else one for one in each]
    return tuple(_picture(url, where, folder) for url in urls)


def _picture(value: object, where: str, folder: Path) -> str:
    """An address as it stands; a file, beside the questions unless its path is whole, as a data URL."""
    if not isinstance(value, str):
        raise ScenarioError(f"{where}: a picture is no text; expected a file, an address or a data URL")
    if value.startswith(("http://", "https://", "data:image/")):
        return value
    kind = PICTURE_KINDS.get(Path(value).suffix.lower())
    if kind is None:
        raise ScenarioError(f"{where}: {value}: pictures are {', '.join(PICTURE_KINDS)}, addresses or data URLs")
    try:
        data = read_bytes(folder / value, PICTURE_BYTES_MAX)
    except FileError as error:
        raise ScenarioError(f"{where}: {error}") from None
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _of(messages: Iterable[Message], where: str) -> Entry:
    """An entry of the messages that ask something."""
    asked = [(text, pictures) for text, pictures in messages if text.strip()]
    if not asked:
        raise ScenarioError(f"{where}: no question; expected one of {', '.join((*TEXT_NAMES, *CONVERSATION_NAMES))}")
    shown = tuple(pictures for _, pictures in asked)
    return Entry(tuple(text for text, _ in asked), images=shown if any(shown) else ())


def _number(fields: Mapping[str, object], name: str, where: str, default: float) -> float:
    value = fields.get(name)
    if value is None or value == "":
        return default
    try:
        number = float(value) if isinstance(value, str | float | int) else -1.0
    except (ValueError, OverflowError):
        number = -1.0
    if isinstance(value, bool) or not 0 <= number < 1e12:
        raise ScenarioError(f"{where}: {name}: {value!r}; expected a number of 0 or more")
    return number


def _tokens(fields: Mapping[str, object], where: str) -> int | None:
    number = _number(fields, "max_tokens", where, default=0.0)
    if number != int(number):
        raise ScenarioError(f"{where}: max_tokens: {number!r}; expected a whole number")
    return int(number) or None
