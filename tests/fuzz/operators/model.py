"""A node with its operands, drawn at random, and the ONNX model around it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, defs, helper, numpy_helper

Shape = tuple[int, ...]

RUNTIME = 27
"""Newest opset whose models onnxruntime 1.31 runs."""
NEWEST: int = defs.onnx_opset_version()
OLDEST = 7

ATTRIBUTE_TYPES = {"FLOAT": 1, "INT": 2, "STRING": 3, "TENSOR": 4, "FLOATS": 6, "INTS": 7, "STRINGS": 8}


@cache
def schemas() -> dict[str, list[Any]]:
    """Every version of every operator of the default domain, oldest first."""
    found: dict[str, list[Any]] = {}
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == "":
            found.setdefault(schema.name, []).append(schema)
    return {name: sorted(found[name], key=lambda s: s.since_version) for name in sorted(found)}


@cache
def versions(operator: str) -> list[tuple[Any, int, int]]:
    """(schema, first opset, last opset) of the versions in use from OLDEST to NEWEST."""
    every = schemas()[operator]
    ends = [s.since_version - 1 for s in every[1:]] + [NEWEST]
    return [
        (s, max(s.since_version, OLDEST), end) for s, end in zip(every, ends, strict=True) if end >= OLDEST
    ]


@dataclass(eq=False)
class Operand:
    """``role``: data (an input of the model, cast where it must be), stored (an initializer) or constant (a node)."""

    value: NDArray[Any]
    role: str


@dataclass
class Case:
    """One node. ``outputs``: for each, "" (not named), "named" (and read by nobody) or "wanted" (a model's output)."""

    operator: str
    opset: int
    operands: list[Operand | None] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=lambda: ["wanted"])
    domain: str = ""

    def describe(self) -> str:
        def operand(x: Operand | None) -> str:
            if x is None:
                return "-"
            values = " ".join(
                f"{v:.9g}" if x.value.dtype.kind == "f" else str(v) for v in x.value.ravel()[:40].tolist()
            )
            return f"{x.role} {x.value.dtype}{list(x.value.shape)} [{values}]"

        operands = "; ".join(operand(x) for x in self.operands)
        shown = {
            k: v if not isinstance(v, TensorProto) else numpy_helper.to_array(v).tolist()
            for k, v in self.attributes.items()
        }
        return f"{self.operator} opset {self.opset} {shown} outputs {self.outputs}: {operands}"


@dataclass
class Built:
    """``feed``: what the model's inputs get, in declaration order. ``inferred``: output -> shape (None: unknown).

    ``lowered``: the model at RUNTIME's opset, where the operator is the same there and ``data``'s opset is newer.
    """

    data: bytes
    lowered: bytes
    feed: dict[str, NDArray[Any]]
    inferred: dict[str, tuple[int | None, ...] | None]


def _attribute(name: str, value: Any) -> onnx.AttributeProto:
    if isinstance(value, list) and not value:
        return helper.make_attribute(name, value, attr_type=onnx.AttributeProto.INTS)
    return helper.make_attribute(name, value)


def build(case: Case, *, infer: bool = True) -> Built:
    """The model; booleans are cast to float at the end, since they are no numbers.

    Where integers of the network decide a result's shape, a Reshape to the shape it has at this point follows.
    ``infer``: ask onnx's shape inference for the outputs' types and shapes; it may end the process.
    """
    late = [x for x in case.operands if x and x.role == "data" and x.value.dtype in (np.int64, np.int32)]
    if not late or len(case.outputs) > 1 or not infer:
        return _built(case, None, infer)
    still = replace(case, operands=[replace(x, role="stored") if x in late else x for x in case.operands])
    (shape,) = _built(still, None, infer).inferred.values()
    return _built(case, shape if shape and all(shape) else None, infer)


