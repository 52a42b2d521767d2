"""Finding a stability certificate: the core, the tree, or a point that refutes. Nothing here is trusted.

Boxes are judged by the rules that verify them (trusted/science/stability_judge.py), so what is found is what will be
accepted, at the same precision. A box that no rule closes is halved across the coordinate along which the fall of V
changes most; where V is piecewise linear, across the one that makes the loop least linear, for kinks cost pieces
only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from math import inf, isfinite
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace as changed

from tlcheck import __version__, timer
from tlcheck.checking.pool import FORKS, processes, workers_for
from tlcheck.errors import InvalidInput
from tlcheck.prover.attack import first_points
from tlcheck.readers.bundle.manifest import (
    MANIFEST,
    ArtifactClaim,
    Producer,
)
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.own.stability import Artifact, Bounds, conditions_of, read_artifact, read_toml, tree_text
from tlcheck.trusted.arith.arb import PRECISION, upper_float, working_precision
from tlcheck.trusted.calculus.jets import coordinates
from tlcheck.trusted.calculus.kinked_jets import Kinks, first_order
from tlcheck.trusted.calculus.ranges import Box, Point
from tlcheck.trusted.calculus.written import box_text
from tlcheck.trusted.conditions import Check
from tlcheck.trusted.query import InputBox
from tlcheck.trusted.science.by_pieces import Pieces, TooManyPieces, forms
from tlcheck.trusted.science.core_lemma import Core
from tlcheck.trusted.science.stability_conditions import ASYMPTOTIC, EXACTLY, Conditions
from tlcheck.trusted.science.stability_judge import Judge
from tlcheck.trusted.science.stability_tree import (
    CORE,
    DECREASE,
    INSIDE,
    MAX_TREE_DEPTH,
    OUTSIDE,
    PIECEWISE,
    Cut,
    Tree,
)
from tlcheck.writers.bundle import check_target, files_kept, write_artifact_bundle

ARTIFACT: Final = "stability.json"
MAX_LEAVES: Final = 400_000
CORE_HALVINGS: Final = 40
TRY_EVERY: Final = 3
"""The centre of every box at these depths is tried as a point against the claim."""
PIECES: Final = 100
"""Of one box; fewer than the check allows. A box with more is halved."""
PIECEWISE_LINEAR: Final = ("linear", "relu", "leaky_relu", "abs")
HOPELESS: Final = 4.0
"""The halves of a box are not judged when the bound is off by this many times the value at the centre."""
TOGETHER: Final = 16
"""Boxes that a process is given at a time."""
MAX_ASPECT: Final = 16
"""A box is not cut into pieces longer than this, in units of the region's sides."""


@dataclass(frozen=True)
class Found:
    """``tree`` is whole when ``problem`` is empty. ``false``: the claim is, for the problem's reason; ``points``: where."""

    conditions: Conditions
    tree: Tree = (OUTSIDE,)
    points: tuple[Point, ...] = ()
    leaves: int = 0
    problem: str = ""
    false: bool = False


class _OutOfTime(Exception):
    """The time limit was reached."""


def find(
    conditions: Conditions,
    *,
    max_leaves: int = MAX_LEAVES,
    seconds: float = inf,
    jobs: int = 1,
    precision: int = PRECISION,
    tick: Callable[[int], None] = lambda leaves: None,
) -> Found:
    """A certificate of the conditions, as far as one is found; ``tick`` is called with the number of leaves.

    ``jobs``: processes, 0 one per core.
    """
    until = timer.now() + seconds

    def clock() -> None:
        if timer.now() > until:
            raise _OutOfTime

    with working_precision(precision):
        unmet = [check for check in conditions.hypotheses() if not check.holds]
        if unmet:
            failed = next((check for check in unmet if check.holds is False), unmet[0])
            return Found(conditions, problem=_not_met(conditions, failed), false=failed.holds is False)
        search = _Search(conditions, max_leaves, jobs, clock, tick)
        try:
            return search.refuted(timer.now() + seconds / 20) or search.run()
        except _OutOfTime:
            return search.stopped(f"{seconds:g} s")


def _not_met(conditions: Conditions, failed: Check) -> str:
    """Which hypothesis of the theorem is not, and what may help."""
    if failed.name != EXACTLY:
        return f"{failed.name} is not met: {failed.where}"
    bare = [f"networks[{k}]" for k, block in enumerate(conditions.loop.blocks) if not block.minus]
    hint = (
        f" ({', '.join(bare)}: `minus` is missing, so N at the equilibrium is not subtracted)" if bare else ""
    )
    return f"{failed.name}, at {failed.where}{hint}"


