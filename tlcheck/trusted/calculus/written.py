"""Numbers as statements write them: exactly where they are short, else about."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Final

from tlcheck.trusted.arith.arb import ball
from tlcheck.trusted.calculus.ranges import Box, Point

_BRIEF: Final = 200
"""Bits of a number that is written out; Python refuses to write very long ones."""


def brief(q: Fraction) -> str:
    """The number for the eye: exactly when it is short, else about."""
    if q.numerator.bit_length() + q.denominator.bit_length() <= _BRIEF:
        return str(q)
    return f"about {ball(q).str(6, radius=False)}"


MAX_WRITTEN_BITS: Final = 400


def number_text(q: Fraction, *, nearest: bool = False) -> str:
    """The number: as a decimal of at most 17 digits where it is one, in hexadecimal where it is another double, else a quotient;
    of one with more than a hundred digits or so, "about" and six of them. ``nearest``: decimals stand for the nearest binary64,
    so that a double is its shortest decimal."""
    if q.numerator.bit_length() + q.denominator.bit_length() > MAX_WRITTEN_BITS:
        return f"about {ball(q).str(6, radius=False)}"
    if q.denominator == 1 and abs(q) < 10**17:
        return str(q)
    try:
        f = float(q)
    except OverflowError:
        return str(q)
    if f and q == Fraction(repr(f)):
        return repr(f)
    if f and q == Fraction(f):
        return repr(f) if nearest else f.hex()
    return str(q)


def box_text(box: Box, *, nearest: bool = False) -> str:
    written = partial(number_text, nearest=nearest)
    return " x ".join(f"[{written(a)}, {written(b)}]" for a, b in box)


def point_text(x: Point) -> str:
    return f"({', '.join(map(number_text, x))})"
