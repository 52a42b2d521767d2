"""Foreign certificates to bundles: read as for a check, written with the model and the property included. Ring 2."""

from __future__ import annotations

import os
from pathlib import Path

from tlcheck import __version__
from tlcheck.errors import InvalidInput
from tlcheck.options import Options
from tlcheck.readers.artifacts import artifact_format, read_artifact
from tlcheck.readers.bundle.manifest import ArtifactClaim, Producer
from tlcheck.readers.bytes import gunzip_if_packed, read_bytes, read_stored_bytes, sha256_hex
from tlcheck.readers.data_files import beside as beside_model
from tlcheck.readers.formats.abcrown import read_guidance, read_manifest
from tlcheck.readers.formats.detect import check_there
from tlcheck.readers.kinds import unlike
from tlcheck.readers.onnx import read_model, whole_model
from tlcheck.readers.vnnlib.read import read_query
from tlcheck.writers.bundle import UnsatOut, files_kept, write_artifact_bundle, write_bundle


def convert(dump: Path, output: Path, options: Options) -> None:
    """Write the alpha,beta-CROWN dump in the folder ``dump``, or the JSON artifact ``dump``, as the bundle ``output``.

    Checks no proof.

    ``options.model`` and ``options.property`` replace the dump's files; their hashes must be the dump's. Raises
    InvalidInput as the readers and the writer do.
    """
    check_there(dump)
    if (name := artifact_format(dump)) is not None:
        _convert_artifact(dump, output, options, name)
        return
    if not (dump / "certificate.json").is_file():
        error = InvalidInput(
            "TLC102",
            "not a certificate that can be converted",
            file=str(dump),
            expected="a folder with an alpha,beta-CROWN dump, or a JSON artifact of `tlcheck formats`",
        )
        raise unlike(error, dump, "certificate")
    _convert_dump(dump, output, options)


def _convert_dump(dump: Path, output: Path, options: Options) -> None:
    """The proof of alpha,beta-CROWN in that folder, with its model and property."""
    manifest = read_manifest(dump)
    model_path = options.model or _file_of(dump, manifest.onnx_file, "onnx_file")
    property_path = options.property or _file_of(dump, manifest.vnnlib_file, "vnnlib_file")
    model_bytes, model = _bound(model_path, manifest.onnx_sha256)
    property_bytes, text = _bound(property_path, manifest.vnnlib_sha256)
    whole = whole_model(
        model, beside_model(model_path.parent, model_path, property_path), file=str(model_path)
    )
    graph = read_model(whole.content, file=str(model_path))
    query = read_query(text, graph, file=str(property_path))
    notes = {
        "converted_by": f"tlcheck {__version__}",
        "converted_from": f"{manifest.format} version {manifest.version}",
        "kind": manifest.kind,
    }
    write_bundle(
        output,
        model_bytes=model_bytes,
        model_name=model_path.name,
        property_bytes=property_bytes,
        property_name=property_path.name,
        data_files=whole.files,
        graph=graph,
        claims=[UnsatOut(dump.resolve().name, read_guidance(dump, manifest, graph, query))],
        producer=Producer(manifest.verifier.name or "alpha,beta-CROWN", manifest.verifier.commit, notes),
    )


def _convert_artifact(path: Path, output: Path, options: Options, name: str) -> None:
    """The artifact and the files that it names, with every one of its claims."""
    artifact = read_bytes(path)
    if options.model is not None or options.property is not None:
        raise InvalidInput(
            "TLC101", "a bundle holds what its artifact names: name the file in the artifact, not with an option",
            file=str(path),
        )  # fmt: skip
    files, named = files_kept(path)
    items = read_artifact(artifact, files, options, name)
    plain = path.name.removesuffix(".gz")
    claims = [ArtifactClaim(name, plain, item.name if len(items) > 1 else "", item.name) for item in items]
    producer = Producer(f"tlcheck {__version__}", notes={"converted_from": name})
    write_artifact_bundle(output, {**named, plain: artifact}, claims, producer)


def _file_of(dump: Path, name: str, field: str) -> Path:
    """A file of the dump's own folder, and no link out of it."""
    path = dump / name
    plain = Path(name).name == name and "\\" not in name and "\0" not in name
    if not plain or os.path.dirname(os.path.realpath(path)) != os.path.realpath(dump):
        raise InvalidInput(
            "TLC404",
            "must name a file of the folder",
            file=str(dump / "certificate.json"),
            field=field,
            got=ascii(name[:80]),
        )
    return path


def _bound(path: Path, expected: str) -> tuple[bytes, bytes]:
    """(stored, unpacked) bytes of the file, if the unpacked ones are those the dump was made for."""
    stored = read_stored_bytes(path)
    unpacked = gunzip_if_packed(stored, file=str(path))
    found = sha256_hex(unpacked)
    if found != expected.lower():
        raise InvalidInput(
            "TLC103",
            "not the file the certificate was made for (SHA-256)",
            file=str(path),
            expected=expected,
            got=found,
        )
    return stored, unpacked
