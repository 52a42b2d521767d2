"""Random claims, random guidance: nothing that an exact point refutes is ever certified.

Each case is a random network (every operator), a query with known counterexamples among exact sampled points, and
random guidance: trees, slopes, multipliers, weights, most of it nonsense. Two kinds of cases:

* *refuted*: the property is met at a sampled point, evaluated exactly; no arithmetic may certify it;
* *slack*: the constraint is moved a growing distance beyond every sample, so that proofs succeed: it shows that the
  harness is not vacuous, and every margin of a certified leaf is compared with every exact point in that leaf.

TLCHECK_SOAK=1 runs for minutes, TLCHECK_SEED changes the cases.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, prod

import numpy as np
import pytest

from tests.helpers import ENGINES, IEEE, settings
from tlcheck.options import ARITHMETICS
from tlcheck.trusted.arith.arb import ball, working_precision
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.decide import conclude_unsat
from tlcheck.trusted.evaluate import Evaluator
from tlcheck.trusted.formed_pass import check_formed
from tlcheck.trusted.graph import Graph, Node
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
from tlcheck.trusted.leaf_pass import check_leaves
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Scale, Sum
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.bent import Abs, Clip, LeakyRelu
from tlcheck.trusted.ops.convolution import Conv, ConvTranspose
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.selection import MaxOver
from tlcheck.trusted.ops.structure import Fixed, Input, Rearrange, ReduceSum
from tlcheck.trusted.plan import Plan, Settings, root_bounds
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.trusted.verdict import Verdict

Rng = np.random.Generator
SOAK = os.environ.get("TLCHECK_SOAK") == "1"
CASES = 4000 if SOAK else 40
SEED = int(os.environ.get("TLCHECK_SEED", "7"))
POINTS = 6
PRECISION = 400
FLOOR = 3000


@dataclass
class Count:
    """What the harness did, so that it is known not to be vacuous."""

    claims: int = 0
    refuted: int = 0
    certified: int = 0
    leaves: int = 0


# Networks.


class Builder:
    """A random graph, node by node; ``nasty`` picks the kind of constants."""

    def __init__(self, rng: Rng, nasty: str) -> None:
        self.rng, self.nasty = rng, nasty
        self.nodes: list[Node] = []

    def add(self, op: Operation, *inputs: int) -> int:
        shape = op.output_shape(tuple(self.nodes[j].shape for j in inputs))
        self.nodes.append(Node(op, inputs, tuple(int(n) for n in shape), f"n{len(self.nodes)}"))
        return len(self.nodes) - 1

    def constant(self, *shape: int, radius: bool = True) -> Constant:
        rng = self.rng
        x = rng.standard_normal(shape)
        match self.nasty:
            case "mixed":
                x = x * 2.0 ** rng.integers(-40, 20, shape)
            case "tiny":
                x = x * rng.choice([1.0, 1e-300, 1e-310, 0.0], shape)
            case "large":
                x = x * rng.choice([1.0, 2.0**60, 2.0**-70], shape)
            case "huge":
                x = x * rng.choice([1.0, 2.0**150, 2.0**-150], shape)
            case "extreme":
                x = x * rng.choice([1.0, 1e300, 2.0**-300], shape)
            case "integers":
                x = np.rint(2 * x)
        if rng.random() < 0.4:
            x = np.clip(x, -1e30, 1e30).astype(np.float32)
        rad = None
        if radius and rng.random() < 0.15:
            rad = np.abs(x.astype(np.float64)) * 2.0**-30 * rng.integers(0, 2, shape)
        return Constant(np.asarray(x), rad)

    def maybe(self, *shape: int) -> Constant | None:
        return self.constant(*shape) if self.rng.random() < 0.7 else None

    def step(self) -> None:
        """Append one random operation on a recent node."""
        rng = self.rng
        x = max(0, len(self.nodes) - 1 - int(rng.integers(0, 3)))
        shape = self.nodes[x].shape
        kind = rng.choice(
            ["linear", "act", "act", "conv", "sum", "scale", "move", "max", "reduce", "fixed", "reshape"]
        )
        match kind:
            case "linear":
                k, n = shape[-1], int(rng.integers(1, 5))
                self.add(Linear(self.constant(k, n), self.maybe(n), int(rng.integers(0, 2))), x)
            case "act":
                self.add(self.activation(shape), x)
            case "conv":
                self.convolution(x)
            case "sum":
                same = [j for j, node in enumerate(self.nodes) if node.shape == shape]
                others = [int(rng.choice(same)) for _ in range(int(rng.integers(1, 3)))]
                self.add(Sum(tuple(int(rng.choice([1, -1])) for _ in range(1 + len(others)))), x, *others)
            case "scale":
                over = tuple(n if rng.random() < 0.7 else 1 for n in shape)
                factor = (
                    Constant(np.full((1,) * len(shape), rng.choice([1.0, -1.0])))
                    if rng.random() < 0.3
                    else self.constant(*over)
                )
                self.add(Scale(factor, self.maybe(*shape), 1), x)
            case "move":
                y = int(rng.integers(0, len(self.nodes)))
                total = prod(shape) + self.nodes[y].size
                out = (1, int(rng.integers(1, 7)))
                self.add(Rearrange(out, rng.integers(-1, total, prod(out))), x, y)
            case "max":
                size, rows = prod(shape), int(rng.integers(1, 4))
                index = rng.integers(-1, size, (rows, int(rng.integers(1, 4))))
                index[np.arange(rows), rng.integers(0, index.shape[1], rows)] = rng.integers(0, size, rows)
                self.add(MaxOver((1, rows), index), x)
            case "reduce":
                axes = tuple(a for a in range(len(shape)) if rng.random() < 0.5)
                if len(axes) < len(shape):
                    self.add(ReduceSum(axes, bool(rng.random() < 0.5)), x)
            case "fixed":
                self.add(Fixed(self.constant(1, int(rng.integers(1, 4)))))
            case "reshape":
                self.add(Rearrange((1, prod(shape))), x)

    def activation(self, shape: tuple[int, ...]) -> Operation:
        rng = self.rng
        low = self.constant(*(shape if rng.random() < 0.5 else (1,)), radius=False)
        high = self.constant(*(shape if rng.random() < 0.5 else (1,)), radius=False)
        options: list[Operation] = [
            Relu(),
            Relu(),
            Relu(),
            Abs(),
            LeakyRelu(float(rng.choice([-2.5, -1.0, 0.0, 0.01, 1.0, 3.3]))),
        ]
        options += [
            Clip(low if rng.random() < 0.8 else None, high if rng.random() < 0.8 else None),
            Sigmoid(),
            Tanh(),
        ]
        return options[int(rng.integers(0, len(options)))]

    def convolution(self, x: int) -> None:
        rng = self.rng
        size = self.nodes[x].size
        groups = int(rng.choice([1, 2])) if size % 2 == 0 else 1
        channels = groups if size // groups <= 16 else size
        if size % channels:
            return
        x = self.add(Rearrange((1, channels, size // channels)), x)
        kernel, s, d = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
        pads = tuple((int(p),) for p in rng.integers(0, 3, 2))
        try:
            if rng.random() < 0.5:
                out = groups * int(rng.integers(1, 3))
                w = self.constant(out, channels // groups, kernel)
                self.add(Conv(w, self.maybe(out), (s,), (d,), *pads, groups), x)
            else:
                og = int(rng.integers(1, 3))
                w = self.constant(channels, og, kernel)
                extra = (int(rng.integers(0, max(s, d))),)
                self.add(ConvTranspose(w, self.maybe(og * groups), (s,), (d,), *pads, extra, groups), x)
        except ValueError:
            pass  # this geometry does not fit


def random_graph(rng: Rng, nasty: str) -> Graph:
    b = Builder(rng, nasty)
    for _ in range(int(rng.integers(1, 3))):
        b.add(Input((1, int(rng.integers(1, 5)))))
    inputs = len(b.nodes)
    wanted = inputs + int(rng.integers(2, 9))
    while len(b.nodes) < wanted:
        b.step()
    last = len(b.nodes) - 1
    outputs = tuple(
        int(o)
        for o in rng.choice([last, last, last, int(rng.integers(0, last + 1))], int(rng.integers(1, 3)))
    )
    return Graph(
        tuple(b.nodes),
        outputs,
        tuple(f"x{i}" for i in range(inputs)),
        tuple(f"y{i}" for i in range(len(outputs))),
    )


# Points, evaluated exactly.


@dataclass(frozen=True)
class Sample:
    """A point of the region, and an enclosure of the value of every node there."""

    inputs: tuple[Fraction, ...]
    values: dict[int, list[tuple[Fraction, Fraction]]]


def ends(x: object) -> tuple[Fraction, Fraction]:
    """The ends of an Arb ball, outward."""
    out = []
    for end, sign in ((x.lower(), 1), (x.upper(), -1)):  # type: ignore[attr-defined]
        man, exp = (int(part) for part in end.man_exp())
        if exp < -FLOOR:  # outward to the grid 2^-FLOOR: sigmoid(-1e300) has no use for more
            man, exp = sign * ((sign * man) >> (-exp - FLOOR)), -FLOOR
        out.append(Fraction(man) * Fraction(2) ** exp)
    return out[0], out[1]


def samples(graph: Graph, box: InputBox, rng: Rng, count: int) -> list[Sample]:
    evaluator = Evaluator(graph)
    found = []
    for _ in range(count):
        mix = [Fraction(int(t), 8) for t in rng.choice([0, 0, 8, 8, int(rng.integers(0, 9))], box.size)]
        x = tuple(a + t * (b - a) for a, b, t in zip(box.lower, box.upper, mix, strict=True))
        with working_precision(PRECISION):
            parts, start = [], 0
            for node in graph.inputs:
                parts.append([ball(q) for q in x[start : start + graph.nodes[node].size]])
                start += graph.nodes[node].size
            kept = evaluator.evaluate(parts, keep=range(len(graph.nodes))).kept
            found.append(Sample(x, {i: [ends(v) for v in balls] for i, balls in kept.items()}))
    return found


def flat(graph: Graph, sample: Sample) -> list[tuple[Fraction, Fraction]]:
    """Enclosures of all outputs."""
    return [v for node in graph.outputs for v in sample.values[node]]


def left(graph: Graph, c: LinearConstraint, s: Sample) -> tuple[Fraction, Fraction]:
    """Enclosure of the constraint's left side at a sample."""
    y = flat(graph, s)
    fixed = sum((a * s.inputs[i] for i, a in c.inputs), Fraction(0))
    low = fixed + sum((min(a * y[i][0], a * y[i][1]) for i, a in c.outputs), Fraction(0))
    high = fixed + sum((max(a * y[i][0], a * y[i][1]) for i, a in c.outputs), Fraction(0))
    return low, high


