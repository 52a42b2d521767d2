"""Lyapunov artifacts and two-stage bits: made cases, mutations, hostile input, and attacks with independent oracles."""

from __future__ import annotations

import copy
import json
import math
import random
import struct
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

from tests.helpers import CERTIFICATES
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.artifacts import artifact_format, load_artifact, read_artifact
from tlcheck.readers.files import Files
from tlcheck.trusted.arith.arb import arb, working_precision
from tlcheck.trusted.calculus.jets import FUNCTIONS, Jet, constant, coordinates
from tlcheck.trusted.calculus.layers import Layer
from tlcheck.trusted.calculus.mlp import Mlp
from tlcheck.trusted.decide import ConditionsOutcome, decide_conditions
from tlcheck.trusted.science.bisection import least_values, outside
from tlcheck.trusted.verdict import Verdict
from tlcheck.verify import verify_path

sys.path.append(str(CERTIFICATES / "producers"))
import lyapunov_cases

Document = dict[str, Any]
DEFAULT = Options()
CASES = list(lyapunov_cases.artifacts())
F = Fraction


def judged(
    document: object, network: object = None, format: str = "tlcheck.lyapunov", options: Options = DEFAULT
) -> ConditionsOutcome:
    return judged_bytes(json.dumps(document).encode(), json.dumps(network).encode(), format, options)


def judged_bytes(data: bytes, network: bytes, format: str, options: Options = DEFAULT) -> ConditionsOutcome:
    (loaded,) = read_artifact(data, Files("x.json", lambda name: network), options, format)
    claim: Any = loaded.claim
    return decide_conditions(claim, options.precision)


def torchleans(document: object, network: object = None, options: Options = DEFAULT) -> ConditionsOutcome:
    return judged(document, network or lyapunov_cases.network(), "lyapunov-json", options)


def at(document: Document, path: str, value: object) -> Document:
    """The document with one field changed; numbers in the path are indices."""
    new = copy.deepcopy(document)
    inner: Any = new
    *keys, last = [int(k) if k.isdigit() else k for k in path.split("/")]
    for key in keys:
        inner = inner[key]
    inner[last] = value
    return new


@pytest.mark.parametrize(
    ("group", "name", "files", "exit_code", "code", "note"), CASES, ids=[c[1] for c in CASES]
)
def test_made_cases(
    group: str, name: str, files: dict[str, bytes], exit_code: int, code: str, note: str, tmp_path: Path
) -> None:
    for file, data in files.items():
        (tmp_path / file).write_bytes(data)
    path = tmp_path / lyapunov_cases.ARTIFACT
    if exit_code == 3:
        with pytest.raises(InvalidInput) as caught:
            load_artifact(path, Options(), artifact_format(path) or "")
        assert caught.value.code == code and "\n" not in caught.value.line()
    else:
        (result,) = verify_path(path, Options()).claims
        assert result.reason.code == code


# Jets: containment of values and derivatives, against mpmath at 40 digits.


def random_mlp(r: random.Random, inputs: int, sizes: list[int], names: list[str]) -> Mlp:
    layers, width = [], inputs
    for size, name in zip(sizes, names, strict=True):
        weight = tuple(tuple(F(r.randint(-64, 64), 32) for _ in range(width)) for _ in range(size))
        layers.append(Layer(weight, tuple(F(r.randint(-32, 32), 32) for _ in range(size)), name))
        width = size
    return Mlp(tuple(layers))


MP = {
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "sin": mpmath.sin,
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "linear": lambda x: x,
}


def mp_value(network: Mlp, point: list[mpmath.mpf]) -> mpmath.mpf:
    x = point
    for layer in network.layers:
        rows = zip(layer.weight, layer.bias, strict=True)
        x = [
            MP[layer.activation](sum((fraction(a) * b for a, b in zip(row, x, strict=True)), fraction(c)))
            for row, c in rows
        ]
    return x[0]


def fraction(q: Fraction) -> mpmath.mpf:
    return mpmath.mpf(q.numerator) / q.denominator


