"""TLS over a socket that never blocks: bytes in, bytes out, no socket of its own."""

from __future__ import annotations

import ssl

_READ_BYTES = 65_536
UNTRUSTED = "if the authority that signed its certificate is your own, name that in SSL_CERT_FILE"


class TlsLayer:
    """One TLS session. Certificates are checked as the context says; ALPN asks for HTTP/1.1 alone.

    `closed`: the peer has said that nothing more comes. A connection that ends without may have been cut by anybody.
    """

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self.established = False
        self.closed = False

    def hello(self) -> bytes:
        """The first bytes to send."""
        self._handshake()
        return self._outgoing.read()

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Take bytes of the peer: (plain bytes, bytes to send back).

        Raises:
            ssl.SSLError: a certificate or a record that cannot be accepted.
        """
        self._incoming.write(data)
        if not self.established:
            self._handshake()
        plain = []
        while self.established:
            try:
                piece = self._session.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self.closed = True
                break
            plain.append(piece)
        return b"".join(plain), self._outgoing.read()

    def encrypt(self, data: bytes) -> bytes:
        """The bytes to send for plain ones."""
        self._session.write(data)
        return self._outgoing.read()

    def _handshake(self) -> None:
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.established = True


def default_context() -> ssl.SSLContext:
    """The system's authorities, or those of SSL_CERT_FILE; HTTP/1.1 by ALPN."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
