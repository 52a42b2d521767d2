"""VNN-LIB readers: the normal form means what the file says, and nothing malformed gets through."""

from __future__ import annotations

import gzip
import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import vnnlib
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import DATA, needs_data
from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_SEXPR_DEPTH
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.vnnlib import normal_form as normal_form_module
from tlcheck.readers.vnnlib.normal_form import normal_form
from tlcheck.readers.vnnlib.read import load_property, read_property
from tlcheck.readers.vnnlib.version1 import read_vnnlib1
from tlcheck.trusted.query import Disjunct, LinearConstraint, Query

F = Fraction


def read(text: str, n_inputs: int | None = None, n_outputs: int | None = None) -> Query:
    return read_property(text.encode(), n_inputs=n_inputs, n_outputs=n_outputs, file="p.vnnlib")


def declared(n_inputs: int, n_outputs: int) -> str:
    names = [f"X_{i}" for i in range(n_inputs)] + [f"Y_{j}" for j in range(n_outputs)]
    return "".join(f"(declare-const {name} Real)\n" for name in names)


def bounded(n_inputs: int, n_outputs: int, *assertions: str) -> str:
    """Declarations, every input in [-1, 1], and ``assertions``."""
    bounds = "".join(f"(assert (>= X_{i} -1))(assert (<= X_{i} 1.0))\n" for i in range(n_inputs))
    return declared(n_inputs, n_outputs) + bounds + "".join(f"(assert {a})\n" for a in assertions)


def version2(n_inputs: str, n_outputs: str, *assertions: str) -> str:
    """A 2.0 text of one network with tensors X and Y of the given shapes."""
    network = f"(declare-network f (declare-input X real [{n_inputs}]) (declare-output Y real [{n_outputs}]))"
    return f"(vnnlib-version <2.0>)\n{network}\n" + "".join(f"(assert {a})\n" for a in assertions)


BOX2 = ("(>= X[0] -1.0)", "(<= X[0] 1.0)")


def member(query: Query, x: list[Fraction], y: list[Fraction]) -> bool:
    return any(_in_disjunct(d, x, y) for d in query.disjuncts)


def _in_disjunct(d: Disjunct, x: list[Fraction], y: list[Fraction]) -> bool:
    if not all(lo <= v <= up for lo, v, up in zip(d.box.lower, x, d.box.upper, strict=True)):
        return False
    for c in d.constraints:
        value = sum((a * x[i] for i, a in c.inputs), F(0)) + sum((b * y[j] for j, b in c.outputs), F(0))
        if not (value < c.bound if c.strict else value <= c.bound):
            return False
    return True


# --- what the readers give ------------------------------------------------------------------------------------


def test_the_robustness_form() -> None:
    text = bounded(2, 3, "(or (and (>= Y_1 Y_0)) (and (>= Y_2 Y_0)))")
    query = read("; label 0\n" + text, 2, 3)
    assert [d.constraints for d in query.disjuncts] == [
        (LinearConstraint((), ((0, F(1)), (1, F(-1))), F(0)),),
        (LinearConstraint((), ((0, F(1)), (2, F(-1))), F(0)),),
    ]
    assert query.disjuncts[0].box is query.disjuncts[1].box
    assert query.disjuncts[0].box.lower == (F(-1), F(-1))
    assert query.disjuncts[0].box.upper == (F(1), F(1))


def test_decimals_are_exact_rationals() -> None:
    query = read(declared(1, 1) + "(assert (>= X_0 0.1))(assert (<= X_0 1e-1))(assert (<= Y_0 -1.5E-06))")
    assert query.disjuncts[0].box.lower == query.disjuncts[0].box.upper == (F(1, 10),)
    assert query.disjuncts[0].constraints[0].bound == F(-3, 2 * 10**6)


def test_bounds_in_disjuncts_tighten_the_box_and_boxes_are_shared() -> None:
    text = bounded(
        1,
        1,
        "(or (and (>= X_0 0) (<= X_0 0.5) (<= Y_0 1)) (and (>= X_0 0) (<= X_0 0.5) (>= Y_0 2))"
        " (and (<= X_0 7) (<= Y_0 0)) (<= Y_0 -1) (and (>= X_0 0.5) (<= X_0 0.25) (<= Y_0 0)))",
    )
    boxes = [d.box for d in read(text).disjuncts]
    assert [(b.lower[0], b.upper[0]) for b in boxes] == [(0, F(1, 2))] * 2 + [(-1, 1)] * 2 + [
        (F(1, 2), F(1, 4))
    ]
    assert boxes[0] is boxes[1]
    assert boxes[2] is boxes[3]


