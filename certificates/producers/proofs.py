"""Proofs that several groups start from, and their leaves in another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from math import nan
from types import MappingProxyType

import numpy as np
from digits import (
    P,
    bundle_of,
    digits_box,
    label,
    model_file,
    robust,
)
from packing import Bundle
from properties import beats, vnnlib1, vnnlib2
from prove import INPUTS, guidance

from tlcheck.prover.tree import Branch, Evidence, Frame
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.cover import Literal, leaves
from tlcheck.trusted.guidance import LEAF, Tree

F = Fraction


@cache
def split_proof() -> Bundle:
    """Neuron splits with multipliers on the residual net: some 15 leaves over 9 disjuncts."""
    return robust("residual", 2, "0.06")


@cache
def one_disjunct() -> Bundle:
    """Neuron splits on the residual net, one disjunct, so that every leaf is of one tree."""
    return bundle_of("residual", vnnlib1(10, digits_box(2, "0.0675"), [beats(label(2), 8, F(0))]))


@cache
def teeth() -> Bundle:
    """The sawtooth stays at most 1 on [0, 1]: cut at the multiples of 1/16."""
    return bundle_of("sawtooth", vnnlib1(1, [(F(0), F(1))], ["(>= Y_0 1.015625)"]), INPUTS)


@cache
def dominates() -> Bundle:
    """max(x0, x1) >= x0: a constraint that mixes input and output; the last of three leaves needs its multiplier."""
    prop = vnnlib1(1, [(F(-1), F(1))] * 2, ["(<= (+ Y_0 0.125) X_0)"])
    bundle = Bundle({"model.onnx": model_file("maximum"), P: prop})
    z = bundle.graph().names["first"]
    first, second = Literal(z, 2, -1, 0.0), Literal(z, 1, -1, 0.0)
    paths = [(replace(first, side=1),), (first, replace(second, side=1)), (first, second)]
    return by_hand(bundle, paths, "relu", [1.0, 0.0, 0.0], {second: 1.0})


def by_hand(
    bundle: Bundle,
    paths: Sequence[tuple[Literal, ...]],
    relu: str = "",
    slopes: Sequence[float] = (),
    multipliers: Mapping[Literal, float] = MappingProxyType({}),
) -> Bundle:
    """With a claim about one disjunct of one constraint: a tree, the same slopes in each leaf, multipliers where they fit."""
    root, graph = Branch(0), bundle.graph()
    own = {graph.names[relu]: np.array(slopes)} if relu else {}
    for path in paths:
        leaf = root.grown(path)
        if leaf is None:
            raise ValueError("paths of no tree")
        leaf.evidence = Evidence({0: 1.0}, nan, own, {x: b for x, b in multipliers.items() if x in path})
    frame = Frame({node: np.arange(a.size) for node, a in own.items()})
    return bundle.add_unsat(guidance(UnsatClaim(graph, bundle.query()), [root], [frame]))


@cache
def two_boxes() -> Bundle:
    """A disjunction over two boxes, each with its own bound, for the surface x y."""
    low = "(and (>= X_0 -1) (<= X_0 -0.5) (>= X_1 -1) (<= X_1 -0.5) (<= Y_0 0.03125))"
    high = "(and (>= X_0 0.5) (<= X_0 1) (>= X_1 -1) (<= X_1 -0.5) (>= Y_0 -0.03125))"
    return bundle_of("surface", vnnlib1(1, [(F(-1), F(1)), (F(-1), F(1))], [f"(or {low} {high})"]), INPUTS)


@cache
def two_inputs() -> Bundle:
    """Several inputs, VNN-LIB 2.0: g(v) > g(u) where v lies above u, unless their sums say otherwise."""
    u, v = [(F(0), F("0.5"))] * 2, [(F("0.25"), F(1))] * 2
    formulas = ["(>= Y[0,0] (+ Y[0,1] 0.0625))", "(>= V[0,0] U[0,0])", "(>= V[0,1] U[0,1])"]
    return bundle_of("pair", vnnlib2([("U", (1, 2), u), ("V", (1, 2), v)], ("Y", (1, 2)), formulas))


def as_list(bundle: Bundle, claim: int = 0) -> Bundle:
    """The same proof as an unordered list of leaves, last leaf first in the file's order of disjuncts."""
    graph, prefix = bundle.graph(), f"c{claim}/"
    nodes = bundle.claims[claim]["evidence"]["nodes"]
    columns = {
        name: bundle.array(f"tree/{name}", claim).astype(np.int64)
        for name in ("kind", "node", "index", "below", "above", "roots")
    }
    real = np.array([graph.names[n] for n in nodes] or [0])
    columns["node"] = np.where(columns["kind"] == LEAF, 0, real[np.maximum(columns["node"], 0)])
    tree = Tree(**columns, point=bundle.array("tree/point", claim).astype(float))
    count = bundle.array("leaves/claimed", claim).size
    disjunct = np.zeros(count, np.uint8)
    for leaf in leaves(tree, [n.size for n in graph.nodes], count, 1000):
        disjunct[leaf.guidance] = leaf.disjunct

    def edit(b: Bundle) -> None:
        for name in [n for n in b.arrays if n.startswith(f"{prefix}tree/")]:
            del b.arrays[name]
        b.arrays[f"{prefix}leaves/disjunct"] = disjunct

    return bundle.edited(edit)


def reordered(bundle: Bundle, order: Sequence[int], claim: int = 0) -> Bundle:
    """An unordered list of leaves in another order (leaves may be left out or repeated)."""
    changed = bundle.copy()
    at = f"c{claim}/"
    a = changed.arrays
    for kind, names in (
        ("constraint", ("constraint", "weight")),
        ("split", ("split_node", "split_index", "split_side", "split_point", "split_beta")),
    ):
        starts = a[f"{at}leaves/{kind}_ptr"].astype(np.int64)
        picked = [np.arange(starts[k], starts[k + 1]) for k in order]
        rows = np.concatenate(picked) if picked else np.zeros(0, np.int64)
        for name in names:
            a[f"{at}leaves/{name}"] = a[f"{at}leaves/{name}"][rows]
        a[f"{at}leaves/{kind}_ptr"] = np.cumsum([0, *(p.size for p in picked)]).astype(np.int32)
    for name in list(a):
        if name.startswith(at) and (
            name.endswith(("leaves/disjunct", "leaves/claimed"))
            or ("leaf_slopes/" in name and not name.endswith("columns"))
        ):
            a[name] = a[name][list(order)]
    return changed


def split_elsewhere() -> Bundle:
    """|x| < 3/4 on [-5/8, 5/8], split at 1/4 and then at 0: split points need not be kinks."""
    bundle = Bundle(
        {"model.onnx": model_file("absolute"), P: vnnlib1(1, [(F("-0.625"), F("0.625"))], ["(>= Y_0 0.75)"])}
    )
    z = bundle.graph().names["first"]
    paths = [
        (Literal(z, 0, 1, 0.25),),
        (Literal(z, 0, -1, 0.25), Literal(z, 0, -1, 0.0)),
        (Literal(z, 0, -1, 0.25), Literal(z, 0, 1, 0.0)),
    ]
    return by_hand(bundle, paths)
