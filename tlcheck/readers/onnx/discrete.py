"""Roundings, comparisons, logic, choices and remainders: of constants exactly, of data as operations. Booleans are 0 and 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from tlcheck.readers.onnx import exact
from tlcheck.readers.onnx.arithmetic import MINUS_ONE, ONE, fold_integers, negative, scale
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.extremes import max_of
from tlcheck.readers.onnx.operands import Data, Known, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.affine import Sum
from tlcheck.trusted.ops.discrete import Compare, Floor, Round, Select, Sign, Truncate
from tlcheck.trusted.ops.product import Product

ZERO = Constant(np.array(0.0))

OnConstants = Callable[..., Any]

STEPS: Final[dict[str, tuple[OnConstants, Callable[[Call, Data], Data]]]] = {
    "Ceil": (np.ceil, lambda call, x: negative(call, call.emit(Floor(), negative(call, x)))),
    "Floor": (np.floor, lambda call, x: call.emit(Floor(), x)),
    "Round": (np.rint, lambda call, x: call.emit(Round(), x)),
    "Sign": (np.sign, lambda call, x: call.emit(Sign(), x)),
}
"""Functions that numpy computes exactly, of a constant, and their operations on data."""


def stepped(call: Call) -> list[Value]:
    on_constant, on_data = STEPS[call.op]
    x = call.value(0)
    if isinstance(x, Data):
        return [on_data(call, x)]
    call.refuse(not x.is_exact or x.dtype == "bool", "computed constant")
    return [Known(np.asarray(on_constant(x.array)).astype(x.array.dtype), x.dtype)]


RELATIONS: Final[dict[str, tuple[OnConstants, str, bool]]] = {
    "Equal": (np.equal, "==", False),
    "Greater": (np.greater, "<", True),
    "GreaterOrEqual": (np.greater_equal, "<=", True),
    "Less": (np.less, "<", False),
    "LessOrEqual": (np.less_equal, "<=", False),
}
"""Of constants; of data as ``a relation b``, or with the operands swapped."""


def comparison(call: Call) -> list[Value]:
    function, relation, swapped = RELATIONS[call.op]
    a, b = call.value(0), call.value(1)
    call.same_type(a, b)
    shape = call.common_shape(a, b)
    if isinstance(a, Known) and isinstance(b, Known):
        call.require_exact("comparison of computed constants", a, b)
        return [Known(np.asarray(function(a.array, b.array), dtype=bool), "bool")]
    operands = (call.numbers(call.broadcast(x, shape)) for x in ((b, a) if swapped else (a, b)))
    return [call.emit(Compare(relation), *operands).as_type("bool")]


def _not(call: Call, x: Data) -> Data:
    return scale(call, x, MINUS_ONE, ONE, 0)


LOGIC: Final[dict[str, tuple[OnConstants, Callable[..., Data]]]] = {
    "And": (np.logical_and, lambda call, a, b: call.emit(Product(), a, b)),
    "Not": (np.logical_not, _not),
    "Or": (np.logical_or, lambda call, a, b: max_of(call, [a, b], 1)),
    "Xor": (np.logical_xor, lambda call, a, b: _not(call, call.emit(Compare("=="), a, b))),
}
"""Of constants; of data that is 0 or 1."""


def logic(call: Call) -> list[Value]:
    on_constants, on_data = LOGIC[call.op]
    values = call.values()
    call.refuse(any(x.dtype != "bool" for x in values), "operand that is not bool")
    shape, known = call.common_shape(*values), [x.array for x in values if isinstance(x, Known)]
    if len(known) == len(values):
        return [Known(np.asarray(on_constants(*known), dtype=bool), "bool")]
    operands = (call.numbers(call.broadcast(x, shape)).as_type("bool") for x in values)
    return [on_data(call, *operands).as_type("bool")]


def where(call: Call) -> list[Value]:
    condition, x, y = call.value(0), call.value(1), call.value(2)
    call.refuse(condition.dtype != "bool", f"condition of type {condition.dtype}")
    dtype = call.same_type(x, y)
    shape = call.common_shape(condition, x, y)
    if isinstance(condition, Known):
        chosen = condition.array
        return [call.moves([x, y], lambda arrays: np.where(chosen, arrays[0], arrays[1]))]
    a, b = (call.numbers(call.broadcast(v, shape)) for v in (x, y))
    if a.hidden is not None or b.hidden is not None:
        raise call.nonfinite("a choice that the network makes between numbers and minus infinity")
    return [call.emit(Select(), call.data(call.broadcast(condition, shape)), a, b).as_type(dtype)]


def is_not_a_number(call: Call) -> list[Value]:
    """IsNaN and IsInf are 0 wherever the operand exists (as 0 x; where it does not, neither does 0 x)."""
    call.attr_flag("detect_negative", True)
    call.attr_flag("detect_positive", True)
    return [scale(call, call.variable(0), ZERO, None, 0).as_type("bool")]


def mod(call: Call) -> list[Value]:
    """Of constants, integers with the sign of the divisor (fmod 0)."""
    x = call.value(0)
    if isinstance(x, Data):
        return [_remainder(call, x, call.known(1))]
    call.refuse(call.attr_flag("fmod", False), "fmod")
    return [fold_integers(call, lambda p, q: p % q, x, call.known(1))]


def _remainder(call: Call, x: Data, divisor: Known) -> Value:
    """fmod: x - m trunc(x / m); else, of integers, x - m floor(x / m)."""
    fmod = call.attr_flag("fmod", False)
    m = divisor.array.astype(np.float64)
    if not divisor.is_exact or fmod != x.is_float or not m.all():
        raise call.unsupported("fmod of integers, a remainder of floats, or a divisor that is not exact")
    call.refuse(divisor.is_large, "a divisor beyond 2^31")
    shape = call.common_shape(x, divisor)
    wide = call.data(call.broadcast(x, shape))
    inverse = exact.reciprocal(Constant(m))
    if fmod:
        quotient = call.emit(Truncate(), scale(call, wide, inverse, None, 2))
    else:
        # x / m is a multiple of 1/|m|: 1/|2m| above it has the same floor, and is away from whole numbers
        half = exact.enclose(lambda d: 1 / (2 * abs(d)), Constant(m))
        quotient = call.emit(Floor(), scale(call, wide, inverse, half, 2))
    whole = scale(call, quotient, Constant(m), None, 1)
    return call.emit(Sum((1, -1)), wide, whole).as_type(x.dtype)