def test_strict_bounds_stay_in_the_constraints() -> None:
    query = read(
        bounded(1, 1, "(< X_0 0.5)", "(> X_0 0)", "(< Y_0 X_0)", "(or (> (- X_0) -0.25) (< 0.75 X_0))")
    )
    first, second = query.disjuncts
    assert (first.box.lower, first.box.upper) == ((F(0),), (F(1, 4),))
    assert (second.box.lower, second.box.upper) == ((F(3, 4),), (F(1, 2),))
    one = ((0, F(1)),)
    minus = ((0, F(-1)),)
    assert first.constraints == (
        LinearConstraint(one, (), F(1, 2), True),
        LinearConstraint(minus, (), F(0), True),
        LinearConstraint(minus, one, F(0), True),
        LinearConstraint(one, (), F(1, 4), True),
    )
    assert second.constraints[3] == LinearConstraint(minus, (), F(-3, 4), True)


def test_two_or_assertions_are_a_product_and_the_last_varies_fastest() -> None:
    query = read(bounded(1, 1, "(or (<= X_0 0) (>= X_0 0.5))", "(<= Y_0 9)", "(or (<= Y_0 -2) (>= Y_0 3))"))
    ends: list[Any] = [
        (d.box.lower[0], d.box.upper[0], [c.bound for c in d.constraints]) for d in query.disjuncts
    ]
    assert ends == [
        (-1, 0, [9, -2]),
        (-1, 0, [9, -3]),
        (F(1, 2), 1, [9, -2]),
        (F(1, 2), 1, [9, -3]),
    ]
    assert query.disjuncts[0].box is query.disjuncts[1].box


def test_nested_or_and_distribution() -> None:
    query = read(
        bounded(1, 1, "(and (or (or (<= Y_0 1) (<= Y_0 2)) (<= Y_0 3)) (or (>= Y_0 -1)) (<= Y_0 9))")
    )
    assert [[c.bound for c in d.constraints] for d in query.disjuncts] == [[1, 1, 9], [2, 1, 9], [3, 1, 9]]


@pytest.mark.parametrize(
    ("assertion", "constraints"),
    [
        ("(= Y_0 2)", [({}, {0: 1}, 2), ({}, {0: -1}, -2)]),
        ("(<= (+ Y_0 (* 2 X_0) -1) (- Y_1 3 X_1))", [({0: 2, 1: 1}, {0: 1, 1: -1}, -2)]),
        ("(>= (- Y_0) (* Y_1 -2 0.25))", [({}, {0: 1, 1: F(-1, 2)}, 0)]),
        ("(<= (- X_0 X_0 Y_0) (* 3 (- 2)))", [({}, {0: -1}, -6)]),
        ("(<= X_0 X_1)", [({0: 1, 1: -1}, {}, 0)]),
        ("(<= (* (- X_0 X_0 -2) Y_1) (+ 1))", [({}, {1: 2}, 1)]),
        ("(<= 1 Y_0)", [({}, {0: -1}, -1)]),
        ("(<= (* 2 X_0) 1)", []),
        ("(<= (- X_0 X_0) 0)", []),
        ("(<= 0 0)", []),
        ("true", []),
        ("(and true (or (< 0 0) (= 1 1.0)))", []),
    ],
)
def test_linear_arithmetic(
    assertion: str, constraints: list[tuple[dict[int, Any], dict[int, Any], Any]]
) -> None:
    (disjunct,) = read(bounded(2, 2, assertion)).disjuncts
    found = [(dict(c.inputs), dict(c.outputs), c.bound) for c in disjunct.constraints]
    assert found == constraints


def test_scaled_and_negated_input_bounds_go_to_the_box() -> None:
    query = read(
        declared(1, 1) + "(assert (<= (- X_0) (* 0.5 3)))(assert (= (* 4 X_0) (- 1)))(assert (<= X_0 3))"
    )
    assert query.disjuncts[0].box.lower == query.disjuncts[0].box.upper == (F(-1, 4),)
    assert query.disjuncts[0].constraints == ()


@pytest.mark.parametrize("assertion", ["(< 0 0)", "false", "(and (<= Y_0 1) (>= 0 1))", "(or (= 1 2) false)"])
def test_a_false_constant_drops_the_disjunct(assertion: str) -> None:
    assert read(bounded(1, 1, assertion)).disjuncts == ()
    assert len(read(bounded(1, 1, f"(or {assertion} (<= Y_0 0))")).disjuncts) == 1


def test_an_empty_box_is_kept() -> None:
    (disjunct,) = read(bounded(1, 1, "(<= X_0 -3)")).disjuncts
    assert (disjunct.box.lower, disjunct.box.upper) == ((F(-1),), (F(-3),))


