"""The endpoint route, against a small server that tells exactly what it was asked."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from neuron_bench.endpoint import sweep
from neuron_bench.endpoint.client import Stream
from neuron_bench.endpoint.loads import Load, decode, held_by, prefill, serve, suite_loads
from neuron_bench.endpoint.sweep import EndpointSpec, step_times
from neuron_bench.errors import BenchError, BenchUsageError, DeviceError
from neuron_bench.record import Bench, load_bench


@dataclass
class FakeServer:
    """What it was asked, and how it misbehaves. `tokens` maps the number asked for to the number given."""

    url: str = ""
    prompts: list[list[int]] = field(default_factory=list)
    tokens: Callable[[int], int] = lambda asked: asked
    status: int = 200
    per_event: int = 1
    cached: int = 0
    step_s: float = 0.0

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "custom", "max_model_len": 4096}]})

    async def version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "9.9"})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.prompts.append(asked["prompt"])
        if self.status != 200:
            return web.json_response({"error": {"message": "too busy"}}, status=self.status)
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        given = self.tokens(asked["max_tokens"])
        for k in range(self.per_event, given + self.per_event, self.per_event):
            await answer.write(self._event(asked, min(k, given), [{"text": ""}]))
            await asyncio.sleep(self.step_s)
        await answer.write(self._event(asked, given, []) + b"data: [DONE]\n\n")
        return answer

    def _event(self, asked: dict[str, Any], produced: int, choices: list[Any]) -> bytes:
        usage = {"prompt_tokens": len(asked["prompt"]), "completion_tokens": produced}
        usage |= {"prompt_tokens_details": {"cached_tokens": self.cached}}
        return b"data: " + json.dumps({"choices": choices, "usage": usage}).encode() + b"\n\n"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """Running on loopback in a thread of its own."""
    fake, loop, ready = FakeServer(), asyncio.new_event_loop(), threading.Event()

    async def begin() -> web.AppRunner:
        app = web.Application()
        app.add_routes([web.get("/v1/models", fake.models), web.get("/version", fake.version)])
        app.add_routes([web.post("/v1/completions", fake.complete)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    def work() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(begin())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait(10)
    yield fake
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


def swept(server: FakeServer, tmp_path: Path, *loads: Load) -> Bench:
    spec = EndpointSpec(server.url, loads=loads, rounds=3, device="cpu", suite="full")
    return load_bench(sweep.run(spec, tmp_path / "bench"))


def test_a_sweep_records_each_load(server: FakeServer, tmp_path: Path) -> None:
    """One row a load with exact lengths, the engine's version, and a phase each."""
    server.step_s = 1e-3
    bench = swept(server, tmp_path, prefill(32), decode(2, 16, 24), serve(2, 16, 8))
    rows = bench.cases.set_index("phase")
    assert list(rows.index) == ["prefill", "decode", "serve"]
    assert rows.loc["prefill"].input_tokens == 32
    assert rows.loc["decode"].batch == 2
    assert rows.loc["serve"].n_samples == 3 * 2 * 4
    assert bench.info["engine_version"] == "9.9"
    assert (rows["flags"] == "").all()


def test_prompts_are_of_the_length_asked_and_never_repeat(server: FakeServer, tmp_path: Path) -> None:
    """So no prefix cache can answer for a prefill."""
    swept(server, tmp_path, prefill(64))
    prompts = [tuple(prompt) for prompt in server.prompts if len(prompt) == 64]
    firsts = [prompt[:8] for prompt in prompts]
    assert len(set(firsts)) == len(firsts)


def test_a_prefix_cache_hit_is_flagged(server: FakeServer, tmp_path: Path) -> None:
    """The server says so in its usage."""
    server.cached = 16
    assert "prefix_cache_hit" in swept(server, tmp_path, prefill(32)).cases["flags"][0]


