"""Polynomials over the rationals: their sign on an interval, decided exactly.

A polynomial is the tuple of its coefficients, lowest first. :func:`negative_point` is complete: it says whether
p >= 0 on [0, width], and gives a rational point where p < 0 when it is not. There is no rounding and no tolerance.

Why it is right. On [0, 1] a polynomial lies between its least and greatest Bernstein coefficient, so none below zero
means p >= 0 (accepted), and p's values at 0 and 1 are the first and the last of them (a negative one is a witness).
Otherwise the interval is halved (de Casteljau). Multiplying by a positive constant changes no sign, so all of it is
done in integers. A zero of even order may keep that from ending, so below depth ``_DIRECT`` p is replaced by its odd
part o, the product of its square-free factors of odd order with the sign of p: p = o h^2 up to a positive constant.
Then p >= 0 on [0, 1] if and only if o >= 0 there (both are continuous, and h vanishes at finitely many points only).
o has simple zeros, so the bisection ends: over a short enough interval the Bernstein coefficients change sign at
most once (Obreshkoff), and not at all when o does not. Where o < 0, it is so on an open set, which ends of intervals
come to lie in, and at all but finitely many of them h is not zero, so p < 0: only such a point is a witness.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import comb, gcd, lcm
from typing import Final

Poly = tuple[Fraction, ...]
Ints = list[int]

_DIRECT: Final = 6
"""Halvings before the odd part is taken: it costs more than a few halvings, and is rarely needed."""


def evaluate(p: Sequence[Fraction], x: Fraction) -> Fraction:
    """p(x), by Horner."""
    value = Fraction(0)
    for c in reversed(p):
        value = value * x + c
    return value


def derivative(p: Sequence[Fraction], order: int = 1) -> Poly:
    """The derivative of that order; empty for the zero polynomial."""
    for _ in range(order):
        p = [k * c for k, c in enumerate(p)][1:]
    return tuple(p)


def minus(p: Sequence[Fraction]) -> Poly:
    return tuple(-c for c in p)


def is_zero(p: Sequence[Fraction]) -> bool:
    return not any(p)


def shifted(p: Poly, by: Fraction) -> Poly:
    """The coefficients of u -> p(by + u), exactly (repeated Horner)."""
    result = list(p)
    for i in range(len(p)):
        for k in range(len(p) - 2, i - 1, -1):
            result[k] += by * result[k + 1]
    return tuple(result)


def unit(p: Sequence[Fraction], width: Fraction) -> Ints:
    """Integer coefficients of a positive multiple of s -> p(width s), without trailing zeros; width > 0."""
    scaled, power = [], Fraction(1)
    for c in p:
        scaled.append(c * power)
        power *= width
    common = lcm(*(c.denominator for c in scaled))
    return _primitive([c.numerator * (common // c.denominator) for c in scaled])


def negative_point(
    p: Sequence[Fraction], width: Fraction, tick: Callable[[], None] = lambda: None
) -> Fraction | None:
    """A rational t in [0, width] with p(t) < 0; None if and only if p >= 0 on [0, width]. ``width`` > 0."""
    q = unit(p, width)
    s = _negative_on_unit(q, tick)
    return None if s is None else s * width


def bernstein(q: Sequence[int]) -> Ints:
    """The Bernstein coefficients on [0, 1] of a positive multiple of q: b_j = sum_k C(j,k)/C(n,k) q_k."""
    n = len(q) - 1
    common = lcm(*(comb(n, k) for k in range(n + 1)))
    weighted = [c * (common // comb(n, k)) for k, c in enumerate(q)]
    return [sum(comb(j, k) * weighted[k] for k in range(j + 1)) for j in range(n + 1)]


def halves(b: Sequence[int]) -> tuple[Ints, Ints]:
    """The coefficients over the two halves, each times 2^n (de Casteljau)."""
    n = len(b) - 1
    row, left, right = list(b), [b[0] << n], [b[-1] << n]
    for k in range(1, n + 1):
        row = [row[i] + row[i + 1] for i in range(n + 1 - k)]
        left.append(row[0] << (n - k))
        right.append(row[-1] << (n - k))
    return left, right[::-1]


def _negative_on_unit(q: Ints, tick: Callable[[], None]) -> Fraction | None:
    if not q:
        return None
    decided, found = _search(bernstein(q), q, _DIRECT, tick)
    if decided:
        return found
    return _search(bernstein(odd_part(q, tick)), q, None, tick)[1]


def _search(b: Ints, q: Ints, depth: int | None, tick: Callable[[], None]) -> tuple[bool, Fraction | None]:
    """(decided, a point where q < 0). ``b``: coefficients of a polynomial o with q = o h^2; to ``depth`` halvings."""
    open_ = [(b, 0, 0)]
    while open_:
        tick()
        b, k, level = open_.pop()
        if min(b) >= 0:
            continue
        for end, value in ((0, b[0]), (1, b[-1])):
            if value < 0 and _below(q, Fraction(k + end, 1 << level)):
                return True, Fraction(k + end, 1 << level)
        if depth is not None and level >= depth:
            return False, None
        left, right = halves(b)
        open_ += [(right, 2 * k + 1, level + 1), (left, 2 * k, level + 1)]
    return True, None


def _below(q: Sequence[int], s: Fraction) -> bool:
    """q(s) < 0, in integers."""
    value, power = 0, 1
    for c in reversed(q):
        value = value * s.numerator + c * power
        power *= s.denominator
    return value < 0


def odd_part(q: Sequence[int], tick: Callable[[], None] = lambda: None) -> Ints:
    """The product of q's square-free factors of odd order (Yun), with the sign of q's leading coefficient.

    q must not be zero. q = (positive constant) odd_part h^2.
    """
    f = _primitive(list(q))
    sign = 1 if f[-1] > 0 else -1
    a = _gcd(f, _derived(f), tick)
    b, c = _quotient(f, a), _quotient_or_zero(_derived(f), a)
    odd = [sign]
    order = 0
    while len(b) > 1:
        order += 1
        d = _minus(c, _derived(b))
        factor = _gcd(b, d, tick)
        if order % 2:
            odd = _times(odd, factor)
        b, c = _quotient(b, factor), _quotient_or_zero(d, factor)
    return odd


def _primitive(q: Ints) -> Ints:
    """q divided by the greatest common divisor of its coefficients, without trailing zeros."""
    while q and not q[-1]:
        q.pop()
    content = gcd(*q)
    return [c // content for c in q] if content > 1 else q


def _derived(q: Sequence[int]) -> Ints:
    return [k * c for k, c in enumerate(q)][1:]


def _times(p: Sequence[int], q: Sequence[int]) -> Ints:
    result = [0] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            result[i + j] += a * b
    return result


def _minus(p: Sequence[int], q: Sequence[int]) -> Ints:
    n = max(len(p), len(q))
    result = [(p[k] if k < len(p) else 0) - (q[k] if k < len(q) else 0) for k in range(n)]
    while result and not result[-1]:
        result.pop()
    return result


def _gcd(p: Sequence[int], q: Sequence[int], tick: Callable[[], None]) -> Ints:
    """The primitive greatest common divisor, leading coefficient positive (primitive remainder sequence)."""
    a, b = _primitive(list(p)), _primitive(list(q))
    while b:
        tick()
        a, b = b, _primitive(_pseudo_remainder(a, b))
    return a if a[-1] > 0 else [-c for c in a]


def _pseudo_remainder(p: Sequence[int], q: Sequence[int]) -> Ints:
    """The remainder of c p divided by q, for some integer c != 0."""
    rest, lead = list(p), q[-1]
    while len(rest) >= len(q):
        top, shift = rest[-1], len(rest) - len(q)
        rest = [lead * c for c in rest]
        for k, c in enumerate(q):
            rest[shift + k] -= top * c
        while rest and not rest[-1]:
            rest.pop()
    return rest


def _quotient(p: Sequence[int], q: Sequence[int]) -> Ints:
    """p / q where q, primitive, divides p: by Gauss's lemma the quotient has integer coefficients."""
    rest, result = list(p), [0] * (len(p) - len(q) + 1)
    for shift in range(len(result) - 1, -1, -1):
        top = rest[shift + len(q) - 1] // q[-1]
        result[shift] = top
        for k, c in enumerate(q):
            rest[shift + k] -= top * c
    if any(rest):
        raise ArithmeticError("not a divisor")
    return result


def _quotient_or_zero(p: Sequence[int], q: Sequence[int]) -> Ints:
    return _quotient(p, q) if p else []
