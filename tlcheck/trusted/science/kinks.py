"""Lower bounds on a box of functions with kinks, each replaced by the linear functions that its sign allows.

A kink f(z) = b z (z < 0), a z (z > 0) satisfies f(z) >= s z for every s between b and a when a >= b, and f(z) =
min(a z, b z) when a <= b. Let
a function G(x) be computed with kinks 1..m undecided on the box. Replace them one after another, in the order of
evaluation. Say kinks
before the j-th are linear already, with slopes between theirs. If G does not decrease in the output of the j-th,
over all outputs between
the true one and the replacing one, then:

    a_j >= b_j:  G is at least what it is with f_j(z) replaced by s z, for any one s between;
    a_j <= b_j:  G is at least the lesser of what it is with a_j z and with b_j z;

and the other way round if G does not increase. So the least of the functions that arise, each without the kinks,
bounds G from below. The
signs are those of derivatives along coordinates of their own, over enclosures that hold for all these replacements
(``Kinks.room``). A kink whose sign is
not known is left as it is. The slopes s are free; they are chosen so that the function changes little on the box.

Besides ``bisection``'s three forms there is a convex one, for narrow valleys across the coordinates. With d = r t,
t in [-1, 1]^n, and second derivatives
H over the box in these units, any positive definite M gives

    h(c) + g t + t^T H t / 2  >=  h(c) - g^T M^-1 g / 2 - sum_ij |H - M|_ij / 2,

for g t + t^T M t / 2 is least at t = -M^-1 g; of the diagonal of H - M only what is negative counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.science.bisection import lower_bound as three_forms
from tlcheck.trusted.science.closed_loop import Crowded, Kinks
from tlcheck.trusted.science.jets import square
from tlcheck.trusted.science.network_jets import Box, Jet, coordinates, pairs

Slack = Callable[[Sequence[Jet], Kinks], Jet]

MAX_KINKS: Final = 8
"""Undecided kinks of a box that are replaced; a box with more is judged as it is."""
MAX_CASES: Final = 16
"""Functions without kinks that one box is given."""


@dataclass(frozen=True)
class Bound:
    """On the box the slack is at least ``low``; at its centre it is ``at``."""

    low: Arb
    at: Arb


def bounded(slack: Slack, box: Box, *, strict: bool) -> Bound:
    """The best lower bound found, once one shows slack > 0 (``strict``) or slack >= 0; by kinks only if that is needed."""
    spread = [(half := ball((b - a) / 2)).union(-half) for a, b in box]
    centre = coordinates(tuple(((a + b) / 2, (a + b) / 2) for a, b in box))
    kinks = Kinks()
    over, at = slack(coordinates(box), kinks), slack(centre, Kinks())
    low = lower_bound(over, at, spread)
    if low > 0 or (low >= 0 and not strict) or not at.value >= 0 or not 0 < len(kinks.undecided) <= MAX_KINKS:
        return Bound(low, at.value)
    least: Arb | None = None
    try:
        for forced in _cases(slack, box, {}, [MAX_CASES]):
            value = lower_bound(slack(coordinates(box), Kinks(forced)), slack(centre, Kinks(forced)), spread)
            least = value if least is None or not least <= value else least
            if not least >= 0:
                least = None  # of the cases that are left nothing is known
                break
    except Crowded:
        least = None
    return Bound(low if least is None or not least > low else least, at.value)


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


def _cases(slack: Slack, box: Box, forced: Mapping[int, Arb], left: list[int]) -> Iterator[dict[int, Arb]]:
    """Slopes by kink; the least of the functions with these slopes bounds the slack, its ``forced`` kinks replaced, from below.

    Those that need both slopes come first, then those that are free, then those whose sign this has made known.
    Raises Crowded
    when a box has more kinks or cases than are looked at; ``left``: how many cases still may be.
    """
    n = len(box)
    x = [Jet(jet.value, jet.gradient + (arb(0),) * MAX_KINKS, ()) for jet in coordinates(box)]
    kinks = Kinks(forced, n, MAX_KINKS)
    found = slack(x, kinks)
    free: list[Free] = []
    both: list[tuple[int, tuple[Arb, Arb]]] = []
    for k, coordinate, gradient, below, above in kinks.undecided:
        rate = found.gradient[coordinate]
        rises, falls = bool(rate >= 0), bool(rate <= 0)
        if (rises and above >= below) or (falls and above <= below):
            free.append((k, rate, gradient[:n], below, above))
        elif rises or falls:
            both.append((k, (below, above)))
    if both:
        for slopes in product(*(pair for _, pair in both)):
            further = {k: slope for (k, _), slope in zip(both, slopes, strict=True)}
            yield from _cases(slack, box, {**forced, **further}, left)
        return
    chosen = {**forced, **_flattest(found.gradient[:n], free, [float(b - a) / 2 for a, b in box])}
    if free and len(free) < len(kinks.undecided):
        yield from _cases(slack, box, chosen, left)
        return
    left[0] -= 1
    if left[0] < 0:
        raise Crowded
    yield chosen


Free = tuple[int, Arb, tuple[Arb, ...], Arb, Arb]


def _flattest(gradient: Sequence[Arb], free: Sequence[Free], radii: Sequence[float]) -> dict[int, Arb]:
    """A slope between its two for each: where the gradient's length, in the box's units, is least, one after another."""
    g = [_middle(slope) * r for slope, r in zip(gradient, radii, strict=True)]
    chosen: dict[int, Arb] = {}
    for k, rate, own, below, above in free:
        step = [
            _middle(rate * (above - below)) * _middle(slope) * r for slope, r in zip(own, radii, strict=True)
        ]
        square = sum(s * s for s in step)
        t = 0.5 - sum(a * b for a, b in zip(g, step, strict=True)) / square if square > 0 else 0.5
        t = min(1.0, max(0.0, t))
        g = [a + (t - 0.5) * b for a, b in zip(g, step, strict=True)]
        chosen[k] = below + arb(t) * (above - below)
    return chosen


def _middle(x: Arb) -> float:
    return float(x.mid()) if x.is_finite() else 0.0
