"""``tlcheck certify-pinn``: find the proof that a network nearly solves a differential equation."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import click

from tlcheck.report.record import ExitCode

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
    "--tolerance", default="0.005", show_default=True, metavar="NUMBER",
    help="Where no bound is given: how far above the largest value found it is set, relative to it.",
)  # fmt: skip
@click.option(
    "--norm",
    type=click.Choice(["sup", "L1", "L2"]),
    default="sup",
    show_default=True,
    help="Bound the supremum of the sum of squares, or its integral (L2), or that of its root (L1).",
)
@click.option(
    "--order", type=click.IntRange(1, 12), default=5, show_default=True, help="Of the Taylor models."
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
    tolerance: str,
    norm: str,
    order: int,
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

    if _number(tolerance) > 1000:
        raise click.UsageError("--tolerance is above 1000")
    request = Request(order, dict(map(_bound, bounds)), parts, _number(tolerance), jobs, max_cells, norm)
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
            click.echo(
                f"no cover  {part.name}: at most {at_most}; {part.cover.cells} cells are below it, others only below "
                f"{decimal_outward(part.cover.worst, 'up', 4)} (more --max-cells, or a higher bound)"
            )
    if not all(part.complete for part in found):
        return ExitCode.UNPROVEN
    return ExitCode.REFUTED if any(part.false for part in found) else ExitCode.OK


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
