"""Mutants of certificates and claims, and the independent check of whether a claim is still true.

``decide`` runs the path of ``tlcheck verify`` in this process. ``guidance_mutants`` changes one thing of the evidence;
``claim_mutants`` one thing of the model or the property. ``counterexample`` searches in float64 and confirms exactly
(Arb at an exact point), so what it returns really refutes the claim. ``falsified`` is a claim made false by a known
point: nothing may certify it, whatever the evidence says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tests import numpy_eval
from tests.helpers import settings
from tlcheck.trusted.arith.arb import ball, upper_float, working_precision
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.bounds import Bounds
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.decide import conclude_unsat
from tlcheck.trusted.evaluate import Evaluator
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import LEAF, SPLIT, Guidance
from tlcheck.trusted.leaf_pass import LeafOutcome, check_leaves
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale
from tlcheck.trusted.ops.bent import LeakyRelu
from tlcheck.trusted.ops.convolution import Conv
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.structure import Fixed, Input, Rearrange, ReduceSum
from tlcheck.trusted.plan import BadGuidance, Plan, root_bounds
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.trusted.verdict import Verdict

Array = NDArray[Any]
Rng = np.random.Generator
Point = tuple[Fraction, ...]

CHUNK = 64


# Deciding in process.


class Decider:
    """Decides one claim again and again; bounds of the root are kept while the evidence for them is the same."""

    def __init__(self, claim: UnsatClaim, arith: str = "auto") -> None:
        self.claim, self.settings = claim, settings(arith)
        self._known: dict[object, Bounds | None] = {}

    def decide(self, guidance: Guidance) -> str:
        """One of "certified", "unproven", "refused" (evidence that does not fit) or "broke".

        "broke": arrays of a rank or type that no reader hands on end in an exception of numpy: no verdict, no proof.
        """
        try:
            plan = Plan(self.claim, guidance, self.settings)
            outcomes: list[LeafOutcome] = []
            with threadpool_limits(1, "blas"):
                for ranks in self._chunks(plan):
                    bounds = self._bounds(plan, plan.region_of[plan.leaves[ranks[0]].disjunct])
                    outcomes += check_leaves(plan, bounds, ranks)
                    if not all(o.certified for o in outcomes):
                        break
            verdict, _ = conclude_unsat(plan, outcomes)
        except BadGuidance:
            return "refused"
        except OutOfRange:
            return "unproven"
        except (IndexError, TypeError, ValueError):
            return "broke"
        return "certified" if verdict is Verdict.CERTIFIED else "unproven"

    @staticmethod
    def _chunks(plan: Plan) -> Iterator[list[int]]:
        groups: dict[int, list[int]] = {}
        for rank, leaf in enumerate(plan.leaves):
            groups.setdefault(plan.region_of[leaf.disjunct], []).append(rank)
        for ranks in groups.values():
            yield from (ranks[i : i + CHUNK] for i in range(0, len(ranks), CHUNK))

    def _bounds(self, plan: Plan, region: int) -> Bounds | None:
        given = plan.given[region]
        if given.per_leaf_bounds:
            return None
        used = [(node, s.columns) for node, s in given.leaf_slopes.items()]
        key = (
            region,
            tuple((k, id(v)) for k, v in given.intermediate.items()),
            tuple((k, id(v)) for k, v in given.shared_slopes.items()),
            tuple((node, id(columns)) for node, columns in used),
        )
        if key not in self._known:
            self._known[key] = root_bounds(plan, region)
            self._kept = [*getattr(self, "_kept", []), given]  # ids stay unique while what they name lives
        return self._known[key]


def decide(claim: UnsatClaim, guidance: Guidance, arith: str = "auto") -> str:
    return Decider(claim, arith).decide(guidance)


# Mutants of the evidence.


@dataclass(frozen=True, eq=False)
class Mutant:
    """``what`` was changed, in words."""

    what: str
    guidance: Guidance


def float_changes(rng: Rng) -> list[tuple[str, Callable[[Any], Any]]]:
    return [
        ("sign", lambda v: -v),
        ("zero", lambda v: 0.0),
        ("minus zero", lambda v: -0.0),
        ("ulp up", lambda v: np.nextafter(v, np.inf)),
        ("ulp down", lambda v: np.nextafter(v, -np.inf)),
        ("huge", lambda v: 1e300),
        ("largest float32", lambda v: 3.4028234663852886e38),
        ("negative huge", lambda v: -1e300),
        ("NaN", lambda v: np.nan),
        ("inf", lambda v: np.inf),
        ("-inf", lambda v: -np.inf),
        ("subnormal", lambda v: 5e-324),
        ("one", lambda v: 1.0),
        ("two", lambda v: 2.0),
        ("times", lambda v: v * rng.uniform(0, 4)),
        ("random", lambda v: rng.uniform(-1, 2)),
    ]


INT_CHANGES: list[tuple[str, Callable[[int], int]]] = [
    ("+1", lambda v: v + 1),
    ("-1", lambda v: v - 1),
    ("zero", lambda v: 0),
    ("minus", lambda v: -v),
    ("-1 itself", lambda v: -1),
    ("huge", lambda v: 2**62),
    ("most negative", lambda v: -(2**63)),
    ("flip", lambda v: 1 - v),
]

WHOLE: list[tuple[str, Callable[[Array, Rng], Array]]] = [
    ("truncated", lambda a, r: a[:-1]),
    ("extended", lambda a, r: np.concatenate([a, a[-1:]])),
    ("empty", lambda a, r: a[:0]),
    ("reversed", lambda a, r: a[::-1].copy()),
    ("shuffled", lambda a, r: a[r.permutation(a.shape[0])]),
    ("rolled", lambda a, r: np.roll(a, 1, axis=0)),
    ("first everywhere", lambda a, r: np.repeat(a[:1], a.shape[0], axis=0)),
    ("two rows swapped", lambda a, r: _swapped(a, r)),
    ("one more axis", lambda a, r: a[None]),
    ("zeros", lambda a, r: np.zeros_like(a)),
    ("ones", lambda a, r: np.ones_like(a)),
    ("narrower", lambda a, r: a.astype(np.float32 if a.dtype.kind == "f" else np.int32)),
]


def _swapped(a: Array, rng: Rng) -> Array:
    b = a.copy()
    i, j = rng.integers(a.shape[0], size=2)
    b[i], b[j] = a[j], a[i]
    return b


def array_fields(g: Guidance) -> list[tuple[str, Array, Callable[[Array], Guidance]]]:
    """Every array of the evidence: its name, itself, and the evidence with another one in its place."""
    found: list[tuple[str, Array, Callable[[Array], Guidance]]] = []

    def add(name: str, part: Any, put: Callable[[Any], Guidance]) -> None:
        for f in fields(part):
            value = getattr(part, f.name)
            if isinstance(value, np.ndarray):
                found.append(
                    (f"{name}.{f.name}", value, lambda a, p=part, n=f.name: put(replace(p, **{n: a})))
                )

    add("tree", g.tree, lambda t: replace(g, tree=t))
    add("leaves", g.leaves, lambda x: replace(g, leaves=x))
    for name in ("leaf_slopes", "shared_slopes", "intermediate"):
        table = getattr(g, name)
        for key, part in table.items():
            add(f"{name}[{key}]", part, lambda p, n=name, k=key, t=table: replace(g, **{n: {**t, k: p}}))
    return found


def guidance_mutants(g: Guidance, graph: Graph, rng: Rng, count: int) -> Iterator[Mutant]:
    """``count`` mutants, fields and changes in turn, so that a full run meets every pair."""
    arrays = array_fields(g)
    plans: list[Callable[[], Mutant | None]] = []
    for name, array, put in arrays:
        for what, change in float_changes(rng) if array.dtype.kind == "f" else INT_CHANGES:
            plans.append(lambda n=name, a=array, p=put, w=what, c=change: _one_entry(n, a, p, w, c, rng))
        for what, whole in WHOLE:
            plans.append(lambda n=name, a=array, p=put, w=what, c=whole: _whole(n, a, p, w, c, rng))
    for structural in STRUCTURAL:
        plans += [lambda s=structural: s(g, graph, rng)] * 4
    order: list[int] = []
    made = 0
    while made < count:
        if not order:
            order = rng.permutation(len(plans)).tolist()
        mutant = plans[order.pop()]()
        if mutant is not None:
            made += 1
            yield mutant


def _one_entry(
    name: str, a: Array, put: Any, what: str, change: Callable[[Any], Any], rng: Rng
) -> Mutant | None:
    if not a.size:
        return None
    b = a.copy()
    at = int(rng.integers(a.size))
    with np.errstate(all="ignore"):
        old = b.reshape(-1)[at].item()
        new = change(old)
        if a.dtype.kind in "iu":
            info = np.iinfo(a.dtype)
            new = min(max(int(new), info.min), info.max)
        b.reshape(-1)[at] = new
    return Mutant(f"{name}[{at}] {what}", put(b))


def _whole(
    name: str, a: Array, put: Any, what: str, change: Callable[[Array, Rng], Array], rng: Rng
) -> Mutant | None:
    if a.ndim == 0 or not a.shape[0]:
        return None
    return Mutant(f"{name} {what}", put(change(a, rng)))


def _rewired(g: Guidance, graph: Graph, rng: Rng) -> Mutant | None:
    """A child of a split becomes any other row (a cycle included)."""
    split = np.flatnonzero(g.tree.kind == SPLIT)
    if not split.size:
        return None
    side = str(rng.choice(["below", "above"]))
    children = getattr(g.tree, side).copy()
    children[rng.choice(split)] = rng.integers(g.tree.size)
    return Mutant(f"tree rewired ({side})", replace(g, tree=replace(g.tree, **{side: children})))


def _dropped(g: Guidance, graph: Graph, rng: Rng) -> Mutant | None:
    """A split's branch is left out: both children are the same subtree."""
    split = np.flatnonzero(g.tree.kind == SPLIT)
    if not split.size:
        return None
    below, above = g.tree.below.copy(), g.tree.above.copy()
    row = rng.choice(split)
    if rng.random() < 0.5:
        below[row] = above[row]
    else:
        above[row] = below[row]
    return Mutant("tree branch left out", replace(g, tree=replace(g.tree, below=below, above=above)))


