"""Deployed float32: the rounding radius of a node's own execution over boxes of its operands.

With it, boxes enclose the values of every float32 execution: for every order of summation, with or without FMA, with or
without flush-to-zero (NUMERICS E.2).
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.float32 import LARGEST32, TINY32, UNIT32, flushed, scaled_up, sum_up
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.maps import Affine, ConvMap, Map, MatMap, SignMap
from tlcheck.trusted.arith.profile import Profile
from tlcheck.trusted.ops.base import Operation, Shape

Floats = NDArray[np.float64]


def rounding_radius(
    op: Operation,
    affine: Affine | None,
    boxes: tuple[Box, ...],
    shapes: tuple[Shape, ...],
    image: Box,
    engine: Engine,
    profile: Profile,
) -> Floats | None:
    """(D, n) radius of the node's own float32 rounding over ``boxes``, rounded up; None where nothing rounds.

    For every execution that the profile allows. ``image``: the operation's, of the boxes.

    Raises NotDeployable where none is proved, OutOfRange where float32 may overflow.
    """
    own = op.radius(boxes, shapes, image, profile)
    if affine is None or own is not None:
        return own
    if affine.exact:
        negates = isinstance(affine.maps[0], SignMap) and affine.maps[0].sign < 0
        return flushed(affine.maps[0].n_out) if negates else None
    terms = (
        sum(m.fan_in for m in affine.maps) + (1 if affine.offset is not None else 0) + affine.roundings + 1
    )
    k = terms * UNIT32
    if k >= Fraction(1, 2):
        raise OutOfRange("float32 sum of too many terms")
    magnitude, largest = _magnitudes(affine, boxes, engine)
    weight = max((_largest_weight(m) for m in affine.maps), default=Fraction(1))
    tiny = [2 * (terms + 1) * TINY32 * (1 + max(weight, Fraction(x))) for x in largest.tolist()]
    error = k / (1 - k)
    if any(isinstance(m, MatMap | ConvMap) for m in affine.maps):
        error = profile.product_error(terms, error)
    return scaled_up(error, magnitude, *tiny)


def _magnitudes(affine: Affine, boxes: tuple[Box, ...], engine: Engine) -> tuple[Floats, Floats]:
    """(the sum of its terms' magnitudes, for each value; the operands' largest, for each domain)."""
    magnitude = np.zeros((1, affine.maps[0].n_out))
    largest = np.ones(1)
    for m, box in zip(affine.maps, boxes, strict=True):
        if not np.isfinite(box.largest):
            raise OutOfRange("deployed radius of an unbounded value")
        magnitude = sum_up(magnitude, engine.magnitude_up(m, box.magnitude))
        largest = np.maximum(largest, box.largest_each)
    if affine.offset is not None:
        offset = np.abs(affine.offset.mid)[None, :]
        if affine.offset.rad is not None:
            offset = sum_up(offset, affine.offset.rad[None, :])
        magnitude = sum_up(magnitude, offset)
    if not bool((magnitude <= LARGEST32).all()):
        raise OutOfRange("float32 overflow")
    return magnitude, largest


def _largest_weight(m: Map) -> Fraction:
    weight = getattr(m, "weight", None) or getattr(m, "factor", None)
    if weight is None or not weight.size:
        return Fraction(1)
    top = Fraction(float(np.abs(weight.mid).max()))
    return top + (Fraction(float(weight.rad.max())) if weight.rad is not None else 0)
