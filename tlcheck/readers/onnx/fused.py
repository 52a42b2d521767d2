"""Several operators in one node, as onnxruntime's optimiser writes them (domain com.microsoft).

Guarantee: the nodes emitted denote exactly the operators that were put together, one after the other, over the reals. Kernels
also add up in another order: a summand that they start from is charged with the roundings of the whole sum.
"""

from __future__ import annotations

from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.arithmetic import add_signed, in_a_sum
from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.convolution import convolved, operands_of
from tlcheck.readers.onnx.matrices import gemm as plain_gemm
from tlcheck.readers.onnx.matrices import multiply
from tlcheck.readers.onnx.operands import Known, Value

CONV_ACTIVATIONS: Final[dict[str, tuple[str, ...]]] = {
    "Clip": ("min", "max"), "HardSigmoid": ("alpha", "beta"), "HardSwish": (), "LeakyRelu": ("alpha",), "Relu": (),
    "Sigmoid": (), "Tanh": (),
}  # fmt: skip
"""Of convolutions: what ``activation_params`` are."""
GEMM_ACTIVATIONS: Final[dict[str, tuple[str, ...]]] = {
    "Elu": ("alpha",), "HardSigmoid": ("alpha", "beta"), "LeakyRelu": ("alpha",), "Relu": (), "Selu": ("alpha", "gamma"),
    "Sigmoid": (), "Softplus": (), "Softsign": (), "Tanh": (), "ThresholdedRelu": ("alpha",),
}  # fmt: skip
"""Of Gemm: its parameters, each in an attribute ``activation_...``."""


def conv(call: Call) -> list[Value]:
    """The activation of Conv(X, W, B) + Z."""
    x, by, bias = operands_of(call)
    y, z = convolved(call, x, by, bias), call.optional(3)
    if z is not None:
        call.refuse_shape(z.shape != y.shape, f"Z of shape {z.shape} for a result {y.shape}")
        return [activated(call, add_signed(call, y, in_a_sum(call, z, prod(by.shape[1:]) + 1), 1))]
    return [activated(call, y)]


def activated(call: Call, y: Value) -> Value:
    """The attributes ``activation`` and ``activation_params`` of y; y where there is none."""
    params = call.attr_floats("activation_params")
    kind = call.attr_str("activation", "")
    if not call.has("activation"):
        call.refuse(params is not None, "activation_params without an activation")
        return y
    names = CONV_ACTIVATIONS.get(kind)
    if names is None or len(names) != len(params or ()):
        raise call.unsupported(f"activation {kind[:80]} with parameters {params}")
    given = dict(zip(names, params or (), strict=True))
    if kind == "Clip":
        return call.made("Clip", y, *(Known(np.array(given[n], np.float32), "float32") for n in names))
    return call.made(kind, y, **given)


def gemm(call: Call) -> list[Value]:
    """The activation of Gemm(A, B, C)."""
    (y,) = plain_gemm(call)
    kind = call.attr_str("activation", "")
    names = GEMM_ACTIVATIONS.get(kind)
    if names is None or not all(call.has(f"activation_{n}") for n in names):
        raise call.unsupported(
            f"activation {kind[:80]} without {names}" if names else f"activation {kind[:80]}"
        )
    return [call.made(kind, y, **{n: call.attr_float(f"activation_{n}", 0.0) for n in names})]


def matmul(call: Call) -> list[Value]:
    """alpha A' B', numpy.matmul of operands that are turned first."""
    alpha = call.attr_float("alpha", 1.0)
    a, b = (_turned(call, i, name) for i, name in enumerate("AB"))
    return [multiply(call, a, b, alpha=alpha)]


def _turned(call: Call, i: int, name: str) -> Value:
    """Operand i, its first axis put before the last (``transBatch``), then its last two swapped (``trans``)."""
    x = call.value(i)
    batch, last = call.attr_flag(f"transBatch{name}", False), call.attr_flag(f"trans{name}", False)
    call.refuse((batch or last) and len(x.shape) < 2, f"a transposed operand of shape {x.shape}")

    def turned(a: NDArray[Any]) -> NDArray[Any]:
        a = np.moveaxis(a, 0, -2) if batch else a
        return np.swapaxes(a, -1, -2) if last else a

    return call.move(x, turned)


def gelu(call: Call) -> list[Value]:
    """Gelu, BiasGelu, FastGelu: Gelu of X, of X and a bias; by tanh.

    The last one's text has its constants to six digits: they are those of the operator that it stands for, as in the kernel.
    """
    x = call.value(0)
    bias = None if call.op == "Gelu" else call.optional(1)
    if bias is not None:
        call.refuse_shape(bias.shape != x.shape[-1:], f"bias {bias.shape} for operand {x.shape}")
        x = add_signed(call, x, bias, 1)
    return [call.made("Gelu", x, approximate="tanh" if call.op == "FastGelu" else "none")]


def quick_gelu(call: Call) -> list[Value]:
    """x sigmoid(alpha x)"""
    x, alpha = call.variable(0), call.attr_float("alpha", 1.702)
    inner = x if alpha == 1 else call.made("Mul", x, Known(np.array(alpha, np.float32), x.dtype))
    return [call.made("Mul", x, call.made("Sigmoid", inner))]
