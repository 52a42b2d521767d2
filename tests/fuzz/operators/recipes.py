"""Seeded nodes of every operator of the default domain.

A recipe draws operands and attributes; which attributes exist, and whether a list is an operand or an attribute, the
version's schema says (``Maker.attr``, ``Maker.listed``). Operators without a recipe get operands by their schema.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from tests.fuzz.operators import features
from tests.fuzz.operators.model import Case, Maker, schemas, versions
from tests.trusted.functions import OPERATORS
from tlcheck.readers.onnx import LOWERINGS

Recipe = Callable[[Maker], None]

EXTREME = [-(2**63), 2**63 - 1, -(2**31), 2**31 - 1, -1000, 1000]
TYPES = [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16]
"""Element types by their numbers."""


def operators() -> list[str]:
    """With some version in use from opset 7 on."""
    return [name for name in schemas() if versions(name)]


def draw(operator: str, rng: random.Random) -> Case:
    """A case of the operator, at an opset of one of its versions."""
    schema, first, last = rng.choice(versions(operator))
    opset = rng.choice([first, last, rng.randint(first, last)])
    m = Maker(operator, schema, opset, rng)
    RECIPES.get(operator, unread)(m)
    return m.finish()


def aimed(seed: int, index: int, only: tuple[str, ...] = ()) -> Case:
    """A case with entry ``index`` of the plan of all features of all versions."""
    rows = features.plan(only)
    operator, version, feature = rows[index % len(rows)]
    rng = random.Random(f"{seed}/aimed {index}")
    schema, first, last = versions(operator)[version]
    m = Maker(operator, schema, rng.choice([first, last]), rng)
    RECIPES.get(operator, unread)(m)
    features.aim(m, feature)
    m.spoils = False
    return m.finish()


def case_of(seed: int, index: int, only: tuple[str, ...] = ()) -> Case:
    """Case ``index`` of a run: every operator in turn, ROUNDS times; then the plan of features in turn with the operators that
    are read, now and then another.

    ``only``: these operators in turn.
    """
    if index % 2 and (only or index >= ROUNDS * len(operators())):
        return aimed(seed, (index + START * seed) // 2, only)
    rng = random.Random(f"{seed}/{index}")
    if only:
        return draw(only[index % len(only)], rng)
    names = operators()
    if index < ROUNDS * len(names):
        return draw(names[index % len(names)], rng)
    read = [name for name in names if name in LOWERINGS]
    others = [name for name in names if name not in LOWERINGS]
    weights = [WEIGHTS.get(name, 1) for name in read]
    if rng.random() < 0.02:
        return draw(rng.choice(others), rng)
    return draw(rng.choices(read, weights)[0], rng)


ROUNDS = 4
START = 7919
"""Runs of other seeds begin elsewhere in the plan."""

WEIGHTS = {
    "Conv": 3, "ConvTranspose": 4, "MaxPool": 4, "AveragePool": 4, "Slice": 3, "Resize": 5, "Pad": 3, "Reshape": 2, "Split": 2,
    "Gather": 2, "GatherND": 2, "ScatterND": 2, "ScatterElements": 2, "BatchNormalization": 3, "Gemm": 2, "MatMul": 2,
    "LayerNormalization": 2, "Upsample": 2, "Cast": 2, "Mod": 2, "Pow": 2, "Clip": 2, "Squeeze": 2, "Unsqueeze": 2, "Einsum": 2,
    "Range": 2, "OneHot": 2, "TopK": 1,
}  # fmt: skip


# One operand.

PARAMETER = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 0.01, 2.0, 0.2, 3.0, 1e-5]


def unary(low: float | None = None, high: float | None = None, p: float = 0.9) -> Recipe:
    """A function of one variable; most operands within its domain. Float attributes from PARAMETER."""

    def recipe(m: Maker) -> None:
        inside = m.maybe(p)
        m.operand(m.floats(m.shape(), low if inside else None, high if inside else None))
        for name, attribute in sorted(m.schema.attributes.items()):
            if str(attribute.type).endswith(".FLOAT"):
                m.attr(name, m.pick(PARAMETER))

    return recipe


def gelu(m: Maker) -> None:
    m.operand(m.floats(m.shape(), -6, 6))
    m.attr("approximate", m.pick(["none", "tanh", "tanh", ""]))


def is_infinite(m: Maker) -> None:
    m.operand(m.floats(m.shape()))
    m.flag("detect_negative")
    m.flag("detect_positive")


def identity(m: Maker) -> None:
    m.operand(any_values(m, m.shape()))


def any_values(m: Maker, shape: tuple[int, ...]) -> Any:
    """Floats, integers or booleans."""
    kind = m.pick(["float"] * 6 + ["int64", "int32", "bool"])
    if kind == "float":
        return m.floats(shape)
    return m.bools(shape) if kind == "bool" else m.ints(shape, -9, 9, kind)


def negation(m: Maker) -> None:
    m.operand(m.bools(m.shape()), m.pick(["data", "data", "constant"]))


def number(m: Maker) -> None:
    """Abs, Neg, Sign: of floats and integers."""
    m.operand(any_values(m, m.shape()))


# Two operands, and more.


def binary(m: Maker) -> None:
    a, b = m.broadcastable(2)
    kind = m.pick(["float"] * 8 + ["int64", "int64", "int32"])
    for shape in (a, b):
        m.operand(
            m.floats(shape) if kind == "float" else m.ints(shape, -9, 9, kind), m.pick(["", "", "data"])
        )


def comparison(m: Maker) -> None:
    """Often equal entries."""
    a, b = m.broadcastable(2)
    kind = m.pick(["float"] * 4 + ["int64", "int32", "bool"])
    for shape in (a, b):
        value = m.bools(shape) if kind == "bool" else m.ints(shape, -2, 2, np.int64)
        m.operand(value.astype(m.float) / 2 if kind == "float" else value.astype(np.bool_ if kind == "bool" else kind),
                  m.pick(["", "data"]))  # fmt: skip


def logical(m: Maker) -> None:
    for shape in m.broadcastable(2):
        m.operand(m.bools(shape), m.pick(["data", "data", "constant"]))


def power(m: Maker) -> None:
    a, b = m.broadcastable(2)
    positive = m.maybe(0.5)
    m.operand(m.floats(a, 0 if positive else -8, 8))
    exponents = m.floats(b, -2, 3) if positive else m.ints(b, -2, 4).astype(m.float)
    if m.maybe(0.15):
        exponents = np.full(b, m.pick([0.5, 2.0, 3.0, 0.0, -1.0, 1.0]), m.float)
    if m.maybe(0.1):
        exponents = exponents.astype(m.pick(["int64", "int32", "float64", "float32"]))
    m.operand(exponents, m.pick(["constant", "constant", "data"]))


def modulo(m: Maker) -> None:
    a, b = m.broadcastable(2)
    kind = m.pick(["float", "float", "int64", "int32", "uint8", "int8"])
    if kind == "float":
        m.operand(m.floats(a), "")
        m.operand(m.floats(b, 0.5, 8) * m.pick([1, 1, -1]), m.pick(["constant", "constant", "data"]))
    else:
        m.operand(m.ints(a, 0 if kind == "uint8" else -9, 9, kind), m.pick(["data", "constant"]))
        m.operand(
            m.ints(b, 1, 5, kind) * np.array(1 if kind == "uint8" else m.pick([1, -1]), kind), "constant"
        )
    m.flag("fmod", 0.7 if kind == "float" else 0.4)


def prelu(m: Maker) -> None:
    shape = m.shape(1, 4)
    m.operand(m.floats(shape))
    slope = m.part_of(shape)
    if len(shape) > 1 and m.maybe(0.3):
        slope = m.pick([(shape[1],), (shape[1], *(1,) * (len(shape) - 2)), (1,), ()])
    m.operand(m.floats(slope, -2, 2), m.pick(["constant"] * 9 + ["data"]))


def variadic(m: Maker) -> None:
    count = m.pick([1, 2, 2, 3, 4])
    kind = m.pick(["float"] * 6 + ["int64", "int32"])
    for shape in m.broadcastable(count):
        m.operand(m.floats(shape) if kind == "float" else m.ints(shape, -9, 9, kind))


def where(m: Maker) -> None:
    c, a, b = m.broadcastable(3)
    m.operand(m.bools(c), m.pick(["data", "data", "constant"]))
    kind = m.pick(["float"] * 4 + ["int64", "bool"])
    for shape in (a, b):
        m.operand(
            m.floats(shape) if kind == "float" else m.bools(shape) if kind == "bool" else m.ints(shape, -9, 9)
        )


def clip(m: Maker) -> None:
    """Also with the bounds in the wrong order, equal, or infinite."""
    kind = m.pick(["float"] * 7 + ["int64", "int32"])
    shape = m.shape()
    m.operand(m.floats(shape) if kind == "float" else m.ints(shape, -9, 9, kind))
    low, high = (float(m.int(-6, 6)) / m.pick([1, 1, 2]) for _ in range(2))
    if m.maybe(0.75):
        low, high = min(low, high), max(low, high)
    for name, value in (("min", low), ("max", high)):
        if m.takes(name):
            m.attr(name, m.pick([value] * 9 + [3.4028234663852886e38, float("inf")]))
        elif m.maybe(0.75):
            bound = np.array(value, m.float if kind == "float" else kind)
            m.operand(bound.reshape(m.pick([()] * 12 + [(1,)])), m.pick(["constant"] * 9 + ["data"]))
        else:
            m.absent()


def concat(m: Maker) -> None:
    shape = list(m.shape(1, 4))
    axis = m.axis(len(shape))
    kind = m.pick(["float"] * 5 + ["int64", "bool"])
    for _ in range(m.pick([1, 2, 2, 3])):
        own = list(shape)
        if -len(shape) <= axis < len(shape):
            own[axis] = m.size()
        if m.maybe(0.01):
            own[0] += 1
        m.operand(
            m.floats(tuple(own))
            if kind == "float"
            else m.bools(tuple(own))
            if kind == "bool"
            else m.ints(tuple(own), -9, 9)
        )
    m.attr("axis", axis)


def einsum(m: Maker) -> None:
    sizes = {c: m.int(1, 3) for c in "abcde"}
    count = m.pick([1, 2, 2, 2, 3])
    terms = ["".join(m.rng.sample("abcde", m.int(0, 3))) for _ in range(count)]
    if m.maybe(0.05) and terms[0]:
        terms[0] += terms[0][0]
    letters = sorted(set("".join(terms)))
    kept = "".join(m.rng.sample(letters, m.int(0, len(letters))))
    ellipsis = "..." if m.maybe(0.08) else ""
    extra = (m.int(1, 2),) if ellipsis else ()
    arrow = m.pick(["->" + ellipsis + kept] * 4 + [""])
    equation = ",".join(ellipsis + t for t in terms) + arrow
    m.attr(
        "equation",
        equation.replace(",", m.pick([",", ",", " , "])).replace("->", m.pick(["->", "->", " -> "])),
    )
    for term in terms:
        m.operand(m.floats((*extra, *(sizes[c] if not m.maybe(0.03) else 1 for c in term))))


# Products.


def gemm(m: Maker) -> None:
    rows, inner, columns = (m.size() for _ in range(3))
    a, b = m.flag("transA"), m.flag("transB")
    m.operand(m.floats((inner, rows) if a else (rows, inner)))
    m.operand(m.floats((columns, inner) if b else (inner, columns)))
    if m.maybe(0.75):
        shape = m.pick([(rows, columns), (columns,), (1, columns), (rows, 1), (1, 1), (1,), (), (rows,)])
        m.operand(m.floats(shape))
    else:
        m.absent()
    m.attr("alpha", m.pick(PARAMETER))
    m.attr("beta", m.pick(PARAMETER))


def matmul(m: Maker) -> None:
    rows, inner, columns = (m.size() for _ in range(3))
    batch = m.shape(0, 2)
    a, b = (*m.part_of(batch), rows, inner), (*m.part_of(batch), inner, columns)
    if m.maybe(0.15):
        a = (inner,)
    if m.maybe(0.15):
        b = (inner,)
    m.operand(m.floats(a))
    m.operand(m.floats(b))


def _spatial(m: Maker) -> tuple[int, ...]:
    return tuple(m.int(1, 6) for _ in range(m.pick([1, 1, 2, 2, 2, 3])))


def _geometry(m: Maker, spatial: tuple[int, ...], kernel: tuple[int, ...], *, shape_p: float) -> None:
    """kernel_shape, strides, dilations, pads and auto_pad, in every combination."""
    rank = len(spatial)
    m.attr("kernel_shape", list(kernel), shape_p)
    m.attr("strides", [m.pick([1, 1, 2, 2, 3, 4]) for _ in range(rank)], 0.6)
    m.attr("dilations", [m.pick([1, 1, 2, 3]) for _ in range(rank)], 0.35)
    how = m.pick(["none", "pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
    if how in ("pads", "NOTSET"):
        m.attr(
            "pads",
            [m.pick([0, 0, 1, 1, 2, 3, -1] if m.maybe(0.03) else [0, 0, 1, 1, 2]) for _ in range(2 * rank)],
            0.95,
        )
    if how not in ("none", "pads"):
        m.attr("auto_pad", how, 1.0)
        if m.maybe(0.05):
            m.attr("pads", [m.int(0, 1) for _ in range(2 * rank)], 1.0)


def _kernel(m: Maker, spatial: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(m.int(1, min(n + 1, 4)) for n in spatial)


def conv(m: Maker) -> None:
    spatial = _spatial(m)
    kernel = _kernel(m, spatial)
    groups = m.pick([1, 1, 1, 2, 3])
    per_group, out = m.int(1, 2), m.int(1, 2)
    m.operand(
        m.floats((m.pick([1, 1, 2]), groups * per_group, *spatial)), m.pick(["data"] * 9 + ["constant"])
    )
    m.operand(m.floats((groups * out, per_group, *kernel)), m.pick(["constant"] * 12 + ["data"]))
    if m.maybe(0.5):
        m.operand(m.floats((groups * out,)), m.pick(["constant"] * 12 + ["data"]))
    m.attr("group", groups, 1.0 if groups > 1 and m.maybe(0.97) else 0.4)
    _geometry(m, spatial, kernel, shape_p=0.5)


def conv_transpose(m: Maker) -> None:
    spatial = _spatial(m)[:2]
    kernel = _kernel(m, spatial)
    groups = m.pick([1, 1, 2])
    per_group, out = m.int(1, 2), m.int(1, 2)
    m.operand(
        m.floats((m.pick([1, 1, 2]), groups * per_group, *spatial)), m.pick(["data"] * 9 + ["constant"])
    )
    m.operand(m.floats((groups * per_group, out, *kernel)), m.pick(["constant"] * 12 + ["data"]))
    if m.maybe(0.5):
        m.operand(m.floats((groups * out,)), m.pick(["constant"] * 12 + ["data"]))
    m.attr("group", groups, 1.0 if groups > 1 and m.maybe(0.97) else 0.4)
    _geometry(m, spatial, kernel, shape_p=0.5)
    m.attr("output_padding", [m.pick([0, 0, 1, 2]) for _ in spatial], 0.25)
    if m.maybe(0.15):
        m.attr("output_shape", [n * m.int(1, 3) + m.int(0, 2) for n in spatial], 1.0)


def batch_normalization(m: Maker) -> None:
    shape = (m.pick([1, 2]), m.int(1, 4), *(m.size() for _ in range(m.pick([0, 1, 2, 2]))))
    channels = shape[1]
    m.operand(m.floats(shape), "data" if m.maybe(0.9) else "")
    form = (channels,)
    if m.takes("spatial") and m.attr("spatial", m.pick([0, 1]), 0.4) == 0 and m.maybe(0.8):
        form = shape[1:]
    for low in (-4, -4, -4, 0):
        m.operand(m.floats(form, low, 4), m.pick(["constant"] * 19 + ["data"]))
    m.attr("epsilon", m.pick([0.0, 1e-5, 0.25, 1.0]))
    m.attr("momentum", m.pick([0.0, 0.9, 1.0]), 0.4)
    m.attr("training_mode", m.pick([0, 0, 0, 1]), 0.4)


def cum_sum(m: Maker) -> None:
    shape = m.shape(1, 3)
    m.operand(m.floats(shape))
    axis = np.array(m.axis(len(shape)), m.pick([np.int64, np.int32]))
    m.operand(axis.reshape(m.pick([(), (), (1,)])), "constant")
    m.flag("exclusive")
    m.flag("reverse")


# Normalisations.


def normalized(first: int) -> Recipe:
    """LayerNormalization and RMSNormalization: ``first`` is the number of the bias operand (0: none)."""

    def recipe(m: Maker) -> None:
        shape = m.shape(1, 4)
        axis = m.attr("axis", m.axis(len(shape)))
        tail = (
            shape[-1 if axis is None else axis :]
            if axis is None or -len(shape) <= axis < len(shape)
            else shape
        )
        m.operand(m.floats(shape), "data" if m.maybe(0.9) else "")
        m.operand(m.floats(m.part_of(tail) if m.maybe(0.2) else tail))
        if first and m.maybe(0.6):
            m.operand(m.floats(m.part_of(tail) if m.maybe(0.2) else tail))
        m.attr("epsilon", m.pick([1e-5, 0.25, 1.0]))
        m.attr("stash_type", m.pick([1, 1, 1, 0, 10, 11, 16]), 0.3)

    return recipe


def instance_normalization(m: Maker) -> None:
    shape = (m.pick([1, 2]), m.int(1, 4), *(m.int(1, 4) for _ in range(m.pick([0, 1, 2, 2]))))
    m.operand(m.floats(shape), "data")
    for _ in range(2):
        m.operand(m.floats((shape[1],)))
    m.attr("epsilon", m.pick([1e-5, 0.25, 1.0]))


def group_normalization(m: Maker) -> None:
    groups, each = m.int(1, 3), m.int(1, 3)
    shape = (m.pick([1, 2]), groups * each, *(m.int(1, 4) for _ in range(m.pick([0, 1, 2]))))
    m.operand(m.floats(shape), "data")
    old = m.schema.since_version < 21
    for _ in range(2):
        m.operand(m.floats((groups if old != m.maybe(0.05) else groups * each,)))
    m.attr("num_groups", groups)
    m.attr("epsilon", m.pick([1e-5, 0.25, 1.0]))
    m.attr("stash_type", m.pick([1, 1, 1, 0, 10]), 0.3)


def lrn(m: Maker) -> None:
    m.operand(m.floats((m.pick([1, 2]), m.int(1, 6), *(m.int(1, 3) for _ in range(m.pick([0, 1, 2, 2]))))))
    m.attr("size", m.int(1, 7))
    m.attr("alpha", m.pick([1e-4, 0.5, 1.0, 0.0]))
    m.attr("beta", m.pick([0.75, 0.5, 1.0, 2.0, 0.0, -1.0]))
    m.attr("bias", m.pick([1.0, 2.0, 0.5]))


def lp_normalization(m: Maker) -> None:
    shape = m.shape(1, 4)
    m.operand(m.floats(shape))
    m.attr("axis", m.axis(len(shape)))
    m.attr("p", m.pick([1, 2, 2, 3]))


# Pools and reductions.


def pool(m: Maker) -> None:
    spatial = _spatial(m)
    kernel = _kernel(m, spatial)
    x = m.floats((m.pick([1, 1, 2]), m.int(1, 2), *spatial))
    if m.maybe(0.04):
        x = x.astype(m.pick(["int8", "uint8"]))
    m.operand(x, "data" if m.maybe(0.92) else "constant")
    _geometry(m, spatial, kernel, shape_p=0.97)
    m.flag("ceil_mode", 0.5)
    m.flag("count_include_pad", 0.5)
    m.attr("storage_order", m.pick([0, 1]), 0.3)
    m.attr("p", m.pick([1, 2, 3]), 0.5)


def global_pool(m: Maker) -> None:
    if m.operator == "GlobalLpPool":  # no oracle has version 22, whose text is that of version 2
        m.case.opset = m.opset = min(m.opset, 21)
    m.operand(m.floats((m.pick([1, 2]), m.int(1, 3), *(m.size() for _ in range(m.pick([0, 1, 2, 2, 3]))))))
    m.attr("p", m.pick([1, 2, 3, 4, 5, 0]), 0.5)


def reduction(m: Maker) -> None:
    shape = m.shape()
    positive = m.operator in ("ReduceLogSum", "ReduceProd", "ReduceLogSumExp")
    kind = m.pick(["float"] * 8 + ["int64", "int32", "bool"])
    x = m.floats(shape, 0 if positive else None, 4 if positive else None)
    if kind != "float":
        x = m.bools(shape) if kind == "bool" else m.ints(shape, -4, 4, kind)
    m.operand(x, m.pick(["data"] * 5 + ["constant"]))
    m.listed("axes", [] if m.maybe(0.12) else m.axes(len(shape), 1) if m.maybe(0.97) else [len(shape)], 0.8)
    m.flag("keepdims")
    m.flag("noop_with_empty_axes", 0.4)


def arg_extreme(m: Maker) -> None:
    shape = m.shape(1, 4)
    m.operand(m.floats(shape) if m.maybe(0.85) else m.ints(shape, -2, 2, m.pick(["int32", "int64"])))
    m.attr("axis", m.axis(len(shape)))
    m.flag("keepdims")
    m.flag("select_last_index")


def along_axis(m: Maker) -> None:
    """Softmax, LogSoftmax, Hardmax, Flatten."""
    shape = m.shape(0 if m.operator == "Flatten" else 1, 4)
    m.operand(m.floats(shape, -30, 30))
    rank = len(shape)
    m.attr("axis", m.pick([rank, -rank, 0, m.axis(rank)]) if m.operator == "Flatten" else m.axis(rank))


# Moving values.


def compress(m: Maker) -> None:
    shape = m.shape(1, 3)
    axis = m.axis(len(shape))
    n = prod(shape)
    if m.maybe(0.6):
        m.attr("axis", axis, 1.0)
        n = shape[axis] if -len(shape) <= axis < len(shape) else 2
    m.operand(m.floats(shape))
    m.operand(m.bools((max(n + m.pick([0, 0, 0, -1, -2, 1]), 0),)), "constant" if m.maybe(0.95) else "data")


def blocks(m: Maker) -> None:
    b = m.int(1, 3)
    deep = m.operator == "DepthToSpace"
    channels = m.int(1, 2) * (b * b if deep else 1)
    h, w = m.int(1, 3) * (1 if deep else b), m.int(1, 2) * (1 if deep else b)
    m.operand(m.floats((m.pick([1, 2]), channels + int(m.maybe(0.03)), h, w)))
    m.attr("blocksize", b)
    m.attr("mode", m.pick(["DCR", "CRD"]), 0.7)


def dropout(m: Maker) -> None:
    m.operand(m.floats(m.shape()))
    m.attr("ratio", m.pick([0.0, 0.5, 0.9]), 0.6)
    m.attr("seed", 3, 0.3)
    if "ratio" not in m.schema.attributes:
        for value in (np.array(m.pick([0.0, 0.5, 0.1]), np.float32), np.array(m.maybe(0.15))):
            if m.maybe(0.5):
                m.operand(value, "constant")
            else:
                m.absent()


def expand(m: Maker) -> None:
    shape = m.shape()
    m.operand(any_values(m, shape))
    target = [n if m.maybe(0.6) else 1 if m.maybe(0.5) else m.size() if n == 1 else n for n in shape]
    target = [m.size() for _ in range(m.pick([0, 0, 1, 2]))] + target
    m.numbers(target[m.pick([0, 0, 0, 1]) :] + ([-1] if m.maybe(0.02) else []))


def _index(m: Maker, shape: tuple[int, ...], n: int, p_data: float = 0.15) -> None:
    """Indices along an axis of size n, negative ones too, now and then out of range."""
    low, high = (-n, n - 1) if n and m.maybe(0.6) else (0, max(n - 1, 0))
    values = m.ints(shape, low, high, m.pick([np.int64, np.int64, np.int32]))
    if values.size and m.maybe(0.03):
        values.flat[0] = m.pick([n, -n - 1])
    m.operand(values, "data" if m.maybe(p_data) else "constant")


def gather(m: Maker) -> None:
    shape = m.shape(1, 3)
    axis = m.attr("axis", m.axis(len(shape)))
    axis = 0 if axis is None else axis
    m.operand(any_values(m, shape) if m.maybe(0.5) else m.floats(shape))
    n = shape[axis] if -len(shape) <= axis < len(shape) else 1
    _index(m, m.shape(0, 2), n)


def _axis_of(m: Maker, shape: tuple[int, ...]) -> int:
    axis = m.attr("axis", m.axis(len(shape)))
    axis = 0 if axis is None else axis
    return axis if -len(shape) <= axis < len(shape) else 0


def gather_elements(m: Maker) -> None:
    shape = m.shape(1, 3)
    axis = _axis_of(m, shape)
    other = tuple(n if m.maybe(0.6) else m.int(0, n) for n in shape)
    other = tuple(m.size() if a == axis % len(shape) and m.maybe(0.5) else n for a, n in enumerate(other))
    m.operand(m.floats(shape))
    _index(m, other, shape[axis], 0.04)


def gather_nd(m: Maker) -> None:
    shape = m.shape(1, 4)
    batch = 0
    if m.takes("batch_dims") and m.maybe(0.4):
        batch = m.int(0, len(shape) - 1)
        m.attr("batch_dims", batch, 1.0)
    depth = m.int(1, len(shape) - batch)
    lead = (*shape[:batch], *m.shape(0, 2))
    m.operand(m.floats(shape))
    _tuples(m, lead, shape[batch : batch + depth])


def _tuples(m: Maker, lead: tuple[int, ...], sizes: tuple[int, ...], p_data: float = 0.06) -> None:
    rows = [[m.int(-n if n and m.maybe(0.4) else 0, max(n - 1, 0)) for n in sizes] for _ in range(prod(lead))]
    value = np.array(rows, np.int64).reshape((*lead, len(sizes)))
    if value.size and m.maybe(0.03):
        value.flat[0] = m.pick([sizes[0], -sizes[0] - 1])
    m.operand(value, "data" if m.maybe(p_data) else "constant")


def scatter(m: Maker) -> None:
    """Distinct places most of the time."""
    shape = m.shape(1, 3)
    axis = _axis_of(m, shape)
    if axis < 0:
        axis += len(shape)
    other = [m.int(0, n) if m.maybe(0.4) else n for n in shape]
    n = shape[axis]
    m.operand(m.floats(shape))
    moved = [other[a] for a in range(len(shape)) if a != axis]
    lines = []
    for _ in range(prod(moved)):
        places = m.rng.sample(range(n), other[axis])
        if places and m.maybe(0.03):
            places[0] = m.pick([places[-1], n, -n - 1])
        lines.append([p - n if m.maybe(0.3) else p for p in places])
    index = np.array(lines, np.int64).reshape((*moved, other[axis]))
    m.operand(np.moveaxis(index, -1, axis), "constant" if m.maybe(0.96) else "data")
    m.operand(m.floats(tuple(other)))
    m.attr("reduction", m.pick(["none", "none", "add", "mul", "max", "min"]), 0.3)


def scatter_nd(m: Maker) -> None:
    shape = m.shape(1, 3)
    depth = m.int(1, len(shape))
    m.operand(m.floats(shape))
    places = list(np.ndindex(*shape[:depth]))
    chosen = m.rng.sample(places, m.int(0, min(len(places), 4)))
    if chosen and m.maybe(0.05):
        chosen[0] = chosen[-1]
    rows = [[p - n if m.maybe(0.3) else p for p, n in zip(place, shape, strict=False)] for place in chosen]
    index = np.array(rows, np.int64).reshape(len(chosen), depth)
    if index.size and m.maybe(0.03):
        index.flat[0] = m.pick([shape[0], -shape[0] - 1])
    m.operand(index, "data" if m.maybe(0.12) else "constant")
    m.operand(m.floats((len(chosen), *shape[depth:])))
    m.attr("reduction", m.pick(["none", "none", "add", "mul", "max", "min"]), 0.3)


def pad(m: Maker) -> None:
    shape = m.shape(0, 4)
    rank = len(shape)
    axes = list(range(rank))
    chosen = m.axes(rank, 1) if m.maybe(0.3) and len(m.schema.inputs) > 3 else None
    used = axes if chosen is None else chosen
    low = -2 if m.maybe(0.25) else 0
    pads = [m.pick([0, 0, m.int(low, 3)]) for _ in range(2 * len(used))]
    m.operand(m.floats(shape) if m.maybe(0.9) else m.ints(shape, -9, 9))
    mode = m.attr("mode", m.pick(["constant", "reflect", "edge", "wrap"]))
    m.listed("pads", pads)
    if m.takes("value"):
        m.attr("value", m.pick([0.0, 1.5, -0.0]))
        return
    if m.maybe(0.5 if mode in (None, "constant") else 0.1):
        m.operand(np.array(m.pick([0.0, -0.0, 1.5, -3.0]), m.case.operands[0].value.dtype), "constant")  # type: ignore[union-attr]
    else:
        m.absent()
    if chosen is not None:
        m.numbers(chosen, 0.0, m.pick([np.int64, np.int32]))


def reshape(m: Maker) -> None:
    shape = m.shape()
    m.operand(any_values(m, shape))
    target = list(m.rng.sample(shape, len(shape)))
    if len(target) > 1 and m.maybe(0.4):
        target[:2] = [target[0] * target[1]]
    if m.maybe(0.2):
        target.insert(m.int(0, len(target)), 1)
    if target and m.maybe(0.3):
        target[m.int(0, len(target) - 1)] = -1
    if target and m.maybe(0.25):
        at = m.int(0, len(target) - 1)
        if (at < len(shape) and target[at] == shape[at]) or m.maybe(0.2):
            target[at] = 0
    m.attr("allowzero", m.pick([0, 1]), 0.4)
    m.numbers(target, 0.15)


RATIOS = [1.0, 2.0, 0.5, 3.0, 1.5, 0.75, 1.3, 0.3, 2.5, 0.6, 1.2, 4.0, 0.25]
FRAMES = [
    "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric", "tf_crop_and_resize",
    "tf_half_pixel_for_nn",
]  # fmt: skip


def resize(m: Maker) -> None:
    rank = m.pick([1, 2, 3, 4, 4, 4])
    shape = tuple(m.int(1, 5) for _ in range(rank))
    chosen = m.axes(rank, 1) if m.maybe(0.3) else None
    used = list(range(rank)) if chosen is None or not m.takes("axes") else chosen
    if chosen is not None:
        m.attr("axes", chosen, 1.0)
    changing = m.pick([1, 2, len(used)])
    ratios = [m.pick(RATIOS) if k >= len(used) - changing else 1.0 for k in range(len(used))]
    m.operand(m.floats(shape), "data" if m.maybe(0.92) else "constant")
    m.attr("mode", m.pick(["nearest", "nearest", "linear", "linear", "cubic"]), 0.85)
    m.attr("coordinate_transformation_mode", m.pick(FRAMES[:5] if m.maybe(0.9) else FRAMES))
    m.attr("nearest_mode", m.pick(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))
    for name, value, p in (
        ("extrapolation_value", m.pick([0.0, 1.5]), 0.2), ("cubic_coeff_a", -0.5, 0.2), ("exclude_outside", m.pick([0, 1]), 0.15),
        ("antialias", m.pick([0, 1]), 0.15), ("keep_aspect_ratio_policy", m.pick(["stretch", "not_larger", "not_smaller"]), 0.15),
    ):  # fmt: skip
        m.attr(name, value, p)
    if len(m.schema.inputs) == 2:
        m.operand(np.array(ratios, np.float32), "constant")
        return
    if m.maybe(0.25):
        m.operand(np.array([0.0] * len(used) + [1.0] * len(used), np.float32), "constant")
    else:
        m.absent()
    if m.maybe(0.6):
        m.operand(np.array(ratios, np.float32), "constant")
    else:
        if m.maybe(0.7):
            m.absent()
        else:
            m.operand(np.zeros(0, np.float32), "stored")
        m.numbers([max(1, round(shape[a] * r)) for a, r in zip(used, ratios, strict=True)], 0.03)


def upsample(m: Maker) -> None:
    rank = m.pick([1, 2, 3, 4, 4, 4])
    shape = tuple(m.int(1, 4) for _ in range(rank))
    ratios = [
        m.pick([1.0, 2.0, 3.0, 1.5, 2.5, 1.3, 0.5] if k >= rank - 2 else [1.0, 1.0, 2.0]) for k in range(rank)
    ]
    m.operand(m.floats(shape), "data" if m.maybe(0.92) else "constant")
    m.attr("mode", m.pick(["nearest", "linear"]))
    if m.takes("scales"):
        m.attr("scales", ratios)
    else:
        m.operand(np.array(ratios, np.float32), "constant")


def slice_(m: Maker) -> None:
    shape = m.shape(1, 4)
    rank = len(shape)
    axes = m.axes(rank, 1)
    with_axes = m.maybe(0.7)
    used = axes if with_axes else list(range(len(axes)))

    def end(a: int) -> int:
        n = shape[a] if -rank <= a < rank else 1
        return m.pick(EXTREME) if m.maybe(0.15) else m.int(-n - 2, n + 2)

    starts, ends = [end(a) for a in used], [end(a) for a in used]
    m.operand(any_values(m, shape))
    dtype = np.int64
    if not m.takes("starts") and m.maybe(0.2):
        dtype = np.int32
        starts, ends = ([max(min(v, 2**31 - 1), -(2**31)) for v in line] for line in (starts, ends))
    if m.takes("starts"):
        m.attr("starts", starts)
        m.attr("ends", ends)
        if with_axes:
            m.attr("axes", axes, 1.0)
        return
    late = 0.08
    m.numbers(starts, late, dtype)
    m.numbers(ends, late, dtype)
    if with_axes:
        m.numbers(axes, 0.0, dtype)
    else:
        m.absent()
    if m.maybe(0.65):
        m.numbers([m.pick([1, 1, 2, 3, -1, -1, -2, -3, 7, -7]) for _ in used], late, dtype)
    else:
        m.absent()


def split(m: Maker) -> None:
    shape = m.shape(1, 3)
    axis = _axis_of(m, shape)
    n = shape[axis]
    parts = m.int(1, 4)
    m.operand(any_values(m, shape))
    if m.maybe(0.5):
        cuts = sorted(m.int(0, n) for _ in range(parts - 1))
        sizes = [b - a for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
        if m.maybe(0.04):
            sizes[0] += 1
        m.listed("split", sizes)
        if m.maybe(0.05):
            m.attr("num_outputs", parts, 1.0)
    else:
        m.attr("num_outputs", parts if m.maybe(0.95) else parts + 1, 0.95)
    m.case.outputs = [m.pick(["wanted"] * 16 + ["named"] * 4 + [""]) for _ in range(parts)]


def squeeze(m: Maker) -> None:
    shape = tuple(1 if m.maybe(0.5) else n for n in m.shape())
    ones = [a for a, n in enumerate(shape) if n == 1]
    axes = [a - len(shape) if m.maybe(0.4) else a for a in m.rng.sample(ones, m.int(0, len(ones)))]
    if m.maybe(0.05):
        axes.append(m.axis(len(shape)))
    m.operand(any_values(m, shape))
    m.listed("axes", axes, 0.75)


def unsqueeze(m: Maker) -> None:
    shape = m.shape(0, 3)
    count = m.int(0 if m.maybe(0.1) else 1, 3)
    rank = len(shape) + count
    axes = [a - rank if m.maybe(0.4) else a for a in m.rng.sample(range(rank), count)]
    if axes and m.maybe(0.05):
        axes[0] = m.pick([rank, -rank - 1, axes[-1]])
    m.operand(any_values(m, shape))
    m.listed("axes", axes)


def tile(m: Maker) -> None:
    shape = m.shape(0, 3)
    m.operand(any_values(m, shape))
    m.numbers([m.pick([1, 1, 2, 3, 0]) for _ in range(len(shape) + int(m.maybe(0.03)))])


def transpose(m: Maker) -> None:
    shape = m.shape()
    m.operand(any_values(m, shape))
    perm = m.rng.sample(range(len(shape)), len(shape))
    if perm and m.maybe(0.05):
        perm[0] = m.pick([-1, len(shape), perm[-1], perm[0] - len(shape)])
    m.attr("perm", perm, 0.8)


def trilu(m: Maker) -> None:
    m.operand(any_values(m, m.shape(2, 4)))
    m.flag("upper")
    if m.maybe(0.7):
        k = np.array(m.pick([0, 1, -1, 2, -3, 9, -9]), np.int64)
        m.operand(k.reshape(m.pick([(), (), (1,)])), "constant")


# Constants and shapes.


def one_hot(m: Maker) -> None:
    depth = m.int(1, 4)
    shape = m.shape(0, 2)
    kind = m.pick([np.int64, np.int64, np.int32, np.float32])
    m.operand(m.ints(shape, -depth - 1, depth, kind), m.pick(["data", "constant"]))
    value = np.array(depth, m.pick([np.int64, np.int32, np.float32]))
    m.operand(value.reshape(m.pick([(), (1,)])), "constant")
    m.operand(m.floats((2,)) if m.maybe(0.8) else m.ints((2,), -3, 3), "constant" if m.maybe(0.9) else "")
    m.attr("axis", m.axis(len(shape) + 1))


def cast(m: Maker) -> None:
    """To every type; out-of-range values too."""
    shape = m.shape(0, 2)
    value = m.pick([
        m.floats(shape), m.floats(shape), m.floats(shape), m.ints(shape, -300, 300), m.ints(shape, -3, 3, np.int32),
        m.bools(shape), m.ints(shape, 0, 255, np.uint8), m.ints(shape, -100, 100).astype(np.float16), m.floats(shape) * 1e5,
    ])  # fmt: skip
    wide = value.dtype in (np.float32, np.float64)
    m.operand(value, m.pick(["data", "data", "constant"]) if wide else "")
    m.attr("to", m.pick([*TYPES, 1, 1, 7, 7, 6, 9, 11, 10]))
    m.attr("saturate", m.pick([0, 1]), 0.2)
    m.attr("round_mode", m.pick(["up", "down", "nearest"]), 0.1)


def cast_like(m: Maker) -> None:
    cast(m)
    m.case.attributes.pop("to", None)
    kinds = [np.float32, np.int64, np.bool_, np.float64, np.int32, np.float16, np.uint8]
    m.operand(np.zeros(m.shape(0, 1), m.pick(kinds)), m.pick(["constant", "constant", "data"]))


def constant(m: Maker) -> None:
    shape = m.shape(0, 2)
    options: dict[str, Any] = {
        "value": numpy_helper.from_array(any_values(m, shape)), "value_float": 1.5, "value_floats": [0.5, -1.0],
        "value_int": m.int(-3, 3), "value_ints": [m.int(-9, 9) for _ in range(m.int(1, 3))], "value_string": "a",
        "value_strings": ["a", "b"],
    }  # fmt: skip
    names = [name for name in options if m.takes(name)]
    name = m.pick(names[:5])
    m.attr(name, options[name], 1.0)
    if m.maybe(0.03):
        other = m.pick(names)
        m.attr(other, options[other], 1.0)


def constant_of_shape(m: Maker) -> None:
    m.numbers(m.shape(0, 3), 0.12)
    value = m.pick(
        [
            np.ones(1, np.float32),
            np.array([-0.5], np.float32),
            np.array([7], np.int64),
            np.array([1], np.bool_),
        ]
    )
    m.attr("value", numpy_helper.from_array(value), 0.7)


def dequantize(m: Maker) -> None:
    shape = m.shape(0, 3)
    kind = m.pick([np.uint8, np.int8, np.int32, np.int16, np.uint16])
    low = 0 if np.dtype(kind).kind == "u" else -100
    m.operand(m.ints(shape, low, 100, kind), "constant" if m.maybe(0.93) else "data")
    axis = m.attr("axis", m.axis(len(shape)))
    axis = 1 if axis is None else axis
    per = m.maybe(0.5) and shape and -len(shape) <= axis < len(shape)
    form = (shape[axis],) if per else m.pick([(), (), (1,)])
    m.operand(
        m.floats(form, 0, 100).astype(m.pick([np.float32, np.float32, np.float32, np.float16])), "constant"
    )
    if m.maybe(0.6):
        m.operand(m.ints(form, max(low, -9), 9, kind) * np.array(kind is not np.int32, kind), "constant")
    m.attr("block_size", m.pick([0, 0, 2]), 0.15)
    m.attr("output_dtype", m.pick([0, 1, 10]), 0.15)


def quantize(m: Maker) -> None:
    shape = m.shape(0, 3)
    kind = m.pick([np.uint8, np.int8, np.uint8, np.int8, np.int16, np.uint16, np.int32])
    x = m.floats(shape, -40, 40)
    m.operand(np.rint(x * 4) / np.array(4, x.dtype) if m.maybe(0.3) else x)  # half way, at a scale of 1/2
    axis = m.attr("axis", m.axis(len(shape)))
    axis = 1 if axis is None else axis
    per = m.maybe(0.5) and shape and -len(shape) <= axis < len(shape)
    form = (shape[axis],) if per else m.pick([(), (), (1,)])
    drawn = np.reshape([m.rng.uniform(0.01, 3) for _ in range(prod(form))], form)
    scale = m.pick([np.full(form, 0.5), drawn]).astype(m.pick([np.float32] * 5 + [np.float16]))
    m.operand(scale, "constant")
    if m.maybe(0.7):
        m.operand(m.ints(form, 0 if np.dtype(kind).kind == "u" else -9, 9, kind), "constant")
    m.attr("block_size", m.pick([0, 0, 2]), 0.15)
    m.attr("saturate", m.pick([0, 1]), 0.15)
    m.attr("output_dtype", m.pick([0, 2, 3]), 0.15)


def _small(m: Maker, shape: tuple[int, ...], kind: Any) -> np.ndarray:
    """Integers whose products by twos no kernel saturates."""
    return m.ints(shape, 0 if np.dtype(kind).kind == "u" else -50, 50, kind)


def _with_scale(m: Maker, kind: Any) -> None:
    m.operand(np.array(m.rng.uniform(0.01, 2), np.float32), "constant")
    m.operand(_small(m, (), kind), "constant")


def matmul_integer(m: Maker) -> None:
    rows, inner, columns = (m.size() for _ in range(3))
    kinds = m.pick([np.uint8, np.int8]), m.pick([np.uint8, np.int8])
    m.operand(_small(m, (rows, inner), kinds[0]), "data")
    m.operand(_small(m, (inner, columns), kinds[1]), m.pick(["constant", "constant", "data"]))
    for kind in kinds[: m.pick([0, 1, 2, 2])]:
        m.operand(_small(m, (), kind), "constant")


def qlinear_matmul(m: Maker) -> None:
    rows, inner, columns = (m.size() for _ in range(3))
    left, right = m.pick([(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)])
    m.operand(_small(m, (rows, inner), left), "data")
    _with_scale(m, left)
    m.operand(_small(m, (inner, columns), right), "constant")
    _with_scale(m, right)
    _with_scale(m, left)


def conv_integer(m: Maker) -> None:
    spatial = _spatial(m)[:2]
    kernel = _kernel(m, spatial)
    channels, out = m.int(1, 2), m.int(1, 2)
    kinds = np.uint8, m.pick([np.uint8, np.int8])
    m.operand(_small(m, (1, channels, *spatial), kinds[0]), "data")
    m.operand(_small(m, (out, channels, *kernel), kinds[1]), "constant")
    for kind in kinds[: m.pick([0, 1, 2, 2])]:
        m.operand(_small(m, (), kind), "constant")


def qlinear_conv(m: Maker) -> None:
    spatial = _spatial(m)[:2]
    kernel = _kernel(m, spatial)
    channels, out = m.int(1, 2), m.int(1, 2)
    left, right = m.pick([(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)])
    m.operand(_small(m, (1, channels, *spatial), left), "data")
    _with_scale(m, left)
    m.operand(_small(m, (out, channels, *kernel), right), "constant")
    _with_scale(m, right)
    _with_scale(m, left)
    if m.maybe(0.5):
        m.operand(m.ints((out,), -900, 900, np.int32), "constant")


def non_zero(m: Maker) -> None:
    m.operand(any_values(m, m.shape()), "constant" if m.maybe(0.9) else "data")


def range_(m: Maker) -> None:
    kind = m.pick(["int64", "int64", "int32", "float32", "float64", "int16"])
    if kind.startswith("float"):
        values = [
            m.pick([0.0, 1.0, -1.5, 0.1, 5.0]),
            m.pick([3.0, 0.0, -2.0, 0.7, 10.0]),
            m.pick([1.0, 0.5, -0.5, 0.1, 0.3]),
        ]
    else:
        values = [
            m.int(-4, 4),
            m.int(-6, 8),
            m.pick([1, 1, 2, 3, -1, -2, 0] if m.maybe(0.1) else [1, 1, 2, 3, -1, -2]),
        ]
    role = m.pick(["constant", "constant", "data"])
    for value in values:
        m.operand(np.array(value, kind), role if m.maybe(0.9) else "")


def shape_of(m: Maker) -> None:
    shape = m.shape()
    m.operand(any_values(m, shape))
    for name in ("start", "end"):
        m.attr(name, m.int(-len(shape) - 2, len(shape) + 2), 0.6)


def attention(m: Maker) -> None:
    """Heads apart or side by side, with masks and what came before."""
    batch, keys, queries, size, values = (m.int(1, n) for n in (2, 4, 3, 3, 3))
    heads, shared = m.pick([(1, 1), (2, 2), (2, 1), (4, 2), (3, 2)])
    past = m.int(1, 2) if m.maybe(0.2) else 0
    apart = m.maybe(0.6)
    for count, length, n in ((heads, queries, size), (shared, keys, size), (shared, keys, values)):
        m.operand(
            m.floats((batch, count, length, n) if apart else (batch, length, count * n), -4, 4),
            m.pick(["data", "data", ""]),
        )
    if not apart or m.maybe(0.1):
        m.attr("q_num_heads", heads, 1.0)
        m.attr("kv_num_heads", shared, 1.0)
    total = keys + past
    shape = m.pick(
        [
            (queries, total),
            (1, heads, queries, total),
            (batch, 1, queries, total),
            (heads, queries, total),
            (1, total),
        ]
    )
    kind = m.pick(["none", "none", "float", "bool", "inf"])
    if kind == "none":
        m.absent()
    else:
        seen = m.bools(shape) | (np.arange(shape[-1]) == 0)
        mask = seen if kind == "bool" else m.floats(shape, -2, 2)
        m.operand(
            np.where(seen, mask, -np.inf).astype(m.float) if kind == "inf" else mask,
            "" if kind == "float" else "constant",
        )
    for n in (size, values):
        if past:
            m.operand(m.floats((batch, shared, past, n), -4, 4), "constant")
        else:
            m.absent()
    if len(m.schema.inputs) > 6 and not past and m.maybe(0.3):
        m.operand(m.ints((batch,), 1, total), "constant")
    m.flag("is_causal", 0.3)
    m.attr("scale", m.pick([0.5, 1.0, 0.3]), 0.3)
    m.attr("softcap", m.pick([0.0, 1.0, 2.5]), 0.3)
    m.attr("qk_matmul_output_mode", m.int(0, 3), 0.4)
    m.attr("left_window_size", m.pick([-1, 0, 1, 2]), 0.2)
    m.attr("right_window_size", m.pick([-1, 0, 1, 2]), 0.2)
    m.attr("softmax_precision", m.pick([1, 11, 10]), 0.1)
    if past:
        m.case.outputs = ["wanted", "named", "named"]


def rotary_embedding(m: Maker) -> None:
    batch, heads, length, half = m.int(1, 2), m.int(1, 3), m.int(1, 3), m.int(1, 3)
    size = 2 * half + m.pick([0, 0, 2])
    apart, by_place = m.maybe(0.5), m.maybe(0.5)
    m.operand(m.floats((batch, heads, length, size) if apart else (batch, length, heads * size)))
    for _ in range(2):
        m.operand(
            m.floats((5, half) if by_place else (batch, length, half), -1, 1),
            "constant" if m.maybe(0.8) else "",
        )
    if by_place:
        m.operand(m.ints((batch, length), 0, 4), "constant")
    m.attr("num_heads", heads, 0.95 if not apart else 0.1)
    m.attr("rotary_embedding_dim", 2 * half, 0.97 if size > 2 * half else 0.3)
    m.flag("interleaved")


def swiglu(m: Maker) -> None:
    shape = m.shape()
    for s in (shape, shape if m.maybe(0.9) else m.part_of(shape)):
        m.operand(m.floats(s, -20, 20))
    m.attr("alpha", m.pick(PARAMETER))


def grid_sample(m: Maker) -> None:
    """Places at entries, between them, at the ends, outside, far away."""
    rank = 3 if m.opset >= 20 and m.maybe(0.3) else 2
    sizes = [m.int(1, 4) for _ in range(rank)]
    batch, channels = m.int(1, 2), m.int(1, 2)
    m.operand(m.floats((batch, channels, *sizes)), m.pick(["data", "data", "constant"]))
    shape = (batch, *(m.int(1, 3) for _ in range(rank)), rank if m.maybe(0.98) else 2)
    style = m.pick(["entries", "halves", "any", "any", "outside", "far"])
    if style == "entries":
        grid = np.array(
            [2 * m.int(0, n) / n - 1 for _ in range(prod(shape[:-1])) for n in reversed(sizes[-shape[-1] :])]
        )
    elif style == "halves":
        grid = m.ints((prod(shape),), -6, 6) / 4
    else:
        width = {"any": 1.3, "outside": 3.0, "far": 40.0}[style]
        grid = np.array([m.rng.uniform(-width, width) for _ in range(prod(shape))])
    m.operand(np.resize(grid, shape).astype(m.float), m.pick(["constant", "constant", "data"]))
    names = ["linear", "nearest", "cubic"] if m.opset >= 20 else ["bilinear", "nearest", "bicubic"]
    m.attr("mode", m.pick(names) if m.maybe(0.98) else "linear", 0.8)
    m.attr("padding_mode", m.pick(["zeros", "border", "reflection"]), 0.8)
    m.flag("align_corners")


def affine_grid(m: Maker) -> None:
    rank = m.pick([2, 2, 3])
    size = [m.int(1, 2), m.int(1, 3), *(m.int(1, 4) for _ in range(rank))]
    m.operand(
        m.floats((size[0], rank, rank + 1 if m.maybe(0.97) else rank), -2, 2),
        "data" if m.maybe(0.9) else "constant",
    )
    m.numbers(size)
    m.flag("align_corners")


def det(m: Maker) -> None:
    n = m.int(1, 5) if m.maybe(0.2) else m.int(1, 4)
    shape = (*m.pick([(), (2,), (1, 2)]), n, n + 1 if m.maybe(0.03) else n)
    m.operand(m.floats(shape, -4, 4), "data" if m.maybe(0.9) else "constant")


def center_crop_pad(m: Maker) -> None:
    shape = m.shape(1)
    axes = m.axes(len(shape), 1)
    given = m.attr("axes", axes, 0.5) is not None
    m.operand(any_values(m, shape))
    m.numbers([m.int(0, 6) if m.maybe(0.1) else m.int(1, 6) for _ in (axes if given else shape)])


def col2im(m: Maker) -> None:
    """Blocks of an image that has as many as there are columns; now and then not."""
    rank, channels = m.pick([1, 2, 2]), m.int(1, 2)
    block, strides, dilations = ([m.int(1, n) for _ in range(rank)] for n in (3, 2, 2))
    pads = [m.pick([0, 0, 1]) for _ in range(2 * rank)]
    image = [m.int(3, 6) for _ in range(rank)]
    parts = zip(image, pads[:rank], pads[rank:], block, strides, dilations, strict=True)
    counts = [max(0, (n + b + e - d * (k - 1) - 1) // s + 1) for n, b, e, k, s, d in parts]
    columns = prod(counts) if m.maybe(0.95) else m.int(1, 4)
    m.operand(m.floats((m.int(1, 2), channels * prod(block), columns)))
    for values in (image, block):
        m.numbers(values)
    for name, values in (("strides", strides), ("dilations", dilations), ("pads", pads)):
        m.attr(name, values, 1.0 if any(v != (name != "pads") for v in values) else 0.3)


def tensor_scatter(m: Maker) -> None:
    batch, size, length, n = m.int(1, 3), m.int(2, 5), m.int(1, 2), m.int(1, 3)
    apart = m.maybe(0.5)
    for count in (size, length):
        m.operand(m.floats((batch, 2, count, n) if apart else (batch, count, n)))
    if m.maybe(0.8):
        m.operand(m.ints((batch,), 0, size - length), "constant")
    m.attr("mode", m.pick(["linear", "circular"]), 0.4)
    m.attr("axis", m.pick([-2, 2 if apart else 1]), 0.4)


def bits(m: Maker) -> None:
    kind = m.pick(["uint8", "int32", "int64", "uint16", "int8"])
    shapes = m.broadcastable(len(m.schema.inputs))
    for shape in shapes:
        m.operand(m.ints(shape, 0 if kind[0] == "u" or m.maybe(0.3) else -100, 100, kind), "constant")


def bit_shift(m: Maker) -> None:
    kind = m.pick(["uint8", "uint32", "uint64"])
    for shape, most in zip(m.broadcastable(2), (200, 7), strict=True):
        m.operand(m.ints(shape, 0, most, kind), "constant")
    m.attr("direction", m.pick(["LEFT", "RIGHT"]), 1.0)


# Recurrent networks, and graphs inside nodes.

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
ACTIVATIONS = (
    ["Tanh"] * 3 + ["Sigmoid"] * 3 + ["Relu", "HardSigmoid", "LeakyRelu", "Softsign", "Elu", "Affine", "tanh"]
)


def recurrent(m: Maker) -> None:
    steps, batch, width, size = m.int(1, 4), m.int(1, 3), m.int(1, 3), m.int(1, 3)
    direction = m.attr("direction", m.pick(["forward", "reverse", "bidirectional"]), 0.6) or "forward"
    n, rows = 1 + (direction == "bidirectional"), GATES[m.operator] * size
    layout = m.attr("layout", m.pick([0, 0, 0, 1]), 0.4) or 0

    def first(*shape: int) -> tuple[int, ...]:
        return (shape[1], shape[0], *shape[2:]) if layout else shape

    m.operand(m.floats(first(steps, batch, width), -2, 2), m.pick(["data"] * 9 + ["constant"]))
    for shape in ((n, rows, width), (n, rows, size)):
        m.operand(m.floats(shape, -1, 1), "constant" if m.maybe(0.9) else "data")
    rest = [
        m.floats((n, 2 * rows), -1, 1),
        np.full(batch, steps, np.int32),
        m.floats(first(n, batch, size), -1, 1),
    ]
    if m.operator == "LSTM":
        rest += [m.floats(first(n, batch, size), -1, 1), m.floats((n, 3 * size), -1, 1)]
    for value in rest:
        if m.maybe(0.5):
            m.operand(value, "constant" if m.maybe(0.9) else "")
        else:
            m.absent()
    m.attr("hidden_size", size, 0.9)
    usual = {"RNN": 1, "GRU": 2, "LSTM": 3}[m.operator] * n
    chosen = m.attr("activations", [m.pick(ACTIVATIONS) for _ in range(usual)], 0.4)
    if chosen:
        m.attr("activation_alpha", [m.pick([0.5, 0.25])] * m.pick([1, usual]), 0.4)
        m.attr("activation_beta", [m.pick([0.5, 0.25])] * m.pick([1, usual]), 0.4)
    m.attr("clip", m.pick([0.5, 3.0]), 0.15)
    m.flag("input_forget", 0.05)
    m.flag("linear_before_reset", 0.5)
    m.case.outputs = [m.pick(["wanted", "wanted", ""]) for _ in range(3 if m.operator == "LSTM" else 2)]


def _inner(nodes: list[Any], inputs: list[tuple[str, int]], outputs: list[tuple[str, int]]) -> Any:
    """Integers and booleans are single numbers."""
    infos = [
        [helper.make_tensor_value_info(name, kind, () if kind in (7, 9) else None) for name, kind in part]
        for part in (inputs, outputs)
    ]
    return helper.make_graph(nodes, "inner", *infos)


def if_(m: Maker) -> None:
    """Branches that give the condition, or not, as a number."""
    m.operand(np.array(m.maybe(0.5)).reshape(m.pick([(), (), (1,)])), m.pick(["constant"] * 9 + ["data"]))
    for name in ("then_branch", "else_branch"):
        nodes = [
            helper.make_node("Cast", ["x0"], [f"{name} c"], to=1),
            helper.make_node("Cos", [f"{name} c"], [f"{name} y"]),
        ]
        m.attr(name, _inner(nodes if m.maybe(0.9) else nodes[:1], [], [(f"{name} y", 1)]))


def loop(m: Maker) -> None:
    """Sines of what is carried, plus the iteration's number; stacked vectors."""
    most, by_condition = m.int(0, 4), m.maybe(0.4)
    m.operand(
        np.array(most, np.int64).reshape(m.pick([(), (), (1,)])), "constant" if m.maybe(0.95) else "data"
    )
    if m.maybe(0.8):
        m.operand(np.array(m.maybe(0.9)), "constant")
    else:
        m.absent()
    m.operand(m.floats((m.int(1, 3),), -2, 2))
    limit = helper.make_node("Constant", [], ["limit"], value=numpy_helper.from_array(np.array(m.int(0, 3))))
    go = (
        [limit, helper.make_node("Less", ["i", "limit"], ["on"])]
        if by_condition
        else [helper.make_node("Identity", ["go"], ["on"])]
    )
    nodes = [
        *go, helper.make_node("Sin", ["v"], ["s"]), helper.make_node("Cast", ["i"], ["f"], to=1 if m.float == np.float32 else 11),
        helper.make_node("Add", ["s", "f"], ["w"]), helper.make_node("Neg", ["w"], ["stack"]),
    ]  # fmt: skip
    scanned = m.maybe(0.5)
    kind = 1 if m.float == np.float32 else 11
    outputs = [("on", 9), ("w", kind), *([("stack", kind)] if scanned else [])]
    m.attr("body", _inner(nodes, [("i", 7), ("go", 9), ("v", kind)], outputs))
    m.case.outputs = ["wanted"] * (2 if scanned else 1)


