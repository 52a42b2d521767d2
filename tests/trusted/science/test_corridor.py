"""ODE corridors: TorchLean's certificates judged, mutations caught by name, and attacks on what is certified."""

from __future__ import annotations

import copy
import hashlib
import importlib
import json
import math
import random
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import pytest

from tests.clocks import Cpu, Steps
from tests.helpers import CERTIFICATES, DATA, needs_data
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.artifacts import artifact_format
from tlcheck.trusted.calculus.affine_pieces import affine_pieces
from tlcheck.trusted.calculus.expression import text
from tlcheck.trusted.decide import ConditionsOutcome, decide_conditions
from tlcheck.trusted.science.corridor import CorridorClaim
from tlcheck.trusted.science.curves import together
from tlcheck.verify import load, verify_path

F = Fraction
ODE = DATA / "torchlean" / "ODE"
GOLDEN = ("sample_ode", "sin", "logistic_trivial", "logistic_learned")


def linear(value: str, slope: str = "0") -> dict[str, Any]:
    return {"layers": [{"weight": [[slope]], "bias": [value]}]}


def expr(source: str) -> dict[str, Any]:
    return {"expression": source}


def corridor(
    rhs: str, lower: Any, upper: Any, lo: str = "0.1", hi: str = "0.1", t1: str = "1", **more: Any
) -> dict[str, Any]:
    segment = {"t0": "0", "t1": t1, "init": [{"lo": lo, "hi": hi}], "lower": [lower], "upper": [upper]}
    return {"format": "tlcheck.corridor/1", "states": ["u"], "rhs": [rhs], "segments": [segment], **more}


def decide(tmp_path: Path, document: Any, options: Options | None = None) -> ConditionsOutcome:
    path = tmp_path / "c.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    (item,) = load(path, options or Options()).items
    assert isinstance(item.claim, CorridorClaim)
    return decide_conditions(item.claim, (options or Options()).precision)


def failed(outcome: ConditionsOutcome) -> set[str]:
    return {name for name, tally in outcome.tallies.items() if tally.proved < tally.total}


def said(outcome: ConditionsOutcome) -> str:
    return outcome.verdict.name


# TorchLean's certificates: the rows of the golden table.


@needs_data
@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("decimals", ["format", "exact", "binary64"])
def test_golden_certificates(name: str, decimals: str) -> None:
    """All hold at zero tolerance; the equalities 0 <= 0 of three of them are exact."""
    path = ODE / f"{name}_cert.json"
    assert artifact_format(path) == "torchlean-ode"
    (result,) = verify_path(path, Options(decimals=decimals)).claims
    assert result.verdict.name == "CERTIFIED" and result.reason.code == "TLC020"
    if name != "logistic_learned":
        assert result.bound.rigorous.decimal == "0"
    assert ("exact decimals" if decimals == "exact" else "nearest binary64") in result.statement


@needs_data
def test_golden_margins() -> None:
    """order 0.370, sub 0.0284, super 0.202 (sampled there); enclosed here, to 1 %."""
    outcome = decide_conditions(load(ODE / "logistic_learned_cert.json", Options()).items[0].claim)
    least = {name: tally.least for name, tally in outcome.tallies.items()}
    for name, margin in (("order", 0.370), ("sub-solution", 0.0284), ("super-solution", 0.202)):
        check = least[name]
        assert check.low <= check.high and check.high - check.low <= 0.01 * check.high
        assert abs(check.low - margin) < 0.001
    (width,) = outcome.measures["width_at_end"]
    assert width[0] <= width[1] and abs(width[0] - (0.8800 + 0.2485)) < 1e-3
    assert outcome.measures["boxes"] < 73


@needs_data
def test_golden_margins_against_sampling() -> None:
    """The sampled residuals (mpmath) are nowhere below the proved ones, and come near them."""
    outcome = decide_conditions(load(ODE / "logistic_learned_cert.json", Options()).items[0].claim)
    mp = mpmath.mp.clone()
    mp.dps = 30

    def network(role: str) -> Callable[[Any], tuple[Any, Any]]:
        data = json.loads((ODE / f"logistic_{role}_learned.json").read_text())

        def run(t: Any) -> tuple[Any, Any]:
            x, d = [t], [mp.mpf(1)]
            for k in range(3):
                w, b = data[f"layers.{k}.weight"], data[f"layers.{k}.bias"]
                x = [
                    sum((mp.mpf(a) * v for a, v in zip(r, x, strict=False)), mp.mpf(c))
                    for r, c in zip(w, b, strict=False)
                ]
                d = [sum(mp.mpf(a) * v for a, v in zip(r, d, strict=False)) for r in w]
                if k < 2:
                    x = [mp.tanh(v) for v in x]
                    d = [(1 - v * v) * s for v, s in zip(x, d, strict=False)]
            return x[0], d[0]

        return run

    lower, upper = network("lower"), network("upper")
    sampled = {"order": math.inf, "sub-solution": math.inf, "super-solution": math.inf}
    for k in range(17):
        t = mp.mpf(k) / 16
        (v, dv), (w, dw) = lower(t), upper(t)
        for name, value in (
            ("order", w - v),
            ("sub-solution", v * (1 - v) - dv),
            ("super-solution", dw - w * (1 - w)),
        ):
            sampled[name] = min(sampled[name], float(value))
    for name, value in sampled.items():
        least = outcome.tallies[name].least
        assert least.low <= value + 1e-15 and value <= least.high * 1.05


