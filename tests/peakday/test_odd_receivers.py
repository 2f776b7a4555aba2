"""Receivers of spans that are slow, full, moved or none: the export ends, and says what they did not take."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import replace

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from facts.stack import Otlp
from host.fetch import fetch
from loadgen.run_info import write_info
from peakday.run.spans import export_run
from tests.dashboards.records import make_run
from wire.otlp import request_bytes, taken
from wire.spans import INTERNAL, Span

TURNS = 1_100
"""With the run's own span three requests."""
LATER = b"HTTP/1.1 %s\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n"


def answer(body=b"", status=b"200 OK"):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def partial(refused, words=""):
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = refused
    response.partial_success.error_message = words
    return answer(response.SerializeToString())


@contextlib.contextmanager
def receiver(*answers):
    """Answers request i with the i-th of these bytes, the last of them for good; None: with silence.

    Yields its address and a list with an item for each request.
    """
    listener, asked, silent = socket.create_server(("127.0.0.1", 0)), [], []

    def serve():
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            said = answers[min(len(asked), len(answers) - 1)]
            asked.append(said)
            with contextlib.suppress(OSError):
                if said is None:
                    silent.append(link)
                    continue
                with link:
                    head, _, body = link.recv(65_536).partition(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                    while len(body) < length:
                        body += link.recv(65_536)
                    link.sendall(said)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for link in silent:
            link.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A record with a time of day."""
    run = make_run(tmp_path_factory.mktemp("run") / "one", TURNS)
    write_info(run.path, replace(run.info, t0_utc="2026-11-23T09:40:01+00:00"))
    return run.path


@pytest.mark.parametrize(
    ("answers", "requests", "sent", "words"),
    [
        ([answer()], 3, 1_101, ""),
        ([partial(12, "\x1b[2Jquota"), answer()], 3, 1_089, r" (\x1b[2Jquota)"),
        ([partial(10_000)], 3, 0, ""),
        ([partial(-10_000)], 3, 1_101, ""),
        ([answer(b"<html>sign in</html>")], 3, 1_101, "what it took is unknown"),
        ([LATER % (b"429 Slow down", b"0"), LATER % (b"503 Full", b"0"), answer()], 5, 1_101, ""),
        ([answer(), LATER % (b"503 Full", b"0")], 4, 512, "status 503"),
        ([answer(status=b"400 Bad"), answer()], 3, 589, "status 400"),
        ([answer(status=b"413 Too large")], 3, 0, "status 413"),
        ([b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"], 3, 0, "not followed"),
        ([answer(), b""], 4, 512, "closed connection"),
        ([answer(), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"], 4, 512, "cut short"),
        ([answer(), b"no HTTP\r\n\r\n"], 4, 512, "no http"),
        ([answer(), b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 2**25], 4, 512, "more than"),
        ([answer(), None], 4, 512, "no answer within"),
    ],
    ids=[
        "takes all", "refuses some", "refuses more than it got", "refuses less than none", "a page", "comes back",
        "stays full", "refuses one batch", "refuses all", "moved", "hangs up", "breaks off", "no HTTP", "floods",
        "never answers",
    ],
)  # fmt: skip
def test_whatever_a_receiver_does_the_export_ends_and_counts(monkeypatch, folder, answers, requests, sent, words):
    """One that takes nothing at three tries gets no more; one that refuses a batch for good gets the next one."""
    monkeypatch.setattr("host.fetch.PAUSE_S", 0.0)
    with receiver(*answers) as (url, asked):

        def patient(*words, within_s, **more):
            """Short of patience with silence alone: an answer may be slow on a busy machine."""
            silent = answers[min(len(asked), len(answers) - 1)] is None
            return fetch(*words, within_s=0.2 if silent else 60.0, **more)

        monkeypatch.setattr("wire.otlp.fetch", patient)
        line = export_run(folder, Otlp(url, ("127.0.0.1",)))
    assert line.startswith(f"--otlp: {sent:,} spans of the load generator sent, {TURNS + 1 - sent:,} dropped"), line
    assert words in line
    assert line.endswith(")") == bool(words)
    assert len(asked) == requests


def test_an_export_that_lasts_too_long_ends_and_says_so(monkeypatch, folder):
    """However slowly a receiver takes each batch."""
    monkeypatch.setattr("peakday.run.spans.EXPORT_WITHIN_S", -1.0)
    with receiver(answer()) as (url, asked):
        line = export_run(folder, Otlp(url, ("127.0.0.1",)))
    assert "0 spans of the load generator sent, 1,101 dropped (not all sent within" in line
    assert asked == []


@pytest.mark.parametrize("value", [2**70, -(2**63) - 1, "\ud800", float("nan"), float("inf"), True, ""])
def test_a_value_of_any_size_or_text_is_sent(value):
    """A counter beyond 64 bits or half a letter ends no thread."""
    assert request_bytes([Span("a", "a" * 32, "b" * 16, "", INTERNAL, 0, 1, {"x": value})], {})


def test_an_empty_answer_refuses_nothing():
    assert (taken(b"", 5).refused, taken(b"", 5).words) == (0, "")
