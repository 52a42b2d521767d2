"""Entry-by-entry operators: arithmetic with constants, sums, activations, Clip, Max, Min."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tlcheck.readers.onnx import exact
from tlcheck.readers.onnx.call import Call, shown
from tlcheck.readers.onnx.values import FLOAT32_TINY, FLOAT32_UNIT, INTEGERS, Data, Known, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Scale, Sum
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.discrete import MAX_TRUNCATED, Truncate
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.smooth import Power, Reciprocal, Sqrt

ONE = Constant(np.array(1, np.float32))
MINUS_ONE = Constant(np.array(-1, np.float32))

FLOAT32_MAX = float(np.finfo(np.float32).max)

Lowering = Callable[[Call], Sequence[Value]]


# constants


def folded(call: Call, value: Constant, dtype: str, roundings: int) -> Known:
    """The exact result of an operation on constants whose float32 execution makes ``roundings`` relative roundings."""
    if dtype not in ("float32", "float64"):
        raise call.unsupported(f"arithmetic on constants of type {dtype}")
    size = np.abs(value.mid.astype(np.float64))
    if dtype != "float64" and bool((size > FLOAT32_MAX).any()):
        raise call.nonfinite(f"a constant overflows {dtype}")
    if value.rad is None and dtype == "float32" and bool((value.mid == value.mid.astype(np.float32)).all()):
        return Known(value.mid.astype(np.float32), dtype, None, max(roundings - 1, 0))
    if roundings and dtype != "float64" and bool(((size > 0) & (size < 2 * FLOAT32_TINY)).any()):
        return Known.of(exact.widen(value, 2 * roundings * FLOAT32_UNIT, FLOAT32_TINY), dtype)
    return Known.of(value, dtype, roundings)


def fold_integers(call: Call, function: Callable[..., object], *operands: Known) -> Known:
    """``function`` on Python integers, entry by entry; a result outside the type is refused."""
    dtype = call.same_type(*operands)
    if dtype not in INTEGERS:
        raise call.unsupported(f"constants of type {dtype}")
    call.foldable(math.prod(call.common_shape(*operands)))
    arrays = np.broadcast_arrays(*(x.array.astype(object) for x in operands))
    try:
        values = [function(*entries) for entries in zip(*(a.ravel().tolist() for a in arrays), strict=True)]
        result = np.array(values, dtype=object).astype(np.dtype(dtype)).reshape(arrays[0].shape)
    except (OverflowError, ZeroDivisionError) as error:
        raise call.unsupported(f"integer arithmetic: {error}") from error
    limits = np.iinfo(dtype)
    if any(not limits.min <= int(v) <= limits.max for v in values):  # type: ignore[call-overload]
        raise call.unsupported("integer overflow")
    return Known(result, dtype)


def below_halves(call: Call, *operands: Known) -> None:
    """Integers of which max and min are read. onnxruntime's max(2, 2^31) of int64 is 2: lower halves with a sign."""
    if any(bool((np.abs(x.array.astype(np.float64)) >= MAX_TRUNCATED).any()) for x in operands):
        raise call.unsupported("an integer beyond 2^31: the standard and onnxruntime differ")


def _largest_integers(call: Call, choose: Callable[..., object], *operands: Known) -> Known:
    """``choose``, max or min, entry by entry."""
    below_halves(call, *operands)
    return fold_integers(call, choose, *operands)


def _truncated(p: int, q: int) -> int:
    """p / q towards zero, as C and ONNX divide integers."""
    quotient = abs(p) // abs(q)
    return quotient if (p < 0) == (q < 0) else -quotient


def add_known(call: Call, a: Known, b: Known, sign: int) -> Known:
    """a + sign * b, exactly."""
    if not a.is_float:
        return fold_integers(call, lambda p, q: p + sign * q, a, b)
    dtype = call.same_type(a, b)
    a, b = a.settled(), b.settled()
    p, q = a.constant(), b.constant()
    total = call.exactly(lambda: exact.add(p, q if sign == 1 else exact.negative(q)))
    return folded(call, total, dtype, 1)


