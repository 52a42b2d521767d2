"""An exact oracle for linear maps, and the shared list of maps and data kinds that the engine tests run over.

Every number is an exact dyadic rational: ``Exact`` is an array of Python integers with one exponent. ``dense`` writes
a map as a matrix straight from its definition, one entry at a time, sharing nothing with the engines.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod

import numpy as np

from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.maps import ConvMap, DiagMap, IndexMap, Map, MatMap, SignMap

Rng = np.random.Generator

REPEATS = int(os.environ.get("TLCHECK_TEST_REPEATS", "1"))
"""How many times the random tests run (a longer run: TLCHECK_TEST_REPEATS=50)."""


@dataclass(frozen=True, eq=False)
class Exact:
    """ints * 2^exponent, entry by entry."""

    ints: np.ndarray
    exponent: int

    @staticmethod
    def of(x: np.ndarray | float) -> Exact:
        """The exact values of floats."""
        array = np.asarray(x, np.float64)
        if not np.isfinite(array).all():
            raise ValueError("not finite")
        ratios = [v.as_integer_ratio() for v in array.reshape(-1).tolist()]
        depth = max((d.bit_length() - 1 for _, d in ratios), default=0)
        ints = np.array([n << (depth - d.bit_length() + 1) for n, d in ratios] + [None], dtype=object)[:-1]
        return Exact(ints.reshape(array.shape), -depth)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.ints.shape

    def at(self, exponent: int) -> np.ndarray:
        return self.ints * (1 << (self.exponent - exponent))

    def __add__(self, other: Exact) -> Exact:
        e = min(self.exponent, other.exponent)
        return Exact(self.at(e) + other.at(e), e)

    def __neg__(self) -> Exact:
        return Exact(-self.ints, self.exponent)

    def __sub__(self, other: Exact) -> Exact:
        return self + (-other)

    def __mul__(self, other: Exact) -> Exact:
        return Exact(self.ints * other.ints, self.exponent + other.exponent)

    def __matmul__(self, other: Exact) -> Exact:
        return Exact(np.dot(self.ints, other.ints), self.exponent + other.exponent)

    def __getitem__(self, key: object) -> Exact:
        return Exact(np.asarray(self.ints[key], dtype=object), self.exponent)  # type: ignore[index]

    @property
    def transposed(self) -> Exact:
        return Exact(self.ints.T, self.exponent)

    def absolute(self) -> Exact:
        return Exact(abs(self.ints), self.exponent)

    def sum(self, axis: int) -> Exact:
        return Exact(np.asarray(self.ints.sum(axis=axis), dtype=object), self.exponent)

    def min(self, axis: int) -> Exact:
        return Exact(np.asarray(self.ints.min(axis=axis), dtype=object), self.exponent)

    def where(self, mask: np.ndarray, other: Exact) -> Exact:
        e = min(self.exponent, other.exponent)
        return Exact(np.where(mask, self.at(e), other.at(e)), e)

    def fractions(self) -> list[Fraction]:
        scale = Fraction(2) ** self.exponent
        return [int(v) * scale for v in self.ints.reshape(-1)]

    def floats(self, up: bool) -> np.ndarray:
        """Doubles on the stated side."""
        return np.array([float_side(q, up) for q in self.fractions()], np.float64).reshape(self.shape)

    def violations(self, bound: np.ndarray, above: bool) -> int:
        """How many entries are not on the stated side of ``bound`` (NaN counts; infinities on that side do not)."""
        count = 0
        for q, b in zip(
            self.fractions(), np.broadcast_to(bound, self.shape).reshape(-1).tolist(), strict=True
        ):
            if np.isinf(b):
                count += int((b > 0) == above)
            else:
                count += int(not (b == b and (q >= Fraction(b) if above else q <= Fraction(b))))
        return count


def float_side(q: Fraction, up: bool) -> float:
    """The nearest double on one side of ``q`` (or one step beyond)."""
    f = float(q)
    if (Fraction(f) >= q) if up else (Fraction(f) <= q):
        return f
    return float(np.nextafter(f, np.inf if up else -np.inf))


def weight_within(c: Constant, rng: Rng | None) -> Exact:
    """The constant's exact entries: its middle, or (``rng``) numbers in its radius, mostly at the ends."""
    mid = Exact.of(c.mid)
    if c.rad is None or rng is None:
        return mid
    theta = Exact.of(rng.choice([-1.0, -1.0, 0.5, 1.0, 1.0], size=c.rad.shape))
    return mid + theta * Exact.of(c.rad)


