"""Lyapunov certificates: TorchLean's JSON (bounds of V, grad V and V' with flags), and ``tlcheck.lyapunov/1``.

The fields of both are in certificates/formats/lyapunov.md. Bounds are claims about the network along the dynamics, and
are checked as such; TorchLean's flags are compared with the file's own bounds, and prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final, Literal, TypeVar

from msgspec import Raw, Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.expressions import parse_expression
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.mlp import ListsFile, from_lists, part, read_network
from tlcheck.readers.torchlean.numbers import (
    EndLists,
    Read,
    checked_box,
    decimals_text,
    intervals,
    literal,
    number_reader,
)
from tlcheck.trusted.calculus.expression import Expression
from tlcheck.trusted.calculus.mlp import Mlp
from tlcheck.trusted.calculus.ranges import Box, Interval, Point
from tlcheck.trusted.science.lyapunov_boxes import Condition, Controller, LyapunovConditions

T = TypeVar("T")

DYNAMICS: Final[Mapping[str, tuple[str, ...]]] = {
    "van_der_pol": ("x2", "(1 - x1^2)*x2 - x1"),
    "vdp": ("x2", "(1 - x1^2)*x2 - x1"),
    "double_integrator": ("x2", "-x1 - x2"),
    "di": ("x2", "-x1 - x2"),
    "pendulum": ("x2", "-9.81*sin(x1) - 0.1*x2"),
}
"""TorchLean's systems by name; ``linear``, x' = -x, is one of any dimension."""

VALUE: Final = Condition("", value=Fraction(1))
RATE: Final = Condition("", rate=Fraction(1))
POSITIVE: Final = Condition("V > 0 on the region", value=Fraction(1), strict=True)
DECREASING: Final = Condition("V' < 0 on the region", rate=Fraction(-1), strict=True)


# TorchLean's format.


class Region(Struct, frozen=True):
    lo: list[Raw] | None = None
    hi: list[Raw] | None = None
    center: list[Raw] | None = None
    eps: Raw = Raw()
    dim: Raw = Raw()


class ValueBounds(Struct, frozen=True):
    lo: Raw
    hi: Raw
    guaranteed_positive: bool | None = None
    guaranteed_negative: bool | None = None


class Flags(Struct, frozen=True):
    V_positive: bool | None = None
    Vdot_negative: bool | None = None
    lyapunov_verified: bool | None = None


class Certificate(Struct, frozen=True):
    dynamics: str
    V_bounds: ValueBounds
    Vdot_bounds: ValueBounds
    region: Region | None = None
    input: Region | None = None
    grad_bounds: EndLists | None = None
    gradient_bounds: EndLists | None = None
    verification: Flags | None = None
    verification_result: Flags | None = None
    network: str | None = None


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """One claim. Raises InvalidInput."""
    claim = _own(data, files, options) if format == "tlcheck.lyapunov" else _torchlean(data, files, options)
    return [LoadedClaim("conditions", claim, sources=dict(files.sources))]


def _torchlean(data: bytes, files: Files, options: Options) -> LyapunovConditions:
    certificate = decode(data, Certificate, files.where)
    read = number_reader(options.decimals)
    network, origin = _named_network(certificate.network, files, options)
    region = _region(_one("region", certificate.region, "input", certificate.input), read)
    n = len(region)
    dynamics = named_dynamics(certificate.dynamics, n, lambda text: read(Raw(text.encode()), "dynamics"))
    _fits(network, n)
    conditions = _range("V", _ends(certificate.V_bounds, read, "V_bounds"), VALUE)
    gradient = _one("grad_bounds", certificate.grad_bounds, "gradient_bounds", certificate.gradient_bounds)
    if gradient is not None:
        for i, interval in enumerate(intervals(gradient, read, "grad_bounds", n)):
            conditions += _range("gradient", interval, Condition("", partials=_unit(i, n)), f"component {i},")
    conditions += _range("V'", _ends(certificate.Vdot_bounds, read, "Vdot_bounds"), RATE)
    flags, positive, negative = _flags(certificate, read)
    if positive:
        conditions.append(POSITIVE)
    if negative:
        conditions.append(DECREASING)
    return LyapunovConditions(
        network,
        dynamics,
        region,
        tuple(conditions),
        origin,
        decimals_text(options.decimals),
        reference=(Fraction(0),) * n,
        flags=flags,
    )


def _named_network(name: str | None, files: Files, options: Options) -> tuple[Mlp, str]:
    given = files.given(options.model, "model")
    if given is not None:
        return read_network(given, str(options.model), options.decimals), "given with --model"
    if name is None:
        raise InvalidInput("TLC101", "names no network: give it with --model, or in a field", field="network")
    return read_network(files.read(name, "network"), name, options.decimals), f"of {ascii(name)[1:-1]}"


def _fits(network: Mlp, n: int) -> None:
    if network.inputs != n or network.outputs != 1:
        raise InvalidInput(
            "TLC204",
            "the network does not fit the region",
            field="network",
            expected=f"{n} inputs, 1 output",
            got=f"{network.inputs} inputs, {network.outputs} outputs",
        )


def _one(first: str, a: T | None, second: str, b: T | None) -> T | None:
    """A field that goes by two names. Raises InvalidInput TLC101 when both are there."""
    if a is not None and b is not None:
        raise InvalidInput("TLC101", f"given twice, also as {second}", field=first)
    return b if a is None else a


def _region(region: Region | None, read: Read) -> Box:
    """The box: ``lo`` and ``hi``, or ``center`` and ``eps``, exactly."""
    if region is None:
        raise InvalidInput("TLC101", "missing", field="region")
    lo, hi, center, eps = region.lo, region.hi, region.center, region.eps
    if lo is not None and hi is not None and center is None and not eps:
        box = tuple(intervals(EndLists(lo, hi), read, "region", len(lo)))
    elif center is not None and eps and lo is None and hi is None:
        radius = read(eps, "region.eps")
        centres = [read(x, f"region.center[{k}]") for k, x in enumerate(center)]
        box = tuple((c - radius, c + radius) for c in centres)
    else:
        raise InvalidInput("TLC101", "not a box", field="region", expected="lo and hi, or center and eps")
    if region.dim and read(region.dim, "region.dim") != len(box):
        raise InvalidInput("TLC101", "not the box's dimension", field="region.dim", expected=str(len(box)))
    return checked_box(box, "region")


def named_dynamics(name: str, n: int, number: Callable[[str], Fraction]) -> tuple[Expression, ...]:
    """TorchLean's system of that name, in n states. Raises InvalidInput TLC101."""
    texts = DYNAMICS.get(name, tuple(f"-x{i + 1}" for i in range(n)) if name == "linear" else ())
    if not texts:
        known = ", ".join(sorted([*DYNAMICS, "linear"]))
        raise InvalidInput(
            "TLC101", "unknown dynamics", field="dynamics", expected=known, got=ascii(name[:40])
        )
    return equations(texts, n, 0, number)


