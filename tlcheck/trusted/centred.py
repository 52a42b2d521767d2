"""Rules of zonotopes around centres, in float64: tangents of smooth functions, softmax, products of two operands.

All are of the form f(c + d) = f(c) + J d + R, with J known to within float64's precision and R bounded by the square of how far
d goes, which is a rounding error. Where that is too far for a rule, ``None`` or the operation's own lines, in Arb.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith import elementary
from tlcheck.trusted.arith.ball64 import (
    TINY,
    V,
    centre_radius_up,
    gamma_up,
    guard,
    outward_down,
    outward_up,
    slack_up,
)
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.noise import UP, Noise, Values, between, chord_lines, cut, enclosed, met, summed
from tlcheck.trusted.ops.base import Operation, Shape
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Lines
from tlcheck.trusted.ops.product import MatProduct, Product
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.smooth import Erf, Exp, Log, Power, Reciprocal, Softplus, Sqrt
from tlcheck.trusted.ops.softmax import Softmax

Floats = NDArray[np.float64]
Tangent = tuple[Floats, Floats, Floats, Floats, Floats | float]
"""(y, e, s, g, b): |f(c) - y| <= e, |f'(c) - s| <= g, |f''| <= b wherever x is within ``NARROW`` of c, and of c / 64 if f has no
value, derivative or bound of f'' at 0."""

NARROW: Final = 2.0**-6
NORMAL: Final = 2.0**60
"""Magnitudes from 1 / NORMAL to NORMAL, of functions that end at 0; to 256 of others."""


def _exp(c: Floats) -> Tangent:
    """f'' = e^x <= e^(1/64) e^c"""
    y, r = elementary.exp(c)
    return y, r, y, r, 1.05 * y


def _log(c: Floats) -> Tangent:
    """|f''| = 1/x^2, x >= 63/64 c"""
    s = 1 / c
    return *elementary.log(c), s, V * s, 1.05 * s * s


def _sqrt(c: Floats) -> Tangent:
    """|f''| = 1/(4 x^(3/2))"""
    y = np.sqrt(c)
    s = 0.5 / y
    return y, V * y, s, 4 * V * s, 0.52 * s / c


def _reciprocal(c: Floats) -> Tangent:
    """|f''| = 2/|x|^3"""
    y = 1 / c
    square, size = y * y, np.abs(y)
    return y, V * size, -square, 4 * V * square, 2.2 * square * size


def _square(c: Floats) -> Tangent:
    y = c * c
    return y, V * y, 2 * c, np.zeros_like(c), 2.0


def _cube(c: Floats) -> Tangent:
    """|f''| = 6 |x|"""
    size = np.abs(c)
    y, s = c * c * c, 3 * c * c
    return y, 3 * V * np.abs(y), s, 3 * V * s, 6 * size + 6 * NARROW


def _erf(c: Floats) -> Tangent:
    """|f''| <= 4/sqrt(pi) max x e^(-x^2) < 0.97"""
    y, r = elementary.erf(c)
    e, q = elementary.exp(-np.minimum(c * c, 256.0))
    s = 1.1283791670955126 * e
    return y, r, s, 1.13 * q + V * (4 + 4 * 256 * s), 0.97


def _tanh(c: Floats) -> Tangent:
    """f' = 1 - f^2; |f''| <= 4/(3 sqrt 3) < 0.77"""
    y, r = elementary.tanh(c)
    return y, r, 1 - y * y, 2.1 * r + 4 * V, 0.77


def _sigmoid(c: Floats) -> Tangent:
    """f' = f (1 - f); |f''| <= 1/(6 sqrt 3) < 0.097"""
    y, r = elementary.sigmoid(c)
    return y, r, y * (1 - y), 2 * r + 4 * V, 0.097


def _softplus(c: Floats) -> Tangent:
    """f' is the sigmoid, f'' <= 1/4"""
    y, r = elementary.softplus(c)
    return y, r, *elementary.sigmoid(c), 0.25


def values(
    op: Operation, shapes: tuple[Shape, ...], operands: list[Values], engine: Engine, entries: int
) -> Values | None:
    """Of an exact operation; by symbols that take at most ``entries`` numbers. None: there is no rule here. Raises OutOfRange."""
    if isinstance(op, Elementwise) and has_tangents(op):
        return along(operands[0], *lines_and_range(op, operands[0].box, engine))
    if isinstance(op, Softmax):
        return softmax(operands[0], shapes[0][-1])
    if not isinstance(op, Product | MatProduct):
        return None
    a, b = operands
    most = entries // max(1, prod(op.output_shape(shapes)), a.centre.shape[1], b.centre.shape[1])
    if isinstance(op, Product):
        return product(a, b, np.multiply, 1, most)
    return product(a, b, matrix_times(*shapes), shapes[0][-1], most)


