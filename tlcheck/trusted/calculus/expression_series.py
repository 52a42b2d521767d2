"""Expressions on series: at order 0 their values. With a variable v given as [value, 1, 0, ...] and the others constant,
coefficient 1 is the partial derivative by v; with all variables given as functions of one t, the coefficients are those of the
composition.

    series.Undefined   some point of the given balls may lie outside the domain of a function
    series.NotSmooth   a kink may lie there and the order is above 1
"""

from __future__ import annotations

from collections.abc import Mapping

from tlcheck.trusted.arith.arb import Arb, ball
from tlcheck.trusted.calculus.expression import Apply, Expression, Number, Pi, Power, Product, Sum, Variable
from tlcheck.trusted.calculus.series import (
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
