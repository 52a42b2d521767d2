#!/usr/bin/env python3
"""The reference checker of ``.tlcert`` bundles: ``certificates/FORMAT.md`` as a program. Slow, plain, one file.

    python3 check_unsat.py BUNDLE

Python's standard library and nothing else. Every number is exact: a fraction, or integers over a common
denominator. Rounded are only ends of boxes (outward), slopes that nobody gave (every slope is right with the
intercept that is computed for it) and long coefficients of a backward pass (which pays for it).

One line a claim, and the exit code of ``tlcheck verify``: 0 all CERTIFIED; 3 some INVALID, or UNSUPPORTED (this
program does not know something); 4 some UNPROVEN (the first that applies of 3, 4).

Why CERTIFIED is true. The property is a union of disjuncts: a box of inputs x and constraints c_q . (x, y) <= b_q
on inputs and outputs y = f(x). A split v <= p, v >= p leaves no point out, so the leaves of a finite tree cover the
box. On a leaf, with weights w_q >= 0, S = sum_q w_q (c_q . (x, y) - b_q) is bounded from below: a linear form in
the network's values is carried from the outputs to the inputs (``least``); each step replaces a value by something
that is at most (its coefficient times) it. S > 0 everywhere on the leaf excludes every point of the disjunct there;
so does S >= 0 if a strict constraint has a weight > 0, since then S < 0 at such a point.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import stat
import struct
import sys
import zlib
from collections import namedtuple
from fractions import Fraction
from functools import cached_property, partial
from itertools import chain, islice, pairwise, product, repeat, zip_longest
from operator import mul
from pathlib import Path

zip = partial(zip, strict=True)  # lists of different lengths never pair up

MAX_BYTES = 1 << 30  # of a file, packed or unpacked
MAX_VALUES = 1 << 22  # of a tensor that is computed
MAX_WEIGHTS = 1 << 24  # of one operator's map, or of a constant
MAX_CASES = 100_000  # disjuncts, leaves of a tree; and a tenth of the comparisons over all disjuncts
KEEP, ROUND = 256, 160  # numbers whose denominator has more than KEEP bits are rounded to ROUND bits
CODES = {"CERTIFIED": 0, "INVALID": 3, "UNSUPPORTED": 3, "UNPROVEN": 4}


class Problem(Exception):
    """Why a claim is not CERTIFIED: the verdict, and the reason."""


def need(condition, message, verdict="INVALID"):
    if not condition:
        raise Problem(verdict, message)


def known(condition, message):
    """Else nothing may be wrong with it, but this program does not know it."""
    need(condition, message, "UNSUPPORTED")


# ---- Files: names to bytes, from a folder or a zip -------------------------------------------------------------


def plain(name):
    return not re.search(r"[\\:\0-\x1f\x7f]", name) and not {"", ".", ".."} & set(name.split("/"))


def read_file(path):
    need(path.is_file() and path.stat().st_size <= MAX_BYTES, f"{path}: no file, or too large")
    return path.read_bytes()


def read_folder(folder):
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    for name, path in found.items():
        there = not path.is_symlink() and (path.is_file() or path.is_dir())
        need(plain(name) and there, f"{name}: a link, no file, or a name that is no plain path")
    return {name: read_file(path) for name, path in found.items() if path.is_file()}


def read_zip(data):
    """Stored or deflated members one after the other, the directory, its end record: each byte is of one of them."""
    need(len(data) >= 22 and data[-22:-18] == b"PK\x05\x06", "zip: something after the archive, or no zip")
    disk, first, here, entries, size, start, comment = struct.unpack("<4x4H2LH", data[-22:])
    need(
        disk == first == comment == 0 and here == entries and start + size + 22 == len(data),
        "zip: end record",
    )
    files, names, spans, at = {}, set(), [], start
    for _ in range(entries):
        magic, *about, n, extra, remark, mode, offset = struct.unpack_from("<4s4x2H4x3L3H4x2L", data, at)
        there, *local, m, more = struct.unpack_from("<4s2x2H4x3L2H", data, offset)
        need((magic, there) == (b"PK\x01\x02", b"PK\x03\x04"), "zip: no record where one should be")
        name, (flags, method, crc, packed, size), body = (
            data[at + 46 : at + 46 + n],
            about,
            offset + 30 + m + more,
        )
        same = about == local and name == data[offset + 30 : offset + 30 + m]
        known(
            same and flags & ~0x806 == 0 and method in (0, 8),
            f"zip: {name}: two records, or packed otherwise",
        )
        spans, at = [*spans, (offset, body + packed)], at + 46 + n + extra + remark
        name = name.decode("utf-8" if flags & 0x800 else "cp437")
        kind = stat.S_IFMT(mode >> 16) in (0, stat.S_IFREG, stat.S_IFDIR) and name not in names
        need(
            kind and plain(name.removesuffix("/")) and size <= MAX_BYTES,
            f"zip: {name}: a link, twice, too large",
        )
        names.add(name)
        engine = zlib.decompressobj(-15)
        content = (
            engine.decompress(data[body : body + packed], size + 1) if method else data[body : body + packed]
        )
        whole = len(content) == size and zlib.crc32(content) == crc and engine.eof == bool(method)
        need(
            whole and not engine.unused_data and (size == 0 or name[-1] != "/"),
            f"zip: {name}: size or checksum",
        )
        files |= {name: content} if name[-1] != "/" else {}
    ends = [0, *chain(*sorted(spans)), start]
    known(ends[::2] == ends[1::2] and at == len(data) - 22, "zip: more than its members and their directory")
    need(sum(map(len, files.values())) <= MAX_BYTES, "zip: unpacks to too much")
    return files


def unpacked(data):
    """What a gzip file unpacks to; any other file as it is."""
    if data[:2] != b"\x1f\x8b":
        return data
    engine = zlib.decompressobj(31)
    result = engine.decompress(data, MAX_BYTES)
    need(engine.eof and not engine.unused_data, "gzip: cut off, too large, or followed by something")
    return result


def strict_json(data, schema):
    """The value, which is as the schema says (``fits``)."""

    def distinct(items):
        need(len(dict(items)) == len(items), "JSON: a key twice")
        return dict(items)

    def finite(word):
        need(math.isfinite(float(word)), f"JSON: {word} is no number, or out of range")
        return float(word)

    def depth(value):
        inner = value.values() if type(value) is dict else value if type(value) is list else ()
        return 1 + max(map(depth, inner), default=0)

    hooks = {"object_pairs_hook": distinct, "parse_float": finite, "parse_constant": finite}
    value = json.loads(data.decode("utf-8").removeprefix("\ufeff"), **hooks)
    need(depth(value) <= 64 and fits(value, schema), "JSON: too deep, or fields missing or not known")
    return value


def fits(value, schema):
    """A schema: a type; a value; a pattern; several, one of which fits; of a list; of fields (``?``: or absent)."""
    if type(schema) is tuple:
        return any(fits(value, each) for each in schema)
    if type(schema) is list:
        return type(value) is list and all(fits(each, schema[0]) for each in value)
    if type(schema) is dict:
        fields = {key.rstrip("?"): each for key, each in schema.items()}
        missing = type(value) is not dict or schema.keys() - value.keys() - {key + "?" for key in fields}
        return not missing and all(key in fields and fits(each, fields[key]) for key, each in value.items())
    if type(schema) is re.Pattern:
        return type(value) is str and schema.fullmatch(value) is not None
    return type(value) is schema or (type(value) is type(schema) and value == schema)


# ---- manifest.json ---------------------------------------------------------------------------------------------

HASH = re.compile("[0-9a-f]{64}")
FILE = {"sha256": HASH, "bytes": int, "unpacked_sha256?": (None, HASH)}
MODEL = (str, {"weights": str, "architecture": str}, {"sha256": HASH})
COMMON = {"model": MODEL, "property": (str, {"sha256": HASH}), "name?": str}
PREFIX = re.compile("|.*/", re.DOTALL)
EVIDENCE = {"arrays": str, "prefix?": PREFIX, "nodes?": [str], "per_leaf_bounds?": bool}
CLAIM = (
    {"kind": "unsat", "evidence": EVIDENCE} | COMMON,
    {"kind": "sat", "witness": list} | COMMON,
    {"kind": "artifact", "format": str, "artifact": str, "part?": str, "name?": str},
    {"kind": "equiv", "other": str, "within": str, "evidence": EVIDENCE} | COMMON,
    {"kind": "differ", "other": str, "within": str, "witness": list} | COMMON,
)
ABOUT = {"producer": {"name": str, "version?": str, "notes?": dict}, "files": dict}
BUNDLE = {"format": "tlcheck.bundle", "version": (1, 2), "claims": [CLAIM]} | ABOUT


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read_manifest(files):
    """The claims; every file is there, is listed, and is the one that was hashed."""
    need("manifest.json" in files, "no manifest.json")
    manifest = strict_json(files["manifest.json"], BUNDLE)
    need(files.keys() - {"manifest.json"} == manifest["files"].keys(), "the manifest lists other files")
    for name, entry in manifest["files"].items():
        need(fits(entry, FILE) and entry["bytes"] == len(files[name]), f"{name}: fields, or length")
        inner = entry.get("unpacked_sha256") and sha256(unpacked(files[name]))
        hashes = (sha256(files[name]), inner)
        need(hashes == (entry["sha256"], entry.get("unpacked_sha256")), f"{name}: SHA-256")
    roles = {}
    for number, claim in enumerate(manifest["claims"]):
        known(claim["kind"] not in ("equiv", "differ"), f"a claim of kind {claim['kind']}")
        parts = claim["model"] if type(claim.get("model")) is dict else {}
        named = claim | claim.get("evidence", {}) | parts
        for role in ("model", "weights", "architecture", "property", "arrays", "artifact"):
            if type(file := named.get(role)) is str:
                need(file in manifest["files"], f"{file!r}: no file of the manifest")
                need(roles.setdefault(file, role) == role, f"{file}: is {roles[file]} and {role}")
        claim["name"], claim["version"] = claim.get("name") or str(number), manifest["version"]
    names = {claim["name"] for claim in manifest["claims"]}
    need(names and len(names) == len(manifest["claims"]), "no claims, or two of one name")
    return manifest["claims"]


# ---- The network: nodes, each after its operands; node 0 is the input ------------------------------------------

# ``operands``: the nodes of which a node's values are made.
# Values known by a box alone: the input's; or value i is within factor[i] (|operand's value i| + centre[i]) of 0.
Free = namedtuple("Free", "size operands factor centre")
# Value j = offset[j] / unit + the sum of row j / denominator; a row: (operand, places, weights), ...
Affine = namedtuple("Affine", "size operands rows denominator offset unit")
# Value j = function(value j of the operand), continuous, linear between kinks.
Bent = namedtuple("Bent", "size operands function kinks relu")
# Value j = the largest of the operand's values at windows[j].
Largest = namedtuple("Largest", "size operands windows")


class Tensor:
    """Row-major entries: constants, or pairs (n, i): value i of node n. ``type``: ONNX's of the elements."""

    def __init__(self, shape, type, entries):
        self.shape, self.type, self.entries = tuple(shape), type, list(entries)
        self.constant = not any(isinstance(e, tuple) for e in self.entries)

    @cached_property
    def node(self):
        """The node whose values, the first ones in order, these are; -1 if there is none."""
        n = -1 if self.constant else next(e for e in self.entries if type(e) is tuple)[0]
        return n if all(e == (n, i) for i, e in enumerate(self.entries)) else -1

    @property
    def numbers(self):
        known(self.constant, "an operand that is no constant")
        return list(map(Fraction, self.entries))

    @property
    def cells(self):
        """Coordinates: entry."""
        return dict(zip(grid(self.shape), self.entries))