def _sides(g: Guidance, graph: Graph, rng: Rng) -> Mutant | None:
    split = g.tree.kind == SPLIT
    if not split.any():
        return None
    below, above = np.where(split, g.tree.above, g.tree.below), np.where(split, g.tree.below, g.tree.above)
    return Mutant("tree sides swapped", replace(g, tree=replace(g.tree, below=below, above=above)))


def _collapsed(g: Guidance, graph: Graph, rng: Rng) -> Mutant | None:
    """A split becomes a leaf, closed with any leaf's evidence."""
    row = int(rng.integers(g.tree.size))
    kind, below = g.tree.kind.copy(), g.tree.below.copy()
    kind[row], below[row] = LEAF, rng.integers(g.leaves.count)
    return Mutant("tree row made a leaf", replace(g, tree=replace(g.tree, kind=kind, below=below)))


def _other_value(g: Guidance, graph: Graph, rng: Rng) -> Mutant | None:
    """A split speaks of another value of the network, at another point."""
    split = np.flatnonzero(g.tree.kind == SPLIT)
    if not split.size:
        return None
    node, index, point = g.tree.node.copy(), g.tree.index.copy(), g.tree.point.copy()
    row = rng.choice(split)
    node[row] = rng.integers(len(graph.nodes))
    index[row] = rng.integers(max(1, graph.nodes[node[row]].size))
    point[row] = rng.normal() * 10.0 ** rng.integers(-3, 6)
    return Mutant(
        "tree splits another value", replace(g, tree=replace(g.tree, node=node, index=index, point=point))
    )


