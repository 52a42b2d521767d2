"""Every form of a data set read, and everything that can mean two things refused by name, in one line."""

from __future__ import annotations

import sys
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tlcheck.errors import InvalidInput
from tlcheck.readers.datasets.read import Asked, read_dataset
from tlcheck.readers.datasets.samples import Samples

IMAGES = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)
FLOATS = IMAGES.astype(np.float32) / np.float32(7)
LABELS = np.array([2, 0, 1])


def npz(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "d.npz", **arrays)
    return folder / "d.npz"


def text(folder: Path, name: str, content: str) -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


def picture(path: Path, array: Any, **more: Any) -> Path:
    from PIL import Image

    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path, **more)
    return path


def read(path: Path, labels: Path | None = None, **asked: Any) -> Samples:
    return read_dataset(path, Asked(labels, **asked))


def refused(path: Path, *words: str, code: str = "TLC502", labels: Path | None = None, **asked: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        read(path, labels, **asked)
    line = error.value.line()
    assert error.value.code == code, line
    assert "\n" not in line
    assert all(word in line for word in (*words, path.name if labels is None else labels.name)), line


# what is read


@pytest.mark.parametrize(
    "names", [("x", "y"), ("images", "labels"), ("x_test", "y_test"), ("features", "target")]
)
def test_npz(tmp_path: Path, names: tuple[str, str]) -> None:
    found = read(npz(tmp_path, **{names[0]: FLOATS, names[1]: LABELS}))
    assert found.labels.texts == ("2", "0", "1")
    assert (found.values.count, found.values.shape, found.values.type) == (3, (2, 4), "float32")
    assert found.values.exact(1) == tuple(map(Fraction, FLOATS[1].ravel().tolist()))
    assert not found.values.whole()
    assert found.names == ("row 0", "row 1", "row 2")


def test_npz_by_keys(tmp_path: Path) -> None:
    path = npz(tmp_path, train=FLOATS, x=IMAGES, y=LABELS, other=LABELS[::-1])
    found = read(path, keys=("x", "other"))
    assert found.labels.texts == ("1", "0", "2")
    assert found.values.whole()
    assert found.values.span() == (0, 23)
    assert read(path, keys=("x",)).labels is None


def test_npy_and_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", IMAGES)
    np.save(tmp_path / "l.npy", LABELS.astype(np.float64))
    assert read(tmp_path / "d.npy").labels is None
    assert read(tmp_path / "d.npy", tmp_path / "l.npy").labels.texts == ("2", "0", "1")
    in_order = text(tmp_path, "l.csv", "label\n2\n0\n1\n")
    assert read(tmp_path / "d.npy", in_order).labels.texts == ("2", "0", "1")
    by_name = text(tmp_path, "n.csv", "name,label\nrow 1,0\nrow 0,2\nrow 2,1\n")
    assert read(tmp_path / "d.npy", by_name).labels.texts == ("2", "0", "1")


@pytest.mark.parametrize("labels", [LABELS[:, None], np.eye(3)[LABELS], np.eye(3, dtype=np.uint8)[LABELS]])
def test_labels_as_columns_and_one_hot(tmp_path: Path, labels: Any) -> None:
    assert read(npz(tmp_path, x=FLOATS, y=labels)).labels.texts == ("2", "0", "1")


def test_csv_is_exact(tmp_path: Path) -> None:
    found = read(text(tmp_path, "d.csv", "a,label,b\n0.1,cat,-2e-1\n\n1/3,dog,7\n"))
    assert found.labels.texts == ("cat", "dog")
    assert [found.values.exact(k) for k in range(2)] == [
        (Fraction(1, 10), Fraction(-1, 5)), (Fraction(1, 3), Fraction(7)),
    ]  # fmt: skip
    assert found.values.span() == (Fraction(-1, 5), 7)
    assert read(text(tmp_path, "e.csv", "a,label,b\n1,2,3\n"), label_column="b").labels.texts == ("3",)


def test_pictures_in_classes(tmp_path: Path) -> None:
    for name in ("dog/b.png", "cat/a.png", "cat/.hidden"):
        picture(tmp_path / "p" / "x.png", IMAGES[0])
        (tmp_path / "p" / "x.png").unlink()
        picture(tmp_path / "p" / name, IMAGES[0] + ("dog" in name), format="PNG")
    found = read(tmp_path / "p")
    assert (found.names, found.labels.texts) == (("cat/a.png", "dog/b.png"), ("cat", "dog"))
    assert found.values.exact(1) == tuple(map(Fraction, range(1, 9)))


def test_pictures_with_a_file_of_labels(tmp_path: Path) -> None:
    colour = np.stack([IMAGES[0]] * 3, axis=2)
    for name in ("a.png", "b.png"):
        picture(tmp_path / "p" / name, colour)
    labels = text(tmp_path / "p", "labels.csv", "name,label\nb.png,1\na.png,0\n")
    found = read(tmp_path / "p", labels)
    assert (found.values.shape, found.labels.texts) == ((2, 4, 3), ("0", "1"))


# what is refused


def test_which_array(tmp_path: Path) -> None:
    refused(
        npz(tmp_path, x_train=FLOATS, x_test=FLOATS, y=LABELS),
        "which array holds the samples",
        "--keys",
        "x_test",
    )
    refused(npz(tmp_path, x=FLOATS, y=LABELS, labels=LABELS), "which array holds the labels", "--keys")
    refused(npz(tmp_path, y=LABELS), "no array of samples", code="TLC501")
    refused(npz(tmp_path, x=FLOATS), "no such array", "expected x", code="TLC501", keys=("z",))


def test_arrays_that_are_no_samples(tmp_path: Path) -> None:
    refused(npz(tmp_path, x=np.arange(4.0)), "one sample or many", "(4,)")
    refused(npz(tmp_path, x=np.ones((2, 2), bool)), "another type than numbers", "bool", code="TLC501")
    refused(npz(tmp_path, x=np.ones((2, 2), complex)), "complex", code="TLC501")
    refused(npz(tmp_path, x=np.zeros((0, 4))), "no sample", code="TLC501")
    bad = np.zeros((2, 2))
    bad[1, 0] = np.nan
    refused(npz(tmp_path, x=bad), "no finite number", "[1, 0]", code="TLC501")
    np.save(tmp_path / "o.npy", np.array([[{}]], object), allow_pickle=True)
    refused(tmp_path / "o.npy", "Python objects", code="TLC501")
    refused(npz(tmp_path, x=np.array([[{}]], object)), "x", code="TLC501")
    refused(text(tmp_path, "t.npz", "text"), "array file", code="TLC501")
    refused(text(tmp_path, "t.npy", "text"), "array file", code="TLC501")


def header(shape: object, descr: object = "<f8", version: int = 1, more: str = "") -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}{more}}}".encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text


