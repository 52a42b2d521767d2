"""VNN-LIB 1.0: S-expressions over ``X_i`` and ``Y_j``, read exactly.

What is read::

    (declare-const X_0 Real)     or (declare-fun X_0 () Real), which SMT-LIB defines to be the same
    (assert FORMULA)
    FORMULA: (<= TERM TERM), also < >= > =; (and FORMULA ...), (or FORMULA ...), true, false
    TERM:    decimal, variable, (+ TERM ...), (- TERM ...), (* TERM ...) with at most one factor not constant

and ``;`` comments. Anything else is refused: what SMT-LIB has but VNN-LIB 1.0 properties do not use (``not``,
``=>``, ``/``, ``let``, other sorts) as TLC302, what does not parse as TLC301. A name must be declared before it
is used, once, and indices must run from 0 without gaps.

Nearly every line of a real property is a declaration or a bound on one variable; one regular expression reads
those. Its reading is that of the general reader, which a test compares.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final, NoReturn, TypeAlias, cast

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_SEXPR_DEPTH
from tlcheck.readers.decimals import DECIMAL, parse_decimal
from tlcheck.readers.vnnlib.normal_form import (
    And,
    Formula,
    InputBound,
    LinearForm,
    Or,
    Relation,
    Space,
    Variable,
    compare,
)
from tlcheck.trusted.query import LinearConstraint

_BLANK: Final = r"(?:[ \t\r\n]++|;[^\n]*+)*+"
_SPACE: Final = r"[ \t\r\n]++"
_MAYBE: Final = r"[ \t\r\n]*+"
_NAME: Final = r"([XY])_(0|[1-9][0-9]{0,8})"
_OPERAND: Final = rf"[XY]_[0-9]++|{DECIMAL}"
_SIMPLE: Final = rf"\({_MAYBE}(<=|>=|<|>|=){_SPACE}({_OPERAND}){_SPACE}({_OPERAND}){_MAYBE}\)"

_VARIABLE: Final = re.compile(_NAME)
_LOOKS_LIKE_VARIABLE: Final = re.compile(r"[XY]_[0-9]+")
_LOOKS_LIKE_NUMBER: Final = re.compile(r"[+-]?\.?[0-9]")
_COMMAND: Final = re.compile(
    rf"{_BLANK}\({_MAYBE}"
    rf"(?:declare-const{_SPACE}({_NAME}){_SPACE}Real|assert{_MAYBE}{_SIMPLE}){_MAYBE}\)"
)
"""A whole command that needs no stack."""
_TOKEN: Final = re.compile(r"[()]|;[^\n]*+|[^ \t\r\n();]++")
_TOKEN_OR_SIMPLE: Final = re.compile(rf"{_SIMPLE}|{_TOKEN.pattern}")

_RELATIONS: Final = frozenset(("<=", "<", ">=", ">", "="))
_UNSUPPORTED_HEADS: Final = frozenset(
    (
        *("not", "=>", "xor", "distinct", "ite", "let", "forall", "exists"),
        *("/", "abs", "min", "max", "div", "mod"),
        *("define-fun", "define-const", "set-logic", "set-info", "set-option"),
        *("check-sat", "get-model", "push", "pop", "exit"),
    )
)
"""SMT-LIB that is known and refused."""

_Item: TypeAlias = str | LinearForm | Formula
"""A token not looked at yet, a term, or a formula."""


_NO_ARGUMENTS: Final = And(())
"""Stands for the empty list of arguments in (declare-fun X_0 () Real); compared by identity."""


def read_vnnlib1(text: str, *, fast: bool = True) -> tuple[list[Formula], Space]:
    """The assertions in order and the declared variables, unchecked against a model.

    ``fast=False`` sends every command through the general reader (for the tests). Raises InvalidInput: TLC301
    malformed, TLC302 unsupported, TLC401 nesting or number too large; the field is the line.
    """
    return _Reader(text, fast=fast).read()


class _Reader:
    """One pass over the text; a stack of open parentheses instead of recursion."""

    def __init__(self, text: str, *, fast: bool) -> None:
        self._text = text
        self._fast = fast
        self._variables: dict[str, Variable] = {}
        self._count = {"X": 0, "Y": 0}
        self._assertions: list[Formula] = []
        self._numbers: dict[str, Fraction] = {}
        self._comparisons: dict[tuple[str, str, str], Formula] = {}
        self._at = 0  # where in the text an error is

    def read(self) -> tuple[list[Formula], Space]:
        """Command by command: the regular expression where it applies, else the general reader."""
        text = self._text
        position = 0
        try:
            while position >= 0:
                match = _COMMAND.match(text, position) if self._fast else None
                if match is None:
                    position = self._general_command(position)
                    continue
                self._at = match.end() - 1  # its own line: the match starts at the blanks before it
                name, kind, index, relation, left, right = match.groups()
                if name is not None:
                    self._declare(name, kind, index)
                else:
                    self._assertions.append(self._comparison(relation, left, right))
                position = match.end()
            self._check_contiguous()
        except InvalidInput as error:
            if not error.field:
                error.field = f"line {text.count(chr(10), 0, self._at) + 1}"
                error.args = (error.line(),)
            raise
        return self._assertions, Space(self._count["X"], self._count["Y"], "X_{}".format)

    # --- one command ------------------------------------------------------------------------------------------

    def _general_command(self, position: int) -> int:
        """Read one command from ``position``; the position after it, or -1 at the end of the text."""
        stack: list[list[_Item]] = []
        for match in (_TOKEN_OR_SIMPLE if self._fast else _TOKEN).finditer(self._text, position):
            token = match.group()
            self._at = match.start()
            if token[0] == ";":
                continue
            if not stack and token != "(":
                self._fail("expected a command", expected="(", got=token)
            if token[0] == "(" and len(stack) == MAX_SEXPR_DEPTH:
                self._fail("nesting too deep", "TLC401", expected=f"at most {MAX_SEXPR_DEPTH}")
            if token == "(":
                stack.append([])
            elif token == ")":
                items = stack.pop()
                if not stack:
                    self._command(items)
                    return match.end()
                if len(stack) == 1 and self._declares_function(stack[-1]):
                    stack[-1].append("its arguments" if items else _NO_ARGUMENTS)
                else:
                    stack[-1].append(self._reduce(items))
            elif token[0] == "(":
                relation, left, right = match.group(1, 2, 3)
                stack[-1].append(self._comparison(relation, left, right))
            else:
                if not stack[-1] and token in _UNSUPPORTED_HEADS:
                    self._fail("unsupported command or operator", "TLC302", got=token)
                stack[-1].append(token)
        if stack:
            self._at = len(self._text)
            self._fail("the file ends inside a command", expected=")", got="end of file")
        return -1

    def _command(self, items: list[_Item]) -> None:
        head = self._head(items)
        if head == "assert":
            if len(items) != 2:
                self._fail("assert takes one formula", got=f"{len(items) - 1}")
            self._assertions.append(self._formula(items[1]))
        elif head == "declare-const":
            self._declare_items(items)
        elif head == "declare-fun":
            if len(items) != 4 or items[2] is not _NO_ARGUMENTS:
                self._fail(
                    "only a function without arguments is a variable", "TLC302",
                    expected="(declare-const NAME Real) or (declare-fun NAME () Real)",
                )  # fmt: skip
            self._declare_items([items[0], items[1], items[3]])
        else:
            self._fail("unknown command", expected="declare-const or assert", got=head)

    @staticmethod
    def _declares_function(items: list[_Item]) -> bool:
        """The next item is the list of a declared function's arguments."""
        return len(items) == 2 and isinstance(items[0], str) and items[0] == "declare-fun"

    def _declare_items(self, items: list[_Item]) -> None:
        if len(items) != 3 or not isinstance(items[1], str):
            self._fail("malformed declaration", expected="(declare-const NAME Real)")
        match = _VARIABLE.fullmatch(items[1])
        if match is None:
            self._fail("unsupported variable name", "TLC302", expected="X_i or Y_j", got=items[1])
        if items[2] != "Real":
            got = items[2] if isinstance(items[2], str) else "an expression"
            self._fail("unsupported sort", "TLC302", expected="Real", got=got)
        self._declare(items[1], match.group(1), match.group(2))

    def _declare(self, name: str, kind: str, index: str) -> None:
        if name in self._variables:
            self._fail("variable declared twice", got=name)
        self._variables[name] = ("X" if kind == "X" else "Y", int(index))
        self._count[kind] += 1

    def _check_contiguous(self) -> None:
        """Distinct indices below the count are all of 0 .. count - 1."""
        for name, (kind, index) in self._variables.items():
            if index >= self._count[kind]:
                self._at = len(self._text)
                self._fail(
                    f"{kind} variables must be numbered from 0 without gaps",
                    expected=f"indices below {self._count[kind]}, the number declared",
                    got=name,
                )

    # --- formulas and terms -----------------------------------------------------------------------------------

    def _reduce(self, items: list[_Item]) -> _Item:
        """The formula or term of one closed parenthesis whose arguments are reduced already."""
        head = self._head(items)
        if head == "and":
            return And(self._formulas(items))
        if head == "or":
            return Or(self._formulas(items))
        if head in _RELATIONS:
            return self._relation(head, items)
        if head in ("+", "-", "*"):
            return self._arithmetic(head, items)
        self._fail("unknown operator", expected="and, or, <=, <, >=, >, =, +, - or *", got=head)

    def _head(self, items: list[_Item]) -> str:
        if not items or not isinstance(items[0], str):
            self._fail("a parenthesis must start with a command or an operator")
        return items[0]

    def _formulas(self, items: list[_Item]) -> tuple[Formula, ...]:
        if len(items) == 1:
            self._fail(f"{items[0]} without arguments")
        return tuple([self._formula(item) for item in items[1:]])

    def _formula(self, item: _Item) -> Formula:
        if isinstance(item, str):
            if item not in ("true", "false"):
                self._fail("expected a formula", got=item)
            return item == "true"
        if isinstance(item, LinearForm):
            self._fail("expected a formula", got="a term")
        return item

    def _relation(self, head: str, items: list[_Item]) -> Formula:
        if len(items) < 3:
            self._fail(f"{head} takes two terms", got=f"{len(items) - 1}")
        if len(items) > 3:
            self._fail(f"{head} with more than two terms is not supported", "TLC302", got=f"{len(items) - 1}")
        left, right = items[1:]
        if isinstance(left, str) and isinstance(right, str):
            return self._comparison(head, left, right)
        return compare(self._term(left), cast(Relation, head), self._term(right))

    def _arithmetic(self, head: str, items: list[_Item]) -> LinearForm:
        if len(items) == 1:
            self._fail(f"{head} without arguments")
        result = self._term(items[1])
        if head == "-" and len(items) == 2:
            negated = LinearForm()
            negated.add(result, Fraction(-1))
            return negated
        for item in items[2:]:
            if head == "*":
                result = result.times(self._term(item))
            else:
                result.add(self._term(item), Fraction(1 if head == "+" else -1))
        return result

    def _term(self, item: _Item) -> LinearForm:
        """The item as a term that the caller may change."""
        if isinstance(item, LinearForm):
            return item
        if not isinstance(item, str):
            self._fail("expected a term", got="a formula")
        variable = self._variables.get(item)
        if variable is not None:
            return LinearForm({variable: Fraction(1)})
        return LinearForm({}, self._number(item))

    def _number(self, token: str) -> Fraction:
        number = self._numbers.get(token)
        if number is None:
            if _LOOKS_LIKE_NUMBER.match(token) is None:
                declared = _LOOKS_LIKE_VARIABLE.fullmatch(token) is not None
                self._fail("undeclared variable" if declared else "unknown symbol", got=token)
            number = self._numbers[token] = parse_decimal(token)
        return number

    def _comparison(self, relation: str, left: str, right: str) -> Formula:
        """``(relation left right)`` of two tokens; equal comparisons give the same object."""
        key = (relation, left, right)
        known = self._comparisons.get(key)
        if known is None:
            known = self._comparisons[key] = self._new_comparison(relation, left, right)
        return known

    def _new_comparison(self, relation: str, left: str, right: str) -> Formula:
        variable = self._variables.get(left)
        if variable is not None and right not in self._variables and relation != "=":
            upper = relation[0] == "<"
            value = self._number(right)
            strict = len(relation) == 1
            if variable[0] == "X":
                return InputBound(variable[1], upper, value, strict)
            sign = Fraction(1 if upper else -1)
            return LinearConstraint((), ((variable[1], sign),), value if upper else -value, strict)
        return compare(self._term(left), cast(Relation, relation), self._term(right))

    # --- errors -----------------------------------------------------------------------------------------------

    def _fail(self, message: str, code: str = "TLC301", *, expected: str = "", got: str = "") -> NoReturn:
        shown = ascii(got[:60])[1:-1] + ("..." if len(got) > 60 else "")
        raise InvalidInput(code, message, expected=expected, got=shown)
