"""Expressions over named variables, exactly as written: the tree, what is in it, and how it prints.

An expression is a tree of the nodes below; its numbers are exact. What it means: on exact numbers ``exact_values``, on series
``expression_series``, on jets ``expression_jets``, in Taylor models ``taylor.expression_models``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from tlcheck.trusted.calculus.written import number_text

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