# Guidance.


def random_tree(
    rng: Rng, graph: Graph, disjuncts: int, splits: int, points: list[Sample]
) -> tuple[Tree, int, list[tuple[int, int, int, float]]]:
    rows: list[list[float]] = []
    literals: list[tuple[int, int, int, float]] = []
    roots, leaf = [], 0

    def build(depth: int) -> int:
        nonlocal leaf
        at = len(rows)
        if depth == 0 or rng.random() < 0.25:
            rows.append([LEAF, 0, 0, 0.0, leaf, 0])
            leaf += 1
            return at
        node = int(rng.integers(0, len(graph.nodes)))
        index = int(rng.integers(0, graph.nodes[node].size))
        exact = points[int(rng.integers(0, len(points)))].values[node][index][0]
        value = float(exact) if abs(exact) < 2**1000 else 0.0
        point = float(rng.choice([0.0, value, value * 0.5, 1e-3]))
        point = point if np.isfinite(point) else 0.0
        literals.extend([(node, index, 1, point), (node, index, -1, point)])
        rows.append([SPLIT, node, index, point, 0, 0])
        rows[at][4] = build(depth - 1)
        rows[at][5] = build(depth - 1)
        return at

    for _ in range(disjuncts):
        roots.append(build(splits))
    table = np.array(rows, dtype=object)
    ints = [table[:, k].astype(np.int64) for k in (0, 1, 2, 4, 5)]
    tree = Tree(
        ints[0], ints[1], ints[2], table[:, 3].astype(np.float64), ints[3], ints[4], np.array(roots, np.int64)
    )
    return tree, leaf, literals


