"""A data set by what it is: an .npz, .npy, .safetensors or .csv file, a folder of pictures; and its labels from another file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tlcheck.errors import InvalidInput
from tlcheck.readers.datasets.numpy_files import load_npy, read_npy, read_npz
from tlcheck.readers.datasets.pictures import read_pictures
from tlcheck.readers.datasets.safetensor_files import read_safetensors
from tlcheck.readers.datasets.samples import Labels, Samples, labels_in, names_labels
from tlcheck.readers.datasets.tables import read_table, rows_of


@dataclass(frozen=True)
class Asked:
    """What the user says of a data set. ``keys``: arrays of an .npz file, the samples' and the labels'."""

    labels: Path | None = None
    keys: tuple[str, ...] = ()
    label_column: str = ""


def read_dataset(path: Path, asked: Asked) -> Samples:
    """The data set at ``path``. Raises InvalidInput: TLC402 not there, TLC501, TLC502 what it can be taken for, TLC504."""
    for there in (path, asked.labels):
        if there is not None and not os.path.exists(there):
            raise InvalidInput("TLC402", "no such file or folder", file=str(there))
    samples = _samples(path, asked)
    if asked.labels is None:
        return samples
    if samples.labels is not None:
        raise InvalidInput(
            "TLC502", "the data have labels of their own: which count?", file=str(asked.labels),
            got=samples.labels.by,
        )  # fmt: skip
    return samples.with_labels(_labels(asked.labels, samples))


def _samples(path: Path, asked: Asked) -> Samples:
    suffix = path.suffix.lower()
    if asked.keys and suffix not in (".npz", ".safetensors"):
        raise InvalidInput("TLC501", "--keys is for .npz and .safetensors files", file=str(path))
    if asked.label_column and suffix != ".csv":
        raise InvalidInput("TLC501", "--label-column is for .csv files", file=str(path))
    if path.is_dir():
        return read_pictures(path, [asked.labels] if asked.labels is not None else [])
    if suffix == ".npz":
        return read_npz(path, asked.keys)
    if suffix == ".npy":
        return read_npy(path)
    if suffix == ".safetensors":
        return read_safetensors(path, asked.keys)
    if suffix == ".csv":
        return read_table(path, asked.label_column)
    raise InvalidInput(
        "TLC501", "no data set that is read", file=str(path),
        expected="an .npz, .npy or .csv file, .safetensors, or a folder of pictures",
    )  # fmt: skip


def _labels(path: Path, samples: Samples) -> Labels:
    """The labels of a file: an .npy array in the order of the samples; or a table, by their names or in their order."""
    if path.suffix.lower() == ".npy":
        return labels_in(load_npy(path), path.name, str(path))
    return Labels(tuple(_in_table(path, samples)), path.name)


def _in_table(path: Path, samples: Samples) -> Sequence[str]:
    heading, rows = rows_of(path)
    if len(heading) == 1:
        if not names_labels(heading[0]):
            raise _heading(path, heading)
        if samples.names[0] != "row 0":
            raise InvalidInput(
                "TLC502",
                "labels of pictures go by the pictures' names",
                file=str(path),
                expected="columns name,label",
            )
        return [row[0].strip() for row in rows]
    if len(heading) != 2 or heading[0].lower() not in ("name", "file") or not names_labels(heading[1]):
        raise _heading(path, heading)
    return _by_name(path, rows, samples.names)


def _heading(path: Path, heading: Sequence[str]) -> InvalidInput:
    return InvalidInput(
        "TLC501", "not a file of labels", file=str(path), expected="a first line `label`, or `name,label`",
        got=", ".join(heading[:4]),
    )  # fmt: skip


def _by_name(path: Path, rows: Sequence[Sequence[str]], names: Sequence[str]) -> Sequence[str]:
    found: dict[str, str] = {}
    for name, label in rows:
        if found.setdefault(name.strip(), label.strip()) != label.strip():
            raise InvalidInput("TLC502", "two labels for one name", file=str(path), got=ascii(name[:80]))
    for what, left in (("no label", set(names) - set(found)), ("no such sample", set(found) - set(names))):
        if left:
            raise InvalidInput("TLC501", what, file=str(path), field=min(left))
    return [found[name] for name in names]
