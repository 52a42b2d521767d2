"""Attacks on claims over whole domains and on stability: what once went wrong, or nearly."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest

from tests.trusted.science.test_pinn_domain import Small
from tests.trusted.science.test_stability import Document, claim_of, judged
from tlcheck.readers.onnx import read_model
from tlcheck.readers.own.pde import read_pde
from tlcheck.trusted.arith.arb import arb
from tlcheck.trusted.calculus.jets import Jet
from tlcheck.trusted.calculus.kinked_jets import Kinks, absolute
from tlcheck.trusted.calculus.layers import Layer
from tlcheck.trusted.decide import decide_conditions
from tlcheck.trusted.science.by_signs import bounded
from tlcheck.trusted.science.dense_network import Dense
from tlcheck.trusted.science.lyapunov_candidate import Candidate
from tlcheck.trusted.science.pinn_domain import IntegralClaim
from tlcheck.trusted.science.quantities import Quantity
from tlcheck.trusted.verdict import Verdict

Q = Fraction


def quantity(zero: str) -> Quantity:
    pde = f"""
format = "tlcheck.pde/1"
coordinates = ["t", "x"]
outputs = ["u"]
[domain]
t = [0, 1]
x = ["-1/100", 1]
[parts.a]
at = {{ t = 0 }}
zero = "{zero}"
"""
    graph = read_model(Small().onnx(), file="x", folder=None)
    return read_pde(pde.encode(), "p").quantity("a", graph)


def square_integral(a: Fraction, b: Fraction, low: Fraction, high: Fraction) -> Fraction:
    """Of (a x + b)^2."""
    return ((a * high + b) ** 3 - (a * low + b) ** 3) / (3 * a)


KINKED = square_integral(Q(9), Q(-99, 20), Q(-1, 100), Q(0)) + square_integral(Q(11), Q(-99, 20), Q(0), Q(1))


@pytest.mark.parametrize("tree", [".", "1..", "11..."])
@pytest.mark.parametrize("norm", ["L2", "L1"])
def test_an_absolute_value_is_no_constant_under_an_integral(tree: str, norm: str) -> None:
    """A ball for |x| as a constant coefficient lost what |x| and x have in common: 9.7 was certified, 10.6 is true."""
    at_most = KINKED - Q(1, 100) if norm == "L2" else Q(27, 10)  # L1: about 2.83
    claim = IntegralClaim("a", quantity("10*(x - 0.495) + abs(x)"), norm, at_most, 3, tree)
    assert decide_conditions(claim).verdict is not Verdict.CERTIFIED
    above = IntegralClaim("a", claim.quantity, norm, at_most * 100, 3, tree)
    assert decide_conditions(above).verdict is Verdict.CERTIFIED


def test_an_absolute_value_in_a_product() -> None:
    """(|x| x - x^2)^2 is 4 x^4 left of 0, and 0 right of it: 8e-11 in all."""
    claim = IntegralClaim("a", quantity("abs(x)*x - x^2"), "L2", Q(1), 3, ".", Q(1, 10**6))
    assert decide_conditions(claim).verdict is not Verdict.CERTIFIED


def test_a_large_matrix_of_zeros_does_not_hide_what_is_undefined() -> None:
    n, m = 11, 64
    zeros = Layer(tuple((Q(0),) * m for _ in range(m)), (Q(0),) * m)
    run = Dense((zeros,), "linear").prepared()
    nowhere = Jet(arb("nan"), (arb("nan"),) * n, (arb("nan"),) * (n * (n + 1) // 2))
    assert not any(jet.value.is_finite() for jet in run([nowhere] * m, Kinks()))


def test_a_bound_by_cases_is_one_of_all_cases() -> None:
    """1 - x/2 - |x| on [-3, 2]: the case of the left side goes down to -1/2, that of the right side to -2."""

    def slack(x: Sequence[Jet], kinks: Kinks) -> Jet:
        return (-x[0].scaled(arb(1) / 2) - absolute(x[0], kinks)).shifted(arb(1))

    assert not bounded(slack, ((Q(-3), Q(2)),), strict=True).low > -2


BASE: Document = {
    "format": "tlcheck.stability/1", "time": "continuous", "states": ["x", "y"], "equations": ["y", "-x"],
    "V": {"quadratic": [["1", "0"], ["0", "1"]]}, "region": {"lower": ["-1", "-1"], "upper": ["1", "1"]},
    "level": "1/2", "statement": "invariant", "tree": "d",
}  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"points": [["1/2", "1/2"]]}, "V' < 0 in S where V = 0.5"),  # S is invariant, but not by a fall of V
        ({"equations": ["-x", "-y"], "level": "1", "points": [["1", "0"]]}, "in the interior of the box"),
        ({"statement": "practical", "inner_level": "1/10", "points": [["1/2", "0"]]}, "V' < 0 in S where V >= 0.1"),
    ],
)  # fmt: skip
def test_what_is_refuted_is_what_is_said(edit: Document, said: str) -> None:
    document = BASE | edit
    assert judged(document).verdict is Verdict.REFUTED
    assert said in claim_of(document).statement


@pytest.mark.parametrize("equation", ["x/2 + 0*log(x)", "x/2 + 0*sqrt(x)", "x/2 + 0/(x - 1/3)"])
def test_zero_times_what_is_undefined(equation: str) -> None:
    document = BASE | {
        "time": "discrete", "states": ["x"], "equations": [equation], "V": {"quadratic": [["1"]]},
        "region": {"lower": ["-1"], "upper": ["1"]}, "tree": "i",
    }  # fmt: skip
    assert judged(document).verdict is Verdict.UNPROVEN


def test_the_core_holds_up_to_its_decay_and_no_further() -> None:
    """V(x+) = V(x)/4 exactly on one side of the kink: decay 3/4 is not strict, less is."""
    document = BASE | {
        "time": "discrete", "statement": "asymptotic", "states": ["x"], "equations": ["(x + abs(x))/4"],
        "V": {"quadratic": [["1"]]}, "region": {"lower": ["-1"], "upper": ["1"]}, "tree": "c",
        "core": {"lower": ["-1"], "upper": ["1"]},
    }  # fmt: skip
    assert judged(document | {"decay": "3/4"}).verdict is Verdict.UNPROVEN
    assert judged(document | {"decay": "0.7499999"}).verdict is Verdict.CERTIFIED
    assert judged(document | {"decay": "0.7500001", "points": [["1/2"]]}).verdict is Verdict.REFUTED


def test_definite_is_exact() -> None:
    tie = ((Q(1), Q(1)), (Q(1), Q(1)))
    assert not Candidate((Q(0),) * 2, quadratic=tie).definite
    assert Candidate((Q(0),) * 2, quadratic=(tie[0], (Q(1), 1 + Q(1, 10**60)))).definite
    assert not Candidate((Q(0),) * 2, l1=tie).definite
