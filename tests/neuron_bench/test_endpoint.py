"""The endpoint route, against a small server that tells exactly what it was asked."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from host.errors import Exit
from neuron_bench.endpoint import client, sweep
from neuron_bench.endpoint.client import (
    SIMULATED,
    EndpointError,
    Server,
    Stream,
    complete,
    connector_to,
    describe,
    read_stream,
    scrape,
)
from neuron_bench.endpoint.loads import Load, LoadAxes, decode, held_by, prefill, serve, suite_loads
from neuron_bench.endpoint.sweep import EndpointSpec, step_times
from neuron_bench.errors import BenchError, BenchUsageError, DeviceError
from neuron_bench.record import Bench, load_bench
from neuron_bench.report.headlines import case_table
from tests.loadgen.server import STREAM_END, STREAM_HEAD, chunk, response, serving

no_chip = pytest.mark.skipif(any(Path("/dev").glob("neuron[0-9]*")), reason="this machine has a Neuron chip")


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

    simulated: bool = False

    async def models(self, request: web.Request) -> web.Response:
        headers = {SIMULATED: "1"} if self.simulated else {}
        return web.json_response({"data": [{"id": "custom", "max_model_len": 4096}]}, headers=headers)

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
    ready.wait(300)
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


def event(text: str | None, *, finish: str | None = None, tokens: int | None = None) -> bytes:
    """One server-sent event; `text` None: no choice in it."""
    content: dict[str, Any] = {"choices": [] if text is None else [{"text": text, "finish_reason": finish}]}
    if tokens is not None:
        content["usage"] = {"prompt_tokens": 100, "completion_tokens": tokens}
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def answered(*events: bytes, gap_s: float = 1.0, expected: int = 4) -> Stream:
    """A stream whose events arrive one after another."""
    return read_stream(0.0, [(gap_s * place, data) for place, data in enumerate(events, start=1)], expected, "url")


def test_an_empty_finish_event_is_no_token() -> None:
    """Four tokens, an event that only ends, and a final usage: as the product's own emulator streams."""
    stream = answered(*(event("a") for _ in range(4)), event("", finish="length"), event(None, tokens=4))
    assert stream.token_s == (1.0, 2.0, 3.0, 4.0)
    assert (stream.tpot_s, stream.flag) == (1.0, "")


def test_a_finish_event_that_holds_back_its_text_is_the_last_token() -> None:
    """Half a character has no text: usage says that it was a token."""
    stream = answered(*(event("a") for _ in range(3)), event("", finish="length"), event(None, tokens=4))
    assert stream.token_s == (1.0, 2.0, 3.0, 4.0)


def test_several_tokens_an_event_are_counted_by_the_final_usage_and_flagged() -> None:
    """Twelve tokens in four events, 1 s apart: a token takes a third of a second, however few events there are."""
    stream = answered(*(event("abc") for _ in range(4)), event(None, tokens=12), expected=12)
    assert stream.tpot_s == pytest.approx(1 / 3)
    assert stream.flag == "tokens_spread_over_events"


def test_a_running_usage_says_which_tokens_came_when() -> None:
    """Three tokens an event, counted by each: exact, so no flag; the first arrival's tokens are in no gap."""
    stream = answered(*(event("abc", tokens=3 * k) for k in (1, 2, 3, 4)), expected=12)
    assert (stream.tpot_s, stream.flag) == (pytest.approx(1 / 3), "")
    assert step_times([stream]).seconds == pytest.approx(1 / 3)


def test_a_server_without_usage_is_flagged() -> None:
    """Its events are all there is to count by."""
    assert answered(*(event("a") for _ in range(4))).flag == "usage_missing"


def test_tokens_that_come_in_one_read_have_no_gap() -> None:
    """Unknown, not zero and no division by it; a decode burst of them is an error with its likely cause."""
    stream = answered(b"".join(event("a") for _ in range(4)) + event(None, tokens=4))
    assert stream.tpot_s is None
    with pytest.raises(BenchError, match="does a proxy buffer it"):
        step_times([stream])


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: [1]\n\n", b'data: {"error": "no"}\n\n'])
def test_an_event_that_is_no_answer_is_an_endpoint_error(data: bytes) -> None:
    """In one line."""
    with pytest.raises(BenchError, match="url: "):
        answered(data)


