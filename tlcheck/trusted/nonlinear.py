"""Exact evaluation on balls of smooth functions, products, softmax, steps and choices (see ``evaluate.py``).

Guarantee: the ball returned holds the exact value for every point of the operands' balls. Where a function is not
defined (division by 0, the logarithm of 0) the ball is not finite, so that nothing follows from it. A discontinuous
function that the balls do not decide raises ``Undecided``: comparisons count only when they hold for all numbers of both balls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from tlcheck.trusted.arith.arb import Arb, arb, arb_mat
from tlcheck.trusted.arith.balls import constant_balls
from tlcheck.trusted.ops.base import Operation, Shape, Undecided
from tlcheck.trusted.ops.discrete import MAX_TRUNCATED, ArgMax, Compare, Floor, Round, Select, Sign, Truncate
from tlcheck.trusted.ops.indexed import Indexed, places
from tlcheck.trusted.ops.product import MatProduct, Product
from tlcheck.trusted.ops.smooth import Cos, Erf, Exp, Log, Power, Reciprocal, Sin, Smooth, Softplus, Sqrt
from tlcheck.trusted.ops.softmax import Softmax

Balls = Sequence[Arb]
Step = Callable[[Sequence[Balls]], Balls]

UNDEFINED = arb("nan")
"""The ball of a value that does not exist."""


def finite(x: Balls) -> bool:
    """All values exist. Matrix products ask first: Arb's take 0 times a value that does not exist for 0."""
    return all(ball.is_finite() for ball in x)


# Smooth functions.


def smooth_ball(op: Smooth, x: Arb) -> Arb:
    """f over the ball; not finite where f is not defined on all of it."""
    if not x.is_finite():
        return UNDEFINED
    match op:
        case Sin():
            return x.sin()
        case Cos():
            return x.cos()
        case Exp():
            return _ends(lambda z: z.exp(), x)
        case Log():
            return _ends(lambda z: z.log(), x) if x > 0 else UNDEFINED
        case Sqrt():
            return _ends(lambda z: z.sqrt(), x) if x >= 0 else UNDEFINED
        case Reciprocal():
            return 1 / x if x > 0 or x < 0 else UNDEFINED
        case Erf():
            return _ends(lambda z: z.erf(), x)
        case Softplus():
            return _ends(_softplus_at, x)
        case Power():
            return _power(op, x)
        case _:
            raise ValueError(f"evaluate: no rule for {type(op).__name__}")


def _ends(f: Callable[[Arb], Arb], x: Arb) -> Arb:
    """f over the ball, f increasing: spanned by the values at its two ends, which are exact balls."""
    return f(x) if x.is_exact() else f(x.lower()).union(f(x.upper()))


def smooth_ends(op: Smooth, l: Arb, u: Arb) -> tuple[Arb, Arb]:
    """Balls whose lower and upper end enclose f on [l, u], l <= u exact. Not finite where f is not defined on all of it.

    At the ends, which are exact, where f is monotone; on an even power, also at 0 in between. (A ball from l to u is a little
    wider than [l, u]: Arb's radii have 30 bits.)
    """
    match op:
        case Sin() | Cos():
            x = l.union(u)
            slope = x.cos() if isinstance(op, Sin) else -x.sin()
            if not (slope > 0 or slope < 0):
                return smooth_ball(op, x), smooth_ball(op, x)
            falling = bool(slope < 0)
        case Reciprocal():
            if not (l > 0 or u < 0):
                return UNDEFINED, UNDEFINED
            falling = True
        case Power() if op.whole and int(op.exponent) % 2 == 0:
            if l < 0 and u > 0:
                return arb(0), smooth_ball(op, u if u >= -l else l)
            falling = bool(u <= 0)
        case _:
            falling = False
    at_l, at_u = smooth_ball(op, l), smooth_ball(op, u)
    return (at_u, at_l) if falling else (at_l, at_u)


def derivative(op: Smooth, z: Arb) -> Arb:
    """f' at an exact point; not finite where there is none."""
    match op:
        case Sin():
            return z.cos()
        case Cos():
            return -z.sin()
        case Exp():
            return z.exp()
        case Log():
            return 1 / z
        case Sqrt():
            return 1 / (2 * z.sqrt())
        case Reciprocal():
            return -1 / (z * z)
        case Erf():
            return 2 * (-z * z).exp() / arb.pi().sqrt()
        case Softplus():
            return (1 + (z / 2).tanh()) / 2
        case Power():
            p = arb(op.exponent)
            if op.whole:
                return p * whole_power(z, int(op.exponent) - 1)
            return p * z ** (p - 1) if z > 0 else UNDEFINED
        case _:
            raise ValueError(f"evaluate: no derivative of {type(op).__name__}")