# Mutations of TorchLean's certificates. Each: what it does, the verdict, the condition named.


def learned(tmp_path: Path) -> dict[str, Any]:
    for name in ("logistic_lower_learned", "logistic_upper_learned", "zero_mlp", "one_mlp"):
        shutil.copyfile(ODE / f"{name}.json", tmp_path / f"{name}.json")
    return json.loads((ODE / "logistic_learned_cert.json").read_text())


def two_segments(
    c: dict[str, Any], t: float = 0.5, lower: str = "zero_mlp.json", upper: str = "one_mlp.json"
) -> None:
    first = c["segments"][0]
    c["segments"] = [
        {**first, "t1": 0.5},
        {"t0": t, "t1": 1.0, "init": 0.3, "lowerWeights": lower, "upperWeights": upper},
    ]


def set_segment(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda c: c["segments"][0].update(fields)


LOWER, UPPER = "logistic_lower_learned.json", "logistic_upper_learned.json"
FOLDER = "NN/Examples/Verification/ODE/"
"""As the published certificate names them."""
L, U = FOLDER + LOWER, FOLDER + UPPER
MUTATIONS: list[tuple[str, Callable[[dict[str, Any]], None], str, str]] = [
    ("initial value too high", set_segment(init=1.5), "REFUTED", "initial value, upper"),
    ("initial value too low", set_segment(init={"lo": -2, "hi": 0.1}), "REFUTED", "initial value, lower"),
    ("networks swapped", set_segment(lowerWeights=U, upperWeights=L), "REFUTED", "sub-solution"),
    ("lower network twice", set_segment(upperWeights=L), "REFUTED", "super-solution"),
    ("upper network twice", set_segment(lowerWeights=U), "REFUTED", "sub-solution"),
    ("another equation", lambda c: c.update(rhs="u*(1-u) - 2"), "REFUTED", "sub-solution"),
    ("a steeper equation", lambda c: c.update(rhs="u*(1-u) + 2"), "REFUTED", "super-solution"),
    ("a pole in the corridor", lambda c: c.update(rhs="u*(1-u) + 0/(u - 1/10)"), "UNPROVEN", "domain"),
    ("a root of negative numbers", lambda c: c.update(rhs="u*(1-u) + 0*sqrt(u)"), "REFUTED", "domain"),
    ("longer than it was trained for", set_segment(t1=9.0), "REFUTED", "sub-solution"),
    ("a gap in time", lambda c: two_segments(c, t=0.6), "REFUTED", "hand-off time"),
    ("an overlap in time", lambda c: two_segments(c, t=0.4), "REFUTED", "hand-off time"),
    (
        "disconnected lower curve",
        lambda c: two_segments(c, lower="one_mlp.json"),
        "REFUTED",
        "hand-off, lower",
    ),
    (
        "disconnected upper curve",
        lambda c: two_segments(c, upper="zero_mlp.json"),
        "REFUTED",
        "hand-off, upper",
    ),
]


@needs_data
@pytest.mark.parametrize(("what", "mutate", "verdict", "condition"), MUTATIONS, ids=[m[0] for m in MUTATIONS])
def test_mutations_are_caught(
    tmp_path: Path, what: str, mutate: Callable[[dict[str, Any]], None], verdict: str, condition: str
) -> None:
    document = learned(tmp_path)
    mutate(document)
    outcome = decide(tmp_path, document)
    assert said(outcome) == verdict, outcome.message
    assert condition in failed(outcome)
    assert outcome.code == ("TLC021" if verdict == "REFUTED" else "TLC022")


@needs_data
def test_a_connected_second_segment_is_accepted(tmp_path: Path) -> None:
    document = learned(tmp_path)
    two_segments(document)
    document["segments"] = [{**s, "lowerWeights": "zero_mlp.json", "upperWeights": "one_mlp.json"} for s in document["segments"]]  # fmt: skip
    outcome = decide(tmp_path, document)
    assert said(outcome) == "CERTIFIED" and "hand-off, lower" in outcome.tallies
    document["segments"][1]["init"] = 1.25
    assert failed(decide(tmp_path, document)) == {"initial value, upper"}


@needs_data
@pytest.mark.parametrize("weight", ["layers.1.bias", "layers.2.bias", "layers.2.weight"])
def test_mutated_weights(tmp_path: Path, weight: str) -> None:
    document = learned(tmp_path)
    data = json.loads((tmp_path / LOWER).read_text())
    if weight.endswith("bias"):
        data[weight][0] += 5
    else:
        data[weight][0][0] += 5
    (tmp_path / LOWER).write_text(json.dumps(data))
    assert said(decide(tmp_path, document)) == "REFUTED"


@needs_data
def test_slack_is_the_users(tmp_path: Path) -> None:
    """A slack that would prove anything counts for nothing; allowed by the user it is used, named, and claims less."""
    document = learned(tmp_path)
    document["segments"][0].update(lowerWeights=U)
    document["settings"]["slack"] = 100
    assert said(decide(tmp_path, document)) == "REFUTED"
    assert said(decide(tmp_path, document, Options(slack=F(1, 100)))) == "REFUTED"
    document["segments"][0]["init"] = {"lo": "0.36", "hi": "0.36"}  # the initial condition has no slack
    outcome = decide(tmp_path, document, Options(slack=F(10)))
    assert outcome.measures["slack_used"] == "10"
    claim = load(tmp_path / "c.json", Options(slack=F(10))).items[0].claim
    assert "slack of 10 in each inequality, which does not enclose the solution" in claim.statement
    claim = load(tmp_path / "c.json", Options(slack=F(1000))).items[0].claim
    assert isinstance(claim, CorridorClaim) and claim.slack == 100
    assert load(tmp_path / "c.json", Options()).items[0].claim.slack == 0


# Our own format.


def test_own_claims(tmp_path: Path) -> None:
    cases = {
        # equality everywhere, exactly: u' = 0.1 with decimals that no double has
        "CERTIFIED line": corridor("0.1", linear("0.1", "0.1"), linear("0.1", "0.1")),
        "CERTIFIED logistic between walls": corridor("u*(1-u)", linear("0"), linear("1"), forever=True),
        "CERTIFIED time dependent": corridor("t*cos(u)", linear("0.1"), expr("0.1 + t^2/2")),
        "CERTIFIED touching at the start": corridor("u*(1-u)", linear("0.1"), expr("0.1*exp(t)")),
        "CERTIFIED relu": corridor(
            "u*(1-u)",
            {"layers": [
                {"weight": [["1"], ["1"]], "bias": ["0", "-1/2"], "activation": "relu"},
                {"weight": [["0.05", "0.01"]], "bias": ["0.1"]},
            ]},
            linear("1"),
        ),
        "CERTIFIED log": corridor("log(u)", expr("0.1 - 9*t"), linear("0.1"), t1="0.01"),
        "CERTIFIED sqrt": corridor("sqrt(u)", linear("0.1"), expr("0.1 + 1.1*t")),
        "REFUTED slope": corridor("0.1", linear("0.1", "0.11"), linear("0.1", "0.1")),
        "REFUTED forever": corridor("u*(1-u)", linear("0"), linear("0.5", "0.3"), forever=True),
        "UNPROVEN root at zero": corridor("sqrt(u)", linear("0"), expr("1 + 2*t"), lo="0"),
        "UNPROVEN pole inside": corridor("1/(u-0.5)^2", linear("0.1"), expr("1+100*t")),
    }  # fmt: skip
    for name, document in cases.items():
        outcome = decide(tmp_path, document)
        assert said(outcome) == name.split()[0], (name, outcome.message, outcome.where)


def test_touching_curves_are_ordered_by_comparison(tmp_path: Path) -> None:
    """Both curves start at 0.1 = tanh(...) of something no ball decides: the order there follows from the rest."""
    outcome = decide(
        tmp_path,
        corridor("0", expr("tanh(1) - t - 1/1000"), expr("tanh(1) + t - 1/1000"), lo="0.7605", hi="0.7606"),
    )
    assert said(outcome) == "REFUTED"  # not by comparison: the initial values are not between
    outcome = decide(tmp_path, corridor("0", expr("sin(1)^2 + cos(1)^2 - t"), expr("1+t"), lo="1", hi="1"))
    assert said(outcome) == "UNPROVEN" and "initial value, lower" in failed(outcome)
    kink = {
        "layers": [
            {"weight": [["1"]], "bias": ["-1/3"], "activation": "relu"},
            {"weight": [["1"]], "bias": ["0.1"]},
        ]
    }
    outcome = decide(tmp_path, corridor("0", linear("0.1", "-1"), kink))
    assert said(outcome) == "CERTIFIED"
    outcome = decide(tmp_path, corridor("0*t", expr("0.1 - (t-1/3)^2*0"), expr("0.1 + t^2*(1 + sin(t)^2)")))
    assert said(outcome) == "CERTIFIED"


def test_relu_corridor_with_a_hundred_kinks(tmp_path: Path) -> None:
    """u' = u - 0.1 between 0.1 and a convex piecewise linear curve that is steep enough, then not."""
    n = 100

    def net(slope: str) -> dict[str, Any]:
        return {"layers": [
            {"weight": [["1"]] * n, "bias": [f"-{k}/{n}" for k in range(n)], "activation": "relu"},
            {"weight": [[slope, *["0.05"] * (n - 1)]], "bias": ["0.1"]},
        ]}  # fmt: skip

    assert said(decide(tmp_path, corridor("u - 0.1", linear("0.1"), net("0.2")))) == "CERTIFIED"
    outcome = decide(tmp_path, corridor("u - 0.1 + 3*t", linear("0.1"), net("0")))
    assert said(outcome) == "REFUTED" and failed(outcome) == {"super-solution"}


def system(**changes: Any) -> dict[str, Any]:
    document = {
        "format": "tlcheck.corridor/1", "states": ["x", "y"], "rhs": ["y - 2*x", "x - 2*y + 0*t"],
        "segments": [{
            "t0": "0", "t1": "1", "init": [{"lo": "0.2", "hi": "0.3"}, {"lo": "0.2", "hi": "0.3"}],
            "lower": [expr("0.2*exp(-2*t)"), expr("0.2*exp(-2*t)")], "upper": [linear("0.3"), linear("0.3")],
        }],
    }  # fmt: skip
    return document | changes


def test_systems(tmp_path: Path) -> None:
    assert said(decide(tmp_path, system())) == "CERTIFIED"
    outcome = decide(tmp_path, system(rhs=["-0.01*y - 2*x", "x - 2*y"]))
    assert said(outcome) == "REFUTED" and "quasi-monotone" in failed(outcome)
    # Rotation: u1 falls from 0.2 at once, below its lower curve; the inequalities at the corners all hold.
    spin = system(rhs=["y", "-x"])
    spin["segments"][0].update(
        lower=[linear("0", "-2"), linear("0.2")], upper=[linear("0.3", "0.3"), linear("0.3")]
    )
    outcome = decide(tmp_path, spin)
    assert failed(outcome) == {"quasi-monotone"} and said(outcome) == "REFUTED"
    product = system(rhs=["x*y - 2*x", "x*y - 2*y"])
    product["segments"][0].update(lower=[linear("0"), linear("0")])
    assert (
        said(decide(tmp_path, product)) == "CERTIFIED"
    )  # the derivatives x, y touch 0 on the corridor's face
    quotient = system(rhs=["y/(1+x)-2*x", "x - 2*y"])
    assert said(decide(tmp_path, quotient)) == "CERTIFIED"
    pole = system(rhs=["y/(x-0.25) - 2*x", "x - 2*y"])
    assert "domain" in failed(decide(tmp_path, pole))
    still = system(rhs=["y - 2*x", "x - 2*y"], forever=True)
    assert failed(decide(tmp_path, still)) == {"forever, lower"}  # it falls: 0.2 exp(-2) is no wall, 0 is
    still["segments"][0].update(lower=[linear("0"), linear("0")])
    assert said(decide(tmp_path, still)) == "CERTIFIED"


def test_precision_and_decimals(tmp_path: Path) -> None:
    tight = corridor("0", linear("0.1"), linear("0.1"))
    assert said(decide(tmp_path, tight)) == "CERTIFIED"
    tight["segments"][0]["init"] = [{"lo": "0.1", "hi": "0.1000000000000000055"}]  # below the double 0.1
    assert failed(decide(tmp_path, tight)) == {"initial value, upper"}
    assert said(decide(tmp_path, tight, Options(decimals="binary64"))) == "CERTIFIED"
    third = corridor("1/3", expr("0.1 + t/3"), expr("0.1 + t/3"))
    outcome = decide(tmp_path, third)
    assert said(outcome) == "CERTIFIED"  # balls about 1/3 - 1/3 decide nothing; exact polynomials do
    root = corridor("sqrt(2)", expr("0.1 + sqrt(2)*t"), expr("0.1 + sqrt(2)*t"))
    assert said(decide(tmp_path, root)) == "UNPROVEN"  # true, but not decided by balls


def test_time_limits_end_as_unproven(tmp_path: Path, steps: Callable[[float], Steps]) -> None:
    steps(1.0)
    path = tmp_path / "c.json"
    path.write_text(json.dumps(corridor("sin(400*t)*u", linear("-9"), expr("2*exp(3*t)"))))
    (result,) = verify_path(path, Options(timeout=3)).claims
    assert (result.verdict.name, result.reason.code) == ("UNPROVEN", "TLC015")


def test_in_a_bundle(tmp_path: Path) -> None:
    bundle = tmp_path / "x.tlcert"
    bundle.mkdir()
    weights = json.dumps({"layers.0.weight": [[0]], "layers.0.bias": ["1"]}).encode()
    upper = {"file": "w.json", "sha256": hashlib.sha256(weights).hexdigest()}
    files = {"c.json": json.dumps(corridor("u*(1-u)", linear("0"), upper)).encode(), "w.json": weights}
    for name, data in files.items():
        (bundle / name).write_bytes(data)
    manifest = {
        "format": "tlcheck.bundle", "version": 1, "producer": {"name": "test", "version": "1"},
        "files": {n: {"sha256": hashlib.sha256(d).hexdigest(), "bytes": len(d)} for n, d in files.items()},
        "claims": [{"kind": "artifact", "format": "tlcheck.corridor", "artifact": "c.json", "name": "logistic"}],
    }  # fmt: skip
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    (result,) = verify_path(bundle, Options()).claims
    assert result.verdict.name == "CERTIFIED" and "w.json" in result.details["sources"]
    files["c.json"] = files["c.json"].replace(upper["sha256"].encode(), b"0" * 64)
    (bundle / "c.json").write_bytes(files["c.json"])
    manifest["files"]["c.json"]["sha256"] = hashlib.sha256(files["c.json"]).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InvalidInput) as caught:
        verify_path(bundle, Options())
    assert caught.value.code == "TLC103"


