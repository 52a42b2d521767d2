"""What a user of ``certify-lyapunov`` meets: networks that say their activation, hypotheses first, limits, one-line errors."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clocks import Steps
from tests.helpers import CERTIFICATES, DATA, needs_data
from tlcheck.cli.main import main
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.prover.stability_search import find
from tlcheck.readers.artifacts import read_artifact
from tlcheck.readers.files import Files
from tlcheck.readers.own.stability import conditions_of
from tlcheck.readers.own.stability import read_artifact as read_claim
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.calculus.jets import coordinates
from tlcheck.trusted.calculus.kinked_jets import Kinks, activated, exactly
from tlcheck.trusted.calculus.layers import Layer
from tlcheck.trusted.decide import decide_conditions
from tlcheck.trusted.science.dense_network import Dense
from tlcheck.trusted.science.stability_conditions import Conditions
from tlcheck.trusted.science.stability_judge import Judge
from tlcheck.trusted.verdict import Verdict

sys.path.append(str(CERTIFICATES / "producers"))
import stability_cases as cases

Document = dict[str, Any]
F = Fraction
MODELS = DATA / "scientific" / "lyapunov"


def conditions(document: Document, read: Callable[[str], bytes] = lambda name: b"") -> Conditions:
    return conditions_of(read_claim(json.dumps(document).encode(), "x"), Files("x", read))


def claim_of(document: Document) -> Any:
    (loaded,) = read_artifact(
        json.dumps(document).encode(), Files("x", str.encode), Options(), "tlcheck.stability"
    )
    return loaded.claim


def edited(document: Document, edit: Callable[[Document], object]) -> Document:
    return cases.changed(document, edit)


def controlled(network: Document, **changes: Any) -> Document:
    """The integrator with another network."""
    return edited(cases.integrator() | changes, lambda d: d["networks"][0].__setitem__("network", network))


LAYERS: Document = {"weights": [[["1", "2"], ["-1", "-2"]], [["-1", "1"]]], "biases": [["1/4", "1/4"], ["0"]]}


# Networks say what they are.


def tensors(prefix: str = "net.", **more: object) -> bytes:
    stored = {
        f"{prefix}0.weight": {"shape": [2, 2], "data": ["1", "2", "-1", "-2"]},
        f"{prefix}0.bias": {"shape": [2], "data": ["0.25", "0.25"]},
        f"{prefix}2.weight": {"shape": [1, 2], "data": ["-1", "1"]},
        f"{prefix}2.bias": {"shape": [1], "data": ["0"]},
    }
    return json.dumps({"tensors": stored | more}).encode()


def test_activation_is_not_guessed() -> None:
    """Once, a state dict of a tanh network was read as relu where nothing was said."""
    inline = LAYERS
    stored = {"file": "net.json", "prefix": "net"}
    for network in (inline, stored):
        with pytest.raises(InvalidInput) as refused:
            conditions(controlled(network), lambda n: tensors())
        error = refused.value
        assert error.field == "networks[0].network.activation" and error.message == "missing"
        assert {"relu", "tanh"} <= set(error.expected.split(" or "))
    found = [
        conditions(controlled(n | {"activation": "tanh"}), lambda n: tensors()).loop.blocks[0].network
        for n in (inline, stored)
    ]
    assert found[0] == found[1] and found[0].text == "2-2-1 tanh"


def test_one_layer_needs_no_activation() -> None:
    one = {"weights": [[["-1", "-2"]]], "biases": [["0"]]}
    network = conditions(controlled(one)).loop.blocks[0].network
    assert network.activation == "linear" and network.text == "2-1 linear"


@pytest.mark.parametrize(
    ("network", "field"),
    [
        (LAYERS | {"activation": "relu", "slope": "1/100"}, "slope"),
        (LAYERS | {"activation": "tanh", "slope": "0"}, "slope"),
        (LAYERS | {"activation": "leaky_relu"}, "slope"),
        (LAYERS | {"activation": "relu", "prefix": "net"}, "prefix"),
        ({"file": "net.onnx", "activation": "relu"}, "activation"),
        ({"file": "net.onnx", "prefix": "net"}, "prefix"),
        ({"file": "net.onnx", "slope": "0"}, "slope"),
    ],
)
def test_what_would_change_nothing_is_refused(network: Document, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        conditions(controlled(network))
    assert refused.value.field == f"networks[0].network.{field}" and refused.value.code == "TLC101"


@pytest.mark.parametrize("prefix", ["net.", ""])
def test_a_prefix_holds_dense_layers_and_nothing_else(prefix: str) -> None:
    network = {"file": "net.json", "activation": "relu"} | ({"prefix": "net"} if prefix else {})
    assert (
        conditions(controlled(network), lambda n: tensors(prefix)).loop.blocks[0].network.text == "2-2-1 relu"
    )
    scale = {"shape": [2], "data": ["2", "2"]}
    for other in (f"{prefix}1.running_mean", f"{prefix}3.bias", f"{prefix}x"):
        with pytest.raises(InvalidInput) as refused:
            conditions(controlled(network), lambda n, other=other: tensors(prefix, **{other: scale}))  # type: ignore[misc]
        assert refused.value.code == "TLC201"


def test_the_statement_says_the_architecture() -> None:
    said = claim_of(cases.certified(cases.integrator())).statement
    assert "u1 = clip(N1(x1, x2) - N1(0, 0), [-1, 1]), N1: 2-2-1 relu;" in said and "in the file" not in said
    said = claim_of(cases.certified(cases.cone())).statement
    assert "V = |N(x) - N(e)| + |L (x - e)|_1, N: 2-2-1 leaky_relu(0.01)" in said
    assert not claim_of(cases.certified(cases.cycle())).statement.endswith("; ")


# Values in rational arithmetic.


def drawn_network(chance: random.Random, activation: str) -> Dense:
    sizes = [2, 3, 3, 2]
    q = lambda: F(chance.randint(-9, 9), 7)  # noqa: E731
    layers = [
        Layer(tuple(tuple(q() for _ in range(a)) for _ in range(b)), tuple(q() for _ in range(b)))
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    return Dense(tuple(layers), activation, F(1, 3))


@pytest.mark.parametrize("activation", ["linear", "relu", "leaky_relu"])
def test_networks_with_kinks_are_exact(activation: str) -> None:
    chance = random.Random(7)
    with working_precision(200):
        for _ in range(20):
            net = drawn_network(chance, activation)
            x = tuple(F(chance.randint(-9, 9), 5) for _ in range(2))
            found = net.exact(x)
            assert found is not None
            jets = net.prepared()(coordinates(tuple((q, q) for q in x)), Kinks())
            for q, jet in zip(found, jets, strict=True):
                assert abs(float(jet.value.mid()) - float(q)) < 1e-12 and jet.value.rad() < 1e-40
                assert jet.value.contains(jet.value.__class__(q.numerator) / q.denominator)


@pytest.mark.parametrize("name", ["linear", "relu", "leaky_relu", "abs", "tanh", "sigmoid", "sin"])
def test_functions_at_rational_points(name: str) -> None:
    for q in (F(-3, 7), F(0), F(5, 3)):
        found = exactly(q, name, F(1, 5))
        assert (found is None) == (bool(q) and name in ("tanh", "sigmoid", "sin"))
        if found is not None:
            (x,) = coordinates(((q, q),))
            jet = activated(x, name, Kinks(), F(1, 5))
            assert abs(float(jet.value.mid()) - float(found)) < 1e-15


def test_smooth_networks_are_known_at_zero_only() -> None:
    smooth = Dense((Layer(((F(1),),), (F(0),)), Layer(((F(2),),), (F(3),))), "tanh")
    assert smooth.exact((F(0),)) == (F(3),) and smooth.exact((F(1),)) is None


def test_what_takes_too_many_digits_is_given_up() -> None:
    """A thousand layers of one weight 1/3^100: some 160,000 bits, if it were not stopped."""
    tiny = Layer(((F(1, 3**100),),), (F(1, 7),))
    assert Dense((tiny,) * 1000, "relu").exact((F(1),)) is None


def test_an_equilibrium_without_minus() -> None:
    """Where the network is exactly 0 there, or is not by 1e-30: the claim is proved, or false."""
    bare = edited(cases.integrator(), lambda d: d["networks"][0].pop("minus"))
    assert decide_conditions(claim_of(cases.certified(bare))).verdict is Verdict.CERTIFIED
    off = edited(bare, lambda d: d["networks"][0]["network"]["biases"][1].__setitem__(0, "1e-30"))
    found = find(conditions(off))
    assert found.false and "`minus` is missing" in found.problem
    assert (
        decide_conditions(claim_of(cases.certified(bare) | {"networks": off["networks"]})).verdict
        is Verdict.REFUTED
    )
    smooth = edited(bare, lambda d: d["networks"][0]["network"].update(activation="tanh"))
    found = find(conditions(smooth))
    assert found.problem and not found.false and "networks[0]: `minus` is missing" in found.problem
    cancelling = edited(smooth, lambda d: d["networks"][0]["network"].update(biases=[["0", "0"], ["0"]]))
    assert not find(conditions(cancelling)).problem


# Hypotheses first.

UNMET: dict[str, tuple[Document, str, bool]] = {
    "equilibrium outside": (cases.oscillator() | {"equilibrium": ["2", "0"]}, "equilibrium = (2, 0)", False),
    "equilibrium that is none": (cases.oscillator() | {"equations": ["x2 + 0.1", "-x1 - x2"]}, "(0, 0)", True),
    "level 0": (cases.oscillator() | {"level": "0"}, "level = 0", False),
    "level negative": (cases.cycle() | {"level": "-1"}, "inner_level = 2.25, level = -1", False),
    "no decay": ({k: v for k, v in cases.integrator().items() if k != "decay"}, "0 < decay <= 1 is not met: decay = 0", False),
    "negative decay": (cases.integrator() | {"decay": "-1/10"}, "decay = -0.1", False),
    "inner level above": (cases.cycle() | {"inner_level": "5"}, "inner_level = 5, level = 4", False),
    "V indefinite": (cases.oscillator() | {"V": {"quadratic": [["1", "1"], ["1", "1"]]}}, "V > 0 elsewhere", False),
}  # fmt: skip


@pytest.mark.parametrize("name", UNMET)
def test_hypotheses_first(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once, the finder said `found` of claims that verify said were REFUTED or UNPROVEN."""
    document, says, false = UNMET[name]
    spec, target = tmp_path / "spec.json", tmp_path / "x.tlcert"
    spec.write_text(json.dumps(document))
    code = main(["certify-lyapunov", str(spec), "-o", str(target)])
    (line,) = capsys.readouterr().out.splitlines()
    assert says in line and line.startswith("FALSE" if false else "no proof") and code == (1 if false else 4)
    assert target.exists() is false
    if false:
        assert main(["verify", str(target)]) == 1