def equations(
    texts: Sequence[str], n: int, controls: int, number: Callable[[str], Fraction] = exact_number
) -> tuple[Expression, ...]:
    """f, over the states x1, ... and controls u1, ... Raises InvalidInput TLC101 or TLC401."""
    if len(texts) != n:
        raise InvalidInput(
            "TLC101", "wrong number of equations", field="dynamics", expected=str(n), got=str(len(texts))
        )
    names = [f"x{i + 1}" for i in range(n)] + [f"u{i + 1}" for i in range(controls)]
    return tuple(
        parse_expression(text, names, field=f, number=lambda digits, f=f: literal(number(digits), f))  # type: ignore[misc]
        for f, text in ((f"dynamics[{k}]", text) for k, text in enumerate(texts))
    )


def _ends(bounds: ValueBounds, read: Read, field: str) -> Interval:
    return read(bounds.lo, f"{field}.lo"), read(bounds.hi, f"{field}.hi")


def _unit(i: int, n: int) -> Point:
    return tuple(Fraction(int(i == k)) for k in range(n))


def _range(
    name: str, interval: tuple[Fraction | None, Fraction | None], subject: Condition, where: str = ""
) -> list[Condition]:
    """The subject lies in the interval; an end may be missing."""
    low, high = interval
    above = replace(subject, name=f"{name} within its bounds", constant=Fraction(0))
    below = replace(
        above,
        value=-above.value,
        rate=-above.rate,
        norm=-above.norm,
        partials=tuple(-q for q in above.partials),
    )
    sides = []
    if low is not None:
        sides.append(replace(above, constant=-low, where=f"{where} lower end".strip()))
    if high is not None:
        sides.append(replace(below, constant=high, where=f"{where} upper end".strip()))
    return sides