def _new_split(g: Guidance, graph: Graph, rng: Rng) -> Mutant | None:
    """A leaf becomes a split with that leaf on both sides; far points make one side empty."""
    t = g.tree
    leaves = np.flatnonzero(t.kind == LEAF)
    row = int(rng.choice(leaves))
    node = int(rng.integers(len(graph.nodes)))
    if not graph.nodes[node].size:
        return None
    n, copy = t.size, t.below[row]
    kind, below, above = (np.append(c, [v, v]) for c, v in ((t.kind, LEAF), (t.below, copy), (t.above, 0)))
    kind[row], below[row], above[row] = SPLIT, n, n + 1
    nodes, index, point = (
        np.append(t.node, [0, 0]),
        np.append(t.index, [0, 0]),
        np.append(t.point, [0.0, 0.0]),
    )
    nodes[row], index[row] = node, rng.integers(graph.nodes[node].size)
    point[row] = float(rng.choice([0.0, -0.0, rng.normal(), 1e30, -1e30, 5e-324, 1.7e308, -1.7e308]))
    tree = replace(t, kind=kind, node=nodes, index=index, point=point, below=below, above=above)
    return Mutant(f"a leaf split on node {node} at {point[row]}", replace(g, tree=tree))


def _one_root(g: Guidance, graph: Graph, rng: Rng) -> Mutant | None:
    if g.tree.roots.size < 2:
        return None
    roots = np.full_like(g.tree.roots, rng.choice(g.tree.roots))
    return Mutant("one root for all", replace(g, tree=replace(g.tree, roots=roots)))


