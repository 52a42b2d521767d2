"""``tlcheck certify-lyapunov``: find the proof that a closed loop is stable, or a point that shows it is not."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from tlcheck.report.record import ExitCode

ANY_PATH = click.Path(path_type=Path)
REDRAW_SECONDS = 0.5


@click.command("certify-lyapunov")
@click.argument("spec", type=ANY_PATH)
@click.option("-o", "--output", type=ANY_PATH, metavar="X.tlcert", required=True, help="The bundle to write.")
@click.option("--max-leaves", type=click.IntRange(min=1), default=400_000, show_default=True, metavar="N")
@click.option(
    "--jobs", type=click.IntRange(min=0), default=0, metavar="N", help="Processes; 0: one per core."
)
def certify_lyapunov(spec: Path, output: Path, max_leaves: int, jobs: int) -> ExitCode:
    """Write a certificate of the stability claim in SPEC (.json or .toml), with the models that it names.

    Claims are: asymptotically stable (no hole at the equilibrium, no tolerance), practically stable to a level,
    invariant
    only. `tlcheck verify` decides. Exit codes: 0 written; 1 written, and the claim is false at a point; 4 nothing
    found
    within --max-leaves, nothing written.
    """
    from tlcheck.report.words import number
    from tlcheck.science.stability import certify

    start = time.monotonic()
    found = certify(spec, output, max_leaves=max_leaves, jobs=jobs, tick=_teller())
    seconds = time.monotonic() - start
    if found.points:
        click.echo(
            f"FALSE     {found.conditions.statement}, at ({', '.join(map(number, found.points[0]))}); {seconds:.1f} s"
        )
        return ExitCode.REFUTED
    if found.problem:
        click.echo(f"no proof  {found.conditions.statement}: {found.problem}; {seconds:.1f} s")
        return ExitCode.UNPROVEN
    click.echo(f"found     {found.conditions.statement}; {found.leaves} leaves, {seconds:.1f} s")
    return ExitCode.OK


class _teller:
    """Progress on standard error, on a terminal only."""

    def __init__(self) -> None:
        self._shown = time.monotonic()

    def __call__(self, leaves: int) -> None:
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._shown > REDRAW_SECONDS:
            self._shown = now
            click.echo(f"\r{leaves} leaves \x1b[K", err=True, nl=False)
