"""Targets that want to know who asks: API Gateway's signature, and tokens from the user's own command."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from loadgen.analysis.finish import _warnings
from loadgen.targets.credentials import EVERY_S
from loadgen.targets.http import HttpTarget
from loadgen.targets.mapping import target_specs
from loadgen.transport.connection import endpoint
from loadgen.worker.sign_in import keep_fresh
from tests.loadgen.server import response, serving
from tests.loadgen.worker_runs import play, stop_when

ANSWER = response(b'{"answer": {"text": "on Friday"}, "tokens": 2, "conversation": "c1"}')
JSON_TARGET = """
schema: peakday.target/1
url: http://127.0.0.1:1/prod/chat?stage=a b
format: json
body: {question: "{message}"}
text: {path: answer.text}
usage: {output_tokens: tokens}
"""


def mapped(tmp_path: Path, more: str, url: str | None = None):
    """The target of a mapping file with some keys more."""
    file = tmp_path / "target.yaml"
    file.write_text(JSON_TARGET + more)
    (spec,) = target_specs(file)
    return spec if url is None else replace(spec, url=url)


def signature_of(headers: dict[str, str], url: str, body: bytes, keys: BotoCredentials, scope: tuple[str, str]) -> str:
    """The `Authorization` that botocore, an implementation of somebody else, gives the very request that came in."""
    names = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    request = AWSRequest("POST", url, data=body, headers={name: headers[name] for name in names})
    request.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(keys, scope[1], scope[0])
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return f"{auth.scope(request)} {signature}"


def test_api_gateway_gets_the_signature_that_botocore_would_give(make_job, tmp_path, monkeypatch):
    """`sigv4: {service: execute-api, region}` signs host, path, query, session token and body."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-token")
    keys = BotoCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", "session-token")
    with serving(lambda *_: [(0.0, ANSWER)]) as server:
        url = f"{server.url}/prod/chat?stage=a%20b&x=1"
        spec = mapped(tmp_path, "sigv4: {service: execute-api, region: eu-west-1}\n", url)
        job = make_job(spec)
        run, final = play(job)
    assert final["faults"] == []
    assert set(run.turns["status"]) == {"ok"}
    for path, headers, body in server.requests:
        assert path == "/prod/chat?stage=a%20b&x=1"
        assert headers["x-amz-security-token"] == "session-token"
        expected = signature_of(headers, url, body, keys, ("eu-west-1", "execute-api"))
        scope = headers["authorization"].split("Credential=AKIDEXAMPLE/")[1].split(",")[0]
        assert f"AKIDEXAMPLE/{scope} {headers['authorization'].rpartition('=')[2]}" == expected
    written = b"".join(file.read_bytes() for file in job.folder.rglob("*") if file.is_file())
    assert b"wJalrXUtnFEMI" not in written
    assert b"session-token" not in written


def counting_command(tmp_path: Path) -> str:
    """A command that prints t1, t2, … : another token each time."""
    script = tmp_path / "token.py"
    script.write_text(
        "import pathlib; file = pathlib.Path(__file__).with_name('calls')\n"
        "text = file.read_text() + '.' if file.exists() else '.'\n"
        "file.write_text(text); print(f's3cret-t{len(text)}')\n"
    )
    return f"command: ['{sys.executable}', '{script}']"


def bearers(server) -> set[str]:
    """Every authorization that a request came with."""
    return {headers["authorization"] for _, headers, _ in server.requests}


def http_target(spec) -> HttpTarget:
    return HttpTarget(spec, endpoint("http://127.0.0.1:1/"))


def test_a_token_is_fetched_again_when_it_is_old(tmp_path):
    """`refresh_s: 0` asks before every batch of states."""
    target = http_target(mapped(tmp_path, f"token: {{{counting_command(tmp_path)}, refresh_s: 0}}\n"))
    target.refresh()
    first = target.token
    target.refresh()
    assert (first, target.token) == ("s3cret-t1", "s3cret-t2")


