"""TopK: the largest (smallest) entries along an axis and where they are, in order, the first of equal ones first.

Of a constant as they are. Of data the values by a sorting network, whose comparisons are a maximum and a minimum each; the
places by counting: an entry comes after so many others, and the i-th place is that of the entry that comes after i. So values
have bounds whatever the order, and a place is known where bounds decide it.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.arithmetic import negative
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.operands import Data, Known, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.discrete import ArgMax, Compare, Round
from tlcheck.trusted.ops.selection import MaxOver

Layer = list[tuple[int, int]]
"""Pairs of places without one in common: the larger entry goes to the first."""


def top_k(call: Call) -> list[Value]:
    x = call.value(0)
    axis, largest = call.axis(call.attr_int("axis", -1), len(x.shape)), call.attr_flag("largest", True)
    (k,) = [call.attr_int("k", 0)] if call.opset < 10 else call.ints(1)[:1] or [0]
    call.refuse_shape(not 1 <= k <= x.shape[axis], f"k {k} of {x.shape[axis]} entries")
    call.refuse(
        not call.attr_flag("sorted", True) and k > 1, "results that are not sorted, in whatever order"
    )
    if isinstance(x, Known):
        call.require_exact("computed constant", x)
        order = np.take(_sorted(x.array, axis, largest), np.arange(k), axis)
        return [x.moved(lambda a: np.take_along_axis(a, order, axis)), Known(order, "int64")]
    last = call.data(call.move(x if largest else negative(call, x), lambda a: np.moveaxis(a, axis, -1)))
    rows = call.data(call.reshape(last, (prod(last.shape[:-1]), last.shape[-1])))

    def back(y: Value) -> Value:
        return call.move(call.reshape(y, (*last.shape[:-1], k)), lambda a: np.moveaxis(a, -1, axis))

    values = _values(call, rows, k)
    results = [back(values if largest else negative(call, values))]
    if len(call.outputs) > 1 and call.wanted[1]:
        results.append(back(_places(call, rows, k)))
    call.harmless(1)
    return results


def _sorted(a: NDArray[Any], axis: int, largest: bool) -> NDArray[np.int64]:
    """The places of a's entries along the axis, those of equal ones in order."""
    if not largest:
        return np.argsort(a, axis, kind="stable")
    backward = np.argsort(np.flip(a, axis), axis, kind="stable")
    return np.asarray(a.shape[axis] - 1 - np.flip(backward, axis), np.int64)


def network(n: int, k: int) -> list[Layer]:
    """Layers that sort n entries, the largest first: Knuth's merge exchange (5.2.2, algorithm M), what the k first ask for."""
    layers: list[Layer] = []
    top = 1 << max((n - 1).bit_length() - 1, 0)
    p = top if n > 1 else 0
    while p:
        q, r, d = top, 0, p
        while True:
            layers.append([(i, i + d) for i in range(n - d) if i & p == r])
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
    live = set(range(k))
    for i in reversed(range(len(layers))):
        layers[i] = [pair for pair in layers[i] if not live.isdisjoint(pair)]
        live.update(place for pair in layers[i] for place in pair)
    return [layer for layer in layers if layer]


def _values(call: Call, x: Data, k: int) -> Data:
    """The k largest of each row, the largest first."""
    rows, n = x.shape
    if k == 1:
        return call.emit(MaxOver((rows, 1), np.arange(rows * n, dtype=np.int64).reshape(rows, n)), x)
    for layer in network(n, k):
        count = len(layer)
        pairs = (np.arange(rows)[:, None, None] * n + np.array(layer, np.int64)).reshape(-1, 2)
        chosen = MaxOver((rows, count), np.ascontiguousarray(pairs))
        larger, smaller = call.emit(chosen, x), negative(call, call.emit(chosen, negative(call, x)))
        places = np.arange(n)
        for i, (first, second) in enumerate(layer):
            places[first], places[second] = n + i, n + count + i
        joined = call.moves([x, larger, smaller], lambda a, p=places: np.concatenate(a, axis=1)[:, p])  # type: ignore[misc]
        x = call.data(joined)
    return call.data(call.move(x, lambda a: a[:, :k]))


def _places(call: Call, x: Data, k: int) -> Data:
    """Where these are. Of a pair a < b, x_a comes before x_b where x_b <= x_a: what is so, or is not so, counted for each entry,
    is how many come before it."""
    n = x.shape[1]
    if k == 1:
        return call.reshape(call.emit(ArgMax(), x), (x.shape[0], 1)).as_type("int64")  # type: ignore[union-attr]
    first, second = np.triu_indices(n, 1)
    call.foldable(first.size * n)
    a, b = (call.data(call.move(x, lambda v, p=p: v[:, p])) for p in (first, second))  # type: ignore[misc]
    sums = np.zeros((first.size, n))
    sums[np.arange(first.size), second], sums[np.arange(first.size), first] = 1, -1
    before = Constant(np.arange(n - 1, -1, -1, dtype=np.float64))
    rank = _whole(call, Linear(Constant(sums), before, 0, True), call.emit(Compare("<="), b, a))
    shape = (x.shape[0], k, n)
    ranks = call.data(call.broadcast(call.reshape(rank, (x.shape[0], 1, n)), shape))
    wanted = call.data(
        Known(np.array(np.broadcast_to(np.arange(k, dtype=np.float64)[:, None], shape)), x.dtype)
    )
    numbers = Constant(np.arange(n, dtype=np.float64)[:, None])
    return _whole(call, Linear(numbers, None, 0, True), call.emit(Compare("=="), ranks, wanted)).as_type(
        "int64"
    )


def _whole(call: Call, op: Linear, x: Data) -> Data:
    """A sum of integers, rounded, which they do not need and their bounds do."""
    return call.emit(Round(), call.emit(op, x))
