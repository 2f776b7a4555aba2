"""The command `peakday`: one app, verbs over files. Parses and calls; nothing heavy is imported before it is needed."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

from host.documentation import SITE_VARIABLE, page_of
from host.environment import peakday_version
from host.errors import Exit, PeakdayError
from host.redaction import keep_private
from peakday.commands import (
    assistant,
    aws,
    bench,
    cache,
    calibrate,
    check,
    plan,
    ready,
    records,
    run,
    scenario,
    serve,
    setup,
    stack,
    target,
    watch,
)
from peakday.commands.completion import PROGRAM, answer_a_shell
from peakday.commands.folder import folder_models
from peakday.errors import explain
from wire.text import Untrusted

app = typer.Typer(
    name="peakday",
    help="Rehearse a peak event against an LLM assistant, measure its silicon, and plan chips, cache and cost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


VERSION_HELP = "Print the version and exit."


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"peakday {peakday_version()}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", is_eager=True, callback=_show_version, help=VERSION_HELP)]


@app.callback()
def everything(context: typer.Context, version: Version = False) -> None:
    """Rehearse a peak event against an LLM assistant, measure its silicon, and plan chips, cache and cost."""
    # Help and what a shell reads at its start want no file of the folder, and a broken one must hide neither.
    if context.invoked_subcommand != "completion" and "--help" not in (context.obj or ()):
        context.with_resource(folder_models())


for family in (
    setup, scenario, stack, run, target, bench, calibrate, cache, plan, ready, records, serve, assistant, aws, check,
    watch,
):  # fmt: skip
    family.register(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code (docs/commands.md has the table)."""
    keep_private()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that this terminal cannot show ends no command
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a shell's background job leaves Ctrl-C to others
        signal.signal(signal.SIGINT, stop)
    answer_a_shell()
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        code = typer.main.get_command(app)(args=words, prog_name=PROGRAM, standalone_mode=False, obj=tuple(words))
    except KeyboardInterrupt:
        code = _fail("interrupted", Exit.INTERRUPTED)
    except typer.Abort:
        code = _fail("aborted", Exit.INTERRUPTED)
    except typer.TyperException as error:
        code = _no_command(error)
    except BrokenPipeError:
        # The reader of our output has gone: silence the interpreter's own flush of it at exit.
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115
        code = Exit.OK
    except Exception as error:
        known = ("interrupted", Exit.INTERRUPTED) if stop.came else explain(error)
        if known is None:
            raise
        code = _fail(*known)
        if sys.stderr.isatty() or SITE_VARIABLE in os.environ:  # whoever reads by machine gets the one line
            print(f"peakday: more: {page_of(getattr(error, 'page', PeakdayError.page))}", file=sys.stderr)
        for note in getattr(error, "__notes__", ()):  # the other problems of a file, each on a line of its own
            print(f"peakday: {Untrusted(note).terminal}", file=sys.stderr)
    if arguments is None:  # a process of its own, and all is cleaned up: a second Ctrl-C changes no exit code
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    sys.exit(int(code or 0))


def _fail(message: str, code: Exit) -> Exit:
    print(f"peakday: {Untrusted(message).terminal}", file=sys.stderr)
    return code


def _no_command(error: typer.TyperException) -> Exit:
    """Words that make no command: one line of what is wrong; where there are none, the help, as it stands."""
    context = getattr(error, "ctx", None)
    if context is not None and error.format_message() == context.get_help():
        print(context.get_help(), file=sys.stderr)
        return Exit.USAGE
    return _fail(_hint(error), Exit.USAGE)


def _hint(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    where = f"; see `{context.command_path} --help`" if context is not None else ""
    return error.format_message().rstrip(".") + where


class _Stop:
    """SIGTERM unwinds like Ctrl-C, so that every child is stopped.

    `came`: a library that was at work may raise an error of its own in place of the interrupt, as pydantic does.
    """

    def __init__(self) -> None:
        self.came = False

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt


if __name__ == "__main__":
    main()
