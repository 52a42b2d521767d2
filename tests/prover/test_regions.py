"""Which regions a point lies in or near: exact, however many there are."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from tlcheck.prover.regions import Regions, distance
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query


def test_near_is_exact_among_many_boxes() -> None:
    rng = np.random.default_rng(3)
    boxes = []
    for _ in range(40):
        ends = np.sort(rng.integers(-50, 50, (3, 2)), axis=1)
        boxes.append(
            InputBox(
                tuple(Fraction(int(a), 37) for a in ends[:, 0]),
                tuple(Fraction(int(b), 37) for b in ends[:, 1]),
            )
        )
    constraint = LinearConstraint((), ((0, Fraction(1)),), Fraction(0))
    regions = Regions(Query(3, 1, tuple(Disjunct(box, (constraint,)) for box in boxes)))
    for _ in range(60):
        point = tuple(
            Fraction(int(v), 37) + Fraction(int(e), 10**17)
            for v, e in zip(rng.integers(-60, 60, 3), rng.integers(-2, 3, 3), strict=True)
        )
        all_of_them = {k: distance(box, point) for k, box in enumerate(boxes)}
        nearest = min(all_of_them.values())
        for reach in (Fraction(0), Fraction(1, 10**4), Fraction(1)):
            expected = {k: d for k, d in all_of_them.items() if d <= max(nearest, reach)}
            assert regions.near(point, reach) == expected


def test_a_point_in_two_boxes_holds_by_either() -> None:
    """Overlapping regions: the disjunct that holds counts."""
    box = InputBox((Fraction(0),), (Fraction(1),))
    other = InputBox((Fraction(1, 2),), (Fraction(2),))
    never = LinearConstraint((), ((0, Fraction(1)),), Fraction(-9))
    regions = Regions(Query(1, 1, (Disjunct(box, (never,)), Disjunct(other, ()))))
    assert regions.near((Fraction(3, 4),), Fraction(0)) == {0: 0, 1: 0}
    assert list(regions.near((Fraction(1, 4),), Fraction(0))) == [0]
