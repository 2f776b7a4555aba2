"""The parts of a chat completion request that are read here, as its body holds them.

`requests.py` refuses bodies of another form where that matters; what it lets through is read by these types.
Source: OpenAI API reference, chat completions.
"""

from __future__ import annotations

from typing import Required, TypedDict


class ChatPart(TypedDict, total=False):
    """A part of a message's content."""

    type: str
    text: str


class ChatCalled(TypedDict, total=False):
    """The function that a call names, with its arguments as JSON."""

    name: str
    arguments: str


class ChatCall(TypedDict, total=False):
    """A call that the model asked for."""

    id: str
    function: ChatCalled


class ChatMessage(TypedDict, total=False):
    """One message."""

    role: str
    content: str | list[ChatPart] | None
    tool_calls: list[ChatCall]


class ChatFunction(TypedDict, total=False):
    """A function that is offered."""

    name: Required[str]
    description: str
    parameters: dict[str, object]


class ChatTool(TypedDict):
    """A tool that is offered."""

    function: ChatFunction


class ChatBody(TypedDict, total=False):
    """A chat completion request."""

    messages: Required[list[ChatMessage]]
    tools: list[ChatTool]
    tool_choice: object
    parallel_tool_calls: bool
