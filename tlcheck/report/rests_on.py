"""What a verdict rests on: the modules of rings 0 and 1 that its claim needs, their code lines, one hash of their sources.

Read from the sources, not from what this process happens to have loaded: the closure of the claim's roots (``roots_of``) over
the imports at the top of each module. Those under TYPE_CHECKING are not executed; those in functions are for what only some
files, networks or claims need, and who needs it is a root.

Counted is every module of ``tlcheck`` that is reached: ``trusted`` is ring 0; ``readers``, with the ground modules that they
import (errors, limits, options, keys, ...), ring 1. Not counted: Python, numpy, FLINT, msgspec and onnx; and ring 2, which has
to hand on what ring 0 found (``trusted/README.md``, assumptions). A code line is a line that is not blank, not a comment, and
not in a string that stands by itself (a docstring, of a module, class, function or name). Tests hold this against
``sys.modules``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tlcheck.keys import key

PACKAGE: Final = "tlcheck"
FOLDER: Final = Path(__file__).parents[1]
RING_0: Final = f"{PACKAGE}.trusted."


@dataclass(frozen=True)
class RestsOn:
    """``modules`` by their dotted names, sorted; those without a code line (empty packages) are left out."""

    modules: tuple[str, ...]
    code_lines: int
    sha256: str

    @property
    def line(self) -> str:
        count = len(self.modules)
        return f"rests on {self.code_lines:,} code lines in {count} modules of rings 0 and 1, sha256 {self.sha256[:16]}..."


def rests_on(roots: Iterable[str]) -> RestsOn | None:
    """None where tlcheck's sources do not lie beside its modules."""
    names = list(roots)
    return None if any(_path(name) is None for name in names) else measured(closure(names))


def measured(modules: Iterable[str]) -> RestsOn:
    """The size and the hash of these modules' sources, which are there."""
    return _measured(frozenset(modules))


@cache
def _measured(modules: frozenset[str]) -> RestsOn:
    counts = {name: code_lines(source(name)) for name in modules}
    counted = sorted(name for name, lines in counts.items() if lines)
    digest = key("rests on", {name: source(name) for name in counted})
    return RestsOn(tuple(counted), sum(counts.values()), digest)


def closure(roots: Iterable[str]) -> set[str]:
    """``roots`` and what importing them imports, packages among it: all modules of tlcheck."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found or _path(name) is None:
            continue
        found.add(name)
        waiting += imports(name)
    return found


@cache
def imports(name: str) -> tuple[str, ...]:
    """The modules of tlcheck that importing this one imports first, by its own text: its package, and its top-level imports."""
    package = name.rpartition(".")[0]
    return tuple(dict.fromkeys([*([package] if package else []), *imported(source(name))]))


_IMPORT: Final = re.compile(
    rf"^(?:from ({PACKAGE}[\w.]*) import (?:\(([^)]*)\)|([^\n#]*))|import ({PACKAGE}[\w.]*))", re.MULTILINE
)
"""An import at the top of a module: those in functions, and under TYPE_CHECKING, are indented."""


def imported(text: str) -> Iterator[str]:
    for found in _IMPORT.finditer(text):
        source, many, few, plain = found.groups()
        yield source or plain
        for item in (many or few or "").split(","):
            name = item.split("#")[0].split(" as ")[0].strip()
            if name and _path(f"{source}.{name}") is not None:
                yield f"{source}.{name}"


def code_lines(text: str) -> int:
    """Lines that are not blank, not a comment and not in a string that stands by itself."""
    count, inside = 0, False
    for line in text.split("\n"):
        line = line.strip()
        if inside:
            inside = not line.endswith('"""')
        elif line.startswith(('"""', 'r"""')):
            inside = line.count('"""') == 1
        elif line and not line.startswith("#"):
            count += 1
    return count


@cache
def source(name: str) -> str:
    path = _path(name)
    return "" if path is None else path.read_text(encoding="utf-8")


@cache
def _path(name: str) -> Path | None:
    """The file with the module's source; None when there is none."""
    top, *parts = name.split(".")
    folder = FOLDER.joinpath(*parts)
    for path in (folder / "__init__.py", folder.with_name(f"{folder.name}.py")):
        if top == PACKAGE and path.name in _entries(path.parent):
            return path
    return None


@cache
def _entries(folder: Path) -> frozenset[str]:
    try:
        return frozenset(entry.name for entry in folder.iterdir())
    except OSError:
        return frozenset()
