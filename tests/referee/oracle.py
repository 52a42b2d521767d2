"""A second opinion on a witness: nothing of tlcheck, only onnx's weights, Python integers and three small parsers.

Reads what the corrupted witnesses of ``test_corrupted`` are made from: ReLU networks of Gemm, MatMul, Add, Sub, Flatten,
VNN-LIB 1.0 queries of comparisons under ``and`` and ``or``, and witness files as the competition defines them.
"""

from __future__ import annotations

import gzip
import itertools
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

TOLERANCE = Fraction(1, 10_000)

Point = list[Fraction]
Linear = tuple[dict[str, Fraction], Fraction]
"""(coefficients, constant): their sum is at most 0."""

NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
PAIR = r"\([ \t\r\n]*([XY])_([0-9]+)[ \t\r\n]+([^ \t\r\n()]+)[ \t\r\n]*\)"


# The network.


def unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


class Network:
    """y(x), exactly: a vector of integers over one power-of-two-times-ten denominator, layer after layer."""

    def __init__(self, path: Path) -> None:
        self.graph = onnx.load_from_string(unpacked(path)).graph
        self.constants = {t.name: numpy_helper.to_array(t) for t in self.graph.initializer}
        self.source = next(i.name for i in self.graph.input if i.name not in self.constants)
        self.exact = {name: _dyadic(value) for name, value in self.constants.items()}

    def __call__(self, point: Point) -> Point:
        over = int(np.lcm.reduce(np.array([v.denominator for v in point], dtype=object)))
        ints = np.array([int(v * over) for v in point], dtype=object)
        values: dict[str, tuple[Any, int]] = {self.source: (ints, over)}
        for node in self.graph.node:
            values[node.output[0]] = self._node(node, values)
        ints, over = values[self.graph.output[0].name]
        return [Fraction(int(v), over) for v in ints]

    def _node(self, node: Any, values: dict[str, tuple[Any, int]]) -> tuple[Any, int]:
        x, over = values[node.input[0]]
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type in ("Flatten", "Identity"):
            return x, over
        if node.op_type == "Relu":
            return np.maximum(x, 0), over
        weight, scale = self.exact[node.input[1]]
        if node.op_type in ("Add", "Sub"):
            term = weight.reshape(-1) * over
            return x * scale + (term if node.op_type == "Add" else -term), over * scale
        if node.op_type == "MatMul":
            return x @ weight, over * scale
        if node.op_type == "Gemm":
            plain = {"alpha": 1.0, "beta": 1.0, "transA": 0}
            assert all(attributes.get(k, v) == v for k, v in plain.items())
            y, over = x @ (weight.T if attributes.get("transB") else weight), over * scale
            bias, scale = self.exact[node.input[2]]
            return y * scale + bias.reshape(-1) * over, over * scale
        raise NotImplementedError(node.op_type)


