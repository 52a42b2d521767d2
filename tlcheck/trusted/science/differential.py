"""Differential expressions as polynomials in an unknown and its derivatives; exact facts about functions of coordinates.

``normal_form`` multiplies an expression out: what it returns is equal to it, as a function, wherever it is defined.
``differentiated`` is the partial derivative, wherever the expression is defined. ``fixed`` puts rational values for
coordinates and folds what becomes a number. ``equal_at`` compares two values exactly: pi is transcendental, so a
polynomial in pi with rational coefficients is zero only if each of them is; True and False are certain, None is neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Final

from tlcheck.trusted.arith.arb import Arb
from tlcheck.trusted.calculus.exact_values import MAX_BITS, Coefficients, polynomial
from tlcheck.trusted.calculus.expression import (
    Apply,
    Expression,
    Number,
    Pi,
    Power,
    Product,
    Sum,
    Variable,
    children,
    variables,
)
from tlcheck.trusted.calculus.expression_series import evaluate
from tlcheck.trusted.calculus.series import Undefined

Index = tuple[int, ...]
Monomial = tuple[Index, ...]
"""The multi-indices of its factors, sorted: u u_x is ((0, 0), (0, 1)); () is what has no unknown."""
Form = dict[Monomial, Expression]
"""Monomial -> its coefficient, a function of the coordinates; none is Number(0)."""

ZERO: Final = Number(Fraction(0))
ONE: Final = Number(Fraction(1))
MAX_TERMS: Final = 64
MAX_DEGREE: Final = 4
"""Of a form: the equations that have theorems have a handful of terms, of degree 1 or 2."""
MAX_FACTORS: Final = 64
"""Of a product that is differentiated."""
MAX_NODES: Final = 20_000
"""Of a coefficient or derivative: multiplying out, and the product rule, repeat what they are given."""


class NoForm(ValueError):
    """Not such a polynomial, or not a function of this kind; says what stands in the way."""


def add(*terms: Expression) -> Expression:
    """The sum; short numbers are added exactly."""
    number, rest = Fraction(0), list[Expression]()
    for term in terms:
        for t in term.terms if isinstance(term, Sum) and not any(term.minus) else (term,):
            if isinstance(t, Number) and _short(total := number + t.value):
                number = total
            else:
                rest.append(t)
    rest += [Number(number)] if number or not rest else []
    return rest[0] if len(rest) == 1 else Sum(tuple(rest), (False,) * len(rest))


def multiply(*factors: Expression) -> Expression:
    """The product; short numbers are multiplied exactly, and 0 times anything is 0: whether a part is defined is found from
    the part as it is written, whose amount every theorem takes."""
    number, rest = Fraction(1), list[Expression]()
    for factor in factors:
        for f in factor.factors if isinstance(factor, Product) and not any(factor.under) else (factor,):
            if isinstance(f, Number) and _short(total := number * f.value):
                number = total
            else:
                rest.append(f)
    if not number:
        return ZERO
    rest = [Number(number), *rest] if number != 1 or not rest else rest
    return rest[0] if len(rest) == 1 else Product(tuple(rest), (False,) * len(rest))


def negate(e: Expression) -> Expression:
    return multiply(Number(Fraction(-1)), e)


def subtract(e: Expression, f: Expression) -> Expression:
    return add(e, negate(f))


def divide(e: Expression, f: Expression) -> Expression:
    if isinstance(f, Number) and f.value:
        return multiply(Number(1 / f.value), e)
    return multiply(e, Product((ONE, f), (False, True)))


def power(e: Expression, exponent: Fraction) -> Expression:
    if (
        isinstance(e, Number)
        and exponent.denominator == 1
        and exponent >= 0
        and _short(e.value, int(exponent))
    ):
        return Number(e.value ** int(exponent))
    return Power(e, exponent)


def _short(q: Fraction, exponent: int = 1) -> bool:
    """Its power is worth exact arithmetic."""
    return max(q.numerator.bit_length(), q.denominator.bit_length()) * exponent <= MAX_BITS


def _small(e: Expression) -> Expression:
    """``e``. Raises NoForm when it has more than MAX_NODES nodes."""
    left, open_ = MAX_NODES, [e]
    while open_:
        left -= 1
        if left < 0:
            raise NoForm(f"multiplied out, or differentiated, more than {MAX_NODES} nodes")
        open_ += children(open_.pop())
    return e


def normal_form(e: Expression, unknowns: Mapping[str, Index]) -> Form:
    """``unknowns``: names of the unknown and its derivatives -> multi-index. Raises NoForm."""
    if not any(name in unknowns for name in variables(e)):
        return {(): e} if e != ZERO else {}
    match e:
        case Variable(name):
            return {(unknowns[name],): ONE}
        case Sum(terms, minus):
            total: Form = {}
            for term, less in zip(terms, minus, strict=True):
                for m, c in normal_form(term, unknowns).items():
                    total[m] = add(total.get(m, ZERO), negate(c) if less else c)
            return _checked(total)
        case Product(factors, under):
            result: Form = {(): ONE}
            for factor, below in zip(factors, under, strict=True):
                form = normal_form(factor, unknowns)
                if below and set(form) != {()}:
                    raise NoForm("a division by zero, or by the unknown")
                result = (
                    {m: divide(c, form[()]) for m, c in result.items()} if below else _times(result, form)
                )
            return _checked(result)
        case Power(base, exponent) if exponent.denominator == 1 and 0 < exponent <= 4:
            result = {(): ONE}
            for _ in range(int(exponent)):
                result = _times(result, normal_form(base, unknowns))
            return result
        case _:
            raise NoForm("a function of the unknown that is no polynomial")


def _times(f: Form, g: Form) -> Form:
    result: Form = {}
    for m, c in f.items():
        for n, d in g.items():
            key = tuple(sorted(m + n))
            result[key] = add(result.get(key, ZERO), multiply(c, d))
    return _checked(result)


def _checked(form: Form) -> Form:
    if len(form) > MAX_TERMS or any(len(m) > MAX_DEGREE for m in form):
        raise NoForm(f"more than {MAX_TERMS} terms, or a degree above {MAX_DEGREE}")
    return {m: _small(c) for m, c in form.items() if c != ZERO}


def differentiated(e: Expression, name: str) -> Expression:
    """The partial derivative by ``name``. Raises NoForm for abs of it, and powers that are no integers."""
    if name not in variables(e):
        return ZERO
    match e:
        case Variable():
            return ONE
        case Sum(terms, minus):
            each = [differentiated(t, name) for t in terms]
            return _small(add(*(negate(d) if less else d for d, less in zip(each, minus, strict=True))))
        case Product(factors, under):
            if len(factors) > MAX_FACTORS:
                raise NoForm(f"a product of more than {MAX_FACTORS} factors")
            parts = []
            for k, (factor, below) in enumerate(zip(factors, under, strict=True)):
                d = differentiated(factor, name)
                if d == ZERO:
                    continue
                if below:  # (1/f)' = -f'/f^2
                    parts.append(negate(Product((*factors, d, factor), (*under, False, True))))
                else:
                    parts.append(Product((*factors[:k], d, *factors[k + 1 :]), under))
            return _small(add(*parts)) if parts else ZERO
        case Power(base, exponent) if exponent.denominator == 1:
            inner = differentiated(base, name)
            return multiply(Number(exponent), power(base, exponent - 1), inner)
        case Apply(function, argument):
            return multiply(_slope(function, argument), differentiated(argument, name))
        case _:
            raise NoForm("no derivative of a power that is no integer")


def _slope(function: str, x: Expression) -> Expression:
    match function:
        case "sin":
            return Apply("cos", x)
        case "cos":
            return negate(Apply("sin", x))
        case "exp":
            return Apply("exp", x)
        case "tanh":
            return subtract(ONE, Power(Apply("tanh", x), Fraction(2)))
        case "log":
            return divide(ONE, x)
        case "sqrt":
            return divide(Number(Fraction(1, 2)), Apply("sqrt", x))
        case _:
            raise NoForm(f"{function} has no derivative everywhere")


def fixed(e: Expression, at: Mapping[str, Fraction]) -> Expression:
    """``e`` with these values; sin and cos of multiples of pi/2, and what is rational then, are numbers."""
    match e:
        case Variable(name):
            return Number(at[name]) if name in at else e
        case Sum(terms, minus):
            each = [fixed(t, at) for t in terms]
            return add(*(negate(x) if less else x for x, less in zip(each, minus, strict=True)))
        case Product(factors, under):
            each = [fixed(factor, at) for factor in factors]
            return multiply(*(divide(ONE, x) if below else x for x, below in zip(each, under, strict=True)))
        case Power(base, exponent):
            return power(fixed(base, at), exponent)
        case Apply(function, argument):
            inner = fixed(argument, at)
            known = _quarter(function, inner)
            return replace(e, argument=inner) if known is None else Number(Fraction(known))
        case _:
            return e


def _quarter(function: str, argument: Expression) -> int | None:
    """sin or cos of a multiple of pi/2."""
    p = _in_pi(argument)
    if function not in ("sin", "cos") or p is None or any(c for k, c in enumerate(p) if k != 1):
        return None
    turns = 2 * (p[1] if len(p) > 1 else Fraction(0))
    if turns.denominator != 1:
        return None
    return (0, 1, 0, -1)[(int(turns) + (function == "cos")) % 4]


def _in_pi(e: Expression) -> Coefficients | None:
    """``e``, without variables, as a polynomial in pi."""
    return None if variables(e) else polynomial(_named(e), {PI_NAME: (Fraction(0), Fraction(1))})


PI_NAME: Final = " pi"
"""No variable has a blank in its name."""


def _named(e: Expression) -> Expression:
    match e:
        case Pi():
            return Variable(PI_NAME)
        case Sum(terms, _):
            return replace(e, terms=tuple(map(_named, terms)))
        case Product(factors, _):
            return replace(e, factors=tuple(map(_named, factors)))
        case Power(base, _):
            return replace(e, base=_named(base))
        case Apply(_, argument):
            return replace(e, argument=_named(argument))
        case _:
            return e


def equal_at(e: Expression, f: Expression, at: Mapping[str, Fraction]) -> bool | None:
    """Whether e = f with these values, for whatever values of the other variables (False only where there are none)."""
    difference = fixed(subtract(e, f), at)
    if variables(difference):
        return None
    p = _in_pi(difference)
    if p is not None:
        return not any(p)
    value = number(difference)
    return False if value is not None and value != 0 else None


def number(e: Expression) -> Arb | None:
    """A ball that holds the value of ``e``, which has no variables; None where it has none, or may have none."""
    try:
        value: Arb = evaluate(e, {}, 0)[0]
    except Undefined:
        return None
    return value if value.is_finite() else None
