"""Data sets in .safetensors files: an array of samples and perhaps one of labels, chosen by name as in .npz files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tlcheck.readers.bundle.arrays import ArrayFile, open_arrays
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.datasets.numpy_files import chosen
from tlcheck.readers.datasets.samples import Samples, checked_numbers, labels_in

KINDS = ("F64", "F32", "I64", "I32", "U8")


def read_safetensors(path: Path, keys: Sequence[str]) -> Samples:
    """The samples and labels; ``keys`` as in ``read_npz``. Raises InvalidInput."""
    file = str(path)
    arrays = open_arrays(memoryview(read_bytes(path)), file)
    data, labels = chosen(list(arrays.entries), keys, file)
    samples = checked_numbers(array_of(arrays, data), file, data)
    found = Samples(
        f"'{data}' of {path.name}", samples, tuple(f"row {k}" for k in range(samples.count)), None
    )
    if not labels:
        return found
    return found.with_labels(labels_in(array_of(arrays, labels), f"'{labels}' of {path.name}", file, labels))


def names_in(path: Path) -> list[str]:
    """Of the arrays in the file. Raises InvalidInput."""
    return list(open_arrays(memoryview(read_bytes(path)), str(path)).entries)


def array_of(arrays: ArrayFile, name: str) -> NDArray[Any]:
    """Raises InvalidInput TLC105: no such array, or not numbers."""
    shape = tuple(arrays.entries[name].shape) if name in arrays.entries else ()
    return arrays.get(name, shape, KINDS)
