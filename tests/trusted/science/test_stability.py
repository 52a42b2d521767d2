"""Stability claims: made cases, the rules against sampling, mutations, hostile input, published models."""

from __future__ import annotations

import copy
import json
import random
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.helpers import CERTIFICATES, DATA, needs_data
from tlcheck.cli.certify_lyapunov import certify_lyapunov
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.prover.stability_search import certify, find
from tlcheck.readers.artifacts import read_artifact
from tlcheck.readers.files import Files
from tlcheck.readers.own.stability import Network, _network, conditions_of, read_toml, read_tree, tree_text
from tlcheck.readers.own.stability import read_artifact as read_claim
from tlcheck.trusted.arith.arb import Arb, arb, working_precision
from tlcheck.trusted.calculus.expression_jets import expression_jet
from tlcheck.trusted.calculus.jets import Jet, coordinates
from tlcheck.trusted.calculus.kinked_jets import Kinks, activated
from tlcheck.trusted.conditions import Check
from tlcheck.trusted.decide import ConditionsOutcome, decide_conditions
from tlcheck.trusted.science.by_signs import Slack, bounded
from tlcheck.trusted.science.core_lemma import Core, least_pivot
from tlcheck.trusted.science.lyapunov_candidate import positive_definite, rank
from tlcheck.trusted.science.stability_conditions import Conditions
from tlcheck.trusted.science.stability_judge import Judge
from tlcheck.trusted.science.stability_tree import Cut, leaves_of
from tlcheck.trusted.tally import check_part
from tlcheck.trusted.verdict import Verdict
from tlcheck.verify import verify_path

sys.path.append(str(CERTIFICATES / "producers"))
import stability_cases

Document = dict[str, Any]
F = Fraction
CASES = list(stability_cases.artifacts())
MODELS = DATA / "scientific" / "lyapunov" / "vi_discrete"


def named(name: str) -> Document:
    found: Document = json.loads(
        next(files for _, n, files, *_ in CASES if n == name)[stability_cases.ARTIFACT]
    )
    return found


def claim_of(document: Document, read: Callable[[str], bytes] = lambda name: b"") -> Any:
    (loaded,) = read_artifact(json.dumps(document).encode(), Files("x", read), Options(), "tlcheck.stability")
    return loaded.claim


def judged(document: Document, read: Callable[[str], bytes] = lambda name: b"") -> ConditionsOutcome:
    return decide_conditions(claim_of(document, read))


def edited(document: Document, edit: Callable[[Document], object]) -> Document:
    return stability_cases.changed(document, edit)


def conditions(document: Document) -> Conditions:
    return conditions_of(read_claim(json.dumps(document).encode(), "x"), Files("x", lambda name: b""))


@pytest.mark.parametrize(
    ("group", "name", "files", "exit_code", "code", "note"), CASES, ids=[c[1] for c in CASES]
)
def test_cases(group: str, name: str, files: dict[str, bytes], exit_code: int, code: str, note: str) -> None:
    data = files[stability_cases.ARTIFACT]
    if group == "malformed":
        with pytest.raises(InvalidInput) as refused:
            read_artifact(data, Files("x", lambda n: b""), Options(), "tlcheck.stability")
        assert refused.value.code == code
        return
    assert judged(json.loads(data)).code == code


def test_the_parts_are_the_claim() -> None:
    claim = claim_of(named("stability-integrator"))
    whole = [i for i in check_part(claim, 128, lambda: None) if isinstance(i, Check)]
    pieces = [
        i for part in claim.parts() for i in check_part(part, 128, lambda: None) if isinstance(i, Check)
    ]
    assert whole == pieces and len(claim.parts()) > 1


# The rules.


def test_leaves_cover_the_region_whatever_the_cuts() -> None:
    chance = random.Random(1)
    region = ((F(-1), F(2)), (F(0), F(1)))

    def grown(depth: int) -> list[Cut | str]:
        if depth == 0 or chance.random() < 0.2:
            return ["o"]
        at = None if chance.random() < 0.5 else F(chance.randint(-20, 30), 10)
        return [Cut(chance.randrange(2), at), *grown(depth - 1), *grown(depth - 1)]

    for _ in range(30):
        tree = tuple(grown(6))
        leaves = list(leaves_of(tree, region))
        assert read_tree(tree_text(tree)) == tree
        for _ in range(40):
            x = [F(chance.randint(-100, 200), 100), F(chance.randint(0, 100), 100)]
            assert any(all(a <= q <= b for q, (a, b) in zip(x, box, strict=True)) for box, _ in leaves)
        for box, _ in leaves:  # no leaf reaches outside: faces on the boundary are seen
            assert all(a > b or (c <= a and b <= d) for (a, b), (c, d) in zip(box, region, strict=True))


