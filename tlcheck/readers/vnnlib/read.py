"""Property files to a :class:`Query`: which version of VNN-LIB it is, and the limits on its size.

The result means exactly what the file says: every decimal is the rational it denotes, every assertion is in the
normal form (see ``normal_form.py``), and the number of variables is the model's when that is given.
"""

from __future__ import annotations

import os
import re
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_PROPERTY_BYTES
from tlcheck.readers.bytes import read_bytes, without_mark
from tlcheck.readers.kinds import instead
from tlcheck.readers.vnnlib.normal_form import normal_form
from tlcheck.readers.vnnlib.places import check_declared, check_flat, inputs_of, outputs_of
from tlcheck.readers.vnnlib.version1 import read_vnnlib1
from tlcheck.readers.vnnlib.version2 import Property, read_declared, read_plain
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.query import Query

_BLANK: Final = r"(?:[ \t\r\n]++|;[^\n]*+)*+"
_VERSION: Final = re.compile(rf"{_BLANK}\({_BLANK}vnnlib-version{_BLANK}<?([^ \t\r\n()<>;]{{0,40}})")
_LONE_CR: Final = re.compile(r"\r(?!\n)")


def load_property(
    path: str | os.PathLike[str], *, n_inputs: int | None = None, n_outputs: int | None = None
) -> Query:
    """The property in a file, gzip or plain; errors as ``read_bytes`` and ``read_property``."""
    data = read_bytes(path, limit=MAX_PROPERTY_BYTES)
    return read_property(data, n_inputs=n_inputs, n_outputs=n_outputs, file=os.fspath(path))


def read_property(data: bytes, *, n_inputs: int | None, n_outputs: int | None, file: str = "") -> Query:
    """The query that a VNN-LIB 1.0 or 2.0 text (not gzip) denotes.

    ``n_inputs`` and ``n_outputs`` are the model's flat sizes; None when no model is known. Raises InvalidInput
    naming ``file``: TLC301 malformed, TLC302 unsupported, TLC303 other sizes than the model's, TLC304 an input
    without finite bounds, TLC401 too large.
    """
    try:
        return _query(_plain(data), n_inputs, n_outputs)
    except InvalidInput as error:
        raise _refused(error, data, file) from error.__cause__


def read_query(data: bytes, graph: Graph, *, file: str = "") -> Query:
    """``read_property`` for a model: declarations of VNN-LIB 2.0 fit its tensors, in number, names and shapes (TLC303)."""
    return read_named_query(data, graph, file=file)[0]


def read_named_query(data: bytes, graph: Graph | None, *, file: str = "") -> tuple[Query, Property]:
    """The query, and what the file declares; ``graph`` None when no model is known."""
    try:
        found = _plain(data)
        if graph is None:
            return _query(found, None, None), found
        inputs, outputs = inputs_of(graph), outputs_of(graph)
        for network in found.networks:
            check_declared(network, inputs, outputs, file=file)
        if not found.networks:
            check_flat(inputs, outputs, file=file)
        return _query(found, graph.n_inputs, graph.n_outputs), found
    except InvalidInput as error:
        raise _refused(error, data, file) from error.__cause__


def _refused(error: InvalidInput, data: bytes, file: str) -> InvalidInput:
    """``error`` in its file, or a better one where the file is something else altogether."""
    better = instead(error, data, file, "property") if error.code in ("TLC301", "TLC302") else error
    return better.in_file(file)


def _plain(data: bytes) -> Property:
    """The property of one network, without hidden nodes or products."""
    text = _decode(data)
    if _is_version_2(text):
        return read_plain(text)
    return Property(*read_vnnlib1(text))


def _query(found: Property, n_inputs: int | None, n_outputs: int | None) -> Query:
    found.space.check_fits(n_inputs, n_outputs)
    return normal_form(found.assertions, found.space)


def read_any_property(data: bytes, *, file: str = "") -> Property:
    """What a VNN-LIB 1.0 or 2.0 text says, whatever it declares, not yet in normal form. Raises InvalidInput."""
    try:
        text = _decode(data)
        if _is_version_2(text):
            return read_declared(text)
        assertions, space = read_vnnlib1(text)
        return Property(assertions, space)
    except InvalidInput as error:
        raise _refused(error, data, file) from error.__cause__


def _is_version_2(text: str) -> bool:
    """Whether the text is VNN-LIB 2.0, else 1.0. Raises TLC302 for another version."""
    version = _VERSION.match(text)
    if version is not None and version.group(1) != "2.0":
        raise InvalidInput(
            "TLC302", "unsupported version of VNN-LIB", expected="2.0", got=ascii(version.group(1))
        )
    return version is not None


def _decode(data: bytes) -> str:
    """UTF-8 text without NUL or lone carriage returns; a byte order mark before it means nothing.

    Parsers disagree on both: C ends a text at NUL, and some end a comment at a carriage return, some do not.
    """
    if len(data) > MAX_PROPERTY_BYTES:
        raise InvalidInput(
            "TLC401",
            "the property is too large",
            expected=f"at most {MAX_PROPERTY_BYTES} bytes",
            got=f"{len(data)} bytes",
        )
    try:
        text = without_mark(data, "TLC301").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput("TLC301", "not UTF-8 text", got=f"byte {error.start}") from error
    if "\0" in text:
        raise InvalidInput("TLC301", "a NUL character in the text", got=f"character {text.index(chr(0))}")
    lone = _LONE_CR.search(text) if "\r" in text else None
    if lone is not None:
        raise InvalidInput("TLC301", "a carriage return without line feed", got=f"character {lone.start()}")
    return text
