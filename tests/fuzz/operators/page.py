"""The page of operators, made of the standard's schemas, the reader's table and the kept cases: ``python -m tests.fuzz.operators.page``."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.fuzz.operators import features
from tests.fuzz.operators.kept import Cases
from tests.fuzz.operators.model import schemas, versions
from tests.helpers import REPOSITORY
from tlcheck.readers.onnx import LOWERINGS
from tlcheck.readers.onnx.unread import reason

PAGE = REPOSITORY / "tlcheck" / "readers" / "onnx" / "OPERATORS.md"

HEAD = """# Operators of the ONNX standard: what is read, and what is refused

Made by `python -m tests.fuzz.operators.page` from the standard's schemas (the onnx package's), the reader's own table (`tlcheck/readers/onnx/table.py`)
and the cases that the fuzzer has kept (`tests/fuzz/kept/operators.jsonl`). Not written by hand; a test holds it to them.

*Read* lists what some kept model has that is read, and whose value onnxruntime or onnx's reference evaluator confirms: each optional attribute and
operand, further outputs, and the element types of the operands. What is not in that list was refused, or is not confirmed, in every model drawn so far.
*Refused* lists the reasons met, by code (`tlcheck explain CODE`); numbers and names are left out (`..`). Where the standard is silent, or
onnxruntime and the reference evaluator differ, the reason says so. Attributes, operands and types that a version of the standard does not have
are refused in all. What no oracle but the standard's text has decided is in
`tests/fuzz/operators/known.py`.

"""


def page() -> str:
    said: dict[str, set[str]] = defaultdict(set)
    for kind in Cases().seen:
        operator, _, text = kind.partition(": ")
        said[operator].add(text)
    names = [name for name in schemas() if versions(name)]
    rows = [_row(name, said[name]) for name in names if name in LOWERINGS]
    others = [
        f"| {name} | {_versions(name)} | {reason(name, '') or 'no rule for it'} |"
        for name in names
        if name not in LOWERINGS
    ]
    return "\n".join([
        HEAD + f"## Read: {len(rows)} operators", "", "| operator | versions | read | refused |", "| --- | --- | --- | --- |", *rows, "",
        f"## Not read: {len(others)} operators", "", "Each is refused by its name (TLC202), in whatever version and form.", "",
        "| operator | versions | why |", "| --- | --- | --- |", *others, "",
    ])  # fmt: skip


def _versions(name: str) -> str:
    return ", ".join(
        f"{schema.since_version}{' (deprecated)' if schema.deprecated else ''}"
        for schema, _, _ in versions(name)
    )


def _row(name: str, said: set[str]) -> str:
    read = {text.removeprefix("read ") for text in said if text.startswith("read ")}
    refused = sorted(text.removeprefix("refused ") for text in said if text.startswith("refused "))
    seen = [v for v in _versions(name).split(", ") if f"version {v}" in read]
    missing = [v for v in _versions(name).split(", ") if v not in seen and "(" not in v]
    versions_ = _versions(name) + (f"; read: {', '.join(seen) or 'none'}" if missing else "")
    return f"| {name} | {versions_} | {_read(name, read)} | {_by_code(refused) or 'nothing met'} |"


def _read(name: str, read: set[str]) -> str:
    schemas_ = [schema for schema, _, _ in versions(name)]
    attributes = sorted({a for s in schemas_ for a in s.attributes if f"{a} given" in read})
    operands = _in_order(
        e.name
        for s in schemas_
        for e in s.inputs
        if f"operand {e.name} given" in read and str(e.option).endswith("Optional")
    )
    outputs = _in_order(e.name for s in schemas_ for e in s.outputs[1:] if f"output {e.name} wanted" in read)
    types = sorted({t.partition(": ")[2] for t in read if ": " in t}, key=lambda t: features.TYPES[t])
    parts = [("attributes", attributes), ("operands", operands), ("outputs", outputs), ("types", types)]
    special = [
        what.removeprefix("an operand ") for what in (features.NO_ENTRIES, features.RANK_0) if what in read
    ]
    parts.append(("operands", special))
    return "; ".join(f"{what} {', '.join(found)}" for what, found in parts if found) or "nothing yet"


def _in_order(names: Any) -> list[str]:
    return list(dict.fromkeys(names))


def _by_code(refused: list[str]) -> str:
    found: dict[str, list[str]] = defaultdict(list)
    for text in refused:
        code, _, why = text.partition(" ")
        found[code].append(why.replace("|", "/"))
    return "; ".join(f"{code}: {'; '.join(whys)}" for code, whys in sorted(found.items()))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
