"""Node certificates: a box and affine bounds for every node of a network over one input box.

``NodeBounds`` says that they are true: at every input of the box (and, where phases are stated, every input at which the
named ReLU operands have the stated signs) each node's value lies in its box, and loA x + loC <= value <= hiA x + hiC.

Proof of a box: it contains the interval box (``exact_intervals``), operands of ReLU cut to their stated phases. Proof of
an affine bound: exact forward bounds, in rationals, from the same boxes. A ReLU on [l, u], l < 0 < u, lies above a z for any
a in [0, 1] (the certificate's alpha, else 1 where u > -l, else 0) and below u (z - l) / (u - l); an affine map takes the
lower bounds of operands with positive weights and the upper ones of the others; any other operation has the constant
bounds of its box. The claimed bound is at or below the exact one at every point of the box, which is decided at the corner where
their difference is least. Disproof: a point of the input box, where no phases are stated.

``IntervalBoxes`` is TorchLean's weaker notion of the boxes: each contains the interval box. It may fail for true boxes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from tlcheck.trusted.arith.arb import Arb, ball, lower_float, upper_float
from tlcheck.trusted.arith.maps import Affine
from tlcheck.trusted.conditions import Check, ConditionClaim, Measure, nonnegative, undecided
from tlcheck.trusted.evaluate import Evaluator
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.science.exact_intervals import (
    End,
    Ends,
    NoRule,
    Objects,
    as_ball,
    interval_boxes,
    largest,
    least,
    rationals,
    through,
    vector,
)  # fmt: skip
from tlcheck.trusted.science.output_box import Range, subtract

ZERO = Fraction(0)
Row = tuple[Fraction, ...]


@dataclass(frozen=True)
class AffineEntry:
    """lower_rows (d, n) and lower_offset (d,), and the same above."""

    lower_rows: tuple[Row, ...]
    lower_offset: Row
    upper_rows: tuple[Row, ...]
    upper_offset: Row


@dataclass(frozen=True)
class NodeEntry:
    """What is stated of one node: ``node``, its position in the graph, ``name`` for reports; None: nothing.

    ``alpha`` (d,) and ``phases`` (d,), -1, 0 or 1, belong to a ReLU: lower slopes, and signs of its operand.
    """

    node: int
    name: str
    box: tuple[Row, Row] | None = None
    affine: AffineEntry | None = None
    alpha: Row | None = None
    phases: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class _Nodes(ConditionClaim):
    """``graph``: its outputs are the nodes of ``entries``, in order. lower <= x <= upper is the input box."""

    graph: Graph
    lower: Row
    upper: Row
    entries: tuple[NodeEntry, ...]
    decimals: str

    def __post_init__(self) -> None:
        if self.graph.outputs != tuple(e.node for e in self.entries):
            raise ValueError("nodes: the graph's outputs are not the entries' nodes")
        if not len(self.lower) == len(self.upper) == self.graph.n_inputs:
            raise ValueError("nodes: one interval an input")
        if any(l > u for l, u in zip(self.lower, self.upper, strict=True)):
            raise ValueError("nodes: an empty input box")
        for e in self.entries:
            size, n = self.graph.nodes[e.node].size, self.graph.n_inputs
            parts: list[Sequence[object]] = [*(e.box or ())]
            if e.affine is not None:
                parts += [
                    e.affine.lower_rows,
                    e.affine.lower_offset,
                    e.affine.upper_rows,
                    e.affine.upper_offset,
                ]
                if any(len(r) != n for r in (*e.affine.lower_rows, *e.affine.upper_rows)):
                    raise ValueError(f"node {e.name}: not one coefficient an input")
            parts += [p for p in (e.alpha, e.phases) if p is not None]
            if any(len(p) != size for p in parts):
                raise ValueError(f"node {e.name}: not one entry a value, of which there are {size}")
            if (e.alpha is not None or e.phases is not None) and not isinstance(
                self.graph.nodes[e.node].op, Relu
            ):
                raise ValueError(f"node {e.name}: slopes or phases of something that is no ReLU")
            if e.alpha is not None and not all(0 <= a <= 1 for a in e.alpha):
                raise ValueError(f"node {e.name}: a slope outside [0, 1]")
            if e.phases is not None and not all(p in (-1, 0, 1) for p in e.phases):
                raise ValueError(f"node {e.name}: a phase that is not -1, 0 or 1")

    @cached_property
    def _network(self) -> Network:
        return Network(self.graph)

    @cached_property
    def _phases(self) -> Mapping[int, tuple[int, ...]]:
        """Operand node -> stated signs."""
        return {
            self.graph.nodes[e.node].inputs[0]: e.phases
            for e in self.entries
            if e.phases is not None and any(e.phases)
        }

    @property
    def _branch(self) -> str:
        count = sum(sum(p != 0 for p in signs) for signs in self._phases.values())
        return f" at which {count} ReLU operands have their stated signs" if count else ""

    @property
    def _possible_text(self) -> str:
        return "; each stated sign occurs in its operand's interval" if self._phases else ""

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        yield Measure("nodes without a box", sum(e.box is None for e in self.entries))
        yield Measure("decimals", self.decimals)
        try:
            boxes = interval_boxes(self._network, self.lower, self.upper, self._cut)
            yield from self._possible(boxes)
            yield from self._judged(boxes, tick)
        except NoRule as problem:
            yield undecided("interval box", str(problem))

    @abstractmethod
    def _judged(self, boxes: Mapping[int, Ends], tick: Callable[[], None]) -> Iterator[Check]:
        """The claim's conditions. Raises NoRule where an end is unbounded."""

    def _cut(self, node: int, ends: Ends) -> Ends:
        signs = self._phases.get(node)
        if signs is None:
            return ends
        lower = [largest([ZERO, l]) if s > 0 else l for l, s in zip(ends.lower.tolist(), signs, strict=True)]
        upper = [least([ZERO, u]) if s < 0 else u for u, s in zip(ends.upper.tolist(), signs, strict=True)]
        return Ends(vector(lower), vector(upper), ends.sharp)

    def _possible(self, boxes: Mapping[int, Ends]) -> Iterator[Check]:
        """Each stated phase leaves something of its operand's interval; else nothing is claimed of anything."""
        for node in self._phases:
            pairs = zip(boxes[node].lower.tolist(), boxes[node].upper.tolist(), strict=True)
            for k, (low, high) in enumerate(pairs):
                if self._phases[node][k]:
                    yield nonnegative("possible phase", subtract(high, low), f"operand {node}, value {k}")

    def _stated(self) -> Iterator[tuple[int, NodeEntry, int]]:
        """(place among the flat outputs, entry, value)"""
        start = 0
        for e in self.entries:
            size = self.graph.nodes[e.node].size
            yield from ((start + k, e, k) for k in range(size))
            start += size


