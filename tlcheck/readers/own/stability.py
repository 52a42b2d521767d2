"""Stability claims as written: systems, controllers, candidates, from JSON or TOML and the model files that they
name.

The fields are in certificates/formats/stability.md. Numbers are strings, exact; weights are the exact floats of the
files.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Final, Literal, TypeVar, get_args, get_type_hints

import msgspec
import numpy as np
from msgspec import UNSET, Struct, UnsetType

from tlcheck.errors import InvalidInput
from tlcheck.readers.asked import note_asked
from tlcheck.readers.bytes import without_mark
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.expressions import is_name, parse_expression
from tlcheck.readers.files import Files
from tlcheck.readers.kinds import instead
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.mlp import MAX_WEIGHTS
from tlcheck.readers.torchlean.numbers import checked_box, literal
from tlcheck.trusted.calculus.expression import Expression
from tlcheck.trusted.calculus.layers import Layer
from tlcheck.trusted.calculus.ranges import Box, Point
from tlcheck.trusted.science.closed_loop import Block, Loop
from tlcheck.trusted.science.dense_network import Dense, Matrix
from tlcheck.trusted.science.lyapunov_candidate import Candidate
from tlcheck.trusted.science.stability_conditions import ASYMPTOTIC, INVARIANT, PRACTICAL, Conditions
from tlcheck.trusted.science.stability_tree import TAGS, Cut, Tree

WORDS: Final = {"asymptotic": ASYMPTOTIC, "practical": PRACTICAL, "invariant": INVARIANT}
MAX_TREE_CHARACTERS: Final = 20_000_000
"""Some ten characters a leaf, for a million leaves and more."""

Activation = Literal["linear", "relu", "leaky_relu", "tanh", "sigmoid", "sin"]
Outer = Literal["linear", "abs", "tanh", "sigmoid"]


class Tensor(Struct, frozen=True, forbid_unknown_fields=True):
    file: str
    tensor: str


class Network(Struct, frozen=True, forbid_unknown_fields=True):
    """``file``, an ONNX model; or ``file`` with ``prefix`` (state dict, safetensors), or ``weights`` and ``biases``, and
    with these ``activation`` between layers and, for leaky relu only, ``slope``: nothing is taken for granted."""

    file: str = ""
    prefix: str | UnsetType = UNSET
    weights: list[list[list[str]]] = []
    biases: list[list[str]] = []
    activation: Activation | UnsetType = UNSET
    slope: str | UnsetType = UNSET


class Gram(Struct, frozen=True, forbid_unknown_fields=True):
    """``plus`` times the identity plus R^T R."""

    gram: Tensor | list[list[str]]
    plus: str = "0"


class Controller(Struct, frozen=True, forbid_unknown_fields=True):
    names: list[str]
    network: Network
    inputs: list[str]
    minus: list[str] = []
    outer: Outer = "linear"
    shift: list[str] = []
    clip: list[tuple[str, str]] = []


class Function(Struct, frozen=True, forbid_unknown_fields=True):
    network: Network | None = None
    difference: bool = True
    outer: Outer = "abs"
    l1: Gram | list[list[str]] = []
    quadratic: Gram | list[list[str]] = []


class Bounds(Struct, frozen=True, forbid_unknown_fields=True):
    lower: list[str]
    upper: list[str]


class Artifact(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A claim; with ``tree`` (and ``core``) or ``points``, a certificate."""

    format: Literal["tlcheck.stability/1"]
    time: Literal["discrete", "continuous"]
    statement: Literal["asymptotic", "practical", "invariant"]
    states: list[str]
    equations: list[str]
    V: Function
    region: Bounds
    level: str
    networks: list[Controller] = []
    equilibrium: list[str] = []
    inner_level: str | None = None
    decay: str = "0"
    core: Bounds | None = None
    tree: str = ""
    points: list[list[str]] = []


def read_toml(data: bytes, file: str) -> bytes:
    """The same in JSON. Raises InvalidInput TLC101."""
    try:
        return msgspec.json.encode(tomllib.loads(without_mark(data, "TLC101", file).decode("utf-8")))
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        wrong = InvalidInput("TLC101", f"not TOML: {error}", file=file)
        raise instead(wrong, data, file, "stability") from None


