"""Conversations in memory: what was said in one interaction, as the models will be sent it again."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from dataclasses import dataclass, field

import orjson

from assistant.models.protocol import Block, Message

CONVERSATIONS_MAX = 10_000
"""The oldest conversations make room beyond this."""
IDLE_S_MAX = 3_600.0
BYTES_MAX = 64 * 2**20
"""Of all conversations, packed and without their pictures: 10,000 of the usual length take a sixth of it."""
PICTURE_CHARS_MAX = 256 * 2**20
"""Characters of base64 of all pictures that are kept; the oldest conversations' make room. A choice of ours: a quarter
of a gigabyte, some 40 of the largest."""
CHARS_PER_TOKEN = 4.0
"""Assumed, for placing cache points and trimming only: what is reported and charged is the model's own usage."""


def estimated_tokens(text_length: int) -> int:
    """Tokens of so many characters, roughly."""
    return round(text_length / CHARS_PER_TOKEN)


PICTURE: Block = {"text": "[a picture]"}
"""What stands for a picture where it cannot be sent, or is not kept any more."""


@dataclass(slots=True)
class Conversation:
    """One interaction so far.

    `tokens[i]` is the estimate for `messages[i]`. `last_tail`: index of the newest message that a cache point followed.
    `tainted`: text of strangers was read. `prefetched`: tools whose results already stand in it.
    `picture_chars`: characters of base64 of its pictures.
    """

    messages: list[Message] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    last_tail: int | None = None
    tainted: bool = False
    picture_chars: int = 0
    prefetched: set[str] = field(default_factory=set)
    urls: set[str] = field(default_factory=set)
    intent: str | None = None
    turns: int = 0

    def append(self, message: Message) -> None:
        """Add a message."""
        self.messages.append(message)
        text = [block for block in message["content"] if "image" not in block]
        self.tokens.append(estimated_tokens(len(orjson.dumps(text))))
        self.picture_chars += _picture_chars(message)

    def drop_pictures(self) -> None:
        """Keep a word in the place of each picture; what was said of it stays."""
        for place, message in enumerate(self.messages):
            if _picture_chars(message):
                content = [PICTURE if "image" in block else block for block in message["content"]]
                self.messages[place] = {**message, "content": content}
        self.picture_chars = 0

    def trim(self, tokens_max: int) -> int:
        """Drop whole turns from the front until the rest fits; returns how many messages went.

        The newest turn stays whatever its size: the model's own refusal is then the clear answer.
        """
        starts = [i for i, message in enumerate(self.messages) if _opens_turn(message)]
        total = sum(self.tokens)
        gone = 0
        for start in starts[1:]:
            if total <= tokens_max:
                break
            total -= sum(self.tokens[gone:start])
            gone = start
        if gone:
            self.picture_chars -= sum(map(_picture_chars, self.messages[:gone]))
            del self.messages[:gone], self.tokens[:gone]
            self.last_tail = None
            self.prefetched.clear()
        return gone


def _opens_turn(message: Message) -> bool:
    return message["role"] == "user" and not any("toolResult" in block for block in message["content"])


def _picture_chars(message: Message) -> int:
    return sum(len(block["image"]["source"]["bytes"]) for block in message["content"] if "image" in block)


def _packed(conversation: Conversation) -> bytes:
    """A conversation between its turns: a tenth of the memory of its objects. Pictures are compressed already."""
    data = orjson.dumps(conversation, default=sorted)
    return data if conversation.picture_chars else zlib.compress(data, 1)


def _unpacked(data: bytes) -> Conversation:
    values = orjson.loads(data if data.startswith(b"{") else zlib.decompress(data))
    return Conversation(**{**values, "prefetched": set(values["prefetched"]), "urls": set(values["urls"])})


@dataclass(slots=True)
class _Kept:
    """`data` is empty before a first turn has ended; `busy`: a turn is under way."""

    data: bytes = b""
    picture_chars: int = 0
    used_s: float = 0.0
    busy: bool = False


class Conversations:
    """Conversations by customer and interaction, oldest out first. They are packed while no turn works on them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._bytes = self._picture_chars = 0

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, customer_id: str, interaction_id: str, now_s: float) -> Conversation | None:
        """The conversation to work on, new if it is not known; None while another turn works on it.

        What is made of it counts once it is given back.
        """
        key = (customer_id, interaction_id)
        kept = self._kept.setdefault(key, _Kept())
        if kept.busy:
            return None
        kept.used_s, kept.busy = now_s, True
        self._kept.move_to_end(key)
        self._make_room(now_s)
        return _unpacked(kept.data) if kept.data else Conversation()

    def give_back(self, customer_id: str, interaction_id: str, conversation: Conversation | None) -> None:
        """The turn is over; None where it failed: the conversation stays as it was."""
        kept = self._kept[customer_id, interaction_id]
        kept.busy = False
        if conversation is not None:
            self._fill(kept, conversation)
            self._make_room(kept.used_s)
            self._make_room_for_pictures()

    def _fill(self, kept: _Kept, conversation: Conversation | None) -> None:
        self._bytes -= len(kept.data) - kept.picture_chars
        self._picture_chars -= kept.picture_chars
        kept.data = b"" if conversation is None else _packed(conversation)
        kept.picture_chars = 0 if conversation is None else conversation.picture_chars
        self._bytes += len(kept.data) - kept.picture_chars
        self._picture_chars += kept.picture_chars

    def _make_room_for_pictures(self) -> None:
        pictured = [kept for kept in self._kept.values() if kept.picture_chars] if self._too_many_pictures else []
        for kept in pictured[:-1]:
            if self._too_many_pictures:
                conversation = _unpacked(kept.data)
                conversation.drop_pictures()
                self._fill(kept, conversation)

    @property
    def _too_many_pictures(self) -> bool:
        return self._picture_chars > PICTURE_CHARS_MAX

    def _make_room(self, now_s: float) -> None:
        while self._kept:
            key, oldest = next(iter(self._kept.items()))
            full = len(self._kept) > CONVERSATIONS_MAX or self._bytes > BYTES_MAX
            if oldest.busy or not (full or now_s - oldest.used_s > IDLE_S_MAX):
                return
            self._fill(oldest, None)
            del self._kept[key]