def _bounds_elsewhere(g: Guidance, graph: Graph, rng: Rng) -> Mutant | None:
    return Mutant("per_leaf_bounds flipped", replace(g, per_leaf_bounds=not g.per_leaf_bounds))


def _entry_moved(g: Guidance, graph: Graph, rng: Rng) -> Mutant | None:
    """Slopes of one activation are given as another's (or of what is no activation), or left out."""
    name = str(rng.choice(["leaf_slopes", "shared_slopes", "intermediate"]))
    table = dict(getattr(g, name))
    if not table:
        return None
    keys = list(table)
    key = keys[int(rng.integers(len(keys)))]
    part = table.pop(key)
    if rng.random() < 0.7:
        other = int(rng.integers(-1, len(graph.nodes) + 1))
        table[(other, key[1]) if isinstance(key, tuple) else other] = part
    return Mutant(f"{name}[{key}] moved or left out", replace(g, **{name: table}))


def _slopes_redrawn(g: Guidance, graph: Graph, rng: Rng) -> Mutant | None:
    """Every slope of one activation at random, in or out of [0, 1]."""
    if not g.leaf_slopes:
        return None
    keys = list(g.leaf_slopes)
    key = keys[int(rng.integers(len(keys)))]
    part = g.leaf_slopes[key]
    scale = float(rng.choice([1.0, 1.0, 4.0, 1e30]))

    def draw(a: Array | None) -> Array | None:
        return None if a is None else scale * rng.uniform(-0.5, 1.5, a.shape)

    upper = draw(part.upper) if part.upper is not None else draw(part.lower)
    table = {**g.leaf_slopes, key: replace(part, lower=draw(part.lower), upper=upper)}
    return Mutant("leaf slopes redrawn", replace(g, leaf_slopes=table))


def _betas_redrawn(g: Guidance, graph: Graph, rng: Rng) -> Mutant | None:
    x = g.leaves
    if not x.split_beta.size:
        return None
    beta = rng.exponential(10.0 ** rng.integers(-3, 4), x.split_beta.size)
    side = np.where(rng.random(beta.size) < 0.3, -x.split_side, x.split_side)
    return Mutant("multipliers redrawn", replace(g, leaves=replace(x, split_beta=beta, split_side=side)))


STRUCTURAL = [
    _rewired, _dropped, _sides, _collapsed, _other_value, _new_split, _one_root, _bounds_elsewhere, _entry_moved,
    _slopes_redrawn, _betas_redrawn,
]  # fmt: skip


# Mutants of the claim.


def claim_mutants(claim: UnsatClaim, rng: Rng, count: int) -> Iterator[tuple[str, UnsatClaim]]:
    """``count`` claims that differ from ``claim`` in one number or one part of the property or the model."""
    made = 0
    while made < count:
        changed = (_changed_query if rng.random() < 0.6 else _changed_model)(claim, rng)
        if changed is not None:
            made += 1
            yield changed


def _size(rng: Rng) -> float:
    return float(10.0 ** rng.uniform(-9, 3))


def _changed_query(claim: UnsatClaim, rng: Rng) -> tuple[str, UnsatClaim] | None:
    query = claim.query
    d = int(rng.integers(len(query.disjuncts)))
    kinds = [_bound_moved, _coefficient, _constraint_dropped, _strictness, _box_moved, _turned]
    kind = kinds[int(rng.integers(len(kinds)))]
    changed = kind(query.disjuncts[d], rng)
    if changed is None:
        return None
    disjuncts = (*query.disjuncts[:d], changed, *query.disjuncts[d + 1 :])
    return kind.__name__, UnsatClaim(claim.graph, replace(query, disjuncts=disjuncts))


