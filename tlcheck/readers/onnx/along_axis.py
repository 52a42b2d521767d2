"""Along one axis: softmax, which entry is the largest (ArgMax, ArgMin, Hardmax), and codes of one 1 and zeros (OneHot)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tlcheck.readers.onnx.arithmetic import negative, scale
from tlcheck.readers.onnx.call import DIFFER, Call, shown
from tlcheck.readers.onnx.operands import INTEGERS, Data, Known, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.affine import Sum
from tlcheck.trusted.ops.discrete import ArgMax, Compare, Select
from tlcheck.trusted.ops.smooth import Log
from tlcheck.trusted.ops.softmax import Softmax
from tlcheck.trusted.ops.structure import Rearrange, ReduceSum

ZERO = Constant(np.array(0, np.float32))


def softmax(call: Call) -> list[Value]:
    """Softmax and LogSoftmax; entries that a mask hides get the weight 0."""
    y = call.over_axis(call.variable(0), lambda x: _over_last(call, x))
    return [y if call.op == "Softmax" else call.emit(Log(), call.data(y))]


def _over_last(call: Call, x: Data) -> Data:
    """Softmax over the last axis. Entries that are minus infinity get exactly 0, and the others are as if alone."""
    if x.hidden is None:
        return call.emit(Softmax(), x)
    width = x.shape[-1]
    rows = ~x.hidden.reshape(-1, width)
    counts = rows.sum(axis=1)
    if not counts.all():
        raise call.nonfinite("softmax of minus infinity only is not a number")
    places, start = np.full(rows.shape, -1, np.int64), 0
    parts: list[Data] = []
    seen = shown(x)
    for count in np.unique(counts).tolist():
        # the rows with so many entries that are numbers
        taken = np.flatnonzero((rows & (counts == count)[:, None]).ravel()).reshape(-1, count)
        part = call.move(seen, lambda a, taken=taken: a.ravel()[taken])  # type: ignore[misc]
        parts.append(call.emit(Softmax(), call.data(part)))
        places.ravel()[taken] = start + np.arange(taken.size).reshape(taken.shape)
        start += taken.size
    return _where_all_exist(call, call.emit(Rearrange(x.shape, places.ravel()), *parts), seen)


def _where_all_exist(call: Call, y: Data, x: Value) -> Data:
    """y, without a value where an entry of x's last axis has none: minus infinity plus what is no number is no number."""
    row = call.emit(ReduceSum((len(x.shape) - 1,), True), call.data(x))
    nothing = call.broadcast(scale(call, row, ZERO, None, 0), x.shape)
    return call.emit(Sum((1, 1)), y, call.data(nothing))


def arg_extreme(call: Call) -> list[Value]:
    x = call.variable(0)
    x = x if call.op == "ArgMax" else negative(call, x)
    axis, keep = call.axis(call.attr_int("axis", 0), len(x.shape)), call.attr_flag("keepdims", True)
    call.refuse(x.shape[axis] == 0, "empty set")
    last = call.data(call.move(x, lambda a: np.moveaxis(a, axis, -1)))
    found = call.emit(ArgMax(call.attr_flag("select_last_index", False)), last).as_type("int64")
    shape = tuple(1 if a == axis else n for a, n in enumerate(x.shape) if keep or a != axis)
    return [call.reshape(found, shape)]


def hardmax(call: Call) -> list[Value]:
    """1 at the first largest entry along ``axis``, else 0."""

    def codes(x: Data) -> Data:
        return _codes(call, call.emit(ArgMax(), x), x.shape[-1], wrap=False).as_type(x.dtype)

    return [call.over_axis(call.variable(0), codes)]


def _codes(call: Call, index: Value, depth: int, *, wrap: bool) -> Data:
    """(*index.shape, depth): 1 where the last place is the index (``wrap``: or the index + depth)."""
    shape = call.checked((*index.shape, depth))
    column = call.reshape(index, (*index.shape, 1))
    if isinstance(column, Known):
        column = Known(column.array.astype(np.float64), "float64")
    wide = call.data(call.broadcast(column, shape))
    places = [np.arange(depth), np.arange(depth) - depth] if wrap else [np.arange(depth)]
    numbers = (Known(np.array(np.broadcast_to(p, shape), np.float64), "float64") for p in places)
    hits = [call.emit(Compare("=="), wide, call.data(known)) for known in numbers]
    return call.emit(Sum((1, 1)), *hits) if wrap else hits[0]


def one_hot(call: Call) -> list[Value]:
    """values[1] where the index (negative ones from the end) is the place along ``axis``, else values[0]."""
    index, depths, values = call.value(0), call.known(1), call.known(2)
    if depths.array.size != 1 or values.shape != (2,) or index.dtype not in INTEGERS:
        raise call.misshapen(f"depth of shape {depths.shape}, values of shape {values.shape}")
    call.require_whole(*(v for v in (index, values) if isinstance(v, Known) and not v.is_float))
    call.require_exact("a computed depth", depths)
    # before opset 11 the text gives negative indices no place; onnxruntime counts them from the end
    old = call.opset < 11 and not (isinstance(index, Known) and bool((index.array >= 0).all()))
    call.refuse(old, "indices that may be negative before opset 11", DIFFER)
    depth = int(depths.array.reshape(()))
    axis = call.axis(call.attr_int("axis", -1), len(index.shape) + 1)
    call.refuse(depth < 1, f"depth {depth}")
    found = _codes(call, index, depth, wrap=True)
    settled = values.settled()
    entries = replace(settled, array=settled.array.astype(np.float64), dtype="float64")
    off = call.data(entries.moved(lambda a: np.broadcast_to(a[0], found.shape)))
    on = call.data(entries.moved(lambda a: np.broadcast_to(a[1], found.shape)))
    chosen = call.emit(Select(), found, on, off).as_type(values.dtype)
    return [call.move(chosen, lambda a: np.moveaxis(a, -1, axis))]