class IntervalBoxes(_Nodes):
    """Every stated box contains the interval box of its node."""

    kind = "node boxes"

    @property
    def statement(self) -> str:
        return (
            "every stated box contains the exact interval-propagation box of its node over the input box"
            f"{self._branch and ', operands cut to their stated signs'}{self._possible_text}"
        )

    def _judged(self, boxes: Mapping[int, Ends], tick: Callable[[], None]) -> Iterator[Check]:
        for _, e, k in self._stated():
            tick()
            if e.box is None:
                continue
            found, where = boxes[e.node], f"node {e.name}, value {k}"
            for name, slack in (
                ("lower end", subtract(found.lower[k], e.box[0][k])),
                ("upper end", subtract(e.box[1][k], found.upper[k])),
            ):
                check = nonnegative(name, slack, where)
                yield check if found.sharp or check.holds else undecided(name, where)


class NodeBounds(_Nodes):
    """Every stated box and affine bound holds for the node's values."""

    kind = "node bounds"

    @property
    def statement(self) -> str:
        return (
            f"for every input in the box{self._branch}, every node's value lies in its stated box "
            f"and between its stated affine bounds{self._possible_text}"
        )

    def _judged(self, boxes: Mapping[int, Ends], tick: Callable[[], None]) -> Iterator[Check]:
        over = Range(Evaluator(self.graph), self._network, self.lower, self.upper, tick)
        for place, e, k in self._stated():
            tick()
            if e.box is not None:
                where = f"node {e.name}, value {k}"
                yield self._end(over, "lower end", place, 1, e.box[0][k], boxes[e.node].lower[k], where)
                yield self._end(over, "upper end", place, -1, -e.box[1][k], -boxes[e.node].upper[k], where)
        if any(e.affine is not None for e in self.entries):
            yield from self._affine_checks(boxes, over, tick)

    def _end(
        self, over: Range, name: str, place: int, sign: int, bound: Fraction, end: End, where: str
    ) -> Check:
        check = nonnegative(name, subtract(end, bound), where)
        if check.holds:
            return check
        return undecided(name, where) if self._phases else over.at_least(name, place, sign, bound, where)

    def _affine_checks(
        self, boxes: Mapping[int, Ends], over: Range, tick: Callable[[], None]
    ) -> Iterator[Check]:
        alphas = {e.node: e.alpha for e in self.entries if e.alpha is not None}
        exact = affine_bounds(self._network, boxes, alphas)
        for place, e, k in self._stated():
            tick()
            if e.affine is None:
                continue
            a, below, above = e.affine, *exact[e.node]
            where = f"node {e.name}, value {k}"
            lower, upper = (*a.lower_rows[k], a.lower_offset[k]), (*a.upper_rows[k], a.upper_offset[k])
            yield self._line("affine lower bound", over, place, 1, below[k].tolist(), lower, where)
            yield self._line(
                "affine upper bound", over, place, -1, (-above[k]).tolist(), tuple(-q for q in upper), where
            )

    def _line(
        self,
        name: str,
        over: Range,
        place: int,
        sign: int,
        exact: Sequence[Fraction],
        stated: Row,
        where: str,
    ) -> Check:
        """sign f >= stated . (x, 1) on the box, from sign f >= exact . (x, 1)."""
        apart = [p - q for p, q in zip(exact, stated, strict=True)]
        corner = tuple(l if p >= 0 else u for p, l, u in zip(apart, self.lower, self.upper, strict=False))
        slack = sum((p * x for p, x in zip(apart, corner, strict=False)), apart[-1])
        if slack >= 0:
            return nonnegative(name, slack, where)
        least_gap: Arb | None = None
        for point in () if self._phases else self._tried(corner):
            values = over.values(point)
            if values is None:
                continue
            at = sum((q * x for q, x in zip(stated, point, strict=False)), stated[-1])
            gap = sign * values[place] - ball(at)
            if gap < 0:
                return nonnegative(name, gap, where)
            least_gap = gap if least_gap is None or gap < least_gap else least_gap
        high = None if least_gap is None else upper_float(least_gap)
        return Check(name, None, lower_float(ball(slack)), high, where)

    def _tried(self, corner: Row) -> Iterator[Row]:
        """The corner where the exact bound is least above the stated one, the one across, and the middle."""
        ends = list(zip(self.lower, self.upper, corner, strict=True))
        yield corner
        yield tuple(l + u - x for l, u, x in ends)
        yield tuple((l + u) / 2 for l, u, _ in ends)


