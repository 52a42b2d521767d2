"""Claims that are conjunctions of conditions: corridors, splines, boxes, margins. What one condition's proof is.

A condition is an inequality or equality between exact numbers or enclosures, or an exact yes or no. Its ``holds`` is
found here, by :func:`nonnegative` and its like, from the *slack*: True when every number of the enclosure satisfies
it, False when none does, None otherwise. ``decide.decide_conditions`` makes the verdict of all of them.

A condition over a region must be given an enclosure of the slack over the whole of it, or one for each part of a cover
of the region. It is disproved by an enclosure at any point, or part, on which no number satisfies it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

from tlcheck.trusted.arith.arb import Arb, floor_float, lower_float, upper_float

Slack = Fraction | Arb


@dataclass(frozen=True)
class Check:
    """One condition decided, or not (``holds`` None). ``low`` and ``high`` are doubles around its slack, None where it
    has none. ``where`` says which part of the claim: a segment, a corner, a row, an interval."""

    name: str
    holds: bool | None
    low: float | None = None
    high: float | None = None
    where: str = ""


@dataclass(frozen=True)
class Measure:
    """Something worth reporting that no verdict rests on: a count, a width, a number of boxes."""

    name: str
    value: object


@dataclass(frozen=True)
class Share:
    """The part with ``index`` of an amount that is summed up (or whose largest part is taken) by the whole claim's
    ``conclude``: doubles around it."""

    name: str
    index: int
    low: float
    high: float


Item = Check | Measure | Share


class ConditionClaim(ABC):
    """A claim that is true if every condition of :meth:`checks` and :meth:`conclude` holds; and false if one of them is
    reported as certainly false: a condition that is only sufficient is then given as undecided.

    ``kind``: one word or two; ``statement``: the sentence that CERTIFIED asserts, no more than the conditions imply;
    ``assumptions``: what it rests on, by name.
    """

    kind: str

    @property
    def assumptions(self) -> tuple[str, ...]:
        return ("Python", "FLINT")

    @property
    @abstractmethod
    def statement(self) -> str: ...

    @property
    def asks_for(self) -> tuple[str, ...]:
        """The modules of this ring that this claim needs beside its class's own and what that imports at its top, by their
        dotted names: what only some claims need is imported in functions. Operations of a network, and engines, are not named."""
        return ()

    @abstractmethod
    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Item]:
        """Every condition but those of ``conclude``, at ``precision`` bits; ``tick`` is called often and may raise to stop."""

    def parts(self) -> Sequence[ConditionClaim]:
        """Claims whose conjunction, with ``conclude``, is this one, each worth a task of its own; by default the claim
        itself."""
        return (self,)

    def conclude(self, shares: Sequence[Share]) -> Iterator[Check | Measure]:
        """The conditions on what all parts found together. It must notice a share that is missing, or there twice."""
        return iter(())


def nonnegative(name: str, slack: Slack, where: str = "") -> Check:
    """The condition slack >= 0."""
    low, high = ends(slack)
    if isinstance(slack, Fraction):
        return Check(name, slack >= 0, low, high, where)
    holds = True if slack >= 0 else False if slack < 0 else None
    return Check(name, holds, low, high, where)


def positive(name: str, slack: Slack, where: str = "") -> Check:
    """The condition slack > 0."""
    low, high = ends(slack)
    if isinstance(slack, Fraction):
        return Check(name, slack > 0, low, high, where)
    holds = True if slack > 0 else False if slack <= 0 else None
    return Check(name, holds, low, high, where)


def zero(name: str, value: Slack, where: str = "") -> Check:
    """The condition value = 0; its slack is -|value|."""
    low, high = ends(-value if value > 0 else value) if isinstance(value, Fraction) else ends(-abs(value))
    if isinstance(value, Fraction):
        return Check(name, value == 0, low, high, where)
    holds = True if value == 0 else False if value != 0 else None
    return Check(name, holds, low, high, where)


def fact(name: str, holds: bool, where: str = "") -> Check:
    """A condition that was decided exactly and has no slack."""
    return Check(name, holds, None, None, where)


def met(name: str, holds: bool, where: str = "") -> Check:
    """What a proof needs, decided exactly. Where it fails the proof fails, not the claim."""
    return Check(name, holds or None, None, None, where)


def undecided(name: str, where: str = "") -> Check:
    """A condition that the evidence, or the effort allowed, does not decide."""
    return Check(name, None, None, None, where)


def ends(value: Slack) -> tuple[float | None, float | None]:
    """Doubles at or below and at or above the number, or every number of the ball; None where it is not finite."""
    low, high = (
        (floor_float(value), -floor_float(-value))
        if isinstance(value, Fraction)
        else (lower_float(value), upper_float(value))
    )
    return (low if isfinite(low) else None), (high if isfinite(high) else None)
