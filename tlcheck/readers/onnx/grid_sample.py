"""GridSample and AffineGrid: entries of an image at places that a grid gives, nearest or interpolated.

Of a constant grid an affine map: each result is a sum of entries times weights, products of one weight for each axis. Places are
computed in exact rationals. Weights are continuous in them: what float32 may make of a place is in the constants' radii.
Nearest entries are not: a place so near to a step that float32 may choose another entry is refused.

Of a grid that the network computes: linear weights are max(0, 1 - |place - k|), nearest ones say whether the rounded place is k;
so the result is a sum of products of these and the image. Reflection, which folds places without end, and cubic weights are
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product as combinations
from math import ceil, floor, prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.arithmetic import ONE, multiplied, scale
from tlcheck.readers.onnx.call import DIFFER, NO_FORM, Call
from tlcheck.readers.onnx.matrices import product, transposed
from tlcheck.readers.onnx.operands import FLOAT32_UNIT, HALVES, Data, Known, Shape, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.formula import Rationals

MODES: Final = {
    "bilinear": "linear",
    "linear": "linear",
    "nearest": "nearest",
    "bicubic": "cubic",
    "cubic": "cubic",
}
"""By their names before opset 20 and since."""
HALF: Final = Fraction(1, 2)
NEAR: Final = Fraction(1, 4)
"""How far a float32 place may be off, for it to say anything of its fraction."""
KEYS: Final = Fraction(-3, 4)
"""The constant of Keys' cubic."""
LIPSCHITZ: Final = {"linear": Fraction(1), "cubic": Fraction(3, 2)}
"""A weight's largest slope. Of Keys' cubic: 1.35, at 0.6."""
OWN: Final = {"linear": 2, "cubic": 48}
"""How many units 2^-24 the float32 evaluation of a weight loses, given its place: t and 1 - t; the cubic by Horner, whose partial
results, at most 4.5, lose 37, and its argument 3."""


def grid_sample(call: Call) -> list[Value]:
    x, grid, rank = call.value(0), call.value(1), len(call.value(0).shape) - 2
    call.require_float(x, grid)
    mode, padding = (
        call.attr_str("mode", "linear" if call.opset >= 20 else "bilinear"),
        call.attr_str("padding_mode", "zeros"),
    )
    aligned = call.attr_flag("align_corners", False)
    known = (
        mode in MODES
        and (mode in ("linear", "cubic")) <= (call.opset >= 20)
        and (mode[:2] == "bi") <= (call.opset < 20)
    )
    call.refuse(
        not known or padding not in ("zeros", "border", "reflection"),
        f"mode {mode[:80]}, padding_mode {padding[:80]}",
    )
    fits = len(grid.shape) == rank + 2 and grid.shape[0] == x.shape[0] and grid.shape[-1] == rank
    call.refuse_shape(not fits or 0 in (*x.shape, *grid.shape), f"grid {grid.shape} for {x.shape}")
    call.refuse(
        rank not in (2, 3) or (rank == 3 and (call.opset < 20 or MODES[mode] == "cubic")),
        f"{rank} axes, {mode}",
        NO_FORM,
    )
    call.refuse(
        x.dtype != grid.dtype or x.dtype in HALVES, f"a grid of type {grid.dtype} for {x.dtype}", NO_FORM
    )
    how = MODES[mode], padding, aligned
    y = _fixed(call, x, grid, *how) if isinstance(grid, Known) else _computed(call, x, grid, *how)
    return [call.reshape(y, (*x.shape[:2], *grid.shape[1:-1]))]


# A constant grid.

Weights = dict[int, tuple[Fraction, float]]
"""Of one axis: by entry, its weight and how far float32 may be from it. -1: the padding's zero."""
Joined = dict[tuple[int, ...], tuple[Fraction, float]]
"""Of all axes."""


