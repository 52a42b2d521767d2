"""Elementary functions in float64: the exact value lies within the proved error, which is not far from what is attained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from tlcheck.trusted.arith import elementary
from tlcheck.trusted.arith.arb import Arb, arb, upper_float, working_precision
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.ops.smooth import Erf, Exp, Log, Softplus

Floats = NDArray[np.float64]
Row = tuple[Callable[[Floats], elementary.Enclosed], Callable[[Arb], Arb], float, float]

ROWS: Final[dict[str, Row]] = {
    "exp": (elementary.exp, Exp().ball, -700, 700),
    "sigmoid": (elementary.sigmoid, Sigmoid().ball, -600, 600),
    "tanh": (elementary.tanh, Tanh().ball, -300, 300),
    "softplus": (elementary.softplus, Softplus().ball, -600, 600),
    "erf": (elementary.erf, Erf().ball, -8, 8),
}


def places(low: float, high: float) -> Floats:
    """Of all sizes, and where arguments are reduced: beside multiples of log 2 / 2."""
    rng = np.random.default_rng(0)
    sizes = np.exp2(rng.uniform(-60, np.log2(high), 150)) * rng.choice([-1.0, 1.0], 150)
    reduced = np.arange(-20, 21) * (np.log(2) / 2)
    beside = np.concatenate([np.nextafter(reduced, -np.inf), reduced, np.nextafter(reduced, np.inf)])
    found = np.concatenate([sizes, beside, [0.0, 1e-300, low, high, 6.0, np.nextafter(6.0, 9)]])
    return found[(found >= low) & (found <= high)]


def errors(x: Floats, y: Floats, exact: Callable[[Arb], Arb]) -> Floats:
    """|y - f(x)|, rounded up."""
    with working_precision(128):
        return np.array(
            [upper_float(abs(arb(b) - exact(arb(a)))) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
        )


@pytest.mark.parametrize("name", ROWS)
def test_the_exact_value_is_within_the_error(name: str) -> None:
    function, exact, low, high = ROWS[name]
    x = places(low, high)
    y, bound = function(x)
    found = errors(x, y, exact)
    assert bool((found <= bound).all()), x[found > bound]
    assert float((found / bound).max()) > 1e-4  # and 2^-39 of the value is far below any float32 radius
    assert bool((bound <= 2.0**-39 * np.maximum(np.abs(y), 1)).all())


def test_logarithms() -> None:
    x = np.exp2(np.random.default_rng(1).uniform(-200, 200, 200))
    x = np.concatenate(
        [x, [1.0, np.nextafter(1, 0), np.nextafter(1, 2), 0.7071, 0.7072, 1.4143, 1.4144, 2.0, 0.5]]
    )
    y, bound = elementary.log(x)
    found = errors(x, y, Log().ball)
    assert bool((found <= bound).all()) and float((found / bound).max()) > 1e-3


@pytest.mark.parametrize("shift", [1e-9, -1e-9])
def test_a_wrong_constant_is_seen(shift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    high, low = elementary.LN2_PARTS
    monkeypatch.setattr(elementary, "LN2_PARTS", (high, low + shift))
    x = np.linspace(1.0, 9.0, 20)
    y, bound = elementary.exp(x)
    assert bool((errors(x, y, Exp().ball) > bound).any())


def test_far_away_and_no_number() -> None:
    x = np.array([1e3, 1e300, np.inf])
    assert np.isinf(elementary.exp(x)[1]).all() and (elementary.exp(-x)[0] < 1e-303).all()
    assert elementary.tanh(x)[0].tolist() == [1.0] * 3 and elementary.sigmoid(-x)[0].max() < 1e-303
    for function in (elementary.exp, elementary.sigmoid, elementary.tanh, elementary.softplus):
        assert np.isnan(function(np.array([np.nan]))[0]).all()


def test_an_argument_that_was_not_reduced_has_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``rint`` may do in another rounding mode."""
    monkeypatch.setattr(np, "rint", np.floor)
    y, _ = elementary.exp(np.array([0.5, 0.1]))
    assert np.isnan(y[0]) and abs(y[1] - np.exp(0.1)) < 1e-15


def test_constants_are_what_the_proof_says() -> None:
    first, second = elementary.LN2_PARTS
    with working_precision(300):
        assert first * 2.0**32 == int(first * 2.0**32) < 2**32 and 0 <= second <= 2.0**-32
        assert abs(arb(2).log() - arb(first) - arb(second)) < arb(2) ** -84
        near = arb("0.36")
        terms = [near**i / arb(i + 1).gamma() * (2 * i + 2) for i in range(14)]
        assert arb("1.001") * sum(terms, arb(0)) / (-near).exp() < arb("5.62")
        assert near**14 / arb(15).gamma() * (2 * near).exp() < arb("0.08") * arb(2) ** -52
    assert len(elementary.COEFFICIENTS) == 14
