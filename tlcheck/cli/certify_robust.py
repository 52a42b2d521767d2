"""``tlcheck certify-robust``: a classifier and its data, answered input by input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tlcheck.cli.output import Output
from tlcheck.cli.profile_option import PROFILE
from tlcheck.cli.seconds import Seconds
from tlcheck.options import SEMANTICS
from tlcheck.report.record import ExitCode

if TYPE_CHECKING:
    from tlcheck.robust.questions import Settings

ANY_PATH: Final = click.Path(path_type=Path)
NORMS: Final = ("linf", "l2-box")
LAYOUTS: Final = ("given", "hwc-to-chw", "chw-to-hwc")
DEFAULT_SECONDS: Final = 30.0


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


class Norm(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    name = "norm"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value in NORMS:
            return str(value)
        if str(value).lower().replace("_", "") in ("l2", "l1", "2", "1"):
            self.fail(
                f"{value}: a claim is about a box, and this ball is none; l2-box proves the box around the l2 ball",
                param,
                ctx,
            )
        self.fail(f"{value!r} is none of {', '.join(NORMS)}", param, ctx)


NUMBER: Final = Exact()
NUMBERS: Final = Several()


@click.command("certify-robust")
@click.argument("model", type=ANY_PATH)
@click.argument("data", type=ANY_PATH)
@click.option(
    "-o",
    "--output",
    type=ANY_PATH,
    metavar="DIR",
    required=True,
    help="The folder to write, empty or not there.",
)
@click.option(
    "--eps",
    type=NUMBER,
    required=True,
    metavar="E",
    help="How far a value may be changed, exactly: 0.03, 8/255. In the units of DATA over --divide.",
)
@click.option("--norm", type=Norm(), default="linf", show_default=True, metavar="NORM",
              help="linf; l2-box: the box around the l2 ball, which proves the ball.")  # fmt: skip
@click.option("--clip", type=NUMBER, nargs=2, metavar="LO HI", help="Changed values stay in this range.")
@click.option(
    "--divide",
    type=NUMBER,
    metavar="D",
    help="Divide the data first; whole numbers need it said (255, or 1).",
)
@click.option(
    "--mean",
    type=NUMBERS,
    default="0",
    metavar="M,..",
    help="Subtracted before the network: one, or one a channel.",
)
@click.option("--std", type=NUMBERS, default="1", metavar="S,..", help="Divided by, after --mean.")
@click.option(
    "--layout", type=click.Choice(LAYOUTS), help="The order of a sample's values, where it can be two."
)
@click.option(
    "--labels",
    type=ANY_PATH,
    metavar="FILE",
    help="Labels: .npy, or CSV with a line `label` or `name,label` first.",
)
@click.option(
    "--classes", metavar="NAME,..", help="The classes' names in the order of the network's outputs."
)
@click.option("--keys", metavar="X,Y", help="Names of the arrays of an .npz file: samples, labels.")
@click.option(
    "--label-column", metavar="NAME", default="", help="The column of a CSV file that holds the labels."
)
@click.option("--property-per-input", "template", type=ANY_PATH, metavar="FILE",
              help="Ask this instead: VNN-LIB with placeholders ({label}, {lower 0}, lines repeated for each {i}).")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N samples.")
@click.option("--timeout", type=Seconds(min=0, min_open=True), default=DEFAULT_SECONDS, show_default=True, metavar="SECONDS",
              help="Time of the search for each input.")  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(min=0), default=0, metavar="N", help="Processes; 0: one per core."
)
@click.option("--semantics", type=click.Choice(SEMANTICS), default="real", show_default=True,
              help="deployed: certified is what holds for every float32 execution.")  # fmt: skip
@PROFILE
@click.option(
    "--resume",
    is_flag=True,
    help="Go on in a folder of an earlier run: its evidence is taken over once checked again.",
)
@click.option("--format", "format_", type=click.Choice(("text", "json")), default="text", show_default=True)
def certify_robust(model: Path, data: Path, output: Path, format_: str, **choices: Any) -> ExitCode:
    """Certify, sample by sample of DATA, that MODEL keeps its class within --eps.

    DATA is an .npz, .npy or .csv file or a folder of pictures. DIR gets robust.tlcert (a claim an input, with its proof),
    attacked.tlcert (counterexamples), the questions as VNN-LIB, report.md and report.json; `tlcheck verify DIR` decides.

    Exit codes: 0 every input certified; 1 some input is wrong or has a counterexample; 4 none has, some undecided.
    """
    from tlcheck.robust.folder import LOCK, Folder
    from tlcheck.robust.questions import questions
    from tlcheck.robust.report import json_text, text
    from tlcheck.robust.run import Limits, run

    asked = questions(model, data, _settings(choices))
    limits = Limits(choices["timeout"], choices["jobs"], choices["semantics"], choices["profile"])
    with _bars() as tell, Output(None) as out:
        try:
            report = run(asked, Folder(output), limits, tell, resume=choices["resume"])
        except KeyboardInterrupt:
            click.echo("what is decided so far is kept: go on with --resume", err=True)
            raise
        out.write(json_text(report) if format_ == "json" else text(report))
    if format_ == "text":
        folder = click.format_filename(output)
        lock = output / LOCK  # there only when the written claims were certified again
        expect = f" --expect {click.format_filename(lock)}" if lock.exists() else ""
        check = f"; check it: tlcheck verify {folder}{expect}" if report.proved else ""
        click.echo(f"written   {folder}{check}")
    return report.exit_code


def _settings(choices: Mapping[str, Any]) -> Settings:
    """Raises UsageError: numbers that cannot be meant."""
    from tlcheck.readers.datasets.read import Asked
    from tlcheck.robust.questions import Settings

    clip, divide = choices["clip"], choices["divide"]
    if choices["eps"] < 0:
        raise click.UsageError("--eps is negative")
    if clip is not None and clip[0] >= clip[1]:
        raise click.UsageError("--clip: the lower end comes first")
    if (divide is not None and divide <= 0) or any(s <= 0 for s in choices["std"]):
        raise click.UsageError("--divide and --std are above 0")
    keys, classes = _names("--keys", choices["keys"]), _names("--classes", choices["classes"])
    if len(keys) > 2:
        raise click.UsageError("--keys takes the samples' array and perhaps that of the labels")
    plain = {name: choices[name] for name in ("eps", "norm", "mean", "std", "template", "limit")}
    data = Asked(choices["labels"], keys, choices["label_column"])
    return Settings(
        **plain, clip=clip, divide=divide, layout=choices["layout"] or "", classes=classes, data=data
    )


def _names(option: str, text: str | None) -> tuple[str, ...]:
    names = () if text is None else tuple(name.strip() for name in text.split(","))
    if "" in names or len(set(names)) != len(names):
        raise click.UsageError(f"{option}: names parted by commas, each once")
    return names


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int, str], None]]:
    """One bar a stage."""
    from contextlib import ExitStack

    from tlcheck.cli.progress import count_bar

    with ExitStack() as stack:
        bars: dict[str, Callable[[int, int, str], None]] = {}

        def tell(stage: str, done: int, total: int, last: str) -> None:
            if stage not in bars:
                stack.close()
                bars[stage] = stack.enter_context(count_bar(stage))
            bars[stage](done, total, last)

        yield tell
