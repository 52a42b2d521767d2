"""Two networks as one graph: what they give for one input, side by side.

Guarantee: ``joined(a, b)`` has the inputs of a, and the outputs of a, then those of b; it denotes x -> (a(x), b(x)). And the
values of any two deployed executions, of a and of b at one input, are those of a deployed execution of it.

The nodes of a are there as they are; every node of b that an output needs has a node with its value:

* an affine operation, or one without a partner, is the same operation on the values of its operands;
* a function f with a partner in a, which takes f of z there, is f(z) - Gap(z, d) with d = z - z', z' its own operand
  (``trusted.ops.gap``): f(z'), whatever z and z' are, and, if b rounds numbers to steps, in f's range (``Counterpart``);
* a product c d with a partner a b is a b - (a (b - d) + (a - c) d).

Differences are definitions: nothing rounds. In float32 Gap has the rounding errors of both f(z) and f(z'); of products,
``BothRounded`` has them.

So the partners say nothing about the function; they decide how close bounds of the difference are: forms in the values of b
become forms in those of a, which cancel, and in differences. Partners are found in the order of the nodes: a common
subsequence of the operations that are not affine, equal in kind, parameters and shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cached_property
from importlib import import_module
from math import prod
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.keys import key
from tlcheck.readers.vnnlib.places import inputs_of, outputs_of, squeezed
from tlcheck.trusted.graph import Graph, Node
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.ops.gap import Counterpart, Difference
from tlcheck.trusted.ops.structure import Rearrange

BENT, SMOOTH = "gap.BentGap", "smooth_gap.SmoothGap"
GAPS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("activation.Relu", "bent.LeakyRelu", "bent.Abs", "bent.Clip"), BENT),
    **dict.fromkeys(
        ("s_shaped.Sigmoid", "s_shaped.Tanh", "s_shaped.Atan", "smooth", "roots", "arcs"), SMOOTH
    ),
    "selection.MaxOver": "window_gap.MaxGap",
    "softmax.Softmax": "window_gap.SoftmaxGap",
}
"""Operations that take partners, by class, or all of a module; and the class of their gap."""
PRODUCTS: Final = ("product.Product", "product.MatProduct")
OPS: Final = "tlcheck.trusted.ops"
MOST_COMPARED: Final = 1 << 22
"""Pairs of operations that are compared to find partners, beyond those that begin or end both networks alike."""


def joined(
    a: Graph, b: Graph, names: tuple[str, str] = ("", ""), *, aligned: bool = True, shared: bool = False
) -> Graph:
    """See above; without partners unless ``aligned``. ``shared``: a node of b that is one of a, of the same nodes, is that one:
    over the reals they have one value, which two executions need not. Raises InvalidInput TLC303: inputs or outputs differ."""
    order = [
        _matched(f(a), f(b), what, names) for f, what in ((inputs_of, "inputs"), (outputs_of, "outputs"))
    ]
    work = _Joining(a, b, partners(a, b) if aligned else {}, list(a.nodes))
    if shared:
        work.known = {
            _made_of(node.op, node.inputs): i for i, node in enumerate(a.nodes) if i not in a.inputs
        }
    for i, k in zip(a.inputs, order[0], strict=True):
        work.at[b.inputs[k]] = work.shaped(i, b.nodes[b.inputs[k]].shape)
    for j in needed(b):
        if j not in work.at:
            work.put(j)
    theirs = tuple(work.at[b.outputs[k]] for k in order[1])
    tensors = {f"A/{name}": i for name, i in a.names.items()}
    tensors |= {f"B/{name}": work.at[j] for name, j in b.names.items() if j in work.at}
    tensors |= {f"A-B/{name}": work.apart[i] for name, i in a.names.items() if i in work.apart}
    outputs = (*(f"A/{name}" for name in a.output_names), *(f"B/{b.output_names[k]}" for k in order[1]))
    return Graph(tuple(work.nodes), (*a.outputs, *theirs), a.input_names, outputs, tensors)


@dataclass(eq=False)
class _Joining:
    """``nodes``: the joint graph's so far; ``at``: node of b -> the one with its value; ``partner``: node of b -> node of a."""

    a: Graph
    b: Graph
    partner: Mapping[int, int]
    nodes: list[Node]
    at: dict[int, int] = field(default_factory=dict)
    apart: dict[int, int] = field(default_factory=dict)
    """Operand in a of a function with a partner -> what it differs by from the partner's."""
    known: Mapping[str, int] = field(default_factory=dict)
    """What nodes of a are made of -> the node, where b's may be they."""

    @cached_property
    def rounded(self) -> bool:
        """Whether b rounds numbers to steps: how it does depends on ranges that a difference does not show."""
        return any(_name(self.b.nodes[j].op) == "quantized.Quantize" for j in needed(self.b))

    def emit(self, op: Operation, operands: Sequence[int], label: str) -> int:
        shape = op.output_shape(tuple(self.nodes[k].shape for k in operands))
        self.nodes.append(Node(op, tuple(operands), shape, label))
        return len(self.nodes) - 1

    def shaped(self, k: int, shape: tuple[int, ...]) -> int:
        """The same values in another shape."""
        return k if self.nodes[k].shape == shape else self.emit(Rearrange(shape), (k,), self.nodes[k].label)

    def put(self, j: int) -> None:
        node = self.b.nodes[j]
        operands, label = [self.at[k] for k in node.inputs], f"B/{node.label}"
        same = self.known.get(_made_of(node.op, operands)) if self.known else None
        if same is not None and self.nodes[same].shape == node.shape:
            self.at[j] = same
            return
        if j not in self.partner:
            self.at[j] = self.emit(node.op, operands, label)
            return
        other = self.a.nodes[self.partner[j]]
        theirs = [self.shaped(k, self.nodes[i].shape) for k, i in zip(operands, other.inputs, strict=True)]
        value = (self._product if _name(node.op) in PRODUCTS else self._moved)(self.partner[j], theirs, label)
        self.at[j] = self.shaped(value, node.shape)

    def _moved(self, i: int, theirs: Sequence[int], label: str) -> int:
        op, (z,) = self.nodes[i].op, self.nodes[i].inputs
        if not (self.rounded and isinstance(op, Elementwise)):
            d = self.apart[z] = self.emit(Difference(), (z, *theirs), f"{label}: difference of operands")
            return self.emit(Difference(), (i, self.emit(_gap(op), (z, d), f"{label}: difference")), label)
        less = self.emit(Difference((-1,)), theirs, f"{label}: negated operand")
        d = self.apart[z] = self.emit(Difference((1, 1)), (z, less), f"{label}: difference of operands")
        gap = self.emit(_gap(op), (z, d), f"{label}: difference")
        return self.emit(Counterpart(op), (i, gap, less), label)

    def _product(self, i: int, theirs: Sequence[int], label: str) -> int:
        op, (a, b), (c, d) = self.nodes[i].op, self.nodes[i].inputs, theirs
        first = self.emit(op, (a, self.emit(Difference(), (b, d), label)), label)
        second = self.emit(op, (self.emit(Difference(), (a, c), label), d), label)
        value = self.emit(Difference((1, -1, -1)), (i, first, second), label)
        return self.emit(_made("product_gap.BothRounded", op), (value, a, b, c, d), label)


