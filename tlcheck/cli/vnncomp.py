"""``tlcheck vnncomp``: referee the competition's results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click

from tlcheck.cli.output import Output
from tlcheck.errors import InvalidInput
from tlcheck.report.record import ExitCode

FORMATS: Final = ("text", "json", "jsonl", "csv")
ANY_PATH: Final = click.Path(path_type=Path)
EXIT_OF: Final = {
    "holds": ExitCode.OK,
    "holds-repaired": ExitCode.REFUTED,
    "tolerance-only": ExitCode.REFUTED,
    "fails": ExitCode.REFUTED,
    "empty": ExitCode.INVALID,
    "malformed": ExitCode.INVALID,
    "wrong-shape": ExitCode.INVALID,
    "unsupported": ExitCode.INVALID,
}


@click.group()
def vnncomp() -> None:
    """Referee the Verification of Neural Networks Competition."""


@vnncomp.command()
@click.argument("model", type=ANY_PATH, required=False)
@click.argument("property", type=ANY_PATH, required=False)
@click.argument("witness", type=ANY_PATH, required=False)
@click.option(
    "--index",
    type=ANY_PATH,
    metavar="CSV",
    help="Every witness of a CSV file: columns onnx, vnnlib, ce_file.",
)
@click.option("--format", "format_", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--output", type=ANY_PATH, metavar="FILE", help="Write the rows there, complete or not at all.")
@click.option(
    "--summary", type=ANY_PATH, metavar="FILE", help="With --index: write the summary there as JSON."
)
@click.option(
    "--jobs", type=click.IntRange(min=0), default=0, metavar="N", help="Processes; 0: one per core."
)
def witness(
    model: Path | None, property: Path | None, witness: Path | None, index: Path | None, **choices: Any
) -> ExitCode:
    """Rule on the point in WITNESS: does PROPERTY hold there, exactly, in float32, or only with a tolerance?

    Exit codes of one witness: 0 it holds as published; 1 it does not, though moved into its region it may;
    4 undecided; 3 no readable point, or an unsupported network. With --index: 0 once every witness has a ruling.
    """
    if index is not None:
        if model is not None:
            raise click.UsageError("give MODEL PROPERTY WITNESS or --index, not both")
        return _index(index, **choices)
    if model is None or property is None or witness is None:
        raise click.UsageError("give MODEL PROPERTY WITNESS, or --index CSV")
    return _single(model, property, witness, **choices)


def _single(
    model: Path,
    property: Path,
    witness: Path,
    format_: str,
    output: Path | None,
    summary: Path | None,
    jobs: int,
) -> ExitCode:
    from tlcheck.vnncomp.index import Entry, rule_entry
    from tlcheck.vnncomp.render import Rows, detail_lines

    if summary is not None:
        raise click.UsageError("--summary goes with --index")
    for path in (model, property, witness):
        if not path.is_file():
            raise InvalidInput("TLC402", "no such file", file=str(path))
    names = {"onnx": str(model), "vnnlib": str(property), "ce_file": str(witness)}
    row = rule_entry(Entry(model, property, witness, names))
    rows = Rows(format_)
    with Output(output) as out:
        body = detail_lines(row) if format_ == "text" else rows.row(row)
        out.write(rows.start() + body + rows.end())
    if row["code"] == "TLC901":
        return ExitCode.BUG
    return ExitCode.UNPROVEN if row["code"] in ("TLC012", "TLC016") else EXIT_OF[row["ruling"]]


def _index(index: Path, format_: str, output: Path | None, summary: Path | None, jobs: int) -> ExitCode:
    import msgspec

    from tlcheck.vnncomp.index import read_index, rule_index
    from tlcheck.vnncomp.index import summary as summarize
    from tlcheck.vnncomp.render import Rows, summary_text

    entries = read_index(index)
    if not entries:
        raise click.UsageError(f"no witness in {click.format_filename(index)}")
    rows = Rows(format_)
    found = []
    with Output(output) as out:
        out.write(rows.start())
        for row in rule_index(entries, jobs):
            found.append(row)
            out.write(rows.row(row))
        out.write(rows.end())
        result = summarize(entries, found)
        if format_ == "text":
            out.write(summary_text(result))
    if format_ != "text" and sys.stderr.isatty():
        click.echo(summary_text(result), err=True)
    if summary is not None:
        with Output(summary) as out:
            out.write(msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")
    return ExitCode.BUG if any(row["code"] == "TLC901" for row in found) else ExitCode.OK
