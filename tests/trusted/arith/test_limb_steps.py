"""Each step of a limb form by itself, against exact rationals: no point of a box has a larger value after it than before."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.integer import GRID
from tlcheck.trusted.arith.interface import Multipliers
from tlcheck.trusted.arith.limbs import MOST_TERMS, LimbEngine, LimbForm
from tlcheck.trusted.arith.maps import DiagMap, IndexMap, MatMap
from tlcheck.trusted.ops.lines import snap

Rows = list[list[Fraction]]
D = 3
SEEDS = pytest.mark.parametrize("seed", range(8))


def spread_out(rng: np.random.Generator, shape: tuple[int, ...], low: int = -80) -> np.ndarray:
    """Numbers of all magnitudes from 2^low to 1: what a common grid cuts."""
    return rng.normal(0, 1, shape) * 2.0 ** rng.integers(low, 1, shape)


def box_of(rng: np.random.Generator, n: int) -> Box:
    """Around 0, on one side of it, and points: of each domain's own size. Half of them have magnitudes whose sum is nearly the
    power of two that is charged for it."""
    size = 2.0 ** rng.integers(-20, 20, (D, 1))
    if rng.random() < 0.5:
        even = np.full((D, n), (1 - 2.0**-19) / n) * size
        return Box(-even, even)
    a, b = (rng.normal(0, 1, (D, n)) * size for _ in range(2))
    lower = np.where(rng.random((D, n)) < 0.5, -np.abs(a), np.minimum(a, b))
    return Box(lower, np.maximum(lower, b) if rng.random() < 0.8 else lower)


def form_of(
    rng: np.random.Generator, n: int, terms: int = 128
) -> tuple[LimbForm, tuple[np.ndarray, np.ndarray]]:
    """A form of no value, and a block of rows with all bits in use, each with an exponent of its own."""
    form = LimbEngine(terms).form(D, 1)
    q = rng.integers(-(1 << (2 * form.h)), (1 << (2 * form.h)) + 1, (D, n)).astype(np.float64)
    q[rng.random((D, n)) < 0.2] = 0
    return form, (q, rng.integers(-90, 10, D))


def exact(block: tuple[np.ndarray, np.ndarray]) -> Rows:
    q, e = block
    return [[Fraction(int(c)) * Fraction(2) ** int(x) for c in row] for row, x in zip(q, e, strict=True)]


def times(rows: Rows, matrix: np.ndarray) -> Rows:
    columns = [[Fraction(w) for w in column] for column in matrix.T.tolist()]
    return [
        [sum((a * b for a, b in zip(r, c, strict=True) if a), Fraction(0)) for c in columns] for r in rows
    ]


def gaps(
    form: LimbForm, before: Rows, added: list[Fraction], block: tuple[np.ndarray, np.ndarray], box: Box
) -> list[Fraction]:
    """The least value of (before + added) - (after and its value) over each domain's box."""
    form._settle()
    found = []
    for d, (old, new, more, value) in enumerate(zip(before, exact(block), added, form.value, strict=True)):
        ends = zip(old, new, box.lower[d].tolist(), box.upper[d].tolist(), strict=True)
        least = sum((min((a - b) * Fraction(x) for x in (lo, hi)) for a, b, lo, hi in ends), Fraction(0))
        found.append(least + more - Fraction(value) / (1 << GRID))
    return found


def nothing() -> list[Fraction]:
    return [Fraction(0)] * D


def never_above(*found: list[Fraction]) -> None:
    assert all(gap >= 0 for gaps in found for gap in gaps)


@SEEDS
def test_a_matrix(seed: int) -> None:
    rng = np.random.default_rng([1, seed])
    n, k = (int(x) for x in rng.integers(1, 9, 2))
    form, block = form_of(rng, n)
    w, box = spread_out(rng, (k, n)), box_of(rng, k)
    found = form.through_map(MatMap(Constant(w), 1), block, box)
    never_above(gaps(form, times(exact(block), w.T), nothing(), found, box))


@pytest.mark.parametrize("terms", [1000, MOST_TERMS])
def test_what_is_left_out_of_long_sums(terms: int) -> None:
    """Weights of one limb beside a large one that meets nothing: the sum that is not made is as large as can be."""
    form = LimbEngine(terms).form(1, 1)
    h, grid = form.h, 2.0**-58
    w = np.full((1, terms), ((1 << (h - 1)) - 1) * grid)
    w[0, 0] = 1.0
    for sign in (1, -1):
        q = np.full((1, terms), sign * float((1 << (2 * h - 1)) + (1 << (h - 1)) - 1))
        q[0, 0] = 0
        block, box = (q, np.zeros(1, np.int64)), Box(-np.ones((1, 1)), np.ones((1, 1)))
        form.value[:] = 0
        found = form.through_map(MatMap(Constant(w), 1), block, box)
        before = int(q[0, 1]) * Fraction(w[0, 1]) * (terms - 1)
        never_above(gaps(form, [[before]], [Fraction(0)], found, box))


