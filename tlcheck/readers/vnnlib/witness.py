"""Witness files of VNN-COMP: the point a tool published with its answer ``sat``, read exactly.

Two formats, plain or gzip, each with or without the tool's answer as the first word:

- VNN-COMP 1.0: one S-expression of pairs, in any spacing and order: ``((X_0 0.5) (X_1 -1e-3) (Y_0 2))``. The outer
  parentheses, or only the last one, may be missing: 264 published files stop after their last pair. The
  competition reads them too, each number in them is complete, and the number of inputs is still checked.
- VNN-LIB 2.0 assignments: for each declared variable a header ``NAME TYPE [d1,d2]``, then its values, row-major.

Guarantee: every number is the rational its decimal denotes; each variable is given once and none is left out. Values
belong to the variable that the file names (and the index), in whatever order it lists them: a name that the query has not,
one that is missing, or a shape that is not the declared one is refused. Only where nothing has names (a query of VNN-LIB
1.0 and names that neither it nor the model uses) are the first tensors the inputs. What a file calls outputs is kept
apart and is never evidence; a file may leave all of them out. An input that is ``nan`` or ``inf`` makes the file malformed;
such an output is None.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_RANK, MAX_TENSOR_ELEMENTS, MIB
from tlcheck.readers.bytes import read_bytes, without_mark
from tlcheck.readers.decimals import parse_decimal
from tlcheck.readers.kinds import instead
from tlcheck.readers.vnnlib.places import Named, inputs_of, outputs_of, squeezed
from tlcheck.readers.vnnlib.version2 import Property
from tlcheck.trusted.graph import Graph

MAX_WITNESS_BYTES: Final = 64 * MIB
"""Largest witness, unpacked: a point of 150,528 decimals (vggnet16) has 5 MiB."""

_WORD: Final = re.compile(
    r"[ \t\r\n]*+(?:(sat|unsat|unknown|timeout|timed-out|error|holds|violated)(?![^ \t\r\n()]))?[ \t\r\n]*+",
    re.IGNORECASE,
)
_PAIR: Final = re.compile(r"\([ \t\r\n]*+([XY])_(0|[1-9][0-9]{0,8})[ \t\r\n]++([^ \t\r\n()]++)[ \t\r\n]*+\)")
_FLAT: Final = re.compile(r"[XY]_(?:0|[1-9][0-9]{0,8})")
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
class Names:
    """What a witness of a query may call its variables, each side in the order of its flat values.

    ``declared``: by the query itself (VNN-LIB 2.0), with these shapes; else ``inputs`` and ``outputs`` are the model's
    tensors, and a file may also say X and Y, or X_0, X_1, ...
    """

    inputs: tuple[Named, ...]
    outputs: tuple[Named, ...]
    declared: bool

    @classmethod
    def of(cls, found: Property, graph: Graph | None) -> Names:
        """Of a property, about a model where one is known."""
        if not found.networks:
            inputs, outputs = ([], []) if graph is None else (inputs_of(graph), outputs_of(graph))
            return cls(tuple(inputs), tuple(outputs), False)
        tensors = [t for network in found.networks for t in network.tensors]
        inner = sorted((t for t in tensors if t.kind != "input"), key=lambda t: t.start)
        return cls(
            tuple((t.name, t.shape) for t in tensors if t.kind == "input"),
            tuple((t.name, t.shape) for t in inner),
            True,
        )

    def all(self) -> list[str]:
        return [name for name, _ in (*self.inputs, *self.outputs)]


NO_NAMES: Final = Names((), (), False)


@dataclass(frozen=True)
class Assignment:
    """A VNN-LIB 2.0 file: which tensors are inputs only the query or the network says."""

    tensors: tuple[Tensor, ...]

    def witness(self, n_inputs: int, names: Names) -> Witness:
        """The point, by names; by place where neither the query nor the model has any of them. Raises InvalidInput."""
        if names.declared:
            return self._named(names)
        given = {tensor.name for tensor in self.tensors}
        whole = {"X", "Y"} & given
        if whole == {"Y"}:
            raise _wrong_shape(n_inputs, "Y alone")
        if whole:
            return self._named(Names((("X", (n_inputs,)),), (("Y", ()),) * ("Y" in given), False))
        if any(_FLAT.fullmatch(name) for name in given):
            count = sum(name.startswith("Y_") for name in given)
            x, y = (
                tuple((f"{kind}_{i}", ()) for i in range(n)) for kind, n in (("X", n_inputs), ("Y", count))
            )
            return self._named(Names(x, y, False))
        if given & set(names.all()):
            return self._named(names)
        return self._split(n_inputs)

    def _named(self, names: Names) -> Witness:
        """Every tensor is one of ``names``, every input is there, and every output or none."""
        by_name = {tensor.name: tensor for tensor in self.tensors}
        known = set(names.all())
        expected = ", ".join(names.all()[:20])
        for tensor in self.tensors:
            if tensor.name not in known:
                raise InvalidInput(
                    "TLC101", "a variable that is not the query's", expected=expected, got=tensor.name
                )
        some = any(name in by_name for name, _ in names.outputs)
        wanted = (*names.inputs, *(names.outputs if some else ()))
        for name, shape in wanted:
            if name not in by_name:
                raise InvalidInput(
                    "TLC101", "a variable is missing", expected=name, got=", ".join(by_name)[:200]
                )
            there = by_name[name]
            fits = (
                squeezed(there.shape) == squeezed(shape)
                if names.declared
                else name == "Y" or len(there.values) == prod(shape)
            )
            if not fits:
                raise InvalidInput(
                    "TLC303", "not the declared shape", field=name, expected=str(list(shape)),
                    got=str(list(there.shape)),
                )  # fmt: skip
        inputs = [(name, v) for name, _ in names.inputs for v in by_name[name].values]
        outputs = tuple(v for name, _ in wanted[len(names.inputs) :] for v in by_name[name].values)
        return Witness("vnnlib-2.0", _finite(inputs), outputs)

    def _split(self, n_inputs: int) -> Witness:
        """The first tensors that make up ``n_inputs`` values are the point. Raises InvalidInput TLC303 if none do."""
        sizes = [len(tensor.values) for tensor in self.tensors]
        cut = next((k for k in range(len(sizes) + 1) if sum(sizes[:k]) == n_inputs), None)
        if cut is None:
            raise _wrong_shape(n_inputs, "tensors of " + ", ".join(map(str, sizes)))
        inputs = [(t.name, v) for t in self.tensors[:cut] for v in t.values]
        outputs = tuple(v for t in self.tensors[cut:] for v in t.values)
        return Witness("vnnlib-2.0", _finite(inputs), outputs)


@dataclass(frozen=True)
class Pairs:
    """A VNN-COMP 1.0 file: the values of X_i and of Y_j, by index."""

    given: dict[str, dict[int, Fraction | None]]

    def witness(self, names: Names) -> Witness:
        """X_i is the i-th input value and Y_j the j-th output value, unless the query declares these names otherwise.

        Raises InvalidInput.
        """
        if names.declared:
            own = names.all()
            if any(_FLAT.fullmatch(name) for name in own):
                tensors = [
                    Tensor(f"{kind}_{i}", "real", (), (value,))
                    for kind, values in self.given.items()
                    for i, value in values.items()
                ]
                return replace(Assignment(tuple(tensors))._named(names), format="vnncomp-1.0")
            for kind, declared in (("X", names.inputs), ("Y", names.outputs)):
                if kind in own and [name for name, _ in declared] != [kind]:
                    raise InvalidInput(
                        "TLC101", f"{kind}_0, {kind}_1, .. are not the values of the query's {kind}",
                        expected=f"an assignment to {', '.join(own)} with headers NAME TYPE [d1,d2]",
                    )  # fmt: skip
        for kind, values in self.given.items():
            for i in range(len(values)):
                if i not in values:
                    raise InvalidInput(
                        "TLC101", "a variable is missing", expected=f"{kind}_{i}", got=f"{len(values)} others"
                    )
        x, y = self.given["X"], self.given["Y"]
        return Witness(
            "vnncomp-1.0",
            _finite([(f"X_{i}", x[i]) for i in range(len(x))]),
            tuple(y[j] for j in range(len(y))),
        )


def load_witness(path: str | os.PathLike[str], n_inputs: int, names: Names = NO_NAMES) -> Witness | None:
    """The witness in a file for a query of ``n_inputs`` input values; None when the file holds no point.

    ``names``: of the variables of the query, or of its model's tensors.
    Raises InvalidInput: TLC101 malformed, TLC303 another number of inputs, TLC4xx as ``read_bytes``.
    """
    return read_witness(read_bytes(path, limit=MAX_WITNESS_BYTES), n_inputs, names, file=os.fspath(path))


def read_witness(data: bytes, n_inputs: int, names: Names = NO_NAMES, *, file: str = "") -> Witness | None:
    """``load_witness`` of unpacked bytes."""
    try:
        content = _parse(_decode(data))
        if content is None:
            return None
        witness = (
            content.witness(n_inputs, names) if isinstance(content, Assignment) else content.witness(names)
        )
        if len(witness.inputs) != n_inputs:
            raise _wrong_shape(n_inputs, str(len(witness.inputs)))
        return witness
    except InvalidInput as error:
        better = instead(error, data, file, "witness") if error.code == "TLC101" else error
        raise better.in_file(file) from error.__cause__


def _decode(data: bytes) -> str:
    try:
        return without_mark(data, "TLC101").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput("TLC101", "not UTF-8 text", got=f"byte {error.start}") from error


def _parse(text: str) -> Pairs | Assignment | None:
    start = _word_end(text)
    if start == len(text):
        return None
    return _pairs(text, start) if text[start] == "(" else _assignment(text, start)


def _word_end(text: str) -> int:
    match = _WORD.match(text)
    return 0 if match is None else match.end()


# VNN-COMP 1.0.


def _pairs(text: str, position: int) -> Pairs | None:
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
    return Pairs(
        {kind: {i: _value(v, f"{kind}_{i}") for i, v in values.items()} for kind, values in given.items()}
    )


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
