"""Interval rules and planes of products, softmax, steps and choices; lines of smooth functions: attacked by sampling.

Points are drawn in boxes of every size and place (points, straddling 0, subnormal, huge, whole numbers, halves, poles), the
operation is evaluated there exactly or in Arb at 300 bits, and must lie in what the rule gave.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.operations import step_of
from tests.trusted.functions import FUNCTIONS, Row
from tests.trusted.gaps import GAPS
from tests.trusted.oracle import REPEATS
from tlcheck.trusted.arith.arb import Arb, arb, working_precision
from tlcheck.trusted.arith.ball64 import Ball64
from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.intervals import image
from tlcheck.trusted.ops.arcs import Acos, Asin
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.discrete import ArgMax, Compare, Floor, Round, Select, Sign, Truncate, select_lines
from tlcheck.trusted.ops.indexed import Call, Indexed
from tlcheck.trusted.ops.lines import Lines
from tlcheck.trusted.ops.product import MatProduct, Product, product_planes, product_range
from tlcheck.trusted.ops.roots import Root
from tlcheck.trusted.ops.smooth import Cos, Erf, Exp, Log, Power, Reciprocal, Sin, Smooth, Softplus, Sqrt
from tlcheck.trusted.ops.softmax import Softmax

Shape = tuple[int, ...]
KINDS = ("ordinary", "points", "tiny", "huge", "halves", "straddling", "thin", "mixed")


def drawn_box(rng: np.random.Generator, kind: str, shape: Shape) -> Box:
    """(D, n), lower <= upper."""
    a, b = rng.normal(0, 2, (2, *shape))
    match kind:
        case "points":
            b = a
        case "tiny":
            a, b = a * 2.0**-1060, b * 2.0**-1060
        case "huge":
            a, b = a * 2.0**60, b * 2.0**60
        case "halves":
            a, b = np.round(a * 2) / 2, np.round(b * 2) / 2
        case "straddling":
            a, b = -np.abs(a), np.abs(b)
        case "thin":
            b = np.nextafter(a, np.inf)
        case "mixed":
            scale = 2.0 ** rng.choice([-1070, -300, -30, 0, 0, 5, 60], shape)
            a, b = a * scale, np.where(rng.random(shape) < 0.3, a * scale, b * scale)
            a = np.where(rng.random(shape) < 0.2, 0.0, a)
    return Box(np.minimum(a, b), np.maximum(a, b))


def points_of(rng: np.random.Generator, box: Box, count: int) -> list[np.ndarray]:
    """Corners and points inside, (D, n) each."""
    found = [box.lower, box.upper]
    for _ in range(count):
        t = (
            rng.choice([0.0, 1.0, 0.5], box.lower.shape)
            if rng.random() < 0.4
            else rng.random(box.lower.shape)
        )
        x = box.lower * (1 - t) + box.upper * t
        x = np.where(rng.random(x.shape) < 0.2, np.rint(x * 2) / 2, x)  # steps and ties
        found.append(np.clip(x, box.lower, box.upper))
    return found


OPS: dict[str, tuple[Operation, list[Shape]]] = {
    "product": (Product(), [(6,), (6,)]),
    "matproduct": (MatProduct(), [(2, 2, 3), (2, 3, 2)]),
    "softmax": (Softmax(), [(2, 4)]),
    "softmax-one": (Softmax(), [(3, 1)]),
    "sign": (Sign(), [(6,)]),
    "floor": (Floor(), [(6,)]),
    "round": (Round(), [(6,)]),
    "truncate": (Truncate(), [(6,)]),
    "equal": (Compare("=="), [(6,), (6,)]),
    "less": (Compare("<"), [(6,), (6,)]),
    "less-equal": (Compare("<="), [(6,), (6,)]),
    "argmax": (ArgMax(), [(3, 4)]),
    "argmax-last": (ArgMax(last=True), [(3, 4)]),
    **{name: row for name, row in GAPS.items() if name.endswith("-gap")},
}


def balls(x: np.ndarray) -> list[Arb]:
    return [arb(v) for v in x.tolist()]


def inside(y: Arb, low: float, high: float) -> bool:
    """Some number of the ball lies in [low, high]; for an exact ball: it does."""
    return not (y < arb(low) or y > arb(high))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(OPS))
def test_values_lie_in_the_box(name: str, kind: str) -> None:
    op, shapes = OPS[name]
    for seed in range(6 * REPEATS):
        rng = np.random.default_rng([seed, len(name), KINDS.index(kind)])
        domains = 1 + seed % 2
        boxes = tuple(drawn_box(rng, kind, (domains, int(np.prod(s)))) for s in shapes)
        with working_precision(300):
            try:
                found = image(op, None, boxes, Ball64(), tuple(shapes))
            except OutOfRange:
                assert kind in ("huge", "mixed") and name in ("truncate", "matproduct"), (name, kind)
                continue
            step = step_of(op, *shapes)
            for xs in zip(*(points_of(rng, box, 12) for box in boxes), strict=True):
                for d in range(domains):
                    values = step([balls(x[d]) for x in xs])
                    for k, y in enumerate(values):
                        assert inside(y, found.lower[d, k], found.upper[d, k]), (kind, d, k)


def test_boxes_of_points_are_sharp() -> None:
    rng = np.random.default_rng(3)
    for name, (op, shapes) in OPS.items():
        xs = [np.round(rng.normal(0, 2, (1, int(np.prod(s)))) * 2) / 2 for s in shapes]
        with working_precision(128):
            found = image(op, None, tuple(Box(x, x) for x in xs), Ball64(), tuple(shapes))
            step = step_of(op, *shapes)
            for k, y in enumerate(step([balls(x[0]) for x in xs])):
                assert found.lower[0, k] == pytest.approx(float(y.mid()), abs=1e-12), name
                assert found.upper[0, k] == pytest.approx(float(y.mid()), abs=1e-12), name


def test_softmax_is_attained_at_corners() -> None:
    """The range is tight: each end is the value at a corner of the box."""
    rng = np.random.default_rng(8)
    box = drawn_box(rng, "ordinary", (1, 5))
    found = image(Softmax(), None, (box,), Ball64(), ((5,),))
    for i in range(5):
        for end, own, others in ((found.lower, box.lower, box.upper), (found.upper, box.upper, box.lower)):
            x = others[0].copy()
            x[i] = own[0, i]
            value = np.exp(x[i]) / np.exp(x).sum()
            assert end[0, i] == pytest.approx(value, rel=1e-12)


def test_softmax_of_huge_differences() -> None:
    with working_precision(128):
        found = image(
            Softmax(),
            None,
            (Box(np.array([[-1e300, 1e300]]), np.array([[1e300, 1e300]])),),
            Ball64(),
            ((2,),),
        )
    assert (found.lower == [[0, 0.5]]).all() and found.upper[0, 0] >= 0.5 and found.upper[0, 1] == 1


def test_choices() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        c_low, c_high = np.sort(rng.integers(0, 2, (2, 1, 8)), axis=0).astype(float)
        a, b = (drawn_box(rng, "ordinary", (1, 8)) for _ in range(2))
        box = image(Select(), None, (Box(c_low, c_high), a, b), Ball64(), ((8,),) * 3)
        on_a, on_b = select_lines(Box(c_low, c_high), a, b)
        for x, y in zip(points_of(rng, a, 4), points_of(rng, b, 4), strict=True):
            for c in (c_low, c_high):
                z = np.where(c == 1, x, y)
                assert (box.lower <= z).all() and (z <= box.upper).all()
                low, high = (
                    on_a_line[0] * x + on_a_line[1] + on_b_line[0] * y + on_b_line[1]
                    for on_a_line, on_b_line in ((on_a.lower, on_b.lower), (on_a.upper, on_b.upper))
                )
                assert (low <= z).all() and (z <= high).all()  # slopes 0 and 1: exact in floats


def test_a_condition_that_is_neither_is_no_choice() -> None:
    box = image(
        Select(),
        None,
        tuple(Box(np.array([[v]]), np.array([[w]])) for v, w in ((0.5, 0.5), (1, 2), (5, 6))),
        Ball64(),
    )
    assert (box.lower, box.upper) == (1, 6)


# Computed indices.


def test_fixed_indices_move_boxes() -> None:
    op = Indexed((2,), (True, False), Constant(np.array([5.0])), (Call("Gather", (0, 1), np.array([0])),))
    x = Box(np.array([[1.0, 2, 3]]), np.array([[1.5, 2.5, 3.5]]))
    at = np.array([[2.0, -3.0]])
    found = image(op, None, (x, Box(at, at)), Ball64(), ((3,), (2,)))
    assert found.lower.tolist() == [[3, 1]] and found.upper.tolist() == [[3.5, 1.5]]
    for low, high in (
        ([2.0, 0], [2.0, 1]),
        ([0.5, 0], [0.5, 0]),
        ([7.0, 0], [7.0, 0]),
        ([1e300, 0], [1e300, 0]),
    ):
        with pytest.raises(OutOfRange):
            image(op, None, (x, Box(np.array([low]), np.array([high]))), Ball64(), ((3,), (2,)))


# Smooth functions.

POLES: list[tuple[Smooth, float, float]] = [
    (Log(), 0.0, 1.0), (Log(), -1.0, 1.0), (Sqrt(), -1e-300, 1.0), (Reciprocal(), -1.0, 1.0), (Reciprocal(), 0.0, 1.0),
    (Reciprocal(), -1.0, 0.0), (Asin(), -1.0, 1 + 1e-15), (Asin(), -1 - 1e-15, 0.0), (Acos(), 0.0, 1 + 1e-15), (Power(0.3), -1e-300, 1.0), (Exp(), 0.0, 1000.0), (Reciprocal(), 1e-320, 1.0), (Power(1024.0), 0.0, 9.0),
]  # fmt: skip


@pytest.mark.parametrize(("op", "l", "u"), POLES, ids=lambda v: str(v))
def test_at_a_pole_there_is_no_box(op: Smooth, l: float, u: float) -> None:
    box = Box(np.array([[l]]), np.array([[u]]))
    with working_precision(128):
        for rule in (lambda: image(op, None, (box,), Ball64()), lambda: op.lines(box)):
            with pytest.raises(OutOfRange):
                rule()


@pytest.mark.parametrize(
    "op", [Sqrt(), Power(0.5), Power(1.5), Power(3.0), *map(Root, (1, 2, 3, 8))], ids=str
)
def test_a_box_that_ends_at_zero_is_defined(op: Smooth) -> None:
    box = Box(np.zeros((1, 1)), np.array([[0.3]]))
    with working_precision(128):
        found, lines = image(op, None, (box,), Ball64()), op.lines(box)
        assert op.ball(arb(0)) == 0
    exponent = 1 / op.order if isinstance(op, Root) else float(getattr(op, "exponent", 0.5))
    assert found.lower[0, 0] == 0 and found.upper[0, 0] == pytest.approx(0.3**exponent)
    assert lines.lower[1][0, 0] <= 0 <= lines.upper[1][0, 0]


ROWS = [
    *FUNCTIONS.values(), *(FUNCTIONS["cube"]._replace(op=Power(p)) for p in (5.0, 4.0, 1.0)), FUNCTIONS["power"]._replace(op=Power(0.3)),
]  # fmt: skip
SMOOTH = [row for row in ROWS if isinstance(row.op, Smooth)]


def name_of(row: Row) -> str:
    return str(row.op)


@pytest.mark.parametrize("kind", [*KINDS, "wide"])
@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_lines_and_boxes_hold_smooth_functions(row: Row, kind: str) -> None:
    """At the ends, near them, at points inside and at the touching points' neighbours."""
    op = row.op
    for seed in range(3 * REPEATS):
        rng = np.random.default_rng([seed, len(str(op))])
        box = drawn_box(rng, "ordinary" if kind == "wide" else kind, (2, 8))
        if kind == "wide":
            box = Box(box.lower * 5, box.upper * 5)
        box = row.box(box)
        with working_precision(300):
            try:
                values, drawn = image(op, None, (box,), Ball64()), op.lines(box)
            except OutOfRange:
                assert kind in ("huge", "mixed", "tiny"), (op, kind)
                continue
            inner = [*points_of(rng, box, 8), np.clip(np.nextafter(box.lower, np.inf), box.lower, box.upper)]
            for x in inner:
                for d, k in np.ndindex(x.shape):
                    z = arb(float(x[d, k]))
                    y = op.ball(z)
                    assert inside(y, values.lower[d, k], values.upper[d, k])
                    (ls, lt), (us, ut) = (
                        [arb(float(np.broadcast_to(part, x.shape)[d, k])) for part in line]
                        for line in (drawn.lower, drawn.upper)
                    )
                    assert not (y < ls * z + lt), (op, kind, box.lower[d, k], box.upper[d, k], float(x[d, k]))
                    assert not (y > us * z + ut), (op, kind, box.lower[d, k], box.upper[d, k], float(x[d, k]))


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_lines_are_of_second_order(row: Row) -> None:
    """Halving a small box quarters the gap: a tangent and a chord, not the ends of the range."""
    at = 1.1 if row.domain[1] > 2 else 0.6
    gaps = []
    for width in (2.0**-6, 2.0**-7):
        box = Box(np.array([[at]]), np.array([[at + width]]))
        with working_precision(128):
            drawn = row.op.lines(box)
        low, high = (line[0] * (at + width / 2) + line[1] for line in (drawn.lower, drawn.upper))
        gaps.append(float((high - low)[0, 0]))
    assert gaps[1] <= 0.3 * gaps[0] + 1e-9


