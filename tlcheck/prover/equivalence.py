"""Two networks and a box: how far apart their outputs can be. A proof that it is no more than so much, or a point where it is.

    joint graph -> bounds at the root, one leaf a place of the outputs and sign -> (where asked, and not enough) splits

Nothing it says is believed: a proof is checked as any other, and a point is evaluated exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import inf, isfinite, nextafter
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck import __version__, timer
from tlcheck.checking.deadline import Deadline
from tlcheck.checking.schedule import planned, run_leaves
from tlcheck.prover.attack import float_near
from tlcheck.prover.engine import Engine
from tlcheck.prover.prover import Limits, Proof, Prover, Standing, Unknown, Witness
from tlcheck.prover.refute import Refuter, engine_of, exactly
from tlcheck.prover.regions import clipped
from tlcheck.prover.tree import whole_boxes
from tlcheck.readers.bundle.manifest import Producer
from tlcheck.readers.bundle.pairs import apart, boxes_of
from tlcheck.readers.bytes import gunzip_if_packed, read_stored_bytes
from tlcheck.readers.data_files import beside
from tlcheck.readers.onnx import read_model
from tlcheck.readers.onnx.external import whole_model
from tlcheck.readers.vnnlib.read import read_query
from tlcheck.readers.vnnlib.two_models import joined
from tlcheck.trusted.arith.arb import PRECISION, Arb, lower_float, working_precision
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.evaluate import Evaluator, Undecided
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import Guidance
from tlcheck.trusted.plan import Settings
from tlcheck.trusted.query import InputBox, Query
from tlcheck.writers.bundle import ModelOut, Pair, write_pair

Floats = NDArray[np.float64]
Point = tuple[Fraction, ...]

STARTS: Final = 32
STEPS: Final = 30
SHRINK: Final = 0.85
LEAST: Final = 1e-30
"""A bound, of networks that are the same."""
DIGITS: Final = 3
"""Of a bound that is chosen: the proved one, rounded up."""
ROOM: Final = 1 + 2.0**-20
"""Of that, for what another order of rounding may take."""


@dataclass(frozen=True, eq=False)
class Models:
    """Both networks and the box, as read. ``box``: the text of the property whose boxes are meant. ``real``: of the
    functions, not of executions."""

    model: ModelOut
    other: ModelOut
    box: bytes
    boxes: tuple[InputBox, ...]
    real: bool = True

    @staticmethod
    def load(a: Path, b: Path, box: Callable[[Graph], bytes], *, real: bool = True) -> Models:
        """``box`` gives the property of the first network. Raises InvalidInput."""
        first, second = _loaded(a), _loaded(b)
        text = box(first.graph)
        region = read_query(gunzip_if_packed(text, file="--box"), first.graph, file="--box")
        return Models(first, second, text, tuple(boxes_of(region)), real)

    @cached_property
    def joint(self) -> Graph:
        """Raises InvalidInput TLC303: the networks do not fit."""
        return joined(self.model.graph, self.other.graph, self._names, shared=self.real)

    @cached_property
    def plain(self) -> Graph:
        """Side by side, for points."""
        return joined(self.model.graph, self.other.graph, self._names, aligned=False)

    @property
    def _names(self) -> tuple[str, str]:
        return self.model.name, self.other.name

    @property
    def outputs(self) -> int:
        return self.model.graph.n_outputs

    def query(self, within: Fraction) -> Query:
        return apart(self.outputs, self.boxes, within)

    def write(self, target: Path, within: Fraction, evidence: Guidance | Point) -> None:
        pair = Pair(self.model, self.other, self.joint, self.box, within, "equiv")
        write_pair(target, pair, evidence, Producer("tlcheck equiv", __version__))


def _loaded(path: Path) -> ModelOut:
    stored = read_stored_bytes(path)
    whole = whole_model(gunzip_if_packed(stored, file=str(path)), beside(path.parent, path), file=str(path))
    graph = read_model(whole.content, file=str(path))
    return ModelOut(path.name.encode("utf-8", "replace").decode(), stored, graph, whole.files, whole.sha256)


@dataclass(frozen=True)
class Farthest:
    """A point, exactly, and a proved lower bound of the largest difference of the outputs there, at ``output``."""

    point: Point
    difference: float
    output: int


@dataclass(frozen=True, eq=False)
class Outcome:
    """``within`` and ``guidance``: a proof for the difference ``within``; ``witness``: a point where it is more.

    ``proved``: the bound of the difference at the root (inf: none); ``farthest``: the largest difference found; ``why``: what
    ended the search, where there is neither.
    """

    within: Fraction | None
    proved: float
    farthest: Farthest | None
    guidance: Guidance | None = None
    witness: Point | None = None
    leaves: int = 0
    why: str = ""


class Search:
    """For models; ``tell`` is told where it stands. Raises NoRelaxation and NotDeployable as a plan does."""

    def __init__(
        self, models: Models, limits: Limits, tell: Callable[[Standing], None] | None = None
    ) -> None:
        self.models, self.limits, self.tell = models, limits, tell
        self.until = timer.now() + limits.seconds

    def answer(self, within: Fraction | None) -> Outcome:
        """``within`` None: a bound is chosen, as near as the root proves."""
        with np.errstate(all="ignore"):
            far = self.farthest()
            if within is not None and far is not None and far.difference > within:
                return Outcome(within, inf, far, witness=far.point)
            asked = Fraction(1) if within is None else within
            guidance = whole_boxes(len(self.models.query(asked).disjuncts))
            margins = self._margins(asked, guidance)
            proved = max(
                (upper_near(asked - Fraction(m)) if isfinite(m) else inf for m in margins), default=inf
            )
            if within is None:
                return self._chosen(proved, far)
            if margins and min(margins) > 0:
                return Outcome(within, proved, far, guidance, leaves=guidance.leaves.count)
            return self._searched(within, proved, far)

    def _margins(self, within: Fraction, guidance: Guidance) -> list[float]:
        """A proved lower bound of each leaf's margin; none where time or memory ended it."""
        claim = UnsatClaim(self.models.joint, self.models.query(within))
        plan = planned(claim, guidance, Settings(deployed=self.limits.deployed))
        left = None if self.until == inf else max(0.0, self.until - timer.now())
        run = run_leaves(plan, self.limits.jobs, Deadline(left, self.limits.memory_mib), None, None)
        return [] if run.stopped else [o.margin for o in run.outcomes]

    def _chosen(self, proved: float, far: Farthest | None) -> Outcome:
        if not isfinite(proved):
            return Outcome(
                None,
                proved,
                far,
                why="no finite bound of the difference at the root: give --within to search further",
            )
        within = rounded_up(proved * ROOM)
        guidance = whole_boxes(len(self.models.query(within).disjuncts))
        return Outcome(within, proved, far, guidance, leaves=guidance.leaves.count)

    def _searched(self, within: Fraction, proved: float, far: Farthest | None) -> Outcome:
        """With splits, and more attacks."""
        claim = UnsatClaim(self.models.joint, self.models.query(within))
        attack = Refuter(self.models.plain, claim.query, None, None, self.limits.seed)
        left = max(0.0, self.until - timer.now())
        limits = Limits(
            seconds=left, check_seconds=left, memory_mib=self.limits.memory_mib, jobs=self.limits.jobs,
            seed=self.limits.seed, deployed=self.limits.deployed,
        )  # fmt: skip
        found = Prover(claim, limits, None, self.tell, attack=attack, floats=np.float64).prove()
        match found:
            case Proof():
                return Outcome(within, proved, far, found.guidance, leaves=found.leaves)
            case Witness():
                return Outcome(within, proved, self.at(found.point) or far, witness=found.point)
            case Unknown():
                return Outcome(
                    within,
                    proved,
                    far,
                    why=f"{found.why}: {found.open} of {found.open + found.closed} leaves open",
                )

    # points

    def farthest(self) -> Farthest | None:
        """The point with the largest difference that is found: ascent along its gradient, from middles, corners and samples."""
        engine = engine_of(self.models.plain)
        found = []
        for box in self.models.boxes[:STARTS]:
            starts = _starts(box, self.limits.seed)
            best = starts[0] if engine is None else _ascent(engine, starts, box)
            found.append(self.at(clipped(box, exactly(best.astype(np.float32)))))
        return max((f for f in found if f is not None), key=lambda f: f.difference, default=None)

    @cached_property
    def _evaluator(self) -> Evaluator:
        return Evaluator(self.models.plain)

    def at(self, point: Point) -> Farthest | None:
        """Exactly; None where a value is not decided."""
        sizes = [self.models.plain.nodes[i].size for i in self.models.plain.inputs]
        ends = np.cumsum([0, *sizes]).tolist()
        inputs = [point[a:b] for a, b in pairwise(ends)]
        with working_precision(PRECISION):
            try:
                values = self._evaluator.evaluate(inputs).outputs
            except Undecided:
                return None
            n = self.models.outputs
            found = [_magnitude(y - z) for y, z in zip(values[:n], values[n:], strict=True)]
        worst = int(np.argmax(found))
        return Farthest(point, found[worst], worst)


