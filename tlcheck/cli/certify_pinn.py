"""``tlcheck certify-pinn``: find the proof that a network nearly solves a differential equation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fractions import Fraction
from math import isinf
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlcheck.cli.progress import Ticker
from tlcheck.cli.search_options import JOBS
from tlcheck.report.record import ExitCode

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from tlcheck.prover.pinn_search import PartFound, Request
    from tlcheck.prover.solution_search import SolutionFound

ANY_PATH = click.Path(path_type=Path)


def _complete_equations(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For the shell: ready equations, and files."""
    from click.shell_completion import CompletionItem

    from tlcheck.prover.pinn_search import READY

    names = [
        CompletionItem(name)
        for name in sorted(p.stem for p in READY.glob("*.toml"))
        if name.startswith(incomplete)
    ]
    return [*names, CompletionItem(incomplete, type="file")]


@click.command("certify-pinn")
@click.argument("model", type=ANY_PATH)
@click.argument("pde", type=ANY_PATH, shell_complete=_complete_equations)
@click.option("-o", "--output", type=ANY_PATH, metavar="X.tlcert", required=True, help="The bundle to write.")
@click.option(
    "--bound",
    "bounds",
    multiple=True,
    metavar="PART=NUMBER",
    help="Upper bound of the part's sum of squares, or of its integral; may be repeated.",
)
@click.option("--part", "parts", multiple=True, metavar="PART", help="Only this part; may be repeated.")
@click.option(
    "--tolerance", metavar="NUMBER",
    help="Where no bound is given: how far above the largest value found (or the integral) it is set, relative to it; "
    "0.005 by default, 0.05 for integrals, 0.25 for solution errors.",
)  # fmt: skip
@click.option(
    "--norm",
    type=click.Choice(["sup", "L1", "L2"]),
    default="sup",
    show_default=True,
    help="Bound the supremum of the sum of squares, or its integral (L2: the square of the norm; the L2 of --solution-error "
    "is the norm), or that of its root (L1).",
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
@JOBS
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
    cells), and at least (a point). MODEL is an ONNX file; weights beside it are put into the bundle. `tlcheck verify` decides.

    Nothing is written unless there is evidence for each part. Exit codes: 0 written; 1 written, and some bound given is
    false; 4 no cover within --max-cells.
    """
    from tlcheck.prover.pinn_search import BadRequest, Request, certify

    relative = None if tolerance is None else _number("--tolerance", tolerance)
    if relative is not None and relative > 1000:
        raise click.UsageError("--tolerance is above 1000")
    if solution_error and norm != "sup":
        raise click.UsageError("--norm has no meaning with --solution-error: the theorem names it")
    order = order or (6 if solution_error else 5)
    request = Request(order, _bounds(bounds), parts, relative, jobs, max_cells, norm)
    tell = _teller()
    try:
        if solution_error:
            return _solution_errors(model, pde, output, request, tell)
        found = certify(model, pde, output, request, tell, lambda part: tell.line(_part(part, request)))
    except BadRequest as problem:
        raise click.UsageError(str(problem)) from None
    if not all(part.complete for part in found):
        _nothing_written([p.name for p in found if p.complete])
        return ExitCode.UNPROVEN
    return ExitCode.REFUTED if any(part.false for part in found) else ExitCode.OK


def _part(part: PartFound, request: Request) -> str:
    """What was found, as a line."""
    from tlcheck.report.numerals import number

    name = part.name if request.norm == "sup" else f"{part.name} ({request.norm})"
    at_most = "" if part.at_most is None else f"at most {number(part.at_most)}"
    cells = "" if part.cover is None else f"{_cells(part.cover.cells)}, {part.cover.seconds:.1f} s"
    if part.false:
        where = f"; {cells}"
        if part.highest is not None:
            where = f" at ({', '.join(str(float(x)) for x in part.highest.point)})"
        return f"FALSE     {name}: {at_most}, but it is at least {_down(part.reached[0])}{where}"
    if part.complete:
        least = "" if part.at_least is None else f", at least {part.at_least}"
        return f"found     {name}: {at_most}{least}; {cells}"
    return f"no cover  {name}: {_missing(part, request, at_most)}; {cells}"


def _missing(part: PartFound, request: Request, at_most: str) -> str:
    """Why there is no cover, and what may help."""
    cover = part.cover
    if cover is None:
        raise ValueError("no cover was looked for")
    if isinf(cover.worst):
        return f"no bound at {cover.where}"
    if request.norm == "sup":
        above = f"only below {_up(cover.worst, 4)} at {cover.where}"
        return f"{at_most}, but {above} (more --max-cells, or a higher bound)"
    low, high = part.reached
    ends = f"between {_down(low)} and {_up(high)}"
    if at_most:
        return f"{at_most} is not decided: it is {ends} (more --max-cells, or another bound)"
    return f"known only to be {ends} (more --max-cells, a larger --tolerance, or a --bound)"


def _solution_errors(model: Path, pde: Path, output: Path, request: Request, tell: _teller) -> ExitCode:
    from tlcheck.prover.solution_search import certify_solutions

    found = certify_solutions(model, pde, output, request, tell, lambda f: tell.line(_solution(f)))
    if all(f.complete for f in found):
        return ExitCode.OK
    _nothing_written([f.name for f in found if f.complete])
    return ExitCode.UNPROVEN


def _solution(f: SolutionFound) -> str:
    """What was found, as a line."""
    from tlcheck.report.numerals import number

    at_most, estimate = number(f.at_most), _up(f.estimate, 3)
    if f.complete:
        cells = ", ".join(f"{name} {cover.cells}" for name, cover in f.covers.items())
        seconds = sum(cover.seconds for cover in f.covers.values())
        return f"found     {f.name}: at most {at_most} (about {estimate} at best); cells: {cells}; {seconds:.1f} s"
    without = {name: cover for name, cover in f.covers.items() if not cover.tree}
    unbounded = next((f"{n}, no bound at {c.where}" for n, c in without.items() if isinf(c.worst)), "")
    why = f"no cover of: {unbounded or ', '.join(without)}"
    if not without:
        why = f"the theorem gives about {estimate} at best"
    advice = " (more --max-cells, or a higher bound)" if f.covers else " (a higher bound)"
    if unbounded:
        advice = ""
    return f"no cover  {f.name}: at most {at_most}; {why}{advice}"


def _nothing_written(complete: Sequence[str]) -> None:
    """A bundle has all that was asked for."""
    these = "".join(f" --part {name}" for name in complete)
    click.echo(f"nothing written{f'; what was found can be, with{these}' if these else ''}")


def _cells(count: int) -> str:
    return f"{count} cell{'s' * (count != 1)}"


def _up(value: float, digits: int = 5) -> str:
    from tlcheck.trusted.arith.decimals import decimal_outward

    return decimal_outward(value, "up", digits)


def _down(value: float) -> str:
    from tlcheck.trusted.arith.decimals import decimal_outward

    return decimal_outward(value, "down", 7)


def _bounds(given: Sequence[str]) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for text in given:
        name, separator, number = text.partition("=")
        if not separator or not name:
            raise click.UsageError(f"--bound {text!r}: expected PART=NUMBER")
        if name in found:
            raise click.UsageError(f"--bound {text!r}: there is another bound of {name}")
        found[name] = _number(f"--bound {text!r}", number)
    return found


def _number(option: str, text: str) -> Fraction:
    from tlcheck.errors import InvalidInput
    from tlcheck.readers.decimals import exact_number

    try:
        value = exact_number(text)
    except InvalidInput as error:
        raise click.UsageError(f"{option}: {error.line()}") from None
    if value < 0:
        raise click.UsageError(f"{option}: {text!r} is negative")
    return value


class _teller:
    """Progress on standard error; ``line`` puts a result on standard output, in place of it."""

    def __init__(self) -> None:
        self._tick = Ticker()
        self._terminal = sys.stderr.isatty()

    def line(self, text: str) -> None:
        if self._terminal:
            click.echo("\r\x1b[K", err=True, nl=False)
        click.echo(text)
        sys.stdout.flush()

    def __call__(self, part: str, cells: int, open_: int) -> None:
        self._tick(f"{part}: {_cells(cells)} done, {open_} open")