def _pick(d: Disjunct, rng: Rng) -> int | None:
    return int(rng.integers(len(d.constraints))) if d.constraints else None


def _with(d: Disjunct, q: int, constraint: LinearConstraint) -> Disjunct:
    return replace(d, constraints=(*d.constraints[:q], constraint, *d.constraints[q + 1 :]))


def _bound_moved(d: Disjunct, rng: Rng) -> Disjunct | None:
    q = _pick(d, rng)
    if q is None:
        return None
    c = d.constraints[q]
    move = Fraction(_size(rng)) * (1 if rng.random() < 0.8 else -1)
    return _with(d, q, replace(c, bound=c.bound + move))


def _coefficient(d: Disjunct, rng: Rng) -> Disjunct | None:
    q = _pick(d, rng)
    if q is None or not d.constraints[q].outputs:
        return None
    c = d.constraints[q]
    k = int(rng.integers(len(c.outputs)))
    i, a = c.outputs[k]
    new = a * Fraction(float(rng.choice([-1.0, 0.5, 2.0, 1.0 + 1e-6, 1000.0])))
    return _with(d, q, replace(c, outputs=(*c.outputs[:k], (i, new), *c.outputs[k + 1 :])))


def _constraint_dropped(d: Disjunct, rng: Rng) -> Disjunct | None:
    if len(d.constraints) < 2:
        return None
    q = int(rng.integers(len(d.constraints)))
    return replace(d, constraints=d.constraints[:q] + d.constraints[q + 1 :] + d.constraints[:1])


def _strictness(d: Disjunct, rng: Rng) -> Disjunct | None:
    q = _pick(d, rng)
    return None if q is None else _with(d, q, replace(d.constraints[q], strict=not d.constraints[q].strict))


def _turned(d: Disjunct, rng: Rng) -> Disjunct | None:
    """a <= b becomes a >= b."""
    q = _pick(d, rng)
    if q is None:
        return None
    c = d.constraints[q]
    turned = LinearConstraint(
        tuple((i, -a) for i, a in c.inputs), tuple((i, -a) for i, a in c.outputs), -c.bound, c.strict
    )
    return _with(d, q, turned)


def _box_moved(d: Disjunct, rng: Rng) -> Disjunct | None:
    lower, upper = list(d.box.lower), list(d.box.upper)
    everywhere = rng.random() < 0.5
    for i in range(len(lower)) if everywhere else [int(rng.integers(len(lower)))]:
        move = Fraction(_size(rng))
        if rng.random() < 0.5:
            lower[i] -= move
        else:
            upper[i] += move
    return replace(d, box=InputBox(tuple(lower), tuple(upper)))


def _changed_model(claim: UnsatClaim, rng: Rng) -> tuple[str, UnsatClaim] | None:
    graph = claim.graph
    weighted = [i for i, n in enumerate(graph.nodes) if isinstance(n.op, Linear | Conv | Scale)]
    activations = [i for i, n in enumerate(graph.nodes) if isinstance(n.op, Relu)]
    if activations and rng.random() < 0.1:
        i = int(rng.choice(activations))
        op: Any = LeakyRelu(float(rng.choice([1.0, -1.0, 0.5, 1e-6])))
        what = "an activation replaced"
    elif weighted:
        i = int(rng.choice(weighted))
        op, what = _reweighted(graph.nodes[i].op, rng), "a weight changed"
    else:
        return None
    nodes = (*graph.nodes[:i], replace(graph.nodes[i], op=op), *graph.nodes[i + 1 :])
    return what, UnsatClaim(replace(graph, nodes=nodes), claim.query)


