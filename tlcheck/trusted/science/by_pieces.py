"""Functions with kinks on a box, piece by piece: on each piece every kink has one known sign, so nothing is lost at it.

A box is centre + radius * t, t in [-1, 1]^n. A :class:`Form` (c, g) encloses a function h: for each x of the box
there are c' in c, g' in g with h(x) = c' + g' t. Its t has n components of x, and further ones that depend on x in
any way, within [-1, 1]: ``spread`` puts what is not linear there, so that where it cancels it is seen to cancel.
Forms of operands give a form of the result: sums at once; a product has (g t)(h t), at most |g|_1 |h|_1; a smooth f
of z = m + d is f(m) + f'(m) d + f''(xi) d^2 / 2, xi between m and z (Taylor), m any number.

*Pieces.* A kink whose argument z has both signs splits the box in two, {z >= 0} and {-z >= 0}; they cover it, and on
each the kink is linear. :class:`Pieces` goes through all sequences of such choices, depth first. What has been chosen
is *assumed*: forms a_j of functions that are >= 0 on the piece. For any multipliers mu_j >= 0, there

    h  >=  h - sum_j mu_j a_j  >=  c - sum_j mu_j c_j - |g - sum_j mu_j g_j|_1,    the least of a form over all t.

Some mu makes this sharp for linear functions (duality of linear programs). It is looked for in floats, and is a hint
only. A sign that follows from what is assumed is no choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, TypeVar, cast

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.calculus.jets import Function, Jet
from tlcheck.trusted.calculus.kinked_jets import Kinks
from tlcheck.trusted.calculus.ranges import Box, square

T = TypeVar("T")
MAX_PIECES: Final = 400
"""Pieces of one box; with more it is not decided."""
TOUCHING: Final = 1e-9
"""Relative to a box; pieces that only touch are thought of as slivers of this width, for they may be such."""
ZERO: Final = arb(0)


class TooManyPieces(ArithmeticError):
    """Or a function that is not defined on the whole box."""


@dataclass(frozen=True)
class Form(Jet):
    """``value`` c, ``gradient`` g, as above; no Hessian. The jet of a constant is a form, and mixes with forms."""

    def __add__(self, other: Jet) -> Form:
        return Form(
            self.value + other.value,
            tuple(a + b for a, b in zip(self.gradient, other.gradient, strict=True)),
            (),
        )

    __radd__ = __add__

    def __sub__(self, other: Jet) -> Form:
        return Form(
            self.value - other.value,
            tuple(a - b for a, b in zip(self.gradient, other.gradient, strict=True)),
            (),
        )

    def __mul__(self, other: Jet) -> Form:
        f, g = self.value, other.value
        gradient = tuple(f * b + g * a for a, b in zip(self.gradient, other.gradient, strict=True))
        rest = _reach(self.gradient) * _reach(other.gradient)
        return Form(f * g + rest.union(-rest), gradient, ())

    __rmul__ = __mul__

    def __neg__(self) -> Form:
        return Form(-self.value, tuple(-a for a in self.gradient), ())

    def scaled(self, factor: Arb) -> Form:
        return Form(factor * self.value, tuple(factor * a for a in self.gradient), ())

    def shifted(self, constant: Arb) -> Form:
        return Form(self.value + constant, self.gradient, ())

    def through(self, f: Function) -> Form:
        """f(m) + f'(m) d + f''(xi) d^2 / 2, where m + d = c + g t."""
        middle = self.value.mid()
        offset, reach = self.value - middle, _reach(self.gradient)
        f0, f1, _ = f(middle)
        curvature = f(self.value + reach.union(-reach))[2]
        furthest = square((abs(offset) + reach).upper())
        value = f0 + f1 * offset + curvature * ZERO.union(furthest) / 2
        return Form(value, tuple(f1 * a for a in self.gradient), ())

    @property
    def low(self) -> Arb:
        """Not above any value, whatever t."""
        return (self.value - _reach(self.gradient)).lower()

    def spread(self, component: int) -> Form:
        """The same with the radius of c along a component of t that nothing else uses."""
        if not self.gradient[component] == 0:
            raise ValueError("the component is in use")
        middle = self.value.mid()
        own = abs(self.value - middle).upper()
        return Form(middle, (*self.gradient[:component], own, *self.gradient[component + 1 :]), ())


