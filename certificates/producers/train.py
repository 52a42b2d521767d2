"""Train the corpus's models with plain numpy, and write ``trained.safetensors``: ``python corpus.py --train``.

Adam on cross-entropy at points moved by one signed-gradient step, so that small robustness proofs exist. Weights are
rounded to multiples of 2^-8. Floating-point sums differ between machines, so a second training gives other weights:
the committed file is the source, and the corpus never depends on this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from models import ARCHITECTURES, BN_EPSILON, SCALE_BITS, TRAINED, Architecture, Layer, parameters_of
from numpy.typing import NDArray

Array = NDArray[Any]

SEED: Final = 20
EPOCHS: Final = 80
BATCH: Final = 64
RATE: Final = 3e-3
MOVE: Final = 0.08
"""Size of the adversarial step, in units of the full pixel range."""
DECAY: Final = 2e-4
KEPT_IMAGES: Final = 12


class Value:
    """A node of the tape: ``data`` (batch, ...) and, after ``backward``, ``grad``."""

    def __init__(
        self,
        data: Array,
        parents: tuple[Value, ...] = (),
        pull: Callable[[Array], tuple[Array | None, ...]] | None = None,
    ) -> None:
        self.data, self.parents, self.pull = data, parents, pull
        self.grad: Array = np.zeros_like(data)

    def backward(self, seed: Array) -> None:
        """Accumulate gradients of <seed, data> in everything it depends on."""
        order: list[Value] = []
        seen: set[int] = set()

        def visit(node: Value) -> None:
            if id(node) not in seen:
                seen.add(id(node))
                for parent in node.parents:
                    visit(parent)
                order.append(node)

        visit(self)
        for node in order:
            node.grad = np.zeros_like(node.data)
        self.grad = seed
        for node in reversed(order):
            if node.pull is None:
                continue
            for parent, grad in zip(node.parents, node.pull(node.grad), strict=True):
                if grad is not None:
                    parent.grad = parent.grad + grad


def affine(x: Value, weight: Value, bias: Value) -> Value:
    """x W^T + b over the last axis."""

    def pull(g: Array) -> tuple[Array, Array, Array]:
        flat_g, flat_x = g.reshape(-1, g.shape[-1]), x.data.reshape(-1, x.data.shape[-1])
        return g @ weight.data, flat_g.T @ flat_x, flat_g.sum(axis=0)

    return Value(x.data @ weight.data.T + bias.data, (x, weight, bias), pull)


def fixed_map(x: Value, matrix: Array, shape: tuple[int, ...]) -> Value:
    """The constant linear map ``matrix`` (out, in) of the flattened value, reshaped."""
    batch = x.data.shape[0]
    flat = x.data.reshape(batch, -1)
    return Value(
        (flat @ matrix.T).reshape(batch, *shape),
        (x,),
        lambda g: ((g.reshape(batch, -1) @ matrix).reshape(x.data.shape),),
    )


def elementwise(x: Value, f: Callable[[Array], Array], df: Callable[[Array, Array], Array]) -> Value:
    y = f(x.data)
    return Value(y, (x,), lambda g: (g * df(x.data, y),))


def patches(channels: int, side: int, size: int, stride: int, pad: int) -> tuple[Array, int]:
    """(0/1 matrix that lists every window's entries, channels first; windows per side)."""
    out = (side + 2 * pad - size) // stride + 1
    rows = np.zeros((out, out, channels, size, size, channels * side * side))
    for i, j, c, a, b in np.ndindex(out, out, channels, size, size):
        y, x = i * stride + a - pad, j * stride + b - pad
        if 0 <= y < side and 0 <= x < side:
            rows[i, j, c, a, b, (c * side + y) * side + x] = 1.0
    return rows.reshape(-1, channels * side * side), out


def forward(layers: Sequence[Layer], parameters: Mapping[str, Value], x: Value, prefix: str = "") -> Value:
    """The network on the tape; batch normalisation is left out (it is fitted after training)."""
    for k, layer in enumerate(layers):
        at = f"{prefix}{k}"
        match layer:
            case ("linear", _, _):
                x = affine(x, parameters[f"{at}.weight"], parameters[f"{at}.bias"])
            case ("conv", c, m, size, stride, pad):
                x = _convolution(
                    x, parameters[f"{at}.weight"], parameters[f"{at}.bias"], (c, m, size, stride, pad)
                )
            case ("maxpool", size):
                x = _max_pool(x, size)
            case ("averagepool", size):
                channels, side = x.data.shape[1], x.data.shape[2]
                rows, out = patches(1, side, size, size, 0)
                mean = rows.reshape(out * out, size * size, -1).mean(axis=1)
                x = fixed_map(x, np.kron(np.eye(channels), mean), (channels, out, out))
            case ("residual", inner):
                y = forward(inner, parameters, x, f"{at}.")
                x = Value(x.data + y.data, (x, y), lambda g: (g, g))
            case ("flatten",):
                n = x.data[0].size
                x = fixed_map(x, np.eye(n), (n,))
            case ("batchnorm", _):
                continue
            case _:
                x = _activation(x, layer)
    return x


def _convolution(x: Value, weight: Value, bias: Value, shape: tuple[int, int, int, int, int]) -> Value:
    c, m, size, stride, pad = shape
    rows, out = patches(c, x.data.shape[2], size, stride, pad)
    windows = fixed_map(x, rows, (out * out, c * size * size))
    flat = Value(weight.data.reshape(m, -1), (weight,), lambda g: (g.reshape(weight.data.shape),))
    y = affine(windows, flat, bias)
    return Value(
        y.data.transpose(0, 2, 1).reshape(-1, m, out, out),
        (y,),
        lambda g: (g.reshape(-1, m, out * out).transpose(0, 2, 1),),
    )


def _max_pool(x: Value, size: int) -> Value:
    channels, side = x.data.shape[1], x.data.shape[2]
    rows, out = patches(1, side, size, size, 0)
    windows = fixed_map(x, np.kron(np.eye(channels), rows), (channels * out * out, size * size))
    top = windows.data.argmax(axis=2)[:, :, None]

    def pull(g: Array) -> tuple[Array]:
        spread = np.zeros_like(windows.data)
        np.put_along_axis(spread, top, g.reshape(top.shape), axis=2)
        return (spread,)

    return Value(windows.data.max(axis=2).reshape(-1, channels, out, out), (windows,), pull)


def _activation(x: Value, layer: Layer) -> Value:
    match layer:
        case ("relu",):
            return elementwise(x, lambda z: np.maximum(z, 0), lambda z, _: (z > 0).astype(float))
        case ("leakyrelu", alpha):
            return elementwise(
                x, lambda z: np.where(z > 0, z, alpha * z), lambda z, _: np.where(z > 0, 1.0, alpha)
            )
        case ("sigmoid",):
            return elementwise(x, lambda z: 0.5 + 0.5 * np.tanh(0.5 * z), lambda _, y: y * (1 - y))
        case ("tanh",):
            return elementwise(x, np.tanh, lambda _, y: 1 - y * y)
        case _:
            raise ValueError(f"no such layer: {layer}")


def _loss_gradient(y: Array, target: Array) -> Array:
    """Of cross-entropy for labels, of half the squared error for numbers; mean over the batch."""
    if target.dtype.kind == "i":
        p = np.exp(y - y.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(target)), target] -= 1
        return np.asarray(p / len(target))
    return np.asarray((y - target[:, None]) / len(target))


