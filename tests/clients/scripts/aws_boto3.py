"""boto3: Converse, InvokeModel, CountTokens."""

import json

import boto3
from checks import CLAUDE, NOVA, PARIS, URL, run

client = boto3.client("bedrock-runtime", endpoint_url=URL)
HELLO = [{"role": "user", "content": [{"text": "hello"}]}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
BODY = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}


def answer():
    assert client.converse(modelId=NOVA, messages=HELLO)["output"]["message"]["content"][0]["text"]


def stream():
    events = list(client.converse_stream(modelId=CLAUDE, messages=HELLO)["stream"])
    assert events[-1]["metadata"]["usage"]["outputTokens"] > 0


def tools():
    spec = {"toolSpec": {"name": "get_weather", "inputSchema": {"json": CITY}}}
    messages = [{"role": "user", "content": [{"text": PARIS}]}]
    made = client.converse(modelId=NOVA, messages=messages, toolConfig={"tools": [spec]})
    assert made["output"]["message"]["content"][0]["toolUse"]["input"] == {"city": "Paris"}


def structured():
    form = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(CITY)}}}}
    made = client.converse(modelId=CLAUDE, messages=HELLO, outputConfig=form)
    assert "city" in json.loads(made["output"]["message"]["content"][0]["text"])


def count():
    assert (
        client.count_tokens(modelId="amazon.nova-pro-v1:0", input={"converse": {"messages": HELLO}})["inputTokens"] > 0
    )


def invoke():
    made = json.loads(client.invoke_model(modelId=CLAUDE, body=json.dumps(BODY))["body"].read())
    assert made["content"][0]["text"]


def invoke_stream():
    body = client.invoke_model_with_response_stream(modelId=CLAUDE, body=json.dumps(BODY))["body"]
    assert json.loads(list(body)[-1]["chunk"]["bytes"])["type"] == "message_stop"


run({
    ("boto3", "answer"): answer, ("boto3", "stream"): stream, ("boto3", "tools"): tools,
    ("boto3", "structured"): structured, ("boto3", "tokens"): count,
    ("boto3 InvokeModel", "answer"): invoke, ("boto3 InvokeModel", "stream"): invoke_stream,
})  # fmt: skip
