"""Labels of published Lyapunov queries: what they say, what they do not, and what their boxes leave out."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import DATA, needs_data
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import load_model
from tlcheck.readers.own.lyapunov_specs import (
    BandQuery,
    StepQuery,
    label,
    measured_kappa,
    read_covers,
    read_two_stage,
    recognise,
    uncovered,
)
from tlcheck.readers.vnnlib.read import load_property, read_property
from tlcheck.trusted.query import InputBox, Query

LYAPUNOV = DATA / "scientific" / "lyapunov"
VI, LSNC = LYAPUNOV / "vi_specs", LYAPUNOV / "lsnc_2024"

SHIPPED = {
    # file name's start: states, level, tolerance, first end of the next box
    "path_tracking_state_feedback_quadratic": (2, "1.85760951", "1e-6", "3.000001"),
    "path_tracking_state_feedback_small_torque": (2, "22.8664703369", "1e-6", "3.000001"),
    "path_tracking_state_feedback": (2, "36.48387", "1e-6", "3.000001"),
    "pendulum_output_feedback_nn": (4, "0.05031286180019379", "1e-5", "3.14001"),
    "pendulum_state_feedback_quadratic_450": (2, "450", "1e-6", "12.000001"),
    "pendulum_state_feedback_quadratic": (2, "75.2487", "1e-6", "12.000001"),
    "pendulum_state_feedback_small_torque": (2, "1.15516", "1e-6", "12.000001"),
    "pendulum_state_feedback": (2, "672", "1e-6", "12.000001"),
    "pvtol_state_feedback": (6, "0.64410400390625", "1e-5", None),
    "quadrotor2d_output": (8, "0.045", "1e-6", "0.10000099986791611"),
    "quadrotor2d_state": (6, "1.3392", "1e-6", "0.7500010132789612"),
}

STEP = """(declare-const X_0 Real) (declare-const Y_0 Real) (declare-const Y_1 Real) (declare-const Y_2 Real)
(assert (>= X_0 0.5)) (assert (<= X_0 1))
(assert (or (and (<= Y_0 -1e-3)) (and (<= Y_2 -1.5)) (and (>= Y_2 1.25))))
(assert (<= Y_1 2))
"""


def read(text: str) -> Query:
    return read_property(text.encode(), n_inputs=None, n_outputs=None)


def test_a_step_is_recognised() -> None:
    found = recognise(read(STEP))
    assert isinstance(found, StepQuery)
    assert (found.level, found.tolerance) == (2, Fraction(1, 1000))
    assert found.next_box == InputBox((Fraction(-3, 2),), (Fraction(5, 4),))
    text = "; ".join(found.says(Fraction(1, 2)))
    assert "V falls where V(x) >= 0.002; elsewhere it may rise by up to 0.001" in text
    assert "no decrease is stated anywhere" in "; ".join(found.says(Fraction(0)))
    assert "the origin is not in it" in text and text.endswith(
        "not stability, and not invariance of a level set"
    )
    with pytest.raises(ValueError, match="kappa"):
        found.says(Fraction(-1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(assert (<= Y_1 2))", ""),
        ("(assert (<= Y_1 2))", "(assert (>= Y_1 2))"),
        ("(assert (<= Y_1 2))", "(assert (<= Y_1 2)) (assert (>= Y_1 1))"),
        ("(and (<= Y_0 -1e-3))", ""),
        ("(and (<= Y_0 -1e-3))", "(and (>= Y_0 -1e-3))"),
        ("(and (<= Y_0 -1e-3))", "(and (<= Y_0 -1e-3) (<= X_0 0.7))"),
        ("(and (<= Y_0 -1e-3))", "(and (<= Y_0 Y_2))"),
        ("(and (>= Y_2 1.25))", ""),
        ("(and (>= Y_2 1.25))", "(and (>= Y_2 -2))"),
        ("(and (>= Y_2 1.25))", "(and (>= (* 2 Y_2) 1.25))"),
        ("(and (>= Y_2 1.25))", "(and (>= Y_2 1.25)) (and (>= Y_2 1.5))"),
        ("(declare-const Y_2 Real)", "(declare-const Y_2 Real) (declare-const Y_3 Real)"),
        ("(<= X_0 1)", "(<= X_0 0.25)"),
    ],
)  # fmt: skip
def test_anything_else_has_no_label(old: str, new: str) -> None:
    text = STEP.replace(old, new)
    assert text != STEP
    try:
        found = recognise(read(text))
    except InvalidInput:
        return
    assert found is None and label(read(text)) is None


def test_a_negative_tolerance_is_a_margin() -> None:
    found = recognise(read(STEP.replace("-1e-3", "1e-3")))
    assert isinstance(found, StepQuery) and "V falls by more than 0.001" in found.says()[1]


def test_a_band_is_recognised() -> None:
    text = """(declare-const X_0 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)