def test_tokens_are_counted_from_usage_not_from_events(server: FakeServer, tmp_path: Path) -> None:
    """Three tokens an event are three tokens."""
    server.per_event = 3
    assert swept(server, tmp_path, serve(1, 16, 9)).cases["flags"][0] == ""


def test_a_server_that_ignores_min_tokens_is_an_error(server: FakeServer, tmp_path: Path) -> None:
    """Timings of other lengths than asked are not kept."""
    server.tokens = lambda asked: max(1, asked // 2)
    with pytest.raises(BenchError, match="asked for 16 tokens, got 8"):
        swept(server, tmp_path, decode(1, 16, 24))


def test_a_refusal_is_told_in_the_servers_words(server: FakeServer, tmp_path: Path) -> None:
    """HTTP 429, one line, no record."""
    server.status = 429
    with pytest.raises(BenchError, match=r"HTTP 429.*too busy"):
        swept(server, tmp_path, prefill(16))
    assert not (tmp_path / "bench").exists()


def test_ctrl_c_keeps_what_was_measured(server: FakeServer, tmp_path: Path) -> None:
    """Stopped in the second round: the first is a record that says it was interrupted."""

    def stop_in_the_second_round(done: int, total: int, left: float | None, label: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    spec = EndpointSpec(server.url, loads=(prefill(16), prefill(32)), rounds=3, device="cpu", suite="full")
    bench = load_bench(sweep.run(spec, tmp_path / "bench", progress=stop_in_the_second_round))
    assert bench.info["state"] == "interrupted"
    assert list(bench.cases.n_samples) == [sweep.PREFILLS_PER_BURST] * 2


def test_no_server_there_is_a_device_error(tmp_path: Path) -> None:
    """Exit code 5."""
    with pytest.raises(DeviceError, match="no OpenAI-compatible server answers") as caught:
        sweep.run(EndpointSpec("http://127.0.0.1:9/v1"), tmp_path / "bench")
    assert caught.value.exit_code == 5


def test_an_unknown_model_lists_what_is_served(server: FakeServer, tmp_path: Path) -> None:
    """So that a typo is one look away."""
    with pytest.raises(DeviceError, match="serves no model 'other'; it serves custom"):
        sweep.run(EndpointSpec(server.url, model="other"), tmp_path / "bench")


def stream(*stamps: float) -> Stream:
    return Stream(0.0, stamps, input_tokens=100, cached_tokens=0)


def test_decode_steps_count_only_while_all_decode() -> None:
    """The second request's prefill ends at 5 s, the first request ends at 9 s: four steps of 1 s, all together."""
    first = stream(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
    second = stream(5.0, 6.0, 7.0, 8.0, 9.0, 9.5, 10.0)
    found = step_times([first, second])
    assert found.seconds == pytest.approx(1.0)
    assert found.steps == 4
    assert found.context_tokens == pytest.approx(((100 + 6 + 1) + (100 + 2 + 1)) / 2)


def test_requests_that_never_overlap_have_no_step_time() -> None:
    """Refused, not divided by zero."""
    with pytest.raises(BenchError, match="never decoded all together"):
        step_times([stream(1.0, 2.0), stream(5.0, 6.0)])


def test_a_burst_that_never_overlaps_is_counted_as_an_error(server: FakeServer, tmp_path: Path) -> None:
    """A server that answers at once gives no steps: said so when it happens."""
    with pytest.raises(BenchError, match="nothing was measured: decode burst"):
        swept(server, tmp_path, decode(2, 16, 2))


def test_suites_fit_the_servers_context() -> None:
    """No load is longer than the server can hold, and an unknown suite is named."""
    held, skipped = held_by(suite_loads("full"), 1024)
    assert max(load.context_tokens for load in held) <= 1024
    assert skipped["prefill-u1-in4096-out1"] == "4097 tokens, the server holds 1024"
    with pytest.raises(BenchUsageError, match="expected one of quick"):
        suite_loads("fast")
