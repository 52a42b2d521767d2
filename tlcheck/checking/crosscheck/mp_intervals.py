"""A second, independent interval engine: mpmath's intervals, by plain loops from the operations' definitions.

It shares no arithmetic with the engines it checks, only the graph and what its operations mean. What it finds are
*disagreements*: two enclosures of one number that have no point in common, so that one engine is wrong. That is an
internal error (TLC902), never a verdict; finding none proves nothing.

Intervals are mpmath's pairs (lower, upper) of binary floats, made with its directed roundings at a precision that is
an argument everywhere: the global ``iv.prec`` is neither read nor set. The exponential is widened beyond its claimed
rounding, because mpmath does not prove it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from mpmath import iv, libmp
from numpy.typing import NDArray

from tlcheck.checking.crosscheck.mp_nonlinear import RULES as NONLINEAR
from tlcheck.checking.crosscheck.mp_nonlinear import NothingToCheck, quantized, smooth, smooth_interval
from tlcheck.checking.crosscheck.mp_nonlinear import TooLarge as TooLarge
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.graph import Graph, Shape
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale, Sum
from tlcheck.trusted.ops.attended import Attended
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.convolution import Conv, ConvTranspose
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.gap import BentGap, Counterpart, Difference
from tlcheck.trusted.ops.product import MatProduct
from tlcheck.trusted.ops.product_gap import BothRounded
from tlcheck.trusted.ops.quantized import Paired, Quantize
from tlcheck.trusted.ops.s_shaped import Sigmoid, SShaped, Tanh
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.smooth_gap import SmoothGap
from tlcheck.trusted.ops.softmax import Softmax
from tlcheck.trusted.ops.statistics import Statistic, Unlike
from tlcheck.trusted.ops.stored import Stored
from tlcheck.trusted.ops.structure import Fixed, Input, Rearrange, ReduceSum
from tlcheck.trusted.ops.window_gap import MaxGap, SoftmaxGap

if TYPE_CHECKING:
    from tlcheck.trusted.ops.lines import Lines

Real = tuple[Any, ...]
"""One of mpmath's binary floats (sign, mantissa, exponent, bits)."""
Interval = tuple[Real, Real]
Values = list[Interval]
Side = tuple[Fraction, Fraction]
Rule = Callable[[Any, list[Values], tuple[Shape, ...], int], Values]

DOWN, UP = libmp.round_floor, libmp.round_ceiling
ZERO: Interval = (libmp.fzero, libmp.fzero)
ONE: Interval = (libmp.fone, libmp.fone)
MAX_PRODUCTS = 2_000_000
"""Most multiplications of one evaluation: some ten seconds."""
MAX_NEURONS = 20_000
"""Most pairs of lines in one check: some ten seconds."""
PRECISION = 256
"""Bits of the checks."""
_EXP_CLAMP = 1 << 20
FAR, BISECTIONS = 2.0**20, 80
"""Where tangent points are looked for."""
INTERIOR = 16
"""Points inside each neuron's interval at which its lines are checked."""


def mp_evaluate(
    graph: Graph, inputs: Sequence[Sequence[Side]], precision_bits: int = PRECISION
) -> list[iv.mpf]:
    """Enclosures of all outputs over a box, concatenated: ``inputs`` holds (lower, upper) per value and input node.

    Raises TooLarge, or ValueError when the inputs do not fit the graph.
    """
    values = _all_values(graph, inputs, precision_bits)
    return [iv.make_mpf(x) for i in graph.outputs for x in values[i]]