def scan(m: Maker) -> None:
    """Running sums, along any axis in any direction."""
    shape = (m.int(1, 3), m.int(1, 3))
    axis = m.attr("scan_input_axes", [m.pick([0, 0, 1, -1])], 0.5) or [0]
    m.operand(m.floats((shape[1 - axis[0] % 2],), -2, 2))
    m.operand(m.floats(shape, -2, 2), "data" if m.maybe(0.9) else "constant")
    m.attr("num_scan_inputs", 1)
    m.attr("scan_input_directions", [m.pick([0, 1])], 0.3)
    m.attr("scan_output_directions", [m.pick([0, 1])], 0.3)
    m.attr("scan_output_axes", [m.pick([0, 1, -1])], 0.3)
    kind = 1 if m.float == np.float32 else 11
    nodes = [helper.make_node("Add", ["s", "e"], ["t"]), helper.make_node("Tanh", ["t"], ["o"])]
    m.attr("body", _inner(nodes, [("s", kind), ("e", kind)], [("t", kind), ("o", kind)]))
    m.case.outputs = ["wanted", "wanted"]


def dft(m: Maker) -> None:
    shape = (*(m.int(1, 4) for _ in range(m.pick([1, 2, 2, 3]))), m.pick([1, 1, 2]))
    axis = m.pick([a for a in range(-len(shape), len(shape)) if a % len(shape) != len(shape) - 1])
    m.operand(m.floats(shape), "data" if m.maybe(0.9) else "constant")
    if m.maybe(0.5):
        m.operand(np.array(m.int(1, 5)), "constant")
    elif not m.takes("axis"):
        m.absent()
    if m.takes("axis"):
        m.attr("axis", axis, 1.0)
    else:
        m.operand(np.array(axis), "constant")
    m.flag("inverse")
    m.flag("onesided", 0.3)


