"""Operators that are not read: why, and what to do instead. Loaded where a network has one."""

from __future__ import annotations

from typing import Final

NEVER: Final[dict[str, str]] = {
    "MeanVarianceNormalization": "onnxruntime adds no 1e-9 to the deviation, as the standard's function does",
    **dict.fromkeys(
        "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike".split(),
        "its values are random, so the model is no one function: make them an input, or leave the node out",
    ),
    **dict.fromkeys(
        "ConcatFromSequence Optional OptionalGetElement OptionalHasElement SequenceAt SequenceConstruct SequenceEmpty "
        "SequenceErase SequenceInsert SequenceLength SequenceMap SplitToSequence".split(),
        "sequences and optional values are no tensors: write the graph with Split, Concat and Gather",
    ),
}  # fmt: skip
"""Of the standard."""

NO_KERNEL: Final = (
    "onnxruntime's CPU has no kernel of it: save the model at level basic, or extended for the CPU"
)
LAYOUT: Final = (
    "a layout for one processor, whose block size is not in the file: save the model at level basic or extended, not all "
    "(graph_optimization_level; tlcheck run --graph basic)"
)
OWN: Final[dict[str, str]] = {
    **dict.fromkeys(("BiasAdd", "BiasSoftmax", "BiasSplitGelu"), NO_KERNEL),
    "EmbedLayerNormalization": "it takes integers, of which there is no box: give the network behind it, from the embedding on",
    "GroupQueryAttention": "it keeps keys and values from one pass to the next: give Attention of opset 23, of one pass",
}  # fmt: skip
"""Of com.microsoft."""


def reason(operator: str, domain: str) -> str:
    """Empty where there is none but that nobody wrote it."""
    if domain in ("", "ai.onnx"):
        return NEVER.get(operator, "")
    layout = domain == "com.microsoft.nchwc"
    why = LAYOUT if layout else OWN.get(operator, "") if domain == "com.microsoft" else ""
    return f"domain {domain}: {why}" if why else f"domain {domain}"
