"""Certificates that got lost: files and folders that say they are certificates, and that no reader can take for one.

A folder named on the command line must not pass over them. The files lie in the case's folder, not in a bundle.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from malformed import seed
from packing import MANIFEST, Case, Files, Member, zip_bytes
from spline_cases import PARABOLA


@dataclass(frozen=True)
class Loose(Case):
    """``content``: the files of the case's folder itself, by their names there."""

    def write(self, root: Path) -> None:
        super().write(root)
        folder = root / self.group / self.name
        bundle = folder / "x.tlcert"
        for path in sorted(bundle.iterdir()):
            path.rename(folder / path.name)
        bundle.rmdir()


def text(document: object) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"


def cases() -> Iterator[Case]:
    good = seed().content()
    lost = {f"proof/{name}": data for name, data in good.items() if name != MANIFEST}
    zipped = zip_bytes([Member(f"proof.tlcert/{name}", data) for name, data in good.items()])

    def case(name: str, content: Files, code: str, note: str) -> Case:
        return Loose("malformed", f"gate-{name}", content, 3, code, note)

    yield case(
        "mistyped-format", {"s.json": text({**PARABOLA, "format": "tlcheck.splin/1"})}, "TLC102", "splin"
    )
    yield case(
        "future-format", {"s.json": text({**PARABOLA, "format": "tlcheck.spline/2"})}, "TLC102", "version 2"
    )
    yield case(
        "mistyped-key", {"s.json": text({"fromat" if k == "format" else k: v for k, v in PARABOLA.items()})},
        "TLC102", "a tag of ours under another key",
    )  # fmt: skip
    yield case(
        "format-twice", {"s.json": b'{"format": "other/1", ' + text(PARABOLA).lstrip()[1:]}, "TLC106",
        "two formats, the last one ours",
    )  # fmt: skip
    yield case(
        "another-format-last", {"s.json": text(PARABOLA).rstrip()[:-1] + b', "format": "other/1"}\n'}, "TLC102",
        "two formats, the first one ours",
    )  # fmt: skip
    yield case("list", {"s.json": text([PARABOLA])}, "TLC102", "a list of certificates is none")
    yield case(
        "trailing-comma", {"s.json": text(PARABOLA).rstrip()[:-1] + b",}\n"}, "TLC106", "does not parse"
    )
    yield case("cut-off", {"s.json": text(PARABOLA)[:100]}, "TLC106", "does not parse")
    yield case("empty", {"s.json": b""}, "TLC106", "nothing in it")
    yield case("suffix-in-capitals", {"S.JSON": text(PARABOLA)[:-4]}, "TLC106", "does not parse")
    yield case(
        "utf-16",
        {"s.json": b"\xff\xfe" + text(PARABOLA).decode().encode("utf-16-le")},
        "TLC106",
        "another encoding",
    )
    yield case("folder-without-manifest", lost, "TLC101", "a bundle's folder, not called so")
    yield case(
        "folder-with-renamed-manifest", {**lost, "proof/manifest.txt": good[MANIFEST]}, "TLC101",
        "the manifest has another name",
    )  # fmt: skip
    yield case("zipped-folder", {"proof.zip": zipped}, "TLC101", "a bundle one folder deep")
    untagged = {k: v for k, v in PARABOLA.items() if k != "format"}
    yield case("no-format", {"s.json": text(untagged)}, "TLC102", "the fields of a spline, no format")
    yield case(
        "format-in-a-list", {"s.json": text({**untagged, "format": ["tlcheck.spline/1"]})}, "TLC102",
        "the format is no string",
    )  # fmt: skip
    yield case("wrapped", {"s.json": text({"certificate": PARABOLA})}, "TLC102", "inside another object")
    yield case("kept-aside", {"s.json.bak": text(PARABOLA)}, "TLC102", "no longer called .json")
    yield case(
        "bundle-in-a-zip", {"all.zip": zip_bytes([Member("x.tlcert", zipped)])}, "TLC101", "a zip in a zip"
    )
