"""Leaves judged by pieces: forms and pieces against exact evaluation, planted false claims, published models."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.helpers import CERTIFICATES, DATA, needs_data
from tlcheck.options import Options
from tlcheck.prover.stability_search import find
from tlcheck.readers.artifacts import read_artifact
from tlcheck.readers.expressions import parse_expression
from tlcheck.readers.files import Files
from tlcheck.readers.own.stability import conditions_of, tree_text
from tlcheck.readers.own.stability import read_artifact as read_claim
from tlcheck.trusted.arith.arb import Arb, arb, ball, lower_float, working_precision
from tlcheck.trusted.calculus.expression_jets import expression_jet
from tlcheck.trusted.calculus.jets import Jet, constant, coordinates
from tlcheck.trusted.calculus.kinked_jets import Kinks
from tlcheck.trusted.calculus.layers import Layer
from tlcheck.trusted.calculus.ranges import Box
from tlcheck.trusted.decide import ConditionsOutcome, decide_conditions
from tlcheck.trusted.science.by_pieces import Form, Pieces, TooManyPieces, as_form, forms
from tlcheck.trusted.science.dense_network import Dense
from tlcheck.trusted.science.stability_conditions import Conditions
from tlcheck.trusted.science.stability_judge import Judge
from tlcheck.trusted.science.stability_tree import CORE, PIECEWISE, leaves_of
from tlcheck.trusted.verdict import Verdict

sys.path.append(str(CERTIFICATES / "producers"))
import stability_cases

Document = dict[str, Any]
F = Fraction
MODELS = DATA / "scientific" / "lyapunov" / "vi_discrete"
PUBLISHED = [name for name in stability_cases.DISCRETE if not name.endswith("quadratic")]


def drawn(chance: random.Random) -> Fraction:
    return F(chance.randint(-8, 8), 4)


def network(chance: random.Random, *sizes: int) -> Dense:
    layers = [
        Layer(
            tuple(tuple(drawn(chance) for _ in range(a)) for _ in range(b)),
            tuple(drawn(chance) for _ in range(b)),
        )
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    return Dense(tuple(layers), "leaky_relu", F(1, 10))


def value(net: Dense, x: Sequence[Fraction]) -> Fraction:
    """Exactly, by an evaluation of its own."""
    for k, layer in enumerate(net.layers):
        x = [
            sum((w * q for w, q in zip(row, x, strict=True)), b)
            for row, b in zip(layer.weight, layer.bias, strict=True)
        ]
        if k + 1 < len(net.layers):
            x = [max(q, q / 10) for q in x]
    return x[0]


def at(form: Form, t: Sequence[Fraction]) -> Arb:
    """All values that the form allows there, its further components free."""
    total = form.value
    for k, slope in enumerate(form.gradient):
        total = total + slope * (ball(t[k]) if k < len(t) else arb(0, 1))
    return total


# Forms.

EXPRESSIONS = (
    "x*y - cos(x*y)/(3 + sin(x))",
    "exp(-x^2)*log(4 + y) + sqrt(3 + x) - tanh(y)^3",
    "(3 + x)^(3/2) + 2 - y + 1/(4 + x) + pi*x*2 - (1 - x)",
    "3 - 2*sin(x)*cos(y) - 1/3",
)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_forms_hold_the_function(text: str) -> None:
    chance = random.Random(1)
    e = parse_expression(text, ["x", "y"])
    with working_precision(128):
        for _ in range(20):
            centre, r = (drawn(chance) / 2, drawn(chance) / 2), F(1, chance.choice([1, 3, 50, 10**6]))
            box: Box = tuple((q - r, q + r) for q in centre)
            pieces = Pieces(2)
            form = as_form(expression_jet(e, dict(zip("xy", forms(box, 1), strict=True)), 3, pieces))
            apart = form.spread(2)
            for _ in range(20):
                t = [F(chance.randint(-16, 16), 16) for _ in range(2)]
                point = tuple((q + r * s, q + r * s) for q, s in zip(centre, t, strict=True))
                exact = expression_jet(e, dict(zip("xy", coordinates(point), strict=True)), 2, Kinks()).value
                assert at(form, t).overlaps(exact) and at(apart, t).overlaps(exact)
                assert form.low <= exact


def test_forms_are_of_second_order() -> None:
    e = parse_expression("sin(x)*exp(y)", ["x", "y"])
    radii = []
    with working_precision(128):
        for r in (F(1, 10), F(1, 100)):
            x = forms(((1 - r, 1 + r), (-r, r)), 0)
            radii.append(float(expression_jet(e, dict(zip("xy", x, strict=True)), 2, Pieces(2)).value.rad()))
    assert radii[1] < radii[0] / 90


def test_what_mixes_with_forms() -> None:
    with working_precision(64):
        (x,) = forms(((F(-1), F(1)),), 1)
        c = constant(arb(3), 2)
        for mixed in (c + x, x + c, c - x, x - c, c * x, x * c, -x, x.through(lambda z: (z, arb(1), arb(0)))):
            assert isinstance(mixed, Form)
        assert float((c - x).value) == 3 and float((c - x).gradient[0]) == -1
        assert as_form(c).value == 3
        with pytest.raises(ValueError, match="not a form"):
            as_form(Jet(arb(1), (arb(1), arb(0)), ()))
        with pytest.raises(ValueError, match="in use"):
            x.spread(0)
        assert not as_form(Jet(arb("nan"), (arb("nan"),) * 2, ())).low >= 0


# Pieces.


def test_pieces_cover_the_box_and_lose_nothing() -> None:
    """Random networks: each point lies in a piece whose forms hold every value there; the least of the pieces' bounds is the
    function's minimum."""
    chance, several = random.Random(2), 0
    with working_precision(100):
        for _ in range(12):
            net = network(chance, 2, 4, 3, 1)
            run, r = net.prepared(), F(1, chance.choice([1, 4]))
            centre = (drawn(chance) / 2, drawn(chance) / 2)
            box: Box = tuple((q - r, q + r) for q in centre)
            pieces, least = Pieces(2, 10_000), arb("inf")
            seen: list[tuple[list[Form], Form]] = []
            for _ in pieces:
                (out,) = run(forms(box, 0), pieces)
                low = pieces.least(out)
                least = low if low < least else least
                seen.append((list(pieces._assumed), as_form(out)))
            several += len(seen) > 4
            samples = []
            for _ in range(150):
                t = [F(chance.randint(-64, 64), 64) for _ in range(2)]
                samples.append(value(net, [q + r * s for q, s in zip(centre, t, strict=True)]))
                here = [(a, form) for a, form in seen if all(at(z, t) >= -(arb(2) ** -60) for z in a)]
                assert here and any(at(form, t).overlaps(ball(samples[-1])) for _, form in here)
                assert least <= ball(samples[-1])
            # a piecewise linear minimum is at a corner of a piece: samples come near it
            slope = max(1.0, float(max(samples) - min(samples)))
            assert lower_float(least) >= float(min(samples)) - slope / 4
    assert several > 5


