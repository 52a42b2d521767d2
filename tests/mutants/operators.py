"""Which mutations are made: some of cosmic-ray's operators, and three of our own for what goes wrong in rigorous arithmetic.

Left out of cosmic-ray's: replacements that nearly always raise a TypeError at once (``+`` by ``<<``) and would only raise the score.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import parso
from cosmic_ray.ast import get_ast
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator
from parso.python.tree import Name

Position = tuple[tuple[int, int], tuple[int, int]]

BINARY: Final = (
    "Add_Sub Sub_Add Mul_Div Mul_Add Div_Mul FloorDiv_Mul Mod_FloorDiv Pow_Mul LShift_RShift RShift_LShift "
    "BitOr_BitAnd BitAnd_BitOr BitXor_BitOr"
).split()
COMPARISONS: Final = (
    "Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt Eq_NotEq Eq_LtE Eq_GtE NotEq_Eq NotEq_Lt NotEq_Gt "
    "Is_IsNot IsNot_Is"
).split()
OTHERS: Final = (
    "ReplaceUnaryOperator_Delete_USub ReplaceUnaryOperator_Delete_Not ReplaceUnaryOperator_Delete_Invert AddNot "
    "ReplaceTrueWithFalse ReplaceFalseWithTrue ReplaceAndWithOr ReplaceOrWithAnd ReplaceBreakWithContinue "
    "ReplaceContinueWithBreak ExceptionReplacer NumberReplacer RemoveDecorator ZeroIterationForLoop"
).split()

OPPOSITE: Final = {
    "lower": "upper",
    "minimum": "maximum",
    "min": "max",
    "floor": "ceil",
    "any": "all",
    "below": "above",
}
OPPOSITE.update({b: a for a, b in OPPOSITE.items()})
SAFETY: Final = re.compile(
    r"\w*_(up|down)|outward\w*|nextafter|abs|absolute|sqrt|negative|minimum|maximum|min|max|floor\w*|ceil\w*|flushed\w*|abs_upper"
)
"""Functions whose result is their first operand, made safe."""


class _Own(Operator):
    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


class DropStatement(_Own):
    """A call for its effect (a guard, a charge), a ``raise`` or an augmented assignment does nothing."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.parent is not None and node.parent.type == "simple_stmt" and self._has_an_effect(node):
            yield node.start_pos, node.end_pos

    @staticmethod
    def _has_an_effect(node: Any) -> bool:
        if node.type in ("atom_expr", "raise_stmt"):
            return True
        return (
            node.type == "expr_stmt"
            and getattr(node.children[1], "type", "") == "operator"
            and len(node.children[1].value) > 1
        )

    def mutate(self, node: Any, index: int) -> Any:
        return Name("pass", node.start_pos, node.get_first_leaf().prefix)


class Opposite(_Own):
    """A lower end for an upper one, a minimum for a maximum, and so on."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.type == "name" and node.value in OPPOSITE and not self._defines(node):
            yield node.start_pos, node.end_pos

    @staticmethod
    def _defines(node: Any) -> bool:
        parent = node.parent
        if parent.type == "argument":
            return parent.children[0] is node and parent.children[1] == "="
        return parent.type in (
            "funcdef",
            "classdef",
            "param",
            "import_from",
            "import_as_names",
            "import_as_name",
        ) or (node.is_definition())

    def mutate(self, node: Any, index: int) -> Any:
        return Name(OPPOSITE[node.value], node.start_pos, node.prefix)


class FirstArgument(_Own):
    """``outward_up(x)`` is x: the call that errs on the safe side is left out."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.type == "atom_expr" and self._argument(node) is not None:
            yield node.start_pos, node.end_pos

    @staticmethod
    def _argument(node: Any) -> Any:
        *head, call = node.children
        if call.type != "trailer" or call.children[0] != "(" or len(call.children) != 3:
            return None
        name = head[-1].children[-1] if head[-1].type == "trailer" else head[-1]
        if name.type != "name" or not SAFETY.fullmatch(name.value):
            return None
        given = call.children[1]
        given = given.children[0] if given.type == "arglist" else given
        return None if given.type == "argument" else given

    def mutate(self, node: Any, index: int) -> Any:
        mutated = parso.parse(f"({self._argument(node).get_code().strip()})").children[0]
        mutated.get_first_leaf().prefix = node.get_first_leaf().prefix
        return mutated


def operators() -> dict[str, Operator]:
    names = [f"ReplaceBinaryOperator_{name}" for name in BINARY]
    names += [f"ReplaceComparisonOperator_{name}" for name in COMPARISONS]
    chosen = {name: get_operator(f"core/{name}")() for name in (*names, *OTHERS)}
    return {**chosen, **{own.__name__: own() for own in (DropStatement, Opposite, FirstArgument)}}


__all__ = ["get_ast", "operators"]
