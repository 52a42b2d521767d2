"""Exact integer linear algebra for the backward pass: no floating-point rounding anywhere.

A row of coefficients is int64 integers q with one exponent e, standing for q * 2^e, |q| < 2^59. Products with
weights are exact (FLINT, 128-bit results), then rounded *down* to 58 bits; the rounding is below one unit 2^e' per
coefficient and is charged to the row's constant over the known box: n * 2^e' * max|x|. The constant is an exact
Python integer on the grid 2^-320, always rounded down. So the row's value is a proved lower bound, and the only
assumptions are Python's and numpy's integer arithmetic and FLINT.

float64 appears as a carrier of exact dyadic numbers (boxes, weights, slopes); it is taken apart with frexp and ldexp,
never added or multiplied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import product
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith import int128
from tlcheck.trusted.arith.arb import Arb, exact_ball
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.int128 import Int, Wide
from tlcheck.trusted.arith.integer_convolution import convolve
from tlcheck.trusted.arith.interface import SLOPE_BITS, Multipliers, slope_scale
from tlcheck.trusted.arith.maps import ConvMap, DiagMap, IndexMap, Map, MatMap, SignMap
from tlcheck.trusted.arith.packed import Packed, packed_product

Floats = NDArray[np.float64]
Objects = NDArray[np.object_]
Block = tuple[NDArray[Any], Int]
"""Coefficients (M, n) and exponents (M,), M = domains * rows."""

GRID = 320
ROW_BITS = 58
WEIGHT_BITS = 52
MAX_TERMS = 1 << 19
_20 = np.int64(20)
_MASK20 = np.int64((1 << 20) - 1)
_21 = np.int64(21)
_MASK21 = np.int64((1 << 21) - 1)


def shift_floor(v: int, s: int) -> int:
    """floor(v * 2^s)"""
    return v << s if s >= 0 else v >> -s


def shift_ceil(v: int, s: int) -> int:
    """ceil(v * 2^s)"""
    return -shift_floor(-v, s)


def to_grid(x: Floats, bits: int, up: bool) -> tuple[Int, int]:
    """(v, g) with v 2^-g <= x (>= x when ``up``), entrywise, |v| <= 2^bits, as close as the grid allows.

    bits <= 60. Raises OutOfRange on infinities.
    """
    v, g = rows_to_grid(x.reshape(1, -1), bits, up)
    return v.reshape(x.shape), int(g[0])


def rows_to_grid(x: Floats, bits: int, up: bool) -> tuple[Int, Int]:
    """``to_grid`` of each row of x (D, n) by itself, with a grid of its own: g is (D,)."""
    largest = np.abs(x).max(axis=1, initial=0.0)
    if not bool(np.isfinite(largest).all()):
        raise OutOfRange("infinite bound")
    g = bits - 1 - np.frexp(largest)[1]
    scaled = np.ldexp(x, g[:, None])
    v = (np.ceil(scaled) if up else np.floor(scaled)).astype(np.int64)
    v[(scaled == 0) & (x > 0 if up else x < 0)] = 1 if up else -1  # what underflowed
    return v, g.astype(np.int64)


def ends_to_grid(box: Box, bits: int) -> tuple[Int, Int, Int]:
    """(lo, hi, g): each domain's box [lo, hi] 2^-g, rounded outward to one grid for both ends."""
    n = box.lower.shape[1]
    both, g = rows_to_grid(np.concatenate([box.lower, -box.upper], axis=1), bits, up=False)
    return np.ascontiguousarray(both[:, :n]), -both[:, n:], g


def integer_constant(c: Constant, bits: int) -> tuple[Int, int, Fraction]:
    """(v, g, r): |exact - v 2^-g| <= r entrywise, |v| <= 2^bits; r = 0 when all are floats on the grid. bits <= 60.

    An entry of 2^53 or more is a double times a power of two, so nothing was cut of it; a smaller one is compared exactly.
    """
    mid = c.mid.astype(np.float64)
    v, g = to_grid(mid, bits, up=False)
    r = Fraction(0) if bool((np.ldexp(v.astype(np.float64), -g) == mid).all()) else Fraction(2) ** -g
    return v, g, r if c.rad is None or not c.size else r + Fraction(float(c.rad.max()))


