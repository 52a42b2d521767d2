"""Arrays of a bundle to guidance: every shape, range and number is checked, nothing is believed.

Array names, after the claim's prefix (T tree rows, L leaves, n values of a node, k positions in the nodes table)::

    tree/kind node index point below above (T,)    tree/roots (disjuncts,)      node: position in the table
    leaves/constraint_ptr split_ptr (L+1,)         leaves/constraint weight     leaves/claimed (L,), may be NaN
    leaves/split_node split_index split_side split_point split_beta
    leaves/disjunct (L,)                           instead of tree/*: each leaf's splits are its path
    leaf_slopes/<k>/columns (c,)  lower  upper (L, c)
    shared_slopes/<k>/lower  upper (n,)
    intermediate/<target>/<activation>/columns (c,)  row (n of target,)  lower  upper (r, c)
    regions/<p>/disjuncts (d,)  per_leaf_bounds (1,)  rows (l,)    and regions/<p>/leaf_slopes/... with l rows, shared_slopes,
                                                                   intermediate: for these disjuncts, in place of the others
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_LEAVES
from tlcheck.readers.bundle.arrays import FLOATS, INTEGERS, SLOPES, ArrayFile
from tlcheck.readers.bundle.manifest import Evidence
from tlcheck.readers.trees import tree_from_leaves
from tlcheck.trusted.cover import BadTree, Literal
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import (
    LEAF,
    SPLIT,
    Guidance,
    IntermediateSlopes,
    LeafSlopes,
    Leaves,
    RegionGuidance,
    SharedSlopes,
    Tree,
)
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.query import Query

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

UNNAMED: Final = -1
"""Position of a tree leaf's node (which means nothing) when it has no name."""
_LAYER: Final = re.compile(r"(leaf_slopes|shared_slopes)/(0|[1-9][0-9]{0,8})/[a-z]+")
_REGION: Final = re.compile(r"regions/(0|[1-9][0-9]{0,8})/(.+)")
REGIONS_FROM: Final = 2
"""The version of the format from which regions may have evidence of their own."""
_PAIR: Final = re.compile(r"intermediate/(0|[1-9][0-9]{0,8})/(0|[1-9][0-9]{0,8})/[a-z]+")


class CoverMissing(Exception):
    """The leaves are well formed, but do not cover the region: the claim is UNPROVEN (TLC017). Says what is missing."""


def arrays_by_prefix(arrays: ArrayFile, prefixes: Sequence[str]) -> dict[str, dict[str, str]]:
    """For each prefix: name without it -> name. Every array has the longest prefix that fits; TLC105 if none does."""
    groups: dict[str, dict[str, str]] = {prefix: {} for prefix in prefixes}
    for name in arrays.entries:
        cuts = [i + 1 for i, c in enumerate(name) if c == "/"]
        prefix = next((name[:cut] for cut in [*reversed(cuts), 0] if name[:cut] in groups), None)
        if prefix is None:
            raise arrays.wrong(name, "the array belongs to no claim")
        groups[prefix][name[len(prefix) :]] = name
    return groups


def read_guidance(
    evidence: Evidence, version: int, arrays: ArrayFile, names: Mapping[str, str], graph: Graph, query: Query
) -> Guidance:
    """The guidance in the arrays ``names`` (without prefix -> name) of a bundle of this version.

    Raises InvalidInput TLC104 (not this model) or TLC105, and CoverMissing.
    """
    nodes = []
    for position, tensor in enumerate(evidence.nodes):
        node = graph.names.get(tensor)
        if node is None:
            raise InvalidInput(
                "TLC104",
                "the model has no such tensor",
                field=f"evidence.nodes[{position}]",
                got=ascii(tensor[:80]),
            )
        nodes.append(node)
    reader = _Reader(arrays, names, graph, query, np.array(nodes, dtype=np.int64))
    guidance = reader.guidance(evidence.per_leaf_bounds, version >= REGIONS_FROM)
    reader.check_used()
    return guidance


