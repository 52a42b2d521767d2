"""One ONNX node being lowered: its operands, its attributes, and the graph it is lowered into.

A node that is not of the form that the standard gives its operator at this opset is no Call (``standard.py``). A
lowering reads what it understands; whatever input or attribute it has not read by the end, and whatever output the
node names and the lowering does not return, makes the node unsupported (``Call.lowered``). So an unknown attribute, a
form of another opset, or a mode that an output switches on is never ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_NODES
from tlcheck.readers.onnx.exact import MAX_FOLDED
from tlcheck.readers.onnx.operands import HALVES, INTEGERS, MASKS, Data, Known, Late, Part, Shape, Value
from tlcheck.readers.onnx.standard import misfit
from tlcheck.readers.onnx.tensors import checked_shape, read_tensor
from tlcheck.trusted.arith.formula import Formula, formula_of, gathered
from tlcheck.trusted.graph import Node
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.structure import Fixed, Input, Rearrange

if TYPE_CHECKING:
    from onnx import AttributeProto, NodeProto

T = TypeVar("T")
R = TypeVar("R", bound=Part)
How = Callable[[list[NDArray[Any]]], NDArray[Any]]
"""Selects and repeats entries of arrays."""

FLOAT, INT, STRING, TENSOR, FLOATS_, INTS = 1, 2, 3, 4, 6, 7
FIELDS: Final = {FLOAT: "f", INT: "i", STRING: "s", TENSOR: "t", FLOATS_: "floats", INTS: "ints"}
"""AttributeProto.AttributeType of the types that are read, and the field that holds such an attribute."""
DIFFER: Final = "the standard and runtimes differ"
PADS_DIFFER: Final = "tools pad differently"
NO_FORM: Final = "onnxruntime has no such form"
"""Why a form that the standard has is refused."""
MAX_LABEL = 200
"""Longest part of a node's name that messages show."""


@dataclass
class Builder:
    """The graph's nodes so far."""

    nodes: list[Node] = field(default_factory=list)

    def add(self, op: Operation, inputs: Sequence[int], label: str) -> int:
        """Append a node. Raises TLC204 when the operands' shapes do not fit, TLC401 when too large."""
        shapes = tuple(self.nodes[j].shape for j in inputs)
        try:
            shape = op.output_shape(shapes)
        except ValueError as error:
            raise InvalidInput("TLC204", str(error), field=f"node '{label}'") from error
        checked_shape(shape, f"node '{label}'")
        if len(self.nodes) >= MAX_NODES:
            raise InvalidInput("TLC401", "too many nodes", expected=f"at most {MAX_NODES}")
        self.nodes.append(Node(op, tuple(inputs), shape, label))
        return len(self.nodes) - 1

    def input(self, name: str, shape: Shape, dtype: str) -> Data:
        return Data(self.add(Input(shape), (), name), shape, dtype)

    def fixed(self, value: Known, label: str) -> Data:
        """A constant as data."""
        node = self.add(Fixed(value.settled().constant()), (), label)
        return Data(node, value.shape, value.dtype)