def _no_core(c: Conditions, box: Box, clock: Callable[[], None]) -> str:
    """Which condition of the core lemma does not hold on the box; empty when all do."""
    found = Core(c.loop, c.candidate, box, c.region, c.decay).checks(clock)
    return next((item.name for item in found if isinstance(item, Check) and not item.holds), "")


def _core(conditions: Conditions, clock: Callable[[], None]) -> tuple[Box | None, str]:
    """The largest box of the region's shape, halved again and again, on which the core lemma holds; or why there is none."""
    c, problem = conditions, ""
    share = Fraction(1)
    for _ in range(CORE_HALVINGS):
        box = tuple(
            (q - share * (q - a), q + share * (b - q))
            for (a, b), q in zip(c.region, c.candidate.centre, strict=True)
        )
        problem = _no_core(c, box, clock)
        if not problem:
            return box, ""
        share /= 2
    kinks = Kinks()
    c.loop.prepared()(coordinates(tuple((q, q) for q in c.candidate.centre)), kinks)
    kink = "; F has a kink there" if kinks.undecided else ""
    return None, f"no box around the equilibrium is a core ({problem}: not established{kink})"


MOST_FIRST = 10
"""Points that are tried before anything is cut; those of the boxes follow."""
SHORT = 1 << 10
"""Their largest denominator: a point is shown to people."""

Outcome = list[Cut] | str | Point
"""What a box is: cut, and its halves cut again; a leaf with a tag; or not worth more, for the claim is false at a point."""


class _Search:
    """The tree, level by level: the boxes of a level are judged in parallel."""

    def __init__(
        self,
        conditions: Conditions,
        max_leaves: int,
        jobs: int,
        clock: Callable[[], None],
        tick: Callable[[int], None],
    ) -> None:
        self.conditions, self.max_leaves, self.jobs = conditions, max_leaves, jobs
        self.clock, self.tick = clock, tick
        self.level: list[tuple[int, Box, int]] = [(0, conditions.region, 0)]  # number, box, depth
        self.further: list[tuple[int, Box, int]] = []
        self.done = 0  # of the level: their halves are in further
        self.leaves = 0
        self.coreless = ""

    def refuted(self, until: float) -> Found | None:
        """False at one of the points that an attack on the region starts with, tried before anything is cut and until the
        monotonic time ``until``."""
        judge = Judge(self.conditions, PIECES, self.clock)
        lower, upper = zip(*self.conditions.region, strict=True)
        points = first_points(InputBox(lower, upper))
        short = (p for p in points if all(q.denominator <= SHORT for q in p))
        for point in islice(short, MOST_FIRST):
            if timer.now() > until:
                return None
            if judge.violation(point) is not None:
                return self._refuted(judge, point)
        return None

    def run(self) -> Found:
        """Raises _OutOfTime."""
        if self.conditions.statement == ASYMPTOTIC and self.conditions.core is None:
            core, self.coreless = _core(self.conditions, self.clock)
            self.conditions = replace(self.conditions, core=core)
        elif self.conditions.core is not None and (
            problem := _no_core(self.conditions, self.conditions.core, self.clock)
        ):
            return Found(
                self.conditions, problem=f"the core that is given is none: {problem}: not established"
            )
        judge = Judge(self.conditions, PIECES, self.clock)
        tree = _Growing()
        while self.level:
            self.further, self.done = [], 0
            examined = _examined(judge, self.level, self.jobs)
            for (k, box, depth), outcome in zip(self.level, examined, strict=True):
                self.done += 1
                if isinstance(outcome, tuple):
                    return self._refuted(judge, outcome)
                if isinstance(outcome, str):
                    tree.outcomes[k] = outcome, 0
                    self.leaves += 1
                    self.tick(self.leaves)
                    continue
                self.further += tree.cut(k, box, depth, outcome)
            self.level, self.further, self.done = self.further, [], 0
            if max((depth for *_, depth in self.level), default=0) > MAX_TREE_DEPTH:
                return self.stopped(f"{MAX_TREE_DEPTH} cuts of a box")
            if self.level and self.leaves + len(self.level) > self.max_leaves:
                return self.stopped("1 leaf" if self.max_leaves == 1 else f"{self.max_leaves} leaves")
        return Found(self.conditions, tree.preorder(), (), self.leaves)

    def _refuted(self, judge: Judge, point: Point) -> Found:
        check = judge.violation(point)
        said = "a point is against it" if check is None else f"{check.name}, at {check.where}"
        return Found(self.conditions, (OUTSIDE,), (point,), self.leaves, said, false=True)

    def stopped(self, limit: str) -> Found:
        """What is left open, in words: the box nearest to the equilibrium, and what is not established there."""
        centre = self.conditions.candidate.centre

        def distance(box: Box) -> float:
            sides = zip(box, centre, self.conditions.region, strict=True)
            return sum(abs(float(((a + b) / 2 - e) / (d - c))) for (a, b), e, (c, d) in sides)

        open_ = self.level[self.done :] + self.further
        _, box, _ = min(open_, key=lambda entry: distance(entry[1]))
        _, checks = _closed(Judge(self.conditions, PIECES), box)
        failed = next((check for check in checks if not check.holds), None)
        which = "1 box is open," if len(open_) == 1 else f"{len(open_)} boxes are open, such as"
        said = f"none within {limit}; {which} {box_text(box)}"
        if failed is not None:
            known = failed.low is not None and failed.high is not None
            slack = f", slack {failed.low:.3g} to {failed.high:.3g}" if known else ""
            said += f" ({failed.name}: not established{slack})"
        said += f"; {self.coreless}" if self.coreless else ""
        return Found(self.conditions, (OUTSIDE,), (), self.leaves, said)


