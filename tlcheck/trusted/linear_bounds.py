"""The backward pass: a proved lower bound of linear forms over a domain, with given slopes and multipliers.

A form starts as coefficients on some nodes' values. From the last node to the first, its coefficients on a node are
replaced by coefficients on the node's operands:
    affine      a.(Mx + b)    =  (M^T a).x + a.b                             (exact up to the charged rounding)
    activation  a.f(z)        >= a+.(ls z + lt) + a-.(us z + ut)             (proved lines, lines.py)
    selection   a.max(..)     >= a+.x_j + a-.(x_j or the largest upper bound)     (j chosen in each domain)
    product     a.(x y)       >= a+.(q x + p y + t) + a-.(q x + p y + t')    (proved planes, lines.py)
    split       a.z           >= a.z - beta side (z_m - p)                   (beta >= 0, side (z_m - p) >= 0 there)
and a tensor with several consumers sums the coefficients of all of them before it is replaced. What is left on the
inputs, and on operations with a box only (``network.ENDS``), is bounded over their boxes. Upper bounds are lower bounds
of the negated form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.box import Box, OutOfRange
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.interface import B, LinearForm, Multipliers
from tlcheck.trusted.interval_rules import matrix_terms, picked, product_range
from tlcheck.trusted.lines import Lines, product_planes, select_lines
from tlcheck.trusted.maps import IndexMap
from tlcheck.trusted.network import ENDS, Network
from tlcheck.trusted.ops.activation import Elementwise, MaxOver
from tlcheck.trusted.ops.discrete import Select
from tlcheck.trusted.ops.product import MatProduct, Product
from tlcheck.trusted.ops.structure import Fixed

Floats = NDArray[np.float64]
LinesOf = Callable[[int], Lines]


@dataclass(frozen=True, eq=False)
class Pass:
    """What one backward pass rests on.

    ``boxes[i]`` encloses node i's values, (1, n) or one row per domain. ``lines(i)`` are proved on the box of
    activation i's operand. ``radii[i]`` is node i's deployed rounding radius, if any.
    """

    network: Network
    boxes: Mapping[int, Box]
    lines: LinesOf
    radii: Mapping[int, Floats] = field(default_factory=dict)
    multipliers: Mapping[int, Multipliers] = field(default_factory=dict)


def descend(form: LinearForm[B], basis: Pass, after: Callable[[int], None] | None = None) -> None:
    """Carry every pending block of ``form`` down to the inputs. ``after(node)`` runs when an activation is done."""
    nodes = basis.network.graph.nodes
    for i in reversed(range(max(form.blocks, default=-1) + 1)):
        if i not in form.blocks or isinstance(nodes[i].op, ENDS):
            continue
        _replace(form, basis, i)
        if after is not None and isinstance(nodes[i].op, Elementwise | MaxOver):
            after(i)


def _replace(form: LinearForm[B], basis: Pass, i: int) -> None:
    """Replace the coefficients on node i by coefficients on its operands."""
    node = basis.network.graph.nodes[i]
    block = _with_multipliers(form, basis, i, form.blocks.pop(i))
    if i in basis.radii:
        form.charge(block, basis.radii[i])
    affine = basis.network.affine[i]
    if affine is not None:
        if affine.offset is not None:
            form.offset(block, affine.offset)
        for m, operand in zip(affine.maps, node.inputs, strict=True):
            form.put(operand, form.through_map(m, block, basis.boxes[operand]), basis.boxes[operand])
        return
    match node.op:
        case Fixed(value=value):
            form.offset(block, _flat(value))
        case Elementwise():
            (z,) = node.inputs
            drawn = basis.lines(i)
            form.put(z, form.through_lines(block, drawn.lower, drawn.upper, basis.boxes[z]), basis.boxes[z])
        case MaxOver():
            _through_selection(form, basis, node.op, block, node.inputs[0])
        case Product():
            _through_sum(
                form, basis, block, node.inputs, product_planes(*(basis.boxes[j] for j in node.inputs))
            )
        case Select():
            drawn_each = select_lines(*(basis.boxes[j] for j in node.inputs))
            _through_sum(form, basis, block, node.inputs[1:], drawn_each)
        case MatProduct():
            _through_terms(form, basis, block, node.inputs)
        case _:
            raise ValueError(f"no rule for {type(node.op).__name__}")


def _through_sum(
    form: LinearForm[B], basis: Pass, block: B, operands: Sequence[int], drawn: Sequence[Lines]
) -> None:
    """a.y with y between sums of lines, one in each operand: each takes its line, and the intercepts add up."""
    for j, line in zip(operands, drawn, strict=True):
        form.put(j, form.through_lines(block, line.lower, line.upper, basis.boxes[j]), basis.boxes[j])


def _through_terms(form: LinearForm[B], basis: Pass, block: B, operands: Sequence[int]) -> None:
    """A product of matrices, as the sum of the products of its entries."""
    nodes = basis.network.graph.nodes
    *entries, sums = matrix_terms(*(nodes[j].shape for j in operands))
    boxes = [picked(basis.boxes[j], index) for j, index in zip(operands, entries, strict=True)]
    terms = form.through_map(sums, block, product_range(*boxes))
    for j, index, box, line in zip(operands, entries, boxes, product_planes(*boxes), strict=True):
        part = form.through_lines(terms, line.lower, line.upper, box)
        form.put(j, form.through_map(index, part, basis.boxes[j]), basis.boxes[j])


def _through_selection(form: LinearForm[B], basis: Pass, op: MaxOver, block: B, x: int) -> None:
    """A maximum, as the sum over its window of one line for each entry, all of them 0 but the chosen entry's.

    a_k y_k >= sum_j (a_k+ (ls_kj x_kj + lt_kj) + a_k- (us_kj x_kj + ut_kj)): the copies of a_k share its sign, so each
    line is used where it is one. Each domain has slopes of its own, and so its own choice (``selection``). An entry
    in several windows gets the sum of what they give it.
    """
    sums, entries = window_maps(op, int(basis.boxes[x].lower.shape[1]))
    window = picked(basis.boxes[x], entries)
    drawn = selection(op, window)
    copies = form.through_map(sums, block, window)
    part = form.through_lines(copies, drawn.lower, drawn.upper, window)
    form.put(x, form.through_map(entries, part, basis.boxes[x]), basis.boxes[x])


@lru_cache(maxsize=16)
def window_maps(op: MaxOver, size: int) -> tuple[IndexMap, IndexMap]:
    """(the sum over each window, the entries of x, of which there are ``size``, in the windows): places k K + j."""
    rows, width = op.index.shape
    return (
        IndexMap(np.repeat(np.arange(rows, dtype=np.int64), width), rows, True),
        IndexMap(np.ascontiguousarray(op.index).reshape(-1), size),
    )


@lru_cache(maxsize=16)
def selection(op: MaxOver, window: Box) -> Lines:
    """Lines in the entries of each window, (D, n K), whose sums lie below (above) its maximum y on the box of the entries.

    In each domain and window one entry j with the greatest lower end is chosen: y >= x_j. Where x_j's lower end is at
    least every other's upper end, y = x_j; else y is at most the largest upper end. Other entries have the line 0.
    """
    if not np.isfinite(window.largest):
        raise OutOfRange("selection on an unbounded interval")  # with -inf, padding could be chosen
    used = op.index >= 0
    shape = (window.lower.shape[0], *op.index.shape)
    low = np.where(used[None], window.lower.reshape(shape), -np.inf)
    high = np.where(used[None], window.upper.reshape(shape), -np.inf)
    chosen = np.arange(shape[2]) == low.argmax(axis=2)[..., None]
    others = np.where(chosen, -np.inf, high).max(axis=2)
    dominates = np.where(chosen, low, -np.inf).max(axis=2) >= others
    top = np.where(dominates, 0.0, high.max(axis=2))
    slope = chosen.astype(np.float64)
    upper = (slope * dominates[..., None], np.where(chosen, top[..., None], 0.0))
    flat = (shape[0], -1)
    zeros = np.zeros((1, op.index.size))
    return Lines((slope.reshape(flat), zeros), (upper[0].reshape(flat), upper[1].reshape(flat)))


def _with_multipliers(form: LinearForm[B], basis: Pass, i: int, block: B) -> B:
    given = basis.multipliers.get(i)
    if given is None:
        return block
    return form.multipliers(form.copy_block(block), given, basis.boxes[i])


def _flat(value: Constant) -> Constant:
    rad = None if value.rad is None else value.rad.reshape(-1)
    return Constant(value.mid.astype(np.float64).reshape(-1), rad)
