"""A graph prepared for passes: linear maps made once, and which nodes need bounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tlcheck.trusted.arith.maps import Affine, ConvMap
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.base import AffineOperation, Boxed, Relaxed, Source
from tlcheck.trusted.ops.structure import Input

ENDS = Input | Boxed
"""Where a pass stops: coefficients on these stay, and are bounded over the node's box."""

BOUNDED = Relaxed | Boxed
"""What has a relaxation or a box that tighter bounds of its operands improve."""


@dataclass(frozen=True, eq=False)
class Network:
    """``affine[i]`` is node i's linear maps, None for sources, activations and selections."""

    graph: Graph

    @cached_property
    def affine(self) -> tuple[Affine | None, ...]:
        return tuple(
            n.op.affine(self.shapes(n), n.shape) if isinstance(n.op, AffineOperation) else None
            for n in self.graph.nodes
        )

    @cached_property
    def convolves(self) -> bool:
        """Whether any of the maps is a convolution."""
        return any(isinstance(m, ConvMap) for a in self.affine if a is not None for m in a.maps)

    def shapes(self, node: Node) -> tuple[tuple[int, ...], ...]:
        """Of the node's operands."""
        return tuple(self.graph.nodes[j].shape for j in node.inputs)

    @cached_property
    def needed(self) -> frozenset[int]:
        """Nodes that an output depends on."""
        found = set(self.graph.outputs)
        for i in reversed(range(len(self.graph.nodes))):
            if i in found:
                found.update(self.graph.nodes[i].inputs)
        return frozenset(found | set(self.graph.inputs))

    @cached_property
    def without_relaxation(self) -> int | None:
        """The first needed node that no pass can go through; None when there is none."""
        nodes = self.graph.nodes
        return next(
            (
                i
                for i in sorted(self.needed)
                if not isinstance(nodes[i].op, Source | AffineOperation | Relaxed | Boxed)
            ),
            None,
        )

    @cached_property
    def targets(self) -> tuple[int, ...]:
        """Needed nodes whose bounds a relaxation or an interval rule uses, but for those with a box only."""
        nodes = self.graph.nodes
        found = {
            j for i, n in enumerate(nodes) if i in self.needed and isinstance(n.op, BOUNDED) for j in n.inputs
        }
        return tuple(sorted(j for j in found if not isinstance(nodes[j].op, ENDS)))

    @cached_property
    def consumers(self) -> dict[int, tuple[int, ...]]:
        """For each target, the operations that use its bounds."""
        nodes = self.graph.nodes
        return {
            t: tuple(
                i for i in sorted(self.needed) if t in nodes[i].inputs and isinstance(nodes[i].op, BOUNDED)
            )
            for t in self.targets
        }

    @cached_property
    def input_slices(self) -> dict[int, slice]:
        """Where each input node's values lie among the flat inputs."""
        return _slices(self.graph, self.graph.inputs)

    @cached_property
    def output_slices(self) -> tuple[tuple[int, slice], ...]:
        """(node, place among the flat outputs) for each output, in order."""
        places = []
        start = 0
        for node in self.graph.outputs:
            size = self.graph.nodes[node].size
            places.append((node, slice(start, start + size)))
            start += size
        return tuple(places)


def _slices(graph: Graph, nodes: tuple[int, ...]) -> dict[int, slice]:
    starts = np.cumsum([0, *(graph.nodes[i].size for i in nodes)])
    return {node: slice(int(starts[k]), int(starts[k + 1])) for k, node in enumerate(nodes)}
