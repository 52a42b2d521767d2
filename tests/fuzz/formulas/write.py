"""Seeded texts of VNN-LIB 1.0 and 2.0: all of their syntax, boundaries, and now and then what they do not have."""

from __future__ import annotations

import random
from typing import Any

SIMPLE = ["0", "1", "-1", "0.5", "-0.5", "2", "-2", "1.5"]
PLAIN = [
    *SIMPLE,
    "0.1",
    "-0.1",
    "007.50",
    "-0",
    "-0.0",
    "0.30000000000000000001",
    "123456789.987654321",
    "-3.25",
    "0.000000000000000000001",
]
WITH_EXPONENTS = [
    "1e0",
    "5e-1",
    "-1E+0",
    "2.5e-3",
    "1.e-1",
    "5.",
    ".5",
    "-.25",
    "+1",
    "+.5e1",
    "1e-400",
    "1e30",
    "0e999",
    "-2E-2",
]
NO_NUMBERS = [
    "0x1p3",
    "0x1.8p-1",
    "1/3",
    "-1/2",
    "1_0",
    "nan",
    "inf",
    "--1",
    "1e",
    "1e+",
    ".",
    "1.5.2",
    "1,5",
    "0b1",
    "١",
]
TYPES = ["real", "float32", "float64", "float16", "bfloat16", "int8", "int64", "uint8"]


