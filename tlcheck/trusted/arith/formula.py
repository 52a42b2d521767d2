"""Exact real numbers that are no floats, by how they are computed: 1/6, scale / sqrt(variance + epsilon), sqrt(2 / pi).

A formula is an expression over stored floats and rationals, entry by entry; operands broadcast as numpy's do. It says what the
numbers are, and no more: ``balls.py`` encloses them at any precision.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.constant import Constant

Shape = tuple[int, ...]
Number = int | float | Fraction

MAX_OPERATIONS = 128
"""Longest formula that is used: beyond, a constant is its enclosure in float64."""

ARITY = {
    "plus": 2, "minus": 2, "times": 2, "over": 2, "negative": 1, "sqrt": 1, "log": 1, "abs": 1, "cos_pi": 1, "pi": 0,
}  # fmt: skip
"""The functions, and how many operands each takes."""


class Formula(ABC):
    """An array of real numbers. ``operations``: how many lie in it; what is shared counts as often as it is used."""

    @property
    @abstractmethod
    def shape(self) -> Shape: ...

    @property
    def operations(self) -> int:
        return 0

    def moved(self, how: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Formula:
        """The entries that ``how`` picks of an array of this shape."""
        return gathered((self,), how(np.arange(prod(self.shape), dtype=np.int64).reshape(self.shape)))

    def __add__(self, other: Formula | Number) -> Formula:
        return Applied("plus", (self, _formula(other)))

    def __radd__(self, other: Number) -> Formula:
        return _formula(other) + self

    def __sub__(self, other: Formula | Number) -> Formula:
        return Applied("minus", (self, _formula(other)))

    def __rsub__(self, other: Number) -> Formula:
        return _formula(other) - self

    def __mul__(self, other: Formula | Number) -> Formula:
        return Applied("times", (self, _formula(other)))

    def __rmul__(self, other: Number) -> Formula:
        return _formula(other) * self

    def __truediv__(self, other: Formula | Number) -> Formula:
        return Applied("over", (self, _formula(other)))

    def __rtruediv__(self, other: Number) -> Formula:
        return _formula(other) / self

    def __neg__(self) -> Formula:
        if isinstance(self, Applied) and self.name == "negative":
            return self.parts[0]
        return Applied("negative", (self,))

    def __abs__(self) -> Formula:
        return Applied("abs", (self,))

    def sqrt(self) -> Formula:
        return Applied("sqrt", (self,))

    def log(self) -> Formula:
        return Applied("log", (self,))

    def cos_pi(self) -> Formula:
        """cos(pi x)"""
        return Applied("cos_pi", (self,))


def gathered(parts: Sequence[Formula], index: NDArray[np.int64]) -> Formula:
    """``Moved``; what has been moved before is moved once, and each part is there once."""
    starts: dict[int, int] = {}
    sources: list[Formula] = []
    places = []
    total = 0
    for part in parts:
        for source in part.parts if isinstance(part, Moved) else (part,):
            if id(source) not in starts:
                starts[id(source)] = total
                sources.append(source)
                total += prod(source.shape)
        places.append(_places(part, starts))
    index = np.asarray(index, np.int64)
    return Moved(tuple(sources), np.where(index >= 0, np.concatenate([*places, [-1]])[index], -1))


def _places(part: Formula, starts: dict[int, int]) -> NDArray[np.int64]:
    """Where each entry of the part lies among the sources; -1 where it is 0."""
    sources = part.parts if isinstance(part, Moved) else (part,)
    found = np.concatenate([starts[id(s)] + np.arange(prod(s.shape), dtype=np.int64) for s in sources])
    return np.where(part.index >= 0, found[part.index], -1).reshape(-1) if isinstance(part, Moved) else found


def pi() -> Formula:
    return Applied("pi", ())


def rational(top: Number, bottom: int = 1) -> Formula:
    """One number, exactly: a float is its dyadic rational."""
    return Rationals((), (Fraction(top) / bottom,))


def _formula(x: Formula | Number) -> Formula:
    return x if isinstance(x, Formula) else rational(x)


@dataclass(frozen=True, eq=False)
class Stored(Formula):
    """Finite floats ``mid``; with ``rad``, numbers of which only [mid - rad, mid + rad] is known."""

    mid: NDArray[np.floating]
    rad: NDArray[np.float64] | None = None

    @property
    def shape(self) -> Shape:
        return self.mid.shape


def formula_of(c: Constant) -> Formula:
    """The constant's numbers: by its formula, unless that has become too long, or as stored."""
    if c.formula is None or c.formula.operations > MAX_OPERATIONS:
        return Stored(c.mid, c.rad)
    return c.formula


@dataclass(frozen=True, eq=False)
class Rationals(Formula):
    """``values``: flat, row-major."""

    size: Shape
    values: tuple[Fraction, ...]

    def __post_init__(self) -> None:
        if len(self.values) != prod(self.size):
            raise ValueError(f"{len(self.values)} rationals for shape {self.size}")

    @property
    def shape(self) -> Shape:
        return self.size


@dataclass(frozen=True, eq=False)
class Moved(Formula):
    """Entries of the parts, laid one after the other (flat): those at ``index``, or 0 where it is -1."""

    parts: tuple[Formula, ...]
    index: NDArray[np.int64]

    def __post_init__(self) -> None:
        total = sum(prod(part.shape) for part in self.parts)
        if self.index.size and not (int(self.index.min()) >= -1 and int(self.index.max()) < total):
            raise ValueError("an entry that is not there")

    @property
    def shape(self) -> Shape:
        return self.index.shape

    @cached_property
    def _operations(self) -> int:
        return 1 + sum(part.operations for part in self.parts)

    @property
    def operations(self) -> int:
        return self._operations


@dataclass(frozen=True, eq=False)
class Applied(Formula):
    """The function ``name`` (ARITY) of the parts, which broadcast."""

    name: str
    parts: tuple[Formula, ...]

    def __post_init__(self) -> None:
        if ARITY.get(self.name) != len(self.parts):
            raise ValueError(f"no function {self.name} of {len(self.parts)} operands")

    @cached_property
    def _shape(self) -> Shape:
        return np.broadcast_shapes(*(part.shape for part in self.parts))

    @property
    def shape(self) -> Shape:
        return self._shape

    @cached_property
    def _operations(self) -> int:
        return 1 + sum(part.operations for part in self.parts)

    @property
    def operations(self) -> int:
        return self._operations