def curvature(op: Smooth, l: Arb, u: Arb) -> int:
    """1 where f'' >= 0 on [l, u] (within f's domain), -1 where f'' <= 0, 0 where neither is known; l <= u exact.

    f'': e^x, -1/x^2, -x^(-3/2)/4, 2/x^3, -x e^(-x^2) 4/sqrt(pi), e^x/(1 + e^x)^2, p (p - 1) x^(p - 2), and -f for sine, cosine.
    """
    match op:
        case Exp() | Softplus():
            return 1
        case Log() | Sqrt():
            return -1
        case Power() if not op.whole:
            return 1 if op.exponent > 1 else -1
        case Power() if int(op.exponent) % 2 == 0 or op.exponent == 1:
            return 1
        case Power() | Reciprocal():
            return 1 if l >= 0 else -1 if u <= 0 else 0
        case Erf():
            return 1 if u <= 0 else -1 if l >= 0 else 0
        case Sin() if (l >= 0 and u <= 3) or (l >= -3 and u <= 0):  # 3 < pi; a ball at 0 has either sign
            return -1 if l >= 0 else 1
        case Sin() | Cos():
            y = smooth_ball(op, l.union(u))
            return 1 if y <= 0 else -1 if y >= 0 else 0
        case _:
            return 0


def _softplus_at(z: Arb) -> Arb:
    """log(1 + e^z) = max(z, 0) + log(1 + e^-|z|) at an exact point: nothing overflows."""
    return z + (-z).exp().log1p() if z >= 0 else z.exp().log1p()


def _power(op: Power, x: Arb) -> Arb:
    """x^p increases on x >= 0; whole powers of negative numbers by their sign."""
    if not op.whole:
        return _ends(lambda z: arb(0) if z == 0 else z ** arb(op.exponent), x) if x >= 0 else UNDEFINED
    n = int(op.exponent)
    if x >= 0 or n % 2:
        return _ends(lambda z: whole_power(z, n), x)
    if x <= 0:
        return _ends(lambda z: whole_power(z, n), -x)
    return arb(0).union(whole_power(x.lower(), n)).union(whole_power(x.upper(), n))


def whole_power(z: Arb, n: int) -> Arb:
    """z^n, n >= 1, by squaring."""
    result = None
    while n:
        if n % 2:
            result = z if result is None else result * z
        z, n = z * z, n // 2
    return arb(1) if result is None else result


