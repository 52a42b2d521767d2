"""A search for a proof of unsat by cutting the input box: many boxes at a time, bounded in float64.

What comes out is guidance (a tree of cuts and, for each leaf, weights of the disjunct's constraints), which
``tlcheck verify`` re-proves leaf by leaf. Boxes are searched for all disjuncts of a region at once; each disjunct's tree
ends where that disjunct is closed. A leaf is kept only with some margin, so that the checker's bound is positive too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck import __version__, timer
from tlcheck.errors import InvalidInput
from tlcheck.prover.float_bounds import FloatBounds, Form, Linear, NoFloatBounds
from tlcheck.prover.refute import Judge, Point, exact_points, refuted
from tlcheck.prover.unsat import MOST_LOWEST, Prover, closed_by, is_empty
from tlcheck.readers.bundle.manifest import Producer
from tlcheck.readers.bytes import gunzip_if_packed, read_stored_bytes
from tlcheck.readers.data_files import beside
from tlcheck.readers.onnx import read_model, whole_model
from tlcheck.readers.vnnlib.read import read_query
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import LEAF, SPLIT, Guidance, Leaves, Tree
from tlcheck.trusted.plan import NoRelaxation, Settings
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.writers.bundle import UnsatOut, check_target, write_bundle

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BATCH: Final = 512
"""Boxes bounded at a time; each is tried with every cut, so twice the number of inputs as many."""
MOST_BOXES: Final = 200_000
RATIOS: Final = tuple(2.0**k for k in range(-12, 13))
"""Weights of a disjunct's second constraint relative to its first."""
SURPLUS: Final = 1e-9
"""A margin must exceed this part of the terms that it is the sum of."""
ATTACK_SHARE: Final = 0.1
"""Of the time, what the search for a witness may take before any box is cut."""
TIE_SHARE: Final = 0.2
"""Of the time, what a search may take that closes strict constraints whose bound is attained."""
PROBE_EVERY: Final = 8
"""Rounds after which the centre of the worst box is judged."""
NEAR_TIE: Final = 1e-6
"""Margins within it are about 0: a strict constraint may be excluded there, which the kernel says."""
MOST_TIES: Final = 64
"""Such boxes of one round that the kernel looks at."""
SLIVER: Final = 64.0
"""A side is not cut when another is longer by this factor, relative to the region."""


@dataclass(frozen=True)
class Found:
    """``guidance`` when every box was closed; else how many boxes were left of how many, and one of them, ``open_box``.

    ``witness``: a point that certainly satisfies the query: there is no proof.
    """

    guidance: Guidance | None
    boxes: int
    left: int
    leaves: int = 0
    witness: Point | None = None
    open_box: InputBox | None = None


@dataclass(eq=False)
class _Rows:
    """The distinct constraints of a query as rows; each disjunct's weightings of them."""

    form: Form
    bounds: Floats
    disjuncts: list[list[int]]
    """Rows of each disjunct, in its order."""

    @classmethod
    def of(cls, bounds: FloatBounds, query: Query, disjuncts: Sequence[Disjunct]) -> _Rows:
        place: dict[LinearConstraint, int] = {}
        members = [[place.setdefault(c, len(place)) for c in d.constraints] for d in disjuncts]
        outputs, inputs = np.zeros((len(place), query.n_outputs)), np.zeros((len(place), query.n_inputs))
        for c, r in place.items():
            for j, value in c.outputs:
                outputs[r, j] = float(value)
            for i, value in c.inputs:
                inputs[r, i] = float(value)
        rhs = np.array([float(c.bound) for c in place])
        form = bounds.rows(outputs, inputs)
        return cls(Form(form.parts, form.constant - rhs), rhs, members)

    def weightings(self) -> list[tuple[int, Floats]]:
        """(disjunct, weights over the rows): each constraint alone, and pairs."""
        found = []
        for k, rows in enumerate(self.disjuncts):
            for r in rows:
                found.append((k, {r: 1.0}))
            for a in range(len(rows)):
                for b in range(a):
                    found += [(k, {rows[b]: 1.0, rows[a]: ratio}) for ratio in RATIOS]
        n = len(self.bounds)
        return [(k, np.array([w.get(r, 0.0) for r in range(n)])) for k, w in found]


