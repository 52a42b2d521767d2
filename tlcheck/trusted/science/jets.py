"""Taylor coefficients in balls: elementary functions, and scalar networks as functions of one variable.

A *series* is a list of balls c_0..c_n. It encloses a function g at a point or on an interval when, for every point t of
it, g is n times differentiable at t and c_k encloses g^(k)(t)/k!. Every function here keeps that: given series that
enclose its arguments on one and the same set, the result encloses the composition there. Recurrences: Griewank and
Walther, Evaluating Derivatives, ch. 13; each follows from a differential equation of the function (v' = (1 - v^2) x' for
v = tanh x).

At a kink (relu, abs) a series of order 0 or 1 is still given: then c_1 encloses both one-sided derivatives, which are the
only ones claimed. Orders above raise NotSmooth. Outside the domain of a function: Undefined. Order 0 needs the function to
be defined; higher orders need it to be analytic at every number of the ball (so sqrt at 0 is refused there).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from math import lcm
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb_mat, ball

Series = list[Arb]
Function = Callable[[Series], Series]

ACTIVATIONS: Final = ("linear", "relu", "sigmoid", "sin", "tanh")


class Undefined(ArithmeticError):
    """Some number of the ball may be outside the domain; ``certain``: every one is."""

    def __init__(self, message: str, certain: bool) -> None:
        super().__init__(message)
        self.certain = certain


class NotSmooth(ArithmeticError):
    """A kink may lie in the set: no derivative beyond the first is enclosed."""


class TooManyPieces(ArithmeticError):
    """A piecewise linear network has more pieces, or longer exact numbers, than are looked at."""


def constant(value: Arb, order: int) -> Series:
    """The constant function."""
    return [value] + [Arb(0)] * order


def variable(value: Arb, order: int, slope: int = 1) -> Series:
    """The identity times ``slope``, about each number of ``value``: [value, slope, 0, ...]."""
    return [value, Arb(slope), *[Arb(0)] * (order - 1)] if order else [value]


def add(x: Series, y: Series) -> Series:
    return [a + b for a, b in zip(x, y, strict=True)]


def subtract(x: Series, y: Series) -> Series:
    return [a - b for a, b in zip(x, y, strict=True)]


def negate(x: Series) -> Series:
    return [-a for a in x]


def multiply(x: Series, y: Series) -> Series:
    """(xy)_k = sum_i x_i y_{k-i}; the value of a square is not negative."""
    result = [_total(times(x[i], y[k - i]) for i in range(k + 1)) for k in range(len(x))]
    if x is y:
        result[0] = square(x[0])
    return result


def divide(x: Series, y: Series) -> Series:
    """q_k = (x_k - sum_{i>=1} y_i q_{k-i}) / y_0."""
    if not (y[0] > 0 or y[0] < 0):
        raise Undefined("division by zero", bool(y[0] == 0))
    q: Series = []
    for k in range(len(x)):
        q.append((x[k] - _convolved(y, q, k, 1)) / y[0])
    return q


def derivative(x: Series) -> Series:
    """The series of g', one order less."""
    return [c * k for k, c in enumerate(x)][1:]


def exp(x: Series) -> Series:
    """k e_k = sum_{i>=1} i x_i e_{k-i}."""
    return _solved(x, increasing(Arb.exp, x[0]), lambda e: e[-1])


def sin(x: Series) -> Series:
    return _sine_cosine(x)[0]


def cos(x: Series) -> Series:
    return _sine_cosine(x)[1]


def tanh(x: Series) -> Series:
    """v' = w x' with w = 1 - v^2."""
    return _solved(x, increasing(Arb.tanh, x[0]), lambda v: (1 if len(v) == 1 else 0) - _last_of_square(v))


def sigmoid(x: Series) -> Series:
    """v' = w x' with w = v - v^2; v = 1/(1 + exp(-x)) at the ends of the ball, between which it rises."""
    value = increasing(lambda z: 1 / (1 + (-z).exp()), x[0])
    half = Arb(1) / 2
    return _solved(
        x, value, lambda v: v[-1] - _last_of_square(v) if len(v) > 1 else half / 2 - square(v[0] - half)
    )


def log(x: Series) -> Series:
    """l_k = (x_k - (1/k) sum_{1<=i<k} i l_i x_{k-i}) / x_0, on x > 0."""
    if not x[0] > 0:
        raise Undefined("logarithm of a number that is not positive", bool(x[0] <= 0))
    result = [increasing(Arb.log, x[0])]
    for k in range(1, len(x)):
        inner = _total(i * result[i] * x[k - i] for i in range(1, k))
        result.append((x[k] - inner / k) / x[0])
    return result


