"""Expressions as text: strict, bounded, nothing guessed. The trees are tlcheck.trusted.calculus.expression's.

    sum     = product (("+" | "-") product)*
    product = signed (("*" | "/") signed)*
    signed  = "-" signed | power
    power   = atom ["^" exponent]          exponent = digits | "(" ["-"] digits ["/" digits] ")"
    atom    = number | "pi" | variable | function "(" sum ")" | "(" sum ")"

So -x^2 is -(x^2), and x^2^3 is refused. Functions: abs cos exp log sin sqrt tanh. Numbers are decimals, with or without
exponent; what they mean (exactly, or the nearest double) is the caller's ``number``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.readers.decimals import parse_decimal
from tlcheck.trusted.calculus.expression import (
    FUNCTION_NAMES,
    Apply,
    Expression,
    Number,
    Pi,
    Power,
    Product,
    Sum,
    Variable,
)

MAX_CHARACTERS: Final = 20_000
"""Longest expression: right-hand sides have tens of characters; evaluation is linear in it, thousands of times."""
MAX_DEPTH: Final = 40
"""Deepest nesting, each level some ten Python frames of the parser or the evaluator."""
MAX_LISTED: Final = 12
"""Most names that an error lists."""
MAX_EXPONENT: Final = 64
"""Largest exponent, and denominator of one."""

_TOKEN: Final = re.compile(
    r"\s*(?:([0-9]++(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]++)?|\.[0-9]++(?:[eE][+-]?[0-9]++)?)|([A-Za-z_][A-Za-z_0-9]*+|π)|([-+*/^()]))"
)


def parse_expression(
    text: str,
    names: Collection[str],
    *,
    field: str = "",
    number: Callable[[str], Fraction] | None = None,
    described: str = "",
) -> Expression:
    """The expression that ``text`` denotes, over the variables ``names``; ``described``: these, in words, for errors.

    Raises InvalidInput: TLC101 not an expression of the grammar or an unknown name, TLC401 too long or too deep.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput(
            "TLC401", "expression too long", field=field, expected=f"at most {MAX_CHARACTERS} characters"
        )
    read = number or (lambda literal: parse_decimal(literal, code="TLC101", field=field))
    parser = _Parser(_tokens(text, field), names, field, read, described or _listed(names))
    result = parser.sum(0)
    if parser.position < len(parser.tokens):
        raise parser.unexpected("an operator, or the end")
    return result


def is_name(text: str) -> bool:
    """``text`` may name a variable."""
    reserved = {"pi", "π", *FUNCTION_NAMES}
    return re.fullmatch(r"[A-Za-z_][A-Za-z_0-9]{0,30}", text) is not None and text not in reserved


def _listed(names: Collection[str]) -> str:
    some = ", ".join(sorted(names)[:MAX_LISTED])
    more = ", ..." if len(names) > MAX_LISTED else ""
    return f"one of {some}{more}" if names else ""


def _tokens(text: str, field: str) -> list[tuple[str, int]]:
    """Each with its column, counted from 1."""
    found, position, text = [], 0, text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidInput(
                "TLC101",
                "not an expression",
                field=field,
                got=f"{text[position:].lstrip()[:20]!a} at column {_column(text, position)}",
            )
        token = match.group().lstrip()
        found.append((token, match.end() - len(token) + 1))
        position = match.end()
    return found


def _column(text: str, position: int) -> int:
    """Of the first character from ``position`` on that is no space, counted from 1."""
    return len(text) - len(text[position:].lstrip()) + 1


@dataclass
class _Parser:
    tokens: list[tuple[str, int]]
    names: Collection[str]
    field: str
    number: Callable[[str], Fraction]
    described: str
    position: int = 0

    @property
    def next(self) -> str:
        return self.tokens[self.position][0] if self.position < len(self.tokens) else ""

    def take(self) -> str:
        token = self.next
        self.position += 1
        return token

    def expect(self, token: str) -> None:
        if self.next != token:
            raise self.unexpected(f"'{token}'")
        self.position += 1

    def unexpected(self, expected: str) -> InvalidInput:
        got = "the end"
        if self.next:
            got = f"{self.next[:60]!a} at column {self.tokens[self.position][1]}"
        return InvalidInput("TLC101", "not an expression", field=self.field, expected=expected, got=got)

    def deeper(self, depth: int) -> int:
        if depth >= MAX_DEPTH:
            raise InvalidInput(
                "TLC401",
                "expression nested too deeply",
                field=self.field,
                expected=f"at most {MAX_DEPTH} levels",
            )
        return depth + 1

    def sum(self, depth: int) -> Expression:
        depth = self.deeper(depth)
        terms, minus = [self.product(depth)], [False]
        while self.next in ("+", "-"):
            minus.append(self.take() == "-")
            terms.append(self.product(depth))
        return terms[0] if len(terms) == 1 else Sum(tuple(terms), tuple(minus))

    def product(self, depth: int) -> Expression:
        factors, under = [self.signed(depth)], [False]
        while self.next in ("*", "/"):
            under.append(self.take() == "/")
            factors.append(self.signed(depth))
        return factors[0] if len(factors) == 1 else Product(tuple(factors), tuple(under))

    def signed(self, depth: int) -> Expression:
        if self.next != "-":
            return self.power(depth)
        self.take()
        return Sum((self.signed(self.deeper(depth)),), (True,))

    def power(self, depth: int) -> Expression:
        base = self.atom(depth)
        if self.next != "^":
            return base
        self.take()
        exponent = self.exponent()
        if self.next == "^":
            raise self.unexpected("parentheses around a power of a power")
        return Power(base, exponent)

    def exponent(self) -> Fraction:
        if self.next != "(":
            return Fraction(self.natural())
        self.take()
        negative = self.next == "-"
        self.position += negative
        top, bottom = self.natural(), 1
        if self.next == "/":
            self.take()
            bottom = self.natural()
        self.expect(")")
        if not bottom:
            raise InvalidInput("TLC101", "a quotient by zero", field=self.field)
        return Fraction(-top if negative else top, bottom)

    def natural(self) -> int:
        token = self.take()
        if not (token.isascii() and token.isdigit()):
            self.position -= 1
            raise self.unexpected("an exponent: digits, or a quotient in parentheses")
        if len(token) > 9 or int(token) > MAX_EXPONENT:
            raise InvalidInput(
                "TLC401", "exponent too large", field=self.field, expected=f"at most {MAX_EXPONENT}", got=token[:20]
            )  # fmt: skip
        return int(token)

    def atom(self, depth: int) -> Expression:
        token = self.take()
        if token == "(":
            inner = self.sum(depth)
            self.expect(")")
            return inner
        if token in FUNCTION_NAMES:
            self.expect("(")
            inner = self.sum(depth)
            self.expect(")")
            return Apply(token, inner)
        if token in ("pi", "π"):
            return Pi()
        if token in self.names:
            return Variable(token)
        if token[:1].isdigit() or token[:1] == ".":
            return Number(self.number(token))
        self.position -= 1
        if token == "*" and self.position and self.tokens[self.position - 1][0] == "*":
            raise self.unexpected("^ for a power")
        raise self.unexpected(", ".join(filter(None, ("a number", "pi", "a function", self.described))))
