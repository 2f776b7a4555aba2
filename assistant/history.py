"""Conversations in memory: what was said in one interaction, as the models will be sent it again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import orjson

from assistant.models.protocol import Block, Message

CONVERSATIONS_MAX = 20_000
"""Oldest conversations make room beyond this, so that memory stays flat."""
IDLE_S_MAX = 3_600.0
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
    """

    messages: list[Message] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    last_tail: int | None = None
    tainted: bool = False
    has_image: bool = False
    prefetched: set[str] = field(default_factory=set)
    urls: set[str] = field(default_factory=set)
    intent: str | None = None
    turns: int = 0
    used_s: float = 0.0
    busy: bool = False

    def append(self, message: Message) -> None:
        """Add a message."""
        self.messages.append(message)
        text = [block for block in message["content"] if "image" not in block]
        self.tokens.append(estimated_tokens(len(orjson.dumps(text))))

    @property
    def picture_chars(self) -> int:
        """Characters of base64 of its pictures."""
        blocks = (block for message in self.messages for block in message["content"]) if self.has_image else ()
        return sum(len(block["image"]["source"]["bytes"]) for block in blocks if "image" in block)

    def drop_pictures(self) -> None:
        """Keep a word in the place of each picture; what was said of it stays."""
        for place, message in enumerate(self.messages):
            if any("image" in block for block in message["content"]):
                content = [PICTURE if "image" in block else block for block in message["content"]]
                self.messages[place] = {**message, "content": content}
        self.has_image = False

    def fork(self) -> Conversation:
        """A copy to work on: a turn that fails leaves the conversation as it was."""
        return Conversation(
            messages=self.messages.copy(),
            tokens=self.tokens.copy(),
            last_tail=self.last_tail,
            tainted=self.tainted,
            has_image=self.has_image,
            prefetched=self.prefetched.copy(),
            urls=self.urls.copy(),
            intent=self.intent,
            turns=self.turns,
            used_s=self.used_s,
        )

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
            del self.messages[:gone], self.tokens[:gone]
            self.last_tail = None
            self.prefetched.clear()
        return gone


def _opens_turn(message: Message) -> bool:
    return message["role"] == "user" and not any("toolResult" in block for block in message["content"])


class Conversations:
    """Conversations by customer and interaction, oldest out first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Conversation] = OrderedDict()
        self._pictures: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._picture_chars = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, customer_id: str, interaction_id: str, now_s: float) -> Conversation:
        """The conversation, new if it is not known."""
        key = (customer_id, interaction_id)
        conversation = self._kept.get(key)
        if conversation is None:
            conversation = self._kept[key] = Conversation()
        conversation.used_s = now_s
        self._kept.move_to_end(key)
        self._make_room(now_s)
        return conversation

    def put(self, customer_id: str, interaction_id: str, conversation: Conversation) -> None:
        """Replace a conversation by what a finished turn made of it."""
        key = (customer_id, interaction_id)
        self._kept[key] = conversation
        self._forget_pictures(key)
        if chars := conversation.picture_chars:
            self._pictures[key] = chars
            self._picture_chars += chars
            self._make_room_for_pictures()

    def _forget_pictures(self, key: tuple[str, str]) -> None:
        self._picture_chars -= self._pictures.pop(key, 0)

    def _make_room_for_pictures(self) -> None:
        while self._picture_chars > PICTURE_CHARS_MAX and len(self._pictures) > 1:
            oldest = next(iter(self._pictures))
            self._kept[oldest].drop_pictures()
            self._forget_pictures(oldest)

    def _make_room(self, now_s: float) -> None:
        while self._kept:
            key = next(iter(self._kept))
            oldest = self._kept[key]
            if oldest.busy or (len(self._kept) <= CONVERSATIONS_MAX and now_s - oldest.used_s <= IDLE_S_MAX):
                return
            del self._kept[key]
            self._forget_pictures(key)
