"""Dense networks in JSON, and the numbers of TorchLean's JSON: the exact layers that a file denotes.

Two layouts are read:

- layers: ``layers.<i>.weight`` (out, in) and ``layers.<i>.bias``, in the order of i, at the top or under ``params``;
  ``meta.activation``, between layers, is relu, tanh (also when it is missing) or sin (sine, siren);
- lists: ``weights``, ``biases`` and ``activations``, one a layer; ``activations`` missing: relu throughout.

TorchLean takes any other activation for tanh (first layout) or the identity (second); such a file is refused here.
A *number* is a JSON number, or a string that holds one: the nearest binary64 unless decimals are read exactly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from math import isfinite
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_DECIMAL_DIGITS
from tlcheck.readers.decimals import parse_decimal
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.state_dict import LAYER, check_layers
from tlcheck.trusted.calculus.layers import Layer
from tlcheck.trusted.calculus.mlp import Mlp

T = TypeVar("T")
Read = Callable[[Raw, str], Fraction]
"""A number as written, and its field, to its value. Raises InvalidInput TLC101, TLC106 or TLC401."""

MAX_INPUTS: Final = 64
"""Most inputs of a network whose derivatives are enclosed: second ones take the square of it."""
MAX_LITERAL_BITS: Final = 14_000
"""Longest number of a formula: 4200 digits, a little below Python's limit on int to str."""
MAX_WEIGHTS: Final = 1 << 20
"""Most weights: one ball each, for every box."""

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+")
_BETWEEN: Final = {"relu": "relu", "tanh": "tanh", "sin": "sin", "sine": "sin", "siren": "sin"}
ACTIVATIONS: Final = {
    "relu": "relu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "sin": "sin",
    "linear": "linear",
    "none": "linear",
}


class Ends(Struct, frozen=True):
    lo: Raw
    hi: Raw


class EndLists(Struct, frozen=True):
    lo: list[Raw]
    hi: list[Raw]


class ListsFile(Struct, frozen=True):
    weights: list[list[list[Raw]]]
    biases: list[list[Raw]]
    activations: list[str] | None = None


def number_reader(decimals: str) -> Read:
    """How numbers are read: ``exact``, or as the nearest binary64 (``format`` means that, here)."""
    return _exact if decimals == "exact" else _binary64


def decimals_text(decimals: str) -> str:
    """For reports."""
    return "exact" if decimals == "exact" else "nearest binary64"