def dense(m: Map, rng: Rng | None = None) -> Exact:
    """The matrix (n_out, n_in) of a map, from its definition; weights with a radius are drawn once from it."""
    match m:
        case MatMap():
            w = weight_within(m.weight, rng)
            k, n = m.weight.shape
            out = _zeros(m)
            for p in range(m.positions):
                out[p * n : (p + 1) * n, p * k : (p + 1) * k] = w.ints.T
            return Exact(out, w.exponent)
        case ConvMap():
            w = weight_within(m.weight, rng)
            matrix = _correlation(m, w.ints)
            return Exact(matrix.T if m.transposed else matrix, w.exponent)
        case DiagMap():
            factor = weight_within(m.factor, rng)
            out = _zeros(m)
            out[np.arange(m.n_in), np.arange(m.n_in)] = np.broadcast_to(factor.ints, m.shape).reshape(-1)
            return Exact(out, factor.exponent)
        case SignMap():
            return Exact(np.diag(np.full(m.size, 1)).astype(object) * m.sign, 0)
        case IndexMap():
            gather = np.zeros((m.index.size, m.size), dtype=object)
            for k, i in enumerate(m.index.tolist()):
                if i >= 0:
                    gather[k, i] += 1
            return Exact(gather.T if m.transposed else gather, 0)


def _zeros(m: Map) -> np.ndarray:
    return np.zeros((m.n_out, m.n_in), dtype=object)


