"""Networks that are benign, and whose values at a point version 0.1.0 could not enclose, at any precision."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import FAULTS, needs_faults
from tlcheck.readers.vnnlib.witness import read_witness
from tlcheck.referee.witness import Model, load_regions, rule_file
from tlcheck.trusted.arith.arb import lower_float, upper_float
from tlcheck.trusted.claim import SatClaim
from tlcheck.trusted.decide import decide_sat
from tlcheck.trusted.verdict import Verdict

pytestmark = needs_faults


def margin(model: Path, prop: Path, witness: Path) -> float:
    """Proved in one evaluation at 128 bits, sharply, and by the command's own path."""
    loaded = Model(model)
    assert loaded.evaluator is not None
    regions = load_regions(prop, loaded)
    read = read_witness(witness.read_bytes(), regions.query.n_inputs, file=witness.name)
    assert read is not None
    claim = SatClaim(loaded.evaluator.graph, regions.query, read.inputs)
    outcome = decide_sat(claim, 128, evaluator=loaded.evaluator)
    assert outcome.verdict is Verdict.CERTIFIED
    for y in outcome.outputs:
        assert upper_float(y) - lower_float(y) <= 2**-40 * max(1.0, abs(lower_float(y)))
    ruling = rule_file(loaded, regions, witness)
    assert ruling.ruling == "holds"
    assert ruling.real.margin is not None
    return ruling.real.margin


def test_hardswish() -> None:
    folder = FAULTS / "hardswish"
    found = margin(folder / "deep_HardSwish.onnx", folder / "w_HardSwish.vnnlib", folder / "w_HardSwish.ce")
    assert found == pytest.approx(76.66622330944763, abs=1e-12)  # float32 has 76.66628
    written = margin(folder / "deep_written.onnx", folder / "w_written.vnnlib", folder / "w_written.ce")
    assert written == pytest.approx(76.66623558276201, abs=1e-12)  # the same with 1/6 rounded to float32


@pytest.mark.parametrize("name", ["bn20", "bn60", "exact60"])
def test_batchnorm_depth(name: str) -> None:
    folder = FAULTS / "batchnorm_depth"
    found = margin(folder / f"{name}.onnx", folder / f"w_{name}.vnnlib", folder / f"w_{name}.ce")
    assert found == pytest.approx({"bn20": 0.68140, "bn60": 0.31113, "exact60": 0.31069}[name], abs=1e-5)
