"""Leaf artifacts of alpha-beta-CROWN runs: TorchLean's v0_1 and raw dumps, and v0_2 with model, property and splits.

Without a model nothing but consistency is claimed (``LeafArtifact``). With a model and a property, beside the artifact
(v0_2: ``model``, ``property``) or given with --model and --property, the claim is that the property is unsat: leaves become
a split tree, from their ``splits`` where they have them, else from their boxes by cuts that no leaf straddles; bounds are
recomputed and none of the artifact's is believed. A leaf's ``witness_idx``, or else its best row, is the constraint that
the deciding pass bounds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Raw, Struct

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_LEAVES
from tlcheck.options import Options
from tlcheck.readers.decimals import parse_decimal
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.networks import ModelFile, read_network
from tlcheck.readers.torchlean.numbers import EndLists, Read, decimals_text, intervals, number_reader
from tlcheck.readers.trees import tree_from_leaves
from tlcheck.readers.vnnlib.read import read_query
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.conditions import ends
from tlcheck.trusted.cover import BadTree
from tlcheck.trusted.cover import Literal as Cut
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import Guidance, Leaves
from tlcheck.trusted.query import Query
from tlcheck.trusted.science.consistency import LeafArtifact, StatedLeaf

Nat = Annotated[int, Meta(ge=0)]
Box = tuple[tuple[Fraction, ...], tuple[Fraction, ...]]
MAX_BOX_LEAVES = 4096
"""Leaves without splits whose cover is looked for: every cut looks at all of them."""


class Split(Struct, frozen=True):
    """value (node, index) >= point or <= point; ``node`` is a tensor's name."""

    node: str
    index: Nat
    side: Literal[">=", "<="]
    point: float = 0.0
    beta: float = 0.0


class Leaf(Struct, frozen=True):
    lo: list[Raw]
    hi: list[Raw]
    lb: Annotated[list[Raw], Meta(min_length=1)]
    threshold: list[Raw]
    witness_idx: Nat | None = None
    witness_margin: Raw = Raw()
    disjunct: Nat = 0
    splits: list[Split] | None = None


class Artifact(Struct, frozen=True):
    input_dim: Nat
    root: EndLists
    leaves: Annotated[list[Leaf], Meta(min_length=1)]
    model: ModelFile | None = None
    property: ModelFile | None = None
    per_leaf_bounds: bool = False


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """One claim. Raises InvalidInput TLC101, TLC102, TLC104, TLC106, and what reading a model and a property raises."""
    artifact = decode(
        _converted(data, files.where) if format == "raw-leaf-dump" else data, Artifact, files.where
    )
    if len(artifact.leaves) > MAX_LEAVES:
        raise InvalidInput("TLC401", "too many leaves", field="leaves", expected=f"at most {MAX_LEAVES}")
    stated = _stated(artifact, number_reader(options.decimals))
    graph, query = _network_and_property(artifact, files, options)
    if graph is not None and query is not None:
        return [_proof(artifact, stated, graph, query, files)]
    covers = (
        "by the boxes"
        if _box_paths([(leaf.lower, leaf.upper) for leaf in stated.leaves], stated.root)
        else "not shown"
    )
    claim = LeafArtifact(
        *stated.root,
        stated.leaves,
        options.decimals != "exact",
        options.slack,
        covers,
        decimals_text(options.decimals),
    )
    return [LoadedClaim("leaves", claim, sources=files.sources)]


@dataclass(frozen=True)
class _Stated:
    root: Box
    leaves: tuple[StatedLeaf, ...]


def _stated(artifact: Artifact, numbers: Read) -> _Stated:
    n = artifact.input_dim
    root = _box(artifact.root, numbers, "root", n)
    leaves = []
    for k, leaf in enumerate(artifact.leaves):
        field = f"leaves[{k}]"
        lower, upper = _box(EndLists(leaf.lo, leaf.hi), numbers, field, n, ordered=False)
        bounds = tuple(numbers(v, f"{field}.lb[{i}]") for i, v in enumerate(leaf.lb))
        thresholds = tuple(numbers(v, f"{field}.threshold[{i}]") for i, v in enumerate(leaf.threshold))
        margin = (
            numbers(leaf.witness_margin, f"{field}.witness_margin") if bytes(leaf.witness_margin) else None
        )
        try:
            made = StatedLeaf(lower, upper, bounds, thresholds, leaf.witness_idx, margin)
            LeafArtifact(*root, (made,), True, Fraction(0), "", "")
        except ValueError as error:
            raise InvalidInput("TLC101", str(error), field=field) from None
        leaves.append(made)
    return _Stated(root, tuple(leaves))


