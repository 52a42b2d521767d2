"""The backward pass: a proved lower bound of linear forms over a domain, with given slopes and multipliers.

A form starts as coefficients on some nodes' values. From the last node to the first, its coefficients on a node are
replaced by coefficients on the node's operands:
    affine      a.(Mx + b)    =  (M^T a).x + a.b                             (exact up to the charged rounding)
    activation  a.f(z)        >= a+.(ls z + lt) + a-.(us z + ut)             (proved lines, of the operation)
    selection   a.max(..)     >= a+.x_j + a-.(x_j or the largest upper bound)     (j chosen in each domain)
    product     a.(x y)       >= a+.(q x + p y + t) + a-.(q x + p y + t')    (proved planes: a line in each factor)
    split       a.z           >= a.z - beta side (z_m - p)                   (beta >= 0, side (z_m - p) >= 0 there)
and a tensor with several consumers sums the coefficients of all of them before it is replaced. What is left on the
inputs, and on operations with a box only (``network.ENDS``), is bounded over their boxes. Upper bounds are lower bounds
of the negated form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.box import Box
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.interface import B, LinearForm, Multipliers
from tlcheck.trusted.arith.maps import Affine, IndexMap
from tlcheck.trusted.graph import Node
from tlcheck.trusted.network import ENDS, Network
from tlcheck.trusted.ops.base import Relaxed
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.lines import Lines, Part, Relaxation, picked
from tlcheck.trusted.ops.structure import Fixed

Floats = NDArray[np.float64]
LinesOf = Callable[[int], Lines]


@dataclass(frozen=True, eq=False)
class Reach:
    """Which values of each node the rows of a pass reach, of some ``values`` of the node ``target``: here all."""

    network: Network
    target: int
    values: NDArray[np.int64]

    def size(self, i: int) -> int:
        """How many of node i's values are reached."""
        return self.network.graph.nodes[i].size

    def cut(self, i: int, values: Floats) -> Floats:
        """Of (D, n) numbers of node i's values, those that are reached."""
        return values

    def box(self, i: int, box: Box) -> Box:
        lower, upper = self.cut(i, box.lower), self.cut(i, box.upper)
        return box if lower is box.lower else Box(lower, upper)

    def place(self, i: int, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where values of node i, which are reached, are among these."""
        return values

    def holds(self, i: int, values: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which values of node i are reached."""
        return np.ones(values.shape, np.bool_)

    def entries(self, i: int, j: int) -> IndexMap | None:
        """Node i's among those of j, a node of the same shape; None: they are the same."""
        return None

    @property
    def affine(self) -> Mapping[int, Affine]:
        """The affine operations between values that are reached, where these are not all."""
        return {}


@dataclass(frozen=True, eq=False)
class Pass:
    """What one backward pass rests on.

    ``boxes[i]`` encloses node i's values, (1, n) or one row per domain. ``lines(i)`` are proved on the box of
    activation i's operand. ``radii[i]`` is node i's deployed rounding radius, if any.
    ``windows``: the pass is over these values of the nodes alone, and so are the boxes, lines and radii.
    """

    network: Network
    boxes: Mapping[int, Box]
    lines: LinesOf
    radii: Mapping[int, Floats] = field(default_factory=dict)
    multipliers: Mapping[int, Multipliers] = field(default_factory=dict)
    windows: Reach | None = None


def descend(form: LinearForm[B], basis: Pass, after: Callable[[int], None] | None = None) -> None:
    """Carry every pending block of ``form`` down to the inputs. ``after(node)`` runs when an activation or selection is done."""
    nodes = basis.network.graph.nodes
    for i in reversed(range(max(form.blocks, default=-1) + 1)):
        if i not in form.blocks or isinstance(nodes[i].op, ENDS):
            continue
        _replace(form, basis, i)
        if after is not None and isinstance(nodes[i].op, Relaxed) and len(nodes[i].inputs) == 1:
            after(i)


def _replace(form: LinearForm[B], basis: Pass, i: int) -> None:
    """Replace the coefficients on node i by coefficients on its operands."""
    node = basis.network.graph.nodes[i]
    block = _with_multipliers(form, basis, i, form.blocks.pop(i))
    if i in basis.radii:
        form.charge(block, basis.radii[i])
    affine = basis.network.affine[i]
    if basis.windows is not None:
        affine = basis.windows.affine.get(i, affine)
    if affine is not None:
        if affine.offset is not None:
            form.offset(block, affine.offset)
        for m, operand in zip(affine.maps, node.inputs, strict=True):
            form.put(operand, form.through_map(m, block, basis.boxes[operand]), basis.boxes[operand])
        return
    if isinstance(node.op, Fixed):
        form.offset(block, _flat(node.op.value))
        return
    if not isinstance(node.op, Relaxed):
        raise ValueError(f"no rule for {type(node.op).__name__}")
    _relax(form, basis, block, node, _relaxation(basis, i, node.op))


def _relaxation(basis: Pass, i: int, op: Relaxed) -> Relaxation:
    node = basis.network.graph.nodes[i]
    boxes = tuple(basis.boxes[j] for j in node.inputs)
    if isinstance(op, Elementwise):
        entries = None if basis.windows is None else basis.windows.entries(i, node.inputs[0])
        box = boxes[0] if entries is None else picked(boxes[0], entries)
        return Relaxation((Part(0, basis.lines(i), box, entries),))
    if basis.windows is None or not op.by_value:
        return op.relaxation(boxes, basis.network.shapes(node))
    places = [basis.windows.entries(i, j) for j in node.inputs]
    boxes = tuple(b if e is None else picked(b, e) for b, e in zip(boxes, places, strict=True))
    parts = op.relaxation(boxes, basis.network.shapes(node)).parts
    return Relaxation(tuple(replace(part, entries=places[part.operand]) for part in parts))


def _relax(form: LinearForm[B], basis: Pass, block: B, node: Node, drawn: Relaxation) -> None:
    """a.y with y = S t, and t between sums of lines in entries of the operands: each part takes its line in S^T a (every
    term of a value has its coefficient, and so its sign), the intercepts add up, and coefficients go back to the entries."""
    if drawn.sums is not None and drawn.terms is not None:
        block = form.through_map(drawn.sums, block, drawn.terms)
    for part in drawn.parts:
        operand, lines = node.inputs[part.operand], part.lines
        found = form.through_lines(block, lines.lower, lines.upper, part.box)
        if part.entries is not None:
            found = form.through_map(part.entries, found, basis.boxes[operand])
        form.put(operand, found, basis.boxes[operand])


def _with_multipliers(form: LinearForm[B], basis: Pass, i: int, block: B) -> B:
    given = basis.multipliers.get(i)
    if given is None:
        return block
    return form.multipliers(form.copy_block(block), given, basis.boxes[i])


def _flat(value: Constant) -> Constant:
    rad = None if value.rad is None else value.rad.reshape(-1)
    return Constant(value.mid.astype(np.float64).reshape(-1), rad)
