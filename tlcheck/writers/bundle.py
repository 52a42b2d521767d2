"""Writer of ``.tlcert`` bundles (certificates/FORMAT.md). Ring 2: what it writes is checked like any other bundle.

The same arguments give the same bytes (with the same zlib). A bundle appears whole or not at all.
"""

from __future__ import annotations

import os
import shutil
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tlcheck import __version__
from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_MANIFEST_BYTES, MIB
from tlcheck.readers.bundle.arrays import DTYPES
from tlcheck.readers.bundle.evidence import UNNAMED
from tlcheck.readers.bundle.manifest import (
    FORMAT,
    MANIFEST,
    ArtifactClaim,
    Claim,
    Differ,
    Equiv,
    Evidence,
    FileEntry,
    Manifest,
    ModelSource,
    Producer,
    Sat,
    Unsat,
    Version,
    check_name,
    read_manifest,
)
from tlcheck.readers.bundle.read import is_bundle
from tlcheck.readers.bundle.store import open_store
from tlcheck.readers.bytes import gunzip_if_packed, sha256_hex
from tlcheck.readers.files import Files, beside
from tlcheck.trusted.graph import Graph
from tlcheck.trusted.guidance import LEAF, Guidance, RegionGuidance

Array = NDArray[Any]

ARRAYS: Final = "arrays.safetensors"
BOX: Final = "box.vnnlib"
DEFLATE_UP_TO: Final = 64 * MIB
"""Larger array files are stored plainly, so that a reader maps them instead of unpacking them into memory."""
BEST: Final = 9
BEST_UP_TO: Final = 4 * MIB
"""Larger files are deflated at the usual level: slopes that are mostly equal take the best one far too long."""
USUAL: Final = 6
ALIGNMENT: Final = 64
"""Stored arrays start at a multiple of this in a zip, so that mapped arrays are aligned."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_PADDING_ID: Final = 0xD935
"""The zip extra field that only pads (as Android's zipalign writes it)."""


@dataclass(frozen=True, eq=False)
class UnsatOut:
    """An unsat claim to write, with its evidence. ``property``: the name of its file; "" where there is one alone."""

    name: str
    guidance: Guidance
    property: str = ""


@dataclass(frozen=True, eq=False)
class SatOut:
    """A sat claim to write, with its witness. ``property`` as for ``UnsatOut``."""

    name: str
    witness: tuple[Fraction, ...]
    property: str = ""


ClaimOut = UnsatOut | SatOut


def write_bundle(
    target: Path,
    *,
    model_bytes: bytes,
    model_name: str,
    property_bytes: bytes,
    property_name: str,
    graph: Graph,
    claims: Sequence[ClaimOut],
    producer: Producer | None = None,
    as_zip: bool = True,
    data_files: Mapping[str, bytes] | None = None,
) -> None:
    """Write a bundle about one model and one property, whose bytes are kept as given (gzip or plain).

    ``data_files``: those beside the model in which some of its weights are.

    ``target`` must end in .tlcert, and is replaced only if it is a bundle. Raises InvalidInput: TLC101 a claim that
    cannot be written, TLC402 nothing can be written there, TLC404 a file name.
    """
    model = ModelOut(model_name, model_bytes, graph, data_files or {})
    write_claims(target, model, {property_name: property_bytes}, claims, producer, as_zip=as_zip)


@dataclass(frozen=True, eq=False)
class ModelOut:
    """The model of a bundle: its file as it is, the graph that it was read to, and the files beside it that have weights.

    Where ``content`` is None the bundle has no copy, only ``sha256``, of the unpacked file.
    """

    name: str
    content: bytes | None
    graph: Graph
    data_files: Mapping[str, bytes] = field(default_factory=dict)
    sha256: str = ""

    @property
    def files(self) -> dict[str, bytes]:
        return {} if self.content is None else {self.name: self.content, **self.data_files}


def write_claims(
    target: Path,
    model: ModelOut,
    properties: Mapping[str, bytes],
    claims: Sequence[ClaimOut],
    producer: Producer | None = None,
    *,
    as_zip: bool = True,
) -> None:
    """Write a bundle of claims about one model, each with the property that it names. Raises InvalidInput as ``write_bundle``."""
    check_target(target)
    files = {**model.files, **properties}
    names = [*model.files, *properties]
    if len(files) != len(names) or {MANIFEST, ARRAYS} & set(files):
        raise InvalidInput(
            "TLC101", "model and property need names of their own", file=str(target), got=", ".join(names[:8])
        )
    arrays: dict[str, Array] = {}
    entries: list[Claim] = []
    source = model.name if model.content is not None else ModelSource(sha256=model.sha256)
    for position, claim in enumerate(claims):
        prop = claim.property or next(iter(properties))
        if isinstance(claim, SatOut):
            entries.append(Sat(source, prop, [exact_text(x) for x in claim.witness], claim.name))
            continue
        prefix = f"c{position}/"
        nodes, own = guidance_arrays(claim.guidance, model.graph)
        arrays.update({prefix + name: array for name, array in own.items()})
        evidence = Evidence(ARRAYS, prefix, nodes, claim.guidance.per_leaf_bounds)
        entries.append(Unsat(source, prop, evidence, claim.name))
    if arrays:
        files[ARRAYS] = pack_arrays(arrays)
    regions = any(isinstance(claim, UnsatOut) and claim.guidance.own for claim in claims)
    _write(target, files, entries, producer, as_zip, 2 if regions else 1)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two models, ``model`` and ``other``, their joint graph, and a property whose boxes are meant."""

    model: ModelOut
    other: ModelOut
    joint: Graph
    box: bytes
    within: Fraction
    name: str = ""


def write_pair(
    target: Path, pair: Pair, evidence: Guidance | tuple[Fraction, ...], producer: Producer | None = None
) -> None:
    """Write a bundle of the claim that both models agree within ``pair.within``, with its proof, or that they do not, with a
    witness. Raises InvalidInput as ``write_bundle``."""
    check_target(target)
    files = {BOX: pair.box}
    for folder, model in (("A", pair.model), ("B", pair.other)):
        files |= {f"{folder}/{name}": content for name, content in model.files.items()}
    named = f"A/{pair.model.name}", f"B/{pair.other.name}", BOX, short(pair.within)
    if isinstance(evidence, tuple):
        claim: Claim = Differ(*named, [exact_text(x) for x in evidence], pair.name)
        _write(target, files, [claim], producer, True, 1)
        return
    nodes, arrays = guidance_arrays(evidence, pair.joint)
    files[ARRAYS] = pack_arrays(arrays)
    claim = Equiv(*named, Evidence(ARRAYS, "", nodes, evidence.per_leaf_bounds), pair.name)
    _write(target, files, [claim], producer, True, 2 if evidence.own else 1)


def put_bundle(source: Path, target: Path) -> None:
    """Move the bundle at ``source``, of the same file system, to ``target`` in one step. Raises InvalidInput TLC402."""
    _replace(target, lambda temporary: os.replace(source, temporary))


def files_kept(artifact: Path) -> tuple[Files, dict[str, bytes]]:
    """The files beside an artifact; and the content, by name, of each that is read, as it is: for a bundle of them."""
    content: dict[str, bytes] = {}
    folder = beside(artifact)

    def kept(read: Callable[[str], bytes]) -> Callable[[str], bytes]:
        def keep(name: str) -> bytes:
            content[name] = read(name)
            return content[name]

        return keep

    return Files(str(artifact), kept(folder.read_named), read_data=kept(folder.read_data)), content


def write_artifact_bundle(
    target: Path, files: Mapping[str, bytes], claims: Sequence[ArtifactClaim], producer: Producer
) -> None:
    """Write a bundle of JSON artifacts and the files they name. Raises InvalidInput as ``write_bundle``."""
    check_target(target)
    if MANIFEST in files:
        raise InvalidInput("TLC101", "a file needs another name", file=str(target), got=MANIFEST)
    _write(target, dict(files), list(claims), producer, True, 1)


def _write(
    target: Path,
    files: dict[str, bytes],
    entries: list[Claim],
    producer: Producer | None,
    as_zip: bool,
    version: Version,
) -> None:
    manifest = Manifest(
        FORMAT, version, producer or Producer("tlcheck", __version__), _file_entries(files), entries
    )
    text = msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1) + b"\n"
    if len(text) > MAX_MANIFEST_BYTES:
        raise InvalidInput(
            "TLC401",
            "the manifest would be too large",
            file=str(target),
            expected=f"at most {MAX_MANIFEST_BYTES} bytes",
            got=str(len(text)),
        )
    read_manifest(text, str(target))
    content = {MANIFEST: text, **{name: files[name] for name in sorted(files)}}
    if as_zip:
        _write_file(target, lambda stream: _write_zip(stream, content))
    else:
        _write_folder(target, content)


def _file_entries(files: Mapping[str, bytes]) -> dict[str, FileEntry]:
    entries = {}
    for name in sorted(files):
        data = files[name]
        try:
            unpacked = gunzip_if_packed(data, file=name)
        except InvalidInput:  # no gzip file: the numbers of a data file can begin as one does
            unpacked = data
        packed = unpacked is not data
        entries[name] = FileEntry(sha256_hex(data), len(data), sha256_hex(unpacked) if packed else None)
    return entries


def short(value: Fraction) -> str:
    """``value`` exactly, with an exponent where that is shorter."""
    from tlcheck.report.numerals import short

    return short(value)


def exact_text(value: Fraction) -> str:
    """``value`` exactly, in the shortest of a decimal of up to 40 places and a quotient."""
    from tlcheck.report.numerals import number

    return number(value)


# guidance to arrays


def guidance_arrays(guidance: Guidance, graph: Graph) -> tuple[list[str], dict[str, Array]]:
    """(nodes table, name -> array): the inverse of the reader. Raises TLC101: a node has no name."""
    named: dict[int, str] = {}
    for name, node in graph.names.items():
        named.setdefault(node, name)
    table = _nodes_used(guidance, graph, named)
    at = {node: position for position, node in enumerate(table)}
    tree, leaves = guidance.tree, guidance.leaves
    arrays = {f"tree/{name}": getattr(tree, name) for name in TREE_COLUMNS}
    arrays["tree/node"] = np.array([at.get(node, UNNAMED) for node in tree.node.tolist()], dtype=np.int64)
    arrays |= {f"leaves/{name}": getattr(leaves, name) for name in LEAF_COLUMNS}
    arrays["leaves/split_node"] = np.array([at[node] for node in leaves.split_node.tolist()], dtype=np.int64)
    slopes = _slope_arrays(guidance, at)
    for number, (region, disjuncts) in enumerate(_regions(guidance)):
        stem = f"regions/{number}/"
        rows = np.arange(leaves.count) if region.rows is None else region.rows
        own = {
            "disjuncts": disjuncts,
            "per_leaf_bounds": np.array([region.per_leaf_bounds], np.int64),
            "rows": rows,
        }
        slopes |= {stem + name: narrowed(values) for name, values in own.items()}
        slopes |= {stem + name: values for name, values in _slope_arrays(region, at).items()}
    return [named[node] for node in table], {**{k: narrowed(v) for k, v in arrays.items()}, **slopes}


TREE_COLUMNS: Final = ("kind", "index", "point", "below", "above", "roots")
LEAF_COLUMNS: Final = (
    "constraint_ptr", "constraint", "weight", "split_ptr", "split_index", "split_side", "split_point", "split_beta",
    "claimed",
)  # fmt: skip
"""Columns that are written as they are; those of nodes are positions in the table."""


def _regions(guidance: Guidance) -> list[tuple[RegionGuidance, Array]]:
    """What is suggested for some regions alone, and the disjuncts that it is for."""
    found: dict[int, tuple[RegionGuidance, list[int]]] = {}
    for disjunct, region in sorted(guidance.own.items()):
        found.setdefault(id(region), (region, []))[1].append(disjunct)
    return [(region, np.array(disjuncts, np.int64)) for region, disjuncts in found.values()]


def _nodes_used(guidance: Guidance, graph: Graph, named: Mapping[int, str]) -> list[int]:
    """The nodes that the evidence speaks of, sorted. Raises TLC101: one has no name."""
    tree, leaves = guidance.tree, guidance.leaves
    loose = (tree.kind == LEAF) & ~np.isin(tree.node, list(named))
    used = {*tree.node[~loose].tolist(), *leaves.split_node.tolist()}
    for part in (guidance, *(region for region, _ in _regions(guidance))):
        used |= {*part.leaf_slopes, *part.shared_slopes}
        used |= {node for pair in part.intermediate for node in pair}
    table = sorted(used)
    for node in table:
        if node not in named:
            label = graph.nodes[node].label if 0 <= node < len(graph.nodes) else ""
            raise InvalidInput(
                "TLC101",
                "the evidence speaks of a value that is no tensor of the model",
                field=f"node {node} {label}".strip(),
            )
    return table


def _slope_arrays(guidance: RegionGuidance, at: Mapping[int, int]) -> dict[str, Array]:
    """Slopes keep their type: they are the bulk, and readers map them."""
    found: dict[str, Array | None] = {}
    for node, own in guidance.leaf_slopes.items():
        stem = f"leaf_slopes/{at[node]}"
        found |= {
            f"{stem}/columns": narrowed(own.columns),
            f"{stem}/lower": own.lower,
            f"{stem}/upper": own.upper,
        }
    for node, shared in guidance.shared_slopes.items():
        stem = f"shared_slopes/{at[node]}"
        for side, line in (("lower", shared.lower), ("upper", shared.upper)):
            found[f"{stem}/{side}"] = None if line is None else narrowed(line)
    for (target, activation), inner in guidance.intermediate.items():
        stem = f"intermediate/{at[target]}/{at[activation]}"
        found |= {f"{stem}/columns": narrowed(inner.columns), f"{stem}/row": narrowed(inner.row)}
        found |= {f"{stem}/lower": inner.lower_pass, f"{stem}/upper": inner.upper_pass}
    return {name: array for name, array in found.items() if array is not None}


def narrowed(array: Array) -> Array:
    """The same numbers in the smallest of the types that hold them all: uint8, int32, int64; float32, float64."""
    if array.dtype.kind in "iu":
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        for dtype in (np.uint8, np.int32):
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return array.astype(dtype)
        return array.astype(np.int64)
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):
            small = array.astype(np.float32)
        if np.array_equal(small.astype(np.float64), array, equal_nan=True):
            return small
    return array


def pack_arrays(arrays: Mapping[str, Array]) -> bytes:
    """A .safetensors file: wide types first, so that every array is aligned; then by name."""
    codes = {dtype: code for code, dtype in DTYPES.items()}
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    header: dict[str, Any] = {}
    pieces: list[bytes] = []
    end = 0
    for name, array in ordered:
        code = codes.get(array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype)
        if code is None:
            raise InvalidInput(
                "TLC105",
                "arrays of this type cannot be written",
                field=name,
                expected=" or ".join(DTYPES),
                got=str(array.dtype),
            )
        data = np.ascontiguousarray(array, dtype=DTYPES[code]).tobytes()
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [end, end + len(data)]}
        pieces.append(data)
        end += len(data)
    text = msgspec.json.encode(header)
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    return b"".join([struct.pack("<Q", len(text)), text, *pieces])


# files


def check_target(target: Path) -> None:
    if not is_bundle(target):
        raise InvalidInput("TLC402", "a bundle's name ends in .tlcert", file=str(target))
    if not target.parent.is_dir():
        raise InvalidInput("TLC402", "no such folder", file=str(target.parent))
    if target.is_symlink() or target.exists():
        try:
            store = open_store(target)
            if MANIFEST not in store.sizes or store.sizes[MANIFEST] > MAX_MANIFEST_BYTES:
                raise InvalidInput("TLC101", "no manifest")
            read_manifest(bytes(store.view(MANIFEST)), str(target))
        except InvalidInput as error:
            raise InvalidInput(
                "TLC402", f"not replaced: it is not a bundle ({error.message})", file=str(target)
            ) from None


def _write_zip(stream: BinaryIO, content: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(stream, "w", allowZip64=False) as archive:
        for name, data in content.items():
            info = zipfile.ZipInfo(check_name(name, "", "member name"), _EPOCH)
            info.external_attr = 0o100644 << 16
            info.create_system = 3
            plain = data[:2] == b"\x1f\x8b" or len(data) > DEFLATE_UP_TO
            info.compress_type = zipfile.ZIP_STORED if plain else zipfile.ZIP_DEFLATED
            if plain:
                start = stream.tell() + 30 + len(name.encode()) + 4
                padding = -start % ALIGNMENT
                info.extra = struct.pack("<2H", _PADDING_ID, padding) + bytes(padding)
            level = BEST if len(data) <= BEST_UP_TO else USUAL
            archive.writestr(info, data, compresslevel=None if plain else level)


def _write_file(target: Path, write: Callable[[BinaryIO], None]) -> None:
    """``target`` becomes what ``write`` writes, in one step; an interrupt leaves the old and no temporary file."""

    def fill(temporary: Path) -> None:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "w+b") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())

    _replace(target, fill)


def write_whole(target: Path, content: bytes) -> None:
    """``target`` becomes ``content`` in one step. Raises TLC402."""

    def write(stream: BinaryIO) -> None:
        stream.write(content)

    _write_file(target, write)


def _write_folder(target: Path, content: Mapping[str, bytes]) -> None:
    def fill(temporary: Path) -> None:
        temporary.mkdir()
        for name, data in content.items():
            path = temporary / check_name(name, "", "file name")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    _replace(target, fill)


def _replace(target: Path, fill: Callable[[Path], None]) -> None:
    """Put what ``fill`` makes at ``target`` in one step; a folder that is there is moved aside first."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    aside = target.with_name(f".{target.name}.{os.getpid()}.old")
    try:
        try:
            fill(temporary)
            if target.exists() and (target.is_dir() or temporary.is_dir()):
                os.rename(target, aside)
            os.replace(temporary, target)
        except BaseException:
            if aside.exists() and not target.exists():
                os.rename(aside, target)
            raise
        finally:
            _remove(temporary)
            _remove(aside)
    except (OSError, zipfile.LargeZipFile) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInput("TLC402", f"cannot write the bundle: {reason}", file=str(target)) from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
