"""The kernels beside bare numpy, in one process: what rigour costs, and how it grows.

The *bare* pass is the same backward pass in plain float64: the same gemms, strided moves and relaxation, no error
terms, nothing proved. Every reading is interleaved with the others of its row, with one BLAS thread; seconds are the
least of the readings, CPU (of the process) and wall; ratios of CPU seconds are what to read on a busy machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tlcheck.trusted.arith.ball64 import Ball64, centre_radius_up, dot, gamma_up
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.integer import IntegerEngine
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.maps import MatMap
from tlcheck.trusted.bounds import Enclosure, Slopes
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.decide import conclude_unsat
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.guidance import LEAF, SPLIT, Guidance, LeafSlopes, Leaves, Tree
from tlcheck.trusted.intervals import image
from tlcheck.trusted.leaf_pass import check_leaves
from tlcheck.trusted.linear_bounds import Pass, descend
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear, Sum
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.convolution import Conv
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Lines, SlopeGuess
from tlcheck.trusted.ops.structure import Input, Rearrange
from tlcheck.trusted.plan import Plan, Settings, root_bounds
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.trusted.verdict import Verdict

Floats = NDArray[np.float64]
Run = Callable[[], object]

ROWS, EXACT_ROWS = 256, 64
RADIUS = 1e-3
READING = 0.02
"""Least seconds of one reading: a shorter run is repeated inside it."""
ENOUGH = 0.3
"""Seconds of readings after which a run that has had ``repeat`` of them needs no more."""
CHUNK = 256
"""Leaves decided together, the schedule's most."""


def kernels(repeat: int) -> None:
    """Print every table."""
    with threadpool_limits(1, "blas"):
        against_bare("ball64", Ball64(), ball64_cases(), repeat)
        against_bare("arb", IntegerEngine(), exact_cases(), repeat)
        growth_of_passes(
            "width (4 hidden layers)", [(w, mlp(w, 4)) for w in (64, 128, 256, 512, 1024)], repeat
        )
        growth_of_passes("depth (width 128)", [(d, mlp(128, d)) for d in (2, 4, 8, 16)], repeat)
        growth_with_leaves(repeat)
        tightness_with_depth()


# Networks.


