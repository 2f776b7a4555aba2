"""Unknown means paid: an owned host that says nothing gets a question about itself, and no turn.

Verbs and keys are walked by their type, as in test_no_packet_leaves.
"""

import contextlib
import socket

import pytest
import yaml

from peakday.cli import main
from tests.host.test_fetch import serving
from tests.peakday.test_no_packet_leaves import MAPPING, SUT, document, line, texts, traps, verbs  # noqa: F401  fixture

OWNED = "staging.example"
SILENT = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
SIMULATED = b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\nConnection: close\r\n\r\n{"simulated": true}'
LOADS = ("target", "url")
"""Options that name what is loaded or asked; every other address is only read."""
FORMS = (
    "{url}", "assistant={url}", "openai={url}/v1", "bedrock={url}", "http=mapping.yaml", "http=text:{url}/chat",
    "http=langserve:{url}", "http=a2a:{url}", "http=mcp:{url}/mcp", "http=websocket:ws{rest}/chat",
    "http=realtime:ws{rest}/v1/realtime", "module=own.py:Target@{url}",
)  # fmt: skip


@contextlib.contextmanager
def owned(traps, monkeypatch, folder, answer=SILENT, **more):  # noqa: F811
    """A declared host, which answers on loopback here; yields its URL, what was sent there, and what was started."""
    with serving(answer) as (local, requests):
        port = local.rpartition(":")[2]
        origins = [f"{scheme}://{OWNED}:{port}" for scheme in ("http", "ws")]
        free = {key: list(origins) for key in more}
        (folder / "peakday.yaml").write_text(yaml.safe_dump({"owned_targets": origins} | free))
        (folder / "mapping.yaml").write_text(yaml.safe_dump(MAPPING | {"url": f"{origins[0]}/chat"}))
        (folder / "own.py").write_text("class Target: ...\n")
        entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *_, **__: [entry] if host == OWNED else traps.append(host)
        )
        yield origins[0], requests


def sent(requests):
    """First lines of what arrived, but for the question whether its answers are simulated and bare connections."""
    return [text.split(b"\r\n")[0] for text in requests if text and not text.startswith(b"GET /healthz ")]


def filled(form, url):
    return form.format(url=url, rest=url.removeprefix("http"))


LOADING = [(path, name) for path, name in texts() if name in LOADS]


def words_of(path, name, value):
    """The words of the verb; calibrate measures a server or reads records, and --method is of benches."""
    words = line(path, name, value)
    if path == ("calibrate",):
        words.remove("latest")
    return words if path == ("bench", "run") else words[: words.index("--method")] if "--method" in words else words


@pytest.mark.parametrize(("path", "name"), LOADING, ids=lambda part: "-".join(part) if type(part) is tuple else part)
def test_no_verb_sends_a_turn_to_an_owned_host_that_says_nothing(path, name, traps, monkeypatch, tmp_path, capsys):  # noqa: F811
    started = []
    monkeypatch.setattr("host.processes.start", lambda what, *_, **__: started.append(what) or pytest.fail(what))
    with owned(traps, monkeypatch, tmp_path) as (url, requests):
        for form in FORMS if name == "target" else FORMS[:1]:
            with pytest.raises(SystemExit) as ended:
                main(words_of(path, name, filled(form, url)))
            error = capsys.readouterr().err
            assert ended.value.code == 2, (form, error)
            assert not sent(requests), (form, requests)
            assert not started, form
    assert any(word in error for word in ("--live", "unpaid_targets", "expected", "served on loopback only")), error


@pytest.mark.parametrize("form", FORMS[1:])
def test_the_gate_sends_no_turn_there_either(form, traps, monkeypatch, tmp_path, capsys):  # noqa: F811
    with owned(traps, monkeypatch, tmp_path) as (url, requests):
        settings = document(("sut", "target"), filled(form, url), SUT)
        (tmp_path / "checks.yaml").write_text(settings.replace("http://127.0.0.1:{port}/", f"{url}/healthz"))
        with pytest.raises(SystemExit) as ended:
            main(["check", "smoke", "--only", "slo", "--rate", "1/s", "--for", "1s", "--quiet"])
    assert ended.value.code != 0
    assert not sent(requests)


def test_no_matrix_of_benches_measures_there(traps, monkeypatch, tmp_path, capsys):  # noqa: F811
    """One server among others is enough: a bench keeps no budget."""
    with owned(traps, monkeypatch, tmp_path) as (url, requests):
        targets = [{"method": "endpoint", "url": each, "models": ["nano"]} for each in ("http://127.0.0.1:1/v1", url)]
        (tmp_path / "m.yaml").write_text(yaml.safe_dump({"schema": "peakday.bench_matrix/1", "targets": targets}))
        with pytest.raises(SystemExit) as ended:
            main(["bench", "run", "--matrix", "m.yaml", "--quiet"])
    error = capsys.readouterr().err
    assert (ended.value.code, sent(requests)) == (2, []), error
    assert "needs --live" in error
    assert "unpaid_targets" in error


@pytest.mark.parametrize("form", FORMS[1:])
@pytest.mark.parametrize("word", ["simulated", "unpaid"])
def test_its_own_word_or_its_owner_s_is_believed(form, word, traps, monkeypatch, tmp_path, capsys):  # noqa: F811
    """It says that it is simulated, or is listed as unpaid: the run goes on to start its load engine."""
    answer, more = (SIMULATED, {}) if word == "simulated" else (SILENT, {"unpaid_targets": True})
    begun = []
    monkeypatch.setattr("peakday.run.rehearsal.run_job", lambda *_: begun.append(1) or pytest.skip("begun"))
    if form.startswith("bedrock"):
        pytest.skip("Bedrock off this machine is paid, whatever it says")
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    done = contextlib.suppress(SystemExit, pytest.skip.Exception)
    with owned(traps, monkeypatch, tmp_path, answer, **more) as (url, _), done:
        main(["run", "smoke", "--rate", "1/s", "--for", "1s", "--quiet", "--target", filled(form, url)])
    assert begun, capsys.readouterr().err


def test_the_walk_holds_every_verb_that_loads():
    """By type, with what one would list by hand."""
    assert {("run",), ("ask",), ("chat",), ("max-rate",), ("sweep",), ("ramp",), ("check",), ("calibrate",)} <= {
        path for path, _ in LOADING
    }
    assert {path for path, _ in LOADING} <= {path for path, _ in verbs()}