@SEEDS
def test_factors(seed: int) -> None:
    rng = np.random.default_rng([2, seed])
    form, block = form_of(rng, 7)
    f, box = spread_out(rng, (7,), -60), box_of(rng, 7)
    found = form.through_map(DiagMap(Constant(f), (7,)), block, box)
    before = [[a * Fraction(x) for a, x in zip(row, f.tolist(), strict=True)] for row in exact(block)]
    never_above(gaps(form, before, nothing(), found, box))


@SEEDS
def test_entries_that_add_up(seed: int) -> None:
    rng = np.random.default_rng([3, seed])
    n = int(rng.choice([40, 400]))
    form, block = form_of(rng, n)
    index, box = rng.integers(-1, 2, n), box_of(rng, 2)
    m = IndexMap(index, 2)
    found = form.through_map(m, block, box)
    before = times(exact(block), np.stack([(index == 0).astype(float), (index == 1).astype(float)], axis=1))
    never_above(gaps(form, before, nothing(), found, box))


@SEEDS
def test_two_blocks(seed: int) -> None:
    rng = np.random.default_rng([4, seed])
    form, first = form_of(rng, 6)
    _, second = form_of(rng, 6)
    second = second[0], first[1] + rng.integers(-60, 60, D)
    for block in (first, second):
        block[0][rng.integers(0, D)] = 0
    before = [
        [a + b for a, b in zip(x, y, strict=True)] for x, y in zip(exact(first), exact(second), strict=True)
    ]
    box = box_of(rng, 6)
    form.put(0, first, box)
    form.put(0, second, box)
    never_above(gaps(form, before, nothing(), form.blocks[0], box))


@SEEDS
def test_seeds(seed: int) -> None:
    rng = np.random.default_rng([5, seed])
    form, _ = form_of(rng, 6)
    mid, rad, box = spread_out(rng, (D, 1, 6)), np.abs(spread_out(rng, (D, 1, 6), -20)), box_of(rng, 6)
    form.seed_rows(0, mid, rad if seed % 2 else None, box)
    signs = np.sign(rng.normal(0, 1, (D, 6))) * (seed % 2)
    for factor in (-1, 0, 1):
        rows = [
            [Fraction(m) + int(factor * s) * Fraction(r) for m, r, s in zip(*row, strict=True)]
            for row in zip(mid[:, 0].tolist(), rad[:, 0].tolist(), signs.tolist(), strict=True)
        ]
        never_above(gaps(form, rows, nothing(), form.blocks[0], box))


@SEEDS
def test_constants(seed: int) -> None:
    """An offset, and what radii cost: exactly or below."""
    rng = np.random.default_rng([6, seed])
    n = int(rng.choice([5, 300]))
    b, radius, box = spread_out(rng, (n,)), np.abs(spread_out(rng, (D, n))), box_of(rng, n)
    form, block = form_of(rng, n)
    form.offset(block, Constant(b))
    never_above(gaps(form, exact(block), [r[0] for r in times(exact(block), b[:, None])], block, box))
    form, block = form_of(rng, n)
    form.charge(block, radius)
    costs = [sum((abs(a) * Fraction(x) for a, x in zip(row, r.tolist(), strict=True)), Fraction(0))
             for row, r in zip(exact(block), radius, strict=True)]  # fmt: skip
    never_above(gaps(form, exact(block), [-c for c in costs], block, box))