@pytest.mark.parametrize(
    "tree", ["", "0 o", "o o", "2 o o", "0 o o d", "0@1/0 o o", "0@ o o", "x", "-1 o o", "0@nan o o"]
)
def test_trees_that_are_none(tree: str) -> None:
    with pytest.raises(InvalidInput):
        claim_of(named("stability-oscillator") | {"tree": tree})


def made_of(
    numbers: list[list[Fraction]], outer: list[Fraction]
) -> tuple[Slack, Callable[[Fraction, Fraction], Fraction]]:
    """A sum of kinks, and a kink of it, in jets and exactly."""

    def slack(x: Sequence[Jet], kinks: Kinks) -> Jet:
        n = len(x[0].gradient)
        total = Jet(arb(0), (arb(0),) * n, (arb(0),) * 3)
        for (a, b, c), kind, weight in zip(numbers, ("relu", "leaky_relu", "abs"), outer, strict=False):
            z = x[0].scaled(_arb(a)) + x[1].scaled(_arb(b))
            total = total + activated(z.shifted(_arb(c)), kind, kinks, F(1, 10)).scaled(_arb(weight))
        return total + activated(total.shifted(_arb(outer[3])), "abs", kinks).scaled(_arb(outer[0]))

    def value(x: Fraction, y: Fraction) -> Fraction:
        z = [a * x + b * y + c for a, b, c in numbers]
        inner = [max(z[0], F(0)), max(z[1], z[1] / 10), abs(z[2])]
        total = sum((w * v for w, v in zip(outer, inner, strict=False)), F(0))
        return total + outer[0] * abs(total + outer[3])

    return slack, value


def raised(slack: Slack, by: Fraction) -> Slack:
    return lambda x, kinks: slack(x, kinks).shifted(_arb(by))


def test_lower_bounds_with_kinks_hold_at_samples() -> None:
    """Random sums of nested relus, leaky relus and absolute values, against exact rational evaluation."""
    chance = random.Random(2)

    def drawn() -> Fraction:
        return F(chance.randint(-8, 8), 4)

    better = 0
    with working_precision(80):
        for _ in range(25):
            slack, value = made_of(
                [[drawn() for _ in range(3)] for _ in range(3)], [drawn() for _ in range(4)]
            )
            centre, r = (drawn(), drawn()), F(1, chance.choice([1, 4, 64]))
            box = tuple((q - r, q + r) for q in centre)
            plain = bounded(slack, box, strict=False)
            shift = -F(float(plain.low.lower())) if plain.low.is_finite() else F(0)
            for moved in (F(0), shift / 2, shift * 3 / 4, shift):  # moved up, the kinks are looked at too
                bound = bounded(raised(slack, moved), box, strict=False)
                better += bool(bound.low - _arb(moved) > plain.low)
                for _ in range(60):
                    x, y = (q + r * F(chance.randint(-64, 64), 64) for q in centre)
                    assert not bound.low > _arb(value(x, y) + moved)
    assert better > 2


def _arb(q: Fraction) -> Arb:
    return arb(q.numerator) / arb(q.denominator)


