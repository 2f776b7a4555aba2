"""One suite for the three model clients: same provider behaviour, same reply, same error."""

import asyncio
import contextlib
from dataclasses import replace
from unittest import mock

import pytest
import uvloop

from assistant.errors import ModelError
from assistant.models.bedrock import BedrockClient, transport_error
from assistant.models.boto3_client import Boto3Client
from assistant.models.http import HttpClient, HttpError
from assistant.models.openai import OpenAIClient
from assistant.models.protocol import ModelRequest, Usage
from assistant.models.reply import ReplyBuilder
from assistant.tools.registry import TOOLS
from assistant.tools.spec import tool_config
from facts import reader
from tests.assistant.wires import ConverseWire, OpenAIWire, provider
from wire.sigv4 import Credentials

KEY = Credentials("AKIDEXAMPLE", "secret", "token")
MODELS = reader.models()
WIRES = {"bedrock": ConverseWire(), "boto3": ConverseWire(), "openai": OpenAIWire()}
SIMULATED = {"x-peakday-simulated": "1"}


class Heard:
    """A listener that remembers."""

    def __init__(self):
        self.simulated = None
        self.texts = []

    async def opened(self, simulated):
        self.simulated = simulated

    async def text(self, text):
        self.text_now(text)

    def text_now(self, text):
        self.texts.append(text)


@pytest.fixture(params=["bedrock", "boto3", "openai"])
def kind(request):
    """Which client."""
    return request.param


def request_for(kind, **changes):
    model = MODELS["custom-8b" if kind == "openai" else "claude-sonnet"]
    fields = {
        "model": model,
        "region": "us-east-1",
        "system": [{"text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "tools": tool_config(TOOLS.values()),
        "max_tokens": 100,
    }
    return ModelRequest(**{**fields, **changes})


async def client_for(kind, url, read_timeout_s=60.0):
    if kind == "boto3":
        return Boto3Client(lambda region: url, lambda: KEY)
    http = HttpClient(read_timeout_s)
    if kind == "openai":
        return OpenAIClient(http, f"{url}/v1")
    return BedrockClient(http, lambda region: url, lambda: KEY)


def converse(kind, body, status=200, headers=None, cut=False, request=None):
    """Ask the provider once; returns (reply or error, what was heard, provider)."""

    async def ask():
        async with provider(status, {**SIMULATED, **(headers or {})}, body, cut) as made:
            client, heard = await client_for(kind, made.url), Heard()
            try:
                return await client.converse(request or request_for(kind), heard), heard, made
            except ModelError as error:
                return error, heard, made
            finally:
                await client.close()

    return asyncio.run(ask())


def test_text_arrives_piece_by_piece(kind):
    """Every fragment is heard in order, filler and unknown events are passed over, and usage is the provider's."""
    wire = WIRES[kind]
    parts = ["Hel", "lo ", "wörld €"]
    body = wire.start() + wire.unknown() + wire.text(parts) + wire.stop("end_turn") + wire.usage(10, 0, 0, 0, 3)
    reply, heard, _ = converse(kind, body)
    assert heard.texts == parts
    assert heard.simulated is True
    assert reply.content == [{"text": "Hello wörld €"}]
    assert (reply.stop_reason, reply.usage) == ("end_turn", Usage(10, 3))


def test_parallel_tools_may_interleave_their_input(kind):
    """Fragments of two tools come mixed; each tool gets its own."""
    wire = WIRES[kind]
    body = wire.start() + wire.text(["Let me see."])
    body += wire.tool_start(1, "a", "live_price") + wire.tool_start(2, "b", "recall")
    body += wire.tool_input(1, '{"product_') + wire.tool_input(2, '{"qu') + wire.tool_input(1, 'id": "p1"}')
    body += wire.tool_input(2, 'ery": "dog"}') + wire.stop("tool_use") + wire.usage(1, 0, 0, 0, 9)
    reply, _, _ = converse(kind, body)
    assert [(use.tool_use_id, use.name, use.input) for use in reply.tool_uses] == [
        ("a", "live_price", {"product_id": "p1"}),
        ("b", "recall", {"query": "dog"}),
    ]
    assert [next(iter(block)) for block in reply.content] == ["text", "toolUse", "toolUse"]
    assert reply.stop_reason == "tool_use"


def test_tool_input_that_is_no_json_is_said_so(kind):
    """The use is returned with an error in place of its input; the turn can go on."""
    wire = WIRES[kind]
    body = wire.tool_start(1, "a", "live_price") + wire.tool_input(1, '{"product_id":') + wire.stop("tool_use")
    reply, _, _ = converse(kind, body + wire.usage(1, 0, 0, 0, 1))
    assert reply.tool_uses[0].input is None
    assert "not JSON" in reply.tool_uses[0].error


def test_cached_tokens_are_told_apart(kind):
    """Reads, and writes by TTL where the protocol has them."""
    wire = WIRES[kind]
    body = wire.text(["x"]) + wire.stop("end_turn") + wire.usage(10, 40, 30, 20, 2)
    usage = converse(kind, body)[0].usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (10, 40, 2)
    if kind != "openai":
        assert (usage.cache_write_tokens_5m, usage.cache_write_tokens_1h) == (10, 20)


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "ThrottlingException"), (429, "ModelNotReadyException"), (503, "ServiceUnavailableException")],
)
def test_a_refusal_keeps_status_and_name(kind, status, code):
    """Quota, warming and unavailability stay apart; nothing is tried twice."""
    wire = WIRES[kind]
    error, _, made = converse(kind, wire.refusal(code, "because"), status, wire.error_headers(code))
    assert (error.status, error.code, str(error), error.streaming) == (status, code, "because", False)
    assert error.may_spill
    assert len(made.paths) == 1


