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
    """``certificate``: a folder of certificates/accept, or what writes one; ``budget``: most code lines of ring 0 and of ring 1;
    ``options``: as in :class:`Options`; ``claim``: which of its claims."""

    certificate: str | Make
    budget: tuple[int, int]
    options: tuple[tuple[str, str], ...] = ()
    claim: int = 0


ARB: Final = (("arith", "arb"),)
FIRST: Final = "unsat: exact integers, piecewise linear"
ROWS: Final = {
    FIRST: Row("digits-mlp", (3000, 5500), ARB),
    "unsat: + Sigmoid": Row("digits-sigmoid-lines", (3150, 5500), ARB),
    "unsat: + smooth functions (Exp)": Row(partial(small_proofs.one_leaf, operator="Exp"), (3500, 4800), ARB),
    "unsat: + step functions (Sign)": Row(partial(small_proofs.one_leaf, operator="Sign"), (3850, 5100), ARB),
    "unsat: + ball64": Row("digits-mlp", (3750, 5500), (("arith", "ball64"),)),
    "unsat: + directed": Row("digits-mlp", (3450, 5750), (("arith", "directed"),)),
    "unsat: + deployed": Row("digits-mlp", (3100, 5650), (*ARB, ("semantics", "deployed"))),
    "sat: a witness": Row("absolute-witness-on-the-boundary", (2850, 5400)),
    "two networks": Row("equiv-a-weight-off", (3350, 5650), ARB),
    "spline": Row("spline-parabola", (800, 2250)),
    "spline: + distance to a network": Row("spline-near-tanh", (1150, 2450)),
    "camera box": Row(small_proofs.camera_box, (800, 2150)),
    "camera box: + lens": Row("camera-all-conditions", (900, 2400)),
    "camera box: + envelope of poses": Row("camera-envelope", (950, 2400)),
    "corridor": Row("corridor-two-segments", (1550, 2550)),
    "stability": Row("stability-cone", (2200, 2900)),
    "Lyapunov boxes": Row("lyapunov-annulus", (1200, 2800)),
    "PINN at points": Row("pinn-boxes", (1150, 2650)),
    "PINN over a domain": Row("pinn-domain-sup", (2700, 4450), ARB),
    "PINN over a domain: + float64": Row("pinn-domain-sup", (3700, 4450)),
    "solution error": Row("solution-heat-sup", (3900, 4500), ARB),
    "output box": Row("output-box-of-a-tent", (4300, 2550)),
    "margins": Row("margins-over-digits", (5350, 4150)),
    "node bounds": Row(small_proofs.node_bounds, (4850, 2600), claim=1),
    "conformance": Row("conformance-of-a-digits-network", (2750, 4250)),
}
"""By kind of claim. Raising a budget is a decision: say why in the commit that does."""
ONNX: Final = "tlcheck.readers.onnx"
READERS: Final = {"ONNX reader, for a piecewise linear network": 1700, "ONNX reader, the whole": 5100}
"""Most code lines of the ONNX reader."""
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
def roots(name: str) -> tuple[str, ...]:
    """What the report starts from, for the row's certificate."""
    row = ROWS[name]
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
    for name, row in ROWS.items():
        most_0, most_1 = row.budget
        modules, ring_0, ring_1 = sizes(closure(roots(name)))
        lines.append(f"| {name} | {modules} | {ring_0:,} | {most_0:,} | {ring_1:,} | {most_1:,} |")
    for (name, most), found in zip(READERS.items(), onnx_reader(), strict=True):
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
