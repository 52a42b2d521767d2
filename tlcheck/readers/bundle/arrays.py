"""Arrays of a bundle: a .safetensors file, memory-mapped, whose header is checked before any array is made.

When :class:`ArrayFile` exists: names are distinct; every type is one of ``DTYPES``; the arrays lie end to end and fill
the file. Arrays are views of the file; a float array was checked to be finite before it is handed out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_MANIFEST_BYTES, MAX_RANK
from tlcheck.readers.strict_json import check_strict

Array = NDArray[Any]

DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
INTEGERS: Final = ("I64", "I32", "U8")
FLOATS: Final = ("F64", "F32")
SLOPES: Final = ("F64", "F32", "U8", "BOOL")
_CHUNK: Final = 1 << 22
"""Elements checked at a time, so that checking a mapped array takes little memory."""
_NAME: Final = re.compile(r"[ -~]{1,512}")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """``entries``: name -> type, shape and place in ``data``."""

    file: str
    entries: Mapping[str, Entry]
    data: memoryview

    def get(
        self, name: str, shape: tuple[int | None, ...], kinds: tuple[str, ...], *, allow_nan: bool = False
    ) -> Array:
        """The array, if it has that shape (None: any size) and one of those types. Raises TLC105."""
        entry = self.entries.get(name)
        if entry is None:
            raise self.wrong(name, "missing array")
        found = tuple(entry.shape)
        if len(found) != len(shape) or any(
            w is not None and w != f for f, w in zip(found, shape, strict=True)
        ):
            wanted = "(" + ", ".join("any" if w is None else str(w) for w in shape) + ")"
            raise self.wrong(name, "wrong shape", wanted, str(found))
        if entry.dtype not in kinds:
            raise self.wrong(name, "wrong type", " or ".join(kinds), entry.dtype)
        start, stop = entry.data_offsets
        stored = np.dtype("u1") if entry.dtype == "BOOL" else DTYPES[entry.dtype]
        flat = np.frombuffer(self.data[start:stop], stored) if stop > start else np.empty(0, stored)
        self._check_values(name, flat, entry.dtype, allow_nan)
        return (flat.view(np.bool_) if entry.dtype == "BOOL" else flat).reshape(found)

    def _check_values(self, name: str, flat: Array, dtype: str, allow_nan: bool) -> None:
        for start in range(0, flat.size, _CHUNK):
            part = flat[start : start + _CHUNK]
            if dtype == "BOOL" and bool((part > 1).any()):
                raise self.wrong(name, "a boolean that is neither 0 nor 1")
            if dtype in FLOATS:
                bad = np.isinf(part) if allow_nan else ~np.isfinite(part)
                if bool(bad.any()):
                    raise self.wrong(name, "NaN or infinity", "finite numbers")

    def wrong(self, name: str, message: str, expected: str = "", got: str = "") -> InvalidInput:
        return InvalidInput("TLC105", message, file=self.file, field=name, expected=expected, got=got)


def open_arrays(content: memoryview, file: str) -> ArrayFile:
    """The arrays in a .safetensors file's bytes. Raises InvalidInput TLC105, TLC106, TLC403."""
    if len(content) < 8:
        raise InvalidInput("TLC403", "not a safetensors file: shorter than its header length", file=file)
    length = int.from_bytes(content[:8], "little")
    limit = min(len(content) - 8, MAX_MANIFEST_BYTES)
    if length > limit:
        raise InvalidInput(
            "TLC403",
            "safetensors header too long",
            file=file,
            expected=f"at most {limit} bytes",
            got=str(length),
        )
    entries = _decode(bytes(content[8 : 8 + length]), file)
    data = content[8 + length :]
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        end = _check_entry(name, entry, end, file)
    if end != len(data):
        raise InvalidInput(
            "TLC403",
            "safetensors data differ in length from the header",
            file=file,
            expected=str(end),
            got=str(len(data)),
        )
    return ArrayFile(file, entries, data)


def _decode(header: bytes, file: str) -> dict[str, Entry]:
    check_strict(header, file)
    try:
        raw = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        raw.pop("__metadata__", None)
        return {name: msgspec.json.decode(value, type=Entry) for name, value in raw.items()}
    except msgspec.DecodeError as error:
        raise InvalidInput("TLC105", f"safetensors header: {error}", file=file) from None


def _check_entry(name: str, entry: Entry, start: int, file: str) -> int:
    """The array lies at ``start`` and has the size that its type and shape say; where it ends."""
    where = ascii(name[:80])
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "TLC105", "array name that is empty, too long or not printable ASCII", file=file, field=where
        )
    if entry.dtype not in DTYPES:
        raise InvalidInput(
            "TLC105",
            "unsupported array type",
            file=file,
            field=name,
            expected=" or ".join(DTYPES),
            got=ascii(entry.dtype[:20]),
        )
    if len(entry.shape) > MAX_RANK or any(not 0 <= n < 1 << 48 for n in entry.shape):
        raise InvalidInput(
            "TLC105", "not a shape", file=file, field=name, got=str(entry.shape[:MAX_RANK])[:80]
        )
    stop = start + math.prod(entry.shape) * DTYPES[entry.dtype].itemsize
    if entry.data_offsets != (start, stop):
        raise InvalidInput(
            "TLC105", "data offsets leave a gap, overlap or differ from the shape", file=file, field=name,
            expected=str([start, stop]), got=str(list(entry.data_offsets))[:80],
        )  # fmt: skip
    return stop
