"""A plain float64 recomputation of one alpha,beta-CROWN dump: the benchmark's yardstick and a second opinion.

Unsound on purpose: float64, rounding to nearest, no error terms.  It imports nothing from tlcheck (numpy and
onnx only), so that it shares no mistake with it.  The recomputation rules are sections 3 to 5 of the dumps'
README; the box is read from the decimals of the property file.

It is meant to be decent: one process, dense rows for every neuron of every pre-activation layer (lower and
upper), every affine step one matrix product over all rows of a batch, convolutions by product and strided
adds, leaves in batches.  What it leaves out is the sparsity that tlcheck exploits.

Every bound is computed as the lower bound of a form: an upper bound of z is minus the lower bound of -z.
Coefficient arrays have shape (n, leaves, rows), n the flattened size of the tensor they belong to, and every
column (leaf, row) is one form.  Affine nodes don't care which is which and see (n, leaves * rows).

    python -m tests.bench.baseline FOLDER...        one thread, unless OPENBLAS_NUM_THREADS says otherwise
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read once, when numpy is imported

import gzip
import json
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Bounds = tuple[Array, Array]

CHUNK_BYTES = 2 << 20  # aimed at for the largest temporary array of one batch: near a core's L2 cache
ACTIVATIONS = ("Relu", "Sigmoid", "Tanh")
BOX_LITERAL = re.compile(r"\(\s*([<>])=\s+X_(\d+)\s+([-+0-9.eE]+)\s*\)")


@dataclass(frozen=True)
class Node:
    """One node on the path of the data: `inputs` are its non-constant inputs, `output` its first output."""

    op: str
    inputs: tuple[str, ...]
    output: str
    constant: tuple[Array, ...]
    attributes: dict[str, Any]
    first_is_constant: bool


@dataclass(frozen=True)
class Network:
    """Nodes in topological order, and each tensor's shape without the batch axis."""

    nodes: tuple[Node, ...]
    shapes: dict[str, tuple[int, ...]]
    input: str
    output: str

    def size(self, tensor: str) -> int:
        return int(np.prod(self.shapes[tensor], dtype=np.int64))


@dataclass(frozen=True)
class Dump:
    """One folder, read."""

    kind: str
    network: Network
    layer_of: dict[str, int]  # activation's output tensor -> layer index k
    arrays: dict[str, npt.NDArray[Any]]
    lower: Array  # (n_in,), the property file's decimals
    upper: Array


@dataclass(frozen=True)
class Lines:
    """lw*z + lb <= h <= uw*z + ub, each array broadcastable to (n, leaves, rows); lb None means 0."""

    lw: Array
    lb: Array | None
    uw: Array
    ub: Array


@dataclass(frozen=True)
class Result:
    """`leaf_bounds[i]` is the recomputed bound of leaf i; `layer_bounds[k]` are two (n_k, 1 or leaves)."""

    folder: str
    kind: str
    min_margin: float
    leaf_bounds: Array
    margins: Array
    layer_bounds: dict[int, Bounds] = field(repr=False)
    read_seconds: float
    compute_seconds: float


def recompute(folder: Path) -> Result:
    """Recompute every bound of the dump in `folder`, in float64.  Raises ValueError where it can't."""
    started = time.perf_counter()
    dump = read_dump(folder)
    read = time.perf_counter()
    run = {"activation": activation_leaves, "lines": line_leaves, "input-box": box_leaves}[dump.kind]
    bounds, layers = run(dump)
    which, row = dump.arrays["leaf_or"], dump.arrays["leaf_row"]
    margins = bounds - dump.arrays["spec_rhs"][which, row].astype(np.float64)
    done = time.perf_counter()
    return Result(
        folder=f"{folder.parent.name}/{folder.name}",
        kind=dump.kind,
        min_margin=float(margins.min()),
        leaf_bounds=bounds,
        margins=margins,
        layer_bounds=layers,
        read_seconds=read - started,
        compute_seconds=done - read,
    )


# ---------------------------------------------------------------- reading


