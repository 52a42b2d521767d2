"""The core lemma: V falls on a whole box around the equilibrium, the equilibrium included. No hole, no tolerance.

Let e be in the box C, F(e) = e (discrete) or F(e) = 0 (continuous), exactly, and F Lipschitz on C. For x in C the
segment from e to x is in C, so by Lebourg's mean value theorem, row by row, F(x) - F(e) = A (x - e) with each row of
A a Clarke gradient on C: A lies in the interval matrix that the jets of F over C give. Write y = x - e.

*Quadratic form* (V = y^T P y). Discrete: (1 - k) V(x) - V(x+) = y^T ((1 - k) P - A^T P A) y. Continuous: -V' = -y^T
(P A + A^T P) y. If every symmetric matrix in the interval matrix is positive definite, this is positive for y != 0.
Elimination in balls with positive pivots shows that: it is the elimination of each member.

*Cone form* (discrete, V = |N(x) - N(e)| + |L y|_1). As above N(x) - N(e) = h y and N(F(x)) - N(e) = w y, h and w in
the intervals of the jets over C, and L (x+ - e) = L A y. So with rows h_k, w_k in intervals, (1 - k) V(x) - V(x+) is
at least the least over them of

    g(y) = (1 - k) sum_k |h_k y| - sum_k |w_k y|,    homogeneous: positive for all y != 0 if it is on the unit
    cube's boundary.

On a piece of the boundary with corners c, and any signs s_k: |h_k y| >= s_k h_k y, so g is at least a concave
function of y, which is least at a corner. A piece where some corner does not show it is halved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.calculus.jets import Jet, coordinates
from tlcheck.trusted.calculus.kinked_jets import Kinks, first_order
from tlcheck.trusted.calculus.ranges import Box, Point, square
from tlcheck.trusted.calculus.written import box_text
from tlcheck.trusted.conditions import Check, Measure, met, positive, undecided
from tlcheck.trusted.science.closed_loop import Loop
from tlcheck.trusted.science.lyapunov_candidate import Candidate

NO_FORM: Final = "a form of V for the core lemma"
MAX_PIECES: Final = 20_000
"""Pieces of the unit cube's boundary looked at in the cone form."""

Rows = list[list[Arb]]


