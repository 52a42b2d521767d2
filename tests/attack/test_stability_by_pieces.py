"""Attacks on stability claims judged by pieces and by signs: claims at their margin against exact evaluation."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import inf, nan
from typing import Any

import pytest

from tests.helpers import CERTIFICATES
from tlcheck.options import Options
from tlcheck.readers.artifacts import read_artifact
from tlcheck.readers.files import Files
from tlcheck.readers.own.stability import conditions_of
from tlcheck.readers.own.stability import read_artifact as read_claim
from tlcheck.trusted.arith.arb import arb, working_precision
from tlcheck.trusted.calculus.ranges import Box
from tlcheck.trusted.decide import decide_conditions
from tlcheck.trusted.science import by_pieces as pieces
from tlcheck.trusted.science.by_pieces import MAX_PIECES
from tlcheck.trusted.science.stability_conditions import Conditions
from tlcheck.trusted.science.stability_judge import Judge
from tlcheck.trusted.science.stability_tree import DECREASE, PIECEWISE
from tlcheck.trusted.verdict import Verdict

sys.path.append(str(CERTIFICATES / "producers"))
import stability_cases

F = Fraction
Document = dict[str, Any]
Point = Sequence[Fraction]

SIDE = F(3)
LEVEL = F(2)


def conditions(document: Document) -> Conditions:
    return conditions_of(read_claim(json.dumps(document).encode(), "x"), Files("x", lambda name: b""))


class Loop:
    """A random loop of relus, leaky relus, absolute values and a clip, evaluated exactly by code of its own."""

    def __init__(self, seed: int) -> None:
        chance = self.chance = random.Random(seed)
        n = self.n = chance.choice([1, 2, 2, 3])
        self.a = [[self.drawn() for _ in range(n)] for _ in range(n)]
        self.b = [self.drawn() for _ in range(n)]
        self.bent = [self.drawn() for _ in range(n)]
        self.controller = self.network([n, 3, 1])
        self.low = F(chance.randint(-4, 0), 4)
        self.high = self.low + F(chance.randint(0, 4), 4)
        self.candidate = self.network([n, 3, 2, 1])
        self.slope = chance.choice([F(1, 100), F(1, 2), F(3, 2), F(-1, 4)])
        self.l1 = [[self.drawn() for _ in range(n)] for _ in range(n)]

    def drawn(self) -> Fraction:
        return F(self.chance.randint(-8, 8), 8)

    def network(self, sizes: list[int]) -> list[tuple[list[list[Fraction]], list[Fraction]]]:
        return [
            ([[self.drawn() for _ in range(a)] for _ in range(b)], [self.drawn() / 2 for _ in range(b)])
            for a, b in zip(sizes, sizes[1:], strict=False)
        ]

    def document(self) -> Document:
        names = [f"x{i + 1}" for i in range(self.n)]

        def written(layers: list[tuple[list[list[Fraction]], list[Fraction]]]) -> Document:
            return {
                "weights": [[[str(q) for q in row] for row in weight] for weight, _ in layers],
                "biases": [[str(q) for q in bias] for _, bias in layers],
            }

        return {
            "format": "tlcheck.stability/1",
            "time": "discrete",
            "statement": "asymptotic",
            "states": names,
            "networks": [
                {
                    "names": ["u"],
                    "network": written(self.controller) | {"activation": "relu"},
                    "inputs": names,
                    "clip": [[str(self.low), str(self.high)]],
                }
            ],
            "equations": [
                "+".join(f"({q})*{v}" for q, v in zip(row, names, strict=True))
                + f"+({b})*u+({c})*abs({names[0]} - u)"
                for row, b, c in zip(self.a, self.b, self.bent, strict=True)
            ],
            "V": {
                "network": written(self.candidate) | {"activation": "leaky_relu", "slope": str(self.slope)},
                "l1": [[str(q) for q in row] for row in self.l1],
            },
            "region": {"lower": [str(-SIDE)] * self.n, "upper": [str(SIDE)] * self.n},
            "level": str(LEVEL),
        }

    def value(self, layers: Any, x: Point, slope: Fraction) -> Fraction:
        for k, (weight, bias) in enumerate(layers):
            x = [
                sum((w * q for w, q in zip(row, x, strict=True)), c)
                for row, c in zip(weight, bias, strict=True)
            ]
            if k + 1 < len(layers):
                x = [q if q > 0 else slope * q for q in x]
        return x[0]

    def v(self, x: Point) -> Fraction:
        n = abs(
            self.value(self.candidate, x, self.slope)
            - self.value(self.candidate, [F(0)] * self.n, self.slope)
        )
        return n + sum(abs(sum(q * y for q, y in zip(row, x, strict=True))) for row in self.l1)

    def after(self, x: Point) -> list[Fraction]:
        u = min(self.high, max(self.low, self.value(self.controller, x, F(0))))
        return [
            sum((q * y for q, y in zip(row, x, strict=True)), F(0)) + b * u + c * abs(x[0] - u)
            for row, b, c in zip(self.a, self.b, self.bent, strict=True)
        ]

    def box(self) -> Box:
        r = F(1, self.chance.choice([1, 2, 8, 64]))
        centre = [self.drawn() for _ in range(self.n)]
        return tuple((q - r * self.chance.choice([0, 1, 1]), q + r) for q in centre)

    def points(self, box: Box, count: int) -> list[Point]:
        """Of the box: corners, sides and the middle as often as others, for kinks lie there."""
        shares = [F(0), F(1), F(1, 2)]
        found = []
        for _ in range(count):
            share = shares + [F(self.chance.randint(0, 1 << 12), 1 << 12)] * 3
            found.append([a + self.chance.choice(share) * (b - a) for a, b in box])
        return found


def test_the_fastest_decay_that_is_proved_is_true() -> None:
    """Decays are bisected between what is proved and what is not, on random boxes; points are tried exactly at the former."""
    proved = {PIECEWISE: 0, DECREASE: 0}
    close = 0
    for seed in range(24):
        loop = Loop(seed)
        c, box = conditions(loop.document()), loop.box()
        with working_precision(random.Random(seed).choice([24, 53, 128])):
            for tag in proved:
                below, above = F(-16), F(1)
                if not all(check.holds for check in Judge(replace(c, decay=below)).leaf(box, tag)):
                    continue
                for _ in range(16):
                    k = (below + above) / 2
                    holds = all(check.holds for check in Judge(replace(c, decay=k)).leaf(box, tag))
                    below, above = (k, above) if holds else (below, k)
                proved[tag] += 1
                best = F(1)
                for x in loop.points(box, 150):
                    v, after = loop.v(x), loop.after(x)
                    if v > LEVEL and tag == PIECEWISE:
                        continue
                    assert all(-SIDE <= y <= SIDE for y in after), (seed, tag, x)
                    w = loop.v(after)
                    assert w <= (1 - below) * v, (seed, tag, x)
                    best = min(best, 1 - w / v) if v else best
                close += tag == PIECEWISE and best - below < F(1, 100)
    assert proved[PIECEWISE] > 8 and proved[DECREASE] > 3 and close > 3


@pytest.mark.parametrize("shift", ["-1/10", "1/1000000", "1/3"])
def test_a_cut_that_is_moved(shift: str) -> None:
    """The leaves that it moves are judged where they are: a core leaf that leaves the core is no longer proved."""
    made = stability_cases.certified(stability_cases.cone())
    words = made["tree"].split()
    places = [k for k, word in enumerate(words) if "@" in word]
    assert places
    for k in places:
        axis, _, at = words[k].partition("@")
        moved = [*words[:k], f"{axis}@{F(at) + F(shift)}", *words[k + 1 :]]
        inside = outcome(made | {"tree": " ".join(moved)})
        exchanged = outcome(
            made | {"tree": " ".join(w.translate({ord("c"): "p", ord("p"): "c"}) for w in moved)}
        )
        assert exchanged is not Verdict.CERTIFIED
        core = F(made["core"]["upper"][0])
        if (F(shift) > 0) == (F(at) > 0):
            assert (
                abs(F(at)) == core and inside is not Verdict.CERTIFIED
            )  # the core leaf is larger than the core


def outcome(document: Document, **options: Any) -> Verdict:
    loaded = read_artifact(
        json.dumps(document).encode(), Files("x", lambda n: b""), Options(), "tlcheck.stability"
    )
    return decide_conditions(loaded[0].claim, **options).verdict


def test_multipliers_are_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they are, a bound stays one: of x on {x >= 1/2}, where it is at least 1/2, and of -x."""
    box: Box = ((F(-1), F(1)), (F(-1), F(1)))
    for factor in (-8.0, -1.0, 0.0, 0.5, 1.0, 1e300, inf, -inf, nan):
        monkeypatch.setattr(pieces._Outline, "multipliers", lambda *_, factor=factor: [(0, factor)])
        with working_precision(53):
            x = pieces.forms(box, 0)[0]
            found = pieces.Pieces(2)
            found.assume(x.shifted(arb(-0.5)))
            assert found.least(x) <= 0.5 and found.least(-x) <= -1


