"""Lower bounds on a box of functions with kinks, by the signs that their arguments may have.

Let G(x) be computed from x by smooth functions and kinks f(z) = b z (z < 0), a z (z > 0), and let H be G with some
kinks replaced by linear functions, each of one of its two slopes. H = G at each x where the replaced kinks' arguments
have the sign of their slope, or are 0. The first kink of H whose argument has both signs on the box is replaced by
either slope; where H = G, one of the two functions that arise is G too. So G >= 0 on the box if H >= 0 on the whole
of it for every H in which this ends, by whatever bound. (G's value must depend on the kinks' values alone, not on
their slopes: derivatives are left as they are.)

Besides the three forms of ``jets`` there is a convex one, for narrow valleys across the coordinates. With d = r t, t
in [-1, 1]^n, and second derivatives H over the box in these units, any positive definite M gives

    h(c) + g t + t^T H t / 2  >=  h(c) - g^T M^-1 g / 2 - sum_ij |H - M|_ij / 2,

for g t + t^T M t / 2 is least at t = -M^-1 g; of the diagonal of H - M only what is negative counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.calculus.jets import Jet, coordinates, pairs, three_forms
from tlcheck.trusted.calculus.kinked_jets import Kinks
from tlcheck.trusted.calculus.ranges import Box, square

Slack = Callable[[Sequence[Jet], Kinks], Jet]
"""A function on the jets of its arguments, its kinks treated as told."""

MAX_CASES: Final = 32
"""Functions that one box is given."""
MAX_KINKS: Final = 6
"""Of undecided sign in one function; one with more is not gone into."""


@dataclass(frozen=True)
class Bound:
    """On the box the slack is at least ``low``; at its centre it is ``at``."""

    low: Arb
    at: Arb


def bounded(slack: Slack, box: Box, *, strict: bool) -> Bound:
    """The best lower bound found, once one shows slack > 0 (``strict``) or slack >= 0; by signs only if that is needed."""
    spread = [(half := ball((b - a) / 2)).union(-half) for a, b in box]
    centre = coordinates(tuple(((a + b) / 2, (a + b) / 2) for a, b in box))
    x = coordinates(box)
    bounds: list[Bound] = []
    least = arb("inf")
    left: list[dict[int, Arb]] = [{}]
    while left and len(bounds) < MAX_CASES:
        forced = left.pop()
        kinks = Kinks(forced)
        over, at = slack(x, kinks), slack(centre, Kinks(forced))
        low = lower_bound(over, at, spread)
        bounds.append(Bound(low, at.value))
        if low > 0 or (low >= 0 and not strict):
            least = least if least <= low else low
        elif 0 < len(kinks.undecided) <= MAX_KINKS and over.hessian and bounds[0].at >= 0:
            k, *slopes = kinks.undecided[0]
            left += [{**forced, k: slope} for slope in slopes]
        else:
            left.append(forced)
            break
    return bounds[0] if left else Bound(least, bounds[0].at)


def lower_bound(over: Jet, at: Jet, spread: Sequence[Arb]) -> Arb:
    """The greatest of the four forms' lower ends; -inf when none is finite."""
    low = three_forms(over, at, list(spread))
    if low > 0 or not over.hessian or not all(h.is_finite() for h in (*over.hessian, *at.gradient)):
        return low
    convex = _convex_form(over, at, [s.upper() for s in spread])
    return convex if convex > low else low


def _convex_form(over: Jet, at: Jet, radii: Sequence[Arb]) -> Arb:
    n = len(radii)
    h = [[arb(0)] * n for _ in range(n)]
    for (i, j), entry in zip(pairs(n), over.hessian, strict=True):
        h[i][j] = h[j][i] = entry * radii[i] * radii[j]
    middle = np.array([[float(x.mid()) for x in row] for row in h])
    if not np.isfinite(middle).all():
        return arb("-inf")
    shift = max(0.0, -float(np.linalg.eigvalsh(middle)[0])) + 1e-9 * float(np.abs(middle).max())
    m = [[arb(float(middle[i, j]) + shift * (i == j)) for j in range(n)] for i in range(n)]
    g = [slope * r for slope, r in zip(at.gradient, radii, strict=True)]
    value = at.value
    for i, j in pairs(n):
        off = h[i][j] - m[i][j]
        value = value - (abs(off) if i != j else (-off).max(arb(0)) / 2).upper()
    for k in range(n):  # elimination: g^T M^-1 g is the sum of g_k^2 / pivot_k
        if not m[k][k] > 0:
            return arb("-inf")
        value = value - square(g[k]) / m[k][k] / 2
        for i in range(k + 1, n):
            factor = m[i][k] / m[k][k]
            g[i] = g[i] - factor * g[k]
            for j in range(k + 1, n):
                m[i][j] = m[i][j] - factor * m[k][j]
    return value.lower() if value.is_finite() else arb("-inf")