def _reweighted(op: Any, rng: Rng) -> Any:
    names = [n for n in ("weight", "bias", "factor", "offset") if isinstance(getattr(op, n, None), Constant)]
    name = names[int(rng.integers(len(names)))]
    old: Constant = getattr(op, name)
    mid = old.mid.copy()
    flat = mid.reshape(-1)
    kind = int(rng.integers(5))
    if kind == 0:
        flat[int(rng.integers(flat.size))] *= -1
    elif kind == 1:
        flat[int(rng.integers(flat.size))] += _size(rng)
    elif kind == 2:
        flat *= mid.dtype.type(rng.uniform(-2, 4))
    elif kind == 3:
        flat += (rng.normal(size=flat.size) * _size(rng)).astype(mid.dtype)
    else:
        flat[:] = flat[rng.permutation(flat.size)]
    return replace(op, **{name: replace(old, mid=mid)})


# Whether a claim is false: search in float64, confirmation in Arb.


def outputs_at(graph: Graph, points: Array) -> Array:
    """(N, n_outputs) in float64, the batch at once where every operation allows it."""
    nodes = graph.nodes
    batched = all(n.shape[:1] == (1,) or isinstance(n.op, Fixed) for n in nodes) and not any(
        isinstance(n.op, ReduceSum) and 0 in n.op.axes for n in nodes
    )
    starts = np.cumsum([0, *(nodes[i].size for i in graph.inputs)])
    parts = [points[:, a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]
    if not batched:
        rows = [numpy_eval.evaluate(graph, [p[k] for p in parts]) for k in range(points.shape[0])]
        return np.array([np.concatenate([y.ravel() for y in row]) for row in rows])
    given, values = iter(parts), list[Array]()
    with np.errstate(all="ignore"):
        for node in nodes:
            xs = [values[j] for j in node.inputs]
            if isinstance(node.op, Input):
                value = next(given).reshape(-1, *node.shape[1:])
            elif isinstance(node.op, Fixed):
                value = np.broadcast_to(numpy_eval._fixed(node.op), (points.shape[0], *node.shape[1:]))
            elif isinstance(node.op, Rearrange):
                flat = np.concatenate([x.reshape(x.shape[0], -1) for x in xs], axis=1)
                if node.op.index is not None:
                    flat = np.append(flat, np.zeros((flat.shape[0], 1)), axis=1)[:, node.op.index]
                value = flat.reshape(-1, *node.shape[1:])
            elif isinstance(node.op, MaxOver):
                flat = np.append(
                    xs[0].reshape(xs[0].shape[0], -1), np.full((xs[0].shape[0], 1), -np.inf), axis=1
                )
                value = flat[:, node.op.index].max(axis=2).reshape(-1, *node.shape[1:])
            else:
                value = numpy_eval.rule(node.op)(node.op, *xs)
            values.append(value)
    return np.concatenate([values[i].reshape(points.shape[0], -1) for i in graph.outputs], axis=1)


def excess(claim: UnsatClaim, d: Disjunct, points: Array) -> Array:
    """(N,) the largest of left side minus bound over the disjunct's constraints: <= 0 is a counterexample."""
    y = outputs_at(claim.graph, points)
    rows = []
    with np.errstate(all="ignore"):
        for c in d.constraints:
            left = np.full(points.shape[0], -float(c.bound))
            for i, a in c.outputs:
                left = left + float(a) * y[:, i]
            for i, a in c.inputs:
                left = left + float(a) * points[:, i]
            rows.append(left)
    worst = np.max(rows, axis=0) if rows else np.full(points.shape[0], -1.0)
    return np.where(np.isfinite(worst), worst, np.inf)


def search(claim: UnsatClaim, d: Disjunct, rng: Rng, rounds: int = 5, population: int = 128) -> Array | None:
    """The point of least excess that samples, corners and repeated random steps from the best one find."""
    if any(a > b for a, b in zip(d.box.lower, d.box.upper, strict=True)):
        return None
    lo, hi = (np.array([float(q) for q in side]) for side in (d.box.lower, d.box.upper))
    unit = rng.random((population, lo.size))
    corners = np.where(unit < 0.5, lo, hi)
    points = np.concatenate([lo + unit * (hi - lo), corners, ((lo + hi) / 2)[None]])
    best, least = None, np.inf
    for _ in range(rounds):
        scores = excess(claim, d, points)
        k = int(np.argmin(scores))
        if best is None or scores[k] < least:
            best, least = points[k].copy(), float(scores[k])
        rate = rng.choice([0.02, 0.1, 0.3, 0.6], (population, 1))
        moved = rng.random((population, lo.size)) < np.maximum(rate, 1.0 / lo.size)
        target = np.where(
            rng.random((population, lo.size)) < 0.4,
            np.where(rng.random(lo.size) < 0.5, lo, hi),
            best
            + rng.normal(size=(population, lo.size))
            * (hi - lo)
            * rng.choice([0.3, 0.03, 0.003], (population, 1)),
        )
        points = np.clip(np.where(moved, target, best), lo, hi)
    return best


def exactly(box: InputBox, point: Array) -> Point:
    """The point as rationals inside the exact box."""
    triples = zip(box.lower, point.tolist(), box.upper, strict=True)
    return tuple(max(a, min(b, Fraction(x))) for a, x, b in triples)


def left_sides(claim: UnsatClaim, d: Disjunct, point: Point, evaluator: Evaluator | None = None) -> list[Any]:
    """Arb enclosures of left side minus bound of each constraint, at the exact point."""
    graph = claim.graph
    with working_precision(256):
        starts = np.cumsum([0, *(graph.nodes[i].size for i in graph.inputs)]).tolist()
        inputs = [[ball(q) for q in point[a:b]] for a, b in zip(starts[:-1], starts[1:], strict=True)]
        y = (evaluator or Evaluator(graph)).evaluate(inputs).outputs
        result = []
        for c in d.constraints:
            left = ball(sum((a * point[i] for i, a in c.inputs), Fraction(0)) - c.bound)
            for i, a in c.outputs:
                left = left + ball(a) * y[i]
            result.append(left)
    return result


def refutes(claim: UnsatClaim, d: Disjunct, point: Point) -> bool:
    """The point lies in the box and satisfies every constraint, proved."""
    if not all(a <= x <= b for a, x, b in zip(d.box.lower, point, d.box.upper, strict=True)):
        return False
    return all(
        left.is_finite() and (left < 0 or (left <= 0 and not c.strict))
        for left, c in zip(left_sides(claim, d, point), d.constraints, strict=True)
    )


def counterexample(
    claim: UnsatClaim, rng: Rng, rounds: int = 5, among: list[Disjunct] | None = None
) -> Point | None:
    """A point that refutes the claim, confirmed exactly; None when the search finds none.

    ``among``: where to search; by default everywhere, or in four disjuncts of many.
    """
    distinct = list({id(d): d for d in claim.query.disjuncts}.values())
    if among is None and len(distinct) > 4:
        among = [distinct[k] for k in rng.choice(len(distinct), 4, replace=False)]
    for d in distinct if among is None else among:
        with threadpool_limits(1, "blas"):
            best = search(claim, d, rng, rounds)
            if best is None or excess(claim, d, best[None])[0] > 1e-6:
                continue
        point = exactly(d.box, best)
        if refutes(claim, d, point):
            return point
    return None


def nonempty(claim: UnsatClaim) -> list[int]:
    """The disjuncts whose box has a point: only these can be made false."""
    return [
        k
        for k, d in enumerate(claim.query.disjuncts)
        if all(a <= b for a, b in zip(d.box.lower, d.box.upper, strict=True))
    ]


def falsified(claim: UnsatClaim, rng: Rng, rounds: int = 12) -> tuple[UnsatClaim, Point]:
    """A claim that is false by the returned point, and by as little as an attack could make it.

    The constraints of one disjunct are loosened to the exact values at the point of least excess found.
    """
    k = int(rng.choice(nonempty(claim)))
    d = claim.query.disjuncts[k]
    with threadpool_limits(1, "blas"):
        best = search(claim, d, rng, rounds)
    if best is None:
        raise AssertionError("no point of a box that has some")
    point = exactly(d.box, best)
    constraints = []
    for c, left in zip(d.constraints, left_sides(claim, d, point), strict=True):
        over = Fraction(upper_float(left))
        constraints.append(replace(c, bound=c.bound + over, strict=False) if over > 0 or c.strict else c)
    false = replace(d, constraints=tuple(constraints))
    disjuncts = (*claim.query.disjuncts[:k], false, *claim.query.disjuncts[k + 1 :])
    lie = UnsatClaim(claim.graph, Query(claim.query.n_inputs, claim.query.n_outputs, disjuncts))
    if not refutes(lie, false, point):
        raise AssertionError("the known point does not refute the falsified claim")
    return lie, point
