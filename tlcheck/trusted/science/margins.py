"""Classifier margins over a data set: which examples keep their label throughout a box, proved from the network.

For an example x with label t the box is B = {z : |z_i - x_i| <= radius}, cut to [low, high] when values are clipped. Its
*margin* is the least of f_t(z) - f_j(z) over z in B and j != t; it is robust when the margin is positive. The rows
f_t - f_j are bounded directly (*difference rows*): one backward pass an example, exact up to rounding when the
network is affine, where bounds of f_t and f_j apart lose what they share.

A robust example is proved by a lower bound above 0 of each of its rows. An example is disproved by a point of B, x itself
among them, at which some f_j is at least f_t.

Every example is checked by itself, from the network, its own box and its own label: its margin is the same to the bit
whichever examples are in the file. Counts are made of all examples' shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import inf

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float, working_precision
from tlcheck.trusted.arith.engines import engine
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.conditions import (
    Check,
    Item,
    Measure,
    Share,
    positive,
    undecided,
)
from tlcheck.trusted.evaluate import Evaluator
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import Network
from tlcheck.trusted.science.exact_intervals import as_ball
from tlcheck.trusted.science.examples import ByExample, Examples
from tlcheck.trusted.science.executions import OfOutputs
from tlcheck.trusted.science.interval_box import subtract
from tlcheck.trusted.science.output_range import Point, Range
from tlcheck.trusted.science.row_bounds import Rows

Floats = NDArray[np.float64]
MAX_BITS = 1 << 13
"""Precision to which the outputs at an example are raised until they are decided: dyadic sums are exact long before."""
NEAR = 1e-6
"""A row that ball64 misses by more is not tried again in integers."""


def others(label: int, classes: int) -> list[int]:
    return [j for j in range(classes) if j != label]


def difference_rows(label: int, classes: int) -> Floats:
    """(1, C - 1, C): e_t - e_j for each j != t."""
    rows = np.zeros((1, classes - 1, classes))
    rows[0, :, label] = 1.0
    rows[0, np.arange(classes - 1), others(label, classes)] = -1.0
    return rows


@dataclass(frozen=True, eq=False)
class Margins(ByExample, OfOutputs):
    """The examples in ``certified`` are robust; at least ``count`` of all examples are (None: no such claim).

    ``arith``: arb, ball64 (float64 with proved error bounds), or auto: ball64, and what it leaves open in arb.
    """

    graph: Graph
    examples: Examples
    certified: tuple[int, ...]
    count: int | None
    arith: str
    decimals: str
    deployed: Profile | None = None
    kind = "margins"

    def __post_init__(self) -> None:
        if len(self.graph.outputs) != 1 or self.graph.n_outputs < 2:
            raise ValueError("margins: a network with one output of two classes or more")
        if self.examples.inputs.shape[1] != self.graph.n_inputs:
            raise ValueError("margins: an example has not the network's number of inputs")
        labels = self.examples.labels
        if labels.size and not bool(((labels >= 0) & (labels < self.graph.n_outputs)).all()):
            raise ValueError("margins: a label that is no class")
        if len(set(self.certified)) != len(self.certified) or not all(
            0 <= k < self.examples.count for k in self.certified
        ):
            raise ValueError("margins: not distinct examples")

    @property
    def statement(self) -> str:
        nearest = not self.decimals.startswith("exact")
        radius = number_text(self.examples.radius, nearest=nearest)
        n, radius = self.examples.count, f"radius {radius}{' (the nearest binary64)' if nearest else ''}"
        claimed = [f"each of the {len(self.certified)} examples flagged certified"] if self.certified else []
        if self.count is not None:
            claimed.append(f"at least {self.count} of the {n} examples")
        near = f"every input within {radius} of it"
        if self.examples.clip is not None:
            near += f" and in [{number_text(self.examples.clip[0])}, {number_text(self.examples.clip[1])}]"
        return f"{' and '.join(claimed) or 'nothing'}: the model gives {near} the example's label, without ties{self.also}"

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Bounds in float64 rest on more."""
        doubles = ("IEEE-754 double precision", "BLAS sums every product as a tree (probed)")
        return ("Python", "numpy integers", "FLINT", *(() if self.arith == "arb" else doubles))

    @property
    def asks_for(self) -> tuple[str, ...]:
        """Float64, unless ``arith`` is arb: then it is loaded for guesses at most, and no proof rests on it."""
        doubles = ("tlcheck.trusted.arith.ball64", "tlcheck.trusted.arith.probe")
        return () if self.arith == "arb" else doubles

    @cached_property
    def _network(self) -> Network:
        return Network(self.graph)

    @cached_property
    def _evaluator(self) -> Evaluator:
        return Evaluator(self.graph)

    @cached_property
    def _guesses(self) -> Rows:
        return Rows(self._network, engine("ball64"))

    @cached_property
    def _proofs(self) -> list[Rows]:
        """In turn: a later one only for what the first just misses."""
        if self.arith == "arb" or not _usable():
            return [Rows(self._network, engine("arb"), self.deployed)]
        names = ("ball64",) if self.arith == "ball64" else ("ball64", "arb")
        return [Rows(self._network, engine(name), self.deployed) for name in names]

    def some(self, first: int, last: int, precision: int, tick: Callable[[], None]) -> Iterator[Item]:
        """Of each example: whether it is robust, whether it has its label, and the condition, if it is claimed."""
        listed = set(self.certified)
        for k in range(first, last):
            tick()
            over = Range(self._evaluator, self._network, *self.examples.box(k), tick)
            nominal, gaps = self._at_example(k, over, precision)
            check = self._disproved(k, gaps) if nominal is False else self._bounded(k, over, gaps)
            yield Share("robust", k, float(check.holds is True), float(check.holds is not False))
            yield Share("nominal", k, float(nominal is True), float(nominal is not False))
            if k in listed:
                yield check

    def conclude(self, shares: Sequence[Share]) -> Iterator[Check | Measure]:
        n = self.examples.count
        robust = _counted(shares, "robust", n)
        if self.count is not None:
            if robust is None:
                yield undecided("certified count", "not every example has an answer")
            else:
                least, most = robust
                holds = True if least >= self.count else False if most < self.count else None
                yield Check("certified count", holds, float(least - self.count), float(most - self.count))
        if robust is not None:
            yield Measure("certified accuracy", f"{robust[0]} of {n}")
            yield Measure("refuted examples", f"{n - robust[1]} of {n}")
        nominal = _counted(shares, "nominal", n)
        if nominal is not None:
            open_ = [str(s.index) for s in shares if s.name == "nominal" and s.low < s.high]
            rest = f"; {len(open_)} not decided: {', '.join(open_[:20])}" if open_ else ""
            yield Measure("nominal accuracy", f"{nominal[0]} of {n}{rest}")
        yield Measure("decimals", self.decimals)

    def _rivals(self, k: int) -> list[int]:
        return others(int(self.examples.labels[k]), self.graph.n_outputs)

    def _at_example(self, k: int, over: Range, precision: int) -> tuple[bool | None, dict[int, Arb]]:
        """(the label's output is above every other at the example, the gaps), from the exact network, at a precision
        that decides it. None where none up to MAX_BITS does: a tie that is not one of dyadic numbers."""
        point = [Fraction(v) for v in self.examples.inputs[k].tolist()]
        bits = precision
        while True:
            with working_precision(bits):
                gaps = self._gaps(k, over, point)
                if any(bool(gap <= 0) for gap in gaps.values()):
                    return False, gaps
                if gaps and all(bool(gap.is_finite() and gap > 0) for gap in gaps.values()):
                    return True, gaps
            if bits >= MAX_BITS:
                return None, gaps
            bits *= 2

    def _gaps(self, k: int, over: Range, point: Point) -> dict[int, Arb]:
        """f_t - f_j at a point, for each j; none where the outputs are not decided."""
        values = over.values(point)
        if values is None:
            return {}
        return {j: values[int(self.examples.labels[k])] - values[j] for j in self._rivals(k)}

    def _disproved(self, k: int, gaps: dict[int, Arb]) -> Check:
        """By a point at which one of the gaps is certainly not positive."""
        j, gap = next((j, gap) for j, gap in gaps.items() if gap <= 0)
        return positive("margin", gap, f"example {k}, class {j}")

    def _bounded(self, k: int, over: Range, gaps: dict[int, Arb]) -> Check:
        """Proved by bounds of the rows, or disproved by the corner to which the worst of them falls, or open."""
        lows = self._lows(k, over)
        worst = int(np.argmin(lows))
        low, rivals = float(lows[worst]), self._rivals(k)
        where = f"example {k}, class {rivals[worst]}"
        if low > 0:
            return positive("margin", arb(low), where)
        known = [*gaps.values()]
        if self._network.without_relaxation is None:
            lower, upper = self.examples.boxes(np.array([k]))
            row = difference_rows(int(self.examples.labels[k]), self.graph.n_outputs)[0, worst]
            falls = self._guesses.falls(lower, upper, row).tolist()
            corner = [u if f else l for l, u, f in zip(over.lower, over.upper, falls, strict=True)]
            there = self._gaps(k, over, corner)
            if any(bool(gap <= 0) for gap in there.values()):
                return self._disproved(k, there)
            known += there.values()
        most = min((upper_float(gap) for gap in known if gap.is_finite()), default=None)
        return Check("margin", None, low if low > -inf else None, most, where)

    def _lows(self, k: int, over: Range) -> Floats:
        """Lower bounds of the example's rows."""
        if self._network.without_relaxation is not None:
            return self._by_ends(k, over)
        lower, upper = self.examples.boxes(np.array([k]))
        rows = difference_rows(int(self.examples.labels[k]), self.graph.n_outputs)
        lows: Floats = self._proofs[0].bounds(lower, upper, rows)[0]
        for proofs in self._proofs[1:]:
            if not bool((lows > 0).all()) and bool((lows > -NEAR).all()):
                lows = np.maximum(lows, proofs.bounds(lower, upper, rows)[0])
        return lows

    def _by_ends(self, k: int, over: Range) -> Floats:
        """The least of f_t less the greatest of each f_j, from the interval box: for networks without a relaxation."""
        found = over.interval
        label = int(self.examples.labels[k])
        if found is None:
            return np.full(self.graph.n_outputs - 1, -inf)
        return np.array(
            [lower_float(as_ball(subtract(found[label][0], found[j][1]))) for j in self._rivals(k)]
        )


def _counted(shares: Sequence[Share], name: str, n: int) -> tuple[int, int] | None:
    """(least, most) of n examples; None unless each has exactly one share, whose ends are 0 or 1."""
    mine = [s for s in shares if s.name == name]
    if sorted(s.index for s in mine) != list(range(n)):
        return None
    if not all(s.low in (0.0, 1.0) and s.high in (0.0, 1.0) and s.low <= s.high for s in mine):
        return None
    return sum(int(s.low) for s in mine), sum(int(s.high) for s in mine)


def _usable() -> bool:
    """BLAS behaves on the probe's matrices: ball64's bounds are proved for sums of double products."""
    from tlcheck.trusted.arith.probe import BlasRefused, probe  # where float64 is asked for

    try:
        probe()
    except BlasRefused:
        return False
    return True
