"""Expressions in rational arithmetic, as far as it goes: polynomials in one variable, and values at points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import zip_longest
from typing import Final

from tlcheck.trusted.calculus.expression import Apply, Expression, Number, Pi, Power, Product, Sum, Variable

FIXED: Final = {
    "abs": {}, "cos": {0: 1}, "exp": {0: 1}, "log": {1: 0}, "sin": {0: 0}, "sqrt": {0: 0, 1: 1}, "tanh": {0: 0},
}  # fmt: skip
"""Values that are known exactly: function -> argument -> value."""


MAX_DEGREE: Final = 32
MAX_BITS: Final = 8192
"""Of a coefficient: beyond either, exact arithmetic is not worth its time."""

Coefficients = tuple[Fraction, ...]


def polynomial(e: Expression, at: Mapping[str, Coefficients]) -> Coefficients | None:
    """``e`` exactly, as a polynomial in t, each variable being one; constant term first.

    None where rational arithmetic and FIXED do not give it within the limits, or it is undefined.
    """
    match e:
        case Number(value):
            return _within((value,))
        case Pi():
            return None
        case Variable(name):
            return _within(at[name])
        case Apply(function, argument):
            x = _constant(polynomial(argument, at))
            if x is None or function == "abs":
                return None if x is None else (abs(x),)
            known = FIXED[function].get(int(x)) if x.denominator == 1 else None
            return None if known is None else (Fraction(known),)
        case Power(base, exponent):
            b = polynomial(base, at)
            n = abs(int(exponent))
            if b is None or exponent.denominator != 1:
                return None
            return _folded([b] * n, [exponent < 0] * n, product=True)
        case Product(factors, under):
            return _folded([polynomial(f, at) for f in factors], under, product=True)
        case Sum(terms, minus):
            return _folded([polynomial(x, at) for x in terms], minus, product=False)


def exact_value(e: Expression, at: Mapping[str, Fraction]) -> Fraction | None:
    """The value of ``e`` where it is known exactly, as in ``polynomial``."""
    return _constant(polynomial(e, {name: (value,) for name, value in at.items()}))


def _constant(p: Coefficients | None) -> Fraction | None:
    if p is None or any(p[1:]):
        return None
    return p[0] if p else Fraction(0)


def _folded(
    parts: Sequence[Coefficients | None], inverse: Sequence[bool], *, product: bool
) -> Coefficients | None:
    """The sum or product of the parts, each subtracted or divided by where ``inverse`` says so."""
    total: Coefficients | None = (Fraction(int(product)),)
    for part, inverted in zip(parts, inverse, strict=True):
        if part is None or total is None:
            return None
        if not product:
            total = _plus(total, tuple(-c for c in part) if inverted else part)
        elif inverted:
            divisor = _constant(part)
            total = tuple(c / divisor for c in total) if divisor else None
        else:
            total = _by(total, part)
        total = _within(total)
    return total


def _plus(p: Coefficients, q: Coefficients) -> Coefficients:
    return tuple(a + b for a, b in zip_longest(p, q, fillvalue=Fraction(0)))


def _by(p: Coefficients, q: Coefficients) -> Coefficients:
    result = [Fraction(0)] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            result[i + j] += a * b
    return tuple(result)


def _within(p: Coefficients | None) -> Coefficients | None:
    if p is None or len(p) > MAX_DEGREE + 1:
        return None
    short = all(max(c.numerator.bit_length(), c.denominator.bit_length()) <= MAX_BITS for c in p)
    return p if short else None