HOSTILE = {
    "petabytes": header((10**15,)),
    "more than int64": header((10**30, 10**30)),
    "nothing, often": header((10**15, 0)),
    "names of no letters": header((10**15, 2), "<U0"),
    "negative": header((-2, -2)) + bytes(32),
    "truth values": header((True, 2)) + bytes(16),
    "cut short": header((2, 2)) + bytes(31),
    "too long": header((2, 2)) + bytes(33),
    "objects": header((2, 2), "|O") + bytes(32),
    "fields": header((2, 2), [("a", "<f8")]) + bytes(32),
    "no type": header((2, 2), "<q9") + bytes(32),
    "no header": header((2, 2), more=", 'x': 1") + bytes(32),
    "no literal": header((2, 2), more=", " + "(" * 3000) + bytes(32),
    "version 9": header((2, 2), version=9) + bytes(32),
    "half a header": header((2, 2))[:20],
    "a pickle": b"\x80\x04N.",
    "": b"",
}
"""Content of .npy files."""


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_arrays(tmp_path: Path, what: str) -> None:
    (tmp_path / "d.npy").write_bytes(HOSTILE[what])
    refused(tmp_path / "d.npy", code="TLC501")
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x.npy", HOSTILE[what])
    refused(tmp_path / "d.npz", "x", code="TLC501")
    labels = tmp_path / "d.npy"
    refused(npz(tmp_path, x=FLOATS), code="TLC501", labels=labels)


