"""``tlcheck vnnlib``: the solver interface of VNN-LIB 2.0, chapter 5.

Standard output holds the answer alone: its first line is ``sat``, ``unsat``, ``unknown`` or ``timed-out``. Notes go to
standard error. What is not supported is ``unknown`` with exit code 3; malformed or ill-typed input has no answer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tlcheck import __version__, timer
from tlcheck.cli.profile_option import PROFILE
from tlcheck.cli.seconds import Seconds
from tlcheck.errors import InvalidInput
from tlcheck.options import SEMANTICS
from tlcheck.report.record import ExitCode
from tlcheck.solver.capabilities import ALIASES, CAPABILITIES

if TYPE_CHECKING:
    from tlcheck.runtime.execution import Point
    from tlcheck.solver.solve import Answer

ANY_PATH: Final = click.Path(path_type=Path)
NAME: Final = "tlcheck"
DEFAULT_SECONDS: Final = 60.0
"""Time of a search without --timeout."""
RESERVE: Final = 0.75
"""Seconds of the time limit that are left for starting and ending the process, at most a third of it."""
UNSUPPORTED: Final = ("TLC202", "TLC302", "TLC304", "TLC401")
"""Codes of input that is well formed and beyond tlcheck: the answer is unknown."""


class _OutOfTime(BaseException):
    """The time limit, in the middle of a step."""


@click.group(invoke_without_command=True)
@click.option("--name", is_flag=True, help="Print the solver's name.")
@click.option("--version", is_flag=True, help="Print the solver's version.")
@click.pass_context
def vnnlib(context: click.Context, name: bool, version: bool) -> ExitCode:
    """Answer VNN-LIB queries: the solver interface of the standard's chapter 5."""
    if context.invoked_subcommand is not None:
        if name or version:
            raise click.UsageError("--name and --version take no command")
        return ExitCode.OK
    if name == version:
        raise click.UsageError("give a command, --name or --version")
    click.echo(NAME if name else __version__)
    return ExitCode.OK


def _capability_options(function: Callable[..., ExitCode]) -> Callable[..., ExitCode]:
    for name in reversed([*CAPABILITIES, *ALIASES]):
        hidden = name in ALIASES
        function = click.option(
            f"--{name}",
            "chosen",
            flag_value=ALIASES.get(name, name),
            default=None,
            hidden=hidden,
            multiple=False,
        )(function)
    return function


@vnnlib.command()
@_capability_options
def supports(chosen: str | None) -> ExitCode:
    """Print what is supported, one capability at a time."""
    if chosen is None:
        raise click.UsageError("name a capability, for example --onnx-operators")
    for line in CAPABILITIES[chosen]():
        click.echo(line)
    return ExitCode.OK


@vnnlib.command()
@click.argument("query", type=ANY_PATH)
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="NAME=FILE",
    help="The ONNX model of a declared network; once for each that is not equal-to another.",
)
@click.option("--timeout", type=Seconds(min=0), metavar="SECONDS", help="Time limit.  [default: 60]")
@click.option(
    "--serialise-assignments",
    "--assignments",
    "folder",
    type=ANY_PATH,
    metavar="DIR",
    help="After sat, write each variable there as an ONNX tensor, NAME.pb, instead of to standard output.",
)
@click.option("--certificate", type=ANY_PATH, metavar="FILE", help="A proof or witness to check first.")
@click.option("--witness", "witness_file", type=ANY_PATH, metavar="FILE", help="A witness to check first.")
@click.option(
    "--proof-out", "proof", type=ANY_PATH, metavar="X.tlcert",
    help="After unsat or sat, write a bundle with the proof or the witness there, for `tlcheck verify`.",
)  # fmt: skip
@click.option(
    "--semantics",
    type=click.Choice(SEMANTICS),
    default="real",
    show_default=True,
    help="deployed: unsat and sat must hold for every float32 execution, or the answer is unknown.",
)
@PROFILE
def verify(
    query: Path,
    networks: Sequence[str],
    timeout: float | None,
    folder: Path | None,
    certificate: Path | None,
    witness_file: Path | None,
    proof: Path | None,
    semantics: str,
    profile: str,
) -> ExitCode:
    """Answer QUERY: sat with a witness, unsat with a proof, both checked by tlcheck's kernel, or unknown."""
    from tlcheck.readers.runtime_profile import chosen_profile

    start = timer.now()
    limit = DEFAULT_SECONDS if timeout is None else timeout
    seconds = limit - min(RESERVE, limit / 3)
    files = _files(networks)
    chosen_profile(profile)
    if proof is not None:
        from tlcheck.writers.bundle import check_target

        check_target(proof)
    try:
        with timer.alarm(max(seconds, 0.001) + RESERVE / 3, _OutOfTime):
            answer = _solve(query, files, seconds, start, certificate, witness_file, semantics, profile)
    except _OutOfTime:
        click.echo("timed-out")
        return ExitCode.OK
    except InvalidInput as error:
        if error.code in UNSUPPORTED:
            click.echo("unknown")
            sys.stdout.flush()
        raise
    code = _print(answer, folder)
    if proof is not None and answer.evidence is not None:
        _write_proof(proof, query, files, answer)
    return code


def _write_proof(target: Path, query: Path, files: dict[str, Path], answer: Answer) -> None:
    """What shows the answer, in a bundle; a line on standard error where a bundle cannot hold it."""
    from tlcheck.solver.kept import write_evidence

    problem = write_evidence(target, query, list(files.values()), answer)
    if problem:
        click.echo(f"no file of the evidence: {problem}", err=True)


def _files(networks: Sequence[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for given in networks:
        name, equals, path = given.partition("=")
        if not (name and equals and path):
            raise click.UsageError(
                f"--network takes NAME=FILE, not {given!r}: with the name that the query declares (any for VNN-LIB 1.0), for "
                f"example --network N={click.format_filename(path or name or 'NET.onnx')}"
            )
        if name in files:
            raise click.UsageError(f"--network {name} is given twice")
        files[name] = Path(path)
    return files


def _solve(
    query: Path,
    files: dict[str, Path],
    seconds: float,
    start: float,
    certificate: Path | None,
    witness_file: Path | None,
    semantics: str,
    profile: str,
) -> Answer:
    from tlcheck.readers.vnnlib.joint import load_joint
    from tlcheck.readers.vnnlib.witness import Names, load_witness
    from tlcheck.solver.solve import Solver

    joint = load_joint(query, files)
    witnesses: list[Point] = []
    notes: list[str] = []
    if witness_file is not None:
        names = Names.of(joint.declared, joint.graph)
        try:
            witness = load_witness(witness_file, joint.graph.n_inputs, names)
        except InvalidInput as error:  # the query can still be answered
            notes.append(f"witness left out: {error.line()} [{error.code}]")
        else:
            witnesses += [witness.inputs] if witness is not None else []
    return Solver(joint, seconds, semantics, profile, witnesses, certificate, notes, start=start).answer()


def _print(answer: Answer, folder: Path | None) -> ExitCode:
    from tlcheck.report.text import printable
    from tlcheck.solver.assignment import as_text, write_files

    text = f"{answer.verdict}\n"
    if answer.verdict == "sat" and folder is not None:
        write_files(folder, answer.values)
    elif answer.verdict == "sat":
        text += as_text(answer.values)
    click.echo(text, nl=False)
    sys.stdout.flush()
    for note in answer.notes:
        click.echo(printable(note), err=True)
    return ExitCode.OK