def test_the_bound_is_the_exact_minimum() -> None:
    """|x + y - 1/3| + |x - 2 y| / 2 - |x| / 8 on [-1, 1]^2: its least value is at x = 2/9, y = 1/9."""
    e = parse_expression("abs(x + y - 1/3) + abs(x - 2*y)/2 - abs(x)/8", ["x", "y"])
    with working_precision(128):
        pieces, lows = Pieces(2), []
        for _ in pieces:
            x = dict(zip("xy", forms(((F(-1), F(1)),) * 2, 0), strict=True))
            lows.append(lower_float(pieces.least(expression_jet(e, x, 2, pieces))))
    assert abs(min(lows) + 1 / 36) < 1e-12 and 4 < len(lows) < 20


def test_what_is_kept_changes_nothing() -> None:
    chance = random.Random(4)
    first, second = network(chance, 2, 4, 1), network(chance, 2, 4, 1)
    one, two = first.prepared(), second.prepared()
    x = forms(((F(-2), F(2)),) * 2, 0)
    with working_precision(64):

        def lows(keep: bool) -> list[float]:
            pieces, found = Pieces(2), []

            def kept(compute: Callable[[], list[Jet]]) -> list[Jet]:
                return pieces.kept(compute) if keep else compute()

            for _ in pieces:
                (a,) = kept(lambda: one(x, pieces))
                if pieces.least(a.shifted(arb(-1))) > 0:
                    continue
                pieces.assume((-a).shifted(arb(1)))
                (b,) = kept(lambda: two(x, pieces))
                found.append(lower_float(pieces.least(a - b)))
            return found

        assert lows(True) == lows(False) and len(lows(True)) > 3


