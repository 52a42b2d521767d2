"""Constants that a graph computes: what float32 executions make of them, and integers on which onnxruntime errs."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper

from tests.attack.test_opsets_and_queries import model
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import exact, read_model
from tlcheck.trusted.arith.arb import arb, working_precision
from tlcheck.trusted.arith.balls import constant_balls
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.evaluate import evaluate
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.ops.structure import Fixed

f32: Any = np.float32
UNIT = 2.0**-24


def outputs(data: bytes, x: NDArray[np.float32]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {"x": x}))


def fixed(graph: Graph) -> Constant:
    op = graph.nodes[graph.outputs[0]].op
    assert isinstance(op, Fixed)
    return op.value


@pytest.mark.parametrize("last", ["Sub", "Add", "Sum"])
def test_a_sum_of_computed_constants_holds_the_float32_result(last: str) -> None:
    """10 times the float32 nearest to 0.1 is 1 + 2^-26, and 1 in float32: less 1, 2^-26 or 0."""
    nodes = [
        helper.make_node("Mul", ["a", "b"], ["p"]),
        helper.make_node(last, ["p", "c"], ["d"]),
        helper.make_node("Reshape", ["d", "target"], ["y"]),
    ]
    one = f32([1 if last == "Sub" else -1])
    constants = {"a": f32([0.1]), "b": f32([10]), "c": one, "target": np.array([1, 1], np.int64)}
    data = model(nodes, [1], 13, **constants)
    assert outputs(data, f32([0]))[0].tolist() == [[0.0]]
    value = fixed(read_model(data))
    assert value.mid.tolist() == [[2.0**-26]]
    assert value.rad is not None and value.rad[0, 0] >= 2.0**-26
    assert value.formula is not None  # over the reals it is 2^-26 exactly


@pytest.mark.parametrize("decision", ["Greater", "Equal", "Cast", "Sign", "NonZero", "Floor", "Ceil"])
def test_no_decision_on_what_float32_makes_another_number(decision: str) -> None:
    nodes = [helper.make_node("Mul", ["a", "b"], ["p"]), helper.make_node("Sub", ["p", "c"], ["d"])]
    match decision:
        case "Greater" | "Equal":
            nodes += [helper.make_node(decision, ["d", "zero"], ["t"])]
        case "Cast":
            nodes += [helper.make_node("Cast", ["d"], ["t"], to=9)]
        case _:
            nodes += [helper.make_node(decision, ["d"], ["t"])]
    nodes += [helper.make_node("Cast", ["t"], ["u"], to=1), helper.make_node("Add", ["x", "u"], ["y"])]
    data = model(nodes, [1], 13, a=f32([0.1]), b=f32([10]), c=f32([1]), zero=f32([0]))
    with pytest.raises(InvalidInput) as caught:
        read_model(data)
    assert caught.value.code == "TLC202" and "computed constant" in str(caught.value)


def test_every_function_of_an_enclosure_encloses_what_it_makes_of_the_enclosure() -> None:
    """Not only the numbers that the formula says."""
    rng = np.random.default_rng(11)
    for _ in range(50):
        a, b = (Constant(np.abs(rng.normal(0, 1, 3)) + 0.5) for _ in range(2))
        wide = exact.widen(a, UNIT, 0.0)
        made: list[tuple[Constant, Callable[[Fraction, Fraction], Fraction]]] = [
            (exact.add(wide, b), lambda p, q: p + q),
            (exact.subtract(b, wide), lambda p, q: q - p),
            (exact.multiply(wide, b), lambda p, q: p * q),
            (exact.divide(b, wide), lambda p, q: q / p),
            (exact.reciprocal(wide), lambda p, q: 1 / p),
            (exact.multiply(exact.reciprocal(exact.add(wide, b)), b), lambda p, q: q / (p + q)),
        ]
        for value, function in made:
            assert value.rad is not None
            for k, side in product(range(3), (-1, 1)):
                truth = function(
                    Fraction(float(a.mid[k])) * (1 + side * Fraction(UNIT)), Fraction(float(b.mid[k]))
                )
                assert abs(truth - Fraction(float(value.mid[k]))) <= Fraction(float(value.rad[k]))


def test_the_numbers_themselves_stay_sharp() -> None:
    """The formula says them at any precision, however wide the radius is."""
    third = exact.widen(exact.reciprocal(Constant(np.array([3.0]))), 2.0**-20, 0.0)
    for _ in range(20):
        third = exact.widen(exact.divide(third, Constant(np.array([1.0]))), 2.0**-20, 0.0)
    with working_precision(128):
        [ball] = constant_balls(third)
        assert (ball - arb(1) / 3).abs_upper() < arb(2.0**-120)


@pytest.mark.parametrize("operator", ["Max", "Min", "Clip", "ReduceMax", "ReduceMin"])
@pytest.mark.parametrize("size", [2**31 - 1, 2**31])
def test_max_and_min_of_integers_beyond_2_31_are_refused(operator: str, size: int) -> None:
    """onnxruntime's max(2, 2^31) of int64 is 2, in vectors of two."""
    large = np.array([[size, size], [2, 2]], np.int64)
    constants: dict[str, NDArray[Any]] = {"a": large, "b": np.array(3, np.int64)}
    match operator:
        case "Clip":
            node = helper.make_node("Clip", ["a", "b"], ["m"])
        case "ReduceMax" | "ReduceMin":
            node = helper.make_node(operator, ["a"], ["m"], axes=[0])
        case _:
            node = helper.make_node(operator, ["a", "b"], ["m"])
    nodes = [
        node,
        helper.make_node("Cast", ["m"], ["c"], to=11),
        helper.make_node("Cast", ["x"], ["z"], to=11),
    ]
    nodes += [helper.make_node("Add", ["z", "c"], ["w"]), helper.make_node("Cast", ["c"], ["y"], to=1)]
    data = model(nodes, [1], 13, **constants)
    if size < 2**31:
        wanted = {
            "Max": np.maximum(large, 3), "Min": np.minimum(large, 3), "Clip": np.maximum(large, 3),
            "ReduceMax": large.max(axis=0, keepdims=True), "ReduceMin": large.min(axis=0, keepdims=True),
        }[operator].astype(f32)  # fmt: skip
        assert (fixed(read_model(data)).mid.astype(f32) == wanted).all()
        assert (outputs(data, f32([0]))[0] == wanted).all()
        return
    with pytest.raises(InvalidInput) as caught:
        read_model(data)
    assert "beyond 2^31" in str(caught.value)


@pytest.mark.parametrize("place", [0, 1])
def test_a_row_with_an_entry_that_is_no_number_has_no_softmax(place: int) -> None:
    """0 / 0 under the mask, or beside it: onnxruntime's row is NaN."""
    mask = np.full((1, 2), 0, f32)
    mask[0, 0] = -np.inf
    nodes = [
        helper.make_node("Div", ["x", "x"], ["d"]),
        helper.make_node("Add", ["d", "mask"], ["m"]),
        helper.make_node("Softmax", ["m"], ["y"], axis=-1),
    ]
    data = model(nodes, [1, 2], 13, mask=mask)
    x = f32([[1, 1]])
    graph = read_model(data)
    with working_precision(128):
        ones = evaluate(graph, [[arb(v) for v in x.ravel().tolist()]]).outputs
        assert [float(v) for v in ones] == outputs(data, x)[0].ravel().tolist() == [0.0, 1.0]
        x[0, place] = 0
        assert np.isnan(outputs(data, x)[0]).all()
        none = evaluate(graph, [[arb(v) for v in x.ravel().tolist()]]).outputs
        assert not any(v.is_finite() for v in none)
