"""Products of matrices: Gemm, MatMul, CumSum; with a constant factor as an affine map, else as a product of variables."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.arithmetic import add_signed, in_a_sum, scale, times
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.operands import Data, Known, Shape, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.affine import Linear


def transposed(call: Call, x: Value) -> Value:
    """x with its last two axes swapped."""
    return call.move(x, _swapped)


def _swapped(a: NDArray[Any]) -> NDArray[Any]:
    return np.swapaxes(a, -1, -2)


def gemm(call: Call) -> list[Value]:
    """alpha A' B' + beta C."""
    a, b, c = call.value(0), call.value(1), call.optional(2)
    call.same_type(a, b, c)
    call.require_float(a)
    alpha, beta = call.attr_float("alpha", 1.0), call.attr_float("beta", 1.0)
    if len(a.shape) != 2 or len(b.shape) != 2:
        raise call.misshapen(f"operands of shapes {a.shape} and {b.shape} are not matrices")
    a = transposed(call, a) if call.attr_flag("transA", False) else a
    b = transposed(call, b) if call.attr_flag("transB", False) else b
    shape = (a.shape[0], b.shape[1])
    if c is not None and not call.fits(c.shape, shape):
        raise call.misshapen(f"C of shape {c.shape} does not broadcast to {shape}")
    roundings = int(alpha != 1 or (c is not None and beta != 1))
    if isinstance(c, Known) and isinstance(b, Known) and _is_row(c, shape[1]):
        row = c.moved(lambda v: np.broadcast_to(v.reshape(-1), shape[1:]))
        return [product(call, a, b, alpha=alpha, bias=times(call, row, beta), roundings=roundings)]
    y = product(call, a, b, alpha=alpha, roundings=roundings)
    if c is None:
        return [y]
    return [add_signed(call, y, in_a_sum(call, _scaled(call, c, beta), a.shape[1]), 1)]


def _is_row(c: Known, columns: int) -> bool:
    """It is one number, or one for each column."""
    return c.array.size == 1 or c.shape[-1:] == (c.array.size,) == (columns,)


def _scaled(call: Call, c: Value, beta: float) -> Value:
    """beta c, its rounding charged to the sum that takes it."""
    if beta == 1:
        return c
    if isinstance(c, Known):
        return replace(times(call, c, beta), roundings=c.roundings + 1)
    return scale(call, c, Constant(np.array(beta)), None, 1)


def product(
    call: Call,
    a: Value,
    b: Value,
    *,
    alpha: float = 1.0,
    bias: Known | None = None,
    roundings: int = 0,
    exact: bool = False,
) -> Value:
    """alpha (a b) + bias, numpy.matmul of operands of two or more axes; a bias needs a constant b. ``exact``: of integers."""
    if isinstance(b, Known):
        return _right(call, call.data(a), times(call, b, alpha), bias, roundings, exact)
    if isinstance(a, Known):
        # A B = (B^T A^T)^T
        weight = times(call, a, alpha).moved(_swapped)
        return transposed(call, _right(call, call.data(transposed(call, b)), weight, None, roundings, exact))
    # kernels also multiply by alpha before they add up
    y = _variable(call, a, b, max(roundings, int(alpha != 1)))
    return y if alpha == 1 else scale(call, y, Constant(np.array(alpha)), None, 1)


def _variable(call: Call, a: Data, b: Data, roundings: int) -> Data:
    """A product of two variables, batch entry by batch entry; its operation is loaded for networks that have one."""
    from tlcheck.trusted.ops.product import MatProduct

    batch = _batch(call, a, b)
    left, right = (call.data(call.broadcast(x, (*batch, *x.shape[-2:]))) for x in (a, b))
    return call.emit(MatProduct(roundings), left, right)


def _batch(call: Call, a: Value, b: Value) -> Shape:
    """The shape of what numpy.matmul multiplies one by one."""
    try:
        return np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError as error:
        raise call.misshapen(f"{a.shape} and {b.shape} do not multiply") from error


def _right(call: Call, x: Data, weight: Known, bias: Known | None, roundings: int, exact: bool) -> Data:
    """x weight + bias for x (..., M, K), weight (..., K, N)."""
    call.refuse_shape(x.shape[-1] != weight.shape[-2], f"{x.shape} and {weight.shape} do not multiply")
    batch = weight.shape[:-2]
    if prod(batch) != 1:
        return _batched(call, x, weight, roundings, exact)
    flat = weight.moved(lambda a: a.reshape(a.shape[-2:]))
    roundings += max(flat.roundings, 0 if bias is None else bias.roundings)
    y = call.emit(Linear(flat.constant(), None if bias is None else bias.constant(), roundings, exact), x)
    extra = len(batch) + 2 - len(x.shape)
    return y if extra <= 0 else call.data(call.reshape(y, (1,) * extra + y.shape))


def _batched(call: Call, x: Data, weight: Known, roundings: int, exact: bool) -> Data:
    """One matrix per batch entry: a convolution of kernel size 1 with one group per batch entry."""
    batch = _batch(call, x, weight)
    (m, k), n, groups = x.shape[-2:], weight.shape[-1], prod(batch)
    columns = transposed(call, call.broadcast(x, (*batch, m, k)))
    call.checked((*batch, k, n))
    kernels = weight.moved(lambda a: _swapped(np.broadcast_to(a, (*batch, k, n))).reshape(groups * n, k, 1))
    call.require_float(kernels)
    from tlcheck.trusted.ops.convolution import Conv

    op = Conv(kernels.constant(), None, (1,), (1,), (0,), (0,), groups, kernels.roundings + roundings, exact)
    y = call.emit(op, call.data(call.reshape(columns, (1, groups * k, m))))
    return call.data(transposed(call, call.reshape(y, (*batch, n, m))))


def matmul(call: Call) -> list[Value]:
    a, b = call.value(0), call.value(1)
    call.same_type(a, b)
    call.require_float(a, b)
    return [multiply(call, a, b)]


def multiply(call: Call, a: Value, b: Value, *, alpha: float = 1.0, exact: bool = False) -> Value:
    """alpha times numpy.matmul; ``exact``: of integers."""
    call.refuse_shape(not a.shape or not b.shape, "operand without axes")
    left = call.reshape(a, (1, *a.shape)) if len(a.shape) == 1 else a
    right = call.reshape(b, (*b.shape, 1)) if len(b.shape) == 1 else b
    y = product(call, left, right, alpha=alpha, roundings=int(alpha != 1), exact=exact)
    # a vector's own axis of size 1 is no axis of the result
    rows, columns = y.shape[-2:-1] if left is a else (), y.shape[-1:] if right is b else ()
    return call.reshape(y, (*y.shape[:-2], *rows, *columns))


def cum_sum(call: Call) -> list[Value]:
    """A product with a triangle of ones along the axis."""
    x, axes = call.value(0), call.ints(1)
    call.refuse_shape(len(axes) != 1, f"axis {axes}")
    axis = call.axis(axes[0], len(x.shape))
    n = x.shape[axis]
    call.foldable(n * n)
    ones = np.triu(np.ones((n, n), np.float32), 1 if call.attr_flag("exclusive", False) else 0)
    if call.attr_flag("reverse", False):
        ones = ones.T
    call.require_float(x)
    triangle = Known(np.ascontiguousarray(ones), x.dtype)
    return [along(call, x, axis, triangle)]


def along(call: Call, x: Value, axis: int, matrix: Known) -> Value:
    """The products of x's vectors along ``axis`` with a matrix of as many rows."""

    def multiplied(last: Data) -> Value:
        flat = call.reshape(last, (prod(last.shape[:-1]), last.shape[-1]))
        return call.reshape(product(call, flat, matrix), (*last.shape[:-1], matrix.shape[1]))

    return call.over_last(call.data(x), axis, multiplied)