def test_another_refusal_is_502(kind):
    """A validation error is the assistant's own fault, and no other model would do better."""
    wire = WIRES[kind]
    code = "ValidationException"
    error, _, _ = converse(kind, wire.refusal(code, "bad"), 400, wire.error_headers(code))
    assert (error.status, error.code, error.may_spill) == (502, code, False)


def test_an_exception_under_http_200_is_a_stream_error(kind):
    """The text before it was heard; the error says that the answer had begun."""
    wire = WIRES[kind]
    body = wire.start() + wire.text(["half"]) + wire.exception("ModelStreamErrorException", "broke")
    error, heard, _ = converse(kind, body)
    assert heard.texts == ["half"]
    assert (error.code, str(error), error.call_status) == ("ModelStreamErrorException", "broke", "stream_error")


@pytest.mark.parametrize("where", ["between events", "inside an event"])
def test_a_cut_stream_is_an_error(kind, where):
    """A stream that ends without a stop event is never taken for an answer."""
    wire = WIRES[kind]
    body = wire.start() + wire.text(["half", "way"])
    error, _, _ = converse(kind, body if where == "between events" else body[:-7], cut=True)
    assert isinstance(error, ModelError)
    assert (error.code, error.streaming) == ("cut_stream", True)


def test_a_stream_that_ends_politely_without_a_stop_is_cut_too(kind):
    """A complete HTTP body is no complete answer."""
    wire = WIRES[kind]
    error, _, _ = converse(kind, wire.start() + wire.text(["half"]))
    assert isinstance(error, ModelError)
    assert error.code == "cut_stream"


def test_an_event_that_is_no_json_is_a_stream_error(kind):
    """Whole by its frame and its checksum, and still not to be read: an error of the model's, never a crash of ours."""
    wire = WIRES[kind]
    error, heard, _ = converse(kind, wire.start() + wire.text(["half"]) + wire.garbage() + wire.stop("end_turn"))
    assert heard.texts == ["half"]
    assert (error.status, error.code, error.call_status) == (502, "bad_stream", "stream_error")