def test_comments_and_layout_do_not_matter() -> None:
    plain = bounded(1, 1, "(or (<= Y_0 1) (>= Y_0 2))")
    spread = "; a (comment\n\n" + plain.replace("(or", "( or ; it's (here\r\n\t ") + "\n; the end"
    assert read(spread) == read(plain)


# --- version 2.0 ----------------------------------------------------------------------------------------------


def test_version_2_layout_is_declaration_order_and_row_major() -> None:
    text = """; two inputs
    (vnnlib-version <2.0>)
    (declare-network f
      (declare-input A float32 [2,2]) (declare-input B real []) (declare-output P real [1,2])
      (declare-output Q real [1]))
    (assert (and (>= A[0,0] 0.0) (<= A[0,0] 0.1) (>= A[0,1] 0.0) (<= A[0,1] 0.2) (>= A[1,0] 0.0) (<= A[1,0] 0.3)
      (>= A[1,1] 0.0) (<= A[1,1] 0.4) (>= B -1.0) (<= B 0.50000000000000000000000000001)))
    (assert (<= (+ P[0,1] Q[0]) B))
    """
    query = read(text, 5, 3)
    (disjunct,) = query.disjuncts
    assert disjunct.box.upper[:4] == (F(1, 10), F(1, 5), F(3, 10), F(2, 5))
    assert disjunct.box.upper[4] == F(1, 2) + F(1, 10**29)
    assert disjunct.constraints == (LinearConstraint(((4, F(-1)),), ((1, F(1)), (2, F(1))), F(0)),)


def test_version_2_two_or_assertions_are_a_conjunction() -> None:
    query = read(
        version2("1", "2", *BOX2, "(or (<= Y[0] 0.0) (<= Y[1] 0.0))", "(or (>= Y[0] 1.0) (< Y[1] -1.0))")
    )
    assert len(query.disjuncts) == 4
    assert not member(query, [F(0)], [F(0), F(0)])
    assert member(query, [F(0)], [F(1), F(0)])
    assert not member(query, [F(0)], [F(0), F(-1)])


def test_version_2_not_equal_is_two_strict_disjuncts() -> None:
    query = read(version2("1", "1", *BOX2, "(!= Y[0] 2.0)", "(== X[0] 0.5)"))
    assert [c for d in query.disjuncts for c in d.constraints] == [
        LinearConstraint((), ((0, F(1)),), F(2), True),
        LinearConstraint((), ((0, F(-1)),), F(-2), True),
    ]
    assert query.disjuncts[0].box is query.disjuncts[1].box


def test_version_2_boxes_are_shared() -> None:
    text = version2(
        "1", "1", "(or (and (>= X[0] 0.0) (<= X[0] 0.5) (<= Y[0] 1.0)) (and (>= X[0] 0.0) (<= X[0] 0.5)))"
    )
    first, second = read(text).disjuncts
    assert first.box is second.box


VERSION_2_REFUSED = {
    "hidden": (
        "TLC302",
        version2("1", "1", *BOX2).replace(
            "(declare-output", '(declare-hidden H real [1] "h") (declare-output'
        ),
    ),
    "two networks": (
        "TLC302",
        version2("1", "1")
        + "(declare-network g (declare-input A real [1]) (declare-output B real [1]))(assert (<= X[0] 1.0))",
    ),
    "integers": ("TLC302", version2("1", "1", "(<= X[0] 1)").replace("real", "int64")),
    "nonlinear": ("TLC302", version2("1", "1", *BOX2, "(<= (* X[0] Y[0]) 1.0)")),
    "version 3": ("TLC302", version2("1", "1", *BOX2).replace("2.0", "3.0", 1)),
    "version 2.1": ("TLC302", version2("1", "1", *BOX2).replace("2.0", "2.1", 1)),
    "exponent": ("TLC301", version2("1", "1", *BOX2, "(<= Y[0] 1e-3)")),
    "undeclared": ("TLC301", version2("1", "1", *BOX2, "(<= Z[0] 1.0)")),
    "index": ("TLC301", version2("1", "1", *BOX2, "(<= X[1] 1.0)")),
    "negative index": ("TLC301", version2("1", "1", *BOX2, "(<= X[-1] 1.0)")),
    "signed zero as an index": ("TLC301", version2("1", "1", *BOX2, "(<= X[-0] 1.0)")),
    "index beyond 32 bits": ("TLC301", version2("1", "1", *BOX2, "(<= X[4294967296] 1.0)")),
    "size beyond 32 bits": ("TLC301", version2("4294967297", "1", *BOX2)),
    "too large": ("TLC401", version2("99999,99999,99999", "1", "(<= X[0,0,0] 1.0)")),
    "large and unbounded": ("TLC304", version2("200000000", "1", *BOX2)),
    "zero size": ("TLC301", version2("0", "1", *BOX2)),
    "duplicate": ("TLC301", version2("1", "1", *BOX2).replace("declare-output Y", "declare-output X")),
    "deep": ("TLC401", version2("1", "1", "(and " * 100_000 + "(<= X[0] 1.0)" + ")" * 100_000)),
    "digits": ("TLC401", version2("1", "1", *BOX2, "(<= Y[0] 0." + "1" * 5000 + ")")),
    "out of double's range": ("TLC301", version2("1", "1", *BOX2, "(<= Y[0] " + "1" * 400 + ".0)")),
    "truncated": ("TLC301", version2("1", "1", *BOX2)[:-5]),
    "text after NUL": ("TLC301", version2("1", "1", *BOX2) + "\0(assert (<= Y[0] 0.0))"),
    "quote": ("TLC301", version2("1", "1", *BOX2) + '"'),
    "missing bound": ("TLC304", version2("1", "1", "(<= X[0] 1.0)")),
    "nan": ("TLC301", version2("1", "1", *BOX2, "(<= Y[0] nan)")),
    "no assertion": ("TLC301", version2("1", "1")),
}


