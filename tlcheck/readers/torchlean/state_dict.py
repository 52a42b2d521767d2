"""State dicts in JSON, and the dense networks they denote.

``{name: nested lists}``, at the top or under ``params``; other top-level fields are ignored. Every number is read as the
nearest binary64: such files store the floats of a network. ``layers.<i>.weight`` (out, in) and ``layers.<i>.bias`` make a
dense network, layers in the order of i, with ReLU between them unless ``meta.activation`` says tanh or sigmoid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Raw
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_TENSOR_ELEMENTS
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.builder import Builder
from tlcheck.readers.torchlean.layers import LAYER, check_layers, member
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh

Array = NDArray[np.float64]
StateDict = Mapping[str, Array]

_ACTIVATIONS: Final[Mapping[str, type[Elementwise]]] = {"relu": Relu, "tanh": Tanh, "sigmoid": Sigmoid}


def read_state_dict(data: bytes, file: str) -> StateDict:
    """Every entry that is a number or nested lists of numbers. Raises InvalidInput TLC101, TLC106, TLC201."""
    top = decode(data, dict[str, Raw], file)
    raw = member(top, "params", file) if "params" in top else top
    found = {name: array for name, value in raw.items() if (array := _array(value, name, file)) is not None}
    if not found:
        raise InvalidInput("TLC201", "a state dict without parameters", file=file)
    return found


def read_dense(data: bytes, file: str) -> Graph:
    """The dense network of a state dict. Raises InvalidInput TLC101, TLC106, TLC201, TLC202, TLC204."""
    top = decode(data, dict[str, Raw], file)
    meta = member(top, "meta", file) if "meta" in top else {}
    named = msgspec.json.decode(meta["activation"]) if "activation" in meta else "relu"
    if not isinstance(named, str) or named not in _ACTIVATIONS:
        raise InvalidInput(
            "TLC202", "unsupported activation", file=file, field="meta.activation",
            expected=", ".join(_ACTIVATIONS), got=ascii(named)[:40],
        )  # fmt: skip
    check_layers(top)
    return dense_graph(read_state_dict(data, file), file, _ACTIVATIONS[named])


def dense_graph(parameters: StateDict, file: str, between: type[Elementwise] = Relu) -> Graph:
    """The layers in order, ``between`` after each but the last. Raises InvalidInput TLC201, TLC204."""
    pairs = layers_of(parameters)
    if not pairs:
        raise InvalidInput(
            "TLC201", "no dense layer", file=file, expected="layers.<i>.weight and layers.<i>.bias"
        )
    builder = Builder()
    x = builder.input((pairs[0][1].shape[1],))
    for k, (name, weight, bias) in enumerate(pairs):
        try:
            x = builder.add(Linear(Constant(weight.T.copy()), Constant(bias)), x, label=name)
        except ValueError as error:
            raise InvalidInput("TLC204", str(error), file=file, field=f"{name}.weight") from None
        if k + 1 < len(pairs):
            x = builder.add(between(), x, label=f"{name}.activation")
    return builder.graph(x)


def layers_of(parameters: StateDict) -> list[tuple[str, Array, Array]]:
    """(name, weight, bias) of each ``layers.<i>``, in the order of i. Raises InvalidInput TLC201, TLC204."""
    indices = sorted({int(m[1]) for name in parameters if (m := LAYER.fullmatch(name)) is not None})
    found = []
    for i in indices:
        name = f"layers.{i}"
        weight, bias = (parameters.get(f"{name}.{part}") for part in ("weight", "bias"))
        if weight is None or bias is None:
            raise InvalidInput("TLC201", "a layer without weight or bias", field=name)
        if weight.ndim != 2 or not weight.size or bias.shape != (weight.shape[0],):
            raise InvalidInput(
                "TLC204", "weight and bias of a layer do not fit", field=name,
                got=f"{weight.shape} and {bias.shape}",
            )  # fmt: skip
        found.append((name, weight, bias))
    return found


def _array(raw: Raw, name: str, file: str) -> Array | None:
    """Nested lists of numbers, rectangular; None for something that is no list."""
    value: Any = msgspec.json.decode(raw)
    if not isinstance(value, list):
        return None
    try:
        found = np.array(value, dtype=np.float64) if numeric(value) else None
    except (ValueError, TypeError, OverflowError):
        found = None
    if found is None or found.size > MAX_TENSOR_ELEMENTS or not bool(np.isfinite(found).all()):
        raise InvalidInput(
            "TLC101", "not a tensor", file=file, field=name, expected="nested lists of numbers, of one shape"
        )
    return found


def numeric(value: Any) -> bool:
    """Nested lists of numbers only (numpy would take strings and booleans for some)."""
    while isinstance(value, list):
        if value and isinstance(value[0], list):
            if not all(isinstance(v, list) for v in value):
                return False
            value = [x for v in value for x in v]
            continue
        return all(type(v) in (int, float) for v in value)
    return False
