"""Lyapunov candidates: networks with an outer function, 1-norms, quadratic forms; on jets, and whether V is definite, exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tlcheck.trusted.arith.arb import arb, ball
from tlcheck.trusted.calculus.jets import Jet, constant, pairs, squared
from tlcheck.trusted.calculus.kinked_jets import Kinks, absolute, activated
from tlcheck.trusted.calculus.ranges import Point
from tlcheck.trusted.science.dense_network import OUTER, Dense, Matrix


@dataclass(frozen=True)
class Candidate:
    """V(x) = outer(N(x) - N(e)) + |L (x - e)|_1 + (x - e)^T P (x - e), e = ``centre``; without ``difference``: outer(N(x)).

    ``l1`` = L and ``quadratic`` = P (symmetric) may be empty, and ``network`` None: then the term is missing.
    """

    centre: Point
    network: Dense | None = None
    difference: bool = True
    outer: str = "abs"
    l1: Matrix = ()
    quadratic: Matrix = ()

    def __post_init__(self) -> None:
        n = len(self.centre)
        if self.network is not None and (self.network.inputs, self.network.outputs) != (n, 1):
            raise ValueError("the network of V does not fit")
        if any(len(row) != n for row in (*self.l1, *self.quadratic)) or len(self.quadratic) not in (0, n):
            raise ValueError("a matrix of V does not fit")
        if self.quadratic != tuple(zip(*self.quadratic, strict=True)):
            raise ValueError("the quadratic term's matrix is not symmetric")
        if self.outer not in OUTER or not (self.network or self.l1 or self.quadratic):
            raise ValueError("V must have a term, and its outer function must be known")

    @property
    def text(self) -> str:
        inner = "N(x) - N(e)" if self.difference else "N(x)"
        inner = (
            f"|{inner}|"
            if self.outer == "abs"
            else inner
            if self.outer == "linear"
            else f"{self.outer}({inner})"
        )
        terms = [inner] * (self.network is not None) + ["|L (x - e)|_1"] * bool(self.l1)
        value = " + ".join(terms + ["(x - e)^T P (x - e)"] * bool(self.quadratic))
        return value if self.network is None else f"{value}, N: {self.network.text}"

    @property
    def definite(self) -> bool:
        """V(e) = 0 and V > 0 elsewhere, decided exactly: no term is negative, and one vanishes at e only."""
        network = self.network is None or (self.difference and self.outer == "abs")
        if not network or (self.quadratic and not positive_definite(self.quadratic)):
            return False
        return bool(self.quadratic) or rank(self.l1) == len(self.centre)

    def prepared(self, inner: bool = False) -> Callable[[Sequence[Jet], Kinks], Jet]:
        """V on the jets of its arguments; ``inner``: without the outer function."""
        network = None if self.network is None else self.network.prepared()
        at_centre = None
        if network is not None and self.difference:
            at_centre = network([constant(ball(q), len(self.centre)) for q in self.centre], Kinks())[0].value

        def run(x: Sequence[Jet], kinks: Kinks) -> Jet:
            total = constant(arb(0), len(x[0].gradient))
            if network is not None:
                out = network(x, kinks)[0]
                out = out if at_centre is None else out.shifted(-at_centre)
                total = total + (out if inner else activated(out, self.outer, kinks))
            offsets = [jet.shifted(ball(-q)) for jet, q in zip(x, self.centre, strict=True)]
            for row in self.l1:
                total = total + absolute(combination(row, offsets), kinks)
            if self.quadratic:
                total = total + quadratic_jet(self.quadratic, offsets)
            return total

        return run


def combination(row: Point, jets: Sequence[Jet]) -> Jet:
    total = constant(arb(0), len(jets[0].gradient))
    for q, jet in zip(row, jets, strict=True):
        if q:
            total = total + jet.scaled(ball(q))
    return total


def quadratic_jet(matrix: Matrix, x: Sequence[Jet]) -> Jet:
    """x^T P x for symmetric P: squares as squares, each product once."""
    total = constant(arb(0), len(x[0].gradient))
    for i, j in pairs(len(x)):
        if matrix[i][j]:
            product = x[i].through(squared) if i == j else x[i] * x[j]
            total = total + product.scaled(ball(matrix[i][j] * (1 if i == j else 2)))
    return total


def rank(rows: Matrix) -> int:
    """Exact, by elimination."""
    return len(_pivots(rows))


def positive_definite(matrix: Matrix) -> bool:
    """Exact: elimination without exchanges of a symmetric matrix leaves positive pivots only."""
    left = [list(row) for row in matrix]
    for k in range(len(left)):
        if left[k][k] <= 0:
            return False
        for i in range(k + 1, len(left)):
            factor = left[i][k] / left[k][k]
            left[i] = [a - factor * b for a, b in zip(left[i], left[k], strict=True)]
    return True


def _pivots(rows: Matrix) -> list[int]:
    left = [list(row) for row in rows]
    found: list[int] = []
    for column in range(len(rows[0]) if rows else 0):
        k = next((i for i in range(len(found), len(left)) if left[i][column]), None)
        if k is None:
            continue
        left[len(found)], left[k] = left[k], left[len(found)]
        pivot = left[len(found)]
        for i in range(len(found) + 1, len(left)):
            factor = left[i][column] / pivot[column]
            left[i] = [a - factor * b for a, b in zip(left[i], pivot, strict=True)]
        found.append(column)
    return found
