"""Dense networks in JSON: the exact layers that a file denotes.

Two layouts are read:

- layers: ``layers.<i>.weight`` (out, in) and ``layers.<i>.bias``, in the order of i, at the top or under ``params``;
  ``meta.activation``, between layers, is relu, tanh (also when it is missing) or sin (sine, siren);
- lists: ``weights``, ``biases`` and ``activations``, one a layer; ``activations`` missing: relu throughout.

TorchLean takes any other activation for tanh (first layout) or the identity (second); such a file is refused here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from tlcheck.errors import InvalidInput
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.layers import LAYER, check_layers
from tlcheck.readers.torchlean.numbers import Read, number_reader
from tlcheck.trusted.calculus.layers import Layer
from tlcheck.trusted.calculus.mlp import Mlp

T = TypeVar("T")
MAX_INPUTS: Final = 64
"""Most inputs of a network whose derivatives are enclosed: second ones take the square of it."""
MAX_WEIGHTS: Final = 1 << 20
"""Most weights: one ball each, for every box."""

_BETWEEN: Final = {"relu": "relu", "tanh": "tanh", "sin": "sin", "sine": "sin", "siren": "sin"}
ACTIVATIONS: Final = {
    "relu": "relu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "sin": "sin",
    "linear": "linear",
    "none": "linear",
}


class ListsFile(Struct, frozen=True):
    weights: list[list[list[Raw]]]
    biases: list[list[Raw]]
    activations: list[str] | None = None


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
