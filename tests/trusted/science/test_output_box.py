"""Output boxes: TorchLean's certificates as measured (TORCHLEAN.md 1.15), attacks, and claims of our own."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace
from fractions import Fraction as F
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import DATA, needs_data
from tests.trusted.science.networks import ONE_JOB, checked, counts, failing, least, refused, verdicts
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.torchlean.lirpa import NAMED, named_graph
from tlcheck.readers.torchlean.state_dict import dense_graph
from tlcheck.trusted.arith.arb import ball, working_precision
from tlcheck.trusted.conditions import Check
from tlcheck.trusted.evaluate import evaluate
from tlcheck.trusted.network import Network
from tlcheck.trusted.science.exact_intervals import as_ball, interval_boxes
from tlcheck.trusted.science.interval_box import output_ends
from tlcheck.trusted.science.output_box import OutputBox
from tlcheck.verify import verify_path

EXACT = replace(ONE_JOB, decimals="exact")
LIRPA = DATA / "torchlean"

GOLDEN = [
    ("LiRPA/mlp_cert", ["CERTIFIED", "CERTIFIED"], 2.55e-13, 2.56e-13),
    ("LiRPA_older/mlp_cert", ["CERTIFIED", "CERTIFIED"], 0.0, 0.0),
    ("LiRPA/cnn_cert", ["CERTIFIED", "CERTIFIED"], 7.0e-13, 7.1e-13),
    ("LiRPA_older/cnn_cert", ["REFUTED", "REFUTED"], -2.34e-14, -2.33e-14),
    ("LiRPA/attention_softmax_cert", ["CERTIFIED", "CERTIFIED"], 8.3e-20, 8.4e-20),
    ("LiRPA_older/attention_softmax_cert", ["REFUTED", "CERTIFIED"], -1.44e-15, -1.43e-15),
    ("LiRPA/gru_gate_cert", ["REFUTED", "REFUTED"], -3.74e-17, -3.73e-17),
    ("LiRPA_older/gru_gate_cert", ["REFUTED", "REFUTED"], -1.49e-16, -1.48e-16),
    ("LiRPA/transformer_encoder_cert", ["CERTIFIED"], 3.16e9, 3.17e9),
    ("LiRPA_older/transformer_encoder_cert", ["CERTIFIED"], 3.16e9, 3.17e9),
]
"""Verdicts (interval box, outputs) and the least slack of the first claim.

