"""Proofs of the corpus's true claims: found by tlcheck's prover, kept in ``proofs.safetensors``. Untrusted, as every producer.

A search in float32 takes other turns on other machines, so what it found is kept: the corpus comes out the same everywhere.
``corpus.py --prove`` searches anew (and gives other proofs, so another corpus); every proof is decided by the checker before it
is kept.

``NEURONS`` and ``INPUTS`` split those; ``BOUNDS`` writes down slopes for intermediate bounds too, before it splits neurons;
``LINES`` splits nothing and writes down one pair of lines per S-shaped neuron; ``BARE`` says no more than weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import floor, isfinite, ldexp
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.checking.deadline import Deadline
from tlcheck.checking.schedule import planned, run_leaves
from tlcheck.prover.engine import Engine, never
from tlcheck.prover.input_search import InputSearch
from tlcheck.prover.region_work import is_empty
from tlcheck.prover.staged_neurons import StagedNeurons
from tlcheck.prover.tree import Branch, Evidence, Frame, guidance_of
from tlcheck.readers.bundle.arrays import open_arrays
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.guidance import Guidance, Leaves, SharedSlopes
from tlcheck.trusted.ops.s_shaped import Sigmoid, Tanh
from tlcheck.trusted.plan import Plan, Settings, root_bounds
from tlcheck.trusted.query import InputBox
from tlcheck.writers.bundle import guidance_arrays, pack_arrays

Array = NDArray[Any]

NEURONS, INPUTS, BOUNDS, LINES, BARE = "neurons", "inputs", "bounds", "lines", "bare"

SETTINGS: Final = Settings(arith="arb")
KEPT: Final = Path(__file__).with_name("proofs.safetensors")
NODES: Final = "nodes"
PER_LEAF: Final = "per_leaf_bounds"
BITS: Final = 10
"""Slopes and multipliers are multiples of 2^-10: fewer digits than a float32 has, as good a proof."""
CLAIM_BITS: Final = 20
"""Claimed margins are multiples of 2^-20."""


class NoProof(Exception):
    """The prover gave up, or the checker did: the case is not what it should be."""


@dataclass(frozen=True, eq=False)
class Found:
    """A proof as a bundle has it: names of nodes, and arrays without a claim's prefix."""

    nodes: Sequence[str]
    arrays: Mapping[str, Array]
    per_leaf_bounds: bool


class Proofs:
    """By a digest of everything that a proof depends on. ``anew``: search for those that are asked for."""

    def __init__(self, kept: Mapping[str, Array], *, anew: bool = False) -> None:
        self.kept, self.anew = dict(kept), anew
        self.used: set[str] = set()

    def of(self, claim: UnsatClaim, files: Sequence[bytes], kind: str) -> Found:
        """Raises NoProof."""
        key = hashlib.sha256(b"".join(hashlib.sha256(f).digest() for f in (*files, kind.encode())))
        stem = key.hexdigest()[:16] + "/"
        if self.anew and stem not in self.used:
            found = found_by(prove(claim, kind), claim)
            self.kept = {name: a for name, a in self.kept.items() if not name.startswith(stem)}
            self.kept |= {stem + name: array for name, array in found.items()}
        self.used.add(stem)
        arrays = {name[len(stem) :]: a for name, a in sorted(self.kept.items()) if name.startswith(stem)}
        if not arrays:
            raise NoProof("no proof of this claim is kept: run corpus.py --prove")
        nodes = bytes(arrays.pop(NODES)).decode().split("\n")
        per_leaf = bool(arrays.pop(PER_LEAF)[0])
        return Found([name for name in nodes if name], arrays, per_leaf)

    def packed(self) -> bytes:
        """A .safetensors file of those that were asked for."""
        return pack_arrays({name: a for name, a in self.kept.items() if name[:17] in self.used})


@cache
def proofs() -> Proofs:
    """Those of ``proofs.safetensors``."""
    return Proofs(dict(_read(KEPT.read_bytes())) if KEPT.is_file() else {})


def _read(data: bytes) -> Iterator[tuple[str, Array]]:
    file = open_arrays(memoryview(data), KEPT.name)
    for name, entry in file.entries.items():
        yield name, file.get(name, tuple(entry.shape), (entry.dtype,), allow_nan=True)


def found_by(guidance: Guidance, claim: UnsatClaim) -> dict[str, Array]:
    nodes, arrays = guidance_arrays(guidance, claim.graph)
    return {
        **arrays,
        NODES: np.frombuffer("\n".join(nodes).encode() or b"\n", np.uint8),
        PER_LEAF: np.array([guidance.per_leaf_bounds], np.uint8),
    }


# The search


