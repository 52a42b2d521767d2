"""``tlcheck verify``: which files, what options, one result per file, one report."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import click

from tlcheck import timer
from tlcheck.cli.output import Output, line_width, unusable, use_color
from tlcheck.cli.profile_option import PROFILE
from tlcheck.cli.progress import progress_bar
from tlcheck.cli.search_options import JOBS
from tlcheck.cli.seconds import Seconds
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
from tlcheck.report.record import (
    ExitCode,
    FileResult,
    PassedOver,
    Run,
    Unexpected,
    crashed,
    invalid,
)

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


def complete_formats(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """For the shell: names of formats."""
    from tlcheck.readers.formats.detect import FORMATS as KNOWN

    return [name for name in KNOWN if name.startswith(incomplete)]


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """How the report looks and where it goes."""

    format: str
    output: Path | None
    color: str
    verbose: bool
    quiet: bool


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, type=ANY_PATH)
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
    "arb: Arb only; ball64: passes in float64 with proved error bounds, Arb for the last inequality; "
    "directed: the same in native kernels that round towards the side that errs (needs a C compiler).",
)
@click.option(
    "--precision",
    type=click.IntRange(MIN_PRECISION, MAX_PRECISION),
    default=DEFAULT_PRECISION,
    show_default=True,
    metavar="BITS",
    help="Precision of Arb.",
)
@JOBS
@click.option(
    "--semantics",
    type=click.Choice(SEMANTICS),
    default="real",
    show_default=True,
    help="real: the exact function; deployed: every float32 execution too.",
)
@PROFILE
@click.option(
    "--cross-check", is_flag=True, help="Repeat in mpmath what is small enough; disagreement is a bug."
)
@click.option(
    "--timeout",
    type=Seconds(min=0, min_open=True),
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
    shell_complete=complete_formats,
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
@click.option(
    "--expect", type=ANY_PATH, metavar="FILE", help="Lock file: its claims must all be there, unchanged."
)
@click.option(
    "--strict",
    is_flag=True,
    help="In folders, refuse every file that is no certificate and was not read for one; with --expect, new claims.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Where the slack went, claimed bounds, assumptions, what the verdict rests on, files passed over.",
)
@click.option("-q", "--quiet", is_flag=True, help="Text: only what is INVALID.")
@click.option("--color", type=click.Choice(("auto", "always", "never")), default="auto", show_default=True)
def verify(paths: tuple[Path, ...], max_memory: int | None, format_: str, **choices: Any) -> ExitCode:
    """Check every certificate in PATH... (files, bundles or folders).

    In a folder, a file that says it is a certificate and cannot be read as one is INVALID; what is none is counted.
    """
    gate = Gate(strict=choices.pop("strict"), expect=choices.pop("expect"))
    _check_named(paths, choices["model"], choices["property"], choices["input_format"])
    looks = {name: choices.pop(name) for name in ("output", "color", "verbose", "quiet")}
    if looks["verbose"] and looks["quiet"]:
        raise click.UsageError("-v and -q exclude each other")
    try:
        options = Options(max_memory_mib=max_memory, details=looks["verbose"], **choices)
        _check_profile(options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return check(paths, options, ReportOptions(format=format_, **looks), gate)


def _check_profile(options: Options) -> None:
    """It is one. Raises InvalidInput."""
    if options.semantics == "deployed":
        from tlcheck.readers.runtime_profile import chosen_profile

        chosen_profile(options.profile)


def _check_named(
    paths: Sequence[Path], model: Path | None, property: Path | None, input_format: str | None
) -> None:
    """There is a certificate to check, and files of options are not each other's. Raises UsageError."""
    from tlcheck.readers.kinds import swapped

    for option, path, wanted in (("--model", model, "model"), ("--property", property, "property")):
        if (wrong := swapped(path, wanted)) is not None:
            raise click.UsageError(f"{option} {wrong.line()}")
    if input_format is not None:
        from tlcheck.readers.formats.detect import FORMATS as KNOWN

        check_choice("--input-format", input_format, KNOWN)
    if paths:
        return
    if property is not None:
        network = "NET.onnx" if model is None else click.format_filename(model)
        raise click.UsageError(
            "PATH..., the certificate to check, is missing. To get one, checked: "
            f"`tlcheck certify {network} {click.format_filename(property)} -o X.tlcert`"
        )
    raise click.UsageError(
        "PATH... is missing: name certificates or folders of them, for example `tlcheck verify certs/`"
    )


