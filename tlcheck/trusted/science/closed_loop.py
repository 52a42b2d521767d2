"""Closed loops on jets: expressions, networks with kinks, controllers and observers, and Lyapunov candidates.

A :class:`~tlcheck.trusted.calculus.jets.Jet` over a box encloses value, gradient and Hessian of a function at
every point of it; every rule here keeps that. At a kink (relu, leaky relu, abs, clip) the gradient holds every Clarke
gradient, by Clarke's chain rule (Clarke, Optimization and Nonsmooth Analysis, 2.3.9 and 2.6.6), and the Hessian is
NaN. Outside a function's domain everything is NaN, of which no comparison holds. So finite values and gradients say:
defined and Lipschitz on the box.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.calculus.exact_values import exact_value
from tlcheck.trusted.calculus.expression import (
    Apply,
    Expression,
    Number,
    Pi,
    Power,
    Product,
    Sum,
    Variable,
    text,
)
from tlcheck.trusted.calculus.jets import (
    UNKNOWN,
    Function,
    Jet,
    constant,
    linear,
    mapped,
    pairs,
    sigmoid,
    sin,
    squared,
    tanh,
)
from tlcheck.trusted.calculus.layers import Layer
from tlcheck.trusted.calculus.ranges import Interval, hull, increasing, square
from tlcheck.trusted.calculus.written import number_text

Point = tuple[Fraction, ...]
Matrix = tuple[Point, ...]
Run = Callable[[Sequence[Jet], "Kinks"], list[Jet]]

ACTIVATIONS: Final = ("linear", "relu", "leaky_relu", "tanh", "sigmoid", "sin")
OUTER: Final = ("linear", "abs", "tanh", "sigmoid")
"""What may be applied to the output of a controller or of a candidate's network."""
MAX_EXACT_BITS: Final = 5_000
"""Of a value of a network in rational arithmetic: a hundred layers of floats."""


MINUS_ONE, ZERO, ONE = arb(-1), arb(0), arb(1)


def first_order(jet: Jet) -> Jet:
    return Jet(jet.value, jet.gradient, ())


class Kinks:
    """How one evaluation treats its kinks, which are counted in the order of evaluation, the same in every evaluation.

    ``forced[k]``: kink k is replaced by the linear function of that slope. ``undecided``: the kinks, not forced,
    whose argument may have either sign on the box: (k, slope below, slope above).
    """

    def __init__(self, forced: Mapping[int, Arb] | None = None) -> None:
        self.forced = forced or {}
        self.count = 0
        self.undecided: list[tuple[int, Arb, Arb]] = []

    def bent(self, z: Jet, below: Arb, above: Arb) -> Jet:
        """The function below z for z < 0 and above z for z > 0."""
        k = self.count
        self.count += 1
        if k in self.forced:
            return z.scaled(self.forced[k])
        if z.value > 0:
            return z if above == 1 else z.scaled(above)
        if z.value < 0:
            return z.scaled(below)
        self.undecided.append((k, below, above))
        if not z.value.is_finite():
            return Jet(UNKNOWN, (UNKNOWN,) * len(z.gradient), (UNKNOWN,) * len(z.hessian))
        slope = below.union(above)
        value = arb(0).union(below * z.value.lower()).union(above * z.value.upper())
        return Jet(value, tuple(slope * g for g in z.gradient), (UNKNOWN,) * len(z.hessian))


def absolute(jet: Jet, kinks: Kinks) -> Jet:
    return kinks.bent(jet, MINUS_ONE, ONE)


def clipped(jet: Jet, low: Fraction, high: Fraction, kinks: Kinks) -> Jet:
    """min(high, max(low, jet))."""
    raised = kinks.bent(jet.shifted(ball(-low)), ZERO, ONE).shifted(ball(low))
    return kinks.bent(raised.shifted(ball(-high)), ONE, ZERO).shifted(ball(high))


def activated(jet: Jet, name: str, kinks: Kinks, slope: Fraction = Fraction(0)) -> Jet:
    if name == "linear":
        return jet
    if name == "relu":
        return kinks.bent(jet, ZERO, ONE)
    if name == "leaky_relu":
        return kinks.bent(jet, ball(slope), ONE)
    if name == "abs":
        return absolute(jet, kinks)
    return jet.through(_SMOOTH[name])