def test_a_young_token_is_kept(tmp_path):
    """A token within its `refresh_s` costs no command."""
    target = http_target(mapped(tmp_path, f"token: {{{counting_command(tmp_path)}, refresh_s: 3600}}\n"))
    target.refresh()
    target.refresh()
    assert target.token == "s3cret-t1"


def test_the_token_is_sent_and_never_recorded(make_job, tmp_path):
    """`{token}` stands in a header of each request, and in no file of the record."""
    more = f"token: {{{counting_command(tmp_path)}}}\nheaders: {{Authorization: 'Bearer {{token}}'}}\n"
    with serving(lambda *_: [(0.0, ANSWER)]) as server:
        job = make_job(mapped(tmp_path, more, f"{server.url}/chat"))
        run, final = play(job)
    assert final["faults"] == []
    assert set(run.turns["status"]) == {"ok"}
    assert bearers(server) == {"Bearer s3cret-t1"}
    assert b"s3cret" not in b"".join(file.read_bytes() for file in job.folder.rglob("*") if file.is_file())


def test_a_token_is_fetched_again_while_the_run_goes_on(make_job, tmp_path):
    """Every state is made ready in the first moment, and yet a later one carries a later token."""
    more = f"token: {{{counting_command(tmp_path)}, refresh_s: 0.2}}\nheaders: {{Authorization: 'Bearer {{token}}'}}\n"
    with serving(lambda *_: [(0.0, ANSWER)]) as server:
        job = make_job(mapped(tmp_path, more, f"{server.url}/chat"), for_s=60.0)
        run, final = play(job, stop_when(lambda _: len(bearers(server)) >= 3))
    assert final["faults"] == []
    assert set(run.turns["status"]) == {"ok"}
    assert len(bearers(server)) >= 3


def test_a_refresh_that_fails_is_counted_and_the_old_token_sent_on(make_job, tmp_path):
    """The second call of the command fails: no turn is lost to it, and the record says so."""
    script = tmp_path / "once.py"
    script.write_text("import pathlib; pathlib.Path(__file__ + '.called').touch(exist_ok=False); print('first')\n")
    command = f"command: ['{sys.executable}', '{script}']"
    more = f"token: {{{command}, refresh_s: 0.2}}\nheaders: {{Authorization: 'Bearer {{token}}'}}\n"
    with serving(lambda *_: [(0.0, ANSWER)]) as server:
        job = make_job(mapped(tmp_path, more, f"{server.url}/chat"), for_s=60.0)
        _, final = play(job, stop_when(lambda one: server.requests and "refreshes_failed" in one.recorder.counters))
    assert bearers(server) == {"Bearer first"}
    assert final["counters"]["refreshes_failed"] >= 1
    assert "the old ones were sent on" in _warnings(job, final, False)[0]


def test_signed_targets_are_refreshed_while_the_run_goes_on(tmp_path, monkeypatch):
    """Credentials of a role end within the hour, whatever was made ready before."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
    target = http_target(mapped(tmp_path, "sigv4: {service: execute-api, region: eu-west-1}\n"))
    assert target.refresh_every_s == EVERY_S
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "renewed")
    monkeypatch.setattr(HttpTarget, "refresh_every_s", 0.01)
    over = iter([False, True])
    for greenlet in keep_fresh([target], None, lambda: next(over)):
        greenlet.join()
    assert target._signer._credentials.secret_key == "renewed"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (f"['{sys.executable}', '-c', 'raise SystemExit(3)']", "token_command_CalledProcessError"),
        ("['/no/such/command']", "token_command_FileNotFoundError"),
    ],
)
def test_a_token_command_that_fails_is_why_its_turns_failed(make_job, tmp_path, command, code):
    """No request leaves without its token; each turn says what failed, and none is lost."""
    with serving(lambda *_: [(0.0, ANSWER)]) as server:
        run, final = play(make_job(mapped(tmp_path, f"token: {{command: {command}}}\n", f"{server.url}/chat")))
    assert final["counters"]["asked"] == len(run.turns) > 0
    assert set(zip(run.turns["status"], run.turns["error_code"], strict=True)) == {("http_error", code)}
    assert server.requests == []