def grid(shape):
    """Coordinates in row-major order."""
    return product(*map(range, shape))


class Network:
    def __init__(self):
        self.nodes, self.tensors, self.output = [], {}, -1

    def add(self, node, shape, kind):
        known(0 < node.size <= MAX_VALUES, f"a tensor of {node.size} values")
        self.nodes.append(node)
        return Tensor(shape, kind, [(len(self.nodes) - 1, i) for i in range(node.size)])

    def sums(self, shape, kind, sums):
        """A tensor, each entry a sum of products of two entries, one of which at least is a constant."""
        offset, rows, used = [], [], 0
        for products in sums:
            pairs = [(b, a) if type(b) is tuple else (a, b) for a, b in products]
            known(not any(type(b) is tuple for _, b in pairs), "a product of values that are no constants")
            rows.append([(a, b) for a, b in pairs if type(a) is tuple])
            constants = (Fraction(a) * Fraction(b) for a, b in pairs if type(a) is not tuple and a and b)
            offset.append(sum(constants, Fraction(0)))
            used += len(rows[-1])
            known(used <= MAX_WEIGHTS, "an operator with too many weights")
        if used == 0:
            return Tensor(shape, kind, [int(c) if c.denominator == 1 else c for c in offset])
        weights, denominator = common(w for row in rows for _, w in row)
        weights, grouped = iter(weights), [{} for _ in rows]
        for groups, ((n, i), _) in ((group, pair) for group, row in zip(grouped, rows) for pair in row):
            places, factors = groups.setdefault(n, ([], []))
            places.append(i)
            factors.append(next(weights))
        rows = [[(n, *group) for n, group in groups.items()] for groups in grouped]
        operands = {n for row in rows for n, *_ in row}
        return self.add(Affine(len(rows), operands, rows, denominator, *common(offset)), shape, kind)

    def pick(self, like, shape, entries):
        """These entries as a tensor: a node's own where they are its values in order, else a node of copies."""
        x = Tensor(shape, like.type, entries)
        if x.constant or (x.node >= 0 and self.nodes[x.node].size == len(x.entries)):
            return x
        return self.sums(x.shape, like.type, ([(e, 1)] for e in x.entries))


