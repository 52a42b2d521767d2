"""Writer of VNN-LIB 1.0 queries: a box of inputs, and what the outputs must not do. Ring 2: the text is read again.

Every number is a decimal. One that has none of up to 40 places is rounded outward, to 20 digits: the box of the text is the
one that was meant or a slightly larger one, never smaller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Final

from tlcheck.report.numerals import number

DIGITS: Final = 20
"""Of a number that has no short decimal."""


def decimal_below(value: Fraction) -> str:
    """``value``, or where it has no short decimal one just below it."""
    return _decimal(value, up=False)


def decimal_above(value: Fraction) -> str:
    """``value``, or where it has no short decimal one just above it."""
    return _decimal(value, up=True)


def _decimal(value: Fraction, *, up: bool) -> str:
    text = number(value)
    if "/" not in text:
        return text
    whole = abs(value.numerator) // value.denominator
    magnitude = len(str(whole)) if whole else -len(str(value.denominator // abs(value.numerator))) + 1
    scale = Fraction(10) ** (DIGITS - magnitude)
    scaled = value * scale
    cut = -((-scaled.numerator) // scaled.denominator) if up else scaled.numerator // scaled.denominator
    return _plain(cut, DIGITS - magnitude)


def _plain(digits: int, places: int) -> str:
    """``digits`` / 10^places without an exponent."""
    if places <= 0:
        return str(digits * 10**-places)
    text = f"{abs(digits):0{places + 1}d}"
    return f"{'-' if digits < 0 else ''}{text[:-places]}.{text[-places:]}"


def query_text(
    lower: Sequence[Fraction],
    upper: Sequence[Fraction],
    n_outputs: int,
    formula: Iterable[str],
    about: Sequence[str] = (),
) -> bytes:
    """A query: some input of the box ``lower`` to ``upper`` for which every formula holds. ``about``: comment lines."""
    lines = [f"; {_comment(line)}" for line in about]
    lines += [f"(declare-const X_{i} Real)" for i in range(len(lower))]
    lines += [f"(declare-const Y_{j} Real)" for j in range(n_outputs)]
    lines += [*bounds(lower, upper), *(f"(assert {f})" for f in formula)]
    return ("\n".join(lines) + "\n").encode()


def bounds(lower: Sequence[Fraction], upper: Sequence[Fraction]) -> Iterator[str]:
    for i, (low, high) in enumerate(zip(lower, upper, strict=True)):
        yield f"(assert (>= X_{i} {decimal_below(low)}))"
        yield f"(assert (<= X_{i} {decimal_above(high)}))"


def another_wins(label: int, n_outputs: int) -> str:
    """Some other output is at least output ``label``."""
    others = (f"(and (>= Y_{j} Y_{label}))" for j in range(n_outputs) if j != label)
    return f"(or {' '.join(others)})"


def _comment(line: str) -> str:
    """ASCII without line ends: a comment that ends a line ends in every reader."""
    return ascii(line)[1:-1]
