"""Every ONNX operator that is read, and the function that lowers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from tlcheck.readers.onnx import constants, elementwise, layout, linear, pooling
from tlcheck.readers.onnx.call import Call
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
    "Where": layout.where,
    # constants and shapes; these take constants only, but for Cast (to a wider type), Shape and Size
    "And": constants.logic(np.logical_and, 2),
    "Cast": constants.cast,
    "CastLike": constants.cast_like,
    "Ceil": constants.unary(np.ceil),
    "Constant": constants.constant,
    "ConstantOfShape": constants.constant_of_shape,
    "Equal": constants.comparison(np.equal),
    "Floor": constants.unary(np.floor),
    "Greater": constants.comparison(np.greater),
    "GreaterOrEqual": constants.comparison(np.greater_equal),
    "Less": constants.comparison(np.less),
    "LessOrEqual": constants.comparison(np.less_equal),
    "Mod": constants.mod,
    "NonZero": constants.non_zero,
    "Not": constants.logic(np.logical_not, 1),
    "Or": constants.logic(np.logical_or, 2),
    "Range": constants.range_,
    "Reciprocal": elementwise.reciprocal,
    "ReduceProd": pooling.reduce_prod,
    "Shape": constants.shape,
    "Sign": constants.unary(np.sign),
    "Size": constants.size,
    "Sqrt": elementwise.sqrt,
}
