"""Partial derivatives in Taylor models, as further channels; for either engine.

A *jet* of a function g: multi-index a -> models of D^a g / a!, for a in a set that holds every b <= a of each of its a;
an index that is missing is identically zero. With h the increment, g(x + h) = sum_a g_a h^a + ..., so that

    (f g)_a = sum_{b <= a} f_b g_{a-b},        F(g) = sum_m (F^(m)(g_0) / m!) N^m,   N = sum_{a != 0} g_a h^a

hold for the coefficients (product and chain rules, Faa di Bruno)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import factorial, prod
from typing import Final, TypeVar

import numpy as np

from tlcheck.trusted.arith.arb import arb
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.activation import Abs, Clip, LeakyRelu, MaxOver
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.discrete import Compare, Select
from tlcheck.trusted.taylor.engine import Engine
from tlcheck.trusted.taylor.functions import Univariate

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
                    _accumulate(engine, result, a, engine.multiply(f[rest], y))
        return result

    def compose(self, engine: Engine[M], function: Univariate, g: Jet[M]) -> Jet[M]:
        zero = self.indices[0]
        tower = engine.compose(function, g[zero], self.orders)
        result: Jet[M] = {zero: tower[0]}
        varying = {a: x for a, x in g.items() if a != zero}
        power = varying
        for m in range(1, self.orders + 1):
            for a, x in power.items():
                _accumulate(engine, result, a, engine.multiply(tower[m], x))
            if m < self.orders:
                power = self._product(engine, power, varying, m + 1)
        return result

    def hinge(self, engine: Engine[M], below: float, above: float, g: Jet[M]) -> Jet[M]:
        zero = self.indices[0]
        result = {zero: engine.hinge(below, above, g[zero])}
        if len(g) > 1:
            slope = engine.hinge_slope(below, above, g[zero])
            result |= {a: engine.multiply(slope, x) for a, x in g.items() if a != zero}
        return result

    def kinked(self, engine: Engine[M], op: Operation, g: Jet[M]) -> Jet[M]:
        """``op``: one of KINKED."""
        match op:
            case LeakyRelu():
                return self.hinge(engine, op.alpha, 1.0, g)
            case Abs():
                return self.hinge(engine, -1.0, 1.0, g)
            case Clip():
                if op.lower is not None:
                    g = self._not_below(engine, op.lower, g)
                if op.upper is not None:
                    above = Constant(-op.upper.mid)
                    g = _negated(engine, self._not_below(engine, above, _negated(engine, g)))
                return g
            case MaxOver():
                rows = [self._greatest(engine, row, g) for row in op.index.tolist()]
                return {a: engine.stack([row[a] for row in rows]) for a in g}
            case _:
                return self.hinge(engine, 0.0, 1.0, g)

    def chosen(self, engine: Engine[M], op: Compare | Select, operands: Sequence[Jet[M]]) -> Jet[M]:
        """A comparison that the box decides, and a choice by one."""
        zero = self.indices[0]
        if isinstance(op, Compare):
            x, y = (operand[zero] for operand in operands)
            return {zero: engine.hinge_slope(0.0, 1.0, engine.add(y, engine.negate(x)))}
        c, a, b = operands
        one = engine.constants([arb(1)] * engine.count(c[zero]))
        rest = _negated(engine, c)
        rest[zero] = engine.add(one, rest[zero])
        result = self.multiply(engine, c, a)
        for index, x in self.multiply(engine, rest, b).items():
            _accumulate(engine, result, index, x)
        return result

    def _not_below(self, engine: Engine[M], bound: Constant, g: Jet[M]) -> Jet[M]:
        """max(g, bound) = bound + relu(g - bound)."""
        zero = self.indices[0]
        numbers = bound.mid.astype(np.float64).reshape(-1).tolist()
        least = engine.constants([arb(v) for v in numbers * (engine.count(g[zero]) // len(numbers))])
        over = self.hinge(engine, 0.0, 1.0, {**g, zero: engine.add(g[zero], engine.negate(least))})
        return {**over, zero: engine.add(over[zero], least)}

    def _greatest(self, engine: Engine[M], row: Sequence[int], g: Jet[M]) -> Jet[M]:
        """max(x, y) = x + relu(y - x), over the entries of the row; -1 is none."""
        first, *others = ({a: engine.pick(x, j) for a, x in g.items()} for j in dict.fromkeys(row) if j >= 0)
        for y in others:
            less = _negated(engine, first)
            over = self.hinge(engine, 0.0, 1.0, {a: engine.add(y[a], less[a]) for a in y})
            first = {a: engine.add(first[a], over[a]) for a in y}
        return first


def _negated(engine: Engine[M], g: Jet[M]) -> Jet[M]:
    return {a: engine.negate(x) for a, x in g.items()}


def _accumulate(engine: Engine[M], jet: Jet[M], a: Index, x: M) -> None:
    jet[a] = engine.add(jet[a], x) if a in jet else x


def derivative(engine: Engine[M], jet: Jet[M], a: Index) -> M:
    """D^a g = a! g_a, of one function."""
    if a not in jet:
        return engine.constants([arb(0)])
    scale = prod(factorial(e) for e in a)
    return jet[a] if scale == 1 else engine.multiply(engine.constants([arb(scale)]), jet[a])
