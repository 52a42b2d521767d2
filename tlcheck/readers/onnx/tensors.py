"""ONNX tensors to exact arrays.

Guarantee: the array holds the stored numbers exactly; its size was checked against the data before anything was
allocated; no float is NaN or infinite. Data in other files is put inside before: see ``external``.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_RANK, MAX_TENSOR_ELEMENTS
from tlcheck.readers.onnx.operands import FLOATS, Known

if TYPE_CHECKING:
    from onnx import TensorProto

ELEMENT_TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip
"""onnx.TensorProto.DataType of every type that is read, and its name here."""

_TYPED_FIELDS = {
    "float32": "float_data", "float64": "double_data", "int64": "int64_data", "uint32": "uint64_data", "uint64": "uint64_data",
}  # fmt: skip
"""Field that holds a type's values when raw_data does not; int32_data for all others."""


def element_type(number: int, where: str) -> str:
    """Name of a TensorProto.DataType. Raises TLC202."""
    if number not in ELEMENT_TYPES:
        raise InvalidInput("TLC202", f"unsupported element type {number}", field=where)
    return ELEMENT_TYPES[number]


def checked_shape(dims: tuple[int, ...], where: str) -> tuple[int, ...]:
    """``dims`` if they are a shape within the limits. Raises TLC204, TLC401."""
    if any(d < 0 for d in dims):
        raise InvalidInput("TLC204", "negative dimension", field=where, got=str(list(dims[:MAX_RANK])))
    if len(dims) > MAX_RANK:
        most = f"at most {MAX_RANK}"
        raise InvalidInput("TLC401", "too many axes", field=where, expected=most, got=str(len(dims)))
    if prod(dims) > MAX_TENSOR_ELEMENTS:
        most = f"at most {MAX_TENSOR_ELEMENTS} elements"
        raise InvalidInput("TLC401", "tensor too large", field=where, expected=most, got=str(list(dims)))
    return dims


def read_tensor(tensor: TensorProto, *, where: str | None = None, masks: bool = False) -> Known:
    """The tensor's exact values. Raises TLC201 to TLC205, TLC401 to TLC403, naming the tensor, or ``where`` it is.

    ``masks``: minus infinity is read too.
    """
    where = f"tensor '{tensor.name}'" if tensor.name or where is None else where
    dtype = element_type(tensor.data_type, where)
    shape = checked_shape(tuple(tensor.dims), where)
    if tensor.HasField("segment"):
        raise InvalidInput("TLC202", "unsupported segmented tensor", field=where)
    if tensor.data_location == 1:
        text = "external data of a model that has no folder"
        raise InvalidInput("TLC205", text, field=where, expected="weights inside the model")
    if tensor.HasField("raw_data"):
        values = from_bytes(tensor.raw_data, dtype, shape, where)
    else:
        values = _from_field(tensor, dtype, shape, where)
    if dtype in FLOATS and not bool((np.isfinite(values) | (masks & np.isneginf(values))).all()):
        raise InvalidInput("TLC203", "NaN or infinity in a constant", field=where)
    return Known(values, dtype)


def _storage(dtype: str) -> np.dtype[Any]:
    return np.dtype("<u2") if dtype == "bfloat16" else np.dtype(dtype).newbyteorder("<")


def item_bytes(dtype: str) -> int:
    """Bytes of one stored element."""
    return _storage(dtype).itemsize


def from_bytes(data: bytes, dtype: str, shape: tuple[int, ...], where: str) -> NDArray[Any]:
    storage = _storage(dtype)
    _require_size(len(data), prod(shape) * storage.itemsize, "bytes", shape, where)
    return _decoded(np.frombuffer(data, dtype=storage), dtype).reshape(shape)


def _require_size(found: int, size: int, unit: str, shape: tuple[int, ...], where: str) -> None:
    if found != size:
        text = f"data does not fit the shape {list(shape)}"
        raise InvalidInput("TLC201", text, field=where, expected=f"{size} {unit}", got=f"{found} {unit}")


def _decoded(stored: NDArray[Any], dtype: str) -> NDArray[Any]:
    if dtype == "bfloat16":
        return np.asarray((stored.astype(np.uint32) << 16).view(np.float32))
    if dtype == "bool":
        return np.asarray(stored != 0)
    return np.asarray(stored, dtype=np.dtype(dtype))


def _from_field(tensor: TensorProto, dtype: str, shape: tuple[int, ...], where: str) -> NDArray[Any]:
    numbers = getattr(tensor, _TYPED_FIELDS.get(dtype, "int32_data"))
    _require_size(len(numbers), prod(shape), "values", shape, where)
    if dtype in ("float32", "float64"):
        return np.array(numbers, dtype=dtype).reshape(shape)
    storage = np.dtype({"bool": "u1", "float16": "u2", "bfloat16": "u2"}.get(dtype, dtype))
    wide = np.array(numbers, dtype=np.uint64 if dtype in ("uint32", "uint64") else np.int64)
    limits = np.iinfo(storage)
    if wide.size and (int(wide.min()) < limits.min or int(wide.max()) > limits.max):
        raise InvalidInput("TLC201", f"value out of range of {dtype}", field=where)
    stored = wide.astype(storage)
    return _decoded(stored.view(np.float16) if dtype == "float16" else stored, dtype).reshape(shape)
