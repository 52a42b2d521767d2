"""mpmath's rules for the operations of ``nonlinear.py``: see ``mp_intervals.py``.

mpmath does not prove its elementary functions: their values are taken at more bits and widened by 2^-prec of themselves.
Where a function is not defined, or a discontinuous one is not decided, ``NothingToCheck`` is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from math import prod
from typing import Any

import numpy as np
from mpmath import libmp

from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.base import Operation, Shape
from tlcheck.trusted.ops.discrete import ArgMax, Compare, Floor, Round, Select, Sign, Truncate
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.indexed import Indexed, places
from tlcheck.trusted.ops.product import MatProduct, Product
from tlcheck.trusted.ops.quantized import Quantize
from tlcheck.trusted.ops.smooth import Cos, Erf, Exp, Log, Power, Reciprocal, Sin, Softplus, Sqrt
from tlcheck.trusted.ops.softmax import Softmax

Real = tuple[Any, ...]
Interval = tuple[Real, Real]
Values = list[Interval]

DOWN, UP = libmp.round_floor, libmp.round_ceiling
ZERO: Interval = (libmp.fzero, libmp.fzero)
ONE: Interval = (libmp.fone, libmp.fone)
HALF: Real = libmp.from_float(0.5)
GUARD = 20
"""Extra bits of elementary functions."""
MAX_ARGUMENT = libmp.from_int(1 << 20)
"""Exponentials of larger arguments are not computed."""


class TooLarge(ValueError):
    """More than this engine is meant for."""


class NothingToCheck(TooLarge):
    """A value that is not defined, or not decided."""


# Numbers.


def _add(x: Interval, y: Interval, prec: int) -> Interval:
    return libmp.mpf_add(x[0], y[0], prec, DOWN), libmp.mpf_add(x[1], y[1], prec, UP)


def _mul(x: Interval, y: Interval, prec: int) -> Interval:
    result: Interval = libmp.mpi_mul(x, y, prec)
    return result


def _neg(x: Interval) -> Interval:
    return libmp.mpf_neg(x[1]), libmp.mpf_neg(x[0])


def _lt(a: Real, b: Real) -> bool:
    return bool(libmp.mpf_lt(a, b))


def _le(a: Real, b: Real) -> bool:
    return bool(libmp.mpf_le(a, b))


def _integer(n: int) -> Interval:
    return libmp.from_int(n), libmp.from_int(n)


# Smooth functions.


def smooth_interval(op: Elementwise, x: Interval, prec: int) -> Interval:
    """f over the interval. Raises NothingToCheck where f is not defined on all of it."""
    low, high = x
    match op:
        case Sin() | Cos():
            function = libmp.mpi_sin if isinstance(op, Sin) else libmp.mpi_cos
            found = _absolute(function(x, prec + GUARD), prec)
            return (
                found[0] if _lt(_neg(ONE)[0], found[0]) else _neg(ONE)[0],
                found[1] if _lt(found[1], ONE[1]) else ONE[1],
            )
        case Exp():
            return _at_ends(lambda z: _exp(z, prec), x)
        case Log():
            _defined(_lt(libmp.fzero, low))
            return _at_ends(lambda z: _point(libmp.mpf_log, z, prec), x)
        case Sqrt():
            _defined(_le(libmp.fzero, low))
            return _at_ends(lambda z: _point(libmp.mpf_sqrt, z, prec), x)
        case Reciprocal():
            _defined(_lt(libmp.fzero, low) or _lt(high, libmp.fzero))
            result: Interval = libmp.mpi_div(ONE, x, prec)
            return result
        case Erf():
            return _at_ends(lambda z: _point(libmp.mpf_erf, z, prec), x)
        case Softplus():
            return _at_ends(lambda z: _softplus(z, prec), x)
        case Power():
            return _power(op, x, prec)
        case _:
            return _named(op, x, prec)


def _named(op: Elementwise, x: Interval, prec: int) -> Interval:
    """A monotone function by mpmath's name of it, of the value and the operation's own fields."""
    if op.mpmath is None or not op.monotone:
        raise NothingToCheck(f"cross-check: no rule for {type(op).__name__}")
    function: Callable[..., Real] = getattr(libmp, f"mpf_{op.mpmath}")
    numbers = tuple(vars(op).values())

    def of_one(z: Real, prec: int, rounding: str) -> Real:
        return function(z, *numbers, prec, rounding)

    try:
        ends = _point(of_one, x[0], prec), _point(of_one, x[1], prec)
    except libmp.ComplexResult:
        _defined(False)
    low, high = ends if op.monotone > 0 else ends[::-1]
    return low[0], high[1]


def _defined(holds: bool) -> None:
    if not holds:
        raise NothingToCheck("cross-check: a function that is not defined there")


def _at_ends(f: Callable[[Real], Interval], x: Interval) -> Interval:
    """An increasing function, by its values at the ends."""
    return f(x[0])[0], f(x[1])[1]


def _point(f: Callable[..., Real], z: Real, prec: int) -> Interval:
    value = f(z, prec + GUARD, libmp.round_nearest)
    slack = libmp.mpf_shift(libmp.mpf_abs(value), -prec)
    return libmp.mpf_sub(value, slack, prec, DOWN), libmp.mpf_add(value, slack, prec, UP)


def _absolute(x: Interval, prec: int) -> Interval:
    """2^-prec further out on both sides."""
    slack = libmp.mpf_shift(libmp.fone, -prec)
    return libmp.mpf_sub(x[0], slack, prec, DOWN), libmp.mpf_add(x[1], slack, prec, UP)


def _exp(z: Real, prec: int) -> Interval:
    if _lt(MAX_ARGUMENT, libmp.mpf_abs(z)):
        raise NothingToCheck("cross-check: an exponential out of range")
    return _point(libmp.mpf_exp, z, prec)


def _softplus(z: Real, prec: int) -> Interval:
    """max(z, 0) + log(1 + e^-|z|)"""
    inner = _add(ONE, _exp(libmp.mpf_neg(libmp.mpf_abs(z)), prec), prec)
    tail = (_point(libmp.mpf_log, inner[0], prec)[0], _point(libmp.mpf_log, inner[1], prec)[1])
    return _add(tail, (z, z), prec) if _lt(libmp.fzero, z) else tail


def _power(op: Power, x: Interval, prec: int) -> Interval:
    low, high = x
    if not op.whole:
        _defined(_le(libmp.fzero, low))
        p = libmp.from_float(op.exponent)
        return _at_ends(lambda z: ZERO if z == libmp.fzero else _root(z, p, prec), x)
    n = int(op.exponent)
    ends = [_times(low, n, prec), _times(high, n, prec)]
    if n % 2 or _le(libmp.fzero, low):
        return ends[0][0], ends[1][1]
    if _le(high, libmp.fzero):
        return ends[1][0], ends[0][1]
    return libmp.fzero, ends[0][1] if _lt(ends[1][1], ends[0][1]) else ends[1][1]


def _root(z: Real, p: Real, prec: int) -> Interval:
    """e^(p log z)"""
    exponent = _mul((p, p), _point(libmp.mpf_log, z, prec), prec)
    return _exp(exponent[0], prec)[0], _exp(exponent[1], prec)[1]


def _times(z: Real, n: int, prec: int) -> Interval:
    result: Interval = (z, z)
    for _ in range(n - 1):
        result = _mul(result, (z, z), prec)
    return result


def smooth(op: Elementwise, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    return [smooth_interval(op, x, prec) for x in xs[0]]


# Products and softmax.


def _product(op: Product, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    return [_mul(a, b, prec) for a, b in zip(*xs, strict=True)]


def _mat_product(op: MatProduct, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    (m, k), n = shapes[0][-2:], shapes[1][-1]
    result = []
    for i, r, c in np.ndindex(prod(shapes[0][:-2]), m, n):
        total = ZERO
        for j in range(k):
            total = _add(total, _mul(xs[0][(i * m + r) * k + j], xs[1][(i * k + j) * n + c], prec), prec)
        result.append(total)
    return result


def _softmax(op: Softmax, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    """1 / sum_j e^(x_j - x_i)"""
    n = shapes[0][-1]
    result: Values = []
    for start in range(0, len(xs[0]), n):
        row = xs[0][start : start + n]
        for i, own in enumerate(row):
            powers = [
                _at_ends(lambda z: _exp(z, prec), _add(x, _neg(own), prec))
                for j, x in enumerate(row)
                if j != i
            ]
            total = reduce(lambda a, b: _add(a, b, prec), powers, ONE)
            result.append(libmp.mpi_div(ONE, total, prec))
    return result


# Piecewise-constant functions.


def _sole(x: Interval, f: Callable[[Real], int]) -> Interval:
    """A step function that never decreases, the same at both ends."""
    a, b = f(x[0]), f(x[1])
    if a != b:
        raise NothingToCheck("cross-check: a step that is not decided")
    return _integer(a)


def _floored(z: Real) -> int:
    return int(libmp.to_int(libmp.mpf_floor(z)))


def _rounded(z: Real) -> int:
    shifted = libmp.mpf_add(z, HALF)
    n = _floored(shifted)
    return n - n % 2 if shifted == libmp.from_int(n) else n


STEPS: dict[type[Operation], Callable[[Real], int]] = {
    Sign: lambda z: int(libmp.mpf_sign(z)),
    Floor: _floored,
    Round: _rounded,
    Truncate: lambda z: int(libmp.to_int(z)),
}


def _discrete(op: Operation, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    return [_sole(x, STEPS[type(op)]) for x in xs[0]]


def quantized(op: Quantize, position: int, x: Interval, prec: int) -> Interval:
    """round(x / scale), cut: a double's quotient by a float32 number is half way between integers only if it has few bits."""
    scale, low, high = (
        float(v[position if v.size > 1 else 0])
        for v in (c.mid.astype(np.float64).reshape(-1) for c in (op.scale, op.low, op.high))
    )

    def stored(z: Real) -> int:
        quotient = libmp.mpf_div(z, libmp.from_float(scale), prec, libmp.round_nearest)
        if not op.ties and libmp.mpf_add(quotient, HALF) == libmp.mpf_floor(libmp.mpf_add(quotient, HALF)):
            raise NothingToCheck("cross-check: half way between two integers")
        return int(min(max(_rounded(quotient), low), high))

    return _sole(x, stored)


