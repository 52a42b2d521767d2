"""``tlcheck kernels``: the native kernels, listed, checked, measured."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tlcheck.errors import InvalidInput
from tlcheck.report.record import ExitCode

if TYPE_CHECKING:
    from tlcheck.kernels.calls import Calls
    from tlcheck.kernels.sanitize import Run

ANY_PATH: Final = click.Path(path_type=Path)
ON: Final = click.option(
    "--on", type=click.Choice(("host", "device", "both")), default="both", show_default=True,
    help="Where; both: on a device too, where there is one.",
)  # fmt: skip
ENTRIES: Final = click.option(
    "--entries", type=click.IntRange(min=1), default=100_000, show_default=True, metavar="N", help="Bounds of each kernel."
)  # fmt: skip


@click.group()
def kernels() -> None:
    """The native kernels behind `--arith directed`: their sources are in kernels/, with statements and proofs."""


@kernels.command("list")
def list_() -> ExitCode:
    """What there is: the kernels, their sources, the compiler, the device."""
    from tlcheck.kernels.build import folder, sources_sha256
    from tlcheck.kernels.check import CASES

    click.echo(f"sources    {folder()}, sha256 {sources_sha256()}")
    for name, call in (("host", _host), ("device", _device)):
        click.echo(f"{name:<10} {_named(call)}")
    for name in CASES:
        click.echo(f"kernel     {name}: {_first_sentence(folder(), name)}")
    return ExitCode.OK


def _first_sentence(folder: Path, name: str) -> str:
    """Of the comment that its file begins with."""
    text = (folder / f"{name}.h").read_text(encoding="utf-8").removeprefix("/*")
    return " ".join(re.split(r"\.\s", text)[0].replace("\n *", " ").split())


def _named(call: object) -> str:
    from tlcheck.kernels.device import Device
    from tlcheck.kernels.native import Native

    try:
        found = call() if callable(call) else None
    except InvalidInput as error:
        return f"none: {error.line()}"
    if isinstance(found, Native):
        return f"{found.library.compiler}; {' '.join(found.library.options)}"
    return f"{found.name}, {found.code.architecture}" if isinstance(found, Device) else ""


def _host() -> Calls:
    from tlcheck.kernels.native import native

    return native()


def _device() -> Calls:
    from tlcheck.kernels.device import Device

    return Device()


def _places(on: str) -> list[tuple[str, Calls]]:
    """Where to run. Raises InvalidInput where a place that was named is not there."""
    found = [("host", _host())] if on != "device" else []
    if on != "host":
        try:
            found.append(("device", _device()))
        except InvalidInput as error:
            if on == "device":
                raise
            click.echo(f"device: not tested: {error.line()}")
    return found


@kernels.command()
@ON
@ENTRIES
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the numbers.")
def check(on: str, entries: int, seed: int) -> ExitCode:
    """Compare every kernel with exact arithmetic, on eight kinds of hostile numbers."""
    from tlcheck.kernels.check import check as counts
    from tlcheck.kernels.check import sizes_agree
    from tlcheck.kernels.native import Native

    wrong = False
    for place, calls in _places(on):
        if isinstance(calls, Native):
            wrong |= not sizes_agree(calls.loaded)
        for c in counts(calls, entries, seed):
            wrong |= not c.passed
            click.echo(
                f"{place:<7} {c.kernel:<15} {c.entries:>9,} bounds of {len(c.kinds)} kinds: {c.violations} wrong, "
                f"{c.loose} loose, {c.not_finite:,} without a number"
            )
    return _said(
        wrong, "every bound holds", "a bound is wrong: no verdict of these kernels is worth anything"
    )


def _said(wrong: bool, good: str, bad: str) -> ExitCode:
    click.echo(bad if wrong else good)
    return ExitCode.BUG if wrong else ExitCode.OK


@kernels.command()
@ON
@click.option(
    "--entries",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    metavar="N",
    help="Bounds of each kernel.",
)
def sanitize(on: str, entries: int) -> ExitCode:
    """Run the checks under sanitizers, which must also find the bugs that are planted for them."""
    from tlcheck.kernels.sanitize import on_a_device, on_the_host

    wrong = False
    if on != "device":
        wrong |= _ran("host", on_the_host(entries))
    if on != "host":
        try:
            wrong |= _ran("device", on_a_device(entries))
        except InvalidInput as error:
            if on == "device":
                raise
            click.echo(f"device: not tested: {error.line()}")
    return _said(
        wrong, "nothing found but what was planted", "a sanitizer found something, or missed what was planted"
    )


def _ran(place: str, runs: Iterable[Run]) -> bool:
    wrong = False
    for run in runs:
        wrong |= not run.passed
        asked = f"planted {run.planted}" if run.planted else "clean"
        click.echo(
            f"{place:<7} {run.tool:<19} {asked:<32} {'as asked' if run.passed else 'NOT SO'}: {run.said}"
        )
    return wrong


@kernels.command()
@ON
def bench(on: str) -> ExitCode:
    """Rates, as parts of the rate of the same machine's product of doubles (one core; or the device)."""
    from threadpoolctl import threadpool_limits

    from tlcheck.kernels.bench import on_a_device, on_the_host

    with threadpool_limits(1, "blas"):
        for place, calls in _places(on):
            for r in on_the_host(calls) if place == "host" else on_a_device():
                click.echo(
                    f"{place:<7} {r.shape:<25} {r.kernel:<16} {r.kernel_ns:8.3f} ns a multiply-add, dgemm {r.dgemm_ns:.3f}: "
                    f"{100 * r.ratio:.0f} % of its rate"
                )
    return ExitCode.OK


@kernels.command()
@ON
@click.option(
    "--trace",
    type=ANY_PATH,
    metavar="FILE",
    help="A trace of every call, for ui.perfetto.dev (FILE-host, FILE-device where it is of both).",
)
def profile(on: str, trace: Path | None) -> ExitCode:
    """What each kernel takes in the benchmark's products: time, rate, multiply-adds a byte."""
    from tlcheck.cli.output import Output
    from tlcheck.kernels.bench import on_the_host
    from tlcheck.kernels.recorder import Recorder

    for place, calls in _places(on):
        recorder = Recorder(calls)
        for _ in on_the_host(recorder):
            pass
        if trace is not None:
            with Output(trace.with_stem(f"{trace.stem}-{place}") if on == "both" else trace) as out:
                out.write(recorder.trace())
        for total in recorder.totals():
            click.echo(
                f"{place:<7} {total.kernel:<15} {total.calls:>4} calls {total.seconds:8.3f} s {total.rate:8.2f}e9 multiply-adds/s"
                f" {total.intensity:8.1f} a byte"
            )
    return ExitCode.OK
