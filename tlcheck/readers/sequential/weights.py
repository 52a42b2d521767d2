"""The tensors of a .safetensors file, exactly as stored: 16-bit ones widened to float32.

A file whose header leaves something open is refused: data that overlap, leave a gap or do not fill the file, sizes that
differ from the shapes, weights that are no numbers.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_JSON_BYTES
from tlcheck.readers.onnx.operands import Known
from tlcheck.readers.onnx.tensors import checked_shape, from_bytes
from tlcheck.readers.strict_json import check_strict

_TYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip
"""Bytes of an element of each safetensors type; the floats of _TYPES alone can be weights."""


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def read_tensors(data: bytes) -> dict[str, Known]:
    """The float tensors of a .safetensors file, 16-bit ones widened to float32. Raises TLC106, TLC201, TLC401."""
    entries = _header(data)
    import safetensors

    try:
        stored = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise InvalidInput("TLC201", f"not a safetensors file: {error}") from error
    result = {}
    for name, entry in entries.items():
        where = f"tensor '{name}'"
        if entry.dtype not in _TYPES:
            continue
        found = stored.get(name)
        if found is None or found["dtype"] != entry.dtype or list(found["shape"]) != entry.shape:
            raise InvalidInput("TLC201", "safetensors header is ambiguous", field=where)
        array = from_bytes(bytes(found["data"]), _TYPES[entry.dtype], tuple(entry.shape), where)
        if not bool(np.isfinite(array).all()):
            raise InvalidInput("TLC203", "NaN or infinity in a weight", field=where)
        result[name] = Known(array, "float64" if entry.dtype == "F64" else "float32")
    return result


def _header(data: bytes) -> dict[str, _Entry]:
    """The header's entries: known types, sizes that agree, data that lies end to end and fills the file."""
    if len(data) < 8:
        raise InvalidInput("TLC403", "not a safetensors file: shorter than its header length")
    length = int.from_bytes(data[:8], "little")
    if length > min(len(data) - 8, MAX_JSON_BYTES):
        raise InvalidInput(
            "TLC403",
            "safetensors header longer than the file",
            expected=f"at most {len(data) - 8}",
            got=str(length),
        )
    header = data[8 : 8 + length]
    check_strict(header, "")
    try:
        raw = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        raw.pop("__metadata__", None)
        entries = {name: msgspec.json.decode(value, type=_Entry) for name, value in raw.items()}
    except msgspec.DecodeError as error:
        raise InvalidInput("TLC201", f"safetensors header: {error}") from error
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        where = f"tensor '{name}'"
        if entry.dtype not in _BYTES:
            raise InvalidInput("TLC202", "unsupported safetensors type", field=where, got=entry.dtype[:20])
        size = math.prod(checked_shape(tuple(entry.shape), where)) * _BYTES[entry.dtype]
        if entry.data_offsets != (end, end + size):
            raise InvalidInput(
                "TLC201",
                "data offsets leave a gap, overlap or differ from the shape",
                field=where,
                expected=str([end, end + size]),
                got=str(list(entry.data_offsets)),
            )
        end += size
    if end != len(data) - 8 - length:
        raise InvalidInput(
            "TLC403",
            "safetensors data differ in length from the header",
            expected=str(end),
            got=str(len(data) - 8 - length),
        )
    return entries