@dataclass(frozen=True)
class Core:
    """What the lemma needs: the box C, with e in its interior and inside the region."""

    loop: Loop
    candidate: Candidate
    box: Box
    region: Box
    decay: Fraction

    def checks(self, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        """Each condition of the lemma; in discrete time also F(C) inside the region."""
        e = self.candidate.centre
        inside = all(
            a < q < b and c <= a and b <= d
            for (a, b), q, (c, d) in zip(self.box, e, self.region, strict=True)
        )
        where = box_text(self.box)
        yield met("the core holds the equilibrium in its interior, and lies in the region", inside, where)
        if not inside:
            return
        tick()
        x = [first_order(jet) for jet in coordinates(self.box)]
        after = self.loop.prepared()(x, Kinks())
        a = [list(jet.gradient) for jet in after]
        if self.loop.discrete:
            yield from _stays(after, a, self.box, self.region, e)
        if self.candidate.network is None and not self.candidate.l1:
            least = least_pivot(self._form(a))
            yield (
                undecided("core lemma, quadratic form", where)
                if least is None
                else positive("core lemma, quadratic form", least, where)
            )
            return
        if not self.loop.discrete or self.candidate.quadratic:
            yield undecided(NO_FORM, where)
            return
        yield from self._cone(x, after, a, tick)

    def _form(self, a: Rows) -> Rows:
        """(1 - k) P - A^T P A, or -(P A + A^T P), exactly symmetric, each entry once."""
        p = [[ball(q) for q in row] for row in self.candidate.quadratic]
        n = len(p)
        pa = [[_dot(p[i], [a[k][j] for k in range(n)]) for j in range(n)] for i in range(n)]
        form: Rows = [[arb(0)] * n for _ in range(n)]
        for i in range(n):
            for j in range(i, n):
                if self.loop.discrete:
                    entry = ball((1 - self.decay) * self.candidate.quadratic[i][j]) - self._through(
                        a, p, i, j
                    )
                else:
                    entry = -(pa[i][j] + pa[j][i])
                form[i][j] = form[j][i] = entry
        return form

    def _through(self, a: Rows, p: Rows, i: int, j: int) -> Arb:
        """(A^T P A)_ij."""
        n = len(p)
        total = arb(0)
        for k in range(n):
            for m in range(n):
                pair = square(a[k][i]) if k == m and i == j else a[k][i] * a[m][j]
                total = total + p[k][m] * pair
        return total

    def _cone(
        self, x: Sequence[Jet], after: Sequence[Jet], a: Rows, tick: Callable[[], None]
    ) -> Iterator[Check | Measure]:
        h = [[ball(q) for q in row] for row in self.candidate.l1]
        w = [[_dot(row, column) for column in zip(*a, strict=True)] for row in h]
        if self.candidate.network is not None:
            if not self.candidate.difference or self.candidate.outer != "abs":
                yield undecided(NO_FORM, box_text(self.box))
                return
            network = self.candidate.network.prepared()
            h.append(list(network(x, Kinks())[0].gradient))
            w.append(list(network(after, Kinks())[0].gradient))
        scale = ball(1 - self.decay)
        pieces: list[Box] = list(_faces(len(x)))
        looked, least = 0, arb("inf")
        while pieces:
            tick()
            piece = pieces.pop()
            looked += 1
            if looked > MAX_PIECES:
                yield undecided(f"core lemma, cone form, in {MAX_PIECES} pieces", box_text(self.box))
                return
            if not _falls(h, w, scale, [ball((p + q) / 2) for p, q in piece]) > 0:
                yield undecided("core lemma, cone form: V falls in every direction", box_text(self.box))
                return
            value = _least_at_corners(h, w, scale, piece)
            if value > 0:
                least = least if least <= value else value
                continue
            axis = max(range(len(piece)), key=lambda i: piece[i][1] - piece[i][0])
            low, high = piece[axis]
            middle = (low + high) / 2
            pieces += [(*piece[:axis], part, *piece[axis + 1 :]) for part in ((low, middle), (middle, high))]
        yield positive("core lemma, cone form", least, box_text(self.box))
        yield Measure("cone_pieces", looked)


def _stays(after: Sequence[Jet], a: Rows, box: Box, region: Box, e: Point) -> Iterator[Check]:
    """F(C) inside the region, by values or by F(e) + A (C - e)."""
    for k, (jet, (low, high)) in enumerate(zip(after, region, strict=True)):
        mean = ball(e[k])
        for slope, (p, q), at in zip(a[k], box, e, strict=True):
            mean = mean + slope * ball(p - at).union(ball(q - at))
        holds = any(f.is_finite() and f > ball(low) and f < ball(high) for f in (jet.value, mean))
        yield Check("next state of the core in the region", holds or None, None, None, f"state {k + 1}")


def least_pivot(matrix: Rows) -> Arb | None:
    """The least pivot of the elimination, when all are positive: every symmetric matrix in the balls is positive definite."""
    left = [list(row) for row in matrix]
    n, least = len(left), arb("inf")
    for k in range(n):
        if not (left[k][k].is_finite() and left[k][k] > 0):
            return None
        least = left[k][k] if left[k][k].lower() < least else least
        for i in range(k + 1, n):
            for j in range(i, n):
                product_ = square(left[k][i]) if i == j else left[k][i] * left[k][j]
                left[i][j] = left[j][i] = left[i][j] - product_ / left[k][k]
    return least


def _falls(h: Rows, w: Rows, scale: Arb, y: Sequence[Arb]) -> Arb:
    """g(y)."""
    before = sum((abs(_dot(row, y)) for row in h), arb(0))
    return scale * before - sum((abs(_dot(row, y)) for row in w), arb(0))


def _least_at_corners(h: Rows, w: Rows, scale: Arb, piece: Box) -> Arb:
    """A lower bound of g on the piece."""
    middle = [ball((a + b) / 2) for a, b in piece]
    signs = [1 if float(_dot(row, middle).mid()) >= 0 else -1 for row in h]
    least = arb("inf")
    for corner in product(*[{a, b} for a, b in piece]):
        y = [ball(q) for q in corner]
        value = arb(0)
        for sign, before in zip(signs, h, strict=True):
            value = value + sign * _dot(before, y)
        value = scale * value
        for row in w:
            value = value - abs(_dot(row, y))
        if not value.is_finite():
            return arb("-inf")
        least = value.lower() if not least <= value.lower() else least
    return least


def _faces(n: int) -> Iterator[Box]:
    """The boundary of [-1, 1]^n; g is even, so half of it is enough."""
    one = Fraction(1)
    for i in range(n):
        yield tuple((one, one) if k == i else (-one, one) for k in range(n))


def _dot(row: Sequence[Arb], column: Sequence[Arb]) -> Arb:
    total = arb(0)
    for a, b in zip(row, column, strict=True):
        total = total + a * b
    return total