def test_more_states_and_one() -> None:
    """In one dimension sharp; in three sound, whatever it is worth."""
    with working_precision(64):
        for n in (1, 3):
            names = ["x", "y", "z"][:n]
            e = parse_expression("abs(x - 1/4) - x/2 + 1/8 + " + "+".join(f"abs({v})" for v in names), names)
            pieces, lows = Pieces(n), []
            for _ in pieces:
                x = dict(zip(names, forms(((F(-1), F(1)),) * n, 0), strict=True))
                lows.append(lower_float(pieces.least(expression_jet(e, x, n, pieces))))
            assert min(lows) <= 0.25 and (n > 1 or min(lows) > 0.2499)


def test_too_many_pieces_and_undefined_functions() -> None:
    chance = random.Random(5)
    run = network(chance, 2, 16, 16, 1).prepared()
    with working_precision(64):
        pieces = Pieces(2, 3)
        with pytest.raises(TooManyPieces):
            for _ in pieces:
                run(forms(((F(-9), F(9)),) * 2, 0), pieces)
        for text in ("abs(log(x))", "log(x)", "1/x", "0*log(x - 5)", "log(0 - 1)"):
            pieces = Pieces(1)
            e = parse_expression(text, ["x"])
            try:
                for _ in pieces:
                    jet = expression_jet(e, {"x": forms(((F(-1), F(1)),), 0)[0]}, 1, pieces)
                    assert not pieces.least(jet.shifted(arb(1000))) >= 0
            except TooManyPieces:
                pass


# Claims.


def claim_of(document: Document, read: Callable[[str], bytes] = lambda name: b"") -> Any:
    (loaded,) = read_artifact(json.dumps(document).encode(), Files("x", read), Options(), "tlcheck.stability")
    return loaded.claim


def judged(document: Document) -> ConditionsOutcome:
    return decide_conditions(claim_of(document))


def cone(**changes: Any) -> Document:
    return stability_cases.cone() | changes


def finely(document: Document, halvings: int, core: str = "1/8") -> Document:
    """A tree cut around the core and then evenly, every leaf but the core's by pieces."""
    c = F(core)
    cells: list[str] = []

    def even(k: int) -> str:
        return "p" if k == 0 else f"{k % 2} {even(k - 1)} {even(k - 1)}"

    rest = even(halvings)
    cells = [f"0@-{c} {rest} 0@{c} 1@-{c} {rest} 1@{c} c {rest} {rest}"]
    return document | {
        "core": {"lower": [f"-{c}"] * 2, "upper": [f"{c}"] * 2},
        "tree": " ".join(cells),
    }


def bump(at_x: str, width: str, height: str) -> str:
    """A hat function of x1: 0 but within ``width`` of ``at_x``."""
    z = f"(x1 - ({at_x}))"
    return f"({height})/({width})*(abs({z} - {width}) + abs({z} + {width}) - 2*abs({z}))/2"


def bumped(at_x: str, along_y: str, width: str = "1/200", height: str = "1/2") -> list[str]:
    """The cone's equations with a hat in x1 that acts where x2 is near ``along_y``."""
    base = stability_cases.cone()["equations"]
    hat = bump(at_x, width, height)
    hat = f"-{hat}" if at_x.startswith("-") else hat
    return [f"{base[0]} + {hat}*exp(-400*(x2 - ({along_y}))^2)", base[1]]


def test_the_cone_by_pieces() -> None:
    made = stability_cases.certified(cone())
    assert set(made["tree"].split()) & {PIECEWISE} and judged(made).verdict is Verdict.CERTIFIED
    assert judged(finely(cone(), 4)).verdict is Verdict.CERTIFIED


