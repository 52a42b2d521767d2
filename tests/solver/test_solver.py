"""The solver's contract: answers, assignments, errors; and answers stay right when a query is changed."""

from __future__ import annotations

import gzip
import json
import random
import re
import subprocess
import sys
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers import CERTIFICATES, REPOSITORY
from tests.solver.small import Run, Tiny, relu_file, solver, text, verify, write
from tlcheck.readers.runtime_profile import FOLDER

F = Fraction
NET = '(declare-network N (declare-input X float32 [1,{i}]) (declare-hidden H float32 [1,{h}] "h") (declare-output Y float32 [1,{o}]))'
ONE = "(declare-network N (declare-input X float32 [1]) (declare-output Y float32 [1]))"
UNIT = ("(>= X[0] -1.0)", "(<= X[0] 1.0)")


@pytest.fixture(scope="module")
def relu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return relu_file(tmp_path_factory.mktemp("relu") / "relu.onnx")


def ask(tmp_path: Path, content: str, seconds: float = 4, **networks: Path) -> Run:
    query = tmp_path / "q.vnnlib"
    query.write_text(content)
    return verify(query, seconds, **networks)


# --- the contract ---------------------------------------------------------------------------------------------


def test_sat_prints_every_variable_in_order_and_the_values_hold(tmp_path: Path, relu: Path) -> None:
    run = ask(tmp_path, text(ONE, *UNIT, "(>= Y[0] 0.75)"), N=relu)
    assert run.code == 0
    assert re.fullmatch(r"sat\nX float32 \[1\]\n[0-9.]+\nY float32 \[1\]\n[0-9.]+\n", run.out)
    values = run.values()
    assert values["Y"] == values["X"]
    assert values["X"][0] >= F(3, 4)


@pytest.mark.parametrize(
    ("assertion", "verdict"),
    [("(>= Y[0] 1.5)", "unsat"), ("(<= Y[0] -0.5)", "unsat"), ("(== Y[0] 0.25)", "sat")],
)
def test_verdicts(tmp_path: Path, relu: Path, assertion: str, verdict: str) -> None:
    assert ask(tmp_path, text(ONE, *UNIT, assertion), N=relu).verdict == verdict


def test_a_tie_is_neither(tmp_path: Path, relu: Path) -> None:
    """relu(x) < 0 has no solution, but no margin proves it."""
    run = ask(tmp_path, text(ONE, *UNIT, "(< Y[0] 0.0)"), 1.0, N=relu)
    assert (run.code, run.verdict in ("unknown", "timed-out")) == (0, True)


def test_a_contradiction_among_constants_is_unsat(tmp_path: Path, relu: Path) -> None:
    assert ask(tmp_path, text(ONE, *UNIT, "(<= 2.0 1.0)"), N=relu).verdict == "unsat"


def test_gzip_and_version_1(tmp_path: Path, relu: Path) -> None:
    one = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 -1))(assert (<= X_0 1))(assert (>= Y_0 0.5))"
    query = tmp_path / "q.vnnlib.gz"
    query.write_bytes(gzip.compress(one.encode()))
    run = verify(query, anything=relu)
    assert run.verdict == "sat"
    assert run.out.splitlines()[1] == "X real [1]"
    query.write_bytes(gzip.compress(one.replace("0.5", "1.5").encode()))
    assert verify(query, anything=relu).verdict == "unsat"


def test_an_input_without_bounds_can_be_sat_never_unsat(tmp_path: Path, relu: Path) -> None:
    assert ask(tmp_path, text(ONE, "(>= X[0] 0.0)", "(>= Y[0] 1000.0)"), N=relu).verdict == "sat"
    assert ask(tmp_path, text(ONE, "(<= X[0] 0.0)", "(>= Y[0] 1.0)"), 1.0, N=relu).verdict in (
        "unknown",
        "timed-out",
    )


