"""Node certificates and torchlean.ir.v1 graphs: true and false entries, branches, hostile input, exact oracles."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace
from fractions import Fraction as F
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trusted.science.networks import ONE_JOB, checked, failing, least, refused, verdicts
from tests.trusted.science.test_leaves import edited
from tlcheck.errors import InvalidInput
from tlcheck.readers.torchlean.ir import KINDS, read_ir
from tlcheck.trusted.arith.arb import ball, working_precision
from tlcheck.trusted.conditions import Check
from tlcheck.trusted.evaluate import evaluate
from tlcheck.trusted.science.node_bounds import NodeBounds
from tlcheck.trusted.science.node_boxes import AffineEntry, NodeEntry

GRAPH: dict[str, Any] = {
    "format": "torchlean.ir.v1", "input_id": 0, "output_id": 3, "weights": "weights.json",
    "nodes": [
        {"id": 0, "kind": "input", "parents": [], "shape": [1]}, {"id": 1, "kind": "linear", "parents": [0], "shape": [2]},
        {"id": 2, "kind": "relu", "parents": [1], "shape": [2]}, {"id": 3, "kind": "linear", "parents": [2], "shape": [1]},
    ],
}  # fmt: skip
WEIGHTS = {
    "params": {
        "layers.0.weight": [[1.0], [1.0]],
        "layers.0.bias": [0.0, -0.5],
        "layers.1.weight": [[2.0, -4.0]],
        "layers.1.bias": [0.0],
    }
}
"""2 relu(x) - 4 relu(x - 1/2) on [0, 1]: a tent from 0 to 1 to 0."""
IDENTITY = {"loA": [[1.0]], "loC": [0.0], "hiA": [[1.0]], "hiC": [0.0]}
CERTIFICATE: dict[str, Any] = {
    "ctx": {"inputId": 0, "inputDim": 1}, "graph": {"file": "graph.json"},
    "ibp": [
        {"lo": [0.0], "hi": [1.0]}, {"lo": [0.0, -0.5], "hi": [1.0, 0.5]}, {"lo": [0.0, 0.0], "hi": [1.0, 0.5]},
        {"lo": [-2.0], "hi": [2.0]},
    ],
    "crown": [
        IDENTITY, {"loA": [[1.0], [1.0]], "loC": [0.0, -0.5], "hiA": [[1.0], [1.0]], "hiC": [0.0, -0.5]},
        {"loA": [[1.0], [0.0]], "loC": [0.0, 0.0], "hiA": [[1.0], [0.5]], "hiC": [0.0, 0.0]},
        {"loA": [[0.0]], "loC": [0.0], "hiA": [[2.0]], "hiC": [0.0]},
    ],
    "alpha": [None, None, [0.0, 0.0], None],
}  # fmt: skip
"""Exact, all of it: every end and every line is the interval box's or the relaxation's own."""


def both(folder: Path, document: Any, **options: Any) -> Any:
    return checked(folder, document, replace(ONE_JOB, **options), graph_json=GRAPH, weights_json=WEIGHTS)


def test_exact_entries(tmp_path: Path) -> None:
    claims = both(tmp_path, CERTIFICATE)
    assert [c.kind for c in claims] == ["node boxes", "node bounds"] and verdicts(claims) == ["CERTIFIED"] * 2
    assert least(claims[0]) == least(claims[1]) == 0


def test_boxes_inside_the_interval_box_may_be_true(tmp_path: Path) -> None:
    """The tent is at most 1: TorchLean's notion fails there, and the claim is open, not refuted, until a point passes."""
    boxes, bounds = both(tmp_path, edited(CERTIFICATE, "ibp.3.hi", [1.5]))
    assert boxes.verdict.name == "REFUTED" and bounds.verdict.name == "UNPROVEN"
    boxes, bounds = both(tmp_path, edited(CERTIFICATE, "ibp.3.lo", [-0.5]))  # the backward pass proves y >= 0
    assert boxes.verdict.name == "REFUTED" and bounds.verdict.name == "CERTIFIED"


FALSE = [
    ("ibp.1.lo.1", -0.49999999999999994, "lower end"), ("ibp.2.hi.1", 0.49999999999999994, "upper end"), ("ibp.0.hi", [0.5], ""),
    ("crown.1.loC.0", 5e-324, "affine lower bound"), ("crown.2.hiA.0.0", 0.9999999999999999, "affine upper bound"),
    ("crown.3.hiC.0", -0.5, "affine upper bound"), ("crown.3.loC.0", 0.25, "affine lower bound"), ("crown.2.loA.1.0", 0.25, "affine lower bound"),
    ("ibp.3.lo", [0.5], "lower end"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "condition"), FALSE)