def contains(ball: Any, value: mpmath.mpf, tolerance: float = 1e-12) -> bool:
    """Up to the error of numerical differentiation."""
    return float(ball.lower()) - tolerance <= float(value) <= float(ball.upper()) + tolerance


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "sin", "relu"])
@pytest.mark.parametrize("width", [F(1, 10**9), F(1, 100), F(2)])
def test_jets_contain_derivatives(name: str, width: Fraction) -> None:
    mpmath.mp.dps = 40
    r = random.Random(f"{name}{width}")
    for _ in range(4):
        network = random_mlp(r, 2, [3, 3, 1], [name, name, "linear"])
        corner = [F(r.randint(-100, 100), 100) for _ in range(2)]
        box = tuple((c, c + width) for c in corner)
        with working_precision(128):
            jet = network.prepared()(coordinates(box))[0]
        for _ in range(6):
            point = [fraction(c + width * F(r.randint(1, 99), 100)) for c in corner]

            def f(a: mpmath.mpf, b: mpmath.mpf, network: Mlp = network) -> mpmath.mpf:
                return mp_value(network, [a, b])

            assert contains(jet.value, f(*point), 1e-30)
            for k, order in enumerate([(1, 0), (0, 1)]):
                assert contains(jet.gradient[k], mpmath.diff(f, tuple(point), order))
            if name != "relu":
                for k, order in enumerate([(2, 0), (1, 1), (0, 2)]):
                    assert contains(jet.hessian[k], mpmath.diff(f, tuple(point), order))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_refuse_nan_and_stay_exact_at_points(name: str) -> None:
    with working_precision(128):
        assert not FUNCTIONS[name](arb("nan"))[0].is_finite()
        value, slope, _ = FUNCTIONS[name](arb(0))
        assert value.is_exact() and value == (0.5 if name == "sigmoid" else 0)
        assert slope.contains(arb({"sigmoid": 0.25}.get(name, 1)))


def test_products_follow_leibniz() -> None:
    """x^2 y at (1, 2): gradient (2xy, x^2), Hessian (2y, 2x, 0); no Hessian at a point, nor from there on."""
    for width, order in ((F(0), 1), (F(1, 10**12), 2)):
        with working_precision(128):
            x, y = coordinates(((F(1), F(1) + width), (F(2), F(2) + width)))
            p = x * x * y
            assert [round(float(v.mid()), 9) for v in (p.value, *p.gradient, *p.hessian)] == [
                2,
                4,
                1,
                4,
                2,
                0,
            ][: 3 * order]
            slope = p.partial(0)
            assert round(float(slope.value.mid()), 9) == 4 and slope.hessian == ()
            assert [v.is_finite() for v in slope.gradient] == [order == 2] * 2


# The bisection: against functions whose least value is known.


def parabola(box: Any) -> list[Jet]:
    """(x - 1/3)^2 + (y + 1/7)^2 and its negative."""
    x, y = coordinates(box)
    a, b = x.shifted(arb(-1) / 3), y.shifted(arb(1) / 7)
    v = a * a + b * b
    return [v, -v]


def test_least_values_enclose_the_minimum() -> None:
    box = ((F(-1), F(1)), (F(-1), F(1)))
    with working_precision(128):

        def shifted(box: Any) -> list[Jet]:
            rising, falling = parabola(box)
            return [rising.shifted(arb(-1e-6)), falling.shifted(arb(4))]

        (low, high), _ = least_values(shifted, (False, False), [box])
    assert low.holds is False  # it is -1e-6 at the minimum
    assert high.holds is True and high.low is not None
    assert 0 <= float(high.low) <= 4 - (16 / 9 + 64 / 49) + 1e-9


def test_a_budget_that_ends_decides_nothing() -> None:
    box = ((F(-1), F(1)), (F(-1), F(1)))
    with working_precision(128):
        (least, _), looked = least_values(parabola, (True, True), [box], boxes=3)
    assert looked == 3 and least.holds is not True
    with working_precision(128):
        (least, _), _ = least_values(lambda b: [constant(arb("nan"), 2)] * 2, (False, False), [box], boxes=50)
    assert least.holds is None and least.check("c").holds is None and least.check("c").low is None


def test_no_cells_prove_nothing() -> None:
    (least,), _ = least_values(lambda b: [constant(arb(1), 2)], (False,), [])
    assert least.holds is None


def test_outside_covers_the_annulus() -> None:
    region, core = ((F(-1), F(2)),) * 3, ((F(0), F(1)), (F(0), F(1)), (F(-1, 2), F(1, 2)))
    cells = outside(region, core)
    r = random.Random(5)
    for _ in range(2000):
        x = [F(r.randint(-8, 16), 8) for _ in range(3)]
        inside_core = all(a < q < b for q, (a, b) in zip(x, core, strict=True))
        covered = any(all(a <= q <= b for q, (a, b) in zip(x, cell, strict=True)) for cell in cells)
        assert covered or inside_core
    with pytest.raises(ValueError, match="interior"):
        outside(region, (*core[:2], (F(-1), F(1))))


