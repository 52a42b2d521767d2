"""Two networks that differ by at most so much, or that do not: one fused, one not, with a weight that is off."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import numpy as np
from digits import P
from models import Writer, gemm
from packing import ARRAYS, Case, Files, with_manifest
from properties import exact_text, vnnlib1

from tlcheck.prover.equivalence import whole_boxes
from tlcheck.readers.onnx import read_model
from tlcheck.readers.vnnlib.two_models import joined
from tlcheck.writers.bundle import guidance_arrays, pack_arrays

F = Fraction
A, B = "A/model.onnx", "B/model.onnx"
BOX: Final = [(F(-1), F(1)), (F(0), F(1))]
FIRST: Final = np.array([[1, -2], [0.5, 1], [-1, 0.25]], np.float32)
SECOND: Final = np.array([[1, -1, 0.5], [2, 0.5, -1]], np.float32)
BIASES: Final = (np.array([0.25, -0.5, 0.125], np.float32), np.array([0, 1], np.float32))
OFF: Final = F(1, 256)
"""What one weight is off by: of the first neuron, whose operand is -1 to 1, into outputs with weights 1 and 2."""
TINY: Final = F(1, 10**12)


def fused() -> bytes:
    """Gemm, Relu, Gemm."""
    w = Writer()
    w.node("Relu", [gemm(w, "x", "z", FIRST.tolist(), BIASES[0].tolist())], "a")
    gemm(w, "a", "y", SECOND.tolist(), BIASES[1].tolist())
    return w.model({"x": (1, 2)}, {"y": (1, 2)})


def unfused(off: Fraction | int = 0, outputs: int = 2) -> bytes:
    """The same with MatMul and Add; one weight is off."""
    w = Writer()
    first = FIRST.copy()
    first[0, 0] += np.float32(off)
    w.node("MatMul", ["x", w.constant("w", first.T.copy())], "p")
    w.node("Add", ["p", w.constant("b", BIASES[0])], "q")
    w.node("Relu", ["q"], "r")
    w.node("MatMul", ["r", w.constant("v", SECOND[:outputs].T.copy())], "s")
    w.node("Add", ["s", w.constant("c", BIASES[1][:outputs])], "y")
    return w.model({"x": (1, 2)}, {"y": (1, outputs)})


def pair(
    second: bytes, within: Fraction, witness: tuple[Fraction, ...] | None = None, **changes: Any
) -> Files:
    """A claim about ``fused`` and ``second``: with a witness, that they differ; else with a leaf for each output and sign."""
    files = {A: fused(), B: second, P: vnnlib1(2, BOX, [])}
    claim: dict[str, Any] = {
        "kind": "differ",
        "model": A,
        "other": B,
        "property": P,
        "within": exact_text(within),
    }
    if witness is not None:
        claim["witness"] = [exact_text(q) for q in witness]
    else:
        graph = joined(read_model(files[A]), read_model(fused()))
        nodes, arrays = guidance_arrays(whole_boxes(4), graph)
        files[ARRAYS] = pack_arrays(arrays)
        claim |= {
            "kind": "equiv",
            "evidence": {"arrays": ARRAYS, "prefix": "", "nodes": nodes, "per_leaf_bounds": False},
        }
    return with_manifest(files, [claim | changes])


def cases() -> Iterator[Case]:
    two = 2 * OFF  # the first neuron's change, at most OFF, times the largest weight
    point = (F(1), F(0))  # its operand is 5/4 there: what is off arrives whole
    yield Case(
        "accept",
        "equiv-unfused",
        pair(unfused(), TINY),
        0,
        "TLC001",
        "nothing is off: MatMul and Add for Gemm",
    )
    yield Case(
        "accept",
        "equiv-a-weight-off",
        pair(unfused(OFF), two + TINY),
        0,
        "TLC001",
        "the largest difference, and 1e-12",
    )
    yield Case(
        "accept",
        "differ-a-weight-off",
        pair(unfused(OFF), two - F(1, 10**9), point),
        0,
        "TLC002",
        "a bound just below",
    )
    yield Case(
        "reject",
        "equiv-bound-just-below",
        pair(unfused(OFF), two - F(1, 10**9)),
        4,
        "TLC010",
        "false by 1e-9",
    )
    yield Case(
        "reject",
        "differ-not-by-so-much",
        pair(unfused(OFF), two, point),
        1,
        "TLC011",
        "exactly the bound, not more",
    )
    yield Case(
        "reject", "equiv-below-zero", pair(unfused(), F(-1)), 4, "TLC010", "no difference is below zero"
    )
    outside = (F(2), F(0))
    yield Case(
        "reject",
        "differ-outside-the-box",
        pair(unfused(OFF), two, outside),
        1,
        "TLC011",
        "more than that, beyond the box",
    )
    one = unfused(outputs=1)
    yield Case("malformed", "equiv-other-outputs", pair(one, two), 3, "TLC303", "two outputs and one")
    yield Case(
        "malformed",
        "equiv-one-model-twice",
        pair(unfused(), two, other=A),
        3,
        "TLC101",
        "a file in two roles, and one in none",
    )
