"""Every ONNX operator that is read, and where: the one table, from which a network loads what it asks for.

A row names the module of a family of operators and its function that lowers a node (``FAMILIES``), or the one operation of
``tlcheck.trusted.ops`` that the operator is (``OPERATIONS``). At which opsets an operator exists, and with which operands,
attributes and types, is not written here: ``standard`` has it from the onnx package. What has no row is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from tlcheck.readers.asked import note_asked
from tlcheck.readers.onnx.operands import Data, Late, Part, Value
from tlcheck.trusted.graph import Graph

if TYPE_CHECKING:
    from tlcheck.readers.onnx.call import Call

Lowering = Callable[["Call"], Sequence[Part]]
"""From a node to its results, one for each of its outputs."""

Attributes = tuple[tuple[str, float | int], ...]


@dataclass(frozen=True)
class Row:
    """Where an operator is read. ``attributes``, names with defaults: not None where ``name`` is an operation's class."""

    module: str
    name: str
    attributes: Attributes | None = None

    def load(self) -> Lowering:
        """The function that lowers a node; its module is loaded here, when a network has such a node."""
        found = getattr(import_module(self.module), self.name)
        return found if self.attributes is None else partial(_one_operation, found, self.attributes)


def _one_operation(kind: Callable[..., Any], attributes: Attributes, call: Call) -> list[Value]:
    """The operation of that kind on the one operand; the node's attributes, in this order, are what it is made of."""
    given = [
        call.attr_int(name, default) if isinstance(default, int) else call.attr_float(name, default)
        for name, default in attributes
    ]
    return [call.emit(kind(*given), call.variable(0))]


def operation(module: str, kind: str, **attributes: float | int) -> Row:
    """An operator that is one operation, and its attributes with their defaults."""
    return Row(f"tlcheck.trusted.ops.{module}", kind, tuple(attributes.items()))


OPERATIONS: Final[dict[str, Row]] = {
    "Acos": operation("arcs", "Acos"),
    "Asin": operation("arcs", "Asin"),
    "Atan": operation("s_shaped", "Atan"),
    "Cos": operation("smooth", "Cos"),
    "Erf": operation("smooth", "Erf"),
    "Exp": operation("smooth", "Exp"),
    "LeakyRelu": operation("bent", "LeakyRelu", alpha=0.01),
    "Log": operation("smooth", "Log"),
    "Relu": operation("activation", "Relu"),
    "Sigmoid": operation("s_shaped", "Sigmoid"),
    "Sin": operation("smooth", "Sin"),
    "Softplus": operation("smooth", "Softplus"),
    "Tanh": operation("s_shaped", "Tanh"),
}
"""Operators that are one operation on their operand."""

FAMILIES: Final[dict[str, dict[str, str]]] = {
    "arithmetic": {
        "Add": "add", "Div": "div", "Mean": "mean_all", "Mul": "mul", "Neg": "neg", "Sub": "add", "Sum": "sum_all",
    },
    "extremes": {"Abs": "absolute", "Clip": "clip", "Max": "extreme", "Min": "extreme"},
    "functions": {
        **dict.fromkeys(
            "Acosh Asinh Atanh Cosh Elu Gelu HardSwish Mish Shrink Sinh Softsign Swish Tan ThresholdedRelu".split(), "written",
        ),
        "Celu": "celu", "HardSigmoid": "hard_sigmoid", "PRelu": "prelu", "Pow": "power", "Reciprocal": "reciprocal",
        "Selu": "selu", "Sqrt": "sqrt", "SwiGLU": "swiglu",
    },
    "along_axis": {
        "ArgMax": "arg_extreme", "ArgMin": "arg_extreme", "Hardmax": "hardmax", "LogSoftmax": "softmax", "OneHot": "one_hot",
        "Softmax": "softmax",
    },
    "top_k": {"TopK": "top_k"},
    "normalization": {
        "BatchNormalization": "batch_normalization", "GroupNormalization": "group_normalization",
        "InstanceNormalization": "instance_normalization", "LRN": "lrn", "LayerNormalization": "layer_normalization",
        "LpNormalization": "lp_normalization", "RMSNormalization": "rms_normalization",
    },
    "matrices": {"CumSum": "cum_sum", "Gemm": "gemm", "MatMul": "matmul"},
    "einsum": {"Einsum": "einsum"},
    "determinant": {"Det": "det"},
    "subgraphs": {"If": "if_", "Loop": "loop", "Scan": "scan"},
    "fourier": {"DFT": "dft", "STFT": "stft"},
    "recurrent": dict.fromkeys(("GRU", "LSTM", "RNN"), "recurrent"),
    "convolution": {"Conv": "conv", "ConvTranspose": "conv_transpose"},
    "pooling": {"AveragePool": "average_pool", "MaxPool": "max_pool"},
    "lp_pool": {"GlobalLpPool": "global_lp_pool", "LpPool": "lp_pool"},
    "reductions": {
        "GlobalAveragePool": "global_pool", "GlobalMaxPool": "global_pool", "ReduceL1": "reduced", "ReduceL2": "reduced",
        "ReduceLogSum": "reduced", "ReduceLogSumExp": "reduced", "ReduceMax": "reduced", "ReduceMean": "reduced",
        "ReduceMin": "reduced", "ReduceProd": "reduced", "ReduceSum": "reduced", "ReduceSumSquare": "reduced",
    },
    "shapes": {
        "Concat": "concat", "DepthToSpace": "blocks", "Dropout": "dropout", "Expand": "expand", "Flatten": "flatten",
        "Identity": "identity", "Reshape": "reshape", "SpaceToDepth": "blocks", "Split": "split", "Squeeze": "squeeze",
        "Tile": "tile", "Transpose": "transpose", "Unsqueeze": "unsqueeze",
    },
    "selection": {
        "Compress": "compress", "Gather": "gather", "GatherElements": "gather_elements", "GatherND": "gather_nd",
        "Pad": "pad", "ReverseSequence": "reverse_sequence", "Scatter": "scatter_elements",
        "ScatterElements": "scatter_elements", "ScatterND": "scatter_nd", "Slice": "slice_", "Trilu": "trilu",
    },
    "bits": {
        "BitShift": "bit_shift", "BitwiseAnd": "bitwise", "BitwiseNot": "bitwise_not", "BitwiseOr": "bitwise",
        "BitwiseXor": "bitwise",
    },
    "placing": {"CenterCropPad": "center_crop_pad", "Col2Im": "col2im", "TensorScatter": "tensor_scatter"},
    "attention": {"Attention": "attention", "RotaryEmbedding": "rotary_embedding"},
    "resize": {"Resize": "resize", "Upsample": "upsample"},
    "grid_sample": {"AffineGrid": "affine_grid", "GridSample": "grid_sample"},
    "discrete": {
        "And": "logic", "Ceil": "stepped", "Equal": "comparison", "Floor": "stepped", "Greater": "comparison",
        "GreaterOrEqual": "comparison", "IsInf": "is_not_a_number", "IsNaN": "is_not_a_number", "Less": "comparison",
        "LessOrEqual": "comparison", "Mod": "mod", "Not": "logic", "Or": "logic", "Round": "stepped", "Sign": "stepped",
        "Where": "where", "Xor": "logic",
    },
    "literals": {
        "Constant": "constant", "ConstantOfShape": "constant_of_shape", "EyeLike": "eye_like", "NonZero": "non_zero",
        "Range": "range_", "Shape": "shape", "Size": "size",
    },
    "casts": {"Cast": "cast", "CastLike": "cast"},
    "dynamic": {"DynamicQuantizeLinear": "quantize"},
    "quantized": {
        "ConvInteger": "conv_integer", "DequantizeLinear": "dequantize", "MatMulInteger": "matmul_integer",
        "QLinearConv": "qlinear_conv", "QLinearMatMul": "qlinear_matmul", "QuantizeLinear": "quantize",
    },
}  # fmt: skip
"""Module of this package -> operator -> its function there. One function for several: it looks at ``Call.op``."""

