"""`serve`: the pages of this folder on loopback, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from host.ports import listen
from peakday.console import Console
from peakday.errors import CommandError
from peakday.serve.app import application
from peakday.serve.desk import Desk
from peakday.serve.protection import Rules
from peakday.watch.watch import reader

PORT = 8787
STOP_WITHIN_S = 2
CONNECTIONS_MAX = 256
"""A reader's browser holds six; whoever holds more than these is answered 503."""


def stay_up(
    port: int,
    *,
    read_only: bool,
    names: Sequence[str],
    open_page: bool,
    console: Console,
    prometheus: str | None = None,
) -> None:
    """Serve the working directory's pages, say where, and wait.

    Raises:
        CommandError: names of a proxy without --read-only, or a Prometheus that is not owned.
        PortError: the port is taken.
    """
    if names and not read_only:
        raise CommandError("--behind names a proxy's host, and whoever reaches it: it needs --read-only")
    if prometheus is not None:
        reader(prometheus, None)  # refuses what is not loopback or owned, before anybody asks for a page
    with contextlib.closing(listen(port)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        desk = Desk.of(Path(), Rules(read_only=read_only, names=tuple(names)), prometheus or "")
        console.result(f"peakday serve  {url}", {"url": url, "read_only": read_only})
        console.say("ready; Ctrl-C stops it")
        if open_page:
            webbrowser.open(url)
        config = uvicorn.Config(
            application(desk),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            limit_concurrency=CONNECTIONS_MAX,
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
