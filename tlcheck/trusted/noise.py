"""What a zonotope knows of a node's values, at several points at once; sums and reductions of it.

There are numbers t in [-1, 1], one symbol for each value of each earlier node, and t' in [-1, 1] of the node's own, with
    value = centre + t . rows + own t'.                                                                       (*)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.ball64 import TINY, V, centre_radius_up, guard, outward_down, outward_up, slack_up
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.maps import IndexMap, Map
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Lines, SlopeGuess

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

UP = 1 + 16 * V
"""Makes a value of up to six roundings, of numbers that are not negative, an upper bound."""
SMALL = 2.0**-40
"""Own parts below this part of a node's largest get no symbol: precision, not soundness."""
Noise = tuple[Ints, Floats]
"""(symbols, rows)"""


@dataclass(frozen=True, eq=False)
class Rows:
    """The numbers base[:, index] factor, (M, n), exactly: not yet multiplied. ``index`` None: all; ``factor`` None: 1.

    Who multiplies a factor charges what its rounding changes, and as much again for that of ``array``.
    """

    base: Floats
    index: Ints | None = None
    factor: Floats | None = None

    def __len__(self) -> int:
        return len(self.base)

    @cached_property
    def array(self) -> Floats:
        """Each number rounded once where there is a factor."""
        picked = self.base if self.index is None else np.take(self.base, self.index, axis=1)
        return picked if self.factor is None else picked * self.factor

    def times(self, factor: Floats) -> Rows:
        """With the product of the factors, rounded."""
        return Rows(self.base, self.index, factor if self.factor is None else self.factor * factor)

    def gathered(self, index: Ints) -> Rows:
        """The numbers of these columns; of -1, zeros."""
        if not self.base.shape[1]:
            return Rows(np.zeros((len(self), index.size)))
        there = np.maximum(index, 0)
        factor = None if self.factor is None else self.factor[there]
        if bool((index < 0).any()):
            factor = np.where(index < 0, 0.0, 1.0 if factor is None else factor)
        return Rows(self.base, there if self.index is None else self.index[there], factor)


@dataclass(frozen=True, eq=False)
class Values:
    """A node's values in D domains: ``centre``, ``own`` (D, n), ``rows`` of each domain (M, n), ``symbols`` (M,), which increase.
    ``spread`` (D, n) >= |value - centre|, guarded; ``box`` (D, n) encloses them."""

    centre: Floats
    own: Floats
    rows: list[Rows]
    symbols: list[Ints]
    spread: Floats
    box: Box


def summed(parts: Sequence[Noise]) -> Noise:
    """The sum of rows whose symbols may differ."""
    symbols, rows = parts[0]
    for more, others in parts[1:]:
        if np.array_equal(symbols, more):
            rows = rows + others
            continue
        if len(more) > len(symbols):
            symbols, rows, more, others = more, others, symbols, rows
        union = np.union1d(symbols, more)
        total = np.zeros((union.size, rows.shape[1])) if union.size > symbols.size else rows.copy()
        if union.size > symbols.size:
            total[np.searchsorted(union, symbols)] = rows
        total[np.searchsorted(union, more)] += others
        symbols, rows = union, total
    return symbols, rows


def group_size(m: Map) -> int:
    """How many values that follow one another each result sums up; 0 of maps that are not of this kind."""
    if not (isinstance(m, IndexMap) and m.transposed) or not m.size or m.index.size % m.size:
        return 0
    n = m.index.size // m.size
    return n if np.array_equal(m.index, np.repeat(np.arange(m.size), n)) else 0


def apart(noises: Iterable[Noise]) -> tuple[list[Rows], list[Ints]]:
    found = list(noises)
    return [Rows(rows) for _, rows in found], [symbols for symbols, _ in found]


def fewer(rows: Floats, symbols: Ints, own: Floats, most: int, given_up: Floats) -> tuple[Floats, Ints]:
    """At most ``most`` of the symbols and of what is own, the largest; the others are added to ``given_up``, and 0 in ``own``."""
    if len(rows) + np.count_nonzero(own) <= most:
        return rows, symbols
    sizes = np.concatenate([np.abs(rows).sum(axis=1), own])
    kept = np.zeros(sizes.size, bool)
    kept[np.argsort(-sizes, kind="stable")[:most]] = True
    mine, its = kept[: len(rows)], kept[len(rows) :]
    given_up += (np.abs(rows[~mine]).sum(axis=0) * slack_up(len(rows)) + np.where(its, 0.0, own)) * UP + TINY
    own[~its] = 0.0
    return rows[mine], symbols[mine]


def cut(v: Values, most: int) -> Values:
    """The same values by at most ``most`` symbols: what is given up is own, of these Values alone."""
    if all(len(rows) <= most for rows in v.rows):
        return v
    given_up, n = np.zeros(v.own.shape), v.own.shape[1]
    noises = list(zip(v.rows, v.symbols, given_up, strict=True))
    left = [fewer(rows.array, symbols, np.zeros(n), most, lost) for rows, symbols, lost in noises]
    rows, symbols = [Rows(r) for r, _ in left], [s for _, s in left]
    return Values(v.centre, (v.own + given_up) * UP, rows, symbols, (v.spread + given_up) * UP, v.box)


def enclosed(centre: Floats, own: Floats, noises: Iterable[Noise], box: Box) -> Values:
    """The values of (*), which lie in ``box`` too."""
    rows, symbols = apart(noises)
    of_rows = np.array([np.abs(r.base).sum(axis=0) * slack_up(len(r)) for r in rows]) + TINY
    return met(Values(centre, own, rows, symbols, (of_rows + own) * UP, box))


def met(v: Values) -> Values:
    """With a box that is in both enclosures."""
    guard(v.spread)
    lower, upper = outward_down(v.centre - v.spread), outward_up(v.centre + v.spread)
    box = Box(np.maximum(v.box.lower, lower), np.minimum(v.box.upper, upper))
    return Values(v.centre, v.own, v.rows, v.symbols, v.spread, box)


def boxed(box: Box) -> Values:
    """Known by the box alone."""
    guard(box.lower, box.upper)
    centre, radius = centre_radius_up(box)
    exact = box.lower == box.upper
    domains, n = box.lower.shape
    nothing = [Rows(np.zeros((0, n)))] * domains, [np.zeros(0, np.int64)] * domains
    own = np.where(exact, 0.0, radius)
    guard(own)
    return Values(np.where(exact, box.lower, centre), own, *nothing, own, box)


def chord_lines(op: Elementwise, box: Box) -> Lines:
    """The operation's, with the chord's slope: a zonotope has one slope for both sides."""
    with np.errstate(all="ignore"):
        chord = (op.approximate(box.upper) - op.approximate(box.lower)) / (box.upper - box.lower)
    slope = np.where(np.isfinite(chord), chord, 0.0)
    return op.lines(box, SlopeGuess(slope, slope))


def between(lines: Lines, box: Box) -> tuple[Floats, Floats, Floats]:
    """(s, p, q): s z + p <= lower line and upper line <= s z + q on the box, for one slope s between the lines' own."""
    (ls, lt), (us, ut) = lines.lower, lines.upper
    slope = 0.5 * ls + 0.5 * us
    guard(slope, lt, ut, box.lower, box.upper)
    ends = []
    for s, t in ((ls, lt), (us, ut)):
        more = s - slope
        error = 8 * V * (np.abs(more) * box.magnitude + np.abs(t)) + TINY
        ends.append((more * box.lower + t, more * box.upper + t, error))
    (a, b, down), (c, d, up) = ends
    return slope, np.minimum(a, b) - down, np.maximum(c, d) + up
