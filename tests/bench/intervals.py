"""Lyapunov decrease on an annulus, side by side with codac: ``python -m tests.bench.intervals`` (part of ``make bench``).

V is a 2-16-1 tanh network, fitted here to the quadratic form of the damped pendulum x' = y, y' = -sin x - y. Claims: V' < c on
inner <= |(x, y)| <= 6/5. All start from the square around it and halve boxes. codac: V' written out; its centred form in
a loop (what proves with the fewest boxes and seconds of its evaluation modes), and its paver on contractors for V' >= c and the
annulus, with the centred form, to a fixpoint. tlcheck: Taylor models in float64 find the leaves, in Arb decide them; and
the rule of stability claims (jets in Arb), which finds and decides at once. Every figure is the best of ``repeat`` runs in one process.

How to read it. codac spends about 0.15 ms in C++ on a box, the Taylor models 0.2 ms in numpy, and need about a tenth of the boxes:
where the bound is easy, finding is about ten times faster. The check in Arb, called from Python, costs 2 ms a leaf. The third
claim is tight along the inner circle: there the boxes must follow the circle, whatever the bound of V' is, and contractors do
that best. codac leaves the processor rounding upwards: what is rounded to nearest here is not, which the float64 models allow for.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.expressions import parse_expression
from tlcheck.readers.files import Files
from tlcheck.readers.own.stability import conditions_of, read_artifact
from tlcheck.trusted.arith.arb import ball, working_precision
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.ops.s_shaped import Tanh
from tlcheck.trusted.ops.structure import Input
from tlcheck.trusted.science.by_signs import bounded
from tlcheck.trusted.science.quantities import Quantity
from tlcheck.trusted.science.stability_judge import Judge
from tlcheck.trusted.taylor.models64 import Engine64
from tlcheck.trusted.taylor.models_arb import EngineArb
from tlcheck.trusted.taylor.network_models import TaylorNetwork
from tlcheck.trusted.taylor.space import Space

Floats = NDArray[np.float64]
OUTER = Fraction(6, 5)
ORDER = 3
PRECISION = 128
SMALLEST = 1e-5
"""A side below which a loop gives up."""
EQUATIONS = ("y", "-sin(x) - y")
RATE = f"V_x*({EQUATIONS[0]}) + V_y*({EQUATIONS[1]})"


@dataclass(frozen=True)
class Problem:
    """V' < ``below`` where inner <= |(x, y)| <= OUTER."""

    inner: Fraction
    below: Fraction


PROBLEMS = [Problem(Fraction(3, 10), Fraction(0)), Problem(Fraction(1, 100), Fraction(0)), Problem(Fraction(3, 10), Fraction(-126, 1000))]  # fmt: skip


@dataclass(frozen=True)
class Proof:
    """``boxes`` examined, ``leaves`` on which V' was bounded; ``proved``: the rest of the square is outside the annulus."""

    boxes: int
    leaves: int
    proved: bool


def network() -> tuple[Floats, Floats, Floats]:
    """W (16, 2), b (16), w (16): multiples of 2^-10. V = w . tanh(W x + b)."""
    angles = np.pi * np.arange(16) / 8
    weight = np.round(np.stack([np.cos(angles), np.sin(angles)], 1) * 1024) / 1024
    bias = np.full(16, 0.75)
    grid = np.linspace(-1.25, 1.25, 41)
    x = np.array(np.meshgrid(grid, grid)).reshape(2, -1).T
    x = x[np.hypot(*x.T) <= 1.25]
    slopes = 1 - np.tanh(x @ weight.T + bias) ** 2
    wanted = 2 * x @ np.array([[1.5, 0.5], [0.5, 1.0]])
    rows = np.concatenate([slopes * weight[:, 0], slopes * weight[:, 1], 1e-2 * np.eye(16)])
    outer = np.linalg.lstsq(rows, np.concatenate([*wanted.T, np.zeros(16)]), rcond=None)[0]
    return weight, bias, np.round(outer * 1024) / 1024


