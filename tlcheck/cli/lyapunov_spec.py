"""``tlcheck lyapunov-spec``: what published Lyapunov queries say once they are proved, and what they leave out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from tlcheck.report.record import ExitCode

ANY_PATH = click.Path(path_type=Path)


@click.command("lyapunov-spec")
@click.argument("specs", type=ANY_PATH, nargs=-1, required=True, metavar="SPEC...")
@click.option("--model", type=ANY_PATH, metavar="NET.onnx", help="The network: its kappa is measured.")
def lyapunov_spec(specs: Sequence[Path], model: Path | None) -> ExitCode:
    """Say what each SPEC states, if it is proved, and what it does not.

    SPEC is a query in VNN-LIB, a list of queries (.csv: do their boxes together cover a region?), or a two-stage
    specification (.json). It is never stability: for that see `tlcheck certify-lyapunov`.
    """
    for spec in specs:
        heading, *lines = _says(spec, model)  # all of it, or an error and none of it
        for line in (heading, *(f"  {line}" for line in lines)):
            click.echo(line)
    return ExitCode.OK


def _says(spec: Path, model: Path | None) -> Iterator[str]:
    """A heading, and a sentence a line. Raises InvalidInput."""
    from tlcheck.errors import InvalidInput
    from tlcheck.limits import MAX_PROPERTY_BYTES
    from tlcheck.readers.artifacts import artifact_format
    from tlcheck.readers.bytes import read_bytes
    from tlcheck.readers.onnx import load_model
    from tlcheck.readers.own.lyapunov_specs import label, read_covers, read_two_stage
    from tlcheck.readers.vnnlib.read import read_named_query

    if spec.suffix == ".csv":
        for cover in read_covers(spec):
            yield f"{spec}: {len(cover.queries)} queries"
            yield from cover.says()
        return
    if spec.suffix == ".json":
        if artifact_format(spec) == "tlcheck.stability":
            raise InvalidInput(
                "TLC101", "a stability claim: it says what it proves", file=str(spec),
                expected="a query; for this, tlcheck certify-lyapunov, or show once it has a proof",
            )  # fmt: skip
        yield f"{spec}: a band between two levels"
        yield from read_two_stage(read_bytes(spec), str(spec)).says()
        return
    graph = None if model is None else load_model(model)
    data = read_bytes(spec, limit=MAX_PROPERTY_BYTES)
    says = label(read_named_query(data, graph, file=str(spec))[0], graph)
    if says is None:
        raise InvalidInput("TLC101", "not a Lyapunov query of a known shape", file=str(spec))
    yield f"{spec}:"
    yield from says
