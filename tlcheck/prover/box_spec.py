"""A box of inputs as a user gives it: a VNN-LIB property, a file of ends or of a point, or two numbers. What comes of it is text.

The bundle keeps the text of a property, which is read again; so a mistake here asks another question than the one that was
meant, and proves nothing false.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any, Final

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_JSON_BYTES, MAX_PROPERTY_BYTES
from tlcheck.readers.bytes import read_bytes, without_mark
from tlcheck.readers.datasets.numpy_files import arrays_in
from tlcheck.readers.datasets.tables import rows_of
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.strict_json import check_strict
from tlcheck.trusted.graph import Graph
from tlcheck.writers.query_text import query_text

Point = tuple[Fraction, ...]
Parts = dict[str, Point]

FORMS: Final = "a .vnnlib file; a .json, .csv or .npz file with lower and upper, or center (and --eps); or two numbers, LO,HI"
ENDS: Final = ("lower", "upper")
CENTER: Final = "center"
_NUMBERS: Final = re.compile(r"\s*([^\s,]+)(?:\s*,\s*|\s+)([^\s,]+)\s*")


def box_text(spec: str, graph: Graph, eps: Fraction | None = None) -> bytes:
    """The box as a VNN-LIB property of the network, or the property itself. Raises InvalidInput."""
    path = Path(spec)
    if path.name.removesuffix(".gz").endswith(".vnnlib"):
        if eps is not None:
            raise _refused("--eps is for a center, and a property has a box", spec)
        return read_bytes(path, limit=MAX_PROPERTY_BYTES)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        return _written(_of_numbers(spec, graph.n_inputs), spec, graph, eps)
    if not os.path.exists(path):
        raise InvalidInput("TLC402", "no such file", file=spec)
    return _written(reader(path), spec, graph, eps)


def _refused(message: str, spec: str, **more: str) -> InvalidInput:
    return InvalidInput("TLC501", message, field="--box", **({"got": ascii(spec[:80])} | more))


def _of_numbers(spec: str, n: int) -> Parts:
    found = _NUMBERS.fullmatch(spec)
    if found is None:
        raise _refused("no box that is read", spec, expected=FORMS)
    low, high = (exact_number(text, field="--box") for text in found.groups())
    return {"lower": (low,) * n, "upper": (high,) * n}


def _written(parts: Parts, spec: str, graph: Graph, eps: Fraction | None) -> bytes:
    """Raises InvalidInput: other parts than ends, or a center with --eps; another number of values than the network's."""
    if set(parts) == set(ENDS) and eps is None:
        lower, upper = (parts[name] for name in ENDS)
    elif set(parts) == {CENTER} and eps is not None:
        lower, upper = (tuple(x + sign * eps for x in parts[CENTER]) for sign in (-1, 1))
    else:
        expected = "lower and upper" if eps is None else "center, with --eps"
        raise _refused(
            "other values than a box has", spec, expected=expected, got=", ".join(parts)[:80] or "none"
        )
    for values in (lower, upper):
        if len(values) != graph.n_inputs:
            raise _refused(
                "another number of values than the network has inputs",
                spec,
                expected=str(graph.n_inputs),
                got=str(len(values)),
            )
    if any(a > b for a, b in zip(lower, upper, strict=True)):
        raise _refused("a lower end above the upper one", spec)
    return query_text(lower, upper, graph.n_outputs, (), ("the box of inputs",))


def _json(path: Path) -> Parts:
    """{"lower": [..], "upper": [..]} or {"center": [..]}, nested or flat: every number is the decimal that it is written as."""
    file, data = str(path), read_bytes(path, limit=MAX_JSON_BYTES)
    check_strict(data, file)
    found = json.loads(without_mark(data, "TLC106", file), parse_float=str, parse_int=str)
    if not isinstance(found, dict) or not all(isinstance(v, list) for v in found.values()):
        raise InvalidInput(
            "TLC501", "no box", file=file, expected='{"lower": [..], "upper": [..]} or {"center": [..]}'
        )
    return {name: tuple(_number(x, name) for x in _flat(values)) for name, values in found.items()}


def _flat(values: Sequence[Any]) -> list[Any]:
    return [x for v in values for x in (_flat(v) if isinstance(v, list) else [v])]


def _number(value: Any, field: str) -> Fraction:
    if not isinstance(value, str):
        raise InvalidInput("TLC501", "no number", field=field, got=ascii(value)[:80])
    return exact_number(value, field=field)


def _csv(path: Path) -> Parts:
    """Columns lower and upper, or center: a row an input."""
    heading, rows = rows_of(path)
    return {
        name: tuple(exact_number(row[k].strip(), field=name) for row in rows)
        for k, name in enumerate(heading)
    }


def _npz(path: Path) -> Parts:
    return {
        name: tuple(map(Fraction, values.reshape(prod(values.shape)).tolist()))
        for name, values in arrays_in(path, (*ENDS, CENTER)).items()
    }


READERS: Final = {".json": _json, ".csv": _csv, ".npz": _npz}
