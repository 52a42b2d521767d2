"""Operators whose meaning moved between opsets, against onnxruntime; whole queries, against a reading of their own."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests import numpy_eval
from tests.solver.small import relu_file, text, write
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import read_model
from tlcheck.readers.vnnlib.joint import load_joint
from tlcheck.trusted.arith.arb import arb, working_precision
from tlcheck.trusted.evaluate import evaluate
from tlcheck.trusted.graph import Graph

F = Fraction
f32 = np.float32
FLOAT = TensorProto.FLOAT
RNG = np.random.default_rng(9)


def normal(*shape: int) -> NDArray[np.float32]:
    return RNG.normal(0, 1.5, shape).astype(f32)


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def model(nodes: Sequence[Any], shape: Sequence[int], opset: int, **constants: Any) -> bytes:
    values = [
        helper.make_tensor_value_info("x", FLOAT, shape),
        helper.make_tensor_value_info("y", FLOAT, None),
    ]
    stored = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], stored)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return bytes(made.SerializeToString())


def agrees(data: bytes, x: NDArray[np.float32]) -> bool | None:
    """Whether what is read is what onnxruntime computes; None where one of the two refuses the model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        graph = read_model(data)
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        theirs = np.asarray(session.run(None, {"x": x})[0])
    except Exception as error:  # onnxruntime has no type of its own for a model that is none
        if isinstance(error, InvalidInput) or type(error).__module__.startswith("onnxruntime"):
            return None
        raise
    ours = numpy_eval.evaluate(graph, [x])[0]
    return ours.shape == theirs.shape and bool(np.allclose(ours, theirs, rtol=2e-4, atol=2e-4))


Case = tuple[str, dict[str, Any], tuple[int, ...], dict[str, Any]]


def _cases() -> list[Case]:
    cases: list[Case] = []
    for axis in (None, 0, 1, -1, -3):
        given = {} if axis is None else {"axis": axis}
        cases += [(op, given, (2, 3, 4), {}) for op in ("Softmax", "LogSoftmax", "Hardmax", "Flatten")]
        cases += [("LpNormalization", given | {"p": p}, (2, 3, 4), {}) for p in (1, 2)]
        shape = (2, 3, 4)[-1 if axis is None else axis :]
        cases.append(("LayerNormalization", given, (2, 3, 4), {"s": normal(*shape), "b": normal(*shape)}))
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2", "ReduceProd", "ReduceLogSumExp"):
        for noop in (0, 1):
            flag = {"noop_with_empty_axes": noop} if noop else {}
            cases += [(op, flag, (2, 3), {"a": ints(*axes)}) for axes in ((), (-1,), (1, 0))]
        cases += [(op, {"axes": [-2], "keepdims": k}, (2, 3), {}) for k in (0, 1)]
    for mode in ("constant", "reflect", "edge", "wrap"):
        for pads in ([1, 0, 0, 2], [-1, 0, 1, 1]):
            cases.append(("Pad", {"mode": mode, "pads": pads}, (3, 3), {}))
            cases.append(("Pad", {"mode": mode}, (3, 3), {"p": ints(*pads), "v": f32(1.5)}))
        cases.append(("Pad", {"mode": mode}, (3, 3), {"p": ints(1, 2), "v": f32(0), "a": ints(-1)}))
    cases += [
        ("Clip", dict(zip(("min", "max"), b, strict=False)), (3, 4), {}) for b in ((-0.5,), (1.0, -1.0))
    ]
    cases += [("Clip", {}, (3, 4), {"lo": f32(0.5), "hi": f32(-0.5)}), ("Clip", {}, (3, 4), {"lo": f32(0.5)})]
    cases += [
        ("CumSum", {"exclusive": e, "reverse": r}, (3, 4), {"a": np.array(-1)})
        for e in (0, 1)
        for r in (0, 1)
    ]
    cases += [("Mod", {"fmod": f}, (3, 4), {"d": f32(d)}) for f in (0, 1) for d in (0.7, -0.7)]
    cases += [("Gelu", {"approximate": a}, (3, 4), {}) for a in ("none", "tanh")]
    cases += [("Trilu", {"upper": u}, (3, 4), {"k": np.array(k)}) for u in (0, 1) for k in (-5, -1, 0, 2, 9)]
    cases += [("Squeeze", {"axes": [-1]}, (1, 3, 1), {})]
    cases += [("Squeeze", {}, (1, 3, 1), {"a": a}) for a in (ints(), ints(0), ints(-1))]
    for start, end, step in ((-1, -100, -1), (2**62, -(2**62), -2), (0, -1, 1), (3, 1, 1)):
        cases.append(
            ("Slice", {}, (2, 5), {"s": ints(start), "e": ints(end), "a": ints(-1), "p": ints(step)})
        )
    cases += [("Resize", {"mode": m}, (1, 1, 4, 4), {"s": np.array([1, 1, a, b], f32)})
              for m in ("nearest", "linear") for a in (0.6, 0.5, 1.2, 2) for b in (1, 1.2, 2)]  # fmt: skip
    cases += [("Dropout", {}, (3, 4), {"r": f32(0.9)}), ("Dropout", {"ratio": 0.9}, (3, 4), {})]
    parts = {"s": normal(3), "b": normal(3), "m": normal(3), "v": np.abs(normal(3)) + f32(0.5)}
    cases += [("BatchNormalization", {"epsilon": 0.1}, shape, parts) for shape in ((2, 3), (2, 3, 4))]
    cases += [
        ("GroupNormalization", {"num_groups": 2}, (2, 4, 3), {"s": normal(n), "b": normal(n)}) for n in (2, 4)
    ]
    cases += [("PRelu", {}, (2, 3), {"s": normal(*s)}) for s in ((3,), (2, 1), (1,), (2,))]
    return cases


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 12, 13, 18, 21])
def test_operators_mean_what_onnxruntime_computes(opset: int) -> None:
    """In every opset the meaning is that opset's, or the model is refused."""
    compared = 0
    for op, attributes, shape, constants in _cases():
        data = model(
            [helper.make_node(op, ["x", *constants], ["y"], **attributes)], shape, opset, **constants
        )
        found = agrees(data, normal(*shape))
        assert found is not False, (op, attributes, shape, constants)
        compared += bool(found)
        if op == "Resize" and opset > 10:
            data = model(
                [helper.make_node(op, ["x", "", "s"], ["y"], **attributes)], shape, opset, **constants
            )
            assert agrees(data, normal(*shape)) is not False, (attributes, constants)
    assert compared >= 20, compared


