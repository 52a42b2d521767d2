"""A network and a property whose answer is known, written as the files that a user has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from tlcheck.readers.onnx import read_model
from tlcheck.readers.vnnlib.read import read_query
from tlcheck.readers.vnnlib.two_models import joined
from tlcheck.trusted.arith.arb import working_precision
from tlcheck.trusted.claim import SatClaim, UnsatClaim
from tlcheck.trusted.evaluate import Evaluator
from tlcheck.trusted.graph import Graph

F = Fraction
ZERO = F(0)
Point = tuple[Fraction, ...]
Form = dict[str, Fraction]
"""Coefficients of variables, by name."""
GRID = F(1, 1 << 40)
"""Bounds of constraints are multiples of it, where nothing else is said."""


@dataclass(frozen=True)
class Constraint:
    """form <= bound (< where strict)."""

    form: Form
    bound: Fraction
    strict: bool = False

    def text(self) -> str:
        parts = [f"(* {numeral(c)} {name})" for name, c in sorted(self.form.items())]
        whole = parts[0] if len(parts) == 1 else f"(+ {' '.join(parts)})"
        return f"({'<' if self.strict else '<='} {whole} {numeral(self.bound)})"


@dataclass(frozen=True)
class Region:
    """A disjunct: a box and its constraints. An end that is None is not said."""

    lower: tuple[Fraction | None, ...]
    upper: tuple[Fraction | None, ...]
    constraints: tuple[Constraint, ...]

    def text(self) -> str:
        bounds = [f"(<= {numeral(a)} X_{i})" for i, a in enumerate(self.lower) if a is not None]
        bounds += [f"(<= X_{i} {numeral(b)})" for i, b in enumerate(self.upper) if b is not None]
        return f"(and {' '.join([*bounds, *(c.text() for c in self.constraints)])})"


@dataclass(frozen=True)
class Planted:
    """``margin``: of a sat one, by how much every constraint holds at ``witness`` at least; of an unsat one, by how much some constraint
    fails everywhere, and no more at ``witness``. ``width``: of the neighbourhood of the witness, as a share of the box, roughly.

    ``witness`` None: no rational point shows what is known. ``executed``: some float32 execution at the witness says the opposite of
    ``answer``. ``cuts``: (input, value), where the network is affine between. ``other``: a second network, whose outputs are those after the
    first one's; asked is where they are further apart than ``within``.
    """

    name: str
    model: bytes
    regions: tuple[Region, ...]
    answer: str
    outputs: int
    margin: Fraction
    witness: Point | None
    width: float = 0.0
    executed: bool = False
    cuts: tuple[tuple[int, float], ...] = ()
    other: bytes = b""
    within: Fraction = ZERO

    @property
    def _disjunction(self) -> str:
        return f"(or {' '.join(r.text() for r in self.regions)})"

    @property
    def inputs(self) -> int:
        return len(self.regions[0].lower)

    @cached_property
    def property(self) -> bytes:
        """VNN-LIB 1.0."""
        names = [f"X_{i}" for i in range(self.inputs)] + [f"Y_{j}" for j in range(self.outputs)]
        lines = [f"(declare-const {name} Real)" for name in names]
        return "\n".join([*lines, f"(assert {self._disjunction})", ""]).encode()

    @cached_property
    def second(self) -> bytes:
        """VNN-LIB 2.0, of real numbers; for an input of one row."""
        declared = f"(declare-input X real [1,{self.inputs}]) (declare-output Y real [1,{self.outputs}])"
        formula = re.sub(r"\b([XY])_(\d+)\b", r"\1[0,\2]", self._disjunction)
        return f"(vnnlib-version <2.0>)\n(declare-network N {declared})\n(assert {formula})\n".encode()

    @cached_property
    def graph(self) -> Graph:
        own = read_model(self.model)
        return joined(own, read_model(self.other)) if self.other else own

    def claim(self) -> UnsatClaim:
        return UnsatClaim(self.graph, read_query(self.property, self.graph))

    def at_witness(self) -> SatClaim:
        if self.witness is None:
            raise ValueError("no rational point shows it")
        return SatClaim(self.graph, self.claim().query, self.witness)


def numeral(value: Fraction) -> str:
    """A fraction whose decimals end, as a decimal, exactly."""
    twos = (value.denominator & -value.denominator).bit_length() - 1
    rest, fives = value.denominator >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        raise ValueError(f"no finite decimal: {value}")
    digits = max(twos, fives)
    text = str(abs(value.numerator) * 10**digits // value.denominator).rjust(digits + 1, "0")
    whole, part = text[: len(text) - digits], text[len(text) - digits :].rstrip("0")
    return ("-" if value < 0 else "") + whole + ("." + part if part else ".0")


def without_decimals(value: Fraction) -> int:
    """The least whole number that makes the decimals of a multiple end."""
    rest = value.denominator
    for p in (2, 5):
        while rest % p == 0:
            rest //= p
    return rest


def gridded(value: Fraction, *, up: bool) -> Fraction:
    """The next multiple of GRID."""
    steps = value / GRID
    return GRID * (-(-steps.numerator // steps.denominator) if up else steps.numerator // steps.denominator)


def values_at(graph: Graph, point: Point) -> list[Fraction]:
    """The outputs, to about 2^-200."""
    inputs, start = [], 0
    for node in graph.inputs:
        size = graph.nodes[node].size
        inputs.append(point[start : start + size])
        start += size
    with working_precision(256):
        middles = [y.mid().man_exp() for y in Evaluator(graph).evaluate(inputs).outputs]
    return [F(int(m)) * F(2) ** int(e) for m, e in middles]


def valued(form: Form, point: Point, values: Sequence[Fraction]) -> Fraction:
    return sum((c * (point if name[0] == "X" else values)[int(name[2:])] for name, c in form.items()), F(0))