class Call:
    """See the module. ``opset`` is the version of the default domain.

    ``needed``: names of the tensors that an output of the model depends on.
    """

    def __init__(
        self,
        node: NodeProto,
        operands: Sequence[Part | None],
        builder: Builder,
        *,
        opset: int,
        needed: Set[str],
    ) -> None:
        self.op = node.op_type
        self.label = (node.name or f"{node.op_type}/{next((o for o in node.output if o), '')}")[:MAX_LABEL]
        self.opset = opset
        self.n_inputs = len(operands)
        self.outputs = tuple(node.output)
        self.wanted = tuple(name in needed for name in node.output)
        self._where = f"node '{self.label}'"
        self._operands = operands
        self._names = tuple(node.input)
        self._builder = builder
        self._attributes: Mapping[str, AttributeProto] = self._by_name(node)
        self._read: set[str] = set()
        self._used: set[int] = set()
        self._harmless: set[int] = set()

    def lowered(self, lowering: Callable[[Call], Sequence[R]]) -> Sequence[R]:
        """The node's results, by ``lowering``: the node's form is checked before, what was read of it afterwards."""
        self._check_form()
        try:
            results = lowering(self)
        except ValueError as error:
            raise self.misshapen(str(error)) from error
        self._finish(results)
        return results

    def _check_form(self) -> None:
        """The node is of the form of the operator's version at this opset. Raises TLC201, TLC202."""
        dtypes = [None if x is None else x.dtype for x in self._operands]
        kinds = {name: int(attribute.type) for name, attribute in self._attributes.items()}
        found = misfit(self.op, self.opset, dtypes, kinds, self.outputs)
        if found is not None:
            code, text = found
            raise self.unsupported(text) if code == "TLC202" else self.malformed(text)

    def _by_name(self, node: NodeProto) -> dict[str, AttributeProto]:
        attributes: dict[str, AttributeProto] = {}
        for attribute in node.attribute:
            if attribute.name in attributes:
                raise self.malformed(f"duplicate attribute {attribute.name}")
            attributes[attribute.name] = attribute
        return attributes

    # errors

    def unsupported(self, detail: str = "") -> InvalidInput:
        text = f"unsupported operator {self.op} at node '{self.label}'"
        return InvalidInput("TLC202", f"{text}: {detail}" if detail else text)

    def malformed(self, text: str) -> InvalidInput:
        return InvalidInput("TLC201", text, field=self._where)

    def misshapen(self, detail: str) -> InvalidInput:
        return InvalidInput("TLC204", f"{self.op}: {detail}", field=self._where)

    def nonfinite(self, detail: str) -> InvalidInput:
        return InvalidInput("TLC203", f"{self.op}: {detail}", field=self._where)

    def refuse(self, wrong: bool, detail: str, why: str = "") -> None:
        """Raises TLC202 where that is so."""
        if wrong:
            raise self.unsupported(f"{detail}: {why}" if why else detail)

    def refuse_shape(self, wrong: bool, detail: str) -> None:
        """Raises TLC204 where that is so."""
        if wrong:
            raise self.misshapen(detail)

    def refuse_infinity(self, late: bool = False) -> None:
        """No operand holds minus infinity, unless the operator may take it. Raises TLC203, naming node and tensor."""
        if self.op in MASKS and not late:
            return
        for i, operand in enumerate(self._operands):
            if isinstance(operand, Known | Data) and operand.hidden is not None:
                raise self.nonfinite(f"operand {i}, tensor '{self._names[i]}', holds minus infinity")

    def exactly(self, compute: Callable[[], T]) -> T:
        """``compute()`` of exact.py; its ValueError (division by zero, overflow) is TLC203."""
        try:
            return compute()
        except ValueError as error:
            raise self.nonfinite(str(error)) from error

    # operands

    def optional(self, i: int) -> Value | None:
        """Operand i, or None when absent."""
        operand = self.raw(i)
        if isinstance(operand, Late):
            raise self.unsupported(f"operand {i} has a shape that the network's values decide")
        return operand

    def raw(self, i: int) -> Part | None:
        """Operand i, of whatever kind."""
        self._used.add(i)
        return self._operands[i] if i < len(self._operands) else None

    def value(self, i: int) -> Value:
        operand = self.optional(i)
        if operand is None:
            raise self.malformed(f"operand {i} of {self.op} is missing")
        return operand

    def variable(self, i: int) -> Data:
        """Operand i as a graph node."""
        return self.data(self.value(i))

    def values(self) -> list[Value]:
        """All operands, none absent."""
        if not self._operands:
            raise self.malformed(f"{self.op} without operands")
        return [self.value(i) for i in range(self.n_inputs)]

    def known(self, i: int) -> Known:
        """Operand i, which must be a constant."""
        operand = self.value(i)
        if not isinstance(operand, Known):
            raise self.unsupported(f"operand {i} is not constant")
        return operand

    def optional_known(self, i: int) -> Known | None:
        return None if self.optional(i) is None else self.known(i)

    def ints(self, i: int) -> list[int]:
        """Operand i, a constant list (or single) of integers."""
        return self.integers(self.known(i))

    def optional_ints(self, i: int) -> list[int] | None:
        return None if self.optional(i) is None else self.ints(i)

    def integers(self, known: Known) -> list[int]:
        if known.dtype not in INTEGERS or len(known.shape) > 1:
            raise self.unsupported(f"expected a list of integers, got {known.dtype} of shape {known.shape}")
        return [int(v) for v in known.array.ravel()]

    def data(self, value: Value) -> Data:
        """``value`` as a graph node; a constant becomes a Fixed node."""
        if isinstance(value, Data):
            return value
        self.require_float(value)
        if value.hidden is not None:
            raise self.nonfinite("a constant holds minus infinity")
        if 0 in value.shape:
            raise self.unsupported(f"an operand without entries, of shape {value.shape}")
        return self._builder.fixed(value, self.label)

    def numbers(self, value: Value) -> Data:
        """``value`` as a graph node, integers and booleans as the numbers they are."""
        if isinstance(value, Known) and not value.is_float:
            if value.dtype != "bool":
                self.require_whole(value)
            value = Known(value.array.astype(np.float64), "float64")
        return self.data(value)

    def require_float(self, *values: Value) -> None:
        for value in values:
            if isinstance(value, Known) and not value.is_float:
                raise self.unsupported(f"operand of type {value.dtype}")

    def require_exact(self, what: str, *values: Known) -> None:
        """Every one holds the numbers themselves: no enclosure, nothing that float32 rounds."""
        if not all(value.is_exact for value in values):
            raise self.unsupported(what)

    def require_whole(self, *values: Known) -> None:
        """Integers are below ``WHOLE``, where those of the network end."""
        if any(value.is_large for value in values):
            raise self.unsupported("an integer beyond 2^31")

    def same_type(self, *values: Value | None) -> str:
        """The common element type. Raises TLC202."""
        types = sorted({value.dtype for value in values if value is not None})
        if len(types) != 1:
            raise self.unsupported(f"operands of different types: {', '.join(types)}")
        return types[0]

    def checked(self, shape: Shape) -> Shape:
        """``shape`` if it is within the limits: before anything of that shape is allocated."""
        return checked_shape(shape, self._where)

    def foldable(self, size: int) -> None:
        """Refuse entry-by-entry folding of a huge constant."""
        if size > MAX_FOLDED:
            text, most = f"{self.op} of a large constant", f"at most {MAX_FOLDED} entries"
            raise InvalidInput("TLC401", text, field=self._where, expected=most, got=str(size))

    # attributes

    def _attribute(self, name: str, kind: int) -> Any:
        """The attribute's content; None when it is absent."""
        self._read.add(name)
        attribute = self._attributes.get(name)
        if attribute is None:
            return None
        if attribute.ref_attr_name or attribute.type != kind:
            raise self.unsupported(f"attribute {name} of an unexpected type")
        return getattr(attribute, FIELDS[kind])

    def attr_int(self, name: str, default: int) -> int:
        value = self._attribute(name, INT)
        return default if value is None else int(value)

    def attr_flag(self, name: str, default: bool) -> bool:
        """A 0 or 1: runtimes take other numbers for either."""
        value = self.attr_int(name, int(default))
        if value not in (0, 1):
            raise self.unsupported(f"attribute {name} is {value}, neither 0 nor 1")
        return value == 1

    def required_int(self, name: str) -> int:
        """One that the operator's form requires (``_check_form``)."""
        return self.attr_int(name, 0)

    def attr_float(self, name: str, default: float, *, masks: bool = False) -> float:
        """The exact value of a float32 attribute. ``masks``: minus infinity is read too."""
        found = self._attribute(name, FLOAT)
        value = float(np.float32(default) if found is None else found)
        if not (np.isfinite(value) or (masks and value == -np.inf)):
            raise self.nonfinite(f"attribute {name} is not finite")
        return value

    def attr_str(self, name: str, default: str) -> str:
        value: bytes | None = self._attribute(name, STRING)
        return default if value is None else value.decode("utf-8", "replace")

    def attr_ints(self, name: str) -> list[int] | None:
        values = self._attribute(name, INTS)
        return None if values is None else [int(v) for v in values]

    def attr_floats(self, name: str) -> list[float] | None:
        values = self._attribute(name, FLOATS_)
        return None if values is None else [float(v) for v in values]

    def attr_tensor(self, name: str) -> Known | None:
        tensor, where = self._attribute(name, TENSOR), f"{self._where}, attribute {name}"
        return None if tensor is None else read_tensor(tensor, where=where, masks=self.op in MASKS)

    def has(self, name: str) -> bool:
        return name in self._attributes

    def ints_of_input_or_attribute(self, i: int, name: str) -> list[int] | None:
        """A list that older opsets give as attribute ``name`` and newer ones as operand ``i``; None when absent."""
        by_attribute, by_input = self.attr_ints(name), self.optional_ints(i)
        if by_attribute is not None and by_input is not None:
            raise self.unsupported(f"{name} given twice")
        return by_input if by_attribute is None else by_attribute

    def axes(self, axes: Sequence[int], rank: int) -> tuple[int, ...]:
        """``axes`` nonnegative, distinct, sorted. Raises TLC204."""
        if any(not -rank <= a < rank for a in axes):
            raise self.misshapen(f"axes {list(axes)} out of range of rank {rank}")
        normal = tuple(sorted({a % rank for a in axes}))
        if len(normal) != len(axes):
            raise self.misshapen(f"duplicate axes {list(axes)}")
        return normal

    def axis(self, axis: int, rank: int) -> int:
        return self.axes((axis,), rank)[0]

    # results

    def emit(self, op: Operation, *operands: Data) -> Data:
        """Append ``op`` to the graph."""
        dtype = operands[0].dtype
        if any(x.hidden is not None for x in operands):
            raise self.nonfinite("an operand holds minus infinity")
        if any(0 in x.shape for x in operands):
            raise self.unsupported("an operand without entries")
        node = self._builder.add(op, [x.node for x in operands], self.label)
        made = Data(node, self._builder.nodes[node].shape, dtype)
        return self.stored(made, dtype) if dtype in HALVES and not isinstance(op, Rearrange) else made

    def stored(self, x: Data, dtype: str) -> Data:
        """x as numbers of 16 bits; the operation is loaded for networks of such numbers."""
        from tlcheck.trusted.ops.stored import Stored

        return Data(self._builder.add(Stored(dtype), [x.node], self.label), x.shape, dtype)

    def reshape(self, x: Value, shape: Shape) -> Value:
        """x with another shape of the same size."""
        if prod(shape) != prod(x.shape):
            raise self.misshapen(f"{x.shape} does not reshape to {shape}")
        if isinstance(x, Known):
            return x.moved(lambda a: a.reshape(shape))
        hidden = None if x.hidden is None else x.hidden.reshape(shape)
        return x if shape == x.shape else self._rearranged(Rearrange(shape), [x], x.dtype, hidden)

    def _rearranged(
        self, op: Rearrange, operands: Sequence[Data], dtype: str, hidden: NDArray[np.bool_] | None
    ) -> Data:
        """A rearrangement, and where its result is minus infinity."""
        made = self.emit(op, *(Data(x.node, x.shape, x.dtype) for x in operands))
        return Data(made.node, made.shape, dtype, hidden)

    def move(self, x: Value, how: Callable[[NDArray[Any]], NDArray[Any]]) -> Value:
        """``how`` applied to x, where ``how`` only selects and repeats entries: any array goes through it."""
        return self.moves([x], lambda arrays: how(arrays[0]))

    def moves(self, xs: Sequence[Value], how: How) -> Value:
        """``how`` applied to several operands of one type."""
        dtype = self.same_type(*xs)
        known = [x for x in xs if isinstance(x, Known)]
        try:
            if len(known) == len(xs):
                array = how([x.array for x in known])
                self.checked(array.shape)
                return Known(array, dtype, *_moved(known, how))
            index = how(positions([x.shape for x in xs]))
            hidden = _hidden(xs, how)
        except (ValueError, IndexError) as error:
            raise self.misshapen(str(error)) from error
        if not index.size:
            # without entries it is a constant
            return Known(np.zeros(self.checked(index.shape), np.dtype(dtype)), dtype)
        same = len(xs) == 1 and index.size == prod(xs[0].shape)
        if same and bool((index.ravel() == np.arange(index.size)).all()):
            return self.reshape(xs[0], index.shape)
        parts = [self.data(shown(x)) for x in xs if prod(x.shape)]
        op = Rearrange(index.shape, np.ascontiguousarray(index.ravel()))
        return self._rearranged(op, parts, dtype, hidden)

    def over_last(self, x: Value, axis: int, function: Callable[[Data], Value]) -> Value:
        """``function``, which works along the last axis and keeps the shape, along ``axis``."""
        last = self.data(self.move(x, lambda a: np.moveaxis(a, axis, -1)))
        return self.move(function(last), lambda a: np.moveaxis(a, -1, axis))

    def over_axis(self, x: Data, function: Callable[[Data], Value]) -> Value:
        """``function`` along the attribute ``axis``. Before opset 13 the axes from it on count as one."""
        axis = self.axis(self.attr_int("axis", -1 if self.opset >= 13 else 1), len(x.shape))
        if 0 in x.shape:
            raise self.unsupported("empty set")
        if self.opset >= 13:
            return self.over_last(x, axis, function)
        flat = self.data(self.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:]))))
        return self.reshape(function(flat), x.shape)

    def broadcast(self, x: Value, shape: Shape) -> Value:
        """x broadcast to ``shape``."""
        if x.shape == shape:
            return x
        self.checked(shape)
        return self.move(x, lambda a: np.broadcast_to(a, shape))

    def common_shape(self, *values: Value) -> Shape:
        try:
            shape = np.broadcast_shapes(*(value.shape for value in values))
        except ValueError as error:
            raise self.misshapen(f"shapes do not broadcast: {[value.shape for value in values]}") from error
        return self.checked(shape)

    def fits(self, shape: Shape, target: Shape) -> bool:
        """Does ``shape`` broadcast to ``target``?"""
        try:
            return np.broadcast_shapes(shape, target) == target
        except ValueError:
            return False

    def harmless(self, i: int) -> None:
        """Naming output ``i`` does not change what the node is: named and unused, it need not be returned."""
        self._harmless.add(i)

    def _finish(self, results: Sequence[object]) -> None:
        """Every input and attribute was read, and every output that the node names is there. Raises TLC202."""
        for name in self._attributes:
            if name not in self._read:
                raise self.unsupported(f"attribute {name}")
        for i, operand in enumerate(self._operands):
            if operand is not None and i not in self._used:
                raise self.unsupported(f"operand {i}")
        for i, name in enumerate(self.outputs):
            if name and i >= len(results) and (self.wanted[i] or i not in self._harmless):
                raise self.unsupported(f"output {i} '{str(name)[:MAX_LABEL]}'")


