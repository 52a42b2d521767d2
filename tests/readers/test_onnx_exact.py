"""exact.py: every enclosure contains the exact rational, and is exact whenever float64 can hold the result."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from tlcheck.readers.onnx import exact
from tlcheck.trusted.arith.constant import Constant

NASTY = [
    0.0,
    -0.0,
    1.0,
    3.0,
    0.1,
    -1 / 3,
    5e-324,
    2.0**-1022,
    1e-300,
    1e300,
    1.7e308,
    float(np.float32(0.1)),
    2.0**53 + 2,
]
RULES: dict[
    str, tuple[Callable[[Constant, Constant], Constant], Callable[[Fraction, Fraction], Fraction]]
] = {
    "add": (exact.add, lambda p, q: p + q),
    "subtract": (exact.subtract, lambda p, q: p - q),
    "multiply": (exact.multiply, lambda p, q: p * q),
    "divide": (exact.divide, lambda p, q: p / q),
}


def pairs() -> list[tuple[float, float]]:
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((300, 2)) * 2.0 ** rng.integers(-500, 500, (300, 2))
    single = rng.standard_normal((100, 2)).astype(np.float32).astype(np.float64)
    return [(a, b) for a in NASTY for b in NASTY] + [(float(a), float(b)) for a, b in [*wide, *single]]


@pytest.mark.parametrize("name", RULES)
def test_enclosure_contains_the_exact_value(name: str) -> None:
    rule, meaning = RULES[name]
    for a, b in pairs():
        if name == "divide" and b == 0:
            continue
        value = meaning(Fraction(a), Fraction(b))
        try:
            found = rule(Constant(np.array(a)), Constant(np.array(b)))
        except ValueError:
            assert abs(value) > Fraction(np.finfo(np.float64).max)
            continue
        mid, rad = found.mid, found.rad
        radius = Fraction(0) if rad is None else Fraction(float(rad))
        assert abs(Fraction(float(mid)) - value) <= radius
        assert radius <= abs(value) / 2**52 + Fraction(5e-324)
        if abs(value) <= Fraction(np.finfo(np.float64).max) and Fraction(float(value)) == value:
            assert rad is None


@pytest.mark.parametrize("name", RULES)
def test_enclosures_of_enclosures(name: str) -> None:
    """Corners of the operands' balls lie in the result."""
    rule, meaning = RULES[name]
    for a, b in [(1.0, 3.0), (-0.1, 7.0), (1e-300, 1e300)]:
        ra, rb = abs(a) / 64, abs(b) / 1024
        found = rule(Constant(np.array(a), np.array(ra)), Constant(np.array(b), np.array(rb)))
        mid, rad = found.mid, found.rad
        assert rad is not None
        for p in (Fraction(a) - Fraction(ra), Fraction(a) + Fraction(ra)):
            for q in (Fraction(b) - Fraction(rb), Fraction(b) + Fraction(rb)):
                assert abs(Fraction(float(mid)) - meaning(p, q)) <= Fraction(float(rad))


def test_square_root() -> None:
    for a in (0.0, 2.0, 4.0, 0.1, 5e-324, 1.7e308):
        found = exact.sqrt(Constant(np.array(a)))
        mid, rad = found.mid, found.rad
        low = Fraction(float(mid)) - Fraction(float(rad) if rad is not None else 0)
        high = 2 * Fraction(float(mid)) - low
        assert max(low, Fraction(0)) ** 2 <= Fraction(a) <= high**2
        assert rad is not None or Fraction(float(mid)) ** 2 == Fraction(a)


@pytest.mark.parametrize("call", [
    lambda: exact.divide(Constant(np.array(1.0)), Constant(np.array(0.0))),
    lambda: exact.divide(Constant(np.array(1.0)), Constant(np.array(1.0), np.array(2.0))),
    lambda: exact.sqrt(Constant(np.array(-1.0))),
    lambda: exact.multiply(Constant(np.array(1e300)), Constant(np.array(1e300))),
])  # fmt: skip
def test_no_finite_result_is_refused(call: Callable[[], Constant]) -> None:
    with pytest.raises(ValueError):
        call()


def test_widen_covers_relative_and_absolute() -> None:
    values = np.array([0.0, 0.1, -3.7e5, 1e-300])
    widened = exact.widen(Constant(values, np.full(4, 1e-9)), 2.0**-20, 2.0**-126)
    mid, rad = widened.mid, widened.rad
    assert rad is not None
    for m, r in zip(mid.tolist(), rad.tolist(), strict=True):
        least = (abs(Fraction(m)) + Fraction(1e-9)) / 2**20 + Fraction(2) ** -126 + Fraction(1e-9)
        assert least <= Fraction(r) <= least * Fraction(1 + 1e-9)
