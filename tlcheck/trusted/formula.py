"""Exact real numbers that are no floats, by how they are computed: 1/6, scale / sqrt(variance + epsilon), sqrt(2 / pi).

Guarantee: ``Formula.balls`` encloses each number at the working precision, whatever that is; the radii are rounding errors
only, but for stored enclosures. A number that does not exist (division by 0) is a ball that is not finite.

A formula is an expression over stored floats and rationals, entry by entry; operands broadcast as numpy's do. Parts that occur
several times are computed once.
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

from tlcheck.trusted.arith.arb import Arb, arb, ball

Shape = tuple[int, ...]
Number = int | float | Fraction

FUNCTIONS: dict[str, Callable[..., Arb]] = {
    "plus": lambda a, b: a + b,
    "minus": lambda a, b: a - b,
    "times": lambda a, b: a * b,
    "over": lambda a, b: a / b,
    "sqrt": lambda a: a.sqrt(),
    "log": lambda a: a.log(),
    "abs": abs,
    "pi": arb.pi,
}


class Formula(ABC):
    """An array of real numbers. ``operations``: how many lie in it; what is shared counts as often as it is used."""

    @property
    @abstractmethod
    def shape(self) -> Shape: ...

    @property
    def operations(self) -> int:
        return 0

    @abstractmethod
    def _computed(self, balls: Callable[[Formula], list[Arb]]) -> list[Arb]:
        """The balls, from the parts' (``balls``)."""

    def balls(self) -> list[Arb]:
        """Every number enclosed at the working precision; flat, row-major."""
        known: dict[int, list[Arb]] = {}

        def of(part: Formula) -> list[Arb]:
            if id(part) not in known:
                known[id(part)] = part._computed(of)
            return known[id(part)]

        return of(self)

    def moved(self, how: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Formula:
        """The entries that ``how`` picks of an array of this shape."""
        index = how(np.arange(prod(self.shape), dtype=np.int64).reshape(self.shape))
        return Moved((self,), np.asarray(index))

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
        return 0 - self

    def __abs__(self) -> Formula:
        return Applied("abs", (self,))

    def sqrt(self) -> Formula:
        return Applied("sqrt", (self,))

    def log(self) -> Formula:
        return Applied("log", (self,))


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

    def _computed(self, balls: Callable[[Formula], list[Arb]]) -> list[Arb]:
        mid = self.mid.astype(np.float64).reshape(-1).tolist()
        if self.rad is None:
            return [arb(m) for m in mid]
        return [arb(m, r) for m, r in zip(mid, self.rad.reshape(-1).tolist(), strict=True)]


@dataclass(frozen=True, eq=False)
class Rationals(Formula):
    """``values``: flat, row-major."""

    size: Shape
    values: Sequence[Fraction]

    def __post_init__(self) -> None:
        if len(self.values) != prod(self.size):
            raise ValueError(f"{len(self.values)} rationals for shape {self.size}")

    @property
    def shape(self) -> Shape:
        return self.size

    def _computed(self, balls: Callable[[Formula], list[Arb]]) -> list[Arb]:
        return [ball(q) for q in self.values]


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

    def _computed(self, balls: Callable[[Formula], list[Arb]]) -> list[Arb]:
        flat = [value for part in self.parts for value in balls(part)]
        zero = arb(0)
        return [flat[i] if i >= 0 else zero for i in self.index.reshape(-1).tolist()]


@dataclass(frozen=True, eq=False)
class Applied(Formula):
    """FUNCTIONS[name] of the parts, which broadcast."""

    name: str
    parts: tuple[Formula, ...]

    def __post_init__(self) -> None:
        if self.name not in FUNCTIONS:
            raise ValueError(f"no function {self.name}")

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

    def _computed(self, balls: Callable[[Formula], list[Arb]]) -> list[Arb]:
        f = FUNCTIONS[self.name]
        if not self.parts:
            return [f()]
        columns = [spread(balls(part), part.shape, self.shape) for part in self.parts]
        return [f(*entries) for entries in zip(*columns, strict=True)]


def spread(values: list[Arb], shape: Shape, target: Shape) -> list[Arb]:
    """Flat ``values`` of ``shape``, broadcast to ``target``."""
    if shape == target:
        return values
    places = np.broadcast_to(np.arange(len(values)).reshape(shape), target)
    return [values[i] for i in places.reshape(-1).tolist()]
