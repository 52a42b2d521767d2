"""The exact cells against plain evaluation at rational points, and against a function whose cells are known."""

from __future__ import annotations

import random
from fractions import Fraction

from tests.truth.exact_cells import Layer, Point, at, cells, clipped, summit

F = Fraction
ABSOLUTE: list[Layer] = [
    ([[F(1), F(0)], [F(-1), F(0)], [F(0), F(1)], [F(0), F(-1)]], [F(0)] * 4),
    ([[F(-1)] * 4], [F(3)]),
]
"""3 - |s| - |t|."""


def value(layers: list[Layer], point: Point) -> list[Fraction]:
    h = list(point)
    for k, (weights, bias) in enumerate(layers):
        z = [
            sum((w * v for w, v in zip(row, h, strict=True)), b) for row, b in zip(weights, bias, strict=True)
        ]
        h = z if k == len(layers) - 1 else [max(v, F(0)) for v in z]
    return h


def area(corners: tuple[Point, ...]) -> Fraction:
    pairs = zip(corners, corners[1:] + corners[:1], strict=True)
    return abs(sum((p[0] * q[1] - p[1] * q[0] for p, q in pairs), F(0))) / 2


def net(seed: int) -> list[Layer]:
    rng = random.Random(seed)
    sizes = (2, 4, 3, 2)
    return [
        (
            [[F(rng.randint(-8, 8), 8) for _ in range(a)] for _ in range(b)],
            [F(rng.randint(-4, 4), 8) for _ in range(b)],
        )
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]


def test_cells_fill_the_rectangle_and_give_the_value_at_every_point_of_theirs():
    rng = random.Random(5)
    for seed in range(6):
        layers = net(seed)
        parts = list(cells(layers, (F(-1), F(-2)), (F(2), F(1))))
        assert sum(area(c.corners) for c in parts) == 9
        for cell in parts:
            shares = [F(rng.randint(1, 9)) for _ in cell.corners]
            point = tuple(
                sum(s * p[i] for s, p in zip(shares, cell.corners, strict=True)) / sum(shares) for i in (0, 1)
            )
            assert [at(row, point) for row in cell.outputs] == value(layers, point)


def test_the_summit_of_a_known_function_with_and_without_a_constraint():
    parts = list(cells(ABSOLUTE, (F(-1), F(-1)), (F(2), F(2))))
    top = summit(parts, [F(1)])
    assert top is not None and top.value == 3 and top.point == (0, 0)
    low = summit(parts, [F(-1)])
    assert low is not None and low.value == 1 and low.point == (2, 2)
    assert summit(parts, [F(-1)], [([F(1)], F(2))]).value == -2
    assert summit(parts, [F(1)], [([F(1)], F(4))]) is None


def test_a_polygon_that_only_touches_a_half_plane_is_left_with_a_corner():
    triangle = ((F(0), F(0)), (F(1), F(0)), (F(0), F(1)))
    assert clipped(triangle, (F(1), F(0), F(-1))) == ((F(1), F(0)),)
    assert clipped(triangle, (F(1), F(0), F(-2))) == ()
