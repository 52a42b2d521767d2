"""Hints from proofs that tlcheck reads itself, bundles and α,β-CROWN dumps: their trees. Slopes and multipliers are not used."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_TREE_DEPTH
from tlcheck.options import Options
from tlcheck.readers.bundle.read import load_bundle
from tlcheck.readers.formats.abcrown import read_guidance, read_manifest
from tlcheck.readers.hints.leaves import Hints, Leaves
from tlcheck.readers.hints.subject import Subject
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.cover import BadTree, leaves
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import Guidance


def read_dump(folder: Path, subject: Subject) -> Hints:
    """Raises InvalidInput."""
    manifest = read_manifest(folder)
    guidance = read_guidance(folder, manifest, subject.graph, subject.query)
    return hints_of(guidance, subject, "an α,β-CROWN dump")


def read_proofs(path: Path, subject: Subject, options: Options) -> Hints:
    """Of the bundle's claims the first about a network like this one. ``options.model``, ``options.property``: for files that the
    bundle has no copy of. Raises InvalidInput."""
    try:
        claims = list(load_bundle(path, None, None))
    except InvalidInput as error:
        if error.code != "TLC402":
            raise
        claims = list(load_bundle(path, options.model, options.property))
    for item in claims:
        if (
            isinstance(item.claim, UnsatClaim)
            and item.guidance is not None
            and _alike(item.claim.graph, subject.graph)
        ):
            return hints_of(item.guidance, subject, "a tlcheck bundle")
    raise InvalidInput("TLC104", "no proof of unsat about a network like this one in it", file=str(path))


def _alike(a: Graph, b: Graph) -> bool:
    return [node.shape for node in a.nodes] == [node.shape for node in b.nodes]


def hints_of(guidance: Guidance, subject: Subject, source: str) -> Hints:
    """The leaves of its trees. A tree that is none ends where it breaks."""
    sizes = [node.size for node in subject.graph.nodes]
    found: dict[int, Leaves] = {}
    passed: Counter[str] = Counter()
    try:
        for leaf in leaves(guidance.tree, sizes, guidance.leaves.count, MAX_TREE_DEPTH):
            if leaf.disjunct < len(subject.query.disjuncts):
                found.setdefault(leaf.disjunct, Leaves()).add(
                    (x.node, x.index, x.side, x.point) for x in leaf.path
                )
    except BadTree as error:
        passed[f"broken tree: {error}"] += 1
    return Hints(source, {d: part.list() for d, part in found.items()}, passed)
