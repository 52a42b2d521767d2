"""The conditions of a claim that is a conjunction: all of them are run, and counted.

Every condition that the claim, its parts or its conclusion yields is in the tally, in whatever process its part was checked;
a part without an answer is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.arith.decimals import decimal_outward
from tlcheck.trusted.conditions import Check, ConditionClaim, Item, Measure, Share

MAX_FAILURES = 20
"""Most conditions that are named one by one."""


@dataclass(frozen=True)
class Tally:
    """One condition's checks: how many, how many proved and disproved, and the least slack."""

    total: int = 0
    proved: int = 0
    disproved: int = 0
    least: Check | None = None


def check_part(part: ConditionClaim, precision: int, tick: Callable[[], None]) -> list[Item]:
    """Every condition of one part of a claim."""
    with working_precision(precision):
        return list(part.checks(precision, tick))


CheckParts = Callable[[Sequence[ConditionClaim], int], Iterable[list[Item]]]
"""(parts, precision) -> what ``check_part`` gives for each of them, in any process."""


@dataclass
class Tallied:
    """What came of the conditions of a whole claim. ``disproved`` and ``undecided`` hold the first of them only, the counts of
    ``tallies`` all; ``most`` is above the least slack of what is disproved.
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    disproved: list[Check] = field(default_factory=list)
    undecided: list[Check] = field(default_factory=list)
    measures: dict[str, object] = field(default_factory=dict)
    most: float | None = None

    @property
    def total(self) -> int:
        return sum(t.total for t in self.tallies.values())

    @property
    def proved(self) -> int:
        return sum(t.proved for t in self.tallies.values())

    @property
    def least(self) -> Check | None:
        """The condition with the least slack."""
        each = (t.least for t in self.tallies.values() if t.least is not None)
        return min(each, key=_low, default=None)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The first conditions that are disproved, or else not decided."""
        return tuple(self.disproved or self.undecided)

    @property
    def where(self) -> str:
        """The place of the first of them."""
        return self.failures[0].where if self.failures else ""

    @property
    def message(self) -> str:
        """What came of the conditions, in words that the place of the first failure may follow."""
        if not self.total:
            return "no condition"
        if not self.failures:
            return "the only condition proved" if self.total == 1 else f"all {self.total} conditions proved"
        first, what, count = self.failures[0], "not established", self.total - self.proved
        if self.disproved:
            what, count = "false", sum(t.disproved for t in self.tallies.values())
        one = f"{first.name} is {what}{_slack_text(first)}"
        if count == 1:
            return one
        return f"{one}; {count} of {self.total} conditions are {what}{', the first' * bool(first.where)}"

    def count(self, check: Check) -> None:
        """One condition more."""
        self.tallies[check.name] = _counted(self.tallies.get(check.name, Tally()), check)
        if check.holds is True:
            return
        if check.holds is False and check.high is not None:
            self.most = check.high if self.most is None else min(self.most, check.high)
        named = self.undecided if check.holds is None else self.disproved
        if len(named) < MAX_FAILURES:
            named.append(check)


def tally(
    claim: ConditionClaim,
    precision: int,
    tick: Callable[[], None],
    check_parts: CheckParts | None = None,
) -> Tallied:
    """Every condition of every part of the claim, and of all parts together."""
    found = Tallied()
    with working_precision(precision):
        for item in _items(claim, precision, tick, check_parts):
            tick()
            if isinstance(item, Measure):
                found.measures[item.name] = item.value
            else:
                found.count(item)
    return found


def _items(
    claim: ConditionClaim, precision: int, tick: Callable[[], None], check_parts: CheckParts | None
) -> Iterator[Check | Measure]:
    """The conditions of all parts, then those on their shares. Raises ValueError unless ``check_parts`` answered for each."""
    parts: Sequence[ConditionClaim] = (claim,) if check_parts is None else claim.parts()
    answers: Iterable[Iterable[Item]] = (
        (claim.checks(precision, tick),) if check_parts is None else check_parts(parts, precision)
    )
    shares: list[Share] = []
    answered = 0
    for items in answers:
        answered += 1
        for item in items:
            if isinstance(item, Share):
                shares.append(item)
            else:
                yield item
    if answered != len(parts):
        raise ValueError(f"{answered} of {len(parts)} parts were checked")
    yield from claim.conclude(shares)


def _counted(tally: Tally, check: Check) -> Tally:
    least = tally.least
    if check.low is not None and (least is None or check.low < _low(least)):
        least = check
    return Tally(
        tally.total + 1, tally.proved + (check.holds is True), tally.disproved + (check.holds is False), least
    )


def _low(check: Check) -> float:
    return inf if check.low is None else check.low


def _slack_text(check: Check) -> str:
    if check.low is None or check.high is None:
        return ""
    if check.holds is False:
        return f" by {decimal_outward(-check.high, 'down', 3)}"
    return f" (slack {decimal_outward(check.low, 'down', 3)} to {decimal_outward(check.high, 'up', 3)})"
