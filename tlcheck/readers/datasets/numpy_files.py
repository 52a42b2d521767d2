"""Data sets in numpy's files: .npz with an array of samples and perhaps one of labels, .npy with either. Nothing is unpickled.

What a header claims is compared with what there is before anything is made from it.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_UNPACKED_BYTES
from tlcheck.readers.datasets.samples import Samples, checked_numbers, labels_in, names_labels

MALFORMED: Final = (
    OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
    RuntimeError,  # a member that is encrypted; NotImplementedError: packed as zipfile cannot unpack; RecursionError
    TypeError, SyntaxError, TokenError, OverflowError, MemoryError,  # a header that is no header
)  # fmt: skip
"""What numpy and zipfile raise over files that are not as they should be."""


def read_npz(path: Path, keys: Sequence[str]) -> Samples:
    """The samples and labels in an .npz file. ``keys``: the name of the samples' array and perhaps that of the labels'.

    Without them, of the arrays that are not called as labels are there is one, and of those that are at most one.
    Raises InvalidInput: TLC403, TLC501, TLC502.
    """
    file = str(path)
    with _reading(path), zipfile.ZipFile(path) as archive:
        _check_size(path, sum(entry.file_size for entry in archive.infolist()))
        data, labels = chosen([array_name(name) for name in archive.namelist()], keys, file)
        samples = checked_numbers(member_array(archive, data, file), file, data)
        names = tuple(f"row {k}" for k in range(samples.count))
        found = Samples(f"'{data}' of {path.name}", samples, names, None)
        if not labels:
            return found
        return found.with_labels(
            labels_in(member_array(archive, labels, file), f"'{labels}' of {path.name}", file, labels)
        )


def names_in(path: Path) -> list[str]:
    """Of the arrays in an .npz file. Raises InvalidInput TLC501."""
    with _reading(path), zipfile.ZipFile(path) as archive:
        return [array_name(name) for name in archive.namelist()]


def arrays_in(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Those of these arrays that an .npz file has: finite numbers. Raises InvalidInput."""
    file = str(path)
    with _reading(path), zipfile.ZipFile(path) as archive:
        _check_size(path, sum(entry.file_size for entry in archive.infolist()))
        there = [array_name(name) for name in archive.namelist()]
        found = {name: member_array(archive, name, file) for name in names if name in there}
    for name, values in found.items():
        if values.dtype.kind not in "iuf" or not bool(np.isfinite(values).all()):
            raise InvalidInput(
                "TLC501", "an array of finite numbers is needed", file=file, field=name, got=str(values.dtype)
            )
    return found


def array_name(member: str) -> str:
    return member.removesuffix(".npy")


def member_array(archive: zipfile.ZipFile, name: str, file: str) -> NDArray[Any]:
    entry = next(entry for entry in archive.infolist() if array_name(entry.filename) == name)
    try:
        with archive.open(entry) as stream:
            return _array(stream, entry.file_size)
    except MALFORMED as error:
        raise InvalidInput(
            "TLC501", f"the array cannot be read: {_said(error)}", file=file, field=name
        ) from error


def _array(stream: IO[bytes], size: int) -> NDArray[Any]:
    """The array in a .npy file of ``size`` bytes. Raises MALFORMED."""
    version = npy.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"format version {version[0]}.{version[1]}")
    shape, columns_first, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not unpickled")
    wanted, left = prod(shape) * dtype.itemsize, size - stream.tell()
    if not dtype.itemsize or wanted != left:
        raise ValueError(f"its header says {wanted} bytes of {dtype} follow, and there are {left}")
    return np.ndarray(shape, dtype, stream.read(wanted), order="F" if columns_first else "C")


_HEADERS: Final = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def chosen(names: Sequence[str], keys: Sequence[str], file: str) -> tuple[str, str]:
    """(samples' array, labels' array or "")."""
    for key in keys:
        if key not in names:
            raise InvalidInput("TLC501", "no such array", file=file, field=key, expected=", ".join(names))
    if keys:
        return keys[0], keys[1] if len(keys) > 1 else ""
    labels = [name for name in names if names_labels(name)]
    data = [name for name in names if name not in labels]
    for found, what, option in ((data, "samples", "--keys X,Y"), (labels, "labels", "--keys X,Y")):
        if len(found) > 1:
            raise InvalidInput(
                "TLC502",
                f"which array holds the {what}? name it with {option}",
                file=file,
                got=", ".join(found),
            )
    if not data:
        raise InvalidInput("TLC501", "no array of samples", file=file, got=", ".join(names) or "no array")
    return data[0], labels[0] if labels else ""


def read_npy(path: Path) -> Samples:
    """The samples in an .npy file; it has no labels. Raises InvalidInput."""
    samples = checked_numbers(load_npy(path), str(path))
    return Samples(path.name, samples, tuple(f"row {k}" for k in range(samples.count)), None)


def load_npy(path: Path) -> NDArray[Any]:
    size = path.stat().st_size
    _check_size(path, size)
    with _reading(path), path.open("rb") as stream:
        return _array(stream, size)


def _check_size(path: Path, size: int) -> None:
    if size > MAX_UNPACKED_BYTES:
        raise InvalidInput(
            "TLC401", "the data set is too large", file=str(path), expected=f"at most {MAX_UNPACKED_BYTES} bytes",
            got=str(size),
        )  # fmt: skip


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raises InvalidInput TLC501 in place of MALFORMED."""
    try:
        yield
    except MALFORMED as error:
        raise InvalidInput(
            "TLC501", f"no array file that can be read: {_said(error)}", file=str(path)
        ) from error


def _said(error: BaseException) -> str:
    """In one short line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
