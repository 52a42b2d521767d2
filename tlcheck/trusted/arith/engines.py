"""The engines by name. Integers are the authority; float64 is loaded only where it is asked for."""

from __future__ import annotations

from tlcheck.trusted.arith.integer import IntegerEngine
from tlcheck.trusted.arith.interface import Engine


def engine(name: str) -> Engine:
    """ "arb" or "ball64", with nothing remembered yet."""
    if name == "arb":
        return IntegerEngine()
    if name == "ball64":  # --arith ball64, or auto's intermediate bounds of large networks
        from tlcheck.trusted.arith.ball64 import Ball64

        return Ball64()
    raise ValueError(f"no engine {name}")
