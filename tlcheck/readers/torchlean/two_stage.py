"""Two-stage van der Pol weights as binary32 bit patterns: the loss is 0 on [-0.1, 0.1]^2.

The file holds the controller u = tanh(Wc x + bc) and s = w2 tanh(w1 x + b1) + b2, exactly; V = s^2 along x1' = x2,
x2' = -x1 + (1 - x1^2) x2 + u. TorchLean prints bounds of the loss relu(0.1 |x|^2 - V) + relu(V' + 0.1 V) and decides
nothing. It is at most 0 at x if and only if V >= 0.1 |x|^2 and V' <= -0.1 V there: these two are the conditions, 0.1 being
one tenth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import numpy as np
from msgspec import Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.lyapunov import decay, equations, over_norm
from tlcheck.trusted.calculus.layers import Layer
from tlcheck.trusted.calculus.mlp import Mlp
from tlcheck.trusted.science.lyapunov_boxes import Controller, LyapunovConditions

FORMAT: Final = "uint32-bits-as-decimal-strings"
DYNAMICS: Final = ("x2", "-x1 + (1 - x1^2)*x2 + u1")
TENTH: Final = Fraction(1, 10)
MAX_WIDTH: Final = 100_000
"""Widest hidden layer: TorchLean's have 100 and 500."""

_BITS: Final = re.compile(r"[0-9]{1,10}")

Values = tuple[Fraction, ...]


class Bits(Struct, frozen=True):
    width: int
    wC: list[str]
    bC: list[str]
    w1: list[str]
    b1: list[str]
    w2: list[str]
    b2: list[str]
    dtype: str = "float32"
    format: str = FORMAT


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """One claim. Raises InvalidInput."""
    bits = decode(data, Bits, files.where)
    if bits.dtype != "float32" or bits.format != FORMAT:
        raise InvalidInput(
            "TLC101", "not float32 bits", field="format", expected=FORMAT, got=ascii(bits.format[:40])
        )
    if not 0 < bits.width <= MAX_WIDTH:
        raise InvalidInput(
            "TLC101", "wrong width", field="width", expected=f"1 to {MAX_WIDTH}", got=str(bits.width)
        )
    n = bits.width
    sizes = {"wC": 2, "bC": 1, "w1": 2 * n, "b1": n, "w2": n, "b2": 1}
    values = {name: _values(getattr(bits, name), name, size) for name, size in sizes.items()}
    network = Mlp(
        (Layer(_rows(values["w1"], 2), values["b1"], "tanh"), Layer((values["w2"],), values["b2"], "linear"))
    )
    control = Mlp((Layer(_rows(values["wC"], 2), values["bC"], "tanh"),))
    claim = LyapunovConditions(
        network,
        equations(DYNAMICS, 2, 1),
        ((-TENTH, TENTH),) * 2,
        (over_norm(TENTH), decay(TENTH)),
        "in the file",
        "exact",
        "squared",
        reference=(Fraction(0),) * 2,
        controller=Controller(control),
    )
    return [LoadedClaim("loss", claim, sources=dict(files.sources))]


def _values(texts: Sequence[str], field: str, count: int) -> Values:
    """The binary32 numbers with these bits. Raises InvalidInput TLC101 or TLC203."""
    if len(texts) != count:
        raise InvalidInput("TLC101", "wrong length", field=field, expected=str(count), got=str(len(texts)))
    for k, text in enumerate(texts):
        if _BITS.fullmatch(text) is None or int(text) >= 1 << 32:
            raise InvalidInput(
                "TLC101", "not the bits of a binary32", field=f"{field}[{k}]", got=ascii(text[:40])
            )
    floats = np.array([int(text) for text in texts], np.uint32).view(np.float32)
    if not bool(np.isfinite(floats).all()):
        raise InvalidInput("TLC203", "a weight is not finite", field=field)
    return tuple(Fraction(x) for x in floats.astype(np.float64).tolist())


def _rows(values: Values, width: int) -> tuple[Values, ...]:
    return tuple(values[k : k + width] for k in range(0, len(values), width))
