"""Gaps: every difference lies between the lines, on every kind of box, and faults planted in the rule are caught."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest

from tests.helpers import IEEE
from tests.operations import step_of
from tests.trusted.gaps import POINTWISE, clip
from tests.trusted.test_interval_ops import KINDS, balls, drawn_box, points_of
from tlcheck.trusted.arith.arb import arb, working_precision
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.ops import gap, smooth_gap
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.bent import Abs, LeakyRelu
from tlcheck.trusted.ops.gap import BentGap, Counterpart, Gap, less, moved
from tlcheck.trusted.ops.s_shaped import Tanh
from tlcheck.trusted.ops.smooth import Power, Reciprocal, Sqrt
from tlcheck.trusted.ops.smooth_gap import SmoothGap

SHAPES = ((6,), (6,))


def small(rng: np.random.Generator, kind: str, domains: int) -> tuple[Box, Box]:
    """Boxes of a and d; d is mostly much smaller than a."""
    a, d = (drawn_box(rng, kind, (domains, 6)) for _ in range(2))
    scale = 2.0 ** rng.choice([-30, -8, -2, 0], (domains, 6))
    return a, Box(d.lower * scale, d.upper * scale)


def violations(op: Gap, boxes: tuple[Box, Box], rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Points of the boxes at which the exact difference is certainly not between the lines, or not in the box."""
    (part,) = op.relaxation(boxes, SHAPES).parts
    assert part.operand == 1
    image = op.image(boxes, SHAPES, gap.NO_ENGINE)
    (ls, lt), (us, ut) = part.lines.lower, part.lines.upper
    step = step_of(op, *SHAPES)
    for xs in zip(*(points_of(rng, box, 10) for box in boxes), strict=True):
        for k in range(len(xs[1])):
            for i, y in enumerate(step([balls(x[k]) for x in xs])):
                d = arb(float(xs[1][k, i]))
                low, high = (
                    arb(float(np.broadcast_to(s, xs[1].shape)[k, i])) * d
                    + arb(float(np.broadcast_to(t, xs[1].shape)[k, i]))
                    for s, t in ((ls, lt), (us, ut))
                )
                if (
                    y < low
                    or y > high
                    or y < arb(float(image.lower[k, i]))
                    or y > arb(float(image.upper[k, i]))
                ):
                    yield k, i


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(POINTWISE))
def test_differences_lie_between_the_lines(name: str, kind: str) -> None:
    op, _ = POINTWISE[name]
    assert isinstance(op, Gap)
    for seed in range(3):
        rng = np.random.default_rng([seed, len(name), KINDS.index(kind)])
        with working_precision(300):
            try:
                assert not list(violations(op, small(rng, kind, 1 + seed % 2), rng)), (name, kind, seed)
            except OutOfRange:
                assert kind in ("huge", "mixed"), (name, kind)