Rule = Callable[[Floats], Tangent]
TANGENTS: Final[dict[type[Elementwise], Rule]] = {
    Exp: _exp, Log: _log, Sqrt: _sqrt, Reciprocal: _reciprocal, Erf: _erf, Tanh: _tanh, Sigmoid: _sigmoid, Softplus: _softplus,
}  # fmt: skip
POWERS: Final[dict[float, Rule]] = {2.0: _square, 3.0: _cube}
END_AT_0: Final = Log, Sqrt, Reciprocal


def has_tangents(op: Operation) -> bool:
    """Whether there is a rule for it. All these are one function, whatever the entry."""
    return op.exponent in POWERS if isinstance(op, Power) else type(op) in TANGENTS


def _rule(op: Elementwise) -> Rule:
    return POWERS[op.exponent] if isinstance(op, Power) else TANGENTS[type(op)]


def lines_and_range(op: Elementwise, box: Box, engine: Engine) -> tuple[Lines, Box]:
    """s x + p <= f(x) <= s x + q on ``box``, one slope for both lines, and f's range there. Raises OutOfRange.

    Where the box is narrow, with c its middle and w >= |x - c|: f(x) - s x is within e + g w + b w^2 / 2 of y - s c (Taylor).
    """
    c, w = centre_radius_up(box)
    narrow = _narrow(op, c, w)
    made = np.zeros((5, *c.shape))  # s, p, q, ends of the range
    if narrow.any():
        made[:, narrow] = _tangent(_rule(op), c[narrow], w[narrow])
    if not narrow.all():
        made[:, ~narrow] = _in_arb(op, Box(box.lower[~narrow][None], box.upper[~narrow][None]), engine)
    s, p, q, low, high = made
    return Lines((s, p), (s, q)), Box(low, high)


def _narrow(op: Elementwise, c: Floats, w: Floats) -> NDArray[np.bool_]:
    if not isinstance(op, END_AT_0):
        return np.asarray((w <= NARROW) & (np.abs(c) <= 256))
    size = c if not isinstance(op, Reciprocal) else np.abs(c)
    return np.asarray((w <= NARROW * size) & (size >= 1 / NORMAL) & (size <= NORMAL))


def _tangent(rule: Rule, c: Floats, w: Floats) -> tuple[Floats, ...]:
    y, e, s, g, b = rule(c)
    part, size = s * c, np.abs(y)
    rest = (e + g * w + 0.5 * b * w * w + 4 * V * (size + np.abs(part))) * UP + TINY
    reach = (np.abs(s) * w + rest) * UP
    guard(y, s, part, rest, reach)
    lines = outward_down(y - part - rest), outward_up(y - part + rest)
    return s, *lines, outward_down(y - reach), outward_up(y + reach)


def _in_arb(op: Elementwise, box: Box, engine: Engine) -> tuple[Floats, ...]:
    """The operation's own."""
    values = op.image((box,), ((box.lower.shape[1],),), engine)
    ends = between(chord_lines(op, box), box)
    return tuple(np.broadcast_to(x, box.lower.shape)[0] for x in (*ends, values.lower, values.upper))


def along(v: Values, lines: Lines, box: Box) -> Values:
    """f of v, in ``box``, between lines of one slope s: f(z) = s z + r, p <= r <= q, whose middle is moved to the centre."""
    (s, p), (_, q) = lines.lower, lines.upper
    middle, half = centre_radius_up(Box(p, q))
    size, centre = np.abs(s), s * v.centre + middle
    guard(s, middle, centre)
    moved = gamma_up(4) * (size * (np.abs(v.centre) + v.spread) + np.abs(middle))
    rest = (half + moved) * UP + TINY
    own, spread = ((size * x + rest) * UP for x in (v.own, v.spread))
    return met(Values(centre, own, [r.times(s[d]) for d, r in enumerate(v.rows)], v.symbols, spread, box))


FAR: Final = 2.0**-4


