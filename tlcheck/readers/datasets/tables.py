"""Data sets in CSV files: a heading line, then a row a sample, exact decimals, and perhaps a column of labels."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_JSON_BYTES
from tlcheck.readers.bytes import read_bytes, without_mark
from tlcheck.readers.datasets.samples import Decimals, Labels, Samples, names_labels
from tlcheck.readers.decimals import exact_number

Rows = list[list[str]]


def read_table(path: Path, label_column: str = "") -> Samples:
    """The samples of a CSV file: every column but that of the labels is a value, in the order of the columns.

    The column of labels is ``label_column``, or the one that is called as labels are. Raises InvalidInput TLC501, TLC502.
    """
    heading, rows = rows_of(path)
    at = _label_column(heading, label_column, str(path))
    values = [_numbers(row, heading, at, k, str(path)) for k, row in enumerate(rows)]
    if not values[0]:
        raise InvalidInput("TLC501", "no column of values", file=str(path))
    names = tuple(f"row {k}" for k in range(len(rows)))
    found = Samples(path.name, Decimals(values), names, None)
    if at is None:
        return found
    texts = tuple(row[at].strip() for row in rows)
    return found.with_labels(Labels(texts, f"column '{heading[at]}' of {path.name}"))


def rows_of(path: Path) -> tuple[list[str], Rows]:
    """(heading, rows below it), of a file in UTF-8 with commas; blank lines are no rows. Raises InvalidInput."""
    file = str(path)
    data = read_bytes(path, limit=MAX_JSON_BYTES)
    try:
        text = without_mark(data, "TLC501").decode("utf-8")
        lines = [row for row in csv.reader(text.splitlines(), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput("TLC501", f"not a CSV file: {error}", file=file) from error
    if not lines:
        raise InvalidInput("TLC501", "an empty table", file=file)
    heading, rows = [name.strip() for name in lines[0]], lines[1:]
    _check_heading(heading, file)
    if not rows:
        raise InvalidInput("TLC501", "a table without rows", file=file)
    for k, row in enumerate(rows):
        if len(row) != len(heading):
            raise InvalidInput(
                "TLC501", "a row with another number of cells", file=file, field=f"row {k}",
                expected=str(len(heading)), got=str(len(row)),
            )  # fmt: skip
    return heading, rows


def _check_heading(heading: Sequence[str], file: str) -> None:
    if all(_is_number(name) for name in heading):
        raise InvalidInput(
            "TLC502", "is the first line a sample or a heading? name the columns in it", file=file,
            expected="a first line with a name for each column", got=", ".join(heading[:4]),
        )  # fmt: skip
    if len(heading) == 1 and any(mark in heading[0] for mark in ";\t"):
        raise InvalidInput("TLC501", "columns are parted by commas alone", file=file, got=heading[0])
    twice = sorted({name for name in heading if heading.count(name) > 1})
    if twice:
        raise InvalidInput("TLC502", "two columns of one name", file=file, got=ascii(twice[0]))


def _label_column(heading: Sequence[str], wanted: str, file: str) -> int | None:
    if wanted:
        if wanted not in heading:
            raise InvalidInput(
                "TLC501", "no such column", file=file, field=wanted, expected=", ".join(heading)
            )
        return heading.index(wanted)
    found = [k for k, name in enumerate(heading) if names_labels(name)]
    if len(found) > 1:
        raise InvalidInput(
            "TLC502", "which column holds the labels? name it with --label-column", file=file,
            got=", ".join(heading[k] for k in found),
        )  # fmt: skip
    return found[0] if found else None


def _numbers(
    row: Sequence[str], heading: Sequence[str], skipped: int | None, k: int, file: str
) -> tuple[Fraction, ...]:
    found = []
    for column, text in enumerate(row):
        if column == skipped:
            continue
        try:
            found.append(exact_number(text.strip()))
        except InvalidInput as error:
            raise InvalidInput(
                "TLC501", "a value that is no number", file=file, field=f"row {k}, column {heading[column]}",
                got=ascii(text[:40]),
            ) from error  # fmt: skip
    return tuple(found)


def _is_number(text: str) -> bool:
    try:
        exact_number(text)
    except InvalidInput:
        return False
    return True
