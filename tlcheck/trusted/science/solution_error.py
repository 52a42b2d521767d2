"""The distance between a network u_theta and the solution u of a differential equation, from what the network leaves over.

A *problem* is an equation on a box (over time, or not), with initial values and Dirichlet values on every side, each
written as an expression that vanishes for u; a *theorem* (error_theorems.py; proofs: certificates/formats/solution_error.md)
bounds a distance of u_theta and u by amounts (pinn_domain.Amount) of quantities made from these expressions.

Guarantee. The equation has the theorem's form, found by multiplying it out (differential.py), or the theorem is not built;
what the form demands of its constants, and that the data agree where they meet, are conditions. Each amount is enclosed
from above by Taylor models on the cells of its tree, in Arb. The theorem's bound, which grows with every amount, is
evaluated at the upper ends; the condition is that it is at most ``at_most``. A bound that is too large disproves nothing.

The claim speaks of every u of the class that the theorem names (there is at most one); not of whether there is one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import combinations
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb, ball, upper_float
from tlcheck.trusted.arith.decimals import decimal_outward
from tlcheck.trusted.calculus.expression import Expression, Number, Variable, text, variables
from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.conditions import (
    Check,
    ConditionClaim,
    Item,
    Measure,
    Share,
    fact,
    nonnegative,
    undecided,
)
from tlcheck.trusted.science.amounts import Amount, Splittable, in_parts
from tlcheck.trusted.science.differential import (
    ONE,
    ZERO,
    Form,
    Monomial,
    NoForm,
    add,
    differentiated,
    divide,
    equal_at,
    fixed,
    multiply,
    negate,
    normal_form,
    subtract,
)
from tlcheck.trusted.science.quantities import Quantity, derivative_names

LOWER, UPPER = "lower_", "upper_"
"""Prefixes of what is taken at the two ends of the space coordinate."""
DIGITS: Final = 5
MESSAGE: Final = 120
"""Most characters of an expression in a message."""


@dataclass(frozen=True, eq=False)
class Problem:
    """``residual``: of the equation, on the whole box; ``boundary``: of the Dirichlet values, one for each side; ``initial``
    and ``velocity``: of the values of u and its derivative by time. Raises NoForm when these do not fit together."""

    residual: Quantity
    boundary: tuple[Quantity, ...]
    initial: Quantity | None = None
    velocity: Quantity | None = None

    def __post_init__(self) -> None:
        every = [q for q in (self.residual, *self.boundary, self.initial, self.velocity) if q is not None]
        for q in every:
            if q.network is not self.residual.network or q.coordinates != self.residual.coordinates:
                raise NoForm("parts about different networks")
            if len(q.outputs) != 1 or len(q.expressions) != 1 or q.other or q.sides:
                raise NoForm("one output, one expression in each part, and no second place are needed")
        if self.residual.network.kinked:
            raise NoForm("a network with kinks")
        if len(self.residual.free) != len(self.coordinates):
            raise NoForm("the residual is needed on the whole domain")
        if self.velocity is not None and (
            self.initial is None or self.velocity.domain != self.initial.domain
        ):
            raise NoForm("initial values and velocities are needed at the same time")
        _ = self.time, self.sides, self.data, self.speeds
        if self.initial is not None:
            _ = self.start

    @property
    def coordinates(self) -> tuple[str, ...]:
        return self.residual.coordinates

    @property
    def output(self) -> str:
        return self.residual.outputs[0]

    @property
    def domain(self) -> tuple[tuple[Fraction, Fraction], ...]:
        return tuple(self.residual.domain)

    @cached_property
    def time(self) -> int | None:
        """The coordinate that the initial values hold fixed at its lower end."""
        if self.initial is None:
            return None
        axis, upper = self._side(self.initial)
        if upper:
            raise NoForm("initial values at the lower end of the time are needed")
        return axis

    @cached_property
    def space(self) -> tuple[int, ...]:
        return tuple(i for i in range(len(self.coordinates)) if i != self.time)

    @cached_property
    def sides(self) -> dict[tuple[int, bool], Quantity]:
        """(space coordinate, at its upper end) -> its part: all sides."""
        found = {self._side(q): q for q in self.boundary}
        wanted = {(i, end) for i in self.space for end in (False, True)}
        if set(found) != wanted or len(self.boundary) != len(wanted):
            raise NoForm("one boundary part for each side is needed, and no other")
        return found

    def _side(self, q: Quantity) -> tuple[int, bool]:
        """The coordinate that the part holds fixed at an end, all others being free on the whole domain."""
        changed = [i for i, ends in enumerate(q.domain) if ends != self.domain[i]]
        if len(changed) == 1:
            low, high = q.domain[changed[0]]
            if low == high and low in self.domain[changed[0]]:
                return changed[0], low == self.domain[changed[0]][1]
        raise NoForm(
            f"the part on {q.where(q.domain)} is not one whole side of the residual's domain, "
            f"{self.residual.where(self.domain)}"
        )

    @cached_property
    def unknowns(self) -> dict[str, tuple[int, ...]]:
        return {
            name: index for name, (_, index) in derivative_names((self.output,), self.coordinates).items()
        }

    def unit(self, axis: int, order: int = 1) -> tuple[int, ...]:
        return tuple(order * (i == axis) for i in range(len(self.coordinates)))

    def name(self, axis: int, order: int, prefix: str = "") -> Expression:
        """The derivative of that order by one coordinate."""
        return Variable(prefix + self.output + ("_" + self.coordinates[axis] * order if order else ""))

    @cached_property
    def form(self) -> Form:
        return normal_form(self.residual.expressions[0], self.unknowns)

    def _given(self, q: Quantity, index: tuple[int, ...]) -> Expression:
        """f where the part is "u - f", or that of the derivative ``index``."""
        form = normal_form(q.expressions[0], self.unknowns)
        if form.get((index,)) != ONE or not set(form) <= {(), (index,)}:
            raise NoForm(
                f"expected {self.output}, or its derivative by time, minus a function: {shortened(q.expressions[0])}"
            )
        return negate(form.get((), ZERO))

    @cached_property
    def data(self) -> dict[tuple[int, bool], Expression]:
        """The Dirichlet values on each side."""
        return {
            (i, end): fixed(self._given(q, self.unit(0, 0)), {self.coordinates[i]: self.domain[i][end]})
            for (i, end), q in self.sides.items()
        }

    @cached_property
    def start(self) -> Expression:
        """The initial values."""
        if self.initial is None or self.time is None:
            raise NoForm("an initial part is needed")
        return fixed(self._given(self.initial, self.unit(0, 0)), self._at_start)

    @property
    def _at_start(self) -> dict[str, Fraction]:
        return {} if self.time is None else {self.coordinates[self.time]: self.domain[self.time][0]}

    @cached_property
    def speeds(self) -> Expression | None:
        """The initial derivative by time."""
        if self.velocity is None or self.time is None:
            return None
        return fixed(self._given(self.velocity, self.unit(self.time)), self._at_start)

    def agreement(self) -> Iterator[Check]:
        """The given values are those of one continuous function, where two sides, or a side and the start, meet."""
        faces = [(self.coordinates[i], self.domain[i][end], e) for (i, end), e in self.data.items()]
        if self.time is not None:
            faces.append((self.coordinates[self.time], self.domain[self.time][0], self.start))
        for (x, at, e), (y, to, f) in combinations(faces, 2):
            if x != y:
                where = f"{x} = {number_text(at)}, {y} = {number_text(to)}"
                same = equal_at(e, f, {x: at, y: to})
                name = "given values agree where they meet"
                yield fact(name, True, where) if same else undecided(name, where)

    @property
    def sentence(self) -> str:
        """The equations of u."""
        q = self.residual
        lines = [f"{text(q.expressions[0])} = 0 for {q.where(q.domain, nearest=False)}"]
        for part in (self.initial, self.velocity, *self.boundary):
            if part is not None:
                fixed_at = ", ".join(
                    f"{c} = {number_text(low)}"
                    for c, (low, high) in zip(self.coordinates, part.domain, strict=True)
                    if low == high
                )
                lines.append(f"{text(part.expressions[0])} = 0 at {fixed_at}")
        return "; ".join(lines)


@dataclass(frozen=True, eq=False)
class Term:
    """What must be enclosed, under a name: a quantity and the norm of its amount."""

    name: str
    quantity: Quantity
    norm: str


class Theorem(ABC):
    """A bound of the distance of u_theta to u. Raises NoForm when built for a problem that it is not about."""

    problem: Problem

    @property
    @abstractmethod
    def terms(self) -> tuple[Term, ...]: ...

    @abstractmethod
    def hypotheses(self) -> Iterator[Check]:
        """Conditions on constants; that the data agree where they meet is always one."""

    @abstractmethod
    def bound(self, of: Mapping[str, Arb]) -> Arb:
        """``of``: numbers at or above the amounts of the terms. Grows with each."""

    @property
    @abstractmethod
    def solution(self) -> str:
        """The class of u."""

    @property
    @abstractmethod
    def distance(self) -> str: ...


@dataclass(frozen=True, eq=False)
class Lift:
    """w(t, x) = ((b - x) g(t) + (x - a) h(t))/(b - a) on [a, b], g and h being what u_theta differs by at the two ends:
    u_theta - w has the given values there. Only for one space coordinate and a time."""

    problem: Problem

    def __post_init__(self) -> None:
        if self.problem.time is None or len(self.problem.space) != 1:
            raise NoForm("a time and one space coordinate are needed")

    @property
    def x(self) -> int:
        return self.problem.space[0]

    @property
    def t(self) -> int:
        if self.problem.time is None:
            raise NoForm("a time is needed")
        return self.problem.time

    @property
    def ends(self) -> tuple[Fraction, Fraction]:
        return self.problem.domain[self.x]

    @property
    def length(self) -> Fraction:
        return self.ends[1] - self.ends[0]

    @property
    def sides(self) -> tuple[tuple[str, tuple[tuple[int, Fraction], ...]], ...]:
        low, high = self.ends
        return (LOWER, ((self.x, low),)), (UPPER, ((self.x, high),))

    def at(self, upper: bool, order: int, prefix: str) -> Expression:
        """The derivative by time of what u_theta differs by at an end."""
        given = self.problem.data[self.x, upper]
        for _ in range(order):
            given = differentiated(given, self.problem.coordinates[self.t])
        return subtract(self.problem.name(self.t, order, prefix), given)

    def value(self, order: int = 0) -> Expression:
        """w, or its derivative by time."""
        low, high = (Number(end) for end in self.ends)
        x = Variable(self.problem.coordinates[self.x])
        return divide(
            add(
                multiply(subtract(high, x), self.at(False, order, LOWER)),
                multiply(subtract(x, low), self.at(True, order, UPPER)),
            ),
            Number(self.length),
        )

    def slope(self) -> Expression:
        """w_x."""
        return divide(subtract(self.at(True, 0, UPPER), self.at(False, 0, LOWER)), Number(self.length))

    def quantity(self, at: Quantity | None, expression: Expression) -> Quantity:
        """Of an expression with w in it, on the domain of a part."""
        if at is None:
            raise NoForm("an initial part is needed, for the wave equation also a velocity")
        return replace(at, expressions=(expression,), sides=self.sides)

    def edges(self) -> tuple[Term, Term]:
        """How far u_theta is from the given values."""
        sides = self.problem.sides
        return Term("lower end", sides[self.x, False], "sup"), Term("upper end", sides[self.x, True], "sup")


@dataclass(frozen=True, eq=False)
class SolutionErrorClaim(Splittable):
    """``covers``: for each term of the theorem, the order of the models and the tree. Raises ValueError when built from
    what does not fit."""

    name: str
    theorem: Theorem
    at_most: Fraction
    covers: Mapping[str, tuple[int, str]]
    quick: bool = False
    kind = "PINN solution error"

    def __post_init__(self) -> None:
        if set(self.covers) != {term.name for term in self.theorem.terms}:
            names = ", ".join(term.name for term in self.theorem.terms)
            raise ValueError(f"one cover for each of: {names}")
        _ = self.amounts

    @cached_property
    def amounts(self) -> tuple[Amount, ...]:
        return tuple(
            Amount(t.name, t.quantity, t.norm, *self.covers[t.name], self.quick) for t in self.theorem.terms
        )

    @property
    def asks_for(self) -> tuple[str, ...]:
        """The theorem's module, and what its terms ask for."""
        found = {name for term in self.theorem.terms for name in term.quantity.asks_for}
        return (*super().asks_for, type(self.theorem).__module__, *sorted(found))

    @property
    def statement(self) -> str:
        p = self.theorem.problem
        return (
            f"{self.name}: with {p.output}_theta the network's output at ({', '.join(p.coordinates)}), for every solution "
            f"{p.output} of: {p.sentence} ({self.theorem.solution}; there is at most one): "
            f"{self.theorem.distance} is at most {number_text(self.at_most)}"
        )

    @property
    def assumptions(self) -> tuple[str, ...]:
        return (*super().assumptions, "theorems about differential equations")

    def parts(self) -> Sequence[ConditionClaim]:
        return in_parts(self, sum(len(a.cells) for a in self.amounts))

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Item]:
        yield from self.some(0, sum(len(a.cells) for a in self.amounts), tick)

    def some(self, first: int, last: int, tick: Callable[[], None]) -> Iterator[Item]:
        """The cells of all amounts, one after the other."""
        start = 0
        for amount in self.amounts:
            count = len(amount.cells)
            here = max(first - start, 0), min(last - start, count)
            if here[0] < here[1]:
                yield from amount.shares(*here, tick)
            start += count

    def conclude(self, shares: Sequence[Share]) -> Iterator[Check | Measure]:
        found = (*self.theorem.hypotheses(), *self.theorem.problem.agreement())
        hypotheses = [replace(_not_refuting(check), low=None, high=None) for check in found]
        yield from hypotheses  # without slack: the margin of the claim is that of the bound
        if not all(check.holds for check in hypotheses):
            return
        yield Measure("cells", sum(len(amount.cells) for amount in self.amounts))
        upper: dict[str, Arb] = {}
        for amount in self.amounts:
            total = amount.total(shares)
            if total is None:
                yield undecided(
                    "the distance is at most the bound", f"{amount.name}: a cell has no finite enclosure"
                )
                return
            upper[amount.name] = arb(upper_float(total))
            yield Measure(
                f"{amount.name} ({amount.norm})",
                f"at most {decimal_outward(upper_float(total), 'up', DIGITS)}, {len(amount.cells)} cells",
            )
        bound = self.theorem.bound(upper)
        if not bound.is_finite():
            yield undecided("the distance is at most the bound", "no finite bound")
            return
        yield Measure("distance", f"at most {decimal_outward(upper_float(bound), 'up', DIGITS)}")
        yield _not_refuting(nonnegative("the distance is at most the bound", ball(self.at_most) - bound))


def _not_refuting(check: Check) -> Check:
    """A hypothesis that fails, or a bound that is too large, leaves the claim open."""
    return check if check.holds else replace(check, holds=None)


def only(problem: Problem, known: Sequence[Monomial]) -> None:
    """Raises NoForm when the equation has another term."""
    for monomial, coefficient in problem.form.items():
        if monomial not in known:
            letters = [
                "".join(c * n for c, n in zip(problem.coordinates, index, strict=True)) for index in monomial
            ]
            names = [problem.output + (f"_{these}" if these else "") for these in letters]
            written = "*".join([f"({shortened(coefficient)})", *names])
            raise NoForm(f"the theorem knows no term {written}")


def shortened(e: Expression) -> str:
    """For messages."""
    written = text(e)
    return written if len(written) <= MESSAGE else f"{written[:MESSAGE]}..."


def constant(e: Expression, what: str) -> Expression:
    """``e``, which must be free of variables."""
    if variables(e):
        raise NoForm(f"{what} is not constant: {shortened(e)}")
    return e
