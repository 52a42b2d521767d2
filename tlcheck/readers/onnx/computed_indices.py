"""Operators whose indices the network computes: Slice, Gather, Range, ScatterND and the shapes that follow from them.

Tensors that such integers decide are ``Late`` until one has a fixed shape again; then the steps that lead to it become
one ``Indexed`` operation. Steps on integers and on places only: arithmetic on late floats is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.onnx.call import Call, positions
from tlcheck.readers.onnx.operands import Data, Known, Late, Part, Shape
from tlcheck.readers.onnx.table import LATE
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.formula import Moved, Stored
from tlcheck.trusted.ops import indexed

# Operators: the functions that rows of table.LATE name.


def _parts(call: Call, count: int) -> list[Part]:
    """The first operands, all there; those that say where or what shape hold integers."""
    parts = [call.value(i) if (x := call.raw(i)) is None else x for i in range(count)]
    _require_integers(call, *(parts[i] for i in LATE[call.op][1] if i < count))
    return parts


def _require_integers(call: Call, *parts: Part) -> None:
    for x in parts:
        if x.dtype not in ("int32", "int64"):
            raise call.unsupported(f"operand of type {x.dtype} beside integers of the network")


def _step(
    call: Call,
    *parts: Part,
    numbers: Sequence[int] = (),
    dtype: str | None = None,
    shape: Shape | None = None,
) -> list[Part]:
    """The operator's step; as soon as its shape is fixed and it holds floats, the operation."""
    name = "Expand" if call.op == "ConstantOfShape" else call.op
    late = Late(name, tuple(parts), np.array(numbers, np.int64), dtype or parts[0].dtype, shape)
    return [late if shape is None or not late.is_float else _emitted(call, late, shape)]


def identity(call: Call) -> list[Part]:
    return [*_parts(call, 1)]


def arithmetic(call: Call) -> list[Part]:
    """Add, Sub, Mul and Equal of integers."""
    a, b = _parts(call, 2)
    _require_integers(call, a, b)
    call.refuse(a.dtype != b.dtype, f"operands of different types: {a.dtype}, {b.dtype}")
    return _step(call, a, b, dtype="bool" if call.op == "Equal" else a.dtype)


def where(call: Call) -> list[Part]:
    c, a, b = _parts(call, 3)
    call.refuse(c.dtype != "bool" or a.dtype != b.dtype, f"operands of types {c.dtype}, {a.dtype}, {b.dtype}")
    return _step(call, c, a, b, dtype=a.dtype)


def shape_of(call: Call) -> list[Part]:
    return _step(call, *_parts(call, 1), dtype="int64")


def sized(call: Call) -> list[Part]:
    """Range and Expand: the integers decide the shape."""
    return _step(call, *_parts(call, call.n_inputs))


def slice_(call: Call) -> list[Part]:
    """The form with operands; axes must be given as constants."""
    x, starts, ends = _parts(call, 3)
    axes = call.known(3)
    ones = Known(np.ones(len(call.integers(axes)), np.int64), "int64")
    steps = call.raw(4) or ones
    _require_integers(call, steps)
    if call.opset < 13 and not (isinstance(steps, Known) and bool((steps.array > 0).all())):
        raise call.unsupported("a negative step before opset 13: the standard and runtimes may differ")
    return _step(call, x, starts, ends, axes, steps)


def gather(call: Call) -> list[Part]:
    x, index = _parts(call, 2)
    axis, shape = call.attr_int("axis", 0), None
    if x.shape is not None and index.shape is not None:
        axis = call.axis(axis, len(x.shape))
        shape = call.checked(x.shape[:axis] + index.shape + x.shape[axis + 1 :])
    return _step(call, x, index, numbers=[axis], shape=shape)


def scatter_nd(call: Call) -> list[Part]:
    x, index, updates = _parts(call, 3)
    call.refuse(call.attr_str("reduction", "none") != "none", "reduction")
    call.refuse(x.dtype != updates.dtype, f"operands of different types: {x.dtype}, {updates.dtype}")
    return _step(call, x, index, updates, shape=x.shape)


def reshape(call: Call) -> list[Part]:
    x, target = _parts(call, 2)
    keep_zero = int(call.attr_flag("allowzero", False))
    fixed = call.integers(target) if isinstance(target, Known) else []
    shape = call.checked(tuple(fixed)) if fixed and all(n > 0 for n in fixed) else None
    return _step(call, x, target, numbers=[keep_zero], shape=shape)


def constant_of_shape(call: Call) -> list[Part]:
    (target,) = _parts(call, 1)
    value = call.attr_tensor("value") or Known(np.zeros((), np.float32), "float32")
    call.refuse_shape(value.array.size != 1, f"value of shape {value.shape}")
    return _step(call, Known(value.array.reshape(()), value.dtype), target)


def squeeze(call: Call) -> list[Part]:
    """Squeeze and Unsqueeze, with axes."""
    axes = call.ints_of_input_or_attribute(1, "axes")
    call.refuse(not axes, "no axes")
    return _step(call, *_parts(call, 1), numbers=axes or ())


def concat(call: Call) -> list[Part]:
    parts = _parts(call, call.n_inputs)
    call.refuse(len({x.dtype for x in parts}) != 1, "operands of different types")
    return _step(call, *parts, numbers=[call.required_int("axis")])


# The operation.


def _emitted(call: Call, late: Late, shape: Shape) -> Data:
    """All steps that ``late`` rests on, as one operation. Entries of floats are numbered through: those of nodes first."""
    order, leaves = _collected(late)
    operands = [x for x in leaves if isinstance(x, Data)]
    constants = [x for x in leaves if isinstance(x, Known)]
    floats, pool = [x for x in operands if x.is_float], [x for x in constants if x.is_float]
    numbered: list[Data | Known] = [*floats, *pool]
    places = dict(zip(map(id, numbered), positions([x.shape for x in numbered]), strict=True))
    position = {id(x): i for i, x in enumerate([*operands, *constants, *order])}
    steps = [
        *(_constant(x, places[id(x)] if x.is_float else x.array.astype(np.int64)) for x in constants),
        *(indexed.Call(s.name, tuple(position[id(p)] for p in s.operands), s.numbers) for s in order),
    ]
    moved = tuple(x.is_float for x in operands)
    op = indexed.Indexed(shape, moved, _pool([x.settled() for x in pool]), tuple(steps))
    return call.emit(op, *operands).as_type(late.dtype)


def _constant(x: Known, entries: NDArray[np.int64]) -> indexed.Call:
    return indexed.Call("Constant", (), np.array([len(x.shape), *x.shape, *entries.ravel()], np.int64))


def _collected(late: Late) -> tuple[list[Late], list[Known | Data]]:
    """Steps in order (operands first), and the constants and nodes that they read, each once."""
    order: list[Late] = []
    leaves: list[Known | Data] = []
    seen: set[int] = set()
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
    return order, leaves


def _pool(pool: list[Known]) -> Constant:
    """The constants' entries, one after the other."""
    if not pool:
        return Constant(np.zeros(0))
    mid = np.concatenate([x.array.astype(np.float64).ravel() for x in pool])
    if all(x.rad is None for x in pool):
        return Constant(mid)
    rad = np.concatenate([np.zeros(x.array.size) if x.rad is None else x.rad.ravel() for x in pool])
    formulas = tuple(x.formula or Stored(x.array.astype(np.float64), x.rad) for x in pool)
    return Constant(mid, rad, Moved(formulas, np.arange(mid.size)))
