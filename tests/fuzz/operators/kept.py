"""Kept cases: for every operator one with each feature that is read and confirmed, and one for each reason of a refusal.

``kept/operators.jsonl``, a case a line as JSON, with what the reader said of it; ``page`` is made of these.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx

from tests.fuzz.corpus import KEPT
from tests.fuzz.operators import features, oracles
from tests.fuzz.operators.model import Case, Operand, schemas

FILE = KEPT / "operators.jsonl"
LONGEST = 600
"""Characters of a case that is kept; an operator's first may be longer."""

Row = dict[str, Any]


def schema_of(operator: str, opset: int) -> Any:
    """The version in use at the opset, or None."""
    return next((s for s in reversed(schemas()[operator]) if s.since_version <= opset), None)


def reason(operator: str, line: str) -> str:
    """The refusal's code and message for any model: no names, no numbers; "" where it is about another operator than the case's."""
    code, _, text = line.partition(" ")
    text = re.sub(rf"^{oracles.NAME}: ", "", text)
    text = re.sub(r"^(node|input|output|tensor) '[^']*'(, attribute \w+)?: ", "", text)
    other = re.match(r"unsupported operator (\w+)", text)
    if other and other[1] != operator:
        return ""
    text = re.sub(rf"^(unsupported operator {operator} at node '[^']*':? ?|{operator}: )", "", text)
    text = re.sub(r" \((expected|got) .*", "", text)
    text = re.sub(r"\[[^\]]*\]|\([-0-9, ()]*\)|-?\b[0-9][0-9.e+-]*\b|'[^']*'", "..", text)
    text = re.sub(
        r"\bof type \w+", "of type ..", re.sub(r"float32|float64|float16|bfloat16|u?int[0-9]+", "..", text)
    )
    if re.search(r"of opset \.\. \(version|not in opset|unsupported opset|deprecated since", text):
        text = "not in that version of the standard"
    return f"{code} {text.strip() or 'not read'}"[:160]


def kinds(case: Case, status: str, line: str) -> set[str]:
    """``status``: read (and confirmed) or refused."""
    if status == "refused":
        found = reason(case.operator, line)
        return {f"{case.operator}: refused {found}"} if found else set()
    schema = schema_of(case.operator, case.opset)
    every = {*features.of(case, schema), f"version {schema.since_version}"}
    return {
        f"{case.operator}: read {f}" for f in every if not f.startswith("output ") or f.endswith("wanted")
    }


class Cases:
    """The rows of the file; ``keep`` adds to them, ``write`` writes them."""

    def __init__(self) -> None:
        self.rows = [json.loads(text) for text in FILE.read_text().splitlines()] if FILE.exists() else []
        self.seen = {
            kind for row in self.rows for kind in kinds(case_of_row(row), row["status"], row["line"])
        }
        self.new = 0

    def keep(self, case: Case, status: str, line: str) -> None:
        fresh = kinds(case, status, line) - self.seen
        row = {**to_row(case), "status": status, "line": line if status == "refused" else ""}
        first = all(r["operator"] != case.operator or r["status"] != status for r in self.rows)
        if fresh and len(json.dumps(row)) < LONGEST * (1 + 3 * first):
            self.seen |= fresh
            self.rows.append(row)
            self.new += 1

    def write(self) -> None:
        rows = sorted(self.rows, key=lambda r: (r["operator"], r["opset"], json.dumps(r)))
        FILE.parent.mkdir(parents=True, exist_ok=True)
        FILE.write_text("".join(json.dumps(row) + "\n" for row in rows))


def to_row(case: Case) -> Row:
    return {
        "operator": case.operator, "opset": case.opset, "outputs": case.outputs,
        "operands": [None if x is None else [x.role, features.name_of(x.value), list(x.value.shape), _plain(x.value)] for x in case.operands],
        "attributes": {name: _attribute(value) for name, value in case.attributes.items()},
    }  # fmt: skip


def case_of_row(row: Row) -> Case:
    operands = [None if x is None else Operand(_array(*x[1:]), x[0]) for x in row["operands"]]
    attributes = {name: _value(value) for name, value in row["attributes"].items()}
    return Case(row["operator"], row["opset"], operands, attributes, row["outputs"])


def _plain(value: Any) -> list[Any]:
    if value.dtype.kind in "OU":
        return [str(v) for v in value.ravel().tolist()]
    wide = value.astype(
        np.int64
        if value.dtype.kind in "iu" and value.dtype != np.uint64
        else object
        if value.dtype.kind in "Ou"
        else np.float64
    )
    return [int(v) if isinstance(v, int) else v for v in wide.ravel().tolist()]


def _array(kind: str, shape: list[int], values: list[Any]) -> Any:
    if kind == "string":
        return np.array(values, object).reshape(shape)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(features.TYPES[kind])
    return (
        np.array(values, np.int64 if "int" in kind and kind != "uint64" else dtype)
        .astype(dtype)
        .reshape(shape)
    )


def _attribute(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto | onnx.GraphProto):
        return {type(value).__name__: b64encode(value.SerializeToString(deterministic=True)).decode()}
    if isinstance(value, bytes):
        return value.decode()
    return (
        [_attribute(v) for v in value]
        if isinstance(value, Iterable) and not isinstance(value, str)
        else value
    )


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        ((kind, text),) = value.items()
        proto = {"TensorProto": onnx.TensorProto, "GraphProto": onnx.GraphProto}[kind]()
        proto.ParseFromString(b64decode(text))
        return proto
    return value
