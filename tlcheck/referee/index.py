"""Rulings on every witness of an index, in parallel, and how they compare with what the index says.

An index is a CSV file with the columns ``onnx``, ``vnnlib`` and ``ce_file`` (paths relative to its folder). What else it
says is compared where present: ``official_result``, ``replay_result`` (a float32 replay), ``rule2026`` (the official
rule), ``exact_slack_at_decimal`` and ``exact_slack_at_f32`` (exact margins computed elsewhere).
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from tlcheck import timer
from tlcheck.checking.pool import work_through
from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_PROPERTY_BYTES
from tlcheck.prover.regions import Regions
from tlcheck.readers.bytes import read_bytes, sha256_hex
from tlcheck.readers.onnx import load_whole
from tlcheck.referee.witness import Model, Ruling, load_regions, rule_file

REQUIRED: Final = ("onnx", "vnnlib", "ce_file")
KNOWN: Final = (
    "year",
    "tool",
    "category",
    "official_result",
    "replay_result",
    "official_ce_verdict",
    "rule2026",
)
BATCH: Final = 16
"""Most witnesses of one model that a process takes at a time."""
KILLED: Final = "the process that judged it died (out of memory?)"

Row = dict[str, Any]

AGREES: Final[dict[str, tuple[str, ...]]] = {
    "strict": ("holds",),
    "strict_dec_only": ("holds",),
    "strict_f32_only": ("holds-repaired",),
    "tol_input": ("holds-repaired", "tolerance-only"),
    "tol_io": ("fails",),
    "wrong": ("fails",),
    "wrong_shape": ("wrong-shape",),
    "malformed": ("malformed",),
    "empty": ("empty",),
}
"""What each result of the float32 replay would be if rounding changed nothing."""


@dataclass(frozen=True)
class Entry:
    """One line of an index; ``columns`` as written."""

    model: Path
    property: Path
    witness: Path
    columns: dict[str, str]


def read_index(path: Path) -> list[Entry]:
    """The entries of an index file. Raises InvalidInput (TLC101) when it is not one."""
    try:
        text = read_bytes(path, limit=MAX_PROPERTY_BYTES).decode("utf-8-sig")
        table = csv.DictReader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
        table.fieldnames = [name.strip() for name in table.fieldnames or ()]
        lines = list(table)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput("TLC101", f"not a CSV file: {error}", file=str(path)) from error
    missing = [name for name in REQUIRED if name not in table.fieldnames]
    if missing:
        raise InvalidInput("TLC101", "a column is missing", file=str(path), expected=", ".join(missing))
    if len(set(table.fieldnames)) != len(table.fieldnames):
        raise InvalidInput("TLC101", "two columns of one name", file=str(path), field="line 1")
    entries: list[Entry] = []
    for line in lines:
        columns = {name: (value or "").strip() for name, value in line.items() if isinstance(name, str)}
        if None in line or not all(columns[name] for name in REQUIRED):
            where = f"line {len(entries) + 2}"
            raise InvalidInput("TLC101", "not as many fields as columns", file=str(path), field=where)
        model, query, witness = (path.parent / columns[name] for name in REQUIRED)
        entries.append(Entry(model, query, witness, columns))
    return entries


# One witness.


@lru_cache(maxsize=2)
def _model(path: Path, _identity: str) -> Model:
    """Kept by content: a path can be another file when it is asked for again."""
    return Model(path)


@lru_cache(maxsize=16)
def _regions(path: Path, _sha256: str, model: Path, identity: str) -> Regions:
    return load_regions(path, _model(model, identity))


def _ruling(entry: Entry) -> Ruling:
    identity = load_whole(entry.model).identity
    query = sha256_hex(read_bytes(entry.property, limit=MAX_PROPERTY_BYTES))
    regions = _regions(entry.property, query, entry.model, identity)
    return rule_file(_model(entry.model, identity), regions, entry.witness)


def rule_entry(entry: Entry) -> Row:
    """The JSON row of one entry. A model or property that cannot be read makes its witness unsupported."""
    start = timer.now()
    try:
        ruling = _ruling(entry)
    except InvalidInput as error:
        ruling = Ruling("unsupported", error.code, error.line())
    except Exception as error:
        # A bug on one witness is reported as such and does not hide the others.
        if os.environ.get("TLCHECK_DEBUG"):
            raise
        ruling = Ruling("unsupported", "TLC901", " ".join(f"{type(error).__name__}: {error}".split()))
    return row_of(entry, ruling, timer.now() - start)


def row_of(entry: Entry, ruling: Ruling, seconds: float) -> Row:
    """The JSON row of a ruling."""
    index = {name: entry.columns[name] for name in KNOWN if name in entry.columns}
    names = {name: entry.columns[name] for name in ("ce_file", "onnx", "vnnlib")}
    return {**names, **ruling.row(), "index": index, "seconds": round(seconds, 6)}


# All of them.


def rule_index(entries: Sequence[Entry], jobs: int) -> Iterator[Row]:
    """One row an entry, in their order, as they become known. ``jobs`` 0: one process per core."""
    known: dict[int, Row] = {}
    batches = [[(i, entries[i]) for i in places] for places in _batches(entries)]
    waiting = iter(range(len(entries)))
    following = next(waiting, None)
    for (i, _), row in work_through(batches, _rule_numbered, _lost, jobs):
        known[i] = row
        while following in known:
            yield known.pop(following)
            following = next(waiting, None)


def _rule_numbered(item: tuple[int, Entry]) -> Row:
    return rule_entry(item[1])


def _lost(item: tuple[int, Entry]) -> Row:
    return row_of(item[1], Ruling("unsupported", "TLC901", KILLED), 0.0)


def _batches(entries: Sequence[Entry]) -> list[list[int]]:
    """Positions that share a model, so that it is loaded once; the largest models first, so that none is left over."""
    by_model: dict[Path, list[int]] = defaultdict(list)
    for i, entry in enumerate(entries):
        by_model[entry.model].append(i)
    batches = []
    for model in sorted(by_model, key=_size, reverse=True):
        places = sorted(by_model[model], key=lambda i: str(entries[i].property))
        batches += [places[s : s + BATCH] for s in range(0, len(places), BATCH)]
    return batches


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


# The comparison.


def census(rows: Sequence[Row]) -> Row:
    """Shares over rulings: where the official rule, rounding and clipping differ from what is so."""
    correct = [row for row in rows if row["official"].get("result") == "CORRECT"]
    known = [row for row in rows if row["deployed"].get("flipped") is not None]
    outside = [
        row for row in rows if row["tolerance"].get("within_tolerance") and not row["real"]["in_region"]
    ]
    return {
        "witnesses": len(rows),
        "rulings": dict(Counter(row["ruling"] for row in rows).most_common()),
        "officially_correct": {
            "count": len(correct),
            "outside_as_written": sum(row["real"].get("in_region") is False for row in correct),
            "outside_as_float32": sum(row["deployed"].get("in_region") is False for row in correct),
            "outside_both": sum(
                row["real"].get("in_region") is False and row["deployed"].get("in_region") is False
                for row in correct
            ),
            "settled_sat": sum(row["ruling"] in ("holds", "holds-repaired") for row in correct),
        },
        "rounding": {
            "compared": len(known),
            "flipped": sum(bool(row["deployed"]["flipped"]) for row in known),
        },
        "clipping": {
            "outside": len(outside),
            "repaired": sum(r["ruling"] == "holds-repaired" for r in outside),
        },
    }


def summary(entries: Sequence[Entry], rows: Sequence[Row]) -> Row:
    """Counts of rulings against every column, the shares, and each disagreement with its margins."""
    pairs = list(zip(entries, rows, strict=True))
    seconds = sorted(row["seconds"] for row in rows)
    return {
        **census(rows),
        "tables": {
            column: _table(pairs, column)
            for column in ("official_result", "replay_result", "rule2026", "official_ce_verdict")
            if any(column in entry.columns for entry in entries)
        },
        "exact_columns": _exact_columns(pairs),
        "rule2026_differences": [
            {"ce_file": row["ce_file"], "index": entry.columns["rule2026"], "official": row["official"]}
            for entry, row in pairs
            if entry.columns.get("rule2026")
            and row["official"].get("result", "").lower() != entry.columns["rule2026"]
        ],
        "replay_differences": [
            _difference(entry, row)
            for entry, row in pairs
            if row["ruling"] not in AGREES.get(entry.columns.get("replay_result", ""), (row["ruling"],))
        ],
        "seconds": {
            "sum": round(sum(seconds), 3),
            "median": seconds[len(seconds) // 2] if seconds else 0.0,
            "largest": seconds[-1] if seconds else 0.0,
        },
    }


def _table(pairs: Sequence[tuple[Entry, Row]], column: str) -> dict[str, dict[str, int]]:
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for entry, row in pairs:
        table[entry.columns.get(column, "")][row["ruling"]] += 1
    return {value: dict(counts.most_common()) for value, counts in sorted(table.items())}


def _exact_columns(pairs: Sequence[tuple[Entry, Row]]) -> Row:
    """Margins computed elsewhere: how many there are, and those whose sign is not the one found here."""
    compared, differ = 0, []
    for entry, row in pairs:
        found = {"decimal": row["real"]["margin"], "f32": row["deployed"].get("real_margin")}
        for which, margin in found.items():
            written = _number(entry.columns.get(f"exact_slack_at_{which}", ""))
            if written is None or margin is None:
                continue
            compared += 1
            if (written >= 0) != (margin >= 0):
                differ.append({"ce_file": row["ce_file"], "at": which, "index": written, "margin": margin})
    return {"compared": compared, "signs_differ": differ}


def _difference(entry: Entry, row: Row) -> Row:
    real, deployed = row["real"], row["deployed"]
    return {
        "ce_file": row["ce_file"],
        "replay_result": entry.columns["replay_result"],
        "ruling": row["ruling"],
        "real_margin": real["margin"],
        "deployed_margin": deployed["margin"],
        "real_margin_at_float32": deployed.get("real_margin"),
        "repaired_margin": row["repaired"]["margin"],
        "input_violation": row["tolerance"].get("input_violation"),
        "why": _why(row),
    }


def _why(row: Row) -> str:
    """The difference from a float32 replay, from the margins."""
    if row["ruling"] == "unsupported":
        return str(row["reason"])
    if row["deployed"].get("flipped"):
        return "float32 rounding of the network changes the sign of the output condition"
    real, rounded = row["real"]["margin"], row["deployed"].get("real_margin")
    if real is not None and rounded is not None and (real >= 0) != (rounded >= 0):
        return "rounding the input to float32 changes the sign of the output condition"
    if row["repaired"]["holds"]:
        return "the output condition holds once the input is moved into its region"
    return str(row["reason"])


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
