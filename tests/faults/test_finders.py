"""What readers of names, finders and the strict inequality said wrongly in version 0.1.0, and the rest of each kind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers import CERTIFICATES, FAULTS, needs_faults
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.prover.query_proof import certify_query
from tlcheck.prover.stability_search import certify
from tlcheck.readers.vnnlib.places import check_places

Row = tuple[str, Sequence[str], str]


def model(
    path: Path,
    nodes: Sequence[Row],
    inputs: Mapping[str, Sequence[int]],
    outputs: Mapping[str, Sequence[int]],
    **constants: Any,
) -> Path:
    """An ONNX file in float32: (operator, operands, result) for each node."""
    made = [helper.make_node(op, list(operands), [result]) for op, operands, result in nodes]
    sides = [
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(s)) for n, s in side.items()]
        for side in (inputs, outputs)
    ]
    arrays = [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in constants.items()]
    graph = helper.make_graph(made, "g", *sides, arrays)
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(whole, path)
    return path


def absolute(path: Path, below: float = 0.0) -> Path:
    """y = |x| - below"""
    nodes: list[Row] = [
        ("Gemm", ["x", "w", "b"], "z"), ("Relu", ["z"], "h"), ("Gemm", ["h", "v", "c"], "y"),
    ]  # fmt: skip
    return model(
        path, nodes, {"x": (1, 1)}, {"y": (1, 1)}, w=[[1.0, -1.0]], b=[0.0, 0.0], v=[[1.0], [1.0]], c=[-below]
    )


def prop(path: Path, low: str, high: str, *formulas: str) -> Path:
    lines = ["(declare-const X_0 Real)", "(declare-const Y_0 Real)"]
    lines += [f"(assert {f})" for f in (f"(>= X_0 {low})", f"(<= X_0 {high})", *formulas)]
    path.write_text("\n".join(lines) + "\n")
    return path


# Strict constraints.


def answer(capsys: pytest.CaptureFixture[str], query: Path, net: Path, *more: object) -> tuple[str, str]:
    capsys.readouterr()
    assert main(["vnnlib", "verify", str(query), "--network", f"N={net}", *map(str, more)]) == 0
    captured = capsys.readouterr()
    return captured.out.split("\n", 1)[0], captured.err


@needs_faults
def test_strict_output(capsys: pytest.CaptureFixture[str]) -> None:
    here = FAULTS / "strict_output"
    assert answer(capsys, here / "strict.vnnlib", here / "net.onnx")[0] == "unsat"
    assert main(["verify", "-q", str(here / "strict.tlcert")]) == 0
    for given in ((), ("--witness", here / "zero_width.ce")):
        said, notes = answer(capsys, here / "zero_width.vnnlib", here / "net.onnx", *given)
        assert said == "sat"
        assert "no number of float32 (X_0 in [0.1, 0.1])" in notes


@pytest.mark.parametrize(
    ("low", "high", "formulas", "verdict"),
    [
        ("-1", "2", ["(< Y_0 0)"], "unsat"),
        ("-1", "2", ["(<= Y_0 0)"], "sat"),
        ("0.1", "1", ["(< Y_0 0.1)"], "unsat"),
        ("0.1", "1", ["(< X_0 0.1)"], "unsat"),
        ("0.1", "1", ["(< (+ X_0 Y_0) 0.2)"], "unsat"),
        ("0.25", "1", ["(<= Y_0 0.25)"], "sat"),
        ("-1", "1", ["(> Y_0 1)"], "unsat"),
        ("-1", "1", ["(<= Y_0 0.5)", "(> Y_0 0.5)"], "unsat"),
        ("-1", "1", ["(<= Y_0 0.5)", "(>= Y_0 0.5)"], "sat"),
        ("-1", "1", ["(or (and (< Y_0 0)) (and (> Y_0 1)))"], "unsat"),
        ("-1", "1", ["(or (and (< Y_0 0)) (and (<= Y_0 0)))"], "sat"),
    ],
)
def test_an_attained_bound_excludes_what_is_strict(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    low: str,
    high: str,
    formulas: list[str],
    verdict: str,
) -> None:
    """y = |x|: of `vnnlib verify`, and of `certify-lyapunov`, whose proof `verify` certifies."""
    net, query = absolute(tmp_path / "n.onnx"), prop(tmp_path / "p.vnnlib", low, high, *formulas)
    assert answer(capsys, query, net)[0] == verdict
    target = tmp_path / "x.tlcert"
    assert main(["certify-lyapunov", str(query), "--model", str(net), "-o", str(target)]) == (
        0 if verdict == "unsat" else 1
    )
    assert target.exists() == (verdict == "unsat")
    if verdict == "unsat":
        assert main(["verify", "-q", str(target)]) == 0


# Names.


@needs_faults
def test_pinn_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = FAULTS / "pinn_names"
    target = tmp_path / "x.tlcert"
    assert main(["certify-pinn", str(here / "net.onnx"), str(here / "pde.toml"), "-o", str(target)]) == 3
    said = "".join(capsys.readouterr())
    assert "expected t, x, got x, t" in said and "TLC204" in said
    assert not target.exists()


AGREE = [
    ([("p", 2)], ["t", "x"]),  # says nothing
    ([("input", 2)], ["t", "x"]),
    ([("x", 2)], ["t", "x"]),  # one letter for two values
    ([("t", 1), ("x", 1)], ["t", "x"]),
    ([("T", 1), ("X", 1)], ["t", "x"]),
    ([("tx", 2)], ["t", "x"]),
    ([("time", 1), ("input_x", 1)], ["t", "x"]),
    ([("in0", 1), ("in1", 1)], ["t", "x"]),
    ([("x", 1)], ["t"]),  # the only value of the only tensor
    ([("theta_omega", 2)], ["theta", "omega"]),
    ([("u", 1), ("v", 1), ("pressure", 1)], ["u", "v", "p"]),
    ([("x", 1), ("anything", 1)], ["x", None]),
    ([("x1", 1), ("x2", 1)], ["x", "y"]),  # numbered
]
DISAGREE = [
    ([("x", 1), ("t", 1)], ["t", "x"]),
    ([("X", 1), ("T", 1)], ["t", "x"]),
    ([("xt", 2)], ["t", "x"]),
    ([("x_t", 2)], ["t", "x"]),
    ([("input_x", 1), ("time", 1)], ["t", "x"]),
    ([("x:0", 1), ("other", 1)], ["t", "x"]),
    ([("y", 1), ("x", 1)], ["t", "x"]),  # y is no coordinate
    ([("txy", 3)], ["t", "y", "x"]),
    ([("omega_theta", 2)], ["theta", "omega"]),
    ([("t", 1), ("yx", 2)], ["t", "x", "y"]),
    ([("v", 1), ("u", 1)], ["u", "v"]),
    ([("b", 1), ("a", 1)], ["a", None]),
]


@pytest.mark.parametrize(("tensors", "wanted"), AGREE)
def test_names_that_agree_with_places(tensors: list[tuple[str, int]], wanted: list[str | None]) -> None:
    check_places([(name, (1, size)) for name, size in tensors], wanted, "the coordinates", field="inputs")


@pytest.mark.parametrize(("tensors", "wanted"), DISAGREE)
def test_names_that_disagree_with_places(tensors: list[tuple[str, int]], wanted: list[str | None]) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_places([(name, (1, size)) for name, size in tensors], wanted, "the coordinates", field="inputs")
    assert caught.value.code == "TLC204"
    assert all(name.replace(":", "") in caught.value.got.replace(":", "") for name, _ in tensors)


def two(path: Path, names: Sequence[str] = ("t", "x"), outputs: Sequence[str] = ("u",)) -> Path:
    """The first output is the first input; a second output the second input."""
    nodes: list[Row] = [("Identity", [names[k]], out) for k, out in enumerate(outputs)]
    if len(outputs) == 1:
        nodes = [("Mul", [names[1], "zero"], "n"), ("Add", [names[0], "n"], outputs[0])]
    return model(path, nodes, dict.fromkeys(names, (1, 1)), dict.fromkeys(outputs, (1, 1)), zero=[[0.0]])


DECLARED = """(vnnlib-version <2.0>)
(declare-network N
{inputs}
{outputs})
(assert (and (>= t[0,0] 1.0) (<= t[0,0] 2.0)))
(assert (and (>= x[0,0] -1.0) (<= x[0,0] 0.0)))
(assert (>= u[0,0] 0.5))
"""


def declared(
    path: Path, inputs: Sequence[str], outputs: Sequence[str] = ("u",), shape: str = "[1,1]"
) -> Path:
    sides = [
        "\n".join(f"(declare-{kind} {name} real {shape})" for name in names)
        for kind, names in (("input", inputs), ("output", outputs))
    ]
    path.write_text(DECLARED.format(inputs=sides[0], outputs=sides[1]))
    return path


def test_declarations_in_another_order_than_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """u is the input t by name, and x by place: each command refuses the swap, with both lists of names."""
    net = two(tmp_path / "n.onnx")
    right, swapped = declared(tmp_path / "p.vnnlib", "tx"), declared(tmp_path / "q.vnnlib", "xt")
    witness = tmp_path / "w.txt"
    witness.write_text("x real [1,1]\n-0.5\nt real [1,1]\n1.5\nu real [1,1]\n1.5\n")
    target = str(tmp_path / "x.tlcert")
    assert main(["vnncomp", "witness", str(net), str(right), str(witness)]) == 0
    assert answer(capsys, right, net, "--witness", witness)[0] == "sat"
    for command in (
        ["vnnlib", "verify", str(swapped), "--network", f"N={net}"],
        ["vnncomp", "witness", str(net), str(swapped), str(witness)],
        ["certify-lyapunov", str(swapped), "--model", str(net), "-o", target],
    ):
        capsys.readouterr()
        assert main(command) == 3, command
        said = "".join(capsys.readouterr())
        assert "expected t, x, got x, t" in said and "TLC303" in said
    both = two(tmp_path / "m.onnx", outputs=("v", "u"))
    others = declared(tmp_path / "o.vnnlib", "tx", ("u", "v"))
    assert main(["vnnlib", "verify", str(others), "--network", f"N={both}"]) == 3
    assert "outputs are declared in another order" in "".join(capsys.readouterr())
    column = declared(tmp_path / "c.vnnlib", "tx", shape="[2,1]")
    assert main(["vnncomp", "witness", str(net), str(column), str(witness)]) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x real [1,1]\n-0.5\nu real [1,1]\n1.5\n", "a variable is missing"),
        ("x real [1,1]\n-0.5\nt real [1,1]\n1.5\nz real [1,1]\n1.5\n", "not the query's"),
        ("x real [1,1]\n-0.5\nx real [1,1]\n1.5\n", "given twice"),
        ("x real [1,1]\n-0.5\nt real [2,1]\n1.5\n1.5\n", "not the declared shape"),
    ],
)
def test_witnesses_are_read_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    net, query = two(tmp_path / "n.onnx"), declared(tmp_path / "p.vnnlib", "tx")
    witness = tmp_path / "w.txt"
    witness.write_text(text)
    assert main(["vnncomp", "witness", str(net), str(query), str(witness)]) != 0
    assert said in "".join(capsys.readouterr())


def test_stability_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A controller's model whose input names the states in another order than the file hands them over."""
    spec: dict[str, Any] = {
        "format": "tlcheck.stability/1", "time": "discrete", "statement": "invariant",
        "states": ["theta", "omega"], "equations": ["theta/2 + u/8", "omega/2"],
        "networks": [{"names": ["u"], "network": {"file": "c.onnx"}, "inputs": ["theta", "omega"]}],
        "V": {"quadratic": [["1", "0"], ["0", "1"]]}, "region": {"lower": ["-1", "-1"], "upper": ["1", "1"]},
        "level": "1/2",
    }  # fmt: skip
    file = tmp_path / "s.json"
    file.write_text(json.dumps(spec))
    for name, code in (("omega_theta", 3), ("theta_omega", 0), ("input", 0)):
        model(
            tmp_path / "c.onnx", [("Gemm", [name, "w", "b"], "y")], {name: (1, 2)}, {"y": (1, 1)},
            w=[[0.25], [0.25]], b=[0.0],
        )  # fmt: skip
        target = tmp_path / f"{name}.tlcert"
        assert main(["certify-lyapunov", str(file), "-o", str(target), "--jobs", "1"]) == code
        said = "".join(capsys.readouterr())
        assert ("expected theta, omega, got omega_theta" in said) == (code == 3)


