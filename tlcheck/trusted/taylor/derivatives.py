"""Partial derivatives in Taylor models, as further channels; for either engine.

A *jet* of a function g: multi-index a -> models of D^a g / a!, for a in a set that holds every b <= a of each of its a;
an index that is missing is identically zero. With h the increment, g(x + h) = sum_a g_a h^a + ..., so that

    (f g)_a = sum_{b <= a} f_b g_{a-b},        F(g) = sum_m (F^(m)(g_0) / m!) N^m,   N = sum_{a != 0} g_a h^a

hold for the coefficients (product and chain rules, Faa di Bruno). Through a hinge, f(z) = (b z for z <= 0, c z for z >= 0):
kinked_models.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import factorial, prod
from typing import Final, TypeVar

from tlcheck.trusted.arith.arb import arb
from tlcheck.trusted.taylor.engine import Engine
from tlcheck.trusted.taylor.univariate import Univariate

M = TypeVar("M")
Index = tuple[int, ...]
Jet = dict[Index, M]

MAX_DERIVATIVE: Final = 4
"""Highest total order of a partial derivative."""


def closure(indices: Sequence[Index], n: int) -> tuple[Index, ...]:
    """Every multi-index of n entries below one of ``indices``, by total order."""
    below = {b for a in indices for b in product(*(range(e + 1) for e in a))} | {(0,) * n}
    return tuple(sorted(below, key=lambda a: (sum(a), a)))


def minus(a: Index, b: Index) -> Index | None:
    """a - b, None where it is negative."""
    c = tuple(i - j for i, j in zip(a, b, strict=True))
    return c if min(c, default=0) >= 0 else None


@dataclass(frozen=True)
class Derivatives:
    """The multi-indices that are carried, by total order; closed downwards."""

    indices: tuple[Index, ...]

    @property
    def orders(self) -> int:
        return max(sum(a) for a in self.indices)

    def multiply(self, engine: Engine[M], f: Jet[M], g: Jet[M]) -> Jet[M]:
        return self._product(engine, f, g, 0)

    def _product(self, engine: Engine[M], f: Jet[M], g: Jet[M], least: int) -> Jet[M]:
        """(f g)_a for |a| >= least."""
        result: Jet[M] = {}
        for a in self.indices:
            if sum(a) < least:
                continue
            for b, y in g.items():
                rest = minus(a, b)
                if rest is not None and rest in f:
                    accumulate(engine, result, a, engine.multiply(f[rest], y))
        return result

    def compose(self, engine: Engine[M], function: Univariate, g: Jet[M]) -> Jet[M]:
        zero = self.indices[0]
        tower = engine.compose(function, g[zero], self.orders)
        result: Jet[M] = {zero: tower[0]}
        varying = {a: x for a, x in g.items() if a != zero}
        power = varying
        for m in range(1, self.orders + 1):
            for a, x in power.items():
                accumulate(engine, result, a, engine.multiply(tower[m], x))
            if m < self.orders:
                power = self._product(engine, power, varying, m + 1)
        return result

    def hinge(self, engine: Engine[M], below: float, above: float, g: Jet[M]) -> Jet[M]:
        """Raises OutsideDomain where there are derivatives and g's value may be 0."""
        zero = self.indices[0]
        result = {zero: engine.hinge(below, above, g[zero])}
        if len(g) > 1:
            slope = engine.hinge_slope(below, above, g[zero])
            result |= {a: engine.multiply(slope, x) for a, x in g.items() if a != zero}
        return result


def negated(engine: Engine[M], g: Jet[M]) -> Jet[M]:
    return {a: engine.negate(x) for a, x in g.items()}


def accumulate(engine: Engine[M], jet: Jet[M], a: Index, x: M) -> None:
    jet[a] = engine.add(jet[a], x) if a in jet else x


def derivative(engine: Engine[M], jet: Jet[M], a: Index) -> M:
    """D^a g = a! g_a, of one function."""
    if a not in jet:
        return engine.constants([arb(0)])
    scale = prod(factorial(e) for e in a)
    return jet[a] if scale == 1 else engine.multiply(engine.constants([arb(scale)]), jet[a])