def dot_exact(q: Int, v: Int) -> list[int]:
    """sum_i q[m, i] v[m, i] (v may have one row), exactly, for |q|, |v| < 2^62.

    At most 2^19 terms at a time: products of 21-bit limbs, three of them to a place, then stay below 2^63.
    """
    if q.shape[1] > MAX_TERMS:
        parts = [slice(k, k + MAX_TERMS) for k in range(0, q.shape[1], MAX_TERMS)]
        return [sum(terms) for terms in zip(*(dot_exact(q[:, p], v[:, p]) for p in parts), strict=True)]
    a = (q & _MASK21, (q >> _21) & _MASK21, q >> np.int64(42))
    b = (v & _MASK21, (v >> _21) & _MASK21, v >> np.int64(42))
    sums = [np.zeros(q.shape[0], np.int64) for _ in range(5)]
    for i, j in product(range(3), range(3)):
        sums[i + j] += (
            np.einsum("mn,mn->m", a[i], b[j]) if v.shape[0] > 1 else np.einsum("mn,n->m", a[i], b[j][0])
        )
    columns = [s.tolist() for s in sums]
    return [sum(c << (21 * k) for k, c in enumerate(parts)) for parts in zip(*columns, strict=True)]


def normalise(wide: Wide, e: Int, *, close: bool = False) -> tuple[Block, NDArray[np.bool_]]:
    """Round rows of 128-bit integers down to ROW_BITS bits: ((q, e'), lossy). Loss < 2^e' per coefficient of a lossy row;
    the others are exact. ``close``: a row of which only zeros were cut is not lossy.
    """
    bits = int128.row_bit_length(wide)
    s = np.maximum(bits - ROW_BITS, 0)
    q = int128.shift_right_floor(wide, s[:, None])
    return (q, e + s), _lossy(wide, s, close)


def _lossy(wide: Wide, s: Int, close: bool) -> NDArray[np.bool_]:
    """Which rows lose something when they are cut by s bits: all that are cut, or, ``close``, those with a bit there."""
    return int128.rows_cut(wide, s) if close else s > 0


class _IntegerMap:
    """Integer weights of a matrix or convolution, with packings made on demand."""

    def __init__(self, m: MatMap | ConvMap) -> None:
        terms = max(m.fan_in, m.fan_out, 2)
        bits = min(WEIGHT_BITS, 124 - ROW_BITS - 1 - (terms - 1).bit_length())
        if bits < 24:
            raise OutOfRange("sum of too many terms")
        self.ints, self.grid, self.residual = integer_constant(m.weight, bits)
        self._packed: dict[tuple[bool, bool], Packed] = {}

    def matrix(self, transposed: bool, magnitude: bool) -> Packed:
        """W (or its transpose; or with absolute values) packed for products from the left."""
        key = (transposed, magnitude)
        if key not in self._packed:
            w = np.abs(self.ints) if magnitude else self.ints
            self._packed[key] = Packed(np.ascontiguousarray(w.T if transposed else w))
        return self._packed[key]

    def apply(self, m: MatMap | ConvMap, x: Int, towards_input: bool, magnitude: bool = False) -> Wide:
        """x (M, n) times the integer weights of m, or their adjoint: exact. |x| < 2^59."""
        if isinstance(m, MatMap):
            k, n = m.weight.shape
            width = n if towards_input else k
            hi, lo = packed_product(x.reshape(-1, width), self.matrix(towards_input, magnitude))
            return hi.reshape(x.shape[0], -1), lo.reshape(x.shape[0], -1)
        to_wide = towards_input != m.transposed
        weights = np.abs(self.ints) if magnitude else self.ints
        return convolve(m, weights, x, to_wide)


