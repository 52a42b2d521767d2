"""What a Taylor-model engine offers. Two: ``models_arb``, one box at a time; ``models64``, float64, many at a time.

A *model* of a function g on a box is a polynomial p in s in [-1, 1]^n and a remainder rho >= 0 with
    |g(c + h s) - p(s)| <= rho   for every s,
c and h the box's centre and half widths. A value of type M holds models of several functions on the same box (or boxes).
Every operation keeps this: models of the operands give a model of the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb
from tlcheck.trusted.arith.formula import Formula, Moved, Stored, formula_of
from tlcheck.trusted.arith.maps import DiagMap, IndexMap, Map, MatMap, SignMap
from tlcheck.trusted.taylor.space import Space
from tlcheck.trusted.taylor.univariate import Univariate

M = TypeVar("M")
Floats = NDArray[np.float64]

MAX_ENTRIES = 1 << 22
"""Most entries of all matrices of a network together."""


class Unsupported(ValueError):
    """No rule for an operation of the network, or the expression, in Taylor models."""


class OutsideDomain(ArithmeticError):
    """A function may be undefined at some point of the box: there is no model."""


@dataclass(frozen=True, eq=False)
class Dense:
    """x -> W x: every W with |W - mid| <= rad, (n_out, n_in); rad None: exactly mid. ``formula``: as a ``Constant``'s."""

    mid: Floats
    rad: Floats | None = None
    formula: Formula | None = None

    @property
    def exactly(self) -> Formula:
        """The entries: by their formula, or as stored."""
        return Stored(self.mid, self.rad) if self.formula is None else self.formula


class Engine(ABC, Generic[M]):
    """Operations on models over one box, or one batch of boxes."""

    space: Space

    @abstractmethod
    def constants(self, values: Sequence[Arb]) -> M:
        """Constant functions, one for each ball."""

    @abstractmethod
    def coordinate(self, i: int) -> M:
        """The i-th coordinate."""

    @abstractmethod
    def stack(self, parts: Sequence[M]) -> M: ...

    @abstractmethod
    def pick(self, x: M, k: int) -> M:
        """The k-th function of x, alone."""

    @abstractmethod
    def count(self, x: M) -> int:
        """How many functions."""

    @abstractmethod
    def affine(self, weight: Dense, x: M) -> M: ...

    @abstractmethod
    def add(self, x: M, y: M) -> M: ...

    @abstractmethod
    def negate(self, x: M) -> M: ...

    @abstractmethod
    def multiply(self, x: M, y: M) -> M: ...

    @abstractmethod
    def compose(self, f: Univariate, x: M, orders: int) -> list[M]:
        """[f(x), f'(x), ..., f^(orders)(x) / orders!]. Raises OutsideDomain."""

    @abstractmethod
    def hinge(self, below: float, above: float, x: M) -> M:
        """The function that is below * z for z <= 0 and above * z for z >= 0, of x (both numbers exact)."""

    @abstractmethod
    def hinge_slope(self, below: float, above: float, x: M) -> M:
        """Its derivative at x: where x may be 0 on the box there is none, unless the numbers are equal. May raise
        OutsideDomain."""


def dense(m: Map) -> Dense:
    """The map as a matrix. Raises Unsupported: a convolution."""
    match m:
        case MatMap():
            eye = np.eye(m.positions)
            mid: Floats = np.kron(eye, m.weight.mid.astype(np.float64).T).astype(np.float64)
            rad = m.weight.rad
            if rad is None:
                return Dense(mid)
            numbered = np.arange(1, rad.size + 1).reshape(rad.shape)
            places = np.kron(eye.astype(np.int64), numbered.T) - 1
            return Dense(mid, np.kron(eye, rad.T).astype(np.float64), Moved((formula_of(m.weight),), places))
        case DiagMap():
            flat = m.flat
            if flat.rad is None:
                return Dense(np.diag(flat.mid))
            places = np.diag(np.arange(1, flat.size + 1)) - 1
            return Dense(np.diag(flat.mid), np.diag(flat.rad), Moved((formula_of(flat),), places))
        case SignMap():
            return Dense(m.sign * np.eye(m.size))
        case IndexMap():
            gather = np.zeros((m.index.size, m.size))
            used = np.flatnonzero(m.index >= 0)
            gather[used, m.index[used]] = 1
            return Dense(np.ascontiguousarray(gather.T) if m.transposed else gather)
        case _:
            raise Unsupported("a convolution")
