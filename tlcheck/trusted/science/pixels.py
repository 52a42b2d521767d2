"""Corners as rays through pixels, exactly; rectangles of pixels, and their sides."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import Final

from tlcheck.trusted.conditions import Check, fact, nonnegative, undecided

Vector = tuple[Fraction, ...]

SIDES: Final = ("left side", "top side", "right side", "bottom side")

Matrix = tuple[Vector, ...]
Ray = tuple[int, int, int]


class Rectangle:
    """left <= x <= right and top <= y <= bottom, in pixels; None asks nothing."""

    def __init__(self, name: str, sides: Sequence[Fraction | None]) -> None:
        self.name = name
        self.scale = lcm(*(side.denominator for side in sides if side is not None))
        self.sides = [
            (k, k % 2, 1 if k < 2 else -1, side.numerator * (self.scale // side.denominator))
            for k, side in enumerate(sides)
            if side is not None
        ]

    def check(self, ray: Ray, corner: int) -> Check:
        """The least of the slacks, in pixels: sign (coordinate / c - side), over one denominator."""
        c = ray[2]
        if c <= 0:
            return undecided(self.name, f"corner {corner} has no pixel")
        if not self.sides:
            return fact(self.name, True, f"corner {corner}")
        least, k = min((sign * (ray[axis] * self.scale - side * c), k) for k, axis, sign, side in self.sides)
        return nonnegative(self.name, Fraction(least, c * self.scale), f"corner {corner}, {SIDES[k]}")


def rays_of(projection: Matrix, corners: Sequence[Vector]) -> list[tuple[Ray, int]]:
    """Per corner P [X, 1], times the positive integer beside it."""
    common = lcm(*(p.denominator for row in projection for p in row))
    rows = [[p.numerator * (common // p.denominator) for p in row] for row in projection]
    rays = []
    for x, y, z in corners:
        own = lcm(x.denominator, y.denominator, z.denominator)
        i, j, k = (q.numerator * (own // q.denominator) for q in (x, y, z))
        a, b, c = (row[0] * i + row[1] * j + row[2] * k + row[3] * own for row in rows)
        rays.append(((a, b, c), common * own))
    return rays
