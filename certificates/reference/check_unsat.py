#!/usr/bin/env python3
"""The reference checker of ``.tlcert`` bundles: what ``certificates/FORMAT.md`` says, as a program. Slow, plain, one file.

    python3 check_unsat.py BUNDLE [--model FILE] [--property FILE]

Python's standard library and nothing else: no tlcheck, no numpy. Every number is exact: an integer over a common denominator. Only
ends of boxes (of values that are no inputs) and slopes that nobody gave are rounded: ends outward, slopes anyhow, since every slope is
right with the intercept that is computed for it.

One line a claim, and the exit code of ``tlcheck verify``: 0 all CERTIFIED; 3 some INVALID, or UNSUPPORTED, which says that this program
does not know something; 1 some REFUTED; 4 some UNPROVEN (the first that applies of 3, 1, 4).

Why CERTIFIED is true. The property is a union of disjuncts: a box of inputs x and constraints c_q . (x, y) <= b_q on inputs and outputs
y = f(x). A split v <= p, v >= p leaves no point out, so the leaves of a finite tree cover the box. On a leaf, with weights w_q >= 0,
S = sum_q w_q (c_q . (x, y) - b_q) is bounded from below: a linear form in the network's values is carried from the outputs to the inputs
(``Pass.least``); each step replaces a value by something that is at most (coefficient times) it. S > 0 everywhere on the leaf excludes
every point of the disjunct there; so does S >= 0 if a strict constraint has a weight > 0, since then S < 0 at such a point.
"""

from __future__ import annotations

import argparse
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
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Callable, Iterable, Iterator, Sequence

MAX_BYTES = 1 << 30  # of a file, packed or unpacked
MAX_VALUES = 1 << 22  # of a tensor, and of the entries of one operator's map
MAX_CASES = 100_000  # disjuncts, and comparisons over all of them times 10
KEEP = 256  # bits of a denominator that are kept; beyond, ends of boxes are rounded outward to ROUND significant bits
ROUND = 160
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


# ---- Files: names to bytes, from a folder or a zip ---------------------------------------------------------------------


def check_name(name: str) -> None:
    parts = name.split("/")
    need(name and all(p not in ("", ".", "..") for p in parts), f"file name {name!r}: not a plain relative path")
    need(not any(c in "\\:" or ord(c) < 32 or ord(c) == 127 for c in name), f"file name {name!r}: forbidden character")


def read_folder(path: str) -> dict[str, bytes]:
    files = {}
    for folder, folders, names in os.walk(path):
        for name in folders + names:
            full = os.path.join(folder, name)
            mode = os.lstat(full).st_mode
            need(stat.S_ISREG(mode) or stat.S_ISDIR(mode), f"{name}: a link, or no file")
            if stat.S_ISREG(mode):
                need(os.path.getsize(full) <= MAX_BYTES, f"{name}: larger than {MAX_BYTES} bytes")
                relative = os.path.relpath(full, path).replace(os.sep, "/")
                check_name(relative)
                with open(full, "rb") as stream:
                    files[relative] = stream.read()
    return files


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
                need(info.filename == info.orig_filename, "zip: a name with a NUL")
                if info.is_dir():
                    check_name(info.filename[:-1])
                    continue
                check_name(info.filename)
                need(info.filename not in files, f"zip: {info.filename} twice")
                need(not info.flag_bits & 0x41 and info.compress_type in (0, 8), f"{info.filename}: encrypted or packed otherwise")
                need(stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG), f"{info.filename}: a link")
                with archive.open(info) as stream:
                    files[info.filename] = stream.read(info.file_size + 1)
                need(len(files[info.filename]) == info.file_size, f"{info.filename}: size")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError, struct.error) as e:
        raise Invalid(f"zip: {e}") from None
    return files


def read_bundle(path: str) -> dict[str, bytes]:
    if os.path.isdir(path):
        return read_folder(path)
    need(os.path.isfile(path), f"{path}: no such file")
    need(os.path.getsize(path) <= MAX_BYTES, f"{path}: larger than {MAX_BYTES} bytes")
    with open(path, "rb") as stream:
        return read_zip(stream.read())


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


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def strict_json(data: bytes, name: str) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len({k for k, _ in items}) == len(items), f"{name}: duplicate key")
        return dict(items)

    def number(text: str) -> float:
        need(math.isfinite(float(text)), f"{name}: {text} is out of range")
        return float(text)

    def constant(text: str) -> None:
        raise Invalid(f"{name}: {text}")

    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=pairs, parse_float=number, parse_constant=constant)
    except (ValueError, RecursionError) as e:
        raise Invalid(f"{name}: {e}") from None


# ---- manifest.json -----------------------------------------------------------------------------------------------------


def fields(value: Any, what: str, required: dict[str, type], optional: dict[str, type] | None = None) -> dict[str, Any]:
    """An object with these fields of these types and no others (``object``: any type)."""
    allowed = required | (optional or {})
    need(type(value) is dict, f"{what}: expected an object")
    for key in required:
        need(key in value, f"{what}: no {key}")
    for key, item in value.items():
        need(key in allowed, f"{what}: unknown field {key!r}")
        need(allowed[key] is object or type(item) is allowed[key], f"{what}.{key}: expected {allowed[key].__name__}")
    return value


def check_hash(value: Any, what: str) -> None:
    need(type(value) is str and re.fullmatch("[0-9a-f]{64}", value), f"{what}: no SHA-256 in lower-case hexadecimal")


def read_manifest(files: dict[str, bytes]) -> list[dict[str, Any]]:
    """The claims; every file is there, is listed, and is the one that was hashed."""
    need("manifest.json" in files, "no manifest.json")
    manifest = fields(
        strict_json(files["manifest.json"], "manifest.json"), "manifest", {"format": str, "version": int, "producer": dict, "files": dict, "claims": list}
    )
    need(manifest["format"] == "tlcheck.bundle" and manifest["version"] in (1, 2), "manifest: another format or version")
    fields(manifest["producer"], "producer", {"name": str}, {"version": str, "notes": dict})
    for name, entry in manifest["files"].items():
        check_name(name)
        fields(entry, f"files[{name}]", {"sha256": str, "bytes": int}, {"unpacked_sha256": object})
        check_hash(entry["sha256"], name)
        need(name != "manifest.json" and name in files, f"{name}: listed, and not there")
        need(len(files[name]) == entry["bytes"], f"{name}: {len(files[name])} bytes, {entry['bytes']} listed")
        need(sha256(files[name]) == entry["sha256"], f"{name}: SHA-256 is not the manifest's")
        if entry.get("unpacked_sha256") is not None:
            check_hash(entry["unpacked_sha256"], name)
            need(sha256(unpacked(files[name], name)) == entry["unpacked_sha256"], f"{name}: unpacked SHA-256 is not the manifest's")
    need(set(files) - {"manifest.json"} == set(manifest["files"]), "a file that the manifest does not list")
    claims = manifest["claims"]
    need(claims, "no claims")
    roles: dict[str, str] = {}
    names = []
    for number, claim in enumerate(claims):
        need(type(claim) is dict, "claim: expected an object")
        for file, role in check_claim(claim):
            need(file in manifest["files"], f"{file!r}: no file of the manifest")
            need(roles.setdefault(file, role) == role, f"{file}: is {roles[file]} and {role}")
        names.append(claim.get("name") or str(number))
        claim["name"], claim["version"], claim["roles"] = names[-1], manifest["version"], roles
    need(len(set(names)) == len(names), "two claims of one name")
    return claims


