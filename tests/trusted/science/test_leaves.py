"""Leaf artifacts, raw dumps, leaf proofs and suites: golden rows, mutations, hostile input, exact oracles."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import DATA, needs_data
from tests.trusted.science.networks import ONE_JOB, checked, failing, least, refused, verdicts
from tlcheck.errors import InvalidInput
from tlcheck.verify import verify_path

ABCROWN = DATA / "torchlean" / "AbCrown"

ARTIFACT: dict[str, Any] = {
    "format": "abcrown_leaf_artifact_v0_1", "input_dim": 2, "root": {"lo": [-1.0, -1.0], "hi": [1.0, 1.0]},
    "leaves": [
        {"lo": [-1.0, -1.0], "hi": [0.0, 1.0], "lb": [0.3, -1.0], "threshold": [0.1, 0.0], "witness_idx": 0,
         "witness_margin": 0.3 - 0.1},
        {"lo": [0.0, -1.0], "hi": [1.0, 1.0], "lb": [-1.0, 0.5], "threshold": [0.0, 0.0]},
    ],
}  # fmt: skip


@needs_data
@pytest.mark.parametrize("name", ["sample_abcrown_leaf_artifact_v0_1", "example_raw_leaf_dump"])
def test_the_golden_rows(name: str) -> None:
    (claim,) = verify_path(ABCROWN / f"{name}.json", ONE_JOB).claims
    assert claim.verdict.name == "CERTIFIED" and least(claim) == 0
    assert "nothing about a network" in claim.statement and claim.details["cover"] == "by the boxes"


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


def test_consistent(tmp_path: Path) -> None:
    (claim,) = checked(tmp_path, ARTIFACT)
    assert claim.verdict.name == "CERTIFIED"
    (exact,) = checked(
        tmp_path, ARTIFACT, replace(ONE_JOB, decimals="exact")
    )  # 0.19999999999999998 is not 0.2
    assert exact.verdict.name == "REFUTED" and failing(exact) == {"stated margin"}


MUTATIONS = [
    ("leaves.0.lo.0", -1.0000000000000002, "leaf in the root"), ("leaves.1.hi.1", 1.0000000000000002, "leaf in the root"),
    ("leaves.0.lb.0", 0.1, "bound above threshold"), ("leaves.0.witness_idx", 1, "bound above threshold"),
    ("leaves.0.witness_margin", 0.2, "stated margin"), ("leaves.0.witness_margin", 0.1999999, "stated margin"),
    ("leaves.1.threshold.1", 0.5, "bound above threshold"), ("leaves.1.lo.1", 1.5, "ordered box"), ("root.hi.0", 0.5, "leaf in the root"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "condition"), MUTATIONS)
def test_mutations_are_refuted(path: str, value: Any, condition: str, tmp_path: Path) -> None:
    (claim,) = checked(tmp_path, edited(ARTIFACT, path, value))
    assert claim.verdict.name == "REFUTED" and condition in failing(claim) and claim.reason.code == "TLC021"


def test_slack_is_the_users_and_named(tmp_path: Path) -> None:
    from fractions import Fraction

    near = edited(ARTIFACT, "leaves.0.witness_margin", 0.1999999)
    (claim,) = checked(tmp_path, near, replace(ONE_JOB, slack=Fraction(1, 10**6)))
    assert claim.verdict.name == "CERTIFIED" and "1e-06" in claim.statement


MALFORMED = [
    ("input_dim", 3, "TLC101"), ("leaves", [], "TLC101"), ("leaves.0.lb", [0.3], "TLC101"), ("leaves.0.lb", [], "TLC101"),
    ("leaves.0.witness_idx", 2, "TLC101"), ("leaves.0.witness_idx", -1, "TLC101"), ("leaves.0.hi", [0.0], "TLC101"),
    ("leaves.0.witness_idx", None, "TLC101"), ("root.lo.0", 2.0, "TLC101"), ("root", None, "TLC101"), ("leaves.0.lo.0", "x", "TLC101"),
    ("root", {"center": [0.0, 0.0], "eps": 1.0}, "TLC101"), ("leaves.0.lb.0", "1e999", "TLC106"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "code"), MALFORMED)
def test_malformed(path: str, value: Any, code: str, tmp_path: Path) -> None:
    assert refused(tmp_path, edited(ARTIFACT, path, value)) == code


DUMPS = [
    {"domains": [{"x_L": [0.0], "x_U": [1.0], "lower_bound": 1.0, "threshold": 0.5}]},
    {"leaves": [{"lo": [0.0], "hi": [1.0], "lb": [1.0, 2.0], "rhs": 0.5}], "input_box": {"lower": [0.0], "upper": [1.0]}},
    {"terminal_domains": [{"x_l": [0.0], "x_u": [1.0], "margin_lb": 1.0}], "default_threshold": 0.0, "root_lo": [0.0], "root_hi": [1.0]},
]  # fmt: skip
BAD_DUMPS = [
    {"domains": []}, {"domains": [1]}, {"domains": [{"x_L": [0.0], "lb": 1.0, "threshold": 0}]}, {"domains": [], "leaves": []},
    {"domains": [{"x_L": [0.0], "x_U": [1.0], "lb": 1.0}]}, {"domains": [{"x_L": [0.0], "lo": [0.0], "x_U": [1.0], "lb": 1, "rhs": 0}]},
    {"domains": [{"x_L": 0.0, "x_U": 1.0, "lb": 1.0, "rhs": 0}]}, {"domains": [{"x_L": [None], "x_U": [1.0], "lb": 1.0, "rhs": 0}]},
    {"domains": [{"x_L": [0.0], "x_U": [1.0], "lb": 1.0, "rhs": 0}], "root": {"lo": [0.0]}},
    {"domains": [{"x_L": [0.0], "x_U": [1.0], "lb": 1.0, "rhs": 0}, {"x_L": [0.0, 1.0], "x_U": [1.0], "lb": 1.0, "rhs": 0}]},
]  # fmt: skip


@pytest.mark.parametrize("dump", DUMPS)
def test_raw_dumps(dump: Any, tmp_path: Path) -> None:
    assert verdicts(checked(tmp_path, dump)) == ["CERTIFIED"]


def test_raw_dump_as_json_lines(tmp_path: Path) -> None:
    assert verdicts(checked(tmp_path, "\n".join(json.dumps(d) for d in (DUMPS[0], DUMPS[0])))) == [
        "CERTIFIED"
    ]


@pytest.mark.parametrize("dump", BAD_DUMPS)
def test_malformed_dumps(dump: Any, tmp_path: Path) -> None:
    assert refused(tmp_path, dump, replace(ONE_JOB, input_format="raw-leaf-dump")) == "TLC101"


# Leaf proofs: |x| >= -1/4 on [-1, 1], and with the splits of its two ReLUs.

ABSOLUTE = {
    "layers.0.weight": [[1.0], [-1.0]],
    "layers.0.bias": [0.0, 0.0],
    "layers.1.weight": [[1.0, 1.0]],
    "layers.1.bias": [0.0],
}
PROPERTY = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 -1))(assert (<= X_0 1))(assert (<= Y_0 {}))"


def proof(cuts: list[float], **changes: Any) -> dict[str, Any]:
    ends = [-1.0, *cuts, 1.0]
    leaves = [
        {"lo": [ends[k]], "hi": [ends[k + 1]], "lb": [0.25], "threshold": [0.0]} for k in range(len(ends) - 1)
    ]
    return {
        "format": "abcrown_leaf_artifact_v0_2", "input_dim": 1, "root": {"lo": [-1.0], "hi": [1.0]}, "leaves": leaves,
        "model": {"file": "net.json"}, "property": {"file": "p.vnnlib"}, **changes,
    }  # fmt: skip


def with_splits() -> dict[str, Any]:
    def leaf(*sides: str) -> dict[str, Any]:
        splits = [
            {"node": "layers.0", "index": k, "side": s, "point": 0.0, "beta": float(s == ">=")}
            for k, s in enumerate(sides)
        ]
        return {"lo": [-1.0], "hi": [1.0], "lb": [0.25], "threshold": [0.0], "splits": splits}

    return proof([], leaves=[leaf(a, b) for a in ("<=", ">=") for b in ("<=", ">=")])


@pytest.mark.parametrize(
    ("document", "bound", "verdict", "code"),
    [
        (proof([0.0]), "-0.001", "CERTIFIED", "TLC001"), (proof([-0.5, 0.0, 0.25]), "-0.001", "CERTIFIED", "TLC001"),
        (proof([0.0]), "0", "UNPROVEN", "TLC010"), (proof([]), "-1.5", "CERTIFIED", "TLC001"), (proof([0.0]), "0.5", "UNPROVEN", "TLC010"),
        (edited(proof([-0.5, 0.0]), "leaves.1.hi", [-0.25]), "-1", "UNPROVEN", "TLC017"),
        (with_splits(), "-0.001", "CERTIFIED", "TLC001"),
        (edited(with_splits(), "leaves", with_splits()["leaves"][:3]), "-1", "UNPROVEN", "TLC017"),
    ],
)  # fmt: skip
def test_leaf_proofs(document: Any, bound: str, verdict: str, code: str, tmp_path: Path) -> None:
    (claim,) = checked(tmp_path, document, net_json=ABSOLUTE, p_vnnlib=PROPERTY.format(bound))
    assert (claim.verdict.name, claim.reason.code) == (verdict, code)


def test_bounds_of_the_file_are_not_believed(tmp_path: Path) -> None:
    boast = edited(proof([0.0]), "leaves.0.lb", [1e9])
    (claim,) = checked(tmp_path, boast, net_json=ABSOLUTE, p_vnnlib=PROPERTY.format("0.5"))
    assert claim.verdict.name == "UNPROVEN" and claim.bound is not None and claim.bound.claimed is not None


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (proof([0.0], property=None), "TLC402"), (proof([0.0], model={"file": "net.json", "sha256": "1" * 64}), "TLC103"),
        (edited(proof([0.0]), "leaves.0.witness_idx", 1), "TLC101"), (edited(proof([0.0]), "leaves.0.disjunct", 1), "TLC104"),
        (edited(with_splits(), "leaves.0.splits.0.node", "none"), "TLC104"), (edited(with_splits(), "leaves.0.splits.0.index", 2), "TLC104"),
        (edited(with_splits(), "leaves.0.splits.0.side", "="), "TLC101"), (edited(with_splits(), "leaves.0.splits.0.beta", -1.0), "TLC105"),
        (proof([0.0], input_dim=2), "TLC101"), (edited(edited(proof([0.0]), "leaves.0.lb", [1.0, 2.0]), "leaves.0.threshold", [0.0, 0.0]), "TLC104"),
    ],
)  # fmt: skip
def test_leaf_proofs_malformed(document: Any, code: str, tmp_path: Path) -> None:
    assert refused(tmp_path, document, net_json=ABSOLUTE, p_vnnlib=PROPERTY.format("-1")) == code


# Suites.

INSTANCE: dict[str, Any] = {
    "id": 7, "input_lo": [-1.0], "input_hi": [1.0],
    "spec": [{"mat": [[1.0]], "rhs": [-1.25]}, {"mat": [[-1.0], [1.0]], "rhs": [-2.5, 9.0]}],
}  # fmt: skip
SUITE: dict[str, Any] = {
    "format": "vnnlib_suite_v0_1",
    "instances": [INSTANCE],
    "weights": {"file": "net.json"},
}
ALPHAS: dict[str, Any] = {
    "format": "mnist_fc_crownobj_alpha_v0_1", "instances": [{"id": 7, "alpha": {"2": [[0.0, 0.0], [0.5, 0.5]]}}],
}  # fmt: skip
"""y = |x| is at most 1, so y <= -5/4 and y >= 5/2 never hold."""


def test_suites(tmp_path: Path) -> None:
    assert verdicts(checked(tmp_path, SUITE, net_json=ABSOLUTE)) == ["CERTIFIED"]
    assert verdicts(
        checked(tmp_path, {**SUITE, "alphas": {"file": "a.json"}}, net_json=ABSOLUTE, a_json=ALPHAS)
    ) == ["CERTIFIED"]
    assert verdicts(checked(tmp_path, edited(SUITE, "instances.0.spec.0.rhs", [0.5]), net_json=ABSOLUTE)) == [
        "UNPROVEN"
    ]
    # slopes 1 and 1 bound y >= x - x = 0: as TorchLean reads them, better than 0 and 1
    tight = edited(SUITE, "instances.0.spec", [{"mat": [[1.0]], "rhs": [-0.001]}])
    alphas = {**ALPHAS, "instances": [{"id": 7, "alpha": {"2": [[1.0, 1.0]]}}]}
    document = {**tight, "alphas": {"file": "a.json"}}
    assert verdicts(checked(tmp_path, document, net_json=ABSOLUTE, a_json=alphas)) == ["CERTIFIED"]
    wrong = {**ALPHAS, "instances": [{"id": 7, "alpha": {"2": [[1.0, 0.0]]}}]}
    assert verdicts(checked(tmp_path, document, net_json=ABSOLUTE, a_json=wrong)) == ["UNPROVEN"]


@pytest.mark.parametrize(
    ("document", "alphas", "code"),
    [
        (edited(SUITE, "weights", None), ALPHAS, "TLC402"), (edited(SUITE, "instances.0.input_lo", [2.0]), ALPHAS, "TLC101"),
        (edited(SUITE, "instances.0.input_lo", [0.0, 0.0]), ALPHAS, "TLC101"), (edited(SUITE, "instances.0.spec.0.mat", [[1.0, 1.0]]), ALPHAS, "TLC104"),
        (edited(SUITE, "instances.0.spec.0.rhs", []), ALPHAS, "TLC101"), (edited(SUITE, "instances", [INSTANCE, INSTANCE]), ALPHAS, "TLC101"),
        (edited(SUITE, "instances", []), ALPHAS, "TLC101"), (SUITE, edited(ALPHAS, "format", "x"), "TLC102"),
        (SUITE, edited(ALPHAS, "instances.0.id", 8), "TLC104"), (SUITE, edited(ALPHAS, "instances.0.alpha", {"4": [[0.0]]}), "TLC104"),
        (SUITE, edited(ALPHAS, "instances.0.alpha", {"2": [[0.0, 0.0]]}), "TLC104"), (SUITE, edited(ALPHAS, "instances.0.alpha", {"2": [[2.0, 0.0]] * 2}), "TLC105"),
    ],
)  # fmt: skip
def test_suites_malformed(document: Any, alphas: Any, code: str, tmp_path: Path) -> None:
    assert (
        refused(tmp_path, {**document, "alphas": {"file": "a.json"}}, net_json=ABSOLUTE, a_json=alphas)
        == code
    )


@pytest.mark.parametrize("seed", range(60))
def test_fuzz(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    choices = [
        (ARTIFACT, "torchlean-leaves"),
        (DUMPS[seed % 3], "raw-leaf-dump"),
        (with_splits(), "torchlean-leaves-2"),
        (SUITE, "torchlean-suite"),
    ]
    document, tag = choices[seed % 4]
    text = list(json.dumps(document))
    for _ in range(rng.randrange(1, 4)):
        text[rng.randrange(len(text))] = rng.choice('0123456789.-eE"[]{},:nul ')
    options = replace(ONE_JOB, input_format=tag)
    try:
        claims = checked(tmp_path, "".join(text), options, net_json=ABSOLUTE, p_vnnlib=PROPERTY.format("-1"))
    except InvalidInput:
        return
    assert claims
