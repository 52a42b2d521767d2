"""One query answered: witnesses and proofs looked for in turn, each decided by the trusted kernel.

- ``sat``: ``decide_sat`` CERTIFIED the witness, an exact point. Where the query's types are machine types (and for
  VNN-LIB 1.0) the point is one of float32, and the float execution by onnxruntime satisfies the query there too. Of
  VNN-LIB 1.0 a point over the reals is the answer where no other is found, with a note: one that was given, or one of a
  region that holds no number of float32.
- ``unsat``: ``check_unsat`` CERTIFIED a proof. Where the types are machine types it must hold for every float32
  execution; where an operator has no rounding radius yet, the proof over the reals counts and a note says so, unless
  ``semantics`` is "deployed".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from tlcheck import timer
from tlcheck.checking.unsat import check_unsat
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.prover.attack import Attack, Candidate, float_near
from tlcheck.prover.gradient_attack import GradientAttack
from tlcheck.prover.prover import TIME_IS_OVER, Limits, Prover, Unknown, Witness
from tlcheck.prover.refute import engine_of, exact_points, ruled
from tlcheck.prover.regions import MAX_REPAIRS, TOLERANCE, Regions, clipped
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.runtime_profile import DEFAULT, chosen_profile
from tlcheck.readers.vnnlib.equivalent import Magnitudes, relaxable
from tlcheck.readers.vnnlib.joint import Joint
from tlcheck.readers.vnnlib.version2 import Tensor
from tlcheck.runtime.execution import Approximation, Execution, Point, as_float32, holds
from tlcheck.solver.assignment import decimal
from tlcheck.trusted.arith.arb import PRECISION, lower_float, upper_float, working_precision
from tlcheck.trusted.arith.profile import NotDeployable
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.decide import SatOutcome, decide_sat
from tlcheck.trusted.evaluate import Evaluator, Undecided
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.plan import NoRelaxation
from tlcheck.trusted.query import Disjunct, InputBox, Query
from tlcheck.trusted.verdict import Verdict

ATTACK_SHARE: Final = 0.2
"""Of the time, what the search for a witness may take before the search for a proof; what it may take in its pauses follows."""
CHECK_SHARE: Final = 0.3
"""Of the time of a search for a proof, what is kept for checking it."""


@dataclass(frozen=True)
class Answer:
    """``verdict``: sat, unsat, unknown or timed-out; ``values``: after sat, of every declared variable; ``notes`` for people.
    ``evidence``: what shows it, a witness or a claim with its proof."""

    verdict: str
    notes: tuple[str, ...] = ()
    values: tuple[tuple[Tensor, tuple[Fraction, ...]], ...] = ()
    evidence: Point | LoadedClaim | None = None


@dataclass(eq=False)
class Solver:
    """Answers the query ``joint``, within ``seconds``. ``witness`` and ``certificate`` are tried before any search."""

    joint: Joint
    seconds: float
    semantics: str = "real"
    profile: str = DEFAULT
    witnesses: Sequence[Point] = ()
    certificate: Path | None = None
    notes: list[str] = field(default_factory=list)
    start: float = field(default_factory=lambda: timer.now())
    _boxed: list[str] = field(default_factory=list)
    """Notes on regions without a point of float32: of no interest once unsat is proved."""
    _real: Answer | None = None
    """sat by a given witness that holds over the reals, of a property about reals."""
    _late: bool = False
    """The search for a proof ended for want of time."""
    _disputed: bool = False
    """A float execution satisfies the query at a point where the exact network does not."""

    def answer(self) -> Answer:
        for step in self._steps():
            if step is not None:
                return self._with_notes(step)
        late = self._late or timer.now() - self.start > self.seconds
        return self._with_notes(Answer("timed-out" if late else "unknown"))

    def _with_notes(self, answer: Answer) -> Answer:
        boxed = () if answer.verdict == "unsat" else self._boxed
        return replace(answer, notes=tuple(dict.fromkeys([*self.notes, *boxed])))

    def _steps(self) -> Iterator[Answer | None]:
        """What is tried, in order: each gives an answer or None."""
        for witness in self.witnesses:
            for point in dict.fromkeys(self._near(witness)):
                yield self._sat(point)
            if self._real is None:
                self._note("the given witness does not show sat")
        if self.certificate is not None:
            try:
                yield from self._certified(self.certificate)
            except InvalidInput as error:  # the query can still be answered
                self._note(f"certificate left out: {error.line()} [{error.code}]")
        if self.execution.problem:
            self._note(f"no float execution: {self.execution.problem}")
        now = timer.now()
        until = now + ATTACK_SHARE * max(0.0, self.until - now)
        attack = Attack(self.joint.query, self.values, until, self._climber)
        yield from self._beyond_float32(attack.out_of_reach, until)
        yield from self.tried(attack.samples())
        yield from self.tried(attack.climbs())
        if (
            self._real is not None
        ):  # a witness over the reals, and none for the float execution: there is no proof
            yield from self.tried(attack.descents())
            yield self._real
            return
        yield self._proved(_Pauses(self, attack))
        yield from self.tried(attack.descents())

    @cached_property
    def _climber(self) -> GradientAttack | None:
        engine = engine_of(self.joint.graph)
        return None if engine is None else GradientAttack(engine, self.joint.query)

    def _beyond_float32(self, disjuncts: Sequence[Disjunct], until: float) -> Iterator[Answer | None]:
        """Say which boxes hold points but none of float32; try their centres, exactly: over the reals they may show sat."""
        boxes = list(dict.fromkeys(d.box for d in disjuncts))
        for box in [b for b in boxes if next(exact_points(b), None) is not None][:MAX_REPAIRS]:
            side = next((text for text in self._sides(box)), "")
            self._boxed.append(f"a region holds no number of float32{side}: no float execution is in it")
            for point in exact_points(box):
                if timer.now() < until and self._real is None:
                    yield self._sat(point)

    def _sides(self, box: InputBox) -> Iterator[str]:
        """The inputs whose interval holds no float32, as text."""
        for i, (low, high) in enumerate(zip(box.lower, box.upper, strict=True)):
            single = _single(low, low)
            if not low <= single <= high or as_float32((single,)) is None:
                yield f" ({self.joint.declared.space.input_name(i)} in [{decimal(low)}, {decimal(high)}])"

    def _near(self, witness: Point) -> Iterator[Point]:
        """The witness, and points beside it: single floats, and points moved into its nearest region."""
        yield witness
        regions = Regions(self.joint.query)
        near = [k for k, away in regions.near(witness, TOLERANCE).items() if away <= TOLERANCE]
        for box in (regions.boxes[k] for k in near[:MAX_REPAIRS]):
            moved = clipped(box, witness)
            yield moved
            yield tuple(_single(x) for x in witness)
            yield tuple(_single(x, a, b) for x, a, b in zip(moved, box.lower, box.upper, strict=True))

    def _note(self, text: str) -> None:
        self.notes.append(text)

    @property
    def until(self) -> float:
        return self.start + self.seconds

    # sat

    @cached_property
    def execution(self) -> Execution:
        return Execution(self.joint)

    @cached_property
    def values(self) -> Approximation:
        return Approximation(self.execution)

    @cached_property
    def evaluator(self) -> Evaluator:
        return Evaluator(self.joint.graph)

    @property
    def _executed(self) -> bool:
        """A witness must hold for the float execution too."""
        return self.joint.is_typed or not self.joint.declared.networks

    def tried(self, candidates: Iterable[Candidate]) -> Iterator[Answer | None]:
        for disjunct, single in candidates:
            point = tuple(Fraction(x) for x in single.tolist())
            if self._executed:
                values = self.execution.exact_values(point)
                if values is None or not holds(disjunct, point, values):
                    continue
            if self._exact(disjunct, point).verdict is Verdict.CERTIFIED:
                yield self._sat(point)
            elif self._executed:
                self._disputed = True

    def _exact(self, disjunct: Disjunct | None, point: Point) -> SatOutcome:
        """The kernel's ruling on the point: for one disjunct, or for the whole query."""
        query = self.joint.query
        part = query if disjunct is None else Query(query.n_inputs, query.n_outputs, (disjunct,))
        return ruled(SatClaim(self.joint.graph, part, point), self.evaluator)

    def _sat(self, point: Point) -> Answer | None:
        """The answer sat, if the point shows it."""
        outcome = self._exact(None, point)
        if outcome.verdict is not Verdict.CERTIFIED:
            return None
        executed = self.execution.exact_values(point)
        agrees = executed is not None and any(holds(d, point, executed) for d in self.joint.query.disjuncts)
        if self._executed and not agrees:
            if not self.joint.is_typed and self.semantics != "deployed" and self._real is None:
                self._real = Answer(
                    "sat", values=_assigned(self.joint.tensors, point, _middles(outcome)), evidence=point
                )
            if executed is None and as_float32(point) is None:
                self._note(
                    "a point satisfies the query over the reals; it is none of float32, so nothing is executed there"
                )
            else:
                self._note("a point satisfies the query over the reals, but not in the float execution")
            return None
        if not agrees:
            self._note(
                "the witness holds over the reals; the float execution there does not satisfy the query"
            )
        if self.semantics == "deployed" and not self._holds_deployed(point):
            return None
        values = executed if self._executed and executed is not None else _middles(outcome)
        return Answer("sat", values=_assigned(self.joint.tensors, point, values), evidence=point)

    def _holds_deployed(self, point: Point) -> bool:
        claim = SatClaim(self.joint.graph, self.joint.query, point)
        try:
            outcome = decide_sat(claim, deployed=chosen_profile(self.profile).numbers)
        except NotDeployable as error:
            self._note(f"no float32 rounding radius for {error} (--semantics deployed)")
            return False
        if outcome.verdict is not Verdict.CERTIFIED:
            self._note("a witness does not hold for every float32 execution (--semantics deployed)")
        return outcome.verdict is Verdict.CERTIFIED

    # unsat

    def _proved(self, pauses: _Pauses) -> Answer | None:
        """Search for a proof, and have it checked: of the query as it is, or rewritten."""
        if self.joint.unbounded:
            self._note(f"input {self.joint.unbounded} has no finite bound: only sat can be shown")
            return None
        try:
            if self.joint.is_typed or self.semantics == "deployed":
                return self._searched(self._claim, self.until, pauses, deployed=True)
        except (NoRelaxation, NotDeployable) as error:
            radius = "" if isinstance(error, NoRelaxation) else "no float32 rounding radius for "
            self._note(f"no proof for float32 executions: {radius}{error}")
            if self.semantics == "deployed":
                return None
        claims = [self._claim, *([self._rewritten] if self._rewritten.graph is not self._claim.graph else [])]
        for k, claim in enumerate(claims):
            until = timer.now() + (self.until - timer.now()) / (len(claims) - k)
            try:
                answer = self._searched(claim, until, pauses, deployed=False)
            except NoRelaxation as error:
                if claim is claims[-1]:
                    self._note(str(error))
                continue
            if answer is not None:
                return answer
        return None

    def _searched(self, claim: UnsatClaim, until: float, pauses: _Pauses, *, deployed: bool) -> Answer | None:
        left = max(0.0, until - timer.now())
        profile = chosen_profile(self.profile).numbers if deployed else None
        limits = Limits(seconds=left * (1 - CHECK_SHARE), check_seconds=left * CHECK_SHARE, deployed=profile)
        answers: list[Answer] = []

        def accept(guidance: Guidance) -> bool:
            loaded = LoadedClaim("query", claim, guidance, self.joint.sources)
            try:
                answers.extend(a for a in [self._unsat_by(loaded, deployed)] if a is not None)
            except (
                InvalidInput
            ) as error:  # the check meets an operator that the search had no need to look at
                if error.code != "TLC202":
                    raise
                raise NoRelaxation(error.message) from error
            return bool(answers)

        found = Prover(claim, limits, attack=pauses).prove(accept=accept)
        if isinstance(found, Witness):
            return pauses.answer
        if isinstance(found, Unknown):
            self._late = found.why == TIME_IS_OVER
            self._note(
                f"no proof that holds for every float32 execution was found: {found.why}"
                if deployed
                else f"no proof was found: {found.why}"
            )
        return answers[0] if answers else None

    @cached_property
    def _claim(self) -> UnsatClaim:
        return UnsatClaim(self.joint.graph, self.joint.query)

    @cached_property
    def _rewritten(self) -> UnsatClaim:
        return UnsatClaim(relaxable(self.joint.graph, self._magnitudes()), self.joint.query)

    def _unsat_by(self, loaded: LoadedClaim, deployed: bool = False) -> Answer | None:
        """The answer unsat, if the proof is CERTIFIED. Raises InvalidInput as ``check_unsat``."""
        if not isinstance(loaded.claim, UnsatClaim):
            return None
        if self._disputed and self.joint.is_typed and not deployed:
            self._note("a float execution satisfies the query at a point where the exact network does not")
            return None
        left = max(0.05, self.until - timer.now())
        options = Options(
            jobs=1, timeout=left, semantics="deployed" if deployed else "real", profile=self.profile
        )
        result = check_unsat(loaded, loaded.claim, options, None)
        if result.verdict is Verdict.CERTIFIED:
            if self.joint.is_typed and not deployed:
                self._note("unsat over the reals; not checked for float32 rounding")
            return Answer("unsat", evidence=loaded)
        self._note(f"a proof is not certified: {result.reason.message} [{result.reason.code}]")
        return None

    def _certified(self, path: Path) -> Iterator[Answer | None]:
        """What the claims of a certificate show: a witness is judged anew, guidance is taken where the claim's graph
        and query are those that were read from the query's own files, and used on these. What a hash says is not asked:
        it names bytes, not what they were read as."""
        from tlcheck.keys import graph_key, query_key
        from tlcheck.verify import load

        if len(self.joint.networks) != 1:
            raise InvalidInput("TLC102", "a certificate is about one network", file=str(path))
        own = (graph_key(self.joint.graph), query_key(self.joint.query))
        files = Options(model=self.joint.models[0].path, property=self.joint.path)
        for item in load(path, files).items:
            claim = item.claim
            if not isinstance(claim, SatClaim | UnsatClaim) or (
                graph_key(claim.graph), query_key(claim.query)
            ) != own:  # fmt: skip
                self._note(f"the certificate's claim '{item.name}' is about another network or property")
            elif isinstance(claim, SatClaim):
                yield self._sat(claim.witness)
            elif item.guidance is not None:
                yield self._by_certificate(replace(item, claim=self._claim))

    def _by_certificate(self, item: LoadedClaim) -> Answer | None:
        if not (self.joint.is_typed or self.semantics == "deployed"):
            return self._unsat_by(item)
        try:
            return self._unsat_by(item, deployed=True)
        except InvalidInput as error:
            self._note(error.line())
            return None if self.semantics == "deployed" else self._unsat_by(item)

    # Hints.

    def _magnitudes(self) -> Magnitudes:
        """Sizes of the factors of products at the centre of the first region."""
        graph = self.joint.graph
        wanted = {j for node in graph.nodes if isinstance(node.op, Product) for j in node.inputs}
        if not wanted or not self.joint.query.disjuncts:
            return {}
        box = self.joint.query.disjuncts[0].box
        centre = [(a + b) / 2 for a, b in zip(box.lower, box.upper, strict=True)]
        inputs: list[list[Fraction]] = []
        start = 0
        with working_precision(PRECISION):
            for i in graph.inputs:
                inputs.append(centre[start : start + graph.nodes[i].size])
                start += graph.nodes[i].size
            try:
                kept = self.evaluator.evaluate(inputs, wanted).kept
            except (Undecided, ValueError):
                return {}
            return {i: max(abs(lower_float(y)) for y in values) for i, values in kept.items()}


