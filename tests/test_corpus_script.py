"""The corpus is what its script makes, its false claims are false, and every arithmetic gives the same verdicts."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import CERTIFICATES, ENGINES, REPOSITORY
from tlcheck.cli.main import main
from tlcheck.readers.bundle.read import read_bundle
from tlcheck.readers.bundle.store import open_store
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.decide import decide_sat
from tlcheck.trusted.query import Disjunct, Query
from tlcheck.trusted.verdict import Verdict

SCRIPT = CERTIFICATES / "producers" / "corpus.py"
MAX_BYTES = 7 << 18
GROUPS = ("accept", "reject", "undecided", "malformed")


def expectation(case: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    return found


FALSE_CLAIMS = [
    case
    for group in ("reject", "regressions")
    for case in sorted((CERTIFICATES / group).iterdir())
    if (case / "expected.json").is_file() and "counterexample" in expectation(case)
]


def test_the_script_makes_the_committed_files() -> None:
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_proofs_can_be_found_anew() -> None:
    """Splits of inputs and of neurons, by tlcheck's prover; each is decided by the checker before it is taken."""
    code = """if True:
        import sys

        sys.path[:0] = sys.argv[1:]
        from prove import KEPT, proofs
        from proofs import split_proof, teeth

        proofs().anew = True
        for bundle in (teeth(), split_proof()):
            assert bundle.array("leaves/claimed").min() > 0
        assert proofs().packed() != KEPT.read_bytes()  # only what was asked for
    """
    folders = [str(SCRIPT.parent), str(REPOSITORY)]
    run = subprocess.run(
        [sys.executable, "-c", code, *folders], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_corpus_is_small_and_large_enough() -> None:
    files = [p for group in GROUPS for p in (CERTIFICATES / group).rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < MAX_BYTES
    counts = {group: sum(1 for p in (CERTIFICATES / group).iterdir() if p.is_dir()) for group in GROUPS}
    assert counts["accept"] >= 12
    assert counts["reject"] >= 25
    assert counts["undecided"] >= 4
    assert counts["malformed"] >= 25
    assert len(FALSE_CLAIMS) >= 20
    assert sum(1 for p in (CERTIFICATES / "regressions").iterdir() if p.is_dir()) >= 20


# False claims.


@pytest.mark.parametrize("case", FALSE_CLAIMS, ids=lambda case: case.name)
def test_the_counterexample_is_one(case: Path) -> None:
    """At the point, some disjunct holds: by tlcheck's exact evaluation, and by fractions that share no code with it."""
    expected = expectation(case)
    bundle = read_bundle(case / "x.tlcert", None, None)
    claim = bundle.claims[expected["claim"]].claim
    assert isinstance(claim, UnsatClaim)
    point = tuple(Fraction(text) for text in expected["counterexample"])
    assert decide_sat(SatClaim(claim.graph, claim.query, point), 256).verdict is Verdict.CERTIFIED
    outputs = evaluated(bytes(open_store(case / "x.tlcert").view("model.onnx")), point)
    assert satisfied(claim.query, point, outputs)


def satisfied(query: Query, point: tuple[Fraction, ...], outputs: list[Fraction]) -> bool:
    def holds(d: Disjunct) -> bool:
        inside = all(a <= x <= b for a, x, b in zip(d.box.lower, point, d.box.upper, strict=True))
        for c in d.constraints:
            left = sum((q * point[i] for i, q in c.inputs), Fraction(0)) + sum(
                (q * outputs[j] for j, q in c.outputs), Fraction(0)
            )
            inside = inside and (left < c.bound if c.strict else left <= c.bound)
        return inside

    return any(holds(d) for d in query.disjuncts)


def evaluated(model: bytes, point: tuple[Fraction, ...]) -> list[Fraction]:
    """The exact outputs of a network of a few operators, in plain fractions; MaxPool is that of one regression."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(model).graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    values: dict[str, list[Fraction]] = {}
    start = 0
    for tensor in graph.input:
        size = int(np.prod([d.dim_value for d in tensor.type.tensor_type.shape.dim]))
        values[tensor.name] = list(point[start : start + size])
        start += size
    for node in graph.node:
        if node.op_type == "Gemm":
            weight, bias = constants[node.input[1]], constants[node.input[2]]
            x = values[node.input[0]]
            rows = [[Fraction(float(w)) for w in row] for row in weight]
            result = [
                sum((w * v for w, v in zip(row, x, strict=True)), Fraction(float(b)))
                for row, b in zip(rows, bias, strict=True)
            ]
        elif node.op_type == "MatMul":
            columns = constants[node.input[1]].T
            result = [
                sum(
                    (Fraction(float(w)) * v for w, v in zip(c, values[node.input[0]], strict=True)),
                    Fraction(0),
                )
                for c in columns
            ]
        else:
            operands = [values[name] for name in node.input if name in values]
            match node.op_type:
                case "Relu":
                    result = [max(v, Fraction(0)) for v in operands[0]]
                case "Add":
                    result = [a + b for a, b in zip(*operands, strict=True)]
                case "Concat":
                    result = [v for x in operands for v in x]
                case "QuantizeLinear":
                    scale, zero = (constants[name] for name in node.input[1:])
                    whole = [round(v / Fraction(float(scale))) + int(zero) for v in operands[0]]
                    result = [Fraction(min(max(n, 0), 255)) for n in whole]
                case "DequantizeLinear":
                    scale, zero = (constants[name] for name in node.input[1:])
                    result = [(v - int(zero)) * Fraction(float(scale)) for v in operands[0]]
                case "MaxPool":  # two windows, each of one entry and one padding
                    assert len(operands[0]) == 2
                    result = operands[0]
                case "Slice":  # these three are of one regression, on a vector
                    result = _backwards(
                        operands[0], *(int(constants[name].item()) for name in node.input[1:])
                    )
                case "Shape":
                    result = [Fraction(len(operands[0]))]
                case "Gather":
                    result = [operands[0][int(i)] for i in operands[1]]
                case "Identity" | "Reshape" | "Flatten":
                    result = operands[0]
                case other:
                    raise ValueError(other)
        values[node.output[0]] = result
    return [v for tensor in graph.output for v in values[tensor.name]]


def _backwards(x: list[Fraction], start: int, end: int, axis: int, step: int) -> list[Fraction]:
    """Slice by a step of -1, from the standard's text: the start is clamped to [0, n - 1], the end to [-1, n - 1]."""
    n = len(x)
    assert step == -1 and axis == 0
    first = min(max(start + n if start < 0 else start, 0), n - 1)
    stop = min(max(end + n if end < 0 else end, -1), n - 1)
    return [x[i] for i in range(first, stop, -1)]


# All arithmetics, and what depends on options.


CONDITIONS = {
    "tlcheck.pinn",
    "tlcheck.stability",
    "tlcheck.lyapunov",
    "tlcheck.camera",
    "tlcheck.corridor",
    "tlcheck.spline",
}
"""Kinds of claims whose conditions are decided in Arb, whatever --arith says: ``tests/cli/test_corpus.py`` checks them once."""


def has_leaves(case: Path) -> bool:
    """Some claim of the case is of another kind."""
    if not (case / "x.tlcert").exists():
        return True
    manifest = json.loads(bytes(open_store(case / "x.tlcert").view("manifest.json")))
    return not {claim.get("format") or claim.get("artifact") for claim in manifest["claims"]} <= CONDITIONS


@pytest.mark.parametrize("arith", ENGINES)
@pytest.mark.parametrize("group", ["accept", "reject", "undecided"])
def test_every_arithmetic_agrees(group: str, arith: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    cases = [
        str(case) for case in sorted((CERTIFICATES / group).iterdir()) if case.is_dir() and has_leaves(case)
    ]
    main(["verify", *cases, "--jobs", "1", "--arith", arith, "--format", "json", "--output", str(report)])
    results = json.loads(report.read_text(encoding="utf-8"))["results"]
    assert len(results) >= len(cases) > 5
    for result in results:
        expected = expectation(Path(result["path"]).parent)
        verdicts = {claim["verdict"] for claim in result["claims"]}
        assert verdicts == {expected["verdict"]}, result["path"]


def test_more_precision_decides() -> None:
    case = CERTIFICATES / "undecided" / "precision-too-low"
    assert main(["verify", "-q", str(case)]) == 4
    assert main(["verify", "-q", str(case), "--precision", "512"]) == 0


def test_the_backdoor_does_not_survive_float32() -> None:
    case = CERTIFICATES / "accept" / "backdoor-over-the-reals"
    assert main(["verify", "-q", str(case)]) == 0
    assert main(["verify", "-q", str(case), "--semantics", "deployed"]) == 4
