"""PINN boxes and data sets: golden verdicts, mutations, hostile input, and an independent oracle (mpmath, 50 digits)."""

from __future__ import annotations

import copy
import json
import random
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import pytest

from tests.helpers import CERTIFICATES, DATA, needs_data
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.artifacts import artifact_format, load_artifact, read_artifact
from tlcheck.readers.files import Files
from tlcheck.trusted.decide import ConditionsOutcome, decide_conditions
from tlcheck.trusted.verdict import Verdict
from tlcheck.verify import verify_path

sys.path.append(str(CERTIFICATES / "producers"))
import pinn_cases

Document = dict[str, Any]
DEFAULT = Options()
GOLDEN = DATA / "torchlean" / "PINN" / "pinn_cert.json"
CASES = list(pinn_cases.artifacts())


def no_files(name: str) -> bytes:
    raise InvalidInput("TLC402", "no such file")


def judged(document: Document, options: Options = DEFAULT) -> ConditionsOutcome:
    return judged_text(json.dumps(document).encode(), options)


def judged_text(data: bytes, options: Options = DEFAULT, format: str = "torchlean-pinn") -> ConditionsOutcome:
    (loaded,) = read_artifact(data, Files("x.json", no_files), options, format)
    claim: Any = loaded.claim
    return decide_conditions(claim, options.precision)


def exact(text: object, decimals: str) -> mpmath.mpf:
    q = Fraction(str(text)) if decimals == "exact" else Fraction(float(str(text)))
    return mpmath.mpf(q.numerator) / q.denominator


def oracle(document: Document, decimals: str) -> Callable[[mpmath.mpf], mpmath.mpf]:
    """The file's tanh network at 50 digits, by another library."""
    w = document["model"]["weights"]

    def row(weights: list[Any], bias: Any, x: list[mpmath.mpf]) -> mpmath.mpf:
        products = (exact(a, decimals) * b for a, b in zip(weights, x, strict=True))
        return sum(products, exact(bias, decimals))

    def u(x: mpmath.mpf) -> mpmath.mpf:
        first = [mpmath.tanh(row(r, b, [x])) for r, b in zip(w["W1"], w["b1"], strict=True)]
        middle = [mpmath.tanh(row(r, b, first)) for r, b in zip(w["Wm"], w["bm"], strict=True)]
        return row(w["W2"][0], w["b2"][0], middle)

    return u


@needs_data
@pytest.mark.parametrize(
    ("decimals", "inward", "worst"), [("format", 9, 2.8213e-16), ("exact", 8, 2.8560e-16)]
)
def test_golden_value_boxes(decimals: str, inward: int, worst: float) -> None:
    """9 of 18 ends inward, as the reference has it. It gives 2.9e-16 as the worst deficit: that is 2.86e-16, the worst with
    exact decimals; with binary64 it is 2.82e-16. mpmath agrees with every one of the 18, in either reading."""
    mpmath.mp.dps = 50
    document = json.loads(GOLDEN.read_text(), parse_float=str)
    u, p = oracle(document, decimals), document["pinn"]
    h, eps = exact(p["h"], decimals), exact(p["eps"], decimals)
    slacks = []
    for x, boxes in zip((exact(x, decimals) for x in p["points"]), document["u_bounds"], strict=True):
        for centre, name in ((x - h, "u_minus"), (x, "u"), (x + h, "u_plus")):
            slacks += [
                u(centre - eps) - exact(boxes[name]["lo"], decimals),  # u rises: every weight is positive
                exact(boxes[name]["hi"], decimals) - u(centre + eps),
            ]
    options = Options(decimals=decimals)
    outcome = judged_text(GOLDEN.read_bytes(), options)
    tally = outcome.tallies["value within its box"]
    assert outcome.verdict is Verdict.REFUTED and outcome.code == "TLC021"
    assert (tally.total, tally.proved, tally.disproved) == (18, 18 - inward, inward)
    assert sum(s < 0 for s in slacks) == inward and tally.least is not None and tally.least.low is not None
    assert tally.least.low == pytest.approx(float(min(slacks)), rel=1e-14)
    assert -min(slacks) == pytest.approx(worst, rel=1e-4)
    found = sorted(f.low for f in outcome.failures if f.name == "value within its box" and f.low is not None)
    assert found == pytest.approx(sorted(float(s) for s in slacks if s < 0), rel=1e-13)


