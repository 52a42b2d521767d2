"""The reference checker: it shares nothing with tlcheck, means by operators what onnxruntime does, and agrees on cases and mutants (all: ``make twin``)."""

from __future__ import annotations

import ast
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import CERTIFICATES
from tests.twin import MUTATIONS, compare
from tests.twin_bundles import REFERENCE, SCRIPT, files_of, write
from tests.twin_fields import zipped
from tests.twin_networks import BUILDERS, build, run
from tests.twin_truth import claims, formulas, networks

QUICK = (
    "accept/absolute-split-away-from-zero", "accept/backdoor-over-the-reals", "accept/digits-mlp-gzip", "accept/empty-region",
    "accept/maximum-dominates-input", "accept/sawtooth-input-splits", "accept/surface-two-boxes", "reject/bias-shifted",
    "reject/dropped-leaf", "reject/gap-between-split-points", "reject/multipliers-huge", "reject/strict-turned", "reject/touches-the-threshold",
    "undecided/exact-tie-strict", "regressions/exact-tie-at-a-tip", "regressions/multiplier-in-two-halves", "regressions/steep-leaky-relu",
    "regressions/strict-at-a-decimal-end", "regressions/strict-by-a-sum", "regressions/strict-inputs-exclude-each-other",
    "regressions/zeros-beside-auto-pad", "malformed/deep-json", "malformed/path-escape", "malformed/hash-mismatch", "malformed/cyclic-tree",
    "malformed/duplicate-key", "malformed/nan-weight", "malformed/zip-link", "malformed/zip-with-a-tail", "malformed/arrays-overlap",
)  # fmt: skip


def test_it_needs_the_standard_library_alone() -> None:
    imports = [
        n for n in ast.walk(ast.parse(SCRIPT.read_text())) if isinstance(n, ast.Import | ast.ImportFrom)
    ]
    names = {alias.name for n in imports if isinstance(n, ast.Import) for alias in n.names}
    names |= {n.module or "" for n in imports if isinstance(n, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize("case", QUICK)
def test_both_say_the_same(case: str) -> None:
    for pair in compare(case, CERTIFICATES / case / "x.tlcert"):
        assert pair.ours[0] == pair.reference[0] or (
            pair.reference[0] == "UNSUPPORTED" and pair.ours[0] == "INVALID"
        ), pair


@pytest.mark.parametrize(("case", "code", "word"), [
    ("accept/surface-two-boxes", 0, "CERTIFIED"), ("reject/strict-turned", 4, "UNPROVEN"), ("malformed/hash-mismatch", 3, "INVALID"),
    ("accept/digits-tanh-lines", 3, "UNSUPPORTED"),
])  # fmt: skip
def test_its_words_and_exit_codes(
    case: str, code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert REFERENCE.main([str(CERTIFICATES / case / "x.tlcert")]) == code
    assert capsys.readouterr().out.startswith(word)


def test_it_is_a_program() -> None:
    case = CERTIFICATES / "accept" / "surface-two-boxes" / "x.tlcert"
    done = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, case], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "CERTIFIED", "")


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_operators_mean_what_onnxruntime_does(name: str) -> None:
    """The box of a point holds what float32 gives, up to its rounding."""
    model = build(name, 3)
    net = REFERENCE.read_onnx(model.SerializeToString())
    shape = BUILDERS[name][1]
    x = (np.random.default_rng(5).integers(-8, 9, size=shape) / 8).astype(np.float32)
    point = [Fraction(float(v)) for v in x.ravel()]
    boxes = [REFERENCE.Box(point, point)]
    for n in range(1, len(net.nodes)):
        boxes.append(REFERENCE.forward(net, n, boxes))
    box = boxes[net.output]
    assert all(u - l < Fraction(1, 10**30) for l, u in zip(box.lower, box.upper, strict=True))
    assert [float(l) for l in box.lower] == pytest.approx(run(model, x).ravel().tolist(), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    "case", ["accept/surface-two-boxes", "regressions/exact-tie-at-a-tip", "accept/maximum-dominates-input"]
)
def test_mutants(case: str, tmp_path: Path) -> None:
    files, rng = files_of(CERTIFICATES / case / "x.tlcert"), random.Random(case)
    for kind, mutation in MUTATIONS.items():
        if (changed := mutation(files, rng)) is not None:
            path = tmp_path / f"{kind.replace(' ', '-')}.tlcert"
            write(changed, path)
            assert all(pair.kind != "FALSE" for pair in compare(kind, path)), kind


@pytest.mark.parametrize(
    "name", ["transpose-of-three-axes", "conv-pads-top-left-bottom-right", "normalized", "leaky"]
)
def test_claims_of_known_truth(name: str, tmp_path: Path) -> None:
    files, made = claims(name, networks()[name])
    write(files, tmp_path / "x")
    for (said, true), pair in zip(made, compare(name, tmp_path / "x"), strict=True):
        assert {pair.ours[0], pair.reference[0]} == {"CERTIFIED" if true else "UNPROVEN"}, said


def test_formulas_that_a_point_satisfies(tmp_path: Path) -> None:
    for number, (files, said, met) in enumerate(formulas(12, 4)):
        write(files, tmp_path / str(number))
        for pair in compare(said, tmp_path / str(number)):
            assert pair.kind != "FALSE" and not (met and "CERTIFIED" in (pair.ours[0], pair.reference[0])), (
                said
            )


@pytest.mark.parametrize(
    "way", ["stored member of two sizes", "gap between members", "two names of one member"]
)
def test_zips_whose_records_disagree(way: str, tmp_path: Path) -> None:
    """The reference checker says that it does not know them: Python's zipfile reads the first as if nothing were wrong."""
    files = files_of(CERTIFICATES / "accept" / "surface-two-boxes" / "x.tlcert")
    data = bytearray(zipped([(name, content, 0, 0) for name, content in files.items()]))
    directory = data.index(b"PK\1\2")
    if way.startswith("stored"):
        data[directory + 20] ^= 1
    elif way.startswith("two"):
        data[30] ^= 1
    else:
        data[-6:-2] = (int.from_bytes(data[-6:-2], "little") + 1).to_bytes(4, "little")
        data.insert(directory, 0)
    (tmp_path / "x.tlcert").write_bytes(data)
    assert [word for _, word, _ in REFERENCE.check(tmp_path / "x.tlcert")] == ["UNSUPPORTED"]
