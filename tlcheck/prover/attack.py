"""The search for a witness: points of float32, cheap and deterministic. It believes nothing and proves nothing.

For each disjunct: its centre, corners, points of few digits, random points of every magnitude; descent along the network's
gradient, where there is one (``gradient_attack``); then, from the best, descent along coordinates and random directions, and
bisection where an equation must be hit exactly. Points at which the approximate values satisfy the disjunct are candidates;
whoever asked for them decides.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck import timer
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query

if TYPE_CHECKING:
    from tlcheck.prover.gradient_attack import GradientAttack

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Values = Callable[[Singles], Floats | None]
"""The outputs at a point, roughly; None where there are none."""
Candidate = tuple[Disjunct, Singles]

CORNERS: Final = 6
"""Inputs up to which every corner is tried."""
RANDOM: Final = 64
"""Random points of one disjunct in the first round."""
KEPT: Final = 4
"""Points that a descent starts from."""
BITS: Final = (0, 1, 2, 4, 8)
"""Binary places that candidates are rounded to: equations often hold at numbers of few digits."""
LARGEST: Final = float(np.finfo(np.float32).max)
SPAN: Final = 1e6
"""Largest value from which random points are drawn by magnitude, not evenly."""
MOST: Final = 200
"""Most candidates of one disjunct."""
MOST_DISJUNCTS: Final = 2000
"""Disjuncts looked at."""
DIRECTIONS: Final = 48
"""Most directions of one step of a descent."""
HALVINGS: Final = 40
AXES: Final = 16
"""Most coordinates that are moved alone to an equation."""
SEED: Final = 20


class Attack:
    """Candidates of a query, until it is time ``until`` (monotonic): first ``samples``, then ``climbs``, then ``descents``."""

    def __init__(
        self, query: Query, values: Values, until: float, climber: GradientAttack | None = None
    ) -> None:
        goals = [_Goal(disjunct, values, until) for disjunct in query.disjuncts[:MOST_DISJUNCTS]]
        self._goals = [goal for goal in goals if not goal.is_empty]
        self._by_number = dict(enumerate(goals))
        self._climber = climber
        self.until = until
        self.doubles: list[tuple[Disjunct, Floats]] = []
        """Points in double precision at which the gradient's descent ended: for those who decide over the reals."""
        self.out_of_reach = [goal.disjunct for goal in goals if goal.is_empty]
        """Disjuncts whose box, empty or not, holds no point of float32: none of them is tried."""

    @property
    def until(self) -> float:
        return self._until

    @until.setter
    def until(self, until: float) -> None:
        self._until = until
        for goal in self._by_number.values():
            goal.until = until

    def samples(self) -> Iterator[Candidate]:
        """Points that seem to satisfy a disjunct among its centre, corners, ends and random points."""
        for goal in self._goals:
            yield from goal.sampled()

    def climbs(self, starts: Sequence[Floats] = ()) -> Iterator[Candidate]:
        """The same where descent along the gradient, from these points and random ones, says that a disjunct holds."""
        if self._climber is None:
            return
        for number, x in self._climber.points(
            list(self._by_number), lambda: timer.now() > self.until, starts
        ):
            goal = self._by_number[number]
            self.doubles.append((goal.disjunct, x))
            if not goal.is_empty:
                yield from goal.tried(goal.clipped(x))
        for number, (_, x) in self._climber.closest.items():
            goal = self._by_number[number]
            if not goal.is_empty and timer.now() < self.until:
                yield from goal.tried(goal.clipped(x))

    def descents(self) -> Iterator[Candidate]:
        """The same from the best points so far downhill, the disjunct that is nearest to satisfied first."""
        for goal in sorted(self._goals, key=_Goal.closeness):
            yield from goal.descended()


def first_points(box: InputBox) -> Iterator[tuple[Fraction, ...]]:
    """The points that an attack on a box starts with, for other attacks: its exact centre, then those of float32 in it (corners,
    ends, points of few digits, random ones), each once. None of an empty box."""
    if any(a > b for a, b in zip(box.lower, box.upper, strict=True)):
        return
    seen = {tuple((a + b) / 2 for a, b in zip(box.lower, box.upper, strict=True))}
    yield from list(seen)
    goal = _Goal(Disjunct(box, ()), lambda _: None, np.inf)
    for single in () if goal.is_empty else goal.points():
        point = tuple(Fraction(x) for x in single.tolist())
        if point not in seen:
            seen.add(point)
            yield point