def as_form(jet: Jet) -> Form:
    """Raises ValueError when it is neither a form nor constant (nor unknown)."""
    if isinstance(jet, Form):
        return jet
    if any(slope.is_finite() and not slope == 0 for slope in jet.gradient):
        raise ValueError("a jet over a box is not a form")
    return Form(jet.value, jet.gradient, ())


def _reach(gradient: Sequence[Arb]) -> Arb:
    """|g|_1, from above."""
    total = ZERO
    for slope in gradient:
        total = total + abs(slope).upper()
    return total.upper()


def forms(box: Box, further: int) -> list[Form]:
    """The coordinates on the box; t has ``further`` components that none of them uses."""
    n = len(box)
    return [
        Form(
            ball((a + b) / 2),
            tuple(ball((b - a) / 2) if i == k else ZERO for i in range(n + further)),
            (),
        )
        for k, (a, b) in enumerate(box)
    ]


@dataclass(frozen=True)
class _Sign:
    """Of a kink's argument on the piece; ``chosen``: it does not follow; ``still_open``: the other is to come."""

    above: bool
    chosen: bool = False
    still_open: bool = False


class Pieces(Kinks):
    """The pieces of a box of n coordinates: ``for _ in pieces`` evaluates on each, in the same order of kinks.

    Raises TooManyPieces.
    """

    def __init__(self, n: int, most: int = MAX_PIECES) -> None:
        super().__init__()
        self.most, self.looked = most, 0
        self._plane = n <= 2
        self._signs: list[_Sign] = []
        self._kept: list[tuple[int, list[Form], _Outline, object]] = []
        self._begin(0)

    def __iter__(self) -> Iterator[None]:
        while True:
            self.looked += 1
            if self.looked > self.most:
                raise TooManyPieces
            yield
            while self._signs and not self._signs[-1].still_open:
                self._signs.pop()
            if not self._signs:
                return
            last = self._signs.pop()
            self._begin(len(self._signs))
            self._signs.append(_Sign(not last.above, chosen=True))

    def _begin(self, changed: int) -> None:
        """Again from the first kink; what was kept before the kink ``changed`` stays."""
        self._kept = [kept for kept in self._kept if kept[0] <= changed]
        self._step, self.count = 0, 0
        self._assumed: list[Form] = []
        self._outline = _SQUARE

    def kept(self, compute: Callable[[], T]) -> T:
        """compute(), or its result on the piece before when nothing differs up to there. Called in the same order."""
        if self._step == len(self._kept):
            found = compute()
            self._kept.append((self.count, list(self._assumed), self._outline, found))
        self.count, assumed, self._outline, result = self._kept[self._step]
        self._assumed = list(assumed)
        self._step += 1
        return cast(T, result)

    def assume(self, jet: Jet) -> None:
        """From here on only where it is >= 0."""
        form = as_form(jet)
        if self._plane:
            self._outline = self._outline.cut(_line(form), _slack(form), len(self._assumed))
        self._assumed.append(form)

    def least(self, jet: Jet) -> Arb:
        """A lower bound on the piece; NaN or -inf, of which no comparison holds, where there is none."""
        form = as_form(jet)
        low = form.low
        if low >= 0 or not self._plane:
            return low
        for j, factor in self._outline.multipliers(_line(form)):
            if 0 < factor < inf:
                form = form - self._assumed[j].scaled(arb(factor))
        better = form.low
        return better if better > low else low

    def bent(self, z: Jet, below: Arb, above: Arb) -> Jet:
        form = as_form(z)
        k = self.count
        self.count += 1
        if k == len(self._signs):
            self._signs.append(self._sign(form))
        sign = self._signs[k]
        if sign.chosen:
            self.assume(form if sign.above else -form)
        slope = above if sign.above else below
        return form if slope == 1 else form.scaled(slope)

    def _sign(self, form: Form) -> _Sign:
        minus = -form
        if form.low >= 0 or minus.low >= 0:
            return _Sign(bool(form.low >= 0))
        if not form.low.is_finite():
            raise TooManyPieces
        if self._plane:
            low, high = self._outline.ends(_line(form))
            if abs(low) < high and self.least(form) >= 0:
                return _Sign(above=True)
            if high <= abs(low) and self.least(minus) >= 0:
                return _Sign(above=False)
        return _Sign(above=True, chosen=True, still_open=True)


