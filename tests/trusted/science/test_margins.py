"""Margins over a data set: TorchLean's digits certificate as measured (TORCHLEAN.md 1.15), mutations, exact oracles."""

from __future__ import annotations

import copy
import json
import random
import shutil
from dataclasses import replace
from fractions import Fraction as F
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import DATA, needs_data
from tests.trusted.science.networks import ONE_JOB, checked, counts, failing, least, refused, verdicts
from tlcheck.errors import InvalidInput
from tlcheck.readers.torchlean.state_dict import dense_graph
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.conditions import Check, Measure, Share
from tlcheck.trusted.science.examples import Examples
from tlcheck.trusted.science.margins import Margins
from tlcheck.verify import verify_path

DIGITS = DATA / "torchlean" / "Robustness"
CERTIFICATE = DIGITS / "digits_linear_margin_cert.json"


@needs_data
@pytest.mark.parametrize("arith", ["auto", "arb"])
def test_the_golden_row(arith: str) -> None:
    claims = verify_path(CERTIFICATE, replace(ONE_JOB, arith=arith)).claims
    assert verdicts(claims) == ["CERTIFIED", "CERTIFIED", "REFUTED"]
    artifact, margins, bounds = claims
    assert artifact.details["certified by the stated bounds"] == "318 of 360"
    assert artifact.details["smallest decision margin"] == pytest.approx(4.7348e-3, rel=1e-4)
    assert counts(artifact, "certified flag") == (360, 360, 0)
    assert "nothing about a network" in artifact.statement
    assert counts(margins, "margin") == (318, 318, 0)
    assert margins.details["certified accuracy"] == "331 of 360"
    assert margins.details["refuted examples"] == "29 of 360"
    assert margins.details["nominal accuracy"] == "349 of 360"
    assert counts(bounds, "lower bound") == (3600, 3600 - 1396, 1396)
    assert counts(bounds, "upper bound") == (3600, 3600 - 1039, 1039)
    assert least(bounds) == pytest.approx(-1.0262e-14, rel=1e-4)


@needs_data
def test_331_of_360_is_exact() -> None:
    """Difference rows in rational arithmetic: exactly these examples are robust, so 331 cannot be improved."""
    weights = json.loads((DIGITS / "digits_linear_weights.json").read_text())
    data = json.loads((DIGITS / "digits_test.json").read_text())["examples"]
    w, b = (
        [[F(v) for v in row] for row in weights["layers.0.weight"]],
        [F(v) for v in weights["layers.0.bias"]],
    )
    eps, robust = F(0.02), 0
    for e in data:
        box = [(max(F(0), F(v) - eps), min(F(1), F(v) + eps)) for v in e["x"]]
        gaps = ((j, [p - q for p, q in zip(w[e["y"]], w[j], strict=True)]) for j in range(10) if j != e["y"])
        robust += all(
            b[e["y"]] - b[j] + sum((g * box[i][g < 0] for i, g in enumerate(row)), F(0)) > 0
            for j, row in gaps
        )
    assert robust == 331


@needs_data
def test_without_the_model_only_consistency_is_claimed(tmp_path: Path) -> None:
    shutil.copy(CERTIFICATE, tmp_path / "c.json")
    (claim,) = verify_path(tmp_path / "c.json", ONE_JOB).claims
    assert claim.kind == "margin artifact" and verdicts((claim,)) == ["CERTIFIED"]
    shutil.copy(DIGITS / "digits_test.json", tmp_path)
    given = replace(ONE_JOB, model=DIGITS / "digits_linear_weights.json")
    assert verdicts(verify_path(tmp_path / "c.json", given).claims) == ["CERTIFIED", "CERTIFIED", "REFUTED"]
    (tmp_path / "digits_linear_weights.json").write_text("{}")
    with pytest.raises(InvalidInput, match="SHA-256"):
        verify_path(tmp_path / "c.json", ONE_JOB)


WEIGHTS: dict[str, Any] = {
    "layers.0.weight": [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]],
    "layers.0.bias": [0.0, 0.0, -1.0],
}
DATASET: dict[str, Any] = {
    "examples": [{"x": [0.75, 0.25], "y": 0}, {"x": [0.25, 0.5], "y": 1}, {"x": [0.5, 0.5], "y": 0}]
}
SMALL: dict[str, Any] = {
    "format": "robust_margin_cert_v0_1", "num_classes": 3, "eps": 0.0625,
    "meta": {"weights_path": "a/b/net.json", "dataset_path": "data.json"},
    "summary": {"examples": 3, "nominal_ok": 2, "certified_ok": 2},
    "examples": [
        {"label": 0, "pred": 0, "certified": True, "logits_lo": [0.6875, 0.1875, -0.5625], "logits_hi": [0.8125, 0.3125, -0.4375]},
        {"label": 1, "pred": 1, "certified": True, "logits_lo": [0.1875, 0.4375, -0.6875], "logits_hi": [0.3125, 0.5625, -0.5625]},
        {"label": 0, "pred": 1, "certified": False, "logits_lo": [0.4375, 0.4375, -0.5625], "logits_hi": [0.5625, 0.5625, -0.4375]},
    ],
}  # fmt: skip
"""Bounds exactly the logits' ranges."""