FAULTS: dict[str, tuple[Gap, object, str, Callable[..., object]]] = {
    "one side of 0 alone": (BentGap(Relu()), gap, "hull", lambda a, b: a),
    "the operand is not moved": (BentGap(Abs()), gap, "moved", lambda a, d: a),
    "no outward rounding of products": (
        SmoothGap(Tanh()),
        gap,
        "_product_less",
        lambda s, w, x, side: s * x - w * x - side * 1e-9,
    ),
    "slopes of Clip the other way": (
        BentGap(clip(-1, 0.5)),
        gap,
        "_clip_slopes",
        lambda f, x: (np.ones(x.lower.shape),) * 2,
    ),
    "a derivative that is too small": (
        SmoothGap(Power(2.0)),
        smooth_gap,
        "derivative",
        lambda f, z: z * (2 - 1e-9),
    ),
    "a derivative at one end": (SmoothGap(Tanh()), smooth_gap, "pairwise", lambda cuts: [(cuts[0], cuts[0])]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    op, module, name, planted = FAULTS[fault]
    monkeypatch.setattr(module, name, planted)
    rng = np.random.default_rng(5)
    with working_precision(300):
        assert any(any(violations(op, small(rng, "ordinary", 2), rng)) for _ in range(40)), fault


def test_equal_slopes_give_the_difference_itself() -> None:
    """Where f is one line on both boxes, Gap is s d, exactly."""
    a, d = (
        Box(np.array([[2.0, -5.0]]), np.array([[3.0, -4.0]])),
        Box(np.full((1, 2), -0.1), np.full((1, 2), 0.3)),
    )
    (part,) = BentGap(Relu()).relaxation((a, d), ((2,), (2,))).parts
    for slope, intercept in (part.lines.lower, part.lines.upper):
        assert slope.tolist() == [[1.0, 0.0]] and not intercept.any()


def test_lines_are_close() -> None:
    """An undecided ReLU: as far apart as min(0, d) and max(0, d) make them, |dl| du / (du - dl)."""
    a, d = Box(np.array([[-1.0]]), np.array([[1.0]])), Box(np.array([[-0.1]]), np.array([[0.3]]))
    (part,) = BentGap(Relu()).relaxation((a, d), ((1,), (1,))).parts
    (ls, lt), (us, ut) = part.lines.lower, part.lines.upper
    assert ls[0, 0] == pytest.approx(0.25) and us[0, 0] == pytest.approx(0.75)
    assert -lt[0, 0] == pytest.approx(0.075) and ut[0, 0] == pytest.approx(0.075)


@pytest.mark.parametrize(("f", "low"), [(Sqrt(), 0.0), (Reciprocal(), -1.0)])
def test_slopes_without_a_bound(f: Sqrt | Reciprocal, low: float) -> None:
    """The root's difference is bounded by the ends alone; around a pole there is no bound."""
    boxes = Box(np.array([[low]]), np.array([[1.0]])), Box(np.array([[0.0]]), np.array([[0.0]]))
    with working_precision(128):
        if low < 0:
            with pytest.raises(OutOfRange):
                SmoothGap(f).relaxation(boxes, ((1,), (1,)))
            return
        inner = Box(np.array([[0.25]]), np.array([[1.0]])), Box(np.array([[-0.1]]), np.array([[0.125]]))
        (part,) = SmoothGap(f).relaxation(inner, ((1,), (1,))).parts
        assert Fraction(part.lines.upper[0][0, 0]) > 0


def test_unbounded_operands_have_no_lines() -> None:
    a, d = Box(np.array([[-np.inf]]), np.array([[1.0]])), Box(np.zeros((1, 1)), np.ones((1, 1)))
    with pytest.raises(OutOfRange):
        BentGap(Relu()).relaxation((a, d), ((1,), (1,)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["relu-gap", "leaky-gap", "one-sided-gap", "tanh-gap"])
def test_counterparts_are_values_of_the_function(name: str, kind: str) -> None:
    """In the range of f and the difference of f(a) and the gap; anything else they are not."""
    gap_, _ = POINTWISE[name]
    assert isinstance(gap_, Gap)
    op, f = Counterpart(gap_.f), gap_.f
    for seed in range(3):
        rng = np.random.default_rng([seed, KINDS.index(kind)])
        with working_precision(300):
            try:
                a, d = small(rng, kind, 2)
                operands = f.image((a,), SHAPES[:1], gap.NO_ENGINE), gap_.image((a, d), SHAPES, gap.NO_ENGINE)
                image = op.image((*operands, less(d, a)), (*SHAPES, (6,)), gap.NO_ENGINE)
            except OutOfRange:
                assert kind in ("huge", "mixed")
                continue
            assert (image.upper <= f.image((moved(a, d),), SHAPES[:1], gap.NO_ENGINE).upper).all()
            step = step_of(op, *SHAPES, (6,))
            for x, y in zip(points_of(rng, a, 5), points_of(rng, d, 5), strict=True):
                for k in range(2):
                    at, by = balls(x[k]), balls(y[k])
                    before = [p - q for p, q in zip(at, by, strict=True)]
                    ours, theirs = (step_of(f, (6,))([p]) for p in (at, before))
                    gaps = [p - q for p, q in zip(ours, theirs, strict=True)]
                    found = step([ours, gaps, [-p for p in before]])
                    for i, (value, made) in enumerate(zip(theirs, found, strict=True)):
                        assert value.overlaps(made) and not (value < arb(float(image.lower[k, i])))
                        assert not value > arb(float(image.upper[k, i]))
                    wrong = step([ours, [g + 1 for g in gaps], [-p for p in before]])
                    assert not any(p.is_finite() for p in wrong) or kind in ("huge", "mixed")


def test_a_counterpart_holds_the_other_programs_rounding() -> None:
    """f(-x_3) off by its radius: the box, widened by it, has it, also where range and difference have nothing in common."""
    op, x = Counterpart(Tanh()), Box(np.full((1, 1), -0.5), np.full((1, 1), -0.5))
    with working_precision(128):
        y = float(Tanh().ball(arb(0.5)).mid())
        radius = op.radius((x, x, x), ((1,),) * 3, x, IEEE)
        assert radius is not None
        r = float(radius[0, 0])
        for e in (-0.9 * r, 0.9 * r):
            value, nothing = Box(np.full((1, 1), y + e), np.full((1, 1), y + e)), Box(*np.zeros((2, 1, 1)))
            image = op.image((value, nothing, x), ((1,),) * 3, gap.NO_ENGINE)
            assert image.lower[0, 0] - r <= y + e <= image.upper[0, 0] + r


class Steep(BentGap):
    """Slopes that are not finite, as of a root at 0."""

    def slopes(self, x: Box) -> tuple[np.ndarray, np.ndarray]:
        return np.full(x.lower.shape, -np.inf), np.full(x.lower.shape, np.nan)


def test_slopes_that_are_not_finite_say_nothing() -> None:
    boxes = (
        Box(np.array([[-1.0, 1.0]]), np.array([[2.0, 1.0]])),
        Box(np.array([[-0.5, 0.0]]), np.array([[1.0, 0.0]])),
    )
    op, shapes = Steep(Relu()), ((2,), (2,))
    found, apart = op.image(boxes, shapes, None), op.apart(boxes, shapes)  # type: ignore[arg-type]
    assert (found.lower.tolist(), found.upper.tolist()) == (apart.lower.tolist(), apart.upper.tolist())
    [part] = op.relaxation(boxes, shapes).parts
    (low, lt), (high, ut) = part.lines.lower, part.lines.upper
    assert not low.any() and not high.any()
    assert (lt.tolist(), ut.tolist()) == (apart.lower.tolist(), apart.upper.tolist())


def test_both_programs_round() -> None:
    """The radius of f(a), and that of f(a - d)."""
    a, d = Box(np.array([[-1.0]]), np.array([[2.0]])), Box(np.array([[-4.0]]), np.array([[1.0]]))
    f = LeakyRelu(0.5)
    radii = [f.radius((x,), ((1,),), x, IEEE) for x in (a, Box(np.array([[-2.0]]), np.array([[6.0]])))]
    found = BentGap(f).radius((a, d), ((1,), (1,)), a, IEEE)
    assert found is not None and np.allclose(found, radii[0] + radii[1], rtol=1e-9, atol=0)
    assert (found >= radii[0] + radii[1]).all()