def read_artifact(data: bytes, file: str) -> Artifact:
    """Raises InvalidInput TLC101 or TLC106."""
    try:
        return decode(data, Artifact, file)
    except InvalidInput as error:
        if (better := instead(error, data, file, "stability")) is not error:
            raise better from None
        words = _words(error.field.rpartition(".")[2])
        if not error.message.startswith("Invalid enum value") or not words:
            raise
        got = error.message.removeprefix("Invalid enum value ")
        raise InvalidInput(
            error.code, "none of the words of this field", file=file, field=error.field,
            expected=" or ".join(words), got=got,
        ) from None  # fmt: skip


def _words(name: str) -> tuple[str, ...]:
    """What the field of that name may be, when it is one of several words."""
    hints = (get_type_hints(kind).get(name) for kind in (Artifact, Controller, Function, Network))
    return next((words for words in map(_literals, hints) if words), ())


def _literals(hint: object) -> tuple[str, ...]:
    inner = get_args(hint)
    return tuple(w for part in inner for w in ((part,) if isinstance(part, str) else _literals(part)))


def conditions_of(artifact: Artifact, files: Files) -> Conditions:
    """The claim. Raises InvalidInput TLC101, TLC2xx, TLC401, TLC402."""
    names = _names(artifact.states, [], "states")
    n = len(names)
    region = box_of(artifact.region, n, "region")
    for k, (low, high) in enumerate(region):
        if low == high:
            raise InvalidInput("TLC101", "an interval without interior", field=f"region[{k}]")
    _sized(artifact.equations, n, "equations")
    if artifact.equilibrium:
        _sized(artifact.equilibrium, n, "equilibrium")
    centre = _numbers(artifact.equilibrium or ["0"] * n, "equilibrium")
    inner = _belongs(
        artifact.inner_level, artifact.statement == "practical", "inner_level", "practical claim"
    )
    core = _belongs(
        artifact.core, artifact.statement == "asymptotic", "core", "asymptotic claim", always=False
    )
    if artifact.time == "continuous" and exact_number(artifact.decay, field="decay"):
        raise InvalidInput("TLC101", "only in discrete time", field="decay", got=ascii(artifact.decay[:40]))
    blocks = []
    for k, controller in enumerate(artifact.networks):
        blocks.append(_block(controller, names, files, f"networks[{k}]"))
        names = names + list(controller.names)
    try:
        loop = Loop(
            artifact.time == "discrete",
            tuple(artifact.states),
            _expressions(artifact.equations, names, "equations"),
            tuple(blocks),
        )
        return Conditions(
            WORDS[artifact.statement],
            loop,
            _candidate(artifact.V, centre, artifact.states, files),
            region,
            exact_number(artifact.level, field="level"),
            exact_number(artifact.decay, field="decay"),
            None if inner is None else exact_number(inner, field="inner_level"),
            None if core is None else box_of(core, n, "core"),
        )
    except ValueError as error:
        raise InvalidInput("TLC204", str(error)) from None


T = TypeVar("T")


def _belongs(value: T | None, claimed: bool, field: str, claim: str, *, always: bool = True) -> T | None:
    """A field that only some claims have; these ``always``, or not before they have a proof."""
    if value is not None and not claimed:
        raise InvalidInput("TLC101", f"only in a{'n' * (claim[0] in 'aeiou')} {claim}", field=field)
    if value is None and claimed and always:
        raise InvalidInput("TLC101", "missing", field=field, expected=f"a number, in a {claim}")
    return value


def _sized(values: Sequence[object], size: int, field: str, each: str = "state") -> None:
    if len(values) != size:
        raise InvalidInput(
            "TLC101", "wrong length", field=field, expected=f"{size}, one per {each}", got=str(len(values))
        )


