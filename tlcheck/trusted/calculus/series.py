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

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Final

from tlcheck.trusted.arith.arb import Arb, ball
from tlcheck.trusted.calculus.ranges import hull, increasing, square, times

Series = list[Arb]
Function = Callable[[Series], Series]


class Undefined(ArithmeticError):
    """Some number of the ball may be outside the domain; ``certain``: every one is."""

    def __init__(self, message: str, certain: bool) -> None:
        super().__init__(message)
        self.certain = certain


class NotSmooth(ArithmeticError):
    """A kink may lie in the set: no derivative beyond the first is enclosed."""


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
