"""PDE files (TOML): an equation with its initial and boundary conditions, over a box. See certificates/formats/pde.md.

Numbers are exact: decimals as written (0.1 is one tenth), and strings hold expressions (``"0.01/pi"``). When this
returns, every expression is over the file's coordinates, the outputs and their partial derivatives, and nothing else.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from tlcheck.errors import InvalidInput
from tlcheck.readers.asked import note_asked
from tlcheck.readers.bytes import without_mark
from tlcheck.readers.decimals import parse_decimal
from tlcheck.readers.expressions import MAX_DEPTH, is_name, parse_expression
from tlcheck.readers.kinds import instead
from tlcheck.readers.own.solutions import Solution, read_solution
from tlcheck.readers.own.toml_table import Table, only, table
from tlcheck.readers.vnnlib.places import check_places, inputs_of, outputs_of
from tlcheck.trusted.calculus.expression import Apply, Expression, Number, Power, Product, Sum, Variable
from tlcheck.trusted.calculus.ranges import Box, Interval
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.science.quantities import OTHER, Quantity, derivative_names
from tlcheck.trusted.taylor.derivatives import MAX_DERIVATIVE
from tlcheck.trusted.taylor.engine import Unsupported
from tlcheck.trusted.taylor.network_models import TaylorNetwork
from tlcheck.trusted.taylor.space import MAX_VARIABLES

if TYPE_CHECKING:
    from tlcheck.trusted.science.solution_error import Theorem

FORMAT: Final = "tlcheck.pde/1"
FIELDS: Final = ("format", "title", "coordinates", "outputs", "constants", "domain", "parts", "solution")
MAX_BYTES: Final = 1 << 20
"""Largest PDE file: they have hundreds of bytes."""
MAX_PARTS: Final = 64
"""And most solution tables."""
MAX_OUTPUTS: Final = 8
MAX_SIZE: Final = 20_000
"""Most nodes of the expressions of a part, constants written out: each is a model on every cell."""
MAX_LEVELS: Final = 4 * MAX_DEPTH
"""Of their trees: a level of an expression as written has at most a sum, a product, a power and a function."""


@dataclass(frozen=True)
class _Decimal:
    """A number of the file that is no integer, as written."""

    text: str


@dataclass(frozen=True)
class Part:
    """``expressions``: what is zero for a solution, on ``domain``; ``other``: see pinn_domain.Quantity."""

    expressions: tuple[Expression, ...]
    domain: Box
    other: tuple[tuple[int, Fraction], ...]


@dataclass(frozen=True)
class Pde:
    title: str
    coordinates: tuple[str, ...]
    outputs: tuple[str, ...]
    parts: Mapping[str, Part]
    solutions: Mapping[str, Solution]

    def quantity(self, name: str, graph: Graph) -> Quantity:
        """The part's quantity for the network. Raises InvalidInput TLC202 or TLC204."""
        return self._quantity(name, graph, _smooth(graph))

    def theorem(self, name: str, graph: Graph) -> Theorem:
        """What the solution table ``name`` says, for the network. Raises InvalidInput TLC101, TLC202 or TLC204."""
        from tlcheck.readers.own.theorems import theorem  # for claims about a solution

        note_asked("tlcheck.readers.own.theorems")
        network = _smooth(graph)
        return theorem(name, self.solutions[name], lambda part: self._quantity(part, graph, network))

    def _quantity(self, name: str, graph: Graph, network: TaylorNetwork) -> Quantity:
        part = self.parts[name]
        for tensors, names, what, field in (
            (inputs_of(graph), self.coordinates, "the coordinates", "inputs"),
            (outputs_of(graph), self.outputs, "the outputs of the equation", "outputs"),
        ):
            check_places(tensors, names, what, field=field)
        try:
            return Quantity(
                network, self.coordinates, self.outputs, part.domain, part.expressions, part.other
            )
        except ValueError as problem:
            raise InvalidInput(
                "TLC204",
                "the network does not fit the equation",
                field="model",
                expected=_size(len(self.coordinates), len(self.outputs)),
                got=f"{_size(graph.n_inputs, graph.n_outputs)}: {problem}",
            ) from None


def _size(inputs: int, outputs: int) -> str:
    return f"{inputs} input{'s' * (inputs != 1)} and {outputs} output{'s' * (outputs != 1)}"


