"""What a check imports: by its kind, its files and its options, and nothing more. Modules are counted, not seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import small_proofs
from tests.helpers import REPOSITORY
from tests.rings import accepted

CODE = (
    "import sys; from tlcheck.cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
)
NEVER = (
    "tlcheck.prover", "tlcheck.solver", "tlcheck.referee", "tlcheck.runtime", "tlcheck.plot", "tlcheck.writers",
    "tlcheck.checking.crosscheck.compare", "tlcheck.checking.crosscheck.mp_intervals", "tlcheck.report.document",
    "tlcheck.report.junit", "tlcheck.report.sarif", "tlcheck.report.rests_on", "tlcheck.report.codes", "tlcheck.cli.plot",
    "tlcheck.cli.vnnlib", "tlcheck.cli.vnncomp", "tlcheck.cli.explain", "tlcheck.cli.certify_pinn", "mpmath", "matplotlib", "vnnlib",
    "onnxruntime", "tlcheck.readers.formats.abcrown", "tlcheck.readers.own.lyapunov_specs",
)  # fmt: skip
"""No check in text needs these."""
NO_NETWORK = (
    "onnx", "google", "ml_dtypes", "numpy", "tlcheck.keys", "tlcheck.readers.onnx", "tlcheck.readers.vnnlib", "tlcheck.readers.sequential",
    "tlcheck.readers.bundle.queries", "tlcheck.readers.torchlean.mlp", "tlcheck.trusted.graph", "tlcheck.trusted.ops",
    "tlcheck.trusted.arith.integer", "tlcheck.trusted.arith.ball64", "tlcheck.trusted.plan", "tlcheck.checking.unsat",
)  # fmt: skip
NO_SCIENCE = (
    "tlcheck.trusted.science", "tlcheck.trusted.calculus", "tlcheck.trusted.taylor", "tlcheck.trusted.conditions",
    "tlcheck.readers.torchlean", "tlcheck.readers.own", "tlcheck.readers.sequential", "tlcheck.readers.onnx.pooling",
    "tlcheck.readers.onnx.einsum", "tlcheck.readers.onnx.resize", "tlcheck.readers.onnx.normalization",
    "tlcheck.readers.onnx.computed_indices", "tlcheck.readers.onnx.convolution", "tlcheck.trusted.arith.ball64",
    "tlcheck.trusted.arith.probe", "tlcheck.trusted.evaluate", "tlcheck.trusted.rounding", "tlcheck.trusted.ops.s_shaped",
    "tlcheck.trusted.ops.smooth", "tlcheck.trusted.ops.discrete", "tlcheck.trusted.ops.convolution", "tlcheck.checking.sat",
    "tlcheck.checking.conditions",
)  # fmt: skip


def loaded(path: Path, *options: str) -> set[str]:
    command = [sys.executable, "-c", CODE, "verify", "--jobs", "1", *options, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert "CERTIFIED" in done.stdout
    return set(done.stderr.split())


def found(modules: set[str], forbidden: tuple[str, ...]) -> list[str]:
    return sorted(
        name for name in modules if any(name == word or name.startswith(f"{word}.") for word in forbidden)
    )


def test_a_spline_in_json_needs_no_network(tmp_path: Path) -> None:
    json_file = tmp_path / "x.json"
    json_file.write_bytes((accepted("spline-parabola") / "spline.json").read_bytes())
    assert found(loaded(json_file), (*NEVER, *NO_NETWORK, "tlcheck.readers.bundle.read")) == []


@pytest.mark.parametrize("name", ["spline-parabola", "camera-all-conditions"])
def test_a_bundle_without_networks_needs_none(name: str) -> None:
    assert found(loaded(accepted(name)), (*NEVER, *NO_NETWORK)) == []


def test_a_small_proof_needs_no_science_and_no_other_operators() -> None:
    modules = loaded(accepted("digits-mlp"))
    assert found(modules, (*NEVER, *NO_SCIENCE)) == []
    assert {"tlcheck.readers.onnx.matrices", "tlcheck.trusted.arith.integer"} <= modules


def test_what_a_file_asks_for_is_there(tmp_path: Path) -> None:
    """The lists above are of names that exist, and that some check loads."""
    several = [
        loaded(accepted("spline-near-tanh")), loaded(accepted("digits-pooled"), "--arith", "ball64"), loaded(accepted("digits-conv")),
        loaded(accepted("absolute-witness-on-the-boundary")), loaded(accepted("digits-mlp"), "--semantics", "deployed"),
        loaded(accepted("digits-sigmoid-lines")), loaded(accepted("digits-mlp"), "--cross-check"),
        loaded(small_proofs.one_leaf(tmp_path, "Sign")), loaded(accepted("pinn-domain-sup")),
    ]  # fmt: skip
    asked = set().union(*several)
    rare = ("einsum", "resize", "normalization", "computed_indices", "sequential", "torchlean.mlp", "smooth")
    assert [
        name for name in (*NO_NETWORK, *NO_SCIENCE) if not found(asked, (name,)) and not name.endswith(rare)
    ] == []
    assert [name for name in NEVER if name.startswith("tlcheck") and not is_module(name)] == []
    assert [
        name for name in (*NO_NETWORK, *NO_SCIENCE) if name.startswith("tlcheck") and not is_module(name)
    ] == []


def is_module(name: str) -> bool:
    path = REPOSITORY.joinpath(*name.split("."))
    return path.is_dir() or path.with_name(f"{path.name}.py").is_file()
