"""A trace replayed on a server: calls as a graph, one prompt for one content, its hits beside the exact policy's."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from host import processes
from host.yaml_text import dump_yaml
from loadgen.job import TargetSpec
from loadgen.record import load_run
from peakday.run.replay import add_hits
from scenarios.replay.file import write_plan
from scenarios.replay.plan import plan_replay
from scenarios.traces.sessions import read_trace
from tests.loadgen.server import assistant, assistant_events, serving, streamed
from tests.loadgen.worker_runs import play, stop_after

ROOT = Path(__file__).parents[2]
BLOCK = 32
CACHE_BLOCKS = 24
WINDOW = (0.0, 60.0)


def request(t, ids, stop="end_turn", kinds=("text",)):
    """A call of whole blocks and five tokens more, answered by three in no time."""
    return {"t": t, "in": BLOCK * len(ids) + 5, "out": 3, "hash_ids": list(ids), "stop": stop, "api_time": 0.0,
            "input_types": list(kinds)}  # fmt: skip


def session(*requests, name="s"):
    return {"id": name, "block_size": BLOCK, "requests": list(requests)}


@pytest.fixture
def planned(tmp_path):
    """The plan's file of sessions that share a clock; `planned(session, …, window=…)`."""

    def make(*sessions, **options):
        path = tmp_path / "trace.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in sessions))
        return str(write_plan(plan_replay(replace(read_trace(path), clock=True), **options), tmp_path / "plans"))

    return make


def text_chunk(text, ids=None, reason=None, usage=None):
    choice = {"index": 0, "text": text, "finish_reason": reason} | ({"token_ids": ids} if ids else {})
    return b"data: " + orjson.dumps({"choices": [choice], **({"usage": usage} if usage else {})}) + b"\n\n"


def answering(path, headers, body):
    """Three tokens, with their ids where they are asked for."""
    asked = orjson.loads(body)
    ids = [[7], [8], [9]] if asked.get("return_token_ids") else [None] * 3
    usage = {"prompt_tokens": len(asked["prompt"]), "completion_tokens": 3}
    events = [text_chunk(" w", one) for one in ids]
    return streamed([*events, text_chunk("", None, "stop", usage), b"data: [DONE]\n\n"])


def openai(server):
    return TargetSpec("openai", server.url + "/v1", model="m")


def test_calls_follow_each_other_as_in_the_trace(make_job, planned):
    """Two sub-agents begin after the first call, and the last call waits for both; prompts hold the trace's blocks."""
    agents = [{"t": 0.01, "id": name, "requests": [request(0.01, (1, k))]} for name, k in (("a", 5), ("b", 6))]
    last = request(0.02, (1, 2, 3), kinds=("tool_result",))
    file = planned(session(request(0.0, (1, 2), "tool_use"), *agents, last), window=WINDOW)
    with serving(answering) as server:
        run, final = play(make_job(openai(server), window=WINDOW, replay_file=file), stop_after(4))
    assert final["faults"] == []
    prompts = [orjson.loads(body)["prompt"] for _, _, body in server.requests]
    assert [len(prompt) for prompt in prompts] == [69, 69, 69, 101]
    assert prompts[1][:BLOCK] == prompts[2][:BLOCK] == prompts[0][:BLOCK]
    assert prompts[3][: 2 * BLOCK] == prompts[0][: 2 * BLOCK]
    turns = run.turns.sort_values("intended_start_s")
    assert set(turns["interaction_id"]) == {"s0-0"}
    assert turns["intended_start_s"].iloc[3] >= (turns["intended_start_s"] + turns["e2e_s"]).iloc[1:3].max()
    assert not turns["began_before"].any()


