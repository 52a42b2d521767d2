"""Mutants that nobody can kill, each with the reason: ``judged.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("judged.toml")


@cache
def rows() -> list[dict[str, Any]]:
    return list(tomllib.loads(FILE.read_text(encoding="utf-8")).get("equivalent", []))


def identity(module: str, place: str, before: str, after: str) -> tuple[str, str, str, str]:
    return module, place, "".join(before.split()), "".join(after.split())


@cache
def equivalent() -> frozenset[tuple[str, str, str, str]]:
    """Identities of mutants (``Mutant.identity``)."""
    return frozenset(identity(r["module"], r["place"], r["before"], r["after"]) for r in rows())