def _matched(
    ours: Sequence[tuple[str, tuple[int, ...]]],
    theirs: Sequence[tuple[str, tuple[int, ...]]],
    what: str,
    names: tuple[str, str],
) -> list[int]:
    """For each of our tensors, the place of theirs: by name where both have the same names, else by place.

    Raises InvalidInput TLC303: other numbers or shapes, or names that only some share, in another order.
    """
    field_, file = f"{what} of the two networks", names[1]
    if len(ours) != len(theirs):
        raise InvalidInput(
            "TLC303", f"the networks have different numbers of {what}", file=file, field=field_, expected=str(len(ours)),
            got=str(len(theirs)),
        )  # fmt: skip
    a, b = [name for name, _ in ours], [name for name, _ in theirs]
    order = [b.index(name) for name in a] if set(a) == set(b) else list(range(len(a)))
    if any(name in b and b.index(name) != k for k, name in zip(order, a, strict=True)):
        raise InvalidInput(
            "TLC303", f"some {what} of one name are at different places, others have no namesake: rename them",
            file=file, field=field_, expected=", ".join(a)[:200], got=", ".join(b)[:200],
        )  # fmt: skip
    for (name, shape), k in zip(ours, order, strict=True):
        if not _same_order(shape, theirs[k][1]):
            raise InvalidInput(
                "TLC303", f"the networks' {what} differ in shape", file=file, field=name, expected=str(list(shape)),
                got=str(list(theirs[k][1])),
            )  # fmt: skip
    return order


