"""Functions of one variable, y_k = f_k(x_k)."""

from __future__ import annotations

from abc import abstractmethod
from fractions import Fraction
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import TINY32, representable, scaled_up, sum_up
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.ops.base import Relaxed, Shape, Step, one
from tlcheck.trusted.ops.lines import NO_GUESS, Lines, Part, Relaxation, SlopeGuess

Floats = NDArray[np.float64]


class Elementwise(Relaxed):
    """Proved lines around f_k on an interval, with slopes from the evidence where the function takes them.

    ``monotone``: 1 if f never decreases on all of its domain, -1 if it never increases; 0: neither, or not said.
    ``mpmath``: mpmath's name of a monotone f (of the value, then the operation's own fields), by which ``--cross-check`` knows
    it; None: it has a rule there, or is skipped.
    """

    monotone: ClassVar[int] = 0
    mpmath: ClassVar[str | None] = None

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return one(inputs, type(self).__name__)

    @abstractmethod
    def ball(self, x: Arb, k: int = 0) -> Arb:
        """f_k over the ball ``x``; not finite where it is not defined on all of it."""

    @abstractmethod
    def approximate(self, x: Floats) -> Floats:
        """f in floats, for guesses and tests: nothing is proved from it."""

    @abstractmethod
    def drawn(self, box: Box, guess: SlopeGuess) -> Lines:
        """``lines``, on a box that is finite."""

    def lines(self, box: Box, guess: SlopeGuess = NO_GUESS) -> Lines:
        """ls z + lt <= f(z) <= us z + ut for every z of ``box`` (lower <= upper), of any slopes suggested.

        lt <= min over [l, u] of f(z) - ls z and ut >= max over [l, u] of f(z) - us z are rigorous ends of what is attained
        at l, u, a kink of f, or where f' equals the slope. Raises OutOfRange unless the box is finite.
        """
        if not bool(np.isfinite(box.lower).all() and np.isfinite(box.upper).all()):
            raise OutOfRange("relaxation on an unbounded interval")
        return self.drawn(box, guess)

    def stable(self, box: Box) -> NDArray[np.bool_]:
        """Where f is affine on the interval by sign alone, so that tighter bounds would not change its lines."""
        return np.equal(box.lower, box.upper)

    @property
    def profiled(self) -> str:
        """What profiles call it."""
        return type(self).__name__

    def at_flushed(self, box: Box) -> Fraction:
        """At least |f(x) - f(0)| for the |x| < 2^-126 of ``box``: here of functions whose slope is at most 2 there.

        Raises OutOfRange where there is no bound.
        """
        return 2 * TINY32

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        """What the profile says of f; an operand taken for 0 and a result put to 0 change f and the result by so much more."""
        said, x = profile.accuracy(self.profiled), boxes[0]
        representable(x, image)
        own = scaled_up(said.relative, image.magnitude, said.absolute + self.at_flushed(x) + TINY32)
        return sum_up(own, scaled_up(said.per_operand, x.magnitude)) if said.per_operand else own

    def relaxation(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...]) -> Relaxation:
        return Relaxation((Part(0, self.lines(boxes[0]), boxes[0]),))

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        return lambda xs: [self.ball(x, k) for k, x in enumerate(xs[0])]


def signed(box: Box) -> NDArray[np.bool_]:
    """Where the sign is known."""
    return np.asarray((box.lower >= 0) | (box.upper <= 0))
