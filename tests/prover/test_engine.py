"""The float engine against the checker's bounds, plain evaluation, and differences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests import numpy_eval
from tests.trusted.oracle import REPEATS
from tests.trusted.test_decide_soundness import random_graph
from tests.trusted.test_relaxed_ops import BLOCKS, network
from tlcheck.prover.engine import Engine, Stopped
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.bounds import Enclosure, Slopes
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import NO_GUIDANCE
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.smooth import Smooth

Rng = np.random.Generator
DOMAINS = 3


def graphs(count: int) -> Iterator[tuple[Rng, Graph]]:
    """Of every operation that a pass goes through."""
    for seed in range(count * REPEATS):
        rng = np.random.default_rng([seed, 13])
        yield rng, random_graph(rng, "ordinary")
    for k, kind in enumerate(BLOCKS):
        rng = np.random.default_rng([k, 14])
        yield rng, network(rng, kind, None)


def boxes(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    centre, width = rng.normal(0, 1, (DOMAINS, n)), rng.choice([0.0, 0.02, 0.5], (DOMAINS, n))
    return centre - width, centre + width


def checker(engine: Engine, low: np.ndarray, high: np.ndarray) -> dict[int, Box]:
    task = Enclosure(engine.network, Ball64(), Slopes(NO_GUIDANCE, lambda _: None))
    return task.bounds({i: Box(*ends) for i, ends in engine.inputs(low, high).items()}).boxes


def test_boxes_are_the_checkers() -> None:
    """Up to rounding, and to what it cuts of slopes."""
    compared = 0
    for rng, graph in graphs(60):
        engine = Engine(graph)
        low, high = boxes(rng, graph.n_inputs)
        try:
            wanted = checker(engine, low, high)
        except OutOfRange:
            continue
        found = engine.enclose(engine.inputs(low, high)).boxes
        for i, box in wanted.items():
            for mine, theirs in zip(found[i], (box.lower, box.upper), strict=True):
                scale = 1 + np.abs(box.lower) + np.abs(box.upper)
                assert (np.abs(mine - theirs) <= 1e-5 * scale).all(), (i, graph.nodes[i].op)
        compared += 1
    assert compared > 30


def test_float32_is_near() -> None:
    for rng, graph in graphs(10):
        low, high = boxes(rng, graph.n_inputs)
        try:
            wide, narrow = (
                (e := Engine(graph, t)).enclose(e.inputs(low, high)).boxes for t in (np.float64, np.float32)
            )
        except OutOfRange:
            continue
        for i, ends in narrow.items():
            for x, y in zip(ends, wide[i], strict=True):
                assert x.dtype == np.float32
                assert (np.abs(x - y) <= 1e-3 * (1 + np.abs(wide[i][0]) + np.abs(wide[i][1]))).all(), i


def test_values_and_gradients() -> None:
    for rng, graph in graphs(30):
        engine = Engine(graph)
        points = rng.normal(0, 1, (3, graph.n_inputs))
        with np.errstate(all="ignore"):
            values = engine.values(points)
            for p, x in enumerate(points):
                parts = [x[s] for s in engine.network.input_slices.values()]
                for i, v in enumerate(numpy_eval.evaluate_all(graph, parts)):
                    if i in values:
                        np.testing.assert_allclose(values[i][p], v.reshape(-1), rtol=1e-9, atol=1e-9)
        if not all(np.isfinite(v).all() for v in values.values()):
            continue
        c = rng.normal(0, 1, (3, graph.n_outputs))
        gradient = engine.gradient(values, c)
        for j in range(graph.n_inputs):
            ends = []
            for step in (1e-6, -1e-6):
                moved = points.copy()
                moved[:, j] += step
                ends.append((engine.outputs(engine.values(moved)) * c).sum(axis=1))
            slope = (ends[0] - ends[1]) / 2e-6
            near = np.abs(gradient[:, j] - slope) <= 1e-3 * (1 + np.abs(slope))
            assert near.all() or any(np.abs(s).max() > 1e3 for s in (slope, gradient)) or _at_a_kink(graph)


def _at_a_kink(graph: Graph) -> bool:
    """Constants may put values exactly on kinks and steps."""
    return any(not isinstance(n.op, Smooth) and n.inputs for n in graph.nodes)


def test_a_bound_is_the_forms_value_at_its_dual_point() -> None:
    """And no point of the box is below it."""
    for rng, graph in graphs(40):
        engine = Engine(graph)
        low, high = boxes(rng, graph.n_inputs)
        try:
            known = engine.enclose(engine.inputs(low, high))
        except OutOfRange:
            continue
        rows = rng.normal(0, 1, (DOMAINS, 2, graph.n_outputs))
        found = engine.backward(engine.seeded(rows), known.lines, keep=True)
        bound = np.broadcast_to(engine.concretise(found, known.boxes), (DOMAINS, 2))
        values = engine.dual_point(found, known.lines, known.boxes)
        places = [np.broadcast_to(values[i], (DOMAINS, 2, values[i].shape[-1])) for i in graph.outputs]
        there = (rows * np.concatenate(places, axis=2)).sum(axis=2)
        scale = 1 + np.abs(bound) + sum(np.abs(v).max() for v in values.values())
        assert (np.abs(bound - there) <= 1e-9 * scale).all()
        for _ in range(20):
            x = rng.uniform(low, high)
            with np.errstate(all="ignore"):
                y = engine.outputs(engine.values(x))
            if np.isfinite(y).all():
                assert ((rows * y[:, None]).sum(axis=2) >= bound - 1e-6 * scale).all()


def test_gradients_by_slopes() -> None:
    """dLB/da = max(A, 0) z of an activation's lower line a z, by differences."""
    compared = 0
    for rng, graph in graphs(120):
        engine = Engine(graph)
        low, high = boxes(rng, graph.n_inputs)
        try:
            known = engine.enclose(engine.inputs(low, high))
        except OutOfRange:
            continue
        for i in engine.relaxed:
            part = known.lines[i].parts[0]
            if not isinstance(graph.nodes[i].op, Elementwise) or part.lower[1] is not None:
                continue
            open_ = (part.lower[0] != part.upper[0]).any(axis=0)
            for k in np.flatnonzero(open_)[:2]:
                compared += _compare(engine, rng, known.boxes, known.lines, (i, int(k)))
    assert compared > 10


