"""Comparisons and choices in Taylor models. What a network with such operations asks for.

A comparison x < y (or x <= y) has a model only where y - x is certainly not 0 on the whole box: there it is the slope of relu at
y - x, constantly 1 or 0, also around the box. A choice c ? a : b with such a condition is c a + (1 - c) b.
"""

from __future__ import annotations

from collections.abc import Sequence

from tlcheck.trusted.arith.arb import arb
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.discrete import Compare, Select
from tlcheck.trusted.taylor.derivatives import Derivatives, Jet, M, accumulate, negated
from tlcheck.trusted.taylor.engine import Engine


def decidable(op: Operation) -> bool:
    return isinstance(op, Select) or (isinstance(op, Compare) and op.relation in ("<", "<="))


def chosen(op: Operation, derivatives: Derivatives, engine: Engine[M], operands: Sequence[Jet[M]]) -> Jet[M]:
    """``op``: one that is decidable."""
    zero = derivatives.indices[0]
    if isinstance(op, Compare):
        x, y = (operand[zero] for operand in operands)
        return {zero: engine.hinge_slope(0.0, 1.0, engine.add(y, engine.negate(x)))}
    c, a, b = operands
    one = engine.constants([arb(1)] * engine.count(c[zero]))
    rest = negated(engine, c)
    rest[zero] = engine.add(one, rest[zero])
    result = derivatives.multiply(engine, c, a)
    for index, x in derivatives.multiply(engine, rest, b).items():
        accumulate(engine, result, index, x)
    return result