def multiply_known(call: Call, a: Known, b: Known) -> Known:
    if not a.is_float:
        return fold_integers(call, lambda p, q: p * q, a, b)
    dtype = call.same_type(a, b)
    product = call.exactly(lambda: exact.multiply(a.constant(), b.constant()))
    return folded(call, product, dtype, a.roundings + b.roundings + 1)


def divide_known(call: Call, a: Known, b: Known) -> Known:
    if not a.is_float:
        return fold_integers(call, _truncated, a, b)
    dtype = call.same_type(a, b)
    # 1/(1 - u) <= (1 + u)^2 and 1/(1 + u) >= 1 - u: a rounding of the divisor counts twice
    divided = call.exactly(lambda: exact.divide(a.constant(), b.constant()))
    return folded(call, divided, dtype, a.roundings + 2 * b.roundings + 1)


def times(call: Call, known: Known, factor: float) -> Known:
    """known * factor exactly, without charging a rounding (the operation it goes into does)."""
    if factor == 1:
        return known
    product = call.exactly(lambda: exact.multiply(known.constant(), Constant(np.array(factor))))
    return Known.of(product, known.dtype, known.roundings)


def negated(known: Known) -> Known:
    return Known.of(exact.negative(known.constant()), known.dtype, known.roundings)


# data and constants


def scale(call: Call, x: Value, factor: Constant, offset: Constant | None, roundings: int) -> Data:
    """factor * x + offset where both constants broadcast to x."""
    return call.emit(Scale(factor, offset, roundings), call.data(x))


def add_signed(call: Call, a: Value, b: Value, sign: int) -> Value:
    """a + sign * b."""
    call.same_type(a, b)
    if a.hidden is not None or b.hidden is not None:
        return _masked_sum(call, a, b)
    if isinstance(a, Known) and isinstance(b, Known):
        return add_known(call, a, b, sign)
    if not a.is_float:
        return _on_integers(call, Sum((1, sign)), a, b)
    shape = call.common_shape(a, b)
    if isinstance(b, Known):
        offset = b if sign == 1 else negated(b)
        return scale(call, call.broadcast(a, shape), ONE, offset.constant(), 1 + b.roundings)
    if isinstance(a, Known):
        return scale(
            call, call.broadcast(b, shape), ONE if sign == 1 else MINUS_ONE, a.constant(), 1 + a.roundings
        )
    return call.emit(Sum((1, sign)), call.data(call.broadcast(a, shape)), call.data(call.broadcast(b, shape)))


def _masked_sum(call: Call, a: Value, b: Value) -> Value:
    """a + b where one of them is a mask: minus infinity plus a number is minus infinity. Of ``Add`` only."""
    if call.op != "Add":
        raise call.nonfinite("an operand holds minus infinity")
    shape = call.common_shape(a, b)
    masks = [np.broadcast_to(x.hidden, shape) for x in (a, b) if x.hidden is not None]
    hidden = np.logical_or.reduce(masks)
    total = add_signed(call, shown(a), shown(b), 1)
    if isinstance(total, Data):
        return Data(total.node, total.shape, total.dtype, hidden)
    array = np.where(hidden, -np.inf, total.array).astype(total.array.dtype)
    return Known(array, total.dtype, total.rad, total.roundings)


def _on_integers(call: Call, op: Operation, a: Value, b: Value) -> Data:
    """``op`` on int64; no other type's arithmetic is read."""
    if a.dtype != "int64":
        raise call.unsupported(f"arithmetic on variable {a.dtype}")
    shape = call.common_shape(a, b)
    parts = []
    for x in (a, b):
        if isinstance(x, Known):
            if bool((np.abs(x.array.astype(np.float64)) >= MAX_TRUNCATED).any()):
                raise call.unsupported("an integer beyond 2^31")
            x = Known(x.array.astype(np.float64), "float64")
        parts.append(call.data(call.broadcast(x, shape)))
    return whole(call, call.emit(op, *parts), "int64")


def whole(call: Call, x: Data, dtype: str) -> Data:
    """x, a whole number; not defined from 2^31 on, so that integers never overflow."""
    return call.emit(Truncate(), x).as_type(dtype)


def add(call: Call) -> list[Value]:
    return [add_signed(call, call.value(0), call.value(1), 1)]


def sub(call: Call) -> list[Value]:
    return [add_signed(call, call.value(0), call.value(1), -1)]


