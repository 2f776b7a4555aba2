"""Our pages: the templates, and the files they load. Every text is escaped; nothing comes from outside."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from dashboards.html.render import template_set
from host.documentation import page_of
from peakday.serve.desk import Desk

ASSETS = {
    "page.css": ("dashboards", "html/assets/page.css", "text/css"),
    "serve.css": ("peakday", "serve/assets/serve.css", "text/css"),
    "serve.js": ("peakday", "serve/assets/serve.js", "text/javascript"),
    "what_if.js": ("peakday", "serve/assets/what_if.js", "text/javascript"),
    "chat.js": ("peakday", "serve/assets/chat.js", "text/javascript"),
    "event.js": ("peakday", "serve/assets/event.js", "text/javascript"),
    "figures.js": ("peakday", "serve/assets/figures.js", "text/javascript"),
}
SECTIONS = (("/", "Home"), ("/what-if", "What if"), ("/event", "Event"), ("/day", "The day"), ("/chat", "Chat"))


def page(request: Request, name: str, status: int = 200, **values: object) -> HTMLResponse:
    """One of our templates, with what every page shows."""
    desk: Desk = request.app.state.desk
    common = {
        "sections": SECTIONS,
        "here": request.url.path,
        "token": "" if desk.read_only(request) else desk.rules.token,
        "read_only": desk.read_only(request),
        "folder": str(desk.base.resolve()),
    }
    return HTMLResponse(templates().get_template(name).render({**common, **values}), status)


def message(request: Request, title: str, text: str, status: int, about: str = "") -> HTMLResponse:
    """A page that says one thing: what went wrong, and what to do. about: the page of the documentation."""
    more = page_of(about) if about else ""
    return page(request, "message.html", status, title=title, text=text, more=more)


@cache
def templates() -> Environment:
    """Those of these pages, as the records' pages have theirs."""
    environment = template_set("peakday", "serve/templates")
    environment.globals["asset"] = asset_url
    return environment


def asset_url(name: str) -> str:
    """The address of a file, which changes with its content: a browser keeps it for good."""
    return f"/assets/{hashlib.sha256(_content(name)).hexdigest()[:12]}/{name}"


def asset(request: Request) -> Response:
    """A style or a script of ours."""
    name = request.path_params["name"]
    if name not in ASSETS:
        return Response("no such file", 404)
    kept = {"Cache-Control": "max-age=31536000, immutable"}
    return Response(_content(name), media_type=ASSETS[name][2], headers=kept)


@cache
def _content(name: str) -> bytes:
    package, path, _ = ASSETS[name]
    return files(package).joinpath(path).read_bytes()