def power(x: Series, r: Fraction) -> Series:
    """x^r. Integers: products, and a quotient when negative. Else x > 0 (r > 0 and order 0: x >= 0):
    k x_0 p_k = sum_{i>=1} (r i - (k - i)) x_i p_{k-i}."""
    if r.denominator == 1:
        return _integer_power(x, int(r))
    if not (x[0] > 0 or (len(x) == 1 and r > 0 and x[0] >= 0)):
        raise Undefined("a root of a number that is not positive", bool(x[0] < 0 or (r < 0 and x[0] <= 0)))
    root = increasing(lambda z: z.root(r.denominator), x[0])
    p = _integer_power([root], r.numerator)
    for k in range(1, len(x)):
        inner = _total(ball(r * i - (k - i)) * x[i] * p[k - i] for i in range(1, k + 1))
        p.append(inner / (k * x[0]))
    return p


def sqrt(x: Series) -> Series:
    return power(x, Fraction(1, 2))


def absolute(x: Series) -> Series:
    return _kinked(x, negate(x), Arb(0, 1), abs(x[0]))


def relu(x: Series) -> Series:
    """max(x, 0). The value lies between 0 and the upper end."""
    return _kinked(x, constant(Arb(0), len(x) - 1), hull(Arb(0), Arb(1)), hull(Arb(0), x[0].upper()))


def linear(x: Series) -> Series:
    return x


FUNCTIONS: Final[dict[str, Function]] = {
    "abs": absolute, "cos": cos, "exp": exp, "linear": linear, "log": log, "relu": relu, "sigmoid": sigmoid, "sin": sin,
    "sqrt": sqrt, "tanh": tanh,
}  # fmt: skip


def hull(a: Arb, b: Arb) -> Arb:
    """A ball with all numbers of ``a`` and ``b`` and those between. It has their sign where they have one, zero included.

    Let l, h be the ends. A ball's radius has 30 bits, so the radius R of a ball made from (h - l)/2 is at least that; the
    ball about l + R is [l, l + 2R], which holds h; when l + R is exact its lower end is l. So too about h - R.
    """
    low = min_exact(a.lower(), b.lower())
    high = -min_exact((-a).lower(), (-b).lower())
    around_zero = Arb(0, (high - low) / 2)
    if low < 0 < high or not around_zero.is_finite():
        return a.union(b)
    middle = low + around_zero.rad() if low >= 0 else high - around_zero.rad()
    return around_zero + middle if middle.is_exact() else a.union(b)


def min_exact(a: Arb, b: Arb) -> Arb:
    """The smaller of two numbers without radius; NaN if one is."""
    return a if a <= b or a.is_nan() else b


def increasing(f: Callable[[Arb], Arb], x: Arb) -> Arb:
    """An enclosure of the values of an increasing f: between those at the ends of the ball."""
    return f(x) if x.is_exact() else hull(f(x.lower()), f(x.upper()))


def times(x: Arb, y: Arb) -> Arb:
    """xy; of two balls without negative numbers, no lower than the product of the lower ends."""
    if x >= 0 and y >= 0 and not (x.is_exact() and y.is_exact()):
        return hull(x.lower() * y.lower(), x.upper() * y.upper())
    return x * y


def square(x: Arb) -> Arb:
    """x^2; on a ball that holds 0, between 0 and the larger end's."""
    if x >= 0 or x <= 0:
        return increasing(lambda z: z * z, abs(x))
    return hull(Arb(0), abs(x).upper() * abs(x).upper())


def _kinked(right: Series, left: Series, slopes: Arb, value: Arb) -> Series:
    x = right[0]
    if x >= 0 and (x > 0 or len(right) == 1):
        return right
    if x <= 0 and (x < 0 or len(right) == 1):
        return left
    if len(right) > 2:
        raise NotSmooth("a kink")
    return [value, *(slopes * c for c in right[1:])]


def _integer_power(x: Series, n: int) -> Series:
    if n < 0:
        return divide(constant(Arb(1), len(x) - 1), _integer_power(x, -n))
    result = constant(Arb(1), len(x) - 1)
    factor = x
    while n:
        if n & 1:
            result = multiply(result, factor)
        n >>= 1
        if n:
            factor = multiply(factor, factor)
    return result


def _solved(x: Series, value: Arb, last_rate: Callable[[Series], Arb]) -> Series:
    """v with v' = w x', v_0 given, w_k = last_rate([v_0..v_k]): k v_k = sum_{i>=1} i x_i w_{k-i}."""
    v, w = [value], []
    moved = [i * c for i, c in enumerate(x)]
    for k in range(1, len(x)):
        w.append(last_rate(v))
        v.append(_convolved(moved, w, k, 1) / k)
    return v


def _sine_cosine(x: Series) -> tuple[Series, Series]:
    s, c = [x[0].sin()], [x[0].cos()]
    for k in range(1, len(x)):
        s_k = _total(i * x[i] * c[k - i] for i in range(1, k + 1)) / k
        c_k = -_total(i * x[i] * s[k - i] for i in range(1, k + 1)) / k
        s.append(s_k)
        c.append(c_k)
    return s, c


def _last_of_square(v: Series) -> Arb:
    """The last coefficient of v^2."""
    return square(v[0]) if len(v) == 1 else _convolved(v, v, len(v) - 1, 0)


def _convolved(x: Series, y: Series, k: int, first: int) -> Arb:
    """sum_{i=first..k} x_i y_{k-i}."""
    total = Arb(0)
    for i in range(first, k + 1):
        total += x[i] * y[k - i]
    return total


