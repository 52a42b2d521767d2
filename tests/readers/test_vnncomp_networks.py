"""Every competition network loads, and its exact value at a point of its property's box is what onnxruntime computes.

By default the networks of at most 1 MB as stored, one property each; TLCHECK_ALL_NETWORKS=1 takes all of them.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers import DATA, needs_data
from tlcheck.errors import InvalidInput
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.onnx import load_model
from tlcheck.readers.vnnlib.read import load_property
from tlcheck.trusted.arith.arb import arb, working_precision
from tlcheck.trusted.evaluate import Evaluator
from tlcheck.trusted.graph import Graph

VNNCOMP = DATA / "vnncomp"
FAST = 1_000_000
SLOW = ("TinyYOLO",)
"""Many positions: seconds."""
HUGE = ("tllBench_n=2_N=M=56", "tllBench_n=2_N=M=64", "tllBench_n=2_N=M=40")
"""100 MB and more when unpacked."""


def instances() -> dict[str, str]:
    """A property for each network, by file name (the same file occurs in several years)."""
    found: dict[str, str] = {}
    if VNNCOMP.is_dir():
        for table in ("index.csv", "instances_without_ce.csv"):
            with (VNNCOMP / table).open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    found.setdefault(row["onnx"], row["vnnlib"])
    names: dict[str, str] = {}
    for network in found:
        names.setdefault(Path(network).name, network)
    return {network: found[network] for network in sorted(names.values()) if wanted(VNNCOMP / network)}


def wanted(path: Path) -> bool:
    slow = path.name.startswith(HUGE + SLOW) or path.stat().st_size > FAST
    return not slow or os.environ.get("TLCHECK_ALL_NETWORKS") == "1"


def random_point(graph: Graph, path: Path, rng: np.random.Generator) -> NDArray[np.float64]:
    """A float32 point of the first disjunct's box (up to the rounding to float32)."""
    query = load_property(path, n_inputs=graph.n_inputs, n_outputs=graph.n_outputs)
    box = query.disjuncts[0].box
    low, high = (np.array([float(q) for q in end]) for end in (box.lower, box.upper))
    return rng.uniform(low, high).astype(np.float32).astype(np.float64)


def by_onnxruntime(path: Path, x: NDArray[np.float64]) -> NDArray[np.float64]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(read_bytes(path), options, providers=["CPUExecutionProvider"])
    feed: dict[str, Any] = {}
    for slot in session.get_inputs():
        shape = [n if isinstance(n, int) else 1 for n in slot.shape]
        count = int(np.prod(shape))
        feed[slot.name], x = x[:count].astype(np.float32).reshape(shape), x[count:]
    return np.concatenate([np.asarray(y, np.float64).reshape(-1) for y in session.run(None, feed)])


@needs_data
@pytest.mark.parametrize("network", list(instances()), ids=lambda n: Path(n).name[:60])
def test_exact_value_is_what_onnxruntime_computes(network: str) -> None:
    graph = load_model(VNNCOMP / network)
    x = random_point(graph, VNNCOMP / instances()[network], np.random.default_rng(0))
    parts, start = [], 0
    for i in graph.inputs:
        size = graph.nodes[i].size
        parts.append([arb(v) for v in x[start : start + size].tolist()])
        start += size
    with working_precision(128):
        outputs = Evaluator(graph).evaluate(parts).outputs
    theirs = by_onnxruntime(VNNCOMP / network, x)
    assert len(outputs) == theirs.size
    assert all(
        float(ball.rad()) <= 1e-9 for ball in outputs
    )  # folded constants are enclosures of 1e-16 or so
    ours = np.array([float(ball.mid()) for ball in outputs])
    assert np.abs(ours - theirs).max() <= 1e-3 * max(1.0, float(np.abs(theirs).max()))


@needs_data
def test_every_network_loads() -> None:
    refused = []
    for path in sorted(VNNCOMP.rglob("*.onnx*")):
        if path.name.startswith(HUGE):
            continue
        try:
            load_model(path)
        except InvalidInput as error:
            refused.append(str(error))
    assert refused == []
