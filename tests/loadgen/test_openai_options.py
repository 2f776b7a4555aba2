"""Key, headers, system prompt and further fields of an `openai` target are sent, and no secret is kept."""

import json
from dataclasses import replace

import pytest

from loadgen.job import LoadError, TargetSpec
from loadgen.targets.openai_options import openai_options
from tests.loadgen.server import response, serving
from tests.loadgen.worker_runs import play

ANSWER = (
    b'data: {"choices":[{"delta":{"content":"yes"},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1}}\n\n'
    b"data: [DONE]\n\n"
)


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def sent(make_job, query="", **options):
    """What the server saw of a short run: paths, headers and bodies; and every byte of the record."""
    spec = TargetSpec("openai", "", model="m", request=openai_options(**options).as_json())
    with serving(lambda *_: [(0.0, response(ANSWER, content_type="text/event-stream"))]) as server:
        job = make_job(replace(spec, url=f"{server.url}/v1{query}"))
        run, _ = play(job)
    assert set(run.turns["status"]) == {"ok"}
    kept = b"".join(path.read_bytes() for path in job.folder.rglob("*") if path.is_file())
    return server.requests, kept


def test_the_key_of_the_environment_is_sent_and_not_kept(make_job, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-s3cret")
    requests, kept = sent(make_job)
    assert {headers["authorization"] for _, headers, _ in requests} == {"Bearer sk-s3cret"}
    assert b"s3cret" not in kept


def test_another_variable_and_headers_are_sent_and_not_kept(make_job, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    monkeypatch.setenv("TEAM_KEY", "s3cret")
    requests, kept = sent(make_job, api_key_env="TEAM_KEY", headers=["X-Team: search", "X-Token: a${TEAM_KEY}"])
    _, headers, _ = requests[0]
    assert headers["authorization"] == "Bearer s3cret"
    assert (headers["x-team"], headers["x-token"]) == ("search", "as3cret")
    assert b"s3cret" not in kept


def test_a_header_of_ones_own_takes_the_place_of_the_key(make_job, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    monkeypatch.setenv("AZURE", "s3cret")
    requests, _ = sent(make_job, headers=["api-key: ${AZURE}"])
    assert "authorization" not in requests[0][1]
    assert requests[0][1]["api-key"] == "s3cret"


def test_system_prompt_further_fields_and_query_are_sent(make_job, tmp_path):
    (tmp_path / "system.txt").write_text("Be short.")
    requests, _ = sent(
        make_job, "?api-version=7", system=f"@{tmp_path / 'system.txt'}", extra_body='{"temperature": 0}', max_tokens=9
    )
    path, _, body = requests[0]
    fields = json.loads(body)
    assert path == "/v1/chat/completions?api-version=7"
    assert fields["messages"][0] == {"role": "system", "content": "Be short."}
    assert [message["role"] for message in fields["messages"]] == ["system", "user"]
    assert (fields["temperature"], fields["max_tokens"], fields["model"]) == (0, 9, "m")


def test_plain_completions_have_the_whole_conversation_as_their_prompt(make_job):
    requests, _ = sent(make_job, system="Be short.", chat=False)
    path, _, body = requests[0]
    assert path == "/v1/completions"
    assert json.loads(body)["prompt"].startswith("Be short.\n\nis there a deal on item ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"api_key_env": "NO_SUCH_KEY"}, "--api-key-env: environment variable NO_SUCH_KEY is not set"),
        ({"headers": ["Authorization: Bearer abc"]}, "would be recorded; write \\${NAME}"),
        ({"headers": ["no colon"]}, "expected 'Name: value'"),
        ({"headers": ["X\r\nY: 1"]}, "expected 'Name: value'"),
        ({"system": "@/no/such/file"}, "--system @/no/such/file: cannot be read"),
        ({"extra_body": "{"}, "--extra-body: not JSON"),
        ({"extra_body": "[1]"}, "expected a JSON object"),
        ({"extra_body": '{"stream": false}'}, "'stream' is filled by the run"),
    ],
)
def test_what_cannot_be_sent_is_one_line(options, said):
    with pytest.raises(LoadError, match=said) as error:
        openai_options(**options)
    assert "\n" not in str(error.value)


def test_an_empty_key_is_none(monkeypatch):
    """`OPENAI_API_KEY=` was sent as a bearer without a token, which servers that want no key refuse."""
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert openai_options().headers == {}
