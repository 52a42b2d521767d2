"""Smooth functions of one variable. Outside its domain a function has no value, and nothing that needs it is proved.

A function says what it is on a ball, its derivative, and where it bends which way; boxes and lines follow from these
(``Smooth``): a tangent and a chord where it bends one way, with intercepts that are proved for any slopes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import TINY32
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.ops.base import Shape, require
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Lines, SlopeGuess, snap
from tlcheck.trusted.ops.ranges import UNDEFINED, boxed, on_ends, pairs

Floats = NDArray[np.float64]

Piece = tuple[float, float, int]
"""(a, b, curvature): f bends one way on [a, b]."""


class Smooth(Elementwise):
    """A function with a derivative inside its domain. Where it is not ``monotone``, ``ends`` is its own."""

    monotone = 1

    @abstractmethod
    def value(self, x: Arb) -> Arb:
        """f over the ball, which is finite; not finite where f is not defined on all of it."""

    @abstractmethod
    def derivative(self, z: Arb) -> Arb:
        """f' at an exact point; not finite where there is none."""

    @abstractmethod
    def curvature(self, l: Arb, u: Arb) -> int:
        """1 where f'' >= 0 on [l, u] (within f's domain), -1 where f'' <= 0, 0 where neither is known; l <= u exact."""

    def ends(self, l: Arb, u: Arb) -> tuple[Arb, Arb]:
        """Balls whose lower and upper end enclose f on [l, u], l <= u exact. Not finite where f is not defined on all of it.

        Of a monotone function: at the ends, which are exact. (A ball from l to u is a little wider than [l, u]: Arb's radii
        have 30 bits.)
        """
        ends = self.ball(l), self.ball(u)
        return ends if self.monotone > 0 else ends[::-1]

    def touching_point(self, a: float, b: float) -> float:
        """A guess of where a good tangent on [a, b] touches: the middle."""
        return a / 2 + b / 2

    def ball(self, x: Arb, k: int = 0) -> Arb:
        return self.value(x) if x.is_finite() else UNDEFINED

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        """f over each interval."""
        shape = boxes[0].lower.shape
        ends = [self.ends(l, u) for l, u in pairs(boxes[0], shape)]
        return boxed(shape, (lower_float(low) for low, _ in ends), (upper_float(high) for _, high in ends))

    def drawn(self, box: Box, guess: SlopeGuess) -> Lines:
        """A tangent and a chord where f bends one way only (on each side of 0, for odd powers and erf); else slope 0.

        Suggested slopes are not used. Where no finite intercept is found the lines are the ends of f's range.
        """
        shape = box.lower.shape
        ends = [self.ends(l, u) for l, u in pairs(box, shape)]
        values = boxed(shape, (lower_float(low) for low, _ in ends), (upper_float(high) for _, high in ends))
        slopes = np.zeros((2, *shape))
        pieces: dict[tuple[int, int], list[Piece]] = {}
        for at in np.ndindex(shape):
            l, u = float(box.lower[at]), float(box.upper[at])
            if l < u:
                pieces[at] = found = self._pieces(l, u)
                if found:
                    slopes[(0, *at)], slopes[(1, *at)] = self._slopes(l, u, found)
        ls, us = snap(slopes)  # together: both lines on one grid
        lt, ut = np.array(values.lower), np.array(values.upper)
        for at, found in pieces.items():
            if found:
                low = min(self._least(float(ls[at]), piece) for piece in found)
                high = -min(self._least(-float(us[at]), piece, mirrored=True) for piece in found)
                if np.isfinite(low) and np.isfinite(high):
                    lt[at], ut[at] = low, high
                else:
                    ls[at] = us[at] = 0.0
        return Lines((ls, lt), (us, ut))

    def _pieces(self, l: float, u: float) -> list[Piece]:
        """[l, u] in pieces on which f bends one way; none where that is not known."""
        cuts = [l, 0.0, u] if l < 0 < u and self.curvature(arb(l), arb(u)) == 0 else [l, u]
        found = [(a, b, self.curvature(arb(a), arb(b))) for a, b in pairwise(cuts)]
        return found if all(bend for _, _, bend in found) else []

    def _slopes(self, l: float, u: float, pieces: list[Piece]) -> tuple[float, float]:
        """A guess of the lower and the upper slope."""
        a, b = arb(l), arb(u)
        chord = _nearest((self.ball(b) - self.ball(a)) / (b - a))
        if len(pieces) > 1:
            return chord, chord
        ((a_, b_, bend),) = pieces
        tangent = _nearest(self.derivative(arb(self.touching_point(a_, b_))))
        return (tangent, chord) if bend > 0 else (chord, tangent)

    def _least(self, slope: float, piece: Piece, *, mirrored: bool = False) -> float:
        """At most min over the piece of g(z) - slope z, with g = f, or, ``mirrored``, g = -f. May be infinite or NaN: no bound.

        h(z) = g(z) - slope z. Where h bends down its minimum is at an end. Where it bends up, for any m in the piece,
        h(z) >= h(m) + h'(m) (z - m), which is least at an end of the piece.
        """
        a, b, bend = piece
        sign = -1 if mirrored else 1
        s = arb(slope)
        if sign * bend < 0:
            return min(lower_float(sign * self.ball(z) - s * z) for z in (arb(a), arb(b)))
        m = arb(self._matching_point(sign * slope, piece))
        height, rise = sign * self.ball(m) - s * m, sign * self.derivative(m) - s
        return min(lower_float(height + rise * (z - m)) for z in (arb(a), arb(b)))

    def _matching_point(self, slope: float, piece: Piece) -> float:
        """A guess of the point of the piece where f' is the slope: f' is monotone there."""
        a, b, bend = piece
        m = self.touching_point(a, b)
        tangent = _nearest(self.derivative(arb(m)))
        if abs(tangent - slope) <= 2.0**-18 * max(1.0, abs(slope)):
            return m
        for _ in range(40):
            m = a / 2 + b / 2
            if (_nearest(self.derivative(arb(m))) < slope) == (bend > 0):
                a = m
            else:
                b = m
        return m


