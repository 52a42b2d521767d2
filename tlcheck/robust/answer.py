"""The answer to one question: the sample itself, evidence of an earlier run, then the search; each decided by the kernel.

- ``wrong``: the sample itself is a counterexample (its class is another, or no more than another one's equal).
- ``attacked``: a counterexample was found; ``decide_sat`` CERTIFIED it.
- ``certified``: a proof was found; ``check_unsat`` CERTIFIED it, over the reals and, where asked, for float32 executions.
- ``undecided``: none of these; ``reason`` says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Final

import numpy as np

from tlcheck import timer
from tlcheck.checking.unsat import check_unsat
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.prover.refute import ruled
from tlcheck.readers.bytes import sha256_hex
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.runtime_profile import DEFAULT, deployed
from tlcheck.report.result import ClaimResult
from tlcheck.robust.questions import Questions
from tlcheck.robust.region import Point
from tlcheck.robust.search import Found, Search, find
from tlcheck.runtime.execution import as_float32, holds
from tlcheck.runtime.ort import ExecutionFailed, Session, make_session
from tlcheck.trusted.arith.arb import Arb, lower_float
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.evaluate import Evaluator
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.query import Query
from tlcheck.trusted.verdict import Verdict

CERTIFIED, ATTACKED, WRONG, UNDECIDED = "certified", "attacked", "wrong", "undecided"
STATUSES: Final = (CERTIFIED, ATTACKED, WRONG, UNDECIDED)

Earlier = Mapping[str, Guidance | Point]
"""Evidence of an earlier run, by the SHA-256 of the question that it is for. Not believed."""


@dataclass(frozen=True, eq=False)
class Answer:
    """``deployed``: the proof holds for every float32 execution too; None where it was not asked or has no rule."""

    sample: int
    status: str
    reason: str = ""
    evidence: Guidance | Point | None = None
    margin: str = ""
    deployed: bool | None = None
    deployed_margin: str = ""
    leaves: int = 0
    clean: bool | None = None
    """The sample itself is no counterexample; None: undecided."""
    executed: bool | None = None
    """Of a counterexample: onnxruntime's float32 execution has it too."""
    seconds: float = 0.0
    taken: bool = False
    """The evidence is an earlier run's."""
    bug: bool = False
    """A bug ended the search; please report it."""


@dataclass(eq=False)
class Worker:
    """Answers questions, each within ``seconds``."""

    questions: Questions
    seconds: float
    semantics: str = "real"
    profile: str = DEFAULT
    earlier: Earlier = field(default_factory=dict)
    jobs: int = 1

    @cached_property
    def evaluator(self) -> Evaluator:
        return Evaluator(self.questions.network.graph)

    @cached_property
    def session(self) -> Session | None:
        """Of onnxruntime, in float32; None where it does not take the model."""
        try:
            return make_session(self.questions.network.whole.content)
        except ExecutionFailed:
            return None

    def answer(self, k: int) -> Answer:
        start = timer.now()
        try:
            found = self._answer(k)
        except InvalidInput:  # the question itself: said once, for all
            raise
        except MemoryError:
            found = Answer(k, UNDECIDED, "out of memory")
        except Exception as error:  # noqa: BLE001  (a bug on one sample is reported as such and does not hide the others)
            what = " ".join(f"{type(error).__name__}: {error}".split())
            found = Answer(k, UNDECIDED, f"a bug in tlcheck: {what} [TLC901]", bug=True)
        return replace(found, seconds=timer.now() - start)

    def _answer(self, k: int) -> Answer:
        text = self.questions.text(k)
        graph = self.questions.network.graph
        query = self.questions.query(k, self.questions.file(k))
        point = self.questions.point(k)
        clean = ruled(SatClaim(graph, query, point), self.evaluator)
        if clean.verdict is Verdict.CERTIFIED:
            reason = "the property is violated at the sample"
            if not self.questions.template:
                reason = other_class(self.questions, k, clean.outputs, "the sample")
            return Answer(k, WRONG, reason, point, clean=False)
        right = True if clean.verdict is Verdict.REFUTED else None
        judge = Judge(self, k, query, right)
        old = self.earlier.get(sha256_hex(text))
        if old is not None:
            taken = judge.answer(Found(old))
            if taken.status != UNDECIDED:
                return replace(taken, taken=True)
        profile = deployed(self.semantics, self.profile)
        model = self.questions.network.whole.content
        return judge.answer(find(judge.claim, model, Search(self.seconds, self.jobs, profile), judge.accepts))


