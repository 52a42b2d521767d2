"""PINN certificates of TorchLean: value and residual boxes of a scalar network at listed points.

TorchLean compares them with a network of its own and ignores the file's ``model``; here the network is the one in the
file (or the one given with --model), and the report says whether its numbers are those of TorchLean's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Raw, Struct

from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.expressions import parse_expression
from tlcheck.readers.files import Files
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.strict_json import decode
from tlcheck.readers.torchlean.mlp import ACTIVATIONS, network, read_network, unsupported_activation
from tlcheck.readers.torchlean.numbers import (
    EndLists,
    Ends,
    Read,
    decimals_text,
    interval,
    intervals,
    literal,
    number_reader,
)
from tlcheck.trusted.calculus.layers import ScalarNetwork
from tlcheck.trusted.calculus.mlp import Mlp
from tlcheck.trusted.science.pinn_points import DERIVATIVES, PinnPoint, PinnPoints

MAX_POINTS: Final = 10_000
"""Most points: each takes ten or more enclosures of the network."""


class Weights(Struct, frozen=True):
    W1: list[list[Raw]]
    b1: list[Raw]
    Wm: list[list[Raw]]
    bm: list[Raw]
    W2: list[list[Raw]]
    b2: list[Raw]


class Model(Struct, frozen=True):
    weights: Weights
    arch: list[int] | None = None
    activations: list[str] | None = None


class Settings(Struct, frozen=True):
    pde: str
    h: Raw
    eps: Raw
    points: list[Raw]


class ValueBoxes(Struct, frozen=True):
    x: Raw
    u_minus: Ends
    u: Ends
    u_plus: Ends


class Certificate(Struct, frozen=True):
    pinn: Settings
    u_bounds: list[ValueBoxes]
    residual_bounds: EndLists
    residual_bounds_deriv: EndLists
    model: Model | None = None


def load(data: bytes, files: Files, options: Options, format: str) -> Sequence[LoadedClaim]:
    """One claim. Raises InvalidInput."""
    certificate = decode(data, Certificate, files.where)
    read = number_reader(options.decimals)
    mlp, origin = _network(certificate.model, files, options, read)
    try:
        scalar = ScalarNetwork(mlp.layers)
    except ValueError as error:
        raise InvalidInput("TLC204", str(error), field="model") from None
    step, radius = read(certificate.pinn.h, "pinn.h"), read(certificate.pinn.eps, "pinn.eps")
    if not step:
        raise InvalidInput("TLC101", "the step is zero", field="pinn.h")
    if radius < 0:
        raise InvalidInput("TLC101", "negative", field="pinn.eps")
    residual = parse_expression(
        certificate.pinn.pde,
        DERIVATIVES.keys(),
        field="pinn.pde",
        number=lambda digits: literal(read(Raw(digits.encode()), "pinn.pde"), "pinn.pde"),
    )
    claim = PinnPoints(
        scalar,
        step,
        radius,
        _points(certificate, read),
        residual,
        origin,
        decimals_text(options.decimals),
        scalar.layers == _torchleans().layers,
    )
    return [LoadedClaim("boxes", claim, sources=dict(files.sources))]


def _network(model: Model | None, files: Files, options: Options, read: Read) -> tuple[Mlp, str]:
    given = files.given(options.model, "model")
    if given is not None:
        return read_network(given, str(options.model), options.decimals), "given with --model"
    if model is None:
        raise InvalidInput("TLC101", "no network in the file: name one with --model", field="model")
    w = model.weights
    names = ["tanh", "tanh"] if model.activations is None else model.activations
    if len(names) != 2:
        raise InvalidInput("TLC204", "wrong number of activations", field="model.activations", expected="2")
    for k, name in enumerate(names):
        if name not in ACTIVATIONS:
            raise unsupported_activation(name, f"model.activations[{k}]", ACTIVATIONS)
    mlp = network(
        [
            (w.W1, w.b1, ACTIVATIONS[names[0]], "model.weights.W1"),
            (w.Wm, w.bm, ACTIVATIONS[names[1]], "model.weights.Wm"),
            (w.W2, w.b2, "linear", "model.weights.W2"),
        ],
        read,
    )
    sizes = [mlp.inputs, *(len(layer.bias) for layer in mlp.layers)]
    if model.arch is not None and model.arch != sizes:
        raise InvalidInput("TLC204", "not the weights' sizes", field="model.arch", expected=str(sizes))
    return mlp, "in the file"


def _points(certificate: Certificate, read: Read) -> tuple[PinnPoint, ...]:
    listed = certificate.pinn.points
    if not 0 < len(listed) <= MAX_POINTS:
        raise InvalidInput(
            "TLC101",
            "wrong number of points",
            field="pinn.points",
            expected=f"1 to {MAX_POINTS}",
            got=str(len(listed)),
        )
    if len(certificate.u_bounds) != len(listed):
        raise InvalidInput(
            "TLC101",
            "wrong length",
            field="u_bounds",
            expected=str(len(listed)),
            got=str(len(certificate.u_bounds)),
        )
    quotients = intervals(certificate.residual_bounds, read, "residual_bounds", len(listed))
    residuals = intervals(certificate.residual_bounds_deriv, read, "residual_bounds_deriv", len(listed))
    points = []
    for k, (x, boxes) in enumerate(zip(listed, certificate.u_bounds, strict=True)):
        at = f"u_bounds[{k}]"
        values = (
            interval(boxes.u_minus, read, f"{at}.u_minus"),
            interval(boxes.u, read, f"{at}.u"),
            interval(boxes.u_plus, read, f"{at}.u_plus"),
        )
        points.append(
            PinnPoint(
                read(x, f"pinn.points[{k}]"), read(boxes.x, f"{at}.x"), values, quotients[k], residuals[k]
            )
        )
    return tuple(points)


def _torchleans() -> Mlp:
    """The network that TorchLean's command checks instead of the file's: 1-16-16-1, in binary64 arithmetic."""

    def raw(value: float) -> Raw:
        return Raw(repr(value).encode())

    hidden = range(16)
    return network(
        [
            (
                [[raw(0.1 * (i + 1))] for i in hidden],
                [raw(0.05 * (i - 8)) for i in hidden],
                "tanh",
                "",
            ),
            (
                [[raw(1.0 if i == j else 0.05) for j in hidden] for i in hidden],
                [raw(0.0)] * 16,
                "tanh",
                "",
            ),
            ([[raw(0.1 + 0.01 * j) for j in hidden]], [raw(0.0)], "linear", ""),
        ],
        number_reader("binary64"),
    )
