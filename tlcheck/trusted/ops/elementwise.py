"""Functions of one variable, y_k = f_k(x_k)."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb
from tlcheck.trusted.arith.box import Box, OutOfRange
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

    def relaxation(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...]) -> Relaxation:
        return Relaxation((Part(0, self.lines(boxes[0]), boxes[0]),))

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        return lambda xs: [self.ball(x, k) for k, x in enumerate(xs[0])]


def signed(box: Box) -> NDArray[np.bool_]:
    """Where the sign is known."""
    return np.asarray((box.lower >= 0) | (box.upper <= 0))
