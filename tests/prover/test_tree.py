"""Trees of a search as guidance: one frame for all disjuncts, and one for each region."""

from __future__ import annotations

import numpy as np

from tlcheck.prover.tree import Branch, Evidence, Frame, guidance_of
from tlcheck.trusted.guidance import IntermediateSlopes, RegionGuidance


def closed(disjunct: int, cut: float, slopes: float) -> Branch:
    root = Branch(disjunct)
    for side, leaf in enumerate(root.divide(0, 0, cut)):
        leaf.evidence = Evidence({0: 1.0}, 0.5, {2: np.full(1, slopes + side)}, {leaf.path[0]: 1.0})
    return root


FRAME = Frame({2: np.array([1])}, {(3, 2): IntermediateSlopes(*(np.zeros((1, 1), np.int64),) * 4)})


def test_one_frame_is_given_for_all() -> None:
    guidance = guidance_of([closed(0, 0.0, 0.0), closed(1, 1.0, 0.5)], [FRAME, FRAME])
    assert guidance.own == {} and guidance.rows is None and not guidance.per_leaf_bounds
    assert guidance.leaf_slopes[2].lower.tolist() == [[0], [1], [0.5], [1.5]]  # type: ignore[union-attr]
    assert guidance.intermediate is FRAME.intermediate
    assert guidance.tree.roots.tolist() == [0, 3] and guidance.leaves.split_beta.tolist() == [1.0] * 4


def test_each_region_has_the_rows_of_its_leaves() -> None:
    """The first and the third disjunct are of one region."""
    boxes = Frame(per_leaf_bounds=True)
    roots = [closed(0, 0.0, 0.0), closed(1, 1.0, 0.5), closed(2, 2.0, 0.25)]
    guidance = guidance_of(roots, [FRAME, boxes, FRAME])
    first, second, third = (guidance.own[d] for d in range(3))
    assert first is third and isinstance(first, RegionGuidance) and not first.per_leaf_bounds
    assert first.rows is not None and first.rows.tolist() == [0, 1, 4, 5]
    assert first.leaf_slopes[2].lower.tolist() == [[0], [1], [0.25], [1.25]]  # type: ignore[union-attr]
    assert second.per_leaf_bounds and not second.leaf_slopes and second.rows is not None
    assert second.rows.tolist() == [2, 3] and not guidance.leaf_slopes