@needs_data
def test_golden_residual_is_enclosed() -> None:
    outcome = judged_text(GOLDEN.read_bytes())
    tally = outcome.tallies["residual within its box"]
    assert (tally.total, tally.proved) == (6, 6)
    assert outcome.measures["weights_are_torchleans"] is True
    assert outcome.measures["decimals"] == "nearest binary64"
    (loaded,) = load_artifact(GOLDEN, Options(), "torchlean-pinn")
    assert "nothing about solving the equation" in loaded.claim.statement  # type: ignore[union-attr]


@needs_data
def test_golden_difference_quotients_against_exact_arithmetic() -> None:
    """Inward by at most 6.8e-12, which is 2.8e-16 / h^2 and more: as interval arithmetic on the exact ranges gives it."""
    outcome = judged_text(GOLDEN.read_bytes())
    tally = outcome.tallies["difference quotient within its box"]
    assert (tally.total, tally.disproved) == (6, 3)
    assert tally.least is not None and tally.least.low == pytest.approx(-6.7506e-12, rel=1e-4)


@needs_data
def test_golden_certifies_when_rounded_outwards() -> None:
    document = json.loads(GOLDEN.read_text())
    for boxes in document["u_bounds"]:
        for name in ("u_minus", "u", "u_plus"):
            boxes[name] = {"lo": boxes[name]["lo"] - 1e-15, "hi": boxes[name]["hi"] + 1e-15}
    quotients = document["residual_bounds"]
    quotients["lo"] = [x - 1e-11 for x in quotients["lo"]]
    quotients["hi"] = [x + 1e-11 for x in quotients["hi"]]
    assert judged(document).verdict is Verdict.CERTIFIED


@pytest.mark.parametrize(
    ("group", "name", "files", "exit_code", "code", "note"), CASES, ids=[c[1] for c in CASES]
)
def test_made_cases(
    group: str, name: str, files: dict[str, bytes], exit_code: int, code: str, note: str, tmp_path: Path
) -> None:
    path = tmp_path / pinn_cases.ARTIFACT
    path.write_bytes(files[pinn_cases.ARTIFACT])
    assert artifact_format(path) == "torchlean-pinn"
    if exit_code == 3:
        with pytest.raises(InvalidInput) as caught:
            load_artifact(path, Options(), "torchlean-pinn")
        assert caught.value.code == code and "\n" not in caught.value.line()
    else:
        (result,) = verify_path(path, Options()).claims
        assert result.reason.code == code


def at(document: Document, path: tuple[Any, ...], value: object) -> Document:
    new = copy.deepcopy(document)
    inner = new
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return new


U = ("u_bounds", 0)
MUTATIONS: list[tuple[tuple[Any, ...], object, str]] = [
    ((*U, "u_minus", "lo"), 0.3071, "value within its box"),
    ((*U, "u", "hi"), 0.7059, "value within its box"),
    ((*U, "u_plus"), {"lo": 0.816, "hi": 0.584}, "value within its box"),
    ((*U, "u_plus"), {"lo": -0.816, "hi": -0.584}, "value within its box"),
    ((*U, "x"), 0.5000000001, "boxes name the listed point"),
    (("residual_bounds", "lo"), [-30.0], "difference quotient within its box"),
    (("residual_bounds", "hi"), [30.0], "difference quotient within its box"),
    (("residual_bounds_deriv", "lo"), [-1.5], "residual within its box"),
    (("residual_bounds_deriv", "hi"), [-1.5], "residual within its box"),
    (("pinn", "pde"), "uxx - u^2 - ux", "residual within its box"),
    (("pinn", "pde"), "uxx + u^2 - 2*ux", "residual within its box"),
    (("pinn", "h"), 0.0625, "value within its box"),
    (("pinn", "eps"), 0.25, "value within its box"),
    (("model", "weights", "W1"), [[0.5], [1.01]], "value within its box"),
    (("model", "weights", "b2"), [0.01], "value within its box"),
    (("model", "activations"), ["sigmoid", "linear"], "value within its box"),
]


