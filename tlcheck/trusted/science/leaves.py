"""Leaf artifacts: lists of boxes with bounds, judged by themselves, without a network.

What can be said of them is that they are consistent: every leaf lies in the root, states a bound above its threshold,
and its stated margin is the difference. Whether the bounds are those of any network, nothing here says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.conditions import Check, ConditionClaim, Measure, fact, nonnegative, positive, zero


@dataclass(frozen=True)
class StatedLeaf:
    """``bounds`` and ``thresholds``: one a row. ``row`` and ``margin``: the row said to hold, and by how much, or None."""

    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]
    bounds: tuple[Fraction, ...]
    thresholds: tuple[Fraction, ...]
    row: int | None = None
    margin: Fraction | None = None


@dataclass(frozen=True, eq=False)
class LeafArtifact(ConditionClaim):
    """``rounded``: margins are written as binary64, so the stated one must be the nearest to the difference; else they
    are exact. ``slack``: how far a stated margin may be off, by the user's leave. ``covers``: for the report.
    """

    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]
    leaves: tuple[StatedLeaf, ...]
    rounded: bool
    slack: Fraction
    covers: str
    decimals: str
    kind = "leaf artifact"

    def __post_init__(self) -> None:
        n = len(self.lower)
        for leaf in self.leaves:
            if not len(self.upper) == len(leaf.lower) == len(leaf.upper) == n:
                raise ValueError("leaves: boxes of different dimensions")
            if len(leaf.bounds) != len(leaf.thresholds) or not leaf.bounds:
                raise ValueError("leaves: one threshold a bound, and one at least")
            if leaf.row is not None and not 0 <= leaf.row < len(leaf.bounds):
                raise ValueError("leaves: no such row")
            if leaf.margin is not None and leaf.row is None:
                raise ValueError("leaves: a margin of no row")

    @property
    def statement(self) -> str:
        given = f" up to {number_text(self.slack)} in stated margins" if self.slack else ""
        return (
            f"the artifact is internally consistent{given}: each of its {len(self.leaves)} leaves lies in the root box "
            "and states a bound above its threshold; nothing about a network, nor that the leaves cover the root"
        )

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        for k, leaf in enumerate(self.leaves):
            tick()
            inside = zip(self.lower, leaf.lower, leaf.upper, self.upper, strict=True)
            room = [
                (min(low - root_low, root_high - high), i)
                for i, (root_low, low, high, root_high) in enumerate(inside)
            ]
            if room:
                yield nonnegative("leaf in the root", min(room)[0], f"leaf {k}, input {min(room)[1]}")
            yield fact(
                "ordered box", all(l <= u for l, u in zip(leaf.lower, leaf.upper, strict=True)), f"leaf {k}"
            )
            gaps = [b - t for b, t in zip(leaf.bounds, leaf.thresholds, strict=True)]
            row = gaps.index(max(gaps)) if leaf.row is None else leaf.row
            yield positive("bound above threshold", gaps[row], f"leaf {k}, row {row}")
            if leaf.margin is not None:
                yield self._margin(gaps[row], leaf.margin, f"leaf {k}, row {row}")
        yield Measure("cover", self.covers)
        yield Measure("decimals", self.decimals)

    def _margin(self, gap: Fraction, stated: Fraction, where: str) -> Check:
        off = (_nearest(gap) if self.rounded else gap) - stated
        if self.slack:
            return nonnegative("stated margin", self.slack - abs(gap - stated), where)
        return zero("stated margin", off, where)


def _nearest(q: Fraction) -> Fraction:
    """The nearest double; a number above them all stays."""
    try:
        return Fraction(float(q))
    except OverflowError:
        return q
