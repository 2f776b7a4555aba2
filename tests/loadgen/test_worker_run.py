"""A worker against a real socket: every turn is accounted for, whatever the target does."""

from __future__ import annotations

import gc
import itertools

import pytest

from loadgen.analysis.totals import totals
from loadgen.job import TargetSpec
from loadgen.worker.streams import due_times_s
from tests.loadgen.server import (
    STREAM_END,
    STREAM_HEAD,
    assistant,
    assistant_events,
    chat_events,
    chunk,
    response,
    serving,
    streamed,
)
from tests.loadgen.worker_runs import ENDS, play, stop_after


def identity_holds(counters: dict[str, float], rows: int) -> bool:
    """asked = completed + failed + abandoned + censored + dropped, and each has a row."""
    return counters["asked"] == sum(counters[name] for name in ENDS) == rows


def test_an_assistants_turns_are_recorded_with_calls_and_tools(make_job):
    """Every turn has a row with intent, route, cost and times; every model call and tool its own."""
    with serving(assistant(lambda: streamed(assistant_events(), first_s=0.01))) as server:
        run, final = play(make_job(TargetSpec("assistant", server.url)))
    assert identity_holds(final["counters"], len(run.turns))
    assert final["faults"] == []
    assert set(run.turns["status"]) == {"ok"}
    assert len(run.calls) == 2 * len(run.turns) == 2 * len(run.tools)
    assert (run.turns["ttft_s"] >= 0.01).all()
    assert (run.turns["e2e_s"] >= run.turns["ttft_s"]).all()
    assert set(run.turns["intent"]) == {"deals"}
    assert final["supplies"] == {"bedrock": True}


def test_customers_are_signed_in_ahead_in_batches(make_job):
    """One request signs in all customers, and each turn bears its own customer's token."""
    with serving(assistant(lambda: streamed(assistant_events()))) as server:
        play(make_job(TargetSpec("assistant", server.url)))
    paths = [path for path, _, _ in server.requests]
    assert paths.count("/v1/sessions") == 1
    assert all(headers["authorization"].startswith("Bearer token-c") for _, headers, _ in server.requests[1:])


def test_later_turns_carry_the_conversation(make_job):
    """On an OpenAI target the second turn's messages hold the first question and its answer."""
    with serving(lambda *_: streamed(chat_events(3))) as server:
        run, final = play(make_job(TargetSpec("openai", server.url + "/v1", model="m")))
    assert final["faults"] == []
    assert run.turns["turn_index"].max() >= 1
    longest = max((body for path, _, body in server.requests), key=len)
    assert b'"role":"assistant","content":" w0 w1 w2"' in longest


def test_a_refused_connection_is_a_failed_turn(make_job):
    """Nothing listens: every turn ends as http_error with the reason, and none is lost."""
    run, final = play(make_job(TargetSpec("openai", "http://127.0.0.1:1/v1", model="m")))
    assert len(run.turns) > 0
    assert identity_holds(final["counters"], len(run.turns))
    assert set(run.turns["error_code"]) == {"connect_econnrefused"}
    assert final["faults"] == []


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (response(b'{"error":{"code":"Throttling"}}', "429 Too Many Requests"), "throttled", "429:Throttling"),
        (response(b'{"error":{"type":"overloaded"}}', "503 Service Unavailable"), "http_error", "503:overloaded"),
        (response(b"<html>no</html>", "500 Internal Server Error"), "http_error", "500"),
        (response(b"gzip", headers="Content-Encoding: gzip\r\n"), "http_error", "content_encoding_gzip"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "stream_error", "not_http"),
    ],
)  # fmt: skip
def test_an_error_answer_says_why(make_job, answer, status, code):
    """4xx and 5xx bodies, a compressed body nobody asked for, and bytes that are no HTTP all end with their reason."""
    with serving(lambda *_: [(0.0, answer)]) as server:
        run, final = play(make_job(TargetSpec("openai", server.url + "/v1", model="m")))
    assert identity_holds(final["counters"], len(run.turns))
    assert set(zip(run.turns["status"], run.turns["error_code"], strict=True)) == {(status, code)}


