"""Exact numbers as text: decimals, quotients of integers, hexadecimal floats. Nothing is rounded."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_DECIMAL_DIGITS
from tlcheck.readers.decimals import parse_decimal

_QUOTIENT: Final = re.compile(r"([+-]?[0-9]++)/([0-9]++)")
_HEXADECIMAL: Final = re.compile(r"([+-]?)0[xX]([0-9a-fA-F]*+)(?:\.([0-9a-fA-F]*+))?+[pP]([+-]?[0-9]{1,6})")


def exact_number(text: str, *, field: str = "") -> Fraction:
    """The number that ``text`` denotes. Raises InvalidInput TLC101 (not a number) or TLC401 (too many digits)."""
    if len(text) > 3 * MAX_DECIMAL_DIGITS:
        raise InvalidInput(
            "TLC401", "a number has too many digits", field=field, expected=f"at most {MAX_DECIMAL_DIGITS}"
        )
    quotient = _QUOTIENT.fullmatch(text)
    if quotient is not None:
        top, bottom = (parse_decimal(part, code="TLC101", field=field) for part in quotient.groups())
        if bottom == 0:
            raise InvalidInput("TLC101", "a quotient by zero", field=field, got=ascii(text[:60]))
        return top / bottom
    hexadecimal = _HEXADECIMAL.fullmatch(text)
    if hexadecimal is not None:
        return _hexadecimal(hexadecimal, text, field)
    return parse_decimal(text, code="TLC101", field=field)


def _hexadecimal(match: re.Match[str], text: str, field: str) -> Fraction:
    sign, whole, fraction, power = match.groups()
    digits = whole + (fraction or "")
    exponent = int(power) - 4 * len(fraction or "")
    if not digits:
        raise InvalidInput("TLC101", "not a number", field=field, got=ascii(text[:60]))
    if len(digits) > MAX_DECIMAL_DIGITS or abs(exponent) > 4 * MAX_DECIMAL_DIGITS:
        raise InvalidInput("TLC401", "a number has too many digits", field=field, got=ascii(text[:60]))
    mantissa = int(digits, 16) * (-1 if sign == "-" else 1)
    return Fraction(mantissa) * (Fraction(2) ** exponent)