NUMBERS = np.array([[0.5, -0.5, 1.5, -1.5, 2.99, -3.01], [0.0, -0.0, 2.0, -2.0, 0.9999, -1.0]], f32)


@pytest.mark.parametrize("opset", [13, 19])
@pytest.mark.parametrize(
    "op", ["Add", "Sub", "Mul", "Mod", "Div", "Max", "Pow", "Equal", "Less", "GreaterOrEqual"]
)
def test_integers_of_the_network(op: str, opset: int) -> None:
    """Casts cut towards 0; remainders have the divisor's sign; what is not read is refused, not guessed."""
    node, read = helper.make_node, 0
    for kind, dtype in (
        (TensorProto.INT64, np.int64),
        (TensorProto.INT32, np.int32),
        (TensorProto.INT8, np.int8),
    ):
        constant = np.array([2, -3, 5, -2, 1, -7], dtype)
        for operands in (["i", "c"], ["c", "i"], ["i", "i"]):
            casts = [node("Cast", ["x"], ["i"], to=kind), node("Cast", ["r"], ["y"], to=FLOAT)]
            nodes = [casts[0], node(op, operands, ["r"]), casts[1]]
            if op in ("Mod", "Div", "Pow") and operands != ["i", "c"]:
                continue  # by 0
            if op == "Pow":
                constant = np.abs(constant)
            data = model(nodes, NUMBERS.shape, opset, c=constant)
            found = agrees(data, NUMBERS)
            assert found is not False, (kind, operands)
            read += bool(found)
    assert read or op in ("Div", "Max", "Pow")  # refused


def test_nearest_neighbours_below_scale_1_before_opset_11() -> None:
    """onnxruntime takes the neighbour above, the one below was read; at whole coordinates the two are one."""
    for scale, read in ((0.6, False), (0.5, True), (0.8, False), (2.0, True)):
        scales = np.array([1, 1, scale, 1], f32)
        data = model([helper.make_node("Resize", ["x", "s"], ["y"])], (1, 1, 5, 2), 10, s=scales)
        assert agrees(data, normal(1, 1, 5, 2)) is (True if read else None), scale


