"""The numbers of TorchLean's JSON, exactly as the file says or as the nearest binary64, and intervals of them.

A *number* is a JSON number, or a string that holds one: the nearest binary64 unless decimals are read exactly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fractions import Fraction
from math import isfinite
from typing import Final

from msgspec import Raw, Struct

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_DECIMAL_DIGITS
from tlcheck.readers.decimals import parse_decimal

Read = Callable[[Raw, str], Fraction]
"""A number as written, and its field, to its value. Raises InvalidInput TLC101, TLC106 or TLC401."""

Intervals = tuple[tuple[Fraction, Fraction], ...]

MAX_DIMENSION: Final = 16
"""Most states: a cell is halved along one of them at a time."""
MAX_LITERAL_BITS: Final = 14_000
"""Longest number of a formula: 4200 digits, a little below Python's limit on int to str."""

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")


class Ends(Struct, frozen=True):
    lo: Raw
    hi: Raw


class EndLists(Struct, frozen=True):
    lo: list[Raw]
    hi: list[Raw]


def number_reader(decimals: str) -> Read:
    """How numbers are read: ``exact``, or as the nearest binary64 (``format`` means that, here)."""
    return _exact if decimals == "exact" else _binary64


def decimals_text(decimals: str) -> str:
    """For reports."""
    return "exact" if decimals == "exact" else "nearest binary64"


def literal(value: Fraction, field: str) -> Fraction:
    """The value, when it is of a size that Python writes out: formulas are printed. Raises InvalidInput TLC401."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_LITERAL_BITS:
        raise InvalidInput("TLC401", "a number of a formula has too many digits", field=field)
    return value


def interval(ends: Ends, read: Read, field: str) -> tuple[Fraction, Fraction]:
    return read(ends.lo, f"{field}.lo"), read(ends.hi, f"{field}.hi")


def intervals(ends: EndLists, read: Read, field: str, count: int) -> list[tuple[Fraction, Fraction]]:
    """Raises InvalidInput TLC101 unless there are ``count``."""
    for name, values in (("lo", ends.lo), ("hi", ends.hi)):
        if len(values) != count:
            raise InvalidInput(
                "TLC101", "wrong length", field=f"{field}.{name}", expected=str(count), got=str(len(values))
            )
    return [
        (read(low, f"{field}.lo[{k}]"), read(high, f"{field}.hi[{k}]"))
        for k, (low, high) in enumerate(zip(ends.lo, ends.hi, strict=True))
    ]


def checked_box(box: Intervals, field: str) -> Intervals:
    """The box, of 1 to MAX_DIMENSION intervals, none of them empty."""
    if not 0 < len(box) <= MAX_DIMENSION:
        raise InvalidInput(
            "TLC101", "wrong dimension", field=field, expected=f"1 to {MAX_DIMENSION}", got=str(len(box))
        )
    for k, (low, high) in enumerate(box):
        if low > high:
            raise InvalidInput("TLC101", "an empty interval", field=f"{field}[{k}]")
    return box


def _exact(raw: Raw, field: str) -> Fraction:
    return parse_decimal(_literal(raw, field), code="TLC101", field=field)


def _binary64(raw: Raw, field: str) -> Fraction:
    value = float(_literal(raw, field))
    if not isfinite(value):
        raise InvalidInput("TLC106", "number out of range", field=field)
    return Fraction(value)


def _literal(raw: Raw, field: str) -> str:
    """The text of a JSON number, bare or in a string."""
    text = bytes(raw).decode("utf-8")
    if text[:1] == '"':
        text = json.loads(text)
    if len(text) > 3 * MAX_DECIMAL_DIGITS or _NUMBER.fullmatch(text) is None:
        raise InvalidInput("TLC101", "not a number", field=field, got=ascii(text[:60]))
    return text