def disagreements(
    graph: Graph, boxes: Mapping[int, Box], inputs: Sequence[Sequence[Side]], precision_bits: int = PRECISION
) -> list[str]:
    """Where an enclosure claimed over the input box is wrong: one line each, none when all agree.

    ``boxes`` are claimed enclosures of nodes over the whole box, (1, n). At its centre and at two opposite corners
    the exact value of each node lies in mpmath's interval, so that this must meet the claimed one.
    """
    for i, box in boxes.items():
        if not 0 <= i < len(graph.nodes) or box.lower.shape != (1, graph.nodes[i].size):
            raise ValueError(f"cross-check: box {box.lower.shape} for node {i}")
    found = []
    for name, pick in _POINTS.items():
        point = [[(pick(*side), pick(*side)) for side in sides] for sides in inputs]
        values = _all_values(graph, point, precision_bits)
        for i, box in boxes.items():
            ends = zip(box.lower[0].tolist(), box.upper[0].tolist(), strict=True)
            for k, (x, (low, high)) in enumerate(zip(values[i], ends, strict=True)):
                if _above(x[0], high) or _below(x[1], low):
                    label = graph.nodes[i].label or type(graph.nodes[i].op).__name__
                    found.append(
                        f"node {i} ({label}), value {k}, {name}: {_text(x)} outside [{low!r}, {high!r}]"
                    )
    return found


def cross_check_relaxation(
    op: Elementwise, box: Box, lines: Lines, precision_bits: int = PRECISION
) -> list[str]:
    """Where f(z) < ls z + lt or f(z) > us z + ut for certain, for a z in the box: one line each.

    Checked at both ends, f's kinks, where f' is the slope (S-shaped f), and at 16 points between. Arrays (D, n) or
    (1, n). Raises TooLarge.
    """
    arrays = (box.lower, box.upper, *lines.lower, *lines.upper)
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    if prod(shape) > MAX_NEURONS:
        raise TooLarge(f"cross-check of {prod(shape)} relaxations, at most {MAX_NEURONS}")
    low, high, ls, lt, us, ut = (np.broadcast_to(a, shape) for a in arrays)
    found = []
    for d, k in np.ndindex(*shape):
        at = (d, k)
        f = _function(op, k, shape[1], precision_bits)
        for z in _sample(op, k, float(low[at]), float(high[at]), (float(ls[at]), float(us[at]))):
            value = f(_exact(z))
            above = _sub(value, _line(float(ls[at]), float(lt[at]), z, precision_bits), precision_bits)
            below = _sub(_line(float(us[at]), float(ut[at]), z, precision_bits), value, precision_bits)
            for side, gap in (("lower", above), ("upper", below)):
                if libmp.mpf_lt(gap[1], libmp.fzero):
                    found.append(
                        f"{type(op).__name__}, neuron {d, k}: {side} line wrong at z = {z!r} by {_text(gap)}"
                    )
    return found


# Numbers.


def _exact(x: float) -> Interval:
    if not math.isfinite(x):
        raise ValueError("cross-check: not finite")
    end = libmp.from_float(x)
    return end, end


def _rational(low: Fraction, high: Fraction, prec: int) -> Interval:
    if low > high:
        raise ValueError("cross-check: lower above upper")
    return (
        libmp.from_rational(low.numerator, low.denominator, prec, DOWN),
        libmp.from_rational(high.numerator, high.denominator, prec, UP),
    )


def _add(x: Interval, y: Interval, prec: int) -> Interval:
    return libmp.mpf_add(x[0], y[0], prec, DOWN), libmp.mpf_add(x[1], y[1], prec, UP)


def _neg(x: Interval) -> Interval:
    return libmp.mpf_neg(x[1]), libmp.mpf_neg(x[0])


def _sub(x: Interval, y: Interval, prec: int) -> Interval:
    return _add(x, _neg(y), prec)


def _mul(x: Interval, y: Interval, prec: int) -> Interval:
    result: Interval = libmp.mpi_mul(x, y, prec)
    return result


def _hull(*xs: Interval) -> Interval:
    low, high = xs[0]
    for a, b in xs[1:]:
        low, high = (a if libmp.mpf_lt(a, low) else low), (b if libmp.mpf_gt(b, high) else high)
    return low, high


def _below(x: Real, bound: float) -> bool:
    """x < bound, exactly."""
    return bool(bound == math.inf or (bound != -math.inf and libmp.mpf_lt(x, libmp.from_float(bound))))


