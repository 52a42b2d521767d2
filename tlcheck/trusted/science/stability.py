"""Stability of a closed loop by a Lyapunov candidate: what is claimed, the tree that proves it, and the theorems.

x+ = F(x) (discrete) or x' = F(x) (continuous), V continuous, B a box (``region``), r = ``level``, S = {x in B: V(x)
<= r}, k = ``decay``.

**Condition**, for every x in S:

    discrete     x+ in B, and   asymptotic: V(x+) <= (1 - k) V(x);
                                practical, invariant: V(x+) <= max(c, (1 - k) V(x))
    continuous   x is not on B's boundary; F is Lipschitz near x; and V' < 0 at x if V(x) >= c (asymptotic: if x != e)

with c = ``inner`` (r itself for invariant). V' < 0: g . F(x) < 0 for every Clarke gradient g of V at x.

**Theorem, asymptotic.** Hypotheses, each checked: e in B's interior; F(e) = e (or 0), exactly; V(e) = 0 and V > 0
elsewhere; r > 0; discrete: 0 < k <= 1; the condition. Then e is asymptotically stable, S is invariant, and every
trajectory from S tends to e: S is in the region of attraction. *Proof, discrete.* S is invariant: x+ in B, V(x+) <=
V(x) <= r. V(x_j) <= (1 - k)^j V(x_0) tends to 0. Outside a ball around e, V has a positive minimum on the compact S,
so x_j enters every ball for good. Stability: for a ball, let m > 0 be that minimum; from the neighbourhood {V <
min(m, r)} of e, a subset of S in which V never grows, no trajectory leaves the ball (V is continuous, V(e) = 0).
*Continuous.* A trajectory from S exists locally, is unique, and cannot leave S: V never grows along it while in S
(Lebourg: V o x has an upper derivative of at most max g . F < 0), and S is in the open interior of B, closed. So it
stays in a compact set, exists for all time, and V falls strictly but at e. On S without a ball around e, compact, max
g . F <= -d < 0 (the Clarke gradient is upper semicontinuous), so each ball is entered; the rest as above.

**Theorem, practical (to level c).** Hypotheses: 0 < c < r, the condition, discrete: 0 < k <= 1. Then {V <= c} and S
are invariant, and every trajectory from S enters {V <= c} in finite time and stays. *Proof.* Discrete: V(x_j) <=
max(c, (1 - k)^j r). Continuous: where V >= c, max g . F <= -d < 0 by compactness, so V reaches c by time (r - c)/d,
and cannot rise through c; nor through r.

**Theorem, invariant.** Hypotheses: the condition with c = r >= 0 (discrete: 0 <= k <= 1). Then S is invariant.
*Proof.* As above. The last two say nothing about an equilibrium, nor that trajectories settle. (S or {V <= c} may be
empty; then they say nothing.)

**Proof of the condition.** A binary tree cuts B across coordinates; both halves are kept closed, so the leaves cover
B whatever the cuts. A leaf's tag says which of these is checked on its whole box, from jets of V, F and V o F
(by ``kinks``):

    o  V > r                              (nothing is claimed there)
    d  discrete: (1 - k) V(x) - V(x+) >= 0, x+ in B;   continuous: V' < 0
    i  discrete: V(x+) <= c, x+ in B;                  continuous: V < c, F Lipschitz;   never in an asymptotic claim
    p  discrete: where V(x) <= r, x+ in B, and (1 - k) V(x) - V(x+) >= 0 or, but in an asymptotic claim, V(x+) <= c;
       piece by piece (``pieces``), and on each piece one of the two: for piecewise linear V, whose kinks cost the others much
    c  the box lies in the core (asymptotic only): the core lemma, equilibrium.py; its F(C) in B
    e  the box is empty: a cut outside it

Continuous: every leaf's faces on B's boundary satisfy V > r too. When V = sigmoid(N) alone, N takes V's part in
continuous time, levels becoming logit(c), logit(r): the sigmoid is increasing, its slope positive.

A point that violates the condition, evaluated as a point, refutes the claim: ``points`` of the certificate, and the
centre of each leaf that fails, are tried; so does an e that is certainly no equilibrium. Nothing else does: a
hypothesis, leaf or core that fails leaves the claim unproved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb, ball, lower_float, upper_float
from tlcheck.trusted.calculus.expression import text, variables
from tlcheck.trusted.calculus.jets import Jet, constant, coordinates
from tlcheck.trusted.calculus.ranges import Box, min_exact
from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.conditions import Check, ConditionClaim, Measure, fact, undecided
from tlcheck.trusted.science.closed_loop import Candidate, Kinks, Loop, Point, first_order
from tlcheck.trusted.science.equilibrium import Core, box_text, met
from tlcheck.trusted.science.kinks import Slack, bounded
from tlcheck.trusted.science.pieces import MAX_PIECES, Pieces, TooManyPieces, as_form, forms

ASYMPTOTIC, PRACTICAL, INVARIANT = "asymptotically stable", "practically stable", "invariant only"
STATEMENTS: Final = (ASYMPTOTIC, PRACTICAL, INVARIANT)

EXACTLY: Final = "the equilibrium is one, exactly"
BOUNDARY: Final = "V above the level on the boundary"
OUTSIDE, DECREASE, INSIDE, PIECEWISE, CORE, EMPTY = "o", "d", "i", "p", "c", "e"
TAGS: Final = (OUTSIDE, DECREASE, INSIDE, PIECEWISE, CORE, EMPTY)
MAX_TREE_DEPTH: Final = 400
"""Deepest path: a box halved so often along 16 coordinates is far below any margin."""


@dataclass(frozen=True)
class Cut:
    """x[axis] <= at to the left, >= at to the right; the middle of the box when ``at`` is None."""

    axis: int
    at: Fraction | None = None


Tree = tuple[Cut | str, ...]
"""A binary tree in preorder: a Cut is followed by its left and its right subtree; a tag is a leaf."""


def leaves_of(tree: Tree, region: Box) -> Iterator[tuple[Box, str]]:
    """(box, tag) of each leaf. Raises ValueError when it is not one tree over these coordinates."""
    boxes: list[tuple[Box, int]] = [(region, 0)]
    for node in tree:
        if not boxes:
            raise ValueError("the tree goes on after its last leaf")
        box, depth = boxes.pop()
        if isinstance(node, str):
            if node not in TAGS:
                raise ValueError(f"unknown tag {node!r}")
            yield box, node
            continue
        if not 0 <= node.axis < len(box) or depth >= MAX_TREE_DEPTH:
            raise ValueError("a cut across a coordinate that is not there, or too deep")
        low, high = box[node.axis]
        at = (low + high) / 2 if node.at is None else node.at
        parts = (low, min(at, high) if low <= at else at), (max(at, low) if at <= high else at, high)
        halves = [(*box[: node.axis], part, *box[node.axis + 1 :]) for part in parts]
        boxes += [(half, depth + 1) for half in reversed(halves)]
    if boxes:
        raise ValueError("the tree ends before its last leaf")


@dataclass(frozen=True)
class Conditions:
    """The conditions of a claim without its tree: what a finder needs too. Fields: module docstring."""

    statement: str
    loop: Loop
    candidate: Candidate
    region: Box
    level: Fraction
    decay: Fraction = Fraction(0)
    inner: Fraction | None = None
    core: Box | None = None

    def __post_init__(self) -> None:
        n = len(self.region)
        if not n or {len(self.loop.states), len(self.loop.equations), len(self.candidate.centre)} != {n}:
            raise ValueError("states, equations, equilibrium and region must have one dimension")
        if any(a >= b for a, b in self.region):
            raise ValueError("the region must have an interior")
        known = set(self.loop.states)
        for block in self.loop.blocks:
            if any(not variables(e) <= known for e in (*block.inputs, *block.minus)):
                raise ValueError("a network's input names something that is not defined before it")
            if known & set(block.names) or len(set(block.names)) != len(block.names):
                raise ValueError("a name is defined twice")
            known |= set(block.names)
        if len(set(self.loop.states)) != n or any(not variables(e) <= known for e in self.loop.equations):
            raise ValueError("an equation names something that is not defined")
        if self.statement not in STATEMENTS:
            raise ValueError("unknown statement")
        if (self.inner is not None) != (self.statement == PRACTICAL) or (self.core is not None) > (
            self.statement == ASYMPTOTIC
        ):
            raise ValueError("an inner level belongs to practical stability, a core to asymptotic stability")
        if self.core is not None and (len(self.core) != n or any(a > b for a, b in self.core)):
            raise ValueError("the core does not fit the region")
        if not self.loop.discrete and self.decay:
            raise ValueError("decay is for discrete time")

    @property
    def low_level(self) -> Fraction:
        """c: what ``inner`` stands for."""
        return self.level if self.inner is None else self.inner

    def hypotheses(self) -> Iterator[Check]:
        """The theorem's, except the condition; exact. Only a point that is no equilibrium makes the claim false."""
        e, n = self.candidate.centre, len(self.region)
        level, inner, decay = (number_text(q) for q in (self.level, self.low_level, self.decay))
        if self.statement == ASYMPTOTIC:
            yield met(
                "the equilibrium lies in the region's interior",
                all(a < q < b for (a, b), q in zip(self.region, e, strict=True)),
                f"equilibrium = {_point(e)}",
            )
            value = self.loop.exact(e)
            rest = e if self.loop.discrete else (Fraction(0),) * n
            if value is None:
                yield undecided(EXACTLY, f"{_point(e)}, where rational arithmetic does not give F")
            else:
                yield fact(EXACTLY, value == rest, _point(e))
            yield met("V(e) = 0 and V > 0 elsewhere", self.candidate.definite, f"V = {self.candidate.text}")
            yield met("level > 0", self.level > 0, f"level = {level}")
        elif self.statement == PRACTICAL:
            yield met(
                "0 < inner_level < level",
                0 < self.low_level < self.level,
                f"inner_level = {inner}, level = {level}",
            )
        else:
            yield met("level >= 0", self.level >= 0, f"level = {level}")
        if self.loop.discrete:
            low = "0 <=" if self.statement == INVARIANT else "0 <"
            above = self.decay >= 0 if self.statement == INVARIANT else self.decay > 0
            yield met(f"{low} decay <= 1", above and self.decay <= 1, f"decay = {decay}")


