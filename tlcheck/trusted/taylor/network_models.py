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

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb
from tlcheck.trusted.arith.balls import constant_balls
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Abs, Clip, LeakyRelu, MaxOver, Relu
from tlcheck.trusted.ops.discrete import Compare, Select
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.product import Product as ProductOperation
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.smooth import Cos, Erf, Exp, Log, Power, Reciprocal, Sin, Softplus, Sqrt
from tlcheck.trusted.ops.structure import Fixed, Input
from tlcheck.trusted.taylor import functions
from tlcheck.trusted.taylor.derivatives import Derivatives, Jet, M, _accumulate
from tlcheck.trusted.taylor.engine import (
    MAX_ENTRIES,
    Dense,
    Engine,
    OutsideDomain,
    Unsupported,
    dense,
)
from tlcheck.trusted.taylor.functions import Univariate

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