def _magnitude(x: Arb) -> float:
    """A lower bound of |x|."""
    return max(0.0, lower_float(x), lower_float(-x)) if x.is_finite() else 0.0


def _starts(box: InputBox, seed: int) -> Floats:
    """(P, inputs): the middle, both extreme corners, corners and points at random."""
    low, high = (np.array([float_near(x) for x in end]) for end in (box.lower, box.upper))
    rng = np.random.default_rng(seed)
    share = rng.random((STARTS // 2, 1))  # of lower ends: a corner's own
    corners = np.where(rng.random((STARTS // 2, low.size)) < share, low, high)
    inside = low + rng.random((STARTS // 2, low.size)) * (high - low)
    return np.concatenate([[(low + high) / 2, low, high], corners, inside])


def _ascent(engine: Engine, starts: Floats, box: InputBox) -> Floats:
    """The best point: each start goes up the gradient of its largest difference, in steps by signs that shrink."""
    low, high = (np.array([float_near(x) for x in end]) for end in (box.lower, box.upper))
    points, step = starts, (high - low) / 4
    best, value = points[0], -inf
    for _ in range(STEPS):
        values = engine.values(points)
        outputs = engine.outputs(values)
        n = outputs.shape[1] // 2
        gap = outputs[:, :n] - outputs[:, n:]
        at = np.nan_to_num(np.abs(gap)).argmax(axis=1)
        rows = np.arange(len(points))
        now = np.abs(gap[rows, at])
        if now.max() > value:
            best, value = points[now.argmax()].copy(), float(now.max())
        pull = np.zeros(outputs.shape)
        pull[rows, at] = np.sign(gap[rows, at])
        pull[rows, n + at] = -pull[rows, at]
        points = np.clip(points + step * np.sign(engine.gradient(values, pull)), low, high)
        step = step * SHRINK
    return np.asarray(best)


def upper_near(x: Fraction) -> float:
    """A double that is not below ``x``."""
    near = float_near(x)
    return near if Fraction(near) >= x else nextafter(near, inf)


def rounded_up(x: float) -> Fraction:
    """The least decimal of DIGITS digits that is not below ``x``, and LEAST at least."""
    x = max(x, LEAST)
    scale = Fraction(10) ** (DIGITS - 1 - int(np.floor(np.log10(x))))
    scaled = Fraction(x) * scale
    return Fraction(-((-scaled.numerator) // scaled.denominator)) / scale