class Writer:
    """One text. ``x``, ``y``: its variables, in the order of the flat values."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.version = rng.choice([1, 2])
        self.exotic = rng.random() < 0.12
        self.numerals = PLAIN if self.version == 2 else PLAIN + WITH_EXPONENTS
        self.kind = "real"
        self.first: list[tuple[str, list[int]]] = []
        self.x: list[str] = []
        self.y: list[str] = []

    # choices

    def maybe(self, p: float) -> bool:
        return self.rng.random() < p

    def pick(self, options: Any) -> Any:
        return self.rng.choice(options)

    # the text

    def text(self) -> str:
        commands = self._declarations()
        asserted = [
            self._assertion(f)
            for f in [
                *self._bounds(),
                *(self.formula(self.pick([1, 2, 3])) for _ in range(self.pick([0, 1, 1, 2, 3]))),
            ]
        ]
        if self.maybe(0.3):
            self.rng.shuffle(asserted)
        commands += asserted
        if self.maybe(0.04):
            self._spoilt(commands)
        return self._printed(commands)

    def _assertion(self, part: Any) -> Any:
        return ["assert", part]

    def _declarations(self) -> list[Any]:
        if self.version == 1:
            self.x, self.y = ([f"{kind}_{i}" for i in range(self.pick([1, 2, 2, 3]))] for kind in "XY")
            how = self.pick(["const", "const", "fun"])
            every = [*self.x, *self.y]
            if self.maybe(0.2):
                self.rng.shuffle(every)
            return [
                ["declare-const", v, "Real"] if how == "const" else ["declare-fun", v, [], "Real"]
                for v in every
            ]
        self.kind = self.pick(TYPES) if self.maybe(0.3) else "real"
        networks, count = [], self.pick([1, 1, 1, 2, 3])
        for k in range(count):
            networks.append(self._network(k, count))
        return [["vnnlib-version", "<2.0>"], *networks]

    def _network(self, k: int, count: int) -> list[Any]:
        node: list[Any] = ["declare-network", f"N{k}"]
        alike = k > 0 and self.maybe(0.5)
        if alike:
            node.append([self.pick(["equal-to", "isomorphic-to"]), "N0"])
        inner: list[str] = []
        wanted = [
            "input",
            *["input"] * self.maybe(0.2),
            *["hidden"] * self.maybe(0.15),
            "output",
            *["output"] * self.maybe(0.15),
        ]
        drawn = [(what, self.pick([[], [1], [2], [1, 2], [2, 1, 1]])) for what in wanted]
        self.first = drawn if k == 0 else self.first
        for what, shape in self.first if alike and self.maybe(0.95) else drawn:
            name = f"{what[0].upper()}{k}{len(node)}"
            node.append(
                [
                    f"declare-{what}",
                    name,
                    self.kind,
                    "[" + ",".join(map(str, shape)) + "]",
                    *(['"h"'] if what == "hidden" else []),
                ]
            )
            places = [f"{name}[{','.join(at)}]" for at in _every(shape)] if shape else [name]
            if what == "input":
                self.x += places
            elif what == "hidden":
                inner += places
            else:
                self.y += places
        self.y += inner
        return node

    def numeral(self) -> str:
        if self.exotic and self.maybe(0.05):
            return str(self.pick(NO_NUMBERS))
        value = str(self.pick(SIMPLE if self.maybe(0.7) else self.numerals))
        if self.version == 1:
            return value
        if self.kind.startswith(("int", "uint")):
            return value.split(".")[0].replace("-0", "0") if not self.exotic else value
        return value if "." in value else value + ".0"

    def variable(self) -> str:
        if self.exotic and self.maybe(0.03):
            return str(self.pick(["X_9", "Z", "X", "Y_-1", "I01[7]", "X_00"]))
        return str(self.pick(self.x if self.maybe(0.5) else self.y))

    def term(self, depth: int) -> Any:
        if depth == 0 or self.maybe(0.45):
            return self.variable() if self.maybe(0.65) else self.numeral()
        if self.exotic and self.maybe(0.06):
            return self.pick([
                ["ite", self.formula(0), self.term(0), self.term(0)], ["/", self.term(0), "2.0"], ["let", [["v", self.term(0)]], ["+", "v", "v"]],
                ["*", self.variable(), self.variable()], ["+"], ["-"], ["abs", self.variable()],
            ])  # fmt: skip
        head = self.pick("++--**")
        if head == "*":
            factors = [self._constant() for _ in range(self.pick([0, 1, 1, 2]))] + [self.term(depth - 1)]
            if self.version == 2 and self.maybe(0.2):
                factors.append(self.variable())
            self.rng.shuffle(factors)
            return ["*", *factors]
        return [head, *(self.term(depth - 1) for _ in range(self.pick([1, 2, 2, 3])))]

    def _constant(self) -> Any:
        return self.numeral() if self.maybe(0.8) else [self.pick("+-*"), self.numeral(), self.numeral()]

    def atom(self) -> Any:
        relations = [
            "<=",
            "<=",
            ">=",
            ">=",
            "<",
            ">",
            "=" if self.version == 1 else "==",
            "<=" if self.version == 1 else "!=",
        ]
        if self.exotic:
            relations += ["=", "==", "!=", "distinct"]
        depth = self.pick([0, 0, 1, 2])
        left = self.variable() if self.maybe(0.7) else self.term(depth)
        parts = [left, self.numeral() if self.maybe(0.5) else self.term(depth)]
        if self.maybe(0.15):
            parts.reverse()
        if self.exotic and self.maybe(0.05):
            parts = self.pick([parts[:1], [*parts, self.term(0)]])
        return [self.pick(relations), *parts]

    def formula(self, depth: int) -> Any:
        if depth == 0 or self.maybe(0.3):
            if self.version == 1 and self.maybe(0.04):
                return self.pick(["true", "false"])
            return self.atom()
        if self.exotic and self.maybe(0.15):
            a, b, c = (self.formula(depth - 1) for _ in range(3))
            return self.pick([
                ["not", a], ["=>", a, b], ["ite", a, b, c], ["xor", a, b], ["let", [["v", self.term(1)]], ["<=", "v", self.numeral()]], ["and"], ["or"],
                ["let", [["f", a]], ["and", "f", b]], "true", ["=", a, b],
            ])  # fmt: skip
        return [self.pick(["and", "or"]), *(self.formula(depth - 1) for _ in range(self.pick([1, 2, 2, 3])))]

    def _bounds(self) -> list[Any]:
        """Of every input: both, duplicated, contradictory, equal, strict, from either side, in one conjunction or in boxes."""
        found: list[Any] = []
        for v in self.x:
            if self.maybe(0.03):
                continue
            for _ in range(self.pick([1, 1, 1, 2])):
                low, high = (
                    (self.pick(["-1", "-0.5", "0"]), self.pick(["0", "0.5", "1", "2"]))
                    if self.maybe(0.93)
                    else ("1", "-1")
                )
                found += [self._bound(v, ">", low), self._bound(v, "<", high)]
        if self.maybe(0.25):
            return [["and", *found]] if found else []
        if found and self.maybe(0.15):
            return [["or", ["and", *found], ["and", *found, self.formula(1)]]]
        return found

    def _bound(self, v: str, side: str, value: str) -> Any:
        if self.version == 2:
            whole = self.kind.startswith(("int", "uint"))
            value = (
                value.split(".")[0].replace("-0", "0") if whole else value if "." in value else value + ".0"
            )
        relation = side + ("" if self.maybe(0.12) else "=")
        if self.maybe(0.12):
            turned = {"<": ">", ">": "<"}[side] + relation[1:]
            return [turned, value, v]
        if self.maybe(0.05):
            return [
                relation,
                ["+", v, v],
                [
                    "*",
                    "2.0" if self.version == 1 or not self.kind.startswith(("int", "uint")) else "2",
                    value,
                ],
            ]
        return [relation, v, value]

    def _spoilt(self, commands: list[Any]) -> None:
        match self.rng.randrange(6):
            case 0:
                del commands[self.rng.randrange(len(commands))]
            case 1:
                commands.append(self.pick(commands))
            case 2:
                commands.append(["assert", self.formula(1), self.formula(1)])
            case 3:
                commands.insert(
                    self.rng.randrange(len(commands)),
                    self.pick([["check-sat"], ["set-logic", "QF_LRA"], [], ["declare-const", "X_7", "Real"]]),
                )
            case 4:
                commands.append(["declare-const", "Y_0", self.pick(["Real", "Int"])])
            case _:
                self.rng.shuffle(commands)

    def _printed(self, commands: list[Any]) -> str:
        """With blanks and comments between tokens."""
        plain = self.maybe(0.4)
        lines = [self._tree(command, plain) for command in commands]
        if self.maybe(0.3):
            lines.insert(
                self.rng.randrange(len(lines) + 1),
                self.pick(["; X_0 <= 5 (assert false)", "", ";)", "\t;(;"]),
            )
        text = self.pick(
            ["\n", "\n", "\r\n", " "] if not any(";" in line for line in lines) else ["\n", "\r\n"]
        ).join(lines)
        text += self.pick(["", "\n"])
        if self.maybe(0.03):
            at = self.rng.randrange(len(text) + 1)
            text = (
                text[:at] + self.pick(["(", ")", " ", ";", "\n", "-", "0"]) + text[at + self.pick([0, 1]) :]
            )
        return text

    def _tree(self, tree: Any, plain: bool) -> str:
        if isinstance(tree, str):
            return tree
        blank = " " if plain else self.pick([" ", "  ", "\n", "\t", " ;c(\n", " "])
        inside = blank.join(self._tree(part, plain) for part in tree)
        return f"({inside})" if plain or self.maybe(0.8 if self.version == 1 else 0.995) else f"( {inside} )"


def _every(shape: list[int]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for n in shape:
        found = [[*at, str(i)] for at in found for i in range(n)]
    return found


def text_of(seed: int, index: int) -> str:
    return Writer(random.Random(f"formula {seed}/{index}")).text()
