"""Operators that select, replace or add entries by constant indices. Each works on constants and on data alike.

A lowering here gives ``Call.move`` a function that only selects and repeats entries of an array; the same function
is applied to a constant's entries or to the positions of a node's entries.
"""

from __future__ import annotations

from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.call import DIFFER, NO_FORM, Call
from tlcheck.readers.onnx.operands import INTEGERS, Data, Known, Value
from tlcheck.trusted.ops.indexed import cut
from tlcheck.trusted.ops.structure import Rearrange


def slice_(call: Call) -> list[Value]:
    x = call.value(0)
    starts, ends = call.ints_of_input_or_attribute(1, "starts"), call.ints_of_input_or_attribute(2, "ends")
    axes, steps = call.ints_of_input_or_attribute(3, "axes"), call.optional_ints(4)
    if starts is None or ends is None:
        raise call.unsupported("no starts or ends")
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    call.axes(axes, len(x.shape))
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise call.misshapen("starts, ends, axes and steps differ in length, or a step is 0")
    picked = [np.arange(n) for n in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        picked[axis] = np.array(_taken(call, start, end, step, x.shape[axis]), np.int64)
    return [call.move(x, lambda a: a[np.ix_(*picked)])]


INT32_MAX, INT64_MAX = (1 << 31) - 1, (1 << 63) - 1


def _taken(call: Call, start: int, end: int, step: int, size: int) -> range:
    """The entries along an axis. Raises TLC202 where the standard and onnxruntime differ."""
    # the text clamps it to the last entry; onnxruntime takes it for the end in the step's direction
    call.refuse(step < 0 and end in (INT32_MAX, INT64_MAX), f"end {end} of a negative step", DIFFER)
    taken = cut(start, end, step, size)
    # before opset 13 the text says "similar to numpy"; onnxruntime clamps as the text of version 13
    old = call.opset < 13 and taken != range(size)[start:end:step]
    call.refuse(old, f"start {start} of a negative step before opset 13", DIFFER)
    return taken


def _indices(call: Call, i: int) -> NDArray[np.int64]:
    known = call.known(i)
    call.refuse(known.dtype not in INTEGERS, f"indices of type {known.dtype}")
    return known.array.astype(np.int64)


def gather(call: Call) -> list[Value]:
    x, index = call.value(0), _indices(call, 1)
    axis = call.axis(call.attr_int("axis", 0), len(x.shape))
    call.checked(x.shape[:axis] + index.shape + x.shape[axis + 1 :])
    return [call.move(x, lambda a: np.take(a, index, axis=axis))]


def _fits_beside(index: NDArray[np.int64], x: Value, axis: int) -> bool:
    """The indices are no more than x's entries along every axis but that one."""
    sizes = zip(index.shape, x.shape, strict=False)
    return index.ndim == len(x.shape) and all(i <= n for a, (i, n) in enumerate(sizes) if a != axis)


def gather_elements(call: Call) -> list[Value]:
    x, index = call.value(0), _indices(call, 1)
    axis = call.axis(call.attr_int("axis", 0), len(x.shape))
    call.refuse_shape(not _fits_beside(index, x, axis), f"indices of shape {index.shape} for data {x.shape}")
    where: list[NDArray[np.int64]] = list(np.indices(index.shape, sparse=True))
    where[axis] = index
    return [call.move(x, lambda a: a[tuple(where)])]


def gather_nd(call: Call) -> list[Value]:
    x, index = call.value(0), _indices(call, 1)
    batch = call.attr_int("batch_dims", 0)
    if not 0 <= batch < min(len(x.shape), len(index.shape)) or x.shape[:batch] != index.shape[:batch]:
        raise call.misshapen(f"batch_dims {batch} for shapes {x.shape} and {index.shape}")
    if not 1 <= index.shape[-1] <= len(x.shape) - batch:
        raise call.misshapen(f"indices of shape {index.shape} for data {x.shape}")
    call.checked(index.shape[:-1] + x.shape[batch + index.shape[-1] :])
    grid = np.indices(index.shape[:-1], sparse=True)[:batch]
    return [call.move(x, lambda a: a[(*grid, *np.moveaxis(index, -1, 0))])]


def scatter_nd(call: Call) -> list[Value]:
    """Constant, distinct indices; no reduction."""
    x, index, updates = _scatter_operands(call)
    depth = index.shape[-1] if index.shape else 0
    if not 1 <= depth <= len(x.shape) or updates.shape != index.shape[:-1] + x.shape[depth:]:
        raise call.misshapen(f"indices {index.shape} and updates {updates.shape} for data {x.shape}")
    rows = index.reshape(-1, depth)
    rows = np.where(rows < 0, rows + np.array(x.shape[:depth]), rows)
    _require_distinct(call, rows)
    return [_scattered(call, x, updates, tuple(np.moveaxis(index, -1, 0)))]


def scatter_elements(call: Call) -> list[Value]:
    """Constant, distinct places; no reduction."""
    x, index, updates = _scatter_operands(call)
    axis = call.axis(call.attr_int("axis", 0), len(x.shape))
    if index.shape != updates.shape or not _fits_beside(index, x, axis):
        raise call.misshapen(f"indices {index.shape} and updates {updates.shape} for data {x.shape}")
    n = x.shape[axis]
    call.refuse_shape(bool(((index < -n) | (index >= n)).any()), f"an index out of range of size {n}")
    where: list[NDArray[np.int64]] = list(np.indices(index.shape))
    where[axis] = np.where(index < 0, index + n, index)
    _require_distinct(call, np.stack([w.ravel() for w in where], axis=1))
    return [_scattered(call, x, updates, tuple(where))]


def _scatter_operands(call: Call) -> tuple[Value, NDArray[np.int64], Value]:
    x, index, updates = call.value(0), _indices(call, 1), call.value(2)
    call.refuse(call.attr_str("reduction", "none") != "none", "reduction")
    return x, index, updates


def _require_distinct(call: Call, places: NDArray[np.int64]) -> None:
    """One place a row."""
    call.refuse(len(np.unique(places, axis=0)) != len(places), "duplicate indices")


def _scattered(call: Call, x: Value, updates: Value, places: tuple[NDArray[np.int64], ...]) -> Value:
    """x with the updates at these places."""

    def scattered(arrays: list[NDArray[Any]]) -> NDArray[Any]:
        result = np.array(arrays[0])
        result[places] = arrays[1]
        return result

    return call.moves([x, updates], scattered)


def compress(call: Call) -> list[Value]:
    """The entries (or slices along ``axis``) whose condition, a constant, is true."""
    x, chosen = call.value(0), call.known(1)
    if chosen.dtype != "bool" or len(chosen.shape) != 1:
        raise call.unsupported(f"condition of type {chosen.dtype}, shape {chosen.shape}")
    axis = call.axis(call.attr_int("axis", 0), len(x.shape)) if call.has("axis") else None
    return [call.move(x, lambda a: np.compress(chosen.array, a, axis=axis))]


def trilu(call: Call) -> list[Value]:
    """The upper (or lower) triangle of the last two axes from diagonal k on; zeros elsewhere."""
    x, upper = call.value(0), call.attr_flag("upper", True)
    given = call.optional_ints(1)
    k = given[0] if given else 0
    call.refuse_shape(len(x.shape) < 2 or abs(k) > 1 << 31, f"operand {x.shape}, k {k}")
    call.refuse_shape(given is not None and len(given) != 1, f"k {given} is not one number")
    triangle = np.tri(x.shape[-2], x.shape[-1], k - 1 if upper else k, dtype=np.bool_) != upper
    kept = np.broadcast_to(triangle, x.shape)
    if isinstance(x, Known):
        zero = Known(np.zeros((), x.array.dtype), x.dtype)
        return [call.moves([x, zero], lambda arrays: np.where(kept, *arrays))]
    call.refuse(0 in x.shape, "an operand without entries")
    index = np.where(kept.ravel(), np.arange(prod(x.shape), dtype=np.int64), -1)
    return [call.emit(Rearrange(x.shape, index), x)]


# padding

MODES: Final = ("reflect", "edge", "wrap")
"""The modes that take entries of the operand: numpy has them under the same names."""


def pad(call: Call) -> list[Value]:
    x, mode = call.value(0), call.attr_str("mode", "constant")
    call.refuse(mode not in ("constant", *MODES), f"mode {mode}")
    call.refuse(mode == "wrap" and call.opset < 19, "mode wrap before opset 19")
    call.refuse(not x.shape, "an operand without axes", NO_FORM)
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


def reverse_sequence(call: Call) -> list[Value]:
    """The first entries of each sequence, as many as its length says, in the other order."""
    x, lengths = call.value(0), call.ints(1)
    time, batch = call.attr_int("time_axis", 0), call.attr_int("batch_axis", 1)
    call.refuse_shape(len(x.shape) < 2 or {time, batch} != {0, 1}, f"axes {time}, {batch} of {x.shape}")
    steps, count = x.shape[time], x.shape[batch]
    wrong = len(lengths) != count or not all(0 <= n <= steps for n in lengths)
    call.refuse_shape(wrong, f"sequence_lens {lengths[:20]} of {count} sequences of {steps}")
    places = np.arange(steps)[:, None] + np.zeros(count, np.int64)
    for b, n in enumerate(lengths):
        places[:n, b] = places[:n, b][::-1]

    def reversed_(a: NDArray[Any]) -> NDArray[Any]:
        rows = np.moveaxis(a, time, 0)
        return np.moveaxis(rows[places, np.arange(count)], 0, time)

    return [call.move(x, reversed_)]
