"""An assistant behind a WebSocket: one socket a conversation, an answer up to the mapping's `end`."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from starlette.websockets import WebSocketDisconnect

from loadgen.job import LoadError
from loadgen.targets.inspection import ask_mapped
from loadgen.targets.mapping import load_mapping, named_target, target_specs
from tests.loadgen.socket_server import socket_serving
from tests.loadgen.worker_runs import play

TWO_TURNS = {"mix": {"turns_per_interaction": {"mean": 2.0, "max": 2}, "interactions_per_session": {"mean": 2.0}}}
ONE_TURN = {"mix": {"turns_per_interaction": {"mean": 1.0, "max": 1}}}
USED = {"input_tokens": 7, "output_tokens": 4}


def named(url: str, **changes):
    """The named mapping `websocket` at this server."""
    path, values = named_target(f"websocket:{url}/chat")
    (spec,) = target_specs(path, values)
    return replace(spec, mapping=spec.mapping | changes)


class Chat:
    """Answers every message in two pieces; `sockets` holds what each socket was sent."""

    def __init__(self) -> None:
        self.sockets = []
        self.paths = []

    async def serve(self, socket):
        await socket.accept()
        taken = []
        self.sockets.append(taken)
        self.paths.append(str(socket.url.path))
        try:
            while True:
                taken.append(await socket.receive_json())
                await socket.send_text("a heartbeat")
                await socket.send_json({"delta": "It ships "})
                await socket.send_json({"delta": "Friday."})
                await socket.send_json({"done": True, "usage": USED, "conversation_id": "c-1"})
        except WebSocketDisconnect:
            return


@pytest.fixture(scope="module")
def chatted(tmp_path_factory):
    """A run of conversations of two turns: its record, its final snapshot, and the server's own truth."""
    from tests.loadgen.conftest import make_job_in

    chat = Chat()
    with socket_serving(chat.serve, "/chat/{rest:path}") as url:
        spec = named(url)
        job = make_job_in(tmp_path_factory.mktemp("ws"))(
            replace(spec, url=f"{url}/chat/{{interaction_id}}"), scenario=TWO_TURNS
        )
        run, final = play(job)
    return run, final, chat


def test_turns_are_whole_and_counted(chatted):
    """Both pieces, and the tokens that the last message tells; nothing went wrong in the generator."""
    run, final, _ = chatted
    assert final["faults"] == []
    assert set(run.turns["status"]) == {"ok"}
    assert set(run.turns["output_tokens"]) == {4}
    assert (run.turns["ttft_s"] <= run.turns["e2e_s"]).all()


def test_a_conversation_has_one_socket_of_its_own(chatted):
    """As many sockets as conversations, each at its own path, and the second turn knows the conversation's id."""
    run, _, chat = chatted
    assert len(chat.sockets) == run.turns["interaction_id"].nunique()
    assert {path.rpartition("/")[2] for path in chat.paths} == set(run.turns["interaction_id"])
    known = [[message.get("conversation_id") for message in taken] for taken in chat.sockets]
    assert [None, "c-1"] in known  # the end of the window cuts others short
    assert all(ids in ([None], [None, "c-1"]) for ids in known)


@pytest.mark.parametrize(
    ("ending", "status", "code"),
    [("refuse", "http_error", "403"), ("close", "stream_error", "closed_1011"), ("leave", "stream_error", "no_end"),
     ("error", "stream_error", "busy")],
)  # fmt: skip
def test_an_answer_that_fails_has_its_reason(make_job, ending, status, code):
    """A refused handshake, a close with an error's code, one before the end, and an error that the target tells."""

    async def handle(socket):
        if ending == "refuse":
            await socket.close()
            return
        await socket.accept()
        await socket.receive_json()
        await socket.send_json({"delta": "It "})
        if ending == "error":
            await socket.send_json({"error": "busy"})
            await socket.receive()
        else:
            await socket.close(1011 if ending == "close" else 1000)

    with socket_serving(handle) as url:
        run, final = play(make_job(named(url), scenario={"load": {"drain_s": 30.0}}))
    assert final["faults"] == []
    assert set(run.turns["status"]) == {status}
    assert set(run.turns["error_code"]) == {code}