def test_false_entries_are_refuted(path: str, value: Any, condition: str, tmp_path: Path) -> None:
    document = edited(CERTIFICATE, path, value)
    if not condition:  # a smaller input box makes the rest no less true
        assert verdicts(both(tmp_path, document)) == ["CERTIFIED"] * 2
        return
    assert any(c.verdict.name == "REFUTED" and condition in failing(c) for c in both(tmp_path, document)[-1:])


BRANCH = {
    "ctx": {"inputId": 0, "inputDim": 1}, "graph": {"file": "graph.json"}, "ibp": CERTIFICATE["ibp"],
    "crown": [None, None, None, {"loA": [[-2.0]], "loC": [2.0], "hiA": [[-2.0]], "hiC": [2.0]}],
    "beta": [None, None, [0, 1], None],
}  # fmt: skip


def test_a_branch(tmp_path: Path) -> None:
    """Where x >= 1/2 the tent is 2 - 2 x. TorchLean refuses this: the root box does not decide the phase."""
    claims = both(tmp_path, BRANCH)
    assert verdicts(claims) == ["CERTIFIED"] * 2 and "stated signs" in claims[1].statement
    assert verdicts(both(tmp_path, edited(BRANCH, "beta.2", [0, -1])))[1] == "UNPROVEN"
    # x <= 0 and x >= 1/2 exclude each other, which boxes of single values do not see: nothing is claimed of it
    assert verdicts(both(tmp_path, edited(BRANCH, "beta.2", [-1, 1])))[1] == "UNPROVEN"
    shifted = edited(BRANCH, "ibp.0", {"lo": [0.75], "hi": [1.0]})
    impossible = both(tmp_path, edited(shifted, "beta.2", [-1, 1]))
    assert verdicts(impossible) == ["REFUTED"] * 2 and all("possible phase" in failing(c) for c in impossible)


MALFORMED = [
    ("ibp", [], "TLC101"), ("ibp", CERTIFICATE["ibp"][:3], "TLC101"), ("crown", [], "TLC101"), ("ctx.inputId", 1, "TLC104"),
    ("ctx.inputDim", 2, "TLC104"), ("ibp.0", None, "TLC101"), ("alpha.2", [2.0, 0.0], "TLC104"), ("alpha.1", [0.0, 0.0], "TLC104"),
    ("ibp.1.lo", [0.0], "TLC101"), ("crown.1.loA", [[1.0]], "TLC104"), ("crown.1.loA", [[1.0, 1.0]] * 2, "TLC104"),
    ("crown.1.loC", ["x", 0.0], "TLC101"), ("ibp.0.lo", [2.0], "TLC104"), ("graph", {"file": "none.json"}, "TLC402"),
    ("graph", {"file": "graph.json", "sha256": "0" * 64}, "TLC103"), ("ibp.1.hi.0", "1e999", "TLC106"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "code"), MALFORMED)
def test_malformed(path: str, value: Any, code: str, tmp_path: Path) -> None:
    document = copy.deepcopy(CERTIFICATE)
    if path == "ibp.0" and value is None:
        document["ibp"][0] = None
    else:
        document = edited(CERTIFICATE, path, value)
    assert refused(tmp_path, document, graph_json=GRAPH, weights_json=WEIGHTS) == code


@pytest.mark.parametrize(("path", "code"), [("beta.2", "TLC104"), ("beta", "TLC101")])
def test_malformed_phases(path: str, code: str, tmp_path: Path) -> None:
    assert refused(tmp_path, edited(BRANCH, path, [2, 0]), graph_json=GRAPH, weights_json=WEIGHTS) == code


def test_without_a_graph(tmp_path: Path) -> None:
    (claim,) = checked(tmp_path, {"ibp": [None, {"lo": [0.0], "hi": [1.0]}]})
    assert claim.verdict.name == "CERTIFIED" and "nothing about a network" in claim.statement
    (claim,) = checked(tmp_path, {"ibp": [None, {"lo": [2.0], "hi": [1.0]}]})
    assert claim.verdict.name == "REFUTED"
    (claim,) = checked(tmp_path, {"ibp": [None]})
    assert claim.verdict.name == "UNPROVEN"


