"""Polynomials of total degree <= order in a few variables, each over [-1, 1]: which monomials, and how they multiply."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_VARIABLES: Final = 4
MAX_ORDER: Final = 12
"""Beyond these a model has more coefficients than splitting the box costs."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Space:
    """Monomials are ordered by degree, so those of degree <= d come first."""

    variables: int
    order: int

    def __post_init__(self) -> None:
        if not (0 <= self.variables <= MAX_VARIABLES and 0 <= self.order <= MAX_ORDER):
            raise ValueError(f"at most {MAX_VARIABLES} variables and order {MAX_ORDER}")

    @cached_property
    def monomials(self) -> tuple[tuple[int, ...], ...]:
        every = product(range(self.order + 1), repeat=self.variables)
        return tuple(sorted((m for m in every if sum(m) <= self.order), key=lambda m: (sum(m), m)))

    @property
    def size(self) -> int:
        return len(self.monomials)

    @cached_property
    def index(self) -> dict[tuple[int, ...], int]:
        return {m: k for k, m in enumerate(self.monomials)}

    @cached_property
    def degrees(self) -> tuple[int, ...]:
        return tuple(sum(m) for m in self.monomials)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Position of the first monomial of degree d, for d = 0..order + 1 (the last: one past the end)."""
        return tuple(sum(e < d for e in self.degrees) for d in range(self.order + 2))

    @cached_property
    def targets(self) -> tuple[Ints, ...]:
        """targets[a][b]: position of monomial a times monomial b, for every b with deg a + deg b <= order: a prefix."""
        found = []
        for a in self.monomials:
            n = self.starts[self.order - sum(a) + 1]
            sums = (tuple(i + j for i, j in zip(a, b, strict=True)) for b in self.monomials[:n])
            found.append(np.array([self.index[m] for m in sums], dtype=np.int64))
        return tuple(found)

    @cached_property
    def lists(self) -> tuple[tuple[int, ...], ...]:
        """``targets`` as plain integers."""
        return tuple(tuple(t.tolist()) for t in self.targets)

    @cached_property
    def even(self) -> tuple[bool, ...]:
        """The monomial takes values in [0, 1], not [-1, 1]: every exponent is even, and it is not 1."""
        return tuple(any(m) and all(e % 2 == 0 for e in m) for m in self.monomials)

    @cached_property
    def moments(self) -> tuple[tuple[tuple[int, int, Fraction], ...], tuple[tuple[int, Fraction], ...]]:
        """((a, b, mean over [-1, 1]^n of monomial a times monomial b), ...), a <= b, and ((a, mean of a), ...): those
        that are not zero."""
        pairs = (
            (a, b, _mean(tuple(i + j for i, j in zip(self.monomials[a], self.monomials[b], strict=True))))
            for a in range(self.size)
            for b in range(a, self.size)
        )
        singles = ((a, _mean(m)) for a, m in enumerate(self.monomials))
        return tuple(p for p in pairs if p[2]), tuple(s for s in singles if s[1])

    def variable(self, i: int) -> int:
        """Position of the monomial s_i."""
        return self.index[tuple(int(k == i) for k in range(self.variables))]


def _mean(exponents: tuple[int, ...]) -> Fraction:
    """Of s^exponents over [-1, 1]^n: the product of 1 / (e + 1), 0 where one is odd."""
    return Fraction(0) if any(e % 2 for e in exponents) else Fraction(1, prod(e + 1 for e in exponents))