class Judge:
    """Checks of boxes and points, at the working precision of when it was made.

    A leaf has at most ``max_pieces``; ``tick``, which may raise, is called before each of them.
    """

    def __init__(
        self,
        conditions: Conditions,
        max_pieces: int = MAX_PIECES,
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
            elif self._allows_inside:
                name = self._said("V below the inner level")
                yield self._proved(name, self._v_slack(-1, self.inner), box, strict=True)
                yield self._lipschitz(box)
            else:
                yield undecided("a leaf inside an inner level", "the claim has none")
        elif tag == PIECEWISE:
            yield from self._by_pieces(box)
        elif tag == DECREASE or self._allows_inside:
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
    def _allows_inside(self) -> bool:
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
        """Discrete: tag p. A piece on which V is above the level is left alone."""
        x = forms(box, len(box))
        pieces = Pieces(len(box), self.max_pieces)
        stays = falls = arb("inf")
        try:
            for _ in pieces:
                self.tick()
                v = pieces.kept(lambda: self.v(x, pieces))
                if pieces.least(v.shifted(-self.level)) > 0:
                    continue
                pieces.assume((-v).shifted(self.level))
                after = pieces.kept(lambda: self.f(x, pieces))
                stays = min_exact(stays, self._room(after, pieces))
                falls = min_exact(falls, self._piece_falls(v, after, pieces)) if stays >= 0 else falls
                if not (stays >= 0 and falls >= 0):
                    break
        except TooManyPieces:
            yield undecided("V falls, by pieces", box_text(box))
            return
        for name, low in (("next state in the region", stays), ("V falls, by pieces", falls)):
            known = lower_float(low)
            yield Check(
                name, bool(low >= 0) or None, known if abs(known) < inf else None, None, box_text(box)
            )

    def _room(self, after: Sequence[Jet], pieces: Pieces) -> Arb:
        """How far inside B the next states of a piece are, at least."""
        room = arb("inf")
        for jet, (low, high) in zip(after, self.of.region, strict=True):
            room = min_exact(room, pieces.least(jet.shifted(ball(-low))))
            room = min_exact(room, pieces.least((-jet).shifted(ball(high))))
        return room

    def _piece_falls(self, v: Jet, after: Sequence[Jet], pieces: Pieces) -> Arb:
        """The least fall of V on a piece, or, where that is claimed, of V(x+) below c."""
        n = len(after)
        v_after = self.v([as_form(jet).spread(n + k) for k, jet in enumerate(after)], pieces)
        falls = pieces.least(v.scaled(ball(1 - self.of.decay)) - v_after)
        if falls >= 0 or not self._allows_inside:
            return falls
        lands = pieces.least((-v_after).shifted(self.inner))
        return lands if lands >= 0 else falls

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
        where = _point(point)
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


@dataclass(frozen=True)
class Stability(ConditionClaim):
    """The theorem of ``conditions.statement``; ``tree`` and ``points`` are evidence. ``origin``: where the networks are from."""

    conditions: Conditions
    tree: Tree
    points: tuple[Point, ...] = ()
    origin: str = ""
    kind = "stability"

    def __post_init__(self) -> None:
        for _ in leaves_of(self.tree, self.conditions.region):
            pass
        if any(len(point) != len(self.conditions.region) for point in self.points):
            raise ValueError("a point does not fit the region")

    @property
    def statement(self) -> str:
        c = self.conditions
        e, r = f"e = {_point(c.candidate.centre)}", number_text(c.level)
        low = number_text(c.low_level)
        s = f"S = {{x in {box_text(c.region)}: V(x) <= {r}}}"
        if c.loop.discrete:
            falls = f", V(x+) <= (1 - {number_text(c.decay)}) V(x) in S"
            settles = f", V(x+) <= max({low}, (1 - {number_text(c.decay)}) V(x)) in S"
            stays = ""
        else:
            s = f"{s}, in the interior of the box,"
            falls, settles, stays = (
                f", V' < 0 in S {where}" for where in ("but at e", f"where V >= {low}", f"where V = {r}")
            )
        said = {
            ASYMPTOTIC: f"asymptotically stable: {e} is, every trajectory from {s} stays in S and tends to e{falls}",
            PRACTICAL: f"practically stable, to level {low}: {s} and {{V <= {low}}} in it are invariant, "
            "and trajectories from S enter the latter in finite time"
            f"{settles}; nothing about an equilibrium",
            INVARIANT: f"invariant only: no trajectory leaves {s}{stays}; nothing about convergence",
        }[c.statement]
        mark = "+" if c.loop.discrete else "'"
        loop = [block.text(f"N{k}") for k, block in enumerate(c.loop.blocks, 1)]
        loop += [f"{x}{mark} = {text(f)}" for x, f in zip(c.loop.states, c.loop.equations, strict=True)]
        return "; ".join([said, *loop, f"V = {c.candidate.text}"] + [self.origin] * bool(self.origin))

    def head(self, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        c = self.conditions
        yield from c.hypotheses()
        judge = Judge(c)
        for point in self.points:
            tick()
            found = judge.violation(point)
            if found is not None:
                yield found
        if c.core is not None:
            yield from Core(c.loop, c.candidate, c.core, c.region, c.decay).checks(tick)

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        yield from self.head(tick)
        for part in self._leaves():
            yield from part.checks(precision, tick)
        yield Measure("leaves", self.leaves)

    def parts(self) -> Sequence[ConditionClaim]:
        """All but the tree, and the leaves in pieces of some hundred."""
        return (_Head(self), *self._leaves())

    def _leaves(self) -> Iterator[_Leaves]:
        part: list[tuple[Box, str]] = []
        work = 0
        for box, tag in leaves_of(self.tree, self.conditions.region):
            part.append((box, tag))
            work += WORK.get(tag, 1)
            if work >= WORK_PER_PART:
                yield _Leaves(self.conditions, tuple(part))
                part, work = [], 0
        if part:
            yield _Leaves(self.conditions, tuple(part))

    @property
    def leaves(self) -> dict[str, int]:
        """How many there are of each kind."""
        return {name: self.tree.count(tag) for tag, name in LEAF_NAMES.items()}


LEAF_NAMES: Final = {
    OUTSIDE: "outside", DECREASE: "decrease", INSIDE: "inside", PIECEWISE: "by pieces", CORE: "core", EMPTY: "empty",
}  # fmt: skip
WORK: Final = {PIECEWISE: 16}
WORK_PER_PART: Final = 128
"""Work of one task, in leaves: seconds, against milliseconds for the networks."""


@dataclass(frozen=True)
class _Head(ConditionClaim):
    """The conditions of a claim but those of its leaves."""

    of: Stability
    kind = "stability"

    @property
    def statement(self) -> str:
        return "hypotheses, points against the claim, core lemma"

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        yield from self.of.head(tick)
        yield Measure("leaves", self.of.leaves)


@dataclass(frozen=True)
class _Leaves(ConditionClaim):
    """Some leaves of the tree."""

    conditions: Conditions
    leaves: tuple[tuple[Box, str], ...]
    kind = "stability"

    @property
    def statement(self) -> str:
        return f"{len(self.leaves)} leaves"

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        judge = Judge(self.conditions, tick=tick)
        for box, tag in self.leaves:
            tick()
            failed = False
            for check in judge.leaf(box, tag):
                failed = failed or check.holds is not True
                yield check
            for point in judge.suspects(box) if failed else ():
                found = judge.violation(point)
                if found is not None:
                    yield found


def _disproved(name: str, slack: Arb, where: str) -> Check:
    return Check(name, False, lower_float(slack), upper_float(slack), where)


def _centre(box: Box) -> Box:
    return tuple(((a + b) / 2, (a + b) / 2) for a, b in box)


def _point(x: Point) -> str:
    return f"({', '.join(map(number_text, x))})"
