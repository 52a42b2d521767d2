"""An LSTM that reads the rows of a digit one after the other, trained with plain numpy: ``python lstm.py FOLDER``.

Writes ``lstm.onnx`` (8 rows of 8 pixels -> LSTM of 12 -> 10 digits) and ``lstm.vnnlib``: does some image within EPS of a test
image belong to another digit than its own? Then ``tlcheck certify lstm.onnx lstm.vnnlib -o lstm.tlcert`` and ``tlcheck verify
lstm.tlcert``. Not part of the corpus: nothing depends on the weights that this machine's sums give.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Weights = Mapping[str, Array]

ROWS: Final = 8
HIDDEN: Final = 12
EPOCHS: Final = 60
RATE: Final = 5e-3
EPS: Final = 0.01


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def forward(w: Weights, x: Array) -> tuple[Array, list[tuple[Array, ...]]]:
    """Logits (batch, 10) of x (rows, batch, 8), and what each step computed."""
    h = c = np.zeros((x.shape[1], w["R"].shape[1]))
    steps = []
    for row in x:
        i, o, f, g = np.split(row @ w["W"].T + h @ w["R"].T + w["B"], 4, axis=1)
        i, o, f, g = sigmoid(i), sigmoid(o), sigmoid(f), np.tanh(g)
        before = (row, h, c)
        c = f * c + i * g
        h = o * np.tanh(c)
        steps.append((*before, i, o, f, g, c))
    return h @ w["V"].T + w["b"], [*steps, (h,)]


def gradients(w: Weights, x: Array, labels: Array) -> dict[str, Array]:
    """Of the mean cross-entropy, backward through the steps."""
    logits, steps = forward(w, x)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(labels)), labels] -= 1
    p /= len(labels)
    (last,) = steps[-1]
    grad = {"V": p.T @ last, "b": p.sum(axis=0), **{k: np.zeros_like(w[k]) for k in "WRB"}}
    dh, dc = p @ w["V"], np.zeros_like(last)
    for row, h, before, i, o, f, g, c in reversed(steps[:-1]):
        t = np.tanh(c)
        dc = dc + dh * o * (1 - t**2)
        pre = [dc * g * i * (1 - i), dh * t * o * (1 - o), dc * before * f * (1 - f), dc * i * (1 - g**2)]
        d = np.concatenate(pre, axis=1)
        grad["W"] += d.T @ row
        grad["R"] += d.T @ h
        grad["B"] += d.sum(axis=0)
        dh, dc = d @ w["R"], dc * f
    return grad


def trained(images: Array, labels: Array, epochs: int = EPOCHS) -> dict[str, Array]:
    """By Adam; weights are rounded to multiples of 2^-8."""
    rng = np.random.default_rng(14)
    shapes = {
        "W": (4 * HIDDEN, ROWS),
        "R": (4 * HIDDEN, HIDDEN),
        "B": (4 * HIDDEN,),
        "V": (10, HIDDEN),
        "b": (10,),
    }
    w = {k: rng.normal(0, 0.3, s) if len(s) > 1 else np.zeros(s) for k, s in shapes.items()}
    m, v = ({k: np.zeros_like(x) for k, x in w.items()} for _ in range(2))
    step = 0
    for _ in range(epochs):
        for chosen in np.array_split(rng.permutation(len(labels)), len(labels) // 64):
            step += 1
            x = images[chosen].transpose(1, 0, 2)
            for k, g in gradients(w, x, labels[chosen]).items():
                m[k], v[k] = 0.9 * m[k] + 0.1 * g, 0.99 * v[k] + 0.01 * g * g
                w[k] = w[k] - RATE * (m[k] / (1 - 0.9**step)) / (np.sqrt(v[k] / (1 - 0.99**step)) + 1e-8)
    return {k: np.round(x * 256) / 256 for k, x in w.items()}


def onnx_of(w: Weights, rows: int = ROWS) -> bytes:
    """x -> Reshape (rows, 1, pixels) -> LSTM -> its last state -> Gemm -> (1, digits)."""
    from onnx import TensorProto, helper, numpy_helper

    bias = np.concatenate([w["B"], np.zeros_like(w["B"])])
    stored = {
        "rows": np.array([rows, 1, w["W"].shape[1]]), "W": w["W"][None], "R": w["R"][None], "B": bias[None],
        "V": w["V"], "b": w["b"], "direction": np.array([0]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Reshape", ["x", "rows"], ["sequence"]),
        helper.make_node(
            "LSTM", ["sequence", "W", "R", "B"], ["", "last"], "lstm", hidden_size=w["R"].shape[1]
        ),
        helper.make_node("Squeeze", ["last", "direction"], ["state"]),
        helper.make_node("Gemm", ["state", "V", "b"], ["y"], transB=1),
    ]
    tensors = [
        numpy_helper.from_array(v.astype(np.float32) if v.dtype.kind == "f" else v, k)
        for k, v in stored.items()
    ]
    graph = helper.make_graph(
        nodes, "lstm", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, rows * w["W"].shape[1]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, len(w["b"])])], tensors,
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def question(image: Array, label: int, eps: float = EPS, digits: int = 10) -> str:
    """VNN-LIB: some image within ``eps`` of this one that is as well another digit."""
    pixels = image.reshape(-1)
    lines = [f"(declare-const X_{i} Real)" for i in range(pixels.size)]
    lines += [f"(declare-const Y_{k} Real)" for k in range(digits)]
    for i, value in enumerate(pixels.tolist()):
        lines += [f"(assert (>= X_{i} {value - eps:.6f}))", f"(assert (<= X_{i} {value + eps:.6f}))"]
    others = " ".join(f"(and (>= Y_{k} Y_{label}))" for k in range(digits) if k != label)
    return "\n".join([*lines, f"(assert (or {others}))", ""])


def main(folder: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = digits.images / 16, digits.target
    w = trained(images[:1500], labels[:1500])
    test, truth = images[1500:], labels[1500:]
    logits, _ = forward(w, test.transpose(1, 0, 2))
    right = logits.argmax(axis=1) == truth
    ranked = np.sort(logits, axis=1)
    k = int(np.argmax(np.where(right, ranked[:, -1] - ranked[:, -2], -np.inf)))
    print(f"{right.mean():.1%} of {len(right)} test images; image {k} is a {truth[k]}")  # noqa: T201
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lstm.onnx").write_bytes(onnx_of(w))
    (folder / "lstm.vnnlib").write_text(question(test[k], int(truth[k])), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
