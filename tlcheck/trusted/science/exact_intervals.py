"""The interval box of a network: each node's ends from its operands' ends, without rounding.

The *interval box* is what interval propagation gives over the real numbers, operation by operation: sign-split sums for
affine maps, ends of monotone functions, least and greatest products of ends, and for softmax
e^l_i / (e^l_i + sum over j of e^u_j), j != i, and the same with l and u exchanged. It contains every value of the node.

An end is a ``Fraction`` where the operations before it keep rationals rational; else a ball that holds the end
(``sharp``), or, where the rule here is only outward, a ball whose outer end lies outside the box (not ``sharp``).

A normalised value a_k / sqrt(f sum_j a_j^2 + e), e >= 0 and f > 0, k among the j, lies in [-1/sqrt f, 1/sqrt f], because
f a_k^2 is at most the number under the root; the interval box is cut by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.convolution import to_narrow, to_wide
from tlcheck.trusted.arith.maps import Affine, ConvMap, DiagMap, IndexMap, Map, MatMap, SignMap
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Scale
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.product import MatProduct, Product, matrix_terms
from tlcheck.trusted.ops.s_shaped import SShaped
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.smooth import Power, Reciprocal, Smooth, Sqrt
from tlcheck.trusted.ops.softmax import Softmax
from tlcheck.trusted.ops.structure import Fixed, Input, Rearrange, ReduceSum

End = Fraction | Arb
Objects = NDArray[np.object_]
"""Numbers: integers, or ends."""

ZERO = Fraction(0)


class NoRule(ValueError):
    """The interval box of an operation is not defined here, or an operand leaves the function's domain."""


@dataclass(frozen=True, eq=False)
class Ends:
    """lower[k] <= value k <= upper[k], object arrays of ends. ``sharp``: the ends are the interval box's own."""

    lower: Objects
    upper: Objects
    sharp: bool = True

    def at(self, index: NDArray[np.int64]) -> Ends:
        return Ends(self.lower[index], self.upper[index], self.sharp)


def vector(values: Sequence[End]) -> Objects:
    """One axis of ends (numpy would look into some)."""
    found = np.empty(len(values), object)
    found[:] = values
    return found


def interval_boxes(
    network: Network,
    lower: Sequence[Fraction],
    upper: Sequence[Fraction],
    cut: Callable[[int, Ends], Ends] = lambda node, ends: ends,
) -> dict[int, Ends]:
    """The interval box of every needed node over the input box; ``cut`` may replace a node's by a smaller one.

    Raises NoRule, naming the node.
    """
    graph = network.graph
    found: dict[int, Ends] = {}
    for i in sorted(network.needed):
        node = graph.nodes[i]
        operands = [found[j] for j in node.inputs]
        if isinstance(node.op, Input):
            s = network.input_slices[i]
            ends = Ends(vector(lower[s]), vector(upper[s]))
        else:
            try:
                ends = _ends_of(network, i, operands)
            except (NoRule, OutOfRange) as problem:
                raise NoRule(f"{problem}, at node '{node.label or i}'") from None
        found[i] = cut(i, ends)
    return found


def _ends_of(network: Network, i: int, xs: Sequence[Ends]) -> Ends:
    node, affine = network.graph.nodes[i], network.affine[i]
    if affine is not None:
        return _affine(affine, xs)
    match node.op:
        case Fixed(value=value):
            mid, rad = (
                rationals(value.mid),
                rationals(np.zeros(value.size) if value.rad is None else value.rad),
            )
            return Ends(mid - rad, mid + rad, value.rad is None)
        case MaxOver(index=index):
            windows = [[j for j in row if j >= 0] for row in index.tolist()]
            lower, upper = (
                [largest([end[j] for j in w]) for w in windows] for end in (xs[0].lower, xs[0].upper)
            )
            return Ends(vector(lower), vector(upper), xs[0].sharp)
        case Softmax():
            return _softmax(xs[0], node.shape[-1])
        case Product():
            return _meet_normalised(network, i, _product(xs[0], xs[1]))
        case MatProduct():
            left, right, sums = matrix_terms(*(network.graph.nodes[j].shape for j in node.inputs))
            terms = _product(xs[0].at(left.index), xs[1].at(right.index))
            return _affine(Affine((sums,), None, 0, False), [terms])
        case _:
            return _elementwise(node.op, xs[0])


# Numbers.


def as_ball(x: End) -> Arb:
    """The end as a ball at the working precision."""
    return ball(x) if isinstance(x, Fraction) else x