class IntegerEngine:
    """Integer weights of the network's maps, by constant.

    ``close``: what loses nothing is looked for and costs nothing, so that a bound that is attained comes out exactly where
    the numbers have few bits. It takes more time.
    """

    name = "arb"

    def __init__(self, *, close: bool = False) -> None:
        self.close = close
        self._maps: dict[tuple[int, int, int], tuple[Constant, _IntegerMap]] = {}
        self._diagonals: dict[int, tuple[Map, tuple[Int, int, Fraction]]] = {}

    def integer_map(self, m: MatMap | ConvMap) -> _IntegerMap:
        """What it holds depends on the weight and the number of terms alone: windows of a map share it."""
        key = id(m.weight), m.fan_in, m.fan_out
        if self._maps.get(key, (None,))[0] is not m.weight:  # another process's ids may collide with ours
            self._maps[key] = m.weight, _IntegerMap(m)
        return self._maps[key][1]

    def diagonal(self, m: DiagMap) -> tuple[Int, int, Fraction]:
        if self._diagonals.get(id(m), (None,))[0] is not m:
            self._diagonals[id(m)] = m, integer_constant(m.flat, WEIGHT_BITS)
        return self._diagonals[id(m)][1]

    def form(self, domains: int, rows: int) -> IntegerForm:
        """An empty form."""
        return IntegerForm(self, domains, rows)

    def image(self, maps: tuple[Map, ...], boxes: tuple[Box, ...], offset: Constant | None) -> Box:
        """An enclosure of sum_i M_i x_i + offset for x_i in boxes[i]; (D, n_out), ends rounded outward."""
        domains = max(box.lower.shape[0] for box in boxes)
        n = maps[0].n_out
        low = np.zeros((domains, n), dtype=object)
        high = np.zeros((domains, n), dtype=object)
        for m, box in zip(maps, boxes, strict=True):
            a, b = self._image_on_grid(m, box)
            low, high = low + a, high + b
        if offset is not None:
            shift = np.array([grid_floor(v) for v in offset.mid.tolist()], dtype=object)
            up = np.array([-grid_floor(-v) for v in offset.mid.tolist()], dtype=object)
            slop = (
                np.array([2 + grid_floor(v) for v in offset.rad.tolist()], dtype=object)
                if offset.rad is not None
                else int(not self.close)
            )
            low, high = low + shift - slop, high + up + slop
        return Box(_floats(low, up=False), _floats(high, up=True))

    def magnitude_up(self, m: Map, xm: Floats) -> Floats:
        """>= |M| xm for every matrix M that the weights enclose, xm (D, n_in) >= 0: the top of M's image of [-xm, xm]."""
        return xm if isinstance(m, SignMap) else self.image((m,), (Box(-xm, xm),), None).upper

    def _image_on_grid(self, m: Map, box: Box) -> tuple[Objects, Objects]:
        """Lower and upper ends of M x over the box, on the grid 2^-GRID, rounded outward."""
        lo, hi, g = ends_to_grid(box, ROW_BITS - 2)
        low: Objects
        high: Objects
        match m:
            case SignMap() | IndexMap():
                low, high = lo.astype(object), hi.astype(object)
                if isinstance(m, IndexMap):
                    low, high = _index_objects(m, low), _index_objects(m, high)
                elif m.sign == -1:
                    low, high = -high, -low
                return _shift_objects(low, GRID - g, False), _shift_objects(high, GRID - g, True)
            case DiagMap():
                f, gf, r = self.diagonal(m)
                p, q = lo.astype(object) * f, hi.astype(object) * f
                low, high = np.minimum(p, q), np.maximum(p, q)
                total, terms = gf, 1
            case MatMap() | ConvMap():
                w = self.integer_map(m)
                middle = _objects(w.apply(m, lo + hi, False))
                spread = _objects(w.apply(m, hi - lo, False, magnitude=True))
                low, high = middle - spread, middle + spread
                r, total, terms = w.residual, w.grid + 1, m.fan_in
        slop = _slop(r * terms, box.largest_each)
        return (
            _shift_objects(low, GRID - total - g, False) - slop,
            _shift_objects(high, GRID - total - g, True) + slop,
        )


def grid_floor(x: float) -> int:
    """floor(x * 2^GRID), exactly."""
    numerator, denominator = x.as_integer_ratio()
    return (numerator << GRID) // denominator