def test_a_core_that_is_given_is_checked() -> None:
    """What is found is what verify accepts: it believes no core either."""
    wide = {"lower": ["-1", "-1"], "upper": ["1", "1"]}
    found = find(conditions(cases.oscillator() | {"core": wide}))
    assert (
        found.problem.startswith("the core that is given is none: core lemma, quadratic form")
        and not found.false
    )
    small = {"lower": ["-1/100", "-1/100"], "upper": ["1/100", "1/100"]}
    assert not find(conditions(cases.oscillator() | {"core": small})).problem


def test_what_is_false_comes_before_what_is_not_met() -> None:
    """As verify judges: REFUTED before UNPROVEN."""
    found = find(conditions(cases.oscillator() | {"equilibrium": ["3", "0"], "level": "0"}))
    assert found.false and found.problem.startswith("the equilibrium is one, exactly, at (3, 0)")


def test_false_names_the_condition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A condition that fails at a point; stability.md says that stability itself need not."""
    spec, target = tmp_path / "spec.json", tmp_path / "x.tlcert"
    spec.write_text(json.dumps(cases.oscillator() | {"equations": ["x2", "x1 - x2"]}))
    assert main(["certify-lyapunov", str(spec), "-o", str(target)]) == 1
    out = capsys.readouterr().out
    assert re.match(r"FALSE     V' < 0, at \(-?[0-9.]+, -?[0-9.]+\); ", out) and "stable" not in out
    assert main(["verify", str(target)]) == 1
    assert "at (" in (out := capsys.readouterr().out) and "at at" not in out


# Limits.

STUCK: Document = {
    "format": "tlcheck.stability/1", "time": "continuous", "statement": "asymptotic", "states": ["x"],
    "equations": ["-x + abs(x) - abs(x)"], "V": {"quadratic": [["1"]]},
    "region": {"lower": ["-1"], "upper": ["1"]}, "level": "1/2",
}  # fmt: skip


def test_no_proof_names_a_box_and_a_cause() -> None:
    found = find(conditions(STUCK), max_leaves=40)
    assert (
        found.problem.startswith("none within 40 leaves; ") and "boxes are open, such as [" in found.problem
    )
    assert "V' < 0: not established, slack -" in found.problem
    assert (
        "no box around the equilibrium is a core" in found.problem and "F has a kink there" in found.problem
    )
    smooth = find(conditions(STUCK | {"equations": ["-x"], "V": {"l1": [["1"]]}}), max_leaves=40)
    assert "a form of V for the core lemma" in smooth.problem and "kink" not in smooth.problem
    one = find(conditions(STUCK | {"statement": "invariant"}), max_leaves=1)
    assert "none within 1 leaf; " in one.problem and "core" not in one.problem


@needs_data
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_time_limit_holds_for_specifications(
    jobs: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: Callable[[float], Steps]
) -> None:
    """Once, the time limit was for queries in VNN-LIB only, and nothing said so."""
    clock = steps(0.001)
    name = "path_tracking_state_feedback"
    (tmp_path / f"{name}.json").write_bytes((MODELS / "vi_discrete" / f"{name}.json").read_bytes())
    spec, target = tmp_path / "spec.json", tmp_path / "x.tlcert"
    spec.write_bytes(cases.encoded(cases.specification(name)))
    command = ["certify-lyapunov", str(spec), "-o", str(target), "--jobs", str(jobs)]
    assert main([*command, "--timeout", "0.4"]) == 4 and not target.exists()
    out = capsys.readouterr().out
    assert "none within 0.4 s; " in out and "such as" in out
    # 400 until the limit, then those that time the run; workers have looks of their own
    assert jobs > 1 or clock.looks < 410


def test_one_leaf_is_one_leaf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(STUCK | {"statement": "invariant", "equations": ["-x"]}))
    assert main(["certify-lyapunov", str(spec), "-o", str(tmp_path / "x.tlcert")]) == 0
    assert re.match(r"found     a proof: invariant only; (1 leaf|[0-9]+ leaves), ", capsys.readouterr().out)


# Errors: one line, the field, what was expected and what was found.

WRONG: dict[str, tuple[Document, str, str, str]] = {
    "region of one side": (cases.oscillator() | {"region": {"lower": ["-1"], "upper": ["1"]}}, "region.lower", "2, one per state", "1"),
    "flat region": (cases.oscillator() | {"region": {"lower": ["-1", "0"], "upper": ["1", "0"]}}, "region[1]", "", ""),
    "clip upside down": (edited(cases.integrator(), lambda d: d["networks"][0].update(clip=[["1", "-1"]])), "networks[0].clip[0]", "lower, upper", "1, -1"),
    "two clips": (edited(cases.integrator(), lambda d: d["networks"][0].update(clip=[["-1", "1"]] * 2)), "networks[0].clip", "1, one per name", "2"),
    "shift of two": (edited(cases.integrator(), lambda d: d["networks"][0].update(shift=["1", "1"])), "networks[0].shift", "1, one per name", "2"),
    "minus of one": (edited(cases.integrator(), lambda d: d["networks"][0].update(minus=["0"])), "networks[0].minus", "2, one per input", "1"),
    "one input": (edited(cases.integrator(), lambda d: d["networks"][0].update(inputs=["x1"], minus=[])), "networks[0].network", "1 in, 1 out", "2 in, 1 out"),
    "two names": (edited(cases.integrator(), lambda d: d["networks"][0].update(names=["u", "w"], clip=[])), "networks[0].network", "2 in, 2 out", "2 in, 1 out"),
    "no inner level": ({k: v for k, v in cases.cycle().items() if k != "inner_level"}, "inner_level", "a number, in a practical claim", ""),
    "inner level": (cases.oscillator() | {"inner_level": "1/9"}, "inner_level", "", ""),
    "core": (cases.cycle() | {"core": {"lower": ["-1"], "upper": ["1"]}}, "core", "", ""),
    "decay": (cases.oscillator() | {"decay": "1/9"}, "decay", "", "'1/9'"),
    "a state twice": (cases.oscillator() | {"states": ["x1", "x1"]}, "states[1]", "", "x1"),
    "a name of a state": (edited(cases.integrator(), lambda d: d["networks"][0].update(names=["x2"])), "networks[0].names[0]", "", "x2"),
    "no state": (cases.oscillator() | {"states": []}, "states", "", ""),
    "one equation": (cases.oscillator() | {"equations": ["x2"]}, "equations", "2, one per state", "1"),
    "equilibrium of one": (cases.oscillator() | {"equilibrium": ["0"]}, "equilibrium", "2, one per state", "1"),
    "V of two outputs": (edited(cases.cone(), lambda d: d["V"]["network"].update(
        weights=[[["1", "1"], ["1", "-2"]], [["1", "1"], ["1", "1"]]], biases=[["1", "1"], ["3", "1"]])), "V.network", "2 in, 1 out", "2 in, 2 out"),
    "layers apart": (edited(cases.cone(), lambda d: d["V"]["network"].update(weights=[[["1", "1"], ["1", "-2"]], [["1"]]])), "V.network layer 1", "2, one per input", "1"),
    "V without a term": (cases.oscillator() | {"V": {}}, "V", "network, l1 or quadratic", ""),
    "P of one row": (cases.oscillator() | {"V": {"quadratic": [["1", "0"]]}}, "V.quadratic", "2, one per state", "1"),
    "P of one column": (cases.oscillator() | {"V": {"quadratic": [["1"], ["0"]]}}, "V.quadratic[0]", "2, one per state", "1"),
    "P not symmetric": (cases.oscillator() | {"V": {"quadratic": [["1", "2"], ["0", "1"]]}}, "V.quadratic[0][1]", "", ""),
    "a word": (cases.oscillator() | {"statement": "asymptotically"}, "$.statement", "asymptotic or practical or invariant", "'asymptotically'"),
    "a time": (cases.oscillator() | {"time": "sampled"}, "$.time", "discrete or continuous", "'sampled'"),
    "an activation": (controlled(LAYERS | {"activation": "elu"}), "$.networks[0].network.activation",
        "linear or relu or leaky_relu or tanh or sigmoid or sin", "'elu'"),
    "an outer": (edited(cases.cone(), lambda d: d["V"].update(outer="relu")), "$.V.outer", "linear or abs or tanh or sigmoid", "'relu'"),
    "no tree": (cases.oscillator(), "tree", "", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_errors_say_where_and_what(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, field, expected, got = WRONG[name]
    with pytest.raises(InvalidInput) as refused:
        claim_of(document)
    error = refused.value
    assert (error.field, error.expected, error.got) == (field, expected, got) and error.message
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(document))
    assert main(["show", str(spec)]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"INVALID  {spec}: {field}: ")


@pytest.mark.parametrize("command", ["verify", "show", "plot"])
def test_a_specification_has_no_tree_yet(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(cases.oscillator()))
    more = ["-o", str(tmp_path / "x.svg")] if command == "plot" else []
    assert main([command, str(spec), *more]) == 3
    assert "tree: no tree yet: run tlcheck certify-lyapunov" in "".join(capsys.readouterr())


def test_a_model_in_onnx_from_specification_to_verdict(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    weight = onnx.numpy_helper.from_array(np.array([[-1], [-2]], np.float32), "w")
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, s]) for n, s in (("x", 2), ("y", 1))]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weight]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    spec, target = tmp_path / "spec.json", tmp_path / "x.tlcert"
    spec.write_text(json.dumps(controlled({"file": "net.onnx"})))
    assert main(["certify-lyapunov", str(spec), "-o", str(target)]) == 0
    assert main(["verify", str(target)]) == 0


def test_an_operator_that_is_not_read_is_named() -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    weight = onnx.numpy_helper.from_array(np.array([[-1], [-2]], np.float32), "w")
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, s]) for n, s in (("x", 2), ("y", 1))]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Elu", ["m"], ["y"])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [weight])
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    with pytest.raises(InvalidInput) as refused:
        conditions(controlled({"file": "net.onnx"}), lambda n: data)
    error = refused.value
    assert "Elu" in error.got and "relu" in error.expected and error.field == "networks[0].network"


# The logit, and where.


def test_the_logit_is_named() -> None:
    """V = sigmoid(N): the slack is of the logit, and its name says so."""
    document = cases.cycle() | {
        "V": {"network": {"weights": [[["1"]]], "biases": [["0"]]}, "difference": False, "outer": "sigmoid"},
        "equations": ["-x - 3"], "level": "9/10", "inner_level": "1/10",
    }  # fmt: skip
    for changes, suffix in (({}, ", as logit V"), ({"V": {"quadratic": [["1"]]}}, "")):
        with working_precision(128):
            judge = Judge(conditions(document | changes))
            box = ((F(-3), F(3)),)
            names = [check.name for tag in "odi" for check in judge.leaf(box, tag)]
            assert f"V' < 0{suffix}" in names and f"V above the level on the boundary{suffix}" in names
            assert f"V above the level{suffix}" in names and f"V below the inner level{suffix}" in names


@pytest.mark.parametrize("document", [cases.oscillator(), cases.integrator(), cases.cone(), cases.cycle()])
def test_every_least_slack_has_a_place(document: Document) -> None:
    outcome = decide_conditions(claim_of(cases.certified(document)))
    assert outcome.verdict is Verdict.CERTIFIED
    assert all(tally.least is None or tally.least.where for tally in outcome.tallies.values())


# The documentation's example.


def examples() -> Iterator[Document]:
    text = (CERTIFICATES / "formats" / "stability.md").read_text(encoding="utf-8")
    for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        yield json.loads(block)


def test_the_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (document,) = examples()
    spec, target = tmp_path / "loop.json", tmp_path / "loop.tlcert"
    spec.write_text(json.dumps(document))
    assert main(["certify-lyapunov", str(spec), "-o", str(target)]) == 0
    assert main(["verify", str(target)]) == 0
    assert document["networks"] and document["time"] == "continuous"
    capsys.readouterr()


def test_lyapunov_spec_of_a_stability_claim(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once, a heading was printed before the error."""
    spec, other = tmp_path / "v_ok.json", tmp_path / "other.json"
    spec.write_text(json.dumps(cases.oscillator()))
    other.write_text("{}")
    for path in (spec, other):
        assert main(["lyapunov-spec", str(path)]) == 3
        said = capsys.readouterr()
        assert not said.out and len(said.err.splitlines()) == 1
        assert ("certify-lyapunov" in said.err) is (path == spec)
