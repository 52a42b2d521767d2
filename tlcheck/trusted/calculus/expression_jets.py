"""Expressions on jets, their kinks treated as told."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.calculus.expression import Apply, Expression, Number, Pi, Power, Product, Sum, Variable
from tlcheck.trusted.calculus.jets import UNKNOWN, Function, Jet, constant, sin, squared
from tlcheck.trusted.calculus.kinked_jets import ONE, ZERO, Kinks, absolute, tight_tanh
from tlcheck.trusted.calculus.ranges import increasing, square

# Expressions.


def _cos(x: Arb) -> tuple[Arb, Arb, Arb]:
    return x.cos(), -x.sin(), -x.cos()


def _exp(x: Arb) -> tuple[Arb, Arb, Arb]:
    e = increasing(Arb.exp, x)
    return e, e, e


def _log(x: Arb) -> tuple[Arb, Arb, Arb]:
    if not x > 0:
        return UNKNOWN, UNKNOWN, UNKNOWN
    return increasing(Arb.log, x), 1 / x, -1 / square(x)


def _sqrt(x: Arb) -> tuple[Arb, Arb, Arb]:
    if not x > 0:
        return UNKNOWN, UNKNOWN, UNKNOWN
    r = increasing(Arb.sqrt, x)
    return r, 1 / (2 * r), -1 / (4 * r * x)


def _reciprocal(x: Arb) -> tuple[Arb, Arb, Arb]:
    if not (x > 0 or x < 0):
        return UNKNOWN, UNKNOWN, UNKNOWN
    r = 1 / x
    return r, -square(r), 2 * square(r) * r


_APPLIED: Final[Mapping[str, Function]] = {
    "cos": _cos, "exp": _exp, "log": _log, "sin": sin, "sqrt": _sqrt, "tanh": tight_tanh,
}  # fmt: skip


def expression_jet(e: Expression, at: Mapping[str, Jet], n: int, kinks: Kinks) -> Jet:
    """The expression over a box of ``n`` coordinates, each of its variables given by its jet."""
    match e:
        case Number(value):
            return constant(ball(value), n)
        case Pi():
            return constant(Arb.pi(), n)
        case Variable(name):
            return at[name]
        case Sum(terms, minus):
            total = constant(arb(0), n)
            for term, less in zip(terms, minus, strict=True):
                jet = expression_jet(term, at, n, kinks)
                total = total - jet if less else total + jet
            return total
        case Product(factors, under):
            product: Jet | None = None
            for factor, below in zip(factors, under, strict=True):
                jet = expression_jet(factor, at, n, kinks)
                jet = jet.through(_reciprocal) if below else jet
                product = jet if product is None else product * jet
            return constant(arb(1), n) if product is None else product
        case Power(base, exponent):
            return _power(expression_jet(base, at, n, kinks), exponent, n)
        case Apply("abs", argument):
            return absolute(expression_jet(argument, at, n, kinks), kinks)
        case Apply(function, argument):
            return expression_jet(argument, at, n, kinks).through(_APPLIED[function])


def _power(base: Jet, exponent: Fraction, n: int) -> Jet:
    """Whole powers by squaring; others as exp(r log base), defined where base > 0."""
    if exponent.denominator != 1:
        return base.through(_log).scaled(ball(exponent)).through(_exp)
    if exponent < 0:
        return _power(base, -exponent, n).through(_reciprocal)
    if not exponent:  # 1 where the base is defined
        return base.scaled(ZERO).shifted(ONE)
    result: Jet | None = None
    k = int(exponent)
    while k:
        if k & 1:
            result = base if result is None else result * base
        k >>= 1
        if k:
            base = base.through(squared)
    return constant(arb(1), n) if result is None else result