def test_a_redirect_is_not_followed(server: FakeServer, tmp_path: Path) -> None:
    """Prompts go to the server that was named and to no other."""
    server.status = 307
    with pytest.raises(BenchError, match="HTTP 307"):
        swept(server, tmp_path, prefill(16))


def test_a_server_that_imitates_one_is_recorded_as_simulated(server: FakeServer, tmp_path: Path) -> None:
    """Whatever chip is named: the header decides."""
    server.simulated = True
    spec = EndpointSpec(server.url, loads=(prefill(16),), rounds=1, chip="trn2", server_host="elsewhere")
    (row,) = load_bench(sweep.run(spec, tmp_path / "bench")).rows
    assert (row.provenance, row.chip, row.device_kind) == ("simulated", "trainium2", "neuron")


@no_chip
def test_a_server_on_this_machine_is_on_no_chip_that_is_not_here(server: FakeServer, tmp_path: Path) -> None:
    """A tunnel is said with the host behind it, and recorded."""
    with pytest.raises(BenchUsageError, match="on this machine, which has no neuron device"):
        sweep.run(EndpointSpec(server.url, chip="trainium2"), tmp_path / "bench")


def test_a_measurement_without_a_chip_is_flagged(server: FakeServer, tmp_path: Path) -> None:
    """The server cannot say what it runs on; a CPU is said with --device cpu."""
    bench = load_bench(sweep.run(EndpointSpec(server.url, loads=(prefill(16),), rounds=1), tmp_path / "bench"))
    assert "chip_not_stated" in (bench.rows[0].flags or "")


def test_a_load_that_never_succeeds_is_unfinished_with_its_reason(server: FakeServer, tmp_path: Path) -> None:
    """The others are kept; state and table say what is missing."""
    server.step_s = 1e-3
    bench = swept(server, tmp_path, prefill(16), decode(2, 16, 2))
    assert bench.state == "unfinished"
    assert list(bench.unfinished) == ["decode-u2-in16-out2"]
    assert "unfinished: decode burst" in case_table(bench)


def test_axes_take_the_place_of_a_suites_own() -> None:
    """A bench covers the context that a plan asks for."""
    loads = suite_loads("full", LoadAxes(lengths=(3239,), contexts=(3239,), users=(1, 12)))
    assert {load.input_tokens for load in loads if load.phase == "prefill"} == {3239}
    assert {(load.users, load.input_tokens) for load in loads if load.phase == "decode"} == {(1, 3239), (12, 3239)}
    assert max(load.input_tokens for load in suite_loads("full") if load.phase == "decode") >= 4096


def described(page: list[tuple[float, bytes]], model: str | None = "m") -> str:
    """What is said of a server with this page of models."""

    async def ask(url: str) -> None:
        async with aiohttp.ClientSession(connector=connector_to(url, {})) as http:
            await describe(http, url, model)

    with serving(lambda *_: page) as scripted, pytest.raises(DeviceError) as refusal:
        asyncio.run(ask(f"{scripted.url}/v1"))
    return str(refusal.value)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (response(b"{}", "404 Not Found"), "no OpenAI-compatible server answers there: /v1/models is status 404"),
        (response(b"<html>Sign in", content_type="text/html"), "/v1/models lists no models: <html>Sign in"),
        (response(b'{"data": null}'), "/v1/models lists no models: {"),
        (response(b'{"models": [{"name": "m"}]}'), "/v1/models lists no models: {"),
        (response(b'{"data": []}'), "serves no model 'm'; it serves nothing"),
        (response(b'{"data": [{"id": "a"}, 7, {"id": "b"}]}'), "serves no model 'm'; it serves a, b"),
        (response(json.dumps({"data": [{"id": f"m{n}"} for n in range(10_000)]}).encode()), "m9 and 9990 more"),
    ],
    ids=["absent", "a login", "null", "another list", "empty", "odd entries", "ten thousand"],
)
def test_a_page_of_models_that_is_none_is_one_clear_line(page: bytes, words: str) -> None:
    said = described([(0.0, page)])
    assert words in said
    assert len(said) < 300


