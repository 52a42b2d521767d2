"""float64 in round-to-nearest, with proved a-priori error bounds: fold, don't carry.

Model. fl(x op y) = (x op y)(1+d) + e with |d| <= V = 2^-52 (twice the unit roundoff: any faithful rounding) and |e|
an underflow, under gradual underflow, flush-to-zero or denormals-are-zero. A sum of K products computed as *any*
tree (any order, blocking, threads, FMA) then has error <= gamma_K sum |products| + underflow, gamma_K = KV/(1-KV)
(NUMERICS A.1).

Range. Every array that enters a product is guarded: entries <= 2^200 in magnitude, at most 2^24 terms. So nothing
overflows in any order or mode, and every underflow effect (a flushed entry times two other factors, summed over
2^48 terms) is below 2^-1022 * 2^400 * 2^49 < TINY = 2^-500. A block that a map or lines just made is guarded when what it is
charged is summed, before a map or lines take it: until then it is below 2^425 and meets constants (an offset) only.

A pass keeps for each row a number ``value`` and ``error`` >= 0 with: exact lower bound of the row >= value - error.
Coefficients are *exact* floats: a rounded product replaces the true coefficient, and the difference times the
known box of that layer is charged to ``error`` at once:
    |(L W - fl(L W)) x| <= |L| . (gamma_K |W| xm)        (associativity; never forms |L||W|).

``up(...)`` in a name: the result is >= the exact value. Constants g, c below dominate gamma_K and 1/(1-gamma_K).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.convolution import to_narrow, to_wide
from tlcheck.trusted.arith.interface import Multipliers
from tlcheck.trusted.arith.maps import ConvMap, DiagMap, IndexMap, Map, MatMap, SignMap

Floats = NDArray[np.float64]

V = 2.0**-52
TINY = 2.0**-500
MAX_MAGNITUDE = 2.0**200
MAX_TERMS = 1 << 24
BLOCK = 64
"""Rows of one call of BLAS's product."""
SPARSE = 32
"""A product is gathered where no column of its matrix has more than one entry in so many: cost, not soundness."""
KEPT = 64
"""Most maps whose folds are kept."""
TILE = 1 << 15
"""Numbers that are worked on at a time: with what is made of them they stay in a level-2 cache."""


def gamma_up(terms: int) -> float:
    """>= gamma_K + 3V for K = terms <= 2^24."""
    if terms > MAX_TERMS:
        raise OutOfRange(f"sum of {terms} terms")
    return (terms + 4) * V


def slack_up(terms: int) -> float:
    """>= 1 / ((1 - gamma_K)(1 - V)^6): turns a computed sum of nonnegative terms into an upper bound."""
    return 1 + (terms + 8) * 2 * V


def guard(*arrays: Floats) -> None:
    """Raise OutOfRange unless every entry is at most 2^200 in magnitude (NaN refused)."""
    for a in arrays:
        if a.size and not (float(a.max()) <= MAX_MAGNITUDE and float(a.min()) >= -MAX_MAGNITUDE):
            raise OutOfRange("a magnitude above 2^200")


def guard_up(magnitude: Floats) -> None:
    """As ``guard``, of numbers that are not negative."""
    if magnitude.size and not float(magnitude.max()) <= MAX_MAGNITUDE:
        raise OutOfRange("a magnitude above 2^200")


def dot(a: Floats, v: Floats) -> Floats:
    """sum_i a[d, r, i] v[d, i], v (D, n) or shared (1, n). Rounded; each value a tree of n products."""
    result: Floats = np.vecdot(np.ascontiguousarray(a), np.ascontiguousarray(v)[:, None, :])
    return result


def product(x: Floats, w: Floats) -> Floats:
    """x @ w, x (M, K): BLOCK rows at a time, so that the order of a row's sums does not depend on how many rows there are."""
    x = np.ascontiguousarray(x)
    rows, block = x.shape[0], BLOCK
    whole = rows - rows % block
    result = np.empty((rows, w.shape[1]))
    if whole:
        parts = result[:whole].reshape(-1, block, w.shape[1])
        np.matmul(x[:whole].reshape(-1, block, x.shape[1]), w, out=parts)
    if whole < rows:
        last = np.zeros((block, x.shape[1]))
        last[: rows - whole] = x[whole:]
        result[whole:] = (last @ w)[: rows - whole]
    return result