The older attention box is inside the interval box, so TorchLean's claim is false; the outputs lie in it all the same.
The encoder's outputs lie in [-2, 2] (a normalised value of 4); the claim reaches 3.5e9.
"""


@needs_data
@pytest.mark.parametrize(("name", "expected", "low", "high"), GOLDEN, ids=[row[0] for row in GOLDEN])
def test_the_golden_table(name: str, expected: list[str], low: float, high: float) -> None:
    claims = verify_path(LIRPA / f"{name}.json", ONE_JOB).claims
    assert verdicts(claims) == expected
    assert low <= least(claims[0]) <= high


@needs_data
def test_which_ends_are_inward() -> None:
    def of(name: str, options: Options = ONE_JOB) -> Any:
        return verify_path(LIRPA / f"{name}.json", options).claims[0]

    new, older = of("LiRPA/gru_gate_cert"), of("LiRPA_older/gru_gate_cert")
    assert counts(new, "lower end") == (3, 2, 1) and counts(new, "upper end") == (3, 2, 1)
    assert sum(counts(older, f"{end} end")[2] for end in ("lower", "upper")) == 5
    attention = of("LiRPA_older/attention_softmax_cert")
    assert counts(attention, "lower end") == (3, 3, 0) and counts(attention, "upper end") == (3, 1, 2)
    # The table's 3.4e-14 takes 0.9 and 1.1 as decimals and the claim 438.40000000000003 as binary64. With both as
    # decimals the interval box is [340.2, 415.8] x [438.4, 535.6], and one end is inward, by 3e-14 exactly.
    cnn = of("LiRPA_older/cnn_cert", EXACT)
    assert F(438.40000000000003) - F("438.4") == pytest.approx(3.4e-14, rel=0.01)
    assert counts(cnn, "lower end") == (2, 1, 1) and counts(cnn, "upper end") == (2, 2, 0)
    assert least(cnn) == pytest.approx(-3e-14, rel=1e-9)
    assert verdicts(verify_path(LIRPA / "LiRPA/gru_gate_cert.json", EXACT).claims) == ["CERTIFIED"] * 2


MLP: dict[str, Any] = {
    "graph": "mlp_graph_workflow_v1",
    "input_box": {"id": 0, "dim": 3, "lo": [0.0, 1.0, 2.0], "hi": [2.0, 3.0, 4.0]},
    "result": {"node_id": 3, "dim": 2, "lo": [230.0, 291.0], "hi": [554.0, 699.0]},
}
"""Exactly the interval box, which the network attains: all weights are positive."""


def edited(path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(MLP)
    *way, last = path.split(".")
    place: Any = changed
    for key in way:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return changed


FALSE = [
    ("result.lo.0", 230.00000000000003, "lower end"), ("result.hi.1", 698.9999999999999, "upper end"),
    ("result.lo", [291.0, 230.0], "lower end"), ("input_box.lo.2", 1.9999999999999998, "lower end"),
    ("input_box.hi.0", 2.0000000000000004, "upper end"), ("result.hi.0", 5e-324, "upper end"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "condition"), FALSE)
def test_false_claims_are_refuted(path: str, value: Any, condition: str, tmp_path: Path) -> None:
    claims = checked(tmp_path, edited(path, value))
    assert verdicts(claims) == ["REFUTED", "REFUTED"]
    assert all(condition in failing(c) and c.reason.code == "TLC021" for c in claims)


MALFORMED = [
    ("graph", "mlp_graph_workflow_v2", "TLC104"), ("result.node_id", 2, "TLC104"), ("input_box.id", 1, "TLC104"),
    ("result.dim", 3, "TLC101"), ("result.lo", [230.0], "TLC101"), ("result.lo.0", "x", "TLC101"),
    ("result.lo.0", [1.0], "TLC101"), ("result.hi", None, "TLC101"), ("input_box.lo.0", 3.0, "TLC101"),
    ("input_box.hi", [2.0, 3.0, 4.0, 5.0], "TLC101"), ("result.lo.0", "1e999", "TLC106"), ("graph", 1, "TLC101"),
    ("result.lo.0", True, "TLC101"), ("result", [], "TLC101"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "code"), MALFORMED)
def test_malformed_certificates(path: str, value: Any, code: str, tmp_path: Path) -> None:
    assert refused(tmp_path, edited(path, value)) == code


def test_malformed_json(tmp_path: Path) -> None:
    options = replace(ONE_JOB, input_format="torchlean-lirpa")
    text = json.dumps(MLP)
    for bad in (
        text.replace("230.0", "NaN"),
        text.replace("230.0", "1e999"),
        text[:-1],
        text.replace('"dim": 2', '"dim": 2, "dim": 2'),
    ):
        assert refused(tmp_path, bad, options) == "TLC106"


def corner_values(tag: str, lower: list[F], upper: list[F], count: int) -> list[list[Any]]:
    graph = named_graph(tag)
    rng = random.Random(7)
    points = [[rng.choice(pair) for pair in zip(lower, upper, strict=True)] for _ in range(count)]
    points += [
        [l + (u - l) * F(rng.randrange(65), 64) for l, u in zip(lower, upper, strict=True)]
        for _ in range(count)
    ]
    return [list(evaluate(graph, [[ball(q) for q in p]]).outputs) for p in points]


@pytest.mark.parametrize("tag", NAMED)
def test_interval_boxes_hold_every_output(tag: str) -> None:
    graph = named_graph(tag)
    lower = [F(k, 2) for k in range(graph.n_inputs)]
    upper = [q + F(k % 3, 2) for k, q in enumerate(lower)]
    with working_precision(128):
        network = Network(graph)
        found = output_ends(network, interval_boxes(network, lower, upper))
        for values in corner_values(tag, lower, upper, 40):
            assert all(
                as_ball(l) <= y.upper() and y.lower() <= as_ball(u)
                for y, (l, u, _) in zip(values, found, strict=True)
            )


def dense(seed: int, sizes: tuple[int, ...]) -> Any:
    rng = np.random.default_rng(seed)
    layers: dict[str, Any] = {}
    for k, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False)):
        layers[f"layers.{k}.weight"] = rng.integers(-8, 9, (m, n)) / 4
        layers[f"layers.{k}.bias"] = rng.integers(-8, 9, m) / 4
    return dense_graph(layers, "")


@pytest.mark.parametrize("seed", range(12))
def test_random_claims_against_points(seed: int) -> None:
    """No CERTIFIED end is passed by a point, a REFUTED one has a negative slack."""
    graph = dense(seed, (2, 4, 3, 2))
    rng = random.Random(seed)
    lower = tuple(F(rng.randrange(-4, 2)) for _ in range(2))
    upper = tuple(l + F(rng.randrange(0, 5), 2) for l in lower)
    grid = [F(k, 12) for k in range(13)]
    values = [
        [F(float(v.mid())) for v in evaluate(graph, [[ball(lower[0] + s * (upper[0] - lower[0])), ball(lower[1] + t * (upper[1] - lower[1]))]]).outputs]
        for s in grid for t in grid
    ]  # fmt: skip
    with working_precision(128):
        for shift in (F(-1, 2), F(0), F(1, 1000), F(1)):
            low = tuple(min(v[k] for v in values) + shift for k in range(2))
            high = tuple(max(v[k] for v in values) for k in range(2))
            claim = OutputBox(graph, lower, upper, low, high, "the model", "exact")
            found = [c for c in claim.checks(128, lambda: None) if isinstance(c, Check)]
            assert len(found) == 4
            if shift > F(1, 100):  # above a value that occurs (grid points are rounded to 128 bits)
                assert not any(c.holds for c in found if c.name == "lower end")
            refuted = [c for c in found if c.holds is False]
            assert all(c.high is not None and c.high < 0 for c in refuted)


OWN = {
    "format": "tlcheck.output-box/1", "model": {"file": "net.json"},
    "input": {"lower": ["0"], "upper": ["1"]}, "output": {"lower": ["1/3"], "upper": ["0x1.8p0"]},
}  # fmt: skip
LINE = {"layers.0.weight": [[1.0]], "layers.0.bias": [0.5]}


def test_our_own_format(tmp_path: Path) -> None:
    (claim,) = checked(tmp_path, OWN, net_json=LINE)
    assert verdicts((claim,)) == ["CERTIFIED"] and counts(claim, "upper end") == (1, 1, 0)
    (claim,) = checked(tmp_path, {**OWN, "output": {"lower": ["1/2"], "upper": ["1.5"]}}, net_json=LINE)
    assert verdicts((claim,)) == ["CERTIFIED"] and least(claim) == 0
    (claim,) = checked(
        tmp_path, {**OWN, "output": {"lower": ["1/2"], "upper": ["1.4999999999999999999999"]}}, net_json=LINE
    )
    assert verdicts((claim,)) == ["REFUTED"] and failing(claim) == {"upper end"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model": {"file": "net.json", "sha256": "0" * 64}}, "TLC103"), ({"model": {"file": "none.json"}}, "TLC402"),
        ({"model": {"file": ".."}}, "TLC404"), ({"graph": "mlp_graph_workflow_v1"}, "TLC101"), ({"extra": 1}, "TLC101"),
        ({"input": {"lower": ["0", "0"], "upper": ["1", "1"]}}, "TLC101"), ({"input": {"lower": ["2"], "upper": ["1"]}}, "TLC101"),
        ({"output": {"lower": ["nan"], "upper": ["1"]}}, "TLC101"), ({"output": {"lower": ["1e99999"], "upper": ["1"]}}, "TLC401"),
        ({"output": {"lower": [0], "upper": [1]}}, "TLC101"), ({"model": None}, "TLC402"), ({"format": "tlcheck.output-box/2"}, "TLC102"),
    ],
)  # fmt: skip
def test_our_own_format_malformed(change: dict[str, Any], code: str, tmp_path: Path) -> None:
    assert refused(tmp_path, {**OWN, **change}, net_json=LINE) == code


@pytest.mark.parametrize("seed", range(60))
def test_fuzz(seed: int, tmp_path: Path) -> None:
    """Any edit of the text is a verdict or InvalidInput, nothing else."""
    rng = random.Random(seed)
    text = list(json.dumps(MLP))
    for _ in range(rng.randrange(1, 4)):
        text[rng.randrange(len(text))] = rng.choice('0123456789.-eE"[]{},:nul ')
    options = replace(ONE_JOB, input_format="torchlean-lirpa")
    try:
        claims = checked(tmp_path, "".join(text), options)
    except InvalidInput:
        return
    assert len(claims) == 2
