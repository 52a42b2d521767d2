"""What is said of a data set, the same in every command that takes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from tlcheck.readers.datasets.read import Asked

ANY_PATH: Final = click.Path(path_type=Path)
LAYOUTS: Final = ("given", "hwc-to-chw", "chw-to-hwc")
F = TypeVar("F", bound=Callable[..., Any])


class Exact(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A decimal or a quotient, read exactly."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        from tlcheck.errors import InvalidInput
        from tlcheck.readers.decimals import exact_number

        try:
            return value if isinstance(value, Fraction) else exact_number(str(value))
        except InvalidInput as error:
            self.fail(error.line(), param, ctx)


class Several(Exact):
    """Numbers parted by commas."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        return tuple(super(Several, self).convert(part.strip(), param, ctx) for part in str(value).split(","))


NUMBER: Final = Exact()
NUMBERS: Final = Several()
OPTIONS: Final = (
    click.option(
        "--divide",
        type=NUMBER,
        metavar="D",
        help="Divide the data first; whole numbers need it said (255, or 1).",
    ),
    click.option(
        "--mean",
        type=NUMBERS,
        default="0",
        metavar="M,..",
        help="Subtracted before the network: one, or one a channel.",
    ),
    click.option("--std", type=NUMBERS, default="1", metavar="S,..", help="Divided by, after --mean."),
    click.option(
        "--layout", type=click.Choice(LAYOUTS), help="The order of a sample's values, where it can be two."
    ),
    click.option(
        "--labels",
        type=ANY_PATH,
        metavar="FILE",
        help="Labels: .npy, or CSV with a line `label` or `name,label` first.",
    ),
    click.option(
        "--classes", metavar="NAME,..", help="The classes' names in the order of the network's outputs."
    ),
    click.option("--keys", metavar="X,Y", help="Names of the arrays of an .npz file: samples, labels."),
    click.option(
        "--label-column", metavar="NAME", default="", help="The column of a CSV file that holds the labels."
    ),
)


def data_options(command: F) -> F:
    """A command with these options."""
    return reduce(lambda made, option: option(made), reversed(OPTIONS), command)


def asked_of(choices: Mapping[str, Any]) -> Asked:
    """Where samples and labels are. Raises UsageError: numbers or names that cannot be meant."""
    from tlcheck.readers.datasets.read import Asked

    divide = choices["divide"]
    if (divide is not None and divide <= 0) or any(s <= 0 for s in choices["std"]):
        raise click.UsageError("--divide and --std are above 0")
    keys = names_in("--keys", choices["keys"])
    if len(keys) > 2:
        raise click.UsageError("--keys takes the samples' array and perhaps that of the labels")
    return Asked(choices["labels"], keys, choices["label_column"])


def names_in(option: str, text: str | None) -> tuple[str, ...]:
    names = () if text is None else tuple(name.strip() for name in text.split(","))
    if "" in names or len(set(names)) != len(names):
        raise click.UsageError(f"{option}: names parted by commas, each once")
    return names
