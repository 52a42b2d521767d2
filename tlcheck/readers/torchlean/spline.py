"""Splines: TorchLean's ``piecewise_poly_v0``, and ``tlcheck.spline/1`` (certificates/formats/spline.md).

Both are exact: a number is a string, an integer or a quotient (ours: any exact number); JSON numbers are refused. Only a
network's weights follow the rule for decimals of their own format.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.asked import note_asked
from tlcheck.readers.bytes import sha256_hex
from tlcheck.readers.decimals import exact_number
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.strict_json import decode
from tlcheck.trusted.science.piecewise import Distance, Piece
from tlcheck.trusted.science.spline import SplineClaim, Wants

MAX_DEGREE: Final = 100
"""Bernstein coefficients of higher degrees have more digits than their sign needs anybody to compute."""
MAX_BITS: Final = 1 << 16
"""Longest exact number of a piece, in bits, width^degree among them: greatest common divisors take the square of it."""
MAX_PIECES: Final = 1_000_000
_RATIONAL: Final = re.compile(r"-?[0-9]++(?:/[0-9]++)?")
_ONLY_INTERPOLATION: Final = "; the artifact carries no network: nothing about one"


class TorchLeanPiece(Struct, frozen=True):
    lo: str
    hi: str
    coeffs: list[str]


class TorchLeanSpline(Struct, frozen=True):
    degree: Annotated[int, Meta(ge=0)] | Annotated[str, Meta(pattern="^[0-9]{1,9}$")]
    xs: list[str]
    ys: list[str]
    pieces: list[TorchLeanPiece]


class DistanceText(Struct, frozen=True, forbid_unknown_fields=True):
    network: str
    bound: str
    sha256: str = ""


class Spline(Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["tlcheck.spline/1"]
    knots: list[str]
    pieces: list[list[str]]
    name: str = ""
    values: list[str] | None = None
    smooth: Annotated[int, Meta(ge=0, le=MAX_DEGREE)] = 0
    monotone: Literal["increasing", "nondecreasing", "decreasing", "nonincreasing"] | None = None
    convex: Literal["convex", "concave"] | None = None
    range: tuple[str, str] | None = None
    distance: DistanceText | None = None


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """One claim. Raises InvalidInput TLC101, TLC106, TLC401, and what reading the network raises."""
    name, claim = _torchlean(data, files) if format == "torchlean-spline" else _ours(data, files, options)
    return [LoadedClaim(name or "spline", claim, sources=files.sources)]


def _torchlean(data: bytes, files: Files) -> tuple[str, SplineClaim]:
    text = decode(data, TorchLeanSpline, files.where)
    _count("xs", len(text.xs), 2, MAX_PIECES + 1)
    _count("ys", len(text.ys), len(text.xs), len(text.xs))
    _count("pieces", len(text.pieces), len(text.xs) - 1, len(text.xs) - 1)
    degree = int(text.degree)
    _degree("degree", degree)
    knots, values = _rationals(text.xs, "xs"), _rationals(text.ys, "ys")
    pieces = []
    for i, piece in enumerate(text.pieces):
        _count(f"pieces[{i}].coeffs", len(piece.coeffs), degree + 1, degree + 1)
        lower, upper = _rationals([piece.lo, piece.hi], f"pieces[{i}].lo, hi")
        made = Piece(lower, upper, _rationals(piece.coeffs, f"pieces[{i}].coeffs"))
        pieces.append(_short(made, f"pieces[{i}]"))
    return "spline", SplineClaim(knots, tuple(pieces), Wants(values=values), _ONLY_INTERPOLATION)


def _ours(data: bytes, files: Files, options: Options) -> tuple[str, SplineClaim]:
    text = decode(data, Spline, files.where)
    _count("knots", len(text.knots), 2, MAX_PIECES + 1)
    _count("pieces", len(text.pieces), len(text.knots) - 1, len(text.knots) - 1)
    knots = _numbers(text.knots, "knots")
    pieces = []
    for i, (coefficients, a, b) in enumerate(zip(text.pieces, knots, knots[1:], strict=False)):
        _degree(f"pieces[{i}]", len(coefficients) - 1)
        pieces.append(_short(Piece(a, b, _numbers(coefficients, f"pieces[{i}]")), f"pieces[{i}]"))
    if text.values is not None:
        _count("values", len(text.values), len(knots), len(knots))
    ends = None if text.range is None else _numbers(text.range, "range")
    wants = Wants(
        values=None if text.values is None else _numbers(text.values, "values"),
        smooth=text.smooth,
        monotone=text.monotone,
        convex=text.convex,
        range=None if ends is None else (ends[0], ends[1]),
        distance=None if text.distance is None else _distance(text.distance, files, options),
    )
    note = "" if text.distance else "; the artifact names no network: nothing about one"
    return text.name, SplineClaim(knots, tuple(pieces), wants, note)


def _distance(text: DistanceText, files: Files, options: Options) -> Distance:
    given = files.given(options.model, "model")
    if given is not None and text.sha256 and sha256_hex(given) != text.sha256.lower():
        raise InvalidInput(
            "TLC103", "--model is not the network of this spline (SHA-256)", field="distance.sha256"
        )
    data = files.read(text.network, "distance.network", text.sha256) if given is None else given
    from tlcheck.readers.torchlean.mlp import read_network  # for splines that name a network
    from tlcheck.trusted.calculus.layers import ScalarNetwork

    note_asked("tlcheck.readers.torchlean.mlp")
    mlp = read_network(data, text.network, options.decimals)
    try:
        network = ScalarNetwork(mlp.layers)
    except ValueError as error:
        raise InvalidInput("TLC204", str(error), field="distance.network") from None
    return Distance(network, exact_number(text.bound, field="distance.bound"))


def _rationals(texts: Sequence[str], field: str) -> tuple[Fraction, ...]:
    """TorchLean's: p or p/q, in digits."""
    for text in texts:
        if _RATIONAL.fullmatch(text) is None:
            raise InvalidInput("TLC101", "not a rational number p or p/q", field=field, got=ascii(text[:60]))
    return _numbers(texts, field)


def _numbers(texts: Sequence[str], field: str) -> tuple[Fraction, ...]:
    return tuple(exact_number(text, field=field) for text in texts)


def _count(field: str, got: int, least: int, most: int) -> None:
    if not least <= got <= most:
        expected = str(least) if least == most else f"{least} to {most}"
        raise InvalidInput("TLC101", "wrong length", field=field, expected=expected, got=str(got))


def _short(piece: Piece, field: str) -> Piece:
    """The piece, when its numbers are short enough to decide anything exactly."""
    longest = len(piece.coefficients) * _bits(piece.width) + max(map(_bits, piece.coefficients))
    if longest > MAX_BITS:
        raise InvalidInput(
            "TLC401", "numbers too long for the degree", field=field, expected=f"at most {MAX_BITS} bits", got=str(longest)
        )  # fmt: skip
    return piece


def _bits(q: Fraction) -> int:
    return q.numerator.bit_length() + q.denominator.bit_length()


def _degree(field: str, degree: int) -> None:
    if degree < 0:
        raise InvalidInput("TLC101", "no coefficient", field=field)
    if degree > MAX_DEGREE:
        raise InvalidInput("TLC401", "too high a degree", field=field, expected=f"at most {MAX_DEGREE}")
