"""Queries whose answer is known: a hidden counterexample, or a true margin; ``make planted`` puts all of them to the prover.

- slabs: the values at a point, each held within a narrow band by two constraints (``mixed``: inputs in them too). The counterexample is a
  neighbourhood of the point, 2^-depth of the box wide.
- needle: a spike in the network itself, which no sample and no gradient finds; the property asks for its height.
- summit: the exact maximum over a rectangle of a small network (``exact_cells``), asked for a little less (sat), a little more (unsat),
  or just this (unsat where strict). ``lifted``: the two variables are sums of several inputs; ``over``: another output is held above a bound.

Each is then hidden: among disjuncts that are false by far, in one of several regions, with inputs of no width. Nothing is drawn from a clock:
the same number gives the same query. No sat one may ever be answered unsat, no unsat one sat.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from tests.bench import cpu_clock
from tests.truth.exact_cells import Layer, Summit, cells, summit
from tests.truth.queries import Constraint, Form, Planted, Point, Region, gridded, valued, values_at
from tests.truth.small_nets import ARCHITECTURES, Made, Rng, dyadic, layered, needle
from tlcheck import timer
from tlcheck.checking.deadline import Deadline
from tlcheck.checking.schedule import planned, run_leaves
from tlcheck.prover.prover import Limits, Prover, Unknown, Witness
from tlcheck.readers.onnx import read_model
from tlcheck.trusted.claim import SatClaim
from tlcheck.trusted.decide import conclude_unsat, decide_sat
from tlcheck.trusted.plan import Settings
from tlcheck.trusted.verdict import Verdict

F = Fraction
SAT = 200
UNSAT = 60
DEPTHS = (3, 20)
"""A counterexample is at least 2^-20 of the box wide."""
FAR = 1 << 20
"""No output of a network with a known maximum is as large, wherever a box of its is moved."""


def box_and_point(rng: Rng, n: int) -> tuple[Point, Point, Point]:
    """A box of rational ends, in which some inputs may have no width, and a point of it."""
    low, wide = rng.integers(-64, 32, n), rng.integers(16, 96, n)
    if n > 2:
        wide[rng.random(n) < 0.15] = 0
    lower = tuple(F(int(a), 64) for a in low)
    upper = tuple(F(int(a + w), 64) for a, w in zip(low, wide, strict=True))
    shares = [F(int(k), 1 << 12) for k in rng.integers(0, (1 << 12) + 1, n)]
    if rng.random() < 0.2:
        shares = [F(round(s)) for s in shares]  # a corner
    return lower, upper, tuple(a + s * (b - a) for a, b, s in zip(lower, upper, shares, strict=True))


def made(rng: Rng, kind: str) -> tuple[Made, Point, Point, Point]:
    network = ARCHITECTURES[kind](rng)
    return network, *box_and_point(rng, network.inputs)


def slabs(rng: Rng, kind: str, *, mixed: bool) -> Planted:
    network, lower, upper, point = made(rng, kind)
    model = network.net.model(network.y, network.outputs)
    values = values_at(read_model(model), point)
    depth = int(rng.integers(*DEPTHS))
    constraints: list[Constraint] = []
    for _ in range(int(rng.integers(1, 4))):
        form = {f"Y_{j}": F(int(c)) for j, c in enumerate(rng.integers(-3, 4, network.outputs)) if c}
        if mixed:
            form |= {f"X_{i}": F(int(c)) for i, c in enumerate(rng.integers(-2, 3, network.inputs)) if c}
        constraints += band(rng, form, valued(form, point, values), F(1, 1 << depth)) if form else []
    if not constraints:
        constraints = band(rng, {"Y_0": F(1)}, values[0], F(1, 1 << depth))
    region = Region(lower, upper, tuple(constraints))
    margin = min(c.bound - valued(c.form, point, values) for c in constraints)
    name = f"{'mixed' if mixed else 'slabs'}-{kind}"
    return Planted(name, model, (region,), "sat", network.outputs, margin, point, 2.0**-depth)


def band(rng: Rng, form: Form, value: Fraction, width: Fraction) -> list[Constraint]:
    """form within ``width`` of its value, or only on one side."""
    negated = {name: -c for name, c in form.items()}
    sides = [(form, value), (negated, -value)][: int(rng.integers(1, 3))]
    return [Constraint(f, gridded(v + width, up=True), bool(rng.integers(2))) for f, v in sides]


def needled(rng: Rng, kind: str) -> Planted:
    """The spike stands a little above what samples of the first output reach."""
    network, lower, upper, point = made(rng, kind)
    point = tuple(F(float(np.float32(p))) for p in point)
    depth = int(rng.integers(2, 13))
    radii = np.full(network.inputs, 2.0**-depth, np.float32)
    bare = read_model(network.net.model(network.y, network.outputs))
    samples = [values_at(bare, sampled(rng, lower, upper))[0] for _ in range(12)]
    here = values_at(bare, point)[0]
    height = F(float(np.float32(max(*samples, here) - here + F(1, 2))))
    model = needle(network, np.array([float(p) for p in point], np.float32), radii, float(height))
    low = gridded(values_at(read_model(model), point)[0] - F(1, 1 << int(rng.integers(4, 16))), up=False)
    constraint = Constraint({"Y_0": F(-1)}, -low, bool(rng.integers(2)))
    margin = values_at(read_model(model), point)[0] - low
    region = Region(lower, upper, (constraint,))
    width = float(margin / height) * float(radii[0])
    return Planted(f"needle-{kind}", model, (region,), "sat", network.outputs, margin, point, width)


def sampled(rng: Rng, lower: Point, upper: Point) -> Point:
    shares = [F(int(k), 1 << 10) for k in rng.integers(0, (1 << 10) + 1, len(lower))]
    return tuple(a + s * (b - a) for a, b, s in zip(lower, upper, shares, strict=True))


# networks whose maximum is known


@dataclass(frozen=True)
class Hill:
    """A network of ``groups`` inputs: z_k = weights_k . x over the inputs of group k, then ``layers`` on (z_0, z_1)."""

    model: bytes
    lower: Point
    upper: Point
    outputs: int
    top: Summit
    objective: list[Fraction]
    above: list[tuple[list[Fraction], Fraction]]
    witness: Point


def hill(rng: Rng, *, lifted: bool, over: bool) -> Hill:
    sizes = (2, int(rng.integers(3, 7)), int(rng.integers(3, 6)), int(rng.integers(2, 4)))
    layers = [
        (dyadic(rng, (b, a), 3, 1.0), dyadic(rng, (b,), 3, 0.5))
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    groups = (int(rng.integers(1, 4)), int(rng.integers(1, 4))) if lifted else (1, 1)
    spread = np.zeros((2, sum(groups)), np.float32)
    spread[0, : groups[0]] = rng.choice([-2, -1, 1, 0.5], groups[0]) if lifted else 1
    spread[1, groups[0] :] = rng.choice([-2, -1, 1, 0.5], groups[1]) if lifted else 1
    lower = tuple(F(int(a), 16) for a in rng.integers(-16, 8, sum(groups)))
    upper = tuple(a + F(int(w), 16) for a, w in zip(lower, rng.integers(4, 24, sum(groups)), strict=True))
    low, high = ends(spread, lower, upper)
    parts = list(cells([exact(layer) for layer in layers], low, high))
    objective = [F(int(c)) for c in rng.integers(-3, 4, sizes[-1])]
    above: list[tuple[list[Fraction], Fraction]] = []
    if over:
        other = [F(int(c)) for c in rng.integers(-3, 4, sizes[-1])]
        most, least = summit(parts, other), summit(parts, [-c for c in other])
        assert most is not None and least is not None
        share = F(int(rng.integers(1, 16)), 16)
        above = [(other, gridded(-least.value + share * (most.value + least.value), up=False))]
    top = summit(parts, objective, above)
    assert top is not None
    model = layered([(layers[0][0] @ spread, layers[0][1]), *layers[1:]])
    witness = raised(spread, lower, upper, low, high, top.point)
    return Hill(model, lower, upper, sizes[-1], top, objective, above, witness)


def exact(layer: tuple[np.ndarray, np.ndarray]) -> Layer:
    weights, bias = layer
    return [[F(float(w)) for w in row] for row in weights], [F(float(b)) for b in bias]


def ends(spread: np.ndarray, lower: Point, upper: Point) -> tuple[tuple[F, F], tuple[F, F]]:
    """The range of each of the two sums."""
    low, high = [], []
    for row in spread.tolist():
        terms = [sorted((F(w) * a, F(w) * b)) for w, a, b in zip(row, lower, upper, strict=True)]
        low.append(sum((t[0] for t in terms), F(0)))
        high.append(sum((t[1] for t in terms), F(0)))
    return (low[0], low[1]), (high[0], high[1])


def raised(
    spread: np.ndarray, lower: Point, upper: Point, low: Sequence[F], high: Sequence[F], sums: Sequence[F]
) -> Point:
    """A point of the box with these two sums: every input goes the same share of its way."""
    shares = [(s - a) / (b - a) for s, a, b in zip(sums, low, high, strict=True)]
    point = []
    for column, a, b in zip(spread.T.tolist(), lower, upper, strict=True):
        k = 0 if column[0] else 1
        share = shares[k] if column[k] > 0 else 1 - shares[k]
        point.append(a + share * (b - a))
    return tuple(point)


def summits(rng: Rng, answer: str, *, lifted: bool, over: bool) -> Planted:
    """A hill asked for its top less 2^-depth of its height (sat), more (unsat), or its top itself, strictly (unsat)."""
    found = hill(rng, lifted=lifted, over=over)
    depth = int(rng.integers(4, 21))
    gap = F(1, 1 << depth)
    if answer == "sat":
        asked, strict = gridded(found.top.value - gap, up=False), bool(rng.integers(2))
    elif rng.random() < 0.25:
        asked, strict = gridded(found.top.value, up=True), True
    else:
        asked, strict = gridded(found.top.value + gap, up=True), bool(rng.integers(2))
    constraints = [Constraint(form(found.objective, -1), -asked, strict)]
    slack = gap if answer == "sat" else F(0)
    constraints += [Constraint(form(v, -1), slack - bound) for v, bound in found.above]
    constraints = [c for c in constraints if c.form]
    if len(constraints) < 1 + len(found.above):
        return summits(rng, answer, lifted=lifted, over=over)
    region = Region(found.lower, found.upper, tuple(constraints))
    name = f"summit{'-lifted' * lifted}{'-over' * over}"
    margin = abs(found.top.value - asked)
    return Planted(name, found.model, (region,), answer, found.outputs, margin, found.witness, 2.0**-depth)


def form(weights: Sequence[Fraction], sign: int) -> Form:
    return {f"Y_{j}": sign * c for j, c in enumerate(weights) if c}


# among others


def among_others(rng: Rng, planted: Planted) -> Planted:
    """The region somewhere among false ones: the same box, or others, asked for a value that no network here has."""
    false_by = 1000 if planted.answer == "sat" else FAR
    chosen = planted.regions[0]
    regions = [chosen]
    for _ in range(int(rng.integers(1, 5))):
        region = chosen if rng.random() < 0.5 else moved(rng, chosen)
        j, sign = int(rng.integers(planted.outputs)), int(rng.choice([-1, 1]))
        asked = Constraint({f"Y_{j}": F(sign)}, F(-false_by), bool(rng.integers(2)))
        kept = chosen.constraints[: int(rng.integers(0, len(chosen.constraints)))]
        regions.append(replace(region, constraints=(*kept, asked)))
    order = rng.permutation(len(regions))
    return replace(planted, name=planted.name + "-among", regions=tuple(regions[k] for k in order))


def moved(rng: Rng, region: Region) -> Region:
    """Another box that overlaps, touches or misses it."""
    steps = [
        F(int(k), 4) * (b - a)
        for k, a, b in zip(rng.integers(-5, 6, len(region.lower)), region.lower, region.upper, strict=True)
    ]
    lower = tuple(a + s for a, s in zip(region.lower, steps, strict=True))
    return replace(region, lower=lower, upper=tuple(b + s for b, s in zip(region.upper, steps, strict=True)))


def parted(rng: Rng, planted: Planted) -> Planted:
    """The box cut in two along its widest input: a region each, with the same constraints."""
    (region,) = planted.regions
    widths = [b - a for a, b in zip(region.lower, region.upper, strict=True)]
    i = max(range(len(widths)), key=widths.__getitem__)
    cut = region.lower[i] + widths[i] * F(int(rng.integers(1, 8)), 8)
    below = replace(region, upper=(*region.upper[:i], cut, *region.upper[i + 1 :]))
    above = replace(region, lower=(*region.lower[:i], cut, *region.lower[i + 1 :]))
    return replace(planted, name=planted.name + "-parted", regions=(above, below))


def disguised(rng: Rng, planted: Planted) -> Planted:
    how: list[Callable[[Rng, Planted], Planted]] = [lambda _, p: p, among_others, parted]
    return how[int(rng.integers(3))](rng, planted)


def sat_instance(number: int) -> Planted:
    rng = np.random.default_rng((13, number))
    kinds = list(ARCHITECTURES)
    kind = kinds[number // 4 % len(kinds)]
    choices: Mapping[int, Callable[[], Planted]] = {
        0: lambda: slabs(rng, kind, mixed=bool(number // 4 % 2)),
        1: lambda: needled(rng, kind),
        2: lambda: slabs(rng, kind, mixed=False),
        3: lambda: summits(rng, "sat", lifted=bool(number // 4 % 2), over=bool(number // 8 % 2)),
    }
    planted = disguised(rng, choices[number % 4]())
    return replace(planted, name=f"sat-{number:03d}-{planted.name}")


def unsat_instance(number: int) -> Planted:
    rng = np.random.default_rng((31, number))
    planted = disguised(rng, summits(rng, "unsat", lifted=bool(number % 2), over=bool(number // 2 % 2)))
    return replace(planted, name=f"unsat-{number:03d}-{planted.name}")


def instances(sat: Sequence[int] = range(SAT), unsat: Sequence[int] = range(UNSAT)) -> Iterator[Planted]:
    yield from map(sat_instance, sat)
    yield from map(unsat_instance, unsat)


# put to the prover


def answered(planted: Planted, seconds: float, **limits: Any) -> str:
    """The prover's answer, decided again: sat, unsat or unknown."""
    claim = planted.claim()
    found = Prover(claim, Limits(seconds=seconds, **limits), model=planted.model).prove()
    if isinstance(found, Witness):
        verdict = decide_sat(SatClaim(claim.graph, claim.query, found.point)).verdict
        return "sat" if verdict is Verdict.CERTIFIED else "unknown"
    if isinstance(found, Unknown):
        return "unknown"
    plan = planned(claim, found.guidance, Settings(deployed=limits.get("deployed")))
    verdict, _ = conclude_unsat(plan, run_leaves(plan, 1, Deadline(None, None), None, None).outcomes)
    return "unsat" if verdict is Verdict.CERTIFIED else "unknown"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.truth.planted", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="CPU seconds a query")
    parser.add_argument("--stride", type=int, default=1)
    arguments = parser.parse_args()
    cpu_clock.install()
    counts: dict[tuple[str, str], int] = {}
    wrong = []
    for planted in instances(range(0, SAT, arguments.stride), range(0, UNSAT, arguments.stride)):
        begun = timer.now()
        said = answered(planted, arguments.seconds)
        counts[planted.answer, said] = counts.get((planted.answer, said), 0) + 1
        wrong += [planted.name] * ({planted.answer, said} == {"sat", "unsat"})
        print(
            f"{planted.name}: {said}, {timer.now() - begun:.2f} s, margin {float(planted.margin):.2g}, width {planted.width:.2g}",
            flush=True,
        )
    for (known, said), count in sorted(counts.items()):
        print(f"{known}: {count} answered {said}")
    print(f"wrong: {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
