"""Checks of leaves and points of a stability claim; the conditions that they are about: stability_conditions.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import inf
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb, ball, lower_float, upper_float
from tlcheck.trusted.calculus.jets import Jet, constant, coordinates
from tlcheck.trusted.calculus.kinked_jets import Kinks, first_order
from tlcheck.trusted.calculus.ranges import Box, Point
from tlcheck.trusted.calculus.written import box_text, point_text
from tlcheck.trusted.conditions import Check, fact, met, undecided
from tlcheck.trusted.science.by_signs import Slack, bounded
from tlcheck.trusted.science.stability_conditions import ASYMPTOTIC, Conditions
from tlcheck.trusted.science.stability_tree import CORE, DECREASE, EMPTY, OUTSIDE, PIECEWISE

BOUNDARY: Final = "V above the level on the boundary"


class Judge:
    """Checks of boxes and points, at the working precision of when it was made.

    A leaf judged by pieces has at most ``max_pieces`` (None: ``by_pieces.MAX_PIECES``); ``tick``, which may
    raise, is called before each of them.
    """

    def __init__(
        self,
        conditions: Conditions,
        max_pieces: int | None = None,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self.of, self.max_pieces, self.tick = conditions, max_pieces, tick
        self.plain = not (conditions.candidate.l1 or conditions.candidate.quadratic)
        self.logit = not conditions.loop.discrete and self.plain and conditions.candidate.outer == "sigmoid"
        self.v = conditions.candidate.prepared(inner=self.logit)
        self.f = conditions.loop.prepared()
        self.level, self.inner = self._level(conditions.level), self._level(conditions.low_level)

    def _level(self, level: Fraction) -> Arb:
        """The level, or its logit: NaN, and nothing compares with it, unless it is in (0, 1)."""
        if not self.logit:
            return ball(level)
        return (ball(level) / ball(1 - level)).log() if 0 < level < 1 else arb("nan")

    def _said(self, name: str) -> str:
        """The name of a condition on V, with what its slack is about."""
        return f"{name}, as logit V" if self.logit else name

    def leaf(self, box: Box, tag: str) -> Iterator[Check]:
        """The conditions of one leaf."""
        if tag == EMPTY:
            yield met("an empty leaf is empty", any(a > b for a, b in box), box_text(box))
            return
        if any(a > b for a, b in box):
            yield undecided("a leaf is not empty", box_text(box))
            return
        if tag == CORE:
            core = self.of.core
            inside = core is not None and all(
                c <= a and b <= d for (a, b), (c, d) in zip(box, core, strict=True)
            )
            yield Check("a leaf of the core lies in it", inside or None, None, None, box_text(box))
        elif tag == OUTSIDE:
            yield self._proved(
                self._said("V above the level"), self._v_slack(1, self.level), box, strict=True
            )
        elif not self.of.loop.discrete:
            if tag == PIECEWISE:
                yield undecided("a leaf judged by pieces", "time is continuous")
            elif tag == DECREASE:
                yield self._proved(self._said("V' < 0"), self._minus_rate, box, strict=True)
                yield self._lipschitz(box)
            elif self.allows_inside:
                name = self._said("V below the inner level")
                yield self._proved(name, self._v_slack(-1, self.inner), box, strict=True)
                yield self._lipschitz(box)
            else:
                yield undecided("a leaf inside an inner level", "the claim has none")
        elif tag == PIECEWISE:
            yield from self._by_pieces(box)
        elif tag == DECREASE or self.allows_inside:
            yield from self._step(box, tag)
        else:
            yield undecided("a leaf inside an inner level", "the claim has none")
        if not self.of.loop.discrete and tag != OUTSIDE:
            yield from self._boundary(box)

    def _lipschitz(self, box: Box) -> Check:
        """F has bounded slopes on the box."""
        x = [first_order(jet) for jet in coordinates(box)]
        finite = all(y.is_finite() for jet in self.f(x, Kinks()) for y in (jet.value, *jet.gradient))
        return Check("F is Lipschitz", finite or None, None, None, box_text(box))

    @property
    def allows_inside(self) -> bool:
        return self.of.statement != ASYMPTOTIC

    def _step(self, box: Box, tag: str) -> Iterator[Check]:
        """Discrete: the next states of the box lie in B, and V falls (tag d) or lands at or below c (tag i)."""
        over = self.f([first_order(jet) for jet in coordinates(box)], Kinks())
        for k, (jet, (low, high)) in enumerate(zip(over, self.of.region, strict=True)):
            if jet.value > ball(low) and jet.value < ball(high):
                yield fact("next state in the region", True)
                continue
            for sign, end in ((1, low), (-1, high)):
                yield self._proved("next state in the region", self._side(k, sign, end), box, strict=False)
        if tag == DECREASE:
            yield self._proved("V falls", self.fall, box, strict=False)
        else:
            yield self._proved("V lands at or below the inner level", self._lands, box, strict=False)

    def _by_pieces(self, box: Box) -> Iterator[Check]:
        """Discrete: tag p, whose rules are imported where a tree has it."""
        from tlcheck.trusted.science.stability_by_pieces import leaf_checks

        return leaf_checks(self, box)

    def _side(self, k: int, sign: int, end: Fraction) -> Slack:
        """sign (x+_k - end)."""
        return lambda x, kinks: self.f(x, kinks)[k].shifted(ball(-end)).scaled(arb(sign))

    def _lands(self, x: Sequence[Jet], kinks: Kinks) -> Jet:
        """c - V(x+)."""
        return (-self.v(self.f(x, kinks), kinks)).shifted(self.inner)

    def fall(self, x: Sequence[Jet], kinks: Kinks) -> Jet:
        """How far V falls: (1 - k) V(x) - V(x+), or -V'."""
        if not self.of.loop.discrete:
            return self._minus_rate(x, kinks)
        return self.v(x, kinks).scaled(ball(1 - self.of.decay)) - self.v(self.f(x, kinks), kinks)

    def levels(self, box: Box) -> tuple[Arb, Arb]:
        """V - level and V - inner level, at the centre."""
        v = self.v(coordinates(_centre(box)), Kinks()).value
        return v - self.level, v - self.inner

    def _boundary(self, box: Box) -> Iterator[Check]:
        """V above the level on the faces that lie on B's boundary."""
        for k, (side, whole) in enumerate(zip(box, self.of.region, strict=True)):
            for end, edge in zip(side, whole, strict=True):
                if end == edge:
                    face = (*box[:k], (end, end), *box[k + 1 :])
                    yield self._proved(self._said(BOUNDARY), self._v_slack(1, self.level), face, strict=True)

    def _v_slack(self, sign: int, level: Arb) -> Slack:
        """sign (V - level)."""
        return lambda x, kinks: self.v(x, kinks).shifted(-level).scaled(arb(sign))

    def _minus_rate(self, x: Sequence[Jet], kinks: Kinks) -> Jet:
        """-V', of first order where the box is not a point."""
        v = self.v(x, kinks)
        field = self.f([first_order(jet) for jet in x], kinks)
        total = first_order(constant(arb(0), len(x[0].gradient)))
        for i, f in enumerate(field):
            total = total + v.partial(i) * f
        return -total

    def _proved(self, name: str, slack: Slack, box: Box, *, strict: bool) -> Check:
        """slack > 0 (>= 0) on the box. A negative value disproves the leaf's tag only, not the claim."""
        bound = bounded(slack, box, strict=strict)
        holds = bool(bound.low > 0 if strict else bound.low >= 0)
        low, high = lower_float(bound.low), upper_float(bound.at)
        finite = abs(low) < inf and abs(high) < inf
        return Check(name, holds or None, low if finite else None, high if finite else None, box_text(box))

    # Points.

    def suspects(self, box: Box) -> list[Point]:
        """Points worth trying against the claim: the centre; in continuous time those of faces on B's boundary too."""
        centre = tuple((a + b) / 2 for a, b in box)
        if self.of.loop.discrete:
            return [centre]
        ends = [(k, end) for k, side in enumerate(box) for end in side if end in self.of.region[k]]
        return [centre, *((*centre[:k], end, *centre[k + 1 :]) for k, end in ends)]

    def violation(self, point: Point) -> Check | None:
        """The condition certainly fails at the point: a disproved check that names it; else None."""
        if not all(a <= q <= b for q, (a, b) in zip(point, self.of.region, strict=True)):
            return None
        where = point_text(point)
        x = coordinates(tuple((q, q) for q in point))
        v = self.v(x, Kinks()).value
        in_level = v <= self.level
        if not in_level or (self.of.statement == ASYMPTOTIC and point == self.of.candidate.centre):
            return None
        if self.of.loop.discrete:
            return self._bad_step(x, where)
        if any(q in edge for q, edge in zip(point, self.of.region, strict=True)):
            return _disproved(self._said(BOUNDARY), v - self.level, where)
        if self.of.statement != ASYMPTOTIC and not v >= self.inner:
            return None
        rate = self._minus_rate(x, Kinks()).value
        return _disproved(self._said("V' < 0"), rate, where) if rate <= 0 else None

    def _bad_step(self, x: Sequence[Jet], where: str) -> Check | None:
        after = self.f(x, Kinks())
        for jet, (low, high) in zip(after, self.of.region, strict=True):
            for slack in (jet.value - ball(low), ball(high) - jet.value):
                if slack < 0:
                    return _disproved("next state in the region", slack, where)
        lands, falls = self._lands(x, Kinks()).value, self.fall(x, Kinks()).value
        if falls < 0 and (self.of.statement == ASYMPTOTIC or lands < 0):
            return _disproved("V falls", falls, where)
        return None


def _disproved(name: str, slack: Arb, where: str) -> Check:
    return Check(name, False, lower_float(slack), upper_float(slack), where)


def _centre(box: Box) -> Box:
    return tuple(((a + b) / 2, (a + b) / 2) for a, b in box)
