"""Trees from leaves in any order, and proofs that start from them: wrong hints cost time, never an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.clocks import Steps
from tests.prover.test_neuron_search import dense_net
from tlcheck.checking.deadline import Deadline
from tlcheck.checking.schedule import planned, run_leaves
from tlcheck.prover.engine import Engine
from tlcheck.prover.hints import EARLIER, FURTHER, HINTED, ROOT, SEARCHED, Hinted, Mode, grow
from tlcheck.prover.prover import Limits, Proof, Prover
from tlcheck.prover.staged_neurons import StagedNeurons
from tlcheck.prover.tree import Branch, guidance_of
from tlcheck.readers.hints import Hints, LeafList, Leaves
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.ops.activation import Relu
from tlcheck.trusted.plan import Settings
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query

Rng = np.random.Generator
Path = list[tuple[int, int, int, float]]


def listed(paths: Sequence[Path]) -> LeafList:
    leaves = Leaves()
    for path in paths:
        leaves.add(path)
    return leaves.list()


def random_tree(rng: Rng, cuts: list[tuple[int, int, float]], depth: int) -> list[Path]:
    """The leaves' paths of a tree that divides at cuts in random order."""
    if depth == 0 or not cuts or rng.random() < 0.15:
        return [[]]
    node, index, point = cuts[int(rng.integers(len(cuts)))]
    rest = [c for c in cuts if c[:2] != (node, index)]
    return [
        [(node, index, side, point), *path] for side in (-1, 1) for path in random_tree(rng, rest, depth - 1)
    ]


def paths_of(root: Branch) -> list[set[tuple[int, int, int, float]]]:
    return [{(x.node, x.index, x.side, x.point) for x in leaf.path} for leaf in root.leaves()]


def both(node: int, index: int, point: float) -> int:
    return 0


@pytest.mark.parametrize("seed", range(20))
def test_a_complete_list_gives_a_tree_with_these_leaves(seed: int) -> None:
    rng = np.random.default_rng(seed)
    paths = random_tree(rng, [(1, k, 0.0) for k in range(9)], 6)
    shuffled = [list(rng.permutation(np.array(paths[k], object))) for k in rng.permutation(len(paths))]
    root = Branch(0)
    grow(root, listed([[tuple(x) for x in path] for path in shuffled]), both)
    found = paths_of(root)
    assert len(found) == len(paths)
    assert all(set(path) in found for path in paths)


def test_boxes_of_inputs_give_their_cuts_again() -> None:
    """A face says on which side of every further cut the box is."""
    paths: list[Path] = [
        [(0, 0, -1, 0.25)],
        [(0, 0, 1, 0.25), (0, 0, -1, 0.5), (0, 1, -1, 0.5)],
        [(0, 0, 1, 0.25), (0, 0, -1, 0.5), (0, 1, 1, 0.5)],
        [(0, 0, 1, 0.5)],
    ]
    root = Branch(0)
    grow(root, listed(paths), both)
    assert sum(1 for _ in root.leaves()) == 4
    assert all(leaf.path for leaf in root.leaves())


def test_cuts_that_divide_nothing_are_left_out_with_leaves_on_the_empty_side() -> None:
    paths: list[Path] = [
        [(1, 0, 1, 0.0), (1, 1, -1, 0.0)],
        [(1, 0, 1, 0.0), (1, 1, 1, 0.0)],
        [(1, 0, -1, 0.0), (1, 2, 1, 0.0)],  # value 0 is never below 0
        [(1, 0, -1, 0.0), (7, 2, 1, 0.0)],
    ]
    root = Branch(0)
    grow(root, listed(paths), lambda node, index, _: None if node == 7 else 1 if index == 0 else 0)
    assert paths_of(root) == [{(1, 1, -1, 0.0)}, {(1, 1, 1, 0.0)}]


@pytest.mark.parametrize("seed", range(20))
def test_any_list_gives_a_tree_that_is_not_much_larger(seed: int) -> None:
    rng = np.random.default_rng(seed)
    paths = [
        [(int(rng.integers(3)), int(rng.integers(4)), int(rng.choice([-1, 1])), float(rng.integers(-1, 2))) for _ in range(9)]
        for _ in range(200)
    ]  # fmt: skip
    root = Branch(0)
    grow(root, listed(paths), lambda n, i, p: [0, 0, 0, 1, None][int(rng.integers(5))])
    assert sum(1 for _ in root.leaves()) <= 2 * 200 + 65
    grow(Branch(0), listed([]), both)


def test_many_cuts_are_cut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlcheck.prover.hints.CELLS", 12)
    root = Branch(0)
    grow(root, listed([[(1, 0, s, 0.0), (1, k, 1, 0.0)] for k, s in enumerate((-1, 1, -1, 1), 1)]), both)
    assert root.split == (1, 0, 0.0)


def test_a_list_without_a_tree_in_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlcheck.prover.hints.WORK", 40 * 40 * 3)
    root = Branch(0)
    grow(root, listed([[(0, 0, (-1) ** k, k / 64.0 + 7 * (k % 2))] for k in range(40)]), both)
    assert sum(1 for _ in root.leaves()) <= 50


# Proofs.


def problem(seed: int, gap: float = 0.75) -> UnsatClaim:
    """True by a small margin: proved by splits only."""
    rng = np.random.default_rng(seed)
    graph = dense_net(rng, Relu(), (4, 10, 8, 1))
    engine = Engine(graph)
    points = rng.uniform(-1, 1, (4000, 4))
    least = float(engine.outputs(engine.values(points)).min())
    box = InputBox((Fraction(-1),) * 4, (Fraction(1),) * 4)
    row = LinearConstraint((), ((0, Fraction(1)),), Fraction(least - gap))
    return UnsatClaim(graph, Query(4, 1, (Disjunct(box, (row,)),)))


