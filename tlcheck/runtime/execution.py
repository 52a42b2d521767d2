"""Float executions of a joint query's networks: what an attack follows, and what ``sat`` must hold for as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.vnnlib.joint import Joint
from tlcheck.runtime.ort import ExecutionFailed, Session, make_session
from tlcheck.trusted.arith.arb import PRECISION, working_precision
from tlcheck.trusted.evaluate import Evaluator, Undecided
from tlcheck.trusted.query import Disjunct

Floats = NDArray[np.float64]
Point = tuple[Fraction, ...]


@dataclass(frozen=True, eq=False)
class Execution:
    """Every network of a query ready to run in onnxruntime. ``problem`` says why it cannot be, or is ""."""

    joint: Joint

    @cached_property
    def _sessions(self) -> list[Session] | str:
        made: dict[int, Session] = {}
        try:
            for model in self.joint.models:
                if id(model) not in made:
                    made[id(model)] = make_session(model.data)
        except ExecutionFailed as error:
            return str(error)
        return [made[id(model)] for model in self.joint.models]

    @property
    def problem(self) -> str:
        return self._sessions if isinstance(self._sessions, str) else ""

    def outputs(self, point: NDArray[np.float32]) -> Floats | None:
        """The declared values at a point, without monomials; None where an execution fails."""
        if isinstance(self._sessions, str):
            return None
        found, start = [], 0
        for session, places in zip(self._sessions, self.joint.places, strict=True):
            part = point[start : start + session.n_inputs]
            start += session.n_inputs
            try:
                found.append(session.run(part)[list(places)])
            except (ExecutionFailed, ValueError, IndexError):
                return None
        return np.concatenate(found)

    def exact_values(self, point: Point) -> Point | None:
        """All flat output values of the float execution, exactly; None unless the point is one of float32 and they are finite."""
        single = as_float32(point)
        outputs = None if single is None else self.outputs(single)
        if outputs is None or not bool(np.isfinite(outputs).all()):
            return None
        values = [Fraction(v) for v in outputs.tolist()]
        factors = {"X": point, "Y": tuple(values)}
        for monomial in self.joint.declared.monomials:
            values.append(prod((factors[kind][i] for kind, i in monomial), start=Fraction(1)))
        return tuple(values)


def as_float32(point: Sequence[Fraction]) -> NDArray[np.float32] | None:
    """The point in float32; None unless every value is one of float32 exactly."""
    try:
        with np.errstate(over="ignore"):
            single = np.array([float(x) for x in point]).astype(np.float32)
    except OverflowError:
        return None
    fits = bool(np.isfinite(single).all()) and all(
        Fraction(s) == x for s, x in zip(single.tolist(), point, strict=True)
    )
    return single if fits else None


def holds(disjunct: Disjunct, point: Point, values: Point) -> bool:
    """Whether the disjunct holds for these inputs and outputs, exactly."""
    box = disjunct.box
    if not all(a <= x <= b for a, x, b in zip(box.lower, point, box.upper, strict=True)):
        return False
    for c in disjunct.constraints:
        left = sum((q * point[i] for i, q in c.inputs), Fraction(0))
        left += sum((q * values[i] for i, q in c.outputs), Fraction(0))
        if not (left < c.bound or (left == c.bound and not c.strict)):
            return False
    return True


@dataclass(frozen=True, eq=False)
class Approximation:
    """Values at a point for a search: of the float execution where there is one, else the exact network's middle."""

    execution: Execution

    @cached_property
    def _evaluator(self) -> Evaluator:
        return Evaluator(self.execution.joint.graph)

    def __call__(self, point: NDArray[np.float32]) -> Floats | None:
        """All flat outputs, with monomials; None where the network has no value."""
        if self.execution.problem:
            return self._middle(point)
        outputs = self.execution.outputs(point)
        if outputs is None:
            return None
        given = {"X": point.astype(np.float64), "Y": outputs}
        more = [prod(float(given[kind][i]) for kind, i in m) for m in self.execution.joint.declared.monomials]
        return np.concatenate([outputs, np.array(more)]) if more else outputs

    def _middle(self, point: NDArray[np.float32]) -> Floats | None:
        graph = self.execution.joint.graph
        inputs, start = [], 0
        with working_precision(PRECISION):
            for node in graph.inputs:
                size = graph.nodes[node].size
                inputs.append([Fraction(v) for v in point[start : start + size].tolist()])
                start += size
            try:
                return np.array([float(y.mid()) for y in self._evaluator.evaluate(inputs).outputs])
            except Undecided:
                return None