def largest(values: Sequence[End]) -> End:
    """The largest number; a ball that holds it where balls overlap."""
    return -least([-x for x in values])


def least(values: Sequence[End]) -> End:
    """The least number; a ball that holds it where balls overlap."""
    rationals = [x for x in values if isinstance(x, Fraction)]
    if len(rationals) == len(values):
        return min(rationals)
    balls = [as_ball(x) for x in values]
    if not all(x.is_finite() for x in balls):
        return arb("nan")
    low, high = balls[0].lower(), balls[0].upper()
    for x in balls[1:]:
        a, b = x.lower(), x.upper()  # exact balls: comparisons decide
        low, high = (a if a <= low else low), (b if b <= high else high)
    return low if low == high else low.union(high)


def rationals(values: NDArray[np.floating]) -> Objects:
    """The doubles as exact ends, flat."""
    return vector([Fraction(v) for v in values.astype(np.float64).reshape(-1).tolist()])


# Affine maps.


@dataclass(frozen=True, eq=False)
class _Weights:
    """A map's constant as integers over one power of 2: positive and negative parts, and the radius."""

    positive: Objects
    negative: Objects
    radius: Objects | None
    exponent: int


def _integers(values: NDArray[np.floating]) -> tuple[Objects, int]:
    """(n, e): values = n 2^-e exactly."""
    flat = values.astype(np.float64).reshape(-1)
    top, bottom = zip(*(v.as_integer_ratio() for v in flat.tolist()), strict=True) if flat.size else ((), ())
    e = max((b.bit_length() - 1 for b in bottom), default=0)
    scaled = [t << (e - b.bit_length() + 1) for t, b in zip(top, bottom, strict=True)]
    n = np.empty(len(scaled), object)
    n[:] = scaled
    return n.reshape(values.shape), e


@lru_cache(maxsize=64)
def _weights(m: MatMap | ConvMap | DiagMap) -> _Weights:
    constant = m.flat if isinstance(m, DiagMap) else m.weight
    n, e = _integers(constant.mid)
    radius = None
    if constant.rad is not None and bool(constant.rad.any()):
        r, re = _integers(constant.rad)
        n, r, e = n << max(0, re - e), r << max(0, e - re), max(e, re)
        radius = r
    return _Weights(np.where(n > 0, n, 0), np.where(n < 0, n, 0), radius, e)


def _times(m: Map, weight: Objects | None, x: Objects) -> Objects:
    """M x for a map with integer weights, and x of integers or balls."""
    match m:
        case MatMap():
            return np.asarray(x.reshape(m.positions, -1) @ weight, dtype=object).reshape(-1)
        case ConvMap():
            move: Any = to_wide if m.transposed else to_narrow
            return np.asarray(move(m, weight, x[None, :]), dtype=object).reshape(-1)
        case DiagMap():
            return np.asarray(weight * x)
        case SignMap():
            return x
        case IndexMap(transposed=False):
            return m.gathered(x)
        case IndexMap():
            total = np.zeros(m.size, object)
            used = m.index >= 0
            np.add.at(total, m.index[used], x[used])
            return total