def read_dump(folder: Path) -> Dump:
    """Read certificate.json, arrays.npz, the network and the property's box."""
    certificate = json.loads((folder / "certificate.json").read_text())
    with np.load(folder / "arrays.npz") as packed:
        arrays = {name: packed[name] for name in packed.files}
    if len(arrays["box_lo"]) != 1:
        raise ValueError(f"{folder}: {len(arrays['box_lo'])} input boxes, one is supported")
    network = read_network(next(folder.glob("*.onnx*")))
    listed = certificate["network"].get("acts") or certificate["network"]["relus"]
    layer_of = {entry.get("act_onnx") or entry["relu_onnx"]: k for k, entry in enumerate(listed)}
    found = {node.output for node in network.nodes if node.op in ACTIVATIONS}
    if found != set(layer_of):
        raise ValueError(
            f"{folder}: the network's activations {sorted(found)}, the dump's {sorted(layer_of)}"
        )
    lower, upper = read_box(next(folder.glob("*.vnnlib")), network.size(network.input))
    return Dump(certificate["kind"], network, layer_of, arrays, lower, upper)


def read_box(path: Path, size: int) -> Bounds:
    """The input box of a property file, its decimals to the nearest float64."""
    faces: dict[tuple[str, int], float] = {}
    for side, index, decimal in BOX_LITERAL.findall(path.read_text()):
        if (side, int(index)) in faces:
            raise ValueError(f"{path}: X_{index} has two bounds {side}=")
        faces[side, int(index)] = float(decimal)
    lower = np.array([faces[">", i] for i in range(size)])
    upper = np.array([faces["<", i] for i in range(size)])
    return lower, upper


def read_network(path: Path) -> Network:
    """Walk the ONNX graph: constants folded to float64, shapes propagated, unused constants dropped."""
    import onnx

    data = path.read_bytes()
    graph = onnx.load_from_string(gzip.decompress(data) if path.suffix == ".gz" else data).graph
    known = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    source = next(item for item in graph.input if item.name not in known)
    dims = source.type.tensor_type.shape.dim
    shapes = {source.name: tuple(int(dim.dim_value) for dim in dims[1:])}
    nodes: list[Node] = []
    for item in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in item.attribute}
        if item.op_type == "Constant":
            known[item.output[0]] = onnx.numpy_helper.to_array(attributes["value"])
            continue
        node = Node(
            op=item.op_type,
            inputs=tuple(name for name in item.input if name in shapes),
            output=item.output[0],
            constant=tuple(known[name].astype(np.float64) for name in item.input if name in known),
            attributes=attributes,
            first_is_constant=item.input[0] in known,
        )
        if node.op not in BACKWARD and node.op not in ACTIVATIONS:
            raise ValueError(f"{path}: operator {node.op} is not supported")
        shapes[node.output] = output_shape(node, shapes[node.inputs[0]])
        nodes.append(node)
    return Network(tuple(nodes), shapes, source.name, graph.output[0].name)


