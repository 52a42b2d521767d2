"""Data sets in numpy's files: .npz with an array of samples and perhaps one of labels, .npy with either. Nothing is unpickled."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_UNPACKED_BYTES
from tlcheck.readers.datasets.samples import Samples, checked_numbers, label_texts, names_labels


def read_npz(path: Path, keys: Sequence[str]) -> Samples:
    """The samples and labels in an .npz file. ``keys``: the name of the samples' array and perhaps that of the labels'.

    Without them, of the arrays that are not called as labels are there is one, and of those that are at most one.
    Raises InvalidInput: TLC403, TLC501, TLC502.
    """
    file = str(path)
    with _opened(path) as archive:
        data, labels = _chosen(list(archive.files), keys, file)
        samples = checked_numbers(_member(archive, data, file), file, data)
        names = tuple(f"row {k}" for k in range(samples.count))
        found = Samples(f"'{data}' of {path.name}", samples, names, None)
        if not labels:
            return found
        texts = label_texts(_member(archive, labels, file), file, labels)
        return found.with_labels(texts, f"'{labels}' of {path.name}")


def _opened(path: Path) -> Any:
    _check_size(path)
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from error


def _member(archive: Any, name: str, file: str) -> NDArray[Any]:
    try:
        return np.asarray(archive[name])
    except (ValueError, OSError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise InvalidInput("TLC501", f"the array cannot be read: {error}", file=file, field=name) from error


def _chosen(names: Sequence[str], keys: Sequence[str], file: str) -> tuple[str, str]:
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
    _check_size(path)
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(path, error) from error


def _check_size(path: Path) -> None:
    size = path.stat().st_size
    if path.suffix.lower() == ".npz":
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
        except zipfile.BadZipFile as error:
            raise _unreadable(path, error) from error
    if size > MAX_UNPACKED_BYTES:
        raise InvalidInput(
            "TLC401", "the data set is too large", file=str(path), expected=f"at most {MAX_UNPACKED_BYTES} bytes",
            got=str(size),
        )  # fmt: skip


def _unreadable(path: Path, error: Exception) -> InvalidInput:
    what = "it holds Python objects" if "object" in str(error).lower() else " ".join(str(error).split())
    return InvalidInput("TLC501", f"not an array file that can be read: {what}", file=str(path))
