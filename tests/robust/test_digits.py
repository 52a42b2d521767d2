"""A trained network and real digits: the same questions from every form of the data, and a whole run."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clocks import GUARD
from tests.helpers import CERTIFICATES
from tlcheck.cli.main import main
from tlcheck.readers.bundle.store import open_store
from tlcheck.readers.datasets.read import Asked
from tlcheck.report.record import ExitCode
from tlcheck.robust.questions import Questions, Settings, questions

BUNDLE = CERTIFICATES / "accept" / "digits-conv" / "x.tlcert"
COUNT = 6


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    found: Any = pytest.importorskip("sklearn.datasets").load_digits()
    return found.images[-COUNT:].astype(np.uint8), found.target[-COUNT:]


@pytest.fixture
def conv(tmp_path: Path) -> Path:
    (tmp_path / "conv.onnx").write_bytes(bytes(open_store(BUNDLE).view("model.onnx")))
    return tmp_path / "conv.onnx"


def forms(folder: Path, images: Any, labels: Any) -> list[tuple[Path, int, Asked]]:
    """(path, what its values are divided by, how its labels are found) of the same digits."""
    from PIL import Image

    np.savez(folder / "d.npz", x=images, y=labels)
    np.save(folder / "d.npy", images.astype(np.float32)[:, :, :, None] / 16)
    np.save(folder / "labels.npy", labels)
    rows = (
        ",".join([str(label), *(str(v / 16) for v in image.ravel())])
        for image, label in zip(images, labels, strict=True)
    )
    (folder / "d.csv").write_text(f"label,{','.join(f'p{i}' for i in range(64))}\n" + "\n".join(rows) + "\n")
    for k, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / "pictures" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image * 15).save(folder / "pictures" / str(label) / f"{k}.png")
    return [
        (folder / "d.npz", 16, Asked()), (folder / "d.npy", 1, Asked(folder / "labels.npy")), (folder / "d.csv", 1, Asked()),
        (folder / "pictures", 240, Asked()),
    ]  # fmt: skip


def asked(found: Questions, k: int) -> bytes:
    """The question without its comments."""
    return b"\n".join(line for line in found.text(k).splitlines() if not line.startswith(b";"))


def test_every_form_asks_the_same(tmp_path: Path, conv: Path, digits: tuple[Any, Any]) -> None:
    seen = []
    for path, divide, data in forms(tmp_path, *digits):
        settings = Settings(
            Fraction(1, 16), clip=(Fraction(0), Fraction(1)), divide=Fraction(divide), data=data
        )
        found = questions(conv, path, settings)
        assert found.arrangement.order == tuple(range(64))
        seen.append(sorted(asked(found, k) for k in range(found.count)))
    assert len(seen[0]) == COUNT
    assert all(texts == seen[0] for texts in seen)


def test_a_whole_run(
    tmp_path: Path, conv: Path, digits: tuple[Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    path = forms(tmp_path, *digits)[3][0]
    options = ["--eps", "1/64", "--divide", "240", "--clip", "0", "1", "--timeout", str(GUARD)]
    assert (
        main(["certify-robust", str(conv), str(path), "-o", str(tmp_path / "out"), *options]) == ExitCode.OK
    )
    said = capsys.readouterr().out
    assert f"{COUNT} inputs: {COUNT} (100.0 %) clean, {COUNT} (100.0 %) certified" in said
    assert "/5.png, label" in said
    assert (
        main(["verify", str(tmp_path / "out"), "--expect", str(tmp_path / "out" / "robust.lock")])
        == ExitCode.OK
    )
