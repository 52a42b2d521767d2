"""Boxes seen by cameras: corners, their projections, the 2-D box around them. Exact over the rationals.

A corner X has (a, b, c) = P [X, 1]; its depth is c and its pixel (a/c, b/c). All of it is done in integers (numerators
over one positive denominator, which cancels), so ties are decided.

- *depth*: c > 0 at every corner. Depth is affine, so it is then positive on the whole solid, the hull of the corners.
- *image*, *box*: each pixel lies in the rectangle. A projection with positive depth maps segments to segments, so the
  solid's image is the hull of the corners' pixels, and lies in it too. Truncated: a side of the box at or beyond the
  image's asks nothing; then the part of the solid's image that lies in the image lies in the box.
- *tight*: some corner's pixel is that near to each side, or beyond it. Unless the box is truncated, no side can then be
  moved inward by more than eps.
- *cuboid*: with u, v, w from corner 0 to its three neighbours, every other corner is the sum it should be, to eps in each
  coordinate; (u.v)^2 <= eps^2 |u|^2 |v|^2; det(u, v, w) has the stated sign.
- *camera*: K is upper triangular with positive focal lengths and last entry 1; R R^T = I to eps in each entry and det R >
  0; P = K [R | t] to eps in each entry.
- *pixels*: the integer that the stated rounding makes of coordinate + offset.
- *lens*: r -> r (1 + k1 r^2 + k2 r^4 + ...) increases on [0, radius]: its derivative is a polynomial in r^2, not negative
  there (``polynomial.negative_point`` is complete) and 1 at 0, so it has finitely many zeros. The corners' own r^2 =
  (x^2 + y^2)/z^2 are at most radius^2.
- *uncertainty*: :mod:`tlcheck.trusted.science.pose_envelope`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING, Final

from tlcheck.trusted.calculus.written import brief
from tlcheck.trusted.conditions import (
    Check,
    ConditionClaim,
    Measure,
    ends,
    fact,
    nonnegative,
    positive,
    undecided,
    zero,
)
from tlcheck.trusted.science.pixels import SIDES, Matrix, Ray, Rectangle, Vector, rays_of

if TYPE_CHECKING:
    from tlcheck.trusted.calculus.polynomial import Poly
    from tlcheck.trusted.science.pose_envelope import Uncertainty

ORDERS: Final = {"bits": (1, 2, 4, 3, 5, 6, 7), "ring": (1, 3, 4, 2, 5, 7, 6)}
"""Where the corners 0+u, 0+v, 0+w, 0+u+v, 0+u+w, 0+v+w, 0+u+v+w are. bits: corner k has u, v, w by the bits of k;
ring: 0, 1, 2, 3 around a face and 4, 5, 6, 7 behind them (Omni3D)."""
ROUNDINGS: Final[dict[str, Callable[[Fraction], int]]] = {"floor": floor, "ceil": ceil, "half-even": round}
HANDED: Final = {"right": 1, "left": -1}


@dataclass(frozen=True)
class Pose:
    """P = K [R | t]: ``rotation_eps`` for R R^T = I, ``projection_eps`` for the equation (None: P is made of it)."""

    intrinsics: Matrix
    rotation: Matrix
    translation: Vector
    rotation_eps: Fraction = Fraction(0)
    projection_eps: Fraction | None = None

    def camera_point(self, corner: Vector) -> Vector:
        """R X + t."""
        return tuple(_dot(row, corner) + t for row, t in zip(self.rotation, self.translation, strict=True))

    def projection(self) -> Matrix:
        """K [R | t]."""
        extrinsic = [(*row, t) for row, t in zip(self.rotation, self.translation, strict=True)]
        columns = list(zip(*extrinsic, strict=True))
        return tuple(tuple(_dot(row, column) for column in columns) for row in self.intrinsics)


@dataclass(frozen=True)
class Cuboid:
    """``edge_eps`` in units of length, ``cosine_eps`` a cosine; ``order`` in ORDERS; ``handed`` in HANDED."""

    order: str = "bits"
    edge_eps: Fraction = Fraction(0)
    cosine_eps: Fraction = Fraction(0)
    handed: str = "right"


@dataclass(frozen=True)
class Pixels:
    """``values``: per corner the two integers that ``rounding`` (in ROUNDINGS) makes of its pixel + ``offset``."""

    rounding: str
    offset: Fraction
    values: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Lens:
    """``k``: k1, k2, ...; ``radius``: the greatest r used, as a tangent (x/z)."""

    k: Poly
    radius: Fraction


@dataclass(frozen=True)
class CameraBox:
    """``projection`` 3 x 4; ``corners`` (n, 3); ``image``: width, height; ``box``: xmin, ymin, xmax, ymax in pixels.

    ``tolerance`` is what the artifact asks for around the box, ``allowed`` what it is given. None: not claimed.
    """

    projection: Matrix
    corners: tuple[Vector, ...]
    name: str = ""
    image: tuple[Fraction, Fraction] | None = None
    box: tuple[Fraction, Fraction, Fraction, Fraction] | None = None
    truncated: bool = False
    tolerance: Fraction | None = None
    allowed: Fraction = Fraction(0)
    tight: Fraction | None = None
    pose: Pose | None = None
    cuboid: Cuboid | None = None
    pixels: Pixels | None = None
    lens: Lens | None = None
    uncertainty: Uncertainty | None = None

    def __post_init__(self) -> None:
        shapes = [len(row) for row in self.projection] == [4] * 3 and {len(x) for x in self.corners} == {3}
        whole = self.cuboid is None or (len(self.corners) == 8 and self.cuboid.order in ORDERS)
        counted = self.pixels is None or len(self.pixels.values) == len(self.corners)
        posed = self.uncertainty is None or self.pose is not None
        boxed = self.box is not None or (self.tight is None and not self.truncated)
        if not (shapes and whole and counted and posed and boxed):
            raise ValueError("the parts of a camera box do not fit")

    def asserts(self) -> Iterator[tuple[str, str]]:
        """(what is asserted, its numbers), for the statement."""
        yield "every corner given has positive depth", ""
        if self.image and not self.truncated:
            yield "every corner's pixel lies in the image", ""
        if self.box:
            what = "what the image shows of" if self.truncated else "the image of"
            yield (
                f"{what} the hull of the corners given lies in the 2D box",
                f"widened by {brief(self.allowed)}" if self.allowed else "",
            )
        if self.tight is not None:
            tight = (
                "each side of that box has a corner's pixel at it or beyond it"
                if self.truncated
                else "that box is tight"
            )
            yield tight, f"to {brief(self.tight)}"
        if self.cuboid:
            c = self.cuboid
            eps = f"edges to {brief(c.edge_eps)}, cosines to {brief(c.cosine_eps)}, {c.handed}-handed"
            yield "the corners are a cuboid", f"{eps}, order {c.order}"
        if self.pose:
            yield "R is a rotation", f"R R^T = I to {brief(self.pose.rotation_eps)}"
            if self.pose.projection_eps is not None:
                yield "P = K [R | t]", f"to {brief(self.pose.projection_eps)}"
        if self.pixels:
            yield "the integer pixels are right", f"{self.pixels.rounding} of x + {brief(self.pixels.offset)}"
        if self.lens:
            used = " and the corners lie within it" if self.pose else ""
            yield f"the lens is monotone on its radius{used}", f"r <= {brief(self.lens.radius)}"
        if self.uncertainty:
            yield (
                "for every pose and focal length in the ranges the image of the hull of the corners given lies in the envelope",
                str(self.uncertainty),
            )

    def checks(self, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        """Every condition; ``where`` is without the box's name."""
        rays = rays_of(self.projection, self.corners)
        yield from self._rectangles()
        yield from self._projected(rays)
        if self.tight is not None:
            yield from self._tightness([ray for ray, _ in rays])
        if self.cuboid is not None:
            yield from _cuboid_checks(self.cuboid, self.corners)
        if self.pose is not None:
            yield from self._camera(self.pose)
        if self.pixels is not None:
            yield from self._pixels(self.pixels, [ray for ray, _ in rays])
        if self.lens is not None:
            yield from self._lens(self.lens, tick)
        if self.uncertainty is not None and self.pose is not None:
            yield from self._envelope(self.uncertainty, self.pose, tick)

    def _rectangles(self) -> Iterator[Check]:
        if self.image is not None:
            yield positive("image size", self.image[0], "width")
            yield positive("image size", self.image[1], "height")
        if self.tolerance is not None:
            yield nonnegative("tolerance", self.tolerance)
        if self.box is not None:
            left, top, right, bottom = self.box
            yield nonnegative("order of the box", right - left, "x")
            yield nonnegative("order of the box", bottom - top, "y")
            if self.image is not None:
                slacks = (left, top, self.image[0] - right, self.image[1] - bottom)
                for side, slack in zip(SIDES, slacks, strict=True):
                    yield nonnegative("box inside the image", slack, side)

    def _projected(self, rays: Sequence[tuple[Ray, int]]) -> Iterator[Check]:
        rectangles = []
        if self.image is not None and not self.truncated:
            rectangles.append(Rectangle("corner inside the image", (Fraction(0), Fraction(0), *self.image)))
        if self.box is not None:
            rectangles.append(Rectangle("corner inside the box", self._widened(self.box)))
        for k, (ray, scale) in enumerate(rays):
            yield positive("positive depth", Fraction(ray[2], scale), f"corner {k}")
            for rectangle in rectangles:
                yield rectangle.check(ray, k)

    def _widened(self, box: tuple[Fraction, Fraction, Fraction, Fraction]) -> tuple[Fraction | None, ...]:
        """The box's sides with what is allowed; None for one that asks nothing."""
        a = self.allowed
        sides: list[Fraction | None] = [box[0] - a, box[1] - a, box[2] + a, box[3] + a]
        if self.truncated and self.image is not None:
            free = (box[0] <= 0, box[1] <= 0, box[2] >= self.image[0], box[3] >= self.image[1])
            sides = [None if f else side for f, side in zip(free, sides, strict=True)]
        return tuple(sides)

    def _tightness(self, rays: Sequence[Ray]) -> Iterator[Check]:
        name = "tight box"
        if self.box is None or self.tight is None or any(ray[2] <= 0 for ray in rays):
            yield undecided(name, "a corner has no pixel")
            return
        for side, value in enumerate(self.box):
            axis, sign = side % 2, 1 if side < 2 else -1
            gap = min(sign * (Fraction(ray[axis], ray[2]) - value) for ray in rays)
            yield nonnegative(name, self.tight - gap, SIDES[side])

    def _camera(self, pose: Pose) -> Iterator[Check]:
        k, r = pose.intrinsics, pose.rotation
        for i, j in ((1, 0), (2, 0), (2, 1)):
            yield zero("upper triangular K", k[i][j], f"row {i}, column {j}")
        yield zero("last entry of K is 1", k[2][2] - 1)
        yield positive("focal length", k[0][0], "x")
        yield positive("focal length", k[1][1], "y")
        for i in range(3):
            for j in range(i, 3):
                error = abs(_dot(r[i], r[j]) - int(i == j))
                yield nonnegative("orthogonal R", pose.rotation_eps - error, f"rows {i} and {j}")
        yield positive("determinant of R", _determinant(r))
        if pose.projection_eps is not None:
            for i, (row, made) in enumerate(zip(self.projection, pose.projection(), strict=True)):
                for j, (p, q) in enumerate(zip(row, made, strict=True)):
                    yield nonnegative(
                        "P = K [R | t]", pose.projection_eps - abs(p - q), f"row {i}, column {j}"
                    )

    def _pixels(self, pixels: Pixels, rays: Sequence[Ray]) -> Iterator[Check]:
        rounded = ROUNDINGS[pixels.rounding]
        for k, (ray, values) in enumerate(zip(rays, pixels.values, strict=True)):
            if ray[2] <= 0:
                yield undecided("integer pixel", f"corner {k} has no pixel")
                continue
            for axis in (0, 1):
                is_ = rounded(Fraction(ray[axis], ray[2]) + pixels.offset)
                where = f"corner {k}, {'xy'[axis]}" + (f": it is {is_}" if is_ != values[axis] else "")
                yield fact("integer pixel", is_ == values[axis], where)

    @property
    def asks_for(self) -> tuple[str, ...]:
        """The rules of a lens and of an envelope are imported where they are claimed."""
        rules = (("calculus.polynomial", self.lens), ("science.pose_envelope", self.uncertainty))
        return tuple(f"tlcheck.trusted.{rule}" for rule, claimed in rules if claimed is not None)

    def _envelope(
        self, uncertainty: Uncertainty, pose: Pose, tick: Callable[[], None]
    ) -> Iterator[Check | Measure]:
        from tlcheck.trusted.science.pose_envelope import pose_checks

        points = [pose.camera_point(corner) for corner in self.corners]
        yield from pose_checks(uncertainty, pose.intrinsics, points, tick)

    def _lens(self, lens: Lens, tick: Callable[[], None]) -> Iterator[Check]:
        from tlcheck.trusted.calculus.polynomial import evaluate, negative_point

        name, square = "monotone lens", lens.radius * lens.radius
        yield positive("lens radius", lens.radius)
        if lens.radius > 0:
            slope = (Fraction(1), *((2 * i + 3) * k for i, k in enumerate(lens.k)))
            s = negative_point(slope, square, tick)
            if s is None:
                yield fact(name, True)
            else:
                yield nonnegative(name, evaluate(slope, s), f"r^2 = {brief(s)}")
        if self.pose is not None:
            for k, corner in enumerate(self.corners):
                x, y, z = self.pose.camera_point(corner)
                if z <= 0:
                    yield undecided("corner within the lens radius", f"corner {k} has no pixel")
                else:
                    slack = square - (x * x + y * y) / (z * z)
                    yield nonnegative("corner within the lens radius", slack, f"corner {k}")


