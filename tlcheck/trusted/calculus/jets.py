"""Jets: a function of several variables over a box, as balls for its value, gradient and Hessian; dense networks of them.

A :class:`Jet` over a box encloses, for every point of the box, the function's value, its partial derivatives and its
second partial derivatives. The rules are the chain and product rules, applied to balls, so enclosures of operands
give an enclosure of the result. A derivative that is not enclosed is NaN, of which no comparison holds; a jet of first
order has no Hessian at all, nor has what is computed from it.

At a kink (a ReLU whose argument may be 0) the slope is the ball [0, 1]: it holds the derivative on either side, and
every generalised (Clarke) gradient, so the mean-value theorem and the monotonicity that ``bisection`` uses hold for
it; the second derivative is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb, arb_mat
from tlcheck.trusted.calculus.ranges import Box, increasing, over, square

UNKNOWN: Final = arb("nan")


@dataclass(frozen=True)
class Jet:
    """``gradient`` (n,); ``hessian``: the upper triangle, row by row: (1,1), (1,2), ..., (2,2), ...; or empty."""

    value: Arb
    gradient: tuple[Arb, ...]
    hessian: tuple[Arb, ...]

    def __add__(self, other: Jet) -> Jet:
        return Jet(
            self.value + other.value,
            tuple(a + b for a, b in zip(self.gradient, other.gradient, strict=True)),
            tuple(a + b for a, b in zip(self.hessian, other.hessian, strict=False)),
        )

    def __neg__(self) -> Jet:
        return self.scaled(arb(-1))

    def __sub__(self, other: Jet) -> Jet:
        return self + -other

    def __mul__(self, other: Jet) -> Jet:
        """(fg)' = f g' + g f'; (fg)'' = f g'' + g f'' + f' g' + g' f'."""
        f, g, df, dg = self.value, other.value, self.gradient, other.gradient
        second = [
            f * b + g * a + df[i] * dg[j] + dg[i] * df[j]
            for (i, j), a, b in zip(pairs(len(df)), self.hessian, other.hessian, strict=False)
        ]
        return Jet(f * g, tuple(f * b + g * a for a, b in zip(df, dg, strict=True)), tuple(second))

    def scaled(self, factor: Arb) -> Jet:
        return Jet(
            factor * self.value,
            tuple(factor * a for a in self.gradient),
            tuple(factor * a for a in self.hessian),
        )

    def shifted(self, constant: Arb) -> Jet:
        return Jet(self.value + constant, self.gradient, self.hessian)

    def through(self, f: Function) -> Jet:
        """f(self): f' g', and f'' g' g' + f' g''."""
        f0, f1, f2 = f(self.value)
        g = self.gradient
        second = [f2 * (g[i] * g[j]) + f1 * h for (i, j), h in zip(pairs(len(g)), self.hessian, strict=False)]
        return Jet(f0, tuple(f1 * a for a in g), tuple(second))

    def partial(self, i: int) -> Jet:
        """The i-th partial derivative, of first order."""
        n = len(self.gradient)
        row = tuple(h for (a, b), h in zip(pairs(n), self.hessian, strict=False) if i in (a, b))
        return Jet(self.gradient[i], row or (UNKNOWN,) * n, ())


Function = Callable[[Arb], tuple[Arb, Arb, Arb]]


def pairs(n: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(n) for j in range(i, n)]


def constant(value: Arb, n: int) -> Jet:
    """The constant function, of n variables."""
    return Jet(value, (arb(0),) * n, (arb(0),) * len(pairs(n)))


def coordinates(box: Box) -> list[Jet]:
    """The n coordinate functions over the box; at a point, where no Hessian is needed, of first order."""
    n = len(box)
    zeros = () if all(a == b for a, b in box) else (arb(0),) * len(pairs(n))
    return [
        Jet(over(interval), tuple(arb(int(i == k)) for i in range(n)), zeros)
        for k, interval in enumerate(box)
    ]


# Functions of one variable: balls that hold f, f' and f'' on a ball.


def tanh(x: Arb) -> tuple[Arb, Arb, Arb]:
    """tanh' = 1 - tanh^2, tanh'' = -2 tanh tanh'."""
    t = increasing(Arb.tanh, x)
    slope = 1 - square(t)
    return t, slope, -2 * t * slope


def sigmoid(x: Arb) -> tuple[Arb, Arb, Arb]:
    """(1 + tanh(x/2)) / 2."""
    t, slope, curvature = tanh(x / 2)
    return (1 + t) / 2, slope / 4, curvature / 8


def sin(x: Arb) -> tuple[Arb, Arb, Arb]:
    """Arb's sine and cosine of a ball hold those of all its numbers, whatever extrema lie in it."""
    return x.sin(), x.cos(), -x.sin()


def relu(x: Arb) -> tuple[Arb, Arb, Arb]:
    if x > 0:
        return x, arb(1), arb(0)
    if x < 0:
        return arb(0), arb(0), arb(0)
    zero = arb(0)
    return zero.union(zero.max(x.upper())), zero.union(arb(1)), UNKNOWN


def linear(x: Arb) -> tuple[Arb, Arb, Arb]:
    return x, arb(1), arb(0)


def squared(x: Arb) -> tuple[Arb, Arb, Arb]:
    return square(x), 2 * x, arb(2)


FUNCTIONS: Final[Mapping[str, Function]] = {
    "tanh": tanh,
    "sigmoid": sigmoid,
    "sin": sin,
    "relu": relu,
    "linear": linear,
}


def mapped(weight: arb_mat, jets: Sequence[Jet]) -> list[Jet]:
    """The matrix times the column of jets, all cut to the least order among them."""
    kind = next((type(jet) for jet in jets if type(jet) is not Jet), Jet)
    n = len(jets[0].gradient)
    seconds = min(len(jet.hessian) for jet in jets)
    if not all(jet.value.is_finite() for jet in jets):  # Arb takes a large matrix of zeros times NaN for 0
        return [kind(UNKNOWN, (UNKNOWN,) * n, (UNKNOWN,) * seconds)] * weight.nrows()
    width = 1 + n + seconds
    rows = [x for jet in jets for x in (jet.value, *jet.gradient, *jet.hessian[:seconds])]
    entries = (weight * arb_mat(len(jets), width, rows)).entries()
    return [
        kind(entries[k], tuple(entries[k + 1 : k + 1 + n]), tuple(entries[k + 1 + n : k + width]))
        for k in range(0, len(entries), width)
    ]


NO_BOUND: Final = arb("-inf")


def three_forms(over_cell: Jet, at_centre: Jet, spread: list[Arb]) -> Arb:
    """The greatest of the lower ends of the three forms; -inf when none is finite."""
    mean = second = at_centre.value
    for slope, slope_at_centre, d in zip(over_cell.gradient, at_centre.gradient, spread, strict=True):
        mean = mean + slope * d
        second = second + slope_at_centre * d
    for (i, j), h in zip(pairs(len(spread)), over_cell.hessian, strict=False):
        second = second + h * (spread[i] * spread[j] if i != j else square(spread[i]) / 2)
    forms = [over_cell.value, mean, *([second] if over_cell.hessian else [])]
    best = NO_BOUND
    for form in forms:
        if form.is_finite() and form.lower() > best:
            best = form.lower()
    return best
