"""The parts of Converse and of Claude's own Messages API that are read here, as their bodies hold them.

A Converse body has been checked against botocore's shapes before it is read by these types; Claude's own is turned into
one, and what is of another form fails there. Sources: Bedrock API reference, Converse; Anthropic API, Messages.
"""

from __future__ import annotations

from typing import Literal, Required, TypedDict


class CachePoint(TypedDict, total=False):
    """Where a prefix ends that may be kept."""

    type: str
    ttl: str


class ToolUse(TypedDict):
    """A call that the model asked for."""

    toolUseId: str
    name: str
    input: object


class ToolResult(TypedDict, total=False):
    """What came of a call."""

    toolUseId: Required[str]
    content: Required[list[Block]]
    status: str


class Block(TypedDict, total=False):
    """One content block, or one part of a tool's result; exactly one member is set."""

    text: str
    image: object
    document: object
    video: object
    audio: object
    json: object
    cachePoint: CachePoint
    toolUse: ToolUse
    toolResult: ToolResult
    reasoningContent: object


class Message(TypedDict):
    """One message of the conversation."""

    role: str
    content: list[Block]


class InputSchema(TypedDict, total=False):
    """Of a tool's arguments."""

    json: dict[str, object]


class ToolSpec(TypedDict, total=False):
    """A tool that is offered."""

    name: Required[str]
    description: str
    inputSchema: Required[InputSchema]


class NamedTool(TypedDict):
    """A tool by its name."""

    name: str


class Tool(TypedDict, total=False):
    """One entry of the tools; exactly one member is set."""

    toolSpec: ToolSpec
    systemTool: NamedTool
    cachePoint: CachePoint


class ToolChoice(TypedDict, total=False):
    """Which tool must be called."""

    auto: object
    any: object
    tool: NamedTool


class ToolConfig(TypedDict, total=False):
    """The tools of a request."""

    tools: Required[list[Tool]]
    toolChoice: ToolChoice


class InferenceConfig(TypedDict, total=False):
    """Of the sampling, what has an effect here."""

    maxTokens: int


class ConverseBody(TypedDict, total=False):
    """A Converse request."""

    messages: list[Message]
    system: list[Block]
    toolConfig: ToolConfig
    inferenceConfig: InferenceConfig
    additionalModelRequestFields: dict[str, object]
    outputConfig: dict[str, object]
    performanceConfig: dict[str, object]
    serviceTier: dict[str, object]


class CountInvoke(TypedDict):
    """A native body whose tokens are counted, in base64."""

    body: str


class CountInput(TypedDict, total=False):
    """What is counted; exactly one member is set."""

    converse: ConverseBody
    invokeModel: CountInvoke


class CountBody(TypedDict):
    """A CountTokens request."""

    input: CountInput


class GuardrailText(TypedDict):
    """A text that a guardrail reads."""

    text: str


class GuardrailBlock(TypedDict, total=False):
    """One block that a guardrail reads."""

    text: GuardrailText


class GuardrailBody(TypedDict):
    """An ApplyGuardrail request."""

    content: list[GuardrailBlock]


class CacheControl(TypedDict, total=False):
    """Claude's own cache point, on the block before it."""

    ttl: str


class ClaudeSource(TypedDict):
    """Of an image or a document."""

    type: str
    media_type: str
    data: str


class ClaudeBlock(TypedDict, total=False):
    """One block of Claude's own; which members stand depends on its type."""

    type: Required[str]
    text: str
    source: ClaudeSource
    id: str
    name: str
    input: object
    tool_use_id: str
    content: str | list[ClaudeBlock]
    is_error: bool
    thinking: str
    cache_control: CacheControl


class ClaudeMessage(TypedDict):
    """One message of Claude's own."""

    role: str
    content: str | list[ClaudeBlock]


class ClaudeTool(TypedDict, total=False):
    """A tool of Claude's own."""

    name: Required[str]
    description: str
    input_schema: dict[str, object]
    cache_control: CacheControl


class ClaudeToolChoice(TypedDict, total=False):
    """Which tool must be called, and whether one alone."""

    type: str
    name: str
    disable_parallel_tool_use: bool


class ClaudeFormat(TypedDict):
    """The form of an answer in JSON."""

    type: Literal["json_schema"]
    schema: object


class ClaudeOutputConfig(TypedDict, total=False):
    """How an answer is to be written."""

    format: ClaudeFormat


class ClaudeBody(TypedDict, total=False):
    """A request of Claude's own."""

    messages: Required[list[ClaudeMessage]]
    max_tokens: Required[int]
    system: str | list[ClaudeBlock]
    tools: list[ClaudeTool]
    tool_choice: ClaudeToolChoice
    output_config: ClaudeOutputConfig
    output_format: ClaudeFormat
