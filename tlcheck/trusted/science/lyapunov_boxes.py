"""Lyapunov conditions of a candidate V along x' = f(x), on a box or a box without a core. Rules and their proofs.

V, its gradient and V' = grad V . f are enclosed from the networks and from f; no number or sign is taken from elsewhere.
A condition is a slack that must be nonnegative (positive when strict) at every point; each is a linear combination

    a V + sum_i g_i dV/dx_i + b V' + q |x - e|^2 + constant,        e the reference point,

whose jet over a box follows from those of V, f and x, and whose least value ``bisection.least_values`` bounds. At a kink
of a ReLU, V has no derivative: there, conditions on the gradient and on V' speak of every limit of gradients nearby.

Not claimed: that e is an equilibrium, anything inside the core, or that a trajectory stays in the region. Conditions
on a box alone do not make a system stable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Final

from tlcheck.trusted.arith.arb import Arb, arb, ball
from tlcheck.trusted.calculus.expression import Expression, text, variables
from tlcheck.trusted.calculus.expression_series import evaluate
from tlcheck.trusted.calculus.jets import FUNCTIONS, UNKNOWN, Jet, constant, coordinates, squared
from tlcheck.trusted.calculus.mlp import Mlp
from tlcheck.trusted.calculus.ranges import Box, Point
from tlcheck.trusted.calculus.series import Undefined
from tlcheck.trusted.calculus.written import box_text, number_text
from tlcheck.trusted.conditions import Check, ConditionClaim, Measure, fact
from tlcheck.trusted.science.bisection import least_values, outside

FORMS: Final = {
    "network": "N(x)",
    "squared": "|N(x)|^2",
    "difference": "N(x) - N(e)",
    "difference squared": "|N(x) - N(e)|^2",
}
"""What V is, of the network N; the scalar ones need one output."""


@dataclass(frozen=True)
class Condition:
    """``value`` V + sum_i ``partials``[i] dV/dx_i + ``rate`` V' + ``norm`` |x - e|^2 + ``constant`` >= 0, > 0 if strict."""

    name: str
    value: Fraction = Fraction(0)
    partials: tuple[Fraction, ...] = ()
    rate: Fraction = Fraction(0)
    norm: Fraction = Fraction(0)
    constant: Fraction = Fraction(0)
    strict: bool = False
    where: str = ""

    def text(self, *, nearest: bool = False) -> str:
        """The inequality, its first factor positive; numbers as in ``number_text``."""
        written = partial(number_text, nearest=nearest)
        named = [(self.value, "V"), (self.rate, "V'"), (self.norm, "|x - e|^2")]
        named += [(q, f"dV/dx{i + 1}") for i, q in enumerate(self.partials)]
        terms = [(q, name) for q, name in named if q]
        if not terms:
            return f"{written(self.constant)} {'>' if self.strict else '>='} 0"
        sign = -1 if terms[0][0] < 0 else 1
        relation = ("<" if sign < 0 else ">") + ("" if self.strict else "=")
        left = " ".join(_signed(sign * q, name, nearest) for q, name in terms).removeprefix("+ ")
        return f"{left} {relation} {written(-sign * self.constant)}"


@dataclass(frozen=True)
class Controller:
    """u = activation(N(x)), or activation(N(x) - N(e)) when ``difference``."""

    network: Mlp
    activation: str = "linear"
    difference: bool = False