def edited(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    *way, last = path.split(".")
    place: Any = changed
    for key in way:
        place = place[int(key) if isinstance(place, list) else key]
    if value is None:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return changed


def test_small_certificate(tmp_path: Path) -> None:
    claims = checked(tmp_path, SMALL, net_json=WEIGHTS, data_json=DATASET)
    assert verdicts(claims) == ["CERTIFIED"] * 3 and least(claims[2]) == 0
    assert claims[1].details["certified accuracy"] == "2 of 3"


MUTATIONS = [
    ("examples.2.certified", True, [1, 1, 0], "certified flag"), ("summary.certified_ok", 3, [1, 0, 0], "summary certified_ok"),
    ("summary.nominal_ok", 3, [1, 0, 0], "summary nominal_ok"), ("summary.examples", 4, [1, 0, 0], "summary examples"),
    ("examples.0.pred", 1, [1, 0, 0], "summary nominal_ok"), ("examples.0.certified", False, [1, 0, 0], "certified flag"),
    ("examples.0.logits_lo.0", 0.6875000000000001, [0, 0, 1], ""), ("examples.1.logits_hi.2", -0.5625000000000001, [0, 0, 1], ""),
    ("examples.0.logits_lo.0", 0.3, [1, 0, 0], "certified flag"), ("eps", 0.25, [0, 1, 1], ""),
    ("examples.0.logits_lo.1", 0.5, [1, 0, 1], "ordered bounds"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "refuted", "condition"), MUTATIONS)
def test_mutations_are_refuted(
    path: str, value: Any, refuted: list[int], condition: str, tmp_path: Path
) -> None:
    claims = checked(tmp_path, edited(SMALL, path, value), net_json=WEIGHTS, data_json=DATASET)
    assert [c.verdict.name == "REFUTED" for c in claims] == [bool(r) for r in refuted]
    if condition:
        assert condition in failing(claims[0])


MALFORMED = [
    ("num_classes", 1, "TLC101"), ("num_classes", 4, "TLC101"), ("examples.0.label", 3, "TLC101"), ("examples.0.label", -1, "TLC101"),
    ("examples.0.label", 1, "TLC104"), ("examples.0.logits_lo", [1.0], "TLC101"), ("examples", [], "TLC101"),
    ("examples.0.logits_hi.0", "inf", "TLC101"), ("examples.0.certified", 1, "TLC101"), ("eps", -0.5, "TLC101"), ("eps", "1e999", "TLC106"),
    ("norm", "l2", "TLC202"), ("meta.weights_sha256", "0" * 64, "TLC103"), ("examples.0.logits_hi", None, "TLC101"), ("eps", "1e305", "TLC101"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "code"), MALFORMED)
def test_malformed(path: str, value: Any, code: str, tmp_path: Path) -> None:
    assert refused(tmp_path, edited(SMALL, path, value), net_json=WEIGHTS, data_json=DATASET) == code


OWN = {
    "format": "tlcheck.margins/1", "model": {"file": "net.json"}, "data": {"file": "data.json"}, "radius": "1/8",
    "examples": 3, "clip": ["0", "1"], "certified": [0], "count": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "verdict", "condition"),
    [
        ({}, "CERTIFIED", ""), ({"radius": "1/4"}, "REFUTED", "margin"), ({"radius": "0.2499999999999999"}, "CERTIFIED", ""),
        ({"certified": [0, 2]}, "REFUTED", "margin"), ({"count": 2}, "REFUTED", "certified count"),
        ({"count": 2, "radius": "0.124"}, "CERTIFIED", ""), ({"certified": [1]}, "REFUTED", "margin"),
        ({"certified": None, "count": 3, "radius": "0"}, "REFUTED", "certified count"),
    ],
)  # fmt: skip
def test_our_own_format(change: dict[str, Any], verdict: str, condition: str, tmp_path: Path) -> None:
    (claim,) = checked(tmp_path, {**OWN, **change}, net_json=WEIGHTS, data_json=DATASET)
    assert claim.verdict.name == verdict
    assert not condition or condition in failing(claim)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"certified": None, "count": None}, "TLC101"), ({"certified": [3]}, "TLC104"), ({"certified": [0, 0]}, "TLC104"),
        ({"count": 4}, "TLC101"), ({"examples": 2}, "TLC101"), ({"radius": "-1"}, "TLC101"), ({"radius": "1e400"}, "TLC101"),
        ({"clip": ["1", "0"]}, "TLC101"), ({"clip": ["0.5", "1"]}, "TLC101"), ({"data": {"file": "no"}}, "TLC402"),
        ({"radius": 0.1}, "TLC101"), ({"unknown": 1}, "TLC101"),
    ],
)  # fmt: skip
def test_our_own_format_malformed(change: dict[str, Any], code: str, tmp_path: Path) -> None:
    assert refused(tmp_path, {**OWN, **change}, net_json=WEIGHTS, data_json=DATASET) == code