def test_a_failed_call_ends_its_session_and_no_other(make_job, planned):
    def failing(path, headers, body):
        if len(orjson.loads(body)["prompt"]) == 69:
            return [(0.0, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")]
        return answering(path, headers, body)

    file = planned(
        session(request(0.0, (1, 2)), request(0.01, (1, 2, 3))),
        session(request(0.0, (4,)), request(0.01, (4, 5, 6)), name="t"), window=WINDOW,
    )  # fmt: skip
    with serving(failing) as server:
        run, final = play(make_job(openai(server), window=WINDOW, replay_file=file), stop_after(3))
    assert final["faults"] == []
    assert run.turns.groupby("session_id")["status"].agg(list).to_dict() == {"s0": ["http_error"], "s1": ["ok", "ok"]}


def test_sessions_that_began_before_are_marked(make_job, planned):
    file = planned(session(request(0.0, (1,)), request(1.0, (1, 2))), window=(0.9, 1.2))
    with serving(answering) as server:
        run, _ = play(make_job(openai(server), window=(0.9, 1.2), replay_file=file))
    assert run.turns["began_before"].tolist() == [True]
    assert [len(orjson.loads(body)["prompt"]) for _, _, body in server.requests] == [69]


def test_the_targets_own_answer_goes_into_the_next_prompt(make_job, planned):
    """The three token ids of the first answer stand where the first prompt ended."""
    file = planned(session(request(0.0, (1,)), request(0.01, (1, 2))), window=WINDOW, live_output=True)
    with serving(answering) as server:
        play(make_job(openai(server), window=WINDOW, replay_file=file), stop_after(2))
    second = orjson.loads(server.requests[1][2])["prompt"]
    assert second[37:40] == [7, 8, 9]


def test_an_assistant_gets_a_message_a_turn(make_job, planned):
    """Its calls are its own: the second turn waits for the first answer, in the same conversation."""
    file = planned(session(request(0.0, (1,), "tool_use"), request(0.0, (1, 2), kinds=("tool_result",)),
                           request(0.02, (1, 2, 3))), window=WINDOW, by_call=False)  # fmt: skip
    with serving(assistant(lambda: streamed(assistant_events()))) as server:
        job = make_job(TargetSpec("assistant", server.url), window=WINDOW, replay_file=file)
        run, final = play(job, stop_after(2))
    assert final["faults"] == []
    assert run.turns[["interaction_id", "turn_index"]].to_numpy().tolist() == [["s0-0", 0], ["s0-0", 1]]


@pytest.fixture
def emulator(tmp_path):
    """An emulated engine of one replica whose prefix cache holds 24 blocks of 32 tokens."""
    quick = {"a": 0.001, "b": 1e-6, "c": 1e-6}
    engine = {"replicas": 1, "block_tokens": BLOCK, "prefix_cache_blocks": CACHE_BLOCKS, "ttft_overhead_s": 0.0}
    profiles = {"custom-8b/trn2": {"step": quick, "engine": engine}}
    (tmp_path / "profiles.yaml").write_text(dump_yaml({"schema": "peakday.emulator/1", "profiles": profiles}))
    (tmp_path / "talk.yaml").write_text(
        dump_yaml({"schema": "peakday.conversations/1", "answers": {}, "default": {"rounds": [], "answer_tokens": 3}})
    )
    data = {"conversations": str(tmp_path / "talk.yaml")}
    stack = {"schema": "peakday.stack/1", "seed": 1, "regions": ["us-east-1"], "data": data}
    stack["profiles"] = str(tmp_path / "profiles.yaml")
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    command = [sys.executable, "-m", "emulator", "--stack", str(tmp_path / "stack.json"), "--port", "0"]
    child = processes.start("emulator", command, folder=ROOT, watched=True, stdout=True)
    yield child.ready()["url"]
    child.stop()


def test_a_servers_prefix_hits_equal_the_exact_policys(make_job, planned, emulator):
    """Prompts that come back after others have filled the cache: what the engine read equals LRU of its size."""
    rng = np.random.default_rng(7)
    trunks = [tuple(range(100 * k, 100 * k + 10)) for k in range(4)]
    asked = [(*trunks[rng.integers(4)][: rng.integers(3, 11)], 1000 + k) for k in range(60)]
    requests = [request(0.005 * k, ids) for k, ids in enumerate(asked)]
    file = planned(session(*requests), window=WINDOW)
    target = TargetSpec("openai", f"{emulator}/v1", model="custom-8b")
    job = make_job(target, window=WINDOW, replay_file=file)
    run, final = play(job, stop_after(60))
    assert final["faults"] == []
    assert len(run.turns) == 60
    add_hits(job, job.folder, CACHE_BLOCKS * BLOCK, BLOCK)
    hits = load_run(job.folder).info.replay
    assert hits.measured == pytest.approx(hits.policies[f"lru:{CACHE_BLOCKS * BLOCK}"], abs=1e-12)
    assert 0.1 < hits.measured < hits.policies["infinite"] - 0.02


def test_a_trace_of_messages_gets_its_measured_hits_alone(make_job, planned):
    """An assistant's prompts are its own: no policy is run over them."""
    file = planned(session(request(0.0, (1,)), request(0.02, (1, 2))), window=WINDOW, by_call=False)
    with serving(assistant(lambda: streamed(assistant_events()))) as server:
        job = make_job(TargetSpec("assistant", server.url), window=WINDOW, replay_file=file)
        play(job, stop_after(2))
    add_hits(job, job.folder, None)
    hits = load_run(job.folder).info.replay
    assert (hits.sent, hits.calls, hits.policies) == (2, 2, {})
