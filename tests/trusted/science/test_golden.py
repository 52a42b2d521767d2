"""The golden table of TorchLean's bundled artifacts, row by row: verdict and least slack at zero tolerance.

Where the table and these figures differ in the last digit shown, exact rational arithmetic decides (the family's own
tests redo it); the notes say why.
"""

from __future__ import annotations

from math import isclose

import pytest

from tests.helpers import DATA, needs_data
from tlcheck.options import Options
from tlcheck.report.result import ClaimResult
from tlcheck.trusted.verdict import Verdict
from tlcheck.verify import verify_path

C, R = Verdict.CERTIFIED, Verdict.REFUTED

ROWS = [
    # artifact, part of the claim's name, verdict, least slack (None: none), conditions refuted
    ("LiRPA/mlp_cert", "interval box", C, 2.55795e-13, 0),
    ("LiRPA/mlp_cert", "outputs", C, 2.55795e-13, 0),
    (
        "LiRPA_older/mlp_cert",
        "interval box",
        C,
        0.0,
        0,
    ),  # TorchLean rejects it: the claim equals the exact box
    ("LiRPA_older/mlp_cert", "outputs", C, 0.0, 0),
    ("LiRPA/cnn_cert", "interval box", C, 7.01882e-13, 0),
    ("LiRPA_older/cnn_cert", "interval box", R, -2.33147e-14, 3),
    ("LiRPA/attention_softmax_cert", "interval box", C, 8.31817e-20, 0),
    ("LiRPA_older/attention_softmax_cert", "interval box", R, -1.43272e-15, 2),
    (
        "LiRPA_older/attention_softmax_cert",
        "outputs",
        C,
        8.24753e-20,
        0,
    ),  # the box is inward, the outputs are in it
    ("LiRPA/gru_gate_cert", "interval box", R, -3.73307e-17, 2),
    ("LiRPA/gru_gate_cert", "outputs", R, -3.73307e-17, 2),
    ("LiRPA_older/gru_gate_cert", "interval box", R, -1.48353e-16, 5),
    ("LiRPA/transformer_encoder_cert", "", C, 3.16793e9, 0),  # sound but vacuous
    ("LiRPA_older/transformer_encoder_cert", "", C, 3.16793e9, 0),
    (
        "PINN/pinn_cert",
        "",
        R,
        -6.75065e-12,
        12,
    ),  # 9 of 18 values (worst 2.8e-16), 3 of 6 difference quotients
    ("Robustness/digits_linear_margin_cert", "artifact", C, None, 0),
    ("Robustness/digits_linear_margin_cert", "margins", C, 0.544217, 0),
    ("Robustness/digits_linear_margin_cert", "logit bounds", R, -1.02625e-14, 1396 + 1039),
    ("ODE/sample_ode_cert", "", C, 0.0, 0),
    ("ODE/sin_cert", "", C, 0.0, 0),
    ("ODE/logistic_trivial_cert", "", C, 0.0, 0),
    ("ODE/logistic_learned_cert", "", C, 0.0283564, 0),
    ("Splines/piecewise_linear_cert", "", C, 0.0, 0),
    ("Geometry3D/check_box3d_camera_cert", "", C, 0.0, 0),
    ("AbCrown/sample_abcrown_leaf_artifact_v0_1", "", C, 0.0, 0),
    ("AbCrown/example_raw_leaf_dump", "", C, 0.0, 0),
]


def claim_of(artifact: str, part: str) -> ClaimResult:
    (claim,) = [
        c
        for c in verify_path(DATA / "torchlean" / f"{artifact}.json", Options()).claims
        if part in str(c.details["name"]) or not part
    ]
    return claim


def refuted(claim: ClaimResult) -> int:
    conditions = claim.details["conditions"]
    assert isinstance(conditions, dict)
    return sum(c["refuted"] for c in conditions.values())


@needs_data
@pytest.mark.parametrize(("artifact", "part", "verdict", "slack", "count"), ROWS)
def test_row(artifact: str, part: str, verdict: Verdict, slack: float | None, count: int) -> None:
    claim = claim_of(artifact, part)
    assert claim.verdict is verdict
    assert refuted(claim) == count
    if slack is None:
        assert claim.bound.rigorous is None
    else:
        assert claim.bound.rigorous is not None
        assert isclose(float(claim.bound.rigorous.decimal), slack, rel_tol=1e-5, abs_tol=0.0)


@needs_data
def test_counts_of_the_digits() -> None:
    artifact, margins = (claim_of("Robustness/digits_linear_margin_cert", p) for p in ("artifact", "margins"))
    assert artifact.details["certified by the stated bounds"] == "318 of 360"
    assert margins.details["certified accuracy"] == "331 of 360"
    assert margins.details["nominal accuracy"] == "349 of 360"


@needs_data
def test_margins_of_the_learned_corridor() -> None:
    conditions = claim_of("ODE/logistic_learned_cert", "").details["conditions"]
    assert isinstance(conditions, dict)
    found = {name: conditions[name]["least_slack"] for name in ("order", "sub-solution", "super-solution")}
    for name, golden in (("order", 0.370), ("sub-solution", 0.0284), ("super-solution", 0.202)):
        assert isclose(found[name], golden, rel_tol=2e-3)


@needs_data
def test_a_corner_behind_the_camera_is_named() -> None:
    (claim,) = verify_path(
        DATA / "scientific" / "geometry3d" / "omni3d_issue19_negative_depth.json", Options()
    ).claims
    assert claim.verdict is R
    assert claim.reason.location == "corner 0"