def exactly(q: Fraction, name: str, slope: Fraction = Fraction(0)) -> Fraction | None:
    """The function at q where it is rational: where it has kinks only, and at 0."""
    if name in ("linear", "relu", "leaky_relu", "abs"):
        below = {"linear": Fraction(1), "relu": Fraction(0), "leaky_relu": slope, "abs": Fraction(-1)}[name]
        return q if q > 0 else below * q
    if q:
        return None
    return Fraction(1, 2) if name == "sigmoid" else Fraction(0)


_ROOT: Final = (arb(1) / 3).sqrt()
_NARROW: Final = 40
"""Bits to which a ball is known from which ball arithmetic itself is sharp enough."""


def _tanh(x: Arb) -> tuple[Arb, Arb, Arb]:
    """With t = tanh x: 1 - t^2, and g(t) = 2 t (t^2 - 1), monotone but at t = -+1/sqrt 3, where it is +-4/(3 sqrt 3)."""
    if x.rel_accuracy_bits() > _NARROW:
        t = x.tanh()
        slope = 1 - t * t
        return t, slope, -2 * t * slope
    t, slope, _ = tanh(x)
    low, high = t.lower(), t.upper()
    curvature = hull(2 * low * (square(low) - 1), 2 * high * (square(high) - 1))
    for extreme in (_ROOT, -_ROOT):
        if not (low > extreme or high < extreme):
            curvature = curvature.union(-4 * extreme / 3)
    return t, slope, curvature


_SMOOTH: Final[Mapping[str, Function]] = {"tanh": _tanh, "sigmoid": sigmoid, "sin": sin, "linear": linear}


# Expressions.


def _cos(x: Arb) -> tuple[Arb, Arb, Arb]:
    return x.cos(), -x.sin(), -x.cos()


def _exp(x: Arb) -> tuple[Arb, Arb, Arb]:
    e = increasing(Arb.exp, x)
    return e, e, e


def _log(x: Arb) -> tuple[Arb, Arb, Arb]:
    if not x > 0:
        return UNKNOWN, UNKNOWN, UNKNOWN
    return increasing(Arb.log, x), 1 / x, -1 / square(x)


def _sqrt(x: Arb) -> tuple[Arb, Arb, Arb]:
    if not x > 0:
        return UNKNOWN, UNKNOWN, UNKNOWN
    r = increasing(Arb.sqrt, x)
    return r, 1 / (2 * r), -1 / (4 * r * x)


def _reciprocal(x: Arb) -> tuple[Arb, Arb, Arb]:
    if not (x > 0 or x < 0):
        return UNKNOWN, UNKNOWN, UNKNOWN
    r = 1 / x
    return r, -square(r), 2 * square(r) * r


_APPLIED: Final[Mapping[str, Function]] = {
    "cos": _cos, "exp": _exp, "log": _log, "sin": sin, "sqrt": _sqrt, "tanh": _tanh,
}  # fmt: skip


def expression_jet(e: Expression, at: Mapping[str, Jet], n: int, kinks: Kinks) -> Jet:
    """The expression over a box of ``n`` coordinates, each of its variables given by its jet."""
    match e:
        case Number(value):
            return constant(ball(value), n)
        case Pi():
            return constant(Arb.pi(), n)
        case Variable(name):
            return at[name]
        case Sum(terms, minus):
            total = constant(arb(0), n)
            for term, less in zip(terms, minus, strict=True):
                jet = expression_jet(term, at, n, kinks)
                total = total - jet if less else total + jet
            return total
        case Product(factors, under):
            product: Jet | None = None
            for factor, below in zip(factors, under, strict=True):
                jet = expression_jet(factor, at, n, kinks)
                jet = jet.through(_reciprocal) if below else jet
                product = jet if product is None else product * jet
            return constant(arb(1), n) if product is None else product
        case Power(base, exponent):
            return _power(expression_jet(base, at, n, kinks), exponent, n)
        case Apply("abs", argument):
            return absolute(expression_jet(argument, at, n, kinks), kinks)
        case Apply(function, argument):
            return expression_jet(argument, at, n, kinks).through(_APPLIED[function])


