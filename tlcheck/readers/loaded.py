"""What every certificate reader returns: claims with their guidance, bound to the files they came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tlcheck.readers.asked import asked_by, note_asked

if TYPE_CHECKING:
    from tlcheck.trusted.claim import SatClaim, UnsatClaim
    from tlcheck.trusted.conditions import ConditionClaim
    from tlcheck.trusted.guidance import Guidance

    Claim = UnsatClaim | SatClaim | ConditionClaim


@dataclass(frozen=True, eq=False)
class LoadedClaim:
    """``sources``: file -> SHA-256 of what was read (model, property, evidence). ``problem`` says why the evidence
    cannot prove the claim although it is well formed (a missing branch), as (code, message). ``part``: of a bundle's
    claim about an artifact, which one it is: as which format the artifact is read, and the claim's name there.
    ``readers``: the modules of ring 1 that its files asked for (``asked``). ``said``: (kind, statement), where the claim of
    ring 0 is a query that was made to say this."""

    name: str
    claim: Claim
    guidance: Guidance | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    producer: str = ""
    problem: tuple[str, str] | None = None
    part: str = ""
    readers: tuple[str, ...] = ()
    said: tuple[str, str] | None = None


def read_by(module: str, read: Callable[[], Sequence[LoadedClaim]]) -> list[LoadedClaim]:
    """What ``read``, which is of that module, gives; each claim with the modules that were asked for."""
    with asked_by() as asked:
        note_asked(module)
        loaded = read()
    return [replace(item, readers=tuple(asked)) for item in loaded]