def output_shape(node: Node, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the node's output, both without the batch axis."""
    size = int(np.prod(shape, dtype=np.int64))
    if node.op == "Gemm":
        return (node.constant[0].shape[0 if node.attributes.get("transB") else 1],)
    if node.op == "MatMul":
        return (*shape[:-1], node.constant[0].shape[1])
    if node.op == "Flatten":
        return (size,)
    if node.op == "Reshape":
        target = [int(dim) for dim in node.constant[0][1:]]
        rest = int(np.prod([dim for dim in target if dim != -1], dtype=np.int64))
        return tuple(size // rest if dim == -1 else dim for dim in target)
    if node.op == "Conv":
        conv = Convolution.of(node)
        spans = [d * (k - 1) + 1 for d, k in zip(conv.dilation, conv.kernel, strict=True)]
        padded = [shape[1] + conv.pad[0] + conv.pad[2], shape[2] + conv.pad[1] + conv.pad[3]]
        height, width = ((p - s) // t + 1 for p, s, t in zip(padded, spans, conv.stride, strict=True))
        return (node.constant[0].shape[0], height, width)
    return shape


# ---------------------------------------------------------------- affine nodes, backward

# Each takes the network, the node and the coefficients a of its output, (n_out, columns), and returns the
# coefficients of each of its inputs and what is added to each column's constant (None: nothing).
Step = tuple[list[Array], Array | None]


@dataclass(frozen=True)
class Convolution:
    """A Conv node's geometry."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int, int, int]

    @staticmethod
    def of(node: Node) -> Convolution:
        given = node.attributes
        if given.get("group", 1) != 1 or given.get("auto_pad", b"NOTSET") != b"NOTSET":
            raise ValueError(f"{node.output}: grouped or automatically padded convolution")
        kernel = node.constant[0].shape[2:]
        return Convolution(
            kernel=(kernel[0], kernel[1]),
            stride=tuple(given.get("strides", (1, 1))),
            dilation=tuple(given.get("dilations", (1, 1))),
            pad=tuple(given.get("pads", (0, 0, 0, 0))),
        )


def through_gemm(network: Network, node: Node, a: Array) -> Step:
    given = node.attributes
    if given.get("alpha", 1.0) != 1.0 or given.get("beta", 1.0) != 1.0 or given.get("transA", 0):
        raise ValueError(f"{node.output}: Gemm with alpha, beta or transA")
    weight = node.constant[0].T if given.get("transB") else node.constant[0]
    return [weight @ a], node.constant[1] @ a if len(node.constant) > 1 else None


def through_matmul(network: Network, node: Node, a: Array) -> Step:
    if network.size(node.inputs[0]) != node.constant[0].shape[0]:
        raise ValueError(f"{node.output}: MatMul of more than one row")
    return [node.constant[0] @ a], None


def through_conv(network: Network, node: Node, a: Array) -> Step:
    """One product for all kernel positions, then each position's part is added where it came from."""
    conv, weight = Convolution.of(node), node.constant[0]
    channels, height, width = network.shapes[node.inputs[0]]
    filters, rows, columns = network.shapes[node.output]
    top, left, bottom, right = conv.pad
    forms = a.shape[1]
    patches = weight.reshape(filters, -1).T @ a.reshape(filters, rows * columns * forms)
    patches = patches.reshape(channels, *conv.kernel, rows, columns, forms)
    image = np.zeros((channels, height + top + bottom, width + left + right, forms))
    for i, j in np.ndindex(*conv.kernel):
        y, x = i * conv.dilation[0], j * conv.dilation[1]
        down = slice(y, y + conv.stride[0] * (rows - 1) + 1, conv.stride[0])
        across = slice(x, x + conv.stride[1] * (columns - 1) + 1, conv.stride[1])
        image[:, down, across] += patches[:, i, j]
    inside = image[:, top : top + height, left : left + width].reshape(-1, forms)
    bias = np.repeat(node.constant[1], rows * columns) @ a if len(node.constant) > 1 else None
    return [inside], bias


def flat_constant(network: Network, node: Node) -> Array:
    return np.broadcast_to(node.constant[0], (1, *network.shapes[node.output])).reshape(-1)


def through_add(network: Network, node: Node, a: Array) -> Step:
    if node.constant:
        return [a], flat_constant(network, node) @ a
    return [a, a.copy()], None  # a copy: later steps work in place


def through_sub(network: Network, node: Node, a: Array) -> Step:
    if not node.constant:
        return [a, -a], None
    constant = flat_constant(network, node) @ a
    return ([-a], constant) if node.first_is_constant else ([a], -constant)


def through_mul(network: Network, node: Node, a: Array) -> Step:
    return [a * flat_constant(network, node)[:, None]], None


def through_div(network: Network, node: Node, a: Array) -> Step:
    if node.first_is_constant:
        raise ValueError(f"{node.output}: division by a variable")
    return [a / flat_constant(network, node)[:, None]], None


def through_unchanged(network: Network, node: Node, a: Array) -> Step:
    return [a], None


BACKWARD: dict[str, Callable[[Network, Node, Array], Step]] = {
    "Gemm": through_gemm,
    "MatMul": through_matmul,
    "Conv": through_conv,
    "Add": through_add,
    "Sub": through_sub,
    "Mul": through_mul,
    "Div": through_div,
    "Flatten": through_unchanged,
    "Reshape": through_unchanged,
    "Dropout": through_unchanged,
    "Identity": through_unchanged,
}


# ---------------------------------------------------------------- backward substitution


@dataclass
class Sweep:
    """Backward substitution of a batch of forms from one tensor to the input.

    `lines(k)` gives layer k's relaxation for the columns of the batch.  `at_layer(k, a, c)` may change the
    coefficients a of the pre-activation z_k and the constants c in place (the split terms).  With `mirror`
    every form is also bounded from above: just before the first activation the columns are doubled, the second
    half being minus the first, and the result has twice as many rows.
    """

    network: Network
    layer_of: dict[str, int]
    lines: Callable[[int], Lines]
    at_layer: Callable[[int, Array, Array], None] | None = None
    mirror: bool = False

    def run(self, tensor: str, a: Array, box: Bounds) -> Array:
        """Lower bounds, (leaves, rows), of the forms a over `tensor`; box: two (n_in, 1 or leaves)."""
        self._mirrored = not self.mirror
        self._forms = {tensor: a}
        self._constant = np.zeros(a.shape[1:])
        for node in reversed(self.network.nodes):
            if node.output not in self._forms:
                continue
            if node.op in ACTIVATIONS:
                self._activation(node)
            else:
                self._affine(node)
        self._double()
        return self._constant + concretize(self._forms.pop(self.network.input), *box)

    def _affine(self, node: Node) -> None:
        a = self._forms.pop(node.output)
        leaves, rows = a.shape[1:]
        passed, constant = BACKWARD[node.op](self.network, node, a.reshape(len(a), leaves * rows))
        if constant is not None:
            self._constant += constant.reshape(leaves, rows)
        for name, part in zip(node.inputs, passed, strict=True):
            part = part.reshape(-1, leaves, rows)
            self._forms[name] = self._forms[name] + part if name in self._forms else part

    def _activation(self, node: Node) -> None:
        """h = f(z): a.h >= sum over a>=0 of a*(lw*z + lb) + sum over a<0 of a*(uw*z + ub)."""
        self._double()
        k, a = self.layer_of[node.output], self._forms.pop(node.output)
        lines = self.lines(k)
        negative = np.minimum(a, 0.0)
        positive = np.subtract(a, negative, out=a)
        self._constant += weighted_sum(lines.ub, negative)
        if lines.lb is not None:
            self._constant += weighted_sum(lines.lb, positive)
        positive *= lines.lw
        negative *= lines.uw
        positive += negative
        z = node.inputs[0]
        self._forms[z] = self._forms[z] + positive if z in self._forms else positive
        if self.at_layer is not None:
            self.at_layer(k, self._forms[z], self._constant)

    def _double(self) -> None:
        if not self._mirrored:
            self._forms = {name: np.concatenate((a, -a), axis=2) for name, a in self._forms.items()}
            self._constant = np.concatenate((self._constant, -self._constant), axis=1)
            self._mirrored = True


def weighted_sum(weight: Array, a: Array) -> Array:
    """Sum over the first axis of weight * a, (leaves, rows); a product where the weight is one vector."""
    if weight.shape[1:] == (1, 1):
        return (weight[:, 0, 0] @ a.reshape(len(a), -1)).reshape(a.shape[1:])
    total: Array = np.einsum("nlr,nlr->lr", np.broadcast_to(weight, a.shape), a)
    return total


def concretize(a: Array, lower: Array, upper: Array) -> Array:
    """Smallest value over the box: sum of a*lower where a >= 0 and of a*upper where a < 0."""
    negative = np.minimum(a, 0.0)
    centre = weighted_sum(lower[:, :, None], a - negative)
    return centre + weighted_sum(upper[:, :, None], negative)


def relu_lines(lower: Array, upper: Array, slope: Array) -> Lines:
    """Slope below, chord above: u/(u-l) * (z - l), on unstable neurons; 0 or z on stable ones."""
    active, unstable = lower >= 0, (lower < 0) & (upper > 0)
    width = np.where(unstable, upper - lower, 1.0)
    chord = np.where(unstable, upper / width, active.astype(np.float64))
    intercept = np.where(unstable, -lower * upper / width, 0.0)
    return Lines(lw=np.where(unstable, slope, active), lb=None, uw=chord, ub=intercept)


def default_slope(lower: Array, upper: Array) -> Array:
    return (upper > -lower).astype(np.float64)


def chunks(total: int, per_item: int) -> Iterator[slice]:
    """Ranges of items so that one batch's largest temporary array stays near CHUNK_BYTES."""
    step = max(1, CHUNK_BYTES // (8 * per_item))
    for start in range(0, total, step):
        yield slice(start, min(start + step, total))


def numbers_per_column(network: Network) -> int:
    """How many numbers one form needs in the largest array of a sweep."""
    sizes = [network.size(name) for name in network.shapes]
    for node in network.nodes:
        if node.op == "Conv":
            _, rows, columns = network.shapes[node.output]
            sizes.append(node.constant[0][0].size * rows * columns)
    return max(sizes)


def layers_in_order(dump: Dump) -> list[tuple[int, str]]:
    """(layer index, pre-activation tensor) in topological order."""
    nodes = (node for node in dump.network.nodes if node.op in ACTIVATIONS)
    return [(dump.layer_of[node.output], node.inputs[0]) for node in nodes]


def unit_forms(size: int, rows: slice, leaves: int = 1) -> Array:
    """The neurons `rows` of a tensor, as forms: (size, leaves, rows)."""
    a = np.zeros((size, leaves, rows.stop - rows.start))
    for column, neuron in enumerate(range(rows.start, rows.stop)):
        a[neuron, :, column] = 1.0
    return a


def leaf_rows(dump: Dump, leaves: slice) -> Array:
    """The proved row of each leaf as forms over the output: (n_out, leaves, 1)."""
    arrays = dump.arrays
    rows = arrays["spec_C"][arrays["leaf_or"][leaves], arrays["leaf_row"][leaves]]
    return np.ascontiguousarray(rows.T[:, :, None], dtype=np.float64)


# ---------------------------------------------------------------- kind "activation"


def activation_leaves(dump: Dump) -> tuple[Array, dict[int, Bounds]]:
    """Root bounds from the recorded slopes, then every leaf's row on the root bounds clamped at its splits."""
    network, layers = dump.network, layers_in_order(dump)
    bounds: dict[int, Bounds] = {}
    box = (dump.lower[:, None], dump.upper[:, None])
    for j, tensor in layers:
        size = network.size(tensor)
        parts = []
        for rows in chunks(size, 2 * numbers_per_column(network)):
            relaxed = root_lines(dump, bounds, j, rows)
            sweep = Sweep(network, dump.layer_of, relaxed.__getitem__, mirror=True)
            parts.append(sweep.run(tensor, unit_forms(size, rows), box)[0].reshape(2, -1))
        both = np.concatenate(parts, axis=1)
        bounds[j] = (both[0][:, None], -both[1][:, None])
    count = len(dump.arrays["leaf_or"])
    result = np.empty(count)
    for leaves in chunks(count, numbers_per_column(network)):
        lines, splits = leaf_lines(dump, bounds, leaves)
        sweep = Sweep(network, dump.layer_of, lines.__getitem__, splits)
        result[leaves] = sweep.run(network.output, leaf_rows(dump, leaves), box)[:, 0]
    return result, bounds


def root_lines(dump: Dump, bounds: dict[int, Bounds], j: int, rows: slice) -> dict[int, Lines]:
    """Relaxations of the layers below j for the forms +z_s and then -z_s, s in `rows`."""
    lines = {}
    for k, (lower, upper) in bounds.items():
        slope = default_slope(lower, upper)[:, :, None]
        if f"ialpha/{k}/{j}" in dump.arrays:
            recorded = dump.arrays[f"ialpha/{k}/{j}"]
            used = dump.arrays[f"ialpha_row/{k}/{j}"][rows]
            if recorded.shape[1] == 1 and np.array_equal(recorded[0], recorded[1]):
                columns = recorded[0]  # one slope per neuron, whatever the row
            else:
                columns = np.concatenate((recorded[0][used], recorded[1][used]))
            slope = np.repeat(slope, len(columns), axis=2)
            slope[dump.arrays[f"alpha_cols/{k}"], 0] = columns.T
        lines[k] = relu_lines(lower[:, :, None], upper[:, :, None], slope)
    return lines


def leaf_lines(
    dump: Dump, bounds: dict[int, Bounds], leaves: slice
) -> tuple[dict[int, Lines], Callable[[int, Array, Array], None]]:
    """Relaxations (n, leaves, 1) on the clamped bounds, and the function that adds the split terms."""
    arrays, count = dump.arrays, leaves.stop - leaves.start
    ptr = arrays["split_ptr"]
    span = slice(int(ptr[leaves.start]), int(ptr[leaves.stop]))
    leaf = np.repeat(np.arange(count), np.diff(ptr[leaves.start : leaves.stop + 1]))
    layer, neuron = arrays["split_layer"][span], arrays["split_neuron"][span]
    sign = arrays["split_sign"][span].astype(np.float64)
    point = arrays["split_point"][span].astype(np.float64)
    term = arrays["split_beta"][span].astype(np.float64) * sign
    lines = {}
    for k, (lower, upper) in bounds.items():
        low, high = np.repeat(lower, count, axis=1), np.repeat(upper, count, axis=1)
        up, down = (layer == k) & (sign > 0), (layer == k) & (sign < 0)
        np.maximum.at(low, (neuron[up], leaf[up]), point[up])
        np.minimum.at(high, (neuron[down], leaf[down]), point[down])
        slope = np.repeat(default_slope(lower, upper), count, axis=1)
        slope[arrays[f"alpha_cols/{k}"]] = arrays[f"leaf_alpha/{k}"][leaves].T
        lines[k] = relu_lines(low[:, :, None], high[:, :, None], slope[:, :, None])

    def splits(k: int, a: Array, constant: Array) -> None:
        """f >= f - beta*sign*(z - point) where sign*(z - point) >= 0."""
        here = layer == k
        np.subtract.at(a, (neuron[here], leaf[here], 0), term[here])
        np.add.at(constant, (leaf[here], 0), term[here] * point[here])

    return lines, splits


# ---------------------------------------------------------------- kind "lines"


def line_leaves(dump: Dump) -> tuple[Array, dict[int, Bounds]]:
    """Plain CROWN at the root with the recorded lines, moved outward where they cross their function."""
    network, bounds, lines = dump.network, dict[int, Bounds](), dict[int, Lines]()
    function = {node.inputs[0]: node.op for node in network.nodes if node.op in ACTIVATIONS}
    box = (dump.lower[:, None], dump.upper[:, None])
    for j, tensor in layers_in_order(dump):
        size = network.size(tensor)
        parts = []
        for rows in chunks(size, 2 * numbers_per_column(network)):
            sweep = Sweep(network, dump.layer_of, lines.__getitem__, mirror=True)
            parts.append(sweep.run(tensor, unit_forms(size, rows), box)[0].reshape(2, -1))
        both = np.concatenate(parts, axis=1)
        bounds[j] = (both[0][:, None], -both[1][:, None])
        lines[j] = recorded_lines(dump, j, function[tensor], bounds[j])
    leaves = slice(0, len(dump.arrays["leaf_or"]))
    sweep = Sweep(network, dump.layer_of, lines.__getitem__)
    return sweep.run(network.output, leaf_rows(dump, leaves), box)[:, 0], bounds


def recorded_lines(dump: Dump, k: int, op: str, bounds: Bounds) -> Lines:
    """The dump's lines of layer k, each intercept moved by the largest crossing on the bounds."""
    lw, lb, uw, ub = (dump.arrays[f"line_{name}/{k}"].astype(np.float64) for name in ("lw", "lb", "uw", "ub"))
    lower, upper = bounds[0][:, 0], bounds[1][:, 0]
    lb = lb - largest_gap(op, lw, lb, lower, upper, +1.0)
    ub = ub + largest_gap(op, uw, ub, lower, upper, -1.0)
    return Lines(*(part[:, None, None] for part in (lw, lb, uw, ub)))


def largest_gap(op: str, w: Array, b: Array, lower: Array, upper: Array, sign: float) -> Array:
    """max(0, max over [lower, upper] of sign*(w*z + b - f(z))): at an end or where f' = w."""
    gap = np.zeros_like(w)
    for z in (lower, upper, *stationary_points(op, w)):
        z = np.clip(z, lower, upper)
        gap = np.maximum(gap, sign * (w * z + b - evaluate(op, z)))
    return gap


def evaluate(op: str, z: Array) -> Array:
    if op == "Relu":
        return np.maximum(z, 0.0)
    return np.tanh(z) if op == "Tanh" else 0.5 * (1.0 + np.tanh(0.5 * z))


def stationary_points(op: str, w: Array) -> tuple[Array, ...]:
    """Where f' = w (0 where it is nowhere); for a ReLU its kink.

    tanh' = 1 - t^2 = w at t = +-sqrt(1-w); sigmoid(z) = (1 + tanh(z/2))/2 has slope (1 - t^2)/4.
    """
    if op == "Relu":
        return (np.zeros_like(w),)
    slope, scale = (w, 1.0) if op == "Tanh" else (4.0 * w, 2.0)
    t = np.sqrt(1.0 - np.where((slope > 0.0) & (slope <= 1.0), slope, 1.0))
    with np.errstate(divide="ignore"):  # a slope near 0 sends the point to infinity; the caller clips it
        z = scale * np.arctanh(t)
    return z, -z


# ---------------------------------------------------------------- kind "input-box"


def box_leaves(dump: Dump) -> tuple[Array, dict[int, Bounds]]:
    """Every leaf's layers from first to last, on its own sub-box, and then its row."""
    network, arrays, count = dump.network, dump.arrays, len(dump.arrays["leaf_or"])
    layers = layers_in_order(dump)
    widest = max((network.size(tensor) for _, tensor in layers), default=1)
    result = np.empty(count)
    kept: dict[int, Bounds] = {
        k: (np.empty((network.size(tensor), count)), np.empty((network.size(tensor), count)))
        for k, tensor in layers
    }
    for leaves in chunks(count, 2 * widest * numbers_per_column(network)):
        box, lines = leaf_box(dump, leaves), dict[int, Lines]()
        for k, tensor in layers:
            size = network.size(tensor)
            forms = unit_forms(size, slice(0, size), leaves.stop - leaves.start)
            both = Sweep(network, dump.layer_of, lines.__getitem__, mirror=True).run(tensor, forms, box)
            lower, upper = both[:, :size].T, -both[:, size:].T
            bits = np.unpackbits(arrays[f"leaf_slope_bits/{k}"][leaves], axis=1)[:, :size].T
            lines[k] = relu_lines(lower[:, :, None], upper[:, :, None], bits[:, :, None].astype(np.float64))
            kept[k][0][:, leaves], kept[k][1][:, leaves] = lower, upper
        sweep = Sweep(network, dump.layer_of, lines.__getitem__)
        result[leaves] = sweep.run(network.output, leaf_rows(dump, leaves), box)[:, 0]
    return result, kept


def leaf_box(dump: Dump, leaves: slice) -> Bounds:
    """The leaves' boxes, (n_in, leaves); a face on the float32 box moves out to the property's decimal."""
    low, high = dump.arrays["leaf_lo"][leaves], dump.arrays["leaf_hi"][leaves]
    low = np.where(low <= dump.arrays["box_lo"][0], dump.lower, low)
    high = np.where(high >= dump.arrays["box_hi"][0], dump.upper, high)
    return np.ascontiguousarray(low.T), np.ascontiguousarray(high.T)


# ---------------------------------------------------------------- command line


def main(folders: list[str]) -> int:
    """Print one line per folder, the totals and the memory peak; 1 if some leaf isn't above its threshold."""
    print(f"{'folder':36} {'kind':10} {'leaves':>6} {'min margin':>12} {'read s':>8} {'compute s':>9}")
    read = compute = 0.0
    failed = False
    for folder in folders:
        result = recompute(Path(folder).resolve())
        read, compute = read + result.read_seconds, compute + result.compute_seconds
        failed |= not result.min_margin > 0.0
        print(
            f"{result.folder:36} {result.kind:10} {len(result.leaf_bounds):6} {result.min_margin:12.4e} "
            f"{result.read_seconds:8.3f} {result.compute_seconds:9.3f}",
            flush=True,
        )
    print(f"{'total':36} {'':10} {'':6} {'':12} {read:8.3f} {compute:9.3f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "unset")
    print(f"peak memory {peak:.0f} MiB, OPENBLAS_NUM_THREADS={threads}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