def _flags(certificate: Certificate, read: Read) -> tuple[tuple[tuple[str, bool], ...], bool, bool]:
    """(each flag agrees with the bounds' signs, V > 0 is claimed, V' < 0 is claimed)"""
    positive = read(certificate.V_bounds.lo, "V_bounds.lo") > 0
    negative = read(certificate.Vdot_bounds.hi, "Vdot_bounds.hi") < 0
    found = [
        ("positive", certificate.V_bounds.guaranteed_positive),
        ("negative", certificate.Vdot_bounds.guaranteed_negative),
    ]
    for flags in (certificate.verification, certificate.verification_result):
        if flags is not None:
            found += [
                ("positive", flags.V_positive),
                ("negative", flags.Vdot_negative),
                ("both", flags.lyapunov_verified),
            ]
    meant = {"positive": positive, "negative": negative, "both": positive and negative}
    given = [(kind, flag) for kind, flag in found if flag is not None]
    claimed = {kind for kind, flag in given if flag}
    return (
        tuple(("flags agree with the bounds", flag == meant[kind]) for kind, flag in given),
        bool(claimed & {"positive", "both"}),
        bool(claimed & {"negative", "both"}),
    )


# tlcheck.lyapunov/1. Its numbers are strings, exact.


class OwnBox(Struct, frozen=True, forbid_unknown_fields=True):
    lower: list[str]
    upper: list[str]


class Candidate(Struct, frozen=True, forbid_unknown_fields=True):
    network: str | ListsFile
    form: Literal["network", "squared", "difference", "difference squared"] = "network"
    quadratic: list[list[str]] = []


class Control(Struct, frozen=True, forbid_unknown_fields=True):
    network: str | ListsFile
    activation: Literal["linear", "relu", "sigmoid", "sin", "tanh"] = "linear"
    difference: bool = False


class Range(Struct, frozen=True, forbid_unknown_fields=True):
    lower: str | None = None
    upper: str | None = None


class Claims(Struct, frozen=True, forbid_unknown_fields=True):
    value: Range = Range()
    gradient: list[Range] = []
    rate: Range = Range()
    positive: bool = False
    decreasing: bool = False
    value_over_norm: str | None = None
    decay: str | None = None