def _quantize(op: Quantize, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    return [quantized(op, k, x, prec) for k, x in enumerate(xs[0])]


def _compare(op: Compare, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    return [_integer(int(_compared(op.relation, a, b))) for a, b in zip(*xs, strict=True)]


def _compared(relation: str, a: Interval, b: Interval) -> bool:
    outcomes = {
        "==": (a[0] == a[1] == b[0] == b[1], _lt(a[1], b[0]) or _lt(b[1], a[0])),
        "<": (_lt(a[1], b[0]), _le(b[1], a[0])),
        "<=": (_le(a[1], b[0]), _lt(b[1], a[0])),
    }
    holds, fails = outcomes[relation]
    if holds == fails:
        raise NothingToCheck("cross-check: a comparison that is not decided")
    return holds


def _select(op: Select, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    result = []
    for c, a, b in zip(*xs, strict=True):
        if c not in (ONE, ZERO):
            raise NothingToCheck("cross-check: a condition that is not decided")
        result.append(a if c == ONE else b)
    return result


def _arg_max(op: ArgMax, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    n = shapes[0][-1]
    result = []
    for start in range(0, len(xs[0]), n):
        row = xs[0][start : start + n]
        winners = [i for i in range(n) if _wins(row, i, op.last)]
        if len(winners) != 1:
            raise NothingToCheck("cross-check: an ArgMax that is not decided")
        result.append(_integer(winners[0]))
    return result


def _wins(row: Values, i: int, last: bool) -> bool:
    return all(
        _lt(x[1], row[i][0]) if (j > i if last else j < i) else _le(x[1], row[i][0])
        for j, x in enumerate(row)
        if j != i
    )


def _indexed(op: Indexed, xs: list[Values], shapes: tuple[Shape, ...], prec: int) -> Values:
    integers = [
        np.array([libmp.to_int(_sole(v, _whole)[0]) for v in x], np.int64)
        for x, moved in zip(xs, op.moved, strict=True)
        if not moved
    ]
    try:
        index = places(op, shapes, integers).tolist()
    except ValueError as error:
        raise NothingToCheck(f"cross-check: {error}") from None
    entries = [v for x, moved in zip(xs, op.moved, strict=True) if moved for v in x] + _pool(op.pool)
    return [entries[i] for i in index]


def _whole(z: Real) -> int:
    n = _floored(z)
    if z != libmp.from_int(n):
        raise NothingToCheck("cross-check: an index that is not an integer")
    return n


def _pool(pool: Constant) -> Values:
    mids = [libmp.from_float(v) for v in pool.mid.astype(np.float64).reshape(-1).tolist()]
    rads = [libmp.fzero] * len(mids)
    if pool.rad is not None:
        rads = [libmp.from_float(v) for v in pool.rad.reshape(-1).tolist()]
    return [(libmp.mpf_sub(m, r), libmp.mpf_add(m, r)) for m, r in zip(mids, rads, strict=True)]


RULES: dict[type[Operation], Callable[[Any, list[Values], tuple[Shape, ...], int], Values]] = {
    Product: _product,
    Quantize: _quantize,
    MatProduct: _mat_product,
    Softmax: _softmax,
    Sign: _discrete,
    Floor: _discrete,
    Round: _discrete,
    Truncate: _discrete,
    Compare: _compare,
    Select: _select,
    ArgMax: _arg_max,
    Indexed: _indexed,
}
"""As ``mp_intervals.RULES``, which includes it; functions of one variable without a row are ``smooth``'s."""
