"""What an operation is.

There are these kinds:

* *sources*: ``Input`` and ``Fixed`` (a constant used as data);
* *affine*: y = sum_i M_i x_i + b, described by one linear map per operand (``tlcheck.trusted.maps``) and an offset;
* *elementwise*: y_k = f_k(x_k), described by proved lines around f_k on an interval;
* *selection*: y_k = max over a set of entries of x;
* *products* and *choices* of variables (``product``, ``Select``): planes around them;
* *softmax, step functions, comparisons, computed indices* (``softmax``, ``discrete``, ``indexed``): a box of their values.

An operation's module holds its shape rule, its description, its exact evaluation on balls, and its float32
rounding radius.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

Shape = tuple[int, ...]


class Operation(ABC):
    """One node's operation; immutable, checked when built."""

    @abstractmethod
    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """The result's shape. Raises ValueError when the operands' shapes do not fit."""


class Undecided(ValueError):
    """An enclosure does not decide a discontinuous operation: nothing is guessed."""


def require(condition: bool, message: str) -> None:
    """Raise ValueError(message) unless ``condition``."""
    if not condition:
        raise ValueError(message)


def one(inputs: tuple[Shape, ...], op: str) -> Shape:
    """The shape of the only operand."""
    require(len(inputs) == 1, f"{op}: takes one operand, got {len(inputs)}")
    return inputs[0]
