"""A box seen under every pose and focal length in given ranges: an envelope of its image, proved, not sampled.

With q = R X + t the corner in the nominal camera, the corner seen is p = Rz(c) Ry(b) Rx(a) q + d, |angles| <= their
ranges, |d_i| <= translation_i, and K has K[0][0] and K[1][1] each times its own factor in [1 - focal, 1 + focal]. The
claim: p_z > least depth, and the pixel K p / p_z lies in the envelope, for all of these.

With p_z > 0, "pixel x <= right" is m.p >= 0 for m = right e_z - (row 0 of K), and likewise on every side. That is affine
in the focal factor, so its two ends suffice; and affine in d, so the least value over d is m.(R q) - sum |m_i|
translation_i. What remains is the least value of F(a, b, c) = m.Rz(c) Ry(b) Rx(a) q over a box of angles
(:func:`_decide`): where a partial derivative has one sign on the box (enclosed in balls), the least value lies on the
face that it points to, and the box is cut down to that face. On what is left, the mean-value theorem gives
F >= F(centre) - sum_i |dF/di| radius_i, with dF/di enclosed on the whole box. Boxes that it does not settle are
bisected. The centre of a box is a pose of the range: F certainly too small there disproves the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.calculus.written import brief
from tlcheck.trusted.conditions import Check, Measure, nonnegative, positive, undecided
from tlcheck.trusted.science.pixels import SIDES, Vector

Balls = tuple[Arb, Arb, Arb]
Angles = tuple[tuple[Fraction, Fraction], ...]
"""Per axis a part [low, high] of [-1, 1], in units of its range."""

MAX_BOXES: Final = 4_000
"""Boxes of angles for one corner and side; a few suffice unless the envelope is nearly attained."""


@dataclass(frozen=True)
class Uncertainty:
    """Degrees, units of length, a fraction; ``envelope``: xmin, ymin, xmax, ymax in pixels."""

    rotation_degrees: tuple[Fraction, Fraction, Fraction]
    translation: tuple[Fraction, Fraction, Fraction]
    focal: Fraction
    envelope: tuple[Fraction, Fraction, Fraction, Fraction]
    least_depth: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        if min(*self.rotation_degrees, *self.translation, self.focal, self.least_depth) < 0:
            raise ValueError("a range of negative length")
        if self.focal >= 1 or max(self.rotation_degrees) > 90:
            raise ValueError("a range too wide")

    def __str__(self) -> str:
        degrees, lengths = (", ".join(map(brief, v)) for v in (self.rotation_degrees, self.translation))
        return (
            f"Rz Ry Rx by up to ({degrees}) degrees about x, y, z, translation by up to ({lengths}), "
            f"focal lengths by up to a fraction {brief(self.focal)}; depth above {brief(self.least_depth)}; "
            f"envelope [{', '.join(map(brief, self.envelope))}]"
        )


def pose_checks(
    range_: Uncertainty, intrinsics: tuple[Vector, ...], points: Sequence[Vector], tick: Callable[[], None]
) -> Iterator[Check | Measure]:
    """The conditions, at the working precision; ``points``: R X + t per corner."""
    view = _View(range_, tick)
    for k, point in enumerate(points):
        depth = view.decide(
            (Fraction(0), Fraction(0), Fraction(1)), point, range_.least_depth, f"corner {k}", None
        )
        yield depth
        for side, sign in enumerate((-1, -1, 1, 1)):
            where = f"corner {k}, {SIDES[side]}"
            if depth.holds is not True:
                yield undecided("image inside the envelope", f"{where}: depth is not positive")
                continue
            found = [
                view.decide(_normal(range_, intrinsics, side, sign, factor), point, None, where, factor)
                for factor in sorted({1 - range_.focal, 1 + range_.focal})
            ]
            yield min(found, key=_badness)
    yield Measure("boxes of angles", view.boxes)


def _badness(check: Check) -> tuple[int, float]:
    """False, then open, then true; the least slack first."""
    rank = {False: 0, None: 1, True: 2}[check.holds]
    return rank, float("-inf") if check.low is None else check.low


def _normal(
    range_: Uncertainty, intrinsics: tuple[Vector, ...], side: int, sign: int, factor: Fraction
) -> Vector:
    """m with: the pixel is on the right side of the envelope's side if and only if m.p >= 0, given p_z > 0."""
    axis = side % 2
    row = list(intrinsics[axis])
    row[axis] *= factor
    m = [-sign * r for r in row]
    m[2] += sign * range_.envelope[side]
    return tuple(m)


