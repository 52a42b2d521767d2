"""From a certificate to the bytes of a picture: which claims, and who draws them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from tlcheck import __version__
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.plot import corridor, pinn, stability, unsat
from tlcheck.plot.canvas import Panel, plain, rendered
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.trusted.calculus.written import number_text
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.conditions import ConditionClaim
from tlcheck.trusted.science.corridor import CorridorClaim
from tlcheck.trusted.science.pinn_domain import IntegralClaim, SupremumClaim
from tlcheck.trusted.science.solution_error import SolutionErrorClaim
from tlcheck.trusted.science.stability_claim import Stability
from tlcheck.verify import load

Axes = tuple[str, ...]
KINDS: Final = (
    "PINN bounds over a domain (tlcheck.pinn), stability (tlcheck.stability), ODE corridors, "
    "unsat proofs over two inputs that split inputs only"
)
MAX_PANELS: Final = 12


def drawer(loaded: LoadedClaim) -> Callable[[Axes], list[Panel]] | None:
    """What draws the claim, given the coordinates to draw; None when nothing does."""
    match loaded.claim:
        case SupremumClaim() | IntegralClaim() | SolutionErrorClaim() as claim:
            return partial(pinn.panels, claim)
        case Stability() as claim:
            return partial(stability.panels, claim)
        case CorridorClaim() as claim:
            return partial(corridor.panels, claim)
        case UnsatClaim() as claim if claim.graph.n_inputs == 2 and loaded.guidance is not None:
            return partial(unsat.panels, claim, loaded.guidance)
    return None


def _named_kind(item: LoadedClaim) -> str:
    """What a claim is, in the words of reports."""
    if isinstance(item.claim, ConditionClaim):
        return item.claim.kind
    count = item.claim.graph.n_inputs
    return f"a claim of {item.claim.kind} over {count} input{'s' * (count != 1)}"


def draw(
    path: Path, options: Options, kind: str, names: tuple[str, ...] = (), axes: Axes = ()
) -> tuple[bytes, int]:
    """(the picture, its number of panels) of the claims called ``names``, or of all that can be drawn. Raises InvalidInput."""
    loaded = load(path, options)
    items = _named(loaded.items, names, path)
    found = [(item, draws) for item in items if (draws := drawer(item)) is not None]
    if not found:
        raise InvalidInput(
            "TLC102", "nothing in it can be drawn", file=str(path), expected=KINDS,
            got=", ".join(dict.fromkeys(_named_kind(i) for i in items)),
        )  # fmt: skip
    try:
        panels = [panel for _, draws in found for panel in draws(axes)]
        if len(panels) > MAX_PANELS:
            raise InvalidInput(
                "TLC401", f"{len(panels)} panels: choose with --claim", file=str(path), expected=f"at most {MAX_PANELS}",
                got=", ".join(item.name for item, _ in found),
            )  # fmt: skip
        picture = rendered(
            panels, _title(path, [item for item, _ in found], len(items)), _footer(found[0][0]), kind
        )
    except OverflowError:
        raise InvalidInput("TLC401", "its numbers are too large to draw", file=str(path)) from None
    except InvalidInput as error:
        raise error.in_file(str(path)) from None
    return picture, len(panels)


def _named(items: tuple[LoadedClaim, ...], names: tuple[str, ...], path: Path) -> list[LoadedClaim]:
    known = [item.name for item in items]
    for name in names:
        if name not in known:
            raise InvalidInput(
                "TLC101", "no such claim", file=str(path), field="--claim", expected=" or ".join(known), got=ascii(name),
            )  # fmt: skip
    return [item for item in items if not names or item.name in names]


def _title(path: Path, drawn: list[LoadedClaim], chosen: int) -> str:
    rest = f" ({len(drawn)} of {chosen} claims)" if len(drawn) < chosen else ""
    distances = [
        f"{plain(item.claim.name)}: {item.claim.theorem.distance} is at most {number_text(item.claim.at_most)}"
        for item in drawn
        if isinstance(item.claim, SolutionErrorClaim)
    ]
    return "\n".join([f"{plain(path.name)}{rest}: what is claimed, and its evidence", *distances])


def _footer(item: LoadedClaim) -> str:
    producer = f"Evidence by {plain(item.producer)}. " if item.producer else ""
    return f"{producer}Drawn by tlcheck {__version__}."
