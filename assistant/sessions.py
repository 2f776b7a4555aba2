"""Session tokens: the account a request acts for. Stateless, sealed, and the only source of the account."""

from __future__ import annotations

import base64
import hmac

from assistant.errors import RequestError

LIFETIME_S = 12 * 3600


class Sessions:
    """Issues and checks session tokens."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, customer_id: str, now_s: float) -> str:
        """A token for a customer."""
        body = f"{int(now_s) + LIFETIME_S}:{customer_id}".encode()
        return base64.urlsafe_b64encode(self._seal(body) + body).decode()

    def customer_id(self, authorization: str | None, now_s: float) -> str:
        """The customer of an `Authorization: Bearer TOKEN` header.

        Raises:
            RequestError: 401 when it is missing, forged or expired.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise RequestError(401, "no_session", "a session token is required: POST /v1/sessions gives one")
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
            seal, body = raw[:16], raw[16:]
            if not hmac.compare_digest(seal, self._seal(body)):
                raise ValueError
        except ValueError:
            raise RequestError(401, "bad_session", "the session token is not one of ours") from None
        expires, _, customer_id = body.decode().partition(":")
        if now_s >= int(expires):
            raise RequestError(401, "session_expired", "the session token has expired; get a new one")
        return customer_id

    def _seal(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, "sha256")[:16]
