"""Finding a stability certificate: the core, the tree, or a point that refutes. Nothing here is trusted.

Boxes are judged by the rules that verify them (trusted/science/stability.py), so what is found is what will be
accepted, at the same
precision. A box that no rule closes is halved across the coordinate along which the fall of V changes most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace as changed

from tlcheck import __version__
from tlcheck.errors import InvalidInput
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
from tlcheck.trusted.science.stability import (
    ASYMPTOTIC,
    CORE,
    DECREASE,
    INSIDE,
    MAX_TREE_DEPTH,
    OUTSIDE,
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
    precision: int = PRECISION,
    tick: Callable[[int], None] = lambda leaves: None,
) -> Found:
    """A certificate of the conditions, as far as one is found; ``tick`` is called with the number of leaves."""
    with working_precision(precision):
        if conditions.statement == ASYMPTOTIC and conditions.core is None:
            conditions = replace(conditions, core=_core(conditions))
        return _tree(conditions, max_leaves, tick)


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


def _tree(conditions: Conditions, max_leaves: int, tick: Callable[[int], None]) -> Found:
    judge = Judge(conditions)
    tree: list[Cut | str] = []
    leaves = 0
    stack: list[tuple[Box, int]] = [(conditions.region, 0)]
    while stack:
        box, depth = stack.pop()
        cut = _around(conditions.core, box)
        tag = None if cut is not None else _closed(judge, box)
        if tag is not None:
            tree.append(tag)
            leaves += 1
            tick(leaves)
            continue
        if cut is None:
            suspects = judge.suspects(box) if depth % TRY_EVERY == 0 else []
            point = next((p for p in suspects if judge.violation(p) is not None), None)
            if point is not None:
                return Found(conditions, (OUTSIDE,), (point,), leaves, "the claim is false")
            cut = Cut(_axis(judge, box))
        if depth >= MAX_TREE_DEPTH or leaves + len(stack) >= max_leaves:
            return Found(conditions, (OUTSIDE,), (), leaves, f"no proof within {max_leaves} leaves")
        tree.append(cut)
        low, high = box[cut.axis]
        at = (low + high) / 2 if cut.at is None else cut.at
        stack += [
            ((*box[: cut.axis], part, *box[cut.axis + 1 :]), depth + 1) for part in ((at, high), (low, at))
        ]
    return Found(conditions, tuple(tree), (), leaves)


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


def _closed(judge: Judge, box: Box) -> str | None:
    core = judge.of.core
    if core is not None and all(c <= a and b <= d for (a, b), (c, d) in zip(box, core, strict=True)):
        return CORE
    above, below = judge.levels(box)
    tags = [OUTSIDE, DECREASE] if above > 0 else [DECREASE]
    if judge.of.statement != ASYMPTOTIC and (below < 0 or judge.of.loop.discrete):
        tags.append(INSIDE)
    return next((tag for tag in tags if all(check.holds for check in judge.leaf(box, tag))), None)


def _axis(judge: Judge, box: Box) -> int:
    """The coordinate along which the fall of V, or V itself, changes most; the longest one when that is not known."""
    sides = [(b - a) / (d - c) for (a, b), (c, d) in zip(box, judge.of.region, strict=True)]
    longest = max(range(len(box)), key=lambda i: sides[i])
    cell = coordinates(box)
    x = cell if not judge.of.loop.discrete else [first_order(jet) for jet in cell]
    slopes = judge.fall(x, Kinks()).gradient
    if not all(s.is_finite() for s in slopes):
        return longest
    change = [upper_float(abs(s)) * float(b - a) for s, (a, b) in zip(slopes, box, strict=True)]
    best = max(range(len(box)), key=lambda i: change[i])
    return best if sides[best] * MAX_ASPECT >= sides[longest] else longest


def certify(
    spec: Path,
    target: Path,
    *,
    max_leaves: int = MAX_LEAVES,
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
    found = find(conditions, max_leaves=max_leaves, tick=tick)
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
