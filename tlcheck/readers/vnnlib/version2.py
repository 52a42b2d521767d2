"""VNN-LIB 2.0: networks with their inputs, hidden nodes and outputs, and polynomial constraints over them.

``read_declared`` reads every well-typed query: any number of networks, hidden nodes, integer types, products of
variables. Values are numbered flat: inputs network by network in declaration order; then the declared values of each
network, outputs before hidden nodes; then one value per monomial of degree 2 or more, so that all constraints are
linear. ``read_vnnlib2`` is its restriction to what one network's graph alone answers (TLC302 for the rest).

Syntax and types are the official parser's (package ``vnnlib``). Not taken from it: numbers (its ``Float.value`` is
a double; the lexeme is read exactly), ranges of indices (it accepts ``X[-1]`` and cuts indices to 32 bits) and its
``compat.transform`` (wrong on several ``or`` assertions). Before it sees the text, the nesting is bounded: it
recurses, and 100,000 levels end the process. Afterwards its printed syntax tree must be the text, token for token,
so nothing can have been skipped.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_SEXPR_DEPTH, MAX_TENSOR_ELEMENTS
from tlcheck.readers.decimals import parse_decimal
from tlcheck.readers.vnnlib.normal_form import (
    And,
    Formula,
    LinearForm,
    Or,
    Relation,
    Space,
    Variable,
    compare,
)

if TYPE_CHECKING:
    import vnnlib

_SKELETON: Final = re.compile(r'[()]|;[^\n]*+|"[^"\\;\n]*+"|"')
"""Parentheses, comments and strings; a string with a quote, backslash, semicolon or line end inside is refused."""
_COMMENT: Final = re.compile(r";[^\n]*+")
_NO_INDEX: Final = re.compile(r"[\[,][ \t\r\n]*+(?:-|[0-9]{10})")
"""Commas occur only between indices and sizes."""
_FLOATS: Final = {
    "Real": "real", "F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16",
}  # fmt: skip
_INTEGERS: Final = {
    "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
}  # fmt: skip
_TYPES: Final = _FLOATS | _INTEGERS
"""The parser's name of an element type, and the standard's."""
MAX_DEGREE: Final = 32
"""Largest degree of a monomial."""
MAX_MONOMIALS: Final = 10_000
"""Most monomials of a property: each is a value that every evaluation computes."""
MAX_PRODUCT_TERMS: Final = 1 << 20
"""Most terms of one product written out."""
_RELATIONS: Final[dict[str, Relation]] = {
    "LessEqual": "<=",
    "LessThan": "<",
    "GreaterEqual": ">=",
    "GreaterThan": ">",
    "Equal": "=",
    "NotEqual": "!=",
}


Kind: TypeAlias = Literal["input", "hidden", "output"]


@dataclass(frozen=True)
class Tensor:
    """One declared variable. ``start``: the place of its first value among the flat inputs, or among the outputs."""

    name: str
    kind: Kind
    dtype: str
    shape: tuple[int, ...]
    start: int
    onnx_name: str = ""

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Network:
    """One declared network; ``tensors`` in declaration order (inputs, hidden nodes, outputs)."""

    name: str
    tensors: tuple[Tensor, ...]
    equal_to: str = ""
    isomorphic_to: str = ""

    def of_kind(self, kind: Kind) -> tuple[Tensor, ...]:
        return tuple(t for t in self.tensors if t.kind == kind)


@dataclass(frozen=True)
class Property:
    """What a property file says. ``networks`` is empty for VNN-LIB 1.0, which declares none.

    ``monomials[k]`` are the factors of output value ``space.n_outputs - len(monomials) + k``, in order, repeated for
    powers.
    """

    assertions: list[Formula]
    space: Space
    networks: tuple[Network, ...] = ()
    monomials: tuple[tuple[Variable, ...], ...] = ()

    @property
    def is_real(self) -> bool:
        """Every variable is declared ``real``: the standard's real-valued query (or VNN-LIB 1.0, whose type it is)."""
        return all(t.dtype == "real" for network in self.networks for t in network.tensors)


def read_vnnlib2(text: str) -> tuple[list[Formula], Space]:
    """The assertions in order and the declared variables of a property of one network, unchecked against a model.

    Raises InvalidInput: TLC301 malformed or ill-typed, TLC302 unsupported, TLC401 nesting or number too large.
    """
    found = read_plain(text)
    return found.assertions, found.space


def read_plain(text: str) -> Property:
    """``read_vnnlib2`` with what is declared."""
    found = read_declared(text)
    _check_plain(found)
    return found


def _check_plain(found: Property) -> None:
    """One network, no hidden nodes, no products, and types whose values a network's real outputs are."""
    network, *others = found.networks
    if others:
        raise InvalidInput(
            "TLC302",
            "a property of several networks",
            expected="1 network",
            got=f"{len(found.networks)}",
        )
    for tensor in network.tensors:
        if tensor.kind == "hidden":
            raise InvalidInput("TLC302", "hidden nodes are not supported", got=tensor.name)
        if tensor.dtype not in _FLOATS.values():
            raise InvalidInput(
                "TLC302",
                "unsupported element type",
                field=tensor.name,
                expected="real, float16, bfloat16, float32 or float64",
                got=tensor.dtype,
            )
    if found.monomials:
        raise InvalidInput("TLC302", "product of two variables: only linear constraints are supported")


