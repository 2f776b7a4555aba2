"""Locust's sockets between master and workers, with a seal on every message."""

from __future__ import annotations

import gevent
import zmq
import zmq.error
from locust.exception import RPCError
from locust.rpc import zmqrpc
from locust.rpc.protocol import Message

from loadgen.seal import TO_MASTER, TO_WORKER, Seal

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""The most that a worker may send at once: a report of its rows, every second."""


class _Sealed:
    """A message as Locust's sockets take it: something with a receiver and bytes."""

    def __init__(self, message: Message, way: bytes, worker: str, seal: Seal) -> None:
        self.node_id = message.node_id
        self._parts = (message, way, worker, seal)

    def serialize(self) -> bytes:
        """The sealed bytes; each attempt to send has a number of its own."""
        message, way, worker, seal = self._parts
        return seal.closed(way, worker, message.serialize())


def install(seal: Seal) -> None:
    """Give this process's runner sealed sockets; before it makes its own."""

    class Server(zmqrpc.Server):
        """The master's: strangers are dropped before a byte of theirs is read."""

        def __init__(self, host: str, port: int) -> None:
            zmqrpc.BaseSocket.__init__(self, zmq.ROUTER, self.ipv4_only(host, port))
            self.socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)  # holds for what is bound afterwards
            try:
                self.socket.bind(f"tcp://{host}:{port}")
            except zmq.error.ZMQError as error:
                raise RPCError(f"Socket bind failure: {error}") from error
            self.port = port

        def send_to_client(self, msg: Message) -> None:
            super().send_to_client(_Sealed(msg, TO_WORKER, msg.node_id, seal))

        def recv_from_client(self) -> tuple[str, Message]:
            while True:
                try:
                    parts = self.socket.recv_multipart()
                except zmq.error.ZMQError as error:
                    raise RPCError("ZMQ network broken") from error
                received = _from_worker(parts, seal)
                if received is not None:
                    return received
                gevent.sleep(0)  # a flood of theirs does not keep the master from its workers

    class Client(zmqrpc.Client):
        """A worker's."""

        def __init__(self, host: str, port: int, identity: str) -> None:
            super().__init__(host, port, identity)
            self._identity = identity

        def send(self, msg: Message) -> None:
            super().send(_Sealed(msg, TO_MASTER, self._identity, seal))

        def recv(self) -> Message:
            while True:
                try:
                    data = self.socket.recv()
                except zmq.error.ZMQError as error:
                    raise RPCError("ZMQ network broken") from error
                payload = seal.opened(TO_WORKER, self._identity, data)
                if payload is not None:
                    message: Message = Message.unserialize(payload)
                    return message
                gevent.sleep(0)

    zmqrpc.Server, zmqrpc.Client = Server, Client  # type: ignore[misc]


def _from_worker(parts: list[bytes], seal: Seal) -> tuple[str, Message] | None:
    """Who sent it, and what; None for a stranger's, which is counted."""
    try:
        name, sealed = parts
        worker = name.decode()
    except ValueError:  # more or fewer parts, or a name that is no text
        seal.refuse()
        return None
    payload = seal.opened(TO_MASTER, worker, sealed)
    if payload is None:
        return None
    message = Message.unserialize(payload)
    if message.node_id != worker:
        seal.refuse()
        return None
    return worker, message