def common(values):
    """As integers over a common denominator > 0."""
    pairs = [v.as_integer_ratio() for v in values]
    denominator = math.lcm(*{d for _, d in pairs})
    return [n * (denominator // d) for n, d in pairs], denominator


# ---- ONNX: the protobuf wire format, then messages -------------------------------------------------------------

# Message: number name type; ``*``: any number of them, else one at most; ``-``: bytes. Others are refused.
SCHEMAS = """
Model: 1 ir int, 2 by -, 3 of -, 4 domain -, 5 version int, 6 doc -, 7 graph Graph, 8 opsets Opset*, 14 notes Note*
Opset: 1 domain str, 2 version int
Graph: 1 nodes Node*, 2 name -, 5 constants Tensor*, 10 doc -, 11 inputs Value*, 12 outputs Value*, 13 info Value*, 16 notes Note*
Node: 1 inputs str*, 2 outputs str*, 3 name -, 4 op str, 5 attributes Attribute*, 6 doc -, 7 domain str, 9 notes Note*
Attribute: 1 name str, 2 f float, 3 i int, 4 s str, 5 t Tensor, 7 floats float*, 8 ints int*, 9 strings -*, 13 doc -, 20 type int
Tensor: 1 dims int*, 2 type int, 4 floats float*, 7 int64s int*, 8 name str, 9 raw -, 10 doubles double*, 12 doc -, 16 notes Note*
Value: 1 name str, 2 type Type, 3 doc -, 4 notes Note*
Type: 1 tensor TensorType, 6 denotation -
TensorType: 1 elem int, 2 shape Shape
Shape: 1 dims Dim*
Dim: 1 value int, 2 name -, 3 denotation -
Note: 1 key -, 2 value -
"""
MESSAGES = {}
for what, entries in (row.split(": ") for row in SCHEMAS.strip().splitlines()):
    MESSAGES[what] = {int(number): (name, kind) for number, name, kind in map(str.split, entries.split(","))}
FIXED = {"float": ("f", 5), "double": ("d", 1)}  # layout, and wire type


def varint(data, at):
    """The number at this place, and the place after it."""
    end = at + 1
    while data[end - 1] >= 128:
        end += 1
    value = sum((byte & 127) << 7 * i for i, byte in enumerate(data[at:end]))
    need(end - at <= 10 and value < 1 << 64, "ONNX: a number is too long")
    return value, end


def message(data, what):
    """Field name: its value, or None; of ``*`` a list of its values."""
    schema, at = MESSAGES[what], 0
    result = {name: [] for name, _ in schema.values()}
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        known(number in schema and wire in (0, 1, 2, 5), f"ONNX: {what}: field {number} of type {wire}")
        value, at = varint(data, at) if wire in (0, 2) else (8 if wire == 1 else 4, at)
        if wire != 0:
            value, at = data[at : at + value], at + value
            need(at <= len(data), f"ONNX: {what} is cut off")
        name, kind = schema[number]
        result[name] += decoded(value, wire, kind)
    for name in (name for name, kind in schema.values() if kind[-1] != "*"):
        known(len(result[name]) <= 1, f"ONNX: {what}.{name} occurs twice")
        result[name] = result[name][0] if result[name] else None
    return result


def decoded(value, wire, kind):
    """One value, or several that are packed."""
    kind, packed = kind.rstrip("*"), wire == 2 and kind[-1] == "*"
    layout, own = FIXED.get(kind, ("", 0 if kind == "int" else 2))
    known(packed or wire == own, f"ONNX: {kind} of wire type {wire}")
    if layout:
        return [number for (number,) in struct.iter_unpack("<" + layout, value)]
    if kind == "int":
        numbers, at = [] if packed else [value], 0
        while packed and at < len(value):
            number, at = varint(value, at)
            numbers.append(number)
        return [n - (1 << 64) if n >> 63 else n for n in numbers]
    if kind in MESSAGES:
        return [message(value, kind)]
    return [value.decode("utf-8") if kind == "str" else value]


INT64 = 7
LAYOUT = {1: ("f", "floats"), INT64: ("q", "int64s"), 11: ("d", "doubles")}
KINDS = {1: "f", 2: "i", 3: "s", 4: "t", 7: "ints", 6: "floats", 8: "strings"}  # of attributes


def read_tensor(m):
    name, kind, shape, size = m["name"], m["type"], m["dims"], math.prod(m["dims"])
    known(kind in LAYOUT and size <= MAX_WEIGHTS, f"ONNX: tensor {name}: element type {kind}, or too large")
    layout, typed = LAYOUT[kind]
    present = [k for k in ("floats", "int64s", "doubles", "raw") if m[k] not in (None, [])]
    need(present in ([], ["raw"], [typed]), f"ONNX: tensor {name}: data of another type")
    need(min(shape, default=0) >= 0, f"ONNX: tensor {name}: a negative dimension")
    values = struct.unpack(f"<{size}{layout}", m["raw"]) if m["raw"] else m[typed]
    need(len(values) == size and all(map(math.isfinite, values)), f"ONNX: tensor {name}: size, or not finite")
    return Tensor(shape, kind, values)


def read_attribute(m):
    kind, present = m["type"], [k for k in KINDS.values() if m[k] not in (None, [])]
    known(kind in (1, 2, 3, 4, 7), f"ONNX: attribute {m['name']} of type {kind}")
    value = m[KINDS[kind]]
    fits = present in ([KINDS[kind]], [] if value == [] else None)
    need(fits and (kind != 1 or math.isfinite(value)), f"ONNX: attribute {m['name']}: no value, or another")
    return m["name"], read_tensor(value) if kind == 4 else value


def read_value(m):
    """Name, element type, shape; -1 for a free dimension."""
    tensor = (m["type"] or {}).get("tensor") or {}
    known(tensor.get("elem") and tensor.get("shape"), "ONNX: an input or output whose type is not said")
    dims = [-1 if d["value"] is None else d["value"] for d in tensor["shape"]["dims"]]
    return m["name"], tensor["elem"], dims


def read_onnx(data):
    model, net = message(data, "Model"), Network()
    versions = {m["version"] for m in model["opsets"] if m["domain"] in (None, "", "ai.onnx")}
    known(len(versions) == 1 and versions <= {*range(7, 23)}, f"ONNX: opset {versions}")
    known((model["ir"] or 0) in range(3, 15), f"ONNX: ir_version {model['ir']}")
    graph, (opset,) = model["graph"], versions
    need(graph, "ONNX: no graph")
    for m in graph["constants"]:
        need(m["name"] and m["name"] not in net.tensors, "ONNX: an initializer without a name, or twice")
        net.tensors[m["name"]] = read_tensor(m)
    free = [value for value in map(read_value, graph["inputs"]) if value[0] not in net.tensors]
    known(len(free) == len(graph["outputs"]) == 1, "ONNX: more or less than one input and one output")
    ((name, kind, dims),) = free
    shape = [1 if d == -1 and i == 0 else d for i, d in enumerate(dims)]
    known(kind in (1, 11) and min(shape, default=1) > 0, "ONNX: the input's type or shape")
    net.tensors[name] = net.add(Free(math.prod(shape), (), (), ()), shape, kind)
    for m in graph["nodes"]:
        lower(net, m, opset)
    name, kind, dims = read_value(graph["outputs"][0])
    need(name in net.tensors, f"ONNX: output {name} is no tensor")
    y = net.tensors[name]
    need(kind == y.type and all(d in (-1, s) for d, s in zip(dims, y.shape)), f"ONNX: output is {y.shape}")
    known(y.node >= 0, "ONNX: a constant output")
    net.output = y.node
    return net


# ---- ONNX operators --------------------------------------------------------------------------------------------


def spread(x, shape):
    """The entries of x as a tensor of this shape (numpy's rule)."""
    padded = (1,) * (len(shape) - len(x.shape)) + x.shape
    need(all(a in (1, b) for a, b in zip(padded, shape)), f"ONNX: {x.shape} does not spread to {shape}")
    cells = dict(zip(grid(padded), x.entries))
    return [cells[tuple(0 if a == 1 else i for i, a in zip(c, padded))] for c in grid(shape)]


def arithmetic(call):
    a, b = call.operand(0), call.operand(1)
    known(a.type != INT64 and not (a.constant and b.constant), "integers, or constants alone")
    sizes = zip_longest(a.shape[::-1], b.shape[::-1], fillvalue=1)
    shape = [y if x == 1 else x for x, y in sizes][::-1]
    both, sign = zip(spread(a, shape), spread(b, shape)), -1 if call.op == "Sub" else 1
    return call.sums(shape, ([(x, y)] if call.op == "Mul" else [(x, 1), (y, sign)] for x, y in both))


def matrix_product(call):
    """Gemm, and MatMul of a stack of matrices and a matrix; alpha goes to the second factor's constants."""
    a, b, c = call.operand(0), call.operand(1), call.operand(2, optional=True)
    alpha, beta = Fraction(call.get("alpha", 1)), Fraction(call.get("beta", 1))
    known(len(b.shape) == 2 <= len(a.shape) and a.type != INT64, "ranks, or integers")
    known(call.op == "MatMul" or (len(a.shape) == 2 and (c or call.opset >= 11)), "rank, or no C")
    known({call.get("transA", 0), call.get("transB", 0)} <= {0, 1}, "transA or transB")
    known(alpha == 1 or b.constant, "alpha with a second factor that is no constant")
    rows, columns = matrix(a, call.get("transA", 0)), matrix(b, 1 - call.get("transB", 0))
    columns = [[e if alpha == 1 else alpha * Fraction(e) for e in column] for column in columns]
    bias = iter(spread(c, (len(rows), len(columns)))) if c else repeat(0)
    sums = ([*zip(row, column), (next(bias), beta)] for row in rows for column in columns)
    return call.sums([*(a.shape[:-1] if call.op == "MatMul" else [len(rows)]), len(columns)], sums)


def matrix(x, turned):
    """Rows of the entries, or columns."""
    n = x.shape[-1]
    rows = [x.entries[i * n : i * n + n] for i in range(math.prod(x.shape[:-1]))]
    return [x.entries[j::n] for j in range(n)] if turned else rows


def windows(call):
    """Conv, AveragePool, MaxPool. Padding adds zeros to a Conv and takes no part in a pool, but that an average may count it."""
    x, w, b = (call.operand(i, optional=i != 0) for i in range(3))
    (images, channels, *sizes), group = x.shape, call.get("group", x.shape[1])
    filters, each, *kernel = w.shape if w else (channels, 1, *call["kernel_shape"])
    need(group >= 1 and channels == each * group and filters % group == 0, "channels and groups")
    need(kernel == (call["kernel_shape"] or kernel) and (not b or b.shape == (filters,)), "kernel or bias")
    step, apart = (call.get(k) or [1] * len(kernel) for k in ("strides", "dilations"))
    pads, n = call["pads"] or [0] * 2 * len(kernel), len(kernel)
    need(sizes and min(*kernel, *step, *apart) >= 1 and min(pads) >= 0, "rank, or attributes out of range")
    axes = list(zip(step, pads[:n], apart, kernel))
    out = [(s + p + q - (k - 1) * d - 1) // t + 1 for s, q, (t, p, d, k) in zip(sizes, pads[n:], axes)]
    need(min(out) >= 1, "the kernel is larger than the input")
    cells, shape, volume = x.cells, (images, filters, *out), each * math.prod(kernel)

    def under(image, f, *place):
        """(place in the filter, entry) where the window meets the input."""
        first = f // (filters // group) * each
        along = ([o * t - p + i * d for i in range(k)] for o, (t, p, d, k) in zip(place, axes))
        found = enumerate(product([image], range(first, first + each), *along))
        return [(k, cells[at]) for k, at in found if at in cells]

    met = ((f, under(i, f, *place)) for i, f, *place in grid(shape))
    if call.op == "Conv":
        bias = b.entries if b else [0] * filters
        pairs = ([(e, w.entries[f * volume + k]) for k, e in row] + [(bias[f], 1)] for f, row in met)
        return call.sums(shape, pairs)
    met = [[entry for _, entry in row] for _, row in met]
    known(all(met), "a window of padding only")
    if call.op == "MaxPool":
        known(x.node >= 0, "constants")
        return call.net.add(Largest(len(met), [x.node], [[i for _, i in row] for row in met]), shape, x.type)
    known(call["count_include_pad"] in (0, 1), "count_include_pad")
    count = volume * call["count_include_pad"]
    return call.sums(shape, ([(e, Fraction(1, count or len(row))) for e in row] for row in met))


def batch_norm(call):
    """scale (x - mean) / sqrt(variance + epsilon) + bias; the root is within 2^-ROUND of one that is a fraction."""
    x, *parts = map(call.operand, range(5))
    known(x.node >= 0, "constants")
    need(all(p.shape == x.shape[1:2] for p in parts), "shapes")
    factors, offsets, off, centres = [], [], [], []
    for scale, bias, mean, variance in zip(*(p.numbers for p in parts)):
        square = variance + Fraction(call["epsilon"])
        root = Fraction(math.isqrt((square * 4**ROUND).__floor__()), 2**ROUND)  # at most 2^-ROUND too low
        known(root > 0, "variance + epsilon is too small")
        factors.append(down(scale / root))
        ends = [scale / root, scale / root if root**2 == square else scale / (root + Fraction(1, 2**ROUND))]
        off.append(max(abs(end - factors[-1]) for end in ends))
        offsets.append(bias - factors[-1] * mean)
        centres.append(abs(mean))
    channel = [c for _, c, *_ in grid(x.shape)]
    free = Free(len(channel), [x.node], [off[c] for c in channel], [centres[c] for c in channel])
    cells = zip(x.entries, channel, call.net.add(free, x.shape, x.type).entries)
    return call.sums(x.shape, ([(e, factors[c]), (offsets[c], 1), (z, 1)] for e, c, z in cells))


def activation(call):
    x, slope = call.operand(0), Fraction(call.get("alpha", -1))
    known(x.node >= 0, "constants")
    ends = (call["min"], call["max"]) if call.op == "Clip" else (0, math.inf)
    low, high = (e if math.isinf(e) else Fraction(e) for e in ends)
    known(low <= high, "min above max")
    kinks = [e for e in (low, high) if not math.isinf(e)]
    clip, bend = (lambda z: min(max(z, low), high)), (lambda z: z if z >= 0 else slope * z)
    function = clip if call.op in ("Relu", "Clip") else bend
    return call.net.add(Bent(len(x.entries), [x.node], function, kinks, call.op == "Relu"), x.shape, x.type)


def axes_of(axes, rank):
    need(axes and all(-rank <= a < rank for a in axes), "no axes, or out of range")
    need(len({a % rank for a in axes}) == len(axes), "an axis twice")
    return [a % rank for a in axes]


def reshape(call):
    """Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout: the same values in the same order."""
    x, op = call.operand(0), call.op
    shape = list(x.shape)
    if op == "Reshape":
        wanted = call["shape"]
        need(wanted.count(-1) <= 1 and min(wanted, default=0) >= -1, "shape")
        shape = [v or x.shape[i] for i, v in enumerate(wanted)]
        rest = math.prod(v for v in shape if v != -1)
        shape = [len(x.entries) // max(rest, 1) if v == -1 else v for v in shape]
    elif op == "Flatten":
        axis = call["axis"]
        need(-len(shape) <= axis <= len(shape), "axis")
        shape = [math.prod(shape[:axis]), math.prod(shape[axis:])]
    elif op == "Squeeze":
        axes = axes_of(call["axes"], len(shape))
        need(all(shape[a] == 1 for a in axes), "an axis that is not 1")
        shape = [s for i, s in enumerate(shape) if i not in axes]
    elif op == "Unsqueeze":
        for axis in sorted(axes_of(call["axes"], len(shape) + len(call["axes"]))):
            shape.insert(axis, 1)
    need(math.prod(shape) == len(x.entries), f"{x.shape} to {shape}")
    return call.net.pick(x, shape, x.entries)


def transpose(call):
    x = call.operand(0)
    order = call["perm"] or list(range(len(x.shape)))[::-1]
    need(sorted(order) == list(range(len(x.shape))), "perm")
    cells = {tuple(c[a] for a in order): e for c, e in x.cells.items()}
    shape = [x.shape[a] for a in order]
    return call.net.pick(x, shape, [cells[c] for c in grid(shape)])


def cut(call):
    """Slice, forward."""
    x = call.operand(0)
    starts, ends, n = call["starts"], call["ends"], len(call["starts"])
    axes, steps = axes_of(call["axes"] or range(n), len(x.shape)), call["steps"] or [1] * n
    known(min(steps) >= 1, "backwards")
    ranges = [range(s) for s in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps):
        ranges[axis] = ranges[axis][start:end:step]
    cells = x.cells
    return call.net.pick(x, map(len, ranges), [cells[c] for c in product(*ranges)])


def pad(call):
    x, pads = call.operand(0), call["pads"]
    before, after = pads[: len(x.shape)], pads[len(x.shape) :]
    shape = [b + s + a for b, s, a in zip(before, x.shape, after)]
    known(min(pads) >= 0 and math.prod(shape) <= MAX_VALUES, "a negative pad, or too large")
    cells = {tuple(i + b for i, b in zip(c, before)): e for c, e in x.cells.items()}
    return call.net.pick(x, shape, [cells.get(c, call["value"]) for c in grid(shape)])


def concat(call):
    x, cells, at = call.operand(0), {}, 0
    (axis,) = axes_of([call["axis"]], len(x.shape))
    for p in map(call.operand, range(len(call.operands))):
        cells |= {(*c[:axis], c[axis] + at, *c[axis + 1 :]): e for c, e in p.cells.items()}
        at += p.shape[axis]
    shape = (*x.shape[:axis], at, *x.shape[axis + 1 :])
    need(len(cells) == math.prod(shape), "shapes")
    return call.net.pick(x, shape, [cells[c] for c in grid(shape)])


INTS, NEVER = [], 1 << 62
WINDOW = {"kernel_shape": INTS, "strides": INTS, "pads": INTS, "auto_pad": "NOTSET"}
CEIL = {"ceil_mode": (0, 10, 22, 0)}
TRAINING = {"momentum": 0.9, "spatial": (1, 7, 8, 0), "training_mode": (0, 14, 22, 0)}
# Operator: rule, most operands, and attributes with their defaults; (default, first opset, last, place): from then on
# it is the operand at this place, if any.
OPERATORS = {
    **dict.fromkeys(("Add", "Sub", "Mul"), (arithmetic, 2, {})),
    "Gemm": (matrix_product, 3, {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}),
    "MatMul": (matrix_product, 2, {}),
    "Conv": (windows, 3, WINDOW | {"group": 1, "dilations": INTS}),
    "AveragePool": (windows, 1, WINDOW | CEIL | {"count_include_pad": 0}),
    "MaxPool": (windows, 1, WINDOW | CEIL | {"storage_order": (0, 8, 22, 0), "dilations": (INTS, 10, 22, 0)}),
    "BatchNormalization": (batch_norm, 5, TRAINING | {"epsilon": 9.999999747378752e-06}),
    **dict.fromkeys(("Relu", "Abs"), (activation, 1, {})),
    "LeakyRelu": (activation, 1, {"alpha": 0.009999999776482582}),
    "Clip": (activation, 1, {"min": (-math.inf, 7, 10, 1), "max": (math.inf, 7, 10, 2)}),
    "Reshape": (reshape, 1, {"shape": (INTS, 0, 0, 1), "allowzero": (0, 14, 22, 0)}),
    "Flatten": (reshape, 1, {"axis": 1}),
    **dict.fromkeys(("Squeeze", "Unsqueeze"), (reshape, 1, {"axes": (INTS, 7, 12, 1)})),
    "Identity": (reshape, 1, {}),
    "Dropout": (reshape, 1, {"ratio": (0.5, 7, 11, 1)}),
    "Transpose": (transpose, 1, {"perm": INTS}),
    "Slice": (cut, 1, {k: (INTS, 7, 9, i + 1) for i, k in enumerate(("starts", "ends", "axes", "steps"))}),
    "Pad": (pad, 1, {"mode": "constant", "pads": (INTS, 7, 10, 1), "value": (0.0, 7, 10, 2)}),
    "Concat": (concat, 1 << 20, {"axis": NEVER}),
    "Constant": (lambda call: call["value"], 0, {"value": Tensor((), 0, [0])}),
}
ONLY_DEFAULT = {"auto_pad", "ceil_mode", "storage_order", "training_mode", "spatial", "allowzero", "mode"}


class Call(dict):
    """One node: its attributes by name, and its operands."""

    def __init__(self, net, m, opset):
        self.net, self.op, self.opset = net, m["op"], opset
        self.rule, most, attributes = OPERATORS[self.op]
        self.operands = [net.tensors[name] if name else None for name in m["inputs"]]
        given = dict(map(read_attribute, m["attributes"]))
        need(len(given) == len(m["attributes"]), "an attribute twice")
        known(given.keys() <= attributes.keys(), f"one of the attributes {[*given]}")
        for name, default in attributes.items():
            default, first, last, place = default if type(default) is tuple else (default, 7, 22, 0)
            known(name not in given or first <= opset <= last, f"attribute {name} at opset {opset}")
            value = given.get(name, default)
            fits = type(value) is type(default) and (name not in given or value != [])
            known(fits and (name not in ONLY_DEFAULT or value == default), f"attribute {name}")
            if place and opset > last:
                most = max(most, place + 1)
                value = self.constant(place, default)
            self[name] = value
        known(len(self.operands) <= most, f"{len(self.operands)} operands")

    def operand(self, place, optional=False):
        """An operand, of the element type of the first; None where an optional one is absent."""
        tensor = self.operands[place] if place < len(self.operands) else None
        need(tensor or optional, f"operand {place} is missing")
        known(not tensor or tensor.type == self.operands[0].type, "element types differ")
        return tensor

    def constant(self, place, default):
        """An operand: a list of integers, one at least, or a number, as the default."""
        x = self.operands[place] if place < len(self.operands) else None
        if x is None:
            return default
        kind, rank = (INT64, 1) if default is INTS else (self.operand(0).type, 0)
        known(x.constant and x.entries and (x.type, len(x.shape)) == (kind, rank), f"operand {place}")
        return x.entries if default is INTS else Fraction(x.entries[0])

    def sums(self, shape, sums):
        return self.net.sums(shape, self.operands[0].type, sums)


def lower(net, m, opset):
    """One ONNX node becomes a tensor of the network."""
    op, outputs, names = m["op"], m["outputs"], m["inputs"]
    known(m["domain"] in (None, "", "ai.onnx") and op in OPERATORS, f"operator {op}")
    known(outputs and outputs[0] and not any(outputs[1:]), f"{op}: {len(outputs)} outputs")
    defined = all(not name or name in net.tensors for name in names) and outputs[0] not in net.tensors
    need(defined, f"ONNX: {op}: takes {names}, makes {outputs}")
    call = Call(net, m, opset)
    result = call.rule(call)
    known(result.entries and result.type in LAYOUT, f"{op}: a tensor without values")
    net.tensors[outputs[0]] = result


# ---- VNN-LIB 1.0 -----------------------------------------------------------------------------------------------

# A form: ("X", i) or ("Y", j): coefficient, none 0; ONE: the constant.
ONE, NUMBER = ("", 0), r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?"
# The form is <= bound (< where strict).
Constraint = namedtuple("Constraint", "form bound strict")
Disjunct = namedtuple("Disjunct", "box constraints")


def expressions(source):
    """S-expressions: lists and words."""
    stack = [[]]
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


def combined(parts):
    """The sum of factors times forms."""
    result = {}
    for factor, form in parts:
        for v, c in form.items():
            result[v] = result.get(v, 0) + factor * c
    return {v: c for v, c in result.items() if c}


def term(item, declared):
    if type(item) is str:
        if item in declared:
            return {(item[0], int(item[2:])): Fraction(1)}
        need(len(item) <= 1000 and re.fullmatch(NUMBER, item, re.A), f"VNN-LIB: {item[:40]} is no number")
        return combined([(Fraction(item), {ONE: 1})])
    need(len(item) >= 2 and item[0] in ("+", "-", "*"), f"VNN-LIB: no term: {str(item)[:60]}")
    total, *parts = (term(p, declared) for p in item[1:])
    if item[0] != "*":
        sign = 1 if item[0] == "+" else -1
        return combined([(1 if parts else sign, total), *((sign, part) for part in parts)])
    for part in parts:
        form, factor = (total, part) if part.keys() <= {ONE} else (part, total)
        known(factor.keys() <= {ONE}, "VNN-LIB: a product of variables")
        total = combined([(factor.get(ONE, 0), form)])
    return total


def formula(item, declared):
    """Its disjunctive normal form: cases, each a list of constraints, in the order of the text."""
    if item in ("true", "false"):
        return [[]] if item == "true" else []
    need(type(item) is list and len(item) >= 2, f"VNN-LIB: no formula: {str(item)[:60]}")
    if item[0] in ("and", "or"):
        parts = [formula(p, declared) for p in item[1:]]
        return together(product(*parts) if item[0] == "and" else zip(chain(*parts)))
    known(item[0] in ("<=", ">=", "<", ">", "="), f"VNN-LIB: {str(item[0])[:40]}")
    need(len(item) == 3, "VNN-LIB: a comparison of two terms was expected")
    left, right = (term(t, declared) for t in item[1:])
    case = []
    for sign in {"<": (1,), ">": (-1,)}.get(item[0][0], (1, -1)):
        form = combined([(sign, left), (-sign, right)])
        atom = Constraint(form, -form.pop(ONE, Fraction(0)), item[0] in ("<", ">"))
        if form:
            case.append(atom)
        elif atom.bound < 0 or (atom.strict and atom.bound == 0):
            return []
    return [case]


def together(choices):
    """Of each choice of cases one case."""
    result, size = [], 0
    for choice in choices:
        result.append(list(chain(*choice)))
        size += len(result[-1])
        known(len(result) <= MAX_CASES and size <= 10 * MAX_CASES, "VNN-LIB: too many cases")
    return result


def read_property(data, n_inputs, n_outputs):
    source = data.decode("utf-8").removeprefix("\ufeff")
    need("\0" not in source and "\r" not in source.replace("\r\n", "\n"), "VNN-LIB: NUL, or a lone return")
    declared, parts = set(), []
    for item in expressions(source):
        need(type(item) is list and item, "VNN-LIB: a command was expected")
        if item[0] in ("declare-const", "declare-fun"):
            kind = ["Real"] if item[0] == "declare-const" else [[], "Real"]
            need(item[2:] == kind and type(item[1]) is str, "VNN-LIB: declaration")
            name = re.fullmatch(r"[XY]_(0|[1-9]\d{0,8})", item[1], re.A)
            need(name and item[1] not in declared, f"VNN-LIB: declares {item[1]!r}")
            declared.add(item[1])
        else:
            known(item[0] == "assert", f"VNN-LIB: command {str(item[0])[:40]}")
            need(len(item) == 2, "VNN-LIB: assert of one formula")
            parts.append(formula(item[1], declared))
    wanted = {f"X_{i}" for i in range(n_inputs)} | {f"Y_{j}" for j in range(n_outputs)}
    need(declared == wanted, f"VNN-LIB: other variables than those of {n_inputs} inputs, {n_outputs} outputs")
    return [disjunct(case, n_inputs) for case in together(product(*parts))]  # the last varies fastest


def disjunct(case, n_inputs):
    """Bounds of one input make the box; the others, and strict ones, are its constraints, in order."""
    lower, upper, constraints = [None] * n_inputs, [None] * n_inputs, []
    for atom in case:
        ((letter, i), c), *more = atom.form.items()
        bounds = letter == "X" and not more
        if bounds:
            ends, tighter = (upper, min) if c > 0 else (lower, max)
            ends[i] = atom.bound / c if ends[i] is None else tighter(ends[i], atom.bound / c)
        if not bounds or atom.strict:
            constraints.append(atom)
    need(None not in lower and None not in upper, "VNN-LIB: an input without a finite bound")
    return Disjunct(Box(lower, upper), constraints)


# ---- The arrays (safetensors), and the evidence in them --------------------------------------------------------

ITEM = {"I64": "q", "I32": "i", "U8": "B", "BOOL": "B", "F64": "d", "F32": "f"}
WHOLE, REAL, SLOPES = ("I64", "I32", "U8"), ("F64", "F32"), ("F64", "F32", "U8", "BOOL")
ENTRY = {"dtype": (*ITEM,), "shape": [int], "data_offsets": [int]}
Array = namedtuple("Array", "type shape values")


def read_arrays(data):
    length = int.from_bytes(data[:8], "little")
    need(len(data) >= 8 and length <= len(data) - 8, "arrays: cut off, or the header is longer than the file")
    header, body = strict_json(data[8 : 8 + length], dict), data[8 + length :]
    spans, result = [], {}
    need(fits([*header.pop("__metadata__", {}).values()], [str]), "arrays: __metadata__")
    for name, entry in header.items():
        need(fits(entry, ENTRY) and len(entry["data_offsets"]) == 2, f"arrays: {name}: header")
        kind, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        size, layout = math.prod(shape), "<" + ITEM[kind]
        inside = 0 <= start <= end <= len(body) and min(shape, default=0) >= 0
        need(inside and end - start == size * struct.calcsize(layout), f"arrays: {name}: size")
        spans += [(start, end)]
        result[name] = Array(kind, shape, [v for (v,) in struct.iter_unpack(layout, body[start:end])])
    ends = [0, *chain(*sorted(spans)), len(body)]
    need(ends[::2] == ends[1::2], "arrays: a gap, an overlap, or bytes after the last array")
    return result


# A literal: (node, index, side, point), side (value - point) >= 0; a path: a list of them; a leaf: its path, and the
# number of what closes it, or -1: nothing does. Slopes are given by neuron: a dictionary.


class Slopes:
    """What the evidence gives for one region.

    ``table``: lower and upper, by ("shared" or "leaf" or target node, activation): what gives a row, or None.
    """

    def __init__(self, per_leaf, leaves):
        self.per_leaf, self.row_of, self.table = per_leaf, {leaf: r for r, leaf in enumerate(leaves)}, {}

    def of(self, n, leaf, target=None):
        """Of lower and upper lines of activation n: in the pass for side 1 or -1 of a target's value, or the deciding.

        ``leaf`` is -1 where there is none.
        """
        result = [rows(0) if rows else {} for rows in self.table.get(("shared", n), (None, None))]
        if leaf >= 0 and ("leaf", n) in self.table:
            need(leaf in self.row_of, "regions: a leaf without a row")
            own = self.table["leaf", n]
            result = [rows(self.row_of[leaf]) if rows else shared for rows, shared in zip(own, result)]
        if target and (target[0], n) in self.table:
            lower, upper, row = self.table[target[0], n]
            result[0] = (lower if target[2] > 0 else upper)(row[target[1]])
        return result


class Evidence:
    """``regions`` and ``trees`` of each disjunct; ``weights`` and ``multipliers`` of each leaf."""

    def __init__(self, net, arrays, claim, disjuncts):
        self.net, self.arrays, self.left, self.disjuncts = net, arrays, set(arrays), len(disjuncts)
        names, version = claim["evidence"].get("nodes", []), claim["version"]
        need(all(name in net.tensors for name in names), "nodes: a name that is no tensor of the model")
        self.nodes = [net.tensors[name].node for name in names]
        known(all(n >= 0 for n in self.nodes), "nodes: a constant")
        self.leaves(max((len(d.constraints) for d in disjuncts), default=0))
        leaves, own = range(self.count), {}
        whole = self.slopes("", leaves, claim["evidence"].get("per_leaf_bounds", False))
        parts = {name.split("/")[1] for name in arrays if name.startswith("regions/") and version == 2}
        for base in (f"regions/{p}/" for p in sorted(parts)):
            chosen = self.get(base + "disjuncts", WHOLE, None, below=self.disjuncts)
            (flag,) = self.get(base + "per_leaf_bounds", WHOLE, 1, below=2)
            name, size = base + "rows", len(own) + len(chosen)
            rows = self.get(name, WHOLE, None, below=self.count) if name in arrays else leaves
            own |= dict.fromkeys(chosen, self.slopes(base, rows, bool(flag)))
            need(len(own) == size and list(rows) == sorted(set(rows)), f"{base}: a disjunct twice, or rows")
        self.regions = [own.get(d, whole) for d in range(self.disjuncts)]
        self.trees = self.list_of_leaves() if "leaves/disjunct" in arrays else self.tree()
        need(not self.left, f"arrays: {min(self.left, default='')} is not known")

    def get(self, name, types, *shape, below=None):
        """The values, flat. None in the shape: any size. ``below``: they are from 0 on, less than that."""
        need(name in self.arrays, f"arrays: no {name}")
        self.left.discard(name)
        kind, sizes, values = self.arrays[name]
        fits = len(sizes) == len(shape) and all(w in (None, s) for s, w in zip(sizes, shape))
        need(kind in types and fits, f"arrays: {name}: {kind} of shape {sizes}")
        need(below is None or all(0 <= v < below for v in values), f"arrays: {name}: out of range")
        finite = all(math.isfinite(v) or (v != v and name == "leaves/claimed") for v in values)
        need(finite, f"arrays: {name}: not finite")
        return values

    def value(self, position, index):
        fits = 0 <= position < len(self.nodes) and 0 <= index < self.net.nodes[self.nodes[position]].size
        need(fits, f"arrays: no value {index} of node {position}")
        return self.nodes[position], index

    def columns(self, base, *names, count=None):
        """Arrays of one length; reals as fractions."""
        result = []
        for name in names:
            types, as_number = (REAL, Fraction) if name in ("weight", "point", "beta") else (WHOLE, int)
            result.append(list(map(as_number, self.get(base + name, types, count))))
            count = len(result[0])
        return result

    def leaves(self, constraints):
        pointer = self.get("leaves/constraint_ptr", WHOLE, None)
        self.count = len(pointer) - 1
        need(self.count >= 0, "leaves/constraint_ptr: empty")
        self.get("leaves/claimed", REAL, self.count)
        chosen, weights = self.columns("leaves/", "constraint", "weight")
        self.weights = self.parts(pointer, zip(chosen, weights))
        pointer = self.get("leaves/split_ptr", WHOLE, self.count + 1)
        names = ("node", "index", "side", "point", "beta")
        nodes, index, sides, points, betas = self.columns("leaves/split_", *names)
        need(min((0, *weights, *betas)) >= 0, "leaves: a negative weight or multiplier")
        need(all(0 <= q < constraints for q in chosen), "leaves/constraint: out of range")
        need(set(sides) <= {1, -1}, "leaves/split_side: neither 1 nor -1")
        splits = zip(map(self.value, nodes, index), sides, points, betas)
        self.multipliers = self.parts(pointer, (((*value, side, p), b) for value, side, p, b in splits))

    def parts(self, pointer, entries):
        entries, ends = list(entries), (pointer[0], pointer[-1])
        need(pointer == sorted(pointer) and ends == (0, len(entries)), "arrays: pointers")
        return [entries[a:b] for a, b in pairwise(pointer)]

    def slopes(self, prefix, rows, per_leaf):
        result = Slopes(per_leaf, rows)
        groups = {name.rpartition("/")[0] for name in self.arrays}
        for k, node in enumerate(self.nodes):
            if (base := f"{prefix}shared_slopes/{k}") in groups:
                self.lines(result, base, ("shared", node), range(self.net.nodes[node].size))
            if (base := f"{prefix}leaf_slopes/{k}") in groups:
                self.lines(result, base, ("leaf", node), None, len(rows))
            for t, target in enumerate(self.nodes):
                if (base := f"{prefix}intermediate/{t}/{k}") in groups:
                    both = self.lines(result, base, (target, node), None, None)
                    n, m = (self.arrays[f"{base}/{end}"].shape[0] for end in ("lower", "upper"))
                    need(n == m, f"arrays: {base}: lower and upper")
                    row = self.get(base + "/row", WHOLE, self.net.nodes[target].size, below=n)
                    result.table[target, node] = *both, row
        return result

    def lines(self, result, base, key, columns, *count):
        """From a row of lower, and of upper, to slopes by neuron."""
        node = self.net.nodes[key[1]]
        need(isinstance(node, Bent) and key not in result.table, f"arrays: {base}: no activation, or twice")
        columns = self.get(base + "/columns", WHOLE, None, below=node.size) if columns is None else columns
        k, found = len(columns), []
        need(len(set(columns)) == k, f"arrays: {base}/columns: one twice")
        for name in (base + "/lower", base + "/upper"):
            values = self.get(name, SLOPES, *count, k) if name in self.arrays else None
            row = lambda r, values=values: dict(zip(columns, values[r * k : r * k + k]))  # noqa: E731
            found.append(None if values is None else row)
        result.table[key] = found
        return found

    def tree(self):
        rows = list(zip(*self.columns("tree/", "kind", "node", "index", "point", "below", "above")))
        for leaf, node, i, _, below, above in rows:
            need(leaf in (0, 1) and 0 <= node < len(self.nodes), "tree: a kind, or a node")
            inside = 0 <= below < (self.count if leaf else len(rows)) and (leaf or 0 <= above < len(rows))
            need(inside and (leaf or self.value(node, i)), "tree: a row refers to nothing")
        roots = self.get("tree/roots", WHOLE, self.disjuncts, below=len(rows))
        trees = [list(islice(self.walk(rows, root, []), MAX_CASES)) for root in roots]
        known(max(map(len, trees), default=0) < MAX_CASES, "tree: too many leaves")
        return trees

    def walk(self, rows, at, path):
        """Leaves beneath a row; a path longer than there are rows is a cycle; rows may be shared."""
        leaf, node, i, point, below, above = rows[at]
        need(len(path) < len(rows), "tree: a cycle")
        if leaf:
            yield path, below
            return
        for child, side in ((below, -1), (above, 1)):
            yield from self.walk(rows, child, [*path, (*self.value(node, i), side, point)])

    def list_of_leaves(self):
        need(not any(name.startswith("tree/") for name in self.arrays), "arrays: a tree and a list of leaves")
        owner = self.get("leaves/disjunct", WHOLE, self.count, below=self.disjuncts)
        paths = [[literal for literal, _ in entries] for entries in self.multipliers]
        each = [[(paths[i], i) for i in range(self.count) if owner[i] == d] for d in range(self.disjuncts)]
        return [list(cover(leaves)) for leaves in each]


def cover(leaves):
    """A tree's leaves: divide at a cut that all leaves of a group have until one has no more; -1 for a gap."""
    group = [(number, set(path), {(n, i, p): side for n, i, side, p in path}) for path, number in leaves]
    return divided([(number, sides) for number, path, sides in group if len(sides) == len(path)], [])


def divided(group, path):
    done = [number for number, sides in group if len(sides) == len(path)]
    used = {(n, i, p) for n, i, _, p in path}
    free = [c for c in group[0][1] if c not in used] if group and not done else []
    shared = (c for c in free if all(c in g[1] for g in group) and len({g[1][c] for g in group}) == 2)
    if (at := next(shared, None)) is None:
        yield path, (done or [-1])[0]
        return
    n, i, p = at
    for side in (-1, 1):
        yield from divided([g for g in group if g[1][at] == side], [*path, (n, i, side, p)])


# ---- Bounds ----------------------------------------------------------------------------------------------------


def down(x):
    """At most x; x itself where its denominator is short."""
    if x.denominator.bit_length() <= KEEP:
        return x
    unit = Fraction(2) ** (x.numerator.bit_length() - x.denominator.bit_length() - ROUND)
    return (x / unit).__floor__() * unit


class Box:
    """lower[i] <= value i <= upper[i]. Never changed after it is made."""

    def __init__(self, lower, upper):
        self.lower, self.upper, self.lines = list(lower), list(upper), {}  # ``lines``: what ``line`` found

    @cached_property
    def ints(self):
        """Both ends as integers over one denominator."""
        numbers, denominator = common(self.lower + self.upper)
        return numbers[: len(self.lower)], numbers[len(self.lower) :], denominator

    @cached_property
    def norm(self):
        """At least the sum of the absolute values."""
        return sum((max(-l, u) for l, u in zip(self.lower, self.upper)), Fraction(0))

    def empty(self):
        return any(l > u for l, u in zip(self.lower, self.upper))

    def cut(self, n, path):
        """Its part, which may be empty, where the path's literals on values of node n hold: this is n's box."""
        lower, upper = list(self.lower), list(self.upper)
        for node, i, side, point in path:
            ends, tighter = (lower, max) if side > 0 else (upper, min)
            if node == n:
                ends[i] = tighter(ends[i], point)
        return Box(lower, upper)


def line(node, box, j, side, given):
    """A line below (side 1) or above (-1) value j of an activation or maximum: place in the operand, slope, intercept.

    Of an activation: of the given slope s (None: our own). f(z) - s z is linear between kinks, so its least and
    greatest values are at an end or a kink. Of a maximum: the entry with the greatest lower end is below it, and above
    it too if it is certainly the largest.
    """
    if isinstance(node, Largest):
        window = node.windows[j]
        best = max(window, key=lambda i: box.lower[i])
        if side > 0 or all(box.upper[i] <= box.lower[best] for i in window if i != best):
            return best, 1, 0
        return best, 0, max(box.upper[i] for i in window)
    l, u = box.lower[j], box.upper[j]
    inner = [k for k in node.kinks if l < k < u]
    points = [(z, node.function(z)) for z in (l, *inner, u)]
    slopes = [(y - x) / (w - z) for (z, x), (w, y) in pairwise(points) if w > z]
    if not inner:  # f is linear here
        slope = slopes[0] if slopes else Fraction(0)
    elif given is not None and not (node.relu and side < 0):
        slope = Fraction(min(max(given, 0), 1) if node.relu else given)
    elif len(inner) == 1 and side == (1 if slopes[1] > slopes[0] else -1):  # f bends away from the chord
        slope = slopes[u > -l]
    else:
        slope = Fraction(((points[-1][1] - points[0][1]) / (u - l) * 2**53).__floor__(), 2**53)
    return j, slope, side * min(side * (y - slope * z) for z, y in points)


def least(net, boxes, slopes, form, d, constant):
    """At most constant + the sum over nodes n of form[n] . (values of n) / d, at each point that the boxes hold for.

    slopes(n): those of lower and upper lines of an activation.
    """
    for n in range(len(net.nodes) - 1, -1, -1):
        if not any(form.get(n, ())):
            continue
        if d.bit_length() > KEEP:  # each coefficient becomes too low by 2^-ROUND at most
            constant -= sum(boxes[m].norm for m in form) / (1 << ROUND)
            form, d = {m: [(c << ROUND) // d for c in b] for m, b in form.items()}, 1 << ROUND
        node, a = net.nodes[n], form.pop(n)
        if isinstance(node, Free):
            lower, upper, e = boxes[n].ints
            constant += Fraction(sum(c * (l if c > 0 else u) for c, l, u in zip(a, lower, upper) if c), d * e)
            continue
        rows, e, rests, f = node[2:] if isinstance(node, Affine) else lines(net, n, boxes, a, slopes(n))
        constant += Fraction(sum(map(mul, a, rests)), d * f)
        form = {m: [c * e for c in b] for m, b in form.items()}
        form |= {m: [0] * net.nodes[m].size for m in node.operands if m not in form}
        for c, row in zip(a, rows):
            for m, places, weights in row if c else ():
                out = form[m]
                for i, w in zip(places, weights):
                    out[i] += c * w
        d *= e
    return constant


def lines(net, n, boxes, a, given):
    """An activation or maximum as an affine node: each value is its line, above it where its coefficient in a is < 0."""
    (m,), found = net.nodes[n].operands, []
    for j, c in enumerate(a):
        side = 1 if c > 0 else -1
        key = n, j, side, given[side < 0].get(j)
        if c and key not in boxes[m].lines:
            boxes[m].lines[key] = line(net.nodes[n], boxes[m], *key[1:])
        found.append(boxes[m].lines[key] if c else (0, 0, 0))
    factors, e = common(slope for _, slope, _ in found)
    rows = [[(m, [i], [factor])] for (i, _, _), factor in zip(found, factors)]
    return rows, e, *common(rest for _, _, rest in found)


def forward(net, n, boxes):
    """The box of node n from those of its operands."""
    node = net.nodes[n]
    if isinstance(node, Affine):
        ends = [], []
        for offset, row in zip(node.offset, node.rows):
            for side in (0, 1):
                end = Fraction(offset, node.unit)
                for m, places, weights in row:
                    near, far, d = boxes[m].ints[side], boxes[m].ints[1 - side], boxes[m].ints[2]
                    total = sum(w * (near[i] if w > 0 else far[i]) for i, w in zip(places, weights))
                    end += Fraction(total, d * node.denominator)
                ends[side].append(end)
        return Box(map(down, ends[0]), [-down(-x) for x in ends[1]])
    box = boxes[node.operands[0]]
    if isinstance(node, Free):
        radius = [f * (max(-l, u) + c) for f, c, l, u in zip(node.factor, node.centre, box.lower, box.upper)]
        return Box([down(-r) for r in radius], [-down(-r) for r in radius])
    if isinstance(node, Largest):
        return Box(*([max(ends[i] for i in w) for w in node.windows] for ends in (box.lower, box.upper)))
    points = ([l, u, *(k for k in node.kinks if l < k < u)] for l, u in zip(box.lower, box.upper))
    images = [list(map(node.function, p)) for p in points]
    return Box(map(min, images), map(max, images))


def open_values(net, n, box):
    """Values of node n that an activation bends on their box, or that compete in a window."""
    result = set()
    for node in (node for node in net.nodes if n in node.operands):
        for i, (l, u) in enumerate(zip(box.lower, box.upper)) if isinstance(node, Bent) else ():
            result |= {i for k in node.kinks if l < k < u}
        for window in node.windows if isinstance(node, Largest) else ():
            rivals = {i for i in window if box.upper[i] > max(box.lower[k] for k in window)}
            result |= rivals if len(rivals) > 1 else set()
    return sorted(result)


def enclose(net, box, given, path, leaf):
    """Boxes of all nodes over the part of the input box where the path's literals hold; None: no point is there."""
    boxes = []
    for n, node in enumerate(net.nodes):
        boxes.append((forward(net, n, boxes) if n else box).cut(n, path))
        if boxes[n].empty():
            return None
        lower, upper = list(boxes[n].lower), list(boxes[n].upper)
        todo = open_values(net, n, boxes[n]) if n else ()
        for i, (side, ends, tighter) in product(todo, ((1, lower, max), (-1, upper, min))):
            slopes = partial(given.of, leaf=leaf, target=(n, i, side))
            unit = [side if j == i else 0 for j in range(node.size)]
            ends[i] = tighter(ends[i], side * down(least(net, boxes, slopes, {n: unit}, 1, Fraction(0))))
        boxes[n] = Box(lower, upper)
        if boxes[n].empty():
            return None
    return boxes


def domain(net, box, given, path, leaf, known_boxes):
    """Boxes of all nodes on a leaf; those of its region are found once. None: no point is there."""
    if given.per_leaf:
        return enclose(net, box, given, path, leaf)
    key = (given, *box.lower, *box.upper)
    if key not in known_boxes:
        known_boxes[key] = enclose(net, box, given, [], -1)
    nodes = {literal[0] for literal in path}
    boxes = [b.cut(n, path) if n in nodes else b for n, b in enumerate(known_boxes[key] or [])]
    return None if not boxes or any(b.empty() for b in boxes) else boxes


# ---- Claims ----------------------------------------------------------------------------------------------------


def own_arrays(arrays, claim, claims):
    """Each array is of the longest prefix that fits, of all claims with this file; every one is of some claim."""
    file, mine = claim["evidence"]["arrays"], claim["evidence"].get("prefix", "")
    evidence = [c["evidence"] for c in claims if c["kind"] == "unsat"]
    prefixes = [e.get("prefix", "") for e in evidence if e["arrays"] == file]
    owner = {name: max(filter(name.startswith, prefixes), key=len, default=None) for name in arrays}
    need(None not in owner.values(), "arrays: one is of no claim")
    return {name.removeprefix(mine): array for name, array in arrays.items() if owner[name] == mine}


def hopeless(d):
    """No point: an empty box, or a constraint on inputs alone that fails even at its best corner."""

    def fails(form, bound, strict):
        lowest = sum(k * (d.box.lower if k > 0 else d.box.upper)[i] for (_, i), k in form.items())
        return lowest > bound or (strict and lowest == bound)

    return d.box.empty() or any(
        fails(*c) for c in d.constraints if all(letter == "X" for letter, _ in c.form)
    )


def excluded(net, boxes, slopes, d, path, weights, multipliers):
    """No point of the disjunct lies where the boxes and the path's literals hold."""
    constant, some_strict, seen, literals, terms = Fraction(0), False, set(), set(path), []
    for q, weight in weights:
        need(q < len(d.constraints), f"a leaf: no constraint {q}")
        form, bound, strict = d.constraints[q]
        constant -= weight * bound
        some_strict |= strict and weight > 0
        terms += [(0 if letter == "X" else net.output, i, weight * k) for (letter, i), k in form.items()]
    for (node, i, side, point), beta in multipliers:
        if node and (node, i, side, point) in literals and (node, i) not in seen:  # side (value - point) >= 0
            seen.add((node, i))
            terms.append((node, i, -beta * side))
            constant += beta * side * point
    numbers, denominator = common(k for _, _, k in terms)
    form = {n: [0] * net.nodes[n].size for n, _, _ in terms}
    for (n, i, _), k in zip(terms, numbers):
        form[n][i] += k
    margin = least(net, boxes, slopes, form, denominator, constant)
    return margin > 0 or (margin == 0 and some_strict)


def check_one(files, claim, claims):
    """How an unsat claim is proved."""
    known(claim["kind"] == "unsat", f"a claim of kind {claim['kind']}")
    known(type(claim["model"]) is type(claim["property"]) is str, "a model or property that is not here")
    model, prop = (unpacked(files[claim[role]]) for role in ("model", "property"))
    net = read_onnx(model)
    disjuncts = read_property(prop, net.nodes[0].size, net.nodes[net.output].size)
    arrays = own_arrays(read_arrays(files[claim["evidence"]["arrays"]]), claim, claims)
    evidence, found, leaves, failed = Evidence(net, arrays, claim, disjuncts), {}, 0, 0
    for d, given, tree in zip(disjuncts, evidence.regions, evidence.trees):
        for path, leaf in tree if not hopeless(d) else ():
            need(leaf >= 0, "the leaves of a disjunct do not cover it", "UNPROVEN")
            leaves += 1
            boxes, slopes = domain(net, d.box, given, path, leaf, found), partial(given.of, leaf=leaf)
            guidance = evidence.weights[leaf], evidence.multipliers[leaf]
            failed += boxes is not None and not excluded(net, boxes, slopes, d, path, *guidance)
    need(not failed, f"{failed} of {leaves} leaves are not proved", "UNPROVEN")
    return f"{leaves} leaves"


# What is raised by bytes that no codec reads, lists of other lengths, axes and places that are not there.
MALFORMED = (OSError, struct.error, zlib.error, ValueError, LookupError, TypeError)


def verdict(work, *operands):
    """CERTIFIED and what the work returns, or the verdict and reason of its failure."""
    try:
        return "CERTIFIED", work(*operands)
    except Problem as problem:
        return problem.args
    except (RecursionError, MemoryError) as e:
        return "UNSUPPORTED", type(e).__name__
    except MALFORMED as e:
        return "INVALID", f"{type(e).__name__}: {e}"


def check(path):
    """(claim, verdict, reason) of every claim; one for a bundle that is malformed as a whole."""
    path = Path(path)
    word, files = verdict(lambda: read_folder(path) if path.is_dir() else read_zip(read_file(path)))
    word, claims = verdict(read_manifest, files) if word == "CERTIFIED" else (word, files)
    if word != "CERTIFIED":
        return [("", word, claims)]
    return [(claim["name"], *verdict(check_one, files, claim, claims)) for claim in claims]


def main(arguments):
    if len(arguments) != 1:
        sys.stderr.write("usage: check_unsat.py BUNDLE\n")
        return 2
    results = check(arguments[0])
    for name, word, reason in results:
        sys.stdout.write(f"{word:<12} {name}{': ' if name else ''}{reason}\n")
    return min((CODES[word] for _, word, _ in results if CODES[word]), default=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