def test_a_stream_cut_in_the_middle_is_an_error_with_its_first_token(make_job):
    """An early close keeps what was seen: TTFT, chunks and the reason."""
    cut = [*streamed(chat_events(5))[:4], (0.0, b"")]
    with serving(lambda *_: cut) as server:
        run, final = play(make_job(TargetSpec("openai", server.url + "/v1", model="m")))
    assert identity_holds(final["counters"], len(run.turns))
    assert set(run.turns["error_code"]) == {"closed_early"}
    assert run.turns["ttft_s"].notna().all()


def test_a_head_and_a_first_token_of_one_segment_have_one_time(make_job):
    """Both are stamped when they were read: a byte never comes after the token it belongs to."""
    body = b"".join(map(chunk, chat_events(3)))
    with serving(lambda *_: [(0.0, STREAM_HEAD + body + STREAM_END)]) as server:
        run, _ = play(make_job(TargetSpec("openai", server.url + "/v1", model="m")))
    assert set(run.turns["status"]) == {"ok"}
    assert (run.turns["ttfb_s"] <= run.turns["ttft_s"]).all()


def plain(pieces, length):
    """The same events as a body without chunks, whose end is told by its length, or by closing."""
    told = f"Content-Length: {sum(map(len, pieces))}\r\n" if length else ""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{told}\r\n".encode()
    return [(0.0, head), *[(0.002, piece) for piece in pieces], *([] if length else [(0.0, b"")])]


@pytest.mark.parametrize("length", [True, False], ids=["by its length", "by closing"])
def test_a_plain_body_is_read_to_its_end(make_job, length):
    """However the end is told, every event is counted."""
    with serving(lambda *_: plain(chat_events(4), length)) as server:
        run, final = play(make_job(TargetSpec("openai", server.url + "/v1", model="m")))
    assert identity_holds(final["counters"], len(run.turns))
    assert final["faults"] == []
    assert set(run.turns["status"]) == {"ok"}
    assert set(run.turns["chunks"]) == {4}


def test_a_closed_loop_starts_at_t0(make_job):
    """Users wait for the common start like arrivals do."""
    with serving(lambda *_: streamed(chat_events(2))) as server:
        job = make_job(TargetSpec("openai", server.url + "/v1", model="m"), closed_loop_users=3, for_s=60.0)
        run, final = play(job, stop_after(10))
    assert identity_holds(final["counters"], len(run.turns))
    assert len(run.turns) > 3
    assert run.turns["intended_start_s"].min() >= 0


def test_a_user_of_a_closed_loop_who_thinks_beyond_the_end_starts_nothing_else(make_job):
    """Four users, two turns each, minutes of thought between them: in one minute each is sent once."""
    two = {"mean": 2.0, "max": 2}
    think = {"mix": {"think_s": {"median": 300.0, "cv": 0.01, "max": 600.0}, "turns_per_interaction": two}}
    with serving(lambda *_: streamed(chat_events(2))) as server:
        target = TargetSpec("openai", server.url + "/v1", model="m")
        run, _ = play(make_job(target, scenario=think, closed_loop_users=4, for_s=60.0), stop_after(4))
    assert len(run.turns) == 4


def test_impatient_customers_leave_and_are_counted(make_job):
    """A turn without a first token by the customer's patience is abandoned at the time waited, and ends the session."""
    patience = {"mix": {"patience_s": {"median": 0.1, "cv": 0.01}}}
    with serving(assistant(lambda: streamed(assistant_events(), first_s=30.0))) as server:
        run, final = play(make_job(TargetSpec("assistant", server.url), scenario=patience))
    assert identity_holds(final["counters"], len(run.turns))
    assert set(run.turns["status"]) == {"abandoned"}
    stood_still_s = run.generator["heartbeat_late_s_max"].max()
    assert run.turns["e2e_s"].between(0.09, 0.2 + stood_still_s).all()


def test_what_is_in_flight_at_the_end_is_censored(make_job):
    """When the drain is over, open turns end as censored at the time waited."""
    slow = {"load": {"drain_s": 0.1}}
    with serving(assistant(lambda: streamed(assistant_events(), first_s=30.0))) as server:
        run, final = play(make_job(TargetSpec("assistant", server.url), scenario=slow))
    assert identity_holds(final["counters"], len(run.turns))
    assert set(run.turns["status"]) == {"censored"}


