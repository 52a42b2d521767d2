"""Across which input to cut an open box: what each cut is thought to gain, of what its bound lacks.

A bound of a form A . v is the least value of a linear function of the inputs over the box, below the form by the gaps between
lines and functions on the way. Halving the box across input j gains

* |slope_j| width_j / 2 of the linear function, in one half;
* of each relaxed value's gap a share, in both: the gap's size |A_k| times the distance of its lines, times the part of the
  operand's range that input j makes, |dz_k/dx_j| width_j / (u_k - l_k); of a product or a difference, for each of its operands.

The derivatives are those of the lines' means, carried forward from the inputs, signs and all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.prover.box_bounds import BoxBounds, Boxed, boxwise
from tlcheck.prover.float_lines import Lines
from tlcheck.trusted.ops.base import Relaxed
from tlcheck.trusted.ops.structure import Input

Array = NDArray[Any]
Ints = NDArray[np.int64]

OF_GAPS: Final = 2.0
"""Of the gaps, relative to the linear function: they shrink in both halves, and most of them faster than the range does."""
EVEN: Final = 1e-3
"""What every input's width counts anyway: behind values that have a box only, no derivative is known."""
MOST: Final = 1 << 21
"""Derivatives of a chunk of boxes on the widest node."""
TINY: Final = 1e-30


def cut_scores(
    passes: BoxBounds, found: Boxed, boxes: Ints, slopes: Array, sizes: Mapping[int, Array]
) -> NDArray[np.float64]:
    """(Q, inputs) for ``boxes`` (Q,).

    ``slopes`` (Q, inputs): |slope| of the linear functions; ``sizes``: relaxed node -> |A| (Q, terms) on its terms.
    """
    widths = (found.upper - found.lower)[boxes].astype(np.float64)
    score = np.nan_to_num(slopes) * widths
    free = np.flatnonzero((found.upper > found.lower).any(axis=0))
    step = max(1, MOST // max(1, free.size * passes.widest))
    for start in range(0, len(boxes), step):
        part = slice(start, start + step)
        here = {i: size[part] for i, size in sizes.items()}
        score[part, free] += OF_GAPS * gaps(passes, found, boxes[part], free, here)
    total = score.sum(axis=1, keepdims=True)
    whole = np.where(found.upper > found.lower, found.upper - found.lower, 0).max(axis=0) + TINY
    return np.asarray(score + EVEN * np.where(total > 0, total, 1) * widths / whole)


def gaps(
    passes: BoxBounds, found: Boxed, boxes: Ints, inputs: Ints, sizes: Mapping[int, Array]
) -> NDArray[np.float64]:
    """(Q, len(inputs)): the sum over relaxed values of |A| times the lines' distance times the input's part of the range."""
    total = np.zeros((len(boxes), inputs.size))
    wide: dict[int, Array] = {}
    last = max(sizes, default=-1)
    for i in passes.order:
        if i > last:
            break
        node, affine = passes.graph.nodes[i], passes.network.affine[i]
        if isinstance(node.op, Input):
            wide[i] = _units(passes, found, boxes, inputs, i)
        elif affine is not None:
            maps = zip(affine.maps, node.inputs, strict=True)
            wide[i] = sum((passes.maps.forward(m, wide[j]) for m, j in maps), np.zeros(1, passes.dtype))
        elif isinstance(node.op, Relaxed):
            drawn = passes.lines(i, found)
            wide[i], shares = _through(
                passes, drawn, [wide[j] for j in node.inputs], node.inputs, (found, boxes)
            )
            if i in sizes:
                total += np.nan_to_num(np.matmul(shares, sizes[i][:, :, None])[:, :, 0])
        else:
            wide[i] = np.zeros((1, 1, node.size), passes.dtype)
    return total


def _units(passes: BoxBounds, found: Boxed, boxes: Ints, inputs: Ints, i: int) -> Array:
    """(Q, len(inputs), n): an input node's values by the widths that the inputs give them."""
    s, size = passes.slices[i], passes.graph.nodes[i].size
    mine = np.flatnonzero((inputs >= s.start) & (inputs < s.stop))
    wide = np.zeros((len(boxes), inputs.size, size), passes.dtype)
    at = inputs[mine]
    wide[:, mine, at - s.start] = (found.upper[:, at] - found.lower[:, at])[boxes]
    return wide


def _through(
    passes: BoxBounds, drawn: Lines, operands: list[Array], nodes: tuple[int, ...], where: tuple[Boxed, Ints]
) -> tuple[Array, Array]:
    """Of a relaxed node: the widths (Q, inputs, n) by the lines' means; (Q, inputs, terms): each input's share of the gaps."""
    found, boxes = where
    mean: Array = np.zeros(1, passes.dtype)
    distance: Array = np.zeros(1, passes.dtype)
    parts: Array = np.zeros(1, passes.dtype)
    deciding = {*range(len(nodes))} - {part.operand for part in drawn.parts}
    """Operands without a line, whose ranges decide on the others': of a difference, whose lines are as far apart as d is."""
    for part in drawn.parts:
        x = operands[part.operand]
        low, high = (boxwise(end, boxes) for end in found.ends[nodes[part.operand]])
        if part.entries is not None:
            x, low, high = (passes.maps.forward(part.entries, v) for v in (x, low, high))
        (ls, lt), (us, ut) = (
            (boxwise(s, boxes), 0.0 if t is None else boxwise(t, boxes)) for s, t in (part.lower, part.upper)
        )
        mean = mean + x * ((ls + us) / 2)[:, None]
        ends = ((us - ls) * end + (ut - lt) for end in (low, high))
        distance = distance + np.maximum(np.maximum(*ends), 0)
        size = np.maximum(np.abs(low), np.abs(high)) if deciding else 0.0
        parts = parts + np.abs(x) / np.maximum(np.maximum(high - low, size), TINY)[:, None]
    for k in deciding:
        low, high = (boxwise(end, boxes) for end in found.ends[nodes[k]])
        parts = parts + np.abs(operands[k]) / np.maximum(high - low, TINY)[:, None]
    shares = parts * distance[:, None]
    return mean if drawn.sums is None else passes.maps.forward(drawn.sums, mean), shares


def sums_at(values: Array, place: Ints, count: int) -> Array:
    """Rows (Q, n) added up where their places (Q,) are the same: (count, n)."""
    if len(values) == count:
        return values[np.argsort(place)]
    total = np.zeros((count, values.shape[1]), values.dtype)
    np.add.at(total, place, values)
    return total