def literal(value: Fraction, field: str) -> Fraction:
    """The value, when it is of a size that Python writes out: formulas are printed. Raises InvalidInput TLC401."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_LITERAL_BITS:
        raise InvalidInput("TLC401", "a number of a formula has too many digits", field=field)
    return value


def interval(ends: Ends, read: Read, field: str) -> tuple[Fraction, Fraction]:
    return read(ends.lo, f"{field}.lo"), read(ends.hi, f"{field}.hi")


def intervals(ends: EndLists, read: Read, field: str, count: int) -> list[tuple[Fraction, Fraction]]:
    """Raises InvalidInput TLC101 unless there are ``count``."""
    for name, values in (("lo", ends.lo), ("hi", ends.hi)):
        if len(values) != count:
            raise InvalidInput(
                "TLC101", "wrong length", field=f"{field}.{name}", expected=str(count), got=str(len(values))
            )
    return [
        (read(low, f"{field}.lo[{k}]"), read(high, f"{field}.hi[{k}]"))
        for k, (low, high) in enumerate(zip(ends.lo, ends.hi, strict=True))
    ]


def read_network(data: bytes, file: str, decimals: str) -> Mlp:
    """The network. Raises InvalidInput TLC101, TLC106, TLC201, TLC202, TLC204 or TLC401."""
    read = number_reader(decimals)
    try:
        top = decode(data, dict[str, Raw], file)
        if "weights" in top:
            return from_lists(decode(data, ListsFile, file), read)
        return _from_layers(top, read)
    except InvalidInput as error:
        raise error.in_file(file) from None


def from_lists(lists: ListsFile, read: Read, field: str = "") -> Mlp:
    activations = ["relu"] * len(lists.weights) if lists.activations is None else lists.activations
    if not len(lists.weights) == len(lists.biases) == len(activations):
        raise InvalidInput("TLC204", "weights, biases and activations differ in number", field=field)
    layers = []
    for k, (weight, bias, name) in enumerate(zip(lists.weights, lists.biases, activations, strict=True)):
        if name not in ACTIVATIONS:
            raise unsupported_activation(name, f"{field}activations[{k}]", ACTIVATIONS)
        layers.append((weight, bias, ACTIVATIONS[name], f"{field}weights[{k}]"))
    return network(layers, read)


def network(layers: Iterable[tuple[list[list[Raw]], list[Raw], str, str]], read: Read) -> Mlp:
    """The network of (weight, bias, activation, field of the weight). Raises InvalidInput TLC204 or TLC401."""
    listed = list(layers)
    if sum(len(row) for weight, _, _, _ in listed for row in weight) > MAX_WEIGHTS:
        raise InvalidInput("TLC401", "too many weights", expected=f"at most {MAX_WEIGHTS}")
    built = []
    for weight, bias, activation, field in listed:
        try:
            built.append(
                Layer(
                    tuple(tuple(read(x, f"{field}[{i}]") for x in row) for i, row in enumerate(weight)),
                    tuple(read(x, f"bias of {field}") for x in bias),
                    activation,
                )
            )
        except ValueError as error:
            raise InvalidInput("TLC204", str(error), field=field) from None
    try:
        result = Mlp(tuple(built))
    except ValueError as error:
        raise InvalidInput("TLC204", str(error)) from None
    if result.inputs > MAX_INPUTS:
        raise InvalidInput(
            "TLC401", "too many inputs", expected=f"at most {MAX_INPUTS}", got=str(result.inputs)
        )
    return result


def _from_layers(top: dict[str, Raw], read: Read) -> Mlp:
    check_layers(top)
    params = part(top["params"], dict[str, Raw], "params") if "params" in top else top
    weights: dict[int, list[list[Raw]]] = {}
    biases: dict[int, list[Raw]] = {}
    for name, value in params.items():
        match = LAYER.fullmatch(name)
        if match is None:
            continue
        index = int(match[1])
        if match[2] == "weight":
            weights[index] = part(value, list[list[Raw]], name)
        else:
            biases[index] = part(value, list[Raw], name)
    if not weights or weights.keys() != biases.keys():
        raise InvalidInput(
            "TLC201",
            "not a network",
            expected="layers.<i>.weight with layers.<i>.bias, or weights and biases",
        )
    between = _activation(top)
    order = sorted(weights)
    return network(
        (
            (weights[i], biases[i], between if i != order[-1] else "linear", f"layers.{i}.weight")
            for i in order
        ),
        read,
    )


def _activation(top: dict[str, Raw]) -> str:
    meta = part(top["meta"], dict[str, Raw], "meta") if "meta" in top else {}
    name = part(meta["activation"], str, "meta.activation") if "activation" in meta else "tanh"
    if name.lower() not in _BETWEEN:
        raise unsupported_activation(name, "meta.activation", _BETWEEN)
    return _BETWEEN[name.lower()]


def part(raw: Raw, kind: type[T], field: str) -> T:
    """A piece of JSON that was strict already, as a ``kind``. Raises InvalidInput TLC101."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidInput("TLC101", str(error).partition(" - at ")[0], field=field) from None


def unsupported_activation(name: str, field: str, known: Iterable[str]) -> InvalidInput:
    expected = ", ".join(sorted(known))
    return InvalidInput(
        "TLC202", "unsupported activation", field=field, expected=expected, got=ascii(name[:40])
    )


def _exact(raw: Raw, field: str) -> Fraction:
    return parse_decimal(_literal(raw, field), code="TLC101", field=field)


def _binary64(raw: Raw, field: str) -> Fraction:
    value = float(_literal(raw, field))
    if not isfinite(value):
        raise InvalidInput("TLC106", "number out of range", field=field)
    return Fraction(value)


def _literal(raw: Raw, field: str) -> str:
    """The text of a JSON number, bare or in a string."""
    text = bytes(raw).decode("utf-8")
    if text[:1] == '"':
        text = json.loads(text)
    if len(text) > 3 * MAX_DECIMAL_DIGITS or _NUMBER.fullmatch(text) is None:
        raise InvalidInput("TLC101", "not a number", field=field, got=ascii(text[:60]))
    return text