def box_of(bounds: Bounds, n: int, field: str) -> Box:
    for end, texts in (("lower", bounds.lower), ("upper", bounds.upper)):
        _sized(texts, n, f"{field}.{end}")
    lower, upper = _numbers(bounds.lower, f"{field}.lower"), _numbers(bounds.upper, f"{field}.upper")
    return checked_box(tuple(zip(lower, upper, strict=True)), field)


def _candidate(v: Function, centre: Point, states: Sequence[str], files: Files) -> Candidate:
    n = len(centre)
    network = None if v.network is None else _network(v.network, files, "V.network", states)
    if network is not None:
        _fits(network, n, 1, "V.network")
    l1, quadratic = (
        _matrix(m, n, files, f"V.{name}") for name, m in (("l1", v.l1), ("quadratic", v.quadratic))
    )
    if quadratic:
        _sized(quadratic, n, "V.quadratic")
        for i, j in product(range(n), repeat=2):
            if quadratic[i][j] != quadratic[j][i]:
                raise InvalidInput("TLC101", "not symmetric", field=f"V.quadratic[{i}][{j}]")
    if network is None and not l1 and not quadratic:
        raise InvalidInput("TLC101", "no term", field="V", expected="network, l1 or quadratic")
    return Candidate(centre, network, v.difference, v.outer, l1, quadratic)


def _fits(network: Dense, inputs: int, outputs: int, field: str) -> None:
    if (network.inputs, network.outputs) != (inputs, outputs):
        raise InvalidInput(
            "TLC204", "a network of another size", field=field, expected=f"{inputs} in, {outputs} out",
            got=f"{network.inputs} in, {network.outputs} out",
        )  # fmt: skip


def _block(controller: Controller, names: list[str], files: Files, field: str) -> Block:
    outputs = _names(controller.names, names, f"{field}.names")
    clip = []
    for k, ends in enumerate(controller.clip):
        low, high = (exact_number(end, field=f"{field}.clip[{k}]") for end in ends)
        if low > high:
            raise InvalidInput(
                "TLC101", "an empty interval", field=f"{field}.clip[{k}]", expected="lower, upper",
                got=ascii(", ".join(ends)[:80])[1:-1],
            )  # fmt: skip
        clip.append((low, high))
    for values, count, each, name in (
        (controller.minus, len(controller.inputs), "input", "minus"),
        (controller.shift, len(outputs), "name", "shift"),
        (clip, len(outputs), "name", "clip"),
    ):
        if values:
            _sized(values, count, f"{field}.{name}", each)
    plain = [text.strip() if text.strip() in names else None for text in controller.inputs]
    network = _network(controller.network, files, f"{field}.network", plain, controller.names)
    _fits(network, len(controller.inputs), len(outputs), f"{field}.network")
    return Block(
        tuple(outputs),
        network,
        _expressions(controller.inputs, names, f"{field}.inputs"),
        _expressions(controller.minus, names, f"{field}.minus"),
        controller.outer,
        _numbers(controller.shift, f"{field}.shift"),
        tuple(clip),
    )


def _names(texts: Sequence[str], known: Sequence[str], field: str) -> list[str]:
    """New names, besides those that are ``known``."""
    for k, text in enumerate(texts):
        if not is_name(text):
            raise InvalidInput("TLC101", "not a name", field=f"{field}[{k}]", got=ascii(text[:40]))
        if text in known or text in texts[:k]:
            raise InvalidInput("TLC101", "a name defined twice", field=f"{field}[{k}]", got=text)
    if not texts:
        raise InvalidInput("TLC101", "no name", field=field)
    return list(texts)


def _expressions(texts: Sequence[str], names: Sequence[str], field: str) -> tuple[Expression, ...]:
    def number(digits: str) -> Fraction:
        return literal(exact_number(digits, field=field), field)

    return tuple(
        parse_expression(text, names, field=f"{field}[{k}]", number=number) for k, text in enumerate(texts)
    )


def _numbers(texts: Sequence[str], field: str) -> Point:
    return tuple(literal(exact_number(text, field=f"{field}[{k}]"), field) for k, text in enumerate(texts))