@dataclass(frozen=True)
class CameraClaim(ConditionClaim):
    """Every box's conditions. ``preface`` and ``note`` surround the statement; ``decimals``: how they were read."""

    boxes: tuple[CameraBox, ...]
    preface: str = ""
    note: str = ""
    decimals: str = "exact"
    kind = "camera box"

    @property
    def statement(self) -> str:
        said: dict[str, set[str]] = {}
        counts: dict[str, int] = {}
        for box in self.boxes:
            for what, numbers in box.asserts():
                said.setdefault(what, set()).add(numbers)
                counts[what] = counts.get(what, 0) + 1
        parts = []
        for what, different in said.items():
            detail = next(iter(different)) if len(different) == 1 else "each as it states"
            some = f"{counts[what]} of them: " if counts[what] < len(self.boxes) else ""
            parts.append(f"{some}{what}{f' ({detail})' if detail else ''}")
        many = "" if len(self.boxes) == 1 else f"for each of {len(self.boxes)} boxes: "
        return f"{self.preface}{many}{', '.join(parts)}{self.note}"

    @property
    def asks_for(self) -> tuple[str, ...]:
        return tuple(sorted(set[str]().union(*(box.asks_for for box in self.boxes))))

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        single = len(self.boxes) == 1
        for i, box in enumerate(self.boxes):
            tick()
            prefix = "" if single and not box.name else f"{box.name or f'box {i}'}: "
            for check in box.checks(tick):
                if isinstance(check, Measure):
                    if single:
                        yield check
                elif prefix:
                    yield Check(check.name, check.holds, check.low, check.high, f"{prefix}{check.where}")
                else:
                    yield check
        yield Measure("boxes", len(self.boxes))
        yield Measure("decimals", self.decimals)
        if single:
            yield from _hull(self.boxes[0])


