"""Sums, products, quotients, entry by entry: of constants exactly, of data as operations.

Guarantee: a constant that results holds the exact numbers in its enclosure, and counts the roundings of a float32 execution;
an operation that takes a constant is charged with them. What only networks with products of variables, quotients or
integers ask for is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import reduce
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx import exact
from tlcheck.readers.onnx.call import Call, shown
from tlcheck.readers.onnx.operands import FLOAT32_TINY, FLOAT32_UNIT, INTEGERS, Data, Known, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.affine import Scale, Sum
from tlcheck.trusted.ops.base import Operation

Exact = Callable[[Constant, Constant], Constant]

ONE, MINUS_ONE = Constant(np.array(1, np.float32)), Constant(np.array(-1, np.float32))

FLOAT32_MAX = float(np.finfo(np.float32).max)


# constants


def folded(call: Call, value: Constant, dtype: str, roundings: int) -> Known:
    """The exact result of an operation on constants whose float32 execution makes ``roundings`` relative roundings."""
    call.refuse(dtype not in ("float32", "float64"), f"arithmetic on constants of type {dtype}")
    size = np.abs(value.mid.astype(np.float64))
    if dtype != "float64" and bool((size > FLOAT32_MAX).any()):
        raise call.nonfinite(f"a constant overflows {dtype}")
    if value.rad is None and dtype == "float32" and bool((value.mid == value.mid.astype(np.float32)).all()):
        return Known(value.mid.astype(np.float32), dtype, None, max(roundings - 1, 0))
    if roundings and dtype != "float64" and bool(((size > 0) & (size < 2 * FLOAT32_TINY)).any()):
        return Known.of(exact.widen(value, 2 * roundings * FLOAT32_UNIT, FLOAT32_TINY), dtype)
    return Known.of(value, dtype, roundings)


def in_range(values: Iterable[Any], dtype: str) -> bool:
    """Every one of these integers is of that type."""
    limits = np.iinfo(dtype)
    return all(limits.min <= int(v) <= limits.max for v in values)


def fold_integers(call: Call, function: Callable[..., object], *operands: Known) -> Known:
    """``function`` on Python integers, entry by entry; a result outside the type is refused."""
    dtype = call.same_type(*operands)
    call.refuse(dtype not in INTEGERS, f"constants of type {dtype}")
    call.foldable(prod(call.common_shape(*operands)))
    arrays = np.broadcast_arrays(*(x.array.astype(object) for x in operands))
    try:
        values = [function(*entries) for entries in zip(*(a.ravel().tolist() for a in arrays), strict=True)]
        result = np.array(values, dtype=object).astype(np.dtype(dtype)).reshape(arrays[0].shape)
    except (OverflowError, ZeroDivisionError) as error:
        raise call.unsupported(f"integer arithmetic: {error}") from error
    call.refuse(not in_range(values, dtype), "integer overflow")
    return Known(result, dtype)


def _truncated(p: int, q: int) -> int:
    """p / q towards zero, as C and ONNX divide integers."""
    quotient = abs(p) // abs(q)
    return quotient if (p < 0) == (q < 0) else -quotient


def _of_known(
    call: Call, a: Known, b: Known, on_integers: Callable[[int, int], int], on_numbers: Exact, roundings: int
) -> Known:
    """The exact result; ``roundings`` are those of a float32 execution."""
    if not a.is_float:
        return fold_integers(call, on_integers, a, b)
    return folded(call, call.exactly(lambda: on_numbers(a.constant(), b.constant())), a.dtype, roundings)


def times(call: Call, known: Known, factor: float) -> Known:
    """known * factor exactly, without charging a rounding (the operation it goes into does)."""
    if factor == 1:
        return known
    product = call.exactly(lambda: exact.multiply(known.constant(), Constant(np.array(factor))))
    return Known.of(product, known.dtype, known.roundings)


def _negated(known: Known) -> Known:
    return Known.of(exact.negative(known.constant()), known.dtype, known.roundings)


# data and constants


def scale(call: Call, x: Value, factor: Constant, offset: Constant | None, roundings: int) -> Data:
    """factor * x + offset where both constants broadcast to x."""
    return call.emit(Scale(factor, offset, roundings), call.data(x))


def in_a_sum(call: Call, x: Value, terms: int) -> Value:
    """x, a summand beside so many terms: in float32 an execution that starts from x rounds it with each of them."""
    if isinstance(x, Known):
        return replace(x, roundings=x.roundings + terms)
    return scale(call, x, ONE, None, terms)


def negative(call: Call, x: Data) -> Data:
    return scale(call, x, MINUS_ONE, None, 0)


def add_signed(call: Call, a: Value, b: Value, sign: int) -> Value:
    """a + sign * b."""
    call.same_type(a, b)
    if a.hidden is not None or b.hidden is not None:
        return _masked_sum(call, a, b)
    if isinstance(a, Known) and isinstance(b, Known):
        function = exact.add if sign == 1 else exact.subtract
        return _of_known(call, a.settled(), b.settled(), lambda p, q: p + sign * q, function, 1)
    if not a.is_float:
        return _on_integers(call, Sum((1, sign)), a, b)
    shape = call.common_shape(a, b)
    if isinstance(b, Known):
        offset = b if sign == 1 else _negated(b)
        return scale(call, call.broadcast(a, shape), ONE, offset.constant(), 1 + b.roundings)
    if isinstance(a, Known):
        factor = ONE if sign == 1 else MINUS_ONE
        return scale(call, call.broadcast(b, shape), factor, a.constant(), 1 + a.roundings)
    return call.emit(Sum((1, sign)), *(call.data(call.broadcast(x, shape)) for x in (a, b)))


def _masked_sum(call: Call, a: Value, b: Value) -> Value:
    """a + b where one of them is a mask: minus infinity plus a number is minus infinity. Of ``Add`` only."""
    if call.op != "Add":
        raise call.nonfinite("an operand holds minus infinity")
    shape = call.common_shape(a, b)
    masks = [np.broadcast_to(x.hidden, shape) for x in (a, b) if x.hidden is not None]
    hidden = np.logical_or.reduce(masks)
    total = add_signed(call, shown(a), shown(b), 1)
    if isinstance(total, Data):
        return Data(total.node, total.shape, total.dtype, hidden)
    array = np.where(hidden, -np.inf, total.array).astype(total.array.dtype)
    return Known(array, total.dtype, total.rad, total.roundings)


def _on_integers(call: Call, op: Operation, a: Value, b: Value) -> Data:
    """``op`` on int64; no other type's arithmetic is read."""
    call.refuse(a.dtype != "int64", f"arithmetic on variable {a.dtype}")
    shape = call.common_shape(a, b)
    return whole(call, call.emit(op, *(call.numbers(call.broadcast(x, shape)) for x in (a, b))), "int64")