def test_turns_over_the_cap_are_dropped_not_delayed(make_job):
    """The cap never makes a turn wait: it is recorded as dropped, and the others are sent on time."""
    capped = {"load": {"in_flight_max": 3, "drain_s": 0.1}}
    with serving(assistant(lambda: streamed(assistant_events(), first_s=30.0))) as server:
        run, final = play(make_job(TargetSpec("assistant", server.url), scenario=capped))
    assert identity_holds(final["counters"], len(run.turns))
    assert final["counters"]["censored"] == 3
    assert set(run.turns.query("status == 'dropped'")["error_code"]) == {"in_flight_cap"}
    assert totals(run, 0.5, {}).error_ratio == pytest.approx(run.turns["status"].eq("dropped").mean())


def test_a_silent_server_runs_into_the_timeout(make_job):
    """A turn that takes longer than its limit ends as timeout."""
    short = {"load": {"turn_timeout_s": 0.1}}
    with serving(assistant(lambda: [(30.0, b"x")])) as server:
        run, final = play(make_job(TargetSpec("assistant", server.url), scenario=short))
    assert identity_holds(final["counters"], len(run.turns))
    assert set(run.turns["status"]) == {"timeout"}


def test_a_frozen_server_does_not_delay_the_schedule(make_job):
    """Open loop: the generator starts every turn although nothing is answered; a loop that waits would take 30 s."""
    with serving(assistant(lambda: [(30.0, b"x")])) as server:
        run, _ = play(
            make_job(TargetSpec("assistant", server.url), scenario={"load": {"drain_s": 0.0}}, rate_per_s=100.0)
        )
    assert len(run.turns) > 20
    assert run.turns["start_lag_s"].max() < 15.0


def test_an_exception_in_a_callback_ends_its_turn_and_is_reported(make_job, monkeypatch):
    """No turn is lost to an error of ours: it says so, and the snapshot carries what voids the run."""
    from loadgen.targets.assistant import AssistantAnswer

    def broken(*_):
        raise KeyError("reader")

    monkeypatch.setattr(AssistantAnswer, "read", broken)
    with serving(assistant(lambda: streamed(assistant_events()))) as server:
        run, final = play(make_job(TargetSpec("assistant", server.url)))
    assert identity_holds(final["counters"], len(run.turns))
    assert set(run.turns["error_code"]) == {"callback_exception"}
    assert final["faults"][0].startswith("KeyError")


def test_the_next_connection_is_made_without_blocking_when_the_pool_is_dry(make_job):
    """More turns at once than warm connections: each gets one, none is lost."""

    def drain_pools(one):
        for pool in one._pools.values():
            pool.close()

    with serving(assistant(lambda: streamed(assistant_events(), first_s=0.2))) as server:
        run, final = play(make_job(TargetSpec("assistant", server.url), rate_per_s=100.0), drain_pools)
    assert identity_holds(final["counters"], len(run.turns))
    assert set(run.turns["status"]) == {"ok"}
    assert server.connections > 8


def test_a_long_request_is_sent_in_parts(make_job):
    """A prompt larger than the socket's buffer waits on a write watcher and arrives whole."""
    with serving(lambda *_: streamed(chat_events(2))) as server:
        job = make_job(TargetSpec("openai", server.url + "/v1", model="m"))
        text = "x" * 4_000_000

        def lengthen(one):
            for message in one._early[0][1].target._shared.messages.values():
                message["text"] = text

        run, _ = play(make_job(job.targets[0], for_s=0.1, rate_per_s=20.0), lengthen)
    assert set(run.turns["status"]) == {"ok"}
    assert all(len(body) > 4_000_000 for path, _, body in server.requests)


