"""Doubles as decimals, for people: each on its stated side."""

from __future__ import annotations

import math
from fractions import Fraction


def decimal_outward(f: float, direction: str, digits: int = 17) -> str:
    """A decimal with at most ``digits`` significant digits on the ``direction`` side of the double ``f``."""
    if not math.isfinite(f):
        return repr(f)
    if f == 0:
        return "0"
    exact = Fraction(f)
    exponent = math.floor(math.log10(abs(f))) - digits + 1
    scale = Fraction(10) ** exponent
    scaled = exact / scale
    n = math.floor(scaled) if direction == "down" else math.ceil(scaled)
    sign, digits_text = ("-" if n < 0 else ""), str(abs(n))
    point = len(digits_text) + exponent
    digits_text = digits_text.rstrip("0")
    if 0 < point <= 16:
        whole, rest = digits_text[:point].ljust(point, "0"), digits_text[point:]
        return f"{sign}{whole}.{rest}" if rest else f"{sign}{whole}"
    if -4 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits_text}"
    rest = f".{digits_text[1:]}" if digits_text[1:] else ""
    return f"{sign}{digits_text[0]}{rest}e{point - 1}"
