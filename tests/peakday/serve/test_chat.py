"""The assistant's page inside ours."""

import asyncio

import pytest

from assistant.chat.routes import framed_by
from peakday.serve.chat import Chat
from tests.peakday.serve.client import Client


@pytest.mark.parametrize(
    ("named", "allowed"),
    [
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("http://evil.example", "'none'"),
        ("http://127.0.0.1:1; script-src *", "'none'"),
        ("", "'none'"),
    ],
)
def test_the_chat_is_framed_by_an_origin_of_this_machine_alone(named, allowed):
    assert framed_by({"PEAKDAY_FRAMED_BY": named}) == allowed


def test_a_page_with_a_stack_frames_its_address_alone(client):
    client.app._app.state.chat = Chat("smoke", "http://127.0.0.1:9/#secret")
    answer = client.get("/chat")
    assert "frame-src http://127.0.0.1:9;" in answer.headers["content-security-policy"]
    assert 'src="http://127.0.0.1:9/#secret"' in answer.text


def test_a_reader_behind_a_proxy_is_not_given_the_chat(records):
    """Its address holds the stack's token, and whoever talks buys in its shop."""
    shared = Client(records, read_only=True)
    shared.app._app.state.chat = Chat("smoke", "http://127.0.0.1:9/#secret")
    assert "secret" not in shared.get("/chat").text


def test_only_a_target_on_this_machine_is_linked(client):
    assert 'href="http://127.0.0.1:8080"' in client.get("/chat?target=http://127.0.0.1:8080").text
    assert "evil.example" not in client.get("/chat?target=http://evil.example").text
    assert "javascript:" not in client.get("/chat?target=javascript://127.0.0.1/%0aalert(1)").text


@pytest.mark.slow
@pytest.mark.system
def test_a_stack_is_started_for_a_talk_and_stopped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chat = Chat()
    asyncio.run(chat.start("smoke", "http://127.0.0.1:8787"))
    try:
        import aiohttp

        async def policy():
            async with aiohttp.ClientSession() as session, session.get(chat.address) as answer:
                return answer.headers["content-security-policy"]

        assert "frame-ancestors http://127.0.0.1:8787" in asyncio.run(policy())
    finally:
        chat.stop()
    assert chat.address == ""
