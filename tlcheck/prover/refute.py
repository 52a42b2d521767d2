"""A query refuted before a proof is looked for: the attack's points, and exact ones, judged by the kernel.

What is returned is a point at which ``decide_sat`` CERTIFIED that the query is satisfied, over the reals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck import timer
from tlcheck.prover.attack import MOST_DISJUNCTS, Attack, Candidate, float_near
from tlcheck.prover.engine import Engine
from tlcheck.prover.gradient_attack import GradientAttack
from tlcheck.prover.regions import clipped
from tlcheck.runtime.execution import as_float32, holds
from tlcheck.runtime.ort import ExecutionFailed, Session, make_session
from tlcheck.trusted.arith.arb import PRECISION, ball, working_precision
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.claim import SatClaim
from tlcheck.trusted.decide import SatOutcome, decide_sat
from tlcheck.trusted.evaluate import Evaluator, Undecided
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.query import Disjunct, InputBox, Query
from tlcheck.trusted.verdict import Verdict

Point = tuple[Fraction, ...]

PRECISIONS: Final = (128, 512, 2048)
"""Bits of ``ruled``."""
MOST_VALUES: Final = 3000
"""Most evaluations of the network by the attack."""
MOST_BALLS: Final = 500
"""The same where nothing executes it, and balls are evaluated."""
MOST_RULINGS: Final = 64
"""Points that the kernel rules on and does not certify, of one attack."""
NEARLY: Final = 1e-6
"""Relative to the sizes of its terms: by how much a constraint may fail in floats and may hold exactly."""
EXACT_BOXES: Final = 64
"""Regions whose exact centre and corners are tried too."""


def ruled(claim: SatClaim, evaluator: Evaluator, precisions: Sequence[int] = PRECISIONS) -> SatOutcome:
    """The kernel's ruling on a witness, at one precision after the other while it is undecided."""
    outcome = decide_sat(claim, precisions[0], evaluator=evaluator)
    for bits in precisions[1:]:
        if outcome.verdict is Verdict.UNPROVEN:
            outcome = decide_sat(claim, bits, evaluator=evaluator)
    return outcome


def executions_hold(claim: SatClaim, profile: Profile, seconds: float | None) -> bool | None:
    """Every float32 execution that the profile allows certainly satisfies the query at the witness; None: not known after
    ``seconds``.

    Raises NotDeployable.
    """
    try:
        with timer.alarm(None if seconds is None else max(seconds, timer.SOON), _OutOfTime):
            return decide_sat(claim, deployed=profile).verdict is Verdict.CERTIFIED
    except _OutOfTime:
        return None


