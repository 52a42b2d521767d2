"""ODE corridors: TorchLean's certificates (no tag) and our own (``tlcheck.corridor/1``; certificates/formats/corridor.md).

TorchLean means the nearest binary64 by its JSON numbers, and by the numbers of its ``rhs``; our format means exact ones.
Of TorchLean's settings only ``slack`` could change what is proved: it is capped by what the user allows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Final, Literal

from msgspec import Meta, Raw, Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.decimals import exact_number, parse_decimal
from tlcheck.readers.expressions import is_name, parse_expression
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.layers import LAYER, check_layers
from tlcheck.trusted.calculus.expression import Expression
from tlcheck.trusted.calculus.layers import Layer, ScalarNetwork
from tlcheck.trusted.science.corridor import CorridorClaim, Segment
from tlcheck.trusted.science.curves import TIME, Curve

MAX_WEIGHTS: Final = 1_000_000
"""Most weights of one curve: each costs a ball; learned corridors have a thousand."""
MAX_SEGMENTS: Final = 10_000

_NUMBER: Final = re.compile(rb'-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?')  # fmt: skip


class Interval(Struct, frozen=True):
    lo: Raw
    hi: Raw


class TorchLeanSegment(Struct, frozen=True):
    t0: Raw
    t1: Raw
    init: Raw
    lowerWeights: str
    upperWeights: str


class Settings(Struct, frozen=True):
    """What TorchLean reads; only ``slack`` is used here."""

    maxDepth: Raw = Raw(b"18")
    minWidth: Raw = Raw(b"0.001")
    slack: Raw = Raw(b"0")
    verbose: bool = False
    modelBackend: Literal["direct", "torchlean"] = "direct"
    scalar: Literal["float", "ieee32exec"] = "float"


class TorchLeanCorridor(Struct, frozen=True):
    rhs: str
    segments: Annotated[list[TorchLeanSegment], Meta(min_length=1, max_length=MAX_SEGMENTS)]
    settings: Settings = Settings()


class StateDictMeta(Struct, frozen=True):
    activation: Literal["tanh", "relu", "sin"]


class NetworkLayer(Struct, frozen=True, forbid_unknown_fields=True):
    weight: list[list[str]]
    bias: list[str]
    activation: Literal["linear", "relu", "sigmoid", "sin", "tanh"] = "linear"


class OwnCurve(Struct, frozen=True, forbid_unknown_fields=True):
    """One of ``layers``, ``expression`` (of t) and ``file`` (a state dict as TorchLean's, with its hash)."""

    layers: list[NetworkLayer] | None = None
    expression: str | None = None
    file: str | None = None
    sha256: str = ""


class OwnInterval(Struct, frozen=True, forbid_unknown_fields=True):
    lo: str
    hi: str


class OwnSegment(Struct, frozen=True, forbid_unknown_fields=True):
    t0: str
    t1: str
    init: list[OwnInterval]
    lower: list[OwnCurve]
    upper: list[OwnCurve]


class OwnCorridor(Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["tlcheck.corridor/1"]
    states: Annotated[list[str], Meta(min_length=1, max_length=64)]
    rhs: list[str]
    segments: Annotated[list[OwnSegment], Meta(min_length=1, max_length=MAX_SEGMENTS)]
    slack: str = "0"
    forever: bool = False
    name: str = ""


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """The corridor in the artifact. Raises InvalidInput: TLC101, TLC106, TLC203, TLC204, TLC401, TLC402, TLC404."""
    if options.model is not None:
        raise InvalidInput("TLC101", "a corridor names its own networks: --model does not apply")
    own = format == "tlcheck.corridor"
    numbers = _Numbers("exact" if own and options.decimals == "format" else options.decimals)
    claim, name = (_own if own else _torchlean)(data, files, options, numbers)
    return [
        LoadedClaim(name or "corridor", claim, sources=files.sources, producer="" if own else "TorchLean")
    ]


class _Numbers:
    """How decimals are read."""

    def __init__(self, decimals: str) -> None:
        self.exact = decimals == "exact"
        self.meaning = "exact decimals" if self.exact else "the nearest binary64 of each"

    def raw(self, raw: Raw, field: str) -> Fraction:
        """A JSON number, or a string that holds one."""
        text = bytes(raw)
        if text[:1] == text[-1:] == b'"':
            text = text[1:-1]
        if _NUMBER.fullmatch(text) is None:
            raise InvalidInput(
                "TLC101", "not a number", field=field, got=ascii(text[:60].decode("utf-8", "replace"))
            )
        return self.literal(text.decode(), field)

    def literal(self, text: str, field: str) -> Fraction:
        """A decimal literal."""
        return self.rounded(parse_decimal(text, code="TLC101", field=field), field)

    def own(self, text: str, field: str) -> Fraction:
        """A number of our formats."""
        return self.rounded(exact_number(text, field=field), field)

    def rounded(self, q: Fraction, field: str) -> Fraction:
        if self.exact:
            return q
        try:
            return Fraction(float(q))
        except OverflowError:
            raise InvalidInput("TLC101", "a number beyond binary64", field=field) from None


def _torchlean(data: bytes, files: Files, options: Options, numbers: _Numbers) -> tuple[CorridorClaim, str]:
    top = decode(data, TorchLeanCorridor, files.where)
    rhs = parse_expression(top.rhs, (TIME, "u"), field="rhs", number=lambda s: numbers.literal(s, "rhs"))
    segments = []
    for k, s in enumerate(top.segments):
        field = f"segments[{k}]"
        initial = _initial(s.init, files.where, numbers, f"{field}.init")
        curves = [
            (_state_dict(files.read(name, f"{field}.{role}"), name, numbers),)
            for role, name in (("lowerWeights", s.lowerWeights), ("upperWeights", s.upperWeights))
        ]
        start, end = numbers.raw(s.t0, f"{field}.t0"), numbers.raw(s.t1, f"{field}.t1")
        segments.append(_segment(start, end, (initial,), curves[0], curves[1], field))
    slack = numbers.raw(top.settings.slack, "settings.slack")
    return _claim(("u",), (rhs,), segments, slack, options, numbers, forever=False), ""


def _initial(raw: Raw, file: str, numbers: _Numbers, field: str) -> tuple[Fraction, Fraction]:
    if bytes(raw)[:1] == b"{":
        ends = decode(bytes(raw), Interval, file)
        return numbers.raw(ends.lo, f"{field}.lo"), numbers.raw(ends.hi, f"{field}.hi")
    value = numbers.raw(raw, field)
    return value, value


def _state_dict(data: bytes, file: str, numbers: _Numbers) -> ScalarNetwork:
    """layers.<i>.weight, layers.<i>.bias and meta.activation, which follows every layer but the last."""
    try:
        found = decode(data, dict[str, Raw], file)
        check_layers(found)
        given = {(int(m[1]), m[2]): raw for key, raw in found.items() if (m := LAYER.fullmatch(key))}
        count = len(given) // 2
        if not count or set(given) != {(i, part) for i in range(count) for part in ("weight", "bias")}:
            raise InvalidInput("TLC101", "expected layers.0.weight, layers.0.bias, layers.1.weight, ...")
        activation = "linear"
        if count > 1 or "meta" in found:
            activation = decode(bytes(found.get("meta", Raw(b"{}"))), StateDictMeta, file).activation
        layers = []
        for i in range(count):
            rows = decode(bytes(given[i, "weight"]), list[list[Raw]], file)
            bias = decode(bytes(given[i, "bias"]), list[Raw], file)
            _count_weights(rows, bias, f"layers.{i}")
            layers.append(
                _layer(
                    [[numbers.raw(x, f"layers.{i}.weight") for x in row] for row in rows],
                    [numbers.raw(x, f"layers.{i}.bias") for x in bias],
                    activation if i < count - 1 else "linear",
                    f"layers.{i}",
                )
            )
        return _network(layers, "layers")
    except InvalidInput as error:
        raise error.in_file(file) from error.__cause__


def _own(data: bytes, files: Files, options: Options, numbers: _Numbers) -> tuple[CorridorClaim, str]:
    top = decode(data, OwnCorridor, files.where)
    states = tuple(top.states)
    if len({*states, TIME}) != len(states) + 1 or not all(is_name(u) for u in states):
        raise InvalidInput(
            "TLC101", "states need different names, none of them t, pi or a function", field="states"
        )
    _per_state(top.rhs, states, "rhs")
    rhs = tuple(
        parse_expression(f, (TIME, *states), field=f"rhs[{i}]", number=lambda s: numbers.literal(s, "rhs"))
        for i, f in enumerate(top.rhs)
    )
    segments = []
    for k, s in enumerate(top.segments):
        field = f"segments[{k}]"
        for part, given in (("init", s.init), ("lower", s.lower), ("upper", s.upper)):
            _per_state(given, states, f"{field}.{part}")
        initial = tuple(
            (numbers.own(x.lo, f"{field}.init[{i}].lo"), numbers.own(x.hi, f"{field}.init[{i}].hi"))
            for i, x in enumerate(s.init)
        )
        lower, upper = (
            tuple(_own_curve(c, files, numbers, f"{field}.{side}[{i}]") for i, c in enumerate(curves))
            for side, curves in (("lower", s.lower), ("upper", s.upper))
        )
        start, end = numbers.own(s.t0, f"{field}.t0"), numbers.own(s.t1, f"{field}.t1")
        segments.append(_segment(start, end, initial, lower, upper, field))
    slack = numbers.own(top.slack, "slack")
    return _claim(states, rhs, segments, slack, options, numbers, forever=top.forever), top.name


def _per_state(given: Sequence[object], states: Sequence[str], field: str) -> None:
    if len(given) != len(states):
        raise InvalidInput(
            "TLC101", "one per state", field=field, expected=str(len(states)), got=str(len(given))
        )


def _own_curve(curve: OwnCurve, files: Files, numbers: _Numbers, field: str) -> Curve:
    given = [part for part in ("layers", "expression", "file") if getattr(curve, part) is not None]
    if len(given) != 1:
        raise InvalidInput(
            "TLC101", "a curve has layers, an expression or a file", field=field, got=", ".join(given)
        )
    if curve.expression is not None:
        return parse_expression(
            curve.expression, (TIME,), field=field, number=lambda s: numbers.literal(s, field)
        )
    if curve.file is not None:
        if re.fullmatch("[0-9a-fA-F]{64}", curve.sha256) is None:
            raise InvalidInput("TLC101", "a file needs its sha256", field=field)
        return _state_dict(files.read(curve.file, field, curve.sha256), curve.file, numbers)
    layers = []
    for i, layer in enumerate(curve.layers or []):
        at = f"{field}.layers[{i}]"
        _count_weights(layer.weight, layer.bias, at)
        layers.append(
            _layer(
                [[numbers.own(x, at) for x in row] for row in layer.weight],
                [numbers.own(x, at) for x in layer.bias],
                layer.activation,
                at,
            )
        )
    return _network(layers, field)


def _count_weights(rows: Sequence[Sequence[object]], bias: Sequence[object], field: str) -> None:
    if sum(map(len, rows)) + len(bias) > MAX_WEIGHTS:
        raise InvalidInput("TLC401", "too many weights", field=field, expected=f"at most {MAX_WEIGHTS}")


def _layer(weight: list[list[Fraction]], bias: list[Fraction], activation: str, field: str) -> Layer:
    try:
        return Layer(tuple(map(tuple, weight)), tuple(bias), activation)
    except ValueError as error:
        raise InvalidInput("TLC204", str(error), field=field) from None


def _network(layers: list[Layer], field: str) -> ScalarNetwork:
    try:
        return ScalarNetwork(tuple(layers))
    except ValueError as error:
        raise InvalidInput("TLC204", str(error), field=field) from None


def _segment(
    start: Fraction,
    end: Fraction,
    initial: tuple[tuple[Fraction, Fraction], ...],
    lower: tuple[Curve, ...],
    upper: tuple[Curve, ...],
    field: str,
) -> Segment:
    try:
        return Segment(start, end, initial, lower, upper)
    except ValueError as error:
        raise InvalidInput("TLC101", str(error), field=field) from None


def _claim(
    states: tuple[str, ...],
    rhs: tuple[Expression, ...],
    segments: list[Segment],
    slack: Fraction,
    options: Options,
    numbers: _Numbers,
    *,
    forever: bool,
) -> CorridorClaim:
    if slack < 0:
        raise InvalidInput("TLC101", "a negative slack", field="slack")
    used = min(slack, options.slack)
    try:
        return CorridorClaim(states, rhs, tuple(segments), used, forever, numbers.meaning)
    except ValueError as error:
        raise InvalidInput("TLC101", str(error)) from None
