"""Other element types: Cast and CastLike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.arithmetic import ONE, in_range, scale, whole
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.operands import FLOATS, HALVES, INTEGERS, Data, Known, Value
from tlcheck.readers.onnx.tensors import element_type
from tlcheck.trusted.arith.constant import Constant


def cast(call: Call) -> list[Value]:
    """Data: to a wider type, and to integers and booleans; a constant's cast rounds as ONNX says."""
    call.attr_flag("saturate", True)
    mode = call.attr_str("round_mode", "up")  # says how to round to float8e8m0, which is not read
    call.refuse(mode not in ("up", "down", "nearest"), f"round_mode {mode}")
    x = call.value(0)
    if call.op == "CastLike":
        return [_cast(call, x, call.value(1).dtype)]
    return [_cast(call, x, element_type(call.required_int("to"), f"node '{call.label}'"))]


def _cast(call: Call, x: Value, dtype: str) -> Value:
    if dtype == x.dtype:
        return x
    if isinstance(x, Data):
        return _cast_data(call, x, dtype)
    if x.dtype in FLOATS and dtype == "float64":
        return Known(x.array, dtype, x.rad, x.roundings, x.formula)
    call.require_exact(f"computed constant from {x.dtype} to {dtype}", x)
    return Known(_converted(call, x, dtype), dtype)


def _cast_data(call: Call, x: Data, dtype: str) -> Data:
    """Over the reals the same numbers, but for floats to integers or booleans. Integers are below 2^31; deployed, what float32 or
    16 bits do not hold is rounded."""
    if dtype == "float32" and x.dtype in ("int32", "int64"):
        return scale(call, x, ONE, None, 1).as_type(dtype)  # beyond 2^24 float32 rounds them
    if (x.dtype, dtype) == ("float32", "float64") or (not x.is_float and dtype in ("float32", "float64")):
        return x.as_type(dtype)
    if x.dtype in HALVES and dtype in ("float32", "float64"):
        return x.as_type(dtype)
    if dtype in HALVES and x.dtype in (*HALVES, "float32"):
        return call.stored(x, dtype)
    if dtype == "bool":
        return _not_zero(call, x)
    if dtype in ("int32", "int64") and (x.is_float or (x.dtype, dtype) == ("int64", "int32")):
        return whole(call, x, dtype)
    if dtype == "int64" or (x.dtype, dtype) == ("bool", "int32"):
        return x.as_type(dtype)
    raise call.unsupported(f"{x.dtype} to {dtype}")


def _not_zero(call: Call, x: Data) -> Data:
    """A comparison: its operation is loaded for a cast of the network's numbers to booleans only."""
    from tlcheck.trusted.ops.discrete import Compare

    equal = call.emit(Compare("=="), x, call.data(Known(np.zeros(x.shape), "float64")))
    return scale(call, equal, Constant(np.array(-1.0)), Constant(np.array(1.0)), 0).as_type("bool")


def _converted(call: Call, x: Known, dtype: str) -> NDArray[Any]:
    """x's entries in ``dtype``: floats rounded to nearest even, floats to integers towards zero."""
    call.refuse(dtype == "bfloat16", "constant to bfloat16")
    if dtype == "bool":
        return np.asarray(x.array != 0)
    target = np.dtype(dtype)
    if dtype in INTEGERS:
        call.foldable(x.array.size)
        values = (np.trunc(x.array) if x.is_float else x.array).ravel().tolist()
        call.refuse(not in_range(values, dtype), f"value out of range of {dtype}")
        return np.array([int(v) for v in values], dtype=target).reshape(x.shape)
    with np.errstate(over="ignore"):
        result = x.array.astype(target)
        if dtype == "float16" and bool((result != x.array.astype(np.float32).astype(target)).any()):
            raise call.unsupported("a constant that runtimes round to float16 twice, to another number")
    if not bool(np.isfinite(result).all()):
        raise call.nonfinite(f"a constant overflows {dtype}")
    return np.asarray(result)
