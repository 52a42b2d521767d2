"""What a small ReLU network does on a rectangle, exactly: the polygons on which it is affine, in rationals.

Written without anything of tlcheck: what the prover finds is compared with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

Vector = tuple[Fraction, ...]
Point = tuple[Fraction, Fraction]
Rows = list[Vector]
"""Affine functions of two variables: (a, b, c) is a s + b t + c."""
Layer = tuple[Sequence[Sequence[Fraction]], Sequence[Fraction]]
"""(W, b) of z = W h + b; a ReLU follows on every layer but the last."""

ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True)
class Cell:
    """A polygon (corners in order; closed) and the outputs on it."""

    corners: tuple[Point, ...]
    outputs: Rows


def cells(layers: Sequence[Layer], lower: Point, upper: Point) -> Iterator[Cell]:
    """They cover the rectangle; neighbours share their edges."""
    (a, b), (c, d) = lower, upper
    yield from _cells(layers, ((a, b), (c, b), (c, d), (a, d)), [(ONE, ZERO, ZERO), (ZERO, ONE, ZERO)])


def _cells(layers: Sequence[Layer], polygon: tuple[Point, ...], values: Rows) -> Iterator[Cell]:
    (weights, bias), later = layers[0], layers[1:]
    rows = [combined(w, values, b) for w, b in zip(weights, bias, strict=True)]
    if not later:
        yield Cell(polygon, rows)
        return
    for part, clipped in _folded(polygon, rows, 0):
        yield from _cells(later, part, clipped)


def _folded(polygon: tuple[Point, ...], rows: Rows, k: int) -> Iterator[tuple[tuple[Point, ...], Rows]]:
    """The parts of the polygon on which the ReLUs from the k-th on are decided, with the values after them."""
    if k == len(rows):
        yield polygon, rows
        return
    for side in (1, -1):
        part = clipped(polygon, tuple(side * v for v in rows[k]))
        if len(part) >= 3:
            kept = rows[k] if side > 0 else (ZERO, ZERO, ZERO)
            yield from _folded(part, [*rows[:k], kept, *rows[k + 1 :]], k + 1)
        if part == polygon:
            break


def combined(weights: Sequence[Fraction], rows: Rows, constant: Fraction = ZERO) -> Vector:
    """The weighted sum of affine functions."""
    parts = [sum((w * row[i] for w, row in zip(weights, rows, strict=True)), ZERO) for i in range(3)]
    return parts[0], parts[1], parts[2] + constant


def at(row: Vector, point: Point) -> Fraction:
    return row[0] * point[0] + row[1] * point[1] + row[2]


def clipped(polygon: tuple[Point, ...], row: Vector) -> tuple[Point, ...]:
    """The part of a convex polygon where ``row`` is >= 0; fewer than three corners: nothing but an edge or a corner."""
    values = [at(row, p) for p in polygon]
    if all(v >= 0 for v in values):
        return polygon
    out: list[Point] = []
    for k, (p, v) in enumerate(zip(polygon, values, strict=True)):
        q, w = polygon[k - 1], values[k - 1]
        if v * w < 0:
            s = w / (w - v)
            out.append((q[0] + s * (p[0] - q[0]), q[1] + s * (p[1] - q[1])))
        if v >= 0:
            out.append(p)
    return tuple(dict.fromkeys(out))


@dataclass(frozen=True)
class Summit:
    value: Fraction
    point: Point


def summit(
    parts: Sequence[Cell],
    weights: Sequence[Fraction],
    above: Sequence[tuple[Sequence[Fraction], Fraction]] = (),
) -> Summit | None:
    """The largest weights . y over the cells where v . y >= bound for every (v, bound) of ``above``; None where that is nowhere."""
    best: Summit | None = None
    for cell in parts:
        corners = cell.corners
        for v, bound in above:
            corners = clipped(corners, combined(v, cell.outputs, -bound))
        row = combined(weights, cell.outputs)
        for p in corners:
            if best is None or at(row, p) > best.value:
                best = Summit(at(row, p), p)
    return best