def test_expressions_on_jets_agree_with_differences() -> None:
    from tlcheck.readers.expressions import parse_expression

    text = "x^3*y - cos(x*y)/(2 + sin(x)) + exp(-x^2)*log(3 + y) + sqrt(2 + x) - tanh(y)^2 + (3 + x)^(3/2) + abs(x - 5)"
    e = parse_expression(text, ["x", "y"])

    def f(x: float, y: float) -> float:
        return float(
            x**3 * y - np.cos(x * y) / (2 + np.sin(x)) + np.exp(-(x**2)) * np.log(3 + y)
            + np.sqrt(2 + x) - np.tanh(y) ** 2 + (3 + x) ** 1.5 + abs(x - 5)
        )  # fmt: skip

    x, y, h = 0.3, -0.7, 1e-4
    box = ((F(x), F(x) + F(1, 10**9)), (F(y), F(y)))
    with working_precision(128):
        jet = expression_jet(e, dict(zip("xy", coordinates(box), strict=True)), 2, Kinks())
    exact = [
        f(x, y), (f(x + h, y) - f(x - h, y)) / (2 * h), (f(x, y + h) - f(x, y - h)) / (2 * h),
        (f(x + h, y) - 2 * f(x, y) + f(x - h, y)) / h**2,
        (f(x + h, y + h) - f(x + h, y - h) - f(x - h, y + h) + f(x - h, y - h)) / (4 * h * h),
        (f(x, y + h) - 2 * f(x, y) + f(x, y - h)) / h**2,
    ]  # fmt: skip
    found = [float(b.mid()) for b in (jet.value, *jet.gradient, *jet.hessian)]
    assert np.allclose(found, exact, atol=1e-5)
    undefined = parse_expression("0*log(x - 1)", ["x", "y"])
    with working_precision(64):
        jet = expression_jet(undefined, dict(zip("xy", coordinates(box), strict=True)), 2, Kinks())
    assert not jet.value.is_finite() and not any(g.is_finite() for g in jet.gradient)


def test_definiteness_and_rank_are_exact() -> None:
    touching = ((F(1), F(1)), (F(1), F(1)))
    assert not positive_definite(touching) and rank(touching) == 1
    assert positive_definite(((F(1), F(1)), (F(1), 1 + F(1, 10**50))))
    assert rank(((F(0), F(1)), (F(2), F(0)), (F(1), F(1)))) == 2
    with working_precision(64):
        wide = [[arb(1, 0.1), arb(0.9, 0.3)], [arb(0.9, 0.3), arb(1)]]
        assert least_pivot(wide) is None


def test_the_core_lemma_refuses_a_slope_too_much() -> None:
    base = conditions(stability_cases.cone())
    small = ((F(-1, 100), F(1, 100)),) * 2
    for factor, holds in (("0.7", True), ("0.999", None)):
        c = conditions(stability_cases.cone() | {"equations": [f"{factor}*x1", f"{factor}*x2"]})
        with working_precision(128):
            checks = [
                i
                for i in Core(c.loop, c.candidate, small, base.region, base.decay).checks(lambda: None)
                if isinstance(i, Check)
            ]
        assert all(i.holds for i in checks) is bool(holds)


def test_a_step_is_sampled() -> None:
    """Points of every decrease leaf of the integrator really fall, by an evaluation of its own."""
    document = named("stability-integrator")
    claim = claim_of(document)
    chance = random.Random(3)
    level, k = F(1, 5), F(1, 100)

    def v(x: Fraction, y: Fraction) -> Fraction:
        return F(3, 2) * x * x + x * y + y * y

    for box, tag in leaves_of(claim.tree, claim.conditions.region):
        for _ in range(5):
            x, y = (a + (b - a) * F(chance.randint(0, 8), 8) for a, b in box)
            raw = -max(F(0), x + 2 * y + F(1, 4)) + max(F(0), F(1, 4) - x - 2 * y)
            u = min(F(1), max(F(-1), raw))
            if v(x, y) <= level:
                assert tag != "o" and v(x + y / 10, y + u / 10) <= (1 - k) * v(x, y)


# Mutations.

