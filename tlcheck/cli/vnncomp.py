"""``tlcheck vnncomp``: referee the competition's results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click

from tlcheck.cli.output import Output, OutputError
from tlcheck.cli.search_options import JOBS
from tlcheck.cli.seconds import Seconds
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
@JOBS
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
    from tlcheck.readers.formats.detect import check_there
    from tlcheck.readers.kinds import refusal
    from tlcheck.referee.index import Entry, rule_entry
    from tlcheck.referee.render import Rows, detail_lines

    if summary is not None:
        raise click.UsageError("--summary goes with --index")
    for path in (model, property, witness):
        if check_there(path):
            raise refusal(path, "file", "TLC402")
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

    from tlcheck.cli.progress import count_bar
    from tlcheck.referee.index import read_index, rule_index
    from tlcheck.referee.index import summary as summarize
    from tlcheck.referee.render import Rows, summary_text

    entries = read_index(index)
    if not entries:
        raise click.UsageError(f"no witness in {click.format_filename(index)}")
    rows = Rows(format_)
    found = []
    with Output(output) as out, count_bar("witnesses") as bar:
        out.write(rows.start())
        for row in rule_index(entries, jobs):
            found.append(row)
            bar(len(found), len(entries), row["ce_file"])
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


REPORTS: Final = ("text", "json", "csv")


@vnncomp.command()
@click.argument("results", type=ANY_PATH)
@click.option(
    "--benchmarks",
    type=ANY_PATH,
    multiple=True,
    required=True,
    metavar="DIR",
    help="Networks and properties: a checkout of a year's benchmarks, or a folder of checkouts. Repeatable.",
)
@click.option(
    "--certificates",
    type=ANY_PATH,
    multiple=True,
    metavar="DIR",
    help="Certificates that `tlcheck verify` reads; each counts for the instance it is bound to. Repeatable.",
)
@click.option(
    "--output",
    type=ANY_PATH,
    metavar="DIR",
    help="Write report.json, instances.csv, answers.csv and index.html there, and keep rulings for the next run.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(REPORTS),
    default="text",
    show_default=True,
    help="Standard output.",
)
@click.option("--tool", "tools", multiple=True, metavar="NAME", help="Only answers of this tool. Repeatable.")
@click.option("--benchmark", "names", multiple=True, metavar="NAME", help="Only this benchmark. Repeatable.")
@click.option(
    "--any-year",
    is_flag=True,
    help="Take files from a benchmark folder of another year than the results name.",
)
@JOBS
@click.option(
    "--timeout",
    type=Seconds(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop after that long and report what is known by then; run again to go on.",
)
@click.option(
    "--witness-timeout", type=Seconds(min=0, min_open=True), default=300.0, show_default=True, metavar="SECONDS",
    help="Longest time for one witness.",
)  # fmt: skip
def referee(results: Path, output: Path | None, format_: str, **choices: Any) -> ExitCode:
    """Rule on a competition's RESULTS: each instance sat, unsat, contested, open or unsupported, and why.

    RESULTS is a folder of tools, each with results.csv files and counterexamples, as published since 2022, or the
    folder of one tool. Exit codes: 0 every instance has its verdict; 4 stopped early; 3 unreadable input.
    """
    import msgspec

    from tlcheck.cli.progress import count_bar
    from tlcheck.options import Options
    from tlcheck.referee.benchmarks import Benchmarks
    from tlcheck.referee.overview import answers_csv, instances_csv, summary_text
    from tlcheck.referee.page import render
    from tlcheck.referee.referee import Choices, Referee
    from tlcheck.referee.results import read_results
    from tlcheck.referee.rulings import Store

    tools, names = choices["tools"], choices["names"]
    answers = [
        a
        for a in read_results(results)
        if (not tools or a.tool in tools) and (not names or a.instance.benchmark in names)
    ]
    if not answers:
        raise click.UsageError("no answer of that tool or benchmark in the results")
    benchmarks = Benchmarks(choices["benchmarks"], choices["any_year"])
    if output is not None:
        _make_folder(output)
    limits = Choices(
        choices["jobs"], choices["timeout"], choices["witness_timeout"], Options(jobs=choices["jobs"])
    )
    with Store(None if output is None else output / "rulings.jsonl") as store, count_bar("rulings") as bar:
        run = Referee(
            answers, benchmarks, choices["certificates"], store, limits, results.resolve().name, results
        )
        report = run.run(lambda step: bar(step.done, step.total, step.what))
    document = msgspec.json.format(msgspec.json.encode(report), indent=1).decode() + "\n"
    with Output(None) as out:
        if format_ == "text":
            out.write(summary_text(report))
        for piece in [document] if format_ == "json" else instances_csv(report) if format_ == "csv" else ():
            out.write(piece)
    if output is not None:
        for name, text in (
            ("report.json", document),
            ("instances.csv", "".join(instances_csv(report))),
            ("answers.csv", "".join(answers_csv(report))),
            ("index.html", render(report)),
        ):
            with Output(output / name) as out:
                out.write(text)
    bugs = any(
        a.witness is not None and a.witness.code == "TLC901" for i in report.instances for a in i.answers
    )
    return ExitCode.BUG if bugs else ExitCode.OK if report.complete else ExitCode.UNPROVEN


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(folder, error) from error
