"""The outcome of one claim, as it is reported: a verdict that ring 0 made, with its evidence."""

from __future__ import annotations

from dataclasses import dataclass, field

from tlcheck.trusted.verdict import Verdict


@dataclass(frozen=True)
class Number:
    """A real number as reported: a decimal rounded in the stated direction, and the exact dyadic value in hex.

    ``direction`` is "down" for lower bounds, "up" for upper bounds, "exact" when nothing was rounded.
    """

    decimal: str
    hex: str
    direction: str


@dataclass(frozen=True)
class Bound:
    """``rigorous``: what tlcheck proved; ``claimed``: the producer's number; ``required``: what the claim needs.

    For unsat claims all three are margins: the proof needs rigorous > required = 0.
    """

    rigorous: Number | None = None
    claimed: Number | None = None
    required: Number | None = None


@dataclass(frozen=True)
class Reason:
    """``code`` is a key of tlcheck.report.codes.CODES."""

    code: str
    message: str
    location: str = ""


@dataclass(frozen=True)
class ClaimResult:
    """The outcome of one claim."""

    kind: str
    statement: str
    verdict: Verdict
    reason: Reason
    bound: Bound = field(default_factory=Bound)
    deployed: Bound | None = None
    leaves_total: int = 0
    leaves_certified: int = 0
    assumptions: tuple[str, ...] = ()
    arithmetic: dict[str, object] = field(default_factory=dict)
    details: dict[str, object] = field(default_factory=dict)
    seconds: float = 0.0
