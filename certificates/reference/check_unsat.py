#!/usr/bin/env python3
"""The reference checker of ``.tlcert`` bundles: what ``certificates/FORMAT.md`` says, as a program. Slow, plain, one file.

    python3 check_unsat.py BUNDLE

Python's standard library and nothing else: no tlcheck, no numpy. Every number is exact: an integer over a common denominator. Only ends of
boxes (of values that are no inputs) and slopes that nobody gave are rounded: ends outward, slopes anyhow, since every slope is right
with the intercept that is computed for it.

One line a claim, and the exit code of ``tlcheck verify``: 0 all CERTIFIED; 3 some INVALID, or UNSUPPORTED, which says that this program
does not know something; 4 some UNPROVEN (the first that applies of 3, 4).

Why CERTIFIED is true. The property is a union of disjuncts: a box of inputs x and constraints c_q . (x, y) <= b_q on inputs and outputs
y = f(x). A split v <= p, v >= p leaves no point out, so the leaves of a finite tree cover the box. On a leaf, with weights w_q >= 0,
S = sum_q w_q (c_q . (x, y) - b_q) is bounded from below: a linear form in the network's values is carried from the outputs to the inputs
(``Pass.least``); each step replaces a value by something that is at most (its coefficient times) it. S > 0 everywhere on the leaf excludes
every point of the disjunct there; so does S >= 0 if a strict constraint has a weight > 0, since then S < 0 at such a point.
"""

from __future__ import annotations

import builtins
import hashlib
import io
import itertools
import json
import math
import os
import re
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

zip = partial(builtins.zip, strict=True)  # lists of different lengths never pair up

MAX_BYTES = 1 << 30  # of a file, packed or unpacked
MAX_VALUES = 1 << 22  # of a tensor
MAX_WEIGHTS = 1 << 24  # of one operator's map
MAX_CASES = 100_000  # disjuncts; and a tenth of the comparisons over all of them
KEEP = 256  # an end of a box whose denominator has more bits is rounded outward, to ROUND significant bits
ROUND = 160
MAX_DEPTH = 64  # of JSON
SLOPE = 53  # fractional bits of a slope of our own


class Invalid(Exception):
    """The input is malformed, or not what the manifest says."""


class Unsupported(Exception):
    """Nothing may be wrong with it, but this program does not know it."""


class Unproven(Exception):
    """The evidence does not establish the claim."""


def need(condition: Any, message: str) -> None:
    if not condition:
        raise Invalid(message)


def known(condition: Any, message: str) -> None:
    if not condition:
        raise Unsupported(message)


# ---- Files: names to bytes, from a folder or a zip -----------------------------------------------------------------


def check_name(name: str) -> None:
    need(all(p not in ("", ".", "..") for p in name.split("/")), f"file name {name!r}: not a plain relative path")
    need(not any(c in "\\:" or ord(c) < 32 or ord(c) == 127 for c in name), f"file name {name!r}: forbidden character")


def read_folder(path: str) -> dict[str, bytes]:
    files = {}
    for folder, folders, names in os.walk(path):
        for full in (os.path.join(folder, name) for name in folders + names):
            found = os.lstat(full)
            need(stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode), f"{full}: a link, or no file")
            if stat.S_ISREG(found.st_mode):
                name = os.path.relpath(full, path).replace(os.sep, "/")
                check_name(name)
                files[name] = read_file(full)
    return files


def read_file(path: str) -> bytes:
    need(os.path.isfile(path) and os.path.getsize(path) <= MAX_BYTES, f"{path}: no file, or larger than {MAX_BYTES} bytes")
    with open(path, "rb") as stream:
        return stream.read()


def read_zip(data: bytes) -> dict[str, bytes]:
    """Stored or deflated members and nothing else: the archive begins at byte 0, its end record is the last 22 bytes."""
    need(len(data) >= 22 and data[-22:-18] == b"PK\x05\x06", "zip: something after the archive, or no zip")
    disk, first, here, entries, size, start, comment = struct.unpack("<4x4H2LH", data[-22:])
    need(disk == first == comment == 0 and here == entries and start + size + 22 == len(data), "zip: end record")
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            need(len(infos) == entries and min((i.header_offset for i in infos), default=0) == 0, "zip: members")
            need(sum(i.file_size for i in infos) <= MAX_BYTES, "zip: unpacks to too much")
            for info in infos:
                name = info.filename
                check_name(name.removesuffix("/"))
                need(name == info.orig_filename and name not in files, f"zip: {name}: twice, or with a NUL")
                need(not info.flag_bits & 0x41 and info.compress_type in (0, 8), f"zip: {name}: encrypted or packed otherwise")
                need(stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR), f"zip: {name}: a link")
                if not info.is_dir():
                    with archive.open(info) as stream:
                        files[name] = stream.read(info.file_size + 1)
                    need(len(files[name]) == info.file_size, f"zip: {name}: size")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error) as e:
        raise Invalid(f"zip: {e}") from None
    return files


def unpacked(data: bytes, name: str) -> bytes:
    """What a gzip file unpacks to; any other file as it is."""
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        engine = zlib.decompressobj(31)
        result = engine.decompress(data, MAX_BYTES)
    except zlib.error as e:
        raise Invalid(f"{name}: gzip: {e}") from None
    need(engine.eof and not engine.unused_data, f"{name}: gzip is cut off, too large, or followed by something")
    return result


def strict_json(data: bytes, name: str) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len(dict(items)) == len(items), f"{name}: duplicate key")
        return dict(items)

    def number(text: str) -> float:
        need(text[-1].isdigit() and math.isfinite(float(text)), f"{name}: {text} is no number, or out of range")
        return float(text)

    def depth(value: Any) -> int:
        inner = value.values() if type(value) is dict else value if type(value) is list else ()
        return 1 + max(map(depth, inner), default=0)

    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=pairs, parse_float=number, parse_constant=number)
        need(depth(value) <= MAX_DEPTH, f"{name}: nested too deeply")
        return value
    except (ValueError, RecursionError) as e:
        raise Invalid(f"{name}: {e}") from None


# ---- manifest.json -------------------------------------------------------------------------------------------------


def fields(value: Any, what: str, required: dict[str, type], optional: dict[str, type] | None = None) -> dict[str, Any]:
    """An object with these fields of these types and no others (``object``: any type)."""
    allowed = required | (optional or {})
    need(type(value) is dict and required.keys() <= value.keys() <= allowed.keys(), f"{what}: fields are missing, or not known")
    for key, item in value.items():
        need(allowed[key] is object or type(item) is allowed[key], f"{what}.{key}: expected {allowed[key].__name__}")
    return value


def check_hash(value: Any, what: str, data: bytes | None = None) -> None:
    need(type(value) is str and re.fullmatch("[0-9a-f]{64}", value), f"{what}: no SHA-256 in lower-case hexadecimal")
    need(data is None or hashlib.sha256(data).hexdigest() == value, f"{what}: SHA-256 is not the manifest's")


def read_manifest(files: dict[str, bytes]) -> list[dict[str, Any]]:
    """The claims; every file is there, is listed, and is the one that was hashed."""
    need("manifest.json" in files, "no manifest.json")
    parts = {"format": str, "version": int, "producer": dict, "files": dict, "claims": list}
    manifest = fields(strict_json(files["manifest.json"], "manifest.json"), "manifest", parts)
    need(manifest["format"] == "tlcheck.bundle" and manifest["version"] in (1, 2), "manifest: another format or version")
    fields(manifest["producer"], "producer", {"name": str}, {"version": str, "notes": dict})
    need(files.keys() - {"manifest.json"} == manifest["files"].keys(), "the manifest lists other files than there are")
    for name, entry in manifest["files"].items():
        fields(entry, name, {"sha256": str, "bytes": int}, {"unpacked_sha256": object})
        need(len(files[name]) == entry["bytes"], f"{name}: {len(files[name])} bytes, {entry['bytes']} listed")
        check_hash(entry["sha256"], name, files[name])
        if entry.get("unpacked_sha256") is not None:
            check_hash(entry["unpacked_sha256"], name, unpacked(files[name], name))
    roles: dict[str, str] = {}
    names = []
    for number, claim in enumerate(manifest["claims"]):
        for file, role in check_claim(claim):
            need(file in manifest["files"], f"{file!r}: no file of the manifest")
            need(roles.setdefault(file, role) == role, f"{file}: is {roles[file]} and {role}")
        names.append(claim.get("name") or str(number))
        claim["name"], claim["version"] = names[-1], manifest["version"]
    need(names and len(set(names)) == len(names), "no claims, or two of one name")
    return manifest["claims"]


def check_claim(claim: Any) -> Iterator[tuple[str, str]]:
    """The claim's fields are right; yields the files that it names with their roles."""
    kind = claim.get("kind") if type(claim) is dict else None
    known(kind not in ("equiv", "differ"), f"a claim of kind {kind}")
    need(kind in ("unsat", "sat", "artifact"), f"claim: unknown kind {kind!r}")
    if kind == "artifact":
        fields(claim, "claim", {"kind": str, "format": str, "artifact": str}, {"part": str, "name": str})
        yield claim["artifact"], "artifact"
        return
    last = {"unsat": ("evidence", dict), "sat": ("witness", list)}[kind]
    fields(claim, "claim", {"kind": str, "model": object, "property": object, last[0]: last[1]}, {"name": str})
    for key in ("model", "property"):
        source = claim[key]
        if type(source) is str:
            yield source, key
        elif key == "model" and type(source) is dict and len(source) == 2:
            yield from ((fields(source, key, {"weights": str, "architecture": str})[part], part) for part in source)
        else:
            check_hash(fields(source, key, {"sha256": str})["sha256"], key)
    if kind == "unsat":
        e = fields(claim["evidence"], "evidence", {"arrays": str}, {"prefix": str, "nodes": list, "per_leaf_bounds": bool})
        need(all(type(n) is str for n in e.get("nodes", [])), "nodes: expected names")
        need(re.fullmatch("|.*/", e.get("prefix", ""), re.S), "prefix: must be empty or end in /")
        yield e["arrays"], "arrays"


