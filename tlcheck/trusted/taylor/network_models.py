"""Networks in Taylor models, with partial derivatives as further channels (``derivatives``); for either engine.

Networks are linear but for smooth functions, products, functions with kinks, and choices: the rules of each of these are
imported where a network has such an operation. What has no rule raises Unsupported. Where a kink or a choice is not decided
on a box, OutsideDomain names the node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

from tlcheck.trusted.arith.arb import Arb, arb
from tlcheck.trusted.arith.balls import constant_balls
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.network import Network
from tlcheck.trusted.ops.base import Operation
from tlcheck.trusted.ops.structure import Fixed, Input
from tlcheck.trusted.taylor.derivatives import Derivatives, Jet, M, accumulate
from tlcheck.trusted.taylor.engine import (
    MAX_ENTRIES,
    Dense,
    Engine,
    OutsideDomain,
    Unsupported,
    dense,
)

Rule = Callable[[Derivatives, Engine[Any], Sequence[Jet[Any]]], Jet[Any]]

SMOOTH, KINKED, CHOICES = "smooth_models", "kinked_models", "choice_models"
RULES: Final = {
    "s_shaped": SMOOTH,
    "smooth": SMOOTH,
    "product": SMOOTH,
    "activation": KINKED,
    "bent": KINKED,
    "selection": KINKED,
    "discrete": CHOICES,
}
"""Module of trusted.ops -> module here with the rules of its operations."""
FUNCTIONS: Final = {"s_shaped": "s_shaped", "smooth": "functions"}
"""The same for the functions that these rules take."""


def rules_of(op: Operation) -> str | None:
    """The module of the operation's rule, if it is not here."""
    room, _, module = type(op).__module__.rpartition(".")
    return RULES.get(module) if room == "tlcheck.trusted.ops" else None


def rule_of(op: Operation) -> Rule | None:
    """The rule of an operation with operands that is not affine; None: there is none."""
    match rules_of(op):
        case "smooth_models":
            from tlcheck.trusted.taylor.smooth_models import known, smooth

            return partial(smooth, op) if known(op) else None
        case "kinked_models":
            from tlcheck.trusted.taylor.kinked_models import kinked, known

            return partial(kinked, op) if known(op) else None
        case "choice_models":
            from tlcheck.trusted.taylor.choice_models import chosen, decidable

            return partial(chosen, op) if decidable(op) else None
    return None


@dataclass(frozen=True, eq=False)
class TaylorNetwork:
    """A graph whose operations all have rules; the matrices of its affine operations. Raises Unsupported when built."""

    graph: Graph

    def __post_init__(self) -> None:
        for i in sorted(self._network.needed):
            node = self.graph.nodes[i]
            if i not in self.affine and not isinstance(node.op, Input | Fixed) and i not in self._rules:
                raise Unsupported(f"{type(node.op).__name__} at node '{node.label or i}'")

    @property
    def asks_for(self) -> tuple[str, ...]:
        """The modules of its operations' rules, and of the functions that these take."""
        modules = {type(self.graph.nodes[i].op).__module__.rpartition(".")[2] for i in self._network.needed}
        found = {table[module] for table in (RULES, FUNCTIONS) for module in modules & table.keys()}
        return tuple(f"tlcheck.trusted.taylor.{rules}" for rules in sorted(found))

    @property
    def kinked(self) -> bool:
        """Some operation of the graph has kinks."""
        return any(rules_of(node.op) == KINKED for node in self.graph.nodes)

    @cached_property
    def _rules(self) -> dict[int, Rule]:
        found = {i: rule_of(self.graph.nodes[i].op) for i in self._network.needed if i not in self.affine}
        return {i: rule for i, rule in found.items() if rule is not None}

    @cached_property
    def _network(self) -> Network:
        return Network(self.graph)

    @cached_property
    def affine(self) -> dict[int, tuple[tuple[Dense, ...], tuple[Arb, ...] | None]]:
        """node -> (a matrix for each operand, the offset's balls)."""
        found = {}
        entries = 0
        for i in sorted(self._network.needed):
            form = self._network.affine[i]
            if form is None:
                continue
            entries += sum(m.n_in * m.n_out for m in form.maps)
            if entries > MAX_ENTRIES:
                raise Unsupported(f"affine operations of more than {MAX_ENTRIES} entries, written out")
            try:
                matrices = tuple(dense(m) for m in form.maps)
            except Unsupported as problem:
                raise Unsupported(f"{problem} at node '{self.graph.nodes[i].label or i}'") from None
            offset = None
            if form.offset is not None:
                offset = tuple(constant_balls(form.offset))
            found[i] = (matrices, offset)
        return found

    def outputs(self, engine: Engine[M], derivatives: Derivatives, coordinates: Sequence[M]) -> list[Jet[M]]:
        """The jet of each flat output at ``coordinates``, one model for each flat input: derivatives by these."""
        values: dict[int, Jet[M]] = {}
        position = 0
        for i, node in enumerate(self.graph.nodes):
            if i not in self._network.needed:
                continue
            if isinstance(node.op, Input):
                values[i] = _inputs(engine, derivatives, range(position, position + node.size), coordinates)
                position += node.size
            else:
                values[i] = self._value(engine, derivatives, i, [values[j] for j in node.inputs])
        return [
            {a: engine.pick(x, k) for a, x in values[i].items()}
            for i in self.graph.outputs
            for k in range(self.graph.nodes[i].size)
        ]

    def _value(
        self, engine: Engine[M], derivatives: Derivatives, i: int, operands: Sequence[Jet[M]]
    ) -> Jet[M]:
        op = self.graph.nodes[i].op
        zero = derivatives.indices[0]
        if i in self.affine:
            matrices, offset = self.affine[i]
            result: Jet[M] = {}
            for matrix, operand in zip(matrices, operands, strict=True):
                for a, x in operand.items():
                    accumulate(engine, result, a, engine.affine(matrix, x))
            if offset is not None:
                accumulate(engine, result, zero, engine.constants(offset))
            return result
        if isinstance(op, Fixed):
            return {zero: engine.constants(constant_balls(op.value))}
        try:
            found: Jet[M] = self._rules[i](derivatives, engine, operands)
        except OutsideDomain as problem:
            if rules_of(op) == SMOOTH:
                raise
            name = self.graph.nodes[i].label or i
            raise OutsideDomain(f"{type(op).__name__} at node '{name}': {problem}") from None
        return found


def _inputs(engine: Engine[M], derivatives: Derivatives, which: range, coordinates: Sequence[M]) -> Jet[M]:
    jet: Jet[M] = {derivatives.indices[0]: engine.stack([coordinates[i] for i in which])}
    for axis in range(len(coordinates)):
        unit = tuple(int(k == axis) for k in range(len(coordinates)))
        if unit in derivatives.indices and axis in which:
            jet[unit] = engine.constants([arb(int(i == axis)) for i in which])
    return jet