def _correlation(m: ConvMap, w: np.ndarray) -> np.ndarray:
    """y[b, o, p] = sum_{c, k} w[o, c, k] x[b, g C/G + c, s p + d k - pad], as a matrix (narrow, wide)."""
    batch, channels, *spatial = m.wide
    _, outputs, *places = m.narrow
    per_in, per_out = channels // m.groups, outputs // m.groups
    matrix = np.zeros((prod(m.narrow), prod(m.wide)), dtype=object)
    narrow = np.arange(prod(m.narrow)).reshape(m.narrow)
    wide = np.arange(prod(m.wide)).reshape(m.wide)
    for b, o, c in product(range(batch), range(outputs), range(per_in)):
        for p in product(*(range(n) for n in places)):
            for k in product(*(range(n) for n in m.kernel)):
                i = tuple(m.strides[a] * p[a] + m.dilations[a] * k[a] - m.pads[a] for a in range(len(p)))
                if all(0 <= i[a] < spatial[a] for a in range(len(p))):
                    source = wide[(b, (o // per_out) * per_in + c, *i)]
                    matrix[narrow[(b, o, *p)], source] += w[(o, c, *k)]
    return matrix


# The shared list: every map gets every test.

Draw = Callable[[Rng, tuple[int, ...]], np.ndarray]
MakeMap = Callable[[Rng, Draw], Map]


def _constant(rng: Rng, draw: Draw, shape: tuple[int, ...], rad: bool) -> Constant:
    mid = draw(rng, shape)
    return Constant(mid, np.abs(mid.astype(np.float64)) * 2.0**-20 * rng.random(shape) if rad else None)


def few(k: int, n: int) -> MakeMap:
    """A matrix with one entry in a column, so that products are gathered."""

    def make(rng: Rng, draw: Draw) -> Map:
        weight = np.zeros((k, n))
        places = np.arange(n)
        weight[places, places] = draw(rng, (n,))
        return MatMap(Constant(weight), 1)

    return make


def mat(k: int, n: int, positions: int, rad: bool = False) -> MakeMap:
    return lambda rng, draw: MatMap(_constant(rng, draw, (k, n), rad), positions)


def conv(
    channels: tuple[int, int],
    spatial: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[int, ...],
    groups: int = 1,
    transposed: bool = False,
    rad: bool = False,
    batch: int = 1,
    extra: int = 0,
) -> MakeMap:
    """``pads`` at the beginning; the end gets the same plus ``extra``."""
    places = tuple(
        (n + 2 * p + extra - d * (k - 1) - 1) // s + 1
        for n, k, s, d, p in zip(spatial, kernel, strides, dilations, pads, strict=True)
    )

    def make(rng: Rng, draw: Draw) -> Map:
        weight = _constant(rng, draw, (channels[1], channels[0] // groups, *kernel), rad)
        wide, narrow = (batch, channels[0], *spatial), (batch, channels[1], *places)
        return ConvMap(weight, strides, dilations, pads, groups, wide, narrow, transposed)

    return make


def diag(factor: tuple[int, ...], shape: tuple[int, ...], rad: bool = False) -> MakeMap:
    return lambda rng, draw: DiagMap(_constant(rng, draw, factor, rad), shape)


def index(size: int, length: int, repeats: bool, holes: bool, transposed: bool) -> MakeMap:
    def make(rng: Rng, draw: Draw) -> Map:
        chosen = rng.integers(0, size, length) if repeats else rng.permutation(size)[:length]
        if holes:
            chosen = np.where(rng.random(length) < 0.3, -1, chosen)
        return IndexMap(chosen.astype(np.int64), size, transposed)

    return make


MAPS: dict[str, MakeMap] = {
    "mat": mat(7, 5, 1),
    "mat-one": mat(1, 1, 1),
    "mat-positions": mat(3, 4, 3),
    "mat-rad": mat(6, 5, 2, rad=True),
    "mat-few": few(36, 33),
    "conv1d": conv((2, 3), (9,), (3,), (2,), (1,), (1,)),
    "conv1d-s3-d2": conv((1, 2), (13,), (3,), (3,), (2,), (2,)),
    "conv1d-gaps": conv((1, 2), (11,), (2,), (3,), (1,), (0,)),
    "conv1d-s2-d3": conv((2, 2), (10,), (3,), (2,), (3,), (3,), batch=2),
    "conv1d-wide-pad": conv((1, 2), (3,), (2,), (1,), (1,), (4,)),
    "conv1d-extra": conv((1, 2), (6,), (3,), (2,), (1,), (0,), extra=3),
    "conv2d": conv((2, 3), (5, 4), (3, 2), (1, 1), (1, 1), (1, 0)),
    "conv2d-strides": conv((2, 2), (6, 7), (3, 3), (2, 3), (1, 2), (1, 2)),
    "conv2d-groups": conv((4, 6), (4, 4), (2, 2), (2, 1), (1, 1), (0, 1), groups=2),
    "conv2d-depthwise": conv((3, 3), (4, 5), (3, 3), (1, 1), (1, 1), (1, 1), groups=3),
    "conv2d-rad": conv((2, 2), (4, 4), (3, 3), (1, 2), (1, 1), (1, 1), rad=True),
    "conv2d-channels": conv((8, 2), (3, 3), (2, 2), (1, 2), (1, 1), (1, 0)),
    "conv3d": conv((1, 2), (3, 4, 3), (2, 2, 2), (1, 2, 1), (1, 1, 2), (0, 1, 1)),
    "transposed1d": conv((2, 3), (9,), (3,), (2,), (1,), (1,), transposed=True),
    "transposed2d": conv((2, 3), (6, 5), (3, 2), (2, 2), (1, 2), (1, 0), transposed=True),
    "transposed2d-groups": conv((4, 4), (5, 5), (2, 3), (3, 2), (1, 1), (0, 1), groups=2, transposed=True),
    "transposed2d-rad": conv((2, 2), (4, 4), (2, 2), (2, 2), (1, 1), (0, 0), transposed=True, rad=True),
    "transposed3d": conv((2, 1), (3, 3, 4), (2, 2, 3), (2, 1, 2), (1, 2, 1), (1, 0, 1), transposed=True),
    "diag": diag((2, 3, 4), (2, 3, 4)),
    "diag-broadcast": diag((3, 1), (2, 3, 4)),
    "diag-rad": diag((1, 4), (3, 4), rad=True),
    "plus": lambda rng, draw: SignMap(1, 9),
    "minus": lambda rng, draw: SignMap(-1, 9),
    "gather": index(9, 6, False, False, False),
    "gather-holes": index(9, 7, False, True, False),
    "gather-repeats": index(5, 14, True, True, False),
    "gather-one": lambda rng, draw: IndexMap(np.zeros(12, np.int64), 3),
    "gather-none": lambda rng, draw: IndexMap(np.full(4, -1, np.int64), 3),
    "identity": lambda rng, draw: IndexMap(np.arange(6), 6),
    "scatter": index(9, 6, False, True, True),
    "scatter-repeats": index(5, 14, True, True, True),
    "scatter-one": lambda rng, draw: IndexMap(np.zeros(12, np.int64), 3, True),
}


def _normal(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape)


def _range(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape) * 2.0 ** rng.integers(-60, 61, shape)


def _subnormal(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape) * 2.0 ** rng.integers(-1080, -1015, shape)


def _huge(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape) * 2.0 ** rng.integers(50, 62, shape)


def _mixed(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape) * 2.0 ** rng.choice([-1074, -600, -100, 0, 20], shape)


def _zeros_often(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    return np.where(rng.random(shape) < 0.6, 0.0, rng.standard_normal(shape))


def _cancelling(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    return rng.choice([-1.0, 1.0], shape) * (1 + rng.integers(0, 3, shape) * 2.0**-52)


def _thirds(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(-3, 4, shape) / 3.0


def _float32(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


KINDS: dict[str, Draw] = {
    "normal": _normal,
    "range": _range,
    "subnormal": _subnormal,
    "huge": _huge,
    "mixed": _mixed,
    "zeros": _zeros_often,
    "cancelling": _cancelling,
    "thirds": _thirds,
    "float32": _float32,
}


def extreme(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers near the ends of the engines' range: bounds may be refused, never wrong."""
    return rng.standard_normal(shape) * 2.0 ** rng.choice([-1070, -1040, -1023, -500, 0, 150, 197], shape)


KINDS["extreme"] = extreme
ORDINARY = ("normal", "cancelling", "thirds", "float32")
"""Kinds on which the bounds must be sharp."""


# Points and boxes.


def random_box(rng: Rng, draw: Draw, domains: int, n: int) -> Box:
    """(domains, n); some sides are points."""
    a, b = (draw(rng, (domains, n)).astype(np.float64) for _ in range(2))
    b = np.where(rng.random((domains, n)) < 0.2, a, b)
    return Box(np.minimum(a, b), np.maximum(a, b))


def sample(rng: Rng, box: Box, count: int) -> np.ndarray:
    """(domains, n, count) points: the two extreme corners, random corners, and points inside."""
    low, high = box.lower[:, :, None], box.upper[:, :, None]
    shape = (*box.lower.shape, count)
    t = rng.random(shape)
    t[:, :, : count // 2] = rng.integers(0, 2, (*box.lower.shape, count // 2))
    t[:, :, 0], t[:, :, 1] = 0.0, 1.0
    inside = np.clip(low * (1 - t) + high * t, low, high)
    return np.where(t == 0, low, np.where(t == 1, high, inside))


def hull(points: Exact) -> Box:
    """The smallest box of doubles around points (domains, n, count)."""
    low, high = points.floats(up=False).min(axis=2), points.floats(up=True).max(axis=2)
    return Box(low, high)


def apply(matrix: Exact, points: Exact) -> Exact:
    """matrix (a, n) on points (domains, n, count)."""
    product_ = np.stack([np.dot(matrix.ints, points.ints[d]) for d in range(points.shape[0])])
    return Exact(product_, matrix.exponent + points.exponent)


def exact_minimum(coefficients: Exact, box: Box) -> Exact:
    """min over the box of rows (R, n) or (D, R, n) of coefficients: (D, R)."""
    low, high = Exact.of(box.lower), Exact.of(box.upper)
    rows = coefficients if coefficients.ints.ndim == 3 else coefficients[None]
    a, b = rows * low[:, None, :], rows * high[:, None, :]
    mask = np.asarray(rows.ints >= 0, bool)
    return a.where(np.broadcast_to(mask, a.shape), b).sum(2)
