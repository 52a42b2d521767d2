"""The options that name a runtime profile, the same in every command."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import click

BASIC: Final = "ieee-basic"
NAMED: Final = click.option(
    "--profile", default=None, show_default=BASIC, metavar="NAME|FILE",
    help="Of the runtime, for deployed semantics: how accurately it computes (`tlcheck formats` lists tlcheck's own).",
)  # fmt: skip
TF32: Final = click.option(
    "--tf32", is_flag=True, help="The profile ieee-tf32: products of matrices and convolutions in TF32."
)


def PROFILE(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command its ``profile``: --profile, or --tf32."""

    @wraps(command)
    def with_profile(*args: Any, profile: str | None, tf32: bool, **rest: Any) -> Any:
        if tf32 and profile is not None:
            raise click.UsageError("--tf32 is the profile ieee-tf32: give it or --profile")
        return command(*args, profile="ieee-tf32" if tf32 else profile or BASIC, **rest)

    return NAMED(TF32(with_profile))