def _power(base: Jet, exponent: Fraction, n: int) -> Jet:
    """Whole powers by squaring; others as exp(r log base), defined where base > 0."""
    if exponent.denominator != 1:
        return base.through(_log).scaled(ball(exponent)).through(_exp)
    if exponent < 0:
        return _power(base, -exponent, n).through(_reciprocal)
    if not exponent:  # 1 where the base is defined
        return base.scaled(ZERO).shifted(ONE)
    result: Jet | None = None
    k = int(exponent)
    while k:
        if k & 1:
            result = base if result is None else result * base
        k >>= 1
        if k:
            base = base.through(squared)
    return constant(arb(1), n) if result is None else result


# Networks.


@dataclass(frozen=True)
class Dense:
    """Dense layers, ``activation`` between them: leaky relu has ``slope`` below 0. The exact real function of their numbers."""

    layers: tuple[Layer, ...]
    activation: str
    slope: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        if not self.layers or any(len(a.bias) != b.inputs for a, b in pairwise(self.layers)):
            raise ValueError("the layers of a network do not fit together")
        if self.activation not in ACTIVATIONS or any(s.activation != "linear" for s in self.layers):
            raise ValueError("the activation of a network")

    @property
    def inputs(self) -> int:
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        return len(self.layers[-1].bias)

    @property
    def text(self) -> str:
        """Its architecture: ``2-8-1 tanh``."""
        sizes = "-".join(map(str, (self.inputs, *(len(s.bias) for s in self.layers))))
        if len(self.layers) == 1:
            return f"{sizes} linear"
        slope = f"({number_text(self.slope)})" if self.activation == "leaky_relu" else ""
        return f"{sizes} {self.activation}{slope}"

    def exact(self, inputs: Point) -> Point | None:
        """Its values where rational arithmetic gives them; else None."""
        values: Point | None = inputs
        for k, layer in enumerate(self.layers):
            if values is None:
                return None
            rows = zip(layer.weight, layer.bias, strict=True)
            values = _known([_affine(row, bias, values) for row, bias in rows])
            if values is not None and k + 1 < len(self.layers):
                values = _known([exactly(q, self.activation, self.slope) for q in values])
        return values

    def prepared(self) -> Run:
        """The network on jets, its numbers as balls of the working precision."""
        layers = [layer.balls() for layer in self.layers]

        def run(inputs: Sequence[Jet], kinks: Kinks) -> list[Jet]:
            jets = list(inputs)
            for k, (weight, bias) in enumerate(layers):
                jets = [jet.shifted(b) for jet, b in zip(mapped(weight, jets), bias, strict=True)]
                if k + 1 < len(layers):
                    jets = [activated(jet, self.activation, kinks, self.slope) for jet in jets]
            return jets

        return run


# The loop.


@dataclass(frozen=True)
class Block:
    """names = clip(outer(N(inputs) - N(minus)) + shift); nothing is subtracted when ``minus`` is empty, nothing
    clipped when ``clip`` is. A controller subtracts N at the equilibrium; an observer N at the estimate without
    output error."""

    names: tuple[str, ...]
    network: Dense
    inputs: tuple[Expression, ...]
    minus: tuple[Expression, ...] = ()
    outer: str = "linear"
    shift: Point = ()
    clip: tuple[Interval, ...] = ()

    def __post_init__(self) -> None:
        if len(self.inputs) != self.network.inputs or len(self.minus) not in (0, len(self.inputs)):
            raise ValueError("a network's inputs do not fit")
        sizes = {len(self.names), self.network.outputs, *(len(x) for x in (self.shift, self.clip) if x)}
        if len(sizes) != 1 or self.outer not in OUTER or any(a > b for a, b in self.clip):
            raise ValueError("a network's outputs do not fit")

    def text(self, network: str) -> str:
        """The definition, and the architecture of the network, which is called ``network``."""
        inner = f"{network}({', '.join(map(text, self.inputs))})"
        if self.minus:
            inner += f" - {network}({', '.join(map(text, self.minus))})"
        inner = inner if self.outer == "linear" else f"{self.outer}({inner})"
        if any(self.shift):
            inner += f" + ({', '.join(map(str, self.shift))})"
        if self.clip:
            inner = f"clip({inner}, {' x '.join(f'[{a}, {b}]' for a, b in self.clip)})"
        names = ", ".join(self.names)
        names = names if len(self.names) == 1 else f"({names})"
        return f"{names} = {inner}, {network}: {self.network.text}"

    def exact(self, at: Mapping[str, Fraction]) -> Point | None:
        """Its values where they are known exactly: where rational arithmetic gives the network's, or both evaluations have
        the same inputs."""
        inputs, minus = (_known([exact_value(e, at) for e in side]) for side in (self.inputs, self.minus))
        zero = (Fraction(0),) * len(self.names)
        if inputs is None or minus is None:
            return None
        if self.minus and inputs == minus:
            here = less = zero
        else:
            found = self.network.exact(inputs), self.network.exact(minus) if minus else zero
            if found[0] is None or found[1] is None:
                return None
            here, less = found[0], found[1]
        values = _known([exactly(a - b, self.outer) for a, b in zip(here, less, strict=True)])
        if values is None:
            return None
        values = tuple(v + s for v, s in zip(values, self.shift or zero, strict=True))
        if self.clip:
            values = tuple(min(b, max(a, v)) for v, (a, b) in zip(values, self.clip, strict=True))
        return values


