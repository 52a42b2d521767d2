"""Finding a stability certificate: the core, the tree, or a point that refutes. Nothing here is trusted.

Boxes are judged by the rules that verify them (trusted/science/stability.py), so what is found is what will be
accepted, at the same precision. A box that no rule closes is halved across the coordinate along which the fall of V
changes most; where V is piecewise linear, across the one that makes the loop least linear, for kinks cost pieces
only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace as changed

from tlcheck import __version__
from tlcheck.errors import InvalidInput
from tlcheck.forked import forked
from tlcheck.readers.bundle.manifest import (
    MANIFEST,
    ArtifactClaim,
    Producer,
)
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.files import Files, beside
from tlcheck.readers.stability import Artifact, Bounds, conditions_of, read_artifact, read_toml, tree_text
from tlcheck.trusted.arith.arb import PRECISION, upper_float, working_precision
from tlcheck.trusted.checks import Check
from tlcheck.trusted.science.closed_loop import Kinks, Point, first_order
from tlcheck.trusted.science.equilibrium import Core
from tlcheck.trusted.science.network_jets import Box, coordinates
from tlcheck.trusted.science.pieces import Pieces, TooManyPieces, forms
from tlcheck.trusted.science.stability import (
    ASYMPTOTIC,
    CORE,
    DECREASE,
    INSIDE,
    MAX_TREE_DEPTH,
    OUTSIDE,
    PIECEWISE,
    Conditions,
    Cut,
    Judge,
    Tree,
)
from tlcheck.writers.bundle import check_target, write_artifact_bundle

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
    """``tree`` is whole when ``problem`` is empty; ``points``: a point that refutes the claim."""

    conditions: Conditions
    tree: Tree
    points: tuple[Point, ...] = ()
    leaves: int = 0
    problem: str = ""


def find(
    conditions: Conditions,
    *,
    max_leaves: int = MAX_LEAVES,
    jobs: int = 1,
    precision: int = PRECISION,
    tick: Callable[[int], None] = lambda leaves: None,
) -> Found:
    """A certificate of the conditions, as far as one is found; ``tick`` is called with the number of leaves.

    ``jobs``: processes, 0 one per core.
    """
    with working_precision(precision):
        if conditions.statement == ASYMPTOTIC and conditions.core is None:
            conditions = replace(conditions, core=_core(conditions))
        return _tree(conditions, max_leaves, jobs, tick)


def _core(conditions: Conditions) -> Box | None:
    """The largest box of the region's shape, halved again and again, on which the core lemma holds."""
    c = conditions
    if not all(a < q < b for (a, b), q in zip(c.region, c.candidate.centre, strict=True)):
        return None
    share = Fraction(1)
    for _ in range(CORE_HALVINGS):
        box = tuple(
            (q - share * (q - a), q + share * (b - q))
            for (a, b), q in zip(c.region, c.candidate.centre, strict=True)
        )
        found = Core(c.loop, c.candidate, box, c.region, c.decay).checks(lambda: None)
        if all(item.holds for item in found if isinstance(item, Check)):
            return box
        share /= 2
    return None


Outcome = list[Cut] | str | Point
"""What a box is: cut, and its halves cut again; a leaf with a tag; or not worth more, for the claim is false at a point."""


def _tree(conditions: Conditions, max_leaves: int, jobs: int, tick: Callable[[int], None]) -> Found:
    """Level by level: the boxes of a level are judged in parallel."""
    judge = Judge(conditions, PIECES)
    outcomes: dict[
        int, tuple[Cut | str, int]
    ] = {}  # of each box, and which box is its left half; the next is its right
    level: list[tuple[int, Box, int]] = [(0, conditions.region, 0)]  # number, box, depth
    leaves, boxes = 0, 1
    while level:
        further: list[tuple[int, Box, int]] = []
        for (k, box, depth), outcome in zip(level, _examined(judge, level, jobs), strict=True):
            if isinstance(outcome, tuple):
                return Found(conditions, (OUTSIDE,), (outcome,), leaves, "the claim is false")
            if isinstance(outcome, str):
                outcomes[k] = outcome, 0
                leaves += 1
                tick(leaves)
                continue
            parts = [(k, box, depth)]
            for cut in outcome:
                halves: list[tuple[int, Box, int]] = []
                for number, part, deep in parts:
                    outcomes[number] = cut, boxes
                    halves += [(boxes + i, half, deep + 1) for i, half in enumerate(_halves(part, cut))]
                    boxes += 2
                parts = halves
            further += parts
        level = further
        if level and (max(depth for *_, depth in level) > MAX_TREE_DEPTH or leaves + len(level) > max_leaves):
            return Found(conditions, (OUTSIDE,), (), leaves, f"no proof within {max_leaves} leaves")
    return Found(conditions, _preorder(outcomes), (), leaves)


