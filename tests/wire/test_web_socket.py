"""Frames as a broken, an odd or a hostile server sends them: a message, a close with its code, or no WebSocket."""

import base64
import hashlib
import json
import re

import pytest

from wire.sse import SseParser
from wire.web_socket import MESSAGE_BYTES_MAX, Opening, SocketError, SocketReader

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
HEAD = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{more}\r\n"
EURO = json.dumps({"delta": "5 €"}, ensure_ascii=False).encode()
CUT = EURO.index("€".encode()) + 1
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


def frame(data: bytes, kind: int = TEXT, *, last: bool = True, reserved: int = 0, length: int | None = None) -> bytes:
    """One frame of a server, its length as its own or as it lies about it."""
    size = len(data) if length is None else length
    if size < 126:
        announced = bytes([size])
    else:
        announced = bytes([126]) + size.to_bytes(2) if size < 65_536 else bytes([127]) + size.to_bytes(8)
    return bytes([(0x80 if last else 0) | reserved << 4 | kind]) + announced + data


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(code.to_bytes(2) + reason, CLOSE)


def opened(head: str = HEAD, more: str = "") -> SocketReader:
    """A socket whose handshake this head answers."""
    reader = SocketReader()
    asked = reader.open(Opening("127.0.0.1", "/chat", {}), ())
    (key,) = re.findall(rb"(?i)sec-websocket-key: (\S+)", asked)
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
    reader.feed(head.format(accept=accept, more=more).encode())
    return reader


def messages(reader: SocketReader) -> list[bytes]:
    return [event.data for event in SseParser().feed(b"".join(reader.body))]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (frame(EURO[:CUT], last=False) + frame(EURO[CUT:], 0), [EURO]),
        (frame(EURO[:CUT], last=False) + frame(b"hi", PING) + frame(EURO[CUT:], 0), [EURO]),
        (b"".join(frame(EURO[n : n + 1], 0 if n else TEXT, last=n == len(EURO) - 1) for n in range(len(EURO))), [EURO]),
        (frame(b'{\r\n"delta":\r1\n}'), [b'{\n"delta":\n1\n}']),
        (frame(b"a\r\rb"), [b"a\n\nb"]),
        (frame(EURO, BINARY), [EURO]),
        (frame(b"\xff\xfe", BINARY), [b"\xff\xfe"]),
        (frame(b"data: x\n\n"), [b"data: x\n\n"]),
        (frame(b"", last=False) + frame(b"", 0) + frame(b"x"), [b"", b"x"]),
        (frame(b"p" * 125, PING) * 500 + frame(b"x"), [b"x"]),
        (frame(b"[" * 900 + b"]" * 900), [b"[" * 900 + b"]" * 900]),
    ],
    ids=["a letter in two frames", "a ping between", "a frame a byte", "JSON with CR", "CR CR", "binary", "no text",
         "an event in a message", "nothing", "pings", "deep"],
)  # fmt: skip
def test_a_message_is_an_event_however_it_was_cut(sent, expected):
    """Fragments, control frames between them, and the line ends of JSON's white space."""
    whole, piecemeal = opened(), opened()
    whole.feed(sent)
    for at in range(0, len(sent), 7):
        piecemeal.feed(sent[at : at + 7])
    assert messages(whole) == messages(piecemeal) == expected


@pytest.mark.parametrize(
    "sent",
    [
        frame(b'{"delta":"\xff"}'), frame(EURO[:CUT], last=False) + frame(b"x", 0), frame(b"x", reserved=4),
        frame(b"x", 3), frame(b"x", 0), frame(b"x", last=False) + frame(b"y"), frame(b"p" * 126, PING),
        frame(b"p", PING, last=False), frame(b"", length=1 << 63), b"\x81\x81\1\2\3\4x", closing(1006), closing(999),
        closing(1005), frame(b"\x03", CLOSE), closing(1011, b"\xff"),
        frame(b"a" * (MESSAGE_BYTES_MAX // 2 + 1), last=False) + frame(b"b" * (MESSAGE_BYTES_MAX // 2 + 1), 0),
    ],
    ids=["no UTF-8", "half a letter", "a reserved bit", "an unknown kind", "a rest of nothing", "a message in another",
         "a long ping", "a cut ping", "2^63 bytes", "a mask", "1006", "999", "1005", "half a code",
         "a reason of no text", "too long in parts"],
)  # fmt: skip
def test_what_the_standard_forbids_is_no_web_socket_and_no_close_of_the_server_s(sent):
    """It closed nothing: its turn is malformed, with the reason, and no close code stands in its name."""
    reader = opened()
    with pytest.raises(SocketError, match=r"\w"):
        reader.feed(sent)
    assert reader.closed is None


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [(closing(4999, b"\x1b]0;x\x07 quota"), 4999, "\x1b]0;x\x07 quota"), (closing(1013), 1013, ""),
     (frame(b"", CLOSE), 1005, ""), (closing(1000) + frame(b"late"), 1000, "")],
    ids=["its own", "try later", "none", "words after it"],
)  # fmt: skip
def test_a_close_has_the_server_s_code(sent, code, reason):
    reader = opened()
    reader.feed(sent)
    assert (reader.closed, reader.reason, messages(reader)) == (code, reason, [])
    assert reader.complete
    assert not reader.keep_alive


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace("{accept}", "AAAA"), HEAD.replace("Upgrade: websocket\r\n", ""), "\0SSH-2.0-x\r\n\r\n",
        HEAD.replace("{more}", "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        HEAD.replace("{more}", "Sec-WebSocket-Protocol: another\r\n"), HEAD.replace("{more}", "X: " + "y" * 1_000_000),
        HEAD.replace("HTTP/1.1", "http/1.1"),
    ],
    ids=["another key", "no upgrade", "SSH", "an extension", "a protocol", "an endless head", "small letters"],
)  # fmt: skip
def test_a_handshake_that_is_none_is_refused(head):
    with pytest.raises(SocketError):
        opened(head)


@pytest.mark.parametrize(
    "head",
    ["HTTP/1.1 100 Continue\r\n\r\n" + HEAD, HEAD.replace("HTTP/1.1", "HTTP/1.0"),
     HEAD.replace("Upgrade: w", "upgrade: W").replace("Connection: Upgrade", "connection: keep-alive, upgrade")],
    ids=["after a hint", "1.0", "other capitals"],
)  # fmt: skip
def test_a_handshake_may_be_worded_otherwise(head):
    reader = opened(head)
    reader.feed(frame(b"x"))
    assert messages(reader) == [b"x"]


@pytest.mark.parametrize(("status", "body"), [(302, b""), (401, b"no"), (200, b"<html>")])
def test_a_refused_handshake_is_its_status(status, body):
    """No redirect is followed: the answer is the turn's error."""
    reader = opened(
        f"HTTP/1.1 {status} X\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: {len(body)}\r\n\r\n{body.decode()}"
    )
    assert (reader.status, reader.complete, reader.opened) == (status, True, True)