# False queries.


@needs_faults
def test_lyapunov_false(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here, target = FAULTS / "lyapunov_false", tmp_path / "x.tlcert"
    found = certify_query(here / "net.onnx", here / "q.vnnlib", target)
    assert (found.guidance, found.boxes, found.witness) == (None, 0, (Fraction(0), Fraction(0)))
    command = [
        "certify-lyapunov",
        str(here / "q.vnnlib"),
        "--model",
        str(here / "net.onnx"),
        "-o",
        str(target),
    ]
    assert main(command) == 1
    assert "X_0 = 0, X_1 = 0" in "".join(capsys.readouterr())
    assert not target.exists()


@pytest.mark.parametrize(
    ("low", "high", "below", "formula", "boxes"),
    [
        ("-1", "1", 0.0, "(<= Y_0 0)", 0),  # touches at the centre
        ("0.1", "0.1", 0.0, "(>= Y_0 0.05)", 0),  # a region of one point, which is none of float32
        ("0.25", "1", 0.0, "(<= Y_0 0.25)", 0),  # touches at a corner
        ("-1", "3", 0.0, "(<= Y_0 0.0001)", 0),  # off the centre: the descent
        ("1", "0", 0.0, "(<= Y_0 0.1)", None),  # an empty region: proved
        ("-1", "2", 0.0, "(<= Y_0 -0.001)", None),  # true
    ],
)
def test_false_queries_are_refuted_before_any_box_is_cut(
    tmp_path: Path, low: str, high: str, below: float, formula: str, boxes: int | None
) -> None:
    net, query = absolute(tmp_path / "n.onnx", below), prop(tmp_path / "p.vnnlib", low, high, formula)
    found = certify_query(net, query, tmp_path / "x.tlcert")
    if boxes is None:
        assert found.guidance is not None and found.witness is None
    else:
        assert found.guidance is None and found.witness is not None and found.boxes == boxes
    assert (tmp_path / "x.tlcert").exists() == (boxes is None)


def test_what_is_open_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = absolute(tmp_path / "n.onnx")
    query = prop(tmp_path / "p.vnnlib", "-1", "2", "(<= Y_0 -0.0000001)")
    command = ["certify-lyapunov", str(query), "--model", str(net), "-o", str(tmp_path / "x.tlcert")]
    assert main([*command, "--max-leaves", "3"]) == 4
    said = "".join(capsys.readouterr())
    assert "open, such as X_0 in [" in said and "--max-leaves" in said


@pytest.mark.parametrize(
    ("low", "high", "formula", "most"),
    [
        ("0.1", "0.1", "(>= Y_0 0.1)", 1),  # one point, at which no ball tells 0.1 from 0.1
        ("0.1", "1", "(<= Y_0 0.1)", 20_000),  # touches at an end that is no double: halved down to it
    ],
)
def test_a_box_that_cannot_be_cut_ends_the_search(
    tmp_path: Path, low: str, high: str, formula: str, most: int
) -> None:
    net, query = absolute(tmp_path / "n.onnx"), prop(tmp_path / "p.vnnlib", low, high, formula)
    found = certify_query(net, query, tmp_path / "x.tlcert")
    assert (found.guidance, found.witness) == (None, None)
    assert 1 <= found.boxes <= most
    assert found.open_box is not None and Fraction(1, 10) <= found.open_box.lower[0] < Fraction(10001, 100000)


def test_a_refuted_witness_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(CERTIFICATES / "reject" / "witness-on-a-strict-bound")]) == 1
    assert "evaluated exactly at (-0.5) [TLC011]" in capsys.readouterr().out


