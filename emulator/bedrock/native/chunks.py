"""What the answers of InvokeModel have in common, whatever the model's own form."""

from __future__ import annotations

import base64

import orjson

from emulator.bedrock import eventstream_encoder as encode
from emulator.bedrock.answers import Outcome


def chunk(value: object, number: int = 0) -> bytes:
    """One event of InvokeModelWithResponseStream: a piece of the model's own answer, base64, padded as Converse is."""
    payload = {"bytes": base64.b64encode(orjson.dumps(value)).decode(), "p": encode.filler(number)}
    return encode.event("chunk", orjson.dumps(payload))


def invocation_metrics(outcome: Outcome, now_s: float) -> dict[str, int]:
    """What the service adds to the last chunk of a stream."""
    return {
        "inputTokenCount": outcome.uncached,
        "outputTokenCount": outcome.reply.tokens,
        "invocationLatency": round((now_s - outcome.received_s) * 1000),
        "firstByteLatency": round((outcome.first_s - outcome.received_s) * 1000),
        "cacheReadInputTokenCount": outcome.use.read,
        "cacheWriteInputTokenCount": outcome.use.write,
    }


def token_headers(outcome: Outcome, now_s: float) -> dict[str, str]:
    """What the service says in headers of an answer that does not stream."""
    return {
        "x-amzn-bedrock-input-token-count": str(outcome.uncached),
        "x-amzn-bedrock-output-token-count": str(outcome.reply.tokens),
        "x-amzn-bedrock-cache-read-input-token-count": str(outcome.use.read),
        "x-amzn-bedrock-cache-write-input-token-count": str(outcome.use.write),
        "x-amzn-bedrock-invocation-latency": str(round((now_s - outcome.received_s) * 1000)),
    }
