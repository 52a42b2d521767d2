"""Recorded outputs of a network at points, against every float32 execution that a runtime profile allows.

At each point the zonotope encloses the outputs of every allowed execution (``trusted.zonotopes``). Conditions, of each point:
the recorded outputs lie in the enclosure; no end of it is farther than ``within`` from them, so that every allowed execution
differs by no more; and where a label is claimed, its output is above every other in every allowed execution. Outputs that
lie outside are those of no allowed execution: the claim that they are recorded ones is disproved. An enclosure that is too
wide disproves nothing.

Who executed what is not known here: that the outputs are those of some runtime is the record's word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import floor_float
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import are_float32
from tlcheck.trusted.arith.probe import BlasRefused, probe
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.conditions import Check, ConditionClaim, Item, Measure, nonnegative, undecided
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import Network
from tlcheck.trusted.zonotopes import Zonotopes, enclose, has_centre

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NO_LABEL = -1
TOGETHER = 16
"""Points of one part of a claim."""
NUMBERS = 1 << 21
"""Points that are enclosed at once: TOGETHER, or as many as have this many pairs of values of the widest node."""


@dataclass(frozen=True, eq=False)
class PointEnclosure:
    """``lower``, ``upper`` (n_outputs,) enclose the outputs of every allowed execution at one point."""

    lower: Floats
    upper: Floats
    zonotopes: Zonotopes
    domain: int

    @property
    def centre(self) -> Floats:
        """(n_outputs,): the middle of what the zonotope encloses."""
        return np.concatenate([v.centre[self.domain] for v in self.zonotopes.outputs.values()])

    def gaps(self, label: int) -> tuple[Floats, Floats]:
        """Ends of the label's output less each other one, of the only output tensor."""
        ((node, _),) = self.zonotopes.outputs.items()
        low, high = self.zonotopes.differences(node, self.domain, label)
        others = np.arange(low.size) != label
        return low[others], high[others]

    def keeps(self, label: int) -> bool | None:
        """Whether the label's output is above every other: in every allowed execution (True), in none (False)."""
        low, high = self.gaps(label)
        return True if bool((low > 0).all()) else False if bool((high < 0).any()) else None