def _above(x: Real, bound: float) -> bool:
    """x > bound, exactly."""
    return bool(bound == -math.inf or (bound != math.inf and libmp.mpf_gt(x, libmp.from_float(bound))))


def _text(x: Interval) -> str:
    return f"[{libmp.to_str(x[0], 17)}, {libmp.to_str(x[1], 17)}]"


def _line(slope: float, intercept: float, z: float, prec: int) -> Interval:
    return _add(_mul(_exact(slope), _exact(z), prec), _exact(intercept), prec)


def _constants(c: Constant) -> Values:
    mids = [_exact(v) for v in c.mid.astype(np.float64).reshape(-1).tolist()]
    if c.rad is None:
        return mids
    rads = [_exact(v) for v in c.rad.reshape(-1).tolist()]
    return [
        (_exact_sum(m[0], libmp.mpf_neg(r[0])), _exact_sum(m[0], r[0]))
        for m, r in zip(mids, rads, strict=True)
    ]


def _exact_sum(a: Real, b: Real) -> Real:
    result: Real = libmp.mpf_add(a, b)
    return result


def _places(shape: Shape) -> NDArray[np.int64]:
    """Flat positions, in shape."""
    return np.arange(prod(shape), dtype=np.int64).reshape(shape)


_POINTS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "at the centre": lambda low, high: (low + high) / 2,
    "at the lower corner": lambda low, high: low,
    "at the upper corner": lambda low, high: high,
}


# Evaluation.


def _all_values(graph: Graph, inputs: Sequence[Sequence[Side]], prec: int) -> list[Values]:
    sizes = [graph.nodes[i].size for i in graph.inputs]
    if [len(x) for x in inputs] != sizes:
        raise ValueError(
            f"cross-check: inputs of sizes {[len(x) for x in inputs]}, the network takes {sizes}"
        )
    work = sum(_products(graph, i) for i in range(len(graph.nodes)))
    if work > MAX_PRODUCTS:
        raise TooLarge(f"cross-check of {work} multiplications, at most {MAX_PRODUCTS}")
    given = iter(inputs)
    values: list[Values] = []
    for node in graph.nodes:
        if isinstance(node.op, Input):
            values.append([_rational(low, high, prec) for low, high in next(given)])
            continue
        rule = _rule(node.op)
        operands = [values[j] for j in node.inputs]
        values.append(rule(node.op, operands, tuple(graph.nodes[j].shape for j in node.inputs), prec))
        if len(values[-1]) != node.size:
            raise ValueError(f"cross-check: {len(values[-1])} values for a node of size {node.size}")
    return values


def _rule(op: Operation) -> Rule:
    found: Rule | None = RULES.get(type(op)) or (smooth if isinstance(op, Elementwise) else None)
    if found is None:
        raise NothingToCheck(f"cross-check: no rule for {type(op).__name__}")
    return found


def _products(graph: Graph, i: int) -> int:
    """Multiplications (or moves) that node i takes."""
    node = graph.nodes[i]
    match node.op:
        case Linear():
            return node.size * node.op.weight.shape[0]
        case Conv():
            return node.size * prod(node.op.weight.shape[1:])
        case ConvTranspose():
            return graph.nodes[node.inputs[0]].size * prod(node.op.weight.shape[1:])
        case MaxOver():
            return int(node.op.index.size)
        case MatProduct():
            return node.size * graph.nodes[node.inputs[0]].shape[-1]
        case Softmax():
            return node.size * node.shape[-1]
        case _:
            return node.size + sum(graph.nodes[j].size for j in node.inputs)


