"""Options that commands share: how long, in how many processes, with which random points."""

from __future__ import annotations

from typing import Final

import click

from tlcheck.cli.seconds import Seconds

DEFAULT_SECONDS: Final = 600.0

JOBS: Final = click.option(
    "--jobs", type=click.IntRange(min=0), default=0, metavar="N", help="Processes; 0: one per core."
)
TIMEOUT: Final = click.option(
    "--timeout", type=Seconds(min=0, min_open=True), default=DEFAULT_SECONDS, show_default=True, metavar="SECONDS",
    help="Time for the search; the check of what it found may take as long again.",
)  # fmt: skip
SEED: Final = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Of the attack."
)
