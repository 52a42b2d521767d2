"""Find a cover of the domain on which a quantity is provably at most a bound, and a point where it is large.

Taylor models in float64 (``models64``) bound the quantity on batches of cells; a cell that is not below
the bound is halved. For an integral its enclosure is to be narrow, and the cells with most of its width are halved. The
point comes from sampling and a shrinking random search. Seeds are fixed: the same input gives the same evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, prod

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tlcheck import timer
from tlcheck.checking.pool import FORKS, processes, workers_for
from tlcheck.trusted.arith.arb import lower_float, upper_float, working_precision
from tlcheck.trusted.arith.ball64 import MAX_MAGNITUDE
from tlcheck.trusted.arith.balls64 import Balls64
from tlcheck.trusted.calculus.ranges import Box
from tlcheck.trusted.science.cells import LEAF, MAX_CUTS
from tlcheck.trusted.science.quantities import Quantity
from tlcheck.trusted.taylor.engine import Dense, OutsideDomain
from tlcheck.trusted.taylor.functions import Sin
from tlcheck.trusted.taylor.models64 import (
    BASE_PRECISION,
    Engine64,
    Models64,
    defined,
    mean_squares,
    means,
)
from tlcheck.trusted.taylor.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.taylor.space import Space
from tlcheck.trusted.taylor.univariate import Univariate

Floats = NDArray[np.float64]
Boxes = tuple[Floats, Floats]
"""Lower and upper corners (boxes, coordinates)."""

BATCH = 64
"""Cells examined at a time: wide enough for numpy, small enough for caches."""
SAMPLES = 8192
"""Points of the first sampling; and the search's rounds, and points in each, around the best KEPT of them."""
ROUNDS, POINTS, KEPT = 48, 24, 12
SLIVER = 64.0
"""A side is not halved when another is longer by this factor, relative to the domain."""
MAX_END = 2.0**100
"""Largest end of a domain: squares of squares stay in the range of float64. Bounds above it are as good as none."""
HALF = 0.5
INSIDE = 1 - 1e-9
"""Cells must keep this factor below the bound, so that the check, in balls, agrees."""
LEAST = 1e-20
"""Squares below it are not told from rounding in float64; means of roots: below its root."""
PRECISION = 128
"""Of what is evaluated in Arb."""


@dataclass(frozen=True)
class Examined:
    """``score``: what must be small, for each box (see ``find_cover``); ``axis``: the coordinate to halve; ``low`` and
    ``high``: around the mean, for integrals."""

    score: Floats
    axis: NDArray[np.int64]
    low: Floats
    high: Floats


Examine = Callable[[list[Boxes]], list[Examined]]


@dataclass(frozen=True)
class Highest:
    """A point where the quantity is at least ``value``, proved."""

    point: tuple[Fraction, ...]
    value: float


@dataclass(frozen=True)
class Cover:
    """``tree``: of ``cells``; "" when there was none within the limit, and ``worst`` is the bound that was reached, at the
    cell ``where``, with the reason where there is no bound. ``low``, ``high``: around the mean over the domain, for integrals."""

    tree: str
    cells: int
    examined: int
    worst: float
    seconds: float
    low: float = 0.0
    high: float = inf
    where: str = ""


class _Sampler(Engine64):
    """Values at points, models of order 0. Rounding is not charged, common functions are numpy's: a remainder is 0, or infinite
    where there is no value."""

    def _made(self, coefficients: Floats, remainder: Floats) -> Models64:
        known = (np.abs(coefficients[0]) <= MAX_MAGNITUDE) & np.isfinite(remainder)
        return Models64(self.space, coefficients, np.where(known, 0.0, inf))

    def affine(self, weight: Dense, x: Models64) -> Models64:
        return self._made(x.coefficients @ weight.mid.T, x.remainder.max(axis=1, keepdims=True))

    def add(self, x: Models64, y: Models64) -> Models64:
        return self._made(x.coefficients + y.coefficients, x.remainder + y.remainder)

    def multiply(self, x: Models64, y: Models64) -> Models64:
        return self._made(x.coefficients * y.coefficients, x.remainder + y.remainder)

    def compose(self, f: Univariate, x: Models64, orders: int) -> list[Models64]:
        centre = x.coefficients[0]
        with working_precision(BASE_PRECISION), np.errstate(all="ignore"):
            coefficients = f.coefficients(Balls64.exact(centre), self.values(f, centre), orders)
            known = np.where(defined(f, centre, x.remainder), x.remainder, inf)
        return [self._made(c.mid[None], known + c.rad) for c in coefficients]

    def values(self, f: Univariate, x: Floats) -> tuple[Balls64, ...]:
        match f:
            case Tanh():
                return (Balls64.exact(np.tanh(x)),)
            case Sigmoid():
                return (Balls64.exact((1 + np.tanh(x / 2)) / 2),)
            case Sin():
                pair = (np.cos(x), -np.sin(x)) if f.quarter else (np.sin(x), np.cos(x))
                return tuple(map(Balls64.exact, pair))
            case _:
                return super().values(f, x)


