"""Small certificates of kinds that certificates/accept has none of, written where a test wants them."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from tests.trusted.science import test_camera as cameras
from tests.trusted.science import test_nodes as nodes


def one_leaf(folder: Path, operator: str, operands: int = 1) -> Path:
    """A proof of one leaf that y > 1/8 for y = operator(x), or operator(x, x), x in [1/2, 1]."""
    node = helper.make_node(operator, ["x"] * operands, ["y"])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([node], "g", [x], [y])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        folder / "net.onnx",
    )
    bounds = ["(>= X_0 0.5)", "(<= X_0 1)", "(<= Y_0 0.125)"]
    asserted = "".join(f"(assert {bound})\n" for bound in bounds)
    (folder / "p.vnnlib").write_text("(declare-const X_0 Real)\n(declare-const Y_0 Real)\n" + asserted)
    box = {"lo": [0.5], "hi": [1.0]}
    document = {
        "format": "abcrown_leaf_artifact_v0_2", "input_dim": 1, "root": box, "leaves": [{**box, "lb": [0.5], "threshold": [0.125]}],
        "model": {"file": "net.onnx"}, "property": {"file": "p.vnnlib"},
    }  # fmt: skip
    return _written(folder, document)


def node_bounds(folder: Path) -> Path:
    """Boxes and affine bounds of every node of a tent."""
    for name, content in (("graph", nodes.GRAPH), ("weights", nodes.WEIGHTS)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return _written(folder, nodes.CERTIFICATE)


def camera_box(folder: Path) -> Path:
    """A projected box with a pose, without a lens and without uncertainty."""
    box = {name: part for name, part in cameras.FULL.items() if name not in ("lens", "uncertainty")}
    return _written(folder, cameras.ours(box))


def _written(folder: Path, document: object) -> Path:
    path = folder / "x.json"
    path.write_text(json.dumps(document))
    return path
