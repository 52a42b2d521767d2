"""Pooling and reductions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx import exact
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.elementwise import below_halves, scale, signed_max, whole
from tlcheck.readers.onnx.linear import padding, per_axis
from tlcheck.readers.onnx.values import Data, Known, Shape, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.bent import Abs
from tlcheck.trusted.ops.convolution import Conv
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.smooth import Exp, Log, Power, Sqrt
from tlcheck.trusted.ops.structure import ReduceSum


@dataclass(frozen=True)
class Windows:
    """Geometry of a pooling operator, one entry per spatial axis. ``out``: number of windows."""

    kernel: Shape
    strides: Shape
    dilations: Shape
    begin: Shape
    end: Shape
    out: Shape

    @property
    def covered(self) -> Shape:
        """Entries from the beginning of the padded operand to the end of the last window."""
        return tuple(
            (o - 1) * s + d * (k - 1) + 1
            for o, s, d, k in zip(self.out, self.strides, self.dilations, self.kernel, strict=True)
        )

    def taps(self, axis: int) -> NDArray[np.int64]:
        """(windows, kernel): operand coordinate of each tap, possibly in the padding."""
        first = np.arange(self.out[axis]) * self.strides[axis] - self.begin[axis]
        return np.asarray(
            first[:, None] + np.arange(self.kernel[axis]) * self.dilations[axis], dtype=np.int64
        )


def _windows(call: Call, spatial: Shape) -> Windows:
    """Where the standard's text, its shape inference and onnxruntime agree; the rest is refused by name."""
    kernel = call.attr_ints("kernel_shape")
    rank = len(spatial)
    if kernel is None or len(kernel) != rank or rank < 1 or any(k < 1 for k in kernel):
        raise call.misshapen(f"kernel_shape {kernel} for spatial axes {spatial}")
    strides, dilations = per_axis(call, "strides", rank, 1), per_axis(call, "dilations", rank, 1)
    ceil, mode = call.attr_flag("ceil_mode", False), call.attr_str("auto_pad", "NOTSET")
    if mode != "NOTSET" and ceil:
        raise call.unsupported("ceil_mode with auto_pad")
    if mode != "NOTSET" and any(d > 1 for d in dilations):
        raise call.unsupported(f"auto_pad {mode} with dilations: tools pad differently")
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True))
    begin, end = padding(call, reach, strides, spatial)
    if any(p >= k for p, k in zip((*begin, *end), (*kernel, *kernel), strict=True)):
        raise call.unsupported("pads not below the kernel's size: onnxruntime has no such form")
    out = []
    for n, b, e, r, s in zip(spatial, begin, end, reach, strides, strict=True):
        if n + b + e < r:
            raise call.misshapen("kernel larger than the padded operand")
        _check_tools(call, mode, n, r, s)
        out.append(_count(call, n + b, e, r, s, ceil=ceil))
    for shape in (kernel, out, *zip(out, kernel, strict=True)):
        call.checked(tuple(shape))
    return Windows(tuple(kernel), strides, dilations, begin, end, tuple(out))


