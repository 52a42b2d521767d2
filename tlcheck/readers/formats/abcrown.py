"""Reader for branch-and-bound proofs dumped from alpha,beta-CROWN (format "abcrown-dump", version 1).

A folder with ``certificate.json``, ``arrays.npz``, the network and the property. Everything in it but the two
hashes is guidance: it is mapped to our graph by ONNX tensor names and turned into slopes, splits and multipliers. The
arrays' numbers are claims of a float32 program; none is believed. The property's box is read from the .vnnlib file,
never from the dump's float32 arrays.
"""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
import zlib
from fractions import Fraction
from math import inf, nextafter, prod
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput
from tlcheck.limits import (
    MAX_FILE_BYTES,
    MAX_JSON_BYTES,
    MAX_LEAVES,
    MAX_PROPERTY_BYTES,
    MAX_UNPACKED_BYTES,
    MAX_ZIP_MEMBERS,
)
from tlcheck.readers.bytes import check_plausible, read_bytes, read_stored_bytes, sha256_hex
from tlcheck.readers.data_files import beside
from tlcheck.readers.loaded import LoadedClaim
from tlcheck.readers.onnx import read_model, whole_model
from tlcheck.readers.strict_json import decode
from tlcheck.readers.vnnlib.read import read_query
from tlcheck.trusted.claim import UnsatClaim
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import (
    LEAF,
    SPLIT,
    Guidance,
    IntermediateSlopes,
    LeafSlopes,
    Leaves,
    SharedSlopes,
    Tree,
)
from tlcheck.trusted.ops.elementwise import Elementwise
from tlcheck.trusted.query import Query

Ints = NDArray[np.int64]
Array = NDArray[Any]

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x0001
_MAX_NPY_HEADER = 1024
_NPY_HEADER = re.compile(
    rb"\{'descr': '([<>|=])([biuf])([1248])', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,18}, ?)*+(?:[0-9]{1,18})?)\),? ?\} *+\n?"
)
"""The header of an array of integers, floats or booleans, as numpy writes it."""

KINDS = ("activation", "input-box", "lines")


class Activation(msgspec.Struct):
    """One nonlinear layer; its position in the list is the layer index of the arrays."""

    n: int
    relu_onnx: str | None = None
    act_onnx: str | None = None

    @property
    def tensor(self) -> str:
        return self.act_onnx or self.relu_onnx or ""


class Network(msgspec.Struct):
    relus: list[Activation] = []
    acts: list[Activation] = []

    @property
    def activations(self) -> list[Activation]:
        return self.acts or self.relus


class ArrayInfo(msgspec.Struct):
    shape: list[int]
    dtype: str


class Verifier(msgspec.Struct):
    name: str = ""
    commit: str = ""


class Manifest(msgspec.Struct):
    """The fields of certificate.json that are used; others are the producer's notes."""

    format: str
    version: int
    kind: str
    onnx_file: str
    onnx_sha256: str
    vnnlib_file: str
    vnnlib_sha256: str
    num_leaves: int
    network: Network
    arrays: dict[str, ArrayInfo]
    wall_time_s: float = 0.0
    verifier: Verifier = msgspec.field(default_factory=Verifier)


def read_manifest(folder: Path) -> Manifest:
    """certificate.json, strictly decoded. Raises InvalidInput."""
    path = folder / "certificate.json"
    manifest = decode(read_bytes(path, limit=MAX_JSON_BYTES), Manifest, str(path))
    if manifest.format != "abcrown-dump" or manifest.version != 1:
        raise InvalidInput(
            "TLC102",
            "unknown format",
            file=str(path),
            field="format",
            expected="abcrown-dump version 1",
            got=f"{manifest.format} version {manifest.version}",
        )
    if manifest.kind not in KINDS:
        raise InvalidInput(
            "TLC101",
            "unknown kind",
            file=str(path),
            field="kind",
            expected=" or ".join(KINDS),
            got=manifest.kind,
        )
    if not 0 <= manifest.num_leaves <= MAX_LEAVES:
        raise InvalidInput(
            "TLC401", "too many leaves", file=str(path), field="num_leaves", got=str(manifest.num_leaves)
        )
    return manifest


def read_guidance(folder: Path, manifest: Manifest, graph: Graph, query: Query) -> Guidance:
    """The dump's choices as guidance for our graph. Raises InvalidInput when they do not fit it."""
    arrays = Arrays(folder / "arrays.npz", manifest)
    layers = _layers(manifest, graph, str(folder / "certificate.json"))
    reader = _Reader(arrays, layers, graph, query, manifest)
    return reader.guidance()