def _halves(box: Box, cut: Cut) -> list[Box]:
    low, high = box[cut.axis]
    at = (low + high) / 2 if cut.at is None else cut.at
    return [(*box[: cut.axis], half, *box[cut.axis + 1 :]) for half in ((low, at), (at, high))]


def _preorder(outcomes: Mapping[int, tuple[Cut | str, int]]) -> Tree:
    tree: list[Cut | str] = []
    stack = [0]
    while stack:
        outcome, left = outcomes[stack.pop()]
        tree.append(outcome)
        if isinstance(outcome, Cut):
            stack += [left + 1, left]
    return tuple(tree)


_LEVELS: list[tuple[Judge, Sequence[tuple[int, Box, int]], int]] = []
"""Of the level being judged, for the workers to inherit: the judge, the boxes, how many go together."""


def _examined(judge: Judge, boxes: Sequence[tuple[int, Box, int]], jobs: int) -> Iterator[Outcome]:
    workers = min(jobs or os.cpu_count() or 1, len(boxes) // 2)
    together = max(1, min(TOGETHER, len(boxes) // (4 * max(workers, 1))))
    _LEVELS.append((judge, boxes, together))
    try:
        chunks = -(-len(boxes) // together)
        if workers < 2 or sys.platform != "linux":
            for k in range(chunks):
                yield from _examine_inherited(k)
        else:
            for found in forked(_examine_inherited, chunks, workers, lambda: None):
                yield from found
    finally:
        _LEVELS.pop()


def _examine_inherited(k: int) -> list[Outcome]:
    judge, boxes, together = _LEVELS[-1]
    return [_examine(judge, box, depth) for _, box, depth in boxes[k * together : (k + 1) * together]]


def _examine(judge: Judge, box: Box, depth: int) -> Outcome:
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
    if core is not None and all(c <= a and b <= d for (a, b), (c, d) in zip(box, core, strict=True)):
        return CORE, []
    above, below = judge.levels(box)
    tags = [OUTSIDE] if above > 0 else []
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
    return [upper_float(abs(s)) * float(b - a) for s, (a, b) in zip(slopes, box, strict=True)]


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
    jobs: int = 0,
    tick: Callable[[int], None] = lambda leaves: None,
) -> Found:
    """Find a certificate of the claim in ``spec`` (JSON or TOML) and write it to ``target``, with the models beside it.

    Written too when a point refutes the claim: that certificate is REFUTED. Not written when nothing was found.
    Raises InvalidInput.
    """
    check_target(target)
    data = read_bytes(spec)
    artifact = read_artifact(read_toml(data, str(spec)) if spec.suffix == ".toml" else data, str(spec))
    content: dict[str, bytes] = {}
    found_beside = beside(spec)

    def kept(name: str) -> bytes:
        content[name] = found_beside.read_named(name)
        return content[name]

    try:
        conditions = conditions_of(artifact, Files(str(spec), kept))
    except InvalidInput as error:
        raise error.in_file(str(spec)) from error.__cause__
    if {ARTIFACT, MANIFEST} & set(content):
        raise InvalidInput(
            "TLC101", "a model file has a name of the bundle's own", file=str(spec), got=ARTIFACT
        )
    found = find(conditions, max_leaves=max_leaves, jobs=jobs, tick=tick)
    if not found.problem or found.points:
        core = found.conditions.core
        filled = changed(
            artifact,
            core=None if core is None else Bounds([str(a) for a, _ in core], [str(b) for _, b in core]),
            tree=tree_text(found.tree),
            points=[[str(q) for q in point] for point in found.points],
        )
        _write(target, filled, content)
    return found


def _write(target: Path, artifact: Artifact, files: dict[str, bytes]) -> None:
    files = files | {ARTIFACT: msgspec.json.format(msgspec.json.encode(artifact), indent=1) + b"\n"}
    claims = [ArtifactClaim("tlcheck.stability", ARTIFACT, name="stability")]
    write_artifact_bundle(target, files, claims, Producer("tlcheck certify-lyapunov", __version__))
