"""Node certificates: a box and affine bounds for every node of a network over one input box.

``NodeBounds`` says that they are true: at every input of the box (and, where phases are stated, every input at which the
named ReLU operands have the stated signs) each node's value lies in its box, and loA x + loC <= value <= hiA x + hiC.

Proof of a box: it contains the interval box (``exact_intervals``), operands of ReLU cut to their stated phases. Proof of
an affine bound: exact forward bounds, in rationals, from the same boxes. A ReLU on [l, u], l < 0 < u, lies above a z for any
a in [0, 1] (the certificate's alpha, else 1 where u > -l, else 0) and below u (z - l) / (u - l); an affine map takes the
lower bounds of operands with positive weights and the upper ones of the others; any other operation has the constant
bounds of its box. The claimed bound is at or below the exact one at every point of the box, which is decided at the corner where
their difference is least. Disproof: a point of the input box, where no phases are stated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from tlcheck.trusted.arith.arb import Arb, ball, lower_float, upper_float
from tlcheck.trusted.arith.maps import Affine
from tlcheck.trusted.conditions import Check, nonnegative, undecided
from tlcheck.trusted.evaluate import Evaluator
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.science.exact_intervals import (
    End,
    Ends,
    NoRule,
    Objects,
    as_ball,
    rationals,
    through,
    vector,
)  # fmt: skip
from tlcheck.trusted.science.interval_box import subtract
from tlcheck.trusted.science.node_boxes import ZERO, NodesClaim, Row
from tlcheck.trusted.science.output_range import Range


class NodeBounds(NodesClaim):
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
