"""Which neuron to split a leaf at.

The means of an optimiser's dual points, (z, h) of a neuron, come near to where the relaxation has its least value. A split at
the neuron helps only if that point lies off both of its sides, h = s0 z and h = s1 z: the nearer of the two is what the worse
child gains by, whatever the multipliers are. So

    score_i = min(h_i - s0 z_i, h_i - s1 z_i) |A_i|

with the mean |A_i| of the same steps, what the form pays for a unit of h_i. (|A_i| times the upper line's intercept, the usual
score, does not look where that point is: ten times the leaves on deep networks. So does |A_i| of the best step alone, which is
0 now and then where the mean is not.)

``Filter``: of the neurons with the best scores, the one whose children are best after a few small steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.optimise import Bound, LeafPass, Leaves, optimise

Array = NDArray[Any]
Ints = NDArray[np.int64]

PACE: Final = 0.2
"""Of the filter's steps: full ones spoil what a child inherits before they help it."""
LEAST_GAIN: Final = 1e-7


@dataclass(frozen=True)
class Filter:
    """``candidates`` a leaf (fewer than 2: none), each child with so many ``steps``."""

    candidates: int = 0
    steps: int = 3


def scores(run: LeafPass, leaves: Leaves, found: Bound, means: tuple[Array, Array, Array]) -> Array:
    """(D, C); -1 where there is nothing to split. ``means``: of z, h and |A|. Where the point is off nothing: a little."""
    net, (z, h, size) = run.net, means
    open_ = net.free & (leaves.sides == 0)
    off = np.maximum(np.minimum(h - net.sides[0] * z, h - net.sides[1] * z), 0)
    score = off * size + LEAST_GAIN * size * net.upper[1]
    return np.where(open_, score, -1.0)


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


def chosen(
    run: LeafPass,
    leaves: Leaves,
    best: tuple[Bound, tuple[Array, Array, Array]],
    limits: tuple[NDArray[np.bool_], Array],
    rule: Filter,
) -> Ints:
    """The neuron (D,) to split each leaf at, -1 for none. ``limits``: allowed constraints and goals, as ``optimise``'s."""
    found, means = best
    score = scores(run, leaves, found, means)
    if not score.shape[1]:
        return np.full(len(leaves), -1)
    count = min(rule.candidates, score.shape[1])
    first = score.argmax(axis=1)
    if count >= 2:
        first = _filtered(run, leaves, found, limits, (score, count, rule.steps))
    return np.where(np.take_along_axis(score, first[:, None], axis=1)[:, 0] >= 0, first, -1)


def _filtered(
    run: LeafPass,
    leaves: Leaves,
    found: Bound,
    limits: tuple[NDArray[np.bool_], Array],
    trial: tuple[Array, int, int],
) -> Ints:
    """Of the ``count`` best by score, the one with the largest product of its children's gains."""
    score, count, steps = trial
    tried = np.argpartition(-score, count - 1, axis=1)[:, :count]
    rows, flat = np.repeat(np.arange(len(leaves)), count), tried.reshape(-1)
    allowed, goal = (x[rows] for x in limits)
    many, there = leaves.of(rows), Bound(*(x[rows] for x in vars(found).values()))
    value: Array = np.ones(flat.size)
    for side in (-1, 1):
        kid = child(run, many, there, flat, side)
        lower = optimise(run, kid, allowed, goal, steps, pace=PACE).bound.lower
        value *= np.maximum(np.minimum(lower, goal) - there.lower, LEAST_GAIN)
    value = np.where(score[rows, flat] >= 0, value, -np.inf).reshape(tried.shape)
    return np.asarray(tried[np.arange(len(leaves)), value.argmax(axis=1)])
