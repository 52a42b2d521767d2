"""What ``supports`` answers: the eleven capabilities of section 5.4, from what the readers really read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final


def opset_versions() -> Sequence[str]:
    from tlcheck.readers.onnx.standard import MIN_OPSET, max_opset

    return str(MIN_OPSET), str(max_opset())


def operators() -> Sequence[str]:
    from tlcheck.readers.onnx import LOWERINGS

    return sorted(LOWERINGS)


CAPABILITIES: Final[dict[str, Callable[[], Sequence[str]]]] = {
    "onnx-opset-versions": opset_versions,
    "onnx-element-types": lambda: ("real", "float32", "float64"),
    "onnx-operators": operators,
    "vnnlib-versions": lambda: ("1.0", "2.0"),
    "hidden-node-theories": lambda: ("NH", "H"),
    "multiple-input-output-theories": lambda: ("SIO", "MIO"),
    "multiple-network-theories": lambda: ("SNET", "MNET", "MENET", "MINET"),
    "multiple-node-comparison-theories": lambda: ("SNC", "MNC"),
    "arithmetic-complexity-theories": lambda: ("BND", "OUTC", "LIN", "POLY"),
    "optimised-disjunctive-reasoning": lambda: ("false",),
    "serialise-assignments": lambda: ("true",),
}
"""Each capability and the lines of its answer. Element types: those of inputs (outputs may be integers too)."""
ALIASES: Final = {"multiple-inputs-output-theories": "multiple-input-output-theories"}
"""The standard spells this one in two ways."""