def test_background_streams_run_beside_the_chat(make_job):
    """Planner queries are sent at their own rate, counted as events and never as turns."""
    background = {"demand": {"background": {"planner_queries": {"peak_per_s": 60, "output_tokens": 2}}}}

    def answer(path, headers, body):
        if b'"model":"planner"' in body:
            return [(0.005, response(b'{"choices":[]}'))]
        return streamed(chat_events(2))

    with serving(answer) as server:
        url = server.url + "/v1"
        job = make_job(TargetSpec("openai", url, model="m"), scenario=background, planner_url=url, for_s=1.0)
        run, _ = play(job)
    assert len(run.events) == len(due_times_s(job, "planner_queries")) > 30
    answered = run.events[run.events["status"] != "censored"]  # the run's end waits for no background
    assert set(answered["status"]) == {"ok"}
    assert (answered["delay_s"] >= 0.005).all()
    assert not run.turns.empty


def test_tls_streams_are_read_like_plain_ones(make_job, certificate, monkeypatch):
    """A trusted certificate: every turn is answered, and connections are kept alive."""
    context, file = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with serving(lambda *_: streamed(chat_events(4), gap_s=0.002), context) as server:
        run, final = play(make_job(TargetSpec("openai", f"https://localhost:{server.port}/v1", model="m")))
    assert final["faults"] == []
    assert set(run.turns["status"]) == {"ok"}
    assert set(run.turns["chunks"]) == {4}


def test_an_untrusted_certificate_ends_the_turn(make_job, certificate):
    """Nobody vouches for it: each turn says so, and the run is not void."""
    context, _ = certificate
    with serving(lambda *_: streamed(chat_events(4)), context) as server:
        run, final = play(make_job(TargetSpec("openai", f"https://localhost:{server.port}/v1", model="m")))
    assert final["faults"] == []
    assert identity_holds(final["counters"], len(run.turns))
    assert not run.turns["status"].eq("ok").any()
    assert "tls_certificate_verify_failed" in set(run.turns["error_code"])


def test_texts_are_kept_only_when_asked_for(make_job, tmp_path):
    """Without --keep-text no question and no answer reaches the record; with it every turn has both."""
    for keep in (False, True):
        with serving(assistant(lambda: streamed(assistant_events(3)))) as server:
            folder = str(tmp_path / f"keep-{keep}")
            run, _ = play(make_job(TargetSpec("assistant", server.url), run_dir=folder, keep_text=keep))
        assert len(run.texts) == (len(run.turns) if keep else 0)
    assert set(run.texts["answer"]) == {" w0 w1 w2"}
    assert run.texts["question"].str.startswith("is there a deal").all()


def test_no_turn_is_lost_to_a_target_that_does_everything_wrong(make_job):
    """Answers, refusals, cut and malformed streams, silence and compression in turn: all are counted, none is ours."""
    answers = itertools.cycle(
        [
            streamed(assistant_events()),
            [*streamed(assistant_events())[:4], (0.0, b"")],
            [(0.0, response(b"{}", "503 Service Unavailable"))],
            [(0.0, b"")],
            streamed([b"event: meta\ndata: {broken\n\n"]),
            streamed([b"event: meta\ndata: [1]\n\n"]),
            [(0.0, response(b"x", headers="Content-Encoding: br\r\n"))],
            [(30.0, b"late")],
            [(0.0, b"HTTP/1.1 200 OK\r\nContent-Length: oops\r\n\r\n")],
            [(0.0, response(b"{}", "429 Too Many Requests", "Connection: close\r\n")), (0.0, b"")],
        ]
    )
    short = {"load": {"turn_timeout_s": 0.3}}
    with serving(assistant(lambda: next(answers))) as server:
        run, final = play(make_job(TargetSpec("assistant", server.url), scenario=short, rate_per_s=150.0))
    assert identity_holds(final["counters"], len(run.turns))
    assert final["faults"] == []
    assert {"ok", "http_error", "stream_error", "throttled", "timeout"} <= set(run.turns["status"])


def test_no_collection_of_garbage_falls_into_a_run(make_job):
    """The collector rests from the preparation to the end of the run, and works again afterwards."""
    resting = []
    with serving(lambda *_: streamed(chat_events(2))) as server:
        job = make_job(TargetSpec("openai", f"{server.url}/v1", model="m"))
        play(job, lambda _: resting.append(gc.isenabled()))
    assert resting == [False]
    assert gc.isenabled()
