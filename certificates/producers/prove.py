"""A small branch-and-bound producer: finds guidance that proves a claim, or gives up. Untrusted, as every producer.

It searches with tlcheck's own passes as its oracle: a candidate leaf (a path, slopes, multipliers, constraint weights)
is as good as the margin that ``check_leaves`` proves for it. That is slow and simple, and it is reproducible: those
margins come from exact integer arithmetic, so every choice below is the same on every machine.

``NEURONS`` splits at zero the pre-activation whose relaxation is loosest, and tunes slopes and multipliers one at a
time; ``INPUTS`` halves the input coordinate that helps most, with bounds recomputed in each leaf; ``LINES`` splits
nothing and writes down one line per S-shaped neuron.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import floor, inf, isfinite, ldexp
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.bounds import Bounds
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.cover import Literal
from tlcheck.trusted.guidance import (
    LEAF,
    SPLIT,
    Guidance,
    IntermediateSlopes,
    LeafSlopes,
    Leaves,
    SharedSlopes,
    Tree,
)
from tlcheck.trusted.leaf_pass import LeafChunk, check_leaves
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.plan import Plan, Settings, root_bounds
from tlcheck.trusted.query import Disjunct, Query

Floats = NDArray[np.float64]

Row = tuple[int, int, int, float, int, int]

NEURONS, INPUTS, LINES = "neurons", "inputs", "lines"

SETTINGS: Final = Settings(arith="arb")
BETAS: Final = (0.125, 0.25, 0.5, 1.0, 2.0)
WEIGHTS: Final = (0.0, 0.5, 0.875, 1.0)
ROUNDS: Final = 4
SHORT_LIST: Final = 6
"""Neurons tried as a split, of those with the loosest relaxation."""
CLAIM_BITS: Final = 20
LINE_BITS: Final = 10
"""Slopes of S-shaped neurons are multiples of 2^-10, so that the last bit of a machine's tanh does not show."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A leaf: ``slopes[k]`` is the lower slope at the k-th adjustable neuron, ``betas`` belong to ``path``."""

    path: tuple[Literal, ...]
    weights: tuple[float, ...]
    slopes: tuple[float, ...]
    betas: tuple[float, ...]
    margin: float = -inf

    def child(self, literal: Literal) -> Candidate:
        return replace(self, path=(*self.path, literal), betas=(*self.betas, 0.0))


