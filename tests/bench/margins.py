"""Margins of 360 images of scikit-learn's digits through networks with MaxPool: in one file, and one by one.

What must hold: every verdict, and every margin to the bit, is the same both ways; progress is reported image by image.
Seconds are of the wall and of all processes' CPUs. ``python -m tests.bench.margins [--images N]``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.helpers import CERTIFICATES, FAULTS
from tlcheck.checking.conditions import check_conditions
from tlcheck.options import Options, Progress
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.onnx import load_model, read_model
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.conditions import Check
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.science.examples import Examples
from tlcheck.trusted.science.margins import Margins


def networks() -> Iterator[tuple[str, Graph, float, str]]:
    """(name, network, value of a full pixel, radius)"""
    sys.path.insert(0, str(CERTIFICATES / "producers"))
    from digits import model_file  # type: ignore[import-not-found]

    yield "the corpus's pooled digits", read_model(model_file("pooled")), 16.0, "1/4"
    old = FAULTS / "maxpool_margins" / "old.onnx"
    if old.is_file():
        yield "faults/maxpool_margins", load_model(Path(old)), 1.0, "1/50"


def digits(count: int, full: float) -> tuple[np.ndarray, np.ndarray]:
    """The last images of scikit-learn's digits, and their labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.data[-count:] * (full / 16.0), found.target[-count:].astype(np.int64)


def conditions(claim: Margins) -> list[Check]:
    with working_precision(128):
        return [item for item in claim.checks(128, lambda: None) if isinstance(item, Check)]


def one_by_one(claim: Margins, inputs: np.ndarray, labels: np.ndarray) -> Iterator[Check]:
    """Each image's condition in a claim of its own."""
    for k in range(labels.size):
        alone = replace(claim.examples, inputs=inputs[k : k + 1], labels=labels[k : k + 1])
        (check,) = conditions(replace(claim, examples=alone, certified=(0,)))
        yield replace(check, where=check.where.replace("example 0", f"example {k}"))


def margins(count: int = 360, jobs: Sequence[int] = (1, 2)) -> None:
    for name, graph, full, radius in networks():
        inputs, labels = digits(count, full)
        examples = Examples(inputs, labels, Fraction(radius), (Fraction(0), Fraction(full)))
        claim = Margins(graph, examples, tuple(range(count)), 0, "auto", "")
        for n in jobs:
            seen: list[Progress] = []
            start, used = time.perf_counter(), cpu()
            result = check_conditions(LoadedClaim(name, claim), claim, Options(jobs=n), seen.append)
            seconds, used = time.perf_counter() - start, cpu() - used
            print(
                f"{name}: {count} images, {n} job{'s' * (n > 1)}: {seconds:.1f} s, {used:.1f} s of CPU, "
                f"{len(seen)} reports; certified {result.details['certified accuracy']}, "
                f"nominal {result.details['nominal accuracy']}",
                flush=True,
            )
        start, used = time.perf_counter(), cpu()
        together, alone = conditions(claim), list(one_by_one(claim, inputs, labels))
        differ = [a.where for a, b in zip(together, alone, strict=True) if a != b]
        print(
            f"{name}: {len(differ)} of {count} differ one by one {differ[:5]} ({cpu() - used:.1f} s of CPU)",
            flush=True,
        )


def cpu() -> float:
    """Seconds of this process and of those that it has waited for."""
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=360)
    margins(parser.parse_args().images)