# The claims.


OWN = lyapunov_cases.double_integrator()
OWN_MUTATIONS: list[tuple[str, object, str]] = [
    ("claims/value/lower", "0.02", "V within its bounds"),
    ("claims/value/upper", "3", "V within its bounds"),
    ("claims/value_over_norm", "3/2", "V at least its multiple of |x - e|^2"),
    ("claims/decay", "9/10", "V' at most its multiple of V"),
    ("claims/rate", {"upper": "-1"}, "V' within its bounds"),
    ("claims/rate", {"lower": "-1/10"}, "V' within its bounds"),
    ("claims/gradient", [{"lower": "-1"}, {}], "gradient within its bounds"),
    ("claims/gradient", [{}, {"upper": "1"}], "gradient within its bounds"),
    ("region/upper/0", "5", "V within its bounds"),
    ("dynamics", ["x2", "-x1 + x2"], "V' < 0 on the region"),
    ("dynamics", "van_der_pol", "V' < 0 on the region"),
    ("V/network/weights/0/0/0", "-0.30618", "V' < 0 on the region"),
    ("V/network/weights/1/0/0", "0", "V > 0 on the region"),
    ("V/form", "squared", ""),
    ("V/quadratic", [["-9", "0"], ["0", "-9"]], "V > 0 on the region"),
    ("reference", ["1/2", "1/2"], "V > 0 on the region"),
    ("core", None, "V' < 0 on the region"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "condition"), OWN_MUTATIONS, ids=lambda v: str(v)[:40])
def test_mutations_of_our_own(path: str, value: object, condition: str) -> None:
    document = at(OWN, path, value)
    outcome = judged(document)
    if not condition:  # no bias: N(0) = 0, so the form is the same function
        assert outcome.verdict is Verdict.CERTIFIED
        return
    assert outcome.verdict is Verdict.REFUTED and outcome.code == "TLC021"
    assert any(f.name.startswith(condition) for f in outcome.failures), [f.name for f in outcome.failures]


TORCHLEAN_MUTATIONS: list[tuple[str, object, str]] = [
    ("V_bounds/lo", 1.52, "V within its bounds"),
    ("V_bounds/hi", 2.0, "V within its bounds"),
    ("V_bounds/guaranteed_positive", False, "flags agree with the bounds"),
    ("grad_bounds/lo", [0.9, 0.25], "gradient within its bounds"),
    ("grad_bounds/hi", [1.0, 0.5], "gradient within its bounds"),
    ("Vdot_bounds/lo", -1.0, "V' within its bounds"),
    ("Vdot_bounds/hi", -1.2, "V' within its bounds"),
    ("Vdot_bounds/guaranteed_negative", False, "flags agree with the bounds"),
    ("verification/lyapunov_verified", False, "flags agree with the bounds"),
    ("region/lo", [-0.5, -0.5], "V' < 0 on the region"),
    ("dynamics", "di", "V' within its bounds"),
    ("dynamics", "pendulum", "V' within its bounds"),
]


@pytest.mark.parametrize(("path", "value", "condition"), TORCHLEAN_MUTATIONS, ids=lambda v: str(v)[:40])
def test_mutations_of_torchleans(path: str, value: object, condition: str) -> None:
    outcome = torchleans(at(lyapunov_cases.torchlean(), path, value))
    assert outcome.verdict is Verdict.REFUTED and outcome.code == "TLC021"
    assert condition in {f.name for f in outcome.failures}


def test_flags_prove_nothing() -> None:
    """All flags true on false bounds: refuted; no flags: only the bounds are claimed, and the statement says so."""
    false = at(at(lyapunov_cases.torchlean(), "V_bounds/lo", 2.5), "V_bounds/hi", 2.6)
    assert torchleans(false).verdict is Verdict.REFUTED
    document = lyapunov_cases.torchlean()
    del (
        document["verification"],
        document["V_bounds"]["guaranteed_positive"],
        document["Vdot_bounds"]["guaranteed_negative"],
    )
    outcome = torchleans(document)
    assert outcome.verdict is Verdict.CERTIFIED
    assert (
        "V > 0 on the region" not in outcome.tallies and "flags agree with the bounds" not in outcome.tallies
    )


