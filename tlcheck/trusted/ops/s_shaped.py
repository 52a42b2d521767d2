"""S-shaped functions: increasing, symmetric about (0, f(0)), convex before 0 and concave after it.

A function says where its derivative is w, in closed form (``turn``), so that lines of any slope w are proved: f(z) - w z is
least and greatest at the ends or at the two points where f' = w, of which -z is the local minimum and z the local maximum.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.ops.base import Shape
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Lines, SlopeGuess, grid
from tlcheck.trusted.ops.ranges import entrywise, on_ends

Floats = NDArray[np.float64]


class SShaped(Elementwise):
    """f' is between 0 and 1, and greatest at 0. ``kernel``: of what other operator it is a part that profiles name apart."""

    monotone = 1
    kernel = ""

    @property
    def profiled(self) -> str:
        return self.kernel + type(self).__name__

    @abstractmethod
    def value(self, z: Arb) -> Arb:
        """f at an exact point."""

    @abstractmethod
    def turn(self, w: Arb) -> tuple[Arb, Arb, Arb] | None:
        """(z, f(-z), f(z)) with z > 0, f'(z) = f'(-z) = w; None where f' is nowhere w."""

    @abstractmethod
    def slope(self, z: Floats) -> Floats:
        """f' in floats, for guesses."""

    def curve(self, z: Arb) -> Arb:
        """f over a ball; what boxes and lines are made of."""
        return self.value(z)

    def ball(self, x: Arb, k: int = 0) -> Arb:
        return on_ends(self.value, x)

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        low, high = boxes[0].lower, boxes[0].upper
        return Box(
            entrywise(lambda z, _: self.curve(z), low)[0], entrywise(lambda z, _: self.curve(z), high)[1]
        )

    def drawn(self, box: Box, guess: SlopeGuess) -> Lines:
        shape = guess.shape(box)
        l, u = np.broadcast_to(box.lower, shape), np.broadcast_to(box.upper, shape)
        ls, us = (
            grid(self.good_slope(l, u, lower) if given is None else _clean(given, shape))
            for given, lower in ((guess.lower, True), (guess.upper, False))
        )
        lt, ut = np.empty(shape), np.empty(shape)
        for at in np.ndindex(shape):
            a, b, w, v = (arb(float(x[at])) for x in (l, u, ls, us))
            fa, fb = self.curve(a), self.curve(b)
            low = [fa - w * a, fb - w * b, *self._inner(w, a, b, minimum=True)]
            high = [fa - v * a, fb - v * b, *self._inner(v, a, b, minimum=False)]
            lt[at] = min(lower_float(h) for h in low)
            ut[at] = max(upper_float(h) for h in high)
        return Lines((ls, lt), (us, ut))

    def _inner(self, w: Arb, a: Arb, b: Arb, minimum: bool) -> list[Arb]:
        """The interior minimum (maximum) of f(z) - w z on [a, b]; none if there is certainly none."""
        found = self.turn(w)
        if found is None:
            return []  # then the difference is monotone
        z, low, high = found
        if minimum:
            return [] if -z < a or -z > b else [low + w * z]
        return [] if z < a or z > b else [high - w * z]

    def good_slope(self, l: Floats, u: Floats, lower: bool) -> Floats:
        """A guess of a good slope in floats: chord, tangent at the middle, or tangent through an end."""
        sign = 1.0 if lower else -1.0
        # by symmetry, the upper line is the lower line of the mirrored curve
        a, b = (l, u) if lower else (-u, -l)
        shift = float(self.approximate(np.zeros(1))[0])

        def g(z: Floats) -> Floats:
            return sign * (self.approximate(sign * z) - shift)

        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            chord = np.where(b > a, (g(b) - g(a)) / (b - a), self.slope(a))
            low, high = np.minimum(a, 0.0), np.zeros_like(a)
            # tangent at d in [a, 0] passing below (b, g(b)): the largest such d
            for _ in range(40):
                mid = 0.5 * (low + high)
                below = g(mid) + self.slope(mid) * (b - mid) <= g(b)
                low, high = np.where(below, mid, low), np.where(below, high, mid)
            tangent = self.slope(np.where(b <= 0, 0.5 * (a + b), np.minimum(low, 0.5 * (a + b))))
            usable = g(a) + self.slope(a) * (b - a) <= g(b)
        return np.where((a >= 0) | ~usable, chord, tangent)


def _clean(slope: Floats, shape: tuple[int, ...]) -> Floats:
    return np.clip(np.nan_to_num(np.broadcast_to(slope, shape), nan=0.0), -1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Sigmoid(SShaped):
    """1 / (1 + exp(-x))"""

    kernel: str = ""

    def value(self, z: Arb) -> Arb:
        """By e^-|z|, which never overflows."""
        if z >= 0:
            return 1 / (1 + (-z).exp())
        e = z.exp()
        return e / (1 + e)

    def curve(self, z: Arb) -> Arb:
        return (1 + (z / 2).tanh()) / 2

    def turn(self, w: Arb) -> tuple[Arb, Arb, Arb] | None:
        """s' = s(1 - s) = w at s = (1 -+ r)/2, r = sqrt(1 - 4w), z = -+log((1 + r)/(1 - r))."""
        if not (w > 0 and 4 * w < 1):
            return None
        r = (1 - 4 * w).sqrt()
        return ((1 + r) / (1 - r)).log(), (1 - r) / 2, (1 + r) / 2

    def approximate(self, x: Floats) -> Floats:
        return 0.5 * (1 + np.tanh(0.5 * x))

    def slope(self, z: Floats) -> Floats:
        s = self.approximate(z)
        return s * (1 - s)


@dataclass(frozen=True, eq=False)
class Tanh(SShaped):
    """tanh(x)"""

    kernel: str = ""

    def value(self, z: Arb) -> Arb:
        return z.tanh()

    def turn(self, w: Arb) -> tuple[Arb, Arb, Arb] | None:
        """tanh' = 1 - t^2 = w at t = -+sqrt(1 - w), z = -+log((1 + t)/(1 - t))/2."""
        if not (w > 0 and w < 1):
            return None
        t = (1 - w).sqrt()
        return ((1 + t) / (1 - t)).log() / 2, -t, t

    def approximate(self, x: Floats) -> Floats:
        return np.tanh(x)

    def slope(self, z: Floats) -> Floats:
        return np.asarray(1 - np.tanh(z) ** 2)


@dataclass(frozen=True, eq=False)
class Atan(SShaped):
    """The angle in (-pi/2, pi/2), in radians, whose tangent is x"""

    mpmath = "atan"

    def value(self, z: Arb) -> Arb:
        return z.atan()

    def turn(self, w: Arb) -> tuple[Arb, Arb, Arb] | None:
        """atan' = 1/(1 + z^2) = w at z = -+sqrt(1/w - 1)."""
        if not (w > 0 and w < 1):
            return None
        z = (1 / w - 1).sqrt()
        return z, -z.atan(), z.atan()

    def approximate(self, x: Floats) -> Floats:
        return np.arctan(x)

    def slope(self, z: Floats) -> Floats:
        return np.asarray(1 / (1 + z * z))
