"""Reader of Marabou's JSON proofs: the splits of its tree, as far as its variables can be told.

The file is about Marabou's own tableau: nothing in it names a neuron. A row that holds one ReLU's input and network inputs alone
has the weights of a neuron of the first layer, which tells it; splits on others are left out. Lemmas and contradictions are not
looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final

import msgspec
import numpy as np

from tlcheck.errors import InvalidInput
from tlcheck.readers.bytes import without_mark
from tlcheck.readers.hints.leaves import Hints, Leaves
from tlcheck.readers.hints.subject import Floats, Literal, Subject

RELU: Final = 0
WEIGHTS: Final = 1e-6
"""Marabou writes ten decimals."""


class Entry(msgspec.Struct):
    var: int
    val: float


class Constraint(msgspec.Struct):
    constraintType: int
    vars: list[int]


class Split(msgspec.Struct):
    var: int
    val: float
    bound: str


class Node(msgspec.Struct):
    split: list[Split] = []
    children: list[Node] = []


class Proof(msgspec.Struct):
    tableau: list[list[Entry]]
    constraints: list[Constraint]
    proof: Node


def read_marabou(data: bytes, subject: Subject, file: str) -> Hints:
    """Raises InvalidInput: TLC101 other fields, TLC106 no JSON, or nested too deeply."""
    try:
        found = msgspec.json.decode(without_mark(data, "TLC106", file), type=Proof)
    except msgspec.ValidationError as error:
        raise InvalidInput("TLC101", str(error), file=file) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput("TLC106", f"not JSON that is read: {error}", file=file) from None
    reader = _Reader(subject, found)
    paths = list(reader.leaves(found.proof))
    lists = {}
    for d in range(len(subject.query.disjuncts)):
        part = Leaves()
        for path in paths:
            part.add(path)
        lists[d] = part.list()
    return Hints("a Marabou proof", lists, reader.passed)


class _Reader:
    def __init__(self, subject: Subject, found: Proof) -> None:
        self.subject = subject
        self.passed: Counter[str] = Counter()
        relus = [c.vars for c in found.constraints if c.constraintType == RELU and len(c.vars) >= 2]
        self.input_of = {v: b for b, *rest in relus for v in (b, *rest[:2])}
        """A ReLU's input b, its output f and f - b -> b."""
        self.auxiliary = {rest[1] for _, *rest in relus if len(rest) > 1}
        self.place = self._places(found.tableau, {b for b, *_ in relus})

    def _places(self, tableau: list[list[Entry]], inputs: set[int]) -> Mapping[int, tuple[int, int]]:
        """A ReLU's input -> (layer, neuron)."""
        n = self.subject.graph.n_inputs
        rows = {}
        for row in tableau:
            entries = {e.var: e.val for e in row}
            mine = [v for v in entries if v in inputs and v >= n]
            if len(mine) == 1 and entries[mine[0]] and any(v < n for v in entries):
                weights = np.array([-entries.get(v, 0.0) / entries[mine[0]] for v in range(n)])
                if bool(np.isfinite(weights).all()):
                    rows[mine[0]] = weights
        return {b: place for b, weights in rows.items() if (place := self._neuron(weights)) is not None}

    def _neuron(self, weights: Floats) -> tuple[int, int] | None:
        for layer, columns in self._first:
            error = np.abs(columns - weights[:, None]).max(axis=0)
            best = int(error.argmin())
            if error[best] <= WEIGHTS * (1 + np.abs(weights).max()):
                return layer, best
        return None

    @cached_property
    def _first(self) -> list[tuple[int, Floats]]:
        return self.subject.first_layers()

    def leaves(self, root: Node) -> Iterator[list[Literal]]:
        """Each leaf's splits that are known."""
        stack: list[tuple[Node, tuple[Literal, ...]]] = [(root, ())]
        while stack:
            node, path = stack.pop()
            path += tuple(x for s in node.split if (x := self._literal(s)) is not None and x not in path)
            if not node.children:
                yield list(path)
            stack += [(child, path) for child in node.children]

    def _literal(self, split: Split) -> Literal | None:
        if 0 <= split.var < self.subject.graph.n_inputs:
            return (*self.subject.input_place(split.var), 1 if split.bound == "L" else -1, split.val)
        place = self.place.get(self.input_of.get(split.var, -1))
        if place is None:
            self.passed["splits on a neuron that cannot be told"] += 1
            return None
        side = 1 if (split.bound == "L") != (split.var in self.auxiliary) else -1
        return (*place, side, 0.0)