@pytest.mark.parametrize("row", SMOOTH, ids=name_of)
def test_derivatives_and_curvatures(row: Row) -> None:
    """Against differences of high precision."""
    op = row.op
    assert isinstance(op, Smooth)
    rng = np.random.default_rng(1)
    with working_precision(400):
        h = arb(2) ** -60
        for x in row.within((np.abs(rng.normal(0, 2, 25)) + 0.01) * rng.choice([-1, 1], 25)):
            if abs(x) in row.domain:
                continue
            z = arb(float(x))
            below, at, above = (op.ball(v) for v in (z - h, z, z + h))
            slope, bend = (above - below) / (2 * h), (above - 2 * at + below) / (h * h)
            assert abs(float((op.derivative(z) - slope).mid())) <= 1e-12 * max(1.0, abs(float(slope.mid())))
            known = op.curvature(z, z)
            assert known == 0 or known * float(bend.mid()) >= -1e-12


def test_curvature_is_not_claimed_across_an_inflection() -> None:
    with working_precision(128):
        for op in (Sin(), Erf(), Power(3.0), Reciprocal()):
            assert op.curvature(arb(-1e-3), arb(1e-3)) == 0
        assert Cos().curvature(arb(1.5), arb(1.6)) == 0
        assert Softplus().curvature(arb(-9), arb(9)) == Exp().curvature(arb(-9), arb(9)) == 1