def test_both_notations_of_a_region() -> None:
    box = at(lyapunov_cases.torchlean(), "region", {"center": [0.75, 0.75], "eps": 0.25, "dim": "2"})
    box["input"] = box.pop("region")
    assert torchleans(box).verdict is Verdict.CERTIFIED


def test_names_in_the_statement(tmp_path: Path) -> None:
    document = lyapunov_cases.torchlean()
    (loaded,) = read_artifact(
        json.dumps(document).encode(),
        Files("x.json", lambda name: lyapunov_cases.encoded(lyapunov_cases.network())), Options(), "lyapunov-json",
    )  # fmt: skip
    assert "network.json" in loaded.sources
    statement = loaded.claim.statement  # type: ignore[union-attr]
    for part in (
        "V > 0",
        "V' < 0",
        "[0.5, 1] x [0.5, 1]",
        "x1' = -x1",
        "nothing about other points, nor about stability",
    ):
        assert part in statement
    del document["network"]
    with pytest.raises(InvalidInput, match="--model"):
        torchleans(document)
    model = tmp_path / "n.json"
    model.write_text(json.dumps(lyapunov_cases.network()))
    assert torchleans(document, options=Options(model=model)).verdict is Verdict.CERTIFIED


# Sine across its extrema: what end points and zero do not show.


@pytest.mark.parametrize("low", [k * 0.74 - 7 for k in range(19)])
def test_sine_ranges(low: float) -> None:
    """V = x2 along the pendulum without friction: V' = -9.81 sin(x1). The true range is certified, a narrower refuted."""
    high = low + 0.9
    grid = [math.sin(low + 0.9 * k / 1000) for k in range(1001)]
    peaks = [math.pi * (k + 0.5) for k in range(-4, 4)]
    extreme = [math.sin(p) for p in peaks if low <= p <= high]
    least, greatest = min(grid + extreme), max(grid + extreme)
    document = {
        "format": "tlcheck.lyapunov/1", "dynamics": ["x2", "-9.81*sin(x1)"],
        "region": {"lower": [repr(low), "0"], "upper": [repr(high), "1"]},
        "V": {"network": {"weights": [[["0", "1"]]], "biases": [["0"]], "activations": ["linear"]}},
    }  # fmt: skip

    def claim(shift: float) -> Verdict:
        ends = {"lower": repr(-9.81 * greatest - shift), "upper": repr(-9.81 * least + shift)}
        return judged({**document, "claims": {"rate": ends}}).verdict

    assert claim(1e-9) is Verdict.CERTIFIED
    assert claim(-1e-6) is Verdict.REFUTED


# Random claims against sampling in float64, by another implementation.