def nothing_at_flushed(box: Box) -> Fraction:
    """Of a function without a value at 0. Raises OutOfRange unless no number of the box may be taken for it."""
    tiny = float(TINY32)
    if not bool(((box.lower >= tiny) | (box.upper <= -tiny)).all()):
        raise OutOfRange("float32 may take an operand for 0")
    return Fraction(0)


def root_at_flushed(exponent: float) -> Fraction:
    """x^exponent at 2^-126, rounded up; exponent in (0, 1]."""
    return Fraction(2.0 ** (-126 * exponent) * 1.001)


def _nearest(x: Arb) -> float:
    """A guess: the ball's middle."""
    return float(x.mid()) if x.is_finite() else 0.0


class Periodic(Smooth):
    """Sine and cosine: f'' = -f."""

    monotone = 0

    def ends(self, l: Arb, u: Arb) -> tuple[Arb, Arb]:
        """At the ends where f' has one sign, else f over the whole ball."""
        x = l.union(u)
        slope = self.derivative(x)
        if not (slope > 0 or slope < 0):
            return self.ball(x), self.ball(x)
        at_l, at_u = self.ball(l), self.ball(u)
        return (at_u, at_l) if slope < 0 else (at_l, at_u)

    def curvature(self, l: Arb, u: Arb) -> int:
        y = self.ball(l.union(u))
        return 1 if y <= 0 else -1 if y >= 0 else 0


@dataclass(frozen=True, eq=False)
class Sin(Periodic):
    """sin(x), x in radians"""

    def value(self, x: Arb) -> Arb:
        return x.sin()

    def derivative(self, z: Arb) -> Arb:
        return z.cos()

    def curvature(self, l: Arb, u: Arb) -> int:
        if (l >= 0 and u <= 3) or (l >= -3 and u <= 0):  # 3 < pi; a ball at 0 has either sign
            return -1 if l >= 0 else 1
        return super().curvature(l, u)

    def approximate(self, x: Floats) -> Floats:
        return np.sin(x)


@dataclass(frozen=True, eq=False)
class Cos(Periodic):
    """cos(x), x in radians"""

    def value(self, x: Arb) -> Arb:
        return x.cos()

    def derivative(self, z: Arb) -> Arb:
        return -z.sin()

    def approximate(self, x: Floats) -> Floats:
        return np.cos(x)


@dataclass(frozen=True, eq=False)
class Exp(Smooth):
    """e^x"""

    def value(self, x: Arb) -> Arb:
        return on_ends(lambda z: z.exp(), x)

    def derivative(self, z: Arb) -> Arb:
        return z.exp()

    def curvature(self, l: Arb, u: Arb) -> int:
        return 1

    def touching_point(self, a: float, b: float) -> float:
        """Not further than 1 from the lower end, so that the tangent stays positive."""
        return min(a / 2 + b / 2, a + 0.99)

    def approximate(self, x: Floats) -> Floats:
        return np.exp(x)


@dataclass(frozen=True, eq=False)
class Log(Smooth):
    """Natural logarithm; x > 0."""

    def at_flushed(self, box: Box) -> Fraction:
        return nothing_at_flushed(box)

    def value(self, x: Arb) -> Arb:
        return on_ends(lambda z: z.log(), x) if x > 0 else UNDEFINED

    def derivative(self, z: Arb) -> Arb:
        return 1 / z

    def curvature(self, l: Arb, u: Arb) -> int:
        """f'' = -1/x^2"""
        return -1

    def approximate(self, x: Floats) -> Floats:
        return np.log(x)


@dataclass(frozen=True, eq=False)
class Sqrt(Smooth):
    """Square root; x >= 0."""

    def at_flushed(self, box: Box) -> Fraction:
        return root_at_flushed(0.5)

    def value(self, x: Arb) -> Arb:
        return on_ends(lambda z: z.sqrt(), x) if x >= 0 else UNDEFINED

    def derivative(self, z: Arb) -> Arb:
        return 1 / (2 * z.sqrt())

    def curvature(self, l: Arb, u: Arb) -> int:
        """f'' = -x^(-3/2)/4"""
        return -1

    def approximate(self, x: Floats) -> Floats:
        return np.sqrt(x)