# Hints for the multipliers, in floats.

Line = tuple[float, float, float]
"""(c, g, g'): c + g t + g' t'."""


def _line(form: Form) -> Line:
    """About the form, in the first two components of t."""
    slopes = [float(x.mid()) for x in form.gradient[:2]]
    return float(form.value.mid()), slopes[0], slopes[1] if len(slopes) > 1 else 0.0


def _slack(form: Form) -> float:
    """About how far the form is from the line, and a little more: what the outline of a piece must not lose."""
    further = sum(float(abs(x).upper()) for x in form.gradient[2:])
    return further + TOUCHING * sum(abs(slope) for slope in _line(form)[1:])


@dataclass(frozen=True)
class _Outline:
    """About the piece: a convex polygon of (t, t'). Edge k goes from corner k to the next; it belongs to the
    assumption ``edges[k]``, or -1, -2 to a side t = +-1, t' = +-1 of the square. ``lines``: of the assumptions."""

    corners: tuple[tuple[float, float], ...]
    edges: tuple[int, ...]
    lines: tuple[Line, ...] = ()

    def ends(self, line: Line) -> tuple[float, float]:
        values = self._values(line)
        return min(values), max(values)

    def _values(self, line: Line) -> list[float]:
        c, g, h = line
        return [c + g * p + h * q for p, q in self.corners]

    def cut(self, line: Line, slack: float, index: int) -> _Outline:
        """Where the line is >= -slack; unchanged, but for ``lines``, where that is nothing."""
        values = [value + slack for value in self._values(line)]
        corners: list[tuple[float, float]] = []
        edges: list[int] = []
        m = len(values)
        for k, (here, edge) in enumerate(zip(self.corners, self.edges, strict=True)):
            v, w, there = values[k], values[(k + 1) % m], self.corners[(k + 1) % m]
            if v >= 0:
                corners.append(here)
                edges.append(edge if w >= 0 or v > 0 else index)
            if (v > 0 > w) or (v < 0 < w):
                share = v / (v - w)
                corners.append(
                    (here[0] + share * (there[0] - here[0]), here[1] + share * (there[1] - here[1]))
                )
                edges.append(index if v > 0 else edge)
        lines = (*self.lines, line)
        if len(corners) < 2:
            return _Outline(self.corners, self.edges, lines)
        return _Outline(tuple(corners), tuple(edges), lines)

    def multipliers(self, line: Line) -> list[tuple[int, float]]:
        """(assumption, mu): those of the edges at the corner where the line is least, its slopes made zero along them."""
        values = self._values(line)
        corner = min(range(len(values)), key=values.__getitem__)
        before, after = self.edges[corner - 1], self.edges[corner]
        if before < 0 and after < 0:
            return []
        if before < 0 or after < 0:
            edge, side = max(before, after), min(before, after)
            k = 2 if side == -1 else 1
            below = self.lines[edge][k]
            found = [(edge, line[k] / below)] if below else []
        else:
            (_, a, b), (_, c, d), (_, g, h) = self.lines[before], self.lines[after], line
            determinant = a * d - b * c
            if not determinant:
                return []
            found = [(before, (g * d - h * c) / determinant), (after, (h * a - g * b) / determinant)]
        return found


_SQUARE: Final = _Outline(((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)), (-2, -1, -2, -1))