def few_in_columns(w: Floats) -> tuple[NDArray[np.int64], Floats] | None:
    """(c, N) places in each column of w (K, N) and the entries there, the others being 0; None unless c K's SPARSEth part."""
    most = int(np.count_nonzero(w, axis=0).max(initial=0))
    if most * SPARSE > w.shape[0]:
        return None
    places = np.argsort(w == 0, axis=0, kind="stable")[:most]
    return places, np.take_along_axis(w, places, axis=0)


def gathered_product(x: Floats, places: NDArray[np.int64], entries: Floats) -> Floats:
    """x @ w for finite x (M, K), of ``few_in_columns(w)``: the products that are left out are 0 in every sum."""
    result = np.zeros((x.shape[0], places.shape[1]))
    step = max(1, TILE // max(1, places.shape[1]))
    for k in range(0, x.shape[0], step):
        part, total = x[k : k + step], result[k : k + step]
        gathered = np.empty(total.shape)
        for place, entry in zip(places, entries, strict=True):
            np.take(part, place, axis=1, out=gathered, mode="clip")
            gathered *= entry
            total += gathered
    return result


def of(x: Floats, domains: slice) -> Floats:
    """The rows of these domains, or the one that all share."""
    return x if x.shape[0] == 1 else x[domains]


def tiles(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Parts of D domains and R rows of n numbers, of TILE numbers each where a row has no more."""
    domains, rows, n = shape
    several = max(1, TILE // max(1, n))
    step = max(1, several // max(1, rows))
    for d in range(0, domains, step):
        for r in range(0, rows, several if step == 1 else max(1, rows)):
            yield slice(d, d + step), slice(r, r + (several if step == 1 else rows))


def dot_up(a: Floats, v: Floats) -> Floats:
    """>= sum_i a_i v_i, for a, v >= 0, guarded."""
    return dot(a, v) * slack_up(a.shape[2]) + TINY


def outward_down(x: Floats) -> Floats:
    """A number <= x - (rounding of the subtraction that made x); valid in every rounding mode and under FTZ."""
    return x - (4 * V * np.abs(x) + TINY)


def outward_up(x: Floats) -> Floats:
    """A number >= x + (rounding of the addition that made x)."""
    return x + (4 * V * np.abs(x) + TINY)


class Weights:
    """float64 copies of a map's weights, made once."""

    def __init__(self, m: MatMap | ConvMap) -> None:
        self.mid = np.ascontiguousarray(m.weight.mid.astype(np.float64))
        self.magnitude = np.abs(self.mid)
        self.rad = m.weight.rad
        if self.rad is not None:
            guard(self.rad)
            self.magnitude = (self.magnitude + self.rad) * (1 + 4 * V)
        guard(self.magnitude)
        self._few: dict[str, tuple[NDArray[np.int64], Floats] | None] = {}

    @cached_property
    def transposed(self) -> Floats:
        """Of a matrix (K, N): (N, K), as BLAS reads it fastest."""
        return np.ascontiguousarray(self.mid.T)

    def times(self, x: Floats, which: str) -> Floats:
        """x @ w, guarded x (M, K); w (K, N) is one of the matrices here, by its name."""
        w: Floats = getattr(self, which)
        if which not in self._few:
            self._few[which] = few_in_columns(w)
        few = self._few[which]
        return product(x, w) if few is None else gathered_product(x, *few)


class Ball64:
    """Forward and adjoint application of linear maps."""

    name = "ball64"

    def __init__(self) -> None:
        self._weights: dict[int, tuple[MatMap | ConvMap, Weights]] = {}
        self._folds: dict[int, tuple[Map, Box, Floats | None]] = {}

    def weights(self, m: MatMap | ConvMap) -> Weights:
        """The float64 weights of a map, cached by identity of the map's constant."""
        key = id(m.weight)
        if key not in self._weights or self._weights[key][0].weight is not m.weight:  # ids of another process
            self._weights[key] = (m, Weights(m))
        return self._weights[key][1]

    def form(self, domains: int, rows: int) -> Ball64Form:
        """An empty form."""
        return Ball64Form(self, domains, rows)

    # Adjoint: rows of coefficients on the map's result -> rows on its operand. Rounded; charged by fold_up.

    def adjoint(self, m: Map, rows: Floats) -> Floats:
        """rows (D, R, n_out) -> (D, R, n_in)."""
        d, r, _ = rows.shape
        match m:
            case MatMap():
                k, n = m.weight.shape
                flat = self.weights(m).times(rows.reshape(d * r * m.positions, n), "transposed")
                return flat.reshape(d, r, m.positions * k)
            case ConvMap():
                move = to_narrow if m.transposed else to_wide
                return move(m, self.weights(m).mid, rows.reshape(d * r, -1)).reshape(d, r, -1)
            case DiagMap():
                return rows * m.flat.mid
            case SignMap():
                return rows if m.sign == 1 else -rows
            case IndexMap():
                return _gather(m, rows) if m.transposed else _scatter(m, rows)

    def magnitude_up(self, m: Map, xm: Floats) -> Floats:
        """>= |M| xm for every matrix M that the weights enclose, xm (D, n_in) >= 0: (D, n_out)."""
        match m:
            case MatMap() | ConvMap():
                return self._apply(m, "magnitude", xm) * slack_up(m.fan_in) + TINY
            case DiagMap():
                rad = m.flat.rad if m.flat.rad is not None else 0.0
                return xm * (np.abs(m.flat.mid) + rad) * slack_up(4) + TINY
            case SignMap():
                return xm
            case IndexMap():
                x = xm[:, None, :]
                moved = (_scatter(m, x) if m.transposed else _gather(m, x))[:, 0, :]
                return moved * slack_up(m.fan_in) + TINY

    def fold_of(self, m: Map, box: Box) -> Floats | None:
        """``fold_up`` over a box; kept, since one chunk of rows after another is carried through one map over one box."""
        kept = self._folds.get(id(m))
        if kept is None or kept[0] is not m or kept[1] is not box:
            if len(self._folds) >= KEPT:
                self._folds.clear()
            kept = self._folds[id(m)] = m, box, self.fold_up(m, box.magnitude)
        return kept[2]

    def fold_up(self, m: Map, xm: Floats) -> Floats | None:
        """v (D, n_out) with |(adjoint exactly - adjoint as computed) x| <= |rows| . v; None when exact."""
        match m:
            case MatMap() | ConvMap():
                rad = self.weights(m).rad
                v = self.magnitude_up(m, xm) * gamma_up(m.fan_out) * (1 + 4 * V)
                if rad is not None:
                    v = (v + self._apply(m, "rad", xm) * slack_up(m.fan_in)) * (1 + 4 * V) + TINY
                return v
            case DiagMap():
                guard_factor(m)
                flat_rad = m.flat.rad if m.flat.rad is not None else 0.0
                return xm * (np.abs(m.flat.mid) * (2 * V) + flat_rad) * (1 + 8 * V) + TINY
            case IndexMap() if not m.transposed and m.multiplicity > 1:
                return _gather(m, xm[:, None, :])[:, 0, :] * (gamma_up(m.multiplicity) * (1 + 4 * V)) + TINY
            case _:
                return None

    # Forward: boxes.

    def image(self, maps: tuple[Map, ...], boxes: tuple[Box, ...], offset: Constant | None) -> Box:
        """An enclosure of sum_i M_i x_i + offset for x_i in boxes[i]: (D, n_out).

        centre c, radius r >= |x - c|: |M x - fl(M c)| <= |M| r + gamma |M||c| + |Mr| (|c| + r).
        """
        total: Floats = np.zeros(1)
        error: Floats = np.zeros(1)
        terms = sum(m.fan_in for m in maps) + 2
        for m, box in zip(maps, boxes, strict=True):
            guard(box.lower, box.upper)
            guard_factor(m)
            centre, radius = centre_radius_up(box)
            spread = (radius + gamma_up(terms) * (np.abs(centre) + radius)) * (1 + 8 * V)
            total = total + self.forward(m, centre)
            error = (error + self.magnitude_up(m, spread)) * (1 + 4 * V)
            error = error + self.uncertain_up(m, box.magnitude)
        result = total
        if offset is not None:
            guard(offset.mid.astype(np.float64))
            result = result + offset.mid
            error = error + gamma_up(terms) * np.abs(offset.mid) * (1 + 4 * V)
            if offset.rad is not None:
                error = (error + offset.rad) * (1 + 4 * V)
        reach = error * (1 + 8 * V) + 4 * V * np.abs(result) + TINY
        return Box(outward_down(result - reach), outward_up(result + reach))

    def uncertain_up(self, m: Map, xm: Floats) -> Floats | float:
        """>= what the radii of the weights add to M x, for |x| <= xm (D, n_in)."""
        match m:
            case MatMap() | ConvMap():
                rad = self.weights(m).rad
                return 0.0 if rad is None else self._apply(m, "rad", xm) * slack_up(m.fan_in) + TINY
            case DiagMap() if m.flat.rad is not None:
                return xm * m.flat.rad * slack_up(1) + TINY
            case _:
                return 0.0

    def forward(self, m: Map, x: Floats) -> Floats:
        """M x of the weights' midpoints for x (D, n_in), guarded. Rounded; each value a tree of its products."""
        match m:
            case MatMap() | ConvMap():
                return self._apply(m, "mid", x)
            case DiagMap():
                return x * m.flat.mid
            case SignMap():
                return x if m.sign == 1 else -x
            case IndexMap():
                rows = x[:, None, :]
                return (_scatter(m, rows) if m.transposed else _gather(m, rows))[:, 0, :]

    def _apply(self, m: MatMap | ConvMap, which: str, x: Floats) -> Floats:
        """W x in float64, x (D, n_in), of the weights of that name."""
        if isinstance(m, MatMap):
            k, n = m.weight.shape
            return self.weights(m).times(x.reshape(-1, k), which).reshape(x.shape[0], m.positions * n)
        weight: Floats = getattr(self.weights(m), which)
        return to_wide(m, weight, x) if m.transposed else to_narrow(m, weight, x)


def guard_factor(m: Map) -> None:
    if isinstance(m, DiagMap):
        guard(m.flat.mid.astype(np.float64))
        if m.flat.rad is not None:
            guard(m.flat.rad)


def centre_radius_up(box: Box) -> tuple[Floats, Floats]:
    """(c, r) with [lower, upper] inside [c - r, c + r]."""
    centre = 0.5 * box.lower + 0.5 * box.upper
    radius = np.maximum(box.upper - centre, centre - box.lower)
    return centre, radius * (1 + 4 * V) + 4 * V * np.abs(centre) + TINY


def _gather(m: IndexMap, x: Floats) -> Floats:
    """x (D, R, size) -> (D, R, len(index))."""
    if m.is_identity:
        return x
    return m.gathered(x)


def _scatter(m: IndexMap, x: Floats) -> Floats:
    """x (D, R, len(index)) -> (D, R, size), summing over equal indices."""
    if m.is_identity:
        return x
    out = np.zeros((*x.shape[:2], m.size), x.dtype)
    used = m.index >= 0
    source = x if bool(used.all()) else x[:, :, used]
    index = m.index[used]
    if m.multiplicity <= 1:
        out[:, :, index] = source
        return out
    order = np.argsort(index, kind="stable")
    sorted_index = index[order]
    starts = np.flatnonzero(np.r_[True, sorted_index[1:] != sorted_index[:-1]])
    out[:, :, sorted_index[starts]] = np.add.reduceat(source[:, :, order], starts, axis=2)
    return out


class Ball64Form:
    """D domains times R rows: linear forms with a lower bound each, in float64.

    Invariant: for every domain d, row r and point of the domain,
        form(point) >= sum over pending blocks of coefficients . values + value[d, r] - error[d, r] - owed,

    where ``owed`` is |block| . spread of one block, the last that was charged. Blocks that were charged never change.
    """

    def __init__(self, engine: Ball64, domains: int, rows: int) -> None:
        self.engine = engine
        self.value = np.zeros((domains, rows))
        self.error = np.zeros((domains, rows))
        self.blocks: dict[int, Floats] = {}
        self._owed: tuple[Floats, Floats] | None = None
        self._units: tuple[Floats, NDArray[np.int64], NDArray[np.int64]] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.value.shape[0], self.value.shape[1]

    def _owe(self, block: Floats, spread: Floats) -> None:
        """error += |block| . spread, spread (D or 1, n) >= 0: soon, with what else this block is charged, as one sum."""
        guard(spread)
        if self._owed is not None and self._owed[0] is block:
            spread = (self._owed[1] + spread) * (1 + 4 * V)
        else:
            self._settle()
        self._owed = block, spread

    def _settle(self) -> None:
        """Charge what is owed; the block is guarded then."""
        if self._owed is not None:
            (block, spread), self._owed = self._owed, None
            self._add(0.0, self._charge_up(block, spread))

    def _charge_up(self, block: Floats, spread: Floats) -> Floats:
        """>= |block| . spread, guarded."""
        result = np.empty(block.shape[:2])
        for d, r in tiles(block.shape):
            magnitude = np.abs(block[d, r])
            guard_up(magnitude)
            result[d, r] = dot(magnitude, of(spread, d))
        return result * slack_up(block.shape[2]) + TINY

    def _add(self, value: Floats | float, error_up: Floats | float) -> None:
        """value += ..., error += ... and the rounding of both sums."""
        self.value = self.value + value
        self.error = (self.error + error_up + 2 * V * np.abs(self.value)) * (1 + 8 * V) + TINY

    def seed_units(self, node: int, size: int, indices: NDArray[np.int64], signs: NDArray[np.int64]) -> None:
        d, r = self.shape
        block = np.zeros((d, r, size))
        if indices.ndim == 1 and r == 1 and d == indices.size:
            places, signs = indices[:, None], signs[:, None]
        else:
            places, signs = np.broadcast_to(indices, (d, r)), np.broadcast_to(signs, (d, r))
        np.put_along_axis(block, places[:, :, None], signs[:, :, None], axis=2)
        self.put(node, block, None)
        self._units = block, places, signs.astype(np.float64)

    def _of_units(self, block: Floats, values: Floats) -> Floats | None:
        """Of unit seeds, the sum of coefficients and values (n, ..), exactly: a value and its sign. None of other blocks.

        A value that is flushed to zero is below 2^-1022: with the next charge's underflows still below its TINY.
        """
        if self._units is None or self._units[0] is not block:
            return None
        _, places, signs = self._units
        picked: Floats = values[places]
        return picked * signs.reshape(signs.shape + (1,) * (picked.ndim - 2))

    def copy_block(self, block: Floats) -> Floats:
        return block.copy()

    def seed_rows(self, node: int, mid: Floats, rad: Floats | None, box: Box) -> None:
        """Coefficients mid (D, R, n), each within rad of the exact one."""
        guard(mid)
        self.put(node, mid, box)
        if rad is not None:
            guard(rad, box.magnitude)
            self._add(0.0, dot_up(rad, box.magnitude))

    def put(self, node: int, block: Floats, box: Box | None) -> None:
        """Add coefficients on ``node``; ``box`` bounds its values (None only for exact first seeds)."""
        if node not in self.blocks:
            self.blocks[node] = block
            return
        if box is None:
            raise ValueError("a second block needs the node's box")
        total = self.blocks[node] + block
        guard(box.magnitude)
        self.blocks[node] = total
        self._owe(total, box.magnitude * (2 * V))
        self._settle()

    def through_map(self, m: Map, block: Floats, box: Box) -> Floats:
        """Coefficients on M x -> coefficients on x, for x in ``box``."""
        guard(box.magnitude)
        if isinstance(m, MatMap) and m.positions == 1 and m.weight.rad is None:
            exact = self._of_units(block, self.engine.weights(m).transposed)
            if exact is not None:
                return exact
        fold = self.engine.fold_of(m, box)  # each domain's own: none is charged for another's box
        if fold is not None:
            self._owe(block, fold)
            self._settle()
        return self.engine.adjoint(m, block)

    def offset(self, block: Floats, offset: Constant) -> None:
        """value += block . offset"""
        mid = offset.mid.astype(np.float64)[None, :]
        spread = gamma_up(mid.size) * np.abs(mid) * (1 + 4 * V)
        if offset.rad is not None:
            spread = (spread + offset.rad[None, :]) * (1 + 4 * V)
        guard(mid)
        exact = None if offset.rad is not None else self._of_units(block, mid[0])
        if exact is not None:
            self._add(exact, 0.0)
            return
        self._owe(block, spread + TINY)
        self._add(dot(block, mid), 0.0)

    def charge(self, block: Floats, radius: Floats) -> None:
        """value -= |block| . radius, radius (D, n) >= 0 (deployed rounding)."""
        self._owe(block, radius)

    def through_lines(
        self, block: Floats, lower: tuple[Floats, Floats], upper: tuple[Floats, Floats], box: Box
    ) -> Floats:
        """Coefficients on f(z) -> on z, with lines f >= ls z + lt and f <= us z + ut (arrays (D or 1, n)) on ``box``.

        g f >= g (ls z + lt) for g >= 0, g (us z + ut) for g < 0. The rounded product p of g and its slope is the coefficient
        from now on; it is within 2V |p| (and an underflow) of the exact one.
        Where lt = 0 and ut >= 0 the products that make up the value v have one sign, so that their magnitudes sum up to at
        most |v| / (1 - gamma) and an underflow: v is within gamma of that.
        """
        (ls, lt), (us, ut) = lower, upper
        guard(ls, lt, us, ut, box.magnitude)
        self._settle()
        n = block.shape[2]
        spread = gamma_up(n + 8) * (np.abs(lt) + np.abs(ut)) * (1 + 8 * V)
        one_sign = not lt.any() and not (ut < 0).any()
        halves = [None if not x.any() else 0.5 * x for x in (lt, ut)]
        low, high = (0.5 * s for s in (ls, us))
        result = np.empty(block.shape)
        value, error = np.zeros(self.shape), np.zeros(self.shape)
        for d, r in tiles(block.shape):
            part = block[d, r]
            magnitude = np.abs(part)
            guard_up(magnitude)
            positive = part + magnitude  # twice the positive ones, exactly; the others are 0
            negative = part - magnitude
            for twice, half in zip((positive, negative), halves, strict=True):
                if half is not None:
                    value[d, r] += dot(twice, of(half, d))
            if not one_sign:
                error[d, r] = dot_up(magnitude, of(spread, d))
            positive *= of(low, d)[:, None, :]
            negative *= of(high, d)[:, None, :]
            np.add(positive, negative, out=result[d, r])
        self._add(value, np.abs(value) * (gamma_up(n + 8) * slack_up(n)) + TINY if one_sign else error)
        self._owe(result, box.magnitude * (4 * V))
        return result

    def multipliers(self, block: Floats, given: Multipliers, box: Box) -> Floats:
        """form -= signed (z_neuron - point) for each; changes ``block``.

        The rounded coefficient is taken as exact and the difference charged over the box.
        """
        domains = self.shape[0]
        if block.shape[:2] != (domains, 1):
            raise ValueError("multipliers need one row a domain")
        self._settle()  # ``block`` may be what is owed for
        self._units = None
        d, k = given.domain, given.neuron
        new = block[d, 0, k] - given.signed
        guard(given.signed, given.point)
        shift = given.signed * given.point
        zmax = box.magnitude[np.zeros_like(d) if box.magnitude.shape[0] == 1 else d, k]
        guard(new, given.signed, given.point, shift, zmax)
        block[d, 0, k] = new
        terms = block.shape[2]  # at most so many in one domain
        charge = np.abs(new) * zmax * (2 * V) + np.abs(shift) * gamma_up(terms + 2)
        error: Floats = np.zeros(domains)
        value: Floats = np.zeros(domains)
        np.add.at(error, d, charge)
        np.add.at(value, d, shift)
        self._add(value[:, None], (error * slack_up(terms) + TINY)[:, None])
        return block

    def lower(self, boxes: dict[int, Box]) -> Floats:
        """A lower bound of every row (D, R), replacing each pending block by its worst value over its node's box."""
        self._settle()
        value, error = self.value, self.error
        for node, block in self.blocks.items():
            box = boxes[node]
            guard(box.lower, box.upper)
            centre, radius = centre_radius_up(box)
            reach = (radius + gamma_up(block.shape[2]) * np.abs(centre)) * (1 + 8 * V)
            value = value + dot(block, centre)
            error = (error + self._charge_up(block, reach) + 2 * V * np.abs(value)) * (1 + 8 * V) + TINY
        return outward_down(value - error)

    def lower_balls(self, boxes: dict[int, Box]) -> list[Arb]:
        """The first lower bound of every domain."""
        return [Arb(v) for v in self.lower(boxes)[:, 0].tolist()]

    def keep(self, kept: NDArray[np.int64]) -> None:
        self._settle()
        if self.shape[1] == 1:
            self.value, self.error = self.value[kept], self.error[kept]
            self.blocks = {node: block[kept] for node, block in self.blocks.items()}
        else:
            self.value, self.error = self.value[:, kept], self.error[:, kept]
            self.blocks = {node: block[:, kept] for node, block in self.blocks.items()}
