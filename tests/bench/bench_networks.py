"""Speed of margins, boxes and node bounds: ``python -m tests.bench.bench_networks``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from fractions import Fraction as F

import numpy as np

from tlcheck.readers.torchlean.state_dict import dense_graph
from tlcheck.trusted.conditions import ConditionClaim
from tlcheck.trusted.decide import decide_conditions
from tlcheck.trusted.science.examples import Examples
from tlcheck.trusted.science.margins import Margins
from tlcheck.trusted.science.output_box import OutputBox


def network(*sizes: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    layers = {}
    for k, (n, m) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        layers[f"layers.{k}.weight"] = (
            (rng.normal(size=(m, n)) / np.sqrt(n)).astype(np.float32).astype(np.float64)
        )
        layers[f"layers.{k}.bias"] = np.zeros(m)
    return layers


def margins(count: int, arith: str, *sizes: int) -> ConditionClaim:
    rng = np.random.default_rng(4)
    examples = Examples(
        rng.uniform(size=(count, sizes[0])), rng.integers(0, sizes[-1], count), F(1, 500), (F(0), F(1))
    )
    return Margins(dense_graph(network(*sizes), ""), examples, (), 0, arith, "")


def output_box(*sizes: int) -> ConditionClaim:
    lower, upper = (F(0),) * sizes[0], (F(1, 8),) * sizes[0]
    graph = dense_graph(network(*sizes), "")
    return OutputBox(graph, lower, upper, (F(-100),) * sizes[-1], (F(100),) * sizes[-1], "the model", "")


def say(name: str, make: Callable[[], ConditionClaim]) -> None:
    claim = make()
    start = time.perf_counter()
    outcome = decide_conditions(claim)
    sys.stdout.write(
        f"{name:40} {time.perf_counter() - start:8.2f} s  {outcome.verdict.name}  {outcome.measures}\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    say("margins, 1000 x 784-10, auto", lambda: margins(1000, "auto", 784, 10))
    say("margins, 1000 x 784-10, arb", lambda: margins(1000, "arb", 784, 10))
    say("margins, 100 x 784-256-10, auto", lambda: margins(100, "auto", 784, 256, 10))
    say("margins, 20 x 784-256-256-10, auto", lambda: margins(20, "auto", 784, 256, 256, 10))
    say("output box, 784-256-10", lambda: output_box(784, 256, 10))
    say("output box, 64-64-64-10", lambda: output_box(64, 64, 64, 10))
