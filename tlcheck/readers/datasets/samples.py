"""What a data set is once it is read: samples of one shape, with exact values, and their labels as they are written.

Nothing is scaled, moved or turned here, and what can mean two things is refused by name (TLC502).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput

Point = tuple[Fraction, ...]

LABELS: Final = ("y", "label", "labels", "class", "classes", "target", "targets")
"""Names of labels: of an array in an .npz file, of a column; in any case of letters, with or without _test."""


class Values(Protocol):
    """The samples' values, in whatever form; flat in row-major order."""

    @property
    def count(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""

    @property
    def type(self) -> str:
        """In words: uint8, float32, decimals."""

    def exact(self, k: int) -> Point: ...

    def span(self) -> tuple[Fraction, Fraction]:
        """The least and the largest value of all samples."""

    def whole(self) -> bool:
        """Every value is a whole number."""

    @property
    def integers(self) -> bool:
        """Their type has whole numbers alone."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """Values in an array (samples, ...) of integers or floats, all finite."""

    array: NDArray[Any]

    @property
    def count(self) -> int:
        return int(self.array.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.array.shape[1:])

    @property
    def type(self) -> str:
        return str(self.array.dtype)

    def exact(self, k: int) -> Point:
        return tuple(map(Fraction, self.array[k].ravel().tolist()))

    def span(self) -> tuple[Fraction, Fraction]:
        return Fraction(self.array.min().item()), Fraction(self.array.max().item())

    @property
    def integers(self) -> bool:
        return self.array.dtype.kind in "iu"

    def whole(self) -> bool:
        return self.integers or bool(np.all(np.floor(self.array) == self.array))


@dataclass(frozen=True, eq=False)
class Decimals:
    """Values of a table, each the number that its decimal denotes."""

    rows: Sequence[Point]

    @property
    def count(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows[0]),)

    type: str = "decimals"
    integers: bool = False

    def exact(self, k: int) -> Point:
        return self.rows[k]

    def span(self) -> tuple[Fraction, Fraction]:
        return min(map(min, self.rows)), max(map(max, self.rows))

    def whole(self) -> bool:
        return all(value.denominator == 1 for row in self.rows for value in row)


@dataclass(frozen=True)
class Labels:
    """A label for each sample, as written. ``by``: where they were read, in words."""

    texts: tuple[str, ...]
    by: str
    one_hot: int = 0
    """The places of a row, where each is a row with one 1; else 0."""
    folders: bool = False
    """They are names of folders."""


@dataclass(frozen=True, eq=False)
class Samples:
    """A data set. ``names``: of each sample, distinct; ``labels``: None where there are none."""

    source: str
    """Where it was read, in words."""
    values: Values
    names: tuple[str, ...]
    labels: Labels | None

    def __post_init__(self) -> None:
        if len(self.names) != self.values.count or len(set(self.names)) != len(self.names):
            raise ValueError("a name for each sample")
        if self.labels is not None and len(self.labels.texts) != len(self.names):
            raise InvalidInput(
                "TLC501", "not as many labels as samples", field=self.labels.by, expected=str(len(self.names)),
                got=str(len(self.labels.texts)),
            )  # fmt: skip

    def with_labels(self, labels: Labels) -> Samples:
        return replace(self, labels=labels)


def checked_numbers(array: NDArray[Any], file: str, field: str = "") -> Numbers:
    """The samples in an array. Raises InvalidInput TLC501, TLC502: not numbers, not finite, no axis of samples."""
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise InvalidInput(
            "TLC501", "values of another type than numbers", file=file, field=field,
            expected="integers or floats of at most 64 bits", got=str(array.dtype),
        )  # fmt: skip
    if array.ndim < 2:
        raise InvalidInput(
            "TLC502", "one sample or many? an axis of samples comes first", file=file, field=field,
            expected="shape (samples, ...)", got=str(array.shape),
        )  # fmt: skip
    if 0 in array.shape:
        raise InvalidInput("TLC501", "no sample", file=file, field=field, got=f"shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = np.argwhere(~np.isfinite(array))[0].tolist()
        raise InvalidInput(
            "TLC501", "a value that is no finite number", file=file, field=field, got=f"at {where}"
        )
    return Numbers(array)


def labels_in(array: NDArray[Any], by: str, file: str, field: str = "") -> Labels:
    """Labels in an array: (samples,) or (samples, 1) of whole numbers, floats or text, or one-hot rows. Raises TLC501."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.size and array.dtype.kind in "iuf" and _one_hot(array):
        return Labels(tuple(map(str, np.argmax(array, axis=1).tolist())), by, one_hot=array.shape[1])
    return Labels(_texts(array, file, field), by)


def _texts(array: NDArray[Any], file: str, field: str) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind not in "iufU":
        raise InvalidInput(
            "TLC501", "not labels", file=file, field=field,
            expected="one whole number or name a sample, or one-hot rows", got=f"{array.dtype} of shape {array.shape}",
        )  # fmt: skip
    if array.dtype.kind == "U":
        return tuple(map(str, array.tolist()))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidInput("TLC501", "a label that is no finite number", file=file, field=field)
    return tuple(str(Fraction(value)) for value in array.tolist())


def _one_hot(array: NDArray[Any]) -> bool:
    return bool(np.isin(array, (0, 1)).all() and (array.sum(axis=1) == 1).all())


def names_labels(name: str) -> bool:
    """An array or a column of this name holds labels."""
    return name.lower().removesuffix("_test").removesuffix("_train") in LABELS
