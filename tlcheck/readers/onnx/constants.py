"""Operators whose result is a constant: literals, shapes, comparisons, casts of constants."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.elementwise import fold_integers, whole
from tlcheck.readers.onnx.tensors import element_type
from tlcheck.readers.onnx.values import FLOATS, INTEGERS, Data, Known, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.affine import Scale
from tlcheck.trusted.ops.discrete import Compare
from tlcheck.trusted.ops.indexed import cut


def constant(call: Call) -> list[Value]:
    given = [
        name for name in ("value", "value_float", "value_int", "value_floats", "value_ints") if call.has(name)
    ]
    if len(given) != 1:
        raise call.unsupported("value of an unsupported kind")
    if given == ["value"]:
        tensor = call.attr_tensor("value")
    elif given == ["value_float"]:
        tensor = Known(np.array(call.attr_float("value_float", 0.0, masks=True), np.float32), "float32")
    elif given == ["value_int"]:
        tensor = Known(np.array(call.attr_int("value_int", 0), np.int64), "int64")
    elif given == ["value_floats"]:
        tensor = Known(np.array(call.attr_floats("value_floats"), np.float32), "float32")
    else:
        tensor = Known(np.array(call.attr_ints("value_ints"), np.int64), "int64")
    if tensor is None:
        raise call.unsupported("no value")
    if tensor.is_float and not bool((np.isfinite(tensor.array) | np.isneginf(tensor.array)).all()):
        raise call.nonfinite("NaN or infinity in a constant")
    return [tensor]


def constant_of_shape(call: Call) -> list[Value]:
    shape, value = tuple(call.ints(0)), call.attr_tensor("value")
    call.checked(shape)
    if value is None:
        return [Known(np.zeros(shape, np.float32), "float32")]
    if value.array.size != 1:
        raise call.misshapen(f"value of shape {value.shape}")
    return [Known(np.broadcast_to(value.array.reshape(()), shape), value.dtype)]


def shape(call: Call) -> list[Value]:
    sizes = call.value(0).shape
    rank = len(sizes)
    taken = cut(call.attr_int("start", 0), call.attr_int("end", rank), 1, rank)
    return [Known(np.array([sizes[a] for a in taken], np.int64), "int64")]


def size(call: Call) -> list[Value]:
    return [Known(np.array(prod(call.value(0).shape), np.int64), "int64")]


def range_(call: Call) -> list[Value]:
    parts = [call.known(i) for i in range(3)]
    dtype = call.same_type(*parts)
    if any(p.array.size != 1 for p in parts):
        raise call.misshapen("start, limit and delta must be scalars")
    if dtype not in INTEGERS:
        raise call.unsupported(f"range of type {dtype}")
    start, limit, delta = (int(p.array.reshape(-1)[0]) for p in parts)
    if delta == 0:
        raise call.unsupported("delta 0")
    call.checked((max(-(-(limit - start) // delta), 0),))
    return [Known(np.array(range(start, limit, delta), dtype=np.dtype(dtype)), dtype)]


# casts


def cast(call: Call) -> list[Value]:
    """Data: to a wider type, and to integers and booleans; a constant's cast rounds as ONNX says."""
    call.attr_flag("saturate", True)
    call.attr_str("round_mode", "up")
    return [_cast(call, call.value(0), element_type(call.required_int("to"), f"node '{call.label}'"))]


def cast_like(call: Call) -> list[Value]:
    call.attr_flag("saturate", True)
    call.attr_str("round_mode", "up")
    return [_cast(call, call.value(0), call.value(1).dtype)]


def _cast(call: Call, x: Value, dtype: str) -> Value:
    if dtype == x.dtype:
        return x
    if isinstance(x, Data):
        return _cast_data(call, x, dtype)
    if x.dtype in FLOATS and dtype == "float64":
        return Known(x.array, dtype, x.rad, x.roundings, x.formula)
    if x.rad is not None or x.roundings:
        raise call.unsupported(f"computed constant from {x.dtype} to {dtype}")
    return Known(_converted(call, x, dtype), dtype)