def check_choice(option: str, value: str, known: Sequence[str]) -> None:
    """``value`` is one of ``known``. Raises UsageError with the nearest ones."""
    if value not in known:
        from difflib import get_close_matches

        near = ", ".join(get_close_matches(value, known, 3, 0.5))
        hint = f"did you mean {near}?" if near else "`tlcheck formats` lists them"
        raise click.UsageError(f"{option} {value!r} is no format of certificates; {hint}")


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a run insists on beyond its certificates: ``strict``, that there is nothing else; ``expect``, a lock file."""

    strict: bool = False
    expect: Path | None = None


def check(paths: Sequence[Path], options: Options, report: ReportOptions, gate: Gate = Gate()) -> ExitCode:
    """Check every certificate under ``paths``, write the report, and return the run's exit code."""
    from tlcheck.readers.bytes import noting_reads
    from tlcheck.report.formats import RENDERERS, Style

    start = timer.now()
    color = use_color(report.color, report.output)
    look = Style(color=color, verbose=report.verbose, quiet=report.quiet, width=line_width(report.output))
    renderer = RENDERERS[report.format](look)
    results: list[FileResult] = []
    unexpected: list[Unexpected] = []
    with Output(report.output) as output:
        artifacts, passed = _found(paths, gate)
        with noting_reads() as reads:
            for artifact in artifacts:
                results.append(
                    artifact if isinstance(artifact, FileResult) else _check_file(artifact, options, report)
                )
                output.write(renderer.file(results[-1]))
            differences, unexpected = _compared(results, gate)
        reads |= {os.path.realpath(path) for path in (report.output, options.resume) if path is not None}
        others = [path for path in passed if os.path.realpath(path) not in reads]
        if gate.strict:
            differences += [_refused(path) for path in others]
        for difference in differences:
            results.append(difference)
            output.write(renderer.file(difference))
        run = Run(
            results=tuple(results), seconds=timer.now() - start, unexpected=tuple(unexpected),
            passed=tuple(_passed(path, report) for path in ([] if gate.strict else others)),
        )  # fmt: skip
        output.write(renderer.end(run))
    return run.exit_code


def _found(paths: Sequence[Path], gate: Gate) -> tuple[list[Path | FileResult], list[Path]]:
    """(what to check, what is passed over) under ``paths``, each once; what cannot be searched is a result already.

    A path with no certificate under it is a usage error: a gate that checks nothing must not pass. Under --expect the
    lock file says what is missing.
    """
    from tlcheck.verify import survey

    seen: dict[Path, Path | FileResult] = {}
    passed: dict[Path, None] = {}
    for path in paths:
        try:
            found = survey(path)
        except InvalidInput as error:
            seen.setdefault(path, invalid(str(path), error.in_file(str(path))))
            continue
        if not found.certificates and not found.problems and gate.expect is None:
            raise click.UsageError(_nothing(path, found.passed))
        there: dict[Path, Path | FileResult] = {p: p for p in found.certificates}
        there |= {p: invalid(str(p), problem) for p, problem in found.problems}
        for where in sorted(there):
            seen.setdefault(where, there[where])
        passed.update(dict.fromkeys(found.passed))
    return list(seen.values()), list(passed)


def _nothing(path: Path, passed: Sequence[Path]) -> str:
    """There is no certificate in the folder: what there is instead, and what to do."""
    from tlcheck.readers.kinds import KINDS, kind_of, sample_of
    from tlcheck.report.text import printable

    start = f"no certificate in {click.format_filename(path)}"
    try:
        what = KINDS[kind_of(sample_of(path))]
        if what.plain and passed:
            what = KINDS[kind_of(sample_of(passed[0]))]
            rest = f", and {len(passed) - 1} more" if len(passed) > 1 else ""
            start += f"; it holds {click.format_filename(passed[0])}{rest}"
            path = passed[0]
    except OSError:
        return start
    return printable(f"{start}: {what.noun}; {what.next('certificate', str(path))}")


def _compared(results: Sequence[FileResult], gate: Gate) -> tuple[list[FileResult], list[Unexpected]]:
    """What differs from the lock file, as results, and the claims that it does not have."""
    if gate.expect is None:
        return [], []
    from tlcheck.checking.lock import compare

    try:
        return compare(gate.expect, results, gate.strict)
    except InvalidInput as error:
        return [invalid(str(gate.expect), error.in_file(str(gate.expect)))], []


def _refused(path: Path) -> FileResult:
    """A file that is passed over, under --strict."""
    message = f"no certificate, and no certificate was read from it ({_what(path)}); --strict refuses it"
    return invalid(str(path), InvalidInput("TLC110", message, file=str(path)))


def _passed(path: Path, report: ReportOptions) -> PassedOver:
    """What it is, is looked at for those who are told."""
    return PassedOver(str(path), _what(path) if report.verbose or report.format.startswith("json") else "")


def _what(path: Path) -> str:
    from tlcheck.readers.kinds import KINDS, kind_of, sample_of

    try:
        return KINDS[kind_of(sample_of(path))].noun
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _check_file(path: Path, options: Options, report: ReportOptions) -> FileResult:
    """The result of one certificate: malformed input and bugs are results too, so that the other files are checked."""
    from tlcheck.verify import verify_path

    try:
        with progress_bar(not report.quiet) as progress:
            result = verify_path(path, options, progress)
    except InvalidInput as error:
        return invalid(str(path), error.in_file(str(path)))
    except OSError as error:
        if (named := unusable(error)) is None:
            return crashed(str(path), error)
        return invalid(str(path), InvalidInput("TLC402", named, file=str(path)))
    except Exception as error:  # noqa: BLE001  (a bug on one file is reported, exits 70, and does not hide the others)
        if os.environ.get("TLCHECK_DEBUG"):
            traceback.print_exception(error)
        return crashed(str(path), error)
    if not result.claims and result.error is None:
        nothing = InvalidInput("TLC101", "the certificate claims nothing", file=str(path))
        return invalid(str(path), nothing, format=result.format)
    return result