def _fraction_up(q: Fraction) -> int:
    """ceil(q * 2^GRID)"""
    return -((-q.numerator << GRID) // q.denominator)


def _product_up(x: float, factor: int | Fraction) -> int:
    """ceil(x * factor * 2^GRID)"""
    numerator, denominator = x.as_integer_ratio()
    return -((-numerator * factor.numerator << GRID) // (denominator * factor.denominator))


def _objects(wide: Wide) -> Objects:
    result: Objects = wide[0].astype(object) * (1 << 64) + wide[1].astype(object)
    return result


def _slop(r: Fraction, largest: Floats) -> Objects:
    """ceil(r * largest[d] * 2^GRID) of each domain, (D, 1)."""
    sizes = [_fraction_up(r * Fraction(x)) if r else 0 for x in largest.tolist()]
    return np.array(sizes, dtype=object).reshape(-1, 1)


def _shift_objects(v: Objects, s: Int, up: bool) -> Objects:
    """v[d] * 2^s[d] (D, n), rounded."""
    shift = shift_ceil if up else shift_floor
    flat = [shift(int(x), k) for row, k in zip(v, s.tolist(), strict=True) for x in row]
    return np.array(flat, dtype=object).reshape(v.shape) if flat else v


def _index_objects(m: IndexMap, x: Objects) -> Objects:
    if not m.transposed:
        return m.gathered(x)
    total = np.zeros((x.shape[0], m.size), dtype=object)
    used = m.index >= 0
    for d in range(x.shape[0]):
        np.add.at(total[d], m.index[used], x[d, used])
    return total


def float_outward(v: int, up: bool) -> float:
    """A double on the stated side of v * 2^-GRID."""
    if v == 0:
        return 0.0
    s = max(0, abs(v).bit_length() - 53)
    q = shift_ceil(v, -s) if up else shift_floor(v, -s)
    if abs(q).bit_length() + s - GRID > 1000:
        return (inf if v > 0 else -(2.0**1000)) if up else (2.0**1000 if v > 0 else -inf)
    return float(np.ldexp(float(q), s - GRID))  # at least 2^-GRID in magnitude: exact


def _floats(v: Objects, up: bool) -> Floats:
    flat = [float_outward(int(x), up) for x in v.reshape(-1)]
    return np.array(flat, dtype=np.float64).reshape(v.shape)


class IntegerForm:
    """D domains times R rows of linear forms with a lower bound each, in exact integers.

    Invariant: for every row m and point of its domain,
        form(point) >= sum over pending blocks of coefficients . values + value[m] * 2^-GRID.
    """

    def __init__(self, engine: IntegerEngine, domains: int, rows: int) -> None:
        self.engine = engine
        self.domains, self.rows = domains, rows
        self.value: Objects = np.zeros(domains * rows, dtype=object)
        self.blocks: dict[int, Block] = {}

    @property
    def shape(self) -> tuple[int, int]:
        return self.domains, self.rows

    def _per_row(self, v: NDArray[np.generic]) -> NDArray[np.generic]:
        """(D, n) -> (M, n); (1, n) stays shared."""
        if v.shape[0] == 1 or self.rows == 1:
            return v
        return np.repeat(v, self.rows, axis=0)

    def _of_rows(self, v: Int | int) -> Int | int:
        """(D,) -> (M,); what all domains share stays."""
        return v if isinstance(v, int) or v.size == 1 or self.rows == 1 else np.repeat(v, self.rows)

    def _sizes(self, box: Box, factor: int | Fraction) -> list[int]:
        """ceil(factor * (the largest magnitude in the row's domain) * 2^GRID), for every row."""
        largest = box.largest_each
        if not bool(np.isfinite(largest).all()):
            raise OutOfRange("infinite bound")
        sizes = [_product_up(x, factor) if factor else 0 for x in largest.tolist()]
        if len(sizes) == 1:
            return sizes * len(self.value)
        return sizes if self.rows == 1 else [size for size in sizes for _ in range(self.rows)]

    def _charge_units(
        self, e: Int, units: int, n: int, box: Box, where: NDArray[np.bool_] | None = None
    ) -> None:
        """value -= units * n * 2^e * (largest magnitude in the row's domain), rounded up, for the rows in ``where``."""
        rows = range(len(self.value)) if where is None else np.flatnonzero(where).tolist()
        sizes = self._sizes(box, units * n if rows else 0)
        exponents = e.tolist()
        for m in rows:
            self.value[m] -= shift_ceil(sizes[m], exponents[m])

    def _add_scaled(self, sums: list[int], e: Int, grid: Int | int) -> None:
        """value += sums * 2^(e - grid), rounded down; ``grid`` (D,), or one for all."""
        exponents = (e + (GRID - self._of_rows(grid))).tolist()
        self.value += np.array(
            [shift_floor(s, x) for s, x in zip(sums, exponents, strict=True)], dtype=object
        )

    def seed_units(self, node: int, size: int, indices: NDArray[np.int64], signs: NDArray[np.int64]) -> None:
        k = np.arange(signs.size)
        ones = signs * np.int64(
            1 << (ROW_BITS - 1)
        )  # all bits of a row in use: later cuts lose nothing of note
        q = np.zeros((self.domains, self.rows, size), np.int64)
        if indices.ndim == 1 and self.rows == 1 and self.domains == indices.size:
            q[k, 0, indices] = ones
        else:
            q[np.arange(self.domains)[:, None], k, indices] = ones
        self.put(node, (q.reshape(-1, size), np.full(self.domains * self.rows, 1 - ROW_BITS, np.int64)), None)

    def copy_block(self, block: Block) -> Block:
        return block[0].copy(), block[1].copy()

    def seed_rows(self, node: int, mid: Floats, rad: Floats | None, box: Box) -> None:
        """Coefficients mid (D, R, n), each within rad of the exact one."""
        _, r, n = mid.shape
        flat = np.ascontiguousarray(np.broadcast_to(mid, (self.domains, r, n))).reshape(-1, n)
        v, g = rows_to_grid(flat, ROW_BITS, up=False)
        cut = (np.ldexp(v.astype(np.float64), -g[:, None]) != flat).any(axis=1)
        if bool(cut.any()):
            self._charge_units(-g, 1, n, box, cut)
        if rad is not None and rad.size:
            most = np.broadcast_to(rad.max(axis=2), (self.domains, r)).reshape(-1)
            for m, (size, x) in enumerate(zip(self._sizes(box, n), most.tolist(), strict=True)):
                self.value[m] -= -((-size * Fraction(x)) // 1)
        self.put(node, (v, -g), box)

    def put(self, node: int, block: Block, box: Box | None) -> None:
        if node not in self.blocks:
            self.blocks[node] = block
            return
        if box is None:
            raise ValueError("a second block needs the node's box")
        (q1, e1), (q2, e2) = self.blocks[node], block
        some1, some2 = np.asarray(q1.any(axis=1)), np.asarray(q2.any(axis=1))
        e1 = np.where(some1, e1, e2)
        e2 = np.where(some2, e2, e1)
        e = np.maximum(e1, e2)
        s1, s2 = np.minimum(e - e1, 62), np.minimum(e - e2, 62)
        total = (q1 >> s1[:, None]) + (q2 >> s2[:, None])
        close = self.engine.close
        lossy = _lossy(int128.widen(q1), s1, close) | _lossy(int128.widen(q2), s2, close)
        self._charge_units(e, 1, q1.shape[1], box, lossy)
        # A row to which nothing was added stays: as it would be had the block not come for other domains' sake.
        self.blocks[node] = self._renormalise(total, e, box, np.asarray(some1 & some2))

    def _renormalise(self, q: Int, e: Int, box: Box, where: NDArray[np.bool_] | None = None) -> Block:
        """Keep |q| < 2^ROW_BITS in the rows in ``where`` (the others are), charging what is cut."""
        (cut, exponents), lossy = normalise(int128.widen(q), e, close=self.engine.close)
        if where is not None and not bool(where.all()):
            cut, exponents = np.where(where[:, None], cut, q), np.where(where, exponents, e)
            lossy &= where
        self._charge_units(exponents, 1, q.shape[1], box, lossy)
        return cut, exponents

    def through_map(self, m: Map, block: Block, box: Box) -> Block:
        q, e = block
        match m:
            case SignMap():
                return (q, e) if m.sign == 1 else (-q, e)
            case IndexMap():
                return self._through_index(m, q, e, box)
            case DiagMap():
                f, g, residual = self.engine.diagonal(m)
                wide, exponents = int128.multiply(q, f[None, :]), e - g
            case MatMap() | ConvMap():
                w = self.engine.integer_map(m)
                residual = w.residual * m.fan_in
                wide, exponents = w.apply(m, q, True), e - w.grid
        if residual:
            self._charge_magnitudes(q, e, self._sizes(box, residual))
        result, lossy = normalise(wide, exponents, close=self.engine.close)
        self._charge_units(result[1], 1, m.n_in, box, lossy)
        return result

    def _charge_magnitudes(self, q: Int, e: Int, sizes: list[int]) -> None:
        """value -= sum |q| 2^e * size, of every row."""
        for m, (total, size, x) in enumerate(zip(_magnitude_sums(q), sizes, e.tolist(), strict=True)):
            self.value[m] -= shift_ceil(total * size, x)

    def _through_index(self, m: IndexMap, q: Int, e: Int, box: Box) -> Block:
        if m.transposed:
            return m.gathered(q), e
        used = m.index >= 0
        out = np.zeros((q.shape[0], m.size), np.int64)
        if m.multiplicity <= 1:
            out[:, m.index[used]] = q[:, used]
            return out, e
        s = m.multiplicity.bit_length()
        lossy = _lossy(int128.widen(q), np.full(q.shape[0], s, np.int64), self.engine.close)
        self._charge_units(e + s, m.multiplicity, m.size, box, lossy)
        shifted = q >> np.int64(s)
        order = np.argsort(m.index[used], kind="stable")
        sorted_index = m.index[used][order]
        starts = np.flatnonzero(np.r_[True, sorted_index[1:] != sorted_index[:-1]])
        out[:, sorted_index[starts]] = np.add.reduceat(shifted[:, used][:, order], starts, axis=1)
        return out, e + s

    def offset(self, block: Block, offset: Constant) -> None:
        q, e = block
        v, g, residual = integer_constant(offset, 60)
        self._add_scaled(dot_exact(q, v[None, :]), e, g)
        if residual:
            self._charge_magnitudes(q, e, [_fraction_up(residual)] * len(self.value))

    def charge(self, block: Block, radius: Floats) -> None:
        q, e = block
        v, g = rows_to_grid(radius, 60, up=True)
        sums = dot_exact(np.abs(q), self._per_row(v).astype(np.int64))
        self._add_scaled([-s for s in sums], e, g)

    def through_lines(
        self, block: Block, lower: tuple[Floats, Floats], upper: tuple[Floats, Floats], box: Box
    ) -> Block:
        q, e = block
        n = q.shape[1]
        scale, ls, us = _slope_integers(lower[0], upper[0])
        ls, us = self._per_row(ls).astype(np.int64), self._per_row(us).astype(np.int64)
        positive = q >= 0
        if lower[1].any() or upper[1].any():
            (lt, g), (ut, h) = rows_to_grid(lower[1], 60, up=False), rows_to_grid(upper[1], 60, up=True)
            lt, ut = self._per_row(lt).astype(np.int64), self._per_row(ut).astype(np.int64)
            if lt.any():
                self._add_scaled(dot_exact(np.where(positive, q, 0), lt), e, g)
            self._add_scaled(dot_exact(np.where(positive, 0, q), ut), e, h)
        w = np.where(positive, ls, us)
        a, b, c = q >> np.int64(40), (q >> _20) & _MASK20, q & _MASK20
        low = c * w
        middle = b * w + (low >> _20)
        result = a * w + (middle >> _20)
        exponents = e + self._of_rows(scale)
        one = np.int64(1) << np.int64(SLOPE_BITS)
        exact = ((w == 0) | (w == one) | (w == -one)).all(axis=1)
        if self.engine.close:
            exact |= (((low | middle) & _MASK20) == 0).all(axis=1)  # q w is result 2^40: nothing was cut
        self._charge_units(exponents, 2, n, box, ~exact)
        return self._renormalise(result, exponents, box)

    def multipliers(self, block: Block, given: Multipliers, box: Box) -> Block:
        """form -= signed (z_neuron - point) for each; changes ``block``.

        Each multiplier is cut towards zero to its row's grid: a smaller multiplier of the same sign is as sound as the
        given one. A row whose coefficients are tiny beside a multiplier is first moved to a coarser grid, charged.
        """
        if self.rows != 1:
            raise ValueError("multipliers need one row a domain")
        q, e = block
        d, k = given.domain, given.neuron
        cut = np.zeros(q.shape[0], np.int64)
        np.maximum.at(cut, d, np.frexp(given.signed)[1].astype(np.int64) - e[d] - (ROW_BITS - 1))
        cut = np.where(cut > 0, cut, 0)
        lossy = _lossy(int128.widen(q), np.minimum(cut, 62), self.engine.close)
        q >>= np.minimum(cut, 62)[:, None]
        self._charge_units(e + cut, 1, q.shape[1], box, lossy)
        e = e + cut
        units = np.trunc(np.ldexp(given.signed, -e[d])).astype(np.int64)
        q[d, k] -= units
        for row, unit, point in zip(d.tolist(), units.tolist(), given.point.tolist(), strict=True):
            if point:
                numerator, denominator = point.as_integer_ratio()
                self.value[row] += shift_floor(
                    unit * numerator, int(e[row]) + GRID - denominator.bit_length() + 1
                )
        given_any = np.zeros(q.shape[0], np.bool_)
        given_any[d] = True
        return self._renormalise(q, e, box, given_any)  # the other domains' rows stay as they are without it

    def lower_on_grid(self, boxes: dict[int, Box]) -> list[int]:
        """Lower bounds of every row on the grid 2^-GRID (M,)."""
        value = self.value.copy()
        for node, (q, e) in self.blocks.items():
            box = boxes[node]
            lo, hi, grid = ends_to_grid(box, 60)
            lo, hi = self._per_row(lo).astype(np.int64), self._per_row(hi).astype(np.int64)
            sums = dot_exact(q, np.where(q >= 0, lo, hi))
            exponents = (e + (GRID - self._of_rows(grid))).tolist()
            value += np.array([shift_floor(s, x) for s, x in zip(sums, exponents, strict=True)], dtype=object)
        return [int(v) for v in value]

    def lower_exact(
        self, m: int, ends: Mapping[int, tuple[Sequence[Fraction], Sequence[Fraction]]]
    ) -> Fraction:
        """The exact least value of row m over boxes of rationals: (lower, upper) of each node with a block."""
        total = Fraction(self.value[m]) / (1 << GRID)
        for node, (q, e) in self.blocks.items():
            low, high = ends[node]
            row = [int(c) for c in q[m].tolist()]
            scale = Fraction(2) ** int(e[m])
            total += scale * sum(
                (c * (low[i] if c > 0 else high[i]) for i, c in enumerate(row) if c), Fraction(0)
            )
        return total

    def lower(self, boxes: dict[int, Box]) -> Floats:
        """Lower bounds (D, R) as doubles, rounded down."""
        flat = [float_outward(v, up=False) for v in self.lower_on_grid(boxes)]
        return np.array(flat).reshape(self.domains, self.rows)

    def lower_balls(self, boxes: dict[int, Box]) -> list[Arb]:
        """Lower bounds of every row, exactly."""
        return [exact_ball(v, -GRID) for v in self.lower_on_grid(boxes)]

    def keep(self, kept: NDArray[np.int64]) -> None:
        if self.rows == 1:
            self.domains = int(kept.size)
        elif self.domains == 1:
            self.rows = int(kept.size)
        else:
            raise ValueError("rows are dropped in one domain, or domains of one row")
        self.value = self.value[kept]
        self.blocks = {node: (q[kept], e[kept]) for node, (q, e) in self.blocks.items()}


def _magnitude_sums(q: Int) -> list[int]:
    """sum_i |q[m, i]|, exactly."""
    a = np.abs(q)
    high, low = (a >> np.int64(31)).sum(axis=1).tolist(), (a & np.int64((1 << 31) - 1)).sum(axis=1).tolist()
    return [(h << 31) + s for h, s in zip(high, low, strict=True)]


def _slope_integers(lower: Floats, upper: Floats) -> tuple[Int, Int, Int]:
    """(scale, ls, us): a domain's slopes are ls, us * 2^(scale - SLOPE_BITS), exactly, |ls|, |us| <= 2^(SLOPE_BITS + 1).

    ``scale`` (D,) is found from the domain's own slopes: (1,) where all domains share them, or all are 0.
    """
    largest = np.maximum(*(np.abs(s).max(axis=1, initial=0.0) for s in (lower, upper)))
    scale = slope_scale(np.nextafter(largest, 0.0))  # rounding may have reached a power of two
    if not scale.any():
        scale = scale[:1]
    result = []
    for s in (lower, upper):
        scaled = np.ldexp(s, (SLOPE_BITS - scale)[:, None])
        if not bool((np.abs(scaled) < 2.0**62).all()):
            raise ValueError("slope off the grid")
        ints = np.rint(scaled).astype(np.int64)
        if bool(((ints != scaled) | ((ints == 0) & (s != 0))).any()):
            raise ValueError("slope off the grid")
        result.append(ints)
    return scale.astype(np.int64), result[0], result[1]