def test_usage_comes_from_the_provider_alone(kind):
    """An answer without its usage event has no tokens: none are guessed from its pieces."""
    wire = WIRES[kind]
    reply, _, _ = converse(kind, wire.start() + wire.text(["one", "two"]) + wire.stop("end_turn"))
    assert (reply.content, reply.usage, reply.tpot_s) == ([{"text": "onetwo"}], None, None)


@pytest.mark.parametrize("at", [-1, 20, 4])
def test_a_bad_checksum_is_an_error(at):
    """Both readers of event streams refuse a damaged frame, wherever the damage is."""
    wire = ConverseWire()
    for kind in ("bedrock", "boto3"):
        damaged = bytearray(wire.text(["x"]))
        damaged[at] ^= 1
        error, _, _ = converse(kind, wire.start() + bytes(damaged) + wire.stop("end_turn"))
        assert (error.status, error.code) == (502, "bad_crc"), kind


@pytest.mark.parametrize(
    "model_id",
    [
        "us.amazon.nova-pro-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a b",
    ],
)
def test_the_path_sent_is_the_path_signed(model_id):
    """Ids and ARNs with `:` and `/` are sent as boto3 sends them, and signed as botocore signs that request."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    wire = ConverseWire()
    body = wire.text(["x"]) + wire.stop("end_turn") + wire.usage(1, 0, 0, 0, 1)
    model = replace(MODELS["nova-pro"], model_id=model_id)
    sent = {
        kind: converse(kind, body, request=request_for(kind, model=model))[2].paths[0] for kind in ("bedrock", "boto3")
    }
    assert sent["bedrock"] == sent["boto3"]
    auth = SigV4Auth(mock.Mock(access_key="a", secret_key="b", token=None), "bedrock", "us-east-1")
    canonical = auth._normalize_url_path(sent["bedrock"])
    assert "%25" in canonical or ":" not in model_id
    assert AWSRequest("POST", f"http://h{sent['bedrock']}").url.endswith(sent["bedrock"])


def test_an_openai_model_id_travels_in_the_body():
    """Ids with `:` and `/` change no path on this wire."""
    wire = OpenAIWire()
    body = wire.text(["x"]) + wire.stop("end_turn") + wire.usage(1, 0, 0, 0, 1)
    model = replace(MODELS["custom-8b"], model_id="org/model:8b")
    sent = converse("openai", body, request=request_for("openai", model=model))[2]
    assert (sent.paths, sent.bodies[0]["model"]) == (["/v1/chat/completions"], "org/model:8b")


@pytest.mark.parametrize("mode", ["standard", "adaptive", "legacy"])
def test_boto3_retries_in_the_mode_and_as_often_as_it_is_told(mode, monkeypatch):
    """Total attempts are botocore's own, and the error counts them."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    wire, code = ConverseWire(), "ThrottlingException"

    async def ask():
        async with provider(429, wire.error_headers(code), wire.refusal(code, "slow down")) as made:
            client = Boto3Client(lambda region: made.url, lambda: KEY, retry_mode=mode, total_attempts=3)
            with pytest.raises(ModelError) as caught:
                await client.converse(request_for("boto3"), Heard())
            await client.close()
            return caught.value, made

    error, made = asyncio.run(ask())
    assert (error.status, error.attempts, len(made.paths)) == (429, 3, 3)


def test_both_bedrock_clients_send_the_same_request():
    """Body and signed headers agree, pictures and one-tool-at-a-time included."""
    wire = ConverseWire()
    body = wire.text(["x"]) + wire.stop("end_turn") + wire.usage(1, 0, 0, 0, 1)
    picture = {"image": {"format": "png", "source": {"bytes": "aGk="}}}
    request = request_for(
        "bedrock", messages=[{"role": "user", "content": [picture, {"text": "nice?"}]}], parallel_tools=False
    )
    sent = {kind: converse(kind, body, request=request)[2] for kind in ("bedrock", "boto3")}
    assert sent["bedrock"].bodies == sent["boto3"].bodies
    for made in sent.values():
        assert "Credential=AKIDEXAMPLE/" in made.authorizations[0]
        assert "/us-east-1/bedrock/aws4_request" in made.authorizations[0]


