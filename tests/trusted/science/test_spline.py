"""Splines: exact verdicts over the rationals, distances to networks, and what every mutation is called."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Callable
from fractions import Fraction as F
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import DATA, REPOSITORY, needs_data
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.artifacts import artifact_format, load_artifact
from tlcheck.readers.files import Files
from tlcheck.readers.torchlean import spline
from tlcheck.trusted.calculus.polynomial import evaluate, negative_point, odd_part
from tlcheck.trusted.decide import ConditionsOutcome, decide_conditions
from tlcheck.trusted.verdict import Verdict
from tlcheck.verify import verify_path

GOLDEN = DATA / "torchlean" / "Splines" / "piecewise_linear_cert.json"
Document = dict[str, Any]

LINES: Document = {
    "format": "piecewise_poly_v0", "degree": 1, "xs": ["0", "1", "3"], "ys": ["0", "1", "-1/3"],
    "pieces": [{"lo": "0", "hi": "1", "coeffs": ["0", "1"]}, {"lo": "1", "hi": "3", "coeffs": ["1", "-2/3"]}],
}  # fmt: skip
CUBIC: Document = {
    "format": "tlcheck.spline/1", "knots": ["0", "1", "3/2"], "pieces": [["0", "0", "1"], ["1", "2", "1"]],
    "values": ["0", "1", "9/4"], "smooth": 2, "monotone": "increasing", "convex": "convex", "range": ["0", "9/4"],
}  # fmt: skip


def load(document: Any, kind: str = "tlcheck.spline", network: Any = None, **options: Any) -> Any:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()

    def read(name: str) -> bytes:
        if network is None:
            raise InvalidInput("TLC402", "no such file")
        return json.dumps(network).encode()

    return spline.load(data, Files("x.json", read), Options(**options), kind)[0].claim


def judge(
    document: Any, kind: str = "tlcheck.spline", network: Any = None, **options: Any
) -> ConditionsOutcome:
    return decide_conditions(load(document, kind, network, **options))


def spoiled(document: Document, *path: Any, to: Any) -> Document:
    """A copy with one entry replaced."""
    copy: Document = json.loads(json.dumps(document))
    at: Any = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = to
    return copy


# Golden rows, TORCHLEAN.md 1.15.


@needs_data
def test_the_bundled_spline_is_accepted_with_every_equality_exact() -> None:
    assert artifact_format(GOLDEN) == "torchlean-spline"
    claim = load_artifact(GOLDEN, Options(), "torchlean-spline")[0].claim
    outcome = decide_conditions(claim)
    assert outcome.verdict is Verdict.CERTIFIED and outcome.least is not None and outcome.least.low == 0
    assert "nothing about one" in claim.statement
    assert verify_path(GOLDEN, Options()).claims[0].verdict is Verdict.CERTIFIED


def test_lines() -> None:
    assert judge(LINES, "torchlean-spline").verdict is Verdict.CERTIFIED
    assert judge({**LINES, "degree": "1", "more": 3}, "torchlean-spline").verdict is Verdict.CERTIFIED


@pytest.mark.parametrize(
    ("path", "to", "name"),
    [
        (("xs", 1), "2", "upper end of a piece"),
        (("ys", 1), "1/2", "interpolation"),
        (("ys", 2), "-333333333333333333333/1000000000000000000000", "interpolation"),
        (("pieces", 0, "coeffs", 1), "2", "interpolation"),
        (("pieces", 1, "coeffs", 0), "0", "interpolation"),
        (("pieces", 1, "lo"), "2", "lower end of a piece"),
        (("pieces", 1, "hi"), "2", "upper end of a piece"),
        (("xs",), ["0", "1", "1"], "increasing knots"),
        (("xs",), ["1", "0", "3"], "increasing knots"),
    ],
)
def test_what_a_changed_number_is_called(path: tuple[Any, ...], to: Any, name: str) -> None:
    outcome = judge(spoiled(LINES, *path, to=to), "torchlean-spline")
    assert outcome.verdict is Verdict.REFUTED and outcome.code == "TLC021"
    assert name in {failure.name for failure in outcome.failures}


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("degree",), 2), (("degree",), -1), (("degree",), 10**6), (("degree",), "x"), (("xs",), ["0", "1"]),
        (("ys",), ["0", "1"]), (("pieces",), []), (("pieces", 0, "coeffs"), ["0"]), (("xs", 0), 0), (("xs", 0), "0.0"),
        (("xs", 0), "1/0"), (("xs", 0), "1/-2"), (("ys", 0), "nan"), (("ys", 0), None), (("ys", 0), "1e9"), (("xs",), ["0"]),
        (("xs", 0), "9" * 5000), (("pieces",), {"lo": "0"}),
    ],
)  # fmt: skip
def test_malformed_lines_are_invalid(path: tuple[Any, ...], to: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        load(spoiled(LINES, *path, to=to), "torchlean-spline")
    assert error.value.code in ("TLC101", "TLC401")


# Our own format.


def test_a_parabola_is_all_that_it_claims() -> None:
    outcome = judge(CUBIC)
    assert outcome.verdict is Verdict.CERTIFIED
    assert set(outcome.tallies) >= {
        "monotone",
        "curvature",
        "not constant",
        "join of order 2",
        "slopes at the knots",
    }


@pytest.mark.parametrize(
    ("changes", "name", "where"),
    [
        ({"monotone": "decreasing"}, "monotone", "piece 0, x = 1"),
        ({"convex": "concave"}, "curvature", "piece 0, x = 0"),
        ({"range": ["0", "2"]}, "upper end of the range", "piece 1, x = 3/2"),
        ({"range": ["1/1000000", "9/4"]}, "lower end of the range", "piece 0, x = 0"),
        ({"values": ["0", "1", "2"]}, "interpolation", "piece 1 at knot 2"),
        ({"pieces": [["0", "0", "1"], ["1", "2.0000000000000001", "1"]]}, "join of order 1", "knot 1"),
        ({"pieces": [["0", "0", "1"], ["1", "2", "1.0001"]]}, "join of order 2", "knot 1"),
        ({"pieces": [["0", "0", "1"], ["0.9", "2", "1"]]}, "join of order 0", "knot 1"),
        ({"pieces": [["0", "0", "1"], ["1"]]}, "not constant", "piece 1"),
        ({"pieces": [["0", "2"], ["2", "1"]]}, "slopes at the knots", "knot 1"),
        ({"knots": ["0", "1", "1"]}, "increasing knots", "piece 1"),
        ({"smooth": 2, "pieces": [["0", "0", "1"], ["1", "2"]]}, "join of order 2", "knot 1"),
    ],
)
def test_each_false_claim_is_refuted_by_name_and_place(changes: Document, name: str, where: str) -> None:
    outcome = judge({**CUBIC, **changes})
    assert outcome.verdict is Verdict.REFUTED
    assert (name, where) in {(failure.name, failure.where) for failure in outcome.failures}


@pytest.mark.parametrize(
    "changes",
    [
        {"pieces": [["0"]]}, {"pieces": [[], ["1"]]}, {"values": ["0"]}, {"smooth": -1}, {"monotone": "up"}, {"range": ["0"]},
        {"extra": 1}, {"knots": ["0", "1", "inf"]}, {"knots": [0, 1, 2]}, {"smooth": 101}, {"smooth": 1.5},
        {"pieces": [["0"] * 200, ["1"]]}, {"format": "tlcheck.spline/2"}, {"distance": {"network": "n"}},
        {"knots": ["0", "1", "1e5000"]}, {"convex": True},
    ],
)  # fmt: skip
def test_malformed_documents_are_invalid(changes: Document) -> None:
    with pytest.raises(InvalidInput) as error:
        load({**CUBIC, **changes})
    assert error.value.code in ("TLC101", "TLC401")


def test_duplicate_keys_and_nan_are_refused() -> None:
    text = json.dumps(CUBIC)
    for bad in (
        text.replace('"smooth"', '"smooth": 1, "smooth"'),
        text.replace("2,", "NaN,"),
        text[:-1],
        "[]",
        "3",
    ):
        with pytest.raises(InvalidInput):
            load(bad.encode())


def test_numbers_of_any_size_do_not_crash() -> None:
    huge = {**CUBIC, "range": ["-1e4000", "1e4000"], "knots": ["0", "1e-400", "1e400"], "values": None}
    assert judge(huge).verdict is Verdict.REFUTED
    assert load(huge).statement
    with pytest.raises(InvalidInput, match="too long"):
        load({**huge, "knots": ["0", "1e-4000", "1e4000"]})


def test_hostile_bytes_end_in_a_claim_or_one_error() -> None:
    chance = random.Random(5)
    for document, kind in ((CUBIC, "tlcheck.spline"), (LINES, "torchlean-spline")):
        text = json.dumps(document).encode()
        for _ in range(400):
            data = bytearray(text)
            for _ in range(chance.randint(1, 3)):
                data[chance.randrange(len(data))] = chance.choice(b'0123456789-/.e"[]{},:x\x00\xff')
            try:
                decide_conditions(load(bytes(data), kind))
            except InvalidInput as error:
                assert error.code in ("TLC101", "TLC106", "TLC401")


# Signs of polynomials, against known roots.


def product(*factors: list[F]) -> list[F]:
    result = [F(1)]
    for factor in factors:
        made = [F(0)] * (len(result) + len(factor) - 1)
        for i, a in enumerate(result):
            for j, b in enumerate(factor):
                made[i + j] += a * b
        result = made
    return result


def test_the_sign_of_a_polynomial_with_known_roots() -> None:
    chance = random.Random(1)
    for _ in range(600):
        roots = [
            (F(chance.randint(-8, 24), chance.choice([1, 2, 3, 7, 16])), chance.randint(1, 4))
            for _ in range(chance.randint(0, 4))
        ]
        factors = [[-r, F(1)] for r, order in roots for _ in range(order)]
        p = product(
            [F(chance.choice([1, -1, 3]), 7)], *factors, *[[F(1), F(-1), F(1)]] * chance.randint(0, 1)
        )
        width = F(chance.randint(1, 9), chance.randint(1, 4))
        marks = sorted({F(0), width, *(r for r, _ in roots if 0 < r < width)})
        between = [(a + b) / 2 for a, b in zip(marks, marks[1:], strict=False)]
        truth = any(evaluate(p, x) < 0 for x in [*between, F(0), width])
        found = negative_point(p, width)
        assert (found is not None) == truth
        assert found is None or (0 <= found <= width and evaluate(p, found) < 0)


def test_roots_closer_than_any_double() -> None:
    """(x - a)(x - b) is negative only between two roots 1e-60 apart; with a = b, nowhere."""
    a = F(1, 3)
    b = a + F(1, 10**60)
    found = negative_point(product([-a, F(1)], [-b, F(1)]), F(1))
    assert found is not None and a < found < b
    assert negative_point(product([-a, F(1)], [-a, F(1)]), F(1)) is None
    assert negative_point(product(*[[-a, F(1)]] * 40), F(1)) is None
    assert negative_point(product(*[[-a, F(1)]] * 41), F(1)) is not None
    assert negative_point([F(0)], F(1)) is None and negative_point([], F(1)) is None


def test_the_odd_part_keeps_the_sign() -> None:
    q = [int(c) for c in product([F(-1), F(1)], [F(-1), F(1)], [F(-2), F(1)], [F(-1)])]
    assert odd_part(q) == [2, -1]


def test_proved_shapes_hold_at_sampled_points() -> None:
    chance = random.Random(2)
    seen = set()
    for _ in range(300):
        coefficients = [F(chance.randint(-6, 6), chance.randint(1, 4)) for _ in range(chance.randint(1, 6))]
        convex, monotone = (
            chance.choice(["convex", "concave"]),
            chance.choice(["nondecreasing", "nonincreasing"]),
        )
        least, most = F(chance.randint(-20, 0)), F(chance.randint(0, 20))
        outcome = judge(
            {
                "format": "tlcheck.spline/1", "knots": ["0", "1"], "pieces": [[str(c) for c in coefficients]],
                "convex": convex, "monotone": monotone, "range": [str(least), str(most)],
            }
        )  # fmt: skip
        assert outcome.verdict is not Verdict.UNPROVEN
        values = [evaluate(coefficients, F(k, 64)) for k in range(65)]
        steps = [b - a for a, b in zip(values, values[1:], strict=False)]
        bends = [b - a for a, b in zip(steps, steps[1:], strict=False)]
        up, bent = 1 if monotone == "nondecreasing" else -1, 1 if convex == "convex" else -1
        tallies = outcome.tallies
        if tallies["monotone"].proved:
            assert all(up * s >= 0 for s in steps)
        if tallies["curvature"].proved:
            assert all(bent * b >= 0 for b in bends)
        if tallies["lower end of the range"].proved:
            assert min(values) >= least
        if tallies["upper end of the range"].proved:
            assert max(values) <= most
        seen |= {(name, tally.proved) for name, tally in tallies.items()}
    assert {("monotone", 0), ("monotone", 1), ("curvature", 0), ("curvature", 1)} <= seen


# Distance to a network.


def network(activation: str, *sizes: int, seed: int = 0) -> Document:
    rng = np.random.default_rng(seed)
    made: Document = {"meta": {"activation": activation}}
    for k, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False)):
        made[f"layers.{k}.weight"] = rng.normal(0, n**-0.5, (m, n)).round(4).tolist()
        made[f"layers.{k}.bias"] = rng.normal(0, 0.5, m).round(4).tolist()
    return made


def values_of(net: Document, xs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    f: Callable[..., Any] = {"tanh": np.tanh, "sin": np.sin, "relu": lambda z: np.maximum(z, 0)}[
        net["meta"]["activation"]
    ]
    count = sum(key.endswith("weight") for key in net)
    v = xs[None, :]
    for k in range(count):
        v = np.array(net[f"layers.{k}.weight"]) @ v + np.array(net[f"layers.{k}.bias"])[:, None]
        v = f(v) if k < count - 1 else v
    return np.asarray(v[0])


def follower(net: Document, pieces: int) -> tuple[Document, float]:
    """A continuous cubic spline near the network, and their distance by dense sampling."""
    knots = [F(k, pieces) for k in range(pieces + 1)]
    at = [F(repr(float(v))) for v in values_of(net, np.array([float(x) for x in knots]))]
    coefficients, sup = [], 0.0
    for k in range(pieces):
        h = F(1, pieces)
        ts = np.linspace(0, float(h), 4)
        fit = np.linalg.solve(np.vander(ts, 4, increasing=True), values_of(net, float(knots[k]) + ts))
        own = [at[k], F(round(fit[1] * 10**9), 10**9), F(round(fit[2] * 10**9), 10**9)]
        own.append((at[k + 1] - evaluate(own, h)) / h**3)
        coefficients.append([str(c) for c in own])
        ts = np.linspace(0, float(h), 400)
        p = np.polynomial.polynomial.polyval(ts, [float(c) for c in own])
        sup = max(sup, float(np.abs(p - values_of(net, float(knots[k]) + ts)).max()))
    return {"format": "tlcheck.spline/1", "knots": [str(x) for x in knots], "pieces": coefficients}, sup


@pytest.mark.parametrize(
    ("activation", "sizes", "pieces"),
    [
        ("tanh", (1, 8, 1), 3),
        ("sin", (1, 6, 5, 1), 4),
        ("relu", (1, 16, 8, 1), 4),
        ("tanh", (1, 5, 5, 5, 1), 2),
    ],
)
def test_the_distance_is_certified_to_one_percent(
    activation: str, sizes: tuple[int, ...], pieces: int
) -> None:
    net = network(activation, *sizes)
    document, sup = follower(net, pieces)
    for factor, verdict in ((1.01, Verdict.CERTIFIED), (0.99, Verdict.REFUTED)):
        wanted = {**document, "distance": {"network": "n.json", "bound": repr(sup * factor)}}
        outcome = judge(wanted, network=net)
        assert outcome.verdict is verdict
        assert verdict is Verdict.CERTIFIED or outcome.failures[0].name == "distance to the network"


def test_a_distance_that_is_attained_stays_open_and_a_relu_one_is_exact() -> None:
    tanh = {"meta": {"activation": "tanh"}, "layers.0.weight": [[1.0]], "layers.0.bias": [0.0]}
    tanh |= {"layers.1.weight": [[1.0]], "layers.1.bias": [0.0]}
    base = {"format": "tlcheck.spline/1", "knots": ["0", "1/4"], "pieces": [["1/4", "1", "-1"]]}
    attained = {**base, "distance": {"network": "n.json", "bound": "1/4"}}
    assert judge(attained, network=tanh).verdict is Verdict.UNPROVEN
    relu = {**tanh, "meta": {"activation": "relu"}, "layers.0.bias": [-0.125]}
    hat = {**base, "pieces": [["0"]]}
    for bound, verdict in (("1/8", Verdict.CERTIFIED), ("0." + "124" + "9" * 40, Verdict.REFUTED)):
        assert judge({**hat, "distance": {"network": "n", "bound": bound}}, network=relu).verdict is verdict


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"layers.1.bias": [0.0, 1.0]}, "TLC204"), ({"layers.0.weight": [[1.0, 2.0]]}, "TLC204"),
        ({"meta": {"activation": "gelu"}}, "TLC202"), ({"layers.1.weight": [["a"]]}, "TLC101"),
    ],
)  # fmt: skip
def test_bad_networks_are_invalid(change: Document, code: str) -> None:
    net = {**network("tanh", 1, 1, 1), **change}
    with pytest.raises(InvalidInput) as error:
        load({**CUBIC, "distance": {"network": "n.json", "bound": "1"}}, network=net)
    assert error.value.code == code


def test_a_network_is_bound_by_its_hash(tmp_path: Path) -> None:
    net = network("tanh", 1, 2, 1)
    given = tmp_path / "given.json"
    given.write_text(json.dumps(net))
    wanted: Document = {**CUBIC, "distance": {"network": "n.json", "bound": "100", "sha256": "0" * 64}}
    for options in ({}, {"model": given}):
        with pytest.raises(InvalidInput) as error:
            load(wanted, network=net, **options)
        assert error.value.code == "TLC103"
    wanted["distance"]["sha256"] = hashlib.sha256(given.read_bytes()).hexdigest()
    assert judge(wanted, model=given).verdict is Verdict.CERTIFIED


# Cases of our own.


def test_the_cases_are_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(REPOSITORY / "certificates" / "producers"), *sys.path])
    import spline_cases

    groups = set()
    for case in spline_cases.cases():
        case.write(tmp_path)
        path = tmp_path / case.group / case.name / "x.tlcert"
        if case.exit == 3:
            with pytest.raises(InvalidInput) as error:
                verify_path(path, Options())
            assert error.value.code == case.code
        else:
            (result,) = verify_path(path, Options()).claims
            assert (result.verdict.name, result.reason.code) == (case.verdict, case.code), case.name
        groups.add(case.group)
    assert groups == {"accept", "reject", "undecided", "malformed"}


def test_degrees_up_to_the_limit() -> None:
    p = [str(comb(100, k) * (-1) ** k) for k in range(101)]  # (1 - x)^100
    one = {"format": "tlcheck.spline/1", "knots": ["0", "2"], "pieces": [p], "range": ["0", "1"]}
    assert judge({**one, "convex": "convex"}).verdict is Verdict.CERTIFIED
    assert judge({**one, "monotone": "nonincreasing"}).verdict is Verdict.REFUTED