def test_tensor_files(tmp_path: Path, relu: Path) -> None:
    query = tmp_path / "q.vnnlib"
    query.write_text(text(ONE, *UNIT, "(>= Y[0] 0.75)"))
    folder = tmp_path / "a" / "b"
    run = solver("verify", query, f"--network=N={relu}", "--serialise-assignments", folder, "--timeout", 4)
    assert (run.code, run.out) == (0, "sat\n")
    assert sorted(p.name for p in folder.iterdir()) == ["X.pb", "Y.pb"]
    read = {p.stem: numpy_helper.to_array(onnx.load_tensor(str(p))) for p in folder.iterdir()}
    assert read["X"].dtype == np.float32
    assert read["X"].shape == (1,)
    assert float(read["Y"][0]) >= 0.75


def test_a_given_witness_is_checked(tmp_path: Path, relu: Path) -> None:
    query, witness = tmp_path / "q.vnnlib", tmp_path / "w.txt"
    query.write_text(text(ONE, *UNIT, "(>= Y[0] 0.75)"))
    for value, note in (("0.75", ""), ("0.5", "given witness"), ("1.5", "given witness")):
        witness.write_text(f"((X_0 {value}) (Y_0 0.9))")
        run = solver("verify", query, f"--network=N={relu}", "--witness", witness, "--timeout", 4)
        assert run.verdict == "sat"
        assert note in run.err
        assert (run.values()["X"] == [F(value)]) == (not note)


def test_timeouts_are_taken_whole_and_broken_and_zero(tmp_path: Path, relu: Path) -> None:
    for seconds in ("5", "5.0", "2.5"):
        query = tmp_path / "q.vnnlib"
        query.write_text(text(ONE, *UNIT, "(>= Y[0] 1.5)"))
        assert solver("verify", query, f"--network=N={relu}", "--timeout", seconds).out == "unsat\n"
    assert verify(query, 0, N=relu).out in ("timed-out\n", "unsat\n")
    assert solver("verify", query, f"--network=N={relu}", "--timeout", "-1").code == 2


@pytest.mark.parametrize(
    ("capability", "lines"),
    [
        ("vnnlib-versions", ["1.0", "2.0"]),
        ("multiple-inputs-output-theories", ["SIO", "MIO"]),
        ("multiple-input-output-theories", ["SIO", "MIO"]),
        ("serialise-assignments", ["true"]),
        ("optimised-disjunctive-reasoning", ["false"]),
        ("arithmetic-complexity-theories", ["BND", "OUTC", "LIN", "POLY"]),
    ],
)
def test_capabilities(capability: str, lines: list[str]) -> None:
    run = solver("supports", f"--{capability}")
    assert (run.code, run.out.splitlines()) == (0, lines)


def test_operators_are_those_that_are_read() -> None:
    from tlcheck.readers.onnx import LOWERINGS

    assert set(solver("supports", "--onnx-operators").out.split()) == set(LOWERINGS)


def test_name_version_and_usage() -> None:
    from tlcheck import __version__

    assert solver("--name").out == "tlcheck\n"
    assert solver("--version").out == f"{__version__}\n"
    for arguments in (
        [],
        ["supports"],
        ["supports", "--no-such"],
        ["--name", "--version"],
        ["--name", "supports"],
    ):
        run = solver(*arguments)
        assert (run.code, run.out) == (2, "")


# --- errors of section 5.3.2 ----------------------------------------------------------------------------------

