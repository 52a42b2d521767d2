"""Strict JSON: no duplicate keys, no NaN or Infinity, bounded size and depth; decoded into typed structs.

``json`` keeps the last of two equal keys and accepts NaN; msgspec keeps the last too. So the text is walked once by
``json`` with hooks that refuse both, then decoded by msgspec into the struct that says which fields and types there are.
"""

from __future__ import annotations

import json
import re
from math import inf
from typing import Any, TypeVar

import msgspec

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_JSON_DEPTH

T = TypeVar("T")

_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
"""Strings and brackets. A string that never ends is one match: no position is tried twice."""


def decode(data: bytes, kind: type[T], file: str) -> T:
    """``data`` as a ``kind``. Raises InvalidInput TLC106 (not strict JSON) or TLC101 (wrong fields)."""
    check_strict(data, file)
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at ")
        raise InvalidInput("TLC101", message, file=file, field=where.strip("`")) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput("TLC106", f"not JSON: {error}", file=file) from None


def check_strict(data: bytes, file: str) -> None:
    """Refuse deep nesting, duplicate keys, NaN, Infinity and invalid UTF-8."""
    depth = deepest = 0
    for match in _BRACKETS.finditer(data):
        token = match.group()
        if token in b"[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAX_JSON_DEPTH:
                raise InvalidInput(
                    "TLC106", "nested too deeply", file=file, expected=f"at most {MAX_JSON_DEPTH} levels"
                )
        elif token in b"]}":
            depth -= 1
    try:
        json.loads(
            data.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_refuse, parse_float=_finite
        )
    except _Refused as error:
        raise InvalidInput("TLC106", str(error), file=file) from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidInput("TLC106", f"not JSON: {error}", file=file) from None


class _Refused(Exception):
    """Valid for Python's json, not for us."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Refused(f"duplicate key {key!r}")
            seen.add(key)
    return result


def _finite(text: str) -> float:
    value = float(text)
    if value in (inf, -inf):
        raise _Refused(f"number out of range: {text[:40]}")
    return value


def _refuse(constant: str) -> Any:
    raise _Refused(f"{constant} is not a number in JSON")
