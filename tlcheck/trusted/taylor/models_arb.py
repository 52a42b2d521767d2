"""Taylor models in Arb, over one box: the engine that decides.

Coefficients are balls: the model's polynomial has *some* coefficients in them, the same on the whole box. Remainders are
balls of numbers >= 0 (their upper ends count). So rounding needs no care. With |p|_d the sum of the magnitudes of the
coefficients of degree d and |p| that of all, each monomial being in [-1, 1], what is added to the remainder is

    product p q           sum_{d>=1} |p|_d |q|_{>order-d} (what is cut off) + |p| rho_q + |q| rho_p + rho_p rho_q
    f(p), q = p - p_0     |c_{order+1}| Q^(order+1), Q = |q| + rho_p: Taylor's theorem at p's constant p_0; functions.py
                          bounds c_{order+1} within Q of it

A function with a kink at 0 (``hinge``), of x with values in [l, u], l < 0 < u: for whatever exact slope s, f(z) - s z is
linear on [l, 0] and on [0, u], so it lies between the least and the greatest of its values at l, 0 and u. The model is
s x + the middle of these, and half their distance is added to the remainder. The slope s is that of the chord.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from tlcheck.trusted.arith.arb import Arb, arb, arb_mat, ball
from tlcheck.trusted.arith.balls import formula_balls
from tlcheck.trusted.taylor.engine import Dense, Engine, OutsideDomain
from tlcheck.trusted.taylor.space import Space
from tlcheck.trusted.taylor.univariate import Univariate, tower_weight

Coefficients = list[Arb]


@dataclass(frozen=True, eq=False)
class Model:
    """One function: ``coefficients`` (C), in the order of the space; ``remainder`` >= 0."""

    space: Space
    coefficients: Coefficients
    remainder: Arb

    @cached_property
    def by_degree(self) -> list[Arb]:
        """|p|_d."""
        starts = self.space.starts
        sizes = [abs(c) for c in self.coefficients]
        return [sum(sizes[starts[d] : starts[d + 1]], arb(0)) for d in range(self.space.order + 1)]

    @cached_property
    def norm(self) -> Arb:
        return sum(self.by_degree, arb(0))

    def range(self) -> Arb:
        """A ball that holds every value on the box."""
        total = self.coefficients[0] + self.remainder.union(-self.remainder)
        for c, even in zip(self.coefficients[1:], self.space.even[1:], strict=True):
            total = total + (c.union(arb(0)) if even else c.union(-c))
        return total

    def mean(self) -> Arb:
        """A ball that holds the mean over the box."""
        exact = sum((self.coefficients[a] * ball(m) for a, m in self.space.moments[1]), arb(0))
        return exact + self.remainder.union(-self.remainder)

    def mean_square(self) -> Arb:
        """A ball that holds the mean of the square."""
        c = self.coefficients
        exact = sum((c[a] * c[b] * ball(m if a == b else 2 * m) for a, b, m in self.space.moments[0]), arb(0))
        return mean_square(exact, self.remainder)


def mean_square(polynomial: Arb, remainder: Arb) -> Arb:
    """Of a model, from that of its polynomial p: |mean (p + d)^2 - mean p^2| is at most 2 sqrt(mean p^2) rho + rho^2 for
    |d| <= rho (Cauchy-Schwarz)."""
    spread = (2 * polynomial.abs_upper().sqrt() + remainder) * remainder
    return polynomial + spread.union(-spread)


Models = tuple[Model, ...]


class MatrixArb:
    """A ``Dense`` as balls, and its magnitudes; made once at a precision."""

    def __init__(self, weight: Dense) -> None:
        rows, columns = weight.mid.shape
        values = formula_balls(weight.exactly)
        self.rows = int(rows)
        self.matrix = arb_mat(rows, columns, values)
        self.magnitude = arb_mat(rows, columns, [abs(v) for v in values])


class EngineArb(Engine[Models]):
    """``box``: an interval for each coordinate; ``free``: those that vary, one variable each (the others are points)."""

    def __init__(
        self,
        space: Space,
        box: Sequence[tuple[Fraction, Fraction]],
        free: Sequence[int],
        matrices: dict[int, tuple[Dense, MatrixArb]],
    ) -> None:
        if len(free) != space.variables or any(a != b for i, (a, b) in enumerate(box) if i not in free):
            raise ValueError("one variable for each coordinate that varies")
        self.space, self.box, self.free = space, box, tuple(free)
        self._matrices = matrices

    def constants(self, values: Sequence[Arb]) -> Models:
        return tuple(self._constant(v) for v in values)

    def _constant(self, value: Arb) -> Model:
        return Model(self.space, [value, *[arb(0)] * (self.space.size - 1)], arb(0))

    def coordinate(self, i: int) -> Models:
        low, high = self.box[i]
        coefficients = [ball((low + high) / 2), *[arb(0)] * (self.space.size - 1)]
        half, remainder = ball((high - low) / 2), arb(0)
        if i in self.free and self.space.order:
            coefficients[self.space.variable(self.free.index(i))] = half
        else:
            remainder = half
        return (Model(self.space, coefficients, remainder),)

    def stack(self, parts: Sequence[Models]) -> Models:
        return tuple(m for part in parts for m in part)

    def pick(self, x: Models, k: int) -> Models:
        return (x[k],)

    def count(self, x: Models) -> int:
        return len(x)

    def affine(self, weight: Dense, x: Models) -> Models:
        found = self._matrices.get(id(weight))
        if found is None or found[0] is not weight:
            found = self._matrices[id(weight)] = (weight, MatrixArb(weight))
        w, size = found[1], self.space.size
        _require_finite(x)
        entries = [c for m in x for c in m.coefficients]
        product = (w.matrix * arb_mat(len(x), size, entries)).entries()
        remainders = (w.magnitude * arb_mat(len(x), 1, [m.remainder for m in x])).entries()
        return tuple(
            Model(self.space, product[k * size : (k + 1) * size], remainders[k]) for k in range(w.rows)
        )

    def add(self, x: Models, y: Models) -> Models:
        return tuple(
            Model(
                self.space,
                [a + b for a, b in zip(p.coefficients, q.coefficients, strict=True)],
                p.remainder + q.remainder,
            )
            for p, q in zip(x, y, strict=True)
        )

    def negate(self, x: Models) -> Models:
        return tuple(Model(self.space, [-c for c in m.coefficients], m.remainder) for m in x)

    def multiply(self, x: Models, y: Models) -> Models:
        return tuple(_product(p, q, 0, 0) for p, q in zip(x, y, strict=True))

    def compose(self, f: Univariate, x: Models, orders: int) -> list[Models]:
        towers = [_tower(f, m, orders) for m in x]
        return [tuple(t[m] for t in towers) for m in range(orders + 1)]

    def hinge(self, below: float, above: float, x: Models) -> Models:
        return tuple(self._hinge(arb(below), arb(above), m) for m in x)

    def _hinge(self, below: Arb, above: Arb, m: Model) -> Model:
        values = m.range()
        if not values.is_finite():
            raise OutsideDomain("a value is not finite")
        if values >= 0 or below == above:
            return _scaled(above, m)
        if values <= 0:
            return _scaled(below, m)
        low, high = values.lower(), values.upper()
        slope = ((above * high - below * low) / (high - low)).mid()
        off = ((below - slope) * low).union((above - slope) * high).union(arb(0))
        line = _scaled(slope, m)
        constant = line.coefficients[0] + off.mid()
        return replace(
            line,
            coefficients=[constant, *line.coefficients[1:]],
            remainder=line.remainder + (off - off.mid()).abs_upper(),
        )

    def hinge_slope(self, below: float, above: float, x: Models) -> Models:
        return tuple(self._constant(_slope(arb(below), arb(above), m)) for m in x)


def _scaled(factor: Arb, m: Model) -> Model:
    return Model(m.space, [factor * c for c in m.coefficients], abs(factor) * m.remainder)


def _slope(below: Arb, above: Arb, m: Model) -> Arb:
    values = m.range()
    if values > 0 or below == above:
        return above
    if values < 0:
        return below
    raise OutsideDomain("the function has a kink that may lie on the box: no derivative")


def _require_finite(x: Models) -> None:
    """Arb's matrix products take 0 times a value that does not exist for 0."""
    if not all(m.remainder.is_finite() and all(c.is_finite() for c in m.coefficients) for m in x):
        raise OutsideDomain("a value is not finite")


