"""Witness files of VNN-COMP: the point a tool published with its answer ``sat``, read exactly.

Two formats, plain or gzip, each with or without the tool's answer as the first word:

- VNN-COMP 1.0: one S-expression of pairs, in any spacing and order: ``((X_0 0.5) (X_1 -1e-3) (Y_0 2))``. The outer
  parentheses, or only the last one, may be missing: 264 published files stop after their last pair. The
  competition reads them too, each number in them is complete, and the number of inputs is still checked.
- VNN-LIB 2.0 assignments: for each declared variable a header ``NAME TYPE [d1,d2]``, then its values, row-major.

Guarantee: every number is the rational its decimal denotes; each variable is given once and none is left out. What
a file calls outputs is kept apart and is never evidence. An input that is ``nan`` or ``inf`` makes the file
malformed; such an output is None.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_RANK, MAX_TENSOR_ELEMENTS, MIB
from tlcheck.readers.bytes import read_bytes, without_mark
from tlcheck.readers.decimals import parse_decimal

MAX_WITNESS_BYTES: Final = 64 * MIB
"""Largest witness, unpacked: a point of 150,528 decimals (vggnet16) has 5 MiB."""

_WORD: Final = re.compile(
    r"[ \t\r\n]*+(?:(sat|unsat|unknown|timeout|timed-out|error|holds|violated)(?![^ \t\r\n()]))?+[ \t\r\n]*+",
    re.IGNORECASE,
)
_PAIR: Final = re.compile(r"\([ \t\r\n]*+([XY])_(0|[1-9][0-9]{0,8})[ \t\r\n]++([^ \t\r\n()]++)[ \t\r\n]*+\)")
_SPACE: Final = re.compile(r"[ \t\r\n]*+")
_HEADER: Final = re.compile(
    r"[ \t]*+([A-Za-z_][A-Za-z0-9_.]*+)[ \t]++([A-Za-z][A-Za-z0-9_]*+)[ \t]*+\[([0-9, \t]*+)\][ \t\r]*+"
)
_WORDS: Final = re.compile(r"[^ \t\r\n]++")
_NOT_FINITE: Final = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True)
class Tensor:
    """One variable of a VNN-LIB 2.0 assignment; None stands for a value that is not finite."""

    name: str
    type: str
    shape: tuple[int, ...]
    values: tuple[Fraction | None, ...]


@dataclass(frozen=True)
class Witness:
    """``inputs``: the point, flat. ``outputs``: what the tool says its network gave there; None if not finite."""

    format: str
    inputs: tuple[Fraction, ...]
    outputs: tuple[Fraction | None, ...]


@dataclass(frozen=True)
class Assignment:
    """A VNN-LIB 2.0 file: which tensors are inputs only the query or the network says."""

    tensors: tuple[Tensor, ...]

    def named(self, names: Sequence[str]) -> Witness:
        """The tensors of these names, in their order, are the point. Raises InvalidInput TLC101 if one is missing."""
        by_name = {tensor.name: tensor for tensor in self.tensors}
        for name in names:
            if name not in by_name:
                raise InvalidInput("TLC101", "a variable is missing", expected=name, got=", ".join(by_name))
        inputs = [(name, v) for name in names for v in by_name[name].values]
        outputs = tuple(v for t in self.tensors if t.name not in names for v in t.values)
        return Witness("vnnlib-2.0", _finite(inputs), outputs)

    def split(self, n_inputs: int) -> Witness:
        """The first tensors that make up ``n_inputs`` values are the point. Raises InvalidInput TLC303 if none do."""
        sizes = [len(tensor.values) for tensor in self.tensors]
        cut = next((k for k in range(len(sizes) + 1) if sum(sizes[:k]) == n_inputs), None)
        if cut is None:
            raise _wrong_shape(n_inputs, "tensors of " + ", ".join(map(str, sizes)))
        inputs = [(t.name, v) for t in self.tensors[:cut] for v in t.values]
        outputs = tuple(v for t in self.tensors[cut:] for v in t.values)
        return Witness("vnnlib-2.0", _finite(inputs), outputs)


def load_witness(
    path: str | os.PathLike[str], n_inputs: int, names: Sequence[str] | None = None
) -> Witness | None:
    """The witness in a file for a query of ``n_inputs`` input values; None when the file holds no point.

    ``names``: of the query's input variables, in order, where it has several networks: an assignment then lists the
    inputs of one after the outputs of another. Without it the inputs come first.
    Raises InvalidInput: TLC101 malformed, TLC303 another number of inputs, TLC4xx as ``read_bytes``.
    """
    return read_witness(read_bytes(path, limit=MAX_WITNESS_BYTES), n_inputs, names, file=os.fspath(path))


def read_witness(
    data: bytes, n_inputs: int, names: Sequence[str] | None = None, *, file: str = ""
) -> Witness | None:
    """``load_witness`` of unpacked bytes."""
    try:
        content = _parse(_decode(data))
        if content is None:
            return None
        if isinstance(content, Assignment):
            witness = content.split(n_inputs) if names is None else content.named(names)
        else:
            witness = content
        if len(witness.inputs) != n_inputs:
            raise _wrong_shape(n_inputs, str(len(witness.inputs)))
        return witness
    except InvalidInput as error:
        raise error.in_file(file) from error.__cause__


def _decode(data: bytes) -> str:
    try:
        return without_mark(data, "TLC101").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput("TLC101", "not UTF-8 text", got=f"byte {error.start}") from error


def _parse(text: str) -> Witness | Assignment | None:
    start = _word_end(text)
    if start == len(text):
        return None
    return _pairs(text, start) if text[start] == "(" else _assignment(text, start)


def _word_end(text: str) -> int:
    match = _WORD.match(text)
    return 0 if match is None else match.end()


# VNN-COMP 1.0.


def _pairs(text: str, position: int) -> Witness | None:
    """Pairs inside one pair of parentheses, without it, or with its first one only."""
    given: dict[str, dict[int, str]] = {"X": {}, "Y": {}}
    wrapped = _PAIR.match(text, position) is None
    position = _skip(text, position + 1) if wrapped else position
    while match := _PAIR.match(text, position):
        kind, index, value = match.groups()
        if int(index) in given[kind]:
            raise InvalidInput(
                "TLC101", "variable given twice", field=_line(text, position), got=f"{kind}_{index}"
            )
        given[kind][int(index)] = value
        position = _skip(text, match.end())
    closed = wrapped and text.startswith(")", position)
    position = _skip(text, position + 1) if closed else position
    if position < len(text):
        raise _unexpected(text, position, "end of file" if closed else "(X_i value), (Y_i value) or )")
    if not given["X"] and not given["Y"]:
        if wrapped and not closed:
            raise _unexpected(text, position, "(X_i value), (Y_i value) or )")
        return None
    inputs = [(f"X_{i}", _value(v, f"X_{i}")) for i, v in enumerate(_in_order(given["X"], "X"))]
    outputs = tuple(_value(v, f"Y_{i}") for i, v in enumerate(_in_order(given["Y"], "Y")))
    return Witness("vnncomp-1.0", _finite(inputs), outputs)


def _in_order(given: dict[int, str], kind: str) -> list[str]:
    for i in range(len(given)):
        if i not in given:
            raise InvalidInput(
                "TLC101", "a variable is missing", expected=f"{kind}_{i}", got=f"{len(given)} others"
            )
    return [given[i] for i in range(len(given))]


# VNN-LIB 2.0.


def _assignment(text: str, position: int) -> Assignment:
    tensors: list[Tensor] = []
    lines = text[position:].split("\n")
    first = text.count("\n", 0, position) + 1
    k = 0
    while k < len(lines):
        if not _WORDS.search(lines[k]):
            k += 1
            continue
        header = _HEADER.fullmatch(lines[k])
        if header is None:
            raise InvalidInput(
                "TLC101",
                "not a witness",
                field=f"line {first + k}",
                expected="((X_0 value) ..) or a header NAME TYPE [d1,d2]",
                got=ascii(lines[k].strip()[:60]),
            )
        name, kind, dims = header.groups()
        shape = _shape(dims, name)
        words: list[str] = []
        k += 1
        while k < len(lines) and len(words) < prod(shape):
            words += _WORDS.findall(lines[k])
            k += 1
        if len(words) != prod(shape):
            raise InvalidInput(
                "TLC101", "wrong number of values", field=name, expected=str(prod(shape)), got=str(len(words))
            )
        tensors.append(
            Tensor(name, kind, shape, tuple(_value(w, f"{name}[{i}]") for i, w in enumerate(words)))
        )
    names = [tensor.name for tensor in tensors]
    if len(set(names)) != len(names):
        raise InvalidInput("TLC101", "variable given twice", got=next(n for n in names if names.count(n) > 1))
    return Assignment(tuple(tensors))


def _shape(text: str, name: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    if len(parts) > MAX_RANK or any(not part.isdigit() or len(part) > 9 for part in parts):
        raise InvalidInput("TLC101", "not a shape", field=name, got=f"[{text[:60]}]")
    shape = tuple(int(part) for part in parts)
    if prod(shape) > MAX_TENSOR_ELEMENTS:
        raise InvalidInput("TLC401", "too many values", field=name, expected=f"at most {MAX_TENSOR_ELEMENTS}")
    return shape


# Values.


def _value(text: str, name: str) -> Fraction | None:
    if _NOT_FINITE.fullmatch(text):
        return None
    return parse_decimal(text, code="TLC101", field=name)


def _finite(values: list[tuple[str, Fraction | None]]) -> tuple[Fraction, ...]:
    result = []
    for name, value in values:
        if value is None:
            raise InvalidInput("TLC101", "an input is not a finite number", field=name, got="nan or inf")
        result.append(value)
    return tuple(result)


def _wrong_shape(n_inputs: int, got: str) -> InvalidInput:
    return InvalidInput("TLC303", "wrong number of inputs", expected=str(n_inputs), got=got)


def _unexpected(text: str, position: int, expected: str) -> InvalidInput:
    got = ascii(text[position : position + 40]) if position < len(text) else "end of file"
    return InvalidInput("TLC101", "not a witness", field=_line(text, position), expected=expected, got=got)


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return position if match is None else match.end()


def _line(text: str, position: int) -> str:
    return f"line {text.count(chr(10), 0, position) + 1}"