def random_guidance(rng: Rng, graph: Graph, query: Query, points: list[Sample]) -> Guidance:
    tree, count, literals = random_tree(rng, graph, len(query.disjuncts), int(rng.integers(0, 4)), points)
    owner = leaf_owners(tree, count)
    positions, weights, constraint_ptr = [], [], [0]
    splits, split_ptr = [], [0]
    for k in range(count):
        n = len(query.disjuncts[owner[k]].constraints)
        chosen = rng.integers(0, n, int(rng.integers(1, n + 1)))
        positions += chosen.tolist()
        weights += rng.choice([1.0, 1.0, 0.5, 1e-3, 1e6], chosen.size).tolist()
        constraint_ptr.append(len(positions))
        for literal in literals:
            if rng.random() < 0.7:
                beta = float(rng.choice([1e-3, 0.1, 1.0, abs(rng.standard_normal()), 1e30, 1e-300, 1e300]))
                splits.append((*literal, beta))
        split_ptr.append(len(splits))
    columns = list(zip(*splits, strict=True)) if splits else [(), (), (), (), ()]
    given = Leaves(
        np.array(constraint_ptr), np.array(positions, np.int64), np.array(weights, np.float64), np.array(split_ptr),
        *(np.array(c, np.int64) for c in columns[:3]), np.array(columns[3], np.float64), np.array(columns[4], np.float64),
        np.full(count, np.nan),
    )  # fmt: skip
    acts = [i for i, node in enumerate(graph.nodes) if isinstance(node.op, Elementwise)]
    leaf_slopes, shared, inner = {}, {}, {}
    for i in acts:
        n = graph.nodes[i].size
        some = np.flatnonzero(rng.random(n) < 0.7)
        if rng.random() < 0.4:
            lower, upper = (slopes(rng, (count, some.size)) if rng.random() < 0.7 else None for _ in range(2))
            leaf_slopes[i] = LeafSlopes(some, lower, upper)
        if rng.random() < 0.3:
            shared[i] = SharedSlopes(*(slopes(rng, (n,)) if rng.random() < 0.7 else None for _ in range(2)))
        for t in range(i + 1, len(graph.nodes)):
            if rng.random() < 0.3:
                row = rng.integers(0, 3, graph.nodes[t].size)
                inner[t, i] = IntermediateSlopes(
                    some, row, slopes(rng, (3, some.size)), slopes(rng, (3, some.size))
                )
    return Guidance(
        tree,
        given,
        leaf_slopes=leaf_slopes,
        shared_slopes=shared,
        intermediate=inner,
        per_leaf_bounds=bool(rng.random() < 0.4),
    )