def _same_shapes(call: Call, values: Sequence[Value]) -> None:
    """Sum, Mean, Max and Min do not broadcast before opset 8. Raises TLC204."""
    if call.opset < 8 and len({value.shape for value in values}) > 1:
        raise call.misshapen(f"operands of different shapes before opset 8: {[v.shape for v in values]}")


def sum_all(call: Call) -> list[Value]:
    total, *rest = call.values()
    _same_shapes(call, [total, *rest])
    for x in rest:
        total = add_signed(call, total, x, 1)
    return [total]


def mean_all(call: Call) -> list[Value]:
    (total,), count = sum_all(call), call.n_inputs
    factor = Known(np.array(float(count)), total.dtype)
    return [_divided(call, total, factor)]


def mul(call: Call) -> list[Value]:
    return [multiplied(call, call.value(0), call.value(1))]


def multiplied(call: Call, a: Value, b: Value) -> Value:
    """a b, broadcast."""
    call.same_type(a, b)
    if isinstance(a, Known) and isinstance(b, Known):
        return multiply_known(call, a, b)
    if not a.is_float:
        return _on_integers(call, Product(), a, b)
    shape = call.common_shape(a, b)
    for factor, x in ((a, b), (b, a)):
        if isinstance(factor, Known):
            return scale(call, call.broadcast(x, shape), factor.constant(), None, 1 + factor.roundings)
    if a == b:
        return call.emit(Power(2.0), call.data(a))
    return call.emit(Product(), *(call.data(call.broadcast(x, shape)) for x in (a, b)))


def div(call: Call) -> list[Value]:
    a, b = call.value(0), call.value(1)
    call.same_type(a, b)
    if isinstance(b, Data):
        return [multiplied(call, a, call.emit(Reciprocal(), b))]
    return [divide_known(call, a, b) if isinstance(a, Known) else _divided(call, a, b)]


def _divided(call: Call, x: Value, divisor: Known) -> Value:
    call.require_float(x, divisor)
    shape = call.common_shape(x, divisor)
    factor = call.exactly(lambda: exact.reciprocal(divisor.constant()))
    return scale(call, call.broadcast(x, shape), factor, None, 1 + 2 * divisor.roundings)


def neg(call: Call) -> list[Value]:
    x = call.value(0)
    if isinstance(x, Data):
        return [scale(call, x, MINUS_ONE, None, 0)]
    if x.is_float:
        return [negated(x)]
    return [fold_integers(call, lambda p: -p, x)]


def sqrt(call: Call) -> list[Value]:
    x = call.value(0)
    if isinstance(x, Data):
        return [call.emit(Sqrt(), x)]
    call.require_float(x)
    return [folded(call, call.exactly(lambda: exact.sqrt(x.constant())), x.dtype, x.roundings + 1)]


def reciprocal(call: Call) -> list[Value]:
    x = call.value(0)
    if isinstance(x, Data):
        return [call.emit(Reciprocal(), x)]
    call.require_float(x)
    return [folded(call, call.exactly(lambda: exact.reciprocal(x.constant())), x.dtype, 2 * x.roundings + 1)]


# functions of one variable


def _unary(op: Operation) -> Lowering:
    def lower(call: Call) -> list[Value]:
        return [call.emit(op, call.data(call.value(0)))]

    return lower


relu, sigmoid, tanh = _unary(Relu()), _unary(Sigmoid()), _unary(Tanh())


def absolute(call: Call) -> list[Value]:
    x = call.value(0)
    if isinstance(x, Known) and not x.is_float:
        return [fold_integers(call, abs, x)]
    if isinstance(x, Known) and x.rad is None:
        return [Known(np.abs(x.array), x.dtype, None, x.roundings)]
    return [call.emit(Abs(), call.data(x))]


def leaky_relu(call: Call) -> list[Value]:
    return [call.emit(LeakyRelu(call.attr_float("alpha", 0.01)), call.data(call.value(0)))]