def _compare(
    engine: Engine, rng: Rng, boxes_: dict[int, Any], lines: dict[int, Any], at: tuple[int, int]
) -> int:
    i, k = at
    rows = rng.normal(0, 1, (DOMAINS, 1, engine.graph.n_outputs))

    def bound(step: float) -> tuple[np.ndarray, np.ndarray]:
        base = np.array(np.broadcast_to(lines[i].parts[0].lower[0], (DOMAINS, engine.nodes[i].size)))
        base[:] = 0.4
        base[:, k] += step
        drawn = {**lines, i: engine.lines(i, boxes_, base)}
        found = engine.backward(engine.seeded(rows), drawn, keep=True)
        if i not in found.kept:
            return np.zeros(DOMAINS), np.zeros(DOMAINS)
        z = engine.dual_point(found, drawn, boxes_)[engine.nodes[i].inputs[0]]
        gradient = (
            np.maximum(found.kept[i], 0)[:, 0, k] * np.broadcast_to(z, (DOMAINS, 1, z.shape[-1]))[:, 0, k]
        )
        gradient = np.where(
            (drawn[i].parts[0].lower[0][:, k] > 0) & (drawn[i].parts[0].lower[0][:, k] < 1), gradient, 0
        )
        return engine.concretise(found, boxes_)[:, 0] + np.zeros(DOMAINS), gradient

    (above, _), (below, _), (_, gradient) = bound(1e-6), bound(-1e-6), bound(0.0)
    np.testing.assert_allclose((above - below) / 2e-6, gradient, rtol=1e-4, atol=1e-5)
    return 1


def test_over_stops_rows_by_count() -> None:
    rng, graph = np.random.default_rng(3), network(np.random.default_rng(3), "smooth", "product")
    engine = Engine(graph)
    left = iter([False, False, True])
    with pytest.raises(Stopped):
        engine.enclose(engine.inputs(*boxes(rng, graph.n_inputs)), over=lambda: next(left))


def test_kinds_cover_the_operations() -> None:
    """What passes go through is in some graph here."""
    met = {type(n.op).__name__ for _, g in graphs(60) for n in g.nodes}
    assert {"Relu", "Abs", "LeakyRelu", "Clip", "MaxOver", "Sigmoid", "Tanh", "Conv", "ConvTranspose", "Product", "MatProduct",
            "Select", "Softmax", "Exp", "Sin", "Rearrange", "ReduceSum", "Fixed"} <= met  # fmt: skip