class _View:
    """Least values of m.p over all poses of the ranges."""

    def __init__(self, range_: Uncertainty, tick: Callable[[], None]) -> None:
        self.range = range_
        self.radians = [ball(d) * arb.pi() / 180 for d in range_.rotation_degrees]
        self.tick = tick
        self.boxes = 0

    def decide(
        self, m: Vector, q: Vector, above: Fraction | None, where: str, factor: Fraction | None
    ) -> Check:
        """m.p >= 0 for all poses, its slack in pixels; or, with ``above``, m.p > above, its slack a depth."""
        pull = sum((abs(a) * d for a, d in zip(m, self.range.translation, strict=True)), Fraction(0))
        threshold = ball(pull + (above or 0))
        mb, qb = _balls(m), _balls(q)
        name = "image inside the envelope" if above is None else "depth under uncertainty"
        start = tuple(
            (Fraction(-1 if d else 0), Fraction(1 if d else 0)) for d in self.range.rotation_degrees
        )
        open_: list[Angles] = [start]
        least: Arb | None = None
        for _ in range(MAX_BOXES):
            if not open_:
                break
            self.tick()
            self.boxes += 1
            face, slopes = self._face(mb, qb, open_.pop())
            centre = tuple(((a + b) / 2,) * 2 for a, b in face)
            value = _value(mb, qb, self._turns(centre)) - threshold
            low = value
            for (a, b), slope, radians in zip(face, slopes, self.radians, strict=True):
                low = low - abs(slope) * radians * ball((b - a) / 2)
            if (low >= 0) if above is None else (low > 0):
                least = low.lower() if least is None or not low.lower() >= least else least
                continue
            if (value < 0) if above is None else (value <= 0):
                return self._disproved(name, value, q, m, centre, above, where, factor)
            widths = [b - a for a, b in face]
            widest = widths.index(max(widths))
            a, b = face[widest]
            if a == b:  # one pose: its value is too close for this precision
                return undecided(name, where)
            for half in ((a, (a + b) / 2), ((a + b) / 2, b)):
                open_.append((*face[:widest], half, *face[widest + 1 :]))
        if open_ or least is None:
            return undecided(name, where)
        if above is not None:
            return positive(name, least, where)
        # A lower bound in pixels: m.p over the greatest depth that the ranges allow.
        deepest = sum((x * x for x in qb), arb(0)).sqrt() + ball(self.range.translation[2])
        return nonnegative(name, (least / deepest).lower(), where)

    def _face(self, m: Balls, q: Balls, box: Angles) -> tuple[Angles, Balls]:
        """The part of the box where F is least, and its partial derivatives on the box."""
        slopes = _slopes(m, q, self._turns(box))
        face = [
            (a, a) if slope >= 0 else (b, b) if slope <= 0 else (a, b)
            for (a, b), slope in zip(box, slopes, strict=True)
        ]
        return tuple(face), slopes

    def _turns(self, box: Angles) -> list[tuple[Arb, Arb]]:
        """(cos, sin) of each angle."""
        turns = []
        for (a, b), radians in zip(box, self.radians, strict=True):
            t = ball(a) if a == b else ball((a + b) / 2) + arb(0, 1) * ball((b - a) / 2)
            angle = t * radians
            turns.append((angle.cos(), angle.sin()))
        return turns

    def _disproved(
        self,
        name: str,
        value: Arb,
        q: Vector,
        m: Vector,
        centre: Angles,
        above: Fraction | None,
        where: str,
        factor: Fraction | None,
    ) -> Check:
        """At one pose of the ranges: the angles of ``centre``, and the translation that m.d is least at."""
        degrees = [brief(t * d) for (t, _), d in zip(centre, self.range.rotation_degrees, strict=True)]
        shift = [-d if a > 0 else d for a, d in zip(m, self.range.translation, strict=True)]
        pose = (
            f"{where} at angles ({', '.join(degrees)}) degrees, translation ({', '.join(map(brief, shift))})"
        )
        if above is not None:
            return positive(name, value, pose)
        depth = _value((arb(0), arb(0), arb(1)), _balls(q), self._turns(centre)) + ball(shift[2])
        if not depth > 0:
            return undecided(name, where)
        return nonnegative(name, value / depth, f"{pose}, focal factor {brief(factor or Fraction(1))}")


def _balls(v: Vector) -> Balls:
    x, y, z = (ball(c) for c in v)
    return x, y, z


def _about_x(v: Balls, c: Arb, s: Arb) -> Balls:
    return v[0], c * v[1] - s * v[2], s * v[1] + c * v[2]


def _about_y(v: Balls, c: Arb, s: Arb) -> Balls:
    return c * v[0] + s * v[2], v[1], c * v[2] - s * v[0]


def _about_z(v: Balls, c: Arb, s: Arb) -> Balls:
    return c * v[0] - s * v[1], s * v[0] + c * v[1], v[2]


def _dot(a: Balls, b: Balls) -> Arb:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _value(m: Balls, q: Balls, turns: Sequence[tuple[Arb, Arb]]) -> Arb:
    """m.Rz Ry Rx q."""
    x, y, z = turns
    return _dot(m, _about_z(_about_y(_about_x(q, *x), *y), *z))


def _slopes(m: Balls, q: Balls, turns: Sequence[tuple[Arb, Arb]]) -> Balls:
    """The partial derivatives of m.Rz Ry Rx q. d/dt of a rotation about e by t, applied to v, is e x (rotated v)."""
    x, y, z = turns
    first = _about_x(q, *x)
    second = _about_y(first, *y)
    third = _about_z(second, *z)
    back_z = _about_z(m, z[0], -z[1])
    back_y = _about_y(back_z, y[0], -y[1])
    by_x = back_y[2] * first[1] - back_y[1] * first[2]  # e_x x v = (0, -v_z, v_y)
    by_y = back_z[0] * second[2] - back_z[2] * second[0]  # e_y x v = (v_z, 0, -v_x)
    by_z = m[1] * third[0] - m[0] * third[1]  # e_z x v = (-v_y, v_x, 0)
    return by_x, by_y, by_z