def _scaled(x: Objects) -> tuple[Objects, int]:
    """(numbers, d): x = numbers / d; integers where every end is rational, else balls and d = 1."""
    if all(isinstance(v, Fraction) for v in x.tolist()):
        d = lcm(*(v.denominator for v in x.tolist()))
        found = np.empty(x.size, object)
        found[:] = [v.numerator * (d // v.denominator) for v in x.tolist()]
        return found, d
    return vector([as_ball(v) for v in x.tolist()]), 1


def _divided(x: Objects, d: int, exponent: int) -> Objects:
    """x / (d 2^exponent) as ends."""
    return vector(
        [Fraction(v, d << exponent) if isinstance(v, int) else v * arb(2) ** -exponent for v in x.tolist()]
    )


def through(m: Map, lower: Objects, upper: Objects) -> tuple[Objects, Objects]:
    """Sign-split ends of M x: M+ lower + M- upper and M+ upper + M- lower, less and more the radii's share."""
    if isinstance(m, SignMap):
        return (lower, upper) if m.sign > 0 else (-upper, -lower)
    (low, d), (high, dh) = _scaled(lower), _scaled(upper)
    if isinstance(m, IndexMap):
        return _divided(_times(m, None, low), d, 0), _divided(_times(m, None, high), dh, 0)
    w = _weights(m)

    def part(weight: Objects, x: Objects, denominator: int) -> Objects:
        return _divided(_times(m, weight, x), denominator, w.exponent)

    below = _sum(part(w.positive, low, d), part(w.negative, high, dh))
    above = _sum(part(w.positive, high, dh), part(w.negative, low, d))
    if w.radius is not None:
        size = vector([largest([-a, b]) for a, b in zip(lower.tolist(), upper.tolist(), strict=True)])
        charge = part(w.radius, *_scaled(vector([largest([ZERO, s]) for s in size.tolist()])))
        below, above = _sum(below, -charge), _sum(above, charge)
    return below, above


def _sum(a: Objects, b: Objects) -> Objects:
    """a + b; a rational beside a ball becomes one."""
    return vector([_add(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)])


def _add(x: End, y: End) -> End:
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return x + y
    return as_ball(x) + as_ball(y)


def _affine(affine: Affine, xs: Sequence[Ends]) -> Ends:
    lower, upper = through(affine.maps[0], xs[0].lower, xs[0].upper)
    for m, x in zip(affine.maps[1:], xs[1:], strict=True):
        low, high = through(m, x.lower, x.upper)
        lower, upper = _sum(lower, low), _sum(upper, high)
    sharp = all(x.sharp for x in xs) and not any(_rounded(m) for m in affine.maps)
    if affine.offset is not None:
        mid = rationals(affine.offset.mid)
        rad = mid * 0 if affine.offset.rad is None else rationals(affine.offset.rad)
        lower, upper, sharp = (
            _sum(lower, mid - rad),
            _sum(upper, mid + rad),
            sharp and affine.offset.rad is None,
        )
    return Ends(lower, upper, sharp)


def _rounded(m: Map) -> bool:
    return isinstance(m, MatMap | ConvMap | DiagMap) and _weights(m).radius is not None


# Functions.


def _elementwise(op: Operation, x: Ends) -> Ends:
    pairs = list(zip(x.lower.tolist(), x.upper.tolist(), strict=True))
    match op:
        case Relu() | Clip() | SShaped():
            ends = [(at_end(op, l, k), at_end(op, u, k)) for k, (l, u) in enumerate(pairs)]
            sharp = True
        case Smooth() if op.monotone:
            ends = [(at_end(op, l, k), at_end(op, u, k)) for k, (l, u) in enumerate(pairs)]
            ends, sharp = (ends if op.monotone > 0 else [(u, l) for l, u in ends]), True
        case LeakyRelu() if op.alpha >= 0:
            a = Fraction(op.alpha)
            ends = [(_leaky(a, l), _leaky(a, u)) for l, u in pairs]
            sharp = True
        case Abs():
            found = [_magnitude(l, u) for l, u in pairs]
            ends, sharp = [e for e, _ in found], all(s for _, s in found)
        case Reciprocal() if all(isinstance(l, Fraction) and isinstance(u, Fraction) for l, u in pairs):
            if any(l <= 0 <= u for l, u in pairs):
                raise NoRule("1 / x on an interval around 0")
            ends, sharp = [(1 / u, 1 / l) for l, u in pairs], True
        case Power() if op.whole and int(op.exponent) == 2:
            found = [_magnitude(l, u) for l, u in pairs]
            ends, sharp = (
                [(_multiply(a, a), _multiply(b, b)) for (a, b), _ in found],
                all(s for _, s in found),
            )
        case Smooth():
            ends = [op.ends(as_ball(l).lower(), as_ball(u).upper()) for l, u in pairs]
            sharp = False
        case _:
            raise NoRule(f"no interval rule for {type(op).__name__}")
    if any(isinstance(e, Arb) and not e.is_finite() for pair in ends for e in pair):
        raise NoRule(f"{type(op).__name__} is not defined on the whole interval")
    return Ends(vector([l for l, _ in ends]), vector([u for _, u in ends]), x.sharp and sharp)


def at_end(op: Operation, x: End, k: int) -> End:
    """f at an end, for f that is monotone; ``k``: which value of the node."""
    match op:
        case Relu():
            return largest([ZERO, x])
        case Clip():
            for bound, choose in ((op.lower, largest), (op.upper, least)):
                if bound is not None:
                    x = choose([x, _entry(bound, k)])
            return x
        case SShaped():
            return op.curve(as_ball(x))
        case Smooth():
            return op.ball(as_ball(x))
        case _:
            raise NoRule(f"no interval rule for {type(op).__name__}")


def _entry(c: Constant, k: int) -> Fraction:
    return Fraction(float(c.mid.reshape(-1)[k if c.size > 1 else 0]))


def _leaky(alpha: Fraction, x: End) -> End:
    above, below = largest([ZERO, x]), least([ZERO, x])
    return _add(above, below * alpha if isinstance(below, Fraction) else below * ball(alpha))


def _magnitude(l: End, u: End) -> tuple[tuple[End, End], bool]:
    """(ends of |x|, they are sharp)."""
    top = largest([-l, u])
    if l >= 0:
        return (l, u), True
    if u <= 0:
        return (-u, -l), True
    return (ZERO, top), bool(l < 0 and u > 0)


def _product(a: Ends, b: Ends) -> Ends:
    low, high = [], []
    for p, q, r, s in zip(*(x.tolist() for x in (a.lower, a.upper, b.lower, b.upper)), strict=True):
        corners = [_multiply(x, y) for x in (p, q) for y in (r, s)]
        decided = bool(p >= 0 and r >= 0)
        low.append(corners[0] if decided else least(corners))
        high.append(corners[3] if decided else largest(corners))
    return Ends(vector(low), vector(high), a.sharp and b.sharp)


def _multiply(x: End, y: End) -> End:
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return x * y
    return as_ball(x) * as_ball(y)


def _softmax(x: Ends, n: int) -> Ends:
    low: list[End] = []
    high: list[End] = []
    for start in range(0, x.lower.size, n):
        ls, us = ([as_ball(v) for v in end[start : start + n].tolist()] for end in (x.lower, x.upper))
        low += [_share(l, us[:k] + us[k + 1 :]) for k, l in enumerate(ls)]
        high += [_share(u, ls[:k] + ls[k + 1 :]) for k, u in enumerate(us)]
    if not all(as_ball(v).is_finite() for v in low + high):
        raise NoRule("softmax of values out of range")
    return Ends(vector(low), vector(high), x.sharp)


def _share(x: Arb, others: Sequence[Arb]) -> Arb:
    """e^x / (e^x + sum e^other)."""
    return 1 / (1 + sum(((y - x).exp() for y in others), arb(0)))


# Normalised values.


def _meet_normalised(network: Network, i: int, ends: Ends) -> Ends:
    """``ends`` cut to [-1/sqrt f, 1/sqrt f] where node i is a normalised value (the module's docstring)."""
    found = [_normaliser(network, *network.graph.nodes[i].inputs[::step]) for step in (1, -1)]
    factors = [f for f in found if f is not None]
    if not factors:
        return ends
    top = 1 / ball(factors[0]).sqrt()
    lower, upper = ([choose([v, bound]) for v in end.tolist()] for end, choose, bound in (
        (ends.lower, largest, -top), (ends.upper, least, top)
    ))  # fmt: skip
    return Ends(vector(lower), vector(upper), False)


def _normaliser(network: Network, a: int, b: int) -> Fraction | None:
    """f > 0 where b_k = 1 / sqrt(f sum_j a_j^2 + e), e >= 0, k among the j, for every k; else None."""
    nodes = network.graph.nodes
    place = np.arange(nodes[b].size)
    while isinstance(moved := nodes[b].op, Rearrange) and len(nodes[b].inputs) == 1:
        place, b = (place if moved.index is None else moved.index[place]), nodes[b].inputs[0]
        if (place < 0).any():
            return None
    for op in (Reciprocal, Sqrt):
        if not isinstance(nodes[b].op, op):
            return None
        b = nodes[b].inputs[0]
    factor = Fraction(1)
    while isinstance(step := nodes[b].op, Scale):
        low = _least_entry(step.factor)
        if low <= 0 or (step.offset is not None and _least_entry(step.offset) < 0):
            return None
        factor, b = factor * low, nodes[b].inputs[0]
    affine = network.affine[b]
    if not isinstance(nodes[b].op, ReduceSum) or affine is None or not isinstance(affine.maps[0], IndexMap):
        return None
    square = nodes[nodes[b].inputs[0]]
    squared = (isinstance(square.op, Power) and square.op.exponent == 2 and square.inputs == (a,)) or (
        isinstance(square.op, Product) and square.inputs == (a, a)
    )
    same = place.shape == affine.maps[0].index.shape and bool((affine.maps[0].index == place).all())
    return factor if squared and same else None


def _least_entry(c: Constant) -> Fraction:
    rad = np.zeros(c.mid.shape) if c.rad is None else c.rad
    pairs = zip(c.mid.astype(np.float64).reshape(-1).tolist(), rad.reshape(-1).tolist(), strict=True)
    return min(Fraction(m) - Fraction(r) for m, r in pairs)
