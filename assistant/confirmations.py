"""Confirmation tokens: what the customer agreed to, sealed, so that neither the model nor a client can alter it.

A token carries the account, the conversation, the tool with its resolved arguments (item, cap, quantity) and its
expiry, and an HMAC over all of it. Executing is idempotent by the token's own id; only what was declined is kept.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from assistant.errors import RequestError

LIFETIME_S = 600


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A checked token: the write to make, and the key under which it happens at most once."""

    tool: str
    arguments: Mapping[str, object]
    key: str


class Confirmations:
    """Issues and checks tokens. `secret` must be the same in every process behind one address."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._declined: dict[str, float] = {}

    def issue(
        self,
        customer_id: str,
        interaction_id: str,
        turn_index: int,
        tool: str,
        arguments: Mapping[str, object],
        now_s: float,
    ) -> str:
        """A token for one write, good for `LIFETIME_S` seconds."""
        claims = [customer_id, interaction_id, turn_index, tool, dict(arguments), int(now_s) + LIFETIME_S]
        body = orjson.dumps(claims, option=orjson.OPT_SORT_KEYS)
        return base64.urlsafe_b64encode(self._seal(body) + body).decode()

    def check(self, token: str, customer_id: str, interaction_id: str, now_s: float) -> Confirmed:
        """What the token allows.

        Raises:
            RequestError: forged, altered, expired, or issued to another account or conversation.
        """
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
        except ValueError:
            raise _refused("is not one of ours") from None
        seal, body = raw[:32], raw[32:]
        if not hmac.compare_digest(seal, self._seal(body)):
            raise _refused("is not one of ours")
        owner, conversation, turn_index, tool, arguments, expires_s = orjson.loads(body)
        if (owner, conversation) != (customer_id, interaction_id):
            raise _refused("was issued in another conversation")
        if now_s >= expires_s:
            raise _refused("has expired; ask for the action again")
        key = f"confirm:{owner}:{conversation}:{turn_index}:{seal.hex()}"
        if key in self._declined:
            raise _refused("was declined; ask for the action again")
        return Confirmed(tool, arguments, key)

    def decline(self, confirmed: Confirmed, now_s: float) -> None:
        """What was declined stays declined: its token is refused until it would have expired anyway.

        Kept by this process; behind an address with several, requests of one conversation belong to one of them.
        """
        self._declined = {key: until_s for key, until_s in self._declined.items() if until_s > now_s}
        self._declined[confirmed.key] = now_s + LIFETIME_S

    def _seal(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, "sha256")


def _refused(why: str) -> RequestError:
    return RequestError(400, "bad_confirmation", f"the confirmation token {why}", "confirm.token")
