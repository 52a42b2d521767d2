"""float64 with directed rounding: every bound is a sum of products, each operation rounded towards the side that errs.

Assumes IEEE fused multiply-adds and additions that round towards minus infinity in the kernels that it is given, whatever
made them (``Kernels``; ``kernels/README.md`` has each kernel's statement and proof), and nothing of a BLAS: no order of
summation, no longest sum, no range. ``rounds`` refuses kernels that visibly do not. Upper ends are kept as negatives, since
nothing rounds upwards.

Coefficients are *exact* doubles: the rounded product c stands for the true coefficient t >= c, and (t - c) x >= -(t - c)
max(-x, 0) is charged at once: nothing where x >= 0. So the value of a row is a lower bound as it stands. Whatever is not
finite makes its row's value NaN, which stays NaN: such a row has no bound (``lower``: -inf).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.interface import Line, Multipliers
from tlcheck.trusted.arith.maps import ConvMap, DiagMap, IndexMap, Map, MatMap, SignMap
from tlcheck.trusted.arith.tiles import Tiles, from_places, in_places, tiles_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KEPT = 256
"""Most maps whose tiles are kept."""


class Kernels(Protocol):
    """Native kernels; all arrays float64, contiguous."""

    def concretise(self, block: Floats, lower: Floats | None, upper: Floats | None, value: Floats) -> Floats:
        """<= value + min of block . x over x in [lower, upper], or at ones."""

    def step(
        self, block: Floats, other: Floats | None, lines: tuple[Floats, ...], below: Floats, value: Floats
    ) -> tuple[Floats, Floats]:
        """(c, v): block . f(z) + other . z + value >= c . z + v for f between the lines, z >= -below."""

    def scale(self, factor: Floats, lower: Floats, upper: Floats, low: Floats, minus_high: Floats) -> None:
        """[low, -minus_high] += factor [lower, upper], outward."""

    def affine(self, tiles: Tiles, lower: Floats, upper: Floats, low: Floats, minus_high: Floats) -> None:
        """[low, -minus_high] += the product with [lower, upper], outward."""

    def adjoint(self, tiles: Tiles, block: Floats, below: Floats) -> tuple[Floats, Floats]:
        """(c, q): (block M) . x >= c . x + sum q for x >= -below; the sum over the last axis."""


@dataclass(eq=False)
class Directed:
    """Forward and adjoint application of linear maps."""

    kernels: Kernels
    name: str = "directed"

    def __getstate__(self) -> dict[str, Kernels]:
        return {"kernels": self.kernels}

    @cached_property
    def _tiles(self) -> dict[tuple[int, bool, bool], tuple[Map, Tiles]]:
        return {}

    def form(self, domains: int, rows: int) -> DirectedForm:
        """An empty form."""
        return DirectedForm(self, domains, rows)

    def tiles(self, m: MatMap | ConvMap, *, adjoint: bool, radii: bool) -> Tiles:
        """The map's weights, or their radii, as the kernels take them."""
        key = id(m), adjoint, radii
        if key not in self._tiles or self._tiles[key][0] is not m:
            if len(self._tiles) >= KEPT:
                self._tiles.clear()
            weight = m.weight.rad if radii and m.weight.rad is not None else m.weight.mid
            self._tiles[key] = m, tiles_of(m, weight.astype(np.float64), adjoint)
        return self._tiles[key][1]

    def image(self, maps: tuple[Map, ...], boxes: tuple[Box, ...], offset: Constant | None) -> Box:
        """An enclosure of sum_i M_i x_i + offset for x_i in boxes[i]: (D, n_out)."""
        shape = max(box.lower.shape[0] for box in boxes), maps[0].n_out
        low, minus_high = np.zeros(shape), np.zeros(shape)
        if offset is not None:
            lower, minus_upper = self.ends(offset)
            low[:], minus_high[:] = lower, minus_upper
        for m, box in zip(maps, boxes, strict=True):
            if not bool(np.isfinite(box.lower).all() and np.isfinite(box.upper).all()):
                raise OutOfRange("infinite bound")
            lower, upper = (np.broadcast_to(x, (shape[0], x.shape[1])) for x in (box.lower, box.upper))
            self._add_image(m, lower, upper, low, minus_high)
        return Box(low, -minus_high)

    def _add_image(self, m: Map, lower: Floats, upper: Floats, low: Floats, minus_high: Floats) -> None:
        """[low, -minus_high] += M [lower, upper], outward. A weight w' within r of w: w' x lies within r |x| of w x."""
        rad = None
        match m:
            case MatMap() | ConvMap():
                rad = m.weight.rad
                self._add_product(m, False, lower, upper, low, minus_high)
            case DiagMap():
                rad = m.flat.rad
                self.kernels.scale(m.flat.mid.astype(np.float64), lower, upper, low, minus_high)
            case SignMap():
                self.kernels.scale(np.full(m.size, float(m.sign)), lower, upper, low, minus_high)
            case IndexMap():
                for index in pieces(m) if m.transposed else [m.index]:
                    least, most = gathered(index, lower), gathered(index, upper)
                    self.kernels.scale(np.ones(index.size), least, most, low, minus_high)
        if rad is not None:
            size = np.maximum(-lower, upper)
            if isinstance(m, DiagMap):
                self.kernels.scale(rad, -size, size, low, minus_high)
            elif isinstance(m, MatMap | ConvMap):
                self._add_product(m, True, -size, size, low, minus_high)

    def _add_product(
        self, m: MatMap | ConvMap, radii: bool, lower: Floats, upper: Floats, low: Floats, minus_high: Floats
    ) -> None:
        tiles = self.tiles(m, adjoint=False, radii=radii)
        if isinstance(m, MatMap):
            self.kernels.affine(tiles, lower, upper, low, minus_high)
            return
        before, after = (m.narrow, m.wide) if m.transposed else (m.wide, m.narrow)
        ends = [in_places(before, x) for x in (lower, upper)]
        results = [in_places(after, x) for x in (low, minus_high)]
        self.kernels.affine(tiles, *ends, *results)
        low[:], minus_high[:] = (from_places(after, x) for x in results)

    def magnitude_up(self, m: Map, xm: Floats) -> Floats:
        """>= |M| xm for every matrix M that the weights enclose, xm (D, n_in) >= 0."""
        return xm if isinstance(m, SignMap) else self.image((m,), (Box(-xm, xm),), None).upper

    def uncertain_up(self, m: MatMap | ConvMap, xm: Floats) -> Floats:
        """>= what the radii of the weights add to M x, for |x| <= xm (D, n_in)."""
        low, minus_high = np.zeros((xm.shape[0], m.n_out)), np.zeros((xm.shape[0], m.n_out))
        self._add_product(m, True, -xm, xm, low, minus_high)
        return -minus_high

    def ends(self, constant: Constant) -> tuple[Floats, Floats]:
        """(1, n): the lower end of a flat constant, and the negative of its upper one."""
        mid = constant.mid.astype(np.float64)[None, :]
        low, minus_high = mid.copy(), -mid
        if constant.rad is not None:
            rad = constant.rad[None, :]
            self.kernels.scale(np.ones(mid.size), -rad, rad, low, minus_high)
        return low, minus_high


