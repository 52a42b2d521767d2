"""The prover around its searches: turns, repair by the real check, journals, processes, time. The search is a stand-in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.clocks import Noted
from tests.helpers import IEEE
from tlcheck.checking.deadline import Deadline
from tlcheck.checking.journal import Lines, search_key
from tlcheck.checking.pool import FORKS
from tlcheck.checking.schedule import planned, run_leaves
from tlcheck.prover import prover as module
from tlcheck.prover.engine import Engine
from tlcheck.prover.prover import Limits, Proof, Prover, Unknown, Witness
from tlcheck.prover.refute import Point
from tlcheck.prover.tree import Branch, Evidence, Frame
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.decide import conclude_unsat
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.plan import Settings
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.trusted.verdict import Verdict

F = Fraction
STEP = Constant(np.array([[1.0, 1.0]])), Constant(np.array([0.0, -0.5])), Constant(np.array([[1.0], [-1.0]]))


def step() -> Graph:
    """y = relu(x) - relu(x - 1/2): 0, then x, then 1/2. Over all of [-1, 1] it is bounded by far more."""
    nodes = (
        Node(Input((1, 1)), (), (1, 1)),
        Node(Linear(STEP[0], STEP[1]), (0,), (1, 2)),
        Node(Relu(), (1,), (1, 2)),
        Node(Linear(STEP[2]), (2,), (1, 1)),
    )
    return Graph(nodes, (3,), ("x",), ("y",))


def claim(least: float, *boxes: tuple[float, float]) -> UnsatClaim:
    """y >= least on no box: true above 1/2."""
    above = LinearConstraint((), ((0, F(-1)),), F(-least))
    disjuncts = tuple(Disjunct(InputBox((F(a),), (F(b),)), (above,)) for a, b in boxes or [(-1, 1)])
    return UnsatClaim(step(), Query(1, 1, disjuncts))


class Halving:
    """Closes a branch when its box is at most ``wide``, saying so without a look at the network; halves it otherwise."""

    wide = 0.25
    calls = 0
    closings = 0
    interrupt_after = -1
    passes = elsewhere = 0
    whole = False

    def __init__(self, engine: Engine, claim: UnsatClaim, disjuncts: Sequence[int]) -> None:
        self.claim, self.margin = claim, 0.0
        self.candidates: list[NDArray[np.float64]] = []
        self.frame = Frame(per_leaf_bounds=True)

    def box(self, branch: Branch) -> tuple[float, float]:
        box = self.claim.query.disjuncts[branch.disjunct].box
        low, high = float(box.lower[0]), float(box.upper[0])
        for x in branch.path:
            low, high = (max(low, x.point), high) if x.side > 0 else (low, min(high, x.point))
        return low, high

    def share(self) -> None:
        pass

    def attempt(self, work: Sequence[Branch], over: Callable[[], bool]) -> list[Branch]:
        return list(work)

    def close(self, work: Sequence[Branch], over: Callable[[], bool]) -> list[Branch]:
        type(self).calls += 1
        stack = list(work)
        while stack and not over():
            branch = stack.pop()
            low, high = self.box(branch)
            if high - low <= self.wide and not branch.refused:
                branch.evidence, branch.bound = Evidence({0: 1.0}, 0.1), 0.1
                type(self).closings += 1
                if self.closings == self.interrupt_after:
                    raise KeyboardInterrupt
            elif high - low < 1e-3:
                return [branch, *stack]
            else:
                stack += reversed(branch.divide(0, 0, (low + high) / 2))
        return stack


class Stuck(Halving):
    """Gives up at once."""

    def close(self, work: Sequence[Branch], over: Callable[[], bool]) -> list[Branch]:
        type(self).calls += 1
        return list(work)


class Silent:
    """An attack that finds nothing."""

    def quick(self, until: float) -> Point | None:
        return None

    def near(self, starts: Sequence[NDArray[np.float64]], until: float) -> Point | None:
        return None

    thorough = quick


@pytest.fixture
def halving(monkeypatch: pytest.MonkeyPatch) -> type[Halving]:
    class Own(Halving):
        calls = closings = 0

    use(monkeypatch, Own, Stuck)
    return Own


def use(monkeypatch: pytest.MonkeyPatch, inputs: type[Halving], neurons: type[Halving]) -> None:
    monkeypatch.setattr(module, "searches", lambda: {"inputs": inputs, "neurons": neurons})


def certified(claim: UnsatClaim, proof: Proof, deployed: bool = False) -> bool:
    plan = planned(claim, proof.guidance, Settings(deployed=IEEE if deployed else None))
    run = run_leaves(plan, 1, Deadline(None, None), None, None)
    return conclude_unsat(plan, run.outcomes)[0] is Verdict.CERTIFIED


def test_a_proof_is_found_and_certified(halving: type[Halving]) -> None:
    asked = claim(0.8)
    found = Prover(asked, attack=Silent()).prove()
    assert isinstance(found, Proof) and certified(asked, found)


def test_refused_leaves_are_divided_until_the_check_agrees(halving: type[Halving]) -> None:
    """Closed far too early: one leaf, which the check refuses; its halves; and so on."""
    halving.wide = 2.0
    asked = claim(0.51)
    found = Prover(asked, attack=Silent()).prove()
    assert isinstance(found, Proof) and found.leaves > 1 and certified(asked, found)


def test_a_search_that_lies_proves_nothing(halving: type[Halving]) -> None:
    """The claim is false at x = 1, and the attack looks away."""
    halving.wide = 2.0
    found = Prover(claim(0.4), attack=Silent()).prove()
    assert isinstance(found, Unknown) and found.open > 0


def test_a_false_claim_has_a_witness(halving: type[Halving]) -> None:
    found = Prover(claim(0.4)).prove()
    assert isinstance(found, Witness) and found.point[0] >= F(2, 5)


def test_candidates_of_the_search_are_attacked(
    halving: type[Halving], steps: Callable[[float], Noted]
) -> None:
    """Only the attack from the search's own points finds anything here."""
    steps(0.3)
    near: list[float] = []

    class Attack(Silent):
        def near(self, starts: Sequence[NDArray[np.float64]], until: float) -> Point | None:
            near.extend(float(x[0]) for x in starts)
            return (F(1),)

    halving.wide = 1e-9
    real = halving.close

    def close(self: Halving, work: Sequence[Branch], over: Callable[[], bool]) -> list[Branch]:
        self.candidates.append(np.array([1.0]))
        return real(self, work, over)

    halving.close = close  # type: ignore[method-assign]
    found = Prover(claim(0.4), Limits(seconds=100), attack=Attack()).prove()
    assert isinstance(found, Witness) and near == [1.0]