def _count(call: Call, before: int, end: int, reach: int, stride: int, *, ceil: bool) -> int:
    """Number of windows along an axis; ``before``: entries before the end padding."""
    room = before + end - reach
    count = (-(-room // stride) if ceil else room // stride) + 1
    if not ceil or (count - 1) * stride < before:
        return count
    if (
        call.opset < 22
    ):  # only the text of version 22 leaves that window out; shape inference before counts it
        raise call.unsupported("ceil_mode with a last window that starts in the padding, before opset 22")
    return count - 1


def _check_tools(call: Call, mode: str, n: int, reach: int, stride: int) -> None:
    """Two forms of auto_pad on which the tools differ. Raises TLC202.

    The text of AveragePool's version 11 rounds sizes down that its shape inference and runtimes round up. The reference
    evaluator rounds MaxPool's sizes of SAME_LOWER down, and pads as for SAME_UPPER.
    """
    if call.op == "MaxPool" and mode == "SAME_LOWER" and stride > 1:
        raise call.unsupported("auto_pad SAME_LOWER with strides: tools pad differently")
    if call.op != "AveragePool" or not 11 <= call.opset < 19:
        return
    differs = {
        "VALID": (n - reach + 1) // stride != (n - reach) // stride + 1,
        "SAME_UPPER": n % stride != 0,
        "SAME_LOWER": n % stride != 0,
    }
    if differs.get(mode, False):
        raise call.unsupported(
            f"auto_pad {mode} of AveragePool before opset 19: the standard and runtimes differ"
        )


def _spatial(call: Call, x: Value) -> Shape:
    if len(x.shape) < 3:
        raise call.misshapen(f"operand {x.shape} without spatial axes")
    return x.shape[2:]


def max_pool(call: Call) -> list[Value]:
    x = call.data(call.value(0))
    spatial = _spatial(call, x)
    windows = _windows(call, spatial)
    call.attr_flag("storage_order", False)
    call.harmless(1)  # Indices: where the largest entries are
    rank, batch = len(spatial), x.shape[:2]
    call.checked((*batch, *windows.out, *windows.kernel))
    position, inside = np.zeros((1,) * (2 * rank), np.int64), np.ones((1,) * (2 * rank), bool)
    for axis, n in enumerate(spatial):
        taps = windows.taps(axis)
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = taps.shape
        taps = taps.reshape(shape)
        position, inside = position * n + taps, inside & (taps >= 0) & (taps < n)
    table = np.where(inside, position, -1).reshape(prod(windows.out), prod(windows.kernel))
    offsets = (np.arange(prod(batch), dtype=np.int64) * prod(spatial))[:, None, None]
    index = np.where(table >= 0, table + offsets, -1).reshape(-1, table.shape[1])
    return [call.emit(MaxOver((*batch, *windows.out), np.ascontiguousarray(index)), x)]


def average_pool(call: Call) -> list[Value]:
    """Sum of each window as a depthwise convolution with ones, times 1 / (number of entries counted)."""
    x = call.data(call.value(0))
    spatial = _spatial(call, x)
    windows = _windows(call, spatial)
    count_pads = call.attr_flag("count_include_pad", False)
    beyond = [c - n - b for c, n, b in zip(windows.covered, spatial, windows.begin, strict=True)]
    if any(p > e + 1 for p, e in zip(beyond, windows.end, strict=True)):
        raise call.unsupported(
            "ceil_mode with a window two entries or more beyond the padding: tools pad differently"
        )
    end = tuple(max(e, p) for e, p in zip(windows.end, beyond, strict=True))
    channels = x.shape[1]
    call.checked((channels, *windows.kernel))
    ones = Constant(np.ones((channels, 1, *windows.kernel), np.float32))
    sums = call.emit(Conv(ones, None, windows.strides, windows.dilations, windows.begin, end, channels), x)
    return [_averaged(call, sums, _counts(windows, spatial, count_pads))]


def _counts(windows: Windows, spatial: Shape, count_pads: bool) -> NDArray[np.int64]:
    """Entries of each window that count: those in the operand, or in the padded operand."""
    counts = []
    for axis, n in enumerate(spatial):
        low, high = (-windows.begin[axis], n + windows.end[axis]) if count_pads else (0, n)
        taps = windows.taps(axis)
        counts.append(((taps >= low) & (taps < high)).sum(axis=1))
    return np.asarray(reduce(np.multiply.outer, counts))


def _averaged(call: Call, sums: Data, counts: NDArray[np.int64]) -> Data:
    """sums / counts, counts broadcasting over the last axes. Two roundings: some runtimes multiply by 1/count."""
    if counts.size and int(counts.min()) == int(counts.max()):
        counts = counts.reshape(-1)[:1].reshape(())
    values, inverse = np.unique(counts, return_inverse=True)
    factors = call.exactly(lambda: exact.reciprocal(Constant(values.astype(np.float64))))
    return scale(call, sums, factors.moved(lambda a: a[inverse].reshape(counts.shape)), None, 2)


def global_average_pool(call: Call) -> list[Value]:
    x = call.data(call.value(0))
    return [mean(call, x, tuple(range(2, 2 + len(_spatial(call, x)))), keep=True)]


def global_max_pool(call: Call) -> list[Value]:
    x = call.data(call.value(0))
    return [_max_over(call, x, tuple(range(2, 2 + len(_spatial(call, x)))), keep=True, sign=1)]


# reductions


def mean(call: Call, x: Data, axes: Shape, *, keep: bool) -> Data:
    """x's mean over ``axes``."""
    count = prod(x.shape[a] for a in axes)
    return _averaged(call, call.emit(ReduceSum(axes, keep), x), np.array(count))


def _max_over(call: Call, x: Data, axes: Shape, *, keep: bool, sign: int) -> Data:
    """Max (sign 1) or min (sign -1) over ``axes``."""
    others = tuple(a for a in range(len(x.shape)) if a not in axes)
    positions = np.arange(prod(x.shape), dtype=np.int64).reshape(x.shape).transpose(*others, *axes)
    shape = ReduceSum(axes, keep).output_shape((x.shape,))
    index = positions.reshape(prod(shape), prod(x.shape[a] for a in axes))
    return signed_max(call, x, MaxOver(shape, np.ascontiguousarray(index)), sign)


def _reduction(
    on_data: Callable[[Call, Data, Shape, bool], Data], on_integers: Callable[..., Any] | None = None
) -> Callable[[Call], list[Value]]:
    """A reduction operator, from its rule on data and, for shape arithmetic, its numpy function on integers."""

    def lower(call: Call) -> list[Value]:
        x, axes = call.value(0), call.ints_of_input_or_attribute(1, "axes")
        keep = call.attr_flag("keepdims", True)
        noop = call.attr_flag("noop_with_empty_axes", False)
        if not axes and noop:
            # the reduction over no axes, entry by entry
            normal: Shape = ()
        else:
            normal = call.axes(axes, len(x.shape)) if axes else tuple(range(len(x.shape)))
        if isinstance(x, Known) and not x.is_float:
            return [_integers(call, x, on_integers, normal, keep)]
        x = call.data(x)
        if 0 in x.shape:
            raise call.unsupported("empty set")
        y = on_data(call, x, normal, keep)
        return [y if x.is_float else whole(call, y, x.dtype)]

    return lower


def _integers(call: Call, x: Known, function: Callable[..., Any] | None, axes: Shape, keep: bool) -> Known:
    if function is None or x.dtype == "bool":
        raise call.unsupported(f"constant of type {x.dtype}")
    if function in (np.max, np.min):
        below_halves(call, x)
    result = np.asarray(function(x.array.astype(object), axis=axes, keepdims=keep), dtype=object)
    limits = np.iinfo(x.dtype)
    if any(not limits.min <= v <= limits.max for v in result.ravel().tolist()):
        raise call.unsupported("integer overflow")
    return Known(result.astype(np.dtype(x.dtype)), x.dtype)


def sum_over(call: Call, x: Data, axes: Shape, keep: bool) -> Data:
    """x's sum over ``axes``, kept of size 1 or not; over no axes, x."""
    return call.emit(ReduceSum(axes, keep), x) if axes else x


reduce_sum = _reduction(sum_over, np.sum)
reduce_l1 = _reduction(lambda call, x, axes, keep: sum_over(call, call.emit(Abs(), x), axes, keep))
reduce_mean = _reduction(lambda call, x, axes, keep: mean(call, x, axes, keep=keep) if axes else x)
reduce_max = _reduction(
    lambda call, x, axes, keep: _max_over(call, x, axes, keep=keep, sign=1) if axes else x, np.max
)
reduce_min = _reduction(
    lambda call, x, axes, keep: _max_over(call, x, axes, keep=keep, sign=-1) if axes else x, np.min
)


def _squares(call: Call, x: Data, axes: Shape, keep: bool) -> Data:
    return sum_over(call, call.emit(Power(2.0), x), axes, keep)


def _product(call: Call, x: Data, axes: Shape, keep: bool) -> Data:
    """By halves, so that the depth is the logarithm of the number of factors."""
    if not axes:
        return x
    others = tuple(a for a in range(len(x.shape)) if a not in axes)
    size, shape = prod(x.shape[a] for a in axes), ReduceSum(axes, keep).output_shape((x.shape,))
    y = call.data(call.move(x, lambda a: a.transpose(*axes, *others).reshape(size, -1)))
    while size > 1:
        parts = np.split(np.arange(size), [size // 2, size - size % 2])
        low, high, rest = (call.move(y, lambda a, part=part: a[part]) for part in parts)  # type: ignore[misc]
        y = call.emit(Product(), call.data(low), call.data(high))
        if size % 2:
            y = call.data(call.moves([y, rest], np.concatenate))
        size = y.shape[0]
    return call.data(call.reshape(y, shape))


reduce_prod = _reduction(_product, np.prod)
reduce_sum_square = _reduction(_squares, lambda x, **how: np.sum(x * x, **how))
reduce_l2 = _reduction(lambda call, x, axes, keep: call.emit(Sqrt(), _squares(call, x, axes, keep)))
reduce_log_sum = _reduction(lambda call, x, axes, keep: call.emit(Log(), sum_over(call, x, axes, keep)))
reduce_log_sum_exp = _reduction(
    lambda call, x, axes, keep: call.emit(Log(), sum_over(call, call.emit(Exp(), x), axes, keep))
)
