"""Functions of real numbers: roots and reciprocals, powers, trigonometric and hyperbolic functions, written out where they
are no operation of their own."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

import numpy as np

from tlcheck.readers.onnx import exact
from tlcheck.readers.onnx.arithmetic import MINUS_ONE, ONE, folded, multiplied, scale
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.operands import Data, Known, Value
from tlcheck.trusted.constant import Constant
from tlcheck.trusted.ops.affine import Sum
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.smooth import Cos, Exp, Log, Power, Reciprocal, Sin, Sqrt

ZERO, HALF = Constant(np.array(0.0)), Constant(np.array(0.5))


def linear(call: Call, x: Data, factor: float | Constant, offset: float = 0.0, *, roundings: int = 0) -> Data:
    """factor x + offset; two roundings, and ``roundings`` of the factor."""
    factor = factor if isinstance(factor, Constant) else Constant(np.array(factor))
    return scale(call, x, factor, Constant(np.array(offset)) if offset else None, 2 + roundings)


def added(call: Call, a: Data, b: Data, sign: int = 1) -> Data:
    """a + sign * b."""
    return call.emit(Sum((1, sign)), a, b)


def sqrt(call: Call) -> list[Value]:
    return [_of_constants_too(call, Sqrt(), exact.sqrt, 1)]


def reciprocal(call: Call) -> list[Value]:
    return [_of_constants_too(call, Reciprocal(), exact.reciprocal, 2)]


def _of_constants_too(
    call: Call, op: Operation, function: Callable[[Constant], Constant], weight: int
) -> Value:
    """A constant's value exactly; one float32 rounding, and ``weight`` for each that the constant has."""
    x = call.value(0)
    if isinstance(x, Data):
        return call.emit(op, x)
    call.require_float(x)
    return folded(call, call.exactly(lambda: function(x.constant())), x.dtype, weight * x.roundings + 1)


def tan(call: Call) -> list[Value]:
    x = call.variable(0)
    return [call.emit(Product(), call.emit(Sin(), x), call.emit(Reciprocal(), call.emit(Cos(), x)))]


def exponentials(call: Call) -> list[Value]:
    """Cosh and Sinh: (e^x + e^-x) / 2 and (e^x - e^-x) / 2"""
    x = call.variable(0)
    plus, minus = (call.emit(Exp(), v) for v in (x, linear(call, x, MINUS_ONE)))
    return [linear(call, added(call, plus, minus, 1 if call.op == "Cosh" else -1), HALF)]


def asinh(call: Call) -> list[Value]:
    """log(x + sqrt(x^2 + 1))"""
    x = call.variable(0)
    root = call.emit(Sqrt(), linear(call, call.emit(Power(2.0), x), 1.0, 1.0))
    return [call.emit(Log(), added(call, x, root))]


def acosh(call: Call) -> list[Value]:
    """log(x + sqrt(x - 1) sqrt(x + 1)): not defined below 1."""
    x = call.variable(0)
    roots = [call.emit(Sqrt(), linear(call, x, 1.0, v)) for v in (-1.0, 1.0)]
    return [call.emit(Log(), added(call, x, call.emit(Product(), *roots)))]


def atanh(call: Call) -> list[Value]:
    """(log(1 + x) - log(1 - x)) / 2"""
    x = call.variable(0)
    logs = [call.emit(Log(), linear(call, x, v, 1.0)) for v in (1.0, -1.0)]
    return [linear(call, added(call, logs[0], logs[1], -1), HALF)]


MAX_EXPONENTS = 256
"""Different exponents of one Pow."""


def power(call: Call) -> list[Value]:
    """x^p: powers with one constant exponent for each entry; else e^(p log x), where x > 0."""
    x, p = call.value(0), call.value(1)
    call.require_float(x)
    shape = call.common_shape(x, p)
    if isinstance(p, Data):
        logs = _log(call, x)
        return [call.emit(Exp(), call.data(multiplied(call, p.as_type(logs.dtype), logs)))]
    call.require_exact("an exponent that is not exact", p)
    exponents = np.broadcast_to(p.array.astype(np.float64), shape)
    values = np.unique(exponents).tolist()
    base = call.data(call.broadcast(x, shape))
    if len(values) == 1:
        return [_power(call, base, values[0])]
    call.refuse(len(values) > MAX_EXPONENTS, f"{len(values)} different exponents, at most {MAX_EXPONENTS}")
    # each power on its own entries only: elsewhere it may have no value
    flat = call.reshape(base, (exponents.size,))
    chosen = [np.flatnonzero(exponents.ravel() == value) for value in values]
    parts = [
        _power(call, call.data(call.move(flat, itemgetter(c))), p)
        for c, p in zip(chosen, values, strict=True)
    ]
    places = np.argsort(np.concatenate(chosen))
    return [call.moves(parts, lambda arrays: np.concatenate(arrays)[places].reshape(shape))]


def _log(call: Call, x: Value) -> Data:
    """Of a constant: enclosed entry by entry, with its roundings."""
    if isinstance(x, Data):
        return call.emit(Log(), x)
    value = x.settled().constant()
    return call.data(Known.of(call.exactly(lambda: exact.enclose(lambda v: v.log(), value)), x.dtype))


def _power(call: Call, x: Data, p: float) -> Data:
    if p == 0:
        return scale(call, x, ZERO, ONE, 0)
    if p < 0:
        return call.emit(Reciprocal(), _power(call, x, -p))
    if p == 1:
        return x
    return call.emit(Sqrt() if p == 0.5 else Power(p), x)
