"""What a user may choose about a check, and what a running check tells. Nothing here can make a claim true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

ARITHMETICS: Final = ("auto", "arb", "ball64", "directed")
TAYLOR64: Final = "float64 Taylor models and arb"
"""What a report calls the arithmetic of claims that float64 decided what it could of."""
DECIMALS: Final = ("format", "exact", "binary64")
SEMANTICS: Final = ("real", "deployed")
DEFAULT_PRECISION: Final = 128
MIN_PRECISION: Final = 64
"""Below float64's 53 bits plus guard bits an enclosure decides nothing."""
MAX_PRECISION: Final = 65_536
"""Beyond it one product takes longer than any check needs."""


@dataclass(frozen=True)
class Options:
    """``model`` and ``property`` replace the files a certificate names (their hashes must still match).

    ``precision`` in bits; ``jobs`` 0 means one per core; ``timeout`` in seconds; ``resume`` is a journal that a long
    check continues from and appends to. ``details``: also report where the worst leaf's margin went, layer by layer.
    ``input_format``: the format of the certificate, instead of what its content says. ``decimals``: how an artifact's
    decimals are read: exactly, as the nearest binary64, or as its format means them. ``slack``: the most slack that an
    artifact may grant itself; a verdict that used any names it. ``profile``: of the runtime, for deployed semantics: one of
    tlcheck's own by name, or a file.
    """

    model: Path | None = None
    property: Path | None = None
    arith: str = "auto"
    precision: int = DEFAULT_PRECISION
    jobs: int = 0
    semantics: str = "real"
    profile: str = "ieee-basic"
    cross_check: bool = False
    timeout: float | None = None
    max_memory_mib: int | None = None
    resume: Path | None = None
    details: bool = False
    input_format: str | None = None
    decimals: str = "format"
    slack: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        if self.arith not in ARITHMETICS:
            raise ValueError(f"arith {self.arith!r}: expected one of {', '.join(ARITHMETICS)}")
        if self.semantics not in SEMANTICS:
            raise ValueError(f"semantics {self.semantics!r}: expected one of {', '.join(SEMANTICS)}")
        if self.decimals not in DECIMALS:
            raise ValueError(f"decimals {self.decimals!r}: expected one of {', '.join(DECIMALS)}")
        if self.slack < 0:
            raise ValueError(f"slack {self.slack}: expected 0 or more")
        if not MIN_PRECISION <= self.precision <= MAX_PRECISION:
            raise ValueError(f"precision {self.precision}: expected {MIN_PRECISION} to {MAX_PRECISION} bits")
        if self.jobs < 0:
            raise ValueError(f"jobs {self.jobs}: expected 0 (one per core) or more")
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"timeout {self.timeout}: expected seconds above 0")
        if self.max_memory_mib is not None and self.max_memory_mib <= 0:
            raise ValueError(f"max_memory_mib {self.max_memory_mib}: expected MiB above 0")


@dataclass(frozen=True)
class Progress:
    """Where a running check stands. ``worst_margin`` is for the eye only; no verdict rests on it."""

    path: str
    leaves_done: int
    leaves_total: int
    worst_margin: float | None
    stage: str


Report = Callable[[Progress], None] | None
"""What is told of a running check, if anybody wants to know."""
