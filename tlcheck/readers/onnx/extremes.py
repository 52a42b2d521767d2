"""Clip, Max, Min, Abs: which of several numbers is the largest, entry by entry."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from math import prod

import numpy as np

from tlcheck.readers.onnx.arithmetic import fold_integers, negative, require_same_shapes
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.operands import Data, Known, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.bent import Abs, Clip
from tlcheck.trusted.ops.selection import MaxOver


def require_halves(call: Call, *operands: Known) -> None:
    """Integers of which max and min are read. onnxruntime's max(2, 2^31) of int64 is 2: lower halves with a sign."""
    if any(x.is_large for x in operands):
        raise call.unsupported("an integer beyond 2^31: the standard and onnxruntime differ")


def _largest_integers(call: Call, choose: Callable[..., object], *operands: Known) -> Known:
    """``choose``, max or min, entry by entry."""
    require_halves(call, *operands)
    return fold_integers(call, choose, *operands)


def absolute(call: Call) -> list[Value]:
    x = call.value(0)
    if isinstance(x, Known) and not x.is_float:
        return [fold_integers(call, abs, x)]
    if isinstance(x, Known) and x.rad is None:
        return [Known(np.abs(x.array), x.dtype, None, x.roundings)]
    return [call.emit(Abs(), call.data(x))]


def clip(call: Call) -> list[Value]:
    """An absent bound cuts nothing: the default of the attribute form is the largest float32."""
    x = call.value(0)
    lower, upper = (_bound(call, x, i, name) for i, name in ((1, "min"), (2, "max")))
    return [x if lower is None and upper is None else _clipped(call, x, lower, upper)]


def _bound(call: Call, x: Value, i: int, name: str) -> Known | None:
    """A number of x's type: operand i, or before opset 11 an attribute."""
    known = call.optional_known(i)
    if call.has(name):
        call.refuse(known is not None, f"{name} given twice")
        known = Known(np.array(call.attr_float(name, 0.0)), x.dtype)
    if known is not None:
        call.same_type(x, known)
        call.refuse_shape(known.shape != (), f"{name} of shape {known.shape} is not a scalar")
    return known


def _clipped(call: Call, x: Value, lower: Known | None, upper: Known | None) -> Value:
    """min(max(x, lower), upper)."""
    if isinstance(x, Known) and not x.is_float:
        for bound, choose in ((lower, max), (upper, min)):
            if bound is not None:
                x = _largest_integers(call, choose, x, bound)
        return x
    call.require_exact("inexact bound", *(bound for bound in (lower, upper) if bound is not None))
    sides = (None if bound is None else Constant(bound.array.reshape(())) for bound in (lower, upper))
    return call.emit(Clip(*sides), call.data(x))


def extreme(call: Call) -> list[Value]:
    """Max and Min of operands that broadcast, entry by entry."""
    values, sign = call.values(), 1 if call.op == "Max" else -1
    call.same_type(*values)
    require_same_shapes(call, values)
    shape = call.common_shape(*values)
    known = [v for v in values if isinstance(v, Known)]
    if len(known) == len(values) and not values[0].is_float:
        return [_largest_integers(call, lambda *e: sign * max(sign * v for v in e), *known)]
    call.require_float(*values)
    if len(values) == 1:
        return values
    bounds = [v for v in known if v.is_exact]
    others = [v for v in values if v not in bounds]
    if not others:
        arrays = (bound.array for bound in bounds)
        return [Known(reduce(np.maximum if sign == 1 else np.minimum, arrays), bounds[0].dtype)]
    y = max_of(call, [call.data(call.broadcast(v, shape)) for v in others], sign)
    for bound in bounds:
        wide = bound.array if bound.array.size == 1 else np.broadcast_to(bound.array, shape)
        side = Constant(np.array(wide))
        y = call.emit(Clip(side, None) if sign == 1 else Clip(None, side), y)
    return [y]


def max_of(call: Call, values: list[Data], sign: int) -> Data:
    """Max (sign 1) or min (sign -1) of data of one shape."""
    if len(values) == 1:
        return values[0]
    shape, size = values[0].shape, prod(values[0].shape)
    joined = call.data(call.moves(values, lambda arrays: np.concatenate([a.ravel() for a in arrays])))
    index = np.arange(len(values) * size, dtype=np.int64).reshape(len(values), size).T
    return signed_max(call, joined, MaxOver(shape, np.ascontiguousarray(index)), sign)


def signed_max(call: Call, x: Data, op: MaxOver, sign: int) -> Data:
    """``op`` for sign 1; for sign -1 the min over the same sets, -max(-x)."""
    return call.emit(op, x) if sign == 1 else negative(call, call.emit(op, negative(call, x)))
