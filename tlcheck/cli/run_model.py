"""``tlcheck run``: execute a model at points, and say what holds for every execution that a runtime profile allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tlcheck.cli.data_options import ANY_PATH, asked_of, data_options, names_in
from tlcheck.cli.output import Output
from tlcheck.cli.profile_option import PROFILE
from tlcheck.cli.stages import stage_bars
from tlcheck.report.record import ExitCode

if TYPE_CHECKING:
    from tlcheck.conformance.running import Asked
    from tlcheck.robust.questions import Settings

PROVIDERS: Final = ("cpu", "cuda")
FORMATS: Final = ("text", "json", "markdown", "html")


class Sizes(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Whole numbers from 1 on, parted by commas, each once."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(p.isascii() and p.isdigit() and 0 < int(p) <= 1 << 20 for p in parts) or len(
            set(parts)
        ) != len(parts):
            self.fail(f"{value!r}: whole numbers from 1 on, each once, parted by commas", param, ctx)
        return tuple(map(int, parts))


@click.command()
@click.argument("model", type=ANY_PATH)
@click.option("--inputs", type=ANY_PATH, metavar="FILE|FOLDER", required=True,
              help=".npz (arrays by the inputs' names), .npy, .csv, .safetensors, or a folder of pictures.")  # fmt: skip
@data_options
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N points.")
@PROFILE
@click.option("--provider", "providers", type=click.Choice(PROVIDERS), multiple=True, default=("cpu",), show_default=True,
              help="Where it is executed; may be repeated: the first is compared with the others.")  # fmt: skip
@click.option("--graph", type=click.Choice(("file", "basic")), default="file", show_default=True,
              help="The model as it is, or what onnxruntime's basic optimisations make of it, hashed and read back.")  # fmt: skip
@click.option(
    "--batch", type=Sizes(), default="1", show_default=True, metavar="N,..", help="Batch sizes to compare."
)
@click.option(
    "--threads", type=Sizes(), default="1", show_default=True, metavar="N,..", help="Threads to compare."
)
@click.option(
    "--repeat",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    metavar="N",
    help="Executions to compare.",
)
@click.option(
    "--layers",
    is_flag=True,
    help="Compare every tensor of the graph, and name the first that leaves its enclosure.",
)
@click.option(
    "--against",
    multiple=True,
    metavar="PROVIDER|MODEL",
    help="Compare with another provider, or another model; may be repeated.",
)
@click.option(
    "--outputs", type=ANY_PATH, metavar="OUT.npz", help="Write the points, the outputs and their enclosures."
)
@click.option("--format", "format_", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("-o", "--output", type=ANY_PATH, metavar="X.tlcert",
              help="Write a conformance certificate: `tlcheck verify` checks it without this runtime or device.")  # fmt: skip
def run(model: Path, format_: str, output: Path | None, outputs: Path | None, **choices: Any) -> ExitCode:
    """Execute MODEL with onnxruntime at --inputs, and prove what every float32 execution gives there.

    Two statements, never mixed: every execution that the runtime profile allows lies in these enclosures (proved); this
    runtime's outputs lie inside them (observed). With --labels, also which labels no execution can flip.

    Exit codes: 0 all inside and every label decided; 1 some output outside; 4 a label, or a point, undecided; 3 unreadable, or
    the profile lacks an operator.
    """
    from tlcheck.conformance.executable import load_subject
    from tlcheck.conformance.run_formats import RENDERERS
    from tlcheck.conformance.run_points import read_points
    from tlcheck.conformance.running import run as execute
    from tlcheck.readers.runtime_profile import chosen_profile
    from tlcheck.runtime.ort import check_library

    check_library()
    asked = _asked(choices)
    _check_targets(output, outputs)
    profile = chosen_profile(choices["profile"])
    subject = load_subject(model, asked.level)
    inputs = read_points(choices["inputs"], subject.graph, _settings(choices))
    with stage_bars() as tell, Output(None) as out:
        ran = execute(subject, profile, inputs, asked, tell)
        document = ran.document
        if output is not None:
            document = _certificate(output, subject, choices["profile"], ran)
        if outputs is not None:
            _write_outputs(outputs, ran)
        out.write(RENDERERS[format_](document))
    return ran.exit_code


def _asked(choices: Mapping[str, Any]) -> Asked:
    """Raises UsageError."""
    from tlcheck.conformance.running import Asked

    providers: Sequence[str] = choices["providers"]
    if len(set(providers)) != len(providers):
        raise click.UsageError("--provider: each once")
    return Asked(
        tuple(providers), choices["batch"], choices["threads"], choices["repeat"], choices["graph"], choices["layers"],
        tuple(choices["against"]),
    )  # fmt: skip


def _settings(choices: Mapping[str, Any]) -> Settings:
    """Raises UsageError: numbers that cannot be meant."""
    from tlcheck.robust.questions import Settings

    plain = {name: choices[name] for name in ("mean", "std", "divide", "limit")}
    data, classes = asked_of(choices), names_in("--classes", choices["classes"])
    return Settings(Fraction(0), **plain, layout=choices["layout"] or "", classes=classes, data=data)


def _check_targets(output: Path | None, outputs: Path | None) -> None:
    """Before anything takes long."""
    from tlcheck.cli.output import check_writable
    from tlcheck.writers.bundle import check_target

    if output is not None:
        check_target(output)
    if outputs is not None:
        if outputs.suffix != ".npz":
            raise click.UsageError("--outputs is a name in .npz")
        check_writable(outputs)


def _certificate(output: Path, subject: Any, profile: str, ran: Any) -> Any:
    """Written unless some output is outside; the report then says where."""
    from msgspec.structs import replace

    from tlcheck.conformance.certificate import write_certificate
    from tlcheck.readers.runtime_profile import document_of

    if ran.document.outside_count or ran.document.within is None:
        click.echo(
            "no certificate: some output lies outside, or there is no enclosure at some point", err=True
        )
        return ran.document
    write_certificate(output, subject, document_of(profile), ran)
    return replace(ran.document, certificate=click.format_filename(output))


def _write_outputs(target: Path, ran: Any) -> None:
    from io import BytesIO

    import numpy as np

    from tlcheck.cli.output import replace_file

    content = BytesIO()
    np.savez_compressed(content, inputs=ran.points, outputs=ran.values, lower=ran.lower, upper=ran.upper)
    replace_file(target, content.getvalue())
