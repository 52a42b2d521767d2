"""MaxPool and AveragePool: windows over the spatial axes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.arithmetic import averaged
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.convolution import padding, per_axis, spatial_axes
from tlcheck.readers.onnx.operands import Shape, Value
from tlcheck.trusted.constant import Constant
from tlcheck.trusted.ops.activation import MaxOver
from tlcheck.trusted.ops.affine import Conv


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
    call.refuse(mode != "NOTSET" and ceil, "ceil_mode with auto_pad")
    if mode != "NOTSET" and any(d > 1 for d in dilations):
        raise call.unsupported(f"auto_pad {mode} with dilations: tools pad differently")
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True))
    begin, end = padding(call, reach, strides, spatial)
    if any(p >= k for p, k in zip((*begin, *end), (*kernel, *kernel), strict=True)):
        raise call.unsupported("pads not below the kernel's size: onnxruntime has no such form")
    out = []
    for n, b, e, r, s in zip(spatial, begin, end, reach, strides, strict=True):
        call.refuse_shape(n + b + e < r, "kernel larger than the padded operand")
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


def max_pool(call: Call) -> list[Value]:
    x = call.variable(0)
    spatial = spatial_axes(call, x)
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
    x = call.variable(0)
    spatial = spatial_axes(call, x)
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
    return [averaged(call, sums, _counts(windows, spatial, count_pads))]


def _counts(windows: Windows, spatial: Shape, count_pads: bool) -> NDArray[np.int64]:
    """Entries of each window that count: those in the operand, or in the padded operand."""
    counts = []
    for axis, n in enumerate(spatial):
        low, high = (-windows.begin[axis], n + windows.end[axis]) if count_pads else (0, n)
        taps = windows.taps(axis)
        counts.append(((taps >= low) & (taps < high)).sum(axis=1))
    return np.asarray(reduce(np.multiply.outer, counts))