@pytest.mark.parametrize(("path", "value", "condition"), MUTATIONS, ids=lambda v: str(v)[:40])
def test_mutations_are_refuted_by_name(path: tuple[Any, ...], value: object, condition: str) -> None:
    outcome = judged(at(pinn_cases.certificate(), path, value))
    assert outcome.verdict is Verdict.REFUTED and outcome.code == "TLC021"
    assert condition in {f.name for f in outcome.failures}


def test_a_wider_box_stays_certified() -> None:
    wide = at(pinn_cases.certificate(), (*U, "u"), {"lo": "-1e3", "hi": 1e300})
    assert judged(wide).verdict is Verdict.CERTIFIED


def test_the_range_of_a_network_that_is_not_monotone() -> None:
    """A network with an extremum inside the interval: an upper end just above it is certified, just below refuted."""
    document = at(pinn_cases.certificate(), ("model", "weights"), {
        "W1": [[4.0], [8.0]], "b1": [0.0, 0.0], "Wm": [[1.0, 0.0], [0.0, 1.0]], "bm": [0.0, 0.0],
        "W2": [[-1.0, 0.75]], "b2": [0.0],
    })  # fmt: skip
    document["model"]["activations"] = ["tanh", "tanh"]
    document["pinn"] |= {"points": [0.125], "h": 0.0625, "eps": 0.125, "pde": "u"}
    mpmath.mp.dps = 30
    u = oracle(document, "format")
    values = [u(mpmath.mpf(k) / 8000) for k in range(2001)]
    peak = max(values)
    assert peak > max(values[0], values[-1]) + mpmath.mpf("0.01")
    for shift, holds in ((1e-6, True), (-1e-9, False)):
        document["u_bounds"][0] = {
            "x": 0.125, "u_minus": {"lo": -9, "hi": 9}, "u": {"lo": -9, "hi": float(peak) + shift}, "u_plus": {"lo": -9, "hi": 9},
        }  # fmt: skip
        document["residual_bounds"] = {"lo": [-1e9], "hi": [1e9]}
        document["residual_bounds_deriv"] = {"lo": [-9], "hi": [float(peak) + shift]}
        outcome = judged(document)
        assert outcome.verdict is (Verdict.CERTIFIED if holds else Verdict.REFUTED)


def test_a_relu_network_has_no_second_derivative_at_its_kink() -> None:
    document = at(pinn_cases.certificate(), ("model", "activations"), ["relu", "linear"])
    document["model"]["weights"]["b1"] = [-0.25, 0.0]
    outcome = judged(document)
    assert outcome.tallies["residual within its box"].proved == 0
    assert outcome.verdict is not Verdict.CERTIFIED


def test_random_boxes_against_sampling() -> None:
    """A certified box never excludes a sampled value; a refuted one is never a millionth wider than the samples'."""
    mpmath.mp.dps = 30
    r = random.Random(8)
    seen = set()
    for _ in range(25):
        document = pinn_cases.certificate()
        w = document["model"]["weights"]
        document["model"]["activations"] = ["tanh", "tanh"]
        for name, rows, columns in (("W1", 2, 1), ("Wm", 2, 2), ("W2", 1, 2)):
            w[name] = [[r.uniform(-3, 3) for _ in range(columns)] for _ in range(rows)]
        w["b1"], w["bm"] = [[r.uniform(-1, 1), r.uniform(-1, 1)] for _ in range(2)]
        u = oracle(document, "format")
        values = [float(u(mpmath.mpf(0.375 + k / 400))) for k in range(101)]
        low, high = min(values) - r.choice((0, -1e-4, 1e-4)), max(values) + r.choice((0, -1e-4, 1e-4))
        document["u_bounds"][0]["u"] = {"lo": low, "hi": high}
        for name in ("u_minus", "u_plus"):
            document["u_bounds"][0][name] = {"lo": -99, "hi": 99}
        document["residual_bounds"], document["residual_bounds_deriv"] = (
            {"lo": [-1e6], "hi": [1e6]} for _ in range(2)
        )
        verdict = judged(document).verdict
        seen.add(verdict)
        inside = low <= min(values) and max(values) <= high
        if verdict is Verdict.CERTIFIED:
            assert inside
        elif verdict is Verdict.REFUTED:
            assert not (low <= min(values) - 5e-5 and max(values) + 5e-5 <= high)
    assert {Verdict.CERTIFIED, Verdict.REFUTED} <= seen


