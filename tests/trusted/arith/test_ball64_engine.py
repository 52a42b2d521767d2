"""The float64 engine: sound for every map and kind of data, in every rounding mode; refuses what it cannot bound."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from tests.trusted.engine_checks import (
    Environment,
    check_adjoint,
    check_chain,
    check_image,
    check_residual,
    columns,
    refusal_allowed,
)
from tests.trusted.oracle import KINDS, MAPS, REPEATS
from tlcheck.trusted.arith.ball64 import Ball64, Ball64Form, gamma_up, slack_up
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.maps import DiagMap, MatMap, SignMap


def seeds(name: str, salt: int) -> list[np.random.Generator]:
    return [np.random.default_rng([salt, r, *name.encode()]) for r in range(REPEATS)]


@pytest.mark.parametrize("name", MAPS)
def test_image(name: str) -> None:
    for rng in seeds(name, 1):
        for kind in KINDS:
            with refusal_allowed(kind):
                check_image(Ball64(), MAPS[name], kind, rng)


@pytest.mark.parametrize("name", MAPS)
def test_adjoint(name: str) -> None:
    for rng in seeds(name, 2):
        for kind in KINDS:
            with refusal_allowed(kind):
                check_adjoint(Ball64(), MAPS[name], kind, rng)


@pytest.mark.parametrize("name", MAPS)
def test_residual(name: str) -> None:
    for rng in seeds(name, 5):
        for kind in KINDS:
            with refusal_allowed(kind):
                check_residual(Ball64(), MAPS[name], kind, rng)


@pytest.mark.parametrize("name", MAPS)
def test_chain(name: str) -> None:
    for rng in seeds(name, 3):
        for kind in KINDS:
            with refusal_allowed(kind):
                check_chain(Ball64(), MAPS[name], kind, rng, linear=bool(rng.integers(0, 2)))


# Other rounding modes, flush-to-zero and denormals-are-zero, set around the engine's calls.

SOURCE = """
#include <xmmintrin.h>
unsigned get_mode(void) { return _mm_getcsr(); }
void set_mode(unsigned v) { _mm_setcsr(v); }
"""
MODES = {"down": 0x2000, "up": 0x4000, "to-zero": 0x6000, "flush": 0x8040, "flush-to-zero-mode": 0xE040}


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The floating-point control register, through a small compiled library."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if (
        compiler is None
        or platform.machine() not in ("x86_64", "AMD64")
        or not sys.platform.startswith("linux")
    ):
        pytest.skip("sets the control register of x86-64 with a C compiler")
    folder = tmp_path_factory.mktemp("mode")
    (folder / "mode.c").write_text(SOURCE)
    done = subprocess.run([compiler, "-shared", "-fPIC", "-o", "mode.so", "mode.c"], cwd=folder, check=False)
    if done.returncode != 0:
        pytest.skip("the C compiler does not build")
    library = ctypes.CDLL(str(folder / "mode.so"))
    library.get_mode.restype = ctypes.c_uint
    library.set_mode.argtypes = [ctypes.c_uint]
    return library


@pytest.mark.parametrize("bits", MODES.values(), ids=MODES.keys())
def test_every_mode(control: ctypes.CDLL, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def enter() -> Iterator[None]:
        before = control.get_mode()
        control.set_mode((before & ~0xE040) | bits)
        try:
            yield
        finally:
            control.set_mode(before)

    with enter():
        flushed = float(np.multiply(np.float64(5e-324), np.float64(1.0))) == 0.0
        third = float(np.float64(1.0) / np.float64(3.0))
    assert flushed == bool(bits & 0x8040)
    assert (third > 1 / 3) == (bits & 0x6000 == 0x4000)
    monkeypatch.setattr(Environment, "enter", staticmethod(enter))
    names = list(MAPS)
    for rng in seeds(str(bits), 4):
        for kind in KINDS:
            for name in rng.choice(names, 5, replace=False):
                for check in (check_image, check_adjoint, check_residual, partial(check_chain, linear=False)):
                    with refusal_allowed(kind):
                        check(Ball64(), MAPS[str(name)], kind, rng)


# Refusals: never a finite wrong bound.

BAD = [np.nan, np.inf, -np.inf, 1e308, -1e308, 2.0**201]
FINE = Box(np.full((1, 3), -1.0), np.ones((1, 3)))


def with_bad(bad: float, shape: tuple[int, ...]) -> np.ndarray:
    values = np.ones(shape)
    values.reshape(-1)[-1] = bad
    return values


def bad_box(bad: float) -> Box:
    low, high = np.full((1, 3), -1.0), np.ones((1, 3))
    low[0, 0], high[0, 0] = min(low[0, 0], bad), max(high[0, 0], bad)
    return Box(low, high)


def seeded() -> Ball64Form:
    form = Ball64Form(Ball64(), 1, 2)
    form.seed_rows(1, np.array([[[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]]]), None, FINE)
    return form


@pytest.mark.parametrize("bad", BAD)
def test_refuses_bad_coefficients_and_constants(bad: float) -> None:
    lines = np.ones((1, 3))
    for call in (
        lambda f: f.seed_rows(2, with_bad(bad, (1, 2, 3)), None, FINE),
        lambda f: f.seed_rows(2, np.ones((1, 2, 3)), with_bad(abs(bad), (1, 2, 3)), FINE),
        lambda f: f.put(1, with_bad(bad, (1, 2, 3)), FINE),
        lambda f: f.charge(f.blocks[1], with_bad(bad, (1, 3))),
        lambda f: f.offset(f.blocks[1], Constant(with_bad(bad, (3,)))),
        lambda f: f.offset(f.blocks[1], Constant(np.ones(3), with_bad(abs(bad), (3,)))),
        lambda f: f.through_map(DiagMap(Constant(with_bad(bad, (3,))), (3,)), f.blocks[1], FINE),
        lambda f: f.through_map(MatMap(Constant(with_bad(bad, (3, 3))), 1), f.blocks[1], FINE),
        lambda f: f.through_lines(f.blocks[1], (with_bad(bad, (1, 3)), lines), (lines, lines), FINE),
        lambda f: f.through_lines(f.blocks[1], (lines, lines), (lines, with_bad(bad, (1, 3))), FINE),
    ):
        with pytest.raises((OutOfRange, ValueError)):
            call(seeded())


@pytest.mark.parametrize("bad", [v for v in BAD if not np.isnan(v)])
def test_refuses_bad_boxes(bad: float) -> None:
    square = MatMap(Constant(np.ones((3, 3))), 1)
    lines = np.ones((1, 3))
    for call in (
        lambda f, b: f.put(1, np.ones((1, 2, 3)), b),
        lambda f, b: f.through_map(square, f.blocks[1], b),
        lambda f, b: f.through_lines(f.blocks[1], (lines, lines), (lines, lines), b),
        lambda f, b: f.lower({1: b}),
        lambda f, b: Ball64().image((square,), (b,), None),
        lambda f, b: Ball64().image((SignMap(1, 3),), (b,), None),
    ):
        with pytest.raises(OutOfRange):
            call(seeded(), bad_box(bad))


def test_box_refuses_nan() -> None:
    with pytest.raises(ValueError, match="NaN"):
        Box(np.full((1, 3), np.nan), np.ones((1, 3)))


def test_multiplier_needs_one_row_a_domain() -> None:
    form = seeded()
    with pytest.raises(ValueError, match="one row"):
        form.multipliers(form.blocks[1], columns((0, 0, 1.0, 0.0)), FINE)


def test_too_many_terms_are_refused() -> None:
    with pytest.raises(OutOfRange):
        gamma_up((1 << 24) + 1)


def test_constants_dominate_what_they_stand_for() -> None:
    v = Fraction(1, 1 << 52)
    for k in (1, 2, 1000, 1 << 24):
        gamma = k * v / (1 - k * v)
        assert Fraction(gamma_up(k)) >= gamma + 3 * v
        assert Fraction(slack_up(k)) * (1 - gamma) * (1 - v) ** 6 >= 1


def test_long_dot_products_drop_terms() -> None:
    """Ones in every lane of the sum, then thousands of terms of half a last bit: all are lost, and charged."""
    values = np.concatenate([np.ones(64), np.full(6000, 2.0**-53)])[None, :]
    for sign in (1.0, -1.0):
        form = Ball64Form(Ball64(), 1, 1)
        box = Box(values, values)
        form.seed_rows(0, np.full((1, 1, values.size), sign), None, box)
        exact = sum(Fraction(v) for v in values.reshape(-1).tolist()) * Fraction(sign)
        assert Fraction(float(form.lower({0: box})[0, 0])) <= exact
        form = Ball64Form(Ball64(), 1, 1)
        form.seed_rows(0, np.full((1, 1, values.size), sign), None, box)
        form.offset(form.blocks.pop(0), Constant(values[0]))
        assert Fraction(float(form.lower({})[0, 0])) <= exact


def test_multipliers_are_checked_when_built() -> None:
    """A pair given twice would be subtracted once while both its points are added: an unsound bound."""
    columns((0, 1, 1.0, 0.0), (1, 1, 1.0, 0.0))
    for given in (
        ((0, 1, 1.0, 0.0), (0, 1, 1.0, 0.5)),
        ((0, 1, np.nan, 0.0),),
        ((0, 1, np.inf, 0.0),),
        ((0, 1, 1.0, np.nan),),
    ):
        with pytest.raises((ValueError, OutOfRange), match="multipliers"):
            columns(*given)


@pytest.mark.parametrize("places", ["a domain each", "shared", "of each domain"])
def test_unit_seeds_go_through_a_matrix_exactly(places: str) -> None:
    """Their bounds are at most the exact least values, and next to them: no product is charged."""
    rng = np.random.default_rng(len(places))
    weight, bias = rng.standard_normal((4, 6)) * 2.0 ** rng.integers(-60, 60, (4, 6)), rng.standard_normal(6)
    signs = np.array([1, -1, 1])
    domains, rows = (3, 1) if places == "a domain each" else (2, 3)
    picked = rng.integers(0, 6, (domains, 3) if places == "of each domain" else 3)
    ends = np.sort(rng.standard_normal((2, domains, 4)), axis=0)
    box = Box(ends[0], ends[1])
    form = Ball64().form(domains, rows)
    form.seed_units(1, 6, picked, signs)
    block = form.blocks.pop(1)
    form.offset(block, Constant(bias))
    form.put(0, form.through_map(MatMap(Constant(weight), 1), block, box), box)
    found = form.lower({0: box})
    for d, r in np.ndindex(found.shape):
        k = d if rows == 1 else r
        j, sign = int(picked[k] if picked.ndim == 1 else picked[d, k]), int(signs[k])
        low, high, column = (
            [Fraction(x) for x in a.tolist()] for a in (ends[0][d], ends[1][d], weight[:, j])
        )
        exact = sign * Fraction(float(bias[j])) + sum(
            (min(sign * w * a, sign * w * b) for w, a, b in zip(column, low, high, strict=True)), Fraction(0)
        )
        size = sum((abs(w) for w in column), Fraction(1)) * 8
        assert 0 <= exact - Fraction(float(found[d, r])) <= size / 2**48
