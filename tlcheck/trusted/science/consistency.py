"""Artifacts judged by themselves, without a network: leaves, nodes' boxes, margins.

What can be said of them is that they are consistent. Leaves: every one lies in the root, states a bound above its threshold, and
its stated margin is the difference. Nodes: no box is empty. Margins: flags and counts follow from the stated bounds. Whether
the bounds are those of any network, nothing here says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.conditions import Check, ConditionClaim, Measure, ends, fact, nonnegative, positive, zero

Row = tuple[Fraction, ...]


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


@dataclass(frozen=True, eq=False)
class NodeArtifact(ConditionClaim):
    """A node certificate by itself: boxes are ordered. Its sizes, slopes and phases were checked when it was read."""

    boxes: tuple[tuple[Row, Row] | None, ...]
    decimals: str
    kind = "node artifact"

    @property
    def statement(self) -> str:
        return "the artifact is internally consistent: its boxes are not empty; nothing about a network"

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        for i, box in enumerate(self.boxes):
            tick()
            if box is not None:
                yield fact("ordered box", all(l <= u for l, u in zip(*box, strict=True)), f"node {i}")
        yield Measure("nodes without a box", sum(box is None for box in self.boxes))
        yield Measure("decimals", self.decimals)


@dataclass(frozen=True)
class Stored:
    """An example of a margin artifact as it is written. ``certified``, ``predicted``: None when it does not say."""

    label: int
    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]
    certified: bool | None
    predicted: int | None


@dataclass(frozen=True, eq=False)
class MarginArtifact(ConditionClaim):
    """The artifact's flags and counts follow from the bounds in it: no network takes part.

    Flag: lower[label] > every other upper, strictly. Counts: None where the artifact does not give one.
    """

    stored: tuple[Stored, ...]
    total: int | None
    nominal: int | None
    certified: int | None
    decimals: str
    kind = "margin artifact"

    @property
    def statement(self) -> str:
        return (
            "the artifact is internally consistent: its flags and counts follow from the bounds that it states; "
            "nothing about a network"
        )

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        counts = {"nominal": 0, "certified": 0}
        least: Fraction | None = None
        for k, e in enumerate(self.stored):
            tick()
            for j, (low, high) in enumerate(zip(e.lower, e.upper, strict=True)):
                if low > high:
                    yield nonnegative("ordered bounds", high - low, f"example {k}, class {j}")
            gap = min(e.lower[e.label] - upper for j, upper in enumerate(e.upper) if j != e.label)
            least = abs(gap) if least is None else min(least, abs(gap))
            if e.certified is not None:
                yield fact("certified flag", e.certified == (gap > 0), f"example {k}")
            counts["nominal"] += e.predicted == e.label
            counts["certified"] += gap > 0
        stated = (("examples", self.total, len(self.stored)), ("nominal_ok", self.nominal, counts["nominal"]),
                  ("certified_ok", self.certified, counts["certified"]))  # fmt: skip
        for name, given, found in stated:
            if given is not None:
                yield fact(f"summary {name}", given == found, f"stated {given}, counted {found}")
        yield Measure("certified by the stated bounds", f"{counts['certified']} of {len(self.stored)}")
        yield Measure("smallest decision margin", None if least is None else ends(least)[0])
        yield Measure("decimals", self.decimals)