def np_candidate(net: Document, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, grad V) at points (m, n): reverse mode, written for this test."""
    values, slopes = x, []
    for w, b, name in zip(net["weights"], net["biases"], net["activations"], strict=True):
        z = values @ np.array(w, float).T + np.array(b, float)
        if name == "tanh":
            values, slope = np.tanh(z), 1 - np.tanh(z) ** 2
        elif name == "sin":
            values, slope = np.sin(z), np.cos(z)
        elif name == "relu":
            values, slope = np.maximum(z, 0), (z > 0) * 1.0
        else:
            values, slope = z, np.ones_like(z)
        slopes.append((np.array(w, float), slope))
    back = np.ones_like(values)
    for w, slope in reversed(slopes):
        back = (back * slope) @ w
    return values[:, 0], back


@pytest.mark.parametrize("seed", range(24))
def test_random_claims_against_sampling(seed: int) -> None:
    r = random.Random(seed)
    name = r.choice(["tanh", "tanh", "sin", "relu"])
    net = {
        "weights": [[[str(r.randint(-40, 40) / 32) for _ in range(2)] for _ in range(4)], [[str(r.randint(-40, 40) / 32) for _ in range(4)]]],
        "biases": [[str(r.randint(-32, 32) / 32) for _ in range(4)], ["0.5"]],
        "activations": [name, "linear"],
    }  # fmt: skip
    floats = {**net, "weights": [[[float(q) for q in row] for row in w] for w in net["weights"]],
              "biases": [[float(q) for q in b] for b in net["biases"]]}  # fmt: skip
    low = [r.randint(-8, 4) / 4 for _ in range(2)]
    high = [a + r.randint(1, 8) / 8 for a in low]
    grid = np.stack(
        np.meshgrid(*(np.linspace(a, b, 61) for a, b in zip(low, high, strict=True))), -1
    ).reshape(-1, 2)
    v, g = np_candidate(floats, grid)
    x1, x2 = grid.T
    rate = g[:, 0] * x2 + g[:, 1] * (np.sin(x1) * x2 - x1**3)
    samples = {"value": v, "rate": rate}
    claims: Document = {}
    least_shift = 1.0
    for key, values in samples.items():
        shift = r.choice([-0.01, 0.0, 0.2, 0.2, 0.2])
        claims[key] = {"lower": repr(float(values.min()) - shift), "upper": repr(float(values.max()) + shift)}
        least_shift = min(least_shift, shift)
    document = {
        "format": "tlcheck.lyapunov/1", "dynamics": ["x2", "sin(x1)*x2 - x1^3"],
        "region": {"lower": [str(a) for a in low], "upper": [str(b) for b in high]},
        "V": {"network": net}, "claims": claims,
    }  # fmt: skip
    (loaded,) = read_artifact(
        json.dumps(document).encode(), Files("x", lambda n: b""), Options(), "tlcheck.lyapunov"
    )
    claim: Any = loaded.claim
    outcome = decide_conditions(claim)
    span = max(float(np.ptp(v)), float(np.ptp(rate)))
    if outcome.verdict is Verdict.CERTIFIED:
        for key, values in samples.items():
            assert (
                values.min() >= float(claims[key]["lower"]) - 1e-9
                and values.max() <= float(claims[key]["upper"]) + 1e-9
            )
    elif outcome.verdict is Verdict.REFUTED:  # the witness, evaluated by the other implementation
        for failure in outcome.failures:
            if failure.holds is not False:
                continue
            point = [float(F(q)) for q in failure.where.rpartition("at (")[2].rstrip(")").split(", ")]
            vp, gp = np_candidate(floats, np.array([point]))
            rp = gp[0, 0] * point[1] + gp[0, 1] * (math.sin(point[0]) * point[1] - point[0] ** 3)
            key, value = ("rate", rp) if failure.name.startswith("V'") else ("value", float(vp[0]))
            ends = claims[key]
            slack = value - float(ends["lower"]) if "lower" in failure.where else float(ends["upper"]) - value
            assert slack <= 1e-9 * max(1, span)
            assert failure.high is not None and slack == pytest.approx(failure.high, abs=1e-9 * max(1, span))
    if least_shift < 0:
        assert outcome.verdict is Verdict.REFUTED
    elif least_shift > 0.1 and name != "relu":
        assert outcome.verdict is Verdict.CERTIFIED


# Two-stage bits.


def bits(values: list[float]) -> list[str]:
    return [str(struct.unpack("<I", struct.pack("<f", x))[0]) for x in values]


def two_stage() -> Document:
    """V = (1 - tanh(x2/2))^2, u = tanh(2): V'/V is about -2 tanh'(x2/2) (x2)' / 2 < -0.1 on the region."""
    return {
        "width": 1, "dtype": "float32", "format": "uint32-bits-as-decimal-strings",
        "wC": bits([0, 0]), "bC": bits([2]), "w1": bits([0, 0.5]), "b1": bits([0]), "w2": bits([-1]), "b2": bits([1]),
    }  # fmt: skip


def test_two_stage_bits(tmp_path: Path) -> None:
    path = tmp_path / "bits.json"
    path.write_text(json.dumps(two_stage()))
    assert artifact_format(path) == "two-stage-bits"
    (result,) = verify_path(path, Options()).claims
    assert result.verdict is Verdict.CERTIFIED
    assert "[-0.1, 0.1] x [-0.1, 0.1]" in result.statement


TWO_STAGE_MUTATIONS = [
    ("bC", bits([0]), "V' at most its multiple of V"),
    ("bC", bits([-2]), "V' at most its multiple of V"),
    ("w1", bits([0, -0.5]), "V' at most its multiple of V"),
    ("w2", bits([1]), "V' at most its multiple of V"),
    ("b2", bits([0]), "V at least its multiple of |x - e|^2"),
    ("b2", bits([0.05]), "V at least its multiple of |x - e|^2"),
    ("w1", bits([0, 0.05]), "V' at most its multiple of V"),
    ("wC", bits([200, 0]), "V' at most its multiple of V"),
]