def _halves(box: Box, cut: Cut) -> list[Box]:
    low, high = box[cut.axis]
    at = (low + high) / 2 if cut.at is None else cut.at
    return [(*box[: cut.axis], half, *box[cut.axis + 1 :]) for half in ((low, at), (at, high))]


class _Growing:
    """A tree of boxes by number: ``outcomes`` has each one's leaf or cut, and the number of its left half; the next is its
    right half."""

    def __init__(self) -> None:
        self.outcomes: dict[int, tuple[Cut | str, int]] = {}
        self.boxes = 1

    def cut(self, k: int, box: Box, depth: int, cuts: Sequence[Cut]) -> list[tuple[int, Box, int]]:
        """The parts of box ``k`` by every cut, one after the other: (number, box, depth)."""
        parts = [(k, box, depth)]
        for cut in cuts:
            halves: list[tuple[int, Box, int]] = []
            for number, part, deep in parts:
                self.outcomes[number] = cut, self.boxes
                halves += [(self.boxes + i, half, deep + 1) for i, half in enumerate(_halves(part, cut))]
                self.boxes += 2
            parts = halves
        return parts

    def preorder(self) -> Tree:
        tree: list[Cut | str] = []
        stack = [0]
        while stack:
            outcome, left = self.outcomes[stack.pop()]
            tree.append(outcome)
            if isinstance(outcome, Cut):
                stack += [left + 1, left]
        return tuple(tree)