@dataclass(frozen=True)
class LyapunovConditions(ConditionClaim):
    """The conditions hold at every point of the region outside the core's interior, for x' = ``dynamics``(x, u(x)).

    V = FORMS[form] + (x - e)^T P (x - e), P = ``quadratic`` or 0, e = ``reference``. Variables of the dynamics: x1, x2, ...
    and u1, u2, ... of the controller. ``flags``: statements of the artifact about its own numbers, compared exactly.
    """

    network: Mlp
    dynamics: tuple[Expression, ...]
    region: Box
    conditions: tuple[Condition, ...]
    origin: str
    decimals: str
    form: str = "network"
    quadratic: tuple[tuple[Fraction, ...], ...] = ()
    reference: Point = ()
    controller: Controller | None = None
    core: Box | None = None
    flags: tuple[tuple[str, bool], ...] = ()
    kind = "Lyapunov conditions"

    def __post_init__(self) -> None:
        n = len(self.region)
        controls = self.controller.network.outputs if self.controller else 0
        known = {f"x{i + 1}" for i in range(n)} | {f"u{i + 1}" for i in range(controls)}
        inputs = {self.network.inputs, *([self.controller.network.inputs] if self.controller else [])}
        if not n or inputs != {n} or len(self.dynamics) != n or len(self.reference) != n:
            raise ValueError("network, dynamics, region and reference point must have one dimension")
        if any(not variables(f) <= known for f in self.dynamics):
            raise ValueError(f"the dynamics may only name {', '.join(sorted(known))}")
        if self.form not in FORMS or (self.network.outputs != 1 and "squared" not in self.form):
            raise ValueError("V must be scalar")
        if self.quadratic and (len(self.quadratic) != n or any(len(row) != n for row in self.quadratic)):
            raise ValueError("the quadratic term's matrix must be square")
        if any(a > b for a, b in self.region) or any(len(c.partials) not in (0, n) for c in self.conditions):
            raise ValueError("a bound of the region or a condition does not fit")
        outside(self.region, self.core)

    @property
    def statement(self) -> str:
        nearest = self.decimals != "exact"
        box = box_text(self.region, nearest=nearest)
        where = f"{box} outside the interior of {box_text(self.core, nearest=nearest)}" if self.core else box
        conditions = "; ".join(c.text(nearest=nearest) for c in self.conditions)
        f = ", ".join(f"x{k + 1}' = {text(e, nearest=nearest)}" for k, e in enumerate(self.dynamics))
        v = FORMS[self.form] + (" + (x - e)^T P (x - e)" if self.quadratic else "")
        u = ""
        if self.controller:
            inner = FORMS["difference" if self.controller.difference else "network"].replace("N", "C")
            if self.controller.activation != "linear":
                inner = f"{self.controller.activation}({inner})"
            u = f", u = {inner} with the controller's network C"
        kinks = any(layer.activation == "relu" for layer in self.network.layers)
        notes = "; where V has a kink, its gradient means every limit of gradients nearby" if kinks else ""
        notes += "; the file's flags agree with its bounds" if self.flags else ""
        notes += f"; decimals mean the {self.decimals}" if nearest else ""
        reference = ", ".join(number_text(q, nearest=nearest) for q in self.reference)
        return (
            f"for every x of {where}: {conditions}; where V = {v} with N the network {self.origin}, V' = grad V . f, "
            f"{f}{u}, e = ({reference}){notes}; "
            "nothing about other points, nor about stability"
        )

    def checks(self, precision: int, tick: Callable[[], None]) -> Iterator[Check | Measure]:
        for name, agrees in self.flags:
            yield fact(name, agrees)
        cells = outside(self.region, self.core)
        points = [self.reference] if any(_within(self.reference, cell) for cell in cells) else []
        found, boxes = least_values(
            self._slacks(), [c.strict for c in self.conditions], cells, points=points, tick=tick
        )
        for condition, least in zip(self.conditions, found, strict=True):
            yield least.check(condition.name, condition.where)
        yield Measure("boxes", boxes)
        yield Measure("decimals", self.decimals)

    def _slacks(self) -> Callable[[Box], Sequence[Jet]]:
        network = self.network.prepared()
        v_of, u_of = self._candidate(network), self._control()

        def slacks(box: Box) -> Sequence[Jet]:
            x = coordinates(box)
            v = v_of(box, x)
            partials = [v.partial(i) for i in range(len(x))]
            f = self._field(x, u_of(box, x))
            zero = constant(arb(0), len(x))
            rate = sum((p * g for p, g in zip(partials, f, strict=True)), zero)
            norm = sum((a.through(squared) for a in self._from_reference(x)), zero)
            return [_combined(c, v, partials, rate, norm) for c in self.conditions]

        return slacks

    def _candidate(
        self, network: Callable[[Sequence[Jet]], list[Jet]]
    ) -> Callable[[Box, Sequence[Jet]], Jet]:
        """V on a box. N(x) - N(e) is exactly 0 at x = e, which balls alone would not show."""
        n = len(self.region)
        at_reference = self._at_reference(network) if "difference" in self.form else None

        def v_of(box: Box, x: Sequence[Jet]) -> Jet:
            outputs = network(x)
            if at_reference is not None:
                outputs = _differences(outputs, at_reference, box, self.reference)
            v = (
                sum((o.through(squared) for o in outputs), constant(arb(0), n))
                if "squared" in self.form
                else outputs[0]
            )
            offsets = self._from_reference(x)
            for i, row in enumerate(self.quadratic):
                for j, q in enumerate(row):
                    if q:
                        v = v + (offsets[i].through(squared) if i == j else offsets[i] * offsets[j]).scaled(
                            ball(q)
                        )
            return v

        return v_of

    def _control(self) -> Callable[[Box, Sequence[Jet]], list[Jet]]:
        controller = self.controller
        if controller is None:
            return lambda box, x: []
        network = controller.network.prepared()
        at_reference = self._at_reference(network) if controller.difference else None

        def u_of(box: Box, x: Sequence[Jet]) -> list[Jet]:
            outputs = network(x)
            if at_reference is not None:
                outputs = _differences(outputs, at_reference, box, self.reference)
            return [o.through(FUNCTIONS[controller.activation]) for o in outputs]

        return u_of

    def _field(self, x: Sequence[Jet], u: Sequence[Jet]) -> list[Jet]:
        """f, of first order: along each coordinate, a series of first order."""
        n = len(x)
        named = {f"x{i + 1}": jet for i, jet in enumerate(x)} | {f"u{i + 1}": jet for i, jet in enumerate(u)}
        field = []
        for f in self.dynamics:
            try:
                along = [
                    evaluate(f, {name: [jet.value, jet.gradient[axis]] for name, jet in named.items()}, 1)
                    for axis in range(n)
                ]
                field.append(Jet(along[0][0], tuple(s[1] for s in along), ()))
            except Undefined:
                field.append(Jet(UNKNOWN, (UNKNOWN,) * n, ()))
        return field

    def _at_reference(self, network: Callable[[Sequence[Jet]], list[Jet]]) -> list[Arb]:
        return [o.value for o in network(coordinates(tuple((x, x) for x in self.reference)))]

    def _from_reference(self, x: Sequence[Jet]) -> list[Jet]:
        return [jet.shifted(ball(-e)) for jet, e in zip(x, self.reference, strict=True)]


def _differences(
    outputs: Sequence[Jet], at_reference: Sequence[Arb], box: Box, reference: Point
) -> list[Jet]:
    if box == tuple((e, e) for e in reference):
        return [Jet(arb(0), o.gradient, o.hessian) for o in outputs]
    return [o.shifted(-a) for o, a in zip(outputs, at_reference, strict=True)]


def _combined(c: Condition, v: Jet, partials: Sequence[Jet], rate: Jet, norm: Jet) -> Jet:
    """Terms with coefficient 0 take no part: what they do not enclose must not spoil the others."""
    total = constant(ball(c.constant), len(partials))
    terms = [(c.value, v), (c.rate, rate), (c.norm, norm), *zip(c.partials, partials, strict=False)]
    for factor, jet in terms:
        if factor:
            total = total + jet.scaled(ball(factor))
    return total


def _within(point: Point, box: Box) -> bool:
    return all(a <= x <= b for x, (a, b) in zip(point, box, strict=True))


def _signed(q: Fraction, name: str, nearest: bool) -> str:
    factor = "" if abs(q) == 1 else f"{number_text(abs(q), nearest=nearest)} "
    return f"{'-' if q < 0 else '+'} {factor}{name}"