def test_an_endpoint_that_is_not_there_is_a_connect_error(kind):
    """503 and free to go elsewhere."""

    async def ask():
        client = await client_for(kind, "http://127.0.0.1:1")
        try:
            await client.converse(request_for(kind), Heard())
        finally:
            await client.close()

    with pytest.raises(ModelError) as caught:
        asyncio.run(ask())
    assert (caught.value.status, caught.value.code, caught.value.may_spill) == (503, "connect_error", True)


def test_a_connection_closed_before_any_answer_is_a_connect_error(kind):
    """Nothing was heard, so another region may answer: the same as an endpoint that is not there."""
    error, heard, made = converse(kind, b"", status=None)
    assert (error.status, error.code, error.streaming, error.region_down) == (503, "connect_error", False, True)
    assert heard.simulated is None
    assert len(made.paths) == 1


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [(HttpError(), 503, "connect_error"), (TimeoutError(), 504, "timeout")],
)
def test_a_connection_that_is_never_made_is_no_late_answer(raised, status, code):
    """The first may be tried in another region; the second may still be billed, and is not asked twice."""
    error = transport_error(raised, ReplyBuilder(lambda: 0.0))
    assert (error.status, error.code, error.may_spill) == (status, code, status == 503)


def test_nothing_is_heard_after_a_turn_is_over(kind):
    """A cancelled call says no more, although the provider goes on, and its connection is closed."""
    wire = WIRES[kind]
    headers = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

    def chunk(data):
        return f"{len(data):x}\r\n".encode() + data + b"\r\n"

    async def ask():
        go_on, gone = asyncio.Event(), asyncio.Event()

        async def answer(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(headers + chunk(wire.start() + wire.text(["one"])))
            await go_on.wait()
            with contextlib.suppress(ConnectionError):
                while not writer.is_closing() and not reader.at_eof():
                    writer.write(chunk(wire.text(["two"])))
                    await writer.drain()
                    await reader.read(65_536)
            writer.close()
            gone.set()

        class First(Heard):
            came = asyncio.Event()

            def text_now(self, text):
                super().text_now(text)
                self.came.set()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        client = await client_for(kind, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        heard = First()
        call = asyncio.create_task(client.converse(request_for(kind), heard))
        await heard.came.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        go_on.set()
        await gone.wait()
        await client.close()
        server.close()
        return heard.texts

    assert asyncio.run(asyncio.wait_for(ask(), 300)) == ["one"]


def test_openai_messages_keep_the_order_of_a_tool_round():
    """A tool call is an assistant message, its result a tool message, and the customer's words stay last."""
    wire = OpenAIWire()
    use = {"toolUse": {"toolUseId": "a", "name": "recall", "input": {"query": "dog"}}}
    result = {"toolResult": {"toolUseId": "a", "content": [{"json": {"facts": []}}], "status": "success"}}
    messages = [
        {"role": "user", "content": [{"text": "<today>x</today>"}, {"text": "hi"}]},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    body = wire.text(["x"]) + wire.stop("end_turn") + wire.usage(1, 0, 0, 0, 1)
    sent = converse("openai", body, request=request_for("openai", messages=messages))[2].bodies[0]
    assert [message["role"] for message in sent["messages"]] == ["system", "user", "assistant", "tool"]
    assert sent["messages"][1]["content"][-1] == {"type": "text", "text": "hi"}
    assert sent["messages"][3] == {"role": "tool", "tool_call_id": "a", "content": '{"facts":[]}'}


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """Runs a coroutine on either event loop."""

    def on(awaitable):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(asyncio.wait_for(awaitable, 300))

    return on


@contextlib.asynccontextmanager
async def server_of(answer, tls=None):
    """The URL of a server whose connections are answered by `answer`."""

    async def closing(reader, writer):
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(closing, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"


def whole(body):
    return f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def request_read(reader):
    """Read one request; returns whether there was one."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return False
    length = next(line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    await reader.readexactly(int(length))
    return True


@pytest.mark.parametrize("quick", ["bedrock", "openai"])
def test_a_slow_reader_holds_the_model_back(run, quick):
    """Texts are taken one at a time and in order, and what is not taken stays with the provider."""
    wire, texts = WIRES[quick], [f"{number}" * 50 for number in range(2_000)]
    body = wire.text(texts) * 20 + wire.stop("end_turn")

    class Slow(Heard):
        go_on = None

        def text_now(self, text):
            self.texts.append(text)
            self.go_on = self.go_on or asyncio.Event()
            return self.go_on.wait()

    async def ask():
        drained = asyncio.Event()

        async def answer(reader, writer):
            await request_read(reader)
            writer.write(whole(body))
            await writer.drain()
            drained.set()

        async with server_of(answer) as url:
            client, heard = await client_for(quick, url), Slow()
            call = asyncio.create_task(client.converse(request_for(quick), heard))
            while not heard.texts:
                await asyncio.sleep(0)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(drained.wait(), 0.2)
            held = len(heard.texts)
            heard.go_on.set()
            await call
            await client.close()
            return held, heard.texts

    held, heard = run(ask())
    assert held == 1
    assert heard == texts * 20


@pytest.mark.parametrize("quick", ["bedrock", "openai"])
@pytest.mark.parametrize("opened", [False, True])
def test_a_silent_model_is_a_timeout(run, quick, opened):
    """The connection stands and no answer, or no more of it, comes: 504, which another region would not fix."""

    async def ask(within_s):
        async def answer(reader, writer):
            await request_read(reader)
            if opened:
                writer.write(whole(b"x" * 9)[:-9])
            await reader.read()
            writer.close()

        async with server_of(answer) as url:
            client = await client_for(quick, url, read_timeout_s=within_s)
            with pytest.raises(ModelError) as caught:
                await client.converse(request_for(quick), Heard())
            await client.close()
            return caught.value

    for within_s in (0.05, 0.5, 5.0, 50.0):  # if the process stands still for so long, the head comes too late as well
        error = run(ask(within_s))
        if error.streaming == opened:
            break
    assert (error.status, error.code, error.streaming) == (504, "timeout", opened)


@pytest.mark.parametrize("trusted", [True, False])
def test_tls_is_trusted_by_the_systems_certificates(run, certificate, monkeypatch, trusted):
    """Vouched for, both calls share a connection; else no call is made, and the error names the certificate."""
    context, file = certificate
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    wire, connections = WIRES["bedrock"], []
    body = wire.text(["x", "y"]) + wire.stop("end_turn") + wire.usage(1, 0, 0, 0, 1)

    async def ask():
        async def answer(reader, writer):
            connections.append(0)
            while await request_read(reader):
                connections[-1] += 1
                writer.write(whole(body))

        heard = Heard()
        async with server_of(answer, context) as url:
            client = await client_for("bedrock", url)
            try:
                for _ in range(2):
                    await client.converse(request_for("bedrock"), heard)
            finally:
                await client.close()
        return heard.texts

    if trusted:
        assert run(ask()) == ["x", "y"] * 2
        assert connections == [2]
    else:
        with pytest.raises(ModelError, match="certificate"):
            run(ask())
        assert connections == []


@pytest.mark.parametrize("quick", ["bedrock", "openai"])
def test_connections_are_kept_and_renewed(run, quick):
    """One after the other, calls share a connection; one that the provider closed in between is not used again."""
    wire, connections = WIRES[quick], []
    body = wire.text(["x"]) + wire.stop("end_turn") + wire.usage(1, 0, 0, 0, 1)

    async def ask():
        closed = asyncio.Event()

        async def answer(reader, writer):
            connections.append(0)
            while connections[-1] < 2 and await request_read(reader):
                connections[-1] += 1
                writer.write(whole(body))
            writer.close()
            closed.set()

        async with server_of(answer) as url:
            client = await client_for(quick, url)
            for _ in range(2):
                await client.converse(request_for(quick), Heard())
            await closed.wait()
            await asyncio.sleep(0.01)
            await client.converse(request_for(quick), Heard())
            await client.close()

    run(ask())
    assert connections == [2, 1]


def test_a_turn_that_ends_while_its_reader_is_slow_ends_cleanly(run):
    """Cancelled at that point, the call closes its connection and what it was waiting for."""
    wire = WIRES["bedrock"]

    class Stuck(Heard):
        ended = False

        async def wait(self):
            try:
                await asyncio.Event().wait()
            finally:
                self.ended = True

        def text_now(self, text):
            self.texts.append(text)
            return self.wait()

    async def ask():
        gone = asyncio.Event()

        async def answer(reader, writer):
            await request_read(reader)
            writer.write(whole(wire.text(["one", "two"]) + b"x")[:-1])
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            gone.set()

        async with server_of(answer) as url:
            client, heard = await client_for("bedrock", url), Stuck()
            call = asyncio.create_task(client.converse(request_for("bedrock"), heard))
            while not heard.texts:
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await gone.wait()
            return heard

    heard = run(ask())
    assert (heard.texts, heard.ended) == (["one"], True)


@contextlib.asynccontextmanager
async def held_open(body, last=None, connections=None):
    """The URL of a provider whose bodies end, or whose connections close (`b""`), when `last` is set; and who left."""
    left = asyncio.Event()

    async def answer(reader, writer):
        connections.append(0)
        while await request_read(reader):
            connections[-1] += 1
            head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
            writer.write(head + f"{len(body):x}\r\n".encode() + body + b"\r\n")
            if last is not None:
                end = await last.get()
                if not end:
                    return
                writer.write(end)
        left.set()

    async with server_of(answer) as url:
        yield url, left


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("quick", ["bedrock", "openai"])
def test_a_reply_that_said_its_end_is_over_though_its_body_is_not(run, quick, told, monkeypatch):
    """At once behind usage, a grace later without it; then the connection is closed."""
    monkeypatch.setattr("assistant.models.http.END_GRACE_S", 0.02)
    wire = WIRES[quick]
    body = wire.text(["x"]) + wire.stop("end_turn") + (wire.usage(1, 0, 0, 0, 3) if told else b"")

    async def ask():
        async with held_open(body, connections=[]) as (url, left):
            client = await client_for(quick, url)
            reply = await client.converse(request_for(quick), Heard())
            await left.wait()
            await client.close()
            return reply

    reply = run(ask())
    assert (reply.content, reply.stop_reason) == ([{"text": "x"}], "end_turn")
    assert told == (reply.usage is not None and reply.usage.output_tokens == 3)


@pytest.mark.parametrize("quick", ["bedrock", "openai"])
def test_a_body_that_ends_behind_its_reply_leaves_the_connection_to_the_next(run, quick):
    """The last chunk mostly comes in a read of its own."""
    wire, connections = WIRES[quick], []
    body = wire.text(["x"]) + wire.stop("end_turn") + wire.usage(1, 0, 0, 0, 1)

    async def ask():
        last = asyncio.Queue()
        async with held_open(body, last, connections) as (url, _):
            client = await client_for(quick, url)
            for _ in range(3):
                await client.converse(request_for(quick), Heard())
                last.put_nowait(b"0\r\n\r\n")
                while client._http._ending:
                    await asyncio.sleep(0)
            await client.close()

    run(ask())
    assert connections == [3]


@pytest.mark.parametrize("quick", ["bedrock", "openai"])
def test_a_connection_that_closes_behind_the_end_cuts_no_reply(run, quick):
    """The model said that it stopped; usage is unknown."""
    wire = WIRES[quick]

    async def ask():
        last = asyncio.Queue()
        last.put_nowait(b"")
        async with held_open(wire.text(["x"]) + wire.stop("end_turn"), last, []) as (url, _):
            client = await client_for(quick, url)
            try:
                return await client.converse(request_for(quick), Heard())
            finally:
                await client.close()

    assert run(ask()).content == [{"text": "x"}]
