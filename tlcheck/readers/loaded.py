"""What every certificate reader returns: claims with their guidance, bound to the files they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlcheck.trusted.claim import SatClaim, UnsatClaim
    from tlcheck.trusted.conditions import ConditionClaim
    from tlcheck.trusted.guidance import Guidance


@dataclass(frozen=True, eq=False)
class LoadedClaim:
    """``sources``: file -> SHA-256 of what was read (model, property, evidence). ``problem`` says why the evidence
    cannot prove the claim although it is well formed (a missing branch), as (code, message). ``part``: of a bundle's
    claim about an artifact, which one it is: as which format the artifact is read, and the claim's name there."""

    name: str
    claim: UnsatClaim | SatClaim | ConditionClaim
    guidance: Guidance | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    producer: str = ""
    problem: tuple[str, str] | None = None
    part: str = ""
