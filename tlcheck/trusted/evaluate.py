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
from functools import reduce
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, arb_mat, ball, current_precision, working_precision
from tlcheck.trusted.arith.balls import constant_balls
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.graph import Graph, Shape
from tlcheck.trusted.nonlinear import RULES as NONLINEAR
from tlcheck.trusted.nonlinear import UNDEFINED, finite
from tlcheck.trusted.ops.activation import Abs, Clip, LeakyRelu, MaxOver, Relu, Sigmoid, Tanh
from tlcheck.trusted.ops.affine import Conv, ConvTranspose, Linear, Scale, Sum
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.base import Undecided as Undecided
from tlcheck.trusted.ops.structure import Fixed, Input, Rearrange, ReduceSum

Balls = Sequence[Arb]
Step = Callable[[Sequence[Balls]], Balls]
"""One node's function: its operands' balls (flat, row-major) to its own."""

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
            rule = RULES.get(type(node.op))
            if rule is None:
                raise ValueError(f"evaluate: no rule for {type(node.op).__name__}")
            shapes = tuple(self.graph.nodes[j].shape for j in node.inputs)
            self._steps[key] = rule(node.op, shapes, node.shape)
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


# Constants.


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


# Sources and rearrangements.


def _fixed(op: Fixed, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    value = constant_balls(op.value, shape)
    return lambda _: value


def _rearrange(op: Rearrange, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    if op.index is None:
        return lambda xs: xs[0]
    index: list[int] = op.index.tolist()

    def step(xs: Sequence[Balls]) -> Balls:
        flat = [value for x in xs for value in x]
        zero = arb(0)
        return [flat[i] if i >= 0 else zero for i in index]

    return step


def _reduce_sum(op: ReduceSum, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    kept = tuple(1 if a in op.axes else n for a, n in enumerate(inputs[0]))
    target = np.broadcast_to(np.arange(prod(shape)).reshape(kept), inputs[0]).reshape(-1).tolist()

    def step(xs: Sequence[Balls]) -> Balls:
        result = [arb(0)] * prod(shape)
        for t, x in zip(target, xs[0], strict=True):
            result[t] = result[t] + x
        return result

    return step


# Affine operations.


def _linear(op: Linear, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    turned = op.weight.moved(np.transpose)
    weight = _Matrix(turned.mid, None if turned.rad is None else constant_balls(turned))
    bias = None if op.bias is None else constant_balls(op.bias, shape)
    positions = prod(shape[:-1])

    def step(xs: Sequence[Balls]) -> Balls:
        if not finite(xs[0]):
            return [UNDEFINED] * prod(shape)
        flat = weight.times(_transposed(xs[0], positions, weight.width), positions)
        return _plus(_transposed(flat, weight.rows, positions), bias)

    return step


def _transposed(flat: Balls, rows: int, columns: int) -> list[Arb]:
    """A flat (rows, columns) as a flat (columns, rows)."""
    if rows == 1 or columns == 1:
        return list(flat)
    return [flat[r * columns + c] for c in range(columns) for r in range(rows)]


def _plus(x: Balls, offset: list[Arb] | None) -> Balls:
    return x if offset is None else [a + b for a, b in zip(x, offset, strict=True)]


def _conv(op: Conv, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    """Weight (O, C/groups, *kernel) as one matrix (O/groups, C/groups * taps) per group."""

    def matrix(w: NDArray[Any]) -> NDArray[Any]:
        return w.reshape(op.groups, w.shape[0] // op.groups, -1)

    def source(axis: int, k: int, p: int) -> int | None:
        return op.strides[axis] * p + op.dilations[axis] * k - op.pads_begin[axis]

    return _correlation(op, matrix, source, inputs[0], shape)


def _conv_transpose(op: ConvTranspose, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    """Weight (C, O/groups, *kernel) as one matrix (O/groups, C/groups * taps) per group."""

    def matrix(w: NDArray[Any]) -> NDArray[Any]:
        split = w.reshape(op.groups, w.shape[0] // op.groups, w.shape[1], -1)
        return split.transpose(0, 2, 1, 3).reshape(op.groups, w.shape[1], -1)

    def source(axis: int, k: int, q: int) -> int | None:
        # q = strides p + dilations k - pads_begin
        p, rest = divmod(q + op.pads_begin[axis] - op.dilations[axis] * k, op.strides[axis])
        return p if rest == 0 else None

    return _correlation(op, matrix, source, inputs[0], shape)


def _correlation(
    op: Conv | ConvTranspose,
    matrix: Callable[[NDArray[Any]], NDArray[Any]],
    source: Callable[[int, int, int], int | None],
    given: Shape,
    shape: Shape,
) -> Step:
    """y[b, o, q] = bias[o] + sum over c, k of w[o, c, k] x[b, c, source(k, q)], terms without a source left out."""
    groups, (batch, channels), positions = op.groups, given[:2], prod(shape[2:])
    per_group, out_per_group, area = channels // groups, shape[1] // groups, prod(given[2:])
    given_weights = op.weight.moved(matrix)  # (groups, rows, columns)
    mids = given_weights.mid
    balls = None if given_weights.rad is None else constant_balls(given_weights)
    size = mids[0].size
    weights = [
        _Matrix(mids[g], None if balls is None else balls[g * size : (g + 1) * size]) for g in range(groups)
    ]
    taps = _taps(op.kernel, given[2:], shape[2:], source)
    bias = None if op.bias is None else constant_balls(op.bias, (shape[1],))
    step_size = max(1, KEPT_ENTRIES // max(1, per_group * taps.shape[0]))

    def step(xs: Sequence[Balls]) -> Balls:
        if not finite(xs[0]):
            return [UNDEFINED] * prod(shape)
        x = [*xs[0], arb(0)]
        result: list[Arb] = [x[-1]] * prod(shape)
        for b, g, start in product(range(batch), range(groups), range(0, positions, step_size)):
            part = taps[:, start : start + step_size]
            bases = (np.arange(per_group) + (b * channels + g * per_group)) * area
            index = np.where(part[None] < 0, len(x) - 1, bases[:, None, None] + part[None])
            count = part.shape[1]
            found = weights[g].times([x[i] for i in index.reshape(-1).tolist()], count)
            for o in range(out_per_group):
                channel = g * out_per_group + o
                at = (b * shape[1] + channel) * positions + start
                row = found[o * count : (o + 1) * count]
                result[at : at + count] = row if bias is None else [v + bias[channel] for v in row]
        return result

    return step


def _taps(
    kernel: Shape, given: Shape, shape: Shape, source: Callable[[int, int, int], int | None]
) -> NDArray[np.int64]:
    """(taps, positions): the flat place of the operand that kernel offset and result position link; -1 for none."""
    table = np.zeros((1, 1), np.int64)
    for axis, (k, n, m) in enumerate(zip(kernel, given, shape, strict=True)):
        found = [[source(axis, i, p) for p in range(m)] for i in range(k)]
        line = np.array([[-1 if s is None or not 0 <= s < n else s for s in row] for row in found], np.int64)
        table, line = table[:, None, :, None], line[None, :, None, :]
        joined = np.where((table < 0) | (line < 0), np.int64(-1), table * n + line)
        table = joined.reshape(joined.shape[0] * k, joined.shape[2] * m)
    return table


def _scale(op: Scale, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    factor = constant_balls(op.factor, shape)
    offset = None if op.offset is None else constant_balls(op.offset, shape)
    return lambda xs: _plus([f * x for f, x in zip(factor, xs[0], strict=True)], offset)


def _sum(op: Sum, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    def step(xs: Sequence[Balls]) -> Balls:
        signed = [x if s == 1 else [-value for value in x] for s, x in zip(op.signs, xs, strict=True)]
        return [reduce(lambda a, b: a + b, column) for column in zip(*signed, strict=True)]

    return step


# Elementwise functions and selections.


def _elementwise(function: Callable[[Arb], Arb]) -> Step:
    return lambda xs: [function(x) for x in xs[0]]


def _relu(op: Relu, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    zero = arb(0)

    def relu(x: Arb) -> Arb:
        return x if x >= 0 else zero if x <= 0 else zero.union(x.upper())

    return _elementwise(relu)


def _leaky_relu(op: LeakyRelu, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    alpha, zero = arb(op.alpha), arb(0)

    def leaky(x: Arb) -> Arb:
        if x >= 0:
            return x
        # One kink, at 0: over an interval around it the range is spanned by the ends and 0.
        return alpha * x if x <= 0 else zero.union(alpha * x.lower()).union(x.upper())

    return _elementwise(leaky)


def _abs(op: Abs, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    zero = arb(0)

    def absolute(x: Arb) -> Arb:
        if x >= 0:
            return x
        return -x if x <= 0 else zero.union(-x.lower()).union(x.upper())

    return _elementwise(absolute)


def _clip(op: Clip, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    """min(max(x, lower), upper)"""
    lower, upper = (
        None if c is None else constant_balls(_fitted(c, shape), shape) for c in (op.lower, op.upper)
    )

    def step(xs: Sequence[Balls]) -> Balls:
        y = xs[0]
        if lower is not None:
            y = [_at_least(x, bound) for x, bound in zip(y, lower, strict=True)]
        return y if upper is None else [_at_most(x, bound) for x, bound in zip(y, upper, strict=True)]

    return step


def _fitted(bound: Constant, shape: Shape) -> Constant:
    """One number, or one per value of ``shape``."""
    return bound.moved(lambda a: a.reshape(() if bound.size == 1 else shape))


def _at_least(x: Arb, bound: Arb) -> Arb:
    """max(x, bound), bound exact: where x straddles it, from bound to x's upper end."""
    return x if x >= bound else bound if x <= bound else bound.union(x.upper())


def _at_most(x: Arb, bound: Arb) -> Arb:
    """min(x, bound), bound exact: where x straddles it, from x's lower end to bound."""
    return x if x <= bound else bound if x >= bound else bound.union(x.lower())


def _sigmoid(op: Sigmoid, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    return _elementwise(lambda x: _increasing(_sigmoid_at, x))


def _tanh(op: Tanh, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    return _elementwise(lambda x: _increasing(lambda z: z.tanh(), x))


def _increasing(f: Callable[[Arb], Arb], x: Arb) -> Arb:
    """f over the ball, f increasing: spanned by the values at its two ends."""
    return f(x) if x.is_exact() else f(x.lower()).union(f(x.upper()))


def _sigmoid_at(z: Arb) -> Arb:
    """1/(1 + e^-z) at an exact point, by e^-|z|, which never overflows."""
    if z >= 0:
        return 1 / (1 + (-z).exp())
    e = z.exp()
    return e / (1 + e)


def _max_over(op: MaxOver, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    windows = [[i for i in row if i >= 0] for row in op.index.tolist()]
    return lambda xs: [_largest([xs[0][i] for i in window]) for window in windows]


def _largest(balls: list[Arb]) -> Arb:
    """The maximum: the ball that is certainly largest, else from the largest lower end to the largest upper end."""
    contenders = balls[:1]
    for x in balls[1:]:
        if any(x <= c for c in contenders):
            continue
        contenders = [*(c for c in contenders if not c <= x), x]
    if len(contenders) == 1:
        return contenders[0]
    if not all(x.is_finite() for x in contenders):
        return reduce(lambda a, b: a.union(b), contenders)
    low, high = contenders[0].lower(), contenders[0].upper()
    for x in contenders[1:]:
        a, b = x.lower(), x.upper()  # exact balls: one comparison of two of them is always True
        low, high = (a if a >= low else low), (b if b >= high else high)
    return low.union(high)


RULES: dict[type[Operation], Callable[[Any, tuple[Shape, ...], Shape], Step]] = {
    Fixed: _fixed,
    Rearrange: _rearrange,
    ReduceSum: _reduce_sum,
    Linear: _linear,
    Conv: _conv,
    ConvTranspose: _conv_transpose,
    Scale: _scale,
    Sum: _sum,
    Relu: _relu,
    LeakyRelu: _leaky_relu,
    Abs: _abs,
    Clip: _clip,
    Sigmoid: _sigmoid,
    Tanh: _tanh,
    MaxOver: _max_over,
    **NONLINEAR,
}
"""From an operation to the function that prepares its step; Input has none."""
