"""`/peak` on Locust's own web page: how the run stands; and the guard before everything that server answers.

Locust's page can start, stop and reset a run, and lets every site of the web read it. Here it can only be read, and by
pages of its own: a run belongs to the command that began it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from host.browsers import refusal
from loadgen.coordinator.status_line import line
from loadgen.live import Live

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
READS = ("GET", "HEAD")
CONTROLS = ("/swarm", "/stop", "/stats/reset", "/user", "/login")
"""Paths by which Locust's page changes a run or who may: taken out, whatever the method."""
NO_CONTROL = "a run is stopped by Ctrl-C where it was started; this page only shows it"


class WebApp(Protocol):
    """What is used of Flask."""

    wsgi_app: WSGIApplication

    def add_url_rule(self, rule: str, endpoint: str, view_func: Callable[[], object]) -> None:
        """Serve what the function returns."""


def add_page(app: WebApp, live: Callable[[], Live], length_s: float, page: str) -> None:
    """Add the page, where the job brings one, and its figures to a Flask application, and guard all of it."""

    def peak() -> str:
        return page

    def peak_live() -> dict[str, object]:
        state = live()
        return {"line": line(state, length_s) if state["elapsed_s"] else "waiting for the workers", "live": state}

    if page:
        app.add_url_rule("/peak", "peak", peak)
    app.add_url_rule("/peak/live", "peak_live", peak_live)
    app.wsgi_app = guarded(app.wsgi_app)


def guarded(app: WSGIApplication) -> WSGIApplication:
    """The same application, read by its own pages under a loopback name only: no control, no word to other origins."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        why = refusal(environ.get("HTTP_HOST"), environ.get("HTTP_ORIGIN"))
        path = "/" + str(environ.get("PATH_INFO", "")).strip("/")
        if why is None and (environ.get("REQUEST_METHOD") not in READS or path in CONTROLS):
            why = NO_CONTROL
        if why is not None:
            body = f"{why}\n".encode()
            headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
            start_response("403 Forbidden", headers)
            return [body]

        def begin(
            status: str, headers: list[tuple[str, str]], problem: ExcInfo | None = None
        ) -> Callable[[bytes], object]:
            own = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
            return start_response(status, own, problem)

        return app(environ, begin)

    return answer