def _smooth(op: Smooth, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    return lambda xs: [smooth_ball(op, x) for x in xs[0]]


# Products and softmax.


def _product(op: Product, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    return lambda xs: [a * b for a, b in zip(xs[0], xs[1], strict=True)]


def _mat_product(op: MatProduct, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    (m, k), n = inputs[0][-2:], inputs[1][-1]

    def step(xs: Sequence[Balls]) -> Balls:
        if not (finite(xs[0]) and finite(xs[1])):
            return [UNDEFINED] * prod(shape)
        result: list[Arb] = []
        for i in range(prod(shape[:-2])):
            left = arb_mat(m, k, list(xs[0][i * m * k : (i + 1) * m * k]))
            right = arb_mat(k, n, list(xs[1][i * k * n : (i + 1) * k * n]))
            result += (left * right).entries()
        return result

    return step


def _softmax(op: Softmax, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    n = shape[-1]

    def step(xs: Sequence[Balls]) -> Balls:
        return [y for start in range(0, len(xs[0]), n) for y in softmax_balls(xs[0][start : start + n])]

    return step


def softmax_balls(row: Balls) -> list[Arb]:
    """e^(x_i - m) / sum_j e^(x_j - m), for any m: here the largest midpoint, so that nothing overflows."""
    if not all(x.is_finite() for x in row):
        return [UNDEFINED] * len(row)
    largest = row[0].mid()
    for x in row[1:]:
        if x.mid() > largest:  # midpoints are exact
            largest = x.mid()
    powers = [(x - largest).exp() for x in row]
    total = powers[0]
    for p in powers[1:]:
        total = total + p
    return [p / total for p in powers]


# Piecewise-constant functions.


def sign(x: Arb) -> Arb:
    if x > 0:
        return arb(1)
    if x < 0:
        return arb(-1)
    if x == 0:
        return arb(0)
    raise Undecided("Sign of a value that may be 0")


def floor(x: Arb) -> Arb:
    found = x.floor().unique_fmpz() if x.is_finite() else None
    if found is None:
        raise Undecided("Floor of a value at an integer")
    return arb(found)


def nearest(x: Arb) -> Arb:
    """Halves to the even integer; a ball that touches a half is decided only when it is that half."""
    shifted = x + arb(0.5)
    below = shifted.floor().unique_fmpz() if x.is_finite() else None
    if below is not None and shifted > arb(below):
        return arb(below)
    if below is not None and shifted == arb(below):
        return arb(below - below % 2)
    raise Undecided("Round of a value at a half")


def truncate(x: Arb) -> Arb:
    if x > -1 and x < 1:
        return arb(0)
    if not (x > -MAX_TRUNCATED and x < MAX_TRUNCATED):
        raise Undecided("a cast to integers of a value beyond 2^31")
    if x >= 1:
        return floor(x)
    if x <= -1:
        return -floor(-x)
    raise Undecided("a cast to integers of a value at an integer")


def compare(relation: str, a: Arb, b: Arb) -> bool:
    """A comparison of balls is True only if it holds for all their numbers."""
    holds, fails = {
        "==": (a == b, a < b or a > b),
        "<": (a < b, a >= b),
        "<=": (a <= b, a > b),
    }[relation]
    if holds:
        return True
    if fails:
        return False
    raise Undecided(f"a comparison ({relation}) of values that may be equal")


def arg_max(row: Balls, last: bool) -> int:
    """The certain winner: strictly above those that would win a tie with it, at least equal to the others."""
    if all(x.is_finite() for x in row):
        best = 0
        for i, x in enumerate(row):
            if x.mid() > row[best].mid() or (last and x.mid() == row[best].mid()):
                best = i
        wins = row[best]
        if all(
            wins > x if (i > best if last else i < best) else wins >= x
            for i, x in enumerate(row)
            if i != best
        ):
            return best
    raise Undecided("ArgMax of values that may be equal")


def _discrete(function: Callable[[Arb], Arb]) -> Callable[[Operation, tuple[Shape, ...], Shape], Step]:
    return lambda op, inputs, shape: lambda xs: [function(x) for x in xs[0]]


def _compare(op: Compare, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    return lambda xs: [arb(int(compare(op.relation, a, b))) for a, b in zip(xs[0], xs[1], strict=True)]


def _select(op: Select, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    def choose(c: Arb, a: Arb, b: Arb) -> Arb:
        if c == 1:
            return a
        if c == 0:
            return b
        raise Undecided("Where on a condition that is neither 0 nor 1")

    return lambda xs: [choose(c, a, b) for c, a, b in zip(*xs, strict=True)]


def _arg_max(op: ArgMax, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    n = inputs[0][-1]
    return lambda xs: [arb(arg_max(xs[0][s : s + n], op.last)) for s in range(0, len(xs[0]), n)]


def _indexed(op: Indexed, inputs: tuple[Shape, ...], shape: Shape) -> Step:
    pool = constant_balls(op.pool)

    def step(xs: Sequence[Balls]) -> Balls:
        integers = [
            np.array([integer(ball) for ball in x], np.int64)
            for x, moved in zip(xs, op.moved, strict=True)
            if not moved
        ]
        try:
            index = places(op, inputs, integers).tolist()
        except ValueError as error:
            raise Undecided(f"undefined for these integers: {error}") from None
        entries = [ball for x, moved in zip(xs, op.moved, strict=True) if moved for ball in x] + pool
        return [entries[i] for i in index]

    return step


def integer(x: Arb) -> int:
    """The integer that the ball is exactly. Raises Undecided."""
    found = x.unique_fmpz() if x.is_exact() and x.is_finite() else None
    if found is None or not x == arb(found) or abs(int(found)) >= MAX_TRUNCATED:
        raise Undecided("an index that is not a known integer")
    return int(found)


RULES: dict[type[Operation], Callable[[Any, tuple[Shape, ...], Shape], Step]] = {
    Sin: _smooth,
    Cos: _smooth,
    Exp: _smooth,
    Log: _smooth,
    Sqrt: _smooth,
    Reciprocal: _smooth,
    Erf: _smooth,
    Softplus: _smooth,
    Power: _smooth,
    Product: _product,
    MatProduct: _mat_product,
    Softmax: _softmax,
    Sign: _discrete(sign),
    Floor: _discrete(floor),
    Round: _discrete(nearest),
    Truncate: _discrete(truncate),
    Compare: _compare,
    Select: _select,
    ArgMax: _arg_max,
    Indexed: _indexed,
}
"""As ``evaluate.RULES``, which includes it."""