def _dyadic(array: np.ndarray[Any, Any]) -> tuple[Any, int]:
    """(integers, scale) with array = integers / scale."""
    flat = [float(v).as_integer_ratio() for v in array.reshape(-1)]
    scale = max((d for _, d in flat), default=1)
    return np.array([n * (scale // d) for n, d in flat], dtype=object).reshape(array.shape), scale


# The query.


@dataclass(frozen=True)
class Disjunct:
    lower: Point
    upper: Point
    outputs: list[Linear]

    def away(self, point: Point) -> Fraction:
        pairs = zip(self.lower, point, self.upper, strict=True)
        return max(max(low - v, v - high, Fraction(0)) for low, v, high in pairs)

    def moved(self, point: Point) -> Point:
        return [min(max(v, low), high) for low, v, high in zip(self.lower, point, self.upper, strict=True)]

    def slack(self, outputs: Point) -> Fraction:
        at = {f"Y_{i}": v for i, v in enumerate(outputs)}
        return min(-(sum(q * at[name] for name, q in c.items()) + k) for c, k in self.outputs)


def disjuncts(path: Path) -> list[Disjunct]:
    text = re.sub(r";[^\n]*", "", unpacked(path).decode())
    tokens = re.findall(r"[()]|[^\s()]+", text)
    forms, names, asserted = _forms(tokens), set(), []
    for form in forms:
        if form[0] == "declare-const":
            names.add(form[1])
        else:
            asserted.append(_dnf(form[1]))
    n = sum(name.startswith("X_") for name in names)
    found = []
    for choice in itertools.product(*asserted):
        lower: list[Any] = [None] * n
        upper: list[Any] = [None] * n
        outputs = []
        for coefficients, k in itertools.chain.from_iterable(choice):
            name = next(iter(coefficients))
            if not name.startswith("X_"):
                outputs.append((coefficients, k))
                continue
            assert len(coefficients) == 1
            i, bound = int(name[2:]), -k / coefficients[name]
            if coefficients[name] > 0:
                upper[i] = bound if upper[i] is None else min(upper[i], bound)
            else:
                lower[i] = bound if lower[i] is None else max(lower[i], bound)
        found.append(Disjunct(lower, upper, outputs))
    return found


def _forms(tokens: list[str]) -> list[Any]:
    stack: list[list[Any]] = [[]]
    for token in tokens:
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    (forms,) = stack
    return forms


def _dnf(form: Any) -> list[list[Linear]]:
    head, *rest = form
    if head == "and":
        return [list(itertools.chain.from_iterable(c)) for c in itertools.product(*map(_dnf, rest))]
    if head == "or":
        return list(itertools.chain.from_iterable(map(_dnf, rest)))
    left, right = rest if head == "<=" else rest[::-1]
    assert head in ("<=", ">=")
    coefficients: dict[str, Fraction] = {}
    constant = Fraction(0)
    for word, sign in ((left, 1), (right, -1)):
        if re.fullmatch(NUMBER, word):
            constant += sign * Fraction(word)
        else:
            coefficients[word] = coefficients.get(word, Fraction(0)) + sign
    return [[(coefficients, constant)]]


# The witness.


def read(data: bytes, n_inputs: int) -> Point | str:
    """The point, or the ruling on a file without one. The exponent's limit is tlcheck.limits.MAX_DECIMAL_DIGITS."""
    try:
        text = data.decode("utf-8").strip(" \t\r\n")
    except UnicodeDecodeError:
        return "malformed"
    if not text:
        return "empty"
    body = re.fullmatch(rf"(\(?)((?:[ \t\r\n]*{PAIR})*)[ \t\r\n]*(\)?)", text)
    if body is None or (body[6] and not body[1]):
        return "malformed"
    if not body[2].strip():
        return "empty" if body[6] else "malformed"
    given: dict[tuple[str, int], str] = {}
    for kind, index, value in re.findall(PAIR, body[2]):
        if (kind, int(index)) in given or (len(index) > 1 and index[0] == "0"):
            return "malformed"
        given[kind, int(index)] = value
    for (kind, index), value in given.items():
        loose = kind == "Y" and re.fullmatch(r"[+-]?(nan|inf|infinity)", value, re.IGNORECASE)
        if (index > 0 and (kind, index - 1) not in given) or not (loose or re.fullmatch(NUMBER, value)):
            return "malformed"
        exponent = re.search(r"[eE][+-]?([0-9]+)$", value)
        if exponent is not None and int(exponent[1]) > 4096:
            return "malformed"
    point = [Fraction(v) for (kind, _), v in sorted(given.items()) if kind == "X"]
    return point if len(point) == n_inputs else "wrong-shape"


# The ruling.


class Instance:
    def __init__(self, model: Path, query: Path) -> None:
        self.network = Network(model)
        self.disjuncts = disjuncts(query)

    @cached_property
    def n_inputs(self) -> int:
        return len(self.disjuncts[0].lower)

    def away(self, point: Point) -> Fraction:
        return min(d.away(point) for d in self.disjuncts)

    def slack(self, point: Point) -> Fraction:
        """Of the best disjunct whose box holds the point."""
        y = self.network(point)
        return max(d.slack(y) for d in self.disjuncts if d.away(point) == 0)

    def ruling(self, point: Point) -> str:
        """By the definition."""
        near = [d for d in self.disjuncts if d.away(point) <= TOLERANCE]
        if not near:
            return "fails"
        y = self.network(point)
        if any(d.away(point) == 0 and d.slack(y) >= 0 for d in near):
            return "holds"
        if any(d.away(point) > 0 and d.slack(self.network(d.moved(point))) >= 0 for d in near):
            return "holds-repaired"
        return "tolerance-only" if any(d.slack(y) >= 0 for d in near) else "fails"
