"""Stability claims: hypotheses, points tried against the claim, the core lemma where a core is given, every leaf of the tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tlcheck.trusted.calculus.expression import text
from tlcheck.trusted.calculus.ranges import Box, Point
from tlcheck.trusted.calculus.written import box_text, number_text, point_text
from tlcheck.trusted.conditions import Check, ConditionClaim, Measure
from tlcheck.trusted.science.stability_conditions import ASYMPTOTIC, INVARIANT, PRACTICAL, Conditions
from tlcheck.trusted.science.stability_judge import Judge
from tlcheck.trusted.science.stability_tree import LEAF_NAMES, PIECEWISE, Tree, leaves_of


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
        e, r = f"e = {point_text(c.candidate.centre)}", number_text(c.level)
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

    @property
    def asks_for(self) -> tuple[str, ...]:
        """The rules of a core, and of leaves judged by pieces, are imported where they are met."""
        rules = (
            ("core_lemma", self.conditions.core is not None),
            ("stability_by_pieces", PIECEWISE in self.tree),
        )
        return tuple(f"tlcheck.trusted.science.{rule}" for rule, met in rules if met)

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
            from tlcheck.trusted.science.core_lemma import Core

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