def _product(x: Model, y: Model, skip_x: int, skip_y: int) -> Model:
    """The product; all coefficients below degree skip_x (skip_y) are zero."""
    space, p, q = x.space, x.coefficients, y.coefficients
    order = space.order
    result = [arb(0)] * space.size
    first = space.starts[skip_y] if skip_y <= order else space.size
    for a in range(space.starts[min(skip_x, order + 1)], space.size):
        factor = p[a]
        targets = space.lists[a]
        for b in range(first, len(targets)):
            t = targets[b]
            result[t] = result[t] + factor * q[b]
    cut, tail = arb(0), arb(0)
    for d in range(1, order + 1):
        tail = tail + y.by_degree[order + 1 - d]
        cut = cut + x.by_degree[d] * tail
    carried = x.norm * y.remainder + y.norm * x.remainder + x.remainder * y.remainder
    return Model(space, result, cut + carried)


def _tower(f: Univariate, x: Model, orders: int) -> list[Model]:
    """[f(x), f'(x), ..., f^(orders)(x)/orders!]."""
    space, centre = x.space, x.coefficients[0]
    q = Model(space, [arb(0), *x.coefficients[1:]], x.remainder)
    reach = q.norm + x.remainder
    _require_domain(f, centre, reach)
    coefficients = f.coefficients(centre, f.base(centre), space.order + orders)
    powers = [q] if space.order else []
    while len(powers) < space.order:
        powers.append(_product(powers[-1], q, len(powers), 1))
    last = space.order + 1
    far = reach**last
    tower = []
    for m in range(orders + 1):
        result = [arb(0)] * space.size
        result[0] = coefficients[m]
        remainder = _bound(f, last + m, centre, reach) * tower_weight(last, m) * far
        for k, power in enumerate(powers, 1):
            c = coefficients[k + m] * tower_weight(k, m)
            for t in range(space.starts[k], space.size):
                result[t] = result[t] + c * power.coefficients[t]
            remainder = remainder + abs(c) * power.remainder
        tower.append(Model(space, result, remainder))
    return tower


def _require_domain(f: Univariate, centre: Arb, reach: Arb) -> None:
    if not (centre.is_finite() and reach.is_finite()):
        raise OutsideDomain("a value is not finite")
    inside = centre - reach > 0 or (f.domain < 0 and centre + reach < 0)
    if f.domain and not inside:
        raise OutsideDomain(f"{type(f).__name__.lower()} may be undefined on the box")


def _bound(f: Univariate, k: int, centre: Arb, reach: Arb) -> Arb:
    """>= |c_k| within ``reach`` of ``centre``."""
    uniform = f.uniform(k)
    if uniform is not None:
        return uniform
    match f.extreme(k):
        case "high":
            end = centre + reach
        case "low":
            end = centre - reach
        case _:
            end = centre - reach if centre > 0 else centre + reach
    coefficient: Arb = f.coefficients(end, f.base(end), k)[k]
    return abs(coefficient)
