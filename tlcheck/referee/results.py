"""What a results folder says: every tool's answer to every instance, and where its witness is.

Layouts of 2022 to 2026: ``<tool>/<benchmark>/results.csv`` or ``<tool>/<year>_<benchmark>/results.csv`` with the
``*.counterexample.gz`` files beside it; ``<tool>/results.csv`` with all rows of the tool; or the folder of one tool.
Columns category, network, property, prepare time, result, run time; a heading line may name them, and another order.
Blank lines and those that begin with # are passed over. From 2026 the paths name the version
of VNN-LIB (``benchmarks/<benchmark>/2.0/onnx/..``) and the network may be a list of (name, path) pairs.

Nothing is opened but results.csv files, and no path of theirs is followed here.
"""

from __future__ import annotations

import ast
import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_PROPERTY_BYTES
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.formats.detect import check_there
from tlcheck.readers.kinds import refusal
from tlcheck.referee.findings import Result

TABLE: Final = "results.csv"
COLUMNS: Final = "category, network, property, prepare time, result, run time"
CATEGORY: Final = ("category", "benchmark", "benchmark name")
NETWORK: Final = ("network", "onnx", "net", "model", "network file", "onnx file", "onnx path", "network path")
PROPERTY: Final = (
    "property",
    "vnnlib",
    "spec",
    "specification",
    "property file",
    "vnnlib file",
    "vnnlib path",
    "property path",
)
TIMES: Final = (
    ("prepare time", "prep time", "preparation time", "prepare"),
    ("run time", "runtime", "time", "seconds", "time taken"),
)
RESULT: Final = ("result", "answer", "verdict", "status")
HEADINGS: Final = (CATEGORY, NETWORK, PROPERTY, TIMES[0], RESULT, TIMES[1])
"""What a heading line may call the columns; case, spaces, hyphens and underscores are all one."""
WORDS: Final[dict[str, Result]] = {
    "holds": "unsat", "unsat": "unsat", "violated": "sat", "sat": "sat",
    "timeout": "timeout", "timed-out": "timeout", "run_instance_timeout": "timeout", "prepare_instance_timeout": "timeout",
    "unknown": "unknown", "": "unknown", "no_result_in_file": "unknown", "error_nonmaximal": "unknown",
}  # fmt: skip
"""As the competition's scripts read them; every other word is an error of the tool."""

_WORD: Final = re.compile(r"[a-z0-9_-]*")
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+")
_KINDS: Final = ("onnx", "vnnlib")


@dataclass(frozen=True, order=True)
class InstanceName:
    """One network and property as results name them. ``benchmark`` is the category that the row counts for; paths are
    below ``folder`` (the benchmark's own but for rows of the category ``test``), and ``above`` is what they have before
    it (``vnncomp2023_benchmarks/benchmarks``), which tells one year's files from another's."""

    benchmark: str
    network: str
    property: str
    version: str = ""
    above: str = ""
    folder: str = ""


@dataclass(frozen=True)
class Answer:
    """One row. ``witness``: the file that the layout gives its counterexample; None where there is none."""

    tool: str
    instance: InstanceName
    result: Result
    written: str
    seconds: float | None
    witness: Path | None


def read_results(root: Path) -> list[Answer]:
    """Every answer below ``root``, tool by tool. Raises InvalidInput (TLC101, TLC4xx) naming file and line."""
    if not check_there(root):
        raise refusal(root, "folder", "TLC402")
    tables = sorted(_tables(root))
    if not tables:
        raise InvalidInput("TLC101", f"no {TABLE} in the folder or below it", file=str(root))
    rows = {table: _rows(table) for table in tables}
    own = [table for table in tables if _is_of_benchmark(table, rows[table])]
    covered: set[tuple[Path, str]] = {(table.parent.parent, row[0]) for table in own for row in rows[table]}
    answers: list[Answer] = []
    for table in tables:
        if table in own:
            answers += _answers(_tool(table.parent.parent, root), rows[table], table.parent, root)
        else:  # rows that a table of their benchmark repeats are taken from there
            tool = table.parent
            kept = [row for row in rows[table] if (tool, row[0]) not in covered]
            for category in dict.fromkeys(row[0] for row in kept):
                mine = [row for row in kept if row[0] == category]
                answers += _answers(_tool(tool, root), mine, _folder(tool, category), root)
    return answers


def _tables(root: Path) -> Iterator[Path]:
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(s for s in subfolders if not s.startswith((".", "SCORING")))
        if TABLE in files:
            yield Path(folder) / TABLE


def _rows(table: Path) -> list[list[str]]:
    try:
        text = read_bytes(table, limit=MAX_PROPERTY_BYTES).decode("utf-8-sig")
        if "\0" in text:
            raise csv.Error("a NUL character")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput("TLC101", f"not a CSV file: {error}", file=str(table)) from error
    result: list[list[str]] = []
    places: list[int] = []
    for number, fields in enumerate(rows, 1):
        row = [field.strip() for field in fields]
        if heading := _heading(row):
            places = heading
            continue
        if not any(row) or row[0].startswith("#"):
            continue
        found = _in_order(row, places)
        if found is None or not all(found[:3]) or (not result and not places and _is_words(found)):
            raise InvalidInput(
                "TLC101", "not a row of results", file=str(table), field=f"line {number}", expected=COLUMNS,
                got=f"{len(row)} columns",
            )  # fmt: skip
        result.append(found)
    return result