# ---- Numbers: vectors of integers over a common denominator --------------------------------------------------------

Number = int | float | Fraction
Vector = tuple[list[int], int]  # entry i is ints[i] / denominator; denominator > 0
Literal = tuple[int, int, int, Fraction]  # node, index, side, point: value >= point where side is 1, value <= point where it is -1


def common(values: Iterable[Number]) -> Vector:
    pairs = [v.as_integer_ratio() for v in values]
    denominator = math.lcm(*{d for _, d in pairs})
    return [n * (denominator // d) for n, d in pairs], denominator


def plus(a: Vector, b: Vector) -> Vector:
    denominator = math.lcm(a[1], b[1])
    s, t = denominator // a[1], denominator // b[1]
    return [x * s + y * t for x, y in zip(a[0], b[0])], denominator


def down(x: Fraction) -> Fraction:
    """At most x; x itself where its denominator is short."""
    if x.denominator.bit_length() <= KEEP:
        return x
    unit = Fraction(2) ** (x.numerator.bit_length() - x.denominator.bit_length() - ROUND)
    return (x / unit).__floor__() * unit


class Box:
    """lower[i] <= value i <= upper[i], fractions."""

    def __init__(self, lower: Iterable[Fraction], upper: Iterable[Fraction]) -> None:
        self.lower, self.upper = list(lower), list(upper)
        self._ints: tuple[list[int], list[int], int] | None = None

    def ints(self) -> tuple[list[int], list[int], int]:
        """Both ends over one denominator; the box is not changed after the first call."""
        if self._ints is None:
            numbers, denominator = common(self.lower + self.upper)
            self._ints = numbers[: len(self.lower)], numbers[len(self.lower) :], denominator
        return self._ints

    def empty(self) -> bool:
        return any(a > b for a, b in zip(self.lower, self.upper))

    def cut(self, n: int, path: Iterable[Literal]) -> Box:
        """Its part, which may be empty, where the path's literals on values of node n hold: this is node n's box."""
        box = Box(self.lower, self.upper)
        for node, i, side, point in path:
            if node == n and side > 0:
                box.lower[i] = max(box.lower[i], point)
            elif node == n:
                box.upper[i] = min(box.upper[i], point)
        return box


# ---- The network: a list of nodes, each after its operands; node 0 is the input ------------------------------------

Rows = list[tuple[Sequence[int], Sequence[int]]]  # of each value: places in the operand, and their weights
Entry = int | float | Fraction | tuple[int, int]  # a constant, or value i of node n


@dataclass(eq=False)
class Input:
    size: int


@dataclass(eq=False)
class Affine:
    """Value j = offset[j] + sum over ``terms`` (an operand and its rows) of row j . operand / denominator.

    With ``wobble`` (one operand, value by value): the true value is within wobble[j] (|operand value j| + centre[j]) of that.
    """

    size: int
    terms: dict[int, Rows]
    denominator: int
    offset: list[Fraction]
    wobble: list[Fraction] = field(default_factory=list)
    centre: list[Fraction] = field(default_factory=list)

    def radius(self, boxes: Sequence[Box]) -> list[Fraction]:
        (operand,) = self.terms
        box = boxes[operand]
        return [w * (max(-l, u) + c) for w, c, l, u in zip(self.wobble, self.centre, box.lower, box.upper)]


@dataclass(eq=False)
class Bent:
    """Value j = function(operand value j), continuous, and linear between the kinks."""

    size: int
    operand: int
    function: Callable[[Fraction], Fraction]
    kinks: list[Fraction]
    relu: bool


@dataclass(eq=False)
class Largest:
    """Value j = the largest of the operand's values at windows[j]."""

    size: int
    operand: int
    windows: list[list[int]]


@dataclass
class Tensor:
    """Row-major entries. ``type``: ONNX's number of the element type."""

    shape: tuple[int, ...]
    type: int
    entries: list[Entry]

    @property
    def node(self) -> int:
        """The node whose values, all and in order, these are; -1 if there is none."""
        first = self.entries[0] if self.entries else 0
        same = type(first) is tuple and all(e == (first[0], i) for i, e in enumerate(self.entries))
        return first[0] if same else -1


Values = list[Entry]


class Network:
    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.tensors: dict[str, Tensor] = {}
        self.output = -1

    def add(self, node: Any, shape: Sequence[int], kind: int) -> Tensor:
        known(0 < node.size <= MAX_VALUES, f"a tensor of {node.size} values")
        self.nodes.append(node)
        return Tensor(tuple(shape), kind, [(len(self.nodes) - 1, i) for i in range(node.size)])

    def sums(self, shape: Sequence[int], kind: int, sums: Iterable[Iterable[tuple[Entry, Entry]]]) -> Tensor:
        """Each entry a sum of products of two entries, one of which at least is a constant."""
        offset, rows, used = [], [], 0
        for products in sums:
            constant, row = Fraction(0), []
            for a, b in products:
                if type(a) is tuple:
                    known(type(b) is not tuple, "a product of values that are no constants")
                    row.append((a, b))
                elif type(b) is tuple:
                    row.append((b, a))
                elif a and b:
                    constant += Fraction(a) * Fraction(b)
            offset.append(constant)
            rows.append(row)
            used += len(row)
            known(used <= MAX_WEIGHTS, "an operator with too many weights")
        if used == 0:
            return Tensor(tuple(shape), kind, [int(c) if c.denominator == 1 else c for c in offset])
        found = {w: w.as_integer_ratio() for row in rows for _, w in row}
        denominator = math.lcm(*{d for _, d in found.values()})
        whole = {w: n * (denominator // d) for w, (n, d) in found.items()}
        terms: dict[int, Rows] = {}
        for j, row in enumerate(rows):
            for (n, i), w in row:
                if n not in terms:
                    terms[n] = [([], []) for _ in rows]
                terms[n][j][0].append(i)
                terms[n][j][1].append(whole[w])
        return self.add(Affine(len(rows), terms, denominator, offset), shape, kind)

    def pick(self, x: Tensor, shape: Sequence[int], entries: Values) -> Tensor:
        """These entries of x, or constants, as a tensor: x's own node where they are its values in order."""
        result = Tensor(tuple(shape), x.type, entries)
        if (result.node >= 0 and self.nodes[result.node].size == len(entries)) or not any(type(e) is tuple for e in entries):
            return result
        return self.sums(shape, x.type, ([(e, 1)] for e in entries))


# ---- ONNX: the protobuf wire format, then messages -----------------------------------------------------------------


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        need(at < len(data) and shift < 70, "ONNX: a number is cut off or too long")
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            need(value < 1 << 64, "ONNX: a number is too large")
            return value, at


def message(data: Any, what: str, wanted: dict[int, str], ignored: Iterable[int] = ()) -> dict[str, list[Any]]:
    """Field name -> its values in order (integers, or bytes). Fields that are neither wanted nor known to say nothing are refused."""
    known(type(data) is bytes, f"ONNX: {what} is no message")
    result: dict[str, list[Any]] = {name: [] for name in wanted.values()}
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        need(wire in (0, 1, 2, 5), f"ONNX: {what}: wire type {wire}")
        if wire == 0:
            value, at = varint(data, at)
        else:
            length, at = varint(data, at) if wire == 2 else (8 if wire == 1 else 4, at)
            value, at = data[at : at + length], at + length
        need(at <= len(data), f"ONNX: {what} is cut off")
        known(number in wanted or number in ignored, f"ONNX: field {number} of {what}")
        if number in wanted:
            result[wanted[number]].append(value)
    return result


def one(values: list[Any], what: str, default: Any = None) -> Any:
    """The value of a field that occurs once at most (protobuf takes the last of several, and passes over one of another wire type)."""
    known(len(values) <= 1, f"ONNX: {what} occurs twice")
    need(values or default is not None, f"ONNX: no {what}")
    return values[0] if values else default


def text(values: list[Any], what: str) -> str:
    value = one(values, what, b"")
    known(type(value) is bytes, f"ONNX: {what} of another wire type")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid(f"ONNX: {what} is no text") from None


def integers(values: list[Any], what: str) -> list[int]:
    """A repeated integer, packed or not."""
    result = []
    for value in values:
        at = 0
        while type(value) is bytes and at < len(value):
            number, at = varint(value, at)
            result.append(number)
        result += [] if type(value) is bytes else [value]
    return [v - (1 << 64) if v >> 63 else v for v in result]


def integer(values: list[Any], what: str) -> int:
    known(type(one(values, what)) is int, f"ONNX: {what} is no integer")
    return integers(values, what)[0]


FLOAT, INT64, DOUBLE = 1, 7, 11
LAYOUT = {FLOAT: ("f", "floats"), INT64: ("q", "int64s"), DOUBLE: ("d", "doubles")}


def read_tensor(data: Any) -> tuple[str, Tensor]:
    wanted = {1: "dims", 2: "type", 4: "floats", 7: "int64s", 8: "name", 9: "raw", 10: "doubles"}
    m = message(data, "a tensor", wanted, (12, 16))
    name, kind, shape = text(m["name"], "a tensor's name"), integer(m["type"], "a tensor's type"), integers(m["dims"], "dims")
    known(kind in LAYOUT, f"ONNX: tensor {name}: element type {kind}")
    need(all(d >= 0 for d in shape), f"ONNX: tensor {name}: a negative dimension")
    size = math.prod(shape)
    known(size <= MAX_WEIGHTS, f"ONNX: tensor {name} is too large")
    layout, typed = LAYOUT[kind]
    need([k for k in ("floats", "int64s", "doubles", "raw") if m[k]] in ([], ["raw"], [typed]), f"ONNX: tensor {name}: data of another type")
    if m["int64s"]:
        values: list[Any] = integers(m["int64s"], name)
    else:
        raw = one(m["raw"], "raw_data") if m["raw"] else b"".join(v if type(v) is bytes else b"?" for v in m[typed])
        need(type(raw) is bytes and len(raw) == size * struct.calcsize("<" + layout), f"ONNX: tensor {name}: wrong number of bytes")
        values = list(struct.unpack(f"<{size}{layout}", raw))
    need(len(values) == size and all(map(math.isfinite, values)), f"ONNX: tensor {name}: a wrong number of values, NaN or infinite ones")
    return name, Tensor(tuple(shape), kind, values)


def read_attribute(data: bytes) -> tuple[str, Any]:
    kinds = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
    m = message(data, "an attribute", {1: "name", 2: "f", 3: "i", 4: "s", 5: "t", 7: "floats", 8: "ints", 9: "strings", 20: "type"}, (13,))
    name, kind = text(m["name"], "an attribute's name"), integer(m["type"], "an attribute's type")
    known(kind in (1, 2, 3, 4, 7), f"ONNX: attribute {name} of type {kind}")
    need(all(not m[k] for number, k in kinds.items() if number != kind), f"ONNX: attribute {name} of two types")
    if kind == 1:
        value = one(m["f"], name)
        need(type(value) is bytes and len(value) == 4 and math.isfinite(struct.unpack("<f", value)[0]), f"ONNX: attribute {name}")
        return name, struct.unpack("<f", value)[0]
    if kind == 2:
        return name, integer(m["i"], name)
    return name, text(m["s"], name) if kind == 3 else read_tensor(one(m["t"], name))[1] if kind == 4 else integers(m["ints"], name)


def read_value_info(data: bytes) -> tuple[str, int, list[int]]:
    """Name, element type, shape; -1 for a free dimension."""
    m = message(data, "a value", {1: "name", 2: "type"}, (3, 4))
    tensor = message(one(m["type"], "type"), "a type", {1: "tensor"}, (6,))["tensor"]
    t = message(one(tensor, "tensor type"), "a tensor type", {1: "elem", 2: "shape"})
    known(t["elem"] and t["shape"], "ONNX: an input or output whose type is not said")
    dims = message(one(t["shape"], "shape"), "a shape", {1: "dim"})["dim"]
    values = [message(dim, "a dimension", {1: "value", 2: "name"}, (3,))["value"] for dim in dims]
    return text(m["name"], "name"), integer(t["elem"], "elem_type"), [integer(v, "dim_value") if v else -1 for v in values]


def read_onnx(data: bytes) -> Network:
    model = message(data, "the model", {1: "ir", 7: "graph", 8: "opset"}, (2, 3, 4, 5, 6, 14))
    imports = [message(item, "opset_import", {1: "domain", 2: "version"}) for item in model["opset"]]
    versions = [integer(m["version"], "opset version") for m in imports if text(m["domain"], "domain") in ("", "ai.onnx")]
    known(len(set(versions)) == 1, "ONNX: the standard's opset is imported in two versions, or not")
    known(7 <= versions[0] <= 22, f"ONNX: opset {versions[0]}")
    parts = {1: "node", 5: "initializer", 11: "input", 12: "output", 13: "other"}
    graph = message(one(model["graph"], "graph"), "the graph", parts, (2, 10, 16))
    for item in graph["other"]:  # shapes that somebody inferred say nothing here, but must be well formed
        for kind in message(item, "a value", {2: "type"}, (1, 3, 4))["type"]:
            for tensor in message(kind, "a type", {1: "tensor"}, (6,))["tensor"]:
                for shape in message(tensor, "a tensor type", {2: "shape"}, (1,))["shape"]:
                    for dim in message(shape, "a shape", {1: "dim"})["dim"]:
                        message(dim, "a dimension", {}, (1, 2, 3))
    net = Network()
    for name, tensor in map(read_tensor, graph["initializer"]):
        need(name and name not in net.tensors, f"ONNX: initializer {name!r} without a name, or twice")
        net.tensors[name] = tensor
    free = [i for i in map(read_value_info, graph["input"]) if i[0] not in net.tensors]
    known(len(free) == len(graph["output"]) == 1, f"ONNX: {len(free)} inputs, {len(graph['output'])} outputs")
    ((name, kind, dims),) = free
    known(kind in (FLOAT, DOUBLE) and all(d > 0 for d in dims[1:]), "ONNX: element type of the input, or a free dimension that is not the first")
    need(dims[:1] == [-1] or all(d > 0 for d in dims), "ONNX: the input's shape")
    shape = [abs(d) for d in dims]
    net.tensors[name] = net.add(Input(math.prod(shape)), shape, kind)
    for item in graph["node"]:
        lower(net, item, versions[0])
    name, kind, dims = read_value_info(graph["output"][0])
    need(name in net.tensors, f"ONNX: output {name} is no tensor")
    y = net.tensors[name]
    need(kind == y.type and len(dims) == len(y.shape) and all(d in (-1, s) for d, s in zip(dims, y.shape)), f"ONNX: output is {y.shape}, not {dims}")
    known(y.node >= 0, "ONNX: a constant output")
    net.output = y.node
    return net


# ---- ONNX operators ------------------------------------------------------------------------------------------------


@dataclass
class Call:
    """One node: its operands, and its attributes, each of which must be asked for."""

    net: Network
    op: str
    operands: list[Tensor | None]
    attributes: dict[str, Any]
    opset: int

    def attribute(self, name: str, default: Any, kind: type | None = None) -> Any:
        value = self.attributes.pop(name, default)
        known(value is None or type(value) is (kind or type(default)), f"{self.op}: attribute {name}")
        return value

    def optional(self, place: int, like: Tensor | None = None) -> Tensor | None:
        """An operand, of the element type of ``like``; None where it is absent."""
        tensor = self.operands[place] if place < len(self.operands) else None
        known(tensor is None or like is None or tensor.type == like.type, f"{self.op}: element types differ")
        return tensor

    def operand(self, place: int, like: Tensor | None = None) -> Tensor:
        tensor = self.optional(place, like)
        need(tensor is not None, f"{self.op}: operand {place} is missing")
        return tensor

    def whole(self, place: int, attribute: str, since: int) -> list[int] | None:
        """Integers: an attribute before opset ``since``, a constant operand from then on; None where absent."""
        if self.opset < since:
            return self.attribute(attribute, None, list)
        tensor = self.optional(place)
        known(tensor is None or (tensor.type == INT64 and all(type(e) is int for e in tensor.entries)), f"{self.op}: operand {place}")
        return None if tensor is None else list(tensor.entries)

    def constants(self, tensor: Tensor) -> list[Number]:
        known(not any(type(e) is tuple for e in tensor.entries), f"{self.op}: an operand that is no constant")
        return tensor.entries


def strides(shape: Sequence[int]) -> list[int]:
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def grid(shape: Iterable[int]) -> Iterator[tuple[int, ...]]:
    return itertools.product(*map(range, shape))


def place(coordinates: Iterable[int], steps: Iterable[int]) -> int:
    return sum(c * s for c, s in zip(coordinates, steps))


def spread_to(x: Tensor, shape: Sequence[int]) -> Values:
    """The entries of x as a tensor of this shape (numpy's rule)."""
    padded = [1] * (len(shape) - len(x.shape)) + list(x.shape)
    need(len(padded) == len(shape) and all(a in (1, b) for a, b in zip(padded, shape)), f"ONNX: {x.shape} does not spread to {shape}")
    steps = [0 if a == 1 else s for a, s in zip(padded, strides(padded))]
    return [x.entries[place(c, steps)] for c in grid(shape)]


def arithmetic(call: Call) -> Tensor:
    a, b = call.operand(0), call.operand(1, call.operand(0))
    known(a.type != INT64, f"{call.op} of integers")
    n = max(len(a.shape), len(b.shape))
    pairs = zip([1] * (n - len(a.shape)) + list(a.shape), [1] * (n - len(b.shape)) + list(b.shape))
    shape = [y if x == 1 else x for x, y in pairs]
    both = zip(spread_to(a, shape), spread_to(b, shape))
    known(any(type(e) is tuple for e in a.entries + b.entries), f"{call.op} of constants")
    if call.op == "Mul":
        return call.net.sums(shape, a.type, ([pair] for pair in both))
    return call.net.sums(shape, a.type, ([(x, 1), (y, -1 if call.op == "Sub" else 1)] for x, y in both))


def product(call: Call) -> Tensor:
    """Gemm, and MatMul of a stack of matrices and a matrix, or of two matrices; alpha goes to the second factor's constants."""
    a, b = call.operand(0), call.operand(1, call.operand(0))
    c = call.optional(2, a)
    known(a.type != INT64, f"{call.op} of integers")
    alpha, beta = (Fraction(call.attribute(k, 1.0)) if call.op == "Gemm" else Fraction(1) for k in ("alpha", "beta"))
    turned = [call.attribute(k, 0) if call.op == "Gemm" else 0 for k in ("transA", "transB")]
    known(set(turned) <= {0, 1} and len(b.shape) == 2 and len(a.shape) >= 2 and (call.op == "MatMul" or len(a.shape) == 2), f"{call.op}: ranks")
    known(alpha == 1 or not any(type(e) is tuple for e in b.entries), "Gemm: alpha with a second factor that is no constant")
    left = (math.prod(a.shape[:-1]), a.shape[-1])
    x = [e for i in range(left[1]) for e in a.entries[i :: left[1]]] if turned[0] else a.entries
    m, k = left[::-1] if turned[0] else left
    k_b, n = b.shape[::-1] if turned[1] else b.shape
    need(k == k_b, f"{call.op}: {a.shape} and {b.shape} do not fit")
    factors = b.entries if alpha == 1 else [alpha * Fraction(e) for e in b.entries]
    columns = [factors[j * k : j * k + k] if turned[1] else factors[j::n] for j in range(n)]
    bias = spread_to(c, (m, n)) if c is not None else []
    sums = ([*zip(x[i * k : i * k + k], columns[j]), *([(bias[i * n + j], beta)] if bias else [])] for i in range(m) for j in range(n))
    return call.net.sums((m, n) if call.op == "Gemm" else (*a.shape[:-1], n), a.type, sums)


def windows(call: Call, spatial: Sequence[int], kernel: Sequence[int], dilated: bool) -> tuple[list[int], list[list[tuple[int, int]]]]:
    """The output's spatial shape; of each place there, (position in the kernel, position in the input) that meet."""
    n = len(spatial)
    known(call.attribute("auto_pad", "NOTSET") == "NOTSET", f"{call.op}: auto_pad")
    step, pads = call.attribute("strides", [1] * n), call.attribute("pads", [0] * 2 * n)
    apart = call.attribute("dilations", [1] * n) if dilated else [1] * n
    need(len(kernel) == len(step) == len(apart) == n and len(pads) == 2 * n, f"{call.op}: attributes of another rank")
    need(min([*kernel, *step, *apart]) >= 1 and min(pads) >= 0, f"{call.op}: attributes out of range")
    sizes = [s + pads[i] + pads[n + i] for i, s in enumerate(spatial)]
    out = [(s - (k - 1) * d - 1) // t + 1 for s, k, d, t in zip(sizes, kernel, apart, step)]
    need(all(o >= 1 for o in out), f"{call.op}: the kernel is larger than the input")
    result = []
    for o in grid(out):
        met = []
        for number, k in enumerate(grid(kernel)):
            at = [o[i] * step[i] - pads[i] + k[i] * apart[i] for i in range(n)]
            if all(0 <= p < s for p, s in zip(at, spatial)):
                met.append((number, place(at, strides(spatial))))
        result.append(met)
    return out, result


def conv(call: Call) -> Tensor:
    x, w, b = call.operand(0), call.operand(1, call.operand(0)), call.optional(2, call.operand(0))
    need(len(w.shape) == len(x.shape) >= 3, "Conv: ranks")
    kernel, group = list(w.shape[2:]), call.attribute("group", 1)
    need(call.attribute("kernel_shape", kernel) == kernel, "Conv: kernel_shape is not the weight's")
    (batch, channels), (filters, each) = x.shape[:2], w.shape[:2]
    need(group >= 1 and channels == each * group and filters % group == 0, "Conv: channels and groups do not fit")
    need(b is None or b.shape == (filters,), "Conv: bias")
    out, met = windows(call, x.shape[2:], kernel, True)
    plane, volume = math.prod(x.shape[2:]), math.prod(kernel)

    def products(image: int, f: int, pairs: list[tuple[int, int]]) -> Iterator[tuple[Entry, Entry]]:
        first = image * channels + f // (filters // group) * each
        yield from ((x.entries[(first + c) * plane + q], w.entries[(f * each + c) * volume + k]) for c in range(each) for k, q in pairs)
        yield b.entries[f] if b else 0, 1

    return call.net.sums((batch, filters, *out), x.type, (products(image, f, pairs) for image, f in grid((batch, filters)) for pairs in met))


def pool(call: Call) -> Tensor:
    """AveragePool and MaxPool: padding takes no part, but that an average may count it."""
    x, largest = call.operand(0), call.op == "MaxPool"
    need(len(x.shape) >= 3, f"{call.op}: rank")
    kernel = call.attribute("kernel_shape", None, list)
    need(kernel is not None, f"{call.op}: no kernel_shape")
    known(call.attribute("ceil_mode", 0) == 0 and (not largest or call.attribute("storage_order", 0) == 0), f"{call.op}: ceil_mode or storage_order")
    count_all = 0 if largest else call.attribute("count_include_pad", 0)
    known(count_all in (0, 1), f"{call.op}: count_include_pad")
    out, met = windows(call, x.shape[2:], kernel, largest and call.opset >= 10)
    known(all(met), f"{call.op}: a window of padding only")
    plane, shape = math.prod(x.shape[2:]), (*x.shape[:2], *out)
    places = [[c * plane + q for _, q in pairs] for c in range(math.prod(x.shape[:2])) for pairs in met]
    if largest:
        known(x.node >= 0, "MaxPool of constants")
        return call.net.add(Largest(len(places), x.node, places), shape, x.type)
    size = math.prod(kernel)
    return call.net.sums(shape, x.type, ([(x.entries[p], Fraction(1, size if count_all else len(at))) for p in at] for at in places))


def root(x: Fraction) -> tuple[Fraction, Fraction]:
    """Fractions around the square root of x > 0, equal where it is one."""
    n, d = math.isqrt(x.numerator), math.isqrt(x.denominator)
    if n * n == x.numerator and d * d == x.denominator:
        return Fraction(n, d), Fraction(n, d)
    unit = Fraction(2) ** ((x.numerator.bit_length() - x.denominator.bit_length()) // 2 - ROUND)
    n = math.isqrt((x / unit**2).__floor__())
    return n * unit, (n + 1) * unit


def batch_norm(call: Call) -> Tensor:
    """scale (x - mean) / sqrt(variance + epsilon) + bias; the factor, where it is no fraction, within a wobble."""
    x = call.operand(0)
    epsilon = Fraction(call.attribute("epsilon", 9.999999747378752e-06))
    call.attribute("momentum", 0.9)
    known(call.attribute("training_mode", 0) == 0 and call.attribute("spatial", 1) == 1, "BatchNormalization: training")
    parts = [call.operand(i, x) for i in range(1, 5)]
    need(len(x.shape) >= 2 and all(p.shape == x.shape[1:2] for p in parts), "BatchNormalization: shapes")
    scale, bias, mean, variance = ([Fraction(v) for v in call.constants(p)] for p in parts)
    known(x.node >= 0, "BatchNormalization of constants")
    need(all(v + epsilon > 0 for v in variance), "BatchNormalization: variance + epsilon is not positive")
    ends = [root(v + epsilon) for v in variance]
    factor = [down(s / low) for s, (low, _) in zip(scale, ends)]
    wobble = [max(abs(s / low - f), abs(s / high - f)) for s, f, (low, high) in zip(scale, factor, ends)]
    channel = [c for _, c in grid(x.shape[:2]) for _ in range(math.prod(x.shape[2:]))]
    sums = ([(e, factor[c]), (bias[c] - factor[c] * mean[c], 1)] for e, c in zip(x.entries, channel))
    result = call.net.sums(x.shape, x.type, sums)
    if any(wobble):
        node = call.net.nodes[-1]
        node.wobble, node.centre = [wobble[c] for c in channel], [abs(mean[c]) for c in channel]
    return result


def activation(call: Call) -> Tensor:
    x = call.operand(0)
    known(x.node >= 0, f"{call.op} of constants")
    low: Fraction | None = Fraction(0)
    high: Fraction | None = None
    if call.op == "Clip":
        low, high = clip_end(call, 1, "min", x), clip_end(call, 2, "max", x)
        known(low is None or high is None or low <= high, "Clip: min above max")
    slope = Fraction(call.attribute("alpha", 0.009999999776482582)) if call.op == "LeakyRelu" else Fraction(-1)

    def clip(z: Fraction) -> Fraction:
        z = z if low is None else max(z, low)
        return z if high is None else min(z, high)

    function = clip if call.op in ("Relu", "Clip") else lambda z: z if z >= 0 else slope * z
    kinks = [e for e in (low, high) if e is not None]
    return call.net.add(Bent(len(x.entries), x.node, function, kinks, call.op == "Relu"), x.shape, x.type)


def clip_end(call: Call, at: int, name: str, x: Tensor) -> Fraction | None:
    if call.opset < 11:
        value = call.attribute(name, None, float)
        return None if value is None else Fraction(value)
    tensor = call.optional(at, x)
    known(tensor is None or tensor.shape == (), "Clip: an end that is no scalar")
    return None if tensor is None else Fraction(call.constants(tensor)[0])


def axes_of(axes: Any, rank: int, what: str) -> list[int]:
    need(axes is not None and all(-rank <= a < rank for a in axes), f"{what}: no axes, or out of range")
    axes = [a % rank for a in axes]
    need(len(set(axes)) == len(axes), f"{what}: an axis twice")
    return axes


def reshape(call: Call) -> Tensor:
    """Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout: the same values in the same order."""
    x, op = call.operand(0), call.op
    shape = list(x.shape)
    if op == "Reshape":
        known(call.attribute("allowzero", 0) == 0, "Reshape: allowzero")
        wanted = call.whole(1, "shape", 0)
        need(wanted is not None and wanted.count(-1) <= 1 and all(v >= -1 for v in wanted), "Reshape: shape")
        need(all(v != 0 or i < len(shape) for i, v in enumerate(wanted)), "Reshape: a 0 beyond the rank")
        shape = [x.shape[i] if v == 0 else v for i, v in enumerate(wanted)]
        rest = math.prod(v for v in shape if v != -1)
        shape = [len(x.entries) // max(rest, 1) if v == -1 else v for v in shape]
    elif op == "Flatten":
        axis = call.attribute("axis", 1)
        need(-len(shape) <= axis <= len(shape), "Flatten: axis")
        axis += len(shape) if axis < 0 else 0
        shape = [math.prod(shape[:axis]), math.prod(shape[axis:])]
    elif op == "Squeeze":
        axes = axes_of(call.whole(1, "axes", 13), len(shape), op)
        need(all(shape[a] == 1 for a in axes), "Squeeze: an axis that is not 1")
        shape = [s for i, s in enumerate(shape) if i not in axes]
    elif op == "Unsqueeze":
        wanted = call.whole(1, "axes", 13)
        for axis in sorted(axes_of(wanted, len(shape) + len(wanted or []), op)):
            shape.insert(axis, 1)
    elif op == "Dropout":
        call.attribute("ratio", 0.5)
        known(call.operands[2:] in ([], [None]), "Dropout: training_mode")
    need(math.prod(shape) == len(x.entries), f"{op}: {x.shape} to {shape}")
    return call.net.pick(x, shape, x.entries)


def transpose(call: Call) -> Tensor:
    x = call.operand(0)
    order = call.attribute("perm", list(range(len(x.shape)))[::-1])
    need(sorted(order) == list(range(len(x.shape))), "Transpose: perm")
    shape, steps = [x.shape[a] for a in order], [strides(x.shape)[a] for a in order]
    return call.net.pick(x, shape, [x.entries[place(c, steps)] for c in grid(shape)])


def cut(call: Call) -> Tensor:
    """Slice, forward."""
    x = call.operand(0)
    starts, ends, axes = (call.whole(i, name, 10) for i, name in ((1, "starts"), (2, "ends"), (3, "axes")))
    steps = call.whole(4, "steps", 10) if call.opset >= 10 else None
    need(starts is not None and ends is not None, "Slice: no starts or ends")
    axes = axes_of(range(len(starts)) if axes is None else axes, len(x.shape), "Slice")
    steps = [1] * len(starts) if steps is None else steps
    need(len(starts) == len(ends) == len(axes) == len(steps), "Slice: lists of different lengths")
    known(all(s >= 1 for s in steps), "Slice: backwards")
    ranges = [range(s) for s in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps):
        ranges[axis] = ranges[axis][start:end:step]
    known(all(ranges), "Slice: nothing is left")
    return call.net.pick(x, [len(r) for r in ranges], [x.entries[place(c, strides(x.shape))] for c in itertools.product(*ranges)])


def pad(call: Call) -> Tensor:
    x, n = call.operand(0), len(call.operand(0).shape)
    known(call.attribute("mode", "constant") == "constant" and call.operands[3:] in ([], [None]), "Pad: mode or axes")
    pads = call.whole(1, "pads", 11)
    need(pads is not None and len(pads) == 2 * n, "Pad: pads")
    known(all(0 <= p <= MAX_VALUES for p in pads), "Pad: a negative pad, or a large one")
    tensor = call.optional(2, x) if call.opset >= 11 else None
    known(tensor is None or len(tensor.entries) == 1, "Pad: value")
    fill = call.attribute("value", 0.0) if call.opset < 11 else 0 if tensor is None else call.constants(tensor)[0]
    shape = [pads[i] + s + pads[n + i] for i, s in enumerate(x.shape)]
    known(math.prod(shape) <= MAX_VALUES, "Pad: too large")
    places = ([p - q for p, q in zip(c, pads[:n])] for c in grid(shape))
    inside = (place(at, strides(x.shape)) if all(0 <= p < s for p, s in zip(at, x.shape)) else -1 for at in places)
    return call.net.pick(x, shape, [fill if p < 0 else x.entries[p] for p in inside])


def concat(call: Call) -> Tensor:
    parts = [call.operand(i, call.operand(0)) for i in range(len(call.operands))]
    axis = call.attribute("axis", None, int)
    (axis,) = axes_of(None if axis is None else [axis], len(parts[0].shape), "Concat")
    outer, rest = parts[0].shape[:axis], parts[0].shape[axis + 1 :]
    need(all(p.shape[:axis] == outer and p.shape[axis + 1 :] == rest and len(p.shape) == len(parts[0].shape) for p in parts), "Concat: shapes")
    steps = [p.shape[axis] * math.prod(rest) for p in parts]
    entries = [e for i in range(math.prod(outer)) for p, step in zip(parts, steps) for e in p.entries[i * step : i * step + step]]
    return call.net.pick(parts[0], (*outer, sum(p.shape[axis] for p in parts), *rest), entries)


def constant(call: Call) -> Tensor:
    tensor = call.attribute("value", None, Tensor)
    known(tensor is not None, "Constant: no value")
    return tensor


OPERATORS: dict[str, tuple[Callable[[Call], Tensor], int]] = {  # operator -> its rule, and how many operands it has at most
    "Add": (arithmetic, 2), "Sub": (arithmetic, 2), "Mul": (arithmetic, 2), "Gemm": (product, 3), "MatMul": (product, 2), "Conv": (conv, 3),
    "AveragePool": (pool, 1), "MaxPool": (pool, 1), "BatchNormalization": (batch_norm, 5), "Relu": (activation, 1), "LeakyRelu": (activation, 1),
    "Abs": (activation, 1), "Clip": (activation, 3), "Reshape": (reshape, 2), "Flatten": (reshape, 1), "Squeeze": (reshape, 2),
    "Unsqueeze": (reshape, 2), "Identity": (reshape, 1), "Dropout": (reshape, 3), "Transpose": (transpose, 1), "Slice": (cut, 5), "Pad": (pad, 4),
    "Concat": (concat, 1 << 20), "Constant": (constant, 0),
}  # fmt: skip


def lower(net: Network, data: bytes, opset: int) -> None:
    """One ONNX node becomes a tensor of the network."""
    m = message(data, "a node", {1: "input", 2: "output", 4: "op", 5: "attribute", 7: "domain"}, (3, 6, 9))
    op = text(m["op"], "op_type")
    known(text(m["domain"], "domain") in ("", "ai.onnx") and op in OPERATORS, f"operator {op}")
    outputs, names = ([text([item], "a name") for item in m[k]] for k in ("output", "input"))
    known(outputs and outputs[0] and not any(outputs[1:]), f"{op}: {len(outputs)} outputs")
    need(all(not name or name in net.tensors for name in names) and outputs[0] not in net.tensors, f"ONNX: {op}: takes {names}, makes {outputs}")
    attributes = [read_attribute(item) for item in m["attribute"]]
    need(len(dict(attributes)) == len(attributes), f"ONNX: {op}: an attribute twice")
    rule, most = OPERATORS[op]
    known(len(names) <= most, f"{op}: {len(names)} operands")
    call = Call(net, op, [net.tensors[name] if name else None for name in names], dict(attributes), opset)
    result = rule(call)
    known(not call.attributes, f"{op}: attribute {min(call.attributes, default='')}")
    known(result.entries, f"{op}: a tensor without values")
    net.tensors[outputs[0]] = result


# ---- VNN-LIB 1.0 ---------------------------------------------------------------------------------------------------

Form = dict[tuple[str, int], Fraction]  # ("X", i) or ("Y", j) -> coefficient; ONE -> the constant
ONE = ("", 0)


@dataclass
class Constraint:
    """sum of coefficients times inputs and outputs <= bound (< where strict)."""

    coefficients: Form
    bound: Fraction
    strict: bool


@dataclass
class Disjunct:
    box: Box
    constraints: list[Constraint]


Cases = list[list[Constraint]]


def expressions(source: str) -> list[Any]:
    """S-expressions: lists and words."""
    stack: list[list[Any]] = [[]]
    for match in re.finditer(r"[ \t\r\n]+|;[^\n]*|([()])|([^ \t\r\n();]+)", source):
        if match[1] == "(":
            known(len(stack) < 200, "VNN-LIB: nested too deeply")
            stack.append([])
        elif match[1] == ")":
            need(len(stack) > 1, "VNN-LIB: a parenthesis too many")
            closed = stack.pop()
            stack[-1].append(closed)
        elif match[2]:
            stack[-1].append(match[2])
    need(len(stack) == 1, "VNN-LIB: a parenthesis is not closed")
    return stack[0]


def term(item: Any, declared: set[str]) -> Form:
    """A linear form."""
    if type(item) is str:
        if item in declared:
            return {(item[0], int(item[2:])): Fraction(1)}
        need(len(item) <= 1000 and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", item, re.A), f"VNN-LIB: {item[:40]} is no number")
        return {ONE: Fraction(item)}
    need(len(item) >= 2 and item[0] in ("+", "-", "*"), f"VNN-LIB: no term: {str(item)[:60]}")
    total, *parts = (term(p, declared) for p in item[1:])
    if item[0] == "-" and not parts:
        return scaled(total, Fraction(-1))
    for part in parts:
        if item[0] == "*":
            if any(part[v] for v in part if v != ONE):
                total, part = part, total
            known(not any(part[v] for v in part if v != ONE), "VNN-LIB: a product of variables")
            total = scaled(total, part.get(ONE, Fraction(0)))
        else:
            total = added(total, part if item[0] == "+" else scaled(part, Fraction(-1)))
    return total


def scaled(form: Form, factor: Fraction) -> Form:
    return {v: c * factor for v, c in form.items()}


def added(a: Form, b: Form) -> Form:
    return {v: a.get(v, Fraction(0)) + b.get(v, Fraction(0)) for v in {**a, **b}}


def formula(item: Any, declared: set[str]) -> Cases:
    """Its disjunctive normal form: cases, each a list of comparisons, in the order of the text."""
    if item in ("true", "false"):
        return [[]] if item == "true" else []
    need(type(item) is list and len(item) >= 2, f"VNN-LIB: no formula: {str(item)[:60]}")
    if item[0] in ("and", "or"):
        parts = [formula(p, declared) for p in item[1:]]
        return conjunction(parts) if item[0] == "and" else limited([case for part in parts for case in part])
    known(item[0] in ("<=", ">=", "<", ">", "="), f"VNN-LIB: {str(item[0])[:40]}")
    need(len(item) == 3, "VNN-LIB: a comparison of two terms was expected")
    difference = added(term(item[1], declared), scaled(term(item[2], declared), Fraction(-1)))
    case = []
    for sign in {"<": (1,), ">": (-1,)}.get(item[0][0], (1, -1)):
        form = {v: c for v, c in scaled(difference, Fraction(sign)).items() if c}
        atom = Constraint(form, -form.pop(ONE, Fraction(0)), item[0] in ("<", ">"))
        if form:
            case.append(atom)
        elif atom.bound < 0 or (atom.strict and atom.bound == 0):
            return []
    return [case]


def conjunction(parts: list[Cases]) -> Cases:
    """Of several disjunctions the last varies fastest."""
    known(math.prod(map(len, parts)) <= MAX_CASES, "VNN-LIB: too many cases")
    return limited([[atom for case in choice for atom in case] for choice in itertools.product(*parts)])


def limited(cases: Cases) -> Cases:
    known(len(cases) <= MAX_CASES and sum(map(len, cases)) <= 10 * MAX_CASES, "VNN-LIB: too many cases")
    return cases


def read_property(data: bytes, n_inputs: int, n_outputs: int) -> list[Disjunct]:
    try:
        source = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid("VNN-LIB: not UTF-8") from None
    need("\0" not in source and "\r" not in source.replace("\r\n", "\n"), "VNN-LIB: NUL or a lone carriage return")
    declared: set[str] = set()
    parts: list[Cases] = []
    for item in expressions(source):
        need(type(item) is list and item, "VNN-LIB: a command was expected")
        if item[0] in ("declare-const", "declare-fun"):
            need(item[2:] == (["Real"] if item[0] == "declare-const" else [[], "Real"]), "VNN-LIB: declaration")
            name = item[1]
            need(type(name) is str and re.fullmatch(r"[XY]_(0|[1-9]\d{0,8})", name, re.A) and name not in declared, f"VNN-LIB: declares {name!r}")
            declared.add(name)
        else:
            known(item[0] == "assert", f"VNN-LIB: command {str(item[0])[:40]}")
            need(len(item) == 2, "VNN-LIB: assert of one formula")
            parts.append(formula(item[1], declared))
    wanted = {f"X_{i}" for i in range(n_inputs)} | {f"Y_{j}" for j in range(n_outputs)}
    need(declared == wanted, f"VNN-LIB: declares other variables than X and Y of {n_inputs} inputs and {n_outputs} outputs")
    return [disjunct(case, n_inputs) for case in conjunction(parts)]


def disjunct(case: list[Constraint], n_inputs: int) -> Disjunct:
    """Comparisons of one input make the box; the others, and strict ones, are its constraints, in order."""
    lower: list[Any] = [None] * n_inputs
    upper: list[Any] = [None] * n_inputs
    constraints = []
    for atom in case:
        ((letter, i), c), *more = atom.coefficients.items()
        bounds = letter == "X" and not more
        if bounds:
            ends, tighter = (upper, min) if c > 0 else (lower, max)
            ends[i] = atom.bound / c if ends[i] is None else tighter(ends[i], atom.bound / c)
        if not bounds or atom.strict:
            constraints.append(atom)
    need(None not in lower and None not in upper, "VNN-LIB: an input without a finite bound")
    return Disjunct(Box(lower, upper), constraints)


# ---- The arrays (safetensors), and the evidence in them ------------------------------------------------------------

ITEM = {"I64": "q", "I32": "i", "U8": "B", "BOOL": "B", "F64": "d", "F32": "f"}
WHOLE, REAL, SLOPES = ("I64", "I32", "U8"), ("F64", "F32"), ("F64", "F32", "U8", "BOOL")


@dataclass
class Array:
    type: str
    shape: list[int]
    values: list[Any]


def read_arrays(data: bytes) -> dict[str, Array]:
    length = int.from_bytes(data[:8], "little")
    need(len(data) >= 8 and length <= len(data) - 8, "arrays: cut off, or the header is longer than the file")
    header, body, spans, result = strict_json(data[8 : 8 + length], "arrays"), data[8 + length :], [], {}
    need(type(header) is dict, "arrays: header")
    notes = header.pop("__metadata__", {})
    need(type(notes) is dict and all(type(v) is str for v in notes.values()), "arrays: __metadata__")
    for name, entry in header.items():
        fields(entry, f"arrays: {name}", {"dtype": str, "shape": list, "data_offsets": list})
        kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        need(kind in ITEM and all(type(v) is int and v >= 0 for v in shape + offsets) and len(offsets) == 2, f"arrays: {name}: header")
        (start, end), size = offsets, math.prod(shape)
        need(start <= end <= len(body) and end - start == size * struct.calcsize("<" + ITEM[kind]), f"arrays: {name}: size")
        spans.append((start, end))
        result[name] = Array(kind, shape, list(struct.unpack(f"<{size}{ITEM[kind]}", body[start:end])))
    ends = [0, *itertools.chain(*sorted(spans)), len(body)]
    need(all(a == b for a, b in zip(ends[::2], ends[1::2])), "arrays: a gap, an overlap, or bytes after the last array")
    return result


@dataclass
class Slopes:
    """What the evidence gives for one region. Tables are rows of as many slopes as there are columns; None: not given."""

    per_leaf: bool
    row_of: dict[int, int] | None  # leaf -> its row in ``leaf``; None: its own number
    leaf: dict[int, tuple[list[int], Any, Any]] = field(default_factory=dict)  # activation -> columns, lower, upper
    shared: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    between: dict[tuple[int, int], tuple[list[int], list[int], Any, Any]] = field(default_factory=dict)  # target, activation


Leaf = tuple[list[Literal], int]  # the path to it, and the number of what closes it; -1: nothing does


class Evidence:
    """``regions`` and ``trees`` of each disjunct; ``weights`` (constraint, weight) and ``multipliers`` of each leaf."""

    def __init__(self, net: Network, arrays: dict[str, Array], claim: dict[str, Any], disjuncts: int) -> None:
        self.net, self.arrays, self.left, self.disjuncts = net, arrays, set(arrays), disjuncts
        names = claim["evidence"].get("nodes", [])
        need(all(name in net.tensors for name in names), "nodes: a name that is no tensor of the model")
        known(all(net.tensors[name].node >= 0 for name in names), "nodes: a constant")
        self.nodes = [net.tensors[name].node for name in names]
        self.leaves()
        whole = self.slopes("", None, claim["evidence"].get("per_leaf_bounds", False))
        own: dict[int, Slopes] = {}
        for p in sorted({name.split("/")[1] for name in arrays if name.startswith("regions/") and claim["version"] == 2}):
            chosen = self.get(f"regions/{p}/disjuncts", WHOLE, None, below=disjuncts)
            (flag,) = self.get(f"regions/{p}/per_leaf_bounds", WHOLE, 1, below=2)
            need(len(set(chosen)) == len(chosen) and not own.keys() & set(chosen), f"regions/{p}: a disjunct twice")
            rows = self.get(f"regions/{p}/rows", WHOLE, None, below=self.count) if f"regions/{p}/rows" in arrays else None
            need(rows is None or all(a < b for a, b in itertools.pairwise(rows)), f"regions/{p}/rows: not rising")
            own |= dict.fromkeys(chosen, self.slopes(f"regions/{p}/", rows, bool(flag)))
        self.regions = [own.get(d, whole) for d in range(disjuncts)]
        self.trees = self.list_of_leaves() if "leaves/disjunct" in arrays else self.tree()
        need(not self.left, f"arrays: {min(self.left, default='')} is not known")

    def get(self, name: str, types: Sequence[str], *shape: int | None, below: int | None = None, least: float = -math.inf) -> list[Any]:
        """The values, flat; ``None`` in the shape: any size; ``below``: they are integers from 0 on, less than that."""
        need(name in self.arrays, f"arrays: no {name}")
        self.left.discard(name)
        array = self.arrays[name]
        need(array.type in types, f"arrays: {name}: type {array.type}")
        need(len(array.shape) == len(shape) and all(w in (None, s) for s, w in zip(array.shape, shape)), f"arrays: {name}: shape {array.shape}")
        need(below is None or all(0 <= v < below for v in array.values), f"arrays: {name}: out of range")
        for v in array.values:
            need((math.isfinite(v) and v >= least) or (name == "leaves/claimed" and v != v), f"arrays: {name}: {v}")
        return array.values

    def value(self, position: int, index: int) -> tuple[int, int]:
        need(position < len(self.nodes) and 0 <= index < self.net.nodes[self.nodes[position]].size, f"arrays: no value {index} of node {position}")
        return self.nodes[position], index

    def leaves(self) -> None:
        pointer = self.get("leaves/constraint_ptr", WHOLE, None)
        self.count = len(pointer) - 1
        need(self.count >= 0, "leaves/constraint_ptr: empty")
        self.get("leaves/claimed", REAL, self.count)
        chosen = self.get("leaves/constraint", WHOLE, None, least=0)
        weights = map(Fraction, self.get("leaves/weight", REAL, len(chosen), least=0))
        self.weights = self.parts(pointer, list(zip(chosen, weights)))
        pointer, nodes = self.get("leaves/split_ptr", WHOLE, self.count + 1), self.get("leaves/split_node", WHOLE, None, below=len(self.nodes))
        index, sides = (self.get(f"leaves/split_{k}", WHOLE, len(nodes)) for k in ("index", "side"))
        points = map(Fraction, self.get("leaves/split_point", REAL, len(nodes)))
        betas = map(Fraction, self.get("leaves/split_beta", REAL, len(nodes), least=0))
        need(all(s in (1, -1) for s in sides), "leaves/split_side: neither 1 nor -1")
        self.multipliers = self.parts(pointer, [((*self.value(n, i), s, p), b) for n, i, s, p, b in zip(nodes, index, sides, points, betas)])

    @staticmethod
    def parts(pointer: list[int], entries: list[Any]) -> list[list[Any]]:
        pairs = list(itertools.pairwise(pointer))
        need(pointer[0] == 0 and pointer[-1] == len(entries) and all(a <= b for a, b in pairs), "arrays: pointers")
        return [entries[a:b] for a, b in pairs]

    def slopes(self, prefix: str, rows: list[int] | None, per_leaf: bool) -> Slopes:
        result = Slopes(per_leaf, None if rows is None else {leaf: row for row, leaf in enumerate(rows)})
        n = self.count if rows is None else len(rows)
        keys = {tuple(name.removeprefix(prefix).split("/")[:-1]) for name in self.arrays if name.startswith(prefix)}
        for key in sorted(keys):
            base, kind, words = prefix + "/".join([*key, ""]), key[:1], key[1:]
            if kind not in (("leaf_slopes",), ("shared_slopes",), ("intermediate",)) or len(words) != (2 if kind == ("intermediate",) else 1):
                continue
            need(all(re.fullmatch(r"0|[1-9]\d{0,8}", w, re.A) and int(w) < len(self.nodes) for w in words), f"arrays: {base}: no such node")
            target, node = self.nodes[int(words[0])], self.nodes[int(words[-1])]
            need(isinstance(self.net.nodes[node], Bent), f"arrays: {base}: slopes of a node that is no activation")
            if kind == ("shared_slopes",):
                size = self.net.nodes[node].size
                low, up = (self.get(base + s, SLOPES, size) if base + s in self.arrays else None for s in ("lower", "upper"))
                need(node not in result.shared, f"arrays: {base}: twice")
                result.shared[node] = (low, up)
                continue
            columns = self.get(base + "columns", WHOLE, None, below=self.net.nodes[node].size)
            need(len(set(columns)) == len(columns), f"{base}columns: one twice")
            if kind == ("leaf_slopes",):
                need(node not in result.leaf, f"arrays: {base}: twice")
                result.leaf[node] = (columns, *(self.table(base + s, n, columns) if base + s in self.arrays else None for s in ("lower", "upper")))
                continue
            low, up = (self.table(base + s, None, columns) for s in ("lower", "upper"))
            need(len(low) == len(up) and (target, node) not in result.between, f"arrays: {base}: lower and upper, or twice")
            row = self.get(base + "row", WHOLE, self.net.nodes[target].size, below=len(low))
            result.between[target, node] = (columns, row, low, up)
        return result

    def table(self, name: str, rows: int | None, columns: list[int]) -> list[list[Any]]:
        flat, k = self.get(name, SLOPES, rows, len(columns)), len(columns)
        return [flat[r * k : r * k + k] for r in range(self.arrays[name].shape[0])]

    def tree(self) -> list[list[Leaf]]:
        kinds = self.get("tree/kind", WHOLE, None, below=2)
        n = len(kinds)
        nodes, index, below, above = (self.get(f"tree/{k}", WHOLE, n) for k in ("node", "index", "below", "above"))
        need(all(0 <= v < max(len(self.nodes), 1) for v in nodes), "tree/node: out of range")
        points, roots = self.get("tree/point", REAL, n), self.get("tree/roots", WHOLE, self.disjuncts, below=n)
        for t, kind in enumerate(kinds):
            need(0 <= below[t] < (self.count if kind else n) and (kind or 0 <= above[t] < n), f"tree: row {t} refers to nothing")
            need(kind or (nodes[t] >= 0 and self.value(nodes[t], index[t])), f"tree: row {t}")
        result = []
        for start in roots:  # depth first; a path longer than there are rows is a cycle; rows may be shared
            leaves: list[Leaf] = []
            stack: list[tuple[int, list[Literal]]] = [(start, [])]
            while stack:
                row, path = stack.pop()
                need(len(path) < n, "tree: a cycle")
                known(len(leaves) <= MAX_CASES, "tree: too many leaves")
                if kinds[row] == 1:
                    leaves.append((path, below[row]))
                else:
                    n_i = self.value(nodes[row], index[row])
                    stack += [(child, [*path, (*n_i, side, Fraction(points[row]))]) for child, side in ((above[row], 1), (below[row], -1))]
            result.append(leaves)
        return result

    def list_of_leaves(self) -> list[list[Leaf]]:
        need(not any(name.startswith("tree/") for name in self.arrays), "arrays: a tree and a list of leaves")
        owner = self.get("leaves/disjunct", WHOLE, self.count, below=self.disjuncts)
        paths = [[literal for literal, _ in entries] for entries in self.multipliers]
        return [cover([(paths[i], i) for i in range(self.count) if owner[i] == d]) for d in range(self.disjuncts)]


def cover(leaves: list[Leaf]) -> list[Leaf]:
    """A tree's leaves out of a list: divide at a cut that all leaves of a group have, until one has no more cuts than the path; -1 for a gap."""
    group = []
    for path, number in leaves:
        sides = {(node, i, p): side for node, i, side, p in path}
        if all(sides[node, i, p] == side for node, i, side, p in path):  # a leaf on both sides of a cut holds no more than the cut
            group.append((number, sides))
    result: list[Leaf] = []
    stack: list[tuple[list[tuple[int, dict[Any, int]]], list[Literal]]] = [(group, [])]
    while stack:
        group, path = stack.pop()
        done = next((number for number, sides in group if len(sides) == len(path)), -1)
        used = {(node, i, p) for node, i, _, p in path}
        first = [c for c in group[0][1] if c not in used] if group and done < 0 else []
        cut_at = next((c for c in first if all(c in g[1] for g in group) and len({g[1][c] for g in group}) == 2), None)
        if cut_at is None:
            result.append((path, done))
            continue
        node, i, p = cut_at
        stack += [([g for g in group if g[1][cut_at] == side], [*path, (node, i, side, p)]) for side in (1, -1)]
    return result


# ---- Bounds --------------------------------------------------------------------------------------------------------


@dataclass
class Lines:
    """lower_slope z + lower <= f(z) <= upper_slope z + upper on the box the lines were drawn on, value by value."""

    lower_slope: Vector
    lower: Vector
    upper_slope: Vector
    upper: Vector


def own_slopes(f: Callable[[Fraction], Fraction], l: Fraction, u: Fraction, kinks: list[Fraction]) -> tuple[Fraction, Fraction]:
    """Of the lower and the upper line where nobody gives one: the chord; but with one kink, on f's other side, the slope of a piece."""
    chord = Fraction(((f(u) - f(l)) / (u - l) * 2**SLOPE).__floor__(), 2**SLOPE)
    if len(kinks) != 1:
        return chord, chord
    (k,) = kinks
    left, right = (f(k) - f(l)) / (k - l), (f(u) - f(k)) / (u - k)
    piece = right if u > -l else left
    return (piece, chord) if right > left else (chord, piece)


def draw(node: Bent, box: Box, lower: Sequence[Any], upper: Sequence[Any]) -> Lines:
    """Lines of given slopes (None: our own). f(z) - s z is linear between kinks, so its least and greatest are at an end or a kink."""
    columns: list[list[Fraction]] = [[], [], [], []]
    for l, u, s_low, s_up in zip(box.lower, box.upper, lower, upper):
        inside = [k for k in node.kinks if l < k < u]
        points = [(z, node.function(z)) for z in (l, *inside, u)]
        if not inside:  # f is linear here: one line
            low = up = (points[-1][1] - points[0][1]) / (u - l) if l < u else Fraction(0)
        else:
            low, up = own_slopes(node.function, l, u, inside)
            if node.relu:
                low = low if s_low is None else Fraction(min(max(s_low, 0), 1))
            else:
                low, up = (mine if s is None else Fraction(s) for mine, s in ((low, s_low), (up, s_up)))
        for column, value in zip(columns, (low, min(y - low * z for z, y in points), up, max(y - up * z for z, y in points))):
            column.append(value)
    return Lines(*map(common, columns))


Choice = Callable[[int], tuple[Any, Sequence[Any], Sequence[Any]]]  # activation -> a key, and slopes of the lower and upper lines


class Pass:
    """Backward passes over one domain: ``boxes`` hold at each of its points. ``drawn`` keeps lines by activation, box and key of the slopes."""

    def __init__(self, net: Network, boxes: list[Any], choice: Choice, drawn: dict[Any, Lines]) -> None:
        self.net, self.boxes, self.choice, self.drawn = net, boxes, choice, drawn

    def lines(self, n: int) -> Lines:
        key, lower, upper = self.choice(n)
        box = self.boxes[self.net.nodes[n].operand]
        if (n, id(box), key) not in self.drawn:
            self.drawn[n, id(box), key] = draw(self.net.nodes[n], box, lower, upper)
        return self.drawn[n, id(box), key]

    def least(self, form: dict[int, Vector], constant: Fraction) -> Fraction:
        """A lower bound of constant + the sum over nodes n of form[n] . (values of n), on the domain."""
        form = dict(form)
        for n in range(len(self.net.nodes) - 1, -1, -1):
            a, d = form.pop(n, ((), 1))
            node = self.net.nodes[n]
            if not any(a):
                continue
            if isinstance(node, Input):
                lower, upper, e = self.boxes[n].ints()
                constant += Fraction(sum(c * (l if c > 0 else u) for c, l, u in zip(a, lower, upper) if c), d * e)
            elif isinstance(node, Affine):
                constant += sum((c * o for c, o in zip(a, node.offset) if c and o), Fraction(0)) / d
                if node.wobble:
                    constant -= sum((abs(c) * r for c, r in zip(a, node.radius(self.boxes)) if c), Fraction(0)) / d
                for operand, rows in node.terms.items():
                    self.put(form, operand, back(a, rows, self.net.nodes[operand].size), d * node.denominator)
            elif isinstance(node, Bent):
                lines = self.lines(n)
                for sign, slope, intercept in ((1, lines.lower_slope, lines.lower), (-1, lines.upper_slope, lines.upper)):
                    mine = [c if c * sign > 0 else 0 for c in a]
                    if any(mine):
                        self.put(form, node.operand, [c * s for c, s in zip(mine, slope[0])], d * slope[1])
                        constant += Fraction(sum(c * t for c, t in zip(mine, intercept[0]) if c), d * intercept[1])
            else:
                out, rest = self.select(node, a)
                self.put(form, node.operand, out, d)
                constant += rest / d
        return constant

    @staticmethod
    def put(form: dict[int, Vector], n: int, ints: list[int], denominator: int) -> None:
        form[n] = plus(form[n], (ints, denominator)) if n in form else (ints, denominator)

    def select(self, node: Largest, a: Sequence[int]) -> tuple[list[int], Fraction]:
        """y >= x_j for the j of the largest lower end; y = x_j where that is at least every other upper end; y <= the largest upper end."""
        box, rest = self.boxes[node.operand], Fraction(0)
        out = [0] * self.net.nodes[node.operand].size
        for c, window in zip(a, node.windows):
            best = max(window, key=lambda i: box.lower[i])
            if c > 0 or all(box.upper[i] <= box.lower[best] for i in window if i != best):
                out[best] += c
            elif c:
                rest += c * max(box.upper[i] for i in window)
        return out, rest


def back(a: Sequence[int], rows: Rows, size: int) -> list[int]:
    """a times the rows: a vector over the operand."""
    out = [0] * size
    for c, (places, weights) in zip(a, rows):
        if c:
            for i, w in zip(places, weights):
                out[i] += c * w
    return out


def forward(net: Network, n: int, boxes: list[Any]) -> Box:
    """The box of node n from those of its operands."""
    node = net.nodes[n]
    if isinstance(node, Affine):
        lower, upper = list(node.offset), list(node.offset)
        for operand, rows in node.terms.items():
            low, up, d = boxes[operand].ints()
            for j, (places, weights) in enumerate(rows):
                lower[j] += Fraction(sum(w * (low[i] if w > 0 else up[i]) for i, w in zip(places, weights)), d * node.denominator)
                upper[j] += Fraction(sum(w * (up[i] if w > 0 else low[i]) for i, w in zip(places, weights)), d * node.denominator)
        if node.wobble:
            radius = node.radius(boxes)
            lower, upper = [x - r for x, r in zip(lower, radius)], [x + r for x, r in zip(upper, radius)]
    elif isinstance(node, Bent):
        box = boxes[node.operand]
        images = [[node.function(z) for z in (l, u, *(k for k in node.kinks if l < k < u))] for l, u in zip(box.lower, box.upper)]
        lower, upper = list(map(min, images)), list(map(max, images))
    else:
        box = boxes[node.operand]
        lower, upper = ([max(ends[i] for i in w) for w in node.windows] for ends in (box.lower, box.upper))
    return Box(map(down, lower), [-down(-x) for x in upper])


def open_values(net: Network, n: int, box: Box) -> list[int]:
    """Values of node n that an activation bends on their box, or that compete in a window."""
    result: set[int] = set()
    for node in net.nodes:
        if isinstance(node, Bent) and node.operand == n:
            result |= {i for i, (l, u) in enumerate(zip(box.lower, box.upper)) if any(l < k < u for k in node.kinks)}
        elif isinstance(node, Largest) and node.operand == n:
            for window in node.windows:
                floor = max(box.lower[i] for i in window)
                rivals = [i for i in window if box.upper[i] > floor]
                result |= set(rivals) if len(rivals) > 1 else set()
    return sorted(result)


class Region:
    """An input box with its slopes: boxes of all nodes on it, and on leaves of it."""

    def __init__(self, net: Network, box: Box, given: Slopes) -> None:
        self.net, self.box, self.given = net, box, given
        self.boxes: list[Box] | None = None

    def choice(self, n: int, leaf: int, target: tuple[int, int, int] | None = None) -> tuple[Any, Sequence[Any], Sequence[Any]]:
        """Slopes of activation n: those for bounding value i of a target node, else the leaf's (-1: none), else shared ones, else None."""
        size = self.net.nodes[n].size
        lower, upper = (x or [None] * size for x in self.given.shared.get(n, (None, None)))
        key: Any = None
        if leaf >= 0 and n in self.given.leaf:
            columns, low, up = self.given.leaf[n]
            row = leaf if self.given.row_of is None else self.given.row_of.get(leaf, -1)
            need(row >= 0, "regions: a leaf without a row")
            lower = lower if low is None else spread(size, columns, low[row])
            upper = upper if up is None else spread(size, columns, up[row])
            key = leaf
        if target is not None and (target[0], n) in self.given.between:
            columns, rows, low, up = self.given.between[target[0], n]
            lower = spread(size, columns, (low if target[2] > 0 else up)[rows[target[1]]])
            key = (key, target[0], rows[target[1]], target[2])
        return key, lower, upper

    def enclose(self, path: Sequence[Literal], leaf: int) -> list[Any] | None:
        """Boxes of all nodes over the part of the input box where the path's literals hold; None: no point is there."""
        boxes: list[Any] = [None] * len(self.net.nodes)
        drawn: dict[Any, Lines] = {}
        for n in range(len(self.net.nodes)):
            boxes[n] = (forward(self.net, n, boxes) if n else self.box).cut(n, path)
            if boxes[n].empty():
                return None
            better = Box(boxes[n].lower, boxes[n].upper)
            for i in open_values(self.net, n, boxes[n]) if n else ():
                for sign, ends, tighter in ((1, better.lower, max), (-1, better.upper, min)):
                    steps = Pass(self.net, boxes, lambda k, i=i, sign=sign, n=n: self.choice(k, leaf, (n, i, sign)), drawn)
                    unit = [sign if j == i else 0 for j in range(len(ends))]
                    ends[i] = tighter(ends[i], sign * down(steps.least({n: (unit, 1)}, Fraction(0))))
            boxes[n] = better
            if better.empty():
                return None
        return boxes

    def domain(self, leaf: Leaf) -> list[Any] | None:
        """Boxes of all nodes on a leaf; None: the leaf is empty."""
        if self.given.per_leaf:
            return self.enclose(*leaf)
        if self.boxes is None:
            self.boxes = self.enclose((), -1)
        boxes = list(self.boxes or [])
        for n in {literal[0] for literal in leaf[0]}:
            boxes[n] = boxes[n].cut(n, leaf[0])
        return None if any(b.empty() for b in boxes) else boxes


def spread(size: int, columns: Iterable[int], values: Iterable[Any]) -> list[Any]:
    result: list[Any] = [None] * size
    for c, v in zip(columns, values):
        result[c] = v
    return result


# ---- Claims --------------------------------------------------------------------------------------------------------


def own_arrays(arrays: dict[str, Array], claim: dict[str, Any], claims: list[dict[str, Any]]) -> dict[str, Array]:
    """Each array is of the longest prefix that fits, among all claims with this file; every one is of some claim."""
    evidence = [c["evidence"] for c in claims if c["kind"] == "unsat" and c["evidence"]["arrays"] == claim["evidence"]["arrays"]]
    mine = claim["evidence"].get("prefix", "")
    result = {}
    for name, array in arrays.items():
        fitting = [p for p in (e.get("prefix", "") for e in evidence) if name.startswith(p)]
        need(fitting, f"arrays: {name} is of no claim")
        if max(fitting, key=len) == mine:
            result[name.removeprefix(mine)] = array
    return result


def hopeless(d: Disjunct) -> bool:
    """No point: an empty box, or a constraint on inputs alone that fails even at its best corner."""
    for c in d.constraints:
        if all(v[0] == "X" for v in c.coefficients) and not d.box.empty():
            least = sum(k * (d.box.lower[v[1]] if k > 0 else d.box.upper[v[1]]) for v, k in c.coefficients.items())
            if least > c.bound or (c.strict and least == c.bound):
                return True
    return d.box.empty()


def excluded(net: Network, region: Region, d: Disjunct, leaf: Leaf, evidence: Evidence) -> bool:
    """No point of the disjunct lies in the leaf."""
    path, number = leaf
    boxes = region.domain(leaf)
    if boxes is None:
        return True
    constant, strict = Fraction(0), False
    form: dict[int, dict[int, Fraction]] = {}
    for q, weight in evidence.weights[number]:
        need(q < len(d.constraints), f"leaf {number}: no constraint {q}")
        c = d.constraints[q]
        constant -= weight * c.bound
        strict = strict or (c.strict and weight > 0)
        for (letter, i), k in c.coefficients.items():
            entries = form.setdefault(0 if letter == "X" else net.output, {})
            entries[i] = entries.get(i, Fraction(0)) + weight * k
    seen, literals = set(), set(path)
    for literal, beta in evidence.multipliers[number]:
        node, i, side, point = literal
        if node and literal in literals and (node, i) not in seen:  # side (value - point) >= 0 on the leaf; inputs are cut already
            seen.add((node, i))
            entries = form.setdefault(node, {})
            entries[i] = entries.get(i, Fraction(0)) - beta * side
            constant += beta * side * point
    vectors = {n: common(e.get(i, 0) for i in range(net.nodes[n].size)) for n, e in form.items()}
    margin = Pass(net, boxes, lambda k: region.choice(k, number), {}).least(vectors, constant)
    return margin > 0 or (margin == 0 and strict)


def check_one(files: dict[str, bytes], claim: dict[str, Any], claims: list[dict[str, Any]]) -> str:
    """How an unsat claim is proved."""
    known(claim["kind"] == "unsat", f"a claim of kind {claim['kind']}")
    known(type(claim["model"]) is type(claim["property"]) is str, "a model or property that is no file of the bundle")
    model, prop = (unpacked(files[claim[role]], claim[role]) for role in ("model", "property"))
    net = read_onnx(model)
    disjuncts = read_property(prop, net.nodes[0].size, net.nodes[net.output].size)
    arrays = own_arrays(read_arrays(files[claim["evidence"]["arrays"]]), claim, claims)
    evidence = Evidence(net, arrays, claim, len(disjuncts))
    regions: dict[Any, Region] = {}
    leaves = failed = 0
    for number, d in enumerate(disjuncts):
        if hopeless(d):
            continue
        given = evidence.regions[number]
        region = regions.setdefault((id(given), tuple(d.box.lower), tuple(d.box.upper)), Region(net, d.box, given))
        for leaf in evidence.trees[number]:
            if leaf[1] < 0:
                raise Unproven(f"the leaves of disjunct {number} do not cover it")
            leaves += 1
            failed += not excluded(net, region, d, leaf, evidence)
    if failed:
        raise Unproven(f"{failed} of {leaves} leaves are not proved")
    return f"{leaves} leaves"


def check(path: str) -> list[tuple[str, str, str]]:
    """(claim, verdict, reason) of every claim; one INVALID for a bundle that is malformed as a whole."""
    result = []
    try:
        files = read_folder(path) if os.path.isdir(path) else read_zip(read_file(path))
        claims = read_manifest(files)
    except (Invalid, Unsupported, OSError) as e:
        return [("", "UNSUPPORTED" if isinstance(e, Unsupported) else "INVALID", str(e))]
    for claim in claims:
        try:
            verdict, reason = "CERTIFIED", check_one(files, claim, claims)
        except (Invalid, Unsupported, Unproven) as e:
            verdict, reason = type(e).__name__.upper(), str(e)
        except (RecursionError, MemoryError) as e:
            verdict, reason = "UNSUPPORTED", type(e).__name__
        result.append((claim["name"], verdict, reason))
    return result


def exit_code(verdicts: Iterable[str]) -> int:
    codes = {"CERTIFIED": 0, "UNPROVEN": 4, "INVALID": 3, "UNSUPPORTED": 3}
    return min((codes[v] for v in verdicts if codes[v]), default=0)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: check_unsat.py BUNDLE\n")
        return 2
    results = check(arguments[0])
    for name, verdict, reason in results:
        sys.stdout.write(f"{verdict:<12} {name}: {reason}\n" if name else f"{verdict:<12} {reason}\n")
    return exit_code(verdict for _, verdict, _ in results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
