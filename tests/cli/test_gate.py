"""A folder named on the command line: nothing in it is passed over in silence, and a lock file says what must be there."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

from tests.helpers import CERTIFICATES
from tlcheck.checking.lock import lock_schema
from tlcheck.checking.lock import locked as locked_claims
from tlcheck.cli import commands
from tlcheck.cli.main import cli, main
from tlcheck.readers.formats.detect import survey
from tlcheck.report.record import ClaimRead
from tlcheck.report.schema import report_schema

ACCEPT = CERTIFICATES / "accept"
SPLINE = ACCEPT / "spline-parabola" / "x.tlcert" / "spline.json"
NEAR = ACCEPT / "spline-near-tanh" / "x.tlcert"
PAIR = ACCEPT / "pair-two-inputs" / "x.tlcert"
SEVERAL = ACCEPT / "digits-several-claims" / "x.tlcert"


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    """One good certificate, and what lies beside certificates: a model, a property, a text, a picture, other JSON."""
    folder = tmp_path / "certs"
    folder.mkdir()
    shutil.copy(SPLINE, folder / "spline.json")
    shutil.copy(PAIR / "model.onnx", folder)
    shutil.copy(PAIR / "property.vnnlib", folder)
    (folder / "README.md").write_text("# Certificates\n")
    (folder / "plot.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 9)
    (folder / "package.json").write_text('{"name": "x", "version": "1.0.0"}')
    return folder


OTHERS = ["README.md", "model.onnx", "package.json", "plot.png", "property.vnnlib"]


def report(*arguments: object, code: int, capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert main(["verify", *map(str, arguments), "--jobs", "1", "--format", "json"]) == code
    document = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(report_schema()).validate(document)
    return document


def codes(document: Any) -> dict[str, set[str]]:
    """Reason codes of what is INVALID, by the name of the path."""
    found: dict[str, set[str]] = {}
    for result in document["results"]:
        for claim in result["claims"]:
            if claim["verdict"] == "INVALID":
                found.setdefault(os.path.basename(result["path"]), set()).add(claim["reason"]["code"])
    return found


def test_what_is_passed_over_is_counted_and_named(certs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(certs)]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("1 claim in 1 file: 1 CERTIFIED; 5 files passed over (names with -v); ")
    assert main(["verify", "-v", str(certs)]) == 0
    named = [line for line in capsys.readouterr().out.splitlines() if line.startswith("passed over: ")]
    assert named == [
        f"passed over: {certs / name}: {what}"
        for name, what in zip(
            OTHERS, ["text", "an ONNX model", "JSON of another kind", "a picture", "a VNN-LIB property"], strict=True
        )
    ]  # fmt: skip
    document = report(certs, code=0, capsys=capsys)
    assert [os.path.basename(other["path"]) for other in document["passed_over"]] == OTHERS
    assert {other["what"] for other in document["passed_over"]} >= {"an ONNX model", "a VNN-LIB property"}


def lose(change: Callable[[str], str]) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        (folder / "lost.json").write_text(change(SPLINE.read_text()))
        return "lost.json"

    return make


def unlisted(names: tuple[str, ...]) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        (folder / "proof").mkdir()
        for name in names:
            shutil.copy(PAIR / name, folder / "proof")
        return "proof"

    return make


def named_tlcert(folder: Path) -> str:
    (folder / "proof.tlcert").mkdir()
    shutil.copy(PAIR / "model.onnx", folder / "proof.tlcert")
    return "proof.tlcert"


def dangling(folder: Path) -> str:
    (folder / "gone.json").symlink_to("nowhere.json")
    return "gone.json"


def cut_gzip(folder: Path) -> str:
    (folder / "cut.json.gz").write_bytes(gzip.compress(SPLINE.read_bytes())[:-9])
    return "cut.json.gz"


def lines(folder: Path) -> str:
    one = json.dumps(json.loads(SPLINE.read_text()))
    (folder / "lost.jsonl").write_text('{"note": 1}\n' + one + "\n")
    return "lost.jsonl"


def dump(folder: Path) -> str:
    import numpy as np

    (folder / "dump").mkdir()
    np.savez(folder / "dump" / "arrays.npz", leaf_lb=np.zeros(1), leaf_row=np.zeros(1))
    return "dump"


def cut_zip(folder: Path) -> str:
    source = CERTIFICATES / "malformed" / "truncated-zip" / "x.tlcert"
    shutil.copy(source, folder / "bundle.zip")
    return "bundle.zip"


LOST: dict[str, tuple[Callable[[Path], str], str]] = {
    "a trailing comma": (lose(lambda text: text.rstrip()[:-1] + ",}"), "TLC106"),
    "cut off": (lose(lambda text: text[:50]), "TLC106"),
    "empty": (lose(lambda text: ""), "TLC106"),
    "a merge's marks": (lose(lambda text: "<<<<<<< HEAD\n" + text), "TLC106"),
    "a mistyped tag": (lose(lambda text: text.replace("tlcheck.spline/1", "tlcheck.splines/1")), "TLC102"),
    "a tag without its point": (lose(lambda text: text.replace("tlcheck.spline/1", "tlcheckspline/1")), "TLC102"),
    "another version": (lose(lambda text: text.replace("tlcheck.spline/1", "tlcheck.spline/9")), "TLC102"),
    "another's tag, mistyped": (lose(lambda text: '{"format": "robust_margin_cert_v0_7"}'), "TLC102"),
    "a mistyped key": (lose(lambda text: text.replace('"format"', '"Format"')), "TLC102"),
    "two tags": (lose(lambda text: text.replace("{", '{"format": "tlcheck.spline/2",', 1)), "TLC102"),
    "a list of them": (lose(lambda text: f"[{text}]"), "TLC102"),
    "a manifest of another name": (lose(lambda text: (PAIR / "manifest.json").read_text()), "TLC102"),
    "not its first line": (lines, "TLC102"),
    "a gzip cut off": (cut_gzip, "TLC403"),
    "a dangling link": (dangling, "TLC402"),
    "no manifest": (unlisted(("model.onnx", "property.vnnlib", "arrays.safetensors")), "TLC101"),
    "no manifest, arrays alone": (unlisted(("arrays.safetensors",)), "TLC101"),
    "no manifest, named .tlcert": (named_tlcert, "TLC101"),
    "a dump without its JSON": (dump, "TLC101"),
    "a zip cut off": (cut_zip, "TLC403"),
}  # fmt: skip


@pytest.mark.parametrize("case", LOST)
def test_a_certificate_that_got_lost_is_invalid(
    certs: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, code = LOST[case]
    name = make(certs)
    assert codes(report(certs, code=3, capsys=capsys)) == {name: {code}}
    assert main(["verify", "-q", str(certs)]) == 3
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    "content",
    ['{"exit": 0, "code": "TLC020"}', "[1, 2]", '"tlcheck.spline/1 is a format"', "null", '{"name": "tlcheck.js"}',
     '{"format": "torchlean.ir.v1"}', '{"format": "tlcheck.sequential.v1"}', '{"format": "esm"}', '{"type": "format"}'],
)  # fmt: skip
def test_json_of_others_is_passed_over(certs: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (certs / "other.json").write_text(content)
    assert len(report(certs, code=0, capsys=capsys)["passed_over"]) == 6


def test_a_bundle_by_content_whatever_its_name(certs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(PAIR, certs / "folder")
    shutil.make_archive(str(certs / "packed"), "zip", PAIR)
    document = report(certs, code=0, capsys=capsys)
    found = {os.path.basename(result["path"]): result["format"] for result in document["results"]}
    assert found == {"folder": "tlcert", "packed.zip": "tlcert", "spline.json": "tlcheck.spline"}


def test_links_to_folders_and_pipes_are_counted_not_followed(
    certs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(SPLINE, tmp_path / "elsewhere" / "s.json")
    (certs / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(certs / "pipe")
    (certs / "nowhere.txt").symlink_to("gone.txt")
    names = {os.path.basename(o["path"]) for o in report(certs, code=0, capsys=capsys)["passed_over"]}
    assert names == {*OTHERS, "link", "pipe", "nowhere.txt"}


DEPTH = 1200


@pytest.fixture
def deep(certs: Path) -> Iterator[Path]:
    """Folders in folders, one level at a time: the whole path may be longer than a path can be, and no recursive
    removal may reach its end."""
    handles = [os.open(certs, os.O_RDONLY)]
    for _ in range(DEPTH):
        os.mkdir("d", dir_fd=handles[-1])
        handles.append(os.open("d", os.O_RDONLY, dir_fd=handles[-1]))
        os.close(handles.pop(-2))
    try:
        yield certs
    finally:
        os.close(handles.pop())
        for _ in range(DEPTH):
            second = certs / "d" / "d"
            if second.is_dir():
                second.rename(certs / "e")
                (certs / "d").rmdir()
                (certs / "e").rename(certs / "d")
        (certs / "d").rmdir()


def test_folders_deeper_than_the_stack(deep: Path) -> None:
    assert [path.name for path in survey(deep).certificates] == ["spline.json"]


def test_every_entry_is_somewhere(certs: Path) -> None:
    for make, _ in LOST.values():
        folder = certs / str(len(list(certs.iterdir())))
        folder.mkdir()
        make(folder)
    found = survey(certs)
    seen = {*found.certificates, *(path for path, _ in found.problems), *found.passed}
    for path in certs.rglob("*"):
        if not path.is_dir():
            assert seen & {path, *path.parents}, path
    assert len(seen) == len(found.certificates) + len(found.problems) + len(found.passed)


# --strict


def test_strict_refuses_what_no_certificate_names(certs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert codes(report(certs, "--strict", code=3, capsys=capsys)) == {name: {"TLC110"} for name in OTHERS}
    for name in OTHERS:
        (certs / name).unlink()
    assert report(certs, "--strict", code=0, capsys=capsys)["passed_over"] == []


def test_strict_allows_the_files_that_a_certificate_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "certs"
    shutil.copytree(NEAR, folder)
    (folder / "manifest.json").unlink()
    output, lock = folder / "report.json", folder / "claims.lock"
    assert main(["lock", str(folder), "-o", str(lock)]) == 0
    for _ in range(2):  # the second time the report is there already
        arguments = ["--strict", "--expect", str(lock), "--format", "json", "--output", str(output)]
        assert main(["verify", str(folder), *arguments]) == 0
    assert json.loads(output.read_text())["passed_over"] == []
    (folder / "net2.json").write_text((folder / "net.json").read_text())
    assert main(["verify", str(folder), "--strict", "--expect", str(lock), "--output", str(output)]) == 3
    assert "net2.json" in output.read_text()


# Lock files.


@pytest.fixture
def locked(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with a spline, margins of a network, and a bundle of two claims; its lock file beside it."""
    folder, lock = tmp_path / "certs", tmp_path / "claims.lock"
    shutil.copytree(ACCEPT / "margins-over-digits" / "x.tlcert", folder)
    (folder / "manifest.json").unlink()
    shutil.copy(SPLINE, folder / "spline.json")
    shutil.copytree(PAIR, folder / "pair.tlcert")
    edit(folder / "pair.tlcert", lambda claims: claims.append({**claims[0], "name": "again"}))
    assert main(["lock", str(folder), "-o", str(lock)]) == 0
    return folder, lock


