"""``tlcheck certify-lyapunov``: find the proof that a closed loop is stable, or a point that shows it is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlcheck import timer
from tlcheck.cli.progress import Ticker
from tlcheck.cli.search_options import JOBS
from tlcheck.cli.seconds import Seconds
from tlcheck.report.record import ExitCode

if TYPE_CHECKING:
    from tlcheck.trusted.query import InputBox

ANY_PATH = click.Path(path_type=Path)
SIDES = 8
"""Sides of an open box that are said."""


@click.command("certify-lyapunov")
@click.argument("spec", type=ANY_PATH)
@click.option("-o", "--output", type=ANY_PATH, metavar="X.tlcert", required=True, help="The bundle to write.")
@click.option("--model", type=ANY_PATH, metavar="NET.onnx", help="The network, for a query in VNN-LIB.")
@click.option("--max-leaves", type=click.IntRange(min=1), default=400_000, show_default=True, metavar="N")
@click.option(
    "--timeout", "seconds", type=Seconds(min=0, min_open=True), default=600.0, show_default=True, metavar="SECONDS",
    help="Time for the search.",
)  # fmt: skip
@JOBS
def certify_lyapunov(
    spec: Path, output: Path, model: Path | None, max_leaves: int, seconds: float, jobs: int
) -> ExitCode:
    """Write a certificate of the stability claim in SPEC (.json or .toml), with the models that it names.

    Claims are: asymptotically stable (no hole at the equilibrium, no tolerance), practically stable to a level, invariant
    only. SPEC may also be a published query in VNN-LIB, about --model: `tlcheck lyapunov-spec` says what such a query is
    worth. `tlcheck verify` decides.

    Exit codes: 0 written; 1 the claim is false (written with the point; of a query in VNN-LIB the point is said and nothing
    written); 4 nothing found within --max-leaves and --timeout, or a hypothesis of the theorem is not met: nothing
    written.
    """
    if spec.name.removesuffix(".gz").endswith(".vnnlib"):
        if model is None:
            raise click.UsageError("a query in VNN-LIB needs --model")
        return _query(model, spec, output, max_leaves, seconds)
    if model is not None:
        raise click.UsageError("--model is for queries in VNN-LIB: SPEC names its models itself")
    from tlcheck.prover.stability_search import certify

    start = timer.now()
    found = certify(spec, output, max_leaves=max_leaves, seconds=seconds, jobs=jobs, tick=_teller())
    took = timer.now() - start
    if found.false:
        click.echo(f"FALSE     {found.problem}; {took:.1f} s")
        return ExitCode.REFUTED
    if found.problem:
        click.echo(f"no proof  {found.conditions.statement}: {found.problem}; {took:.1f} s")
        return ExitCode.UNPROVEN
    click.echo(
        f"found     a proof: {found.conditions.statement}; {_counted(found.leaves, 'leaf', 'leaves')}, {took:.1f} s"
    )
    return ExitCode.OK


def _query(model: Path, spec: Path, output: Path, most: int, seconds: float) -> ExitCode:
    from tlcheck.prover.query_proof import certify_query

    start, tell = timer.now(), _teller()
    found = certify_query(model, spec, output, seconds=seconds, most=most, tick=tell)
    took = timer.now() - start
    if found.witness is not None:
        from tlcheck.report.numerals import number

        where = ", ".join(f"X_{i} = {number(x)}" for i, x in enumerate(found.witness))
        click.echo(
            f"FALSE     the query is satisfied, exactly, at {where}: nothing written; "
            f"{_counted(found.boxes, 'box', 'boxes')}, {took:.1f} s"
        )
        return ExitCode.REFUTED
    if found.guidance is None:
        box = "" if found.open_box is None else f", such as {_box(found.open_box)}"
        click.echo(
            f"no proof  unsat: {found.left} of {_counted(found.boxes, 'box is', 'boxes are')} open{box}; {took:.1f} s "
            "(more --max-leaves or --timeout)"
        )
        return ExitCode.UNPROVEN
    click.echo(f"found     unsat; {_counted(found.leaves, 'leaf', 'leaves')}, {took:.1f} s")
    return ExitCode.OK


def _box(box: InputBox) -> str:
    sides = [
        f"X_{i} in [{float(a):.6g}, {float(b):.6g}]"
        for i, (a, b) in enumerate(zip(box.lower, box.upper, strict=True))
    ]
    return ", ".join(sides[:SIDES]) + (", ..." if len(sides) > SIDES else "")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


class _teller:
    """Progress on standard error."""

    def __init__(self) -> None:
        self._tick = Ticker()

    def __call__(self, leaves: int) -> None:
        self._tick(f"{leaves} leaves")
