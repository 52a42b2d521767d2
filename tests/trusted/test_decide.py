"""Verdicts: every leaf and every condition counts, in whatever order and process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from tlcheck.trusted.arith.arb import current_precision
from tlcheck.trusted.conditions import Check, ConditionClaim, Item, Measure, Share, fact, undecided
from tlcheck.trusted.decide import conclude_unsat, decide_conditions
from tlcheck.trusted.leaf_pass import LeafOutcome
from tlcheck.trusted.tally import check_part, tally
from tlcheck.trusted.verdict import Verdict


def leaf(rank: int, margin: float = 1.0, certified: bool = True) -> LeafOutcome:
    return LeafOutcome(rank, certified, margin)


PLAN: Any = SimpleNamespace(leaves=(None, None, None))
ALL = (leaf(2), leaf(0, 0.5), leaf(1))


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        (ALL, "CERTIFIED"), ((*ALL, leaf(1)), "CERTIFIED"), (ALL[:2], "UNPROVEN"), (ALL[1:], "UNPROVEN"), ((), "UNPROVEN"),
        ((*ALL[:2], leaf(1, 1.0, certified=False)), "UNPROVEN"), ((*ALL[:2], leaf(3)), "UNPROVEN"), ((*ALL, leaf(3)), "UNPROVEN"),
        ((*ALL[:2], leaf(0), leaf(2)), "UNPROVEN"), ((*ALL[:2], leaf(-1)), "UNPROVEN"),
        ((leaf(0, certified=False), leaf(1, certified=False), leaf(2, certified=False)), "UNPROVEN"),
    ],
)  # fmt: skip
def test_every_leaf_of_the_plan(outcomes: tuple[LeafOutcome, ...], verdict: str) -> None:
    found, worst = conclude_unsat(PLAN, iter(outcomes))
    assert found.value == verdict
    assert worst == min(outcomes, key=lambda o: o.margin, default=None)


def test_the_worst_leaf_is_the_first_of_the_least() -> None:
    assert conclude_unsat(PLAN, (leaf(0, inf), leaf(1, -2.0), leaf(2, -2.0)))[1] == leaf(1, -2.0)


def test_no_leaves_are_all_leaves() -> None:
    """An unsat claim without disjuncts is true."""
    assert conclude_unsat(SimpleNamespace(leaves=()), ())[0] is Verdict.CERTIFIED  # type: ignore[arg-type]


@dataclass(frozen=True)
class Parted(ConditionClaim):
    """Conditions of parts, and one on their shares."""

    items: tuple[tuple[Item, ...], ...]
    last: bool = True
    kind = "parted"

    @property
    def statement(self) -> str:
        return "all of them"

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Item]:
        assert current_precision() == precision == 77
        for part in self.items:
            yield from part

    def parts(self) -> Sequence[ConditionClaim]:
        return tuple(Parted((part,)) for part in self.items)

    def conclude(self, shares: Sequence[Share]) -> Iterator[Check | Measure]:
        yield Measure("sum", sum(s.low for s in shares))
        yield fact("whole", self.last and sorted(s.index for s in shares) == list(range(len(self.items))))


def share(k: int) -> Share:
    return Share("s", k, 2.0, 3.0)


def slack(low: float | None, high: float | None, holds: bool | None) -> Check:
    return Check("b", holds, low, high, f"at {low}")


PARTS = ((fact("a", True), share(0)), (share(1), slack(0.5, 1.0, True), Measure("n", 4)), (share(2),))


def apart(parts: Sequence[ConditionClaim], precision: int) -> Iterable[list[Item]]:
    return [check_part(part, precision, lambda: None) for part in parts]


@pytest.mark.parametrize("how", [None, apart])
def test_parts_and_shares(how: Any) -> None:
    ticks: list[int] = []
    found = decide_conditions(Parted(PARTS), 77, lambda: ticks.append(1), how)
    assert (found.verdict, found.message) == (Verdict.CERTIFIED, "all 3 conditions proved")
    assert found.measures == {"n": 4, "sum": 6.0} and len(ticks) == 5
    assert {name: (t.total, t.proved, t.disproved) for name, t in found.tallies.items()} == {
        "a": (1, 1, 0),
        "b": (1, 1, 0),
        "whole": (1, 1, 0),
    }
    assert decide_conditions(Parted(PARTS, last=False), 77, check_parts=how).verdict is Verdict.REFUTED
    with_open = (*PARTS[:2], (share(2), undecided("a")))
    assert decide_conditions(Parted(with_open), 77, check_parts=how).verdict is Verdict.UNPROVEN


@pytest.mark.parametrize("given", [0, 2, 4])
def test_a_part_without_an_answer_or_with_two(given: int) -> None:
    def some(parts: Sequence[ConditionClaim], precision: int) -> Iterable[list[Item]]:
        return (apart(parts, precision) * 2)[:given]  # type: ignore[index]

    with pytest.raises(ValueError, match=f"{given} of 3 parts"):
        decide_conditions(Parted(PARTS), 77, check_parts=some)


def found_of(*checks: Check) -> Any:
    return tally(Parted(((*checks, share(0)),)), 77, lambda: None)


def test_the_least_slack_and_the_most_of_what_is_false() -> None:
    both = found_of(
        slack(0.5, 1.0, True), slack(-3.0, -2.0, False), slack(-2.5, -2.25, False), slack(None, None, None)
    )
    assert (both.least.low, both.most, both.where) == (-3.0, -2.25, "at -3.0")
    assert both.tallies["b"].total == 4 and both.tallies["b"].proved == 1 and both.tallies["b"].disproved == 2
    assert [c.low for c in both.failures] == [-3.0, -2.5]
    assert found_of(slack(-2.0, -1.0, False), slack(-2.0, None, False), slack(-5.0, 3.0, None)).most == -1.0
    assert found_of(slack(0.5, 1.0, True)).most is None
    assert found_of(slack(None, -1.0, False)).least is None
    several = (
        slack(0.5, 1.0, True),
        Check("c", True, 0.25, 1.0, "first"),
        Check("c", True, 0.25, 1.0, "second"),
        Check("d", True, 0.75, 1.0),
    )
    assert found_of(*several).least.where == "first"
    assert found_of(fact("e", True), *several[:1]).least.low == 0.5


def test_so_many_failures_are_named() -> None:
    many = found_of(*(slack(float(-k), float(-k), False) for k in range(1, 30)))
    assert len(many.failures) == 20 and many.failures[0].low == -1.0 and many.tallies["b"].disproved == 29


def test_messages() -> None:
    """What is said of one failure and of several."""
    messages = [
        tally(Parted(((*checks, share(0)),)), 77, lambda: None).message
        for checks in (
            (), (slack(1.0, 2.0, True),), (slack(-1.0, 1.0, None),), (slack(-2.0, -1.0, False),), (slack(-2.0, None, False),),
            (slack(-2.0, -1.0, False), slack(0.0, 1.0, None)), (slack(-1.0, 1.0, None), undecided("c")),
        )
    ]  # fmt: skip
    assert messages == [
        "the only condition proved",
        "all 2 conditions proved",
        "b is not established (slack -1 to 1)",
        "b is false by 1",
        "b is false",
        "b is false by 1",
        "b is not established (slack -1 to 1); 2 of 3 conditions are not established, the first",
    ]


def test_a_claim_of_nothing_is_not_proved() -> None:
    class Nothing(Parted):
        def conclude(self, shares: Sequence[Share]) -> Iterator[Check | Measure]:
            return iter(())

    found = decide_conditions(Nothing(()), 77)
    assert (found.verdict, found.code, found.message) == (Verdict.UNPROVEN, "TLC022", "no condition")