EDITS: dict[str, tuple[Callable[[Document], object], set[Verdict]]] = {
    "controller the wrong way": (lambda d: d["networks"][0]["network"]["weights"][1].__setitem__(0, ["1", "-1"]),
    {Verdict.REFUTED}),
    "a weight moved a little": (
        lambda d: d["networks"][0]["network"]["weights"][0][0].__setitem__(0, "1.00000000000001"),
        {Verdict.CERTIFIED},
    ),
    "equations": (lambda d: d["equations"].__setitem__(1, "1.1*x2 + 0.1*u1"), {Verdict.REFUTED, Verdict.UNPROVEN}),
    "an equation off by a constant": (lambda d: d["equations"].__setitem__(0, "x1 + 0.1*x2 + 1e-12"),
    {Verdict.REFUTED}),
    "decay too fast": (lambda d: d.__setitem__("decay", "1/2"), {Verdict.REFUTED}),
    "decay none": (lambda d: d.__setitem__("decay", "0"), {Verdict.UNPROVEN}),
    "level enlarged": (lambda d: d.__setitem__("level", "3"), {Verdict.REFUTED}),
    "level negative": (lambda d: d.__setitem__("level", "-1"), {Verdict.UNPROVEN}),
    "region shrunk below S": (lambda d: d["region"].update(lower=["-1/20", "-1/20"], upper=["1/20", "1/20"]),
    {Verdict.REFUTED, Verdict.UNPROVEN}),
    "region without the equilibrium": (lambda d: d["region"].update(lower=["1/10", "-1"]), {Verdict.UNPROVEN, Verdict.REFUTED}),
    "equilibrium on the edge": (lambda d: d["region"].update(lower=["0", "-1"]), {Verdict.REFUTED}),
    "V indefinite": (lambda d: d["V"].update(quadratic=[["1", "1"], ["1", "1"]]), {Verdict.UNPROVEN,
    Verdict.REFUTED}),
    "core as large as the region": (lambda d: d["core"].update(lower=["-1", "-1"], upper=["1", "1"]),
    {Verdict.UNPROVEN, Verdict.REFUTED}),
    "no core": (lambda d: d.pop("core"), {Verdict.UNPROVEN}),
    "every leaf outside": (lambda d: d.__setitem__("tree", d["tree"].replace("d", "o")), {Verdict.UNPROVEN}),
    "every leaf in the core": (lambda d: d.__setitem__("tree", d["tree"].replace("d", "c")), {Verdict.UNPROVEN}),
    "every leaf inside": (lambda d: d.__setitem__("tree", d["tree"].replace("d", "i")), {Verdict.UNPROVEN}),
    "every leaf empty": (lambda d: d.__setitem__("tree", d["tree"].replace("d", "e")), {Verdict.UNPROVEN}),
    "one leaf": (lambda d: d.__setitem__("tree", "d"), {Verdict.UNPROVEN}),
    "invariant only": (lambda d: d.update(statement="invariant", core=None, tree=d["tree"].replace("c", "i")), {Verdict.CERTIFIED}),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_mutations(name: str) -> None:
    edit, allowed = EDITS[name]
    assert judged(edited(named("stability-integrator"), edit)).verdict in allowed


def test_continuous_mutations() -> None:
    document = named("stability-oscillator")
    assert judged(document).verdict is Verdict.CERTIFIED
    pushed = edited(document, lambda d: d["equations"].__setitem__(1, "-x1 + x2 + x1^3/4"))
    assert judged(pushed).verdict is Verdict.REFUTED
    high = edited(document, lambda d: d.__setitem__("level", "3"))
    assert judged(high).verdict is not Verdict.CERTIFIED
    # the boundary matters: a leaf cut so that its face is not on the boundary any more is still checked
    cut = edited(high, lambda d: d.__setitem__("tree", "0@-5 e " + d["tree"]))
    assert judged(cut).verdict is not Verdict.CERTIFIED
    assert (
        judged(edited(document, lambda d: d.__setitem__("tree", "0@-5 e " + d["tree"]))).verdict
        is Verdict.CERTIFIED
    )
    undefined = edited(
        named("stability-practical"), lambda d: d.__setitem__("equations", ["x - x^3 + 0*log(x)"])
    )
    assert judged(undefined).verdict is not Verdict.CERTIFIED


def test_a_lower_inner_level_is_refuted_by_a_point() -> None:
    claim = edited(
        stability_cases.cycle(), lambda d: d.__setitem__("inner_level", "1/2")
    )  # V' > 0 where |x| < 1
    outcome = judged(stability_cases.certified(claim))
    assert outcome.verdict is Verdict.REFUTED and outcome.failures[0].where.startswith("(")


def test_points_do_no_harm() -> None:
    document = named("stability-integrator") | {"points": [["1/10", "0"], ["5", "5"], ["0", "0"]]}
    assert judged(document).verdict is Verdict.CERTIFIED


# Input.

HOSTILE: dict[str, Callable[[Document], object]] = {
    "unknown field": lambda d: d.__setitem__("tolerance", "1e-6"),
    "a number that is no string": lambda d: d.__setitem__("level", 1),
    "nan": lambda d: d.__setitem__("level", "nan"),
    "unknown name": lambda d: d["equations"].__setitem__(0, "x1 + y"),
    "a state twice": lambda d: d.__setitem__("states", ["x1", "x1"]),
    "a function's name": lambda d: d.__setitem__("states", ["sin", "x2"]),
    "too few equations": lambda d: d["equations"].pop(),
    "region upside down": lambda d: d["region"].update(lower=["1", "-1"], upper=["-1", "1"]),
    "matrix not symmetric": lambda d: d["V"].update(quadratic=[["1", "2"], ["0", "1"]]),
    "matrix of another size": lambda d: d["V"].update(quadratic=[["1"]]),
    "V without a term": lambda d: d.__setitem__("V", {}),
    "controller of one input": lambda d: d["networks"][0].__setitem__("inputs", ["x1"]),
    "clip upside down": lambda d: d["networks"][0].__setitem__("clip", [["1", "-1"]]),
    "a name defined twice": lambda d: d["networks"][0].__setitem__("names", ["x1"]),
    "inner level of an asymptotic claim": lambda d: d.__setitem__("inner_level", "1/10"),
    "a core of one state": lambda d: d.__setitem__("core", {"lower": ["-1"], "upper": ["1"]}),
    "a file outside": lambda d: d["networks"][0].__setitem__("network", {"file": ".."}),
    "a point of one state": lambda d: d.__setitem__("points", [["1"]]),
    "other format": lambda d: d.__setitem__("format", "tlcheck.stability/2"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input(name: str) -> None:
    with pytest.raises(InvalidInput):
        claim_of(edited(named("stability-integrator"), HOSTILE[name]))


def test_toml_is_the_same_claim() -> None:
    text = """
format = "tlcheck.stability/1"
time = "continuous"
statement = "invariant"
states = ["x"]
equations = ["-x"]
level = "1"
region = {lower = ["-2"], upper = ["2"]}
V = {quadratic = [["1"]]}
"""
    artifact = read_claim(read_toml(text.encode(), "x.toml"), "x.toml")
    found = find(conditions_of(artifact, Files("x", lambda name: b"")))
    assert not found.problem and found.leaves
    with pytest.raises(InvalidInput):
        read_claim(read_toml(text.replace('"1"', "1.5", 1).encode(), "x.toml"), "x.toml")
    with pytest.raises(InvalidInput):
        read_toml(b"x = [", "x.toml")


def onnx_of(dense: bool, activation: str, batch: int = 1) -> bytes:
    """Two layers, as Gemm or as MatMul and Add."""
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    weights = [np.array([[1, 2], [3, 4], [0.5, -1]], np.float32), np.array([[1, -1, 2]], np.float32)]
    biases = [np.array([0.1, 0.2, 0.3], np.float32), np.array([0.5], np.float32)]
    stored, nodes, x = [], [], "x"
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        stored += [
            numpy_helper.from_array(w if dense else w.T.copy(), f"w{k}"),
            numpy_helper.from_array(b, f"b{k}"),
        ]
        if dense:
            nodes.append(helper.make_node("Gemm", [x, f"w{k}", f"b{k}"], [f"y{k}"], transB=1))
        else:
            nodes.append(helper.make_node("MatMul", [x, f"w{k}"], [f"m{k}"]))
            nodes.append(helper.make_node("Add", [f"m{k}", f"b{k}"], [f"y{k}"]))
        x = f"y{k}"
        if not k:
            nodes.append(helper.make_node(activation, [x], ["a"]))
            x = "a"
    ends = [
        helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [batch, s]) for n, s in (("x", 2), ("y1", 1))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    data: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    return data


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize(
    ("operator", "activation"), [("Relu", "relu"), ("Tanh", "tanh"), ("LeakyRelu", "leaky_relu")]
)
def test_onnx_and_safetensors_networks(dense: bool, operator: str, activation: str) -> None:
    from safetensors.numpy import save

    read = _network(Network(file="m.onnx"), Files("x", lambda n: onnx_of(dense, operator)), "n")
    arrays = {
        "net.0.weight": np.array([[1, 2], [3, 4], [0.5, -1]], np.float32), "net.0.bias": np.array([0.1, 0.2, 0.3], np.float32),
        "net.2.weight": np.array([[1, -1, 2]], np.float32), "net.2.bias": np.array([0.5], np.float32),
    }  # fmt: skip
    slope = {"slope": float(np.float32(0.01)).hex()} if activation == "leaky_relu" else {}
    stored = Network(file="m.safetensors", prefix="net", activation=activation, **slope)  # type: ignore[arg-type]
    assert read == _network(stored, Files("x", lambda n: save(arrays)), "n")


def test_onnx_networks_that_are_no_chain() -> None:
    for data in (onnx_of(True, "Softplus"), onnx_of(True, "Relu", batch=2)):
        with pytest.raises(InvalidInput):
            _network(Network(file="m.onnx"), Files("x", {"m.onnx": data}.__getitem__), "n")


def observed() -> Document:
    """A state and its estimate: the observer's network sees both, and vanishes without output error."""
    return {
        "format": "tlcheck.stability/1", "time": "discrete", "statement": "asymptotic", "states": ["x", "z"],
        "networks": [{
            "names": ["w"], "inputs": ["z", "x - z"], "minus": ["z", "0"],
            "network": {"weights": [[["1", "1"], ["0", "-1"]], [["1/4", "-1/4"]]], "biases": [["1/2", "0"], ["1"]],
                        "activation": "leaky_relu", "slope": "1/10"},
        }],
        "equations": ["0.6*x - 0.1*z", "0.6*z + w"], "V": {"quadratic": [["1", "0"], ["0", "1"]]},
        "region": {"lower": ["-1", "-1"], "upper": ["1", "1"]}, "level": "1/2", "decay": "1/100",
    }  # fmt: skip


def test_an_observer() -> None:
    document = stability_cases.certified(observed())
    assert judged(document).verdict is Verdict.CERTIFIED
    without = edited(document, lambda d: d["networks"][0].__setitem__("minus", []))
    assert judged(without).verdict is not Verdict.CERTIFIED


# From a specification to a verdict.


def test_the_command_line(tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(stability_cases.oscillator()))
    target = tmp_path / "x.tlcert"
    result = CliRunner().invoke(certify_lyapunov, [str(spec), "-o", str(target)], standalone_mode=False)
    assert result.return_value == 0 and "asymptotically stable" in result.output
    (claim,) = verify_path(target, Options(jobs=1)).claims
    assert claim.verdict is Verdict.CERTIFIED and "asymptotically stable" in claim.statement
    spec.write_text(json.dumps(edited(stability_cases.oscillator(), lambda d: d.__setitem__("level", "5"))))
    result = CliRunner().invoke(certify_lyapunov, [str(spec), "-o", str(target)], standalone_mode=False)
    assert result.return_value == 1
    (claim,) = verify_path(target, Options(jobs=1)).claims
    assert claim.verdict is Verdict.REFUTED


@needs_data
@pytest.mark.parametrize("name", stability_cases.DISCRETE)
def test_published_cores(name: str) -> None:
    """The origin of every published two-state model: exact equilibrium, definite V, the core lemma on some box."""
    artifact = read_claim(json.dumps(stability_cases.discrete(name)).encode(), "x")
    c = conditions_of(artifact, Files("x", lambda n: (MODELS / n).read_bytes()))
    assert all(check.holds for check in c.hypotheses())
    found = find(c, max_leaves=1)
    assert found.conditions.core is not None


@needs_data
def test_a_published_weight_one_ulp_away_is_another_model(tmp_path: Path) -> None:
    """The manifest binds the model; with its own hash, it is judged anew."""
    name = "path_tracking_state_feedback_quadratic"
    state = json.loads((MODELS / f"{name}.json").read_bytes())
    data = state["tensors"]["controller.net.6.weight"]["data"]
    data[0] = float(np.nextafter(np.float32(float.fromhex(data[0])), np.float32(9))).hex()
    read = lambda n: json.dumps(state).encode()  # noqa: E731
    c = conditions_of(read_claim(json.dumps(stability_cases.discrete(name)).encode(), "x"), Files("x", read))
    with working_precision(128):
        box = ((F(1), F(17, 16)), (F(-1, 4), F(-1, 5)))
        assert all(check.holds for check in Judge(c).leaf(box, "d"))


def test_certify_writes_nothing_when_nothing_is_found(tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(stability_cases.integrator()))
    found = certify(spec, tmp_path / "x.tlcert", max_leaves=3)
    assert found.problem and not (tmp_path / "x.tlcert").exists()
    assert copy.copy(found) == found