@dataclass(frozen=True, eq=False)
class _Reader:
    arrays: ArrayFile
    names: Mapping[str, str]
    graph: Graph
    query: Query
    nodes: Ints
    used: set[str] = field(default_factory=set)

    def guidance(self, per_leaf_bounds: bool, regions: bool) -> Guidance:
        """``regions``: they may have evidence of their own."""
        leaves = self._leaves()
        common = vars(self._region(per_leaf_bounds, leaves.count, None))
        own = self._regions(leaves.count) if regions else {}
        has_tree = any(name.startswith("tree/") for name in self.names)
        tree = self._tree() if has_tree else self._tree_of_list(leaves)
        return Guidance(tree, leaves, own=own, **common)

    def check_used(self) -> None:
        """Every array was read."""
        unknown = sorted(set(self.names) - self.used)
        if unknown:
            raise self._wrong(unknown[0], "unknown array", "the names of certificates/FORMAT.md")

    # regions

    def _regions(self, leaves: int) -> dict[int, RegionGuidance]:
        """Disjunct -> the evidence of its region, for those that have some of their own."""
        parts: dict[int, dict[str, str]] = {}
        for name, full in self.names.items():
            if found := _REGION.fullmatch(name):
                parts.setdefault(int(found[1]), {})[found[2]] = full
                self.used.add(name)
        own: dict[int, RegionGuidance] = {}
        for _, names in sorted(parts.items()):
            reader = _Reader(self.arrays, names, self.graph, self.query, self.nodes)
            disjuncts, region = reader.region(leaves)
            reader.check_used()
            for disjunct in disjuncts:
                if disjunct in own:
                    raise reader._wrong("disjuncts", f"disjunct {disjunct} is named twice")
                own[disjunct] = region
        return own

    def region(self, leaves: int) -> tuple[list[int], RegionGuidance]:
        """The disjuncts of a region with evidence of its own, and that, from its arrays."""
        disjuncts = self._within("disjuncts", self._ints("disjuncts", None), 0, len(self.query.disjuncts))
        own = self._within("per_leaf_bounds", self._ints("per_leaf_bounds", 1), 0, 2)
        rows = self._within("rows", self._ints("rows", None), 0, leaves)
        if bool((rows[1:] <= rows[:-1]).any()):
            raise self._wrong("rows", "must rise")
        return disjuncts.tolist(), self._region(bool(own[0]), rows.size, rows)

    def _region(self, per_leaf_bounds: bool, count: int, rows: Ints | None) -> RegionGuidance:
        return RegionGuidance(
            leaf_slopes=self._leaf_slopes(count),
            shared_slopes=self._shared_slopes(),
            intermediate=self._intermediate(),
            per_leaf_bounds=per_leaf_bounds,
            rows=rows,
        )

    # single arrays

    def _get(
        self, name: str, shape: tuple[int | None, ...], kinds: tuple[str, ...], allow_nan: bool = False
    ) -> NDArray[Any]:
        self.used.add(name)
        return self.arrays.get(self.names.get(name, name), shape, kinds, allow_nan=allow_nan)

    def _ints(self, name: str, size: int | None) -> Ints:
        return self._get(name, (size,), INTEGERS).astype(np.int64, copy=False)

    def _floats(self, name: str, size: int | None, allow_nan: bool = False) -> Floats:
        values = self._get(name, (size,), FLOATS, allow_nan)
        with np.errstate(invalid="ignore"):  # a signalling NaN among the claimed
            return values.astype(np.float64, copy=False)

    def _within(self, name: str, values: Ints, low: int, high: int) -> Ints:
        """``values`` if all lie in [low, high)."""
        if values.size and not low <= int(values.min()) <= int(values.max()) < high:
            raise self._wrong(
                name, "out of range", f"{low} to {high - 1}", f"{int(values.min())} to {int(values.max())}"
            )
        return values

    def _wrong(self, name: str, message: str, expected: str = "", got: str = "") -> InvalidInput:
        return self.arrays.wrong(self.names.get(name, name), message, expected, got)

    # leaves

    def _leaves(self) -> Leaves:
        count = self._ints("leaves/constraint_ptr", None).size - 1
        if not 0 <= count <= MAX_LEAVES:
            raise self._wrong(
                "leaves/constraint_ptr", "number of leaves out of range", f"0 to {MAX_LEAVES}", str(count)
            )
        constraint_ptr, constraints = self._pointers("constraint", count)
        most = max((len(d.constraints) for d in self.query.disjuncts), default=0)
        constraint = self._within("leaves/constraint", self._ints("leaves/constraint", constraints), 0, most)
        weight = self._nonnegative("leaves/weight", constraints)
        split_ptr, splits = self._pointers("split", count)
        node = self._nodes("leaves/split_node", self._ints("leaves/split_node", splits))
        index = self._ints("leaves/split_index", splits)
        self._check_index("leaves/split_index", node, index)
        side = self._ints("leaves/split_side", splits)
        if not bool((np.abs(side) == 1).all()):
            raise self._wrong("leaves/split_side", "out of range", "+1 or -1")
        point = self._floats("leaves/split_point", splits)
        beta = self._nonnegative("leaves/split_beta", splits)
        claimed = self._floats("leaves/claimed", count, allow_nan=True)
        return Leaves(constraint_ptr, constraint, weight, split_ptr, node, index, side, point, beta, claimed)

    def _pointers(self, kind: str, count: int) -> tuple[Ints, int]:
        name = f"leaves/{kind}_ptr"
        pointers = self._ints(name, count + 1)
        if int(pointers[0]) != 0 or bool((pointers[1:] < pointers[:-1]).any()):
            raise self._wrong(name, "must rise from 0")
        return pointers, int(pointers[-1])

    def _nonnegative(self, name: str, size: int) -> Floats:
        values = self._floats(name, size)
        if bool((values < 0).any()):
            raise self._wrong(name, "negative multiplier", "0 or more", str(values.min()))
        return values

    def _nodes(self, name: str, positions: Ints) -> Ints:
        """Positions in the nodes table to nodes of the graph."""
        self._within(name, positions, 0, self.nodes.size)
        return self.nodes[positions]

    def _check_index(self, name: str, node: Ints, index: Ints) -> None:
        sizes = np.array([n.size for n in self.graph.nodes], dtype=np.int64)
        bad = (index < 0) | (index >= sizes[node])
        if bool(bad.any()):
            k = int(np.argmax(bad))
            raise self._wrong(
                name,
                f"entry {k}: the node has no such value",
                f"0 to {int(sizes[node[k]]) - 1}",
                str(int(index[k])),
            )

    # the tree

    def _tree(self) -> Tree:
        kind = self._ints("tree/kind", None)
        size = kind.size
        if size > 2 * MAX_LEAVES:
            raise self._wrong("tree/kind", "too many rows", f"at most {2 * MAX_LEAVES}", str(size))
        self._within("tree/kind", kind, min(SPLIT, LEAF), max(SPLIT, LEAF) + 1)
        position = self._ints("tree/node", size)
        unnamed = (kind == LEAF) & (position == UNNAMED)
        node = np.where(
            unnamed, 0, self._nodes("tree/node", np.where(unnamed, 0, position)) if not unnamed.all() else 0
        )
        columns = {name: self._ints(f"tree/{name}", size) for name in ("index", "below", "above")}
        point = self._floats("tree/point", size)
        roots = self._ints("tree/roots", len(self.query.disjuncts))
        split = kind == SPLIT
        self._check_index("tree/index", node[split], columns["index"][split])
        return Tree(kind, node, columns["index"], point, columns["below"], columns["above"], roots)

    def _tree_of_list(self, leaves: Leaves) -> Tree:
        """A tree from the leaves' splits, taken as their paths. Raises CoverMissing."""
        groups = len(self.query.disjuncts)
        disjunct = self._within("leaves/disjunct", self._ints("leaves/disjunct", leaves.count), 0, groups)
        columns = (leaves.split_node, leaves.split_index, leaves.split_side, leaves.split_point)
        literals = [Literal(*values) for values in zip(*(c.tolist() for c in columns), strict=True)]
        order = np.argsort(disjunct, kind="stable")
        paths: list[list[list[Literal]]] = [[] for _ in range(groups)]
        starts = leaves.split_ptr.tolist()
        for leaf in order.tolist():
            paths[int(disjunct[leaf])].append(literals[starts[leaf] : starts[leaf + 1]])
        try:
            tree = tree_from_leaves(paths)
        except BadTree as problem:
            raise CoverMissing(str(problem)) from None
        is_leaf = tree.kind == LEAF
        below = tree.below.copy()
        below[is_leaf] = order[tree.below[is_leaf]]
        return Tree(tree.kind, tree.node, tree.index, tree.point, below, tree.above, tree.roots)

    # slopes

    def _keys(self, pattern: re.Pattern[str], kind: str) -> list[tuple[int, ...]]:
        """The positions in the names of one kind of slopes, sorted."""
        found = {
            tuple(int(g) for g in m.groups() if g.isdigit())
            for n in self.names
            if n.startswith(f"{kind}/") and (m := pattern.fullmatch(n))
        }
        return sorted(found)

    def _node_at(self, name: str, position: int, *, activation: bool) -> int:
        if position >= self.nodes.size:
            raise self._wrong(
                name, "no such position in the nodes table", f"below {self.nodes.size}", str(position)
            )
        node = int(self.nodes[position])
        if activation and not isinstance(self.graph.nodes[node].op, Elementwise):
            raise InvalidInput(
                "TLC104",
                "slopes of a tensor that is no activation's output",
                file=self.arrays.file,
                field=name,
            )
        return node

    def _columns(self, stem: str, node: int) -> Ints:
        columns = self._within(
            f"{stem}/columns", self._ints(f"{stem}/columns", None), 0, self.graph.nodes[node].size
        )
        if np.unique(columns).size != columns.size:
            raise self._wrong(f"{stem}/columns", "a column is named twice")
        return columns

    def _optional(self, name: str, shape: tuple[int | None, ...]) -> NDArray[Any] | None:
        return self._get(name, shape, SLOPES) if name in self.names else None

    def _once(self, stem: str, key: object, found: Mapping[Any, object]) -> None:
        if key in found:
            raise self._wrong(stem, "slopes of one node under two of its names")

    def _leaf_slopes(self, count: int) -> dict[int, LeafSlopes]:
        result: dict[int, LeafSlopes] = {}
        for (position,) in self._keys(_LAYER, "leaf_slopes"):
            stem = f"leaf_slopes/{position}"
            node = self._node_at(stem, position, activation=True)
            self._once(stem, node, result)
            columns = self._columns(stem, node)
            shape = (count, columns.size)
            result[node] = LeafSlopes(
                columns, self._optional(f"{stem}/lower", shape), self._optional(f"{stem}/upper", shape)
            )
        return result

    def _shared_slopes(self) -> dict[int, SharedSlopes]:
        result: dict[int, SharedSlopes] = {}
        for (position,) in self._keys(_LAYER, "shared_slopes"):
            stem = f"shared_slopes/{position}"
            node = self._node_at(stem, position, activation=True)
            self._once(stem, node, result)
            n = self.graph.nodes[node].size
            lower, upper = (
                self._floats(f"{stem}/{side}", n) if f"{stem}/{side}" in self.names else None
                for side in ("lower", "upper")
            )
            result[node] = SharedSlopes(lower, upper)
        return result

    def _intermediate(self) -> dict[tuple[int, int], IntermediateSlopes]:
        result: dict[tuple[int, int], IntermediateSlopes] = {}
        for target_at, activation_at in self._keys(_PAIR, "intermediate"):
            stem = f"intermediate/{target_at}/{activation_at}"
            target = self._node_at(stem, target_at, activation=False)
            activation = self._node_at(stem, activation_at, activation=True)
            self._once(stem, (target, activation), result)
            columns = self._columns(stem, activation)
            lower = self._get(f"{stem}/lower", (None, columns.size), SLOPES)
            upper = self._get(f"{stem}/upper", lower.shape, SLOPES)
            row = self._ints(f"{stem}/row", self.graph.nodes[target].size)
            result[target, activation] = IntermediateSlopes(
                columns, self._within(f"{stem}/row", row, 0, lower.shape[0]), lower, upper
            )
        return result