def train(architecture: Architecture, x: Array, target: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Parameters after training."""
    shapes = parameters_of(architecture.layers)
    parameters = {
        n: Value(_start(n, s, rng))
        for n, s in shapes.items()
        if not n.endswith((".mean", ".var")) and _trained(n, shapes)
    }
    first = {n: np.zeros_like(p.data) for n, p in parameters.items()}
    second = {n: np.zeros_like(p.data) for n, p in parameters.items()}
    step = 0
    inputs = x.reshape(len(x), *architecture.input[1:])
    move = MOVE if architecture.data == "digits" else 0.0
    for epoch in range(EPOCHS if move else 4 * EPOCHS):
        order = rng.permutation(len(x))
        for start in range(0, len(x), BATCH):
            rows = order[start : start + BATCH]
            point = Value(inputs[rows])
            if move:
                y = forward(architecture.layers, parameters, point)
                y.backward(_loss_gradient(y.data, target[rows]))
                size = move * min(1.0, epoch / 10)
                point = Value(np.clip(point.data + size * np.sign(point.grad), 0, 1))
            y = forward(architecture.layers, parameters, point)
            y.backward(_loss_gradient(y.data, target[rows]))
            step += 1
            for n, p in parameters.items():
                g = p.grad + DECAY * p.data
                first[n] = 0.9 * first[n] + 0.1 * g
                second[n] = 0.999 * second[n] + 0.001 * g * g
                p.data = p.data - RATE * (first[n] / (1 - 0.9**step)) / (
                    np.sqrt(second[n] / (1 - 0.999**step)) + 1e-8
                )
    return {n: p.data for n, p in parameters.items()} | _normalisation(
        architecture, {n: p.data for n, p in parameters.items()}, inputs
    )


def _trained(name: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Not a parameter of batch normalisation."""
    return f"{name.rsplit('.', 1)[0]}.mean" not in shapes


def _start(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if name.endswith("bias"):
        return np.zeros(shape)
    return np.asarray(rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:])))


