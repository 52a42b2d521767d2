"""What every step of the float64 engine charges: from both sides, by the formulas of its docstrings, to 10^-9 of the charge.

A charge that is left out hardly ever shows in a bound, beside the others; here a step is alone, and its charge is all there is.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tlcheck.trusted.arith import ball64
from tlcheck.trusted.arith.ball64 import (
    Ball64,
    Ball64Form,
    V,
    dot_up,
    few_in_columns,
    gathered_product,
    product,
    tiles,
)
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.interface import Multipliers
from tlcheck.trusted.arith.maps import DiagMap, IndexMap, Map, MatMap, SignMap

B = np.array([1.0, -2.0, 0.5, 4.0])
"""Coefficients."""
X = np.array([3.0, 0.25, 1.0, 2.0])
"""Magnitudes of values."""
BOX = Box(-X[None], 0.5 * X[None])
C = np.array([1.5, -1.0, 2.0, -0.75])
R = np.array([0.125, 0.0, 0.5, 0.25])


def gamma(terms: int) -> float:
    return (terms + 4) * V


def form(block: np.ndarray = B) -> tuple[Ball64Form, np.ndarray]:
    """One row, its block taken out."""
    made = Ball64().form(1, 1)
    made.seed_rows(
        1, block[None, None].copy(), None, Box(-np.ones((1, block.size)), np.ones((1, block.size)))
    )
    assert not made.error.any() and not made.value.any()
    return made, made.blocks.pop(1)


def charged(made: Ball64Form) -> float:
    made._settle()
    return float(made.error[0, 0])


def near(found: float, expected: float) -> None:
    assert expected * (1 - 1e-9) <= found <= expected * (1 + 1e-9) + 2.0**-490, (found / expected, found)


def test_seeds_within_a_radius() -> None:
    made = Ball64().form(1, 1)
    made.seed_rows(1, B[None, None], R[None, None], BOX)
    near(charged(made), float(R @ X))
    assert made.value[0, 0] == 0.0


@pytest.mark.parametrize("rad", [None, R])
def test_an_offset(rad: np.ndarray | None) -> None:
    made, block = form()
    made.offset(block, Constant(C, rad))
    value = float(B @ C)
    assert made.value[0, 0] == value
    radius = 0.0 if rad is None else float(np.abs(B) @ R)
    near(charged(made), radius + gamma(4) * float(np.abs(B) @ np.abs(C)) + 4 * V * abs(value))


def test_two_charges_of_a_block_add_up() -> None:
    made, block = form()
    made.charge(block, R[None])
    made.charge(block, X[None])
    near(charged(made), float(np.abs(B) @ (R + X)))
    other = block.copy()
    made.charge(block, R[None])
    made.charge(other, X[None])
    near(charged(made), 2 * float(np.abs(B) @ (R + X)))


W = np.array([[1.0, 0.5, -2.0, 0.0], [0.25, 3.0, 1.0, -1.0], [2.0, -0.5, 0.125, 1.0]])
W_RAD = np.abs(W) / 8 + 0.25
XM = np.array([1.0, 2.0, 0.5])


@pytest.mark.parametrize(
    ("m", "expected"),
    [
        (MatMap(Constant(W), 1), gamma(4) * np.abs(B) @ (XM @ np.abs(W))),
        (MatMap(Constant(W, W_RAD), 1), np.abs(B) @ (XM @ W_RAD)),
        (DiagMap(Constant(C), (4,)), 2 * V * np.abs(B) @ (np.abs(C) * X)),
        (DiagMap(Constant(C, R), (4,)), np.abs(B) @ (R * X) + 2 * V * np.abs(B) @ (np.abs(C) * X)),
        (IndexMap(np.array([1, 0, 1, 1]), 3), gamma(3) * np.abs(B) @ XM[[1, 0, 1, 1]]),
        (IndexMap(np.array([1, 0, 2, -1]), 3), 0.0), (SignMap(-1, 4), 0.0),
    ],
)  # fmt: skip
def test_a_map(m: Map, expected: float) -> None:
    made, block = form()
    size = m.n_in
    magnitude = X if size == 4 else XM
    made.through_map(m, block, Box(-magnitude[None], 0 * magnitude[None]))
    near(charged(made), float(expected))
    assert not made.value.any()


def test_unit_seeds_are_charged_nothing() -> None:
    made = Ball64().form(1, 2)
    made.seed_units(1, 4, np.array([2, 0]), np.array([-1, 1]))
    block = made.blocks.pop(1)
    through = made.through_map(MatMap(Constant(W), 1), block, Box(-XM[None], XM[None]))
    assert through.tolist() == [[(-W[:, 2]).tolist(), W[:, 0].tolist()]]
    made._settle()
    assert not made.error.any() and not made.value.any()
    made.offset(block, Constant(C))
    assert made.value.tolist() == [[-2.0, 1.5]]
    near(charged(made), 4 * V)


def test_a_second_block_on_a_node() -> None:
    made, block = form()
    made.put(0, block, None)
    with pytest.raises(ValueError, match="a second block"):
        made.put(0, block, None)
    made.put(0, C[None, None], BOX)
    near(charged(made), 2 * V * float(np.abs(B + C) @ X))


ZERO, ONE = np.zeros((1, 4)), np.ones((1, 4))
SLOPES = np.array([[0.5, 1.0, 0.25, 0.0]]), np.array([[1.0, 0.5, 0.75, 2.0]])


@pytest.mark.parametrize(
    ("low", "high"),
    [(ZERO, ZERO), (ZERO, np.abs(C)[None]), (C[None], np.abs(C)[None]), (-ONE, ONE), (ZERO, -ONE)],
)
def test_lines(low: np.ndarray, high: np.ndarray) -> None:
    made, block = form()
    given = made.through_lines(block, (SLOPES[0], low), (SLOPES[1], high), BOX)
    expected = np.where(B > 0, SLOPES[0][0], SLOPES[1][0]) * B
    assert given.tolist() == [[expected.tolist()]]
    value = float(B @ np.where(B > 0, low[0], high[0]))
    assert made.value[0, 0] == value
    one_sign = not low.any() and (high >= 0).all()
    sums = (
        abs(value) * gamma(12) if one_sign else gamma(12) * float(np.abs(B) @ (np.abs(low) + np.abs(high))[0])
    )
    near(charged(made), sums + 4 * V * float(np.abs(expected) @ X) + 4 * V * abs(value))


def test_multipliers() -> None:
    made, block = form()
    given = Multipliers(np.array([0, 0]), np.array([1, 3]), np.array([0.5, -0.25]), np.array([0.25, 2.0]))
    new = made.multipliers(block, given, BOX)
    assert new.tolist() == [[[1.0, -2.5, 0.5, 4.25]]] and made.value[0, 0] == 0.125 - 0.5
    near(charged(made), 2 * V * (2.5 * 0.25 + 4.25 * 2.0) + gamma(6) * (0.125 + 0.5) + 2 * V * 0.375)


def test_multipliers_of_several_domains() -> None:
    made = Ball64().form(2, 1)
    made.seed_rows(1, np.stack([B, 2 * B])[:, None], None, BOX)
    given = Multipliers(np.array([0, 1]), np.array([1, 3]), np.array([0.5, -0.25]), np.array([0.25, 2.0]))
    new = made.multipliers(made.blocks.pop(1), given, BOX)
    assert new.tolist() == [[[1.0, -2.5, 0.5, 4.0]], [[2.0, -4.0, 1.0, 8.25]]]
    assert made.value.tolist() == [[0.125], [-0.5]]
    wide = Ball64().form(1, 2)
    wide.seed_rows(1, np.stack([B, B])[None], None, BOX)
    with pytest.raises(ValueError, match="one row"):
        wide.multipliers(wide.blocks.pop(1), given, BOX)


@pytest.mark.parametrize(
    ("signed", "point"), [(2.0**201, 0.0), (1.0, 2.0**201), (2.0**150, 2.0**150), (-(2.0**201), 0.0)]
)
def test_multipliers_out_of_range(signed: float, point: float) -> None:
    made, block = form()
    with pytest.raises(OutOfRange):
        made.multipliers(
            block, Multipliers(np.array([0]), np.array([1]), np.array([signed]), np.array([point])), BOX
        )


def test_multipliers_end_what_is_owed_before() -> None:
    """The block is charged as it was."""
    made, block = form()
    made.charge(block, X[None])
    made.multipliers(block, Multipliers(np.array([0]), np.array([1]), np.array([-2.0]), np.array([0.0])), BOX)
    near(charged(made), float(np.abs(B) @ X))


def test_kept_domains_and_rows_have_paid() -> None:
    for domains, rows in ((2, 1), (1, 2), (2, 2)):
        made = Ball64().form(domains, rows)
        blocks = np.arange(1.0, 1 + domains * rows * 4).reshape(domains, rows, 4)
        made.seed_rows(1, blocks, None, BOX)
        made.charge(made.blocks[1], X[None])
        made.keep(np.array([1]))
        left = blocks[:, 1:] if rows > 1 else blocks[1:]
        assert made.blocks[1].tolist() == left.tolist()
        assert np.allclose(made.error, left @ X, rtol=1e-9, atol=0) and made.shape == left.shape[:2]


def lower_of(block: np.ndarray, box: Box, value: float = 0.0) -> Fraction:
    made, taken = form(block)
    made.value[0, 0] = value
    made.put(0, taken, None)
    return Fraction(float(made.lower({0: box})[0, 0]))


def test_the_least_value_over_a_box() -> None:
    """Coefficients that cancel leave only what is charged: 4V|c| for the radius, gamma for the product."""
    one = np.ones((1, 2))
    near(-float(lower_of(np.array([1.0, -1.0]), Box(one, one))), 2 * (4 * V + gamma(2)))
    near(-float(lower_of(np.array([1.0, -1.0]), Box(-one, -one))), 2 * (4 * V + gamma(2)))
    near(-float(lower_of(np.array([2.0, -2.0]), Box(-one, 3 * one))), 2 * 4 * (1 + 4 * V + gamma(2)))
    # A value: 2V for the sum, 4V for the last subtraction; of numbers below 1, a double is V / 2 from the next.
    found = lower_of(np.array([0.0]), Box(np.zeros((1, 1)), np.zeros((1, 1))), value=1.0)
    assert abs(1 - found - 6 * Fraction(V)) <= Fraction(V) / 2


@pytest.mark.parametrize(
    "offset", [None, Constant(np.array([0.0]), np.array([0.5])), Constant(np.array([1.0]))]
)
def test_an_image(offset: Constant | None) -> None:
    """x1 - x2 at (1, 1): gamma of 4 terms, and 4V for the radius, of each; then of the offset."""
    one = np.ones((1, 2))
    found = Ball64().image((MatMap(Constant(np.array([[1.0], [-1.0]])), 1),), (Box(one, one),), offset)
    if offset is not None and offset.mid[0] == 1.0:
        charge = 2 * (4 * V + gamma(4)) + gamma(4) + 4 * V + 4 * V
        for end in (found.upper[0, 0] - 1, 1 - found.lower[0, 0]):
            assert charge - V <= end <= charge + V
        return
    charge = 2 * (4 * V + gamma(4)) + (0.0 if offset is None else 0.5)
    near(float(found.upper[0, 0]), charge)
    near(-float(found.lower[0, 0]), charge)


@pytest.mark.parametrize("m", [MatMap(Constant(W, W_RAD), 1), DiagMap(Constant(C, R), (4,))])
def test_an_image_of_uncertain_weights(m: Map) -> None:
    """At 0 nothing is uncertain; at x, as much as the radii times |x|."""
    x = (XM if m.n_in == 3 else X)[None]
    image = Ball64().image((m,), (Box(x, x),), None)
    expected = XM @ W_RAD if m.n_in == 3 else R * X
    assert np.allclose((image.upper - image.lower)[0], 2 * expected, rtol=1e-9, atol=1e-14)
    nothing = Ball64().image((m,), (Box(0 * x, 0 * x),), None)
    assert float(nothing.largest) < 2.0**-400


def test_sums_of_many_terms_are_rounded_up() -> None:
    values = np.concatenate([np.ones(64), np.full(6000, 2.0**-53)])[None, :]
    for rows in (values[None], np.stack([values, values]).transpose(1, 0, 2)):
        found = dot_up(rows, np.ones_like(values))
        exact = sum(map(Fraction, values[0].tolist()), Fraction(0))
        assert all(
            exact <= Fraction(x) <= exact * (1 + Fraction(1, 10**11)) for x in found.reshape(-1).tolist()
        )


def test_heights_of_many_lines_drop_terms() -> None:
    """As ``test_long_dot_products_drop_terms``, of intercepts: of one sign, and of both."""
    heights = np.concatenate([np.ones(64), np.full(6000, 2.0**-53)])[None, :]
    zero = 0 * heights
    box = Box(zero, zero)
    for coefficient, low, high in (
        (-1.0, zero, heights),
        (1.0, heights, heights),
        (-1.0, -heights, heights),
        (1.0, -heights, heights),
    ):
        made, block = form(np.full(heights.size, coefficient))
        made.through_lines(block, (zero, low), (zero, high), box)
        exact = sum(
            (Fraction(coefficient * x) for x in (low if coefficient > 0 else high)[0].tolist()), Fraction(0)
        )
        assert Fraction(float(made.lower({})[0, 0])) <= exact


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 128, 130])
def test_products_of_integers(rows: int) -> None:
    rng = np.random.default_rng(rows)
    x, w = rng.integers(-9, 10, (rows, 5)).astype(float), rng.integers(-9, 10, (5, 7)).astype(float)
    assert product(x, w).tolist() == (x.astype(int) @ w.astype(int)).tolist()


@pytest.mark.parametrize(
    ("shape", "entries"), [((64, 0), 0), ((64, 3), 2), ((96, 1), 3), ((70, 5), 0), ((40, 2000), 1)]
)
def test_products_with_few_entries(shape: tuple[int, int], entries: int) -> None:
    rng = np.random.default_rng(entries)
    w = np.zeros(shape)
    for column in range(shape[1]):
        w[rng.choice(shape[0], entries, replace=False), column] = rng.integers(1, 9, entries)
    found = few_in_columns(w)
    assert found is not None and found[0].shape == found[1].shape == (entries, shape[1])
    x = rng.integers(-9, 10, (40, shape[0])).astype(float)
    assert gathered_product(x, *found).tolist() == (x.astype(int) @ w.astype(int)).tolist()


def test_too_many_entries_are_not_gathered() -> None:
    w = np.zeros((63, 2))
    w[:2, 1] = 1.0
    assert few_in_columns(w) is None
    assert few_in_columns(np.vstack([w, np.zeros((1, 2))])) is not None


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1), (3, 5, 7), (2, 3, 40000), (700, 3, 100), (3, 700, 100), (5, 4, 0), (2, 0, 9), (0, 3, 9)],
)
def test_tiles_are_all_once(shape: tuple[int, int, int]) -> None:
    count = np.zeros(shape[:2], int)
    for d, r in tiles(shape):
        assert count[d, r].size * shape[2] <= max(ball64.TILE, shape[2])
        count[d, r] += 1
    assert (count == 1).all()


def test_folds_of_another_box_or_map_are_not_taken() -> None:
    engine = Ball64()
    first, second = (MatMap(Constant(W * k), 1) for k in (1, 2))
    box, other = (Box(-XM[None] * k, XM[None] * k) for k in (1, 3))
    folds = [
        engine.fold_of(m, b)
        for m, b in ((first, box), (second, box), (first, other), (first, box), (first, box))
    ]
    scales = [float(f.max() / folds[0].max()) for f in folds]
    assert np.allclose(scales, [1, 2, 3, 1, 1], rtol=1e-9) and folds[3] is folds[4]


BEYOND = 2.0**201


def test_magnitudes_that_a_map_may_give() -> None:
    for m, expected in (
        (MatMap(Constant(W, W_RAD), 1), XM @ (np.abs(W) + W_RAD)), (DiagMap(Constant(C, R), (4,)), X * (np.abs(C) + R)),
        (IndexMap(np.array([1, 1, 0]), 2, transposed=True), np.array([XM[2], XM[0] + XM[1]])), (SignMap(-1, 3), XM),
    ):  # fmt: skip
        found = Ball64().magnitude_up(m, (X if m.n_in == 4 else XM)[None])[0]
        assert (found >= expected).all() and np.allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("x", [1.0, 2.0**-300])
def test_factors_out_of_range(x: float) -> None:
    """Also where what they do over a small box is not."""
    box = Box(np.zeros((1, 4)), np.full((1, 4), x))
    for factor in (Constant(C * BEYOND), Constant(C, R * 8 * BEYOND)):
        with pytest.raises(OutOfRange):
            Ball64().image((DiagMap(factor, (4,)),), (box,), None)
        made, block = form()
        with pytest.raises(OutOfRange):
            made.through_map(DiagMap(factor, (4,)), block, box)


def test_coefficients_that_came_out_of_range_meet_no_lines() -> None:
    made, block = form()
    for low in (ZERO, C[None]):
        with pytest.raises(OutOfRange):
            made.through_lines(block * BEYOND, (SLOPES[0], low), (SLOPES[1], np.abs(low)), Box(ZERO, ZERO))


def test_underflows_of_an_offset_are_charged() -> None:
    made, block = form(np.array([2.0**100]))
    made.offset(block, Constant(np.array([0.0])))
    assert charged(made) >= 2.0**100 * ball64.TINY


def test_weights_of_another_process_are_not_taken() -> None:
    """An engine that was pickled has ids of the process that it comes from."""
    engine, first, second = Ball64(), MatMap(Constant(W), 1), MatMap(Constant(2 * W), 1)
    engine._weights[id(second.weight)] = (first, engine.weights(first))
    assert engine.weights(second).mid.tolist() == (2 * W).tolist()
    assert engine.weights(second) is engine.weights(second)


def test_balls_are_the_first_row_of_every_domain() -> None:
    made = Ball64().form(3, 2)
    made.value[:] = [[1.0, 9.0], [2.0, 9.0], [3.0, 9.0]]
    assert [round(float(x)) for x in made.lower_balls({})] == [1, 2, 3]
