"""Exact numbers in words: none is rounded."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

SHOWN_INPUTS: Final = 6


def number(value: Fraction) -> str:
    """``value`` exactly: as a short decimal where it has one, else as a quotient of integers."""
    places = 0
    denominator = value.denominator
    for prime in (2, 5):
        power = 0
        while denominator % prime == 0 and power <= 40:
            denominator //= prime
            power += 1
        places = max(places, power)
    if denominator != 1 or places > 40:
        return f"{value.numerator}/{value.denominator}"
    digits = f"{abs(value.numerator) * 10**places // value.denominator:0{places + 1}d}"
    text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"-{text}" if value < 0 else text


def short(value: Fraction) -> str:
    """``value`` exactly, with an exponent where that is shorter: 2.84e-8."""
    text = number(value)
    if "/" in text or not value:
        return text
    sign, digits = "-" * (value < 0), text.lstrip("-").replace(".", "").strip("0")
    whole = text.lstrip("-").partition(".")[0].lstrip("0")
    fraction = text.partition(".")[2]
    power = len(whole) - 1 if whole else -(len(fraction) - len(fraction.lstrip("0")) + 1)
    scientific = f"{sign}{digits[0]}{'.' * (len(digits) > 1)}{digits[1:]}e{power}"
    return min(text, scientific, key=len)


def point(witness: Sequence[Fraction]) -> str:
    """Its first coordinates, exactly; what is left out is counted."""
    shown = ", ".join(number(value) for value in witness[:SHOWN_INPUTS])
    more = f", ... ({len(witness) - SHOWN_INPUTS} more)" if len(witness) > SHOWN_INPUTS else ""
    return f"({shown}{more})"