def _box(ends: EndLists, numbers: Read, field: str, n: int, *, ordered: bool = True) -> Box:
    found = intervals(ends, numbers, field, n)
    if ordered and any(low > high for low, high in found):
        raise InvalidInput("TLC101", "lower end above upper end", field=field)
    return tuple(low for low, _ in found), tuple(high for _, high in found)


# With a network.


def _network_and_property(
    artifact: Artifact, files: Files, options: Options
) -> tuple[Graph | None, Query | None]:
    has_model = artifact.model is not None or options.model is not None
    has_property = artifact.property is not None or options.property is not None
    if not has_model and not has_property:
        return None, None
    if not (has_model and has_property):
        missing = "property" if has_model else "model"
        raise InvalidInput(
            "TLC402", f"a proof needs the {missing} too", field=missing, expected=f"--{missing} FILE"
        )
    graph = read_network(files, options, artifact.model)
    data = files.given(options.property, "property")
    if data is None and artifact.property is not None:
        data = files.read(artifact.property.file, "property", artifact.property.sha256)
    elif artifact.property is not None and artifact.property.sha256 not in ("", files.sources["property"]):
        raise InvalidInput(
            "TLC103", "not the property the certificate was made for (SHA-256)", field="property"
        )
    return graph, read_query(data or b"", graph, file=files.where)


def _proof(artifact: Artifact, stated: _Stated, graph: Graph, query: Query, files: Files) -> LoadedClaim:
    if artifact.input_dim != graph.n_inputs:
        raise InvalidInput(
            "TLC104", "not the model's number of inputs", field="input_dim", expected=str(graph.n_inputs)
        )
    paths: list[list[list[Cut]]] = []
    order: list[int] = []
    for d in range(len(query.disjuncts)):
        mine = [k for k, leaf in enumerate(artifact.leaves) if leaf.disjunct == d]
        order += mine
        paths.append(_paths(artifact, stated, mine, graph) or [])
    if len(order) != len(artifact.leaves):
        raise InvalidInput("TLC104", "a leaf of a disjunct that the property does not have", field="leaves")
    claim = UnsatClaim(graph, query)
    name = "leaf proof"
    try:
        tree = tree_from_leaves(paths)
    except BadTree as error:
        return LoadedClaim(name, claim, None, files.sources, problem=("TLC017", str(error)))
    guidance = Guidance(
        tree, _leaves(artifact, stated, order, query, graph), per_leaf_bounds=_own_bounds(artifact)
    )
    return LoadedClaim(name, claim, guidance, files.sources)


def _own_bounds(artifact: Artifact) -> bool:
    """Bounds anew in each leaf, where boxes alone tell leaves apart: root bounds would waste the splits."""
    return artifact.per_leaf_bounds or all(leaf.splits is None for leaf in artifact.leaves)


def _paths(artifact: Artifact, stated: _Stated, mine: Sequence[int], graph: Graph) -> list[list[Cut]] | None:
    if any(artifact.leaves[k].splits is not None for k in mine):
        return [
            [_cut(s, graph, f"leaves[{k}].splits") for s in artifact.leaves[k].splits or []] for k in mine
        ]
    found = _box_paths([(stated.leaves[k].lower, stated.leaves[k].upper) for k in mine], stated.root)
    if found is None:
        return None
    places = [(node, i) for node in graph.inputs for i in range(graph.nodes[node].size)]
    return [[Cut(*places[i], side, point) for i, side, point in path] for path in found]