# Matrices and networks.

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def _matrix(given: Gram | list[list[str]], n: int, files: Files, field: str) -> Matrix:
    if isinstance(given, list):
        for k, texts in enumerate(given):
            _sized(texts, n, f"{field}[{k}]")
        return tuple(_numbers(row, f"{field}[{k}]") for k, row in enumerate(given))
    source, plus = given.gram, exact_number(given.plus, field=f"{field}.plus")
    rows = (
        tuple(_numbers(row, f"{field}.gram[{k}]") for k, row in enumerate(source))
        if isinstance(source, list)
        else _rows(_tensor(_tensors(source.file, files, f"{field}.gram"), source.tensor, 2, field))
    )
    for k, row in enumerate(rows):
        _sized(row, n, f"{field}.gram[{k}]")
    return tuple(
        tuple(sum((r[i] * r[j] for r in rows), plus if i == j else Fraction(0)) for j in range(n))
        for i in range(n)
    )


def _network(
    given: Network,
    files: Files,
    field: str,
    inputs: Sequence[str | None] = (),
    outputs: Sequence[str | None] = (),
) -> Dense:
    """``inputs``, ``outputs``: what the values are named in the artifact, where they are; a model may not name them otherwise."""
    if bool(given.file) == bool(given.weights or given.biases):
        raise InvalidInput("TLC101", "a network is a file, or weights and biases", field=field)
    if not given.file:
        _unused(given, "a network written out", field, "prefix")
        _sized(given.biases, len(given.weights), f"{field}.biases", "layer")
        pairs = [
            (tuple(_numbers(row, f"{field}.weights") for row in w), _numbers(b, f"{field}.biases"))
            for w, b in zip(given.weights, given.biases, strict=True)
        ]
        return _dense(pairs, *_activation(given, len(pairs), field), field)
    if given.file.endswith(".onnx"):
        from tlcheck.readers.own.stability_onnx import read_layers

        note_asked("tlcheck.readers.own.stability_onnx")
        _unused(given, "an ONNX model", field, "prefix", "activation", "slope")
        return _dense(*read_layers(given.file, files, field, inputs, outputs), field)
    prefix = f"{given.prefix}." if given.prefix else ""
    tensors = {k: v for k, v in _tensors(given.file, files, field).items() if k.startswith(prefix)}
    name = re.compile(re.escape(prefix) + r"(0|[1-9][0-9]{0,5})\.(weight|bias)")
    layers = sorted({int(m[1]) for key in tensors if (m := name.fullmatch(key))})
    other = next((key for key in tensors if not name.fullmatch(key)), None)
    if other is not None or not layers:
        raise InvalidInput(
            "TLC201", "not dense layers only", field=f"{field}.prefix",
            expected=ascii(f"{prefix}<i>.weight and {prefix}<i>.bias"[:120])[1:-1],
            got="none" if other is None else ascii(other[:80])[1:-1],
        )  # fmt: skip
    found = [
        (
            _rows(_tensor(tensors, f"{prefix}{i}.weight", 2, field)),
            tuple(map(Fraction, _tensor(tensors, f"{prefix}{i}.bias", 1, field).tolist())),
        )
        for i in layers
    ]
    return _dense(found, *_activation(given, len(layers), field), field)


def _unused(given: Network, what: str, field: str, *names: str) -> None:
    """Refuse fields that would change nothing."""
    for name in names:
        if getattr(given, name) is not UNSET:
            raise InvalidInput("TLC101", f"not for {what}", field=f"{field}.{name}")


def _activation(given: Network, layers: int, field: str) -> tuple[str, Fraction]:
    """The activation between ``layers``, which must be given, and its slope. Raises InvalidInput TLC101."""
    if given.activation is UNSET and layers > 1:
        raise InvalidInput(
            "TLC101", "missing", field=f"{field}.activation", expected=" or ".join(_words("activation"))
        )
    name = "linear" if given.activation is UNSET else given.activation
    if name != "leaky_relu":
        _unused(given, name, field, "slope")
        return name, Fraction(0)
    if given.slope is UNSET:
        raise InvalidInput("TLC101", "missing", field=f"{field}.slope", expected="that below zero")
    return name, exact_number(given.slope, field=f"{field}.slope")