MALFORMED: list[tuple[str, str, str]] = [
    ('"h": 0.125', '"h": NaN', "TLC106"),
    ('"h": 0.125', '"h": 1e999', "TLC106"),
    ('"h": 0.125', '"h": "1e999"', "TLC106"),
    ('"h": 0.125', '"h": "Infinity"', "TLC101"),
    ('"h": 0.125', '"h": "0x1p3"', "TLC101"),
    ('"h": 0.125', '"h": true', "TLC101"),
    ('"h": 0.125', '"h": null', "TLC101"),
    ('"h": 0.125', '"h": [1]', "TLC101"),
    ('"h": 0.125', '"h": ""', "TLC101"),
    ('"h": 0.125', '"h": 0.125, "h": 0.125', "TLC106"),
    ('"h": 0.125', '"h": 1e-400', "TLC101"),
    ('"h": 0.125', '"H": 0.125', "TLC101"),
    ('"eps": 0.125', '"eps": -0.125', "TLC101"),
    ('"points": [\n   0.5\n  ]', '"points": []', "TLC101"),
    ('"points": [\n   0.5\n  ]', '"points": [0.5, 0.75]', "TLC101"),
    ('"lo": [\n   -33.5\n  ]', '"lo": []', "TLC101"),
    ('"uxx + u^2 - ux"', '"uyy"', "TLC101"),
    ('"uxx + u^2 - ux"', "\"u''(x) = 0\"", "TLC101"),
    ('"uxx + u^2 - ux"', '"u^999999999"', "TLC401"),
    ('"uxx + u^2 - ux"', '"' + "(" * 5000 + '"', "TLC401"),
    ('"arch": [\n   1,', '"arch": [\n   2,', "TLC204"),
    ('"tanh",', '"gelu",', "TLC202"),
    ('"tanh",', '"tanh", "tanh",', "TLC204"),
    ('"b2": [\n    0.0\n   ]', '"b2": []', "TLC204"),
    ('"model"', '"modell"', "TLC101"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "code"), MALFORMED, ids=lambda v: str(v)[:30])
def test_malformed(old: str, new: str, code: str) -> None:
    text = pinn_cases.encoded(pinn_cases.certificate()).decode()
    assert old in text
    with pytest.raises(InvalidInput) as caught:
        judged_text(text.replace(old, new, 1).encode())
    assert caught.value.code == code, caught.value.line()


def test_fuzz() -> None:
    """Bytes changed at random: a claim that can be judged, or InvalidInput."""
    r = random.Random(3)
    text = pinn_cases.encoded(pinn_cases.certificate())
    outcomes = set()
    for _ in range(600):
        data = bytearray(text)
        for _ in range(r.choice((1, 1, 2, 5))):
            k = r.randrange(len(data))
            data[k : k + r.choice((0, 1, 1, 3))] = r.choice(
                (b"", b"0", b"9", b"-", b"e", b'"', b"{", b"[1]", bytes([r.randrange(256)]))
            )
        try:
            outcomes.add(judged_text(bytes(data)).verdict)
        except InvalidInput as error:
            outcomes.add(error.code)
    assert "TLC106" in outcomes and "TLC101" in outcomes


# Data sets.

WEIGHTS = {
    "layers.0.weight": [[1.0, 0.5]],
    "layers.0.bias": [0.0],
    "layers.2.weight": [[2.0]],
    "layers.2.bias": [0.25],
}
ROWS = {
    "collocation": [],
    "initial": [{"x": 0.0, "t": 0.0, "u": 0.25}],
    "data": [{"x": 0.5, "y": 0.0, "u": 1.17}],
}


