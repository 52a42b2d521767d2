"""Reductions over axes, global pooling among them: sums, means, extremes, norms, products."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, Final

import numpy as np

from tlcheck.readers.onnx.arithmetic import averaged, in_range, whole
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.convolution import spatial_axes
from tlcheck.readers.onnx.extremes import require_halves, signed_max
from tlcheck.readers.onnx.operands import Data, Known, Shape, Value
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.smooth import Exp, Log, Power, Sqrt
from tlcheck.trusted.ops.structure import ReduceSum

OnData = Callable[[Call, Data, Shape, bool], Data]
"""(call, x, axes, keep) -> x reduced over ``axes``, which are kept of size 1 or not."""


def mean(call: Call, x: Data, axes: Shape, keep: bool) -> Data:
    """x's mean over ``axes``."""
    count = prod(x.shape[a] for a in axes)
    return averaged(call, call.emit(ReduceSum(axes, keep), x), np.array(count))


def sum_over(call: Call, x: Data, axes: Shape, keep: bool) -> Data:
    """x's sum over ``axes``; over no axes, x."""
    return call.emit(ReduceSum(axes, keep), x) if axes else x


def _max_over(call: Call, x: Data, axes: Shape, keep: bool, sign: int) -> Data:
    """Max (sign 1) or min (sign -1) over ``axes``."""
    others = tuple(a for a in range(len(x.shape)) if a not in axes)
    positions = np.arange(prod(x.shape), dtype=np.int64).reshape(x.shape).transpose(*others, *axes)
    shape = ReduceSum(axes, keep).output_shape((x.shape,))
    index = positions.reshape(prod(shape), prod(x.shape[a] for a in axes))
    return signed_max(call, x, MaxOver(shape, np.ascontiguousarray(index)), sign)


def _product(call: Call, x: Data, axes: Shape, keep: bool) -> Data:
    """By halves, so that the depth is the logarithm of the number of factors."""
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


def _sum_of(inner: Operation) -> OnData:
    """The sum of ``inner`` of each entry."""
    return lambda call, x, axes, keep: sum_over(call, call.emit(inner, x), axes, keep)


def _then(outer: Operation, reduction: OnData) -> OnData:
    return lambda call, x, axes, keep: call.emit(outer, reduction(call, x, axes, keep))


def _where_axes(reduction: OnData) -> OnData:
    """Over no axes, x itself."""
    return lambda call, x, axes, keep: reduction(call, x, axes, keep) if axes else x


REDUCTIONS: Final[dict[str, tuple[OnData, Callable[..., Any] | None]]] = {
    "ReduceL1": (_sum_of(Abs()), None),
    "ReduceL2": (_then(Sqrt(), _sum_of(Power(2.0))), None),
    "ReduceLogSum": (_then(Log(), sum_over), None),
    "ReduceLogSumExp": (_then(Log(), _sum_of(Exp())), None),
    "ReduceMax": (_where_axes(partial(_max_over, sign=1)), np.max),
    "ReduceMean": (_where_axes(mean), None),
    "ReduceMin": (_where_axes(partial(_max_over, sign=-1)), np.min),
    "ReduceProd": (_where_axes(_product), np.prod),
    "ReduceSum": (sum_over, np.sum),
    "ReduceSumSquare": (_sum_of(Power(2.0)), lambda x, **how: np.sum(x * x, **how)),
}
"""The rule on data and, for shape arithmetic, the numpy function on integers."""


def reduced(call: Call) -> list[Value]:
    on_data, on_integers = REDUCTIONS[call.op]
    x, axes = call.value(0), call.ints_of_input_or_attribute(1, "axes")
    keep = call.attr_flag("keepdims", True)
    noop = call.attr_flag("noop_with_empty_axes", False)
    # over no axes: entry by entry
    chosen = axes or ([] if noop else range(len(x.shape)))
    normal = call.axes(chosen, len(x.shape))
    if isinstance(x, Known) and not x.is_float:
        return [_integers(call, x, on_integers, normal, keep)]
    x = call.data(x)
    call.refuse(0 in x.shape, "empty set")
    y = on_data(call, x, normal, keep)
    return [y if x.is_float else whole(call, y, x.dtype)]


def _integers(call: Call, x: Known, function: Callable[..., Any] | None, axes: Shape, keep: bool) -> Known:
    if function is None or x.dtype == "bool":
        raise call.unsupported(f"constant of type {x.dtype}")
    if function in (np.max, np.min):
        require_halves(call, x)
    result = np.asarray(function(x.array.astype(object), axis=axes, keepdims=keep), dtype=object)
    call.refuse(not in_range(result.ravel().tolist(), x.dtype), "integer overflow")
    return Known(result.astype(np.dtype(x.dtype)), x.dtype)


def global_pool(call: Call) -> list[Value]:
    """GlobalAveragePool and GlobalMaxPool: over the spatial axes, which are kept."""
    x = call.variable(0)
    axes = tuple(range(2, 2 + len(spatial_axes(call, x))))
    if call.op == "GlobalAveragePool":
        return [mean(call, x, axes, True)]
    return [_max_over(call, x, axes, True, 1)]
