"""The least value of functions over a union of boxes: proved >= 0, or disproved by a point, by bisection.

For a function h, its jet over a box B with centre c, and d = B - c, every value on B lies in each of

    h(B),    h(c) + grad h(B) . d,    h(c) + grad h(c) . d + d^T H(B) d / 2

(the natural, mean-value and second-order forms; Taylor's theorem along the segment from c, which B contains). Where a
partial derivative has one sign on B, the least value lies on one of the two faces of that coordinate, and only this
face is kept. A box that decides nothing is halved. A point (a box of width 0) has one value: its ball says all that
this precision can.

Guarantees: ``low`` is at most every value of the function on every box given; ``high`` is at least the value at a
point of them, ``where``. So low >= 0 (> 0 when strict) proves the condition, and high < 0 (<= 0) disproves it. ``low``
and ``high`` enclose the minimum; they are sharp only where the decision needed it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Final

from tlcheck.trusted.arith.arb import Arb, ball, lower_float, upper_float
from tlcheck.trusted.calculus.jets import NO_BOUND, Jet, three_forms
from tlcheck.trusted.calculus.ranges import Box
from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.conditions import Check

MAX_BOXES: Final = 20_000
"""Boxes looked at before a condition is given up as undecided."""
MAX_HALVINGS: Final = 80
"""Halvings of one box: beyond them it is far smaller than any slack that the precision can show."""
MAX_BOXES_DISPROVED: Final = 1_000
"""The same once another condition is disproved: the verdict is settled."""


@dataclass
class Least:
    """What is known of one function's least value. ``holds`` as in ``Check``; ``where``: the point of ``high``."""

    strict: bool = False
    low: Arb | None = None
    high: Arb | None = None
    where: tuple[Fraction, ...] = ()
    holds: bool | None = None

    def check(self, name: str, where: str = "") -> Check:
        low = None if self.low is None else lower_float(self.low)
        high = None if self.high is None else upper_float(self.high)
        if self.holds is False and self.high is not None:
            low = lower_float(self.high)
            where = " ".join(
                part
                for part in (where, f"at ({', '.join(number_text(x, nearest=True) for x in self.where)})")
                if part
            )
        return Check(name, self.holds, _finite(low), _finite(high), where)

    def proves(self, low: Arb) -> bool:
        return bool(low > 0 if self.strict else low >= 0)

    def disproves(self, value: Arb) -> bool:
        return bool(value <= 0 if self.strict else value < 0)

    def sampled(self, value: Arb, point: tuple[Fraction, ...]) -> None:
        """A value that the function takes."""
        if value.is_finite() and (self.high is None or value.upper() < self.high.upper()):
            self.high, self.where = value, point
        if self.disproves(value):
            self.holds = False

    def bounded(self, low: Arb) -> None:
        """The values on one of the boxes are at least ``low``."""
        if self.low is None or not self.low <= low:
            self.low = low


def least_values(
    functions: Callable[[Box], Sequence[Jet]],
    strict: Sequence[bool],
    cells: Sequence[Box],
    *,
    points: Sequence[tuple[Fraction, ...]] = (),
    boxes: int = MAX_BOXES,
    tick: Callable[[], None] = lambda: None,
) -> tuple[list[Least], int]:
    """(one Least per function, number of boxes looked at). ``points`` of the cells are tried first, as witnesses."""
    leasts = [Least(s) for s in strict]
    for point in points:
        tick()
        for least, jet in zip(leasts, functions(tuple((x, x) for x in point)), strict=True):
            least.sampled(jet.value, point)
    everything = range(len(leasts))
    queue = deque(Cell(cell, list(everything), dict.fromkeys(everything, NO_BOUND), 0) for cell in cells)
    looked = 0
    while queue:
        cell = queue.popleft()
        todo = [k for k in cell.todo if leasts[k].holds is not False]
        if not todo:
            continue
        if any(least.holds is False for least in leasts):
            boxes = min(boxes, MAX_BOXES_DISPROVED)
        if looked >= boxes or cell.halvings > MAX_HALVINGS:
            for k in todo:
                leasts[k].bounded(cell.known[k])
            continue
        looked += 1
        tick()
        queue.extend(_examined(functions, leasts, cell.box, todo, cell.halvings))
    for least in leasts:
        if least.holds is None and least.low is not None and least.proves(least.low):
            least.holds = True
    return leasts, looked