def leaf_owners(tree: Tree, count: int) -> list[int]:
    """The disjunct of each leaf."""
    owner = [0] * count
    for d, root in enumerate(tree.roots.tolist()):
        todo = [root]
        while todo:
            row = todo.pop()
            if tree.kind[row] == LEAF:
                owner[int(tree.below[row])] = d
            else:
                todo += [int(tree.below[row]), int(tree.above[row])]
    return owner


def slopes(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    wild = rng.choice([0.0, 1.0, 0.5, -1.0, 2.0, 7.3, 1e6, 1e-12, np.nan, np.inf], shape)
    return np.where(rng.random(shape) < 0.7, rng.random(shape), wild)


# Deciding.


def decide(
    claim: UnsatClaim, guidance: Guidance, settings: Settings
) -> tuple[Plan, Verdict, dict[int, float]]:
    """As schedule.run_leaves does, in this process: (plan, verdict, rank -> margin of certified leaves)."""
    plan = Plan(claim, guidance, settings)
    outcomes, check = [], check_formed if plan.bounding_engine.name == "ball64" else check_leaves
    for region in range(len(plan.regions)):
        ranks = [k for k, leaf in enumerate(plan.leaves) if plan.region_of[leaf.disjunct] == region]
        if not ranks:
            continue
        try:
            bounds = None if plan.given[region].per_leaf_bounds else root_bounds(plan, region)
        except OutOfRange:
            continue
        for start in range(0, len(ranks), 3):
            outcomes += check(plan, bounds, ranks[start : start + 3])
    verdict, _ = conclude_unsat(plan, outcomes)
    return plan, verdict, {o.rank: o.margin for o in outcomes if o.margin > -inf}


def check_margins(plan: Plan, margins: dict[int, float], points: list[Sample]) -> None:
    """Every proved margin is at most the weighted constraints at every sampled point of the leaf's domain."""
    given = plan.guidance.leaves
    for rank, margin in margins.items():
        leaf = plan.leaves[rank]
        disjunct = plan.claim.query.disjuncts[leaf.disjunct]
        for s in points:
            inside = all(
                a <= x <= b for a, x, b in zip(disjunct.box.lower, s.inputs, disjunct.box.upper, strict=True)
            )
            for lit in leaf.path:
                low, high = s.values[lit.node][lit.index]
                inside &= low >= Fraction(lit.point) if lit.side > 0 else high <= Fraction(lit.point)
            if not inside:
                continue
            assert margin < inf, f"leaf {rank} is said to be empty, and holds a point"
            total = Fraction(0)
            for j in range(
                int(given.constraint_ptr[leaf.guidance]), int(given.constraint_ptr[leaf.guidance + 1])
            ):
                c = disjunct.constraints[int(given.constraint[j])]
                total += Fraction(float(given.weight[j])) * (left(plan.claim.graph, c, s)[1] - c.bound)
            assert Fraction(margin) <= total, f"leaf {rank}: margin {margin}, exact {float(total)}"


def random_box(rng: Rng, n: int) -> InputBox:
    lower = [Fraction(int(a), 7) for a in rng.integers(-9, 9, n)]
    return InputBox(
        tuple(lower),
        tuple(a + Fraction(int(w), 9) for a, w in zip(lower, rng.integers(0, 12, n), strict=True)),
    )


def random_constraint(rng: Rng, graph: Graph) -> LinearConstraint:
    ins = tuple(
        (i, Fraction(int(rng.integers(1, 9)), 3)) for i in range(graph.n_inputs) if rng.random() < 0.2
    )
    outs = tuple(
        (i, Fraction(int(rng.choice([-3, -1, 1, 2])), 3))
        for i in range(graph.n_outputs)
        if rng.random() < 0.7
    )
    return LinearConstraint(ins, outs, Fraction(0), bool(rng.random() < 0.5))


def one_case(seed: int, arith: str, count: Count) -> None:
    rng = np.random.default_rng([SEED, seed])
    nasty = str(
        rng.choice(["normal", "normal", "normal", "integers", "mixed", "tiny", "large", "huge", "extreme"])
    )
    graph = random_graph(rng, nasty)
    boxes = [random_box(rng, graph.n_inputs) for _ in range(int(rng.integers(1, 3)))]
    points = [samples(graph, box, rng, POINTS) for box in boxes]
    shapes = [[random_constraint(rng, graph) for _ in range(int(rng.integers(1, 3)))] for _ in boxes]
    chosen = settings(arith, int(rng.choice([64, 128])), None, float(rng.choice([0.0, 1e9])))
    guidance = None
    for gap in (None, Fraction(0), Fraction(1, 100), Fraction(100), Fraction(10**6), Fraction(10**60)):
        disjuncts = []
        for box, found, constraints in zip(boxes, points, shapes, strict=True):
            if gap is None:  # met exactly at the first sample
                disjuncts.append(
                    Disjunct(
                        box,
                        tuple(
                            replace(c, bound=left(graph, c, found[0])[1], strict=False) for c in constraints
                        ),
                    )
                )
            else:  # below every sample by ``gap``
                low = [min(left(graph, c, s)[0] for s in found) for c in constraints]
                disjuncts.append(
                    Disjunct(
                        box, tuple(replace(c, bound=a - gap) for c, a in zip(constraints, low, strict=True))
                    )
                )
        query = Query(graph.n_inputs, graph.n_outputs, tuple(disjuncts))
        guidance = guidance or random_guidance(rng, graph, query, points[0])
        plan, verdict, margins = decide(UnsatClaim(graph, query), guidance, chosen)
        count.claims += 1
        for found in points:
            check_margins(plan, margins, found)
        if gap is None:
            count.refuted += 1
            assert verdict is not Verdict.CERTIFIED
            continue
        if verdict is Verdict.CERTIFIED:
            count.certified += 1
            count.leaves += len(plan.leaves)
            return


@pytest.mark.parametrize("arith", ARITHMETICS)
def test_no_refuted_claim_is_certified(arith: str) -> None:
    count = Count()
    for seed in range(CASES):
        try:
            one_case(seed, arith, count)
        except Exception as error:
            raise AssertionError(
                f"seed {SEED}, case {seed}, {arith}: {type(error).__name__}: {error}"
            ) from error
    print(f"\n{arith}: {count}")
    assert count.refuted == CASES
    assert count.certified > CASES // 3, count


# Deployed semantics: emulated float32 executions.


def execute32(graph: Graph, inputs: list[np.ndarray], rng: Rng) -> list[np.ndarray]:
    """One float32 execution: sums in a random order each, with or without FMA, subnormals flushed or kept."""
    fma, flush = bool(rng.random() < 0.5), bool(rng.random() < 0.5)

    def f32(x: float) -> float:
        y = float(np.float32(x))
        return 0.0 if flush and abs(y) < 2.0**-126 else y

    def total(terms: list[tuple[float, float]], offset: float | None) -> float:
        pairs = terms if offset is None else [*terms, (offset, 1.0)]
        order = rng.permutation(len(pairs))
        if fma:
            s = 0.0
            for k in order:  # a product of two float32 is exact in float64
                s = f32(s + pairs[k][0] * pairs[k][1])
            return s
        parts = [f32(pairs[k][0] * pairs[k][1]) for k in order]
        while len(parts) > 1:
            i = int(rng.integers(0, len(parts) - 1))
            parts[i : i + 2] = [f32(parts[i] + parts[i + 1])]
        return parts[0] if parts else 0.0

    values: list[np.ndarray] = []
    given = iter(inputs)
    for node in graph.nodes:
        xs = [values[j] for j in node.inputs]
        match node.op:
            case Input():
                y = next(given)
            case Linear() as op:
                w, b, x = op.weight.mid.astype(float), op.bias, xs[0].reshape(-1, op.weight.shape[0])
                y = np.array([
                    total(list(zip(row.tolist(), w[:, n].tolist(), strict=True)), None if b is None else float(b.mid[n]))
                    for row in x for n in range(w.shape[1])
                ])  # fmt: skip
            case Scale() as op:
                f = np.broadcast_to(op.factor.mid.astype(float), node.shape).reshape(-1)
                o = (
                    None
                    if op.offset is None
                    else np.broadcast_to(op.offset.mid.astype(float), node.shape).reshape(-1)
                )
                y = np.array(
                    [
                        total([(float(x), float(f[k]))], None if o is None else float(o[k]))
                        for k, x in enumerate(xs[0].flat)
                    ]
                )
            case Sum() as op:
                y = np.array(
                    [
                        total([(float(x), float(s)) for x, s in zip(col, op.signs, strict=True)], None)
                        for col in zip(*(x.flat for x in xs), strict=True)
                    ]
                )
            case Relu():
                y = np.maximum(xs[0], 0)
            case LeakyRelu() as op:
                y = np.array([x if x >= 0 else f32(op.alpha * x) for x in xs[0].flat])
            case Abs():
                y = np.abs(xs[0])
            case MaxOver() as op:
                y = np.array([max(float(xs[0].flat[i]) for i in row if i >= 0) for row in op.index])
            case Rearrange() as op:
                together = np.concatenate([x.reshape(-1) for x in xs])
                y = together if op.index is None else np.where(op.index >= 0, together[op.index], 0.0)
            case _:
                raise AssertionError(type(node.op))
        values.append(np.asarray(y, np.float64).reshape(node.shape))
    return values


def random_graph32(rng: Rng) -> Graph:
    b = Builder(rng, "normal")
    scales = [1.0, 1.0, 1e-20, 1e15] if rng.random() < 0.3 else [1.0]

    def constant(*shape: int) -> Constant:
        return Constant((rng.standard_normal(shape) * rng.choice(scales, shape)).astype(np.float32))

    b.add(Input((1, int(rng.integers(1, 6)))))
    for _ in range(int(rng.integers(2, 8))):
        x = max(0, len(b.nodes) - 1 - int(rng.integers(0, 2)))
        shape = b.nodes[x].shape
        kind = int(rng.integers(0, 6))
        if kind <= 1:
            n = int(rng.integers(1, 7))
            b.add(Linear(constant(shape[-1], n), constant(n) if rng.random() < 0.6 else None, 0), x)
        elif kind == 2:
            b.add(
                Scale(constant(*shape), None, 1)
                if rng.random() < 0.5
                else Scale(Constant(np.ones((1, 1), np.float32)), constant(*shape), 1),
                x,
            )
        elif kind == 3:
            same = [j for j, node in enumerate(b.nodes) if node.shape == shape]
            b.add(Sum((1, -1)), x, int(rng.choice(same)))
        elif kind == 4:
            b.add([Relu(), LeakyRelu(0.125), LeakyRelu(3.0), Abs()][int(rng.integers(0, 4))], x)
        else:
            size = prod(shape)
            b.add(MaxOver((1, 2), rng.integers(0, size, (2, 2))), x)
    return Graph(tuple(b.nodes), (len(b.nodes) - 1,), ("x",), ("y",))


def deployed_case(seed: int, arith: str, count: Count) -> None:
    """Every value of every emulated execution lies in its node's box, and above the proved margin."""
    rng = np.random.default_rng([SEED, 32, seed])
    graph = random_graph32(rng)
    low = rng.integers(-8, 8, graph.n_inputs) / 8
    high = low + (
        rng.integers(0, 3, graph.n_inputs) / 2.0 ** rng.integers(0, 20) if rng.random() < 0.7 else 0
    )
    box = InputBox(tuple(map(Fraction, low.tolist())), tuple(map(Fraction, high.tolist())))
    sign = Fraction(int(rng.choice([-1, 1])))
    query = Query(
        graph.n_inputs, graph.n_outputs, (Disjunct(box, (LinearConstraint((), ((0, sign),), Fraction(0)),)),)
    )
    points = samples(graph, box, rng, 2)
    guidance = random_guidance(rng, graph, query, points)
    plan, _, margins = decide(UnsatClaim(graph, query), guidance, settings(arith, deployed=IEEE))
    try:
        boxes = root_bounds(plan, 0).boxes
    except OutOfRange:
        return
    for _ in range(8):
        x = np.float32(low + rng.integers(0, 2, low.size) * (high - low)).astype(np.float64)
        values = execute32(graph, [x], rng)
        count.claims += 1
        for i, value in enumerate(values):
            if i in boxes:
                v = value.reshape(1, -1)
                assert bool(((boxes[i].lower <= v) & (v <= boxes[i].upper)).all()), f"node {i} leaves its box"
        for rank, margin in margins.items():
            leaf = plan.leaves[rank]
            inside = all(lit.side * (values[lit.node].flat[lit.index] - lit.point) >= 0 for lit in leaf.path)
            if inside:
                given = guidance.leaves
                part = slice(
                    int(given.constraint_ptr[leaf.guidance]), int(given.constraint_ptr[leaf.guidance + 1])
                )
                weight = sum((Fraction(float(w)) for w in given.weight[part]), Fraction(0))
                assert margin < inf
                assert Fraction(margin) <= weight * sign * Fraction(float(values[-1].flat[0]))
                count.leaves += 1


@pytest.mark.parametrize("arith", ENGINES)
def test_float32_executions_stay_inside(arith: str) -> None:
    count = Count()
    for seed in range(CASES):
        try:
            deployed_case(seed, arith, count)
        except Exception as error:
            raise AssertionError(
                f"seed {SEED}, case {seed}, {arith}: {type(error).__name__}: {error}"
            ) from error
    print(f"\n{arith}: {count}")
    assert count.claims > CASES * 3 and count.leaves > CASES
