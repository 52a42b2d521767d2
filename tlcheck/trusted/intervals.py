"""Forward enclosures: a box for every node from the boxes of its operands."""

from __future__ import annotations

from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.interface import Engine
from tlcheck.trusted.arith.maps import Affine, IndexMap, SignMap
from tlcheck.trusted.ops.base import Operation, Shape


def image(
    op: Operation,
    affine: Affine | None,
    boxes: tuple[Box, ...],
    engine: Engine,
    shapes: tuple[Shape, ...] = (),
) -> Box:
    """An enclosure of the operation's exact values over ``boxes`` (D, n); ``shapes`` are the operands'. Raises OutOfRange."""
    if affine is None:
        return op.image(boxes, shapes, engine)
    if affine.offset is None and len(affine.maps) == 1:
        moved = _moved(affine, boxes[0])
        if moved is not None:
            return moved
    return engine.image(affine.maps, boxes, affine.offset)


def _moved(affine: Affine, box: Box) -> Box | None:
    """Rearrangements and signs are exact on the ends themselves."""
    match affine.maps[0]:
        case SignMap(sign=1):
            return box
        case SignMap():
            return Box(-box.upper, -box.lower)
        case IndexMap(transposed=False) as m:
            return Box(m.gathered(box.lower), m.gathered(box.upper))
        case _:
            return None