@pytest.mark.parametrize("equations", [["x*5/4", "y"], ["-2*x", "y/2"], ["2*y", "2*x"]])
def test_false_stability_is_refuted_before_any_leaf(tmp_path: Path, equations: list[str]) -> None:
    spec = {
        "format": "tlcheck.stability/1", "time": "discrete", "statement": "asymptotic", "states": ["x", "y"],
        "equations": equations, "V": {"quadratic": [["1", "0"], ["0", "1"]]}, "decay": "1/100",
        "region": {"lower": ["-1", "-1"], "upper": ["1", "1"]}, "level": "1",
    }  # fmt: skip
    file = tmp_path / "s.json"
    file.write_text(json.dumps(spec))
    found = certify(file, tmp_path / "x.tlcert", jobs=1)
    assert found.false and found.leaves == 0 and len(found.points) == 1
    assert main(["verify", "-q", str(tmp_path / "x.tlcert")]) == 1


@pytest.mark.parametrize(
    ("names", "code"),
    [(("X_0", "X_1"), 0), (("X_1", "X_0"), 3), (("x1", "x2"), 0), (("x2", "x1"), 3), (("a", "b"), 0)],
)
def test_a_model_that_numbers_its_inputs_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, str], code: int
) -> None:
    """X_i of VNN-LIB 1.0 is the i-th value; a model with inputs X_1, X_0 says otherwise."""
    net, query = two(tmp_path / "n.onnx", names), tmp_path / "p.vnnlib"
    query.write_text(
        "".join(f"(declare-const {v} Real)\n" for v in ("X_0", "X_1", "Y_0"))
        + "(assert (and (>= X_0 0) (<= X_0 1) (>= X_1 2) (<= X_1 3) (>= Y_0 2)))\n"
    )
    assert main(["vnnlib", "verify", str(query), "--network", f"N={net}"]) == code
    assert ("in another order" in "".join(capsys.readouterr())) == (code == 3)
    witness = tmp_path / "w.txt"
    witness.write_text("((X_0 0) (X_1 2))")
    assert main(["vnncomp", "witness", str(net), str(query), str(witness)]) == (3 if code else 1)