class Stopped(Exception):
    pass


def test_a_leaf_of_many_pieces_can_be_stopped() -> None:
    """One leaf may have hundreds of pieces of a large network: the time limit is looked at before each."""
    chance = random.Random(3)
    drawn = [str(F(chance.randint(-99, 99), 100)) for _ in range(4 * 40)]
    document = stability_cases.cone() | {
        "statement": "practical",
        "inner_level": "1/1000",
        "level": "1000",
        "equations": ["x1/100", "x2/100"],
        "tree": "p",
    }
    document["V"]["network"] = {
        "weights": [[drawn[k : k + 2] for k in range(0, 80, 2)], [drawn[80:120]]],
        "biases": [drawn[120:160], ["0"]],
        "activation": "relu",
    }
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 20:
            raise Stopped

    with pytest.raises(Stopped):
        outcome(document, tick=tick)
    count = 0

    def counted() -> None:
        nonlocal count
        count += 1

    outcome(document, tick=counted)
    assert 20 < count <= MAX_PIECES + 20


def test_a_power_of_zero_is_defined_where_its_base_is() -> None:
    """x1+ = log(x1)^0 - 1 is 0 where x1 > 0, and nothing elsewhere: no leaf with x1 <= 0 in it may be proved."""
    document = {
        "format": "tlcheck.stability/1",
        "time": "discrete",
        "statement": "invariant",
        "states": ["x1"],
        "equations": ["log(x1)^0 - 1"],
        "V": {"quadratic": [["1"]]},
        "region": {"lower": ["-1"], "upper": ["1"]},
        "level": "1/2",
    }
    judge = Judge(conditions(document))
    for box, holds in ((((F(-1, 4), F(1, 4)),), False), (((F(1, 4), F(1, 2)),), True)):
        assert all(check.holds for check in judge.leaf(box, DECREASE)) == holds
