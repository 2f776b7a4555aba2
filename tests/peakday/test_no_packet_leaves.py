"""Nothing undeclared is contacted: every verb, every text it takes and every key of every file, against traps.

The texts are found by their type, so that a verb, an option or a key that is added tomorrow is covered.
"""

import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import pytest
import typer
import yaml
from pydantic import BaseModel

from neuron_bench.endpoint.sweep import EndpointSpec
from neuron_bench.matrix import _NOT_IN_A_FILE, Spec
from peakday.cli import app, main
from peakday.config import Config
from peakday.gate.settings import Checks
from peakday.stack import resolved

TRAP = "trap.example"
OPENAPI = f"http://{TRAP}:8443/v1"
HOSTILE = (
    f"http://{TRAP}:8443",
    f"https://{TRAP}",
    f"assistant=http://{TRAP}:8443",
    f"openai={OPENAPI}",
    f"bedrock=https://{TRAP}",
    "bedrock=https://bedrock-runtime.us-east-1.amazonaws.com",
    f"http={TRAP}.yaml",
    f"http://127.0.0.1@{TRAP}/",
    f"http://localhost.{TRAP}/",
    f"http://127.0.0.1.{TRAP}:80",
    "http://[2001:db8::7]:80",
    "http://192.0.2.7/latest/meta-data/",
    "s3://trap-bucket/prefix",
    f"file://{TRAP}/etc/hostname",
    "file://localhost/etc/hostname",
)
NEEDED = {"scenario": "smoke", "message": "is it dry?", "form": "csv", "history": "counts.csv", "run": "latest"}
ADDRESSES = {"target", "against", "scrape", "openai_url", "url", "artifacts"}
"""Meant for addresses: these get every hostile text, all others the first."""
EXPLICIT = {"master_host"}
"""A worker's own master: the one address that a run's worker is given by hand, and loads nothing."""


ONCE: dict[str, Callable] = {}
COMMAND = typer.main.get_command(app)


def remembered(function):
    """The function, whose results are kept by the text of its arguments."""
    results = {}

    def once(*arguments):
        key = repr(arguments)
        if key not in results:
            results[key] = function(*arguments)
        return results[key]

    return once


class Contacted(BaseException):
    """A packet would have left; no handler of errors may catch it."""


@pytest.fixture
def traps(monkeypatch, tmp_path):
    """A resolver and a connect that tell, a proxy in the environment, and no process that could go behind our back."""
    contacted = []

    def tell(what):
        contacted.append(what)
        raise Contacted(what)

    def connect(self, address, real=socket.socket.connect):
        host = str(address[0]) if isinstance(address, tuple) else ""
        return real(self, address) if host in ("127.0.0.1", "::1") and address[1] != PROXY_PORT else tell(address)

    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: tell(host))
    monkeypatch.setattr(socket, "gethostbyname", tell)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{PROXY_PORT}")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, f"http://{TRAP}:8443")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    for function in (resolved.load_scenario, resolved.ensure_world):  # the same scenario each time
        monkeypatch.setattr(resolved, function.__name__, ONCE.setdefault(function.__name__, remembered(function)))
    monkeypatch.setattr("peakday.cli.typer.main.get_command", lambda _: COMMAND)
    monkeypatch.setattr("peakday.cli.signal.signal", lambda *_: None)
    for planner in ("peakday.plan.plan.make_plan", "peakday.gate.builds.runs.make_plan"):  # minutes, and no network
        monkeypatch.setattr(planner, lambda *_, **__: _refuse("plan"))
    monkeypatch.setattr("host.processes.start", lambda name, *_, **__: _refuse(name))
    real_popen = subprocess.Popen

    def popen(command, *words, **options):
        return real_popen(command, *words, **options) if command[0] == "git" else _refuse(command)

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.chdir(tmp_path)
    return contacted


PROXY_PORT = 9


def _refuse(name):
    from host.errors import PeakdayError

    raise PeakdayError(f"{name}: the test starts no process")


def verbs(group=None, path=()) -> Iterator[tuple[tuple[str, ...], list]]:
    """Every verb with its parameters."""
    group = group or COMMAND
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, (*path, name))
        else:
            yield (*path, name), command.params