def _heading(row: list[str]) -> list[int]:
    """Where a heading line has each of the six columns, -1 for a time that it does not have; empty when it is none."""
    words = [" ".join(re.split(r"[\s_-]+", field.lstrip("# ").lower())) for field in row]
    places = [[k for k, word in enumerate(words) if word in names] for names in HEADINGS]
    needed = [found for found, names in zip(places, HEADINGS, strict=True) if names not in TIMES]
    if any(len(found) > 1 for found in places) or not all(needed):
        return []
    return [found[0] if found else -1 for found in places]


def _in_order(row: list[str], places: list[int]) -> list[str] | None:
    """The six columns, in the order they have without a heading; None where the row has not so many."""
    if not places:
        while len(row) > 6 and not row[-1]:
            row = row[:-1]
        return row if len(row) == 6 else None
    return [row[k] if k >= 0 else "" for k in places] if len(row) > max(places) else None


def _is_words(row: list[str]) -> bool:
    """A heading in words that are not known: no times, and no answer."""
    return all(row[k] and _seconds(row[k]) is None for k in (3, 5)) and row[4].lower() not in WORDS


def _is_of_benchmark(table: Path, rows: list[list[str]]) -> bool:
    """The folder is named after the only category of its rows, perhaps with the year before it."""
    categories = {row[0] for row in rows}
    name = table.parent.name
    return len(categories) == 1 and all(
        name == c or re.fullmatch(r"[0-9]{4}_" + re.escape(c), name) for c in categories
    )


def _tool(folder: Path, root: Path) -> str:
    """The folder's name; below the root, its path."""
    relative = folder.relative_to(root) if folder.is_relative_to(root) else Path()
    return shown(relative.as_posix() if relative.parts else root.resolve().name)


def shown(name: str) -> str:
    """A file's name as text: bytes that are not UTF-8 are written out."""
    return name.encode("utf-8", "backslashreplace").decode()


def _folder(tool: Path, category: str) -> Path:
    """Where a tool's witnesses of a category are."""
    named = sorted(p for p in tool.glob(f"[0-9][0-9][0-9][0-9]_{_literal(category)}") if p.is_dir())
    return named[0] if len(named) == 1 else tool / PurePosixPath(category).name


def _literal(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", PurePosixPath(text).name)


def _answers(tool: str, rows: list[list[str]], folder: Path, root: Path) -> list[Answer]:
    try:
        files = set(os.listdir(folder))
    except OSError:
        files = set()
    names = [instance_name(row[0], row[1], row[2]) for row in rows]
    stems = Counter(_plain(name) for name in set(names))
    answers = []
    for row, name in zip(rows, names, strict=True):
        word = row[4].strip().lower()
        match = _WORD.match(word)
        result = WORDS.get(match.group() if match else word, "error")
        file = next((f for f in _files(name, stems) if f in files and _is_own(folder / f, root)), None)
        answers.append(Answer(tool, name, result, row[4], _seconds(row[5]), folder / file if file else None))
    return answers


def _is_own(path: Path, root: Path) -> bool:
    """No link out of the results: their author does not choose what else is read."""
    return path.resolve().is_relative_to(root.resolve())


def instance_name(category: str, network: str, property: str) -> InstanceName:
    """The instance that a row names."""
    networks = [(label, *_split(path, category)) for label, path in _networks(network)]
    _, above, folder, inside = networks[0]
    version = inside[0] if len(inside) > 1 and _VERSION.fullmatch(inside[0]) else ""
    named = ";".join((f"{label}=" if label else "") + "/".join(parts) for label, _, _, parts in networks)
    return InstanceName(category, named, "/".join(_split(property, category)[2]), version, above, folder)


def _networks(field: str) -> list[tuple[str, str]]:
    """(name, path) pairs: a list of them as Python writes it, or one path."""
    if field.startswith("["):
        try:
            pairs = ast.literal_eval(field)
            if pairs and all(len(p) == 2 and all(isinstance(s, str) for s in p) for p in pairs):
                "".join(name + path for name, path in pairs).encode()  # lone surrogates name no file
                return [(name, path) for name, path in pairs]
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            pass
    return [("", field)]


def _split(path: str, category: str) -> tuple[str, str, list[str]]:
    """(what is above the benchmark's folder, that folder, the parts below it)."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    places = [i + 1 for i, part in enumerate(parts[:-2]) if part == "benchmarks"]
    places = places or [i for i, part in enumerate(parts[:-1]) if part == category]
    if not places:
        return "", category, parts
    return "/".join(parts[: places[-1]]), parts[places[-1]], parts[places[-1] + 1 :]


def _plain(name: InstanceName) -> str:
    return f"{_stem(name.network)}_{_stem(name.property)}"


def _stem(path: str) -> str:
    """As the competition's runner names a network: its file without the suffix, or the names of several."""
    if ";" in path or "=" in path.split("/")[0]:
        return "_".join(part.split("=", 1)[0] for part in path.split(";"))
    return PurePosixPath(path).stem


def _files(name: InstanceName, stems: Counter[str]) -> Iterator[str]:
    """Names that the witness may have: with the subfolder of the network before it, else without if that is one instance."""
    parts = PurePosixPath(name.network).parts
    start = next((i + 1 for i, part in enumerate(parts) if part in _KINDS), 0)
    below = [*parts[start:-1]] if ";" not in name.network else []
    plain = _plain(name)
    stemmed = ["_".join([*below, plain])] if below else []
    if stems[plain] == 1:
        stemmed.append(plain)
    for stem in stemmed:
        yield f"{stem}.counterexample.gz"
        yield f"{stem}.counterexample"


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None