@dataclass(eq=False)
class _Margins:
    """For boxes: the best margin of each disjunct (D, K), and the weighting that gives it (D, K)."""

    best: Floats
    choice: Ints


@dataclass(eq=False)
class _Boxes:
    """Every box of the search, by number: its tree, and for each disjunct the weighting that closes it, or -1."""

    cut: dict[int, tuple[int, float, int]] = field(default_factory=dict)
    """axis, point, number of the child below (the one above is next)."""
    closed: list[Ints] = field(default_factory=list)


class Search:
    """One region: a box and the disjuncts on it. ``run`` gives trees until ``until`` or ``most`` boxes, or until a point in an
    open box is found (``judge``) that satisfies the query."""

    def __init__(
        self,
        bounds: FloatBounds,
        query: Query,
        disjuncts: Sequence[Disjunct],
        judge: Judge | None = None,
    ) -> None:
        self.bounds, self.disjuncts, self.judge = bounds, disjuncts, judge
        self.witness: Point | None = None
        self.open_box: InputBox | None = None
        self.rows = _Rows.of(bounds, query, disjuncts)
        self.pairs = self.rows.weightings()
        self.weights = np.array([w for _, w in self.pairs])
        owner = np.array([k for k, _ in self.pairs])
        self.members = [np.flatnonzero(owner == k) for k in range(len(disjuncts))]
        strict = {
            r
            for rows, d in zip(self.rows.disjuncts, disjuncts, strict=True)
            for r, c in zip(rows, d.constraints, strict=True)
            if c.strict
        }
        self.strict = np.array([any(w[r] > 0 for r in strict) for _, w in self.pairs])
        self.lower, self.upper = _ends(disjuncts[0].box)
        self.boxes = _Boxes()

    def run(self, most: int, until: float, tick: Callable[[int, int], None] | None = None) -> int:
        """Search; returns the number of boxes left open."""
        count = len(self.rows.disjuncts)
        self.boxes.closed.append(np.full(count, -1, np.int64))
        lower, upper = self.lower[None], self.upper[None]
        numbers, open_ = np.zeros(1, np.int64), np.ones((1, count), bool)
        margins = self.margins(lower, upper, open_)
        stack = [(lower, upper, numbers, open_, margins)]
        stack = [self._settled(*stack[0])]
        rounds = 0
        while stack and len(self.boxes.closed) < most and timer.now() < until:
            if not len(stack[-1][2]):
                stack.pop()
                continue
            if rounds % PROBE_EVERY == 0 and self._probed(stack[-1]):
                break
            rounds += 1
            lower, upper, numbers, open_, margins = stack.pop()
            if len(numbers) > BATCH:
                parts = [slice(0, -BATCH), slice(-BATCH, None)]
                stack.append(_part(lower, upper, numbers, open_, margins, parts[0]))
                lower, upper, numbers, open_, margins = _part(lower, upper, numbers, open_, margins, parts[1])
            whole = np.flatnonzero(~_cuttable(lower, upper).any(axis=1))
            if whole.size:  # a box of one point, or of two doubles: no cut will close it
                stack.append(_part(lower, upper, numbers, open_, margins, whole))
                break
            stack.append(self._cut(lower, upper, numbers, open_, margins))
            if tick is not None:
                tick(len(self.boxes.closed), sum(len(s[2]) for s in stack))
        left = [s for s in stack if len(s[2])]
        if left:
            self.open_box = self._worst(left[-1])
        return sum(len(s[2]) for s in left)

    def _worst(self, part: tuple[Floats, Floats, Ints, Bools, _Margins]) -> InputBox:
        """The box that is farthest from being closed."""
        lower, upper, _, open_, margins = part
        k = int(np.where(open_, margins.best, inf).min(axis=1).argmin())
        return self._exact(lower[k], upper[k])

    def _exact(self, lower: Floats, upper: Floats) -> InputBox:
        """The box with the region's own ends where they are its ends: these are not always doubles."""
        region = self.disjuncts[0].box

        def ends(side: Floats, whole: Floats, own: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
            return tuple(
                q if x == w else Fraction(x)
                for x, w, q in zip(side.tolist(), whole.tolist(), own, strict=True)
            )

        return InputBox(ends(lower, self.lower, region.lower), ends(upper, self.upper, region.upper))

    def _probed(self, part: tuple[Floats, Floats, Ints, Bools, _Margins]) -> bool:
        """The centre of the worst box satisfies the query: said in ``witness``."""
        if self.judge is None:
            return False
        box = self._worst(part)
        centre = next(exact_points(box), None)
        if centre is not None and self.judge.holds(centre):
            self.witness = centre
        return self.witness is not None

    def margins(self, lower: Floats, upper: Floats, open_: Bools) -> _Margins:
        """Each disjunct's best margin over each box, less the surplus."""
        lines = self.bounds.lower_lines(self.rows.form, lower, upper)
        combined = Linear(self.weights @ lines.slope, lines.constant @ self.weights.T)
        size = np.abs(lines.constant) + np.abs(lines.slope).sum(axis=2) * np.abs(upper).max(initial=0.0)
        with np.errstate(invalid="ignore"):
            values = combined.lower(lower, upper) - SURPLUS * (size @ self.weights.T)
        values = np.where(np.isfinite(values), values, -inf) / self.weights.sum(axis=1)
        choice = np.stack([m[values[:, m].argmax(axis=1)] for m in self.members], axis=1)
        return _Margins(np.take_along_axis(values, choice, axis=1), choice)

    def _settled(
        self, lower: Floats, upper: Floats, numbers: Ints, open_: Bools, margins: _Margins
    ) -> tuple[Floats, Floats, Ints, Bools, _Margins]:
        """Record what is closed; the boxes that are not."""
        closed = open_ & (margins.best > 0)
        closed |= self._ties(lower, upper, open_ & ~closed, margins)
        for row, number in enumerate(numbers.tolist()):
            self.boxes.closed[number] = np.where(closed[row], margins.choice[row], -1)
        open_ = open_ & ~closed
        kept = np.flatnonzero(open_.any(axis=1))
        return _part(lower, upper, numbers, open_, margins, kept)

    def _ties(self, lower: Floats, upper: Floats, open_: Bools, margins: _Margins) -> Bools:
        """Which boxes the kernel closes although their margin is only about 0, for weightings with a strict constraint."""
        found = np.zeros_like(open_)
        size = np.abs(margins.best) <= NEAR_TIE
        near = np.argwhere(open_ & size & self.strict[margins.choice])[:MOST_TIES]
        if not near.size or self.judge is None:
            return found
        boxes, weights = [], []
        for row, k in near.tolist():
            box = self._exact(lower[row], upper[row])
            boxes.append(Disjunct(box, self.disjuncts[k].constraints))
            weights.append(self.weights_of(k, int(margins.choice[row, k])))
        claim = UnsatClaim(self.judge.graph, self.judge.query)
        closed, _ = closed_by(claim, boxes, weights, Settings("arb"), inf, {})
        for number in closed:
            found[tuple(near[number])] = True
        return found

    def _cut(
        self, lower: Floats, upper: Floats, numbers: Ints, open_: Bools, margins: _Margins
    ) -> tuple[Floats, Floats, Ints, Bools, _Margins]:
        """Try every cut of every box, keep the best, settle the halves."""
        count, n = lower.shape
        middle = (lower + upper) / 2
        low, high = (np.repeat(x[:, None, None], n, axis=1).repeat(2, axis=2) for x in (lower, upper))
        each = np.arange(n)
        high[:, each, 0, each] = middle
        low[:, each, 1, each] = middle
        wide = np.repeat(open_, 2 * n, axis=0)
        tried = self.margins(low.reshape(-1, n), high.reshape(-1, n), wide)
        best = np.where(wide, np.minimum(tried.best, 0.0), 0.0).reshape(count, n, 2, -1)
        before = np.where(open_, margins.best, -1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = np.nan_to_num((best / -before[:, None, None, :]), nan=-1.0, neginf=-1e30).sum(axis=(2, 3))
        width = (upper - lower) / np.where(self.upper > self.lower, self.upper - self.lower, inf)
        gain = np.where(width * SLIVER >= width.max(axis=1, keepdims=True), gain, -inf)
        cuttable = _cuttable(lower, upper)
        gain = np.where(cuttable, np.maximum(gain, -1e300), -inf)
        axis = gain.argmax(axis=1)
        row = np.arange(count)
        first = len(self.boxes.closed)
        for k, number in enumerate(numbers.tolist()):
            a = int(axis[k])
            self.boxes.cut[number] = (a, float(middle[k, a]), first + 2 * k)
            self.boxes.closed += [np.empty(0, np.int64)] * 2
        pick = ((row * n + axis)[:, None] * 2 + np.arange(2)).reshape(-1)
        return self._settled(
            low.reshape(-1, n)[pick],
            high.reshape(-1, n)[pick],
            first + np.arange(2 * count),
            np.repeat(open_, 2, axis=0),
            _Margins(tried.best[pick], tried.choice[pick]),
        )

    def weights_of(self, disjunct: int, weighting: int) -> dict[int, float]:
        """Weights on the positions of the disjunct's constraints."""
        w = self.weights[weighting]
        return {q: float(w[r]) for q, r in enumerate(self.rows.disjuncts[disjunct]) if w[r] > 0}


def _cuttable(lower: Floats, upper: Floats) -> Bools:
    """Which sides have a double inside, at their middle."""
    middle = (lower + upper) / 2
    return np.asarray((lower < middle) & (middle < upper))


def _part(
    lower: Floats, upper: Floats, numbers: Ints, open_: Bools, margins: _Margins, rows: slice | Ints
) -> tuple[Floats, Floats, Ints, Bools, _Margins]:
    part = _Margins(margins.best[rows], margins.choice[rows])
    return lower[rows], upper[rows], numbers[rows], open_[rows], part


def _ends(box: InputBox) -> tuple[Floats, Floats]:
    """The box in doubles (rounded to nearest: the checker uses its own)."""
    return np.array([float(q) for q in box.lower]), np.array([float(q) for q in box.upper])


def search(
    graph: Graph,
    query: Query,
    *,
    model: bytes | None = None,
    seconds: float = inf,
    most: int = MOST_BOXES,
    tick: Callable[[int, int], None] | None = None,
) -> Found:
    """Trees for every disjunct of the query, or a point that satisfies it, or how far it got. Raises NoFloatBounds.

    The point is looked for first (``model``: the ONNX file, for executions), with a part of the time, and then in the worst
    box of some rounds.
    """
    bounds = FloatBounds(graph)
    start = timer.now()
    judge = Judge(graph, query)
    witness = refuted(judge, model, start + ATTACK_SHARE * seconds)
    if witness is not None:
        return Found(None, 0, 0, witness=witness)
    if any(c.strict and c.outputs for d in query.disjuncts for c in d.constraints):
        attained = _attained(graph, query, start + (ATTACK_SHARE + TIE_SHARE) * seconds)
        if attained is not None:
            return Found(attained, 0, 0, attained.leaves.count)
    return _every_region(bounds, judge, most, start + seconds, tick)


def _every_region(
    bounds: FloatBounds, judge: Judge, most: int, until: float, tick: Callable[[int, int], None] | None
) -> Found:
    """Trees for the disjuncts, region by region, until one of them has none."""
    query = judge.query
    regions: dict[InputBox, list[int]] = {}
    for k, d in enumerate(query.disjuncts):
        regions.setdefault(d.box, []).append(k)
    writer, boxes = _Writer(judge.graph, len(query.disjuncts)), 0
    for members in regions.values():
        for k in [k for k in members if is_empty(query.disjuncts[k])]:
            writer.empty(k)
        members = [k for k in members if not is_empty(query.disjuncts[k])]
        if not members:
            continue
        one = Search(bounds, query, [query.disjuncts[k] for k in members], judge)
        left = one.run(most - boxes, until, tick)
        boxes += len(one.boxes.closed)
        if left:
            return Found(None, boxes, left, witness=one.witness, open_box=one.open_box)
        for position, k in enumerate(members):
            writer.tree(k, one, position)
    return Found(writer.guidance(), boxes, 0, len(writer.weightings))


def _attained(graph: Graph, query: Query, until: float) -> Guidance | None:
    """A proof by the search that keeps attained bounds exact, where a few boxes suffice."""
    try:
        return Prover(UnsatClaim(graph, query), until).search(MOST_LOWEST).guidance
    except NoRelaxation:
        return None


class _Writer:
    """Trees and leaves as arrays."""

    def __init__(self, graph: Graph, disjuncts: int) -> None:
        self.places = [(i, k) for i in graph.inputs for k in range(graph.nodes[i].size)]
        self.rows: list[list[int]] = []  # kind, node, index, below, above
        self.points: list[float] = []
        self.roots = [0] * disjuncts
        self.weightings: list[dict[int, float]] = []

    def empty(self, disjunct: int) -> None:
        """A disjunct on an empty box: a leaf that nothing reads."""
        self.roots[disjunct] = self._leaf({})

    def _leaf(self, weights: dict[int, float]) -> int:
        self.rows.append([LEAF, 0, 0, len(self.weightings), 0])
        self.points.append(0.0)
        self.weightings.append(weights)
        return len(self.rows) - 1

    def tree(self, disjunct: int, one: Search, position: int) -> None:
        self.roots[disjunct] = len(self.rows)
        stack: list[tuple[int, int, int]] = [(0, -1, 0)]  # box, parent's row, column of the child
        while stack:
            number, parent, column = stack.pop()
            closed = int(one.boxes.closed[number][position])
            if closed >= 0:
                row = self._leaf(one.weights_of(position, closed))
            else:
                axis, point, child = one.boxes.cut[number]
                row = len(self.rows)
                self.rows.append([SPLIT, *self.places[axis], 0, 0])
                self.points.append(point)
                stack += [(child, row, 3), (child + 1, row, 4)]
            if parent >= 0:
                self.rows[parent][column] = row

    def guidance(self) -> Guidance:
        kind, node, index, below, above = np.array(self.rows, np.int64).reshape(-1, 5).T.copy()
        tree = Tree(kind, node, index, np.array(self.points), below, above, np.array(self.roots, np.int64))
        ptr = np.cumsum([0, *(len(w) for w in self.weightings)]).astype(np.int64)
        constraint = np.array([q for w in self.weightings for q in w], np.int64)
        weight = np.array([x for w in self.weightings for x in w.values()], np.float64)
        none, floats, count = np.zeros(0, np.int64), np.zeros(0), len(self.weightings)
        start = np.zeros(count + 1, np.int64)
        leaves = Leaves(
            ptr, constraint, weight, start, none, none, none, floats, floats, np.full(count, np.nan)
        )
        return Guidance(tree, leaves, per_leaf_bounds=True)


def certify_query(
    model: Path,
    spec: Path,
    target: Path,
    *,
    seconds: float = inf,
    most: int = MOST_BOXES,
    tick: Callable[[int, int], None] | None = None,
) -> Found:
    """Search for a proof that the property ``spec`` of ``model`` is unsat; write it to ``target`` when one is found.

    The files may be packed with gzip. Raises InvalidInput: as the readers and the writer, and TLC202 for a network
    that this search does not bound.
    """
    check_target(target)
    model_bytes, spec_bytes = read_stored_bytes(model), read_stored_bytes(spec)
    whole = whole_model(gunzip_if_packed(model_bytes, file=str(model)), beside(model.parent), file=str(model))
    graph = read_model(whole.content, file=str(model))
    query = read_query(gunzip_if_packed(spec_bytes, file=str(spec)), graph, file=str(spec))
    try:
        found = search(graph, query, model=whole.content, seconds=seconds, most=most, tick=tick)
    except NoFloatBounds as error:
        raise InvalidInput("TLC202", str(error), file=str(model)) from None
    if found.guidance is not None:
        write_bundle(
            target,
            model_bytes=model_bytes,
            model_name=model.name,
            property_bytes=spec_bytes,
            property_name=spec.name,
            data_files=whole.files,
            graph=graph,
            claims=[UnsatOut(spec.name.removesuffix(".gz").removesuffix(".vnnlib"), found.guidance)],
            producer=Producer("tlcheck split search", __version__, {"boxes": found.boxes}),
        )
    return found