def _built(case: Case, shape: tuple[int | None, ...] | None, infer: bool) -> Built:
    node = onnx.NodeProto(op_type=case.operator, name="the node", domain=case.domain)
    before, inputs, stored, feed = [], [], [], {}
    for i, operand in enumerate(case.operands):
        name = "" if operand is None else f"x{i}"
        node.input.append(name)
        if operand is None:
            continue
        value = operand.value
        if operand.role == "data":
            source = name
            if value.dtype not in (np.float32, np.float64):
                source, value = f"f{i}", value.astype(np.float32)
                if case.opset >= 10 and operand.value.dtype in (np.uint8, np.int8):
                    stored += [
                        numpy_helper.from_array(np.ones((), np.float32), f"one {name}"),
                        numpy_helper.from_array(np.zeros((), operand.value.dtype), f"zero {name}"),
                    ]
                    before.append(
                        helper.make_node("QuantizeLinear", [source, f"one {name}", f"zero {name}"], [name])
                    )
                else:
                    before.append(
                        helper.make_node(
                            "Cast", [source], [name], to=helper.np_dtype_to_tensor_dtype(operand.value.dtype)
                        )
                    )
            inputs.append(
                helper.make_tensor_value_info(
                    source, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
                )
            )
            feed[source] = value
        elif operand.role == "stored":
            stored.append(numpy_helper.from_array(value, name))
        else:
            before.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value)))
    if not inputs:
        inputs.append(helper.make_tensor_value_info("unused", TensorProto.FLOAT, [1]))
        feed["unused"] = np.ones(1, np.float32)
    node.attribute.extend(_attribute(name, value) for name, value in sorted(case.attributes.items()))
    node.output.extend(f"y{i}" if how else "" for i, how in enumerate(case.outputs))
    wanted = [f"y{i}" for i, how in enumerate(case.outputs) if how == "wanted"]
    after = []
    if shape is not None:
        node.output[0], wanted = "late", ["y0"]
        stored.append(numpy_helper.from_array(np.array(shape, np.int64), "shape"))
        after = [helper.make_node("Reshape", ["late", "shape"], ["y0"])]
    graph = helper.make_graph(
        [*before, node, *after],
        "g",
        inputs,
        [helper.make_empty_tensor_value_info(name) for name in wanted],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", case.opset)], ir_version=10)
    return _finished(model, wanted, feed, infer)


def _finished(
    model: onnx.ModelProto, wanted: Sequence[str], feed: dict[str, NDArray[Any]], infer: bool
) -> Built:
    types, inferred = _inferred(model, wanted) if infer else ({}, dict.fromkeys(wanted))
    del model.graph.output[:]
    for name in wanted:
        result = name
        if types.get(name) == TensorProto.BOOL:
            result = f"{name} as a number"
            model.graph.node.append(helper.make_node("Cast", [name], [result], to=TensorProto.FLOAT))
            inferred[result] = inferred.pop(name)
            types[result] = TensorProto.FLOAT
        model.graph.output.append(
            helper.make_tensor_value_info(result, types.get(result, TensorProto.FLOAT), None)
        )
    data, opset = model.SerializeToString(), model.opset_import[0].version
    if RUNTIME < opset <= NEWEST and _same_since(model) <= RUNTIME:
        model.opset_import[0].version = RUNTIME
    return Built(data, model.SerializeToString(), feed, inferred)


def _same_since(model: onnx.ModelProto) -> int:
    """The newest version among the model's operators."""
    opset = model.opset_import[0].version
    found = [
        s.since_version
        for node in model.graph.node
        for s in schemas().get(node.op_type, [])
        if s.since_version <= opset
    ]
    return max(found, default=opset)


def _inferred(model: onnx.ModelProto, wanted: Sequence[str]) -> tuple[dict[str, int], dict[str, Any]]:
    """Element types and shapes of ``wanted`` by onnx's shape inference, as far as it knows or does not raise."""
    types: dict[str, int] = {}
    shapes: dict[str, Any] = dict.fromkeys(wanted)
    try:
        found = onnx.shape_inference.infer_shapes(model, data_prop=True, strict_mode=True)
    except Exception:  # noqa: BLE001  (it refuses: it says nothing)
        try:
            found = onnx.shape_inference.infer_shapes(model)
        except Exception:  # noqa: BLE001
            return types, shapes
    for info in [*found.graph.output, *found.graph.value_info]:
        if info.name in shapes and info.type.HasField("tensor_type"):
            tensor = info.type.tensor_type
            if tensor.elem_type:
                types[info.name] = tensor.elem_type
            if tensor.HasField("shape"):
                shapes[info.name] = tuple(
                    d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim
                )
    return types, shapes


class Maker:
    """Draws one case of ``operator`` by the version ``schema``; recipes say what, this says how."""

    def __init__(self, operator: str, schema: Any, opset: int, rng: random.Random) -> None:
        self.case = Case(operator, opset)
        self.schema, self.opset, self.rng = schema, opset, rng
        self.operator = operator
        self.spoils = True
        self.float = np.dtype(np.float64 if rng.random() < 0.06 else np.float32)

    # choices

    def maybe(self, p: float) -> bool:
        return self.rng.random() < p

    def pick(self, options: Sequence[Any]) -> Any:
        return self.rng.choice(options)

    def int(self, low: int, high: int) -> int:
        return self.rng.randint(low, max(low, high))

    def size(self) -> int:
        return self.rng.choices([0, 1, 2, 3, 4, 5], [2, 18, 30, 28, 14, 8])[0]

    def shape(self, low: int = 0, high: int = 4) -> Shape:
        rank = self.int(low, high if self.maybe(0.97) else 5)
        return tuple(self.size() for _ in range(rank))

    def part_of(self, shape: Shape) -> Shape:
        """A shape that broadcasts to ``shape``, now and then not."""
        cut = shape[self.int(0, len(shape)) if self.maybe(0.5) else 0 :]
        return tuple(1 if self.maybe(0.25) else self.size() if self.maybe(0.02) else n for n in cut)

    def broadcastable(self, count: int) -> list[Shape]:
        """Shapes that broadcast together, now and then not."""
        whole = self.shape()
        return [whole if self.maybe(0.3) else self.part_of(whole) for _ in range(count)]

    def axis(self, rank: int) -> int:
        """Valid, negative half of the time; now and then out of range."""
        if rank == 0 or self.maybe(0.02):
            return self.pick([-rank - 1, rank, 0, -1])
        return self.int(-rank, rank - 1)

    def axes(self, rank: int, low: int = 0) -> list[int]:
        """Distinct axes, some negative, in any order; now and then a repeated one."""
        chosen = self.rng.sample(range(rank), self.int(min(low, rank), rank))
        if chosen and self.maybe(0.02):
            chosen.append(chosen[0])
        return [a - rank if self.maybe(0.4) else a for a in chosen]

    def floats(self, shape: Shape, low: float | None = None, high: float | None = None) -> NDArray[Any]:
        """Numbers of a style drawn for the tensor, or any within [low, high]."""
        size = int(np.prod(shape, dtype=np.int64))
        style = self.pick(["small", "small", "halves", "ties", "mixed", "normal", "powers", "large"])
        values = [self._number(style) for _ in range(size)]
        if low is not None or high is not None:
            a, b = -8.0 if low is None else low, 8.0 if high is None else high
            values = [
                v if a <= v <= b else self.pick([a, b, a + (b - a) * self.int(0, 16) / 16]) for v in values
            ]
        return np.array(values, np.float32).astype(self.float).reshape(shape)

    def _number(self, style: str) -> float:
        draw = self.rng
        match style:
            case "small":
                return float(draw.randint(-4, 4))
            case "halves":
                return draw.randint(-9, 9) / 2
            case "ties":
                return float(draw.choice([1, 1, -1, 0, -0.0]))
            case "normal":
                return draw.gauss(0, 1)
            case "powers":
                return draw.choice([1, -1]) * 2.0 ** draw.randint(-6, 6)
            case "large":
                return draw.choice([1, -1]) * draw.choice([1e3, 1024.0, 4096.5, 65535.0, 1e-3, 1.0, 0.0])
        return draw.choice([0.0, -0.0, 0.5, -0.5, 1.5, -2.5, 1.0, 3.0, -7.0, 0.1, 100.0, draw.gauss(0, 3)])

    def ints(self, shape: Shape, low: int, high: int, dtype: Any = np.int64) -> NDArray[Any]:
        size = int(np.prod(shape, dtype=np.int64))
        return np.array([self.rng.randint(low, high) for _ in range(size)], dtype).reshape(shape)

    def bools(self, shape: Shape) -> NDArray[Any]:
        return self.ints(shape, 0, 1, np.bool_)

    # the node

    def takes(self, name: str) -> bool:
        """This version has the attribute."""
        return name in self.schema.attributes

    def attr(self, name: str, value: Any, p: float = 0.65) -> Any:
        """Set it where this version has it: always if it must be there, else with probability p. The value in force."""
        if not self.takes(name):
            return None
        if not (self.schema.attributes[name].required or self.maybe(p)):
            return None
        self.case.attributes[name] = value
        return value

    def flag(self, name: str, p: float = 0.5) -> Any:
        return self.attr(name, self.pick([0, 1, 1, 1, 2] if self.maybe(0.1) else [0, 1]), p)

    def operand(self, value: NDArray[Any], role: str = "") -> None:
        """``role``: data, constant, or (default) either."""
        wide = value.dtype in (np.float32, np.float64)
        if not role:
            role = "data" if self.maybe(0.6 if wide else 0.1) else "constant"
        if role == "constant":
            role = "stored" if self.maybe(0.6) else "constant"
        self.case.operands.append(Operand(value, role))

    def numbers(self, values: Sequence[int], p_data: float = 0.06, dtype: Any = np.int64) -> None:
        """A list of integers as an operand: nearly always constant."""
        self.operand(np.array(values, dtype), "data" if self.maybe(p_data) else "constant")

    def absent(self) -> None:
        self.case.operands.append(None)

    def listed(self, name: str, values: Sequence[int], p: float = 1.0) -> bool:
        """A list that is an attribute in some versions and the next operand in others; False when left out."""
        if self.takes(name):
            return self.attr(name, list(values), p) is not None
        if self.maybe(p):
            self.numbers(values)
            return True
        self.absent()
        return False

    def finish(self) -> Case:
        """Optional outputs, absent operands at the end (kept or cut), and a few deliberate mistakes."""
        case, rng = self.case, self.rng
        if rng.random() < 0.85:
            while case.operands and case.operands[-1] is None:
                case.operands.pop()
        if self.spoils and len(case.outputs) == 1 and len(self.schema.outputs) > 1:
            for _ in self.schema.outputs[1:]:
                case.outputs.append(rng.choice(["", "", "named", "wanted"]))
            if rng.random() < 0.05:
                case.outputs[0] = rng.choice(["", "named"])
        while len(case.outputs) > 1 and not case.outputs[-1] and rng.random() < 0.7:
            case.outputs.pop()
        if self.spoils and rng.random() < 0.05:
            self._mistake()
        if "wanted" not in case.outputs:
            case.outputs[0] = "wanted"
        return case

    def _mistake(self) -> None:
        """Something of another version, or of none."""
        case, rng = self.case, self.rng
        every = schemas()[self.operator]
        foreign = {
            name: a for s in every for name, a in s.attributes.items() if name not in self.schema.attributes
        }
        match rng.randrange(6):
            case 0:
                case.opset = rng.randint(OLDEST, NEWEST)
            case 1 if foreign:
                name = rng.choice(sorted(foreign))
                value = self.anything(str(foreign[name].type).split(".")[-1])
                if value is not None:
                    case.attributes[name] = value
            case 2 if case.attributes:
                del case.attributes[rng.choice(sorted(case.attributes))]
            case 3:
                case.operands.append(Operand(np.array([1], np.int64), "stored"))
            case 4:
                case.outputs.append(rng.choice(["named", "wanted"]))
            case _:
                case.opset = rng.choice([OLDEST - 1, NEWEST + 1, NEWEST + 2])

    def anything(self, kind: str) -> Any:
        match kind:
            case "INT":
                return self.pick([0, 1, 2, 3, -1])
            case "FLOAT":
                return self.pick([0.0, 0.5, 1.0, -1.0])
            case "STRING":
                return self.pick(["", "constant", "nearest", "none"])
            case "INTS":
                return [self.int(0, 2) for _ in range(self.int(0, 4))]
            case "FLOATS":
                return [float(self.int(1, 2)) for _ in range(self.int(1, 4))]
            case "TENSOR":
                return numpy_helper.from_array(np.ones(1, np.float32))
        return None
