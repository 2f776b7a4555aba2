"""A secret stands everywhere a user may put one; nothing that is written, printed or listed by `ps` holds it."""

import os
import secrets
import stat
import subprocess
import sys
import threading
import time

import psutil
import pytest
import yaml

from peakday.cli import main
from tests.loadgen.server import chat_chunk, response, serving, usage_chunk

ANSWER = response(chat_chunk("yes") + usage_chunk(5, 1) + b"data: [DONE]\n\n", content_type="text/event-stream")
PAGE = response(b"up 1\nasked_total 3\n", content_type="text/plain")


class Canaries:
    """A secret for each place, so that a leak names its place."""

    def __init__(self):
        self.nonce = secrets.token_hex(8)

    def at(self, place):
        """The secret of a place."""
        return f"{place}{self.nonce}"

    def in_files(self, folder):
        """Files under a folder that hold one."""
        return [str(file) for file in folder.rglob("*") if file.is_file() and self.nonce.encode() in file.read_bytes()]


def mapping_of(url, canary):
    """A mapping with secrets in query, literal headers, body and token command."""
    return {
        "schema": "peakday.target/1",
        "url": f"{url}/chat?key={canary.at('query')}",
        "headers": {
            "Authorization": "Bearer ${CANARY_VARIABLE}",
            "X-Team": canary.at("header"),
            "X-Api-Key": f"{canary.at('beside')}-{{customer.id}}",
            "X-Token": "{token}",
        },
        "token": {"command": ["echo", canary.at("command")]},
        "body": {"q": "{message}", "api_key": canary.at("body"), "deep": [{"secret": canary.at("deep")}]},
        "format": "sse",
        "text": {"path": "choices.0.delta.content"},
        "end": {"data": "[DONE]"},
    }


def listed(process, seen, canary):
    """Command lines of a process's children that hold a secret, but for what the user typed.

    That is the token command, and the command line itself, which a child has between fork and exec.
    """
    while process.poll() is None:
        try:
            for child in psutil.Process(process.pid).children(recursive=True):
                words = " ".join(child.cmdline())
                if canary.nonce in words and not words.startswith("echo ") and child.cmdline() != process.args:
                    seen.append(words)
        except (psutil.Error, OSError):
            pass
        time.sleep(0.05)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """An empty folder with a mapping, a config and an environment full of secrets, and a target that answers."""
    canary = Canaries()
    (user := tmp_path / "user").mkdir()
    (work := tmp_path / "work").mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("CANARY_VARIABLE", canary.at("variable"))
    monkeypatch.setenv("OPENAI_API_KEY", canary.at("openai"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", canary.at("aws"))
    with serving(lambda path, *_: [(0.0, PAGE if "metrics" in path else ANSWER)]) as server:
        mapping = user / "target.yaml"
        mapping.write_text(yaml.safe_dump(mapping_of(server.url, canary)))
        config = {"schema": "peakday.config/1", "owned_targets": [f"http://u:{canary.at('owned')}@h.example/?k=1"]}
        (work / "peakday.yaml").write_text(yaml.safe_dump(config))
        yield canary, work, server, mapping


def printed_by(capfd, *words):
    """What a command prints, in this process, whatever its exit code."""
    with pytest.raises(SystemExit):
        main([*words])
    output = capfd.readouterr()
    return output.out + output.err


def test_no_secret_is_written_printed_or_listed_and_every_file_is_its_users_alone(places, capfd):
    canary, work, server, mapping = places
    command = [sys.executable, "-m", "peakday", "run", "smoke", "--target", f"http={mapping}", "--rate", "4/s"]
    command += ["--for", "1s", "--scrape", f"{server.url}/metrics?token={canary.at('scrape')}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seen = []
    watcher = threading.Thread(target=listed, args=(process, seen, canary))
    watcher.start()
    output = process.communicate(timeout=900)[0]
    watcher.join()
    for words in (
        ("report", "latest", "--out", "report.html"), ("export", "csv", "latest", "--out", "csv"), ("list", "runs"),
        ("ask", "--target", f"http={mapping}", "is it red?"), ("doctor", "--quiet"),
    ):  # fmt: skip
        output += printed_by(capfd, *words)
    (work / "peakday.yaml").unlink()
    sent = str(server.requests)
    places_sent = ("query", "header", "beside", "command", "body", "deep", "variable", "scrape")
    assert [place for place in places_sent if canary.at(place) not in sent] == []
    assert len(list(work.glob("runs/*/turns-*.parquet"))) >= 1, output
    assert canary.nonce not in output
    assert seen == []
    assert canary.in_files(work) == []
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in work.rglob("*")}
    assert {path: oct(mode) for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


@pytest.mark.parametrize(
    "words",
    [
        ("run", "smoke", "--target", "assistant=http://u:CANARY@127.0.0.1:9"),
        ("run", "smoke", "--target", "assistant=http://127.0.0.1:9/?k=CANARY"),
        ("run", "smoke", "--target", "assistant=http://u:CANARY@192.0.2.1/?k=CANARY"),
        ("run", "smoke", "--target", "nothing=http://u:CANARY@127.0.0.1:9/?k=CANARY"),
        ("run", "smoke", "--target", "http=nothing:http://u:CANARY@127.0.0.1:9/?k=CANARY"),
        ("run", "smoke", "--target", "assistant=ftp://u:CANARY@127.0.0.1:9/?k=CANARY"),
        ("run", "smoke", "--target", "assistant=http://127.0.0.1:x/?k=CANARY"),
        ("run", "smoke", "--target", "module=a@http://127.0.0.1:9/?k=CANARY"),
        ("run", "smoke", "--scrape", "http://u:CANARY@192.0.2.1/?k=CANARY"),
        ("run", "smoke", "--target", "openai=http://127.0.0.1:9/v1", "--header", "Authorization: CANARY"),
        ("run", "smoke", "--target", "openai=http://127.0.0.1:9/v1", "--extra-body", "{'key': 'CANARY'"),
        ("run", "smoke", "--target", "openai=http://192.0.2.1/v1?k=CANARY", "--header", "X-Team: CANARY"),
        ("bench", "run", "--method", "endpoint", "--url", "http://127.0.0.1:9/v1?k=CANARY"),
        ("bench", "run", "--method", "endpoint", "--url", "http://u:CANARY@127.0.0.1:9/v1"),
        ("ask", "--target", "http://127.0.0.1:9/?k=CANARY", "hello"),
        ("assistant", "auto-buy", "off", "--target", "http://u:CANARY@192.0.2.1/?k=CANARY"),
        ("target", "detect", "http://u:CANARY@192.0.2.1/?k=CANARY"),
        ("target", "detect", "http://127.0.0.1:9/?k=CANARY"),
    ],
    ids=" ".join,
)
def test_what_is_refused_is_refused_without_its_secret(refused, tmp_path, words):
    secret = f"canary{secrets.token_hex(8)}"
    result = refused(*(word.replace("CANARY", secret) for word in words))
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    assert secret not in result.stdout + result.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_text(errors="replace")] == []


def test_a_file_written_by_hand_belongs_to_its_writer(tmp_path):
    """Whatever the umask of whoever calls: `written_aside` and `folder_aside` are private by themselves."""
    from host.atomic import folder_aside, write_text

    before = os.umask(0)
    try:
        write_text(tmp_path / "a.json", "{}")
        with folder_aside(tmp_path / "b"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o700
