"""Pooling by p-norms."""

from __future__ import annotations

from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.convolution import spatial_axes
from tlcheck.readers.onnx.operands import Value
from tlcheck.readers.onnx.reductions import sum_over
from tlcheck.trusted.ops.bent import Abs
from tlcheck.trusted.ops.roots import Root
from tlcheck.trusted.ops.smooth import Power


def global_lp_pool(call: Call) -> list[Value]:
    """(sum of |x|^p)^(1/p) over the spatial axes, which are kept; p a whole number."""
    x, p = call.variable(0), call.attr_int("p", 2)
    call.refuse(p < 1, f"p {p}")
    axes = tuple(range(2, 2 + len(spatial_axes(call, x))))
    size = x if p % 2 == 0 else call.emit(Abs(), x)
    powers = size if p == 1 else call.emit(Power(float(p)), size)
    return [call.emit(Root(p), sum_over(call, powers, axes, True))]