def texts() -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text of every verb: options and arguments that are no number and no switch."""
    for path, params in verbs():
        for param in params:
            kind = str(param.type_descriptor.annotation)
            if ("str" in kind or "Path" in kind) and param.name not in (*EXPLICIT, "help"):
                yield path, param.name


def line(path, wanted, value) -> list[str]:
    """The words of a verb with one text set, and its other arguments as they must be."""
    params = dict(verbs())[path]
    words = list(path)
    for param in params:
        if param.param_type_name == "argument":
            words.append(value if param.name == wanted else NEEDED.get(param.name, "latest"))
        elif param.name == wanted:
            words += [param.opts[0], value]
        elif param.required:
            words += [param.opts[0], NEEDED.get(param.name, "x")]
    if wanted == "url":
        words += ["--method", "endpoint"]
    return words


def typed(words, contacted):
    """Run one command here; whatever its exit code, nothing may have been contacted."""
    try:
        main(words)
    except SystemExit:
        pass
    except Contacted:
        pytest.fail(f"peakday {' '.join(words)}: contacted {contacted}")
    assert contacted == [], f"peakday {' '.join(words)}: contacted {contacted}"


@pytest.mark.parametrize("path", [path for path, _ in verbs() if path != ("ladder",)], ids="-".join)
def test_no_text_of_any_verb_reaches_an_undeclared_host(path, traps, capsys):
    """Without --live and without a declaration no name is looked up, no socket connected, no proxy asked."""
    for owner, name in texts():
        if owner == path:
            for value in HOSTILE if name in ADDRESSES else HOSTILE[:1]:
                typed(line(path, name, value), traps)


def leaves(kind, marks=()) -> Iterator[tuple[tuple[str, ...], object]]:
    """What a type is made of, each with the lists (`[]`) and mappings (`{}`) around it."""
    inside = get_args(kind)
    if not inside or get_origin(kind) is Literal:
        yield marks, kind
    around = {dict: ("{}",), list: ("[]",), tuple: ("[]",)}.get(get_origin(kind), ())
    for part in inside:
        if not around or part is not Ellipsis:
            yield from leaves(part, (*marks, *around))


def text_keys(model, path=()) -> Iterator[tuple[str, ...]]:
    """Every key of a settings file that holds text, found by its type, at any depth."""
    for name, field in model.model_fields.items():
        here, known = (*path, field.alias or name), list(leaves(field.annotation))
        nested = [(marks, kind) for marks, kind in known if isinstance(kind, type) and issubclass(kind, BaseModel)]
        for marks, kind in nested:
            yield from text_keys(kind, (*here, *marks))
        if not nested and any(kind in (str, Path) for _, kind in known):
            yield here


def document(path, value, base):
    """A file with one key set."""
    for key in reversed(path):
        value = [value] if key == "[]" else {"x": value} if key == "{}" else {key: value}
    top = path[0]
    inner = {**base[top], **value[top]} if isinstance(base.get(top), dict) else value[top]
    return yaml.safe_dump({**base, top: inner})


SUT = {"sut": {"start": "true", "ready": "http://127.0.0.1:{port}/"}}


@pytest.mark.parametrize("path", list(text_keys(Checks)), ids=".".join)
def test_no_key_of_checks_yaml_reaches_an_undeclared_host(path, traps, tmp_path, capsys):
    for value in HOSTILE:
        for shape in (value, [value]):
            (tmp_path / "checks.yaml").write_text(document(path, shape, SUT if path[0] == "sut" else {}))
            typed(["check", "smoke", "--only", "slo", "--rate", "1/s", "--for", "1s", "--quiet"], traps)


@pytest.mark.parametrize("path", [key for key in text_keys(Config) if key[0] not in ("owned_targets",)], ids=".".join)
def test_no_key_of_peakday_yaml_reaches_an_undeclared_host(path, traps, tmp_path, capsys):
    """`owned_targets` is the declaration itself; to be listed as unpaid declares nothing."""
    for value in HOSTILE:
        for shape in (value, [value], {"x": value}):
            (tmp_path / "peakday.yaml").write_text(document(path, shape, {}))
            typed(["run", "smoke", "--target", f"assistant=http://{TRAP}:8443", "--quiet"], traps)


MATRIX_KEYS = sorted({
    field.name
    for kind in (Spec, EndpointSpec)
    for field in fields(kind)
    if re.search(r"\b(?:str|Path)\b", str(field.type)) and field.name not in _NOT_IN_A_FILE
})  # fmt: skip
"""Of a target, found by type; `serve` and its options start a process, which is a trap."""


@pytest.mark.parametrize("key", MATRIX_KEYS)
@pytest.mark.parametrize("method", ["endpoint", "trace"])
def test_no_key_of_a_bench_matrix_reaches_an_undeclared_host(key, method, traps, tmp_path, capsys):
    for value in HOSTILE:
        target = {"method": method, key: value, "models": ["nano"]}
        target |= {} if key == "url" or method == "trace" else {"url": OPENAPI}
        file = tmp_path / "matrix.yaml"
        file.write_text(yaml.safe_dump({"schema": "peakday.bench_matrix/1", "targets": [target]}))
        typed(["bench", "run", "--matrix", str(file), "--quiet"], traps)


MAPPING = {
    "schema": "peakday.target/1",
    "body": {"q": "{message}"},
    "format": "sse",
    "text": {"path": "t"},
    "end": {"data": "[DONE]"},
}


def mapped(folder, **keys):
    """The option that names a mapping file with these keys."""
    (folder / "mapping.yaml").write_text(yaml.safe_dump(MAPPING | keys))
    return ["--target", f"http={folder}/mapping.yaml"]


@pytest.mark.parametrize("verb", [("run", "smoke"), ("max-rate", "smoke"), ("sweep", "smoke"), ("ask", "hello")])
def test_no_url_of_a_mapping_reaches_an_undeclared_host(verb, traps, tmp_path, capsys):
    """One region's url among loopback ones is enough to be refused."""
    typed([*verb, *mapped(tmp_path, url=f"http://{TRAP}:8443/chat")], traps)
    assert "owned_targets" in capsys.readouterr().err
    urls = {"us-east-1": "http://127.0.0.1:1/", "eu-west-1": f"https://{TRAP}/chat"}
    typed([*verb, *mapped(tmp_path, url=urls)], traps)