def _hull(box: CameraBox) -> Iterator[Measure]:
    """The least and greatest pixel, for the eye: doubles at or below."""
    rays = [ray for ray, _ in rays_of(box.projection, box.corners)]
    if all(ray[2] > 0 for ray in rays):
        sides = [f([Fraction(ray[axis], ray[2]) for ray in rays]) for f in (min, max) for axis in (0, 1)]
        yield Measure("projected hull", [ends(q)[0] for q in sides])


def _cuboid_checks(cuboid: Cuboid, corners: Sequence[Vector]) -> Iterator[Check]:
    at = ORDERS[cuboid.order]
    origin = corners[0]
    u, v, w = (tuple(p - o for p, o in zip(corners[k], origin, strict=True)) for k in at[:3])
    sums = ((u, v), (u, w), (v, w), (u, v, w))
    for k, edges in zip(at[3:], sums, strict=True):
        error = max(abs(corners[k][i] - origin[i] - sum(e[i] for e in edges)) for i in range(3))
        yield nonnegative("parallel edges", cuboid.edge_eps - error, f"corner {k}")
    for name, p, q in (("u and v", u, v), ("u and w", u, w), ("v and w", v, w)):
        slack = cuboid.cosine_eps**2 * _dot(p, p) * _dot(q, q) - _dot(p, q) ** 2
        yield nonnegative("right angles", slack, f"edges {name}")
    yield positive("positive volume", HANDED[cuboid.handed] * _determinant((u, v, w)))


def _dot(a: Vector, b: Vector) -> Fraction:
    return sum((p * q for p, q in zip(a, b, strict=True)), Fraction(0))


def _determinant(m: Matrix) -> Fraction:
    (a, b, c), (d, e, f), (g, h, i) = m
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
