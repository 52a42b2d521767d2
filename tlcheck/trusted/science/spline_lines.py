"""The distance of a spline to a piecewise linear network of one variable, exactly.

Between two kinks the network is a line (``affine_pieces``), so spline minus network is an exact polynomial there, and the
distance is decided like a range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Final

from tlcheck.trusted.calculus.affine_pieces import TooManyPieces, affine_pieces
from tlcheck.trusted.calculus.polynomial import shifted
from tlcheck.trusted.conditions import Check, undecided
from tlcheck.trusted.science.piecewise import DISTANCE, Distance, Piece, nowhere_negative

MAX_LINES: Final = 100_000
"""Kinks of a network within one piece."""


def distance_checks(distance: Distance, pieces: Sequence[Piece], tick: Callable[[], None]) -> Iterator[Check]:
    """Of each piece, between any two kinks."""
    for i, piece in enumerate(pieces):
        where = f"piece {i}"
        try:
            lines = affine_pieces(distance.network, piece.lower, piece.upper, MAX_LINES, tick)
        except TooManyPieces as error:
            yield undecided(DISTANCE, f"{where}: the network has {error}")
            continue
        for line in lines:
            part = Piece(line.start, line.end, shifted(piece.coefficients, line.start - piece.lower))
            p = [*part.coefficients, Fraction(0), Fraction(0)]
            p[0] -= line.value + line.slope * line.start
            p[1] -= line.slope
            for sign in (1, -1):
                below = [-sign * c for c in p]
                below[0] += distance.bound
                yield nowhere_negative(DISTANCE, tuple(below), part, where, tick)