@pytest.mark.parametrize("verb", [("run", "smoke", "--scale", "0.1"), ("max-rate", "smoke"), ("ask", "hello")])
def test_a_mapping_that_signs_needs_live_even_on_loopback(verb, traps, tmp_path, capsys):
    """Its credentials come from the account's chain, which asks a cloud's metadata address."""
    keys = {"url": "http://127.0.0.1:1/chat", "sigv4": {"service": "execute-api", "region": "us-east-1"}}
    typed([*verb, *mapped(tmp_path, **keys)], traps)
    assert "--live" in capsys.readouterr().err


def test_the_walk_covers_the_options_that_hold_addresses():
    """The walk finds by type what one would list by hand."""
    named = {(path[-1], name) for path, name in texts()}
    assert {
        ("run", "target"), ("run", "scrape"), ("run", "openai_url"), ("max-rate", "target"), ("sweep", "target"),
        ("check", "target"), ("check", "against"), ("ask", "target"), ("up", "openai_url"), ("run", "url"),
        ("run", "artifacts"), ("verify-on-bedrock", "target"), ("quality", "openai_url"),
    } <= named  # fmt: skip
    assert {("sut", "ready"), ("sut", "target"), ("baselines",)} <= set(text_keys(Checks))


class _Place(BaseModel):
    host: str
    many: list[str] = []


class _Added(BaseModel):
    """Every form in which a key that holds an address may be added tomorrow."""

    plain: str
    maybe: str | None = None
    path: Path | None = None
    listed: list[str] = []
    named: dict[str, str] = {}
    noted: Annotated[str, "a note"] = ""
    count: int = 0
    kind: Literal["a", "b"] = "a"
    place: _Place | None = None
    places: list[_Place] = []
    by_region: dict[str, _Place] = {}
    deep: dict[str, tuple[_Place, ...]] = {}


def test_a_key_that_is_added_in_any_form_is_walked():
    """Also inside a list or under a name, where the walk once passed it over."""
    plain = {("plain",), ("maybe",), ("path",), ("listed",), ("named",), ("noted",)}
    around = [("place",), ("places", "[]"), ("by_region", "{}"), ("deep", "{}", "[]")]
    assert set(text_keys(_Added)) == plain | {(*place, key) for place in around for key in ("host", "many")}
    for path in text_keys(_Added):
        assert f"http://{TRAP}" in document(path, f"http://{TRAP}", {})


def test_the_traps_tell(traps):
    """The test's own teeth: a look-up, a connection and a proxy are noticed."""
    with pytest.raises(Contacted):
        socket.create_connection((TRAP, 80))
    for address in (("192.0.2.7", 80), ("127.0.0.1", PROXY_PORT)):
        with socket.socket() as link, pytest.raises(Contacted):
            link.connect(address)
