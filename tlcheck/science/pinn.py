"""Make the certificate of a PINN: for each part of a PDE file a bound, a cover and a witness, in one bundle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Final

import msgspec

from tlcheck import __version__
from tlcheck.errors import InvalidInput
from tlcheck.readers.bundle.manifest import ArtifactClaim, Producer
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.onnx import read_model
from tlcheck.readers.pde import Pde, read_pde
from tlcheck.readers.torchlean.pinn_domain import FORMAT, Artifact
from tlcheck.science.cover import MAX_END, Cover, Highest, find_cover, find_integral, highest
from tlcheck.trusted.arith.arb import decimal_outward
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.science.pinn_domain import LEAF, MAX_CELLS, Quantity
from tlcheck.writers.bundle import check_target, exact_text, write_artifact_bundle

READY: Final = Path(__file__).parent / "pde"
DIGITS_BELOW, DIGITS_ABOVE = 9, 5
"""Significant digits of the lower and upper bounds that are chosen here."""
TOLERANCE: Final = Fraction(1, 200)
MARGIN: Final = 1e-9
"""Integrals found in float64 are widened by it, relatively, so that the check, in balls, agrees."""


@dataclass(frozen=True)
class Request:
    """``bounds``: upper bounds by part; the others get the largest value found times 1 + ``tolerance``. With ``norm``
    "L1" or "L2" the bounds are of integrals, enclosed to within that tolerance."""

    order: int = 5
    bounds: Mapping[str, Fraction] | None = None
    parts: Sequence[str] = ()
    tolerance: Fraction | None = None
    jobs: int = 0
    max_cells: int = 20_000
    norm: str = "sup"

    @property
    def wanted(self) -> Fraction:
        return TOLERANCE if self.tolerance is None else self.tolerance


@dataclass(frozen=True)
class PartFound:
    """``false``: the witness is above the bound, proved. Otherwise ``cover.tree`` is "" when no cover was found."""

    name: str
    at_most: Fraction
    highest: Highest | None
    cover: Cover | None
    at_least: str | None = None

    @property
    def false(self) -> bool:
        return self.highest is not None and Fraction(self.highest.value) > self.at_most

    @property
    def complete(self) -> bool:
        return self.false or (self.cover is not None and bool(self.cover.tree))


def ready() -> list[str]:
    """Names of the PDE files that come with tlcheck."""
    return sorted(path.stem for path in READY.glob("*.toml"))


def pde_path(given: Path) -> Path:
    """The file, or the ready one of that name."""
    if not given.exists() and str(given) in ready():
        return READY / f"{given}.toml"
    return given


def certify(
    model: Path, pde: Path, target: Path, request: Request, tell: Callable[[str, int, int], None]
) -> list[PartFound]:
    """Find the evidence; write the bundle if there is some for every part. ``tell``: (part, cells, cells open).

    Raises InvalidInput, before the search starts where it can be told by then.
    """
    sources = read_sources(model, pde, target)
    names = chosen(sources.equation.parts, request, sources.file)
    try:
        quantities = {name: sources.equation.quantity(name, sources.graph) for name in names}
    except InvalidInput as error:
        raise error.in_file(str(model)) from None
    found = [_part(name, q, request, tell) for name, q in quantities.items()]
    if all(part.complete for part in found):
        sources.write({part.name: _artifact(part, request) for part in found})
    return found


@dataclass(frozen=True)
class Sources:
    """A network, an equation, and where the bundle goes."""

    graph: Graph
    equation: Pde
    model: bytes
    pde: bytes
    file: str
    target: Path

    def write(self, artifacts: Mapping[str, bytes]) -> None:
        """The bundle, one claim for each artifact."""
        files = {"model.onnx": self.model, "pde.toml": self.pde}
        files |= {f"{name}.json": data for name, data in artifacts.items()}
        claims = [ArtifactClaim("tlcheck.pinn", f"{name}.json", name=name) for name in artifacts]
        write_artifact_bundle(self.target, files, claims, Producer("tlcheck certify-pinn", __version__))


def read_sources(model: Path, pde: Path, target: Path) -> Sources:
    check_target(target)
    pde = pde_path(pde)
    model_bytes, pde_bytes = read_bytes(model), read_bytes(pde)
    graph = read_model(model_bytes, file=str(model), folder=None)
    equation = read_pde(pde_bytes, str(pde))
    ends = (end for part in equation.parts.values() for interval in part.domain for end in interval)
    if any(abs(end) > MAX_END for end in ends):
        raise InvalidInput("TLC401", "the domain is too large to search", file=str(pde), field="domain")
    return Sources(graph, equation, model_bytes, pde_bytes, str(pde), target)


def chosen(known: Collection[str], request: Request, file: str) -> list[str]:
    for name in (*request.parts, *(request.bounds or {})):
        if name not in known:
            raise InvalidInput(
                "TLC101",
                "no such part",
                file=file,
                field="parts",
                expected=" or ".join(known),
                got=ascii(name),
            )
    return [name for name in known if not request.parts or name in request.parts]


def _part(
    name: str, quantity: Quantity, request: Request, tell: Callable[[str, int, int], None]
) -> PartFound:
    tell(name, 0, 1)
    if request.norm != "sup":
        return _integral(name, quantity, request, tell)
    top = highest(quantity)
    at_most = (request.bounds or {}).get(name)
    if at_most is None:
        if top is None:
            raise InvalidInput("TLC101", "no point where the part has a value", field=f"parts.{name}")
        wanted = float(Fraction(top.value) * (1 + request.wanted))
        at_most = Fraction(decimal_outward(wanted, "up", DIGITS_ABOVE))
    least = None if top is None or top.value <= 0 else decimal_outward(top.value, "down", DIGITS_BELOW)
    found = PartFound(name, at_most, top, None, least)
    if found.false:
        return found
    cover = find_cover(
        quantity,
        at_most,
        request.order,
        jobs=request.jobs,
        max_cells=min(request.max_cells, MAX_CELLS),
        tick=lambda cells, open_: tell(name, cells, open_),
    )
    return PartFound(name, at_most, top, cover, least)


def _integral(
    name: str, quantity: Quantity, request: Request, tell: Callable[[str, int, int], None]
) -> PartFound:
    """No cover (tree "") where the bound asked for is below what the cover gives."""
    cover = find_integral(
        quantity,
        request.norm,
        request.order,
        0.0,
        float(request.wanted),
        jobs=request.jobs,
        max_cells=min(request.max_cells, MAX_CELLS),
        tick=lambda cells, open_: tell(name, cells, open_),
    )
    volume = float(prod((b - a for a, b in quantity.domain if a < b), start=Fraction(1)))
    high, low = cover.high * volume * (1 + MARGIN), cover.low * volume * (1 - MARGIN)
    at_most = (request.bounds or {}).get(name, Fraction(decimal_outward(high, "up", DIGITS_ABOVE)))
    if high > at_most:
        cover = replace(cover, tree="", worst=high)
    return PartFound(name, at_most, None, cover, decimal_outward(max(low, 0.0), "down", DIGITS_ABOVE))


def _artifact(part: PartFound, request: Request) -> bytes:
    top = part.highest
    document = Artifact(
        format=FORMAT,
        model="model.onnx",
        pde="pde.toml",
        part=part.name,
        at_most=exact_text(part.at_most),
        order=request.order,
        tree=LEAF if part.cover is None else part.cover.tree,
        witness=None if top is None else [exact_text(x) for x in top.point],
        at_least=part.at_least,
        norm=request.norm,
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