def _affine(row: Point, total: Fraction, x: Point) -> Fraction | None:
    """row . x + total; None when it takes too many digits."""
    for w, q in zip(row, x, strict=True):
        total += w * q
        if total.denominator.bit_length() + total.numerator.bit_length() > MAX_EXACT_BITS:
            return None
    return total


def _known(values: Sequence[Fraction | None]) -> Point | None:
    """The values, when each is known."""
    known = tuple(q for q in values if q is not None)
    return known if len(known) == len(values) else None


@dataclass(frozen=True)
class Loop:
    """x+ = F(x) (``discrete``) or x' = F(x): blocks define further names one after another; ``equations`` use all of them."""

    discrete: bool
    states: tuple[str, ...]
    equations: tuple[Expression, ...]
    blocks: tuple[Block, ...] = ()

    def exact(self, at: Point) -> Point | None:
        """F at the point where rational arithmetic gives it; else None."""
        named = dict(zip(self.states, at, strict=True))
        for block in self.blocks:
            values = block.exact(named)
            if values is None:
                return None
            named |= zip(block.names, values, strict=True)
        return _known([exact_value(e, named) for e in self.equations])

    def prepared(self) -> Run:
        """F on the jets of the states."""
        networks = [block.network.prepared() for block in self.blocks]
        taken: list[list[Arb] | None] = []
        for block, network in zip(self.blocks, networks, strict=True):
            numbers = [e.value for e in block.minus if isinstance(e, Number)]
            known = len(numbers) == len(block.minus) > 0
            taken.append(
                [o.value for o in network([constant(ball(q), 1) for q in numbers], Kinks())]
                if known
                else None
            )

        def run(x: Sequence[Jet], kinks: Kinks) -> list[Jet]:
            n = len(x[0].gradient)
            named = dict(zip(self.states, x, strict=True))
            for block, network, values in zip(self.blocks, networks, taken, strict=True):
                outputs = network([expression_jet(e, named, n, kinks) for e in block.inputs], kinks)
                if values is not None:
                    outputs = [o.shifted(-v) for o, v in zip(outputs, values, strict=True)]
                elif block.minus:
                    less = network([expression_jet(e, named, n, kinks) for e in block.minus], kinks)
                    outputs = [a - b for a, b in zip(outputs, less, strict=True)]
                named |= zip(block.names, _finished(block, outputs, kinks), strict=True)
            return [expression_jet(e, named, n, kinks) for e in self.equations]

        return run


def _finished(block: Block, outputs: Sequence[Jet], kinks: Kinks) -> list[Jet]:
    jets = [activated(jet, block.outer, kinks) for jet in outputs]
    if block.shift:
        jets = [jet.shifted(ball(q)) for jet, q in zip(jets, block.shift, strict=True)]
    if block.clip:
        jets = [clipped(jet, a, b, kinks) for jet, (a, b) in zip(jets, block.clip, strict=True)]
    return jets


# The candidate.


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
