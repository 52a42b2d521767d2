"""Which kinds of claims may be about float32 executions, what the others are refused with, and that rounding is charged."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers import CERTIFICATES, IEEE, REPOSITORY
from tlcheck.checking.conditions import NO_FLOAT32, check_conditions
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.onnx import read_model
from tlcheck.report.record import ExitCode
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.arith.profile import NotDeployable
from tlcheck.trusted.conditions import ConditionClaim
from tlcheck.trusted.evaluate import Evaluator
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.affine import Linear
from tlcheck.trusted.science.examples import Examples
from tlcheck.trusted.science.executions import OfOutputs
from tlcheck.trusted.science.logit_bounds import LogitBounds
from tlcheck.trusted.science.margins import Margins
from tlcheck.trusted.science.output_box import OutputBox
from tlcheck.trusted.science.output_range import Range
from tlcheck.trusted.verdict import Verdict

DEPLOYED = Options(jobs=1, semantics="deployed")
F = Fraction


def model(
    nodes: list[tuple[str, list[str], str]], inputs: int = 1, outputs: int = 1, **constants: list[float]
) -> bytes:
    made = [helper.make_node(op, names, [to]) for op, names, to in nodes]
    stored = [numpy_helper.from_array(np.float32(c), name) for name, c in constants.items()]
    x, y = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, k])
        for n, k in (("x", inputs), ("y", outputs))
    )
    graph = helper.make_graph(made, "g", [x], [y], stored)
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(found.SerializeToString())


LOST = model(
    [("Add", ["x", "c"], "a"), ("Sub", ["a", "c"], "b"), ("MatMul", ["b", "w"], "y")],
    outputs=2,
    c=[[1e8]],
    w=[[1.0, 0.0]],
)
"""(x, 0) over the reals; float32 may lose x beside 10^8."""


def claims() -> list[OfOutputs]:
    graph = read_model(LOST)
    one = Examples(np.array([[1.0]]), np.array([0]), F(0), None)
    box = ((F(1),), (F(1),), (F(1, 2), F(-1)), (F(2), F(1)))
    return [
        Margins(graph, one, (0,), None, "auto", "exact"),
        LogitBounds(graph, one, [box[2]], [box[3]], "exact"),
        OutputBox(graph, *box, "it", "exact"),
    ]


@pytest.mark.parametrize("claim", claims(), ids=lambda c: c.kind)
def test_what_rounding_may_eat_is_not_certified(claim: OfOutputs) -> None:
    loaded = LoadedClaim("it", claim, None)
    assert check_conditions(loaded, claim, Options(jobs=1)).verdict is Verdict.CERTIFIED
    result = check_conditions(loaded, claim, DEPLOYED)
    assert result.verdict is Verdict.UNPROVEN
    assert "every float32 execution that the runtime profile ieee-basic allows" in result.statement
    assert result.arithmetic["profile"]["name"] == "ieee-basic"  # type: ignore[index]
    assert any("runtime profile" in text for text in result.assumptions)


def test_what_is_false_of_the_exact_function_is_refuted() -> None:
    """It is one of the executions."""
    claim = replace(claims()[2], claimed_lower=(F(3, 2), F(-1)))  # type: ignore[call-arg]
    assert check_conditions(LoadedClaim("it", claim, None), claim, DEPLOYED).verdict is Verdict.REFUTED


@pytest.mark.parametrize("op", ["Tanh", "Relu", "Softplus"])
def test_executions_lie_in_what_is_proved(op: str) -> None:
    rng = np.random.default_rng(3)
    w, v = rng.normal(size=(4, 8)), rng.normal(size=(8, 3))
    content = model(
        [("MatMul", ["x", "w"], "a"), (op, ["a"], "b"), ("MatMul", ["b", "v"], "y")], 4, 3, w=w, v=v
    )
    graph = read_model(content)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for x in rng.normal(size=(5, 4)).astype(np.float32):
        y = session.run(None, {"x": x[None]})[0][0]
        point = [F(float(v)) for v in x]
        over = Range(Evaluator(graph), Network(graph), point, point, deployed=IEEE)
        for k in range(3):
            for sign in (1, -1):
                bounds = [b for b in (over._forward(k, sign), over._backward(k, sign)) if b is not None]
                assert len(bounds) == 2 and max(bounds) <= sign * F(float(y[k]))
                assert over.at_least("end", k, sign, max(bounds), "").holds
                exact = Range(Evaluator(graph), Network(graph), point, point)._backward(k, sign)
                assert exact is not None and exact > max(bounds)


BOX = ((F(0),), (F(1),), (F(-9),), (F(9),))


def test_what_has_no_radius_is_refused() -> None:
    claim = OutputBox(read_model(model([("Exp", ["x"], "y")])), *BOX, "it", "exact")
    with pytest.raises(InvalidInput, match="Exp, which the profile mlas-rational does not list") as caught:
        check_conditions(LoadedClaim("it", claim, None), claim, replace(DEPLOYED, profile="mlas-rational"))
    assert caught.value.code == "TLC202"


def test_numbers_that_float32_has_not_are_refused() -> None:
    """A graph of another origin than an ONNX file of float32: its weights would be rounded when they are loaded."""
    graph = read_model(model([("MatMul", ["x", "c"], "y")], c=[[0.5]]))
    OutputBox(graph, *BOX, "it", "exact").for_executions(IEEE)
    linear = next(i for i, node in enumerate(graph.nodes) if isinstance(node.op, Linear))
    for number in (Constant(np.array([[0.1]])), Constant(np.array([[0.5]]), np.array([[1e-9]]))):
        nodes = list(graph.nodes)
        nodes[linear] = replace(nodes[linear], op=Linear(number))
        claim = OutputBox(replace(graph, nodes=tuple(nodes)), *BOX, "it", "exact")
        with pytest.raises(
            NotDeployable, match="numbers of the network's Linear that are no float32 numbers"
        ):
            claim.for_executions(IEEE)


def kinds() -> set[str]:
    """Of every claim of conditions."""
    import tlcheck.trusted.science as science

    for path in Path(science.__path__[0]).glob("*.py"):
        __import__(f"{science.__name__}.{path.stem}")

    def below(kind: type[ConditionClaim]) -> set[type[ConditionClaim]]:
        return {kind}.union(*(below(k) for k in kind.__subclasses__()))

    own = (k for k in below(ConditionClaim) if k.__module__.startswith("tlcheck."))
    return {k.kind for k in own if isinstance(getattr(k, "kind", None), str)}


def test_every_kind_is_answered_and_in_the_table() -> None:
    """certificates/formats/profile.md says what is written here."""
    supported = {"margins", "logit bounds", "output box", "conformance"}
    assert kinds() == supported | NO_FLOAT32.keys()
    page = (REPOSITORY / "certificates" / "formats" / "profile.md").read_text("utf-8")
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| ")}
    for kind, why in NO_FLOAT32.items():
        assert rows[kind] == f"| {kind} | refused: {why} |"
    for kind in ("unsat", "sat", *supported):
        assert rows[kind].startswith(f"| {kind} | yes")


@pytest.mark.parametrize(
    "case, code",
    [
        ("margins-over-digits", ExitCode.OK),
        ("pinn-boxes", ExitCode.INVALID),
        ("spline-parabola", ExitCode.INVALID),
    ],
)
def test_as_a_user_meets_it(case: str, code: ExitCode, capsys: pytest.CaptureFixture[str]) -> None:
    path = CERTIFICATES / "accept" / case / "x.tlcert"
    assert main(["verify", str(path), "--semantics", "deployed", "--jobs", "1"]) == code
    out = capsys.readouterr()
    assert ("no float32 semantics for a claim of kind" in out.out + out.err) == (code != ExitCode.OK)
