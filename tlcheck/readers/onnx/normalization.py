"""Normalisations by the operand's own mean and variance, written out: (x - mean) / sqrt(variance + epsilon) gain + bias."""

from __future__ import annotations

import numpy as np

from tlcheck.readers.onnx import exact
from tlcheck.readers.onnx.arithmetic import ONE, add_signed, multiplied, scale
from tlcheck.readers.onnx.call import NO_FORM, Call
from tlcheck.readers.onnx.operands import Data, Shape, Value
from tlcheck.readers.onnx.reductions import mean, sum_over
from tlcheck.trusted.arith.constant import Constant
from tlcheck.trusted.ops.affine import Linear, Sum
from tlcheck.trusted.ops.bent import Abs
from tlcheck.trusted.ops.product import Product
from tlcheck.trusted.ops.smooth import Power, Reciprocal, Sqrt
from tlcheck.trusted.ops.statistics import MEAN, VARIANCE, Statistic, Unlike


def normalised(call: Call, x: Data, axes: Shape, epsilon: float) -> tuple[Data, Data, Data]:
    """(x - m) / sqrt(mean of (x - m)^2 + epsilon), m, and 1 / sqrt(..), over ``axes``, the last (kept, of size 1)."""
    centred, centre = _centred(call, x, axes)
    scaled, inverse = by_mean_square(call, centred, axes, epsilon, x)
    return scaled, centre, inverse


def _centred(call: Call, x: Data, axes: Shape) -> tuple[Data, Data]:
    """x - m, and m, the mean over ``axes``, the last."""
    centre = call.emit(Statistic(call.op, MEAN), mean(call, x, axes, True), x)
    return call.emit(Sum((1, -1)), x, call.data(call.broadcast(centre, x.shape))), centre


def _times(call: Call, x: Data, factor: Value) -> Data:
    """x times a factor that broadcasts to it."""
    return call.emit(Product(), x, call.data(call.broadcast(factor, x.shape)))


def by_mean_square(
    call: Call, x: Data, axes: Shape, epsilon: float, of: Data | None = None
) -> tuple[Data, Data]:
    """x / sqrt(mean of x^2 + epsilon) and 1 / sqrt(..). ``of``: what the mean of squares is the variance of."""
    call.refuse(any(x.shape[a] == 0 for a in axes), "empty set")
    square = mean(call, call.emit(Power(2.0), x), axes, True)
    if of is not None:
        square = call.emit(Statistic(call.op, VARIANCE), square, of)
    root = call.emit(Sqrt(), scale(call, square, ONE, Constant(np.array(epsilon)), 1))
    inverse = call.emit(Reciprocal(), root)
    return _times(call, x, inverse), inverse


def affine_of(call: Call, x: Value, gain: Value | None, bias: Value | None) -> Value:
    """x gain + bias, which broadcast to x."""
    for part in (gain, bias):
        if part is not None and not call.fits(part.shape, x.shape):
            raise call.misshapen(f"{part.shape} does not broadcast to {x.shape}")
    y = x if gain is None else multiplied(call, x, gain)
    return y if bias is None else add_signed(call, y, bias, 1)


def _trailing(call: Call, x: Data) -> Shape:
    """The axes from ``axis`` on."""
    return tuple(range(call.axis(call.attr_int("axis", -1), len(x.shape)), len(x.shape)))


def _stash(call: Call) -> None:
    """Statistics in float32: in another type they may overflow, and runtimes have no such form. Raises TLC202."""
    call.refuse(call.attr_int("stash_type", 1) != 1, "stash_type other than float32")


def layer_normalization(call: Call) -> list[Value]:
    """Over the last axes; further outputs: the mean and 1 / sqrt(variance + epsilon)."""
    x = call.variable(0)
    _stash(call)
    y, centre, inverse = normalised(call, x, _trailing(call, x), call.attr_float("epsilon", 1e-5))
    return [affine_of(call, y, call.value(1), call.optional(2)), centre, inverse]


def rms_normalization(call: Call) -> list[Value]:
    """x / sqrt(mean of x^2 + epsilon) gain, over the last axes."""
    x = call.variable(0)
    _stash(call)
    y, _ = by_mean_square(call, x, _trailing(call, x), call.attr_float("epsilon", 1e-5))
    return [affine_of(call, y, call.value(1), None)]


def instance_normalization(call: Call) -> list[Value]:
    """Over the spatial axes; one gain and bias per channel.

    onnxruntime's CPU kernel computes y = x c + (b - m c), c = gain / deviation, whose terms may cancel: beyond the errors of m
    and c, u (|x| + |m|) |c| + u (|b| + |m c|) + u |y|. The step x - m is charged 3 u (|x| + |m|), which c multiplies; the last
    product and sum are charged the rest.
    """
    x = call.variable(0)
    call.refuse_shape(len(x.shape) < 3, f"operand {x.shape} without spatial axes")
    y, *_ = normalised(call, x, tuple(range(2, len(x.shape))), call.attr_float("epsilon", 1e-5))
    return [affine_of(call, y, *(_per_channel(call, x, call.value(i), 1) for i in (1, 2)))]


