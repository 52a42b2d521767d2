"""``tlcheck lock``: which claims there are, for ``tlcheck verify --expect``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from tlcheck.cli.output import Output, OutputError
from tlcheck.errors import InvalidInput
from tlcheck.options import DECIMALS, Options
from tlcheck.report.record import ExitCode

ANY_PATH: Final = click.Path(path_type=Path)


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=ANY_PATH)
@click.option("-o", "--output", type=ANY_PATH, metavar="FILE", required=True, help="The lock file to write.")
@click.option(
    "--model", type=ANY_PATH, metavar="FILE", help="The network, where the certificate has no copy."
)
@click.option(
    "--property", type=ANY_PATH, metavar="FILE", help="The property, where the certificate has no copy."
)
@click.option(
    "--decimals",
    type=click.Choice(DECIMALS),
    default="format",
    show_default=True,
    help="How decimals of JSON artifacts are read, as in `tlcheck verify`.",
)
def lock(
    paths: Sequence[Path], output: Path, model: Path | None, property: Path | None, decimals: str
) -> ExitCode:
    """Write down which claims the certificates in PATH... make: names, kinds, SHA-256 of what they rest on.

    Checks no proof. `tlcheck verify PATH... --expect FILE` fails when one of them is missing or changed.
    """
    from tlcheck.checking.lock import is_lock, lock_text, locked
    from tlcheck.verify import load, survey

    options = Options(model=model, property=property, decimals=decimals)
    with Output(output) as out:
        if output.exists() and not is_lock(output):
            raise OutputError(output, FileExistsError(0, "it is there and is no lock file: not replaced"))
        certificates: dict[Path, None] = {}
        for path in paths:
            found = survey(path)
            if found.problems:
                raise found.problems[0][1].in_file(str(found.problems[0][0]))
            certificates.update(dict.fromkeys(found.certificates))
        claims = []
        for path in certificates:
            try:
                claims += [(path, claim) for claim in load(path, options).read]
            except InvalidInput as error:
                raise error.in_file(str(path)) from error.__cause__
        if not claims:
            raise click.UsageError("no certificate there: a lock file of no claim would expect nothing")
        out.write(lock_text(locked(claims, output.parent)))
    click.echo(f"locked    {len(claims)} claim{'s' * (len(claims) != 1)} of {len(certificates)} "
               f"file{'s' * (len(certificates) != 1)} in {click.format_filename(output)}")  # fmt: skip
    return ExitCode.OK
