"""The network: a typed, shape-checked DAG of operations with exact constants.

If a ``Graph`` exists then: nodes are in topological order; every node's shape is what its operation gives for
its operands' shapes; inputs and outputs exist; every constant is finite. It denotes one exact real function
from the concatenated, row-major flattened inputs to the concatenated, flattened outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.structure import Input

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Node:
    """One operation. ``inputs`` are positions of earlier nodes; ``label`` says where it came from (for reports)."""

    op: Operation
    inputs: tuple[int, ...]
    shape: Shape
    label: str = ""

    @property
    def size(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True, eq=False)
class Graph:
    """``names`` maps the model file's tensor names to nodes (guidance refers to them; no verdict rests on it)."""

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    names: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for i, node in enumerate(self.nodes):
            if any(not 0 <= j < i for j in node.inputs):
                raise ValueError(f"node {i} ({node.label}): not in topological order")
            expected = node.op.output_shape(tuple(self.nodes[j].shape for j in node.inputs))
            if tuple(node.shape) != expected:
                raise ValueError(f"node {i} ({node.label}): shape {node.shape}, operation gives {expected}")
        if not self.outputs or any(not 0 <= j < len(self.nodes) for j in self.outputs):
            raise ValueError("graph: no such output")
        if len(self.input_names) != len(self.inputs) or len(self.output_names) != len(self.outputs):
            raise ValueError("graph: names and inputs or outputs differ in number")

    @property
    def inputs(self) -> tuple[int, ...]:
        """Nodes that are inputs, in declaration order."""
        return tuple(i for i, node in enumerate(self.nodes) if isinstance(node.op, Input))

    @property
    def n_inputs(self) -> int:
        return sum(self.nodes[i].size for i in self.inputs)

    @property
    def n_outputs(self) -> int:
        return sum(self.nodes[i].size for i in self.outputs)