def _examined(judge: Judge, boxes: Sequence[tuple[int, Box, int]], jobs: int) -> Iterator[Outcome]:
    """The boxes' outcomes in their order. Workers inherit judge and boxes."""
    workers = workers_for(jobs, len(boxes) // 2)
    together = max(1, min(TOGETHER, len(boxes) // (4 * max(workers, 1))))
    starts = range(0, len(boxes), together)

    def examine(start: int) -> list[Outcome]:
        return [_examine(judge, box, depth) for _, box, depth in boxes[start : start + together]]

    if workers < 2 or not FORKS:
        for start in starts:
            yield from examine(start)
        return
    with processes(examine, workers) as pool:
        for found in pool.in_order(starts, judge.tick):
            yield from found


def _examine(judge: Judge, box: Box, depth: int) -> Outcome:
    judge.tick()
    cut = _around(judge.of.core, box)
    if cut is not None:
        return [cut]
    tag, checks = _closed(judge, box)
    if tag is not None:
        return tag
    for point in judge.suspects(box) if depth % TRY_EVERY == 0 else ():
        if judge.violation(point) is not None:
            return point
    return [Cut(axis) for axis in _axes(judge, box, checks)]


def _around(core: Box | None, box: Box) -> Cut | None:
    """The next cut along a face of the core that crosses a box that meets its interior; None when there is none."""
    if core is None or not all(a < d and c < b for (a, b), (c, d) in zip(box, core, strict=True)):
        return None
    for axis, ((a, b), (c, d)) in enumerate(zip(box, core, strict=True)):
        if a < c < b:
            return Cut(axis, c)
        if a < d < b:
            return Cut(axis, d)
    return None


def _closed(judge: Judge, box: Box) -> tuple[str | None, list[Check]]:
    """The tag that holds, if one does; else the checks of the last that was tried."""
    core = judge.of.core
    tags = []
    if core is not None and all(c <= a and b <= d for (a, b), (c, d) in zip(box, core, strict=True)):
        tags.append(CORE)
    above, below = judge.levels(box)
    if above > 0:
        tags.append(OUTSIDE)
    if _piecewise_linear(judge.of):
        tags.append(PIECEWISE)
    else:
        tags.append(DECREASE)
        if judge.of.statement != ASYMPTOTIC and (below < 0 or judge.of.loop.discrete):
            tags.append(INSIDE)
    checks: list[Check] = []
    for tag in tags:
        checks = list(judge.leaf(box, tag))
        if all(check.holds for check in checks):
            return tag, checks
    return None, checks


def _piecewise_linear(conditions: Conditions) -> bool:
    """V is, in discrete time, and of few enough states for pieces to be found."""
    v = conditions.candidate
    linear = v.network is None or (v.network.activation in PIECEWISE_LINEAR and v.outer in PIECEWISE_LINEAR)
    return linear and not v.quadratic and conditions.loop.discrete and len(conditions.region) <= 2


def _axes(judge: Judge, box: Box, checks: Sequence[Check]) -> list[int]:
    """The coordinate whose halving serves best: most of what is not linear, or of the change of V's fall; the longest
    one when that is not known, or when there are too many pieces. Another for the halves when they would fail as
    well."""
    sides = [float((b - a) / (d - c)) for (a, b), (c, d) in zip(box, judge.of.region, strict=True)]
    failed = [check for check in checks if not check.holds]
    if _piecewise_linear(judge.of):
        crowded = any(check.low is None for check in failed)
        change = None if crowded else _curvature(judge, box)
    else:
        change = _change(judge, box)
    if change is None or not all(map(isfinite, change)) or not any(change):
        return [sides.index(max(sides))]
    axes: list[int] = []
    hopeless = any(
        check.low is not None
        and check.high is not None
        and check.high - check.low > HOPELESS * check.high > 0
        for check in failed
    )
    for _ in range(1 + hopeless):
        best = change.index(max(change))
        axis = best if sides[best] * MAX_ASPECT >= max(sides) else sides.index(max(sides))
        axes.append(axis)
        sides[axis] /= 2
        change[axis] /= 2
    return axes


def _change(judge: Judge, box: Box) -> list[float]:
    """How much the fall of V changes along each coordinate."""
    cell = coordinates(box)
    x = cell if not judge.of.loop.discrete else [first_order(jet) for jet in cell]
    slopes = judge.fall(x, Kinks()).gradient
    return [
        upper_float(abs(s)) * float(min(b - a, Fraction(10**300)))
        for s, (a, b) in zip(slopes, box, strict=True)
    ]


def _curvature(judge: Judge, box: Box) -> list[float] | None:
    """How much less F differs from a linear function, on some piece, when that coordinate is halved."""

    def rest(box: Box) -> float:
        pieces = Pieces(len(box))
        return sum(
            float(jet.value.rad()) for _ in islice(pieces, 1) for jet in judge.f(forms(box, 0), pieces)
        )

    try:
        whole, found = rest(box), []
        for k, (a, b) in enumerate(box):
            quarter = (b - a) / 4
            found.append(whole - rest((*box[:k], (a + quarter, b - quarter), *box[k + 1 :])))
    except TooManyPieces:
        return None
    return found


def certify(
    spec: Path,
    target: Path,
    *,
    max_leaves: int = MAX_LEAVES,
    seconds: float = inf,
    jobs: int = 0,
    tick: Callable[[int], None] = lambda leaves: None,
) -> Found:
    """Find a certificate of the claim in ``spec`` (JSON or TOML) and write it to ``target``, with the models beside it.

    Written too when the claim is false: that certificate is REFUTED. Not written when nothing was found.
    Raises InvalidInput.
    """
    check_target(target)
    artifact, conditions, content = _read(spec)
    found = find(conditions, max_leaves=max_leaves, seconds=seconds, jobs=jobs, tick=tick)
    if not found.problem or found.false:
        core = found.conditions.core
        filled = changed(
            artifact,
            core=None if core is None else Bounds([str(a) for a, _ in core], [str(b) for _, b in core]),
            tree=tree_text(found.tree),
            points=[[str(q) for q in point] for point in found.points],
        )
        _write(target, filled, content)
    return found


def _read(spec: Path) -> tuple[Artifact, Conditions, dict[str, bytes]]:
    """The claim, what it says, and the content of the files that it names."""
    data = read_bytes(spec)
    artifact = read_artifact(read_toml(data, str(spec)) if spec.suffix == ".toml" else data, str(spec))
    files, content = files_kept(spec)
    try:
        conditions = conditions_of(artifact, files)
    except InvalidInput as error:
        raise error.in_file(str(spec)) from error.__cause__
    if {ARTIFACT, MANIFEST} & set(content):
        raise InvalidInput(
            "TLC101", "a model file has a name of the bundle's own", file=str(spec), got=ARTIFACT
        )
    return artifact, conditions, content


def _write(target: Path, artifact: Artifact, files: dict[str, bytes]) -> None:
    files = files | {ARTIFACT: msgspec.json.format(msgspec.json.encode(artifact), indent=1) + b"\n"}
    claims = [ArtifactClaim("tlcheck.stability", ARTIFACT, name="stability")]
    write_artifact_bundle(target, files, claims, Producer("tlcheck certify-lyapunov", __version__))