def softmax(v: Values, n: int) -> Values | None:
    """Over groups of n; None where an operand goes farther than FAR, or two of a group are farther apart than 256.

    With y = softmax(c), D = sum y_j d_j and L = log sum y_j e^(d_j): softmax(c + d)_i = y_i e^(d_i - L). Every |d_j| <= w, so
    D <= L <= D + w^2/2 (Jensen; Hoeffding's lemma for numbers in [-w, w]), and with t = d_i - L, |t| <= 2 w + w^2/2,
        e^t = 1 + (d_i - D) - (L - D) + r,  0 <= r <= t^2/2 e^|t|:  y_i (1 + d_i - D + R), |R| <= 3 w^2 for w <= 1/16.
    What is computed of y is z, within q z of it. d = t.rows + o, |o| <= own, |d| <= spread. With P = sum z_j spread_j,
        |y_i (d_i - D) - z_i (d_i - sum z_j d_j)| <= q z_i (spread_i + P (2 + q)),
    rows become z_i (rows_i - sum z_j rows_j), and o counts z_i (own_i + sum z_j own_j).
    """
    domains, size = v.centre.shape
    c, own, spread = (x.reshape(domains, -1, n) for x in (v.centre, v.own, v.spread))
    below = c - c.max(axis=2, keepdims=True)
    w = spread.max(axis=2, keepdims=True)
    if not (bool((w <= FAR).all()) and bool((below >= -256).all()) and n <= 1 << 20):
        return None
    e, of_exp = elementary.exp_relative(below)
    z = e / e.sum(axis=2, keepdims=True)
    # e_j errs by of_exp's largest and by the rounding of its operand; the sum, the quotient
    q = (2 * of_exp.max(axis=2, keepdims=True) + gamma_up(n) + 2048 * V) * UP
    up = slack_up(n + 8)
    mean_own, mean_spread = ((z * x).sum(axis=2, keepdims=True) * up for x in (own, spread))
    rest = (
        q * (1 + spread + 3 * mean_spread) + (2 * gamma_up(n) + 8 * V) * (spread + mean_spread) + 3.1 * w * w
    )
    kept = (z * (own + mean_own + rest) * up + TINY).reshape(domains, size)
    rows = [_of_softmax(r.array, z[d]) for d, r in enumerate(v.rows)]
    box = Box(np.zeros((domains, size)), np.ones((domains, size)))
    return enclosed(z.reshape(domains, size), kept, zip(v.symbols, rows, strict=True), box)


def _of_softmax(rows: Floats, z: Floats) -> Floats:
    """z_i (rows_i - sum z_j rows_j); z (groups, n), of the groups of rows (M, groups n)."""
    r = rows.reshape(len(rows), *z.shape)
    mean: Floats = np.vecdot(r, z)[..., None]
    result: Floats = (r - mean) * z
    return result.reshape(rows.shape)


Times = Callable[[Floats, Floats], Floats]
"""A bilinear map of rows (M or 1, n_a) and (M or 1, n_b)."""


def matrix_times(a: Sequence[int], b: Sequence[int]) -> Times:
    """The product of matrices of shapes a (.., M, K) and b (.., K, N)."""
    size = prod(a[:-1]) * b[-1]

    def times(x: Floats, y: Floats) -> Floats:
        made: Floats = np.matmul(x.reshape(len(x), *a), y.reshape(len(y), *b))
        return made.reshape(len(made), size)

    return times


def product(a: Values, b: Values, times: Times, terms: int, most: int) -> Values:
    """a b, each value a sum of ``terms`` products, by at most ``most`` symbols of each. With a = c + d, b = c' + d':

    a b = c c' + d c' + c d' + d d'. Sums of doubles err by gamma of their magnitudes; d d' is at most spread times spread'.
    """
    a, b = cut(a, most), cut(b, most)
    guard(a.centre, b.centre)
    domains, gamma, up = len(a.centre), gamma_up(terms + 4), slack_up(terms + 4)
    centre, size_a, size_b = times(a.centre, b.centre), np.abs(a.centre), np.abs(b.centre)
    far = times(size_a, size_b) + times(size_a, b.spread) + times(a.spread, size_b)
    own = times(size_a, b.own) + times(a.own, size_b) + times(a.spread, b.spread)
    own = (own + gamma * far + 2 * V * np.abs(centre)) * up * UP + TINY
    noises = [_linear(a, b, times, d) for d in range(domains)]
    anywhere = Box(np.full(centre.shape, -np.inf), np.full(centre.shape, np.inf))
    return enclosed(centre, own, noises, anywhere)


def _linear(a: Values, b: Values, times: Times, d: int) -> Noise:
    """The rows of d c' + c d'."""
    of_a = a.symbols[d], times(a.rows[d].array, b.centre[d : d + 1])
    return summed([of_a, (b.symbols[d], times(a.centre[d : d + 1], b.rows[d].array))])