def highest(quantity: Quantity, seed: int = 0) -> Highest | None:
    """A point with a large value; None where no sampled point has one."""
    rng = np.random.default_rng(seed)
    low, high = _ends(quantity)
    points = rng.uniform(low, high, (SAMPLES, low.size))
    corners = np.array(np.meshgrid(*[(a, b) for a, b in zip(low, high, strict=True)])).reshape(low.size, -1).T
    points = np.concatenate([(low[None] + high[None]) / 2, points, corners])
    values = values_at(quantity, points)
    radius = (high - low) / 8
    for _ in range(ROUNDS):
        best = np.argsort(-values, kind="stable")[:KEPT]
        near = points[best][:, None, :] + radius * rng.standard_normal((best.size, POINTS, low.size))
        near = np.clip(near.reshape(-1, low.size), low, high)
        points = np.concatenate([points[best], near])
        values = np.concatenate([values[best], values_at(quantity, near)])
        radius = radius * 0.7
    for k in np.argsort(-values, kind="stable")[:KEPT]:
        if values[k] == -inf:
            break
        exact = tuple(
            min(max(Fraction(x), a), b) for x, (a, b) in zip(points[k].tolist(), quantity.domain, strict=True)
        )
        value, _, _ = enclosed(quantity, tuple((x, x) for x in exact), 1, "sup")
        if np.isfinite(value):
            return Highest(exact, value)
    return None


def enclosed(quantity: Quantity, cell: Box, order: int, norm: str) -> tuple[float, float, str]:
    """Around the quantity on the cell ("sup"), or its mean ("L2") or that of its root ("L1"), from Arb; -inf, inf and the
    reason where there is no bound."""
    with working_precision(PRECISION):
        try:
            value = (
                quantity.over(cell, order, {}) if norm == "sup" else quantity.mean_over(cell, order, {}, norm)
            )
        except OutsideDomain as problem:
            return -inf, inf, str(problem)
        return (lower_float(value), upper_float(value), "") if value.is_finite() else (-inf, inf, "no value")


def one_cell(quantity: Quantity, order: int, norm: str) -> Cover:
    """The whole domain as a cell, in Arb: enough where nothing varies, and where the quantity is exactly zero."""
    start = timer.now()
    low, high, reason = enclosed(quantity, quantity.domain, order, norm)
    where = quantity.where(quantity.domain) + (f": {reason}" if reason else "")
    return Cover(LEAF, 1, 1, high, timer.now() - start, low, high, where)


def average(quantity: Quantity, norm: str, seed: int = 0) -> float:
    """About the mean of the quantity (L2), or of its root (L1), from samples."""
    low, high = _ends(quantity)
    values = values_at(quantity, np.random.default_rng(seed).uniform(low, high, (SAMPLES, low.size)))
    values = values[np.isfinite(values)]
    return float(np.mean(values if norm == "L2" else np.sqrt(values))) if values.size else 0.0


