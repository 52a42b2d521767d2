"""The house: which wing may import which, no circle, one name for one thing, one place that makes processes.

Read off the syntax trees. An import within a function counts like any other; one under TYPE_CHECKING counts for the wings
and makes no circle. A module's name in a table that is loaded by ``import_module`` counts as an import of it.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.helpers import REPOSITORY
from tests.test_rings import PACKAGE, sources, tree_of

GROUND: Final = {"", "errors", "limits", "options", "schemas", "timer", "versions"}
"""What every wing but the trusted ring may import; "" is the package itself, which has its version."""
MAY_IMPORT: Final[dict[str, set[str]]] = {
    **{module: {""} for module in GROUND},
    "trusted": set(),
    "keys": {"trusted"},
    "readers": {"trusted", "keys"},
    "runtime": {"trusted", "readers"},
    "report": {"trusted", "keys", "readers"},
    "kernels": {"trusted"},
    "checking": {"trusted", "keys", "readers", "kernels", "report.record", "report.result", "report.numerals"},
    "writers": {"trusted", "readers", "report.numerals"},
    "prover": {"trusted", "readers", "runtime", "checking", "writers"},
    "verify": {"trusted", "readers", "checking", "writers", "report.record", "report.result", "report.claim_roots"},
    "referee": {"trusted", "keys", "readers", "runtime", "report", "checking", "prover", "verify"},
    "solver": {"trusted", "keys", "readers", "runtime", "checking", "prover", "verify"},
    "conformance": {"trusted", "readers", "runtime", "report", "writers", "robust"},
    "robust": {"trusted", "readers", "runtime", "report", "checking", "writers", "prover", "verify"},
    "plot": {"trusted", "readers", "report", "prover", "verify"},
    "cli": {
        "trusted", "readers", "runtime", "report", "checking", "writers", "prover", "verify", "referee", "robust",
        "conformance", "solver", "plot", "kernels",
    },
    "__main__": {"cli"},
}  # fmt: skip
"""Wing -> the wings, or modules of them, that it may import, beside itself and GROUND."""

SAME: Final = {
    "camera": "the claim", "conditions": "claims that are conjunctions of them", "conformance": "the claim", "convert": "the command",
    "convolution": "the operation", "corridor": "the claim", "decimals": "decimal numbers, read and written",
    "discrete": "the operators", "engine": "passes over a graph, in Taylor models and in floats", "elementwise": "the operators", "functions": "functions of one variable",
    "indexed": "the operators", "s_shaped": "sigmoid, tanh and their like", "selection": "the operators", "layers": "dense layers", "lock": "lock files",
    "mlp": "dense networks", "nodes": "the artifact", "quantized": "numbers stored as integers", "pinn": "the claim", "pinn_domain": "the claim",
    "ranges": "asked of ops: two things", "read": "the entry of its room of readers", "solution_error": "the claim",
    "spline": "the claim", "stability": "the claim", "unsat": "the claim", "verify": "the command",
    "witness": "the evidence of sat",
}  # fmt: skip
"""Names that several modules have, and what all of them are about."""

PROCESSES: Final = "tlcheck.checking.pool"

Graph = Mapping[str, set[str]]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


MODULES: Final = {module_of(path): path for path in sources(PACKAGE)}
TREES: Final = {module: tree_of(path) for module, path in MODULES.items()}


def imported(tree: ast.AST, modules: Iterable[str], *, typing: bool) -> Iterator[str]:
    """The modules of tlcheck that a module imports; ``typing``: also those of its annotations alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not typing:
            continue
        if isinstance(node, ast.Import):
            yield from (_known(alias.name, modules) for alias in node.names if _ours(alias.name))
        elif isinstance(node, ast.ImportFrom) and _ours(node.module or ""):
            yield from (_known(f"{node.module}.{alias.name}", modules) for alias in node.names)
        yield from imported(node, modules, typing=typing)


def _ours(name: str) -> bool:
    return name.partition(".")[0] == "tlcheck"


def _known(name: str, modules: Iterable[str]) -> str:
    """The module itself, or the one that has a name of that kind."""
    return name if name in modules else name.rpartition(".")[0]


