"""Every ONNX operator that is read, and the function that lowers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from tlcheck.readers.onnx import constants, elementwise, layout, linear, nonlinear, pooling
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.indexed import LATE as LATE
from tlcheck.readers.onnx.values import Value

LOWERINGS: Final[dict[str, Callable[[Call], Sequence[Value]]]] = {
    # arithmetic and functions, entry by entry
    "Abs": elementwise.absolute,
    "Add": elementwise.add,
    "Clip": elementwise.clip,
    "Div": elementwise.div,
    "LeakyRelu": elementwise.leaky_relu,
    "Max": elementwise.maximum,
    "Mean": elementwise.mean_all,
    "Min": elementwise.minimum,
    "Mul": elementwise.mul,
    "Neg": elementwise.neg,
    "PRelu": elementwise.prelu,
    "Relu": elementwise.relu,
    "Sigmoid": elementwise.sigmoid,
    "Sub": elementwise.sub,
    "Sum": elementwise.sum_all,
    "Tanh": elementwise.tanh,
    # constant weights
    "BatchNormalization": linear.batch_normalization,
    "Conv": linear.conv,
    "ConvTranspose": linear.conv_transpose,
    "Gemm": linear.gemm,
    "MatMul": linear.matmul,
    # pooling and reductions
    "AveragePool": pooling.average_pool,
    "GlobalAveragePool": pooling.global_average_pool,
    "GlobalMaxPool": pooling.global_max_pool,
    "MaxPool": pooling.max_pool,
    "ReduceL1": pooling.reduce_l1,
    "ReduceMax": pooling.reduce_max,
    "ReduceMean": pooling.reduce_mean,
    "ReduceMin": pooling.reduce_min,
    "ReduceSum": pooling.reduce_sum,
    # moving values
    "Concat": layout.concat,
    "DepthToSpace": layout.depth_to_space,
    "Dropout": layout.dropout,
    "Expand": layout.expand,
    "Flatten": layout.flatten,
    "Gather": layout.gather,
    "GatherElements": layout.gather_elements,
    "GatherND": layout.gather_nd,
    "Identity": layout.identity,
    "Pad": layout.pad,
    "Reshape": layout.reshape,
    "Resize": layout.resize,
    "ScatterND": layout.scatter_nd,
    "Slice": layout.slice_,
    "SpaceToDepth": layout.space_to_depth,
    "Split": layout.split,
    "Squeeze": layout.squeeze,
    "Tile": layout.tile,
    "Transpose": layout.transpose,
    "Unsqueeze": layout.unsqueeze,
    "Upsample": layout.upsample,
    # smooth functions, products of variables, softmax
    "Cos": nonlinear.cos,
    "Erf": nonlinear.erf,
    "Exp": nonlinear.exp,
    "Gelu": nonlinear.gelu,
    "Log": nonlinear.log,
    "LogSoftmax": nonlinear.log_softmax,
    "Pow": nonlinear.power,
    "Reciprocal": elementwise.reciprocal,
    "Sin": nonlinear.sin,
    "Softmax": nonlinear.softmax,
    "Softplus": nonlinear.softplus,
    "Sqrt": elementwise.sqrt,
    # piecewise constant
    "And": nonlinear.logical_and,
    "ArgMax": nonlinear.arg_max,
    "ArgMin": nonlinear.arg_min,
    "Ceil": nonlinear.ceil,
    "Equal": nonlinear.comparison(np.equal, "=="),
    "Floor": nonlinear.floor,
    "Greater": nonlinear.comparison(np.greater, "<", swap=True),
    "GreaterOrEqual": nonlinear.comparison(np.greater_equal, "<=", swap=True),
    "Less": nonlinear.comparison(np.less, "<"),
    "LessOrEqual": nonlinear.comparison(np.less_equal, "<="),
    "Not": nonlinear.logical_not,
    "Or": nonlinear.logical_or,
    "Round": nonlinear.round_,
    "Sign": nonlinear.sign,
    "Where": nonlinear.where,
    # constants and shapes; these take constants only, but for Cast, Shape and Size
    "Cast": constants.cast,
    "CastLike": constants.cast_like,
    "Constant": constants.constant,
    "ConstantOfShape": constants.constant_of_shape,
    "Mod": constants.mod,
    "NonZero": constants.non_zero,
    "Range": constants.range_,
    "ReduceProd": pooling.reduce_prod,
    "Shape": constants.shape,
    "Size": constants.size,
}
"""LATE: the operators, and lowerings, on tensors that integers of the network decide."""

ON_INTEGERS: Final = frozenset({
    "Add", "And", "Cast", "CastLike", "Concat", "Equal", "Expand", "Flatten", "Gather", "Greater", "GreaterOrEqual",
    "Identity", "Less", "LessOrEqual", "Not", "Or", "Reshape", "Shape", "Size", "Slice", "Split", "Squeeze", "Sub",
    "Tile", "Transpose", "Unsqueeze", "Where",
})  # fmt: skip
"""Operators that mean the same on integers and booleans that the network computes; the others refuse them."""
