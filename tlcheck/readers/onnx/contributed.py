"""Operators of onnxruntime's own that its optimiser writes: their forms, and where they are read. What is not here is refused.

Their domain is com.microsoft, version 1; onnxruntime writes two into the default domain (LayerNormalization before opset 17, and
SimplifiedLayerNormalization). Loaded for a network that has one. ``tests/readers/test_contributed.py`` holds every form
against the schemas of the installed onnxruntime; types are those of which its CPU has a kernel and that mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.readers.asked import note_asked
from tlcheck.readers.onnx.standard import Form, Operand
from tlcheck.readers.onnx.table import Row

KINDS: Final = {"f": 1, "i": 2, "s": 3, "F": 6, "I": 7}
"""AttributeProto.AttributeType by the letters that ``_form`` takes."""
INTEGERS: Final = {
    "k": "int64", **dict.fromkeys(("mask_index", "key_padding_mask", "past_sequence_length", "cache_indirection"), "int32"),
}  # fmt: skip
"""Operands of integers, and their types."""
CONVOLUTION: Final = (
    "activation:s activation_params:F auto_pad:s dilations:I group:i kernel_shape:I pads:I strides:I"
)
PRODUCT: Final = "alpha:f transA:i transB:i"


@dataclass(frozen=True)
class Contributed:
    """An operator's form, and how it is read."""

    form: Form
    row: Row


def _operator(
    where: str, operands: str, attributes: str = "", *, outputs: int = 1, types: tuple[str, ...] = ("float",)
) -> Contributed:
    """``where``: module and function of this package. ``operands``: of one type, but for INTEGERS; those with ? optional.
    ``attributes``: those with ! required."""
    module, _, name = where.partition(".")
    kinds = dict(item.rstrip("!").split(":") for item in attributes.split())
    given = frozenset(f"tensor({t})" for t in types)
    rows = []
    for n in operands.split():
        kind = INTEGERS.get(n.rstrip("?"))
        of = given if kind is None else frozenset((f"tensor({kind})",))
        rows.append(Operand(n.rstrip("?"), not n.endswith("?"), kind or "T", of))
    form = Form(
        since=1, deprecated=False, operands=tuple(rows), rest=False, max_outputs=outputs,
        attributes={name: KINDS[kind] for name, kind in kinds.items()},
        required=tuple(item.split(":")[0] for item in attributes.split() if item.endswith("!")),
    )  # fmt: skip
    return Contributed(form, Row(f"{__package__}.{module}", name))


CONTRIBUTED: Final[dict[str, Contributed]] = {
    "com.microsoft.Attention": _operator(
        "multi_head.packed", "input weights bias? mask_index? past? attention_bias? past_sequence_length?",
        "scale:f mask_filter_value:f do_rotary:i past_present_share_buffer:i qkv_hidden_sizes:I unidirectional:i "
        "rotary_embedding_dim:i num_heads:i!", outputs=2,
    ),
    "com.microsoft.BiasGelu": _operator("fused.gelu", "A B"),
    "com.microsoft.FastGelu": _operator("fused.gelu", "X bias?"),
    "com.microsoft.FusedConv": _operator("fused.conv", "X W B? Z?", CONVOLUTION),
    "com.microsoft.FusedGemm": _operator(
        "fused.gemm", "A B C?", f"{PRODUCT} beta:f activation:s activation_alpha:f activation_beta:f activation_gamma:f"
    ),
    "com.microsoft.FusedMatMul": _operator("fused.matmul", "A B", f"{PRODUCT} transBatchA:i transBatchB:i"),
    "com.microsoft.Gelu": _operator("fused.gelu", "X"),
    "com.microsoft.MultiHeadAttention": _operator(
        "multi_head.apart",
        "query key? value? bias? key_padding_mask? attention_bias? past_key? past_value? past_sequence_length? "
        "cache_indirection?",
        "unidirectional:i scale:f mask_filter_value:f num_heads:i!", outputs=4,
    ),
    "com.microsoft.QuickGelu": _operator("fused.quick_gelu", "X", "alpha:f"),
    "com.microsoft.SkipLayerNormalization": _operator(
        "skip_normalization.skip_layer", "input skip gamma beta? bias?", "epsilon:f", outputs=4
    ),
    "com.microsoft.SkipSimplifiedLayerNormalization": _operator(
        "skip_normalization.skip_simplified", "input skip gamma bias?", "epsilon:f", outputs=4
    ),
    "com.microsoft.TransposeMatMul": _operator("fused.matmul", "A B", PRODUCT),
    "com.microsoft.Trilu": _operator("selection.trilu", "X k?", "upper:i", types=("float", "double", "int64", "bool")),
    "LayerNormalization": _operator(
        "normalization.layer_normalization", "X Scale B?", "axis:i epsilon:f stash_type:i", outputs=3
    ),
    "SimplifiedLayerNormalization": _operator(
        "skip_normalization.simplified", "X scale", "axis:i epsilon:f stash_type:i", outputs=2
    ),
}  # fmt: skip


def contributed(operator: str, domain: str, versions: Mapping[str, set[int]]) -> Contributed | None:
    """The operator of that domain; None where nothing of that name is read. ``versions``: in which domains are imported.

    Raises TLC201, TLC202.
    """
    note_asked(__name__)
    found = CONTRIBUTED.get(operator if domain in ("", "ai.onnx") else f"{domain}.{operator}")
    home = domain if domain not in ("", "ai.onnx") else "com.microsoft"
    if found is not None and versions.get(home) != {1}:
        if home not in versions:
            raise InvalidInput("TLC201", f"domain {home} is not imported")
        got = str(sorted(versions[home]))
        raise InvalidInput("TLC202", f"unsupported version of domain {home}", expected="1", got=got)
    return found