class _Cells:
    """A tree of halvings as it grows; a cell's place is relative to the domain."""

    def __init__(self, quantity: Quantity) -> None:
        self.quantity = quantity
        self.low, self.high = _ends(quantity)
        self.places = [((Fraction(0), Fraction(1)),) * self.low.size]
        self.cuts: dict[int, tuple[int, int]] = {}

    def boxes(self, chunk: list[int]) -> Boxes:
        return _boxes([self.places[i] for i in chunk], self.low, self.high)

    def share(self, i: int) -> float:
        """Of the domain's volume."""
        return float(prod((b - a for a, b in self.places[i]), start=Fraction(1)))

    def box(self, i: int) -> Box:
        """The cell itself."""
        ends = zip(self.quantity.domain, self.places[i], strict=True)
        return tuple((low + (high - low) * a, low + (high - low) * b) for (low, high), (a, b) in ends)

    def where(self, i: int, order: int) -> str:
        """The cell, and why there is no bound on it, where there is none."""
        box = self.box(i)
        _, _, reason = enclosed(self.quantity, box, order, "sup")
        return f"{self.quantity.where(box)}: {reason}" if reason else self.quantity.where(box)

    def hopeless(self, i: int) -> str:
        """The cell's centre, and why there is no value at it; "" where there is one."""
        centre = tuple(((low + high) / 2,) * 2 for low, high in self.box(i))
        _, _, reason = enclosed(self.quantity, centre, 1, "sup")
        return f"{self.quantity.where(centre)}: {reason}" if reason else ""

    def halve(self, i: int, axis: int) -> list[int]:
        """The two halves, the lower one first; none where the cell has been cut often enough."""
        a, b = self.places[i][axis]
        if (b - a).denominator >= 1 << (MAX_CUTS // 4):
            return []
        middle = (a + b) / 2
        for half in ((a, middle), (middle, b)):
            self.places.append((*self.places[i][:axis], half, *self.places[i][axis + 1 :]))
        last = len(self.places)
        self.cuts[i] = (axis, last - 2)
        return [last - 2, last - 1]

    def examined(self, examine: Examine, new: list[int]) -> Iterator[tuple[int, float, int, float, float]]:
        """(cell, score, axis to halve, ends of the mean)."""
        chunks = [new[k : k + BATCH] for k in range(0, len(new), BATCH)]
        for chunk, found in zip(chunks, examine([self.boxes(chunk) for chunk in chunks]), strict=True):
            yield from zip(
                chunk,
                found.score.tolist(),
                found.axis.tolist(),
                found.low.tolist(),
                found.high.tolist(),
                strict=True,
            )


Tick = Callable[[int, int], None]


def find_cover(
    quantity: Quantity,
    at_most: Fraction,
    order: int,
    *,
    jobs: int = 0,
    max_cells: int,
    tick: Tick = lambda _cells, _open: None,
) -> Cover:
    """A tree of cells with the quantity at most ``at_most`` on each. ``tick`` is told (cells, cells still open). No search where
    nothing varies, or the bound is below what float64 can tell: the domain as one cell, in Arb."""
    start = timer.now()
    if not quantity.free or at_most <= Fraction(LEAST):
        one = one_cell(quantity, order, "sup")
        below = Fraction(one.high) <= at_most if one.high < inf else False
        if below or not quantity.free:
            return one if below else replace(one, tree="")
    search = _Below(_Cells(quantity), _below(at_most) * INSIDE, order)
    open_, stuck = [0], ""
    with _examiner(quantity, order, "sup", jobs) as examine:
        while open_ and not stuck and len(open_) + search.closed <= max_cells:
            tick(search.closed, len(open_))
            open_, stuck = search.halve(examine, open_)
    tree = "" if open_ or stuck else _text(search.cells.cuts)
    if open_ and not stuck:
        stuck = search.cells.where(search.highest, order)
    return Cover(tree, search.closed, search.examined, search.worst, timer.now() - start, where=stuck)


class _Below:
    """Which cells are below the target. ``worst``: the last round's largest bound that is not, of the cell ``highest``."""

    def __init__(self, cells: _Cells, target: float, order: int) -> None:
        self.cells, self.target, self.order = cells, target, order
        self.closed, self.examined, self.worst, self.highest = 0, 0, 0.0, 0

    def halve(self, examine: Examine, new: list[int]) -> tuple[list[int], str]:
        """The halves of those of the ``new`` cells that are not below; and where there is no way on, if there is none."""
        self.examined += len(new)
        self.worst = 0.0
        further: list[int] = []
        for i, bound, axis, _, _ in self.cells.examined(examine, new):
            if bound <= self.target:
                self.closed += 1
                continue
            if bound > self.worst:
                self.worst, self.highest = bound, i
            halves = self.cells.halve(i, axis)
            if not halves:
                return further, self.cells.where(i, self.order)
            further += halves
        return further, self.cells.hopeless(self.highest) if self.worst == inf else ""


def find_integral(
    quantity: Quantity,
    norm: str,
    order: int,
    gap: float,
    relative: float = 0.0,
    *,
    at_most: float | None = None,
    jobs: int = 0,
    max_cells: int,
    tick: Tick = lambda _cells, _open: None,
) -> Cover:
    """A tree of cells on which the mean over the domain, of the quantity ("L2") or its root ("L1"), is known to within ``gap``
    or to within ``relative`` times itself, or, where ``at_most`` is given, is at most that, or above it. In each round the cells
    with HALF of the width are halved (Doerfler marking). Without a tree, ``low`` and ``high`` are what was reached."""
    start = timer.now()
    one = one_cell(quantity, order, norm)
    if not quantity.free or one.high == 0:
        return one if one.high < inf else replace(one, tree="")
    mean = _Mean(_Cells(quantity), order)
    new: list[int] = [0]
    problem: str | None = None
    with _examiner(quantity, order, norm, jobs) as examine:
        while problem is None:
            tick(len(mean.found), len(new))
            mean.add(examine, new)
            if mean.is_known(gap, relative, at_most):
                break
            new, problem = mean.halve(max_cells)
    ends = (mean.low, mean.high) if mean.width < inf else (0.0, inf)
    tree, seconds = _text(mean.cells.cuts) if problem is None else "", timer.now() - start
    return Cover(tree, len(mean.found), mean.examined, mean.width, seconds, *ends, problem or "")


class _Mean:
    """The mean over the domain, as the sum over its cells: ``found`` has each one's width, the axis to halve, and ends, all
    times its share of the domain; ``width``, ``low`` and ``high`` are their sums."""

    def __init__(self, cells: _Cells, order: int) -> None:
        self.cells, self.order = cells, order
        self.found: dict[int, tuple[float, int, float, float]] = {}
        self.examined, self.width, self.low, self.high = 0, inf, 0.0, inf

    def add(self, examine: Examine, new: list[int]) -> None:
        self.examined += len(new)
        for i, _, axis, low, high in self.cells.examined(examine, new):
            share = self.cells.share(i)
            width = share * (high - low)
            self.found[i] = (width if np.isfinite(width) else inf, axis, share * low, share * high)
        self.width = sum(w for w, *_ in self.found.values())
        self.low, self.high = (sum(f[k] for f in self.found.values()) for k in (2, 3))

    def is_known(self, gap: float, relative: float, at_most: float | None) -> bool:
        """Well enough: as ``find_integral`` is asked."""
        if at_most is None:
            return self.width <= max(gap, relative * self.low)
        return self.width < inf and (self.high <= at_most * INSIDE**2 or self.low * INSIDE**2 > at_most)

    def marked(self) -> list[int]:
        """The widest cells, with HALF of the width together."""
        marked, chosen = 0.0, []
        for i in sorted(self.found, key=lambda i: -self.found[i][0]):
            if marked >= HALF * self.width and (marked < inf or self.found[i][0] < inf):
                break
            marked += self.found[i][0]
            chosen.append(i)
        return chosen

    def halve(self, max_cells: int) -> tuple[list[int], str | None]:
        """The halves of the marked cells, which they replace; or a cell where there is no way on."""
        chosen = self.marked()
        hopeless = self.cells.hopeless(chosen[0]) if self.width == inf else ""
        if hopeless or len(self.found) + len(chosen) > max_cells:
            return [], hopeless or self.cells.where(chosen[0], self.order)
        new: list[int] = []
        for i in chosen:
            halves = self.cells.halve(i, self.found[i][1])
            if not halves:
                return [], self.cells.where(i, self.order)
            new += halves
        for i in chosen:
            del self.found[i]
        return new, None


def _text(cuts: dict[int, tuple[int, int]]) -> str:
    """The tree in preorder; the lower half of a cut is cell k, the upper k + 1."""
    found, stack = [], [0]
    while stack:
        i = stack.pop()
        if i not in cuts:
            found.append(LEAF)
            continue
        axis, lower = cuts[i]
        found.append(str(axis))
        stack += [lower + 1, lower]
    return "".join(found)


def _below(q: Fraction) -> float:
    f = float(min(q, Fraction(MAX_END)))
    return float(np.nextafter(f, -inf)) if Fraction(f) > q else f


def _ends(quantity: Quantity) -> tuple[Floats, Floats]:
    """The domain's ends, to the nearest double."""
    return (
        np.array([float(low) for low, _ in quantity.domain]),
        np.array([float(high) for _, high in quantity.domain]),
    )


def _boxes(
    places: list[tuple[tuple[Fraction, Fraction], ...]], low: Floats, high: Floats
) -> tuple[Floats, Floats]:
    """Boxes of floats around the cells, which are given relative to the domain."""
    ends = np.array([[[float(a), float(b)] for a, b in place] for place in places])
    pad = 4 * np.spacing(np.maximum(np.abs(low), np.abs(high)))
    span = high - low
    return (
        np.where(span > 0, low + span * ends[:, :, 0] - pad, low),
        np.where(span > 0, low + span * ends[:, :, 1] + pad, low),
    )


def values_at(quantity: Quantity, points: Floats) -> Floats:
    """Approximate values at points; -inf where there is none."""
    found = []
    for k in range(0, len(points), 1024):
        chunk = points[k : k + 1024]
        with np.errstate(all="ignore"):
            models = quantity.models(_Sampler(Space(0, 0), chunk, chunk, ()))
            known = np.all([np.isfinite(m.remainder[:, 0]) for m in models], axis=0)
            squares = sum((m.coefficients[0, :, 0] ** 2 for m in models), np.zeros(len(chunk)))
            found.append(np.where(known, squares, -inf))
    values = np.concatenate(found)
    return np.where(np.isfinite(values), values, -inf)


def examine_cells(quantity: Quantity, order: int, norm: str, low: Floats, high: Floats) -> Examined:
    """The boxes, each by itself."""
    free = quantity.free
    with np.errstate(all="ignore"):
        models = quantity.models(Engine64(Space(len(free), order), low, high, free))
        upper = np.zeros(len(low))
        mass = np.zeros((len(low), len(free)))
        bottom_mean, top_mean = _means(models, norm) if norm != "sup" else (np.zeros(len(low)), upper)
        for model in models:
            bottom, top = Engine64.bounds(model)
            size = np.maximum(np.abs(bottom), np.abs(top))[:, 0]
            upper = upper + size**2 * (1 + 1e-12)
            mass = mass + size[:, None] * _mass(model)
        score = upper if norm == "sup" else top_mean - bottom_mean
    whole_low, whole_high = _ends(quantity)
    relative = ((high - low) / np.where(whole_high > whole_low, whole_high - whole_low, 1.0))[:, list(free)]
    longest = relative.max(axis=1, keepdims=True)
    allowed = relative * SLIVER >= longest
    guided = np.where(allowed & np.isfinite(mass), mass, -1.0)
    usable = np.isfinite(score) & (guided.max(axis=1) > 0)
    choice = np.where(usable, guided.argmax(axis=1), relative.argmax(axis=1))
    axis = np.array(free, dtype=np.int64)[choice]
    return Examined(np.where(np.isnan(score), inf, score), axis, bottom_mean, top_mean)


def _means(models: list[Models64], norm: str) -> tuple[Floats, Floats]:
    """Around the means over the boxes, as ``Quantity.mean_over`` has them."""
    squares, spread, length = (np.zeros(models[0].remainder.shape[0]) for _ in range(3))
    for model in models:
        rho, exact, mean = model.remainder[:, 0], mean_squares(model)[0][:, 0], means(model)[0][:, 0]
        squares = squares + exact
        spread = spread + (2 * np.sqrt(np.abs(exact)) + rho) * rho
        length = length + np.maximum(np.abs(mean) - rho, 0) ** 2
    if norm == "L2":
        return squares - spread, squares + spread
    return np.sqrt(length), np.sqrt(squares + spread)


def _mass(model: Models64) -> Floats:
    """How much of the model's variation is along each variable (boxes, variables)."""
    exponents = np.array(model.space.monomials, dtype=np.float64)
    return np.asarray(np.abs(model.coefficients[:, :, 0]).T @ exponents)


@contextmanager
def _examiner(quantity: Quantity, order: int, norm: str, jobs: int) -> Iterator[Examine]:
    """Batches of boxes examined in a pool of forked processes, or here."""

    def examine(box: Boxes) -> Examined:
        return examine_cells(quantity, order, norm, *box)

    workers = workers_for(jobs)
    if workers == 1 or not FORKS:
        with threadpool_limits(1, "blas"):
            yield lambda boxes: [examine(box) for box in boxes]
        return
    with processes(examine, workers) as pool:
        yield lambda boxes: list(pool.in_order(boxes))