def _same_order(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Values in row-major order are the same ones: equal shapes but for axes of size 1, or one of them is flat."""
    a, b = squeezed(a), squeezed(b)
    return a == b or (prod(a) == prod(b) and min(len(a), len(b)) <= 1)


def needed(graph: Graph) -> list[int]:
    """The nodes that outputs depend on, rising."""
    found = set(graph.outputs)
    for i in reversed(range(len(graph.nodes))):
        if i in found:
            found.update(graph.nodes[i].inputs)
    return sorted(found)


def partners(a: Graph, b: Graph) -> dict[int, int]:
    """Node of b -> node of a: operations that are not affine, equal in kind, parameters and shapes, in one order."""
    ours, theirs = (_candidates(graph) for graph in (a, b))
    p, q = [sign for _, sign in ours], [sign for _, sign in theirs]
    start = _alike(p, q)
    end = min(_alike(p[::-1], q[::-1]), len(p) - start, len(q) - start)
    pairs = [(k, k) for k in range(start)] + [(len(p) - k, len(q) - k) for k in range(1, end + 1)]
    left = p[start : len(p) - end], q[start : len(q) - end]
    if len(left[0]) * len(left[1]) <= MOST_COMPARED:
        for m in SequenceMatcher(None, *left, autojunk=False).get_matching_blocks():
            pairs += [(start + m.a + k, start + m.b + k) for k in range(m.size)]
    return {theirs[n][0]: ours[m][0] for m, n in pairs}


def _alike(p: Sequence[str], q: Sequence[str]) -> int:
    """How long both begin alike."""
    return next((k for k, (x, y) in enumerate(zip(p, q, strict=False)) if x != y), min(len(p), len(q)))


def _candidates(graph: Graph) -> list[tuple[int, str]]:
    """(node, what must be equal in its partner)."""
    found = []
    for i in needed(graph):
        node = graph.nodes[i]
        shapes = [graph.nodes[k].shape for k in node.inputs]
        if _name(node.op) in PRODUCTS or _class_of(node.op) is not None:
            pointwise = _class_of(node.op) in (BENT, SMOOTH)
            found.append((i, key("operation", node.op, [prod(s) for s in shapes] if pointwise else shapes)))
    return found


def _made_of(op: Operation, operands: Sequence[int]) -> str:
    return key("node", op, list(operands))


def _name(op: Operation) -> str:
    return f"{type(op).__module__.removeprefix(f'{OPS}.')}.{type(op).__name__}"


def _class_of(op: Operation) -> str | None:
    name = _name(op)
    return GAPS.get(name) or GAPS.get(name.partition(".")[0])


def _gap(op: Operation) -> Operation:
    name = _class_of(op)
    if name is None:
        raise ValueError(f"no gap of {type(op).__name__}")
    return _made(name, op)


def _made(name: str, op: Operation) -> Operation:
    """Modules of gaps are loaded where a network has the operation."""
    module, _, kind = name.partition(".")
    found: Operation = getattr(import_module(f"{OPS}.{module}"), kind)(op)
    return found