def test_the_other_search_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gives(Stuck):
        calls = 0

    class Takes(Halving):
        calls = 0

    use(monkeypatch, Gives, Takes)
    found = Prover(claim(0.8), attack=Silent()).prove()
    assert isinstance(found, Proof) and (Gives.calls, Takes.calls) == (1, 1)


def test_when_both_give_up_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gives(Stuck):
        calls = 0

    use(monkeypatch, Gives, Gives)
    monkeypatch.setattr(Prover, "_at_root", lambda *_: None)
    found = Prover(claim(0.8), attack=Silent()).prove()
    assert isinstance(found, Unknown) and found.why == "the searches gave up" and found.open == 1


def test_the_kernel_is_asked_of_whole_boxes_where_floats_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gives(Stuck):
        calls = 0

    use(monkeypatch, Gives, Gives)
    found = Prover(claim(2.0), attack=Silent()).prove()
    assert isinstance(found, Proof) and found.leaves == 1
    assert isinstance(Prover(claim(0.8), attack=Silent()).prove(), Unknown)


def test_time_is_over_by_the_clock(halving: type[Halving], steps: Callable[[float], Noted]) -> None:
    steps(1.0)
    halving.wide = 1e-2
    found = Prover(claim(0.8), Limits(seconds=60), attack=Silent()).prove()
    assert isinstance(found, Unknown) and found.why == module.TIME_IS_OVER
    assert 0 < halving.closings < 256


