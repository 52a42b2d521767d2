"""Find the covers that bound the distance between a network and the solution of an equation; one bundle for all tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import inf, prod
from pathlib import Path
from typing import Final

import msgspec

from tlcheck.errors import InvalidInput
from tlcheck.prover.cell_cover import LEAST, Cover, average, find_cover, find_integral, highest
from tlcheck.prover.pinn_search import DIGITS_ABOVE, MARGIN, Request, chosen, read_sources
from tlcheck.readers.own.pinn_domain import FORMAT
from tlcheck.readers.own.pinn_solution import Cover as CoverText
from tlcheck.readers.own.pinn_solution import ErrorArtifact
from tlcheck.trusted.arith.arb import Arb, arb, upper_float, working_precision
from tlcheck.trusted.arith.decimals import decimal_outward
from tlcheck.trusted.science.cells import MAX_CELLS
from tlcheck.trusted.science.solution_error import Term, Theorem
from tlcheck.writers.bundle import exact_text

TOLERANCE: Final = Fraction(1, 4)
PRECISION: Final = 128
CHEAPER: Final = 0.1
"""Share of the tolerance for a term of one coordinate less."""
ROOM: Final = 0.95
"""How much of what is left up to a given bound is used."""
MOST: Final = 1e150
"""Amounts are not looked for beyond its square."""


@dataclass(frozen=True)
class SolutionFound:
    """``estimate``: about what the bound would be, were all amounts exact; ``reached``: what the covers prove, infinite where
    one was not found."""

    name: str
    at_most: Fraction
    covers: Mapping[str, Cover]
    estimate: float
    reached: float

    @property
    def complete(self) -> bool:
        return Fraction(self.reached) <= self.at_most if self.reached < inf else False


def certify_solutions(
    model: Path,
    pde: Path,
    target: Path,
    request: Request,
    tell: Callable[[str, int, int], None],
    done: Callable[[SolutionFound], None] = lambda _: None,
) -> list[SolutionFound]:
    """For each solution table of the PDE file: find covers; write the bundle if there are some for all. ``done``: each as soon as
    it is found, or not. Raises InvalidInput or BadRequest."""
    sources = read_sources(model, pde, target)
    tables = sources.equation.solutions
    if not tables:
        raise InvalidInput("TLC101", "no solution table", file=sources.file, field="solution")
    names = chosen(tables, request, "with --solution-error it names a [solution.NAME]")
    try:
        theorems = {name: sources.equation.theorem(name, sources.graph) for name in names}
        for name, theorem in theorems.items():
            _check_hypotheses(name, theorem)
    except InvalidInput as error:
        raise error.in_file(sources.file) from None
    found = []
    for name, theorem in theorems.items():
        found.append(_Search(name, theorem, request, tell).found())
        done(found[-1])
    if all(f.complete for f in found):
        sources.write({f"solution_{f.name}": _artifact(f, request) for f in found})
    return found


def _check_hypotheses(name: str, theorem: Theorem) -> None:
    with working_precision(PRECISION):
        for check in (*theorem.hypotheses(), *theorem.problem.agreement()):
            if not check.holds:
                where = f" ({check.where})" if check.where else ""
                raise InvalidInput(
                    "TLC101", f"not established: {check.name}{where}", field=f"solution.{name}"
                )


@dataclass(frozen=True, eq=False)
class _Search:
    name: str
    theorem: Theorem
    request: Request
    tell: Callable[[str, int, int], None]

    @cached_property
    def estimates(self) -> dict[str, float]:
        """About the amount of each term, from samples."""
        found = {}
        for term in self.theorem.terms:
            self.tell(f"{self.name}: {term.name}", 0, 1)
            if term.norm == "sup":
                top = highest(term.quantity)
                found[term.name] = 0.0 if top is None else max(top.value, 0.0)
            else:
                found[term.name] = average(term.quantity, term.norm) * _volume(term)
        return found

    def bound(self, of: Mapping[str, float]) -> float:
        """Of the theorem, an amount that is not given being 0."""
        with working_precision(PRECISION):
            full: dict[str, Arb] = {t.name: arb(of.get(t.name, 0.0)) for t in self.theorem.terms}
            bound = self.theorem.bound(full)
            return upper_float(bound) if bound.is_finite() else inf

    def found(self) -> SolutionFound:
        estimate = self.bound(self.estimates)
        given = (self.request.bounds or {}).get(self.name)
        tolerance = float(TOLERANCE if self.request.tolerance is None else self.request.tolerance)
        if given is not None:
            tolerance = ROOM * (float(min(given, Fraction(10**300))) / estimate - 1) if estimate else 1.0
        covers: dict[str, Cover] = {}
        reached = inf if tolerance <= 0 or estimate == inf else 0.0
        if reached == 0.0:
            covers = {t.name: self._cover(t, tolerance * estimate) for t in self.theorem.terms}
            missing = any(not cover.tree for cover in covers.values())
            amounts = {t.name: covers[t.name].high * _volume(t) for t in self.theorem.terms}
            reached = inf if missing else self.bound(amounts) * (1 + MARGIN)
        at_most = given
        if at_most is None:
            at_most = Fraction(decimal_outward(reached if reached < inf else estimate, "up", DIGITS_ABOVE))
        return SolutionFound(self.name, at_most, covers, estimate, reached)

    def _cover(self, term: Term, room: float) -> Cover:
        """``room``: by how much the bound may exceed its estimate, because of all terms."""
        terms = self.theorem.terms
        most = max(len(t.quantity.free) for t in terms)
        weights = {t.name: CHEAPER ** (most - len(t.quantity.free)) for t in terms}
        room = room * weights[term.name] / sum(weights.values())
        # alone, a term adds factor * amount (L1), or factor * root of the amount, to the bound
        factor, amount = self.bound({term.name: 1.0}), self.estimates[term.name]
        room, amount = min(room / factor, MOST), min(amount, MOST**2)
        wider = max(amount + room if term.norm == "L1" else (amount**0.5 + room) ** 2, LEAST)
        limits = {"jobs": self.request.jobs, "max_cells": min(self.request.max_cells, MAX_CELLS)}

        def tick(cells: int, open_: int) -> None:
            self.tell(f"{self.name}: {term.name}", cells, open_)

        if term.norm == "sup":
            at_most = Fraction(wider)
            cover = find_cover(term.quantity, at_most, self.request.order, **limits, tick=tick)
            return replace(cover, low=0.0, high=wider)
        gap = (wider - amount) / _volume(term)
        return find_integral(term.quantity, term.norm, self.request.order, gap, **limits, tick=tick)


def _volume(term: Term) -> float:
    if term.norm == "sup":
        return 1.0
    return float(prod((b - a for a, b in term.quantity.domain if a < b), start=Fraction(1)))


def _artifact(found: SolutionFound, request: Request) -> bytes:
    document = ErrorArtifact(
        format=FORMAT,
        model="model.onnx",
        pde="pde.toml",
        solution=found.name,
        at_most=exact_text(found.at_most),
        covers={name: CoverText(request.order, cover.tree) for name, cover in found.covers.items()},
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