@dataclass(frozen=True, eq=False)
class Points:
    """What encloses the outputs of a network at points."""

    network: Network
    profile: Profile

    @cached_property
    def _engine(self) -> Ball64:
        return Ball64()

    def enclosed(self, inputs: Floats) -> Iterator[PointEnclosure | None]:
        """One for each of ``inputs`` (N, n_inputs), exact doubles, flat over the network's inputs; None where a number leaves
        the range in which there is one. Raises NotDeployable."""
        step = self._at_once
        for first in range(0, len(inputs), step):
            part = inputs[first : first + step]
            try:
                yield from self._together(part)
            except OutOfRange:
                for k in range(len(part)):
                    yield self._alone(part[k : k + 1])

    @cached_property
    def _at_once(self) -> int:
        nodes = self.network.graph.nodes
        widest = max(nodes[i].size for i in self.network.needed)
        return max(1, min(TOGETHER, NUMBERS // widest**2))

    def _alone(self, point: Floats) -> PointEnclosure | None:
        try:
            return self._together(point)[0]
        except OutOfRange:
            return None

    def _together(self, inputs: Floats) -> list[PointEnclosure]:
        boxes = {node: Box(inputs[:, s], inputs[:, s]) for node, s in self.network.input_slices.items()}
        found = enclose(self.network, self._engine, boxes, self.profile)
        outputs = [found.boxes[node] for node in self.network.graph.outputs]
        lower, upper = (
            np.concatenate(ends, axis=1) for ends in ([b.lower for b in outputs], [b.upper for b in outputs])
        )
        return [PointEnclosure(lower[d], upper[d], found, d) for d in range(len(inputs))]


@dataclass(frozen=True, eq=False)
class Record:
    """``inputs`` (N, n_inputs), ``outputs`` (N, n_outputs): exact doubles; ``labels`` (N,), NO_LABEL where none is claimed."""

    inputs: Floats
    outputs: Floats
    labels: Ints

    def __post_init__(self) -> None:
        n = len(self.inputs)
        if (
            self.inputs.ndim != 2
            or self.outputs.ndim != 2
            or len(self.outputs) != n
            or self.labels.shape != (n,)
            or not n
        ):
            raise ValueError("a record: inputs, outputs and labels of the same points, one at least")
        if not bool(np.isfinite(self.inputs).all() and np.isfinite(self.outputs).all()):
            raise ValueError("a record: a number that is not finite")

    def some(self, first: int, last: int) -> Record:
        return Record(self.inputs[first:last], self.outputs[first:last], self.labels[first:last])


@dataclass(frozen=True, eq=False)
class Conformance(ConditionClaim):
    """The record's outputs lie in the enclosures, whose ends are within ``within`` of them; no execution flips its labels.
    ``first``: the number of its first point, where it is a part of another claim."""

    points: Points
    record: Record
    within: Fraction
    first: int = 0
    kind = "conformance"
    semantics = "deployed"

    def __post_init__(self) -> None:
        graph, record = self.graph, self.record
        if record.inputs.shape[1] != graph.n_inputs or record.outputs.shape[1] != graph.n_outputs:
            raise ValueError("conformance: not the network's number of inputs or of outputs")
        if self.within < 0:
            raise ValueError("conformance: within is negative")
        if not are_float32(record.inputs):
            raise ValueError("conformance: an input that is no float32 number: no execution is given it")
        claimed = record.labels[record.labels != NO_LABEL]
        if claimed.size and (
            len(graph.outputs) != 1 or not bool(((claimed >= 0) & (claimed < graph.n_outputs)).all())
        ):
            raise ValueError("conformance: a label that is no place of one output tensor")

    @property
    def graph(self) -> Graph:
        return self.points.network.graph

    @property
    def asks_for(self) -> tuple[str, ...]:
        return ("tlcheck.trusted.centred",) if any(has_centre(node.op) for node in self.graph.nodes) else ()

    @property
    def statement(self) -> str:
        n, labelled = len(self.record.inputs), int((self.record.labels != NO_LABEL).sum())
        label = f", and at {labelled} of them gives the recorded label, without ties" if labelled else ""
        profile = self.points.profile.name
        return (
            f"every float32 execution that the profile {profile} allows has, at each of the {n} recorded inputs, "
            f"outputs within {number_text(self.within)} of the recorded ones{label}; these lie in the proved enclosures"
        )

    @property
    def assumptions(self) -> tuple[str, ...]:
        return (
            "Python", "numpy integers", "FLINT", "IEEE-754 double precision", "BLAS sums every product as a tree (probed)",
            f"executions obey the profile {self.points.profile.name} (SHA-256 {self.points.profile.digest})",
        )  # fmt: skip

    def parts(self) -> Sequence[ConditionClaim]:
        n = len(self.record.inputs)
        return [
            Conformance(self.points, self.record.some(k, k + TOGETHER), self.within, k)
            for k in range(0, n, TOGETHER)
        ]

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Item]:
        try:
            probe()
            for k, found in enumerate(self.points.enclosed(self.record.inputs)):
                tick()
                where = f"point {self.first + k}"
                if found is None:
                    yield undecided("enclosure", f"{where}: out of range")
                else:
                    yield from self._checks(k, found, where)
        except (NotDeployable, BlasRefused) as error:
            yield undecided("enclosure", f"point {self.first}: {error}")

    def _checks(self, k: int, found: PointEnclosure, where: str) -> Iterator[Item]:
        outputs = [Fraction(y) for y in self.record.outputs[k].tolist()]
        ends = [
            (Fraction(a), Fraction(b))
            for a, b in zip(found.lower.tolist(), found.upper.tolist(), strict=True)
        ]
        inside = min(min(y - low, high - y) for y, (low, high) in zip(outputs, ends, strict=True))
        farthest = max(max(y - low, high - y) for y, (low, high) in zip(outputs, ends, strict=True))
        yield nonnegative("recorded outputs", inside, where)
        slack = self.within - farthest
        yield Check("distance", slack >= 0 or None, floor_float(slack), -floor_float(-slack), where)
        label = int(self.record.labels[k])
        if label != NO_LABEL:
            low, high = found.gaps(label)
            yield Check("label", found.keeps(label), float(low.min()), float(high.min()), where)

    def conclude(self, shares: Sequence[object]) -> Iterator[Check | Measure]:
        yield Measure("points", len(self.record.inputs))