def test_openai_realtime_speaks_text(make_job, monkeypatch):
    """Text alone is asked for; a turn is an item and the wish for a response; its end brings the tokens."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-s3cret")
    taken = []

    async def handle(socket):
        await socket.accept()
        await socket.send_json({"type": "session.created", "session": {}})
        assert socket.headers["authorization"] == "Bearer sk-s3cret"
        taken.append([await socket.receive_json() for _ in range(3)])
        for text in ("It ships ", "Friday."):
            await socket.send_json({"type": "response.output_text.delta", "delta": text})
        usage = {"input_tokens": 97, "output_tokens": 4, "input_token_details": {"cached_tokens": 90}}
        await socket.send_json({"type": "response.done", "response": {"status": "completed", "usage": usage}})
        await socket.receive()

    with socket_serving(handle, "/v1/realtime") as url:
        path, values = named_target(f"realtime:{url}/v1/realtime?model=m")
        run, final = play(make_job(*target_specs(path, values), scenario=ONE_TURN))
    assert final["faults"] == []
    assert set(run.turns["status"]) == {"ok"}
    columns = ["input_tokens", "cache_read_tokens", "output_tokens"]
    assert set(run.calls[columns].itertuples(index=False, name=None)) == {(7, 90, 4)}
    assert [message["type"] for message in taken[0]] == [
        "session.update",
        "conversation.item.create",
        "response.create",
    ]


def test_plain_texts_end_at_a_word(make_job):
    """Messages need not be JSON, and a body that is a text goes out as it is; a socket's first messages go first."""
    taken = []

    async def handle(socket):
        await socket.accept()
        taken.append([await socket.receive_text() for _ in range(2)])
        for piece in ("It ships\n", "Friday.", "[END]"):
            await socket.send_text(piece)
        await socket.receive()

    mapping = {"format": "text", "open": [{"hello": 1}], "body": "{message}", "end": {"data": "[END]"}}
    with socket_serving(handle) as url:
        job = make_job(named(url, **mapping), keep_text=True, scenario=ONE_TURN)
        run, final = play(job)
    assert final["faults"] == []
    assert set(run.turns["status"]) == {"ok"}
    assert set(run.texts["answer"]) == {"It ships\nFriday."}
    assert {first for first, _ in taken} == {'{"hello":1}'}
    assert all(question.startswith("is there a deal") for _, question in taken)


def test_a_socket_over_tls(make_job, certificate, monkeypatch):
    """`wss://`, with the certificate checked."""
    _, file = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with socket_serving(Chat().serve, tls=file) as url:
        run, final = play(make_job(named(url.replace("127.0.0.1", "localhost"))))
    assert url.startswith("wss://")
    assert final["faults"] == []
    assert set(run.turns["status"]) == {"ok"}


def test_asking_shows_every_message(tmp_path):
    """The handshake and the question, then each message and what it means, up to the end."""
    with socket_serving(Chat().serve) as url:
        asked, *pieces = ask_mapped(named(url), "when does it ship?")
        assert b"Upgrade: websocket" in asked.data
        assert b'{"message":"when does it ship?"}' in asked.data
        kinds = [signal.kind for piece in pieces for signal in piece.recognised]
        assert kinds == ["text", "text", "conversation_id", "usage", "end"]
        with pytest.raises(LoadError, match="status 403, no WebSocket"):
            list(ask_mapped(replace(named(url), url=f"{url}/elsewhere"), "hello"))


def test_a_mapping_tells_all_that_is_wrong_with_it(tmp_path):
    """What only HTTP has means nothing on a socket; one message names how many more there are."""
    file = tmp_path / "m.yaml"
    file.write_text(
        "schema: peakday.target/1\nurl: ws://127.0.0.1:1\nformat: sse\nmethod: PUT\ntxet: 1\nbody: '{mesage}'\n"
    )
    with pytest.raises(LoadError, match=r"unknown key 'txet'.*\(and 4 more\)") as refused:
        load_mapping(file)
    notes = "\n".join(refused.value.__notes__)
    for words in ("format is 'sse', expected one of json, text, responses", "method: has no", "text: missing", "end: "):
        assert words in notes


@pytest.mark.usefixtures("hourly")
def test_a_socket_that_only_stays_alive_is_given_up():
    """Pings and words of nothing are no end: `ask` and `detect` would wait for ever."""

    async def beats(socket):
        await socket.accept()
        with suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await socket.send_text("a heartbeat")
                await asyncio.sleep(0.01)

    with socket_serving(beats) as url, pytest.raises(LoadError, match="no end within 300 s"):
        list(ask_mapped(named(url), "hello", within_s=300.0))
