"""What verdicts rest on, as tables: ``python -m tests.rings`` writes them where a page has a marked block.

``rings``, in tlcheck/trusted/README.md: modules and code lines by kind of claim. ``audit``, in CONTRIBUTING.md and
ARCHITECTURE.md: what to read to audit an unsat proof, in the order in which to read it. Every row is what
``tlcheck verify --format json`` names for the certificate that the row gives.
"""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final

from tests import small_proofs
from tests.helpers import CERTIFICATES, REPOSITORY
from tlcheck.options import Options
from tlcheck.report.rests_on import RING_0, closure, code_lines, imports, source
from tlcheck.verify import verify_path

BLOCK: Final = re.compile(r"<!-- generated: (?P<name>\w+) -->\n.*?<!-- end -->", re.DOTALL)
PAGES: Final = ("tlcheck/trusted/README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")


Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Row:
    """``certificate``: a folder of certificates/accept, or what writes one; ``claim``: which of its claims; ``options``: as in
    :class:`Options`. ``ring_0``, ``ring_1``: most code lines. Raising one is a decision."""

    name: str
    certificate: str | Make
    ring_0: int
    ring_1: int
    claim: int = 0
    options: tuple[tuple[str, str], ...] = ()


ARB: Final = (("arith", "arb"),)
FIRST: Final = Row("unsat: exact integers, piecewise linear", "digits-mlp", 3000, 9999, options=ARB)
ROWS: Final = (
    FIRST,
    Row("unsat: + Sigmoid, Tanh", "digits-sigmoid-lines", 9999, 9999, options=ARB),
    Row(
        "unsat: + smooth functions (Exp)",
        partial(small_proofs.one_leaf, operator="Exp"),
        9999,
        9999,
        options=ARB,
    ),
    Row(
        "unsat: + step functions (Sign)",
        partial(small_proofs.one_leaf, operator="Sign"),
        9999,
        9999,
        options=ARB,
    ),
    Row("unsat: + ball64", "digits-mlp", 9999, 9999, options=(("arith", "ball64"),)),
    Row("unsat: + deployed", "digits-mlp", 9999, 9999, options=(*ARB, ("semantics", "deployed"))),
    Row("sat: a witness", "absolute-witness-on-the-boundary", 9999, 9999),
    Row("spline", "spline-parabola", 800, 9999),
    Row("spline: + distance to a network", "spline-near-tanh", 9999, 9999),
    Row("camera box", small_proofs.camera_box, 800, 9999),
    Row("camera box: + lens", "camera-all-conditions", 9999, 9999),
    Row("camera box: + envelope of poses", "camera-envelope", 9999, 9999),
    Row("corridor", "corridor-two-segments", 9999, 9999),
    Row("stability", "stability-cone", 2200, 9999),
    Row("Lyapunov boxes", "lyapunov-annulus", 9999, 9999),
    Row("PINN at points", "pinn-boxes", 9999, 9999),
    Row("PINN over a domain", "pinn-domain-sup", 2700, 9999),
    Row("solution error", "solution-heat-sup", 9999, 9999),
    Row("output box", "output-box-of-a-tent", 9999, 9999),
    Row("margins", "margins-over-digits", 9999, 9999),
    Row("node bounds", small_proofs.node_bounds, 9999, 9999, claim=1),
)
ONNX: Final = "tlcheck.readers.onnx"
ONNX_BUDGETS: Final = (9999, 3000)
"""Of the ONNX reader: as a piecewise linear network needs it, and the whole."""
AUDIT: Final = (
    "claim",
    "verdict",
    "guidance",
    "cover",
    "arith.integer",
    "bounds",
    "plan",
    "leaf_pass",
    "decide",
)
"""Modules of ring 0 in the order in which to read them; before each, what it imports."""


@cache
def roots(row: Row) -> tuple[str, ...]:
    """What the report starts from, for this row's certificate."""
    with tempfile.TemporaryDirectory() as folder:
        path = row.certificate(Path(folder)) if callable(row.certificate) else accepted(row.certificate)
        (found, *_) = verify_path(path, Options(**dict(row.options))).roots[row.claim :]  # type: ignore[arg-type]
    return found


