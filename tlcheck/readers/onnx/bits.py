"""Bits of integer constants."""

from __future__ import annotations

from collections.abc import Callable
from operator import and_, or_, xor
from typing import Final

import numpy as np

from tlcheck.readers.onnx.arithmetic import fold_integers
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.operands import INTEGERS, Known, Value

BITWISE: Final[dict[str, Callable[[int, int], int]]] = {
    "BitwiseAnd": and_,
    "BitwiseOr": or_,
    "BitwiseXor": xor,
}


def bitwise(call: Call) -> list[Value]:
    return [fold_integers(call, BITWISE[call.op], call.known(0), call.known(1))]


def bitwise_not(call: Call) -> list[Value]:
    x = call.known(0)
    call.refuse(x.dtype not in INTEGERS, f"constant of type {x.dtype}")
    return [Known(np.invert(x.array), x.dtype)]


def bit_shift(call: Call) -> list[Value]:
    """By fewer bits than the type has: beyond, C does not say what a shift is."""
    x, by = call.known(0), call.known(1)
    direction = call.attr_str("direction", "")
    call.refuse(direction not in ("LEFT", "RIGHT"), f"direction {direction}")
    bits = 8 * np.dtype(x.dtype).itemsize
    call.refuse(
        x.dtype not in INTEGERS or by.dtype != x.dtype, f"constants of types {x.dtype} and {by.dtype}"
    )
    call.refuse(bool(((by.array < 0) | (by.array >= bits)).any()), f"a shift by {bits} bits or more")
    call.refuse(bool((x.array < 0).any()), "a shift of a negative integer")
    kept = (1 << bits) - 1
    if direction == "RIGHT":
        return [fold_integers(call, lambda p, q: p >> q, x, by)]
    return [fold_integers(call, lambda p, q: (p << q) & kept, x, by)]
