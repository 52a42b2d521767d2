"""Taylor models in float64, over many boxes at a time; rounding is folded into the remainder.

``coefficients`` (C, B, N): monomial, box, function; ``remainder`` (B, N). With |p|_d the sum of the magnitudes of the
coefficients of degree d, |p| that of all. The stored coefficients are *exact* floats: whatever rounding made of them is
charged to the remainder at once, with the a-priori bounds of ``arith.ball64`` (any order of summation, FMA, directed
rounding, flush-to-zero; V = 2^-52; gamma_n bounds the error of a sum of n products relative to the sum of magnitudes):

    sum of n products        gamma_n sum |products|; over all coefficients of a product p q: gamma_C |p| |q|,
                             and of a matrix product W c: gamma_n |W| |c|
    product                  + sum_{d>=1} |p|_d |q|_{>order-d}  (what is cut off; each monomial is in [-1, 1])
                             + |p| rho_q + |q| rho_p + rho_p rho_q
    f(p), q = p - p_0        + |c_{order+1}| Q^(order+1), Q = |q| + rho_p (Taylor's theorem at the float p_0 = p's
                             constant: exact), |c_{order+1}| bounded as functions.py says; the radii of c_k times |q^k|
    hinge                    the line and its distance from the function: models_arb.py; ends rounded (8V), s x + t (4V)

    mean of p^2, of p        (moments of monomials, rounded once) gamma_{2C+2} |p|^2, gamma_{C+1} |p|

Sums that bound are multiplied by ``slack_up`` (no term of one passes through more than 2 (C + 8) roundings) and get TINY, which
exceeds every effect of underflow while magnitudes are at most 2^200; above that the remainder is made infinite. Nothing turns
infinity or NaN back into a number: ``bounds`` gives (-inf, inf) for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith import elementary
from tlcheck.trusted.arith.arb import Arb, lower_float, upper_float, working_precision
from tlcheck.trusted.arith.ball64 import MAX_MAGNITUDE, TINY, V, gamma_up, slack_up
from tlcheck.trusted.arith.balls64 import Balls64
from tlcheck.trusted.taylor.engine import Dense, Engine
from tlcheck.trusted.taylor.space import Space
from tlcheck.trusted.taylor.univariate import Univariate, tower_weight

Floats = NDArray[np.float64]
BASE_PRECISION = 64
"""Bits of the values of functions that are computed in Arb."""


@dataclass(frozen=True, eq=False)
class Models64:
    """See the module. ``by_degree`` and ``norm`` are upper bounds of |p|_d (order + 1, B, N) and |p| (B, N)."""

    space: Space
    coefficients: Floats
    remainder: Floats

    @cached_property
    def by_degree(self) -> Floats:
        sizes, starts = np.abs(self.coefficients), self.space.starts
        sums = np.stack([sizes[a:b].sum(axis=0) for a, b in pairwise(starts)])  # reduceat: 2.4 times as long
        return np.asarray(sums * slack_up(self.space.size) + TINY)

    @cached_property
    def norm(self) -> Floats:
        return np.asarray(self.by_degree.sum(axis=0) * slack_up(self.space.order + 1))


class Engine64(Engine[Models64]):
    """``low``, ``high`` (B, coordinates): the boxes. ``free``: the coordinates that vary, one variable each; of the
    others only the ball matters, whose half width is then a remainder."""

    def __init__(self, space: Space, low: Floats, high: Floats, free: Sequence[int]) -> None:
        if len(free) != space.variables:
            raise ValueError("one variable for each free coordinate")
        self.space = space
        self.free = tuple(free)
        self.centre = (low + high) / 2
        reach = np.maximum(high - self.centre, self.centre - low)
        self.half = np.where(low == high, 0.0, reach * (1 + 8 * V) + TINY)
        self.boxes = int(low.shape[0])

    def _made(self, coefficients: Floats, remainder: Floats) -> Models64:
        """``remainder``: a computed sum of at most C + 8 nonnegative terms and products."""
        widened = remainder * slack_up(self.space.size + 8) + TINY
        inside = np.abs(coefficients).max(axis=0) <= MAX_MAGNITUDE
        return Models64(self.space, coefficients, np.where(inside, widened, np.inf))

    def constants(self, values: Sequence[Arb]) -> Models64:
        mid, rad = _enclosing(values)
        coefficients = np.zeros((self.space.size, self.boxes, mid.size))
        coefficients[0] = mid
        return Models64(self.space, coefficients, np.broadcast_to(rad, (self.boxes, mid.size)))

    def coordinate(self, i: int) -> Models64:
        coefficients = np.zeros((self.space.size, self.boxes, 1))
        coefficients[0, :, 0] = self.centre[:, i]
        remainder = np.zeros((self.boxes, 1))
        if i in self.free and self.space.order:
            coefficients[self.space.variable(self.free.index(i)), :, 0] = self.half[:, i]
        else:
            remainder[:, 0] = self.half[:, i]
        return Models64(self.space, coefficients, remainder)

    def stack(self, parts: Sequence[Models64]) -> Models64:
        return Models64(
            self.space,
            np.concatenate([p.coefficients for p in parts], axis=2),
            np.concatenate([p.remainder for p in parts], axis=1),
        )

    def pick(self, x: Models64, k: int) -> Models64:
        return Models64(self.space, x.coefficients[:, :, k : k + 1], x.remainder[:, k : k + 1])

    def count(self, x: Models64) -> int:
        return int(x.remainder.shape[1])

    def affine(self, weight: Dense, x: Models64) -> Models64:
        c, b, n = x.coefficients.shape
        mid = weight.mid.T
        magnitude = np.abs(mid) if weight.rad is None else np.abs(mid) + weight.rad.T
        product = (x.coefficients.reshape(c * b, n) @ mid).reshape(c, b, -1)
        inner = x.remainder + gamma_up(n) * x.norm
        remainder = (inner @ magnitude) * slack_up(n + 4) + TINY
        if weight.rad is not None:
            remainder = remainder + (x.norm @ weight.rad.T) * slack_up(n + 4) + TINY
        return self._made(product, remainder)

    def add(self, x: Models64, y: Models64) -> Models64:
        total = x.coefficients + y.coefficients
        return self._made(total, x.remainder + y.remainder + 2 * V * (x.norm + y.norm))

    def negate(self, x: Models64) -> Models64:
        return Models64(self.space, -x.coefficients, x.remainder)

    def multiply(self, x: Models64, y: Models64) -> Models64:
        return self._times(x, y, 0, 0)

    def _times(self, x: Models64, y: Models64, skip_x: int, skip_y: int) -> Models64:
        """The product; all coefficients below degree skip_x (skip_y) are zero."""
        space, p, q = self.space, x.coefficients, y.coefficients
        result = np.zeros(np.broadcast_shapes(p.shape, q.shape))
        first = space.starts[skip_y] if skip_y <= space.order else space.size
        for a in range(space.starts[min(skip_x, space.order + 1)], space.size):
            targets = space.targets[a][first:]
            if targets.size:
                result[targets] += p[a] * q[first : first + targets.size]
        charged = gamma_up(space.size + 1) * x.norm * y.norm
        carried = x.norm * y.remainder + y.norm * x.remainder + x.remainder * y.remainder
        return self._made(result, _cut(space, x.by_degree, y.by_degree) + charged + carried)

    def compose(self, f: Univariate, x: Models64, orders: int) -> list[Models64]:
        space = self.space
        centre = x.coefficients[0]
        varying = x.coefficients.copy()
        varying[0] = 0
        q = Models64(space, varying, x.remainder)
        reach = (q.norm + x.remainder) * slack_up(4)
        last = space.order + 1
        with working_precision(BASE_PRECISION), np.errstate(all="ignore"):
            base = self.values(f, centre)
            coefficients = f.coefficients(Balls64.exact(centre), base, space.order + orders)
            bounds = [
                self._bound_up(f, last + m, centre, reach) * tower_weight(last, m) for m in range(orders + 1)
            ]
            known = defined(f, centre, reach)
        powers = [q] if space.order else []
        while len(powers) < space.order:
            powers.append(self._times(powers[-1], q, len(powers), 1))
        tower = []
        far = reach
        for _ in range(space.order):
            far = far * reach * (1 + 4 * V) + TINY
        for m in range(orders + 1):
            result = np.zeros_like(x.coefficients)
            result[0] = coefficients[m].mid
            remainder = coefficients[m].rad + bounds[m] * far
            charge = np.abs(result[0])
            for k, power in enumerate(powers, 1):
                c = coefficients[k + m] * tower_weight(k, m)
                start = space.starts[k]
                result[start:] += c.mid * power.coefficients[start:]
                charge = charge + np.abs(c.mid) * power.norm
                remainder = remainder + c.above() * power.remainder + c.rad * power.norm
            charge = gamma_up(space.order + 3) * charge
            tower.append(self._made(result, np.where(known, remainder + charge, np.inf)))
        return tower

    def values(self, f: Univariate, x: Floats) -> tuple[Balls64, ...]:
        """f's base values at every float: by ``elementary``, of other functions from Arb."""
        match type(f).__name__:
            case "Tanh":
                return (Balls64(*elementary.tanh(x)),)
            case "Sigmoid":
                return (Balls64(*elementary.sigmoid(x)),)
            case "Softplus":
                return Balls64(*elementary.softplus(x)), Balls64(*elementary.sigmoid(x))
            case "Exp":
                return (Balls64(*elementary.exp(x)),)
        rows = [f.base(Arb(v)) for v in x.reshape(-1).tolist()]
        columns = []
        for column in zip(*rows, strict=True):
            mid, rad = _enclosing(column)
            columns.append(Balls64(mid.reshape(x.shape), rad.reshape(x.shape)))
        return tuple(columns)

    def _bound_up(self, f: Univariate, k: int, centre: Floats, reach: Floats) -> Floats:
        """>= |c_k| within ``reach`` of ``centre``."""
        uniform = f.uniform(k)
        if uniform is not None:
            return np.full_like(centre, upper_float(uniform))
        slack = 4 * V * (np.abs(centre) + reach) + TINY
        match f.extreme(k):
            case "high":
                end = centre + reach + slack
            case "low":
                end = centre - reach - slack
            case _:
                end = np.sign(centre) * np.maximum(np.abs(centre) - reach - slack, 0)
        ends = Balls64.exact(end)
        coefficient: Balls64 = f.coefficients(ends, self.values(f, end), k)[k]
        return coefficient.above()

    def hinge(self, below: float, above: float, x: Models64) -> Models64:
        low, high = self.bounds(x)
        kink = (low < 0) & (high > 0) & (below != above)
        with np.errstate(all="ignore"):
            chord = (above * high - below * low) / (high - low)
            slope = np.where(kink, chord, np.where(high <= 0, below, above))
            ends = np.stack([(below - slope) * low, (above - slope) * high, np.zeros_like(low)])
            bottom, top = ends.min(axis=0), ends.max(axis=0)
            middle = np.where(kink, bottom + (top - bottom) / 2, 0.0)
            spread = np.maximum(top - middle, middle - bottom) + 8 * V * np.abs(ends).max(axis=0) + TINY
            coefficients = slope * x.coefficients
            coefficients[0] += middle
            charge = 4 * V * (np.abs(slope) * x.norm + np.abs(middle))
            remainder = np.abs(slope) * x.remainder + charge + np.where(kink, spread, 0.0)
        return self._made(coefficients, np.where(np.isfinite(high - low), remainder, np.inf))

    def hinge_slope(self, below: float, above: float, x: Models64) -> Models64:
        low, high = self.bounds(x)
        coefficients = np.zeros_like(x.coefficients)
        coefficients[0] = np.where(high < 0, below, above)
        known = (low > 0) | (high < 0) | (below == above)
        return Models64(self.space, coefficients, np.where(known, 0.0, np.inf))

    @staticmethod
    def bounds(x: Models64) -> tuple[Floats, Floats]:
        """(lower, upper) bounds of the functions on the boxes, (B, N) each; infinite where there are none."""
        even = np.array(x.space.even)
        c = x.coefficients
        sides = []
        for sign in (-1.0, 1.0):
            grown = np.where(even[:, None, None], np.maximum(sign * c, 0), np.abs(c))[1:].sum(axis=0)
            spread = grown * slack_up(x.space.size) + x.remainder
            end = sign * c[0] + spread
            sides.append(sign * (end + 4 * V * (np.abs(c[0]) + spread) + TINY))
        good = np.isfinite(sides[0]) & np.isfinite(sides[1])
        return np.where(good, sides[0], -np.inf), np.where(good, sides[1], np.inf)