def test_corpus_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cases of certificates/producers/corridor_cases.py end as they say."""
    monkeypatch.syspath_prepend(str(CERTIFICATES / "producers"))
    for case in importlib.import_module("corridor_cases").cases():
        folder = tmp_path / case.name / "x.tlcert"
        folder.mkdir(parents=True)
        for name, data in case.content.items():
            (folder / name).write_bytes(data)
        try:
            (result,) = verify_path(folder, Options()).claims
            found = {"CERTIFIED": 0, "REFUTED": 1, "UNPROVEN": 4}[result.verdict.name], result.reason.code
        except InvalidInput as error:
            found = 3, error.code
        assert found == (case.exit, case.code), case.name


# Attacks on soundness.


def real(source: str) -> Callable[..., float]:
    code = compile(source.replace("^", "**"), "oracle", "eval")
    scope = {name: getattr(math, name) for name in ("sin", "cos", "exp", "tanh", "sqrt", "log")} | {
        "abs": abs
    }
    return lambda **at: eval(code, scope, at)


def test_random_corridors_against_sampling(tmp_path: Path) -> None:
    """Certified: no sampled violation. Refuted: the violation at the named point is real."""
    rng = random.Random(2)
    seen = {"CERTIFIED": 0, "REFUTED": 0, "UNPROVEN": 0}
    for _ in range(64):
        a, b, c = (rng.choice([-2, -1, 0, 1, 2, 3]) for _ in range(3))
        rhs = rng.choice(
            [f"{a}*u + {b}*t", f"sin({a}*u) + t^2", f"u*(1-u)*{abs(a)}", f"tanh(u)*{b} - u", f"abs(u)*{a}/4"]
        )
        lower = rng.choice(
            [f"0.1 - {abs(b)}*t - {abs(c)}*t^2", f"0.1*exp(-{abs(a)}*t)", "0.05 - sin(t)", f"0.1 + {b}*t/8"]
        )
        upper = rng.choice(
            [f"0.1 + {abs(a)}*t + {abs(c)}*t^2", f"0.2*exp({abs(b)}*t)", "0.3 + 2*t", f"0.4 + {a}*t/8"]
        )
        outcome = decide(tmp_path, corridor(rhs, expr(lower), expr(upper)))
        seen[said(outcome)] += 1
        f, v, w = real(rhs), real(lower), real(upper)
        h = 1e-6
        sampled = {
            "initial": min(0.1 - v(t=0), w(t=0) - 0.1),
            "sub-solution": math.inf,
            "super-solution": math.inf,
            "order": math.inf,
        }
        for k in range(65):
            t = min(max(k / 64, h), 1 - h)
            dv, dw = ((g(t=t + h) - g(t=t - h)) / (2 * h) for g in (v, w))
            for name, slack in (
                ("sub-solution", f(t=t, u=v(t=t)) - dv),
                ("super-solution", dw - f(t=t, u=w(t=t))),
                ("order", w(t=t) - v(t=t)),
            ):
                sampled[name] = min(sampled[name], slack)
        worst = min(sampled.values())
        if said(outcome) == "CERTIFIED":
            assert worst > -1e-8, (rhs, lower, upper)
            for name, slack in sampled.items():
                least = outcome.tallies[name].least if name in outcome.tallies else None
                if least is not None:
                    assert least.low <= slack + 1e-8 and least.high >= least.low, (rhs, lower, upper, name)
        if worst < -1e-3:
            assert said(outcome) == "REFUTED", (rhs, lower, upper, outcome.message)
        for failure in outcome.failures:
            if failure.holds is False and failure.name in ("sub-solution", "super-solution"):
                t = real(failure.where.rpartition("= ")[2])()
                curve = v if failure.name == "sub-solution" else w
                d = (curve(t=t + h) - curve(t=t - h)) / (2 * h)
                slack = (f(t=t, u=curve(t=t)) - d) * (1 if failure.name == "sub-solution" else -1)
                assert abs(slack - failure.low) < 1e-4
    assert min(seen["CERTIFIED"], seen["REFUTED"]) >= 10, seen


def test_random_relu_corridors_against_exact_arithmetic(tmp_path: Path) -> None:
    """u' = a u + b t + c with relu curves: the residual is affine on each piece, so its ends decide, exactly."""
    rng = random.Random(4)
    seen = set()
    for _ in range(60):
        a, b, c = (F(rng.randint(-4, 4), 4) for _ in range(3))
        nets = []
        for base in (F(rng.randint(-6, 1), 2), F(rng.randint(0, 6), 2)):
            weight = [[str(F(rng.randint(-6, 6), 3))] for _ in range(3)]
            bias = [str(F(rng.randint(-6, 6), 5)) for _ in range(3)]
            out = [str(F(rng.randint(-3, 3), 4)) for _ in range(3)]
            nets.append({"layers": [
                {"weight": weight, "bias": bias, "activation": "relu"}, {"weight": [out], "bias": [str(base)]},
            ]})  # fmt: skip
        document = corridor(f"({a})*u + ({b})*t + ({c})", *nets)
        path = tmp_path / "c.json"
        path.write_text(json.dumps(document))
        claim = load(path, Options()).items[0].claim
        assert isinstance(claim, CorridorClaim)
        segment = claim.segments[0]
        truth = True
        for curve, sign in ((segment.lower[0], 1), (segment.upper[0], -1)):
            for p in affine_pieces(curve, F(0), F(1), 100):
                for t in (p.start, p.end):
                    truth &= sign * (a * (p.value + p.slope * t) + b * t + c - p.slope) >= 0
            start = affine_pieces(curve, F(0), F(0), 1)[0].value
            truth &= sign * (F(1, 10) - start) >= 0
        outcome = decide_conditions(claim)
        seen.add(said(outcome))
        if said(outcome) != "UNPROVEN":
            assert (said(outcome) == "CERTIFIED") == truth
    assert {"CERTIFIED", "REFUTED"} <= seen


