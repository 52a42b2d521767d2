"""``tlcheck convert``: a foreign certificate as a ``.tlcert`` bundle."""

from __future__ import annotations

from pathlib import Path

import click

from tlcheck.options import Options
from tlcheck.report.record import ExitCode

ANY_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("dump", type=ANY_PATH)
@click.option("-o", "--output", type=ANY_PATH, metavar="X.tlcert", required=True, help="The bundle to write.")
@click.option("--model", type=ANY_PATH, metavar="FILE", help="The network, where DUMP has no copy.")
@click.option("--property", type=ANY_PATH, metavar="FILE", help="The property, where DUMP has no copy.")
def convert(dump: Path, output: Path, model: Path | None, property: Path | None) -> ExitCode:
    """Write the proof or artifact in DUMP as a bundle, which verifies identically. Checks no proof."""
    from tlcheck.verify import convert as write_bundle

    write_bundle(dump, output, Options(model=model, property=property))
    return ExitCode.OK