def group_normalization(call: Call) -> list[Value]:
    """Over the channels of a group and the spatial axes. Gain and bias: per group before opset 21, else per channel."""
    x, groups = call.variable(0), call.required_int("num_groups")
    _stash(call)
    if len(x.shape) < 3 or groups < 1 or x.shape[1] % groups:
        raise call.misshapen(f"{groups} groups for operand {x.shape}")
    split = (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    grouped = call.data(call.reshape(x, split))
    axes = tuple(range(2, len(split)))
    y, *_ = normalised(call, grouped, axes, call.attr_float("epsilon", 1e-5))
    repeats = split[2] if call.opset < 21 else 1
    parts = (_per_channel(call, x, call.value(i), repeats) for i in (1, 2))
    return [affine_of(call, call.reshape(y, x.shape), *parts)]


def _per_channel(call: Call, x: Data, values: Value, repeats: int) -> Value:
    """One number per channel (each repeated), beside x's channel axis."""
    channels = x.shape[1]
    if len(values.shape) != 1 or values.shape[0] * repeats != channels:
        raise call.misshapen(f"{values.shape} for {channels} channels")
    return call.move(values, lambda a: np.repeat(a, repeats).reshape(channels, *(1,) * (len(x.shape) - 2)))


def lp_normalization(call: Call) -> list[Value]:
    """x / |x|_p along ``axis``, p = 1 or 2; no value where the norm is 0."""
    x, p = call.variable(0), call.attr_int("p", 2)
    axes = (call.axis(call.attr_int("axis", -1), len(x.shape)),)
    call.refuse(p not in (1, 2), f"p {p}")
    size = sum_over(call, call.emit(Abs() if p == 1 else Power(2.0), x), axes, True)
    inverse = call.emit(Reciprocal(), size if p == 1 else call.emit(Sqrt(), size))
    return [_times(call, x, inverse)]


def lrn(call: Call) -> list[Value]:
    """x / (bias + alpha / size times the sum of x^2 over ``size`` channels around)^beta"""
    x, size = call.variable(0), call.required_int("size")
    alpha, beta, bias = (call.attr_float(n, d) for n, d in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    if len(x.shape) < 3 or size < 1 or beta <= 0:
        raise call.misshapen(f"size {size}, beta {beta} for operand {x.shape}")
    call.refuse(size % 2 == 0, "an even size", NO_FORM)
    channels = x.shape[1]
    call.foldable(channels * channels)
    distance = np.arange(channels)[:, None] - np.arange(channels)
    # channel i counts for channel j when j - (size - 1) // 2 <= i <= j + size // 2
    # runtimes add the channel that enters and subtract the one that leaves: what a large one rounded stays in the sum
    band = ((distance >= -((size - 1) // 2)) & (distance <= size // 2)).astype(np.float32)
    factor = exact.divide(Constant(np.array(alpha)), Constant(np.array(float(size))))

    def inverse(squares: Data) -> Data:
        sums = call.emit(
            Unlike("LRN, whose sums runtimes keep running"), call.emit(Linear(Constant(band)), squares)
        )
        base = scale(call, sums, factor, Constant(np.array(bias)), 2)
        return call.emit(Reciprocal(), base if beta == 1 else call.emit(Power(beta), base))

    return [_times(call, x, call.over_last(call.emit(Power(2.0), x), 1, inverse))]


def batch_normalization(call: Call) -> list[Value]:
    """factor (x - mean) + bias, factor = scale / sqrt(var + epsilon), per channel.

    Two steps, so that the deployed radius sees |x| + |mean|: runtimes also compute x factor + (bias - mean factor), whose
    second term may cancel. Roundings: at most 6 of x factor or mean factor, 2 of the bias.
    """
    x = call.variable(0)
    other = call.attr_flag("training_mode", False) or call.attr_int("spatial", 1) != 1
    call.refuse(other, "training mode or spatial 0")
    # before opset 14 this is what training mode is; from 14 on it is no form at all
    names = ", ".join(map(repr, call.outputs))
    call.refuse(len(call.outputs) > 1, f"more outputs than one ({names}): training mode")
    call.attr_float("momentum", 0.9)
    epsilon = call.attr_float("epsilon", 1e-5)
    parts = [call.known(i).settled() for i in (1, 2, 3, 4)]
    call.require_float(*parts)
    channels = x.shape[1] if len(x.shape) > 1 else 1
    wrong = any(p.shape != (channels,) for p in parts)
    call.refuse_shape(wrong, f"statistics of shapes {[p.shape for p in parts]} for {channels} channels")
    gain, bias, mean, variance = (p.constant() for p in parts)
    factor = call.exactly(lambda: exact.normalisation(gain, variance, epsilon))
    shape = (channels, *(1,) * max(len(x.shape) - 2, 0))

    def spread(values: Constant) -> Constant:
        return values.moved(lambda a: a.reshape(shape))

    one = Constant(np.ones((1,) * len(shape)))
    centred = scale(call, x, one, spread(exact.negative(mean)), 5)
    return [scale(call, centred, spread(factor), spread(bias), 4)]
