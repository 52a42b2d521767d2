"""Functions of one variable, products and powers in Taylor models. What a network with such operations asks for."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.taylor.derivatives import Derivatives, Jet, M
from tlcheck.trusted.taylor.engine import Engine
from tlcheck.trusted.taylor.functions import OPERATIONS, Root

if TYPE_CHECKING:
    from tlcheck.trusted.ops.smooth import Power


def known(op: Operation) -> bool:
    """By the names of their classes: no module of an operation is loaded that a network has not."""
    name = type(op).__name__
    return name in OPERATIONS or name in ("Power", "Product")


def smooth(op: Operation, derivatives: Derivatives, engine: Engine[M], operands: Sequence[Jet[M]]) -> Jet[M]:
    """``op``: one that is known."""
    match type(op).__name__:
        case "Product":
            return derivatives.multiply(engine, operands[0], operands[1])
        case "Power":
            return _power(cast("Power", op), derivatives, engine, operands[0])
        case name:
            return derivatives.compose(engine, OPERATIONS[name], operands[0])


def _power(op: Power, derivatives: Derivatives, engine: Engine[M], x: Jet[M]) -> Jet[M]:
    if not op.whole:
        return derivatives.compose(engine, Root(Fraction(op.exponent)), x)
    result = x
    for _ in range(int(op.exponent) - 1):
        result = derivatives.multiply(engine, result, x)
    return result
