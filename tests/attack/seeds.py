"""Small valid certificates, made here, that the attacks start from: every format and kind that is read."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.readers.formats.abcrown import load_dump
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.guidance import Guidance

Array = NDArray[Any]

KINDS = ("activation", "input-box", "lines")
SIZES = (4, 3)
"""Neurons of the two hidden layers."""

PROPERTY = b"""; two inputs, two outputs
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real)
(assert (>= X_0 -0.7))
(assert (<= X_0 0.3))
(assert (>= X_1 -0.1))
(assert (<= X_1 0.9))
(assert (or (and (<= Y_0 -9.1)) (and (>= Y_1 8.7))))
"""

PROPERTY2 = b"""(vnnlib-version <2.0>)
(declare-network N
  (declare-input X float32 [1, 2])
  (declare-output Y float32 [1, 2]))
(assert (and (>= X[0,0] -0.7) (<= X[0,0] 0.3) (>= X[0,1] -0.1) (<= X[0,1] 0.9)))
(assert (or (<= Y[0,0] -9.1) (>= Y[0,1] 8.7)))
"""


def model_bytes(activation: str = "Relu") -> bytes:
    """2 inputs, two hidden layers, 2 outputs; tensors z1, a1, z2, a2, y."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(3)
    widths = (2, *SIZES, 2)
    nodes, weights = [], []
    names = ["x", "z1", "a1", "z2", "a2", "y"]
    for k in range(3):
        w = (rng.integers(-8, 9, (widths[k], widths[k + 1])) / 8).astype(np.float32)
        b = (rng.integers(-4, 5, widths[k + 1]) / 8).astype(np.float32)
        weights += [numpy_helper.from_array(w, f"w{k}"), numpy_helper.from_array(b, f"b{k}")]
        nodes.append(helper.make_node("Gemm", [names[2 * k], f"w{k}", f"b{k}"], [names[2 * k + 1]]))
        if k < 2:
            nodes.append(helper.make_node(activation, [names[2 * k + 1]], [names[2 * k + 2]]))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    data: bytes = model.SerializeToString()
    return data


@dataclass
class Dump:
    """A dump's parts, to be changed and written. ``npz`` replaces the arrays' file when given."""

    manifest: dict[str, Any]
    arrays: dict[str, Array]
    files: dict[str, bytes] = field(default_factory=dict)
    npz: bytes | None = None
    text: bytes | None = None

    def rehash(self) -> None:
        """Bind the manifest to the model and the property as they are now."""
        for kind in ("onnx", "vnnlib"):
            self.manifest[f"{kind}_sha256"] = sha256(self.files[self.manifest[f"{kind}_file"]]).hexdigest()

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
        text = self.text if self.text is not None else json.dumps(self.manifest, indent=1).encode()
        (folder / "certificate.json").write_bytes(text)
        (folder / "arrays.npz").write_bytes(npz_bytes(self.arrays) if self.npz is None else self.npz)
        return folder