def patched(content: bytes, local: int, central: int, value: int) -> bytes:
    """A zip of one member with 2 bytes of both its headers replaced, at these places in them."""
    data, at = bytearray(content), content.index(b"PK\1\2")
    for place in (local, at + central):
        data[place : place + 2] = value.to_bytes(2, "little")
    return bytes(data)


@pytest.mark.parametrize(
    "what", ["encrypted", "packed by nobody", "other content", "cut", "Python objects", "twice"]
)
def test_hostile_archives(tmp_path: Path, what: str) -> None:
    good = npz(tmp_path, x=FLOATS).read_bytes()
    match what:
        case "encrypted":
            good = patched(good, 6, 8, 1)
        case "packed by nobody":
            good = patched(good, 8, 10, 77)
        case "other content":
            good = good.replace(FLOATS.tobytes()[:40], b"\7" * 40)
        case "cut":
            good = good[: len(good) // 2]
        case "Python objects":
            good = npz(tmp_path, x=np.array([[{}]], object)).read_bytes()
        case "twice":
            with zipfile.ZipFile(tmp_path / "d.npz", "a") as archive, pytest.warns(UserWarning):
                archive.writestr("x.npy", header((1, 1)) + bytes(8))
            good = (tmp_path / "d.npz").read_bytes()
    (tmp_path / "d.npz").write_bytes(good)
    refused(tmp_path / "d.npz", code="TLC502" if what == "twice" else "TLC501")


def test_arrays_as_numpy_writes_them(tmp_path: Path) -> None:
    """Columns first, other byte orders, packed, few dimensions: what is read is what numpy reads."""
    big = FLOATS.astype(">f8")
    for array in (np.asfortranarray(FLOATS), big, FLOATS.astype(np.float16), IMAGES.astype(">u2")):
        np.savez_compressed(tmp_path / "c.npz", x=array)
        np.save(tmp_path / "c.npy", array)
        for name in ("c.npz", "c.npy"):
            assert read(tmp_path / name).values.exact(2) == tuple(map(Fraction, array[2].ravel().tolist()))


def test_labels_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not as many labels as samples"):
        read(npz(tmp_path, x=FLOATS, y=LABELS[:2]))
    refused(npz(tmp_path, x=FLOATS, y=FLOATS), "not labels", code="TLC501")
    refused(npz(tmp_path, x=FLOATS, y=np.ones((3, 2))), "not labels", "one-hot", code="TLC501")
    refused(npz(tmp_path, x=FLOATS, y=np.array([0, 1, np.inf])), "no finite number", code="TLC501")


def test_two_sources_of_labels(tmp_path: Path) -> None:
    labels = text(tmp_path, "l.csv", "label\n2\n0\n1\n")
    refused(npz(tmp_path, x=FLOATS, y=LABELS), "which count", labels=labels)
    path = npz(tmp_path, x=FLOATS)
    refused(
        path,
        "not a file of labels",
        "label",
        code="TLC501",
        labels=text(tmp_path, "m.csv", "what\n1\n2\n0\n"),
    )
    refused(path, "is the first line a sample or a heading", labels=text(tmp_path, "h.csv", "2\n0\n1\n"))
    twice = text(tmp_path, "w.csv", "name,label\nrow 0,1\nrow 0,2\n")
    refused(path, "two labels for one name", "row 0", labels=twice)
    less = text(tmp_path, "s.csv", "name,label\nrow 0,1\nrow 1,1\n")
    refused(path, "no label", "row 2", code="TLC501", labels=less)
    more = text(tmp_path, "r.csv", "name,label\n" + "".join(f"row {k},1\n" for k in range(4)))
    refused(path, "no such sample", "row 3", code="TLC501", labels=more)


@pytest.mark.parametrize(
    "content, words, code",
    [
        ("1,2,3\n4,5,6\n", ("sample or a heading", "1, 2, 3"), "TLC502"),
        ("a;b\n1;2\n", ("commas alone",), "TLC501"),
        ("a,a\n1,2\n", ("two columns of one name",), "TLC502"),
        ("y,label,a\n1,2,3\n", ("which column", "--label-column"), "TLC502"),
        ("a,b\n1\n", ("another number of cells", "row 0"), "TLC501"),
        ("a,b\n1,x\n", ("no number", "column b", "'x'"), "TLC501"),
        ("a,b\n1,nan\n", ("no number",), "TLC501"),
        ("a,b\n", ("without rows",), "TLC501"),
        ("", ("empty",), "TLC501"),
        ("label\n1\n", ("no column of values",), "TLC501"),
        ('a,b\n"1,2\n', ("not a CSV",), "TLC501"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, content: str, words: tuple[str, ...], code: str) -> None:
    refused(text(tmp_path, "d.csv", content), *words, code=code)


def test_options_of_another_format(tmp_path: Path) -> None:
    refused(text(tmp_path, "d.csv", "a\n1\n"), "--keys", code="TLC501", keys=("x",))
    refused(npz(tmp_path, x=FLOATS), "--label-column", code="TLC501", label_column="y")
    refused(text(tmp_path, "d.json", "{}"), "an .npz, .npy or .csv file", code="TLC501")
    refused(tmp_path / "gone.npz", "no such file", code="TLC402")
    refused(text(tmp_path, "d.csv", "a,z\n1,2\n"), "no such column", "a, z", code="TLC501", label_column="y")


def test_pictures_of_two_meanings(tmp_path: Path) -> None:
    from PIL import Image

    def one(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    for mode in ("RGBA", "LA", "P", "1", "I;16", "CMYK"):
        folder = one(mode.replace(";", ""))
        Image.new(mode, (4, 2)).save(folder / ("a.tif" if mode in ("CMYK", "I;16") else "a.png"))
        with pytest.raises(InvalidInput, match=f"which values.*mode {mode}"):
            read(folder)
    turned = Image.Exif()
    turned[0x0112] = 6
    folder = one("turned")
    Image.new("L", (4, 2)).save(folder / "a.jpg", exif=turned)
    with pytest.raises(InvalidInput, match=r"EXIF orientation.*orientation 6"):
        read(folder)


def test_folders_that_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    refused(folder, "no picture", code="TLC501")
    picture(folder / "a.png", IMAGES[0])
    picture(folder / "c" / "b.png", IMAGES[0])
    refused(folder, "subfolders (their classes) and beside them", "a.png")
    (folder / "a.png").unlink()
    picture(folder / "c" / "d.png", IMAGES[:, :, 0])
    refused(folder, "of different kinds", "d.png", code="TLC501")
    (folder / "c" / "d.png").unlink()
    text(folder / "c", "notes.txt", "x")
    with pytest.raises(InvalidInput, match=r"no picture.*|notes\.txt"):
        read(folder)
    (folder / "c" / "notes.txt").unlink()
    (folder / "c" / "deep").mkdir()
    with pytest.raises(InvalidInput, match="a folder in a class's folder"):
        read(folder)
    (folder / "c" / "deep").rmdir()
    text(folder / "c", "z.png", "no picture")
    with pytest.raises(InvalidInput, match="not a picture"):
        read(folder)


def test_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "p" / "a.png", IMAGES[0])
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(InvalidInput, match=r"Pillow: pip install 'tlcheck\[pictures\]'") as error:
        read(tmp_path / "p")
    assert error.value.code == "TLC504"