def certified(claim: UnsatClaim, guidance: Guidance) -> bool:
    plan = planned(claim, guidance, Settings())
    run = run_leaves(plan, 1, Deadline(None, None), lambda _: None, None)
    return not run.stopped and all(o.certified for o in run.outcomes)


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits in seconds are limits in looks at the clock."""
    monkeypatch.setattr("tlcheck.timer.now", Steps(0.01).now)


@pytest.fixture(scope="module")
def known() -> tuple[UnsatClaim, LeafList]:
    """A claim, and the leaves of a proof that the search on neurons found alone."""
    claim = problem(3)
    search = StagedNeurons(Engine(claim.graph, np.float32), claim, [0])
    root = Branch(0)
    assert search.close([root], lambda: False) == []
    return claim, listed([[(x.node, x.index, x.side, x.point) for x in leaf.path] for leaf in root.leaves()])


def test_evidence_of_an_earlier_run_is_for_the_same_frame() -> None:
    """What a search closed is closed for one that takes it up: its frame is the one of branch and bound, before any work."""
    claim = problem(3)
    first, second = (StagedNeurons(Engine(claim.graph, np.float32), claim, [0]) for _ in range(2))
    root = Branch(0)
    assert first.close([root], lambda: False) == []
    assert root.split is not None
    assert second.attempt([], lambda: False) == []
    assert second.frame.columns.keys() == first.frame.columns.keys()
    for a, columns in first.frame.columns.items():
        np.testing.assert_array_equal(second.frame.columns[a], columns)
    assert second.frame.intermediate.keys() == first.frame.intermediate.keys()
    for key, rows in first.frame.intermediate.items():
        np.testing.assert_array_equal(second.frame.intermediate[key].lower_pass, rows.lower_pass)
        np.testing.assert_array_equal(second.frame.intermediate[key].upper_pass, rows.upper_pass)
    assert certified(claim, guidance_of([root], [second.frame]))


def mangled(leaves: LeafList, how: str, rng: Rng) -> LeafList:
    keep = rng.permutation(leaves.count)
    keep = keep[: max(1, round(0.7 * keep.size))] if how == "cut" else keep
    rows: list[Path] = []
    for i in keep:
        k = rng.permutation(np.arange(leaves.start[i], leaves.start[i + 1]))
        rows.append(
            [(*leaves.cuts[leaves.cut[j]][:2], int(leaves.side[j]), leaves.cuts[leaves.cut[j]][2]) for j in k]
        )
    match how:
        case "signs":
            rows = [[(n, i, s if rng.random() < 0.8 else -s, p) for n, i, s, p in path] for path in rows]
        case "neurons":
            rows = [[(n, int(rng.integers(12)), s, p) for n, i, s, p in path] for path in rows]
        case "layers":
            rows = [[(int(rng.integers(6)), i, s, p) for n, i, s, p in path] for path in rows]
        case "points":
            rows = [[(n, i, s, float(rng.normal())) for n, i, s, p in path] for path in rows]
        case "nonsense":
            rows = [
                [(-3, 99, s, p), (10**9, -1, s, p), (1, 10**9, s, 0.0)]
                for path in rows
                for _, _, s, p in path[:1]
            ]
    return listed(rows)


@pytest.mark.parametrize("how", ["shuffled", "cut", "signs", "neurons", "layers", "points", "nonsense"])
@pytest.mark.parametrize("mode", [None, "leaves", "replay"])
def test_mangled_hints_end_certified(how: str, mode: Mode | None, known: tuple[UnsatClaim, LeafList]) -> None:
    claim, leaves = known
    hinted = Hinted(claim, Hints("a test", {0: mangled(leaves, how, np.random.default_rng(7))}), mode)
    hinted.kind = "neurons"
    prover = Prover(claim, Limits(seconds=20))
    found = prover.prove(hinted)
    assert isinstance(found, Proof)
    assert certified(claim, found.guidance)
    told = hinted.closed_by(prover.roots)
    assert sum(told.values()) == found.leaves
    if how == "shuffled" and mode == "leaves":
        assert told.keys() <= {HINTED, FURTHER} and told[HINTED] > 1
    if how == "shuffled" and mode == "replay":
        assert told.keys() <= {ROOT, HINTED, EARLIER, FURTHER, SEARCHED}


@pytest.mark.parametrize("how", ["shuffled", "cut", "signs"])
def test_hints_never_prove_what_is_false(how: str, known: tuple[UnsatClaim, LeafList]) -> None:
    """The query of the hints is true, this one has a counterexample."""
    claim, leaves = known
    engine = Engine(claim.graph)
    least = float(engine.outputs(engine.values(np.random.default_rng(1).uniform(-1, 1, (4000, 4)))).min())
    (disjunct,) = claim.query.disjuncts
    (row,) = disjunct.constraints
    false = replace(disjunct, constraints=(replace(row, bound=Fraction(least + 1e-3)),))
    lie = UnsatClaim(claim.graph, Query(4, 1, (false,)))
    hinted = Hinted(lie, Hints("a test", {0: mangled(leaves, how, np.random.default_rng(2))}))
    assert not isinstance(Prover(lie, Limits(seconds=5)).prove(hinted), Proof)