def _difference(op: Difference, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    total = [ZERO for _ in xs[0]]
    for sign, x in zip(op.signs, xs, strict=True):
        total = [(_add if sign > 0 else _sub)(a, b, prec) for a, b in zip(total, x, strict=True)]
    return total


def _counterpart(op: Counterpart, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    """f(-x_3)"""
    moved = _difference(Difference((-1,)), xs[2:], shapes[2:], prec)
    return _rule(op.f)(op.f, [moved], shapes[2:], prec)


def _gap(op: Any, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    """f(a) - f(a - d)"""
    values = [
        _rule(op.f)(op.f, [x], shapes[:1], prec) for x in (xs[0], _difference(Difference(), xs, shapes, prec))
    ]
    return _difference(Difference(), values, shapes, prec)


def _fixed(op: Fixed, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    return _constants(op.value)


def _rearrange(op: Rearrange, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    joined = [v for x in xs for v in x]
    if op.index is None:
        return joined
    return [joined[i] if i != -1 else ZERO for i in op.index.tolist()]


def _reduce_sum(op: ReduceSum, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    (shape,) = shapes
    totals: dict[tuple[int, ...], Interval] = {}
    for place, v in zip(np.ndindex(*shape), xs[0], strict=True):
        kept = tuple(p for a, p in enumerate(place) if a not in op.axes)
        totals[kept] = _add(totals.get(kept, ZERO), v, prec)
    rest = tuple(n for a, n in enumerate(shape) if a not in op.axes)
    return [totals.get(place, ZERO) for place in np.ndindex(*rest)]


def _linear(op: Linear, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    k, n = op.weight.shape
    w = _constants(op.weight)
    bias = [ZERO] * n if op.bias is None else _constants(op.bias)
    result = []
    for start in range(0, len(xs[0]), k):
        for column in range(n):
            total = bias[column]
            for j in range(k):
                total = _add(total, _mul(xs[0][start + j], w[j * n + column], prec), prec)
            result.append(total)
    return result


def _conv(op: Conv, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    """y[b,o,p] = bias[o] + sum_{c,k} weight[o,c,k] x[b, c, strides*p + dilations*k - pads_begin]"""
    (shape,) = shapes
    out = op.output_shape(shapes)
    x_at, w_at, w = _places(shape), _places(op.weight.shape), _constants(op.weight)
    bias = [ZERO] * out[1] if op.bias is None else _constants(op.bias)
    outs, ins = op.weight.shape[0] // op.groups, op.weight.shape[1]
    result = []
    for b, o, *p in np.ndindex(*out):
        total = bias[o]
        for c, *k in np.ndindex(*op.weight.shape[1:]):
            at = _linked(op, p, k)
            if all(0 <= i < n for i, n in zip(at, shape[2:], strict=True)):
                x = xs[0][int(x_at[(b, (o // outs) * ins + c, *at)])]
                total = _add(total, _mul(x, w[int(w_at[(o, c, *k)])], prec), prec)
        result.append(total)
    return result


def _conv_transpose(op: ConvTranspose, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    """Adds weight[c,o,k] x[b,c,p] to y[b, o, strides*p + dilations*k - pads_begin] for every b, c, p, o, k."""
    (shape,) = shapes
    out = op.output_shape(shapes)
    y_at, w_at, w = _places(out), _places(op.weight.shape), _constants(op.weight)
    bias = [ZERO] * out[1] if op.bias is None else _constants(op.bias)
    result = [bias[o] for _, o, *_ in np.ndindex(*out)]
    ins, outs = shape[1] // op.groups, op.weight.shape[1]
    for x, (b, c, *p) in zip(xs[0], np.ndindex(*shape), strict=True):
        for o, *k in np.ndindex(*op.weight.shape[1:]):
            at = _linked(op, p, k)
            if all(0 <= i < n for i, n in zip(at, out[2:], strict=True)):
                target = int(y_at[(b, (c // ins) * outs + o, *at)])
                result[target] = _add(result[target], _mul(x, w[int(w_at[(c, o, *k)])], prec), prec)
    return result


def _linked(op: Conv | ConvTranspose, p: Sequence[int], k: Sequence[int]) -> tuple[int, ...]:
    geometry = zip(op.strides, p, op.dilations, k, op.pads_begin, strict=True)
    return tuple(s * i + d * j - pad for s, i, d, j, pad in geometry)


def _scale(op: Scale, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    factors = _spread(op.factor, shapes[0])
    offsets = [ZERO] * len(xs[0]) if op.offset is None else _spread(op.offset, shapes[0])
    triples = zip(factors, xs[0], offsets, strict=True)
    return [_add(_mul(f, x, prec), t, prec) for f, x, t in triples]


def _spread(c: Constant, shape: Shape) -> Values:
    """The constant at each place of ``shape``, broadcast by numpy's rule: trailing axes match or are 1."""
    entries, at = _constants(c), _places(c.shape)
    skip = len(shape) - len(c.shape)
    result = []
    for place in np.ndindex(*shape):
        own = tuple(0 if n == 1 else p for p, n in zip(place[skip:], c.shape, strict=True))
        result.append(entries[int(at[own])])
    return result


def _sum(op: Sum, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    result = [ZERO] * len(xs[0])
    for sign, x in zip(op.signs, xs, strict=True):
        result = [_add(total, v if sign == 1 else _neg(v), prec) for total, v in zip(result, x, strict=True)]
    return result


def _max_over(op: MaxOver, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    result = []
    for row in op.index.tolist():
        window = [xs[0][i] for i in row if i != -1]
        result.append((_hull(*((a, a) for a, _ in window))[1], _hull(*((b, b) for _, b in window))[1]))
    return result


def _activation(op: Elementwise, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    n = len(xs[0])
    return [_function(op, k, n, prec)(x) for k, x in enumerate(xs[0])]


# Functions of one variable.


def _function(op: Elementwise, position: int, n: int, prec: int) -> Callable[[Interval], Interval]:
    """f of the neuron at ``position`` of ``n``, on intervals: the hull of f at the ends and, between them, at 0."""
    point: Callable[[Real], Interval]
    match op:
        case Relu():
            point = _relu_at
        case Abs():
            point = _abs_at
        case LeakyRelu():
            point = _leaky_at(_exact(op.alpha), prec)
        case Clip():
            point = _clip_at(op, position, n)
        case Sigmoid():
            point = _sigmoid_at(prec)
        case Tanh():
            point = _tanh_at(prec)
        case Quantize():
            return lambda x: quantized(op, position, x, prec)
        case _:
            return lambda x: smooth_interval(op, x, prec)

    def f(x: Interval) -> Interval:
        ends = [point(x[0]), point(x[1])]
        if libmp.mpf_lt(x[0], libmp.fzero) and libmp.mpf_gt(x[1], libmp.fzero):
            ends.append(point(libmp.fzero))
        return _hull(*ends)

    return f


def _relu_at(z: Real) -> Interval:
    return (z, z) if libmp.mpf_gt(z, libmp.fzero) else ZERO


def _abs_at(z: Real) -> Interval:
    size = libmp.mpf_abs(z)
    return size, size


def _leaky_at(alpha: Interval, prec: int) -> Callable[[Real], Interval]:
    return lambda z: (z, z) if libmp.mpf_ge(z, libmp.fzero) else _mul(alpha, (z, z), prec)


def _clip_at(op: Clip, position: int, n: int) -> Callable[[Real], Interval]:
    low, high = (_bound(c, position, n) for c in (op.lower, op.upper))

    def clip(z: Real) -> Interval:
        if low is not None and libmp.mpf_lt(z, low):
            z = low
        if high is not None and libmp.mpf_gt(z, high):
            z = high
        return z, z

    return clip


def _bound(c: Constant | None, position: int, n: int) -> Real | None:
    if c is None:
        return None
    values = c.mid.astype(np.float64).reshape(-1)
    if values.size not in (1, n):
        raise ValueError("Clip: bounds do not fit")
    return _exact(float(values[position if values.size > 1 else 0]))[0]


def _sigmoid_at(prec: int) -> Callable[[Real], Interval]:
    """1/(1 + e) at z >= 0, e/(1 + e) = 1 - 1/(1 + e) at z < 0, with e = exp(-|z|)."""

    def sigmoid(z: Real) -> Interval:
        inverse = libmp.mpi_div(ONE, _add(ONE, _exp_minus(libmp.mpf_abs(z), prec), prec), prec)
        return inverse if libmp.mpf_ge(z, libmp.fzero) else _sub(ONE, inverse, prec)

    return sigmoid


def _tanh_at(prec: int) -> Callable[[Real], Interval]:
    """+-(1 - 2e/(1 + e)), e = exp(-2|z|): absolute, not relative, accuracy near 0."""

    def tanh(z: Real) -> Interval:
        e = _exp_minus(libmp.mpf_shift(libmp.mpf_abs(z), 1), prec)
        size = _sub(ONE, libmp.mpi_div(_add(e, e, prec), _add(ONE, e, prec), prec), prec)
        return size if libmp.mpf_ge(z, libmp.fzero) else _neg(size)

    return tanh


def _exp_minus(t: Real, prec: int) -> Interval:
    """exp(-t) for an exact t >= 0: mpmath's value at 20 more bits, widened by 2^-prec of itself.

    Beyond the clamp, in [0, 2^-clamp], since e > 2.
    """
    if libmp.mpf_gt(t, libmp.from_int(_EXP_CLAMP)):
        return libmp.fzero, libmp.mpf_shift(libmp.fone, -_EXP_CLAMP)
    value = libmp.mpf_exp(libmp.mpf_neg(t), prec + 20, libmp.round_nearest)
    slack = libmp.mpf_shift(value, -prec)
    return libmp.mpf_sub(value, slack, prec, DOWN), libmp.mpf_add(value, slack, prec, UP)


RULES: dict[type[Operation], Rule] = {
    Fixed: _fixed,
    Rearrange: _rearrange,
    ReduceSum: _reduce_sum,
    Statistic: lambda op, xs, shapes, prec: xs[0],
    Attended: lambda op, xs, shapes, prec: xs[0],
    Unlike: lambda op, xs, shapes, prec: xs[0],
    Paired: lambda op, xs, shapes, prec: xs[0],
    Stored: lambda op, xs, shapes, prec: xs[0],
    Linear: _linear,
    Conv: _conv,
    ConvTranspose: _conv_transpose,
    Scale: _scale,
    Sum: _sum,
    Relu: _activation,
    LeakyRelu: _activation,
    Abs: _activation,
    Clip: _activation,
    Sigmoid: _activation,
    Tanh: _activation,
    MaxOver: _max_over,
    Difference: _difference,
    Counterpart: _counterpart,
    BothRounded: lambda op, xs, shapes, prec: xs[0],
    **dict.fromkeys((BentGap, SmoothGap, MaxGap, SoftmaxGap), _gap),
    **NONLINEAR,
}
"""From an operation to its rule: (operation, operands, their shapes, bits) to values. Input has none."""


# Points at which lines are checked.


def _sample(
    op: Elementwise, position: int, low: float, high: float, slopes: tuple[float, float]
) -> Iterator[float]:
    """Doubles in [low, high]: the ends, kinks, tangent points (rounded), and points between."""
    yield low
    yield high
    for z in (*_kinks(op, position), *(t for w in slopes for t in _tangent_points(op, w))):
        if low < z < high:
            yield z
    for i in range(1, INTERIOR + 1):
        share = i / (INTERIOR + 1)
        yield min(high, max(low, (1 - share) * low + share * high))


def _kinks(op: Elementwise, position: int) -> list[float]:
    if isinstance(op, Clip):
        found = [c.mid.astype(np.float64).reshape(-1) for c in (op.lower, op.upper) if c is not None]
        return [float(c[position if c.size > 1 else 0]) for c in found]
    return [0.0]


def _tangent_points(op: Elementwise, slope: float) -> Iterator[float]:
    """Doubles near which f' is ``slope``: of an S-shaped f, whose f' is even and falls after 0, by bisection in floats."""
    if not isinstance(op, SShaped):
        return
    low, high = np.array(0.0), np.array(FAR)
    if not op.slope(high) < slope < op.slope(low):
        return
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if op.slope(middle) > slope else (low, middle)
    yield -float(low)
    yield float(low)
