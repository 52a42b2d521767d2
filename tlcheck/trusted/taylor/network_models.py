"""Networks and expressions in Taylor models, with partial derivatives as further channels; for either engine.

A *jet* of a function g: multi-index a -> models of D^a g / a!, for a in a set that holds every b <= a of each of its a;
an index that is missing is identically zero. With h the increment, g(x + h) = sum_a g_a h^a + ..., so that

    (f g)_a = sum_{b <= a} f_b g_{a-b},        F(g) = sum_m (F^(m)(g_0) / m!) N^m,   N = sum_{a != 0} g_a h^a

hold for the coefficients (product and chain rules, Faa di Bruno). Networks are linear but for elementwise functions,
products, and functions with kinks. What has no rule raises Unsupported.

Kinks. All are made of hinges f(z) = (b z for z <= 0, c z for z >= 0): max(x, a) = a + relu(x - a), min(x, a) =
a - relu(a - x), max(x, y) = x + relu(y - x). Values have a model on every box. A derivative has one only where z is
certainly not 0 on the whole box: then f is linear around each of its values, F' = b or c and the higher ones are 0;
otherwise OutsideDomain names the node. So a model of D^a g, |a| >= 1, says that D^a g exists at every point of the box,
as the derivative of a function that is defined around the point. (It may exist where this refuses: kinks can cancel.)

Choices. A comparison x < y (or x <= y) has a model only where y - x is certainly not 0 on the whole box: there it is the
slope of relu at y - x, constantly 1 or 0, also around the box. A choice c ? a : b with such a condition is c a + (1 - c) b.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product
from math import factorial, prod
from typing import Final, TypeVar

import numpy as np

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.arith.balls import constant_balls
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.calculus import expression as ex
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.discrete import Compare, Select
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.product import Product as ProductOperation
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.smooth import Cos, Erf, Exp, Log, Power, Reciprocal, Sin, Softplus, Sqrt
from tlcheck.trusted.ops.structure import Fixed, Input
from tlcheck.trusted.taylor import functions
from tlcheck.trusted.taylor.engine import (
    MAX_ENTRIES,
    Dense,
    Engine,
    OutsideDomain,
    Unsupported,
    dense,
)
from tlcheck.trusted.taylor.functions import Univariate

M = TypeVar("M")
Index = tuple[int, ...]
Jet = dict[Index, M]

MAX_DERIVATIVE: Final = 4
"""Highest total order of a partial derivative."""

ELEMENTWISE: Final[dict[type[Elementwise], Univariate]] = {
    Tanh: functions.Tanh(),
    Sigmoid: functions.Sigmoid(),
    Softplus: functions.Softplus(),
    Sin: functions.Sin(),
    Cos: functions.Sin(1),
    Exp: functions.Exp(),
    Log: functions.Log(),
    Sqrt: functions.Root(Fraction(1, 2)),
    Reciprocal: functions.Root(Fraction(-1)),
    Erf: functions.Erf(),
}

KINKED: Final = Relu | LeakyRelu | Abs | Clip | MaxOver

APPLIED: Final[dict[str, Univariate]] = {
    "tanh": functions.Tanh(),
    "sin": functions.Sin(),
    "cos": functions.Sin(1),
    "exp": functions.Exp(),
    "log": functions.Log(),
    "sqrt": functions.Root(Fraction(1, 2)),
}
"""Functions of expressions; abs is a hinge."""


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


@dataclass(frozen=True, eq=False)
class TaylorNetwork:
    """A graph whose operations all have rules (smooth but for KINKED); the matrices of its affine operations. Raises
    Unsupported when built."""

    graph: Graph

    def __post_init__(self) -> None:
        for i in sorted(self._network.needed):
            node = self.graph.nodes[i]
            if i not in self.affine and self._function(i) is None:
                known = isinstance(node.op, ProductOperation | Input | Fixed | KINKED | Select) or (
                    isinstance(node.op, Compare) and node.op.relation in ("<", "<=")
                )
                if not (known or self._whole_power(i)):
                    raise Unsupported(f"{type(node.op).__name__} at node '{node.label or i}'")

    @cached_property
    def _network(self) -> Network:
        return Network(self.graph)

    @cached_property
    def affine(self) -> dict[int, tuple[tuple[Dense, ...], tuple[Arb, ...] | None]]:
        """node -> (a matrix for each operand, the offset's balls)."""
        found = {}
        entries = 0
        for i in sorted(self._network.needed):
            form = self._network.affine[i]
            if form is None:
                continue
            entries += sum(m.n_in * m.n_out for m in form.maps)
            if entries > MAX_ENTRIES:
                raise Unsupported(f"affine operations of more than {MAX_ENTRIES} entries, written out")
            try:
                matrices = tuple(dense(m) for m in form.maps)
            except Unsupported as problem:
                raise Unsupported(f"{problem} at node '{self.graph.nodes[i].label or i}'") from None
            offset = None
            if form.offset is not None:
                offset = tuple(constant_balls(form.offset))
            found[i] = (matrices, offset)
        return found

    def _function(self, i: int) -> Univariate | None:
        op = self.graph.nodes[i].op
        if isinstance(op, Power) and not op.whole:
            return functions.Root(Fraction(op.exponent))
        return ELEMENTWISE.get(type(op)) if isinstance(op, Elementwise) else None

    def _whole_power(self, i: int) -> bool:
        op = self.graph.nodes[i].op
        return isinstance(op, Power) and op.whole

    def outputs(self, engine: Engine[M], derivatives: Derivatives, coordinates: Sequence[M]) -> list[Jet[M]]:
        """The jet of each flat output at ``coordinates``, one model for each flat input: derivatives by these."""
        values: dict[int, Jet[M]] = {}
        position = 0
        for i, node in enumerate(self.graph.nodes):
            if i not in self._network.needed:
                continue
            if isinstance(node.op, Input):
                values[i] = _inputs(engine, derivatives, range(position, position + node.size), coordinates)
                position += node.size
            else:
                values[i] = self._value(engine, derivatives, i, [values[j] for j in node.inputs])
        return [
            {a: engine.pick(x, k) for a, x in values[i].items()}
            for i in self.graph.outputs
            for k in range(self.graph.nodes[i].size)
        ]

    def _value(
        self, engine: Engine[M], derivatives: Derivatives, i: int, operands: Sequence[Jet[M]]
    ) -> Jet[M]:
        op = self.graph.nodes[i].op
        zero = derivatives.indices[0]
        if i in self.affine:
            matrices, offset = self.affine[i]
            result: Jet[M] = {}
            for matrix, operand in zip(matrices, operands, strict=True):
                for a, x in operand.items():
                    _accumulate(engine, result, a, engine.affine(matrix, x))
            if offset is not None:
                _accumulate(engine, result, zero, engine.constants(offset))
            return result
        if isinstance(op, Fixed):
            return {zero: engine.constants(constant_balls(op.value))}
        if isinstance(op, ProductOperation):
            return derivatives.multiply(engine, operands[0], operands[1])
        if isinstance(op, Power) and op.whole:
            result = operands[0]
            for _ in range(int(op.exponent) - 1):
                result = derivatives.multiply(engine, result, operands[0])
            return result
        if isinstance(op, KINKED | Compare | Select):
            try:
                if isinstance(op, Compare | Select):
                    return derivatives.chosen(engine, op, operands)
                return derivatives.kinked(engine, op, operands[0])
            except OutsideDomain as problem:
                name = self.graph.nodes[i].label or i
                raise OutsideDomain(f"{type(op).__name__} at node '{name}': {problem}") from None
        function = self._function(i)
        if function is None:
            raise Unsupported(type(op).__name__)
        return derivatives.compose(engine, function, operands[0])


def _inputs(engine: Engine[M], derivatives: Derivatives, which: range, coordinates: Sequence[M]) -> Jet[M]:
    jet: Jet[M] = {derivatives.indices[0]: engine.stack([coordinates[i] for i in which])}
    for axis in range(len(coordinates)):
        unit = tuple(int(k == axis) for k in range(len(coordinates)))
        if unit in derivatives.indices and axis in which:
            jet[unit] = engine.constants([arb(int(i == axis)) for i in which])
    return jet


def derivative(engine: Engine[M], jet: Jet[M], a: Index) -> M:
    """D^a g = a! g_a, of one function."""
    if a not in jet:
        return engine.constants([arb(0)])
    scale = prod(factorial(e) for e in a)
    return jet[a] if scale == 1 else engine.multiply(engine.constants([arb(scale)]), jet[a])


def evaluate(e: ex.Expression, at: Mapping[str, M], engine: Engine[M]) -> M:
    """Models of the expression; ``at`` has every variable of it. Raises OutsideDomain."""
    match e:
        case ex.Number(value):
            return engine.constants([ball(value)])
        case ex.Pi():
            return engine.constants([Arb.pi()])
        case ex.Variable(name):
            return at[name]
        case ex.Sum(terms, minus_):
            total = None
            for term, less in zip(terms, minus_, strict=True):
                x = evaluate(term, at, engine)
                x = engine.negate(x) if less else x
                total = x if total is None else engine.add(total, x)
            return _some(total)
        case ex.Product(factors, under):
            result = None
            for factor, below in zip(factors, under, strict=True):
                x = evaluate(factor, at, engine)
                x = engine.compose(functions.Root(Fraction(-1)), x, 0)[0] if below else x
                result = x if result is None else engine.multiply(result, x)
            return _some(result)
        case ex.Power(base, exponent):
            return _power(evaluate(base, at, engine), exponent, engine)
        case ex.Apply("abs", argument):
            return engine.hinge(-1.0, 1.0, evaluate(argument, at, engine))
        case ex.Apply(function, argument):
            return engine.compose(APPLIED[function], evaluate(argument, at, engine), 0)[0]


def _some(x: M | None) -> M:
    if x is None:
        raise Unsupported("an expression without terms")
    return x


def _power(x: M, exponent: Fraction, engine: Engine[M]) -> M:
    if exponent.denominator != 1:
        return engine.compose(functions.Root(exponent), x, 0)[0]
    n = abs(int(exponent))
    if n == 0:
        return engine.constants([arb(1)])
    result = x
    for _ in range(n - 1):
        result = engine.multiply(result, x)
    return result if exponent > 0 else engine.compose(functions.Root(Fraction(-1)), result, 0)[0]