LOWERINGS: Final[dict[str, Row]] = OPERATIONS | {
    operator: Row(f"{__package__}.{family}", name)
    for family, rows in FAMILIES.items()
    for operator, name in rows.items()
}

LOCAL: Final = Row(f"{__package__}.subgraphs", "function_call")
"""A call of a local function. Rows of its module get the walk too."""

ON_INTEGERS: Final = frozenset({
    "Add", "And", "Cast", "CastLike", "Concat", "ConvInteger", "DequantizeLinear", "Equal", "Expand",
    "EyeLike", "Flatten", "Gather", "Greater", "GreaterOrEqual", "Identity", "If", "Less", "LessOrEqual",
    "Loop", "MatMulInteger", "MaxPool", "Mod", "Mul", "Not", "OneHot", "Or", "QLinearConv",
    "QLinearMatMul", "ReduceMax", "ReduceMin", "ReduceSum", "Reshape", "ReverseSequence", "Scan", "Shape",
    "Size", "Slice", "Split", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where", "Xor",
})  # fmt: skip
"""Operators that mean the same on integers and booleans that the network computes; the others refuse them."""


LATE: Final[dict[str, tuple[str, tuple[int, ...]]]] = {
    "Add": ("arithmetic", ()), "Concat": ("concat", ()), "ConstantOfShape": ("constant_of_shape", (0,)),
    "Equal": ("arithmetic", ()), "Expand": ("sized", (1,)), "Gather": ("gather", (1,)), "Identity": ("identity", ()),
    "Mul": ("arithmetic", ()), "Range": ("sized", (0, 1, 2)), "Reshape": ("reshape", (1,)), "ScatterND": ("scatter_nd", (1,)),
    "Shape": ("shape_of", ()), "Slice": ("slice_", (1, 2, 3, 4)), "Squeeze": ("squeeze", ()), "Sub": ("arithmetic", ()),
    "Unsqueeze": ("squeeze", ()), "Where": ("where", ()),
}  # fmt: skip
"""Operators on tensors that integers of the network decide: the function of ``computed_indices``, and which operands say
where, or what shape."""


def late_row(operator: str, operands: Sequence[Part | None]) -> Row | None:
    """The row of an operator that takes a late tensor, or integers that the network computes as its indices."""
    name, indices = LATE.get(operator, ("", ()))
    computed = [x for i in indices if i < len(operands) and isinstance(x := operands[i], Data)]
    late = any(isinstance(x, Late) for x in operands) or (computed and not any(x.is_float for x in computed))
    return Row(f"{__package__}.computed_indices", name) if name and late else None


def modules_for(operators: Iterable[str]) -> tuple[str, ...]:
    """The modules that the rows of these operators name, in order; operators without a row name none."""
    return tuple(sorted({LOWERINGS[name].module for name in operators if name in LOWERINGS}))


def modules_of(graph: Graph) -> tuple[str, ...]:
    """The modules that were loaded for the nodes of the network that became ``graph``; none for a graph of another origin."""
    return _MODULES.get(graph, ())


def remember(graph: Graph, rows: Iterable[Row]) -> Graph:
    """``graph``, of whose network's nodes these rows were used."""
    _MODULES[graph] = tuple(sorted({row.module for row in rows}))
    note_asked(*_MODULES[graph])
    return graph


_MODULES: Final[WeakKeyDictionary[Graph, tuple[str, ...]]] = WeakKeyDictionary()
"""By identity, as keys of graphs are: what was read to make a graph is no part of what it denotes."""
