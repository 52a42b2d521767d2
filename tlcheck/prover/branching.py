"""Which neuron to split a leaf at.

``intercepts``: |A_i| times the upper line's intercept: what the leaf would gain at once if h_i's upper line went through 0.
``filtered``: of the neurons with the best of it, the one whose two children have the best bounds after a few steps; a leaf's
value is the worse child's, the other one counts a little.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.optimise import Bound, LeafPass, Leaves, optimise

Array = NDArray[Any]
Ints = NDArray[np.int64]

BETTER_CHILD: Final = 1e-3
"""What the better child's bound counts beside the worse one's."""


@dataclass(frozen=True)
class Filter:
    """``candidates`` a leaf, each child with so many ``steps``; leaves of at most ``depth`` splits."""

    candidates: int = 0
    steps: int = 0
    depth: int = 1 << 30


def intercepts(run: LeafPass, leaves: Leaves, found: Bound) -> Array:
    """(D, C); -1 where there is nothing to split."""
    net = run.net
    open_ = net.free & (leaves.sides == 0)
    return np.where(open_, np.abs(found.coefficients) * net.upper[1], -1.0)


def bridge(run: LeafPass, leaves: Leaves, found: Bound, neurons: Ints, side: int) -> Array:
    """(D,): the multiplier with which the child's own term is not worse than the leaf's.

    The leaf's line had slope s where the child's has s_side: beta = max(0, side (A (s_side - s))) keeps the form on z the same.
    """
    rows = np.arange(len(neurons))
    a = found.coefficients[rows, neurons]
    lower, upper = leaves.slopes[rows, neurons], run.net.upper[0][neurons]
    here = np.where(a < 0, upper, lower)
    there = run.net.sides[1 if side > 0 else 0][neurons]
    return np.asarray(np.maximum(0, side * a * (there - here)))


def child(run: LeafPass, leaves: Leaves, found: Bound, neurons: Ints, side: int) -> Leaves:
    """Leaf k split at ``neurons[k]``, on one side, with a bridge."""
    rows = np.arange(len(neurons))
    sides, multipliers = leaves.sides.copy(), leaves.multipliers.copy()
    sides[rows, neurons] = side
    multipliers[rows, neurons] = bridge(run, leaves, found, neurons, side)
    return replace(leaves, sides=sides, multipliers=multipliers)


def filtered(
    run: LeafPass, leaves: Leaves, found: Bound, allowed: NDArray[np.bool_], goal: Array, rule: Filter
) -> Ints:
    """The chosen neuron of each leaf."""
    score = intercepts(run, leaves, found)
    count = min(rule.candidates, score.shape[1])
    if count < 2:
        return np.asarray(score.argmax(axis=1))
    tried = np.argpartition(-score, count - 1, axis=1)[:, :count]
    rows = np.repeat(np.arange(len(leaves)), count)
    flat = tried.reshape(-1)
    many, there = leaves.of(rows), Bound(*(x[rows] for x in vars(found).values()))
    ends = []
    for side in (-1, 1):
        kid = child(run, many, there, flat, side)
        lower = optimise(run, kid, allowed[rows], goal[rows], rule.steps).bound.lower
        ends.append(np.minimum(lower, goal[rows]))
    value = np.minimum(*ends) + BETTER_CHILD * np.maximum(*ends)
    value = np.where(score[rows, flat] >= 0, value, -np.inf).reshape(tried.shape)
    return np.asarray(tried[np.arange(len(leaves)), value.argmax(axis=1)])
