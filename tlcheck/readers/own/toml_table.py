"""Tables of a TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlcheck.errors import InvalidInput

Table = Mapping[str, Any]


def table(value: object, field: str) -> Table:
    if not isinstance(value, dict):
        raise InvalidInput("TLC101", "expected a table", field=field)
    return value


def only(table: Table, names: tuple[str, ...], prefix: str) -> None:
    unknown = sorted(set(table) - set(names))
    if unknown:
        raise InvalidInput(
            "TLC101", "unknown field", field=f"{prefix}{unknown[0]}", expected=", ".join(names)
        )