class Arrays:
    """The arrays of an .npz, each checked for shape and size before it is unpacked."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.file = str(path)
        self._declared = manifest.arrays
        packed = read_stored_bytes(path, limit=MAX_UNPACKED_BYTES)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(packed))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, struct.error) as error:
            raise InvalidInput("TLC403", f"not a readable .npz: {error}", file=self.file) from None
        members = self._zip.infolist()
        self._members = {info.filename: info for info in members}
        if len(members) > MAX_ZIP_MEMBERS or len(self._members) != len(members):
            raise InvalidInput("TLC105", "too many or duplicate members", file=self.file)
        if any(m.compress_type not in _METHODS or m.flag_bits & _ENCRYPTED for m in members):
            raise InvalidInput("TLC403", "a member that is neither stored nor deflated", file=self.file)
        total = sum(m.file_size for m in members)
        if total > MAX_UNPACKED_BYTES:
            raise InvalidInput("TLC401", "arrays unpack to more than the limit", file=self.file)
        check_plausible(total, len(packed), self.file)

    def __contains__(self, name: str) -> bool:
        return name in self._declared

    def get(self, name: str, shape: tuple[int | None, ...], kind: str) -> Array:
        """The array ``name`` of that shape (None: any size) and kind: "i", "f" (finite), "x" (floats, any)."""
        member = self._members.get(f"{name}.npy")
        if member is None:
            raise self._wrong(name, "missing", "an array", "none")
        try:
            with self._zip.open(member) as stream:
                found, fortran, dtype = self._header(name, stream)
                self._check(name, found, dtype, shape, kind)
                size = prod(found) * dtype.itemsize
                if size != member.file_size - stream.tell():
                    raise self._wrong(name, "size differs from its header", "", "")
                data = stream.read(size)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError, zlib.error) as error:
            raise self._wrong(name, f"unreadable: {error}", "", "") from None
        if len(data) != size:
            raise self._wrong(name, "shorter than its header says", "", "")
        array = np.frombuffer(data, dtype).reshape(found, order="F" if fortran else "C")
        if kind == "f" and not bool(np.isfinite(array).all()):
            raise self._wrong(name, "NaN or infinity", "finite numbers", "")
        return array

    def _header(self, name: str, stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        """(shape, Fortran order, type) as numpy writes them. Its own reader evaluates the text as Python."""
        start = stream.read(8)
        width = {b"\x93NUMPY\x01\0": 2, b"\x93NUMPY\x02\0": 4, b"\x93NUMPY\x03\0": 4}.get(start)
        if width is None:
            raise self._wrong(name, "not an .npy", "", "")
        length = int.from_bytes(stream.read(width), "little")
        match = _NPY_HEADER.fullmatch(stream.read(min(length, _MAX_NPY_HEADER)))
        if match is None:
            raise self._wrong(name, "not the header of an array of numbers", "", "")
        order, kind, size, fortran, shape = (part.decode() for part in match.groups())
        dtype = np.dtype(f"{order}{kind}{size}")
        return tuple(int(n) for n in shape.split(",") if n.strip()), fortran == "True", dtype

    def _check(
        self,
        name: str,
        found: tuple[int, ...],
        dtype: np.dtype[Any],
        shape: tuple[int | None, ...],
        kind: str,
    ) -> None:
        if len(found) != len(shape) or any(
            w is not None and w != f for f, w in zip(found, shape, strict=True)
        ):
            wanted = "(" + ", ".join("any" if w is None else str(w) for w in shape) + ")"
            raise self._wrong(name, "wrong shape", wanted, str(found))
        kinds = {"i": "iu", "f": "f", "x": "f"}[kind]
        if dtype.kind not in kinds or dtype.itemsize > 8 or dtype.hasobject:
            raise self._wrong(
                name, "wrong type", {"i": "integers", "f": "floats", "x": "floats"}[kind], str(dtype)
            )

    def _wrong(self, name: str, message: str, expected: str, got: str) -> InvalidInput:
        return InvalidInput("TLC105", message, file=self.file, field=name, expected=expected, got=got)

    def ints(self, name: str, *shape: int | None) -> Ints:
        return self.get(name, shape, "i").astype(np.int64)


def _layers(manifest: Manifest, graph: Graph, file: str) -> list[int]:
    """Our activation node for each layer of the dump, by ONNX tensor name."""
    layers = []
    for k, activation in enumerate(manifest.network.activations):
        node = graph.names.get(activation.tensor)
        if node is None or not isinstance(graph.nodes[node].op, Elementwise):
            raise InvalidInput(
                "TLC104",
                "the model has no such activation",
                file=file,
                field=f"network layer {k}",
                expected="an activation's output tensor",
                got=repr(activation.tensor),
            )
        if graph.nodes[node].size != activation.n:
            raise InvalidInput(
                "TLC104",
                "layer of another size",
                file=file,
                field=f"network layer {k}",
                expected=str(graph.nodes[node].size),
                got=str(activation.n),
            )
        layers.append(node)
    return layers


class _Reader:
    def __init__(
        self, arrays: Arrays, layers: list[int], graph: Graph, query: Query, manifest: Manifest
    ) -> None:
        self.arrays, self.layers, self.graph, self.query, self.manifest = (
            arrays,
            layers,
            graph,
            query,
            manifest,
        )
        self.count = manifest.num_leaves

    def guidance(self) -> Guidance:
        kind = self.manifest.kind
        if kind == "activation":
            return Guidance(
                self._neuron_tree(),
                self._leaves(),
                leaf_slopes=self._alphas(),
                intermediate=self._intermediate(),
            )
        if kind == "input-box":
            return Guidance(self._box_tree(), self._leaves(), leaf_slopes=self._bits(), per_leaf_bounds=True)
        return Guidance(self._flat_tree(), self._leaves(), shared_slopes=self._lines())

    def _operand(self, layer: int) -> int:
        """The node that layer ``layer``'s pre-activation is."""
        return self.graph.nodes[self.layers[layer]].inputs[0]

    def _wrong(self, field: str, message: str, expected: str = "", got: str = "") -> InvalidInput:
        return InvalidInput("TLC105", message, file=self.arrays.file, field=field, expected=expected, got=got)

    def _in_range(self, name: str, values: Ints, limit: int) -> Ints:
        if values.size and not bool(((values >= 0) & (values < limit)).all()):
            raise self._wrong(
                name, "out of range", f"0 to {limit - 1}", f"{int(values.min())} to {int(values.max())}"
            )
        return values

    def _leaves(self) -> Leaves:
        disjunct = self._in_range(
            "leaf_or", self.arrays.ints("leaf_or", self.count), len(self.query.disjuncts)
        )
        row = self.arrays.ints("leaf_row", self.count)
        constraint = self._constraints(disjunct, row)
        lb = self.arrays.get("leaf_lb", (self.count,), "f").astype(np.float64)
        rhs = self._rhs()
        ptr = np.arange(self.count + 1, dtype=np.int64)
        weight = np.ones(self.count)
        splits = self._splits() if "split_ptr" in self.arrays else self._no_splits()
        return Leaves(ptr, constraint, weight, *splits, lb - rhs[disjunct, np.minimum(row, rhs.shape[1] - 1)])

    def _rhs(self) -> NDArray[np.float64]:
        """Thresholds; padding is +inf there, so it is read without the finiteness check."""
        ands = self.arrays.ints("spec_n_and", len(self.query.disjuncts))
        width = max(1, int(ands.max(initial=1)))
        return self.arrays.get("spec_rhs", (len(self.query.disjuncts), None), "x").astype(np.float64)[
            :, :width
        ]

    def _constraints(self, disjunct: Ints, row: Ints) -> Ints:
        """Our constraint for each (disjunct, row) of the dump: the one with the same float32 coefficients."""
        n = len(self.query.disjuncts)
        spec = self.arrays.get("spec_C", (n, None, self.query.n_outputs), "f")
        self._in_range("leaf_row", row, spec.shape[1])
        found: dict[tuple[int, int], int] = {}
        for d, q in sorted(set(zip(disjunct.tolist(), row.tolist(), strict=True))):
            wanted = spec[d, q].astype(np.float64)
            match = [
                k for k, c in enumerate(self.query.disjuncts[d].constraints) if _same_row(c.outputs, wanted)
            ]
            if not match:
                raise self._wrong("spec_C", f"row {q} of disjunct {d} is no constraint of the property")
            found[d, q] = match[0]
        return np.array(
            [found[key] for key in zip(disjunct.tolist(), row.tolist(), strict=True)], dtype=np.int64
        )

    def _splits(self) -> tuple[Ints, Ints, Ints, Ints, NDArray[np.float64], NDArray[np.float64]]:
        ptr = self.arrays.ints("split_ptr", self.count + 1)
        total = int(ptr[-1]) if ptr.size else 0
        if ptr[0] != 0 or bool((ptr[1:] < ptr[:-1]).any()):
            raise self._wrong("split_ptr", "must rise from 0")
        layer = self._in_range("split_layer", self.arrays.ints("split_layer", total), len(self.layers))
        operands = np.array([self._operand(k) for k in range(len(self.layers))], dtype=np.int64)
        neuron = self.arrays.ints("split_neuron", total)
        side = self.arrays.ints("split_sign", total)
        point = self.arrays.get("split_point", (total,), "f").astype(np.float64)
        beta = self.arrays.get("split_beta", (total,), "f").astype(np.float64)
        node = operands[layer] if total else np.zeros(0, np.int64)
        return ptr, node, neuron, side, point, beta

    def _no_splits(self) -> tuple[Ints, Ints, Ints, Ints, NDArray[np.float64], NDArray[np.float64]]:
        none = np.zeros(0, np.int64)
        return np.zeros(self.count + 1, np.int64), none, none, none, np.zeros(0), np.zeros(0)

    def _roots(self) -> Ints:
        return self.arrays.ints("tree_root", len(self.query.disjuncts))

    def _neuron_tree(self) -> Tree:
        rows = self.arrays.ints("tree", None, 6)
        self._in_range("tree", rows[:, 1], 2)
        split = rows[:, 1] == 0
        layer = self._in_range("tree", np.where(split, rows[:, 2], 0), max(1, len(self.layers)))
        operands = np.array([self._operand(k) for k in range(len(self.layers))] or [0], dtype=np.int64)
        point = np.zeros(rows.shape[0])
        if "split_point" in self.arrays and self.arrays.get("split_point", (None,), "f").any():
            raise self._wrong(
                "split_point", "splits away from 0 have no place in this tree", "0", "another point"
            )
        kind = np.where(split, SPLIT, LEAF)
        below = np.where(split, rows[:, 5], rows[:, 4])
        return Tree(
            kind, operands[layer], np.where(split, rows[:, 3], 0), point, below, rows[:, 4], self._roots()
        )

    def _box_tree(self) -> Tree:
        rows = self.arrays.ints("tree", None, 5)
        self._in_range("tree", rows[:, 1], 2)
        cut = self.arrays.get("tree_cut", (rows.shape[0],), "x").astype(np.float64)
        split = rows[:, 1] == 0
        if len(self.graph.inputs) != 1:
            raise self._wrong("tree", "input cuts of a network with several inputs")
        kind = np.where(split, SPLIT, LEAF)
        below = rows[:, 3]
        node = np.full(rows.shape[0], self.graph.inputs[0], np.int64)
        return Tree(
            kind,
            node,
            np.where(split, rows[:, 2], 0),
            np.where(split, cut, 0.0),
            below,
            rows[:, 4],
            self._roots(),
        )

    def _flat_tree(self) -> Tree:
        """No splits: one leaf a disjunct."""
        disjunct = self.arrays.ints("leaf_or", self.count)
        n = len(self.query.disjuncts)
        leaf_of = {int(d): k for k, d in enumerate(disjunct.tolist())}
        missing = [d for d in range(n) if d not in leaf_of]
        if missing:
            raise self._wrong("leaf_or", f"disjunct {missing[0]} has no leaf")
        zeros = np.zeros(n, np.int64)
        below = np.array([leaf_of[d] for d in range(n)], dtype=np.int64)
        return Tree(
            np.full(n, LEAF, np.int64), zeros, zeros, np.zeros(n), below, zeros, np.arange(n, dtype=np.int64)
        )

    def _columns(self, k: int) -> Ints:
        return self._in_range(f"alpha_cols/{k}", self.arrays.ints(f"alpha_cols/{k}", None), self._size(k))

    def _size(self, k: int) -> int:
        return self.graph.nodes[self.layers[k]].size

    def _alphas(self) -> dict[int, LeafSlopes]:
        result = {}
        for k, node in enumerate(self.layers):
            columns = self._columns(k)
            name = f"leaf_alpha/{k}"
            values = (
                self.arrays.get(name, (self.count, columns.size), "f")
                if name in self.arrays
                else np.zeros((self.count, 0))
            )
            result[node] = LeafSlopes(columns, values, None)
        return result

    def _bits(self) -> dict[int, LeafSlopes]:
        result = {}
        for k, node in enumerate(self.layers):
            n = self._size(k)
            packed = self.arrays.get(f"leaf_slope_bits/{k}", (self.count, (n + 7) // 8), "i")
            if packed.dtype != np.uint8:
                raise self._wrong(f"leaf_slope_bits/{k}", "wrong type", "uint8", str(packed.dtype))
            result[node] = LeafSlopes(
                np.arange(n, dtype=np.int64), np.unpackbits(packed, axis=1)[:, :n], None
            )
        return result

    def _intermediate(self) -> dict[tuple[int, int], IntermediateSlopes]:
        result = {}
        for k, node in enumerate(self.layers):
            for j in range(len(self.layers)):
                name = f"ialpha/{k}/{j}"
                if name not in self.arrays:
                    continue
                columns = self._columns(k)
                values = self.arrays.get(name, (2, None, columns.size), "f")
                row = self._in_range(
                    f"ialpha_row/{k}/{j}",
                    self.arrays.ints(f"ialpha_row/{k}/{j}", self._size(j)),
                    max(1, values.shape[1]),
                )
                result[self._operand(j), node] = IntermediateSlopes(columns, row, values[0], values[1])
        return result

    def _lines(self) -> dict[int, SharedSlopes]:
        result = {}
        for k, node in enumerate(self.layers):
            n = self._size(k)
            lower = self.arrays.get(f"line_lw/{k}", (n,), "f").astype(np.float64)
            upper = self.arrays.get(f"line_uw/{k}", (n,), "f").astype(np.float64)
            result[node] = SharedSlopes(lower, upper)
        return result


MAX_FLOAT = Fraction(nextafter(inf, 0))


def _same_row(pairs: tuple[tuple[int, Fraction], ...], wanted: NDArray[np.float64]) -> bool:
    row = np.zeros(wanted.size, np.float32)
    with np.errstate(over="ignore"):
        for i, c in pairs:
            if abs(c) > MAX_FLOAT:
                return False
            row[i] = np.float32(float(c))
    return bool((row == wanted.astype(np.float32)).all())


def load_dump(folder: Path, model: Path | None, prop: Path | None) -> list[LoadedClaim]:
    """The one claim of a dump, bound to its model and property by SHA-256 before they are parsed."""
    manifest = read_manifest(folder)
    where = str(folder / "certificate.json")
    model_path = model if model is not None else _inside(folder, manifest.onnx_file, where, "onnx_file")
    property_path = prop if prop is not None else _inside(folder, manifest.vnnlib_file, where, "vnnlib_file")
    model_bytes = _bound(model_path, manifest.onnx_sha256, MAX_FILE_BYTES)
    property_bytes = _bound(property_path, manifest.vnnlib_sha256, MAX_PROPERTY_BYTES)
    data = beside(model_path.parent, model_path, property_path, *_parts(folder).values())
    whole = whole_model(model_bytes, data, file=str(model_path))
    graph = read_model(whole.content, file=str(model_path))
    query = read_query(property_bytes, graph, file=str(property_path))
    evidence = {name: sha256_hex(read_stored_bytes(path)) for name, path in _parts(folder).items()}
    return [
        LoadedClaim(
            name=folder.name,
            claim=UnsatClaim(graph, query),
            guidance=read_guidance(folder, manifest, graph, query),
            sources={**whole.sources(), "property": manifest.vnnlib_sha256.lower(), **evidence},
            producer=f"{manifest.verifier.name} {manifest.verifier.commit[:12]}".strip(),
        )
    ]


def _parts(folder: Path) -> dict[str, Path]:
    """The dump's own files, by role."""
    return {"certificate": folder / "certificate.json", "arrays": folder / "arrays.npz"}


def _inside(folder: Path, name: str, file: str, field: str) -> Path:
    """A file of the folder itself; a name that leads elsewhere is refused."""
    if not name or Path(name).name != name or name in (".", "..") or "\\" in name or "\0" in name:
        raise InvalidInput("TLC404", "must name a file of the folder", file=file, field=field, got=repr(name))
    path = folder / name
    real, root = os.path.realpath(path), os.path.realpath(folder)  # never raises, on loops and long names too
    if os.path.islink(path) and os.path.dirname(real) != root:
        raise InvalidInput("TLC404", "a link that leaves the folder", file=file, field=field, got=repr(name))
    return path


def _bound(path: Path, expected: str, limit: int) -> bytes:
    """The file's (unpacked) bytes, if they are the ones the certificate was made for."""
    data = read_bytes(path, limit=limit)
    found = sha256_hex(data)
    if found != expected.lower():
        raise InvalidInput(
            "TLC103",
            "not the file the certificate was made for",
            file=str(path),
            field="SHA-256",
            expected=expected,
            got=found,
        )
    return data
