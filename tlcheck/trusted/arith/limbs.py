"""The exact integers of ``integer.py`` in float64: its products are BLAS's, and no operation rounds.

A double holds every integer up to 2^53 in magnitude, and IEEE-754 rounds nothing where the result is such a number times
a power of two: a sum of integers whose magnitudes add up to at most 2^53 is exact in any order, with or without fused
products, in every rounding mode. Rows are integers |q| <= 2^(2h) with an exponent each, weights integers |w| <= 2^60, in limbs
    q = q1 2^h + q0,  w = w2 2^(2h) + w1 2^h + w0,  |q1|, |w1|, |w2| <= 2^h,  |q0|, |w0| <= 2^(h - 1),
where K 2^(2h) <= 2^53 for every sum of K terms that a map's adjoint makes. Then, with sums over K terms,
    sum q w = 2^(3h) sum q1 w2 + 2^(2h) sum (q1 w1 + q0 w2) + 2^h sum (q1 w0 + q0 w1) + sum q0 w0.
The first three are exact: of two products, each has a limb of at most 2^(h - 1), and K (2^(2h - 1) + 2^(2h - 1)) <= 2^53.
The last is not made: it is at most K 2^(2h - 2), and is charged, as what is cut is. Coefficients have 2h bits, 40 at least.

It is for passes whose boxes come of ``ball64.py``, and so assumes no more than they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from math import ldexp

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.convolution import to_narrow, to_wide
from tlcheck.trusted.arith.int128 import Int
from tlcheck.trusted.arith.integer import (
    GRID,
    Block,
    IntegerEngine,
    IntegerForm,
    _slope_integers,
    ends_to_grid,
    integer_constant,
    rows_to_grid,
    shift_ceil,
    shift_floor,
)
from tlcheck.trusted.arith.interface import SLOPE_BITS, Multipliers
from tlcheck.trusted.arith.maps import Affine, ConvMap, DiagMap, IndexMap, Map, MatMap, SignMap

Floats = NDArray[np.float64]
Objects = NDArray[np.object_]

_ONE = 2.0**SLOPE_BITS
_ABOVE, _TINY, _LARGEST = 1 + 2.0**-20, 2.0**-1000, 2.0**1000
MOST_TERMS = 1 << 13
"""h is 20 at least: ``_times`` needs it."""
DOT_TERMS = 1 << 16


def half_bits(terms: int) -> int:
    """h of sums of so many terms, at most 2^13: 20 to 23, terms * 2^(2h) <= 2^53."""
    if terms > MOST_TERMS:
        raise ValueError(f"sums of {terms} terms")
    return min(23, (53 - (max(terms, 1) - 1).bit_length()) // 2)


def split(x: Floats, h: int) -> tuple[Floats, Floats]:
    """(x1, x0): integers x = x1 2^h + x0, |x0| <= 2^(h - 1), for integers |x| <= 2^50."""
    high = x * ldexp(1.0, -h)  # a power would round as the C library pleases
    high += 0.5
    np.floor(high, out=high)
    return high, x - high * ldexp(1.0, h)


def three_limbs(v: Int, h: int) -> tuple[Floats, Floats, Floats]:
    """(v2, v1, v0): v = v2 2^(2h) + v1 2^h + v0 for |v| <= 2^60; |v2| <= 2^(60 - 2h), the others at most 2^(h - 1)."""
    half, k = np.int64(1 << (h - 1)), np.int64(h)
    rest = (v + half) >> k
    high = (rest + half) >> k
    limbs = high, rest - (high << k), v - (rest << k)
    two, one, zero = (x.astype(np.float64) for x in limbs)
    return two, one, zero


def dot(q: Floats, v: Int, h: int) -> Objects:
    """sum_i q[m, i] v[m, i], exactly; integers |q| <= 2^(2h), |v| <= 2^60, v may have one row.

    By four sums as in the module's docstring, each of at most 2^(53 - 2h) terms at a time: as floats they are exact, and at
    most 2^53; at most 2^9 of them, 2^7 terms at least each, are added up as 64-bit integers: 2^16 terms, and more in parts.
    """
    if q.shape[1] > DOT_TERMS:
        parts = [slice(k, k + DOT_TERMS) for k in range(0, q.shape[1], DOT_TERMS)]
        return sum((dot(q[:, p], v[:, p], h) for p in parts), np.zeros(q.shape[0], object))
    sums = np.zeros((4, q.shape[0]), np.int64)
    limbs = three_limbs(v, h)
    step = 1 << (53 - 2 * h)
    for k in range(0, q.shape[1], step):
        q1, q0 = split(q[:, k : k + step], h)
        v2, v1, v0 = (x[:, k : k + step] for x in limbs)
        for place, terms in enumerate((((q1, v2),), ((q1, v1), (q0, v2)), ((q1, v0), (q0, v1)), ((q0, v0),))):
            sums[place] += sum(a @ b[0] if len(b) == 1 else np.vecdot(a, b) for a, b in terms).astype(
                np.int64
            )
    total: Objects = sums[0].astype(object)
    for column in sums[1:]:
        total = (total << h) + column.astype(object)
    return total


def _up(x: Int, s: Int) -> Int:
    """ceil(x / 2^s), x >= 0, s >= 0."""
    return -((-x) >> np.minimum(s, 62))


class _LimbMap:
    """A matrix's or convolution's weights: integers in units of 2^-grid, off by at most ``residual``, in three limbs."""

    def __init__(self, m: MatMap | ConvMap, h: int) -> None:
        ints, self.grid, self.residual = integer_constant(m.weight, 60)
        self.limbs = three_limbs(ints, h)

    @cached_property
    def adjoint(self) -> tuple[Floats, Floats, Floats]:
        """Of a matrix w (K, N), what limbs of rows are multiplied with: (1, N, K) of w2, (2, N, K) of (w1, w2) and (w0, w1)."""
        two, one, zero = (np.ascontiguousarray(w.T) for w in self.limbs)
        return two[None], np.stack([one, two]), np.stack([zero, one])


def engine_of(operations: Iterable[Affine | None]) -> LimbEngine | None:
    """For a network's affine operations; None: some adjoint's sums have too many terms."""
    maps = (m for a in operations if a is not None for m in a.maps)
    terms = max((m.fan_out for m in maps if isinstance(m, MatMap | ConvMap)), default=1)
    return LimbEngine(terms) if terms <= MOST_TERMS else None


class LimbEngine(IntegerEngine):
    """``terms``: the most that a sum of a map's adjoint has, at most MOST_TERMS."""

    def __init__(self, terms: int) -> None:
        super().__init__()
        self.h = half_bits(terms)
        self._limbs: dict[int, tuple[Map, _LimbMap]] = {}
        self._factors: dict[int, tuple[Map, tuple[Floats, int, Fraction]]] = {}

    def limb_map(self, m: MatMap | ConvMap) -> _LimbMap:
        if m.fan_out << (2 * self.h) > 1 << 53:
            raise OutOfRange("sum of too many terms")
        if self._limbs.get(id(m), (None,))[0] is not m:
            self._limbs[id(m)] = m, _LimbMap(m, self.h)
        return self._limbs[id(m)][1]

    def factors(self, m: DiagMap) -> tuple[Floats, int, Fraction]:
        """(f, g, r) with |factor - f 2^-g| <= r, |f| <= 2^SLOPE_BITS."""
        if self._factors.get(id(m), (None,))[0] is not m:
            ints, grid, residual = integer_constant(m.flat, SLOPE_BITS)
            self._factors[id(m)] = m, (ints.astype(np.float64), grid, residual)
        return self._factors[id(m)][1]

    def form(self, domains: int, rows: int) -> LimbForm:
        """An empty form."""
        return LimbForm(self, domains, rows)