def _dense(pairs: Sequence[tuple[Matrix, Point]], activation: str, slope: Fraction, field: str) -> Dense:
    if sum(len(row) for weight, _ in pairs for row in weight) > MAX_WEIGHTS:
        raise InvalidInput("TLC401", "too many weights", field=field, expected=f"at most {MAX_WEIGHTS}")
    width = len(pairs[0][0][0]) if pairs and pairs[0][0] else 0
    for k, (weight, bias) in enumerate(pairs):
        for row in weight:
            _sized(row, width, f"{field} layer {k}", "input")
        _sized(bias, len(weight), f"{field} layer {k} bias", "output")
        width = len(bias)
    try:
        return Dense(tuple(Layer(weight, bias) for weight, bias in pairs), activation, slope)
    except ValueError as error:
        raise InvalidInput("TLC204", str(error), field=field) from None


class Stored(Struct, frozen=True):
    shape: list[int]
    data: list[str]


class StateDict(Struct, frozen=True):
    """``tensors``: name -> shape and data, its numbers as hexadecimal floats (or any exact number that is a double)."""

    tensors: dict[str, Stored]


def _tensors(name: str, files: Files, field: str) -> Mapping[str, Array]:
    data = files.read(name, f"{field}.file")
    if name.endswith(".safetensors"):
        from tlcheck.readers.sequential.weights import read_tensors

        note_asked("tlcheck.readers.sequential.weights")
        return {key: known.array.astype(np.float64) for key, known in read_tensors(data).items()}
    found = {}
    for key, stored in decode(data, StateDict, name).tensors.items():
        numbers = [exact_number(text, field=f"{name}: {ascii(key)[1:-1]}") for text in stored.data]
        try:
            array = np.array([float(q) for q in numbers], np.float64)
            exact = all(Fraction(x) == q for x, q in zip(array.tolist(), numbers, strict=True))
        except OverflowError:
            exact = False
        if not exact:
            raise InvalidInput("TLC203", "a weight that is no double", field=f"{name}: {ascii(key)[1:-1]}")
        try:
            if any(s < 0 for s in stored.shape):
                raise ValueError("a negative size")
            found[key] = array.reshape(stored.shape)
        except (ValueError, OverflowError):
            raise InvalidInput(
                "TLC204", "shape and data differ", field=f"{name}: {ascii(key)[1:-1]}"
            ) from None
    return found


def _tensor(tensors: Mapping[str, Array], name: str, rank: int, field: str) -> Array:
    found = tensors.get(name)
    if found is None or found.ndim != rank or not found.size:
        raise InvalidInput(
            "TLC201", f"no tensor of {rank} axes of that name", field=field, got=ascii(name[:80])
        )
    return found


def _rows(array: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Matrix:
    return tuple(tuple(map(Fraction, row)) for row in array.astype(np.float64).tolist())


# Trees.


def read_tree(text: str) -> Tree:
    """Tokens in preorder: a tag, or ``axis`` (halved) or ``axis@number`` (cut there). Raises InvalidInput TLC101 or TLC401."""
    if len(text) > MAX_TREE_CHARACTERS:
        raise InvalidInput(
            "TLC401", "tree too long", field="tree", expected=f"at most {MAX_TREE_CHARACTERS} characters"
        )
    tree: list[Cut | str] = []
    for token in text.split():
        if token in TAGS:
            tree.append(token)
            continue
        axis, at, number = token.partition("@")
        if not (axis.isascii() and axis.isdigit() and len(axis) < 4):
            raise InvalidInput("TLC101", "neither a leaf nor a cut", field="tree", got=ascii(token[:40]))
        tree.append(Cut(int(axis), literal(exact_number(number, field="tree"), "tree") if at else None))
    return tuple(tree)


def tree_text(tree: Tree) -> str:
    """What ``read_tree`` reads as the same tree."""
    return " ".join(
        n if isinstance(n, str) else str(n.axis) if n.at is None else f"{n.axis}@{n.at}" for n in tree
    )
