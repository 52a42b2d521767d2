"""Pooling by p-norms."""

from __future__ import annotations

from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.convolution import spatial_axes
from tlcheck.readers.onnx.operands import Data, Value
from tlcheck.readers.onnx.pooling import window_sums, windows_of
from tlcheck.readers.onnx.reductions import sum_over
from tlcheck.trusted.ops.bent import Abs
from tlcheck.trusted.ops.roots import Root
from tlcheck.trusted.ops.smooth import Power


def global_lp_pool(call: Call) -> list[Value]:
    """(sum of |x|^p)^(1/p) over the spatial axes, which are kept; p a whole number."""
    x = call.variable(0)
    axes = tuple(range(2, 2 + len(spatial_axes(call, x))))
    powers, p = _powers(call, x)
    return [call.emit(Root(p), sum_over(call, powers, axes, True))]


def lp_pool(call: Call) -> list[Value]:
    """(sum of |x|^p)^(1/p) over windows."""
    x = call.variable(0)
    windows = windows_of(call, x)
    powers, p = _powers(call, x)
    return [call.emit(Root(p), window_sums(call, powers, windows))]


def _powers(call: Call, x: Data) -> tuple[Data, int]:
    """|x|^p, and p."""
    p = call.attr_int("p", 2)
    call.refuse(p < 1, f"p {p}")
    size = x if p % 2 == 0 else call.emit(Abs(), x)
    return (size if p == 1 else call.emit(Power(float(p)), size)), p