class LimbForm(IntegerForm):
    """As IntegerForm; q is an array of doubles that are integers, |q| <= 2^(2h) but where a step says more."""

    def __init__(self, engine: LimbEngine, domains: int, rows: int) -> None:
        super().__init__(engine, domains, rows)
        self.limbs, self.h = engine, engine.h
        self._owed = np.zeros(domains * rows, np.int64), np.full(domains * rows, -(1 << 20))

    def _charge_each(self, e: Int, units: Int, box: Box) -> None:
        """value -= units[m] * 2^e[m] * (the sum of the magnitudes of the values in the row's domain), 0 <= units < 2^60: owed.

        The power of two that is taken exceeds the sum, whose rounding is below 2^-20 of it. What is owed is one number a row,
        below 2^40 in units of its own: what is added is rounded up to the coarser of both units.
        """
        total = box.magnitude.sum(axis=1)
        if not bool((total <= _LARGEST).all()):
            raise OutOfRange("infinite bound")
        size = np.frexp(total * _ABOVE + _TINY)[1].astype(np.int64)
        if size.size > 1 and self.rows > 1:
            size = np.repeat(size, self.rows)
        fine = np.maximum(np.frexp(units.astype(np.float64))[1].astype(np.int64) - 38, 0)
        mine = e + size + fine
        owed, unit = self._owed
        top = np.where(units > 0, np.maximum(unit, mine), unit)
        owed, units = _up(owed, top - unit), _up(units, np.where(units > 0, top - mine, 0) + fine)
        large = (owed + units) >> np.int64(38)
        self._owed = _up(owed + units, np.where(large > 0, 8, 0)), top + np.where(large > 0, 8, 0)

    def _settle(self) -> None:
        """value -= what is owed."""
        owed, unit = self._owed
        self.value -= np.array(
            [shift_ceil(u, s) for u, s in zip(owed.tolist(), (unit + GRID).tolist(), strict=True)],
            dtype=object,
        )
        self._owed = np.zeros_like(owed), np.full_like(unit, -(1 << 20))

    def _add(self, sums: Objects, e: Int) -> None:
        """value += sums * 2^e, rounded down."""
        s = e + GRID
        if bool((s >= 0).all()):
            self.value += sums << s.astype(object)
        else:
            self.value += np.array(
                [shift_floor(v, x) for v, x in zip(sums, s.tolist(), strict=True)], dtype=object
            )

    def _fitted(self, q: Floats, e: Int, box: Box, where: NDArray[np.bool_] | None = None) -> Block:
        """Rows (those in ``where``) of 2h bits: cut, charged, where they have more; moved up exactly where they have fewer."""
        largest = np.maximum(q.max(axis=1, initial=0.0), -q.min(axis=1, initial=0.0))
        s = np.where(largest > 0, np.frexp(largest)[1].astype(np.int64) - 2 * self.h, 0)
        if where is not None:
            s = np.where(where, s, 0)
        if s.any():
            q = np.floor(q * np.ldexp(1.0, -s)[:, None])
            self._charge_each(e + s, (s > 0).astype(np.int64), box)
        return q, e + s

    def seed_units(self, node: int, size: int, indices: Int, signs: Int) -> None:
        super().seed_units(node, size, indices, signs)
        q, e = self.blocks[node]
        self.blocks[node] = np.sign(q) * ldexp(1.0, 2 * self.h - 1), np.full_like(e, 1 - 2 * self.h)

    def seed_rows(self, node: int, mid: Floats, rad: Floats | None, box: Box) -> None:
        """Coefficients mid (D, R, n), each within rad of the exact one."""
        _, r, n = mid.shape
        flat = np.ascontiguousarray(np.broadcast_to(mid, (self.domains, r, n))).reshape(-1, n)
        v, g = rows_to_grid(flat, 2 * self.h, up=False)
        cut = (np.ldexp(v.astype(np.float64), -g[:, None]) != flat).any(axis=1)
        self._charge_each(-g, cut.astype(np.int64), box)
        if rad is not None and rad.size:
            most = np.broadcast_to(rad.max(axis=2), (self.domains, r)).reshape(-1)
            for m, (size, x) in enumerate(zip(self._sizes(box, n), most.tolist(), strict=True)):
                self.value[m] -= -((-size * Fraction(x)) // 1)
        self.put(node, (v.astype(np.float64), -g), box)

    def put(self, node: int, block: Block, box: Box | None) -> None:
        """As IntegerForm's; both are at most 2^(2h), so that their sum fits."""
        if node not in self.blocks:
            self.blocks[node] = block
            return
        if box is None:
            raise ValueError("a second block needs the node's box")
        (q1, e1), (q2, e2) = self.blocks[node], block
        some1, some2 = np.asarray(q1.any(axis=1)), np.asarray(q2.any(axis=1))
        e1, e2 = np.where(some1, e1, e2), np.where(some2, e2, e1)
        e = np.maximum(e1, e2)
        total = self._coarser(q1, e - e1) + self._coarser(q2, e - e2)
        self._charge_each(e, (e != e1).astype(np.int64) + (e != e2), box)
        # A row to which nothing was added stays: as it would be had the block not come for other domains' sake.
        self.blocks[node] = self._fitted(total, e, box, some1 & some2)

    @staticmethod
    def _coarser(q: Floats, s: Int) -> Floats:
        """floor(q[m] / 2^s[m]), s >= 0."""
        return np.floor(q * np.ldexp(1.0, -np.minimum(s, 62))[:, None]) if s.any() else q

    def through_map(self, m: Map, block: Block, box: Box) -> Block:
        q, e = block
        match m:
            case SignMap():
                return (q, e) if m.sign == 1 else (-q, e)
            case IndexMap():
                return self._through_entries(m, q, e, box)
            case DiagMap():
                f, grid, residual = self.limbs.factors(m)
                result, exponents = self._times(q, f[None, :]), e - grid + SLOPE_BITS
                self._charge_each(exponents, np.full(e.shape, 3), box)
                result, exponents = self._fitted(result, exponents, box)
            case MatMap() | ConvMap():
                w = self.limbs.limb_map(m)
                residual = w.residual * m.fan_in
                result, s, left = self._joined(self._products(m, w, q), m.fan_out)
                exponents = e - w.grid + 2 * self.h + s
                self._charge_each(exponents, np.where(q.any(axis=1), left, 0), box)
        if residual:
            self._charge_sums(q, e, self._sizes(box, residual))
        return result, exponents

    def _products(self, m: MatMap | ConvMap, w: _LimbMap, q: Floats) -> Iterator[Floats]:
        """sum q1 w2, sum (q1 w1 + q0 w2), sum (q1 w0 + q0 w1), (M, n_in) each, exactly: as the module's docstring says."""
        if isinstance(m, ConvMap):
            move = to_narrow if m.transposed else to_wide
            high, low = split(q, self.h)
            two, one, zero = w.limbs
            yield move(m, two, high)
            yield move(m, one, high) + move(m, two, low)
            yield move(m, zero, high) + move(m, one, low)
            return
        adjoint, rows = w.adjoint, q.shape[0]
        q = q.reshape(rows * m.positions, -1)
        used = np.flatnonzero(q.any(axis=0))
        if 4 * used.size < 3 * q.shape[1]:  # inactive neurons: nothing times a weight
            q, adjoint = q[:, used], (adjoint[0][:, used], adjoint[1][:, used], adjoint[2][:, used])
        limbs = np.concatenate(split(q, self.h), axis=1)
        for part in adjoint:
            terms = part.shape[0] * part.shape[1]
            yield (limbs[:, :terms] @ part.reshape(terms, part.shape[2])).reshape(rows, m.n_in)

    def _joined(self, sums: Iterable[Floats], terms: int) -> tuple[Floats, Int, Int]:
        """(q, s, units): |(2^h a + b + 2^-h c + rest) 2^-s - q| <= units, |q| <= 2^(2h), for the three sums a, b, c, integers of
        at most 2^53, and what was left out, |rest| <= terms / 4.

        s is such that the parts are at most 2^(2h - 2) each, or 0; their products with powers of two are exact, and are cut.
        """
        h, (a, b, c) = self.h, tuple(sums)
        bits = [
            np.frexp(np.maximum(x.max(axis=1, initial=0.0), -x.min(axis=1, initial=0.0)))[1]
            for x in (a, b, c)
        ]
        s = np.maximum(np.maximum(np.maximum(bits[0] + h, bits[1]), bits[2] - h) + 2 - 2 * h, 0).astype(
            np.int64
        )
        q = np.zeros(a.shape)
        for part, shift in ((a, h), (b, 0), (c, -h)):
            part *= np.ldexp(1.0, shift - s)[:, None]
            q += np.floor(part, out=part)
        return q, s, 3 + -((-terms // 4) >> s)

    def keep(self, kept: Int) -> None:
        self._settle()
        super().keep(kept)
        self._owed = np.zeros(kept.size, np.int64), np.full(kept.size, -(1 << 20))

    def lower_exact(
        self, m: int, ends: Mapping[int, tuple[Sequence[Fraction], Sequence[Fraction]]]
    ) -> Fraction:
        self._settle()
        return super().lower_exact(m, ends)

    def _charge_sums(self, q: Floats, e: Int, sizes: list[int]) -> None:
        """value -= sum |q| 2^e * size, of every row. 64 magnitudes are at most 2^52 together."""
        totals = [0] * q.shape[0]
        for k in range(0, q.shape[1], 64):
            part = np.abs(q[:, k : k + 64]).sum(axis=1).astype(np.int64).tolist()
            totals = [a + b for a, b in zip(totals, part, strict=True)]
        for m, (total, size, x) in enumerate(zip(totals, sizes, e.tolist(), strict=True)):
            self.value[m] -= shift_ceil(total * size, x)

    def _through_entries(self, m: IndexMap, q: Floats, e: Int, box: Box) -> Block:
        """Gathered, or sums of at most ``multiplicity`` coefficients, which are first cut until they fit."""
        if m.transposed:
            return m.gathered(q), e
        s = max(0, m.multiplicity.bit_length() + 2 * self.h - 53)
        if s:
            q, e = np.floor(q * ldexp(1.0, -s)), e + s
            self._charge_each(e, np.full(e.shape, m.multiplicity), box)
        out = np.zeros((q.shape[0], m.size))
        used = m.index >= 0
        if m.multiplicity <= 1:
            out[:, m.index[used]] = q[:, used]
            return out, e
        order = np.argsort(m.index[used], kind="stable")
        sorted_index = m.index[used][order]
        starts = np.flatnonzero(np.r_[True, sorted_index[1:] != sorted_index[:-1]])
        out[:, sorted_index[starts]] = np.add.reduceat(q[:, used][:, order], starts, axis=1)
        return self._fitted(out, e, box)

    def _dot(self, q: Floats, v: Int) -> Objects:
        return dot(q, v, self.h)

    def offset(self, block: Block, offset: Constant) -> None:
        q, e = block
        v, g, residual = integer_constant(offset, 60)
        self._add(self._dot(q, v[None, :]), e - g)
        if residual:
            self._charge_sums(
                q, e, [-((-residual.numerator << GRID) // residual.denominator)] * len(self.value)
            )

    def charge(self, block: Block, radius: Floats) -> None:
        q, e = block
        v, g = rows_to_grid(radius, 60, up=True)
        self._add(-self._dot(np.abs(q), self._per_row(v).astype(np.int64)), e - self._of_rows(g))

    def through_lines(
        self, block: Block, lower: tuple[Floats, Floats], upper: tuple[Floats, Floats], box: Box
    ) -> Block:
        """Where both lines are 0 or z in every domain, a coefficient is dropped or stays; the others are multiplied.

        Nothing in a row depends on which columns those are: a product with 0 or 1 is exact, and costs nothing.
        """
        q, e = block
        plain = (
            (lower[0] == upper[0]) & ((lower[0] == 0) | (lower[0] == 1)) & (lower[1] == 0) & (upper[1] == 0)
        )
        bent = np.flatnonzero(~plain.all(axis=0))
        result = q * self._per_row(lower[0])
        scale = np.zeros(1, np.int64)
        if bent.size:
            scale, ls, us = _slope_integers(lower[0][:, bent], upper[0][:, bent])
            if scale.any():
                bent = np.arange(q.shape[1])
                scale, ls, us = _slope_integers(lower[0], upper[0])
            part = q[:, bent]
            self._intercepts(part, e, lower[1][:, bent], upper[1][:, bent])
            result[:, bent], inexact = self._sloped(part, ls, us)
            self._charge_each(e + self._of_rows(scale), 3 * inexact, box)
        return self._fitted(result, e + self._of_rows(scale), box)

    def _intercepts(self, q: Floats, e: Int, lt: Floats, ut: Floats) -> None:
        """value += q+ . lt + q- . ut, rounded down."""
        for side, intercepts, up in ((np.maximum(q, 0.0), lt, False), (np.minimum(q, 0.0), ut, True)):
            if intercepts.any():
                v, g = rows_to_grid(intercepts, 60, up=up)
                self._add(self._dot(side, self._per_row(v).astype(np.int64)), e - self._of_rows(g))

    def _sloped(self, q: Floats, ls: Int, us: Int) -> tuple[Floats, Int]:
        """(q+ ls + q- us, in units of 2^SLOPE_BITS; whether a row has another slope than 0, 1 and -1)."""
        low, high = (self._per_row(x).astype(np.float64) for x in (ls, us))
        w = high + (low - high) * (q >= 0)
        return self._times(q, w), ((w != 0) & (np.abs(w) != _ONE)).any(axis=1).astype(np.int64)

    def _times(self, q: Floats, w: Floats) -> Floats:
        """Integers within 3 of q w 2^-40, |q| <= 2^(2h), |w| <= 2^41: equal where w is 0, 2^40 or -2^40.

        With w = w1 2^20 + w0 it is 2^(h - 20) q1 w1 + (2^(h - 40) q1 w0 + 2^-20 q0 w1) + 2^-40 q0 w0: first an integer below
        2^48; then at most 2^26, a multiple of 2^-20, which is cut; the last, at most 2, is left out.
        """
        (q1, q0), (w1, w0) = split(q, self.h), split(w, 20)
        rest = q1 * w0 * ldexp(1.0, self.h - 40) + q0 * w1 * ldexp(1.0, -20)
        return q1 * w1 * ldexp(1.0, self.h - 20) + np.floor(rest)

    def multipliers(self, block: Block, given: Multipliers, box: Box) -> Block:
        """As IntegerForm's: a multiplier is cut towards zero to its row's grid; changes ``block``."""
        if self.rows != 1:
            raise ValueError("multipliers need one row a domain")
        q, e = block
        d, k = given.domain, given.neuron
        cut = np.zeros(q.shape[0], np.int64)
        np.maximum.at(cut, d, np.frexp(given.signed)[1].astype(np.int64) - e[d] - (2 * self.h - 1))
        self._charge_each(e + cut, (cut > 0).astype(np.int64), box)
        q, e = self._coarser(q, cut), e + cut
        units = np.trunc(np.ldexp(given.signed, -e[d]))
        q[d, k] -= units
        for row, unit, point in zip(d.tolist(), units.tolist(), given.point.tolist(), strict=True):
            if point:
                numerator, denominator = point.as_integer_ratio()
                self.value[row] += shift_floor(
                    int(unit) * numerator, int(e[row]) + GRID - denominator.bit_length() + 1
                )
        given_any = np.zeros(q.shape[0], np.bool_)
        given_any[d] = True
        return self._fitted(q, e, box, given_any)  # the other domains' rows stay as they are without it

    def lower_on_grid(self, boxes: dict[int, Box]) -> list[int]:
        """Lower bounds of every row on the grid 2^-GRID (M,)."""
        self._settle()
        kept = self.value.copy()
        for node, (q, e) in self.blocks.items():
            lo, hi, grid = ends_to_grid(boxes[node], 60)
            for side, end in ((np.maximum(q, 0.0), lo), (np.minimum(q, 0.0), hi)):
                self._add(self._dot(side, self._per_row(end).astype(np.int64)), e - self._of_rows(grid))
        found, self.value = self.value, kept
        return [int(v) for v in found]
