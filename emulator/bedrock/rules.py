"""What Converse demands beyond its shapes: roles, tool results, cache points, images, grounding, limits.

The service's own messages where they were read; docs/emulator.md lists what only real Bedrock can confirm.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from emulator.bedrock.messages import Block, ConverseBody, Message, ToolResult
from emulator.bedrock.prompt import Prompt
from emulator.calls import Refused
from emulator.language.conversations import Turn
from facts.reader import Model
from host.json_values import mapping


def _invalid(message: str) -> Refused:
    return Refused(400, "ValidationException", message)


def check_conversation(body: ConverseBody, model: Model, region: str) -> None:
    """Raise `Refused` unless the model would take this conversation."""
    messages = body.get("messages") or []
    if not messages or messages[0]["role"] != "user":
        raise _invalid(
            "A conversation must start with a user message. "
            "Try again with a conversation that starts with a user message."
        )
    _check_roles(messages)
    for number, message in enumerate(messages):
        for index, block in enumerate(message["content"]):
            _check_block(block, f"messages.{number}.content.{index}", model)
    _check_tool_results(messages)
    _check_tools(body, messages, model, region)
    asked = body.get("inferenceConfig", {}).get("maxTokens")
    if asked is not None and asked > model.max_output_tokens:
        raise _invalid(
            f"The maximum tokens you requested exceeds the model limit of {model.max_output_tokens}. "
            f"Try again with a maximum tokens value that is lower than {model.max_output_tokens}."
        )


def _check_roles(messages: list[Message]) -> None:
    for before, after in pairwise(messages):
        if before["role"] == after["role"] or after["role"] == "system":
            raise _invalid(
                "A conversation must alternate between user and assistant roles. "
                "Make sure the conversation alternates between user and assistant roles and try again."
            )
    for number, message in enumerate(messages):
        if not message["content"]:
            raise _invalid(
                f"The content field in the Message object at messages.{number} is empty. "
                "Add a ContentBlock object to the content field and try again."
            )


def _check_block(block: Block, path: str, model: Model) -> None:
    text = block.get("text")
    if text is not None and not text.strip():
        raise _invalid(
            f"The text field in the ContentBlock object at {path} is blank. Add text to the text field, and try again."
        )
    if "image" in block and not model.images:
        raise _invalid("This model doesn't support the image content block that you provided. Use text and try again.")
    for kind in ("video", "audio"):
        if kind in block:
            raise _invalid(
                f"This model doesn't support the {kind} content block that you provided. Try again without it."
            )


def _check_tool_results(messages: list[Message]) -> None:
    """Every toolUse of a message is answered in the next one, and nothing else is."""
    expected: list[str] = []
    for number, message in enumerate(messages):
        found = [block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block]
        if len(found) > len(expected):
            raise _invalid(
                f"The number of toolResult blocks at messages.{number}.content "
                "exceeds the number of toolUse blocks of previous turn."
            )
        missing = [name for name in expected if name not in found]
        if missing:
            raise _invalid(
                f"Expected toolResult blocks at messages.{number}.content for the following Ids: {', '.join(missing)}"
            )
        expected = [block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block]


def _check_tools(body: ConverseBody, messages: list[Message], model: Model, region: str) -> None:
    config = body.get("toolConfig")
    uses_tools = any(
        "toolUse" in block or "toolResult" in block for message in messages for block in message["content"]
    )
    if config is None:
        if uses_tools:
            raise _invalid("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
        return
    choice = config.get("toolChoice", {})
    named = choice["tool"]["name"] if "tool" in choice else None
    if named is not None and named not in [tool["toolSpec"]["name"] for tool in config["tools"] if "toolSpec" in tool]:
        raise _invalid(f"The tool {named} of toolChoice is not among the tools of toolConfig.")
    for tool in config["tools"]:
        name = tool["systemTool"]["name"] if "systemTool" in tool else None
        if name is not None and (name != "nova_grounding" or region not in model.grounding_regions):
            raise _invalid(f"The model {model.model_id} does not support the system tool {name} in {region}.")


def check_points(prompt: Prompt, model: Model) -> None:
    """Raise `Refused` for a cache point in a field, with a TTL, or in a number that the model does not take."""
    rule = model.cache
    if len(prompt.points) > rule.max_points:
        raise _invalid(
            f"You have exceeded the maximum number of cache points: found {len(prompt.points)}, "
            f"the model allows {rule.max_points}."
        )
    for point, section in zip(prompt.points, prompt.point_sections, strict=True):
        if section not in rule.points:
            raise _invalid(
                f"This model does not support cache points in {section}; it takes them in {', '.join(rule.points)}."
            )
        if point.ttl not in rule.ttls:
            raise _invalid(f"This model does not support the cache TTL {point.ttl}; it takes {', '.join(rule.ttls)}.")
    ttls = [point.ttl for point in prompt.points]
    if "1h" in ttls and "5m" in ttls and ttls.index("5m") < len(ttls) - 1 - ttls[::-1].index("1h"):
        raise _invalid(
            "Cache points with a longer TTL must come before those with a shorter one: a 1h point follows a 5m one."
        )


def turn_of(body: ConverseBody) -> Turn:
    """The turn under way: the newest user message without tool results, and the results since."""
    results: list[tuple[object, ...]] = []
    texts: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    newest = True
    for message in reversed(body["messages"]):
        if message["role"] != "user":
            continue
        found = tuple(_result(block["toolResult"]) for block in message["content"] if "toolResult" in block)
        if not found:
            own = tuple(block["text"] for block in reversed(message["content"]) if "text" in block)
            if not newest:
                earlier = own
                break
            texts, newest = own, False
        elif newest:
            results.append(found)
    one_at_a_time = bool(tool_choice(body).get("disable_parallel_tool_use"))
    return Turn(texts, tuple(reversed(results)), parallel=not one_at_a_time, earlier=earlier)


def tool_choice(body: ConverseBody) -> Mapping[str, object]:
    """Claude's own tool_choice, which a Converse request hands through; empty where it has none."""
    return mapping(mapping(body.get("additionalModelRequestFields")).get("tool_choice"))


def _result(block: ToolResult) -> object:
    return [item["json"] if "json" in item else item.get("text") for item in block["content"]]
