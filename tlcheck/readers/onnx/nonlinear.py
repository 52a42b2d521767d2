"""Smooth functions, products of variables, softmax; comparisons, roundings and choices of variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from tlcheck.readers.onnx import constants
from tlcheck.readers.onnx.call import Call, shown
from tlcheck.readers.onnx.elementwise import MINUS_ONE, ONE, max_of, scale
from tlcheck.readers.onnx.values import Data, Known, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.affine import Sum
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.discrete import MAX_TRUNCATED, ArgMax, Compare, Floor, Round, Select, Sign
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.smooth import Cos, Erf, Exp, Log, Sin, Softplus
from tlcheck.trusted.ops.softmax import Softmax
from tlcheck.trusted.ops.structure import Rearrange, ReduceSum

ZERO = Constant(np.array(0, np.float32))

Lowering = Callable[[Call], Sequence[Value]]


def _unary(op: Operation) -> Lowering:
    def lower(call: Call) -> list[Value]:
        return [call.emit(op, call.data(call.value(0)))]

    return lower


sin, cos, exp, log, erf = (_unary(op) for op in (Sin(), Cos(), Exp(), Log(), Erf()))
softplus = _unary(Softplus())


def softmax(call: Call) -> list[Value]:
    return [_softmax(call)]


def log_softmax(call: Call) -> list[Value]:
    return [call.emit(Log(), _softmax(call))]


def _softmax(call: Call) -> Data:
    """Before opset 13 the axes from ``axis`` on count as one."""
    x = call.data(call.value(0))
    axis = call.axis(call.attr_int("axis", -1 if call.opset >= 13 else 1), len(x.shape))
    if x.shape[axis] == 0:
        raise call.unsupported("empty set")
    if call.opset >= 13:
        last = call.data(call.move(x, lambda a: np.moveaxis(a, axis, -1)))
        return call.data(call.move(_over_last(call, last), lambda a: np.moveaxis(a, -1, axis)))
    flat = call.data(call.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:]))))
    return call.data(call.reshape(_over_last(call, flat), x.shape))


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
        taken = np.flatnonzero((rows & (counts == count)[:, None]).ravel())
        part = call.move(seen, lambda a, taken=taken, count=count: a.ravel()[taken].reshape(-1, count))  # type: ignore[misc]
        parts.append(call.emit(Softmax(), call.data(part)))
        places.ravel()[taken] = start + np.arange(taken.size)
        start += taken.size
    return _where_all_exist(call, call.emit(Rearrange(x.shape, places.ravel()), *parts), seen)


def _where_all_exist(call: Call, y: Data, x: Value) -> Data:
    """y, without a value where an entry of x's last axis has none: minus infinity plus what is no number is no number."""
    row = call.emit(ReduceSum((len(x.shape) - 1,), True), call.data(x))
    nothing = call.broadcast(scale(call, row, ZERO, None, 0), x.shape)
    return call.emit(Sum((1, 1)), y, call.data(nothing))


# Roundings and signs.


def sign(call: Call) -> list[Value]:
    return _step(call, np.sign, lambda x: call.emit(Sign(), x))


def floor(call: Call) -> list[Value]:
    return _step(call, np.floor, lambda x: call.emit(Floor(), x))


def ceil(call: Call) -> list[Value]:
    return _step(call, np.ceil, lambda x: _negative(call, call.emit(Floor(), _negative(call, x))))


def round_(call: Call) -> list[Value]:
    return _step(call, np.rint, lambda x: call.emit(Round(), x))


def _step(call: Call, on_constant: Callable[..., object], on_data: Callable[[Data], Data]) -> list[Value]:
    """A constant is rounded exactly; data by an operation."""
    x = call.value(0)
    return constants.unary(on_constant)(call) if isinstance(x, Known) else [on_data(x)]


def _negative(call: Call, x: Data) -> Data:
    return scale(call, x, MINUS_ONE, None, 0)


# Comparisons, logic, choices. Booleans are 0 and 1.


