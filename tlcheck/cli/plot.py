"""``tlcheck plot``: a picture of a certificate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.report.record import ExitCode

ANY_PATH = click.Path(path_type=Path)
BEGINNINGS: Final = {"svg": b"<?xml", "png": b"\x89PNG\r\n\x1a\n"}


@click.command()
@click.argument("cert", type=ANY_PATH)
@click.option(
    "-o", "--output", type=ANY_PATH, metavar="X.svg|X.png", required=True, help="The picture to write."
)
@click.option("--claim", "claims", multiple=True, metavar="NAME", help="Only this claim; may be repeated.")
@click.option(
    "--axes",
    metavar="X,Y",
    help="The coordinates to draw, where there are more than two; by default the first two.",
)
@click.option("--model", type=ANY_PATH, metavar="FILE", help="The network, where CERT has no copy.")
@click.option("--property", type=ANY_PATH, metavar="FILE", help="The property, where CERT has no copy.")
def plot(
    cert: Path,
    output: Path,
    claims: Sequence[str],
    axes: str | None,
    model: Path | None,
    property: Path | None,
) -> ExitCode:
    """Draw CERT: cells, leaves or curves with their margins, and what is claimed of them. Decides nothing.

    Of PINN bounds over a domain, stability claims, ODE corridors, and unsat proofs that split two inputs. Needs
    matplotlib: pip install 'tlcheck[plot]'. Exit codes: 0 written; 3 nothing to draw, or matplotlib is missing.
    """
    from tlcheck.cli.output import OutputError, replace_file

    kind = output.suffix.lower().removeprefix(".")
    _check_target(output, kind)
    from tlcheck.plot.draw import draw

    chosen = tuple(name.strip() for name in axes.split(",")) if axes else ()
    picture, panels = draw(cert, Options(model=model, property=property), kind, tuple(claims), chosen)
    try:
        replace_file(output, picture)
    except OSError as error:
        raise OutputError(output, error) from error
    click.echo(f"drawn     {click.format_filename(output)}: {panels} panel{'s' * (panels != 1)}")
    return ExitCode.OK


def _check_target(target: Path, kind: str) -> None:
    """Its folder exists, and what is there is replaced only if it is a picture of that kind."""
    if kind not in BEGINNINGS:
        raise InvalidInput("TLC402", "a picture's name ends in .svg or .png", file=str(target))
    if not target.parent.is_dir():
        raise InvalidInput("TLC402", "no such folder", file=str(target.parent))
    if target.is_symlink() or target.exists():
        begins = BEGINNINGS[kind]
        try:
            with target.open("rb") as stream:
                same = stream.read(len(begins)) == begins
        except OSError:
            same = False
        if not same or target.is_symlink():
            raise InvalidInput("TLC402", f"not replaced: it is no {kind} picture", file=str(target))