def npz_bytes(arrays: dict[str, Array]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


def i32(*values: Any) -> Array:
    return np.array(values, dtype=np.int32)


def f32(*values: Any) -> Array:
    return np.array(values, dtype=np.float32)


def _common() -> dict[str, Array]:
    return {
        "spec_C": f32([[1, 0]], [[0, -1]]),
        "spec_rhs": f32([-9.1], [-8.7]),
        "spec_n_and": i32(1, 1),
        "spec_box": i32(0, 0),
        "box_lo": f32([-0.7, -0.1]),
        "box_hi": f32([0.3, 0.9]),
    }


def _activation() -> dict[str, Array]:
    """Disjunct 0: split on neuron 1 of layer 0, then on neuron 0 of layer 1 above it. Disjunct 1: one leaf."""
    arrays = {
        "leaf_or": i32(0, 0, 0, 1),
        "leaf_row": i32(0, 0, 0, 0),
        "leaf_lb": f32(-6, -5, -4, -6),
        "leaf_at_root": np.array([False, False, False, True]),
        "leaf_depth": i32(1, 2, 2, 0),
        "split_ptr": i32(0, 1, 3, 5, 5),
        "split_layer": np.array([0, 0, 1, 0, 1], np.int16),
        "split_neuron": i32(1, 1, 0, 1, 0),
        "split_sign": np.array([-1, 1, 1, 1, -1], np.int8),
        "split_point": np.zeros(5, np.float32),
        "split_beta": f32(0.25, 0.125, 0, 0.5, 0.0625),
        "tree": i32(
            [0, 0, 0, 1, 2, 1],
            [0, 1, 0, 0, 0, 0],
            [0, 0, 1, 0, 3, 4],
            [0, 1, 0, 0, 1, 0],
            [0, 1, 0, 0, 2, 0],
            [1, 1, 0, 0, 3, 0],
        ),
        "tree_root": i32(0, 5),
        "ialpha/0/1": np.full((2, 2, 3), 0.5, np.float32),
        "ialpha_row/0/1": i32(0, 1, 1),
    }
    for k, n in enumerate(SIZES):
        columns = np.arange(n if k else 3, dtype=np.int32)
        arrays[f"alpha_cols/{k}"] = columns
        arrays[f"leaf_alpha/{k}"] = np.linspace(0, 1, 4 * columns.size, dtype=np.float32).reshape(4, -1)
    return arrays


def _input_box() -> dict[str, Array]:
    """Disjunct 0: cut x0 at -0.25, then x1 at 0.5 above it. Disjunct 1: one leaf."""
    arrays = {
        "leaf_or": i32(0, 0, 0, 1),
        "leaf_row": i32(0, 0, 0, 0),
        "leaf_lb": f32(-6, -5, -4, -6),
        "leaf_at_root": np.array([False, False, False, True]),
        "tree": i32(
            [0, 0, 0, 1, 2],
            [0, 1, 0, 0, 0],
            [0, 0, 1, 3, 4],
            [0, 1, 0, 1, 0],
            [0, 1, 0, 2, 0],
            [1, 1, 0, 3, 0],
        ),
        "tree_cut": f32(-0.25, 0, 0.5, 0, 0, 0),
        "tree_root": i32(0, 5),
    }
    for k in range(len(SIZES)):
        arrays[f"leaf_slope_bits/{k}"] = np.array([[0xA0], [0x50], [0xF0], [0x00]], np.uint8)
    return arrays


def _lines() -> dict[str, Array]:
    arrays = {
        "leaf_or": i32(0, 1), "leaf_row": i32(0, 0), "leaf_lb": f32(-4, -4), "leaf_at_root": np.array([True, True]),
    }  # fmt: skip
    for k, n in enumerate(SIZES):
        arrays |= {f"line_lw/{k}": np.full(n, 0.25, np.float32), f"line_uw/{k}": np.full(n, 0.5, np.float32)}
        arrays |= {f"line_lb/{k}": np.full(n, -0.5, np.float32), f"line_ub/{k}": np.full(n, 0.5, np.float32)}
    return arrays


ARRAYS = {"activation": _activation, "input-box": _input_box, "lines": _lines}


def tiny_dump(kind: str = "activation") -> Dump:
    """A dump of that kind, whose proof is right."""
    arrays = _common() | ARRAYS[kind]()
    function = "Sigmoid" if kind == "lines" else "Relu"
    layers = [
        {"n": n, ("act_onnx" if kind == "lines" else "relu_onnx"): f"a{k + 1}", "shape": [n]}
        for k, n in enumerate(SIZES)
    ]
    manifest = {
        "format": "abcrown-dump",
        "version": 1,
        "kind": kind,
        "onnx_file": "net.onnx",
        "vnnlib_file": "p.vnnlib",
        "num_leaves": int(arrays["leaf_or"].size),
        "network": {"acts" if kind == "lines" else "relus": layers},
        "verifier": {"name": "none", "commit": "0" * 40},
        "wall_time_s": 0.5,
        "arrays": {name: {"shape": list(a.shape), "dtype": str(a.dtype)} for name, a in arrays.items()},
    }
    dump = Dump(manifest, arrays, {"net.onnx": model_bytes(function), "p.vnnlib": PROPERTY})
    dump.rehash()
    return dump


@cache
def tiny_claim(kind: str) -> tuple[UnsatClaim, Guidance]:
    """The dump as read."""
    with TemporaryDirectory() as folder:
        [item] = load_dump(tiny_dump(kind).write(Path(folder) / kind), None, None)
    if not isinstance(item.claim, UnsatClaim) or item.guidance is None:
        raise TypeError("a dump without evidence")
    return item.claim, item.guidance


def tiny_bundle(target: Path, *, as_zip: bool = True) -> Path:
    """The activation dump as a bundle."""
    if as_zip:
        target.write_bytes(_bundle())
    else:
        with zipfile.ZipFile(io.BytesIO(_bundle())) as packed:
            packed.extractall(target)
    return target


@cache
def _bundle() -> bytes:
    from tlcheck.options import Options
    from tlcheck.writers.convert import convert

    with TemporaryDirectory() as folder:
        target = Path(folder) / "b.tlcert"
        convert(tiny_dump("activation").write(Path(folder) / "dump"), target, Options())
        return target.read_bytes()
