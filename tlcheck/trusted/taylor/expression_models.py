"""Expressions in Taylor models, for either engine; ``functions`` is imported where one has a function, quotient or root."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.calculus import expression as ex
from tlcheck.trusted.taylor.derivatives import M
from tlcheck.trusted.taylor.engine import Engine, Unsupported


def evaluate(e: ex.Expression, at: Mapping[str, M], engine: Engine[M]) -> M:
    """Models of the expression; ``at`` has every variable of it. Raises OutsideDomain."""
    match e:
        case ex.Number(value):
            return engine.constants([ball(value)])
        case ex.Pi():
            return engine.constants([Arb.pi()])
        case ex.Variable(name):
            return at[name]
        case ex.Sum(terms, minus_):
            total = None
            for term, less in zip(terms, minus_, strict=True):
                x = evaluate(term, at, engine)
                x = engine.negate(x) if less else x
                total = x if total is None else engine.add(total, x)
            return _some(total)
        case ex.Product(factors, under):
            result = None
            for factor, below in zip(factors, under, strict=True):
                x = evaluate(factor, at, engine)
                x = _root(x, Fraction(-1), engine) if below else x
                result = x if result is None else engine.multiply(result, x)
            return _some(result)
        case ex.Power(base, exponent):
            return _power(evaluate(base, at, engine), exponent, engine)
        case ex.Apply("abs", argument):
            return engine.hinge(-1.0, 1.0, evaluate(argument, at, engine))
        case ex.Apply(function, argument):
            from tlcheck.trusted.taylor.functions import APPLIED

            return engine.compose(APPLIED[function], evaluate(argument, at, engine), 0)[0]


def _some(x: M | None) -> M:
    if x is None:
        raise Unsupported("an expression without terms")
    return x


def _power(x: M, exponent: Fraction, engine: Engine[M]) -> M:
    if exponent.denominator != 1:
        return _root(x, exponent, engine)
    n = abs(int(exponent))
    if n == 0:
        return engine.constants([arb(1)])
    result = x
    for _ in range(n - 1):
        result = engine.multiply(result, x)
    return result if exponent > 0 else _root(result, Fraction(-1), engine)


def _root(x: M, exponent: Fraction, engine: Engine[M]) -> M:
    from tlcheck.trusted.taylor.functions import Root

    return engine.compose(Root(exponent), x, 0)[0]


def has_functions(e: ex.Expression) -> bool:
    """``evaluate`` needs ``functions``."""
    match e:
        case ex.Apply(function, _) if function != "abs":
            return True
        case ex.Power(_, exponent) if exponent.denominator != 1 or exponent < 0:
            return True
        case ex.Product(_, under) if any(under):
            return True
    return any(has_functions(child) for child in ex.children(e))