@pytest.mark.parametrize("name", VERSION_2_REFUSED)
def test_version_2_refused(name: str) -> None:
    code, text = VERSION_2_REFUSED[name]
    _expect(text.encode(), code)


def test_comments_within_the_version() -> None:
    text = version2("1", "1", *BOX2)
    assert read(
        text.replace("(vnnlib-version <2.0>)", "( ;(\n vnnlib-version ; 1.0\n <2.0>)").replace("( ;(\n ", "(")
    ) == read(text)


def test_an_unbounded_input_is_named_as_the_file_names_it() -> None:
    text = version2(
        "2,3", "1", *(f"(and (>= X[{i},{j}] 0.0) (<= X[{i},{j}] 1.0))" for i, j in [(0, 0), (0, 1), (0, 2)])
    )
    assert _expect(text.encode(), "TLC304").field == "X[1,0]"
    assert _expect(bounded(2, 1).replace("(assert (<= X_1 1.0))", "").encode(), "TLC304").field == "X_1"


# --- hostile 1.0 ----------------------------------------------------------------------------------------------

OK = bounded(2, 2, "(<= Y_0 Y_1)")
REFUSED = {
    "empty": ("TLC301", ""),
    "only a comment": ("TLC301", "; nothing"),
    "truncated": ("TLC301", OK[:-4]),
    "one parenthesis missing": ("TLC301", OK.rstrip()[:-1]),
    "one parenthesis too many": ("TLC301", OK + ")"),
    "unbalanced inside": ("TLC301", OK.replace("(<= Y_0 Y_1)", "(<= Y_0 Y_1))")),
    "loose token": ("TLC301", OK + "assert"),
    "undeclared input": ("TLC301", OK + "(assert (<= X_2 1))"),
    "undeclared output": ("TLC301", OK + "(assert (<= (+ Y_9 1) 1))"),
    "used before declared": ("TLC301", "(assert (<= X_0 1))" + OK),
    "unknown symbol": ("TLC301", OK + "(assert (<= Z Y_0))"),
    "declared twice": ("TLC301", OK + "(declare-const X_1 Real)"),
    "gap": ("TLC301", OK + "(declare-const X_3 Real)"),
    "gap of outputs": ("TLC301", declared(1, 0) + "(declare-const Y_1 Real)(assert (= X_0 1))"),
    "leading zero": ("TLC302", OK + "(declare-const X_02 Real)"),
    "huge index": ("TLC302", OK + "(declare-const X_99999999999999999999 Real)"),
    "other name": ("TLC302", OK + "(declare-const N_1 Real)"),
    "other sort": ("TLC302", OK + "(declare-const X_2 Int)"),
    "declaration without sort": ("TLC301", OK + "(declare-const X_2)"),
    "deep": ("TLC401", OK + "(assert " + "(and " * 100_000 + "(<= Y_0 0)" + ")" * 100_001),
    "deep and open": ("TLC401", "(" * 1_000_000),
    "deep term": ("TLC401", OK + "(assert (<= " + "(- " * 300 + "Y_0" + ")" * 300 + " 0))"),
    "nonlinear": ("TLC302", OK + "(assert (<= (* X_0 Y_0) 1))"),
    "square": ("TLC302", OK + "(assert (<= (* X_0 X_0) 1))"),
    "division": ("TLC302", OK + "(assert (<= (/ X_0 2) 1))"),
    "not": ("TLC302", OK + "(assert (not (<= X_0 1)))"),
    "implies": ("TLC302", OK + "(assert (=> (<= X_0 1) (<= Y_0 1)))"),
    "let": ("TLC302", OK + "(assert (let ((z X_0)) (<= z 1)))"),
    "chained": ("TLC302", OK + "(assert (<= X_0 Y_0 1))"),
    "declare-fun": ("TLC302", OK + "(declare-fun f () Real)"),
    "check-sat": ("TLC302", OK + "(check-sat)"),
    "network": ("TLC301", OK + "(declare-network f)"),
    "huge exponent": ("TLC401", OK + "(assert (<= Y_0 1e999999999))"),
    "huge negative exponent": ("TLC401", OK + "(assert (<= X_0 1e-999999999))"),
    "many digits": ("TLC401", OK + f"(assert (<= X_0 {'1' * 5000}))"),
    "huge product": ("TLC401", OK + f"(assert (<= Y_0 (* {'1e4096 ' * 50})))"),
    "nan": ("TLC301", OK + "(assert (<= Y_0 nan))"),
    "NaN bound": ("TLC301", OK + "(assert (<= X_0 NaN))"),
    "infinity": ("TLC301", OK + "(assert (<= X_0 -inf))"),
    "bad number": ("TLC301", OK + "(assert (<= X_0 1.2.3))"),
    "hexadecimal": ("TLC301", OK + "(assert (<= X_0 0x10))"),
    "unicode digit": ("TLC301", OK + "(assert (<= X_0 \u0661))"),
    "unicode space": ("TLC301", OK + "(assert (<= X_0\u00a01))"),
    "missing bound": ("TLC304", declared(2, 1) + "(assert (<= X_0 1))(assert (>= X_0 1))(assert (<= X_1 1))"),
    "bound missing in one disjunct": (
        "TLC304",
        declared(1, 1) + "(assert (>= X_0 1))(assert (or (<= X_0 1) (<= Y_0 1)))",
    ),
    "no inputs": ("TLC301", declared(0, 1) + "(assert (<= Y_0 1))"),
    "no outputs": ("TLC301", declared(1, 0) + "(assert (= X_0 1))"),
    "empty parenthesis": ("TLC301", OK + "()"),
    "empty formula": ("TLC301", OK + "(assert ())"),
    "double parenthesis": ("TLC301", OK + "((assert (<= Y_0 1)))"),
    "assert of nothing": ("TLC301", OK + "(assert)"),
    "assert of two": ("TLC301", OK + "(assert (<= Y_0 1) (<= Y_1 1))"),
    "assert of a variable": ("TLC301", OK + "(assert Y_0)"),
    "assert of a term": ("TLC301", OK + "(assert (+ Y_0 1))"),
    "assert within": ("TLC301", OK + "(assert (and (assert (<= Y_0 1))))"),
    "empty or": ("TLC301", OK + "(assert (or))"),
    "empty and": ("TLC301", OK + "(assert (and))"),
    "empty sum": ("TLC301", OK + "(assert (<= (+) 1))"),
    "comparison of one": ("TLC301", OK + "(assert (<= Y_0))"),
    "formula as term": ("TLC301", OK + "(assert (<= (<= Y_0 1) 1))"),
    "term as formula": ("TLC301", OK + "(assert (and Y_0))"),
    "no space": ("TLC301", OK + "(assert (<=Y_0 1))"),
    "unknown operator": ("TLC301", OK + "(assert (approx Y_0 1))"),
    "quoted": ("TLC301", OK + '(assert (<= Y_0 "1"))'),
    "bar": ("TLC301", OK + "(assert (<= |Y_0| 1))"),
    "old version": ("TLC302", "(vnnlib-version <1.0>)" + OK),
    "lone carriage return": ("TLC301", OK.replace("\n", "\r")),
    "hidden by a carriage return": ("TLC301", OK + "; comment \r(assert (<= Y_0 -9))"),
    "NUL": ("TLC301", OK + "\0"),
    "two byte order marks": ("TLC301", "\ufeff\ufeff" + OK),
    "declare-fun with arguments": ("TLC302", OK + "(declare-fun X_2 (Real) Real)"),
    "declare-fun without a list": ("TLC302", OK + "(declare-fun X_2 Real)"),
    "declare-fun with two lists": ("TLC301", OK + "(declare-fun X_2 () () Real)"),
    "an empty list elsewhere": ("TLC301", OK + "(assert ())"),
    "declare-fun declared twice": ("TLC301", OK + "(declare-fun X_0 () Real)"),
    "one-line flood": ("TLC301", OK + "(assert (<= Y_0 " + "z" * 1_000_000 + "))"),
    "control characters": ("TLC301", OK + "(assert (<= Y_0 \x1b[2J\x07))"),
}


