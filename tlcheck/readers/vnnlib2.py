"""VNN-LIB 2.0: one network, its inputs and outputs in declaration order, linear constraints.

Syntax and types are the official parser's (package ``vnnlib``). Not taken from it: numbers (its ``Float.value`` is
a double; the lexeme is read exactly), ranges of indices (it accepts ``X[-1]`` and cuts indices to 32 bits) and its
``compat.transform`` (wrong on several ``or`` assertions). Before it sees the text, the nesting is bounded: it
recurses, and 100,000 levels end the process. Afterwards its printed syntax tree must be the text, token for token,
so nothing can have been skipped.

Refused as TLC302: several networks, hidden nodes, element types other than real and the IEEE floats (every value
is a real number here; an integer variable is not).
"""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal, cast

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_SEXPR_DEPTH, MAX_TENSOR_ELEMENTS
from tlcheck.readers.decimals import parse_decimal
from tlcheck.readers.normal_form import And, Formula, LinearForm, Or, Relation, Space, Variable, compare

if TYPE_CHECKING:
    import vnnlib

_SKELETON: Final = re.compile(r'[()]|;[^\n]*+|"[^"\\;\n]*+"|"')
"""Parentheses, comments and strings; a string with a quote, backslash, semicolon or line end inside is refused."""
_COMMENT: Final = re.compile(r";[^\n]*+")
_LONG_INDEX: Final = re.compile(r"[\[,][ \t\r\n]*+-?[0-9]{10}")
"""Commas occur only between indices and sizes."""
_REAL_TYPES: Final = frozenset(("Real", "F16", "F32", "F64", "BF16"))
_RELATIONS: Final[dict[str, Relation]] = {
    "LessEqual": "<=",
    "LessThan": "<",
    "GreaterEqual": ">=",
    "GreaterThan": ">",
    "Equal": "=",
    "NotEqual": "!=",
}


def read_vnnlib2(text: str) -> tuple[list[Formula], Space]:
    """The assertions in order and the declared variables, unchecked against a model.

    Raises InvalidInput: TLC301 malformed or ill-typed, TLC302 unsupported, TLC401 nesting or number too large.
    """
    _check_nesting(text)
    code = _COMMENT.sub("", text)
    if _LONG_INDEX.search(code) is not None:
        raise InvalidInput("TLC301", "index or size too large", expected="at most 9 digits")
    query = _parse(text, code)
    layout = _Layout(query)
    reader = _Expressions(layout)
    return [reader.formula(assertion.expr) for assertion in query.assertions], layout.space()


def _check_nesting(text: str) -> None:
    """Bound what the parser recurses on: TLC401 depth, TLC301 a string in which parentheses cannot be told."""
    depth = 0
    for match in _SKELETON.finditer(text):
        token = match.group()
        if token == "(":
            depth += 1
            if depth > MAX_SEXPR_DEPTH:
                raise InvalidInput("TLC401", "nesting too deep", expected=f"at most {MAX_SEXPR_DEPTH}")
        elif token == ")":
            depth -= 1
        elif token == '"':
            raise InvalidInput("TLC301", "malformed string", field=_line(text, match.start()))


def _parse(text: str, code: str) -> vnnlib.Query:
    """The official parser's typed syntax tree, checked to be that of all of ``code`` (text without comments)."""
    try:
        import vnnlib
    except ImportError as error:
        raise InvalidInput("TLC302", "VNN-LIB 2.0 needs the Python package vnnlib") from error
    try:
        query = vnnlib.parse_query_string(text)
    except vnnlib.VNNLibException as error:
        raise _refused(str(error)) from error
    except (IndexError, ValueError, RuntimeError) as error:  # also std::out_of_range, UnicodeDecodeError
        raise InvalidInput("TLC301", f"the VNN-LIB 2.0 parser refuses the text: {error}") from error
    if "".join(str(query).split()) != "".join(code.split()):
        raise InvalidInput("TLC301", "the VNN-LIB 2.0 parser did not read the whole text")
    return query


def _refused(message: str) -> InvalidInput:
    """The parser's message (one line, or JSON with a list of type errors) as one line."""
    try:
        first = json.loads(message)["errors"][0]
        text = f"{first['message']}: {first['offendingSymbol']}. {first['hint']}"
        return InvalidInput("TLC301", ascii(text)[1:-1], field=f"line {first['line']}")
    except (ValueError, KeyError, IndexError, TypeError):
        return InvalidInput("TLC301", ascii(message[:200])[1:-1])


def _line(text: str, position: int) -> str:
    return f"line {text.count(chr(10), 0, position) + 1}"


