"""Discrete Fourier transforms: DFT and STFT, linear in the signal.

Guarantee: the matrix holds the numbers cos(2 pi j / N) and sin(2 pi j / N) themselves. Kernels compute fast transforms, whose
roundings the matrix's do not bound: there is no float32 radius.
"""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx import exact
from tlcheck.readers.onnx.arithmetic import multiplied
from tlcheck.readers.onnx.call import DIFFER, NO_FORM, Call
from tlcheck.readers.onnx.matrices import product
from tlcheck.readers.onnx.operands import Known, Value
from tlcheck.trusted.arith.formula import Rationals
from tlcheck.trusted.ops.statistics import Unlike


def _matrix(call: Call, n: int, inputs: int, parts: int, outputs: int, inverse: bool, dtype: str) -> Known:
    """(inputs parts, outputs 2): from the first entries of a signal of length n, real or real and imaginary, to the first of its
    transform, real and imaginary: the sum of x[m] e^(-2 pi i k m / n), or with + and divided by n.
    """
    call.foldable(inputs * parts * outputs * 2)
    # cos(2 pi j / n), then sin, then both negative; n values each
    angles = [
        Fraction(2 * j, n) + turn
        for turn in (Fraction(0), Fraction(-1, 2), Fraction(1), Fraction(1, 2))
        for j in range(n)
    ]
    numbers = Rationals((4 * n,), tuple(angles)).cos_pi()
    table = Known.of(exact.evaluated(numbers / n if inverse else numbers), dtype, 2)
    cos, sin, _, minus = (k * n for k in range(4))
    forward = [[cos, minus], [sin, cos]]
    backward = [[cos, sin], [minus, cos]]
    kind = np.array(backward if inverse else forward)[:parts]
    j = np.outer(np.arange(inputs), np.arange(outputs)) % n
    places = (kind[None, :, None, :] + j[:, None, :, None]).reshape(inputs * parts, outputs * 2)
    return table.moved(lambda a: a[places])


def _transformed(call: Call, x: Value, n: int, inverse: bool, onesided: bool) -> Value:
    """x (..., m, 1 or 2) to (..., k, 2): the first n entries of each signal, which ends in zeros if it is shorter."""
    taken, parts = min(x.shape[-2], n), x.shape[-1]
    outputs = n // 2 + 1 if onesided else n
    rows = call.move(x, lambda a: a[..., :taken, :].reshape(-1, taken * parts))
    y = call.data(product(call, call.data(rows), _matrix(call, n, taken, parts, outputs, inverse, x.dtype)))
    own = Unlike(f"{call.op}, which runtimes compute by fast transforms")
    return call.reshape(call.emit(own, y), (*x.shape[:-2], outputs, 2))


def _sided(call: Call, x: Value, default: bool) -> bool:
    onesided = call.attr_flag("onesided", default)
    call.refuse(onesided and x.shape[-1] == 2, "one side of the transform of a complex signal", NO_FORM)
    return onesided


def _number(call: Call, i: int) -> int | None:
    """An operand that is one integer."""
    x = call.optional_known(i)
    if x is None:
        return None
    call.refuse_shape(x.array.size != 1, f"operand {i} of shape {x.shape}")
    return call.integers(call.known(i).moved(lambda a: a.reshape(1)))[0]


def dft(call: Call) -> list[Value]:
    """Along one axis of (..., 1) or, real and imaginary, (..., 2)."""
    x, length = call.value(0), _number(call, 1)
    call.require_float(x)
    call.refuse(x.dtype not in ("float32", "float64"), f"signal of type {x.dtype}")
    rank = len(x.shape)
    call.refuse_shape(rank < 2 or x.shape[-1] not in (1, 2) or 0 in x.shape, f"signal of shape {x.shape}")
    given = _number(call, 2) if call.opset >= 20 else call.attr_int("axis", 1)
    axis = call.axis(-2 if given is None else given, rank)
    call.refuse_shape(axis == rank - 1, "the axis of real and imaginary parts")
    inverse = call.attr_flag("inverse", False)
    call.refuse(inverse and call.attr_flag("onesided", False), "an inverse of one side", DIFFER)
    n = x.shape[axis] if length is None else length
    call.refuse_shape(n < 1, f"dft_length {n}")

    def last(a: NDArray[Any]) -> NDArray[Any]:
        return np.moveaxis(a, axis, -2)

    y = _transformed(call, call.move(x, last), n, inverse, _sided(call, x, False))
    return [call.move(y, lambda a: np.moveaxis(a, -2, axis))]


def stft(call: Call) -> list[Value]:
    """Of every frame of (batch, length, 1 or 2), times the window."""
    x, step, window, length = call.value(0), _number(call, 1), call.optional_known(2), _number(call, 3)
    call.require_float(x)
    call.refuse(x.dtype not in ("float32", "float64"), f"signal of type {x.dtype}")
    call.refuse_shape(
        len(x.shape) != 3 or x.shape[-1] not in (1, 2) or 0 in x.shape, f"signal of shape {x.shape}"
    )
    total = x.shape[1]
    call.refuse(window is None and length is None, "neither window nor frame_length", NO_FORM)
    width = prod(window.shape) if window is not None else total
    n = width if length is None else length
    wrong = window is not None and window.shape != (n,)
    call.refuse_shape(wrong or not 1 <= n <= total, f"frames of {n} of a signal of {total}")
    call.refuse_shape(step is None or step < 1, f"frame_step {step}")
    starts = np.arange(0, total - n + 1, step)
    call.checked((x.shape[0], len(starts), n, x.shape[2]))
    frames = call.move(x, lambda a: a[:, starts[:, None] + np.arange(n)])
    if window is not None:
        frames = multiplied(call, frames, window.moved(lambda a: a.reshape(n, 1)))
    return [_transformed(call, frames, n, False, _sided(call, x, True))]