def _expect(data: bytes, code: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        read_property(data, n_inputs=None, n_outputs=None, file="p.vnnlib")
    error = caught.value
    assert error.code == code, error.line()
    assert error.file == "p.vnnlib"
    assert error.line().isprintable()
    assert len(error.line()) < 400
    return error


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    code, text = REFUSED[name]
    _expect(text.encode(), code)
    if name not in (
        "old version",
        "lone carriage return",
        "hidden by a carriage return",
    ):  # not its own checks
        with pytest.raises(InvalidInput):
            _slow_read(text)


def test_the_unchanged_text_is_accepted() -> None:
    assert len(read(OK).disjuncts) == 1


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\x00garbage", b"\x80" * 100, bytes(range(256)), gzip.compress(b"x", mtime=0)]
)
def test_binary_garbage(data: bytes) -> None:
    _expect(data, "TLC301")


@given(st.binary(max_size=200))
def test_no_bytes_escape_as_anything_but_invalid_input(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_property(data, n_inputs=None, n_outputs=None)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_texts_are_read_or_refused(data: st.DataObject) -> None:
    text = data.draw(
        st.sampled_from(
            [bounded(1, 1, "(or (<= Y_0 1e-3) (and (> X_0 (* 2 Y_0))))"), version2("1", "1", *BOX2)]
        )
    )
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 8)))
    token = st.sampled_from([*'()[];<=>+-*.,0XY_ \n"', "or", "e9", "and", "assert"])
    text = text[:start] + "".join(data.draw(st.lists(token, max_size=3))) + text[stop:]
    try:
        assert isinstance(read(text), Query)
    except InvalidInput as error:
        assert error.line().isprintable()


