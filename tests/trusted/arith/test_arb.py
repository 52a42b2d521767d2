"""Conversions between balls, doubles and decimals: directions and exactness."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from flint import ctx, fmpq

from tests.trusted.oracle import REPEATS
from tlcheck.trusted.arith import arb as lib
from tlcheck.trusted.arith.arb import arb
from tlcheck.trusted.arith.decimals import decimal_outward

EDGES = [0.0, 5e-324, 1e-320, 2.0**-1022, 2.0**-1021, 1e-5, 0.1, 1 / 3, 1.0, 10.0, 9.999999999999998, 1e15, 1e16,
         1e17, 123456789.0, 1e22, 1e23, 1.7976931348623157e308]  # fmt: skip


def signed(values: list[float]) -> list[float]:
    return [s * v for v in values for s in (1.0, -1.0)]


def random_doubles(rng: np.random.Generator, n: int) -> list[float]:
    return (rng.standard_normal(n) * 2.0 ** rng.uniform(-1074, 1020, n)).tolist()


def exact_arf(x: arb) -> Fraction:
    mantissa, exponent = x.man_exp()
    return int(mantissa) * Fraction(2) ** int(exponent)


def rationals(rng: np.random.Generator) -> list[Fraction]:
    result = [
        Fraction(v) + d for v in signed(EDGES) for d in (0, Fraction(1, 3 << 1080), -Fraction(1, 3 << 1080))
    ]
    for v in random_doubles(rng, 60):
        result.append(
            Fraction(v) * (1 + Fraction(int(rng.integers(-9, 10)), 3 << int(rng.integers(50, 150))))
        )
    return [
        *result,
        Fraction(1 << 1100),
        -Fraction(1 << 1100),
        Fraction(1, 1 << 5000),
        -Fraction(1, 1 << 5000),
    ]


@pytest.mark.parametrize("bits", [20, 53, 128, 200])
def test_float_ends_never_cross(bits: int) -> None:
    rng = np.random.default_rng(bits)
    for _ in range(REPEATS):
        for q in rationals(rng):
            with lib.working_precision(bits):
                x = lib.ball(q)
                low, high = lib.lower_float(x), lib.upper_float(x)
            mid, rad = exact_arf(x.mid()), exact_arf(x.rad())
            assert mid - rad <= q <= mid + rad
            assert low == -math.inf or Fraction(low) <= mid - rad
            assert high == math.inf or Fraction(high) >= mid + rad
            if bits >= 128 and abs(q) < 1 << 1000:
                assert high <= math.nextafter(math.nextafter(low, math.inf), math.inf)


def test_float_ends_of_what_is_not_finite() -> None:
    for x in (arb("nan"), arb("inf"), arb("-inf"), arb(0, math.inf)):
        assert lib.lower_float(x) == -math.inf
        assert lib.upper_float(x) == math.inf
        assert not lib.compare_positive(x)
    assert lib.compare_positive(arb(5e-324))
    assert not lib.compare_positive(arb(0))
    assert not lib.compare_positive(arb(1, 1))


def test_doubles_are_their_own_ends() -> None:
    for f in signed(EDGES):
        assert lib.lower_float(arb(f)) == lib.upper_float(arb(f)) == f == lib.floor_float(Fraction(f))


def test_rationals_beyond_doubles() -> None:
    huge = arb(2) ** 1100
    largest = math.nextafter(math.inf, 0)
    assert (lib.lower_float(huge), lib.upper_float(huge)) == (largest, math.inf)
    assert (lib.lower_float(-huge), lib.upper_float(-huge)) == (-math.inf, -largest)
    assert (
        lib.floor_float(Fraction(1 << 1100)) == largest and lib.floor_float(-Fraction(1 << 1100)) == -math.inf
    )
    assert (
        lib.floor_float(Fraction(1, 1 << 1100)) == 0.0 and lib.floor_float(-Fraction(1, 1 << 1100)) == -5e-324
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_largest_double_below_a_rational(seed: int) -> None:
    for q in rationals(np.random.default_rng(seed)):
        f = lib.floor_float(q)
        if math.isfinite(f):
            above = math.nextafter(f, math.inf)
            assert Fraction(f) <= q and (math.isinf(above) or q < Fraction(above))


def test_signs_are_affirmed_only_of_every_number_of_a_finite_ball() -> None:
    with lib.working_precision(30):
        third = lib.ball(Fraction(1, 3))
    for x, positive, nonnegative in (
        (arb(0), False, True), (arb(1), True, True), (third, True, True), (arb(0.5), True, True), (-third, False, False),
        (third - third, False, False), (arb("nan"), False, False), (arb("inf"), False, False), (arb(5e-324), True, True),
    ):  # fmt: skip
        assert (lib.compare_positive(x), lib.compare_nonnegative(x)) == (positive, nonnegative)


@pytest.mark.parametrize("digits", [2, 5, 17])
def test_decimal_outward_is_on_its_side_and_near(digits: int) -> None:
    rng = np.random.default_rng(digits)
    tens = [10.0**k for k in range(-320, 309, 7)]
    powers = [*tens, *(math.nextafter(t, 0) for t in tens), *(math.nextafter(t, math.inf) for t in tens)]
    for f in signed(EDGES + powers) + random_doubles(rng, 200 * REPEATS):
        down, up = (Fraction(decimal_outward(f, side, digits)) for side in ("down", "up"))
        assert down <= Fraction(f) <= up
        assert up - down <= abs(Fraction(f)) * Fraction(10) ** (2 - digits)


@pytest.mark.parametrize("exponent", [-5000, -1074, -3, 0, 3, 1100])
def test_exact_ball(exponent: int) -> None:
    for mantissa in (0, 1, -1, 3, -(3**200), 3**500):
        for bits in (10, 128):
            with lib.working_precision(bits):
                x = lib.exact_ball(mantissa, exponent)
            assert x.is_exact()
            assert exact_arf(x) == mantissa * Fraction(2) ** exponent


def test_working_precision_is_restored() -> None:
    before = ctx.prec
    with lib.working_precision(77):
        assert ctx.prec == 77
        with pytest.raises(KeyError), lib.working_precision(99):
            raise KeyError
        assert ctx.prec == 77
    assert ctx.prec == before
    assert arb(fmpq(1, 3)).rel_accuracy_bits() <= before
