"""Weights on the constraints of a disjunct that raise the bound of their sum.

The bound of sum_q w_q f_q is concave in the weights, and the values of f_q at the dual point are a supergradient. Weights
lie on the simplex: the checker's inequality is the same for any positive multiple. Shapes: Q sums of R constraints each,
those where ``mask`` (Q, R).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FIXED_STEPS: Final = 12
STEP: Final = 0.4
FIXED_DECAY: Final = 0.8
DECAY: Final = 0.9
TINY: Final = 1e-12


def simplex(weights: Array, mask: Array) -> Array:
    """The nearest points of the simplex, 0 outside of the mask."""
    w = np.where(mask, weights, -np.inf)
    ordered = -np.sort(-w, axis=1)
    total = np.cumsum(np.where(np.isfinite(ordered), ordered, 0), axis=1)
    count = np.arange(1, w.shape[1] + 1)
    used = (np.isfinite(ordered) & (ordered * count > total - 1)).sum(axis=1)
    level = (np.take_along_axis(total, used[:, None] - 1, axis=1) - 1) / used[:, None]
    return np.maximum(np.where(mask, weights - level, 0), 0).astype(weights.dtype)


def stepped(
    weights: Array, gradient: Array, mask: Array, k: int, step: float = STEP, decay: float = DECAY
) -> Array:
    """Step k of ascent, in units of the largest difference of a constraint's value from the sum's."""
    away = np.where(mask, gradient - (weights * np.where(mask, gradient, 0)).sum(axis=1, keepdims=True), 0)
    size = np.abs(away).max(axis=1, keepdims=True) + TINY
    return simplex((weights + step * decay**k * away / size).astype(weights.dtype), mask)


def fixed_weights(
    slope: Array, constant: Array, mask: Array, lower: Array, upper: Array
) -> tuple[Array, Array]:
    """(weights (Q, R), bound (Q,)) of sums of linear functions slope (Q, R, n) . x + constant (Q, R) over boxes (Q, n).

    The best constraint by itself, then some steps from there where there are several.
    """
    centre, radius = (lower + upper) / 2, (upper - lower) / 2
    alone = constant + np.einsum("qrn,qn->qr", slope, centre) - np.einsum("qrn,qn->qr", np.abs(slope), radius)
    alone = np.where(mask, alone, -np.inf)
    weights = np.zeros_like(alone)
    weights[np.arange(len(alone)), alone.argmax(axis=1)] = 1
    best, best_weights = alone.max(axis=1), weights.copy()
    for k in range(FIXED_STEPS if mask.shape[1] > 1 else 0):
        mixed = np.einsum("qr,qrn->qn", weights, slope)
        x = centre - np.sign(mixed) * radius
        values = np.einsum("qrn,qn->qr", slope, x) + constant
        bound = (weights * np.where(mask, values, 0)).sum(axis=1)
        better = bound > best
        best, best_weights[better] = np.where(better, bound, best), weights[better]
        weights = stepped(weights, values, mask, k, decay=FIXED_DECAY)
    return best_weights, best
