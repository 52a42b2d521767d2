"""Det: determinants of small matrices, as the sums of signed products that they are."""

from __future__ import annotations

from itertools import permutations
from math import prod

import numpy as np

from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.matrices import product
from tlcheck.readers.onnx.operands import Known, Value
from tlcheck.trusted.ops.statistics import Unlike

LARGEST = 4
"""Of 24 products."""
KERNELS = "Det, which kernels find by elimination"


def det(call: Call) -> list[Value]:
    x = call.variable(0)
    n = x.shape[-1] if len(x.shape) > 1 else 0
    call.refuse_shape(n < 1 or x.shape[-2] != n, f"operand {x.shape} of no square matrices")
    call.refuse(n > LARGEST, f"matrices of {n} rows: at most {LARGEST} are read")
    orders = np.array(list(permutations(range(n))))
    swaps = np.array([sum(a > b for k, a in enumerate(p) for b in p[k + 1 :]) for p in orders.tolist()])
    terms = call.move(x, lambda a: a.reshape(-1, n, n)[:, np.arange(n), orders])
    products = call.made("ReduceProd", terms, Known(np.array([2]), "int64"), keepdims=0)
    signs = Known(np.where(swaps % 2, -1.0, 1.0).astype(np.float32)[:, None], x.dtype)
    sums = product(call, call.reshape(products, (prod(x.shape[:-2]), len(orders))), signs)
    return [call.emit(Unlike(KERNELS), call.data(call.reshape(sums, x.shape[:-2])))]
