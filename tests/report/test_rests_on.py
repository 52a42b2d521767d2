"""What a verdict rests on: the sources are read as Python reads them, and what a check loads is what its report names."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from tests import small_proofs
from tests.helpers import ENGINES, REPOSITORY, kernels_engine
from tests.rings import Make, accepted
from tlcheck.options import Options
from tlcheck.report import claim_roots
from tlcheck.report import rests_on as module
from tlcheck.report.record import FileResult, Run
from tlcheck.report.rests_on import closure, code_lines, imports, measured, rests_on, source
from tlcheck.report.text import Text
from tlcheck.trusted.arith.engines import engine
from tlcheck.verify import verify_path

PACKAGE = REPOSITORY / "tlcheck"
SOURCES = sorted(PACKAGE.rglob("*.py"))
RINGS = [
    path
    for path in SOURCES
    if path.parent == PACKAGE or path.relative_to(PACKAGE).parts[0] in ("trusted", "readers")
]
"""What a closure meets: rings 0 and 1, and the ground."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


def is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_code_lines_are_those_of_the_syntax_tree(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = text.split("\n")
    said: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if is_text(node):
            said |= set(range(node.lineno, node.end_lineno + 1))  # type: ignore[attr-defined]
    expected = sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in said
        for number, line in enumerate(lines, 1)
    )
    assert code_lines(text) == expected


def executed(tree: ast.AST) -> Iterator[ast.stmt]:
    """The imports that importing a module executes."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from executed(ast.Module(node.orelse, []))
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from executed(node)


@pytest.mark.parametrize("path", RINGS, ids=name_of)
def test_imports_are_those_of_the_syntax_tree(path: Path) -> None:
    known = {name_of(other) for other in SOURCES}
    expected = {name_of(path).rpartition(".")[0]} - {""}
    for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            expected |= {alias.name for alias in node.names} & known
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tlcheck":
            expected |= {str(node.module)} | ({f"{node.module}.{alias.name}" for alias in node.names} & known)
    assert set(imports(name_of(path))) == expected


ACCEPTED = {
    "absolute-witness-on-the-boundary": (), "camera-all-conditions": (), "camera-envelope": (), "corridor-two-segments": (),
    "digits-mlp": ("--arith", "arb"), "differ-a-weight-off": (), "digits-safetensors": (), "digits-sigmoid-lines": (), "lyapunov-torchlean": (),
    "equiv-a-weight-off": ("--arith", "arb"), "conformance-of-a-digits-network": (), "leaf-proof-by-boxes": (), "margins-over-digits": (), "output-box-of-attention": (), "pinn-boxes": (), "pinn-domain-sup": (),
    "solution-heat-sup": (), "spline-parabola": (), "spline-near-tanh": (), "stability-cone": (), "stability-invariant": (),
}  # fmt: skip
CASES: list[Any] = [
    *(pytest.param(name, options, id=name) for name, options in ACCEPTED.items()),
    pytest.param("digits-mlp", ("--arith", "ball64"), id="ball64"),
    pytest.param("digits-mlp", ("--semantics", "deployed"), id="deployed"),
    *(
        pytest.param(partial(small_proofs.one_leaf, operator=name), (), id=name)
        for name in ("Exp", "Sign", "Softmax", "Elu", "Atan", "Asin")
    ),
    pytest.param(partial(small_proofs.one_leaf, operator="Mul", operands=2), (), id="square"),
    pytest.param(small_proofs.node_bounds, (), id="nodes"),
]


def checked(certificate: str | Make, folder: Path, options: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """(modules of rings 0 and 1 that a check in one process, a fresh one, loads, those that its report names)."""
    path = certificate(folder) if callable(certificate) else accepted(certificate)
    code = "import sys; from tlcheck.cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, "verify", "--jobs", "1", "--format", "json", *options, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    claims = [claim for result in json.loads(done.stdout)["results"] for claim in result["claims"]]
    assert [claim["verdict"] for claim in claims] == ["CERTIFIED"] * len(claims)
    named = {name for claim in claims for name in claim["rests_on"]["modules"]}
    return in_rings(done.stderr.split()), in_rings(named)


def in_rings(names: Any) -> set[str]:
    """The modules of rings 0 and 1 among them that have code."""
    return {
        n for n in names if n.startswith(("tlcheck.trusted.", "tlcheck.readers.")) and code_lines(source(n))
    }


@pytest.mark.parametrize(("certificate", "options"), CASES)
def test_what_a_check_loads_is_what_its_report_names(
    certificate: str | Make, options: tuple[str, ...], tmp_path: Path
) -> None:
    loaded, named = checked(certificate, tmp_path, options)
    assert sorted(loaded - named) == [], "loaded, and not named"
    assert sorted(named - loaded) == [], "named, and not loaded"


@cache
def roots(name: str, **options: str) -> tuple[str, ...]:
    (found,) = verify_path(accepted(name), Options(**options)).roots  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("name", ["spline-near-tanh", "digits-mlp", "stability-cone", "leaf-proof-by-boxes"])
def test_each_kind_of_root_is_needed(name: str) -> None:
    """Without what decides, without the claim's class or without the readers, something that is loaded is not named."""
    loaded = in_rings(closure(roots(name)))
    for part in ("tlcheck.trusted.", "tlcheck.readers.", "tlcheck.readers.formats.detect"):
        left = [root for root in roots(name) if not root.startswith(part)]
        assert loaded - closure(left), part