class Judge:
    """Decides points of one query: over the reals, or for every float32 execution too."""

    def __init__(self, graph: Graph, query: Query, deployed: Profile | None = None) -> None:
        self.graph, self.query, self.deployed = graph, query, deployed
        self.evaluator = Evaluator(graph)

    def holds(self, point: Point, until: float = inf) -> bool:
        """The point certainly satisfies the query; what float32 executions do there is known by the time ``until``, or not."""
        claim = SatClaim(self.graph, self.query, point)
        if ruled(claim, self.evaluator).verdict is not Verdict.CERTIFIED:
            return False
        if self.deployed is None:
            return True
        left = None if until == inf else until - timer.now()
        return executions_hold(claim, self.deployed, left) is True

    def middles(self, point: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """The outputs there, roughly; None where there are none."""
        inputs, start = [], 0
        with working_precision(PRECISION):
            for node in self.graph.inputs:
                size = self.graph.nodes[node].size
                inputs.append([ball(Fraction(v)) for v in point[start : start + size].tolist()])
                start += size
            try:
                return np.array([float(y.mid()) for y in self.evaluator.evaluate(inputs).outputs])
            except Undecided:
                return None


class _OutOfTime(BaseException):
    """The time for a ruling on executions is over; no handler of errors on the way stops it."""


class _Enough(Exception):
    """The attack has had its evaluations."""


class _Values:
    """The outputs at a point by the float execution where there is one, by an engine or in balls elsewhere; so many times,
    then ``_Enough``."""

    def __init__(self, judge: Judge, model: bytes | None, engine: Engine | None) -> None:
        self.judge, self.engine = judge, engine
        self.session: Session | None = None
        with suppress(ExecutionFailed):
            self.session = None if model is None else make_session(model)
        self.left = MOST_VALUES if self.session is not None or engine is not None else MOST_BALLS

    def __call__(self, point: NDArray[np.float32]) -> NDArray[np.float64] | None:
        self.left -= 1
        if self.left < 0:
            raise _Enough
        if self.session is not None:
            return self.executed(point)
        return self.judge.middles(point) if self.engine is None else roughly(self.engine, point)

    def executed(self, point: NDArray[np.float32]) -> NDArray[np.float64] | None:
        try:
            return None if self.session is None else self.session.run(point)
        except (ExecutionFailed, ValueError):
            return None


class Refuter:
    """Looks for a witness: the attack's points, and exact ones, each judged by the kernel.

    ``model``: its ONNX file, for executions: a witness that the float execution satisfies too is preferred. ``deployed``: one
    that every float32 execution satisfies. ``engine``: of the graph in float64, made where it can be.
    """

    def __init__(
        self,
        graph: Graph,
        query: Query,
        model: bytes | None = None,
        deployed: Profile | None = None,
        seed: int = 0,
    ) -> None:
        self.judge = Judge(graph, query, deployed)
        self.engine = engine_of(graph)
        self.values = _Values(self.judge, model, self.engine)
        climber = None if self.engine is None else GradientAttack(self.engine, query, seed)
        self.attack = Attack(query, self.values, inf, climber)
        self._real: Point | None = None
        self._left = MOST_RULINGS

    def quick(self, until: float) -> Point | None:
        """Exact centres and corners, samples, descent along the gradient."""
        return self._first(self._exact(), until) or self._tried(
            lambda: chain(self.attack.samples(), self.attack.climbs()), until
        )

    def thorough(self, until: float) -> Point | None:
        """Descents along coordinates, from the best points so far."""
        return self._tried(self.attack.descents, until)

    def near(self, starts: Sequence[NDArray[np.float64]], until: float) -> Point | None:
        """Descent along the gradient from these points."""
        return self._tried(lambda: self.attack.climbs(starts), until)

    def _tried(self, candidates: Callable[[], Iterable[Candidate]], until: float) -> Point | None:
        self.attack.until = until
        found: Point | None = None
        with suppress(_Enough):
            found = self._first((exactly(single) for _, single in candidates()), until)
        doubles, self.attack.doubles = self.attack.doubles, []
        return found or self._first((clipped(d.box, exactly(x)) for d, x in doubles), until) or self._kept()

    def _kept(self) -> Point | None:
        """A witness over the reals alone, where nothing better came."""
        return self._real

    def _exact(self) -> Iterator[Point]:
        for box in list(dict.fromkeys(d.box for d in self.judge.query.disjuncts))[:EXACT_BOXES]:
            yield from (point for point in exact_points(box) if self._seems(point))

    def _seems(self, point: Point) -> bool:
        """The point is worth a ruling: nearly, and in floats, the query holds there."""
        if self.engine is None:
            return True
        outputs = roughly(self.engine, np.array([float_near(x) for x in point]))
        return bool(np.isfinite(outputs).all()) and any(
            _nearly(d, point, outputs) for d in self.judge.query.disjuncts[:MOST_DISJUNCTS]
        )

    def _first(self, points: Iterable[Point], until: float) -> Point | None:
        """The first of them that is a witness, and agrees with the float execution; one that does not is kept."""
        for point in points:
            if self._left <= 0 or timer.now() > until:
                return None
            if self.judge.holds(point, until):
                if self.agrees(point):
                    return point
                self._real = self._real or point
            self._left -= 1
        return None

    def agrees(self, point: Point) -> bool:
        """The float execution satisfies the query there, or there is none of the model at all."""
        if self.values.session is None:
            return True
        single = as_float32(point)
        outputs = None if single is None else self.values.executed(single)
        if outputs is None or not bool(np.isfinite(outputs).all()):
            return False
        exact = tuple(Fraction(y) for y in outputs.tolist())
        return any(holds(d, point, exact) for d in self.judge.query.disjuncts)

    def executed(self, point: Point, profile: Profile, seconds: float | None = None) -> str:
        """Of a witness over the reals: what is so of float32 executions there, as far as it is decided within ``seconds``."""
        claim = SatClaim(self.judge.graph, self.judge.query, point)
        late = ""
        with suppress(NotDeployable):
            every = executions_hold(claim, profile, seconds)
            if every:
                return "every float32 execution satisfies the property there too"
            late = "" if every is False else "; whether every one does was not decided in time"
        if self.values.session is None:
            return f"not executed in float32{late}"
        if self.agrees(point):
            return f"onnxruntime's float32 execution satisfies the property there too{late}"
        return (
            f"over the reals alone: onnxruntime's float32 execution does not satisfy the property there{late}"
        )


def engine_of(graph: Graph) -> Engine | None:
    """In float64, where passes can go through the graph."""
    try:
        return Engine(graph)
    except (ValueError, OutOfRange):
        return None


def roughly(engine: Engine, point: NDArray[np.floating]) -> NDArray[np.float64]:
    """The outputs there, in floats."""
    return np.asarray(engine.outputs(engine.values(point.astype(np.float64)[None]))[0], np.float64)


def exactly(point: NDArray[np.floating]) -> Point:
    return tuple(Fraction(x) for x in point.tolist())


def _nearly(disjunct: Disjunct, point: Point, outputs: NDArray[np.float64]) -> bool:
    """The point is in the box, and no constraint fails by more than rounding may explain."""
    box = disjunct.box
    if not all(a <= x <= b for a, x, b in zip(box.lower, point, box.upper, strict=True)):
        return False
    for c in disjunct.constraints:
        terms = [float_near(q * point[i]) for i, q in c.inputs]
        terms += [float_near(q) * float(outputs[j]) for j, q in c.outputs]
        size = sum(map(abs, terms)) + abs(float_near(c.bound))
        if not sum(terms) - float_near(c.bound) <= NEARLY * size:
            return False
    return True


def refuted(judge: Judge, model: bytes | None = None, until: float = inf) -> Point | None:
    """A point of the query, or None, until the monotonic time ``until``."""
    refuter = Refuter(judge.graph, judge.query, model)
    return refuter.quick(until) or refuter.thorough(until)


def exact_points(box: InputBox) -> Iterator[Point]:
    """The centre of a box and its two extreme corners, exactly: a box may hold no number of float32. None if it is empty."""
    if all(a <= b for a, b in zip(box.lower, box.upper, strict=True)):
        centre = tuple((a + b) / 2 for a, b in zip(box.lower, box.upper, strict=True))
        yield from dict.fromkeys((centre, box.lower, box.upper))
