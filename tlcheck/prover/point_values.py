"""Plain values of operations at many points, and the products of coefficients with their derivatives; floats, unsound.

``values_of``: operands (P, n_j) -> (P, n). ``pulled``: coefficients (P, n) on an operation's values -> on each operand's; where
an operation has no derivative (steps, places that integers decide), that of a piece, or 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.base import Operation, Shape
from tlcheck.trusted.ops.discrete import ArgMax, Compare, Floor, Round, Select, Sign, Truncate
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.indexed import Indexed, places
from tlcheck.trusted.ops.product import MatProduct, Product
from tlcheck.trusted.ops.quantized import Quantize
from tlcheck.trusted.ops.s_shaped import SShaped
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.softmax import Softmax

Array = NDArray[Any]

STEP: Final = 1e-6
"""Relative step of a difference quotient."""
RELATIONS: Final[dict[str, Callable[..., Array]]] = {"==": np.equal, "<": np.less, "<=": np.less_equal}


def values_of(op: Operation, xs: Sequence[Array], shapes: tuple[Shape, ...]) -> Array:
    """Of operations that are neither affine nor sources. Raises ValueError where there is no rule."""
    x = xs[0]
    match op:
        case Elementwise():
            return np.asarray(op.approximate(x))
        case MaxOver():
            return np.asarray(_windows(op, x).max(axis=2))
        case Product():
            return np.asarray(x * xs[1])
        case MatProduct():
            a, b = _matrices(xs, shapes)
            return np.asarray((a @ b).reshape(len(x), -1))
        case Select():
            return np.where(x != 0, xs[1], xs[2])
        case Compare():
            return RELATIONS[op.relation](x, xs[1]).astype(x.dtype)
        case Softmax():
            return _softmax(x, shapes[0][-1])
        case Sign() | Floor() | Round() | Truncate():
            return np.asarray(_STEPS[type(op)](x))
        case ArgMax():
            rows = x.reshape(len(x), -1, shapes[0][-1])
            last = rows.shape[2] - 1
            found = last - rows[..., ::-1].argmax(axis=2) if op.last else rows.argmax(axis=2)
            return np.asarray(found, x.dtype)
        case Indexed():
            return _indexed(op, xs, shapes)[0]
        case _:
            raise ValueError(f"no values of {type(op).__name__}")


def pulled(op: Operation, a: Array, xs: Sequence[Array], shapes: tuple[Shape, ...]) -> list[Array]:
    """a (P, n) times the derivatives by each operand."""
    x = xs[0]
    match op:
        case Elementwise():
            return [a * slope_at(op, x)]
        case MaxOver():
            places_ = np.take_along_axis(
                np.broadcast_to(op.index, (len(x), *op.index.shape)),
                _windows(op, x).argmax(axis=2)[..., None],
                axis=2,
            )[..., 0]
            return [_added(x, places_, a)]
        case Product():
            return [a * xs[1], a * x]
        case MatProduct():
            p, q = _matrices(xs, shapes)
            y = a.reshape(*p.shape[:-1], q.shape[-1])
            return [(y @ q.swapaxes(-1, -2)).reshape(x.shape), (p.swapaxes(-1, -2) @ y).reshape(xs[1].shape)]
        case Select():
            return [np.zeros_like(x), np.where(x != 0, a, 0), np.where(x != 0, 0, a)]
        case Softmax():
            n = shapes[0][-1]
            s, c = (v.reshape(len(x), -1, n) for v in (_softmax(x, n), a))
            return [(s * (c - (s * c).sum(axis=2, keepdims=True))).reshape(x.shape)]
        case Indexed():
            return _scattered(op, a, xs, shapes)
        case _:
            return [np.zeros_like(v) for v in xs]


def slope_at(op: Elementwise, x: Array) -> Array:
    """f'(x), by a difference quotient where no formula is at hand."""
    match op:
        case Relu():
            return (x > 0).astype(x.dtype)
        case SShaped():
            return np.asarray(op.slope(x))
        case Quantize():
            return _straight_through(op, x)
        case _:
            z = x.astype(np.float64)
            h = STEP * np.maximum(1.0, np.abs(z))
            with np.errstate(invalid="ignore", divide="ignore"):
                found = (op.approximate(z + h) - op.approximate(z - h)) / (2 * h)
            return np.nan_to_num(found).astype(x.dtype)


def _straight_through(op: Quantize, x: Array) -> Array:
    """As if nothing were rounded."""
    scale, low, high = (c.mid.astype(x.dtype).reshape(-1) for c in (op.scale, op.low, op.high))
    return np.where((x >= low * scale) & (x <= high * scale), 1 / scale, 0).astype(x.dtype)


def _windows(op: MaxOver, x: Array) -> Array:
    """(P, n, K), padding as -inf."""
    return np.where(op.index >= 0, x[:, op.index], -np.inf).astype(x.dtype)


def _matrices(xs: Sequence[Array], shapes: tuple[Shape, ...]) -> tuple[Array, Array]:
    a, b = (x.reshape(len(x), *shape) for x, shape in zip(xs, shapes, strict=True))
    return a, b


def _softmax(x: Array, n: int) -> Array:
    rows = x.reshape(len(x), -1, n)
    powers = np.exp(rows - rows.max(axis=2, keepdims=True))
    return np.asarray((powers / powers.sum(axis=2, keepdims=True)).reshape(x.shape))


_STEPS: Final[dict[type[Operation], Callable[[Array], Array]]] = {
    Sign: np.sign,
    Floor: np.floor,
    Round: np.rint,
    Truncate: np.trunc,
}


def _added(x: Array, places_: Array, a: Array) -> Array:
    """a (P, n) added at places (P, n) of zeros like x."""
    out = np.zeros_like(x)
    np.add.at(out, (np.arange(len(x))[:, None], places_), a)
    return out


def _indexed(op: Indexed, xs: Sequence[Array], shapes: tuple[Shape, ...]) -> tuple[Array, Array]:
    """(values, the places of the entries): each point has its own integers."""
    moved = [x for x, m in zip(xs, op.moved, strict=True) if m]
    pool = np.broadcast_to(op.pool.mid.astype(xs[0].dtype).reshape(1, -1), (len(xs[0]), op.pool.size))
    entries = np.concatenate([*moved, pool], axis=1)
    integers = [x.astype(np.int64) for x, m in zip(xs, op.moved, strict=True) if not m]
    found = np.stack([places(op, shapes, [v[p] for v in integers]) for p in range(len(entries))])
    return np.take_along_axis(entries, found, axis=1), found


def _scattered(op: Indexed, a: Array, xs: Sequence[Array], shapes: tuple[Shape, ...]) -> list[Array]:
    sizes = [x.shape[1] if m else 0 for x, m in zip(xs, op.moved, strict=True)]
    total = np.zeros((len(a), sum(sizes) + op.pool.size), a.dtype)
    all_ = _added(total, _indexed(op, xs, shapes)[1], a)
    starts = np.cumsum([0, *sizes])
    return [
        all_[:, s : s + n] if m else np.zeros_like(x)
        for x, m, s, n in zip(xs, op.moved, starts, sizes, strict=False)
    ]
