"""Conversions between balls, doubles, decimals and packed integers: directions and exactness."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from flint import ctx, fmpq

from tests.trusted.oracle import REPEATS
from tlcheck.trusted.arith import arb as lib
from tlcheck.trusted.arith.arb import arb

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


@pytest.mark.parametrize("digits", [2, 5, 17])
def test_decimal_outward_is_on_its_side_and_near(digits: int) -> None:
    rng = np.random.default_rng(digits)
    tens = [10.0**k for k in range(-320, 309, 7)]
    powers = [*tens, *(math.nextafter(t, 0) for t in tens), *(math.nextafter(t, math.inf) for t in tens)]
    for f in signed(EDGES + powers) + random_doubles(rng, 200 * REPEATS):
        down, up = (Fraction(lib.decimal_outward(f, side, digits)) for side in ("down", "up"))
        assert down <= Fraction(f) <= up
        assert up - down <= abs(Fraction(f)) * Fraction(10) ** (2 - digits)


def test_number_text_bounds_the_ball() -> None:
    for q in rationals(np.random.default_rng(7)):
        if abs(q) >= 1 << 1000:
            continue
        x = lib.ball(q)
        for side, sign in (("down", 1), ("up", -1)):
            text, hexadecimal = lib.number_text(x, side)
            assert sign * Fraction(text) <= sign * Fraction(float.fromhex(hexadecimal)) <= sign * q


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


@pytest.mark.parametrize("n", [1, 2, 5, 2047, 2048, 2049, 4100])
def test_packed_product_is_exact(n: int) -> None:
    rng = np.random.default_rng(n)
    w = rng.integers(-(1 << 52), (1 << 52) + 1, (3, n))
    w[:, rng.random(n) < 0.3] = 0
    w[0, 0], w[1, n - 1] = -(1 << 61), (1 << 62) - 1
    a = rng.integers(-(1 << 59), 1 << 59, (4, 3))
    a[0], a[1, 0] = (1 << 59) - 1, -(1 << 62)
    idle, one = a.copy(), np.zeros_like(a)
    idle[:, 1] = 0
    one[2, 2] = -1
    for left in (a, idle, one, np.zeros_like(a), np.zeros((0, 3), np.int64)):
        hi, lo = lib.packed_product(left, lib.Packed(w))
        assert (
            hi.astype(object) * (1 << 64) + lo.astype(object) == left.astype(object) @ w.astype(object)
        ).all()


def test_pack_and_unpack_are_inverse_at_the_ends() -> None:
    top = (1 << 62) - 1
    digits = np.array([0, top, -top, -1, 1, -top, top, 0], np.int64)
    hi, lo = lib.unpack(lib.pack(digits), digits.size)
    assert (hi.astype(object) * (1 << 64) + lo.astype(object) == digits.astype(object)).all()
    limit = (1 << 127) - 1
    values = [limit, -limit, 0, -1, limit, -limit]
    total = sum(v << (128 * i) for i, v in enumerate(values))
    hi, lo = lib.unpack(lib.fmpz_mat(1, 1, [total])[0, 0], len(values))
    assert (hi.astype(object) * (1 << 64) + lo.astype(object)).tolist() == values
    with pytest.raises(OverflowError):
        lib.unpack(lib.fmpz_mat(1, 1, [1 << (128 * 6)])[0, 0], 6)


def test_floats_to_balls_are_exact() -> None:
    values = np.array(signed(EDGES))
    assert [exact_arf(b) for b in lib.floats_to_balls(values)] == [Fraction(v) for v in values.tolist()]
    assert exact_arf(lib.floats_to_balls(np.array([0.1], np.float32))[0]) == Fraction(float(np.float32(0.1)))
