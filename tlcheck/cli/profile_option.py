"""The option that names a runtime profile, the same in every command."""

from __future__ import annotations

from typing import Final

import click

PROFILE: Final = click.option(
    "--profile", default="ieee-basic", show_default=True, metavar="NAME|FILE",
    help="Of the runtime, for deployed semantics: how accurately it computes (`tlcheck formats` lists tlcheck's own).",
)  # fmt: skip