def _total(terms: Iterable[Arb]) -> Arb:
    return sum(terms, Arb(0))


# Networks of one variable.


@dataclass(frozen=True)
class Layer:
    """x -> activation(weight x + bias); ``weight`` row by row."""

    weight: tuple[tuple[Fraction, ...], ...]
    bias: tuple[Fraction, ...]
    activation: str = "linear"

    def __post_init__(self) -> None:
        widths = {len(row) for row in self.weight}
        if len(widths) != 1 or 0 in widths or len(self.weight) != len(self.bias):
            raise ValueError("weight and bias of a layer do not fit")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation {self.activation!r}")

    @property
    def inputs(self) -> int:
        return len(self.weight[0])


@dataclass(frozen=True)
class ScalarNetwork:
    """A network from one number to one number: layers whose sizes fit."""

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        sizes = [1, *(len(layer.bias) for layer in self.layers)]
        if not self.layers or sizes[-1] != 1 or sizes[:-1] != [layer.inputs for layer in self.layers]:
            raise ValueError("not a network from one number to one number")

    @property
    def piecewise_linear(self) -> bool:
        return all(layer.activation in ("linear", "relu") for layer in self.layers)

    def compiled(self) -> Function:
        """The network on series, its weights as balls at the working precision."""
        steps = [
            (
                arb_mat(len(s.bias), s.inputs, [ball(q) for row in s.weight for q in row]),
                [ball(q) for q in s.bias],
                FUNCTIONS[s.activation],
            )
            for s in self.layers
        ]

        def run(t: Series) -> Series:
            rows, n = [t], len(t)
            for weight, bias, activation in steps:
                entries = (weight * arb_mat(len(rows), n, [c for row in rows for c in row])).entries()
                rows = [
                    activation([entries[k * n] + b, *entries[k * n + 1 : (k + 1) * n]])
                    for k, b in enumerate(bias)
                ]
            return rows[0]

        return run


@dataclass(frozen=True)
class AffinePiece:
    """On [start, end] the function is value + slope t, exactly."""

    start: Fraction
    end: Fraction
    value: Fraction
    slope: Fraction


Integers = NDArray[np.object_]


MAX_SCALE_BITS: Final = 1 << 16
"""Of the common denominator of a layer's values; a deep network of doubles has some hundred bits a layer."""


def affine_pieces(
    network: ScalarNetwork,
    start: Fraction,
    end: Fraction,
    limit: int,
    tick: Callable[[], None] = lambda: None,
) -> list[AffinePiece]:
    """A piecewise linear network on [start, end], cut at every kink, exactly. Raises TooManyPieces beyond ``limit``.

    Before each relu the values are affine on the piece, (a + b t)/d in integers. A neuron changes sign at most once on it,
    at -a/b. Cut there, no sign changes inside a sub-piece, so its middle tells which neurons are active on all of it.
    """
    one, zero = np.array([1], object), np.array([0], object)
    pieces: list[tuple[Fraction, Fraction, Integers, Integers, int]] = [(start, end, zero, one, 1)]
    for layer in network.layers:
        d = _common_denominator(layer)
        weight = np.array([[int(q * d) for q in row] for row in layer.weight], object)
        bias = np.array([int(q * d) for q in layer.bias], object)
        cut: list[tuple[Fraction, Fraction, Integers, Integers, int]] = []
        for left, right, a, b, scale in pieces:
            tick()
            if (scale * d).bit_length() > MAX_SCALE_BITS:
                raise TooManyPieces("exact values have too many digits")
            a, b, scale = weight.dot(a) + bias * scale, weight.dot(b), scale * d
            kinks = _roots(a, b, left, right) if layer.activation == "relu" else []
            for low, high in zip([left, *kinks], [*kinks, right], strict=True):
                if layer.activation == "relu":
                    middle = (low + high) / 2
                    active = (a * middle.denominator + b * middle.numerator) > 0
                    cut.append((low, high, np.where(active, a, 0), np.where(active, b, 0), scale))
                else:
                    cut.append((low, high, a, b, scale))
            if len(cut) > limit:
                raise TooManyPieces(f"more than {limit} pieces")
        pieces = cut
    return [AffinePiece(p, q, Fraction(a[0], d), Fraction(b[0], d)) for p, q, a, b, d in pieces]


def _common_denominator(layer: Layer) -> int:
    d = 1
    for q in (*chain.from_iterable(layer.weight), *layer.bias):
        d = lcm(d, q.denominator)
        if d.bit_length() > MAX_SCALE_BITS:
            raise TooManyPieces("weights have too many digits")
    return d


def _roots(a: Integers, b: Integers, left: Fraction, right: Fraction) -> list[Fraction]:
    """The t strictly between ``left`` and ``right`` where some a_k + b_k t is zero."""
    found: Sequence[Fraction] = [Fraction(-p, q) for p, q in zip(a, b, strict=True) if q]
    return sorted({t for t in found if left < t < right})
