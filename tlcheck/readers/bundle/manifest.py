"""manifest.json as types: what is decoded, and what is published as its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from tlcheck.errors import InvalidInput
from tlcheck.readers.strict_json import decode

FORMAT: Final = "tlcheck.bundle"
Version = Literal[1, 2]
MANIFEST: Final = "manifest.json"
MAX_NAME: Final = 1024
"""Longest name of a file in a bundle, in bytes: what file systems allow for a whole path at least."""

Sha256 = Annotated[
    str, Meta(pattern="^[0-9a-f]{64}$", max_length=64, description="SHA-256, lower-case hexadecimal")
]
FileName = Annotated[str, Meta(min_length=1, description="a file of the bundle")]
ExactNumber = Annotated[
    str,
    Meta(
        min_length=1,
        description="an exact number: a decimal (0.5, 1e-3), a quotient (1/3) or a hexadecimal float (0x1.8p-3)",
    ),
]


class Producer(Struct, frozen=True, forbid_unknown_fields=True):
    """Who made the bundle. Never trusted; ``notes`` is free."""

    name: str
    version: str = ""
    notes: dict[str, Any] = {}


class FileEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A stored file: its hash and length; ``unpacked_sha256`` is of what a gzip file unpacks to."""

    sha256: Sha256
    bytes: Annotated[int, Meta(ge=0)]
    unpacked_sha256: Sha256 | None = None


class ModelSource(Struct, frozen=True, forbid_unknown_fields=True):
    """A model that is not one ONNX file of the bundle: weights and architecture files, or a hash alone.

    ``sha256`` is of the unpacked file, which the user gives with --model.
    """

    weights: FileName | None = None
    architecture: FileName | None = None
    sha256: Sha256 | None = None


class PropertySource(Struct, frozen=True, forbid_unknown_fields=True):
    """A property that the bundle has no copy of; ``sha256`` is of the unpacked file, given with --property."""

    sha256: Sha256


class Evidence(Struct, frozen=True, forbid_unknown_fields=True):
    """Guidance: the arrays under ``prefix``. ``nodes`` are tensor names of the model; arrays name nodes by position.

    ``per_leaf_bounds``: intermediate bounds are recomputed in every leaf, else once per input box.
    """

    arrays: FileName
    prefix: Annotated[str, Meta(pattern="^$|/$")] = ""
    nodes: list[str] = []
    per_leaf_bounds: bool = False


class Unsat(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="unsat"):
    """No input satisfies the property."""

    model: FileName | ModelSource
    property: FileName | PropertySource
    evidence: Evidence
    name: str = ""


class Sat(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="sat"):
    """The witness, one number per flat input, satisfies the property."""

    model: FileName | ModelSource
    property: FileName | PropertySource
    witness: list[ExactNumber]
    name: str = ""


class Equiv(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="equiv"):
    """At no input of the property's boxes does an output of ``model`` differ from that of ``other`` by more than ``within``."""

    model: FileName
    other: FileName
    property: FileName
    within: ExactNumber
    evidence: Evidence
    name: str = ""


class Differ(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="differ"):
    """At the witness, of one of the property's boxes, some output differs by more than ``within``."""

    model: FileName
    other: FileName
    property: FileName
    within: ExactNumber
    witness: list[ExactNumber]
    name: str = ""


class ArtifactClaim(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="artifact"):
    """A claim of a JSON artifact of the bundle, in a format of `tlcheck formats`; it names other files of the bundle.

    ``part``: the claim's name in the artifact, where that makes several.
    """

    format: str
    artifact: FileName
    part: str = ""
    name: str = ""


Claim: TypeAlias = Unsat | Sat | ArtifactClaim | Equiv | Differ


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """A bundle's manifest.json. ``files`` lists every other file of the bundle, and nothing else.

    ``version``: 2 where the arrays give some regions evidence of their own.
    """

    format: Literal["tlcheck.bundle"]
    version: Version
    producer: Producer
    files: dict[str, FileEntry]
    claims: Annotated[list[Unsat | Sat | ArtifactClaim | Equiv | Differ], Meta(min_length=1)]


