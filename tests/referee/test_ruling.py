"""Rulings against the definition, evaluated independently in Fractions; corrupted witnesses; float32 facts."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.referee.small import Small, decimal, made, text
from tlcheck.prover.regions import Regions
from tlcheck.readers.vnnlib.witness import read_witness
from tlcheck.referee.witness import (
    Model,
    Ruling,
    decimal_up,
    float_up,
    load_regions,
    rule,
    rule_file,
)
from tlcheck.trusted.arith.arb import floor_float

CORRUPTIONS = ("digit", "lines", "values", "ulp")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("small")


@cache
def instance(folder: Path, seed: int) -> tuple[Small, list[str], Model, Regions]:
    small, values = made(seed)
    place = folder / str(seed)
    place.mkdir()
    model = Model(small.write(place)[0])
    return small, values, model, load_regions(place / "property.vnnlib", model)


def ruled(folder: Path, seed: int, data: str) -> Ruling:
    _, _, model, regions = instance(folder, seed)
    return rule(model, regions, read_witness(data.encode(), regions.query.n_inputs))


def corrupted(kind: str, small: Small, values: list[str], rng: np.random.Generator) -> tuple[list[str], str]:
    """(the values the corrupted file says, the file)"""
    values = list(values)
    if kind == "digit":
        i = int(rng.integers(len(values)))
        places = [k for k, c in enumerate(values[i]) if c.isdigit()]
        k = places[int(rng.integers(len(places)))]
        digit = str((int(values[i][k]) + int(rng.integers(1, 10))) % 10)
        values[i] = values[i][:k] + digit + values[i][k + 1 :]
    elif kind == "values":
        i, j = rng.choice(len(values), 2, replace=False)
        values[i], values[j] = values[j], values[i]
    elif kind == "ulp":
        upward = bool(rng.integers(2))
        i, end = (0, small.upper[0]) if upward else (1, small.lower[1])
        beyond = float(end)
        while Fraction(beyond) <= end if upward else Fraction(beyond) >= end:
            beyond = math.nextafter(beyond, math.inf if upward else -math.inf)
        values[i] = decimal(Fraction(beyond))
    if kind != "lines":
        return values, text(values)
    lines = text(values)[1:].split("\n")
    lines[0], lines[1] = lines[1], lines[0]
    return values, "(" + "\n".join(lines)


def test_a_hundred_corrupted_witnesses(folder: Path) -> None:
    """Each ruling is the one an independent exact evaluation gives, and each margin encloses the exact one."""
    rng = np.random.default_rng(7)
    seen: Counter[tuple[str, str]] = Counter()
    for k in range(100):
        seed, kind = k % 10, CORRUPTIONS[k % 4 if k < 80 else 0]
        small, values, _, _ = instance(folder, seed)
        said, data = corrupted(kind, small, values, rng)
        point = [Fraction(v) for v in said]
        ruling = ruled(folder, seed, data)
        assert ruling.ruling == small.ruling(point), (seed, kind, said)
        assert ruling.real.margin is not None and ruling.real.margin_upper is not None
        assert ruling.real.margin <= small.slack(point) <= ruling.real.margin_upper
        assert ruling.tolerance.details["input_violation"] == float_up(small.away(point))
        seen[kind, ruling.ruling] += 1
    assert {name for _, name in seen} == {"holds", "holds-repaired", "fails"}
    assert seen["ulp", "holds"] == 0
    assert seen["lines", "holds"] == sum(n for (kind, _), n in seen.items() if kind == "lines")


def test_the_witness_itself_holds_and_its_neighbours_are_told_apart(folder: Path) -> None:
    for seed in range(10):
        small, values, _, _ = instance(folder, seed)
        ruling = ruled(folder, seed, text(values))
        assert ruling.ruling == "holds"
        assert 0 <= small.slack([Fraction(v) for v in values]) < Fraction(1, 10**14)
        assert ruling.row()["settled"] == "sat"


def test_float32_facts(folder: Path) -> None:
    """The deployed fact is that of a plain onnxruntime run, compared as rationals."""
    import onnxruntime

    for seed in range(10):
        small, values, model, _ = instance(folder, seed)
        ruling = ruled(folder, seed, text(values))
        session = onnxruntime.InferenceSession(model.content, providers=["CPUExecutionProvider"])
        x = np.array([[float(v) for v in values]], np.float32)
        y = [Fraction(float(v)) for v in session.run(None, {"x": x})[0][0]]
        rounded = [Fraction(float(v)) for v in x[0]]
        slack = small.bound - (y[0] - y[1])
        assert ruling.deployed.margin == floor_float(slack)
        assert ruling.deployed.holds == (slack >= 0 and small.away(rounded) == 0)
        exact = small.slack(rounded)
        assert ruling.deployed.details["flipped"] == ((exact >= 0) != (slack >= 0))
        assert ruling.official.details["result"] == ("CORRECT" if slack >= 0 else "SPEC_NOT_VIOLATED")


def test_far_outside_fails(folder: Path) -> None:
    _, values, _, _ = instance(folder, 0)
    ruling = ruled(folder, 0, text([str(float(values[0]) + 0.001), *values[1:]]))
    assert ruling.ruling == "fails"
    assert ruling.tolerance.holds is False
    assert ruling.tolerance.details["within_tolerance"] is False
    assert ruling.repaired.holds is None


def test_holds_only_beyond_its_bound(tmp_path: Path) -> None:
    """A bound between the margins at the point and at the point moved into its region."""
    found = 0
    for seed in range(10):
        small, values = made(seed)
        inside = [Fraction(v) for v in values]
        beyond = [inside[0] + Fraction(1, 20_000), *inside[1:]]
        at, outside = (small.bound - small.slack(x) for x in (inside, beyond))
        if not outside < at:
            continue
        found += 1
        bound = Fraction(math.floor((at + outside) / 2 * 10**15), 10**15)
        place = tmp_path / str(seed)
        place.mkdir()
        model = Model(replace(small, bound=bound).write(place)[0])
        regions = load_regions(place / "property.vnnlib", model)
        data = text([decimal(v) for v in beyond]).encode()
        ruling = rule(model, regions, read_witness(data, 3))
        assert ruling.ruling == replace(small, bound=bound).ruling(beyond) == "tolerance-only"
        assert (ruling.real.holds, ruling.tolerance.holds, ruling.repaired.holds) == (False, True, False)
        assert ruling.official.details["result"] == "CORRECT_UP_TO_TOLERANCE"
        assert ruling.tolerance.details["input_violation_decimal"] == "0.00005"
        assert ruling.row()["settled"] is None
    assert found >= 3


def test_bad_files_are_rulings(folder: Path, tmp_path: Path) -> None:
    _, _, model, regions = instance(folder, 0)
    cases = {
        "": ("empty", "NO_CE"),
        "sat": ("empty", "NO_CE"),
        "((X_0 1) (X_1": ("malformed", "MALFORMED"),
        "((X_0 nan) (X_1 0) (X_2 0))": ("malformed", "MALFORMED"),
        "((X_0 1))": ("wrong-shape", "WRONG_SHAPE"),
    }
    for content, expected in cases.items():
        path = tmp_path / "w"
        path.write_text(content)
        ruling = rule_file(model, regions, path)
        assert (ruling.ruling, ruling.official.details["result"]) == expected
        assert ruling.real.holds is None
    assert rule_file(model, regions, tmp_path / "missing").ruling == "empty"


def test_unsupported_network_still_gets_its_float32_facts(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Inverse", ["x"], ["y"], domain="com.microsoft")],
        "unsupported",
        [tensor("x", TensorProto.FLOAT, [1, 1])],
        [tensor("y", TensorProto.FLOAT, [1, 1])],
    )
    imports = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=8)
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    (tmp_path / "p.vnnlib").write_text(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0.0))(assert (<= X_0 1.0))(assert (>= Y_0 0.5))"
    )
    model = Model(path)
    regions = load_regions(tmp_path / "p.vnnlib", model)
    ruling = rule(model, regions, read_witness(b"((X_0 0.75) (Y_0 1.0))", 1))
    assert (ruling.ruling, ruling.code) == ("unsupported", "TLC202")
    assert ruling.deployed.holds is True
    assert ruling.official.details["result"] == "CORRECT"


def test_undecidable_point_is_never_guessed(tmp_path: Path) -> None:
    """sign(x_0 - x_1) at x_0 = x_1 = 0.1, which no ball decides; a tenth of a millionth beside it is decided."""
    from onnx import TensorProto, helper, numpy_helper

    from tlcheck.cli.main import main

    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["d"]), helper.make_node("Sign", ["d"], ["y"])],
        "step",
        [tensor("x", TensorProto.FLOAT, [1, 2])],
        [tensor("y", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(np.array([[1], [-1]], np.float32), "w")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    box = "".join(f"(declare-const X_{i} Real)(assert (>= X_{i} 0.0))(assert (<= X_{i} 1.0))" for i in (0, 1))
    (tmp_path / "p.vnnlib").write_text(f"{box}(declare-const Y_0 Real)(assert (>= Y_0 0.0))")
    model = Model(tmp_path / "m.onnx")
    regions = load_regions(tmp_path / "p.vnnlib", model)
    ruling = rule(model, regions, read_witness(b"((X_0 0.1) (X_1 0.1) (Y_0 0))", 2))
    assert (ruling.ruling, ruling.code, ruling.real.holds) == ("unsupported", "TLC012", None)
    assert ruling.deployed.holds is True
    beside = rule(model, regions, read_witness(b"((X_0 0.1000001) (X_1 0.1))", 2))
    assert (beside.ruling, beside.real.margin) == ("holds", 1.0)
    (tmp_path / "w").write_text("((X_0 0.1) (X_1 0.1))")
    assert main(["vnncomp", "witness", *(str(tmp_path / name) for name in ("m.onnx", "p.vnnlib", "w"))]) == 4


# Rounding.


@pytest.mark.parametrize(
    "q",
    [
        Fraction(1, 3),
        Fraction(1, 10**20),
        Fraction(10**30 + 1),
        Fraction(0),
        Fraction(1, 10_000),
        Fraction(99999999999999999999),
    ],
)
def test_rounding_up(q: Fraction) -> None:
    assert Fraction(decimal_up(q)) >= q
    assert Fraction(decimal_up(q)) <= q * (1 + Fraction(1, 10**16))
    assert floor_float(q) <= q <= float_up(q)
    assert float_up(Fraction(1, 4)) == 0.25 == floor_float(Fraction(1, 4))
