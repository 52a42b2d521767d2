"""Whole VNN-LIB 2.0 queries: what is declared, products, and the joint graph against plain arithmetic."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.solver.small import Tiny, relu_file, text, write
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import load_model
from tlcheck.readers.vnnlib import version2 as vnnlib2
from tlcheck.readers.vnnlib.equivalent import relaxable
from tlcheck.readers.vnnlib.joint import load_joint
from tlcheck.readers.vnnlib.normal_form import normal_form
from tlcheck.readers.vnnlib.read import read_any_property, read_property
from tlcheck.trusted.arith.arb import arb, working_precision
from tlcheck.trusted.evaluate import evaluate
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import Network
from tlcheck.trusted.query import LinearConstraint

F = Fraction
PLAIN = "(declare-network N (declare-input X float32 [2]) (declare-output Y float32 [2]))"
BOX = ("(and (>= X[0] -1.0) (<= X[0] 1.0) (>= X[1] -1.0) (<= X[1] 2.0))",)


def declared(*assertions: str, networks: str = PLAIN) -> vnnlib2.Property:
    return read_any_property(text(networks, *BOX, *assertions).encode())


def test_a_plain_property_is_the_same_query_as_ever(tmp_path: Path) -> None:
    content = text(PLAIN, *BOX, "(or (<= Y[0] X[1]) (>= (+ Y[0] (* 2.0 Y[1])) 0.1))")
    path = Tiny(((1, 1), (1, -1)), (0, 1), ((1, 1), (2, 0))).file(tmp_path / "n.onnx")
    (tmp_path / "q.vnnlib").write_text(content)
    joint = load_joint(tmp_path / "q.vnnlib", {"N": path})
    assert joint.query == read_property(content.encode(), n_inputs=2, n_outputs=2)
    assert len(joint.graph.nodes) == len(load_model(path).nodes)
    assert not joint.unbounded


def test_products_are_written_out_in_monomials() -> None:
    """(x0 + y1 - 2)(x0 - y1) = x0^2 - y1^2 - 2 x0 + 2 y1: the mixed terms cancel."""
    found = declared("(<= (* (+ X[0] Y[1] (- 2.0)) (- X[0] Y[1])) 3.0)")
    kinds = list(found.monomials)
    assert set(kinds) == {(("X", 0), ("X", 0)), (("X", 0), ("Y", 1)), (("Y", 1), ("Y", 1))}
    place = {m: found.space.n_outputs - len(kinds) + k for k, m in enumerate(kinds)}
    (constraint,) = normal_form(found.assertions, found.space).disjuncts[0].constraints
    assert isinstance(constraint, LinearConstraint)
    assert dict(constraint.inputs) == {0: F(-2)}
    assert dict(constraint.outputs) == {
        1: F(2),
        place[("X", 0), ("X", 0)]: F(1),
        place[("Y", 1), ("Y", 1)]: F(-1),
    }
    assert constraint.bound == 3


def test_equal_products_are_one_monomial_whatever_their_order() -> None:
    found = declared("(<= (* X[0] Y[0] 2.0 X[1]) (* (* X[1] Y[0]) X[0]))")
    place = (
        found.space.n_outputs - len(found.monomials) + found.monomials.index((("X", 0), ("X", 1), ("Y", 0)))
    )
    (constraint,) = normal_form(found.assertions, found.space).disjuncts[0].constraints
    assert (constraint.inputs, constraint.outputs) == ((), ((place, F(1)),))


def test_a_product_that_cancels_is_a_constant() -> None:
    found = declared("(<= (* X[0] (- Y[0] Y[0])) -1.0)")
    assert normal_form(found.assertions, found.space).disjuncts == ()


def test_polynomials_are_limited() -> None:
    tower = "X[0]"
    for _ in range(6):
        tower = f"(* {tower} {tower})"
    with pytest.raises(InvalidInput) as caught:
        declared(f"(<= {tower} 1.0)")
    assert caught.value.code == "TLC401"


@pytest.mark.parametrize(
    "change",
    [
        ("(declare-output", '(declare-hidden H float32 [1] "h") (declare-output'),
        ("Y float32", "Y int64"),
        (")(assert", ") (declare-network M (declare-input A real [1]) (declare-output B real [1]))(assert"),
    ],
)
def test_what_one_graph_does_not_answer_is_refused_for_certificates(change: tuple[str, str]) -> None:
    content = text(PLAIN, *BOX).replace("\n(assert", "(assert").replace(*change)
    assert read_any_property(content.encode()).networks
    with pytest.raises(InvalidInput) as caught:
        read_property(content.encode(), n_inputs=None, n_outputs=None)
    assert caught.value.code == "TLC302"


def values(graph: Graph, point: list[Fraction]) -> list[float]:
    inputs, start = [], 0
    with working_precision(200):
        for i in graph.inputs:
            size = graph.nodes[i].size
            inputs.append([arb(x.numerator) / x.denominator for x in point[start : start + size]])
            start += size
        return [float(y.mid()) for y in evaluate(graph, inputs).outputs]


def test_the_joint_graph_computes_every_declared_value(tmp_path: Path) -> None:
    """Two networks, one of them twice, hidden nodes of both uses, a monomial across them."""
    f = Tiny(((1, -2), (3, 1)), (1, -1), ((2, -1),))
    g = Tiny(((1,),), (2,), ((3,), (-1,)))
    networks = (
        '(declare-network A (declare-input P float32 [1,2]) (declare-hidden H float32 [1,2] "h") (declare-output R float32 [1,1]))'
        '(declare-network B (equal-to A) (declare-input P2 float32 [1,2]) (declare-hidden H2 float32 [1,2] "r") '
        "(declare-output R2 float32 [1,1]))"
        "(declare-network C (declare-input U float32 [1,1]) (declare-output S float32 [1,2]))"
    )
    query = tmp_path / "q.vnnlib"
    query.write_text(text(networks, "(<= (* R[0,0] S[0,1] P2[0,1]) (* H2[0,0] H2[0,0]))"))
    joint = load_joint(query, {"A": f.file(tmp_path / "f.onnx"), "C": g.file(tmp_path / "g.onnx")})
    assert joint.unbounded == "P[0,0]"
    assert [t.name for t in joint.tensors] == ["P", "H", "R", "P2", "H2", "R2", "U", "S"]
    rng = random.Random(1)
    for _ in range(20):
        p, p2, u = ([F(rng.randint(-40, 40), 8) for _ in range(k)] for k in (2, 2, 1))
        h2 = [max(v, F(0)) for v in f.hidden(p2)]
        wanted = {
            "R": f.outputs(p), "H": f.hidden(p), "R2": f.outputs(p2), "H2": h2, "S": g.outputs(u),
        }  # fmt: skip
        found = values(joint.graph, [*p, *p2, *u])
        for tensor in joint.tensors:
            if tensor.kind != "input":
                assert found[tensor.start : tensor.start + tensor.size] == list(
                    map(float, wanted[tensor.name])
                )
        assert found[-2:] == [float(f.outputs(p)[0] * g.outputs(u)[1] * p2[1]), float(h2[0] ** 2)]


def test_hidden_nodes_that_are_outputs_inputs_or_constants(tmp_path: Path) -> None:
    path = Tiny(((1, 1),), (3,), ((1,),)).file(tmp_path / "n.onnx")
    hidden = " ".join(
        f'(declare-hidden {n} float32 {s} "{t}")'
        for n, s, t in (("A", "[1,2]", "x"), ("B", "[1]", "b"), ("C", "[1,1]", "y"))
    )
    query = tmp_path / "q.vnnlib"
    query.write_text(
        text(
            f"(declare-network N (declare-input X float32 [1,2]) {hidden} (declare-output Y float32 [1,1]))",
            "(<= Y[0,0] 1.0)",
        )
    )
    joint = load_joint(query, {"N": path})
    found = values(joint.graph, [F(1), F(2)])
    by_name = {t.name: found[t.start : t.start + t.size] for t in joint.tensors if t.kind != "input"}
    assert by_name == {"A": [1.0, 2.0], "B": [3.0], "C": [6.0], "Y": [6.0]}


def test_the_files_are_named_by_their_hashes(tmp_path: Path) -> None:
    query = tmp_path / "q.vnnlib"
    one = "(declare-network N (declare-input X float32 [1]) (declare-output Y float32 [1]))"
    query.write_text(text(one, "(<= Y[0] 1.0)"))
    joint = load_joint(query, {"N": relu_file(tmp_path / "relu.onnx")})
    assert set(joint.sources) == {"model", "property"}
    assert all(len(value) == 64 for value in joint.sources.values())


# --- the same function in other operations --------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("magnitude", [0.0, 1e-9, 3.0, 1e12, float("inf")])
def test_rewritten_graphs_are_the_same_function(tmp_path: Path, size: int, magnitude: float) -> None:
    shape = (TensorProto.FLOAT, [3, size])
    nodes = [
        helper.make_node("Mul", ["x", "z"], ["p"]),
        helper.make_node("Softmax", ["p"], ["s"], axis=-1),
        helper.make_node("Mul", ["s", "s"], ["q"]),
        helper.make_node("Div", ["q", "z"], ["y"]),
    ]
    path = write(tmp_path / "n.onnx", nodes, {"x": shape, "z": shape}, {"y": shape, "p": shape})
    graph = load_model(path)
    new = relaxable(graph, dict.fromkeys(range(len(graph.nodes)), magnitude))
    assert Network(new).without_relaxation is None
    assert (new.n_inputs, new.n_outputs) == (graph.n_inputs, graph.n_outputs)
    rng = np.random.default_rng(2)
    for _ in range(5):
        point = [F(x) for x in rng.uniform(0.1, 3.0, 2 * 3 * size)]
        np.testing.assert_allclose(values(new, point), values(graph, point), rtol=1e-12)


def test_a_graph_without_products_is_left_alone(tmp_path: Path) -> None:
    graph = load_model(relu_file(tmp_path / "relu.onnx"))
    assert relaxable(graph, {}) is graph


def test_a_model_whose_types_cannot_be_inferred_is_refused(tmp_path: Path) -> None:
    """A hidden node behind an operator that the onnx package does not know has no type to compare."""
    path = relu_file(tmp_path / "relu.onnx")
    model = onnx.load(str(path))
    model.graph.node.insert(0, helper.make_node("Identity", ["x"], ["t"]))
    model.graph.node[1].input[0] = "t"
    path.write_bytes(model.SerializeToString())
    query = tmp_path / "q.vnnlib"
    for dtype, refused in (("float32", False), ("float64", True)):
        query.write_text(
            text(
                f'(declare-network N (declare-input X float32 [1]) (declare-hidden H {dtype} [1] "t") (declare-output Y float32 [1]))',
                "(<= X[0] 1.0)",
            )
        )
        if refused:
            with pytest.raises(InvalidInput) as caught:
                load_joint(query, {"N": path})
            assert caught.value.code == "TLC303"
        else:
            assert load_joint(query, {"N": path}).graph.n_outputs == 2
