"""``tlcheck calibrate``: a runtime profile out of measurements on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tlcheck.cli.output import Output
from tlcheck.report.record import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlcheck.runtime.calibration import Asked, Calibration

ANY_PATH: Final = click.Path(path_type=Path)


@click.command()
@click.option(
    "--provider", type=click.Choice(("cpu", "cuda")), default="cpu", show_default=True, help="Of onnxruntime."
)
@click.option(
    "--functions",
    metavar="NAME,..",
    default="",
    help="Only these, by their names in profiles.  [default: all]",
)
@click.option(
    "--sample", type=click.IntRange(min=1, max=1 << 24), default=1, show_default=True, metavar="K",
    help="Every K-th float only, as the document then says.",
)  # fmt: skip
@click.option("-o", "--output", type=ANY_PATH, metavar="FILE", help="The profile; else standard output.")
@click.option("--resume", type=ANY_PATH, metavar="FILE", help="Journal that the measurement continues from.")
def calibrate(
    provider: str, functions: str, sample: int, output: Path | None, resume: Path | None
) -> ExitCode:
    """Measure how accurately onnxruntime computes elementary functions here, over all 2^32 floats, and write a profile.

    Some minutes for each function; `--profile FILE` of other commands reads what it writes. It is about this machine's kernels.
    """
    from tlcheck.cli.progress import count_bar
    from tlcheck.runtime.calibration import Asked, Calibration, json_text
    from tlcheck.runtime.ort import check_library
    from tlcheck.runtime.references import FUNCTIONS

    check_library()
    names = (
        tuple(dict.fromkeys(name.strip() for name in functions.split(","))) if functions else tuple(FUNCTIONS)
    )
    unknown = [name for name in names if name not in FUNCTIONS]
    if unknown:
        raise click.UsageError(f"--functions {unknown[0]}: none of {', '.join(FUNCTIONS)}")
    asked = Asked(provider, names, sample)
    with Output(output) as out, count_bar("blocks of floats") as tell:
        work = Calibration(asked, tell=tell) if resume is None else _resumed(asked, resume, tell)
        out.write(json_text(work.run()))
    return ExitCode.OK


def _resumed(asked: Asked, path: Path, tell: Callable[[int, int, str], None]) -> Calibration:
    """What the journal has for this onnxruntime, hardware and sample is taken over. Raises InvalidInput."""
    import onnxruntime

    from tlcheck.checking.journal import Lines, measure_key
    from tlcheck.runtime.calibration import Calibration, Errors, hardware

    key = measure_key(onnxruntime.__version__, asked.provider, asked.sample, hardware(asked.provider))
    journal = Lines.at(path, key)
    earlier: dict[tuple[str, int], Errors] = {}
    for row in journal.rows("blocks"):
        match row:
            case [str(name), int(k), str(absolute), str(relative)]:
                earlier[name, k] = Errors(float.fromhex(absolute), float.fromhex(relative))

    def keep(name: str, k: int, errors: Errors) -> None:
        if errors.bad is None:
            journal.append("blocks", [[name, k, errors.absolute.hex(), errors.relative.hex()]])

    return Calibration(asked, lambda name, k: earlier.get((name, k)), keep, tell)