def _fixed(call: Call, x: Value, grid: Known, mode: str, padding: str, aligned: bool) -> Value:
    """x (batch, channels, ...) at the places of the grid (batch, ..., axes): (batch, channels, places)."""
    given = grid.settled()
    batch, channels, *sizes = x.shape
    points = given.array.astype(np.float64).reshape(batch, -1, len(sizes))[..., ::-1]
    radii = np.zeros(points.shape) if given.rad is None else given.rad.reshape(points.shape)[..., ::-1]
    call.foldable(points.size * 4 ** len(sizes))
    axes = [_Axis(call, n, mode, padding, aligned) for n in sizes]
    rows = zip(*(v.reshape(-1, len(sizes)).tolist() for v in (points, radii)), strict=True)
    found = [_joined([axis.weights(v, r) for axis, v, r in zip(axes, *row, strict=True)]) for row in rows]
    shape = (batch, 1, len(found) // batch, max(map(len, found)))
    place, factor = _table(found, sizes, shape, exact=given.rad is None)
    taken = _taken(call, x, place)
    if mode == "nearest":
        return taken
    from tlcheck.trusted.ops.structure import ReduceSum

    terms = call.reshape(taken, (batch, channels, *shape[2:]))
    return call.emit(ReduceSum((3,), False), scale(call, terms, factor, None, len(sizes)))


def _table(
    found: Sequence[Joined], sizes: Sequence[int], shape: Shape, *, exact: bool
) -> tuple[NDArray[np.int64], Constant]:
    """For each place the entries that it takes, (batch, places times terms), and their weights, of that shape: exact ones by a
    formula. A weight is at most 2, so within 2^-53 of a double."""
    place, weight = np.full((len(found), shape[-1]), -1, np.int64), np.zeros((len(found), shape[-1]))
    radius, exactly = np.zeros(weight.shape), [Fraction(0)] * weight.size
    for k, entries in enumerate(found):
        for j, (at, (w, r)) in enumerate(entries.items()):
            place[k, j] = -1 if -1 in at else np.ravel_multi_index(at, sizes)
            weight[k, j], exactly[k * shape[-1] + j] = float(w), w
            radius[k, j] = r + (0.0 if Fraction(float(w)) == w else 2.0**-52)
    formula = Rationals(shape, tuple(exactly)) if exact and radius.any() else None
    factor = Constant(weight.reshape(shape), radius.reshape(shape) if radius.any() else None, formula)
    return place.reshape(shape[0], -1), factor


def _taken(call: Call, x: Value, place: NDArray[np.int64]) -> Value:
    """(batch, channels, n): the entries of each channel at ``place`` (batch, n); 0 at -1."""
    zero = Known(np.zeros((), x.dtype if x.dtype in ("float32", "float64") else np.float32), x.dtype)

    def pick(arrays: list[NDArray[np.generic]]) -> NDArray[np.generic]:
        flat = arrays[0].reshape(*x.shape[:2], -1)
        padded = np.concatenate([flat, np.broadcast_to(arrays[1], (*x.shape[:2], 1))], axis=2)
        return np.take_along_axis(
            padded, np.broadcast_to(place[:, None], (*x.shape[:2], place.shape[1])), axis=2
        )

    return (
        call.moves([x, zero], pick)
        if bool((place < 0).any())
        else call.move(x, lambda a: pick([a, np.zeros((), a.dtype)]))
    )


def _joined(axes: Sequence[Weights]) -> Joined:
    """Products of one weight of each axis. With errors r of weights w: prod (|w| + r) - prod |w|, and what float64 loses."""
    joined: Joined = {}
    for parts in combinations(*(a.items() for a in axes)):
        w = prod((v for _, (v, _) in parts), start=Fraction(1))
        sizes = [(abs(float(v)), r) for _, (v, r) in parts]
        wide, narrow = prod(v + r for v, r in sizes), prod(v for v, _ in sizes)
        exact = all(r == 0 for _, r in sizes)
        if w or not exact:
            joined[tuple(k for k, _ in parts)] = (w, 0.0 if exact else wide - narrow + 2.0**-48 * wide)
    return joined or {(-1,) * len(axes): (Fraction(0), 0.0)}


class _Axis:
    """Places along one axis of ``size`` entries."""

    def __init__(self, call: Call, size: int, mode: str, padding: str, aligned: bool) -> None:
        self._call, self._size, self._mode, self._padding, self._aligned = call, size, mode, padding, aligned
        self._least = Fraction(0) if aligned else -HALF
        self._most = size - 1 - self._least
        call.refuse(
            padding == "reflection" and size == 1 and aligned, "reflection at corners of one entry", DIFFER
        )

    def weights(self, v: float, radius: float) -> Weights:
        """Of the entries, at the grid's coordinate v (within ``radius``)."""
        n = Fraction(v)
        place = (n + 1) / 2 * (self._size - 1) if self._aligned else ((n + 1) * self._size - 1) / 2
        off = self._off(n, place) + Fraction(radius) * self._size
        self._call.refuse(
            off > NEAR, f"a coordinate {v:.9g}, whose place is not known to {float(NEAR)} in float32"
        )
        return self._nearest(place, off) if self._mode == "nearest" else self._interpolated(place, off)

    def _off(self, n: Fraction, place: Fraction) -> Fraction:
        """How far a float32 place may be off: 3 roundings of at most |place| + size + 1 (in whatever order it is computed), and 4
        more where it is reflected; none where every step is a multiple of 2^-10 below 2^12."""
        steps = (n, (n + 1) / 2, (n + 1) * self._size, place)
        if all((s * 1024).denominator == 1 and abs(s) < 1 << 12 for s in steps):
            return Fraction(0)
        count = 8 if self._padding == "reflection" else 4
        return count * Fraction(FLOAT32_UNIT) * (abs(place) + self._size + 1)

    def _nearest(self, place: Fraction, off: Fraction) -> Weights:
        """Half to even. The rounded place is padded."""
        entries = {self._padded(Fraction(round(place + d))) for d in (-off, off)}
        self._call.refuse(len(entries) > 1, f"the place {float(place):.9g} of a nearest entry is at a step")
        return {entries.pop(): (Fraction(1), 0.0)}

    def _padded(self, place: Fraction) -> int:
        """The entry that a whole place is; -1 for none."""
        inside = 0 <= place < self._size
        if inside or self._padding == "zeros":
            return int(place) if inside else -1
        if self._padding == "border":
            return min(max(int(place), 0), self._size - 1)
        span = self._most - self._least
        turns, rest = divmod(place - self._least, span)
        return int(self._least + rest if turns % 2 == 0 else self._most - rest)

    def _interpolated(self, place: Fraction, off: Fraction) -> Weights:
        reach = 1 if self._mode == "linear" else 2
        beyond = self._mode == "cubic" and self._padding == "border" and any(
            a < place + s < b for a, b in ((-reach, self._least), (self._most, self._size - 1 + reach)) for s in (-off, 0, off)
        )  # fmt: skip
        self._call.refuse(beyond, f"cubic weights at {float(place):.9g}, beyond the border", DIFFER)
        kernel, error = KERNELS[self._mode], off * LIPSCHITZ[self._mode]
        exact = off == 0 and self._mode == "linear"
        lost = 0.0 if exact else float(error + OWN[self._mode] * Fraction(FLOAT32_UNIT)) * (1 + 2.0**-40)
        weights: Weights = {}
        for k in range(floor(place - off) - reach + 1, ceil(place + off) + reach):
            at, w = self._padded(Fraction(k)), kernel(abs(place - k))
            if w or not exact:
                before = weights.get(at, (Fraction(0), 0.0))
                weights[at] = (before[0] + w, before[1] + lost)
        weights.pop(-1, None)
        return weights or {-1: (Fraction(0), 0.0)}


def _keys(t: Fraction) -> Fraction:
    """Keys' cubic, t >= 0."""
    if t >= 2:
        return Fraction(0)
    return (
        ((KEYS + 2) * t - (KEYS + 3)) * t * t + 1
        if t <= 1
        else ((KEYS * t - 5 * KEYS) * t + 8 * KEYS) * t - 4 * KEYS
    )


KERNELS: Final[dict[str, Callable[[Fraction], Fraction]]] = {
    "linear": lambda t: max(Fraction(0), 1 - t),
    "cubic": _keys,
}
"""An entry's weight by its distance."""


# A grid that the network computes.


def _computed(call: Call, x: Value, grid: Data, mode: str, padding: str, aligned: bool) -> Value:
    """As ``_fixed``: one axis after the other, the last first."""
    call.refuse(
        padding == "reflection", "reflection at places that the network computes: use zeros or border"
    )
    call.refuse(mode == "cubic", "cubic weights at places that the network computes: use linear ones")
    batch, channels, *sizes = x.shape
    places = prod(grid.shape[1:-1])
    call.checked((batch, places, channels, *sizes[:-1]))
    flat = call.reshape(grid, (batch, places, len(sizes)))

    def weights(axis: int) -> Data:
        coordinate = call.move(flat, lambda a: a[..., len(sizes) - 1 - axis])
        return _weights(call, coordinate, sizes[axis], mode, padding, aligned)

    last = transposed(call, call.reshape(x, (batch, channels * prod(sizes[:-1]), sizes[-1])))
    y = product(call, weights(len(sizes) - 1), last)
    from tlcheck.trusted.ops.structure import ReduceSum

    for axis in range(len(sizes) - 2, -1, -1):
        y = call.reshape(y, (batch, places, channels * prod(sizes[:axis]), sizes[axis]))
        w = call.reshape(weights(axis), (batch, places, 1, sizes[axis]))
        y = call.emit(ReduceSum((3,), False), call.data(multiplied(call, y, w)))
    return transposed(call, y)


def _weights(call: Call, n: Value, size: int, mode: str, padding: str, aligned: bool) -> Data:
    """(batch, places, size): of each entry along an axis, at coordinates n (batch, places).

    The place is computed in the kernel's steps. A kernel's weights err by 2 u, as t and 1 - t do; here 1 - |place - k| is charged
    more wherever it is not negative: seven roundings of 1.
    """
    from tlcheck.trusted.ops.bent import Abs, Clip
    from tlcheck.trusted.ops.discrete import Compare, Round

    factor, offset = (
        (Fraction(size - 1, 2), None) if aligned else (Fraction(size, 2), Constant(np.array(-0.5)))
    )
    place = scale(call, scale(call, n, ONE, ONE, 1), Constant(np.array(float(factor))), offset, 2)
    place = _counted(call, place) if padding == "border" else place
    if mode == "nearest":
        place = call.emit(Round(), place)
    if padding == "border":
        place = call.emit(Clip(Constant(np.array(0.0)), Constant(np.array(size - 1.0))), place)
    wide = call.data(call.broadcast(call.reshape(place, (*n.shape, 1)), (*n.shape, size)))
    entries = np.arange(size, dtype=np.float64)
    if mode == "nearest":
        return call.emit(
            Compare("=="), wide, call.data(Known(np.array(np.broadcast_to(entries, wide.shape)), n.dtype))
        )
    from tlcheck.trusted.ops.activation import Relu

    distance = call.emit(Abs(), scale(call, wide, ONE, Constant(-entries), 1))
    return call.emit(Relu(), scale(call, distance, Constant(np.array(-1.0)), ONE, 5))


def _counted(call: Call, place: Data) -> Data:
    """The place, without a value from 2^31 on: kernels make it an integer before they cut it to the border."""
    from tlcheck.trusted.ops.affine import Sum
    from tlcheck.trusted.ops.discrete import Truncate

    nothing = scale(call, call.emit(Truncate(), place), Constant(np.array(0.0)), None, 0)
    return call.emit(Sum((1, 1)), place, nothing)


# Grids.


def affine_grid(call: Call) -> list[Value]:
    """The products of matrices (batch, axes, axes + 1) with the centres of the entries of an image, each followed by a 1.

    A centre is -1 + (2 i + 1) / size, or -1 + 2 i / (size - 1) between corners. Kernels step from -1 to 1 in float32 and scale:
    at most 8 roundings of a number of at most 1, which are in the constants' radii.
    """
    theta, size = call.value(0), call.ints(1)
    call.require_float(theta)
    call.refuse(theta.dtype in HALVES, f"matrices of type {theta.dtype}", NO_FORM)
    aligned, sizes = call.attr_flag("align_corners", False), size[2:]
    rank = len(sizes)
    fits = theta.shape == (size[0], rank, rank + 1) if len(size) in (4, 5) else False
    call.refuse_shape(not fits or min(size) < 1, f"size {size} for matrices {theta.shape}")
    call.refuse(aligned and 1 in sizes, "corners of one entry", DIFFER)
    call.foldable(prod(sizes) * (rank + 1))
    ends = [n - 1 if aligned else n for n in sizes]
    axes = [
        [Fraction(2 * i + 1 - aligned, m) - 1 for i in range(n)] for n, m in zip(sizes, ends, strict=True)
    ]
    rows = [[*reversed(place), Fraction(1)] for place in combinations(*axes)]
    exactly = tuple(v for column in zip(*rows, strict=True) for v in column)
    shape = (rank + 1, len(rows))
    radius = np.where(np.arange(rank + 1) < rank, 8 * FLOAT32_UNIT, 0.0)[:, None] * np.ones(shape)
    centres = Known(
        np.array([float(v) for v in exactly]).reshape(shape),
        theta.dtype,
        radius,
        0,
        Rationals(shape, exactly),
    )
    grid = transposed(call, product(call, theta, centres))
    return [call.reshape(grid, (size[0], *sizes, rank))]
