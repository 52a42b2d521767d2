"""Taylor coefficients and their bounds, against FLINT's power series at 300 bits."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import arb, arb_series, ctx

from tests.trusted.taylor.oracle import sigmoid, tanh
from tlcheck.trusted.arith.arb import ball, working_precision
from tlcheck.trusted.arith.balls64 import Balls64
from tlcheck.trusted.taylor.functions import Erf, Exp, Log, Root, Sin, Softplus
from tlcheck.trusted.taylor.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.taylor.space import Space
from tlcheck.trusted.taylor.univariate import Univariate

ORDER = 14
CASES: list[tuple[Univariate, Any]] = [
    (Tanh(), tanh),
    (Sigmoid(), sigmoid),
    (Softplus(), lambda x: (x.exp() + 1).log()),
    (Sin(), lambda x: x.sin()),
    (Sin(1), lambda x: x.cos()),
    (Exp(), lambda x: x.exp()),
    (Log(), lambda x: x.log()),
    (Root(Fraction(1, 2)), lambda x: x.sqrt()),
    (Root(Fraction(-1)), lambda x: 1 / x),
    (Root(Fraction(5, 3)), lambda x: (x.log() * 5 / 3).exp()),
    (Root(Fraction(-7, 4)), lambda x: (x.log() * -7 / 4).exp()),
    (Erf(), lambda x: x.erf()),
]
IDS = [type(f).__name__ + str(getattr(f, "exponent", getattr(f, "quarter", ""))) for f, _ in CASES]


@pytest.fixture(autouse=True)
def precision() -> Iterator[None]:
    cap = ctx.cap
    ctx.cap = ORDER + 1
    with working_precision(300):
        yield
    ctx.cap = cap


def truth(function: Any, x: Fraction) -> list[arb]:
    found = function(arb_series([ball(x), 1], prec=ORDER + 1)).coeffs()
    return [*found, *[arb(0)] * (ORDER + 1 - len(found))]


def points(f: Univariate) -> list[Fraction]:
    rng = np.random.default_rng(1)
    values = [Fraction(int(v), 1000) for v in rng.integers(-9000, 9001, 40)] + [
        Fraction(0),
        Fraction(1, 10**9),
        Fraction(30),
    ]
    return [v for v in values if v > 0] if f.domain > 0 else [v for v in values if v] if f.domain else values


@pytest.mark.parametrize(("f", "function"), CASES, ids=IDS)
def test_coefficients(f: Univariate, function: Any) -> None:
    for x in points(f):
        expected = truth(function, x)
        found = f.coefficients(ball(x), f.base(ball(x)), ORDER)
        assert len(found) == ORDER + 1
        assert all(
            a.overlaps(b) and (a - b).abs_upper() < 1e-40 * (1 + abs(b))
            for a, b in zip(found, expected, strict=True)
        )
        for n in (0, 1):
            assert len(f.coefficients(ball(x), f.base(ball(x)), n)) == n + 1


@pytest.mark.parametrize(("f", "function"), CASES, ids=IDS)
def test_coefficients_in_float64_balls(f: Univariate, function: Any) -> None:
    values = np.array([float(x) for x in points(f) if abs(x) < 12])
    bases = list(zip(*(f.base(arb(v)) for v in values.tolist()), strict=True))
    arrays = [
        Balls64(
            np.array([float(b) for b in column]), np.array([abs(float(b)) * 1e-15 + 1e-300 for b in column])
        )
        for column in bases
    ]
    with np.errstate(all="ignore"):
        found = f.coefficients(Balls64.exact(values), tuple(arrays), ORDER)
    assert np.mean([np.isfinite(c.rad) for c in found]) > 0.9
    for k, v in enumerate(values.tolist()):
        expected = truth(function, Fraction(v))
        for c, e in zip(found, expected, strict=True):
            if np.isfinite(c.rad[k]):
                assert e.rad() < 1e-60 * (1 + abs(e)) and arb(float(c.mid[k]), float(c.rad[k])).overlaps(e)


@pytest.mark.parametrize(("f", "function"), CASES, ids=IDS)
def test_bounds_of_coefficients(f: Univariate, function: Any) -> None:
    """Over the line, or at the end that is said to be the extreme of [a, b]."""
    xs = sorted(points(f))
    for x in xs:
        expected = truth(function, x)
        for k in range(1, ORDER + 1):
            bound = f.uniform(k)
            if bound is not None:
                assert abs(expected[k]) <= bound * (1 + arb(1e-60))
                continue
            for other in xs:
                if (other > 0) != (x > 0) and f.domain:
                    continue
                low, high = min(x, other), max(x, other)
                end = {"low": low, "high": high, "near zero": min(low, high, key=abs)}[f.extreme(k)]
                if not end:
                    continue
                top = abs(f.coefficients(ball(end), f.base(ball(end)), k)[k])
                assert abs(expected[k]) <= top.upper() + arb(1e-60) * top.upper()


def test_the_uniform_bounds_are_sharp_where_they_can_be() -> None:
    assert abs(Tanh().uniform(1) - 1) < 1e-50 and abs(Sigmoid().uniform(1) - arb(1) / 4) < 1e-50
    assert Sin().uniform(4).overlaps(arb(1) / 24)


def test_balls64_against_exact_arithmetic() -> None:
    rng = np.random.default_rng(2)
    for _ in range(300):
        exponents = rng.integers(-300, 300, 2)
        (a, b), (da, db) = rng.normal(size=2) * 2.0**exponents, rng.random(2) * 2.0 ** (exponents - 20)
        x, y = Balls64(np.array([a]), np.array([da])), Balls64(np.array([b]), np.array([db]))
        inside = (Fraction(a) + Fraction(da), Fraction(b) - Fraction(db))
        cases = [
            (x + y, inside[0] + inside[1]),
            (x - y, inside[0] - inside[1]),
            (x * y, inside[0] * inside[1]),
            (x * 3 + 1, inside[0] * 3 + 1),
            (1 - x / 7, 1 - inside[0] / 7),
            (x / Balls64.exact(np.array([b])), inside[0] / Fraction(b)),
            (x * (2**60 + 1), inside[0] * (2**60 + 1)),
        ]
        for ball64, exact in cases:
            if np.isfinite(ball64.rad[0]):
                assert abs(Fraction(float(ball64.mid[0])) - exact) <= Fraction(float(ball64.rad[0]))
            assert (
                Fraction(float(ball64.above()[0])) >= abs(exact) if np.isfinite(ball64.above()[0]) else True
            )


def test_space() -> None:
    space = Space(3, 4)
    assert (
        space.size == 35
        and space.degrees == tuple(sorted(space.degrees))
        and space.starts == (0, 1, 4, 10, 20, 35)
    )
    for a, targets in zip(space.monomials, space.targets, strict=True):
        for b, t in zip(space.monomials, targets.tolist(), strict=False):
            assert space.monomials[t] == tuple(i + j for i, j in zip(a, b, strict=True))
        assert len(targets) == sum(d <= 4 - sum(a) for d in space.degrees)
    assert [m for m, e in zip(space.monomials, space.even, strict=True) if e and sum(m) == 2] == [
        (0, 0, 2),
        (0, 2, 0),
        (2, 0, 0),
    ]
    assert Space(0, 0).size == 1 and not Space(0, 0).even[0]
    with pytest.raises(ValueError, match="at most"):
        Space(5, 2)
