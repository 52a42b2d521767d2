"""Attack on the trusted ring: bounds that are attained, and leaves that do not depend on the leaves beside them."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from tests.trusted.test_audit import ONE_LEAF, chain, leaves, split
from tests.trusted.test_decide_soundness import decide
from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.int128 import rows_cut, widen
from tlcheck.trusted.arith.integer import IntegerEngine, IntegerForm
from tlcheck.trusted.arith.interface import Multipliers
from tlcheck.trusted.arith.maps import DiagMap, IndexMap, MatMap, SignMap
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.leaf_pass import check_leaves
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.bent import Abs, LeakyRelu
from tlcheck.trusted.ops.discrete import Compare, Select
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.plan import Plan, Settings, root_bounds
from tlcheck.trusted.query import Disjunct, InputBox, LinearConstraint, Query
from tlcheck.trusted.taylor.engine import Unsupported
from tlcheck.trusted.taylor.network_models import TaylorNetwork
from tlcheck.trusted.verdict import Verdict

ONE = Fraction(1)


@pytest.mark.parametrize("arith", ["arb", "ball64", "auto"])
@pytest.mark.parametrize("alpha", [0.5, 0.125, 0.75])
def test_slopes_of_few_bits_keep_a_bound_that_is_attained(alpha: float, arith: str) -> None:
    """LeakyRelu on [-1, 1]: its least and greatest value at an end exclude y < least, and nothing where it is y <= least."""
    graph = chain(1, LeakyRelu(alpha))
    ends = [Fraction(-alpha), ONE]
    box = InputBox((-ONE,), (ONE,))
    for sign, least in ((ONE, ends[0]), (-ONE, -ends[-1])):
        for strict in (True, False):
            constraint = LinearConstraint((), ((0, sign),), least, strict)
            asked = UnsatClaim(graph, Query(1, 1, (Disjunct(box, (constraint,)),)))
            _, verdict, _ = decide(asked, Guidance(ONE_LEAF, leaves(1)), Settings(arith))
            assert strict or verdict is not Verdict.CERTIFIED
            if arith != "ball64":
                assert (verdict is Verdict.CERTIFIED) == strict


def test_a_slope_that_cuts_is_charged_also_where_nothing_need_be_lost() -> None:
    """1/3 on the grid of slopes times an odd coefficient has bits below: the sum stays below the exact one."""
    third = np.ldexp(np.rint(np.ldexp(1 / 3, 40)), -40)
    for coefficient in (1.0, 3.0, -5.0, 2.0**-20 + 1, 1 - 2.0**-52):
        form = IntegerForm(IntegerEngine(close=True), 1, 1)
        box = Box(np.array([[-1.0]]), np.array([[1.0]]))
        form.seed_rows(1, np.array([[[coefficient]]]), None, box)
        line = np.array([[third]]), np.zeros((1, 1))
        form.put(0, form.through_lines(form.blocks.pop(1), line, line, box), box)
        for x in (Fraction(-1), ONE, Fraction(1, 7)):
            low = form.lower_exact(0, {0: ([x], [x])})
            exact = Fraction(coefficient) * Fraction(float(third)) * x
            assert low <= exact and exact - low < Fraction(1, 2**40)


def test_multipliers_of_one_domain_leave_the_others_alone() -> None:
    """A row that a second normalisation would cut by one more bit."""
    engine = IntegerEngine()
    box = Box(np.array([[-3.0, -1.0]] * 2), np.array([[5.0, 1.0]] * 2))
    q = np.array([[-(2**58), 2**58 - 1], [7, 9]])
    e = np.array([-40, -3])
    form = IntegerForm(engine, 2, 1)
    given = Multipliers(np.array([1]), np.array([0]), np.array([0.5]), np.array([1.0]))
    (after, exponents) = form.multipliers((q.copy(), e.copy()), given, box)
    assert after[0].tolist() == q[0].tolist() and exponents[0] == e[0] and form.value[0] == 0
    alone = IntegerForm(engine, 1, 1)
    part = Box(box.lower[1:], box.upper[1:])
    mine = Multipliers(np.array([0]), np.array([0]), np.array([0.5]), np.array([1.0]))
    (q1, e1) = alone.multipliers((q[1:].copy(), e[1:].copy()), mine, part)
    assert q1[0].tolist() == after[1].tolist() and e1[0] == exponents[1] and alone.value[0] == form.value[1]


def test_what_is_cut_is_seen_in_either_word() -> None:
    for shift in (0, 1, 20, 62, 63, 64):
        for bit in (0, 1, 19, 61, 62):
            cut = rows_cut(widen(np.array([[0, 1 << bit]])), np.array([shift]))
            assert bool(cut[0]) == (bit < shift)
            assert rows_cut(widen(np.array([[0, -(1 << bit)]])), np.array([shift])).tolist() == [bit < shift]


@pytest.mark.parametrize("arith", ["arb", "auto"])
def test_each_leaf_has_the_exact_ends_of_its_own_box(arith: str) -> None:
    """-|x| < -1/10, cut at 0: it holds nowhere on the side that ends at 1/10, and somewhere on the one that goes beyond."""
    graph = chain(1, Abs(), Linear(Constant(np.array([[-1.0]]))))
    tenth, beyond = Fraction(1, 10), Fraction(1, 10) + Fraction(1, 2**45)
    for low, high, wanted in (
        (-tenth, beyond, [True, False]),
        (-beyond, tenth, [False, True]),
        (-tenth, tenth, [True, True]),
    ):
        box = InputBox((low,), (high,))
        constraint = LinearConstraint((), ((0, ONE),), -tenth, True)
        claim = UnsatClaim(graph, Query(1, 1, (Disjunct(box, (constraint,)),)))
        plan = Plan(claim, Guidance(split(0), leaves(2)), Settings(arith))
        found = [o.certified for o in check_leaves(plan, root_bounds(plan, 0), [0, 1])]
        assert found == wanted


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_rows_of_several_domains_are_as_alone(seed: int, close: bool) -> None:
    """Two domains of three rows each, boxes of very different sizes: seeds, charges, lines, maps and sums are each domain's own."""
    rng = np.random.default_rng(seed)
    scale = np.array([[1.0], [2.0 ** int(rng.integers(-60, 60))]])
    boxes = [Box(-np.abs(rng.normal(0, 1, (2, n))) * scale, rng.random((2, n)) * scale) for n in (4, 3)]
    rows, more = rng.normal(0, 1, (2, 3, 3)), rng.integers(-3, 4, (2, 3, 4)).astype(float)
    more[int(rng.integers(0, 2)), int(rng.integers(0, 3))] = 0
    rad, radius = np.abs(rng.normal(0, 2.0**-40, (2, 3, 3))), rng.random((2, 3)) * scale
    slopes, heights = np.rint(rng.random((2, 3)) * 2**40) / 2**40, rng.random((2, 3)) * scale
    maps = (
        IndexMap(np.array([1, 1, 2]), 4),
        DiagMap(Constant(rng.normal(0, 1, (1, 3))), (1, 3)),
        MatMap(Constant(rng.normal(0, 1, (4, 3)), np.full((4, 3), 2.0**-30)), 1),
    )

    def low(domains: slice) -> list[int]:
        first, last = (Box(b.lower[domains], b.upper[domains]) for b in boxes)
        count = len(first.lower)
        form = IntegerForm(IntegerEngine(close=close), count, 3)
        form.seed_rows(1, rows[domains], rad[domains], last)
        form.seed_rows(0, more[domains], None, first)
        block = form.blocks.pop(1)
        form.charge(block, radius[domains])
        line = slopes[domains], -heights[domains]
        block = form.through_map(
            maps[1], form.through_lines(block, line, (line[0], heights[domains]), last), last
        )
        for m in (maps[0], maps[2]):
            form.put(0, form.through_map(m, form.copy_block(block), first), first)
        return form.lower_on_grid({0: first})

    assert low(slice(0, 2)) == low(slice(0, 1)) + low(slice(1, 2))


