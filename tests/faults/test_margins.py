"""``maxpool_margins``: what is proved of an image does not depend on the images that share its file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import FAULTS, needs_faults
from tests.solver.small import solver
from tlcheck.options import Options, Progress
from tlcheck.verify import verify_path

MARGINS = FAULTS / "maxpool_margins"
ONE_JOB = Options(jobs=1)


@needs_faults
@pytest.mark.parametrize("jobs", [1, 2])
def test_maxpool_margins(jobs: int) -> None:
    """One image alone: 10.26, as before; ten of ten together, the least margin that of the hardest image alone."""
    seen: list[Progress] = []
    options = Options(jobs=jobs)
    (alone,) = verify_path(MARGINS / "one_0.json", options).claims
    (together,) = verify_path(MARGINS / "robust.json", options, seen.append).claims
    assert alone.verdict.value == together.verdict.value == "CERTIFIED"
    assert together.leaves_certified == together.leaves_total == 10
    assert together.details["nominal accuracy"] == "10 of 10"
    assert together.details["certified accuracy"] == "10 of 10"
    assert alone.bound is not None and alone.bound.rigorous is not None
    assert float(alone.bound.rigorous.decimal) > 10.26
    assert [p.leaves_done for p in seen if p.leaves_total == 10][-1] == 10


@needs_faults
def test_maxpool_margins_one_by_one(tmp_path: Path) -> None:
    """Each image's margin in a file of its own is, to the bit, what it adds to the file of ten."""
    document = json.loads((MARGINS / "robust.json").read_text())
    examples = json.loads((MARGINS / "data.json").read_text())["examples"]
    margins = []
    for name in ("old.onnx",):
        (tmp_path / name).write_bytes((MARGINS / name).read_bytes())
    for example in examples:
        (tmp_path / "data.json").write_text(json.dumps({"examples": [example]}))
        one = {**document, "examples": 1, "certified": [0]}
        (tmp_path / "one.json").write_text(json.dumps(one))
        (claim,) = verify_path(tmp_path / "one.json", ONE_JOB).claims
        assert claim.bound is not None and claim.bound.rigorous is not None
        margins.append(float.fromhex(claim.bound.rigorous.hex))
    (together,) = verify_path(MARGINS / "robust.json", ONE_JOB).claims
    assert together.bound is not None and together.bound.rigorous is not None
    assert float.fromhex(together.bound.rigorous.hex) == min(margins)


@needs_faults
def test_nominal_accuracy_is_onnxruntimes() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(MARGINS / "old.onnx")
    examples = json.loads((MARGINS / "data.json").read_text())["examples"]
    images = [np.array(e["x"], np.float32).reshape(1, 1, 8, 8) for e in examples]
    right = sum(
        int(session.run(None, {"image": x})[0].argmax()) == e["y"]
        for x, e in zip(images, examples, strict=True)
    )
    (claim,) = verify_path(MARGINS / "robust.json", ONE_JOB).claims
    assert claim.details["nominal accuracy"] == f"{right} of 10"


@needs_faults
def test_an_empty_proof_certifies_image_0() -> None:
    run = solver("verify", MARGINS / "p0.vnnlib", "--network", f"N={MARGINS / 'old.onnx'}")
    assert run.verdict == "unsat"