def _smooth(graph: Graph) -> TaylorNetwork:
    try:
        return TaylorNetwork(graph)
    except Unsupported as problem:
        raise InvalidInput("TLC202", f"no Taylor models for {problem}", field="model") from None


def read_pde(data: bytes, file: str) -> Pde:
    """Raises InvalidInput TLC101, TLC102 or TLC401."""
    try:
        return _read(data)
    except InvalidInput as error:
        raise instead(error, data, file, "pde").in_file(file) from None


def _read(data: bytes) -> Pde:
    if len(data) > MAX_BYTES:
        raise InvalidInput("TLC401", "PDE file too large", expected=f"at most {MAX_BYTES} bytes")
    try:
        top = tomllib.loads(without_mark(data, "TLC101").decode("utf-8"), parse_float=_Decimal)
    except (ValueError, RecursionError) as error:  # ValueError: UTF-8, TOML, integers of thousands of digits
        raise InvalidInput("TLC101", f"not TOML: {error}") from None
    if top.get("format") != FORMAT:
        raise InvalidInput(
            "TLC102", "unknown format", field="format", expected=FORMAT, got=ascii(top.get("format"))
        )
    only(top, FIELDS, "")
    coordinates = _names(top.get("coordinates"), "coordinates", MAX_VARIABLES)
    outputs = _names(top.get("outputs"), "outputs", MAX_OUTPUTS)
    if any(len(c) > 1 for c in coordinates):
        raise InvalidInput("TLC101", "a coordinate's name is one letter", field="coordinates")
    if any("_" in name or f"{name}_" == OTHER for name in outputs):
        raise InvalidInput("TLC101", "an output's name has no underscore and is not 'other'", field="outputs")
    here = derivative_names(outputs, coordinates)
    there = {OTHER + name for name in here}
    constants = _constants(table(top.get("constants", {}), "constants"), {*here, *there, *coordinates})
    known = {*here, *coordinates, *constants}
    if len({*coordinates, *outputs, *constants}) < len(coordinates) + len(outputs) + len(constants):
        raise InvalidInput("TLC101", "a name twice", field="coordinates, outputs and constants")
    described = (
        f"{', '.join([*coordinates, *outputs, *constants])} or a derivative such as "
        f"{outputs[0]}_{coordinates[-1] * 2} (order {MAX_DERIVATIVE} at most)"
    )
    whole = _domain(table(top.get("domain"), "domain"), coordinates, "domain")
    if any(low == high for low, high in whole.values()):
        raise InvalidInput("TLC101", "an interval of width zero", field="domain")
    listed = table(top.get("parts"), "parts")
    if not 0 < len(listed) <= MAX_PARTS:
        raise InvalidInput("TLC101", "wrong number of parts", field="parts", expected=f"1 to {MAX_PARTS}")
    parts = {
        name: _part(name, table, coordinates, whole, (known, there), constants, described)
        for name, table in listed.items()
    }
    title = top.get("title", "")
    if not isinstance(title, str):
        raise InvalidInput("TLC101", "expected a string", field="title")
    return Pde(title, coordinates, outputs, parts, _solutions(top.get("solution", {}), parts))


def _solutions(given: object, parts: Mapping[str, Part]) -> Mapping[str, Solution]:
    tables = table(given, "solution")
    if len(tables) > MAX_PARTS:
        raise InvalidInput("TLC101", "too many", field="solution", expected=f"at most {MAX_PARTS}")
    return {name: read_solution(name, value, parts) for name, value in tables.items()}


def _part(
    name: str,
    value: object,
    coordinates: tuple[str, ...],
    whole: Mapping[str, Interval],
    names: tuple[set[str], set[str]],
    constants: Mapping[str, Expression],
    described: str,
) -> Part:
    """``names``: those known everywhere, and those with "other" before them."""
    field = f"parts.{name}"
    if not is_name(name):
        raise InvalidInput("TLC101", "not a name", field=field)
    part = table(value, field)
    only(part, ("zero", "at", "other"), f"{field}.")
    inside = {
        **whole,
        **_domain(table(part.get("at", {}), f"{field}.at"), coordinates, f"{field}.at", whole),
    }
    other = tuple(
        (coordinates.index(c), low)
        for c, (low, high) in _domain(
            table(part.get("other", {}), f"{field}.other"), coordinates, f"{field}.other", whole
        ).items()
        if _fixed(inside[c], (low, high), f"{field}.other.{c}")
    )
    zero = part.get("zero")
    texts = [zero] if isinstance(zero, str) else zero
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise InvalidInput("TLC101", "expected an expression, or a list of them", field=f"{field}.zero")
    field, known = f"{field}.zero", names[0] | names[1] if other else names[0]
    expressions = tuple(
        _substituted(parse_expression(t, known, field=field, described=described), constants, field)
        for t in texts
    )
    return Part(expressions, tuple(inside[c] for c in coordinates), other)


