"""Quantize: exact at every nasty point, its lines proved on every kind of box."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.trusted.test_nonlinear import quantizer
from tlcheck.checking.crosscheck.mp_intervals import cross_check_relaxation
from tlcheck.trusted.arith.arb import arb, working_precision
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.lines import NO_GUESS, SlopeGuess
from tlcheck.trusted.ops.quantized import Quantize

Floats = NDArray[np.float64]
SCALES = (1.0, 0.1, 1 / 255, 3.0, 2.0**-126, 2.0**126, 2.0**-20 * 1.5)


def meant(op: Quantize, x: float) -> int:
    """Python rounds halves of fractions to even."""
    scale, low, high = (Fraction(float(c.mid)) for c in (op.scale, op.low, op.high))
    return int(min(max(round(Fraction(x) / scale), low), high))


def nasty(op: Quantize) -> Floats:
    """Half way numbers, multiples of the scale, saturation ends, and the neighbours of each; floats and doubles."""
    scale, low, high = (float(c.mid) for c in (op.scale, op.low, op.high))
    n = np.arange(low - 2, high + 3, 0.5)
    exact = n * scale
    with np.errstate(over="ignore"):
        single = exact.astype(np.float32)
        near = [np.nextafter(single, np.float32(s)) for s in (-np.inf, np.inf)]
    ends = [0.0, -0.0, 5e-324, 1e300, -1e300]
    found = [exact, single, *near, np.nextafter(exact, -np.inf), np.nextafter(exact, np.inf), ends]
    x = np.concatenate(found).astype(np.float64)
    return x[np.isfinite(x)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("low", "high"), [(-3, 4), (-128, 127), (-65536, 0)])
def test_values_and_boxes_are_exact(scale: float, low: int, high: int) -> None:
    op = quantizer(scale, low=low, high=high)
    x = nasty(op)[:: 7 if high - low < 300 else 4001]
    below, above = op.nearest(x, -1), op.nearest(x, 1)
    with working_precision(128):
        for v, a, b in zip(x.tolist(), below.tolist(), above.tolist(), strict=True):
            n = meant(op, v)
            assert float(op.ball(arb(v)).mid()) == n
            tie = (Fraction(v) / Fraction(float(op.scale.mid))) % 1 == Fraction(1, 2)
            assert {a, b} == ({n} if not tie or (n in (low, high) and a == b) else {a, a + 1}) and n in (a, b)


def test_only_what_a_ball_decides_is_said() -> None:
    """A ball between two half ways has the value of all its numbers."""
    op = quantizer(0.1)
    rng = np.random.default_rng(0)
    with working_precision(128):
        for v in rng.uniform(-0.5, 0.6, 200):
            ball = arb(float(v)).union(arb(float(v) + 1e-9))
            ends = {meant(op, float(v)), meant(op, float(v) + 1e-9)}
            if len(ends) == 1:
                assert float(op.ball(ball)) in ends


def boxes(op: Quantize, rng: np.random.Generator) -> Box:
    """Points, inside one step, over one jump, over many, saturating on either side or both; ends half way or anywhere."""
    scale = float(op.scale.mid)
    at = rng.choice(np.arange(-6, 8, 0.5), 24) * scale
    l = at + rng.choice([0.0, 0.0, 1e-12, -1e-12, 0.3], 24) * scale
    wide = l + rng.choice([0.0, 1e-9, 0.4, 1.0, 2.5, 9.0], 24) * scale
    return Box(l[None], np.maximum(l, wide)[None])


@pytest.mark.parametrize("scale", [1.0, 0.1, 2.0**-20 * 1.5])
def test_lines_lie_below_and_above(scale: float) -> None:
    rng = np.random.default_rng(2)
    op = quantizer(scale)
    for slope in (None, 0.0, 1 / scale, 0.37 / scale, 2.5 / scale, -0.8 / scale):
        box = boxes(op, rng)
        given = None if slope is None else np.full((1, 24), slope)
        (ls, lt), (us, ut) = (lines := op.lines(box, SlopeGuess(given, given))).lower, lines.upper
        share = np.concatenate([[0.0, 1.0], rng.random(8)])
        x = np.clip(box.lower + share[:, None] * (box.upper - box.lower), box.lower, box.upper)
        jumps = np.clip((np.rint(x / scale) + 0.5) * scale, box.lower, box.upper)
        for points in (x, jumps, np.clip(np.nextafter(jumps, -9), box.lower, box.upper)):
            for d, k in np.ndindex(points.shape):
                z = Fraction(float(points[d, k]))
                value = meant(op, float(points[d, k]))
                assert Fraction(float(ls[0, k])) * z + Fraction(float(lt[0, k])) <= value
                assert Fraction(float(us[0, k])) * z + Fraction(float(ut[0, k])) >= value
        assert cross_check_relaxation(op, box, lines) == []


def test_over_many_steps_lines_are_half_a_step_away() -> None:
    op = quantizer(0.25, low=-100, high=100)
    (ls, lt), (us, ut) = (
        (drawn := op.lines(Box(np.array([[-5.0]]), np.array([[5.0]])), NO_GUESS)).lower,
        drawn.upper,
    )
    assert ls == us == 4.0
    assert lt == pytest.approx(-0.5) and ut == pytest.approx(0.5)


def test_what_saturates_has_other_lines() -> None:
    """Where one side is cut f bends; where both are, the chord."""
    op = quantizer(1.0)
    for l, u, lower, upper in (
        (-30, 1, 0, 4 / 31),
        (-4, 3, 1, 6 / 7),
        (-30, 30, 7 / 60, 7 / 60),
        (5, 9, 0, 0),
        (0.4, 0.6, 0, 0),
    ):
        drawn = op.lines(Box(np.array([[float(l)]]), np.array([[float(u)]])))
        assert drawn.lower[0][0, 0] == pytest.approx(lower) and drawn.upper[0][0, 0] == pytest.approx(upper)
    stable = op.stable(Box(np.array([[5.0, 0.4, 0.4, 0.4]]), np.array([[9.0, 0.45, 0.5, 0.6]])))
    assert stable.tolist() == [[True, True, False, False]]


def test_nothing_is_said_beyond_doubles() -> None:
    with pytest.raises(OutOfRange):
        quantizer(1.0).lines(
            Box(np.array([[-1e308]]), np.array([[1e308]])), SlopeGuess(np.full((1, 1), 1e30), None)
        )


@pytest.mark.parametrize(
    ("scale", "low", "high", "wrong"),
    [
        (0.1, 0.0, 5.0, "float32"), (0.0, 0.0, 5.0, "range"), (-1.0, 0.0, 5.0, "range"), (2.0**-127, 0.0, 5.0, "range"),
        (1.0, 0.5, 5.0, "whole"), (1.0, 0.0, 2.0**18, "whole"), (1.0, 6.0, 5.0, "above"),
    ],
)  # fmt: skip
def test_constants_are_checked(scale: float, low: float, high: float, wrong: str) -> None:
    op = Quantize(Constant(np.array(scale)), Constant(np.array(low)), Constant(np.array(high)))
    with pytest.raises(ValueError, match=wrong):
        op.output_shape(((3,),))