def dispatched(module: str, tree: ast.AST) -> Iterator[str]:
    """Modules beside ``module`` that are named by its strings, where it loads modules by name."""
    text = ast.dump(tree)
    if "import_module" in text:
        room = module.rpartition(".")[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and f"{room}.{node.value}" in MODULES:
                yield f"{room}.{node.value}"


def module_graph() -> dict[str, set[str]]:
    graph = {}
    for module, tree in TREES.items():
        found = {*imported(tree, MODULES, typing=False), *dispatched(module, tree)}
        graph[module] = found - {module}
    return graph


def room_of(module: str) -> str:
    """The package that a module lies in; what lies in tlcheck itself is a room of its own."""
    if MODULES[module].name == "__init__.py":
        return module
    package = module.rpartition(".")[0]
    return module if package == "tlcheck" else package


def room_graph(graph: Graph) -> dict[str, set[str]]:
    """Tables of modules loaded by name left out: they name rooms on purpose that the room knows nothing of."""
    rooms: dict[str, set[str]] = {room_of(module): set() for module in graph}
    for module in graph:
        for other in imported(TREES[module], MODULES, typing=False):
            rooms[room_of(module)].add(room_of(other))
    return {room: others - {room} for room, others in rooms.items()}


def circles(graph: Graph) -> list[list[str]]:
    """Sets of two or more that reach each other."""
    reached = {start: _reached(graph, start) for start in graph}
    found = {tuple(sorted(b for b in reached[a] if a in reached[b])) for a in graph if a in reached[a]}
    return sorted(map(list, found))


def _reached(graph: Graph, start: str) -> set[str]:
    """What can be reached from ``start`` by one step or more."""
    found: set[str] = set()
    todo = [start]
    while todo:
        new = graph.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return found


def wing_of(module: str) -> str:
    return module.removeprefix("tlcheck").removeprefix(".").partition(".")[0]


def trespasses(module: str, tree: ast.AST, modules: Iterable[str]) -> list[str]:
    """What a module imports that its wing may not."""
    wing = wing_of(module)
    allowed = MAY_IMPORT[wing] | (set() if wing in {"trusted", *GROUND} else GROUND)
    return [
        other
        for other in imported(tree, modules, typing=True)
        if wing_of(other) not in allowed | {wing} and other.removeprefix("tlcheck.") not in allowed
    ]


def test_a_wing_imports_what_it_may() -> None:
    found = {module: trespasses(module, TREES[module], MODULES) for module in MODULES}
    assert {module: names for module, names in found.items() if names} == {}


def test_the_table_has_every_wing_and_no_other() -> None:
    wings = {wing_of(module) for module in MODULES}
    assert wings == set(MAY_IMPORT)
    named = {wing.partition(".")[0] for allowed in MAY_IMPORT.values() for wing in allowed}
    assert named <= wings
    assert {f"tlcheck.{name}" for allowed in MAY_IMPORT.values() for name in allowed if "." in name} <= set(
        MODULES
    )


def rooms_of_the_page() -> dict[str, set[str]]:
    """ARCHITECTURE's table, from the top: a room, and what it says that it imports; the ground's modules as one row."""
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## Rooms")[2]
    found = {}
    for line in text.partition("| --- |")[2].partition("\n\n")[0].splitlines()[1:]:
        room, _, says = (part.strip(" `/") for part in line.strip("|").split(" | "))
        names = re.findall(r"(\w+)(?: \(([\w, ]+)\))?", "" if says == "nothing of tlcheck" else says)
        found[room.removesuffix(".py")] = {
            f"{name}.{part}" if part else name for name, parts in names for part in parts.split(", ")
        }
    return found


def test_the_page_has_this_table_and_arrows_point_down_it() -> None:
    page = rooms_of_the_page()
    assert page.pop("ground") == set()
    assert page == {
        wing: allowed for wing, allowed in MAY_IMPORT.items() if wing not in {"__main__", *GROUND}
    }
    order = list(page)
    for room, allowed in page.items():
        assert all(order.index(name.partition(".")[0]) > order.index(room) for name in allowed), room


def test_the_table_itself_has_no_circle() -> None:
    assert (
        circles(
            {
                wing: {name.partition(".")[0] for name in allowed - {wing}}
                for wing, allowed in MAY_IMPORT.items()
            }
        )
        == []
    )


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("tlcheck.trusted.x", "from tlcheck.errors import InvalidInput"),
        ("tlcheck.trusted.x", "def f():\n import tlcheck.readers.bytes"),
        ("tlcheck.errors", "from tlcheck.limits import MAX_NODES"),
        ("tlcheck.keys", "from tlcheck.report.document import x"),
        ("tlcheck.readers.x", "from tlcheck.report import record"),
        ("tlcheck.readers.own.x", "if TYPE_CHECKING:\n from tlcheck.checking.pool import Tick"),
        ("tlcheck.report.x", "from tlcheck.checking.lock import Lock"),
        ("tlcheck.checking.x", "from tlcheck.report.words import claim_lines"),
        ("tlcheck.checking.x", "from tlcheck.prover import attack"),
        ("tlcheck.runtime.x", "from tlcheck.prover.attack import Attack"),
        ("tlcheck.writers.x", "import tlcheck.verify"),
        ("tlcheck.prover.x", "from tlcheck.verify import load"),
        ("tlcheck.prover.x", "from tlcheck import verify"),
        ("tlcheck.solver.x", "def f():\n from tlcheck.referee.witness import rule"),
        ("tlcheck.referee.x", "from tlcheck.solver.solve import Solver"),
        ("tlcheck.verify", "from tlcheck.report.text import printable"),
        ("tlcheck.plot.x", "from tlcheck.cli.output import write"),
    ],
)  # fmt: skip
def test_a_trespass_is_seen(module: str, source: str) -> None:
    assert trespasses(module, ast.parse(source), MODULES)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("tlcheck.trusted.x", "from tlcheck.trusted.ops import affine"),
        ("tlcheck.checking.x", "from tlcheck.report.record import Run"),
        ("tlcheck.checking.x", "from tlcheck.report import record"),
        ("tlcheck.cli.x", "from tlcheck import __version__, timer"),
    ],
)
def test_what_is_allowed_is_let_through(module: str, source: str) -> None:
    assert trespasses(module, ast.parse(source), MODULES) == []