@dataclass(eq=False)
class _Pauses:
    """What the prover lets look for witnesses in its pauses: the solver's own attack, whose answers are the solver's."""

    solver: Solver
    attack: Attack
    answer: Answer | None = None

    def quick(self, until: float) -> Point | None:
        return None

    def near(self, starts: Sequence[NDArray[np.float64]], until: float) -> Point | None:
        return self._tried(self.attack.climbs(starts), until)

    def thorough(self, until: float) -> Point | None:
        return self._tried(self.attack.descents(), until)

    def _tried(self, candidates: Iterable[Candidate], until: float) -> Point | None:
        self.attack.until = until
        self.answer = next((a for a in self.solver.tried(candidates) if a is not None), None)
        return None if self.answer is None else cast("Point", self.answer.evidence)


def _single(x: Fraction, low: Fraction | None = None, high: Fraction | None = None) -> Fraction:
    """A single float next to ``x``, inside the ends where one is; else ``x``."""
    with np.errstate(over="ignore"):
        nearest = np.float32(float_near(x))
        if low is not None and Fraction(float(nearest)) < low:
            nearest = np.nextafter(nearest, np.float32(np.inf))
        if high is not None and Fraction(float(nearest)) > high:
            nearest = np.nextafter(nearest, np.float32(-np.inf))
    return Fraction(float(nearest)) if np.isfinite(nearest) else x


def _middles(outcome: SatOutcome) -> Point:
    """A number of each output's enclosure: the exact one where that is a double."""
    return tuple(
        Fraction(lower_float(y)) if lower_float(y) == upper_float(y) else Fraction(float(y.mid()))
        for y in outcome.outputs
    )


def _assigned(
    tensors: Sequence[Tensor], point: Point, values: Point
) -> tuple[tuple[Tensor, tuple[Fraction, ...]], ...]:
    return tuple(
        (t, tuple((point if t.kind == "input" else values)[t.start : t.start + t.size])) for t in tensors
    )
