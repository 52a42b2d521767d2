"""Make the certificate of a PINN: for each part of a PDE file a bound, a cover and a witness, in one bundle."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, prod
from pathlib import Path
from typing import Final

import msgspec

from tlcheck import __version__
from tlcheck.errors import InvalidInput
from tlcheck.prover.cell_cover import (
    LEAST,
    MAX_END,
    Cover,
    Highest,
    find_cover,
    find_integral,
    highest,
    one_cell,
)
from tlcheck.readers.bundle.manifest import ArtifactClaim, Producer
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.onnx import load_whole, read_model
from tlcheck.readers.own.pde import Pde, read_pde
from tlcheck.readers.own.pinn_domain import FORMAT, Artifact
from tlcheck.trusted.arith.decimals import decimal_outward
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.science.cells import LEAF, MAX_CELLS
from tlcheck.trusted.science.quantities import Quantity
from tlcheck.writers.bundle import check_target, exact_text, write_artifact_bundle

READY: Final = Path(__file__).parent / "pde"
DIGITS_BELOW, DIGITS_ABOVE = 9, 5
"""Significant digits of the lower and upper bounds that are chosen here."""
TOLERANCE: Final = Fraction(1, 200)
INTEGRAL_TOLERANCE: Final = Fraction(1, 20)
"""Each cell of an integral is enclosed in Arb when it is checked: a tenth of this needs many times the cells."""
MARGIN: Final = 1e-9
"""Integrals found in float64 are widened by it, relatively, so that the check, in balls, agrees."""


class BadRequest(ValueError):
    """An option that does not fit the PDE file, or another option."""


@dataclass(frozen=True)
class Request:
    """``bounds``: upper bounds by part; the others get the largest value found times 1 + ``tolerance``. With ``norm``
    "L1" or "L2" the bounds are of integrals: one that is given is decided, others are enclosed to within that tolerance."""

    order: int = 5
    bounds: Mapping[str, Fraction] | None = None
    parts: Sequence[str] = ()
    tolerance: Fraction | None = None
    jobs: int = 0
    max_cells: int = 20_000
    norm: str = "sup"

    @property
    def wanted(self) -> Fraction:
        usual = TOLERANCE if self.norm == "sup" else INTEGRAL_TOLERANCE
        return usual if self.tolerance is None else self.tolerance


@dataclass(frozen=True)
class PartFound:
    """``at_most``: None where no bound was given, and none found. ``reached``: what was found to be true, a point or a cover; for
    integrals both ends. ``cover.tree`` is "" when no cover was found; a bound that a point disproves has no cover."""

    name: str
    at_most: Fraction | None
    highest: Highest | None
    cover: Cover | None
    at_least: str | None = None
    reached: tuple[float, float] = (0.0, inf)

    @property
    def false(self) -> bool:
        proved = self.cover is None or bool(self.cover.tree)
        return self.at_most is not None and proved and Fraction(self.reached[0]) > self.at_most

    @property
    def complete(self) -> bool:
        return self.at_most is not None and (self.false or (self.cover is not None and bool(self.cover.tree)))


Done = Callable[[PartFound], None]


def ready() -> list[str]:
    """Names of the PDE files that come with tlcheck."""
    return sorted(path.stem for path in READY.glob("*.toml"))


def pde_path(given: Path) -> Path:
    """The file, or the ready one of that name. Raises InvalidInput TLC402."""
    if not given.is_file() and str(given) in ready():
        return READY / f"{given}.toml"
    if not given.exists():
        expected = f"a file, or the name of a ready one: {', '.join(ready())}"
        raise InvalidInput("TLC402", "no such PDE file", file=str(given), expected=expected)
    return given


def certify(
    model: Path,
    pde: Path,
    target: Path,
    request: Request,
    tell: Callable[[str, int, int], None],
    done: Done = lambda _: None,
) -> list[PartFound]:
    """Find the evidence; write the bundle if there is some for every part. ``tell``: (part, cells, cells open); ``done``: each
    part as soon as it is found, or not.

    Raises InvalidInput or BadRequest, before the search starts where it can be told by then.
    """
    sources = read_sources(model, pde, target)
    names = chosen(sources.equation.parts, request, "expected a part")
    try:
        quantities = {name: sources.equation.quantity(name, sources.graph) for name in names}
    except InvalidInput as error:
        raise error.in_file(str(model)) from None
    found = []
    for name, quantity in quantities.items():
        try:
            found.append(_part(name, quantity, request, tell))
        except InvalidInput as error:
            raise error.in_file(sources.file) from None
        done(found[-1])
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
    _check_writable(target)
    pde = pde_path(pde)
    graph, model_bytes = read_network(model)
    pde_bytes = read_bytes(pde)
    equation = read_pde(pde_bytes, str(pde))
    ends = (end for part in equation.parts.values() for interval in part.domain for end in interval)
    if any(abs(end) > MAX_END for end in ends):
        raise InvalidInput("TLC401", "the domain is too large to search", file=str(pde), field="domain")
    return Sources(graph, equation, model_bytes, pde_bytes, str(pde), target)


def _check_writable(target: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise InvalidInput("TLC402", f"cannot write there: {error.strerror}", file=str(target)) from None


def read_network(path: Path) -> tuple[Graph, bytes]:
    """The network, and an ONNX file of it that holds all weights: those beside the file are put into it.

    Raises InvalidInput TLC2xx, TLC4xx.
    """
    data = load_whole(path).content
    return read_model(data, file=str(path)), data


def chosen(known: Collection[str], request: Request, what: str) -> list[str]:
    """The names that the request is about, of those ``known``; ``what``: says for an error what these are. Raises BadRequest."""
    bounds = request.bounds or {}
    for option, names in (("--part", request.parts), ("--bound", bounds)):
        for name in names:
            if name not in known:
                raise BadRequest(f"{option} {name}: {what} of the PDE file: {' or '.join(known)}")
    found = [name for name in known if not request.parts or name in request.parts]
    for name in bounds:
        if name not in found:
            raise BadRequest(f"--bound {name}: no --part {name} is chosen")
    return found


def _part(
    name: str, quantity: Quantity, request: Request, tell: Callable[[str, int, int], None]
) -> PartFound:
    tell(name, 0, 1)
    if request.norm != "sup":
        return _integral(name, quantity, request, tell)
    top = highest(quantity)
    at_most = (request.bounds or {}).get(name)
    value = 0.0 if top is None else max(top.value, 0.0)
    if at_most is None:
        if top is None:
            raise InvalidInput("TLC101", "no value at any of the points tried", field=f"parts.{name}")
        wanted = Fraction(value) * (1 + request.wanted)
        if wanted < LEAST:
            wanted = Fraction(0 if one_cell(quantity, request.order, "sup").high == 0 else LEAST)
        at_most = Fraction(decimal_outward(float(wanted), "up", DIGITS_ABOVE))
    least = None if value == 0 else decimal_outward(value, "down", DIGITS_BELOW)
    found = PartFound(name, at_most, top, None, least, (value, inf))
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
    return replace(found, cover=cover)


def _integral(
    name: str, quantity: Quantity, request: Request, tell: Callable[[str, int, int], None]
) -> PartFound:
    """Without a cover (tree "") where it is not known to be narrow enough, or the bound asked for is not decided."""
    at_most = (request.bounds or {}).get(name)
    volume = prod((b - a for a, b in quantity.domain if a < b), start=Fraction(1))
    least = LEAST if request.norm == "L2" else LEAST**0.5
    cover = find_integral(
        quantity,
        request.norm,
        request.order,
        least,
        float(request.wanted),
        at_most=None if at_most is None else float(min(at_most / volume, Fraction(MAX_END))),
        jobs=request.jobs,
        max_cells=min(request.max_cells, MAX_CELLS),
        tick=lambda cells, open_: tell(name, cells, open_),
    )
    low = float(volume) * max(cover.low, 0.0) * (1 - MARGIN)
    high = float(volume) * cover.high * (1 + MARGIN)
    if at_most is not None and cover.tree and low <= at_most < Fraction(cover.high) * volume:
        cover = replace(cover, tree="")
    elif at_most is None and cover.tree:
        smallest = float(volume) * least if high else 0.0
        at_most = Fraction(decimal_outward(max(high, smallest), "up", DIGITS_ABOVE))
    at_least = decimal_outward(low, "down", DIGITS_ABOVE) if low > 0 else None
    return PartFound(name, at_most, None, cover, at_least, (low, high))


def _artifact(part: PartFound, request: Request) -> bytes:
    if part.at_most is None:
        raise ValueError("a part without a bound")
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
