"""Operators whose indices the network computes: Slice, Gather, Range, ScatterND and the shapes that follow from them.

Tensors that such integers decide are ``Late`` until one has a fixed shape again; then the steps that lead to it become
one ``Indexed`` operation. Steps on integers and on places only: arithmetic on late floats is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.call import Call
from tlcheck.readers.onnx.values import Data, Known, Late, Shape, Value
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.formula import Formula, Moved, Stored
from tlcheck.trusted.ops import indexed

Part = Late | Known | Data
Ints = NDArray[np.int64]

INDICES: dict[str, tuple[int, ...]] = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Gather": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "ScatterND": (1,),
    "Slice": (1, 2, 3, 4),
}
"""Operands that say where, or what shape: integers."""


def decided_late(operator: str, operands: Sequence[Value | Late | None]) -> bool:
    """The operator takes a late tensor, or integers that the network computes as its indices."""
    if any(isinstance(x, Late) for x in operands):
        return True
    return any(
        isinstance(operands[i], Data) for i in INDICES.get(operator, ()) if i < len(operands)
    ) and not any(
        isinstance(x, Data) and x.is_float for i, x in enumerate(operands) if i in INDICES[operator]
    )


# One lowering per operator.


def _part(call: Call, i: int) -> Part:
    x = call.raw(i)
    return call.value(i) if x is None else x


def _integers(call: Call, *parts: Part) -> None:
    for x in parts:
        if x.dtype not in ("int32", "int64"):
            raise call.unsupported(f"operand of type {x.dtype} beside integers of the network")


def _step(
    call: Call,
    name: str,
    *parts: Part,
    numbers: Sequence[int] = (),
    dtype: str | None = None,
    shape: Shape | None = None,
) -> list[Value | Late]:
    """The step; as soon as its shape is fixed and it holds floats, the operation."""
    late = Late(name, parts, np.array(numbers, np.int64), dtype or parts[0].dtype, shape)
    if shape is None or not late.is_float:
        return [late]
    return [_emitted(call, late, shape)]


def _on_integers(name: str) -> Callable[[Call], list[Value | Late]]:
    def lower(call: Call) -> list[Value | Late]:
        a, b = _part(call, 0), _part(call, 1)
        _integers(call, a, b)
        if a.dtype != b.dtype:
            raise call.unsupported(f"operands of different types: {a.dtype}, {b.dtype}")
        return _step(call, name, a, b, dtype="bool" if name == "Equal" else a.dtype)

    return lower


def _where(call: Call) -> list[Value | Late]:
    c, a, b = _part(call, 0), _part(call, 1), _part(call, 2)
    if c.dtype != "bool" or a.dtype != b.dtype:
        raise call.unsupported(f"operands of types {c.dtype}, {a.dtype}, {b.dtype}")
    return _step(call, "Where", c, a, b, dtype=a.dtype)


def _shape(call: Call) -> list[Value | Late]:
    return _step(call, "Shape", _part(call, 0), dtype="int64")


def _range(call: Call) -> list[Value | Late]:
    parts = [_part(call, i) for i in range(3)]
    _integers(call, *parts)
    return _step(call, "Range", *parts)


def _slice(call: Call) -> list[Value | Late]:
    """The form with operands; axes must be given as constants."""
    x, starts, ends = (_part(call, i) for i in range(3))
    _integers(call, starts, ends)
    axes = call.known(3)
    ones = Known(np.ones(len(call.integers(axes)), np.int64), "int64")
    steps = ones if call.raw(4) is None else _part(call, 4)
    _integers(call, steps)
    if call.opset < 13 and not (isinstance(steps, Known) and bool((steps.array > 0).all())):
        raise call.unsupported("a negative step before opset 13: the standard and runtimes may differ")
    return _step(call, "Slice", x, starts, ends, axes, steps)


def _gather(call: Call) -> list[Value | Late]:
    x, index = _part(call, 0), _part(call, 1)
    _integers(call, index)
    axis = call.attr_int("axis", 0)
    shape = None
    if x.shape is not None and index.shape is not None:
        axis = call.axis(axis, len(x.shape))
        shape = call.checked(x.shape[:axis] + index.shape + x.shape[axis + 1 :])
    return _step(call, "Gather", x, index, numbers=[axis], shape=shape)


def _scatter_nd(call: Call) -> list[Value | Late]:
    x, index, updates = (_part(call, i) for i in range(3))
    _integers(call, index)
    if call.attr_str("reduction", "none") != "none":
        raise call.unsupported("reduction")
    if x.dtype != updates.dtype:
        raise call.unsupported(f"operands of different types: {x.dtype}, {updates.dtype}")
    return _step(call, "ScatterND", x, index, updates, shape=x.shape)


def _reshape(call: Call) -> list[Value | Late]:
    x, target = _part(call, 0), _part(call, 1)
    _integers(call, target)
    keep_zero = int(call.attr_flag("allowzero", False))
    fixed = call.integers(target) if isinstance(target, Known) else []
    shape = tuple(fixed) if fixed and all(n > 0 for n in fixed) else None
    if shape is not None:
        call.checked(shape)
    return _step(call, "Reshape", x, target, numbers=[keep_zero], shape=shape)


def _expand(call: Call) -> list[Value | Late]:
    x, target = _part(call, 0), _part(call, 1)
    _integers(call, target)
    return _step(call, "Expand", x, target)


def _constant_of_shape(call: Call) -> list[Value | Late]:
    target, value = _part(call, 0), call.attr_tensor("value")
    _integers(call, target)
    if value is None:
        value = Known(np.zeros((), np.float32), "float32")
    if value.array.size != 1:
        raise call.misshapen(f"value of shape {value.shape}")
    return _step(call, "Expand", Known(value.array.reshape(()), value.dtype), target)


def _axes(name: str) -> Callable[[Call], list[Value | Late]]:
    def lower(call: Call) -> list[Value | Late]:
        axes = call.ints_of_input_or_attribute(1, "axes")
        if not axes:
            raise call.unsupported("no axes")
        return _step(call, name, _part(call, 0), numbers=axes)

    return lower


def _concat(call: Call) -> list[Value | Late]:
    parts = [_part(call, i) for i in range(call.n_inputs)]
    if len({x.dtype for x in parts}) != 1:
        raise call.unsupported("operands of different types")
    return _step(call, "Concat", *parts, numbers=[call.required_int("axis")])


def _identity(call: Call) -> list[Value | Late]:
    return [_part(call, 0)]


LATE: dict[str, Callable[[Call], list[Value | Late]]] = {
    "Add": _on_integers("Add"),
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Equal": _on_integers("Equal"),
    "Expand": _expand,
    "Gather": _gather,
    "Identity": _identity,
    "Mul": _on_integers("Mul"),
    "Range": _range,
    "Reshape": _reshape,
    "ScatterND": _scatter_nd,
    "Shape": _shape,
    "Slice": _slice,
    "Squeeze": _axes("Squeeze"),
    "Sub": _on_integers("Sub"),
    "Unsqueeze": _axes("Unsqueeze"),
    "Where": _where,
}


# The operation.


def _emitted(call: Call, late: Late, shape: Shape) -> Data:
    """All steps that ``late`` rests on, as one operation."""
    order: list[Late] = []
    leaves: list[Known | Data] = []
    _collect(late, order, leaves, set())
    operands = [x for x in leaves if isinstance(x, Data)]
    moved = tuple(x.is_float for x in operands)
    place = sum(int(np.prod(x.shape)) for x in operands if x.is_float)
    position = {id(x): i for i, x in enumerate(operands)}
    steps: list[indexed.Call] = []
    pool: list[Known] = []
    for x in leaves:
        if isinstance(x, Known):
            entries = (
                np.arange(place, place + x.array.size) if x.is_float else x.array.astype(np.int64).ravel()
            )
            if x.is_float:
                pool.append(x.settled())
                place += x.array.size
            position[id(x)] = len(operands) + len(steps)
            steps.append(indexed.Call("Constant", (), np.array([len(x.shape), *x.shape, *entries], np.int64)))
    for step in order:
        position[id(step)] = len(operands) + len(steps)
        steps.append(indexed.Call(step.name, tuple(position[id(p)] for p in step.operands), step.numbers))
    op = indexed.Indexed(shape, moved, _pool(pool), tuple(steps))
    return call.emit(op, *operands).as_type(late.dtype)


def _collect(late: Late, order: list[Late], leaves: list[Known | Data], seen: set[int]) -> None:
    """Steps in order (operands first), and the constants and nodes that they read, each once."""
    pending: list[tuple[Part, bool]] = [(late, False)]
    while pending:
        part, expanded = pending.pop()
        if expanded and isinstance(part, Late):
            order.append(part)
        elif id(part) not in seen:
            seen.add(id(part))
            if isinstance(part, Late):
                pending.append((part, True))
                pending.extend((p, False) for p in part.operands)
            else:
                leaves.append(part)


def _pool(pool: list[Known]) -> Constant:
    if not pool:
        return Constant(np.zeros(0))
    mid = np.concatenate([x.array.astype(np.float64).ravel() for x in pool])
    if all(x.rad is None for x in pool):
        return Constant(mid)
    rad = np.concatenate([np.zeros(x.array.size) if x.rad is None else x.rad.ravel() for x in pool])
    return Constant(mid, rad, Moved(tuple(_numbers(x) for x in pool), np.arange(mid.size)))


def _numbers(x: Known) -> Formula:
    return x.formula or Stored(x.array.astype(np.float64), x.rad)
