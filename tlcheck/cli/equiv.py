"""``tlcheck equiv``: two networks and a box; how far apart their outputs can be, with a certificate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import click

from tlcheck import timer
from tlcheck.cli.certify import ANY_PATH, FORMATS
from tlcheck.cli.output import Output, check_writable, line_width, use_color
from tlcheck.cli.profile_option import PROFILE
from tlcheck.cli.progress import Ticker, clock_text
from tlcheck.cli.search_options import JOBS, SEED, TIMEOUT
from tlcheck.errors import InvalidInput
from tlcheck.options import SEMANTICS, Options
from tlcheck.report.record import ExitCode

if TYPE_CHECKING:
    from tlcheck.prover.equivalence import Farthest, Models, Outcome
    from tlcheck.prover.prover import Standing
    from tlcheck.report.record import Difference, FileResult, Run, Searched

SHOWN: Final = 8
"""Values of a point that the answer line says."""
NOWHERE: Final = "(not written)"


class Exact(click.ParamType):  # type: ignore[type-arg]
    """An exact number: a decimal, a quotient or a hexadecimal float."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from tlcheck.readers.decimals import exact_number

        if isinstance(value, Fraction):
            return value
        try:
            found = exact_number(str(value).strip())
        except InvalidInput as error:
            self.fail(f"{value!r}: {error.message}; write 0.0001, 1e-4 or 1/10000", param, ctx)
        if found < 0:
            self.fail(f"{value!r} is below 0", param, ctx)
        return found


