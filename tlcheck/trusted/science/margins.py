"""Classifier margins over a data set: which examples keep their label throughout a box, proved from the network.

For an example x with label t the box is B = {z : |z_i - x_i| <= radius}, cut to [low, high] when values are clipped. Its
*margin* is the least of f_t(z) - f_j(z) over z in B and j != t; it is robust when the margin is positive. The rows
f_t - f_j are bounded directly (*difference rows*): one backward pass a chunk of examples, exact up to rounding when the
network is affine, where bounds of f_t and f_j apart lose what they share.

A robust example is proved by a lower bound above 0 of each of its rows. An example is disproved by a point of B, x itself
among them, at which some f_j is at least f_t.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import inf

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.arb import Arb, arb, ball, lower_float, upper_float
from tlcheck.trusted.arith.ball64 import Ball64, Ball64Form
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.integer import IntegerEngine, IntegerForm
from tlcheck.trusted.arith.probe import BlasRefused, probe
from tlcheck.trusted.bounds import AnyEngine, Bounds, Enclosure, Slopes, new_form, run_pass
from tlcheck.trusted.checks import Check, ConditionClaim, Measure, ends, fact, nonnegative, positive
from tlcheck.trusted.evaluate import Evaluator
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import NO_GUIDANCE
from tlcheck.trusted.linear_bounds import Pass
from tlcheck.trusted.lines import Lines
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Elementwise
from tlcheck.trusted.science.exact_intervals import as_ball
from tlcheck.trusted.science.expression import number_text
from tlcheck.trusted.science.output_box import Point, Range, subtract

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHUNK_ENTRIES = 1 << 20
"""Coefficients of one chunk of examples on the widest node: 8 MiB."""
LARGEST = 2.0**1000
NEAR = 1e-6
"""A row that ball64 misses by more is not tried again in integers."""


@dataclass(frozen=True, eq=False)
class Examples:
    """``inputs`` (N, n) exact doubles, ``labels`` (N,), and the boxes around the inputs. ``clip``: (low, high) or None."""

    inputs: Floats
    labels: Ints
    radius: Fraction
    clip: tuple[Fraction, Fraction] | None

    def __post_init__(self) -> None:
        if self.inputs.ndim != 2 or self.labels.shape != (self.inputs.shape[0],):
            raise ValueError("examples: one label an input row")
        if not bool(np.isfinite(self.inputs).all()) or not 0 <= self.radius <= LARGEST:
            raise ValueError("examples: inputs must be finite, the radius from 0 to 2^1000")
        if self.clip is not None:
            low, high = self.clip
            size = (float(self.inputs.min(initial=0.0)), float(self.inputs.max(initial=0.0)))
            if (
                not low <= high
                or self.count == 0
                or not (low <= Fraction(size[0]) and Fraction(size[1]) <= high)
            ):
                raise ValueError("examples: an input outside the clipping range")

    @property
    def count(self) -> int:
        return int(self.labels.size)

    def box(self, k: int) -> tuple[list[Fraction], list[Fraction]]:
        """The exact box of example k."""
        centre = [Fraction(v) for v in self.inputs[k].tolist()]
        lower, upper = [c - self.radius for c in centre], [c + self.radius for c in centre]
        if self.clip is not None:
            lower, upper = [max(v, self.clip[0]) for v in lower], [min(v, self.clip[1]) for v in upper]
        return lower, upper

    def boxes(self, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """(lower, upper) of some examples, rounded outward."""
        x = self.inputs[rows]
        reach = upper_float(ball(self.radius))
        lower, upper = np.nextafter(x - reach, -inf), np.nextafter(x + reach, inf)
        if self.clip is not None:
            lower = np.maximum(lower, lower_float(ball(self.clip[0])))
            upper = np.minimum(upper, upper_float(ball(self.clip[1])))
        return lower, upper


@dataclass(frozen=True, eq=False)
class Rows:
    """Lower bounds of linear forms of the only output, in the arithmetic of ``engine``."""

    network: Network
    engine: AnyEngine

    def bounds(self, lower: Floats, upper: Floats, rows: Floats) -> Floats:
        """(D, R): lower bounds of rows . outputs, for ``rows`` (D, R, C) and boxes (D, n); -inf where there is none."""
        try:
            form, known = self._pass(lower, upper, rows)
            return form.lower(known.boxes)
        except OutOfRange:
            return np.full(rows.shape[:2], -inf)

    def falls(self, lower: Floats, upper: Floats, rows: Floats) -> NDArray[np.bool_]:
        """(R, n): for each row on the one box, where its linear bound falls. A guess: no proof rests on it."""
        found = np.zeros((rows.shape[1], self.network.graph.n_inputs), bool)
        try:
            form, _ = self._pass(lower, upper, rows)
        except OutOfRange:
            return found
        for node, s in self.network.input_slices.items():
            block = form.blocks.get(node)
            if isinstance(block, np.ndarray):
                found[:, s] = block[0] < 0
        return found

    def _pass(self, lower: Floats, upper: Floats, rows: Floats) -> tuple[Ball64Form | IntegerForm, Bounds]:
        ((node, _),) = self.network.output_slices
        inputs = {n: Box(lower[:, s], upper[:, s]) for n, s in self.network.input_slices.items()}
        known = Enclosure(self.network, self.engine, Slopes(NO_GUIDANCE, lambda _: None)).bounds(inputs)
        form = new_form(self.engine, *rows.shape[:2])
        form.seed_rows(node, rows, None, known.boxes[node])
        run_pass(form, Pass(self.network, known.boxes, self._lines(known), known.radii))
        return form, known

    def _lines(self, known: Bounds) -> Callable[[int], Lines]:
        slopes = Slopes(NO_GUIDANCE, lambda _: None)

        def drawn(activation: int) -> Lines:
            node = self.network.graph.nodes[activation]
            if not isinstance(node.op, Elementwise):
                raise ValueError("lines of something that is not an activation")
            return known.lines(activation, node.op, known.boxes[node.inputs[0]], slopes.shared(activation))

        return drawn


def others(label: int, classes: int) -> list[int]:
    return [j for j in range(classes) if j != label]


def difference_rows(labels: Ints, classes: int) -> Floats:
    """(D, C - 1, C): e_t - e_j for each j != t."""
    rows = np.zeros((labels.size, classes - 1, classes))
    for d, t in enumerate(labels.tolist()):
        rows[d, :, t] = 1.0
        rows[d, np.arange(classes - 1), others(t, classes)] = -1.0
    return rows


@dataclass(frozen=True, eq=False)
class Margins(ConditionClaim):
    """The examples in ``certified`` are robust; at least ``count`` of all examples are (None: no such claim).

    ``arith``: arb, ball64 (float64 with proved error bounds), or auto: ball64, and what it leaves open in arb.
    """

    graph: Graph
    examples: Examples
    certified: tuple[int, ...]
    count: int | None
    arith: str
    decimals: str
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
        return (
            f"{' and '.join(claimed) or 'nothing'}: the model gives {near} the example's label, without ties"
        )

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Bounds in float64 rest on more."""
        doubles = ("IEEE-754 double precision", "BLAS sums every product as a tree (probed)")
        return ("Python", "numpy integers", "FLINT", *(() if self.arith == "arb" else doubles))

    @cached_property
    def _network(self) -> Network:
        return Network(self.graph)

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        listed = set(self.certified)
        robust = disproved = nominal = 0
        evaluator = Evaluator(self.graph)
        for k, lows, clean in self._bounded(evaluator, tick):
            tick()
            worst = int(np.argmin(lows))
            low = float(lows[worst])
            where = f"example {k}, class {others(int(self.examples.labels[k]), self.graph.n_outputs)[worst]}"
            check = (
                positive("margin", arb(low), where)
                if low > 0
                else self._tried(k, worst, low, evaluator, tick)
            )
            robust, disproved = robust + (check.holds is True), disproved + (check.holds is False)
            nominal += clean
            if k in listed:
                yield check
        n = self.examples.count
        if self.count is not None:
            possible = n - disproved
            holds = True if robust >= self.count else False if possible < self.count else None
            yield Check("certified count", holds, float(robust - self.count), float(possible - self.count))
        yield Measure("certified accuracy", f"{robust} of {n}")
        yield Measure("refuted examples", f"{disproved} of {n}")
        yield Measure("nominal accuracy", f"{nominal} of {n}")
        yield Measure("decimals", self.decimals)

    def _bounded(self, evaluator: Evaluator, tick: Callable[[], None]) -> Iterator[tuple[int, Floats, bool]]:
        """(example, lower bounds of its rows, its rows are positive at the example itself), in order."""
        engines = self._engines()
        widest = max(node.size for node in self.graph.nodes) * self.graph.n_outputs
        step = max(1, min(256, CHUNK_ENTRIES // widest))
        for start in range(0, self.examples.count, step):
            tick()
            rows = np.arange(start, min(start + step, self.examples.count))
            x = self.examples.inputs[rows]
            differences = difference_rows(self.examples.labels[rows], self.graph.n_outputs)
            if self._network.without_relaxation is not None:
                lows = np.array([self._by_ends(k, *self.examples.box(k), evaluator) for k in rows.tolist()])
                points = [(k, [Fraction(v) for v in self.examples.inputs[k].tolist()]) for k in rows.tolist()]
                at = np.array([self._by_ends(k, point, point, evaluator) for k, point in points])
            else:
                lower, upper = self.examples.boxes(rows)
                lows = Rows(self._network, engines[0]).bounds(lower, upper, differences)
                at = Rows(self._network, engines[0]).bounds(x, x, differences)
                for engine in engines[1:]:
                    open_ = np.flatnonzero(~(lows > 0).all(axis=1) & (lows > -NEAR).all(axis=1))
                    if open_.size:
                        again = Rows(self._network, engine).bounds(
                            lower[open_], upper[open_], differences[open_]
                        )
                        lows[open_] = np.maximum(lows[open_], again)
            nominal = [bool(row.min() > 0) for row in at]
            yield from zip(rows.tolist(), lows, nominal, strict=True)

    def _engines(self) -> list[AnyEngine]:
        """The engines in turn: a later one only for what the first just misses."""
        if self.arith == "arb" or not _usable():
            return [IntegerEngine()]
        return [Ball64(), IntegerEngine()] if self.arith == "auto" else [Ball64()]

    def _by_ends(self, k: int, lower: Point, upper: Point, evaluator: Evaluator) -> Floats:
        """The least of f_t less the greatest of each f_j, from the interval box: for networks without a relaxation."""
        found = Range(evaluator, self._network, lower, upper).interval
        label, classes = int(self.examples.labels[k]), self.graph.n_outputs
        if found is None:
            return np.full(classes - 1, -inf)
        return np.array(
            [lower_float(as_ball(subtract(found[label][0], found[j][1]))) for j in others(label, classes)]
        )

    def _tried(self, k: int, worst: int, low: float, evaluator: Evaluator, tick: Callable[[], None]) -> Check:
        """Not proved: disproved by the example itself, or by the corner to which its worst row falls; else open."""
        label = int(self.examples.labels[k])
        rivals = others(label, self.graph.n_outputs)
        over = Range(evaluator, self._network, *self.examples.box(k), tick)
        points = [[Fraction(v) for v in self.examples.inputs[k].tolist()]]
        if self._network.without_relaxation is None:
            lower, upper = self.examples.boxes(np.array([k]))
            falls = Rows(self._network, Ball64()).falls(
                lower, upper, difference_rows(np.array([label]), self.graph.n_outputs)
            )[worst]
            points.append(
                [u if f else l for l, u, f in zip(over.lower, over.upper, falls.tolist(), strict=True)]
            )
        least: tuple[Arb, int] | None = None
        for values in map(over.values, points):
            if values is None:
                continue
            for j in rivals:
                gap = values[label] - values[j]
                if gap <= 0:
                    return positive("margin", gap, f"example {k}, class {j}")
                if gap.is_finite() and (least is None or gap < least[0]):
                    least = gap, j
        high = None if least is None else upper_float(least[0])
        return Check("margin", None, low if low > -inf else None, high, f"example {k}, class {rivals[worst]}")


def _usable() -> bool:
    """BLAS behaves on the probe's matrices: ball64's bounds are proved for sums of double products."""
    try:
        probe()
    except BlasRefused:
        return False
    return True


@dataclass(frozen=True, eq=False)
class LogitBounds(ConditionClaim):
    """lower[k, j] <= f_j(z) <= upper[k, j] for every z in example k's box."""

    graph: Graph
    examples: Examples
    lower: Sequence[Sequence[Fraction]]
    upper: Sequence[Sequence[Fraction]]
    decimals: str
    kind = "logit bounds"

    @property
    def statement(self) -> str:
        return f"for each of {self.examples.count} examples, every output of the model over its box is in the stated bounds"

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        yield Measure("decimals", self.decimals)
        network, evaluator = Network(self.graph), Evaluator(self.graph)
        for k, (low, high) in enumerate(zip(self.lower, self.upper, strict=True)):
            over = Range(evaluator, network, *self.examples.box(k), tick)
            for j in range(self.graph.n_outputs):
                where = f"example {k}, class {j}"
                yield over.at_least("lower bound", j, 1, low[j], where)
                yield over.at_least("upper bound", j, -1, -high[j], where)


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
            gap = min(e.lower[e.label] - e.upper[j] for j in others(e.label, len(e.lower)))
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
