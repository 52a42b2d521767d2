"""Exact integers in float64: exact sums in every rounding mode, sound and sharp bounds, every charge needed."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from tests.trusted.arith.test_ball64_engine import MODES, control  # noqa: F401
from tests.trusted.engine_checks import check_adjoint, check_chain, check_residual, refusal_allowed
from tests.trusted.oracle import KINDS, MAPS
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.limbs import (
    MOST_TERMS,
    LimbEngine,
    LimbForm,
    dot,
    half_bits,
    split,
    three_limbs,
)
from tlcheck.trusted.arith.maps import ConvMap, MatMap

WIDTHS = (1, 128, 129, 512, MOST_TERMS)


def random_ints(rng: np.random.Generator, bits: int, shape: tuple[int, ...]) -> np.ndarray:
    """|values| <= 2^bits, the ends included: of one sign now and then, so that sums are as large as can be."""
    values = rng.integers(-(1 << bits), (1 << bits) + 1, shape) >> rng.integers(0, bits // 2, shape)
    values = np.where(rng.random(shape) < 0.5, rng.choice([-1, 1], shape) << bits, values)
    return values if rng.random() < 0.5 else np.abs(values)


@pytest.mark.parametrize("terms", WIDTHS)
def test_half_bits_leave_room_for_the_terms(terms: int) -> None:
    h = half_bits(terms)
    assert 20 <= h <= 23 and terms << (2 * h) <= 1 << 53
    assert h == 23 or (terms << (2 * h + 2)) > 1 << 53


def test_more_terms_are_refused() -> None:
    with pytest.raises(ValueError, match="8193"):
        half_bits(MOST_TERMS + 1)
    with pytest.raises(Exception, match="too many terms"):
        LimbEngine(128).limb_map(MatMap(Constant(np.ones((1, 129))), 1))


def test_limbs_are_what_they_say() -> None:
    rng = np.random.default_rng(1)
    for h in (20, 21, 22, 23):
        x = random_ints(rng, 2 * h, (3, 40))
        high, low = split(x.astype(np.float64), h)
        assert ((high.astype(np.int64) << h) + low.astype(np.int64) == x).all()
        assert np.abs(low).max() <= 1 << (h - 1) and np.abs(high).max() <= 1 << h
        v = random_ints(rng, 60, (3, 40))
        two, one, zero = (y.astype(np.int64) for y in three_limbs(v, h))
        assert ((((two << h) + one) << h) + zero == v).all()
        assert max(np.abs(one).max(), np.abs(zero).max()) <= 1 << (h - 1) and np.abs(two).max() <= 1 << h


def sums_are_exact(rng: np.random.Generator, enter: object) -> None:
    """Dots and the three sums of a matrix's and of a convolution's adjoint, against Python's integers."""
    n = int(rng.choice([3, 130, 600]))
    h = half_bits(n)
    q, v = random_ints(rng, 2 * h, (4, n)), random_ints(rng, 60, (int(rng.choice([1, 4])), n))
    w, kernel = (random_ints(rng, 60, shape).astype(np.float64) for shape in ((5, n), (2, 3, 2)))
    conv = ConvMap(Constant(kernel), (1,), (1,), (0, 0), 1, (1, 3, 9), (1, 2, 8), False)
    coefficients = random_ints(rng, 2 * h, (4, 16))
    engine = LimbEngine(n)
    with enter():  # type: ignore[operator]
        found = dot(q.astype(np.float64), v, h)
        matrix = MatMap(Constant(w), 1)
        form = LimbForm(engine, 4, 1)
        sums = [
            list(form._products(m, engine.limb_map(m), x.astype(np.float64)))
            for m, x in ((matrix, q), (conv, coefficients))
        ]
    assert found.tolist() == (q.astype(object) * v.astype(object)).sum(axis=1).tolist()
    two, one, zero = (x.astype(np.int64).astype(object) for x in engine.limb_map(conv).limbs)
    kernel, dense = (((two << h) + one) << h) + zero, np.zeros((conv.n_out, conv.n_in), object)
    for o, c, k, p in np.ndindex(2, 3, 2, 8):
        dense[o * 8 + p, c * 9 + p + k] = kernel[o, c, k]
    two, one, zero = (x.astype(np.int64).astype(object) for x in engine.limb_map(matrix).limbs)
    adjoint = ((((two << h) + one) << h) + zero).T
    for (a, b, c), x, weights, m in zip(
        sums, (q, coefficients), (adjoint, dense), (matrix, conv), strict=True
    ):
        parts = [y.astype(np.int64).astype(object) for y in (a, b, c)]
        made = ((((parts[0] << h) + parts[1]) << h) + parts[2]) << h
        assert (np.abs(x.astype(object) @ weights - made) <= m.fan_out << (2 * h - 2)).all()


