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
from tlcheck.readers.bytes import without_mark

T = TypeVar("T")

_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
"""Strings and brackets. A string that never ends is one match: no position is tried twice."""


def decode(data: bytes, kind: type[T], file: str) -> T:
    """``data`` as a ``kind``. Raises InvalidInput TLC106 (not strict JSON) or TLC101 (wrong fields)."""
    data = without_mark(data, "TLC106", file)
    check_strict(data, file)
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at ")
        place = where.strip("`")
        raise InvalidInput(
            "TLC101", message + _as_string(message, place, data), file=file, field=place
        ) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput("TLC106", f"not JSON: {error}", file=file) from None


def _as_string(message: str, place: str, data: bytes) -> str:
    """What to write where a number stands for the string that the format wants, so that it is read exactly."""
    if not message.startswith(("Expected `str`, got `float`", "Expected `str`, got `int`")):
        return ""
    value: Any = json.loads(data, parse_float=_Literal, parse_int=_Literal)
    for key, position in re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", place):
        try:
            value = value[key] if key else value[int(position)]
        except (LookupError, TypeError, ValueError):
            return ""
    if not isinstance(value, _Literal):
        return ""
    return f'; a number is written as a string here, which is exact: write "{value[:40]}"'


class _Literal(str):
    """A number as it is written."""


def check_strict(data: bytes, file: str) -> None:
    """Refuse deep nesting, duplicate keys, NaN, Infinity and invalid UTF-8; a byte order mark is passed by."""
    data = without_mark(data, "TLC106", file)
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
