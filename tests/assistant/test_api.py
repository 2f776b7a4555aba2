"""What a client of the HTTP API sees."""

import asyncio
import json

import pytest

from assistant.app import SLOW_READER_S, EventSink
from assistant.errors import ModelError

JSON = {"content-type": "application/json"}
TURN = {"interaction_id": "i1", "turn_index": 0, "message": "hi"}


@pytest.fixture
def signed_in(shop):
    """Headers of a session of c000001."""
    answer = shop.request("POST", "/v1/sessions", {"customer_id": "c000001"})
    return {"authorization": f"Bearer {answer_json(answer)['sessions'][0]['session_token']}"}


def answer_json(answer):
    return json.loads(answer.body)


def test_sessions_are_given_for_known_customers_on_loopback_only(shop):
    """Unknown customers are a 400 that names the field; other hosts get 403."""
    assert shop.request("POST", "/v1/sessions", {"customer_ids": ["c000001", "c000002"]}).status == 200
    unknown = shop.request("POST", "/v1/sessions", {"customer_id": "c999999"})
    assert (unknown.status, unknown.error["field"]) == (400, "customer_id")
    assert shop.request("POST", "/v1/sessions", {"customer_id": "c000001"}, client="10.0.0.9").status == 403


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Basic abc", "Bearer " + "A" * 44])
def test_a_turn_needs_a_session(shop, header):
    """Anything but a token of ours is 401."""
    assert shop.request("POST", "/v1/turns", TURN, {"authorization": header}).status == 401


def test_a_session_expires(shop, signed_in):
    """After its lifetime a token is 401."""
    shop.now_s += 13 * 3600
    assert shop.request("POST", "/v1/turns", TURN, signed_in).error["code"] == "session_expired"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"message": ""}, "message"),
        ({"message": 3}, "message"),
        ({"turn_index": -1}, "turn_index"),
        ({"turn_index": True}, "turn_index"),
        ({"interaction_id": "no spaces"}, "interaction_id"),
        ({"locale": "english"}, "locale"),
        ({"page": {"sku": "1"}}, "page"),
        ({"images": [{"format": "bmp", "data": "aGk="}]}, "images"),
        ({"confirm": {"token": "x"}}, "confirm"),
        ({"customer_id": "c000002"}, "customer_id"),
    ],
)
def test_a_bad_field_is_named(shop, signed_in, change, field):
    """400 with the field at fault; an account in the body is an unknown key."""
    answer = shop.request("POST", "/v1/turns", {**TURN, **change}, signed_in)
    assert (answer.status, answer.error["field"]) == (400, field)


def test_oversized_input_is_413(shop, signed_in):
    """A message beyond the limit is refused before any model is asked."""
    assert shop.request("POST", "/v1/turns", {**TURN, "message": "x" * 8001}, signed_in).status == 413


def test_a_body_that_is_no_json_is_400(shop, signed_in):
    """Broken JSON is said to be broken JSON."""
    assert shop.request("POST", "/v1/turns", b"{", signed_in).error["code"] == "bad_json"


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "ThrottlingException"), (429, "ModelNotReadyException"), (503, "ServiceUnavailableException")],
)
def test_a_model_s_refusal_is_passed_through_with_its_reason(make, status, code):
    """Before the stream begins, throttling and unavailability keep their status and name."""
    shop = make({"fallback": {"max_hops": 0}})
    answer = shop.turn("hi", ModelError(status, code, "because"))
    assert (answer.status, answer.error["code"]) == (status, code)
    assert "because" not in answer.error["message"]


def test_a_failure_in_mid_stream_is_an_error_event_and_the_end(shop):
    """After text was sent, the failure is the last event, behind the failed call's row."""
    answer = shop.turn("hi", ModelError(502, "ModelStreamErrorException", "broke", streaming=True))
    assert [name for name, _ in answer.events] == ["meta", "delta", "usage", "error"]
    assert answer.one("usage")["status"] == "stream_error"
    assert answer.one("error") == {
        "status": 502,
        "code": "ModelStreamErrorException",
        "message": "the assistant could not answer; please ask again",
    }


def test_answers_of_the_emulator_say_so(shop):
    """The header and meta repeat that an emulator answered."""
    answer = shop.turn()
    assert answer.headers["x-peakday-simulated"] == "1"
    assert answer.one("meta")["simulated"] is True


def test_the_trace_id_is_the_caller_s(shop):
    """A W3C traceparent is carried into meta; without one a new id is made."""
    headers = {**shop.signed_in(), "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    assert shop.request("POST", "/v1/turns", TURN, headers).one("meta")["trace_id"] == "a" * 32


def test_health_and_metrics_answer(shop):
    """/healthz is JSON; /metrics counts the turns that were answered."""
    shop.turn("hello")
    assert answer_json(shop.request("GET", "/healthz")) == {"ok": True, "simulated": True}
    text = shop.request("GET", "/metrics").body.decode()
    assert 'assistant_turns_total{complexity="simple",intent="product_search",status="ok"} 1.0' in text


def test_an_unknown_path_is_404(shop):
    """There is nothing else."""
    assert shop.request("GET", "/v2/turns").status == 404


def test_a_client_that_takes_no_bytes_is_dropped(shop):
    """Its turn is cancelled after the limit; a client that reads is left alone."""

    async def run():
        blocked, free = asyncio.Event(), asyncio.Event()

        async def stuck(message):
            if message["type"] == "http.response.body":
                blocked.set()
                await free.wait()

        async def never():
            await free.wait()

        body = json.dumps(TURN).encode()
        came = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            return came.pop(0) if came else await never()

        headers = [(name.encode(), value.encode()) for name, value in (shop.signed_in() | JSON).items()]
        scope = {"type": "http", "method": "POST", "path": "/v1/turns", "headers": headers, "client": ("127.0.0.1", 1)}
        served = asyncio.ensure_future(shop.app(scope, receive, stuck))
        await blocked.wait()
        shop.app.drop_slow_readers()
        await asyncio.sleep(0)
        assert not served.done()
        shop.clock_s += SLOW_READER_S + 0.1
        shop.app.drop_slow_readers()
        await asyncio.wait_for(served, 300)

    asyncio.run(run())
    assert b"assistant_slow_readers_dropped_total 1.0" in shop.metrics.text()
    assert shop.turn("still served").status == 200


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_delta_waits_only_for_a_slow_reader(cancelled):
    """Taken at once, or begun and finished later in order; `blocked_since_s` says so, and a cancelled wait is ended."""

    async def ask():
        free, written, ended = asyncio.Event(), [], []
        free.set()

        async def send(message):
            try:
                await free.wait()
            except asyncio.CancelledError:
                ended.append(True)
                raise
            written.append(message["body"])

        sink = EventSink(send, lambda: 1.0)
        assert sink.delta("a") is None
        assert (len(written), sink.blocked_since_s) == (1, None)
        free.clear()
        rest = asyncio.ensure_future(sink.delta("b"))
        await asyncio.sleep(0)
        assert (len(written), sink.blocked_since_s) == (1, 1.0)
        if cancelled:
            rest.cancel()
            await asyncio.wait((rest,))
        else:
            free.set()
            await rest
            assert sink.blocked_since_s is None
        return len(written), bool(ended), rest.cancelled()

    assert asyncio.run(ask()) == ((1, True, True) if cancelled else (2, False, False))
