"""Functions of one variable, products and powers in Taylor models. What a network with such operations asks for."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.taylor.derivatives import Derivatives, Jet, M
from tlcheck.trusted.taylor.engine import Engine, Unsupported
from tlcheck.trusted.taylor.univariate import Univariate

if TYPE_CHECKING:
    from tlcheck.trusted.ops.smooth import Power


def function_of(op: Operation) -> Univariate | None:
    """Of an operation that is one of them; its module here is that of its module there."""
    if type(op).__module__ == "tlcheck.trusted.ops.s_shaped":
        from tlcheck.trusted.taylor.s_shaped import OPERATIONS
    else:
        from tlcheck.trusted.taylor.functions import OPERATIONS
    return OPERATIONS.get(type(op).__name__)


def known(op: Operation) -> bool:
    return type(op).__name__ in ("Power", "Product") or function_of(op) is not None


def smooth(op: Operation, derivatives: Derivatives, engine: Engine[M], operands: Sequence[Jet[M]]) -> Jet[M]:
    """``op``: one that is known."""
    if type(op).__name__ == "Product":
        return derivatives.multiply(engine, operands[0], operands[1])
    if type(op).__name__ == "Power":
        return _power(cast("Power", op), derivatives, engine, operands[0])
    function = function_of(op)
    if function is None:
        raise Unsupported(type(op).__name__)
    return derivatives.compose(engine, function, operands[0])


def _power(op: Power, derivatives: Derivatives, engine: Engine[M], x: Jet[M]) -> Jet[M]:
    if not op.whole:
        from tlcheck.trusted.taylor.functions import Root

        return derivatives.compose(engine, Root(Fraction(op.exponent)), x)
    result = x
    for _ in range(int(op.exponent) - 1):
        result = derivatives.multiply(engine, result, x)
    return result
