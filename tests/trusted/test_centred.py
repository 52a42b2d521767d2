"""Zonotopes around centres: for every choice of the symbols and of what is own, the exact value is where (*) says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from tlcheck.trusted import centred
from tlcheck.trusted.arith.arb import Arb, arb, lower_float, upper_float, working_precision
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.noise import Rows, Values, enclosed
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.smooth import Erf, Exp, Log, Power, Reciprocal, Softplus, Sqrt
from tlcheck.trusted.ops.softmax import softmax_balls

Floats = NDArray[np.float64]
Balls = list[Arb]
ENGINE: Final = Ball64()
FUNCTIONS: Final[dict[str, tuple[Elementwise, float, float]]] = {
    "exp": (Exp(), -20, 20), "log": (Log(), 1e-3, 50), "sqrt": (Sqrt(), 1e-6, 50), "erf": (Erf(), -7, 7),
    "reciprocal": (Reciprocal(), -3, 3), "square": (Power(2.0), -30, 30), "cube": (Power(3.0), -30, 30),
    "tanh": (Tanh(), -20, 20), "sigmoid": (Sigmoid(), -40, 40), "softplus": (Softplus(), -40, 40),
}  # fmt: skip


def values(rng: np.random.Generator, centre: Floats, size: float, first: int = 0, count: int = 5) -> Values:
    """In one domain, within about ``size`` of the centre, by ``count`` symbols from ``first`` on; rows are lazy products."""
    n = centre.size
    base = rng.normal(size=(count, n)) * size / count
    rows = Rows(base, rng.permutation(n), rng.uniform(0.5, 1, n))
    own = np.abs(rng.normal(size=(1, n))) * size / 4
    anywhere = Box(np.full((1, n), -np.inf), np.full((1, n), np.inf))
    return enclosed(centre[None], own, [(np.arange(first, first + count), rows.array)], anywhere)


def at(v: Values, t: Floats, own: Floats) -> Balls:
    """The values for these symbols, exactly."""
    rows = v.rows[0].array
    mixed = [sum((arb(r) * arb(s) for r, s in zip(column, t[v.symbols[0]], strict=True)), arb(0)) for column in rows.T.tolist()]  # fmt: skip
    return [arb(c) + m + arb(o) * arb(s) for c, m, o, s in zip(v.centre[0].tolist(), mixed, v.own[0].tolist(), own.tolist(), strict=True)]  # fmt: skip


def holds(result: Values, exact: Sequence[Arb], t: Floats) -> float:
    """The largest part of ``own`` that is used; more than 1: (*) does not hold. The value lies in the box and the spread, too."""
    there = at(result, t, np.zeros(result.centre.shape[1]))
    own, box, spread = result.own[0], result.box, result.spread[0]
    used = 0.0
    for k, (x, y) in enumerate(zip(there, exact, strict=True)):
        used = max(used, upper_float(abs(y - x)) / own[k])
        assert box.lower[0, k] <= lower_float(y) and upper_float(y) <= box.upper[0, k]
        assert upper_float(abs(y - arb(float(result.centre[0, k])))) <= spread[k]
    return used


def most_used(result: Values, exact: Callable[[Floats], Sequence[Arb]], seed: int = 0) -> float:
    rng = np.random.default_rng(seed)
    with working_precision(160):
        chosen = [rng.choice([-1.0, 1.0], 16) for _ in range(6)] + [rng.uniform(-1, 1, 16) for _ in range(3)]
        return max(holds(result, exact(t), t) for t in chosen)


def signs(n: int, t: Floats) -> Floats:
    """Of what is own: extreme, another one for each choice of the symbols."""
    return np.random.default_rng(int(abs(t[0]) * 1e6) + n).choice([-1.0, 1.0], n)


@pytest.mark.parametrize("size", [1e-9, 1e-5, 2.0**-8, 0.3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str, size: float) -> None:
    op, low, high = FUNCTIONS[name]
    rng = np.random.default_rng(1)
    centre = rng.uniform(low, high, 12)
    v = values(rng, centre, size)
    if name in ("log", "sqrt", "reciprocal"):
        centre = np.copysign(np.maximum(np.abs(centre), 3 * v.spread[0]), centre)
        v = values(np.random.default_rng(1), centre, size / 3)
    lines, box = centred.lines_and_range(op, v.box, ENGINE)
    result = centred.along(v, lines, box)
    used = most_used(result, lambda t: [op.ball(x) for x in at(v, t, signs(12, t))])
    assert 0.05 < used <= 1


def test_functions_have_narrow_lines() -> None:
    """Far below what float32 rounds: 2^-24 of the value."""
    for op, low, high in FUNCTIONS.values():
        c = np.linspace(max(low, 0.01), high, 50)[None]
        _, box = centred.lines_and_range(op, Box(c, c), ENGINE)
        assert bool((box.upper - box.lower <= 2.0**-39 * np.maximum(1, np.abs(box.upper))).all())


@pytest.mark.parametrize("size", [1e-9, 1e-4, 2.0**-6])
def test_softmax(size: float) -> None:
    rng = np.random.default_rng(2)
    v = values(rng, rng.normal(size=12) * 3, size)
    result = centred.softmax(v, 4)
    assert result is not None

    def exact(t: Floats) -> Balls:
        x = at(v, t, signs(12, t))
        return [y for k in range(0, 12, 4) for y in softmax_balls(x[k : k + 4])]

    assert 0.05 < most_used(result, exact) <= 1


def test_softmax_knows_that_its_values_move_together() -> None:
    """One symbol that moves all operands moves nothing."""
    v = enclosed(np.array([[0.5, 1.0, -1.0]]), np.zeros((1, 3)), [(np.arange(1), np.full((1, 3), 1e-3))], Box(np.full((1, 3), -9.0), np.full((1, 3), 9.0)))  # fmt: skip
    result = centred.softmax(v, 3)
    assert result is not None and float((result.box.upper - result.box.lower).max()) < 1e-5


def test_softmax_of_what_is_too_far() -> None:
    rng = np.random.default_rng(2)
    assert centred.softmax(values(rng, rng.normal(size=4), 1.0), 4) is None
    assert centred.softmax(values(rng, np.array([0.0, 1.0, -300.0, 2.0]), 1e-6), 4) is None


@pytest.mark.parametrize("size", [1e-9, 1e-4, 0.5])
@pytest.mark.parametrize("most", [100, 3])
def test_products(size: float, most: int) -> None:
    """Of values that share symbols, entry by entry and as matrices; of symbols that are given up."""
    rng = np.random.default_rng(3)
    a, b = values(rng, rng.normal(size=6), size), values(rng, rng.normal(size=6), size, first=2)

    def both(t: Floats) -> tuple[Balls, Balls]:
        return at(a, t, signs(6, t)), at(b, t, signs(6, -t))

    each = centred.product(a, b, np.multiply, 1, most)
    assert 0.02 < most_used(each, lambda t: [x * y for x, y in zip(*both(t), strict=True)]) <= 1

    def matrix(t: Floats) -> Balls:
        x, y = both(t)
        return [
            sum((x[3 * i + k] * y[2 * k + j] for k in range(3)), arb(0)) for i in range(2) for j in range(2)
        ]

    made = centred.product(a, b, centred.matrix_times((2, 3), (3, 2)), 3, most)
    assert 0.02 < most_used(made, matrix) <= 1


def test_rows_are_scaled_and_gathered_later() -> None:
    rng = np.random.default_rng(4)
    base, factor, index = rng.normal(size=(3, 5)), rng.normal(size=5), np.array([4, -1, 0, 0])
    rows = Rows(base).times(factor).gathered(index).times(np.full(4, 2.0)).gathered(np.array([3, 1, -1, 0]))
    expected = 2 * (base * factor)[:, [0, 0, 0, 4]]
    expected[:, 1:3] = 0
    assert np.allclose(rows.array, expected, rtol=1e-15, atol=0) and len(rows) == 3
    assert Rows(np.zeros((0, 5))).gathered(index).array.shape == (0, 4)