def _normalisation(
    architecture: Architecture, parameters: Mapping[str, Array], inputs: Array
) -> dict[str, Array]:
    """Batch normalisation that (up to rounding) changes nothing: mean and variance of its input, undone again."""
    found: dict[str, Array] = {}
    for k, layer in enumerate(architecture.layers):
        if layer[0] != "batchnorm":
            continue
        values = {n: Value(p) for n, p in parameters.items()}
        y = forward(architecture.layers[:k], values, Value(inputs)).data
        mean, var = y.mean(axis=(0, 2, 3)), y.var(axis=(0, 2, 3)) + 2.0**-SCALE_BITS
        found |= {
            f"{k}.mean": mean,
            f"{k}.var": var,
            f"{k}.weight": np.sqrt(var + BN_EPSILON),
            f"{k}.bias": mean,
        }
    return found


def accuracy(architecture: Architecture, parameters: Mapping[str, Array], x: Array, target: Array) -> float:
    """Share of right answers (digits), or the largest error (surface)."""
    values = {n: Value(p) for n, p in parameters.items()}
    y = forward(architecture.layers, values, Value(x.reshape(len(x), *architecture.input[1:]))).data
    if target.dtype.kind == "i":
        return float((y.argmax(axis=1) == target).mean())
    return float(np.abs(y[:, 0] - target).max())


def main() -> dict[str, float]:
    """Train everything and write ``trained.safetensors``; returns each model's accuracy."""
    from safetensors.numpy import save_file
    from sklearn.datasets import load_digits  # only training needs scikit-learn

    images, labels = load_digits(return_X_y=True)
    images, labels = images.astype(np.float64), labels.astype(np.int64)
    rng = np.random.default_rng(SEED)
    points = rng.uniform(-1, 1, (2000, 2))
    data = {"digits": (images / 16, labels), "product": (points, points[:, 0] * points[:, 1])}
    stored: dict[str, Any] = {
        "images": images[:KEPT_IMAGES].astype(np.uint8),
        "labels": labels[:KEPT_IMAGES].astype(np.uint8),
    }
    found = {}
    for name, architecture in ARCHITECTURES.items():
        x, target = data[architecture.data]
        parameters = train(architecture, x, target, np.random.default_rng(SEED))
        whole = {n: np.rint(np.ldexp(p, SCALE_BITS)) for n, p in parameters.items()}
        if max(float(np.abs(w).max()) for w in whole.values()) >= 2**15:
            raise ValueError(f"{name}: a weight does not fit 16 bits")
        stored |= {f"{name}/{n}": w.astype(np.int16) for n, w in whole.items()}
        found[name] = accuracy(
            architecture, {n: np.ldexp(w, -SCALE_BITS) for n, w in whole.items()}, x, target
        )
    save_file(stored, str(TRAINED))
    return found