@dataclass
class Search:
    """Proof search for one claim. ``columns``: adjustable (unstable ReLU) neurons of each activation node."""

    claim: UnsatClaim
    kind: str
    max_leaves: int
    shared: dict[int, SharedSlopes] = field(default_factory=dict)
    intermediate: dict[tuple[int, int], IntermediateSlopes] = field(default_factory=dict)
    columns: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    bounds: dict[int, Bounds] = field(default_factory=dict)

    def guidance(self) -> Guidance | None:
        """A proof of the claim, or None when ``max_leaves`` were not enough for some disjunct."""
        found: list[list[Candidate]] = []
        for disjunct in self.claim.query.disjuncts:
            leaves = self._disjunct(disjunct)
            if leaves is None:
                return None
            found.append(leaves)
        return self.assemble(found)

    def assemble(self, found: Sequence[Sequence[Candidate]]) -> Guidance:
        """Guidance with one tree per disjunct."""
        everything = [c for leaves in found for c in leaves]
        return self._with(tree_of([[c.path for c in leaves] for leaves in found]), everything)

    # one disjunct

    def _disjunct(self, disjunct: Disjunct) -> list[Candidate] | None:
        if any(a > b for a, b in zip(disjunct.box.lower, disjunct.box.upper, strict=True)):
            return [Candidate((), (1.0,) * len(disjunct.constraints), (1.0,) * self._count, ())]
        starts = [Candidate((), w, self._start(disjunct), ()) for w in _weights(len(disjunct.constraints))]
        work = [self._best(disjunct, starts)]
        closed: list[Candidate] = []
        while work:
            if len(closed) + len(work) > self.max_leaves:
                return None
            candidate = work.pop()
            if not candidate.margin > 0 and self.kind == NEURONS:
                candidate = self._tuned(disjunct, candidate)
            if candidate.margin > 0:
                closed.append(candidate)
                continue
            children = self._split(disjunct, candidate)
            if children is None:
                return None
            work += children
        return closed

    @property
    def _count(self) -> int:
        return sum(c.size for c in self.columns.values())

    def _start(self, disjunct: Disjunct) -> tuple[float, ...]:
        """Adaptive slopes: 1 where the upper bound is larger than the lower is low."""
        slopes: list[float] = []
        for activation, columns in self.columns.items():
            box = self._root(disjunct).boxes[self.claim.graph.nodes[activation].inputs[0]]
            slopes += (box.upper[0, columns] > -box.lower[0, columns]).astype(float).tolist()
        return tuple(slopes)

    def _root(self, disjunct: Disjunct) -> Bounds:
        key = id(disjunct.box)
        if key not in self.bounds:
            plan = self._plan(
                disjunct, [Candidate((), (1.0,) * len(disjunct.constraints), (1.0,) * self._count, ())]
            )
            self.bounds[key] = root_bounds(plan, 0)
        return self.bounds[key]

    def _best(self, disjunct: Disjunct, candidates: Sequence[Candidate]) -> Candidate:
        scored = self._scored(disjunct, candidates)
        return max(scored, key=lambda c: c.margin)

    def _scored(self, disjunct: Disjunct, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates with the margin that tlcheck proves for each."""
        plan = self._plan(disjunct, candidates)
        ranks = [rank for rank, leaf in enumerate(plan.leaves) if leaf.path == candidates[leaf.disjunct].path]
        bounds = None if self.kind == INPUTS else self._root(disjunct)
        outcomes = check_leaves(plan, bounds, ranks)
        return [replace(c, margin=o.margin) for c, o in zip(candidates, outcomes, strict=True)]

    def _tuned(self, disjunct: Disjunct, candidate: Candidate) -> Candidate:
        """Slopes and multipliers improved one at a time, then the improvements together."""
        for _ in range(ROUNDS):
            trials = [*_flips(candidate), *_steps(candidate), *_reweighted(candidate)]
            if not trials:
                return candidate
            scored = self._scored(disjunct, [t for _, t in trials])
            better = [
                (key, s) for (key, _), s in zip(trials, scored, strict=True) if s.margin > candidate.margin
            ]
            if not better:
                return candidate
            single = max((s for _, s in better), key=lambda s: s.margin)
            joint = self._best(disjunct, [_merged(candidate, better)])
            candidate = joint if joint.margin > single.margin else single
            if candidate.margin > 0:
                return candidate
        return candidate

    def _split(self, disjunct: Disjunct, candidate: Candidate) -> list[Candidate] | None:
        """The two children of the split whose worse child is best; None when nothing is left to split."""
        cuts = list(
            self._input_cuts(disjunct, candidate)
            if self.kind == INPUTS
            else self._neuron_cuts(disjunct, candidate)
        )
        if not cuts or self.kind == LINES:
            return None
        pairs = [candidate.child(Literal(node, i, side, p)) for node, i, p in cuts for side in (-1, 1)]
        scored = self._scored(disjunct, pairs)
        best = max(range(len(cuts)), key=lambda k: min(scored[2 * k].margin, scored[2 * k + 1].margin))
        return [scored[2 * best], scored[2 * best + 1]]

    def _neuron_cuts(self, disjunct: Disjunct, candidate: Candidate) -> Iterator[tuple[int, int, float]]:
        """Unstable ReLU operands, by the intercept -l u / (u - l) of their upper line; at most SHORT_LIST."""
        plan = self._plan(disjunct, [candidate])
        [rank] = [r for r, leaf in enumerate(plan.leaves) if leaf.path == candidate.path]
        known, _ = LeafChunk(plan, (rank,)).domain(self._root(disjunct))
        scored: list[tuple[float, int, int]] = []
        done = {(x.node, x.index) for x in candidate.path}
        for node in plan.network.targets:
            if not any(isinstance(self.claim.graph.nodes[c].op, Relu) for c in plan.network.consumers[node]):
                continue
            l, u = known.boxes[node].lower[0], known.boxes[node].upper[0]
            for i in np.flatnonzero((l < 0) & (u > 0)).tolist():
                if (node, i) not in done:
                    scored.append((-float(l[i]) * float(u[i]) / (float(u[i]) - float(l[i])), -node, -i))
        for _, node, i in sorted(scored, reverse=True)[:SHORT_LIST]:
            yield -node, -i, 0.0

    def _input_cuts(self, disjunct: Disjunct, candidate: Candidate) -> Iterator[tuple[int, int, float]]:
        """The middle of every input coordinate of the leaf's box."""
        flat = 0
        for node in self.claim.graph.inputs:
            for i in range(self.claim.graph.nodes[node].size):
                low, high = float(disjunct.box.lower[flat]), float(disjunct.box.upper[flat])
                for x in candidate.path:
                    if (x.node, x.index) == (node, i):
                        low, high = (max(low, x.point), high) if x.side > 0 else (low, min(high, x.point))
                if low < high:
                    yield node, i, 0.5 * (low + high)
                flat += 1

    # guidance

    def _plan(self, disjunct: Disjunct, candidates: Sequence[Candidate]) -> Plan:
        """A plan whose disjunct k is ``disjunct`` again, with a tree that is candidate k's path and stubs beside it."""
        query = self.claim.query
        rows: list[Row] = []
        roots = []
        for k, candidate in enumerate(candidates):
            rows.append((LEAF, 0, 0, 0.0, k, 0))
            leaf = at = len(rows) - 1
            for x in reversed(candidate.path):
                rows.append((SPLIT, x.node, x.index, x.point, *((leaf, at) if x.side > 0 else (at, leaf))))
                at = len(rows) - 1
            roots.append(at)
        tree = _tree(rows, roots)
        copies = Query(query.n_inputs, query.n_outputs, (disjunct,) * len(candidates))
        return Plan(UnsatClaim(self.claim.graph, copies), self._with(tree, candidates), SETTINGS)

    def _with(self, tree: Tree, candidates: Sequence[Candidate]) -> Guidance:
        """``tree`` with the candidates' leaves, in order."""
        slopes: dict[int, LeafSlopes] = {}
        start = 0
        table = np.array([c.slopes for c in candidates], np.float32).reshape(len(candidates), -1)
        for activation, columns in self.columns.items():
            slopes[activation] = LeafSlopes(
                columns, np.ascontiguousarray(table[:, start : start + columns.size]), None
            )
            start += columns.size
        return Guidance(
            tree,
            _leaves(candidates),
            leaf_slopes=slopes,
            shared_slopes=self.shared,
            intermediate=self.intermediate,
            per_leaf_bounds=self.kind == INPUTS,
        )


def tree_of(paths: Sequence[Sequence[tuple[Literal, ...]]]) -> Tree:
    """One tree per group of paths, which a search made: those that agree up to a depth split the same value there.

    Leaves are numbered in order, over all groups.
    """
    rows: list[Row] = []
    roots = []
    first = 0
    for group in paths:
        roots.append(_branch(rows, [(first + k, path) for k, path in enumerate(group)], 0))
        first += len(group)
    return _tree(rows, roots)


def _branch(rows: list[Row], leaves: list[tuple[int, tuple[Literal, ...]]], depth: int) -> int:
    """The row of the subtree whose leaves these are; children come first."""
    number, path = leaves[0]
    if len(path) == depth:
        rows.append((LEAF, 0, 0, 0.0, number, 0))
        return len(rows) - 1
    children = [
        _branch(rows, [leaf for leaf in leaves if leaf[1][depth].side == side], depth + 1) for side in (-1, 1)
    ]
    cut = path[depth]
    rows.append((SPLIT, cut.node, cut.index, cut.point, children[0], children[1]))
    return len(rows) - 1


def _tree(rows: Sequence[Row], roots: Sequence[int]) -> Tree:
    kind, node, index, point, below, above = zip(*rows, strict=True)

    def ints(values: Sequence[int]) -> NDArray[np.int64]:
        return np.array(values, dtype=np.int64)

    return Tree(
        ints(kind),
        ints(node),
        ints(index),
        np.array(point, dtype=np.float64),
        ints(below),
        ints(above),
        ints(roots),
    )


def _weights(n: int) -> list[tuple[float, ...]]:
    """Weights to try on n constraints: each alone, every pair, all."""
    tries = [
        tuple(float(i in chosen) for i in range(n))
        for chosen in [{k} for k in range(n)] + [{j, k} for k in range(n) for j in range(k)]
    ]
    return tries + ([(1.0,) * n] if n > 2 else [])


def _flips(candidate: Candidate) -> Iterator[tuple[tuple[str, int, float], Candidate]]:
    for k, slope in enumerate(candidate.slopes):
        for other in (0.0, 0.5, 1.0):
            if other != slope:
                yield (
                    ("slope", k, other),
                    replace(candidate, slopes=(*candidate.slopes[:k], other, *candidate.slopes[k + 1 :])),
                )


def _steps(candidate: Candidate) -> Iterator[tuple[tuple[str, int, float], Candidate]]:
    for k in range(len(candidate.path)):
        for beta in BETAS:
            yield (
                ("beta", k, beta),
                replace(candidate, betas=(*candidate.betas[:k], beta, *candidate.betas[k + 1 :])),
            )


def _reweighted(candidate: Candidate) -> Iterator[tuple[tuple[str, int, float], Candidate]]:
    if len(candidate.weights) > 1:
        for k, weight in enumerate(candidate.weights):
            for other in WEIGHTS:
                if other != weight:
                    yield (
                        ("weight", k, other),
                        replace(
                            candidate, weights=(*candidate.weights[:k], other, *candidate.weights[k + 1 :])
                        ),
                    )


def _merged(candidate: Candidate, better: Sequence[tuple[tuple[str, int, float], Candidate]]) -> Candidate:
    """Each slope's, multiplier's and weight's best single change (the smaller of two that tie), all at once."""
    changed = {
        "slope": list(candidate.slopes),
        "beta": list(candidate.betas),
        "weight": list(candidate.weights),
    }
    for (kind, k, value), _ in sorted(better, key=lambda item: (item[1].margin, -item[0][2])):
        changed[kind][k] = value
    return replace(
        candidate,
        slopes=tuple(changed["slope"]),
        betas=tuple(changed["beta"]),
        weights=tuple(changed["weight"]),
    )


def _leaves(candidates: Sequence[Candidate]) -> Leaves:
    weights = [[(q, w) for q, w in enumerate(c.weights) if w] for c in candidates]
    splits = [list(zip(c.path, c.betas, strict=True)) for c in candidates]
    flat = [pair for group in splits for pair in group]

    def ints(values: Iterable[int]) -> NDArray[Any]:
        return np.array(list(values), dtype=np.int64)

    return Leaves(
        constraint_ptr=np.cumsum(ints([0, *map(len, weights)])),
        constraint=ints(q for group in weights for q, _ in group),
        weight=np.array([w for group in weights for _, w in group], dtype=np.float64),
        split_ptr=np.cumsum(ints([0, *map(len, splits)])),
        split_node=ints(x.node for x, _ in flat),
        split_index=ints(x.index for x, _ in flat),
        split_side=ints(x.side for x, _ in flat),
        split_point=np.array([x.point for x, _ in flat], dtype=np.float64),
        split_beta=np.array([beta for _, beta in flat], dtype=np.float64),
        claimed=np.array([_claimed(c.margin) for c in candidates], dtype=np.float64),
    )


def _claimed(margin: float) -> float:
    """The margin rounded down to a multiple of 2^-20; NaN where there is none."""
    return ldexp(floor(ldexp(margin, CLAIM_BITS)), -CLAIM_BITS) if isfinite(margin) else float("nan")


def prove(
    claim: UnsatClaim,
    kind: str = NEURONS,
    max_leaves: int = 64,
    *,
    own_slopes: bool = True,
    intermediate: bool = False,
) -> Guidance | None:
    """Guidance that proves ``claim``, or None.

    ``own_slopes``: tune the lower slopes of unstable ReLUs per leaf. ``intermediate``: write down slopes for the
    intermediate bounds too, the better of none and all for each neuron.
    """
    search = Search(claim, kind, max_leaves)
    if kind == LINES:
        search.shared = _s_shaped(search)
    if kind == NEURONS and own_slopes:
        search.columns = _unstable(search)
    if intermediate:
        search.intermediate = _intermediate(search)
        search.bounds.clear()
    return search.guidance()


def _boxes(search: Search) -> list[Bounds]:
    distinct = {id(d.box): d for d in search.claim.query.disjuncts}
    return [search._root(d) for d in distinct.values()]


def _unstable(search: Search) -> dict[int, NDArray[np.int64]]:
    """ReLU neurons whose sign is open over some input box."""
    found: dict[int, NDArray[np.int64]] = {}
    for known in _boxes(search):
        for k, node in enumerate(search.claim.graph.nodes):
            if isinstance(node.op, Relu) and node.inputs[0] in known.boxes:
                box = known.boxes[node.inputs[0]]
                open_ = np.flatnonzero((box.lower[0] < 0) & (box.upper[0] > 0)).astype(np.int64)
                found[k] = np.union1d(found.get(k, open_), open_)
    search.bounds.clear()
    return {k: columns for k, columns in found.items() if columns.size}


def _s_shaped(search: Search) -> dict[int, SharedSlopes]:
    """One pair of slopes per S-shaped neuron, for the union of the input boxes' bounds."""
    found: dict[int, SharedSlopes] = {}
    for k, node in enumerate(search.claim.graph.nodes):
        if not isinstance(node.op, Sigmoid | Tanh):
            continue
        search.shared = found
        search.bounds.clear()
        boxes = [known.boxes[node.inputs[0]] for known in _boxes(search)]
        l, u = np.minimum.reduce([b.lower[0] for b in boxes]), np.maximum.reduce([b.upper[0] for b in boxes])
        lower, upper = (
            np.ldexp(np.rint(np.ldexp(node.op.good_slope(l, u, below), LINE_BITS)), -LINE_BITS)
            for below in (True, False)
        )
        found = {**found, k: SharedSlopes(lower, upper)}
    search.bounds.clear()
    return found


def _intermediate(search: Search) -> dict[tuple[int, int], IntermediateSlopes]:
    """For each operand of a second or later ReLU: rows 0 (none), 1 (all); the row whose lower bound is higher."""
    graph = search.claim.graph
    relus = [k for k, node in enumerate(graph.nodes) if isinstance(node.op, Relu)]
    found: dict[tuple[int, int], IntermediateSlopes] = {}
    for position, activation in enumerate(relus):
        columns = search.columns.get(activation)
        if columns is None:
            continue
        for later in relus[position + 1 :]:
            target = graph.nodes[later].inputs[0]
            rows = np.stack([np.zeros(columns.size), np.ones(columns.size)]).astype(np.float32)
            lows = []
            for row in (0, 1):
                every = np.full(graph.nodes[target].size, row, dtype=np.int64)
                search.intermediate = {
                    **found,
                    (target, activation): IntermediateSlopes(columns, every, rows, rows),
                }
                search.bounds.clear()
                lows.append(np.min([b.boxes[target].lower[0] for b in _boxes(search)], axis=0))
            chosen = (lows[1] > lows[0]).astype(np.int64)
            found[target, activation] = IntermediateSlopes(columns, chosen, rows, rows)
    return found