def check_claim(claim: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The claim's fields are right; yields the files that it names with their roles."""
    kind = claim.get("kind")
    need(kind in ("unsat", "sat", "artifact"), f"claim: unknown kind {kind!r}")
    if kind == "artifact":
        fields(claim, "claim", {"kind": str, "format": str, "artifact": str}, {"part": str, "name": str})
        yield claim["artifact"], "artifact"
        return
    last = {"unsat": {"evidence": dict}, "sat": {"witness": list}}[kind]
    fields(claim, "claim", {"kind": str, "model": object, "property": object} | last, {"name": str})
    for key in ("model", "property"):
        source = claim[key]
        if type(source) is str:
            yield source, key
        elif key == "model" and type(source) is dict and set(source) == {"weights", "architecture"}:
            fields(source, key, {"weights": str, "architecture": str})
            yield source["weights"], "weights"
            yield source["architecture"], "architecture"
        else:
            check_hash(fields(source, key, {"sha256": str})["sha256"], key)
    if kind == "unsat":
        e = fields(claim["evidence"], "evidence", {"arrays": str}, {"prefix": str, "nodes": list, "per_leaf_bounds": bool})
        need(all(type(n) is str for n in e.get("nodes", [])), "nodes: expected names")
        need(re.fullmatch(r"|.*/", e.get("prefix", ""), re.S), "prefix: must be empty or end in /")
        yield e["arrays"], "arrays"


# ---- Numbers: vectors of integers over a common denominator -----------------------------------------------------------

Vector = tuple[list[int], int]  # entry i is ints[i] / denominator; denominator > 0


def common(values: Iterable[Any]) -> Vector:
    """Integers, floats or fractions, exactly."""
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

    def __init__(self, lower: Sequence[Fraction], upper: Sequence[Fraction]) -> None:
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

    def largest(self, i: int) -> Fraction:
        return max(abs(self.lower[i]), abs(self.upper[i]))

    def cut(self, literals: Iterable[Literal]) -> Box:
        """Its part where the literals (on values of this node) hold; it may be empty."""
        box = Box(self.lower, self.upper)
        for _, i, side, point in literals:
            if side > 0:
                box.lower[i] = max(box.lower[i], point)
            else:
                box.upper[i] = min(box.upper[i], point)
        return box


Literal = tuple[int, int, int, Fraction]  # node, index, side, point: value >= point where side is 1, value <= point where it is -1


# ---- The network: a list of nodes, each after its operands -------------------------------------------------------------

Rows = list[tuple[Sequence[int], Sequence[int]]]  # of each value: places in the operand, and their weights


@dataclass(eq=False)
class Input:
    size: int


@dataclass(eq=False)
class Affine:
    """Value j = sum over terms (operand, rows, d) of (row j . operand) / d, plus offset[j].

    ``wobble`` (of one operand, value by value): the true value is within wobble[j] |operand value j| + wobble_offset[j] of that.
    """

    size: int
    terms: list[tuple[int, Rows, int]]
    offset: list[Fraction]
    wobble: list[Fraction] = field(default_factory=list)
    wobble_offset: list[Fraction] = field(default_factory=list)

    def radius(self, boxes: Sequence[Box | None]) -> list[Fraction]:
        box = boxes[self.terms[0][0]]
        return [w * box.largest(j) + o for j, (w, o) in enumerate(zip(self.wobble, self.wobble_offset))]


@dataclass(eq=False)
class Bent:
    """Value j = function(operand value j), continuous and linear between the kinks."""

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


Node = Input | Affine | Bent | Largest


@dataclass
class Network:
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    input: Tensor | None = None
    output: Tensor | None = None

    def add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1


@dataclass
class Tensor:
    """Row-major values: of a node, or constants (floats and integers, exact). ``type``: ONNX's number of the element type."""

    shape: tuple[int, ...]
    type: int
    node: int = -1
    data: list[Any] | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


# ---- ONNX: the protobuf wire format, then messages ---------------------------------------------------------------------


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


def message(data: bytes, what: str, wanted: dict[int, str], ignored: Iterable[int] = ()) -> dict[str, list[Any]]:
    """Field name -> its values in order (integers, or bytes). Fields that are neither wanted nor known to say nothing are refused."""
    result: dict[str, list[Any]] = {name: [] for name in wanted.values()}
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        value: Any
        if wire == 0:
            value, at = varint(data, at)
        elif wire in (1, 5):
            value, at = data[at : at + (8 if wire == 1 else 4)], at + (8 if wire == 1 else 4)
        else:
            need(wire == 2, f"ONNX: {what}: wire type {wire}")
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        need(at <= len(data), f"ONNX: {what} is cut off")
        known(number in wanted or number in ignored, f"ONNX: field {number} of {what}")
        if number in wanted:
            result[wanted[number]].append(value)
    return result


def one(values: list[Any], what: str, default: Any = None) -> Any:
    """The value of a field that occurs once at most (protobuf would take the last of several)."""
    need(len(values) <= 1, f"ONNX: {what} occurs twice")
    need(values or default is not None, f"ONNX: no {what}")
    return values[0] if values else default


def text(values: list[Any], what: str, default: str | None = "") -> str:
    value = one(values, what, default)
    try:
        return value if isinstance(value, str) else value.decode("utf-8")
    except (UnicodeDecodeError, AttributeError):
        raise Invalid(f"ONNX: {what} is no text") from None


def integer(value: Any, what: str) -> int:
    need(type(value) is int, f"ONNX: {what} is no integer")
    return value - (1 << 64) if value >> 63 else value


def integers(values: list[Any], what: str) -> list[int]:
    """A repeated integer, packed or not."""
    result = []
    for value in values:
        if isinstance(value, int):
            result.append(integer(value, what))
            continue
        at = 0
        while at < len(value):
            number, at = varint(value, at)
            result.append(integer(number, what))
    return result


FLOAT, INT32, INT64, BOOL, DOUBLE = 1, 6, 7, 9, 11
LAYOUT = {FLOAT: "f", INT32: "i", INT64: "q", BOOL: "B", DOUBLE: "d"}


def read_tensor(data: bytes, sources: Sources) -> tuple[str, Tensor]:
    wanted = {1: "dims", 2: "type", 4: "floats", 5: "int32s", 7: "int64s", 8: "name", 9: "raw", 10: "doubles", 13: "external", 14: "location"}
    m = message(data, "a tensor", wanted, (12, 16))
    name, kind = text(m["name"], "a tensor's name"), integer(one(m["type"], "a tensor's type"), "type")
    known(kind in LAYOUT, f"ONNX: tensor {name}: element type {kind}")
    shape = tuple(integers(m["dims"], "dims"))
    need(all(d >= 0 for d in shape), f"ONNX: tensor {name}: a negative dimension")
    size = math.prod(shape)
    known(size <= MAX_VALUES * 8, f"ONNX: tensor {name} is too large")
    typed = {FLOAT: "floats", DOUBLE: "doubles", INT64: "int64s", INT32: "int32s", BOOL: "int32s"}[kind]
    external = integer(one(m["location"], "data_location", 0), "data_location") == 1
    given = [k for k in ("floats", "int32s", "int64s", "doubles", "raw") if m[k]]
    if external:
        need(not given, f"ONNX: tensor {name} has data of its own and in a file")
        raw = sources.external(m["external"], name)
    else:
        need(not m["external"] and given in ([], ["raw"], [typed]), f"ONNX: tensor {name}: data of another type")
        if not m["raw"] and kind in (INT32, INT64, BOOL):
            values = integers(m[typed], name)
            need(len(values) == size and all(-(1 << 31) <= v < 1 << 31 or kind == INT64 for v in values), f"ONNX: tensor {name}: wrong size")
            return name, Tensor(shape, kind, data=values)
        raw = one(m["raw"], "raw_data") if m["raw"] else b"".join(v if isinstance(v, bytes) else b"?" for v in m[typed])
    layout = LAYOUT[kind]
    need(isinstance(raw, bytes) and len(raw) == size * struct.calcsize("<" + layout), f"ONNX: tensor {name}: wrong number of bytes")
    data_values: list[Any] = list(struct.unpack(f"<{size}{layout}", raw))
    need(all(math.isfinite(v) for v in data_values), f"ONNX: tensor {name}: NaN or infinite")
    return name, Tensor(shape, kind, data=data_values)


def read_attribute(data: bytes, sources: Sources) -> tuple[str, Any]:
    m = message(data, "an attribute", {1: "name", 2: "f", 3: "i", 4: "s", 5: "t", 7: "floats", 8: "ints", 9: "strings", 20: "type"}, (13,))
    name, kind = text(m["name"], "an attribute's name"), one(m["type"], "an attribute's type")
    known(kind in (1, 2, 3, 4, 6, 7), f"ONNX: attribute {name} of type {kind}")
    mine = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints"}[kind]
    need(all(not m[k] for k in ("f", "i", "s", "t", "floats", "ints", "strings") if k != mine), f"ONNX: attribute {name} of two types")
    if kind in (1, 6):
        raw = b"".join(v if isinstance(v, bytes) else b"?" for v in m[mine])
        need(len(raw) % 4 == 0 and (kind == 6 or len(m["f"]) == 1 and len(raw) == 4), f"ONNX: attribute {name}")
        numbers = list(struct.unpack(f"<{len(raw) // 4}f", raw))
        need(all(math.isfinite(v) for v in numbers), f"ONNX: attribute {name}: NaN or infinite")
        return name, numbers if kind == 6 else numbers[0]
    if kind == 7:
        return name, integers(m["ints"], name)
    value = one(m[mine], f"attribute {name}")
    return name, integer(value, name) if kind == 2 else text([value], name) if kind == 3 else read_tensor(value, sources)[1]


def read_value_info(data: bytes) -> tuple[str, int, list[int]]:
    """Name, element type, shape; -1 for a free dimension."""
    m = message(data, "a value", {1: "name", 2: "type"}, (3, 4))
    name = text(m["name"], "a value's name")
    tensor = message(one(message(one(m["type"], f"type of {name}"), "a type", {1: "tensor"}, (6,))["tensor"], f"tensor type of {name}"), "a tensor type", {1: "elem", 2: "shape"})
    dims = []
    for dim in message(one(tensor["shape"], f"shape of {name}"), "a shape", {1: "dim"})["dim"]:
        d = message(dim, "a dimension", {1: "value", 2: "name"}, (3,))
        dims.append(integer(one(d["value"], "dim_value"), "dim_value") if d["value"] else -1)
    return name, integer(one(tensor["elem"], f"element type of {name}"), "elem_type"), dims


def read_onnx(data: bytes, sources: Sources) -> Network:
    model = message(data, "the model", {1: "ir", 7: "graph", 8: "opset"}, (2, 3, 4, 5, 6, 14))
    opset = 0
    for item in model["opset"]:
        m = message(item, "opset_import", {1: "domain", 2: "version"})
        if text(m["domain"], "domain") in ("", "ai.onnx"):
            need(opset == 0, "ONNX: the standard's opset twice")
            opset = integer(one(m["version"], "opset version"), "opset version")
    known(7 <= opset <= 22, f"ONNX: opset {opset}")
    graph = message(one(model["graph"], "graph"), "the graph", {1: "node", 5: "initializer", 11: "input", 12: "output"}, (2, 10, 13, 16))
    net = Network()
    for item in graph["initializer"]:
        name, tensor = read_tensor(item, sources)
        need(name and name not in net.tensors, f"ONNX: initializer {name!r} without a name, or twice")
        net.tensors[name] = tensor
    inputs = [read_value_info(item) for item in graph["input"]]
    free = [i for i in inputs if i[0] not in net.tensors]
    known(len(free) == 1, f"ONNX: {len(free)} inputs")
    name, kind, dims = free[0]
    known(kind in (FLOAT, DOUBLE), f"ONNX: input of element type {kind}")
    need(all(d != 0 and d >= -1 for d in dims), "ONNX: input's shape")
    known(all(d > 0 for d in dims[1:]), "ONNX: a free dimension that is not the first")
    shape = tuple(abs(d) for d in dims)
    known(math.prod(shape) <= MAX_VALUES, "ONNX: input is too large")
    net.tensors[name] = net.input = Tensor(shape, kind, net.add(Input(math.prod(shape))))
    for item in graph["node"]:
        lower(net, item, opset, sources)
    outputs = [read_value_info(item) for item in graph["output"]]
    known(len(outputs) == 1, f"ONNX: {len(outputs)} outputs")
    name, kind, dims = outputs[0]
    need(name in net.tensors, f"ONNX: output {name} is no tensor")
    net.output = net.tensors[name]
    known(net.output.data is None, "ONNX: a constant output")
    fits = len(dims) == len(net.output.shape) and all(d in (-1, s) for d, s in zip(dims, net.output.shape))
    need(kind == net.output.type and fits, f"ONNX: output {name} is declared otherwise: {dims} is {list(net.output.shape)}")
    return net


# ---- ONNX operators ----------------------------------------------------------------------------------------------------


class Call:
    """One node: its operands, and its attributes, each of which must be asked for."""

    def __init__(self, net: Network, op: str, operands: list[Tensor | None], attributes: dict[str, Any], opset: int) -> None:
        self.net, self.op, self.operands, self.attributes, self.opset = net, op, operands, attributes, opset

    def attribute(self, name: str, default: Any) -> Any:
        value = self.attributes.pop(name, default)
        known(default is None or value is None or type(value) is type(default), f"{self.op}: attribute {name}")
        return value

    def operand(self, place: int) -> Tensor:
        tensor = self.operands[place] if place < len(self.operands) else None
        need(tensor is not None, f"{self.op}: operand {place} is missing")
        return tensor

    def data(self, place: int) -> Tensor:
        tensor = self.operand(place)
        known(tensor.data is None, f"{self.op}: operand {place} is a constant")
        return tensor

    def constant(self, place: int, kind: int | None = None) -> Tensor | None:
        """A constant operand of this element type; None where it is absent."""
        tensor = self.operands[place] if place < len(self.operands) else None
        if tensor is not None:
            known(tensor.data is not None, f"{self.op}: operand {place} is not a constant")
            known(kind is None or tensor.type == kind, f"{self.op}: operand {place} of element type {tensor.type}")
        return tensor

    def whole(self, place: int, attribute: str, since: int) -> list[int] | None:
        """Integers: an attribute before opset ``since``, an operand from then on; None where absent."""
        if self.opset < since:
            return self.attribute(attribute, None)
        tensor = self.constant(place)
        known(tensor is None or tensor.type in (INT64, INT32), f"{self.op}: operand {place}")
        return None if tensor is None else list(tensor.data)

    def emit(self, shape: Sequence[int], like: Tensor, node: Node) -> Tensor:
        return Tensor(tuple(shape), like.type, self.net.add(node))

    def affine(self, shape: Sequence[int], x: Tensor, rows: Rows, denominator: int = 1, offset: Iterable[Any] | None = None) -> Tensor:
        values = [Fraction(0)] * len(rows) if offset is None else [Fraction(v) for v in offset]
        known(sum(len(r[0]) for r in rows) <= MAX_VALUES * 16, f"{self.op}: too large")
        return self.emit(shape, x, Affine(len(rows), [(x.node, rows, denominator)], values))

    def pick(self, x: Tensor, shape: Sequence[int], places: Sequence[int], fill: Any = 0) -> Tensor:
        """Values of x at these places, ``fill`` at -1."""
        if x.data is not None:
            return Tensor(tuple(shape), x.type, data=[fill if p < 0 else x.data[p] for p in places])
        if list(places) == list(range(x.size)):
            return Tensor(tuple(shape), x.type, x.node)
        rows = [((), ()) if p < 0 else ((p,), (1,)) for p in places]
        return self.affine(shape, x, rows, 1, [fill if p < 0 else 0 for p in places])


def strides(shape: Sequence[int]) -> list[int]:
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def grid(shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return itertools.product(*map(range, shape))


def place(coordinates: Iterable[int], steps: Iterable[int]) -> int:
    return sum(c * s for c, s in zip(coordinates, steps))


def broadcast(shape: Sequence[int], to: Sequence[int]) -> list[int]:
    """Of each value of shape ``to``, its place in ``shape`` (numpy's rule)."""
    padded = [1] * (len(to) - len(shape)) + list(shape)
    need(len(shape) <= len(to) and all(a in (1, b) for a, b in zip(padded, to)), f"ONNX: shape {list(shape)} does not spread to {list(to)}")
    steps = [0 if a == 1 else s for a, s in zip(padded, strides(padded))]
    return [place(c, steps) for c in grid(to)]


def joint_shape(a: Sequence[int], b: Sequence[int]) -> list[int]:
    n = max(len(a), len(b))
    pairs = zip([1] * (n - len(a)) + list(a), [1] * (n - len(b)) + list(b))
    return [y if x == 1 else x for x, y in pairs]


def arithmetic(call: Call) -> Tensor:
    """Add, Sub, Mul, Div of data with constants; Add and Sub of data."""
    a, b = call.operand(0), call.operand(1)
    known(a.type == b.type, f"{call.op}: element types {a.type} and {b.type}")
    shape = joint_shape(a.shape, b.shape)
    at_a, at_b = broadcast(a.shape, shape), broadcast(b.shape, shape)
    sign = -1 if call.op == "Sub" else 1
    if a.data is None and b.data is None:
        known(call.op in ("Add", "Sub"), f"{call.op} of two tensors that are no constants")
        terms: list[tuple[int, Rows, int]] = [(a.node, [((p,), (1,)) for p in at_a], 1), (b.node, [((p,), (sign,)) for p in at_b], 1)]
        return call.emit(shape, a, Affine(len(at_a), terms, [Fraction(0)] * len(at_a)))
    known(a.data is None or b.data is None, f"{call.op} of constants")
    if call.op in ("Add", "Sub"):
        if a.data is None:
            return call.affine(shape, a, [((p,), (1,)) for p in at_a], 1, [sign * Fraction(b.data[q]) for q in at_b])
        return call.affine(shape, b, [((p,), (sign,)) for p in at_b], 1, [a.data[q] for q in at_a])
    x, at_x, c, at_c = (a, at_a, b, at_b) if a.data is None else (b, at_b, a, at_a)
    if call.op == "Div":
        known(a.data is None, "Div by data")
        need(all(c.data), "Div by zero")
        factors, denominator = common(1 / Fraction(v) for v in c.data)
    else:
        factors, denominator = common(c.data)
    return call.affine(shape, x, [((p,), (factors[q],)) for p, q in zip(at_x, at_c)], denominator)


def gemm(call: Call) -> Tensor:
    x = call.data(0)
    w, c = call.constant(1, x.type), call.constant(2, x.type)
    alpha, beta = Fraction(call.attribute("alpha", 1.0)), Fraction(call.attribute("beta", 1.0))
    turn_a, turn_b = call.attribute("transA", 0), call.attribute("transB", 0)
    known(turn_a in (0, 1) and turn_b in (0, 1), "Gemm: transA, transB")
    need(w is not None and len(x.shape) == len(w.shape) == 2, "Gemm: operands are no matrices")
    m, k = x.shape[::-1] if turn_a else x.shape
    k_w, n = w.shape[::-1] if turn_b else w.shape
    need(k == k_w, f"Gemm: {list(x.shape)} and {list(w.shape)} do not fit")
    factors, denominator = common(alpha * Fraction(v) for v in w.data)
    columns = [tuple(factors[(j * k + i) if turn_b else (i * n + j)] for i in range(k)) for j in range(n)]
    places = [tuple((i * m + r) if turn_a else (r * k + i) for i in range(k)) for r in range(m)]
    at_c = broadcast(c.shape, (m, n)) if c is not None else []
    offset = [beta * Fraction(c.data[p]) for p in at_c] if c is not None else None
    return call.affine((m, n), x, [(places[r], columns[j]) for r in range(m) for j in range(n)], denominator, offset)


def matmul(call: Call) -> Tensor:
    a, b = call.operand(0), call.operand(1)
    known((a.data is None) != (b.data is None), "MatMul: one operand must be a constant")
    known(a.type == b.type, "MatMul: element types differ")
    x, w = (a, b) if a.data is None else (b, a)
    factors, denominator = common(w.data)
    known(len(w.shape) == 2, "MatMul: a constant that is no matrix")
    if x is a:
        k, n = w.shape
        need(x.shape and x.shape[-1] == k, f"MatMul: {list(a.shape)} and {list(b.shape)} do not fit")
        columns = [tuple(factors[i * n + j] for i in range(k)) for j in range(n)]
        rows: Rows = [(range(r * k, r * k + k), columns[j]) for r in range(x.size // k if k else 0) for j in range(n)]
        return call.affine((*x.shape[:-1], n), x, rows, denominator)
    m, k = w.shape
    known(len(x.shape) in (1, 2), "MatMul: constant times a stack of matrices")
    n = x.shape[1] if len(x.shape) == 2 else 1
    need(x.shape[0] == k, f"MatMul: {list(a.shape)} and {list(b.shape)} do not fit")
    rows = [(range(j, k * n, n), factors[r * k : r * k + k]) for r in range(m) for j in range(n)]
    return call.affine((m, *x.shape[1:]), x, rows, denominator)


def windows(call: Call, spatial: Sequence[int], kernel: Sequence[int], dilated: bool = True) -> tuple[list[int], list[list[tuple[int, int]]], list[int]]:
    """Output's spatial shape; of each place there, (position in the kernel, position in the input) that meet; padded sizes."""
    n = len(spatial)
    known(call.attribute("auto_pad", "NOTSET") == "NOTSET", f"{call.op}: auto_pad")
    step = call.attribute("strides", [1] * n)
    pads = call.attribute("pads", [0] * 2 * n)
    spread = call.attribute("dilations", [1] * n) if dilated else [1] * n
    need(len(kernel) == len(step) == len(spread) == n and len(pads) == 2 * n, f"{call.op}: attributes of another rank")
    need(min([*kernel, *step, *spread], default=1) >= 1 and min(pads, default=0) >= 0, f"{call.op}: attributes out of range")
    sizes = [s + pads[i] + pads[n + i] for i, s in enumerate(spatial)]
    out = [(s - (k - 1) * d - 1) // t + 1 for s, k, d, t in zip(sizes, kernel, spread, step)]
    need(all(o >= 1 for o in out), f"{call.op}: the kernel is larger than the input")
    result = []
    inner, offsets = strides(spatial), list(grid(kernel))
    for o in grid(out):
        met = []
        for number, k in enumerate(offsets):
            at = [o[i] * step[i] - pads[i] + k[i] * spread[i] for i in range(n)]
            if all(0 <= p < s for p, s in zip(at, spatial)):
                met.append((number, place(at, inner)))
        result.append(met)
    return out, result, [math.prod(kernel)] * len(result)


def conv(call: Call) -> Tensor:
    x = call.data(0)
    w, b = call.constant(1, x.type), call.constant(2, x.type)
    need(w is not None and len(w.shape) == len(x.shape) >= 3, "Conv: ranks")
    kernel, group = list(w.shape[2:]), call.attribute("group", 1)
    need(call.attribute("kernel_shape", kernel) == kernel, "Conv: kernel_shape is not the weight's")
    (batch, channels), (filters, per_group) = x.shape[:2], w.shape[:2]
    need(group >= 1 and channels == per_group * group and filters % group == 0, "Conv: channels and groups do not fit")
    need(b is None or b.shape == (filters,), "Conv: bias")
    out, met, _ = windows(call, x.shape[2:], kernel)
    factors, denominator = common(w.data)
    plane, volume = math.prod(x.shape[2:]), math.prod(kernel)
    known(batch * filters * per_group * sum(map(len, met)) <= MAX_VALUES * 16, "Conv: too large")
    rows: Rows = []
    for n, f in grid((batch, filters)):
        first = f // (filters // group) * per_group
        for pairs in met:
            places = [(n * channels + first + c) * plane + q for c in range(per_group) for _, q in pairs]
            weights = [factors[(f * per_group + c) * volume + k] for c in range(per_group) for k, _ in pairs]
            rows.append((places, weights))
    bias = [Fraction(0)] * filters if b is None else [Fraction(v) for v in b.data]
    return call.affine((batch, filters, *out), x, rows, denominator, [bias[f] for _, f in grid((batch, filters)) for _ in met])


def pool(call: Call) -> Tensor:
    """AveragePool and MaxPool: padding takes no part, but that an average may count it."""
    x = call.data(0)
    need(len(x.shape) >= 3, f"{call.op}: rank")
    kernel = call.attribute("kernel_shape", None)
    need(type(kernel) is list, f"{call.op}: no kernel_shape")
    known(call.attribute("ceil_mode", 0) == 0, f"{call.op}: ceil_mode")
    largest = call.op == "MaxPool"
    count_all = 0 if largest else call.attribute("count_include_pad", 0)
    known(count_all in (0, 1), f"{call.op}: count_include_pad")
    known(not largest or call.attribute("storage_order", 0) == 0, "MaxPool: storage_order")
    out, met, volumes = windows(call, x.shape[2:], kernel, largest and call.opset >= 10)
    known(all(met), f"{call.op}: a window of padding only")
    planes, plane = math.prod(x.shape[:2]), math.prod(x.shape[2:])
    places = [[c * plane + q for _, q in pairs] for c in range(planes) for pairs in met]
    shape = (*x.shape[:2], *out)
    if largest:
        return call.emit(shape, x, Largest(len(places), x.node, places))
    denominator = math.lcm(*(volumes if count_all else map(len, met)))
    counts = volumes * planes if count_all else [len(p) for p in places]
    return call.affine(shape, x, [(p, [denominator // c] * len(p)) for p, c in zip(places, counts)], denominator)


def root(x: Fraction) -> tuple[Fraction, Fraction]:
    """Fractions around the square root of x > 0, equal where it is one."""
    n, d = math.isqrt(x.numerator), math.isqrt(x.denominator)
    if n * n == x.numerator and d * d == x.denominator:
        return Fraction(n, d), Fraction(n, d)
    unit = Fraction(2) ** ((x.numerator.bit_length() - x.denominator.bit_length()) // 2 - ROUND)
    n = math.isqrt((x / unit**2).__floor__())
    return n * unit, (n + 1) * unit


def batch_norm(call: Call) -> Tensor:
    """scale (x - mean) / sqrt(variance + epsilon) + bias; the root, where it is no fraction, within a wobble."""
    x = call.data(0)
    epsilon = Fraction(call.attribute("epsilon", 9.999999747378752e-06))
    call.attribute("momentum", 0.9)
    known(call.attribute("training_mode", 0) == 0 and call.attribute("spatial", 1) == 1, "BatchNormalization: training")
    need(len(x.shape) >= 2, "BatchNormalization: rank")
    parts = [call.constant(i, x.type) for i in range(1, 5)]
    need(all(p is not None and p.shape == (x.shape[1],) for p in parts), "BatchNormalization: operands")
    scale, bias, mean, variance = ([Fraction(v) for v in p.data] for p in parts)
    need(all(v + epsilon > 0 for v in variance), "BatchNormalization: variance + epsilon is not positive")
    ends = [root(v + epsilon) for v in variance]
    factor = [down(s / low) for s, (low, _) in zip(scale, ends)]
    wobble = [max(abs(s / low - f), abs(s / high - f)) for s, f, (low, high) in zip(scale, factor, ends)]
    factors, denominator = common(factor)
    plane = math.prod(x.shape[2:])
    channel = [c for _, c in grid(x.shape[:2]) for _ in range(plane)]
    result = call.affine(x.shape, x, [((j,), (factors[c],)) for j, c in enumerate(channel)], denominator, [bias[c] - factor[c] * mean[c] for c in channel])
    if any(wobble):
        node = call.net.nodes[-1]
        node.wobble, node.wobble_offset = [wobble[c] for c in channel], [wobble[c] * abs(mean[c]) for c in channel]
    return result


def activation(call: Call) -> Tensor:
    x = call.data(0)
    zero = Fraction(0)
    kinks = [zero]
    if call.op == "Relu":
        function: Callable[[Fraction], Fraction] = lambda z: max(z, zero)
    elif call.op == "Abs":
        function = abs
    elif call.op == "LeakyRelu":
        alpha = Fraction(call.attribute("alpha", 0.009999999776482582))
        function = lambda z: z if z >= 0 else alpha * z
    else:
        ends = [clip_end(call, 1, "min", x.type), clip_end(call, 2, "max", x.type)]
        known(None in ends or ends[0] <= ends[1], "Clip: min above max")
        low, high = ends
        function = lambda z: z if low is None else max(z, low)
        if high is not None:
            function = lambda z: min(high, z if low is None else max(z, low))
        kinks = [e for e in ends if e is not None]
    return call.emit(x.shape, x, Bent(x.size, x.node, function, kinks, call.op == "Relu"))


def clip_end(call: Call, at: int, name: str, kind: int) -> Fraction | None:
    if call.opset < 11:
        value = call.attribute(name, None)
        return None if value is None else Fraction(value)
    tensor = call.constant(at, kind)
    known(tensor is None or tensor.shape == (), "Clip: an end that is no scalar")
    return None if tensor is None else Fraction(tensor.data[0])


def axis_of(axis: int, rank: int, what: str) -> int:
    need(-rank <= axis < rank, f"{what}: axis {axis} of {rank}")
    return axis % rank


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
        need(-1 not in shape or rest and x.size % rest == 0, "Reshape: sizes do not fit")
        shape = [x.size // rest if v == -1 else v for v in shape]
    elif op == "Flatten":
        axis = call.attribute("axis", 1)
        need(-len(shape) <= axis <= len(shape), "Flatten: axis")
        axis += len(shape) if axis < 0 else 0
        shape = [math.prod(shape[:axis]), math.prod(shape[axis:])]
    elif op in ("Squeeze", "Unsqueeze"):
        axes = call.whole(1, "axes", 13)
        known(axes is not None, f"{op}: no axes")
        rank = len(shape) + (len(axes) if op == "Unsqueeze" else 0)
        axes = [axis_of(a, rank, op) for a in axes]
        need(len(set(axes)) == len(axes), f"{op}: an axis twice")
        if op == "Squeeze":
            need(all(shape[a] == 1 for a in axes), "Squeeze: an axis that is not 1")
            shape = [s for i, s in enumerate(shape) if i not in axes]
        else:
            rest_of = iter(shape)
            shape = [1 if i in axes else next(rest_of) for i in range(rank)]
    elif op == "Dropout":
        call.attribute("ratio", 0.5)
        call.attribute("seed", None)
        known(call.operands[2:] in ([], [None]), "Dropout: training_mode")
    need(math.prod(shape) == x.size, f"{op}: {list(x.shape)} to {shape}")
    return call.pick(x, shape, range(x.size))


def transpose(call: Call) -> Tensor:
    x = call.operand(0)
    order = call.attribute("perm", list(range(len(x.shape)))[::-1])
    need(sorted(order) == list(range(len(x.shape))), "Transpose: perm")
    shape, steps = [x.shape[a] for a in order], [strides(x.shape)[a] for a in order]
    return call.pick(x, shape, [place(c, steps) for c in grid(shape)])


def cut(call: Call) -> Tensor:
    """Slice, forward."""
    x = call.operand(0)
    starts, ends, axes = call.whole(1, "starts", 10), call.whole(2, "ends", 10), call.whole(3, "axes", 10)
    steps = call.whole(4, "steps", 10) if call.opset >= 10 else None
    need(starts is not None and ends is not None, "Slice: no starts or ends")
    axes = [axis_of(a, len(x.shape), "Slice") for a in (list(range(len(starts))) if axes is None else axes)]
    steps = [1] * len(starts) if steps is None else steps
    need(len(starts) == len(ends) == len(axes) == len(steps) == len(set(axes)), "Slice: lists of different lengths")
    known(all(s >= 1 for s in steps), "Slice: backwards")
    ranges = [range(s) for s in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps):
        ranges[axis] = ranges[axis][slice(start, end, step)]
    at = strides(x.shape)
    known(all(len(r) for r in ranges), "Slice: nothing is left")
    return call.pick(x, [len(r) for r in ranges], [place(c, at) for c in itertools.product(*ranges)])


def pad(call: Call) -> Tensor:
    x = call.data(0)
    known(call.attribute("mode", "constant") == "constant", "Pad: mode")
    known(call.operands[3:] in ([], [None]), "Pad: axes")
    pads = call.whole(1, "pads", 11)
    n = len(x.shape)
    need(pads is not None and len(pads) == 2 * n, "Pad: pads")
    known(all(p >= 0 for p in pads), "Pad: a negative pad")
    tensor = call.constant(2, x.type) if call.opset >= 11 else None
    known(tensor is None or tensor.size == 1, "Pad: value")
    fill = call.attribute("value", 0.0) if call.opset < 11 else 0 if tensor is None else tensor.data[0]
    shape, steps, places = [pads[i] + s + pads[n + i] for i, s in enumerate(x.shape)], strides(x.shape), []
    known(math.prod(shape) <= MAX_VALUES, "Pad: too large")
    for c in grid(shape):
        at = [p - pads[i] for i, p in enumerate(c)]
        places.append(place(at, steps) if all(0 <= p < s for p, s in zip(at, x.shape)) else -1)
    return call.pick(x, shape, places, fill)


def concat(call: Call) -> Tensor:
    parts = [call.operand(i) for i in range(len(call.operands))]
    axis = call.attribute("axis", None)
    need(parts and type(axis) is int, "Concat: operands, axis")
    like, rank = parts[0], len(parts[0].shape)
    axis = axis_of(axis, rank, "Concat")
    known(all(p.type == like.type for p in parts), "Concat: element types differ")
    need(all(len(p.shape) == rank and all(a == b or i == axis for i, (a, b) in enumerate(zip(p.shape, like.shape))) for p in parts), "Concat: shapes")
    shape = [sum(p.shape[axis] for p in parts) if i == axis else s for i, s in enumerate(like.shape)]
    where = [(number, k) for number, p in enumerate(parts) for k in range(p.shape[axis])]
    source = []
    for c in grid(shape):
        number, k = where[c[axis]]
        source.append((number, place((*c[:axis], k, *c[axis + 1 :]), strides(parts[number].shape))))
    if all(p.data is not None for p in parts):
        return Tensor(tuple(shape), like.type, data=[parts[n].data[p] for n, p in source])
    terms: list[tuple[int, Rows, int]] = []
    for number, part in enumerate(parts):
        if part.data is None:
            terms.append((part.node, [((p,), (1,)) if n == number else ((), ()) for n, p in source], 1))
    offset = [Fraction(parts[n].data[p]) if parts[n].data is not None else Fraction(0) for n, p in source]
    return call.emit(shape, like, Affine(len(source), terms, offset))


def constant(call: Call) -> Tensor:
    tensor = call.attribute("value", None)
    known(isinstance(tensor, Tensor), "Constant: no value")
    return tensor


OPERATORS: dict[str, tuple[Callable[[Call], Tensor], int]] = {  # operator -> its rule, and how many operands it has at most
    "Add": (arithmetic, 2), "Sub": (arithmetic, 2), "Mul": (arithmetic, 2), "Div": (arithmetic, 2), "Gemm": (gemm, 3), "MatMul": (matmul, 2),
    "Conv": (conv, 3), "AveragePool": (pool, 1), "MaxPool": (pool, 1), "BatchNormalization": (batch_norm, 5), "Relu": (activation, 1),
    "LeakyRelu": (activation, 1), "Abs": (activation, 1), "Clip": (activation, 3), "Reshape": (reshape, 2), "Flatten": (reshape, 1),
    "Squeeze": (reshape, 2), "Unsqueeze": (reshape, 2), "Identity": (reshape, 1), "Dropout": (reshape, 3), "Transpose": (transpose, 1),
    "Slice": (cut, 5), "Pad": (pad, 4), "Concat": (concat, 1 << 20), "Constant": (constant, 0),
}  # fmt: skip


def lower(net: Network, data: bytes, opset: int, sources: Sources) -> None:
    """One ONNX node becomes a tensor of the network."""
    m = message(data, "a node", {1: "input", 2: "output", 4: "op", 5: "attribute", 7: "domain"}, (3, 6, 9))
    op = text(m["op"], "op_type")
    known(text(m["domain"], "domain") in ("", "ai.onnx") and op in OPERATORS, f"operator {op}")
    outputs = [text([o], "an output") for o in m["output"]]
    known(len(outputs) >= 1 and outputs[0] and not any(outputs[1:]), f"{op}: {len(outputs)} outputs")
    operands: list[Tensor | None] = []
    for item in m["input"]:
        name = text([item], "an operand")
        need(not name or name in net.tensors, f"ONNX: {op} takes {name!r}, which is not there")
        operands.append(net.tensors[name] if name else None)
    attributes: dict[str, Any] = {}
    for item in m["attribute"]:
        name, value = read_attribute(item, sources)
        need(name not in attributes, f"ONNX: {op}: attribute {name} twice")
        attributes[name] = value
    rule, most = OPERATORS[op]
    known(len(operands) <= most, f"{op}: {len(operands)} operands")
    call = Call(net, op, operands, attributes, opset)
    result = rule(call)
    known(not call.attributes, f"{op}: attribute {min(call.attributes, default='')}")
    known(0 < result.size <= MAX_VALUES or result.data is not None, f"{op}: a tensor of {result.size} values")
    need(outputs[0] not in net.tensors, f"ONNX: tensor {outputs[0]} is made twice")
    net.tensors[outputs[0]] = result


# ---- VNN-LIB 1.0 -------------------------------------------------------------------------------------------------------

Form = dict[tuple[str, int], Fraction]  # ("X", i) or ("Y", j) -> coefficient; ("", 0) -> the constant
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


def decimal(token: str, quotients: bool = False) -> Fraction:
    """A decimal; with ``quotients`` (a witness) also p/q and hexadecimal floats."""
    match = re.fullmatch(r"([+-]?)(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d{1,4}))?", token, re.A)
    if match and len(token) <= 1000:
        return Fraction(token)
    if quotients and re.fullmatch(r"[+-]?\d{1,500}/[1-9]\d{0,499}", token, re.A):
        return Fraction(token)
    match = re.fullmatch(r"([+-]?)0[xX]([0-9a-fA-F]+)\.?([0-9a-fA-F]*)(?:[pP]([+-]?\d{1,4}))?", token, re.A) if quotients else None
    need(match and len(token) <= 1000, f"no number: {token[:40]}")
    sign, whole, part, power = match.groups()
    value = Fraction(int(whole + part, 16), 16 ** len(part)) * Fraction(2) ** int(power or 0)
    return -value if sign == "-" else value


def expressions(source: str) -> list[Any]:
    """S-expressions: lists and words."""
    stack: list[list[Any]] = [[]]
    at = 0
    for match in re.finditer(r"[ \t\r\n]+|;[^\n]*|([()])|([^ \t\r\n();]+)", source):
        need(match.start() == at, "VNN-LIB: unreadable")
        at = match.end()
        if match[1] == "(":
            known(len(stack) < 200, "VNN-LIB: nested too deeply")
            stack.append([])
        elif match[1] == ")":
            need(len(stack) > 1, "VNN-LIB: a parenthesis too many")
            closed = stack.pop()
            stack[-1].append(closed)
        elif match[2]:
            stack[-1].append(match[2])
    need(len(stack) == 1 and at == len(source), "VNN-LIB: a parenthesis is not closed")
    return stack[0]


def term(item: Any, declared: set[str]) -> Form:
    """A linear form."""
    if isinstance(item, str):
        if item in declared:
            return {(item[0], int(item[2:])): Fraction(1), ONE: Fraction(0)}
        return {ONE: decimal(item)}
    need(len(item) >= 2 and item[0] in ("+", "-", "*"), f"VNN-LIB: no term: {str(item)[:60]}")
    parts = [term(p, declared) for p in item[1:]]
    total = dict(parts[0])
    if item[0] == "-" and len(parts) == 1:
        return {v: -c for v, c in total.items()}
    for part in parts[1:]:
        if item[0] == "*":
            if any(c for v, c in part.items() if v != ONE):
                known(not any(c for v, c in total.items() if v != ONE), "VNN-LIB: a product of variables")
                total, part = dict(part), total
            total = {v: c * part.get(ONE, 0) for v, c in total.items()}
        else:
            for v, c in part.items():
                total[v] = total.get(v, Fraction(0)) + (c if item[0] == "+" else -c)
    return total


def formula(item: Any, declared: set[str]) -> list[list[Constraint]]:
    """Its disjunctive normal form: cases, each a list of comparisons, in the order of the text."""
    if item == "true" or item == "false":
        return [[]] if item == "true" else []
    need(isinstance(item, list) and item, f"VNN-LIB: no formula: {str(item)[:60]}")
    if item[0] == "and" or item[0] == "or":
        need(len(item) >= 2, f"VNN-LIB: ({item[0]}) of nothing")
        parts = [formula(p, declared) for p in item[1:]]
        return conjunction(parts) if item[0] == "and" else limited([case for part in parts for case in part])
    known(item[0] in ("<=", ">=", "<", ">", "="), f"VNN-LIB: {str(item[0])[:40]}")
    need(len(item) == 3, "VNN-LIB: a comparison of two terms was expected")
    left, right = term(item[1], declared), term(item[2], declared)
    signs = {"<=": (1,), "<": (1,), ">=": (-1,), ">": (-1,), "=": (1, -1)}[item[0]]
    case = []
    for sign in signs:
        form = {v: sign * (left.get(v, 0) - right.get(v, 0)) for v in {**left, **right}}
        form = {v: Fraction(c) for v, c in form.items() if c}
        atom = Constraint(form, -form.pop(ONE, Fraction(0)), item[0] in ("<", ">"))
        if form:
            case.append(atom)
        elif atom.bound < 0 or atom.strict and atom.bound == 0:
            return []
    return [case]


def conjunction(parts: list[list[list[Constraint]]]) -> list[list[Constraint]]:
    """Of several disjunctions the last varies fastest."""
    known(math.prod(map(len, parts)) <= MAX_CASES, "VNN-LIB: too many cases")
    return limited([[atom for case in choice for atom in case] for choice in itertools.product(*parts)])


def limited(cases: list[list[Constraint]]) -> list[list[Constraint]]:
    known(len(cases) <= MAX_CASES and sum(map(len, cases)) <= 10 * MAX_CASES, "VNN-LIB: too many cases")
    return cases


def read_property(data: bytes, n_inputs: int, n_outputs: int) -> list[Disjunct]:
    try:
        source = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid("VNN-LIB: not UTF-8") from None
    need("\0" not in source and "\r" not in source.replace("\r\n", "\n"), "VNN-LIB: NUL or a lone carriage return")
    declared: set[str] = set()
    common_atoms: list[Constraint] = []
    parts: list[list[list[Constraint]]] = []
    for item in expressions(source):
        need(isinstance(item, list) and item, "VNN-LIB: a command was expected")
        known(item[0] != "vnnlib-version", "VNN-LIB 2.0")
        if item[0] in ("declare-const", "declare-fun"):
            need(len(item) == (3 if item[0] == "declare-const" else 4) and item[-1] == "Real" and item[2:-1] in ([], [[]]), "VNN-LIB: declaration")
            need(isinstance(item[1], str) and re.fullmatch(r"[XY]_(0|[1-9]\d{0,8})", item[1], re.A), f"VNN-LIB: declares {str(item[1])[:40]}")
            need(item[1] not in declared, f"VNN-LIB: {item[1]} is declared twice")
            declared.add(item[1])
        else:
            known(item[0] == "assert", f"VNN-LIB: command {str(item[0])[:40]}")
            need(len(item) == 2, "VNN-LIB: assert of one formula")
            parts.append(formula(item[1], declared))
    for letter, count in (("X", n_inputs), ("Y", n_outputs)):
        names = [v for v in declared if v[0] == letter]
        need(len(names) == count and all(f"{letter}_{i}" in declared for i in range(count)), f"VNN-LIB: {len(names)} {letter}, the model has {count}")
    return [disjunct(case, n_inputs) for case in conjunction(parts)]


def disjunct(case: list[Constraint], n_inputs: int) -> Disjunct:
    """Comparisons of one input make the box; the others, and strict ones, are its constraints, in order."""
    lower: list[Fraction | None] = [None] * n_inputs
    upper: list[Fraction | None] = [None] * n_inputs
    constraints = []
    for atom in case:
        ((letter, i), c), *more = atom.coefficients.items()
        if letter == "X" and not more:
            ends, better = (upper, min) if c > 0 else (lower, max)
            ends[i] = atom.bound / c if ends[i] is None else better(ends[i], atom.bound / c)
        if letter == "Y" or more or atom.strict:
            constraints.append(atom)
    need(None not in lower and None not in upper, "VNN-LIB: an input without a finite bound")
    return Disjunct(Box(lower, upper), constraints)


# ---- The arrays (safetensors) ------------------------------------------------------------------------------------------

ITEM = {"I64": "q", "I32": "i", "U8": "B", "BOOL": "B", "F64": "d", "F32": "f"}
WHOLE, REAL, SLOPES = ("I64", "I32", "U8"), ("F64", "F32"), ("F64", "F32", "U8", "BOOL")


@dataclass
class Array:
    type: str
    shape: tuple[int, ...]
    values: list[Any]


def read_arrays(data: bytes) -> dict[str, Array]:
    need(len(data) >= 8, "arrays: cut off")
    (length,) = struct.unpack("<Q", data[:8])
    need(length <= len(data) - 8, "arrays: the header is longer than the file")
    header = strict_json(data[8 : 8 + length], "arrays")
    need(type(header) is dict, "arrays: header")
    body, spans, result = data[8 + length :], [], {}
    for name, entry in header.items():
        if name == "__metadata__":
            need(type(entry) is dict and all(type(v) is str for v in entry.values()), "arrays: __metadata__")
            continue
        fields(entry, f"arrays: {name}", {"dtype": str, "shape": list, "data_offsets": list})
        need(entry["dtype"] in ITEM, f"arrays: {name}: type {entry['dtype']}")
        shape, offsets = entry["shape"], entry["data_offsets"]
        need(all(type(v) is int and v >= 0 for v in shape + offsets) and len(offsets) == 2, f"arrays: {name}: shape or offsets")
        start, end = offsets
        layout = f"<{math.prod(shape)}{ITEM[entry['dtype']]}" if math.prod(shape) <= len(body) else "<"
        need(start <= end <= len(body) and end - start == math.prod(shape) * struct.calcsize("<" + ITEM[entry["dtype"]]), f"arrays: {name}: size")
        spans.append((start, end))
        result[name] = Array(entry["dtype"], tuple(shape), list(struct.unpack(layout, body[start:end])))
    at = 0
    for start, end in sorted(spans):
        need(start == at, "arrays: overlap or gap")
        at = end
    need(at == len(body), "arrays: bytes after the last array")
    return result


# ---- Evidence: arrays to trees, leaves, slopes -------------------------------------------------------------------------

Picked = tuple[list[int], list[list[Any]] | None, list[list[Any]] | None]  # columns; rows of lower and of upper slopes


@dataclass
class Slopes:
    """What the evidence gives for one region."""

    per_leaf: bool = False
    row_of: dict[int, int] | None = None  # leaf -> its row in ``leaf``; None: its own number
    leaf: dict[int, Picked] = field(default_factory=dict)
    shared: dict[int, tuple[list[Any] | None, list[Any] | None]] = field(default_factory=dict)
    intermediate: dict[tuple[int, int], tuple[list[int], list[int], list[list[Any]], list[list[Any]]]] = field(default_factory=dict)


@dataclass
class Leaf:
    """A leaf of a disjunct's tree: the path to it, and the number of what closes it."""

    path: list[Literal]
    number: int


@dataclass
class Evidence:
    disjuncts: list[Slopes]  # of each disjunct, its region's
    trees: list[list[Leaf]]
    weights: list[list[tuple[int, Fraction]]]  # of each leaf: constraint, weight
    multipliers: list[list[tuple[Literal, Fraction]]]


class EvidenceReader:
    def __init__(self, net: Network, arrays: dict[str, Array], nodes: list[str], version: int, disjuncts: int) -> None:
        self.net, self.arrays, self.left, self.version, self.disjuncts = net, arrays, set(arrays), version, disjuncts
        tensors = [net.tensors.get(name) for name in nodes]
        need(all(t is not None and t.data is None for t in tensors), "nodes: a name that is no tensor of the model")
        self.nodes = [t.node for t in tensors]

    def get(self, name: str, types: Sequence[str], *shape: int | None) -> list[Any]:
        """The values, flat; ``None`` in the shape: any size."""
        need(name in self.arrays, f"arrays: no {name}")
        self.left.discard(name)
        array = self.arrays[name]
        need(array.type in types, f"arrays: {name}: type {array.type}")
        need(len(array.shape) == len(shape) and all(w in (None, s) for s, w in zip(array.shape, shape)), f"arrays: {name}: shape {array.shape}")
        need(all(math.isfinite(v) or name == "leaves/claimed" and v != v for v in array.values), f"arrays: {name}: NaN or infinite")
        return array.values

    def within(self, values: list[int], end: int, what: str) -> list[int]:
        need(all(0 <= v < end for v in values), f"arrays: {what}: out of range")
        return values

    def literals(self, kind: str, n: int) -> list[tuple[int, int]]:
        """The (node, index) of n splits; an index in range of its node."""
        places = self.within(self.get(f"{kind}node", WHOLE, n), max(len(self.nodes), 1 if kind == "tree/" else 0), f"{kind}node")
        return list(zip(places, self.get(f"{kind}index", WHOLE, n)))

    def value(self, pair: tuple[int, int]) -> tuple[int, int]:
        position, index = pair
        need(position < len(self.nodes), "arrays: a split without a node")
        node = self.nodes[position]
        need(0 <= index < self.net.nodes[node].size, f"arrays: index {index} of a node of {self.net.nodes[node].size} values")
        return node, index

    def read(self, per_leaf: bool) -> Evidence:
        weights, multipliers, n = self.leaves()
        whole = self.slopes("", n, per_leaf)
        own: dict[int, Slopes] = {}
        for p in sorted({name.split("/")[1] for name in self.arrays if name.startswith("regions/") and self.version == 2}):
            chosen = self.within(self.get(f"regions/{p}/disjuncts", WHOLE, None), self.disjuncts, "disjuncts")
            flag = self.get(f"regions/{p}/per_leaf_bounds", WHOLE, 1)[0]
            need(flag in (0, 1) and not any(d in own for d in chosen) and len(set(chosen)) == len(chosen), f"regions/{p}")
            rows = None
            if f"regions/{p}/rows" in self.arrays:
                rows = self.within(self.get(f"regions/{p}/rows", WHOLE, None), n, "rows")
                need(all(a < b for a, b in zip(rows, rows[1:])), "rows: not rising")
            slopes = self.slopes(f"regions/{p}/", n if rows is None else len(rows), bool(flag))
            slopes.row_of = None if rows is None else {leaf: row for row, leaf in enumerate(rows)}
            own |= dict.fromkeys(chosen, slopes)
        trees = self.list_of_leaves(multipliers, n) if "leaves/disjunct" in self.arrays else self.tree(n)
        need(not self.left, f"arrays: {min(self.left, default='')} is not known")
        return Evidence([own.get(d, whole) for d in range(self.disjuncts)], trees, weights, multipliers)

    def leaves(self) -> tuple[list[list[tuple[int, Fraction]]], list[list[tuple[Literal, Fraction]]], int]:
        pointer = self.get("leaves/constraint_ptr", WHOLE, None)
        n = len(pointer) - 1
        need(n >= 0, "leaves/constraint_ptr: empty")
        self.get("leaves/claimed", REAL, n)
        chosen = self.get("leaves/constraint", WHOLE, None)
        weights = self.nonnegative(self.get("leaves/weight", REAL, len(chosen)), "weight")
        of_leaf = [list(zip(chosen[a:b], weights[a:b])) for a, b in self.spans(pointer, len(chosen))]
        split_pointer = self.get("leaves/split_ptr", WHOLE, n + 1)
        count = len(self.get("leaves/split_node", WHOLE, None))
        values = [self.value(pair) for pair in self.literals("leaves/split_", count)]
        sides = self.get("leaves/split_side", ("I64", "I32", "U8"), count)
        need(all(s in (1, -1) for s in sides), "leaves/split_side: neither 1 nor -1")
        points = [Fraction(v) for v in self.get("leaves/split_point", REAL, count)]
        betas = self.nonnegative(self.get("leaves/split_beta", REAL, count), "beta")
        entries = [((*v, s, p), b) for v, s, p, b in zip(values, sides, points, betas)]
        return of_leaf, [entries[a:b] for a, b in self.spans(split_pointer, count)], n

    @staticmethod
    def nonnegative(values: list[float], what: str) -> list[Fraction]:
        need(all(v >= 0 for v in values), f"leaves/{what}: negative")
        return [Fraction(v) for v in values]

    @staticmethod
    def spans(pointer: list[int], end: int) -> list[tuple[int, int]]:
        need(pointer[0] == 0 and pointer[-1] == end and all(a <= b for a, b in zip(pointer, pointer[1:])), "arrays: pointers")
        return list(zip(pointer, pointer[1:]))

    def slopes(self, prefix: str, n_leaves: int, per_leaf: bool) -> Slopes:
        result = Slopes(per_leaf)
        for name in sorted(self.arrays):
            if not name.startswith(prefix):
                continue
            parts = name[len(prefix) :].split("/")
            if parts[0] == "leaf_slopes" and len(parts) == 3:
                node, base = self.activation(parts[1]), f"{prefix}leaf_slopes/{parts[1]}/"
                columns = self.columns(base, node)
                result.leaf[node] = (columns, *(self.table(base + side, n_leaves, len(columns)) for side in ("lower", "upper")))
            elif parts[0] == "shared_slopes" and len(parts) == 3:
                node, base = self.activation(parts[1]), f"{prefix}shared_slopes/{parts[1]}/"
                size = self.net.nodes[node].size
                result.shared[node] = tuple(self.get(base + s, SLOPES, size) if base + s in self.arrays else None for s in ("lower", "upper"))
            elif parts[0] == "intermediate" and len(parts) == 4:
                self.position(parts[1])
                target, node, base = self.nodes[int(parts[1])], self.activation(parts[2]), f"{prefix}intermediate/{parts[1]}/{parts[2]}/"
                columns = self.columns(base, node)
                lower = self.table(base + "lower", None, len(columns))
                upper = self.table(base + "upper", None, len(columns))
                need(lower is not None and upper is not None and len(lower) == len(upper), f"{base}: lower and upper")
                row = self.within(self.get(base + "row", WHOLE, self.net.nodes[target].size), len(lower), base + "row")
                result.intermediate[target, node] = (columns, row, lower, upper)
        return result

    def position(self, word: str) -> None:
        need(re.fullmatch(r"0|[1-9]\d{0,8}", word, re.A) and int(word) < len(self.nodes), f"arrays: no node {word!r}")

    def activation(self, word: str) -> int:
        self.position(word)
        node = self.nodes[int(word)]
        need(isinstance(self.net.nodes[node], Bent), f"arrays: slopes of node {word}, which is no activation")
        return node

    def columns(self, base: str, node: int) -> list[int]:
        columns = self.within(self.get(base + "columns", WHOLE, None), self.net.nodes[node].size, base + "columns")
        need(len(set(columns)) == len(columns), f"{base}columns: one twice")
        return columns

    def table(self, name: str, rows: int | None, columns: int) -> list[list[Any]] | None:
        if name not in self.arrays:
            return None
        flat = self.get(name, SLOPES, rows, columns)
        return [flat[r * columns : (r + 1) * columns] for r in range(self.arrays[name].shape[0])]

    def tree(self, n_leaves: int) -> list[list[Leaf]]:
        kinds = self.get("tree/kind", WHOLE, None)
        n = len(kinds)
        pairs = self.literals("tree/", n)
        points = self.get("tree/point", REAL, n)
        below, above = self.get("tree/below", WHOLE, n), self.get("tree/above", WHOLE, n)
        roots = self.within(self.get("tree/roots", WHOLE, self.disjuncts), n, "tree/roots")
        for t, kind in enumerate(kinds):
            need(kind in (0, 1), f"tree: row {t} is neither a split nor a leaf")
            need(0 <= below[t] < (n_leaves if kind else n) and (kind or 0 <= above[t] < n), f"tree: row {t} refers to nothing")
        return [list(self.walk(r, kinds, pairs, points, below, above)) for r in roots]

    def walk(self, start: int, kinds: list[int], pairs: list[tuple[int, int]], points: list[float], below: list[int], above: list[int]) -> Iterator[Leaf]:
        """Depth first. A path longer than the number of rows, or more visits than rows, is a cycle or a row with two parents."""
        stack: list[tuple[int, list[Literal]]] = [(start, [])]
        visits = 0
        while stack:
            row, path = stack.pop()
            visits += 1
            need(visits <= len(kinds), "tree: a cycle")
            if kinds[row] == 1:
                yield Leaf(path, below[row])
                continue
            literal = (*self.value(pairs[row]), Fraction(points[row]))
            stack.append((above[row], [*path, (literal[0], literal[1], 1, literal[2])]))
            stack.append((below[row], [*path, (literal[0], literal[1], -1, literal[2])]))

    def list_of_leaves(self, multipliers: list[list[tuple[Literal, Fraction]]], n: int) -> list[list[Leaf]]:
        need(not any(name.startswith("tree/") for name in self.arrays), "arrays: a tree and a list of leaves")
        owner = self.within(self.get("leaves/disjunct", WHOLE, n), self.disjuncts, "leaves/disjunct")
        paths = [[literal for literal, _ in entries] for entries in multipliers]
        return [cover([Leaf(paths[i], i) for i in range(n) if owner[i] == d]) for d in range(self.disjuncts)]


def cover(leaves: list[Leaf]) -> list[Leaf]:
    """A tree's leaves out of a list: divide at a cut that all have, until one has nothing left; [] and a gap as ``number`` -1."""
    result: list[Leaf] = []
    sides = []
    for leaf in leaves:
        cuts: dict[tuple[int, int, Fraction], int] = {}
        both = any(cuts.setdefault((node, i, p), side) != side for node, i, side, p in leaf.path)
        if not both:  # a leaf on both sides of a cut holds no more than the cut
            sides.append((leaf.number, cuts))
    stack: list[tuple[list[tuple[int, dict[Any, int]]], list[Literal]]] = [(sides, [])]
    while stack:
        group, path = stack.pop()
        done = next((number for number, cuts in group if len(cuts) == len(path)), None)
        if done is not None:
            result.append(Leaf(path, done))
            continue
        used = {(node, i, p) for node, i, _, p in path}
        shared = set.intersection(*(set(cuts) for _, cuts in group)) - used if group else set()
        cut_at = next((c for c in (group[0][1] if group else ()) if c in shared and len({cuts[c] for _, cuts in group}) == 2), None)
        if cut_at is None:
            result.append(Leaf(path, -1))
            continue
        node, i, p = cut_at
        for side in (1, -1):
            stack.append(([(number, cuts) for number, cuts in group if cuts[cut_at] == side], [*path, (node, i, side, p)]))
    return result


# ---- Bounds ------------------------------------------------------------------------------------------------------------


@dataclass
class Lines:
    """lower_slope z + lower <= f(z) <= upper_slope z + upper on the box the lines were drawn on, value by value."""

    lower_slope: Vector
    lower: Vector
    upper_slope: Vector
    upper: Vector


def chord(a: Fraction, b: Fraction, f: Callable[[Fraction], Fraction]) -> Fraction:
    """The slope between two points, to SLOPE fractional bits where it needs more."""
    slope = (f(b) - f(a)) / (b - a) if a < b else Fraction(0)
    return slope if slope.denominator.bit_length() <= KEEP else Fraction((slope * 2**SLOPE).__floor__(), 2**SLOPE)


def own_slopes(node: Bent, l: Fraction, u: Fraction, kinks: list[Fraction]) -> tuple[Fraction, Fraction]:
    """Of the lower and the upper line where nobody gives one: the chord, but for one kink on its other side a piece's slope."""
    straight = Fraction((chord(l, u, node.function) * 2**SLOPE).__floor__(), 2**SLOPE)
    if len(kinks) != 1:
        return straight, straight
    left, right = chord(l, kinks[0], node.function), chord(kinks[0], u, node.function)
    piece = right if u > -l else left
    return (piece, straight) if right > left else (straight, piece)


def draw(node: Bent, box: Box, lower: Sequence[Any], upper: Sequence[Any]) -> Lines:
    """Lines of given slopes (None: our own). f(z) - s z is linear between kinks, so its least and greatest are at an end or a kink."""
    columns: list[list[Fraction]] = [[], [], [], []]
    for l, u, s_low, s_up in zip(box.lower, box.upper, lower, upper):
        inside = [k for k in node.kinks if l < k < u]
        points = [(z, node.function(z)) for z in (l, *inside, u)]
        if not inside:  # f is linear here: one line
            low = up = chord(l, u, node.function)
        else:
            low, up = own_slopes(node, l, u, inside)
            if s_low is not None:
                low = min(max(Fraction(s_low), Fraction(0)), Fraction(1)) if node.relu else Fraction(s_low)
            if s_up is not None and not node.relu:
                up = Fraction(s_up)
        for column, value in zip(columns, (low, min(y - low * z for z, y in points), up, max(y - up * z for z, y in points))):
            column.append(value)
    return Lines(*map(common, columns))


class Pass:
    """Backward passes over one domain: ``boxes`` hold at each of its points. ``lines`` of an activation are drawn when first asked for."""

    def __init__(self, net: Network, boxes: list[Box | None], slopes: Callable[[int], tuple[Any, Sequence[Any], Sequence[Any]]], drawn: dict[Any, Lines]) -> None:
        self.net, self.boxes, self.slopes, self.drawn = net, boxes, slopes, drawn

    def lines(self, n: int) -> Lines:
        node = self.net.nodes[n]
        key, lower, upper = self.slopes(n)
        box = self.boxes[node.operand]
        found = self.drawn.get((n, id(box), key))
        if found is None:
            found = self.drawn[n, id(box), key] = draw(node, box, lower, upper)
        return found

    def least(self, form: dict[int, Vector], constant: Fraction) -> Fraction:
        """A lower bound of constant + the sum over nodes n of form[n] . (values of n), on the domain."""
        form = dict(form)
        for n in range(len(self.net.nodes) - 1, -1, -1):
            a, d = form.pop(n, ((), 1))
            if not any(a):
                continue
            node = self.net.nodes[n]
            if isinstance(node, Input):
                lower, upper, e = self.boxes[n].ints()
                constant += Fraction(sum(c * (l if c > 0 else u) for c, l, u in zip(a, lower, upper) if c), d * e)
            elif isinstance(node, Affine):
                constant += sum((c * o for c, o in zip(a, node.offset) if c and o), Fraction(0)) / d
                if node.wobble:
                    constant -= sum((abs(c) * r for c, r in zip(a, node.radius(self.boxes)) if c), Fraction(0)) / d
                for operand, rows, e in node.terms:
                    self.put(form, operand, self.back(a, rows, self.net.nodes[operand].size), d * e)
            elif isinstance(node, Bent):
                lines = self.lines(n)
                (s, s_d), (t, t_d), (v, v_d), (w, w_d) = lines.lower_slope, lines.lower, lines.upper_slope, lines.upper
                e = math.lcm(s_d, v_d)
                p, q = e // s_d, e // v_d
                self.put(form, node.operand, [c * (s[j] * p if c > 0 else v[j] * q) if c else 0 for j, c in enumerate(a)], d * e)
                constant += Fraction(sum(c * t[j] for j, c in enumerate(a) if c > 0), d * t_d) + Fraction(sum(c * w[j] for j, c in enumerate(a) if c < 0), d * w_d)
            else:
                constant = self.select(form, node, a, d, constant)
        return constant

    @staticmethod
    def back(a: Sequence[int], rows: Rows, size: int) -> list[int]:
        out = [0] * size
        for c, (places, weights) in zip(a, rows):
            if c:
                for i, w in zip(places, weights):
                    out[i] += c * w
        return out

    @staticmethod
    def put(form: dict[int, Vector], n: int, ints: list[int], denominator: int) -> None:
        form[n] = plus(form[n], (ints, denominator)) if n in form else (ints, denominator)

    def select(self, form: dict[int, Vector], node: Largest, a: Sequence[int], d: int, constant: Fraction) -> Fraction:
        """y >= x_j for the j of the largest lower end; y = x_j where that is at least every other upper end; y <= the largest upper end."""
        box = self.boxes[node.operand]
        out = [0] * self.net.nodes[node.operand].size
        for c, window in zip(a, node.windows):
            if not c:
                continue
            best = max(window, key=lambda i: box.lower[i])
            if c > 0 or all(box.upper[i] <= box.lower[best] for i in window if i != best):
                out[best] += c
            else:
                constant += Fraction(c, d) * max(box.upper[i] for i in window)
        self.put(form, node.operand, out, d)
        return constant


def forward(net: Network, n: int, boxes: list[Box | None]) -> Box:
    """The box of node n from those of its operands."""
    node = net.nodes[n]
    if isinstance(node, Affine):
        lower, upper = list(node.offset), list(node.offset)
        for operand, rows, e in node.terms:
            low, up, d = boxes[operand].ints()
            for j, (places, weights) in enumerate(rows):
                lower[j] += Fraction(sum(w * (low[i] if w > 0 else up[i]) for i, w in zip(places, weights)), d * e)
                upper[j] += Fraction(sum(w * (up[i] if w > 0 else low[i]) for i, w in zip(places, weights)), d * e)
        if node.wobble:
            radius = node.radius(boxes)
            lower, upper = [x - r for x, r in zip(lower, radius)], [x + r for x, r in zip(upper, radius)]
    elif isinstance(node, Bent):
        box = boxes[node.operand]
        images = [[node.function(z) for z in (l, u, *(k for k in node.kinks if l < k < u))] for l, u in zip(box.lower, box.upper)]
        lower, upper = [min(i) for i in images], [max(i) for i in images]
    else:
        box = boxes[node.operand]
        lower = [max(box.lower[i] for i in w) for w in node.windows]
        upper = [max(box.upper[i] for i in w) for w in node.windows]
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

    def __init__(self, net: Network, box: Box, slopes: Slopes) -> None:
        self.net, self.box, self.given, self.boxes = net, box, slopes, None
        self.drawn: dict[Any, Lines] = {}

    def slopes(self, n: int, leaf: int | None, target: tuple[int, int, int] | None = None) -> tuple[Any, Sequence[Any], Sequence[Any]]:
        """(a key, lower, upper) of activation n: for value i of a target node, else the leaf's, else shared ones, else our own (None)."""
        size = self.net.nodes[n].size
        lower, upper = (x or [None] * size for x in self.given.shared.get(n, (None, None)))
        key: Any = None
        if leaf is not None and n in self.given.leaf:
            columns, low, up = self.given.leaf[n]
            row = leaf if self.given.row_of is None else self.given.row_of.get(leaf, -1)
            need(row >= 0, "regions: a leaf without a row")
            lower = lower if low is None else spread(size, columns, low[row])
            upper = upper if up is None else spread(size, columns, up[row])
            key = ("leaf", leaf)
        if target is not None and (target[0], n) in self.given.intermediate:
            columns, rows, low, up = self.given.intermediate[target[0], n]
            lower = spread(size, columns, (low if target[2] > 0 else up)[rows[target[1]]])
            key = (key, target[0], rows[target[1]], target[2])
        return key, lower, upper

    def enclose(self, box: Box, leaf: Leaf | None = None) -> list[Box] | None:
        """Boxes of all nodes over an input box (and, of a leaf, under its path's literals); None: no point is there."""
        boxes: list[Box | None] = [None] * len(self.net.nodes)
        drawn: dict[Any, Lines] = {}
        for n, node in enumerate(self.net.nodes):
            mine = [x for x in leaf.path if x[0] == n] if leaf else []
            boxes[n] = (box if isinstance(node, Input) else forward(self.net, n, boxes)).cut(mine)
            if boxes[n].empty():
                return None
            if isinstance(node, Input):
                continue
            better = Box(boxes[n].lower, boxes[n].upper)
            for i in open_values(self.net, n, boxes[n]):
                for sign, ends, tighter in ((1, better.lower, max), (-1, better.upper, min)):
                    number = None if leaf is None else leaf.number
                    steps = Pass(self.net, boxes, lambda k: self.slopes(k, number, (n, i, sign)), drawn)
                    unit = [0] * node.size
                    unit[i] = sign
                    ends[i] = tighter(ends[i], sign * down(steps.least({n: (unit, 1)}, Fraction(0))))
            boxes[n] = better
            if better.empty():
                return None
        return boxes

    def domain(self, leaf: Leaf) -> list[Box] | None:
        """Boxes of all nodes on a leaf; None: the leaf is empty."""
        if self.given.per_leaf:
            return self.enclose(self.box, leaf)
        if self.boxes is None:
            self.boxes = self.enclose(self.box)
        boxes = list(self.boxes)
        for n in {literal[0] for literal in leaf.path}:
            boxes[n] = boxes[n].cut(x for x in leaf.path if x[0] == n)
        return None if any(b.empty() for b in boxes) else boxes


def spread(size: int, columns: list[int], values: list[Any]) -> list[Any]:
    result: list[Any] = [None] * size
    for c, v in zip(columns, values):
        result[c] = v
    return result


# ---- Claims ------------------------------------------------------------------------------------------------------------


class Sources:
    """The files of one claim, by role."""

    def __init__(self, files: dict[str, bytes], claim: dict[str, Any], given: dict[str, bytes]) -> None:
        self.files, self.claim, self.given = files, claim, given

    def get(self, role: str) -> bytes:
        source = self.claim[role]
        mine = unpacked(self.given[role], role) if role in self.given else None
        if type(source) is str:
            data = unpacked(self.files[source], source)
            need(mine is None or mine == data, f"--{role} is not the bundle's")
            return data
        known("sha256" in source, "a model of weights and an architecture")
        need(mine is not None, f"{role}: only a hash; give --{role}")
        need(sha256(mine) == source["sha256"], f"--{role} has another SHA-256")
        return mine

    def external(self, entries: list[bytes], tensor: str) -> bytes:
        """A tensor's bytes in a file of the bundle, in the model's folder, by the plain name that the model says."""
        found: dict[str, str] = {}
        for entry in entries:
            m = message(entry, "external_data", {1: "key", 2: "value"})
            need(found.setdefault(text(m["key"], "key"), text(m["value"], "value")) is not None and len(m["key"]) == 1, "external_data")
        need(len(found) == len(entries) and set(found) <= {"location", "offset", "length"}, f"{tensor}: external_data")
        model, name = self.claim["model"], found.get("location", "")
        known(type(model) is str, "external data of a model that is not in the bundle")
        check_name(name)
        full = "/".join([*model.split("/")[:-1], name])
        need("/" not in name and full in self.files and full != "manifest.json", f"{tensor}: no file {full!r}")
        need(self.claim["roles"].setdefault(full, "external data") == "external data", f"{full}: in two roles")
        need(all(re.fullmatch(r"\d{1,18}", found.get(k, "0"), re.A) for k in ("offset", "length")), f"{tensor}: external_data")
        data, start = self.files[full], int(found.get("offset", "0"))
        end = start + int(found["length"]) if "length" in found else len(data)
        need(start <= end <= len(data), f"{tensor}: beyond the end of {full}")
        return data[start:end]


def own_arrays(arrays: dict[str, Array], claim: dict[str, Any], claims: list[dict[str, Any]]) -> dict[str, Array]:
    """Each array is of the longest prefix that fits, among all claims with this file; every one is of some claim."""
    same = {c["evidence"].get("prefix", "") for c in claims if c["kind"] == "unsat" and c["evidence"]["arrays"] == claim["evidence"]["arrays"]}
    mine = claim["evidence"].get("prefix", "")
    result = {}
    for name, array in arrays.items():
        fitting = [p for p in same if name.startswith(p)]
        need(fitting, f"arrays: {name} is of no claim")
        if max(fitting, key=len) == mine:
            result[name[len(mine) :]] = array
    return result


def hopeless(d: Disjunct) -> bool:
    """No point: an empty box, or a constraint on inputs alone that fails even at its best corner."""
    if d.box.empty():
        return True
    for c in d.constraints:
        if all(v[0] == "X" for v in c.coefficients):
            least = sum(k * (d.box.lower[v[1]] if k > 0 else d.box.upper[v[1]]) for v, k in c.coefficients.items())
            if least > c.bound or c.strict and least == c.bound:
                return True
    return False


def excluded(net: Network, region: Region, d: Disjunct, leaf: Leaf, evidence: Evidence) -> Fraction | None:
    """None: no point of the disjunct lies in the leaf. Else the margin that failed."""
    boxes = region.domain(leaf)
    if boxes is None:
        return None
    constant, strict = Fraction(0), False
    form: dict[int, dict[int, Fraction]] = {}
    for q, weight in evidence.weights[leaf.number]:
        need(0 <= q < len(d.constraints), f"leaf {leaf.number}: no constraint {q}")
        c = d.constraints[q]
        constant -= weight * c.bound
        strict = strict or c.strict and weight > 0
        for (letter, i), k in c.coefficients.items():
            entries = form.setdefault(net.input.node if letter == "X" else net.output.node, {})
            entries[i] = entries.get(i, Fraction(0)) + weight * k
    path, seen = set(leaf.path), set()
    for literal, beta in evidence.multipliers[leaf.number]:
        node, i, side, point = literal
        if literal in path and (node, i) not in seen:  # side (value - point) >= 0 on the leaf
            seen.add((node, i))
            entries = form.setdefault(node, {})
            entries[i] = entries.get(i, Fraction(0)) - beta * side
            constant += beta * side * point
    vectors = {n: common(spread(net.nodes[n].size, list(e), list(e.values()))[i] or 0 for i in range(net.nodes[n].size)) for n, e in form.items()}
    steps = Pass(net, boxes, lambda k: region.slopes(k, leaf.number), {})
    margin = steps.least(vectors, constant)
    return None if margin > 0 or margin == 0 and strict else margin


def decide_unsat(net: Network, disjuncts: list[Disjunct], evidence: Evidence) -> str:
    regions: dict[Any, Region] = {}
    leaves, failed, worst = 0, 0, None
    for number, (d, tree) in enumerate(zip(disjuncts, evidence.trees)):
        if hopeless(d):
            continue
        slopes = evidence.disjuncts[number]
        region = regions.setdefault((id(slopes), tuple(d.box.lower), tuple(d.box.upper)), Region(net, d.box, slopes))
        for leaf in tree:
            if leaf.number < 0:
                raise Unproven(f"the leaves of disjunct {number} do not cover it")
            margin = excluded(net, region, d, leaf, evidence)
            leaves += 1
            if margin is not None:
                failed += 1
                worst = margin if worst is None else min(worst, margin)
    if failed:
        raise Unproven(f"{failed} of {leaves} leaves not proved; worst margin {float(max(min(worst, 10**300), -(10**300))):.6g}")
    return f"{leaves} leaves"


def decide_sat(net: Network, disjuncts: list[Disjunct], witness: list[Any]) -> tuple[str, str]:
    """The witness is a box of one point."""
    need(all(type(w) is str for w in witness), "witness: expected strings")
    need(len(witness) == net.input.size, f"witness: {len(witness)} numbers, the model has {net.input.size} inputs")
    point = [decimal(w, quotients=True) for w in witness]
    boxes: list[Box | None] = [Box(point, point)]
    for n in range(1, len(net.nodes)):
        boxes.append(forward(net, n, boxes))
    ends = {"X": boxes[net.input.node], "Y": boxes[net.output.node]}
    undecided = False
    for d in disjuncts:
        if any(not l <= p <= u for l, p, u in zip(d.box.lower, point, d.box.upper)):
            continue
        state = True
        for c in d.constraints:
            least = sum(k * (ends[v].lower[i] if k > 0 else ends[v].upper[i]) for (v, i), k in c.coefficients.items())
            most = sum(k * (ends[v].upper[i] if k > 0 else ends[v].lower[i]) for (v, i), k in c.coefficients.items())
            holds, fails = (most < c.bound, least >= c.bound) if c.strict else (most <= c.bound, least > c.bound)
            if fails:
                state = False
                break
            state = state if holds else None
        if state:
            return "CERTIFIED", "the witness satisfies the property"
        undecided = undecided or state is None
    if undecided:
        raise Unproven("rounding leaves it open")
    return "REFUTED", "the witness does not satisfy the property"


def check_one(files: dict[str, bytes], claim: dict[str, Any], claims: list[dict[str, Any]], given: dict[str, bytes]) -> tuple[str, str]:
    known(claim["kind"] != "artifact", "a claim of a JSON artifact")
    sources = Sources(files, claim, given)
    data = {role: sources.get(role) for role in ("model", "property")}
    net = read_onnx(data["model"], sources)
    disjuncts = read_property(data["property"], net.input.size, net.output.size)
    if claim["kind"] == "sat":
        return decide_sat(net, disjuncts, claim["witness"])
    e = claim["evidence"]
    arrays = own_arrays(read_arrays(files[e["arrays"]]), claim, claims)
    evidence = EvidenceReader(net, arrays, e.get("nodes", []), claim["version"], len(disjuncts)).read(e.get("per_leaf_bounds", False))
    return "CERTIFIED", decide_unsat(net, disjuncts, evidence)


def check(path: str, given: dict[str, bytes] | None = None) -> list[tuple[str, str, str]]:
    """(claim, verdict, reason) of every claim; one INVALID for a bundle that is malformed as a whole."""
    try:
        files = read_bundle(path)
        claims = read_manifest(files)
    except (Invalid, OSError) as e:
        return [("", "INVALID", str(e))]
    result = []
    for claim in claims:
        try:
            verdict, reason = check_one(files, claim, claims, given or {})
        except (Invalid, Unsupported, Unproven) as e:
            verdict, reason = type(e).__name__.upper(), str(e)
        except RecursionError:
            verdict, reason = "UNSUPPORTED", "nested too deeply"
        result.append((claim["name"], verdict, reason))
    return result


def exit_code(verdicts: Iterable[str]) -> int:
    seen = set(verdicts)
    for verdict, code in (("INVALID", 3), ("UNSUPPORTED", 3), ("REFUTED", 1), ("UNPROVEN", 4)):
        if verdict in seen:
            return code
    return 0 if seen == {"CERTIFIED"} else 70


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a .tlcert bundle exactly, with Python's standard library alone.")
    parser.add_argument("bundle")
    parser.add_argument("--model")
    parser.add_argument("--property")
    options = parser.parse_args()
    given = {}
    for role in ("model", "property"):
        if getattr(options, role):
            with open(getattr(options, role), "rb") as stream:
                given[role] = stream.read()
    results = check(options.bundle, given)
    for name, verdict, reason in results:
        print(f"{verdict:<12} {name}: {reason}" if name else f"{verdict:<12} {reason}")
    return exit_code(verdict for _, verdict, _ in results)


if __name__ == "__main__":
    sys.exit(main())