def positions(shapes: Sequence[Shape]) -> list[NDArray[np.int64]]:
    """The entries of arrays of these shapes numbered, one array after the other."""
    ends = np.cumsum([0, *(prod(shape) for shape in shapes)])
    parts = np.split(np.arange(ends[-1], dtype=np.int64), ends[1:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=False)]


def _hidden(xs: Sequence[Value], how: How) -> NDArray[np.bool_] | None:
    """Where ``how`` puts entries that are minus infinity."""
    if all(x.hidden is None for x in xs):
        return None
    found = how([np.zeros(x.shape, np.bool_) if x.hidden is None else x.hidden for x in xs])
    return np.asarray(found, np.bool_) if bool(found.any()) else None


def _moved(known: Sequence[Known], how: How) -> tuple[NDArray[np.float64] | None, int, Formula | None]:
    """Radius, roundings and formula of constants that ``how`` moves."""
    roundings = max(x.roundings for x in known)
    if all(x.rad is None for x in known):
        return None, roundings, None
    rad = how([np.zeros(x.shape) if x.rad is None else x.rad for x in known])
    if all(x.formula is None for x in known):
        return rad, roundings, None
    index = np.asarray(how(list(positions([x.shape for x in known]))), np.int64)
    return rad, roundings, gathered([formula_of(x.constant()) for x in known], index)


def shown(x: Value) -> Value:
    """x with a number where it is minus infinity: a constant with 0, data with whatever its node has there."""
    if x.hidden is None:
        return x
    if isinstance(x, Data):
        return Data(x.node, x.shape, x.dtype)
    return Known(np.where(x.hidden, np.zeros((), x.array.dtype), x.array), x.dtype, x.rad, x.roundings)