class Taylor:
    """tlcheck's Taylor models. The leaves that ``find`` left are decided by ``check``."""

    def __init__(self, problem: Problem) -> None:
        weight, bias, outer = network()
        nodes = (
            Node(Input((2,)), (), (2,)),
            Node(Linear(Constant(np.ascontiguousarray(weight.T)), Constant(bias)), (0,), (16,)),
            Node(Tanh(), (1,), (16,)),
            Node(Linear(Constant(outer.reshape(16, 1)), None), (2,), (1,)),
        )
        rate = parse_expression(RATE, ("V_x", "V_y", "x", "y"))
        box = ((-OUTER, OUTER),) * 2
        graph = Graph(nodes, (3,), ("x",), ("V",))
        self.quantity = Quantity(TaylorNetwork(graph), ("x", "y"), ("V",), box, (rate,))
        self.problem = problem
        self.leaves: list[tuple[list[float], list[float]]] = []

    def find(self) -> Proof:
        """In float64, all boxes of a depth at once."""
        space, examined = Space(2, ORDER), 0
        low = np.full((1, 2), -float(OUTER))
        high = -low
        self.leaves = []
        while len(low):
            examined += len(low)
            inside = ~self._outside(low, high)
            low, high = low[inside], high[inside]
            if not len(low) or (high - low).max() < SMALLEST:
                break
            [rate] = self.quantity.models(Engine64(space, low, high, (0, 1)))
            done = Engine64.bounds(rate)[1][:, 0] < float(self.problem.below)
            self.leaves += zip(low[done].tolist(), high[done].tolist(), strict=True)
            low, high = low[~done], high[~done]
            row, axis = np.arange(len(low)), (high - low).argmax(1)
            middle = (low[row, axis] + high[row, axis]) / 2
            left, right = high.copy(), low.copy()
            left[row, axis] = right[row, axis] = middle
            low, high = np.concatenate([low, right]), np.concatenate([left, high])
        return Proof(examined, len(self.leaves), not len(low))

    def _outside(self, low: Floats, high: Floats) -> NDArray[np.bool_]:
        """The box certainly does not meet the annulus: rounding is far below 1e-12."""
        near = np.maximum(np.maximum(low, -high), 0)
        far = np.maximum(np.abs(low), np.abs(high))
        inner, outer = float(self.problem.inner) ** 2, float(OUTER) ** 2
        beside = ((far**2).sum(1) < inner * (1 - 1e-12)) | ((near**2).sum(1) > outer * (1 + 1e-12))
        return np.asarray(beside)

    def check(self) -> Proof:
        """In Arb, the leaves one by one."""
        matrices: dict[Any, Any] = {}
        proved = 0
        space, below = Space(2, ORDER), ball(self.problem.below)
        with working_precision(PRECISION):
            for low, high in self.leaves:
                cell = [(Fraction(a), Fraction(b)) for a, b in zip(low, high, strict=True)]
                [[rate]] = self.quantity.models(EngineArb(space, cell, (0, 1), matrices))
                proved += bool(rate.range() < below)
        return Proof(len(self.leaves), proved, 0 < proved == len(self.leaves))


def by_judge(problem: Problem) -> Callable[[], Proof]:
    """The rule of stability claims, on exact boxes."""
    weight, bias, outer = network()
    document = {
        "format": "tlcheck.stability/1",
        "time": "continuous",
        "statement": "invariant",
        "states": ["x", "y"],
        "equations": list(EQUATIONS),
        "V": {
            "network": {
                "weights": [[[str(Fraction(v)) for v in row] for row in m.tolist()] for m in (weight, outer[None])],
                "biases": [[str(Fraction(v)) for v in bias.tolist()], ["0"]],
                "activation": "tanh",
            },
            "difference": False,
            "outer": "linear",
        },
        "region": {"lower": [str(-OUTER)] * 2, "upper": [str(OUTER)] * 2},
        "level": "1",
        "tree": "o",
    }  # fmt: skip
    artifact = read_artifact(json.dumps(document).encode(), "x")
    conditions = conditions_of(artifact, Files("x", lambda name: b""))

    def prove() -> Proof:
        boxes, leaves, stack = 0, 0, [conditions.region]
        with working_precision(PRECISION):
            judge = Judge(conditions)
            while stack:
                box = stack.pop()
                boxes += 1
                near = sum(max(a, -b, Fraction(0)) ** 2 for a, b in box)
                far = sum(max(abs(a), abs(b)) ** 2 for a, b in box)
                if far < problem.inner**2 or near > OUTER**2:
                    continue
                slack = bounded(
                    lambda x, kinks: judge.fall(x, kinks).shifted(ball(problem.below)), box, strict=True
                )
                if slack.low > 0:
                    leaves += 1
                    continue
                axis = max((0, 1), key=lambda i: box[i][1] - box[i][0])
                a, b = box[axis]
                if b - a < SMALLEST:
                    return Proof(boxes, leaves, False)
                middle = (a + b) / 2
                stack += [(*box[:axis], half, *box[axis + 1 :]) for half in ((a, middle), (middle, b))]
        return Proof(boxes, leaves, True)

    return prove


