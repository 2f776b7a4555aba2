"""The control endpoint: start the clock of faults, change profiles, quotas and faults, reset, and read the truth."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson

from emulator.calls import TRUTH_COLUMNS
from emulator.faults import Fault, fault_from
from emulator.http.connection import Exchange, Request, Response, json_response
from emulator.models import Emulator
from emulator.profiles import ProfileError
from facts.stack import Grant
from host.browsers import is_json
from host.control_token import HEADER, matches
from host.processes import scheduling

Posted = dict[str, Any]
"""The JSON of a request: what is of another kind fails where it is used, and is answered with 400."""
UseProfile = Callable[[str, Posted], None]
"""(model key, groups to lay over its profile): serve by the result from the next request on."""


class Control:
    """Answers requests under /control and /truth. It exists on loopback only, as the whole process does."""

    def __init__(self, emulator: Emulator, use_profile: UseProfile, token: str | None = None) -> None:
        self._emulator = emulator
        self._token = token
        self._use_profile = use_profile
        self._posts: dict[str, Callable[..., dict[str, object]]] = {
            "/control/t0": self._t0,
            "/control/reset": self._reset,
            "/control/clock": self._clock,
            "/control/quotas": self._quotas,
            "/control/faults": self._faults,
            "/control/profiles": self._profiles,
            "/control/credentials": self._credentials,
        }

    def handle(self, request: Request, connection: Exchange) -> Response:
        """Answer one request of who has the stack's token."""
        if not matches(self._token, request.headers.get(HEADER.lower())):
            return json_response(403, {"message": f"send this stack's token as {HEADER}; `peakday up` names it"})
        if request.path == "/truth":
            return _truth(self._emulator, request.query)
        if request.method == "GET":
            return self._read(request.path)
        action = self._posts.get(request.path)
        if action is not None and not is_json(request.headers.get("content-type")):
            return json_response(415, {"message": "send JSON, with Content-Type: application/json"})
        if action is None:
            return json_response(404, {"message": f"no such control; known: {', '.join(self._posts)}"})
        try:
            return json_response(200, action(orjson.loads(request.body or b"{}")))
        except (orjson.JSONDecodeError, ValueError, TypeError, KeyError, AttributeError, ProfileError) as error:
            return json_response(400, {"message": str(error)})

    def _read(self, path: str) -> Response:
        if path == "/control/lateness":
            return json_response(200, self._emulator.lateness.as_json() | {"scheduling": scheduling()})
        if path == "/control/quotas":
            return json_response(200, {"windows": self._emulator.quotas.in_use()})
        if path == "/control/faults":
            faults = self._emulator.faults
            return json_response(200, {"t0_s": faults.t0_s, "faults": [asdict(fault) for fault in faults.faults]})
        return json_response(404, {"message": "readable: /control/lateness, /control/quotas, /control/faults"})

    def _t0(self, body: Posted) -> dict[str, object]:
        """{"in_s": 0}: faults count from that many seconds from now; lateness is measured afresh."""
        in_s = float(body.get("in_s", 0.0))
        if not math.isfinite(in_s):
            raise ValueError(f"in_s is {in_s}, expected seconds")
        t0_s = time.monotonic() + in_s
        self._emulator.faults.change(t0_s=t0_s)
        self._emulator.lateness.reset()
        self._schedule_moments()
        return {"t0_s": t0_s}

    def _reset(self, body: Posted) -> dict[str, object]:
        """{"what": ["cache", "quotas", "lateness", "truth"]}; all of them when not said."""
        resets: dict[str, Callable[[], None]] = {
            "cache": self._emulator.clear_caches,
            "quotas": self._emulator.quotas.clear,
            "lateness": self._emulator.lateness.reset,
            "truth": self._emulator.truth.clear,
        }
        what = body.get("what", list(resets))
        for name in what:
            if name not in resets:
                raise ValueError(f"what: {name!r} is unknown; known: {', '.join(resets)}")
        for name in what:
            resets[name]()
        return {"reset": what}

    def _clock(self, body: Posted) -> dict[str, object]:
        """{"advance_s": 301}: prompt caches age by so much at once; nothing else moves."""
        advance_s = float(body["advance_s"])
        if not (math.isfinite(advance_s) and advance_s >= 0):
            raise ValueError(f"advance_s is {advance_s}, expected seconds >= 0")
        self._emulator.age_caches(advance_s)
        return {"advance_s": advance_s}

    def _quotas(self, body: dict[str, Posted]) -> dict[str, object]:
        """{model key or "account": {"tpm", "tpd", "rpm", …}}: replaces every granted value."""
        limits = {model: Grant(**kinds) for model, kinds in body.items()}
        self._emulator.quotas.set_limits(limits)
        return {"models": sorted(limits)}

    def _faults(self, body: list[Posted]) -> dict[str, object]:
        """A list of faults as in a scenario, `at_s` counted from t0; t0 is now when it was never set."""
        plan = self._emulator.faults
        plan.change(faults=[fault_from(raw) for raw in body], t0_s=time.monotonic() if plan.t0_s is None else None)
        self._schedule_moments()
        return {"faults": len(body)}

    def _profiles(self, body: dict[str, Posted]) -> dict[str, object]:
        """{model key: groups of profiles.yaml to lay over its profile}."""
        for model, groups in body.items():
            self._use_profile(model, groups)
        return {"models": sorted(body)}

    def _credentials(self, body: dict[str, str]) -> dict[str, object]:
        """{access key: secret}: verify signatures from now on; {} stops it."""
        self._emulator.secrets = {str(key): str(secret) for key, secret in body.items()}
        return {"verified": bool(body)}

    def _schedule_moments(self) -> None:
        """Faults that are a moment and no share of calls: freezes, and caches that go cold."""
        plan = self._emulator.faults
        if plan.t0_s is None:
            return
        for fault in plan.faults:
            start_s = plan.t0_s + fault.at_s
            if fault.kind in ("freeze", "cold_cache") and time.monotonic() < start_s + fault.length_s:
                self._emulator.pacer.at(start_s, _Moment(self._emulator, fault))


class _Moment:
    """The start of a fault that concerns the whole process; void once the timetable has changed."""

    def __init__(self, emulator: Emulator, fault: Fault) -> None:
        self._emulator, self._fault = emulator, fault
        self._version = emulator.faults.version

    def __call__(self, due_s: float) -> None:
        if self._version != self._emulator.faults.version:
            return
        if self._fault.kind == "cold_cache":
            self._emulator.clear_caches(self._fault.model, self._fault.region)
        else:
            time.sleep(self._fault.delay_s or self._fault.length_s)


def _truth(emulator: Emulator, query: str) -> Response:
    """What was truly sent and when, newest last; ?last=N for the last N requests."""
    rows = list(emulator.truth)
    if query.startswith("last=") and query[5:].isdigit():
        rows = rows[-int(query[5:]) :] if int(query[5:]) else []
    requests = [dict(zip(TRUTH_COLUMNS, row, strict=True)) for row in rows]
    return json_response(200, {"clock": "CLOCK_MONOTONIC", "now_s": time.monotonic(), "requests": requests})