def gathered(index: Ints, x: Floats) -> Floats:
    """x (.., size) -> (.., len(index)), 0 where the index is -1."""
    return IndexMap(index, x.shape[-1]).gathered(x)


def pieces(m: IndexMap) -> list[Ints]:
    """Indices (size,) into the gather's result: the k-th has the place of each entry's k-th use, or -1."""
    used = np.flatnonzero(m.index >= 0)
    order = used[np.argsort(m.index[used], kind="stable")]
    entries = m.index[order]
    use = np.arange(order.size) - np.searchsorted(entries, entries)
    found = np.full((max(1, m.multiplicity), m.size), -1, np.int64)
    found[use, entries] = order
    return list(found)


def negative_part(box: Box) -> Floats:
    """max(-lower, 0): how far below 0 values in the box may be."""
    return np.maximum(-box.lower, 0.0)


class DirectedForm:
    """D domains times R rows: linear forms with a lower bound each.

    Invariant: for every domain d, row r and point of the domain,
        form(point) >= sum over pending blocks of coefficients . values + value[d, r],    or value[d, r] is not finite.
    """

    def __init__(self, engine: Directed, domains: int, rows: int) -> None:
        self.engine, self.kernels = engine, engine.kernels
        self.value = np.zeros((domains, rows))
        self.blocks: dict[int, Floats] = {}

    @property
    def shape(self) -> tuple[int, int]:
        return self.value.shape[0], self.value.shape[1]

    def seed_units(self, node: int, size: int, indices: Ints, signs: Ints) -> None:
        d, r = self.shape
        block = np.zeros((d, r, size))
        if indices.ndim == 1 and r == 1 and d == indices.size:
            places, signs = indices[:, None], signs[:, None]
        else:
            places, signs = np.broadcast_to(indices, (d, r)), np.broadcast_to(signs, (d, r))
        np.put_along_axis(block, places[:, :, None], signs[:, :, None], axis=2)
        self.put(node, block, None)

    def seed_rows(self, node: int, mid: Floats, rad: Floats | None, box: Box) -> None:
        """Coefficients mid (D, R, n), each within rad of the exact one."""
        self.put(node, np.ascontiguousarray(mid), box)
        if rad is not None:
            self.charge(np.ascontiguousarray(rad), box.magnitude)

    def copy_block(self, block: Floats) -> Floats:
        return block.copy()

    def _step(self, block: Floats, other: Floats | None, lower: Line, upper: Line, box: Box) -> Floats:
        """Coefficients through lines, plus ``other``'s."""
        lines = np.broadcast_arrays(*lower, *upper)
        result, self.value = self.kernels.step(
            block, other, tuple(map(np.ascontiguousarray, lines)), negative_part(box), self.value
        )
        return result

    def _scaled(self, block: Floats, factor: float, other: Floats, box: Box) -> Floats:
        """factor block + other."""
        line = np.full((1, block.shape[2]), factor), np.zeros((1, block.shape[2]))
        return self._step(block, other, line, line, box)

    def _least(self, block: Floats, lower: Floats, upper: Floats) -> None:
        """value += the least value of the rows over a box."""
        self.value = self.kernels.concretise(block, lower, upper, self.value)

    def put(self, node: int, block: Floats, box: Box | None) -> None:
        """Add coefficients on ``node``; ``box`` bounds its values (None only for exact first seeds)."""
        if node not in self.blocks:
            self.blocks[node] = block
            return
        if box is None:
            raise ValueError("a second block needs the node's box")
        self.blocks[node] = self._scaled(block, 1.0, self.blocks[node], box)

    def through_map(self, m: Map, block: Floats, box: Box) -> Floats:
        """Coefficients on M x -> coefficients on x, for x in ``box``."""
        match m:
            case SignMap():
                return block if m.sign == 1 else -block
            case IndexMap():
                return self._through_index(m, block, box)
            case DiagMap():
                return self._through_diagonal(m, block, box)
            case MatMap() | ConvMap():
                return self._through_product(m, block, box)

    def _through_index(self, m: IndexMap, block: Floats, box: Box) -> Floats:
        if m.transposed or m.is_identity:
            return m.gathered(block) if m.transposed else block
        first, *others = pieces(m)
        total = gathered(first, block)
        for index in others:
            total = self._scaled(gathered(index, block), 1.0, total, box)
        return total

    def _through_diagonal(self, m: DiagMap, block: Floats, box: Box) -> Floats:
        """Weights f' within r of f: a f' x is at least a f x - |a| r |x|: lines with slope f and intercepts -+ r |x|."""
        factor = m.flat.mid.astype(np.float64)[None, :]
        low, minus_high = np.zeros(box.lower.shape), np.zeros(box.lower.shape)
        if m.flat.rad is not None:
            self.kernels.scale(m.flat.rad, -box.magnitude, box.magnitude, low, minus_high)
        return self._step(block, None, (factor, low), (factor, -minus_high), box)

    def _through_product(self, m: MatMap | ConvMap, block: Floats, box: Box) -> Floats:
        if m.weight.rad is not None:
            self.charge(block, self.engine.uncertain_up(m, box.magnitude))
        tiles, below = self.engine.tiles(m, adjoint=True, radii=False), negative_part(box)
        if isinstance(m, MatMap):
            result, charges = self.kernels.adjoint(tiles, block, below)
        else:
            before, after = (m.wide, m.narrow) if m.transposed else (m.narrow, m.wide)
            result, charges = self.kernels.adjoint(tiles, in_places(before, block), in_places(after, below))
            result = from_places(after, result)
        self.value = self.kernels.concretise(charges, None, None, self.value)
        return result

    def offset(self, block: Floats, offset: Constant) -> None:
        """value += block . offset"""
        low, minus_high = self.engine.ends(offset)
        self._least(block, low, -minus_high)

    def charge(self, block: Floats, radius: Floats) -> None:
        """value -= |block| . radius, radius (D or 1, n) >= 0."""
        self._least(block, -radius, np.ascontiguousarray(radius))

    def through_lines(self, block: Floats, lower: Line, upper: Line, box: Box) -> Floats:
        """Coefficients on f(z) -> on z, with lines f >= ls z + lt and f <= us z + ut (arrays (D or 1, n)) on ``box``."""
        return self._step(block, None, lower, upper, box)

    def multipliers(self, block: Floats, given: Multipliers, box: Box) -> Floats:
        """form -= signed (z_neuron - point) for each."""
        if block.shape[:2] != (self.shape[0], 1):
            raise ValueError("multipliers need one row a domain")
        signed, points = np.zeros(block.shape), np.zeros((block.shape[0], block.shape[2]))
        signed[given.domain, 0, given.neuron] = given.signed
        points[given.domain, given.neuron] = given.point
        self._least(signed, points, points)
        return self._scaled(signed, -1.0, block, box)

    def lower(self, boxes: dict[int, Box]) -> Floats:
        """A lower bound of every row (D, R), replacing each pending block by its least value over its node's box."""
        value = self.value
        for node, block in self.blocks.items():
            value = self.kernels.concretise(block, boxes[node].lower, boxes[node].upper, value)
        return np.where(np.isfinite(value), value, -np.inf)

    def lower_balls(self, boxes: dict[int, Box]) -> list[Arb]:
        """The first lower bound of every domain."""
        found = self.lower(boxes)[:, 0]
        if not bool(np.isfinite(found).all()):
            raise OutOfRange("a row without a bound")
        return [Arb(v) for v in found.tolist()]

    def keep(self, kept: Ints) -> None:
        if self.shape[1] == 1:
            self.value, self.blocks = (
                self.value[kept],
                {node: block[kept] for node, block in self.blocks.items()},
            )
        else:
            self.value, self.blocks = (
                self.value[:, kept],
                {node: block[:, kept] for node, block in self.blocks.items()},
            )