class Codac:
    """The same with codac. Raises ImportError where it is not installed."""

    def __init__(self, problem: Problem) -> None:
        import codac

        self.codac, self.problem = codac, problem
        weight, bias, outer = network()
        x = codac.VectorVar(2)
        field = (x[1], -codac.sin(x[0]) - x[1])
        rate: Any = None
        for (a, b), c, v in zip(weight.tolist(), bias.tolist(), outer.tolist(), strict=True):
            term = v * (
                (1.0 - codac.sqr(codac.tanh(a * x[0] + b * x[1] + c))) * (a * field[0] + b * field[1])
            )
            rate = term if rate is None else rate + term
        self.rate = codac.AnalyticFunction([x], rate)
        self.norm = codac.AnalyticFunction([x], codac.sqr(x[0]) + codac.sqr(x[1]))
        self.box = codac.IntervalVector([[-float(OUTER), float(OUTER)]] * 2)
        self.annulus = codac.Interval(float(problem.inner) ** 2, float(OUTER) ** 2)

    def centred(self) -> Proof:
        codac, below = self.codac, float(self.problem.below)
        natural, centred = codac.EvalMode.NATURAL, codac.EvalMode.CENTERED
        stack, boxes, leaves = [self.box], 0, 0
        while stack:
            box = stack.pop()
            boxes += 1
            if not self.norm.eval(natural, box).intersects(self.annulus):
                continue
            if self.rate.eval(centred, box).ub() < below:
                leaves += 1
                continue
            if box.max_diam() < SMALLEST:
                return Proof(boxes, leaves, False)
            stack += box.bisect(box.max_diam_index())
        return Proof(boxes, leaves, True)

    def paved(self) -> Proof:
        codac = self.codac
        both = codac.CtcInter(
            codac.CtcInverse(self.norm, self.annulus),
            codac.CtcInverse(self.rate, codac.Interval(float(self.problem.below), codac.oo), True),
        )
        paving = codac.pave(self.box, codac.CtcFixpoint(both), SMALLEST)
        left = paving.boxes(codac.PavingOut.outer)
        return Proof(0, 0, all(box.is_empty() for box in left))


def intervals(repeat: int) -> None:
    """One block of rows a problem."""
    try:
        import codac  # noqa: F401
    except ImportError:
        print("codac is not installed: nothing to compare with (make bench installs it)", file=sys.stderr)
        return
    for problem in PROBLEMS:
        taylor, tool = Taylor(problem), Codac(problem)
        rows: list[tuple[str, Callable[[], Proof]]] = [
            ("codac, centred form, loop", tool.centred),
            ("codac, contractors, paver", tool.paved),
            (f"tlcheck, Taylor models of order {ORDER}, find", taylor.find),
            ("tlcheck, the same leaves in Arb, check", taylor.check),
            ("tlcheck, rule of stability claims, both", by_judge(problem)),
        ]
        print(f"V' < {problem.below} where {problem.inner} <= |(x, y)| <= {OUTER}")
        best = [float("inf")] * len(rows)
        proofs: list[Proof] = []
        for _ in range(max(repeat, 1)):
            proofs = []
            for k, (_, run) in enumerate(rows):
                start = time.perf_counter()
                proofs.append(run())
                best[k] = min(best[k], time.perf_counter() - start)
        for (name, _), seconds, proof in zip(rows, best, proofs, strict=True):
            counts = f"{proof.boxes:7d} boxes {proof.leaves:6d} leaves" if proof.boxes else " " * 28
            print(f"  {name:44s} {counts} {seconds:8.3f} s  {'proved' if proof.proved else 'not proved'}")
        least = min(best[:2])
        print(
            f"  codac's best / find: {least / best[2]:.1f}; / check: {least / best[3]:.1f}; / find and check: "
            f"{least / (best[2] + best[3]):.1f}",
            flush=True,
        )


if __name__ == "__main__":
    intervals(3)