TWO = ONE + "(declare-network M (equal-to N) (declare-input X2 float32 [1]) (declare-output Y2 float32 [1]))"
ERRORS = {
    "no model": (ONE, {}, "TLC303"),
    "unknown name": (ONE, {"Q": ""}, "TLC303"),
    "one too many": (ONE, {"N": "", "Q": ""}, "TLC303"),
    "model of an equal network": (TWO, {"N": "", "M": ""}, "TLC303"),
    "declared type": (ONE.replace("float32", "float64"), {"N": ""}, "TLC303"),
    "integer type": (ONE.replace("Y float32", "Y int64"), {"N": ""}, "TLC303"),
    "partly real": (ONE.replace("Y float32", "Y real"), {"N": ""}, "TLC303"),
    "shape": (ONE.replace("Y float32 [1]", "Y float32 [2]"), {"N": ""}, "TLC303"),
    "two inputs": (ONE.replace("(declare-output", "(declare-input W float32 [1]) (declare-output"), {"N": ""}, "TLC303"),
    "no hidden tensor": (ONE.replace("(declare-output", '(declare-hidden H float32 [1] "z") (declare-output'), {"N": ""}, "TLC303"),
    "unknown type": (ONE.replace("Y float32", "Y complex64"), {"N": ""}, "TLC302"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_one_line_and_exit_3(tmp_path: Path, relu: Path, name: str) -> None:
    declaration, networks, code = ERRORS[name]
    run = ask(tmp_path, text(declaration, *UNIT), 4, **dict.fromkeys(networks, relu))
    assert run.code == 3
    assert run.out == ("unknown\n" if code == "TLC302" else "")
    assert run.err.count("\n") == 1
    assert f"[{code}]" in run.err


def test_wholly_real_queries_take_any_element_type(tmp_path: Path, relu: Path) -> None:
    declaration = ONE.replace("float32", "real")
    run = ask(tmp_path, text(declaration, *UNIT, "(== X[0] 0.1)", "(>= Y[0] 0.05)"), N=relu)
    assert run.verdict in ("sat", "unknown")
    assert ask(tmp_path, text(declaration, *UNIT, "(>= Y[0] 1.001)"), N=relu).out == "unsat\n"


def test_malformed_files_have_no_answer(tmp_path: Path, relu: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(relu.read_bytes()[:-7])
    for content, path in (
        (text(ONE, *UNIT)[:-3], relu),
        (text(ONE, *UNIT), broken),
        (text(ONE, *UNIT), tmp_path / "no"),
    ):
        run = ask(tmp_path, content, N=path)
        assert (run.code, run.out, run.err.count("\n")) == (3, "", 1)


# --- several networks -----------------------------------------------------------------------------------------


def tiny(w: list[list[int]], b: list[int], v: list[list[int]]) -> Tiny:
    return Tiny(tuple(map(tuple, w)), tuple(b), tuple(map(tuple, v)))


def test_networks_hidden_nodes_and_products(tmp_path: Path) -> None:
    """y = relu(x0 - x1 + 1) and g = 2 relu(x): one query over both, every kind of comparison."""
    f = tiny([[1, -1]], [1], [[1]]).file(tmp_path / "f.onnx")
    g = tiny([[1]], [0], [[2]]).file(tmp_path / "g.onnx")
    networks = (
        NET.format(i=2, h=1, o=1)
        + "(declare-network G (declare-input P float32 [1,1]) (declare-output Q float32 [1,1]))"
        + "(declare-network G2 (equal-to G) (declare-input P2 float32 [1,1]) (declare-output Q2 float32 [1,1]))"
    )
    box = [f"(and (>= {x} -2.0) (<= {x} 2.0))" for x in ("X[0,0]", "X[0,1]", "P[0,0]", "P2[0,0]")]
    wanted = [
        "(<= H[0,0] -0.5)",
        "(== P[0,0] X[0,1])",
        "(>= (* Q[0,0] Q2[0,0] P[0,0]) 4.0)",
        "(!= Q[0,0] Q2[0,0])",
    ]
    run = ask(tmp_path, text(networks, *box, *wanted), N=f, G=g)
    assert run.verdict == "sat", run.err
    v = run.values()
    assert list(v) == ["X", "H", "Y", "P", "Q", "P2", "Q2"]
    assert abs(v["H"][0] - (v["X"][0] - v["X"][1] + 1)) <= Fraction(1, 1 << 21), "as float32 computes it"
    assert v["Y"] == [max(v["H"][0], F(0))]
    assert v["Q"] == [2 * max(v["P"][0], F(0))]
    assert v["Q2"] == [2 * max(v["P2"][0], F(0))]
    assert v["P"][0] == v["X"][1]
    assert v["Q"][0] * v["Q2"][0] * v["P"][0] >= 4
    assert v["Q"] != v["Q2"]
    wanted[2] = "(>= (* Q[0,0] Q2[0,0]) 16.5)"
    assert ask(tmp_path, text(networks, *box, *wanted), N=f, G=g).verdict == "unsat"


def test_an_empty_region_is_unsat_whatever_the_constraints(tmp_path: Path, relu: Path) -> None:
    run = ask(tmp_path, text(ONE, *UNIT, "(<= X[0] -1.25)", "(>= (* Y[0] X[0]) 0.5)"), N=relu)
    assert run.out == "unsat\n"


def test_isomorphic_networks_must_be(tmp_path: Path) -> None:
    declared = ONE.replace("[1]", "[1,1]") + (
        "(declare-network M (isomorphic-to N) (declare-input X2 float32 [1,1]) (declare-output Y2 float32 [1,1]))"
    )
    box = [
        "(and (>= X[0,0] 0.0) (<= X[0,0] 1.0) (>= X2[0,0] 0.0) (<= X2[0,0] 1.0))",
        "(>= Y2[0,0] (+ Y[0,0] 4.0))",
    ]
    f, g = tiny([[1]], [1], [[1]]), tiny([[3]], [1], [[2]])
    paths = {"N": f.file(tmp_path / "f.onnx"), "M": g.file(tmp_path / "g.onnx")}
    assert ask(tmp_path, text(declared, *box), 4, **paths).verdict == "sat"
    wider = tiny([[3], [1]], [1, 0], [[2, 1]]).file(tmp_path / "h.onnx")
    run = ask(tmp_path, text(declared, *box), N=paths["N"], M=wider)
    assert (run.code, run.out) == (3, "")
    assert "isomorphic" in run.err


def test_two_inputs_in_the_order_of_the_declaration(tmp_path: Path) -> None:
    one = (TensorProto.FLOAT, [1])
    path = write(
        tmp_path / "sub.onnx",
        [helper.make_node("Sub", ["a", "b"], ["y"])],
        {"a": one, "b": one},
        {"y": one},
    )
    declared = "(declare-network N (declare-input A float32 [1]) (declare-input B float32 [1]) (declare-output Y float32 [1]))"
    box = ["(and (>= A[0] 0.0) (<= A[0] 1.0) (>= B[0] 10.0) (<= B[0] 11.0))"]
    assert ask(tmp_path, text(declared, *box, "(>= Y[0] -8.5)"), N=path).verdict == "unsat"
    assert ask(tmp_path, text(declared, *box, "(<= Y[0] -10.5)"), N=path).verdict == "sat"


# --- mutations against exact sampling -------------------------------------------------------------------------

STEPS = 8
FLIPPED = {"<=": ">=", ">=": "<=", "<": ">", ">": "<", "==": "!=", "!=": "=="}
Constraint = tuple[str, dict[str, int], Fraction]


def constraints(rng: random.Random, names: list[str]) -> list[Constraint]:
    found: list[Constraint] = []
    for _ in range(rng.randint(1, 3)):
        chosen = rng.sample(names, rng.randint(1, min(2, len(names))))
        terms = {name: rng.choice([-2, -1, 1, 3]) for name in chosen}
        found.append((rng.choice(["<=", ">=", "<", ">", "=="]), terms, F(rng.randint(-16, 16), 4)))
    return found


def mutated(rng: random.Random, given: list[Constraint]) -> list[Constraint]:
    k = rng.randrange(len(given))
    relation, terms, bound = given[k]
    changed = rng.choice(
        [[(FLIPPED[relation], terms, bound)], [], [(relation, terms, bound + rng.choice([-4, -1, 1, 4]))]]
    )
    return [*given[:k], *changed, *given[k + 1 :]]


def written(constraint: Constraint) -> str:
    relation, terms, bound = constraint
    parts = [
        f"(* {float(c)} {name})" if c > 0 else f"(* (- {float(-c)}) {name})" for name, c in terms.items()
    ]
    left = parts[0] if len(parts) == 1 else f"(+ {' '.join(parts)})"
    right = f"{float(bound)}" if bound >= 0 else f"(- {float(-bound)})"
    return f"({relation} {left} {right})"


def satisfied(constraint: Constraint, values: dict[str, Fraction]) -> bool:
    relation, terms, bound = constraint
    left = sum((c * values[name] for name, c in terms.items()), F(0))
    return {
        "<=": left <= bound, ">=": left >= bound, "<": left < bound, ">": left > bound,
        "==": left == bound, "!=": left != bound,
    }[relation]  # fmt: skip


def named(network: Tiny, x: list[Fraction]) -> dict[str, Fraction]:
    """Every value by its name; a product by both names, as it is written in a query."""
    values = {f"X[0,{i}]": v for i, v in enumerate(x)}
    values |= {f"H[0,{i}]": v for i, v in enumerate(network.hidden(x))}
    values |= {f"Y[0,{i}]": v for i, v in enumerate(network.outputs(x))}
    pairs = [("X[0,0]", "X[0,0]"), ("X[0,0]", "Y[0,0]"), ("Y[0,0]", "H[0,0]")]
    return values | {f"{a} {b}": values[a] * values[b] for a, b in pairs}


@pytest.mark.parametrize("seed", range(7))
def test_answers_of_mutated_queries_agree_with_exact_sampling(tmp_path: Path, seed: int) -> None:
    """sat: the printed point satisfies everything, in exact arithmetic of its own. unsat: no point of a grid does."""
    rng = random.Random(seed)
    n, h, o = rng.randint(1, 2), rng.randint(1, 3), rng.randint(1, 2)
    draw = [[[rng.randint(-2, 2) for _ in range(k)] for _ in range(m)] for m, k in ((h, n), (1, h), (o, h))]
    network = tiny(draw[0], draw[1][0], draw[2])
    path = network.file(tmp_path / "n.onnx")
    box = [f"(and (>= X[0,{i}] -1.0) (<= X[0,{i}] 1.0))" for i in range(n)]
    grid = [[F(k, STEPS) for k in p] for p in product(range(-STEPS, STEPS + 1), repeat=n)]
    points = [named(network, x) for x in grid]
    given = constraints(rng, list(points[0]))
    answers = []
    for _ in range(4):
        run = ask(tmp_path, text(NET.format(i=n, h=h, o=o), *box, *map(written, given)), 1.2, N=path)
        assert run.code == 0, run.err
        answers.append(run.verdict)
        if run.verdict == "sat":
            found = run.values()
            assert all(-1 <= x <= 1 for x in found["X"])
            there = named(network, found["X"])
            assert all(satisfied(c, there) for c in given), (given, found)
            produced = {f"{t}[0,{i}]": v for t in "HY" for i, v in enumerate(found[t])}
            assert all(abs(v - there[name]) < F(1, 10**5) for name, v in produced.items())
        elif run.verdict == "unsat":
            assert not any(all(satisfied(c, p) for c in given) for p in points), given
        given = mutated(rng, given) or given
    assert set(answers) <= {"sat", "unsat", "unknown", "timed-out"}


# --- certificates and float32 ---------------------------------------------------------------------------------

BUNDLES = CERTIFICATES / "accept"
BACKDOOR = text(
    "(declare-network N (declare-input X real [1,1]) (declare-output Y real [1,1]))",
    "(and (>= X[0,0] 0.0) (<= X[0,0] 1.0) (<= Y[0,0] 0.25))",
)


def ask_with(bundle: Path, *more: object, query: Path | None = None) -> Run:
    model = f"--network=N={bundle / 'model.onnx'}"
    return solver("verify", query or bundle / "property.vnnlib", model, "--timeout", 1.2, *more)


def test_a_certificate_is_checked_before_any_search() -> None:
    bundle = BUNDLES / "digits-residual-splits" / "x.tlcert"
    assert ask_with(bundle).verdict == "timed-out"
    assert ask_with(bundle, "--certificate", bundle).out == "unsat\n"


def test_a_witness_in_a_certificate_is_checked() -> None:
    bundle = BUNDLES / "digits-witness" / "x.tlcert"
    assert ask_with(bundle, "--certificate", bundle).verdict == "sat"


def test_a_certificate_of_another_property_is_left_out(tmp_path: Path) -> None:
    bundle = BUNDLES / "digits-residual-splits" / "x.tlcert"
    changed = tmp_path / "q.vnnlib"
    changed.write_text((bundle / "property.vnnlib").read_text() + "; other\n")
    run = ask_with(bundle, "--certificate", bundle, query=changed)
    assert run.code == 0
    assert run.verdict not in ("unsat", "sat")
    assert "certificate left out" in run.err and "[TLC103]" in run.err


def test_a_witness_beside_its_region_is_moved(tmp_path: Path, relu: Path) -> None:
    """1 + 1e-7 is outside [0, 1]; 1 is the only point that satisfies the query."""
    query, witness = tmp_path / "q.vnnlib", tmp_path / "w.txt"
    query.write_text(text(ONE, *UNIT, "(>= Y[0] 1.0)"))
    witness.write_text("((X_0 1.0000001) (Y_0 1.0))")
    run = solver("verify", query, f"--network=N={relu}", "--witness", witness, "--timeout", 4)
    assert (run.verdict, run.values()["X"]) == ("sat", [F(1)])
    witness.write_text("((X_0 nan)")
    run = solver("verify", query, f"--network=N={relu}", "--witness", witness, "--timeout", 4)
    assert run.code == 0 and "witness left out" in run.err


def test_a_certificate_that_lost_a_leaf_proves_nothing() -> None:
    bundle = BUNDLES.parent / "reject" / "dropped-leaf" / "x.tlcert"
    if not bundle.is_dir():
        pytest.skip("the case is a zip")
    assert ask_with(bundle, "--certificate", bundle).verdict in ("unknown", "timed-out")


def test_what_holds_over_the_reals_alone_is_not_said_of_float32(tmp_path: Path) -> None:
    """A network that computes 1/2 over the reals and something else in float32."""
    bundle = BUNDLES / "backdoor-over-the-reals" / "x.tlcert"
    assert ask_with(bundle).verdict == "unsat"
    for dtype, verdicts in (("real", {"unsat"}), ("float32", {"unknown", "timed-out"})):
        query = tmp_path / f"{dtype}.vnnlib"
        query.write_text(BACKDOOR.replace("real", dtype))
        assert ask_with(bundle, query=query).verdict in verdicts
    assert ask_with(bundle, "--semantics", "deployed").verdict in {"unknown", "timed-out"}


def test_a_runtime_that_computes_less_accurately(tmp_path: Path) -> None:
    """sigmoid(x) >= 1/2 for x >= 0; with an error of 0.2 it may be 0.3."""
    one = (TensorProto.FLOAT, [1])
    path = write(tmp_path / "n.onnx", [helper.make_node("Sigmoid", ["x"], ["y"])], {"x": one}, {"y": one})
    query, profile = tmp_path / "q.vnnlib", tmp_path / "mine.json"
    query.write_text(text(ONE, "(and (>= X[0] 0.0) (<= X[0] 1.0))", "(<= Y[0] 0.4)"))
    basic = json.loads((FOLDER / "ieee-basic.json").read_text("utf-8"))
    loose = {**basic, "name": "mine", "functions": {"Sigmoid": {"absolute": "0.2"}}}
    profile.write_text(json.dumps(loose), "utf-8")
    model = f"--network=N={path}"
    assert solver("verify", query, model, "--timeout", 4).out == "unsat\n"
    run = solver("verify", query, model, "--timeout", 2, "--semantics", "deployed", "--profile", profile)
    assert run.verdict in {"unknown", "timed-out"}
    run = solver("verify", query, model, "--profile", "nosuch")
    assert run.code == 3 and "no such runtime profile" in run.err


def test_a_proof_over_the_reals_does_not_outweigh_a_float_execution(tmp_path: Path) -> None:
    """z = (x + 10^8) - 10^8 is x over the reals and 0 in float32; z z has no rounding radius."""
    one = (TensorProto.FLOAT, [1])
    nodes = [
        helper.make_node("Add", ["x", "c"], ["a"]),
        helper.make_node("Sub", ["a", "c"], ["z"]),
        helper.make_node("Abs", ["z"], ["w"]),
        helper.make_node("Mul", ["z", "w"], ["y"]),
    ]
    path = write(tmp_path / "n.onnx", nodes, {"x": one}, {"y": one}, c=np.array([1e8], np.float32))
    content = text(ONE, "(and (>= X[0] 0.5) (<= X[0] 1.0))", "(<= Y[0] 0.125)")
    assert ask(tmp_path, content, 1.5, N=path).verdict in {"unknown", "timed-out"}
    assert ask(tmp_path, content.replace("float32", "real"), N=path).out == "unsat\n"


def test_the_second_command_is_the_same_group() -> None:
    code = "import sys; from tlcheck.cli.main import vnnlib_entry; sys.argv = ['x', '--name']; vnnlib_entry()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout == "tlcheck\n"