BAD_GRAPHS = [
    ("nodes.1.kind", "rand_uniform", "TLC202"), ("nodes.1.shape", [3], "TLC204"), ("nodes.2.parents", [3], "TLC201"), ("nodes.1.id", 0, "TLC201"),
    ("input_id", 1, "TLC201"), ("output_id", 9, "TLC201"), ("nodes.1.weight", "none", "TLC201"), ("nodes.1.shape", [-1], "TLC204"),
    ("nodes.2.parents", [1, 1], "TLC204"), ("format", "torchlean.ir.v2", "TLC102"), ("nodes.1.id", "x", "TLC101"), ("weights", "none.json", "TLC402"),
    ("nodes.2.kind", "matmul", "TLC204"), ("nodes.2.kind", "conv2d", "TLC204"), ("nodes.2.kind", "max_pool2d", "TLC204"), ("nodes.2.kind", "const", "TLC204"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "code"), BAD_GRAPHS)
def test_malformed_graphs(path: str, value: Any, code: str, tmp_path: Path) -> None:
    assert refused(tmp_path, CERTIFICATE, graph_json=edited(GRAPH, path, value), weights_json=WEIGHTS) == code


UNARY = ["relu", "abs", "tanh", "sigmoid", "exp", "sin", "cos", "softmax", "layernorm", "detach"]


