"""Theorems from residual to solution error. Statements and proofs: certificates/formats/solution_error.md.

Everywhere e = v - u with v = u_theta, or v = u_theta - w where a lift w (solution_error.Lift) takes away what u_theta differs
by at the ends; f, or f - l, is what v leaves over of the equation; [a, b] the space interval, T the length of time.

    burgers-L1     u_t + u u_x - nu u_xx = 0, nu > 0. l = w_t + (w u_theta)_x - w w_x. e_t + ((v + u)/2 e)_x - nu e_xx = f - l:
                   ||e(t)||_1 <= ||e(0)||_1 + int int |f| + |l|
    parabolic-sup  u_t - sum k_i u_ii + sum b_i u_i + c u = g, k_i > 0 and c >= 0 constants: |e| <= max over start and sides
                   of |e|, + S sup |f|; S = T, or, if every b_i = 0, the least of T and L_i^2/(8 k_i), L_i the sides
    parabolic-L2   u_t - k u_xx + b u_x + c u = g, constants, k > 0, c >= 0. l = w_t + b w_x + c w:
                   ||e(t)||_2 <= ||e(0)||_2 + sqrt((1 - exp(-2 m T))/(2 m)) ||f - l||_2, m = k (pi/(b - a))^2
    elliptic-sup   -sum k_i u_ii + c u = g (or its negative), constants, k_i > 0, c >= 0:
                   |e| <= max over the sides of |e|, + min L_i^2/(8 k_i) sup |f|
    wave-energy    u_tt - k u_xx = g, k > 0 constant. l = w_tt. E(t) <= E(0) + sqrt(T) ||f - l||_2 with
                   E = sqrt(||e_t||_2^2 + k ||e_x||_2^2)

The sup of |e| over a part, and norms of w from the sup of its values at the ends:
    int |w| <= (b - a)/2 (G + H),  int w^2 <= (b - a)/2 (G^2 + H^2),  int w_x^2 <= (G + H)^2/(b - a).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Final

from tlcheck.trusted.arith.arb import Arb, ball
from tlcheck.trusted.calculus.expression import Expression, Number, Product
from tlcheck.trusted.conditions import Check, nonnegative, positive, undecided
from tlcheck.trusted.science.differential import (
    ONE,
    ZERO,
    Form,
    NoForm,
    add,
    differentiated,
    multiply,
    negate,
    number,
    subtract,
)
from tlcheck.trusted.science.solution_error import Lift, Problem, Term, Theorem, constant, only

CLASSICAL: Final = (
    "continuous on the closed domain; "
    "the first derivative by {t} and the second by {x} continuous inside, at later times"
)


def _positive(name: str, e: Expression) -> Check:
    value = number(e)
    return undecided(name) if value is None else positive(name, value)


def _not_negative(name: str, e: Expression) -> Check:
    if isinstance(e, Number):
        return nonnegative(name, e.value)
    value = number(e)
    return undecided(name) if value is None else nonnegative(name, value)


def _ball(e: Expression) -> Arb:
    value = number(e)
    return Arb("nan") if value is None else value


def _check_start(problem: Problem, time_order: int) -> None:
    if problem.time is None or (problem.velocity is None) is not (time_order == 1):
        raise NoForm("an initial part is needed, and, only if the equation has u_tt, a velocity")


@dataclass(frozen=True, eq=False)
class _Linear:
    """The coefficients of time u (or of nothing) - sum k_i u_ii + sum b_i u_i + c u - g."""

    diffusion: tuple[Expression, ...]
    drift: tuple[Expression, ...]
    decay: Expression

    @staticmethod
    def of(problem: Problem, time_order: int) -> _Linear:
        """``time_order``: of the derivative by time, whose coefficient is 1; 0: no time. Raises NoForm."""
        form: Form = dict(problem.form)
        second = [(problem.unit(i, 2),) for i in problem.space]
        first = [(problem.unit(i),) for i in problem.space]
        value = (problem.unit(0, 0),)
        if not second:
            raise NoForm("a space coordinate is needed")
        known = [(), value, *second, *first]
        if time_order:
            _check_start(problem, time_order)
            known.append((problem.unit(problem.time or 0, time_order),))
            if form.get(known[-1]) != ONE:
                raise NoForm("the derivative by time needs the coefficient 1")
        elif problem.time is not None or problem.velocity is not None:
            raise NoForm("an equation without time has no initial part")
        only(problem, known)
        if not all(m in form for m in second):
            raise NoForm("a second derivative by each space coordinate is needed")
        if not time_order and _ball(constant(form[second[0]], "a coefficient")) > 0:
            form = {m: negate(c) for m, c in form.items()}
        return _Linear(
            tuple(negate(constant(form[m], "a coefficient of a second derivative")) for m in second),
            tuple(form.get(m, ZERO) for m in first),
            constant(form.get(value, ZERO), "the coefficient of u"),
        )

    def hypotheses(self) -> Iterator[Check]:
        for k in self.diffusion:
            yield _positive("coefficient of the second derivative", k)
        yield _not_negative("coefficient of u", self.decay)

    def barrier(self, problem: Problem) -> Arb:
        """The least of L_i^2/(8 k_i)."""
        each = [
            ball((high - low) ** 2 / 8) / _ball(k)
            for k, (low, high) in zip(self.diffusion, (problem.domain[i] for i in problem.space), strict=True)
        ]
        return _least(each)


def _least(values: list[Arb]) -> Arb:
    result = values[0]
    for value in values[1:]:
        result = result.min(value)
    return result


def _most(values: list[Arb]) -> Arb:
    result = values[0]
    for value in values[1:]:
        result = result.max(value)
    return result


@dataclass(frozen=True, eq=False)
class BurgersL1(Theorem):
    problem: Problem

    def __post_init__(self) -> None:
        _check_start(self.problem, 1)
        p, form, lift = self.problem, self.problem.form, self.lift
        u, u_t, u_x, u_xx = p.unit(0, 0), p.unit(lift.t), p.unit(lift.x), p.unit(lift.x, 2)
        product = tuple(sorted((u, u_x)))
        only(p, [(u_t,), product, (u_xx,)])
        if form.get((u_t,)) != ONE or form.get(product) != ONE or (u_xx,) not in form:
            raise NoForm("expected u_t + u u_x - nu u_xx")
        _ = self.viscosity, self.terms

    @property
    def lift(self) -> Lift:
        return Lift(self.problem)

    @property
    def viscosity(self) -> Expression:
        return negate(constant(self.problem.form[(self.problem.unit(self.lift.x, 2),)], "the viscosity"))

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        p, lift = self.problem, self.lift
        w, w_t, w_x = lift.value(), lift.value(1), lift.slope()
        u, u_x = p.name(lift.x, 0), p.name(lift.x, 1)
        # (w u)_x - w w_x = w_x u + w (u_x - w_x)
        correction = add(w_t, multiply(w_x, u), multiply(w, subtract(u_x, w_x)))
        start = None if p.initial is None else subtract(p.initial.expressions[0], w)
        return (
            Term("residual", p.residual, "L1"),
            Term("lift", lift.quantity(p.residual, correction), "L1"),
            Term("initial", lift.quantity(p.initial, start or ZERO), "L1"),
            *lift.edges(),
        )

    def hypotheses(self) -> Iterator[Check]:
        yield _positive("viscosity", self.viscosity)

    def bound(self, of: Mapping[str, Arb]) -> Arb:
        edges = of["lower end"].sqrt() + of["upper end"].sqrt()
        return of["initial"] + of["residual"] + of["lift"] + ball(self.lift.length / 2) * edges

    @property
    def solution(self) -> str:
        return _classical(self.problem)

    @property
    def distance(self) -> str:
        x, t = (self.problem.coordinates[i] for i in (self.lift.x, self.lift.t))
        u = self.problem.output
        return f"the integral over {x} of |{u}_theta - {u}|, for every {t} of the domain,"


def _classical(problem: Problem) -> str:
    x = ", ".join(problem.coordinates[i] for i in problem.space)
    if problem.time is None:
        return "continuous on the closed domain, with continuous second derivatives inside"
    return CLASSICAL.format(t=problem.coordinates[problem.time], x=x)


def _space_time(problem: Problem) -> Fraction:
    if problem.time is None:
        raise NoForm("a time is needed")
    low, high = problem.domain[problem.time]
    return high - low


@dataclass(frozen=True, eq=False)
class ParabolicSup(Theorem):
    problem: Problem

    def __post_init__(self) -> None:
        _ = self.linear, self.terms

    @cached_property
    def linear(self) -> _Linear:
        return _Linear.of(self.problem, 1)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        p = self.problem
        if p.initial is None:
            raise NoForm("an initial part is needed")
        return Term("residual", p.residual, "sup"), Term("initial", p.initial, "sup"), *_side_terms(p)

    def hypotheses(self) -> Iterator[Check]:
        yield from self.linear.hypotheses()

    def bound(self, of: Mapping[str, Arb]) -> Arb:
        factor = ball(_space_time(self.problem))
        if all(b == ZERO for b in self.linear.drift):
            factor = _least([factor, self.linear.barrier(self.problem)])
        edges = _most([of[t.name].sqrt() for t in self.terms[1:]])
        return edges + factor * of["residual"].sqrt()

    @property
    def solution(self) -> str:
        return _classical(self.problem)

    @property
    def distance(self) -> str:
        return _everywhere(self.problem)


def _everywhere(problem: Problem) -> str:
    return f"|{problem.output}_theta - {problem.output}|, everywhere on the domain,"


def _side_terms(problem: Problem) -> list[Term]:
    return [
        Term(f"{'upper' if end else 'lower'} end of {problem.coordinates[i]}", q, "sup")
        for (i, end), q in problem.sides.items()
    ]


@dataclass(frozen=True, eq=False)
class EllipticSup(Theorem):
    problem: Problem

    def __post_init__(self) -> None:
        if any(b != ZERO for b in self.linear.drift):
            raise NoForm("the theorem knows no first derivatives")

    @cached_property
    def linear(self) -> _Linear:
        return _Linear.of(self.problem, 0)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        return Term("residual", self.problem.residual, "sup"), *_side_terms(self.problem)

    def hypotheses(self) -> Iterator[Check]:
        yield from self.linear.hypotheses()

    def bound(self, of: Mapping[str, Arb]) -> Arb:
        edges = _most([of[t.name].sqrt() for t in self.terms[1:]])
        return edges + self.linear.barrier(self.problem) * of["residual"].sqrt()

    @property
    def solution(self) -> str:
        return _classical(self.problem)

    @property
    def distance(self) -> str:
        return _everywhere(self.problem)


@dataclass(frozen=True, eq=False)
class ParabolicL2(Theorem):
    problem: Problem

    def __post_init__(self) -> None:
        _ = self.lift
        constant(self.linear.drift[0], "the coefficient of the first derivative")
        _ = self.terms

    @property
    def lift(self) -> Lift:
        return Lift(self.problem)

    @cached_property
    def linear(self) -> _Linear:
        return _Linear.of(self.problem, 1)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        p, lift = self.problem, self.lift
        w = lift.value()
        correction = add(
            lift.value(1), multiply(self.linear.drift[0], lift.slope()), multiply(self.linear.decay, w)
        )
        start = None if p.initial is None else subtract(p.initial.expressions[0], w)
        return (
            Term("residual", p.residual, "L2"),
            Term("lift", lift.quantity(p.residual, correction), "L2"),
            Term("initial", lift.quantity(p.initial, start or ZERO), "L2"),
            *lift.edges(),
        )

    def hypotheses(self) -> Iterator[Check]:
        yield from self.linear.hypotheses()

    def bound(self, of: Mapping[str, Arb]) -> Arb:
        length = ball(self.lift.length)
        rate = 2 * _ball(self.linear.diffusion[0]) * (Arb.pi() / length) ** 2
        factor = (-(-rate * ball(_space_time(self.problem))).expm1() / rate).sqrt()
        edges = (length / 2 * (of["lower end"] + of["upper end"])).sqrt()
        return of["initial"].sqrt() + factor * (of["residual"].sqrt() + of["lift"].sqrt()) + edges

    @property
    def solution(self) -> str:
        return _classical(self.problem)

    @property
    def distance(self) -> str:
        x, t, u = (*(self.problem.coordinates[i] for i in (self.lift.x, self.lift.t)), self.problem.output)
        return f"the root of the integral over {x} of ({u}_theta - {u})^2, for every {t} of the domain,"


@dataclass(frozen=True, eq=False)
class WaveEnergy(Theorem):
    problem: Problem

    def __post_init__(self) -> None:
        _ = self.lift
        if self.linear.drift[0] != ZERO or self.linear.decay != ZERO:
            raise NoForm("expected u_tt - k u_xx - g")
        _ = self.terms

    @property
    def lift(self) -> Lift:
        return Lift(self.problem)

    @cached_property
    def linear(self) -> _Linear:
        return _Linear.of(self.problem, 2)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        p, lift = self.problem, self.lift
        x = p.coordinates[lift.x]
        slope = add(p.name(lift.x, 1), negate(differentiated(p.start, x)), negate(lift.slope()))
        if p.initial is not None:  # only its slope counts, but it must be defined
            slope = add(slope, Product((ZERO, p.initial.expressions[0]), (False, False)))
        speed = ZERO if p.velocity is None else subtract(p.velocity.expressions[0], lift.value(1))
        rates = (
            Term(
                f"{name} end's rate",
                replace(p.sides[lift.x, end], expressions=(lift.at(end, 1, ""),)),
                "sup",
            )
            for name, end in (("lower", False), ("upper", True))
        )
        return (
            Term("residual", p.residual, "L2"),
            Term("lift", lift.quantity(p.residual, lift.value(2)), "L2"),
            Term("initial slope", lift.quantity(p.initial, slope), "L2"),
            Term("initial velocity", lift.quantity(p.velocity, speed), "L2"),
            *lift.edges(),
            *rates,
        )

    def hypotheses(self) -> Iterator[Check]:
        yield from self.linear.hypotheses()

    def bound(self, of: Mapping[str, Arb]) -> Arb:
        length, k = ball(self.lift.length), _ball(self.linear.diffusion[0])
        start = (of["initial velocity"] + k * of["initial slope"]).sqrt()
        forced = ball(_space_time(self.problem)).sqrt() * (of["residual"].sqrt() + of["lift"].sqrt())
        rates = length / 2 * (of["lower end's rate"] + of["upper end's rate"])
        slope = k / length * (of["lower end"].sqrt() + of["upper end"].sqrt()) ** 2
        return start + forced + (rates + slope).sqrt()

    @property
    def solution(self) -> str:
        t = self.problem.coordinates[self.lift.t]
        return f"weak, of finite energy that is continuous in {t}"

    @property
    def distance(self) -> str:
        x, t, e = (
            *(self.problem.coordinates[i] for i in (self.lift.x, self.lift.t)),
            f"({self.problem.output}_theta - {self.problem.output})",
        )
        return (
            f"the root of the integral over {x} of {e}_{t}^2 + k {e}_{x}^2, k the coefficient of -{self.problem.output}_{x}{x}, "
            f"for every {t} of the domain,"
        )


THEOREMS: Final[dict[str, type[BurgersL1 | ParabolicSup | ParabolicL2 | EllipticSup | WaveEnergy]]] = {
    "burgers-L1": BurgersL1,
    "parabolic-sup": ParabolicSup,
    "parabolic-L2": ParabolicL2,
    "elliptic-sup": EllipticSup,
    "wave-energy": WaveEnergy,
}