def test_scales_that_change_no_size() -> None:
    """4 rows by 1.2 are 4 rows: moved by the specification, copied by onnxruntime."""
    for opset in (11, 18):
        scales = np.array([1, 1, 1.2, 1], f32)
        node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear")
        with pytest.raises(InvalidInput):
            read_model(model([node], (1, 1, 4, 4), opset, s=scales))


# Whole queries: a generator that keeps, beside each text, what it means.

Values = dict[str, list[Fraction]]
Meaning = Callable[[Values], Any]
Term = tuple[str, Meaning]
BINARY: dict[str, Callable[[Any, Any], bool]] = {
    "<=": lambda a, b: a <= b, "<": lambda a, b: a < b, ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip


def net(path: Path, rng: random.Random) -> Callable[[Sequence[Fraction]], Values]:
    """h = a A + s, r = relu(h), y = r as the transpose of 2 by 2, z = sum of r; inputs a [1,2,1] and s []."""
    weight = np.array([[rng.randint(-2, 2) for _ in range(4)] for _ in range(2)], f32)
    node = helper.make_node
    nodes = [
        node("Reshape", ["a", "s12"], ["ar"]), node("MatMul", ["ar", "A"], ["m"]), node("Add", ["m", "s"], ["h"]),
        node("Relu", ["h"], ["r"]), node("Reshape", ["r", "s22"], ["y0"]),
        node("Transpose", ["y0"], ["y"], perm=[1, 0]), node("ReduceSum", ["r"], ["z"], keepdims=0),
    ]  # fmt: skip
    inputs, outputs = {"a": (FLOAT, [1, 2, 1]), "s": (FLOAT, [])}, {"y": (FLOAT, [2, 2]), "z": (FLOAT, [])}
    write(path, nodes, inputs, outputs, A=weight, s12=ints(1, 2), s22=ints(2, 2))

    def values(point: Sequence[Fraction]) -> Values:
        h = [sum((F(int(weight[i, j])) * point[i] for i in range(2)), point[2]) for j in range(4)]
        r = [max(v, F(0)) for v in h]
        return {
            "a": [*point[:2]],
            "s": [point[2]],
            "h": h,
            "r": r,
            "y": [r[0], r[2], r[1], r[3]],
            "z": [sum(r, F(0))],
        }

    return values


SHAPES = {
    "a": [(1, 2, 1), (2,), (2, 1), (1, 1, 2)], "s": [(), (1,), (1, 1)], "y": [(2, 2), (2, 1, 2), (1, 2, 2)],
    "z": [(), (1,)], "h": [(1, 4), (4, 1)], "r": [(4,)],
}  # fmt: skip


class Writer:
    """A random property over networks A, perhaps B (equal to A) and C; ``variables``: name -> (shape, network, tensor)."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.variables: dict[str, tuple[tuple[int, ...], str, str]] = {}
        self.text = ""

    def declare(self, name: str, equal_to: str = "") -> None:
        if equal_to:
            mine = [(t, shape) for shape, network, t in self.variables.values() if network == equal_to]
        else:
            hidden = [t for t in "hry" if self.rng.random() < 0.4]
            mine = [(t, self.rng.choice(SHAPES[t])) for t in ["a", "s", *hidden, "y", "z"]]
        parts = []
        for k, (tensor, shape) in enumerate(mine):
            kind = "input" if k < 2 else "output" if k >= len(mine) - 2 else "hidden"
            variable = f"{name}{k}"
            self.variables[variable] = (shape, name, tensor)
            where = f' "{tensor}"' if kind == "hidden" else ""
            parts.append(f"(declare-{kind} {variable} float32 [{','.join(map(str, shape))}]{where})")
        same = f"(equal-to {equal_to}) " if equal_to else ""
        self.text += f"(declare-network {name} {same}{' '.join(parts)})"

    def variable(self) -> Term:
        name = self.rng.choice(list(self.variables))
        shape = self.variables[name][0]
        place = [self.rng.randrange(n) for n in shape]
        flat = int(np.ravel_multi_index(place, shape)) if shape else 0
        index = f"[{','.join(map(str, place))}]" if shape else ""
        return name + index, lambda v: v[name][flat]

    def term(self, depth: int) -> Term:
        if depth == 0 or self.rng.random() < 0.4:
            if self.rng.random() < 0.3:
                number = self.rng.choice(["1.0", "-2.0", "0.5", "0.0", "-0.25"])
                return number, lambda v: F(number)
            return self.variable()
        op = self.rng.choice("+-*")
        (a, f), (b, g) = self.term(depth - 1), self.term(depth - 1)
        return f"({op} {a} {b})", {
            "+": lambda v: f(v) + g(v), "-": lambda v: f(v) - g(v), "*": lambda v: f(v) * g(v),
        }[op]  # fmt: skip

    def formula(self, depth: int) -> Term:
        if depth == 0 or self.rng.random() < 0.4:
            op = self.rng.choice(list(BINARY))
            (a, f), (b, g) = self.term(self.rng.randint(0, 2)), self.variable()
            sides = ((a, f), (b, g)) if self.rng.random() < 0.5 else ((b, g), (a, f))
            return f"({op} {sides[0][0]} {sides[1][0]})", lambda v: BINARY[op](sides[0][1](v), sides[1][1](v))
        parts = [self.formula(depth - 1) for _ in range(self.rng.randint(1, 3))]
        op, join = self.rng.choice([("and", all), ("or", any)])
        return f"({op} {' '.join(p[0] for p in parts)})", lambda v: join(p[1](v) for p in parts)


def exact_values(graph: Graph, point: Sequence[Fraction]) -> list[Fraction]:
    inputs, start = [], 0
    with working_precision(300):
        for i in graph.inputs:
            size = graph.nodes[i].size
            inputs.append([arb(x.numerator) / x.denominator for x in point[start : start + size]])
            start += size
        pairs = [y.mid().man_exp() for y in evaluate(graph, inputs).outputs]
    return [F(int(mantissa)) * F(2) ** int(exponent) for mantissa, exponent in pairs]


@pytest.mark.parametrize("seed", range(36))
def test_a_query_holds_exactly_where_its_text_does(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    writer = Writer(rng)
    writer.declare("A")
    networks = {"A": net(tmp_path / "A.onnx", rng)}
    if rng.random() < 0.5:
        writer.declare("B", "A")
        networks["B"] = networks["A"]
    if rng.random() < 0.5:
        writer.declare("C")
        networks["C"] = net(tmp_path / "C.onnx", rng)
    parts = [writer.formula(rng.randint(0, 2)) for _ in range(rng.randint(1, 3))]
    query = tmp_path / "q.vnnlib"
    query.write_text(text(writer.text, *(p[0] for p in parts)))
    joint = load_joint(query, {name: tmp_path / f"{name}.onnx" for name in networks if name != "B"})
    numbers = [F(n, d) for n in range(-3, 5) for d in (1, 2)]
    for _ in range(25):
        point = [rng.choice(numbers) for _ in range(joint.graph.n_inputs)]
        at = {name: f(point[3 * k : 3 * k + 3]) for k, (name, f) in enumerate(networks.items())}
        values = {name: at[network][tensor] for name, (_, network, tensor) in writer.variables.items()}
        outputs = exact_values(joint.graph, point)
        for t in joint.tensors:
            assert t.kind == "input" or outputs[t.start : t.start + t.size] == values[t.name]
        found = any(
            all(a <= x <= b for a, x, b in zip(d.box.lower, point, d.box.upper, strict=True))
            and all(
                (left := sum((q * point[i] for i, q in c.inputs), F(0)) + sum((q * outputs[i] for i, q in c.outputs), F(0)))
                < c.bound
                or (left == c.bound and not c.strict)
                for c in d.constraints
            )
            for d in joint.query.disjuncts
        )  # fmt: skip
        assert found == all(meaning(values) for _, meaning in parts), (query.read_text(), point)


def test_two_networks_of_one_name_are_refused(tmp_path: Path) -> None:
    """One file was taken for both, whatever else the two declare."""
    path = relu_file(tmp_path / "relu.onnx")
    one = "(declare-network A (declare-input {0} float32 [1]) (declare-output {1} float32 [1]))"
    query = tmp_path / "q.vnnlib"
    query.write_text(text(one.format("X", "Y") + one.format("P", "Q"), "(<= X[0] P[0])"))
    with pytest.raises(InvalidInput) as caught:
        load_joint(query, {"A": path})
    assert caught.value.code == "TLC301"
