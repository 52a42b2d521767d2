"""Lock files: which claims a folder of certificates makes, so that a gate notices one that is gone or changed. Ring 2.

A claim is the pair of its certificate's path and its name. It is the same as long as its kind, its statement and the
SHA-256 of every file that it rests on are: model and property; of an artifact (JSON), which holds claim and evidence in
one, the artifact and every file that it names. The evidence of ``sat`` and ``unsat`` may be found anew: no verdict
follows from a lock, so a worse proof is UNPROVEN and a better one CERTIFIED.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from tlcheck.errors import InvalidInput
from tlcheck.limits import MAX_MANIFEST_BYTES
from tlcheck.readers.bytes import read_bytes
from tlcheck.readers.kinds import instead, kind_of, sample_of
from tlcheck.readers.strict_json import decode
from tlcheck.report.record import ClaimRead, FileResult, Unexpected, invalid

EVIDENCE: Final = ("manifest", "arrays", "certificate")
"""Sources that prove a claim and do not say what it is: a bundle's, and an alpha,beta-CROWN dump's. An artifact's other
sources are files by name, of which one can be called so; ``manifest`` none can (``readers.files.ROLES``)."""

Sha256 = Annotated[
    str, Meta(pattern="^[0-9a-f]{64}$", max_length=64, description="SHA-256, lower-case hexadecimal")
]
Text = Annotated[str, Meta(min_length=1)]


class LockedClaim(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One claim. ``certificate``: its path, from the lock file's folder, with forward slashes. ``files``: what the claim
    rests on, by role (model, property, artifact, ...) or, for what an artifact names, by name."""

    certificate: Text
    name: str
    kind: Text
    statement: str
    files: dict[str, Sha256]


class Lock(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A lock file, as `tlcheck lock` writes it: claims sorted by certificate and name, each once."""

    format: Literal["tlcheck.lock/1"]
    claims: Annotated[list[LockedClaim], Meta(min_length=1)]


Key = tuple[str, str]


def lock_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a lock file."""
    from tlcheck.schemas import schema_of

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tlcheck lock",
        **schema_of(Lock),
    }


def locked(claims: Iterable[tuple[Path, ClaimRead]], folder: Path) -> dict[Key, LockedClaim]:
    """The claims of certificates as entries of a lock file in ``folder``. Raises TLC101: two claims of one name."""
    found: dict[Key, LockedClaim] = {}
    for path, claim in claims:
        entry = _entry(path, claim, folder)
        if found.get((entry.certificate, entry.name), entry) != entry:
            raise InvalidInput(
                "TLC101", "two claims of one name", file=str(path), field="name", got=ascii(entry.name[:80])
            )
        found[entry.certificate, entry.name] = entry
    return found


def _entry(path: Path, claim: ClaimRead, folder: Path) -> LockedClaim:
    relative = os.path.relpath(os.path.abspath(path), os.path.abspath(folder)).replace(os.sep, "/")
    evidence = ("manifest",) if "artifact" in claim.sources else EVIDENCE
    files = {role: sha for role, sha in claim.sources.items() if role not in evidence}
    return LockedClaim(
        certificate=_text(relative),
        name=_text(claim.name),
        kind=claim.kind,
        statement=_text(claim.statement),
        files=dict(sorted(files.items())),
    )


def _text(text: str) -> str:
    """Unicode: a file name's undecodable bytes become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def lock_text(claims: Mapping[Key, LockedClaim]) -> str:
    """The lock file: the same claims give the same bytes."""
    lock = Lock(format="tlcheck.lock/1", claims=[claims[key] for key in sorted(claims)])
    return msgspec.json.format(msgspec.json.encode(lock), indent=1).decode() + "\n"


def read_lock(path: Path) -> dict[Key, LockedClaim]:
    """Raises InvalidInput: TLC102 another file, TLC106 not strict JSON, TLC101 not a lock file's structure."""
    file = str(path)
    data = read_bytes(path, limit=MAX_MANIFEST_BYTES)
    try:
        lock = decode(data, Lock, file)
    except InvalidInput as error:
        raise instead(error, data, file, "lock") from None
    keys = [(claim.certificate, claim.name) for claim in lock.claims]
    if keys != sorted(set(keys)):
        raise InvalidInput(
            "TLC101", "claims are not sorted by certificate and name, each once", file=file, field="claims",
            expected="a lock file as `tlcheck lock` writes it",
        )  # fmt: skip
    for position, (certificate, _) in enumerate(keys):
        if certificate.startswith("/") or "\\" in certificate or "\0" in certificate:
            raise InvalidInput(
                "TLC404", "not a path from the lock file's folder", file=file, field=f"claims[{position}].certificate",
                got=ascii(certificate[:80]),
            )  # fmt: skip
    return dict(zip(keys, lock.claims, strict=True))


def is_lock(path: Path) -> bool:
    """Whether a file that is there may be replaced by a new lock."""
    return path.is_file() and kind_of(sample_of(path)) == "lock"


def compare(
    path: Path, results: Iterable[FileResult], strict: bool
) -> tuple[list[FileResult], list[Unexpected]]:
    """What the claims that were read differ in from the lock file ``path``: INVALID each, TLC111 to TLC113.

    Claims that the lock does not have are listed; INVALID only when ``strict``. Raises InvalidInput as ``read_lock``.
    """
    expected, folder = read_lock(path), path.parent
    read = [(Path(result.path), claim) for result in results for claim in result.read]
    found = locked(read, folder)
    differences: list[FileResult] = []
    for key, entry in expected.items():
        shown = os.path.normpath(os.path.join(folder, entry.certificate))
        if key not in found:
            differences.append(
                _differs("TLC111", "a claim of the lock file is missing", shown, entry.name, path)
            )
        elif (change := _change(entry, found[key])) is not None:
            differences.append(_differs("TLC112", change, shown, entry.name, path))
    extra = [
        Unexpected(os.path.normpath(os.path.join(folder, certificate)), name)
        for certificate, name in sorted(found.keys() - expected.keys())
    ]
    if strict:
        message = "a claim that the lock file does not have"
        differences += [_differs("TLC113", message, e.path, e.name, path) for e in extra]
    return differences, extra


def _differs(code: str, message: str, certificate: str, name: str, lock: Path) -> FileResult:
    error = InvalidInput(
        code,
        f"{message}; if that is meant, write {lock.name} anew with `tlcheck lock`",
        file=certificate,
        field=name,
    )
    return invalid(certificate, error)


def _change(expected: LockedClaim, found: LockedClaim) -> str | None:
    """In what the claim differs; None when it is the same."""
    if expected.kind != found.kind:
        return f"the claim is another: {found.kind}, not {expected.kind}"
    for role in sorted({*expected.files, *found.files}):
        old, new = expected.files.get(role), found.files.get(role)
        if old != new:
            return f"the claim rests on another {role}: SHA-256 {(new or 'none')[:12]}, not {(old or 'none')[:12]}"
    if expected.statement != found.statement:
        return "the claim says something else"
    return None