class Artifact(Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["tlcheck.lyapunov/1"]
    dynamics: str | list[str]
    region: OwnBox
    V: Candidate
    claims: Claims
    core: OwnBox | None = None
    controller: Control | None = None
    reference: list[str] = []


def _own(data: bytes, files: Files, options: Options) -> LyapunovConditions:
    artifact = decode(data, Artifact, files.where)
    region = _own_box(artifact.region, "region")
    n = len(region)
    core = None if artifact.core is None else _own_box(artifact.core, "core")
    if core is not None and not (
        len(core) == n and all(a < c and d < b for (a, b), (c, d) in zip(region, core, strict=True))
    ):
        raise InvalidInput("TLC101", "not in the region's interior", field="core")
    reference = _numbers(artifact.reference or ["0"] * n, "reference", n)
    candidate, origin = _own_network(artifact.V.network, files, options, "V.network")
    controller = None
    if artifact.controller is not None:
        network, _ = _own_network(artifact.controller.network, files, options, "controller.network")
        controller = Controller(network, artifact.controller.activation, artifact.controller.difference)
    controls = controller.network.outputs if controller else 0
    dynamics = (
        named_dynamics(artifact.dynamics, n, exact_number)
        if isinstance(artifact.dynamics, str)
        else equations(artifact.dynamics, n, controls)
    )
    quadratic = tuple(_numbers(row, f"V.quadratic[{k}]", n) for k, row in enumerate(artifact.V.quadratic))
    try:
        return LyapunovConditions(
            candidate,
            dynamics,
            region,
            _own_conditions(artifact.claims, n),
            origin,
            "exact",
            artifact.V.form,
            quadratic,
            reference,
            controller,
            core,
        )
    except ValueError as error:
        raise InvalidInput("TLC204", str(error)) from None


def _own_conditions(claims: Claims, n: int) -> tuple[Condition, ...]:
    if len(claims.gradient) not in (0, n):
        raise InvalidInput("TLC101", "wrong length", field="claims.gradient", expected=str(n))
    conditions = _range("V", _own_range(claims.value, "value"), VALUE)
    for i, component in enumerate(claims.gradient):
        ends = _own_range(component, f"gradient[{i}]")
        conditions += _range("gradient", ends, Condition("", partials=_unit(i, n)), f"component {i},")
    conditions += _range("V'", _own_range(claims.rate, "rate"), RATE)
    conditions += [POSITIVE] * claims.positive + [DECREASING] * claims.decreasing
    if claims.value_over_norm is not None:
        factor = exact_number(claims.value_over_norm, field="claims.value_over_norm")
        conditions.append(over_norm(factor))
    if claims.decay is not None:
        conditions.append(decay(exact_number(claims.decay, field="claims.decay")))
    if not conditions:
        raise InvalidInput("TLC101", "claims nothing", field="claims")
    return tuple(conditions)


def over_norm(factor: Fraction) -> Condition:
    """V >= factor |x - e|^2."""
    return Condition("V at least its multiple of |x - e|^2", value=Fraction(1), norm=-factor)


def decay(factor: Fraction) -> Condition:
    """V' <= -factor V."""
    return Condition("V' at most its multiple of V", value=-factor, rate=Fraction(-1))


def _own_range(ends: Range, field: str) -> tuple[Fraction | None, Fraction | None]:
    low, high = (
        None if text is None else exact_number(text, field=f"claims.{field}.{side}")
        for side, text in (("lower", ends.lower), ("upper", ends.upper))
    )
    return low, high


def _own_box(box: OwnBox, field: str) -> Box:
    lower = _numbers(box.lower, f"{field}.lower", len(box.lower))
    upper = _numbers(box.upper, f"{field}.upper", len(box.lower))
    return checked_box(tuple(zip(lower, upper, strict=True)), field)


def _numbers(texts: Sequence[str], field: str, count: int) -> Point:
    if len(texts) != count:
        raise InvalidInput("TLC101", "wrong length", field=field, expected=str(count), got=str(len(texts)))
    return tuple(exact_number(text, field=f"{field}[{k}]") for k, text in enumerate(texts))


def _own_network(source: str | ListsFile, files: Files, options: Options, field: str) -> tuple[Mlp, str]:
    """A file's numbers are exact decimals here, whatever the options."""
    if isinstance(source, str):
        return read_network(files.read(source, field), source, "exact"), f"of {ascii(source)[1:-1]}"
    return from_lists(source, _own_number, f"{field}."), "in the file"


def _own_number(raw: Raw, field: str) -> Fraction:
    return exact_number(part(raw, str, field), field=field)