@click.command()
@click.argument("model", type=ANY_PATH)
@click.argument("other", type=ANY_PATH)
@click.option(
    "--box", required=True, metavar="SPEC",
    help="The inputs: the box of a .vnnlib file; a .json, .csv or .npz file with lower and upper (or center, with --eps); "
    "or LO,HI for all inputs.",
)  # fmt: skip
@click.option("--eps", type=Exact(), metavar="E", help="Inputs within E of the center in the file of --box.")
@click.option(
    "--within",
    type=Exact(),
    metavar="R",
    help="The claim: no output differs by more than R. Without it, a bound is found.",
)
@click.option("-o", "--output", type=ANY_PATH, metavar="X.tlcert", help="The bundle to write.")
@TIMEOUT
@JOBS
@click.option(
    "--semantics", type=click.Choice(SEMANTICS), default="real", show_default=True,
    help="real: the exact functions; deployed: every two float32 executions too.",
)  # fmt: skip
@PROFILE
@SEED
@click.option("--format", "format_", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("-v", "--verbose", is_flag=True, help="What `tlcheck verify -v` says of the certificate.")
@click.option("--color", type=click.Choice(("auto", "always", "never")), default="auto", show_default=True)
def equiv(model: Path, other: Path, box: str, eps: Fraction | None, **choices: Any) -> ExitCode:
    """Prove that MODEL and OTHER (ONNX) differ by at most R on a box of inputs, or find a point where they differ by more.

    The certificate holds both files and the box, and is checked as `tlcheck verify` checks it. Exit codes: 0 CERTIFIED: nowhere
    more than R; 1 more than R at a point, which is evaluated exactly; 4 neither was found.
    """
    start, chosen = timer.now(), Choices(**choices)
    return _written(_run(model, other, (box, eps), chosen, start), chosen)


@dataclass(frozen=True, kw_only=True)
class Choices:
    within: Fraction | None
    output: Path | None
    timeout: float
    jobs: int
    semantics: str
    profile: str
    seed: int
    format_: str
    verbose: bool
    color: str


def _run(model: Path, other: Path, box: tuple[str, Fraction | None], choices: Choices, start: float) -> Run:
    """Raises InvalidInput, OutputError."""
    from tlcheck.prover.box_spec import box_text
    from tlcheck.prover.equivalence import Models
    from tlcheck.writers.bundle import check_target

    if choices.output is not None:
        check_target(choices.output)
        if not choices.output.is_dir():
            check_writable(choices.output)
    spec, eps = box
    real = choices.semantics == "real"
    models = Models.load(model, other, lambda graph: box_text(spec, graph, eps), real=real)
    return Work(models, choices, start).run()


def _written(run: Run, choices: Choices) -> ExitCode:
    from tlcheck.report.formats import RENDERERS, Style
    from tlcheck.report.text import printable

    style = Style(color=use_color(choices.color, None), verbose=choices.verbose, width=line_width(None))
    renderer, searched = RENDERERS[choices.format_](style), run.searched
    with Output(None) as output:
        if choices.format_ == "text" and searched is not None:
            output.write(printable(f"{searched.answer:10}  {searched.why}; {searched.seconds:.1f} s") + "\n")
        for result in run.results:
            output.write(renderer.file(result))
        output.write(renderer.end(run))
    different = (
        searched is not None and searched.answer == "different" and run.exit_code is ExitCode.CERTIFIED
    )
    return ExitCode.REFUTED if different else run.exit_code


@dataclass(eq=False)
class Work:
    """Two networks and the way to the certificate."""

    models: Models
    choices: Choices
    start: float

    def run(self) -> Run:
        """Search, write, check. Raises InvalidInput; nothing is left behind then, and without an answer."""
        from tlcheck.report.record import Run
        from tlcheck.trusted.verdict import Verdict
        from tlcheck.writers.bundle import put_bundle

        self._tick = Ticker()
        target = self.choices.output
        found = self._found()
        with TemporaryDirectory(prefix=".equiv.", dir=None if target is None else target.parent) as folder:
            part = Path(folder) / (target.name if target is not None else "x.tlcert")
            result = self._checked(part, found)
            run = Run((result,), timer.now() - self.start, searched=self._searched(found))
            if target is not None and run.verdict is Verdict.CERTIFIED:
                put_bundle(part, target)
        return run

    def _found(self) -> Outcome:
        from tlcheck.checking.outcome import not_deployable
        from tlcheck.prover.equivalence import Search
        from tlcheck.prover.prover import Limits
        from tlcheck.readers.runtime_profile import deployed
        from tlcheck.trusted.arith.profile import NotDeployable
        from tlcheck.trusted.plan import NoRelaxation

        given = self.choices
        limits = Limits(
            seconds=given.timeout, check_seconds=given.timeout, jobs=given.jobs, seed=given.seed,
            deployed=deployed(given.semantics, given.profile),
        )  # fmt: skip
        try:
            return Search(self.models, limits, self._report).answer(given.within)
        except NoRelaxation as error:
            raise InvalidInput("TLC202", str(error), file=self.models.model.name) from None
        except NotDeployable as error:
            raise not_deployable(error) from None

    def _checked(self, part: Path, found: Outcome) -> FileResult:
        """The bundle of the answer, checked; a difference of the exact functions refutes the claim under both semantics."""
        from tlcheck.verify import verify_path

        evidence = found.witness or found.guidance
        if evidence is None or found.within is None:
            return self._nothing(found)
        self.models.write(part, found.within, evidence)
        given = self.choices
        options = Options(
            jobs=given.jobs, semantics="real" if found.witness else given.semantics, profile=given.profile,
            timeout=given.timeout, details=given.verbose,
        )  # fmt: skip
        return replace(verify_path(part, options), path=self._name)

    @property
    def _name(self) -> str:
        return NOWHERE if self.choices.output is None else str(self.choices.output)

    def _nothing(self, found: Outcome) -> FileResult:
        from tlcheck.report.record import FileResult
        from tlcheck.report.result import ClaimResult, Reason
        from tlcheck.trusted.verdict import Verdict

        said = "the networks' outputs differ by a bounded amount on the box"
        if found.within is not None:
            from tlcheck.readers.bundle.pairs import statement
            from tlcheck.report.numerals import short

            said = statement(short(found.within), True)
        reason = Reason("TLC023", f"neither a proof nor a point was found: {found.why}")
        return FileResult(self._name, "none", (ClaimResult("equiv", said, Verdict.UNPROVEN, reason),))

    def _searched(self, found: Outcome) -> Searched:
        from tlcheck.report.record import Searched

        seconds = timer.now() - self.start
        difference = _difference(found)
        if found.witness is not None:
            return Searched("different", 0, 0, None, _apart(found), seconds, difference=difference)
        if found.guidance is None:
            why = f"{_bounds(found)}; {found.why}; try a larger --within, a smaller box or more --timeout"
            return Searched("unknown", 0, 0, None, why, seconds, difference=difference)
        from tlcheck.report.numerals import short

        limit = short(found.within) if found.within is not None else ""
        why = f"no output differs by more than {limit}; {_bounds(found)}"
        return Searched("equivalent", 0, found.leaves, None, why, seconds, difference=difference)

    def _report(self, standing: Standing) -> None:
        left = f", {clock_text(standing.left)} left" if isfinite(standing.left) and standing.left > 0 else ""
        self._tick(f"{standing.stage}: {standing.open} leaves open, {standing.closed} closed{left}")


def _bounds(found: Outcome) -> str:
    """The proved bound and the largest difference found, side by side."""
    proved = (
        f"proved at most {found.proved:.3g} without splits"
        if found.proved < inf
        else "no bound without splits"
    )
    far = found.farthest
    return (
        proved
        if far is None
        else f"{proved}, largest difference found {far.difference:.3g} (output {far.output})"
    )


def _apart(found: Outcome) -> str:
    from tlcheck.report.numerals import number, short

    far, point = found.farthest, found.witness or ()
    shown = ", ".join(f"X_{i} = {number(x)}" for i, x in enumerate(point[:SHOWN]))
    more = f", ... ({len(point)} inputs)" if len(point) > SHOWN else ""
    by = "" if far is None else f"output {far.output} differs by {far.difference:.6g}, "
    limit = "" if found.within is None else short(found.within)
    return f"{by}more than {limit}, exactly, at {shown}{more}"


def _difference(found: Outcome) -> Difference:
    from tlcheck.checking.outcome import rounded
    from tlcheck.prover.attack import float_near
    from tlcheck.report.numerals import number, short
    from tlcheck.report.record import Difference
    from tlcheck.report.result import Number

    far: Farthest | None = found.farthest
    within = (
        None if found.within is None else Number(short(found.within), float_near(found.within).hex(), "exact")
    )
    proved = rounded(found.proved, "up") if isfinite(found.proved) else None
    if far is None:
        return Difference(within, proved, None)
    point = tuple(map(number, far.point))
    return Difference(within, proved, rounded(far.difference, "down"), far.output, point)
