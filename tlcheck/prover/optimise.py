"""Bounds of leaves on the condensed network, their exact gradients, and Adam on slopes, multipliers and weights.

Notation: D leaves, C neurons, K constraints. A leaf's literal on neuron i is side_i = 1 (z_i >= 0) or -1; A_i are the form's
coefficients on h_i from above. From the last neuron to the first, h_i is replaced by its lower line where A_i >= 0, else by its
upper one, and form -= beta_i side_i z_i; what is left on x is least at x* = centre - sign(.) radius. With z*, h* the values
at x* through the chosen lines (the *dual point*, which need not be one of the network's):

    dLB/da_i    = max(A_i, 0) z*_i                           of a free slope a_i
    dLB/dbeta_i = -side_i z*_i                               positive where the dual point violates the literal
    dLB/dw_q    = f_q(x*, h*)                                so LB = sum_q w_q dLB/dw_q - sum_i beta_i side_i z*_i
    dLB/du_i    = (s1 - s0) min(A_i, 0) l_i (l_i - z*_i) / (u_i - l_i)^2       of the bounds under the upper line, where h has
    dLB/dl_i    = (s1 - s0) min(A_i, 0) u_i (z*_i - u_i) / (u_i - l_i)^2       the slopes s0 and s1 beside 0

A_i depends on what is above i only, so LB = A_i a_i z_i + terms free of a_i, and carrying these down to the box and minimising
is evaluating them at x* (the minimiser of a linear function on a box may be held fixed).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.condensed import Condensed
from tlcheck.prover.engine import Over, never

Array = NDArray[Any]
Sides = NDArray[np.int8]

SLOPE_STEP: Final = 0.3
MULTIPLIER_STEP: Final = 1.0
"""Times the leaf's mean coefficient."""
WEIGHT_STEP: Final = 0.1
DECAY: Final = 0.98
MOMENTA: Final = (0.9, 0.99)
HOLD: Final = 2
"""Of so many steps one finds its own x, and the others hold the one before it, where most of a pass is about inputs."""
MEMORY: Final = 0.9
"""What a step's dual point leaves of the mean before it."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Input boxes of D leaves: (1, n) where they share one."""

    centre: Array
    radius: Array

    def of(self, which: Any) -> Boxes:
        return self if len(self.centre) == 1 else Boxes(self.centre[which], self.radius[which])


@dataclass(frozen=True, eq=False)
class Leaves:
    """``sides`` (D, C) in -1, 0, 1; ``slopes``, ``multipliers`` (D, C); ``weights`` (D, K), 0 on other disjuncts' rows."""

    sides: Sides
    slopes: Array
    multipliers: Array
    weights: Array
    inputs: Boxes

    def of(self, which: Any) -> Leaves:
        return Leaves(
            self.sides[which], self.slopes[which], self.multipliers[which], self.weights[which], self.inputs.of(which)
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.sides)


@dataclass(frozen=True, eq=False)
class Bound:
    """``lower`` (D,); ``coefficients`` A (D, C); the dual point's ``z``, ``h`` (D, C), ``forms`` (D, K), ``x`` (D, n).

    ``on_x`` (D, C + K): the share of x in z and in the forms.
    """

    lower: Array
    coefficients: Array
    z: Array
    h: Array
    forms: Array
    x: Array
    on_x: Array