@dataclass(eq=False)
class Judge:
    """What evidence for one question shows. ``clean``: of the sample itself."""

    worker: Worker
    sample: int
    query: Query
    clean: bool | None
    _checked: tuple[Guidance, Answer] | None = None
    """A proof, and what its check said."""

    @property
    def questions(self) -> Questions:
        return self.worker.questions

    @property
    def claim(self) -> UnsatClaim:
        return UnsatClaim(self.questions.network.graph, self.query)

    def answer(self, found: Found) -> Answer:
        if found.evidence is None:
            return self._undecided(found.reason)
        if isinstance(found.evidence, Guidance):
            return self._proved(found.evidence)
        return self._attacked(found.evidence)

    def accepts(self, guidance: Guidance) -> bool:
        """The check of this proof certifies it."""
        return self._proved(guidance).status == CERTIFIED

    def _undecided(self, reason: str) -> Answer:
        return Answer(self.sample, UNDECIDED, reason, clean=self.clean)

    def _attacked(self, point: Point) -> Answer:
        graph, asked = self.questions.network.graph, self.questions.settings
        if len(point) != graph.n_inputs:
            return self._undecided("no witness")
        outcome = ruled(SatClaim(graph, self.query, point), self.worker.evaluator)
        if outcome.verdict is not Verdict.CERTIFIED:
            return self._undecided(outcome.message)
        if asked.norm == "l2-box":
            away = self.questions.ball.distance_squared(self.questions.scaled(self.sample), point)
            if away > asked.eps**2:
                at = f"{float(away) ** 0.5:.4g}"
                return self._undecided(f"a counterexample in the box, at l2 distance {at}: outside the ball")
        reason = ""
        if not self.questions.template:
            reason = other_class(self.questions, self.sample, outcome.outputs, "a counterexample")
        return Answer(self.sample, ATTACKED, reason, point, clean=self.clean, executed=self._executed(point))

    def _executed(self, point: Point) -> bool | None:
        """onnxruntime's float32 execution satisfies the query there too; None where it cannot be executed there."""
        session, single = self.worker.session, as_float32(point)
        if session is None or single is None:
            return None
        try:
            outputs = session.run(single)
        except (ExecutionFailed, ValueError):
            return None
        if not np.isfinite(outputs).all():
            return False
        values = tuple(map(Fraction, outputs.tolist()))
        return any(holds(disjunct, point, values) for disjunct in self.query.disjuncts)

    def _proved(self, guidance: Guidance) -> Answer:
        if self._checked is None or self._checked[0] is not guidance:
            self._checked = guidance, self._check(guidance)
        return self._checked[1]

    def _check(self, guidance: Guidance) -> Answer:
        loaded = LoadedClaim(self.questions.name(self.sample), self.claim, guidance)
        try:
            result, deployed = checked(loaded, self.worker.semantics, self.worker.profile)
        except InvalidInput as error:
            return self._undecided(error.line())
        if result.verdict is not Verdict.CERTIFIED:
            return self._undecided(f"{result.reason.message} [{result.reason.code}]")
        return Answer(
            self.sample, CERTIFIED, "", guidance, _margin(result), deployed, _deployed_margin(result),
            result.leaves_total, self.clean,
        )  # fmt: skip


def checked(loaded: LoadedClaim, semantics: str, profile: str) -> tuple[ClaimResult, bool | None]:
    """(the proof decided under ``semantics``, whether it holds for float32 executions; None: some operator has no rule).

    Raises InvalidInput as ``check_unsat``.
    """
    claim = loaded.claim
    if not isinstance(claim, UnsatClaim):
        raise ValueError("no claim of unsat")
    try:
        result = check_unsat(loaded, claim, Options(jobs=1, semantics="deployed", profile=profile), None)
    except InvalidInput as error:
        if semantics == "deployed" or error.code != "TLC202":
            raise
        return check_unsat(loaded, claim, Options(jobs=1), None), None
    deployed = result.verdict is Verdict.CERTIFIED
    if deployed or semantics == "deployed" or result.reason.code != "TLC016":
        return result, deployed
    return check_unsat(loaded, claim, Options(jobs=1), None), False


def lost(k: int) -> Answer:
    """The answer of a process that died."""
    return Answer(k, UNDECIDED, "a worker process was killed, perhaps for its memory")


def other_class(questions: Questions, k: int, outputs: Sequence[Arb], where: str) -> str:
    """In words, the class that has at least the label's output at a counterexample: never the label's own."""
    values = [lower_float(y) for y in outputs]
    label = questions.labels[k]
    own = None if label is None else values[int(label)]
    top = max((j for j in range(len(values)) if j != label), key=values.__getitem__)
    name = f" {questions.settings.classes[top]}, output" if questions.settings.classes else ""
    return f"class{name} {top} at {where}" + (" (as large as the label's)" if values[top] == own else "")


def _margin(result: ClaimResult) -> str:
    return result.bound.rigorous.decimal if result.bound.rigorous is not None else ""


def _deployed_margin(result: ClaimResult) -> str:
    bound = result.deployed
    return bound.rigorous.decimal if bound is not None and bound.rigorous is not None else ""
