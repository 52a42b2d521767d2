"""``tlcheck certify-robust``: a classifier and its data, answered input by input."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tlcheck.cli.data_options import ANY_PATH, NUMBER, asked_of, data_options, names_in
from tlcheck.cli.output import Output
from tlcheck.cli.profile_option import PROFILE
from tlcheck.cli.search_options import JOBS
from tlcheck.cli.seconds import Seconds
from tlcheck.cli.stages import stage_bars
from tlcheck.options import SEMANTICS
from tlcheck.report.record import ExitCode

if TYPE_CHECKING:
    from tlcheck.robust.questions import Settings

NORMS: Final = ("linf", "l2-box")
DEFAULT_SECONDS: Final = 30.0


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
@data_options
@click.option("--property-per-input", "template", type=ANY_PATH, metavar="FILE",
              help="Ask this instead: VNN-LIB with placeholders ({label}, {lower 0}, lines repeated for each {i}).")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N samples.")
@click.option("--timeout", type=Seconds(min=0, min_open=True), default=DEFAULT_SECONDS, show_default=True, metavar="SECONDS",
              help="Time of the search for each input.")  # fmt: skip
@JOBS
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

    DATA is an .npz, .npy, .safetensors or .csv file or a folder of pictures. DIR gets robust.tlcert (a claim an input, with its
    proof), attacked.tlcert (counterexamples), the questions as VNN-LIB, report.md and report.json; `tlcheck verify DIR` decides.

    Exit codes: 0 every input certified; 1 some input is wrong or has a counterexample; 4 none has, some undecided.
    """
    from tlcheck.robust.folder import LOCK, Folder
    from tlcheck.robust.questions import questions
    from tlcheck.robust.report import json_text, text
    from tlcheck.robust.run import Limits, run

    asked = questions(model, data, _settings(choices))
    limits = Limits(choices["timeout"], choices["jobs"], choices["semantics"], choices["profile"])
    with stage_bars() as tell, Output(None) as out:
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
    from tlcheck.robust.questions import Settings

    clip, divide = choices["clip"], choices["divide"]
    if choices["eps"] < 0:
        raise click.UsageError("--eps is negative")
    if clip is not None and clip[0] >= clip[1]:
        raise click.UsageError("--clip: the lower end comes first")
    plain = {name: choices[name] for name in ("eps", "norm", "mean", "std", "template", "limit")}
    data, classes = asked_of(choices), names_in("--classes", choices["classes"])
    return Settings(
        **plain, clip=clip, divide=divide, layout=choices["layout"] or "", classes=classes, data=data
    )