def whole(call: Call, x: Data, dtype: str) -> Data:
    """x, a whole number; not defined from 2^31 on, so that integers of the network never overflow."""
    from tlcheck.trusted.ops.discrete import Truncate

    return call.emit(Truncate(), x).as_type(dtype)


def add(call: Call) -> list[Value]:
    """Add and Sub."""
    return [add_signed(call, call.value(0), call.value(1), 1 if call.op == "Add" else -1)]


def require_same_shapes(call: Call, values: Sequence[Value]) -> None:
    """Sum, Mean, Max and Min do not broadcast before opset 8. Raises TLC204."""
    if call.opset < 8 and len({value.shape for value in values}) > 1:
        raise call.misshapen(f"operands of different shapes before opset 8: {[v.shape for v in values]}")


def sum_all(call: Call) -> list[Value]:
    values = call.values()
    require_same_shapes(call, values)
    return [reduce(lambda total, x: add_signed(call, total, x, 1), values)]


def mean_all(call: Call) -> list[Value]:
    (total,) = sum_all(call)
    return [_divided(call, total, Known(np.array(float(call.n_inputs)), total.dtype))]


def mul(call: Call) -> list[Value]:
    return [multiplied(call, call.value(0), call.value(1))]


def multiplied(call: Call, a: Value, b: Value) -> Value:
    """a b, broadcast."""
    call.same_type(a, b)
    if isinstance(a, Known) and isinstance(b, Known):
        return _of_known(call, a, b, lambda p, q: p * q, exact.multiply, a.roundings + b.roundings + 1)
    for factor, x in ((a, b), (b, a)):
        if isinstance(factor, Known) and a.is_float:
            shape = call.common_shape(a, b)
            return scale(call, call.broadcast(x, shape), factor.constant(), None, 1 + factor.roundings)
    return _variables_multiplied(call, a, b)


def _variables_multiplied(call: Call, a: Value, b: Value) -> Data:
    """A square where it is one: bounds of a product do not know that its factors are the same.

    Each of the two operations is loaded for networks that have it.
    """
    if a.is_float and a == b:
        from tlcheck.trusted.ops.smooth import Power

        return call.emit(Power(2.0), call.data(a))
    from tlcheck.trusted.ops.product import Product

    if not a.is_float:
        return _on_integers(call, Product(), a, b)
    shape = call.common_shape(a, b)
    return call.emit(Product(), *(call.data(call.broadcast(x, shape)) for x in (a, b)))


def div(call: Call) -> list[Value]:
    a, b = call.value(0), call.value(1)
    call.same_type(a, b)
    if isinstance(a, Known) and isinstance(b, Known):
        # 1/(1 - u) <= (1 + u)^2 and 1/(1 + u) >= 1 - u: a rounding of the divisor counts twice
        return [_of_known(call, a, b, _truncated, exact.divide, a.roundings + 2 * b.roundings + 1)]
    if isinstance(b, Known):
        return [_divided(call, a, b)]
    # a quotient of which the network computes the divisor
    from tlcheck.trusted.ops.smooth import Reciprocal

    return [multiplied(call, a, call.emit(Reciprocal(), b))]


def _divided(call: Call, x: Value, divisor: Known) -> Value:
    call.require_float(x, divisor)
    shape = call.common_shape(x, divisor)
    factor = call.exactly(lambda: exact.reciprocal(divisor.constant()))
    return scale(call, call.broadcast(x, shape), factor, None, 1 + 2 * divisor.roundings)


def averaged(call: Call, sums: Data, counts: NDArray[np.int64]) -> Data:
    """sums / counts, counts broadcasting over the last axes. Two roundings: some runtimes multiply by 1/count."""
    if counts.size and int(counts.min()) == int(counts.max()):
        counts = counts.reshape(-1)[:1].reshape(())
    values, inverse = np.unique(counts, return_inverse=True)
    factors = call.exactly(lambda: exact.reciprocal(Constant(values.astype(np.float64))))
    return scale(call, sums, factors.moved(lambda a: a[inverse].reshape(counts.shape)), None, 2)


def neg(call: Call) -> list[Value]:
    x = call.value(0)
    if isinstance(x, Data):
        return [negative(call, x)]
    return [_negated(x) if x.is_float else fold_integers(call, lambda p: -p, x)]