def affine_bounds(
    network: Network, boxes: Mapping[int, Ends], alphas: Mapping[int, Row]
) -> dict[int, tuple[Objects, Objects]]:
    """node -> (below, above), rational matrices (d, n + 1): coefficients on the inputs, and the constant."""
    n = network.graph.n_inputs
    found: dict[int, tuple[Objects, Objects]] = {}
    for i in sorted(network.needed):
        node, affine = network.graph.nodes[i], network.affine[i]
        if isinstance(node.op, Input):
            s = network.input_slices[i]
            rows = np.array(
                [[Fraction(int(j == k)) for j in range(n + 1)] for k in range(s.start, s.stop)], object
            )
            found[i] = (rows, rows)
        elif affine is not None and all(_exact(affine)):
            found[i] = _through(affine, [found[j] for j in node.inputs], n)
        elif isinstance(node.op, Relu):
            z = node.inputs[0]
            found[i] = _relu(*found[z], *_outward(boxes[z]), alphas.get(i))
        else:
            low, high = _outward(boxes[i])
            found[i] = (_constants(low, n), _constants(high, n))
    return found


def _exact(affine: Affine) -> Iterator[bool]:
    """The map and the offset are exact numbers."""
    yield affine.offset is None or affine.offset.rad is None
    for m in affine.maps:
        constant = getattr(m, "weight", None) or getattr(m, "factor", None)
        yield constant is None or constant.rad is None


def _through(affine: Affine, xs: Sequence[tuple[Objects, Objects]], n: int) -> tuple[Objects, Objects]:
    size = affine.maps[0].n_out
    below, above = _constants([ZERO] * size, n), _constants([ZERO] * size, n)
    for m, (low, high) in zip(affine.maps, xs, strict=True):
        for c in range(n + 1):
            l, u = through(m, vector(low[:, c].tolist()), vector(high[:, c].tolist()))
            below[:, c], above[:, c] = below[:, c] + l, above[:, c] + u
    if affine.offset is not None:
        offset = rationals(affine.offset.mid)
        below[:, n], above[:, n] = below[:, n] + offset, above[:, n] + offset
    return below, above


def _relu(
    below: Objects, above: Objects, low: Sequence[Fraction], high: Sequence[Fraction], alpha: Row | None
) -> tuple[Objects, Objects]:
    down, up = below.copy(), above.copy()
    for k, (l, u) in enumerate(zip(low, high, strict=True)):
        if u <= 0:
            down[k], up[k] = ZERO, ZERO
        elif l < 0:
            slope = u / (u - l)
            a = alpha[k] if alpha is not None else Fraction(int(u > -l))
            down[k], up[k] = below[k] * a, above[k] * slope
            up[k, -1] = up[k, -1] - slope * l
    return down, up


def _outward(ends: Ends) -> tuple[list[Fraction], list[Fraction]]:
    """Rational ends at or beyond ``ends``. Raises NoRule where there is none."""
    low = [x if isinstance(x, Fraction) else _double(lower_float(as_ball(x))) for x in ends.lower.tolist()]
    high = [x if isinstance(x, Fraction) else _double(upper_float(as_ball(x))) for x in ends.upper.tolist()]
    return low, high


def _double(f: float) -> Fraction:
    if not np.isfinite(f):
        raise NoRule("an unbounded interval")
    return Fraction(f)


def _constants(values: Sequence[Fraction], n: int) -> Objects:
    rows = np.full((len(values), n + 1), ZERO, object)
    rows[:, n] = values
    return rows