def _cut(space: Space, x: Floats, y: Floats) -> Floats:
    """>= (but for rounding) sum over d + e > order of x_d y_e."""
    total = np.zeros(np.broadcast_shapes(x.shape[1:], y.shape[1:]))
    tail = np.zeros_like(y[0])
    for d in range(1, space.order + 1):
        tail = tail + y[space.order + 1 - d]
        total = total + x[d] * tail
    return total


def mean_squares(x: Models64) -> tuple[Floats, Floats]:
    """The mean over [-1, 1]^n of the polynomials' squares, (B, N), and how far off it may be."""
    c = x.coefficients
    value = (c * np.tensordot(_pairs(x.space), c, 1)).sum(axis=0)
    off = gamma_up(2 * x.space.size + 2) * x.norm * x.norm
    return value, off * slack_up(4) + TINY


def means(x: Models64) -> tuple[Floats, Floats]:
    """The mean of the polynomials."""
    moments = np.zeros(x.space.size)
    for a, m in x.space.moments[1]:
        moments[a] = float(m)
    return np.tensordot(moments, x.coefficients, 1), gamma_up(x.space.size + 1) * x.norm * slack_up(4) + TINY


@cache
def _pairs(space: Space) -> Floats:
    """(C, C): the mean of monomial a times monomial b, to the nearest float."""
    found = np.zeros((space.size, space.size))
    for a, b, m in space.moments[0]:
        found[a, b] = found[b, a] = float(m)
    return found


def _enclosing(values: Sequence[Arb]) -> tuple[Floats, Floats]:
    """Exact floats, and a radius for each that covers the ball; infinite where the ball is."""
    low = np.array([lower_float(v) for v in values])
    high = np.array([upper_float(v) for v in values])
    good = np.isfinite(low) & np.isfinite(high)
    low, high = np.where(good, low, 0.0), np.where(good, high, 0.0)
    mid = low + (high - low) / 2
    rad = np.maximum(high - mid, mid - low) * (1 + 4 * V)
    return mid, np.where(good, np.where(low == high, 0.0, rad + TINY), np.inf)


def defined(f: Univariate, centre: Floats, reach: Floats) -> NDArray[np.bool_]:
    """Where f is analytic within ``reach`` of ``centre``."""
    if not f.domain:
        return np.isfinite(reach)
    side = centre if f.domain > 0 else np.abs(centre)
    return side > reach * (1 + 4 * V) + TINY