@pytest.mark.parametrize("sizes", [(1, 2), (3, 2), (2, 1), (2, 3), (0, 0)])
def test_a_property_of_another_model(sizes: tuple[int, int]) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(OK, *sizes)
    assert caught.value.code == "TLC303"
    assert read(OK, 2, 2) == read(OK)


def test_errors_name_the_line() -> None:
    assert (
        _expect((OK + "\n\n(assert (<= Y_7 0))").encode(), "TLC301").field == f"line {OK.count(chr(10)) + 3}"
    )


def test_too_many_disjuncts_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    either = "(or (<= Y_0 0) (>= Y_0 1))"
    _expect(bounded(1, 1, *[either] * 10_000).encode(), "TLC401")
    assert len(read(bounded(1, 1, *[either] * 8)).disjuncts) == 256
    monkeypatch.setattr(normal_form_module, "MAX_DISJUNCTS", 255)
    _expect(bounded(1, 1, *[either] * 8).encode(), "TLC401")
    _expect(bounded(1, 1, "(or " + f"(and {either} {either})" * 64 + ")").encode(), "TLC401")
    assert len(read(bounded(1, 1, "(or " + f"(and {either} {either})" * 63 + ")")).disjuncts) == 252


def test_true_constants_count_towards_the_size_of_a_product() -> None:
    text = bounded(1, 1, "(or (and (or " + "(<= Y_0 0)" * 30_000 + ") " + "true " * 30_000 + "))")
    _expect(text.encode(), "TLC401")


@pytest.mark.parametrize("depth", [MAX_SEXPR_DEPTH, MAX_SEXPR_DEPTH + 1])
def test_the_nesting_limit_is_exact(depth: int) -> None:
    texts = []
    for head in ("(or (<= Y_0 0) ", "(and (<= Y_0 0) "):
        levels = depth - 2  # assert and the innermost comparison are levels too
        texts.append(bounded(1, 1) + "(assert " + head * levels + "(<= Y_0 1)" + ")" * levels + ")")
    for head in ("(+ 1.0 ", "(- ", "(* 1.0 "):
        levels = depth - 2
        texts.append(bounded(1, 1) + f"(assert (<= {head * levels}Y_0{')' * levels} 0.0))")
    twos = [version2("1", "1", *BOX2) + t[len(bounded(1, 1)) :].replace("Y_0", "Y[0]") for t in texts]
    twos = [re.sub(r" ([01])\)", r" \1.0)", t) for t in twos]
    for text in texts + twos:
        if depth > MAX_SEXPR_DEPTH:
            _expect(text.encode(), "TLC401")
        else:
            assert member(read(text), [F(0)], [F(-1000)]) or "(- " in text


def test_text_that_the_version_2_parser_skipped_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = version2("1", "1", *BOX2, "(<= Y[0] 0.0)")
    shorter = vnnlib.parse_query_string(version2("1", "1", *BOX2))
    monkeypatch.setattr(vnnlib, "parse_query_string", lambda text: shorter)
    _expect(whole.encode(), "TLC301")


def test_version_2_without_its_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vnnlib", None)
    _expect(version2("1", "1", *BOX2).encode(), "TLC302")


