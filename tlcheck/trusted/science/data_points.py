"""Networks at listed points: |u(x) - v| <= tolerance for each datum (x, v). Nothing about other points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from tlcheck.trusted.arith.arb import ball
from tlcheck.trusted.calculus.jets import constant
from tlcheck.trusted.calculus.mlp import Mlp
from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.conditions import Check, ConditionClaim, Measure, nonnegative


@dataclass(frozen=True)
class Datum:
    """``where`` names its section and row."""

    point: tuple[Fraction, ...]
    value: Fraction
    where: str


@dataclass(frozen=True)
class DataPoints(ConditionClaim):
    """|u(x) - v| <= tolerance for each datum (x, v), u enclosed at the exact point x."""

    network: Mlp
    data: tuple[Datum, ...]
    tolerance: Fraction
    origin: str
    decimals: str
    kind = "PINN data"

    def __post_init__(self) -> None:
        if self.network.outputs != 1 or any(len(d.point) != self.network.inputs for d in self.data):
            raise ValueError("the network must have one output, and an input for each coordinate")

    @property
    def statement(self) -> str:
        return (
            f"every listed value ({len(self.data)} of them) is within {number_text(self.tolerance)} (the tolerance that "
            f"--slack gives) of the network {self.origin} at its point; nothing about other points"
        )

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        u = self.network.prepared()
        tolerance = ball(self.tolerance)
        for datum in self.data:
            tick()
            distance = abs(u([constant(ball(x), 0) for x in datum.point])[0].value - ball(datum.value))
            yield nonnegative("data value within the tolerance", tolerance - distance, datum.where)
        yield Measure("decimals", self.decimals)
        yield Measure("tolerance", number_text(self.tolerance))