@pytest.mark.parametrize("row", SMOOTH, ids=name_of)
def test_ends_of_a_point_are_its_value(row: Row) -> None:
    op = row.op
    assert isinstance(op, Smooth)
    with working_precision(128):
        low, high = op.ends(arb(0.7), arb(0.7))
        value = op.ball(arb(0.7))
    assert float(low) == pytest.approx(float(value)) and float(high) == pytest.approx(float(value))


# Planes.


def height(line: tuple[Lines, Lines], upper: bool, x: float, y: float, at: tuple[int, int]) -> Fraction:
    total = Fraction(0)
    for part, z in zip(line, (x, y), strict=True):
        slope, intercept = (np.broadcast_to(v, (at[0] + 1, at[1] + 1))[at] if v.shape == (1, 1) else v[min(at[0], v.shape[0] - 1), at[1]]
                            for v in (part.upper if upper else part.lower))  # fmt: skip
        total += Fraction(float(slope)) * Fraction(z) + Fraction(float(intercept))
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_planes_enclose_products(kind: str) -> None:
    """In exact rationals."""
    for seed in range(5 * REPEATS):
        rng = np.random.default_rng([seed, KINDS.index(kind)])
        x, y = drawn_box(rng, kind, (1 + seed % 2, 7)), drawn_box(rng, kind, (1, 7))
        with working_precision(128):
            planes = product_planes(x, y)
        for a, b in zip(points_of(rng, x, 10), points_of(rng, y, 10), strict=True):
            for at in np.ndindex(a.shape):
                v, w = float(a[at]), float(b[0, at[1]])
                exact = Fraction(v) * Fraction(w)
                assert height(planes, False, v, w, at) <= exact <= height(planes, True, v, w, at)


def test_planes_are_sharp() -> None:
    """The gap is the range of (x - p) (y - q): twice the product of the half widths."""
    x, y = Box(np.array([[1.0]]), np.array([[2.0]])), Box(np.array([[-3.0]]), np.array([[1.0]]))
    planes = product_planes(x, y)
    assert height(planes, True, 1.5, -1, (0, 0)) - height(planes, False, 1.5, -1, (0, 0)) == pytest.approx(
        2 * 0.5 * 2
    )
    for end in (-np.inf, -1e300):
        wide = Box(np.array([[end]]), np.array([[0.0]]))
        with pytest.raises(OutOfRange):
            product_planes(wide, wide)
        with pytest.raises(OutOfRange):
            product_range(wide, wide)