def stft(m: Maker) -> None:
    n, length = m.int(1, 4), m.int(4, 8)
    m.operand(m.floats((m.int(1, 2), length, m.pick([1, 1, 1, 2]))), "data" if m.maybe(0.9) else "constant")
    m.operand(np.array(m.int(1, 3)), "constant")
    if m.maybe(0.7):
        m.operand(m.floats((n,)), "constant")
    else:
        m.absent()
    if m.maybe(0.6):
        m.operand(np.array(n), "constant")
    m.flag("onesided")


def eye_like(m: Maker) -> None:
    m.operand(any_values(m, m.shape(2, 2)))
    m.attr("k", m.int(-3, 3))
    m.attr("dtype", m.pick([1, 7, 6, 9, 11, 10]))


def reverse_sequence(m: Maker) -> None:
    shape = m.shape(2, 4)
    time = m.pick([0, 1])
    m.attr("time_axis", time, 1.0 if time else 0.5)
    m.attr("batch_axis", 1 - time, 1.0 if time else 0.5)
    m.operand(any_values(m, shape))
    top = shape[time] if m.maybe(0.97) else shape[time] + 1
    m.operand(m.ints((shape[1 - time],), min(1, top), top), "constant" if m.maybe(0.95) else "data")


def top_k(m: Maker) -> None:
    """Often equal entries."""
    shape = m.shape(1, 3) if m.maybe(0.7) else (m.int(1, 2), m.int(6, 13))
    axis = m.axis(len(shape))
    n = shape[axis] if -len(shape) <= axis < len(shape) else 1
    value = m.ints(shape, -2, 2) if m.maybe(0.5) else m.floats(shape).astype(np.float64)
    m.operand(
        value.astype(m.pick([m.float, m.float, m.float, np.int64])), m.pick(["constant", "data", "data"])
    )
    k = m.int(1, max(1, n)) if m.maybe(0.6) else 1
    if m.takes("k"):
        m.attr("k", k)
    else:
        m.operand(np.array([k], np.int64), "constant")
    m.attr("axis", axis)
    m.flag("largest")
    m.flag("sorted", 0.1)
    m.case.outputs = ["wanted", m.pick(["wanted", "named"])]