@dataclass(frozen=True)
class Cell:
    """A box that may decide the functions ``todo``; ``known``: a lower bound of each on it."""

    box: Box
    todo: list[int]
    known: dict[int, Arb]
    halvings: int


def _examined(
    functions: Callable[[Box], Sequence[Jet]], leasts: list[Least], cell: Box, todo: list[int], halvings: int
) -> list[Cell]:
    """Settle what this box settles; the boxes to look at for the rest, with a lower bound on each."""
    centre = tuple((a + b) / 2 for a, b in cell)
    at_centre = functions(tuple((x, x) for x in centre))
    if all(a == b for a, b in cell):
        for k in todo:
            value = at_centre[k].value
            leasts[k].sampled(value, centre)
            leasts[k].bounded(value.lower() if value.is_finite() else NO_BOUND)
        return []
    over_cell = functions(cell)
    spread = [(half := ball((b - a) / 2)).union(-half) for a, b in cell]
    known: dict[int, Arb] = {}
    faces: dict[Box, list[int]] = {}
    for k in todo:
        known[k] = three_forms(over_cell[k], at_centre[k], spread)
        if leasts[k].proves(known[k]):
            leasts[k].bounded(known[k])
            continue
        leasts[k].sampled(at_centre[k].value, centre)
        if leasts[k].holds is not False:
            faces.setdefault(_face(cell, over_cell[k].gradient), []).append(k)
    further: list[Cell] = []
    for face, open_ in faces.items():
        parts = [face] if face != cell else _halves(cell, [over_cell[k] for k in open_])
        further += [Cell(part, open_, known, halvings + (face == cell)) for part in parts]
    return further


def _face(cell: Box, gradient: Sequence[Arb]) -> Box:
    """The part of the cell that holds the least value: an end wherever the derivative has one sign."""
    return tuple(
        (a, a) if slope >= 0 else (b, b) if slope <= 0 else (a, b)
        for (a, b), slope in zip(cell, gradient, strict=True)
    )


def _halves(cell: Box, jets: Sequence[Jet]) -> list[Box]:
    """The cell cut across the coordinate along which the functions change most, as far as that is known."""
    wide = [i for i, (a, b) in enumerate(cell) if a < b]
    axis = max(wide, key=lambda i: (_change(i, cell, jets), cell[i][1] - cell[i][0]))
    a, b = cell[axis]
    middle = (a + b) / 2
    return [(*cell[:axis], part, *cell[axis + 1 :]) for part in ((a, middle), (middle, b))]


def _change(axis: int, cell: Box, jets: Sequence[Jet]) -> float:
    """A guide only. Where a slope is not known, the width itself."""
    width = ball(cell[axis][1] - cell[axis][0])
    slopes = [jet.gradient[axis] for jet in jets]
    return sum(upper_float(width * abs(s) if s.is_finite() else width) for s in slopes)


def outside(region: Box, core: Box | None) -> list[Box]:
    """Boxes whose union is the region without the core's interior. Raises ValueError unless the region's interior
    holds the core: the boundary of either would be left out."""
    if core is None:
        return [region]
    if not all(a < c <= d < b for (a, b), (c, d) in zip(region, core, strict=True)):
        raise ValueError("the core must lie in the region's interior")
    cells: list[Box] = []
    inner = list(region)
    for i, ((a, b), (c, d)) in enumerate(zip(region, core, strict=True)):
        cells.append((*inner[:i], (a, c), *inner[i + 1 :]))
        cells.append((*inner[:i], (d, b), *inner[i + 1 :]))
        inner[i] = (c, d)
    return cells


def _finite(x: float | None) -> float | None:
    return x + 0.0 if x is not None and abs(x) < inf else None
