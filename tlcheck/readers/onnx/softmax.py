"""Softmax and LogSoftmax; entries that a mask hides get the weight 0."""

from __future__ import annotations

import numpy as np

from tlcheck.readers.onnx.arithmetic import scale
from tlcheck.readers.onnx.call import Call, shown
from tlcheck.readers.onnx.operands import Data, Value
from tlcheck.trusted.constant import Constant
from tlcheck.trusted.ops.affine import Sum
from tlcheck.trusted.ops.smooth import Log
from tlcheck.trusted.ops.softmax import Softmax
from tlcheck.trusted.ops.structure import Rearrange, ReduceSum

ZERO = Constant(np.array(0, np.float32))


def softmax(call: Call) -> list[Value]:
    return [call.over_axis(call.variable(0), lambda x: _over_last(call, x))]


def log_softmax(call: Call) -> list[Value]:
    return [call.emit(Log(), call.data(*softmax(call)))]


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