# Operators that are not read.


def unread(m: Maker) -> None:
    """Operands by their number in the schema, attributes that must be there."""
    for entry in m.schema.inputs:
        if str(entry.option).endswith("Optional") and m.maybe(0.7):
            break
        types = str(entry.type_str) + str(sorted(next((c.allowed_type_strs for c in m.schema.type_constraints
                                                      if c.type_param_str == entry.type_str), [])))  # fmt: skip
        if "tensor(float)" in types:
            m.operand(m.floats(m.shape(1, 3)))
        elif "bool" in types and "int64" not in types:
            m.operand(m.bools(()))
        else:
            m.operand(m.ints(m.pick([(), (1,), (2,)]), 1, 3))
    for name, attribute in sorted(m.schema.attributes.items()):
        kind = str(attribute.type).split(".")[-1]
        value = m.anything(kind)
        if value is not None:
            m.attr(name, value, 0.2)


RECIPES: dict[str, Recipe] = {
    **{name: unary(max(row.domain[0], -50), min(row.domain[1], 50)) for name, row in OPERATORS.items()},
    **dict.fromkeys(["Add", "Sub", "Mul", "Div"], binary),
    **dict.fromkeys(["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"], comparison),
    **dict.fromkeys(["And", "Or", "Xor"], logical),
    **dict.fromkeys(["Max", "Min", "Sum", "Mean"], variadic),
    **dict.fromkeys(["Abs", "Neg", "Sign", "Relu"], number),
    **dict.fromkeys(["Floor", "Ceil", "Round", "LeakyRelu", "Shrink", "ThresholdedRelu", "HardSigmoid", "HardSwish", "Softsign"], unary()),
    **dict.fromkeys(["Sigmoid", "Tanh", "Erf", "Sin", "Cos", "Softplus", "Mish", "Swish", "Elu", "Selu", "Celu", "IsNaN"], unary(-30, 30, 0.97)),
    **dict.fromkeys(["Exp", "Cosh", "Sinh"], unary(-20, 20, 1.0)),
    "Asinh": unary(-20, 20), "Tan": unary(-1.5, 1.5), "Acosh": unary(1, 50), "Atanh": unary(-0.9, 0.9),
    "Log": unary(2.0**-10, 1000), "Sqrt": unary(0, 1000), "Reciprocal": unary(2.0**-6, 1000, 0.6),
    "Gelu": gelu, "IsInf": is_infinite, "Identity": identity, "Size": identity, "Not": negation,
    "Pow": power, "Mod": modulo, "PRelu": prelu, "Where": where, "Clip": clip, "Concat": concat, "Einsum": einsum,
    "Gemm": gemm, "MatMul": matmul, "Conv": conv, "ConvTranspose": conv_transpose, "BatchNormalization": batch_normalization,
    "CumSum": cum_sum, "LayerNormalization": normalized(2), "RMSNormalization": normalized(0),
    "InstanceNormalization": instance_normalization, "GroupNormalization": group_normalization, "LRN": lrn,
    "LpNormalization": lp_normalization,
    **dict.fromkeys(["MaxPool", "AveragePool", "LpPool"], pool),
    **dict.fromkeys(["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"], global_pool),
    **{name: reduction for name in schemas() if name.startswith("Reduce")},
    **dict.fromkeys(["ArgMax", "ArgMin"], arg_extreme),
    **dict.fromkeys(["Softmax", "LogSoftmax", "Hardmax", "Flatten"], along_axis),
    "Compress": compress, "DepthToSpace": blocks, "SpaceToDepth": blocks, "Dropout": dropout, "Expand": expand,
    "Gather": gather, "GatherElements": gather_elements, "GatherND": gather_nd, "Scatter": scatter, "ScatterElements": scatter,
    "ScatterND": scatter_nd, "Pad": pad, "Reshape": reshape, "Resize": resize, "Upsample": upsample, "Slice": slice_,
    "Split": split, "Squeeze": squeeze, "Unsqueeze": unsqueeze, "Tile": tile, "Transpose": transpose, "Trilu": trilu,
    "OneHot": one_hot, "Cast": cast, "CastLike": cast_like, "Constant": constant, "ConstantOfShape": constant_of_shape,
    **dict.fromkeys(["BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"], bits), "BitShift": bit_shift,
    "Attention": attention, "RotaryEmbedding": rotary_embedding, "SwiGLU": swiglu, "CenterCropPad": center_crop_pad, "Col2Im": col2im,
    "TensorScatter": tensor_scatter, "GridSample": grid_sample, "AffineGrid": affine_grid, "Det": det,
    "MatMulInteger": matmul_integer, "QLinearMatMul": qlinear_matmul, "ConvInteger": conv_integer, "QLinearConv": qlinear_conv,
    "DequantizeLinear": dequantize, "QuantizeLinear": quantize, "NonZero": non_zero, "Range": range_, "Shape": shape_of, "TopK": top_k,
    **dict.fromkeys(["RNN", "GRU", "LSTM"], recurrent), "If": if_, "Loop": loop, "Scan": scan, "EyeLike": eye_like, "DFT": dft, "STFT": stft,
    "ReverseSequence": reverse_sequence,
}  # fmt: skip
