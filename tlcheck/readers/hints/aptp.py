"""Reader of APTP, the proof trees that NeuralSAT writes: a text like VNN-LIB, with the leaves as signs of ReLUs or as boxes.

    (declare-pwl N_1 N_2 ReLU)
    (assert (or (and (< N_2 0)) (and (>= N_2 0) (< N_1 0)) ...))

N_k is the k-th hidden neuron, layer after layer; the file does not say more. It is about one objective: (assert (<= Y_0 Y_1)).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, TypeAlias

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_SEXPR_DEPTH
from tlcheck.readers.bytes import without_mark
from tlcheck.readers.hints.leaves import Hints, Leaves
from tlcheck.readers.hints.subject import Literal, Row, Subject

Expression: TypeAlias = "str | list[Expression]"
Comparison: TypeAlias = tuple[str, str, str]
"""(relation, left, right)."""

_TOKEN: Final = re.compile(r";[^\n]*+|[()]|[^ \t\r\n();]++")
_NAME: Final = re.compile(r"([XYN])_([0-9]{1,9})")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,400}(?:\.[0-9]{0,400})?(?:[eE][+-]?[0-9]{1,3})?")
_FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def read_aptp(data: bytes, subject: Subject, file: str) -> Hints:
    """Raises InvalidInput TLC101 where the text is none, TLC401 where it is nested too deeply."""
    try:
        text = without_mark(data, "TLC101", file).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput("TLC101", f"not a text: {error}", file=file) from None
    reader = _Reader(subject)
    for command in _commands(text, file):
        reader.take(command)
    if not reader.leaves:
        raise InvalidInput(
            "TLC101", "a proof without leaves", file=file, expected="(assert (or (and ...) ...))"
        )
    return reader.hints()


def _commands(text: str, file: str) -> Iterator[list[Expression]]:
    stack: list[list[Expression]] = []
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token[0] == ";":
            continue
        if token == "(":
            if len(stack) == MAX_SEXPR_DEPTH:
                raise InvalidInput(
                    "TLC401", "nesting too deep", file=file, expected=f"at most {MAX_SEXPR_DEPTH}"
                )
            stack.append([])
        elif not stack:
            raise _wrong(text, match.start(), f"{token[:40]} outside of a command", file)
        elif token == ")":
            done = stack.pop()
            if not stack:
                yield done
            else:
                stack[-1].append(done)
        else:
            stack[-1].append(token)
    if stack:
        raise _wrong(text, len(text), "a command that does not end", file)


def _wrong(text: str, at: int, message: str, file: str) -> InvalidInput:
    return InvalidInput("TLC101", message, file=file, field=f"line {text.count(chr(10), 0, at) + 1}")


class _Reader:
    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.hidden: list[int] = []
        self.leaves: list[list[Comparison]] = []
        self.objective: list[Comparison] = []
        self.passed: Counter[str] = Counter()

    def take(self, command: list[Expression]) -> None:
        match command:
            case ["declare-pwl", *names, str()]:
                self.hidden += [int(m[2]) for n in names if isinstance(n, str) and (m := _NAME.fullmatch(n))]
            case ["assert", ["or", *cases]]:
                read = [comparisons(case) for case in cases]
                if any(left[0] in "XN" for case in read for _, left, _ in case):
                    self.leaves += read
                elif len(read) == 1:
                    self.objective += read[0]
            case ["assert", formula]:
                self.objective += [c for c in comparisons(formula) if c[1][0] == "Y"]
            case _:
                pass

    def hints(self) -> Hints:
        rows = [row for c in self.objective if (row := _row(*c)) is not None]
        found = self.subject.disjuncts_like(rows) if rows else []
        self.passed["objectives that are no disjunct of the query"] += not found
        lists = {}
        for d in found or range(len(self.subject.query.disjuncts)):
            part = Leaves()
            for leaf in self.leaves:
                part.add(self._literals(d, leaf))
            lists[d] = part.list()
        return Hints("an APTP proof", lists, self.passed)

    def _literals(self, disjunct: int, leaf: list[Comparison]) -> list[Literal]:
        found = []
        lower, upper = dict[int, float](), dict[int, float]()
        for relation, left, right in leaf:
            name, number = _NAME.fullmatch(left), _NUMBER.fullmatch(right)
            if name is None or number is None:
                continue
            k, value = int(name[2]), float(right)
            if name[1] == "X":
                (upper if relation[0] == "<" else lower)[k] = value
            elif (place := self._place(k)) is not None:
                found.append((*place, -1 if relation[0] == "<" else 1, value))
        return found + self._faces(disjunct, lower, upper)

    def _place(self, k: int) -> tuple[int, int] | None:
        """(layer, neuron) of hidden neuron k."""
        k -= min(self.hidden, default=1)
        for layer in self.subject.layers:
            size = self.subject.graph.nodes[layer].size
            if 0 <= k < size:
                return layer, k
            k -= size
        self.passed["splits on no neuron of the model"] += 1
        return None

    def _faces(self, disjunct: int, lower: dict[int, float], upper: dict[int, float]) -> list[Literal]:
        if not lower and not upper:
            return []
        box = self.subject.query.disjuncts[disjunct].box
        return self.subject.box_literals(
            disjunct,
            [lower.get(i, float(x)) for i, x in enumerate(box.lower)],
            [upper.get(i, float(x)) for i, x in enumerate(box.upper)],
        )


def comparisons(formula: Expression) -> list[Comparison]:
    """Those of a conjunction, a variable on the left; others are left out."""
    found: list[Comparison] = []
    stack = [formula]
    while stack:
        match stack.pop():
            case ["and", *parts]:
                stack += reversed(parts)
            case [("<" | "<=" | ">" | ">=") as relation, str() as left, str() as right]:
                if _NAME.fullmatch(left):
                    found.append((relation, left, right))
                elif _NAME.fullmatch(right):
                    found.append((_FLIPPED[relation], right, left))
            case _:
                pass
    return found


def _row(relation: str, left: str, right: str) -> Row | None:
    """Of a comparison of outputs: sign (left - right) <= t."""
    sign = 1.0 if relation[0] == "<" else -1.0
    first, second = _NAME.fullmatch(left), _NAME.fullmatch(right)
    if first is None or first[1] != "Y":
        return None
    if second is not None:
        same = int(first[2]) == int(second[2])
        return None if same else ({int(first[2]): sign, int(second[2]): -sign}, 0.0)
    return ({int(first[2]): sign}, sign * float(right)) if _NUMBER.fullmatch(right) else None
