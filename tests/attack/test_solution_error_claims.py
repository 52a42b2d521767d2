"""Attacks on claims of solution error: what hung, crashed, or was certified about data that do not exist."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.trusted.science.test_solution_error import Tanhs, base
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import read_model
from tlcheck.readers.own.pde import read_pde
from tlcheck.trusted.decide import decide_conditions
from tlcheck.trusted.science.solution_error import SolutionErrorClaim
from tlcheck.trusted.verdict import Verdict

HEAT = ("parabolic-sup", "u_t - u_xx")
WAVE = ("wave-energy", "u_tt - u_xx")
VELOCITY = 'velocity = "v"'
LEFT = "u - t^2"
ODE = """
format = "tlcheck.pde/1"
coordinates = ["t"]
outputs = ["u"]
[domain]
t = [0, 1]
[parts.r]
zero = "u_t + u"
[parts.i]
at = { t = 0 }
zero = "u - 1"
[solution.s]
theorem = "parabolic-sup"
residual = "r"
initial = "i"
boundary = []
"""


def verdict(pde: bytes, inputs: int = 2) -> Verdict:
    """With a bound of 10^9."""
    net = Tanhs(np.zeros(inputs), np.ones(inputs), 3, 0)
    net.c = np.array([1.0, -2.0, 0.5])
    theorem = read_pde(pde, "p").theorem("s", read_model(net.onnx(), file="n", folder=None))
    claim = SolutionErrorClaim("s", theorem, Fraction(10**9), {t.name: (2, ".") for t in theorem.terms})
    return decide_conditions(claim, 96).verdict


def nested(inner: str, outer: str, depth: int) -> str:
    for _ in range(depth):
        inner = outer.replace("#", inner)
    return inner


MANY = "\n".join(
    f'c{k} = "{"sin(" * 38}{f"c{k - 1}" if k else "1"}{")" * 38}"' for k in range(100)
)  # each one in the next


@pytest.mark.parametrize(
    ("pde", "says"),
    [
        (base("parabolic-sup", f"u_t - u_xx + {nested('x', '(# + u - u)^4', 18)}"), "multiplied out"),
        (base(*WAVE, (LEFT, LEFT + "/t" * 60), more=VELOCITY), "differentiated"),
        (base(*WAVE, (LEFT, f"{LEFT} - (t - 0.1)*{nested('t', '(1+t*#^2)', 38)}"), more=VELOCITY), "differentiated"),
        (base("parabolic-sup", "u_t - u_xx + c99", ('nu = "0.3/pi"', f'nu = "0.3/pi"\n{MANY}')), "too large"),
        (base(*HEAT, ('["b", "a"]', "[" + '"a",' * 100_000 + "]")), "one for each side"),
        (base("parabolic-sup", "u_t - u_xx - u" + "*t" * 500), "is not constant"),
        (base("parabolic-sup", "u_t - u_xx + t*u_tx*u"), "no term (t)*u*u_tx"),
    ],
)  # fmt: skip
def test_what_is_too_large_is_malformed_in_a_line(pde: bytes, says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        verdict(pde)
    assert error.value.code in ("TLC101", "TLC401") and says in error.value.line()
    assert "\n" not in error.value.line() and len(error.value.line()) < 400


def test_a_time_without_space_is_malformed() -> None:
    with pytest.raises(InvalidInput, match="a space coordinate is needed"):
        verdict(ODE.encode(), 1)


@pytest.mark.parametrize(
    "pde",
    [
        base("parabolic-sup", "u_t - u_xx" + " - t" * 3000),
        base("parabolic-sup", "u_t - u_xx" + "/pi" * 1500 + " - x"),
        base("parabolic-sup", "u_t - u_xx " + "+ u_x*t" * 1000),
        base("parabolic-L2", "u_t - 1e-60*u_xx"),
        base(*WAVE, more=VELOCITY),
    ],
)
def test_long_equations_and_small_constants_are_no_obstacle(pde: bytes) -> None:
    assert verdict(pde) is Verdict.CERTIFIED


OPEN: list[tuple[tuple[str, str], tuple[str, str], str]] = [
    (WAVE, ("- 0.01", "- 0.01 + 0*log(x - 7)"), VELOCITY),  # the initial values are nowhere defined
    (HEAT, (LEFT, f"{LEFT} + 0*log(-t)"), ""),
    (HEAT, (LEFT, f"{LEFT} + 0/0"), ""),
    (HEAT, (LEFT, f"{LEFT} + {nested('2', '(#)^64', 5)}"), ""),
    (HEAT, (LEFT, f"{LEFT} + {'*'.join(['1.2e300'] * 1500)}"), ""),
    (HEAT, ("u_t - u_xx", "u_t - u_xx/(pi - pi)"), ""),
    (HEAT, ("u_t - u_xx", "u_t - u_xx + 0*log(x - 7)*u"), ""),
    (HEAT, ("u_t - u_xx", "u_t - (pi - 22/7)*u_xx"), ""),
    (HEAT, ("u_t - u_xx", "u_t - u_xx - 1e-60*u"), ""),
]


@pytest.mark.parametrize(("problem", "change", "more"), OPEN)
def test_what_is_undefined_or_of_the_wrong_sign_is_open(problem: Any, change: Any, more: str) -> None:
    assert verdict(base(*problem, change, more=more)) is Verdict.UNPROVEN