def test_a_server_that_says_nothing_of_its_models_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was waited for ten minutes."""
    monkeypatch.setattr("neuron_bench.endpoint.client.PAGE_WITHIN_S", 0.02)
    assert "/v1/models has no end within 0.02 s" in described([(30.0, b"")])


@pytest.mark.parametrize(
    ("page", "kept"),
    [(response(b"vllm:x 1\n"), "vllm:x 1\n"), (response(b"y" * 2_000), ""), (response(b"\xff\n"), "\ufffd\n")],
    ids=["a page", "too long", "no UTF-8"],
)
def test_metrics_that_are_too_much_are_none(monkeypatch: pytest.MonkeyPatch, page: bytes, kept: str) -> None:
    """They are an extra, and a page of 50 MB took its memory."""
    monkeypatch.setattr("neuron_bench.endpoint.client.PAGE_BYTES_MAX", 1_000)

    async def read(url: str) -> str:
        async with aiohttp.ClientSession(connector=connector_to(url, {})) as http:
            return await scrape(http, Server(url, "m", None, None))

    with serving(lambda *_: [(0.0, page)]) as scripted:
        assert asyncio.run(read(scripted.url)) == kept


def test_an_answer_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It filled the memory: 22 GB in a minute."""
    monkeypatch.setattr("neuron_bench.endpoint.client.STREAM_BYTES_MAX", 10_000)
    words = b'data: {"choices": [{"text": "w"}]}\n\n' * 100

    async def ask(url: str) -> None:
        async with aiohttp.ClientSession(connector=connector_to(url, {})) as http:
            await complete(http, Server(url, "m", None, None), [1], 4)

    pieces = [(0.0, STREAM_HEAD), *[(0.0, chunk(words))] * 20]
    with serving(lambda *_: pieces) as scripted, pytest.raises(EndpointError, match="for 4 tokens, and no end") as end:
        asyncio.run(ask(scripted.url))
    assert end.value.exit_code == Exit.ENVIRONMENT


EVENTS = [
    b'data: {"choices": [{"text": "a", "finish_reason": null}]}\n\n',
    b'data: {"choices": [{"text": "b", "finish_reason": "length"}]}\n\n',
    b'data: {"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 2}}\n\n',
    b"data: [DONE]\n\n",
]


@pytest.mark.parametrize("done", [True, False])
def test_a_completion_that_said_its_end_is_over(done: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once behind [DONE], however it is cut into reads; a grace later behind a finish reason alone."""
    monkeypatch.setattr(client, "END_GRACE_S", 0.02)
    body = b"".join(EVENTS if done else EVENTS[:3])
    pieces = [(0.0, STREAM_HEAD), (0.0, chunk(body[:-9])), (0.01, chunk(body[-9:]))]

    async def ask(url: str) -> Stream:
        async with aiohttp.ClientSession() as http:
            return await complete(http, Server(url, "m", None, None), [1, 2], 2)

    with serving(lambda *_: pieces) as server:
        stream = asyncio.run(ask(server.url))
    assert (len(stream.token_s), stream.input_tokens) == (2, 2)


def test_a_body_that_ends_behind_its_answer_leaves_the_connection_to_the_next() -> None:
    pieces = [(0.0, STREAM_HEAD), (0.0, chunk(b"".join(EVENTS))), (0.02, STREAM_END)]

    async def ask(url: str) -> None:
        async with aiohttp.ClientSession() as http:
            for _ in range(3):
                await complete(http, Server(url, "m", None, None), [1, 2], 2)
                await asyncio.gather(*client._leaving)

    with serving(lambda *_: pieces) as server:
        asyncio.run(ask(server.url))
    assert server.connections == 1