def _cut(split: Split, graph: Graph, field: str) -> Cut:
    node = graph.names.get(split.node)
    if node is None and split.node in graph.input_names:
        node = graph.inputs[graph.input_names.index(split.node)]
    if node is None or split.index >= graph.nodes[node].size:
        raise InvalidInput(
            "TLC104",
            "a split of a value that the model does not have",
            field=field,
            got=ascii(split.node[:60]),
        )
    return Cut(node, split.index, 1 if split.side == ">=" else -1, split.point)


def _leaves(artifact: Artifact, stated: _Stated, order: Sequence[int], query: Query, graph: Graph) -> Leaves:
    rows, claimed, splits, starts = [], [], [], [0]
    for k in order:
        leaf, found = artifact.leaves[k], stated.leaves[k]
        gaps = [b - t for b, t in zip(found.bounds, found.thresholds, strict=True)]
        row = gaps.index(max(gaps)) if found.row is None else found.row
        if row >= len(query.disjuncts[leaf.disjunct].constraints):
            raise InvalidInput(
                "TLC104", "a row that the property does not have", field=f"leaves[{k}]", got=str(row)
            )
        rows.append(row)
        claimed.append(ends(gaps[row])[0] or 0.0)
        for s in leaf.splits or []:
            cut = _cut(s, graph, f"leaves[{k}].splits")
            if not s.beta >= 0:
                raise InvalidInput("TLC105", "a negative multiplier", field=f"leaves[{k}].splits")
            splits.append((cut.node, cut.index, cut.side, cut.point, s.beta))
        starts.append(len(splits))
    node, index, side = (np.array([s[c] for s in splits], np.int64) for c in range(3))
    point, beta = (np.array([s[c] for s in splits], np.float64) for c in (3, 4))
    ones, pointers = np.ones(len(order)), np.arange(len(order) + 1)
    starts_, rows_ = np.array(starts, np.int64), np.array(rows, np.int64)
    return Leaves(pointers, rows_, ones, starts_, node, index, side, point, beta, np.array(claimed))


def _box_paths(boxes: Sequence[Box], region: Box) -> list[list[tuple[int, int, float]]] | None:
    """For each box its path (input, side, point) in a tree of cuts that no box straddles; None where boxes do not cover
    the region that way, or are too many."""
    if len(boxes) > MAX_BOX_LEAVES:
        return None
    paths: list[list[tuple[int, int, float]]] = [[] for _ in boxes]
    used: set[int] = set()
    work: list[tuple[list[int], Box, list[tuple[int, int, float]]]] = [(list(range(len(boxes))), region, [])]
    while work:
        inside, (lower, upper), path = work.pop()
        whole = next((k for k in inside if _contains(boxes[k], (lower, upper))), None)
        if whole is not None:
            if whole in used:
                return None
            used.add(whole)
            paths[whole] = path
            continue
        cut = _free_cut([boxes[k] for k in inside], (lower, upper))
        if cut is None:
            return None
        i, point = cut
        q = Fraction(point)
        below = [k for k in inside if boxes[k][1][i] <= q]
        above = [k for k in inside if boxes[k][0][i] >= q]
        work.append((below, (lower, (*upper[:i], q, *upper[i + 1 :])), [*path, (i, -1, point)]))
        work.append((above, ((*lower[:i], q, *lower[i + 1 :]), upper), [*path, (i, 1, point)]))
    return [paths[k] for k in range(len(boxes))] if len(used) == len(boxes) else None


def _contains(box: Box, region: Box) -> bool:
    return all(a <= l and u <= b for a, l, u, b in zip(box[0], *region, box[1], strict=True))


def _free_cut(boxes: Sequence[Box], region: Box) -> tuple[int, float] | None:
    """A face of a box, inside the region, at a double, that cuts no box."""
    for i, (low, high) in enumerate(zip(*region, strict=True)):
        for point in sorted({end for lower, upper in boxes for end in (lower[i], upper[i])}):
            if (
                low < point < high
                and Fraction(float(point)) == point
                and all(upper[i] <= point or lower[i] >= point for lower, upper in boxes)
            ):
                return i, float(point)
    return None


# Raw dumps.