@dataclass(frozen=True, eq=False)
class Reciprocal(Smooth):
    """1 / x; x != 0."""

    monotone = 0

    def at_flushed(self, box: Box) -> Fraction:
        return nothing_at_flushed(box)

    def value(self, x: Arb) -> Arb:
        return 1 / x if x > 0 or x < 0 else UNDEFINED

    def ends(self, l: Arb, u: Arb) -> tuple[Arb, Arb]:
        """It falls, on each side of 0."""
        if not (l > 0 or u < 0):
            return UNDEFINED, UNDEFINED
        return self.ball(u), self.ball(l)

    def derivative(self, z: Arb) -> Arb:
        return -1 / (z * z)

    def curvature(self, l: Arb, u: Arb) -> int:
        """f'' = 2/x^3"""
        return 1 if l >= 0 else -1 if u <= 0 else 0

    def approximate(self, x: Floats) -> Floats:
        return np.asarray(1 / x)


@dataclass(frozen=True, eq=False)
class Erf(Smooth):
    """2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x"""

    def value(self, x: Arb) -> Arb:
        return on_ends(lambda z: z.erf(), x)

    def derivative(self, z: Arb) -> Arb:
        return 2 * (-z * z).exp() / arb.pi().sqrt()

    def curvature(self, l: Arb, u: Arb) -> int:
        """f'' = -x e^(-x^2) 4/sqrt(pi)"""
        return 1 if u <= 0 else -1 if l >= 0 else 0

    def approximate(self, x: Floats) -> Floats:
        return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x))


@dataclass(frozen=True, eq=False)
class Softplus(Smooth):
    """log(1 + e^x)"""

    def value(self, x: Arb) -> Arb:
        return on_ends(_softplus_at, x)

    def derivative(self, z: Arb) -> Arb:
        return (1 + (z / 2).tanh()) / 2

    def curvature(self, l: Arb, u: Arb) -> int:
        """f'' = e^x/(1 + e^x)^2"""
        return 1

    def approximate(self, x: Floats) -> Floats:
        return np.logaddexp(x, 0)


def _softplus_at(z: Arb) -> Arb:
    """log(1 + e^z) = max(z, 0) + log(1 + e^-|z|) at an exact point: nothing overflows."""
    return z + (-z).exp().log1p() if z >= 0 else z.exp().log1p()


MAX_EXPONENT = 1024.0


@dataclass(frozen=True, eq=False)
class Power(Smooth):
    """x^exponent, for an exact exponent in (0, 1024]; x >= 0 unless the exponent is whole."""

    exponent: float
    monotone = 0

    def __post_init__(self) -> None:
        fits = bool(np.isfinite(self.exponent)) and 0 < self.exponent <= MAX_EXPONENT
        require(fits, "Power: exponent must be positive and at most 1024")

    def at_flushed(self, box: Box) -> Fraction:
        return root_at_flushed(min(self.exponent, 1.0))

    @property
    def profiled(self) -> str:
        return {2.0: "Square", 3.0: "Cube"}.get(self.exponent, "Pow")

    @property
    def whole(self) -> bool:
        return self.exponent == int(self.exponent)

    @property
    def even(self) -> bool:
        return self.whole and int(self.exponent) % 2 == 0

    def value(self, x: Arb) -> Arb:
        """x^p increases on x >= 0; whole powers of negative numbers by their sign."""
        if not self.whole:
            p = arb(self.exponent)
            return on_ends(lambda z: arb(0) if z == 0 else z**p, x) if x >= 0 else UNDEFINED
        n = int(self.exponent)
        if x >= 0 or n % 2:
            return on_ends(lambda z: whole_power(z, n), x)
        if x <= 0:
            return on_ends(lambda z: whole_power(z, n), -x)
        return arb(0).union(whole_power(x.lower(), n)).union(whole_power(x.upper(), n))

    def ends(self, l: Arb, u: Arb) -> tuple[Arb, Arb]:
        """An even power falls before 0 and rises after it."""
        if self.even and u <= 0:
            return self.ball(u), self.ball(l)
        if self.even and l < 0:
            return arb(0), self.ball(u if u >= -l else l)
        return self.ball(l), self.ball(u)

    def derivative(self, z: Arb) -> Arb:
        p = arb(self.exponent)
        if self.whole:
            return p * whole_power(z, int(self.exponent) - 1)
        return p * z ** (p - 1) if z > 0 else UNDEFINED

    def curvature(self, l: Arb, u: Arb) -> int:
        """f'' = p (p - 1) x^(p - 2)"""
        if not self.whole:
            return 1 if self.exponent > 1 else -1
        if self.even or self.exponent == 1:
            return 1
        return 1 if l >= 0 else -1 if u <= 0 else 0

    def approximate(self, x: Floats) -> Floats:
        return np.power(x, self.exponent)


def whole_power(z: Arb, n: int) -> Arb:
    """z^n, by squaring."""
    result = None
    while n:
        if n % 2:
            result = z if result is None else result * z
        z, n = z * z, n // 2
    return arb(1) if result is None else result
