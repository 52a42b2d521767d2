"""``tlcheck verify``: which files, what options, one result per file, one report."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import click

from tlcheck import timer
from tlcheck.cli.output import Output, use_color
from tlcheck.cli.progress import progress_bar
from tlcheck.errors import InvalidInput
from tlcheck.options import (
    ARITHMETICS,
    DECIMALS,
    DEFAULT_PRECISION,
    MAX_PRECISION,
    MIN_PRECISION,
    SEMANTICS,
    Options,
)
from tlcheck.report.record import ExitCode, FileResult, Run, crashed, invalid

FORMATS: Final = ("text", "json", "jsonl", "junit", "sarif")
ANY_PATH: Final = click.Path(path_type=Path)


class ExactNumber(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A decimal, read exactly."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        from tlcheck.readers.decimals import parse_decimal

        try:
            return value if isinstance(value, Fraction) else parse_decimal(str(value))
        except InvalidInput as error:
            self.fail(error.line(), param, ctx)


EXACT: Final = ExactNumber()


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """How the report looks and where it goes."""

    format: str
    output: Path | None
    color: str
    verbose: bool
    quiet: bool


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=ANY_PATH)
@click.option(
    "--model", type=ANY_PATH, metavar="FILE", help="The network, where the certificate has no copy."
)
@click.option(
    "--property", type=ANY_PATH, metavar="FILE", help="The property, where the certificate has no copy."
)
@click.option(
    "--arith",
    type=click.Choice(ARITHMETICS),
    default="auto",
    show_default=True,
    help="auto: deciding passes in Arb, intermediate bounds in float64 where Arb is too slow; "
    "arb: Arb only; ball64: passes in float64 with proved error bounds, Arb for the last inequality.",
)
@click.option(
    "--precision",
    type=click.IntRange(MIN_PRECISION, MAX_PRECISION),
    default=DEFAULT_PRECISION,
    show_default=True,
    metavar="BITS",
    help="Precision of Arb.",
)
@click.option(
    "--jobs", type=click.IntRange(min=0), default=0, metavar="N", help="Processes; 0: one per core."
)
@click.option(
    "--semantics",
    type=click.Choice(SEMANTICS),
    default="real",
    show_default=True,
    help="real: the exact function; deployed: every float32 execution too.",
)
@click.option(
    "--cross-check", is_flag=True, help="Repeat in mpmath what is small enough; disagreement is a bug."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop each check then: UNPROVEN.",
)
@click.option("--max-memory", type=click.IntRange(min=1), metavar="MIB", help="Memory that a check may hold.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="text",
    metavar="FORMAT",
    help=f"Format of the report: {', '.join(FORMATS)}.  [default: text]",
)
@click.option(
    "--input-format",
    metavar="NAME",
    help="Read every certificate as this format of `tlcheck formats`, whatever its content says.",
)
@click.option(
    "--decimals",
    type=click.Choice(DECIMALS),
    default="format",
    show_default=True,
    help="Decimals of JSON artifacts: exact, nearest binary64, or as their format means them.",
)
@click.option(
    "--slack",
    type=EXACT,
    default="0",
    show_default=True,
    metavar="NUMBER",
    help="Most slack that an artifact may grant itself; the verdict names what it used.",
)
@click.option(
    "--output", type=ANY_PATH, metavar="FILE", help="Write the report there, complete or not at all."
)
@click.option("--resume", type=ANY_PATH, metavar="FILE", help="Journal that a long check continues from.")
@click.option("-v", "--verbose", is_flag=True, help="Where the slack went, claimed bounds, assumptions.")
@click.option("-q", "--quiet", is_flag=True, help="Text: only what is INVALID.")
@click.option("--color", type=click.Choice(("auto", "always", "never")), default="auto", show_default=True)
def verify(paths: tuple[Path, ...], max_memory: int | None, format_: str, **choices: Any) -> ExitCode:
    """Check every certificate in PATH... (files, bundles or folders)."""
    looks = {name: choices.pop(name) for name in ("output", "color", "verbose", "quiet")}
    if looks["verbose"] and looks["quiet"]:
        raise click.UsageError("-v and -q exclude each other")
    try:
        options = Options(max_memory_mib=max_memory, details=looks["verbose"], **choices)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return check(paths, options, ReportOptions(format=format_, **looks))


def check(paths: Sequence[Path], options: Options, report: ReportOptions) -> ExitCode:
    """Check every certificate under ``paths``, write the report, and return the run's exit code."""
    from tlcheck.report.formats import RENDERERS, Style

    start = timer.now()
    color = use_color(report.color, report.output)
    renderer = RENDERERS[report.format](Style(color=color, verbose=report.verbose, quiet=report.quiet))
    results: list[FileResult] = []
    with Output(report.output) as output:
        for artifact in list(_artifacts(paths)):
            results.append(
                artifact if isinstance(artifact, FileResult) else _check_file(artifact, options, report)
            )
            output.write(renderer.file(results[-1]))
        run = Run(results=tuple(results), seconds=timer.now() - start)
        output.write(renderer.end(run))
    return run.exit_code


def _artifacts(paths: Sequence[Path]) -> Iterator[Path | FileResult]:
    """The certificates under ``paths``, each once; a path that cannot be searched is a result already.

    A path with no certificate under it is a usage error: a gate that checks nothing must not pass.
    """
    from tlcheck.verify import discover

    seen: set[Path] = set()
    for path in paths:
        try:
            found = discover(path)
        except InvalidInput as error:
            yield invalid(str(path), error.in_file(str(path)))
            continue
        if not found:
            raise click.UsageError(f"no certificate in {click.format_filename(path)}")
        for artifact in found:
            if artifact not in seen:
                seen.add(artifact)
                yield artifact


def _check_file(path: Path, options: Options, report: ReportOptions) -> FileResult:
    """The result of one certificate: malformed input and bugs are results too, so that the other files are checked."""
    from tlcheck.verify import verify_path

    try:
        with progress_bar(not report.quiet) as progress:
            result = verify_path(path, options, progress)
    except InvalidInput as error:
        return invalid(str(path), error.in_file(str(path)))
    except Exception as error:  # noqa: BLE001  (a bug on one file is reported, exits 70, and does not hide the others)
        if os.environ.get("TLCHECK_DEBUG"):
            traceback.print_exception(error)
        return crashed(str(path), error)
    if not result.claims and result.error is None:
        nothing = InvalidInput("TLC101", "the certificate claims nothing", file=str(path))
        return invalid(str(path), nothing, format=result.format)
    return result
