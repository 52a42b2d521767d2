"""The mutants of one module: where they are, what they change, and which of them are drawn."""

from __future__ import annotations

import ast
import difflib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from tests.mutants.judged import identity
from tests.mutants.operators import operators

Span = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Mutant:
    """``lines``: of the statement that is changed. ``place``: its function, "" for what runs at import."""

    module: str
    place: str
    operator: str
    occurrence: int
    lines: range
    source: str
    before: str
    after: str

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """The same when lines are moved, or spaces."""
        return identity(self.module, self.place, self.before, self.after)


def _span(node: ast.expr | ast.stmt) -> Span:
    """parso's columns are characters, as ast's are bytes: sources with other letters in code do not occur here."""
    return (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)


def _left_out(tree: ast.Module) -> Iterator[Span]:
    """Annotations, imports, messages, strings, decorators of data classes, ``strict=``: nothing there decides."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield _span(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            if node.returns is not None:
                yield _span(node.returns)
        elif isinstance(node, ast.ClassDef):
            yield from (_span(d) for d in node.decorator_list if "dataclass" in ast.dump(d))
        elif isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr):
            yield _span(node)
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield from (_span(a) for a in (*node.exc.args, *(k.value for k in node.exc.keywords)))
        elif isinstance(node, ast.keyword) and node.arg in ("strict", "slots", "frozen"):
            yield _span(node.value)
        elif (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)) or (
            isinstance(node, ast.Assign) and _is_a_type(node.value)
        ):
            yield _span(node)


def _is_a_type(value: ast.expr) -> bool:
    """``Floats = NDArray[np.float64]`` and the like."""
    return (
        isinstance(value, ast.Subscript | ast.BinOp)
        and re.search("NDArray|Mapping|Callable|None", ast.dump(value)) is not None
    )


def _separates(node: Any) -> bool:
    """The star or stroke of a list of parameters, or of arguments."""
    return node.type == "operator" and node.parent.type in (
        "parameters",
        "param",
        "arglist",
        "argument",
        "lambdef",
    )


def _declares(node: Any) -> bool:
    """A decorator that forbids, and does nothing."""
    return node.type == "decorator" and any(
        word in node.get_code() for word in ("dataclass", "abstractmethod")
    )


def _within(span: Span, spans: list[Span]) -> bool:
    return any(a <= span[0] and span[1] <= b for a, b in spans)


def _statement(tree: ast.Module, at: tuple[int, int]) -> tuple[range, str]:
    """The lines of the innermost statement (of one with a body, its head) and the function whose body it is in."""
    lines, place, names = range(at[0], at[0] + 1), "", []
    body: list[ast.stmt] = tree.body
    while True:
        inner = next((s for s in body if _reach(s)[0] <= at <= (s.end_lineno, s.end_col_offset)), None)
        if inner is None:
            return lines, place
        below = [*_bodies(inner)]
        start, end = inner.lineno, inner.end_lineno or inner.lineno
        first = min((s.lineno for s in below), default=end + 1)
        lines = range(start, max(start, first - 1) + 1) if below else range(start, end + 1)
        inside = below and at >= min((_reach(s)[0]) for s in below)
        if isinstance(inner, ast.FunctionDef | ast.ClassDef):
            if not inside:
                return lines, place
            names.append(inner.name)
            if isinstance(inner, ast.FunctionDef):
                place = ".".join(names)
        if not inside:
            return (range(at[0], at[0] + 1) if below and at[0] not in lines else lines), place
        body = below


def _reach(s: ast.stmt) -> Span:
    decorators = getattr(s, "decorator_list", [])
    return (min([s.lineno, *(d.lineno for d in decorators)]), 0 if decorators else s.col_offset), (0, 0)


def _bodies(s: ast.stmt) -> Iterator[ast.stmt]:
    for name in ("body", "orelse", "finalbody"):
        yield from getattr(s, name, [])
    for other in (*getattr(s, "handlers", []), *getattr(s, "cases", [])):
        yield from other.body


def _changed(before: str, after: str) -> tuple[str, str]:
    """The lines that differ, stripped."""
    old, new = before.splitlines(), after.splitlines()
    parts = [
        x for x in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if x[0] != "equal"
    ]
    return (
        "\n".join(line.strip() for _, a, b, _, _ in parts for line in old[a:b]),
        "\n".join(line.strip() for _, _, _, c, d in parts for line in new[c:d]),
    )


def compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def drawn(path: Path, module: str, seed: str, most: int | None) -> tuple[int, list[Mutant]]:
    """(number of all mutants, at most so many of them): the same for the same source and seed.

    A statement is drawn first, then one of its mutants, so that long formulas do not crowd out the rest.
    """
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    spans = list(_left_out(tree))
    nodes = list(ast_nodes(get_ast(source)))
    by_statement: dict[range, list[tuple[str, int, str]]] = {}
    for name, operator in operators().items():
        occurrence = 0
        for node in nodes:
            for start, end in operator.mutation_positions(node):
                if not _within((start, end), spans) and not _separates(node) and not _declares(node):
                    lines, place = _statement(tree, start)
                    by_statement.setdefault(lines, []).append((name, occurrence, place))
                occurrence += 1
    choose = random.Random(f"{seed} {module}")
    groups = [
        choose.sample(group, len(group))
        for _, group in sorted(by_statement.items(), key=lambda x: x[0].start)
    ]
    lines_of = sorted(by_statement, key=lambda x: x.start)
    order = [(depth, choose.random(), k) for k, group in enumerate(groups) for depth in range(len(group))]
    made: list[Mutant] = []
    for depth, _, k in sorted(order):
        if most is not None and len(made) == most:
            break
        name, occurrence, place = groups[k][depth]
        mutated = mutate_code(source, operators()[name], occurrence)
        if mutated is None or mutated == source or not compiles(mutated):
            continue
        made.append(Mutant(module, place, name, occurrence, lines_of[k], mutated, *_changed(source, mutated)))
    return sum(map(len, groups)), made
