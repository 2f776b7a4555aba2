"""A model provider that says exactly what a test tells it to, byte for byte, on loopback."""

import asyncio
import json
from contextlib import asynccontextmanager

from emulator.bedrock import eventstream_encoder as encoder


def frame(name, payload):
    """One event frame as Bedrock sends it."""
    return encoder.event(name, json.dumps(payload).encode())


class Provider:
    """Answers every request with the same response and remembers what came."""

    def __init__(self, status, headers, body, cut):
        self.status, self.headers, self.body, self.cut = status, headers, body, cut
        self.paths, self.bodies, self.authorizations = [], [], []
        self.url = ""

    async def answer(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            writer.close()
            return
        lines = head.split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        fields = {name.lower(): value for name, value in fields.items()}
        self.paths.append(lines[0].split(" ")[1])
        self.authorizations.append(fields.get("authorization", ""))
        self.bodies.append(json.loads(await reader.readexactly(int(fields["content-length"]))))
        if self.status is None:  # gone without a word
            writer.close()
            return
        headers = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        writer.write(
            f"HTTP/1.1 {self.status} X\r\n{headers}connection: close\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        # Odd pieces: no event lies whole in one read.
        for start in range(0, len(self.body), 61):
            piece = self.body[start : start + 61]
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
        if not self.cut:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        writer.close()


@asynccontextmanager
async def provider(status=200, headers=None, body=b"", cut=False):
    """A provider on a free port."""
    made = Provider(status, headers or {}, body, cut)
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made


class ConverseWire:
    """What a test wants said, in Bedrock's event stream."""

    error_headers = staticmethod(lambda code: {"x-amzn-errortype": code, "content-type": "application/json"})

    def text(self, parts, index=0):
        return b"".join(
            frame("contentBlockDelta", {"contentBlockIndex": index, "delta": {"text": part}, "p": "abcdef"})
            for part in parts
        )

    def start(self):
        return frame("messageStart", {"role": "assistant", "p": "abc"})

    def tool_start(self, index, use_id, name):
        start = {"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": use_id, "name": name}}}
        return frame("contentBlockStart", start)

    def tool_input(self, index, fragment):
        delta = {"contentBlockIndex": index, "delta": {"toolUse": {"input": fragment}}}
        return frame("contentBlockDelta", delta)

    def unknown(self):
        return frame("somethingNew", {"a": 1})

    def garbage(self):
        return encoder.event("contentBlockDelta", b'{"contentBlockIndex": 0, "del')

    def stop(self, reason):
        return frame("messageStop", {"stopReason": reason})

    def usage(self, plain, read, written, written_1h, output):
        counted = {
            "inputTokens": plain,
            "outputTokens": output,
            "totalTokens": plain + read + written + output,
            "cacheReadInputTokens": read,
            "cacheWriteInputTokens": written,
            "cacheDetails": [{"ttl": "1h", "inputTokens": written_1h}],
        }
        return frame("metadata", {"usage": counted, "metrics": {"latencyMs": 5}})

    def exception(self, code, message):
        return encoder.exception(code[:1].lower() + code[1:], message)

    def refusal(self, code, message):
        return json.dumps({"message": message}).encode()


class OpenAIWire:
    """The same, in chat completion chunks over SSE. Tool calls are numbered apart from text."""

    error_headers = staticmethod(lambda code: {"content-type": "application/json"})

    def _chunk(self, **fields):
        return b"data: " + json.dumps({"id": "x", "object": "chat.completion.chunk", **fields}).encode() + b"\n\n"

    def _delta(self, finish=None, **delta):
        return self._chunk(choices=[{"index": 0, "delta": delta, "finish_reason": finish}])

    def start(self):
        return self._delta(role="assistant", content="")

    def text(self, parts, index=0):
        return b"".join(self._delta(content=part) for part in parts)

    def tool_start(self, index, use_id, name):
        call = {"index": index - 1, "id": use_id, "type": "function", "function": {"name": name, "arguments": ""}}
        return self._delta(tool_calls=[call])

    def tool_input(self, index, fragment):
        return self._delta(tool_calls=[{"index": index - 1, "function": {"arguments": fragment}}])

    def garbage(self):
        return b'data: {"choices": [{"del\n\n'

    def unknown(self):
        return b": a comment\n\n" + self._chunk(choices=[], something_new=1)

    def stop(self, reason):
        return self._delta(finish={"end_turn": "stop", "tool_use": "tool_calls"}[reason])

    def usage(self, plain, read, written, written_1h, output):
        counted = {"prompt_tokens": plain + read, "completion_tokens": output, "total_tokens": plain + read + output}
        counted["prompt_tokens_details"] = {"cached_tokens": read}
        return self._chunk(choices=[], usage=counted) + b"data: [DONE]\n\n"

    def exception(self, code, message):
        return b"data: " + json.dumps({"error": {"type": code, "message": message, "code": 500}}).encode() + b"\n\n"

    def refusal(self, code, message):
        return json.dumps({"error": {"type": code, "message": message}}).encode()
