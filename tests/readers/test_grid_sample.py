"""GridSample: of a constant grid, and of one that the network computes; what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests import numpy_eval
from tests.helpers import IEEE
from tests.readers.test_contributed import optimised_session
from tests.trusted.radii import enclosures
from tlcheck.errors import InvalidInput
from tlcheck.readers.onnx import read_model

RNG = np.random.default_rng(11)
IMAGE = RNG.normal(size=(1, 2, 3, 4)).astype(np.float32)


def model(image: Any, grid: Any, *, image_given: bool = False, opset: int = 20, **attributes: Any) -> bytes:
    """The grid is the input; or the image is, of a constant grid."""
    given, stored = (("image", image), ("grid", grid)) if image_given else (("grid", grid), ("image", image))
    node = helper.make_node("GridSample", ["image", "grid"], ["y"], "the node", **attributes)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info(given[0], helper.np_dtype_to_tensor_dtype(given[1].dtype), given[1].shape)], [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(stored[1], stored[0])],
    )  # fmt: skip
    return bytes(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10
        ).SerializeToString()
    )


@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize(
    ("mode", "padding"),
    [("linear", "zeros"), ("linear", "border"), ("nearest", "zeros"), ("nearest", "border")],
)
def test_a_computed_grid(mode: str, padding: str, aligned: int) -> None:
    """Equal to onnxruntime's, its values within the deployed box of the grid's box."""
    grid = RNG.uniform(-1.6, 1.6, (1, 4, 5, 2)).astype(np.float32)
    data = model(IMAGE, grid, mode=mode, padding_mode=padding, align_corners=aligned)
    theirs = optimised_session(data).run(None, {"grid": grid})[0]
    ours = numpy_eval.evaluate(read_model(data), [grid])[0]
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)
    middle, radius = enclosures(data, grid[None], IEEE)
    assert (np.abs(theirs.ravel() - middle[0]) <= radius[0]).all()
    assert radius.max() < 1e-4


def test_volumes() -> None:
    volume, grid = (
        RNG.normal(size=(1, 1, 2, 3, 4)).astype(np.float32),
        RNG.uniform(-1.3, 1.3, (1, 2, 2, 2, 3)).astype(np.float32),
    )
    data = model(volume, grid)
    theirs = optimised_session(data).run(None, {"grid": grid})[0]
    np.testing.assert_allclose(numpy_eval.evaluate(read_model(data), [grid])[0], theirs, rtol=2e-5, atol=2e-5)


def test_the_identity_moves_entries() -> None:
    """Centres of entries whose places are exact: no weight but 1, no rounding."""
    x = (2 * np.arange(4) + 1) / 4 - 1
    y = (2 * np.arange(2) + 1) / 2 - 1
    grid = np.stack(np.meshgrid(x, y), axis=-1)[None].astype(np.float32)
    image = IMAGE[:, :, :2]
    middle, radius = enclosures(model(image, grid, image_given=True), image[None], IEEE)
    assert (middle[0] == image.ravel()).all() and radius.max() < 1e-6
    found = read_model(model(image, grid, image_given=True, mode="nearest"))
    assert numpy_eval.evaluate(found, [image])[0].tolist() == image.astype(float).tolist()


def test_places_beyond_integers_have_no_value() -> None:
    """A kernel makes 2^31 and more another integer, before it cuts it to the border."""
    data = model(IMAGE, at(0), padding_mode="border")
    assert np.isnan(enclosures(data, at(2.0**33)[None], IEEE)[1]).all()
    assert (enclosures(data, at(2.0**20)[None], IEEE)[1] < 1e-4).all()


def at(x: float, y: float = 0.0) -> Any:
    return np.array([x, y], np.float32).reshape(1, 1, 1, 2)


REFUSED: list[tuple[bytes, str]] = [
    (model(IMAGE, at(0.3), padding_mode="reflection"), "reflection at places that the network computes"),
    (model(IMAGE, at(0.3), mode="cubic"), "cubic weights at places that the network computes"),
    (model(IMAGE, at(0.3), mode="bilinear"), "mode bilinear"),
    (model(IMAGE, at(0.3), mode="linear", opset=16), "mode linear"),
    (model(IMAGE, at(0.3), padding_mode="wrap"), "padding_mode wrap"),
    (model(IMAGE, at(0.3), align_corners=2), "align_corners"),
    (model(IMAGE[:, :, 0], at(0.3)), "grid (1, 1, 1, 2) for (1, 2, 4)"),
    (model(IMAGE, at(-1.2), image_given=True, mode="cubic", padding_mode="border", align_corners=1), "beyond the border"),
    (model(IMAGE, at(2**21), image_given=True), "a coordinate 2097152, whose place is not known to 0.25"),
    (model(IMAGE.astype(np.float16), at(0.3).astype(np.float16)), "a grid of type float16"),
    (model(IMAGE[:, :, :1], at(0.3), image_given=True, padding_mode="reflection", align_corners=1), "corners of one entry"),
    (model(IMAGE, at(np.float32(1 / 3), 1 / 3), image_given=True, mode="nearest"), "is at a step"),
    (model(IMAGE[None], RNG.normal(size=(1, 1, 1, 1, 3)).astype(np.float32), image_given=True, mode="cubic"), "onnxruntime has no such"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "text"), REFUSED, ids=[text for _, text in REFUSED])
def test_refused_by_name(data: bytes, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_model(data)
    assert text in str(caught.value)


def test_a_tie_of_an_exact_place_goes_to_the_even_entry() -> None:
    """Places 0.5 and 1.5 of four entries: 0 and 2."""
    grid = np.array([[-0.5, 0], [0.0, 0]], np.float32).reshape(1, 1, 2, 2)
    data = model(IMAGE, grid, image_given=True, mode="nearest")
    ours = numpy_eval.evaluate(read_model(data), [IMAGE])[0]
    assert ours[0, 0, 0].tolist() == [IMAGE[0, 0, 1, 0], IMAGE[0, 0, 1, 2]]
    assert ours.tolist() == optimised_session(data).run(None, {"image": IMAGE})[0].tolist()


@pytest.mark.parametrize("aligned", [0, 1])
def test_a_spatial_transformer(aligned: int) -> None:
    """The grid of a matrix that varies: equal to onnxruntime's, its values inside; on a box, all of theirs."""
    nodes = [
        helper.make_node("AffineGrid", ["matrix", "size"], ["grid"], align_corners=aligned),
        helper.make_node("GridSample", ["image", "grid"], ["y"], align_corners=aligned),
    ]
    infos = [helper.make_tensor_value_info(n, 1, s) for n, s in (("matrix", (1, 2, 3)), ("y", None))]
    stored = [
        numpy_helper.from_array(np.array([1, 2, 2, 3]), "size"),
        numpy_helper.from_array(IMAGE, "image"),
    ]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], stored)
    data = bytes(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10
        ).SerializeToString()
    )
    matrix = np.array([[[0.9, 0.2, 0.1], [-0.3, 1.1, 0.05]]], np.float32)
    theirs = optimised_session(data).run(None, {"matrix": matrix})[0]
    np.testing.assert_allclose(
        numpy_eval.evaluate(read_model(data), [matrix])[0], theirs, rtol=2e-5, atol=2e-5
    )
    middle, radius = enclosures(data, matrix, IEEE)
    assert (np.abs(theirs.ravel() - middle[0]) <= radius[0]).all() and radius.max() < 1e-4