def data_set(tmp_path: Path, rows: object = ROWS, weights: object = WEIGHTS, slack: str = "1/100") -> Verdict:
    model, data = tmp_path / "w.json", tmp_path / "d.json"
    model.write_text(json.dumps(weights))
    data.write_text(json.dumps(rows))
    assert artifact_format(data) == "torchlean-pinn-data"
    (loaded,) = load_artifact(data, Options(model=model, slack=Fraction(slack)), "torchlean-pinn-data")
    assert {"artifact", "model"} <= loaded.sources.keys()
    return decide_conditions(loaded.claim).verdict  # type: ignore[arg-type]


def test_data_set(tmp_path: Path) -> None:
    """u(1/2, 0) = 2 tanh(1/2) + 1/4 = 1.17423...; the first datum is met exactly."""
    assert data_set(tmp_path) is Verdict.CERTIFIED
    assert data_set(tmp_path, slack="0.0042") is Verdict.REFUTED
    assert data_set(tmp_path, {**ROWS, "data": []}, slack="0") is Verdict.CERTIFIED
    assert data_set(tmp_path, slack="0") is Verdict.REFUTED
    assert data_set(tmp_path, weights={"params": WEIGHTS, "meta": {"activation": "siren"}}) is Verdict.REFUTED
    assert data_set(tmp_path, weights={**WEIGHTS, "layers.2.bias": [0.26]}) is Verdict.REFUTED
    lists = {"weights": [[[1.0, 0.5]], [[2.0]]], "biases": [[0.0], [0.25]], "activations": ["tanh", "none"]}
    assert data_set(tmp_path, weights=lists) is Verdict.CERTIFIED


@pytest.mark.parametrize(
    ("rows", "weights", "code"),
    [
        ({**ROWS, "data": [{"x": 0.5, "u": 1}]}, WEIGHTS, "TLC101"),
        ({**ROWS, "data": [{"x": 0.5, "y": 0, "t": 0, "u": 1}]}, WEIGHTS, "TLC101"),
        ({**ROWS, "data": [{"x": 0.5, "y": None, "u": 1}]}, WEIGHTS, "TLC101"),
        ({**ROWS, "data": [{"x": 0.5, "y": 0}]}, WEIGHTS, "TLC101"),
        ({"collocation": [], "data": []}, WEIGHTS, "TLC101"),
        (ROWS, {**WEIGHTS, "layers.2.bias": [0.25, 1]}, "TLC204"),
        (ROWS, {**WEIGHTS, "layers.2.weight": [[2.0, 1.0]]}, "TLC204"),
        (ROWS, {**WEIGHTS, "layers.2.weight": [[2.0], [1.0]], "layers.2.bias": [0, 0]}, "TLC204"),
        (ROWS, {**WEIGHTS, "layers.2.weight": [[]]}, "TLC204"),
        (ROWS, {**WEIGHTS, "layers.00.bias": [0]}, "TLC101"),
        (ROWS, {**WEIGHTS, "meta": {"activation": "gelu"}}, "TLC202"),
        (ROWS, {**WEIGHTS, "layers.3.bias": [0]}, "TLC201"),
        (ROWS, {**WEIGHTS, "layers.2.bias": "x"}, "TLC101"),
        (ROWS, {"x": 1}, "TLC201"),
        (ROWS, [], "TLC101"),
    ],
)  # fmt: skip
def test_malformed_data_set(tmp_path: Path, rows: object, weights: object, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        data_set(tmp_path, rows, weights)
    assert caught.value.code == code, caught.value.line()


@needs_data
def test_bundled_data_set_needs_a_model() -> None:
    path = DATA / "torchlean" / "PINN" / "sample_dataset_1d.json"
    assert artifact_format(path) == "torchlean-pinn-data"
    with pytest.raises(InvalidInput, match="--model"):
        load_artifact(path, Options(), "torchlean-pinn-data")