(assert (>= X_0 -1)) (assert (<= X_0 1))
(assert (>= Y_0 0.25)) (assert (<= Y_0 0.75)) (assert (>= Y_1 0))"""
    found = recognise(read(text))
    assert isinstance(found, BandQuery) and (found.inner, found.outer) == (Fraction(1, 4), Fraction(3, 4))
    assert "nothing where V(x) < 0.25" in found.says()[1]
    assert recognise(read(text.replace("(>= Y_1 0)", "(>= Y_1 0.1)"))) is None
    assert recognise(read(text.replace("(<= Y_0 0.75)", "(<= Y_0 0.125)"))) is None


# Covers.


def square(a: float, b: float, c: float, d: float) -> InputBox:
    return InputBox((Fraction(a), Fraction(c)), (Fraction(b), Fraction(d)))


AROUND = [square(1, 4, -4, 4), square(-4, -1, -4, 4), square(-1, 1, 1, 4), square(-1, 1, -4, -1)]


def test_what_boxes_leave_out() -> None:
    region = square(-4, 4, -4, 4)
    assert list(uncovered(region, AROUND)) == [square(-1, 1, -1, 1)]
    assert list(uncovered(region, [*AROUND, square(-1, 1, -1, 1)])) == []
    assert list(uncovered(region, [])) == [region]
    sliver = Fraction(1, 10**40)
    short = replace(AROUND[0], lower=(1 + sliver, Fraction(-4)))
    assert sum(p.upper[0] - p.lower[0] == sliver for p in uncovered(region, [short, *AROUND[1:]])) >= 1


def test_covers_agree_with_a_grid() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        ends = np.sort(rng.integers(0, 7, (rng.integers(1, 9), 2, 2)), axis=2)
        boxes = [square(*map(float, e.reshape(-1))) for e in ends]
        left = list(uncovered(square(0, 6, 0, 6), boxes))
        for x in np.arange(0.5, 6):
            for y in np.arange(0.5, 6):
                free = not any(a < x < b and c < y < d for (a, b), (c, d) in ends)
                inside = sum(p.lower[0] < x < p.upper[0] and p.lower[1] < y < p.upper[1] for p in left)
                assert inside == free


def test_instances_are_read_or_refused(tmp_path: Path) -> None:
    table = tmp_path / "x.csv"
    (tmp_path / "a.vnnlib").write_text(STEP)
    table.write_text("net.onnx,elsewhere/a.vnnlib,100\n\n")
    (cover,) = read_covers(table)
    assert cover.left == () and "all of their hull" in cover.says()[3]
    table.write_text("a.vnnlib\nb.vnnlib\n")
    (cover,) = read_covers(table)
    assert cover.missing == ("b.vnnlib",) and "1 of 2 instances are there" in cover.says()[0]
    (tmp_path / "b.vnnlib").write_text(STEP.replace("Y_1 2", "Y_1 3"))
    (cover,) = read_covers(table)
    assert "different levels" in cover.says()[0]
    for bad, code in (("a.txt\n", "TLC101"), ("c.vnnlib\n", "TLC101")):
        (tmp_path / "c.vnnlib").write_text(STEP.replace("(assert (<= Y_1 2))", ""))
        table.write_text(bad)
        with pytest.raises(InvalidInput) as error:
            read_covers(table)
        assert error.value.code == code


# Shipped files.


@needs_data
def test_every_shipped_query_has_its_label() -> None:
    files = sorted(VI.glob("*.vnnlib")) + sorted(LSNC.glob("*.vnnlib.gz"))
    assert len(files) == 88
    for file in files:
        found = recognise(load_property(file))
        states, level, tolerance, end = SHIPPED[file.name.split(".")[0].rpartition("_")[0]]
        assert isinstance(found, StepQuery), file.name
        assert found.box.size == states
        assert (found.level, found.tolerance) == (Fraction(level), Fraction(tolerance)), file.name
        assert (found.next_box is None) == (end is None)
        assert found.next_box is None or found.next_box.upper[0] == -found.next_box.lower[0] == Fraction(
            str(end)
        )
        said = " ".join(found.says()) + " ".join(found.says(Fraction(0)))
        assert "stable" not in said and said.count("stability") == said.count("not stability") == 2


@needs_data
def test_shipped_lists_leave_a_hole_at_the_origin() -> None:
    whole = 0
    for table in sorted(VI.glob("*.csv")):
        (cover,) = read_covers(table)
        if cover.missing:
            assert cover.left is None and len(cover.says()) == 2
            continue
        whole += 1
        assert cover.left is not None and len(cover.left) == 1 and not cover.more
        hole = cover.left[0]
        assert all(-a == b > 0 for a, b in zip(hole.lower, hole.upper, strict=True))
        share = "0.1 of its sides" if "pvtol" in table.name or "nn" in table.name else "0.001 of its sides"
        assert any("around the origin, " + share in line for line in cover.says())
    assert whole == 9
    output, state = sorted(
        read_covers(LSNC / "instances.csv"), key=lambda c: -len(c.hull.lower if c.hull else ())
    )
    assert output.more and state.more and len(output.queries) == len(state.queries) == 20


@needs_data
def test_kappa_of_shipped_models() -> None:
    for kind in ("state", "output"):
        graph = load_model(LSNC / f"quadrotor2d_{kind}.onnx.gz")
        query = load_property(LSNC / f"quadrotor2d_{kind}_0.vnnlib.gz")
        found = recognise(query)
        assert isinstance(found, StepQuery)
        ends = measured_kappa(graph, found)
        assert ends is not None and -1e-30 < ends[0] <= 0 <= ends[1] < 1e-30
        said = label(query, graph)
        assert said is not None and "kappa = 0" in said[1]
        other = replace(graph, outputs=graph.outputs * 2, output_names=("a", "b"))
        assert measured_kappa(other, found) is None


@needs_data
def test_the_two_stage_specification() -> None:
    data = (LYAPUNOV / "two_stage" / "van_seed0_spec.json").read_bytes()
    found = read_two_stage(data, "x")
    assert (found.inner, found.outer) == (Fraction("0.0106"), Fraction("0.989"))
    assert found.box.upper == (Fraction("4.8"), Fraction("10.8"))
    for old, new in ((b'"0.0106"', b'"1.5"'), (b"-4.8", b"5.5"), (b'"c1"', b'"c3"'), (b'"0.989"', b'"x"')):
        with pytest.raises(InvalidInput):
            read_two_stage(data.replace(old, new), "x")


def test_ends_of_a_two_stage_box_are_exact() -> None:
    text = '{"box": [[-1, 0.1000000000000000055]], "c1": "0.1", "c2": "0.2"}'
    assert read_two_stage(text.encode(), "x").box.upper == (Fraction("0.1000000000000000055"),)
    with pytest.raises(InvalidInput):
        read_two_stage(text.replace("-1", '"a"').encode(), "x")
