"""Recorded executions: the outputs are the exact ones, rounded to float32, so that every machine makes the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
from digits import image, label, model_file, scores
from network_cases import bundle, text
from packing import Case, Files

from tlcheck.writers.bundle import pack_arrays

POINTS: Final = 5
WITHIN: Final = "1/50"
PROFILE: Final[dict[str, Any]] = {
    "format": "tlcheck.profile", "version": 1, "name": "corpus", "kind": "assumed", "normalisation": "two-pass",
    "provenance": {
        "what": "Any float32 runtime.", "how": "Sums and products are rounded to nearest.", "not_covered": "Functions.",
        "date": "2026-11-30",
    },
    "functions": {},
}  # fmt: skip


def recorded(network: str) -> np.ndarray[Any, Any]:
    points = [tuple(map(Fraction, image(k))) for k in range(POINTS)]
    return np.array([[float(y) for y in scores(model_file(network), point)] for point in points], np.float32)


def record(
    network: str = "mlp", outputs: np.ndarray[Any, Any] | None = None, within: str = WITHIN,
    labels: Sequence[int | None] | None = None,
) -> Files:  # fmt: skip
    values = {
        "inputs": np.array([image(k) for k in range(POINTS)], np.float32),
        "outputs": recorded(network) if outputs is None else outputs,
    }
    document = {
        "format": "tlcheck.conformance/1", "model": {"file": "model.onnx"}, "profile": "profile.json",
        "values": "values.safetensors", "within": within,
        "labels": [label(k) for k in range(POINTS)] if labels is None else list(labels),
        "runtime": {"note": "exact values, rounded to float32"},
    }  # fmt: skip
    files = {
        "model.onnx": model_file(network),
        "profile.json": text(PROFILE),
        "values.safetensors": pack_arrays(values),
    }
    return bundle("tlcheck.conformance", document, files)


def moved() -> np.ndarray[Any, Any]:
    """One output of one point is off by a hundredth."""
    outputs = recorded("mlp")
    outputs[3, 7] += np.float32(0.01)
    return outputs


def cases() -> Iterator[Case]:
    name = "conformance-of-a-digits-network"
    yield Case("accept", name, record(), 0, "TLC020", "five points, each with its label")
    wrong = [label(k) if k != 2 else (label(k) + 1) % 10 for k in range(POINTS)]
    yield Case("reject", f"{name}-moved-output", record(outputs=moved()), 1, "TLC021",
               "an output that no execution allowed by the profile has")  # fmt: skip
    yield Case("reject", f"{name}-wrong-label", record(labels=wrong), 1, "TLC021",
               "every allowed execution gives another class")  # fmt: skip
    yield Case("undecided", f"{name}-within-too-little", record(within="1/1000000000"), 4, "TLC022",
               "the enclosures are wider, which disproves nothing")  # fmt: skip
    yield Case("undecided", "conformance-without-a-function", record("sigmoid"), 4, "TLC022",
               "the profile does not say how accurate Sigmoid is")  # fmt: skip
    yield Case(
        "malformed", f"{name}-labels", record(labels=[1, 2]), 3, "TLC101", "two labels for five points"
    )
