"""The exact network on balls: the value of every node at a point, or over a small box, in Arb.

Guarantee: for every point in the input balls and every network in the constants' enclosures, each node's exact real
value lies in the ball returned for it, at any working precision (the caller's, see ``arith.arb.working_precision``).
At an exact point the radii are rounding errors only, and the working precision is raised until they are small
(``Evaluator._sharp``); over a box they grow as interval arithmetic does. A constant that is known by a formula has the
numbers of that formula, not others of its enclosure.

Nothing compares balls with Python's ``max``, ``min`` or ``sorted``: a comparison of overlapping balls is False both
ways. A comparison that is True holds for every number of both balls; when none does, the two end points decide.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, arb_mat, ball, current_precision, working_precision
from tlcheck.trusted.arith.balls import constant_balls
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.maps import Affine, ConvMap, DiagMap, IndexMap, Map, MatMap, SignMap
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.base import AffineOperation, Balls, Shape, Step
from tlcheck.trusted.ops.base import Undecided as Undecided
from tlcheck.trusted.ops.ranges import UNDEFINED, finite
from tlcheck.trusted.ops.structure import Fixed, Input

MapStep = Callable[[Balls], Balls]
"""The function of one linear map: its operand's balls to the product's."""

KEPT_ENTRIES = 1 << 20
"""Largest weight matrix kept as balls between points (50 MiB); larger ones are rebuilt in parts of this size."""

MOST_BITS = 1024
"""Most working bits that an exact point is evaluated with, unless more are asked for."""

SPARE = 16
"""Bits beyond what radii seem to need: their growth is not quite linear."""

BITS_STEP = 64
"""Raised precisions are multiples of it, so that there are few of them."""

ANY_PRECISION = 0
"""Marks a step that serves at every precision."""

SPARSE = 8
"""A matrix with at most one entry in this many not zero is kept by its entries."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """``outputs``: balls of all outputs, concatenated. ``kept``: balls of the nodes asked for. All flat, row-major."""

    outputs: Balls
    kept: dict[int, Balls]


class Evaluator:
    """A graph made ready for evaluation at many points: weights become balls once, whatever the precision."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._steps: dict[tuple[int, int], Step] = {}

    def evaluate(self, inputs: Sequence[Sequence[Arb | Fraction]], keep: Collection[int] = ()) -> Evaluation:
        """Enclosures over ``inputs``, balls or exact rationals, one flat sequence per input node in declaration order.

        At an exact point the balls are sharp (``_sharp``): rounding errors that depth or cancellation blows up are computed away.
        Raises ValueError when the inputs do not fit the graph or are not finite, or a node in ``keep`` is not there;
        Undecided, naming the node, where the balls do not decide a discontinuous operation.
        """
        self._check(inputs)
        wanted = set(self.graph.outputs) | set(keep)
        if not all(0 <= i < len(self.graph.nodes) for i in wanted):
            raise ValueError(f"evaluate: no such node in {sorted(keep)}")
        exact = all(isinstance(x, Fraction) or x.is_exact() for part in inputs for x in part)
        values = self._sharp(inputs, wanted) if exact else self._values(inputs, wanted)
        outputs = [y for i in self.graph.outputs for y in values[i]]
        return Evaluation(outputs, {i: values[i] for i in keep})

    def _sharp(self, inputs: Sequence[Sequence[Arb | Fraction]], wanted: Collection[int]) -> dict[int, Balls]:
        """The wanted nodes' values at an exact point, p the working precision: every radius is at most 2^(-3p/8) of the node's
        largest value, or 2^-2p, wherever ``MOST_BITS`` or 2p working bits give that.

        Balls say nothing of how errors are correlated (x times a function of x; x less its mean): each operation may make
        radii grow, though the function is benign. But at an exact point all radii come from roundings, and shrink with 2^-bits.
        """
        p = bits = current_precision()
        most = max(MOST_BITS, 2 * p)
        while True:
            try:
                with working_precision(bits):
                    values = self._values(inputs, wanted)
                missing = _missing(values.values(), p)
            except Undecided:
                if bits >= most:
                    raise
                missing = None
            if missing == 0 or bits >= most:
                return values
            bits = min(-(-(bits + (missing or bits)) // BITS_STEP) * BITS_STEP, most)

    def _values(
        self, inputs: Sequence[Sequence[Arb | Fraction]], wanted: Collection[int]
    ) -> dict[int, Balls]:
        """The wanted nodes' balls at the working precision."""
        points = [[ball(x) if isinstance(x, Fraction) else x for x in part] for part in inputs]
        values: dict[int, Balls] = dict(zip(self.graph.inputs, points, strict=True))
        last = self._last_uses(wanted)
        for i, node in enumerate(self.graph.nodes):
            if i not in last:
                continue
            if not isinstance(node.op, Input):
                values[i] = self._value(i, [values[j] for j in node.inputs])
            for j in node.inputs:
                if last[j] == i:
                    values.pop(j, None)
        return {i: values[i] for i in wanted}

    def _check(self, inputs: Sequence[Sequence[Arb | Fraction]]) -> None:
        sizes = [self.graph.nodes[i].size for i in self.graph.inputs]
        if [len(x) for x in inputs] != sizes:
            raise ValueError(
                f"evaluate: inputs of sizes {[len(x) for x in inputs]}, the network takes {sizes}"
            )
        if not all(isinstance(x, Fraction) or x.is_finite() for part in inputs for x in part):
            raise ValueError("evaluate: an input is not finite")

    def _last_uses(self, wanted: Collection[int]) -> dict[int, int]:
        """For each node that ``wanted`` depends on, the last node that reads it (never, for the wanted ones)."""
        last = dict.fromkeys(wanted, len(self.graph.nodes))
        for i in reversed(range(len(self.graph.nodes))):
            if i in last:
                for j in self.graph.nodes[i].inputs:
                    last.setdefault(j, i)
        return last

    def _value(self, i: int, operands: Sequence[Balls]) -> Balls:
        try:
            return self._step(i)(operands)
        except Undecided as problem:
            raise Undecided(f"{problem}, at node '{self.graph.nodes[i].label or i}'") from None

    def _step(self, i: int) -> Step:
        """Made once; once for each precision where a constant is known by a formula."""
        node = self.graph.nodes[i]
        constants = [c for c in vars(node.op).values() if isinstance(c, Constant)]
        key = i, ANY_PRECISION if all(c.formula is None for c in constants) else current_precision()
        if key not in self._steps:
            self._steps[key] = _step(node, tuple(self.graph.nodes[j].shape for j in node.inputs))
        return self._steps[key]


def _missing(nodes: Iterable[Balls], p: int) -> int | None:
    """Bits by which the worst radius exceeds what ``Evaluator._sharp`` promises, and some; None where a ball is not finite."""
    missing = 0
    for balls in nodes:
        if not all(x.is_finite() for x in balls):
            return None
        allowed = arb(2) ** (-2 * p)
        for x in balls:
            share = abs(x.mid()) * arb(2) ** (-(3 * p // 8))  # exact: comparisons decide
            allowed = share if share > allowed else allowed
        for x in balls:
            if not x.rad() <= allowed:
                missing = max(missing, _binary_digits(x.rad() / allowed) + SPARE)
    return missing


def _binary_digits(x: Arb) -> int:
    """About log2 x, x > 0."""
    return max(int((x.mid().log() / arb(2).log()).mid().ceil().unique_fmpz() or 0), 0)


def evaluate(
    graph: Graph, inputs: Sequence[Sequence[Arb | Fraction]], keep: Collection[int] = ()
) -> Evaluation:
    """:meth:`Evaluator.evaluate` for one point; use an Evaluator for many."""
    return Evaluator(graph).evaluate(inputs, keep)


def _step(node: Node, shapes: tuple[Shape, ...]) -> Step:
    """An affine operation by its maps, others by their own rule."""
    if isinstance(node.op, Fixed):
        value = constant_balls(node.op.value)
        return lambda _: value
    if isinstance(node.op, AffineOperation):
        return affine_step(node.op.affine(shapes, node.shape))
    return node.op.step(shapes, node.shape)


# Affine operations: sum_i M_i x_i + b.


class _Matrix:
    """A constant matrix (R, K) that multiplies columns of balls, in parts of at most KEPT_ENTRIES entries.

    ``balls``: its entries, flat; None where they are exactly ``mid``.
    """

    def __init__(self, mid: NDArray[np.floating], balls: list[Arb] | None) -> None:
        self._mid, self._balls = mid, balls
        self.rows, self.width = int(mid.shape[0]), int(mid.shape[1])
        sparse = balls is None and SPARSE * int(np.count_nonzero(mid)) <= mid.size
        self._entries = [_entries(row) for row in mid] if sparse else None
        self._kept = self._part(0, self.rows) if not sparse and mid.size <= KEPT_ENTRIES else None

    def _part(self, start: int, stop: int) -> arb_mat:
        if self._balls is not None:
            return arb_mat(stop - start, self.width, self._balls[start * self.width : stop * self.width])
        return arb_mat(
            stop - start, self.width, self._mid[start:stop].astype(np.float64).reshape(-1).tolist()
        )

    def times(self, columns: list[Arb], count: int) -> list[Arb]:
        """The product with ``columns`` (K, count), flat: (R, count), flat."""
        if self._entries is not None:  # a zero weight adds nothing, whatever its operand
            picked = ([(w, k * count) for k, w in row] for row in self._entries)
            return [sum((w * columns[k + c] for w, k in row), arb(0)) for row in picked for c in range(count)]
        operand = arb_mat(self.width, count, columns)
        if self._kept is not None:
            return list((self._kept * operand).entries())
        step = max(1, KEPT_ENTRIES // self.width)
        parts = (self._part(s, min(s + step, self.rows)) for s in range(0, self.rows, step))
        return [value for part in parts for value in (part * operand).entries()]


def _entries(row: NDArray[np.floating]) -> list[tuple[int, Arb]]:
    """(place, ball) of the entries that are not zero."""
    return [(int(k), arb(float(row[k]))) for k in np.flatnonzero(row)]


NOTHING = arb(0)
"""What a gather puts where no entry goes: adds nothing, and rounds nothing."""


def affine_step(affine: Affine) -> Step:
    steps = [_map_step(m) for m in affine.maps]
    offset = None if affine.offset is None else constant_balls(affine.offset)
    plus = _plus if any(isinstance(m, IndexMap) for m in affine.maps) else add

    def step(xs: Sequence[Balls]) -> Balls:
        first, *others = (apply(x) for apply, x in zip(steps, xs, strict=True))
        for y in others:
            first = list(map(plus, first, y))
        return first if offset is None else list(map(add, first, offset))

    return step


def _plus(a: Arb, b: Arb) -> Arb:
    return b if a is NOTHING else a if b is NOTHING else a + b


def _map_step(m: Map) -> MapStep:
    match m:
        case MatMap():
            return _product(m)
        case ConvMap():
            return _correlation(m)
        case DiagMap():
            factor = constant_balls(m.factor, m.shape)
            return lambda x: [f * v for f, v in zip(factor, x, strict=True)]
        case SignMap():
            return (lambda x: x) if m.sign == 1 else (lambda x: [-v for v in x])
        case IndexMap():
            return _summed(m) if m.transposed else _gathered(m)


def _gathered(m: IndexMap) -> MapStep:
    index: list[int] = m.index.tolist()
    return lambda x: [x[i] if i >= 0 else NOTHING for i in index]


def _summed(m: IndexMap) -> MapStep:
    target: list[int] = m.index.tolist()

    def step(x: Balls) -> Balls:
        result = [arb(0)] * m.size
        for t, value in zip(target, x, strict=True):
            if t >= 0:
                result[t] = result[t] + value
        return result

    return step


def _product(m: MatMap) -> MapStep:
    turned = m.weight.moved(np.transpose)
    weight = _Matrix(turned.mid, None if turned.rad is None else constant_balls(turned))

    def step(x: Balls) -> Balls:
        if not finite(x):
            return [UNDEFINED] * m.n_out
        flat = weight.times(_transposed(x, m.positions, weight.width), m.positions)
        return _transposed(flat, weight.rows, m.positions)

    return step


def _transposed(flat: Balls, rows: int, columns: int) -> list[Arb]:
    """A flat (rows, columns) as a flat (columns, rows)."""
    if rows == 1 or columns == 1:
        return list(flat)
    return [flat[r * columns + c] for c in range(columns) for r in range(rows)]


def _correlation(m: ConvMap) -> MapStep:
    """y[b, o, q] = sum over c, k of w[o, c, k] x[b, c, source(k, q)], terms without a source left out (``_source``).

    The weight as one matrix (result's channels / groups, operand's channels / groups * taps) per group.
    """
    given, shape = (m.narrow, m.wide) if m.transposed else (m.wide, m.narrow)
    groups, (batch, channels), positions = m.groups, given[:2], prod(shape[2:])
    per_group, out_per_group, area = channels // groups, shape[1] // groups, prod(given[2:])
    weights = _group_matrices(m)
    taps = _taps(m, given[2:], shape[2:])
    step_size = max(1, KEPT_ENTRIES // max(1, per_group * taps.shape[0]))

    def step(xs: Balls) -> Balls:
        if not finite(xs):
            return [UNDEFINED] * m.n_out
        x = [*xs, arb(0)]
        result: list[Arb] = [x[-1]] * m.n_out
        for b, g, start in product(range(batch), range(groups), range(0, positions, step_size)):
            part = taps[:, start : start + step_size]
            bases = (np.arange(per_group) + (b * channels + g * per_group)) * area
            index = np.where(part[None] < 0, len(x) - 1, bases[:, None, None] + part[None])
            count = part.shape[1]
            found = weights[g].times([x[i] for i in index.reshape(-1).tolist()], count)
            for o in range(out_per_group):
                at = (b * shape[1] + g * out_per_group + o) * positions + start
                result[at : at + count] = found[o * count : (o + 1) * count]
        return result

    return step


def _group_matrices(m: ConvMap) -> list[_Matrix]:
    """The weight is (O, C/groups, *kernel), O the narrow side's channels: rows for them, or for C when transposed."""

    def matrices(w: NDArray[Any]) -> NDArray[Any]:
        split = w.reshape(m.groups, w.shape[0] // m.groups, w.shape[1], -1)
        rows = split.transpose(0, 2, 1, 3) if m.transposed else split
        return rows.reshape(m.groups, rows.shape[1], -1)

    turned = m.weight.moved(matrices)
    balls = None if turned.rad is None else constant_balls(turned)
    size = turned.mid[0].size
    return [
        _Matrix(turned.mid[g], None if balls is None else balls[g * size : (g + 1) * size])
        for g in range(m.groups)
    ]


def _source(m: ConvMap, axis: int, k: int, q: int) -> int | None:
    """Narrow p and wide i are linked by i = strides p + dilations k - pads: the operand's place of the result's place q."""
    if not m.transposed:
        return m.strides[axis] * q + m.dilations[axis] * k - m.pads[axis]
    p, rest = divmod(q + m.pads[axis] - m.dilations[axis] * k, m.strides[axis])
    return p if rest == 0 else None


def _taps(m: ConvMap, given: Shape, shape: Shape) -> NDArray[np.int64]:
    """(taps, positions): the flat place of the operand that kernel offset and result position link; -1 for none."""
    table = np.zeros((1, 1), np.int64)
    for axis, (k, n, size) in enumerate(zip(m.kernel, given, shape, strict=True)):
        found = [[_source(m, axis, i, q) for q in range(size)] for i in range(k)]
        line = np.array([[-1 if s is None or not 0 <= s < n else s for s in row] for row in found], np.int64)
        table, line = table[:, None, :, None], line[None, :, None, :]
        joined = np.where((table < 0) | (line < 0), np.int64(-1), table * n + line)
        table = joined.reshape(joined.shape[0] * k, joined.shape[2] * size)
    return table
