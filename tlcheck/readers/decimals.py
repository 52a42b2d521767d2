"""Literals to exact rationals: decimals (0.1 is one tenth), quotients of integers, hexadecimal floats.

The number of digits and the exponent are checked before any power of ten is computed, so ``1e999999999`` costs
nothing.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_DECIMAL_DIGITS

DECIMAL: Final = r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
"""The pattern of a decimal literal: ASCII digits only; ``5.`` and ``.5`` are allowed, ``nan``, ``inf``, ``1_0`` not."""

_PARTS: Final = re.compile(r"([+-]?)([0-9]*+)(?:\.([0-9]*+))?(?:[eE]([+-]?)([0-9]++))?")
_QUOTIENT: Final = re.compile(r"([+-]?[0-9]++)/([0-9]++)")
_HEXADECIMAL: Final = re.compile(r"([+-]?)0[xX]([0-9a-fA-F]*+)(?:\.([0-9a-fA-F]*+))?[pP]([+-]?[0-9]{1,6})")
_SHORT: Final = 500
"""Literals up to this long need no digit count; below the least limit (640) that Python puts on ``int(str)``."""


def parse_decimal(text: str, *, code: str = "TLC301", field: str = "") -> Fraction:
    """The exact value of a decimal literal, with or without exponent.

    Raises InvalidInput: ``code`` when ``text`` is not a decimal literal, TLC401 when it has more than
    MAX_DECIMAL_DIGITS digits or an exponent beyond that in absolute value.
    """
    match = _PARTS.fullmatch(text)
    if match is None:
        raise InvalidInput(code, "not a decimal number", field=field, got=ascii(text[:60]))
    sign, whole, fraction, exponent_sign, exponent_digits = match.groups()
    digits = whole + (fraction or "")
    if not digits:
        raise InvalidInput(code, "not a decimal number", field=field, got=ascii(text[:60]))
    if len(digits) > MAX_DECIMAL_DIGITS:
        raise _too_long("digits", len(digits), field)
    exponent = -len(fraction) if fraction else 0
    if exponent_digits:
        exponent += _exponent(exponent_sign, exponent_digits, field)
    mantissa = _integer(digits)
    if sign == "-":
        mantissa = -mantissa
    if exponent >= 0:
        return Fraction(mantissa * 10**exponent)
    return Fraction(mantissa, 10**-exponent)


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


def _exponent(sign: str, digits: str, field: str) -> int:
    significant = digits.lstrip("0")
    if len(significant) > len(str(MAX_DECIMAL_DIGITS)) or int(significant or "0") > MAX_DECIMAL_DIGITS:
        raise InvalidInput(
            "TLC401",
            "the exponent of a decimal number is too large",
            field=field,
            expected=f"at most {MAX_DECIMAL_DIGITS} in absolute value",
            got=f"e{sign}{significant[:20]}{'...' if len(significant) > 20 else ''}",
        )
    value = int(significant or "0")
    return -value if sign == "-" else value


def _integer(digits: str) -> int:
    """``int(digits)`` in pieces, for a literal longer than Python's configurable limit on ``int(str)`` may allow."""
    if len(digits) <= _SHORT:
        return int(digits)
    value = 0
    for start in range(0, len(digits), _SHORT):
        piece = digits[start : start + _SHORT]
        value = value * 10 ** len(piece) + int(piece)
    return value


def _too_long(what: str, count: int, field: str) -> InvalidInput:
    return InvalidInput(
        "TLC401",
        f"a decimal number has too many {what}",
        field=field,
        expected=f"at most {MAX_DECIMAL_DIGITS}",
        got=str(count),
    )