def test_no_circle_of_modules() -> None:
    assert circles(module_graph()) == []


def test_no_circle_of_rooms() -> None:
    assert circles(room_graph(module_graph())) == []


def test_no_circle_in_the_corpus_script() -> None:
    folder = REPOSITORY / "certificates" / "producers"
    names = {path.stem for path in folder.glob("*.py")}
    graph = {
        path.stem: {
            name
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
            if name in names
        }
        for path in folder.glob("*.py")
    }
    assert any(graph.values()) and circles(graph) == []


def test_a_circle_is_seen() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"d"}}
    assert circles(graph) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []
    hidden = ast.parse("def f():\n from tlcheck.verify import load")
    assert set(imported(hidden, MODULES, typing=False)) == {"tlcheck.verify"}
    typed = ast.parse("if TYPE_CHECKING:\n from tlcheck.verify import load")
    assert not set(imported(typed, MODULES, typing=False))
    table = ast.parse("TABLE = {'x': 'torchlean.spline'}\nimport_module(f'tlcheck.readers.{TABLE[x]}')")
    assert list(dispatched("tlcheck.readers.artifacts", table)) == ["tlcheck.readers.torchlean.spline"]


def test_modules_of_one_name_are_about_one_thing() -> None:
    names = Counter(path.stem for path in sources(PACKAGE) if path.stem != "__init__")
    assert {name for name, count in names.items() if count > 1} - set(SAME) == set()


def test_no_room_has_the_name_of_another() -> None:
    rooms = Counter(
        room_of(module).rpartition(".")[2] for module, path in MODULES.items() if path.name == "__init__.py"
    )
    assert [name for name, count in rooms.items() if count > 1] == []


def makes_processes(tree: ast.AST) -> set[str]:
    """Names by which a module could make a process of its own."""
    found = set()
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        found |= {name for name in (module, *names) if name.partition(".")[0] == "multiprocessing"}
        found |= {name for name in names if name == "ProcessPoolExecutor"}
        if isinstance(node, ast.Attribute) and node.attr in (
            "fork",
            "forkpty",
            "get_context",
            "ProcessPoolExecutor",
        ):
            found.add(node.attr)
        found |= {name for name in (module, *names) if name == "concurrent.futures.process"}
    return found


def test_processes_are_made_in_one_place() -> None:
    assert [module for module in MODULES if makes_processes(TREES[module])] == [PROCESSES]


@pytest.mark.parametrize(
    "source",
    [
        "import multiprocessing",
        "import multiprocessing as mp",
        "from multiprocessing import Process",
        "from multiprocessing.pool import Pool",
        "from concurrent.futures import ProcessPoolExecutor",
        "from concurrent.futures.process import BrokenProcessPool",
        "import concurrent.futures\nconcurrent.futures.ProcessPoolExecutor()",
        "os.fork()",
    ],
)
def test_a_maker_of_processes_is_seen(source: str) -> None:
    assert makes_processes(ast.parse(source))


def possessive_options(source: str) -> list[str]:
    """Patterns among a source's texts with a group that is optional and possessive."""
    texts = (n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant))
    found = [t.decode("latin-1") if isinstance(t, bytes) else t for t in texts if isinstance(t, str | bytes)]
    return [t for t in found if ")?+" in t]


def test_no_pattern_has_an_optional_possessive_group() -> None:
    """Before Python 3.11.5 one that fails half way stays half way: "1e" was read as the number 1."""
    paths = [p for folder in ("tlcheck", "certificates") for p in (REPOSITORY / folder).rglob("*.py")]
    assert paths and {p.name: f for p in paths if (f := possessive_options(p.read_text("utf-8")))} == {}
    assert possessive_options("X = r'a(?:b)?+'") and not possessive_options("X = r'a(?:b)?'  # )?+")
