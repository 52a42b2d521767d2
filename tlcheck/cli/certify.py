"""``tlcheck certify``: a network and a property; a certificate of the answer, checked as ``tlcheck verify`` checks it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from tlcheck import timer
from tlcheck.cli.output import Output, OutputError, check_writable, line_width, unusable, use_color
from tlcheck.cli.profile_option import PROFILE
from tlcheck.cli.progress import Ticker, clock_text
from tlcheck.cli.search_options import JOBS, SEED, TIMEOUT
from tlcheck.errors import InvalidInput
from tlcheck.options import SEMANTICS, Options
from tlcheck.report.record import ExitCode

if TYPE_CHECKING:
    from tlcheck.checking.journal import Lines
    from tlcheck.prover.hints import Hinted
    from tlcheck.prover.prover import Limits, Prover, Standing, Unknown
    from tlcheck.prover.question import Question
    from tlcheck.prover.refute import Point
    from tlcheck.report.record import FileResult, Run, Searched
    from tlcheck.trusted.arith.profile import Profile
    from tlcheck.trusted.guidance import Guidance

    Answer = Literal["unsat", "sat", "unknown"]

ANY_PATH: Final = click.Path(path_type=Path)
FORMATS: Final = ("text", "json")
STOPPED: Final = "TLC015"
WITNESS_VALUES: Final = 8
"""Values of a witness that the answer line says."""


@click.command()
@click.argument("model", type=ANY_PATH)
@click.argument("property", type=ANY_PATH)
@click.option("-o", "--output", type=ANY_PATH, metavar="X.tlcert", required=True, help="The bundle to write.")
@TIMEOUT
@JOBS
@click.option(
    "--device", type=click.Choice(("cpu", "cuda")), default="cpu", show_default=True, help="What searches."
)
@click.option(
    "--semantics", type=click.Choice(SEMANTICS), default="real", show_default=True,
    help="real: the exact function; deployed: every float32 execution too.",
)  # fmt: skip
@PROFILE
@click.option(
    "--from", "evidence", type=ANY_PATH, metavar="EVIDENCE",
    help="Another tool's work on this query, to be completed: hints, believed in no way.",
)  # fmt: skip
@click.option("--resume", type=ANY_PATH, metavar="FILE", help="Journal that the search continues from.")
@SEED
@click.option("--format", "format_", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("-v", "--verbose", is_flag=True, help="What `tlcheck verify -v` says of the certificate.")
@click.option("--color", type=click.Choice(("auto", "always", "never")), default="auto", show_default=True)
def certify(model: Path, property: Path, output: Path, device: str, **choices: Any) -> ExitCode:
    """Answer PROPERTY (VNN-LIB) of MODEL (ONNX) with a certificate: unsat with a proof, or sat with a witness.

    The certificate holds both files and is checked as `tlcheck verify` checks it, before it is put at X.tlcert. Exit codes are
    those of verify: 0 it is there, and CERTIFIED, whichever the answer; 4 unknown, and nothing is written.
    """
    start, chosen = timer.now(), Choices(**choices)
    try:
        run = _run(model, property, output, device, chosen, start)
    except (InvalidInput, OutputError, OSError) as error:
        if chosen.format_ != "json" or (reason := _reason(error)) is None:
            raise
        code = _written(_refused(reason, output, timer.now() - start), chosen)
        return code if isinstance(error, InvalidInput) else ExitCode.USAGE
    return _written(run, chosen)


def _run(model: Path, property: Path, output: Path, device: str, choices: Choices, start: float) -> Run:
    """Raises InvalidInput, OutputError."""
    from tlcheck.prover.question import Question
    from tlcheck.writers.bundle import check_target

    check_target(output)
    if not output.is_dir():
        check_writable(output)
    if device != "cpu":
        raise InvalidInput("TLC505", f"no engine for {device} is installed: use --device cpu")
    return Work(Question.load(model, property), output, choices, start).run()


def _reason(error: InvalidInput | OutputError | OSError) -> InvalidInput | None:
    """What is wrong with what was given; None: a bug."""
    if isinstance(error, InvalidInput):
        return error
    said = unusable(error) if isinstance(error, OSError) else error.format_message()
    return None if said is None else InvalidInput("TLC402", said)


def _refused(reason: InvalidInput, output: Path, seconds: float) -> Run:
    """The document of a run that ended before there was an answer: INVALID."""
    from tlcheck.report.record import Run, Searched, invalid

    searched = Searched("unknown", 0, 0, None, reason.line(), seconds)
    return Run((invalid(str(output), reason),), seconds, searched=searched)


@dataclass(frozen=True, kw_only=True)
class Choices:
    timeout: float
    jobs: int
    semantics: str
    profile: str
    evidence: Path | None
    resume: Path | None
    seed: int
    format_: str
    verbose: bool
    color: str


def _written(run: Run, choices: Choices) -> ExitCode:
    from tlcheck.report.formats import RENDERERS, Style

    style = Style(color=use_color(choices.color, None), verbose=choices.verbose, width=line_width(None))
    renderer = RENDERERS[choices.format_](style)
    with Output(None) as output:
        if choices.format_ == "text" and run.searched is not None:
            output.write(f"{_line(run.searched)}\n")
        for result in run.results:
            output.write(renderer.file(result))
        output.write(renderer.end(run))
    return run.exit_code


def _line(searched: Searched) -> str:
    """The answer in one line."""
    from tlcheck.report.text import printable

    return printable(f"{searched.answer:9}  {searched.why}; {searched.seconds:.1f} s")


@dataclass(eq=False)
class Work:
    """One question and the way to its certificate."""

    asked: Question
    output: Path
    choices: Choices
    start: float
    _tick: Ticker = field(default_factory=Ticker)

    def run(self) -> Run:
        """Search, write, check. Raises InvalidInput; nothing is left behind then, and on ``unknown``."""
        from tlcheck.report.record import Run
        from tlcheck.trusted.verdict import Verdict
        from tlcheck.writers.bundle import put_bundle

        with TemporaryDirectory(prefix=f".{self.output.name}.", dir=self.output.parent) as folder:
            part = Path(folder) / self.output.name
            searched, result = self._answered(part)
            run = Run((result,), timer.now() - self.start, searched=searched)
            if run.verdict is Verdict.CERTIFIED:
                put_bundle(part, self.output)
        return run

    def _answered(self, part: Path) -> tuple[Searched, FileResult]:
        from tlcheck.checking.outcome import not_deployable
        from tlcheck.prover.prover import Proof, Prover, Unknown
        from tlcheck.readers.runtime_profile import chosen_profile
        from tlcheck.trusted.arith.profile import NotDeployable
        from tlcheck.trusted.plan import NoRelaxation

        checked: list[FileResult] = []

        def accept(guidance: Guidance) -> bool | str:
            self.asked.proof(part, guidance)
            checked[:] = [self._verified(part)]
            stopped = [c.reason.message for c in checked[0].claims if c.reason.code == STOPPED]
            return f"a proof was found; its check {stopped[0]}" if stopped else _certified(checked[0])

        prover = Prover(
            self.asked.claim, self._limits(), self.asked.whole.content, self._report, self._journal()
        )
        try:
            found = prover.prove(self._hints, accept)
        except NoRelaxation as error:
            raise InvalidInput("TLC202", str(error), file=str(self.asked.model_file)) from None
        except NotDeployable as error:
            raise not_deployable(error) from None
        if isinstance(found, Unknown):
            return self._unknown(found)
        if isinstance(found, Proof):
            return self._searched(
                "unsat", f"no input satisfies the property; {self._closed(prover, found.leaves)}"
            ), checked[0]
        self.asked.witness(part, found.point)
        result = self._verified(part)
        return self._witnessed(
            found.point,
            prover.usual_attack.executed(
                found.point, chosen_profile(self.choices.profile).numbers, self._left
            ),
        ), result

    @cached_property
    def _profile(self) -> Profile | None:
        from tlcheck.readers.runtime_profile import deployed

        return deployed(self.choices.semantics, self.choices.profile)

    @property
    def _left(self) -> float:
        """Seconds for what is said of a witness beside the answer: what the search left over, and a tenth of it anyway."""
        given = self.choices.timeout
        return max(given - (timer.now() - self.start), given / 10)

    def _limits(self) -> Limits:
        from tlcheck.prover.prover import Limits

        given = self.choices
        return Limits(
            seconds=given.timeout, check_seconds=given.timeout, jobs=given.jobs, seed=given.seed,
            deployed=self._profile,
        )  # fmt: skip

    def _verified(self, part: Path) -> FileResult:
        """The bundle, checked as ``tlcheck verify`` does."""
        from tlcheck.verify import verify_path

        given = self.choices
        options = Options(
            jobs=given.jobs,
            semantics=given.semantics,
            profile=given.profile,
            timeout=given.timeout,
            details=given.verbose,
        )
        return replace(verify_path(part, options), path=str(self.output))

    def _journal(self) -> Lines | None:
        from tlcheck.checking.journal import Lines, search_key

        if self.choices.resume is None:
            return None
        return Lines.at(
            self.choices.resume, search_key(self.asked.claim, self.choices.semantics, self._profile)
        )

    @cached_property
    def _hints(self) -> Hinted | None:
        """Raises InvalidInput."""
        from tlcheck.prover.engine import Engine
        from tlcheck.prover.hints import Hinted
        from tlcheck.readers.hints import Subject, read_hints

        if self.choices.evidence is None:
            return None
        with suppress(ValueError):  # a network that no bounds pass through: the prover says so
            subject = Subject(self.asked.graph, self.asked.query, Engine(self.asked.graph).values)
            options = Options(model=self.asked.model_file, property=self.asked.property_file)
            return Hinted(self.asked.claim, read_hints(self.choices.evidence, subject, options))
        return None

    def _closed(self, prover: Prover, leaves: int) -> str:
        """The leaves of a proof, and what closed them where there were hints."""
        if self._hints is None:
            return _leaves(leaves)
        parts = ", ".join(f"{n} {how}" for how, n in self._hints.closed_by(prover.roots).items())
        return f"{_leaves(leaves)}: {parts}; hints: {self._hints.hints.line()}"

    # answers

    def _searched(
        self, answer: Answer, why: str, executed: str = "", found: Unknown | None = None
    ) -> Searched:
        from tlcheck.report.record import Searched

        open_, closed, worst = (0, 0, None) if found is None else (found.open, found.closed, found.worst)
        return Searched(answer, open_, closed, worst, why, timer.now() - self.start, executed)

    def _witnessed(self, point: Point, executed: str) -> Searched:
        from tlcheck.report.numerals import number

        shown = ", ".join(f"X_{i} = {number(x)}" for i, x in enumerate(point[:WITNESS_VALUES]))
        more = f", ... ({len(point)} inputs)" if len(point) > WITNESS_VALUES else ""
        return self._searched("sat", f"the property holds, exactly, at {shown}{more}; {executed}", executed)

    def _unknown(self, found: Unknown) -> tuple[Searched, FileResult]:
        from tlcheck.report.record import FileResult
        from tlcheck.report.result import ClaimResult, Reason
        from tlcheck.trusted.verdict import Verdict

        worst = f", worst bound {found.worst:.4g}" if isfinite(found.worst) else ""
        count = found.open + found.closed
        why = f"{found.why}: {found.open} of {_leaves(count)} open{worst}; nothing written; {self._advice(found)}"
        claim = ClaimResult(
            kind="unsat", statement="no input satisfies the property", verdict=Verdict.UNPROVEN,
            reason=Reason("TLC023", f"neither a proof nor a witness was found: {found.why}"),
            leaves_total=count, leaves_certified=found.closed,
        )  # fmt: skip
        return self._searched("unknown", why, found=found), FileResult(str(self.output), "none", (claim,))

    def _advice(self, found: Unknown) -> str:
        """What to do next."""
        resume = self.choices.resume
        again = "try more --timeout" + (
            f", going on with --resume {click.format_filename(resume)}"
            if resume
            else ", with --resume FILE to go on later"
        )
        from tlcheck.prover.prover import TIME_IS_OVER

        return again if found.why == TIME_IS_OVER else f"{again}; or another tool's evidence with --from"

    def _report(self, standing: Standing) -> None:
        left = f", {clock_text(standing.left)} left" if isfinite(standing.left) and standing.left > 0 else ""
        worst = f", worst bound {standing.worst:.3g}" if isfinite(standing.worst) else ""
        self._tick(f"{standing.stage}: {standing.open} leaves open, {standing.closed} closed{worst}{left}")


def _certified(result: FileResult) -> bool:
    from tlcheck.report.record import Run
    from tlcheck.trusted.verdict import Verdict

    return Run((result,), 0.0).verdict is Verdict.CERTIFIED


def _leaves(count: int) -> str:
    return f"{count} {'leaf' if count == 1 else 'leaves'}"