@pytest.mark.parametrize("seed", range(40))
def test_what_is_cut_is_charged_also_where_nothing_need_be_lost(seed: int) -> None:
    """Coefficients of 58 bits, or of few: sums, entries used more than once, slopes; against exact rationals at the ends."""
    rng = np.random.default_rng(seed)
    box = Box(np.array([[-1.0, -1.0]]), np.array([[1.0, 1.0]]))

    def block() -> tuple[np.ndarray, np.ndarray]:
        odd = rng.integers(0, 4, (1, 2)) << rng.integers(0, 56, (1, 2))
        q = odd + rng.integers(0, 2, (1, 2)) * rng.choice([1, 2**20, 2**40, 2**57 - 1], (1, 2))
        return q * rng.choice([-1, 1], (1, 2)), rng.integers(-70, -50, 1)

    def exact(b: tuple[np.ndarray, np.ndarray]) -> list[Fraction]:
        return [Fraction(int(c)) * Fraction(2) ** int(b[1][0]) for c in b[0][0]]

    def holds(form: IntegerForm, coefficients: list[Fraction]) -> None:
        for x in product((-ONE, ONE), repeat=2):
            low = form.lower_exact(0, {0: (x, x)})
            assert low <= sum(c * t for c, t in zip(coefficients, x, strict=True))

    def copied(b: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        return b[0].copy(), b[1].copy()

    first, second = block(), block()
    form = IntegerForm(IntegerEngine(close=True), 1, 1)
    form.put(0, copied(first), box)
    form.put(0, copied(second), box)
    holds(form, [a + b for a, b in zip(exact(first), exact(second), strict=True)])

    form = IntegerForm(IntegerEngine(close=True), 1, 1)
    form.put(0, form.through_map(IndexMap(np.array([1, 1]), 2), copied(first), box), box)
    holds(form, [Fraction(0), sum(exact(first), Fraction(0))])

    form = IntegerForm(IntegerEngine(close=True), 1, 1)
    slopes = rng.choice([0, 1, 3, 2**20, 2**39, 2**40, int(rng.integers(0, 2**40))], (1, 2)) / 2**40
    line = slopes, np.zeros((1, 2))
    form.put(0, form.through_lines(copied(first), line, line, box), box)
    holds(form, [a * Fraction(float(s)) for a, s in zip(exact(first), slopes[0], strict=True)])


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("offset", [2.0**-1000, -(2.0**-1000), 5e-324, 1 + 2.0**-52])
def test_an_offset_below_the_grid_is_rounded_outward(offset: float, close: bool) -> None:
    box = Box(np.zeros((1, 1)), np.zeros((1, 1)))
    found = IntegerEngine(close=close).image((SignMap(1, 1),), (box,), Constant(np.array([offset])))
    assert found.lower[0, 0] <= offset <= found.upper[0, 0]


def test_equality_has_no_taylor_model() -> None:
    """x == y is no slope of a hinge: 0 on both sides."""
    x, y = (Node(Input((1,)), (), (1,), name) for name in "xy")
    chosen = Node(Select(), (2, 0, 1), (1,), "z")
    for relation in ("==", "<", "<="):
        graph = Graph((x, y, Node(Compare(relation), (0, 1), (1,), "c"), chosen), (3,), ("x", "y"), ("z",))
        if relation == "==":
            with pytest.raises(Unsupported, match="Compare at node 'c'"):
                TaylorNetwork(graph)
        else:
            TaylorNetwork(graph)


def test_the_residual_of_weights_is_of_each_domain() -> None:
    """Weights with a radius over boxes of very different sizes: x = 1e6 in one domain, 1e-6 in the other, in either order."""
    weight = Constant(np.full((1, 1), 1.0), np.full((1, 1), 2.0**-20))
    for values in ([1e-6, 1e6], [1e6, 1e-6]):
        x = np.array(values)[:, None]
        found = IntegerEngine().image((MatMap(weight, 1),), (Box(x, x),), None)
        assert (found.lower <= x * (1 - 2.0**-20)).all() and (x * (1 + 2.0**-20) <= found.upper).all()
        assert (found.upper - found.lower <= x * 2.0**-18).all()
