"""Numbers rounded to whole multiples of a step (QuantizeLinear), and sums of integers that a kernel may saturate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.maps import Affine, SignMap
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.ops.base import AffineOperation, Shape, Undecided, one, require
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Lines, SlopeGuess, snap
from tlcheck.trusted.ops.ranges import UNDEFINED

Floats = NDArray[np.float64]

CHARGE, TINY = 2.0**-49, 2.0**-1000
MOST = 2.0**17
"""Largest magnitude of ``low`` and ``high``."""
STEPS = (2.0**-126, 2.0**126)
"""Least and largest step."""


@dataclass(frozen=True, eq=False)
class Quantize(Elementwise):
    """y_k = min(max(n, low_k), high_k), where n is the integer nearest to x_k / scale_k, of two the even one.

    Each of ``scale``, ``low``, ``high`` is one number, or one per value (x's shape), and exact; scales are float32, low and high
    integers. ``ties``: whether a value half way between two integers is rounded to the even one; if not, it may be either.

    Half way from m to m + 1 lies (m + 1/2) scale, a product of 19 and 24 bits: exact in doubles. Deployed: what the division
    rounds is a rounding of x, and the reader's to say (an operation before this one); what is left is exact.
    """

    scale: Constant
    low: Constant
    high: Constant
    ties: bool = True

    @property
    def by_value(self) -> bool:
        return all(c.size == 1 for c in (self.scale, self.low, self.high))

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = one(inputs, "Quantize")
        for c in (self.scale, self.low, self.high):
            require(c.size == 1 or c.shape == shape, "Quantize: a constant is one number or has x's shape")
            require(c.rad is None, "Quantize: constants are exact")
        step, low, high = self._constants
        require(bool((step == step.astype(np.float32)).all()), "Quantize: a step is a float32 number")
        require(bool(((step >= STEPS[0]) & (step <= STEPS[1])).all()), "Quantize: a step out of range")
        for end in (low, high):
            require(bool((end == np.rint(end)).all() and (np.abs(end) <= MOST).all()), "Quantize: whole ends")
        require(bool((low <= high).all()), "Quantize: low above high")
        return shape

    @cached_property
    def _constants(self) -> tuple[Floats, Floats, Floats]:
        """Each one number, or one per value, flat."""
        step, low, high = (c.mid.astype(np.float64).reshape(-1) for c in (self.scale, self.low, self.high))
        return step, low, high

    def ball(self, x: Arb, k: int = 0) -> Arb:
        """Decided where the ball lies between two neighbouring half ways, or is one of them."""
        step, low, high = (float(c[k if c.size > 1 else 0]) for c in self._constants)
        if not x.is_finite():
            return UNDEFINED
        near = (x.mid() / arb(step)).floor().mid()
        first = int(min(max(float(near), low), high))
        for n in range(first, min(first + 1, int(high)) + 1):
            below, above = arb((n - 0.5) * step), arb((n + 0.5) * step)
            even = self.ties and n % 2 == 0
            if (n == low or x > below or (even and x == below)) and (
                n == high or x < above or (even and x == above)
            ):
                return arb(n)
        raise Undecided("Quantize of a value half way between two integers")

    def approximate(self, x: Floats) -> Floats:
        step, low, high = self._constants
        return np.asarray(np.clip(np.rint(x / step), low, high))

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        return Box(*self._ends(boxes[0]))

    def _ends(self, box: Box) -> tuple[Floats, Floats]:
        """The least and the greatest value; of an end half way between two integers, either."""
        return self.nearest(box.lower, -1), self.nearest(box.upper, 1)

    def nearest(self, x: Floats, side: int) -> Floats:
        """The integers nearest to x / scale, cut; of x half way between two, the one on that side.

        The quotient, cut to [low - 1, high + 1], errs by less than 1/4, and is rounded by at most 1, whatever the rounding mode;
        so that the half way numbers around it, which are exact, tell whether it is one too large or too small.
        """
        step, low, high = self._constants
        with np.errstate(over="ignore", under="ignore"):
            n = np.rint(np.clip(x / step, low - 1, high + 1))
        below, above = (n - 0.5) * step, (n + 0.5) * step
        up, down = (x >= above, x < below) if side > 0 else (x > above, x <= below)
        return np.asarray(np.clip(n + up - down, low, high))

    def stable(self, box: Box) -> NDArray[np.bool_]:
        low, high = self._ends(box)
        return np.equal(low, high)

    def drawn(self, box: Box, guess: SlopeGuess) -> Lines:
        """On [l, u] f rises from a to b. On each of its steps f(x) - s x is linear, and so are its values at the steps' ends,
        from the first inner one, (a + 1/2) scale, to the last, (b - 1/2) scale. So for s >= 0 it is least where a step ends: the
        first, the last but one, or u; greatest where one begins: l, the second, or the last. For s < 0 it rises all the way.

        Heights h - s x in doubles err by less than the charge, in any rounding mode and with flushing to zero.
        """
        shape = guess.shape(box)
        l, u = np.broadcast_to(box.lower, shape), np.broadcast_to(box.upper, shape)
        a, b = (np.broadcast_to(end, shape) for end in self._ends(box))
        rises = a < b
        step = self._constants[0]
        first, last = np.where(rises, (a + 0.5) * step, u), np.where(rises, (b - 0.5) * step, l)
        ls, us = self._slopes(l, u, a, b, guess)
        below = [(a, l), (a, first), (np.where(rises, b - 1, a), last), (b, u)]
        above = [(a, l), (np.where(rises, a + 1, a), first), (b, last), (b, u)]
        lt = np.min([_height(h, ls, x, -1) for h, x in below], axis=0)
        ut = np.max([_height(h, us, x, 1) for h, x in above], axis=0)
        if not bool(np.isfinite(lt).all() and np.isfinite(ut).all()):
            raise OutOfRange("relaxation beyond doubles")
        return Lines((ls, lt), (us, ut))

    def _slopes(self, l: Floats, u: Floats, a: Floats, b: Floats, guess: SlopeGuess) -> Floats:
        """A guess, (2, D, n): 1/scale over several steps, nothing over one; where only one side saturates, f bends."""
        step, low, high = self._constants
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            steep, chord = np.broadcast_to(1 / step, l.shape), np.where(u > l, (b - a) / (u - l), 0.0)
        cut = l < low * step, u > high * step
        above = u + l > 2 * low * step, u + l < 2 * high * step  # more of the box lies where f rises
        found = []
        for k, given in enumerate((guess.lower, guess.upper)):
            bent = np.where(cut[k], np.where(above[k], steep, 0.0), steep)
            slope = np.where(b - a > 1, np.where(cut[1 - k], chord, bent), 0.0)
            found.append(slope if given is None else np.broadcast_to(given, l.shape))
        return snap(np.stack(found))

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        return None


def _height(h: Floats, s: Floats, x: Floats, side: int) -> Floats:
    """At most (side -1) or at least (side 1) h - s x."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        product = s * x
        return np.asarray(h - product + side * (CHARGE * (np.abs(h) + np.abs(product)) + TINY))


@dataclass(frozen=True, eq=False)
class Paired(AffineOperation):
    """y = x, sums of products of uint8 and int8 numbers: kernels without instructions for them add pairs of products in int16,
    which saturates."""

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return one(inputs, "Paired")

    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        return Affine((SignMap(1, prod(output)),), None, 0, True)

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        if not profile.exact_products:
            raise NotDeployable(
                "a product of uint8 and int8 numbers, weights beyond -64 to 63, which kernels of the profile "
                f"{profile.name} may saturate"
            )
        return None
