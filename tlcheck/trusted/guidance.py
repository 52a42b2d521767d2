"""Guidance: what a producer suggests. Nothing here is believed.

Any slope is made sound by an intercept the checker proves; any multiplier below zero is refused; a split tree
covers its region by construction, because the checker derives each leaf's domain from the leaf's path. So wrong
guidance can only make a proof fail. It is a different type from a claim: believing a hint is a type error.

Neurons are named (node, index): a node of the graph and a position in its row-major flattened value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SPLIT, LEAF = 0, 1


@dataclass(frozen=True, eq=False)
class Tree:
    """Split trees, one root per disjunct, in T rows.

    Row t is a SPLIT of value (node[t], index[t]) at point[t] (an exact float), into ``below[t]`` (value <= point)
    and ``above[t]`` (value >= point), or a LEAF, closed with the leaf guidance number ``below[t]``.
    """

    kind: Ints
    node: Ints
    index: Ints
    point: Floats
    below: Ints
    above: Ints
    roots: Ints

    @property
    def size(self) -> int:
        return int(self.kind.size)


@dataclass(frozen=True, eq=False)
class SharedSlopes:
    """Slopes (n,) of the lower and upper line of an activation node in every pass; None: the checker's own."""

    lower: Floats | None
    upper: Floats | None


@dataclass(frozen=True, eq=False)
class LeafSlopes:
    """Slopes of an activation node in each leaf's deciding pass, for the neurons in ``columns`` (c,): (L, c) arrays, a row
    for each leaf (``RegionGuidance.rows``).

    float32 and uint8 arrays are allowed (they are exact), to keep large proofs small in memory.
    """

    columns: Ints
    lower: NDArray[np.generic] | None
    upper: NDArray[np.generic] | None


@dataclass(frozen=True, eq=False)
class IntermediateSlopes:
    """Slopes of an activation node when bounding another node's values.

    Neuron s of the target uses row ``row[s]`` of ``lower_pass`` (in its lower bound) and of ``upper_pass`` (in its
    upper bound): (r, c) arrays for the neurons in ``columns``. They are slopes of the *lower* line for positive
    coefficients, in the sense of the pass (so in an upper bound, of the line that bounds from below).
    """

    columns: Ints
    row: Ints
    lower_pass: NDArray[np.generic]
    upper_pass: NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class Leaves:
    """Per leaf, in compressed rows: weights on the disjunct's constraints, and multipliers on the leaf's splits.

    Leaf i uses constraints ``constraint[constraint_ptr[i]:constraint_ptr[i+1]]`` (positions in the disjunct) with
    weights ``weight`` (>= 0), and multipliers ``beta`` (>= 0) on the split literals (node, index, side, point):
    side +1 is value >= point, side -1 is value <= point. ``claimed`` (L,) is the producer's bound minus its
    threshold, NaN where it gives none.
    """

    constraint_ptr: Ints
    constraint: Ints
    weight: Floats
    split_ptr: Ints
    split_node: Ints
    split_index: Ints
    split_side: Ints
    split_point: Floats
    split_beta: Floats
    claimed: Floats

    @property
    def count(self) -> int:
        return int(self.constraint_ptr.size - 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class RegionGuidance:
    """How the values of one region, the input box of some disjuncts, are to be bounded.

    ``per_leaf_bounds``: intermediate bounds are recomputed inside every leaf (its input box), with the leaf's own
    slopes; otherwise once at the root of the region, and clamped by the leaf's splits.
    ``intermediate`` is keyed (target node, activation node).
    ``rows``: numbers of the leaves that have a row in ``leaf_slopes``, rising, in the order of these rows; None: all leaves.
    """

    leaf_slopes: Mapping[int, LeafSlopes] = field(default_factory=dict)
    shared_slopes: Mapping[int, SharedSlopes] = field(default_factory=dict)
    intermediate: Mapping[tuple[int, int], IntermediateSlopes] = field(default_factory=dict)
    per_leaf_bounds: bool = False
    rows: Ints | None = None


@dataclass(frozen=True, eq=False)
class Guidance(RegionGuidance):
    """Everything a branch-and-bound proof of unsat suggests.

    ``own``: disjunct -> what is suggested for its region in place of this. Disjuncts with one box and one and the same
    object here are of one region.
    """

    tree: Tree
    leaves: Leaves
    own: Mapping[int, RegionGuidance] = field(default_factory=dict, kw_only=True)

    def given(self, disjunct: int) -> RegionGuidance:
        """What is suggested for the region of a disjunct."""
        return self.own.get(disjunct, self)


def _nothing() -> Guidance:
    none, nothing, start = np.zeros(0, np.int64), np.zeros(0), np.zeros(1, np.int64)
    tree = Tree(none, none, none, nothing, none, none, none)
    return Guidance(tree, Leaves(start, none, nothing, start, none, none, none, nothing, nothing, nothing))


NO_GUIDANCE = _nothing()
"""No leaf, no slope: the checker's own choices."""
