"""What an operation is, and what every pass may ask of one.

An operation's class holds everything about it: its shape rule, its values on balls, a box of its values over boxes of its
operands, its relaxation, its float32 rounding radius, each with the proof that it holds. Passes know operations only by
these kinds:

* ``Source``: an input, or a constant used as data;
* ``AffineOperation``: y = sum_i M_i x_i + b, one linear map per operand (``arith.maps``). That says all: what engines,
  passes and the evaluation do with an affine operation, they do with its maps;
* ``Relaxed``: y lies between sums of lines in entries of its operands, proved over their boxes (``ops.lines``).
  ``Elementwise`` functions are of this kind, y_k = f_k(x_k);
* ``Boxed``: a box of its values is all that is known of them.

An operation of no kind can be evaluated, if it has a rule; no pass goes through it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.maps import Affine
from tlcheck.trusted.arith.profile import NotDeployable, Profile
from tlcheck.trusted.ops.lines import Relaxation

Floats = NDArray[np.float64]
Shape = tuple[int, ...]
Balls = Sequence[Arb]
Step = Callable[[Sequence[Balls]], Balls]
"""One node's function: its operands' balls (flat, row-major) to its own."""


class Undecided(ValueError):
    """An enclosure does not decide a discontinuous operation: nothing is guessed."""


class Operation(ABC):
    """One node's operation; immutable, checked when built."""

    @abstractmethod
    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """The result's shape. Raises ValueError when the operands' shapes do not fit."""

    def step(self, inputs: tuple[Shape, ...], shape: Shape) -> Step:
        """The values on balls: for every point of the operands' balls the exact value lies in the ball returned.

        Where it does not exist (1 / 0) the ball is not finite. Raises Undecided where the balls do not decide a
        discontinuous operation: a comparison counts only when it holds for all numbers of both balls.
        """
        raise ValueError(f"evaluate: no rule for {type(self).__name__}")

    def image(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], engine: Engine) -> Box:
        """A box of the values for every choice of operands in ``boxes`` (D, n) at which the operation is defined.

        ``shapes`` are the operands'. An unbounded box, or one on which it may not be defined, is OutOfRange.
        """
        raise ValueError(f"no enclosure for {type(self).__name__}")

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        """A bound (D, n) of |float32 result - exact result of the same operands|, for operands in their boxes; None where
        nothing rounds. For every execution that the profile allows. ``image``: of the boxes. Raises NotDeployable, OutOfRange.
        """
        raise NotDeployable(type(self).__name__)


class Source(Operation):
    """A node without operands."""


class AffineOperation(Operation):
    """y = sum_i M_i x_i + b."""

    @abstractmethod
    def affine(self, inputs: tuple[Shape, ...], output: Shape) -> Affine:
        """The maps, one per operand, and the offset."""

    def radius(
        self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...], image: Box, profile: Profile
    ) -> Floats | None:
        """What is more than the rounding of the maps' sums: nothing."""
        return None


class Relaxed(Operation):
    """y lies between sums of lines in its operands."""

    @property
    def by_value(self) -> bool:
        """Operands and y have one shape, and lines of any entries of y are those on the boxes of the same entries alone."""
        return False

    @abstractmethod
    def relaxation(self, boxes: tuple[Box, ...], shapes: tuple[Shape, ...]) -> Relaxation:
        """Lines that are proved over the operands' boxes. Raises OutOfRange."""


class Boxed(Operation):
    """A pass stops here: coefficients on its values stay, and are bounded over their box."""


def require(condition: bool, message: str) -> None:
    """Raise ValueError(message) unless ``condition``."""
    if not condition:
        raise ValueError(message)


def one(inputs: tuple[Shape, ...], op: str) -> Shape:
    """The shape of the only operand."""
    require(len(inputs) == 1, f"{op}: takes one operand, got {len(inputs)}")
    return inputs[0]