@dataclass(eq=False)
class _Goal:
    """One disjunct being attacked. ``best``: (violation, point), least first."""

    disjunct: Disjunct
    values: Values
    until: float
    best: list[tuple[float, Singles]] = field(default_factory=list)
    left: int = MOST
    _yielded: set[bytes] = field(default_factory=set)

    @cached_property
    def lower(self) -> Singles:
        return _inward([float_near(q) for q in self.disjunct.box.lower], self.disjunct.box.lower, 1)

    @cached_property
    def upper(self) -> Singles:
        return _inward([float_near(q) for q in self.disjunct.box.upper], self.disjunct.box.upper, -1)

    @cached_property
    def is_empty(self) -> bool:
        """No float32 lies in the box."""
        return not bool((self.lower <= self.upper).all())

    @cached_property
    def rows(self) -> list[_Row]:
        return [_Row(c) for c in self.disjunct.constraints]

    @cached_property
    def random(self) -> np.random.Generator:
        return np.random.default_rng(SEED)

    @cached_property
    def equations(self) -> list[LinearConstraint]:
        """The first half of each pair of constraints that say a x = b."""
        seen: dict[object, LinearConstraint] = {}
        found = []
        for c in self.disjunct.constraints:
            negated = tuple((i, -q) for i, q in c.inputs), tuple((i, -q) for i, q in c.outputs), -c.bound
            if negated in seen and not c.strict and not seen[negated].strict:
                found.append(seen[negated])
            seen[c.inputs, c.outputs, c.bound] = c
        return found

    def closeness(self) -> float:
        return self.best[0][0] if self.best else np.inf

    def clipped(self, point: Floats) -> Singles:
        with np.errstate(over="ignore"):
            single = np.clip(point, -LARGEST, LARGEST).astype(np.float32)
        return np.clip(single, self.lower, self.upper)

    def violation(self, point: Singles) -> float:
        """The largest amount by which a constraint fails; at most 0 where all seem to hold."""
        outputs = self.values(point)
        if outputs is None or not bool(np.isfinite(outputs).all()):
            return np.inf
        return max((row.excess(point, outputs) for row in self.rows), default=-np.inf)

    def tried(self, point: Singles) -> Iterator[Candidate]:
        """Remember the point; yield it if it seems to be a witness."""
        worst = self.violation(point)
        if worst <= 0 and self.left > 0 and point.tobytes() not in self._yielded:
            self.left -= 1
            self._yielded.add(point.tobytes())
            yield self.disjunct, point
        if len(self.best) < KEPT or worst < self.best[-1][0]:
            self.best = sorted([*self.best, (worst, point)], key=lambda entry: entry[0])[:KEPT]

    def all_tried(self, points: Iterator[Singles]) -> Iterator[Candidate]:
        for point in points:
            if timer.now() > self.until or self.left <= 0:
                return
            yield from self.tried(point)

    # The first round.

    def sampled(self) -> Iterator[Candidate]:
        yield from self.all_tried(self.points())
        if self.equations:
            yield from self.all_tried(self._solved())

    def points(self) -> Iterator[Singles]:
        low, high = self.lower.astype(np.float64), self.upper.astype(np.float64)
        centre = self.clipped(low / 2 + high / 2)
        yield centre
        yield self.lower
        yield self.upper
        yield self.clipped(np.zeros(low.size))
        yield from (self.clipped(_rounded(centre, bits)) for bits in BITS)
        if low.size <= CORNERS:
            for corner in itertools.product((False, True), repeat=low.size):
                yield np.where(np.array(corner), self.upper, self.lower)
        for k in range(RANDOM):
            point = self._drawn(low, high)
            yield self.clipped(_rounded(point, BITS[k % len(BITS)]) if k % 2 else point)

    def _drawn(self, low: Floats, high: Floats) -> Floats:
        """A random point: some coordinates at an end, others even, or even in magnitude in a huge box."""
        share = self.random.random(low.size)
        even = (
            low + share * (high - low)
            if bool(np.isfinite(high - low).all())
            else low * (1 - share) + high * share
        )
        wide = np.maximum(np.abs(low), np.abs(high)) > SPAN
        if bool(wide.any()):
            size = 10.0 ** self.random.uniform(-3, 6, low.size)
            even = np.where(wide, np.where(share < 0.5, -size, size), even)
        ends = self.random.random(low.size)
        return np.where(ends < 0.15, low, np.where(ends > 0.85, high, even))

    # Equations.

    def _solved(self) -> Iterator[Singles]:
        """Points moved onto the equations: those of inputs by solving for one input, others by bisection."""
        starts = [point for _, point in self.best] + [self.clipped(_rounded(p, 2)) for _, p in self.best]
        for start in starts:
            yield self._on_planes(start)
        for equation in self.equations:
            if equation.outputs:
                yield from self._bisected(_Row(equation))

    def _on_planes(self, start: Singles) -> Singles:
        """``start`` with one coordinate of each equation of inputs alone solved for, where float32 has the solution."""
        point = start.copy()
        for equation in self.equations * 2:
            if equation.outputs:
                continue
            for i, q in sorted(equation.inputs, key=lambda pair: -abs(pair[1])):
                rest = sum((w * Fraction(float(point[j])) for j, w in equation.inputs if j != i), Fraction(0))
                wanted = (equation.bound - rest) / q
                single = np.float32(float_near(wanted))
                if Fraction(float(single)) == wanted and self.lower[i] <= single <= self.upper[i]:
                    point[i] = single
                    break
        return point

    def _bisected(self, row: _Row) -> Iterator[Singles]:
        """Between points on both sides of the equation, the nearest points to it; and these with fewer digits."""
        sides: dict[bool, Singles] = {}
        for point in itertools.chain((p for _, p in self.best), itertools.islice(self.points(), 2 * RANDOM)):
            outputs = self.values(point)
            if outputs is not None:
                sides.setdefault(row.excess(point, outputs) > 0, point)
            if len(sides) == 2:
                break
        if len(sides) < 2:
            return
        near = sides[True]
        for middle in self._halved(row, sides[True], sides[False]):
            yield middle
            near = middle
        for bits in BITS:
            yield from self._along_axes(row, self.clipped(_rounded(near, bits)))

    def _along_axes(self, row: _Row, start: Singles) -> Iterator[Singles]:
        """Each coordinate alone moved to the equation, from a point of few digits; its end of few digits too."""
        for i in range(min(start.size, AXES)):
            ends = [start.copy(), start.copy()]
            ends[0][i], ends[1][i] = self.lower[i], self.upper[i]
            found = [self.values(end) for end in ends]
            if found[0] is None or found[1] is None:
                continue
            signs = [row.excess(end, y) > 0 for end, y in zip(ends, found, strict=True) if y is not None]
            if signs[0] == signs[1]:
                continue
            last = ends[0]
            for last in self._halved(row, ends[signs.index(True)], ends[signs.index(False)]):
                yield last
            for bits in range(24):
                rounded = last.astype(np.float64)
                rounded[i] = _rounded(rounded[i : i + 1], bits)[0]
                yield self.clipped(rounded)

    def _halved(self, row: _Row, above: Singles, below: Singles) -> Iterator[Singles]:
        """Bisection: the middles between a point where the left side is too large and one where it is not."""
        for _ in range(HALVINGS):
            middle = self.clipped(above.astype(np.float64) / 2 + below.astype(np.float64) / 2)
            outputs = self.values(middle)
            if outputs is None or bool((middle == above).all() or (middle == below).all()):
                return
            if row.excess(middle, outputs) > 0:
                above = middle
            else:
                below = middle
            yield middle

    # Descent.

    def descended(self) -> Iterator[Candidate]:
        """Pattern search from the best points: steps along coordinates and random directions, halved when none helps."""
        width = self.upper.astype(np.float64) - self.lower.astype(np.float64)
        for _, start in list(self.best):
            point, worst = start, self.violation(start)
            step = 0.25
            while step > 2.0**-HALVINGS and self.left > 0:
                better = None
                for direction in self._directions(width):
                    if timer.now() > self.until:
                        return
                    there = self.clipped(point + step * direction)
                    found = self.violation(there)
                    if found <= 0:
                        yield from self.tried(there)
                    if found < worst:
                        better, worst = there, found
                        break
                if better is None:
                    step /= 2
                else:
                    point, step = better, min(step * 1.5, 0.5)
            yield from self.tried(point)

    def _directions(self, width: Floats) -> Iterator[Floats]:
        n = width.size
        chosen: Sequence[int] = (
            range(n) if 2 * n <= DIRECTIONS else self.random.permutation(n)[: DIRECTIONS // 4].tolist()
        )
        for i in chosen:
            for sign in (1.0, -1.0):
                direction = np.zeros(n)
                direction[i] = sign * width[i]
                yield direction
        for _ in range(DIRECTIONS // 4):
            yield self.random.choice([-1.0, 1.0], n) * width
            yield self.random.normal(size=n) * width


class _Row:
    """One constraint in floats: ``excess`` is its left side minus its right side, at most 0 where it holds."""

    def __init__(self, c: LinearConstraint) -> None:
        self.at_inputs, self.at_outputs = ([i for i, _ in pairs] for pairs in (c.inputs, c.outputs))
        self.of_inputs, self.of_outputs = (
            np.array([float_near(q) for _, q in pairs]) for pairs in (c.inputs, c.outputs)
        )
        self.bound, self.strict = float_near(c.bound), c.strict

    def excess(self, point: Singles, outputs: Floats) -> float:
        left = float(self.of_inputs @ point[self.at_inputs].astype(np.float64)) if self.at_inputs else 0.0
        left += float(self.of_outputs @ outputs[self.at_outputs]) if self.at_outputs else 0.0
        excess = left - self.bound
        return 5e-324 if excess == 0 and self.strict else excess


def float_near(q: Fraction) -> float:
    """A double near q; the largest ones beyond their range."""
    try:
        return q.numerator / q.denominator
    except OverflowError:
        return float(np.finfo(np.float64).max) * (1 if q > 0 else -1)


def _inward(near: Sequence[float], ends: Sequence[Fraction], side: int) -> Singles:
    """The float32 numbers next to ``ends`` on the inner side: not below them for side 1, not above for side -1."""
    single = np.clip(np.array(near), -LARGEST, LARGEST).astype(np.float32)
    for i, (s, end) in enumerate(zip(single.tolist(), ends, strict=True)):
        if side * (Fraction(s) - end) < 0:
            single[i] = np.nextafter(single[i], np.float32(side * np.inf), dtype=np.float32)
    return np.asarray(np.clip(single, -LARGEST, LARGEST), np.float32)


def _rounded(point: NDArray[np.floating], bits: int) -> Floats:
    """To multiples of 2^-bits."""
    return np.asarray(np.round(point.astype(np.float64) * 2.0**bits) / 2.0**bits)
