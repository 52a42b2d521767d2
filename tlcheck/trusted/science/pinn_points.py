"""Networks u of a differential equation, at points: value boxes, residual boxes, data. Rules and their proofs.

Everything is enclosed from the network. Nothing here says that u solves an equation, nor anything between the points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Final

from tlcheck.trusted.arith.arb import ball
from tlcheck.trusted.calculus.expression import Expression, text, variables
from tlcheck.trusted.calculus.expression_series import evaluate
from tlcheck.trusted.calculus.jets import UNKNOWN, Jet, pairs
from tlcheck.trusted.calculus.layers import ScalarNetwork
from tlcheck.trusted.calculus.network_series import compiled
from tlcheck.trusted.calculus.ranges import Box, Interval, over
from tlcheck.trusted.calculus.series import NotSmooth, Series, Undefined, variable
from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.conditions import Check, ConditionClaim, Measure, fact
from tlcheck.trusted.science.bisection import least_values

DERIVATIVES: Final = {"u": 0, "ux": 1, "u_x": 1, "uxx": 2, "u_xx": 2}
"""The variables of a residual: which derivative of u each is."""
BOXES: Final = ("u_minus", "u", "u_plus")

_ORDER: Final = 3
"""u, u', u'' and the derivative of a residual of them."""


@dataclass(frozen=True)
class PinnPoint:
    """``listed`` is the point x; ``named``, what the boxes say it is. ``values``: claimed for x - h, x, x + h."""

    listed: Fraction
    named: Fraction
    values: tuple[Interval, Interval, Interval]
    quotient: Interval
    residual: Interval


@dataclass(frozen=True)
class PinnPoints(ConditionClaim):
    """Boxes of a scalar network u around points x. With I(c) = [c - eps, c + eps], for every point:

    - *value within its box*: u(I(c)) lies in the claimed interval, for c = x - h, x, x + h.
    - *difference quotient within its box*: (p - 2q + r) / h^2 does, for all p in u(I(x - h)), q in u(I(x)),
      r in u(I(x + h)). It is a function of three variables, one in each of the three intervals.
    - *residual within its box*: ``residual``, a function of u, u' and u'', does on I(x).

    Proof: each side is a function over a box whose least slack ``bisection.least_values`` bounds; disproofs are points.
    """

    network: ScalarNetwork
    step: Fraction
    radius: Fraction
    points: tuple[PinnPoint, ...]
    residual: Expression
    origin: str
    decimals: str
    built_in: bool | None = None
    kind = "PINN boxes"

    def __post_init__(self) -> None:
        if not self.step or self.radius < 0 or not variables(self.residual) <= DERIVATIVES.keys():
            raise ValueError("the step must not be 0, the radius not negative, the residual of u, u', u''")

    @property
    def statement(self) -> str:
        nearest = self.decimals != "exact"
        written = partial(number_text, nearest=nearest)
        residual = text(self.residual, nearest=nearest)
        read = f"; decimals mean the {self.decimals}" if nearest else ""
        return (
            f"for the network u {self.origin} and every listed point x ({len(self.points)} of them): over "
            f"[c - eps, c + eps], eps = {written(self.radius)}, the values of u lie in the box given for "
            f"c = x - h, x, x + h, h = {written(self.step)}; so do the difference quotients (p - 2q + r)/h^2 of "
            f"any values p, q, r of the three, and the residual {residual} over [x - eps, x + eps]; nothing "
            f"between the points, and nothing about solving the equation{read}"
        )

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        u = self._prepared()
        boxes = 0
        for k, point in enumerate(self.points):
            at = f"point {k} (x = {number_text(point.listed, nearest=True)})"
            yield fact("boxes name the listed point", point.listed == point.named, at)
            around = [self._around(point.listed + shift) for shift in (-self.step, Fraction(0), self.step)]
            cases: list[tuple[str, str, Callable[[Box], Jet], Box, Interval]] = [
                (
                    "value within its box",
                    f"{at}, {name}",
                    lambda box: _jet(u(box[0]), 0, 1),
                    (interval,),
                    claimed,
                )
                for name, interval, claimed in zip(BOXES, around, point.values, strict=True)
            ]
            cases += [
                ("difference quotient within its box", at, lambda box: self._quotient(u, box), tuple(around), point.quotient),
                ("residual within its box", at, lambda box: self._residual(u(box[0])), (around[1],), point.residual),
            ]  # fmt: skip
            for name, where, function, box, claimed in cases:
                found, looked = least_values(_slacks(function, claimed), (False, False), [box], tick=tick)
                boxes += looked
                for side, least in zip(("lower end", "upper end"), found, strict=True):
                    yield least.check(name, f"{where}, {side}")
        yield Measure("boxes", boxes)
        yield Measure("decimals", self.decimals)
        if self.built_in is not None:
            yield Measure("weights_are_torchleans", self.built_in)

    def _around(self, centre: Fraction) -> Interval:
        return centre - self.radius, centre + self.radius

    def _prepared(self) -> Callable[[Interval], Series]:
        network = compiled(self.network)

        def u(interval: Interval) -> Series:
            """u, u', u''/2, u'''/6 over the interval."""
            x = over(interval)
            try:
                return network(variable(x, _ORDER))
            except NotSmooth:
                return [*network(variable(x, 1)), *[UNKNOWN] * (_ORDER - 1)]

        return u

    def _quotient(self, u: Callable[[Interval], Series], box: Box) -> Jet:
        low, middle, high = (_jet(u(interval), k, 3) for k, interval in enumerate(box))
        return (low + high - middle.scaled(ball(Fraction(2)))).scaled(ball(1 / self.step**2))

    def _residual(self, u: Series) -> Jet:
        derivatives = [u[:2], [u[1], 2 * u[2]], [2 * u[2], 6 * u[3]]]
        at = {name: derivatives[k] for name, k in DERIVATIVES.items()}
        try:
            value, slope = evaluate(self.residual, at, 1)
        except Undefined:
            value = slope = UNKNOWN
        return Jet(value, (slope,), ())


def _jet(series: Series, axis: int, n: int) -> Jet:
    """A function of the coordinate ``axis`` alone, as one of n coordinates."""
    zero = ball(Fraction(0))
    return Jet(
        series[0],
        tuple(series[1] if i == axis else zero for i in range(n)),
        tuple(2 * series[2] if i == j == axis else zero for i, j in pairs(n)),
    )


def _slacks(function: Callable[[Box], Jet], claimed: Interval) -> Callable[[Box], Sequence[Jet]]:
    """value - lower >= 0 and upper - value >= 0."""
    lower, upper = (ball(end) for end in claimed)

    def slacks(box: Box) -> Sequence[Jet]:
        value = function(box)
        return value.shifted(-lower), (-value).shifted(upper)

    return slacks