def _names(value: object, field: str, most: int) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and is_name(name) for name in value):
        raise InvalidInput("TLC101", "expected a list of names", field=field)
    if not 0 < len(value) <= most or len(set(value)) < len(value):
        raise InvalidInput("TLC101", "expected distinct names", field=field, expected=f"1 to {most}")
    return tuple(value)


def _constants(table: Table, taken: set[str]) -> dict[str, Expression]:
    """Each may use those before it."""
    found: dict[str, Expression] = {}
    for name, value in table.items():
        field = f"constants.{name}"
        if not is_name(name) or name in taken:
            raise InvalidInput("TLC101", "not a name for a constant", field=field)
        if isinstance(value, str):
            described = f"a constant above it ({', '.join(found) or 'there is none'})"
            e = parse_expression(value, found, field=field, described=described)
            found[name] = _substituted(e, found, field)
        else:
            found[name] = Number(_number(value, field))
    return found


def _number(value: object, field: str) -> Fraction:
    """A TOML number, or a string with a rational expression. Raises InvalidInput TLC101."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Fraction(value)
    if isinstance(value, _Decimal):
        return parse_decimal(value.text, code="TLC101", field=field)
    if isinstance(value, str):
        from tlcheck.trusted.calculus.exact_values import (
            exact_value,  # for numbers that are written as expressions
        )

        note_asked("tlcheck.trusted.calculus.exact_values")
        exact = exact_value(parse_expression(value, (), field=field), {})
        if exact is not None:
            return exact
    raise InvalidInput("TLC101", "expected a rational number", field=field, got=ascii(value)[:60])


def _domain(
    table: Table, coordinates: tuple[str, ...], field: str, whole: Mapping[str, Interval] | None = None
) -> dict[str, Interval]:
    """The intervals of the table: of every coordinate, or, inside ``whole``, of some; a number holds one fixed."""
    only(table, coordinates, f"{field}.")
    found = {}
    for name in coordinates if whole is None else table:
        value, at = table.get(name), f"{field}.{name}"
        ends = value if isinstance(value, list) else [value, value]
        if len(ends) != 2:
            raise InvalidInput("TLC101", "expected [lower, upper]", field=at)
        low, high = _number(ends[0], at), _number(ends[1], at)
        if low > high or (whole is not None and not whole[name][0] <= low <= high <= whole[name][1]):
            raise InvalidInput("TLC101", "an interval that is empty or leaves the domain", field=at)
        found[name] = low, high
    return found


def _fixed(here: Interval, there: Interval, field: str) -> bool:
    if here[0] == here[1] and there[0] == there[1]:
        return True
    raise InvalidInput("TLC101", "a coordinate that is not held fixed, there and in 'at'", field=field)


def _substituted(e: Expression, constants: Mapping[str, Expression], field: str) -> Expression:
    """``e`` with every constant written out."""
    left = [MAX_SIZE]

    def walk(x: Expression, levels: int) -> Expression:
        left[0] -= 1
        levels -= 1
        if left[0] < 0 or levels < 0:
            limit = f"at most {MAX_SIZE} nodes and {MAX_LEVELS} levels, constants written out"
            raise InvalidInput("TLC401", "expression too large", field=field, expected=limit)
        match x:
            case Variable(name) if name in constants:
                return walk(constants[name], levels + 1)  # free of constants: this counts its nodes
            case Sum(terms, _):
                return replace(x, terms=tuple(walk(t, levels) for t in terms))
            case Product(factors, _):
                return replace(x, factors=tuple(walk(f, levels) for f in factors))
            case Power(base, _):
                return replace(x, base=walk(base, levels))
            case Apply(_, argument):
                return replace(x, argument=walk(argument, levels))
            case _:
                return x

    return walk(e, MAX_LEVELS)
