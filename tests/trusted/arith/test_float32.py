"""The constants of float32 executions, and sums and products of radii: never below the exact ones, and no more than an ulp or two above."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tlcheck.trusted.arith import float32
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import LARGEST32, TINY32, UNIT32

NUMBERS = [0.0, 5e-324, 2.0**-1022, float(TINY32), 0.1, 1 / 3, 1.0, 1 + 2.0**-52, 3.0, 1e16, 1e22]
QUOTIENTS = [Fraction(0), UNIT32, Fraction(1, 3), Fraction(1, 10**30), Fraction(10**17 + 1, 7), 1 + UNIT32]


def one(x: float) -> np.ndarray:
    return np.array([[x]])


def test_constants_are_those_of_float32() -> None:
    info = np.finfo(np.float32)
    assert float(UNIT32) == float(info.eps) / 2 and float(TINY32) == float(info.tiny)
    assert LARGEST32 == 2.0**126 < float(info.max) / 2


def test_float32_numbers() -> None:
    for x in (0.0, 1.0, -float(np.float32(0.1)), 2.0**-149, float(np.finfo(np.float32).max)):
        assert float32.are_float32(np.array([1.0, x]))
    for x in (0.1, 2.0**-150, 2.0**128, 1e300, np.inf, -np.inf, np.nan):
        assert not float32.are_float32(np.array([1.0, x]))


def test_an_operand_that_may_be_flushed_is_taken_for_zero_too() -> None:
    tiny = float(TINY32)
    below = float(np.nextafter(tiny, 0))
    ends = [
        (below, 1.0),
        (tiny, 1.0),
        (0.0, 1.0),
        (-1.0, -below),
        (-1.0, -tiny),
        (-1.0, 0.0),
        (-1.0, 1.0),
        (-0.5, 0.5),
    ]
    found = float32.flushed_operand(Box(*(np.array([side]) for side in zip(*ends, strict=True))))
    assert found.lower.tolist() == [[0.0, tiny, 0.0, -1.0, -1.0, -1.0, -1.0, -0.5]]
    assert found.upper.tolist() == [[1.0, 1.0, 1.0, 0.0, -tiny, 0.0, 1.0, 0.5]]


def test_what_may_overflow_is_refused() -> None:
    fine = Box(one(-LARGEST32), one(LARGEST32))
    float32.representable(fine, Box(one(0.0), one(1.0)))
    beyond = float(np.nextafter(LARGEST32, np.inf))
    for bad in (Box(one(0.0), one(beyond)), Box(one(-beyond), one(0.0)), Box(one(-np.inf), one(np.inf))):
        for boxes in ((bad,), (fine, bad), (bad, fine)):
            with pytest.raises(OutOfRange):
                float32.representable(*boxes)


def test_the_radius_of_what_is_only_flushed() -> None:
    assert float32.flushed(3).tolist() == [[float(TINY32)] * 3]


@pytest.mark.parametrize("q", QUOTIENTS)
def test_a_double_above(q: Fraction) -> None:
    found = float32.double_up(q)
    assert Fraction(found) >= q and (
        Fraction(found) == q or Fraction(float(np.nextafter(found, -np.inf))) < q
    )


def test_sums_and_multiples_are_rounded_up() -> None:
    for x in NUMBERS:
        for y in NUMBERS:
            exact, found = Fraction(x) + Fraction(y), Fraction(float(float32.sum_up(one(x), one(y))[0, 0]))
            assert exact <= found <= exact * (1 + Fraction(1, 1 << 51)) + Fraction(1, 1 << 1073)
        for q in QUOTIENTS:
            for extra in QUOTIENTS:
                exact = q * Fraction(x) + extra
                found = Fraction(float(float32.scaled_up(q, one(x), extra)[0, 0]))
                assert exact <= found <= exact * (1 + Fraction(1, 1 << 49)) + Fraction(1, 1 << 1071)


def test_an_addend_for_each_domain() -> None:
    found = float32.scaled_up(Fraction(2), np.array([[1.0, 3.0]]), Fraction(1), Fraction(100))
    assert np.allclose(found, [[3, 7], [102, 106]], rtol=1e-12)