def test_every_engine_is_named() -> None:
    """By the modules that it is made of: a report names what it rests on, or there is none."""
    for name in ENGINES:
        made = kernels_engine() if name == "directed" else engine(name)
        assert made.name == name and type(made).__module__ in claim_roots.ENGINES[name]
    assert set(claim_roots.ENGINES) == set(ENGINES)


def test_the_parts_that_a_claim_asks_for() -> None:
    more = closure(roots("spline-near-tanh")) - closure(roots("spline-parabola"))
    assert {"tlcheck.trusted.science.spline_taylor", "tlcheck.readers.torchlean.mlp"} <= more
    assert not {name for name in closure(roots("spline-parabola")) if name.startswith("tlcheck.readers.onnx")}


def test_the_hash_is_of_names_and_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    first = measured({"tlcheck.errors", "tlcheck.limits"})
    assert first == measured(["tlcheck.limits", "tlcheck.errors"])
    assert first.sha256 != measured({"tlcheck.errors"}).sha256
    assert first.code_lines == sum(code_lines(source(name)) for name in first.modules)
    module._measured.cache_clear()
    monkeypatch.setattr(module, "source", lambda name: source(name) + "# one comment more\n")
    changed = measured({"tlcheck.errors", "tlcheck.limits"})
    module._measured.cache_clear()
    assert changed.code_lines == first.code_lines and changed.sha256 != first.sha256


def test_sources_that_are_not_installed() -> None:
    assert rests_on(["tlcheck.trusted.decide", "tlcheck.none"]) is None
    result = verify_path(accepted("spline-parabola"), Options())
    without = FileResult(result.path, result.format, result.claims, roots=(("tlcheck.none",),))
    assert "rests on: the sources of tlcheck are not installed" in Text(verbose=True).file(without)
    from tlcheck.report.document import Json

    (claim,) = json.loads(Json().end(Run((without,), 0.0)))["results"][0]["claims"]
    assert claim["rests_on"] is None


def test_what_is_said() -> None:
    result = verify_path(accepted("spline-parabola"), Options())
    found = rests_on(result.roots[0])
    assert found is not None and len(found.sha256) == 64
    line = f"rests on {found.code_lines:,} code lines in {len(found.modules)} modules of rings 0 and 1, sha256 {found.sha256[:16]}..."
    assert line in Text(verbose=True).file(result)
    assert "rests on" not in Text().file(result)
