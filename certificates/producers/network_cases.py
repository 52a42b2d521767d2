"""Claims about networks that are no queries: output boxes, margins over a data set, leaf proofs by boxes, node bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

import numpy as np
from digits import image, label, model_file
from models import Writer, load_trained
from packing import Case, Files, with_manifest
from properties import vnnlib1

ARTIFACT: Final = "artifact.json"

TENT: Final[dict[str, Any]] = {
    "layers.0.weight": [[1.0], [1.0]],
    "layers.0.bias": [0.0, -0.5],
    "layers.1.weight": [[2.0, -4.0]],
    "layers.1.bias": [0.0],
}
"""2 relu(x) - 4 relu(x - 1/2): on [0, 1] from 0 up to 1 and down to 0."""
CANCELLING: Final[dict[str, Any]] = {**TENT, "layers.0.bias": [0.0, 0.0], "layers.1.weight": [[1.0, -1.0]]}
"""relu(x) - relu(x) = 0, which neither intervals nor lines see."""


def text(document: Any) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"


def bundle(format: str, document: Any, files: Files | None = None) -> Files:
    claim = {"kind": "artifact", "format": format, "artifact": ARTIFACT}
    return with_manifest({ARTIFACT: text(document), **(files or {})}, [claim])


def output_box(network: dict[str, Any], low: str, high: str, inputs: Sequence[str] = ("0", "1")) -> Files:
    document = {
        "format": "tlcheck.output-box/1",
        "model": {"file": "net.json"},
        "input": {"lower": [inputs[0]], "upper": [inputs[1]]},
        "output": {"lower": [low], "upper": [high]},
    }
    return bundle("tlcheck.output-box", document, {"net.json": text(network)})


def margins(n: int, radius: str, labels: Sequence[int] | None = None, **claim: Any) -> Files:
    """The first trained images on the dense digits network, with the ONNX file of the corpus."""
    truth = [label(k) for k in range(n)] if labels is None else list(labels)
    data = {"examples": [{"x": [float(v) for v in image(k)], "y": y} for k, y in enumerate(truth)]}
    document = {
        "format": "tlcheck.margins/1", "model": {"file": "model.onnx"}, "data": {"file": "data.json"},
        "radius": radius, "examples": n, **claim,
    }  # fmt: skip
    return bundle("tlcheck.margins", document, {"model.onnx": model_file("mlp"), "data.json": text(data)})


def leaf_proof(cuts: Sequence[float]) -> Files:
    """|x| has no value below -1/4 on [-1, 1]: one leaf between each two neighbouring cuts."""
    ends = [-1.0, *cuts, 1.0]
    leaves = [{"lo": [a], "hi": [b], "lb": [0.25], "threshold": [0.0]} for a, b in pairwise(ends)]
    document = {
        "format": "abcrown_leaf_artifact_v0_2", "input_dim": 1, "root": {"lo": [-1.0], "hi": [1.0]}, "leaves": leaves,
        "model": {"file": "model.onnx"}, "property": {"file": "property.vnnlib"},
    }  # fmt: skip
    prop = vnnlib1(1, [(Fraction(-1), Fraction(1))], ["(<= Y_0 -0.25)"])
    files = {"model.onnx": model_file("absolute"), "property.vnnlib": prop}
    return bundle("torchlean-leaves-2", document, files)


def attention_onnx() -> bytes:
    """The function of TorchLean's attention network (``lirpa.attention``) as ONNX."""
    first = np.array([[1.0 + i + 2 * j for i in range(5)] for j in range(4)], np.float32)
    second = np.array([[2.0 + i + j for i in range(3)] for j in range(5)], np.float32)
    w = Writer()
    scores = w.node("MatMul", ["x", w.constant("first", first)], "scores")
    weights = w.node("Softmax", [scores], "weights", axis=-1)
    w.node("MatMul", [weights, w.constant("second", second)], "y")
    return w.model({"x": (1, 4)}, {"y": (1, 3)})


def attention() -> Files:
    """Softmax weights sum to 1: outputs lie between the least and the greatest value of each column, where intervals
    of each weight alone reach 21."""
    document = {
        "format": "tlcheck.output-box/1", "model": {"file": "model.onnx"},
        "input": {"lower": ["1/2", "3/2", "5/2", "7/2"], "upper": ["3/2", "5/2", "7/2", "9/2"]},
        "output": {"lower": ["2", "3", "4"], "upper": ["6", "7", "8"]},
    }  # fmt: skip
    return bundle("tlcheck.output-box", document, {"model.onnx": attention_onnx()})


def cases() -> Iterator[Case]:
    def case(group: str, name: str, content: Files, exit: int, code: str, note: str) -> Case:
        return Case(group, name, content, exit, code, note)

    n = len(load_trained()[1]["labels"])
    yield case(
        "accept", "output-box-of-a-tent", output_box(TENT, "-2", "2"), 0, "TLC020", "by interval propagation"
    )
    yield case(
        "accept",
        "margins-over-digits",
        margins(n, "1/8", count=n - 1),
        0,
        "TLC020",
        "all images but one, from the model",
    )
    yield case("accept", "output-box-of-attention", attention(), 0, "TLC020", "softmax weights sum to 1")
    yield case(
        "accept", "leaf-proof-by-boxes", leaf_proof([-0.25, 0.0, 0.25]), 0, "TLC001", "leaves without splits"
    )
    yield case("reject", "output-box-inward", output_box(TENT, "-2", "0x1.fffffffffffffp-1", ("1/4", "1/2")), 1,
               "TLC021", "f(1/2) = 1 is above the claimed end by 2^-53")  # fmt: skip
    wrong = [(label(k) + (k == 2)) % 10 for k in range(n)]
    yield case("reject", "margins-of-a-wrong-label", margins(n, "1/8", wrong, certified=[1, 2]), 1, "TLC021",
               "example 2 is another digit")  # fmt: skip
    yield case("undecided", "output-box-that-cancels", output_box(CANCELLING, "0", "0", ("-1", "1")), 4, "TLC022",
               "the output is 0, but no bound is")  # fmt: skip
    yield case("reject", "leaf-proof-missing-a-box", without_leaf(leaf_proof([-0.25, 0.0, 0.25])), 4, "TLC017",
               "the leaves do not cover the root")  # fmt: skip
    yield case("malformed", "margins-of-other-examples", margins(n, "1/8", count=n, examples=n + 1), 3, "TLC101",
               "the denominator is not the data's")  # fmt: skip


def without_leaf(files: Files) -> Files:
    document = json.loads(files[ARTIFACT])
    del document["leaves"][1]
    rest = {k: v for k, v in files.items() if k not in ("manifest.json", ARTIFACT)}
    return bundle("torchlean-leaves-2", document, rest)
