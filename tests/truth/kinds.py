"""The kinds of queries whose answer is known, by name: a number gives a query, the same one always.

A peak is asked for a little less than its top (sat), a little more (unsat), for just its top (sat), or for more than it, strictly (unsat).
What is little differs from kind to kind: from an eighth down to one unit in the last place of a float32, or of a decimal's fortieth digit.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from tests.truth import peaks
from tests.truth.peaks import Peak
from tests.truth.planted import among_others, needled, parted, slabs
from tests.truth.queries import Constraint, Planted, Point, Region, gridded, without_decimals
from tests.truth.small_nets import ARCHITECTURES, Array, Rng, layered

F = Fraction
Gap = Callable[[Rng], Fraction]


# from a peak to a query


def apart(most: int = 3, least: int = 30) -> Gap:
    """A power of two."""
    return lambda rng: F(1, 1 << int(rng.integers(most, least)))


@dataclass(frozen=True)
class Question:
    """A peak that may be asked for many values: each is a query of its own, about one network and one box.

    ``gap``: how far from the top, in sizes of the peak; ``ties``: how often for just the top. ``others``: constraints that hold in the
    whole box, ``first`` of them before the one that is asked.
    """

    peak: Peak
    gap: Gap
    ties: float
    others: tuple[Constraint, ...]
    first: int
    change: Callable[[Planted], Planted] = lambda p: p

    def ask(self, rng: Rng) -> Planted:
        peak, sat, tie = self.peak, bool(rng.integers(2)), bool(rng.random() < self.ties)
        strict = (not sat) if tie else bool(rng.integers(2))
        moved = F(0) if tie else (peak.slop + self.gap(rng) * peak.size) * (-1 if sat else 1)
        constraint = at_least(peak, peak.top + moved, strict=strict)
        constraints = (*self.others[: self.first], constraint, *self.others[self.first :])
        region = Region(peak.lower, peak.upper, constraints)
        return self.change(
            Planted(
                "", peak.model, (region,), "sat" if sat else "unsat", peak.outputs, abs(moved) - peak.slop,
                peak.point, cuts=peak.cuts,
            )
        )  # fmt: skip


def asked(rng: Rng, peak: Peak, gap: Gap, *, ties: float = 0.0) -> Question:
    more = tuple(c for c in decoys(rng, peak) if rng.random() < 0.3)
    return Question(peak, gap, ties, more, int(rng.integers(len(more) + 1)))


@dataclass(frozen=True)
class Fixed:
    """A query that is asked as it is."""

    planted: Planted

    def ask(self, rng: Rng) -> Planted:
        return self.planted


def at_least(peak: Peak, value: Fraction, *, strict: bool) -> Constraint:
    """form >= value, in numbers whose decimals end."""
    k = without_decimals(value)
    return Constraint({name: -c * k for name, c in peak.form.items()}, -value * k, strict)


def decoys(rng: Rng, peak: Peak) -> list[Constraint]:
    """They hold in the whole box."""
    i = int(rng.integers(len(peak.lower)))
    x = f"X_{i}"
    j = f"X_{int(rng.integers(len(peak.lower)))}"
    both = [Constraint({x: F(1), j: F(1)}, peak.upper[i] + peak.upper[int(j[2:])])] if j != x else []
    return [Constraint({x: F(-1)}, -peak.lower[i]), *both]


# kinds


def robust(rng: Rng) -> Question | Fixed:
    peak = peaks.hill(rng) if rng.random() < 0.4 else peaks.sums(rng, depth=int(rng.integers(1, 3)))
    return asked(rng, peak, apart())


def hidden(rng: Rng) -> Question | Fixed:
    if rng.random() < 0.3:
        return asked(rng, peaks.tents(rng, int(rng.integers(1, 6))), apart(1))
    return asked(rng, peaks.spike(rng, int(rng.integers(1, 19))), apart(1))


def tie(rng: Rng) -> Question | Fixed:
    """At the top itself, and at zero."""
    makers: Sequence[Callable[[Rng], Peak]] = (
        peaks.hill, peaks.sums, peaks.affine, lambda r: peaks.spike(r, int(r.integers(1, 12))), peaks.pooled,
        lambda r: peaks.tents(r, int(r.integers(1, 4))), peaks.quantised, peaks.products, peaks.waves,
    )  # fmt: skip
    which = int(rng.integers(len(makers) + 3))
    if which >= len(makers):
        return (zero, corner_left_out, corner_left_out)[which - len(makers)](rng)
    return asked(rng, makers[which](rng), apart(), ties=1.0)


def zero(rng: Rng) -> Question | Fixed:
    """relu(z) - relu(-z) - z, or relu of what is never positive: 0 everywhere, asked for 0 on either side."""
    n = int(rng.integers(1, 4))
    lower, upper = peaks.sixteenths(rng, n)
    w = peaks.dyadics(rng, (1, n))
    b = peaks.dyadics(rng, (1,))
    if rng.random() < 0.5:
        layers = [
            (np.vstack([w, -w, w]), np.concatenate([b, -b, b + np.float32(1000)])),
            (np.array([[1, -1, -1]], np.float32), b + np.float32(1000) - b),
        ]
    else:
        most = [max(F(float(v)) * p for p in (a, c)) for v, a, c in zip(w[0], lower, upper, strict=True)]
        layers = [
            (w, np.array([-float(sum(most))], np.float32)),
            (np.ones((1, 1), np.float32), np.zeros(1, np.float32)),
        ]
    sign = int(rng.choice([-1, 1]))
    peak = Peak(layered(layers), 1, lower, upper, {"Y_0": F(sign)}, F(0), upper)
    return asked(rng, peak, apart(), ties=1.0)


def corner_left_out(rng: Rng) -> Question | Fixed:
    """The top is met at one corner alone, and a strict bound of an input leaves it out (unsat), or one of another side does not."""
    peak = peaks.affine(rng, peaks.dyadics)
    assert peak.point is not None
    i = int(rng.integers(len(peak.lower)))
    at, x = peak.point[i], f"X_{i}"
    upper = at == peak.upper[i]
    out = bool(rng.integers(2))
    side = F(1) if upper is out else F(-1)
    end = (peak.upper if side > 0 else peak.lower)[i]
    constraint = Constraint({x: side}, side * end, strict=True)
    region = Region(peak.lower, peak.upper, (at_least(peak, peak.top, strict=False), constraint))
    return Fixed(Planted("", peak.model, (region,), "unsat" if out else "sat", 1, F(0), peak.point))


def ulp(rng: Rng) -> Question | Fixed:
    """One unit in the last place: of a float32, of a double, of a decimal."""
    peak = (
        peaks.affine(rng)
        if rng.random() < 0.6
        else peaks.sums(rng, peaks.full, box=[peaks.sixteenths, peaks.decimals][int(rng.integers(2))])
    )
    near = float(abs(peak.top)) or 1.0
    units = [
        F(float(np.spacing(np.float32(near)))),
        F(math.ulp(near)),
        *(F(1, 10**k) for k in (15, 17, 20, 30, 40, 60)),
    ]
    return asked(rng, peak, lambda r: units[int(r.integers(len(units)))], ties=0.1)


def zero_width(rng: Rng) -> Question | Fixed:
    """Some inputs, or all, have no width."""
    if rng.random() < 0.4:
        return asked(rng, peaks.hill(rng, fixed=int(rng.integers(1, 4))), apart())
    peak = peaks.sums(rng, box=points, depth=int(rng.integers(1, 3)))
    return asked(rng, replace(peak, cuts=()), apart(3, 60), ties=0.3)


def points(rng: Rng, n: int) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """A box of one point, mostly; of decimals, or of one side more."""
    lower, upper = (peaks.sixteenths, peaks.decimals)[int(rng.integers(2))](rng, n)
    wide = int(rng.integers(-2, n))
    return lower, tuple(b if i == wide else a for i, (a, b) in enumerate(zip(lower, upper, strict=True)))


def disjuncts(rng: Rng) -> Question | Fixed:
    """The query of another kind among false ones, in several boxes, or cut in two."""
    makers = (robust, hidden, tie, zero_width, cnn)
    base = makers[int(rng.integers(len(makers)))](rng)
    if isinstance(base, Fixed):
        return Fixed(among_others(rng, base.planted))
    cut = rng.random() < 0.3 and base.peak.lower != base.peak.upper
    seed = int(rng.integers(1 << 32))
    return replace(base, change=lambda p: disguised(np.random.default_rng(seed), p, cut=cut))


def disguised(rng: Rng, planted: Planted, *, cut: bool) -> Planted:
    if not cut:
        return among_others(rng, planted)
    planted = parted(rng, planted)
    return planted if rng.random() < 0.5 else replace(planted, regions=planted.regions[::-1])


def infinite(rng: Rng) -> Question | Fixed:
    """Boxes and values beyond float32's numbers and double's; Clip with an infinity; an input that has no bound on a side."""
    match int(rng.integers(4)):
        case 0:
            peak = peaks.sums(rng, box=peaks.far)
            return asked(rng, replace(peak, size=max(abs(peak.top), F(1))), apart())
        case 1:
            makers = (peaks.affine, lambda r: peaks.spike(r, int(r.integers(1, 8))), peaks.rising)
            return asked(rng, peaks.clipped(rng, makers[int(rng.integers(3))](rng)), apart())
        case 2:
            peak = peaks.chain(rng)
            return asked(rng, replace(peak, size=abs(peak.top) or F(1)), apart())
    return open_side(rng)


def open_side(rng: Rng) -> Question | Fixed:
    """c - relu(w . x + b) where one input has no bound: its top is c, or less where the ReLU is never 0."""
    n = int(rng.integers(1, 4))
    lower, upper = peaks.sixteenths(rng, n)
    w, b, c = peaks.dyadics(rng, (1, n)), peaks.dyadics(rng, (1,)), peaks.dyadics(rng, (1,))
    w[0, 0] = float(rng.choice([1, -0.5]))
    layers = [(w, b), (-np.ones((1, 1), np.float32), c)]
    falls = w[0, 0] < 0
    ends = [
        min((F(float(v)) * p, p) for p in (a, q))[1]
        for v, a, q in zip(w[0].tolist(), lower, upper, strict=True)
    ]
    top = peaks.forward(layers, ends)[0]
    peak = Peak(layered(layers), 1, lower, upper, {"Y_0": F(1)}, top, tuple(ends))
    found = asked(rng, peak, apart())
    return found if found.others else replace(found, change=lambda p: opened(p, lower=falls))


def opened(planted: Planted, *, lower: bool) -> Planted:
    """Without the end of the first input on the side along which the ReLU grows."""
    (region,) = planted.regions
    ends = {"lower": (None, *region.lower[1:])} if lower else {"upper": (None, *region.upper[1:])}
    return replace(planted, regions=(replace(region, **ends),))


def extreme(rng: Rng) -> Question | Fixed:
    """Huge and subnormal weights, and sums that cancel."""
    peak = peaks.sums(rng, peaks.wild) if rng.random() < 0.7 else peaks.affine(rng, peaks.wild)
    return asked(rng, replace(peak, size=max(abs(peak.top), F(1, 10**60))), apart(3, 60))


def cnn(rng: Rng) -> Question | Fixed:
    return asked(rng, peaks.pooled(rng), apart())


def residual(rng: Rng) -> Question | Fixed:
    return asked(rng, peaks.residual(rng), apart())


def smooth(rng: Rng) -> Question | Fixed:
    if rng.random() < 0.2:
        return asked(rng, peaks.waves(rng), apart())
    peak = peaks.rising(rng)
    return asked(rng, peak, apart(3, 60))


def product(rng: Rng) -> Question | Fixed:
    return asked(rng, peaks.products(rng), apart())


def quantised(rng: Rng) -> Question | Fixed:
    return asked(rng, peaks.quantised(rng), apart())


@dataclass(frozen=True)
class Between:
    """What lies between the exact value at a point and one of float32: about the reals one thing, of executions another."""

    model: bytes
    point: Point
    exact: Fraction
    single: float

    def ask(self, rng: Rng) -> Planted:
        if math.isfinite(self.single):
            share = rng.choice([F(1, 2), F(1, 1 << 20), F((1 << 20) - 1, 1 << 20), F(1)])
            value, strict = (
                self.exact + share * (F(self.single) - self.exact),
                bool(rng.integers(2)) and share < 1,
            )
        else:
            value, strict = (2 * abs(self.exact) + 1) * (1 if self.single > 0 else -1), bool(rng.integers(2))
        unsat = (
            bool(rng.integers(2)) or value == self.single
        )  # the execution satisfies it, the exact value does not
        side = F(-1 if (self.single > self.exact) is unsat else 1)
        constraint = Constraint({"Y_0": side}, side * value, strict)
        region = Region(self.point, self.point, (constraint,))
        answer = "unsat" if unsat else "sat"
        return Planted(
            "", self.model, (region,), answer, 1, abs(self.exact - value), self.point, executed=True
        )


def executed(rng: Rng) -> Between:
    """A point at which an execution in float32 is not exact, or overflows."""
    while True:
        sizes = [int(rng.integers(1, 5)), int(rng.integers(1, 5)), 1]
        draw = (peaks.full, peaks.wild, cancelling)[int(rng.integers(3))]
        layers = [(draw(rng, (b, a)), draw(rng, (b,))) for a, b in zip(sizes, sizes[1:], strict=False)]
        x = rng.normal(0, 1, sizes[0]).astype(np.float32)
        point = tuple(F(float(v)) for v in x)
        exact, single = peaks.forward(layers, point)[0], in_single(layers, x)
        if not math.isnan(single) and single != exact:
            return Between(layered(layers), point, exact, single)


@dataclass(frozen=True)
class Apart:
    """Two networks and how far apart they are: no further than what is asked for (unsat), or somewhere (sat)."""

    peak: Peak
    other: bytes

    def ask(self, rng: Rng) -> Planted:
        peak, sat, tie = self.peak, bool(rng.integers(2)), bool(rng.random() < 0.2)
        gap = F(0) if tie and not sat else apart(3, 40)(rng)
        within = peak.top - gap if sat else peak.top + gap
        within = F(0) if within < 0 else without_a_third(within, up=not sat)
        sat = peak.top > within
        sides = ({"Y_0": F(-1), "Y_1": F(1)}, {"Y_0": F(1), "Y_1": F(-1)})
        regions = tuple(
            Region(peak.lower, peak.upper, (Constraint(side, -within, strict=True),)) for side in sides
        )
        return Planted(
            "", peak.model, regions, "sat" if sat else "unsat", 2, abs(peak.top - within), peak.point,
            cuts=peak.cuts, other=self.other, within=within,
        )  # fmt: skip


def without_a_third(value: Fraction, *, up: bool) -> Fraction:
    """The value, or the next multiple of GRID where its decimals do not end."""
    return value if without_decimals(value) == 1 else gridded(value, up=up)


def two_networks(rng: Rng) -> Apart:
    return Apart(*peaks.shifted(rng))


def cancelling(rng: Rng, shape: tuple[int, ...]) -> Array:
    return (peaks.full(rng, shape) * rng.choice([1, -1, 2**20, -(2**20)], shape)).astype(np.float32)


def in_single(layers: Sequence[tuple[Array, Array]], x: Array) -> float:
    """Every product and every sum rounded to float32, from the left, the bias last."""
    h = x
    with np.errstate(all="ignore"):
        for k, (w, b) in enumerate(layers):
            h = np.maximum(h, np.float32(0)) if k else h
            total = np.zeros(len(w), np.float32)
            for j in range(w.shape[1]):
                total = total + w[:, j] * h[j]
            h = total + b
    return float(h[0])


def sliver(rng: Rng) -> Fixed:
    """Constraints, or a spike, that only the neighbourhood of a point meets: ``planted``."""
    kinds = list(ARCHITECTURES)
    kind = kinds[int(rng.integers(len(kinds)))]
    return Fixed(needled(rng, kind) if rng.random() < 0.3 else slabs(rng, kind, mixed=bool(rng.integers(2))))


KINDS: dict[str, Callable[[Rng], Question | Fixed | Between | Apart]] = {
    "robust": robust,
    "hidden": hidden,
    "tie": tie,
    "ulp": ulp,
    "zero-width": zero_width,
    "disjuncts": disjuncts,
    "infinite": infinite,
    "extreme": extreme,
    "cnn": cnn,
    "residual": residual,
    "smooth": smooth,
    "product": product,
    "quantised": quantised,
    "executed": executed,
    "two-networks": two_networks,
    "sliver": sliver,
}


def queries(kind: str, number: int, count: int = 1) -> list[Planted]:
    """Of one network; where all of a maker's is drawn at once, one."""
    rng = np.random.default_rng((zlib.crc32(kind.encode()), number))
    question = KINDS[kind](rng)
    count = 1 if isinstance(question, Fixed) else count
    return [replace(question.ask(rng), name=f"{kind}-{number}" + f".{k}" * (k > 0)) for k in range(count)]


def query(kind: str, number: int) -> Planted:
    return queries(kind, number)[0]