LEAVES = ("leaves", "domains", "verified_domains", "terminal_domains")
LOWER = ("lo", "input_lo", "x_L", "x_l", "domain_lo", "lower")
UPPER = ("hi", "input_hi", "x_U", "x_u", "domain_hi", "upper")
BOUND = ("lb", "lower_bound", "lower_bounds", "output_lb", "margin_lb")
THRESHOLD = ("threshold", "thresholds", "rhs", "unsafe_threshold")


class _Number(str):
    """A JSON number as it was written."""


def _converted(data: bytes, file: str) -> bytes:
    """A raw dump, one JSON object or one a line, as a leaf artifact. Numbers keep their digits."""
    try:
        tops = [_parsed(data)]
    except ValueError:
        tops = [_parsed(line) for line in data.strip().split(b"\n")]
    whole = len(tops) == 1 and isinstance(tops[0], dict) and any(key in tops[0] for key in LEAVES)
    top, listed = (tops[0], _one(tops[0], LEAVES, "")) if whole else ({}, _of_lines(tops))
    if not isinstance(listed, list) or not listed or not all(isinstance(leaf, dict) for leaf in listed):
        raise InvalidInput("TLC101", "not a list of leaves", file=file, field="leaves")
    leaves = [_leaf(leaf, k, top.get("default_threshold")) for k, leaf in enumerate(listed)]
    root = _root(top, leaves)
    artifact = {"input_dim": len(_list(root["lo"], "root")), "root": root, "leaves": leaves}
    return _written(artifact).encode()


def _of_lines(tops: Sequence[Any]) -> list[Any]:
    """The leaves of JSON lines: each line is one, or holds a list of them."""
    found: list[Any] = []
    for top in tops:
        holds = isinstance(top, dict) and any(key in top for key in LEAVES)
        found += _list(_one(top, LEAVES, ""), "leaves") if holds else [top]
    return found


def _parsed(data: bytes) -> Any:
    return json.loads(data, parse_float=_Number, parse_int=_Number)


def _written(value: Any) -> str:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{_written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value)


def _one(top: dict[str, Any], names: Sequence[str], field: str) -> Any:
    found = [name for name in names if name in top]
    if len(found) != 1:
        raise InvalidInput("TLC101", "one field of these, no more", field=field, expected=", ".join(names))
    return top[found[0]]


def _leaf(leaf: dict[str, Any], k: int, default: Any) -> dict[str, Any]:
    field = f"leaves[{k}]"
    bound = _one(leaf, BOUND, field)
    bounds = bound if isinstance(bound, list) else [bound]
    given = _one(leaf, THRESHOLD, field) if any(name in leaf for name in THRESHOLD) else default
    if given is None:
        raise InvalidInput(
            "TLC101", "a leaf without a threshold", field=field, expected="threshold or default_threshold"
        )
    thresholds = given if isinstance(given, list) else [given] * len(bounds)
    if len(thresholds) == 1:
        thresholds = thresholds * len(bounds)
    return {
        "lo": _one(leaf, LOWER, field),
        "hi": _one(leaf, UPPER, field),
        "lb": bounds,
        "threshold": thresholds,
    }


def _root(top: dict[str, Any], leaves: Sequence[dict[str, Any]]) -> dict[str, Any]:
    for name in ("root", "input_box"):
        if isinstance(top.get(name), dict):
            return {"lo": _one(top[name], LOWER, name), "hi": _one(top[name], UPPER, name)}
    if "root_lo" in top or "root_hi" in top:
        return {"lo": top.get("root_lo"), "hi": top.get("root_hi")}
    ends = []
    for side, choose in (("lo", min), ("hi", max)):
        columns = [_list(leaf[side], side) for leaf in leaves]
        if len({len(c) for c in columns}) != 1:
            raise InvalidInput("TLC101", "leaves of different dimensions", field="leaves")
        ends.append([choose(column, key=_order) for column in zip(*columns, strict=True)])
    return {"lo": ends[0], "hi": ends[1]}


def _order(value: Any) -> Fraction:
    if not isinstance(value, _Number):
        raise InvalidInput("TLC101", "not a number", field="leaves", got=ascii(value)[:40])
    return parse_decimal(value, code="TLC101", field="leaves")


def _list(value: Any, field: str) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidInput("TLC101", "not a list of numbers", field=field)
    return value