@pytest.mark.parametrize(
    ("where", "at_x", "along_y", "false"),
    [
        ("near a kink of V", "-1/4", "1/8", True),  # x1 - 2 x2 + 1/2 = 0
        ("near the core", "13/100", "0", True),
        ("just inside the level", "7/25", "0", True),
        ("just outside the level", "2/5", "0", False),
    ],
)
def test_planted_bumps(where: str, at_x: str, along_y: str, false: bool) -> None:
    """Where V would grow on a strip 1/100 wide: never certified inside S; outside S nothing is claimed."""
    document = cone(equations=bumped(at_x, along_y))
    conditions = conditions_of(read_claim(json.dumps(document).encode(), "x"), Files("x", lambda n: b""))
    with working_precision(128):
        point = (F(at_x), F(along_y))
        assert (Judge(conditions).violation(point) is not None) is false
        found = find(conditions, max_leaves=300)
        assert (found.problem == "") is not false
    for halvings in (0, 2, 5):
        outcome = judged(finely(document, halvings))
        assert not false or outcome.verdict is not Verdict.CERTIFIED


def test_a_false_claim_between_two_corners() -> None:
    """The fall fails on a sliver between two kinks that no corner and no centre of a leaf meets."""
    document = cone(equations=[f"0.7*x1 + {bump('2/7', '1/1000', '1/4')}", "0.7*x2"])
    assert judged(finely(document, 6)).verdict is not Verdict.CERTIFIED
    assert judged(finely(cone(equations=["0.7*x1", "0.7*x2"]), 4)).verdict is Verdict.CERTIFIED


def test_the_next_state_must_stay() -> None:
    document = cone(equations=["-0.7*x1", "0.7*x2"], level="1")
    assert judged(finely(document, 4)).verdict is Verdict.CERTIFIED
    document["region"] = {"lower": ["-1/5", "-1"], "upper": ["1", "1"]}
    assert judged(finely(document, 4)).verdict is not Verdict.CERTIFIED


def test_pieces_in_other_statements() -> None:
    """Invariance: V may rise, but not above the level."""
    document = cone(statement="invariant", equations=["0.5", "0"], level="7/10", decay="0")
    for level, verdict in (("7/10", Verdict.CERTIFIED), ("1/2", Verdict.REFUTED)):
        made = stability_cases.certified(document | {"level": level})
        assert judged(made).verdict is verdict
    practical = cone(
        statement="practical", equations=["0.5*x1 + 0.1", "0.5*x2"], inner_level="2/5", level="3/4"
    )
    made = stability_cases.certified(practical)
    assert judged(made).verdict is Verdict.CERTIFIED
    assert judged(made | {"inner_level": "1/20"}).verdict is not Verdict.CERTIFIED
    continuous = stability_cases.oscillator() | {"tree": "p"}
    assert judged(continuous).verdict is not Verdict.CERTIFIED