def _cast_data(call: Call, x: Data, dtype: str) -> Data:
    """Integers of the network are below 2^32 or so: as floats they are the same numbers, over the reals."""
    if (x.dtype, dtype) == ("float32", "float64") or (not x.is_float and dtype in ("float32", "float64")):
        return x.as_type(dtype)
    if dtype == "bool":
        zero = call.data(Known(np.zeros(x.shape), "float64"))
        equal = call.emit(Compare("=="), x, zero)
        return call.emit(Scale(Constant(np.array(-1.0)), Constant(np.array(1.0)), 0), equal).as_type("bool")
    if dtype in ("int32", "int64") and (x.is_float or (x.dtype, dtype) == ("int64", "int32")):
        return whole(call, x, dtype)
    if dtype == "int64" or (x.dtype, dtype) == ("bool", "int32"):
        return x.as_type(dtype)
    raise call.unsupported(f"{x.dtype} to {dtype}")


def _converted(call: Call, x: Known, dtype: str) -> NDArray[Any]:
    """x's entries in ``dtype``: floats rounded to nearest even, floats to integers towards zero."""
    if dtype == "bfloat16":
        raise call.unsupported("constant to bfloat16")
    if dtype == "bool":
        return np.asarray(x.array != 0)
    target = np.dtype(dtype)
    if dtype in INTEGERS:
        call.foldable(x.array.size)
        exact = np.trunc(x.array) if x.is_float else x.array
        limits = np.iinfo(target)
        if any(not limits.min <= int(v) <= limits.max for v in exact.ravel().tolist()):
            raise call.unsupported(f"value out of range of {dtype}")
        return np.array([int(v) for v in exact.ravel().tolist()], dtype=target).reshape(exact.shape)
    with np.errstate(over="ignore"):
        result = x.array.astype(target)
        if dtype == "float16" and bool((result != x.array.astype(np.float32).astype(target)).any()):
            raise call.unsupported("a constant that runtimes round to float16 twice, to another number")
    if not bool(np.isfinite(result).all()):
        raise call.nonfinite(f"a constant overflows {dtype}")
    return np.asarray(result)


# comparisons and logic of constants


def comparison(function: Callable[[Any, Any], Any]) -> Callable[[Call], list[Value]]:
    """An elementwise comparison of exact constants."""

    def lower(call: Call) -> list[Value]:
        a, b = call.known(0), call.known(1)
        call.same_type(a, b)
        call.common_shape(a, b)
        if any(x.rad is not None or x.roundings for x in (a, b)):
            raise call.unsupported("comparison of computed constants")
        return [Known(np.asarray(function(a.array, b.array), dtype=bool), "bool")]

    return lower


def logic(function: Callable[..., Any], arity: int) -> Callable[[Call], list[Value]]:
    def lower(call: Call) -> list[Value]:
        operands = [call.known(i) for i in range(arity)]
        if any(x.dtype != "bool" for x in operands):
            raise call.unsupported("operand that is not bool")
        call.common_shape(*operands)
        return [Known(np.asarray(function(*(x.array for x in operands)), dtype=bool), "bool")]

    return lower


def unary(function: Callable[[Any], Any]) -> Callable[[Call], list[Value]]:
    """A function that is exact in floating point, of an exact constant (Floor, Ceil, Sign, ...)."""

    def lower(call: Call) -> list[Value]:
        x = call.known(0)
        if x.rad is not None or x.roundings or x.dtype == "bool":
            raise call.unsupported("computed constant")
        return [Known(np.asarray(function(x.array)).astype(x.array.dtype), x.dtype)]

    return lower


def mod(call: Call) -> list[Value]:
    """Integers: the sign of the divisor (fmod 0)."""
    if call.attr_flag("fmod", False):
        raise call.unsupported("fmod")
    return [fold_integers(call, lambda p, q: p % q, call.known(0), call.known(1))]


def non_zero(call: Call) -> list[Value]:
    x = call.known(0)
    if x.rad is not None:
        raise call.unsupported("computed constant")
    return [Known(np.array(np.nonzero(x.array), dtype=np.int64).reshape(len(x.shape), -1), "int64")]