@pytest.mark.parametrize(("field", "value", "condition"), TWO_STAGE_MUTATIONS, ids=lambda v: str(v)[:30])
def test_two_stage_mutations(field: str, value: object, condition: str) -> None:
    outcome = judged({**two_stage(), field: value}, format="two-stage-bits")
    assert outcome.verdict is Verdict.REFUTED
    assert condition in {f.name for f in outcome.failures}


def test_two_stage_without_offset_is_refuted_near_the_origin() -> None:
    """V = s^2 with s(0) = 0 vanishes along a line through the origin, where |x| does not: no such network has loss 0."""
    r = random.Random(2)
    document = {
        **two_stage(), "width": 50, "w1": bits([r.gauss(0, 0.3) for _ in range(100)]), "b1": bits([0.0] * 50),
        "w2": bits([r.gauss(0, 0.3) for _ in range(50)]), "b2": bits([0]),
    }  # fmt: skip
    outcome = judged(document, format="two-stage-bits")
    assert outcome.verdict is Verdict.REFUTED
    assert outcome.tallies["V at least its multiple of |x - e|^2"].disproved == 1


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("width", 2, "TLC101"), ("width", 0, "TLC101"), ("width", -1, "TLC101"), ("width", "1", "TLC101"),
        ("bC", ["4294967296"], "TLC101"), ("bC", ["-1"], "TLC101"), ("bC", ["1.0"], "TLC101"), ("bC", ["٣"], "TLC101"),
        ("bC", [1], "TLC101"), ("bC", bits([math.inf]), "TLC203"), ("bC", bits([math.nan]), "TLC203"), ("bC", [], "TLC101"),
        ("w1", bits([1]), "TLC101"), ("dtype", "float16", "TLC101"), ("format", "hex", "TLC101"), ("b2", None, "TLC101"),
    ],
)  # fmt: skip
def test_malformed_bits(field: str, value: object, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        judged({**two_stage(), field: value}, format="two-stage-bits")
    assert caught.value.code == code, caught.value.line()


# Hostile input.


MALFORMED_OWN: list[tuple[str, object, str]] = [
    ("region/lower/0", "nan", "TLC101"), ("region/lower/0", "1/0", "TLC101"), ("region/lower/0", 0.5, "TLC101"),
    ("region/lower/0", "2", "TLC101"), ("region/lower", [], "TLC101"), ("region/lower", ["0"], "TLC101"),
    ("region/lower", ["0"] * 3, "TLC101"), ("region/lower/0", "1e99999", "TLC401"), ("core/lower", ["0"], "TLC101"),
    ("core/lower/0", "-1", "TLC101"), ("core/lower/0", "1/2", "TLC101"), ("dynamics", "lorenz", "TLC101"),
    ("dynamics", ["x2"], "TLC101"), ("dynamics", ["x2", "u1"], "TLC101"), ("dynamics", ["x2", "x3"], "TLC101"),
    ("dynamics", ["x2", "x1 +"], "TLC101"), ("dynamics", [], "TLC101"), ("dynamics", ["x2", "9" * 4000 + "e4000"], "TLC401"), ("V/form", "norm", "TLC101"),
    ("V/form", "network", "TLC204"), ("V/quadratic", [["1"]], "TLC101"), ("V/quadratic", [["1", "0"]], "TLC204"),
    ("V/network/activations/0", "gelu", "TLC202"), ("V/network/activations", ["tanh"], "TLC204"),
    ("V/network/weights/0/0", ["1"], "TLC204"), ("V/network/weights/0/0/0", 1, "TLC101"),
    ("V/network/weights/0/0/0", "inf", "TLC101"), ("V/network/weights", [], "TLC204"),
    ("V/network", "../../etc/passwd", "TLC404"), ("claims", {}, "TLC101"), ("claims/decay", 1, "TLC101"),
    ("claims/gradient", [{}], "TLC101"), ("claims/stable", True, "TLC101"), ("reference", ["0"], "TLC101"),
    ("controller", {"network": 1}, "TLC101"), ("format", "tlcheck.lyapunov/2", "TLC101"), ("extra", 1, "TLC101"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "code"), MALFORMED_OWN, ids=lambda v: str(v)[:30])
def test_malformed_own(path: str, value: object, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        judged(at(OWN, path, value))
    assert caught.value.code == code, caught.value.line()


MALFORMED_TORCHLEAN: list[tuple[str, object, str]] = [
    ("dynamics", "lorenz", "TLC101"), ("dynamics", 1, "TLC101"), ("region", {"lo": [0.5, 0.5]}, "TLC101"),
    ("region", {"lo": [0.5, 0.5], "hi": [1, 1], "eps": 1}, "TLC101"), ("region", {"center": [1, 1], "eps": -1}, "TLC101"),
    ("region/dim", 3, "TLC101"), ("region/dim", "two", "TLC101"), ("region/lo", [0.5], "TLC101"),
    ("region/lo", [2.0, 0.5], "TLC101"), ("region/lo", [0.5, 0.5, 0.5], "TLC101"), ("input", {"lo": [0], "hi": [1]}, "TLC101"),
    ("gradient_bounds", {"lo": [0, 0], "hi": [1, 1]}, "TLC101"), ("grad_bounds", {"lo": [0], "hi": [1]}, "TLC101"),
    ("V_bounds", [1, 3], "TLC101"), ("V_bounds", {"lo": 1}, "TLC101"), ("V_bounds/lo", "one", "TLC101"),
    ("V_bounds/guaranteed_positive", 1, "TLC101"), ("verification", True, "TLC101"), ("network", 5, "TLC101"),
    ("network", "..", "TLC404"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "code"), MALFORMED_TORCHLEAN, ids=lambda v: str(v)[:30])
def test_malformed_torchleans(path: str, value: object, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        torchleans(at(lyapunov_cases.torchlean(), path, value))
    assert caught.value.code == code, caught.value.line()


@pytest.mark.parametrize(
    ("network", "code"),
    [
        ({"weights": [[[1.0]]], "biases": [[0]], "activations": ["tanh"]}, "TLC204"),
        ({"weights": [[[1, 1], [1, 1]]], "biases": [[0, 0]], "activations": ["tanh"]}, "TLC204"),
        ({"weights": [[[1, 1]]], "biases": [[0]], "activations": ["swish"]}, "TLC202"),
        ({"weights": [[[1, "x"]]], "biases": [[0]], "activations": ["tanh"]}, "TLC101"),
        ({"weights": [[[1, 1]], [[1]]], "biases": [[0]]}, "TLC204"),
        ({"weights": {}, "biases": []}, "TLC101"),
        ({}, "TLC201"),
        (7, "TLC101"),
    ],
)
def test_malformed_network(network: object, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        judged(lyapunov_cases.torchlean(), network, "lyapunov-json")
    assert caught.value.code == code, caught.value.line()


@pytest.mark.parametrize("format", ["tlcheck.lyapunov", "lyapunov-json", "two-stage-bits"])
def test_fuzz(format: str) -> None:
    documents = {
        "tlcheck.lyapunov": OWN,
        "lyapunov-json": lyapunov_cases.torchlean(),
        "two-stage-bits": two_stage(),
    }
    text = json.dumps(documents[format]).encode()
    network = json.dumps(lyapunov_cases.network()).encode()
    r = random.Random(format)
    seen: set[str] = set()
    for _ in range(300):
        data = bytearray(text)
        for _ in range(r.choice((1, 1, 2))):
            k = r.randrange(len(data))
            data[k : k + r.choice((0, 1, 3))] = r.choice(
                (b"", b"0", b"7", b"-", b'"', b"]", b"[1]", bytes([r.randrange(256)]))
            )
        try:
            read_artifact(bytes(data), Files("x", lambda name: network), Options(), format)
            seen.add("read")
        except InvalidInput as error:
            seen.add(error.code)
    assert {"read", "TLC101", "TLC106"} <= seen


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ("-1e4000", "1e-4000"),
        ("-" + "9" * 4000 + "e4000", "1e-4000"),
        ("1e300", "1e301"),
        ("-1e-4000", "1e4000"),
    ],
)
def test_huge_regions_do_not_crash(lower: str, upper: str) -> None:
    document = at(OWN, "region", {"lower": [lower, "-1"], "upper": [upper, "1"]})
    document["core"] = None
    (loaded,) = read_artifact(
        json.dumps(document).encode(), Files("x", lambda n: b""), Options(), "tlcheck.lyapunov"
    )
    claim: Any = loaded.claim
    assert len(claim.statement) < 1000
    assert decide_conditions(claim).verdict is not Verdict.CERTIFIED