def prove(claim: UnsatClaim, kind: str = NEURONS) -> Guidance:
    """Guidance that proves ``claim``, decided by the checker. Raises NoProof."""
    roots = [Branch(d) for d in range(len(claim.query.disjuncts))]
    frames = [Frame()] * len(roots)
    with np.errstate(all="ignore"):  # floats of a search may be anything
        for members in _regions(claim):
            frame = _closed(claim, [roots[d] for d in members], kind)
            for d in members:
                frames[d] = frame
    for leaf in (leaf for root in roots for leaf in root.leaves()):
        leaf.evidence = leaf.evidence and _rounded(leaf.evidence)
    return guidance(claim, roots, frames, _s_shaped(claim) if kind == LINES else {})


def _regions(claim: UnsatClaim) -> list[list[int]]:
    """Disjuncts that are not empty, by box."""
    found: dict[InputBox, list[int]] = {}
    for d, disjunct in enumerate(claim.query.disjuncts):
        if not is_empty(disjunct):
            found.setdefault(disjunct.box, []).append(d)
    return list(found.values())


def _closed(claim: UnsatClaim, roots: Sequence[Branch], kind: str) -> Frame:
    """Close the trees over one box; their frame."""
    if kind in (LINES, BARE):
        for root in roots:
            every = range(len(claim.query.disjuncts[root.disjunct].constraints))
            root.evidence = Evidence(dict.fromkeys(every, 1.0), float("nan"))
        return Frame()
    engine, disjuncts = Engine(claim.graph, np.float32), [root.disjunct for root in roots]
    search = (InputSearch if kind == INPUTS else StagedNeurons)(engine, claim, disjuncts)
    if kind == BOUNDS:
        search.attempt([], never)
    left = search.close(roots, never)
    if left:
        raise NoProof(f"{len(left)} leaves are open")
    return search.frame


def _rounded(evidence: Evidence) -> Evidence:
    """The same with numbers of few digits."""

    def near(x: Any) -> Any:
        return np.ldexp(np.rint(np.ldexp(np.asarray(x, np.float64), BITS)), -BITS)

    return Evidence(
        {k: float(near(w)) for k, w in evidence.weights.items()},
        evidence.bound,
        {a: near(s).astype(np.float32) for a, s in evidence.slopes.items()},
        {x: float(near(b)) for x, b in evidence.multipliers.items()},
    )


def _s_shaped(claim: UnsatClaim) -> dict[int, SharedSlopes]:
    """One pair of slopes per S-shaped neuron, over the bounds of the one region, layer by layer."""
    found: dict[int, SharedSlopes] = {}
    bare = guidance_of([Branch(d) for d in range(len(claim.query.disjuncts))], [Frame()])
    for k, node in enumerate(claim.graph.nodes):
        if isinstance(node.op, Sigmoid | Tanh):
            plan = Plan(claim, replace(bare, shared_slopes=found), SETTINGS)
            box = root_bounds(plan, 0).boxes[node.inputs[0]]
            lower, upper = (
                np.ldexp(
                    np.rint(np.ldexp(node.op.good_slope(box.lower[0], box.upper[0], below), BITS)), -BITS
                )
                for below in (True, False)
            )
            found = {**found, k: SharedSlopes(lower, upper)}
    return found


def guidance(
    claim: UnsatClaim,
    roots: Sequence[Branch],
    frames: Sequence[Frame],
    lines: Mapping[int, SharedSlopes] = MappingProxyType({}),
) -> Guidance:
    """Of finished trees; with the margins that the checker proves for the leaves. Raises NoProof.

    Each leaf lists its whole path, so that cases can break any of it, and an unordered list can be made of it.
    """
    found = guidance_of(roots, frames)
    leaves = _with_paths(found.leaves, [leaf for root in roots for leaf in root.leaves()])
    found = replace(found, leaves=leaves, shared_slopes=lines)
    plan = planned(claim, found, SETTINGS)
    claimed = np.full(leaves.count, np.nan)
    for outcome in run_leaves(plan, 1, Deadline(None, None), None, None).outcomes:
        if not outcome.certified:
            raise NoProof(f"a leaf with margin {outcome.margin}")
        if isfinite(outcome.margin):
            number = plan.leaves[outcome.rank].guidance
            claimed[number] = ldexp(floor(ldexp(outcome.margin, CLAIM_BITS)), -CLAIM_BITS)
    return replace(found, leaves=replace(leaves, claimed=claimed))


def _with_paths(leaves: Leaves, branches: Sequence[Branch]) -> Leaves:
    given = [leaf.evidence.multipliers if leaf.evidence else {} for leaf in branches]
    flat = [(x, own.get(x, 0.0)) for leaf, own in zip(branches, given, strict=True) for x in leaf.path]
    return replace(
        leaves,
        split_ptr=np.cumsum([0, *(len(leaf.path) for leaf in branches)]).astype(np.int64),
        split_node=np.array([x.node for x, _ in flat], np.int64),
        split_index=np.array([x.index for x, _ in flat], np.int64),
        split_side=np.array([x.side for x, _ in flat], np.int64),
        split_point=np.array([x.point for x, _ in flat], np.float64),
        split_beta=np.array([beta for _, beta in flat], np.float64),
    )
