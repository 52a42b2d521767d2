"""Pad: entries added at the ends of axes, or taken away."""

from __future__ import annotations

from math import prod
from typing import Final

import numpy as np

from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.operands import INTEGERS, Data, Known, Value
from tlcheck.trusted.ops.structure import Rearrange

MODES: Final = ("reflect", "edge", "wrap")
"""The modes that take entries of the operand: numpy has them under the same names."""


def pad(call: Call) -> list[Value]:
    x, mode = call.value(0), call.attr_str("mode", "constant")
    widths = _pad_widths(call, len(x.shape))
    fill = _pad_value(call, x)
    # negative widths remove entries
    cut = tuple(slice(max(-b, 0), n - max(-e, 0)) for n, (b, e) in zip(x.shape, widths, strict=True))
    grow = [(max(b, 0), max(e, 0)) for b, e in widths]
    call.refuse_shape(any(c.stop < c.start for c in cut), f"pads {widths} remove more than {x.shape}")
    call.checked(tuple(c.stop - c.start + b + e for c, (b, e) in zip(cut, grow, strict=True)))
    if not any(b or e for b, e in widths):
        return [x]
    if mode == "constant":
        return [_padded(call, x, fill, cut, grow)]
    call.refuse(mode not in MODES, f"mode {mode}")
    call.refuse(any(b < 0 or e < 0 for b, e in widths), f"negative pads in mode {mode}")
    if mode == "reflect" and any(max(w) >= n for w, n in zip(widths, x.shape, strict=True) if any(w)):
        raise call.unsupported(f"pads {widths} beyond what {x.shape} reflects: onnxruntime has no such form")
    return [call.move(x, lambda a: np.pad(a, grow, mode=mode))]  # type: ignore[call-overload]


def _pad_widths(call: Call, rank: int) -> list[tuple[int, int]]:
    pads, axes = call.ints_of_input_or_attribute(1, "pads"), call.optional_ints(3)
    if pads is None:
        raise call.unsupported("no pads")
    axes = list(range(rank)) if axes is None else axes
    call.axes(axes, rank)
    call.refuse_shape(len(pads) != 2 * len(axes), f"{len(pads)} pads for {len(axes)} axes")
    widths = [(0, 0)] * rank
    for k, axis in enumerate(axes):
        widths[axis] = (pads[k], pads[k + len(axes)])
    return widths


def _pad_value(call: Call, x: Value) -> Known:
    value = call.optional_known(2)
    if value is None:
        zero = np.array(call.attr_float("value", 0.0), dtype=np.float32)
        return Known(zero if x.dtype not in INTEGERS else zero.astype(x.dtype), x.dtype)
    call.refuse_shape(value.array.size != 1, f"constant_value of shape {value.shape}")
    call.same_type(x, value)
    return value.moved(lambda a: a.reshape(()))


def _padded(call: Call, x: Value, fill: Known, cut: tuple[slice, ...], grow: list[tuple[int, int]]) -> Value:
    if isinstance(x, Data) and fill.rad is None and fill.array == 0:
        index = np.arange(prod(x.shape), dtype=np.int64).reshape(x.shape)[cut]
        if not any(b or e for b, e in grow):
            return call.move(x, lambda a: a[cut])
        index = np.pad(index, grow, constant_values=-1)
        return call.emit(Rearrange(index.shape, np.ascontiguousarray(index.ravel())), x)
    return call.moves([x, fill], lambda arrays: np.pad(arrays[0][cut], grow, constant_values=arrays[1]))