def read_declared(text: str) -> Property:
    """What any VNN-LIB 2.0 text says. Raises InvalidInput as ``read_vnnlib2``; TLC302 for an element type only."""
    _check_nesting(text)
    code = _COMMENT.sub("", text)
    if _NO_INDEX.search(code) is not None:
        raise InvalidInput("TLC301", "no index or size", expected="at most 9 digits, without sign")
    query = _parse(text, code)
    layout = _Layout(query)
    reader = _Expressions(layout)
    assertions = [reader.formula(assertion.expr) for assertion in query.assertions]
    monomials = tuple(reader.monomials)
    return Property(assertions, layout.space(len(monomials)), layout.networks, monomials)


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
        self.n_inputs = 0
        self.n_outputs = 0
        self.networks = tuple(self._network(network) for network in query.networks)
        self._tensors = {t.name: t for network in self.networks for t in network.tensors}
        self._inputs = [t for network in self.networks for t in network.of_kind("input")]

    def _network(self, network: vnnlib.Network) -> Network:
        inputs = [self._tensor(d, "input") for d in network.inputs]
        outputs = [self._tensor(d, "output") for d in network.outputs]
        hidden = [self._tensor(d, "hidden", _unquoted(d.onnx_name or "")) for d in network.hidden]
        return Network(
            network.name, (*inputs, *hidden, *outputs), network.equal_to or "", network.isometric_to or ""
        )

    def _tensor(
        self,
        definition: vnnlib.InputDefinition | vnnlib.OutputDefinition | vnnlib.HiddenDefinition,
        kind: Kind,
        onnx_name: str = "",
    ) -> Tensor:
        dtype = _TYPES.get(definition.dtype.name)
        if dtype is None:
            raise InvalidInput(
                "TLC302",
                "unsupported element type",
                field=definition.name,
                expected=", ".join(_TYPES.values()),
                got=definition.dtype.name,
            )
        start = self.n_inputs if kind == "input" else self.n_outputs
        tensor = Tensor(definition.name, kind, dtype, _shape(definition), start, onnx_name)
        if kind == "input":
            self.n_inputs += tensor.size
        else:
            self.n_outputs += tensor.size
        return tensor

    def variable(self, name: str, indices: tuple[int, ...]) -> Variable:
        """The flat variable of one element; TLC301 when an index is out of range."""
        tensor = self._tensors[name]
        shape = tensor.shape
        if len(indices) != len(shape) or not all(0 <= i < n for i, n in zip(indices, shape, strict=True)):
            raise InvalidInput(
                "TLC301", "index out of range", expected=f"shape {list(shape)}", got=f"{name}{list(indices)}"
            )
        flat = 0
        for index, extent in zip(indices, shape, strict=True):
            flat = flat * extent + index
        return ("X" if tensor.kind == "input" else "Y", tensor.start + flat)

    def space(self, monomials: int) -> Space:
        return Space(self.n_inputs, self.n_outputs + monomials, self._input_name)

    def _input_name(self, flat: int) -> str:
        """The name of a flat input as the file writes it, such as ``X[0,3]``."""
        tensor = next(t for t in reversed(self._inputs) if t.start <= flat)
        rest = flat - tensor.start
        indices: list[int] = []
        for extent in reversed(tensor.shape):
            indices.append(rest % extent)
            rest //= extent
        return f"{tensor.name}[{','.join(map(str, reversed(indices)))}]" if tensor.shape else tensor.name


def _unquoted(name: str) -> str:
    return name[1:-1] if len(name) >= 2 and name[0] == name[-1] == '"' else name


def _shape(
    definition: vnnlib.InputDefinition | vnnlib.OutputDefinition | vnnlib.HiddenDefinition,
) -> tuple[int, ...]:
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


_Factors: TypeAlias = tuple[Variable, ...]


class _Expressions:
    """Syntax tree to formulas; recursion is bounded by the nesting already checked."""

    def __init__(self, layout: _Layout) -> None:
        self._layout = layout
        self.monomials: dict[_Factors, Variable] = {}
        self._factors: dict[Variable, _Factors] = {}
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
                product = self._times(product, self._form(self._operand(arg)))
            return product
        raise InvalidInput("TLC302", "unsupported term", got=kind)

    def _times(self, left: LinearForm, right: LinearForm) -> LinearForm:
        """The product, written out in monomials."""
        if left.is_constant() or right.is_constant():
            return left.times(right)
        if (len(left.terms) + 1) * (len(right.terms) + 1) > MAX_PRODUCT_TERMS:
            raise InvalidInput(
                "TLC401", "a product has too many terms", expected=f"at most {MAX_PRODUCT_TERMS}"
            )
        product = LinearForm()
        for a, p in self._terms(left):
            for b, q in self._terms(right):
                product.add(self._monomial(tuple(sorted(a + b))), p * q)
        product.check_digits()
        return product

    def _terms(self, form: LinearForm) -> Iterable[tuple[_Factors, Fraction]]:
        """The form's terms as (factors, coefficient); the constant has none."""
        for variable, coefficient in form.terms.items():
            if coefficient:
                yield self._factors.get(variable, (variable,)), coefficient
        if form.constant:
            yield (), form.constant

    def _monomial(self, factors: _Factors) -> LinearForm:
        if not factors:
            return LinearForm({}, Fraction(1))
        if len(factors) == 1:
            return LinearForm({factors[0]: Fraction(1)})
        if factors not in self.monomials:
            if len(factors) > MAX_DEGREE or len(self.monomials) >= MAX_MONOMIALS:
                limits = f"degree at most {MAX_DEGREE}, at most {MAX_MONOMIALS} monomials"
                raise InvalidInput("TLC401", "the property's polynomials are too large", expected=limits)
            variable: Variable = ("Y", self._layout.n_outputs + len(self.monomials))
            self.monomials[factors] = variable
            self._factors[variable] = factors
        return LinearForm({self.monomials[factors]: Fraction(1)})

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
