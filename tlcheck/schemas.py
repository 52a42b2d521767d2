"""JSON Schemas of typed structs, the same under every Python version."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec


def schema_of(kind: type[Any]) -> dict[str, Any]:
    """The JSON Schema of ``kind``; descriptions without the indentation that docstrings lost in Python 3.13."""
    document: dict[str, Any] = _clean(msgspec.json.schema(kind))
    return document


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: inspect.cleandoc(v) if k == "description" and isinstance(v, str) else _clean(v)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_clean(v) for v in value]
    return value