def comparison(function: Callable[..., object], relation: str, *, swap: bool = False) -> Lowering:
    """``a relation b``, or ``b relation a``."""

    def lower(call: Call) -> list[Value]:
        a, b = call.value(0), call.value(1)
        if isinstance(a, Known) and isinstance(b, Known):
            return constants.comparison(function)(call)
        call.same_type(a, b)
        shape = call.common_shape(a, b)
        operands = [_number(call, call.broadcast(x, shape)) for x in ((b, a) if swap else (a, b))]
        return [call.emit(Compare(relation), *operands).as_type("bool")]

    return lower


def _number(call: Call, x: Value) -> Data:
    """x as data, integers and booleans as the numbers they are."""
    if isinstance(x, Known) and not x.is_float:
        if x.dtype != "bool" and bool((np.abs(x.array.astype(np.float64)) >= MAX_TRUNCATED).any()):
            raise call.unsupported("an integer beyond 2^31")
        x = Known(x.array.astype(np.float64), "float64")
    return call.data(x)


def logical_not(call: Call) -> list[Value]:
    x = call.value(0)
    if isinstance(x, Known):
        return constants.logic(np.logical_not, 1)(call)
    if x.dtype != "bool":
        raise call.unsupported("operand that is not bool")
    return [scale(call, x, MINUS_ONE, ONE, 0).as_type("bool")]


def logical_and(call: Call) -> list[Value]:
    return _joined(call, np.logical_and, lambda a, b: call.emit(Product(), a, b))


def logical_or(call: Call) -> list[Value]:
    return _joined(call, np.logical_or, lambda a, b: max_of(call, [a, b], 1))


def logical_xor(call: Call) -> list[Value]:
    """1 where the two differ."""
    return _joined(
        call,
        np.logical_xor,
        lambda a, b: scale(call, call.emit(Compare("=="), a, b), MINUS_ONE, ONE, 0),
    )


def _joined(
    call: Call, function: Callable[..., object], on_data: Callable[[Data, Data], Data]
) -> list[Value]:
    a, b = call.value(0), call.value(1)
    if isinstance(a, Known) and isinstance(b, Known):
        return constants.logic(function, 2)(call)
    if call.same_type(a, b) != "bool":
        raise call.unsupported("operand that is not bool")
    shape = call.common_shape(a, b)
    x, y = (_number(call, call.broadcast(v, shape)).as_type("bool") for v in (a, b))
    return [on_data(x, y).as_type("bool")]


def where(call: Call) -> list[Value]:
    condition, x, y = call.value(0), call.value(1), call.value(2)
    if condition.dtype != "bool":
        raise call.unsupported(f"condition of type {condition.dtype}")
    dtype = call.same_type(x, y)
    shape = call.common_shape(condition, x, y)
    if isinstance(condition, Known):
        chosen = condition.array
        return [call.moves([x, y], lambda arrays: np.where(chosen, arrays[0], arrays[1]))]
    a, b = (_number(call, call.broadcast(v, shape)) for v in (x, y))
    if a.hidden is not None or b.hidden is not None:
        raise call.nonfinite("a choice that the network makes between numbers and minus infinity")
    return [call.emit(Select(), call.data(call.broadcast(condition, shape)), a, b).as_type(dtype)]


def arg_max(call: Call) -> list[Value]:
    return [_arg_max(call, call.data(call.value(0)))]


def arg_min(call: Call) -> list[Value]:
    return [_arg_max(call, _negative(call, call.data(call.value(0))))]


def _arg_max(call: Call, x: Data) -> Value:
    axis, keep = call.axis(call.attr_int("axis", 0), len(x.shape)), call.attr_flag("keepdims", True)
    if x.shape[axis] == 0:
        raise call.unsupported("empty set")
    last = call.data(call.move(x, lambda a: np.moveaxis(a, axis, -1)))
    found = call.emit(ArgMax(call.attr_flag("select_last_index", False)), last).as_type("int64")
    shape = tuple(1 if a == axis else n for a, n in enumerate(x.shape) if keep or a != axis)
    return call.reshape(found, shape)
