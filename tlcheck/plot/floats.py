"""Expressions, networks, closed loops and candidates in float64 on many points at once: approximate, for pictures only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import pi

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.calculus.expression import Apply, Expression, Number, Pi, Power, Product, Sum, Variable
from tlcheck.trusted.science.closed_loop import Block, Loop
from tlcheck.trusted.science.dense_network import Dense
from tlcheck.trusted.science.lyapunov_candidate import Candidate

Floats = NDArray[np.float64]
Field = Callable[[Floats], Floats]
"""From points (n, ...) to values (n, ...)."""


def value(e: Expression, at: Mapping[str, Floats]) -> Floats:
    """The expression at points; NaN or infinite where it has no value."""
    match e:
        case Number(q):
            return np.float64(float(q)) + np.zeros_like(next(iter(at.values())))
        case Pi():
            return np.float64(pi) + np.zeros_like(next(iter(at.values())))
        case Variable(name):
            return at[name]
        case Sum(terms, minus):
            total = np.zeros_like(next(iter(at.values())))
            for term, less in zip(terms, minus, strict=True):
                total = total - value(term, at) if less else total + value(term, at)
            return total
        case Product(factors, under):
            product = np.ones_like(next(iter(at.values())))
            for factor, below in zip(factors, under, strict=True):
                product = product / value(factor, at) if below else product * value(factor, at)
            return product
        case Power(base, exponent):
            power = int(exponent) if exponent.denominator == 1 else float(exponent)
            return np.power(value(base, at), np.float64(power))
        case Apply(function, argument):
            found: Floats = getattr(np, function)(value(argument, at))
            return found


def _activated(x: Floats, name: str, slope: float = 0.0) -> Floats:
    match name:
        case "linear":
            return x
        case "relu":
            return np.maximum(x, 0)
        case "leaky_relu":
            return np.where(x > 0, x, slope * x)
        case "sigmoid":
            return (1 + np.tanh(x / 2)) / 2
        case _:
            found: Floats = getattr(np, name)(x)
            return found


def network(dense: Dense) -> Field:
    """(inputs, points) -> (outputs, points)."""
    layers = [
        (np.array([[float(q) for q in row] for row in s.weight]), np.array([[float(q)] for q in s.bias]))
        for s in dense.layers
    ]

    def run(x: Floats) -> Floats:
        for k, (weight, bias) in enumerate(layers):
            x = weight @ x + bias
            if k + 1 < len(layers):
                x = _activated(x, dense.activation, float(dense.slope))
        return x

    return run


def loop(of: Loop) -> Field:
    """F, from states (n, points)."""
    blocks = [(block, network(block.network)) for block in of.blocks]

    def run(x: Floats) -> Floats:
        named = dict(zip(of.states, x, strict=True))
        for block, net in blocks:
            named |= zip(block.names, _block(block, net, named), strict=True)
        return np.array([value(e, named) for e in of.equations])

    return run


def _block(block: Block, net: Field, named: Mapping[str, Floats]) -> Floats:
    out = net(np.array([value(e, named) for e in block.inputs]))
    if block.minus:
        out = out - net(np.array([value(e, named) for e in block.minus]))
    out = _activated(out, block.outer)
    if block.shift:
        out = out + np.array([[float(q)] for q in block.shift])
    if block.clip:
        ends = np.array([[float(a), float(b)] for a, b in block.clip])
        out = np.clip(out, ends[:, :1], ends[:, 1:])
    return out


def candidate(of: Candidate) -> Field:
    """V, from states (n, points) to (points,)."""
    centre = np.array([[float(q)] for q in of.centre])
    net = None if of.network is None else network(of.network)
    rows = np.array([[float(q) for q in row] for row in of.l1])
    matrix = np.array([[float(q) for q in row] for row in of.quadratic])

    def run(x: Floats) -> Floats:
        offset = x - centre
        total = np.zeros(x.shape[1:])
        if net is not None:
            out = net(x) - net(centre) if of.difference else net(x)
            total = total + _activated(out[0], of.outer)
        if rows.size:
            total = total + np.abs(rows @ offset).sum(axis=0)
        if matrix.size:
            total = total + np.einsum("ip,ij,jp->p", offset, matrix, offset)
        return total

    return run


def step(field: Field, x: Floats, h: float | Floats) -> Floats:
    """One step of the classical Runge-Kutta method for x' = field(x)."""
    a = field(x)
    b = field(x + h / 2 * a)
    c = field(x + h / 2 * b)
    d = field(x + h * c)
    return x + h / 6 * (a + 2 * b + 2 * c + d)
