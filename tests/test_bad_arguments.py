"""Any words after `peakday`, among whole and damaged files: an exit code of ours, one line, nothing half-written."""

import itertools
import os
import shutil
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host.errors import Exit
from neuron_bench.step_model import write_step_model
from peakday.cli import main
from tests.capacity.models import step_model
from tests.dashboards.conftest import bench, run  # noqa: F401  fixtures
from tests.dashboards.plans import make_plan
from tests.peakday.test_no_packet_leaves import traps, verbs  # noqa: F401  fixture

EXAMPLES = int(os.environ.get("PEAKDAY_BAD_ARGUMENTS", "1"))
WITHIN_S = 5.0
SLOW = {("plan", "for"), ("demo",), ("doctor",), ("calibrate",)}
"""Verbs that work for seconds where their words are right: a plan, a browser, a look at the machine, a fit."""
WORDS = st.sampled_from([
    "", "-", "--", "x", "-1", "0", "1", "1e999", "nan", "2^31", "99999999999999999999", "1/s", "5s", "0s", "-5s",
    "1h30m", "0s:5s", "5s:1s", "a:b:c", "smoke", "prime_day", "latest", "latest~1", "latest~99999999999",
    "whole.json", "bad.yaml", "bad.csv", "bad.json", "bad.jsonl", "empty", "folder", "/nonexistent/x", "../..",
    "folder/../bad.yaml", "a=b", "a.b=c", "demand.interactions.peak_per_s=x", "=", "http://127.0.0.1:1",
    "assistant=http://127.0.0.1:1", "http=bad.yaml", "openai=http://127.0.0.1:1/v1",
    "module=bad.py:X@http://127.0.0.1:1", "ttft_s_p95 <= 1", "ttft_s_p99<1s", "nano", "cpu", "trainium2",
    "us-east-1", "csv", "xlsx", "@bad.json", "@", "{}", "[1]", "\u202ex", "é", "\udcff", "on", "off", "📈", "24h",
    "runs/r", "plans/p", "benches/b", "m.json", "event_cost_usd", "nova-pro", "lru:10000", "lru:x", "[", "${HOME}",
])  # fmt: skip
TEXTS = WORDS | st.text(st.characters(blacklist_categories=["Cs"]), max_size=8).filter(lambda text: "\0" not in text)
VERBS = dict(verbs())
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def files(tmp_path_factory, run, bench):  # noqa: F811
    """A folder as a user may have one: a record of each kind, and files that are nothing."""
    from capacity.plan import write_plan

    folder = tmp_path_factory.mktemp("files")
    shutil.copytree(run.path, folder / "runs" / "r")
    shutil.copytree(bench.path, folder / "benches" / "b")
    write_plan(make_plan(), folder / "plans" / "p")
    write_step_model(step_model(), folder / "m.json")
    (folder / "folder").mkdir()
    for name, content in {
        "whole.json": "{}", "bad.yaml": "schema: x\nurl: [", "bad.csv": "a,b\n1\n", "bad.json": "{", "empty": "",
        "bad.jsonl": '{"a": 1}\n{', "bad.py": "1/0\n",
    }.items():  # fmt: skip
        (folder / name).write_text(content)
    return folder


@st.composite
def lines(draw, path):
    """A verb with some of its options and arguments, each with any word, and at times a word too many."""
    words = list(path)
    for param in VERBS[path]:
        name = str(param.name)
        if param.param_type_name == "argument":
            words += [draw(TEXTS)] if draw(st.integers(0, 5)) else []
        elif (param.required or not draw(st.integers(0, 4))) and name not in ("help", "live", "yes"):
            words += [draw(st.sampled_from(param.opts))] + ([] if param.is_flag else [draw(TEXTS)])
    return words + ([draw(TEXTS)] if not draw(st.integers(0, 9)) else [])


async def stop_at_once(self, sockets=None):
    """In place of pages that are served until Ctrl-C."""


@pytest.mark.parametrize("path", sorted(VERBS), ids="-".join)
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_words_are_an_exit_code_of_ours_and_no_traceback(files, traps, tmp_path, monkeypatch, capsys, path, data):  # noqa: F811
    words = data.draw(lines(path))
    work = tmp_path / f"work{next(NUMBERS)}"
    shutil.copytree(files, work)
    monkeypatch.chdir(work)
    monkeypatch.setattr("webbrowser.open", lambda *_: False)
    monkeypatch.setattr("uvicorn.Server.serve", stop_at_once)
    began_s = time.process_time()
    with pytest.raises(SystemExit) as ended:
        main(words)
    took_s = time.process_time() - began_s
    error = capsys.readouterr().err
    assert ended.value.code in set(Exit), words
    assert "Traceback" not in error, words
    assert ended.value.code in (Exit.OK, Exit.GATE_FAILED) or error.count("peakday: ") >= 1, (words, error)
    assert path in SLOW or took_s < WITHIN_S, (words, took_s)
    assert not list(work.rglob("*.part")), words
    shutil.rmtree(work)
