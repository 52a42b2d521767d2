"""The command line's one way in and one way out.

Whatever happens, the process ends through :func:`entry` with a code of :class:`~tlcheck.report.record.ExitCode`, and
with 0 only if a command returned it. click's own ``main`` is not used: it turns a command's ``return 1`` into 0 and
a broken pipe into 1, which here means REFUTED. A command's module is imported when it is asked for.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Final, NoReturn

import click

from tlcheck import __version__
from tlcheck.cli.commands import Commands
from tlcheck.cli.completion import COMPLETE_VARIABLE
from tlcheck.cli.output import unusable
from tlcheck.errors import InvalidInput
from tlcheck.report.record import ExitCode

EPILOG: Final = (
    "Exit codes of verify: 0 every claim CERTIFIED; 1 some claim REFUTED; 4 some claim UNPROVEN; "
    "3 some input INVALID; 2 usage; 70 a bug in tlcheck; 130 interrupted; 141 nobody read the output. "
    "Several files: the first that applies of 70, 3, 1, 4, 0."
)


@click.group(
    cls=Commands,
    epilog=EPILOG,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="tlcheck", message="%(prog)s %(version)s")
def cli() -> None:
    """Decide whether claims about neural networks are proved by their certificates."""


def entry() -> NoReturn:
    """Run the command line of this process and end it; a request to terminate is an interrupt."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    code = main(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the exit code stands, whatever comes now
    sys.exit(code)


def vnnlib_entry() -> NoReturn:
    """The command ``tlcheck-vnnlib``: ``tlcheck vnnlib`` by one path, as suites of the standard call a solver."""
    sys.argv[1:1] = ["vnnlib"]
    entry()


def _interrupt(*_: object) -> NoReturn:
    """The first interrupt unwinds; another one while it does ends the process (workers follow it)."""
    if _is_worker():  # that was told to end before it had its own handlers
        os._exit(ExitCode.INTERRUPTED)
    signal.signal(signal.SIGINT, _give_up)
    signal.signal(signal.SIGTERM, _give_up)
    raise KeyboardInterrupt


def _give_up(*_: object) -> NoReturn:
    if _is_worker():
        os._exit(ExitCode.INTERRUPTED)
    os.write(2, b"interrupted\n")
    os._exit(ExitCode.INTERRUPTED)


def _is_worker() -> bool:
    """This process was started by multiprocessing, which then is imported."""
    module = sys.modules.get("multiprocessing")
    return module is not None and module.parent_process() is not None


def main(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _discard_output()
        return ExitCode.BROKEN_PIPE
    except OSError as error:
        if (what := unusable(error)) is None:
            report_bug(error)
            return ExitCode.BUG
        if error.errno == errno.ENOSPC:
            _discard_output()
        _say(what)
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return ExitCode.INTERRUPTED
    except InvalidInput as error:
        _say(f"INVALID  {error.line()} [{error.code}]")
        return ExitCode.INVALID
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (Exception, SystemExit) as error:  # noqa: BLE001  (the last resort: a bug must exit 70)
        report_bug(error)
        return ExitCode.BUG


def report_bug(error: BaseException) -> None:
    """One line that asks for a report; the traceback only when TLCHECK_DEBUG is set."""
    if os.environ.get("TLCHECK_DEBUG"):
        traceback.print_exception(error)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    _say(f"BUG  tlcheck {__version__}: {what}; please report it with the input (TLCHECK_DEBUG=1 shows where)")


def _run(arguments: Sequence[str]) -> int:
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return int(shell_complete(cli, {}, "tlcheck", COMPLETE_VARIABLE, instruction))
    if not arguments:
        with click.Context(cli, info_name="tlcheck", **cli.context_settings) as context:
            click.echo(cli.get_help(context), err=True)
        return ExitCode.USAGE  # nothing was asked for, so nothing passed
    try:
        with cli.make_context("tlcheck", list(arguments)) as context:
            code = cli.invoke(context)
    except click.exceptions.Exit as exit_:  # --help and --version end so
        return exit_.exit_code
    if not isinstance(code, int) or isinstance(code, bool):
        raise TypeError(f"a command returned {code!r}, not an exit code")
    return code


def _say(line: str) -> None:
    from tlcheck.report.text import printable

    click.echo(printable(line), err=True)


def _discard_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush cannot fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