def test_kinds_against_numpy() -> None:
    """One graph through most kinds, against a plain numpy evaluation."""
    rng = np.random.default_rng(1)
    x, k, kernel, bias = (
        rng.normal(size=(2, 4, 4)),
        rng.normal(size=(2, 4, 4)),
        rng.normal(size=(3, 2, 3, 3)),
        rng.normal(size=3),
    )
    nodes: list[dict[str, Any]] = [
        {"id": 0, "kind": "input", "shape": [2, 4, 4]},
        {"id": 1, "kind": "const", "shape": [2, 4, 4], "values": k.tolist()},
    ]
    values: dict[int, Any] = {0: x, 1: k}

    def add(kind: str, parents: list[int], value: Any, **fields: Any) -> int:
        nodes.append(
            {"id": len(nodes), "kind": kind, "parents": parents, "shape": list(np.shape(value)), **fields}
        )
        values[len(nodes) - 1] = value
        return len(nodes) - 1

    a = add("max_elem", [0, 1], np.maximum(x, k))
    b = add("min_elem", [0, 1], np.minimum(x, k))
    c = add("mul_elem", [a, b], values[a] * values[b])
    c = add("sub", [c, a], values[c] - values[a])
    padded = np.pad(values[c], ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    d = add(
        "conv2d",
        [c],
        np.einsum("cpqij,ocij->opq", windows, kernel) + bias[:, None, None],
        stride=1,
        padding=1,
        weight="k",
        bias="b",
    )
    view = np.lib.stride_tricks.sliding_window_view(values[d], (2, 2), axis=(1, 2))[:, ::2, ::2]
    e = add("max_pool2d", [d], view.max(axis=(3, 4)), kH=2, kW=2, stride=2)
    f = add("avg_pool2d", [d], view.mean(axis=(3, 4)), kH=2, kW=2, stride=2)
    g = add("concat", [e, f], np.concatenate([values[e], values[f]], axis=1), axis=1)
    g = add("permute", [g], values[g].transpose(2, 0, 1), perm=[2, 0, 1])
    g = add("swap_first_two", [g], values[g].swapaxes(0, 1))
    g = add("transpose3d_last_two", [g], values[g].swapaxes(1, 2))
    g = add(
        "matmul",
        [g, add("transpose3d_last_two", [g], values[g].swapaxes(1, 2))],
        values[g] @ values[g].swapaxes(1, 2),
    )
    g = add(
        "layernorm",
        [g],
        (values[g] - values[g].mean(-1, keepdims=True)) / np.sqrt(values[g].var(-1, keepdims=True) + 1e-6),
        axis=2,
    )
    g = add("softmax", [g], np.exp(values[g]) / np.exp(values[g]).sum(-1, keepdims=True), axis=-1)
    g = add("log", [g], np.log(values[g]))
    g = add("reduce_mean", [g], values[g].mean(axis=1), axis=1)
    g = add("exp", [g], np.exp(values[g]))
    g = add("sqrt", [g], np.sqrt(values[g]))
    g = add("inv", [g], 1 / values[g])
    g = add("flatten", [g], values[g].reshape(-1))
    h = add("sum", [g], values[g].sum())
    h = add("broadcast_to", [h], np.broadcast_to(values[h], values[g].shape))
    g = add("add", [g, h], values[g] + values[h])
    for kind, function in (
        ("tanh", np.tanh),
        ("sin", np.sin),
        ("cos", np.cos),
        ("sigmoid", lambda v: 1 / (1 + np.exp(-v))),
        ("abs", np.abs),
    ):
        g = add(kind, [g], function(values[g]))
    graph = {"nodes": nodes, "input_id": 0, "output_id": g}
    read = read_ir(json.dumps(graph).encode(), "g", {"k": kernel, "b": bias})
    found = evaluate(read.graph, [[ball(F(v)) for v in x.reshape(-1).tolist()]]).outputs
    assert np.allclose([float(v.mid()) for v in found], values[g].reshape(-1), rtol=1e-10, atol=1e-12)
    assert set(KINDS) >= {n["kind"] for n in nodes}


@pytest.mark.parametrize("seed", range(8))
def test_exact_forward_bounds_hold_at_points(seed: int) -> None:
    """Entries made from the rule itself are certified; moved by a little, none is certified that a point refutes."""
    rng = np.random.default_rng(seed)
    params = {"layers.0.weight": rng.integers(-4, 5, (3, 2)) / 2, "layers.0.bias": rng.integers(-4, 5, 3) / 2,
              "layers.1.weight": rng.integers(-4, 5, (2, 3)) / 2, "layers.1.bias": rng.integers(-4, 5, 2) / 2}  # fmt: skip
    shapes = [[2], [3], [3], [2]]
    kinds = ["input", "linear", "relu", "linear"]
    nodes = [
        {"id": i, "kind": k, "parents": [i - 1] if i else [], "shape": s}
        for i, (k, s) in enumerate(zip(kinds, shapes, strict=True))
    ]
    read = read_ir(json.dumps({"nodes": nodes, "input_id": 0, "output_id": 3}).encode(), "g", params)
    graph = replace(read.graph, outputs=(0, 1, 2, 3), output_names=("0", "1", "2", "3"))
    random_ = random.Random(seed)
    points = [(F(random_.randrange(-8, 9), 8), F(random_.randrange(-8, 9), 8)) for _ in range(40)]
    with working_precision(128):
        values = [evaluate(graph, [[ball(q) for q in p]]).outputs for p in points]
        for _ in range(6):
            rows = tuple(tuple(F(random_.randrange(-8, 9), 4) for _ in range(2)) for _ in range(2))
            offset = tuple(F(random_.randrange(-40, 9), 4) for _ in range(2))
            entry = AffineEntry(rows, offset, rows, tuple(-q + 20 for q in offset))
            entries = (
                NodeEntry(0, "0"),
                NodeEntry(1, "1"),
                NodeEntry(2, "2"),
                NodeEntry(3, "3", affine=entry),
            )
            claim = NodeBounds(graph, (F(-1), F(-1)), (F(1), F(1)), entries, "")
            for check in (c for c in claim.checks(128, lambda: None) if isinstance(c, Check)):
                k = int(check.where.rpartition(" ")[2])
                sign, c = (1, offset[k]) if "lower" in check.name else (-1, 20 - offset[k])
                gaps = [
                    sign * (v[8 + k] - ball(sum((a * x for a, x in zip(rows[k], p, strict=True)), c)))
                    for v, p in zip(values, points, strict=True)
                ]
                assert check.holds is not True or not any(g < 0 for g in gaps)
                assert check.holds is not False or (check.high is not None and check.high < 0)


@pytest.mark.parametrize("seed", range(40))
def test_fuzz(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    documents = [CERTIFICATE, GRAPH, WEIGHTS]
    texts = [json.dumps(d) for d in documents]
    broken = list(texts[seed % 3])
    for _ in range(rng.randrange(1, 4)):
        broken[rng.randrange(len(broken))] = rng.choice('0123456789.-eE"[]{},:nul ')
    texts[seed % 3] = "".join(broken)
    try:
        claims = checked(
            tmp_path,
            texts[0],
            replace(ONE_JOB, input_format="torchlean-nodes"),
            graph_json=texts[1],
            weights_json=texts[2],
        )
    except InvalidInput:
        return
    assert claims