def read_manifest(data: bytes, file: str) -> Manifest:
    """Strictly decoded; names are distinct, references are to listed files. Raises TLC101, TLC102, TLC106, TLC404."""
    try:
        manifest = decode(data, Manifest, file)
    except InvalidInput as error:
        if error.code == "TLC101" and error.field in ("$.format", "$.version"):
            error.code = "TLC102"
        raise
    for name in manifest.files:
        check_name(name, file, "files")
    if MANIFEST in manifest.files:
        raise InvalidInput("TLC101", "the manifest lists itself", file=file, field="files")
    seen: set[str] = set()
    roles: dict[str, str] = {}
    for position, claim in enumerate(manifest.claims):
        for field, name in _references(claim):
            if roles.setdefault(name, field) != field:
                raise InvalidInput(
                    "TLC101", "a file in two roles", file=file, field=f"claims[{position}].{field}",
                    expected=roles[name], got=ascii(name[:80]),
                )  # fmt: skip
            if name not in manifest.files:
                raise InvalidInput(
                    "TLC101", "no such file in the bundle", file=file, field=f"claims[{position}].{field}",
                    expected="a file listed in files", got=ascii(name[:80]),
                )  # fmt: skip
        name = claim_name(claim, position)
        if name in seen:
            raise InvalidInput(
                "TLC101",
                "two claims of one name",
                file=file,
                field=f"claims[{position}].name",
                got=ascii(name[:80]),
            )
        seen.add(name)
        if not isinstance(claim, ArtifactClaim) and isinstance(claim.model, ModelSource):
            _check_model(claim.model, file, f"claims[{position}].model")
    return manifest


def claim_name(claim: Claim, position: int) -> str:
    """The claim's name, or its place in the list."""
    return claim.name or f"claim {position}"


def check_name(name: str, file: str, field: str) -> str:
    """``name`` if it is a plain relative path. Raises TLC404: absolute, .., backslash, drive, control characters."""
    parts = name.split("/")
    bad = (
        not name.isprintable()
        or "\\" in name
        or ":" in name
        or any(part in ("", ".", "..") for part in parts)
    )
    if bad or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME:
        raise InvalidInput(
            "TLC404", "not the name of a file inside the bundle", file=file, field=field,
            expected="a relative path without .., backslash or colon", got=ascii(name[:80]),
        )  # fmt: skip
    return name


def role_of(manifest: Manifest, name: str) -> str | None:
    """The field of the claims that names this file; a file has one role."""
    return next((field for claim in manifest.claims for field, n in _references(claim) if n == name), None)


def _references(claim: Claim) -> list[tuple[str, str]]:
    """(field, file name) of every file that the claim names."""
    if isinstance(claim, ArtifactClaim):
        return [("artifact", claim.artifact)]
    found = []
    if isinstance(claim.model, str):
        found.append(("model", claim.model))
    else:
        found += [
            (f"model.{f}", name)
            for f in ("weights", "architecture")
            if (name := getattr(claim.model, f)) is not None
        ]
    if isinstance(claim.property, str):
        found.append(("property", claim.property))
    if isinstance(claim, Equiv | Differ):
        found.append(("other", claim.other))
    if isinstance(claim, Unsat | Equiv):
        found.append(("evidence.arrays", claim.evidence.arrays))
    return found


def _check_model(source: ModelSource, file: str, field: str) -> None:
    given = (source.weights is not None, source.architecture is not None, source.sha256 is not None)
    if given not in ((True, True, False), (False, False, True)):
        raise InvalidInput(
            "TLC101",
            "wrong fields",
            file=file,
            field=field,
            expected="weights and architecture, or sha256 alone",
        )


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of manifest.json."""
    from tlcheck.schemas import schema_of

    document = schema_of(Manifest)
    definitions: Mapping[str, Any] = document["$defs"]
    properties = definitions["ModelSource"]["properties"]
    string = {name: _without_null(properties[name]) for name in properties}
    definitions["ModelSource"]["oneOf"] = [
        {"properties": {k: string[k] for k in keys}, "required": list(keys), "maxProperties": len(keys)}
        for keys in (("weights", "architecture"), ("sha256",))
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tlcheck bundle manifest",
        **document,
    }


def _without_null(field: Mapping[str, Any]) -> dict[str, Any]:
    [kind] = [option for option in field["anyOf"] if option.get("type") != "null"]
    return dict(kind)
