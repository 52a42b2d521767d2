"""What a property asserts, exactly.

A query is a finite union of *disjuncts*; a disjunct is an input region (a box with rational ends) and a
conjunction of linear constraints over inputs and outputs. The query is **unsat** if no point satisfies any
disjunct, **sat** if some point of some disjunct does.

Variables: input and output values are numbered flat. ``inputs`` are the network's inputs, concatenated in
declaration order and flattened row-major; ``outputs`` likewise. All numbers are exact rationals.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class LinearConstraint:
    """sum_i a_i x_i + sum_j b_j y_j  <=  bound   (``<`` when strict).

    ``inputs`` and ``outputs`` are sorted (flat index, non-zero coefficient) pairs.
    """

    inputs: tuple[tuple[int, Fraction], ...]
    outputs: tuple[tuple[int, Fraction], ...]
    bound: Fraction
    strict: bool = False

    def __post_init__(self) -> None:
        for pairs in (self.inputs, self.outputs):
            indices = [i for i, _ in pairs]
            if indices != sorted(set(indices)) or any(i < 0 for i in indices):
                raise ValueError("constraint: indices must be distinct, sorted and nonnegative")
            if any(c == 0 for _, c in pairs):
                raise ValueError("constraint: zero coefficients are left out")


@dataclass(frozen=True, slots=True)
class InputBox:
    """The closed box lower <= x <= upper, one exact rational per flat input.

    A coordinate with lower > upper makes the box (and every disjunct on it) empty.
    """

    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]

    def __post_init__(self) -> None:
        if len(self.lower) != len(self.upper):
            raise ValueError("box: lower and upper differ in length")

    @property
    def size(self) -> int:
        return len(self.lower)


@dataclass(frozen=True, slots=True)
class Disjunct:
    """{x in box : every constraint holds at (x, f(x))}. Strict input bounds stay in ``constraints`` too."""

    box: InputBox
    constraints: tuple[LinearConstraint, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """The union of ``disjuncts`` over ``n_inputs`` input and ``n_outputs`` output values."""

    n_inputs: int
    n_outputs: int
    disjuncts: tuple[Disjunct, ...]

    def __post_init__(self) -> None:
        for d in self.disjuncts:
            if d.box.size != self.n_inputs:
                raise ValueError("query: a box has the wrong dimension")
            for c in d.constraints:
                if c.inputs and c.inputs[-1][0] >= self.n_inputs:
                    raise ValueError("query: a constraint names an input that does not exist")
                if c.outputs and c.outputs[-1][0] >= self.n_outputs:
                    raise ValueError("query: a constraint names an output that does not exist")