def edit(bundle: Path, change: Callable[[list[Any]], object]) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest["claims"])
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def rehash(bundle: Path, name: str) -> None:
    """The manifest lists the file as it is now."""
    from tlcheck.readers.bytes import sha256_hex

    manifest = json.loads((bundle / "manifest.json").read_text())
    data = (bundle / name).read_bytes()
    manifest["files"][name].update(sha256=sha256_hex(data), bytes=len(data))
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def test_a_lock_is_read_as_written(locked: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder, lock = locked
    document = json.loads(lock.read_text())
    jsonschema.Draft202012Validator(lock_schema()).validate(document)
    places = [(claim["certificate"], claim["name"]) for claim in document["claims"]]
    assert places == sorted(places)
    assert ("certs/pair.tlcert", "again") in places
    assert len(places) == 4
    assert report(folder, "--expect", lock, code=0, capsys=capsys)["unexpected"] == []


def test_a_lock_is_the_same_bytes_again_and_from_elsewhere(
    locked: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, lock = locked
    before = lock.read_bytes()
    assert main(["lock", str(folder), "-o", str(lock)]) == 0
    assert lock.read_bytes() == before
    monkeypatch.chdir(folder)
    parts = ["pair.tlcert", "spline.json", "../certs"]
    assert main(["lock", *parts, "-o", "../claims.lock"]) == 0
    assert lock.read_bytes() == before


def test_a_lock_holds_every_file_that_an_artifact_names() -> None:
    """A data file may be called as another kind of certificate calls its evidence; the files of an artifact are no evidence."""
    names = ("artifact", "certificate 1.json", "certificate", "arrays", "arrays.bin")
    read = ClaimRead("m", "margins", "s", dict.fromkeys(("manifest", *names), "0" * 64))
    [entry] = locked_claims([(Path("x.tlcert"), read)], Path()).values()
    assert set(entry.files) == set(names)
    bundle = ClaimRead(
        "m",
        "unsat",
        "s",
        dict.fromkeys(("manifest", "model", "model data a", "property", "arrays"), "0" * 64),
    )
    [entry] = locked_claims([(Path("x.tlcert"), bundle)], Path()).values()
    assert set(entry.files) == {"model", "model data a", "property"}


def other_model(folder: Path) -> None:
    """The claim is about another network: one more byte of documentation, the same function."""
    import onnx

    bundle = folder / "pair.tlcert"
    model = onnx.load(bundle / "model.onnx")
    model.doc_string += "x"
    onnx.save(model, bundle / "model.onnx")
    rehash(bundle, "model.onnx")


def other_property(folder: Path) -> None:
    bundle = folder / "pair.tlcert"
    with (bundle / "property.vnnlib").open("a") as stream:
        stream.write("; weaker\n")
    rehash(bundle, "property.vnnlib")


def change_spline(folder: Path) -> None:
    path = folder / "spline.json"
    path.write_text(path.read_text().replace('"convex"', '"convex "', 0) + "\n")


CHANGES: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "a claim removed": (lambda f: edit(f / "pair.tlcert", lambda c: c.pop()), {"TLC111"}),
    "a claim renamed": (lambda f: edit(f / "pair.tlcert", lambda c: c[1].update(name="b")), {"TLC111"}),
    "a file deleted": (lambda f: (f / "spline.json").unlink(), {"TLC111"}),
    "a file renamed": (lambda f: (f / "spline.json").rename(f / "s.json"), {"TLC111"}),
    "a file no longer a certificate by its name": (
        lambda f: (f / "spline.json").rename(f / "spline.json.bak"), {"TLC111", "TLC102"},
    ),
    "a bundle deleted": (lambda f: shutil.rmtree(f / "pair.tlcert"), {"TLC111"}),
    "a bundle broken": (lambda f: (f / "pair.tlcert" / "manifest.json").unlink(), {"TLC111", "TLC101"}),
    "the artifact changed": (change_spline, {"TLC112"}),
    "the model swapped": (other_model, {"TLC112"}),
    "the property swapped": (other_property, {"TLC112"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_a_missing_or_changed_claim_fails(
    locked: tuple[Path, Path], case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, lock = locked
    change, expected = CHANGES[case]
    change(folder)
    document = report(folder, "--expect", lock, code=3, capsys=capsys)
    assert set().union(*codes(document).values()) == expected
    capsys.readouterr()
    assert main(["verify", "-q", str(folder), "--expect", str(lock)]) == 3
    for line in capsys.readouterr().out.splitlines():
        assert "`tlcheck lock`" in line or "manifest.json" in line or "does not end in .json" in line


def test_epsilon_of_margins_is_part_of_the_claim(
    locked: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, lock = locked
    [path] = [p for p in folder.glob("*.json") if '"tlcheck.margins/1"' in p.read_text()]
    document = json.loads(path.read_text())
    document["radius"] = "1/16"
    path.write_text(json.dumps(document))
    found = codes(report(folder, "--expect", lock, code=3, capsys=capsys))
    assert found == {path.name: {"TLC112"}}


def test_other_evidence_is_no_other_claim(
    locked: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A better proof, or notes of the producer, need no new lock."""
    folder, lock = locked
    manifest = folder / "pair.tlcert" / "manifest.json"
    document = json.loads(manifest.read_text())
    document["producer"]["notes"] = {"made": "again"}
    manifest.write_text(json.dumps(document))
    report(folder, "--expect", lock, code=0, capsys=capsys)


def test_more_claims_are_told_and_refused_only_when_strict(
    locked: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, lock = locked
    edit(folder / "pair.tlcert", lambda claims: claims.append({**claims[0], "name": "new"}))
    document = report(folder, "--expect", lock, code=0, capsys=capsys)
    assert [(os.path.basename(e["path"]), e["name"]) for e in document["unexpected"]] == [
        ("pair.tlcert", "new")
    ]
    assert main(["verify", str(folder), "--expect", str(lock)]) == 0
    out = capsys.readouterr().out
    assert f"not in the lock file: {folder / 'pair.tlcert'} (new)" in out
    assert "; 1 not in the lock file; " in out
    assert codes(report(folder, "--expect", lock, "--strict", code=3, capsys=capsys)) == {
        "pair.tlcert": {"TLC113"}
    }


def test_an_empty_folder_misses_every_claim(
    locked: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, lock = locked
    shutil.rmtree(folder)
    folder.mkdir()
    document = report(folder, "--expect", lock, code=3, capsys=capsys)
    assert len(document["results"]) == 4


@pytest.mark.parametrize("named", [["spline.json"], ["pair.tlcert", "spline.json"]])
def test_what_is_not_named_is_missing(
    locked: tuple[Path, Path], named: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A gate that names fewer paths than were locked does not pass."""
    folder, lock = locked
    document = report(*(folder / name for name in named), "--expect", lock, code=3, capsys=capsys)
    missing = {place for place, found in codes(document).items() if "TLC111" in found}
    assert missing == {"artifact.json", "pair.tlcert", "spline.json"} - set(named)


MALFORMED_LOCKS: dict[str, tuple[Callable[[Any], object], str]] = {
    "an unknown field": (lambda d: d.update(tolerance=1), "TLC101"),
    "no claims": (lambda d: d.update(claims=[]), "TLC101"),
    "another version": (lambda d: d.update(format="tlcheck.lock/2"), "TLC101"),
    "not sorted": (lambda d: d["claims"].reverse(), "TLC101"),
    "one twice": (lambda d: d["claims"].insert(0, d["claims"][0]), "TLC101"),
    "no hash": (lambda d: d["claims"][0]["files"].update(model="xyz"), "TLC101"),
    "an absolute path": (lambda d: d["claims"][0].update(certificate="/x"), "TLC404"),
}


@pytest.mark.parametrize("case", MALFORMED_LOCKS)
def test_a_malformed_lock_is_invalid(
    locked: tuple[Path, Path], case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, lock = locked
    change, code = MALFORMED_LOCKS[case]
    document = json.loads(lock.read_text())
    change(document)
    lock.write_text(json.dumps(document))
    assert codes(report(folder, "--expect", lock, code=3, capsys=capsys)) == {"claims.lock": {code}}


def test_what_is_no_lock_is_named(locked: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = locked
    model = folder / "pair.tlcert" / "model.onnx"
    assert main(["verify", str(folder), "--expect", str(model)]) == 3
    assert "an ONNX model, not a lock file" in capsys.readouterr().out
    assert main(["verify", str(folder), "--expect", str(folder / "no.lock")]) == 3


def test_lock_writes_nothing_where_it_cannot_say_all(
    locked: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, lock = locked
    before = lock.read_bytes()
    (folder / "bad.json").write_text("{")
    assert main(["lock", str(folder), "-o", str(lock)]) == 3
    assert main(["lock", str(folder / "absent"), "-o", str(lock)]) == 3
    assert lock.read_bytes() == before
    assert main(["lock", str(SPLINE), "-o", str(folder / "spline.json")]) == 2
    assert "no lock file: not replaced" in capsys.readouterr().err
    assert (folder / "spline.json").read_bytes() == SPLINE.read_bytes()


# Folders and outputs that may not be used. The tests may run as root, whom no permission stops.


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that may be listed and not be entered, by what the system calls say of it."""
    folder = tmp_path / "closed"
    (folder / "inner").mkdir(parents=True)
    shutil.copy(SPLINE, folder / "s.json")
    real = os.stat

    def stat(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if isinstance(path, (str, os.PathLike)) and str(path).startswith(f"{folder}{os.sep}"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", stat)
    return folder


def test_a_certificate_in_a_folder_that_may_not_be_entered(
    closed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(closed / "s.json")]) == 3
    line = capsys.readouterr().out.splitlines()[0]
    assert "Permission denied" in line
    assert f"a folder that may be entered at {closed}" in line
    assert "no such file" not in line
    assert codes(report(closed, code=3, capsys=capsys)) == {"s.json": {"TLC402"}, "inner": {"TLC402"}}


def test_a_folder_that_may_not_be_read_hides_nothing_else(
    certs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = certs / "hidden"
    hidden.mkdir()
    real = os.listdir

    def listdir(path: Any = ".") -> list[str]:
        if str(path) == str(hidden):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    document = report(certs, code=3, capsys=capsys)
    assert codes(document) == {"hidden": {"TLC402"}}
    assert [r["claims"][0]["verdict"] for r in document["results"]] == ["INVALID", "CERTIFIED"]


def through_a_file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("x")
    return tmp_path / "file" / "report.json"


def in_a_circle(tmp_path: Path) -> Path:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    return tmp_path / "a" / "report.json"


def too_long(tmp_path: Path) -> Path:
    return tmp_path / ("x" * 300)


def below_a_name_too_long(tmp_path: Path) -> Path:
    return tmp_path / ("x" * 300) / "report.json"


@pytest.mark.parametrize("make", [through_a_file, in_a_circle, too_long, below_a_name_too_long])
@pytest.mark.parametrize("command", ["verify", "lock"])
def test_an_output_that_cannot_be_is_one_line(
    tmp_path: Path, make: Callable[[Path], Path], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    option = "--output" if command == "verify" else "-o"
    assert main([command, str(SPLINE), option, str(make(tmp_path))]) == 2
    captured = capsys.readouterr()
    [line] = captured.err.splitlines()
    assert line.startswith("Error: cannot write ")
    assert captured.out == ""


@pytest.mark.parametrize("make", [through_a_file, in_a_circle, below_a_name_too_long])
def test_a_certificate_that_cannot_be_there_is_one_line(
    tmp_path: Path, make: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(make(tmp_path))]) == 3
    assert "[TLC402]" in capsys.readouterr().out


def test_an_output_in_a_folder_that_may_not_be_entered(
    closed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = closed / "inner" / "report.json"
    assert main(["verify", str(SPLINE), "--output", str(target)]) == 2
    assert capsys.readouterr().err.splitlines() == [f"Error: cannot write {target}: Permission denied"]


COMMANDS = [
    ["show", "{}"], ["convert", "{}", "-o", "{}.tlcert"], ["plot", "{}", "-o", "{}.svg"],
    ["certify-pinn", "{}", "{}", "-o", "{}.tlcert"], ["certify-lyapunov", "{}.json", "-o", "{}.tlcert"],
    ["lyapunov-spec", "{}.vnnlib"], ["vnnlib", "verify", "{}", "--network", "N={}"],
    ["vnncomp", "witness", "{}", "{}", "{}"], ["vnncomp", "referee", "{}", "--benchmarks", "{}"],
    ["vnncomp", "witness", "--index", "{}"], ["verify", "{}", "--model", "{}", "--property", "{}"], ["lock", "{}", "-o", "{}"],
    ["certify", "{}", "{}", "-o", "{}.tlcert"], ["equiv", "{}", "{}", "--box", "0,1"], ["certify-robust", "{}", "{}", "-o", "{}", "--eps", "1/8"],
    ["calibrate", "--functions", "Sqrt", "--sample", "16777216", "-o", "{}"], ["run", "{}", "--inputs", "{}"],
]  # fmt: skip


def test_every_command_that_takes_a_path_is_tried() -> None:
    takes = {
        name for name in commands.COMMANDS
        if any(isinstance(p.type, click.Path) for p in cli.get_command(click.Context(cli), name).params)  # type: ignore[union-attr]
    }  # fmt: skip
    assert takes <= {command[0] for command in COMMANDS}


@pytest.mark.parametrize("make", [through_a_file, in_a_circle, too_long])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_no_command_takes_a_path_that_cannot_be_for_a_bug(
    tmp_path: Path, make: Callable[[Path], Path], command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(make(tmp_path))
    assert main([part.format(path) for part in command]) in (2, 3)
    captured = capsys.readouterr()
    assert "BUG" not in captured.out + captured.err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_no_command_takes_a_closed_folder_for_a_bug(
    closed: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(closed / "inner" / "x")
    assert main([part.format(path) for part in command]) in (2, 3)
    captured = capsys.readouterr()
    assert "BUG" not in captured.out + captured.err