def test_a_large_normal_form_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normal_form_module, "MAX_NORMAL_FORM_SIZE", 50)
    _expect(bounded(1, 1, *["(or (<= Y_0 0) (>= Y_0 1))"] * 4).encode(), "TLC401")
    _expect(bounded(20, 1, *["(or (<= X_0 0) (>= X_0 1))"]).encode(), "TLC401")
    assert len(read(bounded(12, 1, *["(or (<= X_0 0) (>= X_0 1))"])).disjuncts) == 2


def test_a_property_larger_than_the_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tlcheck.readers.vnnlib.read.MAX_PROPERTY_BYTES", 100)
    _expect(OK.encode(), "TLC401")
    path = tmp_path / "p.vnnlib.gz"
    path.write_bytes(gzip.compress(OK.encode()))
    with pytest.raises(InvalidInput) as caught:
        load_property(path)
    assert caught.value.code == "TLC401"


def test_load_property(tmp_path: Path) -> None:
    path = tmp_path / "p.vnnlib"
    path.write_bytes(gzip.compress(OK.encode()))
    assert load_property(path, n_inputs=2, n_outputs=2) == read(OK)
    path.write_text(OK + "(assert")
    with pytest.raises(InvalidInput) as caught:
        load_property(path)
    assert caught.value.line().startswith(str(path))


# --- an independent evaluation --------------------------------------------------------------------------------
# A formula is a nested tuple: ("and"|"or", formulas...), (relation, term, term); a term is a Fraction, ("X"|"Y", i)
# or ("+"|"-"|"*", terms...). It is written as 1.0 and as 2.0 text and evaluated here without any normal form.

