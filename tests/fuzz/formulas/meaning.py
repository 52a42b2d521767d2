"""What a VNN-LIB text says at a point, straight from the text: nothing of tlcheck, exact rationals, no normal form.

It knows more than the readers do (SMT-LIB's ``not``, ``=>``, ``xor``, ``ite``, ``let``, ``/``, chains, ``distinct``), so that a
reader that takes one of them is compared, too. ``Nonsense`` is raised for what has no meaning here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeAlias

Tree: TypeAlias = Any
"""A token, or a list of trees."""
Values: TypeAlias = dict[str, Any]
"""Name -> number, or truth value for a name that ``let`` gives."""


class Nonsense(Exception):
    """The text has no meaning."""


RELATIONS = {
    "<=": lambda a, b: a <= b, "<": lambda a, b: a < b, ">=": lambda a, b: a >= b, ">": lambda a, b: a > b,
    "=": lambda a, b: a == b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip
ELEMENT = re.compile(r"([A-Za-z_][A-Za-z_0-9]*)\s*\[\s*([0-9,\s]*)\]")
PLACES = re.compile(r"(.*?)\[([0-9,]*)\]")
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass
class Meaning:
    """``inputs`` and ``outputs``: names of the flat values, as the readers number them (outputs before hidden, network by network)."""

    version: int
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    assertions: list[Tree] = field(default_factory=list)

    def holds(self, values: Values) -> bool:
        truths = [formula(a, values, self.version) for a in self.assertions]
        return all(truths)

    def atoms(self) -> list[tuple[Tree, Tree]]:
        """Both sides of every comparison of two terms without names of ``let``."""
        return [
            (t[1], t[2]) for a in self.assertions for t in _subtrees(a) if t[0] in RELATIONS and len(t) == 3
        ]


def meaning(text: str) -> Meaning:
    """Of the whole text. Raises Nonsense."""
    trees = parse(text)
    two = bool(trees) and isinstance(trees[0], list) and trees[0][:1] == ["vnnlib-version"]
    found = Meaning(2 if two else 1)
    declared: list[tuple[str, int]] = []
    for tree in trees[1:] if two else trees:
        if not isinstance(tree, list) or not tree or not isinstance(tree[0], str):
            raise Nonsense("no command")
        if tree[0] == "assert" and len(tree) == 2:
            found.assertions.append(tree[1])
        elif tree[0] == "declare-network" and two:
            _network(tree, found)
        elif not two and (tree[0], tree[2:]) in (("declare-const", ["Real"]), ("declare-fun", [[], "Real"])):
            match = re.fullmatch("([XY])_(0|[1-9][0-9]*)", str(tree[1]))
            if match is None:
                raise Nonsense("no variable")
            declared.append((match[1], int(match[2])))
        else:
            raise Nonsense(f"no command: {tree[0]}")
    for kind, names in (("X", found.inputs), ("Y", found.outputs)):
        own = sorted(i for k, i in declared if k == kind)
        if own != list(range(len(own))):
            raise Nonsense("variables twice, or with gaps")
        names += [f"{kind}_{i}" for i in own]
    if not two:
        _before_use(trees)
    return found


def _before_use(trees: list[Tree]) -> None:
    """A name is declared before a command that uses it."""
    known = set()
    for tree in trees:
        if tree[0] == "assert":
            for name in _tokens(tree):
                if re.fullmatch("[XY]_[0-9]+", name) and name not in known:
                    raise Nonsense(f"{name} before its declaration")
        else:
            known.add(tree[1])


def _network(tree: Tree, found: Meaning) -> None:
    parts: dict[str, list[str]] = {"declare-input": [], "declare-output": [], "declare-hidden": []}
    for item in tree[2:]:
        if item[0] in ("equal-to", "isomorphic-to"):
            continue
        name, (_, places) = item[1], PLACES.fullmatch(item[2]).groups()  # type: ignore[union-attr]
        sizes = [int(n) for n in places.split(",") if n]
        for at in itertools.product(*map(range, sizes)):
            parts[item[0]].append(f"{name}[{','.join(map(str, at))}]" if sizes else name)
    found.inputs += parts["declare-input"]
    found.outputs += parts["declare-output"] + parts["declare-hidden"]


def parse(text: str) -> list[Tree]:
    """The S-expressions of the text; X [ 0, 1 ] is one token."""
    text = re.sub(r";[^\n]*", "", text)
    text = ELEMENT.sub(
        lambda m: f" {m[1]}[{','.join(str(int(i)) for i in m[2].split(',') if i.strip())}] ", text
    )
    stack: list[list[Tree]] = [[]]
    for token in re.findall(r"[()]|[^()\s]+", text):
        if token == "(":
            stack.append([])
        elif token != ")":
            stack[-1].append(token)
        elif len(stack) == 1:
            raise Nonsense("too many )")
        else:
            closed = stack.pop()
            stack[-1].append(closed)
    if len(stack) > 1:
        raise Nonsense("a ( that is not closed")
    return stack[0]


def _subtrees(tree: Tree) -> Iterator[list[Tree]]:
    if isinstance(tree, list) and tree and isinstance(tree[0], str):
        yield tree
        for part in tree[1:] if tree[0] != "let" else ():
            yield from _subtrees(part)


def _tokens(tree: Tree) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    else:
        for part in tree:
            yield from _tokens(part)


def formula(tree: Tree, values: Values, version: int) -> bool:
    """The truth value. Every part is looked at, so that what has no meaning is found wherever it is."""
    if isinstance(tree, str):
        found = {"true": True, "false": False}.get(tree, values.get(tree))
        if not isinstance(found, bool):
            raise Nonsense(f"no formula: {tree}")
        return found
    head, *parts = _headed(tree)
    if head == "let":
        return formula(parts[1], _bound(parts, values, version), version)
    if head in RELATIONS or head == "distinct":
        terms = [term(part, values, version) for part in parts]
        if len(terms) < 2:
            raise Nonsense("a comparison of one")
        if head == "distinct":
            return len(set(terms)) == len(terms)
        return all(RELATIONS[head](a, b) for a, b in itertools.pairwise(terms))
    truths = [formula(part, values, version) for part in parts]
    return _connected(head, truths)


def _connected(head: str, truths: list[bool]) -> bool:
    match head, truths:
        case "and", [_, *_]:
            return all(truths)
        case "or", [_, *_]:
            return any(truths)
        case "not", [a]:
            return not a
        case "=>", [*before, last] if before:
            return last or not all(before)
        case "xor", [_, _, *_]:
            return sum(truths) % 2 == 1
        case "ite", [a, b, c]:
            return b if a else c
    raise Nonsense(f"no connective: {head} of {len(truths)}")


def term(tree: Tree, values: Values, version: int) -> Fraction:
    if isinstance(tree, str):
        return _value(tree, values)
    head, *parts = _headed(tree)
    if head == "let":
        return term(parts[1], _bound(parts, values, version), version)
    if head == "ite" and len(parts) == 3:
        both = [term(part, values, version) for part in parts[1:]]
        return both[0 if formula(parts[0], values, version) else 1]
    terms = [term(part, values, version) for part in parts]
    match head, terms:
        case "-", [a]:
            return -a
        case (("+" | "-" | "*" | "/"), [total, *rest]) if rest or head in "+*":
            for t in rest:
                if head == "/" and t == 0:
                    raise Nonsense("a quotient by zero")
                total = (
                    total + t
                    if head == "+"
                    else total - t
                    if head == "-"
                    else total * t
                    if head == "*"
                    else total / t
                )
            return total
    raise Nonsense(f"no operation: {head} of {len(terms)}")


def _headed(tree: list[Tree]) -> list[Tree]:
    if (
        not tree
        or not isinstance(tree[0], str)
        or (tree[0] in ("let", "ite") and len(tree) != {"let": 3, "ite": 4}[tree[0]])
    ):
        raise Nonsense("an empty parenthesis, or one without a head")
    return tree


def _bound(parts: list[Tree], values: Values, version: int) -> Values:
    """``let``: all values are computed outside."""
    new: Values = {}
    for name, tree in parts[0]:
        try:
            new[name] = term(tree, values, version)
        except Nonsense:
            new[name] = formula(tree, values, version)
    return values | new


def _value(token: str, values: Values) -> Fraction:
    if token in values:
        if isinstance(values[token], bool):
            raise Nonsense(f"no number: {token}")
        return values[token]  # type: ignore[no-any-return]
    return _literal(token)


@lru_cache(10_000)
def _literal(token: str) -> Fraction:
    if DECIMAL.fullmatch(token):
        return number(token)
    if re.fullmatch(r"[+-]?0[xX][0-9a-fA-F.]+[pP][+-]?[0-9]+", token):
        return Fraction(float.fromhex(token))
    raise Nonsense(f"no number: {token}")


def number(token: str) -> Fraction:
    """A decimal, by Python's own reading of it."""
    return Fraction(token[:-1] if token.endswith(".") else re.sub(r"\.([eE])", r".0\1", token))
