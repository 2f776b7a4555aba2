"""Own CPU of the assistant process against the emulator: per streamed token, per model call, per turn.

`python -m bench.assistant [--streams 200] [--turns 400] [--soak 100000]` on an idle Linux machine. Three kinds
of turn (short, long, with tool rounds) give three equations; CPU comes from the kernel's nanosecond counter of the
process.
The reference client (boto3) is measured beside ours on the same model. `--soak` then asks so many short turns, each an
interaction of its own, and prints the resident memory along the way: it rises until the 10,000 conversations that are
kept have filled, and is flat from there; the growth printed is from there on (from half-way in a shorter soak).
Bars (issue: assistant): <= 35 us a token at 200 paced streams, <= 0.6 ms a call, <= 0.6 ms a turn besides, start-up
< 2 s. With the C client's CPU per token of the same minute in $PEAKDAY_C_CLIENT_US, figures are scaled by 6.7 over it.
"""

import argparse
import asyncio
import json
import os
import tempfile
from pathlib import Path

from tests.assistant.processes import Stack, start

C_CLIENT_US_WHERE_SET = 6.7
BARS = {"us_per_token": 35.0, "ms_per_call": 0.6, "ms_per_turn": 0.6, "start_s": 2.0}
SHORT, LONG, TOOLS = "bench short", "bench long", "bench tools"
SHORT_TOKENS, LONG_TOKENS, TOOL_ROUNDS = 2, 200, 3
UNSCALED = ("start_s", "memory_mib")
SOAK_STEPS = 10
KEPT_CONVERSATIONS = 10_000


PLANS = {
    SHORT: {"rounds": [], "answer_tokens": SHORT_TOKENS},
    LONG: {"rounds": [], "answer_tokens": LONG_TOKENS},
    TOOLS: {
        "rounds": [[{"tool": "live_price", "input": {"product_id": "p000001"}}]] * TOOL_ROUNDS,
        "answer_tokens": SHORT_TOKENS,
    },
}


async def drive(port: int, message: str, turns: int, streams: int, mark: str) -> None:
    """Run turns over so many kept-alive connections at once."""
    queue = list(range(turns))
    await asyncio.gather(*(_stream(port, message, queue, mark) for _ in range(min(streams, turns))))


SENT = "Host: localhost\r\nContent-Type: application/json\r\n"


async def _stream(port: int, message: str, queue: list[int], mark: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    token = (await _post(reader, writer, "/v1/sessions", {"customer_id": "c000001"}))["sessions"][0]["session_token"]
    while queue:
        turn = {"interaction_id": f"{mark}-{queue.pop()}", "turn_index": 0, "message": message}
        body = json.dumps(turn).encode()
        head = f"POST /v1/turns HTTP/1.1\r\n{SENT}Authorization: Bearer {token}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        tail = b""
        while not tail.endswith(b"0\r\n\r\n"):
            data = await reader.read(65_536)
            assert data, "the assistant closed the connection"
            tail = (tail + data)[-4_096:]
        assert b"event: done" in tail, tail
    writer.close()


async def _post(reader, writer, path, body):
    raw = json.dumps(body).encode()
    writer.write(f"POST {path} HTTP/1.1\r\n{SENT}Content-Length: {len(raw)}\r\n\r\n".encode() + raw)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return json.loads(await reader.readexactly(length))


def measure(stack: Stack, turns: int, streams: int) -> dict[str, float]:
    """CPU by token, call and turn, from three kinds of turn."""
    cpu_s = {}
    for number, message in enumerate((SHORT, SHORT, LONG, TOOLS)):  # the first one warms up
        before_s = stack.cpu_s()
        asyncio.run(drive(stack.port, message, turns, streams, f"m{number}"))
        cpu_s[message] = (stack.cpu_s() - before_s) / turns
    token_s = (cpu_s[LONG] - cpu_s[SHORT]) / (LONG_TOKENS - SHORT_TOKENS)
    call_s = (cpu_s[TOOLS] - cpu_s[SHORT]) / TOOL_ROUNDS
    turn_s = cpu_s[SHORT] - call_s - SHORT_TOKENS * token_s
    return {"us_per_token": token_s * 1e6, "ms_per_call": call_s * 1e3, "ms_per_turn": turn_s * 1e3}


def soak(stack: Stack, turns: int, streams: int) -> None:
    """Print the assistant's memory along many turns."""
    at_mib = {0: stack.memory_mib()}
    for number in range(SOAK_STEPS):
        asyncio.run(drive(stack.port, SHORT, turns // SOAK_STEPS, streams, f"soak{number}"))
        at_mib[(number + 1) * (turns // SOAK_STEPS)] = stack.memory_mib()
    flat_from = min(at for at in at_mib if at >= min(KEPT_CONVERSATIONS, turns / 2))
    last = max(at_mib)
    print("soak         MiB by turns   " + "  ".join(f"{at:,}: {mib:.1f}" for at, mib in at_mib.items()), flush=True)
    grown = at_mib[last] - at_mib[flat_from]
    print(f"soak         growth         {grown:9.3f}  MiB from turn {flat_from:,} to turn {last:,}", flush=True)


def measured(model: str, client: str, args: argparse.Namespace) -> dict[str, float]:
    """Figures of one model through one client; the fast client is soaked too, when asked."""
    with tempfile.TemporaryDirectory() as folder:
        policy = {"simple": model, "complex": model, "quality_floor": 0}
        switches = {"policy": policy, "router": {"mode": "classifier"}, "client": client}
        stack = start(Path(folder), [model], switches, PLANS)
        try:
            figures = {**measure(stack, args.turns, args.streams), "start_s": stack.start_s}
            figures["memory_mib"] = stack.memory_mib()
            if args.soak and client == "fast" and model == args.models[0]:
                soak(stack, args.soak, args.streams)
            return figures
        finally:
            stack.stop()


def main() -> None:
    """Print rows: figure, reference, ratio."""
    parser = argparse.ArgumentParser(prog="python -m bench.assistant")
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--turns", type=int, default=400)
    parser.add_argument("--models", nargs="+", default=["nova-pro", "custom-8b"])
    parser.add_argument("--soak", type=int, default=0, help="short turns of a memory test; 100000 for the bar")
    args, _ = parser.parse_known_args()
    scale = C_CLIENT_US_WHERE_SET / float(os.environ.get("PEAKDAY_C_CLIENT_US", C_CLIENT_US_WHERE_SET))
    runs = [(model, "fast") for model in args.models] + [(args.models[0], "boto3")]
    for model, client in runs:
        for name, figure in measured(model, client, args).items():
            bar = BARS.get(name)
            scaled = figure if name in UNSCALED else figure * scale
            ratio = f"bar {bar:g}  ratio {scaled / bar:.2f}" if bar else ""
            print(f"{model:12} {client:6} {name:14} {scaled:9.3f}  {ratio}", flush=True)


if __name__ == "__main__":
    main()