def test_regions_and_empty_disjuncts(halving: type[Halving]) -> None:
    asked = claim(0.8, (-1, 1), (2, 1), (-1, 1), (0, 0), (-0.5, 3))
    found = Prover(asked, attack=Silent()).prove()
    assert isinstance(found, Proof) and certified(asked, found)
    assert found.guidance.own == {}, "one frame says it all"


def test_a_disjunct_without_constraints_is_not_proved(halving: type[Halving]) -> None:
    asked = UnsatClaim(step(), Query(1, 1, (Disjunct(InputBox((F(0),), (F(1),)), ()),)))
    assert isinstance(Prover(asked, attack=Silent()).prove(), Unknown)
    assert isinstance(Prover(asked).prove(), Witness)


def test_no_disjunct_is_proved(halving: type[Halving]) -> None:
    asked = UnsatClaim(step(), Query(1, 1, ()))
    found = Prover(asked, attack=Silent()).prove()
    assert isinstance(found, Proof) and certified(asked, found)


@pytest.mark.parametrize("says", [True, False, "no time"])
def test_who_asks_may_decide(halving: type[Halving], says: bool | str) -> None:
    seen = []

    def accept(guidance: object) -> bool | str:
        seen.append(guidance)
        return says

    found = Prover(claim(0.8), attack=Silent()).prove(accept=accept)
    assert len(seen) == 1
    if says is True:
        assert isinstance(found, Proof)
    else:
        assert isinstance(found, Unknown) and found.why == (
            "no time" if says else "the check did not accept it"
        )


def test_for_float32_executions_more_is_asked_for(halving: type[Halving]) -> None:
    asked = claim(0.8)
    found = Prover(asked, Limits(deployed=IEEE), attack=Silent()).prove()
    assert isinstance(found, Proof) and certified(asked, found, deployed=True)


def test_an_interrupted_search_goes_on(halving: type[Halving], tmp_path: Path) -> None:
    """Interrupted after 5 of 16 closings; the next run does the other 11."""
    halving.wide = 0.125
    asked = claim(0.8)
    journal = Lines.at(tmp_path / "j", search_key(asked, "real"))
    halving.interrupt_after = 5
    with pytest.raises(KeyboardInterrupt):
        Prover(asked, journal=journal, attack=Silent()).prove()
    assert halving.closings == 5
    halving.interrupt_after = -1
    found = Prover(asked, journal=journal, attack=Silent()).prove()
    assert isinstance(found, Proof) and certified(asked, found)
    assert (found.leaves, halving.closings) == (16, 16)
    other = claim(0.9)
    Prover(other, journal=Lines.at(tmp_path / "j", search_key(other, "real")), attack=Silent()).prove()
    assert halving.closings == 32, "the journal is of another claim"


@pytest.mark.skipif(not FORKS, reason="no forks")
@pytest.mark.parametrize("boxes", [[(-1, 1)], [(-1, 1), (-0.5, 1), (0, 2)]])
def test_processes_share_the_work(
    halving: type[Halving], boxes: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Subtrees of one region, or regions: the closed leaves come back."""
    monkeypatch.setattr(module, "PARALLEL_FROM", -1.0)
    halving.wide = 1 / 16
    asked = claim(0.8, *boxes)
    found = Prover(asked, Limits(jobs=2), attack=Silent()).prove()
    assert isinstance(found, Proof) and certified(asked, found)


def test_it_tells_where_it_is(halving: type[Halving], steps: Callable[[float], Noted]) -> None:
    steps(0.3)
    told: list[module.Standing] = []
    Prover(claim(0.8), Limits(seconds=50), report=told.append, attack=Silent()).prove()
    assert {s.stage for s in told} == {"search", "check"}
    assert all(s.open >= 0 and s.closed >= 0 for s in told)
