"""The answer to one question: the sample itself, evidence of an earlier run, then the search; each decided by the kernel.

- ``wrong``: the sample itself is a counterexample (its class is another, or no more than another one's equal).
- ``attacked``: a counterexample was found; ``decide_sat`` CERTIFIED it.
- ``certified``: a proof was found; ``check_unsat`` CERTIFIED it, over the reals and, where asked, for float32 executions.
- ``undecided``: none of these; ``reason`` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from tlcheck import timer
from tlcheck.checking.unsat import check_unsat
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.prover.refute import ruled
from tlcheck.readers.bytes import sha256_hex
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.vnnlib.read import read_query
from tlcheck.report.result import ClaimResult
from tlcheck.robust.questions import Questions
from tlcheck.robust.region import Point
from tlcheck.robust.search import Found, find
from tlcheck.trusted.arith.arb import lower_float
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
    seconds: float = 0.0
    taken: bool = False
    """The evidence is an earlier run's."""


@dataclass(eq=False)
class Worker:
    """Answers questions, each within ``seconds``."""

    questions: Questions
    seconds: float
    semantics: str = "real"
    earlier: Earlier = field(default_factory=dict)

    @cached_property
    def evaluator(self) -> Evaluator:
        return Evaluator(self.questions.network.graph)

    def answer(self, k: int) -> Answer:
        start = timer.now()
        return replace(self._answer(k), seconds=timer.now() - start)

    def _answer(self, k: int) -> Answer:
        text = self.questions.text(k)
        graph = self.questions.network.graph
        query = read_query(text, graph, file=self.questions.file(k))
        point = self.questions.point(k)
        clean = ruled(SatClaim(graph, query, point), self.evaluator)
        if clean.verdict is Verdict.CERTIFIED:
            top = _top([lower_float(y) for y in clean.outputs])
            reason = (
                "the property is violated at the sample"
                if self.questions.template
                else f"class {top} at the sample"
            )
            return Answer(k, WRONG, reason, point, clean=False)
        right = True if clean.verdict is Verdict.REFUTED else None
        old = self.earlier.get(sha256_hex(text))
        if old is not None:
            taken = self._judged(k, query, Found(old), right, taken=True)
            if taken.status != UNDECIDED and (taken.deployed is not False or self.semantics == "real"):
                return taken
        claim = UnsatClaim(graph, query)
        found = find(claim, self.questions.network.whole.content, self.seconds, self.semantics == "deployed")
        return self._judged(k, query, found, right)

    def _judged(
        self, k: int, query: Query, found: Found, clean: bool | None, *, taken: bool = False
    ) -> Answer:
        """What the evidence shows."""
        if found.evidence is None:
            return Answer(k, UNDECIDED, found.reason, clean=clean)
        if isinstance(found.evidence, Guidance):
            return self._proved(k, query, found.evidence, clean, taken)
        return self._attacked(k, query, found.evidence, clean, taken)

    def _attacked(self, k: int, query: Query, point: Point, clean: bool | None, taken: bool) -> Answer:
        graph = self.questions.network.graph
        if len(point) != graph.n_inputs:
            return Answer(k, UNDECIDED, "no witness", clean=clean)
        outcome = ruled(SatClaim(graph, query, point), self.evaluator)
        if outcome.verdict is not Verdict.CERTIFIED:
            return Answer(k, UNDECIDED, outcome.message, clean=clean)
        if self.questions.settings.norm == "l2-box":
            away = self.questions.ball.distance_squared(self.questions.scaled(k), point)
            if away > self.questions.settings.eps**2:
                reason = (
                    f"a counterexample in the box, at l2 distance {float(away) ** 0.5:.4g}: outside the ball"
                )
                return Answer(k, UNDECIDED, reason, clean=clean)
        top = _top([lower_float(y) for y in outcome.outputs])
        reason = "" if self.questions.template else f"class {top} at a counterexample"
        return Answer(k, ATTACKED, reason, point, clean=clean, taken=taken)

    def _proved(self, k: int, query: Query, guidance: Guidance, clean: bool | None, taken: bool) -> Answer:
        loaded = LoadedClaim(
            self.questions.name(k), UnsatClaim(self.questions.network.graph, query), guidance
        )
        try:
            result, deployed = checked(loaded, self.semantics)
        except InvalidInput as error:
            return Answer(k, UNDECIDED, error.line(), clean=clean)
        if result.verdict is not Verdict.CERTIFIED:
            return Answer(k, UNDECIDED, f"{result.reason.message} [{result.reason.code}]", clean=clean)
        return Answer(
            k, CERTIFIED, "", guidance, _margin(result), deployed, _deployed_margin(result), result.leaves_total, clean,
            taken=taken,
        )  # fmt: skip


def checked(loaded: LoadedClaim, semantics: str) -> tuple[ClaimResult, bool | None]:
    """(the proof decided under ``semantics``, whether it holds for float32 executions; None: some operator has no rule).

    Raises InvalidInput as ``check_unsat``.
    """
    claim = loaded.claim
    if not isinstance(claim, UnsatClaim):
        raise ValueError("no claim of unsat")
    try:
        result = check_unsat(loaded, claim, Options(jobs=1, semantics="deployed"), None)
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


def _top(outputs: list[float]) -> int:
    return max(range(len(outputs)), key=outputs.__getitem__)


def _margin(result: ClaimResult) -> str:
    return result.bound.rigorous.decimal if result.bound.rigorous is not None else ""


def _deployed_margin(result: ClaimResult) -> str:
    bound = result.deployed
    return bound.rigorous.decimal if bound is not None and bound.rigorous is not None else ""
