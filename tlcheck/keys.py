"""Every key: the SHA-256 of what decides the content that is kept under it.

``key`` is injective up to collisions of SHA-256: two different lists of values have different keys. Each value is
written with its type and its length, so that no two can be confused: ("a", "bc") is not ("ab", "c"), and 1, True, 1.0
and "1" are four values. A record (a dataclass) is written with its type's full name and every field, an array with its
type and shape. A value of any other type is a TypeError: nothing is turned into text, pickled or left out.

What outlives the process is kept under ``lasting_key``, which holds tlcheck's own sources and the versions it computes
with, so that a corrected tlcheck, or another onnxruntime, asks again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from hashlib import _Hash

    from tlcheck.trusted.graph import Graph
    from tlcheck.trusted.query import Query

PLAIN_ARRAYS: Final = "biufc"
"""Kinds of arrays whose bytes, type and shape are all there is to them."""


def key(kind: str, *parts: object) -> str:
    """The key of a thing of this kind, decided by ``parts``. Raises TypeError for a value that is not plain data."""
    writer = _Writer()
    writer.write(kind)
    writer.write(parts)
    return writer.hash.hexdigest()


def lasting_key(kind: str, *parts: object) -> str:
    """The key of a thing that outlives this process: decided by tlcheck's sources and versions too."""
    return key(kind, checker(), *parts)


def graph_key(graph: Graph) -> str:
    """The function that a graph denotes: its operations and how they are connected. Names decide nothing."""
    if graph not in _GRAPHS:
        _GRAPHS[graph] = key("graph", tuple((n.op, n.inputs, n.shape) for n in graph.nodes), graph.outputs)
    return _GRAPHS[graph]


_GRAPHS: Final[WeakKeyDictionary[Graph, str]] = WeakKeyDictionary()
"""Keys of the graphs there are, by identity: a graph never changes, and one serves many claims."""


def query_key(query: Query) -> str:
    """What a property asserts."""
    return key("query", query)


@cache
def checker() -> str:
    """The SHA-256 of tlcheck's sources, whatever their language, and of the versions it computes with."""
    from tlcheck.versions import tool_versions

    package = Path(__file__).parent
    sources = {
        path.relative_to(package).as_posix(): path.read_bytes()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.relative_to(package).parts
    }
    return key("checker", tool_versions(), sources)


class _Writer:
    """Writes values into a hash, each as its tag, its length and its content."""

    def __init__(self, known: dict[int, bytes] | None = None) -> None:
        self.hash: _Hash = hashlib.sha256()
        self.known: dict[int, bytes] = {} if known is None else known
        """Digests of records by their ``id``: a part that many others share (a region) is read once. All are reachable
        from what is being written, so that no ``id`` is used twice."""

    def write(self, value: object) -> None:
        """Exact types first: a subclass can mean something else, and is met below or not at all."""
        kind = type(value)
        if value is None:
            self._put(b"N", b"")
        elif kind is bool:
            self._put(b"b", b"1" if value else b"0")
        elif kind is int:
            self._put(b"i", format(value, "x").encode())  # hexadecimal: no limit on digits
        elif isinstance(value, float) and kind is float:
            self._put(b"f", value.hex().encode())
        elif isinstance(value, str) and kind is str:
            self._put(b"s", value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, bytes) and kind is bytes:
            self._put(b"B", value)
        elif isinstance(value, Fraction) and kind is Fraction:
            self._put(b"q", f"{value.numerator:x}/{value.denominator:x}".encode())
        elif isinstance(value, tuple | list) and kind in (tuple, list):
            self._head(b"t" if kind is tuple else b"l", len(value))
            for item in value:
                self.write(item)
        else:
            self._write_more(value)

    def _write_more(self, value: object) -> None:
        if isinstance(value, np.ndarray | np.generic):
            self._array(np.asarray(value))
        elif isinstance(value, Enum):
            self._record(b"e", value, {"name": value.name})
        elif is_dataclass(value) and not isinstance(value, type):
            self._record(b"d", value, {f.name: getattr(value, f.name) for f in fields(value)})
        elif isinstance(value, tuple) and hasattr(value, "_fields"):
            self._record(b"n", value, dict(zip(value._fields, value, strict=True)))
        elif isinstance(value, Mapping):
            self._mapping(value)
        else:
            raise TypeError(f"a {type(value).__qualname__} is no part of a key")

    def _record(self, tag: bytes, value: object, content: Mapping[str, object]) -> None:
        if id(value) not in self.known:
            inner = _Writer(self.known)
            inner.write(f"{type(value).__module__}.{type(value).__qualname__}")
            for name, item in content.items():
                inner.write(name)
                inner.write(item)
            self.known[id(value)] = inner.hash.digest()
        self._put(tag, self.known[id(value)])

    def _mapping(self, value: Mapping[Any, object]) -> None:
        """Sorted by the keys' digests: the order in which entries were put in means nothing."""
        entries = []
        for name, item in value.items():
            inner = _Writer(self.known)
            inner.write(name)
            entries.append((inner.hash.digest(), item))
        self._head(b"m", len(entries))
        for digest, item in sorted(entries, key=lambda entry: entry[0]):
            self.hash.update(digest)
            self.write(item)

    def _array(self, value: np.ndarray[Any, np.dtype[Any]]) -> None:
        if value.dtype.kind not in PLAIN_ARRAYS:
            raise TypeError(f"an array of {value.dtype} is no part of a key")
        self._head(b"a", value.ndim)
        self.write(value.dtype.str)
        for n in value.shape:
            self.write(n)
        if value.size:
            self._put(b"B", np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)

    def _head(self, tag: bytes, length: int) -> None:
        self.hash.update(tag + length.to_bytes(8, "big"))

    def _put(self, tag: bytes, content: bytes | memoryview) -> None:
        self._head(tag, len(content))
        self.hash.update(content)
