"""Pieces of a polynomial over the rationals, and their sign, decided exactly; how far they may be from a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from tlcheck.trusted.calculus.polynomial import Poly, derivative, evaluate, negative_point
from tlcheck.trusted.calculus.written import brief
from tlcheck.trusted.conditions import Check, fact, nonnegative, undecided

if TYPE_CHECKING:
    from tlcheck.trusted.calculus.layers import ScalarNetwork

DISTANCE: Final = "distance to the network"


@dataclass(frozen=True)
class Piece:
    """p(t) = sum_k coefficients[k] t^k, t = x - lower, for x in [lower, upper]."""

    lower: Fraction
    upper: Fraction
    coefficients: Poly

    @property
    def width(self) -> Fraction:
        return self.upper - self.lower

    def end(self, order: int = 0) -> Fraction:
        """The derivative of that order at ``upper``."""
        return evaluate(derivative(self.coefficients, order), self.width)

    def start(self, order: int = 0) -> Fraction:
        """The derivative of that order at ``lower``."""
        return evaluate(derivative(self.coefficients, order), Fraction(0))


@dataclass(frozen=True)
class Distance:
    """|spline - network| <= bound on the whole domain."""

    network: ScalarNetwork
    bound: Fraction


def nowhere_negative(name: str, p: Poly, piece: Piece, where: str, tick: Callable[[], None]) -> Check:
    """p >= 0 on the piece, exactly; a disproof names the point and its value."""
    if piece.width <= 0:
        return undecided(name, f"{where}: no interval")
    t = negative_point(p, piece.width, tick)
    if t is None:
        return fact(name, True, where)
    return nonnegative(name, evaluate(p, t), f"{where}, x = {brief(piece.lower + t)}")