class Builder:
    """A random network, node by node; weights are float32, scaled so that values keep their size."""

    def __init__(self, seed: int, *shape: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes = [Node(Input(shape), (), shape, "input")]

    def add(self, op: Operation, *inputs: int) -> int:
        """Append a node; operands default to the last one."""
        operands = inputs or (len(self.nodes) - 1,)
        shape = op.output_shape(tuple(self.nodes[j].shape for j in operands))
        self.nodes.append(Node(op, operands, shape, type(op).__name__))
        return len(self.nodes) - 1

    def weights(self, fan_in: int, *shape: int) -> Constant:
        values = self.rng.standard_normal(shape) * np.sqrt(2.0 / fan_in)
        return Constant(values.astype(np.float32))

    def linear(self, width: int) -> int:
        n = self.nodes[-1].shape[-1]
        return self.add(Linear(self.weights(n, n, width), self.weights(100, width)))

    def conv(self, channels: int, stride: int) -> int:
        """A 3x3 convolution, padded by 1."""
        c = self.nodes[-1].shape[1]
        weight, ones = self.weights(9 * c, channels, c, 3, 3), (1, 1)
        return self.add(Conv(weight, self.weights(100, channels), (stride, stride), ones, ones, ones))

    def flatten(self) -> int:
        return self.add(Rearrange((1, self.nodes[-1].size)))

    def network(self) -> Network:
        return Network(Graph(tuple(self.nodes), (len(self.nodes) - 1,), ("x",), ("y",)))


def mlp(width: int, depth: int, outputs: int = 10) -> Network:
    """``depth`` hidden layers of one width, which is also the number of inputs."""
    b = Builder(depth, 1, width)
    for _ in range(depth):
        b.linear(width)
        b.add(Relu())
    b.linear(outputs)
    return b.network()


def conv_net() -> Network:
    """3x32x32, two convolutions of stride 2 (16 and 32 channels), 100, 10."""
    b = Builder(1, 1, 3, 32, 32)
    for channels in (16, 32):
        b.conv(channels, 2)
        b.add(Relu())
    b.flatten()
    b.linear(100)
    b.add(Relu())
    b.linear(10)
    return b.network()


def residual_net() -> Network:
    """3x32x32, a convolution of stride 2 to 16x16x16, two residual blocks there, 10."""
    b = Builder(2, 1, 3, 32, 32)
    b.conv(16, 2)
    skip = b.add(Relu())
    for _ in range(2):
        b.conv(16, 1)
        b.add(Relu())
        b.conv(16, 1)
        b.add(Sum((1, 1)), len(b.nodes) - 1, skip)
        skip = b.add(Relu())
    b.flatten()
    b.linear(10)
    return b.network()


# A pass, three times.


@dataclass(frozen=True, eq=False)
class Case:
    """A pass to time: ``seeds`` (D, R, n_out) on the output, over given boxes, with lines drawn beforehand."""

    network: Network
    boxes: Mapping[int, Box]
    lines: Mapping[int, Lines]
    seeds: Floats

    @property
    def output(self) -> int:
        return self.network.graph.outputs[0]

    def run(self, engine: Engine) -> Floats:
        """Proved lower bounds (D, R)."""
        form = engine.form(*self.seeds.shape[:2])
        form.seed_rows(self.output, self.seeds, None, self.boxes[self.output])
        descend(form, Pass(self.network, self.boxes, self.lines.__getitem__))
        return form.lower(dict(self.boxes))

    def bare(self, engine: Ball64) -> Floats:
        """The same in plain float64, (D, R). ReLU only: the lower line goes through 0."""
        value = np.zeros(self.seeds.shape[:2])
        blocks = {self.output: self.seeds}
        for i in reversed(range(1, self.output + 1)):
            node, affine, block = self.network.graph.nodes[i], self.network.affine[i], blocks.pop(i)
            if affine is None:
                (slope, _), (chord, height) = self.lines[i].lower, self.lines[i].upper
                negative = np.minimum(block, 0.0)
                positive = block - negative
                value += dot(negative, height)
                positive *= slope[:, None]
                negative *= chord[:, None]
                positive += negative
                passed = [positive]
            else:
                if affine.offset is not None:
                    value += dot(block, affine.offset.mid[None].astype(np.float64))
                passed = [engine.adjoint(m, block) for m in affine.maps]
            for operand, part in zip(node.inputs, passed, strict=True):
                blocks[operand] = blocks[operand] + part if operand in blocks else part
        centre, radius = centre_radius_up(self.boxes[0])
        return value + dot(blocks[0], centre) - dot(np.abs(blocks[0]), radius)


def case(network: Network, rows: int, domains: int = 1, tight: bool = False) -> Case:
    """A case with random slopes. ``tight``: boxes by backward passes, else by forward images only.

    With several domains each has its own boxes and slopes, and one row.
    """
    rng = np.random.default_rng(rows)
    nodes = network.graph.nodes
    centre = rng.uniform(0.0, 1.0, (domains, nodes[0].size))
    start = Box(centre - RADIUS, centre + RADIUS)
    boxes = tight_boxes(network, start) if tight else forward_boxes(network, start)
    drawn = {}
    for i, node in enumerate(nodes):
        if isinstance(node.op, Elementwise):
            slopes = rng.uniform(0.0, 1.0, (domains, node.size))
            drawn[i] = node.op.lines(boxes[node.inputs[0]], SlopeGuess(slopes, None))
    n = nodes[network.graph.outputs[0]].size
    seeds = rng.standard_normal((domains, rows if domains == 1 else 1, n)) / np.sqrt(n)
    return Case(network, boxes, drawn, seeds)


def forward_boxes(network: Network, start: Box) -> dict[int, Box]:
    """Boxes of every node by interval arithmetic."""
    engine, boxes = Ball64(), {0: start}
    for i, node in enumerate(network.graph.nodes):
        if i:
            boxes[i] = image(node.op, network.affine[i], tuple(boxes[j] for j in node.inputs), engine)
    return boxes


def tight_boxes(network: Network, start: Box) -> dict[int, Box]:
    """Boxes of every node as a check proves them."""
    slopes = Slopes(guidance(0), lambda _: None)
    return Enclosure(network, Ball64(), slopes).bounds({0: start}).boxes


def ball64_cases() -> Iterator[tuple[str, str, Case]]:
    """(name, goal, case)"""
    yield "MLP 4 x 256", "2", case(mlp(256, 4), ROWS)
    yield "MLP 4 x 256, 256 leaves", "", case(mlp(256, 4), ROWS, domains=ROWS)
    yield "MLP 4 x 1024", "1.3", case(mlp(1024, 4), ROWS)
    yield "conv 16 s2, 32 s2, 100", "", case(conv_net(), ROWS)
    yield "residual 2 x 16x16x16", "", case(residual_net(), ROWS)


def exact_cases() -> Iterator[tuple[str, str, Case]]:
    """(name, goal, case)"""
    yield "MLP 4 x 256", "", case(mlp(256, 4), EXACT_ROWS)
    yield "conv 16 s2, 32 s2, 100", "", case(conv_net(), EXACT_ROWS)
    yield "residual 2 x 16x16x16", "", case(residual_net(), EXACT_ROWS)


# Readings.


@dataclass
class Timing:
    """Least seconds of one run."""

    cpu: float = float("inf")
    wall: float = float("inf")
    spent: float = 0.0


def side_by_side(runs: Sequence[Run], repeat: int) -> list[Timing]:
    """Timings of ``runs``, readings interleaved: at least ``repeat`` each, and more of short runs."""
    counts = [max(1, int(READING / max(_read(run, 1)[1], 1e-6))) for run in runs]
    timings = [Timing() for _ in runs]
    for turn in range(100):
        due = [t for t in range(len(runs)) if turn < max(1, repeat) or timings[t].spent < ENOUGH]
        if not due:
            break
        for t in due:
            cpu, wall = _read(runs[t], counts[t])
            found = timings[t]
            found.cpu, found.wall = min(found.cpu, cpu), min(found.wall, wall)
            found.spent += wall * counts[t]
    return timings


def _read(run: Run, count: int) -> tuple[float, float]:
    """(CPU, wall) seconds of one run, averaged over ``count``."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(count):
        run()
    return (time.process_time() - cpu) / count, (time.perf_counter() - wall) / count


# Tables.


def against_bare(name: str, engine: Engine, cases: Iterator[tuple[str, str, Case]], repeat: int) -> None:
    """One row a network: milliseconds of the bare pass and of the engine's, and their ratios."""
    print(f"\n{name} against the same backward pass in bare numpy, one BLAS thread, milliseconds")
    print(
        f"{'network':26s} {'rows':>4s} {'bare cpu':>9s} {'wall':>9s} {name + ' cpu':>10s} {'wall':>9s}",
        end=" ",
    )
    print(f"{'cpu ratio':>9s} {'wall ratio':>10s} {'goal':>5s}")
    floats = Ball64()
    for title, goal, c in cases:
        bare, ours = side_by_side([partial(c.bare, floats), partial(c.run, engine)], repeat)
        rows = c.seeds.shape[0] * c.seeds.shape[1]
        print(f"{title:26s} {rows:4d} {1e3 * bare.cpu:9.2f} {1e3 * bare.wall:9.2f}", end=" ")
        print(f"{1e3 * ours.cpu:10.2f} {1e3 * ours.wall:9.2f} {ours.cpu / bare.cpu:9.2f}", end=" ")
        print(f"{ours.wall / bare.wall:10.2f} {goal:>5s}", flush=True)


def growth_of_passes(title: str, networks: Sequence[tuple[int, Network]], repeat: int) -> None:
    """Seconds of the three passes along one size."""
    floats, exact = Ball64(), IntegerEngine()
    sizes, table = [], []
    for size, network in networks:
        c = case(network, EXACT_ROWS)
        runs: list[Run] = [partial(c.bare, floats), partial(c.run, floats), partial(c.run, exact)]
        sizes.append(size)
        table.append([t.cpu for t in side_by_side(runs, repeat)])
    _print_growth(f"{title}, {EXACT_ROWS} rows", ("bare", "ball64", "arb"), sizes, table)


def growth_with_leaves(repeat: int) -> None:
    """Seconds of a whole check, from guidance to verdict, along the number of leaves."""
    network = mlp(32, 3)
    levels = (0, 2, 4, 6, 8, 10, 12)
    table = []
    for depth in levels:
        claim, given = split_claim(network, depth)
        runs: list[Run] = [partial(certified, claim, given, arith) for arith in ("ball64", "arb")]
        table.append([t.cpu for t in side_by_side(runs, 1 if depth > 8 else repeat)])
    _print_growth(
        "leaves (MLP 3 x 32, guidance to verdict)", ("ball64", "arb"), [2**d for d in levels], table
    )


def _print_growth(
    title: str, names: Sequence[str], sizes: Sequence[int], table: Sequence[Sequence[float]]
) -> None:
    """The table, and the exponents p of seconds ~ size^p: over all sizes, and over the two largest."""
    print(f"\ngrowth with {title}: CPU milliseconds")
    print(f"{'size':>14s} " + " ".join(f"{n:>10s}" for n in names))
    for size, row in zip(sizes, table, strict=True):
        print(f"{size:14d} " + " ".join(f"{1e3 * t:10.2f}" for t in row))
    x, y = np.log(np.asarray(sizes, np.float64)), np.log(np.asarray(table))
    for label, part in (("exponent", slice(None)), ("largest two", slice(-2, None))):
        slopes = np.polyfit(x[part], y[part], 1)[0]
        print(f"{label:>14s} " + " ".join(f"{s:10.2f}" for s in slopes), flush=True)


# A claim with a full split tree.


def split_claim(network: Network, depth: int) -> tuple[UnsatClaim, Guidance]:
    """A true claim, with 2^depth leaves that split neurons of the first hidden layer, with slopes and multipliers."""
    n = network.graph.n_inputs
    ends = InputBox((Fraction(-1),) * n, (Fraction(1),) * n)
    constraint = LinearConstraint((), ((0, Fraction(1)),), Fraction(-(10**4)))
    query = Query(n, network.graph.n_outputs, (Disjunct(ends, (constraint,)),))
    count = 2**depth
    rng = np.random.default_rng(depth)
    slopes = {
        i: LeafSlopes(np.arange(node.size), rng.uniform(0, 1, (count, node.size)).astype(np.float32), None)
        for i, node in enumerate(network.graph.nodes)
        if isinstance(node.op, Relu)
    }
    return UnsatClaim(network.graph, query), guidance(depth, slopes)


def guidance(depth: int, slopes: Mapping[int, LeafSlopes] | None = None) -> Guidance:
    """A full tree of splits z_k <= 0, z_k >= 0 of node 1, level k; one multiplier for each split of a leaf."""
    count = 2**depth
    t = np.arange(2 * count - 1)  # a heap: the children of row t are rows 2 t + 1 and 2 t + 2
    inner = t < count - 1
    level = np.frexp(t + 1.0)[1].astype(np.int64) - 1
    below = np.where(inner, 2 * t + 1, t - (count - 1))
    tree = Tree(
        np.where(inner, SPLIT, LEAF), np.where(inner, 1, 0), np.where(inner, level, 0), np.zeros(t.size),
        below, np.where(inner, 2 * t + 2, 0), np.zeros(1, np.int64),
    )  # fmt: skip
    sides = (np.arange(count)[:, None] >> np.arange(depth)[::-1]) & 1
    each = np.arange(count + 1)
    leaves = Leaves(
        each, np.zeros(count, np.int64), np.ones(count), each * depth, np.ones(count * depth, np.int64),
        np.tile(np.arange(depth), count), 2 * sides.reshape(-1) - 1, np.zeros(count * depth),
        np.full(count * depth, 1 / 64), np.full(count, np.nan),
    )  # fmt: skip
    return Guidance(tree, leaves, leaf_slopes=dict(slopes or {}))


def certified(claim: UnsatClaim, given: Guidance, arith: str) -> None:
    """Check the claim as the schedule does, in this process."""
    plan = Plan(claim, given, Settings(arith))
    bounds = root_bounds(plan, 0)
    ranks = range(len(plan.leaves))
    chunks = [ranks[k : k + CHUNK] for k in range(0, len(ranks), CHUNK)]
    verdict, worst = conclude_unsat(plan, [o for chunk in chunks for o in check_leaves(plan, bounds, chunk)])
    if verdict is not Verdict.CERTIFIED:
        raise RuntimeError(f"the benchmark's own claim is not proved: {worst}")


# How much is lost.


def tightness_with_depth() -> None:
    """How far the proved bounds lie from the bare value (largest of the rows), along the depth.

    ``carried`` is what balls would lose whose radii go down with the coefficients: it multiplies at every layer.
    """
    print("\ntightness with depth (width 64, 64 rows): largest difference from the bare float64 bound")
    print(f"{'depth':>5s} {'|bound|':>9s} {'ball64':>9s} {'per layer':>9s} {'arb':>9s} {'carried':>9s}")
    floats, exact = Ball64(), IntegerEngine()
    for depth in (2, 4, 8, 16, 32):
        c = case(mlp(64, depth), EXACT_ROWS, tight=True)
        bare = c.bare(floats)
        ball64, arb = float((bare - c.run(floats)).max()), float(np.abs(bare - c.run(exact)).max())
        size, carried = float(np.abs(bare).max()), float(carried_radius(c).max())
        print(
            f"{depth:5d} {size:9.2e} {ball64:9.1e} {ball64 / (depth + 1):9.1e} {arb:9.1e} {carried:9.1e}",
            flush=True,
        )


def carried_radius(c: Case) -> Floats:
    """The radius (D, R) of each row's bound if every coefficient of an MLP carries its own radius to the inputs."""
    block, radius = c.seeds, np.zeros_like(c.seeds)
    total = np.zeros(c.seeds.shape[:2])
    for i in reversed(range(1, c.output + 1)):
        affine = c.network.affine[i]
        if affine is None:
            (slope, _), (chord, height) = c.lines[i].lower, c.lines[i].upper
            total += dot(radius, height)
            radius = radius * np.maximum(slope, chord)[:, None]
            block = np.where(block >= 0, slope[:, None], chord[:, None]) * block
            continue
        (m,) = affine.maps
        if not isinstance(m, MatMap):
            raise TypeError("an MLP has matrices only")
        w = m.weight.mid.astype(np.float64).T
        if affine.offset is not None:
            total += dot(radius, np.abs(affine.offset.mid[None].astype(np.float64)))
        radius = (radius + gamma_up(m.fan_out) * np.abs(block)) @ np.abs(w)
        block = block @ w
    return total + dot(radius, c.boxes[0].magnitude)