class _Layout:
    """Where each declared tensor starts in the flat inputs or outputs: declaration order, row-major."""

    def __init__(self, query: vnnlib.Query) -> None:
        if len(query.networks) != 1:
            raise InvalidInput(
                "TLC302", "a property of several networks", expected="1 network", got=f"{len(query.networks)}"
            )
        network = query.networks[0]
        if network.equal_to or network.isometric_to:
            raise InvalidInput("TLC302", "a network declared as equal to another is not supported")
        if network.hidden:
            raise InvalidInput("TLC302", "hidden nodes are not supported", got=network.hidden[0].name)
        self._tensors: dict[str, tuple[Literal["X", "Y"], int, tuple[int, ...]]] = {}
        self._inputs: list[tuple[str, int, tuple[int, ...]]] = []
        self._n_inputs = 0
        self._n_outputs = 0
        for definition in network.inputs:
            shape = _shape(definition)
            self._tensors[definition.name] = ("X", self._n_inputs, shape)
            self._inputs.append((definition.name, self._n_inputs, shape))
            self._n_inputs += math.prod(shape)
        for output in network.outputs:
            shape = _shape(output)
            self._tensors[output.name] = ("Y", self._n_outputs, shape)
            self._n_outputs += math.prod(shape)

    def variable(self, name: str, indices: tuple[int, ...]) -> Variable:
        """The flat variable of one element; TLC301 when an index is out of range."""
        kind, start, shape = self._tensors[name]
        if len(indices) != len(shape) or not all(0 <= i < n for i, n in zip(indices, shape, strict=True)):
            raise InvalidInput(
                "TLC301", "index out of range", expected=f"shape {list(shape)}", got=f"{name}{list(indices)}"
            )
        flat = 0
        for index, extent in zip(indices, shape, strict=True):
            flat = flat * extent + index
        return (kind, start + flat)

    def space(self) -> Space:
        return Space(self._n_inputs, self._n_outputs, self._input_name)

    def _input_name(self, flat: int) -> str:
        """The name of a flat input as the file writes it, such as ``X[0,3]``."""
        name, start, shape = next(entry for entry in reversed(self._inputs) if entry[1] <= flat)
        rest = flat - start
        indices: list[int] = []
        for extent in reversed(shape):
            indices.append(rest % extent)
            rest //= extent
        return f"{name}[{','.join(map(str, reversed(indices)))}]" if shape else name


def _shape(definition: vnnlib.InputDefinition | vnnlib.OutputDefinition) -> tuple[int, ...]:
    if definition.dtype.name not in _REAL_TYPES:
        raise InvalidInput(
            "TLC302",
            "unsupported element type",
            field=definition.name,
            expected="real, float16, bfloat16, float32 or float64",
            got=definition.dtype.name,
        )
    shape = tuple(definition.shape)
    if any(extent < 1 for extent in shape) or math.prod(shape) > MAX_TENSOR_ELEMENTS:
        raise InvalidInput(
            "TLC401",
            "unsupported shape",
            field=definition.name,
            expected=f"1 to {MAX_TENSOR_ELEMENTS} elements",
            got=f"{list(shape)}",
        )
    return shape


class _Expressions:
    """Syntax tree to formulas; recursion is bounded by the nesting already checked."""

    def __init__(self, layout: _Layout) -> None:
        self._layout = layout
        self._variables: dict[tuple[str, tuple[int, ...]], Variable] = {}
        self._numbers: dict[str, Fraction] = {}
        self._comparisons: dict[tuple[Relation, Variable | str, Variable | str], Formula] = {}

    def formula(self, node: vnnlib.BoolExpr) -> Formula:
        kind = type(node).__name__
        if kind == "And" or kind == "Or":
            args = cast("vnnlib.Connective", node).args
            parts = tuple([self.formula(part) for part in args])
            return And(parts) if kind == "And" else Or(parts)
        relation = _RELATIONS.get(kind)
        if relation is None:
            raise InvalidInput("TLC302", "unsupported formula", got=kind)
        comparison = cast("vnnlib.Comparison", node)
        left, right = self._operand(comparison.lhs), self._operand(comparison.rhs)
        if isinstance(left, LinearForm) or isinstance(right, LinearForm):
            return compare(self._form(left), relation, self._form(right))
        key = (relation, left, right)
        known = self._comparisons.get(key)
        if known is None:  # equal comparisons give the same object, so that boxes can be shared
            known = self._comparisons[key] = compare(self._form(left), relation, self._form(right))
        return known

    def _operand(self, node: vnnlib.ArithExpr) -> LinearForm | Variable | str:
        """A variable, the lexeme of a literal, or the linear form of anything else."""
        kind = type(node).__name__
        if kind == "Var":
            return self._variable(cast("vnnlib.Var", node))
        if kind in ("Float", "Int", "Literal"):
            return cast("vnnlib.Literal", node).lexeme
        if kind == "Negate":
            negated = LinearForm()
            negated.add(self._form(self._operand(cast("vnnlib.Negate", node).expr)), Fraction(-1))
            return negated
        if kind == "Minus":
            minus = cast("vnnlib.Minus", node)
            return self._sum(minus.head, minus.rest, Fraction(-1))
        if kind == "Plus":
            args = cast("vnnlib.Plus", node).args
            return self._sum(args[0], args[1:], Fraction(1))
        if kind == "Multiply":
            args = cast("vnnlib.Multiply", node).args
            product = self._form(self._operand(args[0]))
            for arg in args[1:]:
                product = product.times(self._form(self._operand(arg)))
            return product
        raise InvalidInput("TLC302", "unsupported term", got=kind)

    def _sum(self, head: vnnlib.ArithExpr, rest: tuple[vnnlib.ArithExpr, ...], scale: Fraction) -> LinearForm:
        """head + scale * (sum of rest)."""
        total = self._form(self._operand(head))
        for arg in rest:
            total.add(self._form(self._operand(arg)), scale)
        return total

    def _form(self, operand: LinearForm | Variable | str) -> LinearForm:
        """The operand as a linear form that the caller may change."""
        if isinstance(operand, LinearForm):
            return operand
        if isinstance(operand, tuple):
            return LinearForm({operand: Fraction(1)})
        number = self._numbers.get(operand)
        if number is None:
            number = self._numbers[operand] = parse_decimal(operand)
        return LinearForm({}, number)

    def _variable(self, node: vnnlib.Var) -> Variable:
        key = (node.name, tuple(node.indices))
        variable = self._variables.get(key)
        if variable is None:
            variable = self._variables[key] = self._layout.variable(*key)
        return variable
