"""``tlcheck certify-pinn``: find the proof that a network nearly solves a differential equation."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from math import isinf
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlcheck.report.record import ExitCode

if TYPE_CHECKING:
    from tlcheck.science.pinn import Request

ANY_PATH = click.Path(path_type=Path)
REDRAW_SECONDS = 0.5


@click.command("certify-pinn")
@click.argument("model", type=ANY_PATH)
@click.argument("pde", type=ANY_PATH)
@click.option("-o", "--output", type=ANY_PATH, metavar="X.tlcert", required=True, help="The bundle to write.")
@click.option(
    "--bound",
    "bounds",
    multiple=True,
    metavar="PART=NUMBER",
    help="Upper bound of the part's sum of squares.",
)
@click.option("--part", "parts", multiple=True, metavar="PART", help="Only this part; may be repeated.")
@click.option(
    "--tolerance", metavar="NUMBER",
    help="Where no bound is given: how far above the largest value found (or the integral) it is set, relative to it; "
    "0.005 by default, 0.25 for solution errors.",
)  # fmt: skip
@click.option(
    "--norm",
    type=click.Choice(["sup", "L1", "L2"]),
    default="sup",
    show_default=True,
    help="Bound the supremum of the sum of squares, or its integral (L2), or that of its root (L1).",
)
@click.option(
    "--solution-error", is_flag=True,
    help="Bound the distance to the solution instead, by the theorem of each [solution.NAME] of PDE; --part and --bound "
    "name these.",
)  # fmt: skip
@click.option(
    "--order", type=click.IntRange(1, 12), help="Of the Taylor models; 5 by default, 6 for solution errors."
)
@click.option("--max-cells", type=click.IntRange(min=1), default=20_000, show_default=True, metavar="N")
@click.option(
    "--jobs", type=click.IntRange(min=0), default=0, metavar="N", help="Processes; 0: one per core."
)
def certify_pinn(
    model: Path,
    pde: Path,
    output: Path,
    bounds: Sequence[str],
    parts: Sequence[str],
    tolerance: str | None,
    norm: str,
    solution_error: bool,
    order: int | None,
    max_cells: int,
    jobs: int,
) -> ExitCode:
    """Write a certificate that MODEL nearly solves the equation of the file PDE (or of a ready one: burgers, ...).

    For each part of PDE: how large the sum of squares of its expressions is at most, on the whole domain (a cover of
    cells), and at least (a point). `tlcheck verify` decides. Nothing is written unless there is evidence for each part.
    Exit codes: 0 written; 1 written, and some bound given is false at a point; 4 no cover within --max-cells.
    """
    from tlcheck.report.words import number
    from tlcheck.science.pinn import Request, certify
    from tlcheck.trusted.arith.arb import decimal_outward

    relative = None if tolerance is None else _number(tolerance)
    if relative is not None and relative > 1000:
        raise click.UsageError("--tolerance is above 1000")
    order = order or (6 if solution_error else 5)
    request = Request(order, dict(map(_bound, bounds)), parts, relative, jobs, max_cells, norm)
    if solution_error:
        if norm != "sup":
            raise click.UsageError("--norm has no meaning with --solution-error: the theorem names it")
        return _solution_errors(model, pde, output, request)
    found = certify(model, pde, output, request, _teller())
    for part in found:
        at_most = number(part.at_most)
        if part.highest is not None and part.false:
            where = ", ".join(str(float(x)) for x in part.highest.point)
            value = decimal_outward(part.highest.value, "down", 7)
            click.echo(f"FALSE     {part.name}: at most {at_most}, but it is at least {value} at ({where})")
        elif part.cover is not None and part.cover.tree:
            least = "" if part.at_least is None else f", at least {part.at_least}"
            click.echo(
                f"found     {part.name}: at most {at_most}{least}; {part.cover.cells} cells, {part.cover.seconds:.1f} s"
            )
        elif part.cover is not None:
            others = f"others only below {decimal_outward(part.cover.worst, 'up', 4)} (more --max-cells, or a higher bound)"
            if isinf(part.cover.worst):
                others = "on others the part has no bound: a kink, or the edge of a function's domain, may be there"
            click.echo(
                f"no cover  {part.name}: at most {at_most}; {part.cover.cells} cells are below it, {others}"
            )
    if not all(part.complete for part in found):
        return ExitCode.UNPROVEN
    return ExitCode.REFUTED if any(part.false for part in found) else ExitCode.OK


def _solution_errors(model: Path, pde: Path, output: Path, request: Request) -> ExitCode:
    from tlcheck.report.words import number
    from tlcheck.science.solution import certify_solutions
    from tlcheck.trusted.arith.arb import decimal_outward

    found = certify_solutions(model, pde, output, request, _teller())
    for f in found:
        at_most, estimate = number(f.at_most), decimal_outward(f.estimate, "up", 3)
        cells = ", ".join(f"{name} {cover.cells}" for name, cover in f.covers.items())
        seconds = sum(cover.seconds for cover in f.covers.values())
        if f.complete:
            click.echo(
                f"found     {f.name}: at most {at_most} (about {estimate} at best); cells: {cells}; {seconds:.1f} s"
            )
        else:
            open_ = ", ".join(name for name, cover in f.covers.items() if not cover.tree)
            why = f"no cover of: {open_}" if open_ else f"the theorem gives about {estimate} at best"
            click.echo(f"no cover  {f.name}: at most {at_most}; {why} (more --max-cells, or a higher bound)")
    return ExitCode.OK if all(f.complete for f in found) else ExitCode.UNPROVEN


def _bound(text: str) -> tuple[str, Fraction]:
    name, separator, number = text.partition("=")
    if not separator:
        raise click.UsageError(f"--bound {text!r}: expected PART=NUMBER")
    return name, _number(number)


def _number(text: str) -> Fraction:
    from tlcheck.errors import InvalidInput
    from tlcheck.readers.bundle.numbers import exact_number

    try:
        value = exact_number(text)
    except InvalidInput as error:
        raise click.UsageError(error.line()) from None
    if value < 0:
        raise click.UsageError(f"{text!r} is negative")
    return value


class _teller:
    """Progress on standard error, on a terminal only."""

    def __init__(self) -> None:
        self._shown = time.monotonic()

    def __call__(self, part: str, cells: int, open_: int) -> None:
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._shown > REDRAW_SECONDS:
            self._shown = now
            click.echo(f"\r{part}: {cells} cells done, {open_} open \x1b[K", err=True, nl=False)