def prelu(call: Call) -> list[Value]:
    x, slope = call.value(0), call.known(1)
    call.same_type(x, slope)
    if not call.fits(slope.shape, x.shape):
        raise call.misshapen(f"slope {slope.shape} does not broadcast to {x.shape}")
    x, values = call.data(x), np.unique(slope.array)
    if slope.rad is None and slope.roundings == 0 and values.size == 1:
        return [call.emit(LeakyRelu(float(values[0])), x)]
    # max(x, 0) - slope max(-x, 0)
    below = call.emit(Relu(), scale(call, x, MINUS_ONE, None, 0))
    scaled = scale(call, below, slope.constant(), None, 1 + slope.roundings)
    return [call.emit(Sum((1, -1)), call.emit(Relu(), x), scaled)]


# Clip, Max, Min


def clip(call: Call) -> list[Value]:
    """An absent bound cuts nothing: the default of the attribute form is the largest float32."""
    x = call.value(0)
    bounds = []
    for i, name in ((1, "min"), (2, "max")):
        known = call.optional_known(i)
        if call.has(name):
            if known is not None:
                raise call.unsupported(f"{name} given twice")
            known = Known(np.array(call.attr_float(name, 0.0)), x.dtype)
        if known is not None:
            call.same_type(x, known)
            if known.shape:
                raise call.misshapen(f"{name} of shape {known.shape} is not a scalar")
        bounds.append(known)
    lower, upper = bounds
    if lower is None and upper is None:
        return [x]
    return [_clipped(call, x, lower, upper)]


def _clipped(call: Call, x: Value, lower: Known | None, upper: Known | None) -> Value:
    """min(max(x, lower), upper)."""
    if isinstance(x, Known) and not x.is_float:
        for bound, choose in ((lower, max), (upper, min)):
            if bound is not None:
                x = _largest_integers(call, choose, x, bound)
        return x
    sides = []
    for bound in (lower, upper):
        if bound is not None and (bound.rad is not None or bound.roundings):
            raise call.unsupported("inexact bound")
        sides.append(None if bound is None else Constant(bound.array.reshape(())))
    return call.emit(Clip(sides[0], sides[1]), call.data(x))


def maximum(call: Call) -> list[Value]:
    return [_extreme(call, call.values(), 1)]


def minimum(call: Call) -> list[Value]:
    return [_extreme(call, call.values(), -1)]


def _extreme(call: Call, values: list[Value], sign: int) -> Value:
    """Entry by entry max (sign 1) or min (sign -1) of operands that broadcast."""
    call.same_type(*values)
    _same_shapes(call, values)
    shape = call.common_shape(*values)
    if all(isinstance(v, Known) and not v.is_float for v in values):
        known = [v for v in values if isinstance(v, Known)]
        return _largest_integers(call, (lambda *e: max(e)) if sign == 1 else (lambda *e: min(e)), *known)
    call.require_float(*values)
    if len(values) == 1:
        return values[0]
    bounds = [v for v in values if isinstance(v, Known) and v.rad is None and v.roundings == 0]
    others = [v for v in values if v not in bounds]
    if not others:
        first, *rest = bounds
        for bound in rest:
            first = Known((np.maximum if sign == 1 else np.minimum)(first.array, bound.array), first.dtype)
        return first
    y = max_of(call, [call.data(call.broadcast(v, shape)) for v in others], sign)
    for bound in bounds:
        side = Constant(
            np.array(bound.array if bound.array.size == 1 else np.broadcast_to(bound.array, shape))
        )
        y = call.emit(Clip(side, None) if sign == 1 else Clip(None, side), y)
    return y


def max_of(call: Call, values: list[Data], sign: int) -> Data:
    """Max (sign 1) or min (sign -1) of data of one shape."""
    if len(values) == 1:
        return values[0]
    shape, size = values[0].shape, math.prod(values[0].shape)
    joined = call.data(call.moves(values, lambda arrays: np.concatenate([a.ravel() for a in arrays])))
    index = np.arange(len(values) * size, dtype=np.int64).reshape(len(values), size).T
    return signed_max(call, joined, MaxOver(shape, np.ascontiguousarray(index)), sign)


def signed_max(call: Call, x: Data, op: MaxOver, sign: int) -> Data:
    """``op`` for sign 1; for sign -1 the min over the same sets, -max(-x)."""
    if sign == 1:
        return call.emit(op, x)
    return scale(call, call.emit(op, scale(call, x, MINUS_ONE, None, 0)), MINUS_ONE, None, 0)