def test_sums_are_exact() -> None:
    for seed in range(4):
        sums_are_exact(np.random.default_rng(seed), partial(contextmanager(lambda: iter([None]))))


@pytest.mark.parametrize("bits", [MODES[m] for m in ("down", "up", "to-zero")])
def test_sums_are_exact_in_every_rounding_mode(control: ctypes.CDLL, bits: int) -> None:  # noqa: F811
    @contextmanager
    def enter() -> Iterator[None]:
        before = control.get_mode()
        control.set_mode((before & ~0xE040) | bits)
        try:
            yield
        finally:
            control.set_mode(before)

    for seed in range(2):
        sums_are_exact(np.random.default_rng(seed), enter)


def test_products_with_slopes_are_within_three() -> None:
    rng = np.random.default_rng(2)
    for terms in WIDTHS:
        form = LimbEngine(terms).form(1, 1)
        q, w = random_ints(rng, 2 * form.h, (1, 300)), random_ints(rng, 41, (1, 300))
        w[0, :30] = rng.choice([0, 1 << 40, -(1 << 40)], 30)
        found = form._times(q.astype(np.float64), w.astype(np.float64))
        off = [int(f) * (1 << 40) - int(a) * int(b) for f, a, b in zip(found[0], q[0], w[0], strict=True)]
        assert max(map(abs, off)) <= 3 << 40 and not any(off[:30])


@pytest.mark.parametrize("name", MAPS)
def test_steps_and_chains(name: str) -> None:
    """Each map with one of the kinds of numbers, in turn."""
    rng = np.random.default_rng([3, *name.encode()])
    kinds = list(KINDS)
    start = list(MAPS).index(name)
    kind = kinds[start % len(kinds)]
    engine = LimbEngine(int(rng.choice([128, 512, MOST_TERMS])))
    linear = bool(rng.integers(0, 2))
    for check in (check_adjoint, check_residual, partial(check_chain, linear=linear)):
        with refusal_allowed(kind):
            check(engine, MAPS[name], kind, rng)


@pytest.mark.parametrize("name", ["mat", "conv2d", "diag", "gather-repeats"])
def test_without_its_charges_it_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LimbForm, "_charge_each", lambda *_: None)
    monkeypatch.setattr(LimbForm, "_charge_sums", lambda *_: None)
    rng = np.random.default_rng(4)
    with pytest.raises(AssertionError):
        for _ in range(40):
            check_residual(LimbEngine(MOST_TERMS), MAPS[name], "normal", rng)


def test_what_is_owed_is_never_less_than_what_was_charged() -> None:
    rng = np.random.default_rng(5)
    box = Box(-np.ones((1, 2)), np.ones((1, 2)))
    for _ in range(20):
        form = LimbEngine(128).form(3, 1)
        total = [0] * 3
        for _ in range(30):
            e, units = rng.integers(-200, 60, 3), random_ints(rng, 59, (3,)) >> rng.integers(0, 59)
            units = np.abs(units) * (rng.random(3) < 0.7)
            form._charge_each(e, units, box)
            total = [t + (int(u) << int(x + 320)) * 4 for t, u, x in zip(total, units, e, strict=True)]
        form._settle()
        form._settle()  # what is paid is not owed
        assert all(t <= -v <= 64 * t for v, t in zip(form.value, total, strict=True))


def test_long_sums_do_not_wrap() -> None:
    """2^19 products of limbs of one sign are 2^64 together."""
    for h, n in ((23, 1 << 19), (20, (1 << 16) + 5)):
        q, v = np.full((1, n), float(1 << (2 * h))), np.full((1, n), ((1 << (h - 1)) - 1) << h, np.int64)
        assert dot(q, v, h).tolist() == [int(q[0, 0]) * int(v[0, 0]) * n]


def test_a_sum_of_magnitudes_beside_the_largest_double_is_refused() -> None:
    form, end = LimbEngine(128).form(1, 1), np.full((1, 1), np.finfo(np.float64).max)
    with pytest.raises(OutOfRange, match="infinite"):
        form._charge_each(np.zeros(1, np.int64), np.ones(1, np.int64), Box(-end, end))