def test_certified_corridors_hold_the_solution(tmp_path: Path) -> None:
    """u' = u(1-u), u(0) = 0.1: the corridor around the closed form, moved until it no longer holds it."""
    solution = "1/(1 + 9*exp(-t))"
    for shift, verdict in (("0.001", "CERTIFIED"), ("-0.0000001", "REFUTED")):
        document = corridor(
            "u*(1-u)", expr(f"{solution} - ({shift})*exp(t)"), expr(f"{solution} + ({shift})*exp(t)")
        )
        assert said(decide(tmp_path, document)) == verdict


def test_pieces_cover_the_segment(tmp_path: Path) -> None:
    decide(tmp_path, corridor("0", linear("0.1"), linear("0.1")))
    claim = load(tmp_path / "c.json", Options()).items[0].claim
    assert isinstance(claim, CorridorClaim)
    pieces = together(
        (*claim.segments[0].lower, *claim.segments[0].upper), claim.segments[0].start, claim.segments[0].end
    )
    assert pieces[0].start == 0 and pieces[-1].end == 1 and len(pieces[0].curves) == 2
    assert text(claim.rhs[0]) == "0"


# Hostile input.


def own(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    document = corridor("u*(1-u)", linear("0"), linear("1"))
    change(document)
    return document


BAD_OWN: list[tuple[Any, str]] = [
    (own(lambda d: d.update(format="tlcheck.corridor/2")), "TLC10"), (own(lambda d: d.update(extra=1)), "TLC101"),
    (own(lambda d: d.update(states=[])), "TLC101"), (own(lambda d: d.update(states=["t"])), "TLC101"),
    (own(lambda d: d.update(states=["u", "u"])), "TLC101"), (own(lambda d: d.update(states=["pi"])), "TLC101"),
    (own(lambda d: d.update(rhs=["v"])), "TLC101"), (own(lambda d: d.update(rhs=[])), "TLC101"),
    (own(lambda d: d.update(rhs=["u", "u"])), "TLC101"), (own(lambda d: d.update(segments=[])), "TLC101"),
    (own(lambda d: d.update(slack="-1")), "TLC101"), (own(lambda d: d.update(slack="nan")), "TLC101"),
    (own(lambda d: d.update(slack=0.5)), "TLC101"), (own(lambda d: d.update(forever=1)), "TLC101"),
    (own(lambda d: d.update(forever=True, rhs=["t*u"])), "TLC101"),
    (own(lambda d: d["segments"][0].update(t1="0")), "TLC101"), (own(lambda d: d["segments"][0].update(t1="-1")), "TLC101"),
    (own(lambda d: d["segments"][0].update(t1="1e5000")), "TLC401"), (own(lambda d: d["segments"][0].update(t1="inf")), "TLC101"),
    (own(lambda d: d["segments"][0].update(t1="1/0")), "TLC101"), (own(lambda d: d["segments"][0].update(init=[])), "TLC101"),
    (own(lambda d: d["segments"][0].update(init=[{"lo": "1", "hi": "0"}])), "TLC101"),
    (own(lambda d: d["segments"][0].update(lower=[])), "TLC101"), (own(lambda d: d["segments"][0].update(lower=[{}])), "TLC101"),
    (own(lambda d: d["segments"][0].update(lower=[{"layers": []}])), "TLC204"),
    (own(lambda d: d["segments"][0].update(lower=[{"layers": [{"weight": [[]], "bias": []}]}])), "TLC204"),
    (own(lambda d: d["segments"][0].update(lower=[{"layers": [{"weight": [["1", "2"]], "bias": ["0"]}]}])), "TLC204"),
    (own(lambda d: d["segments"][0].update(lower=[{"layers": [{"weight": [["x"]], "bias": ["0"]}]}])), "TLC101"),
    (own(lambda d: d["segments"][0].update(lower=[{"expression": "u"}])), "TLC101"),
    (own(lambda d: d["segments"][0].update(lower=[{"expression": "t", "file": "x"}])), "TLC101"),
    (own(lambda d: d["segments"][0].update(lower=[{"file": "x.json"}])), "TLC101"),
    (own(lambda d: d["segments"][0].update(lower=[{"file": "x.json", "sha256": "0" * 64}])), "TLC402"),
    (own(lambda d: d["segments"][0].update(lower=[{"file": "..", "sha256": "0" * 64}])), "TLC404"),
    ('{"format": "tlcheck.corridor/1", "format": "tlcheck.corridor/1"}', "TLC106"),
    ('{"format": "tlcheck.corridor/1", "states": NaN}', "TLC106"),
    ('{"format": "tlcheck.corridor/1", "states": ' + "[" * 200 + "]" * 200 + "}", "TLC106"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "code"), BAD_OWN)
def test_malformed(tmp_path: Path, document: Any, code: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(InvalidInput) as caught:
        load(path, Options(input_format="tlcheck.corridor"))
    assert caught.value.code.startswith(code), caught.value
    assert "\n" not in caught.value.line()


ZERO = {"meta": {"activation": "tanh"}, "layers.0.weight": [[0.0]], "layers.0.bias": [0.0]}
BAD_WEIGHTS: list[tuple[Any, str]] = [
    ({}, "TLC101"), ([], "TLC101"), ({"layers.0.weight": [[0]]}, "TLC101"), ({"layers.1.weight": [[0]], "layers.1.bias": [0]}, "TLC101"),
    ({**ZERO, "layers.0.weight": [[0, 0]]}, "TLC204"), ({**ZERO, "layers.0.bias": [0, 0]}, "TLC204"),
    ({**ZERO, "layers.0.weight": [["nan"]]}, "TLC101"), ({**ZERO, "layers.0.weight": [["1e999"]]}, "TLC101"),
    ({**ZERO, "layers.0.weight": [[None]]}, "TLC101"), ({**ZERO, "layers.0.weight": [[True]]}, "TLC101"),
    ({**ZERO, "layers.0.weight": [[[0]]]}, "TLC101"), ({**ZERO, "layers.0.weight": 0}, "TLC101"),
    ({**ZERO, "meta": {"activation": "gelu"}}, "TLC101"), ({**ZERO, "layers.1.weight": [[0]], "layers.1.bias": [0], "meta": {}}, "TLC101"),
    ('{"layers.0.weight": [[0]], "layers.0.weight": [[0]], "layers.0.bias": [0]}', "TLC106"),
    ('{"layers.0.weight": [[1e999]], "layers.0.bias": [0]}', "TLC106"), ('{"layers.0.weight": [[NaN]]}', "TLC106"),
    ("", "TLC106"), ({**ZERO, "layers.0.weight": [["1_0"]]}, "TLC101"), ({**ZERO, "layers.0.weight": [[" 1"]]}, "TLC101"),
]  # fmt: skip


def sample(**segment: Any) -> dict[str, Any]:
    return {
        "rhs": "0",
        "segments": [
            {
                "t0": 0,
                "t1": "1.0",
                "init": 0,
                "lowerWeights": "a/w.json",
                "upperWeights": "a\\w.json",
                **segment,
            }
        ],
    }


@pytest.mark.parametrize(("weights", "code"), BAD_WEIGHTS)
def test_malformed_weights(tmp_path: Path, weights: Any, code: str) -> None:
    (tmp_path / "w.json").write_text(weights if isinstance(weights, str) else json.dumps(weights))
    (tmp_path / "c.json").write_text(json.dumps(sample()))
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path / "c.json", Options())
    assert caught.value.code == code and "w.json" in caught.value.line()


def test_torchlean_leniency(tmp_path: Path) -> None:
    """Unknown fields are ignored, numbers may be strings, init may be one number, only a path's last part counts."""
    (tmp_path / "w.json").write_text(json.dumps({**ZERO, "more": 1}))
    document = sample() | {"comment": "x", "settings": {"maxDepth": "3", "unknown": []}}
    assert said(decide(tmp_path, document)) == "CERTIFIED"
    for bad in (sample(init="x"), sample(init={"lo": 0}), sample(t1=True), sample(t1=0), sample(t1="1e400"), sample(lowerWeights=3)):  # fmt: skip
        with pytest.raises(InvalidInput):
            decide(tmp_path, bad)
    with pytest.raises(InvalidInput):
        decide(tmp_path, sample() | {"settings": {"slack": -1}})
    with pytest.raises(InvalidInput):
        decide(tmp_path, sample(), Options(model=tmp_path / "w.json"))


@pytest.mark.parametrize(
    "document",
    [
        corridor("((((((2^64)^64)^64)^64)^64)^64)^64*u", linear("0"), linear("1")),
        corridor("u*(1-u)", expr("(((t+1)^64)^64)^64 - 2"), linear("1")),
        corridor("*".join(["(u+t)^64"] * 300), linear("0"), linear("1")),
        corridor("0", {"layers": [{"weight": [[f"1/{10**400 + k}"]], "bias": ["0"], "activation": "relu"} for k in range(300)] + [{"weight": [["1"]], "bias": ["0"]}]}, linear("1")),
        corridor("0", {"layers": [{"weight": [["1e4000"]], "bias": ["0"], "activation": "tanh"}, {"weight": [["1"]], "bias": ["-1"]}]}, linear("1")),
        corridor("exp(exp(exp(exp(9*t))))", linear("0"), linear("1")),
        corridor("u", linear("0"), linear("1"), t1="1e4000"), corridor("sin(u*1e4000)", linear("0"), linear("1")),
        corridor("(1/u)^0 - 1", linear("-1"), linear("1")), corridor("0*log(u-1)", linear("0"), linear("1")),
    ],
)  # fmt: skip
def test_huge_numbers_end_soon(tmp_path: Path, document: Any, steps: Callable[[float], Steps]) -> None:
    """A verdict after little work, in few steps, and none is CERTIFIED (each is false or undefined somewhere)."""
    steps(1.0)
    path = tmp_path / "c.json"
    path.write_text(json.dumps(document))
    with Cpu() as cpu:
        (result,) = verify_path(path, Options(timeout=5, jobs=1)).claims
    assert result.verdict.name in ("UNPROVEN", "REFUTED") and cpu.seconds < 60


def test_fuzzed_documents_never_crash(tmp_path: Path, steps: Callable[[float], Steps]) -> None:
    """Random replacements at random places: a verdict or InvalidInput, nothing else; never CERTIFIED where 2 <= 1 is asked."""
    steps(0.01)
    rng = random.Random(9)
    junk: list[Any] = [
        None, True, -1, 0, 1e308, "", "nan", "1e9", "1/0", "u", "-", [], {}, [[]], ["x"], {"lo": "0"}, "t", "0" * 5000, 2**70,
        "1/(u-1/2)", "log(u)", "exp(exp(exp(t*100)))", "exp(1e9)", "-1e4000", "1e-4000",
    ]  # fmt: skip
    base = system()
    codes = set()
    for _ in range(300):
        document = copy.deepcopy(base)
        for _ in range(rng.randint(1, 2)):
            node: Any = document
            while isinstance(node, (dict, list)) and node:
                key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
                if rng.random() < 0.35 or not isinstance(node[key], (dict, list)) or not node[key]:
                    node[key] = rng.choice(junk)
                    break
                node = node[key]
        path = tmp_path / "c.json"
        path.write_text(json.dumps(document))
        try:
            (result,) = verify_path(path, Options(input_format="tlcheck.corridor", timeout=2, jobs=1)).claims
            codes.add(result.verdict.name)
        except InvalidInput as error:
            codes.add(error.code)
            assert "\n" not in error.line()
    assert {"TLC101", "UNPROVEN", "REFUTED"} <= codes
