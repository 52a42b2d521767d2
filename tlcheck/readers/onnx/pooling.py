"""MaxPool and AveragePool: windows over the spatial axes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.arithmetic import averaged
from tlcheck.readers.onnx.call import DIFFER, NO_FORM, PADS_DIFFER, Call
from tlcheck.readers.onnx.convolution import SAME, Kernel, auto_pad, kernel_of, padding, spatial_axes
from tlcheck.readers.onnx.operands import Data, Shape, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.convolution import Conv
from tlcheck.trusted.ops.selection import MaxOver


@dataclass(frozen=True)
class Windows:
    """Geometry of a pooling operator, one entry per spatial axis. ``out``: number of windows."""

    kernel: Kernel
    begin: Shape
    end: Shape
    out: Shape

    @property
    def covered(self) -> Shape:
        """Entries from the beginning of the padded operand to the end of the last window."""
        parts = zip(self.out, self.kernel.strides, self.kernel.reach, strict=True)
        return tuple((o - 1) * s + r for o, s, r in parts)

    def taps(self, axis: int) -> NDArray[np.int64]:
        """(windows, kernel): operand coordinate of each tap, possibly in the padding."""
        first = np.arange(self.out[axis]) * self.kernel.strides[axis] - self.begin[axis]
        steps = np.arange(self.kernel.sizes[axis]) * self.kernel.dilations[axis]
        return np.asarray(first[:, None] + steps, dtype=np.int64)


def windows_of(call: Call, x: Data) -> Windows:
    """Where the standard's text, its shape inference and onnxruntime agree; the rest is refused by name."""
    spatial, sizes = spatial_axes(call, x), call.attr_ints("kernel_shape")
    if sizes is None or len(sizes) != len(spatial) or any(k < 1 for k in sizes):
        raise call.misshapen(f"kernel_shape {sizes} for spatial axes {spatial}")
    kernel = kernel_of(call, tuple(sizes))
    ceil, mode = call.attr_flag("ceil_mode", False), auto_pad(call)
    call.refuse(mode != "NOTSET" and ceil, "ceil_mode with auto_pad")
    dilated = mode != "NOTSET" and any(d > 1 for d in kernel.dilations)
    call.refuse(dilated, f"auto_pad {mode} with dilations", PADS_DIFFER)
    begin, end = padding(call, kernel.reach, kernel.strides, spatial)
    wide = any(p >= k for p, k in zip((*begin, *end), (*sizes, *sizes), strict=True))
    call.refuse(wide, "pads not below the kernel's size", NO_FORM)
    out = []
    for n, b, e, r, s in zip(spatial, begin, end, kernel.reach, kernel.strides, strict=True):
        call.refuse_shape(n + b + e < r, "kernel larger than the padded operand")
        _check_tools(call, mode, n, r, s)
        out.append(_count(call, n + b, e, r, s, ceil=ceil))
    for shape in (sizes, out, *zip(out, sizes, strict=True)):
        call.checked(tuple(shape))
    return Windows(kernel, begin, end, tuple(out))


def _count(call: Call, before: int, end: int, reach: int, stride: int, *, ceil: bool) -> int:
    """Number of windows along an axis; ``before``: entries before the end padding.

    Only the text of version 22 leaves out a window that starts in the padding; shape inference before counts it.
    """
    room = before + end - reach
    count = (-(-room // stride) if ceil else room // stride) + 1
    beyond = ceil and (count - 1) * stride >= before
    text = "ceil_mode with a last window that starts in the padding, before opset 22"
    call.refuse(beyond and call.opset < 22, text)
    return count - beyond


def _check_tools(call: Call, mode: str, n: int, reach: int, stride: int) -> None:
    """Two forms of auto_pad on which the tools differ. Raises TLC202.

    The text of AveragePool's version 11 rounds sizes down that its shape inference and runtimes round up. The reference
    evaluator rounds MaxPool's sizes of SAME_LOWER down, and pads as for SAME_UPPER.
    """
    lower = call.op == "MaxPool" and mode == "SAME_LOWER" and stride > 1
    call.refuse(lower, "auto_pad SAME_LOWER with strides", PADS_DIFFER)
    valid = mode == "VALID" and (n - reach + 1) // stride != (n - reach) // stride + 1
    differs = valid or (mode in SAME and n % stride != 0)
    old = call.op == "AveragePool" and 11 <= call.opset < 19
    call.refuse(old and differs, f"auto_pad {mode} of AveragePool before opset 19", DIFFER)


def max_pool(call: Call) -> list[Value]:
    x = call.variable(0)
    windows, spatial, batch = windows_of(call, x), x.shape[2:], x.shape[:2]
    call.attr_flag("storage_order", False)
    call.harmless(1)  # Indices: where the largest entries are
    rank, sizes = len(spatial), windows.kernel.sizes
    call.checked((*batch, *windows.out, *sizes))
    position, inside = np.zeros((1,) * (2 * rank), np.int64), np.ones((1,) * (2 * rank), bool)
    for axis, n in enumerate(spatial):
        taps = windows.taps(axis)
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = taps.shape
        taps = taps.reshape(shape)
        position, inside = position * n + taps, inside & (taps >= 0) & (taps < n)
    table = np.where(inside, position, -1).reshape(prod(windows.out), prod(sizes))
    offsets = (np.arange(prod(batch), dtype=np.int64) * prod(spatial))[:, None, None]
    index = np.where(table >= 0, table + offsets, -1).reshape(-1, table.shape[1])
    return [call.emit(MaxOver((*batch, *windows.out), np.ascontiguousarray(index)), x)]


def average_pool(call: Call) -> list[Value]:
    """Sum of each window, times 1 / (number of entries counted)."""
    x = call.variable(0)
    windows, spatial = windows_of(call, x), x.shape[2:]
    count_pads = call.attr_flag("count_include_pad", False)
    return [averaged(call, window_sums(call, x, windows), _counts(windows, spatial, count_pads))]


def window_sums(call: Call, x: Data, windows: Windows) -> Data:
    """As a depthwise convolution with ones."""
    kernel, channels, spatial = windows.kernel, x.shape[1], x.shape[2:]
    beyond = [c - n - b for c, n, b in zip(windows.covered, spatial, windows.begin, strict=True)]
    far = any(p > e + 1 for p, e in zip(beyond, windows.end, strict=True))
    call.refuse(far, "ceil_mode with a window two entries or more beyond the padding", PADS_DIFFER)
    end = tuple(max(e, p) for e, p in zip(windows.end, beyond, strict=True))
    call.checked((channels, *kernel.sizes))
    ones = Constant(np.ones((channels, 1, *kernel.sizes), np.float32))
    op = Conv(ones, None, kernel.strides, kernel.dilations, windows.begin, end, channels)
    return call.emit(op, x)


def _counts(windows: Windows, spatial: Shape, count_pads: bool) -> NDArray[np.int64]:
    """Entries of each window that count: those in the operand, or in the padded operand."""
    counts = []
    for axis, n in enumerate(spatial):
        low, high = (-windows.begin[axis], n + windows.end[axis]) if count_pads else (0, n)
        taps = windows.taps(axis)
        counts.append(((taps >= low) & (taps < high)).sum(axis=1))
    return np.asarray(reduce(np.multiply.outer, counts))
