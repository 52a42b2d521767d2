"""Functions with kinks on jets: relu, leaky relu, abs, clip, and how one evaluation treats them; activations.

At a kink the gradient holds every Clarke gradient, by Clarke's chain rule (Clarke, Optimization and Nonsmooth Analysis, 2.3.9 and
2.6.6), and the Hessian is NaN. Outside a function's domain everything is NaN, of which no comparison holds. So finite values and
gradients say: defined and Lipschitz on the box.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.calculus.jets import UNKNOWN, Function, Jet, linear, sigmoid, sin, tanh
from tlcheck.trusted.calculus.ranges import hull, square

MINUS_ONE, ZERO, ONE = arb(-1), arb(0), arb(1)


def first_order(jet: Jet) -> Jet:
    return Jet(jet.value, jet.gradient, ())


class Kinks:
    """How one evaluation treats its kinks, which are counted in the order of evaluation, the same in every evaluation.

    ``forced[k]``: kink k is replaced by the linear function of that slope. ``undecided``: the kinks, not forced,
    whose argument may have either sign on the box: (k, slope below, slope above).
    """

    def __init__(self, forced: Mapping[int, Arb] | None = None) -> None:
        self.forced = forced or {}
        self.count = 0
        self.undecided: list[tuple[int, Arb, Arb]] = []

    def bent(self, z: Jet, below: Arb, above: Arb) -> Jet:
        """The function below z for z < 0 and above z for z > 0."""
        k = self.count
        self.count += 1
        if k in self.forced:
            return z.scaled(self.forced[k])
        if z.value > 0:
            return z if above == 1 else z.scaled(above)
        if z.value < 0:
            return z.scaled(below)
        self.undecided.append((k, below, above))
        if not z.value.is_finite():
            return Jet(UNKNOWN, (UNKNOWN,) * len(z.gradient), (UNKNOWN,) * len(z.hessian))
        slope = below.union(above)
        value = arb(0).union(below * z.value.lower()).union(above * z.value.upper())
        return Jet(value, tuple(slope * g for g in z.gradient), (UNKNOWN,) * len(z.hessian))


def absolute(jet: Jet, kinks: Kinks) -> Jet:
    return kinks.bent(jet, MINUS_ONE, ONE)


def clipped(jet: Jet, low: Fraction, high: Fraction, kinks: Kinks) -> Jet:
    """min(high, max(low, jet))."""
    raised = kinks.bent(jet.shifted(ball(-low)), ZERO, ONE).shifted(ball(low))
    return kinks.bent(raised.shifted(ball(-high)), ONE, ZERO).shifted(ball(high))


def activated(jet: Jet, name: str, kinks: Kinks, slope: Fraction = Fraction(0)) -> Jet:
    if name == "linear":
        return jet
    if name == "relu":
        return kinks.bent(jet, ZERO, ONE)
    if name == "leaky_relu":
        return kinks.bent(jet, ball(slope), ONE)
    if name == "abs":
        return absolute(jet, kinks)
    return jet.through(_SMOOTH[name])


def exactly(q: Fraction, name: str, slope: Fraction = Fraction(0)) -> Fraction | None:
    """The function at q where it is rational: where it has kinks only, and at 0."""
    if name in ("linear", "relu", "leaky_relu", "abs"):
        below = {"linear": Fraction(1), "relu": Fraction(0), "leaky_relu": slope, "abs": Fraction(-1)}[name]
        return q if q > 0 else below * q
    if q:
        return None
    return Fraction(1, 2) if name == "sigmoid" else Fraction(0)


_ROOT: Final = (arb(1) / 3).sqrt()
_NARROW: Final = 40
"""Bits to which a ball is known from which ball arithmetic itself is sharp enough."""


def tight_tanh(x: Arb) -> tuple[Arb, Arb, Arb]:
    """With t = tanh x: 1 - t^2, and g(t) = 2 t (t^2 - 1), monotone but at t = -+1/sqrt 3, where it is +-4/(3 sqrt 3)."""
    if x.rel_accuracy_bits() > _NARROW:
        t = x.tanh()
        slope = 1 - t * t
        return t, slope, -2 * t * slope
    t, slope, _ = tanh(x)
    low, high = t.lower(), t.upper()
    curvature = hull(2 * low * (square(low) - 1), 2 * high * (square(high) - 1))
    for extreme in (_ROOT, -_ROOT):
        if not (low > extreme or high < extreme):
            curvature = curvature.union(-4 * extreme / 3)
    return t, slope, curvature


_SMOOTH: Final[Mapping[str, Function]] = {
    "tanh": tight_tanh,
    "sigmoid": sigmoid,
    "sin": sin,
    "linear": linear,
}