N_X, N_Y = 2, 2
HALVES = st.integers(-6, 6).map(lambda k: F(k, 2))
VARIABLES = st.sampled_from([("X", 0), ("X", 1), ("Y", 0), ("Y", 1)])
TERMS = st.recursive(
    st.one_of(VARIABLES, HALVES),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from("+-"), inner, inner),
        st.tuples(st.just("-"), inner),
        st.tuples(st.just("*"), HALVES, inner),
        st.tuples(st.just("*"), inner, HALVES),
        st.tuples(st.just("+"), inner, inner, inner),
    ),
    max_leaves=4,
)
COMPARISONS = st.tuples(st.sampled_from(["<=", ">=", "<", ">", "="]), TERMS, TERMS)
FORMULAS = st.recursive(
    COMPARISONS,
    lambda inner: st.builds(
        lambda head, parts: (head, *parts),
        st.sampled_from(["and", "or"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=8,
)


def evaluate(term: Any, x: list[Fraction], y: list[Fraction]) -> Fraction:
    if isinstance(term, Fraction):
        return term
    head, *rest = term
    if head in ("X", "Y"):
        return x[int(rest[0])] if head == "X" else y[int(rest[0])]
    values = [evaluate(t, x, y) for t in rest]
    if head == "-":
        return -values[0] if len(values) == 1 else values[0] - sum(values[1:])
    if head == "+":
        return sum(values, F(0))
    return F(values[0] * values[1])


def holds(formula: Any, x: list[Fraction], y: list[Fraction]) -> bool:
    head, *rest = formula
    if head == "and":
        return all(holds(f, x, y) for f in rest)
    if head == "or":
        return any(holds(f, x, y) for f in rest)
    left, right = (evaluate(t, x, y) for t in rest)
    return {
        "<=": left <= right,
        ">=": left >= right,
        "<": left < right,
        ">": left > right,
        "=": left == right,
    }[head]


def write(node: Any, version: int) -> str:
    if isinstance(node, Fraction):
        return str(float(node))
    head, *rest = node
    if head in ("X", "Y"):
        return f"{head}_{rest[0]}" if version == 1 else f"{head}[{rest[0]}]"
    head = "==" if head == "=" and version == 2 else head
    return f"({head} {' '.join(write(r, version) for r in rest)})"


@settings(max_examples=300, deadline=None)
@given(st.lists(FORMULAS, min_size=1, max_size=3), st.data())
def test_the_normal_form_agrees_with_direct_evaluation(formulas: list[Any], data: st.DataObject) -> None:
    box = [f for i in range(N_X) for f in ((">=", ("X", i), F(-2)), ("<=", ("X", i), F(2)))]
    everything = [*box, *formulas]
    first = read(declared(N_X, N_Y) + "".join(f"(assert {write(f, 1)})" for f in everything))
    second = read(version2(str(N_X), str(N_Y), *(write(f, 2) for f in everything)))
    assert first == second
    points = data.draw(
        st.lists(st.lists(HALVES, min_size=N_X + N_Y, max_size=N_X + N_Y), min_size=10, max_size=10)
    )
    for point in points:
        x, y = point[:N_X], point[N_X:]
        assert member(first, x, y) == all(holds(f, x, y) for f in everything)


@settings(max_examples=200, deadline=None)
@given(st.lists(FORMULAS, min_size=1, max_size=3))
def test_the_regular_expressions_read_what_the_general_reader_reads(formulas: list[Any]) -> None:
    text = bounded(N_X, N_Y, *(write(f, 1) for f in formulas))
    assert read(text) == _slow_read(text)


def _slow_read(text: str) -> Query:
    assertions, space = read_vnnlib1(text, fast=False)
    space.check_fits(None, None)
    return normal_form(assertions, space)


# --- real files -----------------------------------------------------------------------------------------------


def _real_files() -> list[Path]:
    return sorted(p for p in DATA.rglob("*.vnnlib*") if p.name.endswith((".vnnlib", ".vnnlib.gz")))


@needs_data
def test_every_real_property_is_read() -> None:
    files = _real_files()
    assert len(files) > 300
    for path in files:
        query = load_property(path)
        text = read_bytes(path).decode()
        assert query.n_inputs == len(re.findall(r"declare-const\s+X_", text)), path
        assert query.n_outputs == len(re.findall(r"declare-const\s+Y_", text)), path
        assert query.disjuncts, path


@needs_data
def test_both_paths_agree_on_real_properties() -> None:
    for path in _real_files()[::9]:
        data = read_bytes(path)
        if len(data) < 200_000:
            assert read_property(data, n_inputs=None, n_outputs=None) == _slow_read(data.decode()), path


def _as_version_2(text: str) -> str | None:
    """A 1.0 text as 2.0 by textual replacement; None when it has numbers that 2.0 cannot write as they are."""
    counts = [len(re.findall(rf"declare-const\s+{kind}_", text)) for kind in "XY"]
    body = re.sub(r";[^\n]*|\(declare-const [^)]*\)", "", text)
    if re.search(r"[0-9]e[-+0-9]", body):
        return None
    body = re.sub(r"([XY])_(\d+)", r"\1[\2]", body)
    body = re.sub(r"(?<= )(-?\d+)(?=[ )])", r"\1.0", body)
    return version2(str(counts[0]), str(counts[1])) + body


@needs_data
def test_real_properties_as_version_2_are_the_same_queries() -> None:
    compared = 0
    for path in _real_files()[::7]:
        text = read_bytes(path).decode()
        converted = _as_version_2(text) if len(text) < 200_000 else None
        if converted is not None:
            assert read(converted) == read(text), path
            compared += 1
    assert compared > 15


def test_many_disjuncts_share_boxes_and_memory() -> None:
    cases = "".join(
        f"(and (>= X_0 {i}.25) (<= X_0 {i}.5) (<= Y_0 {i}.1))\n(and (>= X_0 {i}.25) (<= X_0 {i}.5) (>= Y_0 {i}.3))\n"
        for i in range(5000)
    )
    query = read(declared(1, 1) + f"(assert (or\n{cases}))")
    assert len(query.disjuncts) == 10_000
    assert len({id(d.box) for d in query.disjuncts}) == 5000
    assert all(a.box is b.box for a, b in zip(query.disjuncts[::2], query.disjuncts[1::2], strict=True))
    last = query.disjuncts[-1]
    assert (last.box.lower, last.constraints[0].bound) == ((F(19997, 4),), F(-49993, 10))


def test_a_byte_order_mark_means_nothing() -> None:
    text = bounded(1, 1, "(<= Y_0 0)").encode()
    assert read_property(b"\xef\xbb\xbf" + text, n_inputs=1, n_outputs=1) == read_property(
        text, n_inputs=1, n_outputs=1
    )
    for mark in ("utf-16", "utf-32"):
        error = _expect(text.decode().encode(mark), "TLC301")
        assert "save it as UTF-8" in error.line() or "text in UTF-16" in error.line()


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    "spelling", ["(declare-fun {} () Real)", "( declare-fun  {} ( )\n Real )", "(declare-fun {}() Real)"]
)
def test_a_function_without_arguments_is_a_constant(fast: bool, spelling: str) -> None:
    """SMT-LIB 2.6, 4.2.3: (declare-const f s) abbreviates (declare-fun f () s)."""
    plain = bounded(2, 1, "(<= Y_0 (* 2 X_1))")
    other = re.sub(r"\(declare-const (\w+) Real\)", lambda m: spelling.format(m[1]), plain)
    assert other.count("declare-fun") == 3
    (found, space), (expected, same) = read_vnnlib1(other, fast=fast), read_vnnlib1(plain)
    assert (normal_form(found, space), space.n_inputs) == (normal_form(expected, same), same.n_inputs)