class LeafPass:
    """One pass down and one up, for many leaves of one condensed network."""

    def __init__(self, condensed: Condensed) -> None:
        self.net = condensed
        self.span = condensed.sides[1] - condensed.sides[0]
        self.hold = HOLD if condensed.width > condensed.count else 1

    def drawn(self, leaves: Leaves) -> tuple[Array, Array, Array, Array]:
        """Slopes of lower and upper lines, intercepts of lower and upper ones: of each leaf, all but what slopes change."""
        net = self.net
        split = leaves.sides != 0
        linear = np.where(leaves.sides > 0, net.sides[1], net.sides[0])
        upper = np.where(split, linear, net.upper[0])
        low, high = (np.where(split, 0, t).astype(net.dtype) for t in (net.lower[1], net.upper[1]))
        return np.where(split, linear, net.lower[0]), upper, low, high

    def lower_slopes(self, leaves: Leaves, fixed: Array) -> Array:
        return np.where((leaves.sides == 0) & self.net.free, leaves.slopes, fixed)

    def down(
        self, leaves: Leaves, drawn: tuple[Array, Array, Array, Array]
    ) -> tuple[Array, Array, Array, Array]:
        """(A, coefficients on z, chosen slopes, chosen intercepts)."""
        net = self.net
        fixed, upper, low, high = drawn
        lower = self.lower_slopes(leaves, fixed)
        a = leaves.weights @ net.Q
        on_z = np.empty_like(a)
        slope, intercept = np.empty_like(a), np.empty_like(a)
        given = leaves.multipliers * leaves.sides
        for s in reversed(net.slices):
            negative = a[:, s] < 0
            slope[:, s] = np.where(negative, upper[:, s], lower[:, s])
            intercept[:, s] = np.where(negative, high[:, s], low[:, s])
            on_z[:, s] = a[:, s] * slope[:, s] - given[:, s]
            if s.start:
                a[:, : s.start] += on_z[:, s] @ net.L[s, : s.start]
        return a, on_z, slope, intercept

    def least(self, leaves: Leaves, found: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        """(lower bounds, where x takes them); ``found``: A, coefficients on z, chosen intercepts."""
        net, box = self.net, leaves.inputs
        a, on_z, intercept = found
        on_x = leaves.weights @ net.G + on_z @ net.M
        constant = leaves.weights @ net.e + np.vecdot(a, intercept) + on_z @ net.b
        lower = constant + np.vecdot(on_x, box.centre) - np.vecdot(np.abs(on_x), box.radius)
        return lower, box.centre - np.sign(on_x) * box.radius

    def __call__(
        self,
        leaves: Leaves,
        drawn: tuple[Array, Array, Array, Array] | None = None,
        held: Bound | None = None,
    ) -> Bound:
        """``held``: of a step before, whose x is taken for this one's; the bounds are -inf then."""
        net = self.net
        a, on_z, slope, intercept = self.down(leaves, drawn or self.drawn(leaves))
        if held is None:
            lower, x = self.least(leaves, (a, on_z, intercept))
            on_x = np.concatenate([x @ net.M.T + net.b, x @ net.G.T + net.e], axis=1)
        else:
            lower, x, on_x = np.full_like(held.lower, -np.inf), held.x, held.on_x
        z = on_x[:, : net.count].copy()
        h = np.empty_like(z)
        for s in net.slices:
            if s.start:
                z[:, s] += h[:, : s.start] @ net.L[s, : s.start].T
            h[:, s] = z[:, s] * slope[:, s] + intercept[:, s]
        return Bound(lower, a, z, h, on_x[:, net.count :] + h @ net.Q.T, x, on_x)

    def by_ends(self, leaves: Leaves, found: Bound, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        """(dLB/dl, dLB/du), (D, C), at neurons that are free and not split, whose bounds are ``ends``."""
        low, high = ends
        open_ = (leaves.sides == 0) & self.net.free
        scale = np.where(open_, self.span * np.minimum(found.coefficients, 0), 0) / (high - low) ** 2
        return scale * high * (found.z - high), scale * low * (low - found.z)


def simplex(w: Array) -> Array:
    """The nearest points (D, K) with entries >= 0 of sum 1."""
    if w.shape[1] == 1:
        return np.ones_like(w)
    falling = -np.sort(-w, axis=1)
    excess = (np.cumsum(falling, axis=1) - 1) / np.arange(1, w.shape[1] + 1)
    last = (falling > excess).sum(axis=1) - 1
    return np.asarray(np.maximum(w - np.take_along_axis(excess, last[:, None], axis=1), 0))


class _Moments:
    """Adam's."""

    def __init__(self, like: Array) -> None:
        self.first, self.second = np.zeros_like(like), np.zeros_like(like)

    def step(self, gradient: Array, k: int) -> Array:
        """The step after k steps: (D, n), of size about 1."""
        self.first += (1 - MOMENTA[0]) * (gradient - self.first)
        self.second += (1 - MOMENTA[1]) * (gradient * gradient - self.second)
        size = np.sqrt(self.second / (1 - MOMENTA[1] ** (k + 1))) + 1e-9
        return np.asarray(self.first / ((1 - MOMENTA[0] ** (k + 1)) * size), gradient.dtype)

    def keep(self, which: Any) -> None:
        self.first, self.second = self.first[which], self.second[which]


@dataclass(frozen=True, eq=False)
class Best:
    """The best of each leaf: its parameters, what was found there, and how many passes over leaves it took.

    ``means``: z, h and |A| (D, C) of all steps, the last ones most. Single dual points jump from vertex to vertex;
    their means come near to a point of the relaxation (the linear programme's) where its least value is.
    """

    leaves: Leaves
    bound: Bound
    means: tuple[Array, Array, Array]
    steps: int


def optimise(
    run: LeafPass,
    leaves: Leaves,
    allowed: NDArray[np.bool_],
    goal: Array,
    iterations: int,
    over: Over = never,
    pace: float = 1.0,
) -> Best:
    """Uphill until a leaf's bound is above its ``goal`` (D,), at most so many steps; ``allowed`` (D, K): its constraints."""
    best = run(leaves)
    kept = replace(
        leaves,
        slopes=leaves.slopes.copy(),
        multipliers=leaves.multipliers.copy(),
        weights=leaves.weights.copy(),
    )
    rows = np.flatnonzero(~(best.lower > goal))
    if not rows.size or not iterations:
        return Best(kept, best, (best.z, best.h, np.abs(best.coefficients)), 0)
    now, found = leaves.of(rows), _some(best, rows)
    allowed, goal = allowed[rows], goal[rows]
    drawn = tuple(x[rows] for x in run.drawn(leaves))
    moments = _Moments(now.slopes), _Moments(now.multipliers)
    steps = 0
    means = best.z.copy(), best.h.copy(), np.abs(best.coefficients)
    for k in range(iterations):
        if over():
            break
        now = _stepped(run, now, found, moments, (allowed, pace * DECAY**k, k))
        holds = k + 1 < iterations and k % run.hold != run.hold - 1
        found = run(now, drawn, found if holds else None)  # type: ignore[arg-type]
        steps += len(now)
        for mean, new in zip(means, (found.z, found.h, np.abs(found.coefficients)), strict=True):
            mean[rows] += (1 - MEMORY) * (new - mean[rows])
        better = np.flatnonzero(found.lower > best.lower[rows])
        _store(kept, best, rows[better], now, found, better)
        open_ = np.flatnonzero(~(found.lower > goal))
        if not open_.size:
            break
        if open_.size < len(now):
            rows, now, found = rows[open_], now.of(open_), _some(found, open_)
            allowed, goal = allowed[open_], goal[open_]
            drawn = tuple(x[open_] for x in drawn)
            for m in moments:
                m.keep(open_)
    return Best(kept, best, means, steps)


def _some(bound: Bound, which: Any) -> Bound:
    return Bound(*(getattr(bound, f.name)[which] for f in fields(bound)))


def _store(kept: Leaves, best: Bound, at: Array, now: Leaves, found: Bound, which: Array) -> None:
    for f in fields(best):
        getattr(best, f.name)[at] = getattr(found, f.name)[which]
    for name in ("slopes", "multipliers", "weights"):
        getattr(kept, name)[at] = getattr(now, name)[which]


def _stepped(
    run: LeafPass,
    now: Leaves,
    found: Bound,
    moments: tuple[_Moments, _Moments],
    at: tuple[NDArray[np.bool_], float, int],
) -> Leaves:
    """A step uphill in slopes, multipliers and weights."""
    allowed, rate, k = at
    a, z = found.coefficients, found.z
    uphill = np.maximum(a, 0) * z
    uphill[now.sides != 0] = 0
    slopes = now.slopes + SLOPE_STEP * rate * run.span * moments[0].step(uphill, k)
    scale = MULTIPLIER_STEP * rate * np.abs(a).sum(axis=1, keepdims=True) / max(1, a.shape[1])
    multipliers = now.multipliers + scale * moments[1].step(-now.sides * z, k)
    multipliers = np.where(now.sides != 0, np.maximum(multipliers, 0), 0)
    return replace(
        now,
        slopes=np.clip(slopes, *run.net.sides).astype(a.dtype),
        multipliers=multipliers.astype(a.dtype),
        weights=_weighed(now.weights, found.forms, allowed, rate),
    )


def _weighed(weights: Array, forms: Array, allowed: NDArray[np.bool_], rate: float) -> Array:
    """A step along the forms' values, back on the simplex."""
    if not (allowed.sum(axis=1) > 1).any():
        return weights
    gradient = np.where(allowed, forms, 0)
    gradient = gradient / (np.abs(gradient).max(axis=1, keepdims=True) + 1e-9)
    moved = np.where(allowed, weights + rate * WEIGHT_STEP * gradient, -10)
    return simplex(moved).astype(weights.dtype)
