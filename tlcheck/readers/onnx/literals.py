"""Operators whose result is a constant whatever the network computes: literals, ranges, sizes of shapes."""

from __future__ import annotations

from math import prod

import numpy as np

from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.operands import INTEGERS, Known, Value
from tlcheck.readers.onnx.tensors import element_type

KINDS = ("value", "value_float", "value_int", "value_floats", "value_ints")
"""Attributes of Constant that are read; a node has exactly one."""


def constant(call: Call) -> list[Value]:
    given = [name for name in KINDS if call.has(name)]
    call.refuse(len(given) != 1, "value of an unsupported kind")
    tensor = call.attr_tensor("value") or _written(call, given[0])
    if tensor.is_float and not bool((np.isfinite(tensor.array) | np.isneginf(tensor.array)).all()):
        raise call.nonfinite("NaN or infinity in a constant")
    return [tensor]


def _written(call: Call, name: str) -> Known:
    """One number, or a list."""
    if name == "value_float":
        return Known(np.array(call.attr_float(name, 0.0, masks=True), np.float32), "float32")
    if name == "value_floats":
        return Known(np.array(call.attr_floats(name), np.float32), "float32")
    number = call.attr_int(name, 0) if name == "value_int" else call.attr_ints(name)
    return Known(np.array(number, np.int64), "int64")


def constant_of_shape(call: Call) -> list[Value]:
    shape, value = tuple(call.ints(0)), call.attr_tensor("value")
    value = value or Known(np.zeros((), np.float32), "float32")
    call.checked(shape)
    call.refuse_shape(value.array.size != 1, f"value of shape {value.shape}")
    return [Known(np.broadcast_to(value.array.reshape(()), shape), value.dtype)]


def shape(call: Call) -> list[Value]:
    sizes = call.value(0).shape
    taken = sizes[call.attr_int("start", 0) : call.attr_int("end", len(sizes))]
    return [Known(np.array(taken, np.int64), "int64")]


def size(call: Call) -> list[Value]:
    return [Known(np.array(prod(call.value(0).shape), np.int64), "int64")]


def range_(call: Call) -> list[Value]:
    parts = [call.known(i) for i in range(3)]
    dtype = call.same_type(*parts)
    call.refuse_shape(any(p.array.size != 1 for p in parts), "start, limit and delta must be scalars")
    call.refuse(dtype not in INTEGERS, f"range of type {dtype}")
    start, limit, delta = (int(p.array.item()) for p in parts)
    call.refuse(delta == 0, "delta 0")
    call.checked((max(-(-(limit - start) // delta), 0),))
    return [Known(np.array(range(start, limit, delta), dtype=np.dtype(dtype)), dtype)]


def eye_like(call: Call) -> list[Value]:
    """Ones on the diagonal k of a matrix of the operand's shape."""
    x, where = call.value(0), f"node '{call.label}'"
    call.refuse_shape(len(x.shape) != 2, f"operand of shape {x.shape}: expected two axes")
    dtype = element_type(call.attr_int("dtype", 0), where) if call.has("dtype") else x.dtype
    call.refuse(dtype == "bfloat16", "bfloat16")
    call.foldable(prod(x.shape))
    return [Known(np.eye(x.shape[0], x.shape[1], call.attr_int("k", 0), np.dtype(dtype)), dtype)]


def non_zero(call: Call) -> list[Value]:
    x = call.known(0)
    call.refuse(x.rad is not None, "computed constant")
    call.refuse(not x.shape, "an operand without axes")
    return [Known(np.array(np.nonzero(x.array), dtype=np.int64).reshape(len(x.shape), -1), "int64")]
