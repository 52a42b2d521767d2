"""The integer engine: exact products, sound and sharp bounds; refuses what it cannot carry."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.trusted.engine_checks import (
    check_adjoint,
    check_chain,
    check_image,
    check_residual,
    columns,
    refusal_allowed,
)
from tests.trusted.oracle import KINDS, MAPS, REPEATS, dense
from tlcheck.trusted.arith import int128
from tlcheck.trusted.arith.ball64 import Ball64, Ball64Form
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.integer import (
    GRID,
    ROW_BITS,
    IntegerEngine,
    IntegerForm,
    dot_exact,
    float_outward,
    integer_constant,
    normalise,
    to_grid,
)
from tlcheck.trusted.arith.integer_convolution import convolve
from tlcheck.trusted.arith.maps import ConvMap, IndexMap, MatMap, SignMap


def seeds(name: str, salt: int) -> list[np.random.Generator]:
    return [np.random.default_rng([salt, r, *name.encode()]) for r in range(REPEATS)]


@pytest.mark.parametrize("name", MAPS)
def test_image(name: str) -> None:
    for rng in seeds(name, 1):
        for kind in KINDS:
            with refusal_allowed(kind):
                check_image(IntegerEngine(), MAPS[name], kind, rng)


@pytest.mark.parametrize("name", MAPS)
def test_adjoint(name: str) -> None:
    for rng in seeds(name, 2):
        for kind in KINDS:
            with refusal_allowed(kind):
                check_adjoint(IntegerEngine(), MAPS[name], kind, rng)


@pytest.mark.parametrize("name", MAPS)
def test_residual(name: str) -> None:
    for rng in seeds(name, 5):
        for kind in KINDS:
            with refusal_allowed(kind):
                check_residual(IntegerEngine(), MAPS[name], kind, rng)


@pytest.mark.parametrize("name", MAPS)
def test_chain(name: str) -> None:
    for rng in seeds(name, 3):
        for kind in KINDS:
            with refusal_allowed(kind):
                check_chain(IntegerEngine(), MAPS[name], kind, rng, linear=bool(rng.integers(0, 2)))


# The pieces, against Python's integers.


def objects(a: int128.Wide) -> np.ndarray:
    return a[0].astype(object) * (1 << 64) + a[1].astype(object)


def random_ints(rng: np.random.Generator, bits: int, shape: tuple[int, ...]) -> np.ndarray:
    """|values| <= 2^bits, the ends included."""
    values = rng.integers(-(1 << bits), (1 << bits) + 1, shape) >> rng.integers(0, bits, shape)
    return np.where(rng.random(shape) < 0.2, rng.choice([-1, 0, 1], shape) * (1 << bits), values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("up", [False, True])
def test_to_grid_errs_on_its_side_by_less_than_a_unit(kind: str, up: bool) -> None:
    for rng in seeds(kind, 11):
        for bits in (24, 52, 56, 58, 60):
            x = KINDS[kind](rng, (40,)).astype(np.float64)
            x[:4] = 0.0, 5e-324, -5e-324, x[4]
            v, g = to_grid(x, bits, up)
            unit = Fraction(2) ** -g
            for a, q in zip(x.tolist(), v.tolist(), strict=True):
                assert abs(q) <= 1 << bits
                gap = (q * unit - Fraction(a)) * (1 if up else -1)
                assert 0 <= gap < unit


def test_to_grid_of_zeros_and_of_the_largest_and_smallest() -> None:
    assert to_grid(np.zeros(3), 58, False)[0].tolist() == [0, 0, 0]
    assert to_grid(np.zeros((0,)), 58, False)[0].size == 0
    for x in (1.7976931348623157e308, 5e-324, 2.0**-1022):
        v, g = to_grid(np.array([x, -x, 5e-324]), 60, False)
        assert int(v[0]) * Fraction(2) ** -g == Fraction(x)
        assert int(v[2]) * Fraction(2) ** -g <= Fraction(5e-324)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_to_grid_refuses(bad: float) -> None:
    with pytest.raises(OutOfRange):
        to_grid(np.array([1.0, bad]), 58, False)


@pytest.mark.parametrize("kind", KINDS)
def test_integer_constants_are_within_their_residual(kind: str) -> None:
    for rng in seeds(kind, 12):
        w = KINDS[kind](rng, (30,)).astype(np.float64)
        for bits in (24, 40, 52, 60):
            v, g, residual = integer_constant(Constant(w), bits)
            for a, q in zip(w.tolist(), v.tolist(), strict=True):
                assert abs(Fraction(a) - q * Fraction(2) ** -g) <= residual
                assert abs(q) <= 1 << bits


def test_dot_exact() -> None:
    for rng in seeds("dot", 13):
        for n in (1, 7, 300):
            q = random_ints(rng, 61, (3, n))
            for v in (random_ints(rng, 61, (3, n)), random_ints(rng, 61, (1, n))):
                want = (q.astype(object) * v.astype(object)).sum(axis=1).tolist()
                assert dot_exact(q, v) == want


def test_dot_exact_at_its_limit() -> None:
    n = 1 << 19
    top = (1 << 62) - 1
    for a, b in ((top, top), (-top, top), (-top, -top), (-1, -1)):
        assert dot_exact(np.full((1, n), a), np.full((1, n), b)) == [n * a * b]
        assert dot_exact(np.full((1, n + 1), a), np.full((1, n + 1), b)) == [(n + 1) * a * b]


def test_normalise_loses_less_than_a_unit_downwards() -> None:
    for rng in seeds("normalise", 14):
        a = int128.multiply(random_ints(rng, 62, (40, 6)), random_ints(rng, 62, (40, 6)))
        a[0][5], a[1][5] = 0, 0
        e = rng.integers(-2000, 2000, 40)
        (q, exponent), lossy = normalise(a, e)
        assert int(np.abs(q).max()) <= 1 << ROW_BITS
        shift = exponent - e
        for row, wide in enumerate(objects(a)):
            for got, exact in zip(q[row].tolist(), wide, strict=True):
                loss = int(exact) - (got << int(shift[row]))
                assert 0 <= loss < 1 << int(shift[row])
                assert lossy[row] or loss == 0


@pytest.mark.parametrize("up", [False, True])
def test_float_outward(up: bool) -> None:
    values = [s * ((1 << k) + d) for k in range(1, 1500, 13) for d in (-1, 0, 1) for s in (1, -1)] + [0]
    for v in values:
        f = float_outward(v, up)
        exact = Fraction(v, 1 << GRID)
        if np.isinf(f):
            assert (f > 0) == up
            assert abs(exact) > 1 << 900
        else:
            assert Fraction(f) >= exact if up else Fraction(f) <= exact
            if abs(exact) < 1 << 900:
                assert abs(Fraction(f) - exact) <= abs(exact) / (1 << 51)


@pytest.mark.parametrize("name", [n for n in MAPS if "conv" in n or "transposed" in n])
@pytest.mark.parametrize("to_wide", [False, True])
def test_convolve_is_the_exact_integer_convolution(name: str, to_wide: bool) -> None:
    for rng in seeds(name, 15):
        m = MAPS[name](rng, lambda r, shape: random_ints(r, 50, shape).astype(np.float64))
        assert isinstance(m, ConvMap)
        matrix = dense(m)
        correlation = matrix.transposed if m.transposed else matrix
        applied = correlation.transposed if to_wide else correlation
        weights = m.weight.mid.astype(np.int64)
        for rows in (1, 5, 200):
            x = random_ints(rng, 58, (rows, applied.shape[1]))
            got = objects(convolve(m, weights, x, to_wide))
            want = np.dot(x.astype(object), applied.ints.T) * (1 << applied.exponent)
            assert (got == want).all()


@pytest.mark.parametrize("name", [n for n in MAPS if "mat" in n or "conv" in n or "transposed" in n])
def test_integer_maps_apply_exactly_at_full_size(name: str) -> None:
    """All weights and coefficients at their largest: no digit overflows."""
    for sign in (1, -1):
        m = MAPS[name](np.random.default_rng(0), lambda r, shape: np.ones(shape))
        w = IntegerEngine().integer_map(m)
        for towards_input in (False, True):
            n = m.n_out if towards_input else m.n_in
            x = np.full((2, n), sign * ((1 << 59) - 1), np.int64)
            x[1, ::2] *= -1
            matrix = dense(m)
            matrix = matrix.transposed if towards_input else matrix
            scale = int(w.ints.reshape(-1)[0])
            want = np.dot(x.astype(object), matrix.ints.T) * scale
            assert (objects(w.apply(m, x, towards_input)) == want).all()


# Attacks on the form.

UNIT = Box(np.full((1, 2), -1.0), np.ones((1, 2)))


def test_many_large_multipliers_on_one_neuron_do_not_overflow() -> None:
    """Once q grew by 2^60 with each of them, and wrapped around at the ninth."""
    form = IntegerForm(IntegerEngine(), 1, 1)
    form.seed_units(0, 2, np.array([0]), np.array([1]))
    block = form.blocks.pop(0)
    total = Fraction(0)
    for i in range(40):
        signed = float(2**60 - 1024) * 2.0 ** (i % 7)
        block = form.multipliers(block, columns((0, 0, signed, -1.0)), UNIT)
        total += Fraction(signed)
    form.put(0, block, UNIT)
    exact = -abs(1 - total) - total
    (got,) = form.lower({0: UNIT}).reshape(-1).tolist()
    assert Fraction(got) <= exact
    assert exact - Fraction(got) <= abs(exact) / 10**9


def test_unit_seeds_keep_their_bits() -> None:
    """Once a unit seed was the integer 1, and every relaxation or addition right after it rounded to integers."""
    half = np.full((1, 2), 0.375), np.zeros((1, 2))
    boxes = {1: UNIT}
    for step, exact in (
        (lambda f, b: f.put(1, f.through_lines(b, half, half, UNIT), UNIT), -0.375),
        (lambda f, b: f.put(1, f.through_map(IndexMap(np.array([0, 0]), 2), b, UNIT), UNIT), -1.0),
    ):
        form = IntegerForm(IntegerEngine(), 1, 1)
        form.seed_units(0, 2, np.array([0]), np.array([1]))
        step(form, form.blocks.pop(0))
        assert exact - 1e-15 <= float(form.lower(boxes)[0, 0]) <= exact


def test_consumers_of_very_different_size() -> None:
    """One consumer's coefficients are far below the other's last bit, on either side."""
    for large, small in ((2.0**150, 2.0**-150), (2.0**-150, 2.0**150), (1.0, 0.0), (0.0, 1.0)):
        form = IntegerForm(IntegerEngine(), 1, 1)
        for value in (large, small):
            form.seed_rows(0, np.array([[[value, -value / 3]]]), None, UNIT)
        exact = -sum(Fraction(v) + abs(Fraction(v / 3)) for v in (large, small))
        (got,) = form.lower({0: UNIT}).reshape(-1).tolist()
        assert Fraction(got) <= exact
        assert exact - Fraction(got) <= abs(exact) / 10**12


def test_lower_over_ends_of_very_different_size() -> None:
    form = IntegerForm(IntegerEngine(), 1, 2)
    form.seed_units(0, 2, np.array([0, 0]), np.array([1, -1]))
    for low, high in (
        (-1e-300, 1e300),
        (-1e300, 1e-300),
        (1e-300, 1e-300),
        (-5e-324, 5e-324),
        (5e-324, 1e308),
    ):
        box = Box(np.array([[low, 0.0]]), np.array([[high, 0.0]]))
        got = form.lower({0: box}).reshape(-1).tolist()
        assert got[0] <= low
        assert got[1] <= -high


def test_slopes_off_the_grid_are_refused() -> None:
    """Among them one that underflows when scaled by a much larger one."""
    zeros = np.zeros((1, 2))
    for slopes in ([1 / 3, 0.0], [5e-324, 2.0**1000], [2.0**-41, 0.5], [np.nan, 0.0], [np.inf, 0.0]):
        form = IntegerForm(IntegerEngine(), 1, 1)
        form.seed_units(0, 2, np.array([0]), np.array([1]))
        line = np.array([slopes]), zeros
        with pytest.raises((ValueError, OutOfRange)):
            form.through_lines(form.blocks.pop(0), line, line, UNIT)


def test_a_copied_block_leaves_the_other_consumer_alone() -> None:
    """x1 + x2 sends the same array to both; a multiplier on x1 must not reach x2."""
    for form in (IntegerForm(IntegerEngine(), 1, 1), Ball64Form(Ball64(), 1, 1)):
        form.seed_units(9, 2, np.array([0]), np.array([1]))
        block = form.blocks.pop(9)
        for node in (1, 2):
            form.put(node, form.through_map(SignMap(1, 2), block, UNIT), UNIT)
        copy = form.copy_block(form.blocks.pop(1))
        form.put(1, form.multipliers(copy, columns((0, 0, 1.0, 0.0)), UNIT), UNIT)
        wide = Box(np.full((1, 2), -3.0), np.ones((1, 2)))
        got = float(form.lower({1: UNIT, 2: wide})[0, 0])
        assert -3 - 1e-9 <= got <= -3


# Refusals: never a finite wrong bound.


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refuses_what_is_not_finite(bad: float) -> None:
    spoiled = np.array([[1.0, bad]])
    infinite = Box(np.array([[-1.0, -np.inf]]), np.array([[1.0, np.inf]]))
    ones, zeros = np.ones((1, 2)), np.zeros((1, 2))
    square = MatMap(Constant(np.array([[1.0, 1 / 3], [1e-9, 2.0]])), 1)
    for call in (
        lambda f: f.seed_rows(2, spoiled[None], None, UNIT),
        lambda f: f.seed_rows(2, np.array([[[1e-30, 1.0]]]), np.ones((1, 1, 2)), infinite),
        lambda f: f.charge(f.blocks[1], np.abs(spoiled)),
        lambda f: f.through_lines(f.blocks[1], (ones, spoiled), (ones, zeros), UNIT),
        lambda f: f.through_lines(f.blocks[1], (ones, zeros), (ones, spoiled), UNIT),
        lambda f: f.through_lines(f.blocks[1], (ones / 2, zeros), (ones / 2, zeros), infinite),
        lambda f: f.through_map(square, f.blocks[1], infinite),
        lambda f: f.through_map(IndexMap(np.array([0, 0]), 2), f.blocks[1], infinite),
        lambda f: f.multipliers(f.blocks[1], columns((0, 0, bad, 0.0)), UNIT),
        lambda f: f.multipliers(f.blocks[1], columns((0, 0, 1.0, bad)), UNIT),
        lambda f: f.lower({1: infinite}),
        lambda f: IntegerEngine().image((square,), (infinite,), None),
        lambda f: IntegerEngine().image((SignMap(1, 2),), (infinite,), None),
    ):
        form = IntegerForm(IntegerEngine(), 1, 1)
        form.seed_rows(1, np.array([[[1.0, 1 / 3]]]), None, UNIT)
        with pytest.raises((OutOfRange, ValueError, OverflowError)):
            call(form)


def test_multiplier_needs_one_row_a_domain() -> None:
    form = IntegerForm(IntegerEngine(), 2, 2)
    form.seed_units(0, 2, np.array([0, 1]), np.array([1, 1]))
    with pytest.raises(ValueError, match="one row"):
        form.multipliers(form.blocks[0], columns((1, 0, 1.0, 0.0)), UNIT)


def test_small_heights_and_radii_beside_large_ones_are_rounded_outward() -> None:
    """Below the last bit of their neighbour: the grid's rounding must be to the safe side, for lines and for radii."""
    zeros, wide = np.zeros((1, 2)), np.array([[1e30, 1e-30]])
    origin = Box(zeros, zeros)
    for sign, lower, upper in ((-1, zeros, wide), (1, -wide, zeros)):
        form = IntegerForm(IntegerEngine(), 1, 1)
        form.seed_units(0, 2, np.array([1]), np.array([sign]))
        form.put(1, form.through_lines(form.blocks.pop(0), (zeros, lower), (zeros, upper), origin), origin)
        assert float(form.lower({1: origin})[0, 0]) <= -1e-30
    form = IntegerForm(IntegerEngine(), 1, 1)
    form.seed_units(0, 2, np.array([1]), np.array([1]))
    form.charge(form.blocks[0], wide)
    assert float(form.lower({0: origin})[0, 0]) <= -1e-30
    form = IntegerForm(IntegerEngine(), 1, 2)
    form.seed_units(0, 2, np.array([1, 1]), np.array([1, -1]))
    form.offset(form.blocks[0], Constant(wide[0]))
    below, above = form.lower({0: origin}).reshape(-1).tolist()
    assert below <= 1e-30
    assert above <= -1e-30


def test_a_large_multiplier_charges_what_it_cuts_from_the_other_coefficients() -> None:
    small = 2.0**-30 * 1.234
    box = Box(np.array([[0.0, -1.0]]), np.array([[0.0, 1.0]]))
    form = IntegerForm(IntegerEngine(), 1, 1)
    form.seed_rows(0, np.array([[[0.0, small]]]), None, box)
    form.put(0, form.multipliers(form.blocks.pop(0), columns((0, 0, 2.0**60, 0.0)), box), box)
    assert float(form.lower({0: box})[0, 0]) <= -small


def test_a_dot_product_of_many_terms_is_exact() -> None:
    """Longer than the limbs' sums may be at once: done in parts."""
    n = (1 << 19) + 3
    q = np.full((2, n), (1 << 58) - 1, np.int64)
    q[1] *= -1
    v = np.full((1, n), (1 << 60) + 5, np.int64)
    total = n * ((1 << 58) - 1) * ((1 << 60) + 5)
    assert dot_exact(q, v) == [total, -total]
    assert dot_exact(q, np.repeat(v, 2, axis=0)) == [total, -total]
