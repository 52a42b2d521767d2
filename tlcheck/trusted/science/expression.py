"""Expressions over named variables, exactly as written: what they mean on balls and on series, and how they print.

An expression is a tree of the nodes below; its numbers are exact. ``evaluate`` encloses it, at any order (jets.py): at
order 0 its values, and with a variable v given as [value, 1, 0, ...] and the others constant, coefficient 1 is its
partial derivative by v; with all variables given as functions of one t, the coefficients are those of the composition.

    jets.Undefined   some point of the given balls may lie outside the domain of a function
    jets.NotSmooth   a kink may lie there and the order is above 1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from typing import Final, TypeAlias

from tlcheck.trusted.arith.arb import Arb, ball
from tlcheck.trusted.science.jets import (
    FUNCTIONS,
    Series,
    add,
    constant,
    divide,
    multiply,
    negate,
    power,
    subtract,
)

FUNCTION_NAMES: Final = ("abs", "cos", "exp", "log", "sin", "sqrt", "tanh")


@dataclass(frozen=True)
class Number:
    value: Fraction


@dataclass(frozen=True)
class Pi:
    pass


@dataclass(frozen=True)
class Variable:
    name: str


@dataclass(frozen=True)
class Sum:
    """The sum of the terms; ``minus[k]``: term k is subtracted."""

    terms: tuple[Expression, ...]
    minus: tuple[bool, ...]


@dataclass(frozen=True)
class Product:
    """The factors from left to right; ``under[k]``: divided by factor k."""

    factors: tuple[Expression, ...]
    under: tuple[bool, ...]


@dataclass(frozen=True)
class Power:
    """base^exponent; with an exponent that is no integer, defined for base > 0 (and 0 when the exponent is positive)."""

    base: Expression
    exponent: Fraction


@dataclass(frozen=True)
class Apply:
    """A function of FUNCTION_NAMES."""

    function: str
    argument: Expression

    def __post_init__(self) -> None:
        if self.function not in FUNCTION_NAMES:
            raise ValueError(f"function {self.function!r}")


Expression: TypeAlias = Number | Pi | Variable | Sum | Product | Power | Apply


def evaluate(e: Expression, at: Mapping[str, Series], order: int) -> Series:
    """The series of ``e``; ``at`` has every variable of it, each of order ``order``."""
    match e:
        case Number(value):
            return constant(ball(value), order)
        case Pi():
            return constant(Arb.pi(), order)
        case Variable(name):
            return at[name]
        case Sum(terms, minus):
            total = evaluate(terms[0], at, order)
            total = negate(total) if minus[0] else total
            for term, less in zip(terms[1:], minus[1:], strict=True):
                total = (subtract if less else add)(total, evaluate(term, at, order))
            return total
        case Product(factors, under):
            first = evaluate(factors[0], at, order)
            result = divide(constant(Arb(1), order), first) if under[0] else first
            for factor, below in zip(factors[1:], under[1:], strict=True):
                other = first if factor == factors[0] else evaluate(factor, at, order)
                result = (divide if below else multiply)(result, other)
            return result
        case Power(base, exponent):
            return power(evaluate(base, at, order), exponent)
        case Apply(function, argument):
            return FUNCTIONS[function](evaluate(argument, at, order))


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


def variables(e: Expression) -> frozenset[str]:
    """The names of the variables in ``e``."""
    if isinstance(e, Variable):
        return frozenset((e.name,))
    return frozenset().union(*(variables(child) for child in children(e)))


def is_total(e: Expression) -> bool:
    """True only if ``e`` is defined, and locally Lipschitz, at all values of its variables: nothing in it has a domain."""
    if isinstance(e, Apply) and e.function in ("log", "sqrt"):
        return False
    if isinstance(e, Power) and (e.exponent < 0 or e.exponent.denominator != 1):
        return False
    if isinstance(e, Product):
        divisors = [f for f, below in zip(e.factors, e.under, strict=True) if below]
        if not all(isinstance(f, Number) and f.value for f in divisors):
            return False
    return all(is_total(child) for child in children(e))


def children(e: Expression) -> tuple[Expression, ...]:
    match e:
        case Sum(terms, _):
            return terms
        case Product(factors, _):
            return factors
        case Power(base, _):
            return (base,)
        case Apply(_, argument):
            return (argument,)
        case _:
            return ()


def text(e: Expression, *, nearest: bool = False) -> str:
    """``e`` in the grammar of readers/expressions.py, numbers as in ``number_text``; reading it gives an equal function."""
    return _text(e, 0, nearest)


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


def _text(e: Expression, level: int, nearest: bool) -> str:
    """``level``: 0 on its own, 1 a term, 2 a factor, 3 the base of a power; parentheses when ``e`` binds less."""
    match e:
        case Number(value):
            written = number_text(value, nearest=nearest)
            return f"({written})" if level and not written.replace(".", "").isdigit() else written
        case Pi():
            return "pi"
        case Variable(name):
            return name
        case Apply(function, argument):
            return f"{function}({_text(argument, 0, nearest)})"
        case Power(base, exponent):
            n = str(exponent)
            written = f"{_text(base, 3, nearest)}^{n if n.isdigit() else f'({n})'}"
            return f"({written})" if level > 2 else written
        case Product(factors, under):
            parts = [("/" if b else "*") + _text(f, 2, nearest) for f, b in zip(factors, under, strict=True)]
            written = ("1" + parts[0] if under[0] else parts[0][1:]) + "".join(parts[1:])
            return f"({written})" if level > 1 else written
        case Sum(terms, minus):
            signed = [
                (" - " if m else " + ") + _text(x, 1, nearest) for x, m in zip(terms, minus, strict=True)
            ]
            written = ("-" if minus[0] else "") + signed[0][3:] + "".join(signed[1:])
            return f"({written})" if level else written
