"""Mutations of a bundle by field: of its JSON, its arrays' header, its model's protobuf, its property's words, its zip entries."""

from __future__ import annotations

import io
import json
import random
import re
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

from tests.twin_bundles import REFERENCE, Files, joined, role, sealed

Mutation = Callable[[Files, random.Random], Files | bytes | None]
VALUES: list[Any] = [
    None, True, False, 0, 1, 2, -1, 1.0, 1e400, "", "0", "x", "c1/", "../x", [], {}, [0], {"sha256": "0" * 64}, 1 << 64, "\ud800",
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return ([path] if path else []) + [p for k, v in inner for p in places(v, (*path, k))]


def json_field(value: Any, rng: random.Random) -> Any:
    """One field swapped with another, removed, given twice, renamed or given another type."""

    def at(path: tuple[Any, ...]) -> Any:
        inside = value
        for k in path:
            inside = inside[k]
        return inside

    found = places(value)
    (*way, last), (*other, key) = rng.choice(found), rng.choice(found)
    inside, kind = at(tuple(way)), rng.randrange(5)
    old = inside[last]
    if kind == 0:
        a, b = json.dumps(inside[last]), json.dumps(at(tuple(other))[key])
        inside[last] = json.loads(b)
        if tuple(other)[: len(way) + 1] != (*way, last):
            at(tuple(other))[key] = json.loads(a)
    elif kind == 1:
        del inside[last]
    elif kind == 2:
        inside[last] = rng.choice(VALUES)
    elif kind == 3 and isinstance(inside, dict):
        inside[str(key) if rng.random() < 0.7 else str(last) + "?"] = inside.pop(last)
    else:
        inside[last] = rng.choice(
            [
                [old],
                {str(last): old},
                str(old),
                [old, old],
                {**old} if isinstance(old, dict) else float("nan"),
            ]
        )
    return value


def manifest_field(files: Files, rng: random.Random) -> Files | None:
    try:
        return files | {
            "manifest.json": json.dumps(json_field(json.loads(files["manifest.json"]), rng)).encode()
        }
    except (LookupError, TypeError):
        return None  # a place that the swap has taken away


def header_field(files: Files, rng: random.Random) -> Files | None:
    """The header of the arrays: a name, a type, a shape, offsets; the data stay."""
    name = role(files, rng, "arrays")
    if name is None:
        return None
    n = int.from_bytes(files[name][:8], "little")
    header, body = json.loads(files[name][8 : 8 + n]), files[name][8 + n :]
    first, second = rng.choice(sorted(header)), rng.choice(sorted(header))
    way = rng.randrange(5)
    try:
        if way == 0:
            header[first], header[second] = header[second], header[first]
        elif way == 1:
            key = rng.choice(["dtype", "shape", "data_offsets"])
            header[first][key], header[second][key] = header[second][key], header[first][key]
        elif way == 2:
            header[first]["dtype"] = rng.choice(
                ["I64", "F64", "U8", "BOOL", "I32", "F32", "U64", "I8", "BF16", "f64", None]
            )
        elif way == 3:
            header[first]["shape"] = rng.choice(
                [[], [1], [*header[first]["shape"], 1], [1, *header[first]["shape"]], [0], [-1]]
            )
        else:
            header = json_field(header, rng)
        text = json.dumps(header).encode() + b" " * rng.choice([0, 0, 3])
    except (LookupError, TypeError, AttributeError):
        return None
    size = rng.choice([len(text), len(text), len(text), len(text) + 1, max(len(text) - 1, 0), 1 << 63])
    return sealed(files | {name: size.to_bytes(8, "little") + text + body})


# ---- protobuf: fields of a message as (number, wire type, value), and back ----

Field = tuple[int, int, Any]


def fields_of(data: bytes) -> list[Field]:
    at, found = 0, []
    while at < len(data):
        key, at = REFERENCE.varint(data, at)
        wire = key & 7
        value, at = REFERENCE.varint(data, at) if wire in (0, 2) else ({1: 8, 5: 4}[wire], at)
        if wire:
            value, at = data[at : at + value], at + value
        found.append((key >> 3, wire, value))
    return found


def varint(n: int) -> bytes:
    low = n & ((1 << 64) - 1)
    result = b""
    while low > 127:
        result, low = result + bytes([low & 127 | 128]), low >> 7
    return result + bytes([low])


def encoded(fields: list[Field]) -> bytes:
    parts = []
    for number, wire, value in fields:
        body = varint(value) if wire == 0 else (varint(len(value)) if wire == 2 else b"") + value
        parts.append(varint(number << 3 | wire) + body)
    return b"".join(parts)


def changed_message(data: bytes, what: str, rng: random.Random) -> bytes:
    """One field of the message, or of one inside, is dropped, doubled, moved, renumbered, retyped or given another value."""
    fields = fields_of(data)
    if not fields:
        return data
    at = rng.randrange(len(fields))
    number, wire, value = fields[at]
    kind = REFERENCE.MESSAGES[what].get(number, ("", ""))[1].rstrip("*")
    if kind in REFERENCE.MESSAGES and rng.random() < 0.85:
        fields[at] = (number, wire, changed_message(value, kind, rng))
        return encoded(fields)
    way = rng.randrange(6)
    if way == 0:
        del fields[at]
    elif way == 1:
        fields.insert(rng.randrange(len(fields) + 1), fields[at])
    elif way == 2:
        other = rng.randrange(len(fields))
        fields[at], fields[other] = fields[other], fields[at]
    elif way == 3:
        fields[at] = (rng.choice([rng.randrange(1, 22), number, 1 << 20]), wire, value)
    elif way == 4:
        fields[at] = (number, 0, rng.randrange(4)) if wire else (number, 2, varint(value))
    elif wire == 0:
        fields[at] = (
            number,
            0,
            rng.choice(
                [0, 1, 2, 3, 7, 11, value + 1, value - 1, value ^ 1, -1, 1 << 31, (1 << 32) + value, 1 << 63]
            ),
        )
    elif wire == 5 or (wire == 2 and len(value) % 4 == 0 and value and kind in ("float", "bytes")):
        place = 4 * rng.randrange(len(value) // 4)
        new = struct.pack(
            "<f", rng.choice([0.0, -0.0, 1.0, -1.0, 0.5, 1e30, 1e-40, float("nan"), float("inf")])
        )
        fields[at] = (number, wire, value[:place] + new + value[place + 4 :])
    else:
        new = rng.choice(
            [b"", value[:-1], value + b"x", b"\xff", value.upper(), b"\0" + value, value + value]
        )
        fields[at] = (number, wire, new)
    return encoded(fields)


def model_field(files: Files, rng: random.Random) -> Files | None:
    name = role(files, rng, "model")
    if name is None or files[name][:2] == b"\x1f\x8b":
        return None
    try:
        return sealed(files | {name: changed_message(files[name], "Model", rng)})
    except Exception:  # noqa: BLE001  (a base that is malformed already)
        return None


WORDS = """( ) () ; ;x assert and or not <= >= < > = + - * true false X_0 X_1 Y_0 Y_1 Y_9 X_00 0 1 -1 0.5 1e3 1e-400 .5 5. +1 1e 0x1 1/2 inf nan
declare-const declare-fun Real Int let ite => distinct check-sat (check-sat) (set-logic\tQF_LRA) "x" |X_0| \u00a0 \u0661""".split() + ["\n", "\r", "\r\n", "\0", "\ufeff"]  # fmt: skip


def words(files: Files, rng: random.Random) -> Files | None:
    """A word of the property dropped, doubled, exchanged with another, or replaced by one of VNN-LIB's or SMT-LIB's."""
    name = role(files, rng, "property")
    if name is None or files[name][:2] == b"\x1f\x8b":
        return None
    found = re.findall(r"\s+|[()]|[^\s()]+", files[name].decode())
    solid = [i for i, w in enumerate(found) if w.strip()]
    first = max((i for i, w in enumerate(found) if w == "declare-const"), default=0)
    late = [i for i in solid if i > first] or solid
    at, other, way = rng.choice(late if rng.random() < 0.8 else solid), rng.choice(late), rng.randrange(4)
    if way == 0:
        found[at] = ""
    elif way == 1:
        found[at] = found[at] + " " + found[at]
    elif way == 2:
        found[at], found[other] = found[other], found[at]
    else:
        found[at] = rng.choice(WORDS)
    return sealed(files | {name: "".join(found).encode()})


def zipped(entries: list[tuple[str, bytes, int, int]]) -> bytes:
    """Name, data, compression and mode of each entry."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")
        for name, data, packed, mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, packed
            archive.writestr(info, data)
    return stream.getvalue()


def zip_entry(files: Files, rng: random.Random) -> bytes | None:
    """As a zip: an entry more, twice, renamed, exchanged, of another kind or compression; a byte of a record; something around it."""
    entries = [(name, data, rng.choice([0, 8]), rng.choice([0, 0o100644])) for name, data in files.items()]
    at = rng.randrange(len(entries))
    name, data, packed, mode = entries[at]
    way = rng.randrange(10)
    if way == 0:
        entries.insert(
            rng.randrange(len(entries) + 1),
            rng.choice([entries[at], ("d/", b"", 0, 0o040755), ("extra", b"x", 0, 0), ("", b"", 0, 0)]),
        )
    elif way == 1:
        new = [
            name + "/",
            "./" + name,
            "/" + name,
            name.upper(),
            name + "\0",
            "a\\" + name,
            "../" + name,
            name + " ",
            "C:" + name,
            "é" + name,
        ]
        entries[at] = (rng.choice(new), data, packed, mode)
    elif way == 2:
        other = rng.randrange(len(entries))
        entries[at], entries[other] = (name, entries[other][1], packed, mode), (entries[other][0], data, 0, 0)
    elif way == 3:
        entries[at] = (
            name,
            data,
            packed,
            rng.choice([stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFDIR, 0o100000]),
        )
    elif way == 4:
        entries[at] = (name, data, rng.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]), mode)
    elif way == 5:
        del entries[at]
    elif way == 6:
        entries[at] = (name, rng.choice([b"", data[:-1], data + b"\0", data + data]), packed, mode)
    made = zipped(entries)
    if way == 7:
        made = rng.choice(
            [b"x" + made, made + b"x", made + made, made[:-1], made[: len(made) // 2], made[:-2] + b"\1\0x"]
        )
    elif way >= 8:  # headers: local ones, the directory, its end
        heads = [m.start() for m in re.finditer(rb"PK[\x01\x03\x05][\x02\x04\x06]", made)]
        place = min(rng.choice(heads) + rng.randrange(46), len(made) - 1)
        made = made[:place] + bytes([made[place] ^ 1 << rng.randrange(8)]) + made[place + 1 :]
    return made


def tree_record(files: Files, rng: random.Random) -> Files | None:
    """Every field of one row of the tree, or of one leaf, exchanged with another's, or one field set."""
    name = role(files, rng, "arrays")
    arrays = REFERENCE.read_arrays(files[name]) if name else {}
    groups = sorted({k.rpartition("/")[0] for k in arrays if re.search(r"(^|/)(tree|leaves)/", k)})
    if name is None or not groups:
        return None
    group = rng.choice(groups)
    mine = {k: list(v.values) for k, v in arrays.items() if k.rpartition("/")[0] == group and v.values}
    if not mine:
        return None
    length = len(mine[rng.choice(sorted(mine))])
    a, b = rng.randrange(length), rng.randrange(length)
    same = [k for k, v in mine.items() if len(v) == length]
    if rng.random() < 0.5:
        for k in same:
            mine[k][a], mine[k][b] = mine[k][b], mine[k][a]
    else:
        k = rng.choice(same)
        mine[k][a] = rng.choice([mine[k][b], 0, 1, 2, mine[k][a] + 1, mine[k][a] - 1, -mine[k][a]])
    try:
        packed = {}
        for k, (kind, shape, values) in arrays.items():
            new = mine.get(k, values)
            packed[k] = (kind, shape, struct.pack(f"<{len(new)}{REFERENCE.ITEM[kind]}", *new))
    except struct.error:
        return None
    return sealed(files | {name: joined(packed)})


FIELDS: dict[str, Mutation] = {
    "manifest field": manifest_field, "arrays' header": header_field, "protobuf field": model_field, "VNN-LIB word": words,
    "zip entry": zip_entry, "tree record": tree_record,
}  # fmt: skip