@pytest.mark.parametrize(
    "data",
    [
        {"examples": []}, {"examples": [{"x": [0.5, 0.5], "y": 0}, {"x": [0.5], "y": 0}]}, {"examples": [{"x": [0.5, 0.5], "y": 9}] * 3},
        {"examples": [{"x": ["a", 0.5], "y": 0}] * 3}, {"examples": [{"x": [0.5, 1.5], "y": 0}] * 3}, {"examples": [{"x": [0.5], "y": 0}] * 3},
        {"examples": [{"x": [0.5, 0.5], "y": 10**30}] * 3},
    ],
)  # fmt: skip
def test_malformed_data(data: Any, tmp_path: Path) -> None:
    assert refused(tmp_path, OWN, net_json=WEIGHTS, data_json=data) in ("TLC101", "TLC104")


@pytest.mark.parametrize("arith", ["auto", "arb", "ball64"])
@pytest.mark.parametrize("seed", range(4))
def test_random_networks_against_points(seed: int, arith: str) -> None:
    """A certified example keeps its label at every point that is tried; a refuted one has a point that does not."""
    rng = np.random.default_rng(seed)
    sizes = (3, 6, 5, 3)
    layers: dict[str, Any] = {}
    for k in range(3):
        layers[f"layers.{k}.weight"] = rng.integers(-8, 9, (sizes[k + 1], sizes[k])) / 4
        layers[f"layers.{k}.bias"] = rng.integers(-8, 9, sizes[k + 1]) / 4

    def f(x: Any) -> Any:  # dyadic numbers of few bits: exact
        for k in range(3):
            x = x @ layers[f"layers.{k}.weight"].T + layers[f"layers.{k}.bias"]
            x = np.maximum(x, 0) if k < 2 else x
        return x

    inputs = rng.integers(-16, 17, (60, 3)) / 8
    labels = f(inputs).argmax(axis=1)
    labels[::7] = (labels[::7] + 1) % 3
    radius = F(1, 8)
    claim = Margins(
        dense_graph(layers, ""), Examples(inputs, labels, radius, None), tuple(range(60)), None, arith, ""
    )
    with working_precision(128):
        items = list(claim.checks(128, lambda: None))
        items += claim.conclude([item for item in items if isinstance(item, Share)])
    checks = [c for c in items if isinstance(c, Check)]
    steps = np.array(np.meshgrid(*[[-0.125, -0.0625, 0, 0.0625, 0.125]] * 3)).reshape(3, -1).T
    assert any(c.holds for c in checks) and any(c.holds is False for c in checks)
    for k, c in enumerate(checks):
        y = f(inputs[k] + steps)
        gap = (y[:, [labels[k]]] - np.delete(y, labels[k], axis=1)).min()
        assert gap > 0 or c.holds is not True
        assert c.low is None or c.holds is False or c.low <= gap
    measured = {m.name: m.value for m in items if isinstance(m, Measure)}
    assert measured["certified accuracy"] == f"{sum(c.holds is True for c in checks)} of 60"


@pytest.mark.parametrize("seed", range(40))
def test_fuzz(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    document, tag = (OWN, "tlcheck.margins") if seed % 2 else (SMALL, "torchlean-margin")
    text = list(json.dumps(document))
    for _ in range(rng.randrange(1, 4)):
        text[rng.randrange(len(text))] = rng.choice('0123456789.-eE"[]{},:nul ')
    try:
        claims = checked(
            tmp_path, "".join(text), replace(ONE_JOB, input_format=tag), net_json=WEIGHTS, data_json=DATASET
        )
    except InvalidInput:
        return
    assert claims