@SEEDS
@pytest.mark.parametrize("top", [-30, 0, 3, None])
def test_lines(seed: int, top: int | None) -> None:
    """Of slopes that reach 2^top, or are 0 and 1 (their products cost nothing); and 0 or 1 in some columns of all domains."""
    rng = np.random.default_rng([7, seed, (top or 0) + 40])
    n = 9
    form, block = form_of(rng, n)
    slopes = rng.choice([0.0, 1.0], (2, D, n)) if top is None else rng.normal(0, 1, (2, D, n)) * 2.0**top
    lt, ut = spread_out(rng, (D, n)), spread_out(rng, (D, n))
    for k, slope in ((0, 0.0), (1, 1.0), (2, 0.0)):
        slopes[:, :, k] = slope
        lt[:, k] = ut[:, k] = 0.0
    ls, us = snap(slopes)
    box = box_of(rng, n)
    rows = exact(block)
    found = form.through_lines(block, (ls, lt), (us, ut), box)
    before, added = [], []
    for d, row in enumerate(rows):
        lines = [(ls[d, k], lt[d, k]) if a >= 0 else (us[d, k], ut[d, k]) for k, a in enumerate(row)]
        before.append([a * Fraction(s) for a, (s, _) in zip(row, lines, strict=True)])
        added.append(sum((a * Fraction(t) for a, (_, t) in zip(row, lines, strict=True)), Fraction(0)))
    never_above(gaps(form, before, added, found, box))


@SEEDS
def test_multipliers_never_grow(seed: int) -> None:
    rng = np.random.default_rng([8, seed])
    form, block = form_of(rng, 4)
    rows, box = exact(block), box_of(rng, 4)
    scale = np.array([float(max(map(abs, row), default=Fraction(1)) or 1) for row in rows])
    signed = rng.normal(0, 1, D) * scale * 2.0 ** rng.integers(-50, 20, D)
    point, k = spread_out(rng, (D,), -10) * (rng.random(D) < 0.8), rng.integers(0, 4, D)
    found = form.multipliers(form.copy_block(block), Multipliers(np.arange(D), k, signed, point), box)
    form._settle()
    for d, after in enumerate(exact(found)):
        off = [a - b for a, b in zip(rows[d], after, strict=True)]
        others = [(x, i) for i, x in enumerate(off) if i != k[d]]
        ends = [(Fraction(box.lower[d, i]), Fraction(box.upper[d, i])) for i in range(4)]
        rest = sum((min(x * lo, x * hi) for x, i in others for lo, hi in [ends[i]]), Fraction(0))
        value = Fraction(form.value[d]) / (1 << GRID)
        full, (lo, hi) = Fraction(signed[d]), ends[int(k[d])]
        units = [Fraction(2) ** (int(found[1][d]) + bits) for bits in range(-4, 64)]
        cuts = [(abs(full) // unit) * unit * (1 if full > 0 else -1) for unit in units]
        least = [min((off[int(k[d])] - cut) * x for x in (lo, hi)) + cut * Fraction(point[d]) for cut in cuts]
        assert any(
            rest + x >= value for x in least
        )  # the given multiplier, cut towards zero on some grid, explains all


def test_what_is_owed_stays_when_rows_are_dropped() -> None:
    rng = np.random.default_rng(9)
    form, block = form_of(rng, 5)
    box = box_of(rng, 5)
    form.put(0, form.through_map(DiagMap(Constant(spread_out(rng, (5,), -60)), (5,)), block, box), box)
    other = LimbForm(form.limbs, D, 1)
    other.blocks, other.value, other._owed = dict(form.blocks), form.value.copy(), form._owed
    assert max(form._owed[0]) > 0
    whole = form.lower_on_grid({0: box})
    other.keep(np.array([0, 2]))
    assert other.lower_on_grid({0: box.rows(np.array([0, 2]))}) == [whole[0], whole[2]]


@SEEDS
def test_the_end(seed: int) -> None:
    """The least value over the boxes, rounded down: of boxes on either side of 0, and a balance that the last bit decides."""
    rng = np.random.default_rng([10, seed])
    form, block = form_of(rng, 6)
    box = box_of(rng, 6)
    form.blocks[0] = block
    for row, found, d in zip(exact(block), form.lower_on_grid({0: box}), range(D), strict=True):
        least = sum((min(a * Fraction(lo), a * Fraction(hi))
                     for a, lo, hi in zip(row, box.lower[d].tolist(), box.upper[d].tolist(), strict=True)), Fraction(0))  # fmt: skip
        assert Fraction(found) / (1 << GRID) <= least


@pytest.mark.parametrize("terms", [128, MOST_TERMS])
def test_joined_sums_fit_two_limbs(terms: int) -> None:
    """Three sums that are all as large as their places together."""
    form = LimbEngine(terms).form(1, 1)
    most = float((1 << 53) - 1)
    for a in (0.0, most, float((1 << (53 - form.h)) - 1)):
        for c in (0.0, most):
            q, *_ = form._joined((np.full((1, 1), x) for x in (a, most, c)), terms)
            assert abs(q[0, 0]) <= 1 << (2 * form.h)