MUTATIONS: dict[str, Callable[[Document], object]] = {
    "decay too fast": lambda d: d.__setitem__("decay", "2/5"),
    "a slope": lambda d: d["equations"].__setitem__(1, "0.1*x1 + 1.01*x2"),
    "a weight": lambda d: d["V"]["network"]["weights"][1].__setitem__(0, ["30", "1/10"]),
    "core leaves by pieces": lambda d: d.__setitem__("tree", d["tree"].replace("c", "p")),
    "all core": lambda d: d.__setitem__("tree", d["tree"].replace("p", "c")),
    "one leaf": lambda d: d.__setitem__("tree", "p"),
    "V without its definite part": lambda d: d["V"].__setitem__("l1", []),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutations(name: str) -> None:
    document = finely(cone(), 4)
    assert judged(document).verdict is Verdict.CERTIFIED
    assert judged(stability_cases.changed(document, MUTATIONS[name])).verdict is not Verdict.CERTIFIED


def test_two_processes_find_the_same() -> None:
    document = cone(equations=["0.6*x1 - 0.05*sin(3*x2)", "0.1*x1 + 0.7*x2"])
    conditions = conditions_of(read_claim(json.dumps(document).encode(), "x"), Files("x", lambda n: b""))
    counts: list[int] = []
    one, two = find(conditions), find(conditions, jobs=2, tick=counts.append)
    assert one == two and not one.problem and counts[-1] == one.leaves
    assert sum(1 for _ in leaves_of(one.tree, conditions.region)) == one.leaves
    assert CORE in tree_text(one.tree)


# Published models.


def published(name: str, **changes: Any) -> Conditions:
    artifact = read_claim(json.dumps(stability_cases.discrete(name) | changes).encode(), "x")
    return conditions_of(artifact, Files("x", lambda n: (MODELS / n).read_bytes()))


BOXES: dict[str, Box] = {
    "path_tracking_state_feedback": ((F(1, 2), F(3, 4)), (F(-3, 8), F(0))),
    "path_tracking_state_feedback_small_torque": ((F(-1, 2), F(-3, 8)), (F(0), F(3, 16))),
    "pendulum_state_feedback": ((F(-3, 8), F(-3, 16)), (F(3, 4), F(3, 2))),
    "pendulum_state_feedback_small_torque": ((F(-21, 4), F(-73, 16)), (F(0), F(6))),
}


@needs_data
@pytest.mark.parametrize("name", PUBLISHED)
def test_boxes_of_published_models(name: str) -> None:
    """Boxes with kinks, many of them across the level, where the fall is least: proved by pieces, not without, and by no
    more than samples allow."""
    c, box = published(name), BOXES[name]
    with working_precision(128):
        judge = Judge(c)
        checks = list(judge.leaf(box, PIECEWISE))
        assert all(check.holds for check in checks)
        assert not all(check.holds for check in judge.leaf(box, "d"))
        falls = []
        for x in np.linspace(*map(float, box[0]), 12):
            for y in np.linspace(*map(float, box[1]), 12):
                point = coordinates(((F(x), F(x)), (F(y), F(y))))
                if judge.v(point, Kinks()).value <= judge.level:
                    falls.append(float(judge.fall(point, Kinks()).value.mid()))
        low = checks[-1].low
        assert low is not None and low <= min(falls)
        faster = Judge(published(name, decay="0.7"))
        assert not all(check.holds for check in faster.leaf(box, PIECEWISE))


@needs_data
def test_a_published_model() -> None:
    """pendulum_state_feedback_small_torque, the whole claim: the origin included, no tolerance."""
    document = stability_cases.discrete("pendulum_state_feedback_small_torque")
    document["core"] = {"lower": ["-3/64", "-3/64"], "upper": ["3/64", "3/64"]}
    document["tree"] = (
        "0@-3/64 0 0 o 0 p p 0 1 1 p 1 0 p p p 0 1 p p 1 1 p p p 0 1 0 p 1 p 0 p p 1 0 p 0 1 p p 1 0 p p p p 1 0 1 p 0 p p 1 p 0 "
        "p p 1 0 0 1 0 p p p p 0 p 1 0 p p p p 0@3/64 1@-3/64 p 1@3/64 c p 0 0 0 1 0 1 p 0 1 p 0 p p p 1 p 0 p 1 p 0 p p 0 1 0 p p p "
        "1 0 p p p 1 0 1 p 0 1 p 0 p p p p 0 1 0 p p p p 1 0 p p p 0 p p"
    )
    outcome = decide_conditions(claim_of(document, lambda n: (MODELS / n).read_bytes()))
    assert outcome.verdict is Verdict.CERTIFIED


@needs_data
def test_a_published_model_does_not_fall_faster() -> None:
    """path_tracking_state_feedback_small_torque: V(x+) > (1 - 1/400) V(x) in a valley that a grid of samples misses; no leaf
    around it is proved."""
    c = published("path_tracking_state_feedback_small_torque", decay="1/400")
    valley = (F("-0.4766178131103515625"), F("0.07562255859375"))
    with working_precision(128):
        judge = Judge(c)
        assert judge.violation(valley) is not None
        for r in (F(1, 100), F(1, 10**4), F(1, 10**7)):
            box = tuple((q - r, q + 2 * r) for q in valley)
            assert not all(check.holds for check in judge.leaf(box, PIECEWISE))