def accepted(name: str) -> Path:
    (path,) = (CERTIFICATES / "accept" / name).glob("x.*")
    return path


def sizes(modules: Iterable[str]) -> tuple[int, int, int]:
    """(modules with code, their lines in ring 0, their lines in ring 1)."""
    lines = {name: code_lines(source(name)) for name in modules}
    ring_0 = sum(n for name, n in lines.items() if name.startswith(RING_0))
    return sum(map(bool, lines.values())), ring_0, sum(lines.values()) - ring_0


def onnx_reader() -> tuple[set[str], set[str]]:
    """Its modules: as a piecewise linear network needs them, and the whole."""
    needed = {name for name in closure(roots(FIRST)) if f"{name}.".startswith(f"{ONNX}.")}
    folder = REPOSITORY.joinpath(*ONNX.split("."))
    whole = {".".join(p.relative_to(REPOSITORY).with_suffix("").parts) for p in folder.rglob("*.py")}
    return needed, {name.removesuffix(".__init__") for name in whole}


def rings_table() -> str:
    """The table of trusted/README.md."""
    lines = [
        "| claim | modules | ring 0 | at most | ring 1 | at most |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for row in ROWS:
        modules, ring_0, ring_1 = sizes(closure(roots(row)))
        lines.append(
            f"| {row.name} | {modules} | {ring_0:,} | {row.ring_0:,} | {ring_1:,} | {row.ring_1:,} |"
        )
    names = ("ONNX reader, for a piecewise linear network", "ONNX reader, the whole")
    for name, found, most in zip(names, onnx_reader(), ONNX_BUDGETS, strict=True):
        modules, _, ring_1 = sizes(found)
        lines.append(f"| {name} | {modules} | | | {ring_1:,} | {most:,} |")
    return "\n".join(lines)


def in_order(names: Sequence[str], within: set[str]) -> list[str]:
    """``names`` and what they import, each after what it imports."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in within and name not in visited:
            visited.add(name)
            for other in imports(name):
                visit(other)
            found[name] = None

    visited: set[str] = set()
    for name in names:
        visit(name)
    return list(found)


def audit_table() -> str:
    """What to read to audit a proof of the first row: ring 0 file by file, then ring 1."""
    modules = closure(roots(FIRST))
    order = in_order([*(RING_0 + name for name in AUDIT), *roots(FIRST)], modules)
    lines: list[str] = []
    for ring, title in ((0, "it decides"), (1, "it reads the model, the property and the proof")):
        names = [
            name for name in order if name.startswith(RING_0) == (ring == 0) and code_lines(source(name))
        ]
        total = sum(code_lines(source(name)) for name in names)
        lines += [f"Ring {ring}, {title}: {total:,} code lines in {len(names)} files.", ""]
        lines += ["| read | code lines | what it is |", "| --- | --: | --- |"]
        lines += [f"| `{_file(name)}` | {code_lines(source(name))} | {_purpose(name)} |" for name in names]
        lines.append("")
    return "\n".join(lines).strip()


def _file(name: str) -> str:
    path = REPOSITORY.joinpath(*name.split("."))
    return f"{name.replace('.', '/')}/__init__.py" if path.is_dir() else f"{name.replace('.', '/')}.py"


def _purpose(name: str) -> str:
    """The first sentence, or line, of a module's docstring."""
    text = ast.get_docstring(ast.parse(source(name))) or ""
    return text.partition("\n")[0].replace("|", "\\|")


TABLES: Final = {"rings": rings_table, "audit": audit_table}


def refreshed(text: str) -> str:
    """``text`` with the content of every marked block replaced."""

    def block(found: re.Match[str]) -> str:
        return f"<!-- generated: {found['name']} -->\n{TABLES[found['name']]()}\n<!-- end -->"

    return BLOCK.sub(block, text)


def pages() -> list[Path]:
    return [path for path in (REPOSITORY / name for name in PAGES) if path.is_file()]


if __name__ == "__main__":
    for page in pages():
        page.write_text(refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")
